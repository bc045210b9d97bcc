//! How a call that failed is told to a client of this dialect: status, body and in-stream event.
//!
//! The shape is OpenAI's, so that the official SDKs raise the class they would raise for the provider itself; `attempts`
//! is ours and SDKs ignore it. Statuses follow the table of docs/reliability.md.

use serde::Serialize;
use types::outcome::{OutcomeClass, TimeoutKind};

use crate::request::BadRequest;

/// Why a call failed, as far as its client may know.
#[derive(Debug, Clone, Copy)]
pub struct CallError<'a> {
    /// The class of what ended it.
    pub class: OutcomeClass,
    /// Which clock, when the class is `timeout`.
    pub timeout: Option<TimeoutKind>,
    /// The last provider's status, when one came.
    pub provider_status: Option<u16>,
    /// What to say. For `auth` it is replaced: the client's key is fine and ours is none of its business.
    pub message: &'a str,
    /// The provider's code. Only told for a request that is the client's own fault.
    pub code: Option<&'a str>,
    /// The parameter to blame.
    pub param: Option<&'a str>,
    /// What was tried, in order.
    pub attempts: &'a [AttemptSummary],
    /// The client named the target itself (no route chose it).
    pub named_target: bool,
}

/// One attempt as the client is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptSummary {
    /// `provider/model`.
    pub target: String,
    /// How it ended.
    pub outcome: OutcomeClass,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// The HTTP status for a call that failed.
pub fn status(error: &CallError<'_>) -> u16 {
    match error.class {
        OutcomeClass::RateLimited | OutcomeClass::QuotaExhausted => 429,
        OutcomeClass::Overloaded | OutcomeClass::ServerError | OutcomeClass::Network => 503,
        OutcomeClass::Timeout => 504,
        OutcomeClass::ModelNotFound if error.named_target => 404,
        OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken => 502,
        OutcomeClass::ContextTooLong | OutcomeClass::ContentFiltered | OutcomeClass::Unsupported => 400,
        OutcomeClass::InvalidRequest => match error.provider_status {
            // These would make an SDK blame the client's key or try again.
            Some(401 | 403 | 407 | 408 | 409 | 429) => 400,
            Some(status @ 400..=499) => status,
            Some(_) | None => 400,
        },
        // Nobody reads it: the client left.
        OutcomeClass::Cancelled => 499,
        OutcomeClass::Success => 500,
    }
}

/// The JSON body for a call that failed.
pub fn body(error: &CallError<'_>) -> Vec<u8> {
    let (kind, code) = words(error);
    write(&ErrorJson {
        message: message(error),
        r#type: kind,
        param: error.param,
        code: Some(code),
        attempts: Some(error.attempts),
    })
}

/// The same as an event in a running stream: a whole frame. Nothing may follow it.
pub fn event(error: &CallError<'_>) -> Vec<u8> {
    let mut frame = b"data: ".to_vec();
    frame.extend(body(error));
    frame.extend_from_slice(b"\n\n");
    frame
}

/// The JSON body for a request that was refused before any attempt. Its status is 400.
pub fn bad_request(bad: &BadRequest) -> Vec<u8> {
    refusal("invalid_request_error", bad.code, &bad.message, bad.param.as_deref())
}

/// The JSON body for any other refusal of the gateway's own (an unknown key, a full queue): `kind` is OpenAI's `type`.
pub fn refusal(kind: &str, code: Option<&str>, message: &str, param: Option<&str>) -> Vec<u8> {
    write(&ErrorJson {
        message,
        r#type: kind,
        param,
        code,
        attempts: None,
    })
}

fn message<'a>(error: &CallError<'a>) -> &'a str {
    match error.class {
        OutcomeClass::Auth => "the provider refused the gateway's credential",
        _ => error.message,
    }
}

/// `type` and `code`.
fn words<'a>(error: &CallError<'a>) -> (&'static str, &'a str) {
    match error.class {
        OutcomeClass::RateLimited => ("rate_limit_error", "rate_limit_exceeded"),
        OutcomeClass::QuotaExhausted => ("insufficient_quota", "insufficient_quota"),
        OutcomeClass::Overloaded => ("service_unavailable_error", "server_is_overloaded"),
        OutcomeClass::ServerError => ("server_error", "server_error"),
        OutcomeClass::Network => ("server_error", "upstream_unreachable"),
        OutcomeClass::Timeout => ("server_error", timeout_word(error.timeout)),
        OutcomeClass::Auth => ("server_error", "upstream_auth"),
        OutcomeClass::ModelNotFound if error.named_target => ("invalid_request_error", "model_not_found"),
        OutcomeClass::ModelNotFound => ("server_error", "model_not_found"),
        OutcomeClass::BadResponse => ("server_error", "bad_response"),
        OutcomeClass::MalformedOutput => ("server_error", "malformed_output"),
        OutcomeClass::StreamBroken => ("server_error", "stream_broken"),
        OutcomeClass::ContextTooLong => ("invalid_request_error", "context_length_exceeded"),
        OutcomeClass::ContentFiltered => ("invalid_request_error", "content_filter"),
        OutcomeClass::Unsupported => ("invalid_request_error", "unsupported_parameter"),
        OutcomeClass::InvalidRequest => ("invalid_request_error", error.code.unwrap_or("invalid_request")),
        OutcomeClass::Cancelled => ("server_error", "cancelled"),
        OutcomeClass::Success => ("server_error", "internal_error"),
    }
}

fn timeout_word(kind: Option<TimeoutKind>) -> &'static str {
    match kind {
        Some(TimeoutKind::Connect) => "connect_timeout",
        Some(TimeoutKind::FirstToken) => "first_token_timeout",
        Some(TimeoutKind::Idle) => "idle_timeout",
        Some(TimeoutKind::Total) => "total_timeout",
        Some(TimeoutKind::Deadline) => "deadline_exceeded",
        None => "timeout",
    }
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<&'a [AttemptSummary]>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a ErrorJson<'a>,
}

fn write(error: &ErrorJson<'_>) -> Vec<u8> {
    serde_json::to_vec(&Envelope { error }).expect("strings and numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use crate::openai_chat::classify::classify_frame;

    use super::*;

    fn error(class: OutcomeClass) -> CallError<'static> {
        CallError {
            class,
            timeout: None,
            provider_status: None,
            message: "why",
            code: None,
            param: None,
            attempts: &[],
            named_target: false,
        }
    }

    #[test]
    fn every_class_has_the_status_of_the_table() {
        use OutcomeClass::*;
        let rows = [
            (RateLimited, 429),
            (QuotaExhausted, 429),
            (Overloaded, 503),
            (ServerError, 503),
            (Network, 503),
            (Timeout, 504),
            (Auth, 502),
            (ModelNotFound, 502),
            (BadResponse, 502),
            (MalformedOutput, 502),
            (StreamBroken, 502),
            (ContextTooLong, 400),
            (ContentFiltered, 400),
            (InvalidRequest, 400),
            (Unsupported, 400),
            (Cancelled, 499),
        ];
        for (class, wanted) in rows {
            assert_eq!(status(&error(class)), wanted, "{class:?}");
            let named = CallError {
                named_target: true,
                provider_status: Some(401),
                ..error(class)
            };
            assert_ne!(status(&named), 401, "the client's key is fine");
            assert_eq!(status(&named), if class == ModelNotFound { 404 } else { wanted });
        }
        for own in [413, 422] {
            assert_eq!(
                status(&CallError {
                    provider_status: Some(own),
                    ..error(InvalidRequest)
                }),
                own
            );
        }
    }

    #[test]
    fn a_body_has_the_shape_sdks_read_and_says_what_was_tried() {
        let attempts = [AttemptSummary {
            target: "a/b".into(),
            outcome: OutcomeClass::Timeout,
            latency_ms: 12,
        }];
        let failed = CallError {
            attempts: &attempts,
            timeout: Some(TimeoutKind::FirstToken),
            ..error(OutcomeClass::Timeout)
        };
        assert_eq!(
            String::from_utf8(event(&failed)).unwrap(),
            "data: {\"error\":{\"message\":\"why\",\"type\":\"server_error\",\"param\":null,\"code\":\"first_token_timeout\",\
             \"attempts\":[{\"target\":\"a/b\",\"outcome\":\"timeout\",\"latency_ms\":12}]}}\n\n"
        );
        let auth = CallError {
            message: "your key sk-… is bad",
            ..error(OutcomeClass::Auth)
        };
        assert!(!String::from_utf8(body(&auth)).unwrap().contains("sk-"));
        let bad = BadRequest::param("messages[0].role", "`messages[0].role` is required");
        assert_eq!(
            String::from_utf8(bad_request(&bad)).unwrap(),
            r#"{"error":{"message":"`messages[0].role` is required","type":"invalid_request_error","param":"messages[0].role","code":null}}"#
        );
    }

    #[test]
    fn a_gateway_behind_a_gateway_reads_the_class_it_was_told() {
        use OutcomeClass::*;
        for class in [
            RateLimited,
            QuotaExhausted,
            Overloaded,
            ServerError,
            ContextTooLong,
            ContentFiltered,
            InvalidRequest,
            ModelNotFound,
        ] {
            let text = String::from_utf8(body(&CallError {
                named_target: true,
                ..error(class)
            }))
            .unwrap();
            assert_eq!(classify_frame(&text).class, class);
        }
    }
}
