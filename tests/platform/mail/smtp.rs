//! SMTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orientation::config::SmtpConfig;
use orientation::kernel::{EmailAddress, Secret, SystemClock};
use orientation::platform::mail::{Smtp, Transport};

use super::{Arrived, Post, contract, email, mail, sender};
use crate::doubles::smtp as smtp_double;

pub fn transport(url: &str) -> Smtp {
    let config = SmtpConfig { sender: sender(), url: Secret::new(url.into()) };
    Smtp::new(&config, Arc::new(SystemClock)).expect("a good address")
}

struct Double {
    server: smtp_double::Smtp,
    transport: Arc<Smtp>,
}

impl Double {
    async fn new() -> Self {
        let server = smtp_double::Smtp::start().await;
        let transport = Arc::new(transport(&server.url()));
        Self { server, transport }
    }
}

#[async_trait]
impl Post for Double {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    async fn arrived(&self) -> Vec<Arrived> {
        let arrived = |taken: &smtp_double::Taken| {
            assert_eq!(taken.to.len(), 1, "one recipient each");
            let message = Part::read(&taken.message);
            let (mut text, mut html, mut files) = (String::new(), String::new(), vec![]);
            for part in message.leaves() {
                let kind = part.header("content-type").split(';').next().unwrap_or_default().to_owned();
                match kind.as_str() {
                    "text/plain" => {
                        text = String::from_utf8(part.content()).expect("text").replace("\r\n", "\n")
                    }
                    "text/html" => html = String::from_utf8(part.content()).expect("text"),
                    _ => {
                        files.push((part.parameter("content-disposition", "filename"), kind, part.content()))
                    }
                }
            }
            Arrived { to: taken.to[0].clone(), subject: words(&message.header("subject")), text, html, files }
        };
        self.server.taken().iter().map(arrived).collect()
    }
}

/// A part of a message, or all of it.
struct Part {
    header: Vec<(String, String)>,
    body: String,
}

impl Part {
    fn read(text: &str) -> Self {
        let (header, body) = text.split_once("\r\n\r\n").expect("a header and a body");
        let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
        let line =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { header: unfolded.lines().filter_map(line).collect(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> String {
        self.header.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn parameter(&self, header: &str, name: &str) -> String {
        let value = self.header(header);
        let found = value
            .split(';')
            .find_map(|part| part.trim().strip_prefix(&format!("{name}=")).map(str::to_owned));
        found.unwrap_or_default().trim_matches('"').to_owned()
    }

    /// The parts that hold no others.
    fn leaves(&self) -> Vec<Part> {
        let boundary = self.parameter("content-type", "boundary");
        if boundary.is_empty() {
            return vec![Self { header: self.header.clone(), body: self.body.clone() }];
        }
        let marker = format!("--{boundary}");
        let parts = self.body.split(&marker).skip(1).filter(|part| !part.starts_with("--"));
        parts
            .flat_map(|part| Part::read(part.trim_start_matches("\r\n").trim_end_matches("\r\n")).leaves())
            .collect()
    }

    fn content(&self) -> Vec<u8> {
        match self.header("content-transfer-encoding").as_str() {
            "base64" => {
                let text: String = self.body.split_whitespace().collect();
                STANDARD.decode(text).expect("base64")
            }
            "quoted-printable" => quoted_printable(&self.body.replace("=\r\n", "")),
            _ => self.body.clone().into_bytes(),
        }
    }
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let mut parts = text.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// Decodes encoded words in base64 (RFC 2047); white space between two of them is dropped.
fn words(header: &str) -> String {
    let decoded = |word: &str| {
        let word = word.strip_prefix("=?utf-8?b?")?.strip_suffix("?=")?;
        Some(STANDARD.decode(word).expect("base64"))
    };
    let (mut bytes, mut after_encoded) = (vec![], None);
    for word in header.split(' ') {
        let encoded = decoded(word);
        let both_encoded = after_encoded == Some(true) && encoded.is_some();
        if after_encoded.replace(encoded.is_some()).is_some() && !both_encoded {
            bytes.push(b' ');
        }
        bytes.extend(encoded.unwrap_or_else(|| word.as_bytes().to_vec()));
    }
    String::from_utf8(bytes).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let double = Double::new().await;
    contract::holds(&double).await;
    assert!(!double.transport().is_idempotent());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_reused_and_a_closed_one_is_replaced() {
    let double = Double::new().await;
    for n in 0..3 {
        double
            .transport
            .send(&mail(&format!("hello:{n}"), "ana@example.org"), &email())
            .await
            .expect("taken");
    }
    assert_eq!(double.server.connections(), 1);
    double.server.fail([smtp_double::Fault::DropAfter]);
    double.transport.send(&mail("hello:4", "ana@example.org"), &email()).await.expect_err("no answer");
    double.transport.send(&mail("hello:5", "ana@example.org"), &email()).await.expect("taken");
    assert_eq!((double.server.connections(), double.server.taken().len()), (2, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_that_was_accepted_is_not_sent_again_whatever_the_reply_looks_like() {
    use smtp_double::Fault::{Accept, AcceptAndDrop, AcceptAndHang};
    let faults = [
        Accept(b"250\r\n"),
        Accept(b"250 \r\n"),
        Accept(b"250 re\xe7u\r\n"),
        Accept(b"250-2.0.0 \xff\r\n250\r\n"),
        AcceptAndDrop(b"250 ok\r\n"),
        AcceptAndDrop(b"250 o"),
        AcceptAndDrop(b"250-2.0.0\r\n"),
        AcceptAndHang(b"250 ok\r\n"),
    ];
    let double = Double::new().await;
    double.server.fail(faults);
    for (n, fault) in faults.iter().enumerate() {
        let mail = mail(&format!("odd:{n}"), "ana@example.org");
        double.transport.send(&mail, &email()).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
    assert_eq!(double.server.taken().len(), faults.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_and_an_ehlo_without_text_or_utf_8_are_understood() {
    for (greeting, hello) in [
        (&b"220\r\n"[..], &b"250\r\n"[..]),
        (b"220 h\xe9\r\n", b"250-h\xe9\r\n250 SMTPUTF8\r\n"),
        (b"220-\xff\r\n220\r\n", b"250-\r\n250-SIZE 1000000\r\n250\r\n"),
    ] {
        let server =
            smtp_double::Smtp::with(smtp_double::Manners { greeting, hello, ..smtp_double::Manners::USUAL });
        let server = server.await;
        let transport = transport(&server.url());
        transport.check().await.expect("it answers");
        transport.send(&mail("hello:1", "ana@example.org"), &email()).await.expect("accepted");
        assert_eq!(server.taken().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_rset_or_quit_costs_no_email() {
    let manners = smtp_double::Manners { goodbye: b"500 \xe9\r\n", ..smtp_double::Manners::USUAL };
    let server = smtp_double::Smtp::with(manners).await;
    let transport = transport(&server.url());
    for n in 0..3 {
        transport.send(&mail(&format!("hello:{n}"), "ana@example.org"), &email()).await.expect("accepted");
    }
    assert_eq!(server.taken().len(), 3, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_once_whether_it_accepts_addresses_outside_ascii() {
    let jorg = EmailAddress::parse("jörg@example.org").expect("an address");
    let ana = EmailAddress::parse("ana@exämple.org").expect("an address");
    for (hello, accepts) in
        [(smtp_double::Manners::USUAL.hello, true), (b"250-double\r\n250 8BITMIME\r\n", false)]
    {
        let server =
            smtp_double::Smtp::with(smtp_double::Manners { hello, ..smtp_double::Manners::USUAL }).await;
        let transport = transport(&server.url());
        assert!(transport.accepts(&ana).await);
        assert_eq!(server.connections(), 0, "every server accepts it");
        assert_eq!(transport.accepts(&jorg).await, accepts);
        assert_eq!(transport.accepts(&jorg).await, accepts);
        let sent = transport.send(&mail("hello:1", "jörg@example.org"), &email()).await;
        assert_eq!(sent.is_ok(), accepts, "{sent:?}");
        assert_eq!((server.connections(), server.taken().len()), (1, usize::from(accepts)));
        assert_eq!(transport.check().await.expect("it answers").len(), if accepts { 1 } else { 2 });
    }
    let nobody = transport("smtp://127.0.0.1:1");
    assert!(nobody.accepts(&jorg).await, "while it isn't known");

    let hello = b"421 not now\r\n";
    let failing =
        smtp_double::Smtp::with(smtp_double::Manners { hello, ..smtp_double::Manners::USUAL }).await;
    let transport = transport(&failing.url());
    let answers = futures_util::future::join_all((0..20).map(|_| transport.accepts(&jorg))).await;
    assert!(answers.into_iter().all(|accepted| accepted), "while it isn't known");
    assert_eq!(failing.connections(), 1, "sign-ups can't open a connection each");
}

/// Each is sent on a connection of its own.
async fn send_at_once(double: &Double, emails: usize) {
    let send = async |n: usize| {
        let (mail, email) = (mail(&format!("at-once:{n}"), "ana@example.org"), email());
        double.transport.send(&mail, &email).await.expect("taken");
    };
    futures_util::future::join_all((0..emails).map(send)).await;
    assert_eq!(double.server.connections(), emails);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_delay_one_email_by_seconds_and_fail_none() {
    let double = Double::new().await;
    send_at_once(&double, 3).await;
    double.server.falls_silent();
    let begun = Instant::now();
    let (mail, email) = (mail("after:1", "ana@example.org"), email());
    double.transport.send(&mail, &email).await.expect("taken at the first try");
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    let begun = Instant::now();
    let next = super::mail("after:2", "ana@example.org");
    double.transport.send(&next, &email).await.expect("taken");
    assert!(begun.elapsed() < Duration::from_secs(1), "the next one took {:?}", begun.elapsed());
    assert_eq!((double.server.connections(), double.server.taken().len()), (4, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_an_interrupted_email_is_not_reused() {
    let double = Double::new().await;
    for n in 0..20 {
        let (mail, email) = (mail(&format!("cut:{n}"), "cut@example.org"), email());
        let cut = Duration::from_micros(200 * n);
        // Whether it is sent in this time doesn't matter.
        let _ = tokio::time::timeout(cut, double.transport.send(&mail, &email)).await;
        double
            .transport
            .send(&super::mail(&format!("next:{n}"), &format!("next{n}@example.org")), &email)
            .await
            .expect("taken");
    }
    let next = double.arrived().await.into_iter().filter(|email| email.to.starts_with("next")).count();
    assert_eq!(next, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_has_a_name() {
    let double = Double::new().await;
    double.transport.send(&mail("hello:1", "ana@example.org"), &email()).await.expect("taken");
    let message = Part::read(&double.server.taken()[0].message);
    assert!(message.header("from").contains("=?utf-8?b?"), "{}", message.header("from"));
    assert_eq!(message.header("x-mail-id"), "hello:1");
    assert_eq!(double.transport.check().await.expect("it answers").len(), 1);
}
