//! Letters: documents that are rendered when they are sent, one recipient each.

mod frame;

pub use frame::LetterFrame;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::jobs::{Job, Payload};
use crate::platform::store::{Document, Index, StoreError, Tx};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailState {
    Queued,
    Sending,
    Sent,
    SentPossiblyTwice,
    Failed,
    Suppressed,
}

/// A letter to one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Deterministic where a letter must go once: `ticket:<order>`.
    pub id: String,
    /// Which [`Template`] renders it.
    pub template: String,
    pub to: EmailAddress,
    /// Ids of what the letter is about.
    pub about: BTreeMap<String, String>,
    pub state: MailState,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

impl Document for Mail {
    const COLLECTION: &'static str = "mails";
    const INDEXES: &'static [Index] = &[Index::on("mails_by_state", &["state", "createdAt"])];
    fn id(&self) -> &str {
        &self.id
    }
}

/// Sends the mail of this id.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMail {
    pub mail: String,
}

impl Payload for SendMail {
    const KIND: &'static str = "mail.send";
    fn key(&self) -> Option<String> {
        Some(self.mail.clone())
    }
}

impl Mail {
    /// A queued letter. `about`: names and ids of the documents that its template reads.
    pub fn new(
        id: String,
        template: &'static str,
        to: &EmailAddress,
        about: impl IntoIterator<Item = (&'static str, String)>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            template: template.into(),
            to: to.clone(),
            about: about.into_iter().map(|(name, id)| (name.to_owned(), id)).collect(),
            state: MailState::Queued,
            created_at: now,
            sent_at: None,
        }
    }

    /// The id under this name in what the letter is about.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if there is none.
    pub fn about(&self, name: &str) -> Result<&str, RenderError> {
        let id = self.about.get(name).map(String::as_str);
        id.ok_or_else(|| RenderError::Failed(format!("the letter names no {name}")))
    }
}

impl Tx {
    /// Records the letter and the job that sends it (whose id is `mail:<id>`). A letter that is there already goes
    /// no second time.
    pub async fn post(&self, mail: &Mail) -> Result<(), StoreError> {
        if self.get::<Mail>(&mail.id).await?.is_some() {
            return Ok(());
        }
        self.insert(mail).await?;
        let send = SendMail { mail: mail.id.clone() };
        self.enqueue(&Job::new(format!("mail:{}", mail.id), &send, mail.created_at)).await
    }
}

/// A rendered letter.
#[derive(Clone, Debug)]
pub struct Letter {
    pub subject: String,
    pub text: String,
    pub html: String,
    pub attachments: Vec<Attachment>,
}

impl Letter {
    /// The letter with one more file.
    pub fn attach(mut self, file: Attachment) -> Self {
        self.attachments.push(file);
        self
    }
}

#[derive(Clone, Debug)]
pub struct Attachment {
    /// File name, ASCII.
    pub name: String,
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// Why a letter can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// What it is about is gone or over: the letter is not sent (state `suppressed`).
    #[error("no longer to be sent: {0}")]
    Moot(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Failed(String),
}

/// Renders one kind of letter from the documents that it is about.
#[async_trait]
pub trait Template: Send + Sync + 'static {
    /// As in [`Mail::template`], such as `confirm-address`.
    fn name(&self) -> &'static str;
    async fn render(&self, mail: &Mail) -> Result<Letter, RenderError>;
}
