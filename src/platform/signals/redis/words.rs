//! What processes tell each other.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::platform::signals::NEWS_BYTES;
use crate::platform::signals::hub::Hub;

/// News that wait to be sent; more than that is a gap to the others.
const WAITING_NEWS: usize = 256;

/// One thing told, as JSON on the channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    /// Wakes those who listen to the topic.
    Wake(String),
    /// Somebody published.
    News { topic: String, payload: String },
    /// Anything may have been missed from the teller.
    Gap,
}

/// A word and who tells it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Message {
    /// The process that tells; it has heard itself already.
    pub from: u64,
    pub says: Word,
}

impl Word {
    /// Lets those know who listen in this process.
    pub fn tell(&self, hub: &Hub) {
        match self {
            Self::Wake(topic) => hub.wake(topic),
            Self::News { topic, payload } => hub.publish(topic, payload),
            Self::Gap => hub.gap(),
        }
    }
}

/// What waits to be sent: bounded, and never waited for.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Several wake-ups of one topic are one.
    wakes: BTreeSet<&'static str>,
    news: Vec<(&'static str, String)>,
    gap: bool,
}

impl Outbox {
    pub fn wake(&self, topic: &'static str) {
        self.lock().wakes.insert(topic);
        self.more.notify_one();
    }

    pub fn publish(&self, topic: &'static str, payload: &str) {
        let mut waiting = self.lock();
        if payload.len() > NEWS_BYTES || waiting.news.len() >= WAITING_NEWS {
            waiting.news.clear();
            waiting.gap = true;
        } else {
            waiting.news.push((topic, payload.to_owned()));
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Waits until there is something, and takes all of it.
    pub async fn take(&self) -> Vec<Word> {
        loop {
            let words = self.take_now();
            if !words.is_empty() {
                return words;
            }
            self.more.notified().await;
        }
    }

    /// Takes what is there.
    pub fn take_now(&self) -> Vec<Word> {
        let Waiting { wakes, news, gap } = std::mem::take(&mut *self.lock());
        let wakes = wakes.into_iter().map(|topic| Word::Wake(topic.to_owned()));
        let news = news.into_iter().map(|(topic, payload)| Word::News { topic: topic.to_owned(), payload });
        gap.then_some(Word::Gap).into_iter().chain(wakes).chain(news).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_server_that_is_away_is_bounded_and_ends_in_a_gap() {
        let outbox = Outbox::default();
        for n in 0..100_000 {
            outbox.wake(if n % 2 == 0 { "jobs" } else { "board" });
            outbox.publish("board", &n.to_string());
            assert!(outbox.lock().news.len() <= WAITING_NEWS);
        }
        let words = outbox.take_now();
        assert!(words.len() <= 3 + WAITING_NEWS, "{}", words.len());
        assert_eq!(words[..3], [Word::Gap, Word::Wake("board".into()), Word::Wake("jobs".into())]);
        assert_eq!(outbox.take_now(), []);
    }

    #[test]
    fn a_payload_that_is_too_long_is_a_gap() {
        let outbox = Outbox::default();
        outbox.publish("board", &"x".repeat(NEWS_BYTES));
        assert!(matches!(outbox.take_now()[..], [Word::News { .. }]));
        outbox.publish("board", &"x".repeat(NEWS_BYTES + 1));
        assert_eq!(outbox.take_now(), [Word::Gap]);
    }

    #[test]
    fn what_is_told_reads_well_and_comes_back() {
        let message =
            Message { from: 7, says: Word::News { topic: "board".into(), payload: "{\"team\":3}".into() } };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(text, r#"{"from":7,"says":{"news":{"topic":"board","payload":"{\"team\":3}"}}}"#);
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap().says, message.says);
        assert_eq!(serde_json::to_string(&Word::Gap).unwrap(), r#""gap""#);
    }
}
