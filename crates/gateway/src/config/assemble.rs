//! From the sections as written to the [`Topology`] the engine reads: names are resolved, rows of the catalog filled in.
//!
//! It tells every error it finds and goes on; the topology is only used when there is none.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};
use policy::route::TierTarget;
use policy::target::DomainIx;
use types::dialect::DialectName;
use types::ids::{FailureDomain, ProviderId, RouteName, TargetIx};
use wire::hosting::Hosting;

use crate::config::Config;
use crate::config::cache::OnAllFailed;
use crate::config::catalog::Catalog;
use crate::config::entries::Entries;
use crate::config::env::Env;
use crate::config::glob::Glob;
use crate::config::nearest::did_you_mean;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::prompt::ResponseMetadata;
use crate::config::provider::Provider;
use crate::config::route::Route;
use crate::config::secret::Secret;
use crate::config::topology::{DIRECT, LeftOut, ProviderSpec, RouteSpec, TargetSpec, Topology};

/// More of a kind than this are refused.
const PROVIDERS_MAX: usize = 1_000;
const ROUTES_MAX: usize = 10_000;

/// Builds the topology and tells what is wrong or doubtful.
pub fn assemble(
    config: &Config,
    root: &Node,
    env: &dyn Env,
    errors: &mut Vec<Notice>,
    warnings: &mut Vec<Notice>,
) -> Topology {
    let mut assembly = Assembly {
        config,
        root,
        env,
        errors,
        warnings,
    };
    let mut topology = Topology {
        providers: Vec::new(),
        domains: Vec::new(),
        routes: Vec::new(),
        breaker: config.breaker.policy(),
        rest: config.rest.policy(),
        defaults: config.defaults.clone(),
        metadata_in_body: config.server.response_metadata == ResponseMetadata::Body,
        stand_ins: false,
        names: BTreeMap::new(),
        globs: Vec::new(),
    };
    assembly.count();
    for (name, provider) in config.providers.iter() {
        let spec = assembly.provider(name, provider, &mut topology.domains);
        topology.providers.push(spec);
    }
    for (name, route) in config.routes.iter() {
        if let Some(spec) = assembly.route(name, route, &topology) {
            topology.names.insert(name.to_owned(), topology.routes.len());
            topology.routes.push(spec);
        }
    }
    assembly.models(&mut topology);
    topology
}

pub(super) struct Assembly<'a> {
    config: &'a Config,
    pub(super) root: &'a Node,
    pub(super) env: &'a dyn Env,
    errors: &'a mut Vec<Notice>,
    warnings: &'a mut Vec<Notice>,
}

impl Assembly<'_> {
    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.errors.push(Notice {
            help,
            ..self.root.notice(place, message)
        });
    }

    pub(super) fn warning(&mut self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.warnings.push(Notice {
            help,
            ..self.root.notice(place, message)
        });
    }

    fn count(&mut self) {
        let (providers, routes) = (self.config.providers.len(), self.config.routes.len());
        if providers == 0 && routes == 0 {
            let help = "write `providers: { openai: { api_key: \"${OPENAI_API_KEY}\" } }`".to_owned();
            self.error(&Place::root(), "there is neither a provider nor a route", Some(help));
        }
        for (key, count, max) in [("providers", providers, PROVIDERS_MAX), ("routes", routes, ROUTES_MAX)] {
            if count > max {
                self.error(&Place::root().key(key), format!("{count} are more than {max}"), None);
            }
        }
    }

    fn provider(&mut self, name: &str, provider: &Provider, domains: &mut Vec<FailureDomain>) -> ProviderSpec {
        let place = Place::root().key("providers").key(name);
        let sound = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !sound {
            self.error(
                &place,
                format!("`{name}` is no provider's name: use letters, digits, `-`, `_` and `.`"),
                None,
            );
        }
        let row_name = self.row_name(name, provider, &place);
        let row = row_name.as_deref().and_then(|n| Catalog::shipped().provider(n));
        // A wrong preset is told already; what it would have filled in need not be.
        let told = provider.preset.is_some() && row.is_none();
        let cloud = self.cloud(provider, row, &place);
        let row_dialect = row.map(|r| r.dialect);
        let dialect = provider.dialect.or(cloud.dialect).or(row_dialect).unwrap_or_else(|| {
            self.missing(told, name, "dialect", "openai_chat", &place);
            DialectName::OpenaiChat
        });
        let base_url = provider
            .base_url
            .clone()
            .or_else(|| cloud.base_url.clone())
            .or_else(|| row.and_then(|r| r.base_url.clone()))
            .unwrap_or_else(|| {
                self.missing(told, name, "base_url", "\"https://…\"", &place);
                "http://127.0.0.1".to_owned()
            });
        let base_url = self.base_url(&base_url, dialect, &cloud.hosting, &place.key("base_url"));
        let (credentials, disabled) = self.credentials(name, provider, row, &cloud, &place);
        if let Some(reason) = &disabled {
            self.warning(&place, format!("disabled: {reason}"), None);
        }
        let domain = provider
            .failure_domain
            .clone()
            .or_else(|| row.and_then(|r| r.failure_domain.clone()));
        let domain = FailureDomain::from(domain.unwrap_or_else(|| row_name.clone().unwrap_or_else(|| name.to_owned())));
        let domain_ix = domains.iter().position(|d| *d == domain).unwrap_or_else(|| {
            domains.push(domain);
            domains.len() - 1
        });
        if let Some(path) = &provider.tls_ca
            && let Err(error) = self.env.file(&path.to_string_lossy())
        {
            self.error(
                &place.key("tls_ca"),
                format!("`{}` cannot be read: {error}", path.display()),
                None,
            );
        }
        ProviderSpec {
            id: ProviderId::from(name.replace('/', "-")),
            dialect,
            base_url,
            enabled: disabled.is_none(),
            credentials,
            disabled,
            domain: DomainIx(domain_ix as u32),
            headers: self.headers(&provider.headers, &place.key("headers")),
            hosting: cloud.hosting,
            env: self.env.kept(),
            tls_ca: provider.tls_ca.clone(),
            quirks: provider
                .quirks
                .clone()
                .or_else(|| row.map(|r| r.quirks.clone()))
                .unwrap_or_default(),
            row: row_name,
            models: provider.models.clone(),
        }
    }

    fn row_name(&mut self, name: &str, provider: &Provider, place: &Place) -> Option<String> {
        let catalog = Catalog::shipped();
        match &provider.preset {
            Some(preset) if catalog.provider(preset).is_none() => {
                let known = || catalog.provider_names();
                let help = did_you_mean(preset, known())
                    .unwrap_or_else(|| format!("one of: {}", known().collect::<Vec<_>>().join(", ")));
                self.error(
                    &place.key("preset"),
                    format!("`{preset}` is no known provider"),
                    Some(help),
                );
                None
            }
            Some(preset) => Some(preset.clone()),
            None => catalog.provider(name).map(|_| name.to_owned()),
        }
    }

    pub(super) fn missing(&mut self, told: bool, name: &str, key: &str, example: &str, place: &Place) {
        if told {
            return;
        }
        let near = did_you_mean(name, Catalog::shipped().provider_names());
        let help = match near {
            Some(near) if Catalog::shipped().provider(name).is_none() => near,
            _ => format!("write `{key}: {example}`"),
        };
        let why = match Catalog::shipped().provider(name) {
            Some(_) => format!("`{key}` is missing: every customer of `{name}` has one of their own"),
            None => format!("`{key}` is missing, and the catalog does not know `{name}`"),
        };
        self.error(place, why, Some(help));
    }

    /// Checks an address and brings it to one form: no slash at the end.
    fn base_url(&mut self, text: &str, dialect: DialectName, hosting: &Hosting, place: &Place) -> String {
        let trimmed = text.trim().trim_end_matches('/');
        let advice = "write it like \"https://api.example.com/v1\"".to_owned();
        let uri = trimmed.parse::<Uri>().ok();
        let Some((uri, scheme)) = uri.as_ref().and_then(|uri| Some((uri, uri.scheme_str()?))) else {
            self.error(place, format!("`{text}` is no URL"), Some(advice));
            return trimmed.to_owned();
        };
        if scheme != "http" && scheme != "https" {
            self.error(place, format!("`{text}` is neither http nor https"), Some(advice));
        } else if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            self.error(
                place,
                "credentials do not belong into the URL",
                Some("write `api_key`".to_owned()),
            );
        } else if uri.query().is_some() || trimmed.contains('#') {
            self.error(place, format!("`{text}` has a query or fragment"), Some(advice));
        } else {
            if *hosting == Hosting::Native {
                self.version_in_path(trimmed, uri.path(), dialect, place);
            }
            self.no_path(hosting, trimmed, uri.path(), place);
        }
        trimmed.to_owned()
    }

    fn version_in_path(&mut self, url: &str, path: &str, dialect: DialectName, place: &Place) {
        let last = path.rsplit('/').next().unwrap_or_default();
        let version = last
            .strip_prefix('v')
            .is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        match dialect {
            DialectName::OpenaiChat | DialectName::OpenaiResponses if path.is_empty() || path == "/" => {
                let help = format!("OpenAI's SDK takes it with the version: probably \"{url}/v1\"");
                self.warning(place, format!("`{url}` has no path"), Some(help));
            }
            DialectName::OpenaiChat | DialectName::OpenaiResponses => {
                if path.ends_with("/chat/completions") {
                    let help = format!("write \"{}\"", url.trim_end_matches("/chat/completions"));
                    self.error(place, format!("`{url}` names one call, not where calls go"), Some(help));
                }
            }
            DialectName::AnthropicMessages | DialectName::Gemini | DialectName::CohereChat if version => {
                let help = format!(
                    "the SDK adds it: probably \"{}\"",
                    url.trim_end_matches(last).trim_end_matches('/')
                );
                self.warning(place, format!("`{url}` ends with a version"), Some(help));
            }
            DialectName::AnthropicMessages
            | DialectName::Gemini
            | DialectName::BedrockConverse
            | DialectName::CohereChat
            | DialectName::OllamaChat => {}
        }
    }

    fn headers(&mut self, headers: &Entries<Secret>, place: &Place) -> Vec<(String, String)> {
        let mut valid = Vec::new();
        for (name, value) in headers.iter() {
            if HeaderName::try_from(name).is_err() {
                self.error(&place.key(name), format!("`{name}` is no header's name"), None);
            } else if HeaderValue::try_from(value.expose()).is_err() {
                self.error(&place.key(name), "a header's value cannot have line breaks", None);
            } else {
                valid.push((name.to_ascii_lowercase(), value.expose().to_owned()));
            }
        }
        valid
    }

    fn cache(&mut self, route: &Route, place: &Place) {
        let providers = &self.config.providers;
        route
            .cache
            .validate(&place.key("cache"), false, providers, self.root, self.errors);
        let made = route.cache.or(&self.config.cache).route(route.on_all_failed);
        if made.on_all_failed == OnAllFailed::Cached && made.exact.is_none() {
            let help = "write `cache: { exact: { ttl: 10m, stale_ttl: 24h } }`".to_owned();
            self.error(&place.key("on_all_failed"), "the route keeps no answers", Some(help));
        }
    }

    fn route(&mut self, name: &str, route: &Route, topology: &Topology) -> Option<RouteSpec> {
        let place = Place::root().key("routes").key(name);
        let errors_before = self.errors.len();
        if name.is_empty() || name.len() > 128 || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.error(
                &place,
                format!("{name:?} is no route's name: use a word without spaces"),
                None,
            );
        }
        if name == DIRECT {
            self.error(
                &place,
                format!("`{DIRECT}` is the name of calls that name their target themselves"),
                None,
            );
        }
        let settings = route.settings();
        settings.validate(&place, self.root, self.errors);
        self.cache(route, &place);
        if route.tiers.is_empty() {
            let help = "write `tiers: [{ targets: [provider/model] }]`".to_owned();
            self.error(&place, "`tiers` is missing", Some(help));
            return None;
        }
        let settings = settings.or(&self.config.defaults);
        let mut targets: Vec<TargetSpec> = Vec::new();
        let mut left_out = Vec::new();
        let mut tiers = Vec::new();
        for (number, tier) in route.tiers.iter().enumerate() {
            let place = place.key("tiers").index(number);
            let said = tier.settings();
            said.validate(&place, self.root, self.errors);
            tier.prompt.validate(&place.key("prompt"), self.root, self.errors);
            let mut policy = said.or(&settings).tier_policy();
            if tier.targets.is_empty() {
                let help = "write `targets: [provider/model]`".to_owned();
                self.error(&place, "`targets` is missing", Some(help));
            }
            for (position, target) in tier.targets.iter().enumerate() {
                let place = place.key("targets").index(position);
                if tier.targets[..position].iter().any(|t| t.target == target.target) {
                    self.error(&place, format!("`{}` is in this tier already", target.target), None);
                    continue;
                }
                let id = &target.target;
                let Some(provider) = topology.providers.iter().position(|p| p.id.as_str() == id.provider()) else {
                    self.no_provider(id.provider(), &place);
                    continue;
                };
                if let Some(reason) = &topology.providers[provider].disabled {
                    let reason = format!("provider `{}` is disabled: {reason}", id.provider());
                    self.warning(&place, format!("`{id}` is left out"), Some(reason.clone()));
                    left_out.push(LeftOut {
                        target: id.clone(),
                        tier: number as u32,
                        reason,
                    });
                    continue;
                }
                let index = targets.iter().position(|t| t.facts.id == *id).unwrap_or_else(|| {
                    targets.push(topology.target(provider, id.model()));
                    targets.len() - 1
                });
                policy.targets.push(TierTarget {
                    target: TargetIx(index as u32),
                    weight: target.weight,
                });
            }
            tiers.push(policy);
        }
        if self.errors.len() > errors_before {
            return None;
        }
        if targets.is_empty() {
            let reasons: Vec<String> = left_out
                .iter()
                .map(|l| format!("`{}`: {}", l.target, l.reason))
                .collect();
            self.error(&place, "no target is left", Some(reasons.join("; ")));
            return None;
        }
        let policy = Arc::new(settings.policy(RouteName::from(name), tiers));
        let metadata = route.response_metadata.unwrap_or(self.config.server.response_metadata);
        Some(RouteSpec {
            policy,
            targets,
            left_out,
            prompts: route.tiers.iter().map(|tier| tier.prompt.clone()).collect(),
            metadata_in_body: metadata == ResponseMetadata::Body,
        })
    }

    fn no_provider(&mut self, name: &str, place: &Place) {
        let configured = || self.config.providers.names();
        let help = match did_you_mean(name, configured()) {
            Some(near) => near,
            None if Catalog::shipped().provider(name).is_some() => format!("write `{name}: {{}}` under `providers`"),
            None => format!("configured are: {}", configured().collect::<Vec<_>>().join(", ")),
        };
        self.error(place, format!("provider `{name}` is not configured"), Some(help));
    }

    /// The names and patterns of routes' `models`.
    fn models(&mut self, topology: &mut Topology) {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for (name, route) in self.config.routes.iter() {
            let index = topology.names.get(name).copied();
            for (position, model) in route.models.iter().enumerate() {
                let place = Place::root().key("routes").key(name).key("models").index(position);
                if model.trim().is_empty() {
                    self.error(&place, "an empty name", None);
                    continue;
                }
                if let Some(other) = taken.insert(model.clone(), name.to_owned()) {
                    let message = match other == name {
                        true => format!("`{model}` is written twice"),
                        false => format!("`{model}` takes route `{other}` already"),
                    };
                    self.error(&place, message, None);
                    continue;
                }
                if model != name && self.config.routes.get(model).is_some() {
                    let message = format!("`{model}` is a route of its own, so that this name never takes `{name}`");
                    self.warning(&place, message, None);
                    continue;
                }
                let Some(index) = index else { continue };
                match Glob::parse(model) {
                    Some(glob) => topology.globs.push((glob, index)),
                    None => {
                        topology.names.entry(model.clone()).or_insert(index);
                    }
                }
            }
        }
    }
}
