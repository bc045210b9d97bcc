//! `cache:` answers that are kept and given again, for all routes and for one; what a route says replaces what stands globally, key by
//! key.
//!
//! What a kept answer is worth as it ages and as money grows scarce is `policy::cacheability`'s.

use std::fmt;
use std::time::Duration;

use policy::cacheability::{CachePolicy, Sampled};
use policy::spend::Share;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::ids::TargetId;

use crate::config::entries::Entries;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::provider::Provider;
use crate::config::units::{DurationText, SizeText, duration, parse_percent, size, write_percent};

/// What kept answers take at most, where nothing is written.
pub const BYTES_MAX_DEFAULT: u64 = 64 << 20;
/// Questions of one kind that a new one is compared with, where nothing is written.
const CANDIDATES_DEFAULT: u32 = 1_000;
/// More would be compared for too long.
const CANDIDATES_MAX: u32 = 10_000;

/// What is kept and given again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Answers to the same request: `off` (the default), `on`, or how long they are fresh.
    pub exact: Option<Exact>,
    /// Answers to requests that ask the same in other words: `off` (the default), `on`, or how alike they must be.
    pub semantic: Option<Semantic>,
    /// Answers to requests that ask for chance (a temperature above 0) are kept only while so much of every budget is left:
    /// `above 50%`. Always, when left out.
    pub warm_when: Option<Above>,
}

/// Answers to the same request.
#[derive(Debug, Clone, PartialEq)]
pub enum Exact {
    /// None are kept.
    Off,
    /// They are kept like this.
    On(ExactSettings),
}

/// How answers to the same request are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "ExactCache", default, deny_unknown_fields)]
pub struct ExactSettings {
    /// How long an answer is fresh while money is plentiful.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub ttl: Duration,
    /// How long after that it may still be given, marked stale, when nothing else can be had.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub stale_ttl: Duration,
    /// Answers that call tools are kept too.
    pub tool_calls: bool,
    /// Answers are given to every caller, whoever asked first.
    pub shared: bool,
    /// The most that kept answers take in this process; global only.
    #[serde(with = "size::option")]
    #[schemars(with = "Option<SizeText>")]
    pub max: Option<u64>,
}

/// Answers to requests that ask the same in other words.
#[derive(Debug, Clone, PartialEq)]
pub enum Semantic {
    /// None are looked for.
    Off,
    /// They are looked for like this.
    On(SemanticSettings),
}

/// How answers to requests that ask the same in other words are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "SemanticCache", default, deny_unknown_fields)]
pub struct SemanticSettings {
    /// How alike two questions must be (the cosine of their embeddings), while money is plentiful.
    pub threshold: f64,
    /// How long an answer is fresh.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub ttl: Duration,
    /// `serve`, or `shadow`: what would have been given is counted and told, not given.
    pub mode: SemanticMode,
    /// `static` (in this process, no call), or a target that makes embeddings: `openai/text-embedding-3-small`.
    pub embedding: String,
    /// The longest that target may take; after it the question counts as a new one.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// Questions of one tenant, route, system prompt, tools and parameters that a new one is compared with; the oldest goes first.
    pub candidates: u32,
}

/// What becomes of an answer that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SemanticMode {
    /// It is given.
    #[default]
    Serve,
    /// It is counted.
    Shadow,
}

/// `above 50%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Above(pub f64);

/// What a call gets when every tier has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAllFailed {
    /// The failure.
    #[default]
    Error,
    /// A kept answer to the same request, marked stale; the failure when there is none.
    Cached,
}

/// How a route caches, in the words of policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RouteCache {
    /// Answers to the same request; `None`: none are kept.
    pub exact: Option<CachePolicy>,
    /// They are given to every caller, whoever asked first.
    pub shared: bool,
    /// Answers to requests that ask the same in other words.
    pub semantic: Option<RouteSemantic>,
    /// What a call gets when every tier has failed.
    pub on_all_failed: OnAllFailed,
}

/// How a route finds answers to the same question in other words.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteSemantic {
    /// How long they are kept.
    pub policy: CachePolicy,
    /// How alike two questions must be, while money is plentiful.
    pub threshold: f64,
    /// They are counted, not given.
    pub shadow: bool,
    /// Who makes the embeddings; `None`: this process.
    pub embedding: Option<TargetId>,
    /// The longest that may take.
    pub timeout: Duration,
    /// Questions a new one is compared with.
    pub candidates: usize,
}

impl Default for ExactSettings {
    fn default() -> ExactSettings {
        let CachePolicy {
            ttl,
            stale_ttl,
            tool_calls,
            ..
        } = CachePolicy::default();
        ExactSettings {
            ttl,
            stale_ttl,
            tool_calls,
            shared: false,
            max: None,
        }
    }
}

impl Default for SemanticSettings {
    fn default() -> SemanticSettings {
        SemanticSettings {
            threshold: 0.95,
            ttl: CachePolicy::default().ttl,
            mode: SemanticMode::default(),
            embedding: "static".to_owned(),
            timeout: Duration::from_millis(500),
            candidates: CANDIDATES_DEFAULT,
        }
    }
}

impl Cache {
    /// This where it is written, the other's where it is not.
    pub fn or(&self, other: &Cache) -> Cache {
        Cache {
            exact: self.exact.clone().or(other.exact.clone()),
            semantic: self.semantic.clone().or(other.semantic.clone()),
            warm_when: self.warm_when.or(other.warm_when),
        }
    }

    /// The most that kept answers take in this process.
    pub fn bytes_max(&self) -> u64 {
        match &self.exact {
            Some(Exact::On(settings)) => settings.max.unwrap_or(BYTES_MAX_DEFAULT),
            Some(Exact::Off) | None => BYTES_MAX_DEFAULT,
        }
    }

    /// In the words of policy.
    pub fn route(&self, on_all_failed: OnAllFailed) -> RouteCache {
        let sampled = match self.warm_when {
            Some(Above(share)) => Sampled::WhenAbove(Share::of(share)),
            None => Sampled::Always,
        };
        let exact = match &self.exact {
            Some(Exact::On(settings)) => Some(settings),
            Some(Exact::Off) | None => None,
        };
        let policy = exact.map(|settings| CachePolicy {
            ttl: settings.ttl,
            stale_ttl: settings.stale_ttl,
            tool_calls: settings.tool_calls,
            sampled,
            ..CachePolicy::default()
        });
        let semantic = match &self.semantic {
            Some(Semantic::On(settings)) => Some(RouteSemantic {
                policy: CachePolicy {
                    ttl: settings.ttl,
                    stale_ttl: policy.as_ref().map_or(Duration::ZERO, |p| p.stale_ttl),
                    tool_calls: policy.as_ref().is_some_and(|p| p.tool_calls),
                    sampled,
                    ..CachePolicy::default()
                },
                threshold: settings.threshold,
                shadow: settings.mode == SemanticMode::Shadow,
                embedding: TargetId::parse(&settings.embedding).ok(),
                timeout: settings.timeout,
                candidates: settings.candidates as usize,
            }),
            Some(Semantic::Off) | None => None,
        };
        RouteCache {
            exact: policy,
            shared: exact.is_some_and(|settings| settings.shared),
            semantic,
            on_all_failed,
        }
    }

    /// Judges the values. `place` is where they stand: `cache`, or a route's.
    pub(super) fn validate(
        &self,
        place: &Place,
        is_global: bool,
        providers: &Entries<Provider>,
        root: &Node,
        errors: &mut Vec<Notice>,
    ) {
        let mut wrong = |section: &str, key: &str, message: String| {
            errors.push(root.notice(&place.key(section).key(key), message));
        };
        if let Some(Exact::On(settings)) = &self.exact {
            if settings.ttl.is_zero() {
                wrong(
                    "exact",
                    "ttl",
                    "must be more than 0: write `exact: off` to keep nothing".to_owned(),
                );
            }
            match settings.max {
                Some(_) if !is_global => {
                    let message = "all routes keep their answers in one place: write it globally, in `cache.exact.max`";
                    wrong("exact", "max", message.to_owned());
                }
                Some(0) => wrong("exact", "max", "must be more than 0".to_owned()),
                Some(_) | None => {}
            }
        }
        if let Some(Semantic::On(settings)) = &self.semantic {
            if !(0.5..=1.0).contains(&settings.threshold) {
                let message = "must be between 0.5 and 1: below it questions have little in common".to_owned();
                wrong("semantic", "threshold", message);
            }
            for (key, value) in [("ttl", settings.ttl), ("timeout", settings.timeout)] {
                if value.is_zero() {
                    wrong("semantic", key, "must be more than 0".to_owned());
                }
            }
            if !(1..=CANDIDATES_MAX).contains(&settings.candidates) {
                wrong(
                    "semantic",
                    "candidates",
                    format!("must be between 1 and {CANDIDATES_MAX}"),
                );
            }
            let message = match TargetId::parse(&settings.embedding) {
                _ if settings.embedding == "static" => None,
                Err(_) => Some(format!(
                    "`{}` is neither `static` nor a target such as `openai/text-embedding-3-small`",
                    settings.embedding
                )),
                Ok(target) if providers.get(target.provider()).is_none() => {
                    Some(format!("there is no provider `{}`", target.provider()))
                }
                Ok(_) => None,
            };
            if let Some(message) = message {
                wrong("semantic", "embedding", message);
            }
        }
    }
}

/// The keys of a section that may also be a word.
trait Switch: Sized {
    /// What is expected.
    const FORMS: &'static str;
    /// What stands behind it when it is a map.
    type Settings: Default + Serialize + JsonSchema + for<'de> Deserialize<'de>;
    fn off() -> Self;
    fn on(settings: Self::Settings) -> Self;
}

impl Switch for Exact {
    const FORMS: &'static str = "`off`, `on` or a map such as `{ ttl: 10m }`";
    type Settings = ExactSettings;

    fn off() -> Exact {
        Exact::Off
    }

    fn on(settings: ExactSettings) -> Exact {
        Exact::On(settings)
    }
}

impl Switch for Semantic {
    const FORMS: &'static str = "`off`, `on` or a map such as `{ threshold: 0.95, ttl: 10m }`";
    type Settings = SemanticSettings;

    fn off() -> Semantic {
        Semantic::Off
    }

    fn on(settings: SemanticSettings) -> Semantic {
        Semantic::On(settings)
    }
}

struct SwitchVisitor<S>(std::marker::PhantomData<S>);

impl<'de, S: Switch> Visitor<'de> for SwitchVisitor<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::FORMS)
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<S, E> {
        Ok(if is_on { S::on(S::Settings::default()) } else { S::off() })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<S, E> {
        match text.trim() {
            "off" => Ok(S::off()),
            "on" => Ok(S::on(S::Settings::default())),
            other => Err(E::custom(format!("expected {}, found `{other}`", S::FORMS))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<S, A::Error> {
        S::Settings::deserialize(MapAccessDeserializer::new(access)).map(S::on)
    }
}

fn switch_schema<S: Switch>(generator: &mut SchemaGenerator) -> Schema {
    let settings = generator.subschema_for::<S::Settings>();
    // Editors read the words as booleans.
    json_schema!({ "oneOf": [{ "type": "string", "pattern": "^(off|on)$" }, { "type": "boolean" }, settings] })
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Exact::Off => serializer.serialize_str("off"),
            Exact::On(settings) => settings.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        deserializer.deserialize_any(SwitchVisitor(std::marker::PhantomData))
    }
}

impl JsonSchema for Exact {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Exact".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        switch_schema::<Exact>(generator)
    }
}

impl Serialize for Semantic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Semantic::Off => serializer.serialize_str("off"),
            Semantic::On(settings) => settings.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Semantic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Semantic, D::Error> {
        deserializer.deserialize_any(SwitchVisitor(std::marker::PhantomData))
    }
}

impl JsonSchema for Semantic {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Semantic".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        switch_schema::<Semantic>(generator)
    }
}

impl Serialize for Above {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("above {}", write_percent(self.0)))
    }
}

impl<'de> Deserialize<'de> for Above {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Above, D::Error> {
        let text = String::deserialize(deserializer)?;
        let share = text.trim().strip_prefix("above ").map(parse_percent);
        match share {
            Some(Ok(share)) => Ok(Above(share)),
            Some(Err(_)) | None => Err(D::Error::custom(format!(
                "`{text}` is no share: write it like \"above 50%\""
            ))),
        }
    }
}

impl JsonSchema for Above {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Above".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(above [0-9.]+ *%?|.*\$\{.*)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;
    use crate::config::load;

    fn loaded(cache: &str, route: &str) -> Result<(Cache, RouteCache), String> {
        let yaml = format!(
            "providers: {{ p: {{ dialect: openai_chat, base_url: \"http://p.test/v1\", api_key: k }} }}\n{cache}\nroutes: {{ chat: {{ {route} tiers: [{{ targets: [p/m] }}] }} }}\n"
        );
        let config = load(&yaml, &MapEnv::default()).map_err(|e| e.to_string())?.config;
        let route = config.routes.get("chat").unwrap();
        let made = route.cache.or(&config.cache).route(route.on_all_failed);
        Ok((config.cache, made))
    }

    #[test]
    fn a_route_wins_key_by_key_and_words_switch() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        type Row = (&'static str, &'static str, Option<Duration>, bool);
        let rows: &[Row] = &[
            ("", "", None, false),
            ("cache: { exact: off }", "", None, false),
            ("cache: { exact: on }", "", Some(minutes(10)), false),
            ("cache: { exact: { ttl: 3m, max: 1MB } }", "", Some(minutes(3)), false),
            ("cache: { exact: { ttl: 3m } }", "cache: { exact: off },", None, false),
            ("", "cache: { exact: { ttl: 5m } },", Some(minutes(5)), false),
            (
                "cache: { exact: { ttl: 3m } }",
                "cache: { semantic: on },",
                Some(minutes(3)),
                true,
            ),
            ("cache: { semantic: { mode: shadow } }", "", None, true),
        ];
        for (global, route, ttl, semantic) in rows {
            let (_, made) = loaded(global, route).unwrap_or_else(|e| panic!("{global} {route}: {e}"));
            assert_eq!(made.exact.map(|p| p.ttl), *ttl, "{global} {route}");
            assert_eq!(made.semantic.is_some(), *semantic, "{global} {route}");
        }
        let (cache, made) = loaded(
            "cache: { exact: { ttl: 10m, stale_ttl: 1h, tool_calls: true, shared: true, max: 1MB }, warm_when: above 50% }",
            "on_all_failed: cached,",
        )
        .unwrap();
        assert_eq!((cache.bytes_max(), made.shared), (1 << 20, true));
        let policy = made.exact.unwrap();
        assert_eq!((policy.stale_ttl, policy.tool_calls), (minutes(60), true));
        assert_eq!(policy.sampled, Sampled::WhenAbove(Share::percent(50)));
        assert_eq!(made.on_all_failed, OnAllFailed::Cached);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let rows = [
            (
                "cache: { exact: maybe }",
                "",
                "expected `off`, `on` or a map such as `{ ttl: 10m }`, found `maybe`",
            ),
            ("cache: { exact: { ttl: 0 } }", "", "must be more than 0"),
            ("cache: { exact: { tll: 1s } }", "", "unknown key `tll`"),
            ("cache: { warm_when: 50% }", "", "write it like \"above 50%\""),
            (
                "cache: { semantic: { threshold: 0.2 } }",
                "",
                "must be between 0.5 and 1",
            ),
            (
                "cache: { semantic: { embedding: ours } }",
                "",
                "neither `static` nor a target",
            ),
            (
                "cache: { semantic: { embedding: q/embed } }",
                "",
                "there is no provider `q`",
            ),
            ("", "cache: { exact: { max: 1MB } },", "write it globally"),
            ("", "on_all_failed: cached,", "keeps no answers"),
        ];
        for (global, route, wanted) in rows {
            let errors = loaded(global, route).unwrap_err();
            assert!(errors.contains(wanted), "{global} {route}: {errors}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["off", "{ ttl: 3m, max: 1MB }"] {
            let (cache, _) = loaded(&format!("cache: {{ exact: {text}, warm_when: above 12.5% }}"), "").unwrap();
            let written = serde_json::to_string(&cache).unwrap();
            let (again, _) = loaded(&format!("cache: {written}"), "").unwrap();
            assert_eq!(again, cache, "{written}");
        }
    }
}
