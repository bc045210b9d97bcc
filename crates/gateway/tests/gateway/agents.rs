//! What coding agents send with every call, whether the target has a word for it or not, and what comes back from them
//! after another provider has answered in between.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::house::{House, Reply};

const PROVIDERS: &str = r#"
providers:
  claude: { dialect: anthropic_messages, base_url: "http://claude.test", api_key: secret-claude }
  gpt:    { dialect: openai_responses, base_url: "http://gpt.test/v1", api_key: secret-gpt }
  plain:
    dialect: openai_chat
    base_url: "http://plain.test/v1"
    api_key: secret-plain
    models: { small: { features: [tools], max_output: 1000 } }
routes:
  thrifty: { tiers: [{ targets: [plain/small] }] }
  spare: { tiers: [{ targets: [claude/claude-opus-5-5] }, { targets: [plain/small] }] }
"#;

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn house() -> House {
    House::new(&["claude", "gpt", "plain"], PROVIDERS)
}

fn messages(model: &str) -> Value {
    json!({"model": model, "max_tokens": 32000, "messages": [{"role": "user", "content": "Hello"}]})
}

async fn ask(house: &House, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let reply = house
        .send(Method::POST, path, headers, Bytes::from(body.to_string()))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

#[tokio::test(start_paused = true)]
async fn the_names_of_betas_follow_the_fields_they_are_about() {
    let house = house();
    let betas = [VERSION, ("anthropic-beta", "one,two"), ("anthropic-beta", "two, three")];
    let body = messages("claude/claude-opus-5-5");
    ask(&house, "/v1/messages?beta=true", &betas, &body).await;
    // Written anew, because another provider thought in between.
    let mut later = body.clone();
    later["context_management"] = json!({"edits": []});
    later["messages"] = json!([
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "jumpseat:unsigned:"},
            {"type": "text", "text": "Hello."},
        ]},
        {"role": "user", "content": "Go on."},
    ]);
    let reply = ask(&house, "/v1/messages", &betas, &later).await;
    assert_eq!(reply.header("x-jumpseat-dropped"), "reasoning");
    for entry in house.entries("claude") {
        assert_eq!(entry.headers["anthropic-beta"], "one,two,three");
        assert_eq!(entry.headers["anthropic-version"], "2023-06-01");
    }
    assert_eq!(
        house.entries("claude")[1].body["context_management"],
        json!({"edits": []})
    );

    let mut elsewhere = body;
    elsewhere["model"] = json!("plain/small");
    ask(&house, "/v1/messages", &betas, &elsewhere).await;
    assert!(!house.entries("plain")[0].headers.contains_key("anthropic-beta"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_think_is_asked_without_when_the_client_leaves_it_to_the_model() {
    let house = house();
    let mut body = messages("thrifty");
    body["thinking"] = json!({"type": "adaptive"});
    body["output_config"] = json!({"effort": "high"});
    let reply = ask(&house, "/v1/messages", &[VERSION], &body).await;
    assert!(
        reply.header("x-jumpseat-dropped").contains("reasoning_effort"),
        "{reply:?}"
    );
    assert!(house.entries("plain")[0].body.get("reasoning_effort").is_none());

    body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
    let reply = house
        .send(Method::POST, "/v1/messages", &[VERSION], body.to_string().into())
        .await;
    assert_eq!(reply.status, 400, "an explicit budget is no offer: {reply:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_gives_less_than_agents_ask_for_still_takes_over() {
    let house = house();
    house.always("claude", "insufficient-quota");
    let reply = ask(&house, "/v1/messages", &[VERSION], &messages("spare")).await;
    assert_eq!(reply.header("x-jumpseat-target"), "plain/small");
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "quota_exhausted");
}

#[tokio::test(start_paused = true)]
async fn what_others_thought_is_not_shown_to_openai() {
    let house = house();
    house.always("plain", "reasoning");
    house.always("claude", "reasoning");
    for model in ["plain/small", "claude/claude-opus-5-5"] {
        let mut input = vec![json!({"type": "message", "role": "user", "content": "Hello"})];
        let asked = json!({"model": model, "input": input, "store": false, "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"]});
        let answer = ask(&house, "/v1/responses", &[], &asked).await.json();
        let items = answer["output"].as_array().unwrap().clone();
        assert_eq!(items[0]["type"], "reasoning", "{answer}");
        input.extend(items);
        input.push(json!({"type": "message", "role": "user", "content": "Go on."}));
        let asked = json!({"model": "gpt/gpt-5.5", "input": input, "store": false});
        let reply = ask(&house, "/v1/responses", &[], &asked).await;
        assert_eq!(reply.header("x-jumpseat-dropped"), "reasoning", "after {model}");
        let sent = house.entries("gpt").last().unwrap().body["input"].clone();
        let kinds: Vec<_> = sent
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["type"].clone())
            .collect();
        assert_eq!(kinds, ["message", "message", "message"]);
    }
}
