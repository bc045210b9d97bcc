//! Cohere's rows of the error table by neutral name and status, and how a stream tells an error.

use serde_json::{Value, json};

use crate::event::{Event, EventKind};

/// Neutral names and their rows.
pub(crate) const NEUTRAL: &[(&str, &str)] = &[
    ("rate_limited", "cohere.rate_limited"),
    ("insufficient_quota", "cohere.billing"),
    ("context_too_long", "cohere.context_too_long"),
    ("content_filter", "cohere.blocked"),
    ("wrong_key", "cohere.invalid_token"),
    ("forbidden", "cohere.forbidden"),
    ("model_not_found", "cohere.model_not_found"),
    ("overloaded", "cohere.unavailable"),
    ("server_error", "cohere.internal"),
    ("timeout", "cohere.timeout"),
    ("invalid_request", "cohere.invalid_request"),
];

/// The row that a status alone stands for.
pub(crate) const BY_STATUS: &[(u16, &str)] = &[
    (400, "cohere.invalid_request"),
    (401, "cohere.invalid_token"),
    (402, "cohere.billing"),
    (403, "cohere.forbidden"),
    (404, "cohere.model_not_found"),
    (422, "cohere.unprocessable"),
    (429, "cohere.rate_limited"),
    (498, "cohere.blocked"),
    (499, "cohere.client_closed"),
    (500, "cohere.internal"),
    (503, "cohere.unavailable"),
    (504, "cohere.timeout"),
];

/// The event that says inside a stream what the body of an error says outside of one.
pub(crate) fn in_stream(body: &str) -> Event {
    let told: Value = serde_json::from_str(body).unwrap_or_default();
    let message = told["message"].as_str().unwrap_or("internal server error");
    let data = json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}});
    Event::named(EventKind::Structure, "message-end", data.to_string())
}
