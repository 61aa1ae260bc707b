//! Sends emails by AWS SES: one `SendEmail` for each.
//!
//! SES has no token that would make an email that is sent twice arrive once, so the SDK retries nothing: `refusals` says
//! what each attempt means, and the mailer decides.

mod refusals;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::{Credentials, Region};
use aws_sdk_sesv2::error::BuildError;
use aws_sdk_sesv2::operation::get_account::GetAccountOutput;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{self, Destination, EmailContent, RawMessage};

use super::message::Message;
use super::{Email, Mail, SendError, Transport};
use crate::config::{SenderConfig, SesConfig};
use crate::kernel::{Clock, EmailAddress};

/// Maximum time to connect to AWS.
const CONNECT: Duration = Duration::from_secs(5);
/// Maximum time for an answer of SES, including the search for credentials. An email whose answer takes longer may have
/// been accepted.
const ANSWER: Duration = Duration::from_secs(20);

/// Emails by SES.
pub struct Ses {
    client: Client,
    sender: SenderConfig,
    clock: Arc<dyn Clock>,
}

impl Ses {
    /// Emails by this account. AWS is not asked anything yet.
    pub async fn new(config: &SesConfig, clock: Arc<dyn Clock>) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(ANSWER).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(config.region.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(endpoint) = &config.endpoint {
            loader = loader.endpoint_url(endpoint.as_str());
        }
        if let Some(own) = &config.credentials {
            let token = own.token.as_ref().map(|token| token.expose().clone());
            let credentials =
                Credentials::new(&own.id, own.key.expose().as_str(), token, None, "the configuration");
            loader = loader.credentials_provider(credentials);
        }
        Self { client: Client::new(&loader.load().await), sender: config.sender.clone(), clock }
    }

    /// Asks whether the account may send, and at `rate` emails per second; returns remarks.
    ///
    /// # Errors
    /// What is wrong, in a sentence for operators.
    pub async fn check(&self, rate: f64) -> Result<Vec<String>, String> {
        let account = self.client.get_account().send().await;
        judge(&account.map_err(|error| refusals::unchecked(&error))?, rate)
    }
}

#[async_trait]
impl Transport for Ses {
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError> {
        if !self.accepts(&mail.to).await {
            return Err(SendError::Permanent(
                "SES accepts no address with characters outside ASCII before the @".into(),
            ));
        }
        let message = Message::new(&self.sender, mail, email, self.clock.now());
        let message = message.map_err(|error| SendError::Permanent(error.to_string()))?;
        let to = Destination::builder().to_addresses(&message.to).build();
        let content = raw(message.bytes).map_err(|error| SendError::Permanent(error.to_string()))?;
        let request =
            self.client.send_email().from_email_address(&message.from).destination(to).content(content);
        request.send().await.map(drop).map_err(|error| refusals::judge(&error))
    }

    fn is_idempotent(&self) -> bool {
        false
    }

    /// SES encodes domains itself, and doesn't support SMTPUTF8.
    async fn accepts(&self, to: &EmailAddress) -> bool {
        !to.needs_smtputf8()
    }
}

fn raw(message: Vec<u8>) -> Result<EmailContent, BuildError> {
    let message = RawMessage::builder().data(Blob::new(message)).build()?;
    Ok(EmailContent::builder().raw(message).build())
}

const NO_UTF8: &str =
    "SES: nobody can sign up with an address that has characters outside ASCII before the @";

fn judge(account: &GetAccountOutput, rate: f64) -> Result<Vec<String>, String> {
    if !account.sending_enabled() {
        let status = account.enforcement_status().unwrap_or("no reason given");
        return Err(format!("SES: the account may not send at present ({status})"));
    }
    let quota = account.send_quota();
    let may = quota.map_or(f64::INFINITY, types::SendQuota::max_send_rate);
    if rate > may {
        return Err(format!(
            "ORIENTATION_MAIL_RATE is {rate}, and the account may send {may} emails a second"
        ));
    }
    let mut remarks = vec![format!("{rate} emails a second of the {may} that the account may send")];
    if let Some(quota) = quota.filter(|quota| quota.max24_hour_send() >= 0.0) {
        let (sent, may) = (quota.sent_last24_hours(), quota.max24_hour_send());
        remarks.push(format!("{sent} emails in the last 24 hours, of {may} that the account may send"));
    }
    if !account.production_access_enabled() {
        remarks.push(
            "the account is in SES's sandbox: only addresses that are verified there get emails".into(),
        );
    }
    remarks.push(NO_UTF8.into());
    Ok(remarks)
}

/// The errors behind an error, itself first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(may: f64) -> aws_sdk_sesv2::operation::get_account::builders::GetAccountOutputBuilder {
        let quota = types::SendQuota::builder().max_send_rate(may).max24_hour_send(50_000.0).build();
        GetAccountOutput::builder().sending_enabled(true).production_access_enabled(true).send_quota(quota)
    }

    #[test]
    fn an_account_that_may_send_at_the_rate_is_good() {
        assert_eq!(judge(&account(50.0).build(), 50.0).unwrap().len(), 3);
        let sandbox = judge(&account(50.0).production_access_enabled(false).build(), 1.0).unwrap();
        assert!(sandbox[2].contains("sandbox"), "{sandbox:?}");
    }

    #[test]
    fn an_account_that_may_not_is_reported() {
        assert!(judge(&account(14.0).build(), 14.1).unwrap_err().contains("ORIENTATION_MAIL_RATE is 14.1"));
        let paused = account(14.0).sending_enabled(false).enforcement_status("SHUTDOWN").build();
        assert!(judge(&paused, 1.0).unwrap_err().contains("SHUTDOWN"));
    }
}
