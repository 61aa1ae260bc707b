//! A rendered email, and what renders it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::{Mail, Sample};
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
    /// The id under which the HTML shows this image, as `cid:<id>`: letters, digits and hyphens. `None` for a file that
    /// is beside the email.
    pub content_id: Option<&'static str>,
}

impl Attachment {
    /// A file beside the email.
    pub fn file(name: &str, content_type: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), content_type: content_type.to_owned(), bytes, content_id: None }
    }

    /// A PNG image that the HTML shows as `cid:<content_id>`.
    pub fn png(content_id: &'static str, bytes: Vec<u8>) -> Self {
        let content_type = "image/png".to_owned();
        Self { name: format!("{content_id}.png"), content_type, bytes, content_id: Some(content_id) }
    }
}

/// The HTML of an email for a browser: it contains the images instead of their ids.
pub fn with_image(html: &str, content_id: &str, content_type: &str, bytes: &[u8]) -> String {
    let data = format!("src=\"data:{content_type};base64,{}\"", STANDARD.encode(bytes));
    html.replace(&format!("src=\"cid:{content_id}\""), &data)
}

/// Why an email can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Its subject no longer exists or no longer needs an email: it is not sent (state `obsolete`).
    #[error("obsolete: {0}")]
    Obsolete(&'static str),
    /// Its recipient gets no more emails of this kind: it is not sent (state `unsubscribed`).
    #[error("unsubscribed")]
    Unsubscribed,
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
    /// Whether a bulk email, which was rendered and has waited for its turn, is still to be sent.
    async fn check(&self, mail: &Mail) -> Result<(), RenderError> {
        let _ = mail;
        Ok(())
    }
    /// Such emails with sample data.
    fn samples(&self) -> Result<Vec<Sample>, RenderError>;
}

/// The templates of all emails, by their names.
#[derive(Clone)]
pub struct Templates(BTreeMap<&'static str, Arc<dyn Template>>);

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
        let mut by_name = BTreeMap::new();
        for template in templates {
            let name = template.name();
            if by_name.insert(name, template).is_some() {
                return Err(DuplicateTemplate(name));
            }
        }
        Ok(Self(by_name))
    }

    /// Whether a rendered bulk email is still to be sent, as the template that it names says.
    ///
    /// # Errors
    /// Those of the template.
    pub async fn check(&self, mail: &Mail) -> Result<(), RenderError> {
        match self.0.get(mail.template.as_str()) {
            Some(template) => template.check(mail).await,
            None => Ok(()),
        }
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

    /// The names of all emails, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The emails of this name with sample data. `None` if there is no such template.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if the template fails.
    pub fn samples(&self, name: &str) -> Result<Option<Vec<Sample>>, RenderError> {
        self.0.get(name).map(|template| template.samples()).transpose()
    }
}
