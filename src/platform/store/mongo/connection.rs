//! Settings of the driver, and its time limits.

use std::future::IntoFuture;
use std::time::Duration;

use bson::doc;
use mongodb::error::ErrorKind;
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadConcern, ReadPreference, SelectionCriteria,
    WriteConcern,
};
use mongodb::{Client, Database};
use tokio::time::timeout;

use super::super::StoreError;
use super::super::error::Result;
use super::error::{failed, is_answer, reason};
use crate::platform::tls::choose_cryptography;

/// Database for an address without a path.
const DATABASE: &str = "orientation";

/// The server's own databases, which have no transactions.
const OF_THE_SERVER: [&str; 3] = ["admin", "config", "local"];

/// How long a call looks for a usable server. An election takes some seconds. While no server answers, requests fail after
/// this time and are asked to retry.
const SELECTION: Duration = Duration::from_secs(5);

/// Maximum time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Interval between two checks of each server, so that a silent one is noticed.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Maximum time of one call: half the time of a request.
const CALL: Duration = Duration::from_secs(10);

/// Maximum number of connections of this process. A transaction needs one during each of its calls.
const CONNECTIONS: u32 = 64;

/// Maximum number of connections being opened at once: more than the driver's two, for the rush after an outage.
const CONNECTING: u32 = 8;

/// Acknowledged writes are on the disks of a majority of servers.
pub(super) fn durable() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build()
}

/// A client and the database of the address, once a server that has transactions has answered.
pub(super) async fn open(uri: &str) -> Result<(Client, Database)> {
    let options = options(uri).await?;
    let hosts = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let name = options.default_database.clone().unwrap_or_else(|| DATABASE.to_owned());
    if OF_THE_SERVER.contains(&&*name) {
        return Err(of_the_server(&name));
    }
    let client = Client::with_options(options).map_err(|error| unusable(&hosts, &reason(&error)))?;
    let db = client.database(&name);
    let hello = timeout(CALL, db.run_command(doc! { "hello": 1 }).into_future())
        .await
        .map_err(|_elapsed| unusable(&hosts, &no_answer(CALL)))?
        .map_err(|error| unusable(&hosts, &reason(&error)))?;
    let has_transactions =
        hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|it| it == "isdbgrid");
    match has_transactions {
        true => Ok((client, db)),
        false => Err(standalone(&hosts)),
    }
}

/// Options of the address, with the settings that the store depends on.
async fn options(uri: &str) -> Result<ClientOptions> {
    choose_cryptography();
    let parsed = timeout(CALL, ClientOptions::parse(uri).into_future()).await;
    let mut options = match parsed {
        Ok(Ok(options)) => options,
        Ok(Err(error)) => return Err(bad_option(uri, &error).unwrap_or_else(unreadable)),
        Err(_elapsed) => return Err(unreadable()),
    };
    options.app_name.get_or_insert_with(|| "orientation".to_owned());
    options.server_selection_timeout = Some(SELECTION);
    options.connect_timeout = Some(CONNECT);
    options.heartbeat_freq = Some(HEARTBEAT);
    options.max_pool_size.get_or_insert(CONNECTIONS);
    options.max_connecting.get_or_insert(CONNECTING);
    options.retry_writes = Some(true);
    options.retry_reads = Some(true);
    options.write_concern = Some(durable());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    Ok(options)
}

/// The refusal of an option in the address. The driver's sentences quote parts of the address, which may contain a password,
/// so only the option's name is shown: letters, after the host.
fn bad_option(uri: &str, error: &mongodb::error::Error) -> Option<StoreError> {
    let option = first_bad_option(uri)?;
    let ErrorKind::InvalidArgument { message, .. } = &*error.kind else { return None };
    let why = match message.split_once(" is an invalid option") {
        None => "a value that MongoDB's driver does not accept".to_owned(),
        Some((_, rest)) => match rest.rsplit_once(": ") {
            Some((_, similar)) => format!("no meaning for MongoDB's driver; did you mean {similar}?"),
            None => "no meaning for MongoDB's driver".to_owned(),
        },
    };
    Some(StoreError::Unusable(format!("the option {option} in the address of MongoDB has {why}")))
}

/// The name of the option up to which the driver refuses the address.
fn first_bad_option(uri: &str) -> Option<&str> {
    let host = uri.rfind('@').map_or(0, |at| at + 1);
    let start = host + uri[host..].find('?')? + 1;
    let ends = uri[start..].match_indices('&').map(|(at, _)| start + at).chain([uri.len()]);
    let accepts = |end: usize| ConnectionString::parse(&uri[..end]).is_ok();
    let end = Some(ends).filter(|_| accepts(start - 1))?.find(|end| !accepts(*end))?;
    let option = uri[start..end].rsplit('&').next()?;
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    Some(name).filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

fn unreadable() -> StoreError {
    StoreError::Unusable(
        "the address of MongoDB is invalid, or its host name can't be resolved: expected \
         mongodb://user:password@host:27017/orientation or mongodb+srv://user:password@cluster/orientation, with \
         : / ? # [ ] @ and % in user and password written as %3A and so on"
            .into(),
    )
}

fn unusable(hosts: &str, why: &str) -> StoreError {
    StoreError::Unusable(format!("the MongoDB at {hosts} can't be used: {why}"))
}

fn standalone(hosts: &str) -> StoreError {
    StoreError::Unusable(format!(
        "the MongoDB at {hosts} is a standalone server and has no transactions: make it a replica set, which may have one \
         member (start mongod with --replSet rs0, then run rs.initiate() once in mongosh)"
    ))
}

fn of_the_server(name: &str) -> StoreError {
    StoreError::Unusable(format!(
        "the address of MongoDB names the database {name}, which is reserved for the server and has no transactions: name \
         another one after the host, such as mongodb://host/orientation?authSource=admin, where authSource is the \
         database that holds the user"
    ))
}

fn no_answer(limit: Duration) -> String {
    format!("it did not answer within {} s", limit.as_secs())
}

/// A failed call of the driver.
pub(super) struct Failure {
    pub error: StoreError,
    /// Whether the server reported the failure. If not, the outcome is unknown.
    pub answered: bool,
}

/// The result of a call of the driver. The call ends after ten seconds, even if the server is silent.
pub(super) async fn asked<T>(
    call: impl IntoFuture<Output = std::result::Result<T, mongodb::error::Error>>,
) -> Result<T, Failure> {
    asked_for(CALL, call).await
}

async fn asked_for<T>(
    limit: Duration,
    call: impl IntoFuture<Output = std::result::Result<T, mongodb::error::Error>>,
) -> Result<T, Failure> {
    match timeout(limit, call.into_future()).await {
        Ok(ended) => ended.map_err(|error| Failure { answered: is_answer(&error), error: failed(error) }),
        Err(_elapsed) => {
            let error = StoreError::Failed(format!("MongoDB: {}", no_answer(limit)));
            Err(Failure { error, answered: false })
        }
    }
}

/// [`asked`] where it doesn't matter whether the server answered.
pub(super) async fn bounded<T>(
    call: impl IntoFuture<Output = std::result::Result<T, mongodb::error::Error>>,
) -> Result<T> {
    bounded_by(CALL, call).await
}

/// [`bounded`] for a call that may take longer.
pub(super) async fn bounded_by<T>(
    limit: Duration,
    call: impl IntoFuture<Output = std::result::Result<T, mongodb::error::Error>>,
) -> Result<T> {
    asked_for(limit, call).await.map_err(|failure| failure.error)
}

#[cfg(test)]
mod tests {
    use mongodb::options::HostInfo;

    use super::*;

    #[test]
    fn an_srv_uri_is_parsed() {
        let address = "mongodb+srv://ana:s%3Acret@cluster0.example.mongodb.net/week?authSource=admin";
        let parsed = ConnectionString::parse(address).unwrap();
        assert_eq!(parsed.host_info, HostInfo::DnsRecord("cluster0.example.mongodb.net".into()));
        assert_eq!(parsed.default_database.as_deref(), Some("week"));
        assert_eq!(parsed.tls, Some(mongodb::options::Tls::Enabled(mongodb::options::TlsOptions::default())));
        assert_eq!(parsed.credential.unwrap().password.as_deref(), Some("s:cret"));
    }

    #[tokio::test]
    async fn the_uri_can_not_weaken_durability_and_consistency() {
        let address = "mongodb://h/?w=0&journal=false&retryWrites=false&readPreference=secondary&readConcernLevel=local";
        let options = options(address).await.unwrap();
        assert_eq!(options.write_concern, Some(durable()));
        assert_eq!(options.read_concern, Some(ReadConcern::majority()));
        assert_eq!(options.retry_writes, Some(true));
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        assert_eq!(options.selection_criteria, Some(primary));
    }

    #[tokio::test]
    async fn the_servers_own_databases_are_refused() {
        for name in OF_THE_SERVER {
            let address = format!("mongodb://ana:s3cret@127.0.0.1:1/{name}");
            let refused = open(&address).await.unwrap_err().to_string();
            assert!(
                refused.contains(&format!("the database {name}, which is reserved for the server")),
                "{refused}"
            );
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[tokio::test]
    async fn an_unanswered_call_times_out() {
        let ended = bounded_by::<()>(Duration::from_millis(20), std::future::pending()).await;
        assert_eq!(ended, Err(StoreError::Failed("MongoDB: it did not answer within 0 s".into())));
    }

    #[tokio::test]
    async fn an_option_that_the_driver_does_not_accept_is_named() {
        let unknown = "has no meaning for MongoDB's driver";
        let value = "has a value that MongoDB's driver does not accept";
        for (options, option, why) in [
            ("retryWrite=true", "retryWrite", "; did you mean retrywrites?"),
            ("authSource=admin&frobnicate=1", "frobnicate", unknown),
            ("replicaSet=rs0&maxPoolSize=many&appName=x", "maxPoolSize", value),
            ("readPreference=nearby", "readPreference", value),
            ("tls=perhaps", "tls", value),
            ("w=-1", "w", value),
        ] {
            for head in ["mongodb://ana:s3cret@host/week", "mongodb+srv://ana:s3cret@h.example.org/"] {
                let refused = super::options(&format!("{head}?{options}")).await.unwrap_err().to_string();
                assert!(
                    refused.contains(&format!("the option {option} in the address of MongoDB")),
                    "{refused}"
                );
                assert!(refused.contains(why) && !refused.contains("s3cret"), "{refused}");
            }
        }
    }

    #[tokio::test]
    async fn an_invalid_uri_is_refused_without_being_shown() {
        for address in [
            "ana:s3cret@host",
            "mongodb://ana:s3cret:x@host",
            "mongodb://ana:s3cret@host/?s3cret=1",
            "mongodb://ana:p?s3cret=a&b=1@host",
        ] {
            let refused = options(address).await.unwrap_err().to_string();
            assert!(refused.contains("mongodb://") && !refused.contains("s3cret"), "{refused}");
        }
    }
}
