//! Use cases of registration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono_tz::Tz;

use super::form::{Changes, Form};
use super::mails::{AboutChange, CheckoutExpired, TICKET};
use super::model::{BY_STUDENT_ID, Registration, RegistrationState};
use crate::base::Base;
use crate::config::{Event, Product, Window};
use crate::features::accounts::Account;
use crate::features::bursary_requests::{self, FollowFormError};
use crate::features::groups::{Groups, MoveError};
use crate::features::payments::{
    AboutOrder, BeginError, Ended, NextPage, Order, OrderState, Owed, Payments, Sale, SoldOut, Words,
};
use crate::kernel::faults;
use crate::kernel::{Caller, Clock, Ids, Invalid, Timestamp};
use crate::platform::idempotency::{Once, OnceError};
use crate::platform::mail::{EmailKind, Mail};
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Precondition, Stale, Store, StoreError, Tx};

/// Attempts to submit a form: enough to correct mistakes, too few to find out which student ids are taken.
const REGISTER: Limit = Limit { name: "register", quota: 60, window: Duration::from_secs(3600) };

/// Why a form is refused.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The registration window is not open. The problem shows it in this time zone.
    #[error("registration is closed")]
    Closed(Window, Tz),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("the account has a registration already")]
    AlreadyRegistered,
    #[error("another registration has this student id")]
    StudentIdTaken,
    /// The account was deleted after the request began.
    #[error("the account no longer exists")]
    NoAccount,
    #[error(transparent)]
    SoldOut(#[from] SoldOut),
    #[error(transparent)]
    Repeated(#[from] OnceError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BeginError> for RegisterError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::SoldOut(sold_out) => sold_out.into(),
            BeginError::Store(error) => error.into(),
        }
    }
}

/// Why a registration can't be read.
#[derive(Debug, thiserror::Error)]
pub enum GetRegistrationError {
    #[error("there is no registration")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a registration can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateRegistrationError {
    #[error("there is no registration")]
    NotFound,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Bursary(#[from] FollowFormError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request for a bursary is not withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawBursaryRequestError {
    #[error("there is no registration")]
    NotFound,
    #[error(transparent)]
    Bursary(#[from] FollowFormError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What `Registrations` is made of.
struct Parts {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
    event: Arc<Event>,
    groups: Arc<Groups>,
    payments: Arc<Payments>,
}

/// Registrations of students.
pub struct Registrations(Parts);

impl Registrations {
    /// Registrations for the event of `base`: students get a place in `groups`, and `payments` sells them the ticket.
    pub fn new(base: &Base, groups: &Arc<Groups>, payments: &Arc<Payments>) -> Self {
        Self(Parts {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
            event: base.event.clone(),
            groups: groups.clone(),
            payments: payments.clone(),
        })
    }

    /// The event that students register for.
    pub fn event(&self) -> &Event {
        &self.0.event
    }

    /// Submits a student's form: takes a place in a group, orders the orientation ticket, and opens its checkout. If the
    /// gateway is unreachable, the order has no checkout yet, and a job tries again. A request that took effect before
    /// under the key of `once` returns what it made then.
    ///
    /// # Errors
    /// [`RegisterError`]. Nothing has changed then.
    pub async fn register(
        &self,
        caller: &Caller,
        form: Form,
        once: Option<&Once>,
    ) -> Result<(Registration, Order), RegisterError> {
        if let Some(earlier) = self.earlier(&caller.account_id, once).await? {
            return Ok(earlier);
        }
        let now = self.0.clock.now();
        let window = self.0.event.registration;
        if !window.is_open(now) {
            return Err(RegisterError::Closed(window, self.0.event.time_zone));
        }
        self.0.signals.take(REGISTER, &caller.account_id).await?;
        let form = form.checked(&self.0.event).map_err(Invalid)?;
        let account: Option<Account> = self.0.store.get(&caller.account_id).await?;
        let account = account.ok_or(RegisterError::NoAccount)?;
        let order = Order::open(self.0.ids.next(), &account.id, self.ticket(), account.email.clone(), now);
        let submitted = self.submit(&account, form, &order, once, now).await;
        // The same request, sent at the same time, may have been faster.
        if let Err(RegisterError::AlreadyRegistered) = submitted
            && let Some(earlier) = self.earlier(&account.id, once).await?
        {
            return Ok(earlier);
        }
        let registration = submitted?;
        faults::point("register.after-first-tx");
        let order = self.open_checkout(order).await;
        faults::point("register.after-checkout");
        Ok((registration, order))
    }

    /// What this request made when it took effect.
    async fn earlier(
        &self,
        account: &str,
        once: Option<&Once>,
    ) -> Result<Option<(Registration, Order)>, RegisterError> {
        let Some(once) = once else { return Ok(None) };
        let Some(order) = self.0.store.earlier(once).await? else { return Ok(None) };
        let registration: Option<Registration> = self.0.store.get(account).await?;
        let mut order: Option<Order> = self.0.store.get(&order).await?;
        if let Some(unpaid) = order.take_if(|order| order.state == OrderState::Open) {
            order = Some(self.open_checkout(unpaid).await);
        }
        Ok(registration.zip(order))
    }

    /// The registration of an account.
    ///
    /// # Errors
    /// [`GetRegistrationError`]
    pub async fn registration(&self, account: &str) -> Result<Registration, GetRegistrationError> {
        self.0.store.get(account).await?.ok_or(GetRegistrationError::NotFound)
    }

    /// Changes a submitted form, if the registration is as `condition` says. A request for a bursary is made or withdrawn
    /// with it.
    ///
    /// # Errors
    /// [`UpdateRegistrationError`]. Nothing has changed then.
    pub async fn update(
        &self,
        caller: &Caller,
        changes: Changes,
        condition: &Precondition,
    ) -> Result<Registration, UpdateRegistrationError> {
        let now = self.0.clock.now();
        self.0
            .store
            .transact_at(self.guards_of_wishes(), async |tx| {
                let registration = tx.get::<Registration>(&caller.account_id).await?;
                let mut registration = registration.ok_or(UpdateRegistrationError::NotFound)?;
                condition.check(&registration)?;
                let before = registration.form.clone();
                registration.set_form(before.changed(changes.clone(), &self.0.event).map_err(Invalid)?);
                let asks = registration.form.asks_for_bursary();
                if asks != before.asks_for_bursary() {
                    bursary_requests::follow_form(&tx, &registration.id, asks, now).await?;
                }
                if self.wishes_bind() && registration.form.hunt_teammates != before.hunt_teammates {
                    self.0.groups.note_wishes(&tx).await?;
                }
                tx.put(&registration).await?;
                Ok(registration)
            })
            .await
    }

    /// Withdraws the student's request for a bursary, and changes the form accordingly. Without a request nothing changes.
    ///
    /// # Errors
    /// [`WithdrawBursaryRequestError`]. Nothing has changed then.
    pub async fn withdraw_bursary_request(&self, caller: &Caller) -> Result<(), WithdrawBursaryRequestError> {
        let now = self.0.clock.now();
        self.0
            .store
            .transact(async |tx| {
                let registration = tx.get::<Registration>(&caller.account_id).await?;
                let mut registration = registration.ok_or(WithdrawBursaryRequestError::NotFound)?;
                bursary_requests::follow_form(&tx, &registration.id, false, now).await?;
                if registration.form.asks_for_bursary() {
                    let form = registration.form.clone();
                    registration.set_form(Form { bursary_requested: Some(false), ..form });
                    tx.put(&registration).await?;
                }
                Ok(())
            })
            .await
    }

    /// Puts a student into another group, in a transaction that holds [`Groups::GUARD`]: counts the member there, issues
    /// the ticket anew and posts the email about `change`, an id of which there is one email.
    ///
    /// # Errors
    /// [`MoveError`]. Nothing has changed then.
    pub async fn move_to_group(
        &self,
        tx: &Tx,
        mut registration: Registration,
        group: &str,
        change: &str,
        now: Timestamp,
    ) -> Result<(), MoveError> {
        let registered = registration.state == RegistrationState::Registered;
        let groups = (registration.group.as_str(), group);
        self.0.groups.move_member(tx, groups, registration.form.traits(), registered).await?;
        registration.move_to(group, now);
        tx.put(&registration).await?;
        Ok(AboutChange::of_group(&registration.id).post(tx, change, now).await?)
    }

    /// Whether a student's wishes can bind them to their group, so that the group book notes their changes.
    fn wishes_bind(&self) -> bool {
        self.0.event.grouping.keep_friends_together
    }

    fn guards_of_wishes(&self) -> &[&'static str] {
        if self.wishes_bind() { &[Groups::GUARD] } else { &[] }
    }

    /// The places in groups.
    pub(super) fn groups(&self) -> &Groups {
        &self.0.groups
    }

    fn ticket(&self) -> &Product {
        self.0.event.product(Product::ORIENTATION).expect("`Event::parse` refuses an event without it")
    }

    /// The first transaction: the place in a group, the registration, and the order with its job.
    async fn submit(
        &self,
        account: &Account,
        form: Form,
        order: &Order,
        once: Option<&Once>,
        now: Timestamp,
    ) -> Result<Registration, RegisterError> {
        let submitted = self
            .0
            .store
            .transact_at(&[Groups::GUARD], async |tx| {
                if let Some(once) = once {
                    tx.once(once, &order.id, now).await?;
                }
                let group = self.0.groups.take_place(&tx, form.traits()).await?;
                // As it is now: its owner may have changed it since the request began.
                let account: Account = tx.get(&account.id).await?.unwrap_or_else(|| account.clone());
                let mut registration = Registration::submit(&account.id, form.clone(), group, &order.id, now);
                registration.copy_account(&account);
                tx.insert(&registration).await?;
                if form.asks_for_bursary() {
                    bursary_requests::request(&tx, &order.account, now).await?;
                }
                faults::point("register.while-submitting");
                self.0.payments.begin(&tx, order).await?;
                Ok::<_, RegisterError>(registration)
            })
            .await;
        match submitted {
            Err(RegisterError::Store(StoreError::Duplicate { index })) => {
                Err(self.who_was_first(&order.account, &index).await?)
            }
            other => other,
        }
    }

    /// A form that is sent twice violates both unique indexes, and stores differ in which of them they report.
    async fn who_was_first(&self, account: &str, index: &str) -> Result<RegisterError, StoreError> {
        let own = self.0.store.get::<Registration>(account).await?.is_some();
        Ok(match index {
            _ if own => RegisterError::AlreadyRegistered,
            BY_STUDENT_ID => RegisterError::StudentIdTaken,
            other => RegisterError::Store(StoreError::Duplicate { index: other.into() }),
        })
    }

    /// The order with its checkout. Without one if that fails: the registration is valid either way.
    async fn open_checkout(&self, order: Order) -> Order {
        match self.0.payments.open_checkout(&order.id).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(order = order.id, %error, "registered without a checkout for now");
                order
            }
        }
    }
}

/// Sells the orientation ticket: a student is registered while it is paid or waived.
pub struct OrientationSale {
    groups: Arc<Groups>,
}

impl OrientationSale {
    /// The sale of places in `groups`.
    pub fn new(groups: &Arc<Groups>) -> Self {
        Self { groups: groups.clone() }
    }

    /// The ticket was refunded: registered means paid or waived, so the student is no longer registered. The form and the
    /// place in the group are kept.
    async fn withdraw(&self, tx: &Tx, order: &Order) -> Result<(), StoreError> {
        let Some(mut registration) = tx.get::<Registration>(&order.account).await? else { return Ok(()) };
        if registration.order_id != order.id || !registration.withdraw() {
            return Ok(());
        }
        tx.put(&registration).await?;
        self.groups.count_withdrawn(tx, &registration.group).await
    }
}

#[async_trait]
impl Sale for OrientationSale {
    fn guards(&self, _: &Order) -> Vec<String> {
        vec![Groups::GUARD.into()]
    }

    /// Late payments are honoured: the place in the group is kept.
    async fn owed(&self, _: &Tx, _: &Order, _: Timestamp) -> Result<Owed, StoreError> {
        Ok(Owed::Honour)
    }

    /// Registers the student, counts them, and posts the ticket. If the order was refunded before it was waived, the first
    /// ticket is not valid any more, and the student gets another.
    async fn paid(&self, tx: &Tx, order: &Order, now: Timestamp) -> Result<(), StoreError> {
        let Some(mut registration) = tx.get::<Registration>(&order.account).await? else {
            let order = order.id.clone();
            tx.once_committed(move || tracing::error!(order, "paid order has no registration")).await;
            return Ok(());
        };
        if !registration.register(now) {
            return Ok(());
        }
        tx.put(&registration).await?;
        self.groups.count_registered(tx, &registration.group).await?;
        let once = match order.waived_at.and(order.paid_at) {
            Some(_) => format!("{}:waived", order.id),
            None => order.id.clone(),
        };
        post(tx, order, TICKET, &once, now).await
    }

    async fn ended(&self, tx: &Tx, order: &Order, why: Ended, now: Timestamp) -> Result<(), StoreError> {
        match why {
            Ended::Expired => {
                let attempt = order.attempt();
                let session = attempt.session.clone().unwrap_or_else(|| attempt.idempotency_key.clone());
                post(tx, order, CheckoutExpired::NAME, &session, now).await
            }
            Ended::Refunded => self.withdraw(tx, order).await,
            // The place in the group is kept, and a disputed payment may still be ours.
            Ended::Declined | Ended::Cancelled | Ended::Disputed => Ok(()),
        }
    }

    fn words(&self) -> Words {
        Words {
            paid: "You are registered.",
            unpaid: "We keep your form and your place in the group. You are registered as soon as the ticket is paid.",
            next: Some(NextPage {
                label: "Open the ticket",
                path: "/v1/ticket.pdf",
                note: "It opens in the browser in which you are signed in. We also send it by email.",
            }),
        }
    }
}

/// Posts an email about the order to the present address of its account.
async fn post(
    tx: &Tx,
    order: &Order,
    kind: &'static str,
    once: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(account) = tx.get::<Account>(&order.account).await? else { return Ok(()) };
    let about = AboutOrder { account: account.id, order: order.id.clone() };
    tx.post(&Mail::named(kind, once, &account.email, &about, now)).await
}

#[cfg(test)]
#[path = "service_tests.rs"]
pub mod tests;
