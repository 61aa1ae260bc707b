//! Extending the chain, soon after the entries were written, so that no request waits for another.

use std::time::Duration;

use uuid::Uuid;

use super::chain::{AuditHead, AuditLink};
use super::entry::AuditEntry;
use crate::kernel::Timestamp;
use crate::kernel::faults::guarded;
use crate::platform::store::{Filter, Query, Store, StoreError, Tx};

/// The age after which no entry with an earlier id can appear. MongoDB ends a transaction after 60 seconds at the latest, if
/// nothing else was set; ours end after 15, with their commit. The rest is for clocks that differ.
pub const SETTLED_AFTER: Duration = Duration::from_secs(90);

/// Entries that are added to the chain per transaction. Few, so that others don't wait long.
const PAGE: u32 = 100;

/// Adds the entries that are settled at `now` to the chain, in the order of their ids. Returns their number.
///
/// Several processes may do it at once: each entry is added once.
///
/// # Errors
/// Store errors; the entries before the error are in the chain. [`StoreError::Duplicate`] means that the chain was
/// tampered with: `orientation audit verify` tells where.
pub async fn seal(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let until = first_id_at(now.minus(SETTLED_AFTER));
    let mut sealed = 0;
    loop {
        // Only a test reads the head outside of the transaction.
        let stale = if guarded("audit-head") { None } else { store.get::<AuditHead>(AuditHead::ID).await? };
        let page = store.transact(async |tx| seal_page(&tx, &until, stale.clone()).await).await?;
        sealed += page;
        if page < u64::from(PAGE) {
            break;
        }
    }
    complain_about_the_clock(store, now).await?;
    Ok(sealed)
}

/// Logs an error if the last entry in the chain is from the future: the clock was ahead, and new entries, whose ids follow
/// that entry's, are not settled before that time.
async fn complain_about_the_clock(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let head = store.get::<AuditHead>(AuditHead::ID).await?.unwrap_or_default();
    if head.entry > first_id_at(now) {
        tracing::error!(
            entry = head.entry,
            "the clock was set back: the audit log is sealed again once it is past this entry's time"
        );
    }
    Ok(())
}

/// Adds at most a page of the entries with smaller ids than `until`.
async fn seal_page(tx: &Tx, until: &str, stale: Option<AuditHead>) -> Result<u64, StoreError> {
    let before = match stale {
        Some(stale) => stale,
        None => tx.get(AuditHead::ID).await?.unwrap_or_default(),
    };
    let next = Filter::Gt("id".into(), before.entry.into()).and(Filter::Lt("id".into(), until.into()));
    let entries = tx.find::<AuditEntry>(Query::new(next).limit(PAGE)).await?;
    let Some(last) = entries.last() else { return Ok(0) };
    let (mut head, mut links) = (before.head, vec![]);
    for entry in &entries {
        head = head.after(entry);
        links.push(AuditLink::new(entry, &head));
    }
    // First, because two transactions that both write it collide, and then one of them runs again.
    tx.put(&AuditHead::new(head, &last.id)).await?;
    for link in &links {
        tx.insert(link).await?;
    }
    Ok(entries.len() as u64)
}

/// No smaller than the ids that were made before `time`, and no greater than the later ones.
fn first_id_at(time: Timestamp) -> String {
    let millis = u128::try_from(time.as_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80).to_string()
}

/// `id`, or one that is greater than `last`, the last one in the chain: if the clock was set back, `id` would come before
/// entries that are sealed.
pub(super) fn later_id(id: String, last: &str, chance: [u8; 32]) -> String {
    if id.as_str() > last {
        return id;
    }
    let Ok(last) = Uuid::try_parse(last) else { return id };
    let step = chance[..6].iter().fold(0, |number, &byte| number << 8 | u128::from(byte));
    Uuid::from_u128(last.as_u128().saturating_add(step + 1)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Ids, RandomIds};

    #[test]
    fn ids_are_compared_with_times() {
        let id = RandomIds.next();
        let millis = i64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap();
        assert!(first_id_at(Timestamp::from_millis(millis)) <= id);
        assert!(first_id_at(Timestamp::from_millis(millis + 1)) > id);
    }

    #[test]
    fn an_id_follows_the_chain_although_the_clock_was_set_back() {
        let (earlier, later) = (RandomIds.next(), RandomIds.next());
        assert_eq!(later_id(later.clone(), &earlier, [0; 32]), later);
        assert_eq!(later_id(later.clone(), "", [0; 32]), later);
        for chance in [[0; 32], [255; 32]] {
            let id = later_id(earlier.clone(), &later, chance);
            assert!(id > later && id.len() == 36 && id[..18] == later[..18], "{id} after {later}");
        }
    }
}
