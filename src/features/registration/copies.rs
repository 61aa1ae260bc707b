//! The copies of an account's address and preferred name in its registration.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::model::Registration;
use crate::base::Base;
use crate::features::accounts::{Account, AccountCopies};
use crate::platform::jobs::{JobError, Payload, Run, Subscriber};
use crate::platform::store::{Filter, Query, Store, StoreError, Tx};

/// Registrations that are completed in one transaction.
const PAGE: u32 = 50;

/// Renews the copy in a registration with each change of the account.
pub struct CopiesOfAccounts;

#[async_trait]
impl AccountCopies for CopiesOfAccounts {
    async fn renew(&self, tx: &Tx, account: &Account) -> Result<(), StoreError> {
        let Some(mut registration) = tx.get::<Registration>(&account.id).await? else { return Ok(()) };
        registration.copy_account(account);
        tx.put(&registration).await
    }
}

/// Copies the accounts into registrations that were stored before there were copies.
#[derive(Serialize, Deserialize)]
pub struct CopyAccounts {}

impl Payload for CopyAccounts {
    const KIND: &'static str = "registration.copy-accounts";
}

/// Handles [`CopyAccounts`].
pub struct FillIn {
    store: Store,
}

impl FillIn {
    /// For the registrations in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone() }
    }

    /// Completes the page of registrations after this id. Returns its last id; none if there are no more.
    async fn page(&self, after: &str) -> Result<Option<String>, StoreError> {
        self.store
            .transact(async |tx| {
                let incomplete =
                    Filter::eq("search.keys.email", "").and(Filter::Gt("id".into(), after.into()));
                let registrations: Vec<Registration> = tx.find(Query::new(incomplete).limit(PAGE)).await?;
                let last = registrations.last().map(|last| last.id.clone());
                for mut registration in registrations {
                    if let Some(account) = tx.get::<Account>(&registration.id).await? {
                        registration.copy_account(&account);
                        tx.put(&registration).await?;
                    }
                }
                Ok(last)
            })
            .await
    }
}

#[async_trait]
impl Subscriber for FillIn {
    type Payload = CopyAccounts;
    const CONCURRENCY: usize = 1;

    async fn handle(&self, _: CopyAccounts, _: Run) -> Result<(), JobError> {
        let mut after = String::new();
        while let Some(last) = self.page(&after).await? {
            after = last;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::model::with_search_index;
    use super::*;
    use crate::features::accounts::SignUp;
    use crate::kernel::{EmailAddress, Role, Timestamp};

    fn account(id: &str) -> Account {
        let email = EmailAddress::parse(&format!("{id}@example.org")).unwrap();
        let names = crate::features::accounts::Names {
            first: "Ana".into(),
            last: None,
            preferred: Some("Pépé".into()),
        };
        let now = Timestamp::from_millis(0);
        let sign_up = SignUp {
            client: None,
            id: id.into(),
            email_key: email.key(),
            email,
            names,
            role: Role::Student,
            password_hash: String::new(),
            created_at: now,
            expires_at: now,
        };
        Account::confirmed(&sign_up, now)
    }

    /// A registration as version 1 stored it, after its migration.
    fn migrated(id: &str) -> Registration {
        let form = Form { legal_name: "José García".into(), student_id: id.into(), ..Form::default() };
        let new = Registration::submit(id, form, "Alpha".into(), "o", Timestamp::from_millis(0));
        let mut stored = serde_json::to_value(new).unwrap();
        stored.as_object_mut().unwrap().remove("search");
        serde_json::from_value(with_search_index(stored)).unwrap()
    }

    #[tokio::test]
    async fn a_registration_of_version_1_is_found_by_name_and_gets_its_account_copied() {
        let base = Base::for_tests().await;
        // The accounts of the first page are gone: the pages behind it are reached all the same.
        let ids: Vec<_> = (0..120).map(|n| format!("st{n:05}")).collect();
        let stored: Result<(), StoreError> = base
            .store
            .transact(async |tx| {
                for id in &ids {
                    tx.insert(&migrated(id)).await?;
                }
                for id in &ids[60..] {
                    tx.insert(&account(id)).await?;
                }
                Ok(())
            })
            .await;
        stored.unwrap();
        let found = async |word: &str| {
            base.store.count::<Registration>(Filter::HasPrefix("search.words".into(), word.into())).await
        };
        assert_eq!((found("legalName:gar").await, found("preferredName:pep").await), (Ok(120), Ok(0)));
        let run = Run { job_id: "1".into(), attempt: 1, crashes: 0 };
        FillIn::new(&base).handle(CopyAccounts {}, run).await.unwrap();
        assert_eq!((found("preferredName:pep").await, found("email:st00119").await), (Ok(60), Ok(1)));
        let copied: Registration = base.store.get("st00119").await.unwrap().unwrap();
        assert_eq!(copied.email.unwrap().as_str(), "st00119@example.org");
    }
}
