//! The composition root: configuration → platform → services → controllers, subscribers, pages.
//!
//! `serve`, `openapi`, `demo`, `admin` and the tests all call [`App::assemble`]: there is one wiring.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poem::{EndpointExt, Route};
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, MailConfig, Product};
use crate::features::accounts::{
    self, AccountSweeps, Accounts, AccountsController, EmailParts, Passwords, SweepAccounts,
};
use crate::features::event::EventController;
use crate::features::health::{Health, HealthController};
use crate::features::outbox::{self, Outbox};
use crate::features::payments::{
    self, BadAccount, BadSecrets, EventSweeps, Gateway, OpenCheckouts, Payments, PaymentsController,
    ReconcilePayments, Reconciliations, Refunds, Sale, Sandbox, SandboxDeliveries, SandboxSweeps, Source,
    Stripe, SweepEvents, SweepSandbox, Webhook,
};
use crate::features::registration::{self, OrientationSale, RegistrationController, Registrations};
use crate::features::suppressions::{
    self, NotificationSweeps, Suppressions, SuppressionsController, SweepNotifications,
};
use crate::features::tickets::{self, Tickets, TicketsController};
use crate::http::pages::{self, FirstPage, HtmlErrors, PageLayout};
use crate::http::{Api, ApiParts, Document, Metered, MetricsPage, Server, SessionCookie};
use crate::kernel::{Clock, Ids, Secret};
use crate::platform::jobs::{self, Crons, Jobs, Subscribers, Workers};
use crate::platform::keys::{self, Keys, KeysError, Sealer};
use crate::platform::mail::sns::{AwsHosts, Hosts, Sns};
use crate::platform::mail::{
    self, BadSmtpUrl, BulkMailer, DuplicateTemplate, EmailLayout, Mailer, MeteredTransport, Ses, Smtp,
    Templates, Transport,
};
use crate::platform::metrics::Metrics;
use crate::platform::signals::{InProcess, Redis, RedisError, Signals, wake_after_commit};
use crate::platform::store::{Access, Schema, Store, StoreError};

/// The embedded store's file in its folder.
pub(crate) const STORE_FILE: &str = "orientation.db";

/// How long requests and jobs that are under way may go on after the word to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything, wired.
pub struct App {
    /// What must not be lost.
    pub store: Store,
    /// Accounts, for those who have no session yet: `admin create`.
    pub accounts: Arc<Accounts>,
    /// Orders and their money, for those who have no session: `reconcile`, `check`.
    pub payments: Arc<Payments>,
    api: Api,
    sandbox: Option<Arc<Sandbox>>,
    signals: Arc<dyn Signals>,
    workers: Workers,
    metrics: Arc<Metrics>,
    metrics_page: Option<MetricsPage>,
}

/// Why the parts don't come together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Keys(#[from] KeysError),
    #[error("ORIENTATION_REDIS_URL: {0}")]
    Redis(#[from] RedisError),
    #[error("STRIPE_WEBHOOK_SECRETS: {0}")]
    Secrets(#[from] BadSecrets),
    #[error("STRIPE_SECRET_KEY: {0}")]
    Account(#[from] BadAccount),
    #[error("{0}")]
    Emails(#[from] DuplicateTemplate),
    #[error("ORIENTATION_SMTP_URL: {0}")]
    Smtp(#[from] BadSmtpUrl),
    #[error("{folder}: {error}")]
    Folder { folder: String, error: std::io::Error },
    #[error("ORIENTATION_METRICS_LISTEN: can't listen on {address}: {error}")]
    Metrics { address: SocketAddr, error: std::io::Error },
}

impl App {
    /// Wires everything on the store in `config.data`, which is made if it isn't there.
    ///
    /// # Errors
    /// If the folder or the store can't be opened, another process serves from it ([`Access::Serving`]), or a key or
    /// secret is no good.
    pub async fn assemble(
        config: Config,
        access: Access,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, AssembleError> {
        Self::assemble_among(config, access, clock, ids, Arc::new(AwsHosts::new())).await
    }

    /// The same among other hosts than AWS's own: tests play them.
    ///
    /// # Errors
    /// Those of [`App::assemble`].
    pub async fn assemble_among(
        config: Config,
        access: Access,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        hosts: Arc<dyn Hosts>,
    ) -> Result<Self, AssembleError> {
        let store = open_store(&config, access).await?;
        let keys = Arc::new(Keys::load(&store, &*ids, clock.now(), &config.keys).await?);
        let signals = Metered::over(open_signals(&config, &store, &keys).await?);
        let metrics = Arc::new(Metrics::new(store.clone(), signals.clone(), clock.clone()));
        let metrics_page = open_metrics_page(&config, access, &metrics).await?;
        let email_layout = EmailLayout::new(&config);
        let page_frame = Arc::new(PageLayout::new(&config));

        let accounts = Arc::new(Accounts::new(
            store.clone(),
            clock.clone(),
            ids.clone(),
            signals.clone(),
            keys.clone(),
            Passwords::on_all_cores(ids.clone()),
            config.pages_url().clone(),
        ));
        let (gateway, webhook, sandbox) = open_gateway(&config, &store, &clock, &*ids).await?;
        let payments = Arc::new(Payments::new(payments::Parts {
            store: store.clone(),
            clock: clock.clone(),
            signals: signals.clone(),
            gateway: payments::Measured::over(gateway, metrics.gateway_calls.clone()),
            webhook,
            pages: config.pages_url().clone(),
            sales: HashMap::from([(
                Product::ORIENTATION.to_owned(),
                Arc::new(OrientationSale) as Arc<dyn Sale>,
            )]),
        }));
        let registrations = Arc::new(Registrations::new(registration::Parts {
            store: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            signals: signals.clone(),
            payments: payments.clone(),
            event: Arc::new(config.event.clone()),
        }));
        let tickets = Arc::new(Tickets::new(store.clone(), keys.clone(), &config));
        let outbox = Arc::new(Outbox::new(store.clone(), clock.clone()));

        let letters = EmailParts::new(store.clone(), clock.clone(), keys, &config);
        let templates = Templates::new(
            [
                accounts::templates(letters),
                registration::templates(&store, &config),
                tickets::templates(&email_layout, &tickets),
            ]
            .concat(),
        )?;
        let transport = MeteredTransport::over(
            open_transport(&config, &clock, &outbox).await?,
            metrics.mail_sends.clone(),
        );
        let mailer = Mailer::new(store.clone(), clock.clone(), templates, transport);
        let mailer = match config.mail.sender() {
            Some(sender) => mailer.at_rate(sender.rate),
            None => mailer,
        };
        let mailer = Arc::new(mailer);
        let suppressions = Arc::new(Suppressions::new(
            store.clone(),
            clock.clone(),
            ids.clone(),
            topics(&config).map(|topics| Sns::new(topics, hosts)),
        ));

        let mut subscribers = Subscribers::new()
            .with(Arc::new(BulkMailer(mailer.clone())))
            .with(mailer)
            .with(Arc::new(AccountSweeps(accounts.clone())))
            .with(Arc::new(NotificationSweeps(suppressions.clone())))
            .with(Arc::new(OpenCheckouts(payments.clone())))
            .with(Arc::new(Refunds(payments.clone())))
            .with(Arc::new(Reconciliations(payments.clone())))
            .with(Arc::new(EventSweeps(payments.clone())));
        let mut crons = Crons::new(config.event.time_zone)
            .with("accounts.sweep", "41 * * * *", |_| SweepAccounts {})
            .with("notifications.sweep", "52 4 * * *", |_| SweepNotifications {})
            .with("payments.reconcile", "*/5 * * * *", |_| ReconcilePayments {})
            .with("payments.sweep", "17 4 * * *", |_| SweepEvents {});
        if let Some(sandbox) = &sandbox {
            subscribers = subscribers
                .with(Arc::new(SandboxDeliveries(sandbox.clone())))
                .with(Arc::new(SandboxSweeps(sandbox.clone())));
            crons = crons.with("sandbox.sweep", "* * * * *", |_| SweepSandbox {});
        }
        let workers = Workers::new(store.clone(), signals.clone(), clock.clone(), ids, subscribers, crons)
            .counted_by(metrics.job_runs.clone());

        let controllers = (
            EventController::new(&config.event, clock.clone()),
            AccountsController::new(accounts.clone(), SessionCookie::new(&config.public_url)),
            RegistrationController::new(registrations),
            PaymentsController::new(payments.clone()),
            TicketsController::new(tickets),
            SuppressionsController::new(suppressions),
            HealthController::new(Arc::new(Health::new(Jobs::new(store.clone(), clock), signals.clone()))),
        );
        let mail_stays_here = matches!(config.mail, MailConfig::Outbox);
        let first = FirstPage { outbox: mail_stays_here, sandbox: sandbox.is_some() };
        let readers = match config.rehearsal {
            true => outbox::Access::Administrators,
            false => outbox::Access::Anybody,
        };
        let route = pages::routes(Route::new(), page_frame.clone(), first);
        let route = accounts::routes(route, page_frame.clone(), accounts.clone());
        let route = payments::routes(route, page_frame.clone(), payments.clone(), sandbox.clone());
        let route = match mail_stays_here {
            true => outbox::routes(route, page_frame.clone(), outbox, readers),
            false => route,
        };
        let api = Api::new(
            controllers,
            route.with(HtmlErrors(page_frame)),
            ApiParts {
                public_url: config.public_url.clone(),
                frontend_url: config.frontend_url.clone(),
                trusted_proxies: config.trusted_proxies.clone(),
                sessions: accounts.clone(),
                rules: accounts::rules().into_iter().chain([registration::rule(&config.event)]).collect(),
            },
        )
        .counted_by(&metrics.requests);

        Ok(Self { store, accounts, payments, api, sandbox, signals, workers, metrics, metrics_page })
    }

    /// The document that is served.
    pub fn document(&self) -> &Document {
        self.api.document()
    }

    /// Serves until `stop`, then finishes the requests that are under way. Others work on the jobs.
    pub async fn serve(self, server: Server, stop: impl Future<Output = ()>) {
        let _measuring = serve_metrics(self.metrics_page);
        let server = server.counted_by(self.metrics.connections.clone());
        wake_after_commit(&self.store, self.signals);
        if let Some(sandbox) = &self.sandbox {
            sandbox.listening_at(server.local_addr());
        }
        server.serve(self.api.into_endpoint(), stop).await;
    }

    /// Works on jobs until `stop`, then finishes those that are under way. Others serve, at the public URL.
    pub async fn work(self, stop: impl Future<Output = ()>) {
        let _measuring = serve_metrics(self.metrics_page);
        let working = self.workers.start();
        stop.await;
        working.drain(PATIENCE).await;
    }

    /// Where metrics can be read, if they can.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_page.as_ref().map(MetricsPage::local_addr)
    }

    /// Serves and works until `stop`; then finishes what is under way.
    pub async fn run(self, server: Server, stop: impl Future<Output = ()>) {
        let _measuring = serve_metrics(self.metrics_page);
        let server = server.counted_by(self.metrics.connections.clone());
        if let Some(sandbox) = &self.sandbox {
            sandbox.listening_at(server.local_addr());
        }
        let working = self.workers.start();
        server.serve(self.api.into_endpoint(), stop).await;
        working.drain(PATIENCE).await;
    }
}

/// Where metrics are read; `None` where nobody is to, and beside a service that runs (`admin`, `check`).
async fn open_metrics_page(
    config: &Config,
    access: Access,
    metrics: &Arc<Metrics>,
) -> Result<Option<MetricsPage>, AssembleError> {
    let Some(address) = config.metrics_listen.filter(|_| access == Access::Serving) else { return Ok(None) };
    let bound = MetricsPage::bind(address, metrics.clone()).await;
    bound.map(Some).map_err(|error| AssembleError::Metrics { address, error })
}

/// Serves metrics, if somewhere, until the handle is dropped: while requests and jobs come to their end, too.
fn serve_metrics(page: Option<MetricsPage>) -> Option<AbortOnDropHandle<()>> {
    page.map(|page| AbortOnDropHandle::new(tokio::spawn(page.serve())))
}

/// The store that is configured, made and migrated.
async fn open_store(config: &Config, access: Access) -> Result<Store, AssembleError> {
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

/// What carries signals. Names at Redis begin with the store's, so that several faculties may share one.
async fn open_signals(
    config: &Config,
    store: &Store,
    keys: &Keys,
) -> Result<Arc<dyn Signals>, AssembleError> {
    let Some(url) = &config.redis else { return Ok(Arc::new(InProcess::new(config.limits))) };
    // The same in all processes, and nobody is ever told.
    let pepper = Secret::new(keys.seal("signals", "limits"));
    let prefix = format!("orientation:{}:", store.name());
    Ok(Arc::new(Redis::connect(url, &prefix, config.limits, pepper).await?))
}

/// What takes letters away.
async fn open_transport(
    config: &Config,
    clock: &Arc<dyn Clock>,
    outbox: &Arc<Outbox>,
) -> Result<Arc<dyn Transport>, BadSmtpUrl> {
    Ok(match &config.mail {
        MailConfig::Outbox => outbox.clone(),
        MailConfig::Ses(ses) => Arc::new(Ses::new(ses).await),
        MailConfig::Smtp(smtp) => Arc::new(Smtp::new(smtp, clock.clone())?),
    })
}

/// The topics by which SES tells of letters, where it takes them.
fn topics(config: &Config) -> Option<Vec<String>> {
    match &config.mail {
        MailConfig::Ses(ses) => Some(ses.topics.clone()),
        MailConfig::Outbox | MailConfig::Smtp(_) => None,
    }
}

/// Who takes the money, whose events are believed, and the sandbox if it is the one.
async fn open_gateway(
    config: &Config,
    store: &Store,
    clock: &Arc<dyn Clock>,
    ids: &dyn Ids,
) -> Result<(Arc<dyn Gateway>, Webhook, Option<Arc<Sandbox>>), AssembleError> {
    if let Some(account) = &config.stripe {
        let webhook =
            Webhook::new(Source::Stripe { live: account.live }, config.stripe_webhook_secrets.clone())?;
        return Ok((Arc::new(Stripe::new(account)?), webhook, None));
    }
    let sandbox = Sandbox::start(store.clone(), clock.clone(), ids, config).await?;
    let webhook = Webhook::new(Source::Sandbox, sandbox.secrets())?;
    Ok((sandbox.clone(), webhook, Some(sandbox)))
}

/// Makes the folder if it isn't there, for this user alone: keys and forms lie in it.
pub(crate) fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// All documents there are.
pub(crate) fn schemas() -> Vec<Schema> {
    [
        accounts::schemas(),
        jobs::schemas(),
        keys::schemas(),
        mail::schemas(),
        outbox::schemas(),
        payments::schemas(),
        registration::schemas(),
        suppressions::schemas(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_else_on_the_machine_looks_into_a_data_folder_that_we_made() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        make_folder(&data).unwrap();
        make_folder(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
