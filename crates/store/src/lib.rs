//! Memory that outlives a call, in two kinds that fail apart.
//!
//! [`records`]: what must not be lost (keys, ledger, calls, stored responses), in SQLite or PostgreSQL, written in batches off a
//! call's path. [`shared`]: what instances must agree on now (spend counters, rate limits, breaker news, cached answers, leases),
//! in this process or in Redis. Nothing here decides: what a limit or a level means is `policy`'s.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod error;
pub mod records;
pub mod shared;
