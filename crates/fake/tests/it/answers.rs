//! Healthy answers: the exact sequences of each dialect, what a request may ask for, what it must not, and the control endpoints.

use std::time::Duration;

use crate::support::{CALLERS, send};
use jumpseat_fake::{Behaviour, Fake};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpListener};

async fn openai(fake: &Fake, body: Value) -> crate::support::Got {
    CALLERS[0].ask_with(fake, "m", false, body).await.unwrap()
}

#[tokio::test]
async fn an_openai_stream_has_role_content_finish_usage_and_done() {
    let fake = Fake::new();
    let mut body = (CALLERS[0].body)("gpt-4o", true);
    body["stream_options"] = json!({"include_usage": true});
    let got = CALLERS[0].ask_with(&fake, "gpt-4o", true, body).await.unwrap();
    assert!(
        got.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    assert!(got.body.ends_with("data: [DONE]\n\n"));
    let events = got.events();
    assert_eq!(events.len(), 1 + 60 + 1 + 1);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[61]["choices"][0]["finish_reason"], "stop");
    assert!(
        events[..62]
            .iter()
            .all(|event| event["usage"].is_null() && event.get("usage").is_some())
    );
    assert_eq!(
        (
            events[62]["choices"].as_array().unwrap().len(),
            events[62]["usage"]["completion_tokens"].as_u64()
        ),
        (0, Some(60))
    );
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    let plain = CALLERS[0].ask(&fake, "gpt-4o", true).await.unwrap();
    assert!(plain.events().iter().all(|event| event.get("usage").is_none()));
    let text: String = plain
        .events()
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(
        CALLERS[0].ask(&fake, "gpt-4o", false).await.unwrap().json()["choices"][0]["message"]["content"],
        text
    );
}

#[tokio::test]
async fn an_anthropic_stream_names_its_events_and_never_interleaves_blocks() {
    let fake = Fake::new();
    fake.script().always(
        "*",
        Behaviour::from_json(r#"{"reasoning":"a b","text":"c d","tool_calls":[{"name":"f","arguments":{"x":1}}]}"#)
            .unwrap(),
    );
    let got = CALLERS[1].ask(&fake, "claude", true).await.unwrap();
    let names: Vec<&str> = got
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let wanted = "message_start content_block_start ping content_block_delta content_block_delta content_block_delta content_block_stop \
                  content_block_start content_block_delta content_block_delta content_block_stop \
                  content_block_start content_block_delta content_block_delta content_block_stop message_delta message_stop";
    assert_eq!(names.join(" "), wanted);
    let events = got.events();
    assert!(events.iter().zip(&names).all(|(event, name)| event["type"] == *name));
    assert_eq!(events[5]["delta"]["type"], "signature_delta");
    assert_eq!(events[11]["content_block"]["name"], "f");
    assert_eq!(
        (
            events[12]["delta"]["partial_json"].as_str(),
            events[13]["delta"]["partial_json"].as_str()
        ),
        (Some(""), Some("{\"x\":1}"))
    );
    assert_eq!(events[15]["delta"]["stop_reason"], "tool_use");
    let unary = CALLERS[1].ask(&fake, "claude", false).await.unwrap().json();
    let kinds: Vec<&str> = unary["content"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|block| block["type"].as_str())
        .collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"]);
}

#[tokio::test]
async fn a_gemini_stream_is_whole_responses_as_events_or_as_one_array() {
    let fake = Fake::new();
    let got = CALLERS[2].ask(&fake, "gemini-2.5-flash", true).await.unwrap();
    let events = got.events();
    assert_eq!(events.len(), 61);
    assert_eq!(events[60]["candidates"][0]["finishReason"], "STOP");
    let counts: Vec<u64> = events
        .iter()
        .filter_map(|event| event["usageMetadata"]["candidatesTokenCount"].as_u64())
        .collect();
    assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]) && counts.last() == Some(&60));
    let body = (CALLERS[2].body)("", true).to_string();
    let array = send(
        &fake,
        "POST",
        "/v1/models/gemini-2.5-flash:streamGenerateContent?key=k",
        &[],
        &body,
    )
    .await
    .unwrap();
    let elements = array.json();
    assert_eq!(elements.as_array().unwrap().len(), 61);
    assert_eq!(
        elements[3]["candidates"][0]["content"],
        events[3]["candidates"][0]["content"]
    );
    fake.script().always("*", Behaviour::named("tools"));
    let got = CALLERS[2].ask(&fake, "gemini-2.5-flash", true).await.unwrap();
    assert_eq!(
        got.events()[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["name"],
        "get_weather"
    );
    let empty = CALLERS[2].ask(&fake, "m!empty", false).await.unwrap().json();
    assert!(empty.get("candidates").is_none());
}

#[tokio::test]
async fn a_request_gets_what_it_asks_for() {
    let fake = Fake::new();
    let ask = |more: Value| {
        let mut body = (CALLERS[0].body)("m", false);
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"], "additionalProperties": false});
    let got = openai(
        &fake,
        ask(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})),
    )
    .await
    .json();
    let content: Value = serde_json::from_str(got["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(content, json!({"city": "Paris", "days": 7}));
    let tools = json!([{"type": "function", "function": {"name": "a", "parameters": schema}}, {"type": "function", "function": {"name": "b"}}]);
    let forced = json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "b"}}});
    let got = openai(&fake, ask(forced)).await.json();
    assert_eq!(got["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "b");
    assert_eq!(got["choices"][0]["finish_reason"], "tool_calls");
    let got = openai(&fake, ask(json!({"n": 3, "logprobs": true, "top_logprobs": 2})))
        .await
        .json();
    assert_eq!(got["choices"].as_array().unwrap().len(), 3);
    assert_eq!(
        got["choices"][2]["logprobs"]["content"][0]["top_logprobs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let got = openai(&fake, ask(json!({"max_tokens": 5}))).await.json();
    assert_eq!(
        (
            got["choices"][0]["finish_reason"].as_str(),
            got["usage"]["completion_tokens"].as_u64()
        ),
        (Some("length"), Some(5))
    );
    let image = json!([{"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
    let got = openai(&fake, ask(json!({"messages": image}))).await.json();
    assert!(
        got["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("1 image (image/png)")
    );
}

#[tokio::test]
async fn a_request_that_the_provider_would_refuse_is_refused() {
    let [chat, messages, gemini, _] = &CALLERS;
    let user = json!({"role": "user", "content": "hi"});
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]});
    let rows = [
        (chat, json!({"model": "m", "messages": []}), "empty array"),
        (chat, json!({"messages": [user]}), "must provide a model"),
        (
            chat,
            json!({"model": "m", "messages": [user], "temperature": 3}),
            "temperature",
        ),
        (
            chat,
            json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "x", "content": "1"}]}),
            "preceding message",
        ),
        (chat, json!({"model": "m", "messages": [user], "n": 0}), "'n'"),
        (
            chat,
            json!({"model": "m", "messages": [user], "tool_choice": "required"}),
            "only allowed when 'tools'",
        ),
        (
            messages,
            json!({"model": "m", "messages": [user]}),
            "max_tokens: Field required",
        ),
        (
            messages,
            json!({"model": "m", "max_tokens": 9, "messages": [user], "temperature": 1.5}),
            "temperature",
        ),
        (
            messages,
            json!({"model": "m", "max_tokens": 9, "messages": [user], "n": 2}),
            "n: Extra inputs",
        ),
        (
            messages,
            json!({"model": "m", "max_tokens": 9, "messages": [user, call, user]}),
            "`tool_use` ids were found without",
        ),
        (
            messages,
            json!({"model": "m", "max_tokens": 9, "messages": [user, {"role": "assistant", "content": "so "}]}),
            "trailing whitespace",
        ),
        (
            messages,
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
            "non-empty",
        ),
        (
            messages,
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "data:image/png;base64,AA=="}}]}]}),
            "Invalid base64",
        ),
        (gemini, json!({"contents": []}), "contents is not specified"),
        (
            gemini,
            json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}], "max_tokens": 4}),
            "Unknown name",
        ),
        (
            gemini,
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "valid role",
        ),
        (
            gemini,
            json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
            "thought_signature",
        ),
    ];
    for (caller, body, part) in rows {
        let got = caller
            .ask_with(&Fake::new(), "gemini-3.5-pro", false, body.clone())
            .await
            .unwrap();
        assert_eq!(got.status, 400, "{body}: {}", got.body);
        assert!(got.body.contains(part), "{body}: {}", got.body);
    }
}

#[tokio::test]
async fn credentials_and_versions_are_wanted() {
    let fake = Fake::new();
    type Row<'a> = (usize, &'a [(&'a str, &'a str)], u16);
    let rows: [Row<'_>; 9] = [
        (0, &[], 401),
        (0, &[("authorization", "Bearer wrong-key")], 401),
        (0, &[("api-key", "azure")], 200),
        (1, &[("anthropic-version", "2023-06-01")], 401),
        (1, &[("x-api-key", "k")], 400),
        (
            1,
            &[("authorization", "Bearer k"), ("anthropic-version", "2026-10-21")],
            200,
        ),
        (1, &[("x-api-key", "k"), ("anthropic-version", "1999-01-01")], 400),
        (2, &[], 403),
        (2, &[("x-goog-api-key", "wrong")], 400),
    ];
    for (index, headers, status) in rows {
        let caller = &CALLERS[index];
        let got = send(
            &fake,
            "POST",
            &(caller.path)("m", false),
            headers,
            &(caller.body)("m", false).to_string(),
        )
        .await
        .unwrap();
        assert_eq!(got.status, status, "{} {headers:?}: {}", caller.dialect, got.body);
    }
    let mut body = (CALLERS[1].body)("m", false);
    body["temperature"] = json!(1);
    let headers = [("x-api-key", "k"), ("anthropic-version", "2026-10-21")];
    let got = send(&fake, "POST", "/v1/messages", &headers, &body.to_string())
        .await
        .unwrap();
    assert!(got.status == 400 && got.body.contains("temperature: Extra inputs are not permitted"));
    for (method, path, status) in [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/nothing", 404),
        ("POST", "/v1/messages/count_tokens", 200),
    ] {
        let got = send(
            &fake,
            method,
            path,
            &headers,
            &(CALLERS[1].body)("m", false).to_string(),
        )
        .await
        .unwrap();
        assert_eq!(got.status, status, "{path}");
    }
    assert_eq!(
        send(&fake, "POST", "/v1/chat/completions", CALLERS[0].headers, "{\"model\":")
            .await
            .unwrap()
            .status,
        400
    );
}

#[tokio::test]
async fn thinking_must_come_back_with_its_signature() {
    let fake = Fake::new();
    let mut body = (CALLERS[1].body)("m", false);
    body["max_tokens"] = json!(4000);
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    let content = CALLERS[1]
        .ask_with(&fake, "m", false, body.clone())
        .await
        .unwrap()
        .json()["content"]
        .clone();
    assert_eq!(content[0]["type"], "thinking");
    let mut turns = body["messages"].as_array().unwrap().clone();
    turns.extend([
        json!({"role": "assistant", "content": content}),
        json!({"role": "user", "content": "go on"}),
    ]);
    body["messages"] = json!(turns);
    assert_eq!(
        CALLERS[1]
            .ask_with(&fake, "m", false, body.clone())
            .await
            .unwrap()
            .status,
        200
    );
    body["messages"][1]["content"][0]["signature"] = json!("other");
    assert!(
        CALLERS[1]
            .ask_with(&fake, "m", false, body)
            .await
            .unwrap()
            .body
            .contains("Invalid `signature`")
    );
}

#[tokio::test(start_paused = true)]
async fn the_control_endpoints_set_scripts_and_scenarios_and_show_the_log() {
    let fake = Fake::new();
    assert_eq!(send(&fake, "GET", "/fake/ready", &[], "").await.unwrap().status, 200);
    let rule = r#"{"model":"*","steps":["500"],"then":{"status":503,"retry_after":"2s"}}"#;
    assert_eq!(send(&fake, "PUT", "/fake/script", &[], rule).await.unwrap().status, 200);
    for wanted in [500, 503, 503] {
        assert_eq!(CALLERS[0].ask(&fake, "m", false).await.unwrap().status, wanted);
    }
    let bad = send(&fake, "PUT", "/fake/script", &[], r#"{"model":"*","then":"5o3"}"#)
        .await
        .unwrap();
    assert!(
        bad.status == 400 && bad.body.contains("not a named behaviour"),
        "{}",
        bad.body
    );
    let log = send(&fake, "GET", "/fake/log", &[], "").await.unwrap().json();
    assert_eq!(
        (
            log[1]["status"].as_u64(),
            log[1]["outcome"].as_str(),
            log[1]["dialect"].as_str()
        ),
        (Some(503), Some("answered"), Some("openai_chat"))
    );
    assert_eq!(log[0]["body"]["messages"][0]["content"], "hi");
    send(&fake, "DELETE", "/fake/log", &[], "").await.unwrap();
    assert!(fake.log().is_empty());
    let scenario = "events:\n- {at: 2s, behave: 529}\n- {at: 4s, behave: ok}\n";
    send(&fake, "DELETE", "/fake/script", &[], "").await.unwrap();
    assert_eq!(
        send(&fake, "POST", "/fake/scenario", &[], scenario)
            .await
            .unwrap()
            .status,
        200
    );
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(CALLERS[0].ask(&fake, "m", false).await.unwrap().status);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(seen, [200, 200, 529, 529, 200, 200]);
    assert_eq!(
        send(&fake, "POST", "/fake/scenario", &[], "- {at: soon}")
            .await
            .unwrap()
            .status,
        400
    );
}

#[tokio::test]
async fn a_bench_fake_answers_alike_each_time_and_obeys_a_script() {
    let fake = Fake::bench();
    let first = CALLERS[0].ask(&fake, "m", false).await.unwrap();
    assert_eq!((first.status, first.body.len()), (200, 669));
    first.json();
    let stream = CALLERS[0].ask(&fake, "m", true).await.unwrap();
    let contents = stream
        .events()
        .iter()
        .filter(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        })
        .count();
    assert_eq!(contents, 20);
    fake.script().always("*", Behaviour::named("503"));
    assert_eq!(CALLERS[0].ask(&fake, "m", false).await.unwrap().status, 503);
    assert!(fake.log().is_empty());
}

#[tokio::test]
async fn over_tcp_each_event_goes_out_alone_and_shutdown_closes_what_is_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fake = Fake::new();
    fake.script().always("*", Behaviour::named("stall-2"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(fake.clone().serve(listener, async move {
        let _ = stopped.await;
    }));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = (CALLERS[0].body)("m", true).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while seen.matches("data: ").count() < 3 {
        let length = stream.read(&mut buffer).await.unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert!(
        seen.starts_with("HTTP/1.1 200"),
        "events before the stall are out although the body is not done"
    );
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert_eq!(stream.read(&mut buffer).await.unwrap_or(0), 0);
    assert_eq!(fake.log().last().unwrap().outcome, "cancelled");
}

#[tokio::test]
async fn every_scenario_of_the_examples_is_sound() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fake");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        jumpseat_fake::Scenario::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn the_documentation_names_every_behaviour_and_its_example_is_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fake.md");
    let text = std::fs::read_to_string(path).unwrap();
    for name in jumpseat_fake::named::NAMES {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    for (name, _) in jumpseat_fake::errors::NEUTRAL {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    let examples = text.split("```json\n").skip(1);
    for example in examples.map(|rest| rest.split("```").next().unwrap()) {
        Behaviour::from_json(example).unwrap();
    }
}
