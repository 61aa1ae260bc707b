//! All open connections, and which of them to close.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::super::limits::ConnectionLimits;
use crate::kernel::faults::guarded;
use crate::platform::metrics::{Connections, CutOff};

/// Time between two checks of the deadlines.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The open connections.
pub(super) struct ConnectionTable {
    limits: ConnectionLimits,
    metrics: Connections,
    opened: Instant,
    states: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next_id: AtomicU64,
    /// Received bytes of unfinished bodies: the sum of [`ConnectionState::body`].
    body_bytes: AtomicUsize,
}

/// What the server waits for from the client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiting {
    /// For the first byte.
    FirstByte = 0,
    /// For the head of a request, or until the client accepts some of a response.
    Head = 1,
    /// For the rest of a body. `limits::BODY_TIME` limits it elsewhere.
    Body = 2,
}

/// The state of one connection.
pub(super) struct ConnectionState {
    peer: IpAddr,
    opened: Instant,
    /// Four times the milliseconds from `opened` until the wait began, plus the kind of [`Waiting`]; [`BUSY`] while a request
    /// runs.
    state: AtomicU64,
    /// Received bytes of an unfinished body.
    body: AtomicUsize,
    /// Why the connection should close. The connection decides: see [`Slot::closes`].
    closing: Mutex<Option<CutOff>>,
    asked_to_close: Notify,
}

const BUSY: u64 = u64::MAX;

impl ConnectionState {
    /// Begins to wait for the client.
    pub(super) fn wait(&self, kind: Waiting) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(0);
        self.state.store(millis * 4 + kind as u64, Ordering::Relaxed);
    }

    /// A request runs: the client waits for the server.
    pub(super) fn set_busy(&self) {
        self.state.store(BUSY, Ordering::Relaxed);
    }

    /// What it waits for, and since when; `None` while a request runs.
    pub(super) fn waiting(&self) -> Option<(Waiting, Duration)> {
        let state = self.state.load(Ordering::Relaxed);
        let kind = match state % 4 {
            0 => Waiting::FirstByte,
            1 => Waiting::Head,
            _ => Waiting::Body,
        };
        (state != BUSY).then(|| (kind, Duration::from_millis(state / 4)))
    }

    /// Completes when the table wants the connection to close.
    pub(super) async fn asked_to_close(&self) {
        self.asked_to_close.notified().await;
    }

    /// Asks the connection to close. With a reason, it is counted as cut off.
    fn ask_to_close(&self, reason: Option<CutOff>) {
        let mut closing = self.closing();
        *closing = closing.take().or(reason);
        drop(closing);
        self.asked_to_close.notify_one();
    }

    fn closing(&self) -> MutexGuard<'_, Option<CutOff>> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionTable {
    pub(super) fn new(limits: ConnectionLimits, metrics: Connections) -> Self {
        let (states, next_id, body_bytes) = (Mutex::default(), AtomicU64::new(0), AtomicUsize::new(0));
        Self { limits, metrics, opened: Instant::now(), states, next_id, body_bytes }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConnectionState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection of `peer`, in place of an idle one if the table is full. `None` if every connection is busy.
    pub(super) fn add(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let (all, of_peer) = {
            let states = self.states();
            (states.len(), states.values().filter(|state| state.peer == peer).count())
        };
        let peer_is_full = of_peer >= self.limits.connections_of_a_peer;
        let is_full = !peer_is_full && all >= self.limits.connections;
        let refused = (peer_is_full && !self.make_room(|state| state.peer == peer))
            || (is_full && !self.make_room(|_| true));
        if refused {
            self.metrics.refused();
            return None;
        }
        let state = ConnectionState {
            peer,
            opened: self.opened,
            state: AtomicU64::new(0),
            body: AtomicUsize::new(0),
            closing: Mutex::new(None),
            asked_to_close: Notify::new(),
        };
        state.wait(Waiting::FirstByte);
        let (id, state) = (self.next_id.fetch_add(1, Ordering::Relaxed), Arc::new(state));
        self.states().insert(id, state.clone());
        self.metrics.opened();
        Some(Slot { table: self.clone(), id, state })
    }

    /// Closes one of the connections that `may_close` selects: the longest silent, else the longest idle, else the one with
    /// the oldest unfinished body. `false` if all of them are busy.
    pub(super) fn make_room(&self, may_close: impl Fn(&ConnectionState) -> bool) -> bool {
        let mut states = self.states();
        let candidates = states.iter().filter(|(_, state)| may_close(state));
        let waiting = candidates.filter_map(|(id, state)| Some((state.waiting()?, *id)));
        let Some((_, id)) = waiting.min() else { return false };
        if let Some(state) = states.remove(&id) {
            state.ask_to_close(Some(CutOff::Room));
        }
        true
    }

    /// Closes the connection with the largest unfinished body. A student on a slow line isn't affected: forms are short.
    fn close_largest_body(&self) {
        let bytes = |state: &Arc<ConnectionState>| state.body.load(Ordering::Relaxed);
        let largest = self.states().values().max_by_key(|state| bytes(state)).cloned();
        if let Some(state) = largest.filter(|state| bytes(state) > 0) {
            self.release_body(&state);
            state.ask_to_close(Some(CutOff::Room));
        }
    }

    fn release_body(&self, state: &ConnectionState) {
        let bytes = state.body.swap(0, Ordering::Relaxed);
        self.body_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Closes connections that exceed a deadline. Never completes.
    pub(super) async fn enforce_deadlines(&self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            ticks.tick().await;
            let now = self.opened.elapsed();
            for state in self.states().values() {
                if let Some((kind, since)) = state.waiting()
                    && now.saturating_sub(since) > self.deadline(kind)
                {
                    let silent = kind == Waiting::FirstByte;
                    state.ask_to_close(Some(if silent { CutOff::Silent } else { CutOff::Slow }));
                }
            }
        }
    }

    fn deadline(&self, kind: Waiting) -> Duration {
        match kind {
            Waiting::FirstByte => self.limits.first_byte,
            Waiting::Head => self.limits.head,
            Waiting::Body => Duration::MAX,
        }
    }

    /// Closes connections that have sent nothing. The others close when their request is answered.
    pub(super) fn close_silent(&self) {
        let states = self.states();
        let is_silent = |state: &&Arc<ConnectionState>| {
            state.waiting().is_some_and(|(kind, _)| kind == Waiting::FirstByte)
        };
        states.values().filter(is_silent).for_each(|state| state.ask_to_close(None));
    }
}

/// A connection's entry in the table, which is removed when this value is dropped.
pub(super) struct Slot {
    table: Arc<ConnectionTable>,
    id: u64,
    pub(super) state: Arc<ConnectionState>,
}

impl Slot {
    /// Whether the connection that was asked to close does. The connection's task asks, so that no request begins meanwhile:
    /// one that has begun is answered, and the connection stays.
    pub(super) fn closes(&self) -> bool {
        let reason = self.state.closing().take();
        if self.state.waiting().is_none() && guarded("begun-requests-are-answered") {
            // It may have been removed to make room.
            self.table.states().insert(self.id, self.state.clone());
            return false;
        }
        if let Some(reason) = reason {
            self.table.metrics.cut_off(reason);
        }
        true
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.states().remove(&self.id);
        self.table.metrics.closed();
    }
}

/// Counts the bytes of a body while it is received.
pub(super) struct UnfinishedBody {
    table: Arc<ConnectionTable>,
    state: Arc<ConnectionState>,
}

impl UnfinishedBody {
    pub(super) fn begin(slot: &Slot) -> Self {
        slot.state.wait(Waiting::Body);
        Self { table: slot.table.clone(), state: slot.state.clone() }
    }

    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }

    pub(super) fn add(&self, bytes: usize) {
        // The total first: it must never be less than the sum of its parts.
        let total = self.table.body_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.state.body.fetch_add(bytes, Ordering::Relaxed);
        if total > self.table.limits.body_bytes {
            self.table.close_largest_body();
        }
    }
}

impl Drop for UnfinishedBody {
    fn drop(&mut self) {
        self.table.release_body(&self.state);
    }
}
