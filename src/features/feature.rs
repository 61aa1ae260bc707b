//! What a feature adds to the service.

use std::sync::Arc;

use poem_openapi::OpenApi;

use crate::base::Base;
use crate::http::Rule;
use crate::http::pages::Pages;
use crate::kernel::Timestamp;
use crate::platform::jobs::{Cron, Payload, Steps, Subscriber, Subscribers, Sweep};
use crate::platform::mail::Template;

/// What a feature adds to the service, or what several add together. The function `feature` in each feature's `mod.rs`
/// makes one, and `app` joins them.
///
/// `C` holds the controllers: a controller, or pairs of them, for which `OpenApi` is implemented too. `()` has none.
pub struct Feature<C = ()> {
    /// Operations.
    pub controller: C,
    /// Pages for browsers.
    pub pages: Pages,
    /// The emails that the feature writes.
    pub emails: Vec<Arc<dyn Template>>,
    /// Handlers of jobs.
    pub subscribers: Subscribers,
    /// Jobs that repeat.
    pub crons: Vec<Cron>,
    /// Checks of request bodies that their schemas can't express.
    pub rules: Vec<Rule>,
}

impl Feature {
    /// A feature that adds nothing yet.
    pub fn new() -> Self {
        Self {
            controller: (),
            pages: Pages::new(),
            emails: vec![],
            subscribers: Subscribers::new(),
            crons: vec![],
            rules: vec![],
        }
    }

    /// Adds the operations of `controller`. A feature with several controllers takes a pair of them.
    pub fn serves<C: OpenApi>(self, controller: C) -> Feature<C> {
        let Self { controller: (), pages, emails, subscribers, crons, rules } = self;
        Feature { controller, pages, emails, subscribers, crons, rules }
    }
}

impl Default for Feature {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Feature<C> {
    /// Adds pages.
    pub fn shows(mut self, pages: Pages) -> Self {
        self.pages = self.pages.and(pages);
        self
    }

    /// Adds emails.
    pub fn writes(mut self, emails: Vec<Arc<dyn Template>>) -> Self {
        self.emails.extend(emails);
        self
    }

    /// Adds the handler of a kind of job.
    ///
    /// # Panics
    /// If the kind has a handler already: the mistake shows at the first start.
    pub fn handles<S: Subscriber>(mut self, subscriber: S) -> Self {
        self.subscribers = self.subscribers.with(Arc::new(subscriber));
        self
    }

    /// Adds a job at each tick of `pattern` (five fields, such as `0 9 * * *`, in the event's time zone). `payload` gets
    /// the time of the tick.
    ///
    /// # Panics
    /// If `pattern` is not valid: the mistake shows at the first start.
    pub fn every<P: Payload>(mut self, pattern: &'static str, payload: fn(Timestamp) -> P) -> Self {
        self.crons.push(Cron::new(pattern, payload));
        self
    }

    /// Adds a sweep, at each tick of `pattern`.
    ///
    /// # Panics
    /// If the kind has a handler already, or `pattern` is not valid: the mistake shows at the first start.
    pub fn sweeps(mut self, base: &Base, pattern: &'static str, sweep: Sweep) -> Self {
        self.crons.push(Cron::of_sweep(pattern, &sweep));
        self.subscribers = self.subscribers.with_sweep(sweep, base.store.clone(), base.clock.clone());
        self
    }

    /// Adds work that is larger than a transaction.
    ///
    /// # Panics
    /// If the kind has a handler already: the mistake shows at the first start.
    pub fn steps<S: Steps>(mut self, base: &Base, steps: Arc<S>) -> Self {
        let (store, clock, ids) = (base.store.clone(), base.clock.clone(), base.ids.clone());
        self.subscribers = self.subscribers.with_steps(steps, store, clock, ids);
        self
    }

    /// Adds checks of request bodies.
    pub fn checks(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Both features together.
    ///
    /// # Panics
    /// If both handle one kind of job: the mistake shows at the first start.
    pub fn and<D>(self, other: Feature<D>) -> Feature<(C, D)> {
        Feature {
            controller: (self.controller, other.controller),
            pages: self.pages.and(other.pages),
            emails: [self.emails, other.emails].concat(),
            subscribers: self.subscribers.and(other.subscribers),
            crons: self.crons.into_iter().chain(other.crons).collect(),
            rules: self.rules.into_iter().chain(other.rules).collect(),
        }
    }
}
