//! The email about the unsubscribing.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use super::service::UnsubscribeLinks;
use crate::base::Base;
use crate::features::accounts::Account;
use crate::kernel::Timestamp;
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample};
use crate::platform::store::Store;

/// What the email is about.
#[derive(Serialize, Deserialize)]
pub struct AboutUnsubscribing {
    account: String,
}

/// To somebody who has unsubscribed at `now`.
pub(super) fn unsubscribed(account: &Account, now: Timestamp) -> Mail {
    let about = AboutUnsubscribing { account: account.id.clone() };
    Mail::of::<Unsubscribed>(&format!("{}:{}", account.id, now.as_millis()), &account.email, &about, now)
}

/// Says that somebody gets no more announcements and mailings.
pub struct Unsubscribed {
    store: Store,
    layout: EmailLayout,
    links: UnsubscribeLinks,
}

impl Unsubscribed {
    /// The email on `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            layout: base.email_layout.clone(),
            links: UnsubscribeLinks::new(base),
        }
    }

    fn write(&self, name: &str, link: &Url) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let text = Text { layout, name, link };
        layout.render(&text.as_subject(), &text, &Html { layout, name, link })
    }
}

#[derive(askama::Template)]
#[template(path = "features/subscriptions/templates/unsubscribed.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    name: &'a str,
    link: &'a Url,
}

#[derive(askama::Template)]
#[template(path = "features/subscriptions/templates/unsubscribed.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    name: &'a str,
    link: &'a Url,
}

#[async_trait]
impl EmailKind for Unsubscribed {
    const NAME: &'static str = "unsubscribed";
    type About = AboutUnsubscribing;

    async fn render(&self, about: AboutUnsubscribing, _: &Mail) -> Result<Email, RenderError> {
        let account: Option<Account> = self.store.get(&about.account).await?;
        let account = account.ok_or(RenderError::Obsolete("the account is gone"))?;
        if account.unsubscribed_at.is_none() {
            return Err(RenderError::Obsolete("the account is subscribed again"));
        }
        self.write(account.greeting(), &self.links.of(&account.id))
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(Sample::FIRST_NAME, &self.links.sample())?))
    }
}
