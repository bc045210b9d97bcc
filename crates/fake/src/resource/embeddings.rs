//! Embeddings: vectors of unit length that follow from the model and the text alone.
//!
//! A vector is the sum of one per word, so that texts with words in common are near each other, and a little of the whole text,
//! so that no two texts have the same. Shorter vectors are the beginning of the long one, as the newer models have it.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{
    dialect::Refusal,
    random::{Random, seed_of},
    resource::Ask,
};

/// More inputs than this are refused.
const INPUTS_MAX: usize = 2048;
/// Words of a text that count.
const WORDS_MAX: usize = 512;
/// How much of a vector comes from the text as a whole, against one for each word.
const WHOLE: f32 = 0.3;

/// The vector of a text.
pub(super) fn vector(model: &str, text: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dimensions];
    let mut add = |word: &str, weight: f32| {
        let mut random = Random::new(seed_of(0xe3bed, &[model, word]));
        for chunk in sum.chunks_mut(64) {
            let bits = random.next_u64();
            for (index, value) in chunk.iter_mut().enumerate() {
                *value += if bits >> index & 1 == 1 { weight } else { -weight };
            }
        }
    };
    add(&format!("\u{0}{text}"), WHOLE);
    let lower = text.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    for word in words.take(WORDS_MAX) {
        add(word, 1.0);
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Only a sum that is zero in every place has no length, and then any direction is as good.
    if length == 0.0 {
        sum[0] = 1.0;
        return sum;
    }
    sum.iter().map(|value| value / length).collect()
}

fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4).max(1)
}

pub(crate) fn openai(ask: &Ask<'_>) -> Result<Value, Refusal> {
    let model = ask.model()?;
    let dimensions = dimensions(ask.body, model)?;
    let base64 = match &ask.body["encoding_format"] {
        Value::Null => false,
        format if format == "float" => false,
        format if format == "base64" => true,
        format => {
            let message =
                format!("Invalid value for 'encoding_format': {format}. Supported values are: 'float' and 'base64'.");
            return Err(Refusal::field("encoding_format", message));
        }
    };
    let texts = inputs(&ask.body["input"]).ok_or_else(|| {
        Refusal::invalid(
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        )
    })?;
    let used: u64 = texts.iter().map(|text| tokens(text)).sum();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(model, text, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                json!(base64::engine::general_purpose::STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    Ok(json!({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": used, "total_tokens": used}}))
}

fn dimensions(body: &Value, model: &str) -> Result<usize, Refusal> {
    let own = if model.contains("large") { 3072 } else { 1536 };
    let asked = match &body["dimensions"] {
        Value::Null => return Ok(own),
        asked => asked,
    };
    if model.contains("ada-002") {
        return Err(Refusal::invalid("This model does not support specifying dimensions."));
    }
    let asked = asked.as_u64().and_then(|asked| usize::try_from(asked).ok());
    asked.filter(|asked| (1..=own).contains(asked)).ok_or_else(|| {
        let message = format!(
            "Invalid value for 'dimensions' = {}. Must be between 1 and {own}.",
            body["dimensions"]
        );
        Refusal::field("dimensions", message)
    })
}

/// A text, texts, tokens or lists of tokens; `None` when it is none of these or empty.
fn inputs(input: &Value) -> Option<Vec<String>> {
    let tokens = |list: &[Value]| -> Option<String> {
        let words: Option<Vec<String>> = list
            .iter()
            .map(|token| token.as_u64().map(|token| format!("t{token}")))
            .collect();
        words.filter(|words| !words.is_empty()).map(|words| words.join(" "))
    };
    match input {
        Value::String(text) if !text.is_empty() => Some(vec![text.clone()]),
        Value::Array(list) if list.len() > INPUTS_MAX => None,
        Value::Array(list) if list.first().is_some_and(Value::is_u64) => tokens(list).map(|one| vec![one]),
        Value::Array(list) if !list.is_empty() => list
            .iter()
            .map(|one| match one {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Array(list) => tokens(list),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

pub(crate) fn gemini(ask: &Ask<'_>, batch: bool) -> Result<Value, Refusal> {
    if !batch {
        return Ok(
            json!({"embedding": {"values": gemini_values(ask.body, ask.model, "EmbedContentRequest.content")?}}),
        );
    }
    let requests = ask.body["requests"].as_array().filter(|requests| !requests.is_empty());
    let requests = requests
        .ok_or_else(|| Refusal::invalid("* BatchEmbedContentsRequest.requests: at least one request is required\n"))?;
    let mut embeddings = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let at = format!("BatchEmbedContentsRequest.requests[{index}]");
        let named = request["model"].as_str().and_then(|name| name.strip_prefix("models/"));
        let named = named.ok_or_else(|| Refusal::invalid(format!("* {at}.model: unexpected model name format\n")))?;
        if named.split('!').next() != Some(ask.model) {
            return Err(Refusal::invalid(format!(
                "* {at}.model: the model must match the one in the path\n"
            )));
        }
        embeddings.push(json!({"values": gemini_values(request, ask.model, &format!("{at}.content"))?}));
    }
    Ok(json!({"embeddings": embeddings}))
}

fn gemini_values(request: &Value, model: &str, at: &str) -> Result<Vec<f32>, Refusal> {
    let parts = request["content"]["parts"].as_array().into_iter().flatten();
    let text: String = parts.filter_map(|part| part["text"].as_str()).collect();
    if text.is_empty() {
        return Err(Refusal::invalid(format!("* {at}: contents is not specified\n")));
    }
    let asked = ["outputDimensionality", "output_dimensionality"]
        .iter()
        .find_map(|name| request[*name].as_u64());
    let dimensions = asked.unwrap_or(3072);
    if !(1..=3072).contains(&dimensions) {
        return Err(Refusal::invalid("* output_dimensionality must be between 1 and 3072\n"));
    }
    Ok(vector(model, &text, dimensions as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_unit_length_and_follow_from_the_text() {
        for text in ["", "a", "the cat sat on the mat", "東京"] {
            let one = vector("m", text, 256);
            assert!((cosine(&one, &one) - 1.0).abs() < 1e-4, "{text}");
            assert_eq!(one, vector("m", text, 256));
        }
        assert_ne!(vector("m", "a", 64), vector("n", "a", 64));
        assert_ne!(vector("m", "a b", 64), vector("m", "b a", 64));
    }

    #[test]
    fn texts_with_words_in_common_are_nearer() {
        let of = |text: &str| vector("m", text, 1536);
        let question = of("How do I reset my password?");
        let near = cosine(&question, &of("I forgot how to reset the password"));
        let far = cosine(&question, &of("The weather in Paris is fine today"));
        assert!(near > far + 0.3, "{near} {far}");
    }
}
