use std::collections::HashMap;

use futures_util::future::join_all;

use super::super::mails;
use super::*;
use crate::base::TestBase;
use crate::config::Product;
use crate::features::accounts::{Names, SignUp};
use crate::features::groups::Groups;
use crate::features::payments::{Button, OrderState, Sandbox, Source, Webhook};
use crate::features::registration::{
    EmergencyContact, Form, OrientationSale, RegistrationState, Registrations,
};
use crate::kernel::{Actor, Caller, EmailAddress, Reach, Role, Scope};
use crate::platform::audit::testing::trail;
use crate::platform::jobs::{Job, JobState};
use crate::platform::mail::{Email, Mail, RenderError};

/// The committee's desk, with the sandbox as the gateway.
struct Desk {
    base: TestBase,
    sandbox: Arc<Sandbox>,
    registrations: Registrations,
    bursaries: Arc<Bursaries>,
}

impl Desk {
    async fn open() -> Self {
        let base = Base::for_tests().await;
        let sandbox = Sandbox::start(&base, &[]).await.unwrap();
        let webhook = Webhook::new(Source::Sandbox, sandbox.secrets()).unwrap();
        let groups = Arc::new(Groups::new(&base));
        let sales =
            HashMap::from([(Product::ORIENTATION.to_owned(), Arc::new(OrientationSale::new(&groups)) as _)]);
        let payments = Arc::new(Payments::new(&base, sandbox.clone(), webhook, sales));
        let registrations = Registrations::new(&base, &groups, &payments);
        let bursaries = Arc::new(Bursaries::new(&base, &payments));
        Self { base, sandbox, registrations, bursaries }
    }

    /// A student who has submitted a form that asks for a bursary.
    async fn applicant(&self, id: &str) -> Order {
        let email = EmailAddress::parse(&format!("{id}@example.org")).unwrap();
        let now = self.base.clock.now();
        let sign_up = SignUp {
            client: None,
            id: id.into(),
            email_key: email.key(),
            email,
            names: Names { first: "Zoë <b>".into(), last: Some("Silva".into()), preferred: None },
            role: Role::Student,
            password_hash: "none".into(),
            created_at: now,
            expires_at: now,
        };
        self.base.store.insert(&Account::confirmed(&sign_up, now)).await.unwrap();
        let student_id = format!("{id}00000");
        self.registrations.register(&Caller::student(id), form(&student_id), None).await.unwrap().1
    }

    async fn state(&self, student: &str) -> (BursaryState, OrderState, RegistrationState) {
        let registration = self.registrations.registration(student).await.unwrap();
        let Applicant { bursary, order, .. } =
            self.bursaries.applicant(&leader().rights, student).await.unwrap();
        (bursary.state, order, registration.state)
    }

    async fn all<D: Document>(&self) -> Vec<D> {
        self.base.store.find(Query::new(Filter::All).limit(1000)).await.unwrap()
    }

    async fn mails(&self) -> Vec<String> {
        let mut mails: Vec<_> = self.all::<Mail>().await.into_iter().map(|mail| mail.id).collect();
        mails.sort();
        mails
    }

    async fn render(&self, template: &str) -> Result<Email, RenderError> {
        let mail = self.all::<Mail>().await.into_iter().find(|mail| mail.template == template).unwrap();
        let templates = mails::templates(&self.base);
        templates.into_iter().find(|known| known.name() == template).unwrap().render(&mail).await
    }
}

fn form(student_id: &str) -> Form {
    Form {
        legal_name: "Zoë Silva".into(),
        pronouns: "she/her".into(),
        birth_date: "2008-02-29".into(),
        student_id: student_id.into(),
        discipline: "Civil".into(),
        shirt_size: Some("M".into()),
        joins_hunt: Some(false),
        phone: "+1 416 978 2011".into(),
        emergency_contact: EmergencyContact {
            name: "Rui".into(),
            relationship: "father".into(),
            phone: "+351 912 345 678".into(),
        },
        summer_city: Some("Porto".into()),
        summer_country: Some("PT".into()),
        photo_consent: Some(false),
        bursary_requested: Some(true),
        ..Form::default()
    }
}

/// A leader who decides on the bursaries of all groups.
fn leader() -> Principal {
    let mut rights = Rights::leader([Scope::BursariesDecide]);
    rights.reach.insert(Reach::AllGroups);
    Principal { actor: Actor::Account("leader".into()), rights }
}

#[tokio::test]
async fn an_approval_waives_the_order_registers_and_sends_two_emails() {
    let desk = Desk::open().await;
    let order = desk.applicant("ana").await;
    let approved = desk.bursaries.approve(&leader(), "ana").await.unwrap();
    assert_eq!((approved.order, approved.bursary.settled_at.is_some()), (OrderState::Waived, true));
    let state = (BursaryState::Approved, OrderState::Waived, RegistrationState::Registered);
    assert_eq!(desk.state("ana").await, state);
    assert_eq!(desk.mails().await, ["bursary-approved:ana".to_owned(), format!("ticket:{}", order.id)]);
    let waiting = desk.all::<Job>().await.into_iter().filter(|job| job.state == JobState::Waiting);
    let kinds: Vec<_> = waiting.map(|job| job.kind).filter(|kind| kind.starts_with("bursaries")).collect();
    assert_eq!(kinds, [""; 0], "nothing is left to settle");
    desk.bursaries.settle("ana").await.unwrap();
    assert_eq!(desk.state("ana").await, state);
    let actions: Vec<_> =
        trail(&desk.base.store).await.into_iter().map(|entry| entry.1.as_str().to_owned()).collect();
    assert_eq!(actions, ["bursary.approved", "order.waived"]);
}

#[tokio::test]
async fn the_payment_of_an_approved_student_is_refunded_and_the_registration_kept() {
    let desk = Desk::open().await;
    let order = desk.applicant("ana").await;
    let session = order.attempt().session.clone().unwrap();
    desk.sandbox.press(&session, Button::Pay).await.unwrap();
    desk.bursaries.approve(&leader(), "ana").await.unwrap();
    let state = (BursaryState::Approved, OrderState::Refunded, RegistrationState::Registered);
    assert_eq!(desk.state("ana").await, state);
    assert_eq!(desk.sandbox.checkout(&session).await.unwrap().unwrap().0.refunded, order.price.amount);
    assert_eq!(desk.mails().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_approvals_and_ten_declines_at_once_make_one_decision() {
    let desk = Desk::open().await;
    desk.applicant("ana").await;
    let by = leader();
    let deciding = (0..20).map(|n| {
        let (bursaries, by) = (desk.bursaries.clone(), by.clone());
        tokio::spawn(async move {
            match n % 2 {
                0 => bursaries.approve(&by, "ana").await,
                _ => bursaries.decline(&by, "ana", "No funds left.").await,
            }
        })
    });
    let decided: Vec<_> = join_all(deciding).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(decided.iter().filter(|decision| decision.is_ok()).count(), 1);
    let decisions =
        trail(&desk.base.store).await.into_iter().filter(|entry| entry.1.as_str().starts_with("bursary"));
    assert_eq!(decisions.count(), 1);
    let mails = desk.mails().await.into_iter().filter(|mail| mail.starts_with("bursary"));
    assert_eq!(mails.count(), 1);
}

#[tokio::test]
async fn a_student_out_of_reach_is_not_found_and_not_listed() {
    let desk = Desk::open().await;
    desk.applicant("ana").await;
    desk.applicant("bo").await;
    let mut of_beta = leader();
    of_beta.rights.reach = [Reach::Group("Beta".into())].into();
    let refused = desk.bursaries.approve(&of_beta, "ana").await;
    assert!(matches!(refused, Err(DecideBursaryError::NotFound)));
    let list = async |rights: &Rights, limit| {
        let page = desk.bursaries.list(rights, BursaryState::Requested, None, limit).await.unwrap();
        let ids: Vec<_> = page.items.into_iter().map(|applicant| applicant.bursary.id).collect();
        (ids, page.next.is_some())
    };
    assert_eq!(list(&of_beta.rights, 1).await, (vec!["bo".to_owned()], false), "an empty page is skipped");
    assert_eq!(list(&leader().rights, 1).await, (vec!["ana".to_owned()], true));
    assert_eq!(list(&Rights::leader([Scope::BursariesDecide]), 10).await, (vec![], false));
}

#[tokio::test]
async fn requests_on_earlier_forms_are_recorded() {
    let desk = Desk::open().await;
    desk.applicant("ana").await;
    desk.applicant("bo").await;
    desk.registrations.withdraw_bursary_request(&Caller::student("bo")).await.unwrap();
    let recorded: Bursary = desk.base.store.get("ana").await.unwrap().unwrap();
    let forget = desk.base.store.transact(async |tx| {
        tx.delete::<Bursary>("ana").await?;
        tx.delete::<Bursary>("bo").await
    });
    forget.await.unwrap();
    for _ in 0..2 {
        desk.bursaries.record_earlier_requests().await.unwrap();
        assert_eq!(desk.all::<Bursary>().await, std::slice::from_ref(&recorded));
    }
}

#[tokio::test]
async fn the_emails_are_reviewed() {
    let desk = Desk::open().await;
    desk.applicant("ana").await;
    let order = desk.applicant("bo").await;
    desk.bursaries.approve(&leader(), "ana").await.unwrap();
    desk.bursaries.decline(&leader(), "bo", "All bursaries are given away.\nWe tried.").await.unwrap();
    for template in ["bursary-approved", "bursary-declined"] {
        let email = desk.render(template).await.unwrap();
        let hide = |text: String| text.replace(&order.id, "(order)");
        insta::assert_snapshot!(format!("{template}.subject"), email.subject);
        insta::assert_snapshot!(format!("{template}.txt"), hide(email.text));
        insta::assert_snapshot!(format!("{template}.html"), hide(email.html));
    }
}

#[tokio::test]
async fn the_email_about_a_decline_links_to_an_order_that_can_be_paid() {
    let desk = Desk::open().await;
    let order = desk.applicant("ana").await;
    desk.bursaries.decline(&leader(), "ana", "No funds left.").await.unwrap();
    let link = format!("/checkout/back?order={}", order.id);
    assert!(desk.render("bursary-declined").await.unwrap().text.contains(&link));
    let paid = Order { state: OrderState::Paid, ..order };
    desk.base.store.transact(async |tx| tx.put(&paid).await).await.unwrap();
    assert!(!desk.render("bursary-declined").await.unwrap().text.contains(&link));
}
