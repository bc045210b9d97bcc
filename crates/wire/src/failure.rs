//! What every dialect's classifier needs beside its own table: the class of a bare status, the reach of a class, and a
//! message that is fit to be shown.

use types::outcome::{Failure, OutcomeClass, Scope};

use crate::limits;
use crate::response::RawAnswer;

/// The longest message of a provider that is kept, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 2_000;
/// The longest code that is kept, in bytes.
pub const CODE_BYTES_MAX: usize = 64;
/// A run of this many letters, digits, `-` and `_` that holds both letters and digits is taken for a secret.
const SECRET_RUN_MIN: usize = 40;

/// The class of a status alone, for bodies nobody knows.
pub fn status_class(status: u16) -> OutcomeClass {
    match status {
        401 | 403 => OutcomeClass::Auth,
        402 => OutcomeClass::QuotaExhausted,
        404 => OutcomeClass::ModelNotFound,
        408 | 409 => OutcomeClass::ServerError,
        429 => OutcomeClass::RateLimited,
        498 | 503 | 529 => OutcomeClass::Overloaded,
        400..=499 => OutcomeClass::InvalidRequest,
        500..=599 => OutcomeClass::ServerError,
        // A redirect, an informational answer, or a 2xx whose body is no answer.
        _ => OutcomeClass::BadResponse,
    }
}

/// How far a failure of a class and status reaches.
pub fn scope_of(class: OutcomeClass, status: u16) -> Scope {
    match class {
        OutcomeClass::Auth if status == 403 => Scope::CredentialAtTarget,
        OutcomeClass::Auth | OutcomeClass::QuotaExhausted => Scope::Credential,
        OutcomeClass::Success
        | OutcomeClass::RateLimited
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => Scope::Target,
    }
}

/// What a provider's error body said, before it is made fit to be shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// The message; empty when there was none.
    pub message: &'a str,
    /// The code, or the type where there is no code.
    pub code: Option<&'a str>,
    /// The parameter it blames.
    pub param: Option<&'a str>,
}

/// A classified failure of a whole answer: status, reach and waiting hint come from `raw`, the rest from what was told,
/// redacted and cut. A hint in the body that the caller found goes on top with struct update syntax.
pub fn failure(class: OutcomeClass, raw: RawAnswer<'_>, told: Told<'_>) -> Failure {
    Failure {
        scope: scope_of(class, raw.status),
        status: Some(raw.status),
        retry_after: limits::retry_after(raw.headers, raw.received),
        ..in_stream(class, told)
    }
}

/// A classified failure that was told inside a stream: there is no status of its own.
pub fn in_stream(class: OutcomeClass, told: Told<'_>) -> Failure {
    let message = if told.message.trim().is_empty() {
        "the provider gave no message"
    } else {
        told.message
    };
    Failure {
        scope: scope_of(class, 0),
        code: told.code.map(|code| cut(code, CODE_BYTES_MAX).to_owned()),
        param: told.param.map(|param| cut(param, CODE_BYTES_MAX).to_owned()),
        ..Failure::new(class, cut(&redact_secrets(message), MESSAGE_BYTES_MAX))
    }
}

/// The text up to `bytes_max` bytes, cut between characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The text with everything that looks like a credential replaced by `[redacted]`: `sk-…`, `AIza…`, `gsk_…`, `Bearer …`
/// and long runs of letters and digits. Providers quote keys, whole or in part, in what they say about them.
pub fn redact_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !in_run(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(run);
        let bearer = ends_with_bearer(&out);
        if !word.is_empty() && (looks_secret(word) || (bearer && word.len() >= 8)) {
            out.push_str("[redacted]");
        } else {
            out.push_str(word);
        }
        let other = behind.find(in_run).unwrap_or(behind.len());
        out.push_str(&behind[..other]);
        rest = &behind[other..];
    }
    out
}

/// Asterisks count: OpenAI shows keys as `sk-abc***xyz`.
fn in_run(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*')
}

fn ends_with_bearer(text: &str) -> bool {
    let text = text.trim_end().as_bytes();
    text.len() >= 6 && text[text.len() - 6..].eq_ignore_ascii_case(b"bearer")
}

fn looks_secret(word: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "AIza", "AKIA", "hf_", "ya29",
    ];
    let known = PREFIXES.iter().any(|p| word.starts_with(p)) && word.len() >= 10;
    let starred = word.contains("***");
    let long = word.len() >= SECRET_RUN_MIN
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphabetic());
    known || starred || long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_survive_and_words_do() {
        let rows = [
            (
                "Incorrect API key provided: sk-proj-abcdef123456. You can find",
                "Incorrect API key provided: [redacted]. You can find",
            ),
            ("key sk-ab***********wxyz is wrong", "key [redacted] is wrong"),
            (
                "API key AIzaSyA1234567890abcdefghijklmnopqrstuv not valid",
                "API key [redacted] not valid",
            ),
            ("Authorization: Bearer abcdefgh12", "Authorization: Bearer [redacted]"),
            (
                "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9abcdefg1 expired",
                "token [redacted] expired",
            ),
            (
                "the model `gpt-5.5-2026-08-01` does not exist",
                "the model `gpt-5.5-2026-08-01` does not exist",
            ),
            (
                "sk-8 is a road; a task-force-of-nine is not a key",
                "sk-8 is a road; a task-force-of-nine is not a key",
            ),
            ("", ""),
        ];
        for (text, wanted) in rows {
            assert_eq!(redact_secrets(text), wanted);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 3), "");
    }

    #[test]
    fn a_status_alone_has_a_class() {
        use OutcomeClass::*;
        let rows = [
            (400, InvalidRequest),
            (401, Auth),
            (402, QuotaExhausted),
            (403, Auth),
            (404, ModelNotFound),
            (408, ServerError),
            (409, ServerError),
            (413, InvalidRequest),
            (418, InvalidRequest),
            (422, InvalidRequest),
            (429, RateLimited),
            (498, Overloaded),
            (500, ServerError),
            (502, ServerError),
            (503, Overloaded),
            (504, ServerError),
            (529, Overloaded),
            (599, ServerError),
            (302, BadResponse),
            (200, BadResponse),
            (600, BadResponse),
        ];
        for (status, class) in rows {
            assert_eq!(status_class(status), class, "{status}");
        }
    }
}
