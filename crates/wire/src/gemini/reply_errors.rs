//! How a call that failed is told to a client of this dialect: Google's error object, whose `status` is the canonical code's
//! name and whose `details` hold our own word as an `ErrorInfo`. `attempts` is ours too and SDKs ignore it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::call_error::{AttemptSummary, CallError};
use crate::gemini::reply_stream::frame;
use crate::request::BadRequest;

/// The body for a call that failed.
pub fn error_body(error: &CallError<'_>) -> Vec<u8> {
    serde_json::to_vec(&envelope(error)).expect("strings and numbers are always JSON")
}

/// The same as an event in a running stream: a whole frame. Nothing may follow it.
pub fn error_event(error: &CallError<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&envelope(error), &mut out);
    out
}

/// The body for a refusal before any attempt.
pub fn refusal(status: u16, complaint: &BadRequest) -> Vec<u8> {
    let body = Envelope {
        error: ErrorJson {
            code: status,
            message: &complaint.message,
            status: status_word(status),
            details: details(complaint.code, complaint.param.as_deref(), &complaint.message),
            attempts: None,
        },
    };
    serde_json::to_vec(&body).expect("strings and numbers are always JSON")
}

fn envelope<'a>(error: &CallError<'a>) -> Envelope<'a> {
    let code = error.status();
    Envelope {
        error: ErrorJson {
            code,
            message: error.told(),
            status: status_word(code),
            details: details(Some(error.code()), error.param, error.told()),
            attempts: Some(error.attempts),
        },
    }
}

/// The canonical code's name for a status.
fn status_word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        501 | 405 => "UNIMPLEMENTED",
        504 => "DEADLINE_EXCEEDED",
        502.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}

fn details(code: Option<&str>, param: Option<&str>, message: &str) -> Vec<Value> {
    let mut details = Vec::new();
    if let Some(code) = code {
        let reason = code.to_ascii_uppercase();
        details
            .push(json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "jumpseat"}));
    }
    if let Some(field) = param {
        let violations = json!([{"field": field, "description": message}]);
        details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}));
    }
    details
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorJson<'a>,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<&'a [AttemptSummary]>,
}
