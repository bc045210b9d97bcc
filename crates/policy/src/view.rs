//! What a decision may look at: the state of targets as plain answers, taken at one moment.
//!
//! The gateway and the simulator implement [`TargetsView`] over their cells; both compose a target's status with
//! [`target_status`] and leave for an attempt with [`admit`], so that they cannot differ.

use types::ids::{CredentialIx, TargetIx};
use types::money::NanoDollars;
use types::time::{Mono, Now};

use crate::breaker::Permit;
use crate::call::action::Launch;
use crate::call::facts::CallFacts;
use crate::credential::CredentialCell;
use crate::provider::ProviderCell;
use crate::rest::{RestReason, Usable};
use crate::target::{DomainIx, TargetCell, TargetFacts};

/// The targets as they stand. Answers may differ from one question to the next: other calls go on.
pub trait TargetsView {
    /// What is known of a target for good.
    fn facts(&self, target: TargetIx) -> &TargetFacts;

    /// Whether it may be tried now.
    fn status(&self, target: TargetIx, now: Now) -> TargetStatus;

    /// Whether the call's route has a retry left.
    fn retry_allowed(&self, now: Now) -> bool;

    /// Whether two providers of the domain are open.
    fn troubled_domain(&self, domain: DomainIx) -> bool;

    /// Tokens the call's prompt will take at the target, estimated by whatever is known of it.
    fn prompt_tokens(&self, target: TargetIx, call: &CallFacts) -> u64 {
        let _ = target;
        call.prompt_tokens_estimate
    }

    /// What an attempt of the call at the target is expected to cost; `None` when the target has no prices.
    fn expected_cost(&self, target: TargetIx, call: &CallFacts) -> Option<NanoDollars> {
        let _ = (target, call);
        None
    }

    /// A usable credential of the target that is not among those tried; asked after one of them was refused. See
    /// [`other_credential`]. Who has no second credential need not answer.
    fn other_credential(&self, target: TargetIx, tried: &[CredentialIx], now: Now) -> Option<CredentialIx> {
        let _ = (target, tried, now);
        None
    }
}

/// Whether a target may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetStatus {
    /// The answer.
    pub admission: Admission,
    /// Attempts out at it.
    pub in_flight: u32,
    /// The first usable credential; when none is, the one that recovers first. `None`: it has none at all.
    pub credential: Option<CredentialIx>,
    /// That credential has not worked since it was refused: its success is news (`Effect::Recovered`).
    pub probation: bool,
    /// Its headers say that the next call will be refused: others first.
    pub no_headroom: bool,
}

/// Whether, and how, a target may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Freely.
    Ready,
    /// By one call, which shows whether it is well again. Who gets the permit is decided when it is asked for.
    Probe,
    /// Its breaker or its provider's is open, or its probe is out.
    Open {
        /// The earliest end.
        until: Mono,
    },
    /// It, or each of its credentials, was told to rest.
    Resting {
        /// The earliest end.
        until: Mono,
        /// Why.
        why: RestReason,
    },
    /// Never, until the configuration changes.
    Disabled {
        /// Why, as a fragment for people: `no credential`.
        why: &'static str,
    },
}

/// A target's status from its cells. `credentials` are those of its provider in the order of their positions. Disabled
/// targets are the shell's to know, save one without credentials.
pub fn target_status<'a>(
    cell: &TargetCell,
    provider: &ProviderCell,
    credentials: impl Iterator<Item = &'a CredentialCell>,
    in_flight: u32,
    now: Now,
) -> TargetStatus {
    let mut chosen: Option<(CredentialIx, Usable)> = None;
    for (ix, credential) in credentials.enumerate() {
        let ix = CredentialIx(ix as u32);
        let usable = both(credential.usable(now), cell.credential_usable(ix, now));
        let better = match (chosen, usable) {
            (None, _) => true,
            (Some((_, Usable::No { until: best, .. })), Usable::No { until, .. }) => until < best,
            (Some(_), _) => true,
        };
        if better {
            chosen = Some((ix, usable));
        }
        if !matches!(usable, Usable::No { .. }) {
            break;
        }
    }
    let open_until = cell_open_until(cell, now).max(provider.open_until(now));
    let rest_until = cell.resting(now);
    let admission = match (chosen, open_until, rest_until) {
        (None, _, _) => Admission::Disabled { why: "no credential" },
        (Some((_, Usable::No { until, why })), None, None) => Admission::Resting { until, why },
        (Some((_, Usable::No { until, why })), None, Some((rest, rest_why))) => {
            let (until, why) = if until > rest { (until, why) } else { (rest, rest_why) };
            Admission::Resting { until, why }
        }
        (Some((_, usable)), Some(open), rest) => {
            let by_credential = match usable {
                Usable::No { until, .. } => until,
                Usable::Yes | Usable::Probation => open,
            };
            let by_rest = rest.map_or(open, |(until, _)| until);
            Admission::Open {
                until: open.max(by_credential).max(by_rest),
            }
        }
        (Some(_), None, Some((until, why))) => Admission::Resting { until, why },
        (Some(_), None, None) => {
            if cell.breaker().probe_is_free(now).is_some() || provider.needs_probe(now) {
                Admission::Probe
            } else {
                Admission::Ready
            }
        }
    };
    TargetStatus {
        admission,
        in_flight,
        credential: chosen.map(|(ix, _)| ix),
        probation: chosen.is_some_and(|(_, usable)| usable != Usable::Yes),
        no_headroom: cell.no_headroom(now),
    }
}

/// Leave for an attempt from everyone who has a say: the provider, the credential, the target. All or nothing: who is
/// refused by one of them has taken no place of another.
pub fn admit(
    cell: &mut TargetCell,
    provider: &mut ProviderCell,
    credential: &mut CredentialCell,
    launch: &Launch,
    now: Now,
) -> Option<Permit> {
    let (ix, forced) = (launch.credential, launch.forced);
    let usable = both(credential.usable(now), cell.credential_usable(ix, now));
    if !forced && (provider.is_open(now) || matches!(usable, Usable::No { .. })) {
        return None;
    }
    let permit = cell.admit(now, forced)?;
    let granted = [
        provider.admit(now, forced),
        credential.admit(now, forced),
        cell.admit_credential(ix, now, forced),
    ];
    debug_assert_eq!(granted, [true; 3], "each of them was asked before");
    Some(permit)
}

/// The first credential that may be used at the target and is not among those tried: what
/// [`TargetsView::other_credential`] answers.
pub fn other_credential<'a>(
    cell: &TargetCell,
    credentials: impl Iterator<Item = &'a CredentialCell>,
    tried: &[CredentialIx],
    now: Now,
) -> Option<CredentialIx> {
    credentials
        .enumerate()
        .map(|(ix, credential)| (CredentialIx(ix as u32), credential))
        .filter(|(ix, _)| !tried.contains(ix))
        .find(|(ix, credential)| {
            let usable = both(credential.usable(now), cell.credential_usable(*ix, now));
            !matches!(usable, Usable::No { .. })
        })
        .map(|(ix, _)| ix)
}

/// Until when the target's own breaker lets nothing through. While its probe is out that is unknown: now, so that it
/// counts as recovering first.
fn cell_open_until(cell: &TargetCell, now: Now) -> Option<Mono> {
    match cell.breaker().probe_is_free(now) {
        None | Some(true) => None,
        Some(false) => Some(cell.breaker().poll_timeout().unwrap_or(now.mono)),
    }
}

/// Usable only as far as both are; of two rests the later end counts.
fn both(a: Usable, b: Usable) -> Usable {
    match (a, b) {
        (Usable::No { until: ua, .. }, Usable::No { until: ub, .. }) => {
            if ua >= ub {
                a
            } else {
                b
            }
        }
        (Usable::No { .. }, _) | (_, Usable::Yes) => a,
        (_, Usable::No { .. } | Usable::Probation) => b,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::ids::AttemptNo;
    use types::outcome::Scope;

    use super::*;
    use crate::breaker::{CallTag, Transition, Verdict};
    use crate::call::action::AttemptKind;
    use crate::rest::RestNews;
    use crate::route::{BreakerPolicy, RestPolicy};

    struct Cells {
        target: TargetCell,
        provider: ProviderCell,
        credentials: [CredentialCell; 2],
    }

    fn at(secs: u64) -> Now {
        Now::default().after(Duration::from_secs(1000 + secs))
    }

    fn until(secs: u64) -> Mono {
        at(secs).mono
    }

    impl Cells {
        fn new() -> Cells {
            let breaker = BreakerPolicy {
                jitter: 0.0,
                ..BreakerPolicy::default()
            };
            let rest = RestPolicy::default();
            Cells {
                target: TargetCell::new(breaker, rest, 1),
                provider: ProviderCell::new(breaker, 1),
                credentials: [CredentialCell::new(rest), CredentialCell::new(rest)],
            }
        }

        fn open(&mut self, now: Now) {
            for call in 0..3 {
                let permit = self.target.admit(now, false).unwrap();
                let _ = self.target.settle(permit, Verdict::Failure, CallTag(call), now);
            }
        }

        fn rest(&mut self, scope: Scope, secs: u64) {
            let news = RestNews {
                credential: CredentialIx(0),
                scope,
                reason: RestReason::RateLimited,
                hint: Some(Duration::from_secs(secs)),
            };
            self.target.rest(news, at(0));
        }

        fn status(&self, now: Now) -> (Admission, Option<u32>, bool) {
            let credentials = self.credentials.iter();
            let status = target_status(&self.target, &self.provider, credentials, 0, now);
            (status.admission, status.credential.map(|c| c.0), status.probation)
        }
    }

    #[test]
    fn who_is_refused_by_one_has_taken_no_place_of_another() {
        let mut cells = Cells::new();
        for _ in 0..3 {
            cells.provider.connect_failed(at(0));
        }
        cells.credentials[0].rest(RestReason::Auth, None, at(0));
        let missing = RestNews {
            credential: CredentialIx(0),
            scope: Scope::Target,
            reason: RestReason::ModelMissing,
            hint: None,
        };
        cells.target.rest(missing, at(100));
        for (secs, forced, given, places_free, why) in [
            (500, false, false, false, "the credential rests"),
            (650, false, false, true, "the target rests"),
            (650, true, true, true, "who is forced leaves the places"),
            (700, false, true, false, "each place is taken"),
            (700, false, false, false, "by one"),
        ] {
            let launch = Launch {
                attempt: AttemptNo(1),
                target: TargetIx(0),
                credential: CredentialIx(0),
                tier: 0,
                kind: AttemptKind::First,
                forced,
                fresh_connection: false,
                continuation: None,
                degraded: types::features::Features::NONE,
            };
            let [credential, _] = &mut cells.credentials;
            let permit = admit(&mut cells.target, &mut cells.provider, credential, &launch, at(secs));
            assert_eq!(permit.is_some(), given, "{why}");
            let free = cells.provider.needs_probe(at(secs)) && cells.credentials[0].needs_probe(at(secs));
            assert_eq!(free, places_free, "{why}");
        }
    }

    #[test]
    fn a_status_is_composed_of_breaker_provider_rest_and_credentials() {
        let why = RestReason::RateLimited;
        type Case = (fn(&mut Cells), u64, (Admission, Option<u32>, bool));
        let cases: [Case; 11] = [
            (|_| {}, 0, (Admission::Ready, Some(0), false)),
            (
                |c| c.open(at(0)),
                1,
                (Admission::Open { until: until(30) }, Some(0), false),
            ),
            (|c| c.open(at(0)), 30, (Admission::Probe, Some(0), false)),
            (
                |c| {
                    c.open(at(0));
                    assert!(c.target.admit(at(30), false).is_some());
                },
                31,
                (Admission::Open { until: until(31) }, Some(0), false),
            ),
            (
                |c| c.rest(Scope::Target, 9),
                1,
                (Admission::Resting { until: until(9), why }, Some(0), false),
            ),
            (
                |c| {
                    c.open(at(0));
                    c.rest(Scope::Target, 50);
                },
                1,
                (Admission::Open { until: until(50) }, Some(0), false),
            ),
            (
                |c| {
                    for target in 1..3 {
                        let opened = Transition::Opened { until: until(20) };
                        c.provider.target_transition(types::ids::TargetIx(target), opened);
                    }
                },
                1,
                (Admission::Open { until: until(20) }, Some(0), false),
            ),
            (
                |c| c.rest(Scope::CredentialAtTarget, 9),
                1,
                (Admission::Ready, Some(1), false),
            ),
            (
                |c| c.credentials[0].rest(RestReason::Auth, None, at(0)),
                1,
                (Admission::Ready, Some(1), false),
            ),
            // On probation the first one is first again, for one call.
            (
                |c| c.credentials[0].rest(RestReason::Auth, None, at(0)),
                600,
                (Admission::Ready, Some(0), true),
            ),
            (
                |c| {
                    c.credentials[0].rest(RestReason::RateLimited, Some(Duration::from_secs(9)), at(0));
                    c.credentials[1].rest(RestReason::RateLimited, Some(Duration::from_secs(7)), at(0));
                },
                1,
                (Admission::Resting { until: until(7), why }, Some(1), true),
            ),
        ];
        for (i, (prepare, secs, expected)) in cases.into_iter().enumerate() {
            let mut cells = Cells::new();
            prepare(&mut cells);
            assert_eq!(cells.status(at(secs)), expected, "row {i}");
        }
    }

    #[test]
    fn a_target_without_credentials_is_disabled() {
        let cells = Cells::new();
        let status = target_status(&cells.target, &cells.provider, [].into_iter(), 0, at(0));
        assert!(matches!(status.admission, Admission::Disabled { .. }));
        let other = |tried: &[CredentialIx]| other_credential(&cells.target, cells.credentials.iter(), tried, at(0));
        assert_eq!(other(&[CredentialIx(0)]), Some(CredentialIx(1)));
        assert_eq!(other(&[CredentialIx(0), CredentialIx(1)]), None);
    }
}
