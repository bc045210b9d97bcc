//! What an attempt costs: the tokens a provider told, times the catalog's prices, rounded once.
//!
//! Pure. A kind of token that has no price is charged like the kind it replaces, and the cost says that it is an estimate. The
//! function to read first is [`cost`].

use serde::Serialize;
use types::money::{NanoDollars, PicoDollars, PicoSum};
use types::prices::{Prices, Service};
use types::usage::Usage;

/// What an attempt costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Cost {
    /// The amount.
    pub nano: NanoDollars,
    /// Tokens were guessed, or a kind of token without a price was charged like another.
    pub estimated: bool,
}

/// What a plain call that took this usage costs.
pub fn cost(usage: &Usage, prices: &Prices) -> Cost {
    cost_of_service(usage, prices, Service::Standard)
}

/// What a call of a service level that took this usage costs.
///
/// Parts that exceed their whole (a provider that counts twice) are cut to it, in the order cached, written, audio, images;
/// so a call never costs more tokens than it took.
pub fn cost_of_service(usage: &Usage, prices: &Prices, service: Service) -> Cost {
    let rates = prices.rates(service, usage.input);
    let mut bill = Bill::default();

    let input = rates.input.or(rates.output);
    bill.estimated |= rates.input.is_none() && usage.input > 0;
    let mut rest = usage.input;
    bill.part(&mut rest, usage.cached_input, rates.cached_input, input);
    // The hour is more than the usual time wherever both have a price.
    let hour = usage.cache_write_1h_input.min(usage.cache_write_input);
    let write = rates.cache_write.or(rates.cache_write_1h);
    bill.part(&mut rest, hour, rates.cache_write_1h, write.or(input));
    bill.part(&mut rest, usage.cache_write_input - hour, write, input);
    bill.part(&mut rest, usage.audio_input, rates.audio_input, input);
    // Most providers charge the tokens of an image like those of text, and say nothing more.
    let image = rates.image_input.or(input);
    bill.part(&mut rest, usage.image_input, image, image);
    bill.sum.add(rest, input.unwrap_or_default());

    let output = rates.output.or(Some(PicoDollars::ZERO));
    bill.estimated |= rates.output.is_none() && usage.output > 0;
    let mut rest = usage.output;
    // Reasoning is charged like the answer unless somebody says otherwise.
    let reasoning = rates.reasoning.or(output);
    bill.part(&mut rest, usage.reasoning, reasoning, reasoning);
    bill.part(&mut rest, usage.audio_output, rates.audio_output, output);
    bill.part(&mut rest, usage.image_output, rates.image_output, output);
    bill.sum.add(rest, output.unwrap_or_default());

    bill.sum.add(1, prices.per_call);
    Cost {
        nano: bill.sum.round(),
        estimated: bill.estimated,
    }
}

/// What a call is expected to cost, for a reservation, or because its provider told no usage: nothing comes from a cache.
pub fn expected(input_tokens: u64, output_tokens: u64, prices: &Prices) -> Cost {
    let usage = Usage {
        input: input_tokens,
        output: output_tokens,
        ..Usage::default()
    };
    Cost {
        estimated: true,
        ..cost(&usage, prices)
    }
}

#[derive(Default)]
struct Bill {
    sum: PicoSum,
    estimated: bool,
}

impl Bill {
    /// Charges a part of what is left of a whole, by its own price or by the one it is charged like.
    fn part(&mut self, rest: &mut u64, count: u64, own: Option<PicoDollars>, like: Option<PicoDollars>) {
        let count = count.min(*rest);
        *rest -= count;
        self.estimated |= count > 0 && own.is_none();
        self.sum.add(count, own.or(like).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::prices::{PriceTable, PriceTier, Rates};

    use super::*;

    /// Dollars a million tokens, by the names of [`Rates`].
    fn rates(rows: &[(&str, &str)]) -> Rates {
        let mut rates = Rates::default();
        for (kind, dollars) in rows {
            let price = Some(PicoDollars::per_token(dollars).unwrap());
            match *kind {
                "input" => rates.input = price,
                "output" => rates.output = price,
                "cached_input" => rates.cached_input = price,
                "cache_write" => rates.cache_write = price,
                "cache_write_1h" => rates.cache_write_1h = price,
                "reasoning" => rates.reasoning = price,
                "image_input" => rates.image_input = price,
                "audio_input" => rates.audio_input = price,
                "audio_output" => rates.audio_output = price,
                other => panic!("{other}"),
            }
        }
        rates
    }

    fn prices(rows: &[(&str, &str)], tiers: &[(u64, &[(&str, &str)])]) -> Prices {
        let tiers = tiers.iter().map(|(above, rows)| PriceTier {
            above: *above,
            rates: rates(rows),
        });
        Prices {
            standard: PriceTable {
                rates: rates(rows),
                tiers: tiers.collect(),
            },
            ..Prices::default()
        }
    }

    fn usage(input: u64, output: u64) -> Usage {
        Usage {
            input,
            output,
            ..Usage::default()
        }
    }

    #[test]
    fn costs_are_those_of_the_providers_price_pages_to_the_nano_dollar() {
        let gpt_5 = prices(&[("input", "1.25"), ("cached_input", "0.125"), ("output", "10")], &[]);
        let sonnet = prices(
            &[
                ("input", "3"),
                ("output", "15"),
                ("cached_input", "0.3"),
                ("cache_write", "3.75"),
                ("cache_write_1h", "6"),
            ],
            &[],
        );
        let gemini_pro = prices(
            &[("input", "1.25"), ("cached_input", "0.125"), ("output", "10")],
            &[(200_000, &[("input", "2.5"), ("cached_input", "0.25"), ("output", "15")])],
        );
        let deepseek = prices(&[("input", "0.28"), ("cached_input", "0.028"), ("output", "0.42")], &[]);
        let audio = prices(
            &[
                ("input", "2.5"),
                ("output", "10"),
                ("audio_input", "40"),
                ("audio_output", "80"),
            ],
            &[],
        );
        let flash_lite = prices(&[("input", "0.075"), ("output", "0.3")], &[]);
        let sonar = Prices {
            per_call: PicoDollars::per_call("0.005").unwrap(),
            ..prices(&[("input", "1"), ("output", "1")], &[])
        };
        let cached = |input, output, cached_input| Usage {
            cached_input,
            ..usage(input, output)
        };
        let rows: &[(&str, &Prices, Usage, &str)] = &[
            // 2,006 prompt tokens of which 1,920 come from the cache, 300 generated: OpenAI's guide to prompt caching.
            ("OpenAI, cached input", &gpt_5, cached(2_006, 300, 1_920), "0.0033475"),
            // A million of each is what the page itself says.
            ("OpenAI, input", &gpt_5, usage(1_000_000, 0), "1.25"),
            ("OpenAI, cached alone", &gpt_5, cached(1_000_000, 0, 1_000_000), "0.125"),
            (
                "OpenAI, output with reasoning",
                &gpt_5,
                Usage {
                    reasoning: 900_000,
                    ..usage(0, 1_000_000)
                },
                "10.00",
            ),
            // Anthropic: 50 fresh, 100,000 read, 248 written for 5 minutes, 100 for an hour, 503 generated.
            (
                "Anthropic, read and both writes",
                &sonnet,
                Usage {
                    cached_input: 100_000,
                    cache_write_input: 348,
                    cache_write_1h_input: 100,
                    ..usage(100_398, 503)
                },
                "0.039225",
            ),
            (
                "Anthropic, 5 minute write",
                &sonnet,
                Usage {
                    cache_write_input: 1_000_000,
                    ..usage(1_000_000, 0)
                },
                "3.75",
            ),
            (
                "Anthropic, 1 hour write",
                &sonnet,
                Usage {
                    cache_write_input: 1_000_000,
                    cache_write_1h_input: 1_000_000,
                    ..usage(1_000_000, 0)
                },
                "6.00",
            ),
            (
                "Gemini, 200,000 is the short price",
                &gemini_pro,
                usage(200_000, 1_000),
                "0.26",
            ),
            (
                "Gemini, one more is the long one, for all of them",
                &gemini_pro,
                usage(200_001, 1_000),
                "0.5150025",
            ),
            (
                "Gemini, long and cached",
                &gemini_pro,
                cached(300_000, 0, 100_000),
                "0.525",
            ),
            (
                "DeepSeek, hit and miss",
                &deepseek,
                cached(10_000, 2_000, 8_000),
                "0.001624",
            ),
            (
                "audio in and out beside text",
                &audio,
                Usage {
                    audio_input: 500,
                    audio_output: 1_000,
                    ..usage(600, 1_100)
                },
                "0.10125",
            ),
            (
                "a price that is no whole nano-dollar, rounded half up",
                &flash_lite,
                usage(1, 0),
                "0.000000075",
            ),
            ("a fee on every call", &sonar, usage(100, 100), "0.0052"),
            ("nothing used", &gpt_5, usage(0, 0), "0.00"),
        ];
        for (what, prices, usage, dollars) in rows {
            let found = cost(usage, prices);
            assert_eq!(
                (found.nano.to_string().as_str(), found.estimated),
                (*dollars, false),
                "{what}"
            );
        }
    }

    #[test]
    fn a_fraction_of_a_nano_dollar_is_rounded_once_and_half_up() {
        // 0.0005 dollars a million tokens are half a nano-dollar a token.
        let half = prices(&[("input", "0.0005"), ("output", "0.0004")], &[]);
        assert_eq!(cost(&usage(1, 0), &half).nano, NanoDollars(1));
        assert_eq!(cost(&usage(0, 1), &half).nano, NanoDollars(0));
        assert_eq!(cost(&usage(1, 1), &half).nano, NanoDollars(1), "0.9, not 1 + 0");
        assert_eq!(cost(&usage(3, 0), &half).nano, NanoDollars(2), "1.5");
    }

    #[test]
    fn what_has_no_price_of_its_own_is_charged_like_what_it_replaces_and_marked() {
        let plain = prices(&[("input", "2"), ("output", "8")], &[]);
        let rows = [
            (
                Usage {
                    cached_input: 500,
                    ..usage(1_000, 0)
                },
                2_000_000,
                true,
            ),
            (
                Usage {
                    cache_write_input: 500,
                    ..usage(1_000, 0)
                },
                2_000_000,
                true,
            ),
            (
                Usage {
                    audio_input: 500,
                    ..usage(1_000, 0)
                },
                2_000_000,
                true,
            ),
            (
                Usage {
                    audio_output: 500,
                    ..usage(0, 1_000)
                },
                8_000_000,
                true,
            ),
            (
                Usage {
                    image_input: 500,
                    ..usage(1_000, 0)
                },
                2_000_000,
                false,
            ),
            (
                Usage {
                    reasoning: 500,
                    ..usage(0, 1_000)
                },
                8_000_000,
                false,
            ),
        ];
        for (usage, nano, estimated) in rows {
            let found = cost(&usage, &plain);
            assert_eq!(
                (found.nano, found.estimated),
                (NanoDollars(nano), estimated),
                "{usage:?}"
            );
        }
        let only_hour = prices(&[("input", "2"), ("output", "8"), ("cache_write", "3")], &[]);
        let written = Usage {
            cache_write_input: 10,
            cache_write_1h_input: 10,
            ..usage(10, 0)
        };
        assert_eq!(
            cost(&written, &only_hour),
            Cost {
                nano: NanoDollars(30_000),
                estimated: true
            }
        );
        assert!(expected(1, 1, &plain).estimated);
        assert!(cost(&usage(1, 1), &Prices::default()).estimated, "no price at all");
    }

    #[test]
    fn parts_larger_than_their_whole_are_cut_to_it() {
        let prices = prices(
            &[
                ("input", "2"),
                ("output", "8"),
                ("cached_input", "1"),
                ("audio_input", "9"),
            ],
            &[],
        );
        let odd = Usage {
            cached_input: 80,
            audio_input: 80,
            reasoning: 99,
            audio_output: 9,
            ..usage(100, 10)
        };
        assert_eq!(cost(&odd, &prices).nano, NanoDollars(80_000 + 20 * 9_000 + 10 * 8_000));
    }

    #[test]
    fn a_batch_has_its_prices_and_long_prompts_theirs_within_it() {
        let mut gemini = prices(&[("input", "1.25"), ("output", "10"), ("cached_input", "0.125")], &[]);
        gemini.batch = Some(PriceTable {
            rates: rates(&[("input", "0.625"), ("output", "5")]),
            tiers: vec![PriceTier {
                above: 200_000,
                rates: rates(&[("input", "1.25"), ("output", "7.5")]),
            }],
        });
        let batch = |usage| cost_of_service(&usage, &gemini, Service::Batch).nano.to_string();
        assert_eq!(batch(usage(100_000, 10_000)), "0.1125");
        assert_eq!(batch(usage(300_000, 10_000)), "0.45");
        assert_eq!(
            batch(Usage {
                cached_input: 100_000,
                ..usage(100_000, 0)
            }),
            "0.0125",
            "as in a plain call"
        );
    }

    fn any_usage() -> impl Strategy<Value = Usage> {
        proptest::array::uniform10(prop_oneof![0..10_u64, 0..1_000_000_u64, any::<u64>()]).prop_map(|n| Usage {
            input: n[0],
            output: n[1],
            cached_input: n[2],
            cache_write_input: n[3],
            cache_write_1h_input: n[4],
            audio_input: n[5],
            image_input: n[6],
            reasoning: n[7],
            audio_output: n[8],
            image_output: n[9],
        })
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        let price = proptest::option::of(prop_oneof![0..100_000_000_u64, any::<u64>()]);
        proptest::array::uniform10(price).prop_map(|p| {
            let p = p.map(|p| p.map(PicoDollars));
            Rates {
                input: p[0],
                output: p[1],
                cached_input: p[2],
                cache_write: p[3],
                cache_write_1h: p[4],
                reasoning: p[5],
                image_input: p[6],
                image_output: p[7],
                audio_input: p[8],
                audio_output: p[9],
            }
        })
    }

    proptest! {
        #[test]
        fn more_tokens_and_dearer_ones_never_cost_less_and_nothing_overflows(
            usage in any_usage(), rates in any_rates(), more in 0..10_000_u64, per_call in any::<u64>(),
        ) {
            let prices = |rates: Rates, per_call| Prices {
                standard: PriceTable { rates, tiers: Vec::new() },
                per_call: PicoDollars(per_call),
                ..Prices::default()
            };
            let base = cost(&usage, &prices(rates, per_call)).nano;
            let longer = Usage {
                input: usage.input.saturating_add(more),
                output: usage.output.saturating_add(more),
                ..usage
            };
            prop_assert!(cost(&longer, &prices(rates, per_call)).nano >= base);
            let up = |price: Option<PicoDollars>| price.map(|p| PicoDollars(p.0.saturating_add(more)));
            let dearer = Rates {
                input: up(rates.input),
                output: up(rates.output),
                cached_input: up(rates.cached_input),
                cache_write: up(rates.cache_write),
                cache_write_1h: up(rates.cache_write_1h),
                reasoning: up(rates.reasoning),
                image_input: up(rates.image_input),
                image_output: up(rates.image_output),
                audio_input: up(rates.audio_input),
                audio_output: up(rates.audio_output),
            };
            prop_assert!(cost(&usage, &prices(dearer, per_call)).nano >= base);
        }
    }
}
