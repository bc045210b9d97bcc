//! The gate before a target is tried: can it do what the call uses, and does the prompt fit?
//!
//! Features are known, so a missing one bars a target. The prompt's length is an estimate, so a window too small puts a
//! target last instead: see [`Unfit::is_estimate`].

use std::fmt;

use serde::Serialize;
use types::features::Features;

use crate::call::facts::CallFacts;
use crate::target::TargetFacts;

/// Why a target cannot take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "unfit", rename_all = "snake_case")]
pub enum Unfit {
    /// It lacks these features.
    Features {
        /// What is missing.
        missing: Features,
    },
    /// The prompt, as estimated, is longer than its context window.
    Window {
        /// Tokens of the prompt, estimated.
        needs: u64,
        /// Tokens of the window.
        has: u64,
    },
    /// More output was asked for than it gives.
    MaxOutput {
        /// Tokens asked for.
        asks: u64,
        /// Tokens it gives at most.
        has: u64,
    },
}

/// Why the target cannot take the call; `None` when it can. A target that the client named itself is never barred: the
/// provider knows better than any catalog. `prompt_tokens` is the prompt as estimated for this target.
pub fn gate(call: &CallFacts, target: &TargetFacts, prompt_tokens: u64) -> Option<Unfit> {
    if call.named_target {
        return None;
    }
    let missing = call.features.without(target.features);
    if !missing.is_empty() {
        return Some(Unfit::Features { missing });
    }
    if let Some(has) = target.context_window
        && prompt_tokens > has
    {
        return Some(Unfit::Window {
            needs: prompt_tokens,
            has,
        });
    }
    if let (Some(asks), Some(has)) = (call.max_output_tokens, target.max_output)
        && asks > has
    {
        return Some(Unfit::MaxOutput { asks, has });
    }
    None
}

/// What a call may be asked for in words instead, when a route says `on_unsupported: degrade`: tools are offered and called in
/// text, a form of the answer is described and checked afterwards.
pub const DEGRADABLE: Features = Features::TOOLS.with(Features::JSON_OBJECT).with(Features::JSON_SCHEMA);

impl Unfit {
    /// What would have to be asked for in words, if that is all that bars the target.
    pub fn degradable(self) -> Option<Features> {
        match self {
            Unfit::Features { missing } if DEGRADABLE.contains(missing) => Some(missing),
            Unfit::Features { .. } | Unfit::Window { .. } | Unfit::MaxOutput { .. } => None,
        }
    }

    /// Whether it may be wrong, so that the target is still tried when there is no other.
    pub fn is_estimate(self) -> bool {
        match self {
            Unfit::Features { .. } => false,
            Unfit::Window { .. } | Unfit::MaxOutput { .. } => true,
        }
    }

    /// The word used in logs, metrics and the plan.
    pub fn as_str(self) -> &'static str {
        match self {
            Unfit::Features { .. } => "features",
            Unfit::Window { .. } => "context_window",
            Unfit::MaxOutput { .. } => "max_output",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Features { missing } => {
                f.write_str("cannot do ")?;
                for (i, word) in missing.words().enumerate() {
                    write!(f, "{}{word}", if i > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            Unfit::Window { needs, has } => write!(f, "has a window of {has} tokens, the prompt is about {needs}"),
            Unfit::MaxOutput { asks, has } => {
                write!(f, "gives at most {has} tokens of output, {asks} were asked for")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::tests::facts;

    #[test]
    fn a_target_must_have_the_features_the_window_and_the_output() {
        let target = TargetFacts {
            features: Features::TOOLS.with(Features::VISION),
            context_window: Some(1000),
            max_output: Some(100),
            ..facts(0)
        };
        let call = |features, prompt, output, named_target| CallFacts {
            features,
            prompt_tokens_estimate: prompt,
            max_output_tokens: output,
            named_target,
            ..CallFacts::default()
        };
        for (call, expected) in [
            (call(Features::TOOLS, 1000, Some(100), false), ""),
            (call(Features::NONE, 0, None, false), ""),
            (
                call(
                    Features::TOOLS.with(Features::JSON_SCHEMA).with(Features::CHOICES),
                    0,
                    None,
                    false,
                ),
                "cannot do json_schema, choices",
            ),
            (
                call(Features::NONE, 1001, None, false),
                "has a window of 1000 tokens, the prompt is about 1001",
            ),
            (
                call(Features::NONE, 1, Some(101), false),
                "gives at most 100 tokens of output, 101 were asked for",
            ),
            (call(Features::ALL, 5000, Some(101), true), ""),
        ] {
            let said = gate(&call, &target, call.prompt_tokens_estimate)
                .map(|u| u.to_string())
                .unwrap_or_default();
            assert_eq!(said, expected);
        }
    }
}
