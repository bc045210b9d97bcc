//! Cohere's chat: requests, answers, streams and errors in the shapes of the official SDK's types and the provider's list of
//! errors, and every decoder against bytes nobody meant.

use http::HeaderMap;
use jumpseat_wire::cohere_chat::{StreamDecoder, classify, decode_answer, encode_request, path};
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

const MODEL: &str = "command-a-03-2025";
const STREAM_FULL: &str = include_str!("../../golden/cohere_chat/stream_full.sse");

#[test]
fn everything_a_request_can_say_is_said_in_the_apis_words() {
    let encoded = encode(&full_request(), false).unwrap();
    let wanted: Value = serde_json::from_str(include_str!("../../golden/cohere_chat/request_full.json")).unwrap();
    let found = body(&encoded);
    assert_eq!(found, wanted, "{found:#}");
    assert_eq!(
        dropped(&encoded),
        [
            "name",
            "reasoning",
            "parallel_tool_calls",
            "user",
            "store",
            "keep_alive",
            "frequency_penalty",
            "top_k",
            "top_p"
        ]
    );
    assert_eq!(path(Operation::Generate).as_deref(), Some("/v2/chat"));
}

#[test]
fn tools_formats_and_thinking_are_said_as_the_api_takes_them() {
    let rows = [
        (
            json!({"tool_choice": null}),
            ChatRequest {
                tools: vec![tool("a")],
                tool_choice: Some(ToolChoice::Auto),
                ..question()
            },
        ),
        (
            json!({"tool_choice": "NONE"}),
            ChatRequest {
                tools: vec![tool("a")],
                tool_choice: Some(ToolChoice::None),
                ..question()
            },
        ),
        (
            json!({"tool_choice": null, "tools": null}),
            ChatRequest {
                tool_choice: Some(ToolChoice::None),
                ..question()
            },
        ),
        (
            json!({"response_format": {"type": "json_object"}}),
            ChatRequest {
                response_format: Some(ResponseFormat::JsonObject),
                ..question()
            },
        ),
        (
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
            ChatRequest {
                response_format: Some(schema(None)),
                ..question()
            },
        ),
        (
            json!({"thinking": {"type": "disabled"}}),
            ChatRequest {
                reasoning: Some(ReasoningRequest::Effort("none".into())),
                ..question()
            },
        ),
        (
            json!({"thinking": {"type": "enabled"}}),
            ChatRequest {
                reasoning: Some(ReasoningRequest::Effort("high".into())),
                ..question()
            },
        ),
        (
            json!({"thinking": {"type": "enabled", "token_budget": 99}}),
            ChatRequest {
                reasoning: Some(ReasoningRequest::Budget(99)),
                ..question()
            },
        ),
    ];
    for (wanted, request) in rows {
        let encoded = encode(&request, true).unwrap();
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&body(&encoded)[name], value, "{name}");
        }
        assert_eq!(dropped(&encoded), [""; 0]);
    }
    let both = ChatRequest {
        sampling: Sampling {
            presence_penalty: Some(0.5),
            frequency_penalty: Some(2.0),
            ..Sampling::default()
        },
        ..question()
    };
    let encoded = encode(&both, false).unwrap();
    let found = body(&encoded);
    assert_eq!(
        (&found["frequency_penalty"], &found["presence_penalty"]),
        (&json!(1.0), &Value::Null)
    );
    assert_eq!(dropped(&encoded), ["frequency_penalty", "presence_penalty"]);
    let wish = ChatRequest {
        reasoning: Some(ReasoningRequest::Effort("low".into())),
        ..question()
    };
    let encoded = encode(&wish, false).unwrap();
    assert_eq!(
        (&body(&encoded)["thinking"], dropped(&encoded)),
        (&Value::Null, vec!["reasoning_effort"])
    );
    let named = ChatRequest {
        tools: vec![
            tool("a"),
            Tool {
                strict: None,
                ..tool("b")
            },
        ],
        tool_choice: Some(ToolChoice::Named("b".into())),
        ..question()
    };
    let encoded = encode(&named, false).unwrap();
    let found = body(&encoded);
    assert_eq!(
        (
            &found["tools"].as_array().unwrap().len(),
            &found["tools"][0]["function"]["name"]
        ),
        (&1, &json!("b"))
    );
    assert_eq!(dropped(&encoded), ["tools.strict"]);
    let thinks = ask(vec![
        says(Role::User, "a"),
        message(Role::Assistant, vec![thought("Hm.", None), call("1", "a", "")]),
        message(Role::Tool, vec![result("1", vec![Part::text("x")])]),
    ]);
    let turn = &body(&encode(&thinks, true).unwrap())["messages"][1];
    assert_eq!(turn["content"], json!([{"type": "thinking", "thinking": "Hm."}]));
    assert_eq!(turn["tool_calls"][0]["function"]["arguments"], "{}");
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
            "logprobs",
            ChatRequest {
                logprobs: Some(0),
                ..question()
            },
        ),
        (
            "stop",
            ChatRequest {
                stop: vec!["x".into(); 6],
                ..question()
            },
        ),
        (
            "tool_choice",
            ChatRequest {
                tool_choice: Some(ToolChoice::Required),
                ..question()
            },
        ),
        (
            "tool_choice",
            ChatRequest {
                tools: vec![tool("a")],
                tool_choice: Some(ToolChoice::Named("b".into())),
                ..question()
            },
        ),
        (
            "response_format",
            ChatRequest {
                tools: vec![tool("a")],
                response_format: Some(ResponseFormat::JsonObject),
                ..question()
            },
        ),
        ("messages", ask(vec![])),
        ("messages", part(file(base64("application/pdf", "JVBE")))),
        ("messages", part(file(url("https://example.com/a.txt")))),
        ("messages", part(image(Media::FileId { id: "file-1".into() }, None))),
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
            (Some(param), DialectName::CohereChat),
            "{refused}"
        );
    }
}

#[test]
fn a_whole_answer_is_read() {
    let answer = decode(200, include_str!("../../golden/cohere_chat/answer_full.json")).unwrap();
    let reasoning = |text: &str| {
        AnswerPart::Reasoning(Reasoning {
            text: text.into(),
            origin: Some(DialectName::CohereChat),
            ..Reasoning::default()
        })
    };
    assert_eq!(
        answer.choices[0].parts,
        [
            reasoning("I will look."),
            reasoning("Hm."),
            AnswerPart::Text {
                text: "Let me see.".into()
            },
            AnswerPart::ToolCall(ToolCall {
                id: "weather_3fwdwp37".into(),
                name: "weather".into(),
                arguments: "{\"place\": \"Bern\"}".into(),
                signature: None,
            }),
        ]
    );
    assert_eq!(
        (answer.id.as_str(), answer.choices[0].finish),
        ("c14c80c3", Some(FinishReason::ToolCalls))
    );
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 913,
            output: 83,
            cached_input: 512,
            ..Usage::default()
        })
    );
}

#[test]
fn every_finish_reason_has_a_meaning_whole_and_streamed() {
    let rows = [
        ("COMPLETE", Ok(FinishReason::Stop)),
        ("STOP_SEQUENCE", Ok(FinishReason::Stop)),
        ("MAX_TOKENS", Ok(FinishReason::Length)),
        ("TOOL_CALL", Ok(FinishReason::ToolCalls)),
        ("ERROR_TOXIC", Ok(FinishReason::ContentFilter)),
        ("ERROR", Err(OutcomeClass::ServerError)),
        ("TIMEOUT", Err(OutcomeClass::ServerError)),
    ];
    for (word, meaning) in rows {
        let whole = json!({"message": {"content": [{"type": "text", "text": "a"}]}, "finish_reason": word});
        let found = decode(200, &whole.to_string()).map(|answer| answer.choices[0].finish.unwrap());
        assert_eq!(found.map_err(|failure| failure.class), meaning, "{word}");
        let event = json!({"type": "message-end", "delta": {"finish_reason": word}});
        let stream = format!("data: {event}\n\n");
        match meaning {
            Ok(reason) => assert_eq!(told(stream.as_bytes()), format!("start|finish {reason:?}|end")),
            Err(class) => assert_eq!(error(&events(&[stream.as_bytes()]).0).class, class),
        }
    }
}

#[test]
fn every_error_has_its_class() {
    use OutcomeClass::*;
    use Scope::{Credential, CredentialAtTarget, Target};
    #[rustfmt::skip]
    let rows = [
        (400, "invalid request: prompt must be at least 1 token long.", InvalidRequest, Target),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.", ContextTooLong, Target),
        (400, "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192.", InvalidRequest, Target),
        (401, "invalid api token", Auth, Credential),
        (402, "Please add or update your payment method at https://dashboard.cohere.com/billing", QuotaExhausted, Credential),
        (403, "forbidden", Auth, CredentialAtTarget),
        (404, "model 'command-zz' not found, make sure the correct model ID was used", ModelNotFound, Target),
        (404, "dataset not found", InvalidRequest, Target),
        (422, "unprocessable", InvalidRequest, Target),
        (429, "You are past the per minute request limit, please wait and try again later.", RateLimited, Target),
        (429, "You are using a Trial key, which is limited to 40 API calls / minute.", RateLimited, Target),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", QuotaExhausted, Credential),
        (498, "invalid token", Auth, Credential),
        (498, "your request was blocked", ContentFiltered, Target),
        (499, "request cancelled", ServerError, Target),
        (500, "internal server error", ServerError, Target),
        (501, "not implemented", Unsupported, Target),
        (503, "unavailable", Overloaded, Target),
        (504, "timeout", ServerError, Target),
        (200, "odd", BadResponse, Target),
    ];
    for (status, message, class, scope) in rows {
        let failure = decode(status, &json!({ "message": message }).to_string()).unwrap_err();
        assert_eq!((failure.class, failure.scope), (class, scope), "{status} {message}");
        assert_eq!(failure.message, message);
    }
    for (body, class) in [
        ("", BadResponse),
        ("<html>", BadResponse),
        ("{}", BadResponse),
        (r#"{"message":{}}"#, BadResponse),
    ] {
        assert_eq!(decode(200, body).unwrap_err().class, class, "{body}");
    }
}

#[test]
fn a_stream_is_read_the_same_wherever_it_is_cut() {
    let stream = STREAM_FULL.as_bytes();
    assert_eq!(
        told(stream),
        "start 29f14a5a|reason Hm.|reason I will look.|text Let me|text  see.|call 0 weather_3fwdwp37 weather|\
         args 0 {\"place\"|args 0 : \"Bern\"}|call 1 now_1 now|args 1 {}|finish ToolCalls|usage 913 83 512 0|end"
    );
    let whole = events(&[stream]);
    assert_eq!(whole.1, 0);
    for cut in 0..stream.len() {
        assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
    }
}

#[test]
fn a_stream_that_ends_early_is_broken_and_an_error_in_it_is_told() {
    let end = STREAM_FULL.find("event: message-end").unwrap();
    for cut in (0..end).step_by(7) {
        let (events, _) = events(&[&STREAM_FULL.as_bytes()[..cut]]);
        let class = error(&events).class;
        assert!(
            matches!(class, OutcomeClass::StreamBroken | OutcomeClass::BadResponse),
            "cut at {cut}: {class:?}"
        );
    }
    use OutcomeClass::*;
    let rows = [
        (
            "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"it broke\"}}\n\n",
            ServerError,
            "it broke",
        ),
        (
            "event: error\ndata: {\"message\":\"too many tokens\"}\n\n",
            ContextTooLong,
            "too many tokens",
        ),
        (
            "{\"message\":\"rate limit exceeded\"}",
            RateLimited,
            "rate limit exceeded",
        ),
        ("<html>", BadResponse, "the stream holds nothing that could be read"),
    ];
    for (stream, class, message) in rows {
        let (events, _) = events(&[stream.as_bytes()]);
        assert_eq!(
            (error(&events).class, error(&events).message.as_str()),
            (class, message)
        );
    }
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
        tool_choice: Some(ToolChoice::Required),
        ..ask(vec![
            says(Role::System, "Be brief."),
            Message {
                name: Some("ann".into()),
                ..message(
                    Role::User,
                    vec![
                        Part::text("What is it like there?"),
                        image(url("https://example.com/a.png"), Some("low")),
                        image(base64("image/png", "iVBO"), None),
                        file(base64("text/plain", "aGk=")),
                    ],
                )
            },
            message(
                Role::Assistant,
                vec![
                    thought("secret", Some(DialectName::AnthropicMessages)),
                    thought("I will look.", Some(DialectName::CohereChat)),
                    Part::text("I look."),
                    call("call_1", "weather", r#"{"z":1}"#),
                ],
            ),
            message(
                Role::Tool,
                vec![result("call_1", vec![Part::text("Rain.")]), result("call_2", vec![])],
            ),
        ])
    }
}
