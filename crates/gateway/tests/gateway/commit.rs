//! The commit: what is held back before it, and what becomes of a stream that breaks behind it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{DIALECTS, House, NAMES, chat, indent, provider, provider_with, three};
use crate::ingress::Ingress;
use crate::ingress::sample;

/// Sixty words, no two neighbours alike, so that a lost or doubled one is seen.
fn sixty() -> String {
    (1..=60).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
}

/// A behaviour that says [`sixty`] and something more.
fn says(more: Value) -> String {
    let mut behaviour = json!({"text": sixty()});
    behaviour
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    behaviour.to_string()
}

fn two_tiers(keys: &str) -> String {
    format!(
        "{keys}\ntimeouts: {{ first_token: 5s, idle: 8s }}\ntiers: [{{ targets: [primary/alpha] }}, {{ targets: [second/beta] }}, {{ targets: [third/gamma] }}]"
    )
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_downstream_when_it_comes_and_is_not_kept_for_the_next() {
    for (ingress, dialect) in sample() {
        let house = House::new(&NAMES, &three(dialect, &two_tiers(""))).asked_in(ingress);
        house.always("primary", "drip-1s");
        let begun = tokio::time::Instant::now();
        let mut running = house.begin(&chat("chat", true), &[]).await;
        let mut words = 0;
        while words < 20 {
            let piece = running.piece().await.unwrap().unwrap();
            let new = ingress.heard(std::str::from_utf8(&piece).unwrap()).words();
            assert!(new <= 1, "{dialect} {ingress:?}: one by one");
            words += new;
            assert_eq!(
                begun.elapsed().as_secs(),
                (words as u64).saturating_sub(1),
                "{dialect} {ingress:?}: word {words}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_replaced_whole_when_the_stream_breaks() {
    for (ingress, dialect) in sample() {
        for (fault, after) in [("cut-5", 0), ("eof-5", 0), ("error-5", 0), ("stall-5", 8)] {
            let name = format!("{fault} at {dialect} {ingress:?}");
            let route = two_tiers("on_stream_failure: { hold_back: 4KB }\nretries: 0");
            let house = House::new(&NAMES, &three(dialect, &route)).asked_in(ingress);
            house.always("primary", fault);
            let reply = house.call(&chat("chat", true)).await;
            let heard = reply.heard();
            assert!(heard.done && heard.error.is_none(), "{name}: {heard:?}");
            assert!(
                heard.text.contains("beta") && !heard.text.contains("alpha"),
                "{name}: {heard:?}"
            );
            assert_eq!(heard.words(), 60, "{name}: {heard:?}");
            assert_eq!(heard.ids.len(), 1, "{name}");
            assert_eq!(reply.head_after.as_secs(), after, "{name}");
            assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 1), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_what_is_held_back_a_break_is_told_and_a_short_answer_is_given_at_its_end() {
    for (ingress, dialect) in sample() {
        let route = two_tiers("on_stream_failure: { hold_back: 64 }");
        let house = House::new(&NAMES, &three(dialect, &route)).asked_in(ingress);
        house.always("primary", "cut-40");
        let heard = house.call(&chat("chat", true)).await.heard();
        let told = ingress.error(heard.error.as_ref().unwrap());
        assert_eq!(
            told.word,
            ingress.word("stream_broken"),
            "{dialect} {ingress:?}: {heard:?}"
        );
        assert_eq!(heard.words(), 40, "{dialect} {ingress:?}");

        let house = House::new(
            &NAMES,
            &three(dialect, &two_tiers("on_stream_failure: { hold_back: 1MB }")),
        )
        .asked_in(ingress);
        house.always("primary", "drip-1s");
        let reply = house.call(&chat("chat", true)).await;
        assert!(
            reply.heard().done && reply.heard().words() == 60,
            "{dialect} {ingress:?}"
        );
        assert_eq!(
            reply.head_after.as_secs(),
            59,
            "{dialect} {ingress:?}: committed with its end"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_continued_by_another_target_as_one_answer() {
    for (ingress, dialect) in sample() {
        for fault in ["reset", "eof"] {
            for how in ["exact", "repeat", "restart", "paraphrase"] {
                let name = format!("{fault}, {how}, {dialect} {ingress:?} first");
                let house =
                    House::new(&NAMES, &three(dialect, &two_tiers("on_stream_failure: resume"))).asked_in(ingress);
                house.always("primary", &says(json!({"cut": {"after": 40, "how": fault}})));
                house.always("second", &says(json!({"continue": how})));
                let mut body = chat("chat", true);
                body["stream_options"] = json!({"include_usage": true});
                let reply = house.call(&body).await;
                let heard = reply.heard();
                assert!(heard.done && heard.error.is_none(), "{name}: {heard:?}");
                assert_eq!(heard.finish.as_deref(), Some("stop"), "{name}");
                assert_eq!((heard.ids.len(), heard.models.len()), (1, 1), "{name}: {heard:?}");
                assert_eq!(heard.models[0], "alpha", "{name}: the first target's model is kept");
                assert!(heard.usage.is_some(), "{name}: {heard:?}");
                let all = sixty();
                if how == "paraphrase" {
                    let forty = all.split(' ').take(40).collect::<Vec<_>>().join(" ");
                    assert!(
                        heard.text.starts_with(&forty) && heard.text.ends_with("word60"),
                        "{name}: {heard:?}"
                    );
                } else {
                    assert_eq!(heard.text, all, "{name}");
                }
                assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 1), "{name}");
                let lines = house.log_lines("attempt").await;
                assert_eq!(
                    (&lines[0]["outcome"], &lines[0]["reason"]),
                    (&json!("stream_broken"), &json!("first"))
                );
                assert_eq!(
                    (&lines[1]["outcome"], &lines[1]["reason"]),
                    (&json!("success"), &json!("resume"))
                );
                assert!(lines[1]["output_tokens"].as_u64() > Some(0), "{name}: {lines:?}");
                let call = &house.log_lines("call").await[0];
                assert_eq!(call["outcome"], "success", "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_is_continued_too() {
    for (ingress, dialect) in sample() {
        let house = House::new(&NAMES, &three(dialect, &two_tiers("on_stream_failure: resume"))).asked_in(ingress);
        house.always("primary", &says(json!({"silence": {"after": 20}})));
        house.always("second", &says(json!({})));
        let reply = house.call(&chat("chat", true)).await;
        assert_eq!(reply.heard().text, sixty(), "{dialect} {ingress:?}");
        assert_eq!(reply.whole_after.as_secs(), 8, "{dialect} {ingress:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_refuses_a_prefill_is_asked_by_instruction_instead() {
    for dialect in DIALECTS {
        let yaml = format!(
            "providers:\n{}{}routes:\n  chat:\n{}",
            provider("primary", "openai_chat"),
            provider_with("second", dialect, ", models: { beta: { prefill: true } }"),
            indent(
                "on_stream_failure: resume\ntiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]",
                4
            ),
        );
        for refuses in [false, true] {
            let name = format!("{dialect}, refuses {refuses}");
            let house = House::new(&["primary", "second"], &yaml);
            house.always("primary", &says(json!({"cut": {"after": 40}})));
            let how = if refuses { "refuse_prefill" } else { "exact" };
            house.always("second", &says(json!({"continue": how})));
            let mut body = chat("chat", true);
            body["max_tokens"] = json!(500);
            let heard = house.call(&body).await.heard();
            assert!(heard.done && heard.error.is_none(), "{name}: {heard:?}");
            assert_eq!(heard.text, sixty(), "{name}");
            let asked = house.entries("second");
            assert_eq!(asked.len(), 1 + usize::from(refuses), "{name}: {asked:?}");
            let turns = |n: usize| {
                let body = &asked[n].body;
                let turns = ["messages", "contents", "input"]
                    .iter()
                    .find_map(|turns| body[turns].as_array())
                    .unwrap();
                turns.last().unwrap()["role"].as_str().unwrap().to_owned()
            };
            assert!(
                ["assistant", "model"].contains(&turns(0).as_str()),
                "{name}: by prefill"
            );
            if refuses {
                assert_eq!(turns(1), "user", "{name}: by instruction");
            }
            let limit = &asked.last().unwrap().body;
            let limit = [
                &limit["max_tokens"],
                &limit["max_output_tokens"],
                &limit["inferenceConfig"]["maxTokens"],
                &limit["options"]["num_predict"],
                &limit["max_completion_tokens"],
                &limit["generationConfig"]["maxOutputTokens"],
            ];
            let limit = limit.iter().find_map(|l| l.as_u64()).unwrap();
            assert!(limit < 500, "{name}: what was said counts against the limit: {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_one_that_continues_breaks_too_the_next_goes_on_and_at_last_the_client_is_told() {
    let house = House::new(&NAMES, &three("openai_chat", &two_tiers("on_stream_failure: resume")));
    house.always("primary", &says(json!({"cut": {"after": 20}})));
    house.always("second", &says(json!({"cut": {"after": 20}})));
    house.always("third", &says(json!({})));
    let heard = house.call(&chat("chat", true)).await.heard();
    assert_eq!(heard.text, sixty());
    assert_eq!(house.attempts("third"), 1);

    house.always("second", "503");
    house.always("third", "503");
    let reply = house.call(&chat("chat", true)).await;
    let heard = reply.heard();
    let told = reply.broke();
    assert_eq!(told.word, "stream_broken", "its own end, not the helpers'");
    assert_eq!(heard.words(), 20);
    assert!(!heard.done && reply.complete);
    let tried: Vec<&str> = told.attempts.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(tried, ["stream_broken", "overloaded", "overloaded"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_continue_ends_with_an_error_instead() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let schema = json!({"type": "json_schema", "json_schema": {"name": "x", "schema":
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}});
    let rows: &[(&str, Value, &str, &[&str])] = &[
        (
            "a tool call",
            json!({"tools": tools}),
            r#"{"cut": {"after": 1}}"#,
            &DIALECTS,
        ),
        ("more than one choice", json!({"n": 2}), "cut-10", &["openai_chat"]),
        (
            "log probabilities",
            json!({"logprobs": true}),
            "cut-10",
            &["openai_chat"],
        ),
        (
            "structured output",
            json!({"response_format": schema}),
            r#"{"cut": {"after": 1}}"#,
            &DIALECTS,
        ),
        (
            "open reasoning",
            json!({}),
            r#"{"name": "reasoning", "cut": {"after": 3}}"#,
            &DIALECTS,
        ),
        (
            "a refusal",
            json!({}),
            r#"{"name": "refusal", "cut": {"after": 3}}"#,
            &["openai_chat"],
        ),
    ];
    for (what, more, fault, dialects) in rows {
        for dialect in *dialects {
            let name = format!("{what} at {dialect}");
            let house = House::new(&NAMES, &three(dialect, &two_tiers("on_stream_failure: resume")));
            house.always("primary", fault);
            let mut body = chat("chat", true);
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let reply = house.call(&body).await;
            let heard = reply.heard();
            assert!(
                heard.error.is_some() && !heard.done && reply.complete,
                "{name}: {reply:?}"
            );
            assert_eq!(reply.broke().word, "stream_broken", "{name}");
            assert_eq!((house.attempts("primary"), house.attempts("second")), (1, 0), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn early_headers_keep_the_line_open_and_failures_arrive_as_events() {
    let yaml = |tiers: &str| format!("server: {{ early_headers: true }}\n{}", three("openai_chat", tiers));
    for ingress in Ingress::ALL {
        let patient = two_tiers("").replace("first_token: 5s", "first_token: 100s");
        let house = House::new(&NAMES, &yaml(&patient)).asked_in(ingress);
        house.always("primary", "slow-90s");
        let begun = tokio::time::Instant::now();
        let mut running = house.begin(&chat("chat", true), &[]).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{ingress:?}: headers at once");
        assert_eq!(running.response.status(), 200);
        assert!(running.response.headers().contains_key("x-jumpseat-call-id"));
        let (mut waits, mut last, mut text) = (0, begun, String::new());
        while let Some(Ok(piece)) = running.piece().await {
            let piece = String::from_utf8(piece.to_vec()).unwrap();
            let silence = last.elapsed();
            assert!(
                silence <= Duration::from_secs(30),
                "{ingress:?}: nothing for {silence:?}"
            );
            last = tokio::time::Instant::now();
            // Google's SDKs take a comment for a broken chunk, and skip empty lines.
            let wait = if ingress == Ingress::Gemini {
                "\n\n"
            } else {
                ": waiting\n\n"
            };
            waits += usize::from(piece == wait);
            text.push_str(&piece);
        }
        assert!(
            waits >= 3,
            "{ingress:?}: the line is kept open while the commit waits: {waits}"
        );
        assert_eq!(
            text.contains("\n:") || text.starts_with(':'),
            ingress != Ingress::Gemini,
            "{ingress:?}"
        );
        assert!(ingress.heard(&text).done, "{ingress:?}: {text}");

        let house = House::new(&NAMES, &yaml("tiers: [{ targets: [primary/alpha] }]")).asked_in(ingress);
        house.always("primary", "503");
        let reply = house.call(&chat("chat", true)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.broke().word, ingress.word("server_is_overloaded"), "{ingress:?}");
        assert!(!reply.heard().done && reply.complete, "{ingress:?}");
    }
}
