//! Ollama's chat: requests, answers, streams and errors in the shapes of the project's own OpenAPI document, and every decoder
//! against bytes nobody meant.

use http::HeaderMap;
use jumpseat_wire::ollama_chat::{StreamDecoder, classify, decode_answer, encode_request, path};
use jumpseat_wire::request::{Encoded, Unsupported, UpstreamModel};
use jumpseat_wire::response::{Decode, RawAnswer};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, FinishReason};
use types::chat::{
    ChatRequest, Json, Media, Message, Part, Reasoning, ReasoningRequest, ResponseFormat, Role, Sampling, Tool,
    ToolCall, ToolChoice,
};
use types::dialect::{DialectName, Operation};
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass, Scope};
use types::time::UnixMillis;
use types::usage::Usage;

const MODEL: &str = "qwen3";
const STREAM_FULL: &str = include_str!("../../golden/ollama_chat/stream_full.ndjson");

#[test]
fn everything_a_request_can_say_is_said_in_the_apis_words() {
    let encoded = encode(&full_request(), true).unwrap();
    let wanted: Value = serde_json::from_str(include_str!("../../golden/ollama_chat/request_full.json")).unwrap();
    let found = body(&encoded);
    assert_eq!(found, wanted, "{found:#}");
    assert_eq!(
        dropped(&encoded),
        [
            "name",
            "detail",
            "reasoning",
            "parallel_tool_calls",
            "tools.strict",
            "user",
            "store"
        ]
    );
    assert_eq!(path(Operation::Generate).as_deref(), Some("/api/chat"));
    let plain = body(&encode(&question(), false).unwrap());
    assert_eq!(
        plain,
        json!({"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": false})
    );
}

#[test]
fn formats_tools_and_thinking_are_said_as_the_api_takes_them() {
    let effort = |word: &str| ChatRequest {
        reasoning: Some(ReasoningRequest::Effort(word.into())),
        ..question()
    };
    let budget = |tokens| ChatRequest {
        reasoning: Some(ReasoningRequest::Budget(tokens)),
        ..question()
    };
    let rows = [
        (true, "think", json!("low"), vec![], effort("minimal")),
        (true, "think", json!("max"), vec![], effort("max")),
        (true, "think", json!(false), vec![], effort("none")),
        (true, "think", json!(true), vec!["reasoning_effort"], budget(500)),
        (false, "think", Value::Null, vec![], effort("none")),
        (false, "think", Value::Null, vec!["reasoning_effort"], effort("high")),
        (
            false,
            "format",
            json!({"type": "object"}),
            vec!["response_format.description"],
            ChatRequest {
                response_format: Some(schema(Some("x"))),
                ..question()
            },
        ),
        (
            false,
            "tools",
            Value::Null,
            vec!["tools"],
            ChatRequest {
                tools: vec![tool("a")],
                tool_choice: Some(ToolChoice::None),
                ..question()
            },
        ),
    ];
    for (reasons, name, wanted, drops, request) in rows {
        let encoded = encode(&request, reasons).unwrap();
        assert_eq!(
            (&body(&encoded)[name], dropped(&encoded)),
            (&wanted, drops),
            "{request:?}"
        );
    }
}

#[test]
fn what_the_api_cannot_say_is_unsupported() {
    let part = |part| ask(vec![message(Role::User, vec![part])]);
    let rows = [
        (
            "n",
            ChatRequest {
                n: Some(2),
                ..question()
            },
        ),
        (
            "tool_choice",
            ChatRequest {
                tools: vec![tool("a")],
                tool_choice: Some(ToolChoice::Required),
                ..question()
            },
        ),
        ("messages", ask(vec![])),
        ("messages", part(image(url("https://example.com/a.png"), None))),
        ("messages", part(image(Media::FileId { id: "file-1".into() }, None))),
        ("messages", part(file(base64("application/pdf", "JVBE")))),
        (
            "messages",
            part(Part::Audio {
                source: base64("audio/wav", "UklG"),
            }),
        ),
    ];
    for (param, request) in rows {
        let refused = encode(&request, false).unwrap_err();
        assert_eq!(
            (refused.param.as_deref(), refused.dialect),
            (Some(param), DialectName::OllamaChat),
            "{refused}"
        );
    }
}

#[test]
fn a_whole_answer_is_read() {
    let whole = json!({
        "model": "qwen3",
        "created_at": "2026-08-21T08:52:19.5Z",
        "message": {"role": "assistant", "content": "Let me see.", "thinking": "Hm.", "tool_calls": [
            {"function": {"name": "weather", "arguments": {"place": "Bern"}}},
        ]},
        "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 282,
        "logprobs": [{"token": "Let", "logprob": -0.5}],
    });
    let answer = decode(200, &whole.to_string()).unwrap();
    assert_eq!((answer.model.as_str(), answer.created), ("qwen3", 1_787_302_339));
    let choice = &answer.choices[0];
    assert_eq!(
        choice.parts,
        [
            AnswerPart::Reasoning(Reasoning {
                text: "Hm.".into(),
                origin: Some(DialectName::OllamaChat),
                ..Reasoning::default()
            }),
            AnswerPart::Text {
                text: "Let me see.".into()
            },
            AnswerPart::ToolCall(ToolCall {
                id: "call_202608210852195_0".into(),
                name: "weather".into(),
                arguments: r#"{"place":"Bern"}"#.into(),
                signature: None,
            }),
        ]
    );
    assert_eq!(choice.finish, Some(FinishReason::ToolCalls));
    assert_eq!(
        choice.logprobs,
        Some(json_text(r#"{"content":[{"token":"Let","logprob":-0.5}]}"#))
    );
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 26,
            output: 282,
            ..Usage::default()
        })
    );
    for (word, reason) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("load", FinishReason::Stop),
        ("unload", FinishReason::Stop),
    ] {
        let whole = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": word});
        assert_eq!(decode(200, &whole.to_string()).unwrap().choices[0].finish, Some(reason));
    }
}

#[test]
fn every_error_has_its_class_whole_and_streamed() {
    use OutcomeClass::*;
    use Scope::{Credential, CredentialAtTarget, Target};
    #[rustfmt::skip]
    let rows = [
        (400, "model is required", InvalidRequest, Target),
        (404, "model 'x' not found", ModelNotFound, Target),
        (404, "model \"x\" not found, try pulling it first", ModelNotFound, Target),
        (400, "registry.ollama.ai/library/gemma:latest does not support tools", Unsupported, Target),
        (400, "\"gemma\" does not support thinking", Unsupported, Target),
        (400, "the input length exceeds the context length", ContextTooLong, Target),
        (401, "unauthorized", Auth, Credential),
        (403, "disabled", Auth, CredentialAtTarget),
        (429, "you have reached your hourly usage limit", QuotaExhausted, Credential),
        (429, "too many requests", RateLimited, Target),
        (500, "model requires more system memory (9 GiB) than is available (4 GiB)", ServerError, Target),
        (502, "upstream unreachable", ServerError, Target),
        (503, "server busy, please try again.  maximum pending requests exceeded", Overloaded, Target),
        (200, "an error was encountered while running the model: unexpected EOF", ServerError, Target),
    ];
    for (status, message, class, scope) in rows {
        let body = json!({ "error": message }).to_string();
        let failure = decode(status, &body).unwrap_err();
        assert_eq!((failure.class, failure.scope), (class, scope), "{status} {message}");
        assert_eq!(failure.message, message);
        let first = STREAM_FULL.lines().nth(1).unwrap();
        let (events, _) = events(&[first.as_bytes(), b"\n", body.as_bytes(), b"\n", first.as_bytes()]);
        assert_eq!((events.len(), error(&events).message.as_str()), (3, message));
    }
    for body in ["", "<html>", "{}", "[]"] {
        assert_eq!(decode(200, body).unwrap_err().class, BadResponse, "{body}");
    }
}

#[test]
fn a_stream_is_read_the_same_wherever_it_is_cut() {
    let stream = STREAM_FULL.as_bytes();
    assert_eq!(
        told(stream),
        "start|reason Hm.|text Let me|text  see {.}|call 0 call_20260821085219685406455_0 weather|\
         args 0 {\"place\":\"Bern\",\"days\":1.0}|call 1 call_x now|args 1 {}|finish ToolCalls|usage 26 282 0 0|end"
    );
    let whole = events(&[stream]);
    assert_eq!(whole.1, 0);
    let logprobs = whole.0.iter().find_map(|event| match event {
        StreamEvent::Text { logprobs, .. } => logprobs.as_ref(),
        _ => None,
    });
    assert!(
        logprobs
            .unwrap()
            .as_str()
            .starts_with(r#"{"content":[{"token":"Let me""#)
    );
    for cut in 0..stream.len() {
        assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
    }
}

#[test]
fn a_stream_that_ends_early_is_broken() {
    let last = STREAM_FULL.trim_end().rfind('\n').unwrap();
    for cut in (0..last).step_by(5) {
        let (events, _) = events(&[&STREAM_FULL.as_bytes()[..cut]]);
        let class = error(&events).class;
        assert!(
            matches!(class, OutcomeClass::StreamBroken | OutcomeClass::BadResponse),
            "cut at {cut}: {class:?}"
        );
    }
    let (events, malformed) = events(&[b"<html>sorry</html>"]);
    assert_eq!((error(&events).class, malformed), (OutcomeClass::BadResponse, 1));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_stream_ends_once(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        status in 200u16..600,
    ) {
        one_end(&events(&[&bytes]).0)?;
        let headers = HeaderMap::new();
        let raw = RawAnswer { status, headers: &headers, body: &bytes, received: UnixMillis(0) };
        let _ = decode_answer(raw);
        let _ = classify(raw);
    }

    #[test]
    fn a_spoilt_stream_ends_once_the_same_wherever_it_is_cut(
        changes in proptest::collection::vec((0..STREAM_FULL.len(), any::<u8>()), 0..20),
        cut in 0..STREAM_FULL.len(),
    ) {
        let mut stream = STREAM_FULL.as_bytes().to_vec();
        for (at, byte) in changes {
            stream[at] = byte;
        }
        let whole = events(&[&stream]);
        one_end(&whole.0)?;
        prop_assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole);
    }
}

fn one_end(events: &[StreamEvent]) -> Result<(), TestCaseError> {
    let ends = |event: &StreamEvent| matches!(event, StreamEvent::End | StreamEvent::Error(_));
    prop_assert_eq!(events.iter().filter(|e| ends(e)).count(), 1);
    prop_assert!(events.last().is_some_and(ends));
    Ok(())
}

// What the tests are made of.

fn events(chunks: &[&[u8]]) -> (Vec<StreamEvent>, u32) {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        events.extend(std::iter::from_fn(|| decoder.poll()));
    }
    decoder.finish();
    events.extend(std::iter::from_fn(|| decoder.poll()));
    (events, decoder.malformed())
}

fn error(events: &[StreamEvent]) -> &Failure {
    match events.last() {
        Some(StreamEvent::Error(failure)) => failure,
        other => panic!("no error at the end: {other:?}"),
    }
}

fn told(stream: &[u8]) -> String {
    let events = events(&[stream]).0;
    events.iter().map(super::tell).collect::<Vec<_>>().join("|")
}

fn encode(request: &ChatRequest, reasoning: bool) -> Result<Encoded, Unsupported> {
    let upstream = UpstreamModel {
        model: MODEL,
        max_output_default: 4_096,
        reasoning,
    };
    encode_request(request, upstream)
}

fn decode(status: u16, body: &str) -> Result<ChatAnswer, Failure> {
    decode_answer(RawAnswer {
        status,
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        received: UnixMillis(0),
    })
}

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn dropped(encoded: &Encoded) -> Vec<&str> {
    encoded.dropped.iter().map(|dropped| dropped.0.as_str()).collect()
}

fn json_text(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn schema(description: Option<&str>) -> ResponseFormat {
    ResponseFormat::JsonSchema {
        name: "answer".into(),
        description: description.map(str::to_owned),
        schema: json_text(r#"{"type":"object"}"#),
        strict: Some(true),
    }
}

fn ask(messages: Vec<Message>) -> ChatRequest {
    ChatRequest {
        messages,
        ..ChatRequest::default()
    }
}

fn question() -> ChatRequest {
    ask(vec![says(Role::User, "a")])
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

fn says(role: Role, words: &str) -> Message {
    message(role, vec![Part::text(words)])
}

fn thought(text: &str, origin: Option<DialectName>) -> Part {
    Part::Reasoning(Reasoning {
        text: text.into(),
        origin,
        ..Reasoning::default()
    })
}

fn base64(media_type: &str, data: &str) -> Media {
    Media::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    }
}

fn url(url: &str) -> Media {
    Media::Url { url: url.into() }
}

fn image(source: Media, detail: Option<&str>) -> Part {
    Part::Image {
        source,
        detail: detail.map(str::to_owned),
        cache: None,
    }
}

fn file(source: Media) -> Part {
    Part::File {
        source,
        filename: Some("notes.txt".into()),
        cache: None,
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    })
}

fn result(call_id: &str, content: Vec<Part>) -> Part {
    Part::ToolResult {
        call_id: call_id.into(),
        name: None,
        content,
        is_error: false,
        cache: None,
    }
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.into(),
        description: Some(format!("About {name}.")),
        parameters: None,
        strict: Some(true),
        cache: None,
    }
}

fn full_request() -> ChatRequest {
    ChatRequest {
        tools: vec![tool("weather")],
        parallel_tool_calls: Some(false),
        sampling: Sampling {
            temperature: Some(0.5),
            top_p: Some(1.0),
            top_k: Some(501),
            presence_penalty: Some(0.5),
            frequency_penalty: Some(-0.5),
        },
        max_output_tokens: Some(500),
        stop: vec!["END".into()],
        n: Some(1),
        seed: Some(7),
        stream: true,
        user: Some("u-1".into()),
        extra: vec![
            ("store".into(), json_text("true")),
            ("keep_alive".into(), json_text("\"10m\"")),
        ],
        dialect: Some(DialectName::OpenaiChat),
        tool_choice: Some(ToolChoice::Auto),
        response_format: Some(ResponseFormat::JsonObject),
        logprobs: Some(2),
        reasoning: Some(ReasoningRequest::Effort("xhigh".into())),
        ..ask(vec![
            says(Role::System, "Be brief."),
            Message {
                name: Some("ann".into()),
                ..message(
                    Role::User,
                    vec![
                        Part::text("What is it like there?"),
                        image(url("data:image/png;base64,iVBO"), Some("low")),
                        Part::text("Say."),
                        file(base64("text/plain", "aGk=")),
                    ],
                )
            },
            message(
                Role::Assistant,
                vec![
                    thought("secret", Some(DialectName::AnthropicMessages)),
                    thought("Hm.", None),
                    Part::text("I look."),
                    call("call_1", "weather", r#"{"z":1}"#),
                ],
            ),
            message(Role::Tool, vec![result("call_1", vec![Part::text("Rain.")])]),
        ])
    }
}
