//! One connection: its requests, and what it waits for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
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
    pub(super) slot: Slot,
    pub(super) limits: ConnectionLimits,
    pub(super) watcher: Watcher,
}

impl Connection {
    /// Serves the connection until it ends or the table closes it.
    pub(super) async fn run<E: Endpoint>(self, endpoint: Arc<E>) {
        let state = self.slot.state.clone();
        let closing = state.closing();
        let serving = async {
            // The deadline for the first byte is shorter than the one for the head.
            if matches!(self.stream.peek(&mut [0]).await, Ok(1..)) {
                state.wait(Waiting::Head);
                self.serve(endpoint).await;
            }
        };
        closing.run_until_cancelled_owned(serving).await;
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
