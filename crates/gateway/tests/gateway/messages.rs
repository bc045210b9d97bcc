//! What is Anthropic's own on the Messages ingress: token counts, versions, betas, signatures of thinking.

use http::Method;
use serde_json::{Value, json};

use crate::house::{DIALECTS, House, NAMES, Reply, chat, provider, provider_with, three};
use crate::ingress::Ingress;

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

async fn ask(house: &House, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let reply = house.send(Method::POST, path, headers, body.to_string().into()).await;
    Reply {
        ingress: Ingress::Messages,
        ..reply
    }
}

fn thinking(model: &str, messages: Value) -> Value {
    json!({"model": model, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}, "messages": messages})
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_by_the_provider_where_it_can_and_estimated_and_marked_where_not() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, ROUTE));
        let body = json!({"model": "chat", "messages": [{"role": "user", "content": "Hello, how are you today?"}]});
        let reply = ask(&house, "/v1/messages/count_tokens", &[VERSION], &body).await;
        assert_eq!(reply.status, 200, "{dialect}: {reply:?}");
        assert!(reply.json()["input_tokens"].as_u64() > Some(0), "{dialect}: {reply:?}");
        assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{dialect}");
        let exact = ["anthropic_messages", "gemini"].contains(&dialect);
        let marked = if exact { "" } else { "true" };
        assert_eq!(reply.header("x-jumpseat-estimated"), marked, "{dialect}");
        assert_eq!(house.attempts("primary"), usize::from(exact), "{dialect}");
        if exact {
            let path = &house.entries("primary")[0].path;
            assert!(
                path.contains("count_tokens") || path.contains(":countTokens"),
                "{dialect}: {path}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_falls_back_like_any_other_call() {
    let house = House::new(&NAMES, &three("anthropic_messages", ROUTE));
    house.always("primary", "503");
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]});
    let reply = ask(&house, "/v1/messages/count_tokens", &[VERSION], &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("x-jumpseat-target"), "second/beta");
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "overloaded");
    assert!(reply.json()["input_tokens"].as_u64() > Some(0));
}

#[tokio::test(start_paused = true)]
async fn both_versions_are_served_and_others_and_none_are_refused() {
    let body = |more: Value| {
        let mut body = json!({"model": "chat", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let plain = body(json!({}));
    let warm = body(json!({"temperature": 0.5}));
    let rows: &[(&[(&str, &str)], &Value, u16)] = &[
        (&[VERSION], &plain, 200),
        (&[VERSION], &warm, 200),
        (&[("anthropic-version", "2026-10-21")], &plain, 200),
        // The newer version has no sampling parameters.
        (&[("anthropic-version", "2026-10-21")], &warm, 400),
        (&[("anthropic-version", "2022-01-01")], &plain, 400),
        (&[], &plain, 400),
    ];
    for dialect in ["anthropic_messages", "openai_chat"] {
        for (headers, body, status) in rows {
            let name = format!("{headers:?} {body} at {dialect}");
            let house = House::new(&NAMES, &three(dialect, ROUTE));
            let reply = ask(&house, "/v1/messages", headers, body).await;
            assert_eq!(reply.status, *status, "{name}: {reply:?}");
            assert_eq!(house.attempts("primary"), usize::from(*status == 200), "{name}");
            if *status == 200 && dialect == "anthropic_messages" {
                let sent = &house.entries("primary")[0].headers["anthropic-version"];
                assert_eq!(sent, headers[0].1, "{name}: the client's own");
            }
            if *status == 400 {
                assert_eq!(reply.told().word, "invalid_request_error", "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn betas_go_to_a_provider_of_the_dialect_and_to_no_other() {
    let beta = (
        "anthropic-beta",
        "context-1m-2025-08-07,interleaved-thinking-2025-05-14",
    );
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(Ingress::Messages);
        let reply = house.call_with(&chat("chat", false), &[beta]).await;
        assert_eq!(reply.status, 200, "{dialect}: {reply:?}");
        let sent = house.entries("primary")[0].headers.get("anthropic-beta").cloned();
        let wanted = (dialect == "anthropic_messages").then(|| beta.1.to_owned());
        assert_eq!(sent, wanted, "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_operators_beta_and_the_clients_stand_in_one_list() {
    let yaml = three("anthropic_messages", ROUTE).replace(
        "api_key: secret-primary",
        "api_key: secret-primary, headers: { anthropic-beta: ours-1 }",
    );
    let house = House::new(&NAMES, &yaml).asked_in(Ingress::Messages);
    house
        .call_with(&chat("chat", false), &[("anthropic-beta", "theirs-1,ours-1")])
        .await;
    assert_eq!(house.entries("primary")[0].headers["anthropic-beta"], "ours-1,theirs-1");
}

#[tokio::test(start_paused = true)]
async fn thinking_that_another_model_signed_comes_back_to_it_and_reaches_no_other() {
    let yaml = format!(
        "providers:\n{}{}routes: {{}}\n",
        provider("primary", "anthropic_messages"),
        provider_with("second", "openai_responses", ", models: { beta: { reasoning: true } }")
    );
    let house = House::new(&["primary", "second"], &yaml);
    house.always("second", "reasoning");
    let hello = json!({"role": "user", "content": "Hello"});
    let first = ask(
        &house,
        "/v1/messages",
        &[VERSION],
        &thinking("second/beta", json!([hello])),
    )
    .await;
    assert_eq!(first.status, 200, "{first:?}");
    let content = first.json()["content"].clone();
    let sealed = content[0]["signature"]
        .as_str()
        .or(content[0]["data"].as_str())
        .unwrap_or_default();
    assert!(sealed.starts_with("jumpseat:"), "{content}");

    let turns = json!([hello, {"role": "assistant", "content": content}, {"role": "user", "content": "And now?"}]);
    let beta = ("anthropic-beta", "interleaved-thinking-2025-05-14");
    let reply = ask(
        &house,
        "/v1/messages",
        &[VERSION, beta],
        &thinking("primary/alpha", turns.clone()),
    )
    .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let sent = house.entries("primary").remove(0);
    let text = String::from_utf8_lossy(&sent.raw_body).into_owned();
    assert!(!text.contains("jumpseat:") && text.contains("And now?"), "{text}");
    assert_eq!(sent.headers["anthropic-version"], "2023-06-01");
    assert!(
        sent.headers["anthropic-beta"].contains(beta.1),
        "written anew, and its headers still sent"
    );
    assert!(
        reply.header("x-jumpseat-dropped").contains("thinking")
            || reply.header("x-jumpseat-dropped").contains("reasoning"),
        "{reply:?}"
    );

    let reply = ask(&house, "/v1/messages", &[VERSION], &thinking("second/beta", turns)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let sent = &house.entries("second")[1].body;
    let reasoning = sent["input"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["type"] == "reasoning");
    assert!(
        reasoning.is_some_and(|item| item["encrypted_content"].is_string()),
        "{sent}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_its_id_under_the_name_that_the_sdks_read() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE)).asked_in(Ingress::Messages);
    for fault in ["ok", "400"] {
        house.always("primary", fault);
        let reply = house.call(&chat("chat", false)).await;
        let id = reply.header("x-jumpseat-call-id");
        assert!(!id.is_empty());
        assert_eq!(
            (reply.header("request-id"), reply.header("x-request-id")),
            (id, id),
            "{fault}"
        );
        if fault == "400" {
            assert_eq!(reply.json()["request_id"], id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_asked_for_under_the_clients_own_version_and_betas() {
    let yaml = format!(
        "providers:\n{}{}routes:\n  chat:\n    on_stream_failure: resume\n    tiers: [{{ targets: [primary/alpha] }}, {{ targets: [second/beta] }}]\n",
        provider("primary", "anthropic_messages"),
        provider("second", "anthropic_messages"),
    );
    let house = House::new(&["primary", "second"], &yaml).asked_in(Ingress::Messages);
    house.always("primary", "cut-20");
    let beta = ("anthropic-beta", "context-1m-2025-08-07");
    let reply = house.call_with(&chat("chat", true), &[beta]).await;
    let heard = reply.heard();
    assert!(heard.done && heard.error.is_none(), "{heard:?}");
    assert_eq!(heard.ids.len(), 1, "{heard:?}");
    let sent = &house.entries("second")[0].headers;
    assert_eq!(sent["anthropic-version"], VERSION.1);
    assert!(sent["anthropic-beta"].contains(beta.1), "{sent:?}");
}
