//! Students who are signed in before the program starts. Sign-up is tested elsewhere.

use orientation::features::accounts::{self, Account, Names, Session, SessionSecret, SignUp};
use orientation::kernel::{Clock, EmailAddress, Ids, RandomIds, Role, SystemClock};
use orientation::platform::store::{Store, StoreError};
use serde_json::Value;

/// A signed-in student, with the form to submit.
#[derive(Clone, Debug)]
pub struct Student {
    /// The id of account and registration.
    pub id: String,
    pub email: String,
    /// The session's cookie.
    pub cookie: String,
    pub form: Value,
}

/// Creates accounts and sessions for the first `count` students of the data, in a store that no process uses.
pub async fn seed(store: &Store, count: usize) -> Vec<Student> {
    store.prepare(&accounts::schemas()).await.expect("the store is new");
    let data = include_str!("../data/students.jsonl");
    let rows = data.lines().take(count).map(|row| serde_json::from_str::<Value>(row).expect("a JSON object"));
    let mut students = vec![];
    let (mut accounts, mut sessions) = (vec![], vec![]);
    for row in rows {
        let now = SystemClock.now();
        let account = Account::confirmed(&sign_up(&row["account"]), now);
        let secret = SessionSecret::new(RandomIds.secret());
        sessions.push(Session::open(secret.session_id(), &account, now));
        students.push(Student {
            id: account.id.clone(),
            email: account.email.as_str().to_owned(),
            cookie: format!("orientation_session={}", secret.cookie()),
            form: row["form"].clone(),
        });
        accounts.push(account);
    }
    let stored: Result<(), StoreError> = store
        .transact(async |tx| {
            for (account, session) in accounts.iter().zip(&sessions) {
                tx.insert(account).await?;
                tx.insert(session).await?;
            }
            Ok(())
        })
        .await;
    stored.expect("the addresses of the data differ");
    students
}

fn sign_up(row: &Value) -> SignUp {
    let text = |name: &str| row[name].as_str().expect("a text").trim().to_owned();
    let email = EmailAddress::parse(&text("email")).expect("an address");
    let now = SystemClock.now();
    SignUp {
        client: None,
        id: RandomIds.next(),
        email_key: email.key(),
        email,
        names: Names {
            first: text("firstName"),
            last: row["lastName"].as_str().map(str::to_owned),
            preferred: None,
        },
        role: Role::Student,
        // No test signs in with it.
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    }
}
