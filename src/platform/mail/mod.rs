//! Letters: documents that are rendered when they are sent, one recipient each.
//!
//! ```text
//! a use case ── tx.post(mail) ──▶ mail `queued` and its job, in the use case's own transaction
//! Mailer     ── Template renders the letter; its slot is waited for (outside any transaction)
//!            ── transaction   ──▶ `sending`
//!            ── Carrier takes it away (outside any transaction)
//!            ── transaction   ──▶ `sent`, `failed` (refused for good), `suppressed` (nothing to say any more, or
//!                                 nobody who wants it), or `queued` again (not now: the job comes back)
//! ```
//! A run that finds its mail in `sending` knows that an earlier one ended between the two transactions: the letter
//! may have gone or not. So it is when the carrier got no answer. It goes again, so that nobody is left out, and ends
//! `sentPossiblyTwice`, unless the carrier can take the same letter twice without sending two.
//!
//! Carriers are the outbox (`features::outbox`), [`Ses`] and [`Smtp`]; those that really send keep to a rate (`pace`).
//! What SES tells of letters that came back arrives by SNS: `sns` says what of it can be believed, and
//! `features::suppressions` acts on it.

mod document;
mod frame;
mod letter;
mod mailer;
mod pace;
mod sender;
mod ses;
mod smtp;
pub mod sns;
mod suppression;
mod watched;

pub use document::{Mail, MailState, Outcome, SendMail};
pub use frame::EmailLayout;
pub use letter::{Attachment, Email, RenderError, Template, Templates, TwoOfOneName};
pub use mailer::{Carrier, CarryError, Mailer};
pub use pace::MailRate;
pub use ses::Ses;
pub use smtp::{BadSmtpUrl, Smtp};
pub use suppression::{Suppression, SuppressionCause};
pub use watched::Watched;

use crate::config::MailConfig;
use crate::platform::store::{Schema, schema};

/// The documents kept here.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Mail>(), schema::<MailRate>(), schema::<Suppression>()]
}

/// Asks what takes letters away whether it would take them: what it says, a line each.
///
/// # Errors
/// What is wrong, in a sentence for operators.
pub async fn check(mail: &MailConfig) -> Result<Vec<String>, String> {
    match mail {
        MailConfig::Outbox => Ok(vec![]),
        MailConfig::Ses(config) => Ses::new(config).await.check(config.sender.rate).await,
        MailConfig::Smtp(config) => {
            let clock = std::sync::Arc::new(crate::kernel::SystemClock);
            Smtp::new(config, clock).map_err(|error| error.to_string())?.check().await
        }
    }
}
