//! A load balancer: it forwards each connection to the next process that accepts it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Ends when it is dropped.
pub struct Balancer {
    port: u16,
    taking: JoinHandle<()>,
}

impl Balancer {
    /// A balancer for the processes that listen, or will listen, on these ports.
    pub async fn before(ports: Vec<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Self { port, taking: tokio::spawn(take(listener, ports.into())) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

async fn take(listener: TcpListener, ports: Arc<[u16]>) {
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept().await {
        let (ports, turn) = (ports.clone(), turn.clone());
        tokio::spawn(async move { pass(client, &ports, turn.fetch_add(1, Ordering::Relaxed)).await });
    }
}

/// When a process doesn't accept a connection, nothing has been sent yet, so another process can get it.
async fn pass(mut client: TcpStream, ports: &[u16], turn: usize) {
    for n in 0..ports.len() {
        let port = ports[(turn + n) % ports.len()];
        if let Ok(mut process) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            // An error is a process that crashed or a client that hung up, and the other side notices.
            let _ = copy_bidirectional(&mut client, &mut process).await;
            return;
        }
    }
}
