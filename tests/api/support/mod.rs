//! A service to test, and its clients.

mod app;
mod clock;
pub mod document;
mod mailbox;
mod parts;
mod poppler;
mod reach;
pub mod stripe;
mod student;
mod visitor;

pub use app::{PASSWORD, PATIENCE, TestApp};
pub use clock::ShiftedClock;
pub use mailbox::{Mailbox, PostOffice, token_in};
pub use parts::on_real_parts;
pub use poppler::text_of_pdf;
pub use reach::{NO_ID, Reach, ask, reaches_all_of, try_out};
pub use student::{form, new_student_id};
pub use visitor::{Answer, Visitor};
