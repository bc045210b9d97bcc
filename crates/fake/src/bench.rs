//! Bench: prepared answers for measuring whatever stands in front of a fake. No tree is built, nothing is logged.
//!
//! One unary body of 669 bytes and one stream of 20 chunks, in each dialect as the dialect writes them. Scripted faults still work:
//! as soon as a rule is set, the ordinary way is taken.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header, request::Parts};
use memchr::memmem;
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
    let (dialect, streams) = asked(head.uri.path(), body)?;
    let delivery = if streams {
        Delivery::pieces(prepared.stream[dialect.index()].clone())
    } else {
        Delivery::whole(prepared.unary[dialect.index()].clone())
    };
    let mut response = Response::new(delivery);
    let content_type = if streams {
        framing(dialect).content_type()
    } else {
        "application/json"
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-request-id", HeaderValue::from_static("req_bench0000000000000000"));
    Some(response)
}

/// Which dialect a call is in, and whether its answer is to be a stream.
fn asked(path: &str, body: &[u8]) -> Option<(Dialect, bool)> {
    if path.ends_with("/chat/completions") {
        Some((Dialect::OpenaiChat, asks_for_stream(body)))
    } else if path.ends_with("/responses") {
        Some((Dialect::OpenaiResponses, asks_for_stream(body)))
    } else if path.ends_with("/v1/messages") {
        Some((Dialect::AnthropicMessages, asks_for_stream(body)))
    } else if path.ends_with(":generateContent") {
        Some((Dialect::Gemini, false))
    } else if path.ends_with(":streamGenerateContent") {
        Some((Dialect::Gemini, true))
    } else if path.ends_with("/converse") {
        Some((Dialect::BedrockConverse, false))
    } else if path.ends_with("/converse-stream") {
        Some((Dialect::BedrockConverse, true))
    } else {
        None
    }
}

/// How each dialect frames its stream.
fn framing(dialect: Dialect) -> Framing {
    match dialect {
        Dialect::OpenaiChat
        | Dialect::AnthropicMessages
        | Dialect::Gemini
        | Dialect::OpenaiResponses
        | Dialect::CohereChat => Framing::Sse,
        Dialect::BedrockConverse => Framing::EventStream,
        Dialect::OllamaChat => Framing::Ndjson,
    }
}

/// `"stream": true` anywhere in the body, with or without white space. Good enough for a bench, whose bodies are known.
fn asks_for_stream(body: &[u8]) -> bool {
    let name: &[u8] = b"\"stream\"";
    memmem::find_iter(body, name).any(|at| {
        let rest = body[at + name.len()..].trim_ascii_start();
        rest.strip_prefix(b":")
            .is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
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
        .map(|(index, event)| framing(dialect).frame(event, index == 0))
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
        // Frames of their own: a start, text, a stop of the block, the end and the usage.
        assert!(prepared.stream[Dialect::BedrockConverse.index()].len() >= 24);
        for (body, wanted) in [
            (r#"{"stream":true}"#, true),
            (r#"{"stream" : true}"#, true),
            (r#"{"stream":false}"#, false),
            (r#"{"stream_options":{},"a":"stream","stream":true}"#, true),
            ("{}", false),
        ] {
            assert_eq!(asks_for_stream(body.as_bytes()), wanted, "{body}");
        }
        for (path, wanted) in [
            ("/v1/chat/completions", Some((Dialect::OpenaiChat, false))),
            ("/v1/responses", Some((Dialect::OpenaiResponses, false))),
            ("/v1/messages", Some((Dialect::AnthropicMessages, false))),
            ("/v1beta/models/a:generateContent", Some((Dialect::Gemini, false))),
            ("/v1beta/models/a:streamGenerateContent", Some((Dialect::Gemini, true))),
            ("/model/a.b-v1:0/converse", Some((Dialect::BedrockConverse, false))),
            (
                "/model/a.b-v1:0/converse-stream",
                Some((Dialect::BedrockConverse, true)),
            ),
            ("/v1/models", None),
        ] {
            assert_eq!(asked(path, b"{}"), wanted, "{path}");
        }
    }
}
