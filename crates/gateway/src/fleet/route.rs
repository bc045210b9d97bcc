//! A route made ready: its policy, its targets with their cells, and the view of them that policy decides on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use http::Uri;
use policy::call::facts::CallFacts;
use policy::route::RoutePolicy;
use policy::route_cell::RouteCell;
use policy::target::{DomainIx, TargetFacts};
use policy::usual::UsualOutput;
use policy::view::{TargetStatus, TargetsView, other_credential, target_status};
use types::ids::{CredentialIx, TargetId, TargetIx};
use types::money::NanoDollars;
use types::prices::Prices;
use types::time::Now;
use wire::adjust::Adjustment;

use crate::config::cache::RouteCache;
use crate::fleet::memory::{TargetState, lock};
use crate::fleet::provider::Provider;
use crate::spend::quote::{Quote, Size};
use crate::telemetry::metrics::{RouteMetrics, TargetMetrics};

/// A route made ready.
pub struct Route {
    /// Tiers, timeouts, what to do when.
    pub policy: Arc<RoutePolicy>,
    /// The table that the policy's `TargetIx` points into.
    pub targets: Vec<Target>,
    /// Targets of the configuration that cannot serve, with the reason.
    pub left_out: Vec<(TargetId, String)>,
    /// What each tier's targets are told besides the caller's words, by tier; tiers past the end change nothing.
    pub prompts: Vec<Adjustment>,
    /// Answers carry a `jumpseat` object.
    pub metadata_in_body: bool,
    /// How its answers are kept and given again.
    pub cache: RouteCache,
    /// Its retry budget.
    pub cell: Arc<Mutex<RouteCell>>,
    /// Its metrics.
    pub metrics: RouteMetrics,
    /// The client named the target itself: there is no route of the configuration behind it.
    pub direct: bool,
    /// Providers of each failure domain that has more than one: what `troubled_domain` counts.
    pub shared_domains: Arc<Vec<(DomainIx, Vec<Arc<Provider>>)>>,
}

/// A target of a route made ready.
pub struct Target {
    /// What never changes about it.
    pub facts: TargetFacts,
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// What is known of it.
    pub state: Arc<TargetState>,
    /// Where unary calls go.
    pub uri: Uri,
    /// Where streams go.
    pub stream_uri: Uri,
    /// Output limit where the dialect requires one and the client gave none.
    pub max_output_default: u64,
    /// What its tokens cost, where anyone says.
    pub prices: Option<Arc<Prices>>,
    /// How long its answers at this route usually are.
    pub usual: Arc<Mutex<UsualOutput>>,
    /// Its metrics.
    pub metrics: Arc<TargetMetrics>,
}

impl Route {
    /// A target by its place in the table.
    pub fn target(&self, target: TargetIx) -> &Target {
        &self.targets[target.0 as usize]
    }

    /// What the targets of a tier, from 0, are told besides the caller's words; `None` when nothing.
    pub fn prompt(&self, tier: u32) -> Option<&Adjustment> {
        self.prompts.get(tier as usize).filter(|prompt| !prompt.is_none())
    }
}

/// A route's targets as they stand at one moment: what policy looks at.
pub struct View<'a> {
    route: &'a Route,
    now: Now,
}

impl Route {
    /// What policy looks at.
    pub fn view(&self, now: Now) -> View<'_> {
        View { route: self, now }
    }
}

impl TargetsView for View<'_> {
    fn facts(&self, target: TargetIx) -> &TargetFacts {
        &self.route.target(target).facts
    }

    fn status(&self, target: TargetIx, now: Now) -> TargetStatus {
        let target = self.route.target(target);
        let provider = lock(&target.provider.cell);
        let cell = lock(&target.state.cell);
        let credentials: Vec<_> = target.provider.credentials.iter().map(|c| lock(&c.cell)).collect();
        let in_flight = target.state.in_flight.load(Ordering::Relaxed);
        target_status(&cell, &provider, credentials.iter().map(|c| &**c), in_flight, now)
    }

    fn prompt_tokens(&self, target: TargetIx, call: &CallFacts) -> u64 {
        lock(&self.route.target(target).state.tokens).estimate(call.prompt_chars)
    }

    fn expected_cost(&self, target: TargetIx, call: &CallFacts) -> Option<NanoDollars> {
        Quote::new(self.route.target(target), &Size::of(call)).cost
    }

    fn other_credential(&self, target: TargetIx, tried: &[CredentialIx], now: Now) -> Option<CredentialIx> {
        let target = self.route.target(target);
        let cell = lock(&target.state.cell);
        let credentials: Vec<_> = target.provider.credentials.iter().map(|c| lock(&c.cell)).collect();
        other_credential(&cell, credentials.iter().map(|c| &**c), tried, now)
    }

    fn retry_allowed(&self, now: Now) -> bool {
        lock(&self.route.cell).retry_allowed(now)
    }

    fn troubled_domain(&self, domain: DomainIx) -> bool {
        let providers = self
            .route
            .shared_domains
            .iter()
            .find(|(d, _)| *d == domain)
            .map(|(_, providers)| providers);
        providers.is_some_and(|p| p.iter().filter(|p| p.in_trouble(self.now)).count() >= 2)
    }
}
