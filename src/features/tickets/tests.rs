//! From registration and order to the ticket, over HTTP and by email.

use std::sync::Arc;

use poem::Route;
use poem::http::StatusCode;
use poem::test::{TestClient, TestResponse};

use super::{Fonts, TicketClaims, TicketError, Tickets, TicketsController, feature};
use crate::base::{Base, TestBase};
use crate::config::Product;
use crate::features::accounts::Account;
use crate::features::payments::Order;
use crate::features::registration::{AboutChange, Form, REGISTRATION_CHANGED, Registration};
use crate::http::testing;
use crate::kernel::{EmailAddress, Rights, StudentField, Timestamp};
use crate::platform::mail::{Email, Mail, RenderError, Templates};
use crate::platform::store::StoreError;

const ORDER: &str = "01997c00-0000-7000-8000-00000000abcd";

/// An answer of the form, which no ticket may show.
const SECRET: &str = "Type 1 diabetes";

struct World {
    base: TestBase,
    tickets: Arc<Tickets>,
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

impl World {
    async fn new() -> Self {
        let base = Base::for_tests().await;
        let tickets = Arc::new(Tickets::new(&base, Fonts::default()));
        Self { base, tickets }
    }

    /// The student `a`, who has submitted the form and, if told so, has paid.
    async fn student(&self, paid: bool) {
        let product: &Product = self.base.event.product(Product::ORIENTATION).unwrap();
        let order = Order::open(ORDER.into(), "a", product, address(), at(0));
        let form = Form {
            legal_name: "Ana María Lee".into(),
            student_id: "ab12345".into(),
            medical_information: Some(SECRET.into()),
            ..Form::default()
        };
        let mut registration = Registration::submit("a", form, "Omega".into(), ORDER, at(0));
        if paid {
            registration.register(at(1_788_246_000));
        }
        let account = account();
        let record = async |tx: crate::platform::store::Tx| -> Result<(), StoreError> {
            tx.put(&account).await?;
            tx.put(&order).await?;
            tx.put(&registration).await
        };
        self.base.store.transact(record).await.unwrap();
    }

    async fn get(&self, path: &str, cookie: &str) -> TestResponse {
        // The cookie `a` is the student's session, any other nobody's.
        let controller = TicketsController::new(Arc::clone(&self.tickets));
        let api = testing::api(controller, Route::new(), self.base.public_url.as_str(), |cookie| {
            (cookie == "a").then(|| ("a".to_owned(), Rights::student()))
        });
        let cookie = format!("orientation_session={cookie}");
        let host = self.base.public_url.authority().to_owned();
        TestClient::new(api.into_endpoint())
            .get(path)
            .header("host", host)
            .header("cookie", cookie)
            .send()
            .await
    }

    /// The email with the ticket.
    async fn email(&self) -> Result<Email, RenderError> {
        let about = [("account", "a".to_owned()), ("order", ORDER.to_owned())];
        self.rendered(Mail::new(format!("ticket:{ORDER}"), "ticket", &address(), about, at(0))).await
    }

    /// The email about a change.
    async fn change_email(&self, about: &AboutChange) -> Result<Email, RenderError> {
        self.rendered(Mail::named(REGISTRATION_CHANGED, "1", &address(), about, at(0))).await
    }

    async fn rendered(&self, mail: Mail) -> Result<Email, RenderError> {
        let emails = feature(&self.base, &self.tickets).emails;
        Templates::new(emails).unwrap().render(&mail).await
    }

    /// Moves the student to another group.
    async fn move_to(&self, group: &str, now: Timestamp) {
        let moved = self.base.store.transact(async |tx| {
            let mut registration: Registration = tx.get("a").await?.unwrap();
            registration.move_to(group, now);
            tx.put(&registration).await
        });
        moved.await.unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
}

fn address() -> EmailAddress {
    EmailAddress::parse("ana@example.org").unwrap()
}

fn account() -> Account {
    serde_json::from_value(serde_json::json!({
        "id": "a", "email": "ana@example.org", "emailKey": "ana@example.org", "firstName": "Ana", "lastName": "Lee",
        "preferredName": "Annie", "role": "student", "approval": "approved", "scopes": [], "passwordHash": "",
        "passwordVersion": 1, "createdAt": "2026-08-01T12:00:00.000Z"
    }))
    .unwrap()
}

#[tokio::test]
async fn there_is_no_ticket_until_the_registration_is_paid() {
    let world = World::new().await;
    assert!(matches!(world.tickets.ticket("a").await, Err(TicketError::NotRegistered)));
    world.student(false).await;
    assert!(matches!(world.tickets.ticket("a").await, Err(TicketError::NotRegistered)));
    for path in ["/v1/ticket", "/v1/ticket.png", "/v1/ticket.svg", "/v1/ticket.pdf"] {
        let refused = world.get(path, "a").await;
        refused.assert_status(StatusCode::NOT_FOUND);
        refused.assert_content_type("application/problem+json");
        world.get(path, "x").await.assert_status(StatusCode::UNAUTHORIZED);
    }
    assert!(matches!(world.email().await, Err(RenderError::Obsolete(_))));
}

#[tokio::test]
async fn the_token_names_the_order_and_is_the_same_each_time() {
    let world = World::new().await;
    world.student(true).await;
    let token = world.tickets.ticket("a").await.unwrap().token;
    let claims = TicketClaims::verify(world.base.keys.tickets(), &token).unwrap();
    assert_eq!(claims.order.to_string(), ORDER);
    assert_eq!(claims.issued_at, at(1_788_246_000));
    assert_eq!(world.tickets.ticket("a").await.unwrap().token, token);
}

#[tokio::test]
async fn a_student_who_is_moved_gets_a_younger_ticket_and_the_same_receipt() {
    let world = World::new().await;
    world.student(true).await;
    let former = world.tickets.ticket("a").await.unwrap();
    world.move_to("Psi", at(1_788_246_060)).await;
    let ticket = world.tickets.ticket("a").await.unwrap();
    let claims = TicketClaims::verify(world.base.keys.tickets(), &ticket.token).unwrap();
    assert_eq!((claims.order.to_string().as_str(), claims.issued_at), (ORDER, at(1_788_246_060)));
    assert_eq!((ticket.group.as_str(), ticket.symbol.as_str()), ("Psi", "ψ"));
    assert_eq!(ticket.registered_at, former.registered_at);
    assert_ne!(ticket.token, former.token);
}

#[tokio::test]
async fn the_email_about_a_change_names_the_group_or_the_fields_and_has_the_ticket_if_there_is_one() {
    let world = World::new().await;
    let fields = AboutChange::of_fields("a", [StudentField::LegalName, StudentField::MedicalInformation]);
    let obsolete = world.change_email(&fields).await;
    assert!(matches!(obsolete, Err(RenderError::Obsolete(_))));
    for paid in [false, true] {
        world.student(paid).await;
        let moved = world.change_email(&AboutChange::of_group("a")).await.unwrap();
        assert_eq!(
            (moved.subject.as_str(), moved.attachments.len()),
            ("Your group is now Omega ω", paid.into())
        );
        let corrected = world.change_email(&fields).await.unwrap();
        assert_eq!(corrected.attachments.len(), usize::from(paid));
        for text in [&corrected.text, &corrected.html] {
            assert!(text.contains("Annie") && text.contains("Legal name"), "{text}");
            assert!(!text.contains(SECRET) && !text.contains("ab12345"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_ticket_is_shown_with_its_group_its_receipt_and_where_its_files_are() {
    let world = World::new().await;
    world.student(true).await;
    let answer = world.get("/v1/ticket", "a").await;
    answer.assert_status_is_ok();
    answer.assert_header("cache-control", "private, no-cache");
    let body: serde_json::Value =
        serde_json::from_str(&answer.0.into_body().into_string().await.unwrap()).unwrap();
    assert_eq!(body["group"], serde_json::json!({ "name": "Omega", "symbol": "ω" }));
    assert_eq!(body["receipt"]["number"], ORDER);
    assert_eq!(body["receipt"]["total"], serde_json::json!({ "amount": 13_000, "currency": "CAD" }));
    assert_eq!(body["downloads"]["pdf"], format!("{}v1/ticket.pdf", world.base.public_url));
    assert!(!body.to_string().contains(SECRET));
}

#[tokio::test]
async fn the_files_are_what_they_say() {
    let world = World::new().await;
    world.student(true).await;
    let files = [
        ("png", "image/png", "\u{fffd}PNG"),
        ("svg", "image/svg+xml", "<svg"),
        ("pdf", "application/pdf", "%PDF"),
    ];
    for (kind, content_type, begins) in files {
        let answer = world.get(&format!("/v1/ticket.{kind}"), "a").await;
        answer.assert_status_is_ok();
        answer.assert_content_type(content_type);
        answer.assert_header("content-disposition", format!("inline; filename=\"ticket.{kind}\""));
        answer.assert_header("cache-control", "private, no-cache");
        let bytes = answer.0.into_body().into_vec().await.unwrap();
        assert!(String::from_utf8_lossy(&bytes).starts_with(begins), "{kind}");
    }
}

#[tokio::test]
async fn the_public_keys_are_for_everybody_to_keep_a_while() {
    let world = World::new().await;
    let answer = world.get("/v1/ticket-keys", "x").await;
    answer.assert_status_is_ok();
    answer.assert_header("cache-control", "public, max-age=300");
    let body: serde_json::Value =
        serde_json::from_str(&answer.0.into_body().into_string().await.unwrap()).unwrap();
    assert_eq!(body["keys"][0]["kid"], world.base.keys.tickets().current().id());
    assert_eq!(body["keys"][0]["current"], true);
    assert_eq!(body["keys"][0]["publicKey"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn the_email_has_the_ticket_and_no_answers_of_the_form() {
    let world = World::new().await;
    world.student(true).await;
    let email = world.email().await.unwrap();
    let [file] = &email.attachments[..] else { panic!("one file") };
    assert_eq!((file.name.as_str(), file.content_type.as_str()), ("ticket.pdf", "application/pdf"));
    assert!(file.bytes.starts_with(b"%PDF"));
    for text in [&email.text, &email.html] {
        assert!(text.contains("Annie") && text.contains("Omega") && text.contains("CAD 130.00"), "{text}");
        assert!(!text.contains(SECRET) && !text.contains("ab12345"), "{text}");
    }
}
