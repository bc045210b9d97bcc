//! generateContent as its clients meet it: requests in, answers, streams and errors out, and the pass-through.

use bytes::Bytes;
use http::HeaderMap;
use jumpseat_wire::call_error::{AttemptSummary, CallError};
use jumpseat_wire::dialect;
use jumpseat_wire::framing::pass::{Pass, PassScanner, Passed};
use jumpseat_wire::gemini::{
    PassJudge, StreamDecoder, StreamEncoder, carried, decode_answer, decode_request, encode_answer, encode_request,
    error_body, error_event, inspect_answer, read_head, refusal,
};
use jumpseat_wire::head::{Head, MEDIA_CHARS};
use jumpseat_wire::request::{BadRequest, UNTRANSLATABLE, UpstreamModel};
use jumpseat_wire::response::{Decode, Encode, EncoderOptions, RawAnswer};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{ChatRequest, Part, Reasoning, ReasoningRequest, ToolCall, ToolChoice};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::features::Features;
use types::outcome::OutcomeClass;
use types::time::UnixMillis;
use types::usage::Usage;

const REQUEST: &str = include_str!("../../golden/gemini/client_full.json");
const SDK_REQUEST: &str = include_str!("../../golden/gemini/sdk_request_full.json");
const ANSWERS: [&str; 3] = [
    include_str!("../../golden/gemini/answer_text.json"),
    include_str!("../../golden/gemini/answer_tools.json"),
    include_str!("../../golden/gemini/answer_choices_logprobs.json"),
];
const STREAMS: [(&str, &str); 3] = [
    ("text", include_str!("../../golden/gemini/stream_text.sse")),
    ("tools", include_str!("../../golden/gemini/stream_tools.sse")),
    ("choices", include_str!("../../golden/gemini/stream_choices.sse")),
];
const BROKEN: [&str; 5] = [
    include_str!("../../golden/gemini/stream_blocked.sse"),
    include_str!("../../golden/gemini/stream_error_array.sse"),
    include_str!("../../golden/gemini/stream_error_bare.sse"),
    include_str!("../../golden/gemini/stream_error_framed.sse"),
    include_str!("../../golden/gemini/stream_malformed_call.sse"),
];
const UPSTREAM: UpstreamModel<'_> = UpstreamModel {
    model: "gemini-3-pro",
    max_output_default: 4096,
    reasoning: true,
};

// Requests.

fn head(body: &str) -> Result<Head, BadRequest> {
    read_head(&Bytes::copy_from_slice(body.as_bytes()), "gemini-3-pro", true)
}

fn decode(body: &str) -> Result<ChatRequest, BadRequest> {
    decode_request(body.as_bytes(), &head(r#"{"contents":[{}]}"#).unwrap())
}

fn with(fields: &str) -> String {
    format!(r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}]{fields}}}"#)
}

#[test]
fn routing_facts_are_read() {
    let read = head(REQUEST).unwrap();
    assert_eq!(read.features, decode(REQUEST).unwrap().features());
    assert_eq!(
        (read.model.as_str(), read.stream, read.include_usage),
        ("gemini-3-pro", true, true)
    );
    assert_eq!((read.max_output_tokens, read.n, read.messages), (Some(512), 2, 3));
    assert!(
        read.prompt_chars > 6 * MEDIA_CHARS && read.prompt_chars < 7 * MEDIA_CHARS,
        "{}",
        read.prompt_chars
    );
    let body = Bytes::from_static(REQUEST.as_bytes());
    assert_eq!(read.splice(&body, "another", true), body, "the model is in the path");
    let rows = [
        (
            r#","generationConfig":{"thinkingConfig":{"thinkingBudget":0,"includeThoughts":true}}"#,
            Features::NONE,
        ),
        (
            r#","generationConfig":{"thinking_config":{"thinking_budget":-1}}"#,
            Features::NONE,
        ),
        (
            r#","generationConfig":{"thinkingConfig":{"thinkingBudget":512}}"#,
            Features::REASONING,
        ),
        (
            r#","generationConfig":{"responseMimeType":"application/json"}"#,
            Features::JSON_OBJECT,
        ),
        (
            r#","generation_config":{"response_json_schema":{},"response_mime_type":"application/json"}"#,
            Features::JSON_SCHEMA,
        ),
    ];
    for (fields, features) in rows {
        assert_eq!(head(&with(fields)).unwrap().features, features, "{fields}");
        assert_eq!(decode(&with(fields)).unwrap().features(), features, "{fields}");
    }
    let counted = format!(r#"{{"generateContentRequest":{}}}"#, with(r#","model":"models/x""#));
    assert_eq!(head(&counted).unwrap().messages, 1);
    assert_eq!(decode(&counted).unwrap().messages.len(), 1);
}

#[test]
fn everything_a_request_says_is_read() {
    let request = decode(REQUEST).unwrap();
    insta::assert_snapshot!(
        "gemini_client_full_neutral",
        serde_json::to_string_pretty(&request).unwrap()
    );
    assert!(carried::is_in(REQUEST.as_bytes()) && !carried::is_in(SDK_REQUEST.as_bytes()));
}

#[test]
fn a_request_that_is_read_and_written_again_means_the_same() {
    let request = decode(SDK_REQUEST).unwrap();
    let encoded = encode_request(&request, UPSTREAM).unwrap();
    assert_eq!(encoded.dropped, []);
    let again = decode_request(&encoded.body, &head(r#"{"contents":[{}]}"#).unwrap()).unwrap();
    assert_eq!(again, request);

    let request = decode(REQUEST).unwrap();
    let encoded = encode_request(&request, UPSTREAM).unwrap();
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    assert_eq!(
        dropped,
        [
            "reasoning",
            "contents[0].parts[5].mediaResolution",
            "tools[0].functionDeclarations[2].response",
            "generationConfig.mediaResolution",
        ]
    );
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let given: Value = serde_json::from_str(REQUEST).unwrap();
    for at in [
        "/safetySettings",
        "/labels",
        "/contents/1/parts/0",
        "/generationConfig/stopSequences",
        "/generationConfig/thinkingConfig",
    ] {
        assert_eq!(body.pointer(at), given.pointer(at), "{at}");
    }
    // One thought was another dialect's.
    let (call, given) = (&body["contents"][1]["parts"][2], &given["contents"][1]["parts"][3]);
    assert_eq!(call["functionCall"]["args"], given["functionCall"]["args"]);
    assert_eq!(call["thoughtSignature"], given["thoughtSignature"]);
}

#[test]
fn small_spellings_mean_what_they_should() {
    let effort = |word: &str| Some(ReasoningRequest::Effort(word.to_owned()));
    let rows = [
        (r#"{"thinkingLevel":"LOW"}"#, effort("low")),
        (r#"{"thinking_level":"minimal"}"#, effort("minimal")),
        (r#"{"thinkingBudget":0}"#, effort("none")),
        (r#"{"thinkingBudget":-1}"#, None),
        (r#"{"thinkingBudget":900}"#, Some(ReasoningRequest::Budget(900))),
        (r#"{"includeThoughts":true}"#, effort("medium")),
        (r#"{"includeThoughts":false}"#, None),
    ];
    for (config, wanted) in rows {
        let fields = format!(r#","generationConfig":{{"thinkingConfig":{config}}}"#);
        assert_eq!(decode(&with(&fields)).unwrap().reasoning, wanted, "{config}");
    }
    let calling = |config: &str| {
        let fields = format!(
            r#","tools":[{{"function_declarations":[{{"name":"a"}},{{"name":"b"}},{{"name":"c"}}]}}],"tool_config":{{"function_calling_config":{config}}}"#
        );
        let request = decode(&with(&fields)).unwrap();
        (request.tool_choice, request.tools.len())
    };
    assert_eq!(calling(r#"{"mode":"AUTO"}"#), (Some(ToolChoice::Auto), 3));
    assert_eq!(calling(r#"{"mode":"none"}"#), (Some(ToolChoice::None), 3));
    assert_eq!(
        calling(r#"{"mode":"ANY","allowed_function_names":["b"]}"#),
        (Some(ToolChoice::Named("b".into())), 3)
    );
    assert_eq!(
        calling(r#"{"mode":"ANY","allowed_function_names":["b","c"]}"#),
        (Some(ToolChoice::Required), 2)
    );
    let instructed = decode(&with(r#","systemInstruction":"short""#)).unwrap();
    assert!(matches!(&instructed.messages[0].parts[0], Part::Text { text, .. } if text == "short"));
}

#[test]
fn what_only_this_dialect_can_say_is_untranslatable_and_not_wrong() {
    let part = |part: &str| format!(r#"{{"contents":[{{"role":"model","parts":[{part}]}}]}}"#);
    for body in [
        with(r#","cachedContent":"cachedContents/1""#),
        with(r#","generationConfig":{"responseModalities":["IMAGE"]}"#),
        with(r#","generationConfig":{"responseMimeType":"text/x.enum"}"#),
        part(r#"{"executableCode":{"language":"PYTHON","code":"1"}}"#),
        part(r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK"}}"#),
        part(r#"{"inlineData":{"mimeType":"image/png","data":"AA=="}}"#),
    ] {
        assert_eq!(decode(&body).unwrap_err().code, Some(UNTRANSLATABLE), "{body}");
        assert!(head(&body).is_ok(), "it passes through: {body}");
    }
}

#[test]
fn wrong_requests_name_the_place() {
    let part = |part: &str| format!(r#"{{"contents":[{{"role":"user","parts":[{part}]}}]}}"#);
    let rows = [
        ("[]".to_owned(), "the body must be a JSON object"),
        ("{}".to_owned(), "`contents` is required"),
        (r#"{"contents":"hi"}"#.to_owned(), "`contents` must be an array"),
        (
            with(r#","generationConfig":{"temperature":"hot"}"#),
            "`generationConfig.temperature` must be a number",
        ),
        (
            with(r#","generationConfig":{"candidateCount":0}"#),
            "`generationConfig.candidateCount` must be between 1 and 128",
        ),
        (
            r#"{"contents":[{"role":"system","parts":[]}]}"#.to_owned(),
            "`contents[0].role` must be `user` or `model`",
        ),
        (
            part(r#"{"inlineData":{"data":"AA=="}}"#),
            "`contents[0].parts[0].inlineData.mimeType` is required",
        ),
        (
            part(r#"{"functionCall":{"name":"f"}}"#),
            "`contents[0].parts[0].functionCall` cannot stand in a turn of this role",
        ),
        (
            part(r#"{"functionResponse":{}}"#),
            "`contents[0].parts[0].functionResponse.name` is required",
        ),
        (
            with(r#","tools":[{"functionDeclarations":[{}]}]"#),
            "`tools[0].functionDeclarations[0].name` is required",
        ),
        (
            with(r#","toolConfig":{"functionCallingConfig":{"mode":"SOME"}}"#),
            "`toolConfig.functionCallingConfig.mode` must be `AUTO`, `ANY`, `NONE` or `VALIDATED`",
        ),
    ];
    for (body, wanted) in rows {
        let told = head(&body).and_then(|_| decode(&body)).unwrap_err();
        assert_eq!(told.message, wanted, "{body}");
    }
    assert_eq!(
        read_head(&Bytes::from_static(b"{}"), "", false)
            .unwrap_err()
            .param
            .as_deref(),
        Some("model")
    );
}

#[test]
fn another_dialect_tells_what_it_leaves_out() {
    let mut request = decode(REQUEST).unwrap();
    for message in &mut request.messages {
        message
            .parts
            .retain(|part| !matches!(part, Part::File { .. } | Part::Image { .. } | Part::Audio { .. }));
        for part in &mut message.parts {
            if let Part::ToolResult { content, .. } = part {
                content.retain(|part| matches!(part, Part::Text { .. }));
            }
        }
    }
    let encoded = dialect::encode_request(DialectName::OpenaiChat, &request, UPSTREAM).unwrap();
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    for name in [
        "safetySettings",
        "labels",
        "generationConfig.mediaResolution",
        "thought_signature",
        "reasoning",
    ] {
        assert!(dropped.contains(&name), "{name}: {dropped:?}");
    }
}

// Answers.

fn options() -> EncoderOptions {
    EncoderOptions {
        id: "call-1".into(),
        model: "asked".into(),
        ..EncoderOptions::default()
    }
}

fn raw<'a>(status: u16, body: &'a [u8], headers: &'a HeaderMap) -> RawAnswer<'a> {
    RawAnswer {
        status,
        headers,
        body,
        received: UnixMillis(0),
    }
}

#[test]
fn answers_that_are_read_and_written_again_mean_the_same() {
    let headers = HeaderMap::new();
    for text in ANSWERS {
        let mut once = decode_answer(raw(200, text.as_bytes(), &headers)).unwrap();
        // What this dialect's answers do not repeat.
        once.created = 0;
        once.service_tier = None;
        let written = encode_answer(&once, &options());
        let again = decode_answer(raw(200, &written, &headers)).unwrap();
        assert_eq!(again, once);
        let facts = inspect_answer(raw(200, text.as_bytes(), &headers)).unwrap();
        assert_eq!((facts.usage, facts.model), (once.usage, Some(once.model)));
    }
}

#[test]
fn an_answer_of_another_dialect_is_told_in_this_one() {
    let thought = |text: &str, signature: Option<&str>, redacted: Option<&str>| {
        AnswerPart::Reasoning(Reasoning {
            text: text.into(),
            signature: signature.map(str::to_owned),
            redacted: redacted.map(str::to_owned),
            origin: Some(DialectName::AnthropicMessages),
        })
    };
    let call = |id: &str, arguments: &str| {
        AnswerPart::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let parts = vec![
        thought("hm", Some("SIG"), None),
        thought("", None, Some("SEALED")),
        AnswerPart::Text { text: "Hello".into() },
        AnswerPart::Refusal { text: "No.".into() },
        call("toolu_1", r#"{"z":1.50,"a":2}"#),
        call("", ""),
        call("c", "{\"a\":"),
    ];
    let answer = ChatAnswer {
        choices: vec![Choice {
            parts: parts.clone(),
            finish: Some(FinishReason::ToolCalls),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 100,
            output: 20,
            cached_input: 60,
            cache_write_input: 10,
            reasoning: 5,
            ..Usage::default()
        }),
        ..ChatAnswer::default()
    };
    let text = String::from_utf8(encode_answer(&answer, &options())).unwrap();
    assert!(text.contains(r#""args":{"z":1.50,"a":2}"#), "as written: {text}");
    let written: Value = serde_json::from_str(&text).unwrap();
    let signed = "anVtcHNlYXQ6YW50aHJvcGljX21lc3NhZ2VzOnNpZ25lZDpTSUc=";
    let sealed = "anVtcHNlYXQ6YW50aHJvcGljX21lc3NhZ2VzOnNlYWxlZDpTRUFMRUQ=";
    let wanted = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "hm", "thought": true, "thoughtSignature": signed},
                {"text": "", "thought": true, "thoughtSignature": sealed},
                {"text": "Hello"},
                {"functionCall": {"id": "toolu_1", "name": "f", "args": {"z": 1.5, "a": 2}}},
                {"functionCall": {"id": "call_call-1_0_1", "name": "f", "args": {}}},
                {"functionCall": {"id": "c", "name": "f", "args": {"arguments": "{\"a\":"}}},
                {"text": "No."},
            ]},
            "finishReason": "STOP", "index": 0,
        }],
        "usageMetadata": {
            "promptTokenCount": 100, "candidatesTokenCount": 15, "totalTokenCount": 120,
            "thoughtsTokenCount": 5, "cachedContentTokenCount": 60,
        },
        "modelVersion": "asked", "responseId": "call-1",
    });
    assert_eq!(written, wanted);

    let body = json!({"contents": [{"parts": [{"text": "hi"}]}, written["candidates"][0]["content"]]});
    let request = decode(&body.to_string()).unwrap();
    for (at, part) in parts.iter().take(2).enumerate() {
        let AnswerPart::Reasoning(thought) = part else {
            panic!("{part:?}")
        };
        assert_eq!(request.messages[1].parts[at], Part::Reasoning(thought.clone()));
    }
}

// Streams.

fn events_of(stream: &[u8]) -> Vec<StreamEvent> {
    let mut decoder = StreamDecoder::new();
    decoder.push(stream);
    decoder.finish();
    assert_eq!(decoder.malformed(), 0, "{}", String::from_utf8_lossy(stream));
    std::iter::from_fn(|| decoder.poll()).collect()
}

fn encode(events: &[StreamEvent]) -> String {
    let mut encoder = StreamEncoder::new(options());
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn text(text: &str) -> StreamEvent {
    StreamEvent::Text {
        choice: 0,
        text: text.into(),
        logprobs: None,
    }
}

fn call(index: u32, id: &str) -> StreamEvent {
    StreamEvent::ToolCallStart {
        choice: 0,
        index,
        id: id.into(),
        name: "f".into(),
        signature: None,
    }
}

fn arguments(index: u32, piece: &str) -> StreamEvent {
    StreamEvent::ToolCallArguments {
        choice: 0,
        index,
        arguments: piece.into(),
    }
}

fn finish(reason: FinishReason) -> StreamEvent {
    StreamEvent::Finish { choice: 0, reason }
}

fn start() -> StreamEvent {
    StreamEvent::Start {
        id: "chatcmpl-1".into(),
        model: "gpt".into(),
        created: 1,
    }
}

#[test]
fn events_written_and_read_again_are_the_same_events() {
    let told = |events: &[StreamEvent]| {
        let (usage, rest): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|e| matches!(e, StreamEvent::Usage(_)));
        let rest = rest.into_iter().filter(|e| !matches!(e, StreamEvent::Ping));
        let rest = rest.map(|event| match event {
            StreamEvent::Start { id, model, .. } => StreamEvent::Start { id, model, created: 0 },
            event => event,
        });
        (usage.last().cloned(), rest.collect::<Vec<_>>())
    };
    for (name, stream) in STREAMS {
        let events = events_of(stream.as_bytes());
        let written = encode(&events);
        assert_eq!(told(&events_of(written.as_bytes())), told(&events), "{name}: {written}");
    }
}

#[test]
fn a_written_stream_has_the_documents_shape() {
    let usage = Usage {
        input: 9,
        output: 3,
        ..Usage::default()
    };
    let stream = encode(&[
        start(),
        StreamEvent::Ping,
        text(""),
        text("a"),
        call(0, "x"),
        call(1, ""),
        arguments(0, "{\"k\":"),
        arguments(1, "{}"),
        arguments(0, "1}"),
        finish(FinishReason::ToolCalls),
        StreamEvent::Usage(usage),
        StreamEvent::End,
    ]);
    let tail = r#","modelVersion":"gpt","responseId":"chatcmpl-1"}"#;
    let chunk = |part: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{part}]}},\"index\":0}}]{tail}\n\n"
        )
    };
    let wanted = [
        chunk(r#"{"text":"a"}"#),
        chunk(r#"{"functionCall":{"id":"x","name":"f","args":{"k":1}}}"#),
        chunk(r#"{"functionCall":{"id":"call_chatcmpl-1_0_1","name":"f","args":{}}}"#),
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"\"}}]}},\"finishReason\":\"STOP\",\"index\":0}}],\
             \"usageMetadata\":{{\"promptTokenCount\":9,\"candidatesTokenCount\":3,\"totalTokenCount\":12}}{tail}\n\n"
        ),
    ];
    assert_eq!(stream, wanted.concat());
}

#[test]
fn a_refusal_is_text_or_the_filters_message() {
    let refused = |reason| {
        let refusal = StreamEvent::Refusal {
            choice: 0,
            text: "No.".into(),
        };
        let stream = encode(&[start(), refusal, finish(reason), StreamEvent::End]);
        let last: Value = serde_json::from_str(stream.trim().strip_prefix("data: ").unwrap()).unwrap();
        let candidate = &last["candidates"][0];
        format!(
            "{} {} {}",
            candidate["finishReason"], candidate["finishMessage"], candidate["content"]["parts"]
        )
    };
    assert_eq!(refused(FinishReason::Stop), r#""STOP" null [{"text":"No."}]"#);
    assert_eq!(refused(FinishReason::ContentFilter), r#""SAFETY" "No." [{"text":""}]"#);
}

// Streams that pass.

fn pass(chunks: &[&[u8]]) -> (PassScanner<PassJudge>, String, String) {
    let mut scanner = PassScanner::new(PassJudge::new());
    let (mut passed, mut kinds) = (Vec::new(), String::new());
    for chunk in chunks.iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => scanner.push(Bytes::copy_from_slice(chunk)),
            None => scanner.finish(),
        }
        while let Some(piece) = scanner.poll() {
            match piece {
                Passed::Preamble(bytes) => {
                    kinds.push('p');
                    passed.extend_from_slice(&bytes);
                }
                Passed::Content(bytes) => {
                    kinds.push('c');
                    passed.extend_from_slice(&bytes);
                }
                Passed::Done(bytes) => {
                    kinds.push('d');
                    passed.extend_from_slice(&bytes);
                }
                Passed::Error(failure) => kinds.push_str(&format!("e:{}", failure.class.as_str())),
            }
        }
    }
    (scanner, String::from_utf8_lossy(&passed).into_owned(), kinds)
}

#[test]
fn a_stream_passes_as_it_came_wherever_it_is_cut() {
    for (name, stream) in STREAMS {
        let (scanner, passed, kinds) = pass(&[stream.as_bytes()]);
        assert_eq!((passed.trim_end(), kinds.as_str()), (stream.trim_end(), "cd"), "{name}");
        let events = events_of(stream.as_bytes());
        let usage = events.iter().rev().find_map(|event| match event {
            StreamEvent::Usage(usage) => Some(*usage),
            _ => None,
        });
        let finish = scanner.facts().finish.unwrap();
        assert!(
            events
                .iter()
                .any(|event| matches!(event, StreamEvent::Finish { reason, .. } if *reason == finish))
        );
        assert_eq!(scanner.facts().usage, usage, "{name}");
        assert!(scanner.facts().id.is_some() && scanner.facts().model.is_some());
        for cut in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            let (other, passed, kinds) = pass(&[a, b]);
            assert_eq!(passed.trim_end(), stream.trim_end(), "{name} cut at {cut}");
            assert_eq!(other.facts(), scanner.facts());
            assert!(kinds.ends_with('d'));
        }
    }
}

#[test]
fn what_is_no_good_stream_is_told() {
    for stream in BROKEN {
        let Some(StreamEvent::Error(failure)) = events_of(stream.as_bytes()).pop() else {
            panic!("no error: {stream}")
        };
        let (_, _, kinds) = pass(&[stream.as_bytes()]);
        assert!(
            kinds.ends_with(&format!("e:{}", failure.class.as_str())),
            "{kinds}: {stream}"
        );
    }
    let hi = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"},"index":0}]}"#;
    let head = r#"{"usageMetadata":{"promptTokenCount":1},"responseId":"r"}"#;
    let stop = r#"{"candidates":[{"finishReason":"STOP"}]}"#;
    let rows: &[(&[&str], &str)] = &[
        (&[head, hi, stop], "pccd"),
        (&[hi], "ce:stream_broken"),
        (&[head], "pe:bad_response"),
        (&[], "e:stream_broken"),
        (&["<html>"], "e:bad_response"),
        (
            &[hi, r#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}"#],
            "ce:overloaded",
        ),
    ];
    for (data, wanted) in rows {
        let frames: Vec<String> = data.iter().map(|data| format!("data: {data}\n\n")).collect();
        let chunks: Vec<&[u8]> = frames.iter().map(|frame| frame.as_bytes()).collect();
        assert_eq!(pass(&chunks).2, *wanted, "{data:?}");
    }
}

// Counts and errors.

#[test]
fn a_question_for_a_count_holds_the_whole_request() {
    let request = decode(SDK_REQUEST).unwrap();
    let encoded = dialect::encode_count_request(DialectName::Gemini, &request, UPSTREAM).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let inner = &body["generateContentRequest"];
    assert_eq!(inner["model"], "models/gemini-3-pro");
    assert!(inner["contents"].is_array() && inner["systemInstruction"].is_object());
    let headers = HeaderMap::new();
    let reply = |status, body: &[u8]| dialect::decode_count(DialectName::Gemini, raw(status, body, &headers)).unwrap();
    assert_eq!(reply(200, &jumpseat_wire::gemini::count::encode_count(7)), Ok(7));
    assert_eq!(reply(200, b"{}").unwrap_err().class, OutcomeClass::BadResponse);
    assert_eq!(reply(503, b"{}").unwrap_err().class, OutcomeClass::Overloaded);
}

#[test]
fn errors_have_googles_shape() {
    let attempts = [AttemptSummary {
        target: "openai/gpt".into(),
        outcome: OutcomeClass::Overloaded,
        latency_ms: 12,
    }];
    let rows = [
        (OutcomeClass::InvalidRequest, 400, "INVALID_ARGUMENT"),
        (OutcomeClass::ModelNotFound, 404, "NOT_FOUND"),
        (OutcomeClass::RateLimited, 429, "RESOURCE_EXHAUSTED"),
        (OutcomeClass::QuotaExhausted, 429, "RESOURCE_EXHAUSTED"),
        (OutcomeClass::Auth, 502, "UNAVAILABLE"),
        (OutcomeClass::Overloaded, 503, "UNAVAILABLE"),
        (OutcomeClass::Timeout, 504, "DEADLINE_EXCEEDED"),
        (OutcomeClass::Success, 500, "INTERNAL"),
    ];
    for (class, status, word) in rows {
        let error = CallError {
            id: "call-1",
            class,
            timeout: None,
            provider_status: Some(400),
            message: "what it said",
            code: None,
            param: None,
            attempts: &attempts,
            named_target: true,
        };
        let body: Value = serde_json::from_slice(&error_body(&error)).unwrap();
        assert_eq!(
            (&body["error"]["code"], &body["error"]["status"]),
            (&json!(status), &json!(word))
        );
        assert_eq!(body["error"]["attempts"][0]["target"], "openai/gpt");
        let event = String::from_utf8(error_event(&error)).unwrap();
        // The official SDK knows an error in a stream by these very bytes.
        assert!(event.starts_with("data: {\"error\":"));
        let data = event.strip_prefix("data: ").unwrap();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap(), body);
    }
    let told: Value = serde_json::from_slice(&refusal(401, &BadRequest::param("key", "no"))).unwrap();
    let violations = json!([{"field": "key", "description": "no"}]);
    let wanted = json!({"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED", "details": [
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations},
    ]}});
    assert_eq!(told, wanted);
}

// Anything.

proptest! {
    #[test]
    fn no_body_panics(body in "\\PC{0,60}|[\\{\\}\\[\\]\":,a-z0-9]{0,80}") {
        let _ = head(&body);
        let _ = decode(&body);
        let _ = pass(&[body.as_bytes(), b"\n\ndata: ", body.as_bytes(), b"\n\n"]);
    }

    #[test]
    fn a_full_request_with_a_piece_missing_is_read_or_complained_of(at in 0..3000usize, length in 0..40usize) {
        let mut body = REQUEST.as_bytes().to_vec();
        let at = at.min(body.len());
        body.drain(at..(at + length).min(REQUEST.len()));
        let body = String::from_utf8_lossy(&body).into_owned();
        if let (Ok(read), Ok(request)) = (head(&body), decode(&body)) {
            prop_assert_eq!(read.features, request.features());
        }
    }

    #[test]
    fn whatever_comes_the_stream_says_all_the_text(pieces in proptest::collection::vec((0u8..4, 0u32..3, "[a-z{}\":]{0,4}"), 0..30)) {
        let mut events = vec![start()];
        for (kind, index, word) in &pieces {
            events.push(match kind {
                0 => text(word),
                1 => call(*index, "id"),
                2 => arguments(*index, word),
                _ => StreamEvent::Ping,
            });
        }
        events.extend([finish(FinishReason::Stop), StreamEvent::End]);
        let written = encode(&events);
        let said = |events: &[StreamEvent]| events.iter().filter_map(|e| match e {
            StreamEvent::Text { text, .. } => Some(text.clone()),
            _ => None,
        }).collect::<String>();
        let again = events_of(written.as_bytes());
        prop_assert_eq!(said(&again), said(&events));
        prop_assert_eq!(again.last(), Some(&StreamEvent::End));
        prop_assert!(pass(&[written.as_bytes()]).2.ends_with('d'));
    }
}
