//! Token counts of a prompt: `POST /v1/messages/count_tokens`, both ways. The question is a request without what is about the
//! answer; the reply is one number.

use serde::Deserialize;
use types::chat::ChatRequest;
use types::outcome::{Failure, OutcomeClass};

use super::{encode, errors};
use crate::failure::{Told, failure};
use crate::request::{Encoded, Unsupported, UpstreamModel};
use crate::response::RawAnswer;

/// Writes the question how many tokens a request takes.
pub fn encode_count_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    encode::encode(request, upstream, encode::Purpose::Count)
}

/// Writes the reply.
pub fn encode_count(tokens: u64) -> Vec<u8> {
    format!(r#"{{"input_tokens":{tokens}}}"#).into_bytes()
}

/// Reads a provider's reply; everything that is none is a failure.
pub fn decode_count(raw: RawAnswer<'_>) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Reply {
        input_tokens: u64,
    }
    if !(200..300).contains(&raw.status) || errors::is_error(raw.body) {
        return Err(errors::classify(raw));
    }
    let reply: Result<Reply, _> = serde_json::from_slice(raw.body);
    reply.map(|reply| reply.input_tokens).map_err(|_| {
        let told = Told {
            message: "a token count without its number",
            ..Told::default()
        };
        failure(OutcomeClass::BadResponse, raw, told)
    })
}
