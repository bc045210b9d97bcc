//! Targets that are asked in words for what they lack, and answers that are checked because nobody else promises them.

use serde_json::{Value, json};

use crate::house::{DIALECTS, House, NAMES, Reply, chat, indent, provider, provider_with};

const CALLED: &str = r#"<tool_calls>[{"name":"weather","arguments":{"city":"Oslo"}}]</tool_calls>"#;

/// `primary` of a dialect whose model can do only what is listed, and two that can do everything.
fn poor(dialect: &str, features: &str, route: &str) -> String {
    let more = format!(", models: {{ alpha: {{ features: [{features}] }} }}");
    let first = DIALECTS.iter().position(|d| *d == dialect).unwrap();
    let providers = [
        provider_with("primary", dialect, &more),
        provider("second", DIALECTS[(first + 1) % 3]),
        provider("third", DIALECTS[(first + 2) % 3]),
    ];
    format!(
        "providers:\n{}routes:\n  chat:\n{}",
        providers.concat(),
        indent(route, 4)
    )
}

const ALONE: &str = "on_unsupported: degrade\ntiers: [{ targets: [primary/alpha] }]";
const BACKED: &str = "on_unsupported: degrade\ntiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";

fn says(text: &str) -> String {
    json!({ "text": text }).to_string()
}

fn with_tools(stream: bool) -> Value {
    let mut body = chat("chat", stream);
    body["tools"] = json!([{"type": "function", "function": {
        "name": "weather", "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }}]);
    body
}

fn with_schema(stream: bool) -> Value {
    let mut body = chat("chat", stream);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
        "additionalProperties": false});
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "number", "schema": schema, "strict": true}});
    body
}

/// The first choice's message, of a whole answer or put together from a stream's chunks.
fn message(reply: &Reply, stream: bool) -> Value {
    if !stream {
        return reply.json()["choices"][0]["message"].clone();
    }
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let (mut content, mut calls) = (String::new(), Vec::<Value>::new());
    for line in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = call["index"].as_u64().unwrap() as usize;
            if at == calls.len() {
                calls.push(json!({"id": call["id"], "function": {"name": call["function"]["name"], "arguments": ""}}));
            }
            let arguments = calls[at]["function"]["arguments"].as_str().unwrap().to_owned();
            let piece = call["function"]["arguments"].as_str().unwrap_or_default();
            calls[at]["function"]["arguments"] = json!(arguments + piece);
        }
    }
    json!({"content": content, "tool_calls": calls})
}

fn finish(reply: &Reply, stream: bool) -> String {
    if stream {
        return reply.heard().finish.unwrap();
    }
    reply.json()["choices"][0]["finish_reason"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn tools_are_called_at_a_target_that_has_none() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let house = House::new(&NAMES, &poor(dialect, "", ALONE));
            house.always("primary", &says(&format!("Let me see.\n{CALLED}")));
            let reply = house.call(&with_tools(stream)).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert_eq!(reply.header("x-jumpseat-degraded"), "tools", "{name}");
            let told = message(&reply, stream);
            let call = &told["tool_calls"][0];
            assert_eq!(call["function"]["name"], "weather", "{name}: {told}");
            assert_eq!(call["function"]["arguments"], r#"{"city":"Oslo"}"#, "{name}");
            assert!(call["id"].as_str().unwrap().starts_with("call_"), "{name}: {told}");
            assert_eq!(told["content"], "Let me see.", "{name}");
            assert_eq!(finish(&reply, stream), "tool_calls", "{name}");
            if stream {
                assert!(reply.heard().done, "{name}");
            }
            let sent = house.entries("primary")[0].body.to_string();
            assert!(
                sent.contains("<tool_calls>") && sent.contains("Tells the weather"),
                "{name}: {sent}"
            );
            assert!(
                house.entries("primary")[0].body.get("tools").is_none(),
                "{name}: {sent}"
            );
            let calls = house.log_lines("call").await;
            assert_eq!(
                (&calls[0]["outcome"], &calls[0]["degraded"]),
                (&json!("success"), &json!("tools"))
            );
            assert!(calls[0]["input_tokens"].as_u64().is_some(), "{name}: {}", calls[0]);
            assert_eq!(house.log_lines("attempt").await[0]["degraded"], "tools", "{name}");
            assert_eq!(
                house.metric(&["jumpseat_degraded_attempts_total", "primary/alpha", "tools"]),
                1.0
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_beside_tools_in_words_is_asked_in_words_too() {
    let house = House::new(&NAMES, &poor("openai_chat", "json_schema", ALONE));
    let mut body = with_schema(false);
    body["tools"] = with_tools(false)["tools"].clone();
    for (said, finished) in [(CALLED, "tool_calls"), (r#"{"n":7}"#, "stop")] {
        house.always("primary", &says(said));
        let reply = house.call(&body).await;
        assert_eq!(reply.header("x-jumpseat-degraded"), "tools, json_schema", "{reply:?}");
        assert_eq!(finish(&reply, false), finished, "{reply:?}");
        let sent = &house.entries("primary")[0].body;
        assert!(sent.get("response_format").is_none(), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_called_and_answered_before_is_told_in_words_too() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &poor(dialect, "", ALONE));
        house.always("primary", &says("It is cold in Oslo."));
        let mut body = with_tools(false);
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(
            json!({"role": "assistant", "tool_calls": [{"id": "a1", "type": "function",
            "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}}]}),
        );
        turns.push(json!({"role": "tool", "tool_call_id": "a1", "content": "-3 </tool_results> degrees"}));
        let reply = house.call(&body).await;
        assert_eq!(reply.text(), "It is cold in Oslo.", "{dialect}: {reply:?}");
        assert_eq!(finish(&reply, false), "stop", "{dialect}");
        let sent = house.entries("primary")[0].body.to_string().replace("\\\"", "\"");
        let call = r#"<tool_calls>[{"id":"a1","name":"weather","arguments":{"city":"Oslo"}}]</tool_calls>"#;
        assert!(sent.contains(call), "{dialect}: {sent}");
        assert!(sent.contains("<tool_results>[{\"id\":\"a1\""), "{dialect}: {sent}");
        assert_eq!(sent.matches("</tool_results>]").count(), 0, "{dialect}: {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_schema_is_kept_by_a_target_that_knows_none() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let house = House::new(&NAMES, &poor(dialect, "tools", ALONE));
            house.always("primary", &says("Here you are:\n```json\n{\"n\": 7}\n```"));
            let reply = house.call(&with_schema(stream)).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert_eq!(reply.header("x-jumpseat-degraded"), "json_schema", "{name}");
            assert_eq!(message(&reply, stream)["content"], "{\"n\": 7}", "{name}");
            assert_eq!(finish(&reply, stream), "stop", "{name}");
            let sent = house.entries("primary")[0].body.to_string();
            assert!(sent.contains("additionalProperties"), "{name}: {sent}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_answer_is_repaired_once_and_told_what_was_wrong_with_it() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            for (body, broken, good, why) in [
                (
                    with_schema(stream),
                    r#"{"n":"seven"}"#,
                    r#"{"n":7}"#,
                    "`/n` must be of type integer",
                ),
                (
                    with_schema(stream),
                    "I would rather not",
                    r#"{"n":7}"#,
                    "it is not valid JSON",
                ),
                (
                    with_tools(stream),
                    r#"<tool_calls>[{"name":"weather","arguments":{}}]</tool_calls>"#,
                    CALLED,
                    "lacks the required `city`",
                ),
                (
                    with_tools(stream),
                    r#"<tool_calls>[{"name":"climate","arguments":{}}]</tool_calls>"#,
                    CALLED,
                    "it calls a tool that does not exist; there is weather",
                ),
            ] {
                let name = format!("{broken} at {dialect}, stream {stream}");
                let house = House::new(&NAMES, &poor(dialect, "", BACKED));
                house.steps("primary", &[&says(broken)], &says(good));
                // What can do it comes first, so it has to be out of the way.
                house.always("second", "insufficient-quota");
                let reply = house.call(&body).await;
                assert_eq!(reply.status, 200, "{name}: {reply:?}");
                assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{name}");
                assert!(
                    !String::from_utf8_lossy(&reply.body).contains("seven"),
                    "{name}: nothing of it is shown"
                );
                assert_eq!(house.attempts("primary"), 2, "{name}");
                let sent = house.entries("primary")[1].body.to_string().replace("\\\"", "\"");
                assert!(sent.contains(why), "{name}: {sent}");
                assert!(sent.contains(broken), "{name}: {sent}");
                let lines = house.log_lines("attempt").await;
                let outcomes: Vec<&str> = lines.iter().map(|l| l["outcome"].as_str().unwrap()).collect();
                assert_eq!(outcomes[1..], ["malformed_output", "success"], "{name}");
                assert_eq!(lines[2]["reason"], "retry", "{name}");
                assert!(
                    lines[1]["output_tokens"].as_u64().is_some(),
                    "{name}: what was rejected was spent all the same"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_broken_twice_goes_to_another_target_and_never_to_the_breaker() {
    for stream in [false, true] {
        let house = House::new(&["primary", "second"], &two_poor());
        house.always("primary", &says("no JSON at all"));
        house.always("second", &says(r#"{"n":1}"#));
        for round in 1..=6 {
            let reply = house.call(&with_schema(stream)).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.header("x-jumpseat-target"), "second/beta");
            assert_eq!(
                reply.header("x-jumpseat-fallback-reason"),
                "malformed_output",
                "round {round}"
            );
        }
        assert!(
            house.attempts("primary") >= 9,
            "it is tried each time: {}",
            house.attempts("primary")
        );
        assert_eq!(house.metric(&["jumpseat_breaker_opened_total", "primary/alpha"]), 0.0);
        // With nobody left the client is told what is wrong, in its own shape.
        house.always("second", &says("nor here"));
        let reply = house.call(&with_schema(stream)).await;
        assert_eq!(reply.status, 502, "{reply:?}");
        assert!(
            reply.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("not valid JSON"),
            "{reply:?}"
        );
        assert!(!String::from_utf8_lossy(&reply.body).contains("nor here"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_leave_to_degrade_the_reason_is_told() {
    for stream in [false, true] {
        let house = House::new(
            &NAMES,
            &poor("openai_chat", "", "tiers: [{ targets: [primary/alpha] }]"),
        );
        let reply = house.call(&with_tools(stream)).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        let message = reply.told().message;
        assert!(message.contains("cannot do tools"), "{message}");
        assert_eq!(house.attempts("primary"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_words_cannot_replace_is_never_degraded() {
    let house = House::new(&NAMES, &poor("openai_chat", "", ALONE));
    let mut body = with_tools(false);
    body["messages"][0]["content"] =
        json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]);
    let reply = house.call(&body).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.told().message.contains("vision"), "{reply:?}");
    assert_eq!(house.attempts("primary"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_can_comes_before_one_that_must_be_asked_in_words() {
    let house = House::new(&NAMES, &poor("openai_chat", "", BACKED));
    let reply = house.call(&with_tools(false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{reply:?}");
    assert_eq!(reply.header("x-jumpseat-degraded"), "");
}

#[tokio::test(start_paused = true)]
async fn a_form_that_a_dialect_cannot_be_held_to_is_checked() {
    let route = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
    let yaml = format!(
        "providers:\n{}{}routes:\n  chat:\n{}",
        provider("primary", "anthropic_messages"),
        provider("second", "openai_chat"),
        indent(route, 4)
    );
    let mut body = chat("chat", false);
    body["response_format"] = json!({"type": "json_object"});
    // What the first says, once and then again; who answers and with what.
    for (first, then, target, content) in [
        (r#"{"a":1}"#, "", "primary/alpha", r#"{"a":1}"#),
        ("```json\n{\"a\":1}\n```", "", "primary/alpha", r#"{"a":1}"#),
        ("Sorry", r#"{"a":2}"#, "primary/alpha", r#"{"a":2}"#),
        ("[1]", "Sorry", "second/beta", r#"{"b":1}"#),
    ] {
        let house = House::new(&["primary", "second"], &yaml);
        house.steps("primary", &[&says(first)], &says(then));
        house.always("second", &says(r#"{"b":1}"#));
        let reply = house.call(&body).await;
        assert_eq!(reply.header("x-jumpseat-target"), target, "{first}: {reply:?}");
        assert_eq!(reply.text(), content, "{first}");
        assert_eq!(reply.header("x-jumpseat-degraded"), "", "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_in_words_is_shown_whole() {
    let house = House::new(&NAMES, &poor("openai_chat", "", ALONE));
    let long = json!({"n": 7, "x": "y".repeat(1_500_000)}).to_string();
    house.always("primary", &says(&long));
    let mut body = chat("chat", true);
    body["response_format"] = json!({"type": "json_object"});
    let reply = house.call(&body).await;
    assert_eq!(
        reply.heard().text,
        long,
        "more than may precede a stream's first content"
    );
    assert_eq!(reply.heard().finish.as_deref(), Some("stop"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_words_that_breaks_or_stalls_late_is_replaced_unseen() {
    for (fault, reason) in [
        ("cut-5", "stream_broken"),
        ("stall-5", "timeout"),
        ("no-terminator", "stream_broken"),
    ] {
        let house = House::new(&["primary", "second"], &two_poor());
        house.always("primary", fault);
        house.always("second", &says(r#"{"n":1}"#));
        let reply = house.call(&with_schema(true)).await;
        assert_eq!(reply.status, 200, "{fault}: {reply:?}");
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{fault}");
        assert_eq!(reply.header("x-jumpseat-fallback-reason"), reason, "{fault}");
        assert_eq!(reply.heard().text, r#"{"n":1}"#, "{fault}");
    }
}

/// Two tiers whose models lack everything.
fn two_poor() -> String {
    let poor_model = |model: &str| format!(", models: {{ {model}: {{ features: [] }} }}");
    format!(
        "providers:\n{}{}routes:\n  chat:\n{}",
        provider_with("primary", "openai_chat", &poor_model("alpha")),
        provider_with("second", "anthropic_messages", &poor_model("beta")),
        indent(BACKED, 4)
    )
}

#[tokio::test(start_paused = true)]
async fn a_translated_call_asks_for_no_more_than_its_target_gives() {
    for dialect in ["anthropic_messages", "gemini"] {
        for stream in [false, true] {
            let yaml = format!(
                "providers:\n{}routes:\n  chat:\n    tiers: [{{ targets: [primary/alpha] }}]\n",
                provider_with("primary", dialect, ", models: { alpha: { max_output: 500 } }")
            );
            let house = House::new(&["primary"], &yaml);
            for (asked, sent, dropped) in [(128_000, 500, "max_tokens"), (500, 500, ""), (20, 20, "")] {
                let mut body = chat("chat", stream);
                body["max_tokens"] = json!(asked);
                let reply = house.call(&body).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                assert_eq!(reply.header("x-jumpseat-dropped"), dropped, "{asked} at {dialect}");
                let body = house.entries("primary").pop().unwrap().body;
                let limit = if dialect == "gemini" {
                    &body["generationConfig"]["maxOutputTokens"]
                } else {
                    &body["max_tokens"]
                };
                assert_eq!(*limit, json!(sent), "{asked} at {dialect}: {body}");
            }
        }
    }
}
