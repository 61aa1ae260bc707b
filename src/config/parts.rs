//! The configured dependencies: payments and mail.

use url::Url;

use crate::kernel::{EmailAddress, Secret};

/// A Stripe account.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `sk_…` or `rk_…`.
    pub secret_key: Secret<String>,
    /// Whether the key moves real money. Webhook events must have the same mode.
    pub live: bool,
    /// URL of the API; `None` for Stripe's own.
    pub api_base: Option<Url>,
}

/// Transport for emails.
#[derive(Clone, Debug)]
pub enum MailConfig {
    /// Emails are kept and shown in the browser.
    Outbox,
    /// AWS SES.
    Ses(SesConfig),
    /// An SMTP server.
    Smtp(SmtpConfig),
}

impl MailConfig {
    /// Sender of all emails; `None` for the outbox.
    pub fn sender(&self) -> Option<&SenderConfig> {
        match self {
            Self::Outbox => None,
            Self::Ses(ses) => Some(&ses.sender),
            Self::Smtp(smtp) => Some(&smtp.sender),
        }
    }
}

/// Sender and rate of emails that are really sent.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// Display name.
    pub name: Option<String>,
    /// Email address, whose part before the `@` is ASCII.
    pub address: EmailAddress,
    /// The event's contact, to whom recipients of bulk emails can write to get no more.
    pub contact: EmailAddress,
    /// Maximum number of emails per second from all processes together, from 0.1 to 1000.
    pub rate: f64,
}

/// AWS SES and its notifications.
#[derive(Clone, Debug)]
pub struct SesConfig {
    pub sender: SenderConfig,
    /// Such as `ca-central-1`.
    pub region: String,
    /// `None` for AWS's standard sources.
    pub credentials: Option<AwsCredentials>,
    /// URL of the API; `None` for AWS's own in the region.
    pub endpoint: Option<Url>,
    /// ARNs of the SNS topics whose notifications are accepted.
    pub topics: Vec<String>,
}

/// An AWS access key.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    pub id: String,
    pub key: Secret<String>,
    /// Session token of temporary credentials.
    pub token: Option<Secret<String>>,
}

/// An SMTP server.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    pub sender: SenderConfig,
    /// `smtp://` or `smtps://`, including the password.
    pub url: Secret<String>,
}
