//! Anthropic's Messages API, `POST /v1/messages`, in the role of its client.
//!
//! [`encode_request`] writes questions, [`decode_answer`] reads whole answers, [`StreamDecoder`] reads streams and
//! [`classify`] tells what went wrong. What one Claude takes and another refuses stands in
//! `generation`, and nowhere else.
//!
//! Always spoken in [`VERSION`]: the younger 2026-10-21 refuses every sampling parameter.

mod answer;
mod body;
mod encode;
mod errors;
mod generation;
mod media;
mod schema;
mod stream;
mod thinking;
mod turns;
mod usage;

pub use answer::decode_answer;
pub use encode::encode_request;
pub use errors::classify;
pub use stream::StreamDecoder;

/// What `anthropic-version` says. 2026-10-21 answers `temperature`, `top_p` and `top_k` with 400, even at their defaults;
/// nothing that is encoded here needs it.
pub const VERSION: &str = "2023-06-01";

/// The path behind the provider's base URL (which has no `/v1`, as Anthropic's own SDKs take it).
pub fn path() -> String {
    "/v1/messages".to_owned()
}
