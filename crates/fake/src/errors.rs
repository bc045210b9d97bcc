//! Error bodies: what each row answers, how a name finds its row, and how a row looks on the wire of a dialect.
//!
//! The rows themselves are in `error_rows`. A neutral name (`overloaded`) finds the row of the dialect that is asked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    azure,
    dialect::{Dialect, bedrock_converse},
    error_rows::{ErrorRow, JSON, ROWS},
};

/// Neutral names and their rows in `openai_chat`, `anthropic_messages` and `gemini`.
pub const NEUTRAL: &[(&str, [&str; 3])] = &[
    (
        "rate_limited",
        [
            "openai.rate_limit_tokens",
            "anthropic.rate_limit",
            "gemini.rate_limited",
        ],
    ),
    (
        "insufficient_quota",
        [
            "openai.insufficient_quota",
            "anthropic.enforced_spend_limit_reached",
            "gemini.quota_per_day",
        ],
    ),
    (
        "context_too_long",
        [
            "openai.context_length_exceeded",
            "anthropic.context_too_long",
            "gemini.context_too_long",
        ],
    ),
    (
        "content_filter",
        [
            "openai.content_policy_violation",
            "anthropic.content_filter",
            "gemini.blocked_safety",
        ],
    ),
    (
        "wrong_key",
        [
            "openai.invalid_api_key",
            "anthropic.authentication",
            "gemini.api_key_invalid",
        ],
    ),
    (
        "forbidden",
        [
            "openai.unsupported_country",
            "anthropic.permission",
            "gemini.permission_denied",
        ],
    ),
    (
        "model_not_found",
        ["openai.model_not_found", "anthropic.not_found", "gemini.not_found"],
    ),
    (
        "overloaded",
        ["openai.server_overloaded", "anthropic.overloaded", "gemini.unavailable"],
    ),
    (
        "server_error",
        ["openai.server_error", "anthropic.api_error", "gemini.internal"],
    ),
    (
        "timeout",
        [
            "openai.gateway_timeout",
            "anthropic.timeout",
            "gemini.deadline_exceeded",
        ],
    ),
    (
        "invalid_request",
        [
            "openai.invalid_request",
            "anthropic.invalid_request",
            "gemini.invalid_argument",
        ],
    ),
];

/// The row that a status alone stands for, by dialect; a status without one gets a generic body.
const BY_STATUS: &[(u16, [&str; 3])] = &[
    (
        400,
        [
            "openai.invalid_request",
            "anthropic.invalid_request",
            "gemini.invalid_argument",
        ],
    ),
    (
        401,
        [
            "openai.invalid_api_key",
            "anthropic.authentication",
            "gemini.unauthenticated",
        ],
    ),
    (402, ["", "anthropic.billing", "gemini.billing"]),
    (
        403,
        [
            "openai.unsupported_country",
            "anthropic.permission",
            "gemini.permission_denied",
        ],
    ),
    (
        404,
        ["openai.model_not_found", "anthropic.not_found", "gemini.not_found"],
    ),
    (408, ["openai.request_timeout", "anthropic.request_timeout", ""]),
    (409, ["openai.conflict", "anthropic.conflict", ""]),
    (412, ["", "anthropic.precondition_failed", ""]),
    (413, ["openai.request_too_large", "anthropic.request_too_large", ""]),
    (422, ["openai.unprocessable", "anthropic.unprocessable", ""]),
    // Gemini's 429 without a hint is the shared pool's: the quota rows carry RetryInfo or are fatal.
    (
        429,
        ["openai.rate_limit_tokens", "anthropic.rate_limit", "gemini.shared_pool"],
    ),
    (431, ["", "anthropic.headers_too_large", ""]),
    (498, ["groq.capacity_exceeded", "", ""]),
    (499, ["", "anthropic.client_closed", "gemini.cancelled"]),
    (500, ["openai.server_error", "anthropic.api_error", "gemini.internal"]),
    (502, ["openai.bad_gateway", "anthropic.bad_gateway", ""]),
    (
        503,
        [
            "openai.server_overloaded",
            "anthropic.service_unavailable",
            "gemini.unavailable",
        ],
    ),
    (
        504,
        [
            "openai.gateway_timeout",
            "anthropic.timeout",
            "gemini.deadline_exceeded",
        ],
    ),
    (529, ["", "anthropic.overloaded", ""]),
];

/// An error as it goes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// The JSON of the event that says the same inside a stream.
    pub(crate) in_stream: String,
}

impl ErrorAnswer {
    /// The same with a code, in an envelope that has one.
    pub(crate) fn with_code(self, code: &str) -> Self {
        let Ok(mut body) = serde_json::from_str::<Value>(&self.body) else {
            return self;
        };
        if body["error"].is_object() {
            body["error"]["code"] = json!(code);
        }
        let body = body.to_string();
        Self {
            in_stream: body.clone(),
            body,
            ..self
        }
    }
}

/// Which of a table's rows is this dialect's: one API's errors are the same in all of its dialects.
fn column(dialect: Dialect) -> usize {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => 0,
        Dialect::AnthropicMessages => 1,
        Dialect::Gemini => 2,
        // They have rows of their own.
        Dialect::BedrockConverse | Dialect::CohereChat | Dialect::OllamaChat => 0,
    }
}

/// What an error body may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorContext<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) model: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) retry_after: Option<Duration>,
    /// Azure has rows of its own.
    pub(crate) azure: bool,
}

/// The row of that full name, such as `anthropic.overloaded`; a trailing `_error` more or less does not matter.
pub fn find(name: &str) -> Option<&'static ErrorRow> {
    let bare = name.strip_suffix("_error").unwrap_or(name);
    ROWS.iter().find(|row| row.name == name).or_else(|| {
        ROWS.iter()
            .find(|row| row.name.strip_suffix("_error").unwrap_or(row.name) == bare)
    })
}

/// The row that a full or neutral name means in this dialect.
pub fn find_for(dialect: Dialect, name: &str) -> Option<&'static ErrorRow> {
    if let Some((own, _)) = dialect.own_rows() {
        return find(
            own.iter()
                .find(|(neutral, _)| *neutral == name)
                .map_or(name, |(_, row)| row),
        );
    }
    let neutral = NEUTRAL.iter().find(|(neutral, _)| *neutral == name);
    find(neutral.map_or(name, |(_, rows)| rows[column(dialect)]))
}

pub(crate) fn exists(name: &str) -> bool {
    find_for(Dialect::OpenaiChat, name).is_some()
}

/// The name most like a wrong one, for messages.
pub(crate) fn nearest(name: &str) -> &'static str {
    let names = ROWS
        .iter()
        .map(|row| row.name)
        .chain(NEUTRAL.iter().map(|(name, _)| *name));
    names.min_by_key(|known| distance(name, known)).unwrap_or("overloaded")
}

/// Edits that lead from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = if x == *y {
                diagonal
            } else {
                1 + diagonal.min(row[j]).min(row[j + 1])
            };
            diagonal = row[j + 1];
            row[j + 1] = cost;
        }
    }
    row[b.len()]
}

/// The error of that name; an unknown one (checked when behaviours are read) is a generic 500.
pub(crate) fn named(context: ErrorContext<'_>, name: &str) -> ErrorAnswer {
    let azure = azure::row_of_name(name).filter(|_| context.azure);
    match find_for(context.dialect, azure.unwrap_or(name)) {
        Some(row) => of_row(context, row),
        None => generic(context, 500, "unknown error row", None),
    }
}

/// What this dialect's provider would plausibly answer with that status.
pub(crate) fn of_status(context: ErrorContext<'_>, status: u16) -> ErrorAnswer {
    let azure = azure::row_of_status(status).filter(|_| context.azure);
    let by_status = match context.dialect.own_rows() {
        Some((_, own)) => own
            .iter()
            .find(|(known, _)| *known == status)
            .map_or("", |(_, row)| row),
        None => BY_STATUS
            .iter()
            .find(|(known, _)| *known == status)
            .map_or("", |(_, rows)| rows[column(context.dialect)]),
    };
    match find(azure.unwrap_or(by_status)) {
        // A hint turns Gemini's 429 into the per-minute quota, the only one that carries RetryInfo.
        Some(row) if row.name == "gemini.shared_pool" && context.retry_after.is_some() => {
            named(context, "gemini.rate_limited")
        }
        Some(row) => of_row(context, row),
        None => {
            let reason = http::StatusCode::from_u16(status)
                .ok()
                .and_then(|s| s.canonical_reason())
                .unwrap_or("Request failed");
            generic(context, status, reason, None)
        }
    }
}

/// An error of the fake's own judgement, in the dialect's envelope. `field` is named where the envelope has a place for it.
pub(crate) fn generic(context: ErrorContext<'_>, status: u16, message: &str, field: Option<&str>) -> ErrorAnswer {
    let body = match context.dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            let kind = match status {
                402 => "billing_error",
                429 => "rate_limit_error",
                400..=499 => "invalid_request_error",
                _ => "server_error",
            };
            json!({"error": {"message": message, "type": kind, "param": field, "code": null}})
        }
        Dialect::AnthropicMessages => {
            let kind = match status {
                401 => "authentication_error",
                402 => "billing_error",
                403 => "permission_error",
                404 => "not_found_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                498 | 529 => "overloaded_error",
                504 => "timeout_error",
                400..=499 => "invalid_request_error",
                _ => "api_error",
            };
            let message = field.map_or(message.to_owned(), |field| format!("{field}: {message}"));
            json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": context.request_id})
        }
        Dialect::Gemini => {
            let name = match status {
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                404 => "NOT_FOUND",
                409 => "ABORTED",
                429 => "RESOURCE_EXHAUSTED",
                499 => "CANCELLED",
                500 => "INTERNAL",
                501 => "UNIMPLEMENTED",
                503 => "UNAVAILABLE",
                504 => "DEADLINE_EXCEEDED",
                400..=499 => "INVALID_ARGUMENT",
                _ => "UNKNOWN",
            };
            let message = field.map_or(message.to_owned(), |field| format!("{field}: {message}"));
            json!({"error": {"code": status, "message": message, "status": name}})
        }
        Dialect::BedrockConverse => json!({"__type": bedrock_converse::errors::kind_of(status), "message": message}),
        Dialect::CohereChat => json!({"id": context.request_id, "message": message}),
        Dialect::OllamaChat => json!({"error": message}),
    };
    let body = body.to_string();
    ErrorAnswer {
        status,
        content_type: JSON,
        in_stream: body.clone(),
        body,
    }
}

fn of_row(context: ErrorContext<'_>, row: &ErrorRow) -> ErrorAnswer {
    let mut body = filled(context, row.body);
    if let (Dialect::Gemini, Some(wait)) = (context.dialect, context.retry_after) {
        body = with_retry_info(&body, wait);
    }
    let in_stream = match row.in_stream {
        Some(event) => filled(context, event),
        // Text and HTML say nothing inside a stream: there the same trouble is the dialect's server error.
        None if row.content_type != JSON => {
            generic(
                context,
                row.status,
                "The server had an error while processing your request.",
                None,
            )
            .body
        }
        None => body.clone(),
    };
    ErrorAnswer {
        status: row.status,
        content_type: row.content_type,
        body,
        in_stream,
    }
}

fn filled(context: ErrorContext<'_>, template: &str) -> String {
    let quoted = Value::from(context.model).to_string();
    template
        .replace("{model}", &quoted[1..quoted.len() - 1])
        .replace("{request_id}", context.request_id)
}

/// Gemini tells waits in the body only: `RetryInfo.retryDelay`, a fractional duration.
fn with_retry_info(body: &str, wait: Duration) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let Some(error) = value.get_mut("error").and_then(Value::as_object_mut) else {
        return body.to_owned();
    };
    let details = error.entry("details").or_insert_with(|| json!([]));
    if let Some(details) = details.as_array_mut() {
        let kind = "type.googleapis.com/google.rpc.RetryInfo";
        details.retain(|detail| detail["@type"] != kind);
        details.push(json!({"@type": kind, "retryDelay": format!("{}s", wait.as_secs_f64())}));
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn context(dialect: Dialect) -> ErrorContext<'static> {
        ErrorContext {
            dialect,
            model: "m\"1",
            request_id: "req_1",
            retry_after: None,
            azure: false,
        }
    }

    #[test]
    fn every_row_is_sound_and_has_a_name_of_its_own() {
        let outcomes = [
            "rate_limited",
            "quota_exhausted",
            "overloaded",
            "server_error",
            "timeout",
            "auth",
            "model_not_found",
            "malformed_output",
            "context_too_long",
            "content_filtered",
            "invalid_request",
            "cancelled",
        ];
        let mut names = BTreeSet::new();
        for row in ROWS {
            assert!(names.insert(row.name), "{} twice", row.name);
            assert!(outcomes.contains(&row.outcome), "{}: {}", row.name, row.outcome);
            assert!(row.status == 200 || (400..600).contains(&row.status), "{}", row.name);
            for dialect in Dialect::ALL {
                let answer = of_row(context(dialect), row);
                if row.content_type == JSON {
                    serde_json::from_str::<Value>(&answer.body).unwrap_or_else(|e| panic!("{}: {e}", row.name));
                }
                serde_json::from_str::<Value>(&answer.in_stream).unwrap_or_else(|e| panic!("{}: {e}", row.name));
                assert!(
                    !answer.body.contains("{model}") && !answer.body.contains("{request_id}"),
                    "{}",
                    row.name
                );
            }
        }
    }

    #[test]
    fn every_name_and_every_status_finds_its_row() {
        for (_, rows) in NEUTRAL.iter() {
            assert!(rows.iter().all(|row| find(row).is_some()), "{rows:?}");
        }
        for (status, rows) in BY_STATUS {
            for row in rows.iter().filter(|row| !row.is_empty()) {
                assert_eq!(find(row).unwrap_or_else(|| panic!("{row}")).status, *status, "{row}");
            }
        }
        for status in 400..600 {
            for dialect in Dialect::ALL {
                assert_eq!(of_status(context(dialect), status).status, status);
            }
        }
        assert_eq!(find("anthropic.overloaded_error").unwrap().name, "anthropic.overloaded");
        assert_eq!(nearest("anthropic.overlaoded"), "anthropic.overloaded");
    }

    #[test]
    fn gemini_tells_the_wait_in_the_body() {
        let context = ErrorContext {
            retry_after: Some(Duration::from_millis(1500)),
            ..context(Dialect::Gemini)
        };
        let body: Value = serde_json::from_str(&of_status(context, 429).body).unwrap();
        let delays: Vec<_> = body["error"]["details"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|d| d["retryDelay"].as_str())
            .collect();
        assert_eq!(delays, ["1.5s"]);
    }
}
