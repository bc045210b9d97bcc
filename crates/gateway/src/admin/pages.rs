//! Metrics, health and the state of targets: what is read, never what changes something.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use policy::breaker::BreakerState;
use policy::view::{Admission, TargetsView};
use schemars::JsonSchema;
use serde::Serialize;
use types::ids::TargetIx;

use crate::admin::api::route::document;
use crate::admin::health::Health;
use crate::clock::Clock;
use crate::fleet::memory::lock;
use crate::fleet::route::Route;
use crate::fleet::snapshot::Snapshot;
use crate::ingress::bodies::BodyBudget;
use crate::ingress::reply::{self, ReplyBody};
use crate::spend::spender::Spender;
use crate::telemetry::line_writer::LineWriter;
use crate::telemetry::metrics::Metrics;

/// What the pages are made of.
pub struct Pages {
    /// What serves now.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Alive, ready.
    pub health: Arc<Health>,
    /// Budgets, and what outlives a call, for their gauges.
    pub spender: Arc<Spender>,
    /// The time.
    pub clock: Clock,
    /// Counts the lines it shed.
    pub call_log: Option<LineWriter>,
    /// Counts the bytes held.
    pub bodies: Arc<BodyBudget>,
}

/// How a target is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TargetReport {
    /// `provider/model`.
    pub target: String,
    /// `closed`, `half_open` or `open`.
    pub breaker: &'static str,
    /// Whether it may be tried now, and until when not.
    pub admission: String,
    /// Attempts under way.
    pub in_flight: u32,
}

impl Pages {
    /// `GET /health`.
    pub fn health(&self) -> Response<ReplyBody> {
        self.health.health()
    }

    /// `GET /ready`.
    pub fn ready(&self) -> Response<ReplyBody> {
        self.health.ready()
    }

    /// `GET /metrics`.
    pub fn metrics(&self) -> Response<ReplyBody> {
        let mut response = reply::json(StatusCode::OK, self.render());
        let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, openmetrics);
        response
    }

    /// `GET /targets`.
    pub fn targets(&self) -> Response<ReplyBody> {
        document(StatusCode::OK, &self.target_reports())
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
        self.metrics.stores.set(&self.spender.stores.health());
        self.metrics
            .spend
            .set(&self.spender.report(&self.snapshot.load().budgets));
        self.metrics
            .body_bytes
            .set(i64::try_from(self.bodies.held()).unwrap_or(i64::MAX));
        self.metrics.render(self.call_log.as_ref().map_or(0, LineWriter::shed))
    }

    /// Every target, each once.
    pub fn target_reports(&self) -> Vec<TargetReport> {
        let now = self.clock.now();
        let report = |(route, index): (Arc<Route>, usize)| {
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
        self.snapshot.load().targets().into_iter().map(report).collect()
    }
}

fn breaker_word(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half_open",
        BreakerState::Open => "open",
    }
}
