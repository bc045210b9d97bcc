//! Converse: requests, answers, event streams and errors in the shapes of the service's own description, and the decoder
//! against bytes nobody meant.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use http::{HeaderMap, HeaderValue as HttpValue};
use jumpseat_wire::bedrock_converse::{StreamDecoder, classify, decode_answer, encode_request, path};
use jumpseat_wire::dialect::needs_fetch;
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
use types::outcome::{Failure, OutcomeClass, Scope};
use types::time::UnixMillis;
use types::usage::Usage;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";
const LLAMA: &str = "meta.llama3-1-70b-instruct-v1:0";

// Requests.

#[test]
fn no_model_id_leaves_its_place_in_the_path() {
    let rows = [
        ("amazon.nova-pro-v1:0", false, "/model/amazon.nova-pro-v1%3A0/converse"),
        (
            "amazon.nova-pro-v1:0",
            true,
            "/model/amazon.nova-pro-v1%3A0/converse-stream",
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x",
            false,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x/converse",
        ),
        ("../x?y#z", false, "/model/..%2Fx%3Fy%23z/converse"),
    ];
    for (model, stream, wanted) in rows {
        assert_eq!(path(Operation::Generate, model, stream).as_deref(), Some(wanted));
    }
    assert_eq!(path(Operation::Embed, NOVA, false), None);
}

#[test]
fn everything_a_request_can_say_is_said_in_the_apis_words() {
    let encoded = encode(&full_request(), CLAUDE).unwrap();
    let wanted: Value = serde_json::from_str(include_str!("../../golden/bedrock_converse/request_full.json")).unwrap();
    let found = body(&encoded);
    assert_eq!(found, wanted, "{found:#}");
    assert_eq!(
        dropped(&encoded),
        [
            "name",
            "detail",
            "reasoning",
            "parallel_tool_calls",
            "presence_penalty",
            "top_p",
            "seed",
            "user",
            "store"
        ]
    );
    let text = String::from_utf8(encoded.body).unwrap();
    assert!(
        text.contains(r#""input":{"z":1,"a":[2.50]}"#),
        "arguments keep their key order and digits: {text}"
    );
}

#[test]
fn turns_alternate_and_begin_with_the_user() {
    use Role::{Assistant, System, User};
    let rows: [(&[(Role, &str)], &str, Value); 5] = [
        (
            &[(System, "s"), (User, "a"), (User, "b")],
            "s",
            json!([["user", "a|b"]]),
        ),
        (
            &[(User, "a"), (System, "s"), (Assistant, "b"), (User, "c")],
            "",
            json!([
                ["user", "a|<system_message>\ns\n</system_message>"],
                ["assistant", "b"],
                ["user", "c"]
            ]),
        ),
        (
            &[(Assistant, "hello"), (User, "a")],
            "",
            json!([
                ["user", "[The conversation begins with your message.]"],
                ["assistant", "hello"],
                ["user", "a"]
            ]),
        ),
        (&[(System, "r"), (System, "s")], "r", json!([["user", "s"]])),
        (
            &[(User, "a"), (Assistant, "so ")],
            "",
            json!([["user", "a"], ["assistant", "so"]]),
        ),
    ];
    for (messages, system, wanted) in rows {
        let messages = messages.iter().map(|(role, text)| says(*role, text)).collect();
        let body = body(&encode(&ask(messages), CLAUDE).unwrap());
        let turns: Vec<Value> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| json!([turn["role"], texts(&turn["content"])]))
            .collect();
        assert_eq!((texts(&body["system"]), json!(turns)), (system.to_owned(), wanted));
    }
}

#[test]
fn tools_are_there_whenever_tools_were_called() {
    let history = || {
        ask(vec![
            says(Role::User, "a"),
            message(Role::Assistant, vec![call("c 1", "look", r#"{"a":"#)]),
            message(
                Role::Tool,
                vec![result("c 1", vec![], true), result("c 1", vec![Part::text("x")], false)],
            ),
            says(Role::User, "b"),
        ])
    };
    let encoded = encode(&history(), CLAUDE).unwrap();
    let found = body(&encoded);
    assert_eq!(found["toolConfig"]["tools"][0]["toolSpec"]["name"], "no_tool_available");
    assert_eq!(
        found["messages"][1]["content"][0],
        json!({"toolUse": {"toolUseId": "c_1_0", "name": "look", "input": {"invalid_arguments": "{\"a\":"}}})
    );
    assert_eq!(
        found["messages"][2]["content"],
        json!([
            {"toolResult": {"toolUseId": "c_1_0", "content": [], "status": "error"}},
            {"toolResult": {"toolUseId": "c_1_0", "content": [{"text": "x"}]}},
            {"text": "b"},
        ])
    );

    let with = |tool_choice| ChatRequest {
        tools: vec![tool("look", None)],
        tool_choice,
        ..history()
    };
    let rows = [
        (None, Value::Null),
        (Some(ToolChoice::Auto), json!({"auto": {}})),
        (Some(ToolChoice::Required), json!({"any": {}})),
        (
            Some(ToolChoice::Named("look".into())),
            json!({"tool": {"name": "look"}}),
        ),
    ];
    for (choice, wanted) in rows {
        let body = body(&encode(&with(choice), CLAUDE).unwrap());
        assert_eq!(body["toolConfig"]["toolChoice"], wanted);
        assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "look");
    }
    let none = encode(&with(Some(ToolChoice::None)), CLAUDE).unwrap();
    assert_eq!(
        body(&none)["toolConfig"]["tools"][0]["toolSpec"]["name"],
        "no_tool_available"
    );
    assert_eq!(dropped(&none), ["tools"]);
    let plain = ChatRequest {
        tools: vec![tool("look", None)],
        tool_choice: Some(ToolChoice::None),
        ..ask(vec![says(Role::User, "a")])
    };
    assert_eq!(body(&encode(&plain, CLAUDE).unwrap())["toolConfig"], Value::Null);
}

#[test]
fn what_only_one_maker_knows_goes_into_its_own_fields() {
    let wish = |reasoning, top_k| ChatRequest {
        reasoning: Some(reasoning),
        sampling: Sampling {
            top_k,
            ..Sampling::default()
        },
        max_output_tokens: Some(20_000),
        ..ask(vec![says(Role::User, "a")])
    };
    let effort = |word: &str| ReasoningRequest::Effort(word.into());
    #[rustfmt::skip]
    let rows = [
        (CLAUDE, wish(ReasoningRequest::Budget(5000), None), json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}), Value::Null, vec![]),
        (CLAUDE, wish(effort("none"), Some(5)), json!({"top_k": 5}), Value::Null, vec![]),
        ("anthropic.claude-opus-5-v1:0", wish(effort("high"), None), json!({"thinking": {"type": "adaptive", "display": "summarized"}}), json!({"effort": "high"}), vec![]),
        (NOVA, wish(effort("low"), Some(5)), json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}, "inferenceConfig": {"topK": 5}}), Value::Null, vec![]),
        ("openai.gpt-oss-20b-1:0", wish(ReasoningRequest::Budget(9000), Some(5)), json!({"reasoning_effort": "medium"}), Value::Null, vec!["reasoning_effort", "top_k"]),
        (LLAMA, wish(effort("low"), Some(5)), Value::Null, Value::Null, vec!["reasoning_effort", "top_k"]),
        (LLAMA, wish(effort("none"), None), Value::Null, Value::Null, vec![]),
    ];
    for (model, request, fields, config, drops) in rows {
        let encoded = encode(&request, model).unwrap();
        let body = body(&encoded);
        assert_eq!(
            (
                &body["additionalModelRequestFields"],
                &body["outputConfig"],
                dropped(&encoded)
            ),
            (&fields, &config, drops),
            "{model}"
        );
    }
}

#[test]
fn a_schema_is_enforced_as_text_and_an_object_asked_for_in_words() {
    let format = |response_format| ChatRequest {
        response_format: Some(response_format),
        ..ask(vec![says(Role::User, "a")])
    };
    let schema = format(ResponseFormat::JsonSchema {
        name: "answer".into(),
        description: None,
        schema: json_text(r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#),
        strict: None,
    });
    let encoded = encode(&schema, CLAUDE).unwrap();
    let config = &body(&encoded)["outputConfig"]["textFormat"];
    assert_eq!(config["type"], "json_schema");
    assert_eq!(config["structure"]["jsonSchema"]["name"], "answer");
    let text = config["structure"]["jsonSchema"]["schema"].as_str().unwrap();
    let closed: Value = serde_json::from_str(text).unwrap();
    assert_eq!(closed["additionalProperties"], false);
    assert_eq!(dropped(&encoded), ["response_format.minimum"]);
    let old = encode(&schema, "anthropic.claude-3-haiku-20240307-v1:0").unwrap_err();
    assert_eq!(old.param.as_deref(), Some("response_format"));

    let object = encode(&format(ResponseFormat::JsonObject), NOVA).unwrap();
    assert!(texts(&body(&object)["system"]).contains("one JSON object"));
    assert_eq!(dropped(&object), ["response_format"]);
}

#[test]
fn media_are_bytes_and_what_is_elsewhere_must_be_fetched() {
    let (cat, report) = ("https://example.com/cat.png", "http://example.com/a.pdf");
    let mut request = ask(vec![
        message(
            Role::User,
            vec![
                image(Media::Url { url: cat.into() }),
                image(Media::Url { url: cat.into() }),
                image(Media::Url {
                    url: "data:image/gif;base64,R0lG".into(),
                }),
                file(Media::Url { url: report.into() }, Some("a_b.pdf")),
                file(base64("text/csv", "YQ=="), Some("a b.csv")),
                image(Media::Url {
                    url: "s3://bucket/x.jpg".into(),
                }),
            ],
        ),
        message(Role::Assistant, vec![call("1", "look", "")]),
        message(
            Role::Tool,
            vec![result("1", vec![image(Media::Url { url: cat.into() })], false)],
        ),
    ]);
    for dialect in DialectName::ALL {
        let fetched = match dialect {
            DialectName::BedrockConverse | DialectName::OllamaChat => vec![cat.to_owned(), report.to_owned()],
            DialectName::OpenaiChat
            | DialectName::OpenaiResponses
            | DialectName::AnthropicMessages
            | DialectName::Gemini
            | DialectName::CohereChat => vec![],
        };
        assert_eq!(needs_fetch(dialect, &request), fetched, "{dialect:?}");
    }
    let refused = encode(&request, CLAUDE).unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("messages"));
    assert!(refused.to_string().contains("fetching them here is off"), "{refused}");

    assert_eq!(request.inline(cat, "image/png", "iVBO"), 3);
    assert_eq!(request.inline(report, "application/pdf", "JVBE"), 1);
    assert_eq!(needs_fetch(DialectName::BedrockConverse, &request), [""; 0]);
    let found = body(&encode(&request, CLAUDE).unwrap());
    let png = json!({"image": {"format": "png", "source": {"bytes": "iVBO"}}});
    assert_eq!(
        found["messages"][0]["content"],
        json!([
            png, png,
            {"image": {"format": "gif", "source": {"bytes": "R0lG"}}},
            {"document": {"format": "pdf", "name": "a b", "source": {"bytes": "JVBE"}}},
            {"document": {"format": "csv", "name": "a b (2)", "source": {"bytes": "YQ=="}}},
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/x.jpg"}}}},
            {"text": "[A document is attached.]"},
        ])
    );
    assert_eq!(
        found["messages"][2]["content"][0]["toolResult"]["content"],
        json!([png])
    );
}

#[test]
fn what_the_api_cannot_say_is_unsupported() {
    let question = || ask(vec![says(Role::User, "hi")]);
    let part = |role, part| ask(vec![says(Role::User, "a"), message(role, vec![part])]);
    let rows: Vec<(&str, &str, ChatRequest)> = vec![
        (
            "n",
            CLAUDE,
            ChatRequest {
                n: Some(2),
                ..question()
            },
        ),
        (
            "logprobs",
            CLAUDE,
            ChatRequest {
                logprobs: Some(0),
                ..question()
            },
        ),
        (
            "stop",
            CLAUDE,
            ChatRequest {
                stop: vec!["\n".into()],
                ..question()
            },
        ),
        (
            "temperature",
            NOVA,
            ChatRequest {
                sampling: Sampling {
                    temperature: Some(1.5),
                    ..Sampling::default()
                },
                ..question()
            },
        ),
        (
            "tool_choice",
            CLAUDE,
            ChatRequest {
                tool_choice: Some(ToolChoice::Required),
                ..question()
            },
        ),
        (
            "tool_choice",
            "anthropic.claude-opus-5-5-v1:0",
            ChatRequest {
                tools: vec![tool("a", None)],
                tool_choice: Some(ToolChoice::Required),
                ..question()
            },
        ),
        (
            "tools",
            CLAUDE,
            ChatRequest {
                tools: vec![tool("a.b", None)],
                ..question()
            },
        ),
        ("messages", CLAUDE, ask(vec![])),
        (
            "messages",
            "anthropic.claude-opus-5-v1:0",
            ask(vec![says(Role::User, "a"), says(Role::Assistant, "b")]),
        ),
        ("messages", CLAUDE, part(Role::User, image(base64("image/bmp", "Qk0=")))),
        (
            "messages",
            CLAUDE,
            part(Role::User, file(base64("application/zip", "UEs="), None)),
        ),
        (
            "messages",
            CLAUDE,
            part(Role::User, image(Media::FileId { id: "file-1".into() })),
        ),
        (
            "messages",
            CLAUDE,
            part(Role::Assistant, image(base64("image/png", "iVBO"))),
        ),
        ("messages", CLAUDE, part(Role::User, call("1", "a", "{}"))),
    ];
    for (param, model, request) in rows {
        let refused = encode(&request, model).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param), "{refused}");
        assert_eq!(refused.dialect, DialectName::BedrockConverse);
    }
}

#[test]
fn cache_marks_become_points_where_the_model_takes_them() {
    let marked = |mark| {
        ask(vec![message(
            Role::User,
            vec![
                Part::Text {
                    text: "a".into(),
                    cache: Some(mark),
                },
                Part::text("b"),
            ],
        )])
    };
    let point = |body: &Value| body["messages"][0]["content"][1]["cachePoint"].clone();
    let rows = [
        (CLAUDE, CacheMark::Ephemeral, json!({"type": "default"}), vec![]),
        (
            CLAUDE,
            CacheMark::OneHour,
            json!({"type": "default", "ttl": "1h"}),
            vec![],
        ),
        (
            NOVA,
            CacheMark::OneHour,
            json!({"type": "default"}),
            vec!["cache_control.ttl"],
        ),
        (LLAMA, CacheMark::Ephemeral, Value::Null, vec!["cache_control"]),
    ];
    for (model, mark, wanted, drops) in rows {
        let encoded = encode(&marked(mark), model).unwrap();
        assert_eq!((point(&body(&encoded)), dropped(&encoded)), (wanted, drops), "{model}");
    }
}

// Answers.

#[test]
fn a_whole_answer_is_read() {
    let answer = decode(
        200,
        include_str!("../../golden/bedrock_converse/answer_full.json"),
        &[("x-amzn-requestid", "7a1b")],
    )
    .unwrap();
    assert_eq!(answer.id, "7a1b");
    assert_eq!(answer.service_tier.as_deref(), Some("default"));
    assert_eq!(
        answer.usage,
        Some(Usage {
            input: 1_730,
            output: 52,
            cached_input: 1_600,
            cache_write_input: 100,
            reasoning: 0,
            ..Usage::default()
        })
    );
    let reasoning = |text: &str, signature: Option<&str>, redacted: Option<&str>| {
        AnswerPart::Reasoning(Reasoning {
            text: text.into(),
            signature: signature.map(str::to_owned),
            redacted: redacted.map(str::to_owned),
            origin: Some(DialectName::BedrockConverse),
        })
    };
    assert_eq!(
        answer.choices[0].parts,
        [
            reasoning("The user asks.", Some("EqQB/w=="), None),
            reasoning("", None, Some("cmVk")),
            AnswerPart::Text {
                text: "Let me look.".into()
            },
            AnswerPart::Text {
                text: "It is said. Twice.".into()
            },
            AnswerPart::ToolCall(ToolCall {
                id: "tooluse_kZJMlvQm".into(),
                name: "weather".into(),
                arguments: r#"{"place": "Bern", "days": 1.0}"#.into(),
                signature: None,
            }),
        ]
    );
    assert_eq!(answer.choices[0].finish, Some(FinishReason::ToolCalls));

    // What came back signed goes back the same.
    let parts = answer.choices[0].parts.iter().filter_map(|part| match part {
        AnswerPart::Reasoning(reasoning) => Some(Part::Reasoning(reasoning.clone())),
        AnswerPart::Text { .. } | AnswerPart::Refusal { .. } | AnswerPart::ToolCall(_) => None,
    });
    let mut parts: Vec<Part> = parts.collect();
    parts.push(Part::text("so"));
    let again = ask(vec![
        says(Role::User, "a"),
        message(Role::Assistant, parts),
        says(Role::User, "b"),
    ]);
    assert_eq!(
        body(&encode(&again, CLAUDE).unwrap())["messages"][1]["content"],
        json!([
            {"reasoningContent": {"reasoningText": {"text": "The user asks.", "signature": "EqQB/w=="}}},
            {"reasoningContent": {"redactedContent": "cmVk"}},
            {"text": "so"},
        ])
    );
}

#[test]
fn every_stop_reason_has_a_meaning_whole_and_streamed() {
    let rows = [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("tool_use", FinishReason::ToolCalls),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("guardrail_intervened", FinishReason::ContentFilter),
        ("content_filtered", FinishReason::ContentFilter),
        ("of_tomorrow", FinishReason::Stop),
    ];
    for (word, reason) in rows {
        let whole =
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}, "stopReason": word});
        assert_eq!(
            decode(200, &whole.to_string(), &[]).unwrap().choices[0].finish,
            Some(reason)
        );
        let stream = [
            event("messageStart", &json!({"role": "assistant"})),
            event("messageStop", &json!({"stopReason": word})),
        ];
        assert!(told(&stream.concat()).contains(&format!("finish {reason:?}")), "{word}");
    }
    for word in ["malformed_model_output", "malformed_tool_use"] {
        let whole = json!({"output": {"message": {"role": "assistant", "content": []}}, "stopReason": word});
        let failure = decode(200, &whole.to_string(), &[]).unwrap_err();
        assert_eq!(
            (failure.class, failure.code.as_deref()),
            (OutcomeClass::MalformedOutput, Some(word))
        );
        let stream = event("messageStop", &json!({"stopReason": word}));
        assert_eq!(error(&events(&[&stream]).0).class, OutcomeClass::MalformedOutput);
    }
}

#[test]
fn every_error_of_the_service_has_its_class_and_reach() {
    use OutcomeClass::*;
    use Scope::{Credential, CredentialAtTarget, Target};
    #[rustfmt::skip]
    let rows = [
        (429, "ThrottlingException", "Too many requests, please wait", RateLimited, Target),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", QuotaExhausted, CredentialAtTarget),
        (400, "ServiceQuotaExceededException", "quota", QuotaExhausted, CredentialAtTarget),
        (503, "ServiceUnavailableException:http://internal.amazon.com/coral/", "busy", Overloaded, Target),
        (429, "ModelNotReadyException", "not ready", Overloaded, Target),
        (408, "ModelTimeoutException", "slow", ServerError, Target),
        (424, "ModelErrorException", "broken", ServerError, Target),
        (500, "InternalServerException", "oops", ServerError, Target),
        (400, "ValidationException", "Input is too long for requested model.", ContextTooLong, Target),
        (400, "ValidationException", "The provided model identifier is invalid.", ModelNotFound, Target),
        (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn\u{2019}t supported.", ModelNotFound, Target),
        (400, "ValidationException", "messages.1.content is empty", InvalidRequest, Target),
        (400, "ValidationException", "Operation not allowed", Auth, CredentialAtTarget),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", Auth, CredentialAtTarget),
        (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", Auth, Credential),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", Auth, Credential),
        (403, "ExpiredTokenException", "The security token included in the request is expired", Auth, Credential),
        (403, "InvalidSignatureException", "The request signature we calculated does not match", Auth, Credential),
        (404, "ResourceNotFoundException", "Model not found", ModelNotFound, Target),
        (403, "", "Forbidden", Auth, CredentialAtTarget),
        (502, "", "Bad Gateway", ServerError, Target),
    ];
    for (status, kind, message, class, scope) in rows {
        let body = json!({ "message": message }).to_string();
        let headers: &[(&'static str, &str)] = if kind.is_empty() {
            &[]
        } else {
            &[("x-amzn-errortype", kind)]
        };
        let failure = decode(status, &body, headers).unwrap_err();
        assert_eq!((failure.class, failure.scope), (class, scope), "{kind} {message}");
        assert_eq!((failure.status, failure.message.as_str()), (Some(status), message));
        // The same name in the body, as proxies keep it.
        if !kind.is_empty() {
            let body = json!({ "__type": format!("com.amazon.coral#{kind}"), "Message": message }).to_string();
            assert_eq!(decode(status, &body, &[]).unwrap_err().class, class);
        }
    }
    for (body, says) in [
        ("", "an empty body"),
        ("<html>", "a page of markup instead of an answer"),
    ] {
        let failure = decode(200, body, &[]).unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (BadResponse, says));
    }
}

// Streams.

#[test]
fn a_stream_is_read_the_same_wherever_it_is_cut() {
    let stream = full_stream();
    let whole = events(&[&stream]);
    assert_eq!(
        told(&stream),
        "start|reason The |reason user|sign EqQB|redacted cmVk|text Let me|text  look|call 0 tooluse_1 weather|\
         args 0 {\"place\"|args 0 :\"Bern\"}|call 1 tooluse_2 now|args 1 {}|finish ToolCalls|usage 130 52 100 10|end"
    );
    for cut in 0..stream.len() {
        assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(events(&bytes), whole);
}

#[test]
fn a_stream_that_ends_early_is_broken_wherever_it_ends() {
    let stream = full_stream();
    let stop = event("metadata", &metadata()).len();
    for cut in 0..stream.len() {
        let (events, _) = events(&[&stream[..cut]]);
        if cut == stream.len() - stop {
            assert_eq!(events.last(), Some(&StreamEvent::End), "only the usage is lost");
        } else {
            assert_eq!(error(&events).class, OutcomeClass::StreamBroken, "cut at {cut}");
        }
    }
}

#[test]
fn an_exception_ends_the_stream_first_or_in_its_middle() {
    use OutcomeClass::*;
    let rows = [
        ("throttlingException", RateLimited),
        ("serviceUnavailableException", Overloaded),
        ("internalServerException", ServerError),
        ("modelStreamErrorException", ServerError),
        ("validationException", InvalidRequest),
        ("modelTimeoutException", ServerError),
        ("somethingException", ServerError),
    ];
    for (name, class) in rows {
        let exception = frame(
            &[(":message-type", "exception"), (":exception-type", name)],
            br#"{"message":"no more"}"#,
        );
        let first = events(&[&exception]).0;
        assert_eq!(
            (error(&first).class, error(&first).message.as_str()),
            (class, "no more"),
            "{name}"
        );
        let text = event(
            "contentBlockDelta",
            &json!({"delta": {"text": "a"}, "contentBlockIndex": 0}),
        );
        let (middle, _) = events(&[&text, &exception, &text]);
        assert_eq!((middle.len(), error(&middle).class), (3, class));
    }
    let bare = frame(
        &[
            (":message-type", "error"),
            (":error-code", "InternalFailure"),
            (":error-message", "it broke"),
        ],
        b"",
    );
    let (found, _) = events(&[&bare]);
    assert_eq!(
        (error(&found).class, error(&found).message.as_str()),
        (ServerError, "it broke")
    );
}

#[test]
fn what_is_no_event_stream_says_what_it_is() {
    use OutcomeClass::*;
    let mut spoilt = event("messageStart", &json!({"role": "assistant"}));
    *spoilt.last_mut().unwrap() ^= 1;
    let rows: [(&[u8], OutcomeClass, &str); 5] = [
        (b"", StreamBroken, "the stream ended without `messageStop`"),
        (b"<html>oh</html>", BadResponse, "a page of markup instead of an answer"),
        (
            br#"{"message":"Input is too long","__type":"ValidationException"}"#,
            ContextTooLong,
            "Input is too long",
        ),
        (br#"{"output":{}}"#, BadResponse, r#"{"output":{}}"#),
        (&spoilt, BadResponse, "the stream has bytes that are no event stream"),
    ];
    for (bytes, class, message) in rows {
        let (events, _) = events(&[bytes]);
        assert_eq!(
            (error(&events).class, error(&events).message.as_str()),
            (class, message)
        );
    }
    let good = event("messageStart", &json!({"role": "assistant"}));
    let (events, _) = events(&[&good, &spoilt]);
    assert_eq!(error(&events).class, StreamBroken);
}

#[test]
fn oddities_of_streams_are_tolerated() {
    let delta = |delta: Value, block: u64| {
        event(
            "contentBlockDelta",
            &json!({"delta": delta, "contentBlockIndex": block}),
        )
    };
    let stop = event("messageStop", &json!({"stopReason": "end_turn"}));
    let rows = [
        (
            vec![event("ofTomorrow", &json!({})), stop.clone()],
            "start|finish Stop|end",
            0,
        ),
        (
            vec![delta(json!({"citation": {"title": "x"}}), 0), stop.clone()],
            "start|finish Stop|end",
            0,
        ),
        (
            vec![delta(json!({"toolUse": {"input": "{"}}), 3), stop.clone()],
            "start|finish Stop|end",
            0,
        ),
        (
            vec![frame(&[(":event-type", "contentBlockDelta")], b"{"), stop.clone()],
            "start|finish Stop|end",
            1,
        ),
        (vec![frame(&[], b"{}"), stop.clone()], "start|finish Stop|end", 1),
        (
            vec![
                event(
                    "contentBlockStart",
                    &json!({"start": {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use"}}, "contentBlockIndex": 0}),
                ),
                delta(json!({"toolUse": {"input": "{}"}}), 0),
                delta(json!({"text": "a"}), 1),
                stop.clone(),
            ],
            "start|text a|finish Stop|end",
            0,
        ),
    ];
    for (frames, wanted, malformed) in rows {
        let stream = frames.concat();
        assert_eq!((told(&stream).as_str(), events(&[&stream]).1), (wanted, malformed));
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
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut stream = full_stream();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let whole = events(&[&stream]);
        one_end(&whole.0)?;
        let cut = cut.index(stream.len());
        prop_assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole);
    }

    #[test]
    fn turns_alternate_whatever_was_said(turns in proptest::collection::vec((0u8..4, "[a-z ]{0,3}"), 1..12)) {
        let messages = turns.iter().map(|(role, words)| match role {
            0 => says(Role::System, words),
            1 => says(Role::User, words),
            2 => message(Role::Assistant, vec![Part::text(words), call(words, "look", "{}")]),
            _ => message(Role::Tool, vec![result(words, vec![Part::text(words)], false)]),
        });
        if let Ok(encoded) = encode(&ask(messages.collect()), CLAUDE) {
            let body = body(&encoded);
            for (n, turn) in body["messages"].as_array().unwrap().iter().enumerate() {
                prop_assert_eq!(&turn["role"], if n % 2 == 0 { "user" } else { "assistant" });
                prop_assert!(!turn["content"].as_array().unwrap().is_empty());
            }
        }
    }

    #[test]
    fn an_answer_goes_back_as_it_came(
        text in "[a-zà-ü]{1,12}", thought in "[a-z ]{0,9}x", signature in proptest::option::of("[A-Za-z0-9+/]{8}"),
        id in "[a-zA-Z0-9_.:-]{1,64}", number in any::<i64>(),
    ) {
        let said = json!([
            {"reasoningContent": {"reasoningText": match &signature {
                Some(signature) => json!({"text": thought, "signature": signature}),
                None => json!({"text": thought}),
            }}},
            {"text": text},
            {"toolUse": {"toolUseId": id, "name": "look", "input": {"n": number}}},
        ]);
        let whole = json!({"output": {"message": {"role": "assistant", "content": said}}, "stopReason": "tool_use"});
        let answer = decode(200, &whole.to_string(), &[]).unwrap();
        let parts = answer.choices[0].parts.iter().map(|part| match part.clone() {
            AnswerPart::Text { text } => Part::text(text),
            AnswerPart::Reasoning(reasoning) => Part::Reasoning(reasoning),
            AnswerPart::Refusal { text } => Part::Refusal { text },
            AnswerPart::ToolCall(call) => Part::ToolCall(call),
        });
        let again = ask(vec![says(Role::User, "a"), message(Role::Assistant, parts.collect()), message(Role::Tool, vec![result(&id, vec![], false)])]);
        prop_assert_eq!(&body(&encode(&again, CLAUDE).unwrap())["messages"][1]["content"], &said);
    }
}

fn one_end(events: &[StreamEvent]) -> Result<(), TestCaseError> {
    let ends = |event: &StreamEvent| matches!(event, StreamEvent::End | StreamEvent::Error(_));
    prop_assert_eq!(events.iter().filter(|e| ends(e)).count(), 1);
    prop_assert!(events.last().is_some_and(ends));
    Ok(())
}

// What the tests are made of.

fn full_request() -> ChatRequest {
    let cached = |text: &str| Part::Text {
        text: text.into(),
        cache: Some(CacheMark::OneHour),
    };
    ChatRequest {
        tools: vec![
            Tool {
                cache: Some(CacheMark::Ephemeral),
                strict: Some(true),
                ..tool(
                    "weather",
                    Some(r#"{"type":"object","properties":{"place":{"type":"string"}},"required":["place"]}"#),
                )
            },
            tool("now", None),
        ],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tool_calls: Some(false),
        sampling: Sampling {
            temperature: Some(0.5),
            top_p: Some(0.9),
            top_k: Some(40),
            presence_penalty: Some(0.5),
            frequency_penalty: Some(0.0),
        },
        max_output_tokens: Some(500),
        stop: vec!["END".into()],
        n: Some(1),
        seed: Some(7),
        stream: true,
        user: Some("u-1".into()),
        extra: vec![("store".into(), json_text("true"))],
        dialect: Some(DialectName::OpenaiChat),
        ..ask(vec![
            message(Role::System, vec![cached("Be brief.")]),
            Message {
                name: Some("ann".into()),
                ..message(
                    Role::User,
                    vec![
                        Part::text("What is it like there?"),
                        Part::text("  "),
                        Part::Image {
                            source: base64("image/jpg", "/9j/"),
                            detail: Some("low".into()),
                            cache: None,
                        },
                        file(base64("application/pdf", "JVBE"), Some("Plan #1.pdf")),
                        Part::Audio {
                            source: base64("audio/wav", "UklG"),
                        },
                    ],
                )
            },
            message(
                Role::Assistant,
                vec![
                    Part::Reasoning(Reasoning {
                        text: "thought".into(),
                        signature: Some("sig".into()),
                        redacted: None,
                        origin: Some(DialectName::AnthropicMessages),
                    }),
                    Part::text("I look."),
                    call("call_1", "weather", r#"{"z":1,"a":[2.50]}"#),
                ],
            ),
            message(
                Role::Tool,
                vec![Part::ToolResult {
                    call_id: "call_1".into(),
                    name: None,
                    content: vec![Part::text("Rain.")],
                    is_error: false,
                    cache: Some(CacheMark::Ephemeral),
                }],
            ),
            says(Role::User, "And now?"),
        ])
    }
}

fn metadata() -> Value {
    json!({
        "usage": {
            "inputTokens": 20, "outputTokens": 52, "totalTokens": 182, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 10,
        },
        "metrics": {"latencyMs": 812},
    })
}

fn full_stream() -> Vec<u8> {
    let delta = |block: u64, delta: Value| {
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": block, "delta": delta, "p": "abcd"}),
        )
    };
    let stop = |block: u64| event("contentBlockStop", &json!({ "contentBlockIndex": block }));
    let call = |block: u64, id: &str, name: &str| {
        let start = json!({"contentBlockIndex": block, "start": {"toolUse": {"toolUseId": id, "name": name}}});
        event("contentBlockStart", &start)
    };
    [
        event("messageStart", &json!({"role": "assistant"})),
        delta(0, json!({"reasoningContent": {"text": "The "}})),
        delta(0, json!({"reasoningContent": {"text": "user"}})),
        delta(0, json!({"reasoningContent": {"signature": "EqQB"}})),
        stop(0),
        delta(1, json!({"reasoningContent": {"redactedContent": "cmVk"}})),
        stop(1),
        delta(2, json!({"text": "Let me"})),
        delta(2, json!({"text": " look"})),
        stop(2),
        call(3, "tooluse_1", "weather"),
        delta(3, json!({"toolUse": {"input": ""}})),
        delta(3, json!({"toolUse": {"input": "{\"place\""}})),
        delta(3, json!({"toolUse": {"input": ":\"Bern\"}"}})),
        stop(3),
        call(4, "tooluse_2", "now"),
        stop(4),
        event("messageStop", &json!({"stopReason": "tool_use"})),
        event("metadata", &metadata()),
    ]
    .concat()
}

fn event(name: &str, payload: &Value) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", name),
        (":content-type", "application/json"),
    ];
    frame(&headers, payload.to_string().as_bytes())
}

fn frame(headers: &[(&'static str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut message = Frame::new(payload.to_vec());
    for (name, value) in headers {
        message = message.add_header(Header::new(*name, HeaderValue::String((*value).to_owned().into())));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

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

fn encode(request: &ChatRequest, model: &str) -> Result<Encoded, Unsupported> {
    let upstream = UpstreamModel {
        model,
        max_output_default: 4_096,
        reasoning: !model.starts_with("meta."),
    };
    encode_request(request, upstream)
}

fn decode(status: u16, body: &str, headers: &[(&'static str, &str)]) -> Result<ChatAnswer, Failure> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HttpValue::from_str(value).unwrap()))
        .collect();
    decode_answer(RawAnswer {
        status,
        headers: &headers,
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

fn texts(blocks: &Value) -> String {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join("|")
}

fn json_text(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn ask(messages: Vec<Message>) -> ChatRequest {
    ChatRequest {
        messages,
        ..ChatRequest::default()
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
        filename: filename.map(str::to_owned),
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
        description: Some(format!("About {name}.")),
        parameters: parameters.map(json_text),
        strict: None,
        cache: None,
    }
}
