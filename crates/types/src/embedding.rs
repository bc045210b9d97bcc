//! The neutral model of embeddings: texts in, vectors out.

use serde::{Deserialize, Serialize};

use crate::chat::Json;
use crate::dialect::DialectName;
use crate::usage::Usage;

/// A batch of texts to be turned into vectors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EmbeddingRequest {
    /// What the client wrote in `model`.
    pub model: String,
    /// What is to be embedded; the vectors come in the same order.
    pub inputs: Vec<EmbeddingInput>,
    /// Length of the vectors; `None` leaves it to the model.
    pub dimensions: Option<u32>,
    /// How the vectors are to be written.
    pub encoding: EmbeddingEncoding,
    /// The caller's own user identifier.
    pub user: Option<String>,
    /// The dialect the question was asked in: whose `extra` is.
    pub dialect: Option<DialectName>,
    /// Top-level fields of that dialect that this model has no word for, in order.
    pub extra: Vec<(String, Json)>,
}

/// One input of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingInput {
    /// A text.
    Text(String),
    /// A text as the tokens of the model's own tokenizer.
    Tokens(Vec<u32>),
}

/// How vectors are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingEncoding {
    /// As arrays of numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// The vectors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EmbeddingAnswer {
    /// The model that answered, as the provider calls it; empty when it does not tell.
    pub model: String,
    /// One vector an input, in the inputs' order.
    pub vectors: Vec<Vec<f32>>,
    /// Absent when the provider did not tell.
    pub usage: Option<Usage>,
}
