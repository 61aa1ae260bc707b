//! Emails: documents that are rendered when they are sent, one recipient each.
//!
//! ```text
//! a use case ── tx.post(mail) ──▶ mail `queued` and its job, in the use case's own transaction
//! Mailer     ── Template renders the email; its slot is waited for (outside any transaction)
//!            ── transaction   ──▶ `sending`
//!            ── Transport takes it away (outside any transaction)
//!            ── transaction   ──▶ `sent`, `failed` (refused for good), `suppressed` (nothing to say any more, or
//!                                 nobody who wants it), or `queued` again (not now: the job comes back)
//! ```
//! A run that finds its mail in `sending` knows that an earlier one ended between the two transactions: the email
//! may have gone or not. So it is when the transport got no answer. It goes again, so that nobody is left out, and ends
//! `sentPossiblyTwice`, unless the transport can take the same email twice without sending two.
//!
//! Transports are the outbox (`features::outbox`), [`Ses`] and [`Smtp`]; those that really send keep to a rate (`pace`).
//! What SES tells of emails that came back arrives by SNS: `sns` says what of it can be believed, and
//! `features::suppressions` acts on it.

mod document;
mod email;
mod layout;
mod mailer;
mod metered;
mod pace;
mod sender;
mod ses;
mod smtp;
pub mod sns;
mod suppression;

pub use document::{Mail, MailState, Outcome, SendMail};
pub use email::{Attachment, DuplicateTemplate, Email, RenderError, Template, Templates};
pub use layout::EmailLayout;
pub use mailer::{Mailer, SendError, Transport};
pub use metered::MeteredTransport;
pub use pace::MailRate;
pub use ses::Ses;
pub use smtp::{BadSmtpUrl, Smtp};
pub use suppression::{Suppression, SuppressionCause};

use crate::config::MailConfig;
use crate::platform::store::{Schema, schema};

/// The documents kept here.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Mail>(), schema::<MailRate>(), schema::<Suppression>()]
}

/// Asks what takes emails away whether it would take them: what it says, a line each.
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
