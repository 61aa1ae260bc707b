//! The record of one change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::AuditHead;
use super::salted::SaltedText;
use super::seal::later_id;
use crate::kernel::{Actor, Ids, RandomIds, Timestamp, faults};
use crate::platform::request::RequestContext;
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField, StoreError, Tx};

/// What was done: `<noun>.<past participle>`, such as `leader.approved`. A feature declares its actions as constants in its
/// model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Action(Cow<'static, str>);

impl Action {
    /// The action with this name, which is stored and never changes.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The document that a change was made to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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

/// The record of one change. Never deleted, and never changed, except that [`AuditEntry::erase_texts`] erases reason and client.
///
/// Unknown properties are refused: the chain would not cover them. A version that adds one raises `VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditEntry {
    /// Ascends in the order of the commits: see the [module](super).
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
    /// The id of the request that caused it; absent if none did, and in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Why it was done, in the words of the person who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SaltedText>,
    /// The network address of the client that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<SaltedText>,
}

impl Document for AuditEntry {
    const COLLECTION: &'static str = "audit_entries";
    /// One for each filter of the list, which is sorted by time.
    const INDEXES: &'static [Index] = &[
        Index::on("audit_entries_by_time", &["at", "id"]),
        Index::on("audit_entries_by_actor_kind", &["actor.kind", "at", "id"]),
        Index::on("audit_entries_by_actor", &["actor.id", "at", "id"]),
        Index::on("audit_entries_by_subject_kind", &["subject.collection", "at", "id"]),
        Index::on("audit_entries_by_subject", &["subject.id", "at", "id"]),
        Index::on("audit_entries_by_action", &["action", "at", "id"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("actor.id"),
        &[
            PersonalField::lasting("actor", Class::Activity),
            PersonalField::lasting("action", Class::Activity),
            PersonalField::lasting("at", Class::Activity),
            PersonalField::new("client.text", Class::Contact),
            PersonalField::new("reason.text", Class::Content),
        ],
    );
    const KEEP: Keep = Keep::with_store("shows who changed what");

    fn id(&self) -> &str {
        &self.id
    }
}

impl AuditEntry {
    /// Erases the reason and the client's address, for the disposal of personal data. The chain covers their digests only,
    /// so it stays intact.
    pub fn erase_texts(&mut self) {
        self.reason.iter_mut().chain(&mut self.client).for_each(SaltedText::erase);
    }
}

impl Tx {
    /// Records at `now` which actor makes the change of this transaction, and from which request. `detail` has further ids
    /// and numbers, by name; never personal data.
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
        self.audit_with_reason(actor, action, subject, detail, "", now).await
    }

    /// [`audit`](Self::audit) with the actor's reason, a free text whose length the caller limits. If it is empty, there is
    /// none.
    ///
    /// # Errors
    /// Store errors.
    pub async fn audit_with_reason(
        &self,
        actor: &Actor,
        action: Action,
        subject: Subject,
        detail: &[(&str, &str)],
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let detail = detail.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let request = RequestContext::current();
        let client = request.as_ref().and_then(|request| request.client);
        let head = self.get::<AuditHead>(AuditHead::ID).await?.unwrap_or_default();
        // Made here, and again if the work runs again, so that ids follow the order of the commits.
        let id = later_id(RandomIds.next(), &head.entry, RandomIds.secret());
        let salted = |text: &str| SaltedText::new(text, &RandomIds.secret());
        faults::point("audit.before-entry");
        self.insert(&AuditEntry {
            id,
            at: now,
            actor: actor.clone(),
            action,
            subject,
            detail,
            request: request.map(|request| request.id),
            reason: Some(reason).filter(|reason| !reason.is_empty()).map(salted),
            client: client.map(|client| salted(&client.to_string())),
        })
        .await?;
        faults::point("audit.after-entry");
        Ok(())
    }

    /// Erases the reason and the client's address of the entry with this id, if there is one: see [`AuditEntry::erase_texts`].
    ///
    /// # Errors
    /// Store errors.
    pub async fn erase_audit_texts(&self, id: &str) -> Result<(), StoreError> {
        let Some(mut entry) = self.get::<AuditEntry>(id).await? else { return Ok(()) };
        entry.erase_texts();
        self.put(&entry).await
    }
}
