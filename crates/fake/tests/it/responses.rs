//! The Responses API: the exact sequence of its events, what it refuses, and what it remembers.

use jumpseat_fake::{Behaviour, Fake};
use serde_json::{Value, json};

use crate::support::{CALLERS, Caller, Got, send};

const RESPONSES: &Caller = &CALLERS[3];

async fn ask(fake: &Fake, more: Value) -> Got {
    let mut body = (RESPONSES.body)("m", false);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    RESPONSES.ask_with(fake, "m", false, body).await.unwrap()
}

async fn get(fake: &Fake, method: &str, path: &str) -> Got {
    send(fake, method, path, RESPONSES.headers, "").await.unwrap()
}

#[tokio::test]
async fn a_stream_numbers_its_events_and_goes_item_by_item() {
    let fake = Fake::new();
    let told = r#"{"reasoning":"a b","text":"c d","tool_calls":[{"name":"f","arguments":{"x":1}},{"name":"patch","arguments":"p"}]}"#;
    fake.script().always("*", Behaviour::from_json(told).unwrap());
    let mut body = (RESPONSES.body)("m", true);
    body["tools"] = json!([{"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}]);
    let got = RESPONSES.ask_with(&fake, "m", true, body.clone()).await.unwrap();
    let events = got.events();
    let names: Vec<&str> = got
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let short: Vec<&str> = names
        .iter()
        .map(|name| name.strip_prefix("response.").unwrap())
        .collect();
    let wanted = "created in_progress \
        output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.delta \
        reasoning_summary_text.done reasoning_summary_part.done output_item.done \
        output_item.added content_part.added output_text.delta output_text.delta output_text.done content_part.done output_item.done \
        output_item.added function_call_arguments.delta function_call_arguments.done output_item.done \
        output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done completed";
    assert_eq!(short.join(" "), wanted.split_whitespace().collect::<Vec<_>>().join(" "));
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], index);
        assert_eq!(event["type"], names[index]);
    }
    assert!(!got.body.contains("[DONE]"));
    let last = &events.last().unwrap()["response"];
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(
        last["output"].as_array().unwrap().iter().collect::<Vec<_>>(),
        done,
        "the end repeats the items"
    );
    assert_eq!(last["usage"]["output_tokens_details"]["reasoning_tokens"], 2);
    body["stream"] = json!(false);
    let unary = RESPONSES.ask_with(&fake, "m", false, body).await.unwrap().json();
    let kinds: Vec<&str> = unary["output"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "custom_tool_call"]);
    assert_eq!(
        (
            unary["output"][2]["arguments"].as_str(),
            unary["output"][3]["input"].as_str()
        ),
        (Some("{\"x\":1}"), Some("p"))
    );
}

#[tokio::test]
async fn each_ending_has_its_status_and_its_event() {
    let rows = [
        (json!({}), "completed", Value::Null, "response.completed"),
        (
            json!("length"),
            "incomplete",
            json!("max_output_tokens"),
            "response.incomplete",
        ),
        (
            json!("content_filter"),
            "incomplete",
            json!("content_filter"),
            "response.incomplete",
        ),
        (
            json!("max_messages"),
            "incomplete",
            json!("max_messages"),
            "response.incomplete",
        ),
        (json!("failed"), "failed", Value::Null, "response.failed"),
    ];
    for (finish, status, reason, event) in rows {
        let fake = Fake::new();
        if finish.is_string() {
            fake.script()
                .always("*", Behaviour::from_value(json!({"finish": finish})).unwrap());
        }
        let unary = RESPONSES.ask(&fake, "m", false).await.unwrap().json();
        assert_eq!(unary["status"], status);
        assert_eq!(unary["incomplete_details"]["reason"], reason, "{status}");
        assert_eq!(unary["error"].is_object(), status == "failed");
        let events = RESPONSES.ask(&fake, "m", true).await.unwrap().events();
        let last = events.last().unwrap();
        assert_eq!(
            (last["type"].as_str(), last["response"]["status"].as_str()),
            (Some(event), Some(status))
        );
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_an_event_before_there_is_a_response_and_fails_it_after() {
    let rows = [
        (r#"{"name":"error-first"}"#, 1, "error"),
        (r#"{"name":"error-0"}"#, 5, "response.failed"),
        (r#"{"name":"error-5"}"#, 10, "response.failed"),
        (r#"{"name":"error-500"}"#, 68, "response.failed"),
        (
            r#"{"stream_error":{"after":5,"error":"openai.error_event"}}"#,
            10,
            "error",
        ),
        (
            r#"{"name":"odd","stream_error":{"after":9,"error":"rate_limited"}}"#,
            16,
            "response.failed",
        ),
    ];
    for (behaviour, count, kind) in rows {
        let fake = Fake::new();
        fake.script().always("*", Behaviour::from_json(behaviour).unwrap());
        let body = RESPONSES.ask(&fake, "m", true).await.unwrap().body;
        let numbers: Vec<u64> = body
            .split("\"sequence_number\":")
            .skip(1)
            .map(|rest| {
                rest.split(|c: char| !c.is_ascii_digit())
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{behaviour}");
        let last = body.trim_end().lines().last().unwrap();
        let last: Value = serde_json::from_str(last.trim_start_matches("data:")).unwrap();
        assert_eq!(last["type"], kind, "{behaviour}");
        let error = if kind == "error" {
            &last
        } else {
            &last["response"]["error"]
        };
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{behaviour}: {last}"
        );
    }
}

#[tokio::test]
async fn what_openai_refuses_is_refused_with_its_code() {
    let user = json!({"role": "user", "content": "hi"});
    let call =
        |id: Value| json!({"type": "function_call", "id": id, "call_id": "call_1", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "call_1", "output": "1"});
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let rows = [
        (json!({"messages": []}), "input", "unsupported_parameter"),
        (json!({"max_tokens": 9}), "max_output_tokens", "unsupported_parameter"),
        (json!({"response_format": {}}), "text.format", "unsupported_parameter"),
        (json!({"n": 2}), "Unknown parameter: 'n'", "unknown_parameter"),
        (json!({"input": null}), "input", "missing_required_parameter"),
        (json!({"background": true}), "Background mode", "unsupported_parameter"),
        (json!({"max_output_tokens": 15}), ">= 16", "integer_below_min_value"),
        (json!({"temperature": 3}), "temperature", "invalid_value"),
        (json!({"include": ["everything"]}), "include[0]", "invalid_value"),
        (
            json!({"reasoning": {"effort": "huge"}}),
            "reasoning.effort",
            "invalid_value",
        ),
        (json!({"stream_options": {}}), "only allowed when 'stream'", ""),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            "tools[0].name",
            "missing_required_parameter",
        ),
        (
            json!({"tools": [{"type": "retrieval"}]}),
            "tools[0].type",
            "invalid_value",
        ),
        (
            json!({"tools": [{"type": "function", "name": "f", "strict": true, "parameters": open}]}),
            "additionalProperties",
            "invalid_function_parameters",
        ),
        (json!({"tool_choice": "required"}), "must be specified with 'tools'", ""),
        (
            json!({"tool_choice": {"type": "function", "name": "g"}}),
            "not found in 'tools'",
            "",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "schema": {}}}}),
            "text.format.name",
            "missing_required_parameter",
        ),
        (
            json!({"text": {"format": {"type": "json_object"}}}),
            "the word 'json'",
            "",
        ),
        (
            json!({"input": [{"role": "tool", "content": "x"}]}),
            "'assistant', 'system', 'developer', and 'user'",
            "invalid_value",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
            "'input_text'",
            "invalid_value",
        ),
        (
            json!({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}),
            "'output_text' and 'refusal'",
            "invalid_value",
        ),
        (json!({"input": [{"type": "thought"}]}), "input[0]", "invalid_value"),
        (
            json!({"input": [user, call(json!("call_1")), output]}),
            "begins with 'fc'",
            "invalid_value",
        ),
        (
            json!({"input": [user, call(Value::Null)]}),
            "No tool output found for function call call_1",
            "",
        ),
        (
            json!({"input": [user, output]}),
            "No tool call found for function call output with call_id call_1",
            "",
        ),
        (
            json!({"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}, user]}),
            "could not be verified",
            "invalid_encrypted_content",
        ),
        (
            json!({"previous_response_id": "resp_none"}),
            "'resp_none' not found",
            "previous_response_not_found",
        ),
    ];
    for (more, part, code) in rows {
        let got = ask(&Fake::new(), more.clone()).await;
        assert_eq!(got.status, 400, "{more}: {}", got.body);
        let error = got.json()["error"].clone();
        assert!(error.to_string().contains(part), "{more}: {error}");
        assert_eq!(error["code"].as_str().unwrap_or_default(), code, "{more}");
    }
    for more in [
        json!({"input": [{"type": "item_reference", "id": "msg_none"}]}),
        json!({"conversation": "conv_1"}),
    ] {
        let got = ask(&Fake::new(), more).await;
        assert!(got.status == 404 && got.body.contains("not found"), "{}", got.body);
    }
}

#[tokio::test]
async fn what_codex_and_others_send_is_taken() {
    let fake = Fake::new();
    let first = ask(&fake, json!({"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "medium", "summary": "auto"}, "store": false})).await.json();
    let mut thought = first["output"][0].clone();
    thought.as_object_mut().unwrap().remove("id");
    let body = json!({
        "instructions": "You are an agent.", "store": false, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k",
        "text": {"verbosity": "low"}, "tool_choice": "auto", "parallel_tool_calls": false, "client_metadata": {}, "reasoning": null,
        "tools": [
            {"type": "function", "name": "shell", "strict": false, "parameters": {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}}},
            {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "web_search", "external_web_access": false}, {"type": "namespace", "name": "mcp", "description": "", "tools": []},
        ],
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "do it"}]},
            thought,
            {"type": "function_call", "name": "shell", "arguments": "{\"command\":[\"ls\"]}", "call_id": "call_a"},
            {"type": "function_call_output", "call_id": "call_a", "output": "a.txt"},
            {"type": "custom_tool_call", "name": "apply_patch", "input": "patch", "call_id": "call_b", "status": "completed"},
            {"type": "custom_tool_call_output", "call_id": "call_b", "output": [{"type": "input_text", "text": "done"}]},
        ],
    });
    let got = ask(&fake, body).await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert!(
        got.json()["output"][0]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("The tool said: done")
    );
}

#[tokio::test]
async fn responses_are_remembered_listed_and_forgotten() {
    let fake = Fake::new();
    let first = ask(&fake, json!({"input": "one"})).await.json();
    let id = first["id"].as_str().unwrap();
    let second = ask(&fake, json!({"input": "two", "previous_response_id": id}))
        .await
        .json();
    assert_eq!(second["previous_response_id"], id);
    assert!(second["usage"]["input_tokens"].as_u64() > first["usage"]["input_tokens"].as_u64());
    assert_eq!(
        fake.log().last().unwrap().body["input"],
        "two",
        "the log has what was sent"
    );
    assert_eq!(get(&fake, "GET", &format!("/v1/responses/{id}")).await.json(), first);
    let items = get(
        &fake,
        "GET",
        &format!("/v1/responses/{}/input_items", second["id"].as_str().unwrap()),
    )
    .await
    .json();
    assert_eq!(items["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        items["data"][0]["content"],
        json!([{"type": "input_text", "text": "two"}])
    );
    let gone = get(&fake, "DELETE", &format!("/v1/responses/{id}")).await.json();
    assert_eq!(gone, json!({"id": id, "object": "response", "deleted": true}));
    assert_eq!(get(&fake, "GET", &format!("/v1/responses/{id}")).await.status, 404);
    let stored = ask(&fake, json!({"input": "three", "store": false})).await.json();
    assert_eq!(
        get(
            &fake,
            "GET",
            &format!("/v1/responses/{}", stored["id"].as_str().unwrap())
        )
        .await
        .status,
        404
    );
    assert_eq!(
        get(
            &fake,
            "POST",
            &format!("/v1/responses/{}/cancel", second["id"].as_str().unwrap())
        )
        .await
        .status,
        400
    );
}
