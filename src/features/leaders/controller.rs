//! Operations on accounts as the committee sees them.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::service::{AccountFilter, ApproveLeaderError, EndApprovalError, GetAccountError, Leaders};
use crate::features::accounts::{Account, Approval, RoleBody, last_administrator, no_such_account};
use crate::http::rights::{EditAccounts, ReadAccounts};
use crate::http::{
    By, Examples, Failure, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal, Remark,
    entity_tag, scope_missing,
};
use crate::kernel::{Scope, text};
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Accounts as the committee sees them, and the approval of leaders.
    Leaders,
}

// ---- requests ----

/// The rejection of a leader.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct RejectionBody {
    /// Reason, which the email to the leader quotes. At most 500 characters, in several lines if you like.
    #[oai(validator(max_length = 500))]
    reason: Option<Remark>,
}

impl Example for RejectionBody {
    fn example() -> Self {
        Self { reason: Some("We don't know you. Please write to us from your university address.".into()) }
    }
}

/// The committee's decision about a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Approval", rename_all = "camelCase")]
pub enum ApprovalBody {
    /// The committee has not decided yet.
    Waiting,
    /// The leader may act. Students need no approval and have this one.
    Approved,
    /// The committee has rejected the leader. It can approve the leader later.
    Rejected,
    /// The committee has approved the leader and withdrawn the approval.
    Withdrawn,
}

impl From<Approval> for ApprovalBody {
    fn from(approval: Approval) -> Self {
        match approval {
            Approval::Waiting => Self::Waiting,
            Approval::Approved => Self::Approved,
            Approval::Rejected => Self::Rejected,
            Approval::Withdrawn => Self::Withdrawn,
        }
    }
}

impl From<ApprovalBody> for Approval {
    fn from(approval: ApprovalBody) -> Self {
        match approval {
            ApprovalBody::Waiting => Self::Waiting,
            ApprovalBody::Approved => Self::Approved,
            ApprovalBody::Rejected => Self::Rejected,
            ApprovalBody::Withdrawn => Self::Withdrawn,
        }
    }
}

// ---- responses ----

/// An account as the committee sees it.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AccountDetails", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct AccountDetailsBody {
    /// Id of the account.
    id: String,
    /// Email address.
    email: String,
    /// First name, or the only name.
    first_name: String,
    /// Last name, if there is one.
    last_name: Option<String>,
    /// Name to address the owner by, if it isn't the first name.
    preferred_name: Option<String>,
    /// Role of the account.
    role: RoleBody,
    /// Approval of the leader; `approved` for students.
    approval: ApprovalBody,
    /// Granted scopes, such as `scanner:food`. `admin:all` implies all scopes, student fields and reach.
    scopes: Vec<String>,
    /// Properties of registration forms that the leader may read, such as `dietary`.
    student_fields: Vec<String>,
    /// Groups and hunt teams whose students the leader may read, such as `group:Alpha`.
    reach: Vec<String>,
    /// Whether sign-in needs a code of a second factor.
    second_factor: bool,
    /// Time when the account was created (RFC 3339, UTC).
    created_at: String,
}

impl From<&Account> for AccountDetailsBody {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            email: account.email.to_string(),
            first_name: account.first_name.clone(),
            last_name: account.last_name.clone(),
            preferred_name: account.preferred_name.clone(),
            role: account.role.into(),
            approval: account.approval.into(),
            scopes: account.scopes.iter().map(ToString::to_string).collect(),
            student_fields: account.student_fields.iter().map(ToString::to_string).collect(),
            reach: account.reach.iter().map(ToString::to_string).collect(),
            second_factor: account.second_factor_since.is_some(),
            created_at: account.created_at.rfc3339(),
        }
    }
}

impl Example for AccountDetailsBody {
    fn example() -> Self {
        Self {
            id: an_account(),
            email: "luz.leader@example.org".into(),
            first_name: "Luz".into(),
            last_name: Some("Leader".into()),
            preferred_name: None,
            role: RoleBody::Leader,
            approval: ApprovalBody::Approved,
            scopes: vec!["scanner:food".into()],
            student_fields: vec!["dietary".into()],
            reach: vec!["group:Alpha".into()],
            second_factor: true,
            created_at: "2027-06-01T14:03:00.000Z".into(),
        }
    }
}

/// An account as it is.
#[derive(ApiResponse)]
pub enum AccountAnswer {
    /// The account.
    #[oai(status = 200)]
    Current(
        Json<AccountDetailsBody>,
        /// Entity tag of the account: send it as `If-Match` with an edit.
        #[oai(header = "ETag")]
        String,
    ),
}

impl AccountAnswer {
    /// The answer that shows `account`.
    ///
    /// # Errors
    /// [`StoreError`] if its entity tag can't be computed.
    pub fn new(account: &Account) -> Result<Self, StoreError> {
        Ok(Self::Current(Json(AccountDetailsBody::from(account)), entity_tag(account)?))
    }
}

/// Done, without content.
#[derive(ApiResponse)]
pub enum Decided {
    /// The leader has this approval now, or had it before.
    #[oai(status = 204)]
    Decided,
}

// ---- refusals ----

const NOT_A_LEADER: Kind = Kind::new(409, "not-a-leader", "Not a leader");

fn not_a_leader() -> Problem {
    NOT_A_LEADER
        .says("This account is a student's. Students need no approval, and can't be approved as leaders.")
}

impl Refusal for GetAccountError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_account(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ApproveLeaderError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::NotALeader]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_account(),
            Self::NotALeader => not_a_leader(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for EndApprovalError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::NotALeader, Self::AdministratorsOnly, Self::LastAdministrator])
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_account(),
            Self::NotALeader => not_a_leader(),
            Self::AdministratorsOnly => scope_missing(Scope::AdminAll),
            Self::LastAdministrator => last_administrator(),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct LeadersController(Arc<Leaders>);

impl LeadersController {
    /// The operations over `leaders`.
    pub fn new(leaders: Arc<Leaders>) -> Self {
        Self(leaders)
    }
}

#[OpenApi(tag = "Tag::Leaders")]
impl LeadersController {
    /// List accounts
    ///
    /// Newest first. Filters can be combined: an account must match each of them. Sign-ups whose address is not confirmed
    /// yet are not listed.
    #[oai(path = "/v1/accounts", method = "get", operation_id = "listAccounts")]
    #[expect(clippy::too_many_arguments, reason = "each filter is a parameter of the operation")]
    async fn list_accounts(
        &self,
        _caller: By<ReadAccounts>,
        /// Role of the accounts.
        role: Query<Option<RoleBody>>,
        /// Approval of the accounts. With the role `leader`, `waiting` lists the leaders who wait for a decision.
        approval: Query<Option<ApprovalBody>>,
        /// Whether to list administrators only.
        administrators: Query<Option<bool>>,
        /// Words, each of which must be part of a name or of the address. Upper and lower case don't matter. At most 100
        /// characters.
        #[oai(validator(max_length = 100))]
        search: Query<Option<String>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<AccountDetailsBody>>, Failure<PageError>> {
        let which = AccountFilter {
            role: role.0.map(Into::into),
            approval: approval.0.map(Into::into),
            administrators: administrators.0.unwrap_or_default(),
            search: search.0.map(|words| text::clean(&words)),
        };
        Ok(Json(self.0.list(&which, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Get an account
    ///
    /// Returns the account of a student or a leader. `setAccountRights` needs its `ETag`.
    #[oai(path = "/v1/accounts/:accountId", method = "get", operation_id = "getAccount")]
    async fn get_account(
        &self,
        _caller: By<ReadAccounts>,
        /// Id of the account, from `listAccounts`.
        #[oai(name = "accountId", example = "an_account")]
        account_id: Path<String>,
    ) -> Result<AccountAnswer, Failure<GetAccountError>> {
        let account = self.0.account(&account_id.0).await?;
        Ok(AccountAnswer::new(&account).map_err(GetAccountError::from)?)
    }

    /// Approve a leader
    ///
    /// The leader gets an email and can ask for rights. Rejected leaders and those whose approval was withdrawn can be
    /// approved, too; rights that they held before are not restored. If the leader is approved already, nothing changes
    /// and no email is sent.
    #[oai(path = "/v1/accounts/:accountId/approval", method = "put", operation_id = "approveLeader")]
    async fn approve_leader(
        &self,
        caller: By<EditAccounts>,
        /// Id of the account, from `listAccounts`.
        #[oai(name = "accountId", example = "an_account")]
        account_id: Path<String>,
    ) -> Result<Decided, Failure<ApproveLeaderError>> {
        self.0.approve(&caller.0, &account_id.0).await?;
        Ok(Decided::Decided)
    }

    /// Withdraw an approval
    ///
    /// All rights of the leader end with the next request of each session, and the leader gets an email. Only an
    /// administrator can withdraw the approval of an administrator, and nobody that of the last one. If the leader is not
    /// approved, nothing changes and no email is sent.
    #[oai(path = "/v1/accounts/:accountId/approval", method = "delete", operation_id = "withdrawApproval")]
    async fn withdraw_approval(
        &self,
        caller: By<EditAccounts>,
        /// Id of the account, from `listAccounts`.
        #[oai(name = "accountId", example = "an_account")]
        account_id: Path<String>,
    ) -> Result<Decided, Failure<EndApprovalError>> {
        self.0.withdraw(&caller.0, &account_id.0).await?;
        Ok(Decided::Decided)
    }

    /// Reject a leader
    ///
    /// The leader gets an email with the reason. If the leader was approved, all rights end with the next request of each
    /// session. Only an administrator can reject an administrator, and nobody the last one. If the leader is rejected
    /// already, nothing changes and no email is sent. `approveLeader` can approve the leader later.
    #[oai(path = "/v1/accounts/:accountId/rejection", method = "put", operation_id = "rejectLeader")]
    async fn reject_leader(
        &self,
        caller: By<EditAccounts>,
        /// Id of the account, from `listAccounts`.
        #[oai(name = "accountId", example = "an_account")]
        account_id: Path<String>,
        body: JsonBody<RejectionBody>,
    ) -> Result<Decided, Failure<EndApprovalError>> {
        let reason = body.0.reason.map(Remark::into_inner);
        self.0.reject(&caller.0, &account_id.0, reason).await?;
        Ok(Decided::Decided)
    }
}

/// A well-formed id of no account.
fn an_account() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
