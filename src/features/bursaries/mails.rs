//! The emails about decisions.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::bursary_requests::{Bursary, BursaryState};
use crate::features::payments::{Order, OrderState};
use crate::features::registration::Registration;
use crate::kernel::{Clock, Timestamp};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::Store;

/// What an email about a decision is about.
#[derive(Serialize, Deserialize)]
pub struct AboutBursary {
    /// Id of the student's account, and of the bursary.
    account: String,
}

/// To a student whose bursary was approved.
pub(super) fn approved(student: &Account, now: Timestamp) -> Mail {
    about::<BursaryApproved>(student, now)
}

/// To a student whose bursary was declined.
pub(super) fn declined(student: &Account, now: Timestamp) -> Mail {
    about::<BursaryDeclined>(student, now)
}

/// A bursary is decided once, so there is one email.
fn about<K: EmailKind<About = AboutBursary>>(student: &Account, now: Timestamp) -> Mail {
    Mail::of::<K>(&student.id, &student.email, &AboutBursary { account: student.id.clone() }, now)
}

/// The emails that this feature renders.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    let parts = Arc::new(EmailParts {
        store: base.store.clone(),
        event: base.event.clone(),
        clock: base.clock.clone(),
        layout: base.email_layout.clone(),
        pages: base.pages_url.clone(),
    });
    vec![Arc::new(BursaryApproved(parts.clone())), Arc::new(BursaryDeclined(parts))]
}

/// What the emails are rendered from.
struct EmailParts {
    store: Store,
    event: Arc<Event>,
    clock: Arc<dyn Clock>,
    layout: EmailLayout,
    pages: Url,
}

/// What the templates need.
struct About {
    name: String,
    product: String,
    group: String,
    reason: String,
    price: String,
    /// Where the order can be paid, if it is not paid.
    link: Option<Url>,
}

impl EmailParts {
    async fn about(&self, about: &AboutBursary, state: BursaryState) -> Result<About, RenderError> {
        let bursary: Option<Bursary> = self.store.get(&about.account).await?;
        let bursary = bursary.filter(|bursary| bursary.state == state);
        let bursary = bursary.ok_or(RenderError::Obsolete("no such decision"))?;
        let student: Option<Account> = self.store.get(&about.account).await?;
        let student = student.ok_or(RenderError::Obsolete("no account"))?;
        let registration: Option<Registration> = self.store.get(&about.account).await?;
        let registration = registration.ok_or(RenderError::Obsolete("no registration"))?;
        let order: Option<Order> = self.store.get(&registration.order_id).await?;
        let order = order.ok_or(RenderError::Obsolete("no order"))?;
        Ok(About {
            name: student.greeting().to_owned(),
            group: registration.group,
            reason: bursary.reason.unwrap_or_default(),
            price: order.price.to_string(),
            link: matches!(order.state, OrderState::Open | OrderState::Expired).then(|| self.link(&order.id)),
            product: order.product_name,
        })
    }

    fn sample(&self, payable: bool) -> About {
        let order = Order::sample(&self.event, self.clock.now());
        About {
            name: Sample::FIRST_NAME.into(),
            group: Sample::GROUP.into(),
            reason: "We had more requests than we can grant.".into(),
            price: order.price.to_string(),
            link: payable.then(|| self.link(&order.id)),
            product: order.product_name,
        }
    }

    fn link(&self, order: &str) -> Url {
        let mut link = self.pages.clone();
        link.set_path("/checkout/back");
        link.query_pairs_mut().append_pair("order", order);
        link
    }
}

struct BursaryApproved(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/bursaries/templates/bursary-approved.body.txt", blocks = ["subject"])]
struct BursaryApprovedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/bursaries/templates/bursary-approved.body.html")]
struct BursaryApprovedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl BursaryApproved {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = BursaryApprovedText { layout, about };
        layout.render(&text.as_subject(), &text, &BursaryApprovedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for BursaryApproved {
    const NAME: &'static str = "bursary-approved";
    type About = AboutBursary;

    async fn render(&self, about: AboutBursary, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about, BursaryState::Approved).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(false))?))
    }
}

struct BursaryDeclined(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/bursaries/templates/bursary-declined.body.txt", blocks = ["subject"])]
struct BursaryDeclinedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/bursaries/templates/bursary-declined.body.html")]
struct BursaryDeclinedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl BursaryDeclined {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = BursaryDeclinedText { layout, about };
        layout.render(&text.as_subject(), &text, &BursaryDeclinedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for BursaryDeclined {
    const NAME: &'static str = "bursary-declined";
    type About = AboutBursary;

    async fn render(&self, about: AboutBursary, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about, BursaryState::Declined).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let (unpaid, paid) = (self.write(&self.0.sample(true))?, self.write(&self.0.sample(false))?);
        Ok(vec![Sample::new("not paid yet", unpaid), Sample::new("already paid", paid)])
    }
}
