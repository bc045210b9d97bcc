//! No target of the first tier starves: it gets calls again within a bounded time of its health, and among targets that
//! are all well each gets its weight's share of calls.

use std::time::Duration;

use policy::route::Balance;
use types::ids::TargetIx;
use types::time::Mono;

use crate::checker::{Checker, Run, Violation};
use crate::scenario::Scenario;
use crate::script::Fault;
use crate::trace::{START, Seen};

/// See the module.
pub struct Starvation;

/// A place of a provider's or a credential's probe that was not given back is free again after this, together.
const LEASES: Duration = Duration::from_secs(80);

/// Chances missed in a row that no luck explains: a target of weight 1 in W is drawn once in so many times W calls, save
/// once in 10⁹.
const CHANCES: u64 = 21;

/// Calls from which shares are compared, and the standard deviations they may be off.
const SHARES_FROM: u64 = 50;
const DEVIATIONS: f64 = 5.5;

#[derive(Clone, Copy)]
struct Watched {
    target: TargetIx,
    weight: u32,
    /// When an attempt at it began or ended last.
    last: Mono,
    out: u32,
    rests_until: Mono,
    missed: u64,
    told: bool,
}

impl Checker for Starvation {
    fn name(&self) -> &'static str {
        "no target starves"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        self.check_gaps(run, &mut found);
        self.check_shares(run, &mut found);
        found
    }
}

impl Starvation {
    fn check_gaps(&self, run: &Run<'_>, found: &mut Vec<Violation>) {
        let scenario = run.scenario;
        let total: u64 = scenario.tier(0).map(|(_, weight)| u64::from(weight)).sum();
        let mut all: Vec<Watched> = scenario
            .tier(0)
            .filter(|(_, weight)| *weight > 0)
            .map(watched)
            .collect();
        for entry in &run.trace.entries {
            for this in &mut all {
                match &entry.seen {
                    Seen::Launched(launched) if launched.launch.target == this.target => {
                        this.active(entry.at);
                        this.out += 1;
                    }
                    Seen::Refused { target, .. } | Seen::Unaffordable { target, .. } if *target == this.target => {
                        this.active(entry.at);
                    }
                    Seen::Settled { target, .. } if *target == this.target => {
                        this.active(entry.at);
                        this.out = this.out.saturating_sub(1);
                    }
                    Seen::Rests { target, until } if *target == this.target => {
                        this.rests_until = this.rests_until.max(*until);
                    }
                    Seen::Arrived { put_last, .. } => {
                        let since = this.last.max(this.rests_until);
                        let chance = this.out == 0
                            && !put_last.has(this.target)
                            && entry.at > since + within(scenario, this.target, since, entry.at);
                        if !chance {
                            continue;
                        }
                        this.missed += 1;
                        if this.missed > CHANCES * total.div_ceil(this.weight.into()) && !this.told {
                            this.told = true;
                            let what = format!(
                                "target {} got nothing for {:?} and {} calls",
                                this.target.0,
                                entry.at.since(since),
                                this.missed
                            );
                            found.push(Violation::of(self, entry.at, entry.call, what));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn check_shares(&self, run: &Run<'_>, found: &mut Vec<Violation>) {
        let scenario = run.scenario;
        // Money may prefer one to the other.
        if scenario.route.tiers[0].balance != Balance::Weighted || scenario.budget.is_some() {
            return;
        }
        let tier: Vec<_> = scenario.tier(0).filter(|(_, weight)| *weight > 0).collect();
        let total: u64 = tier.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let firsts: Vec<usize> = run
            .stories
            .iter()
            .filter(|s| tier.iter().all(|(n, _)| s.ready.has(TargetIx(*n as u32))))
            .filter_map(|s| s.tries.first().filter(|t| !t.after_refusal))
            .map(|first| first.target().0 as usize)
            .collect();
        let calls = firsts.len() as u64;
        if calls < SHARES_FROM {
            return;
        }
        for (n, weight) in tier {
            let got = firsts.iter().filter(|first| **first == n).count() as f64;
            let share = f64::from(weight) / total as f64;
            let due = calls as f64 * share;
            if (got - due).abs() > DEVIATIONS * (due * (1.0 - share)).sqrt() + 1.0 {
                let what = format!("target {n} got {got} of {calls} calls, and {due:.0} were due to it");
                found.push(Violation::of(self, START.mono, None, what));
            }
        }
    }
}

impl Watched {
    fn active(&mut self, at: Mono) {
        self.last = at;
        self.missed = 0;
    }
}

fn watched((n, weight): (usize, u32)) -> Watched {
    Watched {
        target: TargetIx(n as u32),
        weight,
        last: START.mono,
        out: 0,
        rests_until: START.mono,
        missed: 0,
        told: false,
    }
}

/// How long a target may be left alone: a breaker's longest opening, or until a health check finds it well.
fn within(scenario: &Scenario, target: TargetIx, since: Mono, now: Mono) -> Duration {
    let longest = scenario.breaker.open_max.max(scenario.breaker.open) + LEASES;
    let script = &scenario.targets[target.0 as usize].script;
    let (from, _) = script.span(now.since(START.mono));
    let conduct = script.conduct(now.since(START.mono));
    match scenario.health_check {
        Some(every) if conduct.faults.is_empty() && conduct.answers_health_checks && reachable(scenario, target) => {
            let not_before = (START.mono + from).since(since);
            longest.min(not_before + every + LEASES)
        }
        Some(_) | None => longest,
    }
}

/// Whether its provider can always be connected to: health checks are for targets' breakers.
fn reachable(scenario: &Scenario, target: TargetIx) -> bool {
    let provider = scenario.targets[target.0 as usize].provider;
    let of_provider = scenario.targets.iter().filter(|t| t.provider == provider);
    !of_provider
        .flat_map(|t| &t.script.phases)
        .flat_map(|p| &p.conduct.faults)
        .any(|row| matches!(row.fault, Fault::Refused | Fault::ConnectHangs))
}
