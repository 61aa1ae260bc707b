//! The emails of mailings and about unsubscribing as a mail client gets them: from an SMTP server, parsed by Python's `email`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use orientation::config::Config;
use orientation::features::accounts::Account;
use orientation::kernel::{Clock, Role, SystemClock};
use reqwest::header::IF_MATCH;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::doubles::smtp::{Smtp, Taken};
use crate::support::{PATIENCE, TestApp, Visitor};

const PUBLIC_URL: &str = "https://orientation.example.edu/";

/// Prints what a mail client needs of a message, as JSON.
const PARSER: &str = r#"
import email, email.policy, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = [part for part in message.walk() if not part.is_multipart()]
print(json.dumps({
    "kind": message.get_content_type(),
    "to": [address.addr_spec for address in message["To"].addresses],
    "others": [message[name] for name in ("Cc", "Bcc", "Resent-To") if message[name]],
    "subject": str(message["Subject"]),
    "headers": {name: str(value) for name, value in message.items()},
    "parts": {part.get_content_type(): part.get_content() for part in parts},
    "defects": [repr(defect) for part in message.walk() for defect in part.defects],
}))
"#;

fn parsed(taken: &Taken) -> Value {
    let mut python = Command::new("python3")
        .args(["-c", PARSER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is installed");
    python.stdin.take().expect("piped").write_all(taken.message.as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", taken.message);
    let message: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(message["to"], json!(taken.to), "one recipient, that of the envelope: {message}");
    assert_eq!((taken.to.len(), &message["others"], &message["defects"]), (1, &json!([]), &json!([])));
    assert_eq!(message["kind"], "multipart/alternative");
    let kinds: Vec<_> = message["parts"].as_object().expect("an object").keys().cloned().collect();
    assert_eq!(kinds, ["text/plain", "text/html"], "the richest part is the last");
    message
}

/// A rehearsal at an https URL whose emails go to this server.
async fn app(smtp: &Smtp) -> TestApp {
    let variables = [
        ("ORIENTATION_PUBLIC_URL", PUBLIC_URL),
        ("ORIENTATION_REHEARSAL", "yes"),
        ("ORIENTATION_MAIL_FROM", "Orientation <orientation@example.edu>"),
        ("ORIENTATION_MAIL_RATE", "1000"),
        ("ORIENTATION_SMTP_URL", &smtp.url()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let config = Config::from_env(&variables).expect("a good configuration");
    TestApp::start_at(SystemClock.now(), |shipped| {
        let (limits, data) = (shipped.limits, shipped.data.clone());
        *shipped = config;
        (shipped.limits, shipped.data) = (limits, data);
    })
    .await
}

/// The cookie of a service at an https URL has another name.
fn by_https(mut visitor: Visitor) -> Visitor {
    visitor.cookie = visitor.cookie.map(|cookie| format!("__Host-{cookie}"));
    visitor
}

async fn taken(smtp: &Smtp, number: usize) -> Vec<Taken> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while smtp.taken().len() < number {
        assert!(tokio::time::Instant::now() < deadline, "{} emails", smtp.taken().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    smtp.taken()
}

/// The link in an email, for a request to the service itself.
fn link_in(text: &Value) -> String {
    let text = text.as_str().expect("a text");
    let link = text.split("https://").map(|rest| format!("https://{rest}"));
    let link = link.map(|rest| rest.split(['"', '>', ' ', '\n', '\r']).next().expect("a part").to_owned());
    link.into_iter().find(|link| link.contains("/unsubscribe?token=")).expect("a link")
}

async fn is_subscribed(app: &TestApp, visitor: &Visitor) -> bool {
    let account: Option<Account> = app.store.get(&visitor.account().id).await.expect("readable");
    account.expect("there").unsubscribed_at.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_gets_an_email_with_both_parts_and_a_link_that_is_for_nobody_else() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let admin = by_https(app.administrator().await);
    let (ana, bo) = (app.student().await, app.somebody("bo@exämple.org", Role::Student, &[]).await);
    app.change(&bo, |account| account.first_name = "<i>Bö</i>\r\nBcc: x@example.org".into()).await;
    let draft = json!({
        "subject": "Für {firstName}: what to bring", "audience": { "for": "everyone" },
        "text": "Dear {firstName},\n\nbring **water**, see the [map](https://maps.example.org/?a=1&b=2).",
    });
    let mailing = admin.post("/v1/mailings", &draft).await.ok(201);
    let path = format!("/v1/mailings/{}/start", mailing["id"].as_str().expect("an id"));
    let start = admin.request(Method::POST, &path).header(IF_MATCH, "*").json(&json!({ "recipients": 3 }));
    admin.send(start).await.ok(202);
    let emails = taken(&smtp, 3).await;
    assert_eq!(emails.len(), 3);
    let of = |visitor: &Visitor| {
        let wire = visitor.account().email.on_the_wire();
        parsed(emails.iter().find(|taken| taken.to == [wire.clone()]).expect("an email"))
    };
    let (to_ana, to_bo) = (of(&ana), of(&bo));
    assert_eq!(to_ana["subject"], "[REHEARSAL] Für Ana: what to bring");
    assert_eq!(to_bo["subject"], "[REHEARSAL] Für <i>Bö</i> Bcc: x@example.org: what to bring");
    let html = to_bo["parts"]["text/html"].as_str().expect("HTML");
    assert!(html.contains("Dear &#60;i&#62;Bö&#60;/i&#62; Bcc: x@example.org,"), "{html}");
    assert!(html.contains("href=\"https://maps.example.org/?a=1&amp;b=2\""), "{html}");
    for (email, visitor, other) in [(&to_ana, &ana, &bo), (&to_bo, &bo, &ana)] {
        let header = email["headers"]["List-Unsubscribe"].as_str().expect("a header");
        let link = header.trim_start_matches('<').trim_end_matches('>');
        assert!(link.starts_with(&format!("{PUBLIC_URL}unsubscribe?token=")), "{link}");
        assert_eq!(email["headers"]["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click");
        for part in ["text/html", "text/plain"] {
            assert_eq!(link_in(&email["parts"][part]), link, "{part}");
        }
        let was = is_subscribed(&app, other).await;
        let url: Url = link.parse().expect("a URL");
        let here = format!("{}?{}", url.path(), url.query().expect("a token"));
        for _ in 0..2 {
            let answer = app.anonymous().submit(&here, &[("List-Unsubscribe", "One-Click")]).await;
            assert_eq!(answer.status, 200, "no redirect: {}", answer.text());
        }
        assert!(!is_subscribed(&app, visitor).await);
        assert_eq!(is_subscribed(&app, other).await, was, "it is for nobody else");
    }

    let notices: Vec<_> = taken(&smtp, 5).await.split_off(3);
    assert_eq!(notices.len(), 2, "one for each change");
    for notice in &notices {
        let notice = parsed(notice);
        assert!(notice["subject"].as_str().expect("a text").contains("You have unsubscribed"), "{notice}");
        assert!(notice["headers"].get("List-Unsubscribe").is_none(), "it is about the account");
        assert!(link_in(&notice["parts"]["text/plain"]).starts_with(PUBLIC_URL));
    }
    app.finish().await;
}
