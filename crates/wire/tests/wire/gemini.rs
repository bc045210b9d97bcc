//! Gemini against golden files: requests as the official Python SDK 3.4.0 sent them to a local server, answers and streams
//! from the v1beta reference and the guides (each read by the SDK's own types), errors from the table of the providers' bodies.

use std::time::Duration;

use http::HeaderMap;
use jumpseat_wire::gemini::{StreamDecoder, classify, decode_answer, encode_request};
use jumpseat_wire::request::{Encoded, Unsupported, UpstreamModel};
use jumpseat_wire::response::{Decode, RawAnswer};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{
    CacheMark, ChatRequest, Json, Media, Message, Part, Reasoning, ReasoningRequest, ResponseFormat, Role, Sampling,
    Tool, ToolCall, ToolChoice,
};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass, Scope};
use types::time::UnixMillis;
use types::usage::Usage;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../golden/gemini/", $name))
    };
}

const STREAMS: [&str; 9] = [
    golden!("stream_text.sse"),
    golden!("stream_tools.sse"),
    golden!("stream_choices.sse"),
    golden!("stream_blocked.sse"),
    golden!("stream_malformed_call.sse"),
    golden!("stream_error_bare.sse"),
    golden!("stream_error_array.sse"),
    golden!("stream_error_framed.sse"),
    "\u{feff}: hello\n\ndata:{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\ndata:\"responseId\":\"r\"}\n\n\
     event: message\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\ndata: [DONE]\n\n",
];

// Requests.

const SCHEMA: &str = r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"],"additionalProperties":false}"#;

#[test]
fn a_request_with_everything_is_what_the_sdk_sends() {
    let request = ChatRequest {
        model: "chat".into(),
        messages: vec![
            said(Role::System, vec![Part::text("Be brief.")]),
            said(
                Role::User,
                vec![
                    Part::text("What is in this picture?"),
                    image(base64("image/png", "iVBORw==")),
                    file(Media::Url {
                        url: "https://example.com/report.pdf".into(),
                    }),
                ],
            ),
            said(Role::Assistant, vec![Part::text("A cat.")]),
            said(Role::System, vec![Part::text("Answer in English.")]),
            said(Role::User, vec![Part::text("And the weather?")]),
            said(Role::User, vec![Part::text("In Paris.")]),
        ],
        response_format: Some(ResponseFormat::JsonSchema {
            name: "weather".into(),
            description: None,
            schema: Json::parse(SCHEMA).unwrap(),
            strict: Some(true),
        }),
        sampling: Sampling {
            temperature: Some(0.7),
            top_p: Some(0.9),
            top_k: Some(40),
            presence_penalty: Some(0.5),
            frequency_penalty: Some(-0.5),
        },
        max_output_tokens: Some(256),
        stop: vec!["END".into(), "STOP".into()],
        n: Some(2),
        seed: Some(42),
        logprobs: Some(3),
        reasoning: Some(ReasoningRequest::Effort("high".into())),
        stream: true,
        include_usage: true,
        ..ChatRequest::default()
    };
    let encoded = encode(&request).unwrap();
    assert_eq!(encoded.dropped, []);
    assert_eq!(body(&encoded), camel(golden!("sdk_request_full.json")));
    let text = String::from_utf8(encoded.body).unwrap();
    assert!(text.contains(SCHEMA), "the schema's keys keep their order");
}

#[test]
fn a_tool_loop_is_what_the_sdk_sends() {
    let encoded = encode(&tool_loop()).unwrap();
    assert_eq!(encoded.dropped, []);
    assert_eq!(body(&encoded), camel(golden!("sdk_request_tools.json")));
}

#[test]
fn a_call_without_a_signature_gets_the_documented_stand_in_from_gemini_3_on() {
    let mut request = tool_loop();
    for signature in [None, Some(String::new()), Some("msg_abc{}".to_owned())] {
        call_signature(&mut request, signature);
        let parts = body(&encode(&request).unwrap())["contents"][1]["parts"].clone();
        assert_eq!(parts[1]["thoughtSignature"], "skip_thought_signature_validator");
        assert_eq!(
            parts[2]["thoughtSignature"],
            Value::Null,
            "only the first of parallel calls"
        );
        let old = encode_request(&request, upstream("gemini-2.5-flash")).unwrap();
        assert_eq!(body(&old)["contents"][1]["parts"][1]["thoughtSignature"], Value::Null);
    }
}

#[test]
fn what_gemini_cannot_say_is_refused() {
    let plain = || ChatRequest {
        messages: vec![said(Role::User, vec![Part::text("hi")])],
        ..ChatRequest::default()
    };
    let with_extra = |name: &str, value: &str| ChatRequest {
        dialect: Some(DialectName::OpenaiChat),
        extra: vec![(name.to_owned(), Json::parse(value).unwrap())],
        ..plain()
    };
    let with_part = |part: Part| ChatRequest {
        messages: vec![said(Role::User, vec![part])],
        ..ChatRequest::default()
    };
    let rows = [
        (ChatRequest { n: Some(9), ..plain() }, "n"),
        (
            ChatRequest {
                stop: vec!["x".into(); 6],
                ..plain()
            },
            "stop",
        ),
        (
            ChatRequest {
                logprobs: Some(21),
                ..plain()
            },
            "top_logprobs",
        ),
        (
            ChatRequest {
                tools: vec![tool("1st", None)],
                ..plain()
            },
            "tools",
        ),
        (with_extra("modalities", r#"["text","audio"]"#), "modalities"),
        (with_extra("logit_bias", r#"{"50256":-100}"#), "logit_bias"),
        (with_part(image(Media::FileId { id: "file-abc".into() })), "messages"),
        (
            with_part(file(Media::Url {
                url: "ftp://example.com/a".into(),
            })),
            "messages",
        ),
        (with_part(result("nowhere", None, false)), "messages"),
        (
            ChatRequest {
                messages: vec![said(Role::System, vec![image(base64("image/png", "AA=="))])],
                ..ChatRequest::default()
            },
            "messages",
        ),
    ];
    for (request, param) in rows {
        let refused = encode(&request).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param), "{refused}");
        assert_eq!(refused.dialect, DialectName::Gemini);
    }
    let json_beside_tools = ChatRequest {
        tools: vec![tool("now", None)],
        response_format: Some(ResponseFormat::JsonObject),
        ..plain()
    };
    assert!(encode(&json_beside_tools).is_ok());
    assert!(encode_request(&json_beside_tools, upstream("gemini-2.5-pro")).is_err());
}

#[test]
fn what_is_left_out_is_reported_once() {
    let cached = |text: &str| Part::Text {
        text: text.into(),
        cache: Some(CacheMark::Ephemeral),
    };
    let request = ChatRequest {
        messages: vec![
            Message {
                name: Some("ann".into()),
                ..said(Role::User, vec![cached("a"), cached("b")])
            },
            said(
                Role::Assistant,
                vec![
                    reasoning("I think", Some("sig"), Some(DialectName::AnthropicMessages)),
                    reasoning("so", None, None),
                    call("c", "now", "{broken", None),
                ],
            ),
            said(Role::Tool, vec![result("c", None, false)]),
            said(
                Role::User,
                vec![
                    Part::Image {
                        source: base64("image/png", "AA=="),
                        detail: Some("low".into()),
                        cache: None,
                    },
                    Part::File {
                        source: base64("application/pdf", "AA=="),
                        filename: Some("a.pdf".into()),
                        cache: None,
                    },
                ],
            ),
        ],
        tools: vec![tool("now", None)],
        parallel_tool_calls: Some(false),
        user: Some("u".into()),
        dialect: Some(DialectName::OpenaiChat),
        extra: vec![
            ("metadata".into(), Json::parse("{}").unwrap()),
            ("service_tier".into(), Json::parse("\"scale\"").unwrap()),
            ("store".into(), Json::parse("null").unwrap()),
            ("modalities".into(), Json::parse("[\"text\"]").unwrap()),
            ("logit_bias".into(), Json::parse("{}").unwrap()),
        ],
        ..ChatRequest::default()
    };
    let encoded = encode(&request).unwrap();
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    let wanted = [
        "name",
        "cache_control",
        "reasoning",
        "tool_calls.function.arguments",
        "detail",
        "filename",
        "parallel_tool_calls",
        "user",
        "metadata",
        "service_tier",
        "logit_bias",
    ];
    assert_eq!(dropped, wanted);
    let body = body(&encoded);
    let model = &body["contents"][1]["parts"];
    assert_eq!(model.as_array().unwrap().len(), 1, "foreign reasoning is gone: {model}");
    assert_eq!(model[0]["functionCall"]["args"], json!({"arguments": "{broken"}));
}

#[test]
fn tool_choices_and_strictness_become_modes() {
    let rows = [
        (None, None, Value::Null),
        (None, Some(true), json!({"mode": "VALIDATED"})),
        (Some(ToolChoice::Auto), None, json!({"mode": "AUTO"})),
        (Some(ToolChoice::Auto), Some(true), json!({"mode": "VALIDATED"})),
        (Some(ToolChoice::None), Some(true), json!({"mode": "NONE"})),
        (Some(ToolChoice::Required), None, json!({"mode": "ANY"})),
        (
            Some(ToolChoice::Named("now".into())),
            Some(true),
            json!({"mode": "ANY", "allowedFunctionNames": ["now"]}),
        ),
    ];
    for (choice, strict, wanted) in rows {
        let mut request = ChatRequest {
            messages: vec![said(Role::User, vec![Part::text("hi")])],
            tools: vec![tool("now", strict)],
            tool_choice: choice.clone(),
            ..ChatRequest::default()
        };
        let encoded = body(&encode(&request).unwrap());
        assert_eq!(encoded["toolConfig"]["functionCallingConfig"], wanted, "{choice:?}");
        request.tools.clear();
        let encoded = body(&encode(&request).unwrap());
        assert_eq!(encoded["toolConfig"], Value::Null, "no tools, no toolConfig");
    }
}

#[test]
fn media_and_odd_turns_find_a_place() {
    let request = ChatRequest {
        messages: vec![
            said(
                Role::User,
                vec![
                    Part::text(""),
                    Part::Audio {
                        source: base64("audio/wav", "UklG"),
                    },
                    image(Media::Url {
                        url: "data:image/gif;base64,R0lG".into(),
                    }),
                    image(Media::Url {
                        url: "https://example.com/picture".into(),
                    }),
                    file(Media::FileId {
                        id: "https://generativelanguage.googleapis.com/v1beta/files/abc".into(),
                    }),
                ],
            ),
            said(Role::Assistant, vec![Part::Refusal { text: "No.".into() }]),
            said(Role::Assistant, vec![]),
            said(Role::User, vec![Part::text("")]),
        ],
        response_format: Some(ResponseFormat::JsonObject),
        dialect: Some(DialectName::OpenaiChat),
        extra: vec![("service_tier".into(), Json::parse("\"flex\"").unwrap())],
        ..ChatRequest::default()
    };
    let wanted = json!({
        "contents": [
            {"role": "user", "parts": [
                {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
                {"inlineData": {"mimeType": "image/gif", "data": "R0lG"}},
                {"fileData": {"fileUri": "https://example.com/picture"}},
                {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
            ]},
            {"role": "model", "parts": [{"text": "No."}]},
            {"role": "user", "parts": [{"text": ""}]},
        ],
        "generationConfig": {"responseMimeType": "application/json"},
        "serviceTier": "flex",
    });
    assert_eq!(body(&encode(&request).unwrap()), wanted);

    let instructions_only = ChatRequest {
        messages: vec![said(Role::System, vec![Part::text("Say hi.")])],
        ..ChatRequest::default()
    };
    assert_eq!(
        body(&encode(&instructions_only).unwrap()),
        json!({"contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]})
    );
}

#[test]
fn a_tool_result_carries_its_pieces_and_its_media() {
    let request = ChatRequest {
        messages: vec![
            said(Role::Assistant, vec![call("c", "look", "", Some("AQID"))]),
            said(
                Role::Tool,
                vec![Part::ToolResult {
                    call_id: "c".into(),
                    name: None,
                    content: vec![Part::text("one"), Part::text("two"), image(base64("image/png", "AA=="))],
                    is_error: false,
                    cache: None,
                }],
            ),
        ],
        ..ChatRequest::default()
    };
    assert_eq!(
        body(&encode(&request).unwrap())["contents"],
        json!([
            {"role": "model", "parts": [
                {"functionCall": {"id": "c", "name": "look", "args": {}}, "thoughtSignature": "AQID"},
            ]},
            {"role": "user", "parts": [{"functionResponse": {
                "id": "c", "name": "look", "response": {"output": "one\ntwo"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
            }}]},
        ])
    );
}

// Answers.

#[test]
fn a_text_answer_is_read_with_its_usage() {
    let answer = read(golden!("answer_text.json")).unwrap();
    assert_eq!(answer.text(), "AI learns patterns from data to make predictions. 🙂");
    assert_eq!(answer.id, "GaUfacOcLfSa1PIPu7CKqQg");
    assert_eq!(answer.model, "gemini-2.5-flash");
    assert_eq!(answer.created, 1_795_176_000);
    assert_eq!(answer.choices[0].finish, Some(FinishReason::Stop));
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 1_017,
            output: 61,
            cached_input: 1_000,
            cache_write_input: 0,
            reasoning: 40,
            ..Usage::default()
        })
    );
    assert_eq!(answer.usage.unwrap().total(), 1_078, "Gemini's own total");
}

#[test]
fn calls_keep_their_numbers_and_signatures_and_get_stable_ids() {
    let answer = read(golden!("answer_tools.json")).unwrap();
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(FinishReason::ToolCalls));
    assert_eq!(
        choice.parts[0],
        AnswerPart::Reasoning(Reasoning {
            text: "**Two cities**\n\nI need the weather of both.".into(),
            signature: None,
            redacted: None,
            origin: Some(DialectName::Gemini),
        })
    );
    let calls = calls_of(choice);
    assert_eq!(
        calls[0].arguments,
        r#"{"city":"Paris","station":12345678901234567890,"limit":1.50}"#
    );
    assert_eq!(calls[0].signature.as_deref(), Some("CiQBveKPvQ+v/8A="));
    assert_eq!(
        (calls[1].signature.as_deref(), calls[1].name.as_str()),
        (None, "get_weather")
    );
    assert_eq!((calls[2].id.as_str(), calls[2].arguments.as_str()), ("fc-7", "{}"));
    assert_ne!(calls[0].id, calls[1].id);
    assert_eq!(
        answer,
        read(golden!("answer_tools.json")).unwrap(),
        "the same ids again"
    );
}

#[test]
fn what_gemini_said_goes_back_to_it_as_it_came() {
    let answer = read(golden!("answer_tools.json")).unwrap();
    let original: Value = serde_json::from_str(golden!("answer_tools.json")).unwrap();
    let request = ChatRequest {
        messages: vec![
            said(Role::User, vec![Part::text("hi")]),
            said(Role::Assistant, answer.choices[0].parts.iter().map(part_of).collect()),
        ],
        ..ChatRequest::default()
    };
    let mut echoed = body(&encode(&request).unwrap())["contents"][1].clone();
    let mut wanted = original["candidates"][0]["content"].clone();
    wanted["parts"][3]["functionCall"]["args"] = json!({});
    for part in echoed["parts"].as_array_mut().unwrap() {
        if let Some(call) = part.get_mut("functionCall").and_then(Value::as_object_mut)
            && call["id"] != "fc-7"
        {
            call.remove("id");
        }
    }
    assert_eq!(echoed, wanted);

    let signed = read(golden!("answer_choices_logprobs.json")).unwrap();
    let request = ChatRequest {
        messages: vec![said(
            Role::Assistant,
            signed.choices[0].parts.iter().map(part_of).collect(),
        )],
        ..ChatRequest::default()
    };
    assert_eq!(
        body(&encode(&request).unwrap())["contents"][0]["parts"],
        json!([{"text": "Hi!", "thoughtSignature": "AQID"}])
    );
}

#[test]
fn several_candidates_are_choices_and_logprobs_are_openais() {
    let answer = read(golden!("answer_choices_logprobs.json")).unwrap();
    assert_eq!(answer.choices.iter().map(|c| c.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(answer.choices[1].finish, Some(FinishReason::Length));
    let logprobs: Value = serde_json::from_str(answer.choices[0].logprobs.as_ref().unwrap().as_str()).unwrap();
    assert_eq!(
        logprobs,
        json!({
            "content": [
                {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": [
                    {"token": "Hi", "logprob": -0.25, "bytes": [72, 105]},
                    {"token": "Hé", "logprob": -2.0, "bytes": [72, 195, 169]},
                ]},
                {"token": "!", "logprob": -0.5, "bytes": [33], "top_logprobs": []},
            ],
            "refusal": null,
        })
    );
}

#[test]
fn answers_that_are_none_are_failures() {
    let rows = [
        (
            golden!("answer_blocked.json"),
            OutcomeClass::ContentFiltered,
            Some("PROHIBITED_CONTENT"),
        ),
        (
            golden!("answer_malformed_call.json"),
            OutcomeClass::MalformedOutput,
            Some("MALFORMED_FUNCTION_CALL"),
        ),
        ("<!DOCTYPE html><html>busy</html>", OutcomeClass::BadResponse, None),
        ("", OutcomeClass::BadResponse, None),
        ("{}", OutcomeClass::BadResponse, None),
        ("[]", OutcomeClass::BadResponse, None),
        (r#"{"candidates":[]}"#, OutcomeClass::BadResponse, None),
        (
            r#"{"candidates":[{"content":{"role":"model"}}]}"#,
            OutcomeClass::BadResponse,
            None,
        ),
        (
            r#"{"candidates":[{"content":{"parts":[{"text":"cut"#,
            OutcomeClass::BadResponse,
            None,
        ),
    ];
    for (body, class, code) in rows {
        let failure = read(body).unwrap_err();
        assert_eq!((failure.class, failure.code.as_deref()), (class, code), "{body}");
        assert_eq!(failure.status, Some(200), "{body}");
        assert!(!failure.message.is_empty());
    }
    let safety = read(golden!("answer_safety.json")).unwrap();
    assert_eq!(safety.choices[0].finish, Some(FinishReason::ContentFilter));
    let thought_away = read(golden!("answer_thought_away.json")).unwrap();
    assert_eq!(thought_away.choices[0].finish, Some(FinishReason::Length));
    assert_eq!(thought_away.usage.unwrap().output, 49);
}

// Errors.

#[test]
fn every_error_has_its_class_reach_and_wait() {
    let rows: Vec<Value> = serde_json::from_str(golden!("errors.json")).unwrap();
    for row in &rows {
        let name = row["name"].as_str().unwrap();
        for pretty in [false, true] {
            let body = if pretty {
                serde_json::to_vec_pretty(&row["body"]).unwrap()
            } else {
                serde_json::to_vec(&row["body"]).unwrap()
            };
            let status = row["http"].as_u64().unwrap() as u16;
            let headers = HeaderMap::new();
            let raw = raw(status, &body, &headers);
            let failure = classify(raw);
            assert_eq!(json!(failure.class), row["class"], "class: {name}");
            assert_eq!(json!(failure.scope), row["scope"], "scope: {name}");
            assert_eq!(json!(failure.code), row["code"], "code: {name}");
            assert_eq!(json!(failure.param), row["param"], "param: {name}");
            assert_eq!(failure.status, Some(status), "status: {name}");
            let wait_ms = failure.retry_after.map(|wait| wait.as_millis() as u64);
            assert_eq!(json!(wait_ms), row["retry_ms"], "wait: {name}");
            assert_eq!(decode_answer(raw).unwrap_err(), failure, "{name}");
        }
    }
}

#[test]
fn a_body_that_is_no_error_falls_to_its_status() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "3".parse().unwrap());
    let rows = [
        (429, "", OutcomeClass::RateLimited, "the provider gave no message"),
        (
            503,
            "<html>",
            OutcomeClass::Overloaded,
            "the provider answered with HTML",
        ),
        (
            401,
            "key AIzaSyA1234567890 is bad",
            OutcomeClass::Auth,
            "key [redacted] is bad",
        ),
        (
            302,
            "{}",
            OutcomeClass::BadResponse,
            "the provider's answer is neither an answer nor an error",
        ),
    ];
    for (status, body, class, message) in rows {
        let failure = classify(raw(status, body.as_bytes(), &headers));
        assert_eq!((failure.class, failure.message.as_str()), (class, message), "{status}");
        assert_eq!(failure.retry_after, Some(Duration::from_secs(3)), "{status}");
    }
}

// Streams.

#[test]
fn a_text_stream_is_read_in_order() {
    let usage = |output, cached_input| {
        StreamEvent::Usage(Usage {
            input: 5,
            output,
            cached_input,
            cache_write_input: 0,
            reasoning: 25,
            ..Usage::default()
        })
    };
    let wanted = [
        start("Zx1-aQ", "gemini-2.5-flash"),
        StreamEvent::Reasoning {
            choice: 0,
            text: "**Thinking**".into(),
        },
        usage(25, 0),
        text(0, "Hello"),
        usage(26, 0),
        text(0, ", wörld 🙂"),
        usage(31, 0),
        StreamEvent::ReasoningSignature {
            choice: 0,
            signature: Some("CiQBveKPvQ==".into()),
            redacted: None,
            origin: DialectName::Gemini,
        },
        usage(32, 4),
        finish(0, FinishReason::Stop),
        StreamEvent::End,
    ];
    assert_eq!(events(golden!("stream_text.sse")), wanted);
}

#[test]
fn streamed_calls_are_the_ones_of_the_whole_answer() {
    let got = events(golden!("stream_tools.sse"));
    let whole = json!({
        "candidates": [{"content": {"parts": [
            {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": "AQIDBA=="},
            {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}},
            {"functionCall": {"id": "fc-9", "name": "now", "args": {}}},
        ]}, "finishReason": "STOP"}],
        "responseId": "tools-1",
    });
    let answer = read(&whole.to_string()).unwrap();
    let mut wanted = vec![start("tools-1", "gemini-3-pro-preview")];
    for (index, call) in (0..).zip(calls_of(&answer.choices[0])) {
        wanted.push(StreamEvent::ToolCallStart {
            choice: 0,
            index,
            id: call.id,
            name: call.name,
            signature: call.signature,
        });
        wanted.push(StreamEvent::ToolCallArguments {
            choice: 0,
            index,
            arguments: call.arguments,
        });
    }
    wanted.push(StreamEvent::Usage(Usage {
        input: 60,
        output: 30,
        ..Usage::default()
    }));
    wanted.push(finish(0, FinishReason::ToolCalls));
    wanted.push(StreamEvent::End);
    assert_eq!(got, wanted);
}

#[test]
fn choices_are_mixed_and_each_finishes() {
    let got = events(golden!("stream_choices.sse"));
    let wanted = [
        start("two", "gemini-2.5-flash"),
        text(0, "a"),
        text(1, "x"),
        text(1, "y"),
        text(0, "b"),
        StreamEvent::Usage(Usage {
            input: 1,
            output: 4,
            ..Usage::default()
        }),
        finish(0, FinishReason::Length),
        finish(1, FinishReason::Stop),
        StreamEvent::End,
    ];
    assert_eq!(got, wanted);
}

#[test]
fn errors_in_a_stream_are_classified_however_they_come() {
    let rows = [
        (
            golden!("stream_error_bare.sse"),
            OutcomeClass::Overloaded,
            Some(503),
            None,
        ),
        (
            golden!("stream_error_array.sse"),
            OutcomeClass::RateLimited,
            Some(429),
            Some(7_500),
        ),
        (
            golden!("stream_error_framed.sse"),
            OutcomeClass::ServerError,
            Some(500),
            None,
        ),
        (golden!("stream_blocked.sse"), OutcomeClass::ContentFiltered, None, None),
        (
            golden!("stream_malformed_call.sse"),
            OutcomeClass::MalformedOutput,
            None,
            None,
        ),
        (
            "{\n  \"error\": {\"code\": 503,\n\n  \"message\": \"x\"}\n}",
            OutcomeClass::Overloaded,
            Some(503),
            None,
        ),
        (
            "data: [{\"error\": {\"status\": \"INTERNAL\"}}]\n\n",
            OutcomeClass::ServerError,
            Some(500),
            None,
        ),
        ("data: {\"error\": \"oops\"}\n\n", OutcomeClass::ServerError, None, None),
        (
            "<html>\n<body>busy</body>\n</html>",
            OutcomeClass::BadResponse,
            None,
            None,
        ),
        ("", OutcomeClass::StreamBroken, None, None),
        ("data: [DONE]\n\n", OutcomeClass::StreamBroken, None, None),
        // It spoke, and said nothing.
        (
            "data: {\"candidates\": [{\"content\": {\"parts\": []}, \"index\": 0}]}\n\n",
            OutcomeClass::BadResponse,
            None,
            None,
        ),
    ];
    for (stream, class, status, wait_ms) in rows {
        let got = events(stream);
        let Some(StreamEvent::Error(failure)) = got.last() else {
            panic!("{stream}: {got:?}")
        };
        assert_eq!((failure.class, failure.status), (class, status), "{stream}");
        assert_eq!(failure.retry_after, wait_ms.map(Duration::from_millis), "{stream}");
    }
}

#[test]
fn a_stream_without_a_finish_reason_is_broken_and_content_before_it_is_not_lost() {
    let whole = golden!("stream_text.sse");
    let cut = &whole[..whole.rfind("data:").unwrap()];
    let got = events(cut);
    assert!(got.contains(&text(0, "Hello")));
    assert_eq!(class_of_end(&got), Some(OutcomeClass::StreamBroken));
    let one_of_two = golden!("stream_choices.sse");
    let cut = &one_of_two[..one_of_two.rfind("data:").unwrap()];
    assert_eq!(class_of_end(&events(cut)), Some(OutcomeClass::StreamBroken));
}

#[test]
fn a_frame_that_is_no_json_is_dropped_and_counted() {
    let stream = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\ndata: {\"cand\n\ndata: 5\n\ndata: {}\n\n\
        data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n";
    let mut decoder = StreamDecoder::new();
    decoder.push(stream.as_bytes());
    decoder.finish();
    let got = drain(&mut decoder);
    assert_eq!(
        got,
        [
            start("", ""),
            text(0, "a"),
            finish(0, FinishReason::Stop),
            StreamEvent::End
        ]
    );
    assert_eq!(decoder.malformed(), 2);
}

#[test]
fn candidates_without_end_are_given_up_at_the_limit() {
    let candidates: Vec<_> = (0..65).map(|index| json!({ "index": index })).collect();
    let stream = format!("data: {}\n\n", json!({ "candidates": candidates }));
    assert_eq!(class_of_end(&events(&stream)), Some(OutcomeClass::BadResponse));
}

#[test]
fn a_stop_with_every_chunk_ends_nothing_early() {
    let chunk = |text: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}},\"finishReason\":\"STOP\"}}]}}\n\n"
        )
    };
    let got = events(&(chunk("a") + &chunk("b")));
    let wanted = [
        start("", ""),
        text(0, "a"),
        text(0, "b"),
        finish(0, FinishReason::Stop),
        StreamEvent::End,
    ];
    assert_eq!(got, wanted);
}

#[test]
fn malformed_output_after_content_is_a_finish() {
    let stream = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"MALFORMED_RESPONSE\"}]}\n\n";
    let wanted = [
        start("", ""),
        text(0, "a"),
        finish(0, FinishReason::Malformed),
        StreamEvent::End,
    ];
    assert_eq!(events(stream), wanted);
}

#[test]
fn a_stream_cut_into_pieces_anywhere_decodes_the_same() {
    for stream in STREAMS {
        let whole = events(stream);
        for cut in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            assert_eq!(decode(&[a, b]), whole, "cut at {cut}");
        }
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(decode(&bytes), whole, "byte by byte");
    }
}

#[test]
fn a_stream_that_ends_anywhere_ends_once_and_never_as_a_success_it_was_not() {
    // A line cut short may be a sign of life that the whole stream does not hold.
    let without_pings = |mut events: Vec<StreamEvent>| {
        events.retain(|event| *event != StreamEvent::Ping);
        events
    };
    for stream in STREAMS {
        let whole = without_pings(events(stream));
        for cut in 0..stream.len() {
            let got = decode(&[&stream.as_bytes()[..cut]]);
            assert_well_formed(&got);
            let got = without_pings(got);
            let (last, before) = got.split_last().unwrap();
            if *last == StreamEvent::End {
                assert_eq!(got, whole, "cut at {cut}");
            } else {
                assert!(whole.starts_with(before), "cut at {cut}: {got:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), status in 100u16..700, step in 1usize..50) {
        let headers = HeaderMap::new();
        let _ = classify(raw(status, &bytes, &headers));
        let _ = decode_answer(raw(200, &bytes, &headers));
        assert_well_formed(&decode(&bytes.chunks(step).collect::<Vec<_>>()));
    }

    #[test]
    fn no_damage_to_a_stream_panics(which in 0usize..STREAMS.len(), damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = STREAMS[which].as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = decode(&[&bytes]);
        assert_well_formed(&whole);
        prop_assert_eq!(decode(&bytes.chunks(7).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn no_damage_to_an_answer_panics(which in 0usize..3, at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let answers = [golden!("answer_tools.json"), golden!("answer_choices_logprobs.json"), golden!("errors.json")];
        let mut bytes = answers[which].as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let headers = HeaderMap::new();
        let _ = decode_answer(raw(200, &bytes, &headers));
        let _ = classify(raw(429, &bytes, &headers));
    }

    #[test]
    fn text_and_arguments_survive_both_ways(text in ".*", key in ".*", number in any::<i64>()) {
        let arguments = json!({ key: number, "text": text.clone() }).to_string();
        let request = ChatRequest {
            messages: vec![
                said(Role::User, vec![Part::text(text.clone())]),
                said(Role::Assistant, vec![call("c", "f", &arguments, Some("AQID"))]),
            ],
            ..ChatRequest::default()
        };
        let contents = body(&encode(&request).unwrap())["contents"].clone();
        prop_assert_eq!(contents[0]["parts"][0]["text"].as_str().unwrap(), text.as_str());
        let answer = json!({ "candidates": [{ "content": contents[1], "finishReason": "STOP" }] });
        let answer = read(&answer.to_string()).unwrap();
        prop_assert_eq!(&calls_of(&answer.choices[0])[0].arguments, &arguments);
    }
}

// What the tests are told with.

fn upstream(model: &str) -> UpstreamModel<'_> {
    UpstreamModel {
        model,
        max_output_default: 4_096,
        reasoning: true,
    }
}

fn encode(request: &ChatRequest) -> Result<Encoded, Unsupported> {
    encode_request(request, upstream("gemini-3-flash"))
}

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn raw<'a>(status: u16, body: &'a [u8], headers: &'a HeaderMap) -> RawAnswer<'a> {
    RawAnswer {
        status,
        headers,
        body,
        received: UnixMillis(1_795_176_000_000),
    }
}

fn read(body: &str) -> Result<ChatAnswer, Failure> {
    decode_answer(raw(200, body.as_bytes(), &HeaderMap::new()))
}

fn decode(chunks: &[&[u8]]) -> Vec<StreamEvent> {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        events.extend(drain(&mut decoder));
    }
    decoder.finish();
    events.extend(drain(&mut decoder));
    decoder.push(b"data: {\"responseId\":\"late\"}\n\n");
    decoder.finish();
    assert_eq!(decoder.poll(), None, "nothing follows the end");
    events
}

fn events(stream: &str) -> Vec<StreamEvent> {
    let events = decode(&[stream.as_bytes()]);
    assert_well_formed(&events);
    events
}

fn drain(decoder: &mut StreamDecoder) -> Vec<StreamEvent> {
    std::iter::from_fn(|| decoder.poll()).collect()
}

/// It ends once, at its end; it begins before anything is said.
#[track_caller]
fn assert_well_formed(events: &[StreamEvent]) {
    let ends = |e: &&StreamEvent| matches!(e, StreamEvent::End | StreamEvent::Error(_));
    assert_eq!(events.iter().filter(ends).count(), 1, "{events:?}");
    assert!(events.last().as_ref().is_some_and(ends), "{events:?}");
    let mut said = events
        .iter()
        .filter(|e| !matches!(e, StreamEvent::Ping | StreamEvent::Error(_)));
    assert!(
        said.next().is_none_or(|e| matches!(e, StreamEvent::Start { .. })),
        "{events:?}"
    );
    assert!(said.all(|e| !matches!(e, StreamEvent::Start { .. })), "{events:?}");
}

fn class_of_end(events: &[StreamEvent]) -> Option<OutcomeClass> {
    match events.last()? {
        StreamEvent::Error(failure) => {
            assert_eq!(failure.scope, Scope::Target);
            Some(failure.class)
        }
        _ => None,
    }
}

fn start(id: &str, model: &str) -> StreamEvent {
    StreamEvent::Start {
        id: id.into(),
        model: model.into(),
        created: 0,
    }
}

fn text(choice: u32, text: &str) -> StreamEvent {
    StreamEvent::Text {
        choice,
        text: text.into(),
        logprobs: None,
    }
}

fn finish(choice: u32, reason: FinishReason) -> StreamEvent {
    StreamEvent::Finish { choice, reason }
}

fn said(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
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

fn file(source: Media) -> Part {
    Part::File {
        source,
        filename: None,
        cache: None,
    }
}

fn call(id: &str, name: &str, arguments: &str, signature: Option<&str>) -> Part {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: signature.map(str::to_owned),
    })
}

fn result(call_id: &str, text: Option<&str>, is_error: bool) -> Part {
    Part::ToolResult {
        call_id: call_id.into(),
        name: None,
        content: text.map(Part::text).into_iter().collect(),
        is_error,
        cache: None,
    }
}

fn reasoning(text: &str, signature: Option<&str>, origin: Option<DialectName>) -> Part {
    Part::Reasoning(Reasoning {
        text: text.into(),
        signature: signature.map(str::to_owned),
        redacted: None,
        origin,
    })
}

fn tool(name: &str, strict: Option<bool>) -> Tool {
    Tool {
        name: name.into(),
        description: None,
        parameters: None,
        strict,
        cache: None,
    }
}

/// The conversation of `sdk_request_tools.json`.
fn tool_loop() -> ChatRequest {
    ChatRequest {
        messages: vec![
            said(Role::User, vec![Part::text("Weather in Paris and Rome?")]),
            said(
                Role::Assistant,
                vec![
                    reasoning("Let me think.", None, Some(DialectName::Gemini)),
                    call("c1", "get_weather", r#"{"city":"Paris"}"#, Some("c2lnMQ==")),
                    call("c2", "get_weather", r#"{"city":"Rome","days":2}"#, None),
                ],
            ),
            said(Role::Tool, vec![result("c1", Some(r#"{"temp": 21}"#), false)]),
            said(Role::Tool, vec![result("c2", Some("no such city"), true)]),
            said(Role::User, vec![Part::text("Well?")]),
        ],
        tools: vec![
            Tool {
                description: Some("The weather in a city.".into()),
                parameters: Some(Json::parse(SCHEMA).unwrap()),
                ..tool("get_weather", None)
            },
            tool("now", None),
        ],
        tool_choice: Some(ToolChoice::Named("get_weather".into())),
        ..ChatRequest::default()
    }
}

fn call_signature(request: &mut ChatRequest, signature: Option<String>) {
    match &mut request.messages[1].parts[1] {
        Part::ToolCall(call) => call.signature = signature,
        other => panic!("no call: {other:?}"),
    }
}

fn calls_of(choice: &Choice) -> Vec<ToolCall> {
    let call = |part: &AnswerPart| match part {
        AnswerPart::ToolCall(call) => Some(call.clone()),
        AnswerPart::Text { .. } | AnswerPart::Reasoning(_) | AnswerPart::Refusal { .. } => None,
    };
    choice.parts.iter().filter_map(call).collect()
}

/// A part of an answer as a part of the next request.
fn part_of(part: &AnswerPart) -> Part {
    match part.clone() {
        AnswerPart::Text { text } => Part::text(text),
        AnswerPart::Reasoning(reasoning) => Part::Reasoning(reasoning),
        AnswerPart::Refusal { text } => Part::Refusal { text },
        AnswerPart::ToolCall(call) => Part::ToolCall(call),
    }
}

/// What the SDK sent, brought to one spelling: it mixes snake and camel case, sends empty objects and writes 40 as 40.0.
fn camel(sent: &str) -> Value {
    fn name(key: &str) -> String {
        let mut words = key.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |mut name, word| {
            name.push_str(&word[..1].to_uppercase());
            name.push_str(&word[1..]);
            name
        })
    }
    fn walk(value: Value) -> Value {
        match value {
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (name(&key), walk(value)))
                .filter(|(_, value)| *value != json!({}))
                .collect(),
            Value::Array(items) => items.into_iter().map(walk).collect(),
            Value::Number(n) => match n.as_f64() {
                Some(n) if n.fract() == 0.0 => json!(n as i64),
                _ => Value::Number(n),
            },
            other => other,
        }
    }
    walk(serde_json::from_str(sent).unwrap())
}
