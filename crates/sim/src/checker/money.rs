//! Money: a burst never spends more than the limit and what the estimates of those in flight fell short, the reserve serves critical
//! calls alone, and for nothing that is left nothing is launched.

use std::collections::BTreeMap;

use policy::spend::BudgetPolicy;
use types::ids::AttemptNo;
use types::principal::Priority;
use types::time::UnixMillis;

use crate::checker::{Checker, Run, Violation};
use crate::trace::{Entry, Seen};

/// Spent and held stay within the limit, but for what attempts that were in flight when money was last held cost more than was held
/// for them.
pub struct WithinLimit;

/// Nobody but critical calls is given money of the reserve.
pub struct ReserveForCritical;

/// Who finds nothing left is not launched.
pub struct ExhaustedLaunchesNothing;

impl Checker for WithinLimit {
    fn name(&self) -> &'static str {
        "spent within the limit and what estimates fell short"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let judge = |budget: &BudgetPolicy, _: &Counted, after: &Counted, _: &Entry| {
            let (limit, gone) = (u128::from(budget.limit.0), after.spent + after.reserved);
            (gone > limit + after.overrun).then(|| {
                format!(
                    "{gone} are gone of {limit}, and estimates fell short by {}",
                    after.overrun
                )
            })
        };
        walk(self, run, judge)
    }
}

impl Checker for ReserveForCritical {
    fn name(&self) -> &'static str {
        "the reserve serves critical calls alone"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let judge = |budget: &BudgetPolicy, _: &Counted, after: &Counted, entry: &Entry| match entry.seen {
            Seen::Held {
                priority: Priority::Standard | Priority::Low,
                ..
            } => {
                let (open, gone) = (
                    u128::from(budget.limit.0) - reserve(budget),
                    after.spent + after.reserved,
                );
                (gone > open).then(|| format!("{gone} are gone, and {open} are for all"))
            }
            _ => None,
        };
        walk(self, run, judge)
    }
}

impl Checker for ExhaustedLaunchesNothing {
    fn name(&self) -> &'static str {
        "an exhausted budget launches nothing"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let judge = |budget: &BudgetPolicy, before: &Counted, _: &Counted, entry: &Entry| match entry.seen {
            Seen::Held { priority, .. } => {
                let kept = match priority {
                    Priority::Critical => 0,
                    Priority::Standard | Priority::Low => reserve(budget),
                };
                let left = (u128::from(budget.limit.0) - kept).saturating_sub(before.spent);
                (left == 0).then(|| format!("{} are spent, and {kept} are the reserve", before.spent))
            }
            _ => None,
        };
        walk(self, run, judge)
    }
}

/// A window as the trace tells it, in nano-dollars.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    spent: u128,
    reserved: u128,
    /// By how much those that were in flight when money was last held cost more than was held for them.
    overrun: u128,
}

fn reserve(budget: &BudgetPolicy) -> u128 {
    u128::from(budget.limit.0) * u128::from(budget.reserve.millionths()) / 1_000_000
}

/// Counts a trace, and shows what moves money: the window before and after it.
fn walk(
    checker: &dyn Checker,
    run: &Run<'_>,
    judge: impl Fn(&BudgetPolicy, &Counted, &Counted, &Entry) -> Option<String>,
) -> Vec<Violation> {
    let Some(budget) = &run.scenario.budget else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut windows: BTreeMap<UnixMillis, Counted> = BTreeMap::new();
    let mut held: BTreeMap<(u32, AttemptNo), (UnixMillis, u128)> = BTreeMap::new();
    for entry in &run.trace.entries {
        let call = entry.call.unwrap_or_default();
        let (before, after) = match entry.seen {
            Seen::Held {
                attempt,
                amount,
                window,
                ..
            } => {
                let amount = u128::from(amount.0);
                held.insert((call, attempt), (window, amount));
                let counted = windows.entry(window).or_default();
                let before = *counted;
                counted.reserved += amount;
                counted.overrun = 0;
                (before, *counted)
            }
            Seen::Paid { attempt, actual } => {
                let actual = u128::from(actual.0);
                let Some((window, amount)) = held.remove(&(call, attempt)) else {
                    let what = "nothing was held for it".to_owned();
                    found.push(Violation::of(checker, entry.at, entry.call, what));
                    continue;
                };
                let counted = windows.entry(window).or_default();
                let before = *counted;
                counted.reserved -= amount;
                counted.spent += actual;
                counted.overrun += actual.saturating_sub(amount);
                (before, *counted)
            }
            _ => continue,
        };
        if let Some(what) = judge(&budget.policy, &before, &after, entry) {
            found.push(Violation::of(checker, entry.at, entry.call, what));
        }
    }
    found
}
