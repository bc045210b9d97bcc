//! The plan of a call: its targets in the order they will be tried, and each one left out with its reason.
//!
//! A plan is made once, from what is known when the call begins. Whether a target may still be tried is asked again
//! when its turn comes.

use std::fmt;

use types::features::Features;
use types::ids::{CredentialIx, ModelTier, TargetIx};
use types::spend::SpendLevel;
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
    /// Who calls may not be served by it.
    NotAllowed,
    /// It has no prices, and a budget that counts the call bars such targets.
    Unpriced,
    /// What it would cost could not be held: the budgets have not so much left.
    Unaffordable,
    /// Nothing is left of a budget that counts the call.
    Exhausted,
}

impl Plan {
    /// Plans a call: who is fit and may be tried, tier by tier in the balancer's order; within a tier those without
    /// headroom last; then as the level of spend wants it; those of a troubled failure domain after everything else. When nobody
    /// may be tried, the least bad target is.
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
                    other => bar(facts, view, written.target)
                        .or_else(|| {
                            capability::gate(facts, target_facts, view.prompt_tokens(written.target, facts))
                                .map(LeftOutReason::Unfit)
                        })
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
        plan.turn_to_money(facts, view);
        if plan.candidates.iter().any(|c| c.troubled || !c.degraded.is_empty()) {
            // In words only when nobody can as it was asked.
            plan.candidates.sort_by_key(|c| (!c.degraded.is_empty(), c.troubled));
        }
        if plan.candidates.is_empty() {
            plan.add_least_bad(view, now);
        }
        plan
    }

    /// Orders the candidates as the call's level of spend wants it.
    ///
    /// Quality: as they stand. Balanced: premium model tiers stand behind the last standard one, and nothing else moves; economy
    /// ones and those of unknown tier keep their places, because an operator who put one before a standard one wants it
    /// there, and a route without a standard one has nothing in between. Cheapest: by what an attempt is expected to
    /// cost, whatever the tier; what has no headroom, and then what has no prices, last.
    fn turn_to_money(&mut self, facts: &CallFacts, view: &dyn TargetsView) {
        match facts.spend {
            // Exhausted has left nobody to be ordered.
            SpendLevel::Quality | SpendLevel::Exhausted => {}
            SpendLevel::Balanced => {
                let tier = |c: &Candidate| view.facts(c.target).model_tier;
                let last = self
                    .candidates
                    .iter()
                    .rposition(|c| tier(c) == Some(ModelTier::Standard));
                if let Some(last) = last {
                    self.candidates[..=last].sort_by_key(|c| tier(c) == Some(ModelTier::Premium));
                }
            }
            SpendLevel::Cheapest => self.candidates.sort_by_cached_key(|c| {
                let cost = view.expected_cost(c.target, facts);
                (c.no_headroom, cost.is_none(), cost)
            }),
        }
    }

    /// Moves the least bad target from those left out to the end of the candidates: of the open and resting ones who
    /// recovers first; else, among those barred by an estimate alone, the largest. Disabled ones, and those that lack
    /// a feature, never.
    pub fn add_least_bad(&mut self, view: &dyn TargetsView, now: Now) -> bool {
        let recovering = |l: &LeftOut| match l.reason {
            LeftOutReason::Open { until } | LeftOutReason::Resting { until, .. } => Some(until),
            LeftOutReason::Disabled { .. }
            | LeftOutReason::Unfit(_)
            | LeftOutReason::NotAllowed
            | LeftOutReason::Unpriced
            | LeftOutReason::Unaffordable
            | LeftOutReason::Exhausted => None,
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
            | LeftOutReason::Disabled { .. }
            | LeftOutReason::NotAllowed
            | LeftOutReason::Unpriced
            | LeftOutReason::Unaffordable
            | LeftOutReason::Exhausted => None,
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
            | LeftOutReason::Disabled { .. }
            | LeftOutReason::NotAllowed
            | LeftOutReason::Unpriced
            | LeftOutReason::Unaffordable
            | LeftOutReason::Exhausted => None,
        };
        let (mut short, rest): (Vec<_>, Vec<_>) = self.left_out.drain(..).partition(|l| gives(l).is_some());
        self.left_out = rest;
        short.sort_by_key(|l| std::cmp::Reverse(gives(l)));
        let before = self.candidates.len();
        let candidates = short.iter().map(|l| l.candidate(view, now, false));
        self.candidates.extend(candidates);
        self.candidates.len() > before
    }

    /// Whether a target was left out because there is too little money for it.
    pub fn lacks_money(&self) -> bool {
        self.left_out.iter().any(|l| match l.reason {
            LeftOutReason::Unaffordable | LeftOutReason::Exhausted => true,
            LeftOutReason::Open { .. }
            | LeftOutReason::Resting { .. }
            | LeftOutReason::Disabled { .. }
            | LeftOutReason::Unfit(_)
            | LeftOutReason::NotAllowed
            | LeftOutReason::Unpriced => false,
        })
    }

    /// The earliest time at which a target that was left out recovers.
    pub fn earliest_recovery(&self) -> Option<Mono> {
        self.left_out
            .iter()
            .filter_map(|l| match l.reason {
                LeftOutReason::Open { until } | LeftOutReason::Resting { until, .. } => Some(until),
                LeftOutReason::Disabled { .. }
                | LeftOutReason::Unfit(_)
                | LeftOutReason::NotAllowed
                | LeftOutReason::Unpriced
                | LeftOutReason::Unaffordable
                | LeftOutReason::Exhausted => None,
            })
            .min()
    }
}

/// Why who calls, or the money, bars a target whatever it can do; `None` when nothing does.
fn bar(facts: &CallFacts, view: &dyn TargetsView, target: TargetIx) -> Option<LeftOutReason> {
    let allowed = facts.allowed.as_ref();
    if allowed.is_some_and(|allowed| !allowed.allows(&view.facts(target).id)) {
        Some(LeftOutReason::NotAllowed)
    } else if facts.spend == SpendLevel::Exhausted {
        Some(LeftOutReason::Exhausted)
    } else if facts.priced_only && view.expected_cost(target, facts).is_none() {
        Some(LeftOutReason::Unpriced)
    } else {
        None
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
            LeftOutReason::NotAllowed => "not_allowed",
            LeftOutReason::Unpriced => "unpriced",
            LeftOutReason::Unaffordable => "unaffordable",
            LeftOutReason::Exhausted => "exhausted",
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
            LeftOutReason::NotAllowed => f.write_str("is not allowed for this key"),
            LeftOutReason::Unpriced => f.write_str("has no prices, and a budget counts this call"),
            LeftOutReason::Unaffordable => f.write_str("costs more than the budgets have left"),
            LeftOutReason::Exhausted => f.write_str("would be paid by a budget of which nothing is left"),
        }
    }
}
