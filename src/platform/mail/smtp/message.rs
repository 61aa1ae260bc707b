//! An email as a message of RFC 5322.

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{ContentType, ContentTypeErr, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart};
use sha2::{Digest, Sha256};

use crate::kernel::Timestamp;
use crate::platform::mail::{Email, Mail, sender};

/// Why an email makes no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoMessage {
    #[error("the address can't be written in a message: {0}")]
    Address(#[from] AddressError),
    #[error("a file's type is none: {0}")]
    ContentType(#[from] ContentTypeErr),
    #[error("the email makes no message: {0}")]
    Other(#[from] lettre::error::Error),
}

/// The message: text and HTML as alternatives, files beside them.
pub(super) fn written(
    from: &Mailbox,
    mail: &Mail,
    email: &Email,
    now: Timestamp,
) -> Result<Message, NoMessage> {
    let to = Mailbox::new(None, mail.to.on_the_wire().parse()?);
    let mut message = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(email.subject.clone())
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0)))
        .message_id(Some(id(mail, from)));
    for (name, value) in sender::headers(mail) {
        message = message.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    let alternatives = MultiPart::alternative_plain_html(email.text.clone(), email.html.clone());
    if email.attachments.is_empty() {
        return Ok(message.multipart(alternatives)?);
    }
    let mut mixed = MultiPart::mixed().multipart(alternatives);
    for file in &email.attachments {
        let kind = ContentType::parse(&file.content_type)?;
        mixed = mixed.singlepart(Part::new(file.name.clone()).body(file.bytes.clone(), kind));
    }
    Ok(message.multipart(mixed)?)
}

/// The same at every try of one email, so that mail programs can show one that went twice once.
fn id(mail: &Mail, from: &Mailbox) -> String {
    let hash = Sha256::digest(mail.id.as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<{hex}@{}>", from.email.domain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::EmailAddress;
    use crate::platform::mail::Attachment;

    fn message(files: usize) -> String {
        let to = EmailAddress::parse("ana@exämple.org").unwrap();
        let now = Timestamp::from_millis(1_788_246_000_000);
        let mail = Mail::new("ticket:1".into(), "ticket", &to, [], now);
        let file =
            Attachment { name: "t.pdf".into(), content_type: "application/pdf".into(), bytes: vec![0, 255] };
        let email = Email {
            subject: "Your ticket, Zoë".into(),
            text: "Hello Zoë".into(),
            html: "<p>Hello Zoë</p>".into(),
            attachments: vec![file; files],
        };
        let from = Mailbox::new(Some("Faculté".into()), "o@example.edu".parse().unwrap());
        String::from_utf8(written(&from, &mail, &email, now).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_message_is_ascii_whatever_the_email_says() {
        let message = message(1);
        assert!(message.is_ascii(), "{message}");
        for line in [
            "To: ana@xn--exmple-cua.org\r\n",
            "From: =?utf-8?b?RmFjdWx0w6k=?= <o@example.edu>\r\n",
            "Date: Tue, 01 Sep 2026 07:00:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Mail-Id: ticket:1\r\n",
            "Content-Disposition: attachment; filename=\"t.pdf\"\r\n",
        ] {
            assert!(message.contains(line), "{line}{message}");
        }
        assert!(message.contains("multipart/mixed") && message.contains("multipart/alternative"));
    }

    #[test]
    fn an_email_that_goes_again_has_the_same_id() {
        let id =
            |message: &str| message.lines().find(|line| line.starts_with("Message-ID: ")).unwrap().to_owned();
        assert_eq!(id(&message(0)), id(&message(1)));
        assert!(id(&message(0)).ends_with("@example.edu>"));
    }
}
