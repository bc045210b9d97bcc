//! Token counts of a prompt: `countTokens`, both ways.

use serde::Deserialize;
use types::chat::ChatRequest;
use types::outcome::{Failure, OutcomeClass};

use crate::failure::{Told, failure};
use crate::gemini::{errors, model, request};
use crate::request::{Encoded, Unsupported, UpstreamModel};
use crate::response::RawAnswer;

/// Writes the question how many tokens a request takes. The whole request is counted, with instructions and tools.
pub fn encode_count_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    let encoded = request::encode_request(request, upstream)?;
    let model = serde_json::to_string(&model::resource(upstream.model)).expect("a string is always JSON");
    let mut body = format!(r#"{{"generateContentRequest":{{"model":{model},"#).into_bytes();
    // Behind the brace that opens it; a request has contents always.
    body.extend_from_slice(&encoded.body[1..]);
    body.push(b'}');
    Ok(Encoded { body, ..encoded })
}

/// Writes the reply.
pub fn encode_count(tokens: u64) -> Vec<u8> {
    format!(r#"{{"totalTokens":{tokens}}}"#).into_bytes()
}

/// Reads a provider's reply; everything that is none is a failure.
pub fn decode_count(raw: RawAnswer<'_>) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reply {
        total_tokens: Option<u64>,
        error: Option<serde::de::IgnoredAny>,
    }
    let reply: Option<Reply> = serde_json::from_slice(raw.body).ok();
    let is_error = !(200..300).contains(&raw.status) || reply.as_ref().is_some_and(|reply| reply.error.is_some());
    if is_error {
        return Err(errors::classify(raw));
    }
    reply.and_then(|reply| reply.total_tokens).ok_or_else(|| {
        let told = Told {
            message: "a token count without its number",
            ..Told::default()
        };
        failure(OutcomeClass::BadResponse, raw, told)
    })
}
