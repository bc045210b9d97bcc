//! What is remembered of sick targets: breakers, rests, probes, and the way back.

use std::time::Duration;

use jumpseat_gateway::clock::Clock;
use jumpseat_gateway::fleet::memory::lock;
use tokio::time::{Instant, sleep};
use types::time::UnixMillis;

use crate::framing::has_health_check;
use crate::house::{DIALECTS, House, NAMES, chat, indent, provider, three};
use crate::ingress::sample;

const ROUTE: &str = "
timeouts: { first_token: 5s }
tiers:
  - { targets: [primary/alpha] }
  - { targets: [second/beta] }
";

/// Calls until the primary's breaker is open.
async fn open(house: &House) {
    house.always("primary", "503");
    for _ in 0..3 {
        house.call(&chat("chat", false)).await;
    }
    assert_eq!(house.metric(&["jumpseat_breaker_state{", "primary/alpha"]), 2.0, "open");
}

#[tokio::test(start_paused = true)]
async fn a_dead_target_is_remembered_and_calls_pay_for_it_no_more() {
    for (ingress, dialect) in sample() {
        for stream in [false, true] {
            let house = House::new(&NAMES, &three(dialect, ROUTE)).asked_in(ingress);
            open(&house).await;
            let before = house.attempts("primary");
            for _ in 0..50 {
                let reply = house.call(&chat("chat", stream)).await;
                assert_eq!(
                    reply.header("x-jumpseat-target"),
                    "second/beta",
                    "{dialect} {ingress:?}"
                );
                assert_eq!(reply.header("x-jumpseat-attempts"), "1", "{dialect} {ingress:?}");
                assert_eq!(
                    reply.header("x-jumpseat-fallback-reason"),
                    "breaker_open",
                    "{dialect} {ingress:?}"
                );
                assert_eq!(reply.head_after.as_millis(), 0, "{dialect} {ingress:?}");
            }
            assert_eq!(house.attempts("primary"), before, "{dialect} {ingress:?}");
            assert_eq!(
                house.metric(&["jumpseat_fallbacks_total{", "breaker_open"]),
                50.0,
                "{dialect} {ingress:?}: {}",
                house.metrics()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_brings_a_target_back_and_one_that_fails_keeps_it_out_for_longer() {
    for stream in [false, true] {
        let house = House::new(&NAMES, &three("openai_chat", ROUTE));
        open(&house).await;
        let opened = Instant::now();
        // Fails its first probe, passes its second.
        house.steps("primary", &["503"], "ok");
        let before = house.attempts("primary");
        let mut tried = Vec::new();
        let mut seen = before;
        while opened.elapsed() < Duration::from_secs(120) {
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 200);
            if house.attempts("primary") > seen {
                seen = house.attempts("primary");
                tried.push((opened.elapsed().as_secs(), reply.header("x-jumpseat-target").to_owned()));
            }
            if tried.len() == 2 {
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
        assert!((24..=31).contains(&tried[0].0), "{tried:?}");
        assert_eq!(
            tried[0].1, "second/beta",
            "the caller does not notice the probe's failure"
        );
        assert!((48..=61).contains(&(tried[1].0 - tried[0].0)), "{tried:?}");
        assert_eq!(tried[1].1, "primary/alpha");
        assert_eq!(
            house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
            0.0,
            "closed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_concurrent_calls_one_is_the_probe() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    open(&house).await;
    sleep(Duration::from_secs(31)).await;
    house.always("primary", r#"{"delay": "2s"}"#);
    let before = house.attempts("primary");
    let body = chat("chat", false);
    let replies = futures_util::future::join_all((0..20).map(|_| house.call(&body))).await;
    assert_eq!(house.attempts("primary"), before + 1);
    let by_primary = replies
        .iter()
        .filter(|r| r.header("x-jumpseat-target") == "primary/alpha");
    assert_eq!(by_primary.count(), 1);
    assert!(replies.iter().all(|r| r.status == 200));
}

#[tokio::test(start_paused = true)]
async fn a_429_fails_a_probe() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    open(&house).await;
    sleep(Duration::from_secs(31)).await;
    house.steps("primary", &[r#"{"status": 429, "retry_after": "30s"}"#], "ok");
    house.call(&chat("chat", false)).await;
    assert_eq!(
        house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
        2.0,
        "open again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_gives_its_place_back() {
    for stream in [false, true] {
        let house = House::new(&NAMES, &three("openai_chat", ROUTE));
        open(&house).await;
        sleep(Duration::from_secs(31)).await;
        house.always("primary", "silence");
        let before = house.attempts("primary");
        {
            let body = chat("chat", stream);
            let _ = tokio::time::timeout(Duration::from_millis(300), house.call(&body)).await;
        }
        sleep(Duration::from_millis(100)).await;
        assert_eq!(house.attempts("primary"), before + 1);
        assert_eq!(house.entries("primary").last().unwrap().outcome, "cancelled");
        house.always("primary", "ok");
        let reply = house.call(&chat("chat", stream)).await;
        assert_eq!(
            reply.header("x-jumpseat-target"),
            "primary/alpha",
            "the next call is the probe"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_on_our_side_gives_its_place_back() {
    let house = House::new(&NAMES, &three("anthropic_messages", ROUTE));
    open(&house).await;
    sleep(Duration::from_secs(31)).await;
    house.always("primary", "ok");
    let before = house.attempts("primary");
    let mut body = chat("chat", false);
    body["n"] = serde_json::json!(2);
    house.call(&body).await;
    assert_eq!(house.attempts("primary"), before, "Anthropic has no `n`");
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_proven_its_target_after_five_seconds_of_content() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, ROUTE));
        open(&house).await;
        sleep(Duration::from_secs(31)).await;
        house.always("primary", "drip-1s");
        let mut probe = house.begin(&chat("chat", true), &[]).await;
        for _ in 0..4 {
            probe.piece().await.unwrap().unwrap();
        }
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{dialect}: not yet");
        for _ in 0..6 {
            probe.piece().await.unwrap().unwrap();
        }
        house.always("primary", "ok");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_health_check_that_succeeds_lets_the_next_call_probe_at_once_and_closes_nothing_itself() {
    for dialect in DIALECTS.into_iter().filter(|dialect| has_health_check(dialect)) {
        let yaml = format!(
            "checks: {{ interval: 5s }}\nbreaker: {{ open: 5m, open_max: 10m }}\n{}",
            three(dialect, ROUTE)
        );
        let house = House::new(&NAMES, &yaml);
        house.check_health();
        open(&house).await;
        let checks = || house.fake("primary").log().entries().len() - house.attempts("primary");
        sleep(Duration::from_secs(21)).await;
        assert!((4..=5).contains(&checks()), "{dialect}: {}", checks());
        assert_eq!(
            house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
            2.0,
            "{dialect}: still open"
        );
        house.always("primary", "ok");
        sleep(Duration::from_secs(6)).await;
        assert_eq!(
            house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
            1.0,
            "{dialect}: half-open"
        );
        sleep(Duration::from_secs(20)).await;
        assert_eq!(
            house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
            1.0,
            "{dialect}: half-open still"
        );
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{dialect}");
        assert_eq!(
            house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
            0.0,
            "{dialect}: closed"
        );
        let asked = checks();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(checks(), asked, "{dialect}: who is well is not asked");
    }
}

const CHECKED: &str = "checks: { interval: 5s }\nbreaker: { open: 5m, open_max: 10m }\n";

#[tokio::test(start_paused = true)]
async fn a_silent_provider_delays_no_other_ones_health_check() {
    let house = House::new(&NAMES, &format!("{CHECKED}{}", three("openai_chat", ROUTE)));
    house.check_health();
    house.always("second", "503");
    open(&house).await;
    house.always("primary", "silence");
    house.always("second", "ok");
    for name in ["primary/alpha", "second/beta"] {
        assert_eq!(house.metric(&["jumpseat_breaker_state{", name]), 2.0, "{name}");
    }
    sleep(Duration::from_secs(6)).await;
    assert_eq!(house.metric(&["jumpseat_breaker_state{", "second/beta"]), 1.0);
    // Nor its own: the check that is given up is followed by the next one.
    house.always("primary", "ok");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(house.metric(&["jumpseat_breaker_state{", "primary/alpha"]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_with_many_open_targets_is_asked_once_a_round() {
    let route = "tiers: [{ targets: [primary/alpha] }, { targets: [primary/omega] }, { targets: [second/beta] }]";
    let house = House::new(&NAMES, &format!("{CHECKED}{}", three("openai_chat", route)));
    house.check_health();
    open(&house).await;
    let asked = || house.fake("primary").log().entries().len() - house.attempts("primary");
    sleep(Duration::from_secs(11)).await;
    assert_eq!(asked(), 2);
    house.always("primary", "ok");
    sleep(Duration::from_secs(5)).await;
    for name in ["primary/alpha", "primary/omega"] {
        assert_eq!(house.metric(&["jumpseat_breaker_state{", name]), 1.0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_could_not_be_connected_to_is_back_with_its_next_health_check() {
    let house = House::new(&NAMES, &format!("{CHECKED}{}", three("openai_chat", ROUTE)));
    // Begun at the same paused moment as the house's own.
    let clock = Clock::starting_at(UnixMillis(0));
    house.check_health();
    let provider = house.app.snapshot.load().providers[0].clone().unwrap();
    for _ in 0..3 {
        lock(&provider.cell).connect_failed(clock.now());
    }
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "left out");
    assert_eq!(
        house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
        0.0,
        "though its target's own breaker is closed"
    );
    sleep(Duration::from_millis(5_100)).await;
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha");
    let asked = || house.fake("primary").log().entries().len() - house.attempts("primary");
    assert_eq!(asked(), 1);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(asked(), 1, "who is well is not asked");
}

#[tokio::test(start_paused = true)]
async fn when_everything_is_open_the_least_bad_target_is_still_tried_once() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    house.always("primary", "503");
    house.always("second", "503");
    for _ in 0..4 {
        assert_eq!(house.call(&chat("chat", false)).await.status, 503);
    }
    let before = house.attempts("primary") + house.attempts("second");
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.status, 503);
    assert_eq!(
        house.attempts("primary") + house.attempts("second"),
        before + 1,
        "one attempt, no retry"
    );
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}: the earliest recovery");
    assert_eq!(reply.header("x-should-retry"), "false");

    house.always("primary", "ok");
    house.always("second", "ok");
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.status, 200, "a forced attempt that succeeds serves");
    assert_eq!(house.call(&chat("chat", false)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_concurrent_calls_to_a_503_only_target_cost_few_attempts() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let house = House::new(&NAMES, &three(dialect, "tiers: [{ targets: [primary/alpha] }]"));
            house.always("primary", r#"{"status": 503, "delay": "50ms"}"#);
            let body = chat("chat", stream);
            let replies = futures_util::future::join_all((0..64).map(|_| house.call(&body))).await;
            for reply in &replies {
                assert_eq!(reply.status, 503, "{dialect}");
                assert_eq!(
                    reply.header("x-should-retry"),
                    "false",
                    "{dialect}: the SDKs make no attempts of their own"
                );
            }
            let attempts = house.attempts("primary");
            assert!(
                attempts <= 64 * 13 / 10 + 10,
                "{dialect}: {attempts} attempts for 64 calls"
            );
            assert_eq!(
                house.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
                2.0,
                "{dialect}: tripped"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_flapping_sends_few_attempts_to_the_sick_one_and_it_is_soon_back() {
    let rows: &[(u64, u64, u64, bool)] = &[
        (2, 2, 200, false),
        (2, 2, 1_000, true),
        (1, 4, 200, true),
        (1, 4, 4_000, false),
        (10, 10, 200, true),
        (10, 10, 1_000, false),
        (10, 10, 4_000, true),
    ];
    for &(up, down, every_ms, stream) in rows {
        let name = format!("{up} s well, {down} s sick, a call every {every_ms} ms");
        let house = House::new(&NAMES, &three("openai_chat", ROUTE));
        house.check_health();
        house.always("primary", &format!("flap-{up}s-{down}s"));
        let begun = Instant::now();
        let mut calls = 0;
        while begun.elapsed() < Duration::from_secs(60) {
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.status, 200, "{name}: nobody notices");
            assert!(!stream || reply.heard().done, "{name}");
            calls += 1;
            sleep(Duration::from_millis(every_ms)).await;
        }
        let failed = house.entries("primary").iter().filter(|e| e.status == 503).count();
        assert!(failed <= 10 + calls / 8, "{name}: {failed} failures for {calls} calls");
        house.always("primary", "ok");
        let well = Instant::now();
        while house.call(&chat("chat", stream)).await.header("x-jumpseat-target") != "primary/alpha" {
            assert!(well.elapsed() <= Duration::from_secs(30), "{name}: not back after 30 s");
            sleep(Duration::from_millis(every_ms)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_is_over_thirty_seconds_after_it_ends() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    house.check_health();
    house.always("primary", "503");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        assert_eq!(house.call(&chat("chat", false)).await.status, 200);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(house.attempts("primary") <= 8, "{}", house.attempts("primary"));
    house.always("primary", "ok");
    let well = Instant::now();
    while house.call(&chat("chat", false)).await.header("x-jumpseat-target") != "primary/alpha" {
        assert!(well.elapsed() <= Duration::from_secs(30), "not back after 30 s");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Two providers nobody listens at, `lost` and `gone`, in one failure domain with `near`; `far` stands elsewhere.
fn lost() -> String {
    let domain = |name: &str| {
        format!(
            "  {name}: {{ dialect: openai_chat, base_url: \"http://{name}.test/v1\", api_key: k, failure_domain: shared }}\n"
        )
    };
    format!(
        "providers:\n{}{}{}{}routes:\n{}",
        domain("lost"),
        domain("gone"),
        domain("near"),
        provider("far", "anthropic_messages"),
        indent(
            "one: { tiers: [{ targets: [lost/a] }, { targets: [far/x] }] }
two: { tiers: [{ targets: [lost/b] }, { targets: [far/x] }] }
three: { tiers: [{ targets: [gone/a] }, { targets: [far/x] }] }
home: { tiers: [{ targets: [near/m] }, { targets: [far/x] }] }",
            2
        )
    )
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_be_reached_is_left_out_with_all_its_targets() {
    let house = House::new(&["near", "far"], &lost());
    let reply = house.call(&chat("one", false)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-jumpseat-fallback-reason"), "network");
    house.call(&chat("one", false)).await;
    let reply = house.call(&chat("two", false)).await;
    assert_eq!(
        reply.header("x-jumpseat-attempts"),
        "1",
        "another target of the same provider is not even tried"
    );
    assert_eq!(reply.header("x-jumpseat-target"), "far/x");
}

#[tokio::test(start_paused = true)]
async fn when_two_providers_of_a_failure_domain_are_down_other_domains_come_first() {
    let house = House::new(&["near", "far"], &lost());
    let reply = house.call(&chat("home", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "near/m");
    for _ in 0..4 {
        house.call(&chat("one", false)).await;
        house.call(&chat("three", false)).await;
    }
    let reply = house.call(&chat("home", false)).await;
    assert_eq!(
        reply.header("x-jumpseat-target"),
        "far/x",
        "its own domain is in trouble"
    );
    // Last, not never: when the others fail it still serves.
    house.always("far", "503");
    let reply = house.call(&chat("home", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "near/m");
}

#[tokio::test(start_paused = true)]
async fn a_pooled_connection_that_dies_is_replaced_free_of_charge() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let house = House::new(&NAMES, &three(dialect, ROUTE));
            for n in 0..5 {
                house.always("primary", "ok");
                assert_eq!(
                    house.call(&chat("chat", stream)).await.header("x-jumpseat-target"),
                    "primary/alpha"
                );
                sleep(Duration::from_millis(10)).await;
                // The second request of the connection meets its end.
                house.steps("primary", &["reset"], "ok");
                let reply = house.call(&chat("chat", stream)).await;
                assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{dialect} {n}");
                assert!(
                    reply.head_after < Duration::from_millis(20),
                    "{dialect} {n}: without a wait"
                );
                assert_eq!(house.attempts("primary"), 3 * (n + 1), "{dialect}");
            }
            assert_eq!(
                house.metric(&["jumpseat_breaker_opened_total{", "primary/alpha"]),
                0.0,
                "{dialect}"
            );
            // On a connection of its own the same is the provider's failure.
            house.always("primary", "reset");
            sleep(Duration::from_secs(60)).await;
            let reply = house.call(&chat("chat", stream)).await;
            assert_eq!(reply.header("x-jumpseat-fallback-reason"), "network", "{dialect}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_without_headroom_is_avoided_before_it_says_429() {
    let route = "tiers: [{ targets: [primary/alpha, second/beta], balance: least_busy }]";
    let house = House::new(&NAMES, &three("openai_chat", route));
    let spent = r#"{"headers": {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}}"#;
    house.always("primary", spent);
    while house.attempts("primary") == 0 {
        house.call(&chat("chat", false)).await;
    }
    for _ in 0..10 {
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(house.attempts("primary"), 1);
    sleep(Duration::from_secs(15)).await;
    for _ in 0..20 {
        house.call(&chat("chat", false)).await;
    }
    assert!(house.attempts("primary") > 1, "its window is new");
}
