//! The command line.

mod admin;
mod audit;
mod check;
mod copy;
mod demo;
mod health;
mod jobs;
mod mails;
mod openapi;
mod privacy;
mod reconcile;
mod rehearse;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use url::Url;

use crate::kernel::{EmailAddress, Timestamp};
use crate::platform::audit::ChainHead;
use crate::platform::mail::Which;
use crate::platform::memory;

/// The backend of a university's orientation week.
///
/// Without a command, one process serves HTTP and runs jobs: all that a laptop needs. Open the address that it prints: the
/// first page links to Swagger UI, the outbox and the health check.
#[derive(Parser)]
#[command(name = "orientation", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
Settings are environment variables: see docs/configuration.md. `orientation check` reports what is wrong with them.

Examples:
  orientation                                   serve and run jobs on http://127.0.0.1:3000
  ORIENTATION_LISTEN=127.0.0.1:0 orientation    the same on a free port; prints the address
  orientation demo --students 500               simulate 500 students from sign-up to ticket
  orientation rehearse --buyers 1000 --places 100
                                                rehearse the opening of a sale
  orientation admin create --email you@example.org --link
                                                create the first administrator
";

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP without running jobs (needs MongoDB); prints the address when ready
    Serve,
    /// Run jobs without serving HTTP (needs MongoDB); prints `working` when ready
    Work,
    /// Write openapi/orientation.json and openapi/operations.txt
    Openapi {
        /// Write nothing; fail if the files differ from what the program serves
        #[arg(long)]
        check: bool,
        /// Folder to write to
        #[arg(long, default_value = "openapi")]
        to: PathBuf,
    },
    /// Create administrators
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Simulate students from sign-up to ticket and print a report
    Demo(DemoOptions),
    /// Rehearse the opening of a sale: a rush of buyers for few places; check every place and print the times
    ///
    /// The buyers sign up, register and pay for the orientation ticket first, which takes most of the time. Then all of them
    /// come to the sale: some reload the page, press twice, or leave without paying. Fails if a place was sold twice or lost.
    Rehearse(RehearseOptions),
    /// Copy a store into an empty one, for example from SQLite to MongoDB; stop the service first
    ///
    /// A store is a folder, an SQLite file or the address of a MongoDB. Pass an address with a password in the environment:
    /// other users of the machine can see command lines.
    Copy {
        /// Store to copy [default: the folder in ORIENTATION_DATA]
        #[arg(long, value_name = "STORE")]
        from: Option<String>,
        /// Empty store to copy to [default: the address in ORIENTATION_MONGODB_URI]
        #[arg(long, value_name = "STORE")]
        to: Option<String>,
    },
    /// Ask the payment gateway about every open order, to catch up on lost webhooks
    ///
    /// The service does the same every five minutes, for some orders at a time.
    Reconcile,
    /// List dead jobs, retry them or drop them; the service may be running
    ///
    /// A job is dead when all its attempts failed, when it can never succeed, or when its workers died too often. It is kept
    /// until you retry it, after fixing the reason, or drop it.
    Jobs {
        #[command(subcommand)]
        command: Option<JobsCommand>,
    },
    /// List emails that failed, or send them again; the service may be running
    ///
    /// An email fails when the mail server refuses it for good, or when no attempt in about two days succeeded. It is not
    /// sent again until you retry it.
    #[command(args_conflicts_with_subcommands = true)]
    Mails {
        #[command(subcommand)]
        command: Option<MailsCommand>,
        #[command(flatten)]
        which: MailsFilter,
    },
    /// Verify the audit log, or print the head of its chain; the service may be running
    ///
    /// The audit log records who changed rights, money, jobs and the like (docs/operating.md has the list). Within three
    /// minutes the service seals each entry: it gets a number and a hash, which covers the entry and the hash before it.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print whose personal data is kept in which fields, how long and why
    Privacy {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Validate the settings and try every dependency; fail if something can't be used
    Check,
    /// Ask the service on this machine whether it is ready; fail if it isn't (for container health checks)
    Health,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Create an administrator, or promote an existing account
    ///
    /// The password is prompted for, or read from the first line of standard input. It is never an argument.
    Create {
        /// Email address of the account
        #[arg(long)]
        email: String,
        /// Print a one-time link to set the password instead of prompting for it
        #[arg(long)]
        link: bool,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Compare every sealed entry with its hash; name the first that was changed, removed or inserted, and fail
    ///
    /// Anybody who can write to the database can also remove entries from the end, or rewrite all hashes. Only a head that
    /// was kept elsewhere shows that: keep the output of `orientation audit head` outside of the database, every day, and
    /// pass it with --head.
    Verify {
        /// Head that was kept elsewhere, as `orientation audit head` printed it
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<ChainHead>,
    },
    /// Print the head of the chain, to keep outside of the database: number and hash of the last sealed entry
    Head,
}

#[derive(Subcommand)]
enum JobsCommand {
    /// Run dead jobs again now, with a full number of attempts
    Retry {
        /// Ids from `orientation jobs`
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<String>,
        /// Retry all dead jobs
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Delete dead or waiting jobs without running them
    Drop {
        /// Ids from `orientation jobs`
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

#[derive(Subcommand)]
enum MailsCommand {
    /// Send failed emails again, with a full number of attempts
    #[command(group = clap::ArgGroup::new("which").args(["kind", "to", "since", "until", "all"]).required(true).multiple(true))]
    Retry {
        #[command(flatten)]
        which: MailsFilter,
        /// Retry all failed emails
        #[arg(long, conflicts_with_all = ["kind", "to", "since", "until"])]
        all: bool,
    },
}

/// Selects failed emails. Every option narrows the selection.
#[derive(clap::Args)]
struct MailsFilter {
    /// Only emails of this kind, such as `welcome`
    #[arg(long)]
    kind: Option<String>,
    /// Only emails to this address
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| EmailAddress::parse(text))]
    to: Option<EmailAddress>,
    /// Only emails posted at this time or later, such as 2027-09-01T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only emails posted before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|error| error.to_string())?;
    Ok(time.to_utc().into())
}

impl From<MailsFilter> for Which {
    fn from(filter: MailsFilter) -> Self {
        let MailsFilter { kind, to, since, until } = filter;
        Self { kind, to, since, until }
    }
}

/// Options of `demo`.
#[derive(clap::Args)]
struct DemoOptions {
    /// Number of students [default: 50, or all in the file of --from]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    students: Option<u32>,
    /// A file of forms, one JSON object a line, as in tests/data/students.jsonl; made-up students otherwise
    #[arg(long)]
    from: Option<PathBuf>,
    /// Use a running service with sandbox payments [default: start one with a temporary folder and a free port]
    #[arg(long)]
    url: Option<Url>,
    /// Number of students at the same time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    at_once: u32,
    /// Email address of an administrator, to read the outbox of a rehearsal; the password is prompted for, or read from
    /// the first line of standard input
    #[arg(long, value_name = "EMAIL", requires = "url")]
    administrator: Option<String>,
    /// Keep the temporary folder afterwards
    #[arg(long, conflicts_with = "url")]
    keep: bool,
}

/// Options of `rehearse`.
#[derive(clap::Args)]
struct RehearseOptions {
    /// Number of buyers
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    buyers: u32,
    /// Number of places for them
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    places: u32,
    /// Product that is sold
    #[arg(long, default_value = "retreat", value_name = "ID")]
    product: String,
    /// Seconds within which all buyers arrive, most of them at once
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3600))]
    within: u32,
    /// Number of requests at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=512))]
    at_once: u32,
    /// Number from which arrivals and manners are drawn [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Use a running service with sandbox payments [default: start one with a temporary folder and a free port]
    #[arg(long, requires = "administrator")]
    url: Option<Url>,
    /// Email address of an administrator, who sets the number of places; the password is prompted for, or read from the first
    /// line of standard input
    #[arg(long, value_name = "EMAIL", requires = "url")]
    administrator: Option<String>,
    /// Keep the temporary folder afterwards
    #[arg(long, conflicts_with = "url")]
    keep: bool,
}

/// Why a command failed, for the person who ran it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl Failed {
    fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command of the command line. Prints the reason if it fails.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("orientation: can't start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    memory::give_back();
    match runtime.block_on(run_command(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("orientation: {failed}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command(command: Option<Command>) -> Result<(), Failed> {
    match command {
        None => run::serve_and_work().await,
        Some(Command::Serve) => run::serve().await,
        Some(Command::Work) => run::work().await,
        Some(Command::Openapi { check, to }) => openapi::write(&to, check).await,
        Some(Command::Admin(AdminCommand::Create { email, link })) => admin::create(&email, link).await,
        Some(Command::Demo(options)) => demo::run(options).await,
        Some(Command::Rehearse(options)) => rehearse::run(options).await,
        Some(Command::Copy { from, to }) => copy::run(from, to).await,
        Some(Command::Reconcile) => reconcile::run().await,
        Some(Command::Jobs { command }) => run_jobs_command(command).await,
        Some(Command::Mails { command: None, which }) => mails::list(&which.into()).await,
        Some(Command::Mails { command: Some(MailsCommand::Retry { which, .. }), .. }) => {
            mails::retry(&which.into()).await
        }
        Some(Command::Audit(AuditCommand::Verify { head })) => audit::verify(head.as_ref()).await,
        Some(Command::Audit(AuditCommand::Head)) => audit::head().await,
        Some(Command::Privacy { json }) => privacy::print(json),
        Some(Command::Check) => check::run().await,
        Some(Command::Health) => health::ask().await,
    }
}

async fn run_jobs_command(command: Option<JobsCommand>) -> Result<(), Failed> {
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
    fn jobs_commands_need_ids_or_all() {
        let read = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        for line in ["jobs", "jobs retry a b", "jobs retry --all", "jobs drop a b"] {
            assert!(read(&format!("orientation {line}")), "{line}");
        }
        for line in ["jobs retry", "jobs retry --all a", "jobs drop", "jobs drop --all"] {
            assert!(!read(&format!("orientation {line}")), "{line}");
        }
    }

    #[test]
    fn a_kept_head_is_a_number_and_a_hash() {
        let read = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        let head = format!("12:{}", "0a".repeat(32));
        for line in ["audit head", "audit verify", &format!("audit verify --head {head}")] {
            assert!(read(&format!("orientation {line}")), "{line}");
        }
        for line in ["audit", "audit verify --head 12", "audit verify --head 0a:12", "audit head 12"] {
            assert!(!read(&format!("orientation {line}")), "{line}");
        }
    }

    #[test]
    fn emails_are_retried_by_a_filter_or_all() {
        let read = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        for line in [
            "mails",
            "mails --kind welcome",
            "mails retry --all",
            "mails retry --kind welcome --to ana@example.org",
            "mails retry --since 2027-09-01T14:00:00Z --until 2027-09-01T18:00:00-04:00",
        ] {
            assert!(read(&format!("orientation {line}")), "{line}");
        }
        for line in [
            "mails retry",
            "mails retry welcome",
            "mails retry --all --kind welcome",
            "mails --kind welcome retry --all",
            "mails --to ana",
            "mails --since yesterday",
        ] {
            assert!(!read(&format!("orientation {line}")), "{line}");
        }
    }
}
