//! What it means for the email, and to operators, when SES does not say yes.

use std::error::Error;

use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::get_account::GetAccountError;
use aws_sdk_sesv2::operation::send_email::SendEmailError;

use super::chain;
use crate::platform::mail::SendError;

/// Codes of what emails are refused for that come too fast, or too many in a day.
const TOO_FAST: &[&str] =
    &["TooManyRequestsException", "LimitExceededException", "Throttling", "ThrottlingException"];

/// Codes of what is wrong with this one email.
const OF_THE_EMAIL: &[&str] = &["MessageRejected", "BadRequestException"];

/// What became of the email.
pub(super) fn told(error: &SdkError<SendEmailError, HttpResponse>) -> SendError {
    match error {
        SdkError::ConstructionFailure(_) => not_sent(error),
        SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(stayed_here) => {
            not_sent(error)
        }
        SdkError::ServiceError(refused) => {
            let said = refused.err().meta();
            refusal(refused.raw().status().as_u16(), said.code(), said.message())
        }
        _ => SendError::Uncertain("SES was asked, and no answer of it could be read".into()),
    }
}

fn not_sent(error: &SdkError<SendEmailError, HttpResponse>) -> SendError {
    SendError::Temporary(not_asked(error))
}

fn not_asked(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last().map(ToString::to_string).unwrap_or_default();
    format!("SES could not be asked: {last}")
}

/// Why SES has not told what the account may do, in a sentence. Of what came with the answer it holds status and code
/// only.
pub(super) fn unchecked(error: &SdkError<GetAccountError, HttpResponse>) -> String {
    match error {
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            match refused.err().code().filter(|code| is_code(code)) {
                Some(code) => format!("SES refuses to tell of the account: {code}, status {status}"),
                None => format!("SES refuses to tell of the account: status {status}, without a code"),
            }
        }
        SdkError::ResponseError(unreadable) => {
            let status = unreadable.raw().status().as_u16();
            format!("what answers with status {status} can't be understood as SES")
        }
        SdkError::TimeoutError(_) => "SES did not answer in time".into(),
        _ => not_asked(error),
    }
}

/// Whether it is a name such as AWS's codes are, and not what some other server has written.
fn is_code(code: &str) -> bool {
    (1..=100).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether the request never left: no connection came about, or there were no credentials to sign it with. Whatever
/// has a connection and fails is an error of the HTTP client's.
fn stayed_here(error: &ConnectorError) -> bool {
    let chain = || chain(error as &(dyn Error + 'static));
    let client = chain().find_map(|error| error.downcast_ref::<hyper_util::client::legacy::Error>());
    match client {
        Some(error) => error.is_connect(),
        None => !error.is_timeout() && !chain().any(|error| error.is::<hyper::Error>()),
    }
}

/// An answer was read: only a failure within SES leaves a doubt.
fn refusal(status: u16, code: Option<&str>, message: Option<&str>) -> SendError {
    let (code, message) = (code.unwrap_or("no code"), message.unwrap_or("no message"));
    let reason = format!("SES: {message} ({code}, {status})");
    if status >= 500 {
        return SendError::Uncertain(reason);
    }
    if TOO_FAST.contains(&code) || status == 429 {
        return SendError::Throttled(reason);
    }
    // SES refuses emails by this code, too, while sender (or, in its sandbox, recipient) is not verified.
    let unverified = message.contains("not verified");
    if OF_THE_EMAIL.contains(&code) && !unverified {
        return SendError::Permanent(reason);
    }
    // The message may hold an address.
    tracing::error!(code, status, "SES takes no emails of this account: they wait until that is mended");
    SendError::Temporary(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_email_ends_it_and_what_is_wrong_with_the_account_does_not() {
        let of = |status, code, message| match refusal(status, Some(code), Some(message)) {
            SendError::Permanent(_) => "permanent",
            SendError::Temporary(_) => "temporary",
            SendError::Throttled(_) => "throttled",
            SendError::Uncertain(_) => "uncertain",
        };
        let cases = [
            (400, "MessageRejected", "Email address is on the suppression list", "permanent"),
            (400, "BadRequestException", "Local address contains control or whitespace", "permanent"),
            (
                400,
                "MessageRejected",
                "Email address is not verified. The following identities …",
                "temporary",
            ),
            (400, "MailFromDomainNotVerifiedException", "The sending domain isn't verified", "temporary"),
            (400, "SendingPausedException", "Sending is paused", "temporary"),
            (400, "AccountSuspendedException", "The account is suspended", "temporary"),
            (404, "NotFoundException", "No such identity", "temporary"),
            (403, "SignatureDoesNotMatch", "Check your key", "temporary"),
            (400, "SomethingNew", "", "temporary"),
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
