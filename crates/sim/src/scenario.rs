//! A world to be played: one route, its targets and providers with their scripts, and the clients that call.

use std::sync::Arc;
use std::time::Duration;

use policy::route::{BreakerPolicy, RestPolicy, RoutePolicy};
use policy::spend::BudgetPolicy;
use policy::target::{DomainIx, ProviderIx, TargetFacts};
use types::features::Features;
use types::ids::{ModelName, ModelTier, ProviderId, TargetId};
use types::money::NanoDollars;
use types::outcome::OutcomeClass;

use crate::arrival::Arrivals;
use crate::chance::Latency;
use crate::script::TargetScript;

/// Targets a scenario can have: sets of them are kept in 64 bits.
pub const TARGETS_MAX: usize = 64;

/// A world to be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// For messages.
    pub name: String,
    /// The route that all calls take; its targets are places in `targets`.
    pub route: Arc<RoutePolicy>,
    /// Of every target and provider.
    pub breaker: BreakerPolicy,
    /// Of every target and credential.
    pub rest: RestPolicy,
    /// The time between two health checks of open targets; `None`: there are none.
    pub health_check: Option<Duration>,
    /// Who serves.
    pub providers: Vec<ScriptedProvider>,
    /// What they serve.
    pub targets: Vec<ScriptedTarget>,
    /// When calls come.
    pub arrivals: Arrivals,
    /// How many.
    pub calls: u32,
    /// What they ask, and how patient they are.
    pub clients: Clients,
    /// Launches in a thousand that lose the race for a permit.
    pub lost_races_permille: u32,
    /// Who pays; `None`: nobody counts.
    pub budget: Option<ScriptedBudget>,
}

/// A budget that counts all calls of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedBudget {
    /// As configured.
    pub policy: BudgetPolicy,
    /// Calls in a thousand of low priority.
    pub low_permille: u32,
    /// Calls in a thousand of critical priority.
    pub critical_permille: u32,
    /// What an attempt comes to, in thousandths of what it was expected to cost, at least and at most.
    pub actual_permille: (u64, u64),
}

/// A provider of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptedProvider {
    /// What it fails together with.
    pub domain: u32,
    /// How many credentials it has, at least one.
    pub credentials: u32,
}

/// A target of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedTarget {
    /// Place of its provider.
    pub provider: u32,
    /// What its model can do.
    pub features: Features,
    /// Tokens of its window.
    pub context_window: Option<u64>,
    /// It continues a trailing assistant message.
    pub prefill: bool,
    /// How good its model is.
    pub model_tier: Option<ModelTier>,
    /// What an attempt at it is expected to cost. Never nothing.
    pub price: NanoDollars,
    /// What it does.
    pub script: TargetScript,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// Calls in a thousand that want a stream.
    pub stream_permille: u32,
    /// Calls in a thousand whose client leaves, and after which time.
    pub leave: Option<(u32, Latency)>,
    /// Streams in a thousand whose client stops reading once, and for how long.
    pub pause: Option<(u32, Latency)>,
    /// Calls in a thousand that every target answers with the class: the call's own fault.
    pub bad: Vec<(u32, OutcomeClass)>,
    /// Calls in a thousand with a deadline of their own.
    pub deadline: Option<(u32, Duration)>,
    /// Calls in a thousand whose SDK waits only so long for the commit.
    pub commit_within: Option<(u32, Duration)>,
    /// Calls in a thousand that use tools.
    pub tools_permille: u32,
    /// Tokens of a prompt, at least and at most.
    pub prompt_tokens: (u64, u64),
}

impl Default for Clients {
    /// Half of them stream; they are patient and faultless.
    fn default() -> Clients {
        Clients {
            stream_permille: 500,
            leave: None,
            pause: None,
            bad: Vec::new(),
            deadline: None,
            commit_within: None,
            tools_permille: 0,
            prompt_tokens: (10, 1000),
        }
    }
}

impl ScriptedTarget {
    /// A target of a provider that can do everything.
    pub fn new(provider: u32, script: TargetScript) -> ScriptedTarget {
        ScriptedTarget {
            provider,
            features: Features::ALL,
            context_window: None,
            prefill: false,
            model_tier: None,
            price: NanoDollars(1_000_000),
            script,
        }
    }
}

impl Scenario {
    /// Targets each of a provider of its own, on a route, with the house's defaults and patient clients.
    pub fn new(name: &str, route: RoutePolicy, scripts: Vec<TargetScript>) -> Scenario {
        let providers = (0..scripts.len() as u32).map(|domain| ScriptedProvider { domain, credentials: 1 });
        Scenario {
            name: name.to_owned(),
            route: Arc::new(route),
            breaker: BreakerPolicy::default(),
            rest: RestPolicy::default(),
            health_check: None,
            providers: providers.collect(),
            targets: (0..).zip(scripts).map(|(n, s)| ScriptedTarget::new(n, s)).collect(),
            arrivals: Arrivals::Poisson {
                every: Duration::from_millis(500),
            },
            calls: 200,
            clients: Clients::default(),
            lost_races_permille: 0,
            budget: None,
        }
    }

    /// What policy knows of a target.
    pub fn facts(&self, place: usize) -> TargetFacts {
        let target = &self.targets[place];
        let provider = self.providers[target.provider as usize];
        let provider_name = ProviderId::from(format!("provider{}", target.provider));
        TargetFacts {
            id: TargetId::new(&provider_name, &ModelName::from(format!("model{place}"))),
            provider: ProviderIx(target.provider),
            domain: DomainIx(provider.domain),
            features: target.features,
            context_window: target.context_window,
            max_output: None,
            reasoning: false,
            prefill: target.prefill,
            credentials: provider.credentials,
            model_tier: target.model_tier,
        }
    }

    /// The targets of a tier with their weights.
    pub fn tier(&self, tier: usize) -> impl Iterator<Item = (usize, u32)> {
        self.route.tiers[tier]
            .targets
            .iter()
            .map(|t| (t.target.0 as usize, t.weight))
    }
}
