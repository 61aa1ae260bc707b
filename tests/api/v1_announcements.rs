//! `/v1/announcements`: who sees which, when, and what each account has ticked off.

use std::time::Duration;

use futures_util::future::join_all;
use orientation::features::announcements::Announcement;
use orientation::kernel::{Audience, Clock, Ids, Markdown, RandomIds, Role, Timestamp};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query, StoreError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, NO_ID, TestApp, Visitor, reaches_all_of};

const LIST: &str = "/v1/announcements";

/// An announcement for everybody.
fn for_everyone(title: &str) -> Value {
    json!({ "title": title, "text": "Bring **water**.", "audience": { "for": "everyone" } })
}

fn for_groups(title: &str, groups: &[&str]) -> Value {
    json!({ "title": title, "text": "Hello", "audience": { "for": "groups", "groups": groups } })
}

/// Writes an announcement; returns its path.
async fn write(author: &Visitor, announcement: &Value) -> String {
    path_of(&author.post(LIST, announcement).await.ok(201))
}

pub fn path_of(announcement: &Value) -> String {
    format!("{LIST}/{}", announcement["id"].as_str().expect("an id"))
}

async fn edit(editor: &Visitor, path: &str, if_match: Option<&str>, changes: &Value) -> Answer {
    let request = editor.request(Method::PATCH, path).json(changes);
    editor.send(if_match.into_iter().fold(request, |request, tag| request.header("If-Match", tag))).await
}

/// The titles that somebody sees, in their order.
async fn titles(visitor: &Visitor, query: &str) -> Vec<String> {
    titles_in(&visitor.get(&format!("{LIST}{query}")).await.ok(200))
}

fn titles_in(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a list").iter();
    items.map(|item| item["title"].as_str().expect("a title").to_owned()).collect()
}

fn in_hours(app: &TestApp, hours: u64) -> Timestamp {
    app.clock.now().plus(Duration::from_hours(hours))
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_is_for_them() {
    let app = TestApp::start_with(|config| config.event.groups.truncate(2)).await;
    let admin = app.administrator().await;
    let (in_alpha, in_beta) = (app.submitted().await.0, app.submitted().await.0);
    let (without_group, leader, waiting) =
        (app.student().await, app.leader().await, app.waiting_leader().await);
    let everyone = write(&admin, &for_everyone("all")).await;
    let alpha = write(&admin, &for_groups("alpha", &["Alpha", "Alpha"])).await;
    let mut for_leaders = for_everyone("leaders");
    for_leaders["audience"] = json!({ "for": "leaders" });
    let leaders = write(&admin, &for_leaders).await;

    for (who, expected) in [
        (&admin, vec!["leaders", "alpha", "all"]),
        (&leader, vec!["leaders", "alpha", "all"]),
        (&in_alpha, vec!["alpha", "all"]),
        (&in_beta, vec!["all"]),
        (&without_group, vec!["all"]),
        (&waiting, vec!["all"]),
    ] {
        assert_eq!(titles(who, "").await, expected);
        for (path, title) in [(&everyone, "all"), (&alpha, "alpha"), (&leaders, "leaders")] {
            let answer = who.get(path).await;
            match expected.contains(&title) {
                true => assert_eq!(answer.ok(200)["title"], title),
                false => drop(answer.refused(404, "no-such-announcement")),
            }
        }
    }
    let shown = in_alpha.get(&alpha).await;
    assert!(shown.header("etag").is_some());
    let listed = in_alpha.get(LIST).await.ok(200)["items"][0].clone();
    assert_eq!(shown.ok(200), listed, "the list shows what the operation shows");
    assert_eq!(listed["audience"], json!({ "for": "groups", "groups": ["Alpha"] }));
    assert_eq!(listed["text"], json!({ "source": "Hello", "html": "<p>Hello</p>\n" }));
    app.anonymous().get(LIST).await.refused(401, "not-signed-in");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_can_be_published_later_and_its_authors_see_it_before() {
    let app = TestApp::start().await;
    let (admin, student) = (app.administrator().await, app.student().await);
    let author = app.somebody("author@mail.example.edu", Role::Leader, &["announcements:create"]).await;
    let mut planned = for_everyone("planned");
    planned["publishAt"] = in_hours(&app, 2).rfc3339().into();
    let path = write(&author, &planned).await;
    write(&author, &for_everyone("now")).await;
    assert_eq!(titles(&student, "").await, ["now"]);
    assert_eq!(titles(&app.leader().await, "").await, ["now"]);
    for author in [&author, &admin] {
        assert_eq!(titles(author, "").await, ["planned", "now"]);
    }
    student.get(&path).await.refused(404, "no-such-announcement");
    student.put_empty(&format!("{path}/tick")).await.refused(404, "no-such-announcement");
    app.clock.advance(Duration::from_hours(2));
    assert_eq!(titles(&student, "").await, ["planned", "now"]);
    student.get(&path).await.ok(200);

    let later = json!({ "publishAt": in_hours(&app, 1).rfc3339() });
    edit(&admin, &path, Some("*"), &later).await.ok(200);
    assert_eq!(titles(&student, "").await, ["now"], "withdrawn until later");
    edit(&admin, &path, Some("*"), &json!({ "publishAt": "2020-01-01T00:00:00Z" })).await.ok(200);
    assert_eq!(titles(&student, "").await, ["planned", "now"], "published at once");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_ticks_off_for_itself_and_undoes_it() {
    let app = TestApp::start().await;
    let (admin, ana, bo) = (app.administrator().await, app.student().await, app.student().await);
    let mut paths = vec![];
    for title in ["one", "two", "three"] {
        paths.push(write(&admin, &for_everyone(title)).await);
    }
    let tick = format!("{}/tick", paths[1]);
    for _ in 0..2 {
        ana.put_empty(&tick).await.ok(204);
    }
    assert_eq!(titles(&ana, "?ticked=true").await, ["two"]);
    assert_eq!(titles(&ana, "?ticked=false").await, ["three", "one"]);
    assert_eq!(titles(&ana, "").await, ["three", "two", "one"]);
    assert_eq!(titles(&bo, "?ticked=true").await, [""; 0]);
    let list = ana.get(LIST).await.ok(200);
    let ticked: Vec<_> = (0..3).map(|n| list["items"][n]["tickedOff"].clone()).collect();
    assert_eq!(ticked, [json!(false), json!(true), json!(false)]);
    assert_eq!(ana.get(&paths[1]).await.ok(200)["tickedOff"], true);

    edit(&admin, &paths[1], Some("*"), &json!({ "title": "two, again" })).await.ok(200);
    assert_eq!(titles(&ana, "?ticked=true").await, ["two, again"], "an edit keeps the ticks");
    for _ in 0..2 {
        ana.delete(&tick).await.ok(204);
    }
    assert_eq!(titles(&ana, "?ticked=true").await, [""; 0]);
    let ticks = join_all(paths.iter().map(async |path| ana.put_empty(&format!("{path}/tick")).await.ok(204)));
    ticks.await;
    assert_eq!(titles(&ana, "?ticked=true").await.len(), 3, "ticks that are made at once are all kept");
    admin.delete(&paths[0]).await.ok(204);
    assert_eq!(titles(&ana, "?ticked=true").await, ["three", "two, again"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_announcements_are_first_and_pages_have_no_gaps() {
    let app = TestApp::start().await;
    let (admin, student) = (app.administrator().await, app.student().await);
    let mut oldest = for_everyone("0");
    oldest["pinned"] = true.into();
    write(&admin, &oldest).await;
    for title in ["1", "2", "3"] {
        write(&admin, &for_everyone(title)).await;
    }
    let first = student.get(&format!("{LIST}?limit=2")).await.ok(200);
    assert_eq!(titles_in(&first), ["0", "3"]);
    let cursor = first["nextCursor"].as_str().expect("there are more");
    write(&admin, &for_everyone("4")).await;
    let second = student.get(&format!("{LIST}?limit=2&cursor={cursor}")).await.ok(200);
    assert_eq!((titles_in(&second), second.get("nextCursor")), (vec!["2".to_owned(), "1".to_owned()], None));
    student.get("/v1/sessions?limit=1").await.ok(200);
    student.get(&format!("/v1/sessions?cursor={cursor}")).await.refused(400, "bad-cursor");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_committee_does_is_audited_and_an_edit_names_its_version() {
    let app = TestApp::start().await;
    let author = app.somebody("author@mail.example.edu", Role::Leader, &["announcements:create"]).await;
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["announcements:edit"]).await;
    let remover = app.somebody("remover@mail.example.edu", Role::Leader, &["announcements:delete"]).await;
    let created = author.post(LIST, &for_everyone("one")).await;
    let (path, tag) = (path_of(&created.ok(201)), created.header("etag").expect("a tag").to_owned());
    assert_eq!(created.json().get("tickedOff"), None);
    editor.post(LIST, &for_everyone("two")).await.refused(403, "scope-missing");
    author.delete(&path).await.refused(403, "scope-missing");

    let changes = json!({ "text": "Bring a [hat](javascript:alert(1)).", "pinned": true });
    edit(&editor, &path, None, &changes).await.refused(428, "if-match-missing");
    edit(&editor, &path, Some("\"x\""), &changes).await.refused(412, "stale");
    let edited = edit(&editor, &path, Some(&tag), &changes).await;
    assert_eq!(
        edited.ok(200)["text"]["html"],
        "<p>Bring a <a rel=\"noopener noreferrer nofollow\">hat</a>.</p>\n"
    );
    edit(&editor, &path, Some(&tag), &json!({ "title": "other" })).await.refused(412, "stale");
    let tag = edited.header("etag").expect("a tag");
    let same = edit(&editor, &path, Some(tag), &changes).await;
    assert_eq!(same.header("etag"), Some(tag), "nothing has changed");
    remover.delete(&path).await.ok(204);
    remover.delete(&path).await.refused(404, "no-such-announcement");

    let entries: Vec<AuditEntry> = app
        .store
        .find(Query::new(Filter::eq("subject.collection", "announcements")))
        .await
        .expect("readable");
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry.actor.id(), entry.action.as_str(), entry.detail.get("changed").map(String::as_str))
        })
        .collect();
    assert_eq!(
        entries,
        [
            (Some(author.account().id.as_str()), "announcement.created", None),
            (Some(editor.account().id.as_str()), "announcement.updated", Some("text pinned")),
            (Some(remover.account().id.as_str()), "announcement.deleted", None),
        ]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_edits_that_meet_one_takes_effect_and_the_others_are_told() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let created = admin.post(LIST, &for_everyone("one")).await;
    let (path, tag) = (path_of(&created.ok(201)), created.header("etag").expect("a tag").to_owned());
    let edits = (0..10).map(async |n: u32| {
        let answer = edit(&admin, &path, Some(&tag), &json!({ "title": format!("edit {n}") })).await;
        match answer.status.as_u16() {
            200 => Some(answer.ok(200)),
            _ => {
                answer.refused(412, "stale");
                None
            }
        }
    });
    let accepted: Vec<_> = join_all(edits).await.into_iter().flatten().collect();
    assert_eq!(accepted.len(), 1);
    assert_eq!(admin.get(&path).await.ok(200)["title"], accepted[0]["title"]);
    app.finish().await;
}

/// Stores announcements until there are as many as there can be.
async fn fill(app: &TestApp) {
    let now = app.clock.now();
    let one = || Announcement {
        id: RandomIds.next(),
        title: "Full".into(),
        text: Markdown::new("Hello"),
        audience: Audience::Everyone,
        pinned: false,
        publish_at: now,
        created_at: now,
        updated_at: now,
    };
    let all: Vec<_> = (0..500).map(|_| one()).collect();
    let stored: Result<(), StoreError> =
        app.store.transact(async |tx| tx.put_all(&all.iter().collect::<Vec<_>>()).await).await;
    stored.expect("stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_announcements_is_reached() {
    reaches_all_of("Announcements", async |reach| {
        let app = reach.start().await;
        let admin = app.administrator().await;
        let path = path_of(&reach.example(&admin, "createAnnouncement").await.ok(201));
        let mut unknown = for_groups("x", &["Alpha", "Atlantis"]);
        let not_an_option = [("/audience/groups/1".to_owned(), "not-an-option".to_owned())];
        assert_eq!(admin.post(LIST, &unknown).await.errors(), not_an_option);
        unknown = json!({ "audience": unknown["audience"] });
        assert_eq!(edit(&admin, &path, Some("*"), &unknown).await.errors(), not_an_option);
        let blank = json!({ "title": "x", "text": "[x]: y", "audience": { "for": "everyone" } });
        assert_eq!(admin.post(LIST, &blank).await.errors(), [("/text".to_owned(), "empty".to_owned())]);
        let removed = json!({ "title": " ", "text": null });
        let missing = ["/text", "/title"].map(|pointer| (pointer.to_owned(), "missing".to_owned()));
        assert_eq!(edit(&admin, &path, Some("*"), &removed).await.errors(), missing);
        admin.get(LIST).await.ok(200);
        admin.get(&path).await.ok(200);
        let missing = format!("{LIST}/{NO_ID}");
        admin.get(&missing).await.refused(404, "no-such-announcement");
        reach.example(&admin, "updateAnnouncement").await.refused(404, "no-such-announcement");
        edit(&admin, &path, None, &json!({})).await.refused(428, "if-match-missing");
        edit(&admin, &path, Some("\"x\""), &json!({})).await.refused(412, "stale");
        edit(&admin, &path, Some("*"), &json!({})).await.ok(200);
        let tick = format!("{path}/tick");
        admin.put_empty(&tick).await.ok(204);
        admin.delete(&tick).await.ok(204);
        let missing_tick = format!("{missing}/tick");
        admin.put_empty(&missing_tick).await.refused(404, "no-such-announcement");
        admin.delete(&missing_tick).await.refused(404, "no-such-announcement");
        admin.delete(&path).await.ok(204);
        admin.delete(&path).await.refused(404, "no-such-announcement");
        fill(&app).await;
        admin.post(LIST, &for_everyone("one more")).await.refused(409, "too-many-announcements");
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
