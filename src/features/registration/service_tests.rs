use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use serde_json::json;

use super::super::form::EmergencyContact;
use super::super::model::RegistrationState;
use super::*;
use crate::base::TestBase;
use crate::features::accounts::{Names, SignUp};
use crate::features::bursary_requests::{Bursary, BursaryState, Decision};
use crate::features::groups::{GroupBook, GroupTally};
use crate::features::payments::{
    Checkout, CheckoutList, CheckoutRequest, CheckoutStatus, Ended, Gateway, GatewayError, OrderState,
    Refund, RefundRequest, Source, Webhook,
};
use crate::kernel::{Actor, Caller, EmailAddress, Role, Secret};
use crate::platform::jobs::{Job, JobState};
use crate::platform::mail::Mail;
use crate::platform::store::{Filter, Query};

/// A gateway that opens checkouts, or is unreachable.
struct Counter {
    reachable: bool,
}

#[async_trait]
impl Gateway for Counter {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        if !self.reachable {
            return Err(GatewayError::Unavailable("unreachable".into()));
        }
        let session = format!("cs_{}", request.order);
        let url = format!("http://127.0.0.1:3000/sandbox/checkout/{session}");
        Ok(Checkout {
            session,
            order: Some(request.order.clone()),
            attempt: Some(request.attempt),
            url: Some(url),
            status: CheckoutStatus::Open,
            money: Some(request.due()),
            intent: None,
        })
    }

    async fn retrieve(&self, _: &str) -> Result<Option<Checkout>, GatewayError> {
        Ok(None)
    }

    async fn expire(&self, _: &str) -> Result<(), GatewayError> {
        Ok(())
    }

    async fn refund(&self, _: &RefundRequest) -> Result<Refund, GatewayError> {
        Err(GatewayError::Refused("not in these tests".into()))
    }

    async fn list(&self, _: Timestamp, _: Option<&str>) -> Result<CheckoutList, GatewayError> {
        Ok(CheckoutList { items: vec![], next: None })
    }

    async fn check(&self) -> Result<(), GatewayError> {
        Ok(())
    }
}

pub struct Desk {
    pub base: TestBase,
    pub registrations: Arc<Registrations>,
    sale: Arc<OrientationSale>,
}

impl Desk {
    pub async fn open() -> Self {
        Self::with(Event::shipped(), true).await
    }

    pub async fn with(event: Event, reachable: bool) -> Self {
        let base = Base::for_tests().await.with_event(event);
        let gateway = Arc::new(Counter { reachable });
        let webhook = Webhook::new(Source::Sandbox, vec![Secret::new("whsec_sandbox_1".into())]).unwrap();
        let groups = Arc::new(Groups::new(&base));
        let sale = Arc::new(OrientationSale::new(&groups));
        let sales = HashMap::from([(Product::ORIENTATION.to_owned(), sale.clone() as _)]);
        let payments = Arc::new(Payments::new(&base, gateway, webhook, sales));
        let registrations = Arc::new(Registrations::new(&base, &groups, &payments));
        Self { base, registrations, sale }
    }

    /// An account whose id is `id`.
    pub async fn account(&self, id: &str) -> &Self {
        let email = EmailAddress::parse(&format!("{id}@example.org")).unwrap();
        let now = self.base.clock.now();
        let names = Names { first: "Ana".into(), last: Some("Silva".into()), preferred: None };
        let sign_up = SignUp {
            client: None,
            id: id.into(),
            email_key: email.key(),
            email,
            names,
            role: Role::Student,
            password_hash: "none".into(),
            created_at: now,
            expires_at: now,
        };
        let account = Account::confirmed(&sign_up, now);
        self.base.store.insert(&account).await.unwrap();
        self
    }

    async fn register(&self, account: &str, form: Form) -> Result<(Registration, Order), RegisterError> {
        self.registrations.register(&Caller::student(account), form, None).await
    }

    async fn move_to(&self, account: &str, group: &str) {
        let now = self.base.clock.now();
        let moved: Result<(), MoveError> = self
            .base
            .store
            .transact_at(&[Groups::GUARD], async |tx| {
                let registration: Registration = tx.get(account).await?.expect("there");
                self.registrations.move_to_group(&tx, registration, group, account, now).await
            })
            .await;
        moved.unwrap();
    }

    /// Changes whether the form asks for a bursary.
    async fn asks(&self, account: &str, asks: bool) -> Result<Registration, UpdateRegistrationError> {
        let changes = Changes { bursary_requested: Some(Some(asks)), ..Changes::default() };
        self.registrations.update(&Caller::student(account), changes, &Precondition::default()).await
    }

    async fn bursaries(&self) -> Vec<(String, BursaryState)> {
        self.all::<Bursary>().await.into_iter().map(|bursary| (bursary.id, bursary.state)).collect()
    }

    async fn book(&self) -> GroupBook {
        self.base.store.get(GroupBook::ID).await.unwrap().unwrap_or_default()
    }

    async fn members(&self) -> u32 {
        self.book().await.groups.iter().map(|tally| tally.members).sum()
    }

    async fn all<D: crate::platform::store::Document>(&self) -> Vec<D> {
        self.base.store.find(Query::new(Filter::All).limit(1000)).await.unwrap()
    }
}

/// A complete form.
pub fn form(student_id: &str) -> Form {
    Form {
        legal_name: "Ana Silva".into(),
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
        bursary_requested: Some(false),
        ..Form::default()
    }
}

#[tokio::test]
async fn a_form_gets_a_group_an_order_and_a_checkout() {
    let desk = Desk::open().await;
    let (registration, order) = desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    assert_eq!((registration.group.as_str(), registration.state), ("Alpha", RegistrationState::Submitted));
    assert_eq!(desk.registrations.registration("ana").await.unwrap(), registration);
    assert_eq!(
        (order.id.as_str(), order.price.to_string().as_str()),
        (&*registration.order_id, "CAD 130.00")
    );
    assert!(order.checkout_url().is_some());
    assert_eq!(desk.members().await, 1);
    let waiting = desk.all::<Job>().await.into_iter().filter(|job| job.state == JobState::Waiting);
    assert_eq!(waiting.count(), 0);
}

#[tokio::test]
async fn a_form_is_accepted_while_the_gateway_is_unreachable() {
    let desk = Desk::with(Event::shipped(), false).await;
    let (_, order) = desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    assert_eq!((order.state, order.checkout_url()), (OrderState::Open, None));
    let jobs: Vec<_> = desk.all::<Job>().await.into_iter().map(|job| job.id).collect();
    assert_eq!(jobs, [format!("checkout:{}:1", order.id)]);
}

#[tokio::test]
async fn the_window_opens_and_closes_to_the_millisecond() {
    let mut event = Event::shipped();
    let noon = Timestamp::from_millis(TestBase::START);
    let second = Duration::from_secs(1);
    event.registration = Window { opens: noon.plus(second), closes: noon.plus(3 * second) };
    let desk = Desk::with(event, true).await;
    desk.account("ana").await.account("bo").await.account("cy").await;
    assert!(matches!(desk.register("ana", form("aaaaa")).await, Err(RegisterError::Closed(..))));
    desk.base.clock.advance(second);
    assert!(desk.register("bo", form("bbbbb")).await.is_ok());
    desk.base.clock.advance(2 * second);
    assert!(matches!(desk.register("cy", form("ccccc")).await, Err(RegisterError::Closed(..))));
}

#[tokio::test]
async fn an_account_has_one_registration_and_a_student_id_one_account() {
    let desk = Desk::open().await;
    desk.account("ana").await.account("bo").await;
    desk.register("ana", form("silva042")).await.unwrap();
    let (again, other) =
        (desk.register("ana", form("silva042")).await, desk.register("ana", form("other1")).await);
    assert!(matches!(again, Err(RegisterError::AlreadyRegistered)));
    assert!(matches!(other, Err(RegisterError::AlreadyRegistered)));
    let taken = desk.register("bo", form("SILVA042")).await;
    assert!(matches!(taken, Err(RegisterError::StudentIdTaken)));
    assert_eq!((desk.members().await, desk.all::<Order>().await.len()), (1, 1));
    assert!(desk.register("bo", form("bo00001")).await.is_ok());
}

#[tokio::test]
async fn an_invalid_form_changes_nothing() {
    let desk = Desk::open().await;
    let invalid = Form { phone: "1".into(), ..form("x") };
    let Err(RegisterError::Invalid(errors)) = desk.account("ana").await.register("ana", invalid).await else {
        panic!("it was accepted");
    };
    assert_eq!(errors.0.len(), 2);
    assert_eq!((desk.members().await, desk.all::<Order>().await.len()), (0, 0));
}

#[tokio::test]
async fn changes_are_stored_and_fixed_properties_rejected() {
    let desk = Desk::open().await;
    let nobody = desk
        .registrations
        .update(&Caller::student("ana"), Changes::default(), &Precondition::default())
        .await;
    assert!(matches!(nobody, Err(UpdateRegistrationError::NotFound)));
    desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    let changes = Changes { joins_hunt: Some(Some(true)), ..Changes::default() };
    desk.registrations.update(&Caller::student("ana"), changes, &Precondition::default()).await.unwrap();
    let kept = desk.registrations.registration("ana").await.unwrap();
    assert_eq!(kept.form.joins_hunt, Some(true));
    let fixed = Changes { sent: json!({ "studentId": "other1" }), ..Changes::default() };
    let refused = desk.registrations.update(&Caller::student("ana"), fixed, &Precondition::default()).await;
    assert!(matches!(refused, Err(UpdateRegistrationError::Invalid(errors)) if errors.0.len() == 1));
    assert_eq!(desk.registrations.registration("ana").await.unwrap(), kept);
}

#[tokio::test]
async fn a_paid_ticket_registers_once_and_posts_one_email() {
    let desk = Desk::open().await;
    let (registration, order) = desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    let now = desk.base.clock.now();
    for _ in 0..2 {
        let paid = desk.base.store.transact(async |tx| desk.sale.paid(&tx, &order, now).await);
        paid.await.unwrap();
    }
    let kept = desk.registrations.registration("ana").await.unwrap();
    assert_eq!((kept.state, kept.registered_at), (RegistrationState::Registered, Some(now)));
    let registered = |tally: &GroupTally| (tally.name == registration.group).then_some(tally.registered);
    assert_eq!(desk.book().await.groups.iter().find_map(registered), Some(1));
    let emails: Vec<_> = desk.all::<Mail>().await.into_iter().map(|mail| mail.id).collect();
    assert_eq!(emails, [format!("ticket:{}", order.id)]);
}

#[tokio::test]
async fn the_email_about_an_expired_checkout_goes_to_the_current_address() {
    let desk = Desk::open().await;
    let (_, order) = desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    let mut account: Account = desk.base.store.get("ana").await.unwrap().unwrap();
    account.email = EmailAddress::parse("new@example.org").unwrap();
    desk.base.store.transact(async |tx| tx.put(&account).await).await.unwrap();
    let now = desk.base.clock.now();
    let ended = desk.base.store.transact(async |tx| desk.sale.ended(&tx, &order, Ended::Expired, now).await);
    ended.await.unwrap();
    let emails = desk.all::<Mail>().await;
    assert_eq!(emails[0].id, format!("checkout-expired:cs_{}", order.id));
    assert_eq!(emails[0].to.as_str(), "new@example.org");
}

#[tokio::test]
async fn a_refunded_ticket_ends_the_registration_once_and_keeps_the_place() {
    let desk = Desk::open().await;
    let (submitted, order) = desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    let now = desk.base.clock.now();
    let ended = async |why| {
        let ended = desk.base.store.transact(async |tx| desk.sale.ended(&tx, &order, why, now).await);
        ended.await.unwrap();
        let book = desk.book().await;
        let tally = book.groups.into_iter().find(|tally| tally.name == submitted.group).unwrap();
        let state = desk.registrations.registration("ana").await.unwrap().state;
        (state, tally.members, tally.registered)
    };
    assert_eq!(ended(Ended::Refunded).await, (RegistrationState::Submitted, 1, 0), "it was never paid");
    desk.base.store.transact(async |tx| desk.sale.paid(&tx, &order, now).await).await.unwrap();
    for why in [Ended::Disputed, Ended::Cancelled] {
        assert_eq!(ended(why).await, (RegistrationState::Registered, 1, 1), "{why:?}");
    }
    for _ in 0..2 {
        assert_eq!(ended(Ended::Refunded).await, (RegistrationState::Submitted, 1, 0));
    }
    assert_eq!(desk.registrations.registration("ana").await.unwrap(), submitted);
}

#[tokio::test]
async fn a_ticket_that_is_waived_after_its_refund_is_sent_anew() {
    let desk = Desk::open().await;
    let (_, order) = desk.account("ana").await.register("ana", form("silva042")).await.unwrap();
    let now = desk.base.clock.now();
    let paid = Order { paid_at: Some(now), ..order };
    let waived = Order { waived_at: Some(now), ..paid.clone() };
    desk.base.store.transact(async |tx| desk.sale.paid(&tx, &paid, now).await).await.unwrap();
    desk.base.store.transact(async |tx| desk.sale.paid(&tx, &waived, now).await).await.unwrap();
    assert_eq!(desk.all::<Mail>().await.len(), 1, "the first ticket is valid");
    let ended = desk.base.store.transact(async |tx| desk.sale.ended(&tx, &paid, Ended::Refunded, now).await);
    ended.await.unwrap();
    desk.base.store.transact(async |tx| desk.sale.paid(&tx, &waived, now).await).await.unwrap();
    let mut emails: Vec<_> = desk.all::<Mail>().await.into_iter().map(|mail| mail.id).collect();
    emails.sort();
    assert_eq!(emails, [format!("ticket:{}", paid.id), format!("ticket:{}:waived", paid.id)]);
}

#[tokio::test]
async fn a_request_for_a_bursary_follows_the_form_until_it_is_decided() {
    let desk = Desk::open().await;
    let asking = Form { bursary_requested: Some(true), ..form("silva042") };
    desk.account("ana").await.account("bo").await.register("ana", asking).await.unwrap();
    desk.register("bo", form("bo00001")).await.unwrap();
    assert_eq!(desk.bursaries().await, [("ana".to_owned(), BursaryState::Requested)]);

    let ana = Caller::student("ana");
    desk.registrations.withdraw_bursary_request(&ana).await.unwrap();
    assert_eq!(desk.bursaries().await, [("ana".to_owned(), BursaryState::Withdrawn)]);
    assert!(!desk.registrations.registration("ana").await.unwrap().form.asks_for_bursary());
    desk.registrations.withdraw_bursary_request(&ana).await.unwrap();
    desk.asks("ana", true).await.unwrap();
    desk.asks("ana", true).await.unwrap();
    assert_eq!(desk.bursaries().await, [("ana".to_owned(), BursaryState::Requested)]);

    let by = Actor::Operator;
    let now = desk.base.clock.now();
    let declined = Decision::Declined("No funds left.");
    let decided =
        desk.base.store.transact(async |tx| bursary_requests::decide(&tx, &by, "ana", declined, now).await);
    decided.await.unwrap();
    let refused = desk.asks("ana", false).await;
    assert!(matches!(refused, Err(UpdateRegistrationError::Bursary(FollowFormError::Decided(_)))));
    let refused = desk.registrations.withdraw_bursary_request(&ana).await;
    assert!(matches!(refused, Err(WithdrawBursaryRequestError::Bursary(FollowFormError::Decided(_)))));
    assert!(desk.registrations.registration("ana").await.unwrap().form.asks_for_bursary(), "nothing changed");
    let bo = Caller::student("bo");
    desk.registrations.withdraw_bursary_request(&bo).await.unwrap();
    desk.asks("bo", true).await.unwrap();
    assert_eq!(desk.bursaries().await[1], ("bo".to_owned(), BursaryState::Requested));
}

const CROWD: usize = 200;

/// Registers [`CROWD`] students at once. Returns the book, and the members of each group by their registrations.
async fn crowd(desk: &Desk) -> (GroupBook, BTreeMap<String, u32>) {
    for i in 0..CROWD {
        desk.account(&format!("student{i}")).await;
    }
    let event = Event::shipped();
    let register = async |i: usize| {
        let discipline = event.disciplines[i % event.disciplines.len()].clone();
        let form = Form { discipline, ..form(&format!("id{i:05}")) };
        desk.register(&format!("student{i}"), form).await
    };
    let taken = join_all((0..CROWD).map(register)).await;
    assert!(taken.iter().all(Result::is_ok));
    (desk.book().await, counted(desk).await)
}

/// The members of each group by their registrations.
async fn counted(desk: &Desk) -> BTreeMap<String, u32> {
    let mut groups = BTreeMap::new();
    for registration in desk.all::<Registration>().await {
        *groups.entry(registration.group).or_insert(0) += 1;
    }
    groups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_concurrent_forms_are_counted_exactly_and_spread_evenly() {
    let (book, groups) = crowd(&Desk::open().await).await;
    let counted: BTreeMap<_, _> = book.groups.into_iter().map(|tally| (tally.name, tally.members)).collect();
    assert_eq!(counted, groups);
    assert_eq!(groups.values().sum::<u32>() as usize, CROWD);
    assert_eq!((groups.values().min(), groups.values().max()), (Some(&10), Some(&10)));
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_guard_places_are_miscounted() {
    let desk = Desk::open().await;
    let (book, groups) = faults::without("groups.book", crowd(&desk)).await;
    let counted: u32 = book.groups.iter().map(|tally| tally.members).sum();
    let even = groups.values().max() == Some(&10);
    assert!((counted as usize) < CROWD || !even, "the race does not occur: {counted}");
}

/// Moves a hundred students at once, while as many register. Returns the book, and the members of each group by their
/// registrations.
async fn moving_crowd(desk: &Desk) -> (GroupBook, BTreeMap<String, u32>) {
    let name = |i: usize| format!("student{i}");
    for i in 0..CROWD {
        desk.account(&name(i)).await;
    }
    let register = async |i: usize| desk.register(&name(i), form(&format!("id{i:05}"))).await;
    for i in 0..CROWD / 2 {
        register(i).await.unwrap();
    }
    // The students of the group itself, every twentieth, stay.
    let moving = (0..CROWD / 2).filter(|i| i % 20 != 19);
    let moves = join_all(moving.map(async |i| desk.move_to(&name(i), "Omicron").await));
    let (_, registered) = tokio::join!(moves, join_all((CROWD / 2..CROWD).map(register)));
    assert!(registered.iter().all(Result::is_ok));
    (desk.book().await, counted(desk).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn students_who_register_while_others_are_moved_are_counted_exactly() {
    let desk = Desk::open().await;
    let (book, groups) = moving_crowd(&desk).await;
    let counted: BTreeMap<_, _> = book.groups.into_iter().map(|tally| (tally.name, tally.members)).collect();
    assert_eq!(counted, groups);
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_guard_moves_are_miscounted() {
    let desk = Desk::open().await;
    let (book, groups) = faults::without("groups.book", moving_crowd(&desk)).await;
    let counted: BTreeMap<_, _> = book.groups.into_iter().map(|tally| (tally.name, tally.members)).collect();
    assert_ne!(counted, groups, "the race does not occur");
}

/// Sends one form twenty times at once under one key. Returns the orders that were answered with; `None` for a refusal.
async fn twenty_presses(desk: &Desk) -> Vec<Option<String>> {
    desk.account("ana").await;
    let form = form("silva042");
    let once = Once::new("register", "ana", "key", &form);
    let ana = Caller::student("ana");
    let presses = (0..20).map(|_| desk.registrations.register(&ana, form.clone(), Some(&once)));
    join_all(presses).await.into_iter().map(|press| press.ok().map(|(_, order)| order.id)).collect()
}

#[tokio::test]
async fn a_form_that_is_sent_twenty_times_at_once_under_one_key_gets_one_answer() {
    let orders = twenty_presses(&Desk::open().await).await;
    assert!(orders[0].is_some() && orders.iter().all(|order| *order == orders[0]), "{orders:?}");
}

#[tokio::test]
async fn without_the_key_s_record_nineteen_of_them_are_refused() {
    let desk = Desk::open().await;
    let orders = faults::without("idempotency.once", twenty_presses(&desk)).await;
    assert_eq!(orders.iter().flatten().count(), 1);
}
