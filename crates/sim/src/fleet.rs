//! The real cells of a scenario's targets, providers, credentials and route, used as the gateway uses its own.

use policy::breaker::{BreakerState, CallTag, Permit, Transition, Verdict};
use policy::call::action::Launch;
use policy::call::facts::CallFacts;
use policy::capability;
use policy::credential::CredentialCell;
use policy::provider::ProviderCell;
use policy::rest::{RestNews, RestReason, Usable};
use policy::route_cell::RouteCell;
use policy::target::{DomainIx, TargetCell, TargetFacts};
use policy::view::{Admission, TargetStatus, TargetsView, admit, other_credential, target_status};
use types::ids::{CredentialIx, TargetIx};
use types::money::NanoDollars;
use types::outcome::{Headroom, Scope};
use types::spend::SpendLevel;
use types::time::{Mono, Now};

use crate::chance;
use crate::scenario::{Scenario, TARGETS_MAX};
use crate::trace::TargetSet;

/// All cells of a run.
#[derive(Debug)]
pub struct Fleet {
    targets: Vec<Target>,
    providers: Vec<Provider>,
    /// The route's retry budget.
    pub route: RouteCell,
}

#[derive(Debug)]
struct Target {
    facts: TargetFacts,
    cell: TargetCell,
    price: NanoDollars,
    in_flight: u32,
}

#[derive(Debug)]
struct Provider {
    domain: DomainIx,
    cell: ProviderCell,
    credentials: Vec<CredentialCell>,
}

/// The fleet at one moment: what policy looks at.
pub struct View<'a> {
    fleet: &'a Fleet,
    now: Now,
}

impl Fleet {
    /// Cells that nothing bad is known of.
    pub fn new(scenario: &Scenario, seed: u64) -> Fleet {
        assert!(
            scenario.targets.len() <= TARGETS_MAX,
            "a scenario has {TARGETS_MAX} targets at most"
        );
        let provider = |(n, p): (u64, &crate::scenario::ScriptedProvider)| Provider {
            domain: DomainIx(p.domain),
            cell: ProviderCell::new(scenario.breaker, chance::source(seed, &[1, n]).bits()),
            credentials: vec![CredentialCell::new(scenario.rest); p.credentials as usize],
        };
        let target = |n: usize| Target {
            facts: scenario.facts(n),
            cell: TargetCell::new(
                scenario.breaker,
                scenario.rest,
                chance::source(seed, &[2, n as u64]).bits(),
            ),
            price: scenario.targets[n].price,
            in_flight: 0,
        };
        Fleet {
            targets: (0..scenario.targets.len()).map(target).collect(),
            providers: (0..).zip(&scenario.providers).map(provider).collect(),
            route: RouteCell::new(scenario.route.retry_budget),
        }
    }

    /// What policy looks at.
    pub fn view(&self, now: Now) -> View<'_> {
        View { fleet: self, now }
    }

    /// Leave for an attempt from everyone who has a say: the provider, the credential, the target.
    pub fn admit(&mut self, launch: &Launch, now: Now) -> Option<Permit> {
        let target = &mut self.targets[launch.target.0 as usize];
        let provider = &mut self.providers[target.facts.provider.0 as usize];
        let credential = provider.credentials.get_mut(launch.credential.0 as usize)?;
        let permit = admit(&mut target.cell, &mut provider.cell, credential, launch, now)?;
        target.in_flight += 1;
        Some(permit)
    }

    /// Gives a permit back and passes the news on to the provider's breaker.
    pub fn settle(
        &mut self,
        target: TargetIx,
        permit: Permit,
        verdict: Verdict,
        call: CallTag,
        now: Now,
    ) -> Option<Transition> {
        let transition = self.targets[target.0 as usize].cell.settle(permit, verdict, call, now);
        if let Some(transition) = transition {
            self.provider_mut(target).cell.target_transition(target, transition);
        }
        transition
    }

    /// An attempt at the target is over.
    pub fn ended(&mut self, target: TargetIx) {
        let target = &mut self.targets[target.0 as usize];
        target.in_flight = target.in_flight.saturating_sub(1);
    }

    /// Someone was told to rest.
    pub fn rest(&mut self, target: TargetIx, news: RestNews, now: Now) {
        match news.scope {
            Scope::Credential => {
                let credentials = &mut self.provider_mut(target).credentials;
                if let Some(cell) = credentials.get_mut(news.credential.0 as usize) {
                    cell.rest(news.reason, news.hint, now);
                }
            }
            Scope::Target | Scope::CredentialAtTarget | Scope::Provider => {
                self.targets[target.0 as usize].cell.rest(news, now);
            }
        }
    }

    /// A credential worked.
    pub fn recovered(&mut self, target: TargetIx, credential: CredentialIx) {
        let credentials = &mut self.provider_mut(target).credentials;
        if let Some(cell) = credentials.get_mut(credential.0 as usize) {
            cell.recovered();
        }
        self.targets[target.0 as usize].cell.recovered(credential);
    }

    /// A credential's probe ended without success.
    pub fn credential_released(&mut self, target: TargetIx, credential: CredentialIx) {
        let credentials = &mut self.provider_mut(target).credentials;
        if let Some(cell) = credentials.get_mut(credential.0 as usize) {
            cell.release();
        }
        self.targets[target.0 as usize].cell.release_credential(credential);
    }

    /// Whether the target's provider can be reached was not found out.
    pub fn provider_released(&mut self, target: TargetIx) {
        self.provider_mut(target).cell.release();
    }

    /// The target's provider could be reached, or not.
    pub fn connected(&mut self, target: TargetIx, well: bool, now: Now) {
        let cell = &mut self.provider_mut(target).cell;
        if well {
            cell.connected(now);
        } else {
            cell.connect_failed(now);
        }
    }

    /// What rate-limit headers said.
    pub fn headroom(&mut self, target: TargetIx, headroom: Headroom, now: Now) {
        self.targets[target.0 as usize].cell.headroom(headroom, now);
    }

    /// A target whose breaker is open answered a health check. `None`: it was not open.
    pub fn health_ok(&mut self, target: TargetIx, now: Now) -> Option<Transition> {
        if self.breaker(target, now) != BreakerState::Open {
            return None;
        }
        self.provider_mut(target).cell.health_ok(now);
        let transition = self.targets[target.0 as usize].cell.health_ok(now)?;
        self.provider_mut(target).cell.target_transition(target, transition);
        Some(transition)
    }

    /// What a target's own breaker lets through.
    pub fn breaker(&self, target: TargetIx, now: Now) -> BreakerState {
        self.targets[target.0 as usize].cell.state(now)
    }

    /// Whether the target's provider is open.
    pub fn provider_open(&self, target: TargetIx, now: Now) -> bool {
        self.provider(target).cell.is_open(now)
    }

    /// Until when a target, or all its credentials, rest, and why.
    pub fn resting(&self, target: TargetIx, now: Now) -> Option<(Mono, RestReason)> {
        let own = &self.targets[target.0 as usize].cell;
        let credentials = self.provider(target).credentials.iter().enumerate();
        let by_credential = credentials
            .map(|(n, credential)| {
                let here = own.credential_usable(CredentialIx(n as u32), now);
                let rests = [credential.usable(now), here].map(|usable| match usable {
                    Usable::No { until, why } => Some((until, why)),
                    Usable::Yes | Usable::Probation => None,
                });
                rests[0].max(rests[1])
            })
            .min()
            .flatten();
        own.resting(now).max(by_credential)
    }

    /// Targets that a call could be sent to now, as it would be planned: fit for it, ready or to be probed.
    pub fn open_to(&self, call: &CallFacts, now: Now) -> TargetSet {
        self.set(|target, n| {
            let admission = self.view(now).status(TargetIx(n), now).admission;
            call.spend != SpendLevel::Exhausted
                && capability::gate(call, &target.facts, call.prompt_tokens_estimate).is_none()
                && matches!(admission, Admission::Ready | Admission::Probe)
        })
    }

    /// Targets that a call may use without any reserve: fit for it, ready, neither short of headroom nor of a troubled
    /// domain.
    pub fn ready_for(&self, call: &CallFacts, now: Now) -> TargetSet {
        let view = self.view(now);
        self.set(|target, n| {
            let status = view.status(TargetIx(n), now);
            call.spend != SpendLevel::Exhausted
                && capability::gate(call, &target.facts, call.prompt_tokens_estimate).is_none()
                && status.admission == Admission::Ready
                && !status.no_headroom
                && !view.troubled_domain(target.facts.domain)
        })
    }

    /// Targets that others are preferred to for now, that rest, that are kept out by their provider, or not fit for the
    /// call.
    pub fn put_last(&self, call: &CallFacts, now: Now) -> TargetSet {
        let view = self.view(now);
        self.set(|target, n| {
            // Money may prefer any other.
            call.spend != SpendLevel::Quality
                || capability::gate(call, &target.facts, call.prompt_tokens_estimate).is_some()
                || self.provider_open(TargetIx(n), now)
                || self.resting(TargetIx(n), now).is_some()
                || view.status(TargetIx(n), now).no_headroom
                || view.troubled_domain(target.facts.domain)
        })
    }

    fn set(&self, holds: impl Fn(&Target, u32) -> bool) -> TargetSet {
        let places = (0u32..).zip(&self.targets);
        TargetSet::of(places.filter(|(n, target)| holds(target, *n)).map(|(n, _)| TargetIx(n)))
    }

    fn provider(&self, target: TargetIx) -> &Provider {
        &self.providers[self.targets[target.0 as usize].facts.provider.0 as usize]
    }

    fn provider_mut(&mut self, target: TargetIx) -> &mut Provider {
        &mut self.providers[self.targets[target.0 as usize].facts.provider.0 as usize]
    }
}

impl TargetsView for View<'_> {
    fn facts(&self, target: TargetIx) -> &TargetFacts {
        &self.fleet.targets[target.0 as usize].facts
    }

    fn status(&self, target: TargetIx, now: Now) -> TargetStatus {
        let known = &self.fleet.targets[target.0 as usize];
        let provider = self.fleet.provider(target);
        target_status(
            &known.cell,
            &provider.cell,
            provider.credentials.iter(),
            known.in_flight,
            now,
        )
    }

    fn retry_allowed(&self, now: Now) -> bool {
        self.fleet.route.retry_allowed(now)
    }

    fn troubled_domain(&self, domain: DomainIx) -> bool {
        let of_domain = self.fleet.providers.iter().filter(|p| p.domain == domain);
        of_domain.filter(|p| p.cell.is_open(self.now)).count() >= 2
    }

    fn expected_cost(&self, target: TargetIx, _: &CallFacts) -> Option<NanoDollars> {
        Some(self.fleet.targets[target.0 as usize].price)
    }

    fn other_credential(&self, target: TargetIx, tried: &[CredentialIx], now: Now) -> Option<CredentialIx> {
        let known = &self.fleet.targets[target.0 as usize];
        let provider = self.fleet.provider(target);
        other_credential(&known.cell, provider.credentials.iter(), tried, now)
    }
}
