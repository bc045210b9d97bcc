//! What may be answered from a cache and what may be kept in one, and for how long as money grows scarce.
//!
//! Pure. Plenty of money: fresh answers, and more of them kept. Little money: older answers are fresh enough, and less alike questions
//! are alike enough. Nothing here knows how a request is made a key; the types to read first are [`CachePolicy`] and [`Age`].

use std::time::Duration;

use types::answer::FinishReason;
use types::dialect::Operation;
use types::spend::SpendLevel;

use crate::spend::Share;

/// How a route caches.
#[derive(Debug, Clone, PartialEq)]
pub struct CachePolicy {
    /// How long an answer is fresh while money is plentiful.
    pub ttl: Duration,
    /// How long after that it may still be given, marked stale, when nothing else can be had (every target failed, or the money is
    /// gone).
    pub stale_ttl: Duration,
    /// Answers that call tools are kept too.
    pub tool_calls: bool,
    /// Whether answers are kept to questions that ask for chance (a temperature above 0).
    pub sampled: Sampled,
    /// What the levels of spend change.
    pub strategy: Strategy,
}

/// Whether answers are kept to questions that ask for chance. A question without a temperature does not ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sampled {
    /// As any other.
    #[default]
    Always,
    /// While more than this share of every budget is left (`warm_when: above 50%`): so that there is something to give when it
    /// is not.
    WhenAbove(Share),
    /// Never.
    Never,
}

/// What the levels of spend change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strategy {
    /// How many times longer an answer is fresh at each level.
    pub ttl_times: ByLevel<f64>,
    /// How much less alike questions need to be at each level, taken off the threshold.
    pub threshold_less: ByLevel<f64>,
    /// No level makes the threshold lower than this. One configured lower than it stays as it is.
    pub threshold_min: f64,
}

/// A value for each level of spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByLevel<T> {
    /// While money is plentiful.
    pub quality: T,
    /// While it is neither.
    pub balanced: T,
    /// While it is scarce.
    pub cheapest: T,
    /// When it is gone.
    pub exhausted: T,
}

/// What of a question decides whether a cache is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// What it asks for.
    pub operation: Operation,
    /// The temperature it asks for.
    pub temperature: Option<f64>,
    /// Something in it makes each answer its own: it goes on from a stored answer by its id, is to run in the background, or has
    /// tools that the provider runs.
    pub unrepeatable: bool,
    /// The client wants no cached answer (`x-jumpseat-cache: off`).
    pub refused: bool,
}

/// What of an answer decides whether it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// It came to its end: the whole body, or the stream's terminal event.
    pub complete: bool,
    /// It continues another target's stream.
    pub resumed: bool,
    /// Why it ended, of several choices the one that speaks most against keeping; `None` where a dialect has no such word
    /// (embeddings).
    pub finish: Option<FinishReason>,
    /// It calls tools, whatever it says it ended for.
    pub calls_tools: bool,
}

/// Why something is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    /// The question is none for a cache.
    Question,
    /// It asks for chance, and the policy keeps no such answer (now).
    Sampled,
    /// It is not whole, or put together from two targets'.
    Incomplete,
    /// It was cut off at the output limit.
    Truncated,
    /// It was filtered or refused for safety.
    Filtered,
    /// It is malformed.
    Malformed,
    /// It calls tools.
    ToolCalls,
}

/// What an answer's age makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It answers as a new one would.
    Fresh,
    /// Only when nothing else can be had, and marked.
    Stale,
    /// Not any more.
    Gone,
}

impl<T: Copy> ByLevel<T> {
    /// The value at a level.
    pub fn at(&self, level: SpendLevel) -> T {
        match level {
            SpendLevel::Quality => self.quality,
            SpendLevel::Balanced => self.balanced,
            SpendLevel::Cheapest => self.cheapest,
            SpendLevel::Exhausted => self.exhausted,
        }
    }
}

/// Twice, four and six times as long; 0.01, 0.02 and 0.03 less alike, never below 0.85.
impl Default for Strategy {
    fn default() -> Strategy {
        Strategy {
            ttl_times: ByLevel {
                quality: 1.0,
                balanced: 2.0,
                cheapest: 4.0,
                exhausted: 6.0,
            },
            threshold_less: ByLevel {
                quality: 0.0,
                balanced: 0.01,
                cheapest: 0.02,
                exhausted: 0.03,
            },
            threshold_min: 0.85,
        }
    }
}

impl Strategy {
    /// The levels change nothing.
    pub fn none() -> Strategy {
        let all = |value| ByLevel {
            quality: value,
            balanced: value,
            cheapest: value,
            exhausted: value,
        };
        Strategy {
            ttl_times: all(1.0),
            threshold_less: all(0.0),
            threshold_min: 0.0,
        }
    }
}

impl Default for CachePolicy {
    fn default() -> CachePolicy {
        CachePolicy {
            ttl: Duration::from_secs(600),
            stale_ttl: Duration::from_secs(24 * 3600),
            tool_calls: false,
            sampled: Sampled::default(),
            strategy: Strategy::default(),
        }
    }
}

impl CachePolicy {
    /// Whether a cache may be asked for an answer to the question. What has been kept was fit to be kept, so this asks less than
    /// [`CachePolicy::keeps`].
    pub fn may_look_up(&self, question: &Question) -> bool {
        let repeatable = match question.operation {
            Operation::Generate | Operation::Embed => !question.unrepeatable,
            // A count is made here or is cheap; it is never kept.
            Operation::CountTokens => false,
        };
        repeatable && !question.refused
    }

    /// Whether an answer is kept; `remaining` is the least share that is left of the budgets that count the call
    /// ([`Share::ONE`] without any). Streams and several choices are kept like any other answer.
    pub fn keeps(&self, question: &Question, answer: &Answered, remaining: Share) -> Result<(), NotKept> {
        if !self.may_look_up(question) {
            return Err(NotKept::Question);
        }
        let asks_for_chance = question.temperature.is_some_and(|t| t > 0.0);
        let chance_kept = match self.sampled {
            Sampled::Always => true,
            Sampled::WhenAbove(share) => remaining > share,
            Sampled::Never => false,
        };
        if asks_for_chance && !chance_kept {
            return Err(NotKept::Sampled);
        }
        if !answer.complete || answer.resumed {
            return Err(NotKept::Incomplete);
        }
        let calls_tools = match answer.finish {
            Some(FinishReason::Length) => return Err(NotKept::Truncated),
            Some(FinishReason::ContentFilter) => return Err(NotKept::Filtered),
            Some(FinishReason::Malformed) => return Err(NotKept::Malformed),
            Some(FinishReason::ToolCalls) => true,
            Some(FinishReason::Stop) => answer.calls_tools,
            None => match question.operation {
                Operation::Embed => false,
                Operation::Generate | Operation::CountTokens => return Err(NotKept::Incomplete),
            },
        };
        if calls_tools && !self.tool_calls {
            return Err(NotKept::ToolCalls);
        }
        Ok(())
    }

    /// How long an answer is fresh at a level.
    pub fn ttl_at(&self, level: SpendLevel) -> Duration {
        times(self.ttl, self.strategy.ttl_times.at(level))
    }

    /// What an answer that was kept so long ago is at a level.
    pub fn age(&self, kept_ago: Duration, level: SpendLevel) -> Age {
        let fresh = self.ttl_at(level);
        if kept_ago < fresh {
            Age::Fresh
        } else if kept_ago < fresh.saturating_add(self.stale_ttl) {
            Age::Stale
        } else {
            Age::Gone
        }
    }

    /// How long an answer must be kept so that no level misses it.
    pub fn keep_for(&self) -> Duration {
        let ByLevel {
            quality,
            balanced,
            cheapest,
            exhausted,
        } = self.strategy.ttl_times;
        let most = quality.max(balanced).max(cheapest).max(exhausted);
        times(self.ttl, most).saturating_add(self.stale_ttl)
    }

    /// How alike questions must be at a level, where this is how alike they must be while money is plentiful.
    pub fn threshold_at(&self, threshold: f64, level: SpendLevel) -> f64 {
        let lowered = threshold - self.strategy.threshold_less.at(level).max(0.0);
        lowered.max(self.strategy.threshold_min.min(threshold))
    }
}

fn times(duration: Duration, factor: f64) -> Duration {
    // What is no number or too large is the longest there is.
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            operation: Operation::Generate,
            temperature: None,
            unrepeatable: false,
            refused: false,
        }
    }

    fn answer(finish: FinishReason) -> Answered {
        Answered {
            complete: true,
            finish: Some(finish),
            ..Answered::default()
        }
    }

    #[test]
    fn a_question_is_looked_up_unless_its_answer_is_its_own() {
        let policy = CachePolicy::default();
        for (question, may) in [
            (question(), true),
            (
                Question {
                    temperature: Some(2.0),
                    ..question()
                },
                true,
            ),
            (
                Question {
                    operation: Operation::Embed,
                    ..question()
                },
                true,
            ),
            (
                Question {
                    operation: Operation::CountTokens,
                    ..question()
                },
                false,
            ),
            (
                Question {
                    unrepeatable: true,
                    ..question()
                },
                false,
            ),
            (
                Question {
                    refused: true,
                    ..question()
                },
                false,
            ),
        ] {
            assert_eq!(policy.may_look_up(&question), may, "{question:?}");
            let kept = policy.keeps(&question, &answer(FinishReason::Stop), Share::ONE);
            assert_eq!(kept == Err(NotKept::Question), !may, "{question:?}");
        }
    }

    #[test]
    fn what_is_cut_filtered_malformed_put_together_or_calls_tools_is_not_kept() {
        let policy = CachePolicy::default();
        let asked = CachePolicy {
            tool_calls: true,
            ..CachePolicy::default()
        };
        let calls = Answered {
            calls_tools: true,
            ..answer(FinishReason::Stop)
        };
        for (answered, by_default, with_tools) in [
            (answer(FinishReason::Stop), Ok(()), Ok(())),
            (
                answer(FinishReason::Length),
                Err(NotKept::Truncated),
                Err(NotKept::Truncated),
            ),
            (
                answer(FinishReason::ContentFilter),
                Err(NotKept::Filtered),
                Err(NotKept::Filtered),
            ),
            (
                answer(FinishReason::Malformed),
                Err(NotKept::Malformed),
                Err(NotKept::Malformed),
            ),
            (answer(FinishReason::ToolCalls), Err(NotKept::ToolCalls), Ok(())),
            (calls, Err(NotKept::ToolCalls), Ok(())),
            (
                Answered {
                    complete: false,
                    ..answer(FinishReason::Stop)
                },
                Err(NotKept::Incomplete),
                Err(NotKept::Incomplete),
            ),
            (
                Answered {
                    resumed: true,
                    ..answer(FinishReason::Stop)
                },
                Err(NotKept::Incomplete),
                Err(NotKept::Incomplete),
            ),
            (
                Answered {
                    finish: None,
                    ..answer(FinishReason::Stop)
                },
                Err(NotKept::Incomplete),
                Err(NotKept::Incomplete),
            ),
        ] {
            assert_eq!(
                policy.keeps(&question(), &answered, Share::ONE),
                by_default,
                "{answered:?}"
            );
            assert_eq!(
                asked.keeps(&question(), &answered, Share::ONE),
                with_tools,
                "{answered:?}"
            );
        }
        let vectors = Question {
            operation: Operation::Embed,
            ..question()
        };
        let whole = Answered {
            complete: true,
            ..Answered::default()
        };
        assert_eq!(policy.keeps(&vectors, &whole, Share::ONE), Ok(()));
    }

    #[test]
    fn answers_to_questions_that_ask_for_chance_are_kept_as_the_policy_says_and_while_money_is_plentiful() {
        let half = Sampled::WhenAbove(Share::percent(50));
        let rows: [(Sampled, u32, bool); 5] = [
            (Sampled::Always, 0, true),
            (half, 51, true),
            (half, 50, false),
            (half, 0, false),
            (Sampled::Never, 100, false),
        ];
        for (sampled, percent, kept) in rows {
            let policy = CachePolicy {
                sampled,
                ..CachePolicy::default()
            };
            let keeps = |temperature| {
                let question = Question {
                    temperature,
                    ..question()
                };
                policy.keeps(&question, &answer(FinishReason::Stop), Share::percent(percent))
            };
            assert_eq!(keeps(Some(0.7)).is_ok(), kept, "{sampled:?} {percent}");
            assert_eq!((keeps(None), keeps(Some(0.0))), (Ok(()), Ok(())), "these ask for none");
        }
    }

    #[test]
    fn answers_stay_fresh_longer_and_questions_need_to_be_less_alike_as_money_goes() {
        let policy = CachePolicy {
            ttl: Duration::from_secs(600),
            stale_ttl: Duration::from_secs(1_000),
            ..CachePolicy::default()
        };
        use SpendLevel::{Balanced, Cheapest, Exhausted, Quality};
        for (level, ttl, threshold) in [
            (Quality, 600, 0.95),
            (Balanced, 1_200, 0.94),
            (Cheapest, 2_400, 0.93),
            (Exhausted, 3_600, 0.92),
        ] {
            assert_eq!(policy.ttl_at(level), Duration::from_secs(ttl));
            assert!((policy.threshold_at(0.95, level) - threshold).abs() < 1e-9, "{level:?}");
            for (age, expected) in [
                (ttl - 1, Age::Fresh),
                (ttl, Age::Stale),
                (ttl + 999, Age::Stale),
                (ttl + 1_000, Age::Gone),
            ] {
                assert_eq!(policy.age(Duration::from_secs(age), level), expected, "{level:?} {age}");
            }
        }
        assert_eq!(policy.keep_for(), Duration::from_secs(4_600));
        assert_eq!(policy.threshold_at(0.86, Exhausted), 0.85);
        assert_eq!(
            policy.threshold_at(0.5, Exhausted),
            0.5,
            "what is configured lower stays"
        );
        let steady = CachePolicy {
            strategy: Strategy::none(),
            ..policy
        };
        assert_eq!(steady.ttl_at(Exhausted), Duration::from_secs(600));
        assert_eq!(steady.threshold_at(0.95, Exhausted), 0.95);
        let absurd = ByLevel {
            quality: f64::NAN,
            balanced: f64::INFINITY,
            cheapest: -1.0,
            exhausted: 1.0,
        };
        let strategy = Strategy {
            ttl_times: absurd,
            ..Strategy::none()
        };
        let policy = CachePolicy { strategy, ..steady };
        assert_eq!(
            [Quality, Balanced, Cheapest].map(|l| policy.ttl_at(l)),
            [Duration::ZERO, Duration::MAX, Duration::ZERO]
        );
    }
}
