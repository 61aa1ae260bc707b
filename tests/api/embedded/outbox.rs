//! The outbox, and the first page, which links to it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::pages::open;
use crate::real_input::join;
use crate::support::{TestApp, Visitor};
use crate::v1_accounts::sign_up_of;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_combining_marks_before_the_at_sign_gets_its_emails() {
    let app = TestApp::start().await;
    for (typed, address) in
        [("कर्म@example.org", "कर्म@example.org"), ("jo\u{308}rg@example.org", "jörg@example.org")]
    {
        let student = join(&app, &sign_up_of(typed), address).await;
        assert_eq!(student.get("/v1/me").await.ok(200)["email"], address);
        app.mailbox(address).email("Welcome").await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_links_to_all_others() {
    let app = TestApp::start().await;
    let visitor = app.anonymous();
    let first = open(&visitor, "/").await;
    assert_eq!(first.status, 200);
    for path in ["/docs", "/openapi.json", "/outbox", "/mails", "/health/ready"] {
        assert!(first.text().contains(&format!("href=\"{path}\"")), "{path}");
        assert_eq!(open(&visitor, path).await.status, 200, "{path}");
    }
    let missing = open(&visitor, "/nothing").await;
    assert_eq!(missing.status, 404);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_rehearsal_every_page_says_so_and_only_administrators_see_emails() {
    let app = TestApp::start_with(|config| config.rehearsal = true).await;
    let (student, leader) = (app.student().await, app.leader().await);
    let (anonymous, administrator) = (app.anonymous(), app.administrator().await);
    anonymous.post("/v1/password-resets", &json!({ "email": student.email() })).await.ok(202);
    app.settle().await;
    let emails = administrator.get("/outbox.json").await.ok(200);
    let id = emails["items"][0]["id"].as_str().expect("an email").to_owned();
    assert!(emails["items"][0]["text"].as_str().expect("a text").contains("REHEARSAL"));
    let below = ["/outbox.json", "/outbox", &format!("/outbox/{id}"), &format!("/outbox/{id}/html")];
    for path in below {
        for (visitor, status) in [(&anonymous, 401), (&student, 403), (&leader, 403), (&administrator, 200)] {
            let answer = open(visitor, path).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.text().contains("token="), status == 200 && path != "/outbox", "{path}");
        }
    }
    for path in ["/mails", "/mails/welcome", "/mails/welcome/html"] {
        for (visitor, status) in [(&anonymous, 401), (&student, 403), (&leader, 403), (&administrator, 200)] {
            assert_eq!(open(visitor, path).await.status, status, "{path}");
        }
    }
    for path in ["/", "/confirm?token=x", "/confirm-email", "/reset-password", "/checkout/done"] {
        assert!(open(&anonymous, path).await.text().contains("REHEARSAL"), "{path}");
    }
    app.finish().await;
}

/// The addresses on a page that begin like this.
fn links(page: &str, prefix: &str) -> BTreeSet<String> {
    let after = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    after.filter(|link| link.starts_with(prefix)).map(str::to_owned).collect()
}

async fn shown(visitor: &Visitor, path: &str) -> String {
    let page = open(visitor, path).await;
    assert_eq!(page.status, 200, "{path}");
    page.text()
}

/// What a template leaves behind if a value is missing.
const GAPS: [&str; 11] =
    ["{", "}", "None", "Some(", "Hello ,", "Hello\n", "Hi ,", " ,", "&#34;&#34;", "()", ": ."];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_email_has_samples_without_gaps() {
    let app = TestApp::start().await;
    let visitor = app.anonymous();
    let kinds = links(&shown(&visitor, "/mails").await, "/mails/");
    assert!(kinds.len() >= 24, "{kinds:?}");
    for kind in kinds {
        let first = shown(&visitor, &kind).await;
        for sample in links(&first, &format!("{kind}?")).into_iter().chain([kind.clone()]) {
            let page = shown(&visitor, &sample).await;
            let text = page.split("<pre").nth(1).and_then(|rest| rest.split_once('>')).expect("a text").1;
            let text = text.split("</pre>").next().unwrap_or_default();
            for gap in GAPS {
                assert!(!text.contains(gap), "{sample} has a gap, {gap:?}: {text}");
            }
            let html = shown(&visitor, &sample.replacen(&kind, &format!("{kind}/html"), 1)).await;
            assert!(html.contains("</html>") && !html.contains("{{") && !html.contains("cid:"), "{html}");
        }
    }
    app.finish().await;
}
