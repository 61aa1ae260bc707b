//! A student's way, from sign-up to the ticket.

use serde_json::json;

use crate::support::{PASSWORD, TestApp, form};

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_signs_up_confirms_signs_in_registers_pays_and_gets_a_ticket() {
    let app = TestApp::start().await;
    let (mut ana, mailbox) = (app.anonymous(), app.mailbox("ana@mail.example.edu"));
    let body = json!({ "email": "Ana@mail.example.edu", "password": PASSWORD, "firstName": "Ana", "lastName": "García" });
    ana.post("/v1/accounts", &body).await.ok(202);
    let token = mailbox.token("Confirm").await;
    ana.post("/v1/accounts/confirm", &json!({ "token": token })).await;

    let signed_in =
        ana.post("/v1/session", &json!({ "email": "ANA@mail.example.edu", "password": PASSWORD })).await;
    signed_in.ok(200);
    ana.cookie = signed_in.cookie();
    let registered = ana.post("/v1/registration", &form("ag123456")).await.ok(201);
    assert_eq!(registered["registration"]["state"], "submitted");
    assert_eq!(registered["order"]["amount"], json!({ "amount": 13_000, "currency": "CAD" }));
    ana.get("/v1/ticket").await.refused(404, "not-registered");

    let checkout = registered["order"]["checkoutUrl"].as_str().expect("a checkout");
    let pressed = ana.submit(checkout, &[("press", "pay")]).await;
    assert_eq!(pressed.status, 303);
    app.settle().await;
    assert_eq!(ana.get("/v1/registration").await.ok(200)["state"], "registered");
    let pdf = ana.get("/v1/ticket.pdf").await;
    assert!(pdf.bytes.starts_with(b"%PDF-"));
    assert!(mailbox.emails().await.iter().any(|email| email["attachments"][0]["type"] == "application/pdf"));
    app.finish().await;
}
