//! What `/metrics` says of the demo's calls and targets, at a moment or between two.
//!
//! The names of the metrics the demo shows are here and nowhere else.

use std::collections::BTreeMap;

use crate::demo::openmetrics::{Histogram, Scrape};

/// Counts by a word: an outcome class or a reason.
pub type Counts = BTreeMap<String, u64>;

/// The demo's numbers.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Calls that ended, by outcome class.
    pub calls: Counts,
    /// Calls that another target than the first had to answer, by reason.
    pub fallbacks: Counts,
    /// How long calls took, in seconds.
    pub call_duration: Histogram,
    /// The targets, in the order of the tiers.
    pub targets: Vec<TargetTally>,
}

/// A target's numbers.
#[derive(Debug, Clone)]
pub struct TargetTally {
    /// `provider/model`.
    pub target: String,
    /// Attempts by outcome class.
    pub attempts: Counts,
    /// How long its answered attempts took, in seconds.
    pub duration: Histogram,
    /// What its breaker lets through at this moment.
    pub breaker: Breaker,
    /// Whether it rests at this moment, because it said so.
    pub resting: bool,
    /// Times its breaker opened.
    pub opened: u64,
}

/// A breaker as its metric tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Everything passes.
    Closed,
    /// One probe passes.
    HalfOpen,
    /// Nothing passes.
    Open,
}

const SUCCESS: &str = "success";
/// The quantile that is shown.
const SHARE: f64 = 0.95;

impl Tally {
    /// Reads the numbers of these targets.
    pub fn of(scrape: &Scrape, targets: &[&str]) -> Tally {
        Tally {
            calls: scrape.by("jumpseat_calls_total", "outcome", &[]),
            fallbacks: scrape.by("jumpseat_fallbacks_total", "reason", &[]),
            call_duration: scrape.histogram("jumpseat_call_duration_seconds", &[]),
            targets: targets.iter().map(|target| TargetTally::of(scrape, target)).collect(),
        }
    }

    /// What came since an earlier tally; states are those of now.
    pub fn since(&self, earlier: &Tally) -> Tally {
        Tally {
            calls: less(&self.calls, &earlier.calls),
            fallbacks: less(&self.fallbacks, &earlier.fallbacks),
            call_duration: self.call_duration.since(&earlier.call_duration),
            targets: self
                .targets
                .iter()
                .zip(&earlier.targets)
                .map(|(now, before)| now.since(before))
                .collect(),
        }
    }

    /// Calls that ended.
    pub fn ended(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Calls whose end was a failure to the client.
    pub fn failed(&self) -> u64 {
        self.ended() - self.answered()
    }

    /// Calls that were answered.
    pub fn answered(&self) -> u64 {
        count(&self.calls, SUCCESS)
    }

    /// Seconds within which 95 % of the calls ended.
    pub fn p95(&self) -> Option<f64> {
        self.call_duration.quantile(SHARE)
    }
}

impl TargetTally {
    fn of(scrape: &Scrape, target: &str) -> TargetTally {
        let only = [("target", target)];
        TargetTally {
            target: target.to_owned(),
            attempts: scrape.by("jumpseat_attempts_total", "outcome", &only),
            duration: scrape.histogram("gen_ai_client_operation_duration_seconds", &only),
            breaker: match scrape.sum("jumpseat_breaker_state", &only) {
                0 => Breaker::Closed,
                1 => Breaker::HalfOpen,
                _ => Breaker::Open,
            },
            resting: scrape.sum("jumpseat_target_resting", &only) > 0,
            opened: scrape.sum("jumpseat_breaker_opened_total", &only),
        }
    }

    fn since(&self, earlier: &TargetTally) -> TargetTally {
        TargetTally {
            attempts: less(&self.attempts, &earlier.attempts),
            duration: self.duration.since(&earlier.duration),
            opened: self.opened - earlier.opened,
            ..self.clone()
        }
    }

    /// Calls it answered.
    pub fn served(&self) -> u64 {
        count(&self.attempts, SUCCESS)
    }

    /// Its attempts that failed, by outcome class.
    pub fn failures(&self) -> Counts {
        let failed = self.attempts.iter().filter(|(class, n)| *class != SUCCESS && **n > 0);
        failed.map(|(class, n)| (class.clone(), *n)).collect()
    }

    /// Seconds within which 95 % of its answers ended.
    pub fn p95(&self) -> Option<f64> {
        self.duration.quantile(SHARE)
    }

    /// Whether it takes every call at this moment.
    pub fn is_in_use(&self) -> bool {
        self.breaker == Breaker::Closed && !self.resting
    }

    /// `closed`, `half-open`, `open` or `resting`.
    pub fn state(&self) -> &'static str {
        match self.breaker {
            Breaker::Open => "open",
            Breaker::HalfOpen => "half-open",
            Breaker::Closed if self.resting => "resting",
            Breaker::Closed => "closed",
        }
    }
}

/// The count of a word; 0 where it is not there.
pub fn count(counts: &Counts, word: &str) -> u64 {
    counts.get(word).copied().unwrap_or(0)
}

fn less(now: &Counts, before: &Counts) -> Counts {
    let came = now
        .iter()
        .map(|(word, n)| (word.clone(), n.saturating_sub(count(before, word))));
    came.filter(|(_, n)| *n > 0).collect()
}
