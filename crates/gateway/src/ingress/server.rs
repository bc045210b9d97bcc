//! Connections: accepting, HTTP framing limits, draining.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::ingress::guard::{Busy, BusyCall, ConnectionGuard, Patience};

/// Header fields of one request.
const HEADERS_MAX: usize = 100;

/// What one listener allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// How long a connection may rest.
    pub patience: Patience,
    /// Connections at once; at the limit new ones wait in the kernel's queue.
    pub connections: usize,
}

/// Answers requests: the data plane's or the admin's face.
pub trait Answer: Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data = bytes::Bytes, Error = Infallible> + Send + Unpin + 'static;

    /// Answers one request. `peer` is who is connected; `None` for a connection that was handed in, within this process.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Option<SocketAddr>,
    ) -> Pin<Box<dyn Future<Output = Response<Self::Body>> + Send>>;
}

/// One listener's connections.
pub struct Server<A> {
    face: Arc<A>,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl<A: Answer> Server<A> {
    /// A server of a face.
    pub fn new(face: Arc<A>, limits: Limits) -> Server<A> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .header_read_timeout(None)
            .max_buf_size(limits.header_bytes.max(8192))
            .max_headers(HEADERS_MAX);
        // No `pipeline_flush`: it makes hyper's write buffer unbounded, so that a client which does not read would fill
        // our memory instead of stopping its stream.
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(1_000)
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .keep_alive_timeout(Duration::from_secs(20));
        Server {
            face,
            builder,
            graceful: GracefulShutdown::new(),
            tasks: TaskTracker::new(),
            places: Arc::new(Semaphore::new(limits.connections)),
            limits,
        }
    }

    /// What it serves.
    pub fn face(&self) -> &Arc<A> {
        &self.face
    }

    /// Accepts connections until `stop` resolves, then returns at once: see [`Server::shut_down`].
    pub async fn accept(&self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let place = tokio::select! {
                biased;
                () = &mut stop => return,
                place = self.places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            };
            let accepted = tokio::select! {
                biased;
                () = &mut stop => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Without it Nagle and delayed acknowledgements add 40 ms to a call.
                    let _ = stream.set_nodelay(true);
                    self.serve(TokioIo::new(stream), Some(peer), place);
                }
                Err(error) => {
                    // Out of file descriptors, most likely; a moment later some connection has ended.
                    warn!("Failed to accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Serves one connection that somebody else accepted.
    pub fn serve_io<IO>(&self, io: IO)
    where
        IO: Read + Write + Unpin + Send + 'static,
    {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            self.serve(io, None, place);
        }
    }

    /// Asks every connection to end after the answer it is giving.
    pub async fn shut_down(self) {
        let tasks = self.tasks.clone();
        tasks.close();
        self.graceful.shutdown().await;
        tasks.wait().await;
    }

    fn serve<IO>(&self, io: IO, peer: Option<SocketAddr>, place: OwnedSemaphorePermit)
    where
        IO: Read + Write + Unpin + Send + 'static,
    {
        let (face, busy) = (self.face.clone(), Busy::default());
        let guarded = busy.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let call = busy.begin(request.version());
            let answer = face.clone().answer(request, peer);
            async move { Ok::<_, Infallible>(answer.await.map(|body| Tracked { body, _call: call })) }
        });
        let io = ConnectionGuard::new(io, self.limits.patience, guarded);
        let connection = self.builder.serve_connection(io, service).into_owned();
        let connection = self.graceful.watch(connection);
        self.tasks.spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                // Broken off by the client, or no HTTP: the peer's doing, seen at debug level.
                debug!(?peer, "Connection ended early: {error}");
            }
        });
    }
}

/// A body that keeps its connection's call under way until it is done.
struct Tracked<B> {
    body: B,
    _call: BusyCall,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
