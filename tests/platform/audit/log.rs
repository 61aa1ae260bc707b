//! A log for one test, and those who tamper with it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use orientation::kernel::{Actor, Clock, SystemClock, Timestamp};
use orientation::platform::audit::{
    self, Action, AuditEntry, AuditHead, AuditLink, ChainHead, Intact, SETTLED_AFTER, Subject, Tampering,
    VerifyError,
};
use orientation::platform::request::RequestContext;
use orientation::platform::store::{Document, Filter, Query, Store, StoreError};

/// The action of the entries that tests write.
pub const DONE: Action = Action::new("test.done");

/// A log in a store.
pub struct Log {
    pub store: Store,
    /// The same store in another process.
    pub other: Store,
    /// Dropped at the end of the test: a folder, a database.
    _place: Box<dyn Send>,
}

/// A time at which every entry that exists now is settled.
pub fn later() -> Timestamp {
    SystemClock.now().plus(SETTLED_AFTER).plus(Duration::from_secs(10))
}

impl Log {
    pub async fn on(store: Store, other: Store, place: impl Send + 'static) -> Self {
        store.prepare(&audit::schemas()).await.unwrap();
        Self { store, other, _place: Box::new(place) }
    }

    /// Writes an entry with a reason, from a request.
    pub async fn write_one(&self, subject: &str) {
        let client = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let request = RequestContext { id: format!("request {subject}"), client };
        let (actor, now) = (Actor::Account("ana".into()), SystemClock.now());
        let about = || Subject::of::<AuditEntry>(subject);
        let written = self.store.transact(async |tx| {
            tx.audit_with_reason(&actor, DONE, about(), &[("n", "1")], "she asked for it", now).await
        });
        request.scope(written).await.unwrap();
    }

    /// Writes this many entries; returns them in the order of the log.
    pub async fn write(&self, count: usize) -> Vec<AuditEntry> {
        for number in 0..count {
            self.write_one(&number.to_string()).await;
        }
        self.entries().await
    }

    /// Adds all entries to the chain; returns their number.
    pub async fn seal(&self) -> u64 {
        audit::seal(&self.store, later()).await.unwrap()
    }

    /// Writes and seals this many entries.
    pub async fn sealed(&self, count: usize) -> Vec<AuditEntry> {
        let entries = self.write(count).await;
        assert_eq!(self.seal().await, count as u64);
        entries
    }

    pub async fn verify(&self) -> Result<Intact, VerifyError> {
        audit::verify(&self.store, None, |_| {}).await
    }

    /// What is wrong, compared with this kept head.
    pub async fn tampering(&self, kept: Option<&ChainHead>) -> Option<Tampering> {
        match audit::verify(&self.store, kept, |_| {}).await {
            Ok(_) => None,
            Err(VerifyError::Tampered(tampering)) => Some(tampering),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn entries(&self) -> Vec<AuditEntry> {
        self.all().await
    }

    pub async fn all<D: Document>(&self) -> Vec<D> {
        self.store.find(Query::new(Filter::All).limit(10_000)).await.unwrap()
    }

    pub async fn head(&self) -> AuditHead {
        self.store.get(AuditHead::ID).await.unwrap().unwrap_or_default()
    }

    /// Writes documents past the rules of the log.
    pub async fn put<D: Document>(&self, documents: &[D]) {
        let documents: Vec<_> = documents.iter().collect();
        self.store.transact(async |tx| tx.put_all(&documents).await).await.unwrap();
    }

    /// Deletes a document past the rules of the log.
    pub async fn remove<D: Document>(&self, id: &str) {
        let removed: Result<bool, StoreError> =
            self.store.transact(async |tx| tx.delete::<D>(id).await).await;
        assert!(removed.unwrap(), "{id}");
    }

    /// Removes the last `count` entries with their links, and sets the head back, as somebody does who knows how the chain
    /// is made.
    pub async fn cut(&self, count: usize) {
        let (entries, links): (Vec<AuditEntry>, Vec<AuditLink>) = (self.entries().await, self.all().await);
        let left = entries.len() - count;
        for (entry, link) in entries.iter().zip(&links).skip(left) {
            self.remove::<AuditEntry>(&entry.id).await;
            self.remove::<AuditLink>(&link.id).await;
        }
        self.set_head(left, &links).await;
    }

    async fn set_head(&self, number: usize, links: &[AuditLink]) {
        let mut head = self.head().await;
        let Some(last) = number.checked_sub(1).and_then(|last| links.get(last)) else {
            return self.remove::<AuditHead>(AuditHead::ID).await;
        };
        head.head = ChainHead { number: number as u64, hash: last.hash.clone() };
        head.entry.clone_from(&last.entry);
        self.put(&[head]).await;
    }

    /// Removes everything.
    pub async fn clear(&self) {
        let all = || Query::new(Filter::All);
        self.store.sweep::<AuditEntry>(all()).await.unwrap();
        self.store.sweep::<AuditLink>(all()).await.unwrap();
        self.store.sweep::<AuditHead>(all()).await.unwrap();
    }
}

/// The entry with one property replaced, whatever the program says about it.
pub fn with(entry: &AuditEntry, pointer: &str, value: impl Into<serde_json::Value>) -> AuditEntry {
    let mut stored = serde_json::to_value(entry).unwrap();
    *stored.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer} in {entry:?}")) = value.into();
    serde_json::from_value(stored).unwrap()
}
