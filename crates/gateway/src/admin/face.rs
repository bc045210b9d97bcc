//! The paths of the admin listener.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use policy::breaker::BreakerState;
use policy::view::{Admission, TargetsView};
use serde::Serialize;
use types::ids::TargetIx;

use crate::admin::health::Health;
use crate::clock::Clock;
use crate::fleet::memory::lock;
use crate::fleet::snapshot::Snapshot;
use crate::ingress::bodies::BodyBudget;
use crate::ingress::reply::{self, ReplyBody};
use crate::ingress::server::Answer;
use crate::telemetry::line_writer::LineWriter;
use crate::telemetry::metrics::Metrics;

/// The admin listener's HTTP face.
pub struct AdminFace {
    /// What serves now.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Alive, ready.
    pub health: Arc<Health>,
    /// The time.
    pub clock: Clock,
    /// Counts the lines it shed.
    pub call_log: Option<LineWriter>,
    /// Counts the bytes held.
    pub bodies: Arc<BodyBudget>,
    /// Bound to loopback: then only names of this machine are taken in `Host`, so that a web page whose name was
    /// rebound to 127.0.0.1 cannot read metrics through a visitor's browser.
    pub loopback_only: bool,
}

#[derive(Serialize)]
struct TargetReport {
    target: String,
    breaker: &'static str,
    admission: String,
    in_flight: u32,
}

impl Answer for AdminFace {
    type Body = ReplyBody;

    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>> {
        Box::pin(async move { self.handle(&request) })
    }
}

impl AdminFace {
    fn handle(&self, request: &Request<Incoming>) -> Response<ReplyBody> {
        if self.loopback_only && !is_local(request) {
            return plain(
                StatusCode::MISDIRECTED_REQUEST,
                "this listener answers to localhost only\n",
            );
        }
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match request.uri().path() {
            "/metrics" => self.metrics(),
            "/health" => self.health.health(),
            "/ready" => self.health.ready(),
            "/targets" => self.targets(),
            _ => plain(
                StatusCode::NOT_FOUND,
                "here are /metrics, /targets, /health and /ready\n",
            ),
        }
    }

    fn metrics(&self) -> Response<ReplyBody> {
        let mut response = reply::json(StatusCode::OK, self.render());
        let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, openmetrics);
        response
    }

    /// The text of `/metrics`; gauges of state are read at this moment.
    pub fn render(&self) -> String {
        let now = self.clock.now();
        let targets = self.snapshot.load().targets();
        self.metrics.set_states(targets.iter().map(|(route, index)| {
            let target = &route.targets[*index];
            let breaker = match lock(&target.state.cell).state(now) {
                BreakerState::Closed => 0,
                BreakerState::HalfOpen => 1,
                BreakerState::Open => 2,
            };
            let admission = route.view(now).status(TargetIx(*index as u32), now).admission;
            (
                &target.facts.id,
                breaker,
                matches!(admission, Admission::Resting { .. }),
            )
        }));
        self.metrics
            .body_bytes
            .set(i64::try_from(self.bodies.held()).unwrap_or(i64::MAX));
        self.metrics.render(self.call_log.as_ref().map_or(0, LineWriter::shed))
    }

    fn targets(&self) -> Response<ReplyBody> {
        let now = self.clock.now();
        let report = |(route, index): (Arc<crate::fleet::route::Route>, usize)| {
            let target = &route.targets[index];
            // Asked for before the report is built: the view locks the same cell.
            let state = lock(&target.state.cell).state(now);
            TargetReport {
                target: target.facts.id.to_string(),
                breaker: breaker_word(state),
                admission: format!("{:?}", route.view(now).status(TargetIx(index as u32), now).admission),
                in_flight: target.state.in_flight.load(Ordering::Relaxed),
            }
        };
        let reports: Vec<_> = self.snapshot.load().targets().into_iter().map(report).collect();
        reply::json(
            StatusCode::OK,
            serde_json::to_vec(&reports).expect("strings and numbers always serialize"),
        )
    }
}

fn breaker_word(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half_open",
        BreakerState::Open => "open",
    }
}

fn is_local(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|h| h.to_str().ok());
    let Some(host) = host.or_else(|| request.uri().host()) else {
        return true;
    };
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        || name.starts_with("127.") && name.parse::<std::net::Ipv4Addr>().is_ok()
}

fn plain(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    let mut response = reply::json(status, text);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
