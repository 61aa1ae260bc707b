//! A rendered email, and what renders it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::Mail;
use crate::kernel::EmailAddress;
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
    /// Files that are sent with it.
    pub attachments: Vec<Attachment>,
    /// How its recipient gets no more emails of this kind. A bulk email without it names the event's contact.
    pub unsubscribe: Option<Unsubscribe>,
}

/// How somebody gets no more bulk emails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    url: Url,
    one_click: bool,
}

impl Unsubscribe {
    /// By an email to `contact`.
    pub fn by_email(contact: &EmailAddress) -> Self {
        let mut url = Url::parse("mailto:").expect("a scheme is a URL");
        url.set_path(contact.as_str());
        url.set_query(Some("subject=unsubscribe"));
        Self { url, one_click: false }
    }

    /// On the page at `url`, which changes nothing when it is only opened.
    pub fn on_page(url: Url) -> Self {
        Self { url, one_click: false }
    }

    /// The same, where in addition a `POST` of `List-Unsubscribe=One-Click` to `url`, without a session, is enough
    /// (RFC 8058).
    pub fn by_one_click(url: Url) -> Self {
        Self { one_click: url.scheme() == "https", url }
    }

    /// The URL in the header.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a `POST` is enough.
    pub fn is_one_click(&self) -> bool {
        self.one_click
    }
}

impl Email {
    /// The email with one more file.
    pub fn attach(mut self, file: Attachment) -> Self {
        self.attachments.push(file);
        self
    }
}

impl fmt::Debug for Email {
    /// Without its content: an email contains names and links that open accounts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email {{ {} attachments, … }}", self.attachments.len())
    }
}

/// A file that is sent with an email.
#[derive(Clone)]
pub struct Attachment {
    /// File name, ASCII.
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why an email can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Its subject no longer exists or no longer needs an email: it is not sent (state `obsolete`).
    #[error("obsolete: {0}")]
    Obsolete(&'static str),
    /// The documents that it is about can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The template can't be rendered.
    #[error("{0}")]
    Failed(String),
}

/// Renders one kind of email: an [`EmailKind`](super::EmailKind) whose type is not named.
#[async_trait]
pub trait Template: Send + Sync + 'static {
    /// As in [`Mail::template`], such as `confirm-address`.
    fn name(&self) -> &'static str;
    /// Reads what the email is about and renders it.
    async fn render(&self, mail: &Mail) -> Result<Email, RenderError>;
}

/// The templates of all emails.
pub struct Templates(HashMap<&'static str, Arc<dyn Template>>);

/// Two templates have one name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are two templates for emails named `{0}`")]
pub struct DuplicateTemplate(pub &'static str);

impl Templates {
    /// Collects the features' templates.
    ///
    /// # Errors
    /// [`DuplicateTemplate`] if two have one name.
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
