//! The fake as its clients see it: over HTTP, on a pipe with a paused clock, or on loopback.

#![allow(clippy::unwrap_used)]

mod answers;
mod azure;
mod clouds;
mod faults;
mod resources;
mod responses;
mod support;
mod turns;
