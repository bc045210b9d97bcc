//! A call makes no more attempts, visits no more tiers and tries no target more often than it may.

use policy::route::{RoutePolicy, TierPolicy};
use types::ids::TargetIx;
use types::outcome::{OutcomeClass, TimeoutKind};

use crate::checker::story::{Recorded, Story};
use crate::checker::{Checker, Run, Violation};

/// See the module.
pub struct Caps;

impl Checker for Caps {
    fn name(&self) -> &'static str {
        "attempts within their caps"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        let route = &run.scenario.route;
        for story in &run.stories {
            for what in of_call(story, route).into_iter().chain(of_targets(story, route)) {
                found.push(Violation::of(self, story.arrived, Some(story.call), what));
            }
        }
        found
    }
}

fn of_call(story: &Story, route: &RoutePolicy) -> Vec<String> {
    let mut found = Vec::new();
    let attempts = story.charged();
    if attempts > route.attempts_max as usize {
        found.push(format!("{attempts} attempts"));
    }
    let mut tiers: Vec<u32> = story.tries.iter().map(|t| t.launched.launch.tier).collect();
    tiers.sort_unstable();
    tiers.dedup();
    if tiers.len() > route.tiers_max as usize {
        found.push(format!("{} tiers", tiers.len()));
    }
    found
}

/// Each target of a tier once, save retries, another credential, a fresh connection, and a resume in other words.
fn of_targets(story: &Story, route: &RoutePolicy) -> Vec<String> {
    let mut found = Vec::new();
    let mut visited: Vec<(u32, TargetIx)> = Vec::new();
    let (mut retries, mut fresh) = (0, 0);
    for (before, this) in story.pairs() {
        let launch = &this.launched.launch;
        let place = (launch.tier, launch.target);
        let again = before.is_some_and(|b| (b.launched.launch.tier, b.target()) == place);
        if !again {
            (retries, fresh) = (0, 0);
            if visited.contains(&place) {
                found.push(format!("target {} was visited twice in its tier", launch.target.0));
            }
            visited.push(place);
        } else if this.is_free(before) {
            fresh += 1;
            if fresh > 1 {
                found.push(format!("{fresh} fresh connections free of charge"));
            }
        } else if this.is_retry(before) {
            retries += 1;
            let Some(last) = before.and_then(|b| b.recorded.first()) else {
                continue;
            };
            let allowed = allowed(last, &route.tiers[launch.tier as usize]);
            if retries > allowed {
                let class = last.class.as_str();
                found.push(format!("retry {retries} after {class}, and {allowed} were allowed"));
            }
        }
    }
    found
}

/// The column "same target again".
fn allowed(last: &Recorded, tier: &TierPolicy) -> u32 {
    let table = match (last.class, last.timeout) {
        (
            OutcomeClass::RateLimited
            | OutcomeClass::Overloaded
            | OutcomeClass::ServerError
            | OutcomeClass::Network
            | OutcomeClass::BadResponse
            | OutcomeClass::MalformedOutput
            | OutcomeClass::StreamBroken,
            _,
        )
        | (OutcomeClass::Timeout, Some(TimeoutKind::Connect)) => 1,
        (OutcomeClass::Timeout, Some(TimeoutKind::FirstToken | TimeoutKind::Idle)) => 0,
        _ => return 0,
    };
    let set = tier.retries.by_class.iter().find(|(class, _)| *class == last.class);
    match set {
        Some((_, n)) => *n,
        None if table == 1 => tier.retries.default.unwrap_or(1),
        None => 0,
    }
}
