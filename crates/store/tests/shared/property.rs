//! Memory and Redis give the same answers to the same sequence of asks and settlements, time passing included.

use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::{Ask, Dimension, Settlement, Spend};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use types::ids::KeyId;
use types::money::NanoDollars;

use crate::server::Server;
use crate::{asks, at, granted, hold, limit, named, window};

#[derive(Debug, Clone)]
enum Step {
    Ask {
        key: u8,
        requests: u64,
        tokens: u64,
        places: bool,
        day: u64,
        hour: u64,
    },
    /// Settles the oldest that was granted, at so many percent.
    Settle {
        percent: u64,
    },
    Pass {
        ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (0..2_u8, 0..3_u64, 0..1_500_u64, any::<bool>(), 0..300_u64, 0..300_u64);
    let step = prop_oneof![
        4 => ask.prop_map(|(key, requests, tokens, places, day, hour)| Step::Ask { key, requests, tokens, places, day, hour }),
        2 => (0..500_u64).prop_map(|percent| Step::Settle { percent }),
        1 => (0..30_000_u64).prop_map(|ms| Step::Pass { ms }),
    ];
    proptest::collection::vec(step, 1..60)
}

#[test]
fn memory_and_redis_give_the_same_answers() {
    let Some(server) = Server::start(&[]) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let number = std::cell::Cell::new(0);
    let result = runner.run(&steps(), |steps| {
        number.set(number.get() + 1);
        let number = number.get();
        let url = format!("{}?clock=caller&prefix=case-{number}", server.url());
        runtime.block_on(async {
            let redis = Shared::open(&url, named("a")).await.unwrap();
            let memory = Shared::memory(named("a"));
            same(&memory, &redis, steps).await
        })
    });
    result.unwrap();
}

async fn same(memory: &Shared, redis: &Shared, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (day, hour) = (window("day"), window("hour"));
    for shared in [memory, redis] {
        shared.begin_window(&day, NanoDollars(17)).await;
        shared.begin_window(&hour, NanoDollars(0)).await;
    }
    let (mut out, mut ms) = (std::collections::VecDeque::<Ask>::new(), 0);
    let start = at(0);
    for step in steps {
        let now = start.after(std::time::Duration::from_millis(ms));
        match step {
            Step::Ask {
                key,
                requests,
                tokens,
                places,
                day: d,
                hour: h,
            } => {
                let key = format!("k{key}");
                let mut limits = vec![
                    limit(&key, Dimension::Requests, 7, requests),
                    limit(&key, Dimension::Tokens, 1_001, tokens),
                ];
                if places {
                    limits.push(limit(&key, Dimension::Concurrent, 3, 1));
                }
                let ask = asks(limits, vec![hold(&day, d, 2_000), hold(&hour, h, 900)]);
                let (one, other) = (memory.admit(&ask, now).await, redis.admit(&ask, now).await);
                prop_assert_eq!(&one, &other);
                if granted(&one) {
                    out.push_back(ask);
                }
            }
            Step::Settle { percent } => {
                let Some(ask) = out.pop_front() else { continue };
                let settlement = Settlement {
                    call: ask.call,
                    spends: ask
                        .holds
                        .into_iter()
                        .map(|hold| {
                            let actual = NanoDollars(hold.amount.0 * percent / 100);
                            (
                                hold.window,
                                Spend {
                                    held: hold.amount,
                                    actual,
                                },
                            )
                        })
                        .collect(),
                    places: ask
                        .limits
                        .iter()
                        .filter(|limit| limit.dimension == Dimension::Concurrent)
                        .map(|limit| KeyId::from(limit.key.as_str()))
                        .collect(),
                    tokens: ask
                        .limits
                        .into_iter()
                        .filter(|limit| limit.dimension == Dimension::Tokens)
                        .map(|limit| {
                            let actual = limit.amount * percent / 100;
                            (limit, actual)
                        })
                        .collect(),
                };
                memory.settle(settlement.clone(), now);
                redis.settle(settlement, now);
                redis.flushed().await;
                for window in [&day, &hour] {
                    prop_assert_eq!(memory.budget(window), redis.budget(window));
                }
            }
            Step::Pass { ms: passed } => ms += passed,
        }
    }
    redis.close().await;
    Ok(())
}
