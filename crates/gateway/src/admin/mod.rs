//! The operator's listener: metrics, states, the admin API; apart from the data plane, with credentials of its own.
//!
//! [`api::table`] is the one list of what there is: the listener dispatches by it, the OpenAPI document is written from it, and a
//! test walks it with every kind of credential. What is not in it does not exist.

pub mod api;
pub mod face;
pub mod gate;
pub mod health;
pub mod openapi;
pub mod pages;
pub mod redact;
pub mod token_file;
