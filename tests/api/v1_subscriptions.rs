//! `/unsubscribe` and `/v1/me/subscription`.

use orientation::features::accounts::Account;
use orientation::platform::store::StoreError;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, ORIGIN};
use serde_json::json;

use crate::support::{Answer, TestApp, Visitor, reaches_all_of};

/// Whether the visitor gets announcements and mailings, as the profile says.
async fn is_subscribed(visitor: &Visitor) -> bool {
    visitor.get("/v1/me").await.ok(200)["subscribed"].as_bool().expect("a flag")
}

/// The path of the page behind the link of this visitor, who has unsubscribed by it.
async fn link_of(app: &TestApp, visitor: &Visitor) -> String {
    visitor.delete("/v1/me/subscription").await.ok(204);
    format!("/unsubscribe?token={}", app.mailbox(visitor.email()).token("You have unsubscribed").await)
}

/// What a mail program sends when its user presses *Unsubscribe* (RFC 8058, section 3.2).
async fn one_click(client: &Visitor, link: &str) -> Answer {
    client.submit(link, &[("List-Unsubscribe", "One-Click")]).await
}

async fn one_click_in_parts(client: &Visitor, link: &str) -> Answer {
    let body =
        "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    let request = client.request(Method::POST, link);
    client.send(request.header(CONTENT_TYPE, "multipart/form-data; boundary=b").body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_click_works_without_a_session_twice_and_for_nobody_else() {
    let app = TestApp::start().await;
    let (ana, bo, mail_program) = (app.student().await, app.student().await, app.anonymous());
    assert!(is_subscribed(&ana).await);
    let link = link_of(&app, &ana).await;
    for in_parts in [false, true] {
        // An email that is not sent yet is obsolete once the account is subscribed again.
        app.settle().await;
        ana.put_empty("/v1/me/subscription").await.ok(204);
        for _ in 0..2 {
            let answer = match in_parts {
                true => one_click_in_parts(&mail_program, &link).await,
                false => one_click(&mail_program, &link).await,
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.cookie().is_none() && answer.text().contains("You have unsubscribed"));
            assert!(!is_subscribed(&ana).await);
        }
    }
    assert!(is_subscribed(&bo).await);
    app.settle().await;
    let emails = app.mailbox(ana.email()).emails().await;
    assert_eq!(emails.len(), 3, "one for each change: {emails:?}");
    assert!(app.mailbox(bo.email()).emails().await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_changes_nothing_when_it_is_opened_and_has_one_button_for_each_way() {
    let app = TestApp::start().await;
    let (ana, visitor) = (app.student().await, app.anonymous());
    let link = link_of(&app, &ana).await;
    for (button, subscribed) in [("Subscribe again", true), ("Unsubscribe", false)] {
        let page = visitor.get(&link).await.text();
        assert_eq!(page.matches("<button").count(), 1);
        assert!(page.contains(&format!(">{button}</button>")), "{page}");
        assert_eq!(is_subscribed(&ana).await, !subscribed, "it was only opened");
        let press = if subscribed { "subscribe" } else { "unsubscribe" };
        assert_eq!(visitor.submit(&link, &[("press", press)]).await.status, 200);
        assert_eq!(is_subscribed(&ana).await, subscribed);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_but_the_forms_of_the_page_changes_nothing() {
    let app = TestApp::start().await;
    let (ana, visitor) = (app.student().await, app.anonymous());
    let link = link_of(&app, &ana).await;
    ana.put_empty("/v1/me/subscription").await.ok(204);
    for fields in [&[][..], &[("List-Unsubscribe", "yes")], &[("press", "delete")]] {
        assert_eq!(visitor.submit(&link, fields).await.status, 400, "{fields:?}");
    }
    let broken = visitor.request(Method::POST, &link).header(CONTENT_TYPE, "multipart/form-data").body("x");
    assert!(visitor.send(broken).await.status.is_client_error());
    for other in
        ["/unsubscribe".to_owned(), link.replace("token=", "token=x"), link[..link.len() - 1].to_owned()]
    {
        assert_eq!(one_click(&visitor, &other).await.status, 404, "{other}");
        assert_eq!(visitor.get(&other).await.status, 404, "{other}");
    }
    assert!(is_subscribed(&ana).await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_page_when_the_form_is_too_large_or_pressed_too_often() {
    let app = TestApp::start_with(|config| config.limits = 0.1).await;
    let (ana, visitor) = (app.student().await, app.anonymous());
    let link = link_of(&app, &ana).await;
    let press = async |body: String| {
        let form = (CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = visitor.request(Method::POST, &link).header(ACCEPT, "text/html").header(form.0, form.1);
        visitor.send(request.body(body)).await
    };
    let page = press("x".repeat(300_000)).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (413, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<h1>Too large</h1>"), "{}", page.text());
    assert_eq!(press("press=subscribe".into()).await.status, 200);
    let page = press("press=subscribe".into()).await;
    let minutes =
        page.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok()).expect("seconds") / 60;
    assert_eq!((page.status.as_u16(), minutes > 30), (429, true), "the quota is of an hour: {minutes}");
    assert!(page.text().contains(" minutes."), "{}", page.text());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_may_come_from_any_origin_and_the_session_does_not_count() {
    let app = TestApp::start().await;
    let (ana, bo) = (app.student().await, app.student().await);
    let link = link_of(&app, &ana).await;
    ana.put_empty("/v1/me/subscription").await.ok(204);
    let webmail = app.anonymous();
    let request = webmail.request(Method::POST, &link).header(ORIGIN, "https://mail.example.com");
    let request = request.header(COOKIE, bo.cookie.clone().expect("signed in"));
    assert_eq!(webmail.send(request.form(&[("List-Unsubscribe", "One-Click")])).await.status, 200);
    assert_eq!((is_subscribed(&ana).await, is_subscribed(&bo).await), (false, true));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_click_for_an_account_that_is_gone_succeeds() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let link = link_of(&app, &ana).await;
    let id = ana.account().id.as_str();
    let deleted: Result<bool, StoreError> =
        app.store.transact(async |tx| tx.delete::<Account>(id).await).await;
    deleted.expect("deleted");
    assert_eq!(one_click(&app.anonymous(), &link).await.status, 200);
    assert_eq!(app.anonymous().get(&link).await.status, 404);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_emails_still_arrive() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    ana.delete("/v1/me/subscription").await.ok(204);
    app.anonymous().post("/v1/password-resets", &json!({ "email": ana.email() })).await.ok(202);
    app.mailbox(ana.email()).token("password").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_subscriptions_is_reached() {
    reaches_all_of("Subscriptions", async |reach| {
        let app = reach.start().await;
        let ana = app.student().await;
        ana.delete("/v1/me/subscription").await.ok(204);
        ana.put_empty("/v1/me/subscription").await.ok(204);
        reach.without_a_store(&app, &ana, &[]).await;
        app.finish().await;

        let app = reach.start_with(|config| config.limits = 0.01).await;
        let ana = app.student().await;
        ana.put_empty("/v1/me/subscription").await.ok(204);
        ana.put_empty("/v1/me/subscription").await.refused(429, "too-many-requests");
        app.finish().await;
    })
    .await;
}
