//! Ollama's rows of the error table by neutral name and status.

/// Neutral names and their rows.
pub(crate) const NEUTRAL: &[(&str, &str)] = &[
    ("rate_limited", "ollama.rate_limited"),
    ("insufficient_quota", "ollama.usage_limit"),
    ("context_too_long", "ollama.context_too_long"),
    ("content_filter", "ollama.invalid_request"),
    ("wrong_key", "ollama.signin"),
    ("forbidden", "ollama.disabled"),
    ("model_not_found", "ollama.model_not_found"),
    ("overloaded", "ollama.busy"),
    ("server_error", "ollama.stream_error"),
    ("timeout", "ollama.load_timeout"),
    ("invalid_request", "ollama.invalid_request"),
];

/// The row that a status alone stands for.
pub(crate) const BY_STATUS: &[(u16, &str)] = &[
    (400, "ollama.invalid_request"),
    (401, "ollama.signin"),
    (402, "ollama.usage_limit"),
    (403, "ollama.disabled"),
    (404, "ollama.model_not_found"),
    (429, "ollama.rate_limited"),
    (500, "ollama.stream_error"),
    (502, "ollama.unreachable"),
    (503, "ollama.busy"),
];
