//! A gateway that simulates Stripe, for newcomers and tests. Checkouts are documents, the buttons of a page decide what
//! happens to them, and signed events report it to the service's own webhook.

mod delivery;
mod documents;
mod jobs;
mod stripe_json;

pub use documents::{Button, SandboxCheckout, SandboxRefund, SandboxSecret, SandboxStatus};
pub use jobs::{DeliverSandboxEvent, SweepSandbox};

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use self::delivery::schedule;
use self::documents::{SandboxEvent, refund_id, session_id, session_of_intent};
use super::{Checkout, CheckoutList, CheckoutRequest, Gateway, GatewayError, Refund, RefundRequest};
use crate::base::Base;
use crate::config::SANDBOX_SECRET;
use crate::kernel::{Clock, Ids, Secret, Timestamp, faults};
use crate::platform::store::{Cursor, Dir, Filter, PageError, Query, Store, StoreError};

/// The shortest and the longest lifetime of a checkout, as at Stripe.
const LIFETIME: (Duration, Duration) = (Duration::from_secs(30 * 60), Duration::from_secs(24 * 3600));

/// The job that delivers *completed* waits this long, because the page delivers it at once.
const DELIVER_AFTER: Duration = Duration::from_secs(10);

/// Why a button had no effect.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    #[error("there is no such checkout")]
    Unknown,
    #[error("the checkout can no longer be paid")]
    Over(Box<SandboxCheckout>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The gateway that simulates Stripe.
pub struct Sandbox {
    store: Store,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    /// The webhook accepts all of them; the first signs.
    secrets: Vec<Secret<String>>,
    public_url: Url,
    /// The address that the service listens on, once it does.
    listening: OnceLock<SocketAddr>,
}

impl Sandbox {
    /// Starts the sandbox with the configured webhook secrets, or, if there are none, with one that the first process
    /// generates and stores.
    ///
    /// # Errors
    /// [`StoreError`] if the secret can't be read or stored.
    pub async fn start(base: &Base, configured: &[Secret<String>]) -> Result<Arc<Self>, StoreError> {
        let (store, clock, public_url) = (base.store.clone(), base.clock.clone(), base.public_url.clone());
        let secrets = match configured {
            [] => vec![own_secret(&store, &*base.ids, clock.now()).await?],
            configured => configured.to_vec(),
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            // Shorter than the server's own limit for idle connections.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .expect("a client without TLS and proxies needs nothing that could be missing");
        Ok(Arc::new(Self { store, clock, http, secrets, public_url, listening: OnceLock::new() }))
    }

    /// The secrets that verify its events.
    pub fn secrets(&self) -> Vec<Secret<String>> {
        self.secrets.clone()
    }

    /// The checkout, and whether it can be paid.
    ///
    /// # Errors
    /// [`StoreError`] if it can't be read.
    pub async fn checkout(&self, session: &str) -> Result<Option<(SandboxCheckout, bool)>, StoreError> {
        let checkout = self.store.get::<SandboxCheckout>(session).await?;
        Ok(checkout.map(|checkout| {
            let open = checkout.is_open(self.clock.now());
            (checkout, open)
        }))
    }

    /// Handles a button of the checkout page: completes the checkout and records the jobs that report it in one
    /// transaction, then reports it at once. A second press of the same button within a few minutes changes nothing and
    /// returns what the first achieved.
    ///
    /// # Errors
    /// [`PressError`] if nothing was changed.
    pub async fn press(&self, session: &str, button: Button) -> Result<SandboxCheckout, PressError> {
        let now = self.clock.now();
        let checkout = self
            .store
            .transact(async |tx| {
                let mut checkout = tx.get::<SandboxCheckout>(session).await?.ok_or(PressError::Unknown)?;
                if checkout.repeats(button, now) {
                    return Ok(checkout);
                }
                let Ok(events) = checkout.press(button, now) else {
                    return Err(PressError::Over(Box::new(checkout)));
                };
                tx.put(&checkout).await?;
                for (event, at) in events {
                    let at = if event == SandboxEvent::Completed { at.plus(DELIVER_AFTER) } else { at };
                    schedule(&tx, &checkout, event, now, at).await?;
                }
                Ok(checkout)
            })
            .await?;
        faults::point("sandbox.after-press");
        self.deliver_completed_now(session).await;
        Ok(checkout)
    }

    /// Expires the checkouts whose time is over, and reports each.
    ///
    /// # Errors
    /// [`StoreError`]; what was expired before the error stays expired.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        const PAGE: u32 = 200;
        loop {
            let now = self.clock.now();
            let over = Filter::eq("status", "open").and(Filter::Le("expiresAt".into(), now.into()));
            let over = Query::new(over).sort("expiresAt", Dir::Asc).limit(PAGE);
            let over = self.store.find::<SandboxCheckout>(over).await?;
            for checkout in &over {
                self.end(&checkout.id, now).await?;
            }
            if over.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Expires a checkout; returns whether it was open.
    async fn end(&self, session: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.store
            .transact(async |tx| {
                let Some(mut checkout) = tx.get::<SandboxCheckout>(session).await? else {
                    return Ok(false);
                };
                if checkout.end(now).is_err() {
                    return Ok(false);
                }
                tx.put(&checkout).await?;
                schedule(&tx, &checkout, SandboxEvent::Expired, now, now).await?;
                Ok(true)
            })
            .await
    }

    fn view(&self, checkout: &SandboxCheckout) -> Checkout {
        let base = self.public_url.as_str().trim_end_matches('/');
        Checkout {
            session: checkout.id.clone(),
            order: Some(checkout.request.order.clone()),
            attempt: Some(checkout.request.attempt),
            url: Some(format!("{base}/sandbox/checkout/{}", checkout.id)),
            status: checkout.status_at(self.clock.now()),
            money: Some(checkout.request.due()),
            intent: checkout.intent(),
        }
    }

    async fn refunded_before(&self, refund: &SandboxRefund) -> Result<Refund, GatewayError> {
        match self.store.get::<SandboxRefund>(&refund.id).await {
            Ok(Some(kept)) if kept.request == refund.request => Ok(Refund { id: kept.id }),
            Ok(Some(_)) => Err(key_reused()),
            Ok(None) => Err(GatewayError::Unavailable("a refund exists but can't be read".into())),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn opened_before(&self, request: &CheckoutRequest) -> Result<Option<Checkout>, GatewayError> {
        match self.store.get::<SandboxCheckout>(&session_id(&request.idempotency_key)).await {
            Ok(None) => Ok(None),
            Ok(Some(kept)) if kept.request == *request => Ok(Some(self.view(&kept))),
            Ok(Some(_)) => Err(key_reused()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn unavailable(error: &StoreError) -> GatewayError {
    GatewayError::Unavailable(error.to_string())
}

fn refused(reason: &str) -> GatewayError {
    GatewayError::Refused(reason.into())
}

fn key_reused() -> GatewayError {
    refused("the idempotency key was used with other parameters")
}

#[async_trait]
impl Gateway for Sandbox {
    async fn open(&self, request: &CheckoutRequest) -> Result<Checkout, GatewayError> {
        let now = self.clock.now();
        let lifetime = request.expires_at.since(now);
        if lifetime < LIFETIME.0 || lifetime > LIFETIME.1 {
            let out_of_range = || refused("the checkout must expire in 30 minutes to 24 hours");
            return self.opened_before(request).await?.ok_or_else(out_of_range);
        }
        let checkout = SandboxCheckout::new(request, now);
        match self.store.insert(&checkout).await {
            Ok(()) => Ok(self.view(&checkout)),
            Err(StoreError::Duplicate { .. }) => {
                let lost = || GatewayError::Unavailable("a checkout exists but can't be read".into());
                self.opened_before(request).await?.ok_or_else(lost)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn retrieve(&self, session: &str) -> Result<Option<Checkout>, GatewayError> {
        let checkout = self.store.get::<SandboxCheckout>(session).await;
        let checkout = checkout.map_err(|error| unavailable(&error))?;
        Ok(checkout.map(|checkout| self.view(&checkout)))
    }

    async fn expire(&self, session: &str) -> Result<(), GatewayError> {
        match self.end(session, self.clock.now()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(refused("only an open checkout can be expired")),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn refund(&self, request: &RefundRequest) -> Result<Refund, GatewayError> {
        let now = self.clock.now();
        let session = session_of_intent(&request.intent);
        let id = refund_id(&request.idempotency_key);
        let refund = SandboxRefund { id, request: request.clone(), created_at: now };
        let made = self
            .store
            .transact(async |tx| {
                tx.insert(&refund).await?;
                let checkout = tx.get::<SandboxCheckout>(&session).await?;
                let mut checkout = checkout.ok_or(PressError::Unknown)?;
                if checkout.refund(refund.request.amount.amount, now).is_err() {
                    return Err(PressError::Over(Box::new(checkout)));
                }
                tx.put(&checkout).await?;
                schedule(&tx, &checkout, SandboxEvent::Refunded, now, now).await?;
                Ok(())
            })
            .await;
        match made {
            Ok(()) => Ok(Refund { id: refund.id }),
            Err(PressError::Unknown) => Err(refused("there is no such payment")),
            Err(PressError::Over(_)) => Err(refused("the refund is greater than what is left")),
            Err(PressError::Store(StoreError::Duplicate { .. })) => self.refunded_before(&refund).await,
            Err(PressError::Store(error)) => Err(unavailable(&error)),
        }
    }

    async fn list(&self, since: Timestamp, after: Option<&str>) -> Result<CheckoutList, GatewayError> {
        const PAGE: u32 = 100;
        let created = Filter::range("createdAt", Some(since.into()), None);
        let newest_first = Query::new(created).sort("createdAt", Dir::Desc).limit(PAGE);
        let after = after.map(|cursor| Cursor::from(cursor.to_owned()));
        let page = self.store.page::<SandboxCheckout>(newest_first, after.as_ref()).await;
        let page = page.map_err(|error| match error {
            PageError::BadCursor => refused("the list has no such page"),
            PageError::Store(error) => unavailable(&error),
        })?;
        let next = page.next.map(|cursor| cursor.as_str().to_owned());
        Ok(CheckoutList { items: page.items.iter().map(|checkout| self.view(checkout)).collect(), next })
    }

    async fn check(&self) -> Result<(), GatewayError> {
        Ok(())
    }
}

async fn own_secret(store: &Store, ids: &dyn Ids, now: Timestamp) -> Result<Secret<String>, StoreError> {
    const ID: &str = "webhook";
    let secret = format!("{SANDBOX_SECRET}{}", URL_SAFE_NO_PAD.encode(ids.secret()));
    let made = SandboxSecret { id: ID.into(), secret, created_at: now };
    match store.insert(&made).await {
        Ok(()) | Err(StoreError::Duplicate { .. }) => {}
        Err(error) => return Err(error),
    }
    let kept = store.get::<SandboxSecret>(ID).await?;
    kept.map(|kept| Secret::new(kept.secret))
        .ok_or_else(|| StoreError::Failed("the sandbox's secret was stored and is gone".into()))
}
