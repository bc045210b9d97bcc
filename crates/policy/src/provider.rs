//! The breaker of a provider: open when two of its targets are, or when it cannot be reached at all.
//!
//! It has no permits of its own for the first reason (its targets' breakers probe); for the second, one attempt is let
//! through when the opening ends. The shell keeps one a provider.

use std::time::Duration;

use types::ids::TargetIx;
use types::time::{Mono, Now};

use crate::breaker::Transition;
use crate::rng::Rng;
use crate::route::BreakerPolicy;

/// Open targets from which the provider as a whole is held to be down.
const OPEN_TARGETS: usize = 2;

/// An attempt that is let through to see whether the provider can be reached again must report within this.
const PROBE_LEASE: Duration = Duration::from_secs(15);

/// Doublings beyond this change nothing: every cap is reached.
const DOUBLINGS_MAX: u32 = 16;

/// The memory of one provider.
#[derive(Debug, Clone)]
pub struct ProviderCell {
    policy: BreakerPolicy,
    rng: Rng,
    /// Its open targets and until when. A handful at most, so a list.
    open: Vec<(TargetIx, Mono)>,
    reach: Reach,
}

/// Whether it can be reached.
#[derive(Debug, Clone)]
enum Reach {
    /// As far as is known; connect failures in a row, the time of the last.
    Known { failures: u32, last: Mono },
    /// Not before `until`; then one attempt at a time, until `probe`.
    Lost {
        until: Mono,
        openings: u32,
        probe: Option<Mono>,
    },
}

impl ProviderCell {
    /// A provider that nothing bad is known of.
    pub fn new(policy: BreakerPolicy, seed: u64) -> ProviderCell {
        ProviderCell {
            policy,
            rng: Rng::new(seed),
            open: Vec::new(),
            reach: Reach::known(),
        }
    }

    /// The operator changed the policy. What was learned stays; what follows is judged by the new one.
    pub fn reconfigure(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// The breaker of one of its targets changed.
    pub fn target_transition(&mut self, target: TargetIx, transition: Transition) {
        self.open.retain(|(t, _)| *t != target);
        match transition {
            Transition::Opened { until } => self.open.push((target, until)),
            Transition::HalfOpened | Transition::Closed => {}
        }
    }

    /// An attempt could not connect, or TLS failed (`Effect::ConnectFailed`).
    pub fn connect_failed(&mut self, now: Now) {
        match &mut self.reach {
            Reach::Known { failures, last } => {
                if now.mono.since(*last) > self.policy.consecutive_within {
                    *failures = 0;
                }
                *failures += 1;
                *last = now.mono;
                if *failures >= self.policy.consecutive.max(1) {
                    self.lose(1, now);
                }
            }
            // Failures of attempts that were out already do not lengthen it.
            Reach::Lost { until, openings, .. } => {
                if now.mono >= *until {
                    let openings = (*openings + 1).min(DOUBLINGS_MAX);
                    self.lose(openings, now);
                }
            }
        }
    }

    /// An attempt connected (`Effect::ConnectOk`).
    pub fn connected(&mut self, _now: Now) {
        self.reach = Reach::known();
    }

    /// The attempt that was let through ended before it was known whether it can be reached
    /// (`Effect::ProviderReleased`): another may find out.
    pub fn release(&mut self) {
        match &mut self.reach {
            Reach::Known { .. } => {}
            Reach::Lost { probe, .. } => *probe = None,
        }
    }

    /// A health check was answered: it can be reached, and the next attempt may show it at once, whatever has become of
    /// one that is out already.
    pub fn health_ok(&mut self, now: Now) {
        match &mut self.reach {
            Reach::Known { .. } => {}
            Reach::Lost { until, probe, .. } => {
                *until = (*until).min(now.mono);
                *probe = None;
            }
        }
    }

    /// Whether nothing may be sent to it.
    pub fn is_open(&self, now: Now) -> bool {
        self.open_until(now).is_some()
    }

    /// Until when nothing may be sent to it. While an attempt is out to see whether it can be reached, that is now.
    pub fn open_until(&self, now: Now) -> Option<Mono> {
        let by_reach = match self.reach {
            Reach::Known { .. } => None,
            Reach::Lost { until, .. } if now.mono < until => Some(until),
            Reach::Lost { probe, .. } => probe.filter(|p| now.mono < *p).map(|_| now.mono),
        };
        by_reach.max(self.open_by_targets(now))
    }

    /// Whether the next attempt shows if it can be reached again.
    pub fn needs_probe(&self, now: Now) -> bool {
        matches!(self.reach, Reach::Lost { .. }) && !self.is_open(now)
    }

    /// Leave for an attempt. The shell asks beside the target's permit; `false` refuses the attempt. `forced` is always
    /// given leave, and does not take the place of the one that finds out.
    pub fn admit(&mut self, now: Now, forced: bool) -> bool {
        if forced {
            return true;
        }
        if self.is_open(now) {
            return false;
        }
        if let Reach::Lost { probe, .. } = &mut self.reach {
            *probe = Some(now.mono + PROBE_LEASE);
        }
        true
    }

    /// When so many targets are open that fewer than [`OPEN_TARGETS`] will be.
    fn open_by_targets(&self, now: Now) -> Option<Mono> {
        let mut untils: Vec<Mono> = Vec::new();
        if self.open.len() >= OPEN_TARGETS {
            untils.extend(self.open.iter().map(|(_, u)| *u).filter(|u| *u > now.mono));
            untils.sort_unstable();
        }
        untils.len().checked_sub(OPEN_TARGETS).map(|place| untils[place])
    }

    fn lose(&mut self, openings: u32, now: Now) {
        let full = self
            .policy
            .open
            .saturating_mul(1u32 << (openings - 1))
            .min(self.policy.open_max.max(self.policy.open));
        let jitter = self.rng.duration_to(full.mul_f64(self.policy.jitter.clamp(0.0, 1.0)));
        self.reach = Reach::Lost {
            until: now.mono + (full - jitter.min(full)),
            openings,
            probe: None,
        };
    }
}

impl Reach {
    fn known() -> Reach {
        Reach::Known {
            failures: 0,
            last: Mono(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Now {
        Now::default().after(Duration::from_secs(1000 + secs))
    }

    fn cell() -> ProviderCell {
        let policy = BreakerPolicy {
            jitter: 0.0,
            ..BreakerPolicy::default()
        };
        ProviderCell::new(policy, 1)
    }

    #[test]
    fn it_is_open_while_two_targets_are_and_not_for_one() {
        let mut cell = cell();
        let opened = |secs| Transition::Opened { until: at(secs).mono };
        cell.target_transition(TargetIx(0), opened(30));
        cell.target_transition(TargetIx(0), opened(40));
        assert!(!cell.is_open(at(0)), "twice the same target");
        cell.target_transition(TargetIx(1), opened(20));
        assert_eq!(cell.open_until(at(0)), Some(at(20).mono));
        cell.target_transition(TargetIx(2), opened(25));
        assert_eq!(cell.open_until(at(0)), Some(at(25).mono));
        assert!(!cell.is_open(at(25)));
        cell.target_transition(TargetIx(0), Transition::Closed);
        cell.target_transition(TargetIx(2), Transition::HalfOpened);
        assert!(!cell.is_open(at(0)));
    }

    #[test]
    fn three_connect_failures_open_it_and_one_attempt_finds_out() {
        let mut cell = cell();
        cell.connect_failed(at(0));
        cell.connect_failed(at(1));
        cell.connected(at(2));
        cell.connect_failed(at(3));
        cell.connect_failed(at(4));
        assert!(!cell.is_open(at(4)), "not in a row");
        cell.connect_failed(at(5));
        assert_eq!(cell.open_until(at(5)), Some(at(35).mono));
        cell.connect_failed(at(6));
        assert_eq!(cell.open_until(at(6)), Some(at(35).mono), "a late one changes nothing");
        assert!(!cell.admit(at(7), false) && cell.admit(at(7), true));
        assert!(cell.needs_probe(at(35)) && cell.admit(at(35), false));
        assert!(!cell.admit(at(35), false), "only one");
        cell.release();
        assert!(cell.admit(at(36), false), "the place came back");
        assert!(!cell.admit(at(36), false), "and is taken again");
        cell.health_ok(at(37));
        assert!(cell.admit(at(37), false), "it was answered meanwhile");
        cell.connect_failed(at(40));
        assert_eq!(cell.open_until(at(40)), Some(at(100).mono), "twice as long");
        cell.health_ok(at(50));
        assert!(cell.admit(at(50), false));
        cell.connected(at(50));
        assert!(!cell.is_open(at(50)) && !cell.needs_probe(at(50)));
    }
}
