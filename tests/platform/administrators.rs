//! There is always an administrator, on MongoDB too, where two transactions that overlap each see the other's
//! administrator. `tests/api/races.rs` ends them over HTTP on both databases.

use std::sync::atomic::{AtomicU32, Ordering};

use orientation::features::accounts::{self, Account, Approval, PutStaffError, put_staff};
use orientation::kernel::{Right, Scope};
use orientation::platform::store::{Filter, Query, Store};
use tokio::sync::Barrier;

use crate::leaders::leader;
use crate::store::mongo::Database;

/// Withdraws the approval of this administrator in a transaction that has begun, and has read, before the other ends.
async fn withdraw(store: &Store, id: &str, both: &Barrier) -> Result<(), PutStaffError> {
    let runs = AtomicU32::new(0);
    store
        .transact(async |tx| {
            let before: Account = tx.get(id).await?.expect("there");
            if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                both.wait().await;
            }
            let mut after = before.clone();
            after.decide(Approval::Withdrawn);
            put_staff(&tx, &before, &after).await
        })
        .await
}

/// The number of administrators who remain when the approval of both is withdrawn in overlapping transactions.
async fn remaining() -> usize {
    let database = Database::new();
    let store = database.open().await;
    store.prepare(&accounts::schemas()).await.unwrap();
    for id in ["ada", "bea"] {
        store.insert(&leader(id, &[Right::Scope(Scope::AdminAll)])).await.unwrap();
    }
    let both = Barrier::new(2);
    let (ada, bea) = tokio::join!(withdraw(&store, "ada", &both), withdraw(&store, "bea", &both));
    let accounts: Vec<Account> = store.find(Query::new(Filter::All)).await.unwrap();
    let remaining = accounts.iter().filter(|account| account.is_administrator()).count();
    assert_eq!([ada, bea].iter().filter(|outcome| outcome.is_err()).count(), remaining);
    remaining
}

#[tokio::test]
async fn of_two_administrators_who_end_in_overlapping_transactions_one_remains() {
    assert_eq!(remaining().await, 1);
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn without_the_guard_s_document_none_remains() {
    assert_eq!(orientation::kernel::faults::without("accounts.administrators-guard", remaining()).await, 0);
}
