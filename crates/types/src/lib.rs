//! The vocabulary of the house: plain data and its invariants, and nothing that acts.
//!
//! Every other crate speaks in these words. Nothing here reads a clock, an environment, a file or a random
//! source; nothing here knows a provider. Start at [`outcome::OutcomeClass`] for what a call can come to, and at
//! [`chat::ChatRequest`] for what it can ask.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod chat;
pub mod dialect;
pub mod embedding;
pub mod event;
pub mod features;
pub mod ids;
pub mod money;
pub mod outcome;
pub mod prices;
pub mod principal;
pub mod record;
pub mod spend;
pub mod time;
pub mod usage;
