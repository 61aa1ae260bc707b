//! Accounts of leaders that tests write to a store.

use orientation::features::accounts::{Account, Approval, Names, SignUp};
use orientation::kernel::{Clock, EmailAddress, Right, Role, SystemClock};

/// The account of an approved leader with these rights. Its address is `<id>@example.org`, and nobody can sign in to it.
pub fn leader(id: &str, rights: &[Right]) -> Account {
    let (email, now) =
        (EmailAddress::parse(&format!("{id}@example.org")).expect("an address"), SystemClock.now());
    let sign_up = SignUp {
        client: None,
        id: id.to_owned(),
        email_key: email.key(),
        email,
        names: Names { first: "Kim".into(), last: None, preferred: None },
        role: Role::Leader,
        password_hash: String::new(),
        created_at: now,
        expires_at: now,
    };
    let mut account = Account::confirmed(&sign_up, now);
    account.decide(Approval::Approved);
    account.set_rights(rights.iter().cloned());
    account
}
