//! Renders queued emails, hands them to the transport and records the outcome.

use std::sync::Arc;

use async_trait::async_trait;

use super::pace::{Pace, Slot};
use super::suppression::suppressed;
use super::{Email, Mail, MailClass, MailState, Outcome, RenderError, SendBulkMail, SendMail, Templates};
use crate::kernel::{Clock, EmailAddress, faults};
use crate::platform::jobs::{JobError, Run, Subscriber};
use crate::platform::store::{Store, StoreError};

/// Port of what delivers emails. Adapters: the outbox (`features::outbox`), SES and SMTP (beside this file).
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one email. `mail.id` is the same at every attempt for one email.
    ///
    /// # Errors
    /// [`SendError`] if it was not accepted, or if nobody knows.
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError>;

    /// Whether an email that is sent twice under one id arrives once.
    fn is_idempotent(&self) -> bool;

    /// Whether emails to this address can be sent at all, as far as is known.
    async fn accepts(&self, to: &EmailAddress) -> bool {
        let _ = to;
        true
    }
}

/// Why an email was not accepted. The texts are stored, without the addresses in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not sent, and may be later: the server can't be reached, or says so.
    #[error("not now: {0}")]
    Temporary(String),
    /// It was not sent, and no other email would be: the server refuses the account, or its quota is used up. Emails wait
    /// until an operator or time changes that.
    #[error("account refused: {0}")]
    Account(String),
    /// It was not sent: emails came too fast.
    #[error("too fast: {0}")]
    Throttled(String),
    /// It may have been sent: no answer came. It is sent again, and marked.
    #[error("no answer: {0}")]
    Uncertain(String),
    /// It will never be accepted (no such mailbox, refused content).
    #[error("refused: {0}")]
    Permanent(String),
}

/// Sends emails: the subscriber of [`SendMail`]. [`BulkMailer`] is that of [`SendBulkMail`].
pub struct Mailer {
    store: Store,
    clock: Arc<dyn Clock>,
    templates: Templates,
    transport: Arc<dyn Transport>,
    /// `None`: as fast as the transport accepts them.
    pace: Option<Pace>,
}

/// What to do with an email, before its run starts.
enum Plan {
    Send(Email),
    /// Not to be sent, for this reason.
    Skip(Outcome),
}

impl Mailer {
    /// Sends what `templates` render by `transport`, as fast as it accepts them.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        templates: Templates,
        transport: Arc<dyn Transport>,
    ) -> Self {
        Self { store, clock, templates, transport, pace: None }
    }

    /// The same with at most `per_second` emails a second, from all processes on this store together.
    pub fn at_rate(mut self, per_second: f64) -> Self {
        self.pace = Some(Pace::new(self.store.clone(), self.clock.clone(), per_second));
        self
    }

    /// One run of the job of this email. If its last attempt fails, so does the email.
    async fn run(&self, id: &str, run: &Run) -> Result<(), JobError> {
        match self.attempt(id).await {
            Err(JobError::Retry(reason)) if run.attempt >= ATTEMPTS => {
                let state = self.finish(id, &Outcome::Failed(reason.clone())).await?;
                tracing::warn!(mail = id, ?state, reason, "the email was tried too often");
                Ok(())
            }
            result => result,
        }
    }

    async fn attempt(&self, id: &str) -> Result<(), JobError> {
        faults::point("mail.before-start");
        let Some(mail) = self.unsent(id).await? else { return Ok(()) };
        let plan = self.plan(&mail).await?;
        let slot = if matches!(plan, Plan::Send(_)) { self.slot(mail.class).await? } else { None };
        let plan = self.again(plan, &mail).await?;
        // Not before: an email that only waits for its slot has certainly not been sent.
        let Some(mail) = self.start(id).await? else { return Ok(()) };
        faults::point("mail.before-send");
        let (outcome, result) = match plan {
            Plan::Send(email) => outcome(self.send(slot, &mail, &email).await),
            Plan::Skip(outcome) => (outcome, Ok(())),
        };
        faults::point("mail.after-send");
        let state = self.finish(id, &outcome).await?;
        faults::point("mail.after-finish");
        let (template, logged) = (&mail.template, state.map(tracing::field::debug));
        match &outcome {
            Outcome::Failed(reason) => {
                tracing::warn!(mail = mail.id, template, state = logged, reason, "the email failed");
            }
            Outcome::Uncertain if state == Some(MailState::Failed) => {
                tracing::warn!(mail = mail.id, template, "the email failed: the server never replied to it");
                return Ok(());
            }
            _ => tracing::info!(mail = mail.id, template, state = logged, "email"),
        }
        result
    }

    /// The mail, unless it has reached its final state or no longer exists.
    async fn unsent(&self, id: &str) -> Result<Option<Mail>, StoreError> {
        Ok(self.store.get::<Mail>(id).await?.filter(|mail| mail.clone().start_sending()))
    }

    /// Renders the email, unless there is a reason not to send it.
    async fn plan(&self, mail: &Mail) -> Result<Plan, JobError> {
        if suppressed(&self.store, &mail.to).await? {
            return Ok(Plan::Skip(Outcome::Suppressed));
        }
        match self.templates.render(mail).await {
            Ok(email) => Ok(Plan::Send(email)),
            Err(error) => not_sent(error),
        }
    }

    /// The plan after the email has waited for its slot. A bulk email can wait for long, for example while the server refuses
    /// the account: its recipient may have left meanwhile.
    async fn again(&self, plan: Plan, mail: &Mail) -> Result<Plan, JobError> {
        if mail.class == MailClass::Direct || matches!(plan, Plan::Skip(_)) {
            return Ok(plan);
        }
        if suppressed(&self.store, &mail.to).await? {
            return Ok(Plan::Skip(Outcome::Suppressed));
        }
        match self.templates.check(mail).await {
            Ok(()) => Ok(plan),
            Err(error) => not_sent(error),
        }
    }

    /// The next slot for an email of this class, where there is a rate.
    async fn slot(&self, class: MailClass) -> Result<Option<Slot>, StoreError> {
        match &self.pace {
            Some(pace) => pace.slot(class).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the slot, or for another if it is missed.
    async fn wait(&self, mut slot: Option<Slot>, class: MailClass) -> Result<(), StoreError> {
        while let Some(next) = slot {
            if next.wait().await {
                break;
            }
            slot = self.slot(class).await?;
        }
        Ok(())
    }

    /// Records that the email is being sent; `None` if there is nothing to send any more.
    async fn start(&self, id: &str) -> Result<Option<Mail>, StoreError> {
        self.store
            .transact(async |tx| {
                let Some(mut mail) = tx.get::<Mail>(id).await? else { return Ok(None) };
                if !mail.start_sending() {
                    return Ok(None);
                }
                tx.put(&mail).await?;
                Ok(Some(mail))
            })
            .await
    }

    /// Records the outcome; the state that follows from it.
    async fn finish(&self, id: &str, outcome: &Outcome) -> Result<Option<MailState>, StoreError> {
        let (now, is_idempotent) = (self.clock.now(), self.transport.is_idempotent());
        self.store
            .transact(async |tx| {
                let Some(mut mail) = tx.get::<Mail>(id).await? else { return Ok(None) };
                mail.finish_sending(outcome.clone(), is_idempotent, now);
                tx.put(&mail).await?;
                Ok(Some(mail.state))
            })
            .await
    }

    async fn send(&self, slot: Option<Slot>, mail: &Mail, email: &Email) -> Result<(), SendError> {
        self.wait(slot, mail.class).await.map_err(|error| SendError::Temporary(error.to_string()))?;
        let sent = self.transport.send(mail, email).await;
        if let Err(SendError::Account(reason)) = &sent {
            let reason = without_addresses(reason);
            tracing::warn!(
                reason,
                "the mail server refuses the account: emails wait and are sent more slowly"
            );
        }
        if let Some(pace) = &self.pace
            && let Err(error) = pace.note(&sent).await
        {
            tracing::warn!(%error, "the sending of emails can't be slowed down or resumed");
        }
        sent
    }
}

/// What to do with an email that was not rendered.
fn not_sent(error: RenderError) -> Result<Plan, JobError> {
    match error {
        RenderError::Obsolete(reason) => Ok(Plan::Skip(Outcome::Obsolete(reason))),
        RenderError::Unsubscribed => Ok(Plan::Skip(Outcome::Unsubscribed)),
        error => Err(JobError::Retry(without_addresses(&error.to_string()))),
    }
}

/// The outcome of an attempt, and the result of its job.
fn outcome(sent: Result<(), SendError>) -> (Outcome, Result<(), JobError>) {
    let retry = |outcome, reason: &str| (outcome, Err(JobError::Retry(without_addresses(reason))));
    match sent {
        Ok(()) => (Outcome::Sent, Ok(())),
        Err(SendError::Temporary(reason) | SendError::Throttled(reason) | SendError::Account(reason)) => {
            retry(Outcome::Deferred, &reason)
        }
        Err(SendError::Uncertain(reason)) => retry(Outcome::Uncertain, &reason),
        Err(SendError::Permanent(reason)) => (Outcome::Failed(without_addresses(&reason)), Ok(())),
    }
}

/// Maximum length of a reason, in code points: a reply can have thousands of lines.
const REASON_LENGTH: usize = 500;

/// The text with its addresses masked, and cut: servers repeat addresses in their replies, and reasons end up in logs.
fn without_addresses(reason: &str) -> String {
    let (mut clean, mut word) = (String::new(), String::new());
    for c in reason.chars().chain(['\n']) {
        if c.is_whitespace() || "<>()[]{}\"',;:=".contains(c) {
            clean.push_str(if word.contains('@') { "(address)" } else { &word });
            clean.push(c);
            word.clear();
        } else {
            word.push(c);
        }
    }
    clean.pop();
    // After masking, so that no part of an address remains at the cut.
    clean.chars().take(REASON_LENGTH).collect()
}

/// Two days of attempts on average: a mail account that is closed on a Friday night is open again on Monday.
const ATTEMPTS: u32 = 110;

#[async_trait]
impl Subscriber for Mailer {
    type Payload = SendMail;
    /// Fifty emails a second, each in transit for a tenth of a second after waiting for its slot.
    const CONCURRENCY: usize = 32;
    const ATTEMPTS: u32 = ATTEMPTS;

    async fn handle(&self, payload: SendMail, run: Run) -> Result<(), JobError> {
        self.run(&payload.mail, &run).await
    }
}

/// Sends bulk emails by the same mailer, in a separate lane: their jobs never occupy the workers of direct emails.
pub struct BulkMailer(pub Arc<Mailer>);

#[async_trait]
impl Subscriber for BulkMailer {
    type Payload = SendBulkMail;
    /// Half of what direct emails have: enough for fifty a second, and memory for sixteen rendered emails.
    const CONCURRENCY: usize = 16;
    const ATTEMPTS: u32 = ATTEMPTS;

    async fn handle(&self, payload: SendBulkMail, run: Run) -> Result<(), JobError> {
        self.0.run(&payload.mail, &run).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use super::*;
    use crate::kernel::{ManualClock, Timestamp};
    use crate::platform::mail::{MailRate, Sample, Suppression, SuppressionCause, Template};
    use crate::platform::store::testing::TestStore;

    /// The result of each attempt, the last one first; `None`: the process dies while it sends.
    struct Scripted {
        tries: Mutex<Vec<Option<Result<(), SendError>>>>,
        is_idempotent: bool,
    }

    #[async_trait]
    impl Transport for Scripted {
        async fn send(&self, _: &Mail, _: &Email) -> Result<(), SendError> {
            let next = self.tries.lock().unwrap().pop().expect("an attempt that the test expects");
            match next {
                Some(result) => result,
                None => pending().await,
            }
        }

        fn is_idempotent(&self) -> bool {
            self.is_idempotent
        }
    }

    /// Renders by its name: `hello`, or fails as `obsolete` or `broken`.
    struct Named(&'static str);

    #[async_trait]
    impl Template for Named {
        fn name(&self) -> &'static str {
            self.0
        }

        async fn render(&self, mail: &Mail) -> Result<Email, RenderError> {
            match self.0 {
                "obsolete" => Err(RenderError::Obsolete("the account is gone")),
                "broken" => Err(RenderError::Failed(format!("nobody at {}", mail.to))),
                _ => Ok(Email {
                    subject: "Hello".into(),
                    text: "".into(),
                    html: "".into(),
                    attachments: vec![],
                    unsubscribe: None,
                }),
            }
        }

        fn samples(&self) -> Result<Vec<Sample>, RenderError> {
            Ok(vec![])
        }
    }

    fn templates(names: &[&'static str]) -> Result<Templates, crate::platform::mail::DuplicateTemplate> {
        Templates::new(names.iter().map(|name| Arc::new(Named(name)) as Arc<dyn Template>).collect())
    }

    struct Desk {
        store: TestStore,
        mailer: Mailer,
    }

    impl Desk {
        /// A desk with one email, and the results of its attempts in their order.
        async fn with(
            template: &'static str,
            tries: impl IntoIterator<Item = Option<Result<(), SendError>>>,
            is_idempotent: bool,
        ) -> Self {
            let schemas = [crate::platform::mail::schemas(), crate::platform::jobs::schemas()].concat();
            let store = TestStore::with(&schemas).await;
            let now = Timestamp::from_millis(1_788_246_000_000);
            let mut tries: Vec<_> = tries.into_iter().collect();
            tries.reverse();
            let transport = Arc::new(Scripted { tries: Mutex::new(tries), is_idempotent });
            let all = templates(&["hello", "obsolete", "broken"]).unwrap();
            let mailer = Mailer::new(store.clone(), Arc::new(ManualClock::at(now)), all, transport);
            let to = EmailAddress::parse("ana@example.org").unwrap();
            let mail = Mail::new("hello:1".into(), template, &to, [], now);
            for _ in 0..2 {
                store.transact(async |tx| tx.post(&mail).await).await.unwrap();
            }
            Self { store, mailer }
        }

        async fn run(&self) -> Result<(), JobError> {
            self.attempt(1).await
        }

        async fn attempt(&self, attempt: u32) -> Result<(), JobError> {
            let run = Run { job_id: "mail:hello:1".into(), attempt, crashes: 0 };
            self.mailer.handle(SendMail { mail: "hello:1".into() }, run).await
        }

        /// A run that dies while the transport has the email.
        async fn run_and_die(&self) {
            tokio::time::timeout(std::time::Duration::from_millis(200), self.run()).await.unwrap_err();
        }

        async fn mail(&self) -> Mail {
            self.store.get("hello:1").await.unwrap().unwrap()
        }
    }

    const ACCEPTED: Option<Result<(), SendError>> = Some(Ok(()));

    #[tokio::test]
    async fn an_email_is_sent_once_and_its_job_may_run_again() {
        let desk = Desk::with("hello", [ACCEPTED], false).await;
        desk.run().await.unwrap();
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn an_email_whose_run_died_is_sent_again_and_marked() {
        let desk = Desk::with("hello", [None, ACCEPTED], false).await;
        desk.run_and_die().await;
        assert_eq!(desk.mail().await.state, MailState::Sending);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::SentPossiblyTwice);
    }

    #[tokio::test]
    async fn an_idempotent_transport_leaves_no_mark() {
        let desk = Desk::with("hello", [None, ACCEPTED], true).await;
        desk.run_and_die().await;
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_deferred_email_is_sent_later() {
        let throttled = SendError::Temporary("slow down, ana@example.org".into());
        let desk = Desk::with("hello", [Some(Err(throttled)), ACCEPTED], false).await;
        let JobError::Retry(said) = desk.run().await.unwrap_err() else { panic!("it comes back") };
        assert_eq!(said, "slow down, (address)");
        assert_eq!(desk.mail().await.state, MailState::Queued);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_refused_email_fails_with_the_reason() {
        let refused = SendError::Permanent("no mailbox <ana@example.org>".into());
        let desk = Desk::with("hello", [Some(Err(refused))], false).await;
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!(
            (mail.state, mail.reason.unwrap().as_str()),
            (MailState::Failed, "no mailbox <(address)>")
        );
    }

    #[tokio::test]
    async fn an_email_without_an_answer_is_sent_again_and_marked() {
        let silence = SendError::Uncertain("no answer".into());
        let desk = Desk::with("hello", [Some(Err(silence)), ACCEPTED], false).await;
        assert!(desk.run().await.is_err());
        assert_eq!(desk.mail().await.state, MailState::Queued);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::SentPossiblyTwice);
    }

    #[tokio::test]
    async fn a_throttled_email_makes_every_process_pause() {
        let throttled = SendError::Throttled("slow down".into());
        let mut desk = Desk::with("hello", [Some(Err(throttled)), ACCEPTED], false).await;
        desk.mailer = desk.mailer.at_rate(1000.0);
        assert!(desk.run().await.is_err());
        let rate: MailRate = desk.store.get(MailRate::ID).await.unwrap().unwrap();
        assert_eq!(rate.next_at, Timestamp::from_millis(1_788_246_001_000));
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_refused_account_keeps_the_email_and_slows_every_process_down() {
        let refused = || Some(Err(SendError::Account("550 5.4.5 daily limit".into())));
        let mut desk = Desk::with("hello", [refused(), refused(), ACCEPTED], false).await;
        desk.mailer = desk.mailer.at_rate(1000.0);
        let rate = async || desk.store.get::<MailRate>(MailRate::ID).await.unwrap().unwrap();
        // The clock stands still, so the second refusal is within the pause after the first.
        for _ in 0..2 {
            assert!(desk.run().await.is_err());
            assert_eq!(desk.mail().await.state, MailState::Queued);
            let rate = rate().await;
            let pause_end = Timestamp::from_millis(1_788_246_001_000);
            assert_eq!((rate.refusals, rate.rest_until), (1, Some(pause_end)));
            assert!(rate.next_at >= pause_end);
        }
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
        assert_eq!((rate().await.refusals, rate().await.rest_until), (0, None));
    }

    #[tokio::test]
    async fn an_email_fails_when_its_last_attempt_does() {
        for (template, result, reason) in [
            (
                "hello",
                Some(SendError::Account("550 5.4.5 limit of me@example.edu".into())),
                "550 5.4.5 limit of (address)",
            ),
            ("hello", Some(SendError::Uncertain("no reply".into())), "no reply"),
            ("broken", None, "nobody at (address)"),
        ] {
            let desk = Desk::with(template, result.map(|error| Some(Err(error))), false).await;
            desk.attempt(ATTEMPTS).await.unwrap();
            let mail = desk.mail().await;
            assert_eq!((mail.state, mail.reason.as_deref()), (MailState::Failed, Some(reason)));
        }
    }

    #[tokio::test]
    async fn an_email_to_a_suppressed_address_is_not_sent() {
        let desk = Desk::with("hello", [], false).await;
        let (other, now) = (EmailAddress::parse("ANA@Example.ORG").unwrap(), Timestamp::from_millis(0));
        let listed = Suppression::new("s1".into(), &other, SuppressionCause::Bounce, now);
        desk.store.insert(&listed).await.unwrap();
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!((mail.state, mail.reason), (MailState::Suppressed, None));
    }

    #[test]
    fn addresses_in_a_reply_are_masked() {
        let said = "550 5.1.1 <Ana@example.org>: no such user; see ana@example.org, or postmaster@xn--exmple-cua.org.";
        let clean = "550 5.1.1 <(address)>: no such user; see (address), or (address)";
        assert_eq!(without_addresses(said), clean);
        let long = without_addresses(&format!("{}ana@example.org", "x ".repeat(247)));
        assert_eq!((long.len(), long.ends_with("(addre")), (REASON_LENGTH, true));
    }

    #[tokio::test]
    async fn an_obsolete_email_is_not_sent() {
        let desk = Desk::with("obsolete", [], false).await;
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!((mail.state, mail.reason.unwrap().as_str()), (MailState::Obsolete, "the account is gone"));
    }

    #[tokio::test]
    async fn an_email_that_fails_to_render_stays_queued() {
        for template in ["broken", "of-a-newer-version"] {
            let desk = Desk::with(template, [], false).await;
            let JobError::Retry(said) = desk.run().await.unwrap_err() else { panic!("it comes back") };
            assert!(!said.contains("ana@"), "{said}");
            assert_eq!(desk.mail().await.state, MailState::Queued);
        }
    }

    #[tokio::test]
    async fn a_deleted_email_is_no_error() {
        let desk = Desk::with("hello", [], false).await;
        desk.store.transact(async |tx| tx.delete::<Mail>("hello:1").await).await.unwrap();
        desk.run().await.unwrap();
    }

    #[test]
    fn two_templates_with_one_name_are_refused() {
        assert_eq!(templates(&["a", "b", "a"]).err().map(|two| two.0), Some("a"));
    }
}
