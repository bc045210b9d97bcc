//! Model and usage on every path: in the log, in the metrics, and to the client exactly when it asked.

use serde_json::{Value, json};

use crate::framing::{own_prompt_tokens, tells_cached};
use crate::house::{DIALECTS, House, NAMES, after, chat, three};
use crate::ingress::{Ingress, sample};

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
/// What the primary says it used.
const USED: &str = r#"{"usage": {"prompt": 120, "completion": 34, "cached": 20}}"#;

fn tokens(line: &Value) -> [Option<u64>; 2] {
    [line["input_tokens"].as_u64(), line["output_tokens"].as_u64()]
}

#[tokio::test(start_paused = true)]
async fn usage_is_counted_whole_and_streamed_whether_the_client_asked_for_it_or_not() {
    for (ingress, dialect) in sample() {
        for (stream, asks) in [(false, false), (true, false), (true, true)] {
            let name = format!("{dialect} {ingress:?}, stream {stream}, asks {asks}");
            let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
            house.always("primary", USED);
            let input = 120 + own_prompt_tokens(dialect);
            let cached = if tells_cached(dialect) { 20 } else { 0 };
            let mut body = chat("chat", stream);
            if asks {
                body["stream_options"] = json!({"include_usage": true});
            }
            let reply = house.call(&body).await;
            assert_eq!(reply.status, 200, "{name}");
            let told = if stream {
                reply.heard().usage.map(|usage| ingress.counts(&usage))
            } else {
                ingress.usage(&reply.json())
            };
            // Only chat completions have the question; the others always tell.
            let asked = asks || !stream || ingress != Ingress::Chat;
            assert_eq!(told.is_some(), asked, "{name}: to the client when it asked");
            if let Some(told) = told {
                assert_eq!(told, (input, 34, cached), "{name}");
            }
            if stream && !asked {
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                assert!(!text.contains("\"usage\":{"), "{name}: {text}");
            }
            for kind in ["attempt", "call"] {
                let lines = house.log_lines(kind).await;
                assert_eq!(lines.len(), 1, "{name}");
                assert_eq!(tokens(&lines[0]), [Some(input), Some(34)], "{name}: {}", lines[0]);
                for (key, value) in [
                    ("request_id", reply.header("x-jumpseat-call-id")),
                    ("route", "chat"),
                    ("target", "primary/alpha"),
                    ("provider", "primary"),
                    ("model", "alpha"),
                    ("outcome", "success"),
                ] {
                    assert_eq!(lines[0][key], value, "{name}: {key} of {kind}");
                }
                assert_eq!(
                    (&lines[0]["tier"], &lines[0]["status"]),
                    (&json!(1), &json!(200)),
                    "{name}"
                );
                assert!(lines[0]["latency_ms"].is_number(), "{name}");
                assert!(lines[0]["first_token_ms"].is_number(), "{name}: {}", lines[0]);
            }
            assert_eq!(house.log_lines("call").await[0]["cached_tokens"], cached, "{name}");
            let counted = |kind: &str| {
                house.metric(&[
                    "gen_ai_client_token_usage_total{",
                    "primary/alpha",
                    &format!("\"{kind}\""),
                ])
            };
            assert_eq!(
                (counted("input"), counted("output")),
                (input as f64, 34.0),
                "{name}: {}",
                house.metrics()
            );
            assert_eq!(
                house.metric(&["jumpseat_attempts_total{", "primary/alpha", "success"]),
                1.0,
                "{name}"
            );
            assert_eq!(
                house.metric(&["jumpseat_calls_total{", "\"chat\"", "success"]),
                1.0,
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_answers_model_is_the_providers_own_whoever_answers() {
    for (ingress, dialect) in sample() {
        for stream in [false, true] {
            for (fault, model) in [("ok", "alpha"), ("503", "beta")] {
                let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
                house.always("primary", fault);
                let reply = house.call(&chat("chat", stream)).await;
                let told = if stream {
                    reply.heard().models
                } else {
                    vec![ingress.model(&reply.json())]
                };
                assert_eq!(told, [model], "{dialect} {ingress:?}, stream {stream}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_of_a_call_is_accounted_to_its_own_target() {
    for (ingress, dialect) in sample() {
        for stream in [false, true] {
            let name = format!("{dialect} {ingress:?}, stream {stream}");
            let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
            house.always("primary", "503");
            house.always("second", USED);
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 200, "{name}");
            let lines = house.log_lines("attempt").await;
            let told: Vec<_> = lines
                .iter()
                .map(|l| {
                    (
                        l["reason"].as_str().unwrap(),
                        l["target"].as_str().unwrap(),
                        l["status"].as_u64().unwrap(),
                    )
                })
                .collect();
            let expected = [
                ("first", "primary/alpha", 503),
                ("retry", "primary/alpha", 503),
                ("fallback", "second/beta", 200),
            ];
            assert_eq!(told, expected, "{name}");
            assert_eq!(tokens(&lines[0]), [None, None], "{name}");
            assert_eq!(
                tokens(&lines[2]),
                [Some(120 + own_prompt_tokens(after(dialect, 1))), Some(34)],
                "{name}"
            );
            let call = &house.log_lines("call").await[0];
            assert_eq!((&call["attempts"], &call["tier"]), (&json!(3), &json!(2)), "{name}");
            assert_eq!(call["fallback_reason"], "overloaded", "{name}");
            assert_eq!(
                house.metric(&["jumpseat_fallbacks_total{", "\"chat\"", "overloaded"]),
                1.0,
                "{name}"
            );
            assert_eq!(
                house.metric(&["jumpseat_retries_total{", "primary/alpha", "overloaded"]),
                1.0,
                "{name}"
            );
            assert_eq!(
                house.metric(&["jumpseat_attempts_total{", "primary/alpha", "overloaded"]),
                2.0,
                "{name}"
            );
            assert_eq!(
                house.metric(&["jumpseat_calls_served_total{", "tier=\"2\""]),
                1.0,
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_stream_had_used_is_accounted_as_far_as_it_was_told() {
    // Anthropic tells the prompt's tokens with the first event.
    let house = House::new(&NAMES, &three("anthropic_messages", ROUTE));
    house.always("primary", r#"{"usage": {"prompt": 120}, "cut": {"after": 40}}"#);
    let reply = house.call(&chat("chat", true)).await;
    assert!(reply.heard().error.is_some());
    let line = &house.log_lines("attempt").await[0];
    assert_eq!(line["outcome"], "stream_broken");
    assert_eq!(line["input_tokens"], 120, "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_tells_no_usage_leaves_it_unknown_and_not_zero() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            if stream && dialect == "anthropic_messages" {
                // Its streams cannot be without: the fake tells zeros there.
                continue;
            }
            let house = House::new(&NAMES, &three(dialect, ROUTE));
            house.always("primary", "no-usage");
            assert_eq!(house.call(&chat("chat", stream)).await.status, 200);
            let line = &house.log_lines("call").await[0];
            assert_eq!(tokens(line), [None, None], "{dialect}, stream {stream}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_prompt_no_answer_and_no_key_stands_in_the_log_or_the_metrics() {
    for fault in ["ok", "503", "400", "cut-40", "wrong-key"] {
        let house = House::new(&NAMES, &three("openai_chat", ROUTE));
        house.always("primary", fault);
        let mut body = chat("chat", true);
        body["messages"][0]["content"] = json!("a most private question");
        let reply = house.call(&body).await;
        let told = house.log_text().await + &house.metrics();
        for word in ["private", "runway", "secret-", "Bearer", "Answer of"] {
            assert!(!told.contains(word), "{fault}: {word} in {told}");
        }
        assert!(
            reply
                .headers
                .values()
                .all(|v| !v.to_str().unwrap_or("").contains("secret-"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_and_key_order_survive_the_way_to_a_provider_of_the_same_dialect() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    let sent = r#"{ "zebra":{"b":1,"a":[1, 2.50]},  "messages":[{"role":"user","content":"Hello","x":null}],"model":"chat" ,"new_field":"yes"}"#;
    let reply = house
        .send(http::Method::POST, "/v1/chat/completions", &[], sent.into())
        .await;
    assert_eq!(reply.status, 200);
    let came = house.entries("primary")[0].raw_body.clone();
    assert_eq!(String::from_utf8_lossy(&came), sent.replace("\"chat\"", "\"alpha\""));
}

#[tokio::test(start_paused = true)]
async fn each_dialects_bytes_pass_to_a_provider_of_its_own_as_they_came() {
    let rows = [
        (
            Ingress::Chat,
            r#"{ "later":{"b":1,"a":[2.50]}, "messages":[{"content":"Hi","role":"user"}],"model":"chat"}"#,
        ),
        (
            Ingress::Responses,
            r#"{ "later":{"b":1,"a":[2.50]}, "input":"Hi","model":"chat"}"#,
        ),
        (
            Ingress::Messages,
            r#"{ "later":{"b":1,"a":[2.50]}, "max_tokens":64,"messages":[{"content":"Hi","role":"user"}],"model":"chat"}"#,
        ),
        (
            Ingress::Gemini,
            r#"{ "later":{"b":1,"a":[2.50]}, "contents":[{"parts":[{"text":"Hi"}]}]}"#,
        ),
    ];
    for (ingress, body) in rows {
        let house = House::new(
            &NAMES,
            &three(ingress.dialect(), "tiers: [{ targets: [primary/alpha] }]"),
        );
        let (path, headers, _) = ingress.write(&chat("chat", false));
        // Some of the fakes refuse what they do not know, as their providers do: what matters is what came to them.
        house.send(http::Method::POST, &path, &headers, body.into()).await;
        let sent = house.entries("primary").remove(0);
        assert_eq!(sent.raw_body, body.replace(r#""chat""#, r#""alpha""#), "{ingress:?}");
        assert!(
            ingress != Ingress::Gemini || sent.path.contains("/models/alpha:"),
            "{}",
            sent.path
        );
    }
}
