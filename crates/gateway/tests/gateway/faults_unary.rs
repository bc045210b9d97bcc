//! Faults that a provider meets its callers with, on calls that are answered whole.
//!
//! One table, gone through with the sick provider speaking each of the three dialects: a fault must look the same
//! through pass-through and translation.

use std::time::Duration;

use crate::framing::{empty_stream, no_counterpart};
use crate::house::{House, NAMES, Table, chat, rate_limited, three};
use crate::ingress::{Ingress, in_every_dialect, is_sampled, pairs};

/// A route of two tiers; a silent tier is left after 20 s.
const ROUTE: &str = "
tiers:
  - { targets: [primary/alpha], timeouts: { total: 20s } }
  - { targets: [second/beta] }
";

struct Row {
    /// What the primary does…
    fault: &'static str,
    /// …this many times; then it is healthy.
    times: usize,
    /// Attempts the primary sees.
    attempts: usize,
    /// Who answers.
    served: &'static str,
    /// `x-jumpseat-fallback-reason`.
    reason: &'static str,
    /// When the answer comes, in milliseconds.
    within: (u64, u64),
}

const ALWAYS: usize = usize::MAX;
/// A 429 that does not say when to come back.
const NO_HINT: &str = "no-hint";

const fn row(
    fault: &'static str,
    times: usize,
    attempts: usize,
    served: &'static str,
    reason: &'static str,
    within: (u64, u64),
) -> Row {
    Row {
        fault,
        times,
        attempts,
        served,
        reason,
        within,
    }
}

const ROWS: &[Row] = &[
    row(
        r#"{"status": 429, "retry_after": "1s"}"#,
        1,
        2,
        "primary/alpha",
        "",
        (1_000, 1_200),
    ),
    row(
        r#"{"status": 429, "retry_after": "30s"}"#,
        ALWAYS,
        1,
        "second/beta",
        "rate_limited",
        (0, 100),
    ),
    row(NO_HINT, ALWAYS, 1, "second/beta", "rate_limited", (0, 100)),
    row("500", 1, 2, "primary/alpha", "", (0, 600)),
    row("500", ALWAYS, 2, "second/beta", "server_error", (0, 600)),
    row("503", 1, 2, "primary/alpha", "", (0, 600)),
    row("503", ALWAYS, 2, "second/beta", "overloaded", (0, 600)),
    row("529", ALWAYS, 2, "second/beta", "overloaded", (0, 600)),
    row("502", ALWAYS, 2, "second/beta", "server_error", (0, 600)),
    row("reset", 1, 2, "primary/alpha", "", (0, 600)),
    row("reset", ALWAYS, 2, "second/beta", "network", (0, 600)),
    row("silence", ALWAYS, 1, "second/beta", "timeout", (20_000, 20_100)),
    row(
        "silence-first-token",
        ALWAYS,
        1,
        "second/beta",
        "timeout",
        (20_000, 20_100),
    ),
    row("slow-15s", ALWAYS, 1, "primary/alpha", "", (15_000, 15_100)),
    row("slow-25s", ALWAYS, 1, "second/beta", "timeout", (20_000, 20_100)),
    row("cut-40", 1, 2, "primary/alpha", "", (0, 600)),
    row("cut-40", ALWAYS, 2, "second/beta", "network", (0, 600)),
    row("stall-20", ALWAYS, 1, "second/beta", "timeout", (20_000, 20_100)),
    row("malformed-5", ALWAYS, 2, "second/beta", "bad_response", (0, 600)),
    row("eof-40", ALWAYS, 2, "second/beta", "bad_response", (0, 600)),
    row("html", ALWAYS, 2, "second/beta", "bad_response", (0, 600)),
    row("empty", ALWAYS, 2, "second/beta", "bad_response", (0, 600)),
    row(
        "insufficient-quota",
        ALWAYS,
        1,
        "second/beta",
        "quota_exhausted",
        (0, 100),
    ),
    row("401", ALWAYS, 1, "second/beta", "auth", (0, 100)),
    row("403", ALWAYS, 1, "second/beta", "auth", (0, 100)),
    row("model-not-found", ALWAYS, 1, "second/beta", "model_not_found", (0, 100)),
    row("odd", ALWAYS, 1, "primary/alpha", "", (0, 100)),
];

in_every_dialect!(a_fault_is_survived_by_a_retry_or_by_the_next_tier_and_the_answer_says_so);

async fn a_fault_is_survived_by_a_retry_or_by_the_next_tier_and_the_answer_says_so(client: Ingress) {
    let mut table = Table::default();
    for (ingress, dialect) in pairs().filter(|(ingress, _)| *ingress == client) {
        for row in ROWS {
            let name = format!(
                "{} × {} at {dialect} asked in {ingress:?}",
                row.fault, row.times as isize
            );
            let row_of = async {
                let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
                let fault = match row.fault {
                    NO_HINT => rate_limited(dialect),
                    named => named.to_owned(),
                };
                match row.times {
                    ALWAYS => house.always("primary", &fault),
                    times => house.steps("primary", &vec![fault.as_str(); times], "ok"),
                }
                let reply = house.call(&chat("chat", false)).await;
                assert_eq!(reply.status, 200, "{name}: {reply:?}");
                assert_eq!(reply.header("x-jumpseat-target"), row.served, "{name}");
                assert_eq!(
                    house.attempts("primary"),
                    row.attempts,
                    "{name}: {:?}",
                    house.entries("primary")
                );
                let at_second = usize::from(row.served == "second/beta");
                assert_eq!(house.attempts("second"), at_second, "{name}");
                assert_eq!(reply.header("x-jumpseat-fallback-reason"), row.reason, "{name}");
                assert_eq!(
                    reply.header("x-jumpseat-attempts"),
                    (row.attempts + at_second).to_string(),
                    "{name}"
                );
                assert_eq!(reply.header("x-jumpseat-tier"), (1 + at_second).to_string(), "{name}");
                let (model, other) = if at_second == 1 {
                    ("beta", "alpha")
                } else {
                    ("alpha", "beta")
                };
                let text = reply.text();
                assert!(text.contains(model) && !text.contains(other), "{name}: {text}");
                let after = reply.head_after.as_millis() as u64;
                assert!(
                    (row.within.0..=row.within.1).contains(&after),
                    "{name}: after {after} ms"
                );
                let left_alone = house.entries("primary");
                let last = left_alone.last().unwrap();
                if row.reason == "timeout" {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    assert_eq!(house.entries("primary")[0].outcome, "cancelled", "{name}: {last:?}");
                }
                let lines = house.log_lines("attempt").await;
                assert_eq!(lines.len(), row.attempts + at_second, "{name}");
                if at_second == 1 {
                    assert_eq!(lines[0]["outcome"], row.reason, "{name}");
                }
                assert_eq!(lines.last().unwrap()["outcome"], "success", "{name}");
            };
            table.row(&name, row_of).await;
        }
    }
    table.done();
}

/// What nobody can mend is the client's at once: fault, status, `error.code`.
const FINAL: &[(&str, u16, Option<&str>)] = &[
    ("400", 400, None),
    ("context-too-long", 400, Some("context_length_exceeded")),
    ("content-filter", 400, Some("content_filter")),
];

#[tokio::test(start_paused = true)]
async fn a_request_that_is_bad_everywhere_is_not_shopped_around() {
    let mut table = Table::default();
    for (ingress, dialect) in pairs() {
        for (fault, status, code) in FINAL {
            if no_counterpart(dialect, fault).is_some() {
                continue;
            }
            let name = format!("{fault} at {dialect} asked in {ingress:?}");
            let row_of = async {
                let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
                house.always("primary", fault);
                let reply = house.call(&chat("chat", false)).await;
                assert_eq!(reply.status, *status, "{name}: {reply:?}");
                let told = reply.told();
                if let Some(code) = code {
                    assert_eq!(told.word, ingress.word(code), "{name}");
                }
                assert_eq!(told.attempts[0].0, "primary/alpha", "{name}");
                assert_eq!(reply.header("x-should-retry"), "false", "{name}");
                assert_eq!(reply.header("retry-after"), "", "{name}: waiting does not help");
                assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 0), "{name}");
            };
            table.row(&name, row_of).await;
        }
    }
    table.done();
}

/// What the client sees when it is the last: fault, status, `error.code`, whether waiting helps.
const LAST: &[(&str, u16, &str, bool)] = &[
    (
        r#"{"status": 429, "retry_after": "30s"}"#,
        429,
        "rate_limit_exceeded",
        true,
    ),
    ("insufficient-quota", 429, "insufficient_quota", true),
    ("503", 503, "server_is_overloaded", false),
    ("500", 503, "server_error", false),
    ("reset", 503, "upstream_unreachable", false),
    ("silence", 504, "total_timeout", false),
    ("401", 502, "upstream_auth", false),
    ("403", 502, "upstream_auth", false),
    ("model-not-found", 502, "model_not_found", false),
    ("html", 502, "bad_response", false),
    ("empty", 502, "bad_response", false),
];

in_every_dialect!(when_no_target_is_left_the_client_gets_its_own_dialects_error_and_is_told_not_to_retry);

async fn when_no_target_is_left_the_client_gets_its_own_dialects_error_and_is_told_not_to_retry(client: Ingress) {
    let mut table = Table::default();
    for (ingress, dialect) in pairs().filter(|(ingress, _)| *ingress == client) {
        for (fault, status, code, waits) in LAST {
            for stream in [false, true] {
                if stream && !is_sampled(ingress, dialect) {
                    continue;
                }
                let name = format!("{fault} at {dialect} asked in {ingress:?}, stream {stream}");
                let row_of = async {
                    let route = "tiers: [{ targets: [primary/alpha], timeouts: { total: 20s } }]";
                    let house = House::new(&NAMES, &three(dialect, route)).asked_in(ingress);
                    house.always("primary", fault);
                    let reply = house.call(&chat("chat", stream)).await;
                    let status = ingress.status(*status, code);
                    assert_eq!(reply.status, status, "{name}: {reply:?}");
                    assert_eq!(reply.header("content-type"), "application/json", "{name}");
                    let told = reply.told();
                    let code = match (*fault, stream) {
                        ("empty", true) => empty_stream(dialect),
                        _ => code,
                    };
                    assert_eq!(told.word, ingress.word_at(status, code), "{name}: {told:?}");
                    assert!(!told.message.is_empty(), "{name}");
                    assert_eq!(told.attempts.len(), house.attempts("primary"), "{name}");
                    assert_eq!(told.attempts[0].0, "primary/alpha", "{name}");
                    assert_eq!(reply.header("x-should-retry"), "false", "{name}");
                    assert_eq!(!reply.header("retry-after").is_empty(), *waits, "{name}");
                    assert_eq!(reply.header("x-jumpseat-route"), "chat", "{name}");
                    assert!(!reply.header("x-jumpseat-call-id").is_empty(), "{name}");
                    let text = String::from_utf8_lossy(&reply.body).into_owned();
                    assert!(!text.contains("secret-"), "{name}: {text}");
                    let lines = house.log_lines("call").await;
                    assert_eq!(lines[0]["status"], status, "{name}");
                };
                table.row(&name, row_of).await;
            }
        }
    }
    table.done();
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_tiers_is_gone_down_to_the_third_and_no_further() {
    for (ingress, dialect) in pairs() {
        for stream in [false, true] {
            let route = "retries: 0
tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }, { targets: [third/gamma] }, { targets: [primary/delta] }]";
            let house = House::new(&NAMES, &three(dialect, route)).asked_in(ingress);
            house.always("primary", "503");
            house.always("second", "html");
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 200, "{ingress:?} {dialect}: {reply:?}");
            assert_eq!(
                reply.header("x-jumpseat-target"),
                "third/gamma",
                "{ingress:?} {dialect}"
            );
            assert_eq!(reply.header("x-jumpseat-tier"), "3", "{ingress:?} {dialect}");
            assert_eq!(
                reply.header("x-jumpseat-fallback-reason"),
                "overloaded",
                "{ingress:?} {dialect}: the first failure's"
            );

            house.always("third", "500");
            let reply = house.call(&chat("chat", stream)).await;
            let status = ingress.status(503, "server_error");
            assert_eq!(reply.status, status, "{ingress:?} {dialect}: {reply:?}");
            let tried = reply.told().attempts;
            let outcomes: Vec<&str> = tried.iter().map(|(_, outcome)| outcome.as_str()).collect();
            assert_eq!(
                outcomes,
                ["overloaded", "bad_response", "server_error"],
                "{ingress:?} {dialect}: three tiers a call"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_makes_six_attempts_at_most() {
    let route =
        "retries: 5\nretry_budget: { floor: 100 }\ntiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
    let house = House::new(&NAMES, &three("openai_chat", route));
    house.always("primary", "503");
    house.always("second", "503");
    assert_eq!(house.call(&chat("chat", false)).await.status, 503);
    assert_eq!(house.attempts("primary") + house.attempts("second"), 6);
}

#[tokio::test(start_paused = true)]
async fn broken_output_is_the_models_fault_and_trips_no_breaker() {
    for stream in [false, true] {
        let house = House::new(&NAMES, &three("gemini", ROUTE));
        let answer = r#"{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL","index":0}]}"#;
        let (body, content_type) = match stream {
            true => (format!("data: {answer}\n\n"), "text/event-stream"),
            false => (answer.to_owned(), "application/json"),
        };
        let behaviour = serde_json::json!({"status": 200, "body": body, "content_type": content_type});
        house.always("primary", &behaviour.to_string());
        for _ in 0..6 {
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{reply:?}");
            assert_eq!(reply.header("x-jumpseat-fallback-reason"), "malformed_output");
        }
        assert_eq!(house.metric(&["jumpseat_breaker_opened_total{", "primary/alpha"]), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_to_come_back_later_is_kept_and_the_target_used_again_when_it_has_passed() {
    for (ingress, dialect) in pairs() {
        let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
        house.steps("primary", &[r#"{"status": 429, "retry_after": "30s"}"#], "ok");
        for _ in 0..29 {
            let reply = house.call(&chat("chat", false)).await;
            assert_eq!(
                reply.header("x-jumpseat-target"),
                "second/beta",
                "{ingress:?} {dialect}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(house.attempts("primary"), 1, "{ingress:?} {dialect}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(
            reply.header("x-jumpseat-target"),
            "primary/alpha",
            "{ingress:?} {dialect}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_persistent_429_without_a_hint_costs_few_attempts_and_its_sole_user_one_retry() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    house.always("primary", &rate_limited("openai_chat"));
    for _ in 0..60 {
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(house.attempts("primary") <= 6, "{}", house.attempts("primary"));

    let sole = House::new(&NAMES, &three("openai_chat", "tiers: [{ targets: [primary/alpha] }]"));
    sole.always("primary", &rate_limited("openai_chat"));
    let reply = sole.call(&chat("chat", false)).await;
    assert_eq!(reply.status, 429);
    assert_eq!(sole.attempts("primary"), 2);
    assert_eq!(reply.head_after.as_secs(), 2, "without a hint the wait is two seconds");
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_target_named_by_the_client_itself_is_404_when_the_provider_does_not_have_it() {
    for (ingress, dialect) in pairs() {
        for stream in [false, true] {
            let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
            house.always("primary", "model-not-found");
            let reply = house.call(&chat("primary/alpha", stream)).await;
            assert_eq!(reply.status, 404, "{ingress:?} {dialect}: {reply:?}");
            assert_eq!(
                reply.told().word,
                ingress.word("model_not_found"),
                "{ingress:?} {dialect}"
            );
            assert_eq!(reply.header("x-should-retry"), "false", "{ingress:?} {dialect}");
        }
    }
}
