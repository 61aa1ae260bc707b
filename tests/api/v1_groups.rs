//! `/v1/groups`, `/v1/group-plans` and `/v1/students/{studentId}/group`: the committee's operations on groups.

use std::collections::BTreeMap;

use orientation::features::groups::GroupBook;
use orientation::features::registration::Registration;
use orientation::kernel::{Reach, Role};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query};
use serde_json::{Value, json};

use crate::support::{NO_ID, TestApp, Visitor, form, new_student_id, reaches_all_of};

/// A service with three groups: Alpha, Beta and Iota.
async fn three_groups() -> TestApp {
    TestApp::start_with(|config| config.event.groups.truncate(3)).await
}

/// A leader with these scopes whose reach is this.
async fn leader_of(app: &TestApp, email: &str, scopes: &[&str], reach: Reach) -> Visitor {
    let leader = app.somebody(email, Role::Leader, scopes).await;
    app.change(&leader, |account| account.reach = [reach.clone()].into()).await;
    leader
}

/// Students who have submitted the form. They join the groups in turn.
async fn submitted(app: &TestApp, number: usize) -> Vec<Visitor> {
    let mut students = vec![];
    for _ in 0..number {
        students.push(app.submitted().await.0);
    }
    students
}

/// Path of a student's group.
pub fn group_path(student: &Visitor) -> String {
    format!("/v1/students/{}/group", student.account().id)
}

pub fn to(group: &str) -> Value {
    json!({ "group": group, "reason": "Wants to be with a friend." })
}

async fn group_of(student: &Visitor) -> Value {
    student.get("/v1/registration").await.ok(200)["group"]["name"].clone()
}

/// The sizes of the groups, which are counted exactly.
pub async fn exact_sizes(app: &TestApp) -> BTreeMap<String, u32> {
    let all = Query::new(Filter::All).limit(1000);
    let mut sizes = BTreeMap::new();
    for registration in app.store.find::<Registration>(all).await.expect("readable") {
        *sizes.entry(registration.group).or_insert(0) += 1;
    }
    let book: GroupBook = app.store.get(GroupBook::ID).await.expect("readable").expect("there");
    for tally in &book.groups {
        assert_eq!(tally.by_discipline.iter().sum::<u32>(), tally.members, "{}", tally.name);
        assert_eq!(tally.by_pronouns.iter().sum::<u32>(), tally.members, "{}", tally.name);
    }
    let counted = book.groups.into_iter().map(|tally| (tally.name, tally.members));
    assert_eq!(counted.filter(|(_, members)| *members > 0).collect::<BTreeMap<_, _>>(), sizes);
    sizes
}

/// Number of emails that the student got with a subject that contains this.
async fn emails(app: &TestApp, student: &Visitor, subject: &str) -> usize {
    app.settle().await;
    let emails = app.mailbox(student.email()).emails().await;
    emails.iter().filter(|email| email["subject"].as_str().is_some_and(|text| text.contains(subject))).count()
}

/// The audit entries with this action.
async fn entries(app: &TestApp, action: &str) -> Vec<AuditEntry> {
    app.store.find(Query::new(Filter::eq("action", action)).limit(1000)).await.expect("readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_who_is_moved_gets_an_email_with_a_new_ticket() {
    let app = three_groups().await;
    let admin = app.administrator().await;
    let (ana, _) = app.registered().await;
    let former = ana.get("/v1/ticket").await.ok(200);
    assert_eq!(former["group"]["name"], "Alpha");
    for _ in 0..2 {
        admin.put(&group_path(&ana), &to("Iota")).await.ok(204);
    }
    assert_eq!(
        (group_of(&ana).await, emails(&app, &ana, "Your group is now Iota").await),
        (json!("Iota"), 1)
    );
    let email = app.mailbox(ana.email()).email("Your group is now Iota").await;
    assert_eq!(email["attachments"][0]["name"], "ticket.pdf");
    let ticket = ana.get("/v1/ticket").await.ok(200);
    assert_eq!((&ticket["group"]["name"], &ticket["receipt"]), (&json!("Iota"), &former["receipt"]));
    assert!(ticket["issuedAt"].as_str() > former["issuedAt"].as_str() && ticket["token"] != former["token"]);
    let [entry] = &entries(&app, "student.moved").await[..] else { panic!("one entry") };
    assert_eq!(entry.subject.id.as_deref(), Some(ana.account().id.as_str()));
    assert_eq!((entry.detail["from"].as_str(), entry.detail["to"].as_str()), ("Alpha", "Iota"));
    assert_eq!(entry.reason.as_ref().and_then(|reason| reason.text()), Some("Wants to be with a friend."));
    let counts = admin.get("/v1/groups/Iota").await.ok(200)["group"].clone();
    assert_eq!((&counts["members"], &counts["registered"]), (&json!(1), &json!(1)));
    exact_sizes(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_evens_the_groups_out_with_the_fewest_moves_and_is_run_once() {
    let app = three_groups().await;
    let admin = app.administrator().await;
    let students = submitted(&app, 9).await;
    for student in [1, 4, 2] {
        admin.put(&group_path(&students[student]), &to("Alpha")).await.ok(204);
    }
    assert_eq!(exact_sizes(&app).await.into_values().collect::<Vec<_>>(), [6, 1, 2]);
    let before = admin.get("/v1/group-balance").await.ok(200);
    assert_eq!((&before["sizes"]["difference"], &before["sizes"]["gap"]), (&json!(5), &json!(5)));

    let plan = admin.press("/v1/group-plans").await.ok(201);
    assert_eq!((&plan["moves"], &plan["state"], &plan["before"]), (&json!(3), &json!("planned"), &before));
    assert_eq!((&plan["after"]["sizes"]["gap"], &plan["after"]["discipline"]["gap"]), (&json!(0), &json!(0)));
    let path = format!("/v1/group-plans/{}", plan["id"].as_str().expect("an id"));
    let moves = admin.get(&format!("{path}/moves")).await.ok(200)["items"].clone();
    let moves = moves.as_array().expect("a list");
    assert!(moves.len() == 3 && moves.iter().all(|one| one["from"] == "Alpha" && one["state"] == "planned"));
    assert_eq!(exact_sizes(&app).await.into_values().collect::<Vec<_>>(), [6, 1, 2], "nobody is moved yet");

    admin.press(&format!("{path}/run")).await.ok(202);
    app.settle().await;
    let done = admin.get(&path).await.ok(200);
    assert_eq!(
        (&done["state"], &done["moved"], &done["skipped"]),
        (&json!("finished"), &json!(3), &json!(0))
    );
    assert_eq!(exact_sizes(&app).await.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(admin.get("/v1/group-balance").await.ok(200), plan["after"]);
    assert_eq!(moves[0]["student"]["legalName"], "Ana García");
    let mover = app.somebody("mover@mail.example.edu", Role::Leader, &["groups:edit"]).await;
    let unreachable = mover.get(&format!("{path}/moves")).await.ok(200)["items"][0].clone();
    assert_eq!((&unreachable["studentId"], &unreachable["student"]), (&moves[0]["studentId"], &Value::Null));
    for one in moves {
        let student = students.iter().find(|student| one["studentId"] == student.account().id.as_str());
        let student = student.expect("one of ours");
        assert_eq!(group_of(student).await, one["to"]);
        let subject = format!("Your group is now {}", one["to"].as_str().expect("a name"));
        assert_eq!(emails(&app, student, &subject).await, 1);
    }
    admin.press(&format!("{path}/run")).await.refused(409, "plan-already-run");
    assert_eq!(
        (entries(&app, "rebalance.run").await.len(), entries(&app, "student.moved").await.len()),
        (1, 6)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_not_run_once_something_has_changed() {
    let app = three_groups().await;
    let admin = app.administrator().await;
    let students = submitted(&app, 4).await;
    admin.put(&group_path(&students[1]), &to("Alpha")).await.ok(204);
    let plan = async || {
        let plan = admin.press("/v1/group-plans").await.ok(201);
        format!("/v1/group-plans/{}/run", plan["id"].as_str().expect("an id"))
    };
    let moved = plan().await;
    admin.put(&group_path(&students[0]), &to("Beta")).await.ok(204);
    let locked = plan().await;
    admin.put_empty("/v1/groups/Iota/lock").await.ok(204);
    let unlocked = plan().await;
    admin.delete("/v1/groups/Iota/lock").await.ok(204);
    let registered = plan().await;
    app.submitted().await;
    let superseded = plan().await;
    let newest = plan().await;
    for outdated in [&moved, &locked, &unlocked, &registered, &superseded] {
        admin.press(outdated).await.refused(409, "plan-outdated");
    }
    admin.press(&newest).await.ok(202);
    exact_sizes(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_group_gets_nobody_and_loses_nobody() {
    let app = three_groups().await;
    let admin = app.administrator().await;
    let students = submitted(&app, 3).await;
    for _ in 0..2 {
        admin.put_empty("/v1/groups/Beta/lock").await.ok(204);
    }
    submitted(&app, 4).await;
    admin.put(&group_path(&students[0]), &to("Beta")).await.refused(409, "group-locked");
    admin.put(&group_path(&students[1]), &to("Alpha")).await.refused(409, "group-locked");
    admin.put(&group_path(&students[0]), &to("Iota")).await.ok(204);
    let plan = admin.press("/v1/group-plans").await.ok(201);
    assert_eq!(plan["moves"], 1);
    admin.press(&format!("/v1/group-plans/{}/run", plan["id"].as_str().expect("an id"))).await.ok(202);
    app.settle().await;
    assert_eq!(exact_sizes(&app).await.into_values().collect::<Vec<_>>(), [3, 1, 3]);
    admin.put_empty("/v1/groups/Alpha/lock").await.ok(204);
    admin.put_empty("/v1/groups/Iota/lock").await.refused(409, "last-unlocked-group");
    for _ in 0..2 {
        admin.delete("/v1/groups/Beta/lock").await.ok(204);
    }
    let locks: Vec<_> =
        entries(&app, "group.locked").await.iter().map(|entry| entry.detail["group"].clone()).collect();
    assert_eq!(
        (locks, entries(&app, "group.unlocked").await.len()),
        (vec!["Beta".into(), "Alpha".into()], 1)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_see_and_move_only_students_within_their_reach() {
    let app = three_groups().await;
    let students = submitted(&app, 3).await;
    let (ana, _) = app.registered().await;
    assert_eq!(group_of(&ana).await, "Alpha");
    let alpha = || Reach::Group("Alpha".into());
    let guide = leader_of(&app, "guide@mail.example.edu", &[], alpha()).await;
    let list = guide.get("/v1/groups").await.ok(200);
    assert_eq!(list["items"], json!([{ "name": "Alpha", "symbol": "α", "registered": 1, "locked": false }]));
    guide.get("/v1/groups/Beta").await.refused(404, "no-such-group");
    guide.get("/v1/group-balance").await.refused(403, "scope-missing");
    let scopes = ["groups:edit"];
    let mover = leader_of(&app, "mover@mail.example.edu", &scopes, alpha()).await;
    assert_eq!(mover.get("/v1/groups").await.ok(200)["items"].as_array().map(Vec::len), Some(3));
    let group = mover.get("/v1/groups/Alpha").await.ok(200);
    assert_eq!(group["group"]["members"], 2);
    let leaders: Vec<_> =
        group["leaders"].as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    assert_eq!(leaders, [guide.account().id.as_str(), mover.account().id.as_str()]);
    // The first has not paid, the second is in another group, the third is nobody.
    for path in [group_path(&students[0]), group_path(&students[1]), format!("/v1/students/{NO_ID}/group")] {
        mover.put(&path, &to("Iota")).await.refused(404, "no-such-student");
    }
    mover.put(&group_path(&ana), &to("Iota")).await.ok(204);
    mover.put(&group_path(&ana), &to("Alpha")).await.refused(404, "no-such-student");
    app.finish().await;
}

/// Submits the form of a student who names these others.
async fn submit_with_wishes(student: &Visitor, named: &[&Visitor]) {
    let mut form = form(&new_student_id());
    form["huntTeammates"] = named.iter().map(|other| other.email()).collect::<Vec<_>>().into();
    student.post("/v1/registration", &form).await.ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn friends_stay_in_their_group_if_the_event_says_so() {
    let app = TestApp::start_with(|config| {
        config.event.groups.truncate(2);
        config.event.grouping.keep_friends_together = true;
    })
    .await;
    let admin = app.administrator().await;
    let (ana, bo, cy, di) =
        (app.student().await, app.student().await, app.student().await, app.student().await);
    submit_with_wishes(&ana, &[&bo]).await;
    submit_with_wishes(&bo, &[&ana]).await;
    submit_with_wishes(&cy, &[]).await;
    submit_with_wishes(&di, &[&cy]).await;
    for student in [&bo, &di] {
        admin.put(&group_path(student), &to("Alpha")).await.ok(204);
    }
    let plan = async || {
        let plan = admin.press("/v1/group-plans").await.ok(201);
        let path = format!("/v1/group-plans/{}", plan["id"].as_str().expect("an id"));
        let moves = admin.get(&format!("{path}/moves")).await.ok(200);
        let students = moves["items"].as_array().expect("a list").iter().map(|one| one["studentId"].clone());
        (plan["bound"].clone(), students.collect::<Vec<_>>(), path)
    };
    let (bound, moved, path) = plan().await;
    let ids = |students: &[&Visitor]| students.iter().map(|one| json!(one.account().id)).collect::<Vec<_>>();
    assert_eq!(bound, 2);
    assert!(moved.iter().all(|id| ids(&[&cy, &di]).contains(id)) && moved.len() == 2, "{moved:?}");
    cy.patch("/v1/registration", &json!({ "huntTeammates": [di.email()] })).await.ok(200);
    admin.press(&format!("{path}/run")).await.refused(409, "plan-outdated");
    assert_eq!((plan().await.0, plan().await.1), (json!(4), vec![]), "two pairs of friends stay");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_groups_is_reached() {
    reaches_all_of("Groups", async |reach| {
        let app = reach.start_with(|config| config.event.groups.truncate(2)).await;
        let admin = app.administrator().await;
        let (ana, _) = app.registered().await;
        admin.get("/v1/groups").await.ok(200);
        admin.get("/v1/groups/Alpha").await.ok(200);
        admin.get("/v1/groups/Omega").await.refused(404, "no-such-group");
        let guide = leader_of(&app, "guide@mail.example.edu", &[], Reach::Group("Alpha".into())).await;
        guide.get("/v1/groups/Alpha?fields=dietary").await.refused(403, "field-not-granted");
        admin.get("/v1/group-balance").await.ok(200);

        let plan = admin.press("/v1/group-plans").await.ok(201);
        let path = format!("/v1/group-plans/{}", plan["id"].as_str().expect("an id"));
        let missing = format!("/v1/group-plans/{NO_ID}");
        admin.get(&path).await.ok(200);
        admin.get(&missing).await.refused(404, "no-such-plan");
        admin.get(&format!("{path}/moves")).await.ok(200);
        admin.get(&format!("{missing}/moves")).await.refused(404, "no-such-plan");
        admin.press(&format!("{path}/run")).await.ok(202);
        admin.press(&format!("{path}/run")).await.refused(409, "plan-already-run");
        admin.press(&format!("{missing}/run")).await.refused(404, "no-such-plan");
        let outdated = admin.press("/v1/group-plans").await.ok(201)["id"].clone();
        admin.press("/v1/group-plans").await.ok(201);
        let outdated = format!("/v1/group-plans/{}/run", outdated.as_str().expect("an id"));
        admin.press(&outdated).await.refused(409, "plan-outdated");

        admin.put_empty("/v1/groups/Beta/lock").await.ok(204);
        admin.put_empty("/v1/groups/Alpha/lock").await.refused(409, "last-unlocked-group");
        admin.put_empty("/v1/groups/Omega/lock").await.refused(404, "no-such-group");
        admin.put(&group_path(&ana), &to("Beta")).await.refused(409, "group-locked");
        admin.delete("/v1/groups/Beta/lock").await.ok(204);
        admin.delete("/v1/groups/Omega/lock").await.refused(404, "no-such-group");
        admin.put(&group_path(&ana), &to("Beta")).await.ok(204);
        reach.example(&admin, "moveStudent").await.refused(404, "no-such-student");
        let unknown = admin.put(&group_path(&ana), &to("Omega")).await;
        assert_eq!(unknown.errors(), [("/group".to_owned(), "not-an-option".to_owned())]);

        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
