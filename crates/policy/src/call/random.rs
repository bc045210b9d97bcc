//! Calls under random events, on the real cells: whatever happens, the promises of the house hold.
//!
//! Several calls share targets, so that breakers open, probes are raced for and rests begin while calls are out.

use proptest::prelude::*;
use types::ids::RouteName;
use types::outcome::Scope;

use super::*;
use crate::breaker::{CallTag, Permit};
use crate::credential::CredentialCell;
use crate::provider::ProviderCell;
use crate::rest::RestNews;
use crate::route::{Balance, BreakerPolicy, OnContentFilter, RestPolicy, Retries, RetryBudgetPolicy, TierPolicy};
use crate::route_cell::RouteCell;
use crate::target::{DomainIx, ProviderIx, TargetCell, TargetFacts, tests::facts};
use crate::view::{Admission, TargetStatus, other_credential, target_status};

/// Two targets a provider, two credentials a provider.
struct World {
    facts: Vec<TargetFacts>,
    targets: Vec<TargetCell>,
    providers: Vec<ProviderCell>,
    credentials: Vec<[CredentialCell; 2]>,
    in_flight: Vec<u32>,
    route: RouteCell,
    calls: u32,
    retries: u32,
}

impl World {
    fn new(targets: u32, seed: u64) -> World {
        let (breaker, rest) = (BreakerPolicy::default(), RestPolicy::default());
        let fact = |n: u32| TargetFacts {
            provider: ProviderIx(n / 2),
            domain: DomainIx(n / 4),
            credentials: 2,
            context_window: (!n.is_multiple_of(3)).then_some(u64::from(n) * 1000),
            prefill: n.is_multiple_of(2),
            ..facts(n)
        };
        World {
            facts: (0..targets).map(fact).collect(),
            targets: (0..targets)
                .map(|n| TargetCell::new(breaker, rest, seed + u64::from(n)))
                .collect(),
            providers: (0..targets.div_ceil(2))
                .map(|n| ProviderCell::new(breaker, seed + u64::from(n)))
                .collect(),
            credentials: (0..targets.div_ceil(2))
                .map(|_| [CredentialCell::new(rest), CredentialCell::new(rest)])
                .collect(),
            in_flight: vec![0; targets as usize],
            route: RouteCell::new(RetryBudgetPolicy::default()),
            calls: 0,
            retries: 0,
        }
    }

    fn provider(&self, target: TargetIx) -> usize {
        self.facts[target.0 as usize].provider.0 as usize
    }
}

impl TargetsView for World {
    fn facts(&self, target: TargetIx) -> &TargetFacts {
        &self.facts[target.0 as usize]
    }
    fn status(&self, target: TargetIx, now: Now) -> TargetStatus {
        let provider = self.provider(target);
        target_status(
            &self.targets[target.0 as usize],
            &self.providers[provider],
            self.credentials[provider].iter(),
            self.in_flight[target.0 as usize],
            now,
        )
    }
    fn retry_allowed(&self, now: Now) -> bool {
        self.route.retry_allowed(now)
    }
    fn troubled_domain(&self, _: DomainIx) -> bool {
        false
    }
    fn other_credential(&self, target: TargetIx, tried: &[CredentialIx], now: Now) -> Option<CredentialIx> {
        let provider = self.provider(target);
        let cell = &self.targets[target.0 as usize];
        other_credential(cell, self.credentials[provider].iter(), tried, now)
    }
}

/// A call with the shell's half: its permits and what it has seen of its own promises.
struct Driven {
    call: Call,
    tag: CallTag,
    began: Mono,
    stream: bool,
    permits: Vec<(AttemptNo, TargetIx, Permit)>,
    launched: Vec<AttemptNo>,
    settled: Vec<AttemptNo>,
    recorded: Vec<AttemptNo>,
    refused: Vec<AttemptNo>,
    retries: u32,
    spent: u32,
    commits: u32,
    resumes: u32,
    ends: u32,
    cancelled: bool,
    /// Each seventh attempt cannot be paid.
    short_of_money: bool,
}

impl Driven {
    fn new(call: Call, tag: u64, stream: bool, now: Now) -> Driven {
        Driven {
            call,
            tag: CallTag(tag),
            began: now.mono,
            stream,
            permits: Vec::new(),
            launched: Vec::new(),
            settled: Vec::new(),
            recorded: Vec::new(),
            refused: Vec::new(),
            retries: 0,
            spent: 0,
            commits: 0,
            resumes: 0,
            ends: 0,
            cancelled: false,
            short_of_money: false,
        }
    }

    /// The engine's loop: effects first, then an action, until both are drained.
    fn drive(&mut self, world: &mut World, now: Now) {
        loop {
            if let Some(effect) = self.call.poll_effect() {
                self.apply(effect, world, now);
            } else if let Some(action) = self.call.poll_action() {
                self.act(action, world, now);
            } else {
                break;
            }
        }
        if let Some((at, reason)) = self.call.poll_timeout() {
            assert!(
                self.call.committed().is_some() || at <= self.began + Duration::from_secs(60),
                "a call that is not committed wakes by its deadline, not at {at:?} for {reason:?}"
            );
        } else {
            assert!(self.call.is_over(), "a call that goes on wants to be woken");
        }
    }

    fn apply(&mut self, effect: Effect, world: &mut World, now: Now) {
        match effect {
            Effect::CallStarted => {
                world.route.call_started(now);
                world.calls += 1;
            }
            Effect::RetrySpent => {
                assert!(world.route.withdraw_retry(now), "within the budget");
                world.retries += 1;
                self.spent += 1;
            }
            Effect::Settle {
                attempt,
                target,
                verdict,
            } => {
                assert!(!self.settled.contains(&attempt), "settled once");
                self.settled.push(attempt);
                let place = self.permits.iter().position(|(a, ..)| *a == attempt);
                let (_, at, permit) = self.permits.remove(place.expect("it was admitted"));
                assert_eq!(at, target);
                let cell = &mut world.targets[target.0 as usize];
                let transition = cell.settle(permit, verdict, self.tag, now);
                let provider = world.provider(target);
                if let Some(transition) = transition {
                    world.providers[provider].target_transition(target, transition);
                }
            }
            Effect::Rest {
                target,
                credential,
                scope,
                reason,
                hint,
            } => {
                let news = RestNews {
                    credential,
                    scope,
                    reason,
                    hint,
                };
                let provider = world.provider(target);
                match scope {
                    Scope::Credential => world.credentials[provider][credential.0 as usize].rest(reason, hint, now),
                    Scope::Target | Scope::CredentialAtTarget | Scope::Provider => {
                        world.targets[target.0 as usize].rest(news, now);
                    }
                }
            }
            Effect::Recovered { target, credential } => {
                let provider = world.provider(target);
                world.credentials[provider][credential.0 as usize].recovered();
                world.targets[target.0 as usize].recovered(credential);
            }
            Effect::CredentialReleased { target, credential } => {
                let provider = world.provider(target);
                world.credentials[provider][credential.0 as usize].release();
                world.targets[target.0 as usize].release_credential(credential);
            }
            Effect::ProviderReleased { target } => {
                let provider = world.provider(target);
                world.providers[provider].release();
            }
            Effect::ConnectFailed { target } => {
                let provider = world.provider(target);
                world.providers[provider].connect_failed(now);
            }
            Effect::ConnectOk { target } => {
                let provider = world.provider(target);
                world.providers[provider].connected(now);
            }
            Effect::Record { attempt, .. } => {
                assert!(!self.recorded.contains(&attempt), "recorded once");
                self.recorded.push(attempt);
                let target = self.call.attempts().iter().find(|a| a.attempt == attempt);
                let target = target.expect("a recorded attempt is told").target;
                world.in_flight[target.0 as usize] -= 1;
            }
            Effect::Alert { .. } => {}
        }
    }

    fn act(&mut self, action: Action, world: &mut World, now: Now) {
        assert_eq!(self.ends, 0, "nothing follows the end");
        match action {
            Action::Launch(launch) => {
                assert_eq!(launch.kind == AttemptKind::Resume, self.commits > 0);
                assert_eq!(launch.kind == AttemptKind::Resume, launch.continuation.is_some());
                assert!(!self.launched.contains(&launch.attempt));
                let charged = launch.kind == AttemptKind::Retry && !launch.fresh_connection;
                self.retries += u32::from(charged);
                assert!(self.retries <= self.spent, "a retry spends the budget");
                self.resumes += u32::from(launch.kind == AttemptKind::Resume);
                let status = world.status(launch.target, now);
                assert!(!matches!(status.admission, Admission::Disabled { .. }));
                // Money is asked for before the permit.
                let attempt = launch.attempt;
                if self.short_of_money && (31 * self.tag.0 + u64::from(attempt.0)).is_multiple_of(7) {
                    self.refused.push(attempt);
                    self.call
                        .handle_event(AttemptEvent::Unaffordable { attempt }, world, now);
                    return;
                }
                let provider = world.provider(launch.target);
                let credential = &mut world.credentials[provider][launch.credential.0 as usize];
                let cell = &mut world.targets[launch.target.0 as usize];
                let was = cell.state(now);
                let permit = crate::view::admit(cell, &mut world.providers[provider], credential, &launch, now);
                match permit {
                    Some(permit) => {
                        assert!(
                            launch.forced || permit.is_probe() || was == crate::breaker::BreakerState::Closed,
                            "an open breaker gets only its probe"
                        );
                        self.permits.push((launch.attempt, launch.target, permit));
                        self.launched.push(launch.attempt);
                        world.in_flight[launch.target.0 as usize] += 1;
                    }
                    None => {
                        assert!(!launch.forced, "who is forced is admitted");
                        self.refused.push(launch.attempt);
                        let attempt = launch.attempt;
                        self.call.handle_event(AttemptEvent::Refused { attempt }, world, now);
                    }
                }
            }
            Action::Cancel(attempt) => assert!(self.launched.contains(&attempt)),
            Action::Commit(attempt) => {
                assert!(self.launched.contains(&attempt));
                assert!(
                    self.commits > 0 || now.mono <= self.began + Duration::from_secs(60),
                    "committed by the deadline"
                );
                self.commits += 1;
                assert!(self.commits <= self.resumes + 1);
            }
            Action::Done => {
                assert!(self.commits > 0);
                self.ends += 1;
            }
            Action::Fail(failure) => {
                assert_eq!(failure.after_commit, self.commits > 0);
                assert!(self.stream || !failure.after_commit);
                self.ends += 1;
            }
        }
    }

    fn check_end(&self) {
        assert!(self.call.is_over());
        assert!(self.permits.is_empty(), "every permit came back");
        let mut settled = self.settled.clone();
        settled.sort_unstable();
        assert_eq!(settled, self.launched);
        assert_eq!(self.recorded, self.launched);
        assert_eq!(self.ends, u32::from(!self.cancelled));
        assert_eq!(self.call.attempts().len(), self.launched.len());
        let free = self.call.free as usize;
        assert!(self.launched.len() - free <= 6, "the cap of attempts");
        for attempt in self.call.attempts() {
            assert!(attempt.class.is_some() && attempt.ended.is_some());
        }
    }
}

/// The clock moves on: every timeout of every call fires at its own time.
fn pass(calls: &mut [Driven], world: &mut World, mut now: Now, by: Duration) -> Now {
    let until = now.after(by);
    loop {
        let due = |(i, c): (usize, &Driven)| c.call.poll_timeout().map(|(at, _)| (at, i));
        let next = calls.iter().enumerate().filter_map(due).min();
        let Some((at, i)) = next.filter(|(at, _)| *at <= until.mono) else {
            return until;
        };
        now = now.after(at.since(now.mono));
        calls[i].call.handle_timeout(world, now);
        let next = calls[i].call.poll_timeout();
        assert!(next.is_none_or(|(next, _)| next > now.mono), "it makes progress");
        calls[i].drive(world, now);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Event(usize, Heard),
    Cancel(usize),
    Health(usize),
}

#[derive(Debug, Clone)]
enum Heard {
    Connected,
    Alive,
    Content(u64),
    Unresumable,
    Finished,
    Failed(OutcomeClass, Scope, Option<u64>, Option<u16>, bool),
    Paused,
    Resumed,
    Unsupported,
}

fn heard() -> impl Strategy<Value = Heard> {
    let scope = prop_oneof![
        Just(Scope::Target),
        Just(Scope::Credential),
        Just(Scope::CredentialAtTarget),
        Just(Scope::Provider)
    ];
    let status = proptest::option::of(prop_oneof![Just(401u16), Just(403), Just(429), Just(503)]);
    let class = proptest::sample::select(OutcomeClass::ALL.to_vec());
    let hint = proptest::option::of(0u64..40_000);
    prop_oneof![
        2 => Just(Heard::Connected),
        1 => Just(Heard::Alive),
        3 => (0u64..300).prop_map(Heard::Content),
        1 => Just(Heard::Unresumable),
        2 => Just(Heard::Finished),
        8 => (class, scope, hint, status, any::<bool>())
            .prop_map(|(c, s, h, t, d)| Heard::Failed(c, s, h, t, d)),
        1 => Just(Heard::Paused),
        1 => Just(Heard::Resumed),
        1 => Just(Heard::Unsupported),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..3_000).prop_map(Step::Wait),
        1 => (0u64..90_000).prop_map(Step::Wait),
        12 => (0usize..8, heard()).prop_map(|(call, heard)| Step::Event(call, heard)),
        1 => (0usize..8).prop_map(Step::Cancel),
        1 => (0usize..6).prop_map(Step::Health),
    ]
}

fn policy() -> impl Strategy<Value = RoutePolicy> {
    let tiers = prop_oneof![
        Just(vec![vec![0]]),
        Just(vec![vec![0], vec![1], vec![2], vec![3]]),
        Just(vec![vec![0, 2, 4], vec![1, 3, 5]]),
        Just(vec![vec![5, 0], vec![], vec![0, 1, 2, 3, 4, 5]]),
    ];
    let on_failure = prop_oneof![
        Just(OnStreamFailure::Error),
        Just(OnStreamFailure::HoldBack { bytes: 200 }),
        Just(OnStreamFailure::Resume)
    ];
    let total = proptest::option::of(1u64..70);
    let retries = proptest::option::of(0u32..4);
    (tiers, on_failure, total, retries, any::<bool>(), any::<bool>()).prop_map(
        |(tiers, on_stream_failure, total, retries, least_busy, filter_falls_back)| {
            let tiers = tiers
                .into_iter()
                .map(|targets| {
                    let mut tier = TierPolicy::of(targets.into_iter().map(TargetIx));
                    tier.timeouts.total = total.map(Duration::from_secs);
                    tier.retries = Retries {
                        default: retries,
                        by_class: vec![(OutcomeClass::Timeout, 1)],
                    };
                    if least_busy {
                        tier.balance = Balance::LeastBusy;
                    }
                    tier
                })
                .collect();
            RoutePolicy {
                deadline: Duration::from_secs(60),
                on_stream_failure,
                on_content_filter: if filter_falls_back {
                    OnContentFilter::Fallback
                } else {
                    OnContentFilter::Stop
                },
                ..RoutePolicy::new(RouteName::from("chat"), tiers)
            }
        },
    )
}

fn event(heard: &Heard, attempt: AttemptNo) -> AttemptEvent {
    match heard.clone() {
        Heard::Connected => AttemptEvent::Connected { attempt },
        Heard::Alive => AttemptEvent::Alive { attempt },
        Heard::Content(bytes) => AttemptEvent::Content { attempt, bytes },
        Heard::Unresumable => AttemptEvent::Unresumable {
            attempt,
            why: "tool call",
        },
        Heard::Finished => AttemptEvent::Finished { attempt },
        Heard::Failed(class, scope, hint, status, reused_connection_died) => AttemptEvent::Failed {
            attempt,
            failure: Failure {
                scope,
                status,
                retry_after: hint.map(Duration::from_millis),
                ..Failure::new(class, "told so")
            },
            reused_connection_died,
        },
        Heard::Paused => AttemptEvent::Paused { attempt },
        Heard::Resumed => AttemptEvent::Resumed { attempt },
        Heard::Unsupported => AttemptEvent::Unsupported {
            attempt,
            message: "n > 1".into(),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold(
        policy in policy(),
        streams in proptest::collection::vec(any::<bool>(), 8),
        steps in proptest::collection::vec(step(), 0..120),
        seed in any::<u32>(),
    ) {
        let policy = Arc::new(policy);
        let mut world = World::new(6, u64::from(seed));
        let mut now = Now { mono: Mono(1_000_000_000_000), ..Now::default() };
        let mut calls: Vec<Driven> = Vec::new();
        for (i, stream) in streams.iter().enumerate() {
            let facts = CallFacts { stream: *stream, ..CallFacts::default() };
            let call = Call::new(policy.clone(), facts, u64::from(seed) + i as u64, &world, now);
            let mut driven = Driven::new(call, i as u64, *stream, now);
            driven.short_of_money = seed % 2 == 0;
            driven.drive(&mut world, now);
            calls.push(driven);
        }
        for step in &steps {
            match step {
                Step::Wait(ms) => {
                    now = pass(&mut calls, &mut world, now, Duration::from_millis(*ms));
                }
                Step::Event(i, heard) => {
                    let driven = &mut calls[*i];
                    if let Some(attempt) = driven.launched.last().copied() {
                        driven.call.handle_event(event(heard, attempt), &world, now);
                        // Only `cancel` ends a call without an action.
                        if matches!(heard, Heard::Failed(OutcomeClass::Cancelled, ..))
                            && driven.call.is_over() && driven.ends == 0
                        {
                            driven.cancelled |= driven.call.attempts().last()
                                .is_some_and(|a| a.class == Some(OutcomeClass::Cancelled));
                        }
                        driven.drive(&mut world, now);
                    }
                }
                Step::Cancel(i) => {
                    let driven = &mut calls[*i];
                    driven.cancelled |= !driven.call.is_over();
                    driven.call.cancel(now);
                    driven.drive(&mut world, now);
                }
                Step::Health(i) => {
                    let target = TargetIx(*i as u32);
                    let provider = world.provider(target);
                    if let Some(transition) = world.targets[*i].health_ok(now) {
                        world.providers[provider].target_transition(target, transition);
                    }
                }
            }
        }
        // An hour later everything is over: by an end of its own or by a clock.
        pass(&mut calls, &mut world, now, Duration::from_secs(3600));
        calls.iter().for_each(Driven::check_end);
        prop_assert!(world.in_flight.iter().all(|n| *n == 0));
        prop_assert!(world.retries <= 3 * (3600 + 60) / 10 + world.calls);
    }
}

#[test]
fn sixty_four_calls_at_once_to_a_dead_sole_target_cost_few_attempts_and_open_its_breaker() {
    let mut world = World::new(1, 7);
    let mut now = Now {
        mono: Mono(1_000_000_000_000),
        ..Now::default()
    };
    let policy = Arc::new(RoutePolicy {
        deadline: Duration::from_secs(60),
        ..RoutePolicy::new(RouteName::from("chat"), vec![TierPolicy::of([TargetIx(0)])])
    });
    let mut calls = Vec::new();
    for i in 0..64 {
        let call = Call::new(policy.clone(), CallFacts::default(), i, &world, now);
        let mut driven = Driven::new(call, i, false, now);
        driven.drive(&mut world, now);
        calls.push(driven);
    }
    let failed = Heard::Failed(OutcomeClass::Overloaded, Scope::Target, None, Some(503), false);
    while calls.iter().any(|c| !c.call.is_over()) {
        for driven in &mut calls {
            if let Some(attempt) = driven.launched.last().copied() {
                driven.call.handle_event(event(&failed, attempt), &world, now);
                driven.drive(&mut world, now);
            }
        }
        now = pass(&mut calls, &mut world, now, Duration::from_millis(100));
    }
    let attempts: usize = calls.iter().map(|c| c.launched.len()).sum();
    assert!((64..=64 * 13 / 10).contains(&attempts), "{attempts} attempts");
    let state = world.targets[0].state(now);
    assert_eq!(state, crate::breaker::BreakerState::Open);
}
