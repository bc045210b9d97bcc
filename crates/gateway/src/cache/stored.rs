//! A kept answer: what was said, in the neutral model, and who said it.
//!
//! Written as a version and JSON. A program that does not know the version finds nothing; members are only added, each with a default.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use types::answer::{AnswerPart, ChatAnswer, FinishReason};
use types::embedding::EmbeddingAnswer;
use types::ids::ModelTier;
use types::usage::Usage;

/// The first byte of what is written.
const VERSION: u8 = b'1';

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// What was said.
    pub answer: Said,
    /// The target that said it.
    pub target: String,
    /// Its tier, from 1.
    pub tier: u32,
    /// Its model tier.
    pub model_tier: Option<ModelTier>,
    /// What its request had to leave out, as the client was told.
    #[serde(default)]
    pub dropped: Option<String>,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// To a conversation.
    Chat(ChatAnswer),
    /// Vectors.
    Vectors(Vectors),
}

/// Vectors, to the bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vectors {
    model: String,
    /// Each as base64 of little-endian 32-bit floats.
    vectors: Vec<String>,
    usage: Option<Usage>,
}

impl Stored {
    /// As stores take it.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, self).expect("an answer can be written as JSON");
        bytes
    }

    /// Reads [`Stored::write`] back; `None` for what another version wrote.
    pub fn read(bytes: &[u8]) -> Option<Stored> {
        let (version, json) = bytes.split_first()?;
        (*version == VERSION).then(|| serde_json::from_slice(json).ok())?
    }
}

impl Vectors {
    /// From an answer.
    pub fn of(answer: &EmbeddingAnswer) -> Vectors {
        let written = |vector: &Vec<f32>| {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            STANDARD.encode(bytes)
        };
        Vectors {
            model: answer.model.clone(),
            vectors: answer.vectors.iter().map(written).collect(),
            usage: answer.usage,
        }
    }

    /// The answer.
    pub fn answer(&self) -> EmbeddingAnswer {
        let read = |text: &String| {
            let bytes = STANDARD.decode(text).unwrap_or_default();
            let floats = bytes.as_chunks::<4>().0.iter();
            floats.map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        EmbeddingAnswer {
            model: self.model.clone(),
            vectors: self.vectors.iter().map(read).collect(),
            usage: self.usage,
        }
    }
}

/// Why an answer ended, of several choices the one that speaks most against keeping it.
pub fn finish(answer: &ChatAnswer) -> Option<FinishReason> {
    let weight = |finish: Option<FinishReason>| match finish {
        None => 5,
        Some(FinishReason::Malformed) => 4,
        Some(FinishReason::ContentFilter) => 3,
        Some(FinishReason::Length) => 2,
        Some(FinishReason::ToolCalls) => 1,
        Some(FinishReason::Stop) => 0,
    };
    answer
        .choices
        .iter()
        .map(|choice| choice.finish)
        .max_by_key(|finish| weight(*finish))
        .flatten()
}

/// Whether an answer calls tools, and whether it refuses in words.
pub fn calls_or_refuses(answer: &ChatAnswer) -> (bool, bool) {
    let parts = || answer.choices.iter().flat_map(|choice| &choice.parts);
    (
        parts().any(|part| matches!(part, AnswerPart::ToolCall(_))),
        parts().any(|part| matches!(part, AnswerPart::Refusal { .. })),
    )
}

#[cfg(test)]
mod tests {
    use types::answer::Choice;
    use types::chat::Json;

    use super::*;

    fn choice(finish: Option<FinishReason>) -> Choice {
        Choice {
            finish,
            ..Choice::default()
        }
    }

    #[test]
    fn an_answer_is_read_back_as_it_was_and_another_version_is_nothing() {
        let chat = ChatAnswer {
            id: "a".into(),
            choices: vec![Choice {
                parts: vec![AnswerPart::Text {
                    text: "Hi\u{2028}".into(),
                }],
                logprobs: Some(Json::parse("{\"content\": [1.0]}").unwrap()),
                ..choice(Some(FinishReason::Stop))
            }],
            ..ChatAnswer::default()
        };
        let vectors = EmbeddingAnswer {
            model: "m".into(),
            vectors: vec![vec![0.1, f32::MIN_POSITIVE, -0.0], vec![]],
            usage: None,
        };
        for answer in [Said::Chat(chat), Said::Vectors(Vectors::of(&vectors))] {
            let stored = Stored {
                answer,
                target: "p/m".into(),
                tier: 2,
                model_tier: Some(ModelTier::Economy),
                dropped: None,
            };
            let mut written = stored.write();
            assert_eq!(Stored::read(&written), Some(stored));
            written[0] = b'2';
            assert_eq!(Stored::read(&written), None);
        }
        let Said::Vectors(written) = Said::Vectors(Vectors::of(&vectors)) else {
            unreachable!()
        };
        assert_eq!(written.answer(), vectors);
        assert_eq!(Stored::read(b""), None);
    }

    #[test]
    fn one_bad_choice_speaks_for_all() {
        let answer = |ends: &[Option<FinishReason>]| ChatAnswer {
            choices: ends.iter().map(|end| choice(*end)).collect(),
            ..ChatAnswer::default()
        };
        let (stop, length) = (Some(FinishReason::Stop), Some(FinishReason::Length));
        assert_eq!(finish(&answer(&[stop, stop])), stop);
        assert_eq!(finish(&answer(&[stop, length])), length);
        assert_eq!(finish(&answer(&[length, None])), None);
        assert_eq!(finish(&answer(&[])), None);
    }
}
