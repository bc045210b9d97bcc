//! Redis goes, is slow, comes back with its data or without; an instance dies.

use std::time::{Duration, Instant};

use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::{Dimension, Verdict};
use jumpseat_store::shared::news::News;
use types::ids::KeyId;
use types::money::NanoDollars;
use types::spend::BudgetWindow;

use crate::contract::three_of;
use crate::server::Server;
use crate::{asked, asked_if_there, asks, at, granted, hold, known, limit, named, spent, until, window};

async fn until_back(shared: &Shared) {
    until(10, "it is back", async || shared.health().failing.is_none()).await;
}

async fn until_three_are_seen(three: &[Shared; 3]) {
    for shared in three {
        until(3, "three are seen", async || shared.health().instances == 3).await;
    }
}

/// All three know a window, of which each has spent 10 and holds 5.
async fn spending(three: &[Shared; 3]) -> BudgetWindow {
    let day = window("day");
    for shared in three {
        shared.begin_window(&day, NanoDollars(100)).await;
        assert!(granted(
            &shared.admit(&asks(vec![], vec![hold(&day, 5, 1_000)]), at(0)).await
        ));
        shared.settle(spent(&day, 0, 10), at(0));
        shared.flushed().await;
    }
    for shared in three {
        until(2, "known within a second", async || {
            known(shared, &day) == Some((130, 15))
        })
        .await;
    }
    until_three_are_seen(three).await;
    day
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_gone_each_goes_on_with_its_share_and_then_all_is_settled_once() {
    let Some(mut server) = Server::start(&[]) else { return };
    let three = three_of(&server.url()).await;
    let day = spending(&three).await;
    server.kill();
    let [a, b, _] = &three;
    // 1,000 − 130 = 870, a third is 290, of which 5 are held.
    let ask = asks(vec![], vec![hold(&day, 95, 1_000)]);
    let verdicts = async |shared: &Shared| {
        let mut granted = 0;
        while let answer = shared.admit(&ask, at(0)).await
            && answer.verdict == Verdict::Granted
        {
            assert!(answer.degraded);
            granted += 1;
        }
        granted
    };
    assert_eq!((verdicts(a).await, verdicts(b).await), (3, 3));
    let health = a.health();
    assert!(health.failing.is_some());
    assert_eq!(health.instances, 3);
    a.settle(spent(&day, 95, 50), at(0));
    b.settle(spent(&day, 95, 60), at(0));
    let started = Instant::now();
    for _ in 0..1_000 {
        a.admit(&ask, at(0)).await;
    }
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "no call waits for what is known to be gone"
    );
    let requests = asks(
        vec![
            limit("k", Dimension::Requests, 9, 1),
            limit("k", Dimension::Concurrent, 6, 1),
        ],
        vec![],
    );
    let answer = a.admit(&requests, at(0)).await;
    assert_eq!(
        (answer.limits[0].remaining, answer.limits[1].remaining),
        (2, 1),
        "a third of each"
    );
    server.run();
    for shared in &three {
        until_back(shared).await;
        shared.flushed().await;
    }
    for shared in &three {
        until(2, "what was spent is there, once", async || {
            asked_if_there(shared, &day).await == Some((130 + 110, 15 + 4 * 95))
        })
        .await;
    }
    // A data set that was lost as a whole was told anew: this server keeps nothing on disk.
    let answer = b
        .admit(&asks(vec![limit("k", Dimension::Concurrent, 6, 1)], vec![]), at(0))
        .await;
    assert_eq!(answer.limits[0].remaining, 4, "places too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_with_its_data_counts_nothing_twice() {
    let Some(mut server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let three = three_of(&server.url()).await;
    let day = spending(&three).await;
    server.kill();
    three[0].settle(spent(&day, 5, 7), at(0));
    server.run();
    for shared in &three {
        until_back(shared).await;
        shared.flushed().await;
    }
    until(2, "once", async || {
        asked_if_there(&three[1], &day).await == Some((137, 10))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_wiped_under_way_is_told_anew() {
    let Some(server) = Server::start(&[]) else { return };
    let three = three_of(&server.url()).await;
    let day = spending(&three).await;
    server.tell(&["FLUSHALL"]).await;
    server.tell(&["SCRIPT", "FLUSH"]).await;
    for shared in &three {
        shared.settle(spent(&day, 5, 1), at(0));
    }
    for shared in &three {
        shared.flushed().await;
        until_back(shared).await;
    }
    until(5, "all is there", async || {
        let answer = three[2].admit(&asks(vec![], vec![hold(&day, 0, 1_000)]), at(0)).await;
        !answer.degraded && (answer.budgets[0].spent.0, answer.budgets[0].reserved.0) == (133, 0)
    })
    .await;
    // A newcomer with a later ledger does not begin it anew.
    let newcomer = Shared::open(&server.url(), named("d")).await.unwrap();
    newcomer.begin_window(&day, NanoDollars(500)).await;
    assert_eq!(asked(&newcomer, &day).await, (133, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_delays_one_call_and_its_late_grants_count_for_nobody() {
    let Some(server) = Server::start(&[]) else { return };
    let three = three_of(&server.url()).await;
    let day = spending(&three).await;
    let a = &three[0];
    server.signal("STOP");
    let ask = asks(
        vec![limit("k", Dimension::Concurrent, 303, 1)],
        vec![hold(&day, 1, 1_000)],
    );
    let started = Instant::now();
    let answer = a.admit(&ask, at(0)).await;
    assert!(answer.degraded && granted(&answer));
    assert!(
        started.elapsed() < Duration::from_millis(600),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    for _ in 0..100 {
        assert!(a.admit(&ask, at(0)).await.degraded);
    }
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
    assert!(a.health().failing.unwrap().contains("no answer"));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.signal("CONT");
    for shared in &three {
        until_back(shared).await;
        shared.flushed().await;
    }
    // What stood in the server's queue was carried out, and then corrected: 101 were granted here, not 102.
    until(3, "only what is held here is held there", async || {
        asked_if_there(a, &day).await == Some((130, 15 + 101))
    })
    .await;
    let places = |limit_of| asks(vec![limit("k", Dimension::Concurrent, limit_of, 1)], vec![]);
    assert!(!granted(&a.admit(&places(101), at(0)).await), "101 calls are under way");
    assert!(granted(&a.admit(&places(102), at(0)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_while_the_answer_is_out_leaves_nothing_behind() {
    let Some(server) = Server::start(&[]) else { return };
    let three = three_of(&server.url()).await;
    let day = spending(&three).await;
    let ask = asks(
        vec![
            limit("k", Dimension::Concurrent, 1, 1),
            limit("k", Dimension::Requests, 10, 1),
        ],
        vec![hold(&day, 50, 1_000)],
    );
    for turn in 0..50_u64 {
        let asking = three[0].admit(&ask, at(0));
        // Dropped before it is sent, on its way, or after.
        let _ = tokio::time::timeout(Duration::from_micros(turn * 4), async {
            let answer = asking.await;
            if granted(&answer) {
                let mut settlement = spent(&day, 50, 0);
                settlement.places.push(KeyId::from("k"));
                settlement.tokens.push((ask.limits[1].clone(), 0));
                three[0].settle(settlement, at(0));
            }
        })
        .await;
    }
    until(3, "nothing is held", async || {
        three[0].flushed().await;
        asked(&three[1], &day).await == (130, 15)
    })
    .await;
    assert!(granted(&three[1].admit(&ask, at(0)).await), "and the place is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_that_died_held_is_given_back() {
    let Some(server) = Server::start(&[]) else { return };
    let three = three_of(&server.url()).await;
    let day = spending(&three).await;
    let [a, b, c] = three;
    c.close().await;
    let place = asks(vec![limit("k", Dimension::Concurrent, 1, 1)], vec![]);
    let (url, asking, held) = (server.url(), place.clone(), asks(vec![], vec![hold(&day, 7, 1_000)]));
    let death = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shared = runtime.block_on(async {
            let shared = Shared::open(&url, named("c")).await.unwrap();
            assert!(granted(&shared.admit(&asking, at(0)).await));
            assert!(granted(&shared.admit(&held, at(0)).await));
            shared
        });
        // Its tasks end in the middle of whatever they do: nobody says that it goes.
        runtime.shutdown_timeout(Duration::from_millis(1));
        drop(shared);
    };
    tokio::task::spawn_blocking(death).await.unwrap();
    assert!(!granted(&a.admit(&place, at(0)).await));
    let died = Instant::now();
    until(15, "its place is free", async || granted(&a.admit(&place, at(0)).await)).await;
    assert!(died.elapsed() > Duration::from_secs(5), "not at the first silence");
    assert_eq!(
        asked(&a, &day).await,
        (130, 22),
        "money is held until its orphans were settled"
    );
    b.settle(spent(&day, 0, 5), at(0));
    b.release_instance(&named("c")).await;
    b.flushed().await;
    assert_eq!(asked(&a, &day).await, (135, 10));
    until(2, "two are left", async || a.health().instances == 2).await;
    // A new life of the same name gives back what its earlier one held, and nothing of its own.
    let again = Shared::open(&server.url(), named("a")).await.unwrap();
    assert!(granted(
        &again.admit(&asks(vec![], vec![hold(&day, 1, 1_000)]), at(0)).await
    ));
    drop(a);
    again.release_instance(&named("a")).await;
    assert_eq!(asked(&again, &day).await, (135, 5 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_are_heard_again_after_a_restart_and_a_new_ear_reads_the_keys_again() {
    let Some(mut server) = Server::start(&[]) else { return };
    let [a, b, _c] = three_of(&server.url()).await;
    let mut heard = b.subscribe();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    server.run();
    let first = tokio::time::timeout(Duration::from_secs(5), heard.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(first, News::KeysChanged { .. }), "{first:?}");
    let news = News::KeysChanged { from: named("a") };
    a.publish(news.clone());
    let second = tokio::time::timeout(Duration::from_secs(5), heard.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(second, news);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_no_error_and_is_found_later() {
    let Some(mut server) = Server::start(&[]) else { return };
    server.kill();
    let shared = Shared::open(&server.url(), named("a")).await.unwrap();
    assert!(shared.health().failing.is_some());
    let day = window("day");
    shared.begin_window(&day, NanoDollars(90)).await;
    assert_eq!(known(&shared, &day), Some((90, 0)));
    let ask = asks(vec![], vec![hold(&day, 6, 100)]);
    assert!(granted(&shared.admit(&ask, at(0)).await));
    assert!(!granted(&shared.admit(&ask, at(0)).await), "the ledger's sum counts");
    assert_eq!(shared.cache_get("x").await, None);
    assert!(shared.lease("job", Duration::from_secs(1)).await.is_none());
    shared.settle(spent(&day, 6, 4), at(0));
    server.run();
    until_back(&shared).await;
    shared.flushed().await;
    assert_eq!(asked(&shared, &day).await, (94, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_sends_what_was_settled_last() {
    let Some(server) = Server::start(&[]) else { return };
    let [a, b, _c] = three_of(&server.url()).await;
    let day = window("day");
    a.begin_window(&day, NanoDollars(0)).await;
    for _ in 0..500 {
        a.settle(spent(&day, 0, 3), at(0));
    }
    a.close().await;
    b.begin_window(&day, NanoDollars(0)).await;
    assert_eq!(asked(&b, &day).await, (1_500, 0));
    until(2, "it has left", async || b.health().instances == 2).await;
}
