//! Metrics of money and limits: how far estimates are off, how budgets stand, which keys are at their limits.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::fleet::memory::lock;
use crate::spend::report::BudgetReport;

/// Keys and budgets of keys that have labels of their own; the others share one.
const LABELS_MAX: usize = 200;
/// The label that they share.
const OTHERS: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabel {
    budget: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedLabel {
    key: String,
    limit: &'static str,
}

type Dollars = Family<BudgetLabel, Gauge<f64, AtomicU64>>;

/// Metrics of money and limits. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpendMetrics {
    gap: Family<TargetLabel, Histogram, fn() -> Histogram>,
    turned: Family<TurnedLabel, Counter>,
    limit: Dollars,
    spent: Dollars,
    reserved: Dollars,
    remaining: Dollars,
    burn: Dollars,
    level: Family<BudgetLabel, Gauge<i64, AtomicI64>>,
    ends: Dollars,
    keys: std::sync::Arc<Mutex<BTreeSet<String>>>,
}

/// What came to pass as a share of what was held: a tenth to ten times.
fn ratios() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 10.0])
}

impl SpendMetrics {
    /// Fresh ones, registered.
    pub fn register(registry: &mut Registry) -> SpendMetrics {
        let m = SpendMetrics {
            gap: Family::new_with_constructor(ratios),
            turned: Family::default(),
            limit: Family::default(),
            spent: Family::default(),
            reserved: Family::default(),
            remaining: Family::default(),
            burn: Family::default(),
            level: Family::default(),
            ends: Family::default(),
            keys: std::sync::Arc::default(),
        };
        registry.register(
            "jumpseat_spend_estimate_gap",
            "What an attempt cost as a share of what it was expected to, by target",
            m.gap.clone(),
        );
        registry.register(
            "jumpseat_turned_away",
            "Calls turned away by key and by what stood in the way: requests, tokens, concurrent, budget",
            m.turned.clone(),
        );
        let dollars: [(&str, &str, &Dollars); 6] = [
            ("jumpseat_budget_limit_usd", "What a budget has a window", &m.limit),
            ("jumpseat_budget_spent_usd", "Spent in its window", &m.spent),
            (
                "jumpseat_budget_reserved_usd",
                "Held for attempts under way",
                &m.reserved,
            ),
            (
                "jumpseat_budget_remaining_ratio",
                "The share that is left for calls that are not critical",
                &m.remaining,
            ),
            (
                "jumpseat_budget_burn_usd_per_hour",
                "Spent an hour, over the window so far",
                &m.burn,
            ),
            (
                "jumpseat_budget_ends_at_seconds",
                "When the money ends if it goes on so, in Unix seconds; 0 when it lasts",
                &m.ends,
            ),
        ];
        for (name, help, family) in dollars {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "jumpseat_budget_level",
            "0 quality, 1 balanced, 2 cheapest, 3 exhausted",
            m.level.clone(),
        );
        m
    }

    /// The histogram of a target's gap.
    pub fn gap(&self, target: &str) -> Histogram {
        let target = target.to_owned();
        self.gap.get_or_create_owned(&TargetLabel { target })
    }

    /// Counts a call that was turned away. `key` is empty where none is asked for.
    pub fn turned(&self, key: &str, limit: &'static str) {
        let mut known = lock(&self.keys);
        let key = match known.contains(key) || known.len() < LABELS_MAX {
            true => key,
            false => OTHERS,
        };
        known.insert(key.to_owned());
        let key = key.to_owned();
        self.turned.get_or_create(&TurnedLabel { key, limit }).inc();
    }

    /// Sets the gauges of budgets, for those that are now and for no others.
    pub fn set(&self, reports: &[BudgetReport]) {
        for family in [
            &self.limit,
            &self.spent,
            &self.reserved,
            &self.remaining,
            &self.burn,
            &self.ends,
        ] {
            family.clear();
        }
        self.level.clear();
        for report in reports.iter().take(LABELS_MAX) {
            let label = BudgetLabel {
                budget: report.id.clone(),
            };
            self.limit.get_or_create(&label).set(report.limit.as_dollars());
            self.spent.get_or_create(&label).set(report.spent.as_dollars());
            self.reserved.get_or_create(&label).set(report.reserved.as_dollars());
            self.remaining.get_or_create(&label).set(report.remaining);
            self.burn.get_or_create(&label).set(report.burn.as_dollars());
            let ends = report.ends.map_or(0.0, |at| at.0 as f64 / 1000.0);
            self.ends.get_or_create(&label).set(ends);
            self.level.get_or_create(&label).set(report.level as i64);
        }
    }
}
