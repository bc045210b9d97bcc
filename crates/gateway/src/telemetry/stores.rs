//! Metrics of what outlives a call: whether the stores answer, and what waits for them.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::stores::StoresHealth;

/// Gauges that are set when they are asked for.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    up: Gauge<i64, AtomicI64>,
    queued: Gauge<i64, AtomicI64>,
    spooled: Gauge<i64, AtomicI64>,
    shed: Gauge<i64, AtomicI64>,
    shared_up: Gauge<i64, AtomicI64>,
    instances: Gauge<i64, AtomicI64>,
}

impl StoreMetrics {
    /// Fresh ones, registered.
    pub fn register(registry: &mut Registry) -> StoreMetrics {
        let m = StoreMetrics::default();
        let rows: [(&str, &str, &Gauge<i64, AtomicI64>); 6] = [
            ("jumpseat_store_up", "1 while the store takes what is written", &m.up),
            (
                "jumpseat_store_queued",
                "Entries that wait in memory to be written",
                &m.queued,
            ),
            (
                "jumpseat_store_spooled",
                "Entries that wait on the disk because the store is gone",
                &m.spooled,
            ),
            (
                "jumpseat_store_shed",
                "Texts of calls that were not kept since the start because too much waited",
                &m.shed,
            ),
            (
                "jumpseat_shared_up",
                "1 while the shared state answers; else this instance enforces its share of limits and budgets",
                &m.shared_up,
            ),
            (
                "jumpseat_instances",
                "Instances heard of lately, this one too",
                &m.instances,
            ),
        ];
        for (name, help, gauge) in rows {
            registry.register(name, help, gauge.clone());
        }
        m
    }

    /// Sets them.
    pub fn set(&self, health: &StoresHealth) {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        if let Some(store) = &health.store {
            self.up.set(i64::from(store.up));
            self.queued.set(count(store.queued));
            self.spooled.set(count(store.spooled));
            self.shed.set(count(store.shed));
        }
        self.shared_up.set(i64::from(health.shared.up));
        self.instances.set(i64::from(health.shared.instances));
    }
}
