//! The audit log: who changed what, when and why.
//!
//! Every change that staff, a machine or the operator makes writes an [`AuditEntry`] in its own transaction, with
//! [`Tx::audit`](crate::platform::store::Tx::audit): the entry is kept if and only if the change is. Entries hold ids, never
//! personal data, except for the reason and the client's address, which can be erased.
//!
//! [`seal`] numbers the entries and chains them by hash, soon after they were written. [`verify`] compares them with
//! the chain: it finds the first entry that was changed, removed or inserted.
//!
//! An entry's id is made inside the transaction, so ids ascend in the order of the commits as far as the store allows. On
//! SQLite, where one transaction writes at a time, the two orders are the same unless the clock is set back. On
//! MongoDB two overlapping transactions may commit in the other order, so an entry may appear up to
//! [`SETTLED_AFTER`] after its id was made; [`seal`] leaves younger ones alone.

mod chain;
mod encoding;
mod entry;
mod salted;
mod seal;
mod verify;

pub use chain::{AuditHead, AuditLink, BadHead, ChainHead};
pub use entry::{Action, AuditEntry, Subject};
pub use salted::SaltedText;
pub use seal::{SETTLED_AFTER, seal};
pub use verify::{Intact, Tampering, VerifyError, verify};

use crate::platform::store::{Schema, schema};

/// The documents of this module.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<AuditEntry>(), schema::<AuditLink>(), schema::<AuditHead>()]
}

#[cfg(test)]
pub mod testing {
    use super::{Action, AuditEntry};
    use crate::kernel::Actor;
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
    use std::net::{IpAddr, Ipv4Addr};

    use serde_json::{Value, json};

    use super::testing::trail;
    use super::*;
    use crate::kernel::{Actor, Timestamp};
    use crate::platform::request::RequestContext;
    use crate::platform::store::testing::TestStore;
    use crate::platform::store::{Filter, Query, Store, StoreError, Tx};

    const DONE: Action = Action::new("test.done");

    async fn record(tx: &Tx, subject: &str, detail: &[(&str, &str)]) -> Result<(), StoreError> {
        let subject = Subject::of::<AuditEntry>(subject);
        tx.audit(&Actor::Operator, DONE, subject, detail, Timestamp::from_millis(0)).await
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
        assert_eq!(trail(&store).await, [(Actor::Operator, DONE, Some("done".into()))]);
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

    /// The only entry, as it is stored.
    async fn stored(store: &Store) -> Value {
        let entries: Vec<AuditEntry> = store.find(Query::new(Filter::All).limit(2)).await.unwrap();
        assert_eq!(entries.len(), 1);
        serde_json::to_value(&entries[0]).unwrap()
    }

    #[tokio::test]
    async fn an_entry_is_stored_in_words() {
        let store = TestStore::with(&schemas()).await;
        store.transact(async |tx| record(&tx, "e", &[("refund", "2")]).await).await.unwrap();
        let mut stored = stored(&store).await;
        stored.as_object_mut().unwrap().remove("id");
        let expected = json!({
            "at": "1970-01-01T00:00:00.000Z",
            "actor": { "kind": "operator" },
            "action": "test.done",
            "subject": { "collection": "audit_entries", "id": "e" },
            "detail": { "refund": "2" },
        });
        assert_eq!(stored, expected, "outside of a request there is neither request nor client");
    }

    #[tokio::test]
    async fn an_entry_names_its_request_and_keeps_reason_and_client_beside_their_digests() {
        let store = TestStore::with(&schemas()).await;
        let request = RequestContext { id: "r-1".into(), client: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) };
        let (subject, now) = (Subject::all::<AuditEntry>, Timestamp::from_millis(0));
        let written = store.transact(async |tx| {
            tx.audit_with_reason(&Actor::Operator, DONE, subject(), &[], "she asked for it", now).await
        });
        request.scope(written).await.unwrap();
        let stored = stored(&store).await;
        assert_eq!(stored["request"], "r-1");
        for (field, text) in [("reason", "she asked for it"), ("client", "127.0.0.1")] {
            assert_eq!(stored[field]["text"], text);
            assert_eq!(stored[field]["salt"].as_str().unwrap().len(), 64);
            assert_eq!(stored[field]["digest"].as_str().unwrap().len(), 64);
        }
        assert_ne!(stored["reason"]["salt"], stored["client"]["salt"]);
    }

    #[tokio::test]
    async fn entries_of_earlier_versions_can_be_read() {
        let entry = json!({
            "id": "e", "at": "2026-09-01T07:00:00.000Z", "actor": { "kind": "account", "id": "a" },
            "action": "order.waived", "subject": { "collection": "orders", "id": "o" },
        });
        let read: AuditEntry = serde_json::from_value(entry.clone()).unwrap();
        assert_eq!((read.action.as_str(), &read.request, &read.reason), ("order.waived", &None, &None));
        assert_eq!(serde_json::to_value(&read).unwrap(), entry);
    }
}
