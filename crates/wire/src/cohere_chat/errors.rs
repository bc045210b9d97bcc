//! What an error of Cohere means: `{"message":"text"}`, no code. The status decides, but for what only the words tell.
//!
//! 498 is the API's "invalid token" (its SDK has a class for it), not the overload it is elsewhere.

use serde::Deserialize;
use types::outcome::{Failure, OutcomeClass};

use crate::failure::{Told, failure, in_stream, status_class};
use crate::limits::hint_in_message;
use crate::response::RawAnswer;

/// The longest plain text body that is shown as a message; longer ones are pages, not messages.
const PLAIN_BYTES_MAX: usize = 500;

#[derive(Debug, Deserialize)]
struct Body {
    message: Option<String>,
    /// What gateways in between make of it.
    error: Option<String>,
}

/// Classifies an answer that is an error or no answer at all.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    let message = read(raw.body);
    let told = Told {
        message: message.as_deref().unwrap_or_else(|| not_an_answer(raw.body)),
        ..Told::default()
    };
    let class = message
        .as_deref()
        .and_then(|message| class_of(raw.status, message))
        .unwrap_or_else(|| class_of_status(raw.status));
    let found = failure(class, raw, told);
    Failure {
        retry_after: found.retry_after.or_else(|| hint_in_message(&found.message)),
        ..found
    }
}

/// Classifies an error that came as an event, or as a bare body in place of a stream; `None` when it is none.
pub(super) fn classify_event(data: &[u8]) -> Option<Failure> {
    read(data).map(|message| ended(&message))
}

/// Classifies the words with which a stream ended.
pub(super) fn ended(message: &str) -> Failure {
    let class = class_of(0, message).unwrap_or(OutcomeClass::ServerError);
    let told = Told {
        message,
        ..Told::default()
    };
    in_stream(class, told)
}

fn read(body: &[u8]) -> Option<String> {
    let body: Body = serde_json::from_slice(body).ok()?;
    body.message.or(body.error)
}

fn not_an_answer(body: &[u8]) -> &str {
    match std::str::from_utf8(body).map(str::trim) {
        Ok("") => "an empty body",
        Ok(page) if page.starts_with('<') => "a page of markup instead of an answer",
        Ok(text) if text.len() <= PLAIN_BYTES_MAX && !text.starts_with('{') => text,
        Ok(_) | Err(_) => "a body that is no answer",
    }
}

/// What only the words tell. A stream's error has no status (0).
fn class_of(status: u16, message: &str) -> Option<OutcomeClass> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match status {
        429 => says(&["/ month", "per month", "a month", "monthly"]).then_some(OutcomeClass::QuotaExhausted),
        0 | 400 | 413 | 422 | 498 => {
            if says(&["max tokens must be"]) {
                None
            } else if says(&[
                "too many tokens",
                "context length",
                "context window",
                "size limit exceeded",
            ]) {
                Some(OutcomeClass::ContextTooLong)
            } else if says(&["blocked"]) {
                Some(OutcomeClass::ContentFiltered)
            } else if says(&["invalid api token", "invalid token"]) {
                Some(OutcomeClass::Auth)
            } else if says(&["rate limit", "too many requests"]) {
                Some(OutcomeClass::RateLimited)
            } else {
                None
            }
        }
        // A 404 may be about anything that has an id.
        404 => (!says(&["model"])).then_some(OutcomeClass::InvalidRequest),
        _ => None,
    }
}

fn class_of_status(status: u16) -> OutcomeClass {
    match status {
        498 => OutcomeClass::Auth,
        // The request was cancelled at the provider: ours is still there, or we would not read on.
        499 => OutcomeClass::ServerError,
        501 => OutcomeClass::Unsupported,
        status => status_class(status),
    }
}
