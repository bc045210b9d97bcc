//! Budgets: what is chosen, refused and told as money grows short, and that the ledger and the counters say the same.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use jumpseat_gateway::stores::{Keeping, Stores};
use serde_json::{Value, json};
use store::records::Records;
use store::records::keys::KeyRecord;
use store::records::query::CallQuery;
use store::records::writer::{Writer, WriterOptions};
use store::shared::Shared;
use tokio::io::AsyncWriteExt;
use types::ids::InstanceId;
use types::money::NanoDollars;
use types::record::{AttemptRecord, Basis};
use types::spend::BudgetState;
use types::time::UnixMillis;

use crate::house::{House, Reply, WALL, chat, provider_with};
use crate::ingress::{Ingress, sample};
use crate::keys::key;

/// A premium and a standard model at a tenth of its price, and an economy one at a hundredth: dollars a thousand tokens.
fn providers(dialect: &str) -> String {
    let priced = |tier: &str, price: &str, name: &str| {
        format!(", models: {{ {name}: {{ model_tier: {tier}, price: {{ input: {price}, output: {price} }} }} }}")
    };
    format!(
        "providers:\n{}{}{}",
        provider_with("primary", dialect, &priced("premium", "1000", "alpha")),
        provider_with("second", dialect, &priced("standard", "100", "beta")),
        provider_with("third", dialect, &priced("economy", "10", "gamma")),
    )
}

const ROUTE: &str = "routes:\n  chat: { tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }, { targets: [third/gamma] }] }\n";

fn yaml(dialect: &str, budgets: &str) -> String {
    format!("{}{ROUTE}budgets:\n{budgets}", providers(dialect))
}

/// Records in memory, and counters in memory.
async fn stores() -> Stores {
    let instance = InstanceId::from("one");
    stores_on(Shared::memory(instance)).await
}

async fn stores_on(shared: Shared) -> Stores {
    let records = Records::open("sqlite::memory:").await.unwrap();
    keeping(records, shared)
}

fn keeping(records: Records, shared: Shared) -> Stores {
    let options = WriterOptions {
        flush: Duration::from_millis(10),
        spool: None,
        spool_bytes_max: 0,
        queue_max: 10_000,
    };
    let writer = Writer::start(records.clone(), options);
    Stores::of(shared.instance().clone(), Some(Keeping { records, writer }), shared)
}

const NAMES: [&str; 3] = ["primary", "second", "third"];

/// A house whose budgets have begun, as at a start: a paused clock runs ahead while a call waits for the ledger. It does not while
/// something blocks.
async fn kept(yaml: &str, keys: Vec<KeyRecord>, stores: Stores, wall: UnixMillis) -> House {
    let house = House::kept(&NAMES, yaml, keys, stores, wall);
    let snapshot = house.app.snapshot.load_full();
    let now = house.app.spender.clock.now().wall;
    let (done, begun) = std::sync::mpsc::channel::<()>();
    let clock_stands = tokio::task::spawn_blocking(move || begun.recv());
    house.app.spender.begin_all(&snapshot.budgets, now).await;
    drop(done);
    let _ = clock_stands.await;
    house
}

async fn house(dialect: &str, budgets: &str) -> House {
    kept(&yaml(dialect, budgets), vec![], stores().await, WALL).await
}

/// From now on each call takes so many tokens of prompt and answer together.
fn takes(house: &House, tokens: u64) {
    for name in NAMES {
        let usage = json!({"usage": {"prompt": tokens / 2, "completion": tokens - tokens / 2}});
        house.always(name, &usage.to_string());
    }
}

fn asking(max_tokens: u64, stream: bool) -> Value {
    let mut body = chat("chat", stream);
    body["max_tokens"] = json!(max_tokens);
    body
}

/// Everything written, and the counter of a budget.
async fn books(house: &House, budget: &str) -> (Vec<AttemptRecord>, BudgetState) {
    tokio::time::sleep(Duration::from_millis(1)).await;
    let keeping = house.app.spender.stores.records.clone().unwrap();
    keeping.writer.flush().await;
    let query = CallQuery {
        limit: 10_000,
        ..CallQuery::default()
    };
    let attempts = keeping.records.attempts(&query).await.unwrap();
    let snapshot = house.app.snapshot.load_full();
    let of_keys = house.app.spender.keys.budgets();
    let mut known = snapshot.budgets.iter().chain(&of_keys);
    let known = known.find(|known| known.policy.id.as_str() == budget).cloned().unwrap();
    let window = known.window(house.app.spender.clock.now().wall);
    let state = house.app.spender.stores.shared.budget(&window).unwrap_or_default();
    let total = keeping.records.spent(&window.budget, window.start).await.unwrap();
    assert_eq!(total, state.spent, "the ledger's sum is the counter's");
    let charged = attempts.iter().filter(|a| {
        a.charges
            .iter()
            .any(|c| c.budget == window.budget && c.window == window.start)
    });
    assert_eq!(
        charged.map(|a| a.cost).sum::<NanoDollars>(),
        state.spent,
        "and so is the sum of its lines"
    );
    (attempts, state)
}

fn dollars(text: &str) -> NanoDollars {
    let nano = text.parse::<f64>().unwrap() * 1e9;
    NanoDollars(nano.round() as u64)
}

#[tokio::test(start_paused = true)]
async fn as_money_grows_short_cheaper_models_serve_and_at_its_end_a_429_names_the_budget() {
    for (ingress, dialect) in sample() {
        for stream in [false, true] {
            let name = format!("{ingress:?} {dialect} {stream}");
            let house = house(dialect, "  daily: { limit_usd: 10 }\n").await.asked_in(ingress);
            let mut told = Vec::new();
            // A thousand tokens: 1 dollar, 10 cents, 1 cent.
            takes(&house, 1000 - crate::framing::own_prompt_tokens(dialect));
            for _ in 0..90 {
                let reply = house.call(&asking(500, stream)).await;
                if reply.status != 200 {
                    break;
                }
                told.push(format!(
                    "{} {}",
                    reply.header("x-jumpseat-spend-level"),
                    reply.header("x-jumpseat-model-tier")
                ));
            }
            let count = |word: &str| told.iter().filter(|t| *t == word).count();
            assert_eq!(count("quality premium"), 2, "{name}: above 80 %: {told:?}");
            assert_eq!(count("balanced standard"), 60, "{name}: above 20 %");
            assert!(count("cheapest economy") > 20, "{name}: {told:?}");
            assert_eq!(told.len(), 90, "{name}: nothing else");
            // What is left is taken at once.
            house.always("third", r#"{"usage": {"prompt": 500000, "completion": 1}}"#);
            house.call(&asking(20, stream)).await;
            let refused = house.call(&asking(20, stream)).await;
            assert_eq!(refused.status, 429, "{name}");
            let message = refused.told().message;
            assert!(message.contains("budget `daily` is used up"), "{name}: {message}");
            assert!(message.contains("2026-11-22T00:00:00Z"), "{name}: {message}");
            let text = String::from_utf8_lossy(&refused.body).into_owned();
            assert!(text.to_lowercase().contains("budget_exceeded"), "{name}: {text}");
            assert_eq!(refused.header("x-jumpseat-spend-level"), "exhausted", "{name}");
            assert_eq!(
                (refused.header("retry-after"), refused.header("x-should-retry")),
                ("", "false"),
                "{name}: it is a day away"
            );
            let count = json!({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]});
            let version = [("anthropic-version", "2023-06-01")];
            let counted = house
                .send(
                    Method::POST,
                    "/v1/messages/count_tokens",
                    &version,
                    count.to_string().into(),
                )
                .await;
            assert_eq!(counted.status, 200, "{name}: to count is free");
            books(&house, "daily").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_never_holds_more_than_there_is() {
    for stream in [false, true] {
        // Ten calls' worth: each holds 102 tokens, the two of its prompt among them.
        let house = house(
            "openai_chat",
            "  b: { limit_usd: 1.02, levels: [{ above: 0%, prefer: quality }] }\n",
        )
        .await;
        for name in NAMES {
            house.always(name, r#"{"delay": "1s", "usage": {"prompt": 2, "completion": 100}}"#);
        }
        // Only the dear one: cheaper ones could pay for more.
        let yaml = format!(
            "{}routes:\n  chat: {{ tiers: [{{ targets: [primary/alpha] }}] }}\nbudgets:\n  b: {{ limit_usd: 1.02 }}\n",
            providers("openai_chat")
        );
        drop(house);
        let house = kept(&yaml, vec![], stores().await, WALL).await;
        house.always(
            "primary",
            r#"{"delay": "1s", "usage": {"prompt": 2, "completion": 100}}"#,
        );
        let body = asking(100, stream);
        let replies = join_all((0..100).map(|_| house.call(&body))).await;
        let served = replies.iter().filter(|r| r.status == 200).count();
        assert_eq!(served, 10, "stream {stream}");
        let refused = replies.iter().find(|r| r.status == 429).unwrap();
        assert!(refused.told().message.contains("budget `b`"), "{:?}", refused.told());
        let (attempts, state) = books(&house, "b").await;
        assert_eq!(
            (attempts.len(), state.spent, state.reserved),
            (10, dollars("1.02"), NanoDollars::ZERO)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_reserve_serves_critical_calls_alone_and_low_ones_are_shifted_down_earlier() {
    let keys = ["critical", "standard", "low"].map(|priority| key(json!({"name": priority, "priority": priority})));
    let bearers: Vec<String> = keys
        .iter()
        .map(|(_, text)| format!("Bearer {}", text.expose()))
        .collect();
    let records = keys.into_iter().map(|(record, _)| record).collect();
    let yaml = yaml("openai_chat", "  b: { limit_usd: 10, reserve: 50% }\n");
    let house = kept(&yaml, records, stores().await, WALL).await;
    takes(&house, 100);
    let ask = async |who: usize| {
        house
            .call_with(&asking(50, false), &[("authorization", &bearers[who])])
            .await
    };
    let level = |reply: &Reply| reply.header("x-jumpseat-spend-level").to_owned();
    assert_eq!(
        (level(&ask(0).await), level(&ask(1).await)),
        ("quality".into(), "quality".into())
    );
    // 5 dollars but 20 cents remain of 5: 96 % for standard, and 76 % as low ones see it.
    assert_eq!(level(&ask(2).await), "balanced", "low");
    house.always("primary", r#"{"usage": {"prompt": 4000, "completion": 1000}}"#);
    assert_eq!(
        ask(0).await.status,
        200,
        "5 dollars at once: nothing but the reserve is left"
    );
    house.always("primary", r#"{"usage": {"prompt": 50, "completion": 50}}"#);
    let refused = ask(1).await;
    assert_eq!(refused.status, 429);
    assert!(refused.told().message.contains("budget `b` is used up"));
    let critical = ask(0).await;
    assert_eq!(
        (critical.status.as_u16(), critical.header("x-jumpseat-target")),
        (200, "primary/alpha"),
        "its own ranking"
    );
    // Asking for more than the key has is asking for what it has.
    let reply = house
        .call_with(
            &asking(50, false),
            &[("authorization", &bearers[1]), ("x-jumpseat-priority", "critical")],
        )
        .await;
    assert_eq!(reply.status, 429);
    let reply = house
        .call_with(
            &asking(50, false),
            &[("authorization", &bearers[0]), ("x-jumpseat-priority", "low")],
        )
        .await;
    assert_eq!(reply.status, 429, "less may be asked for");
    let reply = house
        .call_with(
            &asking(50, false),
            &[("authorization", &bearers[0]), ("x-jumpseat-priority", "urgent")],
        )
        .await;
    assert_eq!(reply.status, 400);
    books(&house, "b").await;
}

#[tokio::test(start_paused = true)]
async fn budgets_count_by_route_key_and_tag_and_a_caller_cannot_choose_who_pays() {
    let (web, web_text) = key(json!({"name": "web", "tags": ["team:web"]}));
    let (ops, ops_text) = key(json!({"name": "ops", "permissions": {"budget_tags": true},
        "budgets": {"own": {"limit_usd": 5, "window": "day"}}}));
    let ops_id = ops.id.clone();
    let yaml = yaml(
        "openai_chat",
        "  by_route: { limit_usd: 10, routes: [\"ch*\"] }\n  by_key: { limit_usd: 10, keys: [web] }\n  by_tag: { limit_usd: 10, tags: [\"team:*\"] }\n  other: { limit_usd: 10, keys: [ops], tags: [\"team:*\"] }\n",
    );
    let house = kept(&yaml, vec![web, ops], stores().await, WALL).await;
    takes(&house, 100);
    let [web, ops] = [web_text, ops_text].map(|text| format!("Bearer {}", text.expose()));
    let body = asking(50, false);
    let own = format!("key:{ops_id}/own");
    let spent = async |budget: &str| books(&house, budget).await.1.spent;
    assert_eq!(house.call_with(&body, &[("authorization", &web)]).await.status, 200);
    for (budget, dollar) in [
        ("by_route", "0.1"),
        ("by_key", "0.1"),
        ("by_tag", "0.1"),
        ("other", "0"),
        (own.as_str(), "0"),
    ] {
        assert_eq!(spent(budget).await, dollars(dollar), "{budget}");
    }
    let reply = house
        .call_with(&body, &[("authorization", &ops), ("x-jumpseat-tags", "team:data, x")])
        .await;
    assert_eq!(reply.status, 200);
    for (budget, dollar) in [
        ("by_route", "0.2"),
        ("by_key", "0.1"),
        ("by_tag", "0.2"),
        ("other", "0.1"),
        (own.as_str(), "0.1"),
    ] {
        assert_eq!(spent(budget).await, dollars(dollar), "{budget}");
    }
    let refused = house
        .call_with(&body, &[("authorization", &web), ("x-jumpseat-tags", "team:data")])
        .await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.told().message.contains("counted by budget `by_tag`"),
        "{:?}",
        refused.told()
    );
    let reply = house
        .call_with(
            &body,
            &[("authorization", &web), ("x-jumpseat-tags", "feature:x,team:web")],
        )
        .await;
    assert_eq!(reply.status, 200, "what nobody counts, and what it has already");
    let reply = house
        .call_with(&body, &[("authorization", &web), ("x-jumpseat-tags", "a b")])
        .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_an_attempt_is_settled_and_nothing_stays_held() {
    let rows: &[(&str, bool, Option<u64>, &str, Basis)] = &[
        // What a provider does, a stream, when the client leaves, what it costs, how that is known.
        (
            r#"{"usage": {"prompt": 100, "completion": 50}}"#,
            false,
            None,
            "0.15",
            Basis::Usage,
        ),
        (
            r#"{"usage": {"prompt": 100, "completion": 50}}"#,
            true,
            None,
            "0.15",
            Basis::Usage,
        ),
        ("503", false, None, "0", Basis::Usage),
        // It took the request, and goes on without its caller: two tokens, and as many as were asked for.
        (r#"{"delay": "1h"}"#, false, Some(1_000), "0.102", Basis::Estimated),
        // It took the request, said nothing, and has read the prompt: two tokens.
        (r#"{"first_token": "1h"}"#, true, Some(1_000), "0.002", Basis::Estimated),
    ];
    for (behaviour, stream, leaves, cost, basis) in rows {
        let yaml = format!(
            "{}routes:\n  chat: {{ retries: 0, deadline: 10m, tiers: [{{ targets: [primary/alpha] }}] }}\nbudgets:\n  b: {{ limit_usd: 10 }}\n",
            providers("openai_chat")
        );
        let house = kept(&yaml, vec![], stores().await, WALL).await;
        house.always("primary", behaviour);
        let body = asking(100, *stream);
        match leaves {
            None => {
                house.call(&body).await;
            }
            Some(after) => {
                let text = body.to_string();
                let head = format!(
                    "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: {}\r\n\r\n",
                    text.len()
                );
                let mut pipe = house.pipe();
                pipe.write_all((head + &text).as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(*after)).await;
                drop(pipe);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (attempts, state) = books(&house, "b").await;
        assert_eq!(attempts.len(), 1, "{behaviour}");
        assert_eq!(
            (attempts[0].cost, attempts[0].basis),
            (dollars(cost), *basis),
            "{behaviour}"
        );
        assert_eq!(
            attempts[0].estimate,
            dollars("0.102"),
            "{behaviour}: what had been held"
        );
        assert_eq!(
            state,
            BudgetState {
                spent: dollars(cost),
                reserved: NanoDollars::ZERO
            },
            "{behaviour}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_middle_of_a_stream_pays_for_what_was_said() {
    let house = house("openai_chat", "  b: { limit_usd: 10 }\n").await;
    house.always("primary", r#"{"interval": "1s", "tokens": 100}"#);
    let mut running = house.begin(&asking(100, true), &[]).await;
    for _ in 0..5 {
        running.piece().await.unwrap().unwrap();
    }
    let (_, under_way) = books(&house, "b").await;
    assert_eq!(under_way.reserved, dollars("0.102"), "held while it runs");
    running.leave();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (attempts, state) = books(&house, "b").await;
    assert_eq!((attempts.len(), &*attempts[0].outcome), (1, "cancelled"));
    assert!(
        attempts[0].cost > dollars("0.002") && attempts[0].basis == Basis::Estimated,
        "{:?}",
        attempts[0]
    );
    assert_eq!((state.spent, state.reserved), (attempts[0].cost, NanoDollars::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_did_not_come_to_its_end_pays_for_all_that_came() {
    // Anthropic tells the prompt's tokens and one of the answer with the first event, the others nothing before the end.
    for (dialect, prompt) in [("anthropic_messages", 100), ("openai_chat", 2)] {
        for ingress in Ingress::ALL {
            for leaves in [false, true] {
                let name = format!("{ingress:?} at {dialect}, leaves {leaves}");
                let yaml = format!(
                    "{}routes:\n  chat: {{ retries: 0, deadline: 10m, tiers: [{{ targets: [primary/alpha] }}] }}\nbudgets:\n  b: {{ limit_usd: 10 }}\n",
                    providers(dialect)
                );
                let house = kept(&yaml, vec![], stores().await, WALL).await.asked_in(ingress);
                let cut = if leaves { "" } else { r#", "cut": {"after": 40}"# };
                let behaviour = format!(
                    r#"{{"usage": {{"prompt": 100, "completion": 90}}, "tokens": 90, "interval": "100ms"{cut}}}"#
                );
                house.always("primary", &behaviour);
                let mut running = house.begin(&asking(100, true), &[]).await;
                let mut pieces = 0;
                while !leaves || pieces < 45 {
                    match running.piece().await {
                        Some(piece) => pieces += usize::from(piece.is_ok()),
                        None => break,
                    }
                }
                running.leave();
                tokio::time::sleep(Duration::from_millis(50)).await;
                let (attempts, state) = books(&house, "b").await;
                let outcome = if leaves { "cancelled" } else { "stream_broken" };
                assert_eq!((attempts.len(), &*attempts[0].outcome), (1, outcome), "{name}");
                let (cost, basis) = (attempts[0].cost, attempts[0].basis);
                let tokens = NanoDollars(cost.0 / 1_000_000).0;
                assert!((prompt + 40..prompt + 90).contains(&tokens), "{name}: {tokens} tokens");
                assert_eq!((basis, state.spent), (Basis::Estimated, cost), "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_cannot_be_paid_is_passed_by_and_the_first_failure_is_told() {
    let providers = providers("openai_chat");
    // The second one is dearer than all the money.
    let yaml = format!(
        "{providers}routes:\n  chat: {{ retries: 0, tiers: [{{ targets: [third/gamma] }}, {{ targets: [primary/alpha] }}] }}\n  cheap: {{ retries: 0, tiers: [{{ targets: [third/gamma] }}, {{ targets: [primary/alpha] }}, {{ targets: [second/beta] }}] }}\nbudgets:\n  b: {{ limit_usd: 0.05, levels: [{{ above: 0%, prefer: quality }}] }}\n"
    );
    let house = kept(&yaml, vec![], stores().await, WALL).await;
    house.always("third", "503");
    takes_of(&house, "second", 100);
    let reply = house.call(&asking(100, false)).await;
    assert_eq!(
        (reply.status.as_u16(), house.attempts("primary")),
        (503, 0),
        "{:?}",
        reply.told()
    );
    assert_eq!(reply.told().attempts.len(), 1, "{:?}", reply.told());
    let mut body = asking(100, false);
    body["model"] = json!("cheap");
    let reply = house.call(&body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("x-jumpseat-target")),
        (200, "second/beta")
    );
    let (attempts, state) = books(&house, "b").await;
    assert_eq!((attempts.len(), state.reserved), (3, NanoDollars::ZERO));
    assert_eq!(state.spent, dollars("0.01"));
}

fn takes_of(house: &House, name: &str, tokens: u64) {
    let usage = json!({"usage": {"prompt": tokens / 2, "completion": tokens - tokens / 2}});
    house.always(name, &usage.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_dear_target_gives_way_to_the_cheapest_before_a_call_is_refused() {
    let house = house("openai_chat", "  b: { limit_usd: 0.05 }\n").await;
    takes(&house, 100);
    let reply = house.call(&asking(100, false)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("x-jumpseat-target")),
        (200, "third/gamma")
    );
    assert_eq!(reply.header("x-jumpseat-spend-level"), "cheapest");
    books(&house, "b").await;
}

#[tokio::test(start_paused = true)]
async fn targets_without_a_price_are_passed_by_unless_they_are_allowed() {
    for (unpriced, status, basis) in [("refuse", 400, None), ("allow", 200, Some(Basis::Unpriced))] {
        let yaml = format!(
            "providers:\n{}routes:\n  chat: {{ tiers: [{{ targets: [primary/alpha] }}] }}\nbudgets:\n  b: {{ limit_usd: 1, unpriced: {unpriced} }}\n",
            provider_with("primary", "openai_chat", "")
        );
        let house = kept(&yaml, vec![], stores().await, WALL).await;
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(
            reply.status,
            status,
            "{unpriced}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        let (attempts, state) = books(&house, "b").await;
        assert_eq!(attempts.first().map(|a| a.basis), basis);
        assert_eq!(state, BudgetState::default());
    }
}

#[tokio::test(start_paused = true)]
async fn near_the_end_answers_are_shortened_where_the_budget_says_so() {
    for (ingress, dialect) in sample() {
        let yaml = format!(
            "{}routes:\n  chat: {{ tiers: [{{ targets: [primary/alpha] }}] }}\nbudgets:\n  b: {{ limit_usd: 0.05, cap_output: true }}\n",
            providers(dialect)
        );
        let house = kept(&yaml, vec![], stores().await, WALL).await.asked_in(ingress);
        takes(&house, 20);
        let reply = house.call(&asking(1000, false)).await;
        assert_eq!(
            reply.status,
            200,
            "{ingress:?} {dialect}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        assert_eq!(
            reply.header("x-jumpseat-output-cap"),
            "48",
            "two of fifty tokens are its prompt"
        );
        let sent = house.entries("primary").remove(0).body.to_string();
        assert!(
            sent.contains("48") && !sent.contains("1000"),
            "{ingress:?} {dialect}: {sent}"
        );
        let (_, state) = books(&house, "b").await;
        assert_eq!(state.reserved, NanoDollars::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_begins_anew_by_the_clock_of_its_zone_also_on_a_day_of_25_hours() {
    // 2026-10-25 00:30 in Berlin; the clock goes back at 3:00 to 2:00.
    let start = UnixMillis(1_792_881_000_000);
    let budgets = "  b: { limit_usd: 0.1, timezone: Europe/Berlin }\n";
    let house = kept(&yaml("openai_chat", budgets), vec![], stores().await, start).await;
    takes(&house, 20_000);
    assert_eq!(house.call(&asking(50, false)).await.status, 200);
    let refused = house.call(&asking(50, false)).await;
    assert_eq!(refused.status, 429);
    assert!(
        refused.told().message.contains("2026-10-25T23:00:00Z, in 1d"),
        "{:?}",
        refused.told()
    );
    tokio::time::sleep(Duration::from_secs(24 * 3600 + 29 * 60 + 30)).await;
    let soon = house.call(&asking(50, false)).await;
    assert_eq!(
        (soon.status.as_u16(), soon.header("retry-after")),
        (429, "30"),
        "midnight is 30 s away"
    );
    assert_eq!(soon.header("x-should-retry"), "");
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(house.call(&asking(50, false)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_is_known_after_a_restart_and_what_was_held_is_settled_at_its_estimate() {
    let instance = InstanceId::from("one");
    let records = Records::open("sqlite::memory:").await.unwrap();
    let text = yaml("openai_chat", "  b: { limit_usd: 10 }\n");
    let first = kept(
        &text,
        vec![],
        keeping(records.clone(), Shared::memory(instance.clone())),
        WALL,
    )
    .await;
    takes(&first, 100);
    assert_eq!(first.call(&asking(50, false)).await.status, 200);
    books(&first, "b").await;
    first.always("primary", r#"{"interval": "1h"}"#);
    let mut running = first.begin(&asking(100, true), &[]).await;
    running.piece().await.unwrap().unwrap();
    first.app.spender.stores.records.clone().unwrap().writer.flush().await;
    // It is killed: nobody settles, and another life begins on the same records.
    let second = House::kept(
        &NAMES,
        &text,
        vec![],
        keeping(records.clone(), Shared::memory(instance)),
        WALL,
    );
    let snapshot = second.app.snapshot.load_full();
    jumpseat_gateway::jobs::orphans::settle_at_start(&second.app.spender, &snapshot.budgets).await;
    second.app.spender.begin_all(&snapshot.budgets, WALL).await;
    let (attempts, state) = books(&second, "b").await;
    assert_eq!(state.spent, dollars("0.202"), "one call, and what the other had held");
    assert_eq!(attempts.iter().filter(|a| a.basis == Basis::Orphaned).count(), 1);
    std::mem::forget(running);
}

#[tokio::test(start_paused = true)]
async fn instances_that_share_count_together_and_hear_of_breakers_within_a_second() {
    let shared = Shared::memory(InstanceId::from("one"));
    let beside = shared.beside(InstanceId::from("two")).unwrap();
    let text = format!(
        "{}routes:\n  chat: {{ retries: 0, tiers: [{{ targets: [primary/alpha] }}, {{ targets: [third/gamma] }}] }}\nbudgets:\n  b: {{ limit_usd: 10 }}\n",
        providers("openai_chat")
    );
    let one = kept(&text, vec![], stores_on(shared).await, WALL).await;
    let two = kept(&text, vec![], stores_on(beside).await, WALL).await;
    for house in [&one, &two] {
        let spender = house.app.spender.clone();
        let hear = jumpseat_gateway::jobs::news::hear(
            house.app.snapshot.clone(),
            spender.stores.shared.clone(),
            spender.clock,
        );
        tokio::spawn(hear);
        takes(house, 1000);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    one.always("primary", "503");
    for _ in 0..3 {
        assert_eq!(
            one.call(&asking(50, false)).await.header("x-jumpseat-target"),
            "third/gamma"
        );
    }
    assert_eq!(one.metric(&["jumpseat_breaker_state{", "primary/alpha"]), 2.0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        two.metric(&["jumpseat_breaker_state{", "primary/alpha"]),
        2.0,
        "{}",
        two.log_text().await
    );
    assert_eq!(
        two.call(&asking(50, false)).await.header("x-jumpseat-target"),
        "third/gamma"
    );
    assert_eq!(two.attempts("primary"), 0);
    let told = two.app.spender.report(&two.app.snapshot.load().budgets);
    assert_eq!(
        told[0].spent,
        dollars("0.04"),
        "both calls of one are counted in the other"
    );
}

#[tokio::test(start_paused = true)]
async fn a_tier_may_adjust_the_prompt_and_the_body_may_tell_who_served() {
    for (ingress, dialect) in sample() {
        for stream in [false, true] {
            let name = format!("{ingress:?} {dialect} {stream}");
            let yaml = format!(
                "{}routes:\n  chat: {{ retries: 0, response_metadata: body, tiers: [{{ targets: [primary/alpha] }}, {{ targets: [third/gamma], prompt: {{ prepend: \"Be brief.\", append: \"JSON alone.\" }} }}] }}\nbudgets:\n  b: {{ limit_usd: 10 }}\n",
                providers(dialect)
            );
            let house = kept(&yaml, vec![], stores().await, WALL).await.asked_in(ingress);
            house.always("primary", "503");
            let reply = house.call(&asking(50, stream)).await;
            assert_eq!(reply.status, 200, "{name}");
            assert_eq!(reply.header("x-jumpseat-prompt"), "adjusted", "{name}");
            let (first, second) = (house.entries("primary").remove(0), house.entries("third").remove(0));
            assert!(
                !first.body.to_string().contains("Be brief."),
                "{name}: the first tier's is the caller's"
            );
            let sent = second.body.to_string();
            assert!(
                sent.contains("Be brief.") && sent.contains("JSON alone."),
                "{name}: {sent}"
            );
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            let at = text.find("\"jumpseat\":").unwrap_or_else(|| panic!("{name}: {text}"));
            let told = &text[at + "\"jumpseat\":".len()..];
            let told: Value = serde_json::Deserializer::from_str(told)
                .into_iter()
                .next()
                .unwrap()
                .unwrap();
            assert_eq!(told["call_id"], reply.header("x-jumpseat-call-id"), "{name}");
            assert_eq!((&told["tier"], &told["attempts"]), (&json!(2), &json!(2)), "{name}");
            assert_eq!(
                (&told["target"], &told["model_tier"]),
                (&json!("third/gamma"), &json!("economy")),
                "{name}"
            );
            assert_eq!(told["fallback_reason"], "overloaded", "{name}");
            assert_eq!(told["spend_level"], "quality", "{name}");
            assert!(told["cost_usd"].is_string(), "{name}: {told}");
            assert_eq!(text.matches("\"jumpseat\":").count(), 1, "{name}: once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_metrics_and_the_report_tell_level_burn_and_the_hour_the_money_ends() {
    let house = house("openai_chat", "  b: { limit_usd: 10, reserve: 10% }\n").await;
    takes(&house, 1000);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(house.call(&asking(1000, false)).await.status, 200);
    let report = house.app.spender.report(&house.app.snapshot.load().budgets).remove(0);
    assert_eq!(
        (report.spent, report.limit, report.reserve),
        (dollars("1"), dollars("10"), dollars("1"))
    );
    assert_eq!(report.burn, dollars("1"));
    let view = report.view();
    assert_eq!(
        (view.level.as_str(), view.ends_at.as_deref()),
        ("quality", Some("2026-11-21T09:00:00Z")),
        "9 dollars, one an hour"
    );
    for (metric, value) in [
        ("jumpseat_budget_limit_usd{", 10.0),
        ("jumpseat_budget_spent_usd{", 1.0),
        ("jumpseat_budget_level{", 0.0),
        ("jumpseat_budget_burn_usd_per_hour{", 1.0),
        ("jumpseat_store_up ", 1.0),
        ("jumpseat_shared_up ", 1.0),
        ("jumpseat_spend_estimate_gap_count{target=\"primary/alpha", 1.0),
    ] {
        assert_eq!(house.metric(&[metric]), value, "{metric}: {}", house.metrics());
    }
    let ready = house.send(Method::GET, "/ready", &[], "".into()).await.json();
    assert_eq!(
        (&ready["store"]["kind"], &ready["shared"]["kind"], &ready["missing"]),
        (&json!("sqlite"), &json!("memory"), &json!([]))
    );
}
