//! A generateContent body read by head and decoder, and written for every dialect: always JSON, always readable again by its own.
#![no_main]

use bytes::Bytes;
use types::dialect::DialectName;
use wire::gemini::{decode_request, read_head};
use wire::request::UpstreamModel;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let Ok(head) = read_head(&Bytes::copy_from_slice(body), "a-model", choice & 1 == 1) else {
        return;
    };
    let Ok(request) = decode_request(body, &head) else {
        return;
    };
    for dialect in [
        DialectName::Gemini,
        DialectName::AnthropicMessages,
        DialectName::OpenaiChat,
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
        if dialect == DialectName::Gemini {
            decode_request(&encoded.body, &head).expect("our own dialect reads what we wrote");
        }
    }
});
