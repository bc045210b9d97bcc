//! The Messages API as its clients meet it: requests in, answers, streams and errors out, and the pass-through.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jumpseat_wire::anthropic_messages::{
    PassJudge, StreamDecoder, StreamEncoder, carried, count, decode_answer, decode_request, encode_answer,
    encode_request, error_body, error_event, error_status, inspect_answer, read_head, refusal,
};
use jumpseat_wire::call_error::{AttemptSummary, CallError};
use jumpseat_wire::dialect;
use jumpseat_wire::framing::pass::{Pass, PassScanner, Passed};
use jumpseat_wire::head::{Head, MEDIA_CHARS};
use jumpseat_wire::request::{BadRequest, UNTRANSLATABLE, UpstreamModel};
use jumpseat_wire::response::{Decode, Encode, EncoderOptions, RawAnswer};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{ChatRequest, Part, Reasoning, ReasoningRequest, Role, ToolCall, ToolChoice};
use types::dialect::{DialectName, Operation};
use types::event::StreamEvent;
use types::features::Features;
use types::outcome::{Failure, OutcomeClass};
use types::time::UnixMillis;
use types::usage::Usage;

const REQUEST: &str = include_str!("../../golden/anthropic_messages/client_full.json");
const ANSWERS: [&str; 2] = [
    include_str!("../../golden/anthropic_messages/answer_full.json"),
    include_str!("../../golden/anthropic_messages/answer_refusal.json"),
];
const STREAM: &str = include_str!("../../golden/anthropic_messages/stream_full.sse");
const OVERLOADED: &str = include_str!("../../golden/anthropic_messages/stream_overloaded.sse");
const UPSTREAM: UpstreamModel<'_> = UpstreamModel {
    model: "claude-opus-4-6",
    max_output_default: 4096,
    reasoning: true,
};

// Heads.

fn head_of(version: &'static str, operation: Operation, body: &str) -> Result<Head, BadRequest> {
    let mut headers = HeaderMap::new();
    if !version.is_empty() {
        headers.insert("anthropic-version", HeaderValue::from_static(version));
    }
    read_head(&Bytes::copy_from_slice(body.as_bytes()), &headers, operation)
}

fn head(body: &str) -> Result<Head, BadRequest> {
    head_of("2023-06-01", Operation::Generate, body)
}

fn with(fields: &str) -> String {
    format!(r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
}

#[test]
fn routing_facts_are_read() {
    let read = head(REQUEST).unwrap();
    let features = decode_request(REQUEST.as_bytes()).unwrap().features();
    assert_eq!(read.features, features);
    assert_eq!(
        (read.max_output_tokens, read.stream, read.include_usage),
        (Some(2048), true, true)
    );
    assert_eq!((read.messages, read.n, read.model.as_str()), (4, 1, "claude-opus-4-6"));
    assert!(
        read.prompt_chars > 4 * MEDIA_CHARS && read.prompt_chars < 6 * MEDIA_CHARS,
        "{}",
        read.prompt_chars
    );

    let prefilled = r#"{"messages":[{"role":"user","content":"hi"},{"content":[{"type":"text","text":"The"}],"role":"assistant"}],"model":"m","max_tokens":5}"#;
    assert_eq!(head(prefilled).unwrap().features, Features::PREFILL);
    let rows = [
        (
            r#","thinking":{"type":"enabled","budget_tokens":1024}"#,
            Features::REASONING,
        ),
        (
            r#","thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
            Features::NONE,
        ),
        (
            r#","thinking":{"type":"disabled"},"output_config":{"effort":"low"}"#,
            Features::NONE,
        ),
        (r#","output_config":{"effort":"low"}"#, Features::REASONING),
        (
            r#","output_format":{"type":"json_schema","schema":{}}"#,
            Features::JSON_SCHEMA,
        ),
        (r#","tools":[{"name":"f","input_schema":{}}]"#, Features::TOOLS),
        (r#","temperature":1,"unknown":{"model":"x"}"#, Features::NONE),
    ];
    for (fields, features) in rows {
        assert_eq!(head(&with(fields)).unwrap().features, features, "{fields}");
    }
}

#[test]
fn only_the_model_is_replaced_when_a_body_passes() {
    let body = Bytes::from_static(REQUEST.as_bytes());
    let read = head(REQUEST).unwrap();
    let spliced = read.splice(&body, "claude-x", true);
    assert_eq!(
        std::str::from_utf8(&spliced).unwrap(),
        REQUEST.replacen("claude-opus-4-6", "claude-x", 1)
    );
    assert_eq!(read.splice(&body, "claude-opus-4-6", true), body);
}

#[test]
fn wrong_heads_name_the_place() {
    let message = |content: &str| format!(r#"{{"model":"m","max_tokens":5,"messages":[{content}]}}"#);
    let rows = [
        ("[]".to_owned(), "the body must be a JSON object"),
        (r#"{"model":"m"}"#.to_owned(), "`messages` is required"),
        (
            r#"{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#.to_owned(),
            "`model` is required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#.to_owned(),
            "`max_tokens` is required",
        ),
        (with(r#","max_tokens":0"#), "`max_tokens` must be at least 1"),
        (with(r#","stream":"yes""#), "`stream` must be true or false"),
        (message(""), "`messages` must hold at least one message"),
        (message(r#"{"content":"x"}"#), "`messages[0].role` is required"),
        (
            message(r#"{"role":"tool","content":"x"}"#),
            "`messages[0].role` must be `user`, `assistant` or `system`",
        ),
        (message(r#"{"role":"user"}"#), "`messages[0].content` is required"),
        (
            message(r#"{"role":"user","content":7}"#),
            "`messages[0].content` must be a string or an array of blocks",
        ),
        (
            message(r#"{"role":"user","content":[{"text":"x"}]}"#),
            "`messages[0].content[0].type` is required",
        ),
        (
            message(r#"{"role":"user","content":[{"type":"tool_result","content":[{"type":1}]}]}"#),
            "`messages[0].content[0].content[0].type` must be a string",
        ),
        (
            r#"{"model":"m","#.to_owned(),
            "the body is not valid JSON: expected a name in quotes (line 1, column 14)",
        ),
    ];
    for (body, wanted) in rows {
        assert_eq!(head(&body).unwrap_err().message, wanted, "{body}");
    }
}

#[test]
fn a_count_needs_no_output_limit() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(
        head_of("2023-06-01", Operation::CountTokens, body)
            .unwrap()
            .max_output_tokens,
        None
    );
    assert_eq!(decode_request(body.as_bytes()).unwrap().max_output_tokens, None);
}

#[test]
fn each_version_takes_what_its_document_says() {
    let cited = r#"{"model":"m","max_tokens":5,"messages":[{"content":[{"type":"text","text":"x","citations":[{"type":"char_location"}]}],"role":"user"}]}"#;
    let document = r#"{"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":[{"type":"document","source":{"type":"url","url":"https://x"}}]}]}"#;
    let (old, new) = ("2023-06-01", "2026-10-21");
    let rows = [
        (old, with(r#","temperature":1.0"#), None),
        (new, with(r#","temperature":1.0"#), Some("temperature")),
        (new, with(r#","top_p":1"#), Some("top_p")),
        (new, with(r#","top_k":5"#), Some("top_k")),
        (new, with(r#","top_k":null"#), None),
        (new, with(""), None),
        (old, cited.to_owned(), None),
        (new, cited.to_owned(), Some("messages[0].content")),
        (new, cited.replace(r#"[{"type":"char_location"}]"#, "[]"), None),
        (old, document.to_owned(), None),
        (new, document.to_owned(), Some("messages[0].content")),
        (new, document.replace("assistant", "user"), None),
        ("2024-01-01", with(""), Some("anthropic-version")),
        ("", with(""), Some("anthropic-version")),
    ];
    for (version, body, param) in rows {
        let told = head_of(version, Operation::Generate, &body).err();
        assert_eq!(told.and_then(|bad| bad.param).as_deref(), param, "{version} {body}");
    }
}

// Requests.

#[test]
fn everything_a_request_says_is_read() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    insta::assert_snapshot!(
        "anthropic_client_full_neutral",
        serde_json::to_string_pretty(&request).unwrap()
    );
}

#[test]
fn a_request_that_is_read_and_written_again_means_the_same() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    let encoded = encode_request(
        &ChatRequest {
            tool_choice: None,
            ..request
        },
        UPSTREAM,
    )
    .unwrap();
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    assert_eq!(
        dropped,
        [
            "reasoning",
            "reasoning_effort",
            "temperature",
            "top_k",
            "messages[0].content[3].context",
            "messages[0].content[3].citations",
            "tools[1].eager_input_streaming",
        ]
    );
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let given: Value = serde_json::from_str(REQUEST).unwrap();
    for at in [
        "/model",
        "/max_tokens",
        "/system",
        "/messages/0/content/0",
        "/messages/0/content/1",
        "/messages/0/content/4",
        "/messages/0/content/6",
        "/messages/1/content/0",
        "/messages/1/content/1",
        "/messages/2/content/2",
        "/tools/0/input_schema/properties",
        "/tools/0/strict",
        "/output_config/format",
        "/stop_sequences",
        "/metadata",
        "/service_tier",
        "/cache_control",
        "/stream",
    ] {
        assert_eq!(body.pointer(at), given.pointer(at), "{at}");
    }
    // This model takes no budget, and shows its thinking as asked.
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "omitted"}));
}

#[test]
fn small_spellings_mean_what_they_should() {
    let of = |fields: &str| decode_request(with(fields).as_bytes()).unwrap();
    let effort = |word: &str| Some(ReasoningRequest::Effort(word.to_owned()));
    let rows = [
        (r#","thinking":{"type":"adaptive"}"#, effort("high")),
        (
            r#","thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#,
            effort("low"),
        ),
        (r#","thinking":{"type":"disabled"}"#, effort("none")),
        (r#","thinking":{"type":"between_tools"}"#, effort("none")),
        (
            r#","thinking":{"type":"enabled","budget_tokens":2000}"#,
            Some(ReasoningRequest::Budget(2000)),
        ),
        (r#","output_config":{"effort":"max"}"#, effort("max")),
        (r#","thinking":null"#, None),
    ];
    for (fields, wanted) in rows {
        assert_eq!(of(fields).reasoning, wanted, "{fields}");
    }
    let choice = of(r#","tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}"#);
    assert_eq!(choice.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    assert_eq!(choice.parallel_tool_calls, Some(false));
    assert_eq!(of(r#","system":"s""#).messages[0].role, Role::System);
    assert_eq!(of(r#","mcp_servers":[]"#).extra, []);
}

#[test]
fn another_dialect_tells_what_it_leaves_out() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    let (mut openai, gemini) = (request.clone(), request);
    // What chat completions cannot say at all.
    for message in &mut openai.messages {
        message.parts.retain(|part| !matches!(part, Part::File { .. }));
        for part in &mut message.parts {
            if let Part::ToolResult { content, .. } = part {
                content.retain(|part| matches!(part, Part::Text { .. }));
            }
        }
    }
    let told = |name: DialectName, request: &ChatRequest| {
        let encoded = dialect::encode_request(name, request, UPSTREAM).map_err(|no| no.to_string());
        encoded.map(|encoded| encoded.dropped.into_iter().map(|d| d.0).collect::<Vec<_>>())
    };
    let dropped = told(DialectName::OpenaiChat, &openai).unwrap();
    for name in [
        "cache_control",
        "service_tier",
        "top_k",
        "reasoning",
        "is_error",
        "thinking.display",
    ] {
        assert!(dropped.iter().any(|d| d == name), "{name}: {dropped:?}");
    }
    assert_eq!(
        told(DialectName::Gemini, &gemini).unwrap_err(),
        "gemini cannot express a file that is neither inline nor at an https or gs address (uploads to another provider)"
    );
}

#[test]
fn what_only_this_dialect_can_say_is_untranslatable_and_not_wrong() {
    let content =
        |block: &str| format!(r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":[{block}]}}]}}"#);
    for body in [
        content(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#),
        content(r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#),
        content(r#"{"type":"container_upload","file_id":"f"}"#),
        content(r#"{"type":"image","source":{"type":"tomorrow"}}"#),
    ] {
        assert_eq!(
            decode_request(body.as_bytes()).unwrap_err().code,
            Some(UNTRANSLATABLE),
            "{body}"
        );
        assert!(head(&body).is_ok(), "it passes through: {body}");
    }
}

#[test]
fn wrong_requests_name_the_place() {
    let content = |block: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{block}]}}]}}"#);
    let rows = [
        (with(r#","temperature":"hot""#), "`temperature` must be a number"),
        (with(r#","tools":[{"input_schema":{}}]"#), "`tools[0].name` is required"),
        (
            with(r#","tools":[{"name":"f"}]"#),
            "`tools[0].input_schema` is required",
        ),
        (
            with(r#","tool_choice":{"type":"some"}"#),
            "`tool_choice.type` must be `auto`, `any`, `tool` or `none`",
        ),
        (
            with(r#","thinking":{"type":"enabled"}"#),
            "`thinking.budget_tokens` is required",
        ),
        (
            with(r#","output_config":{"format":{"type":"xml"}}"#),
            "`output_config.format.type` must be `json_schema`",
        ),
        (
            content(r#"{"type":"image"}"#),
            "`messages[0].content[0].source` is required",
        ),
        (
            content(r#"{"type":"image","source":{"type":"base64","data":"x"}}"#),
            "`messages[0].content[0].source.media_type` is required",
        ),
        (
            content(r#"{"type":"tool_result"}"#),
            "`messages[0].content[0].tool_use_id` is required",
        ),
        (
            content(r#"{"type":"tool_use","id":"a","name":"f","input":{}}"#),
            "`messages[0].content` holds what a turn of this role cannot (block 0)",
        ),
        (
            content(
                r#"{"type":"document","source":{"type":"content","content":[{"type":"tool_result","tool_use_id":"x"}]}}"#,
            ),
            "`messages[0].content[0].source.content` must hold nothing but text and images",
        ),
    ];
    for (body, wanted) in rows {
        assert_eq!(decode_request(body.as_bytes()).unwrap_err().message, wanted, "{body}");
    }
}

#[test]
fn a_body_with_foreign_signatures_is_known() {
    assert!(carried::is_in(REQUEST.as_bytes()));
    assert!(!carried::is_in(with("").as_bytes()));
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

fn inspect(status: u16, body: &str) -> Result<jumpseat_wire::response::AnswerFacts, Failure> {
    inspect_answer(raw(status, body.as_bytes(), &HeaderMap::new()))
}

#[test]
fn answers_that_are_read_and_written_again_mean_the_same() {
    let headers = HeaderMap::new();
    for text in ANSWERS {
        let once = decode_answer(raw(200, text.as_bytes(), &headers)).unwrap();
        let written = encode_answer(&once, &options());
        let again = decode_answer(raw(200, &written, &headers)).unwrap();
        assert_eq!(again, once);
        let facts = inspect(200, text).unwrap();
        assert_eq!((facts.usage, facts.model), (once.usage, Some(once.model)));
        assert_eq!(facts.finish, once.choices[0].finish);
    }
    assert!(inspect(200, ANSWERS[1]).unwrap().filtered);
    for (status, body, class) in [
        (200, "", OutcomeClass::BadResponse),
        (200, "{}", OutcomeClass::BadResponse),
        (
            200,
            r#"{"type":"message","content":[],"stop_reason":null}"#,
            OutcomeClass::BadResponse,
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            OutcomeClass::Overloaded,
        ),
        (
            200,
            r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#,
            OutcomeClass::ServerError,
        ),
    ] {
        assert_eq!(inspect(status, body).unwrap_err().class, class, "{status} {body}");
    }
}

/// An answer of another dialect with everything in it.
fn foreign() -> ChatAnswer {
    ChatAnswer {
        id: "resp-1".into(),
        model: "gemini-3-pro".into(),
        created: 5,
        choices: vec![Choice {
            index: 0,
            parts: vec![
                AnswerPart::Reasoning(Reasoning {
                    text: "hm".into(),
                    signature: Some("c2ln".into()),
                    redacted: None,
                    origin: Some(DialectName::Gemini),
                }),
                AnswerPart::Reasoning(Reasoning {
                    text: "nobody signed".into(),
                    ..Reasoning::default()
                }),
                AnswerPart::Text { text: "Hello".into() },
                AnswerPart::ToolCall(ToolCall {
                    id: "functions.look:0".into(),
                    name: "look".into(),
                    arguments: r#"{"z":1,"a":2}"#.into(),
                    signature: Some("Z2Vt".into()),
                }),
                AnswerPart::ToolCall(ToolCall {
                    id: String::new(),
                    name: "stop".into(),
                    arguments: String::new(),
                    signature: None,
                }),
                AnswerPart::ToolCall(ToolCall {
                    id: "c".into(),
                    name: "broken".into(),
                    arguments: "{\"a\":".into(),
                    signature: None,
                }),
            ],
            finish: Some(FinishReason::Stop),
            logprobs: None,
        }],
        usage: Some(Usage {
            input: 100,
            output: 20,
            cached_input: 60,
            cache_write_input: 10,
            reasoning: 5,
            ..Usage::default()
        }),
        fingerprint: None,
        service_tier: Some("default".into()),
    }
}

#[test]
fn an_answer_of_another_dialect_is_told_in_this_one() {
    let written: Value = serde_json::from_slice(&encode_answer(&foreign(), &options())).unwrap();
    let wanted = json!({
        "id": "msg_call-1", "type": "message", "role": "assistant", "model": "gemini-3-pro",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "jumpseat:gemini:c2ln"},
            {"type": "thinking", "thinking": "nobody signed", "signature": "jumpseat:unsigned:"},
            {"type": "text", "text": "Hello", "citations": null},
            {"type": "redacted_thinking", "data": "jumpseat:call:Z2Vt"},
            {"type": "tool_use", "id": "functions_look_0", "name": "look", "input": {"z": 1, "a": 2}},
            {"type": "tool_use", "id": "toolu_call-1_1", "name": "stop", "input": {}},
            {"type": "tool_use", "id": "c", "name": "broken", "input": {"invalid_arguments": "{\"a\":"}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null, "stop_details": null,
        "usage": {
            "input_tokens": 30, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 60, "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 5},
        },
    });
    assert_eq!(written, wanted);

    // A client hands it back as it came, and every signature finds its owner.
    let body = json!({"model": "m", "max_tokens": 5, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": written["content"]},
    ]});
    let request = decode_request(body.to_string().as_bytes()).unwrap();
    let parts = &request.messages[1].parts;
    assert!(
        matches!(&parts[0], Part::Reasoning(Reasoning { signature: Some(s), origin: Some(DialectName::Gemini), .. }) if s == "c2ln")
    );
    assert!(matches!(
        &parts[1],
        Part::Reasoning(Reasoning {
            signature: None,
            origin: None,
            ..
        })
    ));
    assert!(matches!(&parts[3], Part::ToolCall(ToolCall { signature: Some(s), .. }) if s == "Z2Vt"));
    assert!(matches!(&parts[4], Part::ToolCall(ToolCall { signature: None, .. })));
}

#[test]
fn every_end_has_its_word() {
    let end = |finish, parts: Vec<AnswerPart>| {
        let answer = ChatAnswer {
            choices: vec![Choice {
                parts,
                finish,
                ..Choice::default()
            }],
            ..ChatAnswer::default()
        };
        let written: Value = serde_json::from_slice(&encode_answer(&answer, &options())).unwrap();
        assert_eq!(written["model"], "asked");
        format!(
            "{} {} {}",
            written["stop_reason"], written["stop_details"], written["content"]
        )
    };
    let refused = || vec![AnswerPart::Refusal { text: "No.".into() }];
    let rows = [
        (end(Some(FinishReason::Stop), vec![]), r#""end_turn" null []"#),
        (end(None, vec![]), r#""end_turn" null []"#),
        (end(Some(FinishReason::Length), vec![]), r#""max_tokens" null []"#),
        (end(Some(FinishReason::Malformed), vec![]), r#""end_turn" null []"#),
        (
            end(Some(FinishReason::ContentFilter), refused()),
            r#""refusal" {"type":"refusal","category":null,"explanation":"No."} []"#,
        ),
        (
            end(Some(FinishReason::Stop), refused()),
            r#""refusal" {"type":"refusal","category":null,"explanation":"No."} [{"type":"text","text":"No.","citations":null}]"#,
        ),
    ];
    for (got, wanted) in rows {
        assert_eq!(got, wanted);
    }
}

// Streams.

fn decode(stream: &[u8]) -> Vec<StreamEvent> {
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

fn start() -> StreamEvent {
    StreamEvent::Start {
        id: "chatcmpl-1".into(),
        model: "gpt".into(),
        created: 1,
    }
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

fn reasoning(text: &str) -> StreamEvent {
    StreamEvent::Reasoning {
        choice: 0,
        text: text.into(),
    }
}

fn signed(signature: Option<&str>, redacted: Option<&str>, origin: DialectName) -> StreamEvent {
    StreamEvent::ReasoningSignature {
        choice: 0,
        signature: signature.map(str::to_owned),
        redacted: redacted.map(str::to_owned),
        origin,
    }
}

/// The stream in short: one word a frame.
fn short(stream: &str) -> String {
    let mut words = Vec::new();
    for frame in stream.split_terminator("\n\n") {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        let index = &data["index"];
        words.push(match data["type"].as_str().unwrap() {
            "content_block_start" => {
                let block = &data["content_block"];
                let what = [&block["id"], &block["data"]].into_iter().find_map(Value::as_str);
                format!(
                    "{index}[{}{}",
                    block["type"].as_str().unwrap(),
                    what.map(|w| format!(" {w}")).unwrap_or_default()
                )
            }
            "content_block_delta" => {
                let delta = data["delta"].as_object().unwrap();
                let said = delta.iter().find(|(name, _)| *name != "type").unwrap();
                format!("{index}:{}", said.1.as_str().unwrap())
            }
            "content_block_stop" => format!("{index}]"),
            "message_delta" => format!("({})", data["delta"]["stop_reason"].as_str().unwrap()),
            other => other.to_owned(),
        });
    }
    words.join(" ")
}

#[test]
fn blocks_come_strictly_one_after_another() {
    let rows: &[(&str, Vec<StreamEvent>, &str)] = &[
        (
            "text",
            vec![
                start(),
                text(""),
                text("a"),
                text("b"),
                finish(FinishReason::Stop),
                StreamEvent::End,
            ],
            "message_start 0[text 0:a 0:b 0] (end_turn) message_stop",
        ),
        (
            "nothing",
            vec![start(), finish(FinishReason::Length), StreamEvent::End],
            "message_start (max_tokens) message_stop",
        ),
        (
            "pings",
            vec![start(), StreamEvent::Ping, text("a"), StreamEvent::Ping],
            "message_start ping 0[text 0:a ping",
        ),
        (
            "thinking of our own, of others and of nobody",
            vec![
                start(),
                reasoning("a"),
                signed(Some("S"), None, DialectName::AnthropicMessages),
                signed(None, Some("D"), DialectName::AnthropicMessages),
                reasoning("b"),
                signed(Some("G"), None, DialectName::Gemini),
                reasoning("c"),
                text("t"),
                signed(Some("T"), None, DialectName::Gemini),
                finish(FinishReason::Stop),
                StreamEvent::End,
            ],
            "message_start 0[thinking 0:a 0:S 0] 1[redacted_thinking D 1] 2[thinking 2:b 2:jumpseat:gemini:G 2] \
             3[thinking 3:c 3:jumpseat:unsigned: 3] 4[text 4:t 4] 5[thinking 5:jumpseat:gemini:T 5] (end_turn) message_stop",
        ),
        (
            "parallel calls one by one go out as they come",
            vec![
                start(),
                call(0, "a"),
                arguments(0, "{\"x\""),
                arguments(0, ":1}"),
                call(1, "b"),
                arguments(1, "{}"),
            ],
            "message_start 0[tool_use a 0:{\"x\" 0::1} 0] 1[tool_use b 1:{}",
        ),
        (
            "interleaved calls wait for each other",
            vec![
                start(),
                text("t"),
                call(0, "a"),
                call(1, "b"),
                arguments(0, "{\"x\":"),
                arguments(1, "{\"y\""),
                arguments(0, "1}"),
                arguments(1, ":2}"),
                finish(FinishReason::ToolCalls),
                StreamEvent::End,
            ],
            "message_start 0[text 0:t 0] 1[tool_use a 1:{\"x\": 1:1} 1] 2[tool_use b 2:{\"y\" 2::2} 2] (tool_use) message_stop",
        ),
        (
            "text among the pieces of a call waits too, and a call without arguments is closed at the end",
            vec![
                start(),
                call(0, ""),
                text("t"),
                arguments(0, "{}"),
                call(1, "x:1"),
                finish(FinishReason::Stop),
                StreamEvent::End,
            ],
            "message_start 0[tool_use toolu_call-1_0 0:{} 0] 1[text 1:t 1] 2[tool_use x_1 2] (tool_use) message_stop",
        ),
        (
            "a refusal in words",
            vec![
                start(),
                StreamEvent::Refusal {
                    choice: 0,
                    text: "No.".into(),
                },
                finish(FinishReason::Stop),
                StreamEvent::End,
            ],
            "message_start 0[text 0:No. 0] (refusal) message_stop",
        ),
        (
            "an error ends it without a word",
            vec![
                start(),
                text("a"),
                StreamEvent::Error(Failure::new(OutcomeClass::ServerError, "x")),
            ],
            "message_start 0[text 0:a",
        ),
    ];
    for (name, events, wanted) in rows {
        assert_eq!(short(&encode(events)), *wanted, "{name}");
    }
}

#[test]
fn a_written_stream_has_the_documents_words() {
    let usage = |output| {
        StreamEvent::Usage(Usage {
            input: 10,
            output,
            cached_input: 4,
            cache_write_input: 1,
            reasoning: 0,
            ..Usage::default()
        })
    };
    let stream = encode(&[
        start(),
        usage(1),
        text("a"),
        finish(FinishReason::Stop),
        usage(7),
        StreamEvent::End,
    ]);
    let wanted = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_call-1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null,\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":1,\"cache_read_input_tokens\":4,\"output_tokens\":0}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"stop_details\":null},\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":1,\"cache_read_input_tokens\":4,\"output_tokens\":7}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    assert_eq!(stream, wanted);
}

#[test]
fn events_written_and_read_again_are_the_same_events() {
    // Pings aside, and counts, of which the last ones are the same.
    let told = |events: &[StreamEvent]| {
        let (usage, rest): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|e| matches!(e, StreamEvent::Usage(_)));
        let rest: Vec<_> = rest.into_iter().filter(|e| !matches!(e, StreamEvent::Ping)).collect();
        (usage.last().cloned(), rest)
    };
    let events = decode(STREAM.as_bytes());
    let written = encode(&events);
    assert_eq!(told(&decode(written.as_bytes())), told(&events));
}

#[test]
fn a_continuation_goes_on_where_the_stream_broke() {
    let (mut sink, mut out) = (Vec::new(), Vec::new());
    let mut encoder = StreamEncoder::new(options());
    let first = StreamEvent::Start {
        id: "msg_first".into(),
        model: "claude".into(),
        created: 0,
    };
    for event in [first, reasoning("r"), text("Hello")] {
        encoder.encode(&event, &mut sink);
    }
    for event in [start(), text(" world"), finish(FinishReason::Stop), StreamEvent::End] {
        encoder.encode(&event, &mut out);
    }
    assert!(String::from_utf8(sink).unwrap().contains("msg_first"));
    assert_eq!(
        short(&String::from_utf8(out).unwrap()),
        "1: world 1] (end_turn) message_stop"
    );
}

// Streams that pass.

fn pass(chunks: &[&[u8]]) -> (PassScanner<PassJudge>, Vec<(&'static str, String)>) {
    let mut scanner = PassScanner::new(PassJudge::new());
    let mut pieces = Vec::new();
    for chunk in chunks.iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => scanner.push(Bytes::copy_from_slice(chunk)),
            None => scanner.finish(),
        }
        while let Some(passed) = scanner.poll() {
            pieces.push(match passed {
                Passed::Preamble(b) => ("preamble", String::from_utf8_lossy(&b).into_owned()),
                Passed::Content(b) => ("content", String::from_utf8_lossy(&b).into_owned()),
                Passed::Done(b) => ("done", String::from_utf8_lossy(&b).into_owned()),
                Passed::Error(f) => ("error", format!("{}: {}", f.class.as_str(), f.message)),
            });
        }
    }
    (scanner, pieces)
}

#[test]
fn a_stream_passes_as_it_came_wherever_it_is_cut() {
    let (scanner, pieces) = pass(&[STREAM.as_bytes()]);
    let passed = |pieces: &[(&str, String)]| pieces.iter().map(|(_, text)| text.as_str()).collect::<String>();
    assert_eq!(passed(&pieces), STREAM);
    let events = decode(STREAM.as_bytes());
    let last = |pick: fn(&StreamEvent) -> Option<StreamEvent>| events.iter().rev().find_map(pick);
    let usage = last(|event| matches!(event, StreamEvent::Usage(_)).then(|| event.clone()));
    let end = last(|event| matches!(event, StreamEvent::Finish { .. }).then(|| event.clone()));
    assert_eq!(scanner.facts().usage.map(StreamEvent::Usage), usage);
    assert_eq!(scanner.facts().finish.map(finish), end);
    assert!(scanner.facts().id.is_some() && scanner.facts().model.is_some());
    for cut in 0..=STREAM.len() {
        let (a, b) = STREAM.as_bytes().split_at(cut);
        let (cut_scanner, pieces) = pass(&[a, b]);
        assert_eq!(passed(&pieces), STREAM, "cut at {cut}");
        assert_eq!(cut_scanner.facts(), scanner.facts(), "cut at {cut}");
        assert_eq!(pieces.last().unwrap().0, "done");
    }
}

#[test]
fn preamble_content_and_end_are_told_apart() {
    let frames = |types: &[&str]| -> Vec<String> {
        types
            .iter()
            .map(|data| {
                let value: Value = serde_json::from_str(data).unwrap();
                format!("event: {}\ndata: {data}\n\n", value["type"].as_str().unwrap())
            })
            .collect()
    };
    let message =
        r#"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":3,"output_tokens":1}}}"#;
    let open = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let hi = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#;
    let empty = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#;
    let tool = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;
    let stop = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#;
    let ping = r#"{"type":"ping"}"#;
    let over = r#"{"type":"message_stop"}"#;
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let rows: &[(&[&str], &str)] = &[
        (&[message, ping, open, empty, hi, ping, stop, over], "ppppcpcd"),
        (&[message, tool, stop, over], "pccd"),
        (&[message, stop, over], "pcd"),
        (&[message, over], "pe:bad_response"),
        (&[message, open, hi, stop], "ppcce:stream_broken"),
        (&[message, open, hi], "ppce:stream_broken"),
        (&[error], "e:overloaded"),
        (&[message, open, hi, error], "ppce:overloaded"),
        (&[message, r#"{"type":"tomorrow","x":1}"#, hi, stop, over], "ppccd"),
    ];
    for (types, wanted) in rows {
        let frames = frames(types);
        let chunks: Vec<&[u8]> = frames.iter().map(|frame| frame.as_bytes()).collect();
        let (_, pieces) = pass(&chunks);
        let told: String = pieces
            .iter()
            .map(|(kind, text)| match *kind {
                "error" => format!("e:{}", text.split(':').next().unwrap()),
                kind => kind[..1].to_owned(),
            })
            .collect();
        assert_eq!(told, *wanted, "{types:?}");
    }
    let (_, pieces) = pass(&[OVERLOADED.as_bytes()]);
    assert!(pieces.last().unwrap().1.starts_with("overloaded"), "{pieces:?}");
    let (_, pieces) = pass(&[br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#]);
    assert_eq!(pieces, [("error", "rate_limited: slow".to_owned())]);
}

// Counts.

#[test]
fn a_question_for_a_count_says_nothing_about_the_answer() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    let request = ChatRequest {
        tool_choice: None,
        ..request
    };
    let encoded = dialect::encode_count_request(DialectName::AnthropicMessages, &request, UPSTREAM).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let known = [
        "model",
        "system",
        "messages",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(dialect::encode_count_request(DialectName::OpenaiChat, &request, UPSTREAM).is_err());

    let headers = HeaderMap::new();
    let reply = |status, body: &str| {
        dialect::decode_count(DialectName::AnthropicMessages, raw(status, body.as_bytes(), &headers)).unwrap()
    };
    assert_eq!(reply(200, std::str::from_utf8(&count::encode_count(7)).unwrap()), Ok(7));
    assert_eq!(reply(200, "{}").unwrap_err().class, OutcomeClass::BadResponse);
    assert_eq!(reply(529, "{}").unwrap_err().class, OutcomeClass::Overloaded);
}

// Errors.

fn failed(class: OutcomeClass, attempts: &[AttemptSummary]) -> CallError<'_> {
    CallError {
        id: "call-1",
        class,
        timeout: None,
        provider_status: Some(422),
        message: "what it said",
        code: None,
        param: Some("tools"),
        attempts,
        named_target: true,
    }
}

#[test]
fn errors_have_anthropics_shape_and_statuses() {
    let attempts = [AttemptSummary {
        target: "openai/gpt".into(),
        outcome: OutcomeClass::Overloaded,
        latency_ms: 12,
    }];
    let rows = [
        (OutcomeClass::InvalidRequest, 422, "invalid_request_error"),
        (OutcomeClass::ContextTooLong, 400, "invalid_request_error"),
        (OutcomeClass::Unsupported, 400, "invalid_request_error"),
        (OutcomeClass::ModelNotFound, 404, "not_found_error"),
        (OutcomeClass::RateLimited, 429, "rate_limit_error"),
        (OutcomeClass::QuotaExhausted, 429, "rate_limit_error"),
        (OutcomeClass::Auth, 502, "api_error"),
        (OutcomeClass::BadResponse, 502, "api_error"),
        (OutcomeClass::Overloaded, 529, "overloaded_error"),
        (OutcomeClass::ServerError, 529, "overloaded_error"),
        (OutcomeClass::Network, 529, "overloaded_error"),
        (OutcomeClass::Timeout, 504, "timeout_error"),
        (OutcomeClass::Success, 500, "api_error"),
    ];
    for (class, status, kind) in rows {
        let error = failed(class, &attempts);
        assert_eq!(error_status(&error), status, "{class:?}");
        let body: Value = serde_json::from_slice(&error_body(&error)).unwrap();
        assert_eq!(
            (&body["type"], &body["error"]["type"]),
            (&json!("error"), &json!(kind)),
            "{class:?}"
        );
        assert_eq!(body["request_id"], "call-1");
        assert_eq!(body["error"]["attempts"][0]["target"], "openai/gpt");
        let event = String::from_utf8(error_event(&error)).unwrap();
        let data = event.strip_prefix("event: error\ndata: ").unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(data.strip_suffix("\n\n").unwrap()).unwrap(),
            body
        );
    }
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ] {
        let body: Value = serde_json::from_slice(&refusal(status, "call-1", &BadRequest::param("x", "no"))).unwrap();
        let wanted =
            json!({"type": "error", "error": {"type": kind, "message": "no", "param": "x"}, "request_id": "call-1"});
        assert_eq!(body, wanted);
    }
}

// Anything.

fn events() -> impl Strategy<Value = Vec<StreamEvent>> {
    let word = "[a-z{}\":]{0,4}";
    let event = prop_oneof![
        word.prop_map(|w| text(&w)),
        word.prop_map(|w| reasoning(&w)),
        word.prop_map(|w| signed(Some(&w), None, DialectName::Gemini)),
        word.prop_map(|w| signed(None, Some(&w), DialectName::AnthropicMessages)),
        (0u32..3).prop_map(|i| call(i, "id")),
        (0u32..3, word).prop_map(|(i, w)| arguments(i, &w)),
        Just(StreamEvent::Ping),
        Just(finish(FinishReason::Stop)),
    ];
    proptest::collection::vec(event, 0..30)
}

proptest! {
    #[test]
    fn whatever_comes_the_stream_is_well_formed_and_says_all_the_text(mut events in events()) {
        events.insert(0, start());
        events.push(StreamEvent::End);
        let written = encode(&events);
        short(&written);
        let said = |events: &[StreamEvent]| events.iter().filter_map(|e| match e {
            StreamEvent::Text { text, .. } => Some(text.clone()),
            _ => None,
        }).collect::<String>();
        let again = decode(written.as_bytes());
        prop_assert_eq!(said(&again), said(&events));
        prop_assert_eq!(again.last(), Some(&StreamEvent::End));
        let (_, pieces) = pass(&[written.as_bytes()]);
        prop_assert!(pieces.last().unwrap().0 == "done");
    }

    #[test]
    fn no_body_panics(body in "\\PC{0,60}|[\\{\\}\\[\\]\":,a-z0-9]{0,80}") {
        let _ = head(&body);
        let _ = decode_request(body.as_bytes());
        let _ = inspect(200, &body);
        let _ = pass(&[body.as_bytes(), b"\n\n"]);
    }

    #[test]
    fn a_full_request_with_a_piece_missing_is_read_or_complained_of(at in 0..2000usize, length in 0..40usize) {
        let mut body = REQUEST.as_bytes().to_vec();
        let at = at.min(body.len());
        body.drain(at..(at + length).min(REQUEST.len()));
        let read = head(&String::from_utf8_lossy(&body)).is_ok();
        // What the head refuses the whole reader refuses too, but for what only the header decides.
        if !read {
            let decoded = decode_request(&body);
            prop_assert!(decoded.is_err() || decoded.unwrap().max_output_tokens.is_none());
        }
    }
}
