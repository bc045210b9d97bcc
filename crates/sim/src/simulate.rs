//! Plays a scenario: a loop over what is due, in virtual time. It carries out what policy answers and decides nothing.
//!
//! Actions and effects are applied as the gateway's engine applies them: all effects before the next action; leave for
//! an attempt from the provider, the credential and the target; permits given back to the cell they came from. What the
//! gateway mends when a machine errs (a permit never given back) is not mended here, for that is what checkers look for.

use std::time::Duration;

use policy::breaker::{CallTag, Permit, Verdict};
use policy::call::action::{Action, Effect, Launch};
use policy::call::event::AttemptEvent;
use policy::call::facts::CallFacts;
use policy::rest::RestNews;
use types::features::Features;
use types::ids::{AttemptNo, TargetIx};
use types::money::NanoDollars;
use types::outcome::{Dimension, Headroom, OutcomeClass};
use types::principal::Priority;
use types::spend::SpendLevel;
use types::time::{Mono, Now};

use crate::agenda::{Agenda, Due};
use crate::chance;
use crate::fate::{Asked, Fate, Step};
use crate::fleet::Fleet;
use crate::machine::{Machine, Maker};
use crate::purse::Purse;
use crate::scenario::Scenario;
use crate::trace::{Entry, Launched, START, Seen, Trace};

/// Things due in a run at most. More is a machine that goes round in circles, and ends the run with a panic.
const DUE_MAX: u64 = 20_000_000;

/// Actions between two waits of a call at most, likewise.
const ACTIONS_MAX: u32 = 1_000;

/// Sources of chance, one a kind of thing.
const OF_ARRIVALS: u64 = 10;
const OF_CALLS: u64 = 11;
const OF_MACHINES: u64 = 12;
const OF_ATTEMPTS: u64 = 13;
const OF_RACES: u64 = 14;
const OF_MONEY: u64 = 15;

/// Plays a scenario to its end: until every call is over.
pub fn simulate(scenario: &Scenario, seed: u64, maker: &dyn Maker) -> Trace {
    let mut simulation = Simulation {
        scenario,
        seed,
        maker,
        now: START,
        agenda: Agenda::default(),
        fleet: Fleet::new(scenario, seed),
        rates: vec![Rate::default(); scenario.targets.len()],
        purse: scenario.budget.as_ref().map(Purse::new),
        calls: Vec::with_capacity(scenario.calls as usize),
        unfinished: scenario.calls,
        trace: Trace::default(),
    };
    simulation.play();
    simulation.trace
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    seed: u64,
    maker: &'a dyn Maker,
    now: Now,
    agenda: Agenda,
    fleet: Fleet,
    rates: Vec<Rate>,
    purse: Option<Purse<'a>>,
    calls: Vec<Running>,
    unfinished: u32,
    trace: Trace,
}

/// Requests a target has taken in a window of its rate limit.
#[derive(Clone, Copy, Default)]
struct Rate {
    window: u64,
    taken: u32,
}

struct Running {
    machine: Box<dyn Machine>,
    facts: CallFacts,
    bad: Option<OutcomeClass>,
    pause: Option<Duration>,
    out: Vec<Out>,
    permits: Vec<(AttemptNo, TargetIx, Permit)>,
    /// Attempts that were launched and not recorded yet.
    running: Vec<(AttemptNo, TargetIx)>,
    /// The wake-up that is planned.
    wake: Mono,
    over: bool,
}

/// An attempt that is out.
struct Out {
    attempt: AttemptNo,
    target: TargetIx,
    fate: Fate,
}

impl Simulation<'_> {
    fn play(&mut self) {
        let mut rng = chance::source(self.seed, &[OF_ARRIVALS]);
        let times = self.scenario.arrivals.times(self.scenario.calls, &mut rng);
        for (call, after) in (0..).zip(times) {
            self.agenda.plan(START.mono + after, Due::Arrive(call));
        }
        if let Some(every) = self.scenario.health_check {
            self.agenda.plan(START.mono + every, Due::HealthCheck);
        }
        let mut done = 0u64;
        while let Some((at, due)) = self.agenda.pop() {
            done += 1;
            assert!(done <= DUE_MAX, "`{}` does not end", self.scenario.name);
            self.now = START.after(at.since(START.mono));
            match due {
                Due::Arrive(call) => self.arrive(call),
                Due::Step(call, attempt) => self.step(call, attempt),
                Due::Wake(call) => self.wake(call),
                Due::Leave(call) => self.leave(call),
                Due::HealthCheck => self.check_health(),
            }
        }
    }

    fn arrive(&mut self, call: u32) {
        assert_eq!(self.calls.len(), call as usize, "calls come in order");
        let mut rng = chance::source(self.seed, &[OF_CALLS, call.into()]);
        let clients = &self.scenario.clients;
        let stream = chance::happens(clients.stream_permille, &mut rng);
        let bad = clients
            .bad
            .iter()
            .find(|(permille, _)| chance::happens(*permille, &mut rng))
            .map(|(_, class)| *class);
        let deadline = clients.deadline.filter(|(p, _)| chance::happens(*p, &mut rng));
        let within = clients.commit_within.filter(|(p, _)| chance::happens(*p, &mut rng));
        let leave = clients.leave.filter(|(p, _)| chance::happens(*p, &mut rng));
        let pause = clients.pause.filter(|(p, _)| chance::happens(*p, &mut rng));
        let tools = chance::happens(clients.tools_permille, &mut rng);
        let prompt_tokens = chance::between(clients.prompt_tokens.0, clients.prompt_tokens.1, &mut rng);
        let (priority, spend) = self.money(call);
        let facts = CallFacts {
            stream,
            features: if tools { Features::TOOLS } else { Features::NONE },
            prompt_chars: 4 * prompt_tokens,
            prompt_tokens_estimate: prompt_tokens,
            max_output_tokens: None,
            deadline: deadline.map(|(_, d)| d),
            commit_within: within.map(|(_, d)| d),
            named_target: false,
            priority,
            spend,
            priced_only: self.purse.is_some(),
            allowed: None,
        };
        if let Some((_, after)) = leave {
            let at = self.now.mono + after.draw(&mut rng);
            self.agenda.plan(at, Due::Leave(call));
        }
        let seen = Seen::Arrived {
            ready: self.fleet.ready_for(&facts, self.now),
            put_last: self.fleet.put_last(&facts, self.now),
            facts: facts.clone(),
        };
        self.note(Some(call), seen);
        let seed = chance::source(self.seed, &[OF_MACHINES, call.into()]).bits();
        let view = self.fleet.view(self.now);
        let machine = self
            .maker
            .make(&self.scenario.route, facts.clone(), seed, &view, self.now);
        self.calls.push(Running {
            machine,
            facts,
            bad,
            pause: pause.map(|(_, time)| time.draw(&mut rng)),
            out: Vec::new(),
            permits: Vec::new(),
            running: Vec::new(),
            wake: Mono::NEVER,
            over: false,
        });
        self.drain(call);
    }

    fn step(&mut self, call: u32, attempt: AttemptNo) {
        let running = &mut self.calls[call as usize];
        let Some(place) = running.out.iter().position(|o| o.attempt == attempt) else {
            return;
        };
        let target = running.out[place].target;
        let Some(step) = running.out[place].fate.step() else {
            return;
        };
        let next = running.out[place].fate.next_in();
        match &step {
            Step::Finished => {
                running.out.remove(place);
                self.report(call, attempt, OutcomeClass::Success, false);
            }
            Step::Failed(failure, died) => {
                let (class, died) = (failure.class, *died);
                running.out.remove(place);
                self.report(call, attempt, class, died);
            }
            Step::Headers => self.note_headroom(target),
            Step::Connected | Step::Alive | Step::Content(_) | Step::Unresumable | Step::Paused | Step::Resumed => {}
        }
        if let Some(gap) = next {
            self.agenda.plan(self.now.mono + gap, Due::Step(call, attempt));
        }
        self.tell(call, step.into_event(attempt));
        self.drain(call);
    }

    fn wake(&mut self, call: u32) {
        let running = &mut self.calls[call as usize];
        // A wake-up that was overtaken by an earlier one.
        if running.over || running.wake != self.now.mono {
            return;
        }
        running.wake = Mono::NEVER;
        if running.machine.poll_timeout().is_some_and(|at| at <= self.now.mono) {
            running.machine.handle_timeout(&self.fleet.view(self.now), self.now);
            self.drain(call);
            let next = self.calls[call as usize].machine.poll_timeout();
            assert!(
                self.calls[call as usize].over || next.is_none_or(|at| at > self.now.mono),
                "a clock that fired is stopped"
            );
        } else {
            self.plan_wake(call);
        }
    }

    fn leave(&mut self, call: u32) {
        if self.calls[call as usize].over {
            return;
        }
        self.note(Some(call), Seen::Left);
        self.calls[call as usize].machine.cancel(self.now);
        self.drain(call);
        self.end(call);
    }

    fn check_health(&mut self) {
        for (n, target) in (0..).zip(&self.scenario.targets) {
            let at = self.now.mono.since(START.mono);
            let transition = target
                .script
                .conduct(at)
                .answers_health_checks
                .then(|| self.fleet.health_ok(TargetIx(n), self.now))
                .flatten();
            if let Some(transition) = transition {
                let target = TargetIx(n);
                self.note(None, Seen::Changed { target, transition });
            }
        }
        if self.unfinished > 0
            && let Some(every) = self.scenario.health_check
        {
            self.agenda.plan(self.now.mono + every, Due::HealthCheck);
        }
    }

    /// Carries out all that the machine wants, then plans its next wake-up.
    fn drain(&mut self, call: u32) {
        for taken in 0.. {
            assert!(taken < ACTIONS_MAX, "`{}`: call {call} goes round", self.scenario.name);
            while let Some(effect) = self.calls[call as usize].machine.poll_effect() {
                self.apply(call, effect);
            }
            let Some(action) = self.calls[call as usize].machine.poll_action() else {
                break;
            };
            match action {
                Action::Launch(launch) => self.launch(call, &launch),
                Action::Cancel(attempt) => {
                    self.calls[call as usize].out.retain(|o| o.attempt != attempt);
                    self.note(Some(call), Seen::Cancelled { attempt });
                }
                Action::Commit(attempt) => self.note(Some(call), Seen::Committed { attempt }),
                Action::Done => {
                    self.note(Some(call), Seen::Done);
                    self.end(call);
                }
                Action::Fail(failed) => {
                    let seen = Seen::Failed {
                        class: failed.failure.class,
                        timeout: failed.failure.timeout,
                        after_commit: failed.after_commit,
                        ready: self.fleet.ready_for(&self.calls[call as usize].facts, self.now),
                    };
                    self.note(Some(call), seen);
                    self.end(call);
                }
            }
        }
        self.plan_wake(call);
    }

    fn end(&mut self, call: u32) {
        let running = &mut self.calls[call as usize];
        running.out.clear();
        if !running.over {
            running.over = true;
            self.unfinished -= 1;
        }
    }

    fn plan_wake(&mut self, call: u32) {
        let running = &mut self.calls[call as usize];
        if running.over {
            return;
        }
        if let Some(at) = running.machine.poll_timeout().map(|at| at.max(self.now.mono))
            && at < running.wake
        {
            running.wake = at;
            self.agenda.plan(at, Due::Wake(call));
        }
    }

    fn launch(&mut self, call: u32, launch: &Launch) {
        let (attempt, target) = (launch.attempt, launch.target);
        let numbers = [OF_RACES, call.into(), attempt.0.into()];
        let mut race = chance::source(self.seed, &numbers);
        let lost = !launch.forced && chance::happens(self.scenario.lost_races_permille, &mut race);
        let (breaker, provider_open, resting, open_to) = (
            self.fleet.breaker(target, self.now),
            self.fleet.provider_open(target, self.now),
            self.fleet.resting(target, self.now).is_some(),
            self.fleet.open_to(&self.calls[call as usize].facts, self.now),
        );
        if !self.hold(call, launch) {
            self.note(Some(call), Seen::Unaffordable { attempt, target });
            return self.tell(call, AttemptEvent::Unaffordable { attempt });
        }
        let permit = if lost { None } else { self.fleet.admit(launch, self.now) };
        let Some(permit) = permit else {
            self.pay(call, attempt, 0);
            self.note(Some(call), Seen::Refused { attempt, target });
            return self.tell(call, AttemptEvent::Refused { attempt });
        };
        self.note(
            Some(call),
            Seen::Launched(Launched {
                launch: *launch,
                breaker,
                provider_open,
                resting,
                probe: permit.is_probe(),
                open_to,
            }),
        );
        let limited = self.take_rate(target);
        let since_start = self.now.mono.since(START.mono);
        let scripted = &self.scenario.targets[target.0 as usize];
        let running = &mut self.calls[call as usize];
        running.permits.push((attempt, target, permit));
        running.running.push((attempt, target));
        let asked = Asked {
            launch,
            stream: running.facts.stream,
            bad: running.bad,
            too_long: scripted
                .context_window
                .is_some_and(|window| running.facts.prompt_tokens_estimate > window),
            limited,
            pause: running.pause,
        };
        let mut rng = chance::source(self.seed, &[OF_ATTEMPTS, call.into(), attempt.0.into()]);
        let fate = Fate::draw(scripted.script.conduct(since_start), asked, &mut rng);
        if let Some(gap) = fate.next_in() {
            self.agenda.plan(self.now.mono + gap, Due::Step(call, attempt));
        }
        running.out.push(Out { attempt, target, fate });
    }

    fn apply(&mut self, call: u32, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::CallStarted => self.fleet.route.call_started(now),
            Effect::RetrySpent => {
                let granted = self.fleet.route.withdraw_retry(now);
                self.note(Some(call), Seen::RetrySpent { granted });
            }
            Effect::Settle {
                attempt,
                target,
                verdict,
            } => self.settle(call, attempt, target, verdict),
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
                self.fleet.rest(target, news, now);
                self.note_rests(call, target);
            }
            Effect::Recovered { target, credential } => self.fleet.recovered(target, credential),
            Effect::CredentialReleased { target, credential } => self.fleet.credential_released(target, credential),
            Effect::ProviderReleased { target } => self.fleet.provider_released(target),
            Effect::ConnectFailed { target } => self.fleet.connected(target, false, now),
            Effect::ConnectOk { target } => self.fleet.connected(target, true, now),
            Effect::Record {
                attempt,
                class,
                timeout,
            } => self.record(call, attempt, class, timeout),
            Effect::Alert { .. } => {}
        }
    }

    fn settle(&mut self, call: u32, attempt: AttemptNo, target: TargetIx, verdict: Verdict) {
        let permits = &mut self.calls[call as usize].permits;
        let place = permits.iter().position(|(a, t, _)| *a == attempt && *t == target);
        let seen = Seen::Settled {
            attempt,
            target,
            verdict,
            known: place.is_some(),
        };
        let permit = place.map(|place| permits.swap_remove(place).2);
        self.note(Some(call), seen);
        let transition = permit.and_then(|permit| {
            self.fleet
                .settle(target, permit, verdict, CallTag(call.into()), self.now)
        });
        if let Some(transition) = transition {
            self.note(Some(call), Seen::Changed { target, transition });
        }
    }

    fn record(
        &mut self,
        call: u32,
        attempt: AttemptNo,
        class: OutcomeClass,
        timeout: Option<types::outcome::TimeoutKind>,
    ) {
        let mut rng = chance::source(self.seed, &[OF_MONEY, call.into(), attempt.0.into()]);
        let free = class != OutcomeClass::Success && chance::happens(500, &mut rng);
        let (low, high) = self.scenario.budget.as_ref().map_or((0, 0), |b| b.actual_permille);
        let permille = if free { 0 } else { chance::between(low, high, &mut rng) };
        self.pay(call, attempt, permille);
        let running = &mut self.calls[call as usize].running;
        if let Some(place) = running.iter().position(|(a, _)| *a == attempt) {
            let (_, target) = running.swap_remove(place);
            self.fleet.ended(target);
        }
        let ready = self.fleet.ready_for(&self.calls[call as usize].facts, self.now);
        let seen = Seen::Recorded {
            attempt,
            class,
            timeout,
            ready,
        };
        self.note(Some(call), seen);
    }

    /// A call's priority, and what the budget asks of it.
    fn money(&self, call: u32) -> (Priority, SpendLevel) {
        let (Some(budget), Some(purse)) = (&self.scenario.budget, &self.purse) else {
            return (Priority::default(), SpendLevel::default());
        };
        let mut rng = chance::source(self.seed, &[OF_MONEY, call.into()]);
        let priority = if chance::happens(budget.critical_permille, &mut rng) {
            Priority::Critical
        } else if chance::happens(budget.low_permille, &mut rng) {
            Priority::Low
        } else {
            Priority::Standard
        };
        (priority, purse.level(self.maker, priority, self.now.wall))
    }

    /// Holds what an attempt is expected to cost; `false` when so much is not left.
    fn hold(&mut self, call: u32, launch: &Launch) -> bool {
        let Some(purse) = &mut self.purse else { return true };
        let priority = self.calls[call as usize].facts.priority;
        let amount = self.scenario.targets[launch.target.0 as usize].price;
        let of = (call, launch.attempt);
        let Some(held) = purse.hold(self.maker, of, priority, amount, self.now.wall) else {
            return false;
        };
        let seen = Seen::Held {
            attempt: launch.attempt,
            priority,
            amount,
            window: held.window,
        };
        self.note(Some(call), seen);
        true
    }

    /// An attempt came to so many thousandths of what was held for it.
    fn pay(&mut self, call: u32, attempt: AttemptNo, permille: u64) {
        let actual = |held: NanoDollars| NanoDollars(held.0.saturating_mul(permille) / 1_000);
        let paid = self.purse.as_mut().and_then(|p| p.settle((call, attempt), actual));
        if let Some((_, actual)) = paid {
            self.note(Some(call), Seen::Paid { attempt, actual });
        }
    }

    fn report(&mut self, call: u32, attempt: AttemptNo, class: OutcomeClass, reused_connection_died: bool) {
        let seen = Seen::Reported {
            attempt,
            class,
            reused_connection_died,
        };
        self.note(Some(call), seen);
    }

    /// A credential's rest may be that of other targets of its provider too.
    fn note_rests(&mut self, call: u32, told: TargetIx) {
        let provider = self.scenario.targets[told.0 as usize].provider;
        for (n, target) in (0..).zip(&self.scenario.targets) {
            if target.provider == provider
                && let Some((until, _)) = self.fleet.resting(TargetIx(n), self.now)
            {
                let target = TargetIx(n);
                self.note(Some(call), Seen::Rests { target, until });
            }
        }
    }

    /// Takes a request of the target's rate limit: `None` while there is one, else its hint.
    fn take_rate(&mut self, target: TargetIx) -> Option<Option<Duration>> {
        let limit = self.scenario.targets[target.0 as usize].script.rate?;
        let (window, left) = self.window(limit.window);
        let rate = &mut self.rates[target.0 as usize];
        if rate.window != window {
            *rate = Rate { window, taken: 0 };
        }
        rate.taken += 1;
        (rate.taken > limit.requests).then(|| limit.hints.then_some(left))
    }

    fn note_headroom(&mut self, target: TargetIx) {
        let Some(limit) = self.scenario.targets[target.0 as usize].script.rate else {
            return;
        };
        let (window, left) = self.window(limit.window);
        let rate = self.rates[target.0 as usize];
        if !limit.headers || rate.window != window {
            return;
        }
        let requests = Dimension {
            remaining: limit.requests.saturating_sub(rate.taken).into(),
            reset_in: left,
        };
        let headroom = Headroom {
            requests: Some(requests),
            tokens: None,
        };
        self.fleet.headroom(target, headroom, self.now);
    }

    /// The number of the window that now lies in, and how long it lasts yet.
    fn window(&self, length: Duration) -> (u64, Duration) {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1);
        let now = self.now.mono.since(START.mono).as_nanos() as u64;
        (now / length, Duration::from_nanos(length - now % length))
    }

    fn tell(&mut self, call: u32, event: AttemptEvent) {
        let view = self.fleet.view(self.now);
        self.calls[call as usize].machine.handle_event(event, &view, self.now);
    }

    fn note(&mut self, call: Option<u32>, seen: Seen) {
        let at = self.now.mono;
        self.trace.entries.push(Entry { at, call, seen });
    }
}
