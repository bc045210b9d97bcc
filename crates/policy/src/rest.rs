//! Rest: what a target or a credential does because it was *told* to (a hint, a quota, a refused credential).
//!
//! A breaker infers, a rest obeys. Pure: [`Rest::begin`] is told why, [`Rest::usable`] answers whether it is over. A
//! rest for which waiting alone proves nothing (quota, credential) ends in probation: one attempt, until it is known.

use std::time::Duration;

use serde::Serialize;
use types::ids::CredentialIx;
use types::outcome::Scope;
use types::time::{Mono, Now};

use crate::route::RestPolicy;

/// One attempt on probation must report within this; then another may try.
const PROBE_LEASE: Duration = Duration::from_secs(60);

/// Doublings beyond this change nothing: every cap is reached.
const DOUBLINGS_MAX: u32 = 16;

/// Why something rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestReason {
    /// Too many requests or tokens.
    RateLimited,
    /// The credential's quota or money is spent.
    QuotaExhausted,
    /// The credential was refused everywhere (401).
    Auth,
    /// The credential was refused at this target (403).
    Forbidden,
    /// The provider does not have the model.
    ModelMissing,
}

/// What the shell applies to the cells when an attempt told it so (from `Effect::Rest`).
///
/// [`Scope::Credential`] goes to the credential's cell; every other scope to the target's cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestNews {
    /// The credential of the attempt.
    pub credential: CredentialIx,
    /// Who rests.
    pub scope: Scope,
    /// Why.
    pub reason: RestReason,
    /// How long the provider asked for.
    pub hint: Option<Duration>,
}

/// Whether something that may rest can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    /// Freely.
    Yes,
    /// By one attempt, which shows whether it is well again.
    Probation,
    /// Not before `until`.
    No {
        /// The end of the rest.
        until: Mono,
        /// Its reason.
        why: RestReason,
    },
}

/// The rest of one thing.
#[derive(Debug, Clone, Default)]
pub struct Rest(Option<Resting>);

#[derive(Debug, Clone)]
struct Resting {
    why: RestReason,
    until: Mono,
    /// Rests in a row, from 1; a success ends the row.
    times: u32,
    /// An attempt on probation is out and has until then to report.
    probe_until: Option<Mono>,
}

impl RestReason {
    /// The word used in logs, metrics and the plan.
    pub fn as_str(self) -> &'static str {
        match self {
            RestReason::RateLimited => "rate_limited",
            RestReason::QuotaExhausted => "quota_exhausted",
            RestReason::Auth => "auth",
            RestReason::Forbidden => "forbidden",
            RestReason::ModelMissing => "model_missing",
        }
    }

    fn ends_in_probation(self) -> bool {
        match self {
            RestReason::QuotaExhausted | RestReason::Auth | RestReason::Forbidden => true,
            RestReason::RateLimited | RestReason::ModelMissing => false,
        }
    }
}

impl Rest {
    /// Begins or prolongs a rest. Failures of calls that were already out when it began do not make it longer by
    /// themselves: only a failure after its end climbs the ladder. It never ends earlier than it was said to before.
    pub fn begin(&mut self, reason: RestReason, hint: Option<Duration>, policy: &RestPolicy, now: Now) {
        let times = match &self.0 {
            Some(r) if r.why == reason && now.mono < r.until => r.times,
            Some(r) if r.why == reason => (r.times + 1).min(DOUBLINGS_MAX),
            Some(_) | None => 1,
        };
        let doubled =
            |base: Duration, max: Duration| base.saturating_mul(1u32 << (times - 1).min(DOUBLINGS_MAX)).min(max);
        let length = match (reason, hint) {
            (RestReason::RateLimited, Some(hint)) => hint.min(policy.hint_max),
            (RestReason::RateLimited, None) => doubled(policy.rate_limited, policy.rate_limited_max),
            (RestReason::QuotaExhausted | RestReason::Auth | RestReason::Forbidden, _) => {
                doubled(policy.credential, policy.credential_max)
            }
            (RestReason::ModelMissing, _) => policy.model_missing,
        };
        // A refusal within a rest (of a call that was out already) must not push the end of the rest away.
        let until = match &self.0 {
            Some(r) if now.mono < r.until && r.why == reason && hint.is_none() => r.until,
            Some(r) => r.until.max(now.mono + length),
            None => now.mono + length,
        };
        // A rest that outlasts the new one keeps its reason: that is what one waits for.
        let why = match &self.0 {
            Some(r) if r.until == until => r.why,
            Some(_) | None => reason,
        };
        self.0 = Some(Resting {
            why,
            until,
            times,
            probe_until: None,
        });
    }

    /// It answered well: whatever was said before is over.
    pub fn recovered(&mut self) {
        self.0 = None;
    }

    /// Whether it can be used now.
    pub fn usable(&self, now: Now) -> Usable {
        match &self.0 {
            None => Usable::Yes,
            Some(r) if now.mono < r.until => Usable::No {
                until: r.until,
                why: r.why,
            },
            Some(r) if !r.why.ends_in_probation() => Usable::Yes,
            Some(r) => match r.probe_until {
                Some(until) if now.mono < until => Usable::No { until, why: r.why },
                Some(_) | None => Usable::Probation,
            },
        }
    }

    /// Takes leave to use it: on probation the one slot is taken, for a minute at most, or until the rest begins anew
    /// or it has [`recovered`](Rest::recovered).
    pub fn admit(&mut self, now: Now) -> bool {
        match self.usable(now) {
            Usable::Yes => true,
            Usable::No { .. } => false,
            Usable::Probation => {
                if let Some(r) = &mut self.0 {
                    r.probe_until = Some(now.mono + PROBE_LEASE);
                }
                true
            }
        }
    }

    /// The attempt on probation said nothing (cancelled, failed otherwise): the slot is free again.
    pub fn release(&mut self) {
        if let Some(r) = &mut self.0 {
            r.probe_until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Now {
        Now::default().after(Duration::from_secs(secs))
    }

    #[test]
    fn a_spent_quota_rests_ten_minutes_then_one_probe_then_twice_as_long_up_to_an_hour() {
        let policy = RestPolicy::default();
        let mut rest = Rest::default();
        let (mut t, mut lengths) = (0, Vec::new());
        for _ in 0..5 {
            rest.begin(RestReason::QuotaExhausted, None, &policy, at(t));
            let Usable::No { until, .. } = rest.usable(at(t)) else {
                panic!("it rests")
            };
            let length = until.since(at(t).mono).as_secs();
            lengths.push(length / 60);
            t += length;
            assert_eq!(rest.usable(at(t)), Usable::Probation);
            assert!(rest.admit(at(t)), "one probe");
            assert!(!rest.admit(at(t)), "and only one");
        }
        assert_eq!(lengths, [10, 20, 40, 60, 60]);
        rest.release();
        assert_eq!(rest.usable(at(t)), Usable::Probation, "the slot came back");
        rest.recovered();
        assert_eq!(rest.usable(at(t)), Usable::Yes);
    }

    #[test]
    fn a_burst_of_refusals_is_one_rest() {
        let policy = RestPolicy::default();
        let mut rest = Rest::default();
        for ms in 0..20 {
            let now = Now::default().after(Duration::from_millis(ms));
            rest.begin(RestReason::RateLimited, None, &policy, now);
        }
        assert_eq!(
            rest.usable(at(1)),
            Usable::No {
                until: at(5).mono,
                why: RestReason::RateLimited
            }
        );
        assert_eq!(rest.usable(at(5)), Usable::Yes);
        rest.begin(RestReason::RateLimited, None, &policy, at(6));
        assert_eq!(
            rest.usable(at(15)),
            Usable::No {
                until: at(16).mono,
                why: RestReason::RateLimited
            }
        );
    }

    #[test]
    fn a_hint_is_obeyed_but_not_without_limit_and_never_shortens_what_was_said() {
        let policy = RestPolicy::default();
        for (hint, until) in [(3, 3), (299, 299), (100_000, 300)] {
            let mut rest = Rest::default();
            rest.begin(RestReason::RateLimited, Some(Duration::from_secs(hint)), &policy, at(0));
            rest.begin(RestReason::RateLimited, Some(Duration::from_secs(1)), &policy, at(0));
            assert_eq!(
                rest.usable(at(0)),
                Usable::No {
                    until: at(until).mono,
                    why: RestReason::RateLimited
                }
            );
        }
        let mut rest = Rest::default();
        rest.begin(RestReason::ModelMissing, None, &policy, at(0));
        rest.begin(RestReason::RateLimited, None, &policy, at(1));
        assert_eq!(
            rest.usable(at(2)),
            Usable::No {
                until: at(600).mono,
                why: RestReason::ModelMissing
            }
        );
    }
}
