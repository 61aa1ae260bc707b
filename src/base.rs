//! What every feature is built on.

use std::sync::Arc;

use url::Url;

use crate::config::{Config, Event};
use crate::http::Metered;
use crate::http::pages::PageLayout;
use crate::kernel::{Clock, Ids, Secret};
use crate::platform::keys::{Keys, KeysError, Sealer};
use crate::platform::mail::EmailLayout;
use crate::platform::monitoring::Metrics;
use crate::platform::signals::{InProcess, Redis, RedisError, Signals};
use crate::platform::store::Store;

/// What every feature is built on. Clones share everything.
///
/// A service keeps the fields that it uses. A setting that one feature alone needs is not here: `app` passes it to that
/// feature's constructor.
#[derive(Clone)]
pub struct Base {
    /// Data that must not be lost.
    pub store: Store,
    /// The current time.
    pub clock: Arc<dyn Clock>,
    /// New ids and secrets.
    pub ids: Arc<dyn Ids>,
    /// Rate limits and wake-ups: data that may be lost.
    pub signals: Arc<dyn Signals>,
    /// Keys that sign tickets and seal the links in emails.
    pub keys: Arc<Keys>,
    /// Counters for Prometheus.
    pub metrics: Arc<Metrics>,
    /// The faculty's event, as in `event.toml`.
    pub event: Arc<Event>,
    /// Where the service is reached.
    pub public_url: Url,
    /// The base of the links that people follow: the frontend if there is one, else this service.
    pub pages_url: Url,
    /// Whether this is a rehearsal: emails and pages say that nothing is real.
    pub rehearsal: bool,
    /// Header and footer of every email.
    pub email_layout: EmailLayout,
    /// Header and footer of every page.
    pub page_layout: Arc<PageLayout>,
}

/// Why [`Base::open`] fails.
#[derive(Debug, thiserror::Error)]
pub enum OpenBaseError {
    #[error("{0}")]
    Keys(#[from] KeysError),
    #[error("ORIENTATION_REDIS_URL: {0}")]
    Redis(#[from] RedisError),
}

impl Base {
    /// The base on `store`, which has been prepared.
    ///
    /// # Errors
    /// [`OpenBaseError`] if the keys can't be loaded or the address of Redis is not one.
    pub async fn open(
        config: &Config,
        store: Store,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenBaseError> {
        let keys = Arc::new(Keys::load(&store, &*ids, clock.now(), &config.keys).await?);
        let signals = Metered::over(open_signals(config, &store, &keys).await?);
        Ok(Self {
            metrics: Arc::new(Metrics::new(store.clone(), signals.clone(), clock.clone())),
            store,
            clock,
            ids,
            signals,
            keys,
            event: Arc::new(config.event.clone()),
            public_url: config.public_url.clone(),
            pages_url: config.pages_url().clone(),
            rehearsal: config.rehearsal,
            email_layout: EmailLayout::new(config),
            page_layout: Arc::new(PageLayout::new(config)),
        })
    }
}

/// The configured adapter. Names in Redis begin with the store's name, so that several faculties can share one Redis.
async fn open_signals(config: &Config, store: &Store, keys: &Keys) -> Result<Arc<dyn Signals>, RedisError> {
    let Some(url) = &config.redis else { return Ok(Arc::new(InProcess::new(config.limits))) };
    // The same in all processes, and not known outside of them.
    let pepper = Secret::new(keys.seal("signals", "limits"));
    let prefix = format!("orientation:{}:", store.name());
    Ok(Arc::new(Redis::connect(url, &prefix, config.limits, pepper).await?))
}

#[cfg(test)]
pub use testing::TestBase;

#[cfg(test)]
mod testing {
    use std::collections::BTreeMap;
    use std::ops::Deref;

    use super::*;
    use crate::kernel::{ManualClock, RandomIds, Timestamp};
    use crate::platform::store::Schema;
    use crate::platform::store::testing::TestStore;

    /// A [`Base`] for unit tests: a store in a folder that is deleted with it, a clock that stands still, the shipped
    /// event, and no rate limits.
    pub struct TestBase {
        base: Base,
        /// The clock of the base.
        pub clock: Arc<ManualClock>,
        _store: TestStore,
    }

    impl Base {
        /// A base with every collection of the service.
        pub async fn for_tests() -> TestBase {
            TestBase::with_schemas(&crate::app::schemas()).await
        }
    }

    impl TestBase {
        /// The time of its clock at first, in milliseconds: 1 September 2026, 03:00 in Toronto.
        pub const START: i64 = 1_788_246_000_000;

        /// A base with these collections only.
        pub async fn with_schemas(schemas: &[Schema]) -> Self {
            let store = TestStore::with(schemas).await;
            let clock = Arc::new(ManualClock::at(Timestamp::from_millis(Self::START)));
            let mut config = Config::from_env(&BTreeMap::new()).unwrap();
            config.limits = 0.0;
            let base = Base::open(&config, store.clone(), clock.clone(), Arc::new(RandomIds)).await.unwrap();
            Self { base, clock, _store: store }
        }

        /// The same with another event.
        pub fn with_event(mut self, event: Event) -> Self {
            self.base.event = Arc::new(event);
            self
        }

        /// The same with the rate limits that a service has.
        pub fn with_limits(mut self) -> Self {
            self.base.signals = Arc::new(InProcess::with_clock(1.0, self.clock.clone()));
            self
        }
    }

    impl Deref for TestBase {
        type Target = Base;

        fn deref(&self) -> &Base {
            &self.base
        }
    }
}
