//! What every backend does. Each function is run on memory and on Redis by the list at the end.

use std::time::Duration;

use bytes::Bytes;
use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::{Dimension, Settlement, Verdict};
use jumpseat_store::shared::news::News;
use types::ids::KeyId;
use types::money::NanoDollars;

use crate::server::Server;
use crate::{asked, asks, at, granted, hold, known, limit, named, spent, until, window};

/// Three handles on one state.
type Three = [Shared; 3];

async fn all_or_nothing([a, b, _]: Three) {
    let day = window("day");
    a.begin_window(&day, NanoDollars(0)).await;
    let requests = |amount| limit("k", Dimension::Requests, 10, amount);
    let places = |amount| limit("k", Dimension::Concurrent, 2, amount);
    let answer = a
        .admit(&asks(vec![requests(4), places(1)], vec![hold(&day, 70, 100)]), at(0))
        .await;
    assert!(granted(&answer));
    assert_eq!((answer.limits[0].remaining, answer.limits[1].remaining), (6, 1));
    assert_eq!(answer.limits[0].reset, Duration::from_secs(24));
    assert_eq!((answer.budgets[0].spent.0, answer.budgets[0].reserved.0), (0, 70));
    // The budget refuses, so no limit is touched.
    let answer = b
        .admit(&asks(vec![requests(4), places(1)], vec![hold(&day, 31, 100)]), at(0))
        .await;
    assert_eq!(answer.verdict, Verdict::Exhausted { which: 0 });
    assert_eq!((answer.limits[0].remaining, answer.limits[1].remaining), (6, 1));
    // A limit refuses, so nothing is held; the limit that takes longest is named.
    let answer = b
        .admit(&asks(vec![requests(7), places(2)], vec![hold(&day, 30, 100)]), at(0))
        .await;
    let retry_after = Duration::from_secs(6);
    assert_eq!(answer.verdict, Verdict::Limited { which: 0, retry_after });
    assert_eq!(answer.budgets[0].reserved.0, 70);
    let answer = b
        .admit(&asks(vec![requests(6), places(1)], vec![hold(&day, 30, 100)]), at(0))
        .await;
    assert!(granted(&answer), "exactly what was left, for another instance");
    let answer = a.admit(&asks(vec![places(1)], vec![]), at(0)).await;
    let retry_after = Duration::from_secs(1);
    assert_eq!(answer.verdict, Verdict::Limited { which: 0, retry_after });
}

async fn settlements_give_way_to_what_it_came_to([a, b, _]: Three) {
    let (day, hour) = (window("day"), window("hour"));
    for day in [&day, &hour] {
        a.begin_window(day, NanoDollars(5)).await;
        b.begin_window(day, NanoDollars(999)).await;
    }
    let tokens = limit("k", Dimension::Tokens, 1_000, 800);
    let place = limit("k", Dimension::Concurrent, 1, 1);
    let ask = asks(
        vec![tokens.clone(), place.clone()],
        vec![hold(&day, 50, 100), hold(&hour, 50, 100)],
    );
    assert!(granted(&a.admit(&ask, at(0)).await));
    assert!(!granted(&b.admit(&asks(vec![place.clone()], vec![]), at(0)).await));
    let mut settlement = spent(&day, 50, 120);
    settlement.spends.push(spent(&hour, 50, 7).spends.remove(0));
    settlement.tokens.push((tokens, 100));
    settlement.places.push(KeyId::from("k"));
    a.settle(settlement, at(0));
    a.flushed().await;
    assert_eq!(
        asked(&b, &day).await,
        (125, 0),
        "more than was held, and more than there was"
    );
    assert_eq!(asked(&b, &hour).await, (12, 0));
    assert_eq!(known(&a, &day), Some((125, 0)));
    let answer = b
        .admit(
            &asks(vec![limit("k", Dimension::Tokens, 1_000, 900), place], vec![]),
            at(0),
        )
        .await;
    assert!(granted(&answer), "tokens that were not used came back, and the place");
    let answer = b.admit(&asks(vec![], vec![hold(&day, 0, 124)]), at(0)).await;
    assert_eq!(
        answer.verdict,
        Verdict::Exhausted { which: 0 },
        "nothing at all fits above the ceiling"
    );
}

async fn a_window_begins_once_with_the_ledger([a, b, c]: Three) {
    let day = window("day");
    assert_eq!(known(&a, &day), None);
    a.begin_window(&day, NanoDollars(40)).await;
    assert_eq!(known(&a, &day), Some((40, 0)));
    a.settle(spent(&day, 0, 2), at(0));
    a.flushed().await;
    b.begin_window(&day, NanoDollars(41)).await;
    assert_eq!(known(&b, &day), Some((42, 0)), "somebody has counted it already");
    let orphan = spent(&window("night"), 0, 9);
    c.settle(orphan, at(0));
    c.flushed().await;
    c.begin_window(&window("night"), NanoDollars(100)).await;
    assert_eq!(
        asked(&a, &window("night")).await.0,
        109,
        "also where something was counted before it began"
    );
}

async fn large_amounts_are_exact([a, b, _]: Three) {
    // Far above 2^53, where doubles have no odd numbers any more.
    let (day, large) = (window("day"), 9_007_199_254_740_993_u64 * 1_000 + 1);
    a.begin_window(&day, NanoDollars(large)).await;
    assert!(granted(
        &a.admit(&asks(vec![], vec![hold(&day, 3, large + 3)]), at(0)).await
    ));
    assert!(!granted(
        &b.admit(&asks(vec![], vec![hold(&day, 1, large + 3)]), at(0)).await
    ));
    assert!(granted(
        &b.admit(&asks(vec![], vec![hold(&day, 1, large + 4)]), at(0)).await
    ));
    a.settle(spent(&day, 3, 2), at(0));
    b.settle(spent(&day, 1, 1_000_000_007), at(0));
    a.flushed().await;
    b.flushed().await;
    assert_eq!(asked(&a, &day).await, (large + 1_000_000_009, 0));
    let all = window("all");
    a.begin_window(&all, NanoDollars(u64::MAX)).await;
    assert!(granted(
        &a.admit(&asks(vec![], vec![hold(&all, 0, u64::MAX)]), at(0)).await
    ));
    assert!(!granted(
        &a.admit(&asks(vec![], vec![hold(&all, u64::MAX, u64::MAX)]), at(0))
            .await
    ));
}

async fn others_are_told_and_the_teller_is_not([a, b, c]: Three) {
    let mut heard = [a.subscribe(), b.subscribe(), c.subscribe()];
    let news = News::BreakerClosed {
        from: named("a"),
        target: "x/y".to_owned(),
    };
    // The first may be told before all listen.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = std::time::Instant::now();
    a.publish(news.clone());
    for other in &mut heard[1..] {
        let got = tokio::time::timeout(Duration::from_secs(1), other.recv()).await;
        assert_eq!(got.expect("within a second").unwrap(), news);
    }
    assert!(told.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(heard[0].try_recv().is_err());
}

async fn a_lock_has_one_holder([a, b, _]: Three) {
    let lease = a.lease("job", Duration::from_secs(60)).await.unwrap();
    assert!(b.lease("job", Duration::from_secs(60)).await.is_none());
    assert!(b.lease("other", Duration::from_secs(60)).await.is_some());
    assert!(lease.renew().await);
    drop(lease);
    until(2, "the lock is given back", async || {
        b.lease("job", Duration::from_millis(50)).await.is_some()
    })
    .await;
    let short = a.lease("short", Duration::from_millis(50)).await.unwrap();
    until(2, "its time is over", async || {
        b.lease("short", Duration::from_millis(50)).await.is_some()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(short.renew().await, "nobody else has it");
    let _other = {
        drop(short);
        let mut other = None;
        until(2, "it is free", async || {
            other = b.lease("short", Duration::from_secs(60)).await;
            other.is_some()
        })
        .await;
        other
    };
    assert!(a.lease("short", Duration::from_secs(1)).await.is_none());
}

async fn values_are_kept_for_their_time([a, b, _]: Three) {
    let value = Bytes::from(vec![7; 100_000]);
    a.cache_put("x", value.clone(), Duration::from_millis(400)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (got, age) = b.cache_get("x").await.unwrap();
    assert_eq!(got, value);
    assert!((20..400).contains(&age.as_millis()), "{age:?}");
    until(2, "its time is over", async || b.cache_get("x").await.is_none()).await;
    a.cache_put("y", value, Duration::from_secs(60)).await;
    b.cache_delete("y").await;
    assert!(a.cache_get("y").await.is_none());
}

async fn all_are_seen([a, b, c]: Three) {
    let all = vec![named("a"), named("b"), named("c")];
    for shared in [&a, &b, &c] {
        until(3, "all are seen", async || shared.instances().await == all).await;
        assert_eq!(shared.health().instances, 3);
        assert_eq!(shared.health().failing, None);
    }
}

async fn what_is_not_settled_twice_is_not_given_back_twice([a, _, _]: Three) {
    let day = window("day");
    a.begin_window(&day, NanoDollars(0)).await;
    assert!(granted(&a.admit(&asks(vec![], vec![hold(&day, 10, 100)]), at(0)).await));
    for _ in 0..3 {
        a.settle(spent(&day, 10, 0), at(0));
    }
    a.settle(
        Settlement {
            places: vec![KeyId::from("k"); 3],
            ..Settlement::default()
        },
        at(0),
    );
    a.flushed().await;
    assert_eq!(asked(&a, &day).await, (0, 0), "nothing falls below nothing");
    let place = limit("k", Dimension::Concurrent, 1, 1);
    assert!(granted(&a.admit(&asks(vec![place.clone()], vec![]), at(0)).await));
    assert!(!granted(&a.admit(&asks(vec![place], vec![]), at(0)).await));
}

pub async fn three_of_memory() -> Three {
    let a = Shared::memory(named("a"));
    let others = ["b", "c"].map(|name| a.beside(named(name)).unwrap());
    let [b, c] = others;
    [a, b, c]
}

pub async fn three_of(url: &str) -> Three {
    let open = async |name| Shared::open(url, named(name)).await.unwrap();
    let three = [open("a").await, open("b").await, open("c").await];
    for shared in &three {
        assert_eq!(shared.health().failing, None);
    }
    three
}

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::three_of_memory().await).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let Some(server) = super::Server::start(&[]) else { return };
                let url = format!("{}?clock=caller", server.url());
                super::$name(super::three_of(&url).await).await;
            })*
        }
    };
}

on_both!(
    all_or_nothing,
    settlements_give_way_to_what_it_came_to,
    a_window_begins_once_with_the_ledger,
    large_amounts_are_exact,
    others_are_told_and_the_teller_is_not,
    a_lock_has_one_holder,
    values_are_kept_for_their_time,
    all_are_seen,
    what_is_not_settled_twice_is_not_given_back_twice,
);
