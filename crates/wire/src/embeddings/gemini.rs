//! Gemini's `batchEmbedContents`, in the role of its client.

use serde::Deserialize;
use serde_json::{Value, json};
use types::dialect::DialectName;
use types::embedding::{EmbeddingAnswer, EmbeddingRequest};
use types::usage::Usage;

use super::texts;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

/// The most inputs of one batch.
const INPUTS_MAX: usize = 100;

pub(super) fn encode(request: &EmbeddingRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    let mut drops = DroppedNames::default();
    let model = match upstream.model.contains('/') {
        true => upstream.model.to_owned(),
        false => format!("models/{}", upstream.model),
    };
    let one = |text: &str| {
        let mut one = json!({ "model": model, "content": { "parts": [{ "text": text }] } });
        if let Some(dimensions) = request.dimensions {
            one["outputDimensionality"] = dimensions.into();
        }
        one
    };
    let texts = texts(request, DialectName::Gemini, INPUTS_MAX)?;
    let requests: Vec<Value> = texts.into_iter().map(one).collect();
    if request.user.is_some() {
        drops.add("user");
    }
    for (name, _) in &request.extra {
        drops.add(name);
    }
    Ok(Encoded {
        body: serde_json::to_vec(&json!({ "requests": requests })).expect("a value can be written as JSON"),
        headers: Vec::new(),
        dropped: drops.into_vec(),
    })
}

pub(super) fn decode(body: &[u8]) -> Option<EmbeddingAnswer> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        embeddings: Vec<Embedding>,
        usage_metadata: Option<UsageMetadata>,
    }
    #[derive(Deserialize)]
    struct Embedding {
        values: Vec<f32>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct UsageMetadata {
        prompt_token_count: Option<u64>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let tokens = answer.usage_metadata.and_then(|usage| usage.prompt_token_count);
    Some(EmbeddingAnswer {
        model: String::new(),
        vectors: answer
            .embeddings
            .into_iter()
            .map(|embedding| embedding.values)
            .collect(),
        usage: tokens.map(|input| Usage {
            input,
            ..Usage::default()
        }),
    })
}
