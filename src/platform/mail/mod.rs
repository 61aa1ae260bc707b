//! Letters: documents that are rendered when they are sent, one recipient each.
//!
//! ```text
//! a use case ── tx.post(mail) ──▶ mail `queued` and its job, in the use case's own transaction
//! Mailer     ── transaction   ──▶ `sending`
//!            ── Template renders the letter, Carrier takes it away (outside any transaction)
//!            ── transaction   ──▶ `sent`, `failed` (refused for good), `suppressed` (nothing to say any more),
//!                                 or `queued` again (not now: the job comes back)
//! ```
//! A run that finds its mail in `sending` knows that an earlier one ended between the two transactions: the letter
//! may have gone or not. It goes again, so that nobody is left out, and ends `sentPossiblyTwice`, unless the carrier
//! can take the same letter twice without sending two.

mod document;
mod frame;
mod letter;
mod mailer;
mod watched;

pub use document::{Mail, MailState, Outcome, SendMail};
pub use frame::LetterFrame;
pub use letter::{Attachment, Letter, RenderError, Template, Templates, TwoOfOneName};
pub use mailer::{Carrier, CarryError, Mailer};
pub use watched::Watched;

use crate::platform::store::{Schema, schema};

/// The documents kept here.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Mail>()]
}
