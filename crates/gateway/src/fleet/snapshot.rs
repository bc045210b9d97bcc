//! One configuration made ready. A reload builds the next one and swaps it whole; a call keeps the one it began with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use policy::target::DomainIx;
use types::dialect::Operation;
use types::ids::{ModelName, ProviderId, RouteName, TargetId};

use crate::config::Loaded;
use crate::config::cache::{OnAllFailed, RouteCache};
use crate::config::prompt::Prompt;
use crate::config::topology::{DIRECT, ProviderSpec, Resolution, RouteSpec, Topology};
use crate::fleet::memory::{Memory, lock};
use crate::fleet::provider::Provider;
use crate::fleet::route::{Route, Target};
use crate::spend::budget::Budgets;
use crate::telemetry::metrics::{Metrics, TargetMetrics};
use crate::upstream::fetch::Fetcher;
use crate::upstream::link::Dialer;

/// Routes made for targets that clients named themselves. At the limit further ones are made for each call anew, and
/// share one label in the metrics: names in requests must not grow memory or labels.
const DIRECT_ROUTES_MAX: usize = 512;

/// One configuration made ready.
pub struct Snapshot {
    /// What was configured.
    pub loaded: Loaded,
    /// Counts up with every reload, from 1.
    pub generation: u64,
    /// The providers, in the order of the configuration; disabled ones are absent.
    pub providers: Vec<Option<Arc<Provider>>>,
    /// The routes, in the order of the configuration.
    pub routes: Vec<Arc<Route>>,
    /// Its budgets.
    pub budgets: Budgets,
    /// Fetches what requests name by URL, within the configuration's limits.
    pub fetcher: Fetcher,
    direct: Mutex<BTreeMap<(RouteName, TargetId), Arc<Route>>>,
    shared_domains: Arc<Vec<(DomainIx, Vec<Arc<Provider>>)>>,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
}

/// What a model's name leads to.
pub enum Found {
    /// A route, configured or made for the one target that was named.
    Route(Arc<Route>),
    /// Nothing; the nearest names that would have led somewhere.
    Nothing(Vec<String>),
}

impl Snapshot {
    /// Makes a configuration ready. Providers that did not change keep their connections.
    pub fn build(
        loaded: Loaded,
        dialer: &Dialer,
        memory: &Arc<Memory>,
        metrics: &Arc<Metrics>,
        before: Option<&Snapshot>,
    ) -> anyhow::Result<Snapshot> {
        let mut providers: Vec<Option<Arc<Provider>>> = Vec::new();
        for spec in &loaded.topology.providers {
            let topology = &loaded.topology;
            let provider = match before.and_then(|b| b.unchanged(spec)) {
                _ if !spec.enabled => None,
                Some(unchanged) => {
                    unchanged.reconfigure(&topology.breaker, &topology.rest);
                    unchanged.reread();
                    Some(unchanged)
                }
                None => {
                    let dialer = match &spec.tls_ca {
                        Some(ca) => dialer
                            .trusting(ca)
                            .with_context(|| format!("`tls_ca` of provider `{}`", spec.id))?,
                        None => dialer.clone(),
                    };
                    Some(Arc::new(Provider::new(
                        spec,
                        dialer,
                        memory,
                        &topology.breaker,
                        &topology.rest,
                    )))
                }
            };
            providers.push(provider);
        }
        let mut snapshot = Snapshot {
            generation: before.map_or(1, |b| b.generation + 1),
            shared_domains: Arc::new(shared_domains(&providers)),
            providers,
            routes: Vec::new(),
            budgets: Budgets::new(&loaded.config, before.map(|b| &b.budgets)),
            fetcher: Fetcher::new(loaded.config.fetch.clone()),
            direct: Mutex::default(),
            memory: memory.clone(),
            metrics: metrics.clone(),
            loaded,
        };
        snapshot.routes = snapshot
            .loaded
            .topology
            .routes
            .iter()
            .map(|spec| snapshot.route(spec, false).map(Arc::new))
            .collect::<anyhow::Result<_>>()?;
        Ok(snapshot)
    }

    /// What was configured, as policy and the engine read it.
    pub fn topology(&self) -> &Topology {
        &self.loaded.topology
    }

    /// What a client's `model` leads to.
    pub fn find(&self, model: &str) -> Found {
        match self.loaded.topology.resolve(model) {
            Resolution::Route(index) => Found::Route(self.routes[index].clone()),
            Resolution::Direct(spec) => self.direct_route(&spec),
            Resolution::Unknown { nearest } => Found::Nothing(nearest),
        }
    }

    /// Every target of the configuration's routes and of the direct routes made so far, each once.
    pub fn targets(&self) -> Vec<(Arc<Route>, usize)> {
        let direct = lock(&self.direct);
        let mut seen = std::collections::BTreeSet::new();
        let mut targets = Vec::new();
        for route in self.routes.iter().chain(direct.values()) {
            for (index, target) in route.targets.iter().enumerate() {
                if seen.insert(target.facts.id.clone()) {
                    targets.push((route.clone(), index));
                }
            }
        }
        targets
    }

    /// A route made for a name that no route of the configuration has; remembered by who serves it and as what.
    fn direct_route(&self, spec: &RouteSpec) -> Found {
        let Some(first) = spec.targets.first().map(|t| t.facts.id.clone()) else {
            return Found::Nothing(Vec::new());
        };
        let key = (spec.policy.name.clone(), first);
        if let Some(known) = lock(&self.direct).get(&key) {
            return Found::Route(known.clone());
        }
        let Ok(route) = self.route(spec, true).map(Arc::new) else {
            return Found::Nothing(Vec::new());
        };
        let mut direct = lock(&self.direct);
        if direct.len() < DIRECT_ROUTES_MAX {
            direct.insert(key, route.clone());
        }
        Found::Route(route)
    }

    fn route(&self, spec: &RouteSpec, made_for_a_name: bool) -> anyhow::Result<Route> {
        let crowded = made_for_a_name && lock(&self.direct).len() >= DIRECT_ROUTES_MAX;
        let mut targets = Vec::with_capacity(spec.targets.len());
        for target in &spec.targets {
            let id = &target.facts.id;
            let Some(Some(provider)) = self.providers.get(target.provider) else {
                bail!("target `{id}` belongs to a provider that is not enabled");
            };
            let uri = |stream| {
                let path = provider
                    .hosting
                    .path(provider.dialect, Operation::Generate, target.model.as_str(), stream);
                path.and_then(|path| provider.uri(&path))
                    .with_context(|| format!("target `{id}` makes no valid URL"))
            };
            let topology = &self.loaded.topology;
            targets.push(Target {
                uri: uri(false)?,
                stream_uri: uri(true)?,
                usual: self.memory.usual(&spec.policy.name, id),
                state: self.memory.target(id, &topology.breaker, &topology.rest),
                metrics: self.target_metrics(id, crowded),
                provider: provider.clone(),
                max_output_default: target.max_output_default,
                prices: target.prices.clone(),
                facts: target.facts.clone(),
            });
        }
        Ok(Route {
            policy: spec.policy.clone(),
            targets,
            left_out: spec
                .left_out
                .iter()
                .map(|l| (l.target.clone(), l.reason.clone()))
                .collect(),
            prompts: spec.prompts.iter().map(Prompt::adjustment).collect(),
            metadata_in_body: spec.metadata_in_body,
            cache: self.cache(spec),
            cell: self.memory.route(&spec.policy.name, &spec.policy.retry_budget),
            metrics: self.metrics.route(spec.policy.name.as_str()),
            direct: spec.policy.name.as_str() == DIRECT,
            shared_domains: self.shared_domains.clone(),
        })
    }

    /// A route's own words on caching before the global ones, which are all that a direct route has.
    fn cache(&self, spec: &RouteSpec) -> RouteCache {
        let config = &self.loaded.config;
        match config.routes.get(spec.policy.name.as_str()) {
            Some(route) => route.cache.or(&config.cache).route(route.on_all_failed),
            None => config.cache.route(OnAllFailed::Error),
        }
    }

    fn target_metrics(&self, id: &TargetId, crowded: bool) -> Arc<TargetMetrics> {
        let others = || TargetId::new(&ProviderId::from(id.provider()), &ModelName::from("other"));
        Arc::new(if crowded {
            self.metrics.target(&others())
        } else {
            self.metrics.target(id)
        })
    }

    fn unchanged(&self, spec: &ProviderSpec) -> Option<Arc<Provider>> {
        let index = self
            .loaded
            .topology
            .providers
            .iter()
            .position(|known| known.same_as(spec))?;
        self.providers[index].clone()
    }
}

fn shared_domains(providers: &[Option<Arc<Provider>>]) -> Vec<(DomainIx, Vec<Arc<Provider>>)> {
    let mut domains: BTreeMap<u32, Vec<Arc<Provider>>> = BTreeMap::new();
    for provider in providers.iter().flatten() {
        domains.entry(provider.domain.0).or_default().push(provider.clone());
    }
    domains
        .into_iter()
        .filter(|(_, p)| p.len() > 1)
        .map(|(d, p)| (DomainIx(d), p))
        .collect()
}
