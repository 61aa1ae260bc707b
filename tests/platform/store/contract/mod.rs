//! The rules that every database keeps.

mod filters;
mod migrations;
mod paging;
mod reads;
mod transactions;

use super::{Fresh, fresh};
use crate::store::things::Thing;

/// A store that contains these things.
async fn holding(things: &[Thing]) -> Fresh {
    let store = fresh().await;
    store
        .transact(async |tx| {
            for thing in things {
                tx.insert(thing).await?;
            }
            Ok::<_, orientation::platform::store::StoreError>(())
        })
        .await
        .unwrap();
    store
}
