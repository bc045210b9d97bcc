//! Faults that a provider meets its callers with, on streams.
//!
//! Before the first content a fault must be invisible but for its time; after it nothing may be hidden: the stream ends
//! with an error event, never as if it were whole. Each row is seen with the sick provider speaking each dialect.

use std::time::Duration;

use crate::framing::{cut_at_the_start, empty_stream, no_counterpart, overloaded_in_stream};
use crate::house::{House, NAMES, Table, chat, rate_limited, three};
use crate::ingress::{Ingress, in_every_dialect, is_sampled, pairs};

/// A target that brings no content within 5 s is left.
const ROUTE: &str = "
timeouts: { first_token: 5s, idle: 8s, content_idle: 12s }
tiers:
  - { targets: [primary/alpha] }
  - { targets: [second/beta] }
";

/// A 429 that does not say when to come back.
const NO_HINT: &str = "no-hint";

/// Before the first content: the fault; how often (0: always); attempts at the primary; who serves; the reason; when the
/// answer begins, in milliseconds.
type Row = (&'static str, usize, usize, &'static str, &'static str, (u64, u64));

const ROWS: &[Row] = &[
    (
        r#"{"status": 429, "retry_after": "1s"}"#,
        1,
        2,
        "primary/alpha",
        "",
        (1_000, 1_200),
    ),
    (
        r#"{"status": 429, "retry_after": "30s"}"#,
        0,
        1,
        "second/beta",
        "rate_limited",
        (0, 100),
    ),
    (NO_HINT, 0, 1, "second/beta", "rate_limited", (0, 100)),
    ("500", 1, 2, "primary/alpha", "", (0, 600)),
    ("500", 0, 2, "second/beta", "server_error", (0, 600)),
    ("503", 1, 2, "primary/alpha", "", (0, 600)),
    ("503", 0, 2, "second/beta", "overloaded", (0, 600)),
    ("reset", 1, 2, "primary/alpha", "", (0, 600)),
    ("reset", 0, 2, "second/beta", "network", (0, 600)),
    ("silence", 0, 1, "second/beta", "timeout", (5_000, 5_100)),
    ("silence-first-token", 0, 1, "second/beta", "timeout", (5_000, 5_100)),
    ("slow-20s", 0, 1, "second/beta", "timeout", (5_000, 5_100)),
    ("slow-4s", 0, 1, "primary/alpha", "", (4_000, 4_100)),
    // Broken before a token was seen: as if it had never been reached.
    ("cut-0", 0, 2, "second/beta", "stream_broken", (0, 600)),
    ("eof-0", 0, 2, "second/beta", "stream_broken", (0, 600)),
    ("error-first", 0, 2, "second/beta", "overloaded", (0, 600)),
    ("error-0", 0, 2, "second/beta", "overloaded", (0, 600)),
    (
        r#"{"odd": true, "stream_error": {"after": 0}}"#,
        0,
        2,
        "second/beta",
        "overloaded",
        (0, 600),
    ),
    ("html", 0, 2, "second/beta", "bad_response", (0, 600)),
    ("empty", 0, 2, "second/beta", "bad_response", (0, 600)),
    ("insufficient-quota", 0, 1, "second/beta", "quota_exhausted", (0, 100)),
    ("401", 0, 1, "second/beta", "auth", (0, 100)),
    ("403", 0, 1, "second/beta", "auth", (0, 100)),
    ("model-not-found", 0, 1, "second/beta", "model_not_found", (0, 100)),
    ("odd", 0, 1, "primary/alpha", "", (0, 100)),
    ("split-1", 0, 1, "primary/alpha", "", (0, 100)),
    ("reasoning", 0, 1, "primary/alpha", "", (0, 100)),
];

in_every_dialect!(a_fault_before_the_first_token_is_invisible_to_the_client);

async fn a_fault_before_the_first_token_is_invisible_to_the_client(client: Ingress) {
    let mut table = Table::default();
    for (ingress, dialect) in pairs().filter(|(ingress, _)| *ingress == client) {
        for (told, times, attempts, served, reason, within) in ROWS {
            if !is_sampled(ingress, dialect) && !SHAPES.contains(told) {
                continue;
            }
            let name = format!("{told} × {times} at {dialect} asked in {ingress:?}");
            let row_of = async {
                let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
                let fault = if *told == NO_HINT {
                    rate_limited(dialect)
                } else {
                    (*told).to_owned()
                };
                match times {
                    0 => house.always("primary", &fault),
                    times => house.steps("primary", &vec![fault.as_str(); *times], "ok"),
                }
                let reply = house.call(&chat("chat", true)).await;
                assert_eq!(reply.status, 200, "{name}: {reply:?}");
                assert!(reply.complete, "{name}");
                assert_eq!(reply.header("content-type"), "text/event-stream", "{name}");
                assert_eq!(reply.header("x-jumpseat-target"), *served, "{name}");
                let reason = match *told {
                    "cut-0" => cut_at_the_start(dialect),
                    "empty" => empty_stream(dialect),
                    _ if *reason == "overloaded" && is_in_stream(told) => overloaded_in_stream(dialect).0,
                    _ => reason,
                };
                assert_eq!(reply.header("x-jumpseat-fallback-reason"), reason, "{name}");
                let at_second = usize::from(*served == "second/beta");
                assert_eq!(house.attempts("primary"), *attempts, "{name}");
                assert_eq!(house.attempts("second"), at_second, "{name}");
                assert_eq!(
                    reply.header("x-jumpseat-attempts"),
                    (attempts + at_second).to_string(),
                    "{name}"
                );
                let heard = reply.heard();
                assert!(heard.error.is_none() && heard.done, "{name}: {heard:?}");
                assert_eq!(heard.finish.as_deref(), Some("stop"), "{name}: {heard:?}");
                assert_eq!(heard.ids.len(), 1, "{name}: one answer, one id: {heard:?}");
                let (model, other) = if at_second == 1 {
                    ("beta", "alpha")
                } else {
                    ("alpha", "beta")
                };
                assert!(
                    heard.text.contains(model) && !heard.text.contains(other),
                    "{name}: {heard:?}"
                );
                let after = reply.head_after.as_millis() as u64;
                assert!((within.0..=within.1).contains(&after), "{name}: after {after} ms");
                if reason == "timeout" {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    assert_eq!(house.entries("primary")[0].outcome, "cancelled", "{name}");
                }
            };
            table.row(&name, row_of).await;
        }
    }
    table.done();
}

/// What depends on how both dialects frame their streams: seen for every pair of them.
const SHAPES: &[&str] = &["503", "eof-0", "error-0", "empty", "odd", "split-1", "reasoning"];

/// The fault is an error event.
fn is_in_stream(fault: &str) -> bool {
    fault.starts_with("error-") || fault.contains("stream_error")
}

/// After the first content: the fault; the client's `error.code`; content tokens it gets; when it is told.
const AFTER: &[(&str, &str, usize, u64)] = &[
    ("cut-40", "stream_broken", 40, 0),
    ("eof-40", "stream_broken", 40, 0),
    ("no-terminator", "stream_broken", 60, 0),
    ("error-20", "server_is_overloaded", 20, 0),
    ("stall-20", "idle_timeout", 20, 8_000),
    ("cut-1", "stream_broken", 1, 0),
];

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_after_its_first_token_ends_with_an_error_event_and_not_as_if_whole() {
    let mut table = Table::default();
    for (ingress, dialect) in pairs() {
        for (fault, code, tokens, at) in AFTER {
            let name = format!("{fault} at {dialect} asked in {ingress:?}");
            let row_of = async {
                let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
                house.always("primary", fault);
                let reply = house.call(&chat("chat", true)).await;
                assert_eq!(reply.status, 200, "{name}: {reply:?}");
                assert!(reply.complete, "{name}: an event, never a bare cut");
                let heard = reply.heard();
                assert!(!heard.done && heard.finish.is_none(), "{name}: {heard:?}");
                let error = heard
                    .error
                    .as_ref()
                    .unwrap_or_else(|| panic!("{name}: no error event: {heard:?}"));
                let told = ingress.error(error);
                let code = match *fault {
                    "error-20" => overloaded_in_stream(dialect).1,
                    _ => code,
                };
                assert_eq!(told.word, ingress.word(code), "{name}: {error}");
                assert_eq!(told.attempts[0].0, "primary/alpha", "{name}");
                let sent = house.entries("primary")[0].events_sent;
                assert_eq!(sent, *tokens, "{name}");
                assert_eq!(heard.words(), *tokens, "{name}: {}", heard.text);
                assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 0), "{name}");
                let after = reply.whole_after.as_millis() as u64;
                assert!((*at..*at + 100).contains(&after), "{name}: after {after} ms");
                let lines = house.log_lines("call").await;
                assert_ne!(lines[0]["outcome"], "success", "{name}: {lines:?}");
                assert_eq!(lines[0]["target"], "primary/alpha", "{name}");
                assert_eq!(
                    house.metric(&["jumpseat_stream_failures_total{", "primary/alpha"]),
                    1.0,
                    "{name}"
                );
            };
            table.row(&name, row_of).await;
        }
    }
    table.done();
}

#[tokio::test(start_paused = true)]
async fn pings_without_content_do_not_keep_a_stalled_stream_alive_for_ever() {
    for (ingress, dialect) in pairs() {
        let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
        // Ten seconds between tokens is too long for `idle`, not for a stream whose idle limit is larger.
        house.always("primary", "drip-9s");
        let heard = house.call(&chat("chat", true)).await.heard();
        let told = ingress.error(&heard.error.unwrap());
        assert_eq!(told.word, ingress.word("idle_timeout"), "{ingress:?} {dialect}");
        house.always("primary", "drip-7s");
        let reply = house.call(&chat("chat", true)).await;
        assert!(reply.heard().done, "{ingress:?} {dialect}");
        assert_eq!(
            reply.whole_after.as_secs(),
            7 * 59,
            "{ingress:?} {dialect}: a slow stream is not a dead one"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_broken_chunk_is_dropped_counted_and_the_stream_goes_on() {
    for (ingress, dialect) in pairs() {
        let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
        house.always("primary", "malformed-5");
        let reply = house.call(&chat("chat", true)).await;
        if ingress == Ingress::Responses && dialect == "openai_responses" {
            // Its last event repeats the whole answer: nothing is lost, and the pieces are one fewer.
            assert!(String::from_utf8_lossy(&reply.body).contains("response.completed"));
            continue;
        }
        let heard = reply.heard();
        assert!(heard.done && heard.error.is_none(), "{ingress:?} {dialect}: {heard:?}");
        assert_eq!(heard.words(), 59, "{ingress:?} {dialect}: {}", heard.text);
        assert_eq!(house.attempts("second"), 0, "{ingress:?} {dialect}");
        let _ = house.log_lines("call").await;
        assert_eq!(
            house.metric(&["jumpseat_malformed_chunks_total{", "primary/alpha"]),
            1.0,
            "{ingress:?} {dialect}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_why_it_finished_but_lacks_its_last_event_is_closed_for_the_client() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    house.always("primary", "no-done");
    let heard = house.call(&chat("chat", true)).await.heard();
    assert!(heard.done && heard.error.is_none(), "{heard:?}");
    assert_eq!(heard.finish.as_deref(), Some("stop"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_bad_everywhere_is_refused_with_a_status_though_a_stream_was_asked_for() {
    let mut table = Table::default();
    for (ingress, dialect) in pairs() {
        for (fault, code) in [
            ("400", None),
            ("context-too-long", Some("context_length_exceeded")),
            ("content-filter", Some("content_filter")),
        ] {
            if no_counterpart(dialect, fault).is_some() {
                continue;
            }
            let name = format!("{fault} at {dialect} asked in {ingress:?}");
            let row_of = async {
                let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
                house.always("primary", fault);
                let reply = house.call(&chat("chat", true)).await;
                assert_eq!(reply.status, 400, "{name}: {reply:?}");
                assert_eq!(reply.header("content-type"), "application/json", "{name}");
                if let Some(code) = code {
                    assert_eq!(reply.told().word, ingress.word(code), "{name}");
                }
                assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 0), "{name}");
            };
            table.row(&name, row_of).await;
        }
    }
    table.done();
}
