//! Ends transactions that were abandoned: their process was killed, or the network failed when they were to end.
//!
//! MongoDB keeps an abandoned transaction open for a minute (`transactionLifetimeLimitSeconds`), with locks on what it
//! wrote, and writers of the same documents collide with it. So each serving process writes the sessions of its
//! transactions beside its heartbeat, and living processes end the sessions of dead ones. Transactions that a process
//! couldn't end itself, it ends as soon as the server is reachable again.

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

/// How often ending a transaction is retried.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// After this time MongoDB has ended the transaction.
const OVER: Duration = Duration::from_secs(60);

/// Ends the open transactions of these sessions. Only for sessions of our own database user: others need a privilege.
async fn end(client: &Client, sessions: &[Bson]) -> Result<(), Failure> {
    let admin = client.database("admin");
    asked(admin.run_command(doc! { "killSessions": sessions })).await.map(drop)
}

/// Ends the open transaction of this session, if any, in the background, as soon as the server answers. Until then the
/// session is not reused.
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

/// Watches the serving processes while this one runs, and ends the transactions of those whose heartbeat
/// stops.
pub(super) async fn look_after(processes: Collection<Document>) {
    let mut watched = HashMap::new();
    loop {
        sleep(LOOK_AGAIN).await;
        if look(&processes, &mut watched).await.is_err() {
            // Without an answer nothing is known about the heartbeats, so start over.
            watched.clear();
        }
    }
}

/// By id: the document, and since when it is unchanged.
type Watched = HashMap<String, (Document, Instant)>;

async fn look(processes: &Collection<Document>, watched: &mut Watched) -> Result<()> {
    let now: Vec<Document> = bounded(async { processes.find(doc! {}).await?.try_collect().await }).await?;
    let id = |process: &Document| process.get_str("_id").unwrap_or_default().to_owned();
    watched.retain(|_, (known, _)| now.contains(known));
    for process in now {
        let (_, since) = watched.entry(id(&process)).or_insert_with(|| (process.clone(), Instant::now()));
        if since.elapsed() > SILENCE {
            if let Ok(sessions) = process.get_array(SESSIONS) {
                end(processes.client(), sessions).await.or_else(warn_if_refused)?;
            }
            bounded(processes.delete_one(process)).await?;
        }
    }
    Ok(())
}

/// A server that refuses `killSessions` ends the transactions itself, later.
fn warn_if_refused(failure: Failure) -> Result<()> {
    if !failure.answered {
        return Err(failure.error);
    }
    tracing::warn!(error = %failure.error, "locks of a dead process remain for a minute");
    Ok(())
}
