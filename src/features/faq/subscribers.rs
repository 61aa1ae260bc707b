//! The jobs of frequent questions.

use super::model::{ASKER_KEPT, DELETED_KEPT, FaqAsker, FaqQuestion};
use crate::kernel::Timestamp;
use crate::platform::jobs::{Sweep, sweep};
use crate::platform::store::{Dir, Filter, Query};

/// Deletes questions some time after their deletion by the committee, and addresses to which no answer was sent.
pub fn old_questions() -> Sweep {
    sweep::<FaqQuestion>("faq.sweep", |now| before("deletedAt", now.minus(DELETED_KEPT)))
        .and::<FaqAsker>(|now| before("askedAt", now.minus(ASKER_KEPT)))
}

fn before(field: &'static str, time: Timestamp) -> Query {
    Query::new(Filter::Lt(field.into(), time.into())).sort(field, Dir::Asc)
}
