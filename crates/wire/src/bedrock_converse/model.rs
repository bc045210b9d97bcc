//! What the makers of Bedrock's models take beyond what Converse says for all of them, read from the model's id.
//!
//! Ids come plain (`anthropic.claude-opus-5-v1:0`), with a region (`us.`, `global.`) and as ARNs that end in one. An ARN of an
//! application's own profile tells no maker: such a model is taken for one that knows only the common words.

use crate::anthropic_messages::generation::Generation;

/// Who made a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// Claude, which takes its own API's fields too.
    Anthropic,
    /// Amazon's Nova.
    Nova,
    /// OpenAI's open models.
    OpenAi,
    /// Any other.
    Other,
}

impl Maker {
    /// By the model's id.
    pub fn of(model: &str) -> Maker {
        let has = |word: &str| model.contains(word);
        if has("anthropic.") || has("claude") {
            Maker::Anthropic
        } else if has("amazon.nova") {
            Maker::Nova
        } else if has("openai.") {
            Maker::OpenAi
        } else {
            Maker::Other
        }
    }

    /// It takes `cachePoint`s.
    pub fn caches(self) -> bool {
        match self {
            Maker::Anthropic | Maker::Nova => true,
            Maker::OpenAi | Maker::Other => false,
        }
    }

    /// It takes `cachePoint`s of an hour.
    pub fn caches_an_hour(self, generation: &Generation) -> bool {
        // Since Claude 4.5, like structured output.
        self == Maker::Anthropic && generation.structured
    }

    /// It takes the `status` of a tool result.
    pub fn takes_tool_status(self) -> bool {
        match self {
            Maker::Anthropic | Maker::Nova => true,
            Maker::OpenAi | Maker::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_by_id() {
        let rows = [
            ("anthropic.claude-3-haiku-20240307-v1:0", Maker::Anthropic),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5-v1:0",
                Maker::Anthropic,
            ),
            ("us.amazon.nova-pro-v1:0", Maker::Nova),
            ("openai.gpt-oss-120b-1:0", Maker::OpenAi),
            ("meta.llama3-1-70b-instruct-v1:0", Maker::Other),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl",
                Maker::Other,
            ),
        ];
        for (id, maker) in rows {
            assert_eq!(Maker::of(id), maker, "{id}");
        }
    }
}
