use poem::test::TestClient;
use poem::{Endpoint, Response, Route};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::super::service::tests::Desk;
use super::*;
use crate::config::{Question, QuestionKind};
use crate::http::{Api, testing};
use crate::kernel::Rights;

/// The interface, in which the cookie is the account's id. `lead` is a leader's.
fn api(desk: &Desk) -> Api {
    let controller = RegistrationController::new(desk.registrations.clone());
    testing::api(controller, Route::new(), "http://127.0.0.1:3000", |cookie| {
        let rights = if cookie == "lead" { Rights::leader([]) } else { Rights::student() };
        Some((cookie.to_owned(), rights))
    })
}

struct Browser<E>(TestClient<E>);

impl<E: Endpoint<Output = Response>> Browser<E> {
    /// Sends a request of `account`. Returns the status and the body of the answer.
    async fn ask(&self, method: poem::http::Method, account: &str, body: Value) -> (u16, Value) {
        let request = self.0.request(method, "/v1/registration");
        let request = request.header("cookie", format!("orientation_session={account}"));
        let request = request.header("origin", "http://127.0.0.1:3000").header("host", "127.0.0.1:3000");
        let answer =
            if body.is_null() { request.send().await } else { request.body_json(&body).send().await };
        let status = answer.0.status().as_u16();
        (status, answer.0.into_body().into_json().await.unwrap())
    }

    async fn post(&self, account: &str, body: Value) -> (u16, Value) {
        self.ask(poem::http::Method::POST, account, body).await
    }

    async fn patch(&self, account: &str, body: Value) -> (u16, Value) {
        self.ask(poem::http::Method::PATCH, account, body).await
    }

    async fn get(&self, account: &str) -> (u16, Value) {
        self.ask(poem::http::Method::GET, account, Value::Null).await
    }
}

/// The example of a schema, as Swagger UI fills it in.
fn example(api: &Api, schema: &str) -> Value {
    api.document().value()["components"]["schemas"][schema]["example"].clone()
}

fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let all = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|one| (one["pointer"].as_str().unwrap(), one["code"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_examples_of_the_document_work() {
    let desk = Desk::open().await;
    desk.account("ana").await;
    let api = api(&desk);
    let (form, changes) = (example(&api, "RegistrationForm"), example(&api, "RegistrationChanges"));
    let browser = Browser(TestClient::new(api.into_endpoint()));
    let (status, created) = browser.post("ana", form.clone()).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["registration"]["group"], json!({ "name": "Alpha", "symbol": "α" }));
    assert_eq!(created["registration"]["state"], "submitted");
    assert_eq!(created["registration"]["medicalInformation"], form["medicalInformation"]);
    assert!(created["order"]["checkoutUrl"].is_string());
    let (status, changed) = browser.patch("ana", changes.clone()).await;
    assert_eq!((status, &changed["movingMonth"]), (200, &changes["movingMonth"]), "{changed}");
    assert_eq!(browser.get("ana").await, (200, changed));
}

#[tokio::test]
async fn null_clears_optional_properties_and_nothing_fixed_or_unknown_is_written() {
    let desk = Desk::open().await;
    desk.account("ana").await;
    let api = api(&desk);
    let form = example(&api, "RegistrationForm");
    let browser = Browser(TestClient::new(api.into_endpoint()));
    browser.post("ana", form).await;
    let (status, changed) =
        browser.patch("ana", json!({ "medicalInformation": null, "dietary": null })).await;
    assert_eq!((status, changed.get("medicalInformation"), &changed["dietary"]), (200, None, &json!([])));
    let refused = json!({ "phone": null, "legalName": "Eve", "photoConsent": false });
    let (status, problem) = browser.patch("ana", refused).await;
    let expected = [
        ("/legalName", "fixed-after-submitting"),
        ("/phone", "missing"),
        ("/photoConsent", "fixed-after-submitting"),
    ];
    assert_eq!((status, errors(&problem)), (422, expected.to_vec()));
    for foreign in ["group", "state", "orderId", "registeredAt", "isRegistered"] {
        let (status, problem) = browser.patch("ana", json!({ foreign: "Beta" })).await;
        let pointer = format!("/{foreign}");
        assert_eq!((status, errors(&problem)), (422, vec![(pointer.as_str(), "unknown-property")]));
    }
    assert_eq!(browser.get("ana").await.1, changed);
}

#[tokio::test]
async fn every_refusal_has_its_type() {
    let desk = Desk::open().await;
    desk.account("ana").await.account("bo").await;
    let api = api(&desk);
    let form = example(&api, "RegistrationForm");
    let browser = Browser(TestClient::new(api.into_endpoint()));
    let kind = |(status, problem): (u16, Value)| (status, problem["type"].as_str().unwrap_or("").to_owned());
    let refusal = |status: u16, slug: &str| (status, format!("/problems/{slug}"));
    assert_eq!(kind(browser.get("ana").await), refusal(404, "no-registration"));
    assert_eq!(kind(browser.patch("ana", json!({})).await), refusal(404, "no-registration"));
    assert_eq!(kind(browser.post("lead", form.clone()).await), refusal(403, "students-only"));
    assert_eq!(browser.post("ana", form.clone()).await.0, 201);
    assert_eq!(kind(browser.post("ana", form.clone()).await), refusal(409, "already-registered"));
    assert_eq!(kind(browser.post("bo", form.clone()).await), refusal(409, "student-id-taken"));
    desk.base.clock.advance(std::time::Duration::from_hours(24 * 365 * 80));
    let (status, problem) = browser.post("bo", form).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/registration-closed")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("1 January 2020, 00:00 (America/Toronto)"), "{detail}");
}

/// Any JSON, nested up to three levels.
fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>().prop_map(Value::from), any::<u64>().prop_map(Value::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        let id = prop_oneof![Just("bus".to_owned()), Just("day".to_owned()), ".{0,5}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(id, inner, 0..5).prop_map(|all| all.into_iter().collect()),
        ]
    })
}

#[tokio::test]
async fn no_json_in_the_answers_is_more_than_an_error() {
    let mut event = Event::shipped();
    event.form.questions = vec![
        Question::for_tests("bus", QuestionKind::SeveralOf { options: vec!["a".into()], max_choices: 1 }),
        Question::for_tests("day", QuestionKind::Date { from: None, until: None }),
    ];
    let rules = rules(&Arc::new(event.clone()));
    let desk = Desk::with(event, true).await;
    desk.account("ana").await;
    let api = api(&desk);
    let mut form = example(&api, "RegistrationForm");
    let browser = Browser(TestClient::new(api.into_endpoint()));
    let mut runner = TestRunner::deterministic();
    assert_eq!(browser.post("ana", form.clone()).await.0, 201);
    for i in 0..300 {
        let answers = any_json().new_tree(&mut runner).unwrap().current();
        form["answers"] = answers.clone();
        rules.iter().for_each(|(_, errors)| drop(errors(&form)));
        let (status, problem) = browser.patch("ana", json!({ "answers": answers })).await;
        assert!([200, 422].contains(&status), "{answers}: {problem}");
        // Attempts to register are limited.
        if i < 50 {
            let (status, problem) = browser.post("ana", form.clone()).await;
            assert!([409, 422].contains(&status), "{answers}: {problem}");
        }
    }
}
