//! What a wish for reasoning becomes: `thinking` and `output_config.effort`, as the model's generation takes them.
//!
//! Where the wish cannot be kept (no room below `max_tokens`, a forced tool, a model that does not reason) it is left out
//! and said; an answer without reasoning is still the answer.

use types::chat::ReasoningRequest;

use super::body::Thinking;
use super::generation::{EffortWords, Generation, ThinkingForm, ThinkingOff};

/// The smallest `budget_tokens` the API takes.
const BUDGET_MIN: u64 = 1_024;

/// The reasoning part of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// `thinking`.
    pub thinking: Option<Thinking>,
    /// `output_config.effort`.
    pub effort: Option<&'static str>,
    /// The wish was not kept, or not in full.
    pub dropped: bool,
}

/// What the request around it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// The model reasons at all.
    pub reasons: bool,
    /// `max_tokens` of the request; thinking counts towards it.
    pub max_tokens: u64,
    /// A tool is forced: no thinking beside it.
    pub forced_tool: bool,
    /// Tools were called in the last turn of the assistant without a thinking block before them. A budget is refused then.
    pub bare_tool_turn: bool,
}

impl Plan {
    /// `thinking` is on by our word: sampling parameters must keep to their defaults.
    pub fn is_on(&self) -> bool {
        matches!(
            self.thinking,
            Some(Thinking::Enabled { .. } | Thinking::Adaptive { .. })
        )
    }

    /// Shows thinking as the client asked.
    pub fn show(&mut self, asked: &str) {
        let known = ["summarized", "omitted"].into_iter().find(|word| *word == asked);
        if let Some(Thinking::Adaptive { display } | Thinking::Enabled { display, .. }) = &mut self.thinking {
            *display = known.or(*display);
        }
    }

    fn dropped() -> Plan {
        Plan {
            dropped: true,
            ..Plan::default()
        }
    }
}

/// Plans the reasoning of a request.
pub(crate) fn plan(wish: Option<&ReasoningRequest>, generation: &Generation, around: Surroundings) -> Plan {
    let Some(wish) = wish else {
        return Plan::default();
    };
    if matches!(wish, ReasoningRequest::Effort(word) if word == "none") || *wish == ReasoningRequest::Budget(0) {
        return off(generation);
    }
    if !around.reasons {
        return Plan::dropped();
    }
    match generation.thinking {
        ThinkingForm::Budget => by_budget(wish, around),
        ThinkingForm::Adaptive => adaptive(wish, generation, around),
    }
}

fn off(generation: &Generation) -> Plan {
    match generation.off {
        ThinkingOff::ByDefault => Plan::default(),
        ThinkingOff::Disabled => Plan {
            thinking: Some(Thinking::Disabled),
            ..Plan::default()
        },
        ThinkingOff::BetweenTools => Plan {
            thinking: Some(Thinking::BetweenTools),
            ..Plan::default()
        },
        // It thinks as little as it can.
        ThinkingOff::Never => Plan {
            effort: Some("low"),
            ..Plan::dropped()
        },
    }
}

fn by_budget(wish: &ReasoningRequest, around: Surroundings) -> Plan {
    if around.forced_tool || around.bare_tool_turn {
        return Plan::dropped();
    }
    let budget = match wish {
        // A quarter of the limit at least is left to the answer itself.
        ReasoningRequest::Effort(word) => effort_budget(word).map(|b| b.min(around.max_tokens / 4 * 3)),
        // The API's minimum is kept silently: less than asked for cannot be had, and more is bounded by it.
        ReasoningRequest::Budget(tokens) => Some((*tokens).max(BUDGET_MIN).min(around.max_tokens.saturating_sub(1))),
    };
    match budget {
        Some(budget_tokens) if budget_tokens >= BUDGET_MIN => Plan {
            thinking: Some(Thinking::Enabled {
                budget_tokens,
                display: None,
            }),
            ..Plan::default()
        },
        Some(_) | None => Plan::dropped(),
    }
}

fn adaptive(wish: &ReasoningRequest, generation: &Generation, around: Surroundings) -> Plan {
    let (effort, in_full) = match wish {
        ReasoningRequest::Effort(word) => match effort_word(word, generation.effort) {
            Some(effort) => (effort, true),
            None => return Plan::dropped(),
        },
        // There is no faithful conversion of a budget; the nearest word is sent, and said to be no budget.
        ReasoningRequest::Budget(tokens) => match tokens {
            0..=4_096 => ("low", false),
            4_097..=12_288 => ("medium", false),
            _ => ("high", false),
        },
    };
    if around.forced_tool {
        // Effort bounds all tokens and needs no thinking.
        return Plan {
            effort: Some(effort),
            ..Plan::dropped()
        };
    }
    Plan {
        thinking: Some(Thinking::Adaptive {
            // Without it a stream is silent while the model thinks, and the client sees no reasoning.
            display: generation.hides_thinking.then_some("summarized"),
        }),
        effort: Some(effort),
        dropped: !in_full,
    }
}

/// Tokens for an effort, for models that take a budget.
fn effort_budget(word: &str) -> Option<u64> {
    match word {
        "minimal" => Some(BUDGET_MIN),
        "low" => Some(2_048),
        "medium" => Some(8_192),
        "high" => Some(16_384),
        "xhigh" | "max" => Some(32_768),
        _ => None,
    }
}

/// The nearest word the model knows, never more than was asked for.
fn effort_word(word: &str, words: EffortWords) -> Option<&'static str> {
    match (word, words) {
        ("minimal" | "low", _) => Some("low"),
        ("medium", _) => Some("medium"),
        ("high", _) | ("xhigh", EffortWords::Max) => Some("high"),
        ("xhigh", EffortWords::XhighMax) => Some("xhigh"),
        ("max", _) => Some("max"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Surroundings = Surroundings {
        reasons: true,
        max_tokens: 64_000,
        forced_tool: false,
        bare_tool_turn: false,
    };

    fn effort(word: &str) -> ReasoningRequest {
        ReasoningRequest::Effort(word.to_owned())
    }

    #[track_caller]
    fn check(model: &str, wish: ReasoningRequest, around: Surroundings, wanted: &str) {
        let plan = plan(Some(&wish), &Generation::of(model), around);
        let told = serde_json::json!([plan.thinking, plan.effort, plan.dropped]).to_string();
        assert_eq!(told, wanted, "{model}: {wish:?}, {around:?}");
    }

    #[test]
    fn a_wish_for_reasoning_is_said_as_the_generation_takes_it() {
        let (old, new) = ("claude-haiku-4-5", "claude-opus-5-5");
        let budget = |n| format!(r#"[{{"type":"enabled","budget_tokens":{n}}},null,false]"#);
        let adaptive = |e| format!(r#"[{{"type":"adaptive","display":"summarized"}},"{e}",false]"#);
        let dropped = "[null,null,true]";

        for (word, tokens) in [("minimal", 1024), ("low", 2048), ("high", 16384)] {
            check(old, effort(word), FREE, &budget(tokens));
        }
        for (word, said) in [("minimal", "low"), ("medium", "medium"), ("xhigh", "xhigh")] {
            check(new, effort(word), FREE, &adaptive(said));
        }
        let plain = r#"[{"type":"adaptive"},"high",false]"#;
        check("claude-sonnet-4-6", effort("xhigh"), FREE, plain);
        check(new, effort("utmost"), FREE, dropped);
        check(old, effort("utmost"), FREE, dropped);

        check(old, ReasoningRequest::Budget(5000), FREE, &budget(5000));
        check(old, ReasoningRequest::Budget(10), FREE, &budget(1024));
        let medium = r#"[{"type":"adaptive","display":"summarized"},"medium",true]"#;
        check(new, ReasoningRequest::Budget(8000), FREE, medium);
    }

    #[test]
    fn a_budget_stays_below_the_limit_or_is_left_out() {
        let old = "claude-haiku-4-5";
        let tight = |max_tokens| Surroundings { max_tokens, ..FREE };
        let budget = |n| format!(r#"[{{"type":"enabled","budget_tokens":{n}}},null,false]"#);
        check(old, effort("high"), tight(4000), &budget(3000));
        check(old, effort("high"), tight(1300), "[null,null,true]");
        check(old, ReasoningRequest::Budget(9000), tight(4000), &budget(3999));
        check(old, ReasoningRequest::Budget(9000), tight(1024), "[null,null,true]");
        check(old, ReasoningRequest::Budget(9000), tight(0), "[null,null,true]");
    }

    #[test]
    fn thinking_gives_way_to_a_forced_tool_and_to_tool_turns_without_it() {
        let forced = Surroundings {
            forced_tool: true,
            ..FREE
        };
        let bare = Surroundings {
            bare_tool_turn: true,
            ..FREE
        };
        let none = Surroundings { reasons: false, ..FREE };
        check("claude-haiku-4-5", effort("low"), forced, "[null,null,true]");
        check("claude-haiku-4-5", effort("low"), bare, "[null,null,true]");
        check("claude-opus-5", effort("low"), forced, r#"[null,"low",true]"#);
        let on = r#"[{"type":"adaptive","display":"summarized"},"low",false]"#;
        check("claude-opus-5", effort("low"), bare, on);
        check("claude-opus-5", effort("low"), none, "[null,null,true]");
    }

    #[test]
    fn no_reasoning_is_said_as_the_generation_takes_it() {
        for (model, wanted) in [
            ("claude-haiku-4-5", "[null,null,false]"),
            ("claude-opus-5", r#"[{"type":"disabled"},null,false]"#),
            ("claude-sonnet-5-5", r#"[{"type":"between_tools"},null,false]"#),
            ("claude-opus-5-5", r#"[null,"low",true]"#),
        ] {
            check(model, effort("none"), FREE, wanted);
        }
    }
}
