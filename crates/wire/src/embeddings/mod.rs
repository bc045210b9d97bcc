//! Embeddings: `POST /v1/embeddings` of OpenAI towards clients, and what the providers have for it.
//!
//! Towards clients there is one dialect: [`read_head`] and [`inspect_answer`] are the pass-through, [`decode_request`] and
//! [`encode_answer`] translate. Towards providers [`encode_request`] and [`decode_answer`] speak whichever has embeddings of its
//! own. The type to read first is `types::embedding::EmbeddingRequest`.
//!
//! Deliberately absent: embeddings of images, and Bedrock's, which are another API with a body of each maker.

mod answer;
mod cohere;
mod gemini;
mod head;
mod ollama;
mod openai;
mod request;

use types::dialect::DialectName;
use types::embedding::{EmbeddingAnswer, EmbeddingInput, EmbeddingRequest};
use types::outcome::{Failure, OutcomeClass};

pub use answer::{encode_answer, inspect_answer};
pub use head::read_head;
pub use request::decode_request;

use crate::failure::{Told, failure};
use crate::request::{Encoded, Unsupported, UpstreamModel};
use crate::response::RawAnswer;

/// Writes a request for a provider.
///
/// # Errors
/// What the dialect cannot say: it has no embeddings, takes no tokens, or fewer inputs at a time.
pub fn encode_request(
    dialect: DialectName,
    request: &EmbeddingRequest,
    upstream: UpstreamModel<'_>,
) -> Result<Encoded, Unsupported> {
    match dialect {
        DialectName::OpenaiChat | DialectName::OpenaiResponses => Ok(openai::encode(request, upstream)),
        DialectName::Gemini => gemini::encode(request, upstream),
        DialectName::CohereChat => cohere::encode(request, upstream),
        DialectName::OllamaChat => ollama::encode(request, upstream),
        DialectName::AnthropicMessages | DialectName::BedrockConverse => {
            Err(unsupported(dialect, "embeddings", "model"))
        }
    }
}

/// Reads an answer. Its vectors are in the inputs' order; the model is empty where the provider does not tell.
///
/// # Errors
/// A status that is not 2xx (as the dialect classifies it), a body without vectors (`bad_response`).
pub fn decode_answer(dialect: DialectName, raw: RawAnswer<'_>) -> Result<EmbeddingAnswer, Failure> {
    if !(200..300).contains(&raw.status) {
        return Err(crate::dialect::classify(dialect, raw));
    }
    let answer = match dialect {
        DialectName::OpenaiChat | DialectName::OpenaiResponses => openai::decode(raw.body),
        DialectName::Gemini => gemini::decode(raw.body),
        DialectName::CohereChat => cohere::decode(raw.body),
        DialectName::OllamaChat => ollama::decode(raw.body),
        DialectName::AnthropicMessages | DialectName::BedrockConverse => None,
    };
    let answer = answer.filter(|answer| !answer.vectors.is_empty() && answer.vectors.iter().all(|v| !v.is_empty()));
    answer.ok_or_else(|| no_answer(raw))
}

/// What came with 2xx and holds no vectors.
fn no_answer(raw: RawAnswer<'_>) -> Failure {
    let told = Told {
        message: "an answer without embeddings",
        ..Told::default()
    };
    failure(OutcomeClass::BadResponse, raw, told)
}

fn unsupported(dialect: DialectName, what: impl Into<String>, param: &str) -> Unsupported {
    Unsupported {
        dialect,
        what: what.into(),
        param: Some(param.to_owned()),
    }
}

/// The inputs as texts, for providers that take nothing else, and at most so many.
fn texts(request: &EmbeddingRequest, dialect: DialectName, count_max: usize) -> Result<Vec<&str>, Unsupported> {
    if request.inputs.len() > count_max {
        let what = format!("more than {count_max} inputs at a time");
        return Err(unsupported(dialect, what, "input"));
    }
    let texts = request.inputs.iter().map(|input| match input {
        EmbeddingInput::Text(text) => Ok(text.as_str()),
        EmbeddingInput::Tokens(_) => Err(unsupported(dialect, "inputs as tokens", "input")),
    });
    texts.collect()
}
