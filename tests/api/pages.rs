//! The HTML pages that emails link to.

use reqwest::Method;
use reqwest::header::{ACCEPT, HOST};
use serde_json::json;

use crate::support::{Answer, PASSWORD, TestApp, Visitor};
use crate::v1_accounts::{OTHER_PASSWORD, credentials, sign_up_of};

/// Requests a page as browsers do.
pub async fn open(visitor: &Visitor, path: &str) -> Answer {
    visitor.send(visitor.request(Method::GET, path).header(ACCEPT, "text/html,*/*;q=0.8")).await
}

fn is_closed_page(answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!answer.text().contains("<script"), "pages have no scripts");
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_link_of_an_email_changes_nothing_until_its_button_is_pressed() {
    let app = TestApp::start().await;
    let (visitor, mailbox) = (app.anonymous(), app.mailbox("ana@mail.example.edu"));
    let signs_in = async |email: &str, password: &str| {
        visitor.post("/v1/session", &credentials(email, password)).await.status == 200
    };
    visitor.post("/v1/accounts", &sign_up_of("ana@mail.example.edu")).await.ok(202);
    let token = mailbox.token("Confirm your address").await;
    let link = format!("/confirm?token={token}");
    for _ in 0..2 {
        let page = open(&visitor, &link).await;
        assert_eq!(page.status, 200);
        is_closed_page(&page);
    }
    visitor.send(visitor.request(Method::HEAD, &link)).await;
    assert!(!signs_in("ana@mail.example.edu", PASSWORD).await);
    let pressed = visitor.submit("/confirm", &[("token", &token)]).await;
    assert_eq!(pressed.status, 200);
    is_closed_page(&pressed);
    assert!(signs_in("ana@mail.example.edu", PASSWORD).await);
    assert_eq!(visitor.submit("/confirm", &[("token", &token)]).await.status, 410);

    visitor.post("/v1/password-resets", &json!({ "email": "ana@mail.example.edu" })).await.ok(202);
    let token = mailbox.token("Choose a new password").await;
    assert_eq!(open(&visitor, &format!("/reset-password?token={token}")).await.status, 200);
    let pressed = visitor.submit("/reset-password", &[("token", &token), ("password", OTHER_PASSWORD)]).await;
    assert_eq!(pressed.status, 200);
    assert!(signs_in("ana@mail.example.edu", OTHER_PASSWORD).await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_confirmed_on_its_page() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let body = json!({ "currentPassword": PASSWORD, "email": "new@mail.example.edu" });
    student.put("/v1/me/email", &body).await.ok(202);
    let token = app.mailbox("new@mail.example.edu").token("Confirm your new address").await;
    let anonymous = app.anonymous();
    is_closed_page(&open(&anonymous, &format!("/confirm-email?token={token}")).await);
    assert_ne!(student.get("/v1/me").await.ok(200)["email"], "new@mail.example.edu");
    assert_eq!(anonymous.submit("/confirm-email", &[("token", &token)]).await.status, 200);
    assert_eq!(student.get("/v1/me").await.ok(200)["email"], "new@mail.example.edu");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_sent_to_a_page_gets_an_error_page() {
    let app = TestApp::start().await;
    let visitor = app.anonymous();
    for path in ["/confirm", "/confirm-email", "/reset-password"] {
        let request = visitor.request(Method::POST, path).header(ACCEPT, "text/html");
        let sent = request.form(&[("token", "\u{0}<script>"), ("password", "x")]);
        let answer = visitor.send(sent).await;
        assert_eq!(answer.status, 404, "{path}");
        is_closed_page(&answer);
        let request = visitor.request(Method::POST, path).header(ACCEPT, "text/html");
        let sent = request.header("content-type", "application/x-www-form-urlencoded").body(vec![0xff; 20]);
        assert!(visitor.send(sent).await.status.is_client_error(), "{path}");
        let request = visitor.request(Method::POST, path).header(ACCEPT, "text/html").body("no form");
        assert!(visitor.send(request).await.status.is_client_error(), "{path}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_requested_under_another_name_of_this_machine_redirects_to_ours() {
    let app = TestApp::start().await;
    let visitor = app.anonymous();
    let port = app.config.listen.port();
    let ask = async |host: String, accept: &str| {
        let request = visitor.request(Method::GET, "/confirm?token=a.b").header(ACCEPT, accept);
        visitor.send(request.header(HOST, host)).await
    };
    let answer = ask(format!("localhost:{port}"), "text/html").await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), Some(&*format!("{}/confirm?token=a.b", app.url)));
    assert_eq!(ask(format!("127.0.0.1:{port}"), "text/html").await.status, 200);
    ask(format!("evil.example:{port}"), "text/html").await.refused(421, "unknown-host");
    let api = visitor.request(Method::GET, "/v1/event").header(HOST, format!("localhost:{port}"));
    visitor.send(api).await.ok(200);
    app.finish().await;
}
