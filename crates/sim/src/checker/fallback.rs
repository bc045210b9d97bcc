//! No call fails for want of a target that was there: fit, well, within the caps, and never tried.

use policy::route::RoutePolicy;
use types::ids::TargetIx;
use types::outcome::{OutcomeClass, TimeoutKind};

use crate::checker::story::{End, Story};
use crate::checker::{Checker, Run, Violation};
use crate::trace::TargetSet;

/// See the module.
pub struct Fallback;

impl Checker for Fallback {
    fn name(&self) -> &'static str {
        "a call does not fail while a target is left"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        for story in &run.stories {
            if let Some((at, left)) = passed_over(story, &run.scenario.route) {
                let what = format!("it failed while {left:?} were ready and never tried");
                found.push(Violation::of(self, at, Some(story.call), what));
            }
        }
        found
    }
}

fn passed_over(story: &Story, route: &RoutePolicy) -> Option<(types::time::Mono, TargetSet)> {
    let Some((
        at,
        End::Failed {
            class,
            timeout,
            after_commit: false,
            ready,
        },
    )) = story.end
    else {
        return None;
    };
    let ends_here = !falls_back(class) || timeout == Some(TimeoutKind::Deadline);
    // After it only larger windows count.
    let of_window = |t: &crate::checker::story::Try| {
        t.recorded
            .first()
            .is_some_and(|r| r.class == OutcomeClass::ContextTooLong)
    };
    if ends_here || story.tries.iter().any(of_window) || story.charged() >= route.attempts_max as usize {
        return None;
    }
    // Ready whenever a decision was made, so that it cannot have been passed over for a moment's reason.
    let recorded = story.tries.iter().flat_map(|t| &t.recorded).map(|r| r.ready);
    let launched = story.tries.iter().map(|t| t.launched.open_to);
    let steadily = recorded.chain(launched).fold(story.ready.and(ready), TargetSet::and);
    let tried = TargetSet::of(story.tries.iter().map(|t| t.target()));
    let open = TargetSet::of((0..route.tiers.len()).flat_map(|tier| still_open(story, route, tier, at)));
    let left = steadily.without(tried).without(story.refused).and(open);
    (!left.is_empty()).then_some((at, left))
}

/// The targets of a tier that the call may still visit.
fn still_open(story: &Story, route: &RoutePolicy, tier: usize, now: types::time::Mono) -> Vec<TargetIx> {
    let mut visited: Vec<u32> = story.tries.iter().map(|t| t.launched.launch.tier).collect();
    visited.push(tier as u32);
    visited.sort_unstable();
    visited.dedup();
    let policy = &route.tiers[tier];
    let first = story.tries.iter().find(|t| t.launched.launch.tier == tier as u32);
    let spent = match (first, policy.timeouts.total) {
        (Some(first), Some(total)) => now >= first.at + total,
        (None, _) | (_, None) => false,
    };
    if spent || visited.len() > route.tiers_max as usize {
        return Vec::new();
    }
    policy.targets.iter().map(|t| t.target).collect()
}

fn falls_back(class: OutcomeClass) -> bool {
    match class {
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::Unsupported => true,
        OutcomeClass::Success
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Cancelled => false,
    }
}
