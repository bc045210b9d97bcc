//! Gemini's generateContent, as upstream.
//!
//! [`encode_request`] writes a request, [`decode_answer`] reads a whole answer, [`StreamDecoder`] a stream of
//! `alt=sse`, [`classify`] an error. Sources: the v1beta reference, the generateContent schemas of its discovery document,
//! and the types of its official Python SDK (3.4.0).
//!
//! Deliberately absent: the server role, built-in tools (search, code execution), generated images and audio.

mod answer;
mod chunk;
mod contents;
mod errors;
mod generation;
mod model;
mod request;
mod stream;
mod tools;

pub use answer::decode_answer;
pub use errors::classify;
pub use model::path;
pub use request::encode_request;
pub use stream::StreamDecoder;
