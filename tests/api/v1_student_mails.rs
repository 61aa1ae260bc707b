//! `/v1/students/{studentId}/mails`.

use std::time::Duration;

use orientation::features::accounts::Account;
use orientation::kernel::{Actor, Clock, EmailAddress, Ids, RandomIds, Reach, Right, Role, Scope};
use orientation::platform::audit::AuditEntry;
use orientation::platform::mail::{Mail, MailState, Suppression, SuppressionCause};
use orientation::platform::store::{Filter, Query, StoreError};
use serde_json::{Value, json};

use crate::support::{Answer, NO_ID, TestApp, Visitor, reaches_all_of};

impl TestApp {
    /// A leader with these scopes and all reach.
    async fn supporter(&self, reach: Reach) -> Visitor {
        let scopes = [Scope::MailingsRead, Scope::AccountsEdit].map(Right::Scope);
        self.leader_with(scopes.into_iter().chain([Right::Reach(reach)])).await
    }

    async fn change_mail(&self, id: &str, change: impl Fn(&mut Mail) + Send + Sync) {
        let changed: Result<(), StoreError> = self
            .store
            .transact(async |tx| {
                let mut mail = tx.get::<Mail>(id).await?.expect("there");
                change(&mut mail);
                tx.put(&mail).await
            })
            .await;
        changed.expect("changed");
    }

    async fn suppress(&self, address: &EmailAddress) {
        let entry = Suppression::new(RandomIds.next(), address, SuppressionCause::Bounce, self.clock.now());
        self.store.insert(&entry).await.expect("a new address");
    }
}

fn path(student: &Visitor) -> String {
    format!("/v1/students/{}/mails", student.account().id)
}

async fn mails(caller: &Visitor, student: &Visitor) -> Vec<Value> {
    caller.get(&path(student)).await.ok(200)["items"].as_array().expect("a list").clone()
}

fn kinds(mails: &[Value]) -> Vec<&str> {
    mails.iter().map(|mail| mail["kind"].as_str().expect("a text")).collect()
}

/// The newest email of this kind.
async fn of_kind(caller: &Visitor, student: &Visitor, kind: &str) -> Value {
    mails(caller, student).await.into_iter().find(|mail| mail["kind"] == kind).expect("an email of this kind")
}

async fn resend(caller: &Visitor, student: &Visitor, mail: &Value) -> Answer {
    let id = mail["id"].as_str().expect("an id");
    caller.press(&format!("{}/{id}/resend", path(student))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emails_about_an_account_are_listed_newest_first_without_their_content() {
    let app = TestApp::start().await;
    let ((ana, _), leader) = (app.registered().await, app.supporter(Reach::AllGroups).await);
    app.clock.advance(Duration::from_mins(1));
    app.anonymous().post("/v1/password-resets", &json!({ "email": ana.email() })).await.ok(202);
    app.settle().await;
    let listed = mails(&leader, &ana).await;
    assert_eq!(kinds(&listed), ["password-reset", "ticket"]);
    let names: Vec<_> = listed[1].as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["id", "kind", "state", "postedAt", "sentAt", "canBeSentAgain"]);
    assert_eq!((&listed[1]["state"], &listed[1]["canBeSentAgain"]), (&json!("sent"), &json!(true)));
    let page = leader.get(&format!("{}?limit=1", path(&ana))).await.ok(200);
    let next = page["nextCursor"].as_str().expect("another page");
    let rest = leader.get(&format!("{}?limit=1&cursor={next}", path(&ana))).await.ok(200);
    assert_eq!((&rest["items"][0], rest.get("nextCursor")), (&listed[1], None));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_email_is_posted_again_to_the_present_address() {
    let app = TestApp::start().await;
    let ((ana, _), leader) = (app.registered().await, app.supporter(Reach::AllGroups).await);
    let new = EmailAddress::parse(&format!("{}@mail.example.edu", RandomIds.next())).expect("an address");
    app.change(&ana, |account| (account.email, account.email_key) = (new.clone(), new.key())).await;
    let ticket = of_kind(&leader, &ana, "ticket").await;
    let again = resend(&leader, &ana, &ticket).await.ok(202);
    assert_ne!(again["id"], ticket["id"]);
    assert_eq!((&again["state"], &again["canBeSentAgain"]), (&json!("queued"), &json!(false)));
    let email = app.mailbox(new.as_str()).email("You are registered").await;
    assert_eq!(email["attachments"][0]["type"], "application/pdf");
    app.settle().await;
    assert_eq!(kinds(&mails(&leader, &ana).await), ["ticket", "ticket"]);
    let entries = Query::new(Filter::eq("action", "email.resent"));
    let entries: Vec<AuditEntry> = app.store.find(entries).await.expect("readable");
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry.actor, Actor::Account(leader.account().id.clone()));
    assert_eq!(
        (entry.subject.id.as_deref(), entry.detail["again"].as_str()),
        (ticket["id"].as_str(), again["id"].as_str().expect("an id"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_email_is_retried() {
    let app = TestApp::start().await;
    let ((ana, _), leader) = (app.registered().await, app.supporter(Reach::AllGroups).await);
    let ticket = of_kind(&leader, &ana, "ticket").await;
    let id = ticket["id"].as_str().expect("an id");
    let fails =
        |mail: &mut Mail| (mail.state, mail.reason) = (MailState::Failed, Some("no such mailbox".into()));
    app.change_mail(id, fails).await;
    let failed = of_kind(&leader, &ana, "ticket").await;
    assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("no such mailbox")));
    assert_eq!(resend(&leader, &ana, &failed).await.ok(202)["id"], ticket["id"]);
    app.settle().await;
    let sent = mails(&leader, &ana).await;
    assert_eq!((sent.len(), &sent[0]["state"]), (1, &json!("sent")));
    let retried = Query::new(Filter::eq("action", "email.retried"));
    assert_eq!(app.store.find::<AuditEntry>(retried).await.expect("readable").len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_with_a_link_goes_to_the_address_of_the_link_while_it_can_be_used() {
    let app = TestApp::start().await;
    let ((ana, _), leader) = (app.submitted().await, app.supporter(Reach::AllGroups).await);
    app.anonymous().post("/v1/password-resets", &json!({ "email": ana.email() })).await.ok(202);
    app.settle().await;
    let new = EmailAddress::parse(&format!("{}@mail.example.edu", RandomIds.next())).expect("an address");
    app.change(&ana, |account| (account.email, account.email_key) = (new.clone(), new.key())).await;
    let reset = of_kind(&leader, &ana, "password-reset").await;
    resend(&leader, &ana, &reset).await.ok(202);
    app.settle().await;
    assert_eq!(app.mailbox(new.as_str()).emails().await, Vec::<Value>::new());
    assert_eq!(app.mailbox(ana.email()).emails().await.len(), 2);
    app.clock.advance(Duration::from_hours(2));
    let refused = resend(&leader, &ana, &reset).await.refused(409, "mail-obsolete");
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("requestPasswordReset")),
        "{refused}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_that_has_nothing_to_say_any_more_becomes_obsolete() {
    let app = TestApp::start().await;
    let ((ana, order), leader) = (app.submitted().await, app.supporter(Reach::AllGroups).await);
    app.settle().await;
    app.clock.advance(Duration::from_hours(24));
    app.mailbox(ana.email()).email("isn't paid yet").await;
    app.settle().await;
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    let next = ana.press(&checkout).await.ok(200);
    ana.press_button(&next, "pay").await;
    let reminder = of_kind(&leader, &ana, "checkout-expired").await;
    let again = resend(&leader, &ana, &reminder).await.ok(202);
    app.settle().await;
    let obsolete =
        mails(&leader, &ana).await.into_iter().find(|mail| mail["id"] == again["id"]).expect("listed");
    assert_eq!(
        (&obsolete["state"], &obsolete["reason"]),
        (&json!("obsolete"), &json!("the order is no longer expired"))
    );
    let refused = resend(&leader, &ana, &obsolete).await.refused(409, "mail-obsolete");
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("no longer expired")),
        "{refused}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emails_of_students_out_of_reach_and_of_leaders_are_not_found() {
    let app = TestApp::start().await;
    let (ana, _) = app.registered().await;
    let leader = app.supporter(Reach::HuntTeam(1)).await;
    let refused = leader.get(&path(&ana)).await.refused(404, "no-such-student");
    assert_eq!(
        leader.get(&format!("/v1/students/{NO_ID}/mails")).await.refused(404, "no-such-student"),
        refused
    );
    let everywhere = app.supporter(Reach::AllGroups).await;
    everywhere.get(&path(&leader)).await.refused(404, "no-such-student");
    let ticket = of_kind(&everywhere, &ana, "ticket").await;
    resend(&leader, &ana, &ticket).await.refused(404, "no-such-student");
    let (bo, _) = app.registered().await;
    resend(&everywhere, &bo, &ticket).await.refused(404, "no-such-mail");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_on_the_suppression_list_gets_no_email_again() {
    let app = TestApp::start().await;
    let ((ana, _), leader) = (app.registered().await, app.supporter(Reach::AllGroups).await);
    let ticket = of_kind(&leader, &ana, "ticket").await;
    app.suppress(&ana.account().email).await;
    let refused = resend(&leader, &ana, &ticket).await.refused(409, "address-suppressed");
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("removeSuppression")),
        "{refused}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_student_emails_is_reached() {
    reaches_all_of("Student emails", async |reach| {
        let app = reach.start().await;
        let ((ana, _), admin) = (app.registered().await, app.administrator().await);
        admin.get(&format!("/v1/students/{NO_ID}/mails")).await.refused(404, "no-such-student");
        let ticket = of_kind(&admin, &ana, "ticket").await;
        admin.press(&format!("/v1/students/{NO_ID}/mails/x/resend")).await.refused(404, "no-such-student");
        admin.press(&format!("{}/ticket:{NO_ID}/resend", path(&ana))).await.refused(404, "no-such-mail");
        resend(&admin, &ana, &ticket).await.ok(202);
        app.settle().await;
        let id = ticket["id"].as_str().expect("an id");
        app.change_mail(id, |mail| mail.state = MailState::Queued).await;
        resend(&admin, &ana, &ticket).await.refused(409, "mail-under-way");
        app.change_mail(id, |mail| mail.state = MailState::Obsolete).await;
        resend(&admin, &ana, &ticket).await.refused(409, "mail-obsolete");
        app.suppress(&ana.account().email).await;
        resend(&admin, &ana, &ticket).await.refused(409, "address-suppressed");
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;

        let limited = reach.start_with(|config| config.limits = 0.01).await;
        let admin = limited.somebody("limited@mail.example.edu", Role::Leader, &["admin:all"]).await;
        reach.too_many(&admin, &[("resendStudentMail", Value::Null, 404)]).await;
        limited.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_email_to_somebody_with_an_account_names_it() {
    let app = TestApp::start().await;
    let admin = app.administrator().await;
    let (ana, _) = app.applicant().await;
    admin.press(&format!("/v1/bursaries/{}/approve", ana.account().id)).await.ok(200);
    app.registered().await;
    app.anonymous().post("/v1/password-resets", &json!({ "email": ana.email() })).await.ok(202);
    let waiting = app.waiting_leader().await;
    let approval = format!("/v1/accounts/{}/approval", waiting.account().id);
    admin.put_empty(&approval).await.ok(204);
    app.settle().await;
    let accounts: Vec<Account> = app.store.find(Query::new(Filter::All).limit(100)).await.expect("readable");
    for mail in app.store.find::<Mail>(Query::new(Filter::All).limit(100)).await.expect("readable") {
        let owner = accounts.iter().find(|account| account.email == mail.to).expect("an account");
        assert_eq!(mail.about["account"], owner.id, "{}", mail.template);
    }
    app.finish().await;
}
