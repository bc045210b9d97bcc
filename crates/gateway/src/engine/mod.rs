//! The shell around `policy::call::Call`: it launches, waits, forwards and records, and decides nothing.
//!
//! [`drive`] is the loop; [`run`] is what one call holds while it runs; [`output`] is the way downstream;
//! [`resume`] joins the continuation of a broken stream to what the client has seen.

pub mod body;
pub mod call_ids;
pub mod drive;
pub mod output;
pub mod resume;
pub mod run;
