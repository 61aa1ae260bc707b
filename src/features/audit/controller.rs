//! The operation on the audit log.

use std::collections::HashMap;
use std::sync::Arc;

use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi, Tags};

use super::service::{AuditLog, EntryFilter, NumberedEntry};
use crate::http::rights::ReadAudit;
use crate::http::{By, Failure, PageBody, PageCursor, PageLimit, TimeParam};
use crate::kernel::Actor;
use crate::platform::audit::SaltedText;
use crate::platform::store::PageError;

#[derive(Tags)]
enum Tag {
    /// The audit log: who changed what, when and why.
    #[oai(rename = "Audit log")]
    AuditLog,
}

/// The kind of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "ActorKind", rename_all = "camelCase")]
pub enum ActorKindBody {
    /// A signed-in account.
    Account,
    /// A machine, by its API key.
    Machine,
    /// The service itself, by a job or a webhook.
    System,
    /// A person who ran a command on the server.
    Operator,
}

impl ActorKindBody {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Machine => "machine",
            Self::System => "system",
            Self::Operator => "operator",
        }
    }
}

/// Who made a change.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AuditActor", rename_all = "camelCase")]
pub struct ActorBody {
    /// Kind of actor.
    pub kind: ActorKindBody,
    /// Id of the account or of the key, or kind of the job or webhook. Absent for the operator.
    #[oai(skip_serializing_if_is_none)]
    pub id: Option<String>,
}

impl From<&Actor> for ActorBody {
    fn from(actor: &Actor) -> Self {
        let kind = match actor {
            Actor::Account(_) => ActorKindBody::Account,
            Actor::Machine(_) => ActorKindBody::Machine,
            Actor::System(_) => ActorKindBody::System,
            Actor::Operator => ActorKindBody::Operator,
        };
        Self { kind, id: actor.id().map(str::to_owned) }
    }
}

/// What was changed.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AuditSubject", rename_all = "camelCase")]
pub struct SubjectBody {
    /// Kind of document: the name of its collection.
    pub kind: String,
    /// Id of the document. Absent if the change is to the whole collection.
    #[oai(skip_serializing_if_is_none)]
    pub id: Option<String>,
}

/// The record of one change.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AuditEntry", rename_all = "camelCase", example)]
pub struct AuditEntryBody {
    /// Id of the entry.
    pub id: String,
    /// Number in the chain. Absent until the entry is sealed, which takes up to three minutes.
    #[oai(skip_serializing_if_is_none)]
    pub number: Option<u64>,
    /// When the change was made (RFC 3339, UTC).
    pub at: String,
    /// Who made it.
    pub actor: ActorBody,
    /// What was done, such as `order.waived`.
    pub action: String,
    /// What was changed.
    pub subject: SubjectBody,
    /// Further ids and numbers, by name.
    pub detail: HashMap<String, String>,
    /// Id of the request that caused the change, as in `X-Request-Id`. Absent if no request did.
    #[oai(skip_serializing_if_is_none)]
    pub request_id: Option<String>,
    /// The actor's reason. Absent if none was given, or if it has been erased.
    #[oai(skip_serializing_if_is_none)]
    pub reason: Option<String>,
    /// Network address of the actor's client. Absent if no client made the change, or if it has been erased.
    #[oai(skip_serializing_if_is_none)]
    pub client: Option<String>,
}

impl poem_openapi::types::Example for AuditEntryBody {
    fn example() -> Self {
        Self {
            id: "019f0000-0000-7000-8000-000000000000".into(),
            number: Some(17),
            at: "2026-09-01T07:00:00.000Z".into(),
            actor: ActorBody {
                kind: ActorKindBody::Account,
                id: Some("019f0000-0000-7000-8000-000000000001".into()),
            },
            action: "order.waived".into(),
            subject: SubjectBody {
                kind: "orders".into(),
                id: Some("019f0000-0000-7000-8000-000000000002".into()),
            },
            detail: HashMap::new(),
            request_id: Some("4f7c2a9e8b1d3f60a5c4e7d2b9180f36".into()),
            reason: Some("The bursary was approved".into()),
            client: Some("192.0.2.7".into()),
        }
    }
}

impl From<&NumberedEntry> for AuditEntryBody {
    fn from(NumberedEntry { entry, number }: &NumberedEntry) -> Self {
        let text = |salted: &Option<SaltedText>| Some(salted.as_ref()?.text()?.to_owned());
        Self {
            id: entry.id.clone(),
            number: *number,
            at: entry.at.rfc3339(),
            actor: ActorBody::from(&entry.actor),
            action: entry.action.as_str().to_owned(),
            subject: SubjectBody { kind: entry.subject.collection.clone(), id: entry.subject.id.clone() },
            detail: entry.detail.clone().into_iter().collect(),
            request_id: entry.request.clone(),
            reason: text(&entry.reason),
            client: text(&entry.client),
        }
    }
}

/// The operations of this feature.
pub struct AuditController(Arc<AuditLog>);

impl AuditController {
    /// The operations over `log`.
    pub fn new(log: Arc<AuditLog>) -> Self {
        Self(log)
    }
}

#[OpenApi(tag = "Tag::AuditLog")]
impl AuditController {
    /// List the audit log
    ///
    /// Newest first. Entries record what leaders, machines and operators did to rights, approvals, keys, second factors, money,
    /// jobs, emails and the suppression list, and are never changed or deleted. Each is sealed: it gets a number and a hash
    /// that covers the entries before it, so that the operator can find out whether somebody tampered with them. Filters can
    /// be combined.
    #[oai(path = "/v1/audit-entries", method = "get", operation_id = "listAuditEntries")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list_audit_entries(
        &self,
        _caller: By<ReadAudit>,
        /// Kind of the actor.
        #[oai(name = "actorKind")]
        actor_kind: Query<Option<ActorKindBody>>,
        /// Id of the actor: of an account or an API key, or the kind of a job or webhook.
        #[oai(name = "actorId", validator(max_length = 200))]
        actor_id: Query<Option<String>>,
        /// Kind of the subject: the name of its collection, such as `orders`.
        #[oai(name = "subjectKind", validator(max_length = 100))]
        subject_kind: Query<Option<String>>,
        /// Id of the subject.
        #[oai(name = "subjectId", validator(max_length = 200))]
        subject_id: Query<Option<String>>,
        /// Action, such as `order.waived`.
        #[oai(validator(max_length = 100))]
        action: Query<Option<String>>,
        /// Earliest time of the change, inclusive (RFC 3339).
        from: Query<Option<TimeParam>>,
        /// Latest time of the change, exclusive (RFC 3339).
        to: Query<Option<TimeParam>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<AuditEntryBody>>, Failure<PageError>> {
        let which = EntryFilter {
            actor_kind: actor_kind.0.map(ActorKindBody::as_str),
            actor_id: actor_id.0,
            subject_kind: subject_kind.0,
            subject_id: subject_id.0,
            action: action.0,
            from: from.0.map(|time| time.0),
            to: to.0.map(|time| time.0),
        };
        Ok(Json(self.0.list(which, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }
}
