//! Credentials that are refused or spent: they rest, others of the same provider are used, and nobody sees them.

use std::time::Duration;

use tokio::time::sleep;

use crate::house::{DIALECTS, House, NAMES, chat, three};

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
/// The fake refuses every key that holds the word `wrong`.
const WRONG: &str = "sk-wrong-one";
const GOOD: &str = "sk-good-two";

fn with_keys(dialect: &str, keys: &str, route: &str) -> String {
    three(dialect, route).replacen("api_key: secret-primary", &format!("api_keys: [{keys}]"), 1)
}

fn used(house: &House, n: usize) -> String {
    let headers = &house.entries("primary")[n].headers;
    let key = ["authorization", "x-api-key", "x-goog-api-key"]
        .iter()
        .find_map(|h| headers.get(*h));
    key.unwrap().trim_start_matches("Bearer ").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_rests_and_the_next_one_of_the_same_provider_serves_the_same_call() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let house = House::new(&NAMES, &with_keys(dialect, &format!("{WRONG}, {GOOD}"), ROUTE));
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{name}");
            assert_eq!(
                (used(&house, 0), used(&house, 1)),
                (WRONG.into(), GOOD.into()),
                "{name}"
            );
            for _ in 0..5 {
                house.call(&chat("chat", stream)).await;
                sleep(Duration::from_secs(60)).await;
            }
            assert!((2..7).all(|n| used(&house, n) == GOOD), "{name}: the refused one rests");
            // After ten minutes it may show once whether it is well again.
            sleep(Duration::from_secs(310)).await;
            for _ in 0..3 {
                assert_eq!(house.call(&chat("chat", stream)).await.status, 200, "{name}");
            }
            let probes = (7..house.attempts("primary"))
                .filter(|n| used(&house, *n) == WRONG)
                .count();
            assert_eq!(probes, 1, "{name}");
            let log = house.log_text().await;
            assert!(!log.contains("sk-"), "{name}: no key in a log line");
            assert!(
                log.contains("primary#1") && log.contains("primary#2"),
                "{name}: but its name: {log}"
            );
            assert!(!house.metrics().contains("sk-"), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_is_the_credentials_and_not_the_targets() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &with_keys(dialect, "sk-one, sk-two", ROUTE));
        house.steps("primary", &["insufficient-quota"], "ok");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{dialect}");
        assert_eq!(
            (used(&house, 0), used(&house, 1)),
            ("sk-one".into(), "sk-two".into()),
            "{dialect}"
        );
        house.call(&chat("chat", false)).await;
        assert_eq!(used(&house, 2), "sk-two", "{dialect}");
        // Its quota spent too, the call goes on elsewhere; then neither is asked again.
        house.always("primary", "insufficient-quota");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{dialect}");
        let before = house.attempts("primary");
        for _ in 0..5 {
            let reply = house.call(&chat("chat", false)).await;
            assert_eq!(reply.header("x-jumpseat-fallback-reason"), "resting", "{dialect}");
        }
        assert_eq!(house.attempts("primary"), before, "{dialect}");
        assert_eq!(
            house.metric(&["jumpseat_target_resting{", "primary/alpha"]),
            1.0,
            "{dialect}"
        );
        assert_eq!(
            house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
            0.0,
            "{dialect}: closed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_key_rests_at_that_target_only() {
    let route = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
    let yaml = three("openai_chat", route)
        + "  other:\n    tiers: [{ targets: [primary/omega] }, { targets: [second/beta] }]\n";
    let house = House::new(&NAMES, &yaml);
    house
        .fake("primary")
        .script()
        .always("alpha", crate::house::behave("403"));
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "auth");
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "resting");
    let reply = house.call(&chat("other", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "primary/omega");
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_quota_is_spent_leaves_the_key_to_the_providers_other_models() {
    let yaml =
        three("gemini", ROUTE) + "  other:\n    tiers: [{ targets: [primary/omega] }, { targets: [second/beta] }]\n";
    let house = House::new(&NAMES, &yaml);
    let spent = crate::house::behave(r#"{"error": "gemini.quota_per_day"}"#);
    house.fake("primary").script().always("alpha", spent);
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "quota_exhausted");
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "resting");
    let reply = house.call(&chat("other", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "primary/omega");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_of_its_key_leaves_the_next_call_to_probe_it() {
    // 401 rests the key everywhere, 403 at that target alone; neither may be held by a call whose end says nothing.
    for refusal in ["401", "403"] {
        for ending in ["400", "503", "silence"] {
            let name = format!("{refusal}, then {ending}");
            let house = House::new(&NAMES, &three("openai_chat", ROUTE));
            house.steps("primary", &[refusal], ending);
            let reply = house.call(&chat("chat", false)).await;
            assert_eq!(reply.header("x-jumpseat-fallback-reason"), "auth", "{name}");
            sleep(Duration::from_secs(601)).await;
            let before = house.attempts("primary");
            let probing = chat("chat", false);
            // Who meets silence leaves.
            let _ = tokio::time::timeout(Duration::from_millis(900), house.call(&probing)).await;
            assert!(house.attempts("primary") > before, "{name}: it was probed");
            house.always("primary", "ok");
            let reply = house.call(&chat("chat", false)).await;
            assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_of_itself_is_tried_again_with_the_same_key() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    house.steps("primary", &["401", "503"], "ok");
    house.call(&chat("chat", false)).await;
    sleep(Duration::from_secs(601)).await;
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{reply:?}");
    assert_eq!(house.attempts("primary"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_health_check_asks_with_a_key_that_does_not_rest() {
    for dialect in DIALECTS {
        let yaml = format!(
            "checks: {{ interval: 5s }}\nbreaker: {{ open: 5m, open_max: 10m }}\n{}",
            with_keys(dialect, &format!("{WRONG}, {GOOD}"), ROUTE)
        );
        let house = House::new(&NAMES, &yaml);
        house.check_health();
        house.call(&chat("chat", false)).await;
        house.always("primary", "503");
        for _ in 0..3 {
            house.call(&chat("chat", false)).await;
        }
        let state = || house.metric(&["jumpseat_breaker_state{", "primary/alpha"]);
        assert_eq!(state(), 2.0, "{dialect}: open");
        house.always("primary", "ok");
        sleep(Duration::from_secs(6)).await;
        assert_eq!(state(), 1.0, "{dialect}: half-open");
    }
}

#[tokio::test(start_paused = true)]
async fn when_every_key_is_refused_the_client_is_not_told_that_its_own_was() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let route = "tiers: [{ targets: [primary/alpha] }]";
            let house = House::new(&NAMES, &with_keys(dialect, &format!("{WRONG}, sk-wrong-too"), route));
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 502, "{name}: never 401: {reply:?}");
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(!text.contains("sk-") && !text.contains("wrong"), "{name}: {text}");
            assert_eq!(reply.json()["error"]["code"], "upstream_auth", "{name}");
            assert_eq!(reply.header("x-should-retry"), "false", "{name}");
            assert_eq!(house.attempts("primary"), 2, "{name}: each once, none again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_the_client_shows_goes_upstream() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, ROUTE));
        let headers = [
            ("x-api-key", "client"),
            ("cookie", "session=1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("openai-organization", "org-client"),
            ("x-fake-behave", "503"),
        ];
        let reply = house.call_with(&chat("chat", false), &headers).await;
        assert_eq!(
            reply.header("x-jumpseat-target"),
            "primary/alpha",
            "{dialect}: {reply:?}"
        );
        let seen = &house.entries("primary")[0].headers;
        for (name, value) in headers {
            assert_ne!(seen.get(name).map(String::as_str), Some(value), "{dialect}: {name}");
        }
        assert!(seen.values().all(|v| !v.contains("client")), "{dialect}: {seen:?}");
        assert_eq!(used(&house, 0), "secret-primary", "{dialect}");
    }
}
