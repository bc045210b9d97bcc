//! `routes:` the names that callers put in `model`, each with its ordered tiers.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::ids::TargetId;

use crate::config::cache::{Cache, OnAllFailed};
use crate::config::entries::Entries;
use crate::config::prompt::{Prompt, ResponseMetadata};
use crate::config::record::RouteRecord;
use crate::config::settings::{
    Backoff, BalanceWord, ContentFilterWord, RetryBudget, Settings, StreamFailure, Timeouts, UnsupportedWord,
};
use crate::config::units::{DurationText, duration};

/// A route: what it is called, who serves it in which order, and how.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Bare model names that take this route too, so that applications need not change. `*` stands for any text.
    pub models: Vec<String>,
    /// Who is tried, tier after tier.
    pub tiers: Vec<Tier>,
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
    /// How the targets of its tiers are ordered.
    pub balance: Option<BalanceWord>,
    /// The clocks of its tiers.
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
    /// Where answers tell who served them: `headers`, or `body` as well. The server's, when left out.
    pub response_metadata: Option<ResponseMetadata>,
    /// Answers that are kept and given again; each key replaces the global one.
    pub cache: Cache,
    /// What a call gets when every tier has failed: `error`, or `cached`: a kept answer to the same request, marked stale.
    pub on_all_failed: OnAllFailed,
    /// Which texts of its calls are kept, where `record:` is not to say it.
    pub record: RouteRecord,
}

/// Targets that are tried before the next tier.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tier {
    /// The targets: `provider/model`, or with a weight.
    pub targets: Vec<Target>,
    /// How they are ordered.
    pub balance: Option<BalanceWord>,
    /// The tier's clocks.
    pub timeouts: Timeouts,
    /// Same-target retries where the house's table says 1.
    pub retries: Option<u32>,
    /// Same-target retries of an outcome class.
    pub retry: Entries<u32>,
    /// What its targets are told besides the caller's words: a shorter system prompt, the form of the answer.
    pub prompt: Prompt,
}

/// A target of a tier. Written as text its weight is 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// One model at one provider.
    pub target: TargetId,
    /// Its share among the tier's targets; 0 is tried after all others.
    pub weight: u32,
}

impl Route {
    /// What the route says of how calls are served.
    pub fn settings(&self) -> Settings {
        Settings {
            deadline: self.deadline,
            stream_max: self.stream_max,
            on_content_filter: self.on_content_filter,
            on_unsupported: self.on_unsupported,
            on_stream_failure: self.on_stream_failure,
            balance: self.balance,
            timeouts: self.timeouts.clone(),
            retries: self.retries,
            retry: self.retry.clone(),
            backoff: self.backoff.clone(),
            retry_budget: self.retry_budget.clone(),
            attempts_max: self.attempts_max,
            tiers_max: self.tiers_max,
        }
    }
}

impl Tier {
    /// What the tier says of how calls are served.
    pub fn settings(&self) -> Settings {
        Settings {
            balance: self.balance,
            timeouts: self.timeouts.clone(),
            retries: self.retries,
            retry: self.retry.clone(),
            ..Settings::default()
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TargetMap {
    /// One model at one provider: `provider/model`.
    #[schemars(with = "String")]
    target: TargetId,
    /// Its share among the tier's targets; 0 is tried after all others.
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.weight {
            1 => self.target.serialize(serializer),
            weight => TargetMap {
                target: self.target.clone(),
                weight,
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a target: `provider/model` or `{ target: provider/model, weight: 3 }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
        TargetId::parse(text)
            .map(|target| Target { target, weight: 1 })
            .map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Target, A::Error> {
        let TargetMap { target, weight } = TargetMap::deserialize(MapAccessDeserializer::new(access))?;
        Ok(Target { target, weight })
    }
}

impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<TargetMap>();
        json_schema!({
            "oneOf": [{ "type": "string", "pattern": "^[^/]+/.+$", "description": "provider/model" }, map]
        })
    }
}
