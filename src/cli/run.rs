//! Serving requests and running jobs.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};
use url::Url;

use super::Failed;
use crate::app::App;
use crate::config::{Config, Event};
use crate::http::Server;
use crate::kernel::{Ids, RandomIds, SystemClock};
use crate::platform::store::Access;
use crate::platform::traces::Traces;

/// Configuration from the environment of this process.
pub(super) fn configuration() -> Result<Config, Failed> {
    Config::from_env(&environment()).map_err(Failed::because)
}

/// Environment of this process, without variables that are not text.
#[expect(clippy::disallowed_methods, reason = "`Config` reads the map; this is where it comes from")]
pub(super) fn environment() -> BTreeMap<String, String> {
    let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Wires the service, with the system's clock and random ids.
pub(super) async fn assemble(config: Config, access: Access) -> Result<App, Failed> {
    App::assemble(config, access, Arc::new(SystemClock), Arc::new(RandomIds)).await.map_err(Failed::because)
}

/// No command: HTTP and jobs in one process, until a signal to stop.
pub(super) async fn serve_and_work() -> Result<(), Failed> {
    let config = configuration()?;
    let traces = start_telemetry(&config)?;
    let server = bind(&config).await?;
    let config = config.with_listen_addr(server.local_addr());
    let addresses = addresses(&config);
    let app = assemble(config, Access::Serving).await?;
    // Before the address is printed: a script that reads it may stop the process at once.
    let stop = stop_signal();
    say(&addresses);
    app.run(server, stop).await;
    finish(traces).await;
    Ok(())
}

/// `serve`: HTTP without jobs, until a signal to stop.
pub(super) async fn serve() -> Result<(), Failed> {
    let config = configuration()?;
    needs_a_shared_store(&config, "serve")?;
    let traces = start_telemetry(&config)?;
    let server = bind(&config).await?;
    let config = config.with_listen_addr(server.local_addr());
    let addresses = addresses(&config);
    let app = assemble(config, Access::Serving).await?;
    let stop = stop_signal();
    say(&addresses);
    app.serve(server, stop).await;
    finish(traces).await;
    Ok(())
}

/// `work`: jobs without HTTP, until a signal to stop.
pub(super) async fn work() -> Result<(), Failed> {
    let config = configuration()?;
    needs_a_shared_store(&config, "work")?;
    let traces = start_telemetry(&config)?;
    let app = assemble(config, Access::Serving).await?;
    let stop = stop_signal();
    say("working");
    app.work(stop).await;
    finish(traces).await;
    Ok(())
}

/// Refuses `serve` and `work` on an embedded store.
fn needs_a_shared_store(config: &Config, command: &str) -> Result<(), Failed> {
    if config.mongodb.is_some() {
        return Ok(());
    }
    Err(Failed(format!(
        "`{command}` needs a store that several processes can share: set ORIENTATION_MONGODB_URI. With the embedded \
         store, run `orientation` without a command"
    )))
}

/// A service that the demo or a rehearsal started.
pub(super) struct Own {
    pub url: Url,
    folder: std::path::PathBuf,
    keep: bool,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// The keys that the demo reads. All others describe the operator's own service. With them, the demo's students would
/// end up in that store, at that gateway and in real mailboxes.
const OF_THE_DEMO: [&str; 2] = ["ORIENTATION_DATA", "ORIENTATION_EVENT"];

/// Configuration with a new folder, a free local port and no rate limits.
fn of_the_demo(mut environment: BTreeMap<String, String>) -> Result<Config, Failed> {
    environment.retain(|key, _| OF_THE_DEMO.contains(&key.as_str()));
    let mut config = Config::from_env(&environment).map_err(Failed::because)?;
    config.listen = ([127, 0, 0, 1], 0).into();
    config.limits = 0.0;
    config.data = config.data.join(format!("demo-{}", RandomIds.next()));
    Ok(config)
}

/// Starts a service with a temporary folder and a free port. `adapt` may change its event.
///
/// # Errors
/// If the configuration is wrong, or refused by `adapt`, and if the service can't be started.
pub(super) async fn start_temporary_service(
    keep: bool,
    adapt: impl FnOnce(&mut Event) -> Result<(), Failed>,
) -> Result<Own, Failed> {
    let mut config = of_the_demo(environment())?;
    adapt(&mut config.event)?;
    log_to_standard_error("warn", None);
    let folder = config.data.clone();
    let server = bind(&config).await?;
    let config = config.with_listen_addr(server.local_addr());
    let url = config.public_url.clone();
    let app = assemble(config, Access::Serving).await?;
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(app.run(server, async move { stopped.await.unwrap_or_default() }));
    Ok(Own { url, folder, keep, stop, running })
}

impl Own {
    /// Stops the service and deletes its folder, unless it is kept.
    pub async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.running.await;
        if self.keep {
            println!("Look at it again: ORIENTATION_DATA={} orientation", self.folder.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("can't delete {}: {error}", self.folder.display());
        }
    }
}

async fn bind(config: &Config) -> Result<Server, Failed> {
    Server::bind(config.listen)
        .await
        .map_err(|error| Failed(format!("ORIENTATION_LISTEN: can't listen on {}: {error}", config.listen)))
}

/// The address listened on. The public URL is on a second line if it differs.
fn addresses(config: &Config) -> String {
    let (listen, public) = (config.listen_url(), &config.public_url);
    if listen == *public { listen.to_string() } else { format!("{listen}\npublic URL: {public}") }
}

/// Prints the first lines on standard output, when the service is ready. The service goes on if nobody reads them.
fn say(lines: impl std::fmt::Display) {
    let mut out = std::io::stdout();
    // In one write, so that somebody who reads only the first line can close the pipe.
    if let Err(error) = out.write_all(format!("{lines}\n").as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "the first lines can't be printed");
    }
}

/// Starts the log, and traces if a collector is configured.
fn start_telemetry(config: &Config) -> Result<Option<Traces>, Failed> {
    let traces = config.otlp.as_ref().map(Traces::start).transpose().map_err(Failed::because)?;
    log_to_standard_error(&config.log, traces.as_ref());
    Ok(traces)
}

/// Sends the remaining traces.
async fn finish(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.finish().await;
    }
}

/// Logs to standard error: in colour on a terminal, otherwise as JSON. Adds traces if there are any.
fn log_to_standard_error(filter: &str, traces: Option<&Traces>) {
    // The HTML parser warns of what people type in Markdown.
    let quieter = format!("html5ever=error,{filter}");
    let filter = EnvFilter::try_new(quieter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match std::io::stderr().is_terminal() {
        true => lines.boxed(),
        false => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    std::panic::set_hook(Box::new(|panic| {
        // The location only: the message may contain what a person wrote.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "a panic");
    }));
    // A second start in one process (tests) keeps the first log.
    let _ = match traces {
        Some(traces) => {
            tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer()).try_init()
        }
        // One global filter: events that it drops are never created.
        None => tracing_subscriber::registry().with(lines).with(filter).try_init(),
    };
}

/// Waits for Ctrl-C or SIGTERM. Listens from the call on, not from the first poll.
fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminated = {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        async {
            let [interrupted, terminated] = signals;
            tokio::select! { () = received(interrupted) => {}, () = received(terminated) => {} }
        }
    };
    #[cfg(not(unix))]
    let terminated = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    terminated
}

#[cfg(unix)]
async fn received(signal: std::io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MailConfig;

    #[test]
    fn the_first_line_is_the_address_listened_on() {
        let lines = |keys: &[(&str, &str)]| {
            let environment =
                keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            addresses(&Config::from_env(&environment).unwrap())
        };
        assert_eq!(lines(&[]), "http://127.0.0.1:3000/");
        let public = [("ORIENTATION_PUBLIC_URL", "http://localhost:8080")];
        assert_eq!(lines(&public), "http://127.0.0.1:3000/\npublic URL: http://localhost:8080/");
    }

    #[test]
    fn the_demo_never_uses_the_operators_service() {
        let keys = [
            ("ORIENTATION_LISTEN", "127.0.0.1:3000"),
            ("ORIENTATION_PUBLIC_URL", "http://localhost:3000"),
            ("ORIENTATION_FRONTEND_URL", "http://localhost:5173"),
            ("ORIENTATION_MONGODB_URI", "mongodb://127.0.0.1:27017/orientation"),
            ("ORIENTATION_REDIS_URL", "redis://127.0.0.1:6379"),
            ("STRIPE_SECRET_KEY", "sk_test_1"),
            ("ORIENTATION_MAIL_FROM", "orientation@example.edu"),
        ];
        let environment = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let config = of_the_demo(environment).unwrap().with_listen_addr("127.0.0.1:4321".parse().unwrap());
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:4321/");
        assert_eq!(config.pages_url(), &config.public_url);
        assert!(config.mongodb.is_none() && config.redis.is_none() && config.stripe.is_none());
        assert!(matches!(config.mail, MailConfig::Outbox));
    }
}
