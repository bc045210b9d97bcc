//! Calls against scripted targets in virtual time, on the real policy: the same machine, the same cells, no socket.
//!
//! A [`scenario::Scenario`] says who serves, how well, and who calls when. [`simulate::simulate`] plays it and writes
//! down what was seen ([`trace::Trace`]); every promise of the house is a [`checker::Checker`] over that trace, and each
//! one is proved by a [`mutant::Mutation`] that it must catch. The same scenario and seed give the same bytes.
//!
//! Nothing here knows HTTP, a dialect or a token's text: a target says how an attempt ends, as `wire` would classify it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agenda;
pub mod arrival;
pub mod chance;
pub mod checker;
pub mod fate;
pub mod fleet;
pub mod machine;
pub mod mutant;
pub mod purse;
pub mod scenario;
pub mod script;
pub mod simulate;
pub mod summary;
pub mod trace;
pub mod world;
