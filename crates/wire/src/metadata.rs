//! Adds a `jumpseat` object to an answer: to a whole body, or to the frame of a stream that tells its usage or its end. The rest of
//! the answer stays byte for byte; the official SDKs read over members they do not know.
//!
//! Where it goes in a stream: `openai_chat`, the chunk with `usage`, else the last chunk before `[DONE]`; `openai_responses`, the
//! response of the event that ends it; `anthropic_messages`, the `message_delta` that says why it ended, else `message_stop`;
//! `gemini`, the chunk that says why it ended.

use std::ops::Range;

use bytes::Bytes;
use types::dialect::IngressDialect;

use crate::cap::object;
use crate::edit::Edits;
use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::framing::sse::Boundary;

/// The member's name.
pub const MEMBER: &str = "jumpseat";

/// A whole answer with the member; `json` is its value, as JSON text. What is no JSON object is given back as it is.
pub fn whole(body: &Bytes, json: &str) -> Bytes {
    let Some((text, root)) = object(body) else {
        return body.clone();
    };
    let mut edits = Edits::new(text);
    edits.add_last_member(root, MEMBER, json);
    Bytes::from(edits.apply())
}

/// A run of whole frames of a stream, as they go to the client, with the member in the last of them that is the place for it; `None`
/// when none of them is, and they are to be sent as they are. Once it was given, it is not to be asked for again.
///
/// Every run from the one that told the usage or the end of the answer on is to be shown, the last one too. A client of
/// `openai_chat` that did not ask for usage gets its last chunk and `[DONE]` in two runs, mostly; see [`chat_chunk`].
pub fn run(dialect: IngressDialect, frames: &Bytes, json: &str) -> Option<Bytes> {
    let mut best: Option<(Fit, Range<usize>)> = None;
    for data in data_lines(frames) {
        let Ok(text) = std::str::from_utf8(&frames[data.clone()]) else {
            continue;
        };
        let Ok(root) = Raw::parse(text, Surrogates::Any) else {
            continue;
        };
        let Some((fit, object)) = place(dialect, root) else {
            continue;
        };
        if best.as_ref().is_none_or(|(before, _)| fit >= *before) {
            let at = Edits::new(text).place(object);
            best = Some((fit, data.start + at.start..data.start + at.end));
        }
    }
    let ends = has_done(frames);
    let (_, at) = best.filter(|(fit, _)| *fit > Fit::IfLast || ends)?;
    let object = Raw::parse(std::str::from_utf8(&frames[at.clone()]).ok()?, Surrogates::Any).ok()?;
    let mut edits = Edits::new(object.text());
    edits.add_last_member(object, MEMBER, json);
    let mut out = Vec::with_capacity(frames.len() + json.len() + MEMBER.len() + 4);
    out.extend_from_slice(&frames[..at.start]);
    out.extend_from_slice(&edits.apply());
    out.extend_from_slice(&frames[at.end..]);
    Some(Bytes::from(out))
}

/// A chunk of `openai_chat` that says nothing but the member, for a stream whose usage the client did not ask for: to be sent before
/// the frame of `[DONE]`. Its one choice is empty, so that who reads the first choice of each chunk finds one. `id`, `created`
/// (Unix seconds) and `model` are those of the stream's other chunks.
pub fn chat_chunk(id: &str, created: u64, model: &str, json: &str) -> Bytes {
    let text = |text: &str| serde_json::to_string(text).expect("a string is always JSON");
    Bytes::from(format!(
        "data: {{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{},\
         \"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":null}}],\"{MEMBER}\":{json}}}\n\n",
        text(id),
        text(model),
    ))
}

/// How well a frame fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// When nothing but the stream's end follows it in the same run.
    IfLast,
    /// The stream's last words.
    End,
    /// It tells the usage.
    Usage,
}

/// Whether the member belongs to a frame, and into which object of it.
fn place(dialect: IngressDialect, root: Raw<'_>) -> Option<(Fit, Raw<'_>)> {
    if root.kind() != Kind::Object {
        return None;
    }
    let kind = root.get("type").and_then(Raw::string);
    match (dialect, kind.as_deref()) {
        (IngressDialect::OpenaiChat, _) => {
            root.get("choices")?;
            let usage = root.get("usage").is_some_and(|u| u.kind() == Kind::Object);
            Some((if usage { Fit::Usage } else { Fit::IfLast }, root))
        }
        (IngressDialect::OpenaiResponses, Some("response.completed" | "response.incomplete" | "response.failed")) => {
            let response = root.get("response").filter(|r| r.kind() == Kind::Object)?;
            Some((Fit::Usage, response))
        }
        (IngressDialect::AnthropicMessages, Some("message_delta")) => {
            root.get("delta")?.get("stop_reason")?;
            Some((Fit::Usage, root))
        }
        (IngressDialect::AnthropicMessages, Some("message_stop")) => Some((Fit::End, root)),
        (IngressDialect::Gemini, _) => {
            let mut candidates = root.get("candidates")?.items();
            let ends = candidates.any(|c| c.get("finishReason").is_some());
            ends.then_some((Fit::Usage, root))
        }
        (IngressDialect::OpenaiResponses | IngressDialect::AnthropicMessages, _) => None,
    }
}

/// Where the data of frames with one line of it stands; who has several is left alone.
fn data_lines(frames: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut boundary, mut start) = (Boundary::default(), 0);
    loop {
        let end = boundary
            .find(&frames[start..])
            .map_or(frames.len(), |length| start + length);
        let mut lines = lines(frames, start..end).filter(|at| frames[at.clone()].starts_with(b"data:"));
        if let (Some(line), None) = (lines.next(), lines.next()) {
            let value = line.start + b"data:".len();
            found.push(value..line.end);
        }
        if end == frames.len() {
            return found;
        }
        start = end;
    }
}

fn lines(bytes: &[u8], within: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut at = within.start;
    std::iter::from_fn(move || {
        if at >= within.end {
            return None;
        }
        let length = memchr::memchr2(b'\n', b'\r', &bytes[at..within.end]);
        let end = length.map_or(within.end, |length| at + length);
        let line = at..end;
        at = end + 1;
        Some(line)
    })
}

fn has_done(frames: &[u8]) -> bool {
    data_lines(frames)
        .into_iter()
        .any(|data| frames[data].trim_ascii() == b"[DONE]")
}

#[cfg(test)]
mod tests {
    use IngressDialect::{AnthropicMessages, Gemini, OpenaiChat, OpenaiResponses};
    use proptest::prelude::*;

    use super::*;
    use crate::{adjust, cap};

    const JSON: &str = r#"{"tier":1}"#;

    #[test]
    fn a_whole_answer_gets_the_member_as_its_last_and_keeps_every_other_byte() {
        for (before, after) in [
            (
                r#"{"id":"x" , "n": 1.50 }"#,
                r#"{"id":"x" , "n": 1.50 ,"jumpseat":{"tier":1}}"#,
            ),
            (" {} \n", " {\"jumpseat\":{\"tier\":1}} \n"),
            ("[1]", "[1]"),
            ("<html>", "<html>"),
            ("", ""),
        ] {
            let told = whole(&Bytes::copy_from_slice(before.as_bytes()), JSON);
            assert_eq!(std::str::from_utf8(&told).unwrap(), after, "{before}");
        }
    }

    #[test]
    fn a_stream_gets_it_in_the_frame_that_tells_usage_or_the_end() {
        let rows: [(IngressDialect, &str, Option<&str>); 16] = [
            (
                OpenaiChat,
                "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\ndata: [DONE]\n\n",
                Some(
                    "data: {\"choices\":[],\"usage\":{\"total_tokens\":3},\"jumpseat\":{\"tier\":1}}\n\ndata: [DONE]\n\n",
                ),
            ),
            (
                OpenaiChat,
                "data:{\"choices\":[{}],\"usage\":null}\r\n\r\ndata:{\"choices\":[],\"usage\":{}}\r\n\r\n",
                Some(
                    "data:{\"choices\":[{}],\"usage\":null}\r\n\r\ndata:{\"choices\":[],\"usage\":{},\"jumpseat\":{\"tier\":1}}\r\n\r\n",
                ),
            ),
            (
                OpenaiChat,
                "data: {\"choices\":[{\"delta\":{}}]}\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n: ok\n\ndata: [DONE]\n\n",
                Some(
                    "data: {\"choices\":[{\"delta\":{}}]}\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}],\"jumpseat\":{\"tier\":1}}\n\n: ok\n\ndata: [DONE]\n\n",
                ),
            ),
            (
                OpenaiChat,
                "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n",
                None,
            ),
            (OpenaiChat, "data: [DONE]\n\n", None),
            (
                OpenaiResponses,
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"},\"sequence_number\":9}\n\n",
                Some(
                    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"jumpseat\":{\"tier\":1}},\"sequence_number\":9}\n\n",
                ),
            ),
            (
                OpenaiResponses,
                "event: response.incomplete\ndata: {\"response\":{},\"type\":\"response.incomplete\"}\n\n",
                Some(
                    "event: response.incomplete\ndata: {\"response\":{\"jumpseat\":{\"tier\":1}},\"type\":\"response.incomplete\"}\n\n",
                ),
            ),
            (
                OpenaiResponses,
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n",
                None,
            ),
            (
                AnthropicMessages,
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                Some(
                    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{},\"jumpseat\":{\"tier\":1}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                ),
            ),
            (
                AnthropicMessages,
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                Some("event: message_stop\ndata: {\"type\":\"message_stop\",\"jumpseat\":{\"tier\":1}}\n\n"),
            ),
            (AnthropicMessages, "event: ping\ndata: {\"type\":\"ping\"}\n\n", None),
            (
                AnthropicMessages,
                "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null}}\n\n",
                None,
            ),
            (
                Gemini,
                "data: {\"candidates\":[{\"content\":{}}]}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{}}\r\n\r\n",
                Some(
                    "data: {\"candidates\":[{\"content\":{}}]}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{},\"jumpseat\":{\"tier\":1}}\r\n\r\n",
                ),
            ),
            (Gemini, "data: {\"candidates\":[{\"content\":{}}]}\n\n", None),
            // Several lines of data, and what is no JSON, are left alone.
            (OpenaiChat, "data: {\"choices\":[],\ndata: \"usage\":{}}\n\n", None),
            (
                OpenaiChat,
                "data: {\"choices\":[],\"usage\":{}\n\ndata: [DONE]\n\n",
                None,
            ),
        ];
        for (dialect, before, after) in rows {
            let told = run(dialect, &Bytes::copy_from_slice(before.as_bytes()), JSON);
            let told = told.as_deref().map(|t| std::str::from_utf8(t).unwrap());
            assert_eq!(told, after, "{before}");
        }
        assert_eq!(run(OpenaiChat, &Bytes::from_static(b"data: \xff\n\n"), JSON), None);
    }

    #[test]
    fn a_chunk_of_its_own_is_one_that_every_reader_of_chunks_takes() {
        let chunk = chat_chunk("chatcmpl-\"1", 1_700_000_000, "gpt-5", JSON);
        let text = std::str::from_utf8(&chunk).unwrap();
        let data = text
            .strip_prefix("data: ")
            .and_then(|t| t.strip_suffix("\n\n"))
            .unwrap();
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(value["object"], "chat.completion.chunk");
        assert_eq!(value["choices"][0]["delta"], serde_json::json!({}));
        assert_eq!(value["jumpseat"]["tier"], 1);
        assert_eq!(value["id"], "chatcmpl-\"1");
    }

    /// Some JSON, rich in the names that edits look for.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("\"system\"".to_owned()),
            Just("\"\"".to_owned()),
            Just("-7".to_owned()),
            any::<u32>().prop_map(|n| n.to_string()),
            "[a-z\"\\\\é\n]{0,6}".prop_map(|t| serde_json::to_string(&t).unwrap()),
        ];
        let name = prop::sample::select(vec![
            "role",
            "content",
            "messages",
            "instructions",
            "input",
            "system",
            "systemInstruction",
            "system_instruction",
            "parts",
            "text",
            "thinking",
            "budget_tokens",
            "max_tokens",
            "max_output_tokens",
            "generationConfig",
            "maxOutputTokens",
            "cache_control",
            "choices",
            "usage",
            "response",
            "type",
            "delta",
            "candidates",
            "x",
        ]);
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[ {} ]", items.join(" ,"))),
                prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                    let members = members.into_iter().map(|(name, value)| format!("\"{name}\" : {value}"));
                    format!("{{ {} }}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_edited_stays_json_and_a_member_can_be_taken_out_again(
            text in json(), tokens in 0..5_000_u64, prepend in any::<bool>(), replace in any::<bool>(), append in any::<bool>(),
        ) {
            let body = Bytes::from(text.clone());
            let adjustment = adjust::Adjustment {
                prepend: prepend.then(|| "a \"b\"".to_owned()),
                replace: replace.then(|| "c\n".to_owned()),
                append: append.then(|| "d".to_owned()),
            };
            for dialect in IngressDialect::ALL {
                let capped = cap::body(dialect, &body, tokens, false);
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&capped).is_ok(), "{capped:?}");
                prop_assert_eq!(&cap::body(dialect, &capped, tokens, false), &capped);
                let adjusted = adjust::body(dialect, &body, &adjustment);
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&adjusted).is_ok(), "{adjusted:?}");
                if let Some(told) = run(dialect, &Bytes::from(format!("data: {}\n\n", text.replace('\n', " "))), JSON) {
                    let told = std::str::from_utf8(&told).unwrap();
                    let data = told.strip_prefix("data: ").unwrap();
                    prop_assert!(serde_json::from_str::<serde_json::Value>(data).is_ok(), "{told}");
                }
            }
            let told = whole(&body, JSON);
            if text.starts_with('{') {
                let mut value: serde_json::Value = serde_json::from_slice(&told).unwrap();
                prop_assert!(value.as_object_mut().unwrap().remove(MEMBER).is_some());
                prop_assert_eq!(value, serde_json::from_str::<serde_json::Value>(&text).unwrap());
            } else {
                prop_assert_eq!(told, body);
            }
        }
    }
}
