//! Same-target retries stay within the retry budget: a share of the calls of its window, and a floor.

use std::time::Duration;

use types::time::Mono;

use crate::checker::{Checker, Run, Violation};

/// See the module.
pub struct RetryBudget;

impl Checker for RetryBudget {
    fn name(&self) -> &'static str {
        "retries within their budget"
    }

    /// A retry is decided when the attempt before it ends. A budget may count its window by tenths, so it is held to
    /// the retries of nine of them and given the calls of all ten.
    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let policy = run.scenario.route.retry_budget;
        let calls: Vec<Mono> = run.stories.iter().map(|s| s.arrived).collect();
        let mut retries: Vec<(Mono, u32)> = Vec::new();
        for story in &run.stories {
            let decided = story
                .pairs()
                .filter(|(before, this)| this.is_retry(*before))
                .filter_map(|(before, _)| before.and_then(|b| b.ended()));
            retries.extend(decided.map(|at| (at, story.call)));
        }
        retries.sort_unstable();
        let since = |at: Mono, window: Duration| Mono(at.0.saturating_sub(window.as_nanos() as u64));
        let mut found = Vec::new();
        for (place, (at, call)) in retries.iter().enumerate() {
            let first = retries.partition_point(|(t, _)| *t < since(*at, policy.window * 9 / 10));
            let (from, to) = (since(*at, policy.window), *at);
            let of_window = calls.partition_point(|t| *t <= to) - calls.partition_point(|t| *t < from);
            let allowed = ((of_window as f64 * policy.share) as usize).max(policy.floor as usize);
            let counted = place + 1 - first;
            if counted > allowed {
                let what = format!("{counted} retries for {of_window} calls, and {allowed} were allowed");
                found.push(Violation::of(self, *at, Some(*call), what));
            }
        }
        found
    }
}
