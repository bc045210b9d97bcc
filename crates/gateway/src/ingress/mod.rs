//! The downstream side: listeners, limits, and the HTTP face.
//!
//! [`server`] owns connections, [`face`] knows the paths, [`call`] takes a call from its bytes to its answer.

pub mod bodies;
pub mod call;
pub mod face;
pub mod guard;
pub mod hints;
pub mod models;
pub mod reply;
pub mod server;
