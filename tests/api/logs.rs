//! The log of a student's way from sign-up to ticket contains no personal data and no secrets.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{PASSWORD, TestApp, form};

/// Keeps the log in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Logs our own code at every level, and the rest as `serve` does. It logs the whole process, and so other tests that
/// run at the same time.
fn keep_the_log() -> Kept {
    let kept = Kept::default();
    let log = tracing_subscriber::fmt().json().with_writer(kept.clone());
    let log = log.with_env_filter(EnvFilter::new("info,orientation=trace"));
    log.try_init().expect("no other test logs");
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_contains_no_personal_data() {
    let log = keep_the_log();
    let app = TestApp::start().await;
    let (mut way, email) = (app.anonymous(), "Pangolin.Aardvark@mail.example.edu");
    let mailbox = app.mailbox(email);
    let sign_up = json!({ "email": email, "password": PASSWORD, "firstName": "Pangolina", "lastName": "Aardvarkova",
        "preferredName": "Pangi" });
    way.post("/v1/accounts", &sign_up).await.ok(202);
    way.post("/v1/accounts", &sign_up).await.ok(202);
    let token = mailbox.token("Confirm").await;
    way.get(&format!("/confirm?token={token}")).await;
    way.post("/v1/accounts/confirm", &json!({ "token": token })).await;
    way.post("/v1/accounts/confirm", &json!({ "token": token })).await;
    let wrong = json!({ "email": email, "password": "hairy wombats at dusk" });
    way.post("/v1/session", &wrong).await.refused(401, "wrong-credentials");
    let signed_in = way.post("/v1/session", &json!({ "email": email, "password": PASSWORD })).await;
    signed_in.ok(200);
    way.cookie = signed_in.cookie();

    let mut written = form("pangol1n9");
    written["legalName"] = "Pangolina Aardvarkova".into();
    written["medicalInformation"] = "Tarsier fever".into();
    written["emergencyContact"]["name"] = "Bilby Aardvark".into();
    written["discipline"] = "Armadillo studies".into();
    way.post("/v1/registration", &written).await.refused(422, "invalid");
    written["discipline"] = "Civil".into();
    let order = way.post("/v1/registration", &written).await.ok(201)["order"].clone();
    way.press_button(&order, "pay").await;
    let ticket = way.get("/v1/ticket").await.ok(200);
    way.get("/v1/ticket.pdf").await;
    way.post("/v1/password-resets", &json!({ "email": email })).await;
    let reset = mailbox.token("password").await;
    way.get(&format!("/reset-password?token={reset}")).await;
    app.deliver_signed("{\"id\":\"evt_tarsier\"}", Some("t=1,v1=00")).await.refused(400, "webhook-signature");
    let cookie = way.cookie.clone().expect("signed in");
    app.finish().await;

    let log = log.text().to_lowercase();
    assert!(log.contains(order["id"].as_str().expect("an id")), "the order is in the log");
    assert!(log.contains("\"route\":\"register\""), "requests are in the log");
    let secret_of_cookie = cookie.split_once('=').expect("a pair").1;
    let ticket = ticket["token"].as_str().expect("a text");
    let personal = [
        "pangol",
        "pangi",
        "aardvark",
        "bilby",
        "tarsier",
        "armadillo",
        "5062345678",
        "506-234-5678",
        "5062330166",
        "luz garc",
        "port autumn",
        "2008-02-29",
        PASSWORD,
        "wombats",
        &token,
        &reset,
        secret_of_cookie,
        ticket,
        "?token",
        "token=",
        "to=",
        "$argon2",
    ];
    for word in personal {
        let found = log.find(&word.to_lowercase());
        let around = found.map(|at| log[at.saturating_sub(200)..].chars().take(400).collect::<String>());
        assert_eq!(around, None, "{word}");
    }
}
