//! What is known of a model: its window, its limits, what it can do. A row of the catalog, or an operator's correction of one.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::features::Features;
use types::ids::ModelTier;

use crate::config::nearest::did_you_mean;
use crate::config::price::Price;

/// Facts of a model; what is left out is not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// Tokens of an answer.
    pub max_output: Option<u64>,
    /// What it can do; whatever is asked, when left out. `parallel_tools`, `streaming` and `system` need no mention.
    pub features: Option<FeatureList>,
    /// What it cannot do of that which nearly every model can: `[parallel_tools, streaming, system]`.
    pub lacks: Option<FeatureList>,
    /// It thinks before it answers, so that its first token may take minutes.
    pub reasoning: Option<bool>,
    /// It continues a trailing assistant message.
    pub prefill: Option<bool>,
    /// How good (and dear) it is, as told to the client.
    #[schemars(with = "Option<ModelTierWord>")]
    pub model_tier: Option<ModelTier>,
    /// What it costs. Written, it replaces the catalog's price whole.
    pub price: Option<Price>,
    /// The day the provider turns it off, `2026-12-31`.
    pub deprecated: Option<String>,
}

impl Model {
    /// These facts where they are known, the others' where they are not.
    pub fn or(&self, other: &Model) -> Model {
        Model {
            context_window: self.context_window.or(other.context_window),
            max_output: self.max_output.or(other.max_output),
            features: self.features.or(other.features),
            lacks: self.lacks.or(other.lacks),
            reasoning: self.reasoning.or(other.reasoning),
            prefill: self.prefill.or(other.prefill),
            model_tier: self.model_tier.or(other.model_tier),
            price: self.price.clone().or_else(|| other.price.clone()),
            deprecated: self.deprecated.clone().or_else(|| other.deprecated.clone()),
        }
    }

    /// What it can do, as policy reads it; everything where nobody says.
    pub fn abilities(&self) -> Features {
        let mut features = self
            .features
            .map_or(Features::ALL, |list| list.0.with(Features::COMMON));
        if self.reasoning == Some(true) {
            features.insert(Features::REASONING);
        }
        // Nobody said so: a continuation by instruction works everywhere.
        features = match self.prefill {
            Some(true) => features.with(Features::PREFILL),
            Some(false) | None => features.without(Features::PREFILL),
        };
        features.without(self.lacks.map_or(Features::NONE, |list| list.0))
    }
}

/// A list of feature words, such as `[tools, vision]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureList(pub Features);

impl Serialize for FeatureList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.words())
    }
}

impl<'de> Deserialize<'de> for FeatureList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FeatureList, D::Error> {
        deserializer.deserialize_seq(FeatureListVisitor)
    }
}

struct FeatureListVisitor;

impl<'de> Visitor<'de> for FeatureListVisitor {
    type Value = FeatureList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of features such as [tools, vision]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<FeatureList, A::Error> {
        let mut features = Features::NONE;
        while let Some(word) = access.next_element::<String>()? {
            let Some(feature) = Features::from_word(&word) else {
                let words = || Features::WORDS.iter().map(|(_, word)| *word);
                let help = did_you_mean(&word, words())
                    .unwrap_or_else(|| format!("one of: {}", words().collect::<Vec<_>>().join(", ")));
                return Err(A::Error::custom(format!("unknown feature `{word}`, {help}")));
            };
            features.insert(feature);
        }
        Ok(FeatureList(features))
    }
}

impl JsonSchema for FeatureList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Features".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Features::WORDS.iter().map(|(_, word)| *word).collect();
        json_schema!({ "type": "array", "items": { "type": "string", "enum": words } })
    }
}

/// The words of [`ModelTier`] in the JSON schema.
#[derive(JsonSchema)]
#[schemars(rename = "ModelTier", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum ModelTierWord {
    /// The best its maker has.
    Premium,
    /// The everyday model.
    Standard,
    /// Small and cheap.
    Economy,
}
