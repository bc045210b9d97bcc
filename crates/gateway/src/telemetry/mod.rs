//! What the gateway tells of itself: metrics for Prometheus, one log line a call and one an attempt.

pub mod call_log;
pub mod line_writer;
pub mod metrics;
pub mod operations;
pub mod otlp;
pub mod stores;
