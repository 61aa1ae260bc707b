//! The emails of mailings.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use super::content::{Filled, Prepared, Values};
use super::model::{Content, Mailing};
use crate::base::Base;
use crate::config::Event;
use crate::features::accounts::Account;
use crate::features::announcements::Announcement;
use crate::features::registration::Registration;
use crate::features::subscriptions::UnsubscribeLinks;
use crate::kernel::{Markdown, Timestamp, faults};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, MailClass, RenderError, Sample, Template};
use crate::platform::store::Store;

/// Length of the line that lists of emails show beside the subject, in characters.
const PREHEADER: usize = 120;

/// Mailings whose rendered texts are kept.
const PREPARED: usize = 4;

/// The text of the sample.
const SAMPLE: &str = "Dear {firstName},

**{group}** meets on Monday. Bring:

- water,
- your ticket, and
- shoes for [the hunt](https://orientation.example.edu/hunt).

| when | where |
| --- | --- |
| 9:00 | Front campus |
| 12:00 | Lunch |

> Rain or shine!
";

/// What an email of a mailing is about.
#[derive(Serialize, Deserialize)]
pub struct AboutMailing {
    account: String,
    mailing: String,
}

/// What a test is about. It names no mailing as such: it doesn't count among the emails of the mailing.
#[derive(Serialize, Deserialize)]
pub struct AboutTest {
    account: String,
    draft: String,
}

/// The id of the email to this account.
pub(super) fn id(mailing: &str, account: &str) -> String {
    format!("{}:{mailing}:{account}", MailingEmail::NAME)
}

/// The email to a recipient, after `round` pauses.
pub(super) fn to_recipient(mailing: &str, account: &Account, round: u32, now: Timestamp) -> Mail {
    let about = AboutMailing { account: account.id.clone(), mailing: mailing.to_owned() };
    let once = format!("{mailing}:{}", account.id);
    Mail::of::<MailingEmail>(&once, &account.email, &about, now).in_batch(mailing, round)
}

/// To somebody who wants to see a draft in their mailbox.
pub(super) fn test(once: &str, mailing: &Mailing, author: &Account, now: Timestamp) -> Mail {
    let about = AboutTest { account: author.id.clone(), draft: mailing.id.clone() };
    Mail::of::<MailingTest>(once, &author.email, &about, now)
}

/// The emails that this feature renders.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    let parts = Arc::new(EmailParts {
        store: base.store.clone(),
        event: base.event.clone(),
        writer: MailingWriter::new(base),
        prepared: Mutex::default(),
    });
    vec![Arc::new(MailingEmail(parts.clone())), Arc::new(MailingTest(parts))]
}

/// Writes mailings in the layout of all emails.
pub struct MailingWriter {
    layout: EmailLayout,
    links: UnsubscribeLinks,
}

#[derive(askama::Template)]
#[template(path = "features/mailings/templates/mailing.body.txt", blocks = ["subject"])]
struct Text<'a> {
    layout: &'a EmailLayout,
    filled: &'a Filled,
    test: bool,
    link: &'a Url,
}

#[derive(askama::Template)]
#[template(path = "features/mailings/templates/mailing.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    filled: &'a Filled,
    preheader: &'a str,
    test: bool,
    link: &'a Url,
}

impl MailingWriter {
    /// Writes on the layout of `base`.
    pub fn new(base: &Base) -> Self {
        Self { layout: base.email_layout.clone(), links: UnsubscribeLinks::new(base) }
    }

    /// The email to this account.
    fn write(&self, filled: &Filled, account: &str, test: bool) -> Result<Email, RenderError> {
        let email = self.with_link(filled, &self.links.of(account), test)?;
        Ok(Email { unsubscribe: Some(self.links.header(account)), ..email })
    }

    /// The email with a link of nobody: somebody who looks at a preview could unsubscribe the recipient.
    pub fn preview(&self, filled: &Filled) -> Result<Email, RenderError> {
        self.with_link(filled, &self.links.sample(), false)
    }

    fn with_link(&self, filled: &Filled, link: &Url, test: bool) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let preheader = preheader(&filled.plain);
        let text = Text { layout, filled, test, link };
        layout.render(&text.as_subject(), &text, &Html { layout, filled, preheader: &preheader, test, link })
    }
}

/// The beginning of a text, without the marks of headings, lists and emphasis.
fn preheader(plain: &str) -> String {
    let words = plain.split_whitespace().map(|word| word.trim_matches(['*', '#', '>']));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(PREHEADER).collect()
}

/// What the emails are rendered from.
struct EmailParts {
    store: Store,
    event: Arc<Event>,
    writer: MailingWriter,
    /// The last mailings that were started. What they say doesn't change any more.
    prepared: Mutex<VecDeque<(String, Arc<Prepared>)>>,
}

impl EmailParts {
    async fn account(&self, id: &str) -> Result<Account, RenderError> {
        self.store.get(id).await?.ok_or(RenderError::Obsolete("the account is gone"))
    }

    /// The account, if it gets mailings.
    async fn subscriber(&self, id: &str) -> Result<Account, RenderError> {
        let account = self.account(id).await?;
        if account.unsubscribed_at.is_some() && faults::guarded("mailing-unsubscribed") {
            return Err(RenderError::Unsubscribed);
        }
        Ok(account)
    }

    async fn values(&self, account: &Account, prepared: &Prepared) -> Result<Values, RenderError> {
        let needs_form = prepared.placeholders().iter().any(|used| used.is_of_registration());
        let registration: Option<Registration> =
            if needs_form { self.store.get(&account.id).await? } else { None };
        Ok(Values::of(account, registration.as_ref()))
    }

    /// A mailing with everything that Markdown offers, filled with samples.
    fn sample(&self) -> Filled {
        let text = Markdown::new(SAMPLE);
        Prepared::new("What to bring, {firstName}", &text, true).fill(&Values::sample(&self.event))
    }

    /// What the mailing says, rendered once for all recipients.
    async fn prepared(&self, mailing: &str) -> Result<Arc<Prepared>, RenderError> {
        if let Some((_, prepared)) = self.kept().iter().find(|(known, _)| known == mailing) {
            return Ok(prepared.clone());
        }
        let found: Option<Mailing> = self.store.get(mailing).await?;
        let found = found.ok_or(RenderError::Obsolete("the mailing is gone"))?;
        let prepared = Arc::new(self.prepare(&found).await?);
        if found.was_started() {
            let mut kept = self.kept();
            kept.push_front((found.id, prepared.clone()));
            kept.truncate(PREPARED);
        }
        Ok(prepared)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(String, Arc<Prepared>)>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(&self, mailing: &Mailing) -> Result<Prepared, RenderError> {
        match &mailing.content {
            Content::Text { text } => Ok(Prepared::new(&mailing.subject, text, true)),
            Content::Announcement { text: Some(copied), .. } => {
                Ok(Prepared::new(&mailing.subject, copied, false))
            }
            Content::Announcement { announcement, text: None } => {
                let announcement: Option<Announcement> = self.store.get(announcement).await?;
                let announcement = announcement.ok_or(RenderError::Obsolete("the announcement is gone"))?;
                Ok(Prepared::new(&mailing.subject, &announcement.text, false))
            }
        }
    }
}

struct MailingEmail(Arc<EmailParts>);

#[async_trait]
impl EmailKind for MailingEmail {
    const NAME: &'static str = "mailing";
    const CLASS: MailClass = MailClass::Bulk;
    type About = AboutMailing;

    async fn render(&self, about: AboutMailing, _: &Mail) -> Result<Email, RenderError> {
        let account = self.0.subscriber(&about.account).await?;
        let prepared = self.0.prepared(&about.mailing).await?;
        let values = self.0.values(&account, &prepared).await?;
        self.0.writer.write(&prepared.fill(&values), &account.id, false)
    }

    async fn check(&self, about: AboutMailing) -> Result<(), RenderError> {
        self.0.subscriber(&about.account).await.map(drop)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.0.writer.preview(&self.0.sample())?))
    }
}

struct MailingTest(Arc<EmailParts>);

#[async_trait]
impl EmailKind for MailingTest {
    const NAME: &'static str = "mailing-test";
    type About = AboutTest;

    async fn render(&self, about: AboutTest, _: &Mail) -> Result<Email, RenderError> {
        let account = self.0.account(&about.account).await?;
        let prepared = self.0.prepared(&about.draft).await?;
        let values = self.0.values(&account, &prepared).await?.or(Values::sample(&self.0.event));
        self.0.writer.write(&prepared.fill(&values), &account.id, true)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let writer = &self.0.writer;
        Ok(Sample::only(writer.with_link(&self.0.sample(), &writer.links.sample(), true)?))
    }
}
