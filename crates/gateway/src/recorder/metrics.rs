//! What is counted of recording and of what is sent to a collector.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The counters. Cheap to clone: clones count together.
#[derive(Debug, Clone, Default)]
pub struct RecorderMetrics {
    /// Calls whose texts were kept.
    pub payloads_kept: Counter,
    /// Of those, calls in which something was redacted.
    pub payloads_redacted: Counter,
    /// Calls whose texts were to be kept, and were not because the queue was full.
    pub payloads_shed: Counter,
    /// Calls whose spans were sent.
    pub traces_sent: Counter,
    /// Calls whose spans were to be sent, and were not: the queue was full, or the collector refused them.
    pub traces_shed: Counter,
    /// Sendings of metrics that the collector did not take.
    pub metrics_failed: Counter,
    /// Calls forgotten because their time was over.
    pub calls_forgotten: Counter,
}

impl RecorderMetrics {
    /// Shows them.
    pub fn register(&self, registry: &mut Registry) {
        let rows: [(&str, &str, &Counter); 7] = [
            (
                "jumpseat_payloads_kept",
                "Calls whose texts were kept",
                &self.payloads_kept,
            ),
            (
                "jumpseat_payloads_redacted",
                "Calls whose texts were kept and of which something was redacted",
                &self.payloads_redacted,
            ),
            (
                "jumpseat_payloads_shed",
                "Calls whose texts were to be kept and were lost to a full queue",
                &self.payloads_shed,
            ),
            (
                "jumpseat_traces_sent",
                "Calls whose spans the collector took",
                &self.traces_sent,
            ),
            (
                "jumpseat_traces_shed",
                "Calls whose spans were lost to a full queue or refused by the collector",
                &self.traces_shed,
            ),
            (
                "jumpseat_metrics_export_failures",
                "Sendings of metrics that the collector did not take",
                &self.metrics_failed,
            ),
            (
                "jumpseat_calls_forgotten",
                "Recorded calls deleted because their time was over",
                &self.calls_forgotten,
            ),
        ];
        for (name, help, counter) in rows {
            registry.register(name, help, counter.clone());
        }
    }
}
