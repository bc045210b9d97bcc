//! A run in a few figures: how many calls were served, how fast, by whom, at what cost.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use types::outcome::OutcomeClass;

use crate::checker::story::{End, Story};
use crate::scenario::Scenario;
use crate::trace::Trace;

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Calls that came.
    pub calls: u64,
    /// Those that ended well.
    pub served: u64,
    /// Those whose client left before the end.
    pub left: u64,
    /// Those that failed by the client's own fault (`invalid_request`, `content_filtered`, `context_too_long`).
    pub refused: u64,
    /// Those that failed otherwise, by the class their client was told.
    pub failed: BTreeMap<OutcomeClass, u64>,
    /// Served, of those that neither left nor were refused; 0…1, and 1 when there was none.
    pub availability: f64,
    /// Until a served call's answer began (streams) or was whole (unary).
    pub latency: Quantiles,
    /// Attempts, all calls together.
    pub attempts: u64,
    /// Same-target retries among them.
    pub retries: u64,
    /// Calls that left their first target for another one, by why.
    pub fallbacks: BTreeMap<OutcomeClass, u64>,
    /// Streams that were continued by another target.
    pub resumed: u64,
    /// Served calls by the target that served them last, in the order of the scenario.
    pub served_by: Vec<u64>,
}

/// Quantiles of a set of durations; zero when it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Quantiles {
    /// Half are not longer.
    pub p50: Duration,
    /// 95 in 100 are not longer.
    pub p95: Duration,
    /// 99 in 100 are not longer.
    pub p99: Duration,
}

impl Summary {
    /// Sums a run up.
    pub fn of(scenario: &Scenario, trace: &Trace) -> Summary {
        let stories = Story::all(trace);
        let mut summary = Summary {
            calls: stories.len() as u64,
            served: 0,
            left: 0,
            refused: 0,
            failed: BTreeMap::new(),
            availability: 1.0,
            latency: Quantiles::default(),
            attempts: 0,
            retries: 0,
            fallbacks: BTreeMap::new(),
            resumed: 0,
            served_by: vec![0; scenario.targets.len()],
        };
        let mut latencies = Vec::with_capacity(stories.len());
        for story in &stories {
            summary.count_attempts(story);
            match story.end {
                Some((ended, End::Done)) => {
                    summary.served += 1;
                    if let Some(last) = story.tries.last() {
                        summary.served_by[last.target().0 as usize] += 1;
                    }
                    latencies.push(story.committed.unwrap_or(ended).since(story.arrived));
                }
                Some((_, End::Failed { class, .. })) if is_the_clients(class) => summary.refused += 1,
                Some((_, End::Failed { class, .. })) => *summary.failed.entry(class).or_default() += 1,
                Some((_, End::Left)) => summary.left += 1,
                None => {}
            }
        }
        let asked = summary.calls - summary.left - summary.refused;
        if asked > 0 {
            summary.availability = summary.served as f64 / asked as f64;
        }
        summary.latency = Quantiles::of(latencies);
        summary
    }

    fn count_attempts(&mut self, story: &Story) {
        self.attempts += story.tries.len() as u64;
        for (before, this) in story.pairs() {
            self.retries += u64::from(this.is_retry(before));
        }
        let resumes = |t: &crate::checker::story::Try| t.launched.launch.continuation.is_some();
        self.resumed += u64::from(story.tries.iter().any(resumes));
        let moved = story
            .pairs()
            .find(|(before, this)| before.is_some_and(|b| b.target() != this.target()));
        if let Some((Some(before), _)) = moved
            && let Some(recorded) = before.recorded.first()
        {
            *self.fallbacks.entry(recorded.class).or_default() += 1;
        }
    }
}

impl Quantiles {
    /// Quantiles by rank.
    pub fn of(mut durations: Vec<Duration>) -> Quantiles {
        durations.sort_unstable();
        let rank = |percent: usize| {
            let place = (durations.len() * percent).div_ceil(100).max(1) - 1;
            durations.get(place).copied().unwrap_or_default()
        };
        Quantiles {
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
        }
    }
}

fn is_the_clients(class: OutcomeClass) -> bool {
    matches!(
        class,
        OutcomeClass::InvalidRequest | OutcomeClass::ContentFiltered | OutcomeClass::ContextTooLong
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks_and_of_nothing_zero() {
        let hundred = (1..=100).map(Duration::from_millis).collect();
        let Quantiles { p50, p95, p99 } = Quantiles::of(hundred);
        assert_eq!([p50, p95, p99].map(|d| d.as_millis()), [50, 95, 99]);
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
