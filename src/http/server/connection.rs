//! One connection: its requests, and what it waits for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{StreamExt, stream};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use poem::http::uri::Scheme;
use poem::http::{Version, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request};
use tokio::net::TcpStream;

use super::super::limits::ConnectionLimits;
use super::table::{ConnectionState, Slot, UnfinishedBody, Waiting};

/// An accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local_addr: SocketAddr,
    pub(super) slot: Arc<Slot>,
    pub(super) limits: ConnectionLimits,
    pub(super) watcher: Watcher,
}

impl Connection {
    /// Serves the connection until it ends or the table closes it.
    pub(super) async fn run<E: Endpoint>(self, endpoint: Arc<E>) {
        let slot = self.slot.clone();
        let serving = async {
            // The deadline for the first byte is shorter than the one for the head.
            if matches!(self.stream.peek(&mut [0]).await, Ok(1..)) {
                self.slot.state.wait(Waiting::Head);
                self.serve(endpoint).await;
            }
        };
        let mut serving = pin!(serving);
        loop {
            tokio::select! {
                biased;
                () = &mut serving => break,
                () = asked_to_close(&slot) => if slot.closes() { break },
            }
        }
    }

    async fn serve<E: Endpoint>(self, endpoint: Arc<E>) {
        let Self { stream, peer, local_addr, slot, limits, watcher } = self;
        let _ = stream.set_nodelay(true);
        let (local, remote) = (LocalAddr(Addr::SocketAddr(local_addr)), RemoteAddr(Addr::SocketAddr(peer)));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (busy, has_body) = (Busy::begin(&slot.state), !request.body().is_end_stream());
            let has_bad_host = has_bad_host(&request);
            let mut request = Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
            if has_bad_host {
                request.set_data(BadHost);
            }
            if has_body {
                let body = request.take_body();
                request.set_body(counted(body, UnfinishedBody::begin(&slot)));
            }
            let endpoint = endpoint.clone();
            async move {
                let response: hyper::Response<_> = endpoint.get_response(request).await.into();
                Ok::<_, Infallible>(response.map(|body| ResponseBody { body, _busy: busy }))
            }
        });
        let io = Socket { io: TokioIo::new(stream), state: slot.state.clone() };
        let connection = http1::Builder::new().max_buf_size(limits.head_bytes).serve_connection(io, service);
        // An error is the client's: it disconnected, or did not send HTTP.
        let _ = watcher.watch(connection).await;
    }
}

/// Completes when the table wants the connection to close, and the bytes that have arrived by then have been read: a busy
/// process may read late what a client sent in time.
async fn asked_to_close(slot: &Slot) {
    slot.state.asked_to_close().await;
    tokio::task::yield_now().await;
}

/// Marks a request whose `Host` header is missing or repeated. The pipeline refuses it.
#[derive(Clone, Copy)]
pub(in super::super) struct BadHost;

/// Whether the number of `Host` headers is wrong: HTTP/1.1 needs exactly one (RFC 9112, section 3.2), HTTP/1.0 none or one.
fn has_bad_host<B>(request: &hyper::Request<B>) -> bool {
    match request.headers().get_all(header::HOST).iter().count() {
        0 => request.version() >= Version::HTTP_11,
        1 => false,
        _ => true,
    }
}

/// A request body that counts its bytes. The connection waits for its client until the body is complete.
fn counted(body: poem::Body, unfinished: UnfinishedBody) -> poem::Body {
    let state = unfinished.state().clone();
    let complete = stream::poll_fn(move |_| {
        state.set_busy();
        Poll::Ready(None)
    });
    let chunks = body.into_bytes_stream().inspect(move |chunk| {
        if let Ok(bytes) = chunk {
            unfinished.add(bytes.len());
        }
    });
    poem::Body::from_bytes_stream(chunks.chain(complete))
}

/// Marks the connection as busy from a request's head to the end of its response.
struct Busy(Arc<ConnectionState>);

impl Busy {
    fn begin(state: &Arc<ConnectionState>) -> Self {
        state.set_busy();
        Self(state.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.wait(Waiting::Head);
    }
}

/// A response body, which keeps the connection busy.
struct ResponseBody<B> {
    body: B,
    _busy: Busy,
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket. Whenever the client accepts some of a response, its deadline begins anew.
struct Socket {
    io: TokioIo<TcpStream>,
    state: Arc<ConnectionState>,
}

impl Socket {
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let progress = matches!(written, Poll::Ready(Ok(1..)));
        if progress && self.state.waiting().is_some_and(|(kind, _)| kind == Waiting::Head) {
            self.state.wait(Waiting::Head);
        }
        written
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use hyper_util::server::graceful::GracefulShutdown;
    use poem::endpoint::make;
    use tokio::net::TcpListener;

    use super::super::table::ConnectionTable;
    use super::*;
    use crate::kernel::faults;
    use crate::platform::metrics::Connections;

    /// What a client gets whose request arrives before the service, which is busy, closes the connection.
    async fn answer_of_a_late_request() -> String {
        let limits = ConnectionLimits::default();
        let table = Arc::new(ConnectionTable::new(limits, Connections::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local_addr = listener.local_addr().unwrap();
        let mut client = std::net::TcpStream::connect(local_addr).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let (slot, graceful) = (Arc::new(table.add(peer.ip()).unwrap()), GracefulShutdown::new());
        let watcher = graceful.watcher();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        assert!(table.make_room(|_| true));
        Connection { stream, peer, local_addr, slot, limits, watcher }
            .run(Arc::new(make(async |_| {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                "hello"
            })))
            .await;
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        answer
    }

    #[tokio::test]
    async fn a_request_that_has_begun_is_answered_before_its_connection_closes() {
        let answer = answer_of_a_late_request().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer:?}");
        let unguarded = faults::without("begun-requests-are-answered", answer_of_a_late_request());
        assert_eq!(unguarded.await, "", "without the guard, the request is lost");
    }
}
