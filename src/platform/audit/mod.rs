//! The audit trail: who changed what, and when.
//!
//! Every change that staff, a machine or the operator makes writes an [`AuditEntry`] in its own transaction, with
//! [`Tx::audit`]: the entry is kept if and only if the change is. Entries hold ids, never personal data.
//!
//! An entry's id is made inside the transaction, so ids ascend in the order of the commits as far as the store allows. On
//! SQLite, where one transaction writes at a time, the two orders are the same unless the clock is set back. On
//! MongoDB two overlapping transactions may commit in the other order, so an entry may appear up to
//! [`SETTLED_AFTER`] after its id was made. Code that numbers or chains entries in their order must skip younger ones.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::{Actor, Ids, RandomIds, Timestamp};
use crate::platform::store::{
    Class, Document, Index, Keep, Owner, Personal, PersonalField, Schema, StoreError, Tx, schema,
};

/// The age after which no entry with an earlier id can appear: the longest transaction of 5 seconds, its commit, and
/// clock differences between machines.
pub const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// An account was created as an administrator, or promoted.
    #[serde(rename = "administrator.made")]
    AdministratorMade,
    /// A dead job was given its attempts again.
    #[serde(rename = "job.retried")]
    JobRetried,
    /// A job was dropped without being run.
    #[serde(rename = "job.dropped")]
    JobDropped,
    /// A failed email was put back into the queue.
    #[serde(rename = "email.retried")]
    EmailRetried,
    /// An unpaid order was cancelled.
    #[serde(rename = "order.cancelled")]
    OrderCancelled,
    /// An order was waived: nothing has to be paid.
    #[serde(rename = "order.waived")]
    OrderWaived,
    /// The gateway was asked about all open orders.
    #[serde(rename = "orders.reconciled")]
    OrdersReconciled,
    /// A refund was recorded, to be sent to the gateway.
    #[serde(rename = "refund.requested")]
    RefundRequested,
    /// An address was taken off the suppression list.
    #[serde(rename = "suppression.removed")]
    SuppressionRemoved,
}

/// The document that a change was made to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Its collection.
    pub collection: String,
    /// Its id; absent if the change is to the whole collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Subject {
    /// The document of this kind and id.
    pub fn of<D: Document>(id: &str) -> Self {
        Self { collection: D::COLLECTION.into(), id: Some(id.into()) }
    }

    /// All documents of this kind.
    pub fn all<D: Document>() -> Self {
        Self { collection: D::COLLECTION.into(), id: None }
    }
}

/// The record of one change. Never changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Ascends in the order of the commits: see the [module](self).
    pub id: String,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To what.
    pub subject: Subject,
    /// Further ids and numbers, by name. Never personal data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

impl Document for AuditEntry {
    const COLLECTION: &'static str = "audit_entries";
    const INDEXES: &'static [Index] =
        &[Index::on("audit_entries_by_subject", &["subject.collection", "subject.id", "id"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("actor.id"),
        &[
            PersonalField::new("actor", Class::Activity),
            PersonalField::new("action", Class::Activity),
            PersonalField::new("at", Class::Activity),
        ],
    );
    const KEEP: Keep = Keep::with_store("shows who changed what; it holds ids only");

    fn id(&self) -> &str {
        &self.id
    }
}

impl Tx {
    /// Records at `now` which actor makes the change of this transaction. `detail` has further ids and numbers, by name;
    /// never personal data.
    ///
    /// # Errors
    /// Store errors.
    pub async fn audit(
        &self,
        actor: &Actor,
        action: Action,
        subject: Subject,
        detail: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let detail = detail.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        // Made here, and again if the work runs again, so that ids follow the order of the commits.
        let id = RandomIds.next();
        self.insert(&AuditEntry { id, at: now, actor: actor.clone(), action, subject, detail }).await
    }
}

/// The documents of this module.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<AuditEntry>()]
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::platform::store::{Dir, Filter, Query, Store};

    /// Actor, action and subject id of each entry, in the order of the entries' ids.
    pub async fn trail(store: &Store) -> Vec<(Actor, Action, Option<String>)> {
        let query = Query::new(Filter::All).sort("id", Dir::Asc).limit(1000);
        let entries = store.find::<AuditEntry>(query).await.unwrap();
        entries.into_iter().map(|entry| (entry.actor, entry.action, entry.subject.id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::trail;
    use super::*;
    use crate::platform::store::testing::TestStore;
    use crate::platform::store::{Filter, Query};

    async fn record(tx: &Tx, subject: &str, detail: &[(&str, &str)]) -> Result<(), StoreError> {
        let subject = Subject::of::<AuditEntry>(subject);
        tx.audit(&Actor::Operator, Action::JobDropped, subject, detail, Timestamp::from_millis(0)).await
    }

    #[tokio::test]
    async fn an_entry_is_kept_only_if_its_transaction_is() {
        let store = TestStore::with(&schemas()).await;
        let refused: Result<(), StoreError> = store
            .transact(async |tx| {
                record(&tx, "refused", &[]).await?;
                Err(StoreError::TxAborted)
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(trail(&store).await, []);
        store.transact(async |tx| record(&tx, "done", &[]).await).await.unwrap();
        assert_eq!(trail(&store).await, [(Actor::Operator, Action::JobDropped, Some("done".into()))]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ids_ascend_in_the_order_of_the_commits_where_one_transaction_writes_at_a_time() {
        let store = TestStore::with(&schemas()).await;
        let writers = (0..20).map(|_| {
            let store = (*store).clone();
            tokio::spawn(async move {
                let written: Result<(), StoreError> = store
                    .transact(async |tx| {
                        let before = tx.count::<AuditEntry>(Filter::All).await?;
                        record(&tx, &format!("{before:02}"), &[]).await
                    })
                    .await;
                written.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let order: Vec<_> = trail(&store).await.into_iter().filter_map(|(_, _, id)| id).collect();
        assert_eq!(order, (0..20).map(|n| format!("{n:02}")).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_entry_is_stored_in_words() {
        let store = TestStore::with(&schemas()).await;
        store.transact(async |tx| record(&tx, "e", &[("refund", "2")]).await).await.unwrap();
        let entries: Vec<AuditEntry> = store.find(Query::new(Filter::All).limit(2)).await.unwrap();
        let stored = serde_json::to_value(&entries[0]).unwrap();
        assert_eq!(stored["action"], "job.dropped");
        assert_eq!(stored["actor"], json!({ "kind": "operator" }));
        assert_eq!(stored["subject"], json!({ "collection": "audit_entries", "id": "e" }));
        assert_eq!(stored["detail"], json!({ "refund": "2" }));
    }
}
