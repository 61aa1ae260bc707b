//! AWS SES takes the emails away: one `SendEmail` each.
//!
//! SES has no token by which an email that is sent twice would arrive once, so the SDK repeats nothing by itself:
//! what comes of each try is told (`refusals`), and the mailer decides.

mod refusals;

use std::error::Error;
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
use aws_sdk_sesv2::types::{
    self, AttachmentContentDisposition, Body, Content, Destination, EmailContent, Message, MessageHeader,
};

use super::{Attachment, Email, Mail, SendError, Transport, sender};
use crate::config::SesConfig;

/// A connection to AWS stands within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// SES answers within this time, looking for credentials included. An email whose answer takes longer may have gone.
const ANSWER: Duration = Duration::from_secs(20);

/// Emails by SES.
pub struct Ses {
    client: Client,
    /// Name and address as the header has them.
    from: String,
}

impl Ses {
    /// Emails by this account. Nothing is asked of AWS yet.
    pub async fn new(config: &SesConfig) -> Self {
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
        Self { client: Client::new(&loader.load().await), from: sender::from(&config.sender) }
    }

    /// Asks whether the account may send, and as fast as `rate` emails a second: what is to be known of it.
    ///
    /// # Errors
    /// What is wrong, in a sentence for operators.
    pub async fn check(&self, rate: f64) -> Result<Vec<String>, String> {
        let account = self.client.get_account().send().await;
        judge(&account.map_err(|error| refusals::unchecked(&error))?, rate)
    }

    async fn send(&self, mail: &Mail, content: EmailContent) -> Result<(), SendError> {
        let to = Destination::builder().to_addresses(mail.to.on_the_wire()).build();
        let request =
            self.client.send_email().from_email_address(&self.from).destination(to).content(content);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(refusals::told(&error)),
        }
    }
}

#[async_trait]
impl Transport for Ses {
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError> {
        let content = content(mail, email).map_err(|error| SendError::Permanent(error.to_string()))?;
        self.send(mail, content).await
    }

    fn is_idempotent(&self) -> bool {
        false
    }
}

fn judge(account: &GetAccountOutput, rate: f64) -> Result<Vec<String>, String> {
    if !account.sending_enabled() {
        let status = account.enforcement_status().unwrap_or("no reason is told");
        return Err(format!("SES: the account may not send now ({status})"));
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
    Ok(remarks)
}

fn content(mail: &Mail, email: &Email) -> Result<EmailContent, BuildError> {
    let body = Body::builder().text(utf8(&email.text)?).html(utf8(&email.html)?).build();
    let mut message = Message::builder().subject(utf8(&email.subject)?).body(body);
    for (name, value) in sender::headers(mail) {
        message = message.headers(MessageHeader::builder().name(name).value(value).build()?);
    }
    for file in &email.attachments {
        message = message.attachments(attachment(file)?);
    }
    Ok(EmailContent::builder().simple(message.build()).build())
}

fn utf8(text: &str) -> Result<Content, BuildError> {
    Content::builder().data(text).charset("UTF-8").build()
}

fn attachment(file: &Attachment) -> Result<types::Attachment, BuildError> {
    types::Attachment::builder()
        .file_name(&file.name)
        .content_type(&file.content_type)
        .content_disposition(AttachmentContentDisposition::Attachment)
        .raw_content(Blob::new(file.bytes.as_slice()))
        .build()
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
    fn an_account_that_may_send_as_fast_as_it_is_asked_to_is_good() {
        assert_eq!(judge(&account(50.0).build(), 50.0).unwrap().len(), 2);
        let sandbox = judge(&account(50.0).production_access_enabled(false).build(), 1.0).unwrap();
        assert!(sandbox[2].contains("sandbox"), "{sandbox:?}");
    }

    #[test]
    fn one_that_may_not_is_told() {
        assert!(judge(&account(14.0).build(), 14.1).unwrap_err().contains("ORIENTATION_MAIL_RATE is 14.1"));
        let paused = account(14.0).sending_enabled(false).enforcement_status("SHUTDOWN").build();
        assert!(judge(&paused, 1.0).unwrap_err().contains("SHUTDOWN"));
    }
}
