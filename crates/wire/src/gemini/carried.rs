//! Names of fields as Google's JSON takes them, and signatures of other dialects carried through this one.
//!
//! A field is known by its lower camel case name and by its snake case name. A `thoughtSignature` is base64 to the SDKs, so
//! what another dialect signed or sealed is carried as base64 of `jumpseat:<dialect>:signed:<signature>` (or `sealed`), in
//! either alphabet. Gemini refuses what it did not sign, so a body with such a signature must not pass through: see [`is_in`].

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use memchr::memmem;
use types::chat::Reasoning;
use types::dialect::DialectName;

use crate::framing::raw::Raw;

const TAG: &str = "jumpseat:";
/// The tag in base64: nine bytes are twelve characters, whatever follows.
const TAG_BASE64: &[u8] = b"anVtcHNlYXQ6";

/// A field's lower camel case name.
pub(crate) fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    let mut up = false;
    for c in name.chars() {
        match c {
            '_' => up = !out.is_empty(),
            c if up => {
                out.push(c.to_ascii_uppercase());
                up = false;
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A member by its lower camel case name; the last one that is not `null`.
pub(super) fn get<'a>(value: Raw<'a>, name: &str) -> Option<Raw<'a>> {
    let named = value.members().filter(|(key, _)| camel(key) == name);
    named.map(|(_, value)| value).filter(|value| !value.is_null()).last()
}

/// Writes another dialect's signature, or Gemini's own as it is.
pub(super) fn write(thought: &Reasoning) -> Option<String> {
    let (kind, word) = match (&thought.redacted, &thought.signature) {
        (Some(data), _) => ("sealed", data),
        (None, Some(signature)) => ("signed", signature),
        (None, None) => return None,
    };
    match (thought.origin?, kind) {
        (DialectName::Gemini, "signed") => Some(word.clone()),
        (origin, kind) => Some(STANDARD.encode(format!("{TAG}{}:{kind}:{word}", origin.as_str()))),
    }
}

/// Reads a thought with its signature.
pub(super) fn read(text: String, signature: Option<String>) -> Reasoning {
    let thought = Reasoning {
        text,
        signature,
        redacted: None,
        origin: Some(DialectName::Gemini),
    };
    let foreign = thought.signature.as_deref().and_then(foreign);
    let Some((origin, kind, word)) = foreign else {
        return thought;
    };
    let (signature, redacted) = match kind.as_str() {
        "sealed" => (None, Some(word)),
        _ => (Some(word), None),
    };
    Reasoning {
        text: thought.text,
        signature,
        redacted,
        origin: Some(origin),
    }
}

fn foreign(signature: &str) -> Option<(DialectName, String, String)> {
    let plain: String = signature
        .chars()
        .filter(|c| *c != '=')
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    let bytes = URL_SAFE_NO_PAD.decode(plain).ok()?;
    let mut words = std::str::from_utf8(&bytes).ok()?.strip_prefix(TAG)?.splitn(3, ':');
    let origin = words.next()?;
    let origin = DialectName::ALL.into_iter().find(|name| name.as_str() == origin)?;
    Some((origin, words.next()?.to_owned(), words.next()?.to_owned()))
}

/// Whether a request carries what another dialect signed: it must be read and written anew, also for a target of this
/// dialect.
pub fn is_in(body: &[u8]) -> bool {
    memmem::find(body, TAG_BASE64).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_fashions_are_one() {
        for (name, wanted) in [
            ("mimeType", "mimeType"),
            ("mime_type", "mimeType"),
            ("parameters_json_schema", "parametersJsonSchema"),
            ("_responseJsonSchema", "responseJsonSchema"),
            ("text", "text"),
        ] {
            assert_eq!(camel(name), wanted);
        }
    }

    #[test]
    fn what_is_written_is_read_back_in_either_alphabet() {
        for origin in DialectName::ALL.into_iter().filter(|name| *name != DialectName::Gemini) {
            for (signature, redacted) in [(Some("s?>:~ÿ"), None), (None, Some("d:e"))] {
                let thought = Reasoning {
                    text: "t".to_owned(),
                    signature: signature.map(str::to_owned),
                    redacted: redacted.map(str::to_owned),
                    origin: Some(origin),
                };
                let written = write(&thought).unwrap();
                assert!(is_in(written.as_bytes()));
                let other = written.replace('+', "-").replace('/', "_");
                for word in [written, other] {
                    assert_eq!(read("t".to_owned(), Some(word)), thought);
                }
            }
        }
        assert_eq!(
            read(String::new(), Some("CiQB".into())).signature.as_deref(),
            Some("CiQB")
        );
    }
}
