//! Classifies Gemini's errors: `{"error": {code, message, status, details}}`, alone or as the one element of an array, with a
//! status of 4xx or 5xx, in a 200, or inside a stream.
//!
//! Gemini sends no `retry-after`; the wait is in `google.rpc.RetryInfo`. What a 400 or a 429 means is told by `details`,
//! where they are missing by the message.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use types::outcome::{Failure, OutcomeClass, Scope};

use crate::failure::{self, Told};
use crate::limits;
use crate::response::RawAnswer;

/// Classifies an answer whose status is not 2xx, or whose body is no answer.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    if let Some(error) = error_of(raw.body) {
        let error = ErrorBody::read(error);
        // A body's own code speaks only where the status claims success.
        let status = if (200..300).contains(&raw.status) {
            error.status_code().unwrap_or(raw.status)
        } else {
            raw.status
        };
        let verdict = error.verdict(status);
        return Failure {
            status: Some(raw.status),
            retry_after: verdict
                .retry_after
                .or_else(|| limits::retry_after(raw.headers, raw.received))
                .filter(|_| verdict.class != OutcomeClass::QuotaExhausted),
            scope: verdict.scope,
            ..failure::in_stream(verdict.class, error.told())
        };
    }
    let text = String::from_utf8_lossy(raw.body);
    let message = match text.trim_start() {
        "" => "",
        html if html.starts_with('<') => "the provider answered with HTML",
        json if json.starts_with(['{', '[']) => "the provider's answer is neither an answer nor an error",
        text => text,
    };
    let told = Told {
        message,
        ..Told::default()
    };
    failure::failure(failure::status_class(raw.status), raw, told)
}

/// Classifies an error that came inside a stream; its status is the one it tells itself.
pub(super) fn in_stream(error: &RawValue) -> Failure {
    let error = ErrorBody::read(error);
    let status = error.status_code();
    let verdict = error.verdict(status.unwrap_or(500));
    Failure {
        status,
        scope: verdict.scope,
        retry_after: verdict
            .retry_after
            .filter(|_| verdict.class != OutcomeClass::QuotaExhausted),
        ..failure::in_stream(verdict.class, error.told())
    }
}

/// The `error` of a body, also when the body is an array of one.
fn error_of(body: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    if body.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice::<Envelope<'_>>(body).ok()?.error;
    }
    // One by one: read as a struct, an array would be taken for the struct's fields in order.
    let array: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    array.into_iter().find_map(|raw| error_of(raw.get().as_bytes()))
}

/// What an error says, read as leniently as it goes: each field on its own.
#[derive(Debug, Default)]
struct ErrorBody {
    code: Option<u16>,
    message: String,
    /// The canonical code's name (`RESOURCE_EXHAUSTED`).
    status: String,
    details: Vec<Detail>,
}

/// One of `details`, whatever its `@type`: the fields of ErrorInfo, RetryInfo, QuotaFailure and BadRequest.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
    violations: Vec<Violation>,
    field_violations: Vec<FieldViolation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Violation {
    quota_id: String,
    quota_metric: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldViolation {
    field: String,
}

/// What an error means.
struct Verdict {
    class: OutcomeClass,
    scope: Scope,
    retry_after: Option<Duration>,
}

impl ErrorBody {
    fn read(error: &RawValue) -> ErrorBody {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            #[serde(borrow)]
            code: Option<&'a RawValue>,
            #[serde(borrow)]
            message: Option<&'a RawValue>,
            #[serde(borrow)]
            status: Option<&'a RawValue>,
            #[serde(borrow)]
            details: Option<&'a RawValue>,
        }
        let text = |raw: Option<&RawValue>| -> String {
            raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
                .unwrap_or_default()
        };
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(error.get()) else {
            // `{"error": "text"}`.
            return ErrorBody {
                message: text(Some(error)),
                ..ErrorBody::default()
            };
        };
        let details: Vec<&RawValue> = fields
            .details
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        ErrorBody {
            code: fields.code.and_then(|raw| raw.get().trim_matches('"').parse().ok()),
            message: text(fields.message),
            status: text(fields.status),
            details: details
                .into_iter()
                .filter_map(|raw| serde_json::from_str(raw.get()).ok())
                .collect(),
        }
    }

    /// The HTTP status it tells: its `code`, or the one its canonical name stands for.
    fn status_code(&self) -> Option<u16> {
        self.code.filter(|code| *code >= 400).or(match &*self.status {
            "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => Some(400),
            "UNAUTHENTICATED" => Some(401),
            "PERMISSION_DENIED" => Some(403),
            "NOT_FOUND" => Some(404),
            "ABORTED" | "ALREADY_EXISTS" => Some(409),
            "RESOURCE_EXHAUSTED" => Some(429),
            "CANCELLED" => Some(499),
            "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => Some(500),
            "UNIMPLEMENTED" => Some(501),
            "UNAVAILABLE" => Some(503),
            "DEADLINE_EXCEEDED" => Some(504),
            _ => None,
        })
    }

    fn told(&self) -> Told<'_> {
        let status = Some(self.status.as_str()).filter(|status| !status.is_empty());
        Told {
            message: &self.message,
            code: self.reasons().next().or(status),
            param: self
                .details
                .iter()
                .flat_map(|detail| &detail.field_violations)
                .map(|violation| violation.field.as_str())
                .find(|field| !field.is_empty()),
        }
    }

    fn reasons(&self) -> impl Iterator<Item = &str> {
        self.details.iter().filter_map(|d| d.reason.as_deref())
    }

    fn verdict(&self, status: u16) -> Verdict {
        let message = self.message.to_ascii_lowercase();
        let class = self.class(status, &message);
        Verdict {
            class,
            scope: match class {
                // A day's quota is often a model's own: the credential still serves the others.
                OutcomeClass::QuotaExhausted if self.is_of_one_model() => Scope::CredentialAtTarget,
                // "Your API key was reported as leaked" is a 403, yet no model takes that key any more.
                OutcomeClass::Auth if message.contains("api key was reported") => Scope::Credential,
                class => failure::scope_of(class, status),
            },
            retry_after: self.retry_after(),
        }
    }

    fn class(&self, status: u16, message: &str) -> OutcomeClass {
        let says = |words: &str| message.contains(words);
        let has = |reason: &str| self.reasons().any(|r| r == reason);
        if has("API_KEY_INVALID") || says("api key not valid") || says("api key not found") || says("api key expired") {
            return OutcomeClass::Auth;
        }
        if has("BILLING_DISABLED") {
            return OutcomeClass::QuotaExhausted;
        }
        match (status, &*self.status) {
            // An upload that is still being processed, or another account's: the request's fault.
            (400, _) if says("not in an active state") => OutcomeClass::InvalidRequest,
            (403, _) if says("access the file") => OutcomeClass::InvalidRequest,
            // The free tier is not served there, or billing is off.
            (400, "FAILED_PRECONDITION") => OutcomeClass::QuotaExhausted,
            (400, _) if says("exceeds the maximum") && is_about_input(message) => OutcomeClass::ContextTooLong,
            (400, _) if says("responsible ai practices") => OutcomeClass::ContentFiltered,
            (429, _) => self.class_of_429(message),
            (499, _) => OutcomeClass::ServerError,
            // None of our clocks: the provider's own deadline, which the same prompt would meet again.
            (504, _) => OutcomeClass::Timeout,
            (status, _) => failure::status_class(status),
        }
    }

    fn class_of_429(&self, message: &str) -> OutcomeClass {
        let waits = self.details.iter().any(|d| d.retry_delay.is_some());
        let spent = self.daily_violations().next().is_some()
            // A quota of nothing: the tier does not include the model, whatever RetryInfo says.
            || message.contains("limit: 0")
            || message.contains("spending cap")
            || (message.contains("check your plan and billing details") && !waits);
        if spent {
            OutcomeClass::QuotaExhausted
        } else {
            OutcomeClass::RateLimited
        }
    }

    /// Violations of quotas that a day must pass for.
    fn daily_violations(&self) -> impl Iterator<Item = &Violation> {
        self.details
            .iter()
            .flat_map(|detail| &detail.violations)
            .filter(|v| v.quota_id.contains("PerDay") || v.quota_metric.contains("per_day"))
    }

    fn is_of_one_model(&self) -> bool {
        let mut daily = self.daily_violations().peekable();
        daily.peek().is_some() && daily.all(|v| v.quota_id.contains("PerModel"))
    }

    fn retry_after(&self) -> Option<Duration> {
        self.details
            .iter()
            .find_map(|detail| limits::google_duration(detail.retry_delay.as_deref()?))
            .or_else(|| limits::hint_in_message(&self.message))
    }
}

/// "The input token count (…) exceeds the maximum number of tokens allowed (…)", not an output limit or a count of parts.
fn is_about_input(message: &str) -> bool {
    (message.contains("token count") || message.contains("number of tokens")) && !message.contains("output")
}
