//! Anthropic's Messages API, `POST /v1/messages`, as its client and as the server of those who speak it.
//!
//! As a client, [`encode_request`] writes questions, [`decode_answer`] reads whole answers, [`StreamDecoder`] reads streams and
//! [`classify`] tells what went wrong. What one Claude takes and another refuses stands in
//! `generation`, and nowhere else. Spoken in [`VERSION`]: the younger 2026-10-21 refuses every sampling parameter.
//!
//! As a server, [`read_head`], [`PassJudge`] and [`inspect_answer`] are the pass-through, for both versions;
//! [`decode_request`], [`encode_answer`] and [`StreamEncoder`] translate, `reply_errors` says what failed.

use types::dialect::Operation;

mod answer;
mod answer_encode;
mod blocks;
pub(crate) mod body;
pub mod carried;
pub mod count;
pub(crate) mod encode;
mod errors;
pub(crate) mod generation;
mod head;
mod media;
mod pass;
mod reply_errors;
mod request;
pub(crate) mod schema;
mod stream;
mod stream_encoder;
pub(crate) mod thinking;
mod turns;
mod usage;

pub use answer::{decode_answer, inspect_answer};
pub use answer_encode::encode_answer;
pub use encode::encode_request;
pub use errors::classify;
pub use head::read_head;
pub use pass::PassJudge;
pub use reply_errors::{error_body, error_event, error_status, refusal};
pub use request::decode_request;
pub use stream::StreamDecoder;
pub use stream_encoder::StreamEncoder;

/// What `anthropic-version` says. 2026-10-21 answers `temperature`, `top_p` and `top_k` with 400, even at their defaults;
/// nothing that is encoded here needs it.
pub const VERSION: &str = "2023-06-01";

/// The path behind the provider's base URL (which has no `/v1`, as Anthropic's own SDKs take it).
pub fn path(operation: Operation) -> Option<String> {
    match operation {
        Operation::Generate => Some("/v1/messages".to_owned()),
        Operation::CountTokens => Some("/v1/messages/count_tokens".to_owned()),
        Operation::Embed => None,
    }
}
