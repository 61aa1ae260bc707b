//! Which parts the service stands on: what is set selects them.

use url::Url;

use crate::kernel::{EmailAddress, Secret};

/// The account at Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `sk_…` or `rk_…`.
    pub secret_key: Secret<String>,
    /// Whether the key moves real money; events must be of the same mode.
    pub live: bool,
    /// Where the API is; `None`: Stripe's own.
    pub api_base: Option<Url>,
}

/// What takes letters away.
#[derive(Clone, Debug)]
pub enum MailConfig {
    /// They are kept, to be read in the browser.
    Outbox,
    /// AWS SES.
    Ses(SesConfig),
    /// A server that speaks SMTP.
    Smtp(SmtpConfig),
}

impl MailConfig {
    /// Whom letters come from; `None` if they don't leave.
    pub fn sender(&self) -> Option<&SenderConfig> {
        match self {
            Self::Outbox => None,
            Self::Ses(ses) => Some(&ses.sender),
            Self::Smtp(smtp) => Some(&smtp.sender),
        }
    }
}

/// Letters that really leave.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The name beside the address, if one is given.
    pub name: Option<String>,
    /// Whom letters come from.
    pub address: EmailAddress,
    /// Letters a second at most, from all processes together; from 0.1 to 1000.
    pub rate: f64,
}

/// AWS SES and its notifications.
#[derive(Clone, Debug)]
pub struct SesConfig {
    pub sender: SenderConfig,
    /// Such as `ca-central-1`.
    pub region: String,
    /// `None`: wherever AWS's own tools look.
    pub credentials: Option<AwsCredentials>,
    /// Where the API is; `None`: AWS's own in the region.
    pub endpoint: Option<Url>,
    /// ARNs of the SNS topics that are believed.
    pub topics: Vec<String>,
}

/// A key of an account at AWS.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    pub id: String,
    pub key: Secret<String>,
    /// Goes with temporary keys.
    pub token: Option<Secret<String>>,
}

/// A server that speaks SMTP.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    pub sender: SenderConfig,
    /// `smtp://` or `smtps://`, with the password in it.
    pub url: Secret<String>,
}
