//! What operations of other features show of requests: their state, and the refusal of changes after the decision.

use poem_openapi::Enum;

use super::model::{BursaryDecided, BursaryState, DecisionRefused};
use super::service::FollowFormError;
use crate::http::{Examples, Kind, Problem, Refusal};
use crate::platform::store::StoreError;

/// State of a request for a bursary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "BursaryState", rename_all = "camelCase")]
pub enum BursaryStateBody {
    /// The committee has not decided yet.
    Requested,
    /// The student has withdrawn the request, and can make it again.
    Withdrawn,
    /// Approved: the student pays nothing.
    Approved,
    /// Declined: the order can be paid.
    Declined,
}

impl From<BursaryState> for BursaryStateBody {
    fn from(state: BursaryState) -> Self {
        match state {
            BursaryState::Requested => Self::Requested,
            BursaryState::Withdrawn => Self::Withdrawn,
            BursaryState::Approved => Self::Approved,
            BursaryState::Declined => Self::Declined,
        }
    }
}

impl From<BursaryStateBody> for BursaryState {
    fn from(state: BursaryStateBody) -> Self {
        match state {
            BursaryStateBody::Requested => Self::Requested,
            BursaryStateBody::Withdrawn => Self::Withdrawn,
            BursaryStateBody::Approved => Self::Approved,
            BursaryStateBody::Declined => Self::Declined,
        }
    }
}

const BURSARY_DECIDED: Kind = Kind::new(409, "bursary-decided", "Bursary already decided");
const NO_BURSARY_REQUEST: Kind = Kind::new(409, "no-bursary-request", "No request for a bursary");
const OWN_BURSARY: Kind = Kind::new(403, "own-bursary", "Own request");

impl Refusal for BursaryDecided {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Approved])
    }

    fn problem(self) -> Problem {
        BURSARY_DECIDED.says(match self {
            Self::Approved => {
                "The committee has approved this request for a bursary. The decision can't be changed here; write to the \
                 committee."
            }
            Self::Declined => {
                "The committee has declined this request for a bursary. The decision can't be changed here; write to the \
                 committee."
            }
        })
    }
}

impl Refusal for DecisionRefused {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotRequested, Self::Own]).and::<BursaryDecided>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotRequested => NO_BURSARY_REQUEST
                .says("This student has not asked for a bursary, or has withdrawn the request."),
            Self::Own => {
                OWN_BURSARY.says("Nobody decides on their own request. Ask somebody else to decide on it.")
            }
            Self::Decided(error) => error.problem(),
        }
    }
}

impl Refusal for FollowFormError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<BursaryDecided>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Decided(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}
