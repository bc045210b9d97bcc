//! A client's body: what routing reads of it, and the splice that fits it to another target.
#![no_main]

use bytes::Bytes;
use serde_json::Value;
use wire::openai_chat::head::read_head;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    let Ok(head) = read_head(&body) else { return };
    // What serde_json cannot read for its depth, its numbers or its surrogates is none of this target's business.
    let Ok(before) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    assert_eq!(
        before["model"].as_str(),
        Some(head.model.as_str()),
        "the model that routing reads is the one in the body"
    );
    assert_eq!(head.splice(&body, &head.model, false), body, "nothing to change");
    let spliced = head.splice(&body, "provider's \"model\"", true);
    let mut after: Value = serde_json::from_slice(&spliced).expect("a splice is JSON");
    assert_eq!(after["model"], "provider's \"model\"");
    if head.stream {
        assert_eq!(after["stream_options"]["include_usage"], true);
    }
    after["model"] = before["model"].clone();
    for key in before
        .as_object()
        .expect("a head is of an object")
        .keys()
        .filter(|it| *it != "stream_options")
    {
        assert_eq!(before[key], after[key], "`{key}` changed");
    }
});
