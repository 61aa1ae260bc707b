//! A crash while a right is granted leaves the grant with its audit entry and its email, or none of them.

use orientation::features::accounts::{self, Account, Approval, Names, Session, SessionSecret, SignUp};
use orientation::features::rights::{self, RequestState, RightsRequest};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Right, Role, Scope, SystemClock};
use orientation::platform::audit::AuditEntry;
use orientation::platform::mail::Mail;
use orientation::platform::store::{Filter, Store, StoreError};
use serde_json::json;

use crate::program::{Program, client};

const RIGHT: Right = Right::Scope(Scope::ScannerFood);

/// An approved leader with these rights.
fn leader(id: &str, rights: &[Right]) -> Account {
    let (email, now) =
        (EmailAddress::parse(&format!("{id}@example.org")).expect("an address"), SystemClock.now());
    let sign_up = SignUp {
        id: id.into(),
        email_key: email.key(),
        email,
        names: Names { first: id.into(), last: None, preferred: None },
        role: Role::Leader,
        // No test signs in with it.
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    };
    let mut account = Account::confirmed(&sign_up, now);
    account.decide(Approval::Approved);
    account.set_rights(rights.iter().cloned());
    account
}

/// Stores an administrator with a session, and a leader with an open request. Returns the cookie and the request's id.
async fn seed(store: &Store) -> (String, String) {
    store.prepare(&[accounts::schemas(), rights::schemas()].concat()).await.expect("the store is new");
    let (admin, luz) = (leader("ada", &[Right::Scope(Scope::AdminAll)]), leader("luz", &[]));
    let secret = SessionSecret::new(RandomIds.secret());
    let now = SystemClock.now();
    let session = Session::open(secret.session_id(), &admin, now);
    let request = RightsRequest::open(RandomIds.next(), &luz.id, RIGHT, "I need it.".into(), now);
    let stored: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.insert(&admin).await?;
            tx.insert(&luz).await?;
            tx.insert(&session).await?;
            tx.insert(&request).await
        })
        .await;
    stored.expect("the store is empty");
    (format!("orientation_session={}", secret.cookie()), request.id)
}

/// Whether everything that belongs to the grant is there: the right, the decision, the audit entry and the email.
async fn is_granted(store: &Store, request: &str) -> bool {
    let luz: Account = store.get("luz").await.expect("readable").expect("there");
    let decided: RightsRequest = store.get(request).await.expect("readable").expect("there");
    let entries = store.count::<AuditEntry>(Filter::eq("action", "right.granted")).await.expect("countable");
    let mails = store.count::<Mail>(Filter::eq("template", "right-granted")).await.expect("countable");
    let parts = [luz.holds(&RIGHT), decided.state == RequestState::Granted, entries == 1, mails == 1];
    assert!(parts.iter().all(|part| *part == parts[0]), "right, decision, entry, email: {parts:?}");
    parts[0]
}

/// The program crashes at this point of a grant, once, and is started again. Returns whether the right was granted before
/// the crash, and the status of the same request afterwards.
async fn crashed_at(point: &str) -> (bool, u16) {
    let mut program = Program::new();
    let (cookie, request) = seed(&program.store()).await;
    let address = format!("{}/v1/rights-requests/{request}/grant", program.url());
    let grant = async || {
        client().post(&address).header("cookie", &cookie).json(&json!({ "reason": "Welcome." })).send().await
    };
    program.start(&format!("crash:{point}:1")).await;
    let answer = grant().await;
    assert!(answer.is_err(), "{point}: it crashed before it answered");
    program.died().await;
    let granted = is_granted(&program.store(), &request).await;
    program.start("").await;
    let again = grant().await.expect("it answers").status().as_u16();
    program.stop().await;
    assert!(is_granted(&program.store(), &request).await, "{point}");
    (granted, again)
}

#[tokio::test]
async fn a_crash_in_a_grant_leaves_all_of_it_or_nothing() {
    assert_eq!(crashed_at("rights.while-granting").await, (false, 200));
    assert_eq!(crashed_at("rights.after-grant").await, (true, 409));
}
