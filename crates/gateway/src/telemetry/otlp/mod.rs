//! Tells a collector of calls: spans and metrics by OTLP over HTTP, written as JSON, which OTLP defines beside Protobuf.
//!
//! Nothing here delays a call: its end is put into a bounded queue, which sheds and counts at its limit. A task sends what waits, as
//! [`Otlp::run`] is polled. Names follow the OpenTelemetry conventions for generative AI. Prompts, answers and keys are in none of it.

pub mod gen_ai;
pub mod json;
pub mod registry;
pub mod span;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::otlp::Otlp as Config;
use crate::fleet::memory::lock;
use crate::recorder::metrics::RecorderMetrics;
use crate::telemetry::otlp::gen_ai::Histograms;
use crate::telemetry::otlp::json::attribute;
use crate::telemetry::otlp::span::{CallEnd, Finished, Trace};
use crate::upstream::collector::{Collector, Unsent};
use crate::upstream::link::Dialer;

/// Calls whose spans may wait. A collector that is away for longer loses some, and they are counted.
const QUEUE_LEN_MAX: usize = 8_192;
/// Calls whose spans go out together.
const BATCH_LEN_MAX: usize = 512;
/// How long a call's spans wait for company.
const SPANS_EVERY: Duration = Duration::from_secs(1);

/// The way to the collector.
pub struct Otlp {
    collector: Collector,
    traces: bool,
    metrics_every: Option<Duration>,
    resource: Value,
    queue: Mutex<VecDeque<Finished>>,
    histograms: Mutex<Histograms>,
    counts: RecorderMetrics,
    clock: Clock,
    /// The collector failed when it was last asked; told once.
    failing: Mutex<bool>,
}

/// Renders the gateway's metrics as Prometheus reads them.
pub type Render<'a> = dyn Fn() -> String + Send + Sync + 'a;

impl Otlp {
    /// The way to the configured collector; `None` when there is none. `instance` is this gateway's name among others.
    pub fn new(config: &Config, instance: &str, dialer: Dialer, clock: Clock, counts: RecorderMetrics) -> Option<Otlp> {
        let collector = Collector::new(config, dialer)?;
        let resource = json!({"attributes": [
            attribute("service.name", config.service_name.as_str()),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
            attribute("service.instance.id", instance),
        ]});
        Some(Otlp {
            collector,
            traces: config.traces,
            metrics_every: config.metrics.then_some(config.interval),
            resource,
            queue: Mutex::default(),
            histograms: Mutex::new(Histograms::new(clock.now().wall)),
            counts,
            clock,
            failing: Mutex::default(),
        })
    }

    /// A call is over. Its spans are sent when it belongs to a trace that is kept.
    pub fn call(&self, end: &CallEnd, trace: Option<&Trace>) {
        if self.metrics_every.is_some() {
            lock(&self.histograms).observe(end);
        }
        let Some(trace) = trace.filter(|_| self.traces) else {
            return;
        };
        let mut queue = lock(&self.queue);
        if queue.len() >= QUEUE_LEN_MAX {
            self.counts.traces_shed.inc();
            return;
        }
        queue.push_back(Finished {
            end: end.clone(),
            trace: trace.clone(),
        });
    }

    /// Sends what waits, for as long as it is polled.
    pub async fn run(&self, render: &Render<'_>) {
        let mut next_metrics = self.metrics_every.map(|every| Instant::now() + every);
        loop {
            sleep_until(Instant::now() + SPANS_EVERY).await;
            self.send_spans().await;
            if let (Some(due), Some(every)) = (next_metrics, self.metrics_every)
                && due <= Instant::now()
            {
                next_metrics = Some(Instant::now() + every);
                self.send_metrics(render).await;
            }
        }
    }

    /// Sends everything once more: for the end of the program.
    pub async fn finish(&self, render: &Render<'_>) {
        self.send_spans().await;
        if self.metrics_every.is_some() {
            self.send_metrics(render).await;
        }
    }

    async fn send_spans(&self) {
        loop {
            let batch: Vec<Finished> = {
                let mut queue = lock(&self.queue);
                let len = queue.len().min(BATCH_LEN_MAX);
                queue.drain(..len).collect()
            };
            if batch.is_empty() {
                return;
            }
            let spans: Vec<Value> = batch.iter().flat_map(span::spans).collect();
            let body = json!({"resourceSpans": [{
                "resource": self.resource,
                "scopeSpans": [{"scope": scope(), "spans": spans}],
            }]});
            let sent = self.collector.send_traces(Bytes::from(body.to_string())).await;
            let count = batch.len() as u64;
            match &sent {
                Ok(()) => {
                    self.counts.traces_sent.inc_by(count);
                }
                Err(Unsent::Refused(_)) => {
                    self.counts.traces_shed.inc_by(count);
                }
                // They wait for the next round, where there is still room for them.
                Err(Unsent::Unreached(_)) => {
                    let mut queue = lock(&self.queue);
                    for finished in batch.into_iter().rev() {
                        match queue.len() < QUEUE_LEN_MAX {
                            true => queue.push_front(finished),
                            false => {
                                self.counts.traces_shed.inc();
                            }
                        }
                    }
                }
            }
            let unreached = matches!(sent, Err(Unsent::Unreached(_)));
            self.tell(sent);
            if unreached {
                return;
            }
        }
    }

    async fn send_metrics(&self, render: &Render<'_>) {
        let now = self.clock.now().wall;
        let metrics = {
            let histograms = lock(&self.histograms);
            let mut metrics = histograms.metrics(now);
            metrics.extend(registry::metrics(&render(), histograms.since(), now));
            metrics
        };
        let body = json!({"resourceMetrics": [{
            "resource": self.resource,
            "scopeMetrics": [{"scope": scope(), "metrics": metrics}],
        }]});
        let sent = self.collector.send_metrics(Bytes::from(body.to_string())).await;
        if sent.is_err() {
            self.counts.metrics_failed.inc();
        }
        self.tell(sent);
    }

    /// Says once that the collector failed, and once that it is back.
    fn tell(&self, sent: Result<(), Unsent>) {
        let mut failing = lock(&self.failing);
        match sent {
            Ok(()) if std::mem::take(&mut *failing) => info!("The collector of traces and metrics takes them again"),
            Ok(()) => {}
            Err(why) => {
                if !std::mem::replace(&mut *failing, true) {
                    warn!(reason = %why, "The collector of traces and metrics does not take them: {why}");
                }
            }
        }
    }
}

fn scope() -> Value {
    json!({"name": "jumpseat", "version": env!("CARGO_PKG_VERSION")})
}
