//! From dialect to dialect: what a client of chat completions says and hears when its target speaks another one.

use http::HeaderMap;
use jumpseat_wire::dialect;
use jumpseat_wire::openai_chat::{self, StreamEncoder, decode_request, encode_answer};
use jumpseat_wire::request::UpstreamModel;
use jumpseat_wire::response::{Encode, EncoderOptions, RawAnswer};
use serde_json::Value;
use types::answer::{AnswerPart, ChatAnswer};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::time::UnixMillis;
use types::usage::Usage;

const REQUEST: &str = include_str!("../../golden/openai_chat/request_full.json");
const ANTHROPIC_ANSWERS: [&str; 2] = [
    include_str!("../../golden/anthropic_messages/answer_full.json"),
    include_str!("../../golden/anthropic_messages/answer_refusal.json"),
];
const GEMINI_ANSWERS: [&str; 3] = [
    include_str!("../../golden/gemini/answer_text.json"),
    include_str!("../../golden/gemini/answer_tools.json"),
    include_str!("../../golden/gemini/answer_choices_logprobs.json"),
];
const STREAMS: [(&str, DialectName, &str); 5] = [
    (
        "openai",
        DialectName::OpenaiChat,
        include_str!("../../golden/openai_chat/stream_tools.sse"),
    ),
    (
        "anthropic",
        DialectName::AnthropicMessages,
        include_str!("../../golden/anthropic_messages/stream_full.sse"),
    ),
    (
        "gemini",
        DialectName::Gemini,
        include_str!("../../golden/gemini/stream_tools.sse"),
    ),
    (
        "gemini_text",
        DialectName::Gemini,
        include_str!("../../golden/gemini/stream_text.sse"),
    ),
    (
        "gemini_choices",
        DialectName::Gemini,
        include_str!("../../golden/gemini/stream_choices.sse"),
    ),
];

fn upstream() -> UpstreamModel<'static> {
    UpstreamModel {
        model: "up-1",
        max_output_default: 4096,
        reasoning: true,
    }
}

#[test]
fn one_request_in_every_dialect() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    for name in DialectName::ALL {
        let told = match dialect::encode_request(name, &request, upstream()) {
            Ok(encoded) => {
                let body: Value = serde_json::from_slice(&encoded.body).unwrap();
                let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
                format!(
                    "dropped: {}\nheaders: {:?}\n{}",
                    dropped.join(", "),
                    encoded.headers,
                    serde_json::to_string_pretty(&body).unwrap()
                )
            }
            Err(unsupported) => format!("refused: {unsupported}"),
        };
        insta::assert_snapshot!(format!("request_as_{}", name.as_str()), told);
    }
}

#[test]
fn nothing_a_client_says_is_lost_in_silence() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    for name in [DialectName::AnthropicMessages, DialectName::Gemini] {
        let encoded = dialect::encode_request(name, &request, upstream()).unwrap();
        // `service_tier: "auto"` asks for nothing; a dialect may leave it out without a word.
        for (field, _) in request.extra.iter().filter(|(field, _)| field != "service_tier") {
            assert!(
                encoded.dropped.iter().any(|d| d.0 == *field),
                "{} says that it drops {field}",
                name.as_str()
            );
        }
    }
}

#[test]
fn what_a_dialect_cannot_say_is_unsupported() {
    let rows = [
        (r#""n":2"#, DialectName::AnthropicMessages, Some("n")),
        (
            r#""temperature":1.5"#,
            DialectName::AnthropicMessages,
            Some("temperature"),
        ),
        (r#""temperature":1.5"#, DialectName::Gemini, None),
        (r#""n":2"#, DialectName::Gemini, None),
    ];
    for (field, name, param) in rows {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{field}}}"#);
        let request = decode_request(body.as_bytes()).unwrap();
        let unsupported = dialect::encode_request(name, &request, upstream()).err();
        assert_eq!(
            unsupported.and_then(|u| u.param).as_deref(),
            param,
            "{field} as {}",
            name.as_str()
        );
    }
}

#[test]
fn a_translated_stream_says_the_same_and_is_one_the_client_knows() {
    for (name, from, stream) in STREAMS {
        let events = decode(from, stream.as_bytes());
        assert_eq!(events.last(), Some(&StreamEvent::End), "{name}");
        let written = encode(&events);
        insta::assert_snapshot!(
            format!("stream_from_{name}"),
            String::from_utf8(written.clone()).unwrap()
        );
        let again = decode(DialectName::OpenaiChat, &written);
        assert_eq!(content(&again), content(&events), "{name}");
        assert_eq!(last_usage(&again), last_usage(&events), "{name}");
    }
}

#[test]
fn a_translated_answer_says_the_same() {
    let answers = ANTHROPIC_ANSWERS
        .map(|text| (DialectName::AnthropicMessages, text))
        .into_iter()
        .chain(GEMINI_ANSWERS.map(|text| (DialectName::Gemini, text)));
    for (from, text) in answers {
        let answer = dialect::decode_answer(from, raw(text.as_bytes(), &HeaderMap::new())).unwrap();
        let written = encode_answer(
            &answer,
            &EncoderOptions {
                created: 1_790_000_000,
                ..EncoderOptions::default()
            },
        );
        let again = openai_chat::decode_answer(raw(&written, &HeaderMap::new())).unwrap();
        // The dialect has no word for how long a cache keeps what was written.
        let sayable = answer.usage.map(|usage| Usage {
            cache_write_1h_input: 0,
            ..usage
        });
        assert_eq!(again.usage, sayable);
        assert_eq!(said(&again), said(&answer));
        assert!(again.created > 0 && !again.id.is_empty());
    }
}

fn raw<'a>(body: &'a [u8], headers: &'a HeaderMap) -> RawAnswer<'a> {
    RawAnswer {
        status: 200,
        headers,
        body,
        received: UnixMillis(0),
    }
}

fn decode(name: DialectName, stream: &[u8]) -> Vec<StreamEvent> {
    let mut decoder = dialect::stream_decoder(name);
    decoder.push(stream);
    decoder.finish();
    std::iter::from_fn(|| decoder.poll()).collect()
}

fn encode(events: &[StreamEvent]) -> Vec<u8> {
    let options = EncoderOptions {
        id: "call-1".into(),
        model: "m".into(),
        created: 1_790_000_000,
        include_usage: true,
        ..EncoderOptions::default()
    };
    let mut encoder = StreamEncoder::new(options);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out
}

/// What a reader of the answer would see: neighbours joined, order within a choice kept, signs of life left out.
fn content(events: &[StreamEvent]) -> Vec<StreamEvent> {
    let mut seen: Vec<StreamEvent> = Vec::new();
    for event in events
        .iter()
        .filter(|e| e.is_content() || matches!(e, StreamEvent::Finish { .. }))
    {
        match (seen.last_mut(), event) {
            (
                Some(StreamEvent::Text {
                    choice: a,
                    text,
                    logprobs: None,
                }),
                StreamEvent::Text {
                    choice: b,
                    text: more,
                    logprobs: None,
                },
            ) if a == b => text.push_str(more),
            _ => seen.push(event.clone()),
        }
    }
    seen
}

fn last_usage(events: &[StreamEvent]) -> Option<&StreamEvent> {
    events.iter().rfind(|e| matches!(e, StreamEvent::Usage(_)))
}

/// The answer's words by kind and choice: this dialect has one text, one reasoning and one list of calls a choice.
fn said(answer: &ChatAnswer) -> Vec<(u32, String, String, Vec<String>, Value)> {
    let choices = answer.choices.iter().map(|choice| {
        let (mut text, mut refusal, mut calls) = (String::new(), String::new(), Vec::new());
        for part in &choice.parts {
            match part {
                AnswerPart::Text { text: t } => text.push_str(t),
                AnswerPart::Refusal { text } => refusal.push_str(text),
                AnswerPart::ToolCall(call) => calls.push(format!("{call:?}")),
                AnswerPart::Reasoning(_) => {}
            }
        }
        (
            choice.index,
            text,
            refusal,
            calls,
            serde_json::to_value(choice.finish).unwrap(),
        )
    });
    choices.collect()
}
