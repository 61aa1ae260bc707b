//! Kinds of emails as types.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Email, Mail, MailClass, RenderError, Sample, Template};
use crate::kernel::{EmailAddress, Timestamp};

/// One kind of email. A feature adds it with `Feature::writes`, and posts it with `tx.post(&Mail::of::<Kind>(…))`.
/// [`EmailLayout`](super::EmailLayout) shows how to write one.
#[async_trait]
pub trait EmailKind: Send + Sync + 'static {
    /// Its name, such as `confirm-address`. Emails are stored with it, so it never changes.
    const NAME: &'static str;
    /// Its lane.
    const CLASS: MailClass = MailClass::Direct;
    /// Ids of the documents that such an email is about: a struct of texts.
    type About: Serialize + DeserializeOwned + Send + Sync;

    /// Reads what the email is about and renders it.
    ///
    /// # Errors
    /// [`RenderError`], among them that the email is obsolete.
    async fn render(&self, about: Self::About, mail: &Mail) -> Result<Email, RenderError>;

    /// Whether a bulk email, which was rendered and has waited for its turn, is still to be sent.
    ///
    /// # Errors
    /// [`RenderError`] if it is not.
    async fn check(&self, about: Self::About) -> Result<(), RenderError> {
        let _ = about;
        Ok(())
    }

    /// Such emails with sample data, for previews: at least one.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if a template fails.
    fn samples(&self) -> Result<Vec<Sample>, RenderError>;
}

#[async_trait]
impl<K: EmailKind> Template for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    async fn render(&self, mail: &Mail) -> Result<Email, RenderError> {
        EmailKind::render(self, mail.about()?, mail).await
    }

    async fn check(&self, mail: &Mail) -> Result<(), RenderError> {
        EmailKind::check(self, mail.about()?).await
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        EmailKind::samples(self)
    }
}

impl Mail {
    /// A queued email of kind `K`. `once` is the same for emails of which only one must be sent, such as the id of an
    /// order; the id becomes `<name>:<once>`.
    pub fn of<K: EmailKind>(once: &str, to: &EmailAddress, about: &K::About, now: Timestamp) -> Self {
        Self::named(K::NAME, once, to, about, now).in_class(K::CLASS)
    }

    /// The same in the direct lane, for a kind whose type belongs to a feature that can't be named here.
    pub fn named(
        name: &'static str,
        once: &str,
        to: &EmailAddress,
        about: &impl Serialize,
        now: Timestamp,
    ) -> Self {
        Self { about: ids(about), ..Self::new(format!("{name}:{once}"), name, to, [], now) }
    }

    /// The ids of what the email is about.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if one is missing.
    pub fn about<A: DeserializeOwned>(&self) -> Result<A, RenderError> {
        let ids = self.about.iter().map(|(name, id)| (name.clone(), Value::from(id.as_str()))).collect();
        serde_json::from_value(Value::Object(ids))
            .map_err(|error| RenderError::Failed(format!("the email `{}`: {error}", self.template)))
    }
}

fn ids(about: &impl Serialize) -> BTreeMap<String, String> {
    let value = serde_json::to_value(about).expect("ids are plain data");
    serde_json::from_value(value).expect("ids are texts")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct AboutOrder {
        account: String,
        order: String,
    }

    /// A bulk email about an order.
    struct Reminder;

    #[async_trait]
    impl EmailKind for Reminder {
        const NAME: &'static str = "reminder";
        const CLASS: MailClass = MailClass::Bulk;
        type About = AboutOrder;

        async fn render(&self, about: AboutOrder, _: &Mail) -> Result<Email, RenderError> {
            let subject = format!("{} of {}", about.order, about.account);
            Ok(Email {
                subject,
                text: String::new(),
                html: String::new(),
                attachments: vec![],
                unsubscribe: None,
            })
        }

        fn samples(&self) -> Result<Vec<Sample>, RenderError> {
            Ok(vec![])
        }
    }

    #[tokio::test]
    async fn an_email_has_the_name_the_lane_and_the_ids_of_its_kind() {
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let about = AboutOrder { account: "a".into(), order: "o".into() };
        let mail = Mail::of::<Reminder>("o", &to, &about, Timestamp::from_millis(0));
        assert_eq!((mail.id.as_str(), mail.template.as_str()), ("reminder:o", "reminder"));
        assert_eq!(mail.class, MailClass::Bulk);
        assert_eq!(mail.about::<AboutOrder>().unwrap(), about);
        let template: &dyn Template = &Reminder;
        assert_eq!(template.render(&mail).await.unwrap().subject, "o of a");
    }

    #[tokio::test]
    async fn an_email_without_an_id_fails_to_render() {
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mail = Mail::new(
            "reminder:o".into(),
            "reminder",
            &to,
            [("order", "o".into())],
            Timestamp::from_millis(0),
        );
        let template: &dyn Template = &Reminder;
        let RenderError::Failed(why) = template.render(&mail).await.unwrap_err() else { panic!("it fails") };
        assert!(why.contains("reminder") && why.contains("account"), "{why}");
    }
}
