//! Refusals and failures of servers, and what they mean for the email.

use std::sync::Arc;
use std::time::Duration;

use orientation::kernel::SystemClock;
use orientation::platform::mail::{SendError, Ses, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ses::account;
use super::smtp::transport;
use super::{email, mail, sender};
use crate::doubles::{ses as ses_double, smtp as smtp_double};

/// The meaning for the email.
fn meaning(sent: &Result<(), SendError>) -> &'static str {
    match sent {
        Ok(()) => "sent",
        Err(SendError::Temporary(_)) => "temporary",
        Err(SendError::Account(_)) => "account",
        Err(SendError::Throttled(_)) => "throttled",
        Err(SendError::Uncertain(_)) => "uncertain",
        Err(SendError::Permanent(_)) => "permanent",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_ses() {
    use ses_double::Fault::{DropAfter, DropBefore, Refuse};
    let double = ses_double::Ses::start(Duration::ZERO);
    let transport = Ses::new(&account(double.url(), sender()), Arc::new(SystemClock)).await;
    let cases = [
        (Refuse(429, "TooManyRequestsException", "Maximum sending rate exceeded."), "throttled"),
        (Refuse(400, "LimitExceededException", "Daily message quota exceeded."), "throttled"),
        (Refuse(400, "MessageRejected", "Address blacklisted."), "permanent"),
        (Refuse(400, "BadRequestException", "Illegal address"), "permanent"),
        (Refuse(400, "MessageRejected", "Email address is not verified."), "account"),
        (Refuse(400, "MailFromDomainNotVerifiedException", "no"), "account"),
        (Refuse(400, "AccountSuspendedException", "no"), "account"),
        (Refuse(400, "SendingPausedException", "no"), "account"),
        (Refuse(403, "UnrecognizedClientException", "no"), "account"),
        (Refuse(500, "InternalFailure", "no"), "uncertain"),
        (DropBefore, "uncertain"),
        (DropAfter, "uncertain"),
    ];
    for (fault, expected) in cases {
        double.fail([fault]);
        let sent = transport.send(&mail("hello:1", "ana@example.org"), &email()).await;
        assert_eq!(meaning(&sent), expected, "{fault:?}: {sent:?}");
    }
    let sent = transport.send(&mail("hello:1", "ana@example.org"), &email()).await;
    assert_eq!(meaning(&sent), "sent");
    assert_eq!(double.times()["hello:1"], 2, "nothing was repeated by the SDK");
}

/// The address of a server that gives every HTTP request the same answer.
async fn always(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_ses_does_not_quote_the_answer() {
    let cases = [
        (
            "HTTP/1.1 400 Bad Request\r\nX-Hidden: hidden\r\nContent-Length: 6\r\n\r\nhidden",
            "status 400, without a code",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: BadRequestException\r\nX-Hidden: hidden\r\n\
             Content-Length: 20\r\n\r\n{\"message\":\"hidden\"}",
            "BadRequestException, status 400",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 34\r\n\r\n{\"__type\":\"hidden\\n of some server\"}",
            "status 400, without a code",
        ),
        ("HTTP/1.1 200 OK\r\nX-Hidden: hidden\r\nContent-Length: 6\r\n\r\nhidden", "SES"),
        ("SSH-2.0-hidden\r\n", "SES can't be reached"),
    ];
    for (answer, expected) in cases {
        let ses = Ses::new(&account(&always(answer).await, sender()), Arc::new(SystemClock)).await;
        let why = ses.check(1.0).await.expect_err("no account");
        assert!(why.contains(expected) && !why.contains("hidden"), "{answer}: {why}");
        assert!(!why.contains(['\n', '{']) && why.len() < 120, "{answer}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_server_is_temporary() {
    let nobody = Ses::new(&account("http://127.0.0.1:1", sender()), Arc::new(SystemClock)).await;
    let sent = nobody.send(&mail("hello:1", "ana@example.org"), &email()).await;
    assert_eq!(meaning(&sent), "temporary", "{sent:?}");
    assert!(nobody.check(1.0).await.is_err());
    let nobody = transport("smtp://127.0.0.1:1");
    let sent = nobody.send(&mail("hello:1", "ana@example.org"), &email()).await;
    assert_eq!(meaning(&sent), "temporary", "{sent:?}");
    assert!(nobody.check().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_smtp() {
    use smtp_double::Fault::{Begin, DropAfter, DropBefore, Email, Recipient, Sender};
    let double = smtp_double::Smtp::start().await;
    let transport = transport(&double.url());
    let cases = [
        (Recipient("550 5.1.1 no such user"), "permanent"),
        (Recipient("552 5.2.2 mailbox full"), "permanent"),
        (Recipient("450 4.2.1 come back later"), "temporary"),
        (Email("554 5.7.1 this is spam"), "permanent"),
        (Email("451 4.3.0 come back later"), "temporary"),
        (Email("550 no words of its own"), "permanent"),
        (Sender("550 5.7.1 you may not send"), "account"),
        (Recipient("530 5.7.0 sign in first"), "account"),
        (Recipient("554 5.7.1 <ana@example.org>: Relay access denied"), "account"),
        (Recipient("553 5.7.1 <a@example.edu>: Sender address rejected: not owned by user a"), "account"),
        (Recipient("550-5.7.1 Relaying denied.\r\n550 5.7.1 Sign in."), "account"),
        (Recipient("550 5.7.133 Sender not authenticated for group"), "permanent"),
        (Recipient("535 not signed in"), "account"),
        (Recipient("553 5.1.3 no address, whatever 5.7.1 means"), "permanent"),
        (Begin("554 5.7.1 Client host rejected: Access denied"), "account"),
        (Begin("554 5.5.1 no valid recipients"), "permanent"),
        (DropBefore, "temporary"),
        (DropAfter, "uncertain"),
        // The account, or its quota: Exchange Online and Gmail.
        (Email("554 5.2.252 SendAsDenied; not allowed to send as this sender"), "account"),
        (Email("550 5.7.60 SMTP; Client does not have permissions to send as this sender"), "account"),
        (Email("550-5.4.5 Daily user sending limit exceeded. Learn more\r\n550 5.4.5 at …"), "account"),
        (Recipient("550 5.4.5 Daily SMTP relay limit exceeded"), "account"),
        (Email("554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException"), "account"),
        (Recipient("550 5.1.8 Access denied, bad outbound sender"), "account"),
        (Email("550 5.1.90 Your message can't be sent because you've reached your daily limit"), "account"),
        (Recipient("550 5.7.57 Client not authenticated to send mail"), "account"),
        (
            Email("550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP"),
            "account",
        ),
        (Email("535 5.7.8 credentials invalid"), "account"),
        // Bytes that are not UTF-8, and no text.
        (Email("550"), "permanent"),
        (Email("451"), "temporary"),
    ];
    for (fault, expected) in cases {
        double.fail([fault]);
        let sent = transport.send(&mail("hello:1", "ana@example.org"), &email()).await;
        assert_eq!(meaning(&sent), expected, "{fault:?}: {sent:?}");
    }
    let sent = transport.send(&mail("hello:1", "ana@example.org"), &email()).await;
    assert_eq!(meaning(&sent), "sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_smtp_tries_the_sender_without_sending_an_email() {
    let double = smtp_double::Smtp::start().await;
    let transport = transport(&double.url());
    assert!(transport.check().await.is_ok());
    double.fail([smtp_double::Fault::Sender("550 5.7.1 not your address")]);
    assert!(transport.check().await.expect_err("it refuses").contains("not your address"));
    assert_eq!(double.taken().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_ses_compares_the_rate_with_the_account() {
    let double = ses_double::Ses::start(Duration::ZERO);
    let transport = Ses::new(&account(double.url(), sender()), Arc::new(SystemClock)).await;
    assert!(transport.check(50.0).await.is_ok());
    double.allow(14.0);
    assert!(transport.check(50.0).await.expect_err("too fast").contains("14"));
}
