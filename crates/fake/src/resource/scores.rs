//! Scores: moderation and reranking. A text is flagged for words of violence; documents rank by the words they share with the query.

use serde_json::{Map, Value, json};

use crate::{
    dialect::Refusal,
    resource::{Ask, embeddings::vector, missing},
};

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];
/// Words that are flagged as violence.
const FLAGGED: [&str; 3] = ["kill", "murder", "violence"];
/// Documents of one request.
const DOCUMENTS_MAX: usize = 1_000;

pub(super) fn moderations(ask: &Ask<'_>) -> Result<Value, Refusal> {
    let input = &ask.body["input"];
    let results: Vec<Value> = match input {
        Value::String(text) => vec![moderated(text, &["text"])],
        // Parts of one input, with or without pictures.
        Value::Array(parts) if parts.first().is_some_and(Value::is_object) => {
            let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            let images = parts.iter().any(|part| part["type"] == "image_url");
            vec![moderated(&text, if images { &["text", "image"] } else { &["text"] })]
        }
        Value::Array(texts) if !texts.is_empty() => texts
            .iter()
            .map(|text| moderated(text.as_str().unwrap_or_default(), &["text"]))
            .collect(),
        _ => return Err(missing("input")),
    };
    let model = if ask.model.is_empty() {
        "omni-moderation-latest"
    } else {
        ask.model
    };
    Ok(json!({"id": format!("modr-{:08x}", ask.n), "model": model, "results": results}))
}

fn moderated(text: &str, types: &[&str]) -> Value {
    let text = text.to_lowercase();
    let violent = FLAGGED.iter().any(|word| text.contains(word));
    let mut categories = Map::new();
    let mut scores = Map::new();
    let mut applied = Map::new();
    for category in CATEGORIES {
        let flagged = violent && category == "violence";
        categories.insert(category.into(), json!(flagged));
        scores.insert(category.into(), json!(if flagged { 0.93 } else { 0.0001 }));
        applied.insert(category.into(), json!(types));
    }
    json!({"flagged": violent, "categories": categories, "category_scores": scores, "category_applied_input_types": applied})
}

/// Cohere's shape for its own models (`rerank-…`), else the one of Jina and those compatible with it.
pub(super) fn rerank(ask: &Ask<'_>) -> Result<Value, Refusal> {
    let model = ask.model()?;
    let query = ask.text("query")?;
    let documents = ask.body["documents"]
        .as_array()
        .filter(|documents| !documents.is_empty());
    let documents = documents.ok_or_else(|| missing("documents"))?;
    if documents.len() > DOCUMENTS_MAX {
        return Err(Refusal::field(
            "documents",
            format!("at most {DOCUMENTS_MAX} documents are allowed"),
        ));
    }
    let text = |document: &Value| {
        document
            .as_str()
            .or(document["text"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let wanted = vector("rerank", query, 256);
    let mut ranked: Vec<(usize, f64)> = documents
        .iter()
        .map(|document| {
            let vector = vector("rerank", &text(document), 256);
            let cosine: f32 = wanted.iter().zip(&vector).map(|(a, b)| a * b).sum();
            f64::from((cosine.clamp(0.0, 1.0) * 1e4).round()) / 1e4
        })
        .enumerate()
        .collect();
    // Documents of the same score stay in their order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = ask.body["top_n"]
        .as_u64()
        .and_then(|top| usize::try_from(top).ok())
        .unwrap_or(usize::MAX);
    ranked.truncate(top.max(1));
    let cohere = model.starts_with("rerank");
    let with_documents = ask.body["return_documents"].as_bool().unwrap_or(!cohere);
    let results: Vec<Value> = ranked
        .iter()
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if with_documents {
                result["document"] = json!({"text": text(&documents[*index])});
            }
            result
        })
        .collect();
    let characters: usize = documents
        .iter()
        .map(|document| text(document).len() + query.len())
        .sum();
    Ok(if cohere {
        json!({"id": format!("00000000-0000-4000-8000-{:012x}", ask.n), "results": results, "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": documents.len().div_ceil(100)}}})
    } else {
        json!({"model": model, "object": "list", "usage": {"total_tokens": characters.div_ceil(4), "prompt_tokens": characters.div_ceil(4)}, "results": results})
    })
}
