//! Emails: documents that are rendered when they are sent, one recipient each.
//!
//! ```text
//! use case ── tx.post(mail) ──▶ mail `queued` and its job, in the use case's own transaction
//! Mailer   ── renders the email by its Template and waits for a slot (outside any transaction)
//!          ── transaction   ──▶ `sending`
//!          ── Transport sends it (outside any transaction)
//!          ── transaction   ──▶ `sent`, `failed` (refused for good), `obsolete` (nothing to say any more), `suppressed`
//!                               (the address is on the suppression list), or `queued` again (the job is retried)
//! ```
//! A run that finds its mail in `sending` knows that an earlier run ended between the two transactions: the email may have
//! been sent or not. The same holds when the transport got no answer. The email is sent again, so that no recipient is
//! missed, and ends as `sentPossiblyTwice`, unless the transport is idempotent.
//!
//! Direct and bulk emails ([`MailClass`]) have jobs of two kinds, so that a mailing delays no password reset.
//!
//! Transports are the outbox (`features::outbox`), [`Ses`] and [`Smtp`]; the latter two send the same RFC 5322 message
//! (`message`) and keep to a rate (`pace`). SES
//! reports bounces and complaints by SNS: `sns` verifies these messages, and `features::suppressions` acts on them.

mod document;
mod email;
mod failed;
mod kind;
mod layout;
mod mailer;
mod message;
mod metered;
mod pace;
mod sample;
mod ses;
mod smtp;
pub mod sns;
mod suppression;

pub use document::{
    DroppedEmails, EMAIL_RETRIED, Mail, MailClass, MailState, Outcome, SendBulkMail, SendMail,
};
pub use email::{
    Attachment, DuplicateTemplate, Email, RenderError, Template, Templates, Unsubscribe, with_image,
};
pub use failed::{FailedEmails, Which};
pub use kind::EmailKind;
pub use layout::EmailLayout;
pub use mailer::{BulkMailer, Mailer, SendError, Transport};
pub use metered::MeteredTransport;
pub use pace::MailRate;
pub use sample::Sample;
pub use ses::Ses;
pub use smtp::{BadSmtpUrl, Smtp};
pub use suppression::{Suppression, SuppressionCause};

use std::sync::Arc;

use crate::config::MailConfig;
use crate::kernel::SystemClock;
use crate::platform::store::{Schema, schema};

/// The documents kept here.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<Mail>(), schema::<MailRate>(), schema::<Suppression>()]
}

/// Asks the transport whether it would accept emails; returns its remarks.
///
/// # Errors
/// What is wrong, in a sentence for operators.
pub async fn check(mail: &MailConfig) -> Result<Vec<String>, String> {
    match mail {
        MailConfig::Outbox => Ok(vec![]),
        MailConfig::Ses(config) => {
            Ses::new(config, Arc::new(SystemClock)).await.check(config.sender.rate).await
        }
        MailConfig::Smtp(config) => {
            Smtp::new(config, Arc::new(SystemClock)).map_err(|error| error.to_string())?.check().await
        }
    }
}
