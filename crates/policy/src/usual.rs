//! How long a target's answers at a route usually are: what is held for an answer before anyone knows its length.
//!
//! A histogram of the lengths seen, fading, of which nine in ten are shorter than the answer: holds that are too small let a burst
//! spend more than it should, holds that are much too large refuse calls that could be paid. The type to read first is
//! [`UsualOutput`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::time::{Mono, Now, UnixMillis};

/// Tokens of an answer where nothing is known.
pub const OUTPUT_DEFAULT: u64 = 1_000;
/// Of the answers seen, so many are no longer than the usual one.
const QUANTILE: f64 = 0.9;
/// Steps of the histogram from one length to its double.
const STEPS_PER_DOUBLE: f64 = 4.0;
/// The last step: lengths from 2¹⁹ tokens on.
const STEPS: usize = 77;
/// What was learned longer ago counts for half.
const HALF_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Each answer makes those before it count so much less: some 300 of them count.
const KEPT: f64 = 1.0 - 1.0 / 300.0;
/// With fewer answers than this the default is not yet given up for something shorter.
const CALLS_MIN: f64 = 5.0;

/// What is known of the lengths of answers.
#[derive(Debug, Clone, PartialEq)]
pub struct UsualOutput {
    /// How many answers were of each length, fading; empty before the first one.
    counts: Vec<f64>,
    last: Mono,
}

/// The same, to be kept: monotonic time does not outlive a process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UsualState {
    /// Answers of each length, fading; the length of step `n` is 2^(n/4) tokens.
    pub counts: Vec<f64>,
    /// When they were true.
    pub at: UnixMillis,
}

impl Default for UsualOutput {
    fn default() -> UsualOutput {
        UsualOutput {
            counts: Vec::new(),
            last: Mono(0),
        }
    }
}

impl UsualOutput {
    /// An answer that ended by itself had so many tokens. Failed, cancelled and cached ones teach nothing and are not to be told.
    pub fn observe(&mut self, tokens: u64, now: Now) {
        let kept = KEPT * fading(now.mono.since(self.last));
        if self.counts.is_empty() {
            self.counts = vec![0.0; STEPS];
        }
        for count in &mut self.counts {
            *count *= kept;
        }
        self.counts[step(tokens)] += 1.0;
        self.last = self.last.max(now.mono);
    }

    /// The usual length; `None` before the first answer.
    pub fn tokens(&self) -> Option<u64> {
        let calls: f64 = self.counts.iter().sum();
        if calls <= 0.0 {
            return None;
        }
        let mut below = 0.0;
        let within = self.counts.iter().position(|count| {
            below += count;
            below >= calls * QUANTILE
        });
        let length = upper_end(within.unwrap_or(STEPS - 1));
        Some(if calls < CALLS_MIN {
            length.max(OUTPUT_DEFAULT)
        } else {
            length
        })
    }

    /// What is to be held for an answer: the usual length, but no more than was asked for at most; where nothing is known, what was
    /// asked for, else [`OUTPUT_DEFAULT`].
    pub fn expect(&self, asked_at_most: Option<u64>) -> u64 {
        match (self.tokens(), asked_at_most) {
            (Some(usual), Some(most)) => usual.min(most),
            (Some(usual), None) => usual,
            (None, Some(most)) => most,
            (None, None) => OUTPUT_DEFAULT,
        }
    }

    /// To be kept.
    pub fn state(&self, now: Now) -> UsualState {
        let faded = fading(now.mono.since(self.last));
        UsualState {
            counts: self.counts.iter().map(|c| c * faded).collect(),
            at: now.wall,
        }
    }

    /// From what was kept, as faded as it is by now. What makes no sense is as good as nothing.
    pub fn from_state(state: &UsualState, now: Now) -> UsualOutput {
        let sound =
            state.counts.len() == STEPS && state.counts.iter().all(|c| c.is_finite() && (0.0..=1e6).contains(c));
        if !sound {
            return UsualOutput::default();
        }
        let age = Duration::from_millis(now.wall.0.saturating_sub(state.at.0));
        let faded = fading(age);
        UsualOutput {
            counts: state.counts.iter().map(|c| c * faded).collect(),
            last: now.mono,
        }
    }
}

/// How much is left of what was learned so long ago.
fn fading(age: Duration) -> f64 {
    0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64())
}

/// The first step whose length is no shorter.
fn step(tokens: u64) -> usize {
    let step = ((tokens.max(1) as f64).log2() * STEPS_PER_DOUBLE).ceil() as usize;
    step.min(STEPS - 1)
}

fn upper_end(step: usize) -> u64 {
    (step as f64 / STEPS_PER_DOUBLE).exp2().ceil() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> Now {
        Now::default().after(Duration::from_secs(1_000_000 + secs))
    }

    fn taught(lengths: impl IntoIterator<Item = u64>) -> UsualOutput {
        let mut usual = UsualOutput::default();
        for length in lengths {
            usual.observe(length, at(0));
        }
        usual
    }

    #[test]
    fn nine_in_ten_answers_are_no_longer_than_the_usual_one() {
        let usual = taught((0..1_000).map(|n| 10 + (n * 7_919) % 1_000));
        let tokens = usual.tokens().unwrap();
        assert!((880..=1_200).contains(&tokens), "{tokens}");
        let usual = taught([50; 100]);
        assert!((50..=60).contains(&usual.tokens().unwrap()), "{usual:?}");
    }

    #[test]
    fn without_experience_what_was_asked_for_is_held_and_a_few_answers_do_not_make_it_less_than_the_default() {
        let none = UsualOutput::default();
        assert_eq!(
            (none.tokens(), none.expect(None), none.expect(Some(7))),
            (None, OUTPUT_DEFAULT, 7)
        );
        assert_eq!(none.expect(Some(32_000)), 32_000);
        assert_eq!(taught([20; 3]).expect(None), OUTPUT_DEFAULT);
        assert!(taught([20; 10]).expect(None) < 30);
        assert!(
            taught([20; 10]).expect(Some(32_000)) < 30,
            "nobody writes as much as they may"
        );
        assert_eq!(taught([20_000; 10]).expect(Some(100)), 100, "and nobody writes more");
        assert!(taught([9_000]).expect(None) >= 9_000);
    }

    #[test]
    fn what_was_learned_days_ago_gives_way() {
        let mut usual = taught([100; 500]);
        for _ in 0..40 {
            usual.observe(4_000, at(14 * 24 * 3_600));
        }
        assert!(usual.tokens().unwrap() >= 4_000);
    }

    #[test]
    fn what_was_kept_comes_back_as_faded_as_it_is_by_then_on_another_clock() {
        let usual = taught([100; 50]);
        let kept = usual.state(at(3_600));
        let text = serde_json::to_string(&kept).unwrap();
        let read: UsualState = serde_json::from_str(&text).unwrap();
        // The machine was started anew: its monotonic clock begins again, two days later.
        let restarted = Now {
            mono: Mono(5),
            wall: at(3_600 + 2 * 24 * 3_600).wall,
        };
        let mut back = UsualOutput::from_state(&read, restarted);
        assert_eq!(back.tokens(), usual.tokens());
        let (before, after): (f64, f64) = (kept.counts.iter().sum(), back.counts.iter().sum());
        assert!((after - before / 4.0).abs() < 1e-9, "two half-lives");
        back.observe(100, restarted);
        for nonsense in [vec![1.0], vec![f64::NAN; STEPS], vec![-1.0; STEPS]] {
            let state = UsualState {
                counts: nonsense,
                at: kept.at,
            };
            assert_eq!(UsualOutput::from_state(&state, restarted).tokens(), None);
        }
        assert_eq!(
            UsualOutput::from_state(&UsualOutput::default().state(at(0)), at(0)).tokens(),
            None
        );
    }

    proptest! {
        #[test]
        fn no_length_and_no_clock_breaks_it(calls in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..60)) {
            let mut usual = UsualOutput::default();
            for (tokens, mono) in calls {
                usual.observe(tokens, Now { mono: Mono(mono), ..Now::default() });
                prop_assert!(usual.tokens().is_some_and(|t| (1..=1 << 20).contains(&t)));
            }
        }
    }
}
