//! The simulator on fixed seeds and some fresh ones: the real policy keeps every promise, and each checker catches its
//! mutants. `SIM_SEED=… cargo test -p jumpseat-sim` replays the fresh worlds of a run.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "fresh seeds come from outside; a test may unwrap"
)]

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jumpseat_sim::checker::{Run, Violation, check_all};
use jumpseat_sim::machine::RealPolicy;
use jumpseat_sim::mutant::Mutation;
use jumpseat_sim::scenario::Scenario;
use jumpseat_sim::simulate::simulate;
use jumpseat_sim::summary::Summary;
use jumpseat_sim::world::{random, written};

/// Worlds of every run.
const FIXED: std::ops::Range<u64> = 0..1000;
/// Worlds that no run has seen.
const FRESH: u64 = 30;

fn keeps_its_promises(scenario: &Scenario, seed: u64) {
    let trace = simulate(scenario, seed, &RealPolicy);
    let violations = check_all(scenario, &trace);
    if let Some(first) = violations.first() {
        let story = first.call.map(|call| trace.call_text(call)).unwrap_or_default();
        let all: Vec<String> = violations.iter().take(10).map(Violation::to_string).collect();
        panic!(
            "`{}`, seed {seed}: {} promises broken\n{}\n{story}\n{scenario:?}",
            scenario.name,
            violations.len(),
            all.join("\n")
        );
    }
}

#[test]
fn the_real_policy_keeps_every_promise_in_written_worlds() {
    for scenario in written::all() {
        for seed in 0..3 {
            keeps_its_promises(&scenario, seed);
        }
    }
}

#[test]
fn the_real_policy_keeps_every_promise_in_random_worlds() {
    for seed in FIXED {
        keeps_its_promises(&random::world(seed), seed);
    }
}

#[test]
fn the_real_policy_keeps_every_promise_in_worlds_never_seen_before() {
    let given = std::env::var("SIM_SEED").ok().map(|text| text.parse().unwrap());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let first: u64 = given.unwrap_or_else(clock);
    // Past the harness, which shows what a test prints only when it fails.
    let _ = writeln!(std::io::stderr(), "fresh worlds: SIM_SEED={first} replays them");
    for seed in first..first.saturating_add(FRESH) {
        keeps_its_promises(&random::world(seed), seed);
    }
}

#[test]
fn each_checker_catches_its_mutants_where_the_real_policy_passes() {
    for mutation in Mutation::ALL {
        let checker = mutation.caught_by();
        let mut caught = 0;
        for seed in 0..3 {
            let scenario = habitat(mutation);
            keeps_its_promises(&scenario, seed);
            let trace = simulate(&scenario, seed, &mutation);
            caught += u32::from(!checker.check(&Run::new(&scenario, &trace)).is_empty());
        }
        assert_eq!(caught, 3, "{mutation:?} escapes `{}`", checker.name());
    }
}

/// Where a mutant's mistake shows.
fn habitat(mutation: Mutation) -> Scenario {
    match mutation {
        Mutation::IgnoresTheDeadline => written::with_route(written::silent_primary(), |r| {
            r.tiers[0].timeouts.first_token = None;
        }),
        Mutation::IgnoresTotals => written::totals(),
        Mutation::LaunchesAfterTheCommit => written::weights(),
        Mutation::RetriesUnasked => written::sick_fleet(),
        Mutation::PassesOpenBreakers
        | Mutation::NeverProbes
        | Mutation::StarvesTheLast
        | Mutation::ForgivesFailures => written::outage_and_return(),
        Mutation::KeepsCancelledPermits | Mutation::SettlesTwice => written::impatient_clients(),
        Mutation::ShowsBadRequestsAround | Mutation::BlamesTheInnocent => written::bad_requests(),
        Mutation::NeverGivesUp | Mutation::RetriesTooOften => written::four_bad_tiers(),
        Mutation::NeverFallsBack => written::flapping_primary(),
        Mutation::ForgetsWhatIsHeld | Mutation::OpensTheReserve | Mutation::SpendsWithoutMoney => {
            written::tight_budget()
        }
    }
}

#[test]
fn every_checker_has_a_mutant() {
    for checker in jumpseat_sim::checker::ALL {
        let named = |m: &Mutation| m.caught_by().name() == checker.name();
        assert!(Mutation::ALL.iter().any(named), "{}", checker.name());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    for seed in [1, 7] {
        let text = |seed| simulate(&random::world(7), seed, &RealPolicy).text();
        assert!(text(seed) == text(seed), "seed {seed}");
        assert!(text(seed) != text(seed + 1), "seed {seed}");
    }
}

#[test]
fn sixty_four_calls_to_a_dead_sole_target_cost_little_more_than_sixty_four_attempts() {
    for seed in 0..20 {
        let scenario = written::dead_sole_target();
        let summary = Summary::of(&scenario, &simulate(&scenario, seed, &RealPolicy));
        assert!(summary.attempts <= 93, "seed {seed}: {} attempts", summary.attempts);
        assert_eq!((summary.calls, summary.served), (64, 0));
    }
}

#[test]
fn a_flapping_primary_costs_no_call_and_is_back_in_use_after_it() {
    let scenario = written::flapping_primary();
    let summary = Summary::of(&scenario, &simulate(&scenario, 1, &RealPolicy));
    assert!(summary.availability > 0.999, "{summary:?}");
    assert!(summary.latency.p99 < Duration::from_secs(3), "{summary:?}");
    assert!(summary.served_by[0] > 500, "{summary:?}");
}
