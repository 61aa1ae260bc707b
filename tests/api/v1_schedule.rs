//! `/v1/schedule`, `/v1/schedule-entries` and `/v1/schedule.ics`. Parsers that aren't ours read the calendars in
//! `tests/webhooks-js`.

use std::time::Duration;

use orientation::features::schedule::{Content, ENTRIES_MAX, ScheduleEntry, Times};
use orientation::kernel::{Audience, Clock, Ids, RandomIds, Right, Role, Scope, Timestamp};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query, StoreError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, NO_ID, TestApp, Visitor, reaches_all_of};

const DAY: Duration = Duration::from_hours(24);

/// What is written about an entry that begins after `start` minutes and lasts half an hour.
fn content(app: &TestApp, name: &str, start: i64, audience: &Value) -> Value {
    let at =
        |minutes: i64| Timestamp::from_millis((app.clock.now().as_secs() + minutes * 60) * 1000).rfc3339();
    json!({ "name": name, "times": { "startsAt": at(start), "endsAt": at(start + 30) }, "audience": audience })
}

fn everyone() -> Value {
    json!({ "for": "everyone" })
}

fn group(name: &str) -> Value {
    json!({ "for": "groups", "groups": [name] })
}

/// A leader who may do everything with the schedule.
async fn planner(app: &TestApp) -> Visitor {
    let scopes = ["timeline:create", "timeline:edit", "timeline:delete"];
    app.somebody(&format!("{}@mail.example.edu", RandomIds.next()), Role::Leader, &scopes).await
}

async fn add(planner: &Visitor, content: &Value) -> Value {
    planner.post("/v1/schedule-entries", content).await.ok(201)
}

/// Makes an entry, and returns its id.
pub async fn an_entry(app: &TestApp) -> String {
    let entry = add(&planner(app).await, &content(app, "Tour", 60, &everyone())).await;
    entry["id"].as_str().expect("an id").to_owned()
}

fn path(entry: &Value) -> String {
    format!("/v1/schedule-entries/{}", entry["id"].as_str().expect("an id"))
}

/// Cancels an entry as it is on the schedule now, for this reason.
async fn cancel(planner: &Visitor, entry: &Value, reason: &Value) -> Answer {
    let path = format!("{}/cancellation", path(entry));
    planner.send(planner.request(Method::PUT, &path).header("if-match", "*").json(reason)).await
}

async fn reinstate(planner: &Visitor, entry: &Value, tag: &str) -> Answer {
    let path = format!("{}/cancellation", path(entry));
    planner.send(planner.request(Method::DELETE, &path).header("if-match", tag)).await
}

async fn edit(planner: &Visitor, entry: &Value, changes: &Value) -> Answer {
    let request = planner.request(Method::PATCH, &path(entry)).json(changes);
    planner.send(request.header("if-match", entry["etag"].as_str().expect("a tag"))).await
}

fn names(items: &Value) -> Vec<&str> {
    items.as_array().expect("a list").iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

/// The names on the schedule as a visitor sees it.
async fn seen(visitor: &Visitor, query: &str) -> Vec<String> {
    let schedule = visitor.get(&format!("/v1/schedule{query}")).await.ok(200);
    names(&schedule["items"]).into_iter().map(str::to_owned).collect()
}

/// The lines of a calendar, unfolded.
async fn calendar(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app.anonymous().get(&format!("/v1/schedule.ics{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().replace("\r\n ", "").split("\r\n").map(str::to_owned).collect()
}

/// What the calendar says about an entry: sequence and status of each event with its id.
async fn events(app: &TestApp, query: &str, entry: &Value) -> Vec<(String, String)> {
    let uid = format!("UID:{}", entry["id"].as_str().expect("an id"));
    let lines = calendar(app, query).await;
    let events = lines.split(|line| line == "BEGIN:VEVENT").skip(1).filter(|event| event.contains(&uid));
    let value = |event: &[String], name: &str| {
        event.iter().find_map(|line| line.strip_prefix(name)).expect("there").to_owned()
    };
    events.map(|event| (value(event, "SEQUENCE:"), value(event, "STATUS:"))).collect()
}

fn event(sequence: u32, status: &str) -> Vec<(String, String)> {
    vec![(sequence.to_string(), status.to_owned())]
}

/// Actions of the audit entries about the schedule, with their reasons.
async fn audited(app: &TestApp) -> Vec<(String, String)> {
    let about = Query::new(Filter::eq("subject.collection", "schedule_entries")).limit(1000);
    let entries: Vec<AuditEntry> = app.store.find(about).await.expect("readable");
    let reason =
        |entry: &AuditEntry| entry.reason.as_ref().and_then(|reason| reason.text()).unwrap_or("").to_owned();
    entries.iter().map(|entry| (entry.action.as_str().to_owned(), reason(entry))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_the_entries_that_are_for_them() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    let (student, _) = app.submitted().await;
    let own = student.get("/v1/registration").await.ok(200)["group"]["name"].clone();
    let own = own.as_str().expect("a name");
    for (name, start, audience) in [
        ("Party", 180, group("Omega")),
        ("Briefing", 30, json!({ "for": "leaders" })),
        ("Lunch", 120, group(own)),
        ("Tour", 60, everyone()),
    ] {
        add(&planner, &content(&app, name, start, &audience)).await;
    }
    let (anonymous, newcomer, waiting) = (app.anonymous(), app.student().await, app.waiting_leader().await);
    let mut ended = app.student().await;
    ended.delete("/v1/session").await.ok(204);
    let mut unusable = app.anonymous();
    unusable.cookie = Some("orientation_session=nonsense".into());
    for visitor in [&anonymous, &newcomer, &waiting, &ended, &unusable] {
        assert_eq!(seen(visitor, "").await, ["Tour"]);
    }
    ended.cookie = None;
    assert_eq!(seen(&student, "").await, ["Tour", "Lunch"]);
    for leader in [&app.leader().await, &planner] {
        assert_eq!(seen(leader, "").await, ["Briefing", "Tour", "Lunch", "Party"]);
    }
    for visitor in [&anonymous, &student, &planner] {
        assert_eq!(seen(visitor, "?group=Omega").await, ["Tour", "Party"]);
        visitor.get("/v1/schedule?group=Omicronn").await.refused(400, "bad-parameter");
    }
    let now = |answer: Value| (names(&answer["now"]).join(" "), names(&answer["next"]).join(" "));
    assert_eq!(now(anonymous.get("/v1/schedule/now").await.ok(200)), ("".into(), "Tour".into()));
    assert_eq!(now(planner.get("/v1/schedule/now").await.ok(200)), ("".into(), "Briefing".into()));
    let lines = calendar(&app, "").await;
    assert!(lines.contains(&"SUMMARY:Tour".into()) && !lines.iter().any(|line| line.contains("Lunch")));
    let lines = calendar(&app, &format!("?group={own}")).await;
    assert!(lines.contains(&"SUMMARY:Lunch".into()) && !lines.iter().any(|line| line.contains("Briefing")));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn now_and_next_follow_the_clock_without_a_change() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    add(&planner, &content(&app, "Tour", 10, &everyone())).await;
    add(&planner, &content(&app, "Lunch", 60, &everyone())).await;
    let visitor = app.anonymous();
    let mut changes_at = vec![];
    for (current, next) in [
        (vec![], vec!["Tour"]),
        (vec!["Tour"], vec!["Lunch"]),
        (vec![], vec!["Lunch"]),
        (vec!["Lunch"], vec![]),
    ] {
        let answer = visitor.get("/v1/schedule/now").await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.ok(200);
        assert_eq!((names(&body["now"]), names(&body["next"])), (current, next));
        let changes = Timestamp::parse(body["changesAt"].as_str().expect("a time")).expect("a time");
        assert!(!changes_at.contains(&changes));
        changes_at.push(changes);
        app.clock.advance(changes.since(app.clock.now()));
    }
    let over = visitor.get("/v1/schedule/now").await.ok(200);
    assert_eq!((&over["now"], &over["next"], over.get("changesAt")), (&json!([]), &json!([]), None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_a_cancelled_and_a_deleted_entry_say_so_and_every_change_is_audited() {
    let app = TestApp::start().await;
    let (planner, visitor) = (planner(&app).await, app.anonymous());
    let first = content(&app, "Tour", 60, &everyone());
    let tour = add(&planner, &first).await;
    assert_eq!((&tour["state"], events(&app, "", &tour).await), (&json!("planned"), event(0, "CONFIRMED")));
    assert_eq!(seen(&visitor, "").await, ["Tour"]);

    let second = content(&app, "Tour", 120, &everyone());
    let moved = edit(&planner, &tour, &second).await.ok(200);
    assert_eq!((&moved["state"], &moved["movedFrom"]), (&json!("moved"), &first["times"]));
    assert_eq!(events(&app, "", &tour).await, event(1, "CONFIRMED"));
    for nothing in [&second, &json!({}), &json!({ "place": null })] {
        assert_eq!(
            &edit(&planner, &moved, nothing).await.ok(200),
            &moved,
            "an edit without a change changes nothing"
        );
    }

    for _ in 0..2 {
        let off = cancel(&planner, &tour, &json!({ "reason": "Rain" })).await.ok(200);
        assert_eq!((&off["state"], &off["cancelReason"]), (&json!("cancelled"), &json!("Rain")));
    }
    assert_eq!(events(&app, "", &tour).await, event(2, "CANCELLED"));
    assert_eq!(visitor.get("/v1/schedule").await.ok(200)["items"][0]["state"], "cancelled");
    assert!(names(&visitor.get("/v1/schedule/now").await.ok(200)["next"]).is_empty());
    reinstate(&planner, &tour, moved["etag"].as_str().expect("a tag")).await.refused(412, "stale");
    let on = reinstate(&planner, &tour, "*").await.ok(200);
    assert_eq!((&on["state"], on.get("cancelReason")), (&json!("moved"), None));
    reinstate(&planner, &tour, "*").await.ok(200);
    assert_eq!(events(&app, "", &tour).await, event(3, "CONFIRMED"));

    planner.delete(&path(&tour)).await.ok(204);
    planner.delete(&path(&tour)).await.refused(404, "no-such-schedule-entry");
    assert_eq!((seen(&visitor, "").await.len(), events(&app, "", &tour).await), (0, event(4, "CANCELLED")));
    let expected = [
        ("schedule-entry.created", ""),
        ("schedule-entry.updated", ""),
        ("schedule-entry.cancelled", "Rain"),
        ("schedule-entry.reinstated", ""),
        ("schedule-entry.deleted", ""),
    ];
    let expected = expected.map(|(action, reason)| (action.to_owned(), reason.to_owned()));
    assert_eq!(audited(&app).await, expected);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_shows_for_30_days_what_is_no_longer_for_its_readers() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    let tour = add(&planner, &content(&app, "Tour", 60, &group("Alpha"))).await;
    let moved = edit(&planner, &tour, &content(&app, "Secret", 60, &group("Beta"))).await.ok(200);
    assert_eq!(events(&app, "?group=Alpha", &tour).await, event(1, "CANCELLED"));
    assert!(!calendar(&app, "?group=Alpha").await.iter().any(|line| line.contains("Secret")));
    assert_eq!(events(&app, "?group=Beta", &tour).await, event(1, "CONFIRMED"));
    assert_eq!(events(&app, "", &tour).await, []);
    edit(&planner, &moved, &content(&app, "Tour", 60, &group("Alpha"))).await.ok(200);
    assert_eq!(events(&app, "?group=Alpha", &tour).await, event(2, "CONFIRMED"));
    assert_eq!(events(&app, "?group=Beta", &tour).await, event(2, "CANCELLED"));

    let party = add(&planner, &content(&app, "Party", 60, &everyone())).await;
    planner.delete(&path(&party)).await.ok(204);
    app.clock.advance(30 * DAY - Duration::from_mins(5));
    // Sessions end when nobody uses them, hence other planners.
    app.settle().await;
    add(&self::planner(&app).await, &content(&app, "Talk", 60, &everyone())).await;
    assert_eq!(events(&app, "", &party).await, event(1, "CANCELLED"));
    app.clock.advance(Duration::from_mins(10));
    add(&self::planner(&app).await, &content(&app, "Talk", 90, &everyone())).await;
    assert_eq!(events(&app, "", &party).await, []);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_renews_a_session_is_kept_by_no_cache() {
    let app = TestApp::start().await;
    let leader = app.leader().await;
    app.change(&leader, |account| account.grant(Right::Scope(Scope::TimelineEdit))).await;
    let renewed = leader.get("/v1/schedule").await;
    assert!(renewed.cookie().is_some_and(|cookie| Some(&cookie) != leader.cookie.as_ref()));
    assert_eq!(renewed.header("cache-control"), Some("no-store"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_names_the_times_that_were_announced_first() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    let times = [60, 120, 180].map(|start| content(&app, "Tour", start, &everyone())["times"].clone());
    let mut tour = add(&planner, &json!({ "name": "Tour", "times": times[0], "audience": everyone() })).await;
    for (to, state) in [(1, "moved"), (2, "moved"), (0, "planned")] {
        tour = edit(&planner, &tour, &json!({ "times": times[to] })).await.ok(200);
        let first = if state == "moved" { times[0].clone() } else { Value::Null };
        assert_eq!((tour["state"].as_str(), &tour["movedFrom"]), (Some(state), &first), "{to}");
    }
    edit(&planner, &tour, &json!({ "name": "Walk" })).await.ok(200);
    let updates = Query::new(Filter::eq("action", "schedule-entry.updated")).limit(10);
    let entries: Vec<AuditEntry> = app.store.find(updates).await.expect("readable");
    let detail = |entry: &AuditEntry, name: &str| entry.detail.get(name).cloned().unwrap_or_default();
    assert_eq!(detail(&entries[0], "changed"), "times");
    assert_eq!(detail(&entries[0], "from"), times[0]["startsAt"].as_str().expect("a time"));
    assert_eq!(detail(&entries[0], "to"), times[1]["startsAt"].as_str().expect("a time"));
    assert_eq!((detail(&entries[3], "changed"), detail(&entries[3], "from")), ("name".into(), "".into()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_can_be_deleted_without_a_word() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    let over = add(&planner, &content(&app, "Tour", -60, &everyone())).await;
    planner.delete(&path(&over)).await.ok(204);
    assert_eq!(events(&app, "", &over).await, []);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_responses_are_not_sent_twice_and_an_edit_shows_at_once() {
    let app = TestApp::start().await;
    let (planner, visitor) = (planner(&app).await, app.anonymous());
    for address in
        ["/v1/schedule", "/v1/schedule?group=Alpha", "/v1/schedule.ics", "/v1/schedule.ics?group=Alpha"]
    {
        add(&planner, &content(&app, "Tour", 60, &everyone())).await;
        let first = visitor.get(address).await;
        let tag = first.header("etag").expect("a tag").to_owned();
        let again =
            async || visitor.send(visitor.request(Method::GET, address).header("if-none-match", &tag)).await;
        let known = again().await;
        assert_eq!(
            (known.status.as_u16(), known.bytes.len(), known.header("etag")),
            (304, 0, Some(&*tag)),
            "{address}"
        );
        add(&planner, &content(&app, "Tour", 60, &everyone())).await;
        let changed = again().await;
        assert_eq!(changed.status, 200, "{address}");
        assert_ne!(changed.bytes, first.bytes, "{address}");
    }
    let own = planner.get("/v1/schedule").await;
    assert_eq!(own.header("cache-control"), Some("private, no-cache"));
    let mut unusable = app.anonymous();
    unusable.cookie = Some("orientation_session=nonsense".into());
    let private = unusable.get("/v1/schedule").await;
    assert_eq!(private.header("cache-control"), Some("private, no-cache"));
    for address in ["/v1/schedule", "/v1/schedule/now"] {
        let vary = visitor.get(address).await;
        let vary = vary.headers.get_all("vary").iter().any(|value| value == "Cookie");
        assert!(vary, "{address}");
    }
    let long = format!("\"{}\"", "x".repeat(5000));
    let request = visitor.request(Method::GET, "/v1/schedule").header("if-none-match", long);
    assert_eq!(visitor.send(request).await.status, 200);
    assert_eq!(visitor.get("/v1/schedule").await.header("cache-control"), Some("no-cache"));
    let file = visitor.get("/v1/schedule.ics?group=Alpha").await;
    for (name, value) in [
        ("content-type", "text/calendar; charset=utf-8"),
        ("cache-control", "public, max-age=300"),
        ("content-disposition", "attachment; filename=\"schedule-Alpha.ics\""),
    ] {
        assert_eq!(file.header(name), Some(value));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_that_meet_the_second_is_refused() {
    let app = TestApp::start().await;
    let (one, other) = (planner(&app).await, planner(&app).await);
    let tour = add(&one, &content(&app, "Tour", 60, &everyone())).await;
    edit(&one, &tour, &content(&app, "Big tour", 60, &everyone())).await.ok(200);
    edit(&other, &tour, &content(&app, "Small tour", 60, &everyone())).await.refused(412, "stale");
    other
        .patch(&path(&tour), &content(&app, "Small tour", 60, &everyone()))
        .await
        .refused(428, "if-match-missing");
    assert_eq!(seen(&app.anonymous(), "").await, ["Big tour"]);
    let (left, right) = (content(&app, "Left", 60, &everyone()), content(&app, "Right", 60, &everyone()));
    let current = app.anonymous().get("/v1/schedule").await.ok(200)["items"][0].clone();
    let (left, right) = tokio::join!(edit(&one, &current, &left), edit(&other, &current, &right));
    let mut statuses = [left.status.as_u16(), right.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_in_an_entry_is_reported() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    let good = content(&app, "Tour", 60, &everyone());
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).expect("an object")[name] = value;
        body
    };
    let time = "2027-09-06T10:00:00Z";
    for (body, errors) in [
        (with("/times", json!({})), vec![("/times/startsAt", "missing")]),
        (with("/times", json!({ "startsAt": time })), vec![("/times/endsAt", "missing")]),
        (
            with("/times", json!({ "startsAt": time, "endsAt": time })),
            vec![("/times/endsAt", "out-of-range")],
        ),
        (
            with("/times", json!({ "startsAt": time, "firstDay": "2027-09-06" })),
            vec![("/times/firstDay", "not-applicable")],
        ),
        (
            with("/times", json!({ "startsAt": time, "lastDay": "2027-09-06" })),
            vec![("/times/lastDay", "not-applicable")],
        ),
        (
            with("/times", json!({ "firstDay": "2027-09-06", "endsAt": time })),
            vec![("/times/endsAt", "not-applicable")],
        ),
        (with("/times", json!({ "firstDay": "2027-02-29" })), vec![("/times/firstDay", "not-a-date")]),
        (with("/times", json!({ "firstDay": "2100-01-01" })), vec![("/times/firstDay", "out-of-range")]),
        (
            with("/times", json!({ "firstDay": "2027-09-06", "lastDay": "2027-09-05" })),
            vec![("/times/lastDay", "out-of-range")],
        ),
        (
            with("/times", json!({ "startsAt": "2027-09-06T10:00:00", "endsAt": time })),
            vec![("/times/startsAt", "not-a-time")],
        ),
        (with("/audience", group("Nowhere")), vec![("/audience/groups/0", "not-an-option")]),
        (with("/description", json!("[x]: y")), vec![("/description", "empty")]),
        (
            with("/place", json!({ "name": "Lawn", "mapUrl": "http://maps.example.org" })),
            vec![("/place/mapUrl", "not-a-url")],
        ),
        (
            with("/link", json!({ "url": "javascript:alert(1)", "label": "Go" })),
            vec![("/link/url", "not-a-url")],
        ),
        (
            with("/link", json!({ "url": "https://ana@example.org/", "label": "Go" })),
            vec![("/link/url", "not-a-url")],
        ),
        (
            json!({
                "name": "x", "times": {}, "audience": { "for": "groups" },
                "place": { "name": "x", "mapUrl": "x" }, "link": { "url": "x", "label": "x" },
            }),
            vec![
                ("/audience/groups", "missing"),
                ("/link/url", "not-a-url"),
                ("/place/mapUrl", "not-a-url"),
                ("/times/startsAt", "missing"),
            ],
        ),
    ] {
        let found = planner.post("/v1/schedule-entries", &body).await.errors();
        let errors: Vec<_> = errors.into_iter().map(|(at, code)| (at.to_owned(), code.to_owned())).collect();
        assert_eq!(found, errors, "{body}");
    }
    let tour = add(&planner, &good).await;
    let unnamed = edit(&planner, &tour, &json!({ "name": " ", "description": "&nbsp;" })).await.errors();
    assert_eq!(unnamed, [("/description".to_owned(), "empty".to_owned())]);
    let unnamed = edit(&planner, &tour, &json!({ "name": " " })).await.errors();
    assert_eq!(unnamed, [("/name".to_owned(), "missing".to_owned())]);
    let wrong =
        json!({ "times": {}, "place": { "name": "Lawn", "mapUrl": "x" }, "audience": group("Nowhere") });
    let found = edit(&planner, &tour, &wrong).await.errors();
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/audience/groups/0", "/place/mapUrl", "/times/startsAt"]);
    let day = add(&planner, &with("/times", json!({ "firstDay": "2027-09-06" }))).await;
    assert_eq!(day["times"], json!({ "firstDay": "2027-09-06", "lastDay": "2027-09-06" }));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_times_of_a_clock_change_are_kept_apart() {
    let app = TestApp::start().await;
    let planner = planner(&app).await;
    // At 2:00 EDT clocks are set back to 1:00 EST: 1:30 occurs twice. 2:30 on 14 March does not occur; with an offset it is 3:30.
    for (name, start, end) in [
        ("Second", "2027-11-07T01:30:00-05:00", "2027-11-07T01:45:00-05:00"),
        ("First", "2027-11-07T01:30:00-04:00", "2027-11-07T01:45:00-04:00"),
        ("Spring", "2027-03-14T02:30:00-05:00", "2027-03-14T03:45:00-04:00"),
    ] {
        let times = json!({ "startsAt": start, "endsAt": end });
        add(&planner, &json!({ "name": name, "times": times, "audience": everyone() })).await;
    }
    assert_eq!(seen(&app.anonymous(), "").await, ["Spring", "First", "Second"]);
    let lines = calendar(&app, "").await;
    for line in [
        "DTSTART;TZID=America/Toronto:20270314T033000",
        "DTSTART:20271107T053000Z",
        "DTSTART:20271107T063000Z",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_schedule_operations_is_reached() {
    reaches_all_of("Schedule", async |reach| {
        let app = reach.start().await;
        let admin = app.administrator().await;
        let entry = reach.example(&admin, "createScheduleEntry").await.ok(201);
        reach.example(&admin, "updateScheduleEntry").await.refused(404, "no-such-schedule-entry");
        reach.example(&admin, "cancelScheduleEntry").await.refused(404, "no-such-schedule-entry");
        let unknown = format!("/v1/schedule-entries/{NO_ID}");
        admin.delete(&unknown).await.refused(404, "no-such-schedule-entry");
        let nothing =
            admin.request(Method::DELETE, &format!("{unknown}/cancellation")).header("if-match", "*");
        admin.send(nothing).await.refused(404, "no-such-schedule-entry");

        let body = content(&app, "Tour", 60, &everyone());
        edit(&admin, &entry, &body).await.ok(200);
        edit(&admin, &entry, &body).await.refused(412, "stale");
        admin.patch(&path(&entry), &body).await.refused(428, "if-match-missing");
        cancel(&admin, &entry, &json!({})).await.ok(200);
        admin
            .put(&format!("{}/cancellation", path(&entry)), &json!({}))
            .await
            .refused(428, "if-match-missing");
        admin.delete(&format!("{}/cancellation", path(&entry))).await.refused(428, "if-match-missing");
        for stale in [Method::PUT, Method::DELETE] {
            let request = admin.request(stale, &format!("{}/cancellation", path(&entry)));
            admin.send(request.header("if-match", "\"x\"").json(&json!({}))).await.refused(412, "stale");
        }
        reinstate(&admin, &entry, "*").await.ok(200);
        admin.delete(&path(&entry)).await.ok(204);
        for address in ["/v1/schedule", "/v1/schedule.ics"] {
            admin.get(address).await;
            let known = admin.request(Method::GET, address).header("if-none-match", "*");
            assert_eq!(admin.send(known).await.status, 304);
        }
        admin.get("/v1/schedule/now").await.ok(200);

        fill(&app).await;
        admin.post("/v1/schedule-entries", &body).await.refused(409, "schedule-full");
        app.finish().await;

        // One whose caches are empty.
        let app = reach.start().await;
        let admin = app.administrator().await;
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}

/// Adds as many entries as a schedule can have.
async fn fill(app: &TestApp) {
    let now = app.clock.now();
    let times = Times::timed(now, now.plus(DAY)).expect("good times");
    let content = |number: u32| Content {
        name: format!("Entry {number}"),
        times,
        place: None,
        description: None,
        link: None,
        audience: Audience::Everyone,
    };
    let entries: Vec<_> =
        (0..ENTRIES_MAX).map(|number| ScheduleEntry::new(RandomIds.next(), content(number), now)).collect();
    let filled: Result<(), StoreError> =
        app.store.transact(async |tx| tx.put_all(&entries.iter().collect::<Vec<_>>()).await).await;
    filled.expect("filled");
}
