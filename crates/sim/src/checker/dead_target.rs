//! A dead target does not cost every call: once its breaker had time to notice, it gets probes and little else. A dead
//! sole target costs no more than 1.3 attempts a call, and ten.

use std::time::Duration;

use policy::breaker::Verdict;
use types::ids::TargetIx;
use types::outcome::OutcomeClass;
use types::time::Mono;

use crate::checker::{Checker, Run, Violation};
use crate::script::{Conduct, Fault, TargetScript};
use crate::trace::{START, Seen};

/// See the module.
pub struct DeadTarget;

/// Until an attempt that was under way when the outage began is over.
const GRACE: Duration = Duration::from_secs(5);

impl Checker for DeadTarget {
    fn name(&self) -> &'static str {
        "a dead target does not cost every call"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        self.check_sole(run, &mut found);
        for (n, target) in (0..).zip(&run.scenario.targets) {
            for (from, until, conduct) in outages(&target.script) {
                self.check_outage(run, TargetIx(n), (from, until, conduct), &mut found);
            }
        }
        found
    }
}

impl DeadTarget {
    fn check_sole(&self, run: &Run<'_>, found: &mut Vec<Violation>) {
        let [target] = run.scenario.targets.as_slice() else {
            return;
        };
        let dead = target.script.phases.len() == 1 && outages(&target.script).next().is_some();
        let attempts: usize = run.stories.iter().map(|s| s.tries.len()).sum();
        let calls = run.stories.len();
        if dead && attempts * 10 > calls * 13 + 100 {
            let what = format!("{attempts} attempts for {calls} calls");
            found.push(Violation::of(self, START.mono, None, what));
        }
    }

    /// From when only failures lie in the breaker's window, attempts are those of probes, and those of too few calls to
    /// open it.
    fn check_outage(
        &self,
        run: &Run<'_>,
        target: TargetIx,
        (from, until, conduct): (Mono, Mono, &Conduct),
        found: &mut Vec<Violation>,
    ) {
        let policy = &run.scenario.breaker;
        let well =
            |seen: &Seen| matches!(seen, Seen::Settled { target: t, verdict: Verdict::Success, .. } if *t == target);
        let last_well = run.trace.entries.iter().rev().find(|e| e.at < until && well(&e.seen));
        let from = last_well.map_or(from, |e| e.at.max(from)) + policy.window + GRACE;
        if from >= until {
            return;
        }
        let tries = || run.stories.iter().flat_map(|s| &s.tries);
        let blamed: Vec<Mono> = tries()
            .filter(|t| t.target() == target)
            .filter(|t| matches!(t.reported, Some((_, class, false)) if is_blamed(class)))
            .filter_map(|t| t.ended())
            .collect();
        // Calls that come at once go out before the first of them has failed: nobody could have known better.
        let known = |at: Mono| {
            blamed
                .iter()
                .any(|failed| *failed < at && at.since(*failed) <= policy.window)
        };
        let cost = tries()
            .filter(|t| known(t.at))
            .filter(|t| t.target() == target && t.at >= from && t.at < until && !t.launched.launch.forced)
            .filter(|t| t.ended().is_some_and(|ended| ended < until))
            .filter(|t| matches!(t.reported, Some((_, class, false)) if is_blamed(class)))
            .count();
        let times = |every: Duration| (until.since(from).as_secs_f64() / every.as_secs_f64().max(0.001)) as usize;
        let probes = times(policy.open.mul_f64(1.0 - policy.jitter));
        let unnoticed = policy.consecutive as usize + 2 * times(policy.consecutive_within);
        let by_health_checks = match run.scenario.health_check {
            Some(every) if conduct.answers_health_checks => times(every),
            Some(_) | None => 0,
        };
        let tiers = run.scenario.route.tiers.iter();
        let by_class = |t: &policy::route::TierPolicy| t.retries.by_class.iter().map(|(_, n)| *n).max();
        let retries = tiers
            .map(|t| t.retries.default.unwrap_or(1).max(by_class(t).unwrap_or(0)))
            .max();
        let allowed = (1 + retries.unwrap_or(1) as usize) * (3 + probes + unnoticed + by_health_checks);
        if cost > allowed {
            let what = format!(
                "target {} cost {cost} attempts in {:?} of its outage, and {allowed} were allowed",
                target.0,
                until.since(from)
            );
            found.push(Violation::of(self, from, None, what));
        }
    }
}

/// Phases in which every attempt fails soon, and by the target's own fault.
fn outages(script: &TargetScript) -> impl Iterator<Item = (Mono, Mono, &Conduct)> {
    let ends = script.phases.iter().skip(1).map(|p| START.mono + p.from);
    let ends = ends.chain(std::iter::once(Mono::NEVER));
    let phases = script.phases.iter().zip(ends);
    phases.filter_map(|(phase, end)| {
        let dead = match phase.conduct.always_fails_with()? {
            Fault::Answer { class, .. } => is_blamed(class),
            Fault::Refused | Fault::Garbage => true,
            _ => false,
        };
        dead.then(|| (START.mono + phase.from, end, &phase.conduct))
    })
}

fn is_blamed(class: OutcomeClass) -> bool {
    matches!(
        class,
        OutcomeClass::Overloaded | OutcomeClass::ServerError | OutcomeClass::Network | OutcomeClass::BadResponse
    )
}
