//! The outbox.

use std::sync::Arc;

use async_trait::async_trait;
use orientation::features::outbox::{self, Outbox};
use orientation::kernel::SystemClock;
use orientation::platform::mail::Transport;
use orientation::platform::store::{Access, Store};
use tempfile::TempDir;

use super::{Arrived, Post, contract};
use crate::base::base;

struct Here(Arc<Outbox>, #[allow(dead_code, reason = "removed when the test ends")] TempDir);

#[async_trait]
impl Post for Here {
    fn transport(&self) -> Arc<dyn Transport> {
        self.0.clone()
    }

    async fn arrived(&self) -> Vec<Arrived> {
        let emails = self.0.emails(None, None, 200).await.expect("readable").items;
        let mut arrived = vec![];
        for email in emails {
            let mut files = vec![];
            for (n, info) in email.files.iter().enumerate() {
                let file = self.0.file(&email.id, n).await.expect("readable").expect("there");
                files.push((info.name.clone(), info.content_type.clone(), file.content));
            }
            let to = email.to.to_string();
            arrived.push(Arrived { to, subject: email.subject, text: email.text, html: email.html, files });
        }
        arrived
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().expect("there is room for it");
    let store = Store::sqlite(&folder.path().join("store.db"), Access::Serving).expect("it opens");
    let base = base(store, outbox::schemas(), Arc::new(SystemClock)).await;
    let here = Here(Arc::new(Outbox::new(&base)), folder);
    contract::holds(&here).await;
    assert!(here.transport().is_idempotent());
}
