//! Random histories, and random tampering.

use std::collections::BTreeMap;

use orientation::kernel::{Actor, Timestamp};
use orientation::platform::audit::{Action, AuditEntry, AuditLink, SaltedText, Subject, Tampering};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::fresh;
use crate::audit::log::{Log, with};

/// Histories that are tried on each store.
const CASES: u32 = 40;

/// What somebody does to a log. Places are taken modulo the number of entries.
#[derive(Clone, Debug)]
enum Attack {
    Change(usize, Property),
    Remove(usize),
    Insert(usize),
    Swap(usize, usize),
    /// Removes the end, with links and head.
    Cut(usize),
    ChangeReason(usize),
    ChangeClient(usize),
    RemoveLink(usize),
}

#[derive(Clone, Copy, Debug)]
enum Property {
    At,
    Actor,
    Action,
    Subject,
    Detail,
    Request,
}

fn an_actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        "[a-z0-9-]{1,8}".prop_map(Actor::Account),
        "[a-z0-9-]{1,8}".prop_map(Actor::Machine),
        "[a-z0-9-]{1,8}".prop_map(Actor::System),
        Just(Actor::Operator),
    ]
}

fn a_salted_text() -> impl Strategy<Value = Option<SaltedText>> {
    proptest::option::of(
        ("[^\0]{1,20}", any::<[u8; 32]>()).prop_map(|(text, salt)| SaltedText::new(&text, &salt)),
    )
}

/// An entry without its id.
fn an_entry() -> impl Strategy<Value = AuditEntry> {
    let detail = proptest::collection::btree_map("[a-z]{1,5}", "[^\0]{0,8}", 0..3);
    let subject = ("[a-z_]{1,8}", proptest::option::of("[^\0]{0,8}"));
    let who = (0..2_000_000_000_000_i64, an_actor(), prop_oneof![Just("a.b"), Just("a.bc"), Just("ab.c")]);
    let from = (proptest::option::of("[a-z0-9]{1,8}"), a_salted_text(), a_salted_text());
    (who, subject, detail, from).prop_map(|((at, actor, action), (collection, subject), detail, from)| {
        let (request, reason, client) = from;
        AuditEntry {
            id: String::new(),
            at: Timestamp::from_millis(at),
            actor,
            action: Action::new(action),
            subject: Subject { collection, id: subject },
            detail,
            request,
            reason,
            client,
        }
    })
}

fn an_attack() -> impl Strategy<Value = Attack> {
    let place = || 0..1_000_usize;
    let property = prop_oneof![
        Just(Property::At),
        Just(Property::Actor),
        Just(Property::Action),
        Just(Property::Subject),
        Just(Property::Detail),
        Just(Property::Request),
    ];
    prop_oneof![
        (place(), property).prop_map(|(place, property)| Attack::Change(place, property)),
        place().prop_map(Attack::Remove),
        place().prop_map(Attack::Insert),
        (place(), place()).prop_map(|(one, other)| Attack::Swap(one, other)),
        place().prop_map(Attack::Cut),
        place().prop_map(Attack::ChangeReason),
        place().prop_map(Attack::ChangeClient),
        place().prop_map(Attack::RemoveLink),
    ]
}

/// Entries, which of them are erased afterwards, and an attack.
fn a_history() -> impl Strategy<Value = (Vec<AuditEntry>, Vec<bool>, Attack)> {
    let entries = proptest::collection::vec((an_entry(), any::<bool>()), 1..20);
    (entries, an_attack()).prop_map(|(entries, attack)| {
        let (mut entries, erased): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        for (number, entry) in entries.iter_mut().enumerate() {
            entry.id = format!("019f0000-0000-7000-8000-{number:012}");
        }
        (entries, erased, attack)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_on_any_history_is_found_where_it_was_made() {
    let log = fresh().await;
    let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::block_in_place(|| {
        runner.run(&a_history(), |(entries, erased, attack)| {
            runtime.block_on(one_history(&log, &entries, &erased, &attack));
            Ok(())
        })
    });
    tried.unwrap();
}

async fn one_history(log: &Log, entries: &[AuditEntry], erased: &[bool], attack: &Attack) {
    log.clear().await;
    log.put(entries).await;
    assert_eq!(log.seal().await, entries.len() as u64);
    for (entry, _) in entries.iter().zip(erased).filter(|(_, erased)| **erased) {
        log.store.transact(async |tx| tx.erase_audit_texts(&entry.id).await).await.unwrap();
    }
    let kept = log.head().await.head;
    assert_eq!(log.tampering(Some(&kept)).await, None);
    let Some(expected) = strike(log, attack).await else { return };
    assert_eq!(log.tampering(Some(&kept)).await, Some(expected), "{attack:?}");
}

/// Carries out the attack; returns what must be found. `None` if there is nothing that it could do.
async fn strike(log: &Log, attack: &Attack) -> Option<Tampering> {
    let entries = log.entries().await;
    let at = |place: usize| (place % entries.len(), &entries[place % entries.len()]);
    let number = |place: usize| (place % entries.len()) as u64 + 1;
    let changed = |place: usize| Tampering::Changed { number: number(place), entry: at(place).1.id.clone() };
    Some(match *attack {
        Attack::Change(place, property) => {
            log.put(&[other(at(place).1, property)]).await;
            changed(place)
        }
        Attack::Remove(place) => {
            log.remove::<AuditEntry>(&at(place).1.id).await;
            Tampering::Removed { number: number(place), entry: at(place).1.id.clone() }
        }
        Attack::Insert(place) => {
            let id = at(place).1.id[..35].to_owned();
            // With ids that count, the prefix of an entry's id is the prefix of its neighbours' ids, too.
            let first = entries.iter().position(|entry| entry.id > id).unwrap();
            log.put(&[AuditEntry { id: id.clone(), ..at(place).1.clone() }]).await;
            Tampering::Inserted { entry: id, before: first as u64 + 1 }
        }
        Attack::Swap(one, other) => {
            let (one, other) = (at(one).0.min(at(other).0), at(one).0.max(at(other).0));
            let swapped =
                |from: usize, to: usize| AuditEntry { id: entries[to].id.clone(), ..entries[from].clone() };
            if swapped(one, other) == entries[other] {
                return None;
            }
            log.put(&[swapped(one, other), swapped(other, one)]).await;
            changed(one)
        }
        Attack::Cut(count) => {
            let count = count % entries.len() + 1;
            log.cut(count).await;
            Tampering::Truncated { kept: entries.len() as u64, number: (entries.len() - count) as u64 }
        }
        Attack::ChangeReason(place) => {
            let text = at(place).1.reason.as_ref()?.text()?;
            log.put(&[with(at(place).1, "/reason/text", format!("{text}!"))]).await;
            Tampering::ReasonChanged { number: number(place), entry: at(place).1.id.clone() }
        }
        Attack::ChangeClient(place) => {
            let text = at(place).1.client.as_ref()?.text()?;
            log.put(&[with(at(place).1, "/client/text", format!("{text}!"))]).await;
            Tampering::ClientChanged { number: number(place), entry: at(place).1.id.clone() }
        }
        Attack::RemoveLink(place) => {
            log.remove::<AuditLink>(&AuditLink::id_of(number(place))).await;
            Tampering::LinkRemoved { number: number(place) }
        }
    })
}

/// The entry with another value of this property.
fn other(entry: &AuditEntry, property: Property) -> AuditEntry {
    let mut entry = entry.clone();
    match property {
        Property::At => entry.at = Timestamp::from_millis(entry.at.as_millis() + 1),
        Property::Actor => {
            entry.actor = match entry.actor {
                Actor::Account(id) => Actor::Machine(id),
                _ => Actor::Account("mallory".into()),
            }
        }
        Property::Action => entry.action = Action::new("a.bcd"),
        // What moves from one field to the next is a change.
        Property::Subject => {
            let letter = entry.subject.collection.pop().unwrap_or('x');
            entry.subject.id = Some(format!("{letter}{}", entry.subject.id.unwrap_or_default()));
        }
        Property::Detail => {
            let mut detail: BTreeMap<_, _> = std::mem::take(&mut entry.detail);
            if detail.pop_first().is_none() {
                detail.insert("n".into(), String::new());
            }
            entry.detail = detail;
        }
        Property::Request => entry.request = entry.request.xor(Some("r".into())),
    }
    entry
}
