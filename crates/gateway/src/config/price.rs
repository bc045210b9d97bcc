//! `price:` of a model: what it costs, in the numbers of price pages. A row of the catalog, or an operator's correction.
//!
//! Every number is exact: six decimals of a dollar a million tokens are one pico-dollar a token. The type to read first is
//! [`Price`]; [`Price::prices`] is what the engine reckons with.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::money::{NotAPrice, PicoDollars};
use types::prices::{PriceTable, PriceTier, Prices, Rates};

/// What a model costs: dollars a million tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Of the prompt.
    pub input: Option<PerMillion>,
    /// Of the prompt, read from the provider's cache.
    pub cached_input: Option<PerMillion>,
    /// Of the prompt, written to the provider's cache for the usual time.
    pub cache_write: Option<PerMillion>,
    /// Of the prompt, written to the provider's cache for an hour.
    pub cache_write_1h: Option<PerMillion>,
    /// Of the answer.
    pub output: Option<PerMillion>,
    /// Of reasoning; the answer's, when left out.
    pub reasoning: Option<PerMillion>,
    /// Of images in the prompt; the prompt's, when left out.
    pub image_input: Option<PerMillion>,
    /// Of images in the answer.
    pub image_output: Option<PerMillion>,
    /// Of audio in the prompt.
    pub audio_input: Option<PerMillion>,
    /// Of audio in the answer.
    pub audio_output: Option<PerMillion>,
    /// Dollars for each call besides its tokens.
    pub per_call: Option<PerCall>,
    /// What changes for the whole call once its prompt is longer, the shortest first.
    pub above: Vec<LongPrice>,
    /// What calls of a batch cost.
    pub batch: Option<ServicePrice>,
    /// What calls that may wait cost.
    pub flex: Option<ServicePrice>,
    /// What calls that go first cost.
    pub priority: Option<ServicePrice>,
}

/// What a service level costs; what is left out costs as in a plain call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServicePrice {
    /// Of the prompt.
    pub input: Option<PerMillion>,
    /// Of the prompt, read from the provider's cache.
    pub cached_input: Option<PerMillion>,
    /// Of the prompt, written to the provider's cache for the usual time.
    pub cache_write: Option<PerMillion>,
    /// Of the prompt, written to the provider's cache for an hour.
    pub cache_write_1h: Option<PerMillion>,
    /// Of the answer.
    pub output: Option<PerMillion>,
    /// Of reasoning.
    pub reasoning: Option<PerMillion>,
    /// Of images in the prompt.
    pub image_input: Option<PerMillion>,
    /// Of images in the answer.
    pub image_output: Option<PerMillion>,
    /// Of audio in the prompt.
    pub audio_input: Option<PerMillion>,
    /// Of audio in the answer.
    pub audio_output: Option<PerMillion>,
    /// What changes for long prompts.
    pub above: Vec<LongPrice>,
}

/// What changes once a prompt is longer than so many tokens; what is left out stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongPrice {
    /// Prompts of more tokens than this.
    pub tokens: u64,
    /// Of the prompt.
    #[serde(default)]
    pub input: Option<PerMillion>,
    /// Of the prompt, read from the provider's cache.
    #[serde(default)]
    pub cached_input: Option<PerMillion>,
    /// Of the prompt, written to the provider's cache for the usual time.
    #[serde(default)]
    pub cache_write: Option<PerMillion>,
    /// Of the prompt, written to the provider's cache for an hour.
    #[serde(default)]
    pub cache_write_1h: Option<PerMillion>,
    /// Of the answer.
    #[serde(default)]
    pub output: Option<PerMillion>,
    /// Of reasoning.
    #[serde(default)]
    pub reasoning: Option<PerMillion>,
    /// Of images in the prompt.
    #[serde(default)]
    pub image_input: Option<PerMillion>,
    /// Of images in the answer.
    #[serde(default)]
    pub image_output: Option<PerMillion>,
    /// Of audio in the prompt.
    #[serde(default)]
    pub audio_input: Option<PerMillion>,
    /// Of audio in the answer.
    #[serde(default)]
    pub audio_output: Option<PerMillion>,
}

/// Rates of any of the three: the same keys mean the same.
macro_rules! rates {
    ($written:expr) => {
        Rates {
            input: $written.input.map(|p| p.0),
            output: $written.output.map(|p| p.0),
            cached_input: $written.cached_input.map(|p| p.0),
            cache_write: $written.cache_write.map(|p| p.0),
            cache_write_1h: $written.cache_write_1h.map(|p| p.0),
            reasoning: $written.reasoning.map(|p| p.0),
            image_input: $written.image_input.map(|p| p.0),
            image_output: $written.image_output.map(|p| p.0),
            audio_input: $written.audio_input.map(|p| p.0),
            audio_output: $written.audio_output.map(|p| p.0),
        }
    };
}

impl Price {
    /// What the engine reckons with.
    pub fn prices(&self) -> Prices {
        let service = |price: &Option<ServicePrice>| {
            price.as_ref().map(|price| PriceTable {
                rates: rates!(price),
                tiers: tiers(&price.above),
            })
        };
        Prices {
            standard: PriceTable {
                rates: rates!(self),
                tiers: tiers(&self.above),
            },
            batch: service(&self.batch),
            flex: service(&self.flex),
            priority: service(&self.priority),
            per_call: self.per_call.map_or(PicoDollars::ZERO, |p| p.0),
        }
    }
}

fn tiers(above: &[LongPrice]) -> Vec<PriceTier> {
    let mut tiers: Vec<PriceTier> = above
        .iter()
        .map(|long| PriceTier {
            above: long.tokens,
            rates: rates!(long),
        })
        .collect();
    tiers.sort_by_key(|tier| tier.above);
    tiers
}

/// Dollars a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMillion(pub PicoDollars);

/// Dollars a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerCall(pub PicoDollars);

macro_rules! amount {
    ($name:ident, $read:path, $shown:path, $meant:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // The nearest float is printed with the digits that were written.
                serializer.serialize_f64($shown(self.0).parse().unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Amount;
                impl Visitor<'_> for Amount {
                    type Value = PicoDollars;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($meant)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<PicoDollars, E> {
                        $read(text).map_err(|wrong: NotAPrice| E::custom(format!("`{text}` is no price: {wrong}")))
                    }
                }
                deserializer.deserialize_str(Amount).map($name)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["number", "string"], "minimum": 0 })
            }
        }
    };
}

amount!(
    PerMillion,
    PicoDollars::per_token,
    PicoDollars::dollars_per_million,
    "dollars a million tokens such as 0.075"
);
amount!(
    PerCall,
    PicoDollars::per_call,
    PicoDollars::dollars,
    "dollars a call such as 0.005"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode;
    use crate::config::node::Node;

    fn read(text: &str) -> Result<Price, String> {
        decode(&Node::parse(text).unwrap()).map_err(|found| found[0].to_string())
    }

    #[test]
    fn a_price_is_read_as_written_to_the_pico_dollar() {
        let price = read(
            "{ input: 0.075, output: \"0.3\", per_call: 0.005, above: [{ tokens: 200000, input: 0.000001 }], batch: { input: 0.0375 } }",
        )
        .unwrap();
        let prices = price.prices();
        assert_eq!(prices.standard.rates.input, Some(PicoDollars(75_000)));
        assert_eq!(prices.standard.rates.output, Some(PicoDollars(300_000)));
        assert_eq!(prices.standard.tiers[0].rates.input, Some(PicoDollars(1)));
        assert_eq!(prices.batch.unwrap().rates.input, Some(PicoDollars(37_500)));
        assert_eq!(prices.per_call, PicoDollars(5_000_000_000));
        let written = serde_json::to_value(&price).unwrap();
        assert_eq!(written["input"], 0.075);
        assert_eq!(written["above"][0]["input"], 0.000001);
    }

    #[test]
    fn what_is_no_price_is_told() {
        for (text, told) in [
            (
                "{ input: cheap }",
                "`cheap` is no price: not a decimal number such as 0.075",
            ),
            ("{ input: -1 }", "a price is not negative"),
            ("{ input: 0.0000001 }", "finer than a pico-dollar"),
            ("{ inptu: 1 }", "unknown key `inptu`, did you mean `input`?"),
            ("{ above: [{ input: 1 }] }", "`tokens` is missing"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(told), "{text}: {found}");
        }
    }
}
