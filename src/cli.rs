//! The command line.

mod admin;
mod check;
mod copy;
mod demo;
mod health;
mod jobs;
mod openapi;
mod reconcile;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use url::Url;

use crate::platform::memory;

/// The backend of a university's orientation week.
///
/// Without a command it serves HTTP and works on jobs in one process: on a laptop this is all there is to do.
/// Open the address that it prints: the first page leads to Swagger UI, the outbox and the health check.
#[derive(Parser)]
#[command(name = "orientation", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Configuration is by environment; docs/configuration.md explains each key, `orientation check` says what is wrong.

Examples:
  orientation                                   serve and work on http://127.0.0.1:3000
  ORIENTATION_LISTEN=127.0.0.1:0 orientation    the same on a free port; the first line printed is the address
  orientation demo --students 500               send 500 students through the whole way
  orientation admin create --email you@example.org
";

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP only (needs MongoDB: an embedded store is served and worked on by one process); prints its address
    Serve,
    /// Work on jobs only (needs MongoDB, as `serve`); prints `working` once it does
    Work,
    /// Write openapi/orientation.json and openapi/operations.txt
    Openapi {
        /// Write nothing; fail if what stands there is not what the program serves
        #[arg(long)]
        check: bool,
        /// The folder to write to
        #[arg(long, default_value = "openapi")]
        to: PathBuf,
    },
    /// Administrators
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Send students through the whole way and tell what happened
    Demo(DemoOptions),
    /// Copy a whole store into an empty one, of the same kind or not, while nobody serves from either
    ///
    /// A store is a folder or a file of SQLite, or an address of MongoDB. An address with a password is better given by
    /// the environment than on the command line, where others on the machine see it.
    Copy {
        /// What to copy [default: the folder in ORIENTATION_DATA]
        #[arg(long, value_name = "STORE")]
        from: Option<String>,
        /// Where to [default: the address in ORIENTATION_MONGODB_URI]
        #[arg(long, value_name = "STORE")]
        to: Option<String>,
    },
    /// Ask the payment service for what never arrived, about every open order
    ///
    /// The service does so by itself every five minutes, for some orders at a time.
    Reconcile,
    /// List the jobs that were given up (dead), or have them tried again or dropped, also while the service runs
    ///
    /// A job is dead when all its attempts have failed, when it can never succeed, or when its workers died too often.
    /// It stays until somebody has put right what was wrong and has it tried again, or drops it.
    Jobs {
        #[command(subcommand)]
        command: Option<JobsCommand>,
    },
    /// Say what is configured, which part serves what, and try each; fail if a key is bad or a part can't be used
    Check,
    /// Ask the service that runs here whether it is ready; fail if it isn't. For health checks of containers
    Health,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make an administrator, or promote an account that is there
    ///
    /// The password is asked for, or read as the first line of standard input; it is never an argument.
    Create {
        /// The address that signs in
        #[arg(long)]
        email: String,
        /// Print a one-time link that sets the password, instead of asking for one
        #[arg(long)]
        link: bool,
    },
}

#[derive(Subcommand)]
enum JobsCommand {
    /// Have dead jobs tried again at once, with all their attempts before them
    Retry {
        /// Jobs, as `orientation jobs` lists them
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are dead
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Drop dead or waiting jobs: they will not be run
    Drop {
        /// Jobs, as `orientation jobs` lists them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

/// What `demo` does.
#[derive(clap::Args)]
struct DemoOptions {
    /// How many students: 50, or with --from as many as the file has
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    students: Option<u32>,
    /// A file of forms, one JSON object a line, as in tests/data/students.jsonl; made-up students otherwise
    #[arg(long)]
    from: Option<PathBuf>,
    /// A service that runs already, if it is a sandbox; otherwise one is started on a folder and port of its own
    #[arg(long)]
    url: Option<Url>,
    /// How many students are on their way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    at_once: u32,
    /// Keep the folder of its own, to look at it afterwards
    #[arg(long, conflicts_with = "url")]
    keep: bool,
}

/// Why a command failed, for whoever typed it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl Failed {
    fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Reads the command line and does what it says. Prints why it failed, if it did.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("orientation: can't start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    memory::give_back();
    match runtime.block_on(carry_out(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("orientation: {failed}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(command: Option<Command>) -> Result<(), Failed> {
    match command {
        None => run::serve_and_work().await,
        Some(Command::Serve) => run::serve().await,
        Some(Command::Work) => run::work().await,
        Some(Command::Openapi { check, to }) => openapi::write(&to, check).await,
        Some(Command::Admin(AdminCommand::Create { email, link })) => admin::create(&email, link).await,
        Some(Command::Demo(options)) => demo::run(options).await,
        Some(Command::Copy { from, to }) => copy::run(from, to).await,
        Some(Command::Reconcile) => reconcile::run().await,
        Some(Command::Jobs { command }) => tend_to_jobs(command).await,
        Some(Command::Check) => check::run().await,
        Some(Command::Health) => health::ask().await,
    }
}

async fn tend_to_jobs(command: Option<JobsCommand>) -> Result<(), Failed> {
    match command {
        None => jobs::list().await,
        Some(JobsCommand::Retry { all: true, .. }) => jobs::retry_all().await,
        Some(JobsCommand::Retry { ids, .. }) => jobs::retry(&ids).await,
        Some(JobsCommand::Drop { ids }) => jobs::drop(&ids).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tends_to_jobs_says_to_which() {
        let read = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        for line in ["jobs", "jobs retry a b", "jobs retry --all", "jobs drop a b"] {
            assert!(read(&format!("orientation {line}")), "{line}");
        }
        for line in ["jobs retry", "jobs retry --all a", "jobs drop", "jobs drop --all"] {
            assert!(!read(&format!("orientation {line}")), "{line}");
        }
    }
}
