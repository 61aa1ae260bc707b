//! Emails as messages of RFC 5322: the same bytes for every transport.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, ContentTypeErr, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use super::{Attachment, Email, Mail, MailClass, Unsubscribe};
use crate::config::SenderConfig;
use crate::kernel::{EmailAddress, Timestamp};

/// A message and its envelope. Addresses are written as mail servers receive them.
pub(super) struct Message {
    pub from: String,
    pub to: String,
    /// Header and body, with CRLF at the end of each line. ASCII, unless an address isn't.
    pub bytes: Vec<u8>,
}

/// Why an email can't be written as a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("the address can't be written in a message")]
    Address,
    #[error("the content type of an attachment is not one: {0}")]
    ContentType(#[from] ContentTypeErr),
    #[error("the email can't be written as a message: {0}")]
    Other(#[from] lettre::error::Error),
}

impl Message {
    /// The message of `email`: text and HTML as alternatives, with the attachments beside them.
    pub fn new(
        sender: &SenderConfig,
        mail: &Mail,
        email: &Email,
        now: Timestamp,
    ) -> Result<Self, MessageError> {
        let from = Mailbox::new(sender.name.clone(), address(&sender.address)?);
        let to = Mailbox::new(None, address(&mail.to)?);
        let mut builder = lettre::Message::builder()
            // Otherwise the library would parse the header, see `address`.
            .envelope(Envelope::new(Some(from.email.clone()), vec![to.email.clone()])?)
            .from(from.clone())
            .to(to.clone())
            .subject(email.subject.clone())
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0)))
            .message_id(Some(message_id(mail, &from)));
        for (name, value) in headers(sender, mail, email) {
            let name = HeaderName::new_from_ascii_str(name);
            // ASCII without line breaks. The library would encode what is longer than a line, and mail programs don't
            // decode that in these headers.
            builder = builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value));
        }
        let alternatives = alternatives(email)?;
        let mut files = email.attachments.iter().filter(|file| file.content_id.is_none()).peekable();
        let message = if files.peek().is_none() {
            builder.multipart(alternatives)?
        } else {
            let mixed = MultiPart::mixed().multipart(alternatives);
            builder.multipart(
                files.try_fold(mixed, |mixed, file| Ok::<_, MessageError>(mixed.singlepart(part(file)?)))?,
            )?
        };
        Ok(Self { from: from.email.to_string(), to: to.email.to_string(), bytes: message.formatted() })
    }
}

/// Text and HTML. The images that the HTML shows are beside it (RFC 2387).
fn alternatives(email: &Email) -> Result<MultiPart, MessageError> {
    let mut images = email.attachments.iter().filter(|file| file.content_id.is_some()).peekable();
    if images.peek().is_none() {
        return Ok(MultiPart::alternative_plain_html(email.text.clone(), email.html.clone()));
    }
    let html = MultiPart::related().singlepart(SinglePart::html(email.html.clone()));
    let html = images.try_fold(html, |html, image| Ok::<_, MessageError>(html.singlepart(part(image)?)))?;
    Ok(MultiPart::alternative().singlepart(SinglePart::plain(email.text.clone())).multipart(html))
}

fn part(file: &Attachment) -> Result<SinglePart, MessageError> {
    let kind = ContentType::parse(&file.content_type)?;
    let part = match file.content_id {
        Some(id) => Part::new_inline_with_name(id.to_owned(), file.name.clone()),
        None => Part::new(file.name.clone()),
    };
    Ok(part.body(file.bytes.clone(), kind))
}

/// The address as the library writes it. Its own parser refuses combining marks and emoji, which SMTPUTF8 allows.
fn address(address: &EmailAddress) -> Result<Address, MessageError> {
    let wire = address.on_the_wire();
    let is_bad = |c: char| c.is_control() || c.is_whitespace() || "<>(),;:\\".contains(c);
    match wire.rsplit_once('@') {
        Some((user, domain)) if !wire.contains(is_bad) => Ok(Address::new_dangerous(user, domain)),
        _ => Err(MessageError::Address),
    }
}

/// The headers beside sender, recipient, subject, date and id. A program wrote the email, so no program needs to answer
/// (RFC 3834). The id of the mail identifies an email that was sent twice. A bulk email says how to get no more of them
/// (RFC 2369), and that a single request does it where that is so (RFC 8058).
fn headers(sender: &SenderConfig, mail: &Mail, email: &Email) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Mail-Id", mail.id.chars().filter(|c| ('!'..='~').contains(c)).take(200).collect()),
    ];
    let by_contact = Unsubscribe::by_email(&sender.contact);
    let unsubscribe = email.unsubscribe.as_ref();
    if let Some(unsubscribe) = unsubscribe.or((mail.class == MailClass::Bulk).then_some(&by_contact)) {
        headers.push(("List-Unsubscribe", format!("<{}>", unsubscribe.url())));
        if unsubscribe.is_one_click() {
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
    }
    headers
}

/// The same at every attempt for one email, so that mail programs can show an email that was sent twice once.
fn message_id(mail: &Mail, from: &Mailbox) -> String {
    let hash = Sha256::digest(mail.id.as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<{hex}@{}>", from.email.domain())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn sender(name: Option<&str>) -> SenderConfig {
        let (address, contact) = (parsed("orientation@exämple.edu"), parsed("help@example.edu"));
        SenderConfig { name: name.map(str::to_owned), address, contact, rate: 1.0 }
    }

    fn mail(to: &str) -> Mail {
        let now = Timestamp::from_millis(1_788_246_000_000);
        Mail::new("ticket:1".into(), "ticket", &parsed(to), [], now)
    }

    fn email(files: usize) -> Email {
        let file = Attachment::file("t.pdf", "application/pdf", vec![0, 255]);
        Email {
            subject: "Your ticket, Zoë".into(),
            text: "Hello Zoë".into(),
            html: "<p>Hello Zoë</p>".into(),
            attachments: vec![file; files],
            unsubscribe: None,
        }
    }

    fn written(sender: &SenderConfig, mail: &Mail, email: &Email) -> String {
        let message = Message::new(sender, mail, email, mail.created_at).unwrap();
        String::from_utf8(message.bytes).unwrap()
    }

    #[test]
    fn a_message_is_ascii_whatever_the_email_says() {
        let message = written(&sender(Some("Faculté")), &mail("ana@exämple.org"), &email(1));
        assert!(message.is_ascii(), "{message}");
        for line in [
            "To: ana@xn--exmple-cua.org\r\n",
            "From: =?utf-8?b?RmFjdWx0w6k=?= <orientation@xn--exmple-cua.edu>\r\n",
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
    fn an_image_is_part_of_the_html_and_a_file_is_beside_the_email() {
        let image = Attachment::png("chart", vec![137, 80]);
        let kinds = |email: &Email| {
            let message = written(&sender(None), &mail("ana@example.org"), email);
            let kinds = message.lines().filter_map(|line| line.strip_prefix("Content-Type: "));
            kinds.map(|kind| kind.split(';').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let inner = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"];
        assert_eq!(kinds(&email(0).attach(image.clone())), inner);
        let with_file = [&["multipart/mixed"], &inner[..], &["application/pdf"]].concat();
        assert_eq!(kinds(&email(1).attach(image.clone())), with_file);
        let message = written(&sender(None), &mail("ana@example.org"), &email(0).attach(image));
        assert!(message.contains("Content-ID: <chart>\r\n"), "{message}");
        assert!(message.contains("Content-Disposition: inline; filename=\"chart.png\"\r\n"), "{message}");
    }

    #[test]
    fn a_sender_has_a_name_or_none() {
        let from = |name| {
            let message = written(&sender(name), &mail("ana@example.org"), &email(0)).replace("\r\n ", " ");
            message.lines().find(|line| line.starts_with("From: ")).unwrap().to_owned()
        };
        assert_eq!(from(None), "From: orientation@xn--exmple-cua.edu");
        let plain = "From: \"Orientation Week\" <orientation@xn--exmple-cua.edu>";
        assert_eq!(from(Some("Orientation Week")), plain);
        let encoded = "From: =?utf-8?b?IkEiLCAyMDI3?= <orientation@xn--exmple-cua.edu>";
        assert_eq!(from(Some("\"A\", 2027")), encoded);
    }

    #[test]
    fn an_email_that_is_sent_again_has_the_same_id() {
        let id = |files| {
            let message = written(&sender(None), &mail("ana@example.org"), &email(files));
            message.lines().find(|line| line.starts_with("Message-ID: ")).unwrap().to_owned()
        };
        assert_eq!(id(0), id(1));
        assert!(id(0).ends_with("@xn--exmple-cua.edu>"));
    }

    #[test]
    fn a_bulk_email_says_how_to_get_no_more_of_them() {
        let of = |class, unsubscribe| {
            let email = Email { unsubscribe, ..email(0) };
            let message = written(&sender(None), &mail("ana@example.org").in_class(class), &email);
            let lines = message.lines().filter(|line| line.starts_with("List-Unsubscribe"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of(MailClass::Direct, None), [""; 0]);
        let by_contact = "List-Unsubscribe: <mailto:help@example.edu?subject=unsubscribe>";
        assert_eq!(of(MailClass::Bulk, None), [by_contact]);
        let url = format!("https://o.example.edu/preferences?token={}", "a".repeat(200));
        let header = format!("List-Unsubscribe: <{url}>");
        let page = Unsubscribe::on_page(url.parse().unwrap());
        assert_eq!(of(MailClass::Bulk, Some(page)), [header.as_str()]);
        let one_click = Unsubscribe::by_one_click(url.parse().unwrap());
        let post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click";
        assert_eq!(of(MailClass::Bulk, Some(one_click)), [header.as_str(), post]);
        let unencrypted = Unsubscribe::by_one_click("http://o.example.edu/u".parse().unwrap());
        assert_eq!(of(MailClass::Bulk, Some(unencrypted)), ["List-Unsubscribe: <http://o.example.edu/u>"]);
    }

    #[test]
    fn an_address_writes_no_header_and_no_command() {
        for bad in ["a@b.org\r\nBcc: c@d.org", "a@b.org> SIZE=1", "a b@c.org"] {
            let to: EmailAddress = serde_json::from_value(bad.into()).unwrap();
            assert!(matches!(address(&to), Err(MessageError::Address)), "{bad}");
        }
    }

    proptest! {
        /// Every address that can sign up can get an email.
        #[test]
        fn every_address_fits_into_a_message(name in "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~éж王र्❤-]{1,20}") {
            if let Ok(to) = EmailAddress::parse(&format!("{name}@exämple.org")) {
                let message = Message::new(&sender(None), &mail(to.as_str()), &email(0), Timestamp::from_millis(0));
                prop_assert_eq!(message.unwrap().to, to.on_the_wire());
            }
        }
    }
}
