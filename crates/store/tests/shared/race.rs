//! Two hundred callers on three instances against one budget: no overshoot beyond what was underestimated, and exact sums.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::Verdict;
use types::money::NanoDollars;

use crate::contract::{three_of, three_of_memory};
use crate::server::Server;
use crate::{asked, asks, at, hold, spent, window};

const ESTIMATE: u64 = 1_000_003;
/// A thousand calls' worth.
const CEILING: u64 = 1_000 * ESTIMATE;

#[tokio::test(flavor = "multi_thread")]
async fn on_memory_a_burst_stays_within_the_bound_and_sums_are_exact() {
    race(three_of_memory().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_a_burst_stays_within_the_bound_and_sums_are_exact() {
    let Some(server) = Server::start(&[]) else { return };
    race(three_of(&server.url()).await).await;
}

async fn race(three: [Shared; 3]) {
    let day = window("day");
    for shared in &three {
        shared.begin_window(&day, NanoDollars(0)).await;
    }
    let ledger = Arc::new(AtomicU64::new(0));
    // What calls cost beyond their estimates: the only overshoot there may be.
    let underestimated = Arc::new(AtomicI64::new(0));
    let calls = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..200_u64 {
        let shared = three[(caller % 3) as usize].clone();
        let (day, ledger, underestimated, calls) = (day.clone(), ledger.clone(), underestimated.clone(), calls.clone());
        callers.spawn(async move {
            let mut seed = caller.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            loop {
                let answer = shared
                    .admit(&asks(vec![], vec![hold(&day, ESTIMATE, CEILING)]), at(0))
                    .await;
                assert!(!answer.degraded);
                if answer.verdict != Verdict::Granted {
                    return;
                }
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                // 0.2 to 5 times the estimate, most of them below it.
                let thousandths = 200 + ((seed >> 40) % 70).pow(2);
                let actual = ESTIMATE * thousandths.min(5_000) / 1_000;
                tokio::task::yield_now().await;
                ledger.fetch_add(actual, Ordering::Relaxed);
                underestimated.fetch_add((actual as i64 - ESTIMATE as i64).max(0), Ordering::Relaxed);
                calls.fetch_add(1, Ordering::Relaxed);
                shared.settle(spent(&day, ESTIMATE, actual), at(0));
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    for shared in &three {
        shared.flushed().await;
    }
    let ledger = ledger.load(Ordering::Relaxed);
    for shared in &three {
        assert_eq!(asked(shared, &day).await, (ledger, 0), "to the nano-dollar");
    }
    assert!(calls.load(Ordering::Relaxed) >= 200);
    assert!(ledger > CEILING - 6 * ESTIMATE, "the money was used: {ledger}");
    // At most all callers were in flight when the last was granted, each at most four estimates too cheap.
    let in_flight = 200 * 4 * ESTIMATE;
    assert!(
        ledger <= CEILING + in_flight.min(underestimated.load(Ordering::Relaxed) as u64),
        "{ledger}"
    );
}
