//! Bytes of a stream as `bedrock_converse` would send them: as they are, or (no chance finds a checksum) each line framed as an
//! event of the name before its first blank.
#![no_main]

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use types::dialect::DialectName;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    if choice & 1 == 0 {
        return jumpseat_fuzz::stream(DialectName::BedrockConverse, data);
    }
    let mut stream = vec![choice];
    for line in body.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (name, payload) = line.split_at(at);
        let name = String::from_utf8_lossy(name).into_owned();
        let (kind, named) = match name.strip_prefix('!') {
            Some(name) => ("exception", (":exception-type", name.to_owned())),
            None => ("event", (":event-type", name)),
        };
        let message = Message::new(payload.to_vec())
            .add_header(Header::new(":message-type", HeaderValue::String(kind.into())))
            .add_header(Header::new(named.0, HeaderValue::String(named.1.into())));
        let whole = stream.len();
        if write_message_to(&message, &mut stream).is_err() {
            stream.truncate(whole);
        }
    }
    jumpseat_fuzz::stream(DialectName::BedrockConverse, &stream);
});
