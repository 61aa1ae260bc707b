//! The rules of accounts, from sign-up to email, on a separate store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::model::{
    ADDRESS_CHANGED, ADMINISTRATOR_MADE, CONFIRMATION_LASTS, PASSWORD_CHANGED, PASSWORD_RESET,
};
use super::subscribers::expired;
use super::*;
use crate::base::TestBase;
use crate::features::outbox::Outbox;
use crate::features::second_factor::SecondFactors;
use crate::features::sessions::{OpenedSession, Origin, Sessions, SignInError};
use crate::kernel::{Actor, Caller, Clock, EmailAddress, Invalid, Rights, Role, Scope, Secret, Timestamp};
use crate::platform::audit;
use crate::platform::jobs::Job;
use crate::platform::keys::Sealer;
use crate::platform::mail::{Email, Mail, RenderError, SendError, Templates, Transport};
use crate::platform::store::{Document, Filter, Query};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "seven maple canoes drift";
const OTHER_PASSWORD: &str = "eight copper kites rise";
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// 1 June 2027, 10:00 in Toronto.
const START: i64 = 1_811_858_400_000;

pub(super) struct World {
    pub accounts: Arc<Accounts>,
    pub sessions: Arc<Sessions>,
    pub base: TestBase,
    emails: Templates,
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn form(email: &str, first_name: &str, password: &str) -> SignUpForm {
    SignUpForm {
        email: email.into(),
        password: secret(password),
        first_name: first_name.into(),
        last_name: Some("Gray".into()),
        preferred_name: None,
        role: Role::Student,
    }
}

impl World {
    pub async fn new() -> Self {
        Self::on(Base::for_tests().await)
    }

    /// Deletes what has expired, and returns how much that was.
    async fn sweep(&self) -> usize {
        expired().run(&self.base.store, self.base.clock.now()).await.unwrap()
    }

    fn on(base: TestBase) -> Self {
        let outbox = Arc::new(Outbox::new(&base));
        Self::sending_by(outbox, base)
    }

    fn sending_by(transport: Arc<dyn Transport>, base: TestBase) -> Self {
        base.clock.set(Timestamp::from_millis(START));
        let passwords = Passwords::new(base.ids.clone(), 2);
        let accounts = Arc::new(Accounts::new(&base, passwords, transport));
        let emails = Templates::new(feature(&base, &accounts).emails).unwrap();
        let factors = Arc::new(SecondFactors::new(&base, &accounts));
        let sessions = Arc::new(Sessions::new(&base, &accounts, &factors));
        Self { accounts, sessions, base, emails }
    }

    /// Advances the clock.
    pub fn pass(&self, time: Duration) {
        self.base.clock.advance(time);
    }

    async fn all<D: Document>(&self) -> Vec<D> {
        self.base.store.find(Query::new(Filter::All).limit(1000)).await.unwrap()
    }

    /// The emails of this kind to this address, the oldest first.
    async fn mails(&self, template: &str, to: &str) -> Vec<Mail> {
        let mut mails = self.all::<Mail>().await;
        mails.retain(|mail| mail.template == template && mail.to.as_str() == to);
        mails.sort_by_key(|mail| (mail.created_at, mail.about.get("token").cloned()));
        mails
    }

    /// The token in the newest email of this kind.
    pub async fn token(&self, template: &str, purpose: Purpose, to: &str) -> String {
        let mail = self.mails(template, to).await.pop().expect("there is such an email");
        self.base.keys.seal(purpose.seal(), &mail.about["token"])
    }

    async fn email(&self, template: &str, to: &str) -> Result<Email, RenderError> {
        let mail = self.mails(template, to).await.pop().expect("there is such an email");
        self.emails.render(&mail).await
    }

    pub async fn sign_up(&self, email: &str, first_name: &str, password: &str) -> String {
        self.accounts.sign_up(form(email, first_name, password), CLIENT).await.unwrap();
        self.token("confirm-address", Purpose::ConfirmAccount, email).await
    }

    pub async fn account(&self, email: &str) -> Account {
        let token = self.sign_up(email, "Ana", PASSWORD).await;
        self.accounts.confirm_account(&token).await.unwrap();
        self.all::<Account>().await.into_iter().find(|account| account.email.as_str() == email).unwrap()
    }

    /// Signs in; the cookie.
    async fn sign_in(&self, email: &str, password: &str) -> Result<String, AuthenticateError> {
        match self.open_session(email, password).await {
            Ok(opened) => Ok(opened.secret.cookie()),
            Err(SignInError::Credentials(refused)) => Err(refused),
            Err(error) => panic!("{error}"),
        }
    }

    async fn open_session(&self, email: &str, password: &str) -> Result<OpenedSession, SignInError> {
        let origin = Origin { client: CLIENT, user_agent: None, device: None };
        self.sessions.sign_in(email, &secret(password), None, origin).await
    }

    async fn caller(&self, cookie: &str) -> Option<Caller> {
        Some(self.sessions.caller(cookie).await.unwrap()?.0)
    }

    async fn account_of(&self, caller: &Caller) -> Account {
        self.base.store.get(&caller.account_id).await.unwrap().expect("callers have accounts")
    }

    pub async fn reset_token(&self, email: &str) -> String {
        self.accounts.request_password_reset(email, CLIENT).await.unwrap();
        self.token("password-reset", Purpose::ResetPassword, email).await
    }
}

fn is_used(outcome: Result<(), impl std::fmt::Debug>) -> bool {
    format!("{outcome:?}").contains("Used")
}

// ---- signing up and confirming ----

#[tokio::test]
async fn an_account_exists_once_its_address_is_confirmed_and_can_sign_in_from_then_on() {
    let world = World::new().await;
    let token = world.sign_up("Ana@Example.org", "Ana", PASSWORD).await;
    assert!(world.all::<Account>().await.is_empty());
    let early = world.sign_in(ANA, PASSWORD).await.unwrap_err();
    assert!(matches!(early, AuthenticateError::WrongCredentials));
    world.accounts.confirm_account(&token).await.unwrap();
    let cookie = world.sign_in("ANA@example.ORG", PASSWORD).await.unwrap();
    let caller = world.caller(&cookie).await.unwrap();
    assert_eq!(caller.rights, Rights::student());
    assert_eq!(world.mails("welcome", "Ana@Example.org").await.len(), 1);
    assert!(world.all::<SignUp>().await.is_empty());
}

#[tokio::test]
async fn a_token_works_once_within_a_day_and_for_its_purpose_only() {
    let world = World::new().await;
    let token = world.sign_up(ANA, "Ana", PASSWORD).await;
    let wrong = world.accounts.reset_password(&token, &secret(OTHER_PASSWORD)).await.unwrap_err();
    assert!(matches!(wrong, ResetPasswordError::Token(TokenRefused::Invalid)));
    let nonsense = world.accounts.confirm_account("nonsense").await.unwrap_err();
    assert!(matches!(nonsense, ConfirmAccountError::Token(TokenRefused::Invalid)));
    world.accounts.confirm_account(&token).await.unwrap();
    assert!(is_used(world.accounts.confirm_account(&token).await));

    let late = world.sign_up("late@example.org", "Late", PASSWORD).await;
    world.base.clock.advance(CONFIRMATION_LASTS);
    let expired = world.accounts.confirm_account(&late).await.unwrap_err();
    assert!(matches!(expired, ConfirmAccountError::Token(TokenRefused::Expired)));
    assert_eq!(world.all::<Account>().await.len(), 1);
}

#[tokio::test]
async fn the_sign_up_whose_email_is_answered_decides_and_the_others_die() {
    let world = World::new().await;
    let stranger = world.sign_up(ANA, "Mallory", OTHER_PASSWORD).await;
    world.base.clock.advance(Duration::from_secs(1));
    let own = world.sign_up(ANA, "Ana", PASSWORD).await;
    world.accounts.confirm_account(&own).await.unwrap();
    assert!(is_used(world.accounts.confirm_account(&stranger).await));
    assert!(world.sign_in(ANA, OTHER_PASSWORD).await.is_err());
    assert!(world.sign_in(ANA, PASSWORD).await.is_ok());
    assert_eq!(world.all::<Account>().await[0].first_name, "Ana");
}

#[tokio::test]
async fn a_sign_up_with_a_known_address_is_told_to_its_owner_alone_once_an_hour_for_the_same_work() {
    let world = World::new().await;
    world.account(ANA).await;
    let before = world.accounts.hashes();
    world.accounts.sign_up(form("new@example.org", "New", PASSWORD), CLIENT).await.unwrap();
    assert_eq!(world.accounts.hashes() - before, 1);
    for _ in 0..3 {
        world.accounts.sign_up(form("ANA@example.org", "Mallory", OTHER_PASSWORD), CLIENT).await.unwrap();
    }
    assert_eq!(world.accounts.hashes() - before, 4);
    assert_eq!(world.mails("somebody-signed-up", ANA).await.len(), 1);
    world.base.clock.advance(Duration::from_hours(1));
    world.accounts.resend_confirmation(ANA, CLIENT).await.unwrap();
    assert_eq!(world.mails("somebody-signed-up", ANA).await.len(), 2);
    assert_eq!((world.all::<Account>().await.len(), world.all::<SignUp>().await.len()), (1, 1));
    assert!(world.sign_in(ANA, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn of_an_address_five_sign_ups_wait_at_most_and_the_latest_are_kept() {
    let world = World::new().await;
    let first = world.sign_up(ANA, "Mallory", OTHER_PASSWORD).await;
    for _ in 0..5 {
        world.base.clock.advance(Duration::from_secs(1));
        world.sign_up(ANA, "Ana", PASSWORD).await;
    }
    assert_eq!(world.all::<SignUp>().await.len(), 5);
    assert!(is_used(world.accounts.confirm_account(&first).await));
    let last = world.token("confirm-address", Purpose::ConfirmAccount, ANA).await;
    world.accounts.confirm_account(&last).await.unwrap();
}

#[tokio::test]
async fn the_email_comes_again_for_a_waiting_sign_up_and_for_nothing_else() {
    let world = World::new().await;
    world.accounts.resend_confirmation(ANA, CLIENT).await.unwrap();
    assert!(world.all::<Mail>().await.is_empty());
    let first = world.sign_up(ANA, "Ana", PASSWORD).await;
    world.base.clock.advance(CONFIRMATION_LASTS);
    world.accounts.resend_confirmation("ANA@example.org", CLIENT).await.unwrap();
    let second = world.token("confirm-address", Purpose::ConfirmAccount, ANA).await;
    assert!(world.accounts.confirm_account(&first).await.is_err());
    world.accounts.confirm_account(&second).await.unwrap();
}

#[tokio::test]
async fn every_fault_of_a_form_is_told_and_nothing_is_kept() {
    let world = World::new().await;
    let bad = SignUpForm {
        first_name: "Visit evil.com".into(),
        last_name: None,
        preferred_name: Some("see www.example.org".into()),
        ..form("nobody", "Ana", "password1")
    };
    let SignUpError::Invalid(Invalid(faults)) = world.accounts.sign_up(bad, CLIENT).await.unwrap_err() else {
        panic!("the form was taken")
    };
    let told: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    let expected = [
        ("/email", "not-an-email-address"),
        ("/firstName", "link"),
        ("/preferredName", "link"),
        ("/password", "too-weak"),
    ];
    assert_eq!(told, expected);
    assert_eq!(world.accounts.hashes(), 0);
}

/// A transport that can't send to addresses outside ASCII.
struct AsciiOnly;

#[async_trait]
impl Transport for AsciiOnly {
    async fn send(&self, _: &Mail, _: &Email) -> Result<(), SendError> {
        Ok(())
    }

    fn is_idempotent(&self) -> bool {
        true
    }

    async fn accepts(&self, to: &EmailAddress) -> bool {
        !to.needs_smtputf8()
    }
}

#[tokio::test]
async fn an_address_to_which_no_email_can_be_sent_is_refused() {
    let world = World::sending_by(Arc::new(AsciiOnly), Base::for_tests().await);
    let told = |Invalid(errors): Invalid| {
        errors.into_iter().map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
    };
    let expected = [("/email".to_owned(), "unreachable-email-address")];
    for address in ["jörg@example.org", "कर्म@example.org"] {
        let refused = world.accounts.sign_up(form(address, "Ana", PASSWORD), CLIENT).await.unwrap_err();
        let SignUpError::Invalid(invalid) = refused else { panic!("{refused}") };
        assert_eq!(told(invalid), expected);
    }
    assert_eq!((world.accounts.hashes(), world.all::<SignUp>().await.len()), (0, 0));
    world.accounts.sign_up(form("ana@exämple.org", "Ana", PASSWORD), CLIENT).await.unwrap();
    world.account(ANA).await;
    let caller = world.caller(&world.sign_in(ANA, PASSWORD).await.unwrap()).await.unwrap();
    let change = world.accounts.change_email(&caller, &secret(PASSWORD), "jörg@example.org").await;
    let Err(ChangeCredentialsError::Invalid(invalid)) = change else { panic!("{change:?}") };
    assert_eq!(told(invalid), expected);
}

#[tokio::test]
async fn leaders_sign_in_and_wait_for_approval() {
    let world = World::new().await;
    let leader = SignUpForm { role: Role::Leader, ..form(ANA, "Ana", PASSWORD) };
    world.accounts.sign_up(leader, CLIENT).await.unwrap();
    let token = world.token("confirm-address", Purpose::ConfirmAccount, ANA).await;
    world.accounts.confirm_account(&token).await.unwrap();
    let account = world.open_session(ANA, PASSWORD).await.unwrap().account;
    assert_eq!((account.role, account.approval), (Role::Leader, Approval::Waiting));
}

// ---- races ----

/// Confirms all at once; how many succeeded, and the accounts that there are then.
async fn confirm_at_once(world: &World, tokens: Vec<String>) -> (usize, usize) {
    let confirm = |token: String| async move { world.accounts.confirm_account(&token).await };
    let outcomes = futures_util::future::join_all(tokens.into_iter().map(confirm)).await;
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(matches!(refused, ConfirmAccountError::Token(TokenRefused::Used)), "{refused:?}");
    }
    (outcomes.iter().filter(|outcome| outcome.is_ok()).count(), world.all::<Account>().await.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_at_once_makes_one_account() {
    let world = World::new().await;
    let token = world.sign_up(ANA, "Ana", PASSWORD).await;
    assert_eq!(confirm_at_once(&world, vec![token; 20]).await, (1, 1));
    assert_eq!(world.mails("welcome", ANA).await.len(), 1);
}

async fn five_sign_ups(world: &World) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..5 {
        world.base.clock.advance(Duration::from_secs(1));
        tokens.push(world.sign_up(ANA, "Ana", PASSWORD).await);
    }
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn different_sign_ups_of_one_address_at_once_make_one_account() {
    let world = World::new().await;
    let tokens = five_sign_ups(&world).await;
    assert_eq!(confirm_at_once(&world, tokens).await, (1, 1));
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn the_unique_index_alone_would_decide_it_too() {
    let world = World::new().await;
    let tokens = five_sign_ups(&world).await;
    let work = confirm_at_once(&world, tokens);
    assert_eq!(crate::kernel::faults::without("accounts.forget-others", work).await, (1, 1));
    assert!(world.all::<SignUp>().await.is_empty(), "a separate transaction deleted the other sign-ups");
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn without_both_guards_there_would_be_five_accounts() {
    let unguarded = crate::app::schemas().into_iter().map(|schema| match schema.collection {
        Account::COLLECTION => crate::platform::store::Schema { indexes: &[], ..schema },
        _ => schema,
    });
    let world = World::on(TestBase::with_schemas(&unguarded.collect::<Vec<_>>()).await);
    let tokens = five_sign_ups(&world).await;
    let work = confirm_at_once(&world, tokens);
    assert_eq!(crate::kernel::faults::without("accounts.forget-others", work).await, (5, 5));
}

// ---- sessions ----

#[tokio::test]
async fn a_wrong_password_an_unknown_address_and_an_unconfirmed_one_cost_one_hash_and_look_the_same() {
    let world = World::new().await;
    world.account(ANA).await;
    world.sign_up("waiting@example.org", "Wai", PASSWORD).await;
    for (email, password) in
        [(ANA, OTHER_PASSWORD), ("nobody@example.org", PASSWORD), ("waiting@example.org", PASSWORD)]
    {
        let before = world.accounts.hashes();
        let refused = world.sign_in(email, password).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::WrongCredentials), "{email}");
        assert_eq!(world.accounts.hashes() - before, 1, "{email}");
    }
}

#[tokio::test]
async fn a_session_ends_by_signing_out_and_after_a_month() {
    let world = World::new().await;
    world.account(ANA).await;
    let one = world.sign_in(ANA, PASSWORD).await.unwrap();
    let other = world.sign_in(ANA, PASSWORD).await.unwrap();
    world.sessions.sign_out(&world.caller(&one).await.unwrap()).await.unwrap();
    assert!(world.caller(&one).await.is_none() && world.caller(&other).await.is_some());
    world.base.clock.advance(SESSION_LASTS);
    assert!(world.caller(&other).await.is_none());
    for forged in ["", "x", "\u{1F980}", &"A".repeat(43), &"A".repeat(10_000)] {
        assert!(world.caller(forged).await.is_none());
    }
}

#[tokio::test]
async fn nothing_kept_opens_a_session_or_works_as_a_link() {
    let world = World::new().await;
    world.account(ANA).await;
    let cookie = world.sign_in(ANA, PASSWORD).await.unwrap();
    let kept = serde_json::to_string(&world.all::<Session>().await).unwrap()
        + &serde_json::to_string(&world.all::<EmailToken>().await).unwrap()
        + &serde_json::to_string(&world.all::<Account>().await).unwrap();
    let token = world.reset_token(ANA).await;
    assert!(!kept.contains(&cookie) && !kept.contains(&token) && !kept.contains(PASSWORD));
}

// ---- passwords ----

#[tokio::test]
async fn a_reset_sets_the_password_once_within_an_hour_and_ends_every_session() {
    let world = World::new().await;
    world.account(ANA).await;
    let cookie = world.sign_in(ANA, PASSWORD).await.unwrap();
    let (token, second) = (world.reset_token(ANA).await, world.reset_token(ANA).await);
    world.accounts.reset_password(&token, &secret(OTHER_PASSWORD)).await.unwrap();
    assert!(world.caller(&cookie).await.is_none());
    assert!(world.sign_in(ANA, PASSWORD).await.is_err());
    assert!(world.sign_in(ANA, OTHER_PASSWORD).await.is_ok());
    assert!(is_used(world.accounts.reset_password(&token, &secret(PASSWORD)).await));
    assert!(is_used(world.accounts.reset_password(&second, &secret(PASSWORD)).await));
    assert_eq!(world.mails("password-changed", ANA).await.len(), 1);

    let late = world.reset_token(ANA).await;
    world.base.clock.advance(Duration::from_hours(1));
    let expired = world.accounts.reset_password(&late, &secret(PASSWORD)).await.unwrap_err();
    assert!(matches!(expired, ResetPasswordError::Token(TokenRefused::Expired)));
}

#[tokio::test]
async fn a_reset_confirms_an_address_that_only_signed_up() {
    let world = World::new().await;
    world.sign_up(ANA, "Ana", PASSWORD).await;
    let token = world.reset_token(ANA).await;
    world.accounts.reset_password(&token, &secret(OTHER_PASSWORD)).await.unwrap();
    assert!(world.sign_in(ANA, OTHER_PASSWORD).await.is_ok() && world.sign_in(ANA, PASSWORD).await.is_err());
    assert_eq!(world.mails("welcome", ANA).await.len(), 1);
}

#[tokio::test]
async fn a_reset_for_an_unknown_address_sends_nothing_and_a_weak_password_spends_no_token() {
    let world = World::new().await;
    world.accounts.request_password_reset("nobody@example.org", CLIENT).await.unwrap();
    assert!(world.all::<Mail>().await.is_empty());
    world.account(ANA).await;
    let token = world.reset_token(ANA).await;
    let weak = world.accounts.reset_password(&token, &secret("password1")).await.unwrap_err();
    assert!(matches!(weak, ResetPasswordError::Invalid(_)));
    world.accounts.reset_password(&token, &secret(OTHER_PASSWORD)).await.unwrap();
}

/// What is written has to be made durable, which takes longer than all else here.
#[tokio::test]
async fn something_is_written_whether_or_not_the_address_is_known_and_strangers_queue_nothing() {
    let world = World::new().await;
    world.account(ANA).await;
    world.sign_up("waiting@example.org", "Wai", PASSWORD).await;
    for email in [ANA, "waiting@example.org", "nobody@example.org"] {
        let (tokens, jobs) = (world.all::<EmailToken>().await.len(), world.all::<Job>().await.len());
        world.accounts.request_password_reset(email, CLIENT).await.unwrap();
        assert_eq!(world.all::<EmailToken>().await.len(), tokens + 1, "reset for {email}");
        world.accounts.resend_confirmation(email, CLIENT).await.unwrap();
        assert_eq!(world.all::<EmailToken>().await.len(), tokens + 2, "confirmation for {email}");
        let queued = world.all::<Job>().await.len() - jobs;
        assert_eq!(queued, if email == "nobody@example.org" { 0 } else { 2 }, "{email}");
    }
    world.base.clock.advance(CONFIRMATION_LASTS + Duration::from_secs(1));
    world.sweep().await;
    assert!(world.all::<EmailToken>().await.is_empty());
}

#[tokio::test]
async fn another_password_needs_the_present_one_and_ends_the_other_sessions_only() {
    let world = World::new().await;
    world.account(ANA).await;
    let here = world.sign_in(ANA, PASSWORD).await.unwrap();
    let there = world.sign_in(ANA, PASSWORD).await.unwrap();
    let caller = world.caller(&here).await.unwrap();
    let change = |current: &'static str, new: &'static str| {
        let (accounts, caller) = (world.accounts.clone(), caller.clone());
        async move { accounts.change_password(&caller, &secret(current), &secret(new)).await }
    };
    for (current, new, pointer) in
        [(OTHER_PASSWORD, OTHER_PASSWORD, "/currentPassword"), (PASSWORD, "ana gray", "/newPassword")]
    {
        let Err(ChangeCredentialsError::Invalid(Invalid(faults))) = change(current, new).await else {
            panic!("it was changed")
        };
        assert_eq!(faults[0].pointer, pointer);
    }
    let reset = world.reset_token(ANA).await;
    change(PASSWORD, OTHER_PASSWORD).await.unwrap();
    assert!(world.caller(&here).await.is_some() && world.caller(&there).await.is_none());
    assert!(is_used(world.accounts.reset_password(&reset, &secret(PASSWORD)).await));
    assert_eq!(world.mails("password-changed", ANA).await.len(), 1);
    assert_eq!(audit::testing::trail(&world.base.store).await, [], "students' own changes are not recorded");
}

// ---- one's own account ----

#[tokio::test]
async fn names_change_one_by_one_and_all_but_the_first_can_be_removed() {
    let world = World::new().await;
    world.account(ANA).await;
    let cookie = world.sign_in(ANA, PASSWORD).await.unwrap();
    let caller = world.caller(&cookie).await.unwrap();
    let to = |preferred| NamesChange { preferred: Some(preferred), ..NamesChange::default() };
    let account = world.accounts.update_me(&caller, &to(Some("Annie".into()))).await.unwrap();
    assert_eq!((account.greeting(), account.first_name.as_str()), ("Annie", "Ana"));
    let account = world.accounts.update_me(&caller, &to(None)).await.unwrap();
    assert_eq!((account.greeting(), &account.preferred_name), ("Ana", &None));
    let nothing = NamesChange { last: Some(Some("evil.com".into())), ..NamesChange::default() };
    assert!(world.accounts.update_me(&caller, &nothing).await.is_err());
    let nameless = NamesChange { first: Some(None), ..NamesChange::default() };
    assert!(world.accounts.update_me(&caller, &nameless).await.is_err());
    let one_name = NamesChange { last: Some(None), ..NamesChange::default() };
    let account = world.accounts.update_me(&caller, &one_name).await.unwrap();
    assert_eq!((account.last_name.as_deref(), account.full_name().as_str()), (None, "Ana"));
}

const NEW: &str = "ana.new@example.org";

async fn change_email(world: &World, to: &str) -> Caller {
    let cookie = world.sign_in(ANA, PASSWORD).await.unwrap();
    let caller = world.caller(&cookie).await.unwrap();
    world.accounts.change_email(&caller, &secret(PASSWORD), to).await.unwrap();
    caller
}

#[tokio::test]
async fn a_new_address_counts_once_it_is_confirmed_and_the_old_one_is_told_at_once() {
    let world = World::new().await;
    world.account(ANA).await;
    let caller = change_email(&world, NEW).await;
    assert_eq!(world.mails("email-changed", ANA).await.len(), 1);
    assert_eq!(world.account_of(&caller).await.email.as_str(), ANA);
    assert!(world.sign_in(NEW, PASSWORD).await.is_err());
    let reset = world.reset_token(ANA).await;
    let token = world.token("confirm-email", Purpose::ConfirmEmail, NEW).await;
    world.accounts.confirm_email(&token).await.unwrap();
    assert!(world.sign_in(NEW, PASSWORD).await.is_ok() && world.sign_in(ANA, PASSWORD).await.is_err());
    assert!(is_used(world.accounts.confirm_email(&token).await));
    assert!(is_used(world.accounts.reset_password(&reset, &secret(OTHER_PASSWORD)).await));
}

#[tokio::test]
async fn only_the_latest_change_of_address_can_be_confirmed_and_another_password_ends_it() {
    let world = World::new().await;
    world.account(ANA).await;
    change_email(&world, "typo@example.org").await;
    let caller = change_email(&world, NEW).await;
    let typo = world.token("confirm-email", Purpose::ConfirmEmail, "typo@example.org").await;
    assert!(is_used(world.accounts.confirm_email(&typo).await));
    world.accounts.change_password(&caller, &secret(PASSWORD), &secret(OTHER_PASSWORD)).await.unwrap();
    let token = world.token("confirm-email", Purpose::ConfirmEmail, NEW).await;
    assert!(is_used(world.accounts.confirm_email(&token).await));
}

#[tokio::test]
async fn a_taken_address_is_told_to_its_owner_alone() {
    let world = World::new().await;
    world.account(ANA).await;
    world.account(NEW).await;
    let caller = change_email(&world, NEW).await;
    assert!(world.mails("confirm-email", NEW).await.is_empty());
    assert_eq!(world.mails("somebody-signed-up", NEW).await.len(), 1);
    assert_eq!(world.account_of(&caller).await.pending_email.unwrap().email.as_str(), NEW);
}

#[tokio::test]
async fn an_address_taken_before_it_was_confirmed_is_refused_and_sign_ups_of_it_die() {
    let world = World::new().await;
    world.account(ANA).await;
    change_email(&world, NEW).await;
    let token = world.token("confirm-email", Purpose::ConfirmEmail, NEW).await;
    let account = world.account(NEW).await;
    let taken = world.accounts.confirm_email(&token).await.unwrap_err();
    assert!(matches!(taken, ConfirmEmailError::Taken));
    assert_eq!(world.all::<Account>().await.iter().filter(|one| one.email_key == NEW).count(), 1);

    change_email(&world, "third@example.org").await;
    let waiting = world.sign_up("third@example.org", "Mallory", OTHER_PASSWORD).await;
    let token = world.token("confirm-email", Purpose::ConfirmEmail, "third@example.org").await;
    world.accounts.confirm_email(&token).await.unwrap();
    assert!(is_used(world.accounts.confirm_account(&waiting).await));
    assert_eq!(world.all::<Account>().await.len(), 2, "{}", account.id);
}

// ---- limits, sweeping, administrators ----

#[tokio::test]
async fn many_sign_ups_of_one_client_do_not_replace_that_of_another() {
    let world = World::new().await;
    let token = world.sign_up(ANA, "Ana", PASSWORD).await;
    let elsewhere: IpAddr = "198.51.100.1".parse().unwrap();
    for _ in 0..10 {
        world.base.clock.advance(Duration::from_secs(1));
        world.accounts.sign_up(form(ANA, "Mallory", OTHER_PASSWORD), elsewhere).await.unwrap();
    }
    assert_eq!(world.all::<SignUp>().await.len(), 6, "Ana's, and five of the other client");
    world.accounts.resend_confirmation(ANA, CLIENT).await.unwrap();
    let again = world.token("confirm-address", Purpose::ConfirmAccount, ANA).await;
    assert_ne!(again, token);
    world.accounts.confirm_account(&again).await.unwrap();
    assert_eq!(world.all::<Account>().await[0].first_name, "Ana");
    assert!(world.sign_in(ANA, OTHER_PASSWORD).await.is_err());
}

#[tokio::test]
async fn guessing_and_flooding_end_at_their_limits_for_known_and_unknown_addresses_alike() {
    let world = World::on(Base::for_tests().await.with_limits());
    for email in [ANA, "nobody@example.org"] {
        for _ in 0..limits::SIGN_IN_PAIR.quota {
            assert!(matches!(world.sign_in(email, PASSWORD).await, Err(AuthenticateError::WrongCredentials)));
        }
        assert!(matches!(world.sign_in(email, PASSWORD).await, Err(AuthenticateError::TooMany(_))));
        for _ in 0..limits::EMAILS_PAIR.quota {
            world.accounts.request_password_reset(email, CLIENT).await.unwrap();
        }
        let flood = world.accounts.request_password_reset(email, CLIENT).await;
        assert!(matches!(flood, Err(SendLinkError::TooMany(_))));
    }
}

#[tokio::test]
async fn what_has_expired_is_swept_and_what_has_not_stays() {
    let world = World::new().await;
    let token = world.sign_up("late@example.org", "Late", PASSWORD).await;
    world.base.clock.advance(Duration::from_hours(6 * 24));
    world.account(ANA).await;
    world.sign_in(ANA, PASSWORD).await.unwrap();
    assert_eq!(world.sweep().await, 1, "the link of a day");
    world.base.clock.advance(Duration::from_hours(25));
    assert_eq!(world.sweep().await, 2, "the sign-up of a week, the second link");
    let swept = world.accounts.confirm_account(&token).await.unwrap_err();
    assert!(matches!(swept, ConfirmAccountError::Token(TokenRefused::Expired)), "a deleted link has expired");
    world.base.clock.advance(SESSION_LASTS);
    assert_eq!(world.sweep().await, 1, "the session");
}

#[tokio::test]
async fn a_leader_holds_no_scope_until_the_committee_approves() {
    let mut account = World::new().await.account(ANA).await;
    account.role = Role::Leader;
    account.approval = Approval::Waiting;
    account.scopes.insert(Scope::ScannerFood);
    assert!(!account.rights(EnrolmentRule::Voluntary).may(Scope::ScannerFood));
    account.approval = Approval::Approved;
    assert!(account.rights(EnrolmentRule::Voluntary).may(Scope::ScannerFood));
}

#[test]
fn scopes_that_do_not_exist_are_dropped_from_old_accounts() {
    let old = serde_json::json!({ "id": "a", "scopes": ["admin:all", "admin:everything", "group:Alpha", 7] });
    let new = Account::MIGRATIONS[0](old);
    assert_eq!(new, serde_json::json!({ "id": "a", "scopes": ["admin:all", "group:Alpha"] }));
    let newest = Account::MIGRATIONS[1](serde_json::json!({ "scopes": new["scopes"], "approved": true }));
    let expected =
        serde_json::json!({ "approval": "approved", "scopes": ["admin:all"], "reach": ["group:Alpha"] });
    assert_eq!(newest, expected);
    assert_eq!(Account::MIGRATIONS[1](serde_json::json!({ "approved": false }))["approval"], "waiting");
}

#[tokio::test]
async fn an_administrator_is_made_with_a_link_or_a_password_and_a_student_promoted() {
    let world = World::new().await;
    let address = EmailAddress::parse("chair@example.org").unwrap();
    let made = world.accounts.make_administrator(&Actor::Operator, &address, None).await.unwrap();
    let link = made.link.unwrap();
    let token = link.expose().query_pairs().find(|(name, _)| name == "token").unwrap().1.into_owned();
    assert!(made.created && link.expose().path() == "/reset-password");
    world.accounts.reset_password(&token, &secret(OTHER_PASSWORD)).await.unwrap();
    let cookie = world.sign_in("chair@example.org", OTHER_PASSWORD).await.unwrap();
    assert!(world.caller(&cookie).await.unwrap().rights.may(Scope::JobsManage));

    let student = world.account(ANA).await;
    let address = EmailAddress::parse("ANA@example.org").unwrap();
    let promoted = world
        .accounts
        .make_administrator(&Actor::Operator, &address, Some(&secret(OTHER_PASSWORD)))
        .await
        .unwrap();
    assert!(!promoted.created && promoted.link.is_none());
    let account = world.open_session(ANA, OTHER_PASSWORD).await.unwrap().account;
    assert_eq!(
        (&account.id, account.role, account.approval),
        (&student.id, Role::Leader, Approval::Approved)
    );
    let trail = audit::testing::trail(&world.base.store).await;
    let chair = trail[0].2.clone();
    let reset = (Actor::Account(chair.clone().unwrap()), PASSWORD_RESET, chair.clone());
    let made = |id| (Actor::Operator, ADMINISTRATOR_MADE, id);
    assert_eq!(trail, [made(chair), reset, made(Some(student.id.clone()))]);

    let cookie = world.sign_in(ANA, OTHER_PASSWORD).await.unwrap();
    let caller = world.caller(&cookie).await.unwrap();
    world.accounts.change_password(&caller, &secret(OTHER_PASSWORD), &secret(PASSWORD)).await.unwrap();
    world.accounts.change_email(&caller, &secret(PASSWORD), NEW).await.unwrap();
    let token = world.token("confirm-email", Purpose::ConfirmEmail, NEW).await;
    world.accounts.confirm_email(&token).await.unwrap();
    let own = |action| (Actor::Account(student.id.clone()), action, Some(student.id.clone()));
    let trail = audit::testing::trail(&world.base.store).await;
    assert_eq!(trail[3..], [own(PASSWORD_CHANGED), own(ADDRESS_CHANGED)], "a leader's own changes");
    let weak =
        world.accounts.make_administrator(&Actor::Operator, &address, Some(&secret("password1"))).await;
    assert!(weak.unwrap_err().to_string().starts_with("password: This password is easy to guess."));
}

// ---- emails ----

/// The email without what differs from run to run.
fn shown(email: &Email, token: &str) -> String {
    let text = format!("Subject: {}\n\n{}\n\n===\n\n{}", email.subject, email.text, email.html);
    if token.is_empty() { text } else { text.replace(token, "TOKEN") }
}

#[tokio::test]
async fn the_emails_are_reviewed() {
    let world = World::new().await;
    let token = world.sign_up(ANA, "Ana", PASSWORD).await;
    let email = world.email("confirm-address", ANA).await.unwrap();
    insta::assert_snapshot!("confirm-address", shown(&email, &token));
    world.accounts.confirm_account(&token).await.unwrap();
    assert!(matches!(world.email("confirm-address", ANA).await, Err(RenderError::Obsolete(_))));
    insta::assert_snapshot!("welcome", shown(&world.email("welcome", ANA).await.unwrap(), ""));

    world.accounts.sign_up(form(ANA, "Mallory", PASSWORD), CLIENT).await.unwrap();
    let email = world.email("somebody-signed-up", ANA).await.unwrap();
    insta::assert_snapshot!("somebody-signed-up", shown(&email, ""));

    change_email(&world, NEW).await;
    let token = world.token("confirm-email", Purpose::ConfirmEmail, NEW).await;
    let email = world.email("confirm-email", NEW).await.unwrap();
    insta::assert_snapshot!("confirm-email", shown(&email, &token));
    insta::assert_snapshot!("email-changed", shown(&world.email("email-changed", ANA).await.unwrap(), ""));

    let token = world.reset_token(ANA).await;
    let email = world.email("password-reset", ANA).await.unwrap();
    insta::assert_snapshot!("password-reset", shown(&email, &token));
    world.accounts.reset_password(&token, &secret(OTHER_PASSWORD)).await.unwrap();
    let email = world.email("password-changed", ANA).await.unwrap();
    insta::assert_snapshot!("password-changed", shown(&email, ""));
}
