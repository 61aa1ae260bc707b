//! The outbox.

use std::sync::Arc;

use async_trait::async_trait;
use orientation::features::outbox::{self, Outbox};
use orientation::kernel::SystemClock;
use orientation::platform::mail::Carrier;
use orientation::platform::store::{Access, Store};
use tempfile::TempDir;

use super::{Arrived, Post, contract};

struct Here(Arc<Outbox>, #[allow(dead_code, reason = "removed when the test ends")] TempDir);

#[async_trait]
impl Post for Here {
    fn carrier(&self) -> Arc<dyn Carrier> {
        self.0.clone()
    }

    async fn arrived(&self) -> Vec<Arrived> {
        let letters = self.0.letters(None, None, 200).await.expect("readable").letters;
        let mut arrived = vec![];
        for letter in letters {
            let mut files = vec![];
            for (n, info) in letter.files.iter().enumerate() {
                let file = self.0.file(&letter.id, n).await.expect("readable").expect("there");
                files.push((info.name.clone(), info.content_type.clone(), file.content));
            }
            let to = letter.to.to_string();
            arrived.push(Arrived {
                to,
                subject: letter.subject,
                text: letter.text,
                html: letter.html,
                files,
            });
        }
        arrived
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_letters_as_they_are() {
    let folder = tempfile::tempdir().expect("there is room for it");
    let store = Store::sqlite(&folder.path().join("store.db"), Access::Serving).expect("it opens");
    store.prepare(&outbox::schemas()).await.expect("it is new");
    let here = Here(Arc::new(Outbox::new(store, Arc::new(SystemClock))), folder);
    contract::holds(&here).await;
    assert!(here.carrier().repeats_safely());
}
