//! What the fuzz targets share: how a decoder is driven, and what must hold whatever the bytes are.
//!
//! The first byte of an input chooses how it is fed; the rest is what the decoder sees. No input panics, none hangs,
//! and where the bytes are cut makes no difference.

use http::{HeaderMap, HeaderValue, header};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::time::UnixMillis;
use wire::response::RawAnswer;

/// More events than bytes cannot be: a decoder that gives so many runs for ever.
fn drain(decoder: &mut dyn wire::response::Decode, events: &mut Vec<StreamEvent>, limit: usize) {
    while let Some(event) = decoder.poll() {
        events.push(event);
        assert!(events.len() <= limit, "a decoder without end");
    }
}

fn decode(dialect: DialectName, pieces: &[&[u8]]) -> (Vec<StreamEvent>, u32) {
    let mut decoder = wire::dialect::stream_decoder(dialect);
    let mut events = Vec::new();
    let limit = 64 + 16 * pieces.iter().map(|it| it.len()).sum::<usize>();
    for piece in pieces {
        decoder.push(piece);
        drain(decoder.as_mut(), &mut events, limit);
    }
    decoder.finish();
    drain(decoder.as_mut(), &mut events, limit);
    (events, decoder.malformed())
}

/// A stream of a dialect: the same events whole, in two pieces, and byte by byte; it ends, once, and nothing follows.
pub fn stream(dialect: DialectName, data: &[u8]) {
    let Some((&cut, body)) = data.split_first() else {
        return;
    };
    let whole = decode(dialect, &[body]);
    let at = (usize::from(cut) * body.len()) / 256;
    assert_eq!(whole, decode(dialect, &[&body[..at], &body[at..]]), "cut at {at}");
    if body.len() < 512 {
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(whole, decode(dialect, &bytes), "byte by byte");
    }
    let last = whole
        .0
        .iter()
        .position(|it| matches!(it, StreamEvent::End | StreamEvent::Error(_)));
    assert_eq!(
        last,
        whole.0.len().checked_sub(1),
        "a stream ends with its end: {:?}",
        whole.0
    );
}

/// A whole answer of a dialect under a status that the first byte chooses; read as an answer and as a failure.
pub fn answer(dialect: DialectName, data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let statuses = [
        200, 400, 401, 402, 403, 404, 408, 413, 422, 424, 429, 498, 500, 502, 503, 504, 529, 302,
    ];
    let mut headers = HeaderMap::new();
    let kind = if choice & 0x80 == 0 {
        "application/json"
    } else {
        "text/html"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_bytes(&body[..body.len().min(16)]) {
        headers.insert(header::RETRY_AFTER, value);
    }
    let status = statuses[usize::from(choice & 0x7f) % statuses.len()];
    let raw = RawAnswer {
        status,
        headers: &headers,
        body,
        received: UnixMillis(1_763_000_000_000),
    };
    // What it says is not checked here, only that it says something.
    let _ = wire::dialect::decode_answer(dialect, raw);
    let _ = wire::dialect::classify(dialect, raw);
}

/// The events of a whole stream.
pub fn events(dialect: DialectName, body: &[u8]) -> Vec<StreamEvent> {
    decode(dialect, &[body]).0
}
