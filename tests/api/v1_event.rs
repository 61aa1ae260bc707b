//! `/v1/event`.

use std::time::Duration;

use orientation::config::{Event, Window};
use orientation::features::registration::{FIELDS, Field};
use orientation::kernel::{Clock, StudentField, SystemClock};
use reqwest::Method;
use serde_json::json;

use crate::answers;
use crate::support::{TestApp, form, new_student_id, reaches_all_of};

const HOUR: Duration = Duration::from_hours(1);

/// A service whose registration window opens in an hour and closes an hour later.
pub async fn app_before_its_window() -> TestApp {
    let now = SystemClock.now();
    let window = Window { opens: now.plus(HOUR), closes: now.plus(2 * HOUR) };
    TestApp::start_with(|config| config.event.registration = window).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_the_current_event_gets_304() {
    let app = TestApp::start().await;
    let visitor = app.anonymous();
    let first = visitor.get("/v1/event").await;
    let event = first.ok(200);
    assert_eq!(event["products"][0]["price"], json!({ "amount": 13_000, "currency": "CAD" }));
    let tag = first.header("etag").expect("a tag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
        let request = visitor.request(Method::GET, "/v1/event").header("if-none-match", &known);
        let again = visitor.send(request).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{known}");
        assert_eq!(again.header("etag"), Some(&*tag));
    }
    let request = visitor.request(Method::GET, "/v1/event").header("if-none-match", "\"other\"");
    assert_eq!(visitor.send(request).await.ok(200), event);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn students_register_within_the_window_and_the_event_shows_its_state() {
    let app = app_before_its_window().await;
    let (visitor, early, late) = (app.anonymous(), app.student().await, app.student().await);
    let state = async || visitor.get("/v1/event").await.ok(200)["registration"]["state"].clone();

    assert_eq!(state().await, "upcoming");
    early.post("/v1/registration", &form(&new_student_id())).await.refused(409, "registration-closed");
    app.clock.advance(HOUR);
    assert_eq!(state().await, "open");
    early.post("/v1/registration", &form(&new_student_id())).await.ok(201);
    app.clock.advance(HOUR);
    assert_eq!(state().await, "closed");
    late.post("/v1/registration", &form(&new_student_id())).await.refused(409, "registration-closed");
    late.get("/v1/registration").await.refused(404, "no-registration");
    early.patch("/v1/registration", &json!({ "joinsHunt": false })).await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_changes_with_the_window() {
    let app = app_before_its_window().await;
    let visitor = app.anonymous();
    let tag = visitor.get("/v1/event").await.header("etag").expect("a tag").to_owned();
    app.clock.advance(HOUR);
    let request = visitor.request(Method::GET, "/v1/event").header("if-none-match", tag);
    assert_eq!(visitor.send(request).await.ok(200)["registration"]["open"], true);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_describes_its_whole_form() {
    let mut event = Event::parse(answers::EVENT).expect("valid");
    event.form.without = [StudentField::MovingMonth].into();
    let app = TestApp::start_with(|config| config.event = event).await;
    let event = app.anonymous().get("/v1/event").await.ok(200);
    let form = event["form"].as_array().expect("a list");
    let names: Vec<_> = form.iter().filter_map(|field| field["name"].as_str()).collect();
    let built_in = FIELDS.iter().map(Field::name).filter(|name| *name != "movingMonth");
    let questions =
        ["answers.bus", "answers.arrival", "answers.workshops", "answers.laptop", "answers.firstAid"];
    assert_eq!(names, built_in.chain(questions).collect::<Vec<_>>());
    let questions: Vec<_> = form[form.len() - 5..].to_vec();
    let arrival = json!({
        "name": "answers.arrival", "label": "On which day do you arrive?", "kind": "date", "required": false,
        "help": "The bus runs once a day, at noon.", "requiredIf": { "field": "answers.bus", "answer": true },
        "from": "2027-08-20", "until": "2027-08-31", "editable": true, "class": "logistics", "retention": "erased",
    });
    assert_eq!(questions[1], arrival);
    let workshops = json!({
        "name": "answers.workshops", "label": "Which workshops would you like to join?", "kind": "severalOf",
        "required": false, "options": ["Welding", "3D printing", "Résumé writing", "Swing dance"], "maxItems": 2,
        "editable": true, "class": "logistics", "retention": "counted",
    });
    assert_eq!(questions[2], workshops);
    assert_eq!((&questions[3]["editable"], &questions[4]["maxLength"]), (&json!(false), &json!(500)));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_event_operations_is_reached() {
    reaches_all_of("Event", async |reach| {
        let app = reach.start().await;
        let visitor = app.anonymous();
        let event = visitor.get("/v1/event").await;
        event.ok(200);
        let tag = event.header("etag").expect("a tag");
        let again = visitor.request(Method::GET, "/v1/event").header("if-none-match", tag);
        assert_eq!(visitor.send(again).await.status, 304);
        app.finish().await;
    })
    .await;
}
