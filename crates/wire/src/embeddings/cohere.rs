//! Cohere's `POST /v2/embed`, in the role of its client.
//!
//! The API wants to know what the vectors are for. A client says so with `input_type`, which only this API knows, whatever
//! its dialect; else it is `search_document`, what texts that are stored are embedded as.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::dialect::DialectName;
use types::embedding::{EmbeddingAnswer, EmbeddingRequest};
use types::usage::Usage;

use super::texts;
use crate::cohere_chat::Reported;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

/// The most inputs of one call.
const INPUTS_MAX: usize = 96;
/// What the vectors are for where the client does not say.
const INPUT_TYPE: &str = "search_document";

pub(super) fn encode(request: &EmbeddingRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    let mut drops = DroppedNames::default();
    let texts = texts(request, DialectName::CohereChat, INPUTS_MAX)?;
    let mut input_type = INPUT_TYPE.to_owned();
    for (name, value) in &request.extra {
        match serde_json::from_str::<String>(value.as_str()) {
            Ok(word) if name == "input_type" => input_type = word,
            Ok(_) | Err(_) => drops.add(name),
        }
    }
    if request.user.is_some() {
        drops.add("user");
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), upstream.model.into());
    body.insert("texts".to_owned(), texts.into());
    body.insert("input_type".to_owned(), input_type.into());
    body.insert("embedding_types".to_owned(), json!(["float"]));
    if let Some(dimensions) = request.dimensions {
        body.insert("output_dimension".to_owned(), dimensions.into());
    }
    Ok(Encoded {
        body: serde_json::to_vec(&Value::Object(body)).expect("a value can be written as JSON"),
        headers: Vec::new(),
        dropped: drops.into_vec(),
    })
}

pub(super) fn decode(body: &[u8]) -> Option<EmbeddingAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        embeddings: Embeddings,
        meta: Option<Reported>,
    }
    #[derive(Deserialize)]
    struct Embeddings {
        float: Vec<Vec<f32>>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let usage = answer.meta.and_then(|meta| meta.usage());
    Some(EmbeddingAnswer {
        model: String::new(),
        vectors: answer.embeddings.float,
        usage: usage.map(|usage| Usage { output: 0, ..usage }),
    })
}
