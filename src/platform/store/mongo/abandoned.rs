//! Transactions that nobody ends any more: their process was killed, or the network was gone when they were to end.
//!
//! MongoDB keeps them open for a minute (`transactionLifetimeLimitSeconds`), and locked what they have written:
//! whoever wants to write the same document collides with somebody who is no more. So a process that serves writes the
//! sessions of its transactions beside its sign of life, the living end those of the dead, and what a process could not
//! end itself it ends as soon as the server can be reached again.

use std::collections::HashMap;
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, ClientSession, Collection};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::super::error::Result;
use super::connection::{Failure, asked, bounded};
use super::heartbeat::{SESSIONS, SILENCE};

/// How often a living process looks for dead ones.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often it is tried to end what could not be ended.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// After this time MongoDB has ended it by itself.
const OVER: Duration = Duration::from_secs(60);

/// Ends what these sessions have open. Of the sessions of this user only: others need a right for it.
async fn end(client: &Client, sessions: &[Bson]) -> Result<(), Failure> {
    let admin = client.database("admin");
    asked(admin.run_command(doc! { "killSessions": sessions })).await.map(drop)
}

/// Ends, behind the caller's back, what this session may have open, as soon as the server answers. Until then nobody
/// gets it for another transaction.
pub(super) fn end_soon(client: Client, session: ClientSession) {
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(async move {
        let (give_up, id) = (Instant::now() + OVER, [Bson::Document(session.id().clone())]);
        while end(&client, &id).await.is_err() && Instant::now() < give_up {
            sleep(TRY_AGAIN).await;
        }
        drop(session);
    });
}

/// Looks after the processes that serve, for as long as this one does, and ends the transactions of those that fall
/// silent.
pub(super) async fn look_after(processes: Collection<Document>) {
    let mut watched = HashMap::new();
    loop {
        sleep(LOOK_AGAIN).await;
        if look(&processes, &mut watched).await.is_err() {
            // Who can't see anybody doesn't know who is silent.
            watched.clear();
        }
    }
}

/// By id: the document, and since when it has been as it is.
type Watched = HashMap<String, (Document, Instant)>;

async fn look(processes: &Collection<Document>, watched: &mut Watched) -> Result<()> {
    let now: Vec<Document> = bounded(async { processes.find(doc! {}).await?.try_collect().await }).await?;
    let id = |process: &Document| process.get_str("_id").unwrap_or_default().to_owned();
    watched.retain(|_, (known, _)| now.contains(known));
    for process in now {
        let (_, since) = watched.entry(id(&process)).or_insert_with(|| (process.clone(), Instant::now()));
        if since.elapsed() > SILENCE {
            if let Ok(sessions) = process.get_array(SESSIONS) {
                end(processes.client(), sessions).await.or_else(told_if_refused)?;
            }
            bounded(processes.delete_one(process)).await?;
        }
    }
    Ok(())
}

/// A server that doesn't let us end what the dead have open ends it itself, later.
fn told_if_refused(failure: Failure) -> Result<()> {
    if !failure.answered {
        return Err(failure.error);
    }
    tracing::warn!(error = %failure.error, "what a dead process has locked stays locked for a minute");
    Ok(())
}
