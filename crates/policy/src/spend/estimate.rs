//! What an attempt is expected to cost before it begins, and how long its answer may be for what is left.
//!
//! Pure; the sum itself is `policy::cost`'s, so that an estimate of exactly what comes to pass is exactly what is settled.

use types::money::NanoDollars;
use types::prices::Prices;

use crate::cost;

/// An answer shorter than this helps nobody: who can pay for less is refused.
pub const OUTPUT_MIN: u64 = 16;

/// What an attempt with a prompt and an answer of so many tokens is expected to cost.
pub fn estimate(prompt_tokens: u64, output_tokens: u64, prices: &Prices) -> NanoDollars {
    cost::expected(prompt_tokens, output_tokens, prices).nano
}

/// The longest answer, up to the wanted one, whose estimate is no more than what is left. `None` when that would be shorter than
/// [`OUTPUT_MIN`] tokens (or than a shorter one that was wanted).
pub fn output_cap(left: NanoDollars, prompt_tokens: u64, wanted: u64, prices: &Prices) -> Option<u64> {
    let affordable = |output| estimate(prompt_tokens, output, prices) <= left;
    let (mut yes, mut no) = match (affordable(wanted), affordable(0)) {
        (true, _) => return Some(wanted),
        (false, false) => return None,
        (false, true) => (0, wanted),
    };
    // An estimate never falls with a longer answer.
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if affordable(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    (yes >= OUTPUT_MIN).then_some(yes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::money::PicoDollars;
    use types::prices::{PriceTable, Rates};

    use super::*;

    fn prices(input: u64, output: u64, per_call: u64) -> Prices {
        Prices {
            standard: PriceTable {
                rates: Rates {
                    input: Some(PicoDollars(input)),
                    output: Some(PicoDollars(output)),
                    ..Rates::default()
                },
                tiers: Vec::new(),
            },
            per_call: PicoDollars(per_call),
            ..Prices::default()
        }
    }

    #[test]
    fn an_answer_is_limited_to_what_is_left_and_refused_when_that_is_too_little() {
        // A dollar a million of prompt, ten a million of answer: 1,000 and 10,000 nano-dollars a token.
        let prices = prices(1_000_000, 10_000_000, 0);
        assert_eq!(estimate(1_000, 100, &prices), NanoDollars(2_000_000));
        for (left, wanted, cap) in [
            (2_000_000, 100, Some(100)),
            (1_999_999, 100, Some(99)),
            (1_160_000, 100, Some(16)),
            (1_159_999, 100, None),
            (1_050_000, 5, Some(5)),
            (1_040_000, 5, None),
            (1_000_000, 100, None),
            (999_999, 100, None),
            (0, 0, None),
        ] {
            assert_eq!(
                output_cap(NanoDollars(left), 1_000, wanted, &prices),
                cap,
                "{left} {wanted}"
            );
        }
        assert_eq!(
            output_cap(NanoDollars(0), 9, 7, &Prices::default()),
            Some(7),
            "what costs nothing is affordable"
        );
    }

    proptest! {
        #[test]
        fn a_capped_answer_is_affordable_and_one_token_more_is_not(
            left in 0..10_000_000_u64, prompt in 0..10_000_u64, wanted in 1..100_000_u64,
            input in 0..5_000_000_u64, output in 0..50_000_000_u64, per_call in 0..5_000_000_000_u64,
        ) {
            let prices = prices(input, output, per_call);
            let left = NanoDollars(left);
            match output_cap(left, prompt, wanted, &prices) {
                Some(cap) => {
                    prop_assert!(cap <= wanted && estimate(prompt, cap, &prices) <= left);
                    prop_assert!(cap == wanted || estimate(prompt, cap + 1, &prices) > left);
                }
                None => prop_assert!(estimate(prompt, wanted.min(OUTPUT_MIN), &prices) > left),
            }
        }
    }
}
