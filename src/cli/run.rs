//! Serving and working.

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
use crate::config::Config;
use crate::http::Server;
use crate::kernel::{Ids, RandomIds, SystemClock};
use crate::platform::store::Access;
use crate::platform::traces::Traces;

/// The configuration from the environment of this process.
pub(super) fn configuration() -> Result<Config, Failed> {
    Config::from_env(&environment()).map_err(Failed::because)
}

/// The environment of this process; what is no text is left out.
#[expect(clippy::disallowed_methods, reason = "`Config` reads the map; this is where it comes from")]
pub(super) fn environment() -> BTreeMap<String, String> {
    let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Wires everything, with the machine's clock and generator.
pub(super) async fn assemble(config: Config, access: Access) -> Result<App, Failed> {
    App::assemble(config, access, Arc::new(SystemClock), Arc::new(RandomIds)).await.map_err(Failed::because)
}

/// No command: HTTP and jobs in one process, until it is told to stop.
pub(super) async fn serve_and_work() -> Result<(), Failed> {
    let config = configuration()?;
    let traces = tell_of_itself(&config)?;
    let server = bind(&config).await?;
    let config = config.with_listen_addr(server.local_addr());
    let address = config.public_url.clone();
    let app = assemble(config, Access::Serving).await?;
    // Before the address is told: who reads it may say stop at once.
    let stop = told_to_stop();
    say(&address)?;
    app.run(server, stop).await;
    finish(traces).await;
    Ok(())
}

/// `serve`: HTTP without jobs, until it is told to stop.
pub(super) async fn serve() -> Result<(), Failed> {
    let config = configuration()?;
    needs_a_shared_store(&config, "serve")?;
    let traces = tell_of_itself(&config)?;
    let server = bind(&config).await?;
    let config = config.with_listen_addr(server.local_addr());
    let address = config.public_url.clone();
    let app = assemble(config, Access::Serving).await?;
    let stop = told_to_stop();
    say(&address)?;
    app.serve(server, stop).await;
    finish(traces).await;
    Ok(())
}

/// `work`: jobs without HTTP, until it is told to stop.
pub(super) async fn work() -> Result<(), Failed> {
    let config = configuration()?;
    needs_a_shared_store(&config, "work")?;
    let traces = tell_of_itself(&config)?;
    let app = assemble(config, Access::Serving).await?;
    let stop = told_to_stop();
    say("working")?;
    app.work(stop).await;
    finish(traces).await;
    Ok(())
}

/// `serve` or `work` alone: not on an embedded store.
fn needs_a_shared_store(config: &Config, command: &str) -> Result<(), Failed> {
    if config.mongodb.is_some() {
        return Ok(());
    }
    Err(Failed(format!(
        "`{command}` alone needs a store that several processes share: set ORIENTATION_MONGODB_URI. The embedded store \
         is served and worked on by one process: run `orientation` without a command"
    )))
}

/// A service of the demo's own.
pub(super) struct Own {
    pub url: Url,
    folder: std::path::PathBuf,
    keep: bool,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// The keys that the demo heeds. All others say what the operator's own service stands on and who reaches it: to the
/// demo they would be that store, that gateway and those addresses, and its students would go there.
const OF_THE_DEMO: [&str; 2] = ["ORIENTATION_DATA", "ORIENTATION_EVENT"];

/// A new folder and a free port of this machine, without limits on requests.
fn of_the_demo(mut environment: BTreeMap<String, String>) -> Result<Config, Failed> {
    environment.retain(|key, _| OF_THE_DEMO.contains(&key.as_str()));
    let mut config = Config::from_env(&environment).map_err(Failed::because)?;
    config.listen = ([127, 0, 0, 1], 0).into();
    config.limits = 0.0;
    config.data = config.data.join(format!("demo-{}", RandomIds.next()));
    Ok(config)
}

/// Starts the service on a folder and a port of its own.
pub(super) async fn on_a_folder_of_its_own(keep: bool) -> Result<Own, Failed> {
    let config = of_the_demo(environment())?;
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
    /// Stops the service; its folder is removed unless it is to be kept.
    pub async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.running.await;
        if self.keep {
            println!("Look at it again: ORIENTATION_DATA={} orientation", self.folder.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("{} is left: {error}", self.folder.display());
        }
    }
}

async fn bind(config: &Config) -> Result<Server, Failed> {
    Server::bind(config.listen)
        .await
        .map_err(|error| Failed(format!("ORIENTATION_LISTEN: can't listen on {}: {error}", config.listen)))
}

/// The first line on standard output says that it is ready, and where; for scripts as for people.
fn say(line: impl std::fmt::Display) -> Result<(), Failed> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failed::because)
}

/// The log, and traces where there is a collector of them.
fn tell_of_itself(config: &Config) -> Result<Option<Traces>, Failed> {
    let traces = config.otlp.as_ref().map(Traces::start).transpose().map_err(Failed::because)?;
    log_to_standard_error(&config.log, traces.as_ref());
    Ok(traces)
}

/// Sends the last traces.
async fn finish(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.finish().await;
    }
}

/// JSON when nobody watches, lines in colour on a terminal; and traces beside it, if they are to be sent.
fn log_to_standard_error(filter: &str, traces: Option<&Traces>) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match std::io::stderr().is_terminal() {
        true => lines.boxed(),
        false => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    std::panic::set_hook(Box::new(|panic| {
        // Where, not what: the message may hold what a person wrote.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "a panic");
    }));
    // A second start in one process (tests) keeps the first log.
    let _ = match traces {
        Some(traces) => {
            tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer()).try_init()
        }
        // One filter for everything: what it refuses is not even made.
        None => tracing_subscriber::registry().with(lines).with(filter).try_init(),
    };
}

/// Ctrl-C, or SIGTERM from whoever runs the service. Listens from the call on, not from when it is waited for.
fn told_to_stop() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminated = {
        use tokio::signal::unix::{SignalKind, signal};
        let told = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        async {
            let [interrupted, terminated] = told;
            tokio::select! { () = said(interrupted) => {}, () = said(terminated) => {} }
        }
    };
    #[cfg(not(unix))]
    let terminated = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    terminated
}

#[cfg(unix)]
async fn said(signal: std::io::Result<tokio::signal::unix::Signal>) {
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
    fn the_demo_never_goes_to_the_service_that_the_environment_is_about() {
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
