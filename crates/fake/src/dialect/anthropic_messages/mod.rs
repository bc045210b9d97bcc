//! Anthropic messages as a server, in the versions 2023-06-01 and 2026-10-21.
//!
//! Strict where the API is: a version header, an output limit, tool results right after tool uses, no empty text, signatures of
//! thinking unchanged. Streams: `message_start`, then each block from start to stop, `message_delta`, `message_stop`.

pub(crate) mod read;
pub(crate) mod write;

use crate::random::{Random, seed_of};

/// The signature of a thinking text: follows from the text, so that a changed byte in either is found.
pub(super) fn signature(thinking: &str) -> String {
    format!("EqQBCg{}==", Random::new(seed_of(0x5ea1, &[thinking])).hex(48))
}
