//! What an error of Bedrock means.
//!
//! An error is named by the header `x-amzn-errortype` (or `__type` in the body) and told by `message`; within a stream the
//! name is the message's own. The name decides, but for what only the words tell: a `ValidationException` may be about
//! length, an unknown model or policy. 408 and 424 are the model's troubles behind the provider, not our clocks.

use serde::Deserialize;
use types::outcome::{Failure, OutcomeClass, Scope};

use crate::failure::{Told, failure, in_stream, status_class};
use crate::response::RawAnswer;

/// The longest plain text body that is shown as a message; longer ones are pages, not messages.
const PLAIN_BYTES_MAX: usize = 500;

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type", alias = "code")]
    kind: Option<String>,
    #[serde(rename = "originalMessage")]
    original_message: Option<String>,
}

impl Body {
    fn message(&self) -> &str {
        let told = self.message.as_deref().filter(|message| !message.trim().is_empty());
        told.or(self.original_message.as_deref()).unwrap_or_default()
    }
}

/// Classifies an answer that is an error or no answer at all.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    let body: Option<Body> = serde_json::from_slice(raw.body).ok();
    let header = raw.headers.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
    let kind = header.or(body.as_ref().and_then(|body| body.kind.as_deref())).map(bare);
    let message = body.as_ref().map_or_else(|| not_an_answer(raw.body), Body::message);
    let class = kind.and_then(|kind| class_of(kind, message));
    let told = Told {
        message,
        code: kind,
        param: None,
    };
    let found = failure(class.unwrap_or_else(|| status_class(raw.status)), raw, told);
    Failure {
        scope: scope_of(&found, kind),
        ..found
    }
}

/// Classifies an exception (or an error) of a stream.
pub(super) fn classify_exception(name: &str, payload: &[u8], error_message: &str) -> Failure {
    let body: Body = serde_json::from_slice(payload).unwrap_or_default();
    let message = match body.message() {
        "" => error_message,
        message => message,
    };
    let kind = bare(name);
    // Whatever it is called, it is the provider who ended the stream.
    let class = class_of(kind, message).unwrap_or(OutcomeClass::ServerError);
    let told = Told {
        message,
        code: Some(kind).filter(|kind| !kind.is_empty()),
        param: None,
    };
    let found = in_stream(class, told);
    Failure {
        scope: scope_of(&found, Some(kind)),
        ..found
    }
}

/// A body that came in place of a stream, when it is an error that says so.
pub(super) fn classify_stray(bytes: &[u8]) -> Option<Failure> {
    let body: Body = serde_json::from_slice(bytes).ok()?;
    let kind = body.kind.as_deref().unwrap_or_default();
    (!kind.is_empty() || !body.message().is_empty()).then(|| classify_exception(kind, bytes, ""))
}

/// A body that came in place of a stream and says nothing we know.
pub(super) fn no_stream(bytes: &[u8]) -> Failure {
    let told = Told {
        message: not_an_answer(bytes),
        ..Told::default()
    };
    in_stream(OutcomeClass::BadResponse, told)
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

/// A name without its namespace before `#` and the address behind `:`.
fn bare(kind: &str) -> &str {
    let kind = kind.rsplit_once('#').map_or(kind, |(_, name)| name);
    kind.split(':').next().unwrap_or_default().trim()
}

/// Names come in two cases: of errors (`ThrottlingException`) and of a stream's events (`throttlingException`).
fn class_of(kind: &str, message: &str) -> Option<OutcomeClass> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let kind = kind.strip_suffix("Exception").unwrap_or(kind).to_ascii_lowercase();
    Some(match kind.as_str() {
        "throttling" | "toomanyrequests" | "requestlimitexceeded" => {
            if says(&["per day", "daily"]) {
                OutcomeClass::QuotaExhausted
            } else {
                OutcomeClass::RateLimited
            }
        }
        "servicequotaexceeded" => OutcomeClass::QuotaExhausted,
        "serviceunavailable" | "modelnotready" => OutcomeClass::Overloaded,
        "internalserver"
        | "internalfailure"
        | "internalservererror"
        | "modelerror"
        | "modelstreamerror"
        | "modeltimeout" => OutcomeClass::ServerError,
        "resourcenotfound" => OutcomeClass::ModelNotFound,
        "accessdenied"
        | "unrecognizedclient"
        | "expiredtoken"
        | "invalidsignature"
        | "incompletesignature"
        | "missingauthenticationtoken"
        | "invalidclienttokenid"
        | "signaturedoesnotmatch"
        | "requestexpired"
        | "notauthorized"
        | "optinrequired" => OutcomeClass::Auth,
        "validation" | "validationerror" => {
            let about_length = [
                "input is too long",
                "prompt is too long",
                "too many input tokens",
                "too many tokens",
                "context window",
                "context length",
                "maximum number of tokens",
                "input length",
                "exceeds the maximum input",
            ];
            let about_model = [
                "model identifier is invalid",
                "on-demand throughput isn",
                "model id is invalid",
                "invalid model",
                "end of its life",
            ];
            if says(&about_length) {
                OutcomeClass::ContextTooLong
            } else if says(&about_model) {
                OutcomeClass::ModelNotFound
            } else if says(&["content filter", "blocked by"]) {
                OutcomeClass::ContentFiltered
            } else if says(&["operation not allowed"]) {
                // The account has no leave for the model.
                OutcomeClass::Auth
            } else {
                OutcomeClass::InvalidRequest
            }
        }
        "conflict" => OutcomeClass::InvalidRequest,
        _ => return None,
    })
}

/// A credential that is unknown, expired or wrongly signed is so at every model; leave is given by model, and so are quotas.
fn scope_of(found: &Failure, kind: Option<&str>) -> Scope {
    match found.class {
        OutcomeClass::QuotaExhausted => Scope::CredentialAtTarget,
        OutcomeClass::Auth => {
            let kind = kind.unwrap_or_default().to_ascii_lowercase();
            let by_model = kind.starts_with("accessdenied") || kind.starts_with("validation");
            // A bearer key that is refused is told as a denied access.
            let bad_key = found.message.to_ascii_lowercase().contains("authentication failed");
            match (by_model || kind.is_empty() && found.status == Some(403)) && !bad_key {
                true => Scope::CredentialAtTarget,
                false => Scope::Credential,
            }
        }
        OutcomeClass::Success
        | OutcomeClass::RateLimited
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => found.scope,
    }
}
