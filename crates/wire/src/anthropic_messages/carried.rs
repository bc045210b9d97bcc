//! Signatures of other dialects, carried through this one.
//!
//! A client hands an assistant's turn back as it came, and this dialect has a place for opaque words in it: the signature
//! of a `thinking` block and the data of a `redacted_thinking` block. What another dialect signed is put there behind a tag,
//! `jumpseat:<dialect>:<signature>`; `jumpseat:unsigned:` marks reasoning nobody signed, and `jumpseat:call:<signature>` in a
//! `redacted_thinking` block is Gemini's signature on the tool call that follows it. Anthropic's own signatures stay
//! as they are: they are base64, which has no colon.
//!
//! Anthropic refuses what it did not sign, so a body with a tag in it must not pass through: see [`is_in`].

use memchr::memmem;
use types::chat::Reasoning;
use types::dialect::DialectName;

const TAG: &str = "jumpseat:";
const UNSIGNED: &str = "unsigned";
const CALL: &str = "call";

/// What a signature or the data of a `redacted_thinking` block turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// A dialect's own words; `None`: nobody signed.
    Of(DialectName, Option<String>),
    /// Nobody's.
    Unsigned,
    /// The signature of the tool call that follows.
    Call(String),
}

/// Reads a signature or data.
pub(super) fn read(word: &str) -> Carried {
    let foreign = word.strip_prefix(TAG).and_then(|rest| rest.split_once(':'));
    let whose = |name: &str| DialectName::ALL.into_iter().find(|known| known.as_str() == name);
    match foreign {
        Some((UNSIGNED, _)) => Carried::Unsigned,
        Some((CALL, signature)) => Carried::Call(signature.to_owned()),
        Some((name, signature)) => match whose(name) {
            Some(origin) => Carried::Of(origin, Some(signature.to_owned())),
            None => Carried::Unsigned,
        },
        None if word.is_empty() => Carried::Of(DialectName::AnthropicMessages, None),
        None => Carried::Of(DialectName::AnthropicMessages, Some(word.to_owned())),
    }
}

/// Writes a signature or opaque data of a dialect.
pub(super) fn write(origin: Option<DialectName>, word: Option<&str>) -> String {
    match (origin, word) {
        (Some(DialectName::AnthropicMessages), word) => word.unwrap_or_default().to_owned(),
        (Some(origin), Some(word)) => format!("{TAG}{}:{word}", origin.as_str()),
        (_, _) => format!("{TAG}{UNSIGNED}:"),
    }
}

/// Writes the signature of the tool call that follows.
pub(super) fn write_call(signature: &str) -> String {
    format!("{TAG}{CALL}:{signature}")
}

/// Reads a `thinking` block.
pub(super) fn thinking(text: String, signature: &str) -> Reasoning {
    let (origin, signature) = match read(signature) {
        Carried::Of(origin, signature) => (Some(origin), signature),
        Carried::Unsigned | Carried::Call(_) => (None, None),
    };
    Reasoning {
        text,
        signature,
        redacted: None,
        origin,
    }
}

/// Whether a request carries what another dialect signed: it must be read and written anew, also for a target of this
/// dialect. A client's text that only looks so costs that and nothing else.
pub fn is_in(body: &[u8]) -> bool {
    memmem::find(body, b"\"jumpseat:").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for origin in DialectName::ALL {
            let word = write(Some(origin), Some("EqQB+/=:x"));
            assert_eq!(read(&word), Carried::Of(origin, Some("EqQB+/=:x".to_owned())), "{word}");
        }
        assert_eq!(read(&write(None, None)), Carried::Unsigned);
        assert_eq!(read(&write(Some(DialectName::Gemini), None)), Carried::Unsigned);
        assert_eq!(read(&write_call("sig:1")), Carried::Call("sig:1".to_owned()));
        assert_eq!(read("jumpseat:tomorrow:x"), Carried::Unsigned);
        assert_eq!(
            read("jumpseat:"),
            Carried::Of(DialectName::AnthropicMessages, Some("jumpseat:".to_owned()))
        );
    }
}
