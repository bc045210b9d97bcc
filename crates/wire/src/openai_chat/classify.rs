//! What an error body of this dialect means: OpenAI's own, and those of Azure, Groq, Mistral, Ollama, DeepSeek, vLLM and
//! others who speak it with an accent.
//!
//! Body before status: many providers say "quota spent" with 429 and "wrong key" with 400. The rules stand in
//! `class_of`, first hit wins; a body nobody knows falls to its status. The rows are those of `golden/openai_chat/errors.json`.

use std::borrow::Cow;

use serde_json::Value;
use types::outcome::{Failure, OutcomeClass};

use crate::failure::{Told, failure, in_stream, status_class};
use crate::limits;
use crate::response::RawAnswer;

/// Classifies an answer whose status is not 2xx, or whose body is no answer.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    let error = std::str::from_utf8(raw.body).ok().and_then(ErrorBody::read);
    let Some(error) = error else {
        let class = status_class(raw.status);
        let message = unreadable(raw);
        let told = Told {
            message: &message,
            ..Told::default()
        };
        return failure(class, raw, told);
    };
    let status = (!(200..300).contains(&raw.status)).then_some(raw.status);
    let class = class_of(&error, status).unwrap_or(status_class(raw.status));
    with_hint(failure(class, raw, error.told()), &error)
}

/// Classifies an error that came inside a stream (or in a body with status 200): the JSON of its frame.
pub fn classify_frame(data: &str) -> Failure {
    let Some(error) = ErrorBody::read(data) else {
        let message = "an error without a readable body inside the stream";
        return in_stream(
            OutcomeClass::ServerError,
            Told {
                message,
                ..Told::default()
            },
        );
    };
    let class = class_of(&error, None).unwrap_or(OutcomeClass::ServerError);
    with_hint(in_stream(class, error.told()), &error)
}

/// What an error body says, wherever in it that stands.
struct ErrorBody {
    message: String,
    code: String,
    kind: String,
    /// Azure's `innererror.code`.
    inner: String,
    param: Option<String>,
    /// The provider told in details when to come back (Gemini's compatible endpoint).
    retry_delay: Option<String>,
}

impl ErrorBody {
    /// `None` when it is no error body at all.
    fn read(text: &str) -> Option<ErrorBody> {
        let body: Value = serde_json::from_str(text).ok()?;
        // Gemini's compatible endpoint wraps its errors in an array.
        let body = body.get(0).unwrap_or(&body);
        let body = body.as_object()?;
        let nested = body
            .get("error")
            .filter(|error| !error.is_null())
            .or(body.get("x_groq").and_then(|x| x.get("error")));
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let first = |candidates: [String; 2]| {
            let [a, b] = candidates;
            if a.is_empty() { b } else { a }
        };
        let error = match nested {
            Some(Value::Object(error)) => error,
            Some(told) => {
                let message = if let Value::String(text) = told {
                    text.clone()
                } else {
                    told.to_string()
                };
                return Some(ErrorBody {
                    message,
                    code: text(body.get("code")),
                    kind: first([text(body.get("error_type")), text(body.get("type"))]),
                    inner: String::new(),
                    param: None,
                    retry_delay: None,
                });
            }
            None => body,
        };
        let message = match error.get("message").or(error.get("detail")) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        if nested.is_none() && message.is_empty() && !error.contains_key("detail") {
            return None;
        }
        let details = error.get("details").and_then(Value::as_array);
        let retry_delay = details.and_then(|details| details.iter().find_map(|d| d.get("retryDelay")?.as_str()));
        Some(ErrorBody {
            message,
            code: text(error.get("code")),
            kind: first([text(error.get("type")), text(error.get("status"))]),
            inner: text(error.get("innererror").and_then(|inner| inner.get("code"))),
            param: error.get("param").and_then(Value::as_str).map(str::to_owned),
            retry_delay: retry_delay.map(str::to_owned),
        })
    }

    fn told(&self) -> Told<'_> {
        let code = [&self.code, &self.kind].into_iter().find(|word| !word.is_empty());
        Told {
            message: &self.message,
            code: code.map(String::as_str),
            param: self.param.as_deref(),
        }
    }
}

/// The class a body tells, given the status (`None` within a stream); `None` when it tells nothing.
fn class_of(error: &ErrorBody, status: Option<u16>) -> Option<OutcomeClass> {
    use OutcomeClass::*;

    let words = [error.code.as_str(), error.kind.as_str(), error.inner.as_str()];
    let is = |candidates: &[&str]| {
        words
            .iter()
            .any(|w| candidates.iter().any(|c| w.eq_ignore_ascii_case(c)))
    };
    let message = error.message.to_ascii_lowercase();
    let says = |fragments: &[&str]| fragments.iter().any(|f| message.contains(f));
    // Within a stream, and in Gemini's compatible bodies, the code may be the status.
    let coded = error.code.parse::<u16>().ok().filter(|code| (400..600).contains(code));
    let status = status.or(coded);
    let status_is = |candidates: &[u16]| status.is_none_or(|status| candidates.contains(&status));

    if is(&QUOTA_CODES)
        || says(&[
            "credit balance is too low",
            "insufficient balance",
            "insufficient credits",
            "insufficient_quota",
        ])
        || (says(&["exceeded your current quota"]) && error.retry_delay.is_none())
    {
        return Some(QuotaExhausted);
    }
    // Groq: the request alone is larger than the tokens a minute; waiting does not help.
    let too_large_for_minute = status == Some(413) && is(&["rate_limit_exceeded"]);
    if is(&[
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
    ]) || too_large_for_minute
        || (status_is(&[400, 413, 422]) && says(&CONTEXT_WORDS))
    {
        return Some(ContextTooLong);
    }
    if is(&FILTER_CODES) || (status_is(&[400, 403, 422]) && says(&FILTER_WORDS)) {
        return Some(ContentFiltered);
    }
    if is(&["tool_use_failed", "json_validate_failed"]) {
        return Some(MalformedOutput);
    }
    if is(&[
        "model_not_found",
        "deploymentnotfound",
        "model_decommissioned",
        "model_not_active",
        "invalid_model",
        "model_terms_required",
    ]) || (status_is(&[400, 403, 404])
        && says(&["model"])
        && says(&["does not exist", "not found", "has been decommissioned"]))
    {
        return Some(ModelNotFound);
    }
    if is(&AUTH_CODES) || says(&["incorrect api key", "invalid api key", "api key not valid"]) {
        return Some(Auth);
    }
    if is(&OVERLOAD_CODES)
        || (status_is(&[429, 500, 503])
            && says(&["experiencing high demand", "overloaded", "server busy", "over capacity"]))
    {
        return Some(Overloaded);
    }
    if is(&[
        "rate_limit_exceeded",
        "rate_limit_error",
        "slow_down",
        "requests",
        "tokens",
        "too_many_requests",
        "RESOURCE_EXHAUSTED",
    ]) {
        return Some(RateLimited);
    }
    // From here on the status knows better than a type, where there is one.
    if let Some(status) = status {
        return Some(status_class(status));
    }
    if is(&["invalid_request_error", "invalid_argument", "BadRequestError"]) {
        return Some(InvalidRequest);
    }
    None
}

const QUOTA_CODES: [&str; 9] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "insufficient_balance",
];
const CONTEXT_WORDS: [&str; 9] = [
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input is too long",
    "too large for model with",
    "exceeds the maximum number of tokens",
    "reduce the length of the messages",
];
const FILTER_CODES: [&str; 9] = [
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "invalid_prompt",
    "moderation_blocked",
    "image_content_policy_violation",
    "bio_policy",
    "misalignment_policy_violation",
    "content_moderation",
];
const FILTER_WORDS: [&str; 4] = [
    "content management policy",
    "violating our usage polic",
    "violates our usage polic",
    "safety system",
];
const AUTH_CODES: [&str; 7] = [
    "invalid_api_key",
    "authentication_error",
    "permission_error",
    "unsupported_country_region_territory",
    "unauthorized",
    "account_deactivated",
    "API_KEY_INVALID",
];
const OVERLOAD_CODES: [&str; 8] = [
    "server_is_overloaded",
    "service_unavailable_error",
    "overloaded_error",
    "overloaded",
    "capacity_exceeded",
    "service_tier_capacity_exceeded",
    "3505",
    "UNAVAILABLE",
];

/// Adds the hint of the body where the headers gave none and waiting means something.
fn with_hint(failure: Failure, error: &ErrorBody) -> Failure {
    if failure.retry_after.is_some() || !matches!(failure.class, OutcomeClass::RateLimited | OutcomeClass::Overloaded) {
        return failure;
    }
    let detail = error.retry_delay.as_deref().and_then(limits::google_duration);
    Failure {
        retry_after: detail.or_else(|| limits::hint_in_message(&error.message)),
        ..failure
    }
}

/// Words for a body that is no error body of the dialect. A short line of text is quoted, a page is not.
fn unreadable(raw: RawAnswer<'_>) -> Cow<'static, str> {
    let text = String::from_utf8_lossy(&raw.body[..raw.body.len().min(400)]);
    let text = text.trim();
    if text.is_empty() {
        format!("the provider answered {} without a body", raw.status).into()
    } else if text.starts_with(['<', '{', '[']) || text.len() > 300 || text.contains(char::is_control) {
        format!(
            "the provider answered {} with a body that is no answer of its API",
            raw.status
        )
        .into()
    } else {
        text.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use proptest::prelude::*;
    use types::outcome::Scope;
    use types::time::UnixMillis;

    use super::*;

    fn of(status: u16, body: &str) -> Failure {
        let headers = HeaderMap::new();
        classify(RawAnswer {
            status,
            headers: &headers,
            body: body.as_bytes(),
            received: UnixMillis(0),
        })
    }

    #[test]
    fn a_body_nobody_knows_falls_to_its_status() {
        for (status, body) in [
            (500, ""),
            (500, "{}"),
            (500, "<html>"),
            (503, "[]"),
            (404, "404 page not found"),
            (418, "null"),
            (302, ""),
        ] {
            assert_eq!(of(status, body).class, status_class(status), "{status} {body}");
        }
        assert_eq!(of(404, "404 page not found").message, "404 page not found");
        assert_eq!(
            of(502, "<html>secret</html>").message,
            "the provider answered 502 with a body that is no answer of its API"
        );
    }

    #[test]
    fn a_credential_is_blamed_as_far_as_it_reaches_and_its_text_is_not_shown() {
        let bad = of(
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-proj-12345678.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        );
        assert_eq!((bad.class, bad.scope), (OutcomeClass::Auth, Scope::Credential));
        assert_eq!(bad.message, "Incorrect API key provided: [redacted].");
        assert_eq!(of(403, "").scope, Scope::CredentialAtTarget);
        assert_eq!(of(402, "").scope, Scope::Credential);
    }

    #[test]
    fn a_hint_in_the_message_counts_when_no_header_gave_one() {
        let limited = of(
            429,
            r#"{"error":{"message":"Limit 30000. Please try again in 174ms.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        );
        assert_eq!(limited.retry_after, Some(Duration::from_millis(174)));
        let gemini = of(
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"7.5s"}]}}]"#,
        );
        assert_eq!(
            (gemini.class, gemini.retry_after),
            (OutcomeClass::RateLimited, Some(Duration::from_millis(7_500)))
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(status in 100u16..700, body in any::<Vec<u8>>()) {
            let headers = HeaderMap::new();
            let _ = classify(RawAnswer { status, headers: &headers, body: &body, received: UnixMillis(0) });
            let _ = classify_frame(&String::from_utf8_lossy(&body));
        }
    }
}
