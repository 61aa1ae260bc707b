//! Operations on rights.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};

use super::model::{self, AskedRight, RequestState, RightKind, RightsRequest, WantedRights};
use super::service::{
    DeclineRightError, GrantRightError, RequestFilter, RequestOf, RequestRightsError, Requested,
    RightsRequests, SetRightsError,
};
use crate::base::Base;
use crate::config::{Event, Question};
use crate::features::accounts::{last_administrator, no_such_account};
use crate::features::leaders::AccountAnswer;
use crate::features::registration::{BESIDE_THE_FORM, FIELDS};
use crate::http::rights::{Administer, AnySession, ApprovedLeader};
use crate::http::{
    By, Examples, Failure, IfMatch, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    Remark, not_signed_in,
};
use crate::kernel::{ALL_GROUPS, Invalid, Reach, Right, Scope, StudentField};
use crate::platform::signals::TooMany;
use crate::platform::store::{PageError, Stale, StoreError};

#[derive(Tags)]
enum Tag {
    /// Rights of leaders: scopes, student fields and reach, and requests for them.
    Rights,
}

// ---- requests ----

/// The kind of a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "RightKind", rename_all = "camelCase")]
pub enum RightKindBody {
    /// Something that may be done, such as `scanner:food`.
    Scope,
    /// A property of registration forms that may be read, such as `dietary`.
    StudentField,
    /// Students who may be read about: those of a group, such as `group:Alpha`, or of a hunt team.
    Reach,
}

impl From<RightKindBody> for RightKind {
    fn from(kind: RightKindBody) -> Self {
        match kind {
            RightKindBody::Scope => Self::Scope,
            RightKindBody::StudentField => Self::StudentField,
            RightKindBody::Reach => Self::Reach,
        }
    }
}

impl From<RightKind> for RightKindBody {
    fn from(kind: RightKind) -> Self {
        match kind {
            RightKind::Scope => Self::Scope,
            RightKind::StudentField => Self::StudentField,
            RightKind::Reach => Self::Reach,
        }
    }
}

/// A right that is asked for.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AskedRight", rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedRightBody {
    /// Kind of the right.
    kind: RightKindBody,
    /// Name of the right, from `listScopes`. At most 120 characters.
    #[oai(validator(min_length = 1, max_length = 120))]
    name: String,
    /// What you need it for, for the administrators. At most 500 characters, in several lines if you like.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Remark,
}

impl From<AskedRightBody> for AskedRight {
    fn from(body: AskedRightBody) -> Self {
        Self { kind: body.kind.into(), name: body.name, reason: body.reason.into_inner() }
    }
}

/// A request for rights.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct RequestRightsBody {
    /// The rights, 1 to 50. An administrator decides on each one.
    #[oai(validator(min_items = 1, max_items = 50))]
    rights: Vec<AskedRightBody>,
}

impl Example for RequestRightsBody {
    fn example() -> Self {
        let asked = |kind, name: &str, reason: &str| AskedRightBody {
            kind,
            name: name.into(),
            reason: reason.into(),
        };
        Self {
            rights: vec![
                asked(RightKindBody::Scope, "scanner:food", "I help at the meal desk on Tuesday."),
                asked(RightKindBody::StudentField, "dietary", "The meal desk looks after allergies."),
            ],
        }
    }
}

/// A decision about a request.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct DecisionBody {
    /// Reason, which the email to the leader quotes. At most 500 characters, in several lines if you like.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Remark,
}

impl Example for DecisionBody {
    fn example() -> Self {
        Self { reason: "You are on the list for the meal desk.".into() }
    }
}

/// All rights of a leader.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct SetRightsBody {
    /// All scopes that the leader should hold. At most 100.
    #[oai(validator(max_items = 100))]
    scopes: Vec<String>,
    /// All student fields that the leader should hold. At most 100.
    #[oai(validator(max_items = 100))]
    student_fields: Vec<String>,
    /// All reach that the leader should hold. At most 300 entries.
    #[oai(validator(max_items = 300))]
    reach: Vec<String>,
    /// Reason, which the email to the leader quotes. At most 500 characters, in several lines if you like.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Remark,
}

impl Example for SetRightsBody {
    fn example() -> Self {
        Self {
            scopes: vec!["scanner:food".into(), "scanner:kits".into()],
            student_fields: vec!["dietary".into()],
            reach: vec![format!("group:{ALL_GROUPS}")],
            reason: "You look after the desks this year.".into(),
        }
    }
}

/// State of a request for a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "RightsRequestState", rename_all = "camelCase")]
pub enum RequestStateBody {
    /// Not decided yet.
    Open,
    /// The leader got the right.
    Granted,
    /// The leader did not get it, and can ask again.
    Declined,
}

impl From<RequestState> for RequestStateBody {
    fn from(state: RequestState) -> Self {
        match state {
            RequestState::Open => Self::Open,
            RequestState::Granted => Self::Granted,
            RequestState::Declined => Self::Declined,
        }
    }
}

impl From<RequestStateBody> for RequestState {
    fn from(state: RequestStateBody) -> Self {
        match state {
            RequestStateBody::Open => Self::Open,
            RequestStateBody::Granted => Self::Granted,
            RequestStateBody::Declined => Self::Declined,
        }
    }
}

// ---- responses ----

/// A leader's request for a right.
#[derive(Clone, Debug, Object)]
#[oai(rename = "RightsRequest", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct RightsRequestBody {
    /// Id of the request.
    id: String,
    /// Id of the leader's account.
    account_id: String,
    /// Full name of the leader. Present in lists for administrators.
    account_name: Option<String>,
    /// Kind of the right.
    kind: RightKindBody,
    /// Name of the right.
    name: String,
    /// What the right allows, in a sentence.
    description: String,
    /// What the leader needs it for.
    reason: Remark,
    /// State of the request.
    state: RequestStateBody,
    /// Time of the request (RFC 3339, UTC).
    requested_at: String,
    /// The administrator's reason, if the request is decided.
    decision_reason: Option<Remark>,
    /// Time of the decision (RFC 3339, UTC), if the request is decided.
    decided_at: Option<String>,
}

impl From<&RightsRequest> for RightsRequestBody {
    fn from(request: &RightsRequest) -> Self {
        let decision = request.decision.as_ref();
        Self {
            id: request.id.clone(),
            account_id: request.account.clone(),
            account_name: None,
            kind: RightKind::of(&request.right).into(),
            name: request.right.to_string(),
            description: model::description(&request.right),
            reason: request.reason.as_str().into(),
            state: request.state.into(),
            requested_at: request.requested_at.rfc3339(),
            decision_reason: decision.map(|decision| decision.reason.as_str().into()),
            decided_at: decision.map(|decision| decision.at.rfc3339()),
        }
    }
}

impl From<&RequestOf> for RightsRequestBody {
    fn from(of: &RequestOf) -> Self {
        let account_name = of.account.as_ref().map(|account| account.full_name());
        Self { account_name, ..Self::from(&of.request) }
    }
}

impl Example for RightsRequestBody {
    fn example() -> Self {
        Self {
            id: an_id(),
            account_id: an_id(),
            account_name: Some("Luz Leader".into()),
            kind: RightKindBody::Scope,
            name: "scanner:food".into(),
            description: Scope::ScannerFood.description().into(),
            reason: "I help at the meal desk on Tuesday.".into(),
            state: RequestStateBody::Open,
            requested_at: "2027-06-01T14:03:00.000Z".into(),
            decision_reason: None,
            decided_at: None,
        }
    }
}

/// The result of asking for one right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "AskedRightOutcome", rename_all = "camelCase")]
pub enum OutcomeBody {
    /// An administrator will decide.
    Requested,
    /// You had asked for it before, and the request is open.
    AlreadyRequested,
    /// You hold the right.
    AlreadyHeld,
}

/// What became of one of the rights that were asked for.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AskedRightResult", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ResultBody {
    /// Kind of the right.
    kind: RightKindBody,
    /// Name of the right.
    name: String,
    /// What became of it.
    outcome: OutcomeBody,
    /// The open request, unless you hold the right.
    request: Option<RightsRequestBody>,
}

impl From<&Requested> for ResultBody {
    fn from(result: &Requested) -> Self {
        let (outcome, request) = match result {
            Requested::Open(request) => (OutcomeBody::Requested, Some(request)),
            Requested::AlreadyOpen(request) => (OutcomeBody::AlreadyRequested, Some(request)),
            Requested::AlreadyHeld(_) => (OutcomeBody::AlreadyHeld, None),
        };
        let right = result.right();
        let (kind, name) = (RightKind::of(right).into(), right.to_string());
        Self { kind, name, outcome, request: request.map(Into::into) }
    }
}

/// The results of asking for rights.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AskedRights", rename_all = "camelCase")]
pub struct ResultsBody {
    /// One result for each right, in the order of the request.
    results: Vec<ResultBody>,
}

/// A scope, and what it allows.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ScopeDescription", rename_all = "camelCase")]
pub struct ScopeBody {
    /// Name of the scope.
    name: String,
    /// What the scope allows, in a sentence.
    description: String,
}

/// A field of the registration form.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentFieldDescription", rename_all = "camelCase")]
pub struct StudentFieldBody {
    /// Name of the form's property, or `answers.` and the id of a question.
    name: String,
    /// Name of the field for people.
    label: String,
}

/// Students who may be read about.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ReachDescription", rename_all = "camelCase")]
pub struct ReachBody {
    /// Name of the reach.
    name: String,
    /// What the reach allows, in a sentence.
    description: String,
}

/// All rights that exist.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Scopes", rename_all = "camelCase")]
pub struct ScopesBody {
    /// All scopes.
    scopes: Vec<ScopeBody>,
    /// All fields of the event's registration form, in its order, then those of the account and the registration, then the
    /// event's questions.
    student_fields: Vec<StudentFieldBody>,
    /// All groups together, and each group of the event.
    reach: Vec<ReachBody>,
    /// Form of the reach over a hunt team, with `<number>` in place of the team's number.
    hunt_team_reach: String,
}

impl ScopesBody {
    fn of(event: &Event) -> Self {
        let scope =
            |scope: Scope| ScopeBody { name: scope.to_string(), description: scope.description().into() };
        let groups = event.groups.iter().map(|group| Reach::Group(group.name.clone()));
        let reach = |reach: Reach| ReachBody {
            name: reach.to_string(),
            description: model::description(&Right::Reach(reach)),
        };
        let built_in = |(field, label): (&StudentField, &str)| StudentFieldBody {
            name: field.to_string(),
            label: label.into(),
        };
        let beside = BESIDE_THE_FORM.iter().map(|(field, label)| (field, *label));
        let answer = |question: &Question| StudentFieldBody {
            name: StudentField::Answer(question.id.clone()).to_string(),
            label: question.label.clone(),
        };
        let fields = FIELDS.iter().filter(|field| event.form.asks(&field.field));
        let fields = fields.map(|field| (&field.field, field.label));
        let answers = event.form.questions.iter().map(answer);
        Self {
            scopes: Scope::all().map(scope).collect(),
            student_fields: fields.chain(beside).map(built_in).chain(answers).collect(),
            reach: [Reach::AllGroups].into_iter().chain(groups).map(reach).collect(),
            hunt_team_reach: "hunt-team:<number>".into(),
        }
    }
}

/// The request after a decision.
#[derive(ApiResponse)]
pub enum Decided {
    /// The request is decided.
    #[oai(status = 200)]
    Decided(Json<RightsRequestBody>),
}

// ---- refusals ----

const TOO_MANY_REQUESTED: Kind = Kind::new(409, "too-many-rights-requests", "Too many open requests");
const NO_SUCH_REQUEST: Kind = Kind::new(404, "no-such-rights-request", "No such request");
const DECIDED: Kind = Kind::new(409, "rights-request-decided", "Request already decided");
const NOT_AN_APPROVED_LEADER: Kind = Kind::new(409, "not-an-approved-leader", "Not an approved leader");

fn no_such_request() -> Problem {
    NO_SUCH_REQUEST.says("There is no request with this id. `listRightsRequests` lists all requests.")
}

fn decided() -> Problem {
    DECIDED.says(
        "Somebody has decided on this request already. `setAccountRights` changes the rights of a leader.",
    )
}

fn not_an_approved_leader() -> Problem {
    NOT_AN_APPROVED_LEADER.says(
        "Only approved leaders hold rights. This account is a student's, or a leader's without approval.",
    )
}

impl Refusal for RequestRightsError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::SignedOut, Self::TooManyOpen])
            .and::<Invalid>()
            .and::<TooMany>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::SignedOut => not_signed_in(),
            Self::TooManyOpen => TOO_MANY_REQUESTED
                .says("You can have 100 open requests at a time. Wait until an administrator has decided on some of them."),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for GrantRightError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::Decided, Self::NotAnApprovedLeader])
            .and::<Invalid>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_request(),
            Self::Decided => decided(),
            Self::NotAnApprovedLeader => not_an_approved_leader(),
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for DeclineRightError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::Decided]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_request(),
            Self::Decided => decided(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for SetRightsError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::NotAnApprovedLeader, Self::LastAdministrator])
            .and::<Invalid>()
            .and::<Stale>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_account(),
            Self::NotAnApprovedLeader => not_an_approved_leader(),
            Self::LastAdministrator => last_administrator(),
            Self::Invalid(error) => error.problem(),
            Self::Stale(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct RightsController {
    requests: Arc<RightsRequests>,
    scopes: ScopesBody,
}

impl RightsController {
    /// The operations over `requests`.
    pub fn new(base: &Base, requests: Arc<RightsRequests>) -> Self {
        Self { requests, scopes: ScopesBody::of(&base.event) }
    }
}

#[OpenApi(tag = "Tag::Rights")]
impl RightsController {
    /// List scopes
    ///
    /// Returns every right that a leader can ask for: scopes, fields of the registration form, and reach.
    #[oai(path = "/v1/scopes", method = "get", operation_id = "listScopes")]
    async fn list_scopes(&self, _caller: By<AnySession>) -> Json<ScopesBody> {
        Json(self.scopes.clone())
    }

    /// Ask for rights
    ///
    /// An administrator decides on each right, and you get an email about each decision. A right that you hold, or that you
    /// have asked for and nobody has decided on, is reported and not asked for again.
    #[oai(path = "/v1/me/rights-requests", method = "post", operation_id = "requestRights")]
    async fn request_rights(
        &self,
        caller: By<ApprovedLeader>,
        body: JsonBody<RequestRightsBody>,
    ) -> Result<Json<ResultsBody>, Failure<RequestRightsError>> {
        let asked: Vec<_> = body.0.rights.into_iter().map(Into::into).collect();
        let results = self.requests.request(&caller.0, &asked).await?;
        Ok(Json(ResultsBody { results: results.iter().map(Into::into).collect() }))
    }

    /// List your requests for rights
    ///
    /// Newest first, with the decisions about them.
    #[oai(path = "/v1/me/rights-requests", method = "get", operation_id = "listMyRightsRequests")]
    async fn list_my_rights_requests(
        &self,
        caller: By<ApprovedLeader>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<RightsRequestBody>>, Failure<PageError>> {
        let (account, after) = (&caller.0.account_id, cursor.0.0);
        Ok(Json(self.requests.list_own(account, after.as_ref(), limit.0.0).await?.into()))
    }

    /// List requests for rights
    ///
    /// Oldest first.
    #[oai(path = "/v1/rights-requests", method = "get", operation_id = "listRightsRequests")]
    async fn list_rights_requests(
        &self,
        _caller: By<Administer>,
        /// State of the requests; `open` by default.
        state: Query<Option<RequestStateBody>>,
        /// Id of the account whose requests to list. At most 100 characters.
        #[oai(name = "accountId", validator(max_length = 100))]
        account_id: Query<Option<String>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<RightsRequestBody>>, Failure<PageError>> {
        let state = state.0.map_or(RequestState::Open, Into::into);
        let which = RequestFilter { state, account: account_id.0 };
        Ok(Json(self.requests.list(&which, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Grant a right
    ///
    /// The leader gets the right and an email with your reason. The right can be used with the next request of each session.
    #[oai(path = "/v1/rights-requests/:requestId/grant", method = "post", operation_id = "grantRight")]
    async fn grant_right(
        &self,
        caller: By<Administer>,
        /// Id of the request, from `listRightsRequests`.
        #[oai(name = "requestId", example = "an_id")]
        request_id: Path<String>,
        body: JsonBody<DecisionBody>,
    ) -> Result<Decided, Failure<GrantRightError>> {
        let request = self.requests.grant(&caller.0.actor, &request_id.0, body.0.reason.as_ref()).await?;
        Ok(Decided::Decided(Json(RightsRequestBody::from(&request))))
    }

    /// Decline to grant a right
    ///
    /// The leader gets an email with your reason, and can ask for the right again.
    #[oai(path = "/v1/rights-requests/:requestId/decline", method = "post", operation_id = "declineRight")]
    async fn decline_right(
        &self,
        caller: By<Administer>,
        /// Id of the request, from `listRightsRequests`.
        #[oai(name = "requestId", example = "an_id")]
        request_id: Path<String>,
        body: JsonBody<DecisionBody>,
    ) -> Result<Decided, Failure<DeclineRightError>> {
        let request = self.requests.decline(&caller.0.actor, &request_id.0, body.0.reason.as_ref()).await?;
        Ok(Decided::Decided(Json(RightsRequestBody::from(&request))))
    }

    /// Set the rights of a leader
    ///
    /// Replaces all scopes, student fields and reach of an approved leader. The leader gets an email with your reason. Open
    /// requests for rights that the leader then holds are granted with it. The last administrator can't lose `admin:all`. If
    /// the rights are the same, nothing changes and no email is sent.
    #[oai(path = "/v1/accounts/:accountId/rights", method = "put", operation_id = "setAccountRights")]
    async fn set_account_rights(
        &self,
        caller: By<Administer>,
        /// Id of the account, from `listAccounts`.
        #[oai(name = "accountId", example = "an_id")]
        account_id: Path<String>,
        /// `ETag` of the account that was edited, from `getAccount`.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<SetRightsBody>,
    ) -> Result<AccountAnswer, Failure<SetRightsError>> {
        let SetRightsBody { scopes, student_fields, reach, reason } = body.0;
        let wanted = WantedRights { scopes, student_fields, reach };
        let (id, actor, reason) = (&account_id.0, &caller.0.actor, reason.as_ref());
        let account = self.requests.set(actor, id, &wanted, reason, &if_match.0).await?;
        Ok(AccountAnswer::new(&account).map_err(SetRightsError::from)?)
    }
}

/// A well-formed id of nothing.
fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
