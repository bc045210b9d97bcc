//! What a model of another provider thought, sealed into `encrypted_content`: the one place of this dialect that clients hand
//! back byte for byte without looking into it.
//!
//! The form is `jumpseat-v1.` and then, in URL-safe base64 without padding, a JSON object: `origin` (the dialect whose it is),
//! and either `text`, `signature`, `redacted` (a thought; the text stands there too, since a signature signs exactly that
//! text and some clients cut summaries) or `call_id` and `signature` (the signature of a tool call, in a reasoning item of its
//! own before the call), or nothing of all this for a thought that nobody signed. It is no secret and not encrypted: clients could always read it in its own dialect. A value without
//! the tag is OpenAI's own. A form nobody knows (a later version) is dropped like a foreign signature. [`Carried`] is what comes
//! out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::chat::Reasoning;
use types::dialect::DialectName;

use crate::framing::json::Surrogates;
use crate::framing::raw::Raw;

const FAMILY: &str = "jumpseat-v";
const TAG: &str = "jumpseat-v1.";

/// What stands in an `encrypted_content`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// OpenAI's own, opaque.
    Own,
    /// Another dialect's thought.
    Thought(Reasoning),
    /// The signature of a tool call.
    Call {
        /// Which call.
        id: String,
        /// Its signature.
        signature: String,
    },
    /// Ours, but not readable: broken, or of another version.
    Unknown,
}

#[derive(Default, Serialize, Deserialize)]
struct Seal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<DialectName>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redacted: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call_id: Option<String>,
}

/// The `encrypted_content` of a thought: OpenAI's own as it is, another's sealed; `None` for one of OpenAI's without any.
///
/// A thought that nobody signed has nothing to hand back beyond its text, and is sealed all the same: OpenAI would look
/// for an item without `encrypted_content` among those it stored, and what is sealed is known to be none of its own.
pub fn seal(thought: &Reasoning) -> Option<String> {
    let opaque = thought.signature.as_ref().or(thought.redacted.as_ref());
    if thought.origin == Some(DialectName::OpenaiResponses) {
        return opaque.cloned();
    }
    if opaque.is_none() {
        return Some(seal_unsigned());
    }
    Some(write(&Seal {
        origin: thought.origin,
        text: thought.text.clone(),
        signature: thought.signature.clone(),
        redacted: thought.redacted.clone(),
        call_id: None,
    }))
}

/// The `encrypted_content` of a thought that nobody signed. Its text stands in the item's summary.
pub fn seal_unsigned() -> String {
    write(&Seal::default())
}

/// The `encrypted_content` that carries a tool call's signature (only Gemini signs calls).
pub fn seal_call(id: &str, signature: &str) -> String {
    write(&Seal {
        origin: Some(DialectName::Gemini),
        text: String::new(),
        signature: Some(signature.to_owned()),
        redacted: None,
        call_id: Some(id.to_owned()),
    })
}

fn write(seal: &Seal) -> String {
    let json = serde_json::to_vec(seal).expect("strings are always JSON");
    format!("{TAG}{}", URL_SAFE_NO_PAD.encode(json))
}

/// Opens an `encrypted_content`.
pub fn open(content: &str) -> Carried {
    if !content.starts_with(FAMILY) {
        return Carried::Own;
    }
    let json = content
        .strip_prefix(TAG)
        .and_then(|sealed| URL_SAFE_NO_PAD.decode(sealed).ok());
    let Some(seal) = json.and_then(|json| serde_json::from_slice::<Seal>(&json).ok()) else {
        return Carried::Unknown;
    };
    match (seal.call_id, seal.signature) {
        (Some(id), Some(signature)) => Carried::Call { id, signature },
        (Some(_), None) => Carried::Unknown,
        (None, signature) => Carried::Thought(Reasoning {
            text: seal.text,
            signature,
            redacted: seal.redacted,
            origin: seal.origin,
        }),
    }
}

/// The same request without the reasoning items that carry what is ours: OpenAI refuses an `encrypted_content` that is not its own,
/// so a body that passes through to a provider of this dialect must not hold any. Everything else stays byte for byte;
/// without such an item the same bytes are given back without a copy.
pub fn without_carried(body: &Bytes) -> Bytes {
    if memchr::memmem::find(body, FAMILY.as_bytes()).is_none() {
        return body.clone();
    }
    let Some(raw) = std::str::from_utf8(body)
        .ok()
        .and_then(|text| Raw::parse(text, Surrogates::Any).ok())
    else {
        return body.clone();
    };
    let Some(input) = raw.get("input") else {
        return body.clone();
    };
    let is_ours = |item: &Raw<'_>| {
        let content = item.get("encrypted_content").and_then(Raw::string);
        content.is_some_and(|content| open(&content) != Carried::Own)
    };
    if !input.items().any(|item| is_ours(&item)) {
        return body.clone();
    }
    let kept: Vec<&str> = input.items().filter(|item| !is_ours(item)).map(Raw::text).collect();
    // Both are slices of the same text, so the distance between them is where the one stands in the other.
    let at = input.text().as_ptr() as usize - body.as_ptr() as usize;
    let behind = at + input.text().len();
    let list = format!("[{}]", kept.join(","));
    Bytes::from([&body[..at], list.as_bytes(), &body[behind..]].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_keeps_everything_but_what_we_put_into_it() {
        let ours = seal_call("c", "s");
        let body = Bytes::from(format!(
            r#"{{ "model": "m", "input": [ {{"role":"user","content":"jumpseat-v1. is a tag"}}, {{"type":"reasoning","summary":[],"encrypted_content":"{ours}"}},{{"type":"reasoning","encrypted_content":"gAAA"}} ], "x" : 1 }}"#
        ));
        assert_eq!(
            without_carried(&body),
            r#"{ "model": "m", "input": [{"role":"user","content":"jumpseat-v1. is a tag"},{"type":"reasoning","encrypted_content":"gAAA"}], "x" : 1 }"#
        );
        let untouched = Bytes::from_static(br#"{"input":[{"type":"reasoning","encrypted_content":"gAAA"}]}"#);
        assert_eq!(without_carried(&untouched).as_ptr(), untouched.as_ptr());
    }

    #[test]
    fn a_later_version_is_known_to_be_ours_and_is_not_read() {
        assert_eq!(open("jumpseat-v2.e30"), Carried::Unknown);
        assert_eq!(open("jumpseat-v1.!!"), Carried::Unknown);
        assert_eq!(open("gAAAAB"), Carried::Own);
    }

    proptest! {
        #[test]
        fn what_is_sealed_comes_back_whole(text in ".*", signature in proptest::option::of(".*"), redacted in proptest::option::of(".*"), which in 0usize..7) {
            let thought = Reasoning { text, signature, redacted, origin: Some(DialectName::ALL[which]) };
            match seal(&thought) {
                None => prop_assert_eq!(thought.origin, Some(DialectName::OpenaiResponses)),
                Some(_) if thought.origin == Some(DialectName::OpenaiResponses) => {}
                Some(sealed) if thought.signature.is_none() && thought.redacted.is_none() => {
                    prop_assert_eq!(open(&sealed), Carried::Thought(Reasoning::default()));
                }
                Some(sealed) => prop_assert_eq!(open(&sealed), Carried::Thought(thought)),
            }
        }

        #[test]
        fn nothing_panics(content in ".*", body in any::<Vec<u8>>()) {
            let _ = open(&content);
            let _ = open(&format!("jumpseat-v1.{content}"));
            let _ = without_carried(&Bytes::from([b"jumpseat-v".to_vec(), body].concat()));
        }
    }
}
