//! The chain over the entries: each has a number and a hash, which covers the entry and the hash before it.
//!
//! The hash is SHA-256 over these fields, as [`super::encoding`] writes them, in this order: `number`, `previous` (the hash
//! of the entry before, or 64 zeros), `id`, `at` (milliseconds since 1970), `actor.kind`, `actor.id`, `action`,
//! `subject.collection`, `subject.id`, `detail.<name>` in the order of the names, `request`, `reason` and `client` (the two
//! digests). A field that the entry lacks is left out, so a later version can add fields without changing old hashes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::encoding::Fields;
use super::entry::AuditEntry;
use super::salted::SaltedText;
use crate::platform::store::{Document, Index, Keep, Personal};

/// Number and hash of the last entry of a chain. Kept elsewhere, it shows later that nothing before it was changed or
/// removed. As text: `<number>:<hash>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The number of entries in the chain.
    pub number: u64,
    /// The hash of the last one, in lower-case hexadecimal digits; zeros if there is none.
    pub hash: String,
}

impl ChainHead {
    /// The head of the chain without entries.
    pub fn empty() -> Self {
        Self { number: 0, hash: "0".repeat(64) }
    }

    /// The head once `entry` is the next in the chain.
    pub fn after(&self, entry: &AuditEntry) -> Self {
        let number = self.number + 1;
        Self { number, hash: hash_of(number, &self.hash, entry) }
    }
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

/// A text is not a [`ChainHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is a number, a colon and 64 hexadecimal digits, as `orientation audit head` prints it")]
pub struct BadHead;

impl FromStr for ChainHead {
    type Err = BadHead;

    fn from_str(text: &str) -> Result<Self, BadHead> {
        let (number, hash) = text.trim().split_once(':').ok_or(BadHead)?;
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadHead);
        }
        Ok(Self { number: number.parse().map_err(|_| BadHead)?, hash: hash.to_ascii_lowercase() })
    }
}

fn hash_of(number: u64, previous: &str, entry: &AuditEntry) -> String {
    let mut fields = Fields::new()
        .with("number", &number.to_string())
        .with("previous", previous)
        .with("id", &entry.id)
        .with("at", &entry.at.as_millis().to_string())
        .with("actor.kind", entry.actor.kind())
        .with_optional("actor.id", entry.actor.id())
        .with("action", entry.action.as_str())
        .with("subject.collection", &entry.subject.collection)
        .with_optional("subject.id", entry.subject.id.as_deref());
    for (name, value) in &entry.detail {
        fields = fields.with(&format!("detail.{name}"), value);
    }
    fields
        .with_optional("request", entry.request.as_deref())
        .with_optional("reason", entry.reason.as_ref().map(SaltedText::digest))
        .with_optional("client", entry.client.as_ref().map(SaltedText::digest))
        .digest()
}

/// The place of an entry in the chain. Beside the entry, which is never rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLink {
    /// The entry's number as text of fixed width, which sorts by number: no two entries have the same.
    pub id: String,
    /// The entry's id.
    pub entry: String,
    /// The entry's hash.
    pub hash: String,
}

impl AuditLink {
    /// The link of the entry that is the last one of this chain.
    pub(super) fn new(entry: &AuditEntry, head: &ChainHead) -> Self {
        Self { id: Self::id_of(head.number), entry: entry.id.clone(), hash: head.hash.clone() }
    }

    /// The id of the link with this number.
    pub fn id_of(number: u64) -> String {
        format!("{number:012}")
    }

    /// The entry's number; `None` if the id is not one that [`AuditLink::id_of`] makes.
    pub fn number(&self) -> Option<u64> {
        self.id.parse().ok().filter(|&number| Self::id_of(number) == self.id)
    }
}

impl Document for AuditLink {
    const COLLECTION: &'static str = "audit_links";
    const INDEXES: &'static [Index] = &[Index::unique("audit_links_by_entry", &["entry"])];
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("shows that no audit entry was changed or removed");

    fn id(&self) -> &str {
        &self.id
    }
}

/// How far the entries are in the chain. Every transaction that extends the chain writes this document, so that two
/// processes can't do so at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditHead {
    /// Always [`AuditHead::ID`].
    pub id: String,
    /// Number and hash of the last entry in the chain.
    #[serde(flatten)]
    pub head: ChainHead,
    /// Its id: the next entry in the chain has a greater one.
    pub entry: String,
}

impl AuditHead {
    /// The id of the only document.
    pub const ID: &'static str = "head";

    /// How far the chain is once it ends with this entry.
    pub(super) fn new(head: ChainHead, entry: &str) -> Self {
        Self { id: Self::ID.into(), head, entry: entry.into() }
    }
}

impl Default for AuditHead {
    fn default() -> Self {
        Self::new(ChainHead::empty(), "")
    }
}

impl Document for AuditHead {
    const COLLECTION: &'static str = "audit_heads";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("the end of the chain over the audit entries");

    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kernel::Actor;

    /// The example of docs/decisions/0024-the-audit-logs-chain.md.
    fn example() -> AuditEntry {
        serde_json::from_value(json!({
            "id": "019f0000-0000-7000-8000-000000000001",
            "at": "2026-09-01T07:00:00.000Z",
            "actor": { "kind": "account", "id": "ana" },
            "action": "order.waived",
            "subject": { "collection": "orders", "id": "o1" },
            "detail": { "refund": "2" },
            "request": "r-1",
        }))
        .unwrap()
    }

    #[test]
    fn the_hash_of_the_documented_example_is_the_documented_one() {
        // Computed by another program from the bytes that the page describes.
        let hash = "30907f492689ed04c464ddc556b01d99cde9a18d4a25728916f95fe6cda227ed";
        assert_eq!(ChainHead::empty().after(&example()), ChainHead { number: 1, hash: hash.into() });
        assert!(include_str!("../../../docs/decisions/0024-the-audit-logs-chain.md").contains(hash));
    }

    #[test]
    fn every_field_and_the_place_in_the_chain_change_the_hash() {
        let start = ChainHead::empty();
        let salted = |text: &str| Some(SaltedText::new(text, &[7; 32]));
        let mut hashes = vec![start.after(&example()).hash, start.after(&example()).after(&example()).hash];
        let changes: [fn(&mut AuditEntry); 10] = [
            |entry| entry.id.push('2'),
            |entry| entry.at = crate::kernel::Timestamp::from_millis(1),
            |entry| entry.actor = Actor::Machine("ana".into()),
            |entry| entry.actor = Actor::Operator,
            |entry| entry.action = super::super::Action::new("order.cancelled"),
            |entry| entry.subject.collection = "order".into(),
            |entry| entry.subject.id = None,
            |entry| entry.detail.clear(),
            |entry| entry.detail = [("refund2".into(), String::new())].into(),
            |entry| entry.request = None,
        ];
        for change in changes {
            let mut entry = example();
            change(&mut entry);
            hashes.push(start.after(&entry).hash);
        }
        for (reason, client) in
            [(salted("a"), None), (salted("b"), None), (None, salted("a")), (salted("a"), salted("b"))]
        {
            hashes.push(start.after(&AuditEntry { reason, client, ..example() }).hash);
        }
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn erasing_a_reason_changes_no_hash() {
        let reason = Some(SaltedText::new("she moved away", &[7; 32]));
        let mut entry = AuditEntry { reason, ..example() };
        let head = ChainHead::empty().after(&entry);
        entry.erase_texts();
        assert_eq!(entry.reason.as_ref().unwrap().text(), None);
        assert_eq!(ChainHead::empty().after(&entry), head);
    }

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let head = ChainHead::empty().after(&example());
        assert_eq!(head.to_string().parse(), Ok(head.clone()));
        assert_eq!(format!(" {}\n", head.to_string().to_uppercase()).parse(), Ok(head.clone()));
        let text = head.to_string();
        for bad in ["", "1", "1:", "1:00", &text[1..], &text[..65], &format!("{text}0"), &format!("x{text}")]
        {
            assert_eq!(bad.parse::<ChainHead>(), Err(BadHead), "{bad}");
        }
    }

    #[test]
    fn links_sort_by_number() {
        let link = |id: &str| AuditLink { id: id.into(), entry: String::new(), hash: String::new() };
        assert_eq!(link("000000000012").number(), Some(12));
        for bad in ["12", "", "00000000012x", "+00000000012", "0000000000012"] {
            assert_eq!(link(bad).number(), None, "{bad}");
        }
        assert!(AuditLink::id_of(9) < AuditLink::id_of(10));
    }
}
