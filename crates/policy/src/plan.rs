//! The plan of a call: its targets in the order they will be tried, and each one left out with its reason.
//!
//! A plan is made once, from what is known when the call begins. Whether a target may still be tried is asked again
//! when its turn comes.

use std::fmt;

use types::features::Features;
use types::ids::{CredentialIx, TargetIx};
use types::time::{Mono, Now};

use crate::balance;
use crate::call::facts::CallFacts;
use crate::capability::{self, Unfit};
use crate::rest::RestReason;
use crate::rng::Rng;
use crate::route::{OnUnsupported, RoutePolicy};
use crate::view::{Admission, TargetsView};

/// Targets in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who will be tried, first to last.
    pub candidates: Vec<Candidate>,
    /// Who will not, as written; each target of a tier stands in one of the two lists.
    pub left_out: Vec<LeftOut>,
}

/// A target that will be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which target.
    pub target: TargetIx,
    /// Its tier, from 0.
    pub tier: u32,
    /// The credential it would be tried with now.
    pub credential: CredentialIx,
    /// Its weight within the tier.
    pub weight: u32,
    /// Attempts out at it.
    pub in_flight: u32,
    /// It stands after others of its tier because its rate limit has nothing left.
    pub no_headroom: bool,
    /// It stands after all others because its failure domain is in trouble.
    pub troubled: bool,
    /// Its breaker is half-open: the attempt is its probe.
    pub probe: bool,
    /// The least bad target when none may be tried: once, whatever its breaker says.
    pub forced: bool,
    /// What it lacks and is asked for in words; empty for a target that can do all of it.
    pub degraded: Features,
}

/// A target that will not be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Which target.
    pub target: TargetIx,
    /// Its tier, from 0.
    pub tier: u32,
    /// Its weight within the tier.
    pub weight: u32,
    /// Why not.
    pub reason: LeftOutReason,
}

/// Why a target is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOutReason {
    /// Its breaker is open.
    Open {
        /// Until then.
        until: Mono,
    },
    /// It was told to rest.
    Resting {
        /// Until then.
        until: Mono,
        /// Why.
        why: RestReason,
    },
    /// The configuration disables it.
    Disabled {
        /// Why.
        why: &'static str,
    },
    /// It cannot take this call.
    Unfit(Unfit),
}

impl Plan {
    /// Plans a call: who is fit and may be tried, tier by tier in the balancer's order; within a tier those without
    /// headroom last; those of a troubled failure domain after everything else. When nobody may be tried, the least
    /// bad target is.
    pub fn new(policy: &RoutePolicy, facts: &CallFacts, rng: &mut Rng, view: &dyn TargetsView, now: Now) -> Plan {
        let mut plan = Plan {
            candidates: Vec::with_capacity(policy.tiers.iter().map(|t| t.targets.len()).sum()),
            left_out: Vec::new(),
        };
        for (tier_ix, tier) in policy.tiers.iter().enumerate() {
            let tier_ix = tier_ix as u32;
            let first = plan.candidates.len();
            for written in &tier.targets {
                let target_facts = view.facts(written.target);
                let status = view.status(written.target, now);
                let reason = match LeftOutReason::of(status.admission) {
                    // Disabled comes first: nothing about the call can change it.
                    Some(disabled @ LeftOutReason::Disabled { .. }) => Some(disabled),
                    other => capability::gate(facts, target_facts, view.prompt_tokens(written.target, facts))
                        .map(LeftOutReason::Unfit)
                        .or(other),
                };
                let in_words = match (reason, policy.on_unsupported) {
                    (Some(LeftOutReason::Unfit(unfit)), OnUnsupported::Degrade) => unfit.degradable(),
                    (_, OnUnsupported::Degrade | OnUnsupported::Error) => None,
                }
                .filter(|_| LeftOutReason::of(status.admission).is_none());
                match reason.filter(|_| in_words.is_none()) {
                    Some(reason) => plan.left_out.push(LeftOut {
                        target: written.target,
                        tier: tier_ix,
                        weight: written.weight,
                        reason,
                    }),
                    None => plan.candidates.push(Candidate {
                        target: written.target,
                        tier: tier_ix,
                        credential: status.credential.unwrap_or(CredentialIx(0)),
                        weight: written.weight,
                        in_flight: status.in_flight,
                        no_headroom: status.no_headroom,
                        troubled: view.troubled_domain(target_facts.domain),
                        probe: status.admission == Admission::Probe,
                        forced: false,
                        degraded: in_words.unwrap_or(Features::NONE),
                    }),
                }
            }
            let tier_candidates = &mut plan.candidates[first..];
            balance::order(tier_candidates, tier.balance, rng);
            if tier_candidates.iter().any(|c| c.no_headroom) {
                tier_candidates.sort_by_key(|c| c.no_headroom);
            }
        }
        if plan.candidates.iter().any(|c| c.troubled || !c.degraded.is_empty()) {
            // In words only when nobody can as it was asked.
            plan.candidates.sort_by_key(|c| (!c.degraded.is_empty(), c.troubled));
        }
        if plan.candidates.is_empty() {
            plan.add_least_bad(view, now);
        }
        plan
    }

    /// Moves the least bad target from those left out to the end of the candidates: of the open and resting ones who
    /// recovers first; else, among those barred by an estimate alone, the largest. Disabled ones, and those that lack
    /// a feature, never.
    pub fn add_least_bad(&mut self, view: &dyn TargetsView, now: Now) -> bool {
        let recovering = |l: &LeftOut| match l.reason {
            LeftOutReason::Open { until } | LeftOutReason::Resting { until, .. } => Some(until),
            LeftOutReason::Disabled { .. } | LeftOutReason::Unfit(_) => None,
        };
        let room = |l: &LeftOut| match l.reason {
            LeftOutReason::Unfit(unfit) if unfit.is_estimate() => match unfit {
                Unfit::Window { has, .. } => Some(has),
                // An output limit is a smaller sin than a window too small.
                Unfit::MaxOutput { has, .. } => Some(has.saturating_add(u64::MAX / 2)),
                Unfit::Features { .. } => None,
            },
            LeftOutReason::Unfit(_)
            | LeftOutReason::Open { .. }
            | LeftOutReason::Resting { .. }
            | LeftOutReason::Disabled { .. } => None,
        };
        let by_recovery = (0..self.left_out.len())
            .filter_map(|i| recovering(&self.left_out[i]).map(|until| (until, i)))
            .min();
        let by_room = || {
            (0..self.left_out.len())
                .filter_map(|i| room(&self.left_out[i]).map(|r| (std::cmp::Reverse(r), i)))
                .min()
        };
        let Some(place) = by_recovery.map(|(_, i)| i).or_else(|| by_room().map(|(_, i)| i)) else {
            return false;
        };
        let left_out = self.left_out.remove(place);
        self.candidates.push(left_out.candidate(view, now, true));
        true
    }

    /// Moves the targets that were barred for what they give at most to the end of the candidates, the largest first: when
    /// all others have failed, a shorter answer is better than none, and most never grow that long.
    pub fn add_short(&mut self, view: &dyn TargetsView, now: Now) -> bool {
        let gives = |l: &LeftOut| match l.reason {
            LeftOutReason::Unfit(Unfit::MaxOutput { has, .. }) => Some(has),
            LeftOutReason::Unfit(Unfit::Window { .. } | Unfit::Features { .. })
            | LeftOutReason::Resting { .. }
            | LeftOutReason::Open { .. }
            | LeftOutReason::Disabled { .. } => None,
        };
        let (mut short, rest): (Vec<_>, Vec<_>) = self.left_out.drain(..).partition(|l| gives(l).is_some());
        self.left_out = rest;
        short.sort_by_key(|l| std::cmp::Reverse(gives(l)));
        let before = self.candidates.len();
        let candidates = short.iter().map(|l| l.candidate(view, now, false));
        self.candidates.extend(candidates);
        self.candidates.len() > before
    }

    /// The earliest time at which a target that was left out recovers.
    pub fn earliest_recovery(&self) -> Option<Mono> {
        self.left_out
            .iter()
            .filter_map(|l| match l.reason {
                LeftOutReason::Open { until } | LeftOutReason::Resting { until, .. } => Some(until),
                LeftOutReason::Disabled { .. } | LeftOutReason::Unfit(_) => None,
            })
            .min()
    }
}

impl LeftOut {
    /// The target as one that is tried after all.
    fn candidate(&self, view: &dyn TargetsView, now: Now, forced: bool) -> Candidate {
        let status = view.status(self.target, now);
        Candidate {
            target: self.target,
            tier: self.tier,
            credential: status.credential.unwrap_or(CredentialIx(0)),
            weight: self.weight,
            in_flight: status.in_flight,
            no_headroom: status.no_headroom,
            troubled: false,
            probe: status.admission == Admission::Probe,
            forced,
            degraded: Features::NONE,
        }
    }
}

impl LeftOutReason {
    /// The reason that an admission gives; `None` when the target may be tried.
    pub fn of(admission: Admission) -> Option<LeftOutReason> {
        match admission {
            Admission::Ready | Admission::Probe => None,
            Admission::Open { until } => Some(LeftOutReason::Open { until }),
            Admission::Resting { until, why } => Some(LeftOutReason::Resting { until, why }),
            Admission::Disabled { why } => Some(LeftOutReason::Disabled { why }),
        }
    }

    /// The word used in logs, metrics and the plan.
    pub fn as_str(self) -> &'static str {
        match self {
            LeftOutReason::Open { .. } => "breaker_open",
            LeftOutReason::Resting { .. } => "resting",
            LeftOutReason::Disabled { .. } => "disabled",
            LeftOutReason::Unfit(unfit) => unfit.as_str(),
        }
    }
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOutReason::Open { .. } => f.write_str("its breaker is open"),
            LeftOutReason::Resting { why, .. } => write!(f, "rests ({})", why.as_str()),
            LeftOutReason::Disabled { why } => write!(f, "is disabled ({why})"),
            LeftOutReason::Unfit(unfit) => write!(f, "{unfit}"),
        }
    }
}
