//! Every provider's stream and answer for every client: whatever the two speak, the client gets the same text, the same calls
//! and the same end.

use http::HeaderMap;
use jumpseat_wire::response::{EncoderOptions, RawAnswer};
use jumpseat_wire::{dialect, server};
use types::answer::{AnswerPart, ChatAnswer, FinishReason};
use types::dialect::{DialectName, IngressDialect};
use types::event::StreamEvent;
use types::time::UnixMillis;

/// The dialects that are paired here.
const CLIENTS: [IngressDialect; 4] = [
    IngressDialect::OpenaiChat,
    IngressDialect::OpenaiResponses,
    IngressDialect::AnthropicMessages,
    IngressDialect::Gemini,
];
const STREAMS: [(DialectName, &str); 5] = [
    (
        DialectName::OpenaiChat,
        include_str!("../../golden/openai_chat/stream_text.sse"),
    ),
    (
        DialectName::OpenaiChat,
        include_str!("../../golden/openai_chat/stream_tools.sse"),
    ),
    (
        DialectName::AnthropicMessages,
        include_str!("../../golden/anthropic_messages/stream_full.sse"),
    ),
    (DialectName::Gemini, include_str!("../../golden/gemini/stream_text.sse")),
    (
        DialectName::Gemini,
        include_str!("../../golden/gemini/stream_tools.sse"),
    ),
];
const ANSWERS: [(DialectName, &str); 6] = [
    (
        DialectName::OpenaiChat,
        include_str!("../../golden/openai_chat/answer_text.json"),
    ),
    (
        DialectName::OpenaiChat,
        include_str!("../../golden/openai_chat/answer_tools.json"),
    ),
    (
        DialectName::AnthropicMessages,
        include_str!("../../golden/anthropic_messages/answer_full.json"),
    ),
    (
        DialectName::AnthropicMessages,
        include_str!("../../golden/anthropic_messages/answer_refusal.json"),
    ),
    (
        DialectName::Gemini,
        include_str!("../../golden/gemini/answer_text.json"),
    ),
    (
        DialectName::Gemini,
        include_str!("../../golden/gemini/answer_tools.json"),
    ),
];

/// What a client is to get, whatever it speaks.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    calls: Vec<(String, serde_json::Value)>,
    finish: Option<FinishReason>,
    /// Input, output.
    usage: Option<(u64, u64)>,
}

fn heard(events: &[StreamEvent]) -> Said {
    let mut said = Said::default();
    let mut calls: Vec<(u32, String, String)> = Vec::new();
    for event in events {
        match event {
            StreamEvent::Text { choice: 0, text, .. } => said.text.push_str(text),
            StreamEvent::Reasoning { choice: 0, text } => said.reasoning.push_str(text),
            StreamEvent::ToolCallStart {
                choice: 0, index, name, ..
            } => calls.push((*index, name.clone(), String::new())),
            StreamEvent::ToolCallArguments {
                choice: 0,
                index,
                arguments,
            } => {
                let call = calls.iter_mut().find(|call| call.0 == *index).unwrap();
                call.2.push_str(arguments);
            }
            StreamEvent::Finish { choice: 0, reason } => said.finish = Some(*reason),
            StreamEvent::Usage(usage) => said.usage = Some((usage.input, usage.output)),
            _ => {}
        }
    }
    said.calls = calls
        .into_iter()
        .map(|(_, name, arguments)| (name, serde_json::from_str(&arguments).unwrap()))
        .collect();
    said
}

fn read(answer: &ChatAnswer) -> Said {
    let choice = &answer.choices[0];
    let mut said = Said {
        finish: choice.finish,
        usage: answer.usage.map(|usage| (usage.input, usage.output)),
        ..Said::default()
    };
    for part in &choice.parts {
        match part {
            AnswerPart::Text { text } => said.text.push_str(text),
            AnswerPart::Reasoning(thought) => said.reasoning.push_str(&thought.text),
            AnswerPart::ToolCall(call) => {
                let arguments = serde_json::from_str(&call.arguments).unwrap();
                said.calls.push((call.name.clone(), arguments));
            }
            AnswerPart::Refusal { .. } => {}
        }
    }
    said
}

fn options() -> EncoderOptions {
    EncoderOptions {
        id: "call-1".into(),
        model: "m".into(),
        created: 1,
        include_usage: true,
        ..EncoderOptions::default()
    }
}

#[test]
fn every_stream_says_the_same_to_every_client() {
    for (from, stream) in STREAMS {
        let mut decoder = dialect::stream_decoder(from);
        decoder.push(stream.as_bytes());
        decoder.finish();
        let events: Vec<StreamEvent> = std::iter::from_fn(|| decoder.poll()).collect();
        for to in CLIENTS {
            let mut encoder = server::stream_encoder(to, options());
            let mut written = Vec::new();
            events.iter().for_each(|event| encoder.encode(event, &mut written));
            let mut client = dialect::stream_decoder(to.name());
            client.push(&written);
            client.finish();
            let again: Vec<StreamEvent> = std::iter::from_fn(|| client.poll()).collect();
            let written = String::from_utf8(written).unwrap();
            assert_eq!(
                (client.malformed(), again.last()),
                (0, Some(&StreamEvent::End)),
                "{from:?} to {to:?}"
            );
            let (mut got, wanted) = (heard(&again), heard(&events));
            // Some dialects must tell counts where none were told.
            got.usage = got.usage.filter(|_| wanted.usage.is_some());
            assert_eq!(got, wanted, "{from:?} to {to:?}: {written}");
        }
    }
}

#[test]
fn every_answer_says_the_same_to_every_client() {
    fn raw<'a>(body: &'a [u8], headers: &'a HeaderMap) -> RawAnswer<'a> {
        RawAnswer {
            status: 200,
            headers,
            body,
            received: UnixMillis(0),
        }
    }
    let headers = &HeaderMap::new();
    for (from, body) in ANSWERS {
        let answer = dialect::decode_answer(from, raw(body.as_bytes(), headers)).unwrap();
        for to in CLIENTS {
            let written = server::encode_answer(to, &answer, &options());
            let again = dialect::decode_answer(to.name(), raw(&written, headers)).unwrap();
            assert_eq!(read(&again), read(&answer), "{from:?} to {to:?}");
            let facts = server::inspect_answer(to, raw(&written, headers)).unwrap();
            assert_eq!(facts.finish, answer.choices[0].finish, "{from:?} to {to:?}");
        }
    }
}
