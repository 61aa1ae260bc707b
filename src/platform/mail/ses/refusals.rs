//! What it means for the email when SES doesn't accept it, and what operators are told.

use std::error::Error;

use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::get_account::GetAccountError;
use aws_sdk_sesv2::operation::send_email::SendEmailError;

use super::chain;
use crate::platform::mail::SendError;

/// Codes of emails that come too fast, or of too many in a day.
const TOO_FAST: &[&str] =
    &["TooManyRequestsException", "LimitExceededException", "Throttling", "ThrottlingException"];

/// Codes of emails that SES refuses for what they are.
const OF_THE_EMAIL: &[&str] = &["MessageRejected", "BadRequestException"];

/// What the error means for the email.
pub(super) fn judge(error: &SdkError<SendEmailError, HttpResponse>) -> SendError {
    match error {
        SdkError::ConstructionFailure(_) => not_sent(error),
        SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(stayed_here) => {
            not_sent(error)
        }
        SdkError::ServiceError(refused) => {
            let said = refused.err().meta();
            refusal(refused.raw().status().as_u16(), said.code(), said.message())
        }
        _ => SendError::Uncertain("SES got the email, and no answer could be read".into()),
    }
}

fn not_sent(error: &SdkError<SendEmailError, HttpResponse>) -> SendError {
    SendError::Temporary(not_asked(error))
}

fn not_asked(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last().map(ToString::to_string).unwrap_or_default();
    format!("SES can't be reached: {last}")
}

/// Why it is unknown what the account may do, in a sentence. It quotes nothing of the answer but status and code.
pub(super) fn unchecked(error: &SdkError<GetAccountError, HttpResponse>) -> String {
    match error {
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            match refused.err().code().filter(|code| is_code(code)) {
                Some(code) => format!("SES refuses to describe the account: {code}, status {status}"),
                None => format!("SES refuses to describe the account: status {status}, without a code"),
            }
        }
        SdkError::ResponseError(unreadable) => {
            let status = unreadable.raw().status().as_u16();
            format!("the answer with status {status} is not one of SES")
        }
        SdkError::TimeoutError(_) => "SES did not answer in time".into(),
        _ => not_asked(error),
    }
}

/// Whether it looks like a code of AWS. Another server may have answered.
fn is_code(code: &str) -> bool {
    (1..=100).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether the request was never sent: there was no connection, or no credentials to sign it with. Once there is a
/// connection, a failure is an error of the HTTP client.
fn stayed_here(error: &ConnectorError) -> bool {
    let chain = || chain(error as &(dyn Error + 'static));
    let client = chain().find_map(|error| error.downcast_ref::<hyper_util::client::legacy::Error>());
    match client {
        Some(error) => error.is_connect(),
        None => !error.is_timeout() && !chain().any(|error| error.is::<hyper::Error>()),
    }
}

/// SES answered: only after a failure within SES is it unknown whether the email was accepted.
fn refusal(status: u16, code: Option<&str>, message: Option<&str>) -> SendError {
    let (code, message) = (code.unwrap_or("no code"), message.unwrap_or("no message"));
    let reason = format!("SES: {message} ({code}, {status})");
    if status >= 500 {
        return SendError::Uncertain(reason);
    }
    if TOO_FAST.contains(&code) || status == 429 {
        return SendError::Throttled(reason);
    }
    // SES uses this code also while the sender (or, in its sandbox, the recipient) is not verified.
    let unverified = message.contains("not verified");
    if OF_THE_EMAIL.contains(&code) && !unverified {
        return SendError::Permanent(reason);
    }
    SendError::Account(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_fails_for_what_it_is_and_waits_for_what_the_account_is() {
        let of = |status, code, message| match refusal(status, Some(code), Some(message)) {
            SendError::Permanent(_) => "permanent",
            SendError::Temporary(_) => "temporary",
            SendError::Account(_) => "account",
            SendError::Throttled(_) => "throttled",
            SendError::Uncertain(_) => "uncertain",
        };
        let cases = [
            (400, "MessageRejected", "Email address is on the suppression list", "permanent"),
            (400, "BadRequestException", "Local address contains control or whitespace", "permanent"),
            (400, "MessageRejected", "Email address is not verified. The following identities …", "account"),
            (400, "MailFromDomainNotVerifiedException", "The sending domain isn't verified", "account"),
            (400, "SendingPausedException", "Sending is paused", "account"),
            (400, "AccountSuspendedException", "The account is suspended", "account"),
            (404, "NotFoundException", "No such identity", "account"),
            (403, "SignatureDoesNotMatch", "Check your key", "account"),
            (400, "SomethingNew", "", "account"),
            (429, "TooManyRequestsException", "Maximum sending rate exceeded.", "throttled"),
            (400, "Throttling", "Daily message quota exceeded", "throttled"),
            (500, "InternalServiceErrorException", "", "uncertain"),
            (503, "ServiceUnavailable", "", "uncertain"),
        ];
        for (status, code, message, expected) in cases {
            assert_eq!(of(status, code, message), expected, "{code}: {message}");
        }
    }
}
