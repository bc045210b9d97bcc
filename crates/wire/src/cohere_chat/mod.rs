//! Cohere's chat, version 2 (`POST /v2/chat`), in the role of its client.
//!
//! [`encode_request`] writes questions, [`decode_answer`] reads whole answers, [`StreamDecoder`] reads streams and
//! [`classify`] tells what went wrong. Sources: the types of the official Python SDK and the provider's list of errors.
//!
//! Deliberately absent: citations, which have no word in the neutral model: the text they stand for is told without them.

use types::dialect::Operation;

mod answer;
mod body;
mod encode;
mod errors;
mod stream;
mod turns;

pub(crate) use answer::Reported;
pub use answer::decode_answer;
pub use encode::encode_request;
pub use errors::classify;
pub use stream::StreamDecoder;

/// The path behind the provider's base URL (which has no version, as the provider's own SDK takes it).
pub fn path(operation: Operation) -> Option<String> {
    match operation {
        Operation::Generate => Some("/v2/chat".to_owned()),
        Operation::Embed => Some("/v2/embed".to_owned()),
        Operation::CountTokens => None,
    }
}
