//! OpenAI's Responses API as a server: items in, items out, and a stream whose events are numbered.
//!
//! A stream goes created, in progress, then item by item (added, parts, deltas, done), then completed, incomplete or failed; there
//! is no `[DONE]`. Earlier responses are kept in [`memory`].

pub(crate) mod items;
pub(crate) mod memory;
pub(crate) mod read;
pub(crate) mod write;

use base64::Engine as _;
use serde_json::Value;

use crate::random::{Random, seed_of};

/// What an answer repeats of its request, and what the request asked to see.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Echo {
    /// Fields of the response object that come from the request.
    pub(crate) fields: Value,
    /// Reasoning items carry `encrypted_content`.
    pub(crate) encrypted: bool,
    /// The model reasons, so that there is a reasoning item even without a summary.
    pub(crate) reasons: bool,
    /// Deltas carry padding against traffic analysis.
    pub(crate) obfuscation: bool,
}

/// What a reasoning item carries across turns when nothing is stored: follows from its id, so that it can be checked.
pub(super) fn encrypted(id: &str) -> String {
    let text = format!("{PREFIX}{id}:{}", Random::new(seed_of(0x9e5e, &[id])).hex(32));
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Whether that was made by [`encrypted`], for whatever item.
pub(super) fn is_encrypted(content: &str) -> bool {
    let decoded = base64::engine::general_purpose::STANDARD.decode(content).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let id = text
        .as_deref()
        .and_then(|text| text.strip_prefix(PREFIX)?.rsplit_once(':'));
    id.is_some_and(|(id, _)| encrypted(id) == content)
}

const PREFIX: &str = "gAAAAA:";
