//! The emails of registration. `features::tickets` renders those that have a ticket attached.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use super::fields::FIELDS;
use super::model::Registration;
use crate::base::Base;
use crate::config::{Event, FormConfig};
use crate::features::accounts::Account;
use crate::features::bursary_requests::Bursary;
use crate::features::payments::{AboutOrder, Order, OrderState};
use crate::kernel::{Clock, StudentField, Timestamp};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::{Store, StoreError, Tx};

/// Name of the email with the ticket, `ticket:<order>`, which `features::tickets` renders.
pub const TICKET: &str = "ticket";

/// Name of the email about a change that the committee made, `registration-changed:<change>`, which `features::tickets`
/// renders.
pub const REGISTRATION_CHANGED: &str = "registration-changed";

/// What an email about a change is about: one that the committee made in a student's registration.
#[derive(Serialize, Deserialize)]
pub struct AboutChange {
    /// Id of the student's account.
    pub account: String,
    /// Names of the corrected fields, separated by commas. Empty if the student has another group.
    #[serde(default)]
    corrected: String,
}

impl AboutChange {
    /// The student has another group.
    pub fn of_group(account: &str) -> Self {
        Self { account: account.to_owned(), corrected: String::new() }
    }

    /// These fields of the student's form were corrected.
    pub fn of_fields(account: &str, fields: impl IntoIterator<Item = StudentField>) -> Self {
        let names: Vec<_> = fields.into_iter().map(|field| field.to_string()).collect();
        Self { account: account.to_owned(), corrected: names.join(",") }
    }

    /// Labels of the corrected fields and questions of `form`.
    pub fn labels(&self, form: &FormConfig) -> Vec<String> {
        let label = |name: &str| match StudentField::parse(name) {
            Ok(StudentField::Answer(id)) => Some(form.question(&id)?.label.clone()),
            _ => Some(FIELDS.iter().find(|field| field.name() == name)?.label.to_owned()),
        };
        self.corrected.split(',').filter_map(label).collect()
    }

    /// Posts the email to the account's present address, in the transaction of the change, whose id is `change`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn post(&self, tx: &Tx, change: &str, now: Timestamp) -> Result<(), StoreError> {
        let Some(account) = tx.get::<Account>(&self.account).await? else { return Ok(()) };
        tx.post(&Mail::named(REGISTRATION_CHANGED, change, &account.email, self, now)).await
    }
}

/// The emails that this feature renders.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    vec![Arc::new(CheckoutExpired::new(base))]
}

/// The email after a checkout that expired unpaid: `checkout-expired:<session>`.
pub struct CheckoutExpired {
    store: Store,
    clock: Arc<dyn Clock>,
    event: Arc<Event>,
    layout: EmailLayout,
    pages: Url,
}

#[derive(askama::Template)]
#[template(path = "features/registration/templates/checkout-expired.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    name: &'a str,
    group: &'a str,
    product: &'a str,
    price: &'a str,
    link: &'a str,
}

#[derive(askama::Template)]
#[template(path = "features/registration/templates/checkout-expired.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    name: &'a str,
    group: &'a str,
    product: &'a str,
    price: &'a str,
    link: &'a str,
}

impl CheckoutExpired {
    fn new(base: &Base) -> Self {
        let (layout, pages) = (base.email_layout.clone(), base.pages_url.clone());
        let (store, clock, event) = (base.store.clone(), base.clock.clone(), base.event.clone());
        Self { store, clock, event, layout, pages }
    }

    fn write(&self, name: &str, group: &str, order: &Order) -> Result<Email, RenderError> {
        let mut link = self.pages.clone();
        link.set_path("/checkout/back");
        link.query_pairs_mut().append_pair("order", &order.id);
        let (layout, product, price, link) =
            (&self.layout, order.product_name.as_str(), order.price.to_string(), link.as_str());
        let text = Text { layout, name, group, product, price: &price, link };
        let html = Html { layout, name, group, product, price: &price, link };
        layout.render(&text.as_subject(), &text, &html)
    }
}

#[async_trait]
impl EmailKind for CheckoutExpired {
    const NAME: &'static str = "checkout-expired";
    type About = AboutOrder;

    async fn render(&self, about: AboutOrder, _: &Mail) -> Result<Email, RenderError> {
        let order: Order = self.store.get(&about.order).await?.ok_or(RenderError::Obsolete("no order"))?;
        if order.state != OrderState::Expired {
            return Err(RenderError::Obsolete("the order is no longer expired"));
        }
        let bursary: Option<Bursary> = self.store.get(&about.account).await?;
        if bursary.is_some_and(|bursary| bursary.approved_by().is_some()) {
            return Err(RenderError::Obsolete("a bursary is approved"));
        }
        let account: Account =
            self.store.get(&about.account).await?.ok_or(RenderError::Obsolete("no account"))?;
        let registration = self.store.get::<Registration>(&about.account).await?;
        let registration = registration.ok_or(RenderError::Obsolete("no registration"))?;
        self.write(account.greeting(), &registration.group, &order)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let order = Order::sample(&self.event, self.clock.now());
        Ok(Sample::only(self.write(Sample::FIRST_NAME, Sample::GROUP, &order)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Product, Question, QuestionKind};
    use crate::kernel::EmailAddress;

    #[test]
    fn an_email_about_a_correction_names_the_corrected_fields() {
        let form = FormConfig {
            questions: vec![Question::for_tests("bus", QuestionKind::YesNo)],
            ..FormConfig::default()
        };
        let fields = [StudentField::LegalName, StudentField::Answer("bus".into())];
        let about = AboutChange::of_fields("a", fields);
        assert_eq!(about.labels(&form), ["Legal name", "The question bus"]);
        assert_eq!(AboutChange::of_group("a").labels(&form), [""; 0]);
    }

    #[tokio::test]
    async fn the_email_on_an_ended_checkout_is_reviewed() {
        let base = Base::for_tests().await;
        let product = base.event.product(Product::ORIENTATION).unwrap();
        let email = EmailAddress::parse("ana@example.org").unwrap();
        let order = Order::open("order-1".into(), "account-1", product, email, Timestamp::from_millis(0));
        let email = CheckoutExpired::new(&base).write("Ana <b>", "Alpha", &order).unwrap();
        insta::assert_snapshot!("checkout-expired.subject", email.subject);
        insta::assert_snapshot!("checkout-expired.txt", email.text);
        insta::assert_snapshot!("checkout-expired.html", email.html);
    }
}
