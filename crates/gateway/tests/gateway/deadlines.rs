//! Clocks: deadlines of the client, of a tier, of a stream; hints of SDKs; what stops them.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::house::{DIALECTS, House, NAMES, chat, three};
use crate::ingress::sample;

const TWO: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
const SOLE: &str = "timeouts: { first_token: 5s }\ntiers: [{ targets: [primary/alpha] }]";

/// Headers of a client, and when it is answered, in milliseconds, if everybody is silent.
const PATIENCE: &[(&[(&str, &str)], u64)] = &[
    (&[("x-jumpseat-deadline", "3s")], 3_000),
    (&[("x-jumpseat-deadline", "1500ms")], 1_500),
    (
        &[("x-jumpseat-deadline", "10m"), ("x-stainless-read-timeout", "10")],
        9_750,
    ),
    (&[("x-stainless-read-timeout", "10")], 9_750),
    (&[("x-stainless-timeout", "4")], 3_750),
    (&[("x-server-timeout", "2.5")], 2_250),
    (
        &[("x-stainless-read-timeout", "20"), ("x-jumpseat-deadline", "8s")],
        8_000,
    ),
];

#[tokio::test(start_paused = true)]
async fn the_client_is_answered_by_its_deadline_and_before_its_sdk_would_try_again() {
    for (ingress, dialect) in sample() {
        for (headers, millis) in PATIENCE {
            for stream in [false, true] {
                let name = format!("{headers:?} at {dialect} {ingress:?}, stream {stream}");
                let house = House::new(&NAMES, &three(dialect, SOLE)).asked_in(ingress);
                house.always("primary", "silence");
                let reply = house.call_with(&chat("chat", stream), headers).await;
                assert_eq!(reply.status, 504, "{name}: {reply:?}");
                assert_eq!(reply.told().word, ingress.word("deadline_exceeded"), "{name}");
                assert_eq!(reply.header("x-should-retry"), "false", "{name}");
                let after = reply.head_after.as_millis() as u64;
                assert!((*millis..=millis + 20).contains(&after), "{name}: after {after} ms");
                sleep(Duration::from_millis(100)).await;
                assert_eq!(house.entries("primary")[0].outcome, "cancelled", "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadlines_end_is_nobodys_fault() {
    let house = House::new(&NAMES, &three("openai_chat", TWO));
    house.always("primary", "silence");
    for _ in 0..6 {
        let reply = house
            .call_with(&chat("chat", false), &[("x-jumpseat-deadline", "1s")])
            .await;
        assert_eq!(reply.status, 504);
    }
    assert_eq!(house.attempts("primary"), 6, "its breaker heard nothing");
    let lines = house.log_lines("attempt").await;
    assert!(lines.iter().all(|l| l["timeout"] == "deadline"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_bounds_the_wait_for_the_answer_and_never_a_running_stream() {
    for (ingress, dialect) in sample() {
        let house = House::new(&NAMES, &three(dialect, TWO)).asked_in(ingress);
        house.always("primary", "drip-1s");
        for headers in [[("x-stainless-read-timeout", "10")], [("x-jumpseat-deadline", "10s")]] {
            let reply = house.call_with(&chat("chat", true), &headers).await;
            assert!(reply.heard().done, "{dialect} {ingress:?}: {reply:?}");
            assert_eq!(reply.whole_after.as_secs(), 59, "{dialect} {ingress:?}");
        }
        // A unary answer is bounded to its end.
        let reply = house
            .call_with(&chat("chat", false), &[("x-jumpseat-deadline", "10s")])
            .await;
        assert_eq!(reply.status, 504, "{dialect} {ingress:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_no_duration_is_refused() {
    let house = House::new(&NAMES, &three("openai_chat", TWO));
    for bad in ["soon", "-3s", "0s", ""] {
        let reply = house
            .call_with(&chat("chat", false), &[("x-jumpseat-deadline", bad)])
            .await;
        assert_eq!(reply.status, 400, "{bad}");
        assert!(
            reply.json()["error"]["message"].as_str().unwrap().contains("45s"),
            "{bad}"
        );
    }
    assert_eq!(house.attempts("primary"), 0);
}

#[tokio::test(start_paused = true)]
async fn each_tier_has_its_total_with_all_its_attempts_and_waits() {
    let route = "tiers:
  - { targets: [primary/alpha], timeouts: { total: 20s } }
  - { targets: [second/beta], timeouts: { total: 12s } }
  - { targets: [third/gamma], timeouts: { total: 8s } }";
    for stream in [false, true] {
        let house = House::new(&NAMES, &three("openai_chat", route));
        for name in NAMES {
            house.always(name, "silence");
        }
        let reply = house.call(&chat("chat", stream)).await;
        assert_eq!(reply.status, 504);
        assert_eq!(reply.json()["error"]["code"], "total_timeout");
        assert_eq!(reply.head_after.as_secs(), 40);
        let tried = reply.json()["error"]["attempts"].clone();
        let took: Vec<u64> = tried
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["latency_ms"].as_u64().unwrap() / 1000)
            .collect();
        assert_eq!(took, [20, 12, 8]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tiers_total_bounds_a_stream_to_its_commit_only() {
    let route =
        "stream_max: 30s\ntiers: [{ targets: [primary/alpha], timeouts: { total: 10s } }, { targets: [second/beta] }]";
    for (ingress, dialect) in sample() {
        let house = House::new(&NAMES, &three(dialect, route)).asked_in(ingress);
        house.always("primary", r#"{"first_token": "9s", "interval": "300ms"}"#);
        let reply = house.call(&chat("chat", true)).await;
        assert!(reply.heard().done, "{dialect} {ingress:?}: {reply:?}");
        assert_eq!(
            (reply.head_after.as_secs(), reply.whole_after.as_secs()),
            (9, 26),
            "{dialect} {ingress:?}"
        );

        // `stream_max` counts from the commit.
        house.always("primary", r#"{"first_token": "9s", "interval": "1s"}"#);
        let reply = house.call(&chat("chat", true)).await;
        let heard = reply.heard();
        assert!(
            heard.error.is_some() && !heard.done && reply.complete,
            "{dialect} {ingress:?}: {heard:?}"
        );
        assert_eq!(
            reply.broke().word,
            ingress.word("total_timeout"),
            "{dialect} {ingress:?}"
        );
        assert_eq!(reply.whole_after.as_secs(), 39, "{dialect} {ingress:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_token_of_the_last_target_is_waited_for_and_held_against_it() {
    for (ingress, dialect) in sample() {
        let house = House::new(&NAMES, &three(dialect, SOLE)).asked_in(ingress);
        house.always("primary", "slow-20s");
        for _ in 0..3 {
            let reply = house.call(&chat("chat", true)).await;
            assert!(reply.heard().done, "{dialect} {ingress:?}: not cut");
            assert_eq!(reply.head_after.as_secs(), 20, "{dialect} {ingress:?}");
        }
        assert_eq!(
            house.metric(&["jumpseat_breaker_opened_total{", "primary/alpha"]),
            1.0,
            "{dialect} {ingress:?}: but told"
        );
        let lines = house.log_lines("attempt").await;
        assert!(
            lines
                .iter()
                .all(|l| l["timeout"] == "first_token" && l["outcome"] == "success"),
            "{dialect} {ingress:?}: {lines:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_reasoning_model_has_three_minutes_for_its_first_token() {
    for (reasoning, served) in [(true, "primary/alpha"), (false, "second/beta")] {
        let yaml = three("openai_chat", TWO).replace(
            "api_key: secret-primary",
            &format!("api_key: secret-primary, models: {{ alpha: {{ reasoning: {reasoning} }} }}"),
        );
        let house = House::new(&NAMES, &yaml);
        house.always("primary", "slow-100s");
        let reply = house.call(&chat("chat", true)).await;
        assert_eq!(reply.header("x-jumpseat-target"), served);
        assert_eq!(reply.head_after.as_secs(), if reasoning { 100 } else { 30 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_streams_clocks() {
    let route = "timeouts: { idle: 5s, content_idle: 5s }\ntiers: [{ targets: [primary/alpha] }]";
    for (ingress, dialect) in sample() {
        let house = House::new(&NAMES, &three(dialect, route)).asked_in(ingress);
        // More than all buffers between the fake and the client hold.
        house.always("primary", r#"{"tokens": 40000}"#);
        let mut body = chat("chat", true);
        body["max_tokens"] = json!(50_000);
        let mut running = house.begin(&body, &[]).await;
        let first = running.piece().await.unwrap().unwrap();
        sleep(Duration::from_secs(100)).await;
        assert_eq!(
            house.entries("primary")[0].outcome,
            "pending",
            "{dialect} {ingress:?}: the provider waits too: {:?}",
            house.entries("primary")[0]
        );
        let (rest, whole) = running.rest().await;
        let heard = ingress.heard(&(String::from_utf8(first.to_vec()).unwrap() + &rest));
        assert!(
            whole && heard.done && heard.error.is_none(),
            "{dialect} {ingress:?}: {:?}",
            heard.error
        );
        assert_eq!(heard.words(), 40_000, "{dialect} {ingress:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_cut_off_and_holds_no_providers_stream_for_ever() {
    let house = House::new(&NAMES, &three("openai_chat", TWO));
    house.always("primary", r#"{"tokens": 40000}"#);
    let mut running = house.begin(&chat("chat", true), &[]).await;
    running.piece().await.unwrap().unwrap();
    sleep(Duration::from_secs(130)).await;
    assert_eq!(house.entries("primary")[0].outcome, "cancelled");
    let lines = house.log_lines("call").await;
    assert_eq!(lines[0]["outcome"], "cancelled");
    assert_eq!(house.metric(&["jumpseat_calls_in_flight "]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_its_provider_at_once_and_nobody_is_blamed() {
    for dialect in DIALECTS {
        for (fault, stream) in [
            ("silence", false),
            ("silence", true),
            ("silence-first-token", true),
            ("drip-1s", true),
        ] {
            let name = format!("{fault} at {dialect}, stream {stream}");
            let house = House::new(&NAMES, &three(dialect, TWO));
            house.always("primary", fault);
            for n in 0..5 {
                let body = chat("chat", stream);
                let (mut sender, task) = house.connect().await;
                let request = http::Request::post("/v1/chat/completions")
                    .header("host", "gateway.test")
                    .body(http_body_util::Full::new(bytes::Bytes::from(body.to_string())))
                    .unwrap();
                let calling = tokio::spawn(async move {
                    let mut response = sender.send_request(request).await.unwrap();
                    while http_body_util::BodyExt::frame(response.body_mut()).await.is_some() {}
                });
                sleep(Duration::from_millis(2_500)).await;
                let left = Instant::now();
                task.abort();
                calling.abort();
                sleep(Duration::from_millis(50)).await;
                let entry = &house.entries("primary")[n];
                assert_eq!(entry.outcome, "cancelled", "{name}: after {:?}", left.elapsed());
            }
            assert_eq!(house.attempts("second"), 0, "{name}: nobody else is asked");
            assert_eq!(
                house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
                0.0,
                "{name}: closed"
            );
            let lines = house.log_lines("call").await;
            assert_eq!(lines.len(), 5, "{name}");
            assert!(lines.iter().all(|l| l["outcome"] == "cancelled"), "{name}: {lines:?}");
            assert_eq!(house.metric(&["jumpseat_calls_in_flight "]), 0.0, "{name}");
            assert_eq!(house.metric(&["jumpseat_body_bytes_in_flight "]), 0.0, "{name}");
            assert_eq!(
                house.metric(&["jumpseat_attempts_in_flight{", "primary/alpha"]),
                0.0,
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_in_memory_are_capped_and_freed_at_the_commit_unless_they_may_be_needed() {
    let padding = "x".repeat(8 * 1024);
    let mut body = chat("chat", true);
    body["messages"][0]["content"] = json!(padding);
    for (mode, second) in [("error", 200), ("resume", 503)] {
        let route = format!("on_stream_failure: {mode}\n{TWO}");
        let yaml = format!(
            "server: {{ body_max: 10KB, bodies_in_flight_max: 10KB }}\n{}",
            three("openai_chat", &route)
        );
        let house = House::new(&NAMES, &yaml);
        house.always("primary", "drip-1s");
        let mut running = house.begin(&body, &[]).await;
        running.piece().await.unwrap().unwrap();
        let reply = house.call_with(&body, &[("x-jumpseat-deadline", "100s")]).await;
        assert_eq!(reply.status, second, "{mode}: {reply:?}");
        if second == 503 {
            assert_eq!(
                reply.header("x-should-retry"),
                "",
                "shedding passes: the SDK may come back"
            );
            assert!(!reply.header("retry-after").is_empty());
            assert_eq!(house.attempts("primary"), 1);
        }
        running.leave();
    }
}
