//! Gemini's generateContent, as its client and as the server of those who speak it.
//!
//! [`encode_request`] writes a request, [`decode_answer`] reads a whole answer, [`StreamDecoder`] a stream of
//! `alt=sse`, [`classify`] an error. Sources: the v1beta reference, the generateContent schemas of its discovery document,
//! and the types of its official Python SDK (3.4.0).
//!
//! As a server, [`read_head`], [`PassJudge`] and [`inspect_answer`] are the pass-through; [`decode_request`] (`asked`),
//! [`encode_answer`] and [`StreamEncoder`] (`reply`) translate, `reply_errors` says what failed.
//!
//! Deliberately absent: built-in tools (search, code execution), generated images and audio.

mod answer;
mod asked;
mod asked_contents;
pub mod carried;
mod chunk;
mod contents;
pub mod count;
mod errors;
mod generation;
mod head;
pub(crate) mod model;
mod pass;
mod reply;
mod reply_errors;
mod reply_stream;
mod request;
mod schema;
mod stream;
mod tools;

pub use answer::{decode_answer, inspect_answer};
pub use asked::decode_request;
pub use errors::classify;
pub use head::read_head;
pub use model::path;
pub use pass::PassJudge;
pub use reply::encode_answer;
pub use reply_errors::{error_body, error_event, refusal};
pub use reply_stream::StreamEncoder;
pub use request::encode_request;
pub use stream::StreamDecoder;
