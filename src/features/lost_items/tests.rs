use std::time::Duration;

use poem::http::Method;
use poem::test::TestClient;
use poem::{Endpoint, Response, Route};
use serde_json::{Value, json};

use super::*;
use crate::base::TestBase;
use crate::features::accounts::{Account, Names, SignUp};
use crate::http::{entity_tag, testing};
use crate::kernel::{Caller, Clock, EmailAddress, Rights, Role};
use crate::platform::mail::{Mail, Template};
use crate::platform::store::Filter;

async fn base() -> TestBase {
    let base = TestBase::with_schemas(&[crate::app::schemas(), schemas()].concat()).await;
    for id in ["ana", "bo"] {
        base.store.insert(&account(id, &base)).await.unwrap();
    }
    base
}

fn account(id: &str, base: &TestBase) -> Account {
    let (email, now) = (EmailAddress::parse(&format!("{id}@example.org")).unwrap(), base.clock.now());
    let names = Names { first: "Ana".into(), last: None, preferred: None };
    let sign_up = SignUp {
        client: None,
        id: id.into(),
        email_key: email.key(),
        email,
        names,
        role: Role::Student,
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    };
    Account::confirmed(&sign_up, now)
}

/// The operations; a cookie is the id of a student's account.
fn client(base: &TestBase) -> TestClient<impl Endpoint<Output = Response>> {
    let feature = feature(base, &Arc::new(LostItems::new(base)));
    let api = testing::api(feature.controller, Route::new(), "http://127.0.0.1:3000", |cookie| {
        Some((cookie.to_owned(), Rights::student()))
    });
    TestClient::new(api.into_endpoint())
}

/// Status and body of the response.
async fn send<E: Endpoint<Output = Response>>(
    client: &TestClient<E>,
    account: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let request = client.request(method, path).header("cookie", format!("orientation_session={account}"));
    let request = request.header("origin", "http://127.0.0.1:3000").header("host", "127.0.0.1:3000");
    let response = if body.is_null() { request.send().await } else { request.body_json(&body).send().await };
    let status = response.0.status().as_u16();
    (status, response.0.into_body().into_json().await.unwrap())
}

#[tokio::test]
async fn a_report_is_confirmed_by_email_and_shown_to_its_author_only() {
    let base = base().await;
    let client = client(&base);
    let report = json!({ "description": "  A blue umbrella " });
    let (status, item) = send(&client, "ana", Method::POST, "/v1/lost-items", report).await;
    assert_eq!((status, &item["description"]), (201, &json!("A blue umbrella")));
    let path = format!("/v1/lost-items/{}", item["id"].as_str().unwrap());
    assert_eq!(send(&client, "ana", Method::GET, &path, Value::Null).await, (200, item.clone()));
    let (status, problem) = send(&client, "bo", Method::GET, &path, Value::Null).await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/no-such-lost-item")));

    let mail = format!("lost-item-reported:{}", item["id"].as_str().unwrap());
    let mail: Mail = base.store.get(&mail).await.unwrap().unwrap();
    let email = mails::LostItemReported::new(&base).render(&mail).await.unwrap();
    assert_eq!(mail.to.as_str(), "ana@example.org");
    for part in [&email.text, &email.html] {
        assert!(part.contains("A blue umbrella"), "{part}");
    }
}

#[tokio::test]
async fn reports_are_validated_and_limited() {
    let base = base().await.with_limits();
    let client = client(&base);
    let post = async |body: Value| send(&client, "ana", Method::POST, "/v1/lost-items", body).await;
    let (status, problem) = post(json!({ "description": "", "reward": 5 })).await;
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!((status, errors.len()), (422, 2), "{problem}");
    let report = json!({ "description": "A blue umbrella" });
    for _ in 0..10 {
        assert_eq!(post(report.clone()).await.0, 201);
    }
    assert_eq!(post(report.clone()).await.0, 429);
    base.clock.advance(Duration::from_hours(2));
    for _ in 0..10 {
        assert_eq!(post(report.clone()).await.0, 201);
    }
    base.clock.advance(Duration::from_hours(2));
    let (status, problem) = post(report).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/too-many-lost-items")));
}

#[tokio::test]
async fn an_edit_names_the_version_that_it_was_made_from() {
    let base = base().await;
    let client = client(&base);
    let items = LostItems::new(&base);
    let item = items.report(&Caller::student("ana"), "An umbrella".into()).await.unwrap();
    let seen = entity_tag(&item).unwrap();
    let edit = async |if_match: Option<&str>, description: &str| {
        let request = client.patch(format!("/v1/lost-items/{}", item.id));
        let request = request.header("cookie", "orientation_session=ana").header("host", "127.0.0.1:3000");
        let request = request.header("origin", "http://127.0.0.1:3000");
        let request = request.body_json(&json!({ "description": description }));
        let response = match if_match {
            Some(tags) => request.header("if-match", tags).send().await,
            None => request.send().await,
        };
        let (status, tag) = (response.0.status().as_u16(), response.0.header("etag").map(str::to_owned));
        (status, tag, response.0.into_body().into_json::<Value>().await.unwrap())
    };
    let (status, _, problem) = edit(None, "A blue umbrella").await;
    assert_eq!((status, &problem["type"]), (428, &json!("/problems/if-match-missing")));
    let (status, changed, _) = edit(Some(&seen), "A blue umbrella").await;
    assert_eq!(status, 200);
    let (status, _, problem) = edit(Some(&seen), "A red umbrella").await;
    assert_eq!((status, &problem["type"]), (412, &json!("/problems/stale")));
    assert_eq!(items.item("ana", &item.id).await.unwrap().description, "A blue umbrella");
    assert_eq!(edit(changed.as_deref(), "A red umbrella").await.0, 200);
    assert_eq!(edit(Some(&"x".repeat(2000)), "A red umbrella").await.0, 400);
}

#[tokio::test]
async fn reports_are_listed_in_pages_and_deleted_after_30_days() {
    let base = base().await;
    let (client, items) = (client(&base), Arc::new(LostItems::new(&base)));
    for number in 0..3 {
        items.report(&Caller::student("ana"), format!("Umbrella {number}")).await.unwrap();
    }
    let get = async |path: String| send(&client, "ana", Method::GET, &path, Value::Null).await.1;
    let first = get("/v1/lost-items?limit=2".into()).await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = get(format!("/v1/lost-items?limit=2&cursor={cursor}")).await;
    let descriptions = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["description"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(descriptions(&first), ["Umbrella 2", "Umbrella 1"]);
    assert_eq!((descriptions(&second), second.get("nextCursor")), (vec![json!("Umbrella 0")], None));

    base.clock.advance(Duration::from_hours(31 * 24));
    assert_eq!(subscribers::old_reports().run(&base.store, base.clock.now()).await, Ok(3));
    assert_eq!(base.store.count::<LostItem>(Filter::All).await.unwrap(), 0);
}
