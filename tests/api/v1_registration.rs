//! `/v1/registration`. `src/features/registration/controller_tests.rs` tests the refusals and what a PATCH may change;
//! here are the tests that need the whole service.

use orientation::config::{Config, Event};
use orientation::kernel::{StudentField, text};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answers;
use crate::support::{Answer, TestApp, Visitor, form, new_student_id, reaches_all_of};
use crate::v1_event::app_before_its_window;

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_returned_as_answered_and_can_be_submitted_once() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let written = form(&new_student_id());
    let answer = ana.post("/v1/registration", &written).await.ok(201);
    assert_eq!(answer["registration"], ana.get("/v1/registration").await.ok(200));
    assert_eq!(answer["order"], ana.order(&answer["order"]).await);
    assert_eq!(answer["registration"]["phone"], "+15062345678");
    ana.post("/v1/registration", &written).await.refused(409, "already-registered");

    let bo = app.student().await;
    let mut same_id = written.clone();
    same_id["studentId"] = written["studentId"].as_str().expect("a text").to_uppercase().into();
    bo.post("/v1/registration", &same_id).await.refused(409, "student-id-taken");
    bo.get("/v1/registration").await.refused(404, "no-registration");
    app.finish().await;
}

/// Submits the form under this key.
async fn register_once(student: &Visitor, key: &str, form: &Value) -> Answer {
    let request = student.request(Method::POST, "/v1/registration").header("Idempotency-Key", key);
    student.send(request.json(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_again_under_its_key_gets_the_same_registration() {
    let app = TestApp::start().await;
    let (ana, bo) = (app.student().await, app.student().await);
    let written = form(&new_student_id());
    let first = register_once(&ana, "0199a0b1", &written).await.ok(201);
    assert_eq!(register_once(&ana, "0199a0b1", &written).await.ok(201), first);
    let mut other = written.clone();
    other["joinsHunt"] = (other["joinsHunt"] != true).into();
    register_once(&ana, "0199a0b1", &other).await.refused(422, "idempotency-key-reused");
    register_once(&ana, "another", &written).await.refused(409, "already-registered");
    register_once(&ana, "", &written).await.refused(400, "bad-parameter");
    register_once(&ana, &"x".repeat(256), &written).await.refused(400, "bad-parameter");

    let another = register_once(&bo, "0199a0b1", &form(&new_student_id())).await.ok(201);
    assert_ne!(another["order"]["id"], first["order"]["id"], "each account has keys of its own");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_under_a_key_answers_after_payment_with_what_it_has_become() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let written = form(&new_student_id());
    let order = register_once(&ana, "k", &written).await.ok(201)["order"].clone();
    ana.press_button(&order, "pay").await;
    let again = register_once(&ana, "k", &written).await.ok(201);
    assert_eq!(
        (&again["registration"]["state"], &again["order"]["state"]),
        (&json!("registered"), &json!("paid"))
    );
    assert_eq!(ana.get("/v1/orders").await.ok(200)["items"].as_array().map(Vec::len), Some(1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_an_older_version_is_refused_if_it_names_its_version() {
    let app = TestApp::start().await;
    let (ana, _) = app.submitted().await;
    let edit = async |tag: &str, city: &str| {
        let request = ana.request(Method::PATCH, "/v1/registration").header("If-Match", tag);
        ana.send(request.json(&json!({ "summerCity": city }))).await
    };
    let seen = ana.get("/v1/registration").await;
    assert_eq!(seen.header("cache-control"), Some("no-store"), "it has health data");
    let seen = seen.header("etag").expect("a tag").to_owned();
    let changed = edit(&seen, "Lisbon").await;
    let now = changed.header("etag").expect("a tag").to_owned();
    assert_eq!(changed.ok(200)["summerCity"], "Lisbon");
    edit(&seen, "Porto").await.refused(412, "stale");
    assert_eq!(ana.get("/v1/registration").await.ok(200)["summerCity"], "Lisbon");
    edit(&format!("{seen}, {now}"), "Porto").await.ok(200);
    edit("*", "Faro").await.ok(200);
    ana.patch("/v1/registration", &json!({ "summerCity": "Braga" })).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_students_register() {
    let app = TestApp::start().await;
    let written = form(&new_student_id());
    app.anonymous().post("/v1/registration", &written).await.refused(401, "not-signed-in");
    for somebody in [app.leader().await, app.administrator().await] {
        somebody.post("/v1/registration", &written).await.refused(403, "students-only");
        somebody.get("/v1/registration").await.refused(403, "students-only");
        somebody
            .patch("/v1/registration", &json!({ "joinsHunt": false }))
            .await
            .refused(403, "students-only");
    }
    app.student().await.post("/v1/registration", &written).await.ok(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_are_reported_together_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let mut written = form("abc");
    written["birthDate"] = "2007-02-29".into();
    written["discipline"] = "Alchemy".into();
    written["phone"] = 5.into();
    written["emergencyContact"]["phone"] = "112".into();
    written["emergencyContact"]["petName"] = "Rex".into();
    written["legalName"] = "Ana\u{0}García".into();
    let fields = written.as_object_mut().expect("an object");
    fields.remove("joinsHunt");
    let errors = ana.post("/v1/registration", &written).await.errors();
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    // Errors of the schema, and errors of the rules in the remaining properties.
    let expected = [
        "/birthDate",
        "/discipline",
        "/emergencyContact/petName",
        "/emergencyContact/phone",
        "/joinsHunt",
        "/legalName",
        "/phone",
        "/studentId",
    ];
    assert_eq!(pointers, expected);

    written["phone"] = "+1 506-234-5678".into();
    written["joinsHunt"] = true.into();
    written["legalName"] = "".into();
    written["emergencyContact"].as_object_mut().expect("an object").remove("petName");
    let errors = ana.post("/v1/registration", &written).await.errors();
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    let expected = ["/birthDate", "/discipline", "/emergencyContact/phone", "/legalName", "/studentId"];
    assert_eq!(pointers, expected);
    ana.get("/v1/registration").await.refused(404, "no-registration");
    assert_eq!(ana.get("/v1/orders").await.ok(200)["items"], json!([]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_explain_what_breaks_a_pattern_or_is_changed() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let expected = |errors: &[(&str, &str)]| -> Vec<_> {
        errors.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
    };
    let mut written = form("abc-12");
    written["summerCountry"] = "Portugal".into();
    written["legalName"] = "".into();
    let errors =
        [("/legalName", "empty"), ("/studentId", "not-a-student-id"), ("/summerCountry", "not-a-country")];
    assert_eq!(ana.post("/v1/registration", &written).await.errors(), expected(&errors));

    ana.post("/v1/registration", &form(&new_student_id())).await.ok(201);
    let before = ana.get("/v1/registration").await.ok(200);
    let changes = json!({
        "summerCity": "x".repeat(101),
        "summerCountry": "pt",
        "legalName": "Eve",
        "phone": "1",
        "joinsHunt": null,
        "movingMonth": "Never",
    });
    let errors = [
        ("/joinsHunt", "missing"),
        ("/legalName", "fixed-after-submitting"),
        ("/movingMonth", "not-an-option"),
        ("/phone", "not-a-phone-number"),
        ("/summerCity", "too-long"),
        ("/summerCountry", "not-a-country"),
    ];
    assert_eq!(ana.patch("/v1/registration", &changes).await.errors(), expected(&errors));
    assert_eq!(ana.get("/v1/registration").await.ok(200), before);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_follow_from_another_are_not_reported() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let mut written = form("abc");
    written["pronouns"] = 5.into();
    written["pronounsOther"] = "ze/zir".into();
    written["huntTeammates"] = json!([5, "no address"]);
    written["emergencyContact"] = "Luz".into();
    let errors = ana.post("/v1/registration", &written).await.errors();
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/emergencyContact", "/huntTeammates/0", "/pronouns", "/studentId"]);
    let whole = ana.post("/v1/registration", &json!([written])).await.errors();
    assert_eq!(whole, [("".to_owned(), "wrong-type".to_owned())]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_bursary_changes_nothing_yet() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let mut written = form(&new_student_id());
    written["bursaryRequested"] = true.into();
    let order = ana.post("/v1/registration", &written).await.ok(201)["order"].clone();
    assert_eq!(order["amount"]["amount"], 13_000);
    ana.press_button(&order, "pay").await;
    assert_eq!(ana.registration_state().await, "registered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_stored_and_fixed_properties_keep_their_values() {
    let app = TestApp::start().await;
    let (ana, _) = app.registered().await;
    let before = ana.get("/v1/registration").await.ok(200);
    let changes =
        json!({ "phone": "+1 416 978 2012", "movingMonth": null, "medication": "Line one\n\tline two 🦓" });
    let after = ana.patch("/v1/registration", &changes).await.ok(200);
    assert_eq!(after["phone"], "+14169782012");
    assert_eq!((after.get("movingMonth"), &after["medication"]), (None, &changes["medication"]));
    let refused = ana.patch("/v1/registration", &json!({ "joinsHunt": false, "shirtSize": "L" })).await;
    assert_eq!(refused.errors(), [("/shirtSize".to_owned(), "fixed-after-submitting".to_owned())]);
    let kept = ana.get("/v1/registration").await.ok(200);
    assert_eq!(kept, after, "a refused PATCH changes nothing");
    for fixed in ["group", "state", "registeredAt", "shirtSize", "studentId"] {
        assert_eq!(kept[fixed], before[fixed]);
    }
    assert_ne!(kept["group"], Value::Null);
    app.finish().await;
}

/// A service whose event has five questions.
async fn app_with_questions() -> TestApp {
    let event = Event::parse(answers::EVENT).expect("valid");
    TestApp::start_with(|config| config.event = event).await
}

/// The form with these answers.
fn form_with(answers: &Value) -> Value {
    let mut written = form(&new_student_id());
    written["answers"] = answers.clone();
    written
}

fn errors_of(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_to_an_events_questions_are_checked_with_the_form() {
    let app = app_with_questions().await;
    let ana = app.student().await;
    let mut written = form_with(&json!({
        "bus": true, "workshops": ["Welding", "Golf"], "laptop": 5, "firstAid": "x".repeat(501), "car": "red",
    }));
    written["studentId"] = "abc".into();
    let errors = [
        ("/answers/arrival", "missing"),
        ("/answers/car", "unknown-property"),
        ("/answers/firstAid", "too-long"),
        ("/answers/laptop", "wrong-type"),
        ("/answers/workshops/1", "not-an-option"),
        ("/studentId", "not-a-student-id"),
    ];
    assert_eq!(ana.post("/v1/registration", &written).await.errors(), errors_of(&errors));
    // These break the schema: the rules still find the rest.
    written["answers"] = json!({ "bus": { "yes": true }, "laptop": 1.5, "workshops": [1], "firstAid": null });
    let errors = [
        ("/answers/bus", "wrong-type"),
        ("/answers/firstAid", "wrong-type"),
        ("/answers/laptop", "wrong-type"),
        ("/answers/workshops/0", "wrong-type"),
        ("/studentId", "not-a-student-id"),
    ];
    assert_eq!(ana.post("/v1/registration", &written).await.errors(), errors_of(&errors));
    let many: serde_json::Map<_, _> = (0..51).map(|i| (format!("q{i}"), json!(true))).collect();
    let errors = ana.post("/v1/registration", &form_with(&many.into())).await.errors();
    assert!(errors.contains(&("/answers".to_owned(), "too-many".to_owned())), "{errors:?}");
    ana.get("/v1/registration").await.refused(404, "no-registration");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_changed_one_by_one_and_removed_with_their_condition() {
    let app = app_with_questions().await;
    let ana = app.student().await;
    let answers = json!({
        "bus": true, "arrival": "2027-08-20", "laptop": " Linux ", "firstAid": "My inhaler.\nIt is in my bag. ",
    });
    let created = ana.post("/v1/registration", &form_with(&answers)).await.ok(201);
    let mut stored = json!({
        "bus": true, "arrival": "2027-08-20", "laptop": "Linux", "firstAid": "My inhaler.\nIt is in my bag.",
    });
    assert_eq!(created["registration"]["answers"], stored);

    let changed =
        ana.patch("/v1/registration", &json!({ "answers": { "workshops": ["Welding"] } })).await.ok(200);
    stored["workshops"] = json!(["Welding"]);
    assert_eq!(changed["answers"], stored);
    let changes =
        json!({ "answers": { "bus": null, "laptop": "macOS", "arrival": "2027-09-01" }, "joinsHunt": null });
    let errors = [
        ("/answers/arrival", "out-of-range"),
        ("/answers/bus", "missing"),
        ("/answers/laptop", "fixed-after-submitting"),
        ("/joinsHunt", "missing"),
    ];
    assert_eq!(ana.patch("/v1/registration", &changes).await.errors(), errors_of(&errors));

    let changes = json!({ "answers": { "bus": false, "firstAid": null } });
    let changed = ana.patch("/v1/registration", &changes).await.ok(200);
    assert_eq!(changed["answers"], json!({ "bus": false, "laptop": "Linux", "workshops": ["Welding"] }));
    assert_eq!(ana.get("/v1/registration").await.ok(200), changed);
    let errors = ana.patch("/v1/registration", &json!({ "answers": null })).await.errors();
    let expected = [("/answers/bus", "missing"), ("/answers/laptop", "fixed-after-submitting")];
    assert_eq!(errors, errors_of(&expected));
    app.finish().await;
}

/// Changes of answers that are valid together, and what is stored of the text.
fn any_changes() -> impl Strategy<Value = (Value, String)> {
    const WORKSHOPS: &[&str] = &["Welding", "3D printing", "Résumé writing", "Swing dance"];
    let workshops = prop::sample::subsequence(WORKSHOPS, 0..=2);
    (any::<bool>(), 20..=31_u32, workshops, "\\PC{0,60}").prop_map(|(bus, day, workshops, text)| {
        let arrival = if bus { json!(format!("2027-08-{day}")) } else { Value::Null };
        let changes = json!({ "bus": bus, "arrival": arrival, "workshops": workshops, "firstAid": text });
        (changes, text::clean(&text))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_answers_are_returned_as_they_were_sent() {
    let app = app_with_questions().await;
    let ana = app.student().await;
    ana.post("/v1/registration", &form_with(&json!({ "bus": false, "laptop": "Linux" }))).await.ok(201);
    let mut runner = TestRunner::deterministic();
    for _ in 0..50 {
        let (changes, text) = any_changes().new_tree(&mut runner).expect("generated").current();
        ana.patch("/v1/registration", &json!({ "answers": changes })).await.ok(200);
        let mut expected = changes.clone();
        expected["laptop"] = "Linux".into();
        expected["firstAid"] = text.into();
        let answered = expected.as_object_mut().expect("an object");
        answered.retain(|_, answer| *answer != Value::Null && *answer != json!("") && *answer != json!([]));
        assert_eq!(ana.get("/v1/registration").await.ok(200)["answers"], expected, "{changes}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_some_fields_refuses_them_and_needs_no_value() {
    let app = TestApp::start_with(|config| {
        config.event.form.without = [StudentField::SummerCity, StudentField::ShirtSize].into();
    })
    .await;
    let ana = app.student().await;
    let mut written = form(&new_student_id());
    let errors = [("/shirtSize", "not-asked"), ("/summerCity", "not-asked")];
    assert_eq!(ana.post("/v1/registration", &written).await.errors(), errors_of(&errors));
    let fields = written.as_object_mut().expect("an object");
    fields.retain(|name, _| name != "summerCity" && name != "shirtSize");
    let country = fields.remove("summerCountry").expect("a country");
    let missing = [("/summerCountry", "missing")];
    assert_eq!(ana.post("/v1/registration", &written).await.errors(), errors_of(&missing));
    written["summerCountry"] = country;
    let created = ana.post("/v1/registration", &written).await.ok(201);
    assert_eq!(
        (created["registration"].get("summerCity"), created["registration"].get("shirtSize")),
        (None, None)
    );
    let errors = ana.patch("/v1/registration", &json!({ "summerCity": "Porto" })).await.errors();
    assert_eq!(errors, errors_of(&[("/summerCity", "not-asked")]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_registration_operations_is_reached() {
    reaches_all_of("Registration", async |reach| {
        let early = reach.counting(app_before_its_window().await);
        let student = early.student().await;
        student.post("/v1/registration", &form("ag123456")).await.refused(409, "registration-closed");
        early.finish().await;
        // `event.toml` refuses a capacity of the ticket for now.
        let full = |config: &mut Config| config.event.products[0].capacity = Some(0);
        let full = reach.start_with(full).await;
        full.student().await.post("/v1/registration", &form("ag123456")).await.refused(409, "sold-out");
        full.finish().await;

        let app = reach.start_with(|config| config.limits = 1.0).await;
        let (ana, bo) = (app.student().await, app.student().await);
        ana.get("/v1/registration").await.refused(404, "no-registration");
        ana.patch("/v1/registration", &json!({ "joinsHunt": false })).await.refused(404, "no-registration");
        let taken = reach.example(&ana, "register").await.ok(201)["registration"]["studentId"].clone();
        reach.example(&ana, "register").await.refused(409, "already-registered");
        reach.example(&ana, "updateRegistration").await.ok(200);
        let stale = ana.request(Method::PATCH, "/v1/registration").header("If-Match", "\"older\"");
        ana.send(stale.json(&json!({ "joinsHunt": false }))).await.refused(412, "stale");
        ana.delete("/v1/registration/bursary-request").await.ok(204);
        bo.delete("/v1/registration/bursary-request").await.refused(404, "no-registration");
        ana.patch("/v1/registration", &json!({ "bursaryRequested": true })).await.ok(200);
        let approve = format!("/v1/bursaries/{}/approve", ana.account().id);
        app.administrator().await.press(&approve).await.ok(200);
        let asks_no_more = json!({ "bursaryRequested": false });
        ana.patch("/v1/registration", &asks_no_more).await.refused(409, "bursary-decided");
        ana.delete("/v1/registration/bursary-request").await.refused(409, "bursary-decided");
        let cy = app.student().await;
        register_once(&cy, "k", &form(&new_student_id())).await.ok(201);
        register_once(&cy, "k", &form(&new_student_id())).await.refused(422, "idempotency-key-reused");
        ana.get("/v1/registration").await.ok(200);
        let same_id = form(taken.as_str().expect("a text"));
        bo.post("/v1/registration", &same_id).await.refused(409, "student-id-taken");
        reach.without_a_store(&app, &ana, &[]).await;
        app.finish().await;

        let limited = reach.start_with(|config| config.limits = 0.01).await;
        reach.too_many(&limited.student().await, &[("register", form("ag123456"), 201)]).await;
        limited.finish().await;
    })
    .await;
}
