//! OpenAI's chat completions, and whoever speaks it too: as a server (the client's side) and as a client (the provider's).
//!
//! [`head`] and [`pass`] are the pass-through: bytes are looked at and forwarded. [`request`], [`answer`] and [`stream`]
//! translate to and from the neutral model; [`classify`](mod@classify) reads providers' errors, [`errors`] writes ours.

use types::dialect::Operation;

pub mod answer;
pub mod classify;
pub mod encode;
pub mod errors;
mod facts;
pub mod head;
pub mod media;
pub mod pass;
pub mod request;
pub mod stream;
pub mod stream_encoder;

// The verbs every dialect has, and the nouns the gateway names: they are this module's face.
pub use crate::openai_chat::answer::{decode_answer, encode_answer, inspect_answer};
pub use crate::openai_chat::classify::classify;
pub use crate::openai_chat::encode::encode_request;
pub use crate::openai_chat::head::read_head;
pub use crate::openai_chat::pass::PassJudge;
pub use crate::openai_chat::request::decode_request;
pub use crate::openai_chat::stream::StreamDecoder;
pub use crate::openai_chat::stream_encoder::StreamEncoder;

/// The path of a call, behind the provider's base URL (which ends in `/v1`).
pub fn path(operation: Operation) -> Option<String> {
    match operation {
        Operation::Generate => Some("/chat/completions".to_owned()),
        Operation::Embed => Some("/embeddings".to_owned()),
        Operation::CountTokens => None,
    }
}
