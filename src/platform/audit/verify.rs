//! Comparing the entries with the chain.

use std::fmt;

use super::chain::{AuditHead, AuditLink, ChainHead};
use super::entry::AuditEntry;
use super::salted::SaltedText;
use crate::kernel::Timestamp;
use crate::platform::store::{Filter, Query, Store, StoreError};

/// Links that are read at a time.
const PAGE: u32 = 500;

/// An intact chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intact {
    /// Its end.
    pub head: ChainHead,
    /// The number of reasons and addresses in it that were erased.
    pub erased: u64,
    /// The number of entries that are not in the chain yet.
    pub unsealed: u64,
    /// When the first of them was written.
    pub unsealed_since: Option<Timestamp>,
}

/// What is wrong with the chain, at the first place where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tampering {
    /// The entry doesn't have its hash any more.
    Changed { number: u64, entry: String },
    /// The entry's reason doesn't have its digest any more.
    ReasonChanged { number: u64, entry: String },
    /// The address of the entry's client doesn't have its digest any more.
    ClientChanged { number: u64, entry: String },
    /// The entry with this number is not there.
    Removed { number: u64, entry: String },
    /// The entry has no number, although it is older than the one with this number.
    Inserted { entry: String, before: u64 },
    /// The number is not in the chain, although the chain is longer.
    LinkRemoved { number: u64 },
    /// The chain has a link with this id, which is not one of its numbers.
    LinkInserted { id: String },
    /// The document that says where the chain ends says something else.
    HeadChanged { number: u64 },
    /// The chain is shorter than it was when this head was kept.
    Truncated { kept: u64, number: u64 },
    /// The entry that the kept head is about has another hash, although the chain fits the entries.
    Rewritten { kept: u64 },
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { number, entry } => {
                write!(f, "entry {number} ({entry}) was changed after it was sealed")
            }
            Self::ReasonChanged { number, entry } => {
                write!(f, "the reason of entry {number} ({entry}) was changed: it doesn't have its digest")
            }
            Self::ClientChanged { number, entry } => {
                write!(f, "the client of entry {number} ({entry}) was changed: it doesn't have its digest")
            }
            Self::Removed { number, entry } => write!(f, "entry {number} ({entry}) was removed"),
            Self::Inserted { entry, before } => {
                write!(f, "entry {entry} was inserted before entry {before}, after that one was sealed")
            }
            Self::LinkRemoved { number } => write!(f, "number {number} was removed from the chain"),
            Self::LinkInserted { id } => write!(f, "the link {id} was inserted into the chain"),
            Self::HeadChanged { number } => {
                write!(f, "the chain ends with number {number}, and its head says something else")
            }
            Self::Truncated { kept, number } => write!(
                f,
                "the kept head is number {kept}, which is beyond the end of the chain: it ends with number {number}, so \
                 later entries were removed or an earlier backup was restored"
            ),
            Self::Rewritten { kept } => write!(
                f,
                "number {kept} doesn't have the hash of the kept head: an entry up to it was changed, removed or inserted, \
                 and the chain was written anew"
            ),
        }
    }
}

/// Why [`verify`] found no intact chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Somebody has tampered with the log.
    #[error("{0}")]
    Tampered(Tampering),
    /// The store failed, or has an entry or a link that can't be read.
    #[error("entries up to number {after} are intact; the next can't be read: {error}")]
    Unreadable { after: u64, error: StoreError },
}

impl From<Tampering> for VerifyError {
    fn from(tampering: Tampering) -> Self {
        Self::Tampered(tampering)
    }
}

/// Compares all entries with the chain, and the chain with a head that was kept elsewhere. `tell` is called after each page
/// with the number of entries so far.
///
/// It works beside processes that write and seal entries.
///
/// # Errors
/// [`VerifyError`] with the first place where something is wrong.
pub async fn verify(
    store: &Store,
    kept: Option<&ChainHead>,
    tell: impl Fn(u64) + Send + Sync,
) -> Result<Intact, VerifyError> {
    let mut walk = Walk::new(kept);
    loop {
        let links = walk.check_links(store).await?;
        tell(walk.head.number);
        if links > 0 {
            continue;
        }
        let head = store.get::<AuditHead>(AuditHead::ID).await.map_err(|error| walk.stopped(error))?;
        let head = head.unwrap_or_default();
        if head.head.number <= walk.head.number || walk.check_links(store).await? == 0 {
            walk.check_end(&head)?;
            break;
        }
    }
    walk.check_kept()?;
    let rest = Filter::Gt("id".into(), walk.entry.as_str().into());
    let first = store.find::<AuditEntry>(Query::new(rest.clone()).limit(1)).await;
    let first = first.map_err(|error| walk.stopped(error))?;
    let unsealed = store.count::<AuditEntry>(rest).await.map_err(|error| walk.stopped(error))?;
    let unsealed_since = first.first().map(|entry| entry.at);
    Ok(Intact { head: walk.head, erased: walk.erased, unsealed, unsealed_since })
}

/// How far entries and links were found to fit.
struct Walk<'a> {
    head: ChainHead,
    /// The id of the last entry.
    entry: String,
    /// Reasons and addresses that were erased.
    erased: u64,
    kept: Option<&'a ChainHead>,
}

impl<'a> Walk<'a> {
    fn new(kept: Option<&'a ChainHead>) -> Self {
        Self { head: ChainHead::empty(), entry: String::new(), erased: 0, kept }
    }

    fn stopped(&self, error: StoreError) -> VerifyError {
        VerifyError::Unreadable { after: self.head.number, error }
    }

    /// Checks the next page of links, and returns their number. If a document of the page can't be read, pages of one find out
    /// which.
    async fn check_links(&mut self, store: &Store) -> Result<usize, VerifyError> {
        let (links, entries) = match self.read(store, PAGE).await {
            Ok(page) => page,
            Err(_) => self.read(store, 1).await.map_err(|error| self.stopped(error))?,
        };
        self.check(&links, &entries)?;
        Ok(links.len())
    }

    /// The next links and the entries up to the last one that they are about. These are complete: entries are sealed only
    /// once no earlier one can appear.
    async fn read(&self, store: &Store, limit: u32) -> Result<(Vec<AuditLink>, Vec<AuditEntry>), StoreError> {
        let next = Filter::Gt("id".into(), AuditLink::id_of(self.head.number).into());
        let links: Vec<AuditLink> = store.find(Query::new(next).limit(limit)).await?;
        let Some(last) = links.iter().map(|link| &link.entry).max() else { return Ok((links, vec![])) };
        let next = Filter::Gt("id".into(), self.entry.as_str().into())
            .and(Filter::Le("id".into(), last.as_str().into()));
        let entries = store.find(Query::new(next).limit(limit.saturating_add(1))).await?;
        Ok((links, entries))
    }

    /// Checks links and entries that follow, both in the order of their ids.
    fn check(&mut self, links: &[AuditLink], entries: &[AuditEntry]) -> Result<(), Tampering> {
        let mut entries = entries.iter();
        for link in links {
            let number = self.head.number + 1;
            match link.number() {
                Some(found) if found == number => {}
                Some(found) if found > number => return Err(Tampering::LinkRemoved { number }),
                _ => return Err(Tampering::LinkInserted { id: link.id.clone() }),
            }
            let entry = entries.next().filter(|entry| entry.id <= link.entry);
            let Some(entry) = entry else {
                return Err(Tampering::Removed { number, entry: link.entry.clone() });
            };
            if entry.id != link.entry {
                let entry = entry.id.clone();
                return Err(match links.iter().any(|link| link.entry == entry) {
                    true => Tampering::Changed { number, entry },
                    false => Tampering::Inserted { entry, before: number },
                });
            }
            self.check_entry(entry, link)?;
        }
        Ok(())
    }

    fn check_entry(&mut self, entry: &AuditEntry, link: &AuditLink) -> Result<(), Tampering> {
        let head = self.head.after(entry);
        let (number, id) = (head.number, entry.id.clone());
        let fits = |text: &Option<SaltedText>| text.as_ref().is_none_or(SaltedText::fits);
        if head.hash != link.hash {
            return Err(Tampering::Changed { number, entry: id });
        }
        if !fits(&entry.reason) {
            return Err(Tampering::ReasonChanged { number, entry: id });
        }
        if !fits(&entry.client) {
            return Err(Tampering::ClientChanged { number, entry: id });
        }
        if self.kept.is_some_and(|kept| kept.number == number && kept.hash != head.hash) {
            return Err(Tampering::Rewritten { kept: number });
        }
        let texts = entry.reason.iter().chain(&entry.client);
        self.erased += texts.filter(|text| text.text().is_none()).count() as u64;
        (self.head, self.entry) = (head, id);
        Ok(())
    }

    /// Checks that the chain ends where its head says, once there are no further links.
    fn check_end(&self, end: &AuditHead) -> Result<(), Tampering> {
        let number = self.head.number;
        if number < end.head.number {
            return Err(Tampering::LinkRemoved { number: number + 1 });
        }
        if *end == AuditHead::new(self.head.clone(), &self.entry) {
            return Ok(());
        }
        Err(Tampering::HeadChanged { number })
    }

    fn check_kept(&self) -> Result<(), Tampering> {
        match self.kept {
            Some(kept) if kept.number > self.head.number => {
                Err(Tampering::Truncated { kept: kept.number, number: self.head.number })
            }
            _ => Ok(()),
        }
    }
}
