//! Orientation groups: which one a student gets, how many students each one has, and which are locked.
//!
//! `event.toml` lists the groups. One document, the [`GroupBook`], counts their members. Other features change it through
//! [`Groups`], in a transaction of theirs that holds [`Groups::GUARD`].

mod model;
mod service;

pub use model::{GroupBook, GroupTally, LockError, MoveError, Traits};
pub use service::Groups;

use crate::platform::store::{Schema, schema};

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<GroupBook>()]
}
