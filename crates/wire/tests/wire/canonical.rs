//! One form of a request for all dialects: what is the same is the same everywhere, and every change that matters shows.

use bytes::Bytes;
use http::HeaderMap;
use jumpseat_wire::canonical::{self, Scope};
use jumpseat_wire::embeddings;
use jumpseat_wire::server::{self, Asked};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::chat::ChatRequest;
use types::dialect::{IngressDialect, Operation};

fn read(dialect: IngressDialect, body: &Value) -> ChatRequest {
    let body = Bytes::from(body.to_string());
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    let asked = Asked {
        body: &body,
        headers: &headers,
        path_model: Some("chat"),
        path_stream: false,
        operation: Operation::Generate,
    };
    let head = server::read_head(dialect, asked).unwrap_or_else(|e| panic!("{dialect:?}: {e}"));
    server::decode_request(dialect, &body, &head).unwrap_or_else(|e| panic!("{dialect:?}: {e}"))
}

fn form_of(request: &ChatRequest, scope: Scope) -> Vec<u8> {
    let mut form = Vec::new();
    canonical::chat(request, scope, &mut |piece| form.extend_from_slice(piece));
    form
}

fn form(dialect: IngressDialect, body: &Value) -> Vec<u8> {
    form_of(&read(dialect, body), Scope::Whole)
}

fn chat_form(body: &Value) -> Vec<u8> {
    form(IngressDialect::OpenaiChat, body)
}

/// The same question in the four dialects.
fn texts() -> [(IngressDialect, Value); 4] {
    [
        (
            IngressDialect::OpenaiChat,
            json!({"model": "chat", "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.75, "stream": true,
                "stream_options": {"include_usage": true}, "user": "me", "metadata": {"a": "b"},
                "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Who are you?"}]}),
        ),
        (
            IngressDialect::OpenaiResponses,
            json!({"model": "chat", "max_output_tokens": 9, "temperature": 0.5, "top_p": 0.75, "store": false,
                "instructions": "Be brief.",
                "input": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                    {"role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]}]}),
        ),
        (
            IngressDialect::AnthropicMessages,
            json!({"model": "chat", "max_tokens": 9, "temperature": 0.5, "top_p": 0.75, "metadata": {"user_id": "me"},
                "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                    {"role": "user", "content": [{"type": "text", "text": "Who are you?"}]}]}),
        ),
        (
            IngressDialect::Gemini,
            json!({"systemInstruction": {"parts": [{"text": "Be brief."}]},
                "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5, "topP": 0.75},
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Hello"}]},
                    {"role": "user", "parts": [{"text": "Who are you?"}]}]}),
        ),
    ]
}

/// The same tools and an earlier call in the four dialects.
fn tools() -> [(IngressDialect, Value); 4] {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let turned = json!({"required": ["city"], "properties": {"city": {"type": "string"}}, "type": "object"});
    let empty = json!({"type": "object", "properties": {}});
    [
        (
            IngressDialect::OpenaiChat,
            json!({"model": "chat", "max_tokens": 9, "tool_choice": "auto",
                "tools": [{"type": "function", "function": {"name": "weather", "description": "Tells", "parameters": schema}},
                    {"type": "function", "function": {"name": "now", "parameters": empty}}],
                "messages": [{"role": "user", "content": "Oslo?"},
                    {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function",
                        "function": {"name": "weather", "arguments": "{ \"city\": \"Oslo\" }"}}]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "cold"}]}),
        ),
        (
            IngressDialect::OpenaiResponses,
            json!({"model": "chat", "max_output_tokens": 9,
                "tools": [{"type": "function", "name": "now", "parameters": empty, "strict": null},
                    {"type": "function", "name": "weather", "description": "Tells", "parameters": turned, "strict": null}],
                "input": [{"role": "user", "content": "Oslo?"},
                    {"type": "function_call", "call_id": "other", "name": "weather", "arguments": "{\"city\":\"Oslo\"}"},
                    {"type": "function_call_output", "call_id": "other", "output": "cold"}]}),
        ),
        (
            IngressDialect::AnthropicMessages,
            json!({"model": "chat", "max_tokens": 9,
                "tools": [{"name": "weather", "description": "Tells", "input_schema": turned}, {"name": "now", "input_schema": empty}],
                "messages": [{"role": "user", "content": "Oslo?"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "cold"}]}]}),
        ),
        (
            IngressDialect::Gemini,
            json!({"generationConfig": {"maxOutputTokens": 9},
                "tools": [{"functionDeclarations": [{"name": "now", "parametersJsonSchema": empty},
                    {"name": "weather", "description": "Tells", "parametersJsonSchema": schema}]}],
                "contents": [{"role": "user", "parts": [{"text": "Oslo?"}]},
                    {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]},
                    {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "cold"}}}]}]}),
        ),
    ]
}

#[test]
fn the_same_question_has_one_form_in_four_dialects() {
    let [(_, first), ..] = texts();
    let wanted = chat_form(&first);
    for (dialect, body) in texts() {
        assert_eq!(form(dialect, &body), wanted, "{dialect:?}");
    }
}

#[test]
fn tools_and_their_calls_have_one_form_whatever_order_and_ids_they_came_in() {
    let [(_, first), ..] = tools();
    let wanted = read(IngressDialect::OpenaiChat, &first);
    for (dialect, body) in tools() {
        let request = read(dialect, &body);
        assert_eq!(
            form_of(&request, Scope::Whole),
            form_of(&wanted, Scope::Whole),
            "{dialect:?}: {request:#?}"
        );
    }
}

#[test]
fn what_means_nothing_changes_nothing() {
    let base = json!({"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "stop": ["b", "a"]});
    let with = |key: &str, value: Value| {
        let mut body = base.clone();
        body[key] = value;
        body
    };
    let rows = [
        with("stream", json!(true)),
        with(
            "stream_options",
            json!({"include_usage": true, "include_obfuscation": false}),
        ),
        with("user", json!("someone")),
        with("metadata", json!({"trace": "1"})),
        with("prompt_cache_key", json!("k")),
        with("safety_identifier", json!("s")),
        with("store", json!(true)),
        with("stop", json!(["a", "b", "a"])),
        with("n", json!(1)),
        with("tool_choice", json!("auto")),
        with("parallel_tool_calls", json!(true)),
        with("response_format", json!({"type": "text"})),
        with("model", json!("alias")),
    ];
    for body in rows {
        assert_eq!(chat_form(&body), chat_form(&base), "{body}");
    }
}

#[test]
fn whatever_matters_shows() {
    let schema = |properties: Value| json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": properties}}});
    let image = |data: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}]}]);
    let tool =
        |name: &str, about: &str| json!([{"type": "function", "function": {"name": name, "description": about}}]);
    let rows = [
        json!({}),
        json!({"temperature": 0}),
        json!({"temperature": 0.1}),
        json!({"top_p": 0.1}),
        json!({"top_k": 1}),
        json!({"presence_penalty": 0.1}),
        json!({"frequency_penalty": 0.1}),
        json!({"max_tokens": 1}),
        json!({"stop": "a"}),
        json!({"stop": ["a", "b"]}),
        json!({"n": 2}),
        json!({"seed": 1}),
        json!({"seed": -1}),
        json!({"logprobs": true}),
        json!({"logprobs": true, "top_logprobs": 1}),
        json!({"reasoning_effort": "low"}),
        json!({"reasoning_effort": "high"}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": schema(json!({"a": {}, "b": {}}))}),
        json!({"response_format": schema(json!({"b": {}, "a": {}}))}),
        json!({"tools": tool("f", "x")}),
        json!({"tools": tool("f", "y")}),
        json!({"tools": tool("g", "x")}),
        json!({"tools": tool("f", "x"), "tool_choice": "required"}),
        json!({"tools": tool("f", "x"), "tool_choice": "none"}),
        json!({"tools": tool("f", "x"), "parallel_tool_calls": false}),
        json!({"logit_bias": {"50256": -100}}),
        json!({"logit_bias": {"50256": 100}}),
        json!({"invented_yesterday": 1}),
        json!({"invented_yesterday": 1.0}),
        json!({"messages": [{"role": "user", "content": "hi"}]}),
        json!({"messages": [{"role": "user", "content": "Hi "}]}),
        json!({"messages": [{"role": "user", "content": "Hi", "name": "Ann"}]}),
        json!({"messages": [{"role": "system", "content": "Hi"}]}),
        json!({"messages": [{"role": "assistant", "content": "Hi"}]}),
        json!({"messages": [{"role": "user", "content": "H"}, {"role": "user", "content": "i"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}]}),
        json!({"messages": image("AAAA")}),
        json!({"messages": image("AAAB")}),
    ];
    let mut forms: Vec<(Vec<u8>, Value)> = Vec::new();
    for row in rows {
        let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
        let made = chat_form(&body);
        if let Some((_, other)) = forms.iter().find(|(form, _)| *form == made) {
            panic!("{body} is taken for {other}");
        }
        forms.push((made, body));
    }
}

#[test]
fn a_field_that_only_one_dialect_knows_is_no_other_dialects_field() {
    let [(_, mut chat), _, (_, mut messages), _] = texts();
    chat["invented"] = json!(1);
    messages["invented"] = json!(1);
    assert_ne!(
        form(IngressDialect::OpenaiChat, &chat),
        form(IngressDialect::AnthropicMessages, &messages)
    );
}

#[test]
fn requests_that_rest_on_more_than_themselves_are_not_repeatable() {
    let base = json!({"model": "chat", "messages": [{"role": "user", "content": "Hi"}]});
    let rows = [
        (json!({}), true),
        (json!({"logit_bias": {"1": 1}, "store": true}), true),
        (json!({"web_search_options": {"search_context_size": "low"}}), false),
        (json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), false),
    ];
    for (more, wanted) in rows {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = read(IngressDialect::OpenaiChat, &body);
        assert_eq!(canonical::is_repeatable(&request), wanted, "{body}");
    }
    let rows = [
        (json!({}), true),
        (json!({"background": false, "include": []}), true),
        (json!({"tools": [{"type": "web_search"}]}), false),
    ];
    for (more, wanted) in rows {
        let mut body = json!({"model": "chat", "input": "Hi"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = read(IngressDialect::OpenaiResponses, &body);
        assert_eq!(
            canonical::is_repeatable(&request),
            wanted,
            "{body}: {:?}",
            request.extra
        );
    }
}

#[test]
fn beside_the_question_everything_still_counts() {
    let ask = |question: &str, system: &str| {
        read(
            IngressDialect::OpenaiChat,
            &json!({"model": "chat", "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}]}),
        )
    };
    let beside = |request: &ChatRequest| form_of(request, Scope::BesideTheQuestion);
    assert_eq!(canonical::question(&ask("Who?", "s")), Some("Who?"));
    assert_eq!(beside(&ask("Who?", "s")), beside(&ask("When?", "s")));
    assert_ne!(beside(&ask("Who?", "s")), beside(&ask("Who?", "t")));
    assert_ne!(
        beside(&ask("question", "s")),
        form_of(&ask("question", "s"), Scope::Whole)
    );
}

#[test]
fn vectors_are_the_same_however_they_are_written() {
    let made = |body: Value| {
        let request = embeddings::decode_request(body.to_string().as_bytes()).unwrap();
        let mut form = Vec::new();
        canonical::embedding(&request, &mut |piece| form.extend_from_slice(piece));
        form
    };
    let base = made(json!({"model": "m", "input": "a"}));
    assert_eq!(
        made(json!({"model": "m", "input": ["a"], "encoding_format": "base64", "user": "u"})),
        base
    );
    for other in [
        json!({"model": "m", "input": ["a", ""]}),
        json!({"model": "m", "input": [97]}),
        json!({"model": "m", "input": "a", "dimensions": 3}),
        json!({"model": "m", "input": "a", "input_type": "query"}),
    ] {
        assert_ne!(made(other.clone()), base, "{other}");
    }
}

proptest! {
    /// However texts are cut into messages, parts and stop sequences, no two cuts run together.
    #[test]
    fn no_two_requests_run_together(
        one in proptest::collection::vec(proptest::collection::vec("[ab]{0,3}", 0..3), 1..4),
        two in proptest::collection::vec(proptest::collection::vec("[ab]{0,3}", 0..3), 1..4),
    ) {
        let request = |messages: &[Vec<String>]| ChatRequest {
            model: "m".into(),
            messages: messages.iter().map(|parts| types::chat::Message {
                role: types::chat::Role::User,
                parts: parts.iter().map(types::chat::Part::text).collect(),
                name: None,
            }).collect(),
            ..ChatRequest::default()
        };
        let same = form_of(&request(&one), Scope::Whole) == form_of(&request(&two), Scope::Whole);
        prop_assert_eq!(same, one == two);
    }
}
