//! Answers that are kept and given again, single flight, and what is never kept.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, NAMES, Reply, chat, three};
use crate::ingress::{Ingress, in_every_dialect, sample};

const KEPT: &str = "cache: { exact: { ttl: 10m, stale_ttl: 1h } }\ntiers: [{ targets: [primary/alpha] }]";
const BACKED: &str = "cache: { exact: { ttl: 10m, stale_ttl: 1h } }\non_all_failed: cached\n\
                      tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
const MINUTE: Duration = Duration::from_secs(60);

/// A question that is the same in every dialect.
fn ask(text: &str, stream: bool) -> Value {
    json!({"model": "chat", "stream": stream, "max_tokens": 300, "messages": [{"role": "user", "content": text}]})
}

fn house(dialect: &str, route: &str) -> House {
    House::new(&NAMES, &three(dialect, route))
}

fn said(reply: &Reply, stream: bool) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.complete, "{reply:?}");
    if !stream {
        return reply.text();
    }
    let heard = reply.heard();
    assert!(heard.done && heard.error.is_none(), "{heard:?}");
    heard.text
}

fn status(reply: &Reply) -> &str {
    reply.header("x-jumpseat-cache")
}

/// Calls go on a moment after their answers.
async fn settle() {
    sleep(Duration::from_millis(5)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_again_in_every_dialect_whole_and_as_a_stream() {
    for (first, dialect) in sample() {
        for first_stream in [false, true] {
            let mut house = house(dialect, KEPT).asked_in(first);
            let reply = house.call(&ask("Hello", first_stream)).await;
            let text = said(&reply, first_stream);
            assert!(text.contains("Answer of alpha"), "{text}");
            assert_eq!(status(&reply), "miss");
            settle().await;
            for ingress in Ingress::ALL {
                for stream in [false, true] {
                    let name = format!("{first:?} {first_stream} at {dialect}, then {ingress:?} {stream}");
                    house = house.asked_in(ingress);
                    let again = house.call(&ask("Hello", stream)).await;
                    assert_eq!(said(&again, stream), text, "{name}");
                    assert_eq!((status(&again), again.header("age")), ("hit", "0"), "{name}");
                    assert_eq!(again.header("x-jumpseat-target"), "primary/alpha", "{name}");
                    assert_eq!(again.header("x-jumpseat-attempts"), "0", "{name}");
                    assert_eq!(again.header("x-jumpseat-cost-usd"), "0", "{name}");
                    assert_ne!(again.header("x-jumpseat-call-id"), reply.header("x-jumpseat-call-id"));
                    let usage = match stream {
                        // Chat must ask for it.
                        true if ingress == Ingress::Chat => continue,
                        true => again.heard().usage.map(|usage| ingress.counts(&usage)),
                        false => ingress.usage(&again.json()),
                    };
                    let (_, output, _) = usage.unwrap_or_else(|| panic!("{name}: no usage"));
                    assert!(output > 0, "{name}");
                }
            }
            assert_eq!(house.attempts("primary"), 1, "{first:?} at {dialect}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_kept_answer_tells_who_gave_it_where_bodies_tell() {
    let route = format!("response_metadata: body\n{BACKED}");
    for ingress in Ingress::ALL {
        for stream in [false, true] {
            let name = format!("{ingress:?} {stream}");
            let house = house("openai_chat", &route).asked_in(ingress);
            let mut told = Vec::new();
            for step in ["miss", "hit", "stale"] {
                if step == "stale" {
                    sleep(20 * MINUTE).await;
                    house.always("primary", "overloaded");
                    house.always("second", "overloaded");
                }
                let reply = house.call(&ask("Hello", stream)).await;
                assert!(said(&reply, stream).contains("Answer of alpha"), "{name}");
                assert_eq!(status(&reply), step, "{name}");
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                assert_eq!(text.matches("\"jumpseat\":").count(), 1, "{name}, {step}: {text}");
                let (_, after) = text.split_once("\"jumpseat\":").unwrap();
                let mut read = serde_json::Deserializer::from_str(after).into_iter::<Value>();
                let object = read.next().unwrap().unwrap();
                assert_eq!(object["call_id"], reply.header("x-jumpseat-call-id"), "{name}, {step}");
                assert_eq!((&object["cache"], &object["tier"]), (&json!(step), &json!(1)), "{name}");
                assert_eq!(object["target"], "primary/alpha", "{name}, {step}");
                told.push(object);
                settle().await;
            }
            assert_eq!(
                (&told[1]["attempts"], &told[1]["cost_usd"]),
                (&json!(0), &json!("0")),
                "{name}"
            );
            assert!(told[2]["fallback_reason"].is_string(), "{name}: {}", told[2]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_given_again_as_several_events() {
    let house = house("openai_chat", KEPT);
    house.always("primary", r#"{"tokens": 100}"#);
    house.call(&ask("Hello", false)).await;
    settle().await;
    let mut running = house.begin(&ask("Hello", true), &[]).await;
    let mut pieces = 0;
    while let Some(piece) = running.piece().await {
        piece.unwrap();
        pieces += 1;
    }
    assert!(pieces > 5, "{pieces}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_same_is_asked() {
    let house = house("openai_chat", KEPT);
    let bodies = [
        ask("Hello", false),
        ask("Hello?", false),
        json!({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}),
        json!({"model": "chat", "temperature": 0.3, "max_tokens": 300, "messages": [{"role": "user", "content": "Hello"}]}),
        json!({"model": "chat", "invented": 1, "max_tokens": 300, "messages": [{"role": "user", "content": "Hello"}]}),
        // The same target named directly is another route, which keeps nothing here.
        json!({"model": "primary/alpha", "max_tokens": 300, "messages": [{"role": "user", "content": "Hello"}]}),
    ];
    for body in &bodies {
        assert_ne!(status(&house.call(body).await), "hit", "{body}");
        settle().await;
    }
    assert_eq!(house.attempts("primary"), bodies.len());
    for body in &bodies[..5] {
        assert_eq!(status(&house.call(body).await), "hit", "{body}");
    }
    assert_eq!(status(&house.call(&bodies[5]).await), "");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_fresh_for_its_time_and_then_asked_for_anew() {
    let house = house("openai_chat", KEPT);
    house.call(&ask("Hello", false)).await;
    sleep(9 * MINUTE).await;
    let reply = house.call(&ask("Hello", false)).await;
    assert_eq!((status(&reply), reply.header("age")), ("hit", "540"));
    sleep(2 * MINUTE).await;
    assert_eq!(status(&house.call(&ask("Hello", false)).await), "miss");
    settle().await;
    let reply = house.call(&ask("Hello", false)).await;
    assert_eq!((status(&reply), reply.header("age")), ("hit", "0"));
    assert_eq!(house.attempts("primary"), 2);
}

async fn a_client_has_its_way(ingress: Ingress) {
    let house = house("openai_chat", KEPT).asked_in(ingress);
    let with = async |wish: &str| {
        let reply = house
            .call_with(&ask("Hello", false), &[("x-jumpseat-cache", wish)])
            .await;
        settle().await;
        (
            reply.status.as_u16(),
            status(&reply).to_owned(),
            house.attempts("primary"),
        )
    };
    let refused = house
        .call_with(&ask("Hello", true), &[("x-jumpseat-cache", "only")])
        .await;
    assert_eq!(refused.status, 504, "{refused:?}");
    assert_eq!(refused.header("x-should-retry"), "false");
    assert!(
        refused.told().message.contains("no answer to this request is kept"),
        "{refused:?}"
    );
    let wrong = house
        .call_with(&ask("Hello", false), &[("x-jumpseat-cache", "maybe")])
        .await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.told().message.contains("none of `off`, `only` and `refresh`"),
        "{wrong:?}"
    );
    assert_eq!(with("off").await, (200, "".into(), 1));
    assert_eq!(with("only").await.0, 504, "nothing was kept");
    assert_eq!(with("refresh").await, (200, "miss".into(), 2));
    assert_eq!(with("only").await, (200, "hit".into(), 2));
    assert_eq!(with("refresh").await, (200, "miss".into(), 3));
    assert_eq!(with("off").await, (200, "".into(), 4));
    // Past its time it is given to those who want nothing else.
    sleep(11 * MINUTE).await;
    assert_eq!(with("only").await, (200, "stale".into(), 4));
    sleep(61 * MINUTE).await;
    assert_eq!(with("only").await.0, 504);
}
in_every_dialect!(a_client_has_its_way);

#[tokio::test(start_paused = true)]
async fn what_should_not_be_given_twice_is_not_kept() {
    let tools = |stream: bool| {
        let mut body = ask("Hello", stream);
        body["tools"] =
            json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
        body
    };
    let rows: [(&str, fn(bool) -> Value, &str); 7] = [
        (r#"{"finish": "length"}"#, |stream| ask("Hello", stream), "truncated"),
        ("content-filter-finish", |stream| ask("Hello", stream), "filtered"),
        ("tools", tools, "tool_calls"),
        ("overloaded", |stream| ask("Hello", stream), ""),
        ("content-filter", |stream| ask("Hello", stream), ""),
        ("wrong-key", |stream| ask("Hello", stream), ""),
        ("html", |stream| ask("Hello", stream), ""),
    ];
    for dialect in ["openai_chat", "anthropic_messages", "gemini"] {
        for (behaviour, body, why) in rows {
            for stream in [false, true] {
                let name = format!("{behaviour} at {dialect}, stream {stream}");
                let house = house(dialect, KEPT);
                house.always("primary", behaviour);
                house.call(&body(stream)).await;
                settle().await;
                house.always("primary", "ok");
                let reply = house.call_with(&body(stream), &[("x-jumpseat-cache", "only")]).await;
                assert_eq!(reply.status, 504, "{name}: {reply:?}");
                if !why.is_empty() {
                    let counted = house.metric(&["jumpseat_cache_kept_total", &format!("result=\"{why}\"")]);
                    assert_eq!(counted, 1.0, "{name}: {}", house.metrics());
                }
            }
        }
    }
    for cut in ["cut-3", "error-3"] {
        let house = house("openai_chat", KEPT);
        house.always("primary", cut);
        let broken = house.call(&ask("Hello", true)).await;
        assert!(broken.heard().error.is_some(), "{broken:?}");
        settle().await;
        let reply = house
            .call_with(&ask("Hello", true), &[("x-jumpseat-cache", "only")])
            .await;
        assert_eq!(reply.status, 504, "{cut}: {reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_tools_are_kept_where_the_route_asks_for_it() {
    let route = "cache: { exact: { tool_calls: true } }\ntiers: [{ targets: [primary/alpha] }]";
    for dialect in ["openai_chat", "anthropic_messages", "gemini"] {
        let house = house(dialect, route);
        house.always("primary", "tools");
        let mut body = ask("Hello", false);
        body["tools"] =
            json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
        let first = house.call(&body).await.json();
        settle().await;
        let again = house.call(&body).await;
        assert_eq!(status(&again), "hit", "{dialect}");
        let calls = |answer: &Value| answer["choices"][0]["message"]["tool_calls"].clone();
        assert!(calls(&first)[0]["function"]["name"].is_string(), "{first}");
        assert_eq!(calls(&again.json()), calls(&first), "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_equal_calls_at_once_are_one_call_upstream() {
    for stream in [false, true] {
        let house = house("anthropic_messages", KEPT);
        house.always("primary", r#"{"first_token": "2s", "interval": "20ms"}"#);
        let replies = join_all((0..100).map(|_| async { house.call(&ask("Hello", stream)).await })).await;
        assert_eq!(house.attempts("primary"), 1, "stream {stream}");
        let text = said(&replies[0], stream);
        assert!(replies.iter().all(|reply| said(reply, stream) == text));
        let hits = replies.iter().filter(|reply| status(reply) == "hit").count();
        assert_eq!(hits, 99);
        assert_eq!(house.metric(&["jumpseat_cache_lookups", "waited"]), 99.0);
        assert_eq!(house.metric(&["jumpseat_cache_waiting"]), 0.0);
        let lines = house.log_lines("call").await;
        assert_eq!(lines.len(), 100);
        assert!(
            lines.iter().all(|line| line["latency_ms"].as_f64().unwrap() >= 2000.0),
            "{lines:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_breaks_or_fails_leaves_the_rest_to_one_of_them() {
    for (step, stream) in [("cut-3", true), ("overloaded", false), ("overloaded", true)] {
        let house = house("openai_chat", KEPT);
        let slow = r#"{"first_token": "1s"}"#;
        let failing = match step {
            "cut-3" => r#"{"first_token": "1s", "interval": "10ms", "cut": {"after": 3, "how": "reset"}}"#,
            _ => r#"{"delay": "1s", "status": 529}"#,
        };
        let retries = if step == "cut-3" { 1 } else { 2 };
        house.steps("primary", &vec![failing; retries], slow);
        let replies = join_all((0..50).map(|_| async { house.call(&ask("Hello", stream)).await })).await;
        let good: Vec<&Reply> = replies
            .iter()
            .filter(|reply| reply.status == 200 && !(stream && reply.heard().error.is_some()))
            .collect();
        assert_eq!(good.len(), 49, "{step} {stream}");
        assert_eq!(
            good.iter().filter(|reply| status(reply) == "hit").count(),
            48,
            "{step} {stream}"
        );
        assert_eq!(house.attempts("primary"), retries + 1, "{step} {stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lead_whose_client_leaves_leaves_the_rest_to_one_of_them() {
    for before_content in [true, false] {
        let house = house("openai_chat", KEPT);
        house.always("primary", r#"{"first_token": "1s", "interval": "50ms"}"#);
        let lead = async {
            if before_content {
                let (mut sender, task) = house.connect().await;
                let (path, _, body) = Ingress::Chat.write(&ask("Hello", true));
                let request = http::Request::builder()
                    .method(Method::POST)
                    .uri(path)
                    .header("host", "gateway.test")
                    .body(http_body_util::Full::new(body.to_string().into()))
                    .unwrap();
                let asking = tokio::spawn(async move { sender.send_request(request).await.map(|_| ()) });
                sleep(Duration::from_millis(500)).await;
                asking.abort();
                task.abort();
            } else {
                let mut running = house.begin(&ask("Hello", true), &[]).await;
                let _ = running.piece().await;
                running.leave();
            }
        };
        let others = async {
            sleep(Duration::from_millis(100)).await;
            join_all((0..20).map(|_| async { house.call(&ask("Hello", true)).await })).await
        };
        let ((), replies) = tokio::join!(lead, others);
        replies.iter().for_each(|reply| assert!(!said(reply, true).is_empty()));
        assert_eq!(replies.iter().filter(|reply| status(reply) == "hit").count(), 19);
        assert_eq!(house.attempts("primary"), 2, "before content {before_content}");
        let lines = house.log_lines("call").await;
        assert_eq!(lines.iter().filter(|line| line["outcome"] == "cancelled").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_is_told_of_and_disturbs_nobody() {
    let house = house("openai_chat", KEPT);
    house.always("primary", r#"{"first_token": "2s"}"#);
    let body = ask("Hello", false);
    let waiter = async {
        sleep(Duration::from_millis(100)).await;
        let call = house.call(&body);
        let gone = tokio::time::timeout(Duration::from_millis(500), call).await;
        assert!(gone.is_err());
    };
    let (first, ()) = tokio::join!(house.call(&body), waiter);
    said(&first, false);
    assert_eq!(house.attempts("primary"), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_lead_that_hangs() {
    let house = house("openai_chat", &format!("deadline: 20s\n{KEPT}"));
    house.steps("primary", &["silence"], "ok");
    let body = ask("Hello", false);
    let (lead, other) = tokio::join!(house.call(&body), async {
        sleep(Duration::from_millis(100)).await;
        house.call(&body).await
    });
    assert_eq!(lead.status, 504, "{lead:?}");
    assert_eq!(status(&other), "miss");
    said(&other, false);
    assert!(other.whole_after < Duration::from_secs(11), "{:?}", other.whole_after);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_stays_within_its_bytes() {
    let providers = three("openai_chat", KEPT);
    let house = House::new(&NAMES, &format!("cache: {{ exact: {{ max: 8KB }} }}\n{providers}"));
    for n in 0..40 {
        house.call(&ask(&format!("Question {n}"), false)).await;
        settle().await;
    }
    let mut hits = 0;
    for n in (0..40).rev() {
        let reply = house
            .call_with(&ask(&format!("Question {n}"), false), &[("x-jumpseat-cache", "only")])
            .await;
        hits += u32::from(reply.status == 200);
    }
    assert!((2..20).contains(&hits), "{hits}");
    assert_eq!(house.metric(&["jumpseat_cache_answers"]), f64::from(hits));
    assert_eq!(house.metric(&["jumpseat_cache_evicted"]), f64::from(40 - hits));
    let bytes = house.metric(&["jumpseat_cache_held_bytes"]);
    assert!((1000.0..=8192.0).contains(&bytes), "{bytes}");
    let last = house.call(&ask("Question 39", false)).await;
    assert_eq!(status(&last), "hit");
}

async fn an_old_answer_is_better_than_none(ingress: Ingress) {
    let house = house("openai_chat", BACKED).asked_in(ingress);
    house.call(&ask("Hello", false)).await;
    sleep(20 * MINUTE).await;
    for name in ["primary", "second"] {
        house.always(name, "overloaded");
    }
    for stream in [false, true] {
        let reply = house.call(&ask("Hello", stream)).await;
        assert!(said(&reply, stream).contains("Answer of alpha"), "{reply:?}");
        assert_eq!(status(&reply), "stale");
        assert_eq!(reply.header("x-jumpseat-fallback-reason"), "overloaded");
        assert!(reply.header("age").parse::<u64>().unwrap() >= 1200, "{reply:?}");
        assert_ne!(reply.header("x-jumpseat-attempts"), "0");
    }
    let other = house.call(&ask("Another question", false)).await;
    assert!(other.status.is_server_error(), "nothing is kept for it: {other:?}");
    assert_eq!(status(&other), "miss");
    let lines = house.log_lines("call").await;
    assert_eq!(lines[1]["cache"], "stale", "{}", lines[1]);
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["status"]),
        (&json!("success"), &json!(200))
    );
    sleep(60 * MINUTE).await;
    let reply = house.call(&ask("Hello", false)).await;
    assert!(reply.status.is_server_error(), "too old: {reply:?}");
}
in_every_dialect!(an_old_answer_is_better_than_none);

#[tokio::test(start_paused = true)]
async fn a_callers_own_mistake_is_not_answered_with_an_old_answer() {
    let house = house("openai_chat", BACKED);
    house.call(&ask("Hello", false)).await;
    sleep(20 * MINUTE).await;
    for behaviour in ["context-too-long", "content-filter"] {
        house.always("primary", behaviour);
        house.always("second", behaviour);
        let reply = house.call(&ask("Hello", false)).await;
        assert_eq!(reply.status, 400, "{behaviour}: {reply:?}");
    }
    house.always("primary", "overloaded");
    house.always("second", "overloaded");
    let plain = "cache: { exact: { ttl: 10m, stale_ttl: 1h } }\ntiers: [{ targets: [primary/alpha] }]";
    let house = self::house("openai_chat", plain);
    house.call(&ask("Hello", false)).await;
    sleep(20 * MINUTE).await;
    house.always("primary", "overloaded");
    let reply = house.call(&ask("Hello", false)).await;
    assert!(
        reply.status.is_server_error(),
        "only where the route says so: {reply:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_headers_went_out_early_gets_its_kept_answer_too() {
    let yaml = format!("server: {{ early_headers: true }}\n{}", three("openai_chat", BACKED));
    let house = House::new(&NAMES, &yaml);
    house.call(&ask("Hello", false)).await;
    settle().await;
    assert!(said(&house.call(&ask("Hello", true)).await, true).contains("Answer of alpha"));
    assert_eq!(house.attempts("primary"), 1);
    sleep(20 * MINUTE).await;
    house.always("primary", "overloaded");
    house.always("second", "overloaded");
    assert!(said(&house.call(&ask("Hello", true)).await, true).contains("Answer of alpha"));
}

/// As the 32-bit numbers they are, however many digits they were told with.
fn numbers(data: &Value) -> Vec<u32> {
    let items = data.as_array().unwrap().iter();
    items
        .flat_map(|item| item["embedding"].as_array().unwrap())
        .map(|number| (number.as_f64().unwrap() as f32).to_bits())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn vectors_are_given_again_to_the_bit_in_either_writing() {
    for dialect in ["openai_chat", "gemini", "cohere_chat", "ollama_chat"] {
        let house = house(dialect, KEPT);
        let embed = async |encoding: &str| {
            let body = json!({"model": "chat", "input": ["one", "two"], "encoding_format": encoding});
            let reply = house
                .send(Method::POST, "/v1/embeddings", &[], body.to_string().into())
                .await;
            settle().await;
            (status(&reply).to_owned(), reply.json()["data"].clone())
        };
        let (first, floats) = embed("float").await;
        assert_eq!(first, "miss", "{dialect}");
        let (again, told) = embed("float").await;
        assert_eq!((again.as_str(), numbers(&told)), ("hit", numbers(&floats)), "{dialect}");
        let (again, text) = embed("base64").await;
        assert_eq!(again, "hit", "{dialect}");
        assert!(text[0]["embedding"].is_string(), "{text}");
        assert_eq!(house.attempts("primary"), 1, "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_can_go_on_from_a_response_that_was_given_again() {
    for (dialect, stream) in [
        ("openai_responses", false),
        ("openai_responses", true),
        ("gemini", true),
    ] {
        let house = house(dialect, KEPT).asked_in(Ingress::Responses);
        let id = |reply: &Reply| match stream {
            true => reply.heard().ids[0].clone(),
            false => reply.json()["id"].as_str().unwrap().to_owned(),
        };
        let first = house.call(&ask("My name is Ada", stream)).await;
        settle().await;
        let again = house.call(&ask("My name is Ada", stream)).await;
        assert_eq!(status(&again), "hit", "{dialect}");
        assert_ne!(id(&first), id(&again), "each response is its caller's own");
        let next = json!({"model": "chat", "previous_response_id": id(&again), "input": "What is it?"});
        let reply = house
            .send(Method::POST, "/v1/responses", &[], next.to_string().into())
            .await;
        assert_eq!(reply.status, 200, "{dialect}: {reply:?}");
        let sent = String::from_utf8_lossy(&house.entries("primary")[1].raw_body).into_owned();
        assert!(
            sent.contains("My name is Ada") && sent.contains("Answer of alpha"),
            "{sent}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_told_in_the_log_and_counted_and_never_what_it_said() {
    let house = house("openai_chat", KEPT);
    house.always("primary", r#"{"text": "canary-answer"}"#);
    for _ in 0..2 {
        house.call(&ask("canary-question", false)).await;
        settle().await;
    }
    let lines = house.log_lines("call").await;
    assert_eq!(
        (&lines[0]["cache"], &lines[1]["cache"]),
        (&json!("miss"), &json!("hit"))
    );
    assert_eq!(
        (&lines[1]["attempts"], &lines[1]["cache_age_s"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["status"]),
        (&json!("success"), &json!(200))
    );
    assert!(lines[1].get("cost_usd").is_none());
    let counted = |result: &str| house.metric(&["jumpseat_cache_lookups_total", &format!("result=\"{result}\"")]);
    assert_eq!((counted("hit"), counted("miss")), (1.0, 1.0));
    assert!(house.metric(&["jumpseat_cache_kept_size"]) > 100.0);
    let (log, metrics) = (house.log_text().await, house.metrics());
    assert!(!log.contains("canary") && !metrics.contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_route_that_keeps_nothing_says_nothing_of_a_cache() {
    let house = house("openai_chat", "tiers: [{ targets: [primary/alpha] }]");
    for _ in 0..2 {
        assert_eq!(status(&house.call(&chat("chat", false)).await), "");
    }
    let reply = house
        .call_with(&chat("chat", false), &[("x-jumpseat-cache", "only")])
        .await;
    assert_eq!(reply.status, 504);
    assert_eq!(house.attempts("primary"), 2);
}

#[tokio::test(start_paused = true)]
async fn long_requests_and_answers_are_kept_too() {
    let house = house("anthropic_messages", KEPT);
    let long = "word ".repeat(60_000);
    house.always("primary", &json!({"text": long}).to_string());
    let ask = |stream: bool| {
        let mut body = ask(&long, stream);
        body["max_tokens"] = json!(1_000_000);
        body
    };
    let text = said(&house.call(&ask(true)).await, true);
    settle().await;
    let again = house.call(&ask(false)).await;
    assert_eq!(status(&again), "hit");
    assert_eq!(said(&again, false), text);
}

const SEMANTIC: &str =
    "cache: { exact: { ttl: 10m }, semantic: { threshold: 0.6 } }\ntiers: [{ targets: [primary/alpha] }]";

fn compared(house: &House, result: &str) -> f64 {
    house.metric(&["jumpseat_cache_semantic_total", &format!("reason=\"{result}\"")])
}

#[tokio::test(start_paused = true)]
async fn the_same_question_in_other_words_gets_the_same_answer_and_a_near_miss_does_not() {
    for ingress in [Ingress::Chat, Ingress::Messages] {
        let house = house("openai_chat", SEMANTIC).asked_in(ingress);
        let first = house.call(&ask("What is the capital of France?", false)).await;
        assert_eq!(status(&first), "miss");
        settle().await;
        let again = house.call(&ask("what's the capital of France", true)).await;
        assert_eq!(said(&again, true), first.text());
        assert_eq!(status(&again), "hit");
        let similarity: f64 = again.header("x-jumpseat-cache-similarity").parse().unwrap();
        assert!((0.6..=1.001).contains(&similarity), "{similarity}");
        assert_eq!(compared(&house, "hit"), 1.0);
        let line = house.log_lines("call").await.pop().unwrap();
        assert!(line["cache_similarity"].as_f64().unwrap() > 0.6, "{line}");
        for other in [
            "What is the capital of Germany?",
            "What is not the capital of France?",
            "How do I boil an egg?",
        ] {
            let reply = house.call(&ask(other, false)).await;
            assert_eq!(status(&reply), "miss", "{other}");
            settle().await;
        }
        let mut elsewhere = ask("what's the capital of France", false);
        elsewhere["max_tokens"] = json!(301);
        assert_eq!(status(&house.call(&elsewhere).await), "miss", "other parameters");
        assert_eq!(house.attempts("primary"), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_shadow_what_would_be_given_is_told_and_not_given() {
    for exact in ["", "exact: { ttl: 10m }, "] {
        let route = format!(
            "cache: {{ {exact}semantic: {{ threshold: 0.6, mode: shadow }} }}\ntiers: [{{ targets: [primary/alpha] }}]"
        );
        let house = house("openai_chat", &route);
        house.call(&ask("What is the capital of France?", false)).await;
        settle().await;
        let again = house.call(&ask("what's the capital of France", false)).await;
        assert_eq!(
            (status(&again), again.header("x-jumpseat-cache-similarity")),
            ("miss", "")
        );
        assert_eq!(compared(&house, "shadow_hit"), 1.0, "{}", house.metrics());
        settle().await;
        let lines = house.log_lines("call").await;
        assert_eq!(lines[1]["cache_shadow"], json!(true), "{}", lines[1]);
        assert!(lines[1]["cache_similarity"].as_f64().unwrap() > 0.6);
        assert_eq!(house.attempts("primary"), 2);
        let same = house.call(&ask("What is the capital of France?", false)).await;
        assert_eq!(status(&same), if exact.is_empty() { "miss" } else { "hit" });
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_makes_the_embedding_and_its_failure_is_a_miss() {
    // The fake gives equal texts equal vectors and unequal ones others: here only that it is asked, and what its failure does.
    let route = "cache: { exact: { ttl: 10m }, semantic: { threshold: 0.6, embedding: second/embed, timeout: 300ms } }\n\
                 tiers: [{ targets: [primary/alpha] }]";
    let providers = [
        crate::house::provider("primary", "anthropic_messages"),
        crate::house::provider("second", "openai_chat"),
    ];
    let yaml = format!(
        "providers:\n{}routes:\n  chat:\n{}",
        providers.concat(),
        crate::house::indent(route, 4)
    );
    for (behaviour, wanted) in [("ok", "nothing"), ("overloaded", "failed"), ("silence", "failed")] {
        let house = House::new(&["primary", "second"], &yaml);
        house.always("second", behaviour);
        for text in ["What is the capital of France?", "How do I boil an egg?"] {
            let reply = house.call(&ask(text, false)).await;
            assert_eq!(status(&reply), "miss", "{behaviour}");
            said(&reply, false);
            assert!(
                reply.whole_after < Duration::from_secs(1),
                "{behaviour}: {:?}",
                reply.whole_after
            );
            settle().await;
        }
        assert_eq!(compared(&house, wanted), 2.0, "{behaviour}: {}", house.metrics());
        let embedding = house
            .log_lines("call")
            .await
            .into_iter()
            .filter(|line| line["operation"] == "embeddings")
            .count();
        assert_eq!(embedding, 2, "{behaviour}");
        assert_eq!(
            status(&house.call(&ask("How do I boil an egg?", true)).await),
            "hit",
            "{behaviour}"
        );
    }
}

/// Budgets of so many dollars a day whose targets cost a dollar for a million tokens of output.
fn with_budget(limit: &str, more: &str) -> House {
    let provider = crate::house::provider_with(
        "primary",
        "openai_chat",
        ", models: { alpha: { price: { input: 0, output: 1 } } }",
    );
    House::new(
        &["primary"],
        &format!(
            "providers:\n{provider}budgets: {{ daily: {{ limit_usd: {limit}, when_exhausted: cache_only }} }}\ncache: {{ exact: {{ ttl: 10m, stale_ttl: 1h }}{more} }}\n\
             routes:\n  chat: {{ tiers: [{{ targets: [primary/alpha] }}] }}\n"
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn when_the_money_is_gone_what_is_kept_is_given_fresh_or_stale() {
    // Enough for one answer of 300 tokens and a little.
    let house = with_budget("0.00035", "");
    house.always(
        "primary",
        r#"{"tokens": 10, "usage": {"completion": 340, "prompt": 1}}"#,
    );
    assert_eq!(status(&house.call(&ask("Hello", false)).await), "miss");
    settle().await;
    for (wait, wanted) in [(Duration::ZERO, "hit"), (30 * MINUTE, "hit"), (60 * MINUTE, "stale")] {
        sleep(wait).await;
        let reply = house.call(&ask("Hello", true)).await;
        assert_eq!(status(&reply), wanted, "{reply:?}");
        said(&reply, true);
    }
    let other = house.call(&ask("Another question", false)).await;
    assert_eq!(other.status, 429, "{other:?}");
    assert_eq!(house.attempts("primary"), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_to_what_asks_for_chance_are_kept_while_money_is_plentiful() {
    for (limit, kept) in [("1", true), ("0.0006", false)] {
        let house = with_budget(limit, ", warm_when: above 50%");
        house.always(
            "primary",
            r#"{"tokens": 10, "usage": {"completion": 400, "prompt": 1}}"#,
        );
        let mut warm = ask("Hello", false);
        warm["temperature"] = json!(0.7);
        house.call(&ask("Something else", false)).await;
        settle().await;
        house.call(&warm).await;
        settle().await;
        let again = house.call_with(&warm, &[("x-jumpseat-cache", "only")]).await;
        assert_eq!(again.status == 200, kept, "{limit}: {again:?}");
    }
}
