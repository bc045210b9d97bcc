//! Answers in OpenAI's shape: looked at as they pass, and written.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use types::embedding::{EmbeddingAnswer, EmbeddingEncoding};
use types::outcome::Failure;
use types::usage::Usage;

use super::no_answer;
use crate::openai_chat;
use crate::response::{AnswerFacts, RawAnswer};

/// Counts as OpenAI tells them of embeddings, whose answer takes no tokens.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Counts {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl Counts {
    /// The counts in the house's meaning.
    pub fn usage(self) -> Option<Usage> {
        let input = self.prompt_tokens.or(self.total_tokens)?;
        Some(Usage {
            input,
            ..Usage::default()
        })
    }
}

/// Looks at an answer that passes.
///
/// # Errors
/// A status that is not 2xx, an error or anything else that holds no list of vectors.
pub fn inspect_answer(raw: RawAnswer<'_>) -> Result<AnswerFacts, Failure> {
    #[derive(Deserialize)]
    struct Facts<'a> {
        #[serde(borrow)]
        model: Option<Cow<'a, str>>,
        usage: Option<Counts>,
        data: Option<Vec<IgnoredAny>>,
        error: Option<IgnoredAny>,
    }
    if !(200..300).contains(&raw.status) {
        return Err(openai_chat::classify(raw));
    }
    let facts: Facts<'_> = serde_json::from_slice(raw.body).map_err(|_| openai_chat::classify(raw))?;
    if facts.error.is_some() {
        return Err(openai_chat::classify(raw));
    }
    if facts.data.is_none_or(|data| data.is_empty()) {
        return Err(no_answer(raw));
    }
    Ok(AnswerFacts {
        usage: facts.usage.and_then(Counts::usage),
        model: facts.model.map(Cow::into_owned),
        finish: None,
        filtered: false,
    })
}

/// Writes an answer, its vectors in the encoding that was asked for. The model is written as it is in `answer`: who knows it
/// puts it there where the provider did not tell.
pub fn encode_answer(answer: &EmbeddingAnswer, encoding: EmbeddingEncoding) -> Vec<u8> {
    #[derive(Serialize)]
    struct Answer<'a> {
        object: &'static str,
        data: Vec<Embedding<'a>>,
        model: &'a str,
        usage: Counted,
    }
    #[derive(Serialize)]
    struct Embedding<'a> {
        object: &'static str,
        index: usize,
        embedding: Vector<'a>,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Vector<'a> {
        Floats(&'a [f32]),
        Base64(String),
    }
    #[derive(Serialize)]
    struct Counted {
        prompt_tokens: u64,
        total_tokens: u64,
    }
    let vector = |vector| match encoding {
        EmbeddingEncoding::Float => Vector::Floats(vector),
        EmbeddingEncoding::Base64 => Vector::Base64(base64(vector)),
    };
    let data = answer.vectors.iter().enumerate().map(|(index, floats)| Embedding {
        object: "embedding",
        index,
        embedding: vector(floats),
    });
    let tokens = answer.usage.map_or(0, |usage| usage.input);
    let body = Answer {
        object: "list",
        data: data.collect(),
        model: &answer.model,
        usage: Counted {
            prompt_tokens: tokens,
            total_tokens: tokens,
        },
    };
    serde_json::to_vec(&body).expect("strings and numbers can be written")
}

/// A vector as base64 of little-endian 32-bit floats.
fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|float| float.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// The vector that `base64` wrote; `None` when it is none.
pub(super) fn from_base64(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (floats, rest) = bytes.as_chunks::<4>();
    rest.is_empty()
        .then(|| floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
