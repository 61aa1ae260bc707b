//! The rules of sessions, on a separate store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::TestBase;
use crate::features::accounts::{
    self, Account, Accounts, AuthenticateError, Passwords, SESSION_LASTS, Session, SignUpForm,
};
use crate::features::outbox::Outbox;
use crate::features::second_factor::SecondFactors;
use crate::kernel::{Caller, Clock, Right, Role, Scope, Secret, Timestamp};
use crate::platform::mail::{Mail, Templates};
use crate::platform::store::{Filter, Page, Query};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "seven maple canoes drift";
const HOME: &str = "192.0.2.7";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

struct World {
    accounts: Arc<Accounts>,
    sessions: Arc<Sessions>,
    factors: Arc<SecondFactors>,
    base: TestBase,
}

impl World {
    async fn on(base: TestBase) -> Self {
        let accounts =
            Arc::new(Accounts::new(&base, Passwords::new(base.ids.clone(), 2), Arc::new(Outbox::new(&base))));
        let factors = Arc::new(SecondFactors::new(&base, &accounts));
        let sessions = Arc::new(Sessions::new(&base, &accounts, &factors));
        let world = Self { accounts, sessions, factors, base };
        world.sign_up().await;
        world
    }

    async fn new() -> Self {
        Self::on(Base::for_tests().await).await
    }

    /// Makes the account of Ana, a leader.
    async fn sign_up(&self) {
        let form = SignUpForm {
            email: ANA.into(),
            password: Secret::new(PASSWORD.into()),
            first_name: "Ana".into(),
            last_name: None,
            preferred_name: None,
            role: Role::Leader,
        };
        self.accounts.sign_up(form, HOME.parse().unwrap()).await.unwrap();
        let mail = self.mails("confirm-address").await.pop().unwrap();
        let token = mail.about["token"].clone();
        let token = crate::platform::keys::Sealer::seal(&*self.base.keys, "confirm-account", &token);
        self.accounts.confirm_account(&token).await.unwrap();
    }

    async fn mails(&self, template: &str) -> Vec<Mail> {
        let mut mails = self.base.store.find::<Mail>(Query::new(Filter::All)).await.unwrap();
        mails.retain(|mail| mail.template == template);
        mails
    }

    async fn sign_in_from(
        &self,
        client: &str,
        password: &str,
        device: Option<&str>,
    ) -> Result<OpenedSession, SignInError> {
        let origin = Origin { client: client.parse::<IpAddr>().unwrap(), user_agent: Some(FIREFOX), device };
        self.sessions.sign_in(ANA, &Secret::new(password.into()), None, origin).await
    }

    async fn sign_in(&self) -> String {
        self.sign_in_from(HOME, PASSWORD, None).await.unwrap().secret.cookie()
    }

    async fn caller(&self, cookie: &str) -> Option<Caller> {
        Some(self.sessions.caller(cookie).await.unwrap()?.0)
    }

    async fn list(&self, caller: &Caller) -> Vec<(Session, bool)> {
        let Page { items, .. } = self.sessions.list(caller, None, 100).await.unwrap();
        items.into_iter().map(|own| (own.session, own.is_current)).collect()
    }

    /// Changes the account of Ana.
    async fn change(&self, change: impl Fn(&mut Account) + Send + Sync) {
        let changed = self.base.store.transact(async |tx| {
            let mut account = tx.find::<Account>(Query::new(Filter::All)).await?.pop().unwrap();
            change(&mut account);
            tx.put(&account).await
        });
        changed.await.unwrap();
    }
}

#[tokio::test]
async fn a_session_shows_when_where_and_in_which_browser_it_was_opened() {
    let world = World::new().await;
    let first = world.caller(&world.sign_in().await).await.unwrap();
    world.base.clock.advance(Duration::from_mins(90));
    let second = world.caller(&world.sign_in().await).await.unwrap();
    let listed = world.list(&second).await;
    let ids: Vec<_> = listed.iter().map(|(session, current)| (session.id.as_str(), *current)).collect();
    assert_eq!(ids, [(second.session_id.as_str(), true), (first.session_id.as_str(), false)]);
    let oldest = &listed[1].0;
    assert_eq!(oldest.device.as_deref(), Some("Firefox on Linux"));
    assert_eq!(oldest.network.as_deref(), Some("192.0.2.0/24"));
    assert_eq!(oldest.created_at, Timestamp::from_millis(TestBase::START));
    assert_eq!(oldest.seen_at, Some(Timestamp::from_millis(TestBase::START)), "to the hour");
}

#[tokio::test]
async fn the_hour_of_the_latest_request_is_stored() {
    let world = World::new().await;
    let cookie = world.sign_in().await;
    world.base.clock.advance(Duration::from_mins(150));
    let caller = world.caller(&cookie).await.unwrap();
    let seen = world.list(&caller).await[0].0.seen_at.unwrap();
    assert_eq!(seen.as_millis() - TestBase::START, 2 * 3_600_000);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_lasts_when_it_is() {
    let world = World::new().await;
    let (used, unused) = (world.sign_in().await, world.sign_in().await);
    world.base.clock.advance(Duration::from_hours(13 * 24));
    assert!(world.caller(&used).await.is_some());
    world.base.clock.advance(Duration::from_hours(2 * 24));
    let caller = world.caller(&used).await.expect("it was used two days ago");
    assert!(world.caller(&unused).await.is_none(), "two weeks without a request");
    assert_eq!(world.list(&caller).await.len(), 1, "ended sessions are not listed");
    world.base.clock.advance(Duration::from_hours(13 * 24));
    world.caller(&used).await.unwrap();
    world.base.clock.advance(SESSION_LASTS - Duration::from_hours(28 * 24));
    assert!(world.caller(&used).await.is_none(), "30 days, used or not");
}

#[tokio::test]
async fn people_end_one_session_or_all_others_and_only_their_own() {
    let world = World::new().await;
    let cookies = [world.sign_in().await, world.sign_in().await, world.sign_in().await];
    let [here, there, _] = &cookies;
    let caller = world.caller(here).await.unwrap();
    let there = world.caller(there).await.unwrap();
    let stranger = Caller { account_id: "somebody-else".into(), ..caller.clone() };
    for (caller, id) in [(&stranger, there.session_id.as_str()), (&caller, "nobody's")] {
        let refused = world.sessions.end(caller, id).await;
        assert!(matches!(refused, Err(EndSessionError::NotFound)));
    }
    world.sessions.end(&caller, &there.session_id).await.unwrap();
    assert_eq!(world.list(&caller).await.len(), 2);
    world.sessions.end_others(&caller).await.unwrap();
    let left = world.list(&caller).await;
    assert_eq!((left.len(), left[0].1), (1, true));
    assert!(world.caller(&cookies[2]).await.is_none());
}

#[tokio::test]
async fn a_session_gets_a_new_id_when_its_rights_grow_and_the_former_ends() {
    let world = World::new().await;
    let former = world.sign_in().await;
    world.change(|account| account.decide(accounts::Approval::Approved)).await;
    world.change(|account| account.grant(Right::Scope(Scope::FaqEdit))).await;
    let (caller, renewed) = world.sessions.caller(&former).await.unwrap().unwrap();
    let cookie = renewed.expect("a new cookie").secret.cookie();
    assert!(caller.rights.may(Scope::FaqEdit), "at the next request");
    // Requests that were sent before the new cookie arrived.
    let (late, again) = world.sessions.caller(&former).await.unwrap().unwrap();
    assert!(late.rights.may(Scope::FaqEdit) && again.is_none());
    assert_eq!(world.list(&caller).await.len(), 1, "one browser, one session");
    world.base.clock.advance(Duration::from_mins(1));
    assert!(world.caller(&former).await.is_none());
    assert_eq!(world.caller(&cookie).await.unwrap().session_id, caller.session_id);
    world.change(|account| account.set_rights([])).await;
    let (caller, renewed) = world.sessions.caller(&cookie).await.unwrap().unwrap();
    assert!(!caller.rights.may(Scope::FaqEdit) && renewed.is_none(), "fewer rights need no new id");
}

#[tokio::test]
async fn signing_out_ends_the_former_id_of_the_session_as_well() {
    let world = World::new().await;
    let former = world.sign_in().await;
    world.change(|account| account.decide(accounts::Approval::Approved)).await;
    world.change(|account| account.grant(Right::Scope(Scope::FaqEdit))).await;
    let (caller, _) = world.sessions.caller(&former).await.unwrap().unwrap();
    world.sessions.sign_out(&caller).await.unwrap();
    assert!(world.caller(&former).await.is_none());
    assert_eq!(world.base.store.count::<Session>(Filter::All).await.unwrap(), 0);
}

#[tokio::test]
async fn a_sign_out_that_was_under_way_during_a_renewal_ends_the_next_id_as_well() {
    let world = World::new().await;
    let cookie = world.sign_in().await;
    let former = world.caller(&cookie).await.unwrap();
    let other = world.sign_in().await;
    world.change(|account| account.decide(accounts::Approval::Approved)).await;
    world.change(|account| account.grant(Right::Scope(Scope::FaqEdit))).await;
    let (_, renewed) = world.sessions.caller(&cookie).await.unwrap().unwrap();
    let renewed = renewed.expect("a new cookie").secret.cookie();
    world.sessions.end_others(&former).await.unwrap();
    assert!(world.caller(&other).await.is_none());
    assert!(world.caller(&renewed).await.is_some(), "it continues the session that is kept");
    world.sessions.sign_out(&former).await.unwrap();
    assert!(world.caller(&renewed).await.is_none());
}

#[tokio::test]
async fn a_session_that_was_renewed_twice_ends_under_each_of_its_ids() {
    let world = World::new().await;
    let first = world.sign_in().await;
    let here = world.caller(&world.sign_in().await).await.unwrap();
    world.change(|account| account.decide(accounts::Approval::Approved)).await;
    let mut cookies = vec![first];
    for scope in [Scope::FaqEdit, Scope::FaqDelete] {
        world.change(|account| account.grant(Right::Scope(scope))).await;
        let renewed = world.sessions.caller(cookies.last().unwrap()).await.unwrap().unwrap().1;
        cookies.push(renewed.expect("a new cookie").secret.cookie());
    }
    let newest = world.caller(&cookies[2]).await.unwrap();
    world.sessions.end(&here, &newest.session_id).await.unwrap();
    for cookie in &cookies {
        assert!(world.caller(cookie).await.is_none());
    }
}

#[tokio::test]
async fn storing_the_hour_does_not_undo_a_renewal_or_a_new_password() {
    let world = World::new().await;
    let former = world.caller(&world.sign_in().await).await.unwrap();
    let touch = async |id: &str| {
        let later = world.base.clock.now().plus(Duration::from_hours(1));
        let touched = world.base.store.transact(async |tx| Session::touch(&tx, id, later).await);
        touched.await.unwrap();
        world.base.store.get::<Session>(id).await.unwrap()
    };
    let (current, new) = (Secret::new(PASSWORD.into()), Secret::new("eight copper kites rise".into()));
    world.accounts.change_password(&former, &current, &new).await.unwrap();
    assert_eq!(touch(&former.session_id).await.map(|session| session.password_version), Some(2));
    let renewed = world.base.store.transact(async |tx| {
        let account = tx.find::<Account>(Query::new(Filter::All)).await?.pop().unwrap();
        Session::renew(&tx, &former.session_id, "next".into(), &account, world.base.clock.now()).await
    });
    renewed.await.unwrap().expect("it is renewed");
    let touched = touch(&former.session_id).await.expect("for a moment");
    assert_eq!(touched.replaced_by.as_deref(), Some("next"));
    assert_eq!(touched.expires_at, world.base.clock.now().plus(Duration::from_mins(1)));
    world.sessions.end(&former, "next").await.unwrap();
    assert!(touch("next").await.is_none(), "an ended session stays ended");
}

#[tokio::test]
async fn the_oldest_sessions_of_an_account_end_when_it_has_a_hundred() {
    let world = World::new().await;
    let caller = world.caller(&world.sign_in().await).await.unwrap();
    let account = world.base.store.get::<Account>(&caller.account_id).await.unwrap().unwrap();
    for number in 1..=100 {
        world.base.clock.advance(Duration::from_secs(1));
        let session = Session::open(format!("session-{number:03}"), &account, world.base.clock.now());
        world.base.store.transact(async |tx| session.begin(&tx).await).await.unwrap();
    }
    assert_eq!(world.base.store.count::<Session>(Filter::All).await.unwrap(), 100);
    assert!(world.base.store.get::<Session>(&caller.session_id).await.unwrap().is_none(), "the oldest");
    assert!(world.base.store.get::<Session>("session-001").await.unwrap().is_some());
}

#[tokio::test]
async fn leaders_learn_of_sign_ins_on_devices_that_are_new_to_the_account() {
    let world = World::new().await;
    let opened = world.sign_in_from(HOME, PASSWORD, None).await.unwrap();
    assert_eq!(world.mails("new-device").await.len(), 1);
    world.sign_in_from(HOME, PASSWORD, Some(&opened.device)).await.unwrap();
    assert_eq!(world.mails("new-device").await.len(), 1, "the browser is known");
    world.sign_in_from(HOME, PASSWORD, Some("k1.forged")).await.unwrap();
    let mail = world.mails("new-device").await.pop().unwrap();
    let emails = Templates::new(feature(&world.base, &world.sessions).emails).unwrap();
    let email = emails.render(&mail).await.unwrap();
    let shown = format!("Subject: {}\n\n{}\n\n===\n\n{}", email.subject, email.text, email.html);
    insta::assert_snapshot!("new-device", shown);
}

#[tokio::test]
async fn a_sign_in_costs_one_hash_with_and_without_an_account_or_a_second_factor() {
    let world = World::new().await;
    let try_out = async |email: &str, password: &str| {
        let (before, origin) = (
            world.accounts.hashes(),
            Origin { client: HOME.parse().unwrap(), user_agent: None, device: None },
        );
        let outcome = world.sessions.sign_in(email, &Secret::new(password.into()), None, origin).await;
        (world.accounts.hashes() - before, outcome.map(drop).map_err(|error| error.to_string()))
    };
    let wrong = try_out(ANA, "wrong").await;
    assert_eq!(wrong.0, 1);
    assert_eq!(try_out("nobody@example.org", "wrong").await, wrong);

    let caller = world.caller(&world.sign_in().await).await.unwrap();
    let secret = world.factors.enrol(&caller, &Secret::new(PASSWORD.into())).await.unwrap().secret;
    let bytes: [u8; 20] = secret.bytes().try_into().unwrap();
    let totp = totp_rs::Builder::new().with_secret(bytes).build().unwrap();
    let code = totp.generate(world.base.clock.now().as_secs().unsigned_abs()).to_string();
    world.factors.confirm(&caller, HOME.parse().unwrap(), &code).await.unwrap();

    assert_eq!(try_out(ANA, "wrong").await, wrong, "nothing tells that there is a second factor");
    assert_eq!(try_out(ANA, PASSWORD).await, (1, Err("a code is needed".into())));
}

#[tokio::test]
async fn guessing_passwords_does_not_lock_the_owner_out() {
    let world = World::on(Base::for_tests().await.with_limits()).await;
    let device = world.sign_in_from(HOME, PASSWORD, None).await.unwrap().device;
    let guess = async |client: &str| {
        let mut wrong = 0;
        while let Err(SignInError::Credentials(AuthenticateError::WrongCredentials)) =
            world.sign_in_from(client, "wrong", None).await
        {
            wrong += 1;
        }
        wrong
    };
    assert_eq!(guess("198.51.100.1").await, 10, "from one client");
    world.sign_in_from(HOME, PASSWORD, None).await.expect("from another network");
    let all: u32 = {
        let mut all = 0;
        for last in 2..20 {
            all += guess(&format!("198.51.100.{last}")).await;
        }
        all
    };
    assert_eq!(all, 100 - 10 - 2, "from all clients together");
    assert!(
        world.sign_in_from("203.0.113.9", PASSWORD, None).await.is_err(),
        "in a new browser, for a while"
    );
    world.sign_in_from("203.0.113.9", PASSWORD, Some(&device)).await.expect("in a browser that is known");
    let other = world.sign_in_from("203.0.113.9", PASSWORD, Some(&device)).await.unwrap().device;
    while world
        .sign_in_from("203.0.113.9", "wrong", Some(&other))
        .await
        .is_err_and(|error| !matches!(error, SignInError::Credentials(AuthenticateError::TooMany(_))))
    {}
    world
        .sign_in_from("203.0.113.9", PASSWORD, Some(&device))
        .await
        .expect("each known browser has its own limit");
}
