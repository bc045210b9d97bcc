//! The server's role of every dialect but chat completions, which has targets of its own: streams that pass, whole or cut, come
//! to one end; a translated stream is well-formed and says the same text.
#![no_main]

use bytes::Bytes;
use types::dialect::{DialectName, IngressDialect};
use types::event::StreamEvent;
use wire::framing::pass::Passed;
use wire::response::EncoderOptions;
use wire::server;

/// How a passing stream ended, and how many frames were malformed.
fn pass(dialect: IngressDialect, pieces: &[&[u8]]) -> (String, u32) {
    let mut scanner = server::pass(dialect, false);
    let mut end = String::new();
    for piece in pieces.iter().map(Some).chain([None]) {
        match piece {
            Some(piece) => scanner.push(Bytes::copy_from_slice(piece)),
            None => scanner.finish(),
        }
        while let Some(passed) = scanner.poll() {
            assert!(end.is_empty(), "nothing comes after the end");
            match passed {
                Passed::Preamble(_) | Passed::Content(_) => {}
                Passed::Done(_) => end = "done".to_owned(),
                Passed::Error(failure) => end = format!("{failure:?}"),
            }
        }
    }
    assert!(!end.is_empty(), "a stream has an end");
    (end, scanner.malformed())
}

/// The text of choice 0, all of it.
fn text(events: &[StreamEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        StreamEvent::Text { choice: 0, text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [choice, cut, body @ ..] = data else { return };
    let to = [IngressDialect::AnthropicMessages, IngressDialect::Gemini][usize::from(choice & 1)];
    let at = usize::from(*cut) * body.len() / 256;
    assert_eq!(pass(to, &[body]), pass(to, &[&body[..at], &body[at..]]), "cut at {at}");

    let from = [
        DialectName::OpenaiChat,
        DialectName::AnthropicMessages,
        DialectName::Gemini,
    ][usize::from(choice >> 1) % 3];
    let events = jumpseat_fuzz::events(from, body);
    let mut encoder = server::stream_encoder(to, EncoderOptions::default());
    let mut written = Vec::new();
    for event in &events {
        encoder.encode(event, &mut written);
    }
    let mut decoder = wire::dialect::stream_decoder(to.name());
    decoder.push(&written);
    decoder.finish();
    let again: Vec<StreamEvent> = std::iter::from_fn(|| decoder.poll()).collect();
    assert_eq!(decoder.malformed(), 0, "{}", String::from_utf8_lossy(&written));
    // Words of a refusal become text where there is no other place for them.
    let refused = events.iter().any(|event| matches!(event, StreamEvent::Refusal { .. }));
    if !refused && events.last() == Some(&StreamEvent::End) {
        assert_eq!(
            again.last(),
            Some(&StreamEvent::End),
            "{}",
            String::from_utf8_lossy(&written)
        );
        assert_eq!(text(&events), text(&again), "{}", String::from_utf8_lossy(&written));
    }
});
