//! A configuration as the engine reads it: providers, routes and targets by position, and what a model's name leads to.
//!
//! Everything here is valid: names resolve, no route is empty, disabled providers are left out with the reason.
//! It holds no state; cells are kept by target and credential elsewhere, so that they outlive a reload.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use policy::route::{BreakerPolicy, RestPolicy, RoutePolicy, TierTarget};
use policy::target::{DomainIx, ProviderIx, TargetFacts};
use types::dialect::DialectName;
use types::ids::{CredentialId, FailureDomain, ModelName, ProviderId, RouteName, TargetId, TargetIx};
use types::prices::Prices;
use wire::hosting::Hosting;
use wire::quirks::Quirks;

use crate::config::catalog::{Catalog, ProviderRow};
use crate::config::credential::Source;
use crate::config::entries::Entries;
use crate::config::env::Env;
use crate::config::glob::Glob;
use crate::config::model::Model;
use crate::config::nearest::nearest;
use crate::config::prompt::Prompt;
use crate::config::settings::Settings;

/// The name of routes that are made for a target which the client named itself.
pub const DIRECT: &str = "direct";
/// Longer names in a client's `model` lead nowhere.
const MODEL_LEN_MAX: usize = 256;
/// What a model may answer at most where the dialect must be told and nobody knows.
const MAX_OUTPUT_UNKNOWN: u64 = 4096;

/// A configuration as the engine reads it.
#[derive(Debug, Clone)]
pub struct Topology {
    /// In the order of the configuration; disabled ones too.
    pub providers: Vec<ProviderSpec>,
    /// The table that [`DomainIx`] points into.
    pub domains: Vec<FailureDomain>,
    /// In the order of the configuration.
    pub routes: Vec<RouteSpec>,
    /// For every breaker.
    pub breaker: BreakerPolicy,
    /// For every rest.
    pub rest: RestPolicy,
    /// What routes say where they say nothing; direct routes have nothing else.
    pub(super) defaults: Settings,
    /// Answers of direct routes carry a `jumpseat` object.
    pub(super) metadata_in_body: bool,
    /// There is no configuration file: a bare model name takes route `default`, see [`crate::config::environment`].
    pub(super) stand_ins: bool,
    /// Route names, and the plain names of routes' `models`.
    pub(super) names: BTreeMap<String, usize>,
    /// The patterns of routes' `models`, in the order of the configuration.
    pub(super) globs: Vec<(Glob, usize)>,
}

/// Who serves.
#[derive(Clone)]
pub struct ProviderSpec {
    /// Its name.
    pub id: ProviderId,
    /// The dialect it speaks.
    pub dialect: DialectName,
    /// As its own SDK takes it, without a slash at the end. An `http` or `https` URL.
    pub base_url: String,
    /// What is shown to it, in the order they are tried. Never empty when enabled: a provider that needs no key has one that
    /// shows nothing.
    pub credentials: Vec<Credential>,
    /// What fails with it.
    pub domain: DomainIx,
    /// Headers of every request to it, valid ones.
    pub headers: Vec<(String, String)>,
    /// `false`: its key is not set, see [`ProviderSpec::disabled`].
    pub enabled: bool,
    /// Why it is not enabled.
    pub disabled: Option<String>,
    /// How its dialect is served there.
    pub hosting: Hosting,
    /// Where its credentials' files and variables are read again.
    pub env: Arc<dyn Env + Send + Sync>,
    /// Certificates trusted besides the public ones.
    pub tls_ca: Option<PathBuf>,
    /// How its requests differ from those of its dialect.
    pub quirks: Quirks,
    /// The catalog's row it takes after.
    pub(super) row: Option<String>,
    /// What the operator says of its models.
    pub(super) models: Entries<Model>,
}

/// What is shown to a provider.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its name in logs and metrics: `openai#1`.
    pub id: CredentialId,
    /// Where it comes from.
    pub source: Source,
}

/// A route with the table its policy's [`TargetIx`] points into.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// Tiers and policy.
    pub policy: Arc<RoutePolicy>,
    /// The targets, each once, whatever the number of tiers it stands in. Never empty.
    pub targets: Vec<TargetSpec>,
    /// Targets that were configured and cannot serve.
    pub left_out: Vec<LeftOut>,
    /// What each tier's targets are told besides the caller's words, by tier; tiers past the end change nothing.
    pub prompts: Vec<Prompt>,
    /// Answers carry a `jumpseat` object.
    pub metadata_in_body: bool,
}

/// One model at one enabled provider.
#[derive(Debug, Clone)]
pub struct TargetSpec {
    /// What policy knows of it.
    pub facts: TargetFacts,
    /// Position in [`Topology::providers`].
    pub provider: usize,
    /// The model as the provider calls it.
    pub model: ModelName,
    /// Output limit where the dialect requires one and the client gave none, in tokens.
    pub max_output_default: u64,
    /// What it costs, where that is known.
    pub prices: Option<Arc<Prices>>,
}

/// A configured target that cannot serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub target: TargetId,
    /// The tier it stands in, from 0.
    pub tier: u32,
    /// Why.
    pub reason: String,
}

/// What a client's `model` leads to.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// Position in [`Topology::routes`].
    Route(usize),
    /// A route made for this name: [`DIRECT`] for `provider/model` and a bare name the catalog knows, with one tier and one
    /// target; `default` for a bare name where there is no configuration file.
    Direct(RouteSpec),
    /// Nowhere.
    Unknown {
        /// Names near to it that lead somewhere, the nearest first.
        nearest: Vec<String>,
    },
}

/// A name that leads somewhere, for `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// What a client may put in `model`.
    pub id: String,
    /// The provider, or `jumpseat` for a route.
    pub owned_by: String,
}

impl Topology {
    /// What a client's `model` leads to: a route, a route's `models`, `provider/model`, a bare name the catalog knows.
    pub fn resolve(&self, model: &str) -> Resolution {
        if let Some(route) = self.names.get(model) {
            return Resolution::Route(*route);
        }
        let sound = !model.is_empty() && model.len() <= MODEL_LEN_MAX && !model.contains(char::is_control);
        if sound {
            if let Some((_, route)) = self.globs.iter().find(|(glob, _)| glob.matches(model)) {
                return Resolution::Route(*route);
            }
            let named = model
                .split_once('/')
                .and_then(|(provider, model)| Some((self.enabled(provider)?, model)));
            if let Some((provider, model)) = named.filter(|(_, model)| !model.is_empty()) {
                return Resolution::Direct(self.direct(provider, model));
            }
            if self.stand_ins {
                if let Some(route) = self.default_route(model) {
                    return Resolution::Direct(route);
                }
            } else if let Some(provider) = self.owner(model) {
                return Resolution::Direct(self.direct(provider, model));
            }
        }
        Resolution::Unknown {
            nearest: self.nearest(model),
        }
    }

    /// A provider by its name, enabled or not.
    pub fn provider(&self, name: &str) -> Option<&ProviderSpec> {
        self.providers.iter().find(|p| p.id.as_str() == name)
    }

    /// Every name that leads somewhere: routes, their plain `models`, then what the catalog knows of enabled providers.
    pub fn listed(&self) -> Vec<ListedModel> {
        let route = |name: &str| ListedModel {
            id: name.to_owned(),
            owned_by: "jumpseat".to_owned(),
        };
        let mut listed: Vec<ListedModel> = Vec::new();
        // Routes first, in their order; the map is in the order of the alphabet.
        for spec in &self.routes {
            let name = spec.policy.name.as_str();
            if self.names.contains_key(name) && !listed.iter().any(|l| l.id == name) {
                listed.push(route(name));
            }
        }
        for name in self.names.keys() {
            if !listed.iter().any(|l| l.id == *name) {
                listed.push(route(name));
            }
        }
        for provider in self.providers.iter().filter(|p| p.enabled) {
            listed.extend(provider.known_models().map(|m| ListedModel {
                id: format!("{}/{m}", provider.id),
                owned_by: provider.id.to_string(),
            }));
        }
        listed
    }

    /// A target's facts: what the operator says of its model, else the catalog, else the generous guess.
    pub(super) fn target(&self, provider: usize, model: &str) -> TargetSpec {
        let spec = &self.providers[provider];
        let known = spec.model(model);
        let model = ModelName::from(model);
        let features = known.abilities();
        let reasoning = known.reasoning.unwrap_or(false);
        let prefill = known.prefill.unwrap_or(false);
        TargetSpec {
            facts: TargetFacts {
                id: TargetId::new(&spec.id, &model),
                provider: ProviderIx(provider as u32),
                domain: spec.domain,
                features,
                context_window: known.context_window,
                max_output: known.max_output,
                reasoning,
                prefill,
                credentials: spec.credentials.len() as u32,
                model_tier: known.model_tier,
            },
            provider,
            model,
            max_output_default: known.max_output.unwrap_or(MAX_OUTPUT_UNKNOWN),
            prices: known.price.as_ref().map(|price| Arc::new(price.prices())),
        }
    }

    /// One tier, one target.
    fn direct(&self, provider: usize, model: &str) -> RouteSpec {
        let mut tier = self.defaults.tier_policy();
        tier.targets = vec![TierTarget {
            target: TargetIx(0),
            weight: 1,
        }];
        RouteSpec {
            policy: Arc::new(self.defaults.policy(RouteName::from(DIRECT), vec![tier])),
            targets: vec![self.target(provider, model)],
            left_out: Vec::new(),
            prompts: Vec::new(),
            metadata_in_body: self.metadata_in_body,
        }
    }

    fn enabled(&self, name: &str) -> Option<usize> {
        self.providers.iter().position(|p| p.enabled && p.id.as_str() == name)
    }

    /// The enabled provider of a bare name: its maker before those who host it, else in the order of the configuration.
    pub(super) fn owner(&self, model: &str) -> Option<usize> {
        let serves = |makers: bool| {
            self.providers
                .iter()
                .position(|p| p.enabled && p.is_maker() == makers && p.known(model).is_some())
        };
        serves(true).or_else(|| serves(false))
    }

    fn nearest(&self, model: &str) -> Vec<String> {
        let enabled = || self.providers.iter().filter(|p| p.enabled);
        let mut names: Vec<String> = self.names.keys().cloned().collect();
        names.extend(enabled().flat_map(|p| p.known_models().map(str::to_owned)));
        if model.contains('/') {
            names.extend(enabled().flat_map(|p| p.known_models().map(|m| format!("{}/{m}", p.id))));
        }
        nearest(model, names.iter().map(String::as_str))
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}

impl fmt::Debug for ProviderSpec {
    /// Without the headers' values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSpec")
            .field("id", &self.id)
            .field("dialect", &self.dialect)
            .field("base_url", &self.base_url)
            .field("credentials", &self.credentials)
            .field("domain", &self.domain)
            .field(
                "headers",
                &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl ProviderSpec {
    /// Whether nothing about it changed, so that its connections may be kept over a reload.
    pub fn same_as(&self, other: &ProviderSpec) -> bool {
        let sources =
            |spec: &ProviderSpec| -> Vec<Source> { spec.credentials.iter().map(|c| c.source.clone()).collect() };
        self.id == other.id
            && self.dialect == other.dialect
            && self.base_url == other.base_url
            && self.domain == other.domain
            && self.headers == other.headers
            && self.enabled == other.enabled
            && self.hosting == other.hosting
            && self.tls_ca == other.tls_ca
            && self.quirks == other.quirks
            && sources(self) == sources(other)
    }

    /// What is known of one of its models; nothing of an unknown one.
    pub fn model(&self, model: &str) -> Model {
        self.known(model).unwrap_or_default()
    }

    /// What is known of one of its models, if it is known at all.
    pub(super) fn known(&self, model: &str) -> Option<Model> {
        let row = self.row.as_deref();
        let shipped = row.and_then(|row| {
            let catalog = Catalog::shipped();
            catalog
                .model(row, model)
                .or_else(|| catalog.model(row, undated(model)?))
        });
        match (self.models.get(model), shipped) {
            (Some(said), Some(shipped)) => Some(said.or(shipped)),
            (Some(said), None) => Some(said.clone()),
            (None, shipped) => shipped.cloned(),
        }
    }

    /// The names of its models that are known: the operator's, then the catalog's.
    pub fn known_models(&self) -> impl Iterator<Item = &str> {
        let shipped = self
            .row
            .as_deref()
            .into_iter()
            .flat_map(|row| Catalog::shipped().model_names(row));
        let shipped = shipped.filter(|name| self.models.get(name).is_none());
        self.models.names().chain(shipped)
    }

    /// The row of the catalog it takes after.
    pub(super) fn row(&self) -> Option<&'static ProviderRow> {
        self.row.as_deref().and_then(|row| Catalog::shipped().provider(row))
    }

    fn is_maker(&self) -> bool {
        self.row().is_some_and(|row| row.maker)
    }
}

/// `gpt-4o-2024-08-06` and `claude-haiku-4-5-20251001` without their day: a dated name has its family's facts.
fn undated(model: &str) -> Option<&str> {
    let digits = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((name, day)) = model.rsplit_once('-')
        && digits(day)
    {
        return Some(name);
    }
    let day = model.get(model.len().checked_sub(11)?..)?;
    let is_day = day.bytes().enumerate().all(|(at, b)| match at {
        0 | 5 | 8 => b == b'-',
        _ => b.is_ascii_digit(),
    });
    is_day.then(|| &model[..model.len() - 11])
}
