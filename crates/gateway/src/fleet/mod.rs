//! Whom calls can go to, and what is known of them: the running form of a configuration.
//!
//! [`memory`] keeps what was learned (breakers, rests) across reloads; [`snapshot`] is one configuration made ready,
//! swapped whole; [`route`] and [`provider`] are its parts. Nothing here decides: it holds policy's cells, each
//! behind a small lock of its own, and lets policy look at them.

pub mod memory;
pub mod provider;
pub mod route;
pub mod snapshot;
