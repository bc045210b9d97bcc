//! Bench: prepared answers for measuring whatever stands in front of a fake. No tree is built, nothing is logged.
//!
//! One unary body of 669 bytes and one stream of 20 chunks, in each dialect as the dialect writes them. Scripted faults still work:
//! as soon as a rule is set, the ordinary way is taken.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header, request::Parts};
use serde_json::Value;

use crate::{
    answer::Answer,
    behaviour::Behaviour,
    delivery::Delivery,
    dialect::Dialect,
    event::Framing,
    prompt::{Prompt, Turn},
};

/// Size of the unary body in the OpenAI dialect, in bytes.
const UNARY_BYTES: usize = 669;
/// Words of the unary text ahead of its padding.
const WORDS: u32 = 8;
/// Chunks of the stream with text.
const CHUNKS: u32 = 20;

/// Answers by dialect.
#[derive(Debug)]
pub(crate) struct Prepared {
    unary: [Bytes; Dialect::ALL.len()],
    stream: [Arc<[Bytes]>; Dialect::ALL.len()],
}

impl Prepared {
    pub(crate) fn new() -> Self {
        Self {
            unary: Dialect::ALL.map(unary),
            stream: Dialect::ALL.map(stream),
        }
    }
}

/// The prepared answer, if the request is a plain call.
pub(crate) fn respond(prepared: &Prepared, head: &Parts, body: &Bytes) -> Option<Response<Delivery>> {
    if head.method != Method::POST {
        return None;
    }
    let path = head.uri.path();
    let (dialect, streams) = if path.ends_with("/chat/completions") {
        (Dialect::OpenaiChat, asks_for_stream(body))
    } else if path.ends_with("/responses") {
        (Dialect::OpenaiResponses, asks_for_stream(body))
    } else if path.ends_with("/v1/messages") {
        (Dialect::AnthropicMessages, asks_for_stream(body))
    } else if path.ends_with(":generateContent") {
        (Dialect::Gemini, false)
    } else if path.ends_with(":streamGenerateContent") {
        (Dialect::Gemini, true)
    } else {
        return None;
    };
    let delivery = if streams {
        Delivery::pieces(prepared.stream[dialect.index()].clone())
    } else {
        Delivery::whole(prepared.unary[dialect.index()].clone())
    };
    let mut response = Response::new(delivery);
    let content_type = if streams {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-request-id", HeaderValue::from_static("req_bench0000000000000000"));
    Some(response)
}

/// `"stream": true` anywhere in the body, with or without white space. Good enough for a bench, whose bodies are known.
fn asks_for_stream(body: &[u8]) -> bool {
    let name: &[u8] = b"\"stream\"";
    let mut rest = body;
    while let Some(at) = rest.windows(name.len()).position(|window| window == name) {
        rest = &rest[at + name.len()..];
        let value: &[u8] = rest.trim_ascii_start();
        if let Some(value) = value.strip_prefix(b":")
            && value.trim_ascii_start().starts_with(b"true")
        {
            return true;
        }
    }
    false
}

fn answer(tokens: u32, include_usage: bool) -> Answer {
    let turns = vec![Turn {
        text: "Say something about flying.".into(),
        ..Turn::default()
    }];
    let prompt = Prompt {
        turns,
        choices: 1,
        include_usage,
        ..Prompt::default()
    };
    let behaviour = Behaviour {
        tokens: Some(tokens),
        ..Behaviour::default()
    };
    Answer::compose(&prompt, &behaviour, "bench", 0, 1, 0).expect("a plain prompt is never refused")
}

fn unary(dialect: Dialect) -> Bytes {
    let mut answer = answer(WORDS, false);
    let bare = dialect.unary(&answer).to_string().len();
    // The last word is stretched until the size is right.
    if let Some(last) = answer.choices[0].text.last_mut() {
        last.push_str(&"y".repeat(UNARY_BYTES.saturating_sub(bare)));
    }
    let body: Value = dialect.unary(&answer);
    Bytes::from(body.to_string())
}

fn stream(dialect: Dialect) -> Arc<[Bytes]> {
    let events = dialect.events(&answer(CHUNKS, false));
    events
        .iter()
        .enumerate()
        .map(|(index, event)| Framing::Sse.frame(event, index == 0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prepared_bodies_have_their_size() {
        let prepared = Prepared::new();
        assert_eq!(prepared.unary[Dialect::OpenaiChat.index()].len(), UNARY_BYTES);
        // Role, 20 chunks of text, finish, [DONE].
        assert_eq!(prepared.stream[Dialect::OpenaiChat.index()].len(), 23);
        for (body, wanted) in [
            (r#"{"stream":true}"#, true),
            (r#"{"stream" : true}"#, true),
            (r#"{"stream":false}"#, false),
            (r#"{"stream_options":{},"a":"stream","stream":true}"#, true),
            ("{}", false),
        ] {
            assert_eq!(asks_for_stream(body.as_bytes()), wanted, "{body}");
        }
    }
}
