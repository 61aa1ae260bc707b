//! Takes letters up, has them rendered and carried, and settles what became of them.

use std::sync::Arc;

use async_trait::async_trait;

use super::pace::{Pace, Turn};
use super::suppression::suppressed;
use super::{Email, Mail, MailState, Outcome, RenderError, SendMail, Templates};
use crate::kernel::{Clock, faults};
use crate::platform::jobs::{JobError, Run, Subscriber};
use crate::platform::store::{Store, StoreError};

/// Port of what takes letters away. Adapters: the outbox (`features::outbox`), SES and SMTP beside this.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Takes one letter. `mail.id` is the same at every try of one letter.
    async fn carry(&self, mail: &Mail, letter: &Email) -> Result<(), CarryError>;

    /// Whether a letter that is carried twice under one id arrives once.
    fn repeats_safely(&self) -> bool;
}

/// Why a letter was not taken. The texts are kept, without the addresses in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// It has surely not gone, and may go later (not reachable, something about the account).
    #[error("not now: {0}")]
    Temporary(String),
    /// It has surely not gone: letters came too fast.
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
    carrier: Arc<dyn Carrier>,
    /// `None`: as fast as the carrier takes them.
    pace: Option<Pace>,
}

/// A letter before it is taken up.
enum Ready {
    Email(Email),
    /// It is not to be sent, and why.
    Moot(&'static str),
}

impl Mailer {
    /// Sends what `templates` render by `carrier`, as fast as it takes them.
    pub fn new(store: Store, clock: Arc<dyn Clock>, templates: Templates, carrier: Arc<dyn Carrier>) -> Self {
        Self { store, clock, templates, carrier, pace: None }
    }

    /// The same with at most `per_second` letters a second, from all processes on this store together.
    pub fn at_rate(mut self, per_second: f64) -> Self {
        self.pace = Some(Pace::new(self.store.clone(), self.clock.clone(), per_second));
        self
    }

    /// The mail, unless it has come to its end or is gone.
    async fn to_be_sent(&self, id: &str) -> Result<Option<Mail>, StoreError> {
        Ok(self.store.get::<Mail>(id).await?.filter(|mail| mail.clone().take_up()))
    }

    /// Renders the letter, unless there is a reason not to send it.
    async fn make_ready(&self, mail: &Mail) -> Result<Ready, JobError> {
        if suppressed(&self.store, &mail.to).await? {
            return Ok(Ready::Moot("letters to this address came back, or its owner called one spam"));
        }
        match self.templates.render(mail).await {
            Ok(letter) => Ok(Ready::Email(letter)),
            Err(RenderError::Moot(reason)) => Ok(Ready::Moot(reason)),
            Err(error) => Err(JobError::Retry(without_addresses(&error.to_string()))),
        }
    }

    /// A place in the line of letters, where there is one.
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
    async fn take_up(&self, id: &str) -> Result<Option<Mail>, StoreError> {
        self.store
            .transact(async |tx| {
                let Some(mut mail) = tx.get::<Mail>(id).await? else { return Ok(None) };
                if !mail.take_up() {
                    return Ok(None);
                }
                tx.put(&mail).await?;
                Ok(Some(mail))
            })
            .await
    }

    async fn settle(&self, id: &str, outcome: &Outcome) -> Result<Option<MailState>, StoreError> {
        let (now, repeats_safely) = (self.clock.now(), self.carrier.repeats_safely());
        self.store
            .transact(async |tx| {
                let Some(mut mail) = tx.get::<Mail>(id).await? else { return Ok(None) };
                mail.settle(outcome.clone(), repeats_safely, now);
                tx.put(&mail).await?;
                Ok(Some(mail.state))
            })
            .await
    }

    async fn carry(&self, turn: Option<Turn>, mail: &Mail, letter: &Email) -> Result<(), CarryError> {
        self.come(turn).await.map_err(|error| CarryError::Temporary(error.to_string()))?;
        let carried = self.carrier.carry(mail, letter).await;
        if let (Err(CarryError::Throttled(_)), Some(pace)) = (&carried, &self.pace)
            && let Err(error) = pace.rest().await
        {
            tracing::warn!(%error, "letters came too fast, and the others can't be told");
        }
        carried
    }
}

/// What becomes of the letter, and what the job says if it has to come back.
fn outcome(carried: Result<(), CarryError>) -> (Outcome, Result<(), JobError>) {
    let comes_back = |outcome, reason: &str| (outcome, Err(JobError::Retry(without_addresses(reason))));
    match carried {
        Ok(()) => (Outcome::Carried, Ok(())),
        Err(CarryError::Temporary(reason) | CarryError::Throttled(reason)) => {
            comes_back(Outcome::NotYet, &reason)
        }
        Err(CarryError::Uncertain(reason)) => comes_back(Outcome::Uncertain, &reason),
        Err(CarryError::Permanent(reason)) => (Outcome::Refused(without_addresses(&reason)), Ok(())),
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
    /// Fifty letters a second, each on its way for a tenth of a second and waiting for its slot before that.
    const CONCURRENCY: usize = 32;
    /// Two days on average: a mail account that is closed on a Friday night is open again on Monday.
    const ATTEMPTS: u32 = 110;

    async fn handle(&self, payload: SendMail, _: Run) -> Result<(), JobError> {
        faults::point("mail.before-take-up");
        let Some(mail) = self.to_be_sent(&payload.mail).await? else { return Ok(()) };
        let ready = self.make_ready(&mail).await?;
        let turn = if matches!(ready, Ready::Email(_)) { self.turn().await? } else { None };
        // Taken up just before it goes: a letter that only waits for its slot has surely not gone.
        let Some(mail) = self.take_up(&mail.id).await? else { return Ok(()) };
        faults::point("mail.before-carry");
        let (outcome, result) = match ready {
            Ready::Email(letter) => outcome(self.carry(turn, &mail, &letter).await),
            Ready::Moot(reason) => (Outcome::Moot(reason), Ok(())),
        };
        faults::point("mail.after-carry");
        let state = self.settle(&mail.id, &outcome).await?;
        faults::point("mail.after-settle");
        tracing::info!(
            mail = mail.id,
            template = mail.template,
            state = state.map(tracing::field::debug),
            "letter"
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

    /// What the carrier does at each try, the last one first; `None`: the process dies while it carries.
    struct Scripted {
        tries: Mutex<Vec<Option<Result<(), CarryError>>>>,
        repeats_safely: bool,
    }

    #[async_trait]
    impl Carrier for Scripted {
        async fn carry(&self, _: &Mail, _: &Email) -> Result<(), CarryError> {
            let next = self.tries.lock().unwrap().pop().expect("one try more than the test foresaw");
            match next {
                Some(result) => result,
                None => pending().await,
            }
        }

        fn repeats_safely(&self) -> bool {
            self.repeats_safely
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
                "moot" => Err(RenderError::Moot("the account is gone")),
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

    fn templates(names: &[&'static str]) -> Result<Templates, crate::platform::mail::TwoOfOneName> {
        Templates::new(names.iter().map(|name| Arc::new(Named(name)) as Arc<dyn Template>).collect())
    }

    struct Desk {
        store: TestStore,
        mailer: Mailer,
    }

    impl Desk {
        /// A desk with one letter in it; `tries` in the order in which they happen.
        async fn with(
            template: &'static str,
            tries: impl IntoIterator<Item = Option<Result<(), CarryError>>>,
            repeats_safely: bool,
        ) -> Self {
            let schemas = [crate::platform::mail::schemas(), crate::platform::jobs::schemas()].concat();
            let store = TestStore::with(&schemas).await;
            let now = Timestamp::from_millis(1_788_246_000_000);
            let mut tries: Vec<_> = tries.into_iter().collect();
            tries.reverse();
            let carrier = Arc::new(Scripted { tries: Mutex::new(tries), repeats_safely });
            let all = templates(&["hello", "moot", "broken"]).unwrap();
            let mailer = Mailer::new(store.clone(), Arc::new(ManualClock::at(now)), all, carrier);
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

        /// A run that ends without a word while the carrier has the letter.
        async fn run_and_die(&self) {
            tokio::time::timeout(std::time::Duration::from_millis(200), self.run()).await.unwrap_err();
        }

        async fn mail(&self) -> Mail {
            self.store.get("hello:1").await.unwrap().unwrap()
        }
    }

    const TAKEN: Option<Result<(), CarryError>> = Some(Ok(()));

    #[tokio::test]
    async fn a_letter_is_sent_once_and_its_job_may_run_again() {
        let desk = Desk::with("hello", [TAKEN], false).await;
        desk.run().await.unwrap();
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_letter_whose_run_died_goes_again_and_is_marked() {
        let desk = Desk::with("hello", [None, TAKEN], false).await;
        desk.run_and_die().await;
        assert_eq!(desk.mail().await.state, MailState::Sending);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::SentPossiblyTwice);
    }

    #[tokio::test]
    async fn it_is_not_marked_where_the_carrier_repeats_safely() {
        let desk = Desk::with("hello", [None, TAKEN], true).await;
        desk.run_and_die().await;
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_letter_that_can_not_go_now_goes_later() {
        let throttled = CarryError::Temporary("slow down, ana@example.org".into());
        let desk = Desk::with("hello", [Some(Err(throttled)), TAKEN], false).await;
        let JobError::Retry(said) = desk.run().await.unwrap_err() else { panic!("it comes back") };
        assert_eq!(said, "slow down, (address)");
        assert_eq!(desk.mail().await.state, MailState::Queued);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_letter_that_is_refused_for_good_fails_with_the_reason() {
        let refused = CarryError::Permanent("no mailbox <ana@example.org>".into());
        let desk = Desk::with("hello", [Some(Err(refused))], false).await;
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!(
            (mail.state, mail.reason.unwrap().as_str()),
            (MailState::Failed, "no mailbox <(address)>")
        );
    }

    #[tokio::test]
    async fn a_letter_of_which_nobody_knows_whether_it_has_gone_goes_again_and_is_marked() {
        let silence = CarryError::Uncertain("no answer".into());
        let desk = Desk::with("hello", [Some(Err(silence)), TAKEN], false).await;
        assert!(desk.run().await.is_err());
        assert_eq!(desk.mail().await.state, MailState::Queued);
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::SentPossiblyTwice);
    }

    #[tokio::test]
    async fn when_letters_come_too_fast_everybody_rests() {
        let throttled = CarryError::Throttled("slow down".into());
        let mut desk = Desk::with("hello", [Some(Err(throttled)), TAKEN], false).await;
        desk.mailer = desk.mailer.at_rate(1000.0);
        assert!(desk.run().await.is_err());
        let rate: MailRate = desk.store.get(MailRate::ID).await.unwrap().unwrap();
        assert_eq!(rate.next_at, Timestamp::from_millis(1_788_246_001_000));
        desk.run().await.unwrap();
        assert_eq!(desk.mail().await.state, MailState::Sent);
    }

    #[tokio::test]
    async fn a_letter_to_an_address_on_the_suppression_list_is_kept_back() {
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
    async fn a_letter_about_nothing_is_suppressed() {
        let desk = Desk::with("moot", [], false).await;
        desk.run().await.unwrap();
        let mail = desk.mail().await;
        assert_eq!(
            (mail.state, mail.reason.unwrap().as_str()),
            (MailState::Suppressed, "the account is gone")
        );
    }

    #[tokio::test]
    async fn a_letter_that_can_not_be_written_stays_in_the_queue() {
        for template in ["broken", "of-a-newer-version"] {
            let desk = Desk::with(template, [], false).await;
            let JobError::Retry(said) = desk.run().await.unwrap_err() else { panic!("it comes back") };
            assert!(!said.contains("ana@"), "{said}");
            assert_eq!(desk.mail().await.state, MailState::Queued);
        }
    }

    #[tokio::test]
    async fn a_letter_that_is_gone_is_no_error() {
        let desk = Desk::with("hello", [], false).await;
        desk.store.transact(async |tx| tx.delete::<Mail>("hello:1").await).await.unwrap();
        desk.run().await.unwrap();
    }

    #[test]
    fn two_templates_of_one_name_are_refused() {
        assert_eq!(templates(&["a", "b", "a"]).err().map(|two| two.0), Some("a"));
    }
}
