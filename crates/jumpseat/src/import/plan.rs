//! What an import is going to write: providers, routes and settings, in the words of this configuration.
//!
//! Both importers fill it; [`Plan::text`] writes it. Providers that are the same in everything become one.

use std::time::Duration;

use gateway::config::catalog::Catalog;
use gateway::config::units::write_duration;
use types::dialect::DialectName;

use crate::import::report::Finding;
use crate::import::yaml::{self, Item, Yaml};

/// A call's limits where nothing is written, see `policy::route`.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(600);
const TIERS_DEFAULT: usize = 3;
const ATTEMPTS_DEFAULT: usize = 6;
/// More than this is refused by the configuration.
const ATTEMPTS_LIMIT: usize = 50;

/// A configuration in the making.
#[derive(Debug, Default)]
pub struct Plan {
    /// `server.listen`.
    pub listen: Option<String>,
    /// Comments above `server`.
    pub listen_comments: Vec<String>,
    /// Keys of `breaker`.
    pub breaker: Vec<(&'static str, Yaml)>,
    /// Keys of `rest`.
    pub rest: Vec<(&'static str, Yaml)>,
    /// How calls are served where a route says nothing else.
    pub defaults: Service,
    /// Comments above `defaults`.
    pub defaults_comments: Vec<String>,
    providers: Vec<PlannedProvider>,
    routes: Vec<PlannedRoute>,
    /// Routes that could not be written: their names with the reason.
    pub left_out: Vec<(String, String)>,
}

/// Who serves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Upstream {
    /// The catalog's row it is.
    pub row: Option<String>,
    /// The word for it when it is no row.
    pub label: String,
    /// Its address, where it is not the row's.
    pub base_url: Option<String>,
    /// Its keys, as they are written.
    pub keys: Vec<String>,
    /// Headers of every request, values as they are written.
    pub headers: Vec<(String, String)>,
}

/// What the source says of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelFacts {
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// Tokens of an answer.
    pub max_output: Option<u64>,
}

/// How calls are served.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// `deadline`.
    pub deadline: Option<Duration>,
    /// `stream_max`.
    pub stream_max: Option<Duration>,
    /// `on_content_filter: fallback`.
    pub content_filter_falls_back: bool,
    /// `balance`.
    pub balance: Option<&'static str>,
    /// `timeouts.first_token`.
    pub first_token: Option<Duration>,
    /// `timeouts.total`.
    pub total: Option<Duration>,
    /// `retries`.
    pub retries: Option<u32>,
    /// `retry`, by outcome class.
    pub retry: Vec<(String, u32)>,
    /// `backoff.cap`.
    pub backoff_cap: Option<Duration>,
}

/// A route in the making.
#[derive(Debug, Clone, Default)]
pub struct PlannedRoute {
    /// Its name as the source has it.
    pub name: String,
    /// Other names that lead to it.
    pub models: Vec<String>,
    /// Its tiers in order.
    pub tiers: Vec<PlannedTier>,
    /// What it says itself.
    pub service: Service,
    /// What its owner should read above it.
    pub comments: Vec<String>,
}

/// A tier in the making.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlannedTier {
    /// `provider/model` with its weight.
    pub targets: Vec<(String, u32)>,
    /// What it says itself.
    pub service: Service,
}

#[derive(Debug)]
struct PlannedProvider {
    name: String,
    upstream: Upstream,
    models: Vec<(String, ModelFacts)>,
    comments: Vec<String>,
}

impl Plan {
    /// The provider's name here; a new one when nobody is the same yet. `wanted` is the name callers use for it.
    pub fn provider(&mut self, upstream: Upstream, wanted: Option<&str>) -> String {
        let same = |p: &&PlannedProvider| p.upstream == upstream && wanted.is_none_or(|w| p.name == w);
        if let Some(known) = self.providers.iter().find(same) {
            return known.name.clone();
        }
        let name = self.free_name(&upstream, wanted);
        self.providers.push(PlannedProvider {
            name: name.clone(),
            upstream,
            models: Vec::new(),
            comments: Vec::new(),
        });
        name
    }

    /// Keeps what the source says of a provider's model.
    pub fn model(&mut self, provider: &str, model: &str, facts: ModelFacts) {
        if facts == ModelFacts::default() {
            return;
        }
        if let Some(provider) = self.providers.iter_mut().find(|p| p.name == provider)
            && !provider.models.iter().any(|(name, _)| name == model)
        {
            provider.models.push((model.to_owned(), facts));
        }
    }

    /// A comment above a provider.
    pub fn remark(&mut self, provider: &str, file: &str, finding: &Finding) {
        if let Some(provider) = self.providers.iter_mut().find(|p| p.name == provider) {
            add_comment(&mut provider.comments, file, finding);
        }
    }

    /// Adds a route. Two of one name: the first stays, and this is `false`.
    pub fn route(&mut self, mut route: PlannedRoute) -> bool {
        let sound: String = route.name.split_whitespace().collect::<Vec<_>>().join("-");
        let sound: String = sound.chars().filter(|c| !c.is_control()).take(120).collect();
        let sound = match sound.as_str() {
            "" => "unnamed".to_owned(),
            gateway::config::topology::DIRECT => format!("{sound}-route"),
            _ => sound,
        };
        if sound != route.name {
            route.models.insert(0, std::mem::replace(&mut route.name, sound));
        }
        if self.routes.iter().any(|r| r.name == route.name) {
            return false;
        }
        self.routes.push(route);
        true
    }

    /// Whether a route of this name is written.
    pub fn has_route(&self, name: &str) -> bool {
        self.routes
            .iter()
            .any(|r| r.name == name || r.models.iter().any(|m| m == name))
    }

    /// A route that is written already.
    pub fn route_mut(&mut self, name: &str) -> Option<&mut PlannedRoute> {
        self.routes.iter_mut().find(|r| r.name == name)
    }

    /// How many providers and routes there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.providers.len(), self.routes.len())
    }

    /// The configuration as text.
    pub fn text(&self, head: &[String]) -> String {
        let mut sections = Vec::new();
        if let Some(listen) = &self.listen {
            sections.push(Item {
                comments: self.listen_comments.clone(),
                ..yaml::item("server", Yaml::map([("listen", Some(Yaml::text(listen)))]))
            });
        }
        for (key, values) in [("breaker", &self.breaker), ("rest", &self.rest)] {
            let map = Yaml::map(values.iter().map(|(key, value)| (*key, Some(value.clone()))));
            sections.extend(map.non_empty().map(|map| yaml::item(key, map)));
        }
        if let Some(map) = self.defaults.yaml().non_empty() {
            sections.push(Item {
                comments: self.defaults_comments.clone(),
                ..yaml::item("defaults", map)
            });
        }
        let providers = Yaml::Map(self.providers.iter().map(PlannedProvider::item).collect());
        sections.extend(providers.non_empty().map(|map| yaml::item("providers", map)));
        let routes = Yaml::Map(self.routes.iter().map(|r| self.route_item(r)).collect());
        let left_out = self
            .left_out
            .iter()
            .map(|(name, why)| format!("`{name}` is left out: {why}"));
        if let Some(map) = routes.non_empty() {
            sections.push(Item {
                comments: left_out.collect(),
                ..yaml::item("routes", map)
            });
        }
        yaml::file(head, &sections, &["providers", "routes"])
    }

    fn route_item(&self, route: &PlannedRoute) -> Item {
        let mut service = route.service.clone();
        let totals: Option<Vec<Duration>> = route
            .tiers
            .iter()
            .map(|t| t.service.total.or(service.total).or(self.defaults.total))
            .collect();
        let visits: Duration = totals.iter().flatten().sum();
        let deadline = service.deadline.or(self.defaults.deadline);
        // The deadline must not end the call before its last tier was tried.
        if totals.is_some() && deadline.is_none() && visits > DEADLINE_DEFAULT {
            service.deadline = Some(visits);
        }
        let attempts: usize = route
            .tiers
            .iter()
            .map(|t| {
                let retries = t.service.retries.or(service.retries).or(self.defaults.retries);
                t.targets.len() + retries.unwrap_or(0) as usize
            })
            .sum();
        let tiers = route.tiers.len();
        let Yaml::Map(mut items) = service.yaml() else {
            unreachable!("settings are a map")
        };
        if tiers > TIERS_DEFAULT {
            items.push(yaml::item("tiers_max", Yaml::bare(tiers.min(ATTEMPTS_LIMIT))));
        }
        if attempts > ATTEMPTS_DEFAULT {
            items.push(yaml::item("attempts_max", Yaml::bare(attempts.min(ATTEMPTS_LIMIT))));
        }
        if !route.models.is_empty() {
            items.insert(0, yaml::item("models", Yaml::texts(&route.models)));
        }
        let tiers = route.tiers.iter().map(PlannedTier::yaml).collect();
        items.push(yaml::item("tiers", Yaml::List(tiers)));
        Item {
            comments: route.comments.clone(),
            key: route.name.clone(),
            value: Yaml::Map(items),
        }
    }

    fn free_name(&self, upstream: &Upstream, wanted: Option<&str>) -> String {
        let row = upstream.row.as_deref();
        let mut candidates: Vec<String> = wanted.map(str::to_owned).into_iter().collect();
        match row {
            Some(row) => {
                candidates.push(row.to_owned());
                if upstream.base_url.is_some() && !upstream.label.is_empty() && upstream.label != row {
                    candidates.push(format!("{row}-{}", upstream.label));
                }
            }
            // A name of the catalog's would bring that provider's facts along.
            None if Catalog::shipped().provider(&upstream.label).is_some() => {
                candidates.push(format!("{}-own", upstream.label));
            }
            None => candidates.push(upstream.label.clone()),
        }
        let free = |name: &String| !self.providers.iter().any(|p| p.name == *name);
        if let Some(name) = candidates.iter().find(|name| free(name)) {
            return name.clone();
        }
        let stem = candidates.last().expect("there is always one candidate");
        (2..)
            .map(|number| format!("{stem}-{number}"))
            .find(|name| free(name))
            .expect("numbers do not end")
    }
}

impl PlannedProvider {
    fn item(&self) -> Item {
        let upstream = &self.upstream;
        let is_row = upstream.row.as_deref() == Some(self.name.as_str());
        let preset = upstream.row.clone().filter(|_| !is_row).map(Yaml::Text);
        let dialect = upstream
            .row
            .is_none()
            .then(|| Yaml::bare(DialectName::OpenaiChat.as_str()));
        let (one, many) = match upstream.keys.as_slice() {
            [] => (None, None),
            [key] => (Some(Yaml::text(key)), None),
            keys => (None, Some(Yaml::texts(keys))),
        };
        let headers = upstream.headers.iter().map(|(k, v)| yaml::item(k, Yaml::text(v)));
        let models = self.models.iter().map(|(name, facts)| {
            let facts = Yaml::map([
                ("context_window", facts.context_window.map(Yaml::bare)),
                ("max_output", facts.max_output.map(Yaml::bare)),
            ]);
            yaml::item(name, facts)
        });
        Item {
            comments: self.comments.clone(),
            key: self.name.clone(),
            value: Yaml::map([
                ("preset", preset),
                ("dialect", dialect),
                ("base_url", upstream.base_url.clone().map(Yaml::Text)),
                ("api_key", one),
                ("api_keys", many),
                ("headers", Yaml::Map(headers.collect()).non_empty()),
                ("models", Yaml::Map(models.collect()).non_empty()),
            ]),
        }
    }
}

impl PlannedRoute {
    /// A comment above it.
    pub fn remark(&mut self, file: &str, finding: &Finding) {
        add_comment(&mut self.comments, file, finding);
    }
}

impl PlannedTier {
    fn yaml(&self) -> Yaml {
        let targets = self.targets.iter().map(|(target, weight)| match weight {
            1 => Yaml::text(target),
            weight => Yaml::map([
                ("target", Some(Yaml::text(target))),
                ("weight", Some(Yaml::bare(weight))),
            ]),
        });
        let Yaml::Map(mut items) = self.service.yaml() else {
            unreachable!("settings are a map")
        };
        items.insert(0, yaml::item("targets", Yaml::List(targets.collect())));
        Yaml::Map(items)
    }
}

impl Service {
    fn yaml(&self) -> Yaml {
        let time = |time: Option<Duration>| time.map(|t| Yaml::Bare(write_duration(t)));
        // A clock behind another one would never ring.
        let first_token = self.first_token.filter(|f| self.total.is_none_or(|total| *f < total));
        let timeouts = Yaml::map([("first_token", time(first_token)), ("total", time(self.total))]);
        let retry = Yaml::map(
            self.retry
                .iter()
                .map(|(class, n)| (class.as_str(), Some(Yaml::bare(n)))),
        );
        Yaml::map([
            ("deadline", time(self.deadline)),
            ("stream_max", time(self.stream_max)),
            (
                "on_content_filter",
                self.content_filter_falls_back.then(|| Yaml::bare("fallback")),
            ),
            ("balance", self.balance.map(Yaml::bare)),
            ("timeouts", timeouts.non_empty()),
            ("retries", self.retries.map(Yaml::bare)),
            ("retry", retry.non_empty()),
            ("backoff", Yaml::map([("cap", time(self.backoff_cap))]).non_empty()),
        ])
    }
}

/// `config.yaml:12: to do: …`, once.
pub fn add_comment(comments: &mut Vec<String>, file: &str, finding: &Finding) {
    let line = finding.line.map(|l| format!("{l}: ")).unwrap_or_default();
    let comment = format!("{file}:{line}{}: {}", finding.kind.words(), finding.message);
    if !comments.contains(&comment) {
        comments.push(comment);
    }
}

/// Seconds as people write them, kept to the millisecond; `None` for nothing at all.
pub fn seconds(number: f64) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(number).ok()?;
    let time = Duration::from_millis(u64::try_from(time.as_millis()).ok()?);
    (!time.is_zero() && time <= Duration::from_secs(365 * 24 * 3600)).then_some(time)
}

/// Shares as small whole numbers in the same proportion: `[0.7, 0.3]` is `[7, 3]`, `[60, 600]` is `[1, 10]`.
pub fn weights(shares: &[f64]) -> Vec<u32> {
    let whole = |scale: f64| -> Option<Vec<u64>> {
        shares
            .iter()
            .map(|s| {
                let scaled = s * scale;
                let near = (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1.0);
                (near && scaled < 4e9).then_some(scaled.round() as u64)
            })
            .collect()
    };
    let scaled = [1.0, 10.0, 100.0, 1_000.0].into_iter().find_map(whole);
    let top = shares.iter().copied().fold(0.0, f64::max);
    let scaled = scaled.unwrap_or_else(|| {
        let share = |s: &f64| {
            if top > 0.0 {
                (s / top * 1_000.0).round() as u64
            } else {
                1
            }
        };
        shares.iter().map(share).collect()
    });
    let divisor = scaled.iter().copied().fold(0, gcd).max(1);
    scaled
        .iter()
        .map(|n| u32::try_from(n / divisor).unwrap_or(u32::MAX))
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_small_whole_weights() {
        for (shares, expected) in [
            (vec![0.7, 0.3], vec![7, 3]),
            (vec![60.0, 600.0, 60_000.0], vec![1, 10, 1000]),
            (vec![1.0, 1.0], vec![1, 1]),
            (vec![0.0, 2.0], vec![0, 1]),
            (vec![0.0], vec![0]),
            (vec![0.333, 0.667], vec![333, 667]),
            (vec![1.0 / 3.0, 2.0 / 3.0], vec![1, 2]),
        ] {
            assert_eq!(weights(&shares), expected, "{shares:?}");
        }
    }

    #[test]
    fn the_deadline_grows_with_what_the_tiers_may_take_and_many_tiers_are_allowed() {
        let mut plan = Plan::default();
        plan.defaults.total = Some(Duration::from_secs(400));
        let tier = |target: &str| PlannedTier {
            targets: vec![(target.to_owned(), 1)],
            ..PlannedTier::default()
        };
        let tiers = ["a/1", "a/2", "a/3", "a/4"].map(tier).to_vec();
        plan.route(PlannedRoute {
            name: "long chain".to_owned(),
            tiers,
            ..PlannedRoute::default()
        });
        let text = plan.text(&[]);
        for part in ["long-chain:", "\"long chain\"", "deadline: 26m40s", "tiers_max: 4"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
