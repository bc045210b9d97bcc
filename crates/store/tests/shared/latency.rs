//! What an admission costs: measured, printed, and held to bounds wide enough for a busy machine.

use std::time::{Duration, Instant};

use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::Dimension;
use types::money::NanoDollars;

use crate::server::Server;
use crate::{asks, at, granted, hold, limit, named, window};

/// The median time of an admission with three limits and two holds.
async fn median(shared: &Shared, asked: usize) -> Duration {
    let (day, all) = (window("day"), window("all"));
    for window in [&day, &all] {
        shared.begin_window(window, NanoDollars(0)).await;
    }
    let limits = vec![
        limit("k", Dimension::Requests, 1_000_000, 1),
        limit("k", Dimension::Tokens, 1_000_000_000, 100),
        limit("k", Dimension::Concurrent, 1_000_000, 1),
    ];
    let ask = asks(limits, vec![hold(&day, 1, u64::MAX), hold(&all, 1, u64::MAX)]);
    let now = at(0);
    let mut times: Vec<Duration> = Vec::with_capacity(asked);
    for _ in 0..asked {
        let started = Instant::now();
        let answer = shared.admit(&ask, now).await;
        times.push(started.elapsed());
        assert!(granted(&answer) && !answer.degraded);
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_takes_microseconds_in_memory_and_one_round_trip_in_redis() {
    let memory = median(&Shared::memory(named("a")), 20_000).await;
    println!("memory: median {memory:?}");
    assert!(memory < Duration::from_micros(100));
    let Some(server) = Server::start(&[]) else { return };
    let shared = Shared::open(&server.url(), named("a")).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut bare: Vec<Duration> = Vec::new();
    for _ in 0..5_000 {
        let started = Instant::now();
        let _: redis::Value = redis::cmd("GET").arg("x").query_async(&mut connection).await.unwrap();
        bare.push(started.elapsed());
    }
    bare.sort();
    println!("a bare GET: median {:?}", bare[bare.len() / 2]);
    let admission = median(&shared, 5_000).await;
    println!("redis: median {admission:?}");
    assert!(admission < Duration::from_millis(20));
}
