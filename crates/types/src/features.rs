//! What a call uses and what a model can do, as one small set.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of abilities. A call's features must be a subset of its target's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(u32);

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        impl Features {
            $($(#[$doc])* pub const $name: Features = Features(1 << $bit);)*
            /// Every feature with the word used for it in the catalog and in messages.
            pub const WORDS: &'static [(Features, &'static str)] = &[$((Features::$name, $word)),*];
        }
    };
}

features! {
    /// Function tools.
    TOOLS = 0, "tools";
    /// Images in the prompt.
    VISION = 1, "vision";
    /// Audio in the prompt or the answer.
    AUDIO = 2, "audio";
    /// Files (PDF and the like) in the prompt.
    DOCUMENTS = 3, "documents";
    /// "Answer with some JSON object".
    JSON_OBJECT = 4, "json_object";
    /// "Answer with JSON of this schema".
    JSON_SCHEMA = 5, "json_schema";
    /// Reasoning was asked for.
    REASONING = 6, "reasoning";
    /// More than one choice (`n` > 1).
    CHOICES = 7, "choices";
    /// Log probabilities of tokens.
    LOGPROBS = 8, "logprobs";
    /// The model continues a trailing assistant message.
    PREFILL = 9, "prefill";
    /// More than one tool call in an answer.
    PARALLEL_TOOLS = 10, "parallel_tools";
    /// The answer comes as it is made.
    STREAMING = 11, "streaming";
    /// Instructions apart from the conversation.
    SYSTEM = 12, "system";
    /// Vectors of texts, at the endpoint for them.
    EMBEDDINGS = 13, "embeddings";
}

impl Features {
    /// No feature at all.
    pub const NONE: Features = Features(0);
    /// Every feature: what is assumed of a model the catalog does not know.
    pub const ALL: Features = Features((1 << 14) - 1);

    /// Both sets together.
    pub const fn with(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }

    /// What nearly every chat model can, so that nobody lists it: several tool calls, streams, instructions.
    pub const COMMON: Features = Features::PARALLEL_TOOLS
        .with(Features::STREAMING)
        .with(Features::SYSTEM);

    /// This set less the other.
    pub const fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }

    /// Adds the other set.
    pub fn insert(&mut self, other: Features) {
        self.0 |= other.0;
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the sets have a feature in common.
    pub const fn intersects(self, other: Features) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words of the features in the set, in a fixed order.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS
            .iter()
            .filter(move |(f, _)| self.contains(*f))
            .map(|(_, word)| *word)
    }

    /// The feature a word stands for.
    pub fn from_word(word: &str) -> Option<Features> {
        Self::WORDS.iter().find(|(_, w)| *w == word).map(|(f, _)| *f)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_feature_and_all_holds_them_all() {
        for (feature, word) in Features::WORDS {
            assert_eq!(Features::from_word(word), Some(*feature));
            assert!(Features::ALL.contains(*feature));
        }
        assert_eq!(Features::ALL.words().count(), Features::WORDS.len());
        let set = Features::TOOLS.with(Features::VISION).without(Features::TOOLS);
        assert_eq!(set.words().collect::<Vec<_>>(), ["vision"]);
    }
}
