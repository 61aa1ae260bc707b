//! `audit::verify` names the first entry that was changed, removed or inserted.

use orientation::kernel::Actor;
use orientation::platform::audit::{
    self, Action, AuditEntry, AuditHead, AuditLink, ChainHead, Intact, Tampering, VerifyError,
};
use orientation::platform::store::{Document, Keep, Personal};
use serde::{Deserialize, Serialize};

use super::fresh;
use crate::audit::log::with;

#[tokio::test]
async fn a_log_that_nobody_touched_is_intact() {
    let log = fresh().await;
    let nothing = log.verify().await.unwrap();
    assert_eq!((nothing.head.number, nothing.unsealed), (0, 0));
    let entries = log.sealed(5).await;
    log.write_one("not sealed").await;
    let intact = log.verify().await.unwrap();
    assert_eq!(intact.head, log.head().await.head);
    assert_eq!((intact.head.number, intact.unsealed), (5, 1));
    assert_eq!(intact.unsealed_since, Some(log.entries().await[5].at));
    assert_eq!(log.tampering(Some(&intact.head)).await, None);
    let first = ChainHead::empty().after(&entries[0]);
    assert_eq!(log.tampering(Some(&first)).await, None, "a head that was kept earlier");
}

#[tokio::test]
async fn a_changed_entry_is_named() {
    let log = fresh().await;
    let entries = log.sealed(5).await;
    let entry = &entries[2];
    let changed = [
        AuditEntry { actor: Actor::Operator, ..entry.clone() },
        AuditEntry { action: Action::new("test.undone"), ..entry.clone() },
        AuditEntry { request: None, ..entry.clone() },
        AuditEntry { reason: None, ..entry.clone() },
        AuditEntry { client: None, ..entry.clone() },
        with(entry, "/at", "2026-09-01T07:00:00.000Z"),
        with(entry, "/subject/id", "somebody else"),
        with(entry, "/detail/n", "2"),
        with(entry, "/reason/digest", "0".repeat(64)),
    ];
    for changed in changed {
        log.put(&[changed]).await;
        let named = Tampering::Changed { number: 3, entry: entry.id.clone() };
        assert_eq!(log.tampering(None).await, Some(named));
    }
    log.put(std::slice::from_ref(entry)).await;
    assert_eq!(log.tampering(None).await, None);
}

#[tokio::test]
async fn a_removed_entry_is_named() {
    for place in [0, 2, 4] {
        let log = fresh().await;
        let entries = log.sealed(5).await;
        log.remove::<AuditEntry>(&entries[place].id).await;
        let named = Tampering::Removed { number: place as u64 + 1, entry: entries[place].id.clone() };
        assert_eq!(log.tampering(None).await, Some(named));
    }
}

#[tokio::test]
async fn an_inserted_entry_is_named() {
    for place in [0, 2, 4] {
        let log = fresh().await;
        let entries = log.sealed(5).await;
        // It sorts just before the entry that it is a prefix of.
        let id = entries[place].id[..35].to_owned();
        log.put(&[AuditEntry { id: id.clone(), ..entries[place].clone() }]).await;
        let named = Tampering::Inserted { entry: id, before: place as u64 + 1 };
        assert_eq!(log.tampering(None).await, Some(named.clone()));
        assert_eq!(log.seal().await, 0, "it isn't sealed afterwards");
        assert_eq!(log.tampering(None).await, Some(named));
    }
}

#[tokio::test]
async fn of_two_swapped_entries_the_first_is_named() {
    let log = fresh().await;
    let entries = log.sealed(5).await;
    let swapped = |from: usize, to: usize| AuditEntry { id: entries[to].id.clone(), ..entries[from].clone() };
    log.put(&[swapped(1, 3), swapped(3, 1)]).await;
    let named = Tampering::Changed { number: 2, entry: entries[1].id.clone() };
    assert_eq!(log.tampering(None).await, Some(named));
}

#[tokio::test]
async fn a_cut_end_shows_against_a_kept_head_only() {
    let log = fresh().await;
    log.sealed(5).await;
    let kept = log.head().await.head;
    log.cut(2).await;
    assert_eq!(log.tampering(None).await, None, "what is left is a chain");
    assert_eq!(log.tampering(Some(&kept)).await, Some(Tampering::Truncated { kept: 5, number: 3 }));
    log.cut(3).await;
    assert_eq!(log.tampering(Some(&kept)).await, Some(Tampering::Truncated { kept: 5, number: 0 }));
}

#[tokio::test]
async fn a_chain_that_was_written_anew_shows_against_a_kept_head_only() {
    let log = fresh().await;
    let entries = log.sealed(5).await;
    let kept = log.head().await.head;
    let links: Vec<AuditLink> = log.all().await;
    for link in &links {
        log.remove::<AuditLink>(&link.id).await;
    }
    log.remove::<AuditHead>(AuditHead::ID).await;
    log.put(&[AuditEntry { actor: Actor::Operator, ..entries[1].clone() }]).await;
    assert_eq!(log.seal().await, 5);
    assert_eq!(log.tampering(None).await, None);
    assert_eq!(log.tampering(Some(&kept)).await, Some(Tampering::Rewritten { kept: 5 }));
}

#[tokio::test]
async fn a_changed_reason_or_client_is_named_and_an_erased_one_is_not() {
    let log = fresh().await;
    let entries = log.sealed(3).await;
    let (number, entry) = (2, entries[1].id.clone());
    log.put(&[with(&entries[1], "/reason/text", "nobody asked")]).await;
    let named = Tampering::ReasonChanged { number, entry: entry.clone() };
    assert_eq!(log.tampering(None).await, Some(named));
    log.put(&[with(&entries[1], "/client/text", "192.0.2.7")]).await;
    let named = Tampering::ClientChanged { number, entry: entry.clone() };
    assert_eq!(log.tampering(None).await, Some(named));
    log.store.transact(async |tx| tx.erase_audit_texts(&entry).await).await.unwrap();
    assert_eq!(log.tampering(None).await, None, "nothing is left that could be wrong");
}

#[tokio::test]
async fn erased_reasons_and_clients_leave_the_chain_intact() {
    let log = fresh().await;
    let entries = log.sealed(3).await;
    let before = log.verify().await.unwrap();
    for entry in &entries[..2] {
        log.store.transact(async |tx| tx.erase_audit_texts(&entry.id).await).await.unwrap();
    }
    log.store.transact(async |tx| tx.erase_audit_texts("no such entry").await).await.unwrap();
    let after = log.verify().await.unwrap();
    assert_eq!((after.erased, before.erased), (4, 0), "they are counted");
    assert_eq!(Intact { erased: 0, ..after }, before);
    let erased = serde_json::to_value(&log.entries().await[0]).unwrap();
    let digest = entries[0].reason.as_ref().unwrap().digest();
    assert_eq!(erased["reason"], serde_json::json!({ "digest": digest }), "neither text nor salt is left");
    assert!(erased["client"].get("text").is_none() && erased["client"].get("salt").is_none());
}

#[tokio::test]
async fn a_chain_with_missing_or_foreign_links_is_not_intact() {
    let log = fresh().await;
    let entries = log.sealed(5).await;
    let links: Vec<AuditLink> = log.all().await;
    let intact = log.head().await;

    log.remove::<AuditLink>(&links[2].id).await;
    assert_eq!(log.tampering(None).await, Some(Tampering::LinkRemoved { number: 3 }));
    log.put(&[AuditLink { hash: "0".repeat(64), ..links[2].clone() }]).await;
    let named = Tampering::Changed { number: 3, entry: entries[2].id.clone() };
    assert_eq!(log.tampering(None).await, Some(named));
    log.put(&[links[2].clone()]).await;

    log.remove::<AuditLink>(&links[4].id).await;
    assert_eq!(log.tampering(None).await, Some(Tampering::LinkRemoved { number: 5 }));
    log.put(&[AuditHead { entry: "other".into(), ..intact.clone() }]).await;
    log.put(&[links[4].clone()]).await;
    assert_eq!(log.tampering(None).await, Some(Tampering::HeadChanged { number: 5 }));
    log.put(&[intact]).await;

    let foreign = AuditLink { id: "000000000003x".into(), entry: "e".into(), ..links[2].clone() };
    log.put(&[foreign]).await;
    assert_eq!(log.tampering(None).await, Some(Tampering::LinkInserted { id: "000000000003x".into() }));
}

/// An entry without its properties.
#[derive(Serialize, Deserialize)]
struct Ruin {
    id: String,
}

impl Document for Ruin {
    const COLLECTION: &'static str = AuditEntry::COLLECTION;
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

/// An entry with a property that the program doesn't know.
#[derive(Serialize, Deserialize)]
struct Extended {
    #[serde(flatten)]
    entry: AuditEntry,
    note: String,
}

impl Document for Extended {
    const COLLECTION: &'static str = AuditEntry::COLLECTION;
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.entry.id
    }
}

#[tokio::test]
async fn an_added_property_is_found() {
    let log = fresh().await;
    let entry = log.sealed(5).await.remove(2);
    log.put(&[Extended { entry, note: "approved by nobody".into() }]).await;
    let error = log.verify().await.unwrap_err();
    assert!(matches!(error, VerifyError::Unreadable { after: 2, .. }), "{error}");
}

#[tokio::test]
async fn the_place_of_an_entry_that_cannot_be_read_is_reported() {
    let log = fresh().await;
    let entries = log.sealed(5).await;
    log.put(&[Ruin { id: entries[3].id.clone() }]).await;
    let error = log.verify().await.unwrap_err();
    assert!(matches!(error, VerifyError::Unreadable { after: 3, .. }), "{error}");
    assert!(error.to_string().contains("audit_entries"), "{error}");
}

#[tokio::test]
async fn a_log_of_many_pages_is_verified_to_its_end() {
    let log = fresh().await;
    log.write_one("0").await;
    let first = log.entries().await.remove(0);
    let many: Vec<_> =
        (0..1_201).map(|n| AuditEntry { id: format!("{}-{n:04}", first.id), ..first.clone() }).collect();
    for page in many.chunks(300) {
        log.put(page).await;
    }
    assert_eq!(log.seal().await, 1_202);
    let pages = std::sync::Mutex::new(vec![]);
    let intact = audit::verify(&log.store, None, |number| pages.lock().unwrap().push(number)).await.unwrap();
    assert_eq!(intact.head.number, 1_202);
    assert_eq!(*pages.lock().unwrap(), [500, 1_000, 1_202, 1_202]);
    log.remove::<AuditEntry>(&many[1_100].id).await;
    let named = Tampering::Removed { number: 1_102, entry: many[1_100].id.clone() };
    assert_eq!(log.tampering(None).await, Some(named));
    log.put(&[AuditEntry { id: format!("{}-05", first.id), ..first.clone() }]).await;
    let named = Tampering::Inserted { entry: format!("{}-05", first.id), before: 502 };
    assert_eq!(log.tampering(None).await, Some(named), "the first of several");
}
