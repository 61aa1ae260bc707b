//! Accepts connections, and cuts off those that keep others waiting.
//!
//! The framework's own server waits for ever for a request's head and takes any number of connections. This one
//! keeps a seat for each connection and looks around four times a second: who has said nothing, or has been at the
//! head of a request for too long, loses the seat. Accepting never waits: when all seats are taken, the one that
//! was silent longest makes room. Bodies that are on their way have an end, too, all together: when they are more, the
//! connection with the most of one goes. Requests themselves cost one clock reading and an atomic store.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use poem::http::uri::Scheme;
use poem::http::{Version, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::limits::ConnectionLimits;
use crate::platform::metrics::{Connections, CutOff};

/// A socket that listens, and the limits under which it will be served.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: ConnectionLimits,
    connections: Connections,
}

impl Server {
    /// Listens on `addr`; port 0 takes a free one.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let (limits, connections) = (ConnectionLimits::default(), Connections::default());
        Ok(Self { listener, local_addr, limits, connections })
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// The same, whose connections are counted.
    pub fn counted_by(self, connections: Connections) -> Self {
        Self { connections, ..self }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves `endpoint` until `shutdown` is done; then accepts no more, and waits for the requests that run until
    /// [`ConnectionLimits::grace`] has passed.
    pub async fn serve<E: Endpoint + 'static>(self, endpoint: E, shutdown: impl Future<Output = ()>) {
        let Self { listener, local_addr, limits, connections } = self;
        let (graceful, stopped) = (GracefulShutdown::new(), CancellationToken::new());
        let (endpoint, hall) = (Arc::new(endpoint), Arc::new(Hall::new(limits, connections)));
        let accepting = async {
            loop {
                let Some((stream, peer)) = accept(&listener, &hall).await else { continue };
                let Some(seat) = hall.take_seat(peer.ip()) else { continue };
                let guest = Guest { stream, peer, local_addr, seat, limits, watcher: graceful.watcher() };
                tokio::spawn(stopped.clone().run_until_cancelled_owned(guest.attend(endpoint.clone())));
            }
        };
        tokio::select! {
            () = accepting => {}
            () = hall.look_around() => {}
            () = shutdown => {}
        }
        drop(listener);
        hall.send_away_the_silent();
        tokio::select! {
            () = graceful.shutdown() => {}
            () = hall.look_around() => {}
            () = tokio::time::sleep(limits.grace) => tracing::warn!("requests that still ran were given up"),
        }
        stopped.cancel();
    }
}

/// The next connection. An error is the connection's own, or there are no more file descriptors: then room is made.
async fn accept(listener: &TcpListener, hall: &Arc<Hall>) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            hall.make_room(|_| true);
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}

/// One connection.
struct Guest {
    stream: TcpStream,
    peer: SocketAddr,
    local_addr: SocketAddr,
    seat: Seat,
    limits: ConnectionLimits,
    watcher: Watcher,
}

impl Guest {
    async fn attend<E: Endpoint>(self, endpoint: Arc<E>) {
        let place = self.seat.place.clone();
        let asked_to_leave = place.leave.clone();
        let attending = async {
            // Until the first byte the hall is less patient than after it.
            if matches!(self.stream.peek(&mut [0]).await, Ok(1..)) {
                place.wait();
                self.serve(endpoint).await;
            }
        };
        asked_to_leave.run_until_cancelled_owned(attending).await;
    }

    async fn serve<E: Endpoint>(self, endpoint: Arc<E>) {
        let Self { stream, peer, local_addr, seat, limits, watcher } = self;
        let place = &seat.place;
        let _ = stream.set_nodelay(true);
        let (local, remote) = (LocalAddr(Addr::SocketAddr(local_addr)), RemoteAddr(Addr::SocketAddr(peer)));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (busy, more_comes) = (Busy::begin(place), !request.body().is_end_stream());
            let has_bad_host = has_bad_host(&request);
            let mut request = Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
            if has_bad_host {
                request.set_data(BadHost);
            }
            if more_comes {
                let body = request.take_body();
                request.set_body(arriving(body, Arriving::begin(&seat)));
            }
            let endpoint = endpoint.clone();
            async move {
                let answer: hyper::Response<_> = endpoint.get_response(request).await.into();
                Ok::<_, Infallible>(answer.map(|body| Answering { body, _busy: busy }))
            }
        });
        let io = Watched { io: TokioIo::new(stream), place: place.clone() };
        let connection = http1::Builder::new().max_buf_size(limits.head_bytes).serve_connection(io, service);
        // What ends a connection early is the peer's affair: it broke off, or did not speak HTTP.
        let _ = watcher.watch(connection).await;
    }
}

/// Marks a request whose `Host` header is missing or repeated. The pipeline refuses it.
#[derive(Clone, Copy)]
pub(super) struct BadHost;

/// Whether the number of `Host` headers is wrong: HTTP/1.1 needs exactly one (RFC 9112, section 3.2), HTTP/1.0 none or one.
fn has_bad_host<B>(request: &hyper::Request<B>) -> bool {
    match request.headers().get_all(header::HOST).iter().count() {
        0 => request.version() >= Version::HTTP_11,
        1 => false,
        _ => true,
    }
}

/// The body of a request. Until all of it is there its connection waits for its peer.
fn arriving(body: poem::Body, arriving: Arriving) -> poem::Body {
    let place = arriving.place.clone();
    let arrived = stream::poll_fn(move |_| {
        place.state.store(BUSY, Ordering::Relaxed);
        Poll::Ready(None)
    });
    let counted = body.into_bytes_stream().inspect(move |chunk| {
        if let Ok(bytes) = chunk {
            arriving.more(bytes.len());
        }
    });
    poem::Body::from_bytes_stream(counted.chain(arrived))
}

/// Lasts from the head of a request until its body is there, or nobody reads it any more.
struct Arriving {
    hall: Arc<Hall>,
    place: Arc<Place>,
}

impl Arriving {
    fn begin(seat: &Seat) -> Self {
        seat.place.set(UNFINISHED);
        Self { hall: seat.hall.clone(), place: seat.place.clone() }
    }

    fn more(&self, bytes: usize) {
        // In this order the sum is never below its parts.
        let all = self.hall.bodies.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.place.body.fetch_add(bytes, Ordering::Relaxed);
        if all > self.hall.limits.body_bytes {
            self.hall.drop_largest_body();
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.hall.forget_body(&self.place);
    }
}

/// All connections there are.
struct Hall {
    limits: ConnectionLimits,
    connections: Connections,
    opened: Instant,
    places: Mutex<HashMap<u64, Arc<Place>>>,
    numbers: AtomicU64,
    /// Bytes that are there of bodies that are not there whole: the sum of [`Place::body`].
    bodies: AtomicUsize,
}

/// One connection's place in the hall.
struct Place {
    peer: IpAddr,
    opened: Instant,
    /// Milliseconds from `opened` until when it began to wait for its peer, times four, plus what it waits for;
    /// [`BUSY`] while a request runs.
    state: AtomicU64,
    /// Bytes that are there of a body that is not there whole.
    body: AtomicUsize,
    leave: CancellationToken,
}

const BUSY: u64 = u64::MAX;
/// Waits for the first byte.
const SILENT: u64 = 0;
/// Waits for the head of a request, the first or the next, or for its answer to be taken up.
const WAITING: u64 = 1;
/// Waits for the rest of a request's body, whose time is limited elsewhere (`limits::BODY_TIME`).
const UNFINISHED: u64 = 2;

impl Place {
    fn set(&self, kind: u64) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(0);
        self.state.store(millis * 4 + kind, Ordering::Relaxed);
    }

    fn wait(&self) {
        self.set(WAITING);
    }

    /// What it waits for and since when; `None` while a request runs.
    fn waits(&self) -> Option<(u64, Duration)> {
        let state = self.state.load(Ordering::Relaxed);
        (state != BUSY).then(|| (state % 4, Duration::from_millis(state / 4)))
    }
}

impl Hall {
    fn new(limits: ConnectionLimits, connections: Connections) -> Self {
        let (places, numbers, bodies) = (Mutex::default(), AtomicU64::new(0), AtomicUsize::new(0));
        Self { limits, connections, opened: Instant::now(), places, numbers, bodies }
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a connection of `peer`; `None` if there is none even for those who push.
    fn take_seat(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let (all, of_peer) = {
            let places = self.places();
            (places.len(), places.values().filter(|place| place.peer == peer).count())
        };
        let crowded = of_peer >= self.limits.connections_of_a_peer;
        let full = !crowded && all >= self.limits.connections;
        let refused =
            (crowded && !self.make_room(|place| place.peer == peer)) || (full && !self.make_room(|_| true));
        if refused {
            self.connections.refused();
            return None;
        }
        let (state, body) = (AtomicU64::new(0), AtomicUsize::new(0));
        let place = Place { peer, opened: self.opened, state, body, leave: CancellationToken::new() };
        place.set(SILENT);
        let (number, place) = (self.numbers.fetch_add(1, Ordering::Relaxed), Arc::new(place));
        self.places().insert(number, place.clone());
        self.connections.opened();
        Some(Seat { hall: self.clone(), number, place })
    }

    /// Sends away the one that has been silent, or else has waited, or else has left its body unfinished, longest of
    /// those that `may_go`.
    fn make_room(&self, may_go: impl Fn(&Place) -> bool) -> bool {
        let mut places = self.places();
        let waiting = places.iter().filter(|(_, place)| may_go(place));
        let waiting = waiting.filter_map(|(number, place)| Some((place.waits()?, *number)));
        let Some((_, longest)) = waiting.min() else { return false };
        if let Some(place) = places.remove(&longest) {
            self.cut_off(&place, CutOff::Room);
        }
        true
    }

    /// Sends away the one with the most of an unfinished body: who hoards, not the student on a slow line, whose form
    /// is short.
    fn drop_largest_body(&self) {
        let bytes = |place: &Arc<Place>| place.body.load(Ordering::Relaxed);
        let largest = self.places().values().max_by_key(|place| bytes(place)).cloned();
        if let Some(place) = largest.filter(|place| bytes(place) > 0) {
            self.forget_body(&place);
            self.cut_off(&place, CutOff::Room);
        }
    }

    /// Counts its body no more.
    fn forget_body(&self, place: &Place) {
        let bytes = place.body.swap(0, Ordering::Relaxed);
        self.bodies.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Sends away whoever waits for longer than the limits allow, four times a second, for ever.
    async fn look_around(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            let now = self.opened.elapsed();
            for place in self.places().values() {
                if let Some((kind, since)) = place.waits()
                    && now.saturating_sub(since) > self.patience(kind)
                {
                    self.cut_off(place, if kind == SILENT { CutOff::Silent } else { CutOff::Slow });
                }
            }
        }
    }

    fn cut_off(&self, place: &Place, reason: CutOff) {
        // Who was told already takes a moment to be gone.
        if !place.leave.is_cancelled() {
            self.connections.cut_off(reason);
            place.leave.cancel();
        }
    }

    fn patience(&self, kind: u64) -> Duration {
        match kind {
            SILENT => self.limits.first_byte,
            WAITING => self.limits.head,
            _ => Duration::MAX,
        }
    }

    /// The others end as soon as their request is answered.
    fn send_away_the_silent(&self) {
        let places = self.places();
        let silent = places.values().filter(|place| place.waits().is_some_and(|(kind, _)| kind == SILENT));
        silent.for_each(|place| place.leave.cancel());
    }
}

/// Given back when the connection ends.
struct Seat {
    hall: Arc<Hall>,
    number: u64,
    place: Arc<Place>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hall.places().remove(&self.number);
        self.hall.connections.closed();
    }
}

/// Lasts from the head of a request until the last of its answer was handed over.
struct Busy(Arc<Place>);

impl Busy {
    fn begin(place: &Arc<Place>) -> Self {
        place.state.store(BUSY, Ordering::Relaxed);
        Self(place.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// The body of an answer, during which the connection counts as busy.
struct Answering<B> {
    body: B,
    _busy: Busy,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
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

/// A socket whose peer is waited for anew whenever it takes up some of an answer.
struct Watched {
    io: TokioIo<TcpStream>,
    place: Arc<Place>,
}

impl Watched {
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..)))
            && self.place.waits().is_some_and(|(kind, _)| kind == WAITING)
        {
            self.place.wait();
        }
        written
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Watched {
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
