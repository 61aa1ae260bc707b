//! A rendered email, and what renders it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::Mail;
use crate::platform::store::StoreError;

/// A rendered email.
#[derive(Clone)]
pub struct Email {
    /// One line.
    pub subject: String,
    /// The email as plain text.
    pub text: String,
    /// The email as HTML.
    pub html: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
}

impl Email {
    /// The email with one more file.
    pub fn attach(mut self, file: Attachment) -> Self {
        self.attachments.push(file);
        self
    }
}

impl fmt::Debug for Email {
    /// Without what it says: an email holds names and links that open accounts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email {{ {} attachments, … }}", self.attachments.len())
    }
}

/// A file that goes with an email.
#[derive(Clone)]
pub struct Attachment {
    /// File name, ASCII.
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why an email can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// What it is about is gone or over: the email is not sent (state `suppressed`).
    #[error("no longer to be sent: {0}")]
    Obsolete(&'static str),
    /// What it is about can't be read now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The template can't be filled in.
    #[error("{0}")]
    Failed(String),
}

/// Renders one kind of email from the documents that it is about. [`EmailLayout`](super::EmailLayout) shows how to
/// write one.
#[async_trait]
pub trait Template: Send + Sync + 'static {
    /// As in [`Mail::template`], such as `confirm-address`.
    fn name(&self) -> &'static str;
    /// Reads what the email is about and fills the templates in.
    async fn render(&self, mail: &Mail) -> Result<Email, RenderError>;
}

/// All emails that the service can write.
pub struct Templates(HashMap<&'static str, Arc<dyn Template>>);

/// Two templates have one name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are two templates for emails named `{0}`")]
pub struct DuplicateTemplate(pub &'static str);

impl Templates {
    /// Collects the features' templates.
    ///
    /// # Errors
    /// [`DuplicateTemplate`] if it can't be told which of two is meant.
    pub fn new(templates: Vec<Arc<dyn Template>>) -> Result<Self, DuplicateTemplate> {
        let mut by_name = HashMap::new();
        for template in templates {
            let name = template.name();
            if by_name.insert(name, template).is_some() {
                return Err(DuplicateTemplate(name));
            }
        }
        Ok(Self(by_name))
    }

    /// Renders the email by the template that it names.
    ///
    /// # Errors
    /// Those of the template, and [`RenderError::Failed`] if there is none of this name.
    pub async fn render(&self, mail: &Mail) -> Result<Email, RenderError> {
        let template = self.0.get(mail.template.as_str());
        let template =
            template.ok_or_else(|| RenderError::Failed(format!("no template `{}`", mail.template)))?;
        template.render(mail).await
    }
}
