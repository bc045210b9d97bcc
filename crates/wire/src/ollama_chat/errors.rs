//! What an error of Ollama means: `{"error":"text"}`, no code. The status decides, but for what only the words tell; within a
//! stream, whose status is 200, the words alone.

use serde_json::Value;
use types::outcome::{Failure, OutcomeClass};

use crate::failure::{Told, failure, in_stream, status_class};
use crate::limits::hint_in_message;
use crate::response::RawAnswer;

/// The longest plain text body that is shown as a message; longer ones are pages, not messages.
const PLAIN_BYTES_MAX: usize = 500;

/// Classifies an answer that is an error or no answer at all.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    let message = read(raw.body);
    let told = Told {
        message: message.as_deref().unwrap_or_else(|| not_an_answer(raw.body)),
        ..Told::default()
    };
    let by_words = message.as_deref().and_then(class_of);
    let class = match (by_words, &message) {
        (Some(class), _) => class,
        // An error inside a 200.
        (None, Some(_)) if (200..300).contains(&raw.status) => OutcomeClass::ServerError,
        (None, _) => status_class(raw.status),
    };
    let found = failure(class, raw, told);
    Failure {
        retry_after: found.retry_after.or_else(|| hint_in_message(&found.message)),
        ..found
    }
}

/// Classifies a line of a stream; `None` when it is no error.
pub(super) fn classify_line(line: &[u8]) -> Option<Failure> {
    let message = read(line)?;
    let told = Told {
        message: &message,
        ..Told::default()
    };
    Some(in_stream(class_of(&message).unwrap_or(OutcomeClass::ServerError), told))
}

/// What came in place of a stream.
pub(super) fn no_stream(bytes: &[u8]) -> Failure {
    let told = Told {
        message: not_an_answer(bytes),
        ..Told::default()
    };
    in_stream(OutcomeClass::BadResponse, told)
}

fn read(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    match body.get("error")? {
        Value::String(message) => Some(message.clone()),
        // Of what it passes on from its cloud.
        Value::Object(error) => error.get("message").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    }
}

fn not_an_answer(body: &[u8]) -> &str {
    match std::str::from_utf8(body).map(str::trim) {
        Ok("") => "an empty body",
        Ok(page) if page.starts_with('<') => "a page of markup instead of an answer",
        Ok(text) if text.len() <= PLAIN_BYTES_MAX => text,
        Ok(_) | Err(_) => "a body that is no answer",
    }
}

/// What the words tell.
fn class_of(message: &str) -> Option<OutcomeClass> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let about_length = [
        "exceeds the context length",
        "exceeds context length",
        "exceeds maximum context",
        "context window",
        "prompt is too long",
        "prompt too long",
    ];
    if says(&["does not support"]) {
        Some(OutcomeClass::Unsupported)
    } else if says(&["not found"]) && says(&["model"]) {
        Some(OutcomeClass::ModelNotFound)
    } else if says(&about_length) {
        Some(OutcomeClass::ContextTooLong)
    } else if says(&["server busy", "maximum pending requests"]) {
        Some(OutcomeClass::Overloaded)
    } else if says(&["usage limit"]) {
        Some(OutcomeClass::QuotaExhausted)
    } else if says(&["unauthorized"]) {
        Some(OutcomeClass::Auth)
    } else {
        None
    }
}
