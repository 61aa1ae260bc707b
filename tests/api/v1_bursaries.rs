//! `/v1/bursaries` and `/v1/registration/bursary-request`.

use std::time::Duration;

use orientation::features::accounts::{Account, Approval};
use orientation::features::payments::{Order, OrderState};
use orientation::kernel::{Actor, Reach, Right, Role, Scope, StudentField};
use orientation::platform::audit::AuditEntry;
use orientation::platform::mail::Mail;
use orientation::platform::store::{Filter, Query, StoreError};
use serde_json::{Value, json};

use crate::doubles::stripe::Fault;
use crate::support::stripe::event;
use crate::support::{Answer, NO_ID, TestApp, Visitor, form, new_student_id, reaches_all_of, stripe};

const REQUEST: &str = "/v1/registration/bursary-request";

impl TestApp {
    /// A student who has submitted a form that asks for a bursary, and the order of the response.
    pub async fn applicant(&self) -> (Visitor, Value) {
        let student = self.student().await;
        let mut form = form(&new_student_id());
        form["bursaryRequested"] = true.into();
        let answer = student.post("/v1/registration", &form).await.ok(201);
        (student, answer["order"].clone())
    }

    /// A leader who decides on the bursaries of students of this group, or of all groups.
    async fn decider(&self, reach: Reach) -> Visitor {
        self.leader_with([Right::Scope(Scope::BursariesDecide), Right::Reach(reach)]).await
    }

    /// Makes a student an administrator. No operation does that.
    async fn promote(&self, student: &Visitor) {
        let promote = |account: &mut Account| {
            (account.role, account.approval) = (Role::Leader, Approval::Approved);
            account.set_rights([Right::Scope(Scope::AdminAll)]);
        };
        self.change(student, promote).await;
    }

    async fn change_order(&self, order: &Value, change: impl Fn(&mut Order) + Send + Sync) {
        let id = order["id"].as_str().expect("an id");
        let changed: Result<(), StoreError> = self
            .store
            .transact(async |tx| {
                let mut order = tx.get::<Order>(id).await?.expect("there");
                change(&mut order);
                tx.put(&order).await
            })
            .await;
        changed.expect("changed");
    }
}

impl Visitor {
    async fn approve(&self, student: &Visitor) -> Answer {
        self.press(&format!("/v1/bursaries/{}/approve", student.account().id)).await
    }

    async fn decline(&self, student: &Visitor, reason: &str) -> Answer {
        let path = format!("/v1/bursaries/{}/decline", student.account().id);
        self.post(&path, &json!({ "reason": reason })).await
    }

    /// Changes whether the form asks for a bursary.
    async fn asks(&self, asks: bool) -> Answer {
        self.patch("/v1/registration", &json!({ "bursaryRequested": asks })).await
    }
}

/// The students in this state, as the caller sees them.
async fn listed(caller: &Visitor, state: &str) -> Vec<String> {
    let page = caller.get(&format!("/v1/bursaries?state={state}")).await.ok(200);
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| item["student"]["id"].as_str().expect("an id").to_owned()).collect()
}

async fn tickets(app: &TestApp, student: &Visitor) -> usize {
    let of_student = Filter::eq("template", "ticket").and(Filter::eq("to", student.email()));
    app.store.find::<Mail>(Query::new(of_student)).await.expect("readable").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_waives_the_order_registers_the_student_and_sends_the_ticket() {
    let app = TestApp::start().await;
    let ((ana, order), leader) = (app.applicant().await, app.decider(Reach::AllGroups).await);
    assert_eq!(listed(&leader, "requested").await, [ana.account().id.clone()]);
    let approved = leader.approve(&ana).await.ok(200);
    assert_eq!((&approved["state"], &approved["orderState"]), (&json!("approved"), &json!("waived")));
    assert!(approved["settledAt"].is_string() && approved["decidedAt"].is_string(), "{approved}");
    assert_eq!((listed(&leader, "requested").await.len(), listed(&leader, "approved").await.len()), (0, 1));
    assert_eq!(ana.registration_state().await, "registered");
    let waived = ana.order(&order).await;
    assert_eq!((&waived["state"], waived.get("checkoutUrl")), (&json!("waived"), None));
    assert!(waived["waivedAt"].is_string());

    let email = app.mailbox(ana.email()).email("Your bursary").await;
    assert!(email["text"].as_str().is_some_and(|text| text.contains("has approved your bursary")), "{email}");
    let ticket = app.mailbox(ana.email()).email("You are registered").await;
    let text = ticket["text"].as_str().expect("a text");
    assert!(text.contains("Bursary") && text.contains("CAD 0.00"), "{text}");
    let page = order["checkoutUrl"].as_str().expect("it was open");
    assert_ne!(ana.submit(page, &[("press", "pay")]).await.status, 303, "the checkout has ended");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_before_the_approval_is_refunded_once() {
    let app = TestApp::start().await;
    let ((ana, order), leader) = (app.applicant().await, app.decider(Reach::AllGroups).await);
    ana.press_button(&order, "pay").await;
    app.settle().await;
    leader.approve(&ana).await.ok(200);
    app.settle().await;
    let refunded = ana.order(&order).await;
    assert_eq!(refunded["state"], "refunded");
    assert!(refunded["waivedAt"].is_string());
    assert_eq!(ana.registration_state().await, "registered");
    ana.get("/v1/ticket").await.ok(200);
    let kept: Order =
        app.store.get(order["id"].as_str().expect("an id")).await.expect("readable").expect("there");
    let amounts: Vec<_> = kept.refunds.iter().map(|refund| refund.amount.amount).collect();
    assert_eq!((amounts, tickets(&app, &ana).await), (vec![13_000], 1));
    let done = ana.get(&format!("/checkout/done?order={}", kept.id)).await.text();
    assert!(done.contains("we refund your payment"), "{done}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_bank_confirms_after_the_approval_is_refunded() {
    let app = TestApp::start().await;
    let leader = app.decider(Reach::AllGroups).await;
    for (button, refunds) in [("later-succeeds", 1), ("later-fails", 0)] {
        let (ana, order) = app.applicant().await;
        ana.press_button(&order, button).await;
        let approved = leader.approve(&ana).await.ok(200);
        assert_eq!(approved["orderState"], "processing");
        assert_eq!(ana.registration_state().await, "registered", "at once");
        app.clock.advance(Duration::from_mins(1));
        app.settle().await;
        assert_eq!(ana.order(&order).await["state"], "waived", "{button}");
        let kept: Order =
            app.store.get(order["id"].as_str().expect("an id")).await.expect("readable").expect("there");
        assert_eq!((kept.refunds.len(), kept.payments.len()), (refunds, refunds), "{button}");
        assert_eq!((ana.registration_state().await, tickets(&app, &ana).await), (json!("registered"), 1));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_registers_the_student_whatever_became_of_the_order() {
    let app = stripe::app_with_secret().await;
    let leader = app.decider(Reach::AllGroups).await;
    let reversed = |kind: &str, order: &Value, refunded: i64| {
        let id = format!("evt_{kind}_{}", order["id"].as_str().expect("an id"));
        let object = json!({ "payment_intent": "pi_1", "amount_refunded": refunded, "currency": "cad",
            "metadata": { "orderId": order["id"] } });
        json!({ "id": id, "type": format!("charge.{kind}"), "livemode": false, "data": { "object": object } })
    };
    for (reversal, state, emails) in [
        (Some(("refunded", 13_000)), "refunded", 2),
        (Some(("dispute.created", 0)), "disputed", 1),
        (None, "waived", 1),
    ] {
        let (ana, order) = app.applicant().await;
        if let Some((kind, refunded)) = reversal {
            let id = format!("evt_{kind}_{}_paid", order["id"].as_str().expect("an id"));
            let mut paid = event(&id, "completed", &order, "paid");
            paid["data"]["object"]["payment_intent"] = "pi_1".into();
            app.deliver(&paid).await.ok(200);
            app.deliver(&reversed(kind, &order, refunded)).await.ok(200);
        } else {
            app.change_order(&order, |order| order.state = OrderState::Cancelled).await;
        }
        let approved = leader.approve(&ana).await.ok(200);
        assert_eq!((&approved["orderState"], approved["settledAt"].is_string()), (&json!(state), true));
        assert_eq!(ana.registration_state().await, "registered", "{state}");
        ana.get("/v1/ticket").await.ok(200);
        assert_eq!(tickets(&app, &ana).await, emails, "{state}");
        // A refund that is reported later doesn't end the registration.
        app.deliver(&reversed("refunded", &order, 13_000)).await.ok(200);
        assert_eq!(ana.registration_state().await, "registered", "{state}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_decline_the_order_can_still_be_paid() {
    let app = TestApp::start().await;
    let ((ana, order), leader) = (app.applicant().await, app.decider(Reach::AllGroups).await);
    let declined = leader.decline(&ana, "No funds left.\nWe are sorry.").await.ok(200);
    assert_eq!((&declined["state"], &declined["orderState"]), (&json!("declined"), &json!("open")));
    assert_eq!(declined["reason"], "No funds left.\nWe are sorry.");
    let email = app.mailbox(ana.email()).email("Your request for a bursary").await;
    let text = email["text"].as_str().expect("a text");
    assert!(
        text.contains("No funds left.\nWe are sorry.") && text.contains("/checkout/back?order="),
        "{text}"
    );
    ana.press_button(&order, "pay").await;
    app.settle().await;
    assert_eq!(
        (&ana.order(&order).await["state"], ana.registration_state().await),
        (&json!("paid"), json!("registered"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_withdrawn_and_made_again_until_it_is_decided() {
    let app = TestApp::start().await;
    let ((ana, _), leader) = (app.applicant().await, app.decider(Reach::AllGroups).await);
    ana.delete(REQUEST).await.ok(204);
    ana.delete(REQUEST).await.ok(204);
    assert_eq!(ana.get("/v1/registration").await.ok(200)["bursaryRequested"], false);
    assert_eq!(listed(&leader, "withdrawn").await, [ana.account().id.clone()]);
    leader.approve(&ana).await.refused(409, "no-bursary-request");
    ana.asks(true).await.ok(200);
    ana.asks(false).await.ok(200);
    leader.decline(&ana, "No.").await.refused(409, "no-bursary-request");
    ana.asks(true).await.ok(200);
    assert_eq!(listed(&leader, "requested").await, [ana.account().id.clone()]);

    leader.decline(&ana, "No funds left.").await.ok(200);
    for refused in [
        ana.delete(REQUEST).await,
        ana.asks(false).await,
        leader.approve(&ana).await,
        leader.decline(&ana, "x").await,
    ] {
        let problem = refused.refused(409, "bursary-decided");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("declined")), "{problem}");
    }
    assert_eq!(ana.get("/v1/registration").await.ok(200)["bursaryRequested"], true);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_decides_on_their_own_request() {
    let app = TestApp::start().await;
    let (ana, _) = app.applicant().await;
    app.promote(&ana).await;
    ana.approve(&ana).await.refused(403, "own-bursary");
    ana.decline(&ana, "x").await.refused(403, "own-bursary");
    app.decider(Reach::AllGroups).await.approve(&ana).await.ok(200);
    ana.approve(&ana).await.refused(403, "own-bursary");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_sees_and_decides_on_students_within_reach_only() {
    let app = TestApp::start().await;
    let ((ana, _), (bo, _)) = (app.applicant().await, app.applicant().await);
    let group = |registration: &Value| registration["group"]["name"].as_str().expect("a name").to_owned();
    let of_bo = group(&bo.get("/v1/registration").await.ok(200));
    assert_ne!(group(&ana.get("/v1/registration").await.ok(200)), of_bo);
    let leader = app.decider(Reach::Group(of_bo)).await;
    assert_eq!(listed(&leader, "requested").await, [bo.account().id.clone()]);
    let refused = leader.approve(&ana).await.refused(404, "no-such-student");
    let nobody =
        leader.press(&format!("/v1/bursaries/{NO_ID}/approve")).await.refused(404, "no-such-student");
    assert_eq!(refused, nobody);
    leader.decline(&ana, "x").await.refused(404, "no-such-student");
    leader.approve(&bo).await.ok(200);
    assert_eq!(listed(&app.decider(Reach::HuntTeam(1)).await, "approved").await, [""; 0]);
    assert_eq!(listed(&app.administrator().await, "requested").await, [ana.account().id.clone()]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applicants_are_shown_with_granted_fields_only() {
    let app = TestApp::start().await;
    app.applicant().await;
    let rights = [
        Right::Scope(Scope::BursariesDecide),
        Right::Reach(Reach::AllGroups),
        Right::StudentField(StudentField::ShirtSize),
    ];
    let leader = app.leader_with(rights).await;
    let page = leader.get("/v1/bursaries").await.ok(200);
    let shown: Vec<_> = page["items"][0]["student"].as_object().expect("a student").keys().cloned().collect();
    assert_eq!(shown, ["id", "group", "state", "shirtSize"]);
    assert_eq!(page["items"][0]["student"]["state"], "submitted", "although the student is not registered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_listed_a_page_at_a_time_oldest_first() {
    let app = TestApp::start().await;
    let mut made = vec![];
    for _ in 0..5 {
        made.push(app.applicant().await.0.account().id.clone());
        app.clock.advance(Duration::from_secs(1));
    }
    let leader = app.decider(Reach::AllGroups).await;
    let (mut seen, mut next) = (vec![], Some(String::new()));
    while let Some(cursor) = next {
        let page = leader.get(&format!("/v1/bursaries?limit=2{cursor}")).await.ok(200);
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["student"]["id"].as_str().expect("an id").to_owned()));
        next = page["nextCursor"].as_str().map(|cursor| format!("&cursor={cursor}"));
    }
    assert_eq!(seen, made);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gateway_a_job_settles_the_approval() {
    let (app, gateway) = TestApp::start_embedded_with_stripe().await;
    let ((ana, order), leader) = (app.applicant().await, app.decider(Reach::AllGroups).await);
    gateway.fail(Fault::DropBefore, usize::MAX);
    let approved = leader.approve(&ana).await.ok(200);
    assert_eq!((&approved["state"], &approved["orderState"]), (&json!("approved"), &json!("open")));
    assert_eq!(approved.get("settledAt"), None);
    assert_eq!(ana.registration_state().await, "submitted");
    gateway.heal();
    app.clock.advance(Duration::from_mins(2));
    app.settle().await;
    assert_eq!(ana.registration_state().await, "registered");
    assert_eq!(ana.order(&order).await["state"], "waived");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_in_the_audit_log_with_their_reason() {
    let app = TestApp::start().await;
    let leader = app.decider(Reach::AllGroups).await;
    let ((ana, _), (bo, _)) = (app.applicant().await, app.applicant().await);
    leader.approve(&ana).await.ok(200);
    leader.decline(&bo, "No funds left.").await.ok(200);
    let by = Actor::Account(leader.account().id.clone());
    for (action, student, reason) in
        [("bursary.approved", &ana, None), ("bursary.declined", &bo, Some("No funds left."))]
    {
        let entries: Vec<AuditEntry> =
            app.store.find(Query::new(Filter::eq("action", action))).await.expect("readable");
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((&entry.actor, entry.subject.id.as_deref()), (&by, Some(student.account().id.as_str())));
        assert_eq!(entry.reason.as_ref().and_then(|reason| reason.text()), reason);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_bursaries_is_reached() {
    reaches_all_of("Bursaries", async |reach| {
        let app = reach.start().await;
        let admin = app.administrator().await;
        admin.get("/v1/bursaries").await.ok(200);
        reach.example(&admin, "declineBursary").await.refused(404, "no-such-student");
        admin.press(&format!("/v1/bursaries/{NO_ID}/approve")).await.refused(404, "no-such-student");
        let (bo, _) = app.submitted().await;
        admin.approve(&bo).await.refused(409, "no-bursary-request");
        admin.decline(&bo, "x").await.refused(409, "no-bursary-request");

        let ((ana, _), (cy, _)) = (app.applicant().await, app.applicant().await);
        app.promote(&cy).await;
        cy.approve(&cy).await.refused(403, "own-bursary");
        cy.decline(&cy, "x").await.refused(403, "own-bursary");
        admin.approve(&ana).await.ok(200);
        admin.approve(&ana).await.refused(409, "bursary-decided");
        admin.decline(&ana, "x").await.refused(409, "bursary-decided");
        admin.decline(&cy, "x").await.ok(200);
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
