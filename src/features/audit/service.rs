//! The list of entries.

use std::collections::HashMap;

use crate::base::Base;
use crate::kernel::Timestamp;
use crate::platform::audit::{AuditEntry, AuditLink};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Value};

/// Which entries are listed. Each field narrows the list.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Kind of the actor: see [`Actor::kind`](crate::kernel::Actor::kind).
    pub actor_kind: Option<&'static str>,
    /// Id of the actor.
    pub actor_id: Option<String>,
    /// Collection of the subject.
    pub subject_kind: Option<String>,
    /// Id of the subject.
    pub subject_id: Option<String>,
    /// Name of the action.
    pub action: Option<String>,
    /// The time of the change, inclusive.
    pub from: Option<Timestamp>,
    /// The time of the change, exclusive.
    pub to: Option<Timestamp>,
}

impl EntryFilter {
    fn into_filter(self) -> Filter {
        let texts = [
            ("actor.kind", self.actor_kind.map(str::to_owned)),
            ("actor.id", self.actor_id),
            ("subject.collection", self.subject_kind),
            ("subject.id", self.subject_id),
            ("action", self.action),
        ];
        let given = texts.into_iter().filter_map(|(field, text)| Some(Filter::eq(field, text?)));
        let all = given.fold(Filter::All, Filter::and);
        match (self.from, self.to) {
            (None, None) => all,
            (from, to) => all.and(Filter::range("at", from.map(Value::from), to.map(Value::from))),
        }
    }
}

/// An entry, with its number once it is in the chain.
#[derive(Clone, Debug)]
pub struct NumberedEntry {
    pub entry: AuditEntry,
    pub number: Option<u64>,
}

/// The audit log.
pub struct AuditLog {
    store: Store,
}

impl AuditLog {
    /// The log in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone() }
    }

    /// The page of the entries that match, newest first, that begins at `after`; at most `limit` entries.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn list(
        &self,
        which: EntryFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<NumberedEntry>, PageError> {
        let newest_first = Query::new(which.into_filter()).sort("at", Dir::Desc).limit(limit);
        let page: Page<AuditEntry> = self.store.page(newest_first, after).await?;
        let mut numbers = self.numbers(&page.items).await?;
        let numbered = |entry: AuditEntry| NumberedEntry { number: numbers.remove(&entry.id), entry };
        Ok(Page { items: page.items.into_iter().map(numbered).collect(), next: page.next })
    }

    /// The numbers of those entries that are in the chain, by the entries' ids.
    async fn numbers(&self, entries: &[AuditEntry]) -> Result<HashMap<String, u64>, StoreError> {
        let ids: Vec<_> = entries.iter().map(|entry| Value::from(entry.id.as_str())).collect();
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let links: Vec<AuditLink> =
            self.store.find(Query::new(Filter::In("entry".into(), ids)).limit(limit)).await?;
        Ok(links.into_iter().filter_map(|link| Some((link.entry.clone(), link.number()?))).collect())
    }
}
