//! A world from a seed: any tiers, targets, providers, faults, clocks and clients.

use std::sync::Arc;
use std::time::Duration;

use policy::rng::Rng;
use policy::route::{
    Balance, BreakerPolicy, OnContentFilter, OnMalformed, OnStreamFailure, RestPolicy, Retries, RoutePolicy, Timeouts,
};
use policy::spend::window::Window;
use policy::spend::{BudgetPolicy, Share};
use types::features::Features;
use types::ids::{BudgetId, CredentialIx, ModelTier};
use types::money::NanoDollars;
use types::outcome::{OutcomeClass, Scope};

use crate::arrival::Arrivals;
use crate::chance::{self, Latency, between, happens};
use crate::scenario::{Clients, Scenario, ScriptedBudget, ScriptedProvider, ScriptedTarget};
use crate::script::{Conduct, Fault, RateLimit, TargetScript};
use crate::world::written;

/// Calls of a world: enough for breakers to open and close, few enough to play many worlds.
const CALLS: (u64, u64) = (80, 300);

/// The world of a seed.
pub fn world(seed: u64) -> Scenario {
    let mut rng = chance::source(seed, &[20]);
    let weights: Vec<Vec<u32>> = (0..between(1, 4, &mut rng))
        .map(|_| {
            let targets = between(1, 3, &mut rng);
            (0..targets).map(|_| between(1, 5, &mut rng) as u32).collect()
        })
        .collect();
    let tiers: Vec<&[u32]> = weights.iter().map(Vec::as_slice).collect();
    let mut route = written::route(&tiers);
    change_route(&mut route, &mut rng);
    let count = weights.iter().map(Vec::len).sum::<usize>() as u64;
    let providers = between(1, count, &mut rng);
    let every = one(&[50u64, 200, 1000, 4000], &mut rng);
    let calls = between(CALLS.0, CALLS.1, &mut rng);
    let length = Duration::from_millis(every * calls);
    Scenario {
        name: format!("world {seed}"),
        breaker: breaker(&mut rng),
        rest: rest(&mut rng),
        health_check: happens(500, &mut rng).then(|| secs(between(2, 60, &mut rng))),
        providers: (0..providers).map(|n| provider(n as u32, &mut rng)).collect(),
        targets: (0..count).map(|_| target(providers, length, &mut rng)).collect(),
        arrivals: arrivals(Duration::from_millis(every), &mut rng),
        calls: calls as u32,
        clients: clients(&mut rng),
        lost_races_permille: one(&[0, 0, 0, 30], &mut rng),
        budget: happens(300, &mut rng).then(|| budget(calls, &mut rng)),
        route: Arc::new(route),
    }
}

/// From one that is gone after a few calls to one that lasts.
fn budget(calls: u64, rng: &mut Rng) -> ScriptedBudget {
    let limit = NanoDollars(between(1, 4 * calls, rng) * 1_000_000);
    let (low, high) = one(&[(1_000, 1_000), (0, 1_000), (200, 5_000)], rng);
    ScriptedBudget {
        policy: BudgetPolicy {
            reserve: Share::percent(one(&[0, 5, 30], rng)),
            critical_exempt: happens(700, rng),
            low_shift: Share::percent(one(&[0, 20, 60], rng)),
            ..BudgetPolicy::new(BudgetId::from("budget"), limit, Window::Hour)
        },
        low_permille: one(&[0, 300], rng),
        critical_permille: one(&[0, 100, 500], rng),
        actual_permille: (low, high),
    }
}

fn change_route(route: &mut RoutePolicy, rng: &mut Rng) {
    route.deadline = secs(one(&[5, 20, 45, 600], rng));
    route.stream_max = secs(one(&[10, 600], rng));
    route.on_content_filter = one(
        &[OnContentFilter::Stop, OnContentFilter::Stop, OnContentFilter::Fallback],
        rng,
    );
    let hold_back = OnStreamFailure::HoldBack {
        bytes: between(1, 100, rng),
    };
    route.on_stream_failure = one(
        &[
            OnStreamFailure::Error,
            hold_back,
            OnStreamFailure::Resume,
            OnStreamFailure::Resume,
        ],
        rng,
    );
    route.malformed_output = one(&[OnMalformed::Error, OnMalformed::Text], rng);
    route.retry_budget.share = one(&[0.0, 0.2, 0.2, 0.5], rng);
    route.retry_budget.floor = one(&[0, 3, 3], rng);
    route.attempts_max = one(&[2, 6, 6, 8], rng);
    route.tiers_max = one(&[1, 2, 3, 3], rng);
    for tier in &mut route.tiers {
        tier.balance = one(&[Balance::Weighted, Balance::LeastBusy], rng);
        tier.timeouts = Timeouts {
            connect: secs(one(&[1, 5], rng)),
            first_token: happens(600, rng).then(|| secs(between(1, 10, rng))),
            idle: secs(one(&[2, 30], rng)),
            content_idle: secs(one(&[5, 120], rng)),
            total: happens(500, rng).then(|| secs(between(1, 20, rng))),
        };
        tier.retries = Retries {
            default: one(&[None, None, Some(0), Some(2)], rng),
            by_class: one(
                &[
                    vec![],
                    vec![],
                    vec![(OutcomeClass::Timeout, 1)],
                    vec![(OutcomeClass::Overloaded, 2)],
                ],
                rng,
            ),
        };
    }
}

fn breaker(rng: &mut Rng) -> BreakerPolicy {
    let usual = BreakerPolicy::default();
    let quick = BreakerPolicy {
        consecutive_within: secs(20),
        window: secs(5),
        open: secs(2),
        open_max: secs(15),
        ..usual
    };
    let blunt = BreakerPolicy { jitter: 0.0, ..usual };
    one(&[usual, quick, blunt], rng)
}

fn rest(rng: &mut Rng) -> RestPolicy {
    let usual = RestPolicy::default();
    let quick = RestPolicy {
        credential: secs(20),
        credential_max: secs(60),
        model_missing: secs(15),
        ..usual
    };
    one(&[usual, quick], rng)
}

fn provider(n: u32, rng: &mut Rng) -> ScriptedProvider {
    ScriptedProvider {
        domain: if happens(300, rng) { 0 } else { n },
        credentials: one(&[1, 1, 2], rng),
    }
}

fn target(providers: u64, length: Duration, rng: &mut Rng) -> ScriptedTarget {
    let tools = happens(800, rng);
    ScriptedTarget {
        provider: rng.below(providers) as u32,
        features: if tools {
            Features::ALL
        } else {
            Features::ALL.without(Features::TOOLS)
        },
        context_window: one(&[None, None, Some(500), Some(2000)], rng),
        prefill: happens(500, rng),
        model_tier: one(
            &[
                None,
                Some(ModelTier::Premium),
                Some(ModelTier::Standard),
                Some(ModelTier::Economy),
            ],
            rng,
        ),
        price: NanoDollars(between(100_000, 9_000_000, rng)),
        script: script(length, rng),
    }
}

/// Well throughout, or ill throughout, for a time, or now and then.
fn script(length: Duration, rng: &mut Rng) -> TargetScript {
    let well = conduct(rng);
    let ill = ill(&well, rng);
    let script = match rng.below(6) {
        0 => TargetScript::always(well),
        1 => TargetScript::always(ill),
        2 | 3 => {
            let from = rng.duration_to(length);
            let until = from + rng.duration_to(length);
            TargetScript::always(well.clone()).then(from, ill).then(until, well)
        }
        _ => {
            let from = rng.duration_to(length / 2);
            let (up, down) = (secs(between(1, 20, rng)), secs(between(1, 20, rng)));
            TargetScript::always(well.clone()).flapping((up, &well), (down, &ill), from, length)
        }
    };
    if !happens(200, rng) {
        return script;
    }
    script.limited(RateLimit {
        requests: between(1, 20, rng) as u32,
        window: secs(one(&[1, 10, 60], rng)),
        hints: happens(500, rng),
        headers: happens(500, rng),
    })
}

fn conduct(rng: &mut Rng) -> Conduct {
    let usual = Conduct::healthy();
    Conduct {
        first_token: one(
            &[
                usual.first_token,
                Latency::Fixed(Duration::from_millis(400)),
                Latency::Between(secs(0), secs(6)),
            ],
            rng,
        ),
        tokens: (1, one(&[3, 24], rng)),
        per_token: one(&[usual.per_token, Latency::Between(secs(0), secs(1))], rng),
        refuses_prefill: happens(300, rng),
        unresumable_permille: one(&[0, 200], rng),
        ..usual
    }
}

fn ill(well: &Conduct, rng: &mut Rng) -> Conduct {
    let mut ill = well.clone();
    for _ in 0..between(1, 3, rng) {
        let permille = one(&[100, 300, 1000], rng);
        let fault = fault(rng);
        ill = ill.with(permille, fault);
        if happens(100, rng)
            && let Some(last) = ill.faults.last_mut()
        {
            last.credential = Some(CredentialIx(0));
        }
    }
    ill.answers_health_checks = happens(400, rng);
    ill
}

fn fault(rng: &mut Rng) -> Fault {
    let pings = happens(500, rng).then(|| secs(1));
    let answer = |class, status, scope, retry_after: Option<u64>| Fault::Answer {
        class,
        status,
        scope,
        retry_after: retry_after.map(secs),
    };
    let target = Scope::Target;
    one(
        &[
            Fault::overloaded(),
            answer(OutcomeClass::Overloaded, 529, target, Some(1)),
            answer(OutcomeClass::ServerError, 500, target, None),
            answer(OutcomeClass::RateLimited, 429, target, None),
            answer(OutcomeClass::RateLimited, 429, target, Some(1)),
            answer(OutcomeClass::RateLimited, 429, Scope::Credential, Some(7)),
            answer(OutcomeClass::QuotaExhausted, 429, Scope::Credential, None),
            answer(OutcomeClass::Auth, 401, Scope::Credential, None),
            answer(OutcomeClass::Auth, 403, Scope::CredentialAtTarget, None),
            answer(OutcomeClass::ModelNotFound, 404, target, None),
            answer(OutcomeClass::MalformedOutput, 200, target, None),
            answer(OutcomeClass::ContentFiltered, 200, target, None),
            answer(OutcomeClass::Unsupported, 400, target, None),
            Fault::Refused,
            Fault::ConnectHangs,
            Fault::ReusedConnectionDies,
            Fault::StallsBeforeHeaders,
            Fault::StallsBeforeFirstToken { pings },
            Fault::StallsMidway { pings },
            Fault::CutsMidway,
            Fault::CutsMidway,
            Fault::ErrsMidway {
                class: OutcomeClass::Overloaded,
            },
            Fault::ErrsMidway {
                class: OutcomeClass::RateLimited,
            },
            Fault::Garbage,
        ],
        rng,
    )
}

fn arrivals(every: Duration, rng: &mut Rng) -> Arrivals {
    let size = between(2, 40, rng) as u32;
    one(
        &[
            Arrivals::Steady { every },
            Arrivals::Poisson { every },
            Arrivals::Bursts {
                every: every * size,
                size,
            },
        ],
        rng,
    )
}

fn clients(rng: &mut Rng) -> Clients {
    let leave = Latency::Between(Duration::from_millis(1), secs(one(&[1, 10], rng)));
    Clients {
        stream_permille: one(&[0, 500, 1000], rng),
        leave: one(&[None, Some((200, leave))], rng),
        pause: one(&[None, Some((200, Latency::Between(secs(1), secs(60))))], rng),
        bad: one(
            &[
                vec![],
                vec![(100, OutcomeClass::InvalidRequest), (50, OutcomeClass::ContentFiltered)],
            ],
            rng,
        ),
        deadline: one(&[None, Some((300, secs(3)))], rng),
        commit_within: one(&[None, Some((300, Duration::from_millis(1750)))], rng),
        tools_permille: one(&[0, 300], rng),
        prompt_tokens: (10, one(&[400, 3000], rng)),
    }
}

fn one<T: Clone>(of: &[T], rng: &mut Rng) -> T {
    of[rng.below(of.len() as u64) as usize].clone()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
