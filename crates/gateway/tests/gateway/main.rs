//! The real server, black box over HTTP, against fake providers.
//!
//! Client, gateway and providers live in one current-thread runtime, joined by pipes in memory, so that tokio's clock
//! can be paused: a test that waits 30 s takes none. See [`house::House`].
#![allow(clippy::unwrap_used)]

mod accounting;
mod admin;
mod agents;
mod bad_input;
mod basics;
mod breaker;
mod cache;
mod clouds;
mod commit;
mod credentials;
mod deadlines;
mod degrade;
mod drain_reload;
mod embeddings;
mod faults_stream;
mod faults_unary;
mod fetch;
mod fitness;
mod framing;
mod gemini;
mod house;
mod ingress;
mod keys;
mod limits;
mod messages;
mod models;
mod passthrough;
mod records;
mod responses;
mod spend;
