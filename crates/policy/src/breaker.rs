//! Circuit breaker of one target: closed → open → half-open → closed.
//!
//! Pure: it is told outcomes and asked for admission; it never sleeps and reads no clock. Whoever owns it may ask
//! [`Breaker::poll_timeout`]. It does not judge what a failure is: the caller has classified the outcome already.

use std::time::Duration;

use serde::Serialize;
use types::time::{Mono, Now};

use crate::rng::Rng;
use crate::route::BreakerPolicy;

/// Buckets of the ring that the ratio is counted in.
const BUCKETS: usize = 10;

/// A probe that never came back frees its place after this: longer than any attempt can last with the house's
/// defaults.
const PROBE_LEASE: Duration = Duration::from_secs(20 * 60);

/// While the ratio decides, this many failures in a row that lasted [`RUN_LASTS`] without one success open it as well.
/// Under load the successes before an outage outweigh it for half the window, and a target that flaps is never below
/// half; chance failures of a target that is well come in such a row once in hours.
const RUN_FAILURES: usize = 5;
const RUN_LASTS: Duration = Duration::from_secs(1);

/// Doublings beyond this change nothing: every cap is reached.
const DOUBLINGS_MAX: u32 = 16;

/// The breaker of one target.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: BreakerPolicy,
    rng: Rng,
    /// Which opening or closing this is; permits of another one change nothing.
    generation: u32,
    state: State,
    /// Rung of the ladder of openings: the next or present opening lasts `open × 2^(rung − 1)`. 0: it never opened, or
    /// that is long forgotten.
    rung: u32,
    /// When it closed last. A probe's success does not reset the ladder, staying closed does: else a target that
    /// answers only probes would flap for ever.
    closed_at: Mono,
}

#[derive(Debug, Clone)]
enum State {
    Closed {
        window: Window,
        /// Failures in a row, of distinct calls: newest last, never more than can decide anything.
        run: Vec<(CallTag, Mono)>,
    },
    Open {
        until: Mono,
    },
    /// One probe at most is out (since then); nobody else is admitted until its permit comes back.
    HalfOpen {
        probe: Option<Mono>,
    },
}

/// What must differ between two failures for them to count as two: the call's number. For a failure that killed a
/// shared connection, the shell gives the connection's number instead, so that many calls lost at once are one failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallTag(pub u64);

/// Leave for one attempt. It must come back through [`Breaker::settle`], whatever becomes of the attempt.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    generation: u32,
    probe: bool,
}

/// How a permitted attempt ended, as far as the target is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It answered.
    Success,
    /// It failed, and that was its own fault.
    Failure,
    /// Counts against the ratio, not as a failure in a row; fails a probe.
    RateLimited,
    /// Cancelled, failed on our side or by the client's fault: says nothing about the target and frees the probe's
    /// place.
    Neutral,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One probe.
    HalfOpen,
}

/// A change of state worth telling: to the provider's cell, to logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It opened (again).
    Opened {
        /// When it goes half-open by itself.
        until: Mono,
    },
    /// A health check made it half-open before its time.
    HalfOpened,
    /// A real call closed it.
    Closed,
}

impl Permit {
    /// Whether it is the one probe of a half-open breaker.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

impl Breaker {
    /// A closed breaker; `seed` jitters its openings.
    pub fn new(policy: BreakerPolicy, seed: u64) -> Breaker {
        Breaker {
            policy,
            rng: Rng::new(seed),
            generation: 0,
            state: State::closed(),
            rung: 0,
            closed_at: Mono(0),
        }
    }

    /// The operator changed the policy. What was learned stays; what follows is judged by the new one.
    pub fn reconfigure(&mut self, policy: BreakerPolicy) {
        if self.policy.window != policy.window && matches!(self.state, State::Closed { .. }) {
            // Buckets of another length cannot be read on.
            self.state = State::closed();
        }
        self.policy = policy;
    }

    /// Leave for an attempt that starts now, if the target may be tried. `forced` is always given leave: for the least
    /// bad target when there is none other. A forced success is as good as a probe's; a forced failure changes nothing
    /// while the breaker is not closed.
    pub fn admit(&mut self, now: Now, forced: bool) -> Option<Permit> {
        self.half_open_when_due(now);
        let permit = |probe| Permit {
            generation: self.generation,
            probe,
        };
        match &mut self.state {
            State::Closed { .. } => Some(permit(false)),
            State::Open { .. } => forced.then(|| permit(false)),
            State::HalfOpen { probe } => {
                if is_free(*probe, now) {
                    *probe = Some(now.mono);
                    Some(permit(true))
                } else {
                    forced.then(|| permit(false))
                }
            }
        }
    }

    /// Takes in how a permitted attempt ended. A permit of an older generation changes nothing: an attempt that began
    /// before the breaker opened must not be read as the probe's answer.
    pub fn settle(&mut self, permit: Permit, verdict: Verdict, call: CallTag, now: Now) -> Option<Transition> {
        if permit.generation != self.generation {
            return None;
        }
        match (&mut self.state, verdict) {
            (State::Closed { window, run }, Verdict::Success) => {
                window.add(true, now, self.policy.window);
                run.clear();
                None
            }
            (State::Closed { window, run }, Verdict::Failure | Verdict::RateLimited) => {
                window.add(false, now, self.policy.window);
                if verdict == Verdict::Failure && !run.iter().any(|(c, _)| *c == call) {
                    run.retain(|(_, at)| now.mono.since(*at) <= self.policy.consecutive_within);
                    run.push((call, now.mono));
                }
                let (good, all) = window.sum(now, self.policy.window);
                let few = self.policy.consecutive.max(1) as usize;
                let many = (self.policy.ratio_from.max(1) as usize).max(few);
                let trips = if all >= self.policy.ratio_from.max(1) {
                    let lasted = run.first().map_or(Duration::ZERO, |(_, first)| now.mono.since(*first));
                    let row = run.len() >= many || (run.len() >= RUN_FAILURES.max(few) && lasted >= RUN_LASTS);
                    row || f64::from(good) < self.policy.ratio * f64::from(all)
                } else {
                    run.len() >= few
                };
                // No more of them are kept than are ever needed.
                if run.len() > many {
                    run.remove(0);
                }
                trips.then(|| {
                    let forgotten = self.policy.window * 2;
                    let fresh = self.rung == 0 || now.mono.since(self.closed_at) > forgotten;
                    self.open(if fresh { 1 } else { self.rung }, now)
                })
            }
            (State::Open { .. } | State::HalfOpen { .. }, Verdict::Success) => Some(self.close(now)),
            (State::HalfOpen { .. }, Verdict::Failure | Verdict::RateLimited) if permit.probe => {
                Some(self.open(self.rung + 1, now))
            }
            (State::HalfOpen { probe }, Verdict::Neutral) if permit.probe => {
                *probe = None;
                None
            }
            (
                State::Open { .. } | State::HalfOpen { .. },
                Verdict::Failure | Verdict::RateLimited | Verdict::Neutral,
            )
            | (State::Closed { .. }, Verdict::Neutral) => None,
        }
    }

    /// The target answered a health check: an open breaker goes half-open at once. Only a real call closes it.
    pub fn health_ok(&mut self, now: Now) -> Option<Transition> {
        self.half_open_when_due(now);
        match self.state {
            State::Open { .. } => {
                self.state = State::HalfOpen { probe: None };
                Some(Transition::HalfOpened)
            }
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Another instance opened its breaker of the same target: a closed one opens too, until the same time. One that is not closed
    /// knows better.
    pub fn heard_open(&mut self, until: Mono, now: Now) -> Option<Transition> {
        match self.state {
            State::Closed { .. } if until > now.mono => {
                self.generation = self.generation.wrapping_add(1);
                self.rung = self.rung.max(1);
                let until = until.min(now.mono + self.policy.open_max.max(self.policy.open));
                self.state = State::Open { until };
                Some(Transition::Opened { until })
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// What it lets through now.
    pub fn state(&self, now: Now) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now.mono < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether [`Breaker::admit`] would give a probe's permit now. `None` when it is closed.
    pub fn probe_is_free(&self, now: Now) -> Option<bool> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until } => Some(now.mono >= until),
            State::HalfOpen { probe } => Some(is_free(probe, now)),
        }
    }

    /// When an open breaker goes half-open by itself. Asking for admission after that does it; nothing need be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    fn half_open_when_due(&mut self, now: Now) {
        if let State::Open { until } = self.state
            && now.mono >= until
        {
            self.state = State::HalfOpen { probe: None };
        }
    }

    fn open(&mut self, rung: u32, now: Now) -> Transition {
        self.rung = rung.min(DOUBLINGS_MAX);
        self.generation = self.generation.wrapping_add(1);
        let full = self
            .policy
            .open
            .saturating_mul(1u32 << (self.rung - 1))
            .min(self.policy.open_max.max(self.policy.open));
        // Jitter only shortens: a target that is well again must not wait longer than the opening says.
        let jitter = self.rng.duration_to(full.mul_f64(self.policy.jitter.clamp(0.0, 1.0)));
        let until = now.mono + (full - jitter.min(full));
        self.state = State::Open { until };
        Transition::Opened { until }
    }

    fn close(&mut self, now: Now) -> Transition {
        self.generation = self.generation.wrapping_add(1);
        self.closed_at = now.mono;
        self.state = State::closed();
        Transition::Closed
    }
}

impl State {
    fn closed() -> State {
        State::Closed {
            window: Window::default(),
            run: Vec::new(),
        }
    }
}

fn is_free(probe: Option<Mono>, now: Now) -> bool {
    probe.is_none_or(|since| now.mono.since(since) >= PROBE_LEASE)
}

/// Attempts of the last seconds, by success, in a ring of buckets.
#[derive(Debug, Clone, Default)]
struct Window([Bucket; BUCKETS]);

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Number of the slice of time it counts.
    slice: u64,
    good: u32,
    all: u32,
}

impl Window {
    fn add(&mut self, good: bool, now: Now, length: Duration) {
        let slice = slice(now, length);
        let bucket = &mut self.0[(slice % BUCKETS as u64) as usize];
        if bucket.slice != slice {
            *bucket = Bucket {
                slice,
                ..Bucket::default()
            };
        }
        bucket.all = bucket.all.saturating_add(1);
        bucket.good = bucket.good.saturating_add(u32::from(good));
    }

    /// Successes and attempts of the window that ends now.
    fn sum(&self, now: Now, length: Duration) -> (u32, u32) {
        let slice = slice(now, length);
        self.0
            .iter()
            .filter(|b| b.slice <= slice && slice - b.slice < BUCKETS as u64)
            .fold((0, 0), |(good, all), b| {
                (u32::saturating_add(good, b.good), u32::saturating_add(all, b.all))
            })
    }
}

fn slice(now: Now, length: Duration) -> u64 {
    now.mono.0 / (u64::try_from(length.as_nanos()).unwrap_or(u64::MAX) / BUCKETS as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Now = Now {
        mono: Mono(1_000_000_000_000),
        wall: types::time::UnixMillis(1_700_000_000_000),
    };

    fn policy() -> BreakerPolicy {
        BreakerPolicy {
            jitter: 0.0,
            ..BreakerPolicy::default()
        }
    }

    fn at(secs: u64) -> Now {
        T0.after(Duration::from_secs(secs))
    }

    /// One call a letter, one a second: `s`uccess, `f`ailure, `r`ate limited, `n`eutral; says the second it opened in.
    fn opens_at(story: &str, step: Duration) -> Option<usize> {
        let mut breaker = Breaker::new(policy(), 1);
        for (i, letter) in story.chars().enumerate() {
            let now = T0.after(step * i as u32);
            let verdict = match letter {
                's' => Verdict::Success,
                'f' => Verdict::Failure,
                'r' => Verdict::RateLimited,
                _ => Verdict::Neutral,
            };
            let permit = breaker.admit(now, false).expect("closed until now");
            if breaker.settle(permit, verdict, CallTag(i as u64), now).is_some() {
                return Some(i);
            }
        }
        None
    }

    #[test]
    fn what_another_instance_says_opens_a_closed_breaker_and_no_other_and_a_late_success_changes_nothing() {
        let mut breaker = Breaker::new(policy(), 1);
        let before = breaker.admit(at(0), false).expect("closed");
        assert_eq!(breaker.heard_open(at(0).mono, at(0)), None, "it is over already");
        let until = at(30).mono;
        assert_eq!(breaker.heard_open(until, at(0)), Some(Transition::Opened { until }));
        assert_eq!(breaker.heard_open(at(60).mono, at(1)), None, "it knows better");
        assert_eq!(breaker.settle(before, Verdict::Success, CallTag(1), at(1)), None);
        assert_eq!(breaker.state(at(29)), BreakerState::Open);
        let probe = breaker.admit(at(30), false).expect("its own probe");
        assert!(probe.is_probe());
        assert_eq!(
            breaker.settle(probe, Verdict::Success, CallTag(2), at(30)),
            Some(Transition::Closed)
        );
        let longest = breaker.heard_open(Mono::NEVER, at(40));
        assert_eq!(
            longest,
            Some(Transition::Opened {
                until: at(40).mono + policy().open_max
            }),
            "no longer than it would itself"
        );
    }

    #[test]
    fn it_opens_on_failures_in_a_row_and_from_ten_attempts_on_by_ratio() {
        for (story, seconds, expected) in [
            ("fff", 1, Some(2)),
            ("ffsff", 1, None),
            ("ffnf", 1, Some(3)),
            ("ffrf", 1, Some(3)),
            ("fff", 31, None),
            ("fff", 30, Some(2)),
            ("rrrrrrrrr", 1, None),
            ("rrrrrrrrrr", 1, Some(9)),
            // Ten and more attempts: three failures in a row are not enough, fewer than half good ones are.
            ("sssssssssfff", 1, None),
            ("ssssssfff", 1, Some(8)),
            ("sssssssffff", 1, None),
            ("sfsfsfsfsfsfsf", 1, None),
            ("sffsffsffsff", 1, Some(10)),
            // Ten in a row speak for themselves, however good the minute before was.
            ("ssssssssssssssssssssssssfffffffff", 0, None),
            ("ssssssssssssssssssssssssffffffffff", 0, Some(33)),
            // So do five that last.
            ("ssssssssssssssssssssssssffff", 1, None),
            ("ssssssssssssssssssssssssfffff", 1, Some(28)),
            // What is older than the window is forgotten.
            ("ssssssssssssffff", 4, Some(14)),
        ] {
            assert_eq!(
                opens_at(story, Duration::from_secs(seconds)),
                expected,
                "{story} every {seconds} s"
            );
        }
    }

    #[test]
    fn three_failures_of_one_call_are_one_failure() {
        let mut breaker = Breaker::new(policy(), 1);
        for i in 0..3 {
            let permit = breaker.admit(at(i), false).unwrap();
            assert_eq!(breaker.settle(permit, Verdict::Failure, CallTag(7), at(i)), None);
        }
        assert_eq!(breaker.state(at(3)), BreakerState::Closed);
    }

    fn open_at(breaker: &mut Breaker, now: Now) -> Mono {
        for i in 0..3 {
            let permit = breaker.admit(now, false).unwrap();
            if let Some(Transition::Opened { until }) = breaker.settle(permit, Verdict::Failure, CallTag(i), now) {
                return until;
            }
        }
        panic!("it opens on the third")
    }

    #[test]
    fn a_cancelled_probe_gives_its_slot_back_and_a_late_failure_is_not_the_probes() {
        let mut breaker = Breaker::new(policy(), 1);
        let late = breaker.admit(T0, false).unwrap();
        open_at(&mut breaker, T0);
        assert!(breaker.admit(at(29), false).is_none(), "open");
        let probe = breaker.admit(at(30), false).expect("one probe");
        assert!(probe.is_probe());
        assert!(breaker.admit(at(30), false).is_none(), "and only one");
        assert_eq!(breaker.settle(late, Verdict::Failure, CallTag(9), at(30)), None);
        assert_eq!(breaker.settle(probe, Verdict::Neutral, CallTag(10), at(30)), None);
        let again = breaker.admit(at(30), false).expect("the slot is free again");
        assert_eq!(
            breaker.settle(again, Verdict::Success, CallTag(11), at(31)),
            Some(Transition::Closed)
        );
    }

    #[test]
    fn failed_probes_double_the_opening_to_five_minutes_and_a_429_fails_a_probe() {
        let mut breaker = Breaker::new(policy(), 1);
        let mut until = open_at(&mut breaker, T0);
        let mut lengths = Vec::new();
        for verdict in [
            Verdict::Failure,
            Verdict::RateLimited,
            Verdict::Failure,
            Verdict::Failure,
            Verdict::Failure,
        ] {
            let now = Now { mono: until, ..T0 };
            let probe = breaker.admit(now, false).unwrap();
            let Some(Transition::Opened { until: next }) = breaker.settle(probe, verdict, CallTag(1), now) else {
                panic!("a failed probe opens it again")
            };
            lengths.push(next.since(until).as_secs());
            until = next;
        }
        assert_eq!(lengths, [60, 120, 240, 300, 300]);
    }

    #[test]
    fn a_probes_success_does_not_reset_the_ladder_but_a_minute_of_peace_does() {
        for (peace, length) in [(5, 60), (61, 30)] {
            let mut breaker = Breaker::new(policy(), 1);
            open_at(&mut breaker, T0);
            let probe = breaker.admit(at(30), false).unwrap();
            let _ = breaker.settle(probe, Verdict::Failure, CallTag(1), at(30));
            let probe = breaker.admit(at(90), false).unwrap();
            let _ = breaker.settle(probe, Verdict::Success, CallTag(2), at(90));
            let until = open_at(&mut breaker, at(90 + peace));
            assert_eq!(until.since(at(90 + peace).mono).as_secs(), length, "after {peace} s");
        }
    }

    #[test]
    fn a_health_check_lets_a_probe_through_at_once_but_does_not_close() {
        let mut breaker = Breaker::new(policy(), 1);
        assert_eq!(breaker.health_ok(T0), None);
        open_at(&mut breaker, T0);
        assert_eq!(breaker.health_ok(at(2)), Some(Transition::HalfOpened));
        assert_eq!(breaker.state(at(2)), BreakerState::HalfOpen);
        assert_eq!(breaker.health_ok(at(3)), None);
        assert!(breaker.admit(at(3), false).is_some_and(|p| p.is_probe()));
        assert_eq!(breaker.probe_is_free(at(3)), Some(false));
    }

    #[test]
    fn a_forced_attempt_may_close_an_open_breaker_and_never_lengthens_it() {
        let mut breaker = Breaker::new(policy(), 1);
        let until = open_at(&mut breaker, T0);
        let (first, second, third) = (
            breaker.admit(at(1), true).unwrap(),
            breaker.admit(at(1), true).unwrap(),
            breaker.admit(at(1), true).unwrap(),
        );
        assert!(!first.is_probe());
        assert_eq!(breaker.settle(first, Verdict::Failure, CallTag(1), at(2)), None);
        assert_eq!(breaker.poll_timeout(), Some(until));
        assert_eq!(
            breaker.settle(second, Verdict::Success, CallTag(2), at(3)),
            Some(Transition::Closed)
        );
        assert_eq!(breaker.settle(third, Verdict::Failure, CallTag(3), at(4)), None);
        assert_eq!(breaker.state(at(4)), BreakerState::Closed);
    }

    #[test]
    fn a_success_of_a_call_that_began_before_it_opened_does_not_close_it() {
        let mut breaker = Breaker::new(policy(), 1);
        let (early, late) = (breaker.admit(T0, false).unwrap(), breaker.admit(T0, false).unwrap());
        open_at(&mut breaker, T0);
        assert_eq!(breaker.settle(early, Verdict::Success, CallTag(8), at(1)), None);
        assert_eq!(breaker.state(at(1)), BreakerState::Open);
        assert!(breaker.admit(at(30), false).is_some_and(|p| p.is_probe()));
        assert_eq!(breaker.settle(late, Verdict::Success, CallTag(9), at(31)), None);
        assert_eq!(breaker.state(at(31)), BreakerState::HalfOpen);
    }

    #[test]
    fn jitter_only_shortens_and_a_lost_probe_does_not_block_for_ever() {
        for seed in 0..50 {
            let mut breaker = Breaker::new(BreakerPolicy::default(), seed);
            let length = open_at(&mut breaker, T0).since(T0.mono);
            assert!(length <= Duration::from_secs(30) && length >= Duration::from_secs(24));
        }
        let mut breaker = Breaker::new(policy(), 1);
        open_at(&mut breaker, T0);
        let lost = breaker.admit(at(30), false);
        assert!(lost.is_some() && breaker.admit(at(31), false).is_none());
        assert!(breaker.admit(at(30 + 20 * 60), false).is_some());
    }
}
