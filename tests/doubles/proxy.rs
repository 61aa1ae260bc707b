//! A network between the service and a server, with the faults that networks have.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// All data, in both directions, arrives this much later.
    Slow(Duration),
    /// Nothing arrives, and connections stay open. The data arrives later, as when a cable is plugged in again.
    Silent,
    /// All connections are reset, and new ones at once.
    Cut,
}

/// Accepts connections at its own address and forwards them to one server. Ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    resets: watch::Sender<u32>,
    taking: JoinHandle<()>,
}

impl Proxy {
    /// A network without faults in front of this server (`host:port`).
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let weather = watch::Sender::new(Weather::Fair);
        let resets = watch::Sender::new(0);
        let taking = tokio::spawn(take(listener, server.to_owned(), weather.subscribe(), resets.subscribe()));
        Self { address, weather, resets, taking }
    }

    /// The same for a URL such as `mongodb://127.0.0.1:27017/x`; returns the URL with the proxy's host and port.
    pub async fn before_url(url: &str) -> (Self, String) {
        let mut through = url::Url::parse(url).expect("a URL");
        let server = format!("{}:{}", through.host_str().expect("a host"), through.port().expect("a port"));
        let proxy = Self::before(&server).await;
        through.set_host(Some("127.0.0.1")).expect("it has a host");
        through.set_port(Some(proxy.address.port())).expect("it has a port");
        (proxy, through.into())
    }

    /// Changes the network, from now on.
    pub fn turns(&self, weather: Weather) {
        self.weather.send_replace(weather);
        if weather == Weather::Cut {
            self.reset();
        }
    }

    /// Resets all open connections; new ones are accepted as before.
    pub fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.taking.abort();
        self.reset();
    }
}

async fn take(
    listener: TcpListener,
    server: String,
    weather: watch::Receiver<Weather>,
    resets: watch::Receiver<u32>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, weather, resets) = (server.clone(), weather.clone(), resets.clone());
        tokio::spawn(async move { connect(client, &server, weather, resets).await });
    }
}

async fn connect(
    mut client: TcpStream,
    server: &str,
    mut weather: watch::Receiver<Weather>,
    mut resets: watch::Receiver<u32>,
) {
    resets.mark_unchanged();
    if *weather.borrow_and_update() == Weather::Cut {
        return end_hard(&client);
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return end_hard(&client) };
    let passed = {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let both = async {
            tokio::try_join!(
                pass(from_client, to_server, weather.clone()),
                pass(from_server, to_client, weather.clone())
            )
        };
        tokio::select! {
            passed = both => passed.is_ok(),
            _ = resets.changed() => false,
        }
    };
    if !passed {
        end_hard(&client);
        end_hard(&server);
    }
}

/// Forwards data until one side closes.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // It fails only after the proxy was dropped, and then all connections are reset.
        let now = weather.wait_for(|weather| *weather != Weather::Silent).await.map(|now| *now);
        if let Ok(Weather::Slow(by)) = now {
            tokio::time::sleep(by).await;
        }
        match read {
            0 => return to.shutdown().await,
            read => to.write_all(&buffer[..read]).await?,
        }
    }
}

/// Makes the connection end with a reset.
fn end_hard(stream: &TcpStream) {
    // It fails only if the other side has closed already.
    let _ = stream.set_zero_linger();
}
