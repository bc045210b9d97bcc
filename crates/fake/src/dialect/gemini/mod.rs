//! Gemini's generateContent as a server; camel and snake case are both understood, as the API's JSON reader does.
//!
//! Every stream event is a whole response; function calls arrive whole; the end is the finish reason and the end of the body.

pub(crate) mod read;
pub(crate) mod write;

use base64::Engine as _;

use crate::random::{Random, seed_of};

/// The signature of a call's thoughts: follows from the function's name.
pub(super) fn signature(name: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(Random::new(seed_of(0x7409, &[name])).hex(32))
}
