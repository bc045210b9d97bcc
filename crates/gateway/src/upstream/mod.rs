//! Outbound HTTP: the only place of it. Connections, the provider's client, and one attempt at one target.

pub mod answer;
pub mod attempt;
pub mod client;
pub mod collector;
pub mod credentials;
pub mod fetch;
pub mod link;
pub mod order;
pub mod reader;
pub mod sign_in;
