//! How streams are cut into frames and JSON is walked without a tree, the same for every dialect that needs it.
//!
//! [`sse`] reads server-sent events; [`json`] is a cursor over one JSON text. Neither knows a dialect.

pub(crate) mod balance;
pub mod eventstream;
pub mod json;
pub mod json_stream;
pub mod pass;
pub mod raw;
pub mod sse;
