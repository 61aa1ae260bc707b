//! The document of this feature: a student's request for a bursary.

use serde::{Deserialize, Serialize};

use crate::kernel::{Actor, Timestamp};
use crate::platform::store::{Class, Document, Index, Keep, Owner, Personal, PersonalField};

/// State of a request for a bursary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BursaryState {
    /// The committee has not decided yet.
    Requested,
    /// The student has withdrawn the request, and can make it again.
    Withdrawn,
    Approved,
    Declined,
}

impl BursaryState {
    /// The state as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Withdrawn => "withdrawn",
            Self::Approved => "approved",
            Self::Declined => "declined",
        }
    }
}

/// A student's request for a bursary, and the decision about it. Its id is that of the account: each has one at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bursary {
    /// The account's id.
    pub id: String,
    pub state: BursaryState,
    /// When the student made the request. If it was made again: the last time.
    pub requested_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Actor>,
    /// Why it was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When an approved bursary took effect: the order is waived and the student registered. Jobs may still be sending
    /// refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
}

impl Document for Bursary {
    const COLLECTION: &'static str = "bursaries";
    const INDEXES: &'static [Index] = &[Index::on("bursaries_by_state", &["state", "requestedAt"])];
    const PERSONAL: Personal = Personal::Of(
        Owner::Account("id"),
        &[
            PersonalField::new("state", Class::Payment),
            PersonalField::new("reason", Class::Content),
            PersonalField::new("requestedAt", Class::Activity),
            PersonalField::new("decidedAt", Class::Activity),
            PersonalField::new("settledAt", Class::Activity),
        ],
    );
    const KEEP: Keep =
        Keep::until_disposal("the committee decides on it, and the books show why an order was waived");

    fn id(&self) -> &str {
        &self.id
    }
}

/// What the committee decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    Approved,
    /// For this reason.
    Declined(&'a str),
}

/// The committee has decided: the request can't be made, withdrawn or decided any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BursaryDecided {
    #[error("the bursary is approved")]
    Approved,
    #[error("the bursary is declined")]
    Declined,
}

/// Why a request is not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecisionRefused {
    /// There is no request, or it was withdrawn.
    #[error("the student does not ask for a bursary")]
    NotRequested,
    #[error("nobody decides on their own request")]
    Own,
    #[error(transparent)]
    Decided(#[from] BursaryDecided),
}

impl Bursary {
    /// A request of `account`.
    pub fn requested(account: &str, now: Timestamp) -> Self {
        Self {
            id: account.to_owned(),
            state: BursaryState::Requested,
            requested_at: now,
            decided_at: None,
            decided_by: None,
            reason: None,
            settled_at: None,
        }
    }

    /// The request after the student has withdrawn it.
    ///
    /// # Errors
    /// [`BursaryDecided`]
    pub fn withdrawn(self) -> Result<Self, BursaryDecided> {
        self.check_undecided()?;
        Ok(Self { state: BursaryState::Withdrawn, ..self })
    }

    /// Whether the student can still make or withdraw the request.
    ///
    /// # Errors
    /// [`BursaryDecided`]
    pub fn check_undecided(&self) -> Result<(), BursaryDecided> {
        match self.state {
            BursaryState::Requested | BursaryState::Withdrawn => Ok(()),
            BursaryState::Approved => Err(BursaryDecided::Approved),
            BursaryState::Declined => Err(BursaryDecided::Declined),
        }
    }

    /// Who approved it, if somebody did.
    pub fn approved_by(&self) -> Option<&Actor> {
        self.decided_by.as_ref().filter(|_| self.state == BursaryState::Approved)
    }

    /// The request after `by` has decided on it.
    ///
    /// # Errors
    /// [`DecisionRefused`]
    pub fn decided(
        self,
        by: &Actor,
        decision: Decision<'_>,
        now: Timestamp,
    ) -> Result<Self, DecisionRefused> {
        if matches!(by, Actor::Account(account) if *account == self.id) {
            return Err(DecisionRefused::Own);
        }
        self.check_undecided()?;
        if self.state == BursaryState::Withdrawn {
            return Err(DecisionRefused::NotRequested);
        }
        let (state, reason) = match decision {
            Decision::Approved => (BursaryState::Approved, None),
            Decision::Declined(reason) => (BursaryState::Declined, Some(reason.to_owned())),
        };
        Ok(Self { state, reason, decided_at: Some(now), decided_by: Some(by.clone()), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: fn() -> Timestamp = || Timestamp::from_millis(1_788_246_000_000);

    fn leader() -> Actor {
        Actor::Account("leader".into())
    }

    fn requested() -> Bursary {
        Bursary::requested("ana", NOW())
    }

    #[test]
    fn a_request_is_decided_once() {
        let approved = requested().decided(&leader(), Decision::Approved, NOW()).unwrap();
        assert_eq!((approved.state, &approved.reason), (BursaryState::Approved, &None));
        assert_eq!((approved.decided_at, &approved.decided_by), (Some(NOW()), &Some(leader())));
        let declined = requested().decided(&leader(), Decision::Declined("No funds left."), NOW()).unwrap();
        assert_eq!(
            (declined.state, declined.reason.as_deref()),
            (BursaryState::Declined, Some("No funds left."))
        );
        for (decided, error) in [(approved, BursaryDecided::Approved), (declined, BursaryDecided::Declined)] {
            for decision in [Decision::Approved, Decision::Declined("x")] {
                let again = decided.clone().decided(&leader(), decision, NOW());
                assert_eq!(again, Err(DecisionRefused::Decided(error)));
            }
            assert_eq!(decided.withdrawn(), Err(error));
        }
    }

    #[test]
    fn nobody_decides_on_their_own_request() {
        let own = Actor::Account("ana".into());
        assert_eq!(requested().decided(&own, Decision::Approved, NOW()), Err(DecisionRefused::Own));
        assert_eq!(requested().decided(&own, Decision::Declined("x"), NOW()), Err(DecisionRefused::Own));
        assert!(requested().decided(&Actor::Machine("ana".into()), Decision::Approved, NOW()).is_ok());
    }

    #[test]
    fn a_withdrawn_request_is_not_decided() {
        let withdrawn = requested().withdrawn().unwrap();
        assert_eq!(withdrawn.state, BursaryState::Withdrawn);
        let decided = withdrawn.decided(&leader(), Decision::Approved, NOW());
        assert_eq!(decided, Err(DecisionRefused::NotRequested));
    }
}
