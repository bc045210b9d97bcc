//! The fake as its clients see it: over HTTP, on a pipe with a paused clock, or on loopback.

#![allow(clippy::unwrap_used)]

mod answers;
mod clouds;
mod faults;
mod support;
