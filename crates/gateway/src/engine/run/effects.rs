//! Policy's effects on what outlives a call: permits, breakers, rests, retry budgets.
//!
//! Each effect touches one cell behind its own lock, held for a few instructions. A transition of a target's breaker is passed
//! on to its provider's cell and told to people.

use policy::breaker::{CallTag, Permit, Transition, Verdict};
use policy::call::action::{Effect, Launch};
use policy::rest::{RestNews, RestReason, Usable};
use policy::view;
use store::shared::news::News;
use tracing::{info, warn};
use types::ids::{AttemptNo, CredentialIx, TargetIx};
use types::outcome::Scope;
use types::time::Now;

use crate::engine::run::Run;
use crate::fleet::memory::lock;
use crate::fleet::route::{Route, Target};
use crate::jobs::news::{scope_word, wall_of};

impl Run {
    /// Carries out every effect policy has asked for.
    pub fn apply_effects(&mut self) {
        while let Some(effect) = self.call.poll_effect() {
            let now = self.engine.clock.now();
            self.apply(effect, now);
        }
    }

    /// An estimate of the gateway's own asked nobody: it says nothing of the target, and gives back what it held.
    fn of_nobody(&self, effect: Effect) -> Effect {
        if !self.attempt.as_ref().is_some_and(|a| a.details.estimated) {
            return effect;
        }
        match effect {
            Effect::Settle { attempt, target, .. } => Effect::Settle {
                attempt,
                target,
                verdict: Verdict::Neutral,
            },
            Effect::Recovered { target, credential } => Effect::CredentialReleased { target, credential },
            Effect::ConnectOk { target } => Effect::ProviderReleased { target },
            other => other,
        }
    }

    pub(super) fn apply(&mut self, effect: Effect, now: Now) {
        match self.of_nobody(effect) {
            Effect::CallStarted => lock(&self.route.cell).call_started(now),
            Effect::RetrySpent => {
                // Decided with `retry_allowed` a moment ago; another worker may have spent the last one since.
                let _ = lock(&self.route.cell).withdraw_retry(now);
            }
            Effect::Settle {
                attempt,
                target,
                verdict,
            } => self.settle(attempt, target, verdict, now),
            Effect::Rest {
                target,
                credential,
                scope,
                reason,
                hint,
            } => {
                let target = self.route.target(target);
                let id = &target.facts.id;
                let name = target
                    .provider
                    .credentials
                    .get(credential.0 as usize)
                    .map_or("none", |c| c.name.as_str());
                match scope {
                    Scope::Credential => {
                        if let Some(known) = target.provider.credentials.get(credential.0 as usize) {
                            lock(&known.cell).rest(reason, hint, now);
                        }
                        warn!(provider.id = %target.provider.id, credential = name, reason = reason.as_str(),
                            "Credential `{name}` of `{}` rests: {}", target.provider.id, reason.as_str());
                    }
                    Scope::Target | Scope::CredentialAtTarget | Scope::Provider => {
                        lock(&target.state.cell).rest(
                            RestNews {
                                credential,
                                scope,
                                reason,
                                hint,
                            },
                            now,
                        );
                        info!(target.id = %id, reason = reason.as_str(), "Target `{id}` rests: {}", reason.as_str());
                    }
                }
                self.tell_rest(target, credential, scope, reason, now);
            }
            Effect::Recovered { target, credential } => {
                let target = self.route.target(target);
                if let Some(known) = target.provider.credentials.get(credential.0 as usize) {
                    lock(&known.cell).recovered();
                }
                lock(&target.state.cell).recovered(credential);
            }
            Effect::CredentialReleased { target, credential } => {
                let target = self.route.target(target);
                if let Some(known) = target.provider.credentials.get(credential.0 as usize) {
                    lock(&known.cell).release();
                }
                lock(&target.state.cell).release_credential(credential);
            }
            Effect::ProviderReleased { target } => lock(&self.route.target(target).provider.cell).release(),
            Effect::ConnectFailed { target } => {
                let provider = &self.route.target(target).provider;
                let mut cell = lock(&provider.cell);
                let before = cell.is_open(now);
                cell.connect_failed(now);
                if !before && cell.is_open(now) {
                    warn!(provider.id = %provider.id, "Provider `{}` cannot be connected to: its targets are left out", provider.id);
                }
            }
            Effect::ConnectOk { target } => lock(&self.route.target(target).provider.cell).connected(now),
            Effect::Record {
                attempt,
                class,
                timeout,
            } => self.record_attempt(attempt, class, timeout, now),
            Effect::Alert { target, reason } => {
                let id = &self.route.target(target).facts.id;
                warn!(target.id = %id, reason = reason.as_str(), "Target `{id}` needs its owner: {}", reason.as_str());
            }
        }
    }

    fn settle(&mut self, attempt: AttemptNo, target: TargetIx, verdict: Verdict, now: Now) {
        let Some(at) = self.permits.iter().position(|(no, _)| *no == attempt) else {
            return;
        };
        let (_, permit) = self.permits.swap_remove(at);
        let transition = settle(&self.route, target, permit, verdict, self.seed, now);
        self.tell_breaker(target, transition, now);
    }

    /// Tells other instances what a target's breaker did.
    fn tell_breaker(&self, target: TargetIx, transition: Option<Transition>, now: Now) {
        let from = || self.engine.spender.stores.instance.clone();
        let target = || self.route.target(target).facts.id.to_string();
        let news = match transition {
            Some(Transition::Opened { until }) => News::BreakerOpened {
                from: from(),
                target: target(),
                until: wall_of(until, now),
            },
            Some(Transition::Closed) => News::BreakerClosed {
                from: from(),
                target: target(),
            },
            Some(Transition::HalfOpened) | None => return,
        };
        self.engine.spender.stores.shared.publish(news);
    }

    /// Tells other instances that somebody rests, for as long as is known here.
    fn tell_rest(&self, target: &Target, credential: CredentialIx, scope: Scope, reason: RestReason, now: Now) {
        let Some(known) = target.provider.credentials.get(credential.0 as usize) else {
            return;
        };
        let usable = match scope {
            Scope::Credential => lock(&known.cell).usable(now),
            Scope::CredentialAtTarget => lock(&target.state.cell).credential_usable(credential, now),
            Scope::Target | Scope::Provider => match lock(&target.state.cell).resting(now) {
                Some((until, why)) => Usable::No { until, why },
                None => Usable::Yes,
            },
        };
        let Usable::No { until, .. } = usable else { return };
        self.engine.spender.stores.shared.publish(News::Rests {
            from: self.engine.spender.stores.instance.clone(),
            target: target.facts.id.to_string(),
            credential: known.name.clone(),
            scope: scope_word(scope).to_owned(),
            reason: reason.as_str().to_owned(),
            until: wall_of(until, now),
        });
    }
}

/// Leave for an attempt from everyone who has a say. Their locks are taken in the order in which the route's view takes
/// them.
pub(super) fn admit(target: &Target, launch: &Launch, now: Now) -> Option<Permit> {
    let credential = target.provider.credentials.get(launch.credential.0 as usize)?;
    let mut provider = lock(&target.provider.cell);
    let mut cell = lock(&target.state.cell);
    let mut credential = lock(&credential.cell);
    view::admit(&mut cell, &mut provider, &mut credential, launch, now)
}

/// Gives a permit back and passes the news on to the provider's breaker.
pub(super) fn settle(
    route: &Route,
    target: TargetIx,
    permit: Permit,
    verdict: Verdict,
    tag: u64,
    now: Now,
) -> Option<Transition> {
    let target = route.target(target);
    let transition = lock(&target.state.cell).settle(permit, verdict, CallTag(tag), now);
    let transition = transition?;
    lock(&target.provider.cell).target_transition(target.state.ordinal, transition);
    let id = &target.facts.id;
    match transition {
        Transition::Opened { .. } => {
            target.metrics.breaker_opened.inc();
            warn!(target.id = %id, "Target `{id}` opened its breaker: calls go elsewhere until a probe succeeds");
        }
        Transition::HalfOpened => info!(target.id = %id, "Target `{id}` is half-open: the next call probes it"),
        Transition::Closed => info!(target.id = %id, "Target `{id}` closed its breaker: it serves again"),
    }
    Some(transition)
}
