//! Accounts for unit tests.

use crate::base::Base;
use crate::features::accounts::{Account, Approval, EnrolmentRule, Names, SignUp};
use crate::kernel::{Caller, EmailAddress, Principal, Right, Role, Scope};

/// Stores the account of a leader who waits, or of a student. Its address is `<id>@example.org`.
pub async fn account(base: &Base, id: &str, role: Role) -> Account {
    let account = new_account(base, id, role);
    base.store.insert(&account).await.unwrap();
    account
}

/// Stores the account of an approved leader with these rights.
pub async fn leader(base: &Base, id: &str, rights: &[Right]) -> Account {
    let mut account = new_account(base, id, Role::Leader);
    account.decide(Approval::Approved);
    account.set_rights(rights.iter().cloned());
    base.store.insert(&account).await.unwrap();
    account
}

/// Stores the account of an administrator.
pub async fn administrator(base: &Base, id: &str) -> Account {
    leader(base, id, &[Right::Scope(Scope::AdminAll)]).await
}

/// The owner of an account as the one who makes a request.
pub fn caller(account: &Account) -> Caller {
    let rights = account.rights(EnrolmentRule::Voluntary);
    Caller { account_id: account.id.clone(), session_id: "session".into(), rights }
}

/// The same, for changes of other accounts.
pub fn principal(account: &Account) -> Principal {
    caller(account).into()
}

fn new_account(base: &Base, id: &str, role: Role) -> Account {
    let (email, now) = (EmailAddress::parse(&format!("{id}@example.org")).unwrap(), base.clock.now());
    let names = Names { first: "Luz".into(), last: Some("García".into()), preferred: None };
    let sign_up = SignUp {
        client: None,
        id: id.into(),
        email_key: email.key(),
        email,
        names,
        role,
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    };
    Account::confirmed(&sign_up, now)
}
