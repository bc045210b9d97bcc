//! Embeddings: a client's body, read as a head and whole and written for every dialect; a provider's answer in every dialect.
#![no_main]

use bytes::Bytes;
use http::HeaderMap;
use types::dialect::DialectName;
use types::time::UnixMillis;
use wire::embeddings;
use wire::request::UpstreamModel;
use wire::response::RawAnswer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let headers = HeaderMap::new();
    let raw = RawAnswer {
        status: 200,
        headers: &headers,
        body: data,
        received: UnixMillis(0),
    };
    let _ = embeddings::inspect_answer(raw);
    let body = Bytes::copy_from_slice(data);
    let head = embeddings::read_head(&body);
    let request = embeddings::decode_request(data);
    if let (Ok(head), Ok(request)) = (&head, &request) {
        assert_eq!(
            (&head.model, head.messages as usize),
            (&request.model, request.inputs.len())
        );
    }
    for dialect in DialectName::ALL {
        let _ = embeddings::decode_answer(dialect, raw);
        let upstream = UpstreamModel {
            model: "a-model",
            max_output_default: 1,
            reasoning: false,
        };
        if let Ok(request) = &request
            && let Ok(encoded) = embeddings::encode_request(dialect, request, upstream)
        {
            let written: serde_json::Value = serde_json::from_slice(&encoded.body).expect("what is sent is JSON");
            assert!(written.is_object());
        }
    }
});
