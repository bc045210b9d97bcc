//! OpenAI's responses, both roles: items instead of messages, events with numbers, and a conversation the server may remember.
//!
//! [`head`] and [`pass`] are the pass-through; [`request`] (with [`items`] and [`tools`]), [`encode`], [`answer`], [`stream`] and
//! [`stream_encoder`] translate; [`carry`] seals what other providers' models thought, so that it survives a client of this
//! dialect; [`conversation`] is the memory behind `previous_response_id`, as pure functions.

use types::dialect::Operation;

pub mod answer;
pub mod carry;
pub mod classify;
mod client_tools;
pub mod conversation;
pub mod encode;
pub mod errors;
mod facts;
mod fields;
pub mod head;
pub mod items;
mod output_item;
pub mod pass;
pub mod request;
mod response_object;
pub mod stream;
pub mod stream_encoder;
pub mod tools;

// The verbs every dialect has, and the nouns the gateway names: they are this module's face.
pub use crate::openai_responses::answer::{decode_answer, encode_answer, inspect_answer};
pub use crate::openai_responses::classify::classify;
pub use crate::openai_responses::encode::encode_request;
pub use crate::openai_responses::errors::error_event;
pub use crate::openai_responses::head::read_head;
pub use crate::openai_responses::pass::PassJudge;
pub use crate::openai_responses::request::decode_request;
pub use crate::openai_responses::stream::StreamDecoder;
pub use crate::openai_responses::stream_encoder::StreamEncoder;

/// The path of a call, behind the provider's base URL (which ends in `/v1`).
pub fn path(operation: Operation) -> Option<String> {
    match operation {
        Operation::Generate => Some("/responses".to_owned()),
        Operation::Embed => Some("/embeddings".to_owned()),
        Operation::CountTokens => None,
    }
}
