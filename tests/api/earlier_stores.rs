//! Stores that earlier versions wrote open and work.
//!
//! `tests/stores/make.py` made them. Each contains people in every state; the first part of an address names the state.
//! The clock shows the time at which the store was made, so that links and checkouts have not expired.

use std::sync::LazyLock;
use std::time::Duration;

use bson::Document;
use orientation::kernel::{Ids, RandomIds, Secret, Timestamp};
use orientation::platform::mail::{Mail, MailState};
use orientation::platform::store::{Filter, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::servers;
use crate::support::{TestApp, Visitor, form, new_student_id, on_real_parts, text_of_pdf};
use crate::v1_accounts::credentials;

const SQLITE: &[u8] = include_bytes!("../stores/114043d.db");
const MONGODB: &str = include_str!("../stores/114043d.mongodb.jsonl");

/// The people in the store, with their orders and the tokens of their emails.
static INDEX: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../stores/114043d.json")).expect("JSON"));

/// This program on a copy of the store: of the SQLite file, or of the same documents in MongoDB.
struct Earlier {
    app: TestApp,
    database: Option<String>,
}

impl Earlier {
    async fn open() -> Self {
        let database = if on_real_parts() { Some(load_into_mongodb().await) } else { None };
        let made_at = Timestamp::from_millis(INDEX["madeAt"].as_i64().expect("milliseconds"));
        let app = TestApp::start_at(made_at.plus(Duration::from_secs(1)), |config| match &database {
            Some(name) => config.mongodb = Some(Secret::new(servers::mongodb_database(name))),
            None => {
                std::fs::create_dir_all(&config.data).expect("a new folder");
                std::fs::write(config.data.join("orientation.db"), SQLITE).expect("written");
            }
        });
        Self { app: app.await, database }
    }

    async fn sign_in(&self, name: &str) -> Visitor {
        self.sign_in_as(email(name), password()).await
    }

    async fn sign_in_as(&self, email: &str, password: &str) -> Visitor {
        let mut visitor = self.app.anonymous();
        let answer = visitor.post("/v1/session", &credentials(email, password)).await;
        assert_eq!(answer.ok(200)["email"], email);
        visitor.cookie = answer.cookie();
        visitor
    }

    async fn mail(&self, name: &str, template: &str) -> Mail {
        let theirs = Filter::eq("to", email(name)).and(Filter::eq("template", template));
        let mut mails: Vec<Mail> = self.app.store.find(Query::new(theirs)).await.expect("readable");
        mails.sort_by_key(|mail| mail.created_at);
        mails.pop().expect("an email")
    }

    async fn finish(self) {
        self.app.finish().await;
        if let Some(database) = self.database {
            client().await.database(&database).drop().await.expect("dropped");
        }
    }
}

/// A document as the dump has it.
#[derive(Deserialize)]
struct Line {
    collection: String,
    document: Document,
}

/// Loads the dump into a new database; returns its name.
async fn load_into_mongodb() -> String {
    let name = format!("orientation-test-{}", RandomIds.next());
    let database = client().await.database(&name);
    let lines: Vec<Line> =
        MONGODB.lines().map(|line| serde_json::from_str(line).expect("extended JSON")).collect();
    for lines in lines.chunk_by(|one, next| one.collection == next.collection) {
        let documents = lines.iter().map(|line| &line.document);
        database.collection::<Document>(&lines[0].collection).insert_many(documents).await.expect("inserted");
    }
    name
}

async fn client() -> mongodb::Client {
    mongodb::Client::with_uri_str(servers::mongodb()).await.expect("the server's address")
}

fn password() -> &'static str {
    INDEX["password"].as_str().expect("a text")
}

fn person(name: &str) -> &'static Value {
    let person = &INDEX["people"][name];
    assert!(person.is_object(), "{name} is in the store");
    person
}

fn email(name: &str) -> &'static str {
    person(name)["email"].as_str().expect("a text")
}

fn order(name: &str) -> String {
    person(name)["order"].as_str().expect("an order").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_signs_in_with_their_old_password() {
    let earlier = Earlier::open().await;
    let people = INDEX["people"].as_object().expect("people by name");
    for name in people.keys().filter(|name| *name != "unconfirmed") {
        earlier.sign_in(name).await.get("/v1/me").await.ok(200);
    }
    let unconfirmed = credentials(email("unconfirmed"), password());
    earlier.app.anonymous().post("/v1/session", &unconfirmed).await.refused(401, "wrong-credentials");

    let mut signed_in = earlier.app.anonymous();
    signed_in.cookie =
        Some(format!("orientation_session={}", person("registered")["cookie"].as_str().expect("a text")));
    assert_eq!(
        signed_in.get("/v1/me").await.ok(200)["email"],
        email("registered"),
        "the session is still open"
    );
    earlier.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_keep_their_state_and_unpaid_ones_can_be_paid() {
    let earlier = Earlier::open().await;
    for (name, order_state, registration_state) in [
        ("unpaid", "open", "submitted"),
        ("expired", "expired", "submitted"),
        ("processing", "processing", "submitted"),
        ("wrong-amount", "open", "submitted"),
        ("registered", "paid", "registered"),
        ("refunded", "refunded", "registered"),
        ("partially-refunded", "partiallyRefunded", "registered"),
        ("disputed", "disputed", "registered"),
    ] {
        let visitor = earlier.sign_in(name).await;
        let found = visitor.order(&json!({ "id": order(name) })).await;
        assert_eq!(found["state"], order_state, "{name}");
        assert_eq!(found["amount"], json!({ "amount": 13_000, "currency": "CAD" }), "{name}");
        assert_eq!(visitor.registration_state().await, registration_state, "{name}");
    }
    for (name, refusal) in [
        ("processing", "order-processing"),
        ("wrong-amount", "order-under-review"),
        ("registered", "order-paid"),
        ("refunded", "order-not-owed"),
    ] {
        let checkout = format!("/v1/orders/{}/checkout", order(name));
        earlier.sign_in(name).await.press(&checkout).await.refused(409, refusal);
    }

    // The checkout of the earlier version, a new one that replaces an expired one, and one of a new registration.
    let unpaid = earlier.sign_in("unpaid").await;
    let mut open = unpaid.order(&json!({ "id": order("unpaid") })).await;
    // The earlier service listened at another port.
    let path =
        open["checkoutUrl"].as_str().and_then(|url| url.find("/sandbox").map(|at| url[at..].to_owned()));
    open["checkoutUrl"] = path.into();
    pay_and_print(&unpaid, &open).await;
    let expired = earlier.sign_in("expired").await;
    let next = expired.press(&format!("/v1/orders/{}/checkout", order("expired"))).await.ok(200);
    pay_and_print(&expired, &next).await;
    let new = earlier.sign_in("without-form").await;
    let registered = new.post("/v1/registration", &form(&new_student_id())).await.ok(201);
    pay_and_print(&new, &registered["order"]).await;
    earlier.finish().await;
}

/// Pays an order that is not paid yet, and prints the ticket.
async fn pay_and_print(student: &Visitor, order: &Value) {
    student.get("/v1/ticket").await.refused(404, "not-registered");
    student.press_button(order, "pay").await;
    assert_eq!(student.registration_state().await, "registered");
    prints_a_ticket(student).await;
}

async fn prints_a_ticket(student: &Visitor) {
    let name = student.get("/v1/registration").await.ok(200)["legalName"].clone();
    let pdf = student.get("/v1/ticket.pdf").await;
    assert_eq!(pdf.status, 200, "{}", pdf.text());
    assert!(text_of_pdf(&pdf.bytes).contains(name.as_str().expect("a text")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_stay_valid_and_print() {
    let earlier = Earlier::open().await;
    let registered = earlier.sign_in("registered").await;
    let (ticket, before) = (registered.get("/v1/ticket").await.ok(200), &person("registered")["ticket"]);
    for same in ["token", "issuedAt", "group", "receipt"] {
        assert_eq!(ticket[same], before[same]);
    }
    prints_a_ticket(&registered).await;
    earlier.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_run_and_waiting_emails_are_sent() {
    let earlier = Earlier::open().await;
    earlier.app.clock.advance(Duration::from_mins(10));
    earlier.app.mailbox(email("waiting")).email("password").await;
    earlier.app.settle().await;
    assert_eq!(earlier.mail("waiting", "password-reset").await.state, MailState::Sent);

    // The bank's answer was a job of the sandbox.
    let pays_later = earlier.sign_in("pays-later").await;
    assert_eq!(pays_later.registration_state().await, "registered");
    prints_a_ticket(&pays_later).await;
    earlier.app.mailbox(email("pays-later")).email("ticket").await;

    for (name, template, state) in [
        ("failed", "password-reset", MailState::Failed),
        ("suppressed", "password-reset", MailState::Suppressed),
        ("obsolete", "confirm-address", MailState::Obsolete),
    ] {
        assert_eq!(earlier.mail(name, template).await.state, state, "{name}");
    }
    earlier.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_emails_that_were_sent_still_work() {
    let earlier = Earlier::open().await;
    let anybody = earlier.app.anonymous();
    let token = |name: &str| person(name)["token"].clone();

    let confirmation = json!({ "token": token("unconfirmed") });
    anybody.post("/v1/accounts/confirm", &confirmation).await.ok(204);
    earlier.sign_in("unconfirmed").await;

    let change = earlier.sign_in("changes-email").await;
    assert_eq!(change.get("/v1/me").await.ok(200)["pendingEmail"], "changed-email@example.org");
    anybody.post("/v1/me/email/confirm", &json!({ "token": token("changes-email") })).await.ok(204);
    earlier.sign_in_as("changed-email@example.org", password()).await;

    let reset = json!({ "token": token("forgetful"), "password": "nine slow otters drift at noon" });
    anybody.post("/v1/password-resets/complete", &reset).await.ok(204);
    earlier.sign_in_as(email("forgetful"), "nine slow otters drift at noon").await;
    earlier.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_may_do_more_than_before() {
    let earlier = Earlier::open().await;
    let leader = earlier.sign_in("leader").await;
    let account = leader.get("/v1/me").await.ok(200);
    let rights =
        |account: &Value| (account["role"].clone(), account["approved"].clone(), account["scopes"].clone());
    assert_eq!(rights(&account), (json!("leader"), json!(false), json!([])));
    leader.get("/v1/registration").await.refused(403, "students-only");
    leader.get("/v1/suppressions").await.refused(403, "not-approved");

    let administrator = earlier.sign_in("administrator").await;
    let account = administrator.get("/v1/me").await.ok(200);
    assert_eq!(rights(&account), (json!("leader"), json!(true), json!(["admin:all"])));
    let list = administrator.get("/v1/suppressions").await.ok(200);
    assert_eq!(list["items"][0]["address"], email("suppressed"));
    let entry = format!("/v1/suppressions/{}", list["items"][0]["id"].as_str().expect("an id"));
    administrator.delete(&entry).await.ok(204);
    earlier.finish().await;
}
