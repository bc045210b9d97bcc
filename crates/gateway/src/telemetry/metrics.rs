//! Metrics for Prometheus. Handles are looked up once, when a configuration is loaded; a call only adds to atomics.
//!
//! Names follow the OpenTelemetry GenAI conventions where one exists (`gen_ai_client_operation_duration`,
//! `gen_ai_client_token_usage`, `gen_ai_server_time_to_first_token`); the rest begin with `jumpseat_`.
//! Labels come from the configuration; of the targets that clients name themselves the first few hundred have their own, the
//! rest share one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use types::features::Features;

use crate::cache::metrics::CacheMetrics;
use types::outcome::OutcomeClass;

use crate::keys::metrics::KeyMetrics;
use crate::recorder::metrics::RecorderMetrics;
use crate::spend::metrics::SpendMetrics;
use crate::telemetry::stores::StoreMetrics;

/// Seconds: from a fast cache hit to a long reasoning answer (the GenAI conventions' advice, a little finer).
const DURATION_BUCKETS: [f64; 21] = [
    0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 40.0, 80.0, 160.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteOutcome {
    route: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteReason {
    route: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteTier {
    route: String,
    tier: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetOutcome {
    target: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetFeature {
    target: String,
    feature: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetModel {
    target: String,
    gen_ai_provider_name: String,
    gen_ai_request_model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetTokens {
    target: String,
    gen_ai_provider_name: String,
    gen_ai_request_model: String,
    gen_ai_token_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Every family of metrics, and the registry they are rendered from.
pub struct Metrics {
    registry: Registry,
    /// Whether the stores answer.
    pub stores: StoreMetrics,
    /// Money and limits.
    pub spend: SpendMetrics,
    calls: Family<RouteOutcome, Counter>,
    call_duration: Family<RouteLabel, Histogram, fn() -> Histogram>,
    served: Family<RouteTier, Counter>,
    fallbacks: Family<RouteReason, Counter>,
    attempts: Family<TargetOutcome, Counter>,
    retries: Family<TargetOutcome, Counter>,
    stream_failures: Family<TargetOutcome, Counter>,
    malformed: Family<TargetLabel, Counter>,
    degraded: Family<TargetFeature, Counter>,
    operation_duration: Family<TargetModel, Histogram, fn() -> Histogram>,
    first_token: Family<TargetModel, Histogram, fn() -> Histogram>,
    tokens: Family<TargetTokens, Counter>,
    cost: Family<TargetLabel, Counter<f64, AtomicU64>>,
    token_error: Family<TargetLabel, Histogram, fn() -> Histogram>,
    attempts_in_flight: Family<TargetLabel, Gauge>,
    breaker: Family<TargetLabel, Gauge<i64, AtomicI64>>,
    breaker_opened: Family<TargetLabel, Counter>,
    resting: Family<TargetLabel, Gauge<i64, AtomicI64>>,
    health_checks: Family<TargetOutcome, Counter>,
    reloads: Family<ResultLabel, Counter>,
    log_lines_shed: Counter<u64, AtomicU64>,
    /// What caches did.
    pub cache: CacheMetrics,
    /// What is recorded, and what is lost of it.
    pub recorder: RecorderMetrics,
    /// Calls being served.
    pub calls_in_flight: Gauge,
    /// Bytes of request bodies held in memory.
    pub body_bytes: Gauge,
    /// Calls refused before a route was looked up: bad requests, bodies over the limit, shed load.
    pub refused: Counter,
    /// Requests that were not let in.
    pub keys: KeyMetrics,
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

/// From a percent to twice the count.
fn shares() -> Histogram {
    Histogram::new([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0])
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Fresh metrics, all registered.
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let mut m = Metrics {
            stores: StoreMetrics::register(&mut registry),
            spend: SpendMetrics::register(&mut registry),
            registry,
            calls: Family::default(),
            call_duration: Family::new_with_constructor(durations),
            served: Family::default(),
            fallbacks: Family::default(),
            attempts: Family::default(),
            retries: Family::default(),
            stream_failures: Family::default(),
            malformed: Family::default(),
            degraded: Family::default(),
            operation_duration: Family::new_with_constructor(durations),
            first_token: Family::new_with_constructor(durations),
            tokens: Family::default(),
            cost: Family::default(),
            token_error: Family::new_with_constructor(shares),
            attempts_in_flight: Family::default(),
            breaker: Family::default(),
            breaker_opened: Family::default(),
            resting: Family::default(),
            health_checks: Family::default(),
            reloads: Family::default(),
            log_lines_shed: Counter::default(),
            cache: CacheMetrics::default(),
            recorder: RecorderMetrics::default(),
            calls_in_flight: Gauge::default(),
            body_bytes: Gauge::default(),
            refused: Counter::default(),
            keys: KeyMetrics::default(),
        };
        let r = &mut m.registry;
        m.keys.register(r);
        m.cache.register(r);
        m.recorder.register(r);
        r.register("jumpseat_calls", "Calls by route and outcome class", m.calls.clone());
        r.register_with_unit(
            "jumpseat_call_duration",
            "From the request's last byte to the answer's last",
            Unit::Seconds,
            m.call_duration.clone(),
        );
        r.register(
            "jumpseat_calls_served",
            "Answered calls by route and tier, from 1",
            m.served.clone(),
        );
        r.register(
            "jumpseat_fallbacks",
            "Calls that another target than the first had to answer, by the first failure, or by why the first was not tried",
            m.fallbacks.clone(),
        );
        r.register(
            "jumpseat_attempts",
            "Attempts by target and outcome class",
            m.attempts.clone(),
        );
        r.register(
            "jumpseat_retries",
            "Attempts at the same target again, by what failed before",
            m.retries.clone(),
        );
        r.register(
            "jumpseat_stream_failures",
            "Streams that broke after the commit, by target and outcome class",
            m.stream_failures.clone(),
        );
        r.register(
            "jumpseat_malformed_chunks",
            "Stream events dropped because they were broken",
            m.malformed.clone(),
        );
        r.register(
            "jumpseat_degraded_attempts",
            "Attempts that asked in words for what the target lacks, by target and feature",
            m.degraded.clone(),
        );
        r.register_with_unit(
            "gen_ai_client_operation_duration",
            "Duration of answered attempts by target",
            Unit::Seconds,
            m.operation_duration.clone(),
        );
        r.register_with_unit(
            "gen_ai_server_time_to_first_token",
            "From an attempt's launch to its first content",
            Unit::Seconds,
            m.first_token.clone(),
        );
        r.register(
            "gen_ai_client_token_usage",
            "Tokens as told by the providers",
            m.tokens.clone(),
        );
        r.register(
            "jumpseat_cost_usd",
            "What attempts cost by target, in dollars: by the catalog's prices and the providers' usage",
            m.cost.clone(),
        );
        r.register(
            "jumpseat_token_estimate_error_ratio",
            "How wrong the estimate of a prompt's tokens was, as a share of the provider's count",
            m.token_error.clone(),
        );
        r.register(
            "jumpseat_attempts_in_flight",
            "Attempts under way by target",
            m.attempts_in_flight.clone(),
        );
        r.register(
            "jumpseat_breaker_state",
            "0 closed, 1 half-open, 2 open",
            m.breaker.clone(),
        );
        r.register(
            "jumpseat_breaker_opened",
            "Times the target's breaker opened",
            m.breaker_opened.clone(),
        );
        r.register(
            "jumpseat_target_resting",
            "1 while the target rests because it was told to (a hint, a quota, a credential)",
            m.resting.clone(),
        );
        r.register(
            "jumpseat_health_checks",
            "Health checks by target and outcome class",
            m.health_checks.clone(),
        );
        r.register(
            "jumpseat_config_reloads",
            "Configuration reloads by result",
            m.reloads.clone(),
        );
        r.register(
            "jumpseat_log_lines_shed",
            "Log lines lost to a full queue or disk",
            m.log_lines_shed.clone(),
        );
        r.register(
            "jumpseat_calls_in_flight",
            "Calls being served",
            m.calls_in_flight.clone(),
        );
        r.register(
            "jumpseat_body_bytes_in_flight",
            "Request bodies held in memory",
            m.body_bytes.clone(),
        );
        r.register(
            "jumpseat_refused",
            "Requests refused before a route was looked up: bad requests, size limits, shed load",
            m.refused.clone(),
        );
        m
    }

    /// The handles of one route.
    pub fn route(&self, route: &str) -> RouteMetrics {
        let label = RouteLabel {
            route: route.to_owned(),
        };
        RouteMetrics {
            route: route.to_owned(),
            calls: self.calls.clone(),
            calls_by_class: Default::default(),
            duration: self.call_duration.get_or_create_owned(&label),
            served: self.served.clone(),
            served_first: self.served.get_or_create_owned(&RouteTier {
                route: route.to_owned(),
                tier: 1,
            }),
            fallbacks: self.fallbacks.clone(),
        }
    }

    /// The handles of one target.
    pub fn target(&self, target: &types::ids::TargetId) -> TargetMetrics {
        let label = TargetLabel {
            target: target.as_str().to_owned(),
        };
        let model = TargetModel {
            target: target.as_str().to_owned(),
            gen_ai_provider_name: target.provider().to_owned(),
            gen_ai_request_model: target.model().to_owned(),
        };
        let tokens = |kind| {
            self.tokens.get_or_create_owned(&TargetTokens {
                target: target.as_str().to_owned(),
                gen_ai_provider_name: target.provider().to_owned(),
                gen_ai_request_model: target.model().to_owned(),
                gen_ai_token_type: kind,
            })
        };
        TargetMetrics {
            target: label.target.clone(),
            attempts: self.attempts.clone(),
            attempts_by_class: Default::default(),
            retries: self.retries.clone(),
            stream_failures: self.stream_failures.clone(),
            health_checks: self.health_checks.clone(),
            malformed: self.malformed.get_or_create_owned(&label),
            degraded: self.degraded.clone(),
            duration: self.operation_duration.get_or_create_owned(&model),
            first_token: self.first_token.get_or_create_owned(&model),
            input_tokens: tokens("input"),
            output_tokens: tokens("output"),
            cached_tokens: tokens("cached_input"),
            cost: self.cost.get_or_create_owned(&label),
            token_error: self.token_error.get_or_create_owned(&label),
            spend_gap: self.spend.gap(target.as_str()),
            in_flight: self.attempts_in_flight.get_or_create_owned(&label),
            breaker_opened: self.breaker_opened.get_or_create_owned(&label),
        }
    }

    /// Sets the gauges of state, for the targets that are now and for no others: one that left the configuration leaves here
    /// too. `breaker` is 0 closed, 1 half-open, 2 open.
    pub fn set_states<'a>(&self, states: impl Iterator<Item = (&'a types::ids::TargetId, i64, bool)>) {
        self.breaker.clear();
        self.resting.clear();
        for (target, breaker, resting) in states {
            let label = TargetLabel {
                target: target.as_str().to_owned(),
            };
            self.breaker.get_or_create(&label).set(breaker);
            self.resting.get_or_create(&label).set(i64::from(resting));
        }
    }

    /// Counts a reload: `applied` or `refused`.
    pub fn reload(&self, result: &'static str) {
        self.reloads.get_or_create(&ResultLabel { result }).inc();
    }

    /// The text Prometheus scrapes (OpenMetrics 1.0).
    pub fn render(&self, log_lines_shed: u64) -> String {
        let known = self.log_lines_shed.get();
        self.log_lines_shed.inc_by(log_lines_shed.saturating_sub(known));
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// A route's handles.
pub struct RouteMetrics {
    route: String,
    calls: Family<RouteOutcome, Counter>,
    calls_by_class: [OnceLock<Counter>; OutcomeClass::ALL.len()],
    /// Duration of its calls.
    pub duration: Histogram,
    served: Family<RouteTier, Counter>,
    served_first: Counter,
    fallbacks: Family<RouteReason, Counter>,
}

impl RouteMetrics {
    /// Counts a call's end.
    pub fn call(&self, class: OutcomeClass) {
        self.calls_by_class[class as usize]
            .get_or_init(|| {
                self.calls.get_or_create_owned(&RouteOutcome {
                    route: self.route.clone(),
                    outcome: class.as_str(),
                })
            })
            .inc();
    }

    /// Counts an answered call by its tier, from 1.
    pub fn served(&self, tier: u32) {
        if tier == 1 {
            self.served_first.inc();
        } else {
            self.served
                .get_or_create(&RouteTier {
                    route: self.route.clone(),
                    tier,
                })
                .inc();
        }
    }

    /// Counts a call that its first target did not answer: an outcome class, or why it was not even tried.
    pub fn fallback(&self, reason: &'static str) {
        self.fallbacks
            .get_or_create(&RouteReason {
                route: self.route.clone(),
                reason,
            })
            .inc();
    }
}

/// A target's handles.
pub struct TargetMetrics {
    target: String,
    attempts: Family<TargetOutcome, Counter>,
    attempts_by_class: [OnceLock<Counter>; OutcomeClass::ALL.len()],
    retries: Family<TargetOutcome, Counter>,
    stream_failures: Family<TargetOutcome, Counter>,
    health_checks: Family<TargetOutcome, Counter>,
    degraded: Family<TargetFeature, Counter>,
    /// Broken stream events dropped.
    pub malformed: Counter,
    /// Duration of its answered attempts.
    pub duration: Histogram,
    /// Time to its first content.
    pub first_token: Histogram,
    /// Prompt tokens.
    pub input_tokens: Counter,
    /// Generated tokens.
    pub output_tokens: Counter,
    /// Prompt tokens read from the provider's cache.
    pub cached_tokens: Counter,
    /// Dollars spent at it.
    pub cost: Counter<f64, AtomicU64>,
    /// How wrong estimates of its prompts' tokens were.
    pub token_error: Histogram,
    /// What its attempts cost as a share of what they were expected to.
    pub spend_gap: Histogram,
    /// Attempts under way.
    pub in_flight: Gauge,
    /// Times its breaker opened.
    pub breaker_opened: Counter,
}

impl TargetMetrics {
    /// Counts an attempt's end.
    pub fn attempt(&self, class: OutcomeClass) {
        self.attempts_by_class[class as usize]
            .get_or_init(|| self.attempts.get_or_create_owned(&self.labels(class)))
            .inc();
    }

    /// Counts a retry at the same target, by what failed before.
    pub fn retry(&self, reason: OutcomeClass) {
        self.retries.get_or_create(&self.labels(reason)).inc();
    }

    /// Counts an attempt that asks in words for what the target lacks.
    pub fn degraded(&self, missing: Features) {
        for feature in missing.words() {
            let target = self.target.clone();
            self.degraded.get_or_create(&TargetFeature { target, feature }).inc();
        }
    }

    /// Counts a stream that broke after the commit.
    pub fn stream_failure(&self, class: OutcomeClass) {
        self.stream_failures.get_or_create(&self.labels(class)).inc();
    }

    /// Counts a health check.
    pub fn health_check(&self, class: OutcomeClass) {
        self.health_checks.get_or_create(&self.labels(class)).inc();
    }

    fn labels(&self, class: OutcomeClass) -> TargetOutcome {
        TargetOutcome {
            target: self.target.clone(),
            outcome: class.as_str(),
        }
    }
}
