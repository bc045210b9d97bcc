//! How a provider's whole answer becomes the client's.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use types::answer::FinishReason;
use types::dialect::{DialectName, IngressDialect};
use types::embedding::EmbeddingEncoding;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;
use wire::opaque::Endpoint;
use wire::response::{EncoderOptions, RawAnswer};
use wire::{dialect, embeddings, server};

/// Reads a whole answer.
pub enum AnswerReader {
    /// The client's own dialect.
    Pass(IngressDialect),
    /// Another dialect.
    Translate {
        /// The provider's.
        upstream: DialectName,
        /// The client's.
        ingress: IngressDialect,
        /// Who the answer says it is.
        identity: EncoderOptions,
    },
    /// A number of tokens.
    Count {
        /// The provider's dialect.
        upstream: DialectName,
        /// The client's.
        ingress: IngressDialect,
        /// They are the same.
        pass: bool,
    },
    /// Vectors in OpenAI's shape.
    PassEmbedding,
    /// Vectors in another.
    Embedding {
        /// The provider's dialect.
        upstream: DialectName,
        /// How the client wants the numbers.
        encoding: EmbeddingEncoding,
    },
    /// Whatever it is, it goes on.
    Opaque {
        /// What was asked.
        endpoint: Endpoint,
        /// The client named a model, so a 404 may be about it.
        names_model: bool,
    },
}

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// In the client's dialect.
    pub body: Bytes,
    /// What kind of body it is, when it is not JSON.
    pub content_type: Option<HeaderValue>,
    /// Tokens, as told.
    pub usage: Option<Usage>,
    /// A filter or a refusal for safety ended it.
    pub filtered: bool,
}

impl AnswerReader {
    /// Reads a 2xx body; what is no answer is a failure.
    pub fn read(&self, raw: RawAnswer<'_>, body: Bytes) -> Result<Answer, Failure> {
        match self {
            AnswerReader::Pass(ingress) => server::inspect_answer(*ingress, raw).map(|facts| Answer {
                body,
                usage: facts.usage,
                filtered: facts.filtered,
                content_type: None,
            }),
            AnswerReader::Translate {
                upstream,
                ingress,
                identity,
            } => dialect::decode_answer(*upstream, raw).map(|answer| {
                let filtered = |c: &types::answer::Choice| c.finish == Some(FinishReason::ContentFilter);
                Answer {
                    usage: answer.usage,
                    filtered: answer.choices.iter().any(filtered),
                    body: server::encode_answer(*ingress, &answer, identity).into(),
                    content_type: None,
                }
            }),
            AnswerReader::Count {
                upstream,
                ingress,
                pass,
            } => {
                let counted = dialect::decode_count(*upstream, raw)
                    .ok_or_else(|| Failure::new(OutcomeClass::Unsupported, "the provider counts no tokens"))??;
                let written = server::encode_count(*ingress, counted).filter(|_| !pass);
                Ok(Answer {
                    body: written.map_or(body, Bytes::from),
                    ..Answer::default()
                })
            }
            AnswerReader::PassEmbedding => embeddings::inspect_answer(raw).map(|facts| Answer {
                body,
                usage: facts.usage,
                ..Answer::default()
            }),
            AnswerReader::Embedding { upstream, encoding } => {
                embeddings::decode_answer(*upstream, raw).map(|answer| Answer {
                    body: embeddings::encode_answer(&answer, *encoding).into(),
                    usage: answer.usage,
                    ..Answer::default()
                })
            }
            AnswerReader::Opaque { .. } => Ok(Answer {
                body,
                content_type: content_type(raw.headers),
                ..Answer::default()
            }),
        }
    }

    /// Classifies what is no 2xx answer.
    pub fn classify(&self, upstream: DialectName, raw: RawAnswer<'_>) -> Failure {
        let failure = dialect::classify(upstream, raw);
        match self {
            // A file that is not there says nothing of any model: the provider's answer is the client's.
            AnswerReader::Opaque { names_model: false, .. } if failure.class == OutcomeClass::ModelNotFound => {
                Failure {
                    class: OutcomeClass::InvalidRequest,
                    ..failure
                }
            }
            AnswerReader::Opaque { .. }
            | AnswerReader::Pass(_)
            | AnswerReader::Translate { .. }
            | AnswerReader::Count { .. }
            | AnswerReader::PassEmbedding
            | AnswerReader::Embedding { .. } => failure,
        }
    }
}

fn content_type(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(CONTENT_TYPE).cloned()
}
