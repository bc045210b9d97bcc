//! Frames of server-sent events and bare JSON objects: where the bytes are cut makes no difference.
#![no_main]

use wire::framing::json_stream::JsonStream;
use wire::framing::sse;

fn frames(pieces: &[&[u8]]) -> Vec<String> {
    let mut reader = sse::Reader::new();
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(frame) = reader.poll() {
            found.push(format!("{frame:?}"));
        }
    }
    reader.finish();
    while let Some(frame) = reader.poll() {
        found.push(format!("{frame:?}"));
    }
    found
}

fn objects(pieces: &[&[u8]]) -> (Vec<String>, u32) {
    let mut reader = JsonStream::new();
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(object) = reader.poll() {
            found.push(format!("{object:?}"));
        }
    }
    reader.finish();
    while let Some(object) = reader.poll() {
        found.push(format!("{object:?}"));
    }
    (found, reader.garbage())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let at = usize::from(cut) * bytes.len() / 256;
    let (left, right) = bytes.split_at(at);
    assert_eq!(frames(&[bytes]), frames(&[left, right]));
    assert_eq!(objects(&[bytes]), objects(&[left, right]));
    for field in sse::fields(bytes) {
        let _ = field;
    }
});
