//! Proof of the records: one contract that every backend keeps, its writer's promises when a store fails, migrations, costs.
#![allow(clippy::unwrap_used)]

mod contract;
mod cost;
mod encrypted;
mod faults;
mod samples;
mod servers;
mod stores;
mod upgrade;
mod writer;
