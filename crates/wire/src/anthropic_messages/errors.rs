//! What an error of the API means.
//!
//! The envelope is `{"type":"error","error":{"type","message","details":{"error_code"}?},"request_id"}`, of the same shape
//! as a body and as an `error` event inside a stream. The most exact word decides: `details.error_code`, then what is only
//! told in the message (a 400 may be about money, length or policy), then the type, then the bare status.
//!
//! Two rows are read otherwise than their status suggests. 499 says that the client closed the connection: ours is still
//! there, or we would not read on, so the provider's side lost it (`server_error`). A customer-managed encryption key that is
//! disabled or blocked (a 400) is our account's trouble and not the call's (`auth`).

use serde::Deserialize;
use serde_json::Value;
use types::outcome::{Failure, OutcomeClass, Scope};

use crate::failure::{Told, failure, in_stream, status_class};
use crate::limits::hint_in_message;
use crate::response::RawAnswer;

/// The longest plain text body that is shown as a message; longer ones are pages, not messages.
const PLAIN_BYTES_MAX: usize = 500;

/// An error as it was told.
#[derive(Debug, Default, PartialEq, Eq)]
struct ApiError {
    kind: Option<String>,
    code: Option<String>,
    message: String,
}

/// Classifies an answer that is an error or no answer at all.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    let Some(error) = read(raw.body) else {
        let told = Told {
            message: not_an_answer(raw.body),
            ..Told::default()
        };
        return failure(class_of_status(raw.status), raw, told);
    };
    let class = match class_of(&error) {
        // `api_error` is what anything may be called that broke; a 503 and a 529 say more.
        Some(OutcomeClass::ServerError) if status_class(raw.status) == OutcomeClass::Overloaded => {
            OutcomeClass::Overloaded
        }
        Some(class) => class,
        None => class_of_status(raw.status),
    };
    let found = failure(class, raw, told(&error));
    Failure {
        scope: scope_of(&error, found.scope),
        retry_after: found.retry_after.or_else(|| hint_in_message(&error.message)),
        ..found
    }
}

/// Classifies an `error` event of a stream; `None` when the data is no error.
pub(super) fn classify_event(data: &[u8]) -> Option<Failure> {
    let error = read(data)?;
    // Whatever it is called, it is the provider who ended the stream.
    let class = class_of(&error).unwrap_or(OutcomeClass::ServerError);
    let found = in_stream(class, told(&error));
    Some(Failure {
        scope: scope_of(&error, found.scope),
        retry_after: hint_in_message(&error.message),
        ..found
    })
}

/// Whether a body is an error, whatever its status.
pub(super) fn is_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        #[serde(borrow)]
        error: Option<&'a serde_json::value::RawValue>,
    }
    serde_json::from_slice::<Envelope<'_>>(body)
        .is_ok_and(|envelope| envelope.kind.as_deref() == Some("error") || envelope.error.is_some())
}

/// What to say of a body that is neither an answer nor an error.
pub(super) fn not_an_answer(body: &[u8]) -> &str {
    match std::str::from_utf8(body).map(str::trim) {
        Ok("") => "an empty body",
        Ok(page) if page.starts_with('<') => "a page of markup instead of an answer",
        Ok(text) if text.len() <= PLAIN_BYTES_MAX => text,
        Ok(_) | Err(_) => "a body that is no answer",
    }
}

/// Reads the envelope, or what gateways in between make of it (`{"error":"text"}`, `{"message":"text"}`).
fn read(body: &[u8]) -> Option<ApiError> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let body = body.as_object()?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    match body.get("error") {
        Some(Value::Object(error)) => Some(ApiError {
            kind: text(error.get("type")),
            code: error.get("details").and_then(|details| text(details.get("error_code"))),
            message: text(error.get("message")).unwrap_or_default(),
        }),
        Some(Value::String(message)) => Some(ApiError {
            message: message.clone(),
            ..ApiError::default()
        }),
        _ => text(body.get("message")).map(|message| ApiError {
            message,
            ..ApiError::default()
        }),
    }
}

fn told(error: &ApiError) -> Told<'_> {
    Told {
        message: &error.message,
        code: error.code.as_deref().or(error.kind.as_deref()),
        param: param(&error.message),
    }
}

/// The parameter a message blames: `messages.0.content: …`, `max_tokens: …`.
fn param(message: &str) -> Option<&str> {
    let (path, _) = message.split_once(": ")?;
    let is_path = path.starts_with(|c: char| c.is_ascii_lowercase())
        && path
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.');
    is_path.then_some(path)
}

/// A permission is refused at this target only, however it was told.
fn scope_of(error: &ApiError, scope: Scope) -> Scope {
    match error.kind.as_deref() {
        Some("permission_error") if scope == Scope::Credential => Scope::CredentialAtTarget,
        _ => scope,
    }
}

fn class_of(error: &ApiError) -> Option<OutcomeClass> {
    error
        .code
        .as_deref()
        .and_then(class_of_code)
        .or_else(|| class_of_message(error))
        .or_else(|| error.kind.as_deref().and_then(class_of_type))
}

/// `details.error_code`. Codes that mean what their type and status mean are not listed.
fn class_of_code(code: &str) -> Option<OutcomeClass> {
    match code {
        "ramp_limit_exceeded" => Some(OutcomeClass::RateLimited),
        "enforced_spend_limit_reached"
        | "contract_spend_limit_reached"
        | "linked_organization_spend_limit_reached"
        | "linked_organization_billing_unavailable"
        | "organization_on_hold" => Some(OutcomeClass::QuotaExhausted),
        "cmek_key_disabled" | "cmek_key_network_blocked" => Some(OutcomeClass::Auth),
        "cmek_key_unreachable" | "cmek_context_unavailable" | "compaction_unavailable" => {
            Some(OutcomeClass::Overloaded)
        }
        // 404s that are not about the model.
        "file_expired" | "thread_not_found" | "environment_not_found" => Some(OutcomeClass::InvalidRequest),
        _ => None,
    }
}

/// What only the message tells.
fn class_of_message(error: &ApiError) -> Option<OutcomeClass> {
    let message = error.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    // Of whatever type: within a stream it has been an `api_error`.
    if says(&["content filtering policy"]) {
        return Some(OutcomeClass::ContentFiltered);
    }
    match error.kind.as_deref() {
        Some("invalid_request_error") | None => {
            let about_money = [
                "credit balance is too low",
                "specified api usage limits",
                "workspace api usage limits",
                "spend limit",
                "organization has been disabled",
            ];
            let about_length = [
                "prompt is too long",
                "exceed context limit",
                "exceeds the context window",
                "exceed the context window",
                "maximum context length",
                "input is too long",
            ];
            if says(&about_length) {
                Some(OutcomeClass::ContextTooLong)
            } else if says(&about_money) {
                Some(OutcomeClass::QuotaExhausted)
            } else {
                None
            }
        }
        Some("not_found_error") if !says(&["model"]) && says(&["file", "container"]) => {
            Some(OutcomeClass::InvalidRequest)
        }
        Some(_) => None,
    }
}

fn class_of_type(kind: &str) -> Option<OutcomeClass> {
    match kind {
        "invalid_request_error" | "request_too_large" => Some(OutcomeClass::InvalidRequest),
        "authentication_error" | "permission_error" => Some(OutcomeClass::Auth),
        "billing_error" => Some(OutcomeClass::QuotaExhausted),
        "not_found_error" => Some(OutcomeClass::ModelNotFound),
        "rate_limit_error" => Some(OutcomeClass::RateLimited),
        "overloaded_error" => Some(OutcomeClass::Overloaded),
        // The provider's own clock fired, not one of ours: `timeout` is for ours.
        "api_error" | "timeout_error" | "conflict_error" => Some(OutcomeClass::ServerError),
        _ => None,
    }
}

fn class_of_status(status: u16) -> OutcomeClass {
    match status {
        499 => OutcomeClass::ServerError,
        status => status_class(status),
    }
}
