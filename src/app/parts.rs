//! Opens what the configuration selects: the store, the payment gateway, the mail transport.

use std::path::Path;
use std::sync::Arc;

use super::{AssembleError, schemas};
use crate::base::Base;
use crate::config::{Config, MailConfig};
use crate::features::outbox::Outbox;
use crate::features::payments::{Gateway, Measured, Sandbox, Source, Stripe, Webhook};
use crate::http::MetricsPage;
use crate::platform::mail::sns::{Hosts, Sns};
use crate::platform::mail::{BadSmtpUrl, Mailer, MeteredTransport, Ses, Smtp, Templates, Transport};
use crate::platform::store::{Access, Store};

/// The name of the embedded store's file in its folder.
pub(crate) const STORE_FILE: &str = "orientation.db";

/// The configured store, created and migrated.
pub(super) async fn open_store(config: &Config, access: Access) -> Result<Store, AssembleError> {
    let store = match &config.mongodb {
        Some(address) => Store::mongo(address.expose(), access).await?,
        None => open_file(config, access)?,
    };
    store.prepare(&schemas()).await?;
    Ok(store)
}

fn open_file(config: &Config, access: Access) -> Result<Store, AssembleError> {
    make_folder(&config.data)
        .map_err(|error| AssembleError::Folder { folder: config.data.display().to_string(), error })?;
    Ok(Store::sqlite(&config.data.join(STORE_FILE), access)?)
}

/// Creates the folder if it isn't there. Only this user can open it: it holds keys and forms.
pub(crate) fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// The payment gateway.
pub(super) struct OpenGateway {
    pub gateway: Arc<dyn Gateway>,
    pub webhook: Webhook,
    /// The gateway, where no real one is configured.
    pub sandbox: Option<Arc<Sandbox>>,
}

/// Stripe if it is configured, else the sandbox.
pub(super) async fn open_gateway(config: &Config, base: &Base) -> Result<OpenGateway, AssembleError> {
    let measured = |gateway| Measured::over(gateway, base.metrics.gateway_calls.clone());
    if let Some(account) = &config.stripe {
        let source = Source::Stripe { live: account.live };
        let webhook = Webhook::new(source, config.stripe_webhook_secrets.clone())?;
        return Ok(OpenGateway {
            gateway: measured(Arc::new(Stripe::new(account)?)),
            webhook,
            sandbox: None,
        });
    }
    let sandbox = Sandbox::start(base, &config.stripe_webhook_secrets).await?;
    let webhook = Webhook::new(Source::Sandbox, sandbox.secrets())?;
    Ok(OpenGateway { gateway: measured(sandbox.clone()), webhook, sandbox: Some(sandbox) })
}

/// What sends emails.
pub(super) struct OpenMail {
    pub transport: Arc<dyn Transport>,
    /// The highest rate in emails per second, where there is one.
    rate: Option<f64>,
    /// The transport, where no real one is configured.
    pub outbox: Option<Arc<Outbox>>,
}

/// SES or SMTP if it is configured, else the outbox.
pub(super) async fn open_mail(config: &Config, base: &Base) -> Result<OpenMail, BadSmtpUrl> {
    let mut outbox = None;
    let transport: Arc<dyn Transport> = match &config.mail {
        MailConfig::Outbox => outbox.insert(Arc::new(Outbox::new(base))).clone(),
        MailConfig::Ses(ses) => Arc::new(Ses::new(ses, base.clock.clone()).await),
        MailConfig::Smtp(smtp) => Arc::new(Smtp::new(smtp, base.clock.clone())?),
    };
    let transport = MeteredTransport::over(transport, base.metrics.mail_sends.clone());
    Ok(OpenMail { transport, rate: config.mail.sender().map(|sender| sender.rate), outbox })
}

impl OpenMail {
    /// The handler of the jobs that send emails.
    pub fn mailer(&self, base: &Base, templates: Templates) -> Mailer {
        let mailer = Mailer::new(base.store.clone(), base.clock.clone(), templates, self.transport.clone());
        match self.rate {
            Some(rate) => mailer.at_rate(rate),
            None => mailer,
        }
    }
}

/// Verifies the messages of SNS, where emails go through SES.
pub(super) fn open_sns(config: &Config, hosts: Arc<dyn Hosts>) -> Option<Sns> {
    match &config.mail {
        MailConfig::Ses(ses) => Some(Sns::new(ses.topics.clone(), hosts)),
        MailConfig::Outbox | MailConfig::Smtp(_) => None,
    }
}

/// The listener for metrics, if one is configured. A command that runs beside the service (`admin`, `check`) has none.
pub(super) async fn open_metrics_page(
    config: &Config,
    access: Access,
    base: &Base,
) -> Result<Option<MetricsPage>, AssembleError> {
    let Some(address) = config.metrics_listen.filter(|_| access == Access::Serving) else { return Ok(None) };
    let bound = MetricsPage::bind(address, base.metrics.clone()).await;
    bound.map(Some).map_err(|error| AssembleError::Metrics { address, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_this_user_can_open_a_new_data_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        make_folder(&data).unwrap();
        make_folder(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
