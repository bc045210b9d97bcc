//! The dialects of clouds and their like: exact sequences, what they refuse, what they say of failures, and the tokens they want.

use std::time::Duration;

use crate::support::{Caller, Got, send};
use base64::Engine as _;
use jumpseat_fake::{Behaviour, Fake};
use serde_json::{Value, json};

const BEDROCK: usize = 0;
const COHERE: usize = 1;
const OLLAMA: usize = 2;
const VERTEX_CLAUDE: usize = 3;
const VERTEX: &str = "/v1/projects/p/locations/us-east5/publishers";
const BEARER: &[(&str, &str)] = &[("authorization", "Bearer token")];

/// As a client calls them.
pub const CALLERS: [Caller; 4] = [
    Caller {
        dialect: "bedrock_converse",
        path: |model, stream| format!("/model/{model}/converse{}", if stream { "-stream" } else { "" }),
        headers: BEARER,
        body: |_, _| json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
    },
    Caller {
        dialect: "cohere_chat",
        path: |_, _| "/v2/chat".into(),
        headers: BEARER,
        body: |model, stream| json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
    },
    Caller {
        dialect: "ollama_chat",
        path: |_, _| "/api/chat".into(),
        headers: &[],
        body: |model, stream| json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
    },
    Caller {
        dialect: "anthropic_messages",
        path: |model, stream| {
            format!(
                "{VERTEX}/anthropic/models/{model}:{}",
                if stream { "streamRawPredict" } else { "rawPredict" }
            )
        },
        headers: BEARER,
        body: |_, stream| json!({"anthropic_version": "vertex-2023-10-16", "stream": stream, "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]}),
    },
];

fn said() -> Fake {
    let fake = Fake::new();
    let behaviour = r#"{"reasoning":"a b","text":"c d","tool_calls":[{"name":"f","arguments":{"x":1}}]}"#;
    fake.script().always("m", Behaviour::from_json(behaviour).unwrap());
    fake
}

#[tokio::test]
async fn a_bedrock_stream_is_frames_of_blocks_from_message_start_to_metadata() {
    let got = CALLERS[BEDROCK].ask(&said(), "m", true).await.unwrap();
    let frames = got.frames();
    let names: Vec<&str> = frames
        .iter()
        .map(|(kind, _)| kind.strip_prefix("event ").unwrap())
        .collect();
    let wanted = "messageStart contentBlockDelta contentBlockDelta contentBlockDelta contentBlockStop \
                  contentBlockDelta contentBlockDelta contentBlockStop contentBlockStart contentBlockDelta contentBlockStop \
                  messageStop metadata";
    assert_eq!(names.join(" "), wanted);
    let data: Vec<Value> = frames
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(data[1]["delta"], json!({"reasoningContent": {"text": "a"}}));
    assert!(data[3]["delta"]["reasoningContent"]["signature"].is_string());
    assert_eq!(
        (&data[5]["delta"], &data[5]["contentBlockIndex"]),
        (&json!({"text": "c"}), &json!(1))
    );
    assert_eq!(data[8]["start"]["toolUse"]["name"], "f");
    assert_eq!(data[9]["delta"], json!({"toolUse": {"input": "{\"x\":1}"}}));
    assert_eq!(data[11]["stopReason"], "tool_use");
    assert!(data[12]["usage"]["cacheReadInputTokens"].is_u64() && data.iter().all(|data| data["p"].is_string()));
}

#[tokio::test]
async fn a_cohere_stream_plans_ahead_of_its_calls_and_ends_with_its_reason() {
    let got = CALLERS[COHERE].ask(&said(), "m", true).await.unwrap();
    let names: Vec<&str> = got
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let wanted = "message-start content-start content-delta content-delta content-end tool-plan-delta tool-plan-delta \
                  tool-call-start tool-call-delta tool-call-end message-end";
    assert_eq!(names.join(" "), wanted);
    assert!(got.body.ends_with("data: [DONE]\n\n"));
    let events = got.events();
    assert!(events.iter().zip(&names).all(|(event, name)| event["type"] == *name));
    assert_eq!(
        events[7]["delta"]["message"]["tool_calls"]["function"],
        json!({"name": "f", "arguments": ""})
    );
    assert_eq!(events[10]["delta"]["finish_reason"], "TOOL_CALL");
    assert!(events[10]["delta"]["usage"]["billed_units"]["input_tokens"].is_u64());
}

#[tokio::test]
async fn an_ollama_stream_is_a_line_each_and_streams_unless_told_not_to() {
    let mut body = (CALLERS[OLLAMA].body)("m", true);
    body.as_object_mut().unwrap().remove("stream");
    let fake = said();
    let got = CALLERS[OLLAMA].ask_with(&fake, "m", true, body).await.unwrap();
    assert!(fake.log().last().unwrap().stream);
    let lines: Vec<Value> = got
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let messages: Vec<String> = lines
        .iter()
        .map(|line| {
            line["message"]["thinking"]
                .as_str()
                .or(line["message"]["content"].as_str())
                .unwrap()
                .into()
        })
        .collect();
    assert_eq!(messages, ["a", " b", "c", " d", "", ""]);
    assert_eq!(
        lines[4]["message"]["tool_calls"][0]["function"]["arguments"],
        json!({"x": 1})
    );
    assert!(lines[..5].iter().all(|line| line["done"] == false));
    assert_eq!(
        (&lines[5]["done"], &lines[5]["done_reason"]),
        (&json!(true), &json!("stop"))
    );
    assert!(lines[5]["eval_count"].is_u64() && lines[5]["prompt_eval_count"].is_u64());
}

#[tokio::test]
async fn a_stream_and_a_whole_answer_say_the_same() {
    let fake = Fake::new();
    let whole: [fn(&Value) -> &Value; 4] = [
        |body| &body["output"]["message"]["content"][0]["text"],
        |body| &body["message"]["content"][0]["text"],
        |body| &body["message"]["content"],
        |body| &body["content"][0]["text"],
    ];
    let piece: [fn(&Value) -> &Value; 4] = [
        |event| &event["delta"]["text"],
        |event| &event["delta"]["message"]["content"]["text"],
        |event| &event["message"]["content"],
        |event| &event["delta"]["text"],
    ];
    for (index, caller) in CALLERS.iter().enumerate() {
        let unary = caller.ask(&fake, "m", false).await.unwrap().json();
        for model in ["m", "m!split-7"] {
            let got = caller.ask(&fake, model, true).await.unwrap();
            let events = got
                .payloads()
                .into_iter()
                .map(|data| serde_json::from_str::<Value>(&data).unwrap());
            let text: String = events
                .filter_map(|event| piece[index](&event).as_str().map(str::to_owned))
                .collect();
            assert_eq!(*whole[index](&unary), json!(text), "{} {model}", caller.dialect);
        }
    }
}

#[tokio::test]
async fn what_the_provider_would_refuse_is_refused() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let hi = user(json!([{"text": "hi"}]));
    let call = json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]});
    let result = |id: &str| user(json!([{"toolResult": {"toolUseId": id, "content": [{"text": "1"}]}}]));
    let tools = json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]});
    let document = json!({"document": {"name": "a.b", "format": "pdf", "source": {"bytes": "AAAA"}}});
    let co_call = json!({"role": "assistant", "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let co_hi = user(json!("hi"));
    let rows = [
        (BEDROCK, json!({"messages": []}), 400, "Add at least one message"),
        (BEDROCK, json!({"messages": [hi, hi]}), 400, "must alternate"),
        (
            BEDROCK,
            json!({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}),
            400,
            "must start with a user message",
        ),
        (
            BEDROCK,
            json!({"messages": [user(json!("hi"))]}),
            400,
            "expected a list",
        ),
        (
            BEDROCK,
            json!({"messages": [user(json!([{"text": " "}]))]}),
            400,
            "is blank",
        ),
        (
            BEDROCK,
            json!({"messages": [hi], "max_tokens": 5}),
            400,
            "extraneous key [max_tokens]",
        ),
        (
            BEDROCK,
            json!({"messages": [hi], "inferenceConfig": {"temperature": 1.5}}),
            400,
            "inferenceConfig.temperature",
        ),
        (
            BEDROCK,
            json!({"messages": [hi, call, result("t1")]}),
            400,
            "toolConfig field must be defined",
        ),
        (
            BEDROCK,
            json!({"messages": [hi, call, result("t1")], "toolConfig": tools}),
            200,
            "The tool said: 1",
        ),
        (
            BEDROCK,
            json!({"messages": [hi, call, result("t2")], "toolConfig": tools}),
            400,
            "for the following Ids: t1",
        ),
        (
            BEDROCK,
            json!({"messages": [hi, call], "toolConfig": tools}),
            400,
            "for the following Ids: t1",
        ),
        (
            BEDROCK,
            json!({"messages": [user(json!([document]))]}),
            400,
            "file name can only contain",
        ),
        (
            BEDROCK,
            json!({"messages": [user(json!([{"image": {"format": "jpg", "source": {"bytes": "AAAA"}}}]))]}),
            400,
            "image.format",
        ),
        (
            BEDROCK,
            json!({"messages": [hi], "toolConfig": {"tools": []}}),
            400,
            "toolConfig.tools",
        ),
        (
            BEDROCK,
            json!({"messages": [hi], "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 5}}}),
            400,
            "budget_tokens",
        ),
        (COHERE, json!({"messages": [co_hi]}), 400, "model is required"),
        (COHERE, json!({"model": "m", "messages": []}), 400, "at least 1 message"),
        (
            COHERE,
            json!({"model": "m", "messages": [co_hi], "top_p": 1}),
            422,
            "unknown field",
        ),
        (
            COHERE,
            json!({"model": "m", "messages": [co_hi], "p": 1}),
            400,
            "p must be between",
        ),
        (
            COHERE,
            json!({"model": "m", "messages": [co_hi, co_call, co_hi]}),
            400,
            "missing tool results",
        ),
        (
            COHERE,
            json!({"model": "m", "messages": [co_hi, {"role": "tool", "tool_call_id": "x", "content": "1"}]}),
            400,
            "not found in previous",
        ),
        (
            COHERE,
            json!({"model": "m", "messages": [co_hi], "tool_choice": "required"}),
            400,
            "tool_choice must be",
        ),
        (OLLAMA, json!({"messages": [co_hi]}), 400, "model is required"),
        (
            OLLAMA,
            json!({"model": "m", "messages": [user(json!([{"type": "text", "text": "x"}]))]}),
            400,
            "cannot unmarshal array",
        ),
        (
            OLLAMA,
            json!({"model": "m", "messages": [{"role": "user", "content": "x", "images": ["data:image/png;base64,AA=="]}]}),
            400,
            "illegal base64",
        ),
        (
            OLLAMA,
            json!({"model": "m", "messages": [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}),
            400,
            "function.arguments",
        ),
        (
            OLLAMA,
            json!({"model": "m", "messages": [co_hi], "format": "xml"}),
            400,
            "invalid format",
        ),
        (
            VERTEX_CLAUDE,
            json!({"max_tokens": 9, "messages": [co_hi]}),
            400,
            "anthropic_version: Field required",
        ),
        (
            VERTEX_CLAUDE,
            json!({"anthropic_version": "vertex-2023-10-16", "model": "m", "max_tokens": 9, "messages": [co_hi]}),
            400,
            "model: Extra inputs",
        ),
        (
            VERTEX_CLAUDE,
            json!({"anthropic_version": "vertex-2023-10-16", "stream": true, "max_tokens": 9, "messages": [co_hi]}),
            400,
            "streamRawPredict",
        ),
        (
            VERTEX_CLAUDE,
            json!({"anthropic_version": "2026-10-21", "temperature": 1, "max_tokens": 9, "messages": [co_hi]}),
            400,
            "temperature",
        ),
    ];
    for (index, body, status, part) in rows {
        let got = CALLERS[index]
            .ask_with(&Fake::new(), "m", false, body.clone())
            .await
            .unwrap();
        assert_eq!(got.status, status, "{body}: {}", got.body);
        assert!(got.body.contains(part), "{body}: {}", got.body);
    }
}

#[tokio::test]
async fn failures_are_told_as_each_provider_tells_them() {
    // caller, behaviour, status, part of the body, exception type in the header
    let rows = [
        (
            BEDROCK,
            "429",
            429,
            r#"{"message":"Too many requests"#,
            Some("ThrottlingException"),
        ),
        (
            BEDROCK,
            "503",
            503,
            r#"{"message":"#,
            Some("ServiceUnavailableException"),
        ),
        (BEDROCK, "408", 408, r#"{"message":"#, Some("ModelTimeoutException")),
        (BEDROCK, "504", 504, r#"{"message":"#, Some("InternalServerException")),
        (
            BEDROCK,
            "context-too-long",
            400,
            "Input is too long",
            Some("ValidationException"),
        ),
        (
            BEDROCK,
            "wrong-key",
            403,
            "security token",
            Some("UnrecognizedClientException"),
        ),
        (BEDROCK, "content-filter", 200, "guardrail_intervened", None),
        (COHERE, "429", 429, r#""message":"You are past"#, None),
        (COHERE, "context-too-long", 400, "too many tokens", None),
        (COHERE, "content-filter", 498, "blocked", None),
        (OLLAMA, "503", 503, r#"{"error":"server busy"#, None),
        (
            OLLAMA,
            "model-not-found",
            404,
            r#"{"error":"model 'm!model-not-found' not found"}"#,
            None,
        ),
        (VERTEX_CLAUDE, "429", 429, "RESOURCE_EXHAUSTED", None),
        (VERTEX_CLAUDE, "wrong-key", 401, "UNAUTHENTICATED", None),
        (VERTEX_CLAUDE, "overloaded", 529, "overloaded_error", None),
    ];
    for (index, name, status, part, kind) in rows {
        let got = CALLERS[index]
            .ask(&Fake::new(), &format!("m!{name}"), false)
            .await
            .unwrap();
        assert_eq!(got.status, status, "{index} {name}");
        assert!(
            got.body.contains(&part.replace("m!model-not-found", "m")),
            "{index} {name}: {}",
            got.body
        );
        let told = got.headers.get("x-amzn-errortype").map(|value| value.to_str().unwrap());
        assert_eq!(told, kind, "{index} {name}");
        assert!(!got.body.contains("__type"));
    }
    let streams = [
        (BEDROCK, json!("error-3"), "exception serviceUnavailableException"),
        (
            BEDROCK,
            json!({"stream_error": {"after": 3, "error": "rate_limited"}}),
            "exception throttlingException",
        ),
        (
            BEDROCK,
            json!({"stream_error": {"after": 3, "error": "bedrock.model_stream_error"}}),
            "exception modelStreamErrorException",
        ),
        (
            BEDROCK,
            json!({"stream_error": {"after": 3, "error": "context_too_long"}}),
            "exception validationException",
        ),
        (
            BEDROCK,
            json!({"stream_error": {"after": 3, "error": "bedrock.stream_failure"}}),
            "error InternalFailure",
        ),
        (COHERE, json!("error-3"), r#""finish_reason":"ERROR""#),
        (OLLAMA, json!("error-3"), r#"{"error":"#),
        (VERTEX_CLAUDE, json!("error-3"), "overloaded_error"),
    ];
    for (index, behaviour, part) in streams {
        let fake = Fake::new();
        fake.script()
            .always("*", Behaviour::from_value(behaviour.clone()).unwrap());
        let got = CALLERS[index].ask(&fake, "m", true).await.unwrap();
        let last = if index == BEDROCK {
            got.frames().pop().unwrap().0
        } else {
            got.payloads().pop().unwrap()
        };
        assert!(last.contains(part), "{behaviour}: {last}");
        assert_eq!(fake.log().last().unwrap().events_sent, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn bedrock_tells_the_wait_in_its_own_header_too() {
    let fake = Fake::new();
    fake.script().always(
        "*",
        Behaviour::from_value(json!({"status": 429, "retry_after": "1500ms"})).unwrap(),
    );
    let got = CALLERS[BEDROCK].ask(&fake, "m", false).await.unwrap();
    assert_eq!(
        (&got.headers["x-amz-retry-after"], &got.headers["retry-after"]),
        (&"1500".parse().unwrap(), &"2".parse().unwrap())
    );
}

#[tokio::test]
async fn an_odd_stream_has_what_nobody_knows_and_still_its_text() {
    for caller in &CALLERS {
        let got = caller.ask(&Fake::new(), "m!odd", true).await.unwrap();
        let payloads = got.payloads();
        assert!(
            payloads.iter().all(|data| serde_json::from_str::<Value>(data).is_ok()),
            "{}",
            caller.dialect
        );
        assert!(payloads.iter().any(|data| {
            ["akeUnknown", "fake_unknown", "weather"]
                .iter()
                .any(|odd| data.contains(odd))
        }));
    }
}

#[tokio::test]
async fn credentials_are_wanted() {
    let wrong = [("authorization", "Bearer wrong")];
    let rows: [(usize, &[(&str, &str)], u16); 9] = [
        (BEDROCK, &[], 403),
        (BEDROCK, &wrong, 403),
        (
            BEDROCK,
            &[(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAFAKE/20261121/r/bedrock/aws4_request",
            )],
            403,
        ),
        (COHERE, &[], 401),
        (COHERE, &wrong, 401),
        (OLLAMA, &[], 200),
        (OLLAMA, &wrong, 401),
        (VERTEX_CLAUDE, &[("x-api-key", "k")], 401),
        (VERTEX_CLAUDE, &wrong, 401),
    ];
    for (index, headers, status) in rows {
        let caller = &CALLERS[index];
        let body = (caller.body)("m", false).to_string();
        let got = send(&Fake::new(), "POST", &(caller.path)("m", false), headers, &body)
            .await
            .unwrap();
        assert_eq!(got.status, status, "{} {headers:?}: {}", caller.dialect, got.body);
        if index == VERTEX_CLAUDE {
            assert!(
                got.body.contains("UNAUTHENTICATED"),
                "Google refuses, not Anthropic: {}",
                got.body
            );
        }
    }
    let path = format!("{VERTEX}/google/models/gemini-3.5-pro:generateContent");
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).to_string();
    for (headers, status) in [(BEARER, 200), (&wrong[..], 401), (&[("x-goog-api-key", "k")][..], 401)] {
        assert_eq!(
            send(&Fake::new(), "POST", &path, headers, &body).await.unwrap().status,
            status,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn texts_are_embedded_and_models_listed() {
    let fake = Fake::new();
    let ask = |path: &'static str, body: Value| {
        let fake = fake.clone();
        async move { send(&fake, "POST", path, BEARER, &body.to_string()).await.unwrap() }
    };
    let got = ask("/v2/embed", json!({"model": "e", "input_type": "search_query", "texts": ["a", "a"], "output_dimension": 256, "embedding_types": ["float", "ubinary", "base64"]})).await.json();
    assert_eq!(got["embeddings"]["float"][0].as_array().unwrap().len(), 256);
    assert_eq!(got["embeddings"]["float"][0], got["embeddings"]["float"][1]);
    assert_eq!(got["embeddings"]["ubinary"][0].as_array().unwrap().len(), 32);
    assert!(got["embeddings"]["base64"][0].is_string());
    assert_eq!(
        ask("/v2/embed", json!({"model": "e", "texts": ["a"]})).await.status,
        400
    );
    assert_eq!(
        ask(
            "/v2/embed",
            json!({"model": "e!429", "input_type": "search_query", "texts": ["a"]})
        )
        .await
        .status,
        429
    );
    let got = ask("/api/embed", json!({"model": "e", "input": "a", "dimensions": 8}))
        .await
        .json();
    assert_eq!(got["embeddings"][0].as_array().unwrap().len(), 8);
    for (path, part) in [
        ("/api/tags", "\"gemma4:latest\""),
        ("/cohere/v1/models", "\"embed-v4.0\""),
    ] {
        let got = send(&fake, "GET", path, BEARER, "").await.unwrap();
        assert!(got.status == 200 && got.body.contains(part), "{path}: {}", got.body);
    }
}

/// A JWT as a service account would make it; the fake does not verify the signature.
fn assertion(issuer: &str) -> String {
    let part = |text: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = json!({"iss": issuer, "scope": "s", "aud": "a", "iat": 1000, "exp": 4600}).to_string();
    format!(
        "{}.{}.{}",
        part(br#"{"alg":"RS256","typ":"JWT"}"#),
        part(claims.as_bytes()),
        part(&[7; 256])
    )
}

const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

async fn google(fake: &Fake, path: &str) -> Got {
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
        assertion("me")
    );
    send(fake, "POST", path, FORM, &body).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_runs_out_by_the_clock_and_another_one_is_good() {
    let fake = Fake::new();
    assert_eq!(google(&fake, "/token").await.json()["expires_in"], 3600);
    let set = send(&fake, "PUT", "/fake/tokens", &[], r#"{"lifetime":"10s"}"#)
        .await
        .unwrap();
    assert_eq!(set.status, 200);
    let told = google(&fake, "/token").await.json();
    assert_eq!(told["expires_in"], 10);
    let bearer = format!("Bearer {}", told["access_token"].as_str().unwrap());
    let rows = [(BEDROCK, 403), (COHERE, 401), (VERTEX_CLAUDE, 401)];
    for round in ["fresh", "old"] {
        for (index, refused) in rows {
            let caller = &CALLERS[index];
            let body = (caller.body)("m", false).to_string();
            let path = (caller.path)("m", false);
            let got = send(&fake, "POST", &path, &[("authorization", &bearer)], &body)
                .await
                .unwrap();
            let wanted = if round == "fresh" { 200 } else { refused };
            assert_eq!(got.status, wanted, "{} {round}", caller.dialect);
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(google(&fake, "/token?expires_in=2").await.json()["expires_in"], 2);
}

#[tokio::test]
async fn token_endpoints_issue_and_refuse_as_the_clouds_do() {
    let grant = "grant_type=client_credentials&client_id=c&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default&client_secret=";
    let jwt = |issuer: &str| {
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            assertion(issuer)
        )
    };
    let web = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=se&WebIdentityToken=";
    let metadata = "/computeMetadata/v1/instance/service-accounts/default/token";
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], String, u16, &'a str);
    let rows: [Row<'_>; 13] = [
        ("POST", "/token", FORM, jwt("me"), 200, "access_token"),
        ("POST", "/token", FORM, jwt("wrong"), 400, "invalid_grant"),
        (
            "POST",
            "/token",
            FORM,
            "grant_type=password".into(),
            400,
            "unsupported_grant_type",
        ),
        (
            "GET",
            metadata,
            &[("metadata-flavor", "Google")],
            String::new(),
            200,
            "access_token",
        ),
        ("GET", metadata, &[], String::new(), 403, "Metadata-Flavor"),
        (
            "POST",
            "/t/oauth2/v2.0/token",
            FORM,
            format!("{grant}s"),
            200,
            "access_token",
        ),
        (
            "POST",
            "/t/oauth2/v2.0/token",
            FORM,
            format!("{grant}wrong"),
            401,
            "AADSTS7000215",
        ),
        (
            "POST",
            "/wrong/oauth2/v2.0/token",
            FORM,
            format!("{grant}s"),
            400,
            "AADSTS90002",
        ),
        (
            "POST",
            "/",
            FORM,
            format!("{web}jwt"),
            200,
            "<SecretAccessKey>fake-secret</SecretAccessKey>",
        ),
        (
            "POST",
            "/",
            FORM,
            format!("{web}wrong"),
            400,
            "<Code>InvalidIdentityToken</Code>",
        ),
        (
            "POST",
            "/",
            FORM,
            web.replace("WithWebIdentity", ""),
            403,
            "MissingAuthenticationToken",
        ),
        (
            "GET",
            "/v2/credentials/task",
            &[],
            String::new(),
            200,
            "\"AccessKeyId\":\"AKIAFAKE\"",
        ),
        (
            "GET",
            "/v2/credentials/task",
            &[("authorization", "wrong")],
            String::new(),
            401,
            "Unauthorized",
        ),
    ];
    let fake = Fake::new();
    for (method, path, headers, body, status, part) in rows {
        let got = send(&fake, method, path, headers, &body).await.unwrap();
        assert_eq!(got.status, status, "{path} {body}: {}", got.body);
        assert!(got.body.contains(part), "{path} {body}: {}", got.body);
    }
    let count = |model: &str| fake.log().entries().iter().filter(|entry| entry.model == model).count();
    let names = [
        "token:google",
        "token:google-metadata",
        "token:entra",
        "token:sts",
        "token:aws-container",
    ];
    assert_eq!(names.map(count), [3, 2, 3, 3, 2]);
}

#[tokio::test]
async fn token_endpoints_fail_by_their_own_rules_and_not_by_those_of_all_models() {
    let fake = Fake::new();
    fake.script().always("*", Behaviour::named("503"));
    assert_eq!(
        google(&fake, "/token").await.status,
        200,
        "a rule for all models is none for tokens"
    );
    fake.script()
        .set("token:google", vec![Behaviour::named("503")], Behaviour::ok());
    let statuses = [
        google(&fake, "/token").await.status,
        google(&fake, "/token").await.status,
    ];
    assert_eq!(statuses, [503, 200]);
    fake.script().always("token:*", Behaviour::named("401"));
    let got = send(&fake, "POST", "/t/oauth2/v2.0/token", FORM, "").await.unwrap();
    assert!(got.status == 401 && got.body.contains("AADSTS"), "{}", got.body);
}
