//! How a provider's whole answer becomes the client's.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use types::answer::{ChatAnswer, FinishReason};
use types::dialect::{DialectName, IngressDialect};
use types::embedding::{EmbeddingAnswer, EmbeddingEncoding};
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;
use wire::degrade::{Contract, Malformed};
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
        /// What it is held to.
        contract: Option<Box<Contract>>,
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
        /// The model, where the answer names none.
        model: String,
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
    /// The same in the neutral model, where it was translated.
    pub neutral: Option<Neutral>,
}

/// A whole answer in the neutral model.
#[derive(Debug, Clone)]
pub enum Neutral {
    /// To a conversation.
    Chat(Box<ChatAnswer>),
    /// Vectors.
    Vectors(Box<EmbeddingAnswer>),
}

/// An answer that was not as asked.
#[derive(Debug, Default)]
pub struct Rejected {
    /// What the model said, and why it is not as asked.
    pub malformed: Option<Malformed>,
    /// What it took.
    pub usage: Option<Usage>,
}

impl AnswerReader {
    /// Reads a 2xx body; what is no answer is a failure, and so is an answer that is not as asked: `rejected` tells of it.
    pub fn read(&self, raw: RawAnswer<'_>, body: Bytes, rejected: &mut Rejected) -> Result<Answer, Failure> {
        match self {
            AnswerReader::Pass(ingress) => server::inspect_answer(*ingress, raw).map(|facts| Answer {
                body,
                usage: facts.usage,
                filtered: facts.filtered,
                content_type: None,
                neutral: None,
            }),
            AnswerReader::Translate {
                upstream,
                ingress,
                identity,
                contract,
            } => {
                let mut answer = dialect::decode_answer(*upstream, raw)?;
                if answer.model.is_empty() {
                    // Some APIs name no model in their answers.
                    answer.model.clone_from(&identity.model);
                }
                let answer = match contract {
                    Some(contract) => {
                        rejected.usage = answer.usage;
                        let restored = contract.restore(answer);
                        restored.map_err(|why| not_as_asked(why, &mut rejected.malformed))?
                    }
                    None => answer,
                };
                let filtered = |c: &types::answer::Choice| c.finish == Some(FinishReason::ContentFilter);
                Ok(Answer {
                    usage: answer.usage,
                    filtered: answer.choices.iter().any(filtered),
                    body: server::encode_answer(*ingress, &answer, identity).into(),
                    content_type: None,
                    neutral: Some(Neutral::Chat(Box::new(answer))),
                })
            }
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
            AnswerReader::Embedding {
                upstream,
                encoding,
                model,
            } => embeddings::decode_answer(*upstream, raw).map(|mut answer| {
                if answer.model.is_empty() {
                    answer.model.clone_from(model);
                }
                Answer {
                    body: embeddings::encode_answer(&answer, *encoding).into(),
                    usage: answer.usage,
                    neutral: Some(Neutral::Vectors(Box::new(answer))),
                    ..Answer::default()
                }
            }),
            AnswerReader::Opaque { .. } => Ok(Answer {
                body,
                content_type: content_type(raw.headers),
                ..Answer::default()
            }),
        }
    }

    /// Gives the answer only when it is as asked.
    pub fn hold_to(&mut self, to: Contract) {
        match self {
            AnswerReader::Translate { contract, .. } => *contract = Some(Box::new(to)),
            AnswerReader::Pass(_)
            | AnswerReader::Count { .. }
            | AnswerReader::PassEmbedding
            | AnswerReader::Embedding { .. }
            | AnswerReader::Opaque { .. } => {}
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

/// The failure of an answer that is not what was asked for; what the model said goes to `told`.
pub fn not_as_asked(malformed: Malformed, told: &mut Option<Malformed>) -> Failure {
    let message = format!("the model's answer is not of the form asked for: {}", malformed.why);
    *told = Some(malformed);
    Failure::new(OutcomeClass::MalformedOutput, message)
}

fn content_type(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(CONTENT_TYPE).cloned()
}
