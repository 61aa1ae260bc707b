//! The listeners and subscribers within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use super::{Feed, Listener, NEWS_BYTES, News};

/// News queued per slow subscriber; beyond this the subscriber gets a gap. With [`NEWS_BYTES`] each: 2 MiB.
const WAITING_NEWS: usize = 256;

/// Listeners and feeds of one process, by topic. Only requested topics are kept, so that messages from other processes
/// can't make it grow.
#[derive(Default)]
pub(super) struct Hub {
    wakes: Mutex<HashMap<&'static str, watch::Sender<u64>>>,
    feeds: Mutex<HashMap<&'static str, broadcast::Sender<News>>>,
}

impl Hub {
    pub fn listen(&self, topic: &'static str) -> Listener {
        let mut wakes = lock(&self.wakes);
        Listener::new(wakes.entry(topic).or_insert_with(|| watch::Sender::new(0)).subscribe())
    }

    pub fn subscribe(&self, topic: &'static str) -> Feed {
        let mut feeds = lock(&self.feeds);
        Feed(feeds.entry(topic).or_insert_with(|| broadcast::Sender::new(WAITING_NEWS)).subscribe())
    }

    pub fn wake(&self, topic: &str) {
        if let Some(counter) = lock(&self.wakes).get(topic) {
            count(counter);
        }
    }

    pub fn publish(&self, topic: &str, payload: &str) {
        if let Some(feed) = lock(&self.feeds).get(topic) {
            let news = if payload.len() > NEWS_BYTES { News::Gap } else { News::Payload(Arc::from(payload)) };
            // An error means that there are no subscribers any more.
            let _ = feed.send(news);
        }
    }

    /// Anything may have been missed: all listeners are woken, and every feed has a gap.
    pub fn gap(&self) {
        lock(&self.wakes).values().for_each(count);
        lock(&self.feeds).values().for_each(|feed| {
            let _ = feed.send(News::Gap);
        });
    }
}

fn count(counter: &watch::Sender<u64>) {
    counter.send_modify(|count| *count = count.wrapping_add(1));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
