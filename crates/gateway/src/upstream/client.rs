//! The HTTP client of one provider: a pool, its credentials, and nothing that decides.
//!
//! It never follows a redirect, never retries on its own account after bytes were sent, and sends only what is built
//! here: no header of the client's goes upstream.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
pub use hyper_util::client::legacy::connect::CaptureConnection;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::upstream::link::{ConnectionUses, Dialer};

/// Idle connections are closed after this long: below the 60 s at which common load balancers close theirs.
const POOL_IDLE: Duration = Duration::from_secs(55);

/// A provider's connections.
#[derive(Clone)]
pub struct UpstreamClient {
    pooled: Client<Dialer, Full<Bytes>>,
    fresh: Client<Dialer, Full<Bytes>>,
}

/// A request on its way.
pub struct Sent {
    /// The answer's head, when it comes.
    pub response: ResponseFuture,
    /// Knows the connection as soon as there is one.
    pub connection: CaptureConnection,
}

impl UpstreamClient {
    /// A client with a pool of its own.
    pub fn new(dialer: Dialer) -> UpstreamClient {
        let build = |idle_per_host: usize| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(idle_per_host)
                .http2_adaptive_window(true)
                .http2_keep_alive_interval(Some(Duration::from_secs(20)))
                .build(dialer.clone())
        };
        UpstreamClient {
            pooled: build(usize::MAX),
            fresh: build(0),
        }
    }

    /// Sends a request; `fresh` insists on a connection that nobody used before.
    pub fn send(&self, mut request: Request<Full<Bytes>>, fresh: bool) -> Sent {
        let connection = capture_connection(&mut request);
        let client = if fresh { &self.fresh } else { &self.pooled };
        Sent {
            response: client.request(request),
            connection,
        }
    }
}

/// Whether the connection that carried a request had carried an answer before.
pub fn connection_was_reused(connection: &CaptureConnection) -> bool {
    uses(connection).is_some_and(|uses| uses.reused())
}

/// Notes that an answer began on the connection.
pub fn answer_began(connection: &CaptureConnection) {
    if let Some(uses) = uses(connection) {
        uses.add();
    }
}

fn uses(connection: &CaptureConnection) -> Option<ConnectionUses> {
    let metadata = connection.connection_metadata();
    let mut extensions = http::Extensions::new();
    metadata.as_ref()?.get_extras(&mut extensions);
    extensions.remove::<ConnectionUses>()
}

/// The headers that every request to a provider carries, its credential apart.
pub fn base_headers(fixed: &[(&'static str, &'static str)], extra: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Compressed streams arrive in blocks, which would hold tokens back; unary answers are small.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("jumpseat/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in fixed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in extra {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        ) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Builds a request from what is given and nothing else.
pub fn request(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}
