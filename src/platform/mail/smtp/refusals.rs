//! What a refusal of an SMTP server means for the email.

use super::connection::SmtpError;
use super::reply::{Reply, Status};
use crate::platform::mail::SendError;

/// How far a conversation had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting, signing in, naming the sender: the same for every email.
    Opening,
    /// Naming the recipient, and announcing the message.
    Recipient,
    /// The server has the message.
    Message,
}

/// Codes of refusals to sign in or to let us send without (RFC 4954).
const SIGN_IN: &[u16] = &[454, 530, 534, 535, 538];

/// Enhanced status codes of refusals that concern the sending account, or how much it sends, and hit every email alike.
const ACCOUNT: &[Status] = &[
    // The sender's address or domain is bad (RFC 3463, 3.2). Exchange Online: the account is blocked for sending spam.
    (5, 1, 7),
    (5, 1, 8),
    // Exchange Online: the daily limit of recipients.
    (5, 1, 90),
    // Exchange Online: the sender's mailbox refuses the submission.
    (5, 2, 0),
    // Exchange Online: the account may not send as this sender.
    (5, 2, 252),
    // Gmail: the daily limit of the user or the relay.
    (5, 4, 5),
    // The credentials are wrong or too weak (RFC 4954, 6).
    (5, 7, 8),
    (5, 7, 9),
    // Exchange: not signed in, not allowed to send as this sender, relaying denied.
    (5, 7, 57),
    (5, 7, 60),
    (5, 7, 64),
];

/// The details of 5.7 with which Exchange Online restricts a whole organisation.
const ORGANISATION: std::ops::Range<u16> = 700..800;

/// What `error` means for the email. `in_words` goes into its reason.
pub(super) fn judge(error: &SmtpError, stage: Stage) -> SendError {
    match error {
        SmtpError::Refused(reply) => judge_reply(reply, stage),
        SmtpError::NoStartTls | SmtpError::NoSignIn => SendError::Account(format!("SMTP: {error}")),
        SmtpError::Network(_) => SendError::Temporary(format!("SMTP: {error}")),
    }
}

/// What the refusal means for the email.
pub(super) fn judge_reply(reply: &Reply, stage: Stage) -> SendError {
    let reason = format!("SMTP: {reply}");
    if concerns_account(reply, stage) {
        SendError::Account(reason)
    } else if reply.is_permanent() {
        SendError::Permanent(reason)
    } else {
        SendError::Temporary(reason)
    }
}

fn concerns_account(reply: &Reply, stage: Stage) -> bool {
    if reply.code().is_some_and(|code| SIGN_IN.contains(&code)) {
        return true;
    }
    let known = match reply.status() {
        // Servers such as Postfix wait for the recipient to say that we may not send ("554 5.7.1 Relay access denied").
        // After the message, 5.7 is mostly about its content.
        // Other details of 5.7 are then about the recipient, such as a restricted list (5.7.133).
        Some((5, 7, 0 | 1)) if stage == Stage::Recipient => true,
        Some((5, 7, detail)) if ORGANISATION.contains(&detail) => true,
        Some(status) => ACCOUNT.contains(&status),
        None => false,
    };
    reply.is_permanent() && (known || stage == Stage::Opening)
}
