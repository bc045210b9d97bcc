//! Bedrock's rows of the error table by neutral name and status, and how an exception is told: its type in a header or a frame.
//!
//! In the table a body carries its type as `__type`, which the service tells outside of the body; [`taken`] moves it out.

use serde_json::Value;

/// Neutral names and their rows.
pub(crate) const NEUTRAL: &[(&str, &str)] = &[
    ("rate_limited", "bedrock.throttling"),
    ("insufficient_quota", "bedrock.quota_exceeded"),
    ("context_too_long", "bedrock.context_too_long"),
    ("content_filter", "bedrock.guardrail_intervened"),
    ("wrong_key", "bedrock.unrecognized_client"),
    ("forbidden", "bedrock.access_denied"),
    ("model_not_found", "bedrock.resource_not_found"),
    ("overloaded", "bedrock.service_unavailable"),
    ("server_error", "bedrock.internal_server"),
    ("timeout", "bedrock.model_timeout"),
    ("invalid_request", "bedrock.validation"),
];

/// The row that a status alone stands for.
pub(crate) const BY_STATUS: &[(u16, &str)] = &[
    (400, "bedrock.validation"),
    (403, "bedrock.access_denied"),
    (404, "bedrock.resource_not_found"),
    (408, "bedrock.model_timeout"),
    (424, "bedrock.model_error"),
    (429, "bedrock.throttling"),
    (500, "bedrock.internal_server"),
    (503, "bedrock.service_unavailable"),
];

/// The exception that a status without a row is told as.
pub(crate) fn kind_of(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        402 => "ServiceQuotaExceededException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        409 => "ConflictException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// The type of an exception, and its body without it. `None`: the body tells no type.
pub(crate) fn taken(body: &str) -> Option<(String, String)> {
    let mut value: Value = serde_json::from_str(body).ok()?;
    let kind = value.as_object_mut()?.shift_remove("__type")?;
    Some((kind.as_str()?.to_owned(), value.to_string()))
}
