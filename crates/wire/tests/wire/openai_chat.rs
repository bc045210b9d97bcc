//! Chat completions against golden files from the documents: requests, answers, streams and errors, both roles, and every
//! reader against bytes nobody meant.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jumpseat_wire::framing::pass::{Pass, PassScanner, Passed};
use jumpseat_wire::openai_chat::{
    PassJudge, StreamDecoder, StreamEncoder, classify, decode_answer, decode_request, encode_answer, encode_request,
    inspect_answer, read_head,
};
use jumpseat_wire::request::{UNTRANSLATABLE, UpstreamModel};
use jumpseat_wire::response::{Decode, Encode, EncoderOptions, RawAnswer, ReasoningField};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use types::answer::{AnswerPart, FinishReason};
use types::chat::{Media, Part, ToolChoice};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::features::Features;
use types::outcome::{Failure, OutcomeClass, Scope};
use types::time::UnixMillis;
use types::usage::Usage;

const REQUEST: &str = include_str!("../../golden/openai_chat/request_full.json");
const ANSWERS: [(&str, &str); 4] = [
    ("text", include_str!("../../golden/openai_chat/answer_text.json")),
    ("tools", include_str!("../../golden/openai_chat/answer_tools.json")),
    (
        "logprobs",
        include_str!("../../golden/openai_chat/answer_logprobs.json"),
    ),
    ("accents", include_str!("../../golden/openai_chat/answer_accents.json")),
];
const STREAMS: [(&str, &str); 3] = [
    ("text", include_str!("../../golden/openai_chat/stream_text.sse")),
    ("tools", include_str!("../../golden/openai_chat/stream_tools.sse")),
    ("accents", include_str!("../../golden/openai_chat/stream_accents.sse")),
];
const UPSTREAM: UpstreamModel<'_> = UpstreamModel {
    model: "up-1",
    max_output_default: 4096,
    reasoning: true,
};

// Requests.

#[test]
fn everything_a_request_says_is_read() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    insta::assert_snapshot!("request_full_neutral", pretty(&request));
    let head = read_head(&Bytes::from_static(REQUEST.as_bytes())).unwrap();
    assert_eq!(head.features, request.features());
    assert_eq!(
        (head.max_output_tokens, head.stream, head.include_usage),
        (Some(1024), true, true)
    );
    assert_eq!(head.messages as usize, request.messages.len());
}

#[test]
fn a_request_that_is_read_and_written_again_means_the_same() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    let encoded = encode_request(&request, UPSTREAM).unwrap();
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    assert_eq!(dropped, ["cache_control", "messages[2].annotations", "reasoning"]);
    let mut wanted: Value = serde_json::from_str(REQUEST).unwrap();
    wanted["model"] = json!("up-1");
    wanted["messages"][0]["role"] = json!("system");
    wanted["messages"][3]["content"] = json!("12:00");
    wanted["messages"][2]["content"] = Value::Null;
    wanted.as_object_mut().unwrap().remove("safety_identifier");
    for (at, field) in [
        ("/messages/1/content/0", "cache_control"),
        ("/messages/2", "annotations"),
        ("/messages/2", "reasoning_content"),
        ("/messages/2", "refusal"),
    ] {
        wanted.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(field);
    }
    assert_eq!(serde_json::from_slice::<Value>(&encoded.body).unwrap(), wanted);
    let text = String::from_utf8(encoded.body).unwrap();
    assert!(
        text.contains(r#"{"type": "object", "properties": {"z": {"type": "number"}, "city""#),
        "schemas stay as written"
    );
}

#[test]
fn small_spellings_mean_what_they_should() {
    let with = |fields: &str| {
        decode_request(format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{fields}}}"#).as_bytes())
            .unwrap()
    };
    assert_eq!(with(r#""max_tokens":5,"stop":"a""#).max_output_tokens, Some(5));
    assert_eq!(with(r#""max_tokens":-1,"stop":"a""#).stop, ["a"]);
    assert_eq!(with(r#""logprobs":true"#).logprobs, Some(0));
    assert_eq!(with(r#""top_logprobs":3"#).logprobs, None);
    assert_eq!(with(r#""modalities":["text"],"n":null"#).n, None);
    let allowed = with(
        r#""tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],
           "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"b"}}]}}"#,
    );
    assert_eq!(
        (allowed.tools.len(), allowed.tools[0].name.as_str(), allowed.tool_choice),
        (1, "b", Some(ToolChoice::Required))
    );
    let signed = decode_request(
        br#"{"model":"m","messages":[{"role":"assistant","content":"a","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}],
            "reasoning_content":"t","reasoning_details":[{"type":"reasoning.text","text":"t","signature":"g","format":"anthropic-claude-v1"}]}]}"#,
    )
    .unwrap();
    let [Part::Reasoning(thought), Part::Text { .. }, Part::ToolCall(call)] = signed.messages[0].parts.as_slice()
    else {
        panic!("{:?}", signed.messages[0].parts)
    };
    assert_eq!(
        (thought.signature.as_deref(), thought.origin),
        (Some("g"), Some(DialectName::AnthropicMessages))
    );
    assert_eq!(call.signature.as_deref(), Some("s"));
}

#[test]
fn wrong_requests_name_the_place() {
    let rows = [
        ("[]", None, "the body must be a JSON object"),
        (
            r#"{"model":"m","messages":[{"role":"alien","content":"x"}]}"#,
            Some("messages[0].role"),
            "`messages[0].role` must be `system`, `developer`, `user`, `assistant` or `tool`",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            Some("messages[0].content"),
            "`messages[0].content` must be a string or an array of parts",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
            Some("messages[0].content[0].image_url"),
            "`messages[0].content[0].image_url` is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,x"}}]}]}"#,
            Some("messages[0].content[0].image_url.url"),
            "`messages[0].content[0].image_url.url` must be a data URL with base64 data",
        ),
        (
            r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#,
            Some("messages[0].tool_call_id"),
            "`messages[0].tool_call_id` is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user"}],"temperature":"hot"}"#,
            Some("temperature"),
            "`temperature` must be a number",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user"}],"tools":[{"type":"function","function":{}}]}"#,
            Some("tools[0].function.name"),
            "`tools[0].function.name` is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user"}],"response_format":{"type":"xml"}}"#,
            Some("response_format.type"),
            "`response_format.type` must be `text`, `json_object` or `json_schema`",
        ),
    ];
    for (body, param, message) in rows {
        let bad = decode_request(body.as_bytes()).unwrap_err();
        assert_eq!((bad.param.as_deref(), bad.message.as_str()), (param, message), "{body}");
    }
}

#[test]
fn what_only_this_dialect_can_say_is_untranslatable_and_not_wrong() {
    for fields in [
        r#""functions":[{"name":"f"}],"function_call":{"name":"f"}"#,
        r#""modalities":["text","audio"]"#,
        r#""tool_choice":{"type":"custom","custom":{"name":"x"}}"#,
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{fields}}}"#);
        assert_eq!(
            decode_request(body.as_bytes()).unwrap_err().code,
            Some(UNTRANSLATABLE),
            "{fields}"
        );
        assert!(read_head(&Bytes::from(body)).is_ok(), "it passes through: {fields}");
    }
}

#[test]
fn what_this_dialect_cannot_say_is_unsupported() {
    let mut request = decode_request(br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    request.messages[0].parts.push(Part::File {
        source: Media::Url {
            url: "https://x/a.pdf".into(),
        },
        filename: None,
        cache: None,
    });
    let unsupported = encode_request(&request, UPSTREAM).unwrap_err();
    assert_eq!(unsupported.to_string(), "openai_chat cannot express a file by its URL");
}

// Answers.

#[test]
fn the_documents_answers_are_read() {
    for (name, text) in ANSWERS {
        insta::assert_snapshot!(format!("answer_{name}_neutral"), pretty(&answer(text).unwrap()));
    }
}

#[test]
fn an_answer_that_is_read_and_written_again_means_the_same() {
    for (name, text) in ANSWERS {
        let once = answer(text).unwrap();
        let written = encode_answer(&once, &options());
        let again = answer(std::str::from_utf8(&written).unwrap()).unwrap();
        assert_eq!(again, once, "{name}");
        let facts = inspect(&written).unwrap();
        assert_eq!(
            (facts.usage, facts.model.as_deref()),
            (once.usage, Some(once.model.as_str())),
            "{name}"
        );
    }
    // Whatever the document's example says, ours says too.
    let (_, text) = ANSWERS[0];
    let wanted: Value = serde_json::from_str(text).unwrap();
    let got: Value = serde_json::from_slice(&encode_answer(&answer(text).unwrap(), &options())).unwrap();
    for at in [
        "/id",
        "/object",
        "/created",
        "/model",
        "/choices/0/index",
        "/choices/0/finish_reason",
        "/choices/0/logprobs",
        "/choices/0/message/role",
        "/choices/0/message/content",
        "/choices/0/message/refusal",
        "/usage/total_tokens",
        "/usage/prompt_tokens_details/cached_tokens",
        "/service_tier",
    ] {
        assert_eq!(got.pointer(at), wanted.pointer(at), "{at}");
    }
}

// Streams.

#[test]
fn streams_are_read_into_events() {
    for (name, stream) in STREAMS {
        insta::assert_snapshot!(format!("stream_{name}_events"), lines(&decode(&[stream.as_bytes()])));
    }
}

#[test]
fn a_stream_cut_anywhere_is_the_same_stream() {
    for (name, stream) in STREAMS {
        let whole = decode(&[stream.as_bytes()]);
        for cut in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            assert_eq!(decode(&[a, b]), whole, "{name} cut at {cut}");
        }
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(decode(&bytes), whole, "{name} byte by byte");
        let crlf = stream.replace('\n', "\r\n");
        assert_eq!(decode(&[crlf.as_bytes()]), whole, "{name} with CRLF");
        assert_eq!(
            pass(&[stream.as_bytes()]).replace("data: [DONE]\n\n", ""),
            stream.replace("data: [DONE]\n\n", ""),
            "{name} passes"
        );
    }
}

#[test]
fn events_written_and_read_again_are_the_same_events() {
    for (name, stream) in STREAMS {
        let events: Vec<_> = decode(&[stream.as_bytes()])
            .into_iter()
            .filter(|e| !matches!(e, StreamEvent::Ping))
            .collect();
        for reasoning_field in [ReasoningField::ReasoningContent, ReasoningField::Reasoning] {
            let mut encoder = StreamEncoder::new(EncoderOptions {
                include_usage: true,
                reasoning_field,
                ..EncoderOptions::default()
            });
            let mut out = Vec::new();
            events.iter().for_each(|event| encoder.encode(event, &mut out));
            let again = decode(&[&out]);
            // Usage comes last in ours, wherever it came in theirs.
            let order = |events: &[StreamEvent]| {
                let (usage, rest): (Vec<_>, Vec<_>) =
                    events.iter().cloned().partition(|e| matches!(e, StreamEvent::Usage(_)));
                (rest, usage)
            };
            assert_eq!(order(&again), order(&events), "{name}");
            pass(&[&out]);
        }
    }
}

#[test]
fn a_written_stream_has_the_documents_sequence() {
    let mut encoder = StreamEncoder::new(EncoderOptions {
        id: "call-1".into(),
        model: "m".into(),
        created: 5,
        include_usage: true,
        ..EncoderOptions::default()
    });
    let mut out = Vec::new();
    for event in [
        StreamEvent::Start {
            id: "msg_1".into(),
            model: "claude".into(),
            created: 0,
        },
        StreamEvent::Ping,
        StreamEvent::Reasoning {
            choice: 0,
            text: "hm".into(),
        },
        StreamEvent::ReasoningSignature {
            choice: 0,
            signature: Some("sig".into()),
            redacted: None,
            origin: DialectName::AnthropicMessages,
        },
        StreamEvent::Text {
            choice: 0,
            text: "h\"i".into(),
            logprobs: None,
        },
        StreamEvent::ToolCallStart {
            choice: 0,
            index: 0,
            id: "t1".into(),
            name: "f".into(),
            signature: Some("g".into()),
        },
        StreamEvent::ToolCallArguments {
            choice: 0,
            index: 0,
            arguments: "{}".into(),
        },
        StreamEvent::Usage(Usage {
            input: 3,
            output: 2,
            ..Usage::default()
        }),
        StreamEvent::Finish {
            choice: 0,
            reason: FinishReason::Stop,
        },
        StreamEvent::Error(Failure::new(OutcomeClass::ServerError, "never written")),
        StreamEvent::End,
        StreamEvent::Text {
            choice: 0,
            text: "late".into(),
            logprobs: None,
        },
    ] {
        encoder.encode(&event, &mut out);
    }
    insta::assert_snapshot!("stream_written", String::from_utf8(out).unwrap());
}

#[test]
fn a_continued_stream_keeps_its_identity_and_opens_nothing_again() {
    let mut encoder = StreamEncoder::new(EncoderOptions::default());
    let mut out = Vec::new();
    let seen = [
        StreamEvent::Start {
            id: "first".into(),
            model: "m1".into(),
            created: 9,
        },
        StreamEvent::Text {
            choice: 0,
            text: "go".into(),
            logprobs: None,
        },
    ];
    seen.iter().for_each(|event| encoder.encode(event, &mut out));
    out.clear();
    encoder.encode(
        &StreamEvent::Start {
            id: "second".into(),
            model: "m2".into(),
            created: 10,
        },
        &mut out,
    );
    assert!(out.is_empty());
    encoder.encode(
        &StreamEvent::Text {
            choice: 0,
            text: "on".into(),
            logprobs: None,
        },
        &mut out,
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "data: {\"id\":\"first\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"m1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"on\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
    );
}

#[test]
fn a_stream_that_breaks_says_how() {
    let (_, text) = STREAMS[0];
    let frames: Vec<&str> = text.split_inclusive("\n\n").collect();
    let rows: Vec<(&str, String, OutcomeClass)> = vec![
        ("cut between frames", frames[..3].concat(), OutcomeClass::StreamBroken),
        (
            "cut within a frame",
            frames[..3].concat() + &frames[3][..40],
            OutcomeClass::StreamBroken,
        ),
        ("nothing", String::new(), OutcomeClass::StreamBroken),
        ("a page", "<html>\n\n</html>".into(), OutcomeClass::BadResponse),
        ("a whole answer", ANSWERS[0].1.into(), OutcomeClass::BadResponse),
        (
            "no content",
            frames[0].to_owned() + "data: [DONE]\n\n",
            OutcomeClass::BadResponse,
        ),
        (
            "error",
            frames[..2].concat() + "data: {\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\"}}\n\n",
            OutcomeClass::QuotaExhausted,
        ),
        (
            "error event",
            "event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n".into(),
            OutcomeClass::RateLimited,
        ),
        (
            "unknown error",
            "data: {\"error\":\"odd\"}\n\n".into(),
            OutcomeClass::ServerError,
        ),
    ];
    for (name, stream, class) in rows {
        let events = decode(&[stream.as_bytes()]);
        let Some(StreamEvent::Error(failure)) = events.last() else {
            panic!("{name}: {events:?}")
        };
        assert_eq!(failure.class, class, "{name}");
        let mut scanner = PassScanner::new(PassJudge::new(false));
        scanner.push(Bytes::from(stream));
        scanner.finish();
        let last = std::iter::from_fn(|| scanner.poll()).last();
        assert!(
            matches!(last, Some(Passed::Error(passed)) if passed.class == class),
            "{name}: the pass-through agrees"
        );
    }
    let without_done = frames[..4].concat();
    assert_eq!(
        decode(&[without_done.as_bytes()]).last(),
        Some(&StreamEvent::End),
        "every choice had its finish reason"
    );
}

// Errors.

#[test]
fn every_known_error_body_has_its_class() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("../../golden/openai_chat/errors.json")).unwrap();
    for row in rows {
        let who = row["who"].as_str().unwrap();
        let body = match &row["body"] {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        let headers: HeaderMap = row["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(name).unwrap(),
                    HeaderValue::try_from(value.as_str().unwrap()).unwrap(),
                )
            })
            .collect();
        let status = row["status"].as_u64().unwrap() as u16;
        let failure = classify(RawAnswer {
            status,
            headers: &headers,
            body: body.as_bytes(),
            received: UnixMillis(0),
        });
        assert_eq!(failure.class.as_str(), row["class"], "{who}");
        let scope = row
            .get("scope")
            .map_or(Scope::Target, |scope| serde_json::from_value(scope.clone()).unwrap());
        assert_eq!((failure.scope, failure.status), (scope, Some(status)), "{who}");
        assert_eq!(
            failure.retry_after.map(|d| d.as_millis() as u64),
            row["retry_after_ms"].as_u64(),
            "{who}"
        );
        if let Some(code) = row["code"].as_str() {
            assert_eq!(failure.code.as_deref(), Some(code), "{who}");
        }
        if let Some(param) = row["param"].as_str() {
            assert_eq!(failure.param.as_deref(), Some(param), "{who}");
        }
        assert!(!failure.message.contains("sk-1"), "{who}: {}", failure.message);
    }
}

// Bytes nobody meant.

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in "\\PC*") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let _ = decode_request(bytes);
            let _ = inspect(bytes);
            let _ = decode_answer(raw(200, bytes, &HeaderMap::new()));
            decode(&[bytes]);
        }
    }

    #[test]
    fn a_golden_file_with_a_hole_never_panics(which in 0usize..8, at in any::<proptest::sample::Index>(), length in 0usize..40, with in "[\\[\\]{}:,\"0-9a-z\n]{0,8}") {
        let texts: Vec<&str> = std::iter::once(REQUEST).chain(ANSWERS.iter().map(|a| a.1)).chain(STREAMS.iter().map(|s| s.1)).collect();
        let text = texts[which].as_bytes();
        let at = at.index(text.len());
        let holed = [&text[..at], with.as_bytes(), &text[(at + length).min(text.len())..]].concat();
        if let Ok(request) = decode_request(&holed) {
            let _ = encode_request(&request, UPSTREAM);
            prop_assert!(read_head(&Bytes::copy_from_slice(&holed)).is_ok() || has_duplicate_or_type_fault(&holed));
        }
        if let Ok(read) = decode_answer(raw(200, &holed, &HeaderMap::new())) {
            encode_answer(&read, &options());
        }
        let whole = decode(&[&holed]);
        let (a, b) = holed.split_at(holed.len() / 2);
        prop_assert_eq!(decode(&[a, b]), whole);
        let _ = inspect(&holed);
    }

    #[test]
    fn the_head_and_the_whole_request_agree(text in "\\PC{0,40}", n in 1u32..4, logprobs in any::<bool>(), effort in "(none|low|high)", object in any::<bool>()) {
        let format = if object { "json_object" } else { "text" };
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}], "n": n,
            "logprobs": logprobs, "reasoning_effort": effort, "response_format": {"type": format}}).to_string();
        let head = read_head(&Bytes::from(body.clone())).unwrap();
        let request = decode_request(body.as_bytes()).unwrap();
        prop_assert_eq!(head.features, request.features());
        prop_assert_eq!(head.prompt_chars, text.chars().count() as u64);
        prop_assert_eq!(head.features.contains(Features::CHOICES), n > 1);
    }
}

/// A hole can make a key of one member that of another; the head is stricter about duplicates and the types it routes by.
fn has_duplicate_or_type_fault(body: &[u8]) -> bool {
    let code = read_head(&Bytes::copy_from_slice(body)).unwrap_err().code;
    matches!(
        code,
        Some("duplicate_parameter" | "invalid_type" | "invalid_value" | "missing_required_parameter")
    )
}

fn raw<'a>(status: u16, body: &'a [u8], headers: &'a HeaderMap) -> RawAnswer<'a> {
    RawAnswer {
        status,
        headers,
        body,
        received: UnixMillis(0),
    }
}

fn answer(text: &str) -> Result<types::answer::ChatAnswer, Failure> {
    let answer = decode_answer(raw(200, text.as_bytes(), &HeaderMap::new()))?;
    assert!(
        answer
            .choices
            .iter()
            .all(|c| c.parts.iter().all(|p| *p != AnswerPart::Text { text: String::new() }))
    );
    Ok(answer)
}

fn options() -> EncoderOptions {
    EncoderOptions {
        id: "call".into(),
        created: 1,
        ..EncoderOptions::default()
    }
}

fn inspect(body: &[u8]) -> Result<jumpseat_wire::response::AnswerFacts, Failure> {
    inspect_answer(raw(200, body, &HeaderMap::new()))
}

fn decode(chunks: &[&[u8]]) -> Vec<StreamEvent> {
    let mut decoder = StreamDecoder::new();
    chunks.iter().for_each(|chunk| decoder.push(chunk));
    decoder.finish();
    let events: Vec<_> = std::iter::from_fn(|| decoder.poll()).collect();
    let ends = events
        .iter()
        .filter(|e| matches!(e, StreamEvent::End | StreamEvent::Error(_)))
        .count();
    assert_eq!(ends, 1, "exactly one end, and it is the last");
    assert!(matches!(events.last(), Some(StreamEvent::End | StreamEvent::Error(_))));
    events
}

/// What the pass-through forwards; it must end well.
fn pass(chunks: &[&[u8]]) -> String {
    let mut scanner = PassScanner::new(PassJudge::new(false));
    chunks
        .iter()
        .for_each(|chunk| scanner.push(Bytes::copy_from_slice(chunk)));
    scanner.finish();
    assert_eq!(scanner.malformed(), 0);
    let pieces = std::iter::from_fn(|| scanner.poll()).map(|passed| match passed {
        Passed::Preamble(bytes) | Passed::Content(bytes) | Passed::Done(bytes) => {
            String::from_utf8(bytes.to_vec()).unwrap()
        }
        Passed::Error(failure) => panic!("{failure:?}"),
    });
    pieces.collect()
}

/// JSON that shows kept JSON as it is.
fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap();
    serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap()
}

fn lines(events: &[StreamEvent]) -> String {
    events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap() + "\n")
        .collect()
}
