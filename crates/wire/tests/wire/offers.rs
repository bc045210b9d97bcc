//! Offered tools that another dialect cannot say, the same rule for every client: left out and told while the model may do
//! without them, refused when it may not.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jumpseat_wire::request::{BadRequest, UNTRANSLATABLE, UpstreamModel};
use jumpseat_wire::response::EncoderOptions;
use jumpseat_wire::server::{self, Asked};
use jumpseat_wire::{dialect, openai_responses};
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{ChatRequest, ToolCall};
use types::dialect::{DialectName, IngressDialect, Operation};

const UPSTREAM: UpstreamModel<'_> = UpstreamModel {
    model: "up-1",
    max_output_default: 4096,
    reasoning: false,
};

fn decode(from: IngressDialect, body: &Value) -> Result<ChatRequest, BadRequest> {
    let body = Bytes::from(body.to_string());
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    let asked = Asked {
        body: &body,
        headers: &headers,
        path_model: Some("m"),
        path_stream: false,
        operation: Operation::Generate,
    };
    let head = server::read_head(from, asked).unwrap();
    server::decode_request(from, &body, &head)
}

/// A call of the client's dialect with these tools.
fn offering(from: IngressDialect, tools: &Value) -> Value {
    match from {
        IngressDialect::OpenaiChat => {
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools})
        }
        IngressDialect::OpenaiResponses => json!({"model": "m", "input": "hi", "tools": tools}),
        IngressDialect::AnthropicMessages => {
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "tools": tools})
        }
        IngressDialect::Gemini => {
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "tools": tools})
        }
    }
}

/// A function `f` as the dialect writes it.
fn function(from: IngressDialect) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    match from {
        IngressDialect::OpenaiChat => json!({"type": "function", "function": {"name": "f", "parameters": schema}}),
        IngressDialect::OpenaiResponses => json!({"type": "function", "name": "f", "parameters": schema}),
        IngressDialect::AnthropicMessages => json!({"name": "f", "input_schema": schema}),
        IngressDialect::Gemini => json!({"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}),
    }
}

/// What only the dialect's own API can run, and how it is told.
fn offers() -> Vec<(IngressDialect, Value, &'static str)> {
    use IngressDialect::{AnthropicMessages, Gemini, OpenaiChat, OpenaiResponses};
    let mut rows = vec![
        (
            OpenaiChat,
            json!({"type": "custom", "custom": {"name": "x", "format": {"type": "text"}}}),
            "tools[1].custom",
        ),
        (
            OpenaiResponses,
            json!({"type": "web_search", "external_web_access": true}),
            "tools[1].web_search",
        ),
        (
            OpenaiResponses,
            json!({"type": "tool_search", "execution": "client", "description": "Find a tool.", "parameters": {"type": "object"}}),
            "tools[1].tool_search",
        ),
        (
            OpenaiResponses,
            json!({"type": "custom", "name": "x", "format": {"type": "tomorrow"}}),
            "tools[1].custom",
        ),
        (
            AnthropicMessages,
            json!({"name": "g", "input_schema": {"type": "object"}, "allowed_callers": ["code_execution_20250825"]}),
            "tools[1].custom",
        ),
        (
            AnthropicMessages,
            json!({"type": "mcp_toolset", "mcp_server_name": "crm"}),
            "tools[1].mcp_toolset",
        ),
    ];
    for kind in [
        "file_search",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "image_generation",
        "mcp",
        "local_shell",
        "shell",
        "apply_patch",
    ] {
        rows.push((OpenaiResponses, json!({ "type": kind }), kind));
    }
    for kind in [
        "web_search_20250305",
        "web_fetch_20250910",
        "code_execution_20250825",
        "computer_20250124",
        "text_editor_20250728",
        "bash_20250124",
        "memory_20250818",
        "tool_search_tool_regex_20251119",
    ] {
        rows.push((AnthropicMessages, json!({"type": kind, "name": "own"}), kind));
    }
    for kind in [
        "googleSearch",
        "codeExecution",
        "urlContext",
        "googleMaps",
        "fileSearch",
        "computerUse",
    ] {
        rows.push((Gemini, json!({ kind: {} }), kind));
    }
    rows
}

#[test]
fn an_offered_tool_is_an_offer_to_every_other_dialect() {
    for (from, offer, kind) in offers() {
        let place = if kind.contains('[') {
            kind.to_owned()
        } else {
            format!("tools[1].{kind}")
        };
        let request = decode(from, &offering(from, &json!([function(from), offer]))).unwrap();
        for to in DialectName::ALL {
            let encoded = dialect::encode_request(to, &request, UPSTREAM).unwrap();
            let dropped: Vec<&str> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            let is_told = dropped.contains(&place.as_str());
            if to == from.name() {
                assert!(!is_told, "{place} is told to be left out of its own dialect");
                assert_eq!(
                    body["tools"][1], offer,
                    "{place} is offered to its own dialect as it was written"
                );
            } else {
                assert!(is_told, "{place} of {from:?} to {to:?}: {dropped:?}");
                assert!(!body.to_string().contains(&offer.to_string()), "{place} to {to:?}");
            }
        }
    }
}

#[test]
fn a_call_that_nothing_else_can_answer_is_refused() {
    for (from, offer, kind) in offers() {
        let mut forced = offering(from, &json!([offer]));
        // A choice of the kind whose name the tool has.
        let mut named = forced.clone();
        let name = offer["name"].as_str().unwrap_or(kind);
        match from {
            IngressDialect::OpenaiChat => {
                forced["tool_choice"] = json!("required");
                named["tool_choice"] = json!({"type": "custom", "custom": {"name": "x"}});
            }
            IngressDialect::OpenaiResponses => {
                forced["tool_choice"] = json!("required");
                named["tool_choice"] = json!({"type": offer["type"], "name": name});
            }
            IngressDialect::AnthropicMessages => {
                forced["tool_choice"] = json!({"type": "any"});
                named["tool_choice"] = json!({"type": "tool", "name": if kind.contains('[') { name } else { "own" }});
            }
            IngressDialect::Gemini => {
                forced["toolConfig"] = json!({"functionCallingConfig": {"mode": "ANY"}});
                named = forced.clone();
            }
        }
        if kind == "tools[1].mcp_toolset" {
            named["tool_choice"] = json!({"type": "tool", "name": "mcp_toolset"});
        }
        for body in [forced, named] {
            let refused = decode(from, &body).unwrap_err();
            assert_eq!(refused.code, Some(UNTRANSLATABLE), "{body}");
        }
    }
}

#[test]
fn what_is_offered_beside_the_tools_is_an_offer_too() {
    let rows = [
        (
            IngressDialect::OpenaiChat,
            "web_search_options",
            json!({"search_context_size": "low"}),
        ),
        (IngressDialect::OpenaiChat, "functions", json!([{"name": "f"}])),
        (
            IngressDialect::AnthropicMessages,
            "mcp_servers",
            json!([{"type": "url", "url": "https://x", "name": "crm"}]),
        ),
        (IngressDialect::AnthropicMessages, "container", json!("container_1")),
    ];
    for (from, field, value) in rows {
        let mut body = offering(from, &json!([function(from)]));
        body[field] = value.clone();
        let request = decode(from, &body).unwrap();
        for to in DialectName::ALL {
            let encoded = dialect::encode_request(to, &request, UPSTREAM).unwrap();
            let written: Value = serde_json::from_slice(&encoded.body).unwrap();
            let is_told = encoded.dropped.iter().any(|d| d.0 == field);
            assert_eq!(is_told, to != from.name(), "{field} to {to:?}");
            assert_eq!(
                written.get(field),
                (to == from.name()).then_some(&value),
                "{field} to {to:?}"
            );
        }
    }
}

/// Codex's patch tool and its namespaces, as it offers them and as its history has them.
fn agent() -> Value {
    let patch = json!({"type": "grammar", "syntax": "lark", "definition": "start: \"*** Begin Patch\" line+"});
    json!({
        "model": "m", "stream": true, "store": false, "tool_choice": "auto",
        "tools": [
            {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": patch},
            {"type": "namespace", "name": "agents", "description": "Other workers.", "tools": [
                {"type": "function", "name": "start", "description": "Starts one.", "strict": false,
                 "parameters": {"type": "object", "properties": {"task": {"type": "string"}}}},
                {"type": "function", "name": "stop", "strict": false, "parameters": {"type": "object", "properties": {}}}]},
        ],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch\n"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done"},
            {"type": "function_call", "id": "fc_1", "call_id": "c2", "namespace": "agents", "name": "start", "arguments": "{}"},
            {"type": "function_call_output", "id": "fco_1", "call_id": "c2", "output": "7"},
        ],
    })
}

#[test]
fn what_a_function_can_stand_in_for_is_offered_as_one() {
    let request = decode(IngressDialect::OpenaiResponses, &agent()).unwrap();
    let encoded = dialect::encode_request(DialectName::OpenaiChat, &request, UPSTREAM).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let names: Vec<_> = body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["function"]["name"])
        .collect();
    assert_eq!(names, ["apply_patch", "agents__start", "agents__stop"]);
    assert_eq!(
        body["tools"][0]["function"]["description"],
        "Edits files.\n\nThe input must follow this lark grammar, with nothing around it:\nstart: \"*** Begin Patch\" line+"
    );
    assert_eq!(
        body["tools"][1]["function"]["description"],
        "Starts one.\n\nThe tools named `agents__…`: Other workers."
    );
    let called = &body["messages"][1]["tool_calls"][0]["function"];
    assert_eq!(called["arguments"], r#"{"input":"*** Begin Patch\n"}"#);
    assert_eq!(
        body["messages"][3]["tool_calls"][0]["function"]["name"],
        "agents__start"
    );
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    assert_eq!(dropped, ["tools[0].format"], "nothing enforces the grammar");
}

/// The same with the tools in an item of the input, as Codex offers them to its newest models.
fn offering_by_an_item() -> Value {
    let mut body = agent();
    let tools = body.as_object_mut().unwrap().remove("tools").unwrap();
    let item = json!({"type": "additional_tools", "id": "at_1", "role": "developer", "tools": tools});
    body["input"].as_array_mut().unwrap().insert(0, item);
    body
}

#[test]
fn tools_offered_by_an_item_are_offered() {
    let named = |body: &Value| -> Vec<String> {
        let request = decode(IngressDialect::OpenaiResponses, body).unwrap();
        request.tools.into_iter().map(|tool| tool.name).collect()
    };
    assert_eq!(named(&offering_by_an_item()), named(&agent()));
    let body = Bytes::from(offering_by_an_item().to_string());
    let head = openai_responses::head::read_head(&body).unwrap();
    assert!(head.features.contains(types::features::Features::TOOLS));
}

#[test]
fn such_calls_are_said_back_as_the_client_knows_its_tools() {
    let call = |id: &str, name: &str, arguments: &str| {
        AnswerPart::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let answer = ChatAnswer {
        choices: vec![Choice {
            parts: vec![
                call("c3", "apply_patch", r#"{"input":"*** Begin Patch\n+a"}"#),
                call("c4", "agents__stop", "{}"),
            ],
            finish: Some(FinishReason::ToolCalls),
            ..Choice::default()
        }],
        ..ChatAnswer::default()
    };
    for asked in [agent(), offering_by_an_item()] {
        let options = EncoderOptions {
            id: "1".into(),
            request: Bytes::from(asked.to_string()),
            ..EncoderOptions::default()
        };
        let body: Value = serde_json::from_slice(&openai_responses::encode_answer(&answer, &options)).unwrap();
        assert_eq!(
            body["output"],
            json!([
                {"type": "custom_tool_call", "id": "ctc_1_0", "status": "completed", "call_id": "c3", "name": "apply_patch", "input": "*** Begin Patch\n+a"},
                {"type": "function_call", "id": "fc_1_1", "status": "completed", "call_id": "c4", "namespace": "agents", "name": "stop", "arguments": "{}"},
            ])
        );
    }
}
