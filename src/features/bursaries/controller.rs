//! Operations on bursaries.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::service::{Applicant, Bursaries, DecideBursaryError};
use crate::features::bursary_requests::{BursaryState, BursaryStateBody, DecisionRefused};
use crate::features::payments::OrderStateBody;
use crate::features::students::{StudentBody, no_such_student};
use crate::http::rights::DecideBursaries;
use crate::http::{
    By, Examples, Failure, JsonBody, PageBody, PageCursor, PageLimit, Problem, Refusal, Remark,
};
use crate::kernel::Timestamp;
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Requests for bursaries, and decisions on them.
    Bursaries,
}

/// A student's request for a bursary, and the decision on it.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Bursary", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct BursaryBody {
    /// The student who asks, with the fields that are granted to you.
    student: StudentBody,
    /// State of the request.
    state: BursaryStateBody,
    /// Time of the request (RFC 3339, UTC). If it was made again: the last time.
    requested_at: String,
    /// Time of the decision (RFC 3339, UTC).
    decided_at: Option<String>,
    /// Why it was declined.
    reason: Option<String>,
    /// Time at which an approved bursary took effect (RFC 3339, UTC): the order is waived and the student registered.
    /// Absent while the payment service is unavailable.
    settled_at: Option<String>,
    /// State of the order of the orientation ticket.
    order_state: OrderStateBody,
}

impl From<&Applicant> for BursaryBody {
    fn from(applicant: &Applicant) -> Self {
        let Applicant { bursary, view, student, order } = applicant;
        Self {
            student: StudentBody::new(view, student),
            state: bursary.state.into(),
            requested_at: bursary.requested_at.rfc3339(),
            decided_at: bursary.decided_at.map(Timestamp::rfc3339),
            reason: bursary.reason.clone(),
            settled_at: bursary.settled_at.map(Timestamp::rfc3339),
            order_state: (*order).into(),
        }
    }
}

/// Why a request is declined.
#[derive(Clone, Debug, Object)]
#[oai(rename = "BursaryDecline", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct DeclineBody {
    /// Reason, which the email to the student quotes. At most 500 characters, in several lines if you like.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Remark,
}

impl Example for DeclineBody {
    fn example() -> Self {
        Self { reason: "All bursaries of this year are given away.".into() }
    }
}

/// The request after the decision.
#[derive(ApiResponse)]
pub enum BursaryAnswer {
    /// The request is decided.
    #[oai(status = 200)]
    Decided(Json<BursaryBody>),
}

impl Refusal for DecideBursaryError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<DecisionRefused>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::Refused(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct BursariesController(Arc<Bursaries>);

impl BursariesController {
    /// The operations over `bursaries`.
    pub fn new(bursaries: Arc<Bursaries>) -> Self {
        Self(bursaries)
    }
}

#[OpenApi(tag = "Tag::Bursaries")]
impl BursariesController {
    /// List requests for bursaries
    ///
    /// Those of students within your reach, oldest first, whether or not they are registered. A page can have fewer items
    /// than `limit`; the last page has no `nextCursor`.
    #[oai(path = "/v1/bursaries", method = "get", operation_id = "listBursaries")]
    async fn list_bursaries(
        &self,
        caller: By<DecideBursaries>,
        /// State of the requests; `requested` by default.
        state: Query<Option<BursaryStateBody>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<BursaryBody>>, Failure<PageError>> {
        let state = state.0.map_or(BursaryState::Requested, Into::into);
        let (rights, after) = (&caller.0.rights, cursor.0.0);
        Ok(Json(self.0.list(rights, state, after.as_ref(), limit.0.0).await?.into()))
    }

    /// Approve a bursary
    ///
    /// The order of the orientation ticket is waived: its checkout ends, the student is registered and gets the ticket, and
    /// what was paid is refunded. The student also gets an email about the decision. If the payment service is unavailable,
    /// the decision is made now and takes effect later: see `settledAt`. A request is decided once.
    #[oai(path = "/v1/bursaries/:studentId/approve", method = "post", operation_id = "approveBursary")]
    async fn approve_bursary(
        &self,
        caller: By<DecideBursaries>,
        /// Id of the student, from `listBursaries`.
        #[oai(name = "studentId", example = "an_id")]
        student_id: Path<String>,
    ) -> Result<BursaryAnswer, Failure<DecideBursaryError>> {
        let approved = self.0.approve(&caller.0, &student_id.0).await?;
        Ok(BursaryAnswer::Decided(Json((&approved).into())))
    }

    /// Decline a bursary
    ///
    /// The student gets an email with your reason and can still pay the order. A request is decided once.
    #[oai(path = "/v1/bursaries/:studentId/decline", method = "post", operation_id = "declineBursary")]
    async fn decline_bursary(
        &self,
        caller: By<DecideBursaries>,
        /// Id of the student, from `listBursaries`.
        #[oai(name = "studentId", example = "an_id")]
        student_id: Path<String>,
        body: JsonBody<DeclineBody>,
    ) -> Result<BursaryAnswer, Failure<DecideBursaryError>> {
        let declined = self.0.decline(&caller.0, &student_id.0, body.0.reason.as_ref()).await?;
        Ok(BursaryAnswer::Decided(Json((&declined).into())))
    }
}

/// A well-formed id of nothing.
fn an_id() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
