//! `defaults:` how calls are served, for every route that does not say otherwise.
//!
//! The same keys stand in a route, where they win; what neither says is the house's default (`policy::route`).

use std::fmt;
use std::time::Duration;

use policy::route::{Balance, OnContentFilter, OnStreamFailure, OnUnsupported, Retries, RoutePolicy, TierPolicy};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::ids::RouteName;
use types::outcome::OutcomeClass;

use crate::config::entries::Entries;
use crate::config::nearest::did_you_mean;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{self, DurationText, PercentText, duration, percent};

/// More attempts or tiers a call than this are refused.
const ATTEMPTS_LIMIT: u32 = 50;
/// How much is held back where `hold_back` names no size.
const HOLD_BACK_DEFAULT: u64 = 4 << 10;
/// The most that may be held back of a stream.
const HOLD_BACK_MAX: u64 = 16 << 20;

/// How calls are served.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Defaults", default, deny_unknown_fields)]
pub struct Settings {
    /// Bounds a call to its commit, a unary call to its end.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub deadline: Option<Duration>,
    /// Bounds a stream from its commit on.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub stream_max: Option<Duration>,
    /// What a rejection by content policy leads to.
    pub on_content_filter: Option<ContentFilterWord>,
    /// `error`, or `degrade`: tools and structured output are asked for in words where a target lacks them.
    pub on_unsupported: Option<UnsupportedWord>,
    /// What a stream that breaks after its commit leads to.
    pub on_stream_failure: Option<StreamFailure>,
    /// How a tier's targets are ordered.
    pub balance: Option<BalanceWord>,
    /// The clocks of a tier.
    pub timeouts: Timeouts,
    /// Same-target retries where the house's table says 1.
    pub retries: Option<u32>,
    /// Same-target retries of an outcome class.
    pub retry: Entries<u32>,
    /// Waits before the same target is tried again.
    pub backoff: Backoff,
    /// Same-target retries allowed as a share of calls.
    pub retry_budget: RetryBudget,
    /// Attempts a call may make, all targets together.
    pub attempts_max: Option<u32>,
    /// Tiers a call may visit.
    pub tiers_max: Option<u32>,
}

/// The clocks of a tier.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection stands.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub connect: Option<Duration>,
    /// Streams: until the first content. 30 s, and 180 s for a reasoning model, when left out.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub first_token: Option<Duration>,
    /// Streams, after the first content: without a byte.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub idle: Option<Duration>,
    /// Streams, after the first content: without content.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub content_idle: Option<Duration>,
    /// The whole visit to the tier with its attempts and waits; streams to their commit. The deadline alone when left out.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub total: Option<Duration>,
}

/// Waits before the same target is tried again: exponential with full jitter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The longest first wait.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub base: Option<Duration>,
    /// How much longer each further wait may be.
    pub factor: Option<u32>,
    /// The longest wait of all.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub cap: Option<Duration>,
}

/// Same-target retries allowed over a window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Share of the window's calls.
    #[serde(with = "percent::option")]
    #[schemars(with = "Option<PercentText>")]
    pub share: Option<f64>,
    /// How far back calls and retries are counted.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub window: Option<Duration>,
    /// Retries allowed in a window however few calls there are.
    pub floor: Option<u32>,
}

/// What a rejection by content policy leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentFilterWord {
    /// The call ends with the provider's answer.
    Stop,
    /// The next target is tried.
    Fallback,
}

/// What to do when no target can do what a call uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnsupportedWord {
    /// The call is refused, with the reason.
    Error,
    /// Tools and forms of the answer are asked for in words, and the answer is checked.
    Degrade,
}

/// How a tier's targets are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceWord {
    /// At random, by weight.
    Weighted,
    /// Fewest calls in flight for its weight first.
    LeastBusy,
}

/// What a stream that breaks leads to: `error`, `resume` or `hold_back: <size>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFailure(pub OnStreamFailure);

impl Settings {
    /// The house's defaults, written out. What has none (`total`, `retries`, a `first_token` that depends on the model) is left out.
    pub fn house() -> Settings {
        let route = RoutePolicy::new(RouteName::from("house"), vec![TierPolicy::of([])]);
        let tier = TierPolicy::of([]);
        Settings {
            deadline: Some(route.deadline),
            stream_max: Some(route.stream_max),
            on_content_filter: Some(match route.on_content_filter {
                OnContentFilter::Stop => ContentFilterWord::Stop,
                OnContentFilter::Fallback => ContentFilterWord::Fallback,
            }),
            on_unsupported: Some(match route.on_unsupported {
                OnUnsupported::Error => UnsupportedWord::Error,
                OnUnsupported::Degrade => UnsupportedWord::Degrade,
            }),
            on_stream_failure: Some(StreamFailure(route.on_stream_failure)),
            balance: Some(match tier.balance {
                Balance::Weighted => BalanceWord::Weighted,
                Balance::LeastBusy => BalanceWord::LeastBusy,
            }),
            timeouts: Timeouts {
                connect: Some(tier.timeouts.connect),
                first_token: tier.timeouts.first_token,
                idle: Some(tier.timeouts.idle),
                content_idle: Some(tier.timeouts.content_idle),
                total: tier.timeouts.total,
            },
            retries: tier.retries.default,
            retry: Entries::default(),
            backoff: Backoff {
                base: Some(route.backoff.base),
                factor: Some(route.backoff.factor),
                cap: Some(route.backoff.cap),
            },
            retry_budget: RetryBudget {
                share: Some(route.retry_budget.share),
                window: Some(route.retry_budget.window),
                floor: Some(route.retry_budget.floor),
            },
            attempts_max: Some(route.attempts_max),
            tiers_max: Some(route.tiers_max),
        }
    }

    /// These where they are written, the others' where they are not.
    pub fn or(&self, other: &Settings) -> Settings {
        Settings {
            deadline: self.deadline.or(other.deadline),
            stream_max: self.stream_max.or(other.stream_max),
            on_content_filter: self.on_content_filter.or(other.on_content_filter),
            on_unsupported: self.on_unsupported.or(other.on_unsupported),
            on_stream_failure: self.on_stream_failure.or(other.on_stream_failure),
            balance: self.balance.or(other.balance),
            timeouts: self.timeouts.or(&other.timeouts),
            retries: self.retries.or(other.retries),
            retry: over(&self.retry, &other.retry),
            backoff: Backoff {
                base: self.backoff.base.or(other.backoff.base),
                factor: self.backoff.factor.or(other.backoff.factor),
                cap: self.backoff.cap.or(other.backoff.cap),
            },
            retry_budget: RetryBudget {
                share: self.retry_budget.share.or(other.retry_budget.share),
                window: self.retry_budget.window.or(other.retry_budget.window),
                floor: self.retry_budget.floor.or(other.retry_budget.floor),
            },
            attempts_max: self.attempts_max.or(other.attempts_max),
            tiers_max: self.tiers_max.or(other.tiers_max),
        }
    }

    /// A route's policy in the words of `policy`.
    ///
    /// # Panics
    /// When `tiers` is empty.
    pub fn policy(&self, name: RouteName, tiers: Vec<TierPolicy>) -> RoutePolicy {
        let house = RoutePolicy::new(name, tiers);
        RoutePolicy {
            deadline: self.deadline.unwrap_or(house.deadline),
            stream_max: self.stream_max.unwrap_or(house.stream_max),
            on_content_filter: match self.on_content_filter {
                Some(ContentFilterWord::Stop) => OnContentFilter::Stop,
                Some(ContentFilterWord::Fallback) => OnContentFilter::Fallback,
                None => house.on_content_filter,
            },
            on_unsupported: match self.on_unsupported {
                Some(UnsupportedWord::Error) => OnUnsupported::Error,
                Some(UnsupportedWord::Degrade) => OnUnsupported::Degrade,
                None => house.on_unsupported,
            },
            on_stream_failure: self.on_stream_failure.map_or(house.on_stream_failure, |s| s.0),
            malformed_output: house.malformed_output,
            backoff: policy::route::Backoff {
                base: self.backoff.base.unwrap_or(house.backoff.base),
                factor: self.backoff.factor.unwrap_or(house.backoff.factor),
                cap: self.backoff.cap.unwrap_or(house.backoff.cap),
            },
            retry_budget: policy::route::RetryBudgetPolicy {
                share: self.retry_budget.share.unwrap_or(house.retry_budget.share),
                window: self.retry_budget.window.unwrap_or(house.retry_budget.window),
                floor: self.retry_budget.floor.unwrap_or(house.retry_budget.floor),
            },
            attempts_max: self.attempts_max.unwrap_or(house.attempts_max),
            tiers_max: self.tiers_max.unwrap_or(house.tiers_max),
            ..house
        }
    }

    /// A tier's clocks, retries and order in the words of `policy`; its targets are still to come.
    pub fn tier_policy(&self) -> TierPolicy {
        let house = policy::route::Timeouts::default();
        TierPolicy {
            targets: Vec::new(),
            balance: match self.balance {
                Some(BalanceWord::LeastBusy) => Balance::LeastBusy,
                Some(BalanceWord::Weighted) => Balance::Weighted,
                None => Balance::default(),
            },
            timeouts: policy::route::Timeouts {
                connect: self.timeouts.connect.unwrap_or(house.connect),
                first_token: self.timeouts.first_token.or(house.first_token),
                idle: self.timeouts.idle.unwrap_or(house.idle),
                content_idle: self.timeouts.content_idle.unwrap_or(house.content_idle),
                total: self.timeouts.total.or(house.total),
            },
            retries: Retries {
                default: self.retries,
                by_class: self
                    .retry
                    .iter()
                    .filter_map(|(word, n)| Some((class(word)?, *n)))
                    .collect(),
            },
        }
    }

    /// Judges the values. `place` is where they stand: `defaults`, a route or a tier.
    pub(super) fn validate(&self, place: &Place, root: &Node, errors: &mut Vec<Notice>) {
        self.timeouts.validate(&place.key("timeouts"), root, errors);
        let mut wrong = |key: &str, message: String, help: Option<String>| {
            errors.push(Notice {
                help,
                ..root.notice(&place.key(key), message)
            });
        };
        for (key, value) in [("deadline", self.deadline), ("stream_max", self.stream_max)] {
            if value.is_some_and(|v| v.is_zero()) {
                wrong(key, "must be more than 0".to_owned(), None);
            }
        }
        for (key, value) in [("attempts_max", self.attempts_max), ("tiers_max", self.tiers_max)] {
            if value.is_some_and(|v| v == 0 || v > ATTEMPTS_LIMIT) {
                wrong(key, format!("must be between 1 and {ATTEMPTS_LIMIT}"), None);
            }
        }
        if self.retries.is_some_and(|n| n > ATTEMPTS_LIMIT) {
            wrong("retries", format!("must be at most {ATTEMPTS_LIMIT}"), None);
        }
        if self.backoff.factor == Some(0) {
            wrong("backoff", "`factor` must be at least 1".to_owned(), None);
        }
        for (word, number) in self.retry.iter() {
            let place = place.key("retry").key(word);
            let (message, help) = match class(word) {
                None => {
                    let words = || {
                        OutcomeClass::ALL
                            .into_iter()
                            .filter(|c| settable(*c))
                            .map(OutcomeClass::as_str)
                    };
                    let help = did_you_mean(word, words())
                        .unwrap_or_else(|| format!("one of: {}", words().collect::<Vec<_>>().join(", ")));
                    (format!("unknown outcome class `{word}`"), Some(help))
                }
                Some(class) if !settable(class) && *number > 0 => (
                    format!("`{word}` is never tried again at the same target: it would only do harm"),
                    None,
                ),
                Some(_) if *number > ATTEMPTS_LIMIT => (format!("must be at most {ATTEMPTS_LIMIT}"), None),
                Some(_) => continue,
            };
            errors.push(Notice {
                help,
                ..root.notice(&place, message)
            });
        }
    }
}

impl Timeouts {
    /// These where they are written, the others' where they are not.
    pub fn or(&self, other: &Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.or(other.connect),
            first_token: self.first_token.or(other.first_token),
            idle: self.idle.or(other.idle),
            content_idle: self.content_idle.or(other.content_idle),
            total: self.total.or(other.total),
        }
    }

    fn validate(&self, place: &Place, root: &Node, errors: &mut Vec<Notice>) {
        let clocks = [
            ("connect", self.connect),
            ("first_token", self.first_token),
            ("idle", self.idle),
            ("content_idle", self.content_idle),
            ("total", self.total),
        ];
        for (key, value) in clocks {
            if value.is_some_and(|v| v.is_zero()) {
                errors.push(root.notice(&place.key(key), "must be more than 0"));
            }
        }
    }
}

/// The map with the entries of another that it does not have itself.
pub(super) fn over(first: &Entries<u32>, second: &Entries<u32>) -> Entries<u32> {
    let mut joined = first.clone();
    for (word, number) in second.iter().filter(|(word, _)| first.get(word).is_none()) {
        joined.insert(word, *number);
    }
    joined
}

fn class(word: &str) -> Option<OutcomeClass> {
    OutcomeClass::ALL
        .into_iter()
        .find(|c| c.as_str() == word && *c != OutcomeClass::Success)
}

/// Whether the policy lets a configuration set the class at all.
fn settable(class: OutcomeClass) -> bool {
    let asked = Retries {
        default: None,
        by_class: vec![(class, 1)],
    };
    policy::outcome::retries(class, None, &asked) > 0
}

impl Serialize for StreamFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            OnStreamFailure::Error => serializer.serialize_str("error"),
            OnStreamFailure::Resume => serializer.serialize_str("resume"),
            OnStreamFailure::HoldBack { bytes } => serializer.collect_map([("hold_back", units::write_size(bytes))]),
        }
    }
}

impl<'de> Deserialize<'de> for StreamFailure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StreamFailure, D::Error> {
        deserializer.deserialize_any(StreamFailureVisitor)
    }
}

struct StreamFailureVisitor;

const STREAM_FAILURE_FORMS: &str = "`error`, `resume` or `{ hold_back: 4KB }`";

impl StreamFailureVisitor {
    fn hold_back<E: Error>(size: &str) -> Result<StreamFailure, E> {
        let bytes = units::parse_size(size).map_err(E::custom)?;
        if bytes == 0 || bytes > HOLD_BACK_MAX {
            return Err(E::custom(format!(
                "`hold_back` must be between 1 byte and {}",
                units::write_size(HOLD_BACK_MAX)
            )));
        }
        Ok(StreamFailure(OnStreamFailure::HoldBack { bytes }))
    }
}

impl<'de> Visitor<'de> for StreamFailureVisitor {
    type Value = StreamFailure;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STREAM_FAILURE_FORMS)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StreamFailure, E> {
        match text.trim() {
            "error" => Ok(StreamFailure(OnStreamFailure::Error)),
            "resume" => Ok(StreamFailure(OnStreamFailure::Resume)),
            "hold_back" => Ok(StreamFailure(OnStreamFailure::HoldBack {
                bytes: HOLD_BACK_DEFAULT,
            })),
            other => match other.strip_prefix("hold_back:") {
                Some(size) => Self::hold_back(size),
                None => Err(E::custom(format!("expected {STREAM_FAILURE_FORMS}, found `{other}`"))),
            },
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<StreamFailure, A::Error> {
        match access.next_entry::<String, String>()? {
            Some((key, size)) if key == "hold_back" => {
                if access.next_key::<String>()?.is_some() {
                    return Err(A::Error::custom(format!("expected {STREAM_FAILURE_FORMS} alone")));
                }
                Self::hold_back(&size)
            }
            Some((key, _)) => Err(A::Error::custom(format!(
                "expected {STREAM_FAILURE_FORMS}, found `{key}`"
            ))),
            None => Err(A::Error::custom(format!("expected {STREAM_FAILURE_FORMS}"))),
        }
    }
}

impl JsonSchema for StreamFailure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StreamFailure".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let size = generator.subschema_for::<units::SizeText>();
        json_schema!({
            "description": "what a stream that breaks leads to",
            "oneOf": [
                { "type": "string", "pattern": "^(error|resume|hold_back(:.*)?)$" },
                {
                    "type": "object",
                    "properties": { "hold_back": size },
                    "required": ["hold_back"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
