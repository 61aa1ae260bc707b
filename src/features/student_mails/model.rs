//! Rules of sending an email again.

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::audit::Action;
use crate::platform::mail::{Mail, MailState};

/// An email was sent again as a new one.
pub const EMAIL_RESENT: Action = Action::new("email.resent");

/// How an email is sent again.
#[derive(Clone, Debug)]
pub enum Resending {
    /// The failed email itself is put back into the queue.
    Retry,
    /// As a new email.
    Anew(Box<Mail>),
}

/// Why an email is not sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResendable {
    #[error("it is being sent")]
    UnderWay,
    /// There is nothing to send any more, for this reason.
    #[error("it is obsolete: {0}")]
    Obsolete(String),
}

/// Whether the state of an email allows to send it again.
///
/// # Errors
/// [`NotResendable`]
pub fn check_state(mail: &Mail) -> Result<(), NotResendable> {
    match mail.state {
        MailState::Queued | MailState::Sending => Err(NotResendable::UnderWay),
        MailState::Obsolete => Err(NotResendable::Obsolete(mail.reason.clone().unwrap_or_default())),
        MailState::Sent
        | MailState::SentPossiblyTwice
        | MailState::Failed
        | MailState::Suppressed
        | MailState::Unsubscribed => Ok(()),
    }
}

/// How to send an email again to `to`. A new email gets the id `id`.
///
/// # Errors
/// [`NotResendable`]
pub fn resending(
    mail: &Mail,
    to: &EmailAddress,
    id: &str,
    now: Timestamp,
) -> Result<Resending, NotResendable> {
    check_state(mail)?;
    if mail.state == MailState::Failed && mail.to.key() == to.key() {
        return Ok(Resending::Retry);
    }
    Ok(Resending::Anew(Box::new(mail.again(format!("{}:{id}", mail.template), to, now))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(state: MailState) -> Mail {
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let about = [("account", "ana".to_owned())];
        let mail = Mail::new("welcome:ana".into(), "welcome", &to, about, Timestamp::from_millis(0));
        Mail { state, reason: Some("over".into()), retries: 2, ..mail }
    }

    fn resent(state: MailState, to: &str) -> Result<Resending, NotResendable> {
        resending(&mail(state), &EmailAddress::parse(to).unwrap(), "1", Timestamp::from_millis(9))
    }

    #[test]
    fn a_sent_email_is_posted_anew_to_the_given_address() {
        for state in [MailState::Sent, MailState::SentPossiblyTwice, MailState::Suppressed] {
            let Ok(Resending::Anew(again)) = resent(state, "new@example.org") else { panic!("{state:?}") };
            assert_eq!((again.id.as_str(), again.to.as_str()), ("welcome:1", "new@example.org"));
            assert_eq!((again.state, again.reason.as_deref(), again.retries), (MailState::Queued, None, 0));
            assert_eq!(again.first_posted_at(), Timestamp::from_millis(0), "what it says happened then");
            assert_eq!((again.about, again.template.as_str()), (mail(state).about, "welcome"));
        }
    }

    #[test]
    fn a_failed_email_is_retried_unless_the_address_has_changed() {
        assert!(matches!(resent(MailState::Failed, "ANA@example.org"), Ok(Resending::Retry)));
        assert!(matches!(resent(MailState::Failed, "new@example.org"), Ok(Resending::Anew(_))));
    }

    #[test]
    fn an_email_under_way_or_obsolete_is_not_sent_again() {
        for state in [MailState::Queued, MailState::Sending] {
            assert_eq!(resent(state, "ana@example.org").unwrap_err(), NotResendable::UnderWay);
        }
        let obsolete = NotResendable::Obsolete("over".into());
        assert_eq!(resent(MailState::Obsolete, "ana@example.org").unwrap_err(), obsolete);
    }
}
