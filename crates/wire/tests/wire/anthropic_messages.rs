//! The Messages API: requests, answers, streams and errors against golden files in the shapes of the provider's documents
//! and SDK models, and every decoder against bytes nobody meant.

use http::{HeaderMap, HeaderName, HeaderValue};
use jumpseat_wire::anthropic_messages::{StreamDecoder, VERSION, classify, decode_answer, encode_request, path};
use jumpseat_wire::request::{Encoded, Unsupported, UpstreamModel};
use jumpseat_wire::response::{Decode, RawAnswer};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, FinishReason};
use types::chat::{
    CacheMark, ChatRequest, Json, Media, Message, Part, Reasoning, ReasoningRequest, ResponseFormat, Role, Sampling,
    Tool, ToolCall, ToolChoice,
};
use types::dialect::{DialectName, Operation};
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};
use types::time::UnixMillis;
use types::usage::Usage;

const STREAM_FULL: &str = include_str!("../../golden/anthropic_messages/stream_full.sse");
const STREAM_OVERLOADED: &str = include_str!("../../golden/anthropic_messages/stream_overloaded.sse");

// Requests.

#[test]
fn everything_a_request_can_say_is_said_in_the_apis_words() {
    let encoded = encode(&full_request(), "claude-opus-4-8").unwrap();
    let wanted: Value = golden(include_str!("../../golden/anthropic_messages/request_full.json"));
    assert_eq!(body(&encoded), wanted);
    assert_eq!(
        dropped(&encoded),
        [
            "name",
            "detail",
            "reasoning",
            "tools.parameters.minimum",
            "presence_penalty",
            "temperature",
            "top_k",
            "seed",
            "store",
        ]
    );
    assert_eq!(encoded.headers, [("anthropic-beta", "files-api-2025-04-14".to_owned())]);
    let text = String::from_utf8(encoded.body).unwrap();
    assert!(
        text.contains(r#""input":{"z":1,"a":[2.50]}"#),
        "arguments keep their key order and digits: {text}"
    );
    let path = path(Operation::Generate);
    assert_eq!((VERSION, path.as_deref()), ("2023-06-01", Some("/v1/messages")));
}

#[test]
fn system_messages_lead_or_keep_their_place() {
    let talk = |roles: &[(Role, &str)]| ChatRequest {
        messages: roles.iter().map(|(r, t)| says(*r, t)).collect(),
        ..ChatRequest::default()
    };
    use Role::{Assistant, System, User};
    let later = talk(&[(User, "a"), (System, "s"), (Assistant, "b"), (User, "c")]);
    let before_user = talk(&[(User, "a"), (Assistant, "b"), (System, "s"), (User, "c")]);
    let between = talk(&[(User, "a"), (System, "s"), (User, "c")]);
    let last = talk(&[(System, "r"), (User, "a"), (System, "s"), (System, "t")]);
    let alone = talk(&[(System, "r"), (System, "s")]);
    let opening = talk(&[(System, "r"), (Assistant, "hello"), (User, "a")]);
    let wrapped = "<system_message>\ns\n</system_message>";
    #[rustfmt::skip]
    let rows = [
        (&later, "claude-opus-5", "", vec![("user", "a"), ("system", "s"), ("assistant", "b"), ("user", "c")]),
        (&later, "claude-sonnet-4-5", "", vec![("user", "a|<system_message>\ns\n</system_message>"), ("assistant", "b"), ("user", "c")]),
        (&before_user, "claude-opus-5", "", vec![("user", "a"), ("assistant", "b"), ("user", "<system_message>\ns\n</system_message>|c")]),
        (&between, "claude-opus-5", "", vec![("user", "a|<system_message>\ns\n</system_message>|c")]),
        (&last, "claude-opus-5", "r", vec![("user", "a"), ("system", "s|t")]),
        (&alone, "claude-opus-5", "r", vec![("user", "s")]),
        (&opening, "claude-opus-5", "r", vec![("user", "[The conversation begins with your message.]"), ("assistant", "hello"), ("user", "a")]),
    ];
    for (request, model, system, wanted) in rows {
        let body = body(&encode(request, model).unwrap());
        assert_eq!(texts(&body["system"]), system, "{model}: {wrapped}");
        let turns: Vec<_> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| (t["role"].as_str().unwrap(), texts(&t["content"])))
            .collect();
        let wanted: Vec<_> = wanted.iter().map(|(r, t)| (*r, t.to_string())).collect();
        assert_eq!(turns, wanted, "{model}");
    }
}

#[test]
fn what_the_api_cannot_say_is_unsupported() {
    let question = || ChatRequest {
        messages: vec![says(Role::User, "hi")],
        ..ChatRequest::default()
    };
    let with_part = |part| ChatRequest {
        messages: vec![message(Role::User, vec![part])],
        ..ChatRequest::default()
    };
    let free_keys = ResponseFormat::JsonSchema {
        name: "x".into(),
        description: None,
        schema: Json::parse(r#"{"type":"object"}"#).unwrap(),
        strict: Some(false),
    };
    let schema = ResponseFormat::JsonSchema {
        name: "x".into(),
        description: None,
        schema: Json::parse(r#"{"type":"string"}"#).unwrap(),
        strict: Some(true),
    };
    let rows = [
        (
            "n",
            "claude-opus-5",
            ChatRequest {
                n: Some(3),
                ..question()
            },
        ),
        (
            "logprobs",
            "claude-opus-5",
            ChatRequest {
                logprobs: Some(0),
                ..question()
            },
        ),
        (
            "temperature",
            "claude-haiku-4-5",
            ChatRequest {
                sampling: Sampling {
                    temperature: Some(1.01),
                    ..Sampling::default()
                },
                ..question()
            },
        ),
        (
            "stop",
            "claude-opus-5",
            ChatRequest {
                stop: vec!["\n".into()],
                ..question()
            },
        ),
        (
            "response_format",
            "claude-opus-5",
            ChatRequest {
                response_format: Some(free_keys),
                ..question()
            },
        ),
        (
            "response_format",
            "claude-3-5-haiku-20241022",
            ChatRequest {
                response_format: Some(schema),
                ..question()
            },
        ),
        (
            "tool_choice",
            "claude-opus-5-5",
            ChatRequest {
                tools: vec![tool("now", None)],
                tool_choice: Some(ToolChoice::Required),
                ..question()
            },
        ),
        (
            "messages",
            "claude-opus-5",
            ChatRequest {
                messages: vec![says(Role::User, "hi"), says(Role::Assistant, "I")],
                ..ChatRequest::default()
            },
        ),
        ("messages", "claude-opus-5", with_part(Part::text("  "))),
        (
            "messages",
            "claude-opus-5",
            with_part(Part::Audio {
                source: base64("audio/wav", "AA=="),
            }),
        ),
        (
            "messages",
            "claude-opus-5",
            with_part(image(base64("image/tiff", "AA=="))),
        ),
        (
            "messages",
            "claude-opus-5",
            with_part(file(base64("application/zip", "AA=="), None)),
        ),
        (
            "messages",
            "claude-opus-5",
            with_part(file(Media::FileId { id: "file-abc".into() }, None)),
        ),
    ];
    for (param, model, request) in rows {
        let refused = encode(&request, model).expect_err(param);
        assert_eq!(refused.dialect, DialectName::AnthropicMessages);
        assert_eq!(refused.param.as_deref(), Some(param), "{refused}");
    }
}

#[test]
fn tool_choices_are_said_in_the_apis_words() {
    let rows = [
        (None, None, Value::Null),
        (None, Some(true), Value::Null),
        (
            None,
            Some(false),
            json!({"type":"auto","disable_parallel_tool_use":true}),
        ),
        (Some(ToolChoice::Auto), None, json!({"type":"auto"})),
        (Some(ToolChoice::None), Some(false), json!({"type":"none"})),
        (Some(ToolChoice::Required), None, json!({"type":"any"})),
        (
            Some(ToolChoice::Named("now".into())),
            Some(false),
            json!({"type":"tool","name":"now","disable_parallel_tool_use":true}),
        ),
    ];
    for (tool_choice, parallel_tool_calls, wanted) in rows {
        let request = ChatRequest {
            messages: vec![says(Role::User, "hi")],
            tools: vec![tool("now", None)],
            tool_choice,
            parallel_tool_calls,
            ..ChatRequest::default()
        };
        let body = body(&encode(&request, "claude-opus-5").unwrap());
        assert_eq!(body["tool_choice"], wanted);
    }
}

#[test]
fn sampling_is_said_as_far_as_the_model_takes_it_and_the_rest_is_told() {
    let check = |model: &str, effort: Option<&str>, asked: [Option<f64>; 3], sent: Value, told: &[&str]| {
        let request = ChatRequest {
            messages: vec![says(Role::User, "hi")],
            sampling: Sampling {
                temperature: asked[0],
                top_p: asked[1],
                top_k: asked[2].map(|k| k as u64),
                presence_penalty: Some(0.0),
                ..Sampling::default()
            },
            reasoning: effort.map(|e| ReasoningRequest::Effort(e.into())),
            ..ChatRequest::default()
        };
        let encoded = encode(&request, model).unwrap();
        let body = body(&encoded);
        let found = json!([body["temperature"], body["top_p"], body["top_k"]]);
        assert_eq!(found, sent, "{model}, {effort:?}, {asked:?}");
        assert_eq!(dropped(&encoded), told, "{model}, {effort:?}, {asked:?}");
    };
    let all = [Some(0.2), Some(0.9), Some(40.0)];
    check("claude-3-7-sonnet-latest", None, all, json!([0.2, 0.9, 40]), &[]);
    check("claude-haiku-4-5", None, all, json!([0.2, null, 40]), &["top_p"]);
    check(
        "claude-haiku-4-5",
        None,
        [Some(1.0), Some(0.9), None],
        json!([null, 0.9, null]),
        &[],
    );
    check(
        "claude-haiku-4-5",
        None,
        [Some(0.5), Some(1.0), None],
        json!([0.5, null, null]),
        &[],
    );
    check(
        "claude-opus-5",
        None,
        all,
        json!([null, null, null]),
        &["temperature", "top_p", "top_k"],
    );
    check(
        "claude-opus-5",
        None,
        [Some(1.0), Some(1.0), None],
        json!([null, null, null]),
        &[],
    );
    check(
        "claude-haiku-4-5",
        Some("low"),
        all,
        json!([null, null, null]),
        &["temperature", "top_k", "top_p"],
    );
    check(
        "claude-haiku-4-5",
        Some("low"),
        [Some(1.0), Some(0.97), None],
        json!([null, 0.97, null]),
        &[],
    );
}

#[test]
fn the_output_limit_and_the_user_go_where_the_api_wants_them() {
    let question = ChatRequest {
        messages: vec![says(Role::User, "hi")],
        ..ChatRequest::default()
    };
    let sent = body(&encode(&question, "claude-opus-5").unwrap());
    assert_eq!(sent["max_tokens"], 8192, "the catalog's, where the client gave none");
    assert!(sent.get("stream").is_none());
    let limited = ChatRequest {
        max_output_tokens: Some(5),
        ..question.clone()
    };
    assert_eq!(body(&encode(&limited, "claude-opus-5").unwrap())["max_tokens"], 5);

    for (user, kept) in [
        ("u-1", true),
        ("ann@example.com", false),
        ("+49 (30) 123-4567", false),
        ("", false),
    ] {
        let request = ChatRequest {
            user: Some(user.into()),
            ..question.clone()
        };
        let encoded = encode(&request, "claude-opus-5").unwrap();
        let sent = body(&encoded)["metadata"]["user_id"] == user;
        assert_eq!((sent, dropped(&encoded).is_empty()), (kept, kept), "{user:?}");
    }
}

#[test]
fn a_json_object_is_asked_for_in_words_and_said_to_be_unenforced() {
    let request = ChatRequest {
        messages: vec![says(Role::System, "Be terse."), says(Role::User, "hi")],
        response_format: Some(ResponseFormat::JsonObject),
        ..ChatRequest::default()
    };
    let encoded = encode(&request, "claude-opus-5").unwrap();
    assert_eq!(dropped(&encoded), ["response_format"]);
    let sent = body(&encoded);
    assert_eq!(sent["system"][0]["text"], "Be terse.");
    assert!(texts(&sent["system"]).contains("one JSON object and nothing else"));
    assert!(sent.get("output_config").is_none());
}

#[test]
fn a_prefill_is_kept_without_trailing_space_where_the_model_takes_one() {
    let request = ChatRequest {
        messages: vec![says(Role::User, "hi"), says(Role::Assistant, "The answer is \n")],
        ..ChatRequest::default()
    };
    let sent = body(&encode(&request, "claude-haiku-4-5").unwrap());
    assert_eq!(sent["messages"][1]["content"][0]["text"], "The answer is");
}

#[test]
fn a_budget_gives_way_to_tool_turns_that_another_provider_began() {
    let request = |origin| ChatRequest {
        messages: vec![
            says(Role::User, "hi"),
            message(
                Role::Assistant,
                vec![
                    Part::Reasoning(Reasoning {
                        text: "hm".into(),
                        signature: Some("sig".into()),
                        redacted: None,
                        origin: Some(origin),
                    }),
                    call("toolu_1", "now", "{}"),
                ],
            ),
            message(Role::Tool, vec![result("toolu_1", vec![Part::text("noon")], false)]),
        ],
        reasoning: Some(ReasoningRequest::Effort("low".into())),
        ..ChatRequest::default()
    };
    let own = encode(&request(DialectName::AnthropicMessages), "claude-haiku-4-5").unwrap();
    assert_eq!(body(&own)["thinking"], json!({"type":"enabled","budget_tokens":2048}));
    assert!(dropped(&own).is_empty());
    let other = encode(&request(DialectName::Gemini), "claude-haiku-4-5").unwrap();
    assert!(body(&other).get("thinking").is_none());
    assert_eq!(dropped(&other), ["reasoning", "reasoning_effort"]);
}

#[test]
fn reasoning_is_asked_of_whoever_can_and_else_told_as_dropped() {
    let request = ChatRequest {
        messages: vec![says(Role::User, "hi")],
        reasoning: Some(ReasoningRequest::Effort("medium".into())),
        ..ChatRequest::default()
    };
    for (model, reasoning, kept) in [
        ("claude-haiku-4-5", false, true),
        ("claude-3-5-haiku-20241022", false, false),
        ("MiniMax-M3", true, true),
        ("MiniMax-M3", false, false),
    ] {
        let upstream = UpstreamModel {
            model,
            max_output_default: 20_000,
            reasoning,
        };
        let encoded = encode_request(&request, upstream).unwrap();
        let asked = body(&encoded).get("thinking").is_some();
        let told = dropped(&encoded) == ["reasoning_effort"];
        assert_eq!((asked, told), (kept, !kept), "{model}");
    }
}

// Answers.

#[test]
fn a_whole_answer_is_read_and_the_providers_own_tools_are_passed_over() {
    let golden = include_str!("../../golden/anthropic_messages/answer_full.json");
    let answer = decode(200, golden).unwrap();
    assert_eq!(
        (answer.id.as_str(), answer.model.as_str(), answer.created),
        ("msg_013Zva2CMHLNnXjNJJKqJ2EF", "claude-opus-5-5", 0)
    );
    assert_eq!(answer.service_tier.as_deref(), Some("standard"));
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 1209,
            output: 93,
            cached_input: 1000,
            cache_write_input: 188,
            cache_write_1h_input: 40,
            reasoning: 40,
            ..Usage::default()
        })
    );
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(FinishReason::ToolCalls));
    let reasoning = |text: &str, signature: Option<&str>, redacted: Option<&str>| {
        AnswerPart::Reasoning(Reasoning {
            text: text.into(),
            signature: signature.map(Into::into),
            redacted: redacted.map(Into::into),
            origin: Some(DialectName::AnthropicMessages),
        })
    };
    let tool_call = |id: &str, name: &str, arguments: &str| {
        AnswerPart::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    assert_eq!(
        choice.parts,
        [
            reasoning(
                "The user wants the weather.",
                Some("EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds="),
                None
            ),
            reasoning(
                "",
                None,
                Some(
                    "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpPkNRj2YfWXGmKDxH4mPnZ5sQ7vB9MsPC="
                )
            ),
            AnswerPart::Text {
                text: "It is mild; let me see the numbers.".into()
            },
            tool_call(
                "toolu_01D7FLrfh4GYq7yT1ULFeyMV",
                "get_weather",
                r#"{ "location": "Paris", "at": 1.50 }"#
            ),
            tool_call("toolu_01E", "now", "{}"),
        ]
    );
}

#[test]
fn reasoning_that_is_handed_back_is_the_same_byte_for_byte() {
    let answer = decode(200, include_str!("../../golden/anthropic_messages/answer_full.json")).unwrap();
    let parts = answer.choices[0].parts.iter().filter_map(|part| match part {
        AnswerPart::Reasoning(reasoning) => Some(Part::Reasoning(reasoning.clone())),
        AnswerPart::ToolCall(call) => Some(Part::ToolCall(call.clone())),
        AnswerPart::Text { .. } | AnswerPart::Refusal { .. } => None,
    });
    let request = ChatRequest {
        messages: vec![
            says(Role::User, "hi"),
            message(Role::Assistant, parts.collect()),
            message(Role::Tool, vec![result("toolu_01E", vec![], false)]),
        ],
        ..ChatRequest::default()
    };
    let sent = body(&encode(&request, "claude-opus-5-5").unwrap());
    let came: Value = golden(include_str!("../../golden/anthropic_messages/answer_full.json"));
    let blocks = came["content"].as_array().unwrap();
    assert_eq!(
        sent["messages"][1]["content"],
        json!([blocks[0], blocks[1], blocks[5], blocks[6]])
    );
}

#[test]
fn a_refusal_is_an_answer_with_its_explanation() {
    let golden = include_str!("../../golden/anthropic_messages/answer_refusal.json");
    let answer = decode(200, golden).unwrap();
    assert_eq!(answer.choices[0].finish, Some(FinishReason::ContentFilter));
    assert_eq!(
        answer.choices[0].parts,
        [AnswerPart::Refusal {
            text: "The request could enable cyber harm.".into()
        }]
    );
}

#[test]
fn every_stop_reason_has_a_meaning_whole_and_streamed() {
    for (stop_reason, wanted) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("pause_turn", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::ContentFilter),
        ("reason_of_tomorrow", FinishReason::Stop),
    ] {
        let answer = json!({"type":"message","content":[],"stop_reason":stop_reason});
        let answer = decode(200, &answer.to_string()).unwrap();
        assert_eq!(answer.choices[0].finish, Some(wanted), "{stop_reason}");
        let stream = format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{stop_reason}\"}}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        );
        let finish = StreamEvent::Finish {
            choice: 0,
            reason: wanted,
        };
        assert_eq!(events(&[stream.as_bytes()]).0[1..], [finish, StreamEvent::End]);
    }
}

#[test]
fn what_is_no_answer_is_a_bad_response() {
    for body in [
        "",
        "<html></html>",
        "[]",
        "{}",
        "null",
        r#"{"type":"message","content":[],"stop_reason":null}"#,
        r#"{"type":"message","content":"hi","stop_reason":"end_turn"}"#,
        r#"{"type":"message","content":[{"no":"type"}],"stop_reason":"end_turn"}"#,
        r#"{"type":"message","content":[{"type":"text","text":"hel"#,
    ] {
        let failure = decode(200, body).expect_err(body);
        assert_eq!(failure.class, OutcomeClass::BadResponse, "{body}");
    }
}

// Errors.

#[test]
fn every_error_of_the_api_has_its_class() {
    let rows: Value = golden(include_str!("../../golden/anthropic_messages/errors.json"));
    for row in rows.as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let body = match &row["body"] {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        let mut headers = HeaderMap::new();
        for (header, value) in row["headers"].as_object().into_iter().flatten() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.insert(HeaderName::from_bytes(header.as_bytes()).unwrap(), value);
        }
        let raw = RawAnswer {
            status: row["status"].as_u64().unwrap() as u16,
            headers: &headers,
            body: body.as_bytes(),
            received: UnixMillis(1_795_000_000_000),
        };
        let failure = classify(raw);
        assert_eq!(json!(failure.class), row["class"], "{name}");
        assert_eq!(json!(failure.scope), row["scope"], "{name}");
        assert_eq!(json!(failure.code), row["code"], "{name}");
        assert_eq!(json!(failure.param), row["param"], "{name}");
        assert_eq!(failure.status, Some(raw.status), "{name}");
        let wait = failure.retry_after.map(|wait| wait.as_millis() as u64);
        assert_eq!(json!(wait), row["retry_after_ms"], "{name}");
        assert!(!failure.message.is_empty(), "{name}");
        assert_eq!(decode_answer(raw).unwrap_err().class, failure.class, "{name}");
    }
}

#[test]
fn the_key_that_an_error_quotes_is_not_told() {
    let body = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid key sk-ant-api03-abcdefghijklmnop"}}"#;
    let failure = decode(401, body).unwrap_err();
    assert!(!failure.message.contains("abcdefghijklmnop"), "{}", failure.message);
}

// Streams.

#[test]
fn a_stream_is_read_the_same_wherever_it_is_cut() {
    let wanted: Vec<StreamEvent> =
        serde_json::from_str(include_str!("../../golden/anthropic_messages/stream_full.events.json")).unwrap();
    let stream = STREAM_FULL.as_bytes();
    assert_eq!(events(&[stream]), (wanted.clone(), 0));
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(events(&[a, b]), (wanted.clone(), 0), "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(events(&bytes), (wanted.clone(), 0));
    let crlf = STREAM_FULL.replace('\n', "\r\n");
    assert_eq!(events(&[crlf.as_bytes()]), (wanted.clone(), 0));
    let without_names: String = STREAM_FULL
        .lines()
        .filter(|line| !line.starts_with("event:"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(events(&[without_names.as_bytes()]), (wanted, 0));
}

#[test]
fn a_stream_that_ends_early_is_broken_wherever_it_ends() {
    let stream = STREAM_FULL.as_bytes();
    let last = STREAM_FULL.rfind("{\"type\":\"message_stop\"}").unwrap() + 23;
    for end in 0..last {
        let (events, _) = events(&[&stream[..end]]);
        let (last, before) = events.split_last().unwrap();
        let StreamEvent::Error(failure) = last else {
            panic!("cut at {end}: {last:?}");
        };
        let nothing_readable = before.is_empty() && end > 0;
        let wanted = match failure.class {
            OutcomeClass::BadResponse if nothing_readable => OutcomeClass::BadResponse,
            _ => OutcomeClass::StreamBroken,
        };
        assert_eq!(failure.class, wanted, "cut at {end}");
    }
    assert_eq!(events(&[&stream[..last]]).0.last(), Some(&StreamEvent::End));
}

#[test]
fn an_error_event_ends_the_stream_first_or_in_its_middle() {
    let (found, malformed) = events(&[STREAM_OVERLOADED.as_bytes()]);
    assert_eq!((found.len(), malformed), (4, 0), "{found:?}");
    let failure = error(&found);
    assert_eq!(
        (
            failure.class,
            failure.code.as_deref(),
            failure.message.as_str(),
            failure.status
        ),
        (OutcomeClass::Overloaded, Some("overloaded_error"), "Overloaded", None)
    );
    let first = STREAM_OVERLOADED.find("event: error").unwrap();
    let (found, _) = events(&[&STREAM_OVERLOADED.as_bytes()[first..]]);
    assert_eq!((found.len(), error(&found).class), (1, OutcomeClass::Overloaded));

    for (frame, class) in [
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
            OutcomeClass::RateLimited,
        ),
        (
            r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#,
            OutcomeClass::ServerError,
        ),
        (
            r#"{"type":"error","error":{"type":"new_error","message":"x"}}"#,
            OutcomeClass::ServerError,
        ),
        (
            r#"{"error":{"type":"authentication_error","message":"x"}}"#,
            OutcomeClass::Auth,
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
            OutcomeClass::ContentFiltered,
        ),
    ] {
        let stream = format!("data: {frame}\n\n");
        assert_eq!(error(&events(&[stream.as_bytes()]).0).class, class, "{frame}");
        // Without any framing, as a proxy answers.
        assert_eq!(error(&events(&[frame.as_bytes()]).0).class, class, "{frame}");
    }
}

#[test]
fn oddities_of_streams_are_tolerated() {
    let start = r#"data: {"type":"message_start","message":{"id":"m","model":"c"}}"#;
    let stop = r#"data: {"type":"message_stop"}"#;
    let ended = r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let text = |index: u32, words: &str| {
        format!(
            r#"data: {{"type":"content_block_delta","index":{index},"delta":{{"type":"text_delta","text":"{words}"}}}}"#
        )
    };
    let begin = |index: u32, block: &str| {
        format!(r#"data: {{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
    };
    let close = |index: u32| format!(r#"data: {{"type":"content_block_stop","index":{index}}}"#);
    let args = |index: u32, piece: &str| {
        format!(
            r#"data: {{"type":"content_block_delta","index":{index},"delta":{{"type":"input_json_delta","partial_json":"{piece}"}}}}"#
        )
    };
    let call = |id: &str, input: &str| format!(r#"{{"type":"tool_use","id":"{id}","name":"f","input":{input}}}"#);
    let rows: Vec<(&str, Vec<String>, &str, u32)> = vec![
        (
            "a malformed frame is dropped and counted",
            vec![
                start.into(),
                text(0, "a"),
                "data: {\"type\":\"content_bl".into(),
                text(0, "b"),
                ended.into(),
                stop.into(),
            ],
            "start(m,c) text(a) text(b) finish(stop) end",
            1,
        ),
        (
            "a start with text",
            vec![
                start.into(),
                begin(0, r#"{"type":"text","text":"a"}"#),
                text(0, "b"),
                ended.into(),
                stop.into(),
            ],
            "start(m,c) text(a) text(b) finish(stop) end",
            0,
        ),
        (
            "content without message_start",
            vec![text(0, "a"), ended.into(), stop.into()],
            "start(,) text(a) finish(stop) end",
            0,
        ),
        (
            "no stop reason, but content and the terminal event",
            vec![start.into(), text(0, "a"), stop.into()],
            "start(m,c) text(a) finish(stop) end",
            0,
        ),
        (
            "no stop reason and no content",
            vec![start.into(), stop.into()],
            "start(m,c) error(bad_response)",
            0,
        ),
        (
            "interleaved calls, whole input at the start, no stop of the blocks",
            vec![
                start.into(),
                begin(0, &call("x", "{}")),
                begin(1, &call("y", r#"{\"k\": 1}"#.replace('\\', "").as_str())),
                args(0, "[1"),
                args(0, "]"),
                r#"data: {"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#.into(),
                stop.into(),
            ],
            "start(m,c) call(0,x) call(1,y) args(0,[1) args(0,]) args(1,{\"k\": 1}) finish(tool_calls) end",
            0,
        ),
        (
            "arguments for no call",
            vec![start.into(), args(3, "{}"), text(0, "a"), ended.into(), stop.into()],
            "start(m,c) text(a) finish(stop) end",
            1,
        ),
        (
            "a delta of tomorrow, in a block of today and in one of tomorrow",
            vec![
                start.into(),
                text(0, "a"),
                r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"smell_delta","smell":"rose"}}"#
                    .into(),
                begin(1, r#"{"type":"smell","text":3}"#),
                text(1, "hidden"),
                close(1),
                ended.into(),
                stop.into(),
            ],
            "start(m,c) text(a) finish(stop) end",
            0,
        ),
        (
            "a second start, comments, and what follows the end",
            vec![
                start.into(),
                ": keep-alive".into(),
                start.into(),
                text(0, "a"),
                ended.into(),
                stop.into(),
                text(0, "b"),
                "data: [DONE]".into(),
            ],
            "start(m,c) ping text(a) finish(stop) end",
            1,
        ),
        (
            "a page",
            vec!["<html>".into(), "<p>Log in</p>".into()],
            "error(bad_response)",
            2,
        ),
        (
            "another dialect",
            vec![r#"data: {"id":"x","choices":[]}"#.into(), "data: [DONE]".into()],
            "error(bad_response)",
            2,
        ),
        ("nothing", vec![], "error(stream_broken)", 0),
    ];
    for (name, frames, wanted, wanted_malformed) in rows {
        let stream = frames.iter().map(|f| format!("{f}\n\n")).collect::<String>();
        let (found, malformed) = events(&[stream.as_bytes()]);
        let told: Vec<_> = found.iter().map(tell).collect();
        assert_eq!(told.join(" "), wanted, "{name}");
        assert_eq!(malformed, wanted_malformed, "{name}");
    }
}

#[test]
fn a_streamed_refusal_tells_its_explanation_before_it_finishes() {
    let stream = concat!(
        r#"data: {"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":3,"output_tokens":0}}}"#,
        "\n\n",
        r#"data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"bio","explanation":"no"}},"usage":{"output_tokens":1}}"#,
        "\n\n",
        r#"data: {"type":"message_stop"}"#,
        "\n\n"
    );
    let (found, _) = events(&[stream.as_bytes()]);
    let told: Vec<_> = found.iter().map(tell).collect();
    assert_eq!(
        told.join(" "),
        "start(m,c) usage(3,0) refusal(no) finish(content_filter) usage(3,1) end"
    );
}

// Whatever comes.

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic_and_a_stream_has_one_end(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        status in 100u16..700,
        cut in 0usize..400,
    ) {
        let headers = HeaderMap::new();
        let raw = RawAnswer { status, headers: &headers, body: &bytes, received: UnixMillis(0) };
        let _ = decode_answer(raw);
        let _ = classify(raw);
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        one_end(&events(&[a, b]).0)?;
    }

    #[test]
    fn a_stream_with_bytes_changed_at_random_still_has_one_end(
        changes in proptest::collection::vec((0..STREAM_FULL.len(), any::<u8>()), 1..20),
        cut in 0..STREAM_FULL.len(),
    ) {
        let mut stream = STREAM_FULL.as_bytes().to_vec();
        for (at, byte) in changes {
            stream[at] = byte;
        }
        let whole = events(&[&stream]);
        one_end(&whole.0)?;
        let (a, b) = stream.split_at(cut);
        prop_assert_eq!(events(&[a, b]), whole);
    }

    #[test]
    fn a_stream_with_frames_lost_or_doubled_still_has_one_end(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let frames: Vec<&str> = STREAM_FULL.split_inclusive("\n\n").collect();
        let stream: String = picks.iter().map(|pick| *pick.get(&frames)).collect();
        one_end(&events(&[stream.as_bytes()]).0)?;
    }

    #[test]
    fn an_answer_with_bytes_changed_at_random_is_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let golden = include_bytes!("../../golden/anthropic_messages/answer_full.json");
        let mut body = golden.to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let headers = HeaderMap::new();
        let _ = decode_answer(RawAnswer { status: 200, headers: &headers, body: &body, received: UnixMillis(0) });
    }

    #[test]
    fn any_conversation_of_texts_alternates_and_begins_with_the_user(
        turns in proptest::collection::vec((0u8..3, "[a-z ]{0,3}"), 1..12),
        model in prop::sample::select(vec!["claude-haiku-4-5", "claude-opus-5-5", "other"]),
    ) {
        let roles = [Role::System, Role::User, Role::Assistant];
        let request = ChatRequest {
            messages: turns.iter().map(|(r, t)| says(roles[*r as usize], t)).collect(),
            ..ChatRequest::default()
        };
        if let Ok(encoded) = encode(&request, model) {
            let body = body(&encoded);
            let sent: Vec<_> = body["messages"].as_array().unwrap().iter().map(|t| t["role"].as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(&sent[0], "user");
            prop_assert!(sent.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", sent);
            prop_assert!(sent.windows(2).all(|pair| pair[1] != "system" || pair[0] == "user"), "{:?}", sent);
        }
    }
}

fn one_end(events: &[StreamEvent]) -> Result<(), TestCaseError> {
    let is_end = |event: &StreamEvent| matches!(event, StreamEvent::End | StreamEvent::Error(_));
    prop_assert_eq!(events.iter().filter(|e| is_end(e)).count(), 1);
    prop_assert!(events.last().is_some_and(is_end));
    Ok(())
}

// What the tests are made of.

fn full_request() -> ChatRequest {
    let cached = |words: &str, mark| Part::Text {
        text: words.into(),
        cache: Some(mark),
    };
    let reasoning = |text: &str, signature: Option<&str>, redacted: Option<&str>, origin| {
        Part::Reasoning(Reasoning {
            text: text.into(),
            signature: signature.map(Into::into),
            redacted: redacted.map(Into::into),
            origin,
        })
    };
    let own = Some(DialectName::AnthropicMessages);
    ChatRequest {
        model: "what the client wrote".into(),
        messages: vec![
            says(Role::System, "You are terse."),
            message(Role::System, vec![cached("The handbook.", CacheMark::OneHour)]),
            Message {
                name: Some("ann".into()),
                ..message(
                    Role::User,
                    vec![
                        Part::text("What is on these?"),
                        image(Media::Url {
                            url: "https://example.com/a.png".into(),
                        }),
                        Part::Image {
                            source: Media::Url {
                                url: "data:image/jpg;base64,/9j/4AAQ".into(),
                            },
                            detail: Some("low".into()),
                            cache: Some(CacheMark::Ephemeral),
                        },
                        file(base64("application/pdf", "JVBERi0="), Some("a.pdf")),
                        file(base64("text/markdown; charset=utf-8", "bmHDr3Zl"), Some("a.md")),
                        file(
                            Media::FileId {
                                id: "file_011CNha8iCJcU1wXNR6q4V8w".into(),
                            },
                            None,
                        ),
                    ],
                )
            },
            says(Role::User, "Look them up."),
            message(
                Role::Assistant,
                vec![
                    reasoning("Two calls.", Some("EqQBCgIYAhIM+/=="), None, own),
                    reasoning("", None, Some("EmwKAhgBEgy3va3pzix"), own),
                    reasoning("Another's.", Some("sig"), None, Some(DialectName::Gemini)),
                    reasoning("Unsigned.", None, None, own),
                    Part::text("Looking."),
                    call("toolu_01A", "look", r#"{"z":1,"a":[2.50]}"#),
                    call("functions.look:1", "look", r#"{"z":"#),
                    call("toolu_01C", "now", ""),
                ],
            ),
            message(
                Role::Tool,
                vec![result(
                    "toolu_01A",
                    vec![Part::text("a cat"), image(base64("image/png", "iVBORw0="))],
                    false,
                )],
            ),
            says(Role::User, "Be quick."),
            message(
                Role::Tool,
                vec![
                    Part::ToolResult {
                        call_id: "functions.look:1".into(),
                        name: Some("look".into()),
                        content: vec![Part::text("bad arguments")],
                        is_error: true,
                        cache: Some(CacheMark::Ephemeral),
                    },
                    result("toolu_01C", vec![Part::text("")], false),
                ],
            ),
            says(Role::System, "Answer in French from here on."),
            says(Role::Assistant, "Un chat."),
            message(
                Role::Assistant,
                vec![Part::Refusal {
                    text: "Rien de plus.".into(),
                }],
            ),
            says(Role::System, "Now in German."),
            message(Role::User, vec![Part::text(" \n"), Part::text("And the dog?")]),
        ],
        tools: vec![
            Tool {
                description: Some("Looks.".into()),
                strict: Some(true),
                ..tool(
                    "look",
                    Some(
                        r#"{"type":"object","properties":{"z":{"type":"integer","minimum":0},"a":{"type":"array","items":{"type":"number"}}},"required":["z"],"additionalProperties":false}"#,
                    ),
                )
            },
            Tool {
                cache: Some(CacheMark::Ephemeral),
                ..tool("now", None)
            },
        ],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tool_calls: Some(false),
        response_format: Some(ResponseFormat::JsonSchema {
            name: "animal".into(),
            description: None,
            schema: Json::parse(r#"{"type":"object","properties":{"animal":{"type":"string"}},"required":["animal"]}"#)
                .unwrap(),
            strict: Some(true),
        }),
        sampling: Sampling {
            temperature: Some(0.3),
            top_p: Some(1.0),
            top_k: Some(40),
            presence_penalty: Some(0.5),
            frequency_penalty: Some(0.0),
        },
        max_output_tokens: Some(4096),
        stop: vec!["END".into(), "\n\nHuman:".into()],
        n: Some(1),
        seed: Some(7),
        logprobs: None,
        reasoning: Some(ReasoningRequest::Effort("high".into())),
        stream: true,
        include_usage: true,
        user: Some("u-8f14e45f".into()),
        dialect: Some(DialectName::OpenaiChat),
        extra: vec![("store".into(), Json::parse("false").unwrap())],
    }
}

fn encode(request: &ChatRequest, model: &str) -> Result<Encoded, Unsupported> {
    let upstream = UpstreamModel {
        model,
        max_output_default: 8192,
        reasoning: true,
    };
    encode_request(request, upstream)
}

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn dropped(encoded: &Encoded) -> Vec<&str> {
    encoded.dropped.iter().map(|d| d.0.as_str()).collect()
}

fn golden(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The texts of blocks, joined by bars.
fn texts(blocks: &Value) -> String {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<_> = blocks.iter().map(|b| b["text"].as_str().unwrap()).collect();
    texts.join("|")
}

fn decode(status: u16, body: &str) -> Result<ChatAnswer, Failure> {
    let headers = HeaderMap::new();
    let body = body.as_bytes();
    decode_answer(RawAnswer {
        status,
        headers: &headers,
        body,
        received: UnixMillis(0),
    })
}

/// All events of a stream, and how many frames were malformed.
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
        other => panic!("no error at the end but {other:?}"),
    }
}

/// An event in a word.
fn tell(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Start { id, model, .. } => format!("start({id},{model})"),
        StreamEvent::Text { text, .. } => format!("text({text})"),
        StreamEvent::Refusal { text, .. } => format!("refusal({text})"),
        StreamEvent::Reasoning { text, .. } => format!("reasoning({text})"),
        StreamEvent::ReasoningSignature { .. } => "signature".into(),
        StreamEvent::ToolCallStart { index, id, .. } => format!("call({index},{id})"),
        StreamEvent::ToolCallArguments { index, arguments, .. } => {
            format!("args({index},{arguments})")
        }
        StreamEvent::Finish { reason, .. } => {
            format!("finish({})", json!(reason).as_str().unwrap())
        }
        StreamEvent::Usage(usage) => format!("usage({},{})", usage.input, usage.output),
        StreamEvent::Ping => "ping".into(),
        StreamEvent::Error(failure) => format!("error({})", failure.class.as_str()),
        StreamEvent::End => "end".into(),
    }
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

fn base64(media_type: &str, data: &str) -> Media {
    Media::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    }
}

fn image(source: Media) -> Part {
    Part::Image {
        source,
        detail: None,
        cache: None,
    }
}

fn file(source: Media, filename: Option<&str>) -> Part {
    Part::File {
        source,
        filename: filename.map(Into::into),
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

fn result(call_id: &str, content: Vec<Part>, is_error: bool) -> Part {
    Part::ToolResult {
        call_id: call_id.into(),
        name: None,
        content,
        is_error,
        cache: None,
    }
}

fn tool(name: &str, parameters: Option<&str>) -> Tool {
    Tool {
        name: name.into(),
        description: None,
        parameters: parameters.map(|p| Json::parse(p).unwrap()),
        strict: None,
        cache: None,
    }
}
