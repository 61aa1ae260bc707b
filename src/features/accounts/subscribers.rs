//! The jobs of accounts.

use super::model::{EmailToken, SignUp};
use super::session::Session;
use crate::kernel::Timestamp;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Deletes expired sign-ups, links and sessions.
pub fn expired() -> Sweep {
    sweep::<SignUp>("accounts.sweep", expired_at).and::<EmailToken>(expired_at).and::<Session>(expired_at)
}

fn expired_at(now: Timestamp) -> Query {
    Query::new(Filter::Lt("expiresAt".into(), now.into())).sort("expiresAt", Dir::Asc)
}
