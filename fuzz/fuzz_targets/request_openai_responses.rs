//! A client's body: what routing reads of it, the neutral model, what its own dialect writes of that, and the memory of a
//! conversation.
#![no_main]

use bytes::Bytes;
use types::dialect::DialectName;
use wire::openai_responses::{carry, conversation, decode_request, encode_request, read_head};
use wire::request::UpstreamModel;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    if let (Ok(mut wishes), Ok(expanded)) = (conversation::read_wishes(&body), conversation::expand(&body, data)) {
        wishes.previous_response_id = None;
        assert_eq!(conversation::read_wishes(&expanded), Ok(wishes), "it stands for itself, and wishes the same");
    }
    if let Some(kept) = conversation::remember(&Bytes::from_static(br#"{"input":"x"}"#), data) {
        let _ = conversation::input_items(&kept);
    }
    let _ = carry::without_carried(&body);
    let head = read_head(&body);
    if let Ok(head) = &head {
        assert_eq!(head.splice(&body, &head.model, true), body, "nothing to change");
    }
    let Ok(request) = decode_request(data) else { return };
    let upstream = UpstreamModel {
        model: "a-model",
        max_output_default: 4096,
        reasoning: data.len() & 1 == 1,
    };
    assert_eq!(request.dialect, Some(DialectName::OpenaiResponses));
    let Ok(encoded) = encode_request(&request, upstream) else { return };
    let again = decode_request(&encoded.body);
    // Messages that held nothing but what was dropped are gone.
    if let Err(bad) = again {
        assert_eq!(bad.param.as_deref(), Some("input"), "our own dialect reads what we wrote: {bad}");
    }
});
