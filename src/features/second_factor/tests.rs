//! The second factor, from enrolling to signing in, on a separate store.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::model::{
    RECOVERY_CODE_USED, RECOVERY_CODES, RECOVERY_CODES_RENEWED, SECOND_FACTOR_ENROLLED, SECOND_FACTOR_OFF,
    SECOND_FACTOR_ON, SECOND_FACTOR_RESET, SecondFactor,
};
use super::*;
use crate::base::TestBase;
use crate::features::accounts::{
    Account, Accounts, Approval, ChangeCredentialsError, Names, Password, Passwords, Session, SignUp,
};
use crate::features::outbox::Outbox;
use crate::kernel::faults::without;
use crate::kernel::{
    Actor, Caller, Clock, EmailAddress, Ids, Invalid, RandomIds, Rights, Role, Scope, Secret, Timestamp,
};
use crate::platform::audit::testing::trail;
use crate::platform::keys::KeyRing;
use crate::platform::mail::{Mail, Templates};
use crate::platform::store::{Document, Filter, Query, StoreError};

const PASSWORD: &str = "seven maple canoes drift";
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct World {
    factors: Arc<SecondFactors>,
    base: TestBase,
    emails: Templates,
}

impl World {
    /// A leader `ana` and an administrator `bo`.
    async fn new() -> Self {
        Self::on(Base::for_tests().await).await
    }

    async fn on(base: TestBase) -> Self {
        let passwords = Passwords::new(base.ids.clone(), 2);
        let hash = passwords.hash(Password::read(PASSWORD)).await.unwrap();
        for (id, scopes) in [("ana", vec![]), ("bo", vec![Scope::AdminAll])] {
            base.store.insert(&leader(id, scopes, &hash, base.clock.now())).await.unwrap();
        }
        let accounts = Arc::new(Accounts::new(&base, passwords, Arc::new(Outbox::new(&base))));
        let factors = Arc::new(SecondFactors::new(&base, &accounts));
        let emails = Templates::new(feature(&base, &factors).emails).unwrap();
        Self { factors, base, emails }
    }

    fn now(&self) -> Timestamp {
        self.base.clock.now()
    }

    /// The code that an app with this secret shows now.
    fn code(&self, secret: &TotpSecret) -> String {
        self.code_of_step(secret, 0)
    }

    fn code_of_step(&self, secret: &TotpSecret, shift: i64) -> String {
        let time = (self.now().as_secs() + 30 * shift) as u64;
        let bytes: [u8; 20] = secret.bytes().try_into().unwrap();
        let totp = totp_rs::Builder::new().with_secret(bytes).build().unwrap();
        totp.generate(time).to_string()
    }

    async fn enrol(&self, id: &str) -> TotpSecret {
        self.factors.enrol(&caller(id), &secret(PASSWORD)).await.unwrap().secret
    }

    /// Turns the second factor on. Returns its secret and the recovery codes, and lets the code's step pass.
    async fn turn_on(&self, id: &str) -> (TotpSecret, Vec<String>) {
        let secret = self.enrol(id).await;
        let codes = self.factors.confirm(&caller(id), CLIENT, &self.code(&secret)).await.unwrap();
        self.base.clock.advance(Duration::from_secs(60));
        (secret, codes.iter().map(RecoveryCode::written).collect())
    }

    /// Opens a session as sign-in does after the right password.
    async fn sign_in(&self, id: &str, code: Option<&str>) -> Result<(), CodeError> {
        let session = Session::open(RandomIds.next(), &self.account(id).await, self.now());
        let opened = self.base.store.transact(async |tx| {
            self.factors.check_in(&tx, id, code, self.now()).await?;
            Ok(tx.insert(&session).await?)
        });
        opened.await
    }

    async fn account(&self, id: &str) -> Account {
        self.base.store.get(id).await.unwrap().unwrap()
    }

    async fn all<D: Document>(&self) -> Vec<D> {
        self.base.store.find(Query::new(Filter::All).limit(1000)).await.unwrap()
    }

    /// The latest email of this kind: subject, text and HTML.
    async fn email(&self, kind: &str) -> String {
        let mut mails = self.all::<Mail>().await;
        mails.retain(|mail| mail.template == kind);
        mails.sort_by_key(|mail| mail.created_at);
        let email = self.emails.render(&mails.pop().expect("there is such an email")).await.unwrap();
        format!("Subject: {}\n\n{}\n\n===\n\n{}", email.subject, email.text, email.html)
    }
}

fn leader(id: &str, scopes: Vec<Scope>, hash: &str, now: Timestamp) -> Account {
    let email = EmailAddress::parse(&format!("{id}@example.org")).unwrap();
    let names = Names { first: "Ana".into(), last: None, preferred: None };
    let sign_up = SignUp {
        client: None,
        id: id.into(),
        email_key: email.key(),
        email,
        names,
        role: Role::Leader,
        password_hash: hash.into(),
        created_at: now,
        expires_at: now,
    };
    let mut account = Account::confirmed(&sign_up, now);
    account.approval = Approval::Approved;
    account.scopes = scopes.into_iter().collect();
    account
}

fn caller(id: &str) -> Caller {
    Caller { account_id: id.into(), session_id: "session".into(), rights: Rights::leader([]) }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn is_wrong(outcome: Result<(), CodeError>) -> bool {
    matches!(outcome, Err(CodeError::Wrong))
}

#[tokio::test]
async fn the_second_factor_is_on_once_a_code_has_confirmed_it() {
    let world = World::new().await;
    let refused = world.factors.confirm(&caller("ana"), CLIENT, "287082").await.unwrap_err();
    assert!(matches!(refused, ConfirmTotpError::NotEnrolled), "{refused}");
    let first = world.enrol("ana").await;
    let second = world.enrol("ana").await;
    let refused = world.factors.confirm(&caller("ana"), CLIENT, &world.code(&first)).await.unwrap_err();
    assert!(
        matches!(refused, ConfirmTotpError::Code(CodeError::Wrong)),
        "a second enrolment replaces the first: {refused}"
    );
    world.sign_in("ana", None).await.unwrap();
    assert_eq!(world.account("ana").await.second_factor_since, None);

    let before = world.account("ana").await.rights_version;
    let codes = world.factors.confirm(&caller("ana"), CLIENT, &world.code(&second)).await.unwrap();
    assert_eq!(codes.len(), RECOVERY_CODES);
    let account = world.account("ana").await;
    assert_eq!(account.second_factor_since, Some(world.now()));
    assert!(account.rights_version > before, "sessions get new ids");
    let refused = world.factors.confirm(&caller("ana"), CLIENT, &world.code(&second)).await.unwrap_err();
    assert!(matches!(refused, ConfirmTotpError::AlreadyOn), "{refused}");
    let refused = world.factors.enrol(&caller("ana"), &secret(PASSWORD)).await.err().unwrap();
    assert!(matches!(refused, EnrolTotpError::AlreadyOn), "{refused}");
    assert!(world.email("second-factor-on").await.contains("now has a second factor"));
}

#[tokio::test]
async fn enrolling_needs_the_current_password() {
    let world = World::new().await;
    let refused = world.factors.enrol(&caller("ana"), &secret("nobody knows this one")).await.err().unwrap();
    let EnrolTotpError::Account(ChangeCredentialsError::Invalid(Invalid(errors))) = refused else {
        panic!("{refused}")
    };
    assert_eq!((errors[0].pointer.as_str(), errors[0].code), ("/currentPassword", "wrong-password"));
    assert!(world.all::<SecondFactor>().await.is_empty());
}

#[tokio::test]
async fn a_code_signs_in_once_and_within_a_step() {
    let world = World::new().await;
    let (secret, _) = world.turn_on("ana").await;
    for missing in [None, Some(""), Some("  ")] {
        assert!(matches!(world.sign_in("ana", missing).await, Err(CodeError::Missing)), "{missing:?}");
    }
    assert!(is_wrong(world.sign_in("ana", Some("not a code")).await));
    assert!(is_wrong(world.sign_in("ana", Some(&world.code_of_step(&secret, 2))).await));
    let code = world.code(&secret);
    world.sign_in("ana", Some(&code)).await.unwrap();
    assert!(is_wrong(world.sign_in("ana", Some(&code)).await), "replayed");
    assert!(is_wrong(world.sign_in("ana", Some(&world.code_of_step(&secret, -1))).await));
    world.base.clock.advance(Duration::from_secs(30));
    assert!(is_wrong(world.sign_in("ana", Some(&code)).await), "replayed within its window");
    world.sign_in("ana", Some(&world.code(&secret))).await.unwrap();
    world.sign_in("bo", Some("ignored without a second factor")).await.unwrap();
    assert_eq!(world.all::<Session>().await.len(), 3);
}

#[tokio::test]
async fn a_refused_sign_in_uses_up_no_code() {
    let world = World::new().await;
    let (secret, codes) = world.turn_on("ana").await;
    for code in [world.code(&secret), codes[0].clone()] {
        let failed: Result<(), CodeError> = world
            .base
            .store
            .transact(async |tx| {
                world.factors.check_in(&tx, "ana", Some(&code), world.now()).await?;
                Err(StoreError::Busy.into())
            })
            .await;
        assert!(failed.is_err());
        world.sign_in("ana", Some(&code)).await.unwrap();
    }
    assert_eq!(world.all::<Mail>().await.len(), 2, "one about the recovery code");
}

#[tokio::test]
async fn a_recovery_code_signs_in_once_and_an_email_says_how_many_are_left() {
    let world = World::new().await;
    let (_, codes) = world.turn_on("ana").await;
    for (n, code) in codes.iter().enumerate() {
        world.sign_in("ana", Some(&code.to_lowercase())).await.unwrap();
        assert!(is_wrong(world.sign_in("ana", Some(code)).await));
        let email = world.email("recovery-code-used").await;
        assert!(email.contains(&format!("Recovery codes that are left: {}.", 9 - n)), "{email}");
        assert_eq!(email.contains("That was the last one."), n == 9);
        world.base.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn the_emails_are_as_reviewed() {
    let world = World::new().await;
    let (_, codes) = world.turn_on("ana").await;
    for code in &codes[..9] {
        world.sign_in("ana", Some(code)).await.unwrap();
        world.base.clock.advance(Duration::from_secs(1));
    }
    insta::assert_snapshot!("recovery-code-used", world.email("recovery-code-used").await);
    world.sign_in("ana", Some(&codes[9])).await.unwrap();
    insta::assert_snapshot!("last-recovery-code-used", world.email("recovery-code-used").await);
    world.factors.reset(&Actor::Account("bo".into()), "ana").await.unwrap();
    let (_, codes) = world.turn_on("ana").await;
    world.factors.disable(&caller("ana"), CLIENT, &secret(PASSWORD), &codes[0]).await.unwrap();
    world.factors.report_wrong_code("ana").await;
    for kind in ["second-factor-on", "second-factor-off", "second-factor-reset", "wrong-code"] {
        insta::assert_snapshot!(kind, world.email(kind).await);
    }
}

#[tokio::test]
async fn recovery_codes_are_renewed_with_a_code_of_the_app_only() {
    let world = World::new().await;
    let refused = world.factors.renew_recovery_codes(&caller("ana"), CLIENT, "287082").await.unwrap_err();
    assert!(matches!(refused, RenewRecoveryCodesError::NotOn), "{refused}");
    let (secret, codes) = world.turn_on("ana").await;
    let refused = world.factors.renew_recovery_codes(&caller("ana"), CLIENT, &codes[0]).await.unwrap_err();
    assert!(matches!(refused, RenewRecoveryCodesError::Code(CodeError::Wrong)), "{refused}");
    let code = world.code(&secret);
    let renewed = world.factors.renew_recovery_codes(&caller("ana"), CLIENT, &code).await.unwrap();
    assert!(is_wrong(world.sign_in("ana", Some(&code)).await), "it was used");
    assert!(is_wrong(world.sign_in("ana", Some(&codes[0])).await));
    world.sign_in("ana", Some(&renewed[0].written())).await.unwrap();
}

#[tokio::test]
async fn the_owner_turns_it_off_with_password_and_code() {
    let world = World::new().await;
    let disable = async |password: &str, code: &str| {
        world.factors.disable(&caller("ana"), CLIENT, &secret(password), code).await
    };
    assert!(matches!(disable(PASSWORD, "287082").await, Err(DisableTotpError::NotOn)));
    let (totp, codes) = world.turn_on("ana").await;
    let code = world.code(&totp);
    assert!(matches!(disable("wrong", &code).await, Err(DisableTotpError::Account(_))));
    assert!(matches!(disable(PASSWORD, "287082").await, Err(DisableTotpError::Code(CodeError::Wrong))));
    disable(PASSWORD, &codes[3]).await.unwrap();
    world.sign_in("ana", None).await.unwrap();
    assert_eq!(world.account("ana").await.second_factor_since, None);
    assert!(world.all::<SecondFactor>().await.is_empty());
    assert!(world.email("second-factor-off").await.contains("your password only"));
}

#[tokio::test]
async fn an_administrator_keeps_it_where_the_event_demands_it() {
    let base = Base::for_tests().await;
    let mut event = (*base.event).clone();
    event.sign_in.administrators_need_second_factor = true;
    let world = World::on(base.with_event(event)).await;
    let (secret_of_bo, _) = world.turn_on("bo").await;
    let code = world.code(&secret_of_bo);
    let refused = world.factors.disable(&caller("bo"), CLIENT, &secret(PASSWORD), &code).await;
    assert!(matches!(refused, Err(DisableTotpError::Demanded)));
    let (secret_of_ana, _) = world.turn_on("ana").await;
    let code = world.code(&secret_of_ana);
    world.factors.disable(&caller("ana"), CLIENT, &secret(PASSWORD), &code).await.unwrap();
}

#[tokio::test]
async fn an_administrator_resets_that_of_others_and_every_change_is_audited() {
    let world = World::new().await;
    let bo = Actor::Account("bo".into());
    let reset = async |id: &str| world.factors.reset(&bo, id).await;
    assert!(matches!(reset("bo").await, Err(ResetTotpError::Own)));
    assert!(matches!(reset("nobody").await, Err(ResetTotpError::NotFound)));
    assert!(matches!(reset("ana").await, Err(ResetTotpError::NotOn)));
    let (totp, codes) = world.turn_on("ana").await;
    world.sign_in("ana", Some(&codes[0])).await.unwrap();
    world.factors.renew_recovery_codes(&caller("ana"), CLIENT, &world.code(&totp)).await.unwrap();
    reset("ana").await.unwrap();
    world.sign_in("ana", None).await.unwrap();
    assert_eq!(world.account("ana").await.second_factor_since, None);
    assert!(world.email("second-factor-reset").await.contains("set up your authenticator app again"));
    let (totp, _) = world.turn_on("ana").await;
    world.factors.disable(&caller("ana"), CLIENT, &secret(PASSWORD), &world.code(&totp)).await.unwrap();

    let ana = Actor::Account("ana".into());
    let on_ana = |actor: &Actor, action| (actor.clone(), action, Some("ana".to_owned()));
    let expected = [
        on_ana(&ana, SECOND_FACTOR_ENROLLED),
        on_ana(&ana, SECOND_FACTOR_ON),
        on_ana(&ana, RECOVERY_CODE_USED),
        on_ana(&ana, RECOVERY_CODES_RENEWED),
        on_ana(&bo, SECOND_FACTOR_RESET),
        on_ana(&ana, SECOND_FACTOR_ENROLLED),
        on_ana(&ana, SECOND_FACTOR_ON),
        on_ana(&ana, SECOND_FACTOR_OFF),
    ];
    assert_eq!(trail(&world.base.store).await, expected);
}

#[tokio::test]
async fn the_store_holds_neither_secret_nor_recovery_codes() {
    let world = World::new().await;
    let (secret, codes) = world.turn_on("ana").await;
    let stored = serde_json::to_string(&world.all::<SecondFactor>().await).unwrap();
    assert!(!stored.contains(&secret.base32()));
    for code in codes {
        assert!(!stored.contains(&code) && !stored.contains(&code.replace('-', "")));
    }
    let encrypted = |factors: Vec<SecondFactor>| factors[0].secret.clone();
    let before = encrypted(world.all().await);
    world.sign_in("ana", Some(&world.code(&secret))).await.unwrap();
    assert_ne!(encrypted(world.all().await), before, "encrypted anew, with the first key of the ring");
}

#[tokio::test]
async fn without_its_key_a_code_is_refused_as_a_failure_and_a_recovery_code_works() {
    let world = World::new().await;
    let (secret, codes) = world.turn_on("ana").await;
    let ring: KeyRing = world.base.store.get("second-factor").await.unwrap().unwrap();
    world.base.store.transact(async |tx| tx.delete::<KeyRing>(ring.id()).await).await.unwrap();
    let keys = crate::platform::keys::Keys::load(&world.base.store, &RandomIds, world.now(), &[]);
    let base = Base { keys: Arc::new(keys.await.unwrap()), ..(*world.base).clone() };
    let passwords = Passwords::new(base.ids.clone(), 1);
    let accounts = Arc::new(Accounts::new(&base, passwords, Arc::new(Outbox::new(&base))));
    let world = World { factors: Arc::new(SecondFactors::new(&base, &accounts)), ..world };
    let failed = world.sign_in("ana", Some(&world.code(&secret))).await;
    assert!(matches!(failed, Err(CodeError::Store(StoreError::Failed(_)))), "{failed:?}");
    world.sign_in("ana", Some(&codes[0])).await.unwrap();
}

#[tokio::test]
async fn a_client_tries_five_codes_and_then_one_a_minute_and_does_not_use_up_the_owners_tries() {
    let world = World::on(Base::for_tests().await.with_limits()).await;
    let from = |last: u8| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let take = async |account: &str, last: u8| world.factors.take_try(account, from(last)).await;
    for _ in 0..5 {
        take("ana", 1).await.unwrap();
    }
    let refused = take("ana", 1).await.unwrap_err();
    assert!(refused.retry_after <= Duration::from_secs(60), "{refused}");
    take("bo", 1).await.unwrap();
    for _ in 0..60 {
        world.base.clock.advance(Duration::from_secs(60));
        take("ana", 1).await.unwrap();
        take("ana", 1).await.unwrap_err();
    }
    take("ana", 2).await.unwrap();
    let mut clients = (3..30).cycle();
    let tried = std::iter::repeat_with(|| clients.next().unwrap()).take(60);
    let mut taken = 0;
    for client in tried {
        taken += u32::from(take("ana", client).await.is_ok());
    }
    assert!((1..=20).contains(&taken), "all clients together: {taken}");
}

#[tokio::test]
async fn the_owner_gets_an_email_about_wrong_codes_once_an_hour() {
    let world = World::new().await;
    world.turn_on("ana").await;
    let reported = async || {
        world.factors.report_wrong_code("ana").await;
        world.all::<Mail>().await.into_iter().filter(|mail| mail.template == "wrong-code").count()
    };
    assert_eq!((reported().await, reported().await), (1, 1));
    world.base.clock.advance(Duration::from_hours(1));
    assert_eq!(reported().await, 2);
    world.factors.report_wrong_code("nobody").await;
}

// ---- races ----

/// Signs in 20 times at once with the same code; the number of sessions.
async fn sessions_of_one_code(world: &World, code: &str) -> usize {
    let before = world.all::<Session>().await.len();
    let outcomes = join_all((0..20).map(|_| world.sign_in("ana", Some(code)))).await;
    let opened = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.into_iter().filter(Result::is_err).all(is_wrong));
    assert_eq!(world.all::<Session>().await.len() - before, opened);
    opened
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_that_is_used_twice_at_once_opens_one_session() {
    let world = World::new().await;
    let (secret, codes) = world.turn_on("ana").await;
    assert_eq!(sessions_of_one_code(&world, &world.code(&secret)).await, 1);
    assert_eq!(sessions_of_one_code(&world, &codes[0]).await, 1);
    let used = world.all::<Mail>().await.into_iter().filter(|mail| mail.template == "recovery-code-used");
    assert_eq!(used.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_one_code_opens_many_sessions() {
    let world = World::new().await;
    let (secret, codes) = world.turn_on("ana").await;
    for code in [&world.code(&secret), &codes[0]] {
        let opened = without("second-factor.once", sessions_of_one_code(&world, code)).await;
        assert!(opened > 1, "{opened}");
    }
}
