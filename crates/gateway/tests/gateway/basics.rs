//! A call's plain way through the house.

use serde_json::json;

use crate::house::House;

/// Three providers, one of each dialect, and a route through all of them.
pub const THREE: &str = r#"
providers:
  primary: { dialect: openai_chat, base_url: "http://primary.test/v1", api_key: secret-primary }
  second:  { dialect: anthropic_messages, base_url: "http://second.test", api_key: secret-second }
  third:   { dialect: gemini, base_url: "http://third.test", api_key: secret-third }
routes:
  chat:
    tiers:
      - targets: [primary/alpha]
      - targets: [second/beta]
      - targets: [third/gamma]
"#;

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_by_its_first_target_and_says_who_it_was() {
    let house = House::new(&["primary", "second", "third"], THREE);
    let reply = house
        .call(&json!({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!reply.text().is_empty());
    assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha");
    assert_eq!(reply.header("x-jumpseat-route"), "chat");
    assert_eq!(reply.header("x-jumpseat-tier"), "1");
    assert_eq!(reply.header("x-jumpseat-attempts"), "1");
    assert_eq!(reply.header("x-jumpseat-call-id"), reply.header("x-request-id"));
    assert_eq!(house.attempts("primary"), 1);
    let lines = house.log_lines("call").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["outcome"], "success");
    assert_eq!(lines[0]["request_id"], reply.header("x-jumpseat-call-id"));
    assert!(lines[0]["input_tokens"].as_u64() > Some(0));
}

#[tokio::test(start_paused = true)]
async fn every_dialect_answers_whole_and_streamed_in_the_clients_own() {
    for (model, streamed) in [
        ("primary/alpha", false),
        ("primary/alpha", true),
        ("second/beta", false),
        ("second/beta", true),
        ("third/gamma", false),
        ("third/gamma", true),
    ] {
        let house = House::new(&["primary", "second", "third"], THREE);
        let body = json!({"model": model, "stream": streamed, "messages": [{"role": "user", "content": "Hello"}]});
        let reply = house.call(&body).await;
        assert_eq!(reply.status, 200, "{model} {streamed}: {reply:?}");
        if streamed {
            let heard = reply.heard();
            assert!(heard.done && heard.text.len() > 50, "{model}: {heard:?}");
            assert_eq!(heard.finish.as_deref(), Some("stop"));
            assert_eq!(heard.ids.len(), 1, "one id for one answer");
        } else {
            assert!(reply.text().len() > 50, "{model}: {reply:?}");
        }
        assert_eq!(reply.header("x-jumpseat-target"), model);
    }
}
