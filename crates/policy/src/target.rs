//! A target: what is known of it for good ([`TargetFacts`]) and what is remembered from its attempts ([`TargetCell`]).
//!
//! The cell is its breaker, its rests and its headroom. The shell keeps one a target behind a small lock, across
//! reloads.

use std::time::Duration;

use types::features::Features;
use types::ids::{CredentialIx, ModelTier, TargetId};
use types::outcome::{Headroom, Scope};
use types::time::{Mono, Now};

use crate::breaker::{Breaker, BreakerState, CallTag, Permit, Transition, Verdict};
use crate::rest::{Rest, RestNews, RestReason, Usable};
use crate::route::{BreakerPolicy, RestPolicy};

/// The longest time a target is avoided because its headers say that nothing is left.
const NO_HEADROOM_MAX: Duration = Duration::from_secs(300);

/// Position of a provider in the configuration's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderIx(pub u32);

/// Position of a failure domain in the configuration's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainIx(pub u32);

/// What is known of a target from the configuration and the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// Its name.
    pub id: TargetId,
    /// Who serves it.
    pub provider: ProviderIx,
    /// What it fails together with.
    pub domain: DomainIx,
    /// What its model can do.
    pub features: Features,
    /// Tokens of prompt and answer together; `None` when the catalog does not know.
    pub context_window: Option<u64>,
    /// Tokens of the longest answer.
    pub max_output: Option<u64>,
    /// The model reasons before it answers: its first token takes longer.
    pub reasoning: bool,
    /// The model continues a trailing assistant message.
    pub prefill: bool,
    /// Credentials of its provider. A provider that needs none has one, the empty one.
    pub credentials: u32,
    /// How good its model is, as told to the client.
    pub model_tier: Option<ModelTier>,
}

/// The memory of one target.
#[derive(Debug, Clone)]
pub struct TargetCell {
    breaker: Breaker,
    policy: RestPolicy,
    rest: Rest,
    /// Credentials refused at this target only. A few at most, so a list.
    credentials: Vec<(CredentialIx, Rest)>,
    no_headroom_until: Mono,
}

impl TargetCell {
    /// A target that nothing bad is known of; `seed` jitters its breaker's openings.
    pub fn new(breaker: BreakerPolicy, rest: RestPolicy, seed: u64) -> TargetCell {
        TargetCell {
            breaker: Breaker::new(breaker, seed),
            policy: rest,
            rest: Rest::default(),
            credentials: Vec::new(),
            no_headroom_until: Mono(0),
        }
    }

    /// The operator changed the policy. What was learned stays; what follows is judged by the new one.
    pub fn reconfigure(&mut self, breaker: BreakerPolicy, rest: RestPolicy) {
        self.breaker.reconfigure(breaker);
        self.policy = rest;
    }

    /// Leave for an attempt that starts now. `None`: it rests, its breaker is open, or another is its probe.
    pub fn admit(&mut self, now: Now, forced: bool) -> Option<Permit> {
        if !forced && matches!(self.rest.usable(now), Usable::No { .. }) {
            return None;
        }
        self.breaker.admit(now, forced)
    }

    /// Takes a permit back (`Effect::Settle`). The transition, when there is one, goes to the provider's cell.
    pub fn settle(&mut self, permit: Permit, verdict: Verdict, call: CallTag, now: Now) -> Option<Transition> {
        if verdict == Verdict::Success {
            // What was said before it answered is over only when the rest itself is: a call that began before a 429
            // says nothing about the limit.
            if !matches!(self.rest.usable(now), Usable::No { .. }) {
                self.rest.recovered();
            }
        }
        self.breaker.settle(permit, verdict, call, now)
    }

    /// It, or a credential at it, was told to rest (`Effect::Rest` of any scope but the credential's).
    pub fn rest(&mut self, news: RestNews, now: Now) {
        match news.scope {
            Scope::CredentialAtTarget => {
                let policy = self.policy;
                self.credential_mut(news.credential)
                    .begin(news.reason, news.hint, &policy, now);
            }
            Scope::Target | Scope::Provider | Scope::Credential => {
                self.rest.begin(news.reason, news.hint, &self.policy, now);
            }
        }
    }

    /// A credential was used here with success (`Effect::Recovered`).
    pub fn recovered(&mut self, credential: CredentialIx) {
        self.credentials.retain(|(c, _)| *c != credential);
    }

    /// What the provider's rate-limit headers said.
    pub fn headroom(&mut self, headroom: Headroom, now: Now) {
        let spent = [headroom.requests, headroom.tokens]
            .into_iter()
            .flatten()
            .filter(|d| d.remaining == 0)
            .map(|d| now.mono + d.reset_in.min(NO_HEADROOM_MAX))
            .max();
        self.no_headroom_until = spent.unwrap_or(Mono(0));
    }

    /// Whether its headers say that the next call will be refused.
    pub fn no_headroom(&self, now: Now) -> bool {
        now.mono < self.no_headroom_until
    }

    /// It answered a health check: an open breaker goes half-open at once.
    pub fn health_ok(&mut self, now: Now) -> Option<Transition> {
        self.breaker.health_ok(now)
    }

    /// Another instance opened its breaker of this target.
    pub fn heard_open(&mut self, until: Mono, now: Now) -> Option<Transition> {
        self.breaker.heard_open(until, now)
    }

    /// What its breaker lets through.
    pub fn state(&self, now: Now) -> BreakerState {
        self.breaker.state(now)
    }

    /// Its breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Until when it rests, and why.
    pub fn resting(&self, now: Now) -> Option<(Mono, RestReason)> {
        match self.rest.usable(now) {
            Usable::No { until, why } => Some((until, why)),
            Usable::Yes | Usable::Probation => None,
        }
    }

    /// Whether a credential may be used at this target.
    pub fn credential_usable(&self, credential: CredentialIx, now: Now) -> Usable {
        let found = self.credentials.iter().find(|(c, _)| *c == credential);
        found.map_or(Usable::Yes, |(_, rest)| rest.usable(now))
    }

    /// Leave to use a credential at this target: takes the one probe after a rest. `forced` is always given leave, and
    /// does not take the probe's place.
    pub fn admit_credential(&mut self, credential: CredentialIx, now: Now, forced: bool) -> bool {
        let found = self.credentials.iter_mut().find(|(c, _)| *c == credential);
        forced || found.is_none_or(|(_, rest)| rest.admit(now))
    }

    /// The attempt that was a credential's probe here ended without success (`Effect::CredentialReleased`): another may
    /// be it.
    pub fn release_credential(&mut self, credential: CredentialIx) {
        if let Some((_, rest)) = self.credentials.iter_mut().find(|(c, _)| *c == credential) {
            rest.release();
        }
    }

    /// When its breaker goes half-open by itself: a moment to note in logs and metrics, nothing has to be done.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.breaker.poll_timeout()
    }

    fn credential_mut(&mut self, credential: CredentialIx) -> &mut Rest {
        let place = match self.credentials.iter().position(|(c, _)| *c == credential) {
            Some(place) => place,
            None => {
                self.credentials.push((credential, Rest::default()));
                self.credentials.len() - 1
            }
        };
        &mut self.credentials[place].1
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use types::outcome::Dimension;

    use super::*;

    /// Target number `n` of a provider and a domain of its own that can do everything.
    pub(crate) fn facts(n: u32) -> TargetFacts {
        TargetFacts {
            id: TargetId::parse(&format!("provider{n}/model")).unwrap(),
            provider: ProviderIx(n),
            domain: DomainIx(n),
            features: Features::ALL,
            context_window: None,
            max_output: None,
            reasoning: false,
            prefill: false,
            credentials: 1,
            model_tier: None,
        }
    }

    fn at(secs: u64) -> Now {
        Now::default().after(Duration::from_secs(1000 + secs))
    }

    #[test]
    fn a_resting_target_admits_only_who_is_forced() {
        let mut cell = TargetCell::new(BreakerPolicy::default(), RestPolicy::default(), 1);
        let news = RestNews {
            credential: CredentialIx(0),
            scope: Scope::Target,
            reason: RestReason::RateLimited,
            hint: Some(Duration::from_secs(7)),
        };
        cell.rest(news, at(0));
        assert_eq!(cell.resting(at(6)), Some((at(7).mono, RestReason::RateLimited)));
        assert!(cell.admit(at(6), false).is_none());
        assert!(cell.admit(at(6), true).is_some());
        assert!(cell.admit(at(7), false).is_some());
    }

    #[test]
    fn a_success_of_an_older_call_does_not_end_a_rest() {
        let mut cell = TargetCell::new(BreakerPolicy::default(), RestPolicy::default(), 1);
        let older = cell.admit(at(0), false).unwrap();
        let news = RestNews {
            credential: CredentialIx(0),
            scope: Scope::Target,
            reason: RestReason::ModelMissing,
            hint: None,
        };
        cell.rest(news, at(1));
        let _ = cell.settle(older, Verdict::Success, CallTag(1), at(2));
        assert!(cell.resting(at(2)).is_some());
    }

    #[test]
    fn a_credential_refused_at_a_target_rests_there_alone() {
        let mut cell = TargetCell::new(BreakerPolicy::default(), RestPolicy::default(), 1);
        let news = RestNews {
            credential: CredentialIx(1),
            scope: Scope::CredentialAtTarget,
            reason: RestReason::Forbidden,
            hint: None,
        };
        cell.rest(news, at(0));
        assert_eq!(cell.credential_usable(CredentialIx(0), at(1)), Usable::Yes);
        assert!(matches!(
            cell.credential_usable(CredentialIx(1), at(1)),
            Usable::No { .. }
        ));
        assert!(cell.admit_credential(CredentialIx(1), at(600), false));
        assert!(!cell.admit_credential(CredentialIx(1), at(600), false), "one probe");
        cell.release_credential(CredentialIx(1));
        assert!(cell.admit_credential(CredentialIx(1), at(600), true), "past everything");
        assert!(cell.admit_credential(CredentialIx(1), at(600), false), "it came back");
        cell.recovered(CredentialIx(1));
        assert_eq!(cell.credential_usable(CredentialIx(1), at(601)), Usable::Yes);
        assert!(cell.admit(at(1), false).is_some(), "the target itself is well");
    }

    #[test]
    fn nothing_left_in_any_dimension_is_no_headroom_until_it_is_reset() {
        let dimension = |remaining, secs| {
            Some(Dimension {
                remaining,
                reset_in: Duration::from_secs(secs),
            })
        };
        for (requests, tokens, until) in [
            (dimension(1, 60), dimension(1, 60), 0),
            (dimension(0, 4), dimension(9, 60), 4),
            (None, dimension(0, 9), 9),
            (dimension(0, 4), dimension(0, 9), 9),
            (dimension(0, 86_400), None, 300),
        ] {
            let mut cell = TargetCell::new(BreakerPolicy::default(), RestPolicy::default(), 1);
            cell.headroom(Headroom { requests, tokens }, at(0));
            assert!(!cell.no_headroom(at(until)));
            assert_eq!(cell.no_headroom(at(until.saturating_sub(1))), until > 0);
        }
    }
}
