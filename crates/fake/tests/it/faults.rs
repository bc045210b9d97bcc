//! Every fault, in every dialect, with streaming and without: what a client sees, and what the log says of it.

use std::time::Duration;

use crate::support::{CALLERS, all, send};
use jumpseat_fake::{Behaviour, Fake};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

#[tokio::test(start_paused = true)]
async fn each_named_fault_is_seen_and_logged_in_each_dialect() {
    // name, unary status (0: no response), stream status, stream broken off, outcome unary, outcome stream
    let rows = [
        ("ok", 200, 200, false, "answered", "answered"),
        ("400", 400, 400, false, "answered", "answered"),
        ("401", 401, 401, false, "answered", "answered"),
        ("402", 402, 402, false, "answered", "answered"),
        ("403", 403, 403, false, "answered", "answered"),
        ("404", 404, 404, false, "answered", "answered"),
        ("408", 408, 408, false, "answered", "answered"),
        ("413", 413, 413, false, "answered", "answered"),
        ("422", 422, 422, false, "answered", "answered"),
        ("429", 429, 429, false, "answered", "answered"),
        ("498", 498, 498, false, "answered", "answered"),
        ("500", 500, 500, false, "answered", "answered"),
        ("502", 502, 502, false, "answered", "answered"),
        ("503", 503, 503, false, "answered", "answered"),
        ("504", 504, 504, false, "answered", "answered"),
        ("529", 529, 529, false, "answered", "answered"),
        ("html", 200, 200, false, "answered", "answered"),
        ("empty", 200, 200, false, "answered", "answered"),
        ("reset", 0, 0, false, "reset", "reset"),
        ("refuse", 0, 0, false, "reset", "reset"),
        ("cut-40", 200, 200, true, "reset", "reset"),
        ("eof-40", 200, 200, false, "truncated", "truncated"),
        ("no-terminator", 200, 200, false, "answered", "truncated"),
        ("malformed-5", 200, 200, false, "answered", "answered"),
        ("error-first", 0, 200, false, "answered", "answered"),
        ("error-5", 0, 200, false, "answered", "answered"),
        ("odd", 200, 200, false, "answered", "answered"),
        ("tools", 200, 200, false, "answered", "answered"),
        ("refusal", 200, 200, false, "answered", "answered"),
        ("reasoning", 200, 200, false, "answered", "answered"),
        ("split-7", 200, 200, false, "answered", "answered"),
        ("no-usage", 200, 200, false, "answered", "answered"),
    ];
    for caller in all() {
        for (name, unary, streamed, broken, outcome_unary, outcome_stream) in rows {
            let fake = Fake::new();
            let model = format!("m!{name}");
            let got = caller.ask(&fake, &model, false).await;
            let status = got.as_ref().map_or(0, |got| got.status);
            let place = format!("{} {name}", caller.dialect);
            if name.starts_with("error-") {
                assert!(
                    (500..600).contains(&status),
                    "{place}: an in-stream error is an HTTP error without a stream"
                );
            } else {
                assert_eq!(status, unary, "{place}");
            }
            let entry = fake.log().last().unwrap();
            assert_eq!(entry.outcome, outcome_unary, "{place}");
            assert_eq!((entry.behaviour.as_str(), entry.model.as_str()), (name, model.as_str()));
            assert_eq!(entry.dialect, caller.dialect);

            let got = caller.ask(&fake, &model, true).await;
            assert_eq!(got.as_ref().map_or(0, |got| got.status), streamed, "{place} stream");
            assert_eq!(got.is_some_and(|got| got.broken), broken, "{place} stream");
            let entry = fake.log().last().unwrap();
            assert_eq!(entry.outcome, outcome_stream, "{place} stream");
            assert!(entry.stream && entry.finished_ms.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_sent_exactly_what_it_was_told_to() {
    for caller in all() {
        let fake = Fake::new();
        let whole = caller.ask(&fake, "m", true).await.unwrap();
        assert_eq!(fake.log().last().unwrap().events_sent, 60, "{}", caller.dialect);
        for name in ["cut-40", "eof-40", "error-40"] {
            let got = caller.ask(&fake, &format!("m!{name}"), true).await.unwrap();
            assert_eq!(fake.log().last().unwrap().events_sent, 40, "{} {name}", caller.dialect);
            assert!(got.body.len() < whole.body.len());
        }
        let got = caller.ask(&fake, "m!malformed-5", true).await.unwrap();
        let bad = got
            .payloads()
            .iter()
            .filter(|data| serde_json::from_str::<serde_json::Value>(data).is_err())
            .count();
        assert_eq!(bad, 1, "{}", caller.dialect);
        let got = caller.ask(&fake, "m!cut-40", false).await.unwrap();
        let promised: usize = got.headers["content-length"].to_str().unwrap().parse().unwrap();
        assert!(
            got.broken && got.body.len() == promised / 2,
            "{}: {} of {promised}",
            caller.dialect,
            got.body.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn waits_are_on_the_clock() {
    for caller in all() {
        let fake = Fake::new();
        fake.script().always(
            "*",
            Behaviour::from_json(r#"{"delay":"200ms","first_token":"20s","interval":"5ms"}"#).unwrap(),
        );
        let got = caller.ask(&fake, "m", true).await.unwrap();
        assert_eq!(got.head_after.as_millis(), 200, "{}", caller.dialect);
        assert!(
            (20_495..20_600).contains(&got.end_after.as_millis()),
            "{}: {:?}",
            caller.dialect,
            got.end_after
        );
        let got = caller.ask(&fake, "m", false).await.unwrap();
        assert!(
            (20_495..20_600).contains(&got.head_after.as_millis()),
            "a unary answer waits ahead of its status line: {:?}",
            got.head_after
        );
    }
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_until_the_client_leaves_which_is_logged() {
    for caller in all() {
        for (name, stream, events) in [
            ("silence", false, 0),
            ("silence", true, 0),
            ("silence-first-token", true, 0),
            ("silence-first-token", false, 0),
            ("stall-20", true, 20),
            ("stall-20", false, 0),
        ] {
            let fake = Fake::new();
            let asked = timeout(
                Duration::from_secs(600),
                caller.ask(&fake, &format!("m!{name}"), stream),
            )
            .await;
            assert!(asked.is_err(), "{} {name}", caller.dialect);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let entry = fake.log().last().unwrap();
            assert_eq!(
                (entry.outcome.as_str(), entry.events_sent),
                ("cancelled", events),
                "{} {name} {stream}",
                caller.dialect
            );
            assert_eq!(entry.finished_ms, Some(600_000), "noticed at once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refused_connections_are_closed_at_once_and_a_step_is_used_up() {
    let fake = Fake::new();
    fake.script()
        .set("*", vec![Behaviour::named("refuse")], Behaviour::ok());
    assert!(CALLERS[0].ask(&fake, "m", false).await.is_none());
    assert!(fake.log().is_empty(), "no request was read");
    assert_eq!(CALLERS[0].ask(&fake, "m", false).await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn flapping_follows_the_clock_from_when_it_was_set() {
    let fake = Fake::new();
    tokio::time::sleep(Duration::from_millis(700)).await;
    fake.script().always("*", Behaviour::named("flap-2s-2s"));
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(CALLERS[0].ask(&fake, "m", false).await.unwrap().status);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(seen, [200, 200, 503, 503, 200, 200, 503, 503]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_told_as_each_provider_tells_it() {
    for (wait, header, ms) in [("2s", "2", None), ("1500ms", "2", Some("1500"))] {
        let fake = Fake::new();
        fake.script().always(
            "*",
            Behaviour::from_value(json!({"status": 429, "retry_after": wait})).unwrap(),
        );
        for caller in all() {
            let got = caller.ask(&fake, "m", false).await.unwrap();
            if caller.dialect == "gemini" {
                assert!(!got.headers.contains_key("retry-after"));
                assert!(got.body.contains("retryDelay"), "{}", got.body);
            } else {
                assert_eq!(got.headers["retry-after"], header);
                assert_eq!(got.headers.get("retry-after-ms").map(|v| v.to_str().unwrap()), ms);
            }
        }
    }
    let got = CALLERS[0].ask(&Fake::new(), "m!429", false).await.unwrap();
    assert!(!got.headers.contains_key("retry-after"), "none unless told");
}

#[tokio::test(start_paused = true)]
async fn behaviours_come_from_the_header_then_the_name_then_the_script() {
    let fake = Fake::new();
    fake.script().always("*", Behaviour::named("500"));
    fake.script().always("m", Behaviour::named("502"));
    let body = |model: &str| (CALLERS[0].body)(model, false).to_string();
    let rows = [
        ("other", None, 500),
        ("m", None, 502),
        ("m!503", None, 503),
        ("m!503", Some("529"), 529),
        ("m", Some(r#"{"status":504}"#), 504),
        ("m", Some("ok"), 200),
        ("m!nonsense", None, 400),
    ];
    for (model, header, status) in rows {
        let mut headers = CALLERS[0].headers.to_vec();
        headers.extend(header.map(|value| ("x-fake-behave", value)));
        let got = send(&fake, "POST", "/any/prefix/v1/chat/completions", &headers, &body(model))
            .await
            .unwrap();
        assert_eq!(got.status, status, "{model} {header:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_row_is_answered_verbatim_and_in_streams_as_the_dialect_writes_errors() {
    let fake = Fake::new();
    fake.script().always(
        "*",
        Behaviour::from_json(r#"{"error":"azure.content_filter","headers":{"x-extra":"1"}}"#).unwrap(),
    );
    let got = CALLERS[0].ask(&fake, "m", true).await.unwrap();
    assert_eq!(
        (got.status, got.json()["error"]["innererror"]["code"].as_str()),
        (400, Some("ResponsibleAIPolicyViolation"))
    );
    assert_eq!(got.headers["x-extra"], "1");

    fake.script().always("*", Behaviour::named("error-3"));
    let ends = [
        ("openai_chat", "\"code\":\"server_is_overloaded\"}}\n\n"),
        (
            "anthropic_messages",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":",
        ),
        ("gemini", "{\n  \"error\": {\n    \"code\": 503,"),
    ];
    for (caller, (dialect, part)) in CALLERS.iter().zip(ends) {
        let got = caller.ask(&fake, "m", true).await.unwrap();
        assert!(got.body.contains(part), "{dialect}: {}", got.body);
        assert!(!got.body.contains("[DONE]") && !got.body.contains("message_stop"));
    }

    // A blocked prompt is a success without candidates, as one event of a stream too.
    fake.script().always("*", Behaviour::named("content-filter"));
    let got = CALLERS[2].ask(&fake, "m", true).await.unwrap();
    assert_eq!(
        (got.status, got.events()[0]["promptFeedback"]["blockReason"].as_str()),
        (200, Some("SAFETY"))
    );
    assert_eq!(CALLERS[1].ask(&fake, "m", true).await.unwrap().status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_models_fails_with_the_provider_but_not_with_its_texts() {
    let fake = Fake::new();
    for (name, status) in [("ok", 200), ("cut-4", 200), ("empty", 200), ("503", 503)] {
        fake.script().set("*", vec![Behaviour::named(name)], Behaviour::ok());
        for caller in &CALLERS {
            for path in ["/v1/models", "/v1/models/some/model"] {
                let got = send(&fake, "GET", path, caller.headers, "").await.unwrap();
                assert_eq!(got.status, status, "{} {path}: no step is used up", caller.dialect);
            }
        }
    }
}

/// A fake on loopback, and its address.
async fn on_loopback() -> (Fake, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let fake = Fake::new();
    tokio::spawn(fake.clone().serve(listener, std::future::pending()));
    (fake, address)
}

fn raw_request(model: &str) -> String {
    let body = (CALLERS[0].body)(model, true).to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn over_tcp_a_client_that_leaves_is_noticed_before_the_headers_and_inside_the_stream() {
    for name in ["silence", "silence-first-token", "stall-2", "drip-1h"] {
        let (fake, address) = on_loopback().await;
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream
            .write_all(raw_request(&format!("m!{name}")).as_bytes())
            .await
            .unwrap();
        while fake.log().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(fake.log().last().unwrap().outcome, "pending");
        drop(stream);
        let noticed = async {
            while fake.log().last().unwrap().outcome != "cancelled" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(Duration::from_secs(2), noticed).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn over_tcp_refusing_begins_and_ends_at_once_for_kept_connections_too() {
    let (fake, address) = on_loopback().await;
    let mut kept = TcpStream::connect(&address).await.unwrap();
    let mut buffer = [0; 64 << 10];
    kept.write_all(raw_request("m!split-7").as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.ends_with("\r\n0\r\n\r\n") {
        let length = kept.read(&mut buffer).await.unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    fake.script().always("*", Behaviour::named("refuse"));
    kept.write_all(raw_request("m").as_bytes()).await.unwrap();
    assert_eq!(
        kept.read(&mut buffer).await.unwrap_or(0),
        0,
        "no response on a kept connection"
    );
    let mut fresh = TcpStream::connect(&address).await.unwrap();
    let _ = fresh.write_all(raw_request("m").as_bytes()).await;
    assert_eq!(fresh.read(&mut buffer).await.unwrap_or(0), 0, "nor on a fresh one");
    fake.script().clear();
    let mut again = TcpStream::connect(&address).await.unwrap();
    again.write_all(raw_request("m").as_bytes()).await.unwrap();
    assert!(again.read(&mut buffer).await.unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_json_array_is_its_last_element() {
    let fake = Fake::new();
    let body = (CALLERS[2].body)("", true).to_string();
    for (name, elements) in [("error-3", 4), ("error-first", 1), ("empty", 1)] {
        let path = format!("/v1beta/models/m!{name}:streamGenerateContent?key=k");
        let got = send(&fake, "POST", &path, &[], &body).await.unwrap().json();
        assert_eq!(got.as_array().unwrap().len(), elements, "{name}");
        assert_eq!(got[elements - 1]["error"].is_object(), name != "empty", "{name}");
    }
}
