//! What a model costs: a price for each kind of token, dearer ones for long prompts, other ones for other service levels.
//!
//! Plain data; `policy::cost` does the sum. The type to read first is [`Prices`].

use serde::{Deserialize, Serialize};

use crate::money::PicoDollars;

/// Prices of one model at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// What a plain call costs.
    pub standard: PriceTable,
    /// What a call of a batch costs; what is left out costs as in a plain call.
    pub batch: Option<PriceTable>,
    /// What a call that may wait costs (`service_tier: flex`).
    pub flex: Option<PriceTable>,
    /// What a call that goes first costs (`service_tier: priority`).
    pub priority: Option<PriceTable>,
    /// Each call costs this too, however many tokens it takes.
    pub per_call: PicoDollars,
}

/// The service level of a call, which some providers price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// A plain call.
    #[default]
    Standard,
    /// Part of a batch.
    Batch,
    /// It may wait.
    Flex,
    /// It goes first.
    Priority,
}

/// Prices of one service level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriceTable {
    /// What holds for short prompts.
    pub rates: Rates,
    /// What holds for longer prompts, the shortest first. The whole call is charged by the last tier its prompt is above.
    pub tiers: Vec<PriceTier>,
}

/// Prices of calls whose prompt is longer than a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PriceTier {
    /// Prompts of more tokens than this, cached ones counted too.
    pub above: u64,
    /// What changes; what is left out costs what it costs in the tier below.
    pub rates: Rates,
}

/// What one token of each kind costs; `None` when nobody says so. Every kind has one it is charged like then, see
/// `policy::cost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// A token of the prompt.
    pub input: Option<PicoDollars>,
    /// A token of the answer.
    pub output: Option<PicoDollars>,
    /// A token of the prompt that was read from the provider's cache.
    pub cached_input: Option<PicoDollars>,
    /// A token of the prompt that was written to the provider's cache, for the usual time (Anthropic's 5 minutes).
    pub cache_write: Option<PicoDollars>,
    /// A token of the prompt that was written to the provider's cache for an hour.
    pub cache_write_1h: Option<PicoDollars>,
    /// A token of reasoning.
    pub reasoning: Option<PicoDollars>,
    /// A token of an image in the prompt.
    pub image_input: Option<PicoDollars>,
    /// A token of an image in the answer.
    pub image_output: Option<PicoDollars>,
    /// A token of audio in the prompt.
    pub audio_input: Option<PicoDollars>,
    /// A token of audio in the answer.
    pub audio_output: Option<PicoDollars>,
}

impl Prices {
    /// What holds for a call of a service level with a prompt of so many tokens. What the level does not say is that of a
    /// plain call with the same prompt.
    pub fn rates(&self, service: Service, input: u64) -> Rates {
        let standard = self.standard.rates(input);
        let special = match service {
            Service::Standard => None,
            Service::Batch => self.batch.as_ref(),
            Service::Flex => self.flex.as_ref(),
            Service::Priority => self.priority.as_ref(),
        };
        special.map_or(standard, |table| table.rates(input).or(standard))
    }
}

impl PriceTable {
    /// What holds for a prompt of so many tokens.
    pub fn rates(&self, input: u64) -> Rates {
        let above = self.tiers.iter().filter(|tier| input > tier.above);
        above.fold(self.rates, |below, tier| tier.rates.or(below))
    }
}

impl Rates {
    /// These rates where they are known, the others' where they are not.
    pub fn or(self, other: Rates) -> Rates {
        Rates {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            cached_input: self.cached_input.or(other.cached_input),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
            reasoning: self.reasoning.or(other.reasoning),
            image_input: self.image_input.or(other.image_input),
            image_output: self.image_output.or(other.image_output),
            audio_input: self.audio_input.or(other.audio_input),
            audio_output: self.audio_output.or(other.audio_output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(input: u64, output: Option<u64>) -> Rates {
        Rates {
            input: Some(PicoDollars(input)),
            output: output.map(PicoDollars),
            ..Rates::default()
        }
    }

    #[test]
    fn a_tier_changes_what_it_names_and_a_service_level_falls_back_to_the_plain_call() {
        let prices = Prices {
            standard: PriceTable {
                rates: rates(10, Some(20)),
                tiers: vec![
                    PriceTier {
                        above: 100,
                        rates: rates(11, None),
                    },
                    PriceTier {
                        above: 200,
                        rates: rates(12, Some(30)),
                    },
                ],
            },
            batch: Some(PriceTable {
                rates: rates(5, None),
                tiers: Vec::new(),
            }),
            ..Prices::default()
        };
        for (service, input, wanted) in [
            (Service::Standard, 100, rates(10, Some(20))),
            (Service::Standard, 101, rates(11, Some(20))),
            (Service::Standard, 201, rates(12, Some(30))),
            (Service::Batch, 201, rates(5, Some(30))),
            (Service::Flex, 1, rates(10, Some(20))),
        ] {
            assert_eq!(prices.rates(service, input), wanted, "{service:?} {input}");
        }
    }
}
