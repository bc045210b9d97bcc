//! How a call that failed is told inside a running stream. Before a stream it is told as chat completions tell it
//! ([`openai_chat::errors`]).
//!
//! Two frames, because their readers differ. OpenAI's SDKs raise only when an event holds an `error` that is not null; an
//! `error` event of the documented flat shape, or a `response.failed`, they hand on like any other and the call looks like a
//! success. So the first frame is the flat event with the error object inside it, which every SDK raises and stops at.
//! Agents that read the stream themselves (Codex) skip `error` and look for `response.failed`, from whose code they know whether to
//! try again: that is the second frame.

use serde::Serialize;
use serde_json::{Value, json};

use crate::call_error::CallError;
use crate::openai_chat;

/// Higher than any number before it, as numbers must rise; where the stream stood is not known here.
const SEQUENCE_LAST: u32 = i32::MAX as u32;

/// The last frames of a call that failed. Nothing may follow.
pub fn error_event(error: &CallError<'_>) -> Vec<u8> {
    let body: Value = serde_json::from_slice(&openai_chat::errors::body(error)).expect("our own JSON");
    let raised = json!({
        "type": "error",
        "sequence_number": SEQUENCE_LAST - 1,
        "code": error.code(),
        "message": error.told(),
        "param": error.param,
        "error": body["error"],
    });
    let id = error.id;
    let failed = json!({
        "type": "response.failed",
        "sequence_number": SEQUENCE_LAST,
        "response": {
            "id": format!("resp_{id}"),
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": {"code": error.code(), "message": error.told()},
            "incomplete_details": null,
            "model": "",
            "output": [],
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "tools": [],
            "usage": null,
            "metadata": {},
        },
    });
    let mut out = Vec::new();
    frame(&mut out, "error", &raised);
    frame(&mut out, "response.failed", &failed);
    out
}

/// Appends one event.
pub(super) fn frame<T: Serialize>(out: &mut Vec<u8>, kind: &str, data: &T) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    serde_json::to_writer(&mut *out, data).expect("writing JSON to memory cannot fail");
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::outcome::OutcomeClass;

    use super::*;
    use crate::framing::pass::{Pass, PassScanner, Passed};
    use crate::openai_responses::PassJudge;

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
            ModelNotFound,
        ] {
            let error = CallError {
                id: "call_1",
                class,
                timeout: None,
                provider_status: None,
                message: "why",
                code: None,
                param: None,
                attempts: &[],
                named_target: true,
            };
            let mut scanner = PassScanner::new(PassJudge::new());
            scanner.push(Bytes::from(error_event(&error)));
            let Some(Passed::Error(failure)) = scanner.poll() else {
                panic!("an error")
            };
            assert_eq!((failure.class, failure.message.as_str()), (class, "why"));
        }
    }
}
