//! How a call that failed is told to a client of this dialect: status, body and in-stream event.
//!
//! Shape and types are Anthropic's, so that the official SDKs raise the class they would raise for the provider itself;
//! `code`, `param` and `attempts` are ours and SDKs ignore them. What is over for now is 529 here, as
//! docs/reliability.md has it; the rest of the statuses are those of every dialect.

use serde::Serialize;
use types::outcome::OutcomeClass;

use super::stream_encoder::frame;
use crate::call_error::{AttemptSummary, CallError};
use crate::request::BadRequest;

/// The status for a call that failed.
pub fn error_status(error: &CallError<'_>) -> u16 {
    match error.class {
        OutcomeClass::Overloaded | OutcomeClass::ServerError | OutcomeClass::Network => 529,
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Timeout
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled
        | OutcomeClass::Success => error.status(),
    }
}

/// The body for a call that failed.
pub fn error_body(error: &CallError<'_>) -> Vec<u8> {
    serde_json::to_vec(&envelope(error)).expect("strings and numbers are always JSON")
}

/// The same as an event in a running stream: a whole frame. Nothing may follow it.
pub fn error_event(error: &CallError<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame("error", &envelope(error), &mut out);
    out
}

/// The body for a refusal before any attempt.
pub fn refusal(status: u16, id: &str, complaint: &BadRequest) -> Vec<u8> {
    let body = Envelope {
        r#type: "error",
        error: ErrorJson {
            r#type: kind(status),
            message: &complaint.message,
            code: complaint.code,
            param: complaint.param.as_deref(),
            attempts: None,
        },
        request_id: id,
    };
    serde_json::to_vec(&body).expect("strings and numbers are always JSON")
}

fn envelope<'a>(error: &CallError<'a>) -> Envelope<'a> {
    Envelope {
        r#type: "error",
        error: ErrorJson {
            r#type: kind(error_status(error)),
            message: error.told(),
            code: Some(error.code()),
            param: error.param,
            attempts: Some(error.attempts),
        },
        request_id: error.id,
    }
}

/// Anthropic's type of a status.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    error: ErrorJson<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<&'a [AttemptSummary]>,
}
