use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncBufReadExt;
use tokio::io::duplex;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::kernel::Secret;
use crate::platform::tls::choose_cryptography;

const PATIENCE: Duration = Duration::from_secs(5);

/// The other end of a conversation: reads a line, checks it, and writes a reply.
struct Peer(BufReader<Box<dyn Stream>>);

impl Peer {
    fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(BufReader::new(Box::new(stream)))
    }

    async fn says(&mut self, reply: &[u8]) {
        self.0.write_all(reply).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn hears(&mut self, line: &str) {
        let mut heard = String::new();
        self.0.read_line(&mut heard).await.unwrap();
        assert_eq!(heard, format!("{line}\r\n"));
    }
}

/// A connection whose server has said what it can do, and the server.
async fn greeted(hello: &'static [u8]) -> (Connection, Peer) {
    let (ours, theirs) = duplex(64 * 1024);
    let mut peer = Peer::over(theirs);
    peer.says(b"220\r\n").await;
    let mut connection = Connection::greeted(ours).await.unwrap();
    peer.says(hello).await;
    connection.hello("us.example.edu").await.unwrap();
    peer.hears("EHLO us.example.edu").await;
    (connection, peer)
}

fn credentials() -> Credentials {
    Credentials { name: "me".into(), password: Secret::new("secret".into()) }
}

#[tokio::test]
async fn extensions_are_read_in_any_case_and_beside_any_bytes() {
    let (connection, _) = greeted(b"250-\xe9t\xe9\r\n250-smtputf8\r\n250-\xff\r\n250 AUTH=LOGIN x\r\n").await;
    assert!(connection.has("SMTPUTF8") && !connection.has("STARTTLS"));
    assert!(connection.can_sign_in_by("LOGIN") && !connection.can_sign_in_by("PLAIN"));
    let (connection, _) = greeted(b"250\r\n").await;
    assert!(!connection.has("SMTPUTF8") && !connection.can_sign_in_by("PLAIN"));
}

#[tokio::test]
async fn a_server_is_signed_in_to_by_plain_or_login() {
    let (mut connection, mut peer) = greeted(b"250-x\r\n250 AUTH LOGIN PLAIN\r\n").await;
    peer.says(b"235\r\n").await;
    connection.sign_in(&credentials()).await.unwrap();
    peer.hears("AUTH PLAIN AG1lAHNlY3JldA==").await;

    let (mut connection, mut peer) = greeted(b"250-x\r\n250 AUTH LOGIN\r\n").await;
    peer.says(b"334 VXNlcm5hbWU6\r\n").await;
    peer.says(b"334 UGFzc3dvcmQ6\r\n").await;
    peer.says(b"235 2.7.0 ok\r\n").await;
    connection.sign_in(&credentials()).await.unwrap();
    for line in ["AUTH LOGIN", "bWU=", "c2VjcmV0"] {
        peer.hears(line).await;
    }

    let (mut connection, mut peer) = greeted(b"250-x\r\n250 AUTH PLAIN\r\n").await;
    peer.says(b"535 5.7.8 wrong\r\n").await;
    let refused = connection.sign_in(&credentials()).await.unwrap_err();
    assert_eq!(refused.to_string(), "535 5.7.8 wrong");
    let (mut connection, _peer) = greeted(b"250-x\r\n250 AUTH GSSAPI\r\n").await;
    assert!(matches!(connection.sign_in(&credentials()).await, Err(SmtpError::NoSignIn)));
}

/// What becomes of a message that is answered so, after which the server closes the connection if `closes`.
async fn delivered(reply: &[u8], closes: bool) -> Delivery {
    let (connection, mut peer) = greeted(b"250 x\r\n").await;
    let answering = async {
        peer.hears("hello").await;
        peer.hears("..dot").await;
        peer.hears(".").await;
        peer.says(reply).await;
        if closes {
            drop(peer);
        } else {
            std::mem::forget(peer);
        }
    };
    let (delivery, ()) =
        tokio::join!(connection.deliver(b"hello\r\n.dot\r\n", Duration::from_millis(300)), answering);
    delivery
}

#[tokio::test]
async fn a_message_is_accepted_as_soon_as_the_code_says_so() {
    for (reply, closes, reusable) in [
        (&b"250\r\n"[..], false, true),
        (b"250 re\xe7u\r\n", false, true),
        (b"250-one\r\n250 two\r\n", false, true),
        (b"250 ok\r\n", true, true),
        (b"250 ta", true, false),
        (b"250-one\r\n", true, false),
        (b"250-one\r\n", false, false),
        (b"250-one\r\n421 closing\r\n", false, false),
    ] {
        let Delivery::Accepted(connection) = delivered(reply, closes).await else { panic!("{reply:?}") };
        assert_eq!(connection.is_some(), reusable, "{reply:?}");
    }
    for (reply, closes) in [(&b""[..], true), (b"", false), (b"hello\r\n", false), (b"354 more\r\n", false)] {
        assert!(matches!(delivered(reply, closes).await, Delivery::Unknown), "{reply:?}");
    }
    let refused = delivered(b"554 5.7.1 no\r\n", true).await;
    assert!(matches!(refused, Delivery::Refused(reply) if reply.code() == Some(554)));
}

/// The settings of a server and of a client that trusts it.
fn trusted() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    choose_cryptography();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

const OFFERS_TLS: &[u8] = b"250-x\r\n250 STARTTLS\r\n";

/// Answers STARTTLS with these bytes.
async fn answer_start_tls(peer: &mut Peer, answer: &[u8]) {
    peer.hears("STARTTLS").await;
    peer.says(answer).await;
}

#[tokio::test]
async fn a_conversation_is_encrypted_for_a_server_that_is_trusted() {
    let (server, client) = trusted();
    let (connection, mut peer) = greeted(OFFERS_TLS).await;
    let serving = async {
        answer_start_tls(&mut peer, b"220 go\r\n").await;
        let stream = TlsAcceptor::from(server).accept(peer.0.into_inner()).await.unwrap();
        let mut peer = Peer::over(stream);
        peer.says(b"250 x\r\n").await;
        peer.hears("EHLO us.example.edu").await;
    };
    let asking = async {
        let mut connection = connection.start_tls(&client, localhost()).await.unwrap();
        assert!(!connection.has("STARTTLS"), "what was said before is forgotten");
        connection.hello("us.example.edu").await.unwrap();
    };
    timeout(PATIENCE, async { tokio::join!(serving, asking) }).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_email() {
    let (server, _) = trusted();
    let (connection, mut peer) = greeted(OFFERS_TLS).await;
    let serving = async {
        answer_start_tls(&mut peer, b"220 go\r\n").await;
        assert!(TlsAcceptor::from(server).accept(peer.0.into_inner()).await.is_err());
    };
    let asking = async {
        let refused = connection.start_tls(&crate::platform::tls::client(), localhost()).await.err().unwrap();
        assert!(refused.to_string().contains("certificate"), "{refused}");
    };
    timeout(PATIENCE, async { tokio::join!(serving, asking) }).await.unwrap();
}

#[tokio::test]
async fn a_reply_that_somebody_adds_before_the_encryption_ends_the_conversation() {
    let (_, client) = trusted();
    let (connection, mut peer) = greeted(OFFERS_TLS).await;
    let answering = answer_start_tls(&mut peer, b"220 go\r\n250 added\r\n");
    let (started, ()) = tokio::join!(connection.start_tls(&client, localhost()), answering);
    assert!(matches!(started, Err(SmtpError::Network(error)) if error.kind() == io::ErrorKind::InvalidData));
    let (connection, _peer) = greeted(b"250 x\r\n").await;
    assert!(matches!(connection.start_tls(&client, localhost()).await, Err(SmtpError::NoStartTls)));
}

#[test]
fn dots_that_begin_a_line_are_doubled_and_the_message_ends_with_one() {
    for (message, sent) in [
        (&b"a\r\n"[..], &b"a\r\n.\r\n"[..]),
        (b"a", b"a\r\n.\r\n"),
        (b"", b".\r\n"),
        (b".\r\n..b\r\nc.\r\n", b"..\r\n...b\r\nc.\r\n.\r\n"),
    ] {
        assert_eq!(with_dots_doubled(message), sent);
    }
}
