//! OpenAI's embeddings, in the role of their client. The encoding is the client's: both are read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use types::dialect::DialectName;
use types::embedding::{EmbeddingAnswer, EmbeddingEncoding, EmbeddingInput, EmbeddingRequest};

use super::answer::{Counts, from_base64};
use crate::request::{DroppedNames, Encoded, UpstreamModel};

/// An input: a text, or tokens.
#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Text(&'a str),
    Tokens(&'a [u32]),
}

pub(super) fn encode(request: &EmbeddingRequest, upstream: UpstreamModel<'_>) -> Encoded {
    let mut drops = DroppedNames::default();
    let inputs: Vec<Input<'_>> = request
        .inputs
        .iter()
        .map(|input| match input {
            EmbeddingInput::Text(text) => Input::Text(text),
            EmbeddingInput::Tokens(tokens) => Input::Tokens(tokens),
        })
        .collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), upstream.model.into());
    body.insert("input".to_owned(), serde_json::json!(inputs));
    let encoding = match request.encoding {
        EmbeddingEncoding::Float => "float",
        EmbeddingEncoding::Base64 => "base64",
    };
    body.insert("encoding_format".to_owned(), encoding.into());
    if let Some(dimensions) = request.dimensions {
        body.insert("dimensions".to_owned(), dimensions.into());
    }
    if let Some(user) = &request.user {
        body.insert("user".to_owned(), user.as_str().into());
    }
    for (name, value) in &request.extra {
        let value = serde_json::from_str::<Value>(value.as_str()).ok();
        match value.filter(|_| request.dialect == Some(DialectName::OpenaiChat) && !body.contains_key(name)) {
            Some(value) => {
                body.insert(name.clone(), value);
            }
            None => drops.add(name),
        }
    }
    Encoded {
        body: serde_json::to_vec(&body).expect("a value can be written as JSON"),
        headers: Vec::new(),
        dropped: drops.into_vec(),
    }
}

pub(super) fn decode(body: &[u8]) -> Option<EmbeddingAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        model: Option<String>,
        usage: Option<Counts>,
        data: Vec<Embedding>,
    }
    #[derive(Deserialize)]
    struct Embedding {
        index: Option<usize>,
        embedding: Vector,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Vector {
        Floats(Vec<f32>),
        Base64(String),
    }
    let mut answer: Answer = serde_json::from_slice(body).ok()?;
    // Stable: where no index is told, the order is the inputs'.
    answer.data.sort_by_key(|embedding| embedding.index.unwrap_or(0));
    let vectors = answer.data.into_iter().map(|embedding| match embedding.embedding {
        Vector::Floats(floats) => Some(floats),
        Vector::Base64(text) => from_base64(&text),
    });
    Some(EmbeddingAnswer {
        model: answer.model.unwrap_or_default(),
        vectors: vectors.collect::<Option<_>>()?,
        usage: answer.usage.and_then(Counts::usage),
    })
}
