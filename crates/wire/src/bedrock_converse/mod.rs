//! Amazon Bedrock's Converse and ConverseStream, in the role of their client.
//!
//! [`encode_request`] writes questions, [`decode_answer`] reads whole answers, [`StreamDecoder`] reads event streams and
//! [`classify`] tells what went wrong. One API, many makers' models: what one of them takes and another refuses stands in
//! `model`. Source: the service's own description (bedrock-runtime, 2023-09-30, as the official Python SDK 1.44.5 carries it).
//!
//! Deliberately absent: signatures (they need a clock and the account's secrets), InvokeModel (and with it embeddings), and
//! CountTokens, whose body wraps another one.

use types::dialect::Operation;

use crate::gemini::model::percent_encoded;

mod answer;
mod body;
mod encode;
mod errors;
mod media;
mod model;
mod stream;
mod tool_ids;
mod turns;

pub use answer::decode_answer;
pub use encode::encode_request;
pub use errors::classify;
pub use stream::StreamDecoder;

/// The path behind the provider's base URL. The model is percent-encoded once but for letters, digits, `-`, `_`, `.` and `~`
/// (`:` and the slashes of ARNs too), which is how it stands on the wire. A signature's canonical path is this one encoded
/// once more (`%3A` becomes `%253A`), as for every service but S3: that is the signer's business.
pub fn path(operation: Operation, model: &str, stream: bool) -> Option<String> {
    let verb = match (operation, stream) {
        (Operation::Generate, false) => "converse",
        (Operation::Generate, true) => "converse-stream",
        (Operation::Embed | Operation::CountTokens, _) => return None,
    };
    // Dots are no step up: a name of nothing else would be one.
    if matches!(model, "." | "..") {
        return None;
    }
    Some(format!("/model/{}/{verb}", percent_encoded(model)))
}
