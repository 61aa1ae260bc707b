//! The messages between processes.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::platform::signals::NEWS_BYTES;
use crate::platform::signals::hub::Hub;

/// News that wait to be sent; beyond this the other processes get a gap.
const WAITING_NEWS: usize = 256;

/// The content of a message, as JSON on the channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    /// Wakes the listeners of the topic.
    Wake(String),
    /// A published payload.
    News { topic: String, payload: String },
    /// Messages of the sender may have been lost.
    Gap,
}

/// A message with its sender.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Message {
    /// The sending process, which ignores its own messages.
    pub from: u64,
    pub says: Word,
}

impl Word {
    /// Delivers it to the listeners in this process.
    pub fn tell(&self, hub: &Hub) {
        match self {
            Self::Wake(topic) => hub.wake(topic),
            Self::News { topic, payload } => hub.publish(topic, payload),
            Self::Gap => hub.gap(),
        }
    }
}

/// The messages that wait to be sent: bounded, and callers never wait.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Several wake-ups of one topic count as one.
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

    /// Waits until there are messages, and takes all of them.
    pub async fn take(&self) -> Vec<Word> {
        loop {
            let words = self.take_now();
            if !words.is_empty() {
                return words;
            }
            self.more.notified().await;
        }
    }

    /// Takes the messages that are waiting now.
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
    fn the_queue_for_an_unreachable_server_is_bounded_and_ends_in_a_gap() {
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
    fn messages_are_readable_json_and_parse_back() {
        let message =
            Message { from: 7, says: Word::News { topic: "board".into(), payload: "{\"team\":3}".into() } };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(text, r#"{"from":7,"says":{"news":{"topic":"board","payload":"{\"team\":3}"}}}"#);
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap().says, message.says);
        assert_eq!(serde_json::to_string(&Word::Gap).unwrap(), r#""gap""#);
    }
}
