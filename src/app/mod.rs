//! The composition root: configuration → base → services → features → the interface and the workers.
//!
//! `serve`, `openapi`, `demo`, `admin` and the tests all call [`App::assemble`], so there is one wiring. A new feature adds
//! two lines to it: one that makes its service, and one that adds what it offers.

mod parts;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::EndpointExt;
use tokio_util::task::AbortOnDropHandle;

use crate::base::{Base, OpenBaseError};
use crate::config::{Config, Event, Product};
use crate::features::accounts::{self, Accounts, Passwords};
use crate::features::announcements;
use crate::features::api_keys::{self, ApiKeys};
use crate::features::audit::{self as audit_log, AuditLog};
use crate::features::bursaries::{self, Bursaries};
use crate::features::bursary_requests;
use crate::features::grouping::{self, Grouping};
use crate::features::groups::{self, Groups};
use crate::features::jobs::{self as background_jobs, JobDesk};
use crate::features::leaders::{self, Leaders};
use crate::features::mailings::{self, Mailings};
use crate::features::payments::{self, BadAccount, BadSecrets, Payments, Sale, Sandbox};
use crate::features::previews;
use crate::features::products::{self, ProductSale, Products};
use crate::features::registration::{self, CopiesOfAccounts, OrientationSale, Registrations};
use crate::features::reports::{self, Reports};
use crate::features::rights::{self, RightsRequests};
use crate::features::schedule::{self, Schedule};
use crate::features::second_factor::{self, SecondFactors};
use crate::features::sessions::{self, Sessions};
use crate::features::student_mails;
use crate::features::students::{self, Students};
use crate::features::subscriptions::{self, Subscriptions};
use crate::features::suppressions::{self, Suppressions};
use crate::features::tickets::{self, BadFonts, Fonts, Tickets};
use crate::features::{Feature, event, faq, health, outbox};
use crate::http::pages::{self, FirstPage, HtmlErrors};
use crate::http::{Api, ApiParts, Document, MetricsPage, Server};
use crate::kernel::{Clock, Ids};
use crate::platform::audit;
use crate::platform::idempotency;
use crate::platform::jobs::{self, Crons, Workers};
use crate::platform::keys;
use crate::platform::mail::sns::{AwsHosts, Hosts};
use crate::platform::mail::{self, BadSmtpUrl, BulkMailer, DuplicateTemplate, Templates};
use crate::platform::signals::wake_after_commit;
use crate::platform::store::{Access, Schema, Store, StoreError};

pub(crate) use parts::{STORE_FILE, make_folder};

/// How long requests and jobs that are under way may take after the signal to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole service, wired.
pub struct App {
    /// Data that must not be lost.
    pub store: Store,
    /// Accounts, for the command line: `admin create`.
    pub accounts: Arc<Accounts>,
    /// Orders and their payments, for the command line: `reconcile`, `check`.
    pub payments: Arc<Payments>,
    base: Base,
    api: Api,
    sandbox: Option<Arc<Sandbox>>,
    workers: Workers,
    metrics_page: Option<MetricsPage>,
}

/// Why [`App::assemble`] fails.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Base(#[from] OpenBaseError),
    #[error("STRIPE_WEBHOOK_SECRETS: {0}")]
    Secrets(#[from] BadSecrets),
    #[error("STRIPE_SECRET_KEY: {0}")]
    Account(#[from] BadAccount),
    #[error("{0}")]
    Emails(#[from] DuplicateTemplate),
    #[error("ORIENTATION_SMTP_URL: {0}")]
    Smtp(#[from] BadSmtpUrl),
    #[error("ORIENTATION_FONTS: {0}")]
    Fonts(#[from] BadFonts),
    #[error("{folder}: {error}")]
    Folder { folder: String, error: std::io::Error },
    #[error("ORIENTATION_METRICS_LISTEN: can't listen on {address}: {error}")]
    Metrics { address: SocketAddr, error: std::io::Error },
}

/// The collections of the store, by the part that writes them.
pub(crate) fn schemas() -> Vec<Schema> {
    [
        accounts::schemas(),
        announcements::schemas(),
        api_keys::schemas(),
        audit::schemas(),
        bursary_requests::schemas(),
        faq::schemas(),
        grouping::schemas(),
        groups::schemas(),
        health::schemas(),
        idempotency::schemas(),
        jobs::schemas(),
        keys::schemas(),
        leaders::schemas(),
        mail::schemas(),
        mailings::schemas(),
        outbox::schemas(),
        payments::schemas(),
        products::schemas(),
        registration::schemas(),
        reports::schemas(),
        rights::schemas(),
        schedule::schemas(),
        second_factor::schemas(),
        students::schemas(),
        suppressions::schemas(),
    ]
    .concat()
}

/// The features that sell a product, by its id.
fn sales(event: &Event, groups: &Arc<Groups>) -> HashMap<String, Arc<dyn Sale>> {
    let sale = |product: &Product| -> Arc<dyn Sale> {
        match product.id.as_str() {
            Product::ORIENTATION => Arc::new(OrientationSale::new(groups)),
            _ => Arc::new(ProductSale),
        }
    };
    event.products.iter().map(|product| (product.id.clone(), sale(product))).collect()
}

impl App {
    /// Wires the service that `config` describes. The store is created if it isn't there.
    ///
    /// # Errors
    /// If the folder or the store can't be opened, another process serves from it ([`Access::Serving`]), or a key or
    /// secret is malformed.
    pub async fn assemble(
        config: Config,
        access: Access,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, AssembleError> {
        Self::assemble_among(config, access, clock, ids, Arc::new(AwsHosts::new())).await
    }

    /// The same with other hosts than those of AWS, for tests.
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
        let store = parts::open_store(&config, access).await?;
        let base = Base::open(&config, store, clock, ids).await?;
        let metrics_page = parts::open_metrics_page(&config, access, &base).await?;
        let mail = parts::open_mail(&config, &base).await?;
        let money = parts::open_gateway(&config, &base).await?;

        // Services, each after those that it uses.
        let passwords = Passwords::on_all_cores(base.ids.clone());
        let accounts = Accounts::new(&base, passwords, mail.transport.clone());
        let accounts = Arc::new(accounts.copied_by(Arc::new(CopiesOfAccounts)));
        let second_factors = Arc::new(SecondFactors::new(&base, &accounts));
        let sessions = Arc::new(Sessions::new(&base, &accounts, &second_factors));
        let leaders = Arc::new(Leaders::new(&base));
        let api_keys = Arc::new(ApiKeys::new(&base));
        let rights_requests = Arc::new(RightsRequests::new(&base));
        let groups = Arc::new(Groups::new(&base));
        let payments =
            Arc::new(Payments::new(&base, money.gateway, money.webhook, sales(&base.event, &groups)));
        let registrations = Arc::new(Registrations::new(&base, &groups, &payments));
        let products = Arc::new(Products::new(&base, &payments));
        let bursaries = Arc::new(Bursaries::new(&base, &payments));
        let tickets = Arc::new(Tickets::new(&base, Fonts::with(&config.fonts)?));
        let students = Arc::new(Students::new(&base, &registrations));
        let grouping = Arc::new(Grouping::new(&base, &groups, &registrations, &students));
        let schedule = Arc::new(Schedule::new(&base));
        let mailings = Arc::new(Mailings::new(&base, &students));
        let subscriptions = Arc::new(Subscriptions::new(&base));
        let suppressions = Arc::new(Suppressions::new(&base, parts::open_sns(&config, hosts)));

        let reports = Arc::new(Reports::new(&base));

        // What each feature adds: operations (the document shows them in this order), pages, emails, jobs.
        let features = event::feature(&base, &registration::form_fields(&base.event))
            .and(accounts::feature(&base, &accounts))
            .and(sessions::feature(&base, &sessions))
            .and(leaders::feature(&base, &leaders))
            .and(rights::feature(&base, &rights_requests))
            .and(api_keys::feature(&api_keys))
            .and(second_factor::feature(&base, &second_factors))
            .and(registration::feature(&base, &registrations))
            .and(payments::feature(&base, &payments, money.sandbox.as_ref()))
            .and(products::feature(&base, &products))
            .and(tickets::feature(&base, &tickets))
            .and(bursaries::feature(&base, &bursaries))
            .and(student_mails::feature(&base))
            .and(grouping::feature(&base, &grouping))
            .and(students::feature(&students))
            .and(announcements::feature(&base))
            .and(schedule::feature(&base, &schedule))
            .and(faq::feature(&base))
            .and(mailings::feature(&base, &mailings))
            .and(subscriptions::feature(&base, &subscriptions))
            .and(suppressions::feature(&base, &suppressions))
            .and(reports::feature(&base, &reports))
            .and(background_jobs::feature(&Arc::new(JobDesk::new(&base))))
            .and(audit_log::feature(&base, &Arc::new(AuditLog::new(&base))))
            .and(outbox::feature(&base, mail.outbox.as_ref()))
            .and(health::feature(&base))
            .and(Feature::new().sweeps(&base, "11 * * * *", idempotency::old_keys()));

        let templates = Templates::new(features.emails)?;
        let mailer = Arc::new(mail.mailer(&base, templates.clone()));
        let bulk = Arc::new(BulkMailer(mailer.clone()));
        let workers = Workers::new(
            base.store.clone(),
            base.signals.clone(),
            base.clock.clone(),
            base.ids.clone(),
            features.subscribers.with(mailer).with(bulk),
            Crons::new(base.event.time_zone, features.crons),
        )
        .counted_by(base.metrics.job_runs.clone());
        let outbox = mail.outbox.is_some();
        let samples_for_all = outbox && !base.rehearsal;
        let previews = previews::pages(&base, &templates, samples_for_all);
        let first = FirstPage { outbox, samples_for_all, sandbox: money.sandbox.is_some() };
        let pages = pages::front(&base.page_layout, first).and(features.pages).and(previews);
        let any_origin = pages.any_origin().to_vec();
        let pages = pages.into_route();
        let api = Api::new(
            features.controller,
            pages.with(HtmlErrors(base.page_layout.clone())),
            ApiParts {
                public_url: config.public_url,
                frontend_url: config.frontend_url,
                trusted_proxies: config.trusted_proxies,
                callers: sessions,
                machines: api_keys,
                rules: features.rules,
                any_origin,
                page_layout: base.page_layout.clone(),
            },
        )
        .counted_by(&base.metrics.requests);

        if access == Access::Serving {
            payments.prepare_stocks().await?;
        }
        let (store, sandbox) = (base.store.clone(), money.sandbox);
        Ok(Self { store, accounts, payments, base, api, sandbox, workers, metrics_page })
    }

    /// The OpenAPI document that is served.
    pub fn document(&self) -> &Document {
        self.api.document()
    }

    /// Serves until `stop`, then finishes the requests that are under way. Other processes run the jobs.
    pub async fn serve(self, server: Server, stop: impl Future<Output = ()>) {
        let _measuring = serve_metrics(self.metrics_page);
        wake_after_commit(&self.base.store, self.base.signals);
        let server = server.counted_by(self.base.metrics.connections.clone());
        if let Some(sandbox) = &self.sandbox {
            sandbox.listening_at(server.local_addr());
        }
        server.serve(self.api.into_endpoint(), stop).await;
    }

    /// Runs jobs until `stop`, then finishes those that are under way. Other processes serve, at the public URL.
    pub async fn work(self, stop: impl Future<Output = ()>) {
        let _measuring = serve_metrics(self.metrics_page);
        let working = self.workers.start();
        stop.await;
        working.drain(PATIENCE).await;
    }

    /// Serves and runs jobs until `stop`, then finishes what is under way.
    pub async fn run(self, server: Server, stop: impl Future<Output = ()>) {
        let _measuring = serve_metrics(self.metrics_page);
        let server = server.counted_by(self.base.metrics.connections.clone());
        if let Some(sandbox) = &self.sandbox {
            sandbox.listening_at(server.local_addr());
        }
        let working = self.workers.start();
        server.serve(self.api.into_endpoint(), stop).await;
        working.drain(PATIENCE).await;
    }

    /// The kinds of background jobs, each with the number of failures after which a job is dead.
    pub fn job_kinds(&self) -> Vec<(&'static str, u32)> {
        self.workers.kinds()
    }

    /// The address where metrics can be read, if there is one.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_page.as_ref().map(MetricsPage::local_addr)
    }
}

/// Serves metrics until the handle is dropped, which is after the last requests and jobs.
fn serve_metrics(page: Option<MetricsPage>) -> Option<AbortOnDropHandle<()>> {
    page.map(|page| AbortOnDropHandle::new(tokio::spawn(page.serve())))
}
