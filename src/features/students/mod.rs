//! Students as leaders and the committee read them: only granted fields of students within reach.
//!
//! A registration becomes an answer in [`access`] alone: [`StudentAccess`] is made of the caller's rights, it makes a
//! [`View`] of [`Columns`], and a view makes [`Row`]s. Lists, counts and exports share the filters of [`StudentQuery`].

mod access;
mod bodies;
mod columns;
mod controller;
mod export;
mod model;
mod query;
mod service;

pub use access::{NotGranted, Row, StudentAccess, View};
pub use bodies::StudentBody;
pub use columns::{Column, ColumnKind, Columns};
pub use controller::{StudentPageBody, StudentsController, field_not_granted, no_such_student};
pub use export::filter_in_words;
pub use query::{QueryError, StudentQuery, are_within_groups};
pub use service::{ListStudentsError, StudentPage, Students, rows, student_within_reach};

use std::sync::Arc;

use super::Feature;
use crate::platform::store::{Schema, schema};

/// What students add to the service.
pub fn feature(students: &Arc<Students>) -> Feature<StudentsController> {
    Feature::new().serves(StudentsController::new(students.clone()))
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<model::StudentNote>()]
}
