//! The layout that all emails share.

use super::{Email, RenderError};
use crate::config::Config;
use crate::kernel::Markdown;

/// What surrounds every email: the templates of the features use it as `layout`.
///
/// # How a feature writes an email
/// Two templates in the feature's `templates/` folder. HTML is escaped, text is not.
///
/// `welcome.body.txt` (blocks: `subject`, one line; `content`; `reason`):
/// ```text
/// {% extends "platform/mail/templates/layout.txt" %}
/// {% block subject %}Welcome to {{ layout.event }}, {{ name }}{% endblock %}
/// {% block content -%}
/// Hello {{ name }},
///
/// fill in the form: {{ link }}
/// {%- endblock %}
/// ```
/// `welcome.body.html` (blocks: `preheader`, the line that a list of emails shows beside the subject; `heading`;
/// `content`; `reason`, why this person gets this email):
/// ```text
/// {% extends "platform/mail/templates/layout.html" %}
/// {%- import "platform/mail/templates/parts.html" as parts -%}
/// {% block preheader %}One form, five minutes.{% endblock %}
/// {% block heading %}Welcome, {{ name }}{% endblock %}
/// {% block content %}
/// <p>Your address is confirmed.</p>
/// {% call parts::button(link, "Fill in the form") %}{% endcall %}
/// {% endblock %}
/// ```
/// In `mails.rs` a struct for each, and an [`EmailKind`](super::EmailKind) that reads the documents and renders:
/// ```ignore
/// #[derive(askama::Template)]
/// #[template(path = "features/accounts/templates/welcome.body.txt", blocks = ["subject"])]
/// struct Text<'a> { layout: &'a EmailLayout, name: &'a str, link: &'a str }
///
/// #[derive(askama::Template)]
/// #[template(path = "features/accounts/templates/welcome.body.html")]
/// struct Html<'a> { layout: &'a EmailLayout, name: &'a str, link: &'a str }
///
/// #[async_trait]
/// impl EmailKind for Welcome {
///     const NAME: &'static str = "welcome";
///     type About = AboutAccount;
///
///     async fn render(&self, about: AboutAccount, _: &Mail) -> Result<Email, RenderError> {
///         let account: Account = self.store.get(&about.account).await?.ok_or(RenderError::Obsolete("no account"))?;
///         self.write(account.greeting())
///     }
///
///     fn samples(&self) -> Result<Vec<Sample>, RenderError> {
///         Ok(Sample::only(self.write(Sample::FIRST_NAME)?))
///     }
/// }
///
/// impl Welcome {
///     fn write(&self, name: &str) -> Result<Email, RenderError> {
///         let (layout, link) = (&self.layout, self.form.as_str());
///         let text = Text { layout, name, link };
///         layout.render(&text.as_subject(), &text, &Html { layout, name, link })
///     }
/// }
/// ```
/// Files are added with [`Email::attach`]. A kind with `const CLASS: MailClass = MailClass::Bulk` sets
/// [`Email::unsubscribe`] if its recipients have a page for that.
#[derive(Clone, Debug)]
pub struct EmailLayout {
    /// Such as `Orientation Week 2027`.
    pub event: String,
    /// Such as `Faculty of Applied Science & Engineering`.
    pub faculty: String,
    /// Where people write to for help.
    pub contact: String,
    /// Its lines.
    pub postal_address: Vec<String>,
    /// Says on every email that nothing in it is real.
    pub rehearsal: bool,
}

impl EmailLayout {
    /// The layout of this faculty's emails.
    pub fn new(config: &Config) -> Self {
        let event = &config.event;
        Self {
            event: event.name.clone(),
            faculty: event.faculty.clone(),
            contact: event.contact.to_string(),
            postal_address: event.postal_address.lines().map(|line| line.trim().to_owned()).collect(),
            rehearsal: config.rehearsal,
        }
    }

    /// The HTML of a text in Markdown, for emails: mail programs show tables without lines and without space between columns.
    pub fn markdown(text: &Markdown) -> String {
        const CELL: &str =
            "align=\"left\" valign=\"top\" style=\"padding:6px 16px 6px 0;border-bottom:1px solid #d9ddea;\"";
        let table = "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"border-collapse:collapse;margin:0 0 16px;\">";
        // What people type as a tag is escaped in it.
        let html = text.html().replace("<table>", table);
        html.replace("<th>", &format!("<th class=\"rule\" {CELL}>"))
            .replace("<td>", &format!("<td class=\"rule\" {CELL}>"))
    }

    /// Renders an email from its templates; `subject` is a block of `text`. The subject becomes one line whatever it
    /// contains, so that nobody's name can write a header.
    ///
    /// # Errors
    /// [`RenderError::Failed`] if a template fails.
    pub fn render(
        &self,
        subject: &impl askama::Template,
        text: &impl askama::Template,
        html: &impl askama::Template,
    ) -> Result<Email, RenderError> {
        let rehearsal = if self.rehearsal { "[REHEARSAL] " } else { "" };
        let (subject, text) = (subject.render()?, text.render()?);
        Ok(Email {
            subject: format!("{rehearsal}{}", one_line(&subject)),
            text: text.strip_prefix(&subject).unwrap_or(&text).trim_start().to_owned(),
            html: html.render()?,
            attachments: vec![],
            unsubscribe: None,
        })
    }
}

/// Line breaks and other control characters become spaces; several spaces become one.
fn one_line(subject: &str) -> String {
    let words = subject.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

impl From<askama::Error> for RenderError {
    fn from(error: askama::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_space_between_its_columns() {
        let html = EmailLayout::markdown(&Markdown::new("|when|where|\n|-|-|\n|9:00|`<td>`|"));
        for (cell, number) in [("<th class", 2), ("<td class", 2), ("padding:6px 16px", 4), ("&lt;td&gt;", 1)]
        {
            assert_eq!(html.matches(cell).count(), number, "{cell}: {html}");
        }
    }

    #[derive(askama::Template)]
    #[template(
        source = r#"{% extends "platform/mail/templates/layout.txt" %}
{% block subject %}Hello {{ name }}{% endblock %}
{% block content -%}
Hello {{ name }},

confirm your address: {{ link }}
{%- endblock %}"#,
        ext = "txt",
        blocks = ["subject"]
    )]
    struct Text<'a> {
        layout: &'a EmailLayout,
        name: &'a str,
        link: &'a str,
    }

    #[derive(askama::Template)]
    #[template(
        source = r#"{% extends "platform/mail/templates/layout.html" %}
{%- import "platform/mail/templates/parts.html" as parts -%}
{% block preheader %}One click.{% endblock %}
{% block heading %}Hello {{ name }}{% endblock %}
{% block content %}
<p>Confirm your address.</p>
{% call parts::button(link, "Confirm my address") %}{% endcall %}
{% call parts::fact("Group", "Alpha") %}{% endcall %}
{% endblock %}"#,
        ext = "html"
    )]
    struct Html<'a> {
        layout: &'a EmailLayout,
        name: &'a str,
        link: &'a str,
    }

    fn email(rehearsal: bool, name: &str) -> Email {
        let layout = &EmailLayout {
            event: "Orientation Week 2027".into(),
            faculty: "Faculty of Applied Science & Engineering".into(),
            contact: "orientation@example.org".into(),
            postal_address: vec!["35 College Street".into(), "Toronto ON  M5S 1A4, Canada".into()],
            rehearsal,
        };
        let link = "http://127.0.0.1:3000/confirm?token=abc";
        let text = Text { layout, name, link };
        layout.render(&text.as_subject(), &text, &Html { layout, name, link }).unwrap()
    }

    #[test]
    fn the_shared_look_is_reviewed() {
        let email = email(false, "Ana");
        insta::assert_snapshot!("email.txt", email.text);
        insta::assert_snapshot!("email.html", email.html);
    }

    #[test]
    fn a_name_writes_neither_headers_nor_markup() {
        let email = email(false, "<b>\r\nBcc: x@example.org\u{85}</b>");
        assert_eq!(email.subject, "Hello <b> Bcc: x@example.org </b>");
        assert!(email.text.contains("Hello <b>"));
        assert!(!email.html.contains("<b>"));
    }

    #[test]
    fn a_rehearsal_says_so_everywhere() {
        let email = email(true, "Ana");
        assert_eq!(email.subject, "[REHEARSAL] Hello Ana");
        assert!(email.text.starts_with("*** REHEARSAL") && email.html.contains("REHEARSAL"));
    }
}
