//! The histograms that the conventions for generative AI ask for: tokens and durations of operations.
//!
//! A series is a provider, a model, an operation and an error. Clients can name models, so beyond a limit further ones share a series.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use types::time::UnixMillis;

use crate::telemetry::otlp::json::{attribute, nanos};
use crate::telemetry::otlp::span::{AttemptEnd, CallEnd, error_type};

/// Series of each histogram. Beyond it the model is told as `other`.
const SERIES_MAX: usize = 2_000;

/// Seconds, as the conventions advise.
const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Tokens, as the conventions advise.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Both histograms since the start.
#[derive(Debug)]
pub struct Histograms {
    since: UnixMillis,
    duration: BTreeMap<Series, Counts>,
    tokens: BTreeMap<Series, Counts>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    operation: String,
    provider: String,
    model: String,
    server: String,
    /// An error's type, or a kind of token.
    kind: Option<&'static str>,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    buckets: [u64; 15],
    sum: f64,
}

impl Histograms {
    /// Empty ones.
    pub fn new(since: UnixMillis) -> Histograms {
        Histograms {
            since,
            duration: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// When they were empty.
    pub fn since(&self) -> UnixMillis {
        self.since
    }

    /// A call's attempts are over.
    pub fn observe(&mut self, call: &CallEnd) {
        for attempt in &call.attempts {
            let series = |kind| series(&call.record.operation, attempt, kind);
            add(
                &mut self.duration,
                series(error_type(attempt.outcome)),
                attempt.duration.as_secs_f64(),
                &SECONDS,
            );
            if let Some(usage) = &attempt.usage {
                add(&mut self.tokens, series(Some("input")), usage.input as f64, &TOKENS);
                add(&mut self.tokens, series(Some("output")), usage.output as f64, &TOKENS);
            }
        }
    }

    /// As OTLP's metrics.
    pub fn metrics(&self, now: UnixMillis) -> Vec<Value> {
        let histogram = |name: &str, unit: &str, kind: &str, all: &BTreeMap<Series, Counts>, bounds: &[f64]| {
            let points: Vec<Value> = all
                .iter()
                .map(|(series, counts)| self.point(series, counts, kind, bounds, now))
                .collect();
            let data = json!({"dataPoints": points, "aggregationTemporality": 2});
            (!points.is_empty()).then(|| json!({"name": name, "unit": unit, "histogram": data}))
        };
        [
            histogram(
                "gen_ai.client.operation.duration",
                "s",
                "error.type",
                &self.duration,
                &SECONDS,
            ),
            histogram(
                "gen_ai.client.token.usage",
                "{token}",
                "gen_ai.token.type",
                &self.tokens,
                &TOKENS,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn point(&self, series: &Series, counts: &Counts, kind: &str, bounds: &[f64], now: UnixMillis) -> Value {
        let mut attributes = vec![
            attribute("gen_ai.operation.name", series.operation.as_str()),
            attribute("gen_ai.provider.name", series.provider.as_str()),
            attribute("gen_ai.request.model", series.model.as_str()),
            attribute("server.address", series.server.as_str()),
        ];
        if let Some(value) = series.kind {
            attributes.push(attribute(kind, value));
        }
        let buckets: Vec<String> = counts.buckets.iter().map(u64::to_string).collect();
        json!({
            "attributes": attributes,
            "startTimeUnixNano": nanos(self.since),
            "timeUnixNano": nanos(now),
            "count": counts.buckets.iter().sum::<u64>().to_string(),
            "sum": counts.sum,
            "bucketCounts": buckets,
            "explicitBounds": bounds,
        })
    }
}

fn series(operation: &str, attempt: &AttemptEnd, kind: Option<&'static str>) -> Series {
    Series {
        operation: operation.to_owned(),
        provider: attempt.target.provider().to_owned(),
        model: attempt.target.model().to_owned(),
        server: attempt.server.host().unwrap_or_default().to_owned(),
        kind,
    }
}

fn add(all: &mut BTreeMap<Series, Counts>, mut series: Series, value: f64, bounds: &[f64; 14]) {
    if all.len() >= SERIES_MAX && !all.contains_key(&series) {
        series.model = "other".to_owned();
    }
    let counts = all.entry(series).or_default();
    // A bucket reaches to its bound, which belongs to it.
    counts.buckets[bounds.partition_point(|bound| *bound < value)] += 1;
    counts.sum += value;
}
