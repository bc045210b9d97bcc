//! The I/O shell: sockets, clocks, files and logs around the decisions of `policy` and the translation of `wire`.
//!
//! Start at [`app`], the one file that knows every part; a call's way is [`ingress`] → [`engine`] → [`upstream`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod app;
pub mod cache;
pub mod clock;
pub mod config;
pub mod conversations;
pub mod engine;
pub mod fleet;
pub mod ingress;
pub mod jobs;
pub mod keys;
pub mod recorder;
pub mod spend;
pub mod stores;
pub mod telemetry;
pub mod upstream;
