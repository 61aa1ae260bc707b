//! Takes emails up, has them rendered and sent, and settles what became of them.

use std::sync::Arc;

use async_trait::async_trait;

use super::pace::{Pace, Turn};
use super::suppression::suppressed;
use super::{Email, Mail, MailState, Outcome, RenderError, SendMail, Templates};
use crate::kernel::{Clock, faults};
use crate::platform::jobs::{JobError, Run, Subscriber};
use crate::platform::store::{Store, StoreError};

/// Port of what takes emails away. Adapters: the outbox (`features::outbox`), SES and SMTP beside this.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Takes one email. `mail.id` is the same at every try of one email.
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError>;

    /// Whether an email that is sent twice under one id arrives once.
    fn is_idempotent(&self) -> bool;
}

/// Why an email was not taken. The texts are kept, without the addresses in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It has surely not gone, and may go later (not reachable, something about the account).
    #[error("not now: {0}")]
    Temporary(String),
    /// It has surely not gone: emails came too fast.
    #[error("too fast: {0}")]
    Throttled(String),
    /// It may have gone or not: no answer came to what was sent. It goes again, marked.
    #[error("perhaps: {0}")]
    Uncertain(String),
    /// It will never go (no such mailbox, refused content).
    #[error("never: {0}")]
    Permanent(String),
}

/// The subscriber of [`SendMail`].
pub struct Mailer {
    store: Store,
    clock: Arc<dyn Clock>,
    templates: Templates,
    transport: Arc<dyn Transport>,
    /// `None`: as fast as the transport takes them.
    pace: Option<Pace>,
}

/// An email before it is taken up.
enum Ready {
    Email(Email),
    /// It is not to be sent, and why.
    Obsolete(&'static str),
}

impl Mailer {
    /// Sends what `templates` render by `transport`, as fast as it takes them.
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

    /// The mail, unless it has come to its end or is gone.
    async fn to_be_sent(&self, id: &str) -> Result<Option<Mail>, StoreError> {
        Ok(self.store.get::<Mail>(id).await?.filter(|mail| mail.clone().start_sending()))
    }

    /// Renders the email, unless there is a reason not to send it.
    async fn make_ready(&self, mail: &Mail) -> Result<Ready, JobError> {
        if suppressed(&self.store, &mail.to).await? {
            return Ok(Ready::Obsolete("emails to this address came back, or its owner called one spam"));
        }
        match self.templates.render(mail).await {
            Ok(email) => Ok(Ready::Email(email)),
            Err(RenderError::Obsolete(reason)) => Ok(Ready::Obsolete(reason)),
            Err(error) => Err(JobError::Retry(without_addresses(&error.to_string()))),
        }
    }

    /// A place in the line of emails, where there is one.
    async fn turn(&self) -> Result<Option<Turn>, StoreError> {
        match &self.pace {
            Some(pace) => pace.turn().await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for a slot: this one, or another if it is missed.
    async fn come(&self, mut turn: Option<Turn>) -> Result<(), StoreError> {
        while let Some(slot) = turn {
            if slot.come().await {
                break;
            }
            turn = self.turn().await?;
        }
        Ok(())
    }

    /// `None` if there is nothing to send (any more).
    async fn start_sending(&self, id: &str) -> Result<Option<Mail>, StoreError> {
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

    async fn finish_sending(&self, id: &str, outcome: &Outcome) -> Result<Option<MailState>, StoreError> {
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

    async fn send(&self, turn: Option<Turn>, mail: &Mail, email: &Email) -> Result<(), SendError> {
        self.come(turn).await.map_err(|error| SendError::Temporary(error.to_string()))?;
        let sent = self.transport.send(mail, email).await;
        if let (Err(SendError::Throttled(_)), Some(pace)) = (&sent, &self.pace)
            && let Err(error) = pace.rest().await
        {
            tracing::warn!(%error, "emails came too fast, and the others can't be told");
        }
        sent
    }
}

/// What becomes of the email, and what the job says if it has to come back.
fn outcome(sent: Result<(), SendError>) -> (Outcome, Result<(), JobError>) {
    let comes_back = |outcome, reason: &str| (outcome, Err(JobError::Retry(without_addresses(reason))));
    match sent {
        Ok(()) => (Outcome::Sent, Ok(())),
        Err(SendError::Temporary(reason) | SendError::Throttled(reason)) => {
            comes_back(Outcome::Deferred, &reason)
        }
        Err(SendError::Uncertain(reason)) => comes_back(Outcome::Uncertain, &reason),
        Err(SendError::Permanent(reason)) => (Outcome::Failed(without_addresses(&reason)), Ok(())),
    }
}

/// Servers like to repeat addresses in what they say, and job errors end up in logs.
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
    clean
}

#[async_trait]
impl Subscriber for Mailer {
    type Payload = SendMail;
    /// Fifty emails a second, each on its way for a tenth of a second and waiting for its slot before that.
    const CONCURRENCY: usize = 32;
    /// Two days on average: a mail account that is closed on a Friday night is open again on Monday.
    const ATTEMPTS: u32 = 110;

    async fn handle(&self, payload: SendMail, _: Run) -> Result<(), JobError> {
        faults::point("mail.before-start");
        let Some(mail) = self.to_be_sent(&payload.mail).await? else { return Ok(()) };
        let ready = self.make_ready(&mail).await?;
        let turn = if matches!(ready, Ready::Email(_)) { self.turn().await? } else { None };
        // Taken up just before it goes: an email that only waits for its slot has surely not gone.
        let Some(mail) = self.start_sending(&mail.id).await? else { return Ok(()) };
        faults::point("mail.before-send");
        let (outcome, result) = match ready {
            Ready::Email(email) => outcome(self.send(turn, &mail, &email).await),
            Ready::Obsolete(reason) => (Outcome::Obsolete(reason), Ok(())),
        };
        faults::point("mail.after-send");
        let state = self.finish_sending(&mail.id, &outcome).await?;
        faults::point("mail.after-finish");
        tracing::info!(
            mail = mail.id,
            template = mail.template,
            state = state.map(tracing::field::debug),
            "email"
        );
        result
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use super::*;
    use crate::kernel::{EmailAddress, ManualClock, Timestamp};
    use crate::platform::mail::{MailRate, Suppression, SuppressionCause, Template};
    use crate::platform::store::testing::TestStore;

    /// What the transport does at each try, the last one first; `None`: the process dies while it sends.
    struct Scripted {
        tries: Mutex<Vec<Option<Result<(), SendError>>>>,
        is_idempotent: bool,
    }

    #[async_trait]
    impl Transport for Scripted {
        async fn send(&self, _: &Mail, _: &Email) -> Result<(), SendError> {
            let next = self.tries.lock().unwrap().pop().expect("one try more than the test foresaw");
            match next {
                Some(result) => result,
                None => pending().await,
            }
        }

        fn is_idempotent(&self) -> bool {
            self.is_idempotent
        }
    }

    /// Renders by its name: `hello`, or fails as `moot` or `broken`.
    struct Named(&'static str);

    #[async_trait]
    impl Template for Named {
        fn name(&self) -> &'static str {
            self.0
        }

        async fn render(&self, mail: &Mail) -> Result<Email, RenderError> {
            match self.0 {
                "moot" => Err(RenderError::Obsolete("the account is gone")),
                "broken" => Err(RenderError::Failed(format!("nobody at {}", mail.to))),
                _ => Ok(Email {
                    subject: "Hello".into(),
                    text: "".into(),
                    html: "".into(),
                    attachments: vec![],
                }),
            }
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
        /// A desk with one email in it; `tries` in the order in which they happen.
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
            let all = templates(&["hello", "moot", "broken"]).unwrap();
            let mailer = Mailer::new(store.clone(), Arc::new(ManualClock::at(now)), all, transport);
            let to = EmailAddress::parse("ana@example.org").unwrap();
            let mail = Mail::new("hello:1".into(), template, &to, [], now);
            for _ in 0..2 {
                store.transact(async |tx| tx.post(&mail).await).await.unwrap();
            }
            Self { store, mailer }
        }

        async fn run(&self) -> Result<(), JobError> {
            let run = Run { job_id: "mail:hello:1".into(), attempt: 1, crashes: 0 };
            self.mailer.handle(SendMail { mail: "hello:1".into() }, run).await
        }

        /// A run that ends without a word while the transport has the email.
        async fn run_and_die(&self) {
            tokio::time::timeout(std::time::Duration::from_millis(200), self.run()).await.unwrap_err();
        }

        async fn mail(&self) -> Mail {
            self.store.get("hello:1").await.unwrap().unwrap()
        }
    }

    const TAKEN: Option<Result<(), SendError>> = Some(Ok(()));

    #[tokio::test]
    async fn an_email_is_sent_once_and_its_job_may_run_again() {
        let desk = Desk::with("hello", [TAKEN], false).await;
        desk.run().await.unwrap();
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn an_email_whose_run_died_goes_again_and_is_marked() {
        let desk = Desk::with("hello", [None, TAKEN], false).await;
        desk.run_and_die().await;
        assert_eq!(desk.mail().await.state, MailState::Sending);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::SentPossiblyTwice);
    }

    #[tokio::test]
    async fn it_is_not_marked_where_the_transport_is_idempotent() {
        let desk = Desk::with("hello", [None, TAKEN], true).await;
        desk.run_and_die().await;
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn an_email_that_can_not_go_now_goes_later() {
        let throttled = SendError::Temporary("slow down, ana@example.org".into());
        let desk = Desk::with("hello", [Some(Err(throttled)), TAKEN], false).await;
        let JobError::Retry(said) = desk.run().await.unwrap_err() else { panic!("it comes back") };
        assert_eq!(said, "slow down, (address)");
        assert_eq!(desk.mail().await.state, MailState::Queued);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn an_email_that_is_refused_for_good_fails_with_the_reason() {
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
    async fn an_email_of_which_nobody_knows_whether_it_has_gone_goes_again_and_is_marked() {
        let silence = SendError::Uncertain("no answer".into());
        let desk = Desk::with("hello", [Some(Err(silence)), TAKEN], false).await;
        assert!(desk.run().await.is_err());
        assert_eq!(desk.mail().await.state, MailState::Queued);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::SentPossiblyTwice);
    }

    #[tokio::test]
    async fn when_emails_come_too_fast_everybody_rests() {
        let throttled = SendError::Throttled("slow down".into());
        let mut desk = Desk::with("hello", [Some(Err(throttled)), TAKEN], false).await;
        desk.mailer = desk.mailer.at_rate(1000.0);
        assert!(desk.run().await.is_err());
        let rate: MailRate = desk.store.get(MailRate::ID).await.unwrap().unwrap();
        assert_eq!(rate.next_at, Timestamp::from_millis(1_788_246_001_000));
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn an_email_to_an_address_on_the_suppression_list_is_kept_back() {
        let desk = Desk::with("hello", [], false).await;
        let (other, now) = (EmailAddress::parse("ANA@Example.ORG").unwrap(), Timestamp::from_millis(0));
        let listed = Suppression::new("s1".into(), &other, SuppressionCause::Bounce, now);
        desk.store.insert(&listed).await.unwrap();
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!(mail.state, MailState::Suppressed);
        assert!(!mail.reason.unwrap().contains('@'));
    }

    #[test]
    fn no_address_is_left_in_what_a_server_says() {
        let said = "550 5.1.1 <Ana@example.org>: no such user; see ana@example.org, or postmaster@xn--exmple-cua.org.";
        let clean = "550 5.1.1 <(address)>: no such user; see (address), or (address)";
        assert_eq!(without_addresses(said), clean);
    }

    #[tokio::test]
    async fn an_email_about_nothing_is_suppressed() {
        let desk = Desk::with("moot", [], false).await;
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!(
            (mail.state, mail.reason.unwrap().as_str()),
            (MailState::Suppressed, "the account is gone")
        );
    }

    #[tokio::test]
    async fn an_email_that_can_not_be_written_stays_in_the_queue() {
        for template in ["broken", "of-a-newer-version"] {
            let desk = Desk::with(template, [], false).await;
            let JobError::Retry(said) = desk.run().await.unwrap_err() else { panic!("it comes back") };
            assert!(!said.contains("ana@"), "{said}");
            assert_eq!(desk.mail().await.state, MailState::Queued);
        }
    }

    #[tokio::test]
    async fn an_email_that_is_gone_is_no_error() {
        let desk = Desk::with("hello", [], false).await;
        desk.store.transact(async |tx| tx.delete::<Mail>("hello:1").await).await.unwrap();
        desk.run().await.unwrap();
    }

    #[test]
    fn two_templates_with_one_name_are_refused() {
        assert_eq!(templates(&["a", "b", "a"]).err().map(|two| two.0), Some("a"));
    }
}
