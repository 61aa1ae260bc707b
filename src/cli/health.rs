//! `orientation health`: asks the service with this configuration whether it is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Failed, run};

/// Timeout: slightly longer than the service waits for its store.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the service on this machine.
///
/// # Errors
/// If it is not ready or doesn't answer.
pub(super) async fn ask() -> Result<(), Failed> {
    let address = reachable(run::configuration()?.listen);
    if address.port() == 0 {
        return Err(Failed("ORIENTATION_LISTEN has port 0, so the service can't be found".to_owned()));
    }
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(Failed::because)?;
    match client.get(format!("http://{address}/health/ready")).send().await {
        Ok(answer) if answer.status().is_success() => {
            println!("ready");
            Ok(())
        }
        Ok(answer) => Err(Failed(format!("{address} is not ready: status {}", answer.status().as_u16()))),
        Err(error) if error.is_timeout() => Err(Failed(format!("{address} did not answer in time"))),
        Err(_) => Err(Failed(format!("{address} does not accept connections"))),
    }
}

/// The address at which this machine reaches a service that listens on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_address_is_reached_on_loopback() {
        let found = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(found("0.0.0.0:3000"), "127.0.0.1:3000");
        assert_eq!(found("[::]:3000"), "[::1]:3000");
        assert_eq!(found("192.0.2.7:80"), "192.0.2.7:80");
    }
}
