//! Embeddings of Cohere and Ollama: vectors of length one that follow from the text, so that equal texts have equal vectors.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{
    dialect::{Dialect, Refusal},
    random::{Random, seed_of},
};

/// Dimensions of Ollama's vectors unless asked for others.
const OLLAMA_DIMENSIONS: usize = 384;
/// Dimensions of Cohere's vectors unless asked for others, and what may be asked for.
const COHERE_DIMENSIONS: &[u64] = &[1536, 256, 512, 1024];
/// More texts in one request than this are refused.
const TEXTS_MAX: usize = 96;

/// The answer to a request, in its dialect.
pub(crate) fn answer(dialect: Dialect, body: &Value, model: &str, request_id: &str) -> Result<Value, Refusal> {
    if model.is_empty() {
        return Err(Refusal::invalid("model is required"));
    }
    if dialect == Dialect::OllamaChat {
        ollama(body, model)
    } else {
        cohere(body, request_id)
    }
}

fn ollama(body: &Value, model: &str) -> Result<Value, Refusal> {
    let texts: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) if texts.iter().all(Value::is_string) => texts.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Refusal::invalid("invalid input type")),
    };
    let dimensions = body["dimensions"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok());
    let dimensions = dimensions
        .filter(|count| (1..=4096).contains(count))
        .unwrap_or(OLLAMA_DIMENSIONS);
    let vectors: Vec<Vec<f64>> = texts.iter().map(|text| vector(text, dimensions)).collect();
    Ok(json!({
        "model": model, "embeddings": vectors, "total_duration": 14_000_000, "load_duration": 1_000_000, "prompt_eval_count": tokens(&texts),
    }))
}

fn cohere(body: &Value, request_id: &str) -> Result<Value, Refusal> {
    let kinds = [
        "search_document",
        "search_query",
        "classification",
        "clustering",
        "image",
    ];
    if !body["input_type"].as_str().is_some_and(|kind| kinds.contains(&kind)) {
        return Err(Refusal::invalid(
            "invalid request: valid input_type must be provided with the provided model",
        ));
    }
    let texts: Vec<&str> = ["texts", "images"]
        .iter()
        .flat_map(|field| body[*field].as_array().into_iter().flatten().filter_map(Value::as_str))
        .chain(
            body["inputs"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|input| input["content"][0]["text"].as_str().unwrap_or("image")),
        )
        .collect();
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        return Err(Refusal::invalid(format!(
            "invalid request: total number of texts must be at least 1 and at most {TEXTS_MAX}"
        )));
    }
    let dimensions = match &body["output_dimension"] {
        Value::Null => COHERE_DIMENSIONS[0],
        count => count
            .as_u64()
            .filter(|count| COHERE_DIMENSIONS.contains(count))
            .ok_or_else(|| Refusal::invalid("invalid request: output_dimension must be one of 256, 512, 1024, 1536"))?,
    };
    let vectors: Vec<Vec<f64>> = texts
        .iter()
        .map(|text| vector(text, usize::try_from(dimensions).unwrap_or(256)))
        .collect();
    let mut embeddings = json!({});
    let asked = body["embedding_types"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let asked: Vec<&str> = if asked.is_empty() {
        vec!["float"]
    } else {
        asked.iter().filter_map(Value::as_str).collect()
    };
    for kind in asked {
        embeddings[kind] = match kind {
            "float" => json!(vectors),
            "int8" => scaled(&vectors, 0.0),
            "uint8" => scaled(&vectors, 128.0),
            "binary" => bits(&vectors, 128),
            "ubinary" => bits(&vectors, 0),
            "base64" => vectors.iter().map(|vector| json!(base64(vector))).collect(),
            other => {
                return Err(Refusal::invalid(format!(
                    "invalid request: embedding type '{other}' is not known"
                )));
            }
        };
    }
    Ok(json!({
        "id": request_id, "embeddings": embeddings, "texts": body["texts"].as_array().cloned().unwrap_or_default(),
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens(&texts)}},
        "response_type": "embeddings_by_type",
    }))
}

fn vector(text: &str, dimensions: usize) -> Vec<f64> {
    let mut random = Random::new(seed_of(0xe4bed, &[text]));
    let raw: Vec<f64> = (0..dimensions).map(|_| random.normal()).collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    // Six digits are what a provider writes of a 32-bit number.
    raw.iter().map(|x| (x / length * 1e6).round() / 1e6).collect()
}

fn scaled(vectors: &[Vec<f64>], shift: f64) -> Value {
    let whole = |x: &f64| json!((x * 127.0 + shift).round() as i64);
    vectors
        .iter()
        .map(|vector| vector.iter().map(whole).collect::<Value>())
        .collect()
}

fn bits(vectors: &[Vec<f64>], shift: i64) -> Value {
    let byte = |eight: &[f64]| json!(eight.iter().fold(0, |byte, x| byte << 1 | i64::from(*x > 0.0)) - shift);
    vectors
        .iter()
        .map(|vector| vector.chunks(8).map(byte).collect::<Value>())
        .collect()
}

fn base64(vector: &[f64]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn tokens(texts: &[&str]) -> usize {
    texts.iter().map(|text| text.chars().count() / 4 + 1).sum()
}
