//! A Messages body read by head and decoder, and written for every dialect: always JSON, always readable again by its own.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use types::dialect::{DialectName, Operation};
use wire::anthropic_messages::{decode_request, read_head};
use wire::request::UpstreamModel;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let mut headers = HeaderMap::new();
    let version = ["2023-06-01", "2026-10-21"][usize::from(choice & 1)];
    headers.insert("anthropic-version", HeaderValue::from_static(version));
    let head = read_head(&Bytes::copy_from_slice(body), &headers, Operation::Generate);
    let Ok(request) = decode_request(body) else { return };
    if let Ok(head) = head {
        assert_eq!(
            head.model, request.model,
            "the model that routing reads is the one that is asked"
        );
    }
    for dialect in [
        DialectName::AnthropicMessages,
        DialectName::OpenaiChat,
        DialectName::Gemini,
    ] {
        let upstream = UpstreamModel {
            model: "a-model",
            max_output_default: 4096,
            reasoning: choice & 2 == 2,
        };
        let Ok(encoded) = wire::dialect::encode_request(dialect, &request, upstream) else {
            continue;
        };
        let written: serde_json::Value = serde_json::from_slice(&encoded.body).expect("what is sent is JSON");
        assert!(written.is_object());
        if dialect == DialectName::AnthropicMessages {
            decode_request(&encoded.body).expect("our own dialect reads what we wrote");
        }
    }
});
