//! How many tokens a prompt will take at a target, before anyone has counted them.
//!
//! Characters by four to begin with; then by what the target's own counts taught. One cell a target, told of every settled
//! call whose provider counted its prompt. Media are counted apart: their tokens do not go by characters, so calls with
//! media are not to be observed. The type to read first is [`TokenRatio`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::time::{Mono, Now, UnixMillis};

/// Characters a token where nothing is known.
const CHARS_PER_TOKEN: f64 = 4.0;
/// No language and no tokenizer is outside of these.
const CHARS_PER_TOKEN_MIN: f64 = 1.0;
const CHARS_PER_TOKEN_MAX: f64 = 12.0;
/// Weight of the latest call, once there were a few.
const WEIGHT: f64 = 0.05;
/// Shorter prompts say more about the template around them than about the text.
const CHARS_MIN: u64 = 200;
/// What was learned longer ago counts for half, so that a changed model is learned anew.
const HALF_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What is known of the characters in a token at one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenRatio {
    chars_per_token: f64,
    /// Calls that count, fading.
    calls: f64,
    /// Mean of |estimate − count| / count, of the estimates as they would have been given.
    error: Option<f64>,
    last: Mono,
}

/// The same, to be kept: monotonic time does not outlive a process.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenRatioState {
    /// Characters in a token, as learned.
    pub chars_per_token: f64,
    /// Calls that count, fading.
    pub calls: f64,
    /// How wrong estimates were lately.
    pub error: Option<f64>,
    /// When it was true.
    pub at: UnixMillis,
}

impl Default for TokenRatio {
    fn default() -> TokenRatio {
        TokenRatio {
            chars_per_token: CHARS_PER_TOKEN,
            calls: 0.0,
            error: None,
            last: Mono(0),
        }
    }
}

impl TokenRatio {
    /// A settled call: its prompt had so many characters of text, and the provider counted so many tokens. Returns how wrong
    /// the estimate was, as a share of the count (0.1: ten percent too many or too few), for a metric; `None` when the call
    /// teaches nothing.
    pub fn observe(&mut self, chars: u64, tokens: u64, now: Now) -> Option<f64> {
        if chars < CHARS_MIN || tokens == 0 {
            return None;
        }
        let error = self.estimate(chars).abs_diff(tokens) as f64 / tokens as f64;
        self.calls = self.calls * fading(now.mono.since(self.last)) + 1.0;
        self.last = self.last.max(now.mono);
        // The first calls count in full, then each for a twentieth.
        let weight = (1.0 / self.calls).max(WEIGHT);
        let measured = (chars as f64 / tokens as f64).clamp(CHARS_PER_TOKEN_MIN, CHARS_PER_TOKEN_MAX);
        self.chars_per_token += weight * (measured - self.chars_per_token);
        self.error = Some(self.error.map_or(error, |mean| mean + weight * (error - mean)));
        Some(error)
    }

    /// Tokens of a text of so many characters; at least one for any text.
    pub fn estimate(&self, chars: u64) -> u64 {
        // Beyond 2^53 a float is no longer exact; a token has at least one character.
        ((chars as f64 / self.chars_per_token).ceil() as u64).min(chars)
    }

    /// Characters in a token, as learned; 4 at first.
    pub fn chars_per_token(&self) -> f64 {
        self.chars_per_token
    }

    /// How wrong estimates were lately, as a share of the count; `None` before the first one.
    pub fn error(&self) -> Option<f64> {
        self.error
    }

    /// To be kept.
    pub fn state(&self, now: Now) -> TokenRatioState {
        TokenRatioState {
            chars_per_token: self.chars_per_token,
            calls: self.calls * fading(now.mono.since(self.last)),
            error: self.error,
            at: now.wall,
        }
    }

    /// From what was kept, as faded as it is by now. What makes no sense is as good as nothing.
    pub fn from_state(state: &TokenRatioState, now: Now) -> TokenRatio {
        let sound = (CHARS_PER_TOKEN_MIN..=CHARS_PER_TOKEN_MAX).contains(&state.chars_per_token)
            && (0.0..=1e9).contains(&state.calls)
            && state.error.is_none_or(|e| e.is_finite() && e >= 0.0);
        if !sound {
            return TokenRatio::default();
        }
        let age = Duration::from_millis(now.wall.0.saturating_sub(state.at.0));
        TokenRatio {
            chars_per_token: state.chars_per_token,
            calls: state.calls * fading(age),
            error: state.error,
            last: now.mono,
        }
    }
}

/// How much is left of what was learned so long ago.
fn fading(age: Duration) -> f64 {
    0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> Now {
        Now::default().after(Duration::from_secs(secs))
    }

    #[test]
    fn an_estimate_is_a_quarter_of_the_characters_until_the_target_has_taught_better() {
        let mut ratio = TokenRatio::default();
        assert_eq!(
            (ratio.estimate(0), ratio.estimate(1), ratio.estimate(4001)),
            (0, 1, 1001)
        );
        assert_eq!(ratio.error(), None);
        let first = ratio.observe(10_000, 5_000, at(1)).unwrap();
        assert!((first - 0.5).abs() < 1e-9, "2,500 were said, 5,000 counted");
        assert_eq!(ratio.estimate(10_000), 5_000, "the first call counts in full");
        for n in 0..200 {
            ratio.observe(9_000, 3_000, at(2 + n));
        }
        assert!((ratio.chars_per_token() - 3.0).abs() < 0.01);
        assert!(ratio.error().is_some_and(|e| e < 0.01), "{:?}", ratio.error());
    }

    #[test]
    fn short_prompts_and_missing_counts_teach_nothing_and_absurd_ones_are_bounded() {
        let mut ratio = TokenRatio::default();
        assert_eq!(ratio.observe(199, 400, at(1)), None);
        assert_eq!(ratio.observe(5_000, 0, at(1)), None);
        assert_eq!(ratio, TokenRatio::default());
        ratio.observe(1_000_000, 1, at(1));
        assert_eq!(ratio.estimate(1_200), 100);
        let mut ratio = TokenRatio::default();
        ratio.observe(1_000, 1_000_000, at(1));
        assert_eq!(ratio.estimate(1_200), 1_200);
    }

    #[test]
    fn what_was_learned_days_ago_gives_way_to_a_changed_model() {
        let mut ratio = TokenRatio::default();
        for n in 0..100 {
            ratio.observe(8_000, 2_000, at(n));
        }
        let mut fresh = ratio;
        fresh.observe(6_000, 2_000, at(100));
        assert!(fresh.chars_per_token() > 3.9, "one call among many");
        ratio.observe(6_000, 2_000, at(100 + 14 * 24 * 3600));
        assert!(ratio.chars_per_token() < 3.1, "{ratio:?}");
    }

    #[test]
    fn what_was_kept_comes_back_as_faded_as_it_is_by_then_on_another_clock() {
        let mut ratio = TokenRatio::default();
        for n in 0..100 {
            ratio.observe(6_000, 2_000, at(n));
        }
        let text = serde_json::to_string(&ratio.state(at(100))).unwrap();
        let read: TokenRatioState = serde_json::from_str(&text).unwrap();
        let restarted = Now {
            mono: Mono(5),
            wall: at(100 + 3 * 24 * 3600).wall,
        };
        let mut back = TokenRatio::from_state(&read, restarted);
        assert_eq!(
            (back.estimate(6_000), back.error()),
            (ratio.estimate(6_000), ratio.error())
        );
        back.observe(8_000, 2_000, restarted);
        assert!(
            back.calls < 15.0 && back.calls > 10.0,
            "an eighth of a hundred, and one: {back:?}"
        );
        for nonsense in [f64::NAN, 0.0, 13.0] {
            let state = TokenRatioState {
                chars_per_token: nonsense,
                ..read
            };
            assert_eq!(TokenRatio::from_state(&state, restarted), TokenRatio::default());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_observed_the_ratio_stays_between_its_bounds(
            calls in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..50), chars: u64,
        ) {
            let mut ratio = TokenRatio::default();
            for (chars, tokens, mono) in calls {
                ratio.observe(chars, tokens, Now { mono: Mono(mono), ..Now::default() });
                prop_assert!((1.0..=12.0).contains(&ratio.chars_per_token()));
                prop_assert!(ratio.error().is_none_or(|e| e.is_finite() && e >= 0.0));
            }
            prop_assert!(ratio.estimate(chars) <= chars);
            prop_assert!(chars == 0 || ratio.estimate(chars) >= 1);
        }
    }
}
