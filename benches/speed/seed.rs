//! Accounts and sessions, written to the store directly: the benchmark measures registrations, not password hashes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orientation::features::accounts::{
    self, Account, Approval, Names, Password, Passwords, Session, SessionSecret, SignUp,
};
use orientation::features::registration;
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Role, Scope, SystemClock};
use orientation::platform::store::{Access, Document, Store, StoreError};
use serde_json::json;

use crate::load;

/// Half of the registrations whose costs are compared.
pub const WINDOW: usize = 2_000;

/// Everybody's password.
pub const PASSWORD: &str = "seven quiet herons at dawn";
/// Accounts that sign in.
const SIGNERS: usize = 64;
const IN_ONE_TRANSACTION: usize = 500;

/// A new folder, on the disk of the build.
pub fn folder() -> PathBuf {
    let target = std::env::current_exe().expect("this program");
    target.parent().expect("a folder").join("bench-data").join(RandomIds.next())
}

/// Creates this number of signed-in students; returns their cookies.
pub async fn students(folder: &Path, count: usize) -> Vec<String> {
    let everybody = signed_in(&store(folder).await, count).await;
    everybody.into_iter().map(|student| student.cookie).collect()
}

/// A signed-in student.
pub struct SignedIn {
    pub account: String,
    pub session: String,
    pub cookie: String,
}

/// Creates this number of signed-in students in a new store.
pub async fn signed_in(store: &Store, count: usize) -> Vec<SignedIn> {
    let hash = hash().await;
    let now = SystemClock.now();
    let everybody: Vec<_> = (0..count)
        .map(|n| {
            let account = account(n, &hash);
            let secret = SessionSecret::new(RandomIds.secret());
            let session = Session::open(secret.session_id(), &account, now);
            (account, session, format!("orientation_session={}", secret.cookie()))
        })
        .collect();
    for some in everybody.chunks(IN_ONE_TRANSACTION) {
        let stored: Result<(), StoreError> = store
            .transact(async |tx| {
                for (account, session, _) in some {
                    tx.insert(account).await?;
                    tx.insert(session).await?;
                }
                Ok(())
            })
            .await;
        stored.expect("a new store");
    }
    let told = |(account, session, cookie): (Account, Session, String)| SignedIn {
        account: account.id,
        session: session.id().to_owned(),
        cookie,
    };
    everybody.into_iter().map(told).collect()
}

/// Creates an administrator in this store, and returns the cookie of a session.
pub async fn administrator(store: &Store) -> String {
    let mut account = account(usize::MAX, &hash().await);
    account.role = Role::Leader;
    account.approval = Approval::Approved;
    account.scopes = [Scope::AdminAll].into();
    let secret = SessionSecret::new(RandomIds.secret());
    let session = Session::open(secret.session_id(), &account, SystemClock.now());
    let stored: Result<(), StoreError> = store
        .transact(async |tx| {
            tx.insert(&account).await?;
            tx.insert(&session).await
        })
        .await;
    stored.expect("stored");
    format!("orientation_session={}", secret.cookie())
}

/// The n-th student's registration.
pub fn registration(n: usize, cookie: &str) -> Option<Vec<u8>> {
    let disciplines = ["Chemical", "Civil", "Electrical & Computer", "Engineering Science", "Mechanical"];
    let pronouns = ["she/her", "he/him", "they/them"];
    let form = json!({
        "legalName": format!("Student {n}"), "pronouns": pronouns[n % 3], "birthDate": "2008-02-29",
        "studentId": format!("s{n:07}"), "discipline": disciplines[n / 3 % 5], "shirtSize": "M",
        "phone": format!("+1506234{:04}", n % 10_000),
        "emergencyContact": { "name": "Sam", "relationship": "parent", "phone": "+15062330166" },
        "dietary": ["Vegetarian"], "joinsHunt": true, "huntTeammates": [], "summerCity": "Port Autumn",
        "summerCountry": "CA", "movingMonth": "August", "photoConsent": true, "bursaryRequested": false,
    });
    Some(load::post("/v1/registration", Some(cookie), &form.to_string()))
}

/// Sign-ins of existing accounts.
pub async fn sign_ins(folder: &Path) -> Vec<Vec<u8>> {
    let store = store(folder).await;
    let hash = hash().await;
    let accounts: Vec<_> = (0..SIGNERS).map(|n| account(n, &hash)).collect();
    let stored: Result<(), StoreError> = store
        .transact(async |tx| {
            for account in &accounts {
                tx.insert(account).await?;
            }
            Ok(())
        })
        .await;
    stored.expect("a new store");
    (0..SIGNERS).map(sign_in).collect()
}

/// The sign-in of the n-th account.
pub fn sign_in(n: usize) -> Vec<u8> {
    load::post("/v1/session", None, &json!({ "email": address(n), "password": PASSWORD }).to_string())
}

pub async fn store(folder: &Path) -> Store {
    std::fs::create_dir_all(folder).expect("a folder for the data");
    prepared(Store::sqlite(&folder.join("orientation.db"), Access::Serving).expect("a new store")).await
}

/// The new store, ready for accounts.
pub async fn prepared(store: Store) -> Store {
    let schemas = [accounts::schemas(), registration::schemas()].concat();
    store.prepare(&schemas).await.expect("a new store");
    store
}

async fn hash() -> String {
    let passwords = Passwords::on_all_cores(Arc::new(RandomIds));
    passwords.hash(Password::read(PASSWORD)).await.expect("nobody waits")
}

fn account(n: usize, hash: &str) -> Account {
    let email = EmailAddress::parse(&address(n)).expect("an address");
    let now = SystemClock.now();
    let sign_up = SignUp {
        client: None,
        id: RandomIds.next(),
        email_key: email.key(),
        email,
        names: Names { first: "Ana".into(), last: Some("García".into()), preferred: None },
        role: Role::Student,
        password_hash: hash.to_owned(),
        created_at: now,
        expires_at: now,
    };
    Account::confirmed(&sign_up, now)
}

/// The key by which the n-th account is found.
pub fn email_key(n: usize) -> String {
    EmailAddress::parse(&address(n)).expect("an address").key()
}

fn address(n: usize) -> String {
    format!("student.{n}@mail.example.edu")
}
