//! Calls that not every target can take: windows, content policy, what a dialect cannot say.

use serde_json::json;

use crate::framing::no_counterpart;
use crate::house::{DIALECTS, House, NAMES, after, chat, indent, provider_with, three};
use crate::ingress::sample;

/// Three targets with the windows given.
fn windows(dialect: &str, sizes: [Option<u64>; 3], keys: &str) -> String {
    let model = ["alpha", "beta", "gamma"];
    let providers: String = (0..3)
        .map(|n| {
            let more = match sizes[n] {
                Some(size) => format!(", models: {{ {}: {{ context_window: {size} }} }}", model[n]),
                None => String::new(),
            };
            provider_with(NAMES[n], after(dialect, n), &more)
        })
        .collect();
    let route = format!(
        "{keys}\ntiers: [{{ targets: [primary/alpha] }}, {{ targets: [second/beta] }}, {{ targets: [third/gamma] }}]"
    );
    format!("providers:\n{providers}routes:\n  chat:\n{}", indent(&route, 4))
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_goes_only_to_a_larger_window() {
    for (ingress, dialect) in sample() {
        for stream in [false, true] {
            // Windows; then who serves (or nobody), and the attempts at each.
            for (sizes, served, attempts) in [
                ([Some(8_000), Some(8_000), Some(200_000)], "third/gamma", [1, 0, 1]),
                ([Some(8_000), Some(128_000), Some(200_000)], "second/beta", [1, 1, 0]),
                ([Some(8_000), Some(4_000), Some(8_000)], "", [1, 0, 0]),
                ([Some(8_000), None, None], "", [1, 0, 0]),
                ([None, Some(1_000_000), None], "", [1, 0, 0]),
            ] {
                let name = format!("{sizes:?} at {dialect} {ingress:?}, stream {stream}");
                let house = House::new(&NAMES, &windows(dialect, sizes, "")).asked_in(ingress);
                house.always("primary", "context-too-long");
                let reply = house.call(&chat("chat", stream)).await;
                if served.is_empty() {
                    assert_eq!(reply.status, 400, "{name}: {reply:?}");
                    assert_eq!(reply.told().word, ingress.word("context_length_exceeded"), "{name}");
                    assert_eq!(reply.header("x-should-retry"), "false", "{name}");
                } else {
                    assert_eq!(reply.status, 200, "{name}: {reply:?}");
                    assert_eq!(reply.header("x-jumpseat-target"), served, "{name}");
                    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "context_too_long", "{name}");
                }
                assert_eq!(NAMES.map(|n| house.attempts(n)), attempts, "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_known_to_be_too_long_is_not_even_sent() {
    let house = House::new(&NAMES, &windows("openai_chat", [Some(1_000), Some(100_000), None], ""));
    let mut body = chat("chat", false);
    body["messages"][0]["content"] = json!("word ".repeat(4_000));
    let reply = house.call(&body).await;
    assert_eq!(reply.header("x-jumpseat-target"), "second/beta");
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "context_window");
    assert_eq!(house.attempts("primary"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_trips_no_breaker() {
    let house = House::new(
        &NAMES,
        &three(
            "openai_chat",
            "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]",
        ),
    );
    for fault in ["context-too-long", "400", "content-filter"] {
        house.always("primary", fault);
        for _ in 0..5 {
            assert_eq!(house.call(&chat("chat", false)).await.status, 400);
        }
    }
    house.always("primary", "ok");
    assert_eq!(
        house.call(&chat("chat", false)).await.header("x-jumpseat-target"),
        "primary/alpha"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_policy_goes_to_another_provider_only_when_the_route_says_so() {
    for (ingress, dialect) in sample() {
        if dialect == "ollama_chat" {
            continue; // filters nothing
        }
        for stream in [false, true] {
            for fallback in [false, true] {
                let name = format!("{dialect} {ingress:?}, stream {stream}, fallback {fallback}");
                let keys = if fallback { "on_content_filter: fallback" } else { "" };
                let house = House::new(&NAMES, &windows(dialect, [None; 3], keys)).asked_in(ingress);
                house.always("primary", "content-filter");
                let reply = house.call(&chat("chat", stream)).await;
                assert_eq!(house.attempts("primary"), 1, "{name}: never again at the same");
                if dialect == "bedrock_converse" && (!fallback || stream) {
                    // Its guardrail's answer is the client's, marked: in a stream its text comes before the reason, and commits.
                    assert_eq!(reply.status, 200, "{name}: {reply:?}");
                    assert_eq!(
                        house.log_lines("call").await[0]["outcome"],
                        "content_filtered",
                        "{name}"
                    );
                } else if fallback {
                    assert_eq!(reply.status, 200, "{name}: {reply:?}");
                    assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{name}");
                    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "content_filtered", "{name}");
                } else {
                    assert_eq!(reply.status, 400, "{name}: {reply:?}");
                    assert_eq!(reply.told().word, ingress.word("content_filter"), "{name}");
                    assert_eq!((house.attempts("second"), house.attempts("third")), (0, 0), "{name}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_filter_ended_is_given_as_it_is_and_marked() {
    for dialect in DIALECTS {
        if no_counterpart(dialect, "content-filter-finish").is_some() {
            continue;
        }
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let house = House::new(&NAMES, &windows(dialect, [None; 3], ""));
            house.always("primary", "content-filter-finish");
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            let finish = if stream {
                reply.heard().finish.unwrap()
            } else {
                reply.json()["choices"][0]["finish_reason"].as_str().unwrap().to_owned()
            };
            assert_eq!(finish, "content_filter", "{name}");
            assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 0), "{name}");
            let line = &house.log_lines("call").await[0];
            assert_eq!(line["outcome"], "content_filtered", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_filter_ended_is_replaced_where_the_route_says_so() {
    for dialect in DIALECTS {
        if no_counterpart(dialect, "content-filter-finish").is_some() {
            continue;
        }
        let house = House::new(&NAMES, &windows(dialect, [None; 3], "on_content_filter: fallback"));
        house.always("primary", "content-filter-finish");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{dialect}: {reply:?}");
        // A stream whose first words are out can only end as the provider ended it.
        let reply = house.call(&chat("chat", true)).await;
        assert_eq!(reply.heard().finish.as_deref(), Some("content_filter"), "{dialect}");
        // Held back, none of its words are.
        let keys = "on_content_filter: fallback\non_stream_failure: { hold_back: 64KB }";
        let house = House::new(&NAMES, &windows(dialect, [None; 3], keys));
        house.always("primary", "content-filter-finish");
        let reply = house.call(&chat("chat", true)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{dialect}: {reply:?}");
        assert_eq!(reply.heard().finish.as_deref(), Some("stop"), "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dialect_cannot_say_goes_to_one_that_can_or_is_refused() {
    let mut body = chat("chat", false);
    body["n"] = json!(2);
    let house = House::new(&NAMES, &windows("anthropic_messages", [None; 3], ""));
    let reply = house.call(&body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_ne!(reply.header("x-jumpseat-target"), "primary/alpha");
    assert_eq!(house.attempts("primary"), 0, "never fanned out in silence");
    assert_eq!(reply.json()["choices"].as_array().unwrap().len(), 2);

    let house = House::new(
        &NAMES,
        &three("anthropic_messages", "tiers: [{ targets: [primary/alpha] }]"),
    );
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let reply = house.call(&body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(reply.json()["error"]["code"], "unsupported_parameter");
        assert_eq!(house.attempts("primary"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_translation_leaves_out_is_said() {
    let house = House::new(
        &NAMES,
        &three("anthropic_messages", "tiers: [{ targets: [primary/alpha] }]"),
    );
    for stream in [false, true] {
        let mut body = chat("chat", stream);
        body["seed"] = json!(7);
        body["logit_bias"] = json!({"50256": -100});
        let reply = house.call(&body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let dropped = reply.header("x-jumpseat-dropped");
        assert!(dropped.contains("seed") && dropped.contains("logit_bias"), "{dropped}");
    }
    let lines = house.log_lines("call").await;
    assert!(lines[0]["dropped"].as_str().unwrap().contains("seed"));
}
