//! Ollama's `POST /api/embed`, in the role of its client.

use serde::Deserialize;
use serde_json::{Map, Value};
use types::dialect::DialectName;
use types::embedding::{EmbeddingAnswer, EmbeddingRequest};
use types::usage::Usage;

use super::texts;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

pub(super) fn encode(request: &EmbeddingRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    let mut drops = DroppedNames::default();
    let mut body = Map::new();
    body.insert("model".to_owned(), upstream.model.into());
    let texts = texts(request, DialectName::OllamaChat, usize::MAX)?;
    body.insert("input".to_owned(), texts.into());
    // Cut short in silence it would be the vector of another text.
    body.insert("truncate".to_owned(), false.into());
    if let Some(dimensions) = request.dimensions {
        body.insert("dimensions".to_owned(), dimensions.into());
    }
    for (name, value) in &request.extra {
        match (name.as_str(), serde_json::from_str::<Value>(value.as_str())) {
            // Only this API knows it, whatever the client's dialect.
            ("keep_alive", Ok(value)) => {
                body.insert(name.clone(), value);
            }
            _ => drops.add(name),
        }
    }
    if request.user.is_some() {
        drops.add("user");
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
        model: Option<String>,
        embeddings: Vec<Vec<f32>>,
        prompt_eval_count: Option<u64>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    Some(EmbeddingAnswer {
        model: answer.model.unwrap_or_default(),
        vectors: answer.embeddings,
        usage: answer.prompt_eval_count.map(|input| Usage {
            input,
            ..Usage::default()
        }),
    })
}
