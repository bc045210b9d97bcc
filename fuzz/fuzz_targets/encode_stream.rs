//! Any dialect's stream translated for the client: what is written is well-formed and says the same text.
#![no_main]

use types::dialect::DialectName;
use types::event::StreamEvent;
use wire::openai_chat::StreamEncoder;
use wire::response::{Encode, EncoderOptions};

/// The text of choice 0, all of it.
fn text(events: &[StreamEvent]) -> String {
    let mut all = String::new();
    for event in events {
        if let StreamEvent::Text { choice: 0, text, .. } = event {
            all.push_str(text);
        }
    }
    all
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let dialects = [
        DialectName::OpenaiChat,
        DialectName::AnthropicMessages,
        DialectName::Gemini,
    ];
    let events = jumpseat_fuzz::events(dialects[usize::from(choice) % 3], body);
    let options = EncoderOptions {
        id: "chatcmpl-1".into(),
        model: "a-model".into(),
        created: 1_763_000_000,
        include_usage: choice & 0x80 != 0,
        ..EncoderOptions::default()
    };
    let mut encoder = StreamEncoder::new(options);
    let mut written = Vec::new();
    for event in &events {
        encoder.encode(event, &mut written);
    }
    let mut decoder = wire::dialect::stream_decoder(DialectName::OpenaiChat);
    decoder.push(&written);
    decoder.finish();
    let again: Vec<StreamEvent> = std::iter::from_fn(|| decoder.poll()).collect();
    assert_eq!(decoder.malformed(), 0, "{}", String::from_utf8_lossy(&written));
    assert_eq!(text(&events), text(&again), "{}", String::from_utf8_lossy(&written));
});
