//! How a call that failed is told to a client of this dialect: status, body and in-stream event.
//!
//! The shape is OpenAI's, so that the official SDKs raise the class they would raise for the provider itself; `attempts`
//! is ours and SDKs ignore it. Statuses follow the table of docs/reliability.md.

use serde::Serialize;
use types::outcome::OutcomeClass;

use crate::call_error::{AttemptSummary, CallError};
use crate::request::BadRequest;

/// The JSON body for a call that failed.
pub fn body(error: &CallError<'_>) -> Vec<u8> {
    write(&ErrorJson {
        message: error.told(),
        r#type: kind(error),
        param: error.param,
        code: Some(error.code()),
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

/// The JSON body for a refusal before any attempt.
pub fn refusal(status: u16, bad: &BadRequest) -> Vec<u8> {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        503 => "service_unavailable_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    write(&ErrorJson {
        message: &bad.message,
        r#type: kind,
        param: bad.param.as_deref(),
        code: bad.code,
        attempts: None,
    })
}

/// OpenAI's `type`.
fn kind(error: &CallError<'_>) -> &'static str {
    match error.class {
        OutcomeClass::RateLimited => "rate_limit_error",
        OutcomeClass::QuotaExhausted => "insufficient_quota",
        OutcomeClass::Overloaded => "service_unavailable_error",
        OutcomeClass::ModelNotFound if error.named_target => "invalid_request_error",
        OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::Unsupported
        | OutcomeClass::InvalidRequest => "invalid_request_error",
        OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::Cancelled
        | OutcomeClass::Success => "server_error",
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
    use types::outcome::TimeoutKind;

    use crate::openai_chat::classify::classify_frame;

    use super::*;

    fn error(class: OutcomeClass) -> CallError<'static> {
        CallError {
            id: "call_1",
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
            assert_eq!(error(class).status(), wanted, "{class:?}");
            let named = CallError {
                named_target: true,
                provider_status: Some(401),
                ..error(class)
            };
            assert_ne!(named.status(), 401, "the client's key is fine");
            assert_eq!(named.status(), if class == ModelNotFound { 404 } else { wanted });
        }
        for own in [413, 422] {
            assert_eq!(
                CallError {
                    provider_status: Some(own),
                    ..error(InvalidRequest)
                }
                .status(),
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
            String::from_utf8(refusal(400, &bad)).unwrap(),
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
