//! Ollama's own chat (`POST /api/chat`), in the role of its client.
//!
//! [`encode_request`] writes questions, [`decode_answer`] reads whole answers, [`StreamDecoder`] reads streams of one JSON
//! object a line and [`classify`] tells what went wrong. Source: the project's own OpenAPI document.

use types::dialect::Operation;

mod answer;
mod body;
mod encode;
mod errors;
mod stream;
mod turns;

pub use answer::decode_answer;
pub use encode::encode_request;
pub use errors::classify;
pub use stream::StreamDecoder;

/// The path behind the provider's base URL, which is the bare host.
pub fn path(operation: Operation) -> Option<String> {
    match operation {
        Operation::Generate => Some("/api/chat".to_owned()),
        Operation::Embed => Some("/api/embed".to_owned()),
        Operation::CountTokens => None,
    }
}
