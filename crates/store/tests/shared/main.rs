//! The contract of the shared state: the same functions on memory and on a real Redis, then what only a server can do to us: be
//! slow, go, come back with its data or without, be a cluster, speak TLS.
//!
//! A Redis is started for each test on a free port and ended with it. Without `redis-server` its tests say that they were skipped,
//! or fail where `JUMPSEAT_TEST_REQUIRE_SERVERS` is set.
#![allow(clippy::unwrap_used)]

mod contract;
mod latency;
mod outage;
mod property;
mod race;
mod server;
mod setups;

use std::time::Duration;

use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::{Answer, Ask, Dimension, Hold, LimitAsk, Settlement, Spend, Verdict};
use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::spend::BudgetWindow;
use types::time::{Mono, Now, UnixMillis};

/// A moment, so many milliseconds after the tests' beginning.
fn at(ms: u64) -> Now {
    let start = Now {
        mono: Mono(1_000_000_000_000),
        wall: UnixMillis(wall_ms()),
    };
    start.after(Duration::from_millis(ms))
}

fn wall_ms() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

/// A window of a budget that ends in an hour.
fn window(name: &str) -> BudgetWindow {
    let start = wall_ms() / 86_400_000 * 86_400_000;
    BudgetWindow {
        budget: BudgetId::from(name),
        start: UnixMillis(start),
        end: UnixMillis(start + 2 * 86_400_000),
    }
}

fn hold(window: &BudgetWindow, amount: u64, ceiling: u64) -> Hold {
    Hold {
        window: window.clone(),
        amount: NanoDollars(amount),
        ceiling: NanoDollars(ceiling),
    }
}

fn limit(key: &str, dimension: Dimension, limit: u64, amount: u64) -> LimitAsk {
    LimitAsk {
        key: KeyId::from(key),
        dimension,
        limit,
        amount,
    }
}

fn asks(limits: Vec<LimitAsk>, holds: Vec<Hold>) -> Ask {
    Ask {
        call: "call".to_owned(),
        limits,
        holds,
    }
}

fn spent(window: &BudgetWindow, held: u64, actual: u64) -> Settlement {
    let spend = Spend {
        held: NanoDollars(held),
        actual: NanoDollars(actual),
    };
    Settlement {
        call: "call".to_owned(),
        spends: vec![(window.clone(), spend)],
        ..Settlement::default()
    }
}

fn granted(answer: &Answer) -> bool {
    answer.verdict == Verdict::Granted
}

/// What is known of a window: spent and reserved.
fn known(shared: &Shared, window: &BudgetWindow) -> Option<(u64, u64)> {
    shared.budget(window).map(|state| (state.spent.0, state.reserved.0))
}

/// What was spent and is held in a window for all instances, by an ask that takes nothing.
async fn asked(shared: &Shared, window: &BudgetWindow) -> (u64, u64) {
    let answer = shared
        .admit(&asks(vec![], vec![hold(window, 0, u64::MAX)]), at(0))
        .await;
    assert!(!answer.degraded, "it was to be asked, not guessed");
    (answer.budgets[0].spent.0, answer.budgets[0].reserved.0)
}

/// The same, where it may have to be guessed for a while.
async fn asked_if_there(shared: &Shared, window: &BudgetWindow) -> Option<(u64, u64)> {
    let answer = shared
        .admit(&asks(vec![], vec![hold(window, 0, u64::MAX)]), at(0))
        .await;
    (!answer.degraded).then_some((answer.budgets[0].spent.0, answer.budgets[0].reserved.0))
}

/// Waits until something is so, for at most so many seconds.
async fn until(seconds: u64, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(seconds);
    while !is_so().await {
        assert!(std::time::Instant::now() < end, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn named(name: &str) -> InstanceId {
    InstanceId::from(name)
}
