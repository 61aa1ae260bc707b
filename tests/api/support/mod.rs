//! A service to ask, and who asks it.

mod app;
mod clock;
mod mailbox;
mod visitor;

pub use app::{PASSWORD, TestApp};
pub use clock::ShiftedClock;
pub use mailbox::Mailbox;
pub use visitor::Visitor;
