//! What is counted of callers that were not let in.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Counters of [`crate::keys::denial::Denial`].
#[derive(Debug, Default)]
pub struct KeyMetrics {
    denied: Family<Reason, Counter>,
}

impl KeyMetrics {
    /// Puts them where they are rendered from.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "jumpseat_denied",
            "Requests that were not let in, by reason",
            self.denied.clone(),
        );
    }

    /// One more.
    pub fn denied(&self, reason: &'static str) {
        self.denied.get_or_create(&Reason { reason }).inc();
    }
}
