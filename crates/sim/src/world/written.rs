//! Worlds written by hand: each is a situation that users meet.

use std::sync::Arc;
use std::time::Duration;

use policy::route::{Balance, OnStreamFailure, RetryBudgetPolicy, RoutePolicy, TierPolicy, TierTarget, Timeouts};
use policy::spend::window::Window;
use policy::spend::{BudgetPolicy, Share};
use types::ids::{BudgetId, ModelTier, RouteName, TargetIx};
use types::money::NanoDollars;
use types::outcome::{OutcomeClass, Scope};

use crate::arrival::Arrivals;
use crate::chance::Latency;
use crate::scenario::{Clients, Scenario, ScriptedBudget};
use crate::script::{Conduct, Fault, RateLimit, TargetScript};

/// All of them.
pub fn all() -> Vec<Scenario> {
    vec![
        dead_sole_target(),
        silent_primary(),
        outage_and_return(),
        flapping_primary(),
        weights(),
        streams_break(OnStreamFailure::Error),
        streams_break(OnStreamFailure::HoldBack { bytes: 40 }),
        streams_break(OnStreamFailure::Resume),
        rate_limits(),
        bad_requests(),
        impatient_clients(),
        sick_fleet(),
        totals(),
        bad_credential(),
        dead_connections(),
        four_bad_tiers(),
        provider_unreachable(),
        tight_budget(),
    ]
}

/// 64 calls at once to a sole target that only says 503.
pub fn dead_sole_target() -> Scenario {
    let dead = TargetScript::always(Conduct::down(Fault::overloaded()));
    Scenario {
        arrivals: Arrivals::Bursts {
            every: secs(1),
            size: 64,
        },
        calls: 64,
        ..Scenario::new("dead sole target", route(&[&[1]]), vec![dead])
    }
}

/// The primary takes connections and says nothing; first tokens are waited for two seconds.
pub fn silent_primary() -> Scenario {
    let silent = TargetScript::always(Conduct::down(Fault::StallsBeforeHeaders));
    let mut route = route(&[&[1], &[1]]);
    route.deadline = secs(30);
    route.tiers[0].timeouts.first_token = Some(secs(2));
    Scenario {
        arrivals: Arrivals::Steady { every: millis(700) },
        calls: 120,
        ..Scenario::new("silent primary", route, vec![silent, healthy()])
    }
}

/// Two targets of equal weight; one is out for two minutes and comes back.
pub fn outage_and_return() -> Scenario {
    let out = healthy()
        .then(secs(60), Conduct::down(Fault::overloaded()))
        .then(secs(180), Conduct::healthy());
    Scenario {
        arrivals: Arrivals::Steady { every: millis(300) },
        calls: 2000,
        health_check: Some(secs(15)),
        ..Scenario::new(
            "outage and return",
            route(&[&[1, 1], &[1]]),
            vec![out, healthy(), healthy()],
        )
    }
}

/// A minute of flapping under steady calls.
pub fn flapping_primary() -> Scenario {
    let (well, ill) = (Conduct::healthy(), Conduct::down(Fault::overloaded()));
    let flapping = healthy().flapping((secs(4), &well), (secs(4), &ill), secs(20), secs(80));
    Scenario {
        arrivals: Arrivals::Steady { every: millis(200) },
        calls: 1000,
        health_check: Some(secs(15)),
        ..Scenario::new("flapping primary", route(&[&[1], &[1]]), vec![flapping, healthy()])
    }
}

/// Three targets in good health, weighed 6, 3 and 1, and one that is tried last.
pub fn weights() -> Scenario {
    Scenario {
        arrivals: Arrivals::Poisson { every: millis(100) },
        calls: 2000,
        ..Scenario::new("weights", route(&[&[6, 3, 1, 0]]), vec![healthy(); 4])
    }
}

/// A third of all streams breaks in the middle, in different ways.
pub fn streams_break(on_stream_failure: OnStreamFailure) -> Scenario {
    let conduct = Conduct {
        unresumable_permille: 100,
        tokens: (10, 40),
        ..Conduct::healthy()
            .with(120, Fault::CutsMidway)
            .with(80, Fault::StallsMidway { pings: None })
            .with(40, Fault::StallsMidway { pings: Some(secs(2)) })
            .with(
                80,
                Fault::ErrsMidway {
                    class: OutcomeClass::Overloaded,
                },
            )
    };
    let picky = Conduct {
        refuses_prefill: true,
        ..conduct.clone()
    };
    let mut route = route(&[&[1, 1], &[1]]);
    route.on_stream_failure = on_stream_failure;
    for tier in &mut route.tiers {
        tier.timeouts.idle = secs(4);
        tier.timeouts.content_idle = secs(10);
    }
    let scripts = vec![
        TargetScript::always(conduct.clone()),
        TargetScript::always(conduct),
        TargetScript::always(picky),
    ];
    let mut scenario = Scenario {
        calls: 400,
        clients: Clients {
            stream_permille: 1000,
            pause: Some((100, Latency::Between(secs(1), secs(20)))),
            ..Clients::default()
        },
        ..Scenario::new("streams break", route, scripts)
    };
    scenario.targets[2].prefill = true;
    scenario
}

/// Targets that take fewer requests than come: one says for how long, one does not, one shows what is left.
pub fn rate_limits() -> Scenario {
    let limit = |requests, window, hints, headers| RateLimit {
        requests,
        window: secs(window),
        hints,
        headers,
    };
    let scripts = vec![
        healthy().limited(limit(5, 2, true, false)),
        healthy().limited(limit(20, 10, false, false)),
        healthy().limited(limit(60, 30, true, true)),
    ];
    Scenario {
        arrivals: Arrivals::Poisson { every: millis(120) },
        calls: 1500,
        ..Scenario::new("rate limits", route(&[&[1, 1], &[1]]), scripts)
    }
}

/// One call in five is its client's own fault.
pub fn bad_requests() -> Scenario {
    let scripts = vec![healthy(), healthy(), healthy()];
    Scenario {
        calls: 600,
        clients: Clients {
            bad: vec![(120, OutcomeClass::InvalidRequest), (80, OutcomeClass::ContentFiltered)],
            ..Clients::default()
        },
        ..Scenario::new("bad requests", route(&[&[1, 1], &[1]]), scripts)
    }
}

/// Half of the clients leave, some within milliseconds, some in the middle of a stream or of a retry's wait.
pub fn impatient_clients() -> Scenario {
    let shaky = TargetScript::always(Conduct::healthy().with(300, Fault::overloaded()));
    Scenario {
        calls: 600,
        clients: Clients {
            leave: Some((500, Latency::Between(millis(1), millis(900)))),
            deadline: Some((200, secs(2))),
            commit_within: Some((200, millis(750))),
            ..Clients::default()
        },
        ..Scenario::new("impatient clients", route(&[&[1], &[1]]), vec![shaky, healthy()])
    }
}

/// Every target fails a good part of its attempts, at ten calls a second.
pub fn sick_fleet() -> Scenario {
    let sick = || {
        TargetScript::always(
            Conduct::healthy()
                .with(250, Fault::status(OutcomeClass::ServerError, 500))
                .with(150, Fault::Garbage)
                .with(100, Fault::CutsMidway),
        )
    };
    let mut route = route(&[&[2, 1], &[1]]);
    route.retry_budget = RetryBudgetPolicy {
        share: 0.1,
        ..RetryBudgetPolicy::default()
    };
    Scenario {
        arrivals: Arrivals::Poisson { every: millis(100) },
        calls: 1500,
        lost_races_permille: 20,
        health_check: Some(secs(10)),
        ..Scenario::new("sick fleet", route, vec![sick(), sick(), sick()])
    }
}

/// Twenty seconds, twelve, eight: each tier has its time, and the first ones are slow.
pub fn totals() -> Scenario {
    let slow = |low, high| {
        TargetScript::always(Conduct {
            first_token: Latency::Between(secs(low), secs(high)),
            ..Conduct::healthy()
        })
    };
    let mut route = route(&[&[1], &[1], &[1]]);
    route.deadline = secs(35);
    for (tier, total) in route.tiers.iter_mut().zip([20, 12, 8]) {
        tier.timeouts = Timeouts {
            total: Some(secs(total)),
            ..Timeouts::default()
        };
    }
    Scenario {
        arrivals: Arrivals::Poisson { every: secs(3) },
        calls: 300,
        ..Scenario::new("totals", route, vec![slow(5, 60), slow(5, 30), slow(1, 15)])
    }
}

/// One of two credentials is refused; a quota is spent for a while.
pub fn bad_credential() -> Scenario {
    let answer = |class, status, scope| Fault::Answer {
        class,
        status,
        scope,
        retry_after: None,
    };
    let refused = answer(OutcomeClass::Auth, 401, Scope::Credential);
    let spent = answer(OutcomeClass::QuotaExhausted, 429, Scope::Credential);
    let mut half = Conduct::healthy().with(1000, refused);
    half.faults[0].credential = Some(types::ids::CredentialIx(0));
    let quota = healthy()
        .then(secs(100), Conduct::healthy().with(1000, spent))
        .then(secs(500), Conduct::healthy());
    let scripts = vec![TargetScript::always(half), quota];
    let mut scenario = Scenario {
        arrivals: Arrivals::Poisson { every: secs(2) },
        calls: 800,
        ..Scenario::new("bad credential", route(&[&[1, 1]]), scripts)
    };
    scenario.providers[0].credentials = 2;
    scenario
}

/// Pooled connections die before any byte.
pub fn dead_connections() -> Scenario {
    let stale = TargetScript::always(Conduct::healthy().with(400, Fault::ReusedConnectionDies));
    Scenario {
        calls: 300,
        ..Scenario::new("dead connections", route(&[&[1], &[1]]), vec![stale.clone(), stale])
    }
}

/// Four tiers of two targets that fail, each call in its own way; the caps end it.
pub fn four_bad_tiers() -> Scenario {
    let bad = |fault| TargetScript::always(Conduct::healthy().with(600, fault));
    let scripts = (0..8)
        .map(|n| match n % 3 {
            0 => bad(Fault::status(OutcomeClass::MalformedOutput, 200)),
            1 => bad(Fault::status(OutcomeClass::ServerError, 500)),
            _ => bad(Fault::overloaded()),
        })
        .collect();
    Scenario {
        arrivals: Arrivals::Poisson { every: secs(4) },
        calls: 400,
        ..Scenario::new("four bad tiers", route(&[&[1, 1], &[1, 1], &[1, 1], &[1, 1]]), scripts)
    }
}

/// A provider with two targets cannot be connected to for a while.
pub fn provider_unreachable() -> Scenario {
    let unreachable = || {
        healthy()
            .then(secs(30), Conduct::down(Fault::Refused))
            .then(secs(90), Conduct::down(Fault::ConnectHangs))
            .then(secs(150), Conduct::healthy())
    };
    let mut route = route(&[&[1, 1], &[1]]);
    route.tiers[0].balance = Balance::LeastBusy;
    let mut scenario = Scenario {
        arrivals: Arrivals::Poisson { every: millis(400) },
        calls: 1500,
        health_check: Some(secs(15)),
        ..Scenario::new(
            "provider unreachable",
            route,
            vec![unreachable(), unreachable(), healthy()],
        )
    };
    scenario.targets[1].provider = 0;
    scenario
}

/// Three bursts of 400 calls of every priority; the budget does not last for the first one, and attempts come to 0.2 to 5 times what
/// was expected.
pub fn tight_budget() -> Scenario {
    let mut scenario = Scenario {
        arrivals: Arrivals::Bursts {
            every: secs(60),
            size: 400,
        },
        calls: 1200,
        ..Scenario::new(
            "tight budget",
            route(&[&[1], &[1], &[1]]),
            vec![healthy(), healthy(), healthy()],
        )
    };
    let tiers = [ModelTier::Premium, ModelTier::Standard, ModelTier::Economy];
    for (target, (tier, price)) in scenario.targets.iter_mut().zip(tiers.into_iter().zip([9, 3, 1])) {
        target.model_tier = Some(tier);
        target.price = NanoDollars(price * 1_000_000);
    }
    scenario.budget = Some(ScriptedBudget {
        policy: BudgetPolicy {
            reserve: Share::percent(20),
            ..BudgetPolicy::new(BudgetId::from("hourly"), NanoDollars(1_000_000_000), Window::Hour)
        },
        low_permille: 200,
        critical_permille: 100,
        actual_permille: (200, 5_000),
    });
    scenario
}

/// A route of tiers, each given by its targets' weights; targets are numbered through.
pub fn route(tiers: &[&[u32]]) -> RoutePolicy {
    let mut next = 0;
    let tiers = tiers.iter().map(|weights| {
        let targets = weights.iter().map(|weight| {
            next += 1;
            TierTarget {
                target: TargetIx(next - 1),
                weight: *weight,
            }
        });
        TierPolicy {
            targets: targets.collect(),
            ..TierPolicy::of([])
        }
    });
    RoutePolicy::new(RouteName::from("route"), tiers.collect())
}

/// A scenario's route with something changed.
pub fn with_route(mut scenario: Scenario, change: impl FnOnce(&mut RoutePolicy)) -> Scenario {
    change(Arc::make_mut(&mut scenario.route));
    scenario
}

fn healthy() -> TargetScript {
    TargetScript::always(Conduct::healthy())
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
