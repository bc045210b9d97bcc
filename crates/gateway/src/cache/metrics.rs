//! What is counted of caches, by route.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use store::shared::CacheHeld;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteResult {
    route: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteReason {
    route: String,
    reason: &'static str,
}

/// The families. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    lookups: Family<RouteResult, Counter>,
    kept: Family<RouteResult, Counter>,
    semantic: Family<RouteReason, Counter>,
    kept_bytes: Counter,
    held_bytes: Gauge,
    held: Gauge,
    evicted: Gauge,
    /// Calls that wait for an equal one's answer now.
    pub waiting: Gauge,
}

impl CacheMetrics {
    /// Has them shown.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "jumpseat_cache_lookups",
            "Calls that asked the cache, by route and result: hit, stale, semantic, waited (an equal call's answer), miss, none (no key)",
            self.lookups.clone(),
        );
        registry.register(
            "jumpseat_cache_kept",
            "Answers by route and what became of them: kept, or why they were not",
            self.kept.clone(),
        );
        registry.register(
            "jumpseat_cache_semantic",
            "Questions compared with kept ones, by route and result: hit, shadow_hit, nothing, failed (no embedding), or what differed",
            self.semantic.clone(),
        );
        registry.register_with_unit(
            "jumpseat_cache_kept_size",
            "What was kept, all answers together",
            Unit::Bytes,
            self.kept_bytes.clone(),
        );
        registry.register_with_unit(
            "jumpseat_cache_held",
            "What kept answers take in this process",
            Unit::Bytes,
            self.held_bytes.clone(),
        );
        registry.register(
            "jumpseat_cache_answers",
            "Answers kept in this process",
            self.held.clone(),
        );
        registry.register(
            "jumpseat_cache_evicted",
            "Answers that went to make room for others, since the start",
            self.evicted.clone(),
        );
        registry.register(
            "jumpseat_cache_waiting",
            "Calls that wait for the answer of an equal one",
            self.waiting.clone(),
        );
    }

    /// A call asked.
    pub fn looked_up(&self, route: &str, result: &'static str) {
        let route = route.to_owned();
        self.lookups.get_or_create(&RouteResult { route, result }).inc();
    }

    /// An answer of so many bytes was kept.
    pub fn kept(&self, route: &str, bytes: usize) {
        self.kept_bytes.inc_by(bytes as u64);
        self.not_kept(route, "kept");
    }

    /// An answer was not kept.
    pub fn not_kept(&self, route: &str, result: &'static str) {
        let route = route.to_owned();
        self.kept.get_or_create(&RouteResult { route, result }).inc();
    }

    /// What is kept in this process.
    pub fn held(&self, held: CacheHeld) {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.held_bytes.set(count(held.bytes));
        self.held.set(count(held.values));
        self.evicted.set(count(held.evicted));
    }

    /// A question was compared with kept ones.
    pub fn compared(&self, route: &str, reason: &'static str) {
        let route = route.to_owned();
        self.semantic.get_or_create(&RouteReason { route, reason }).inc();
    }
}
