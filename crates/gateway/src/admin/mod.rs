//! The operator's listener: metrics and health, apart from the data plane.

pub mod face;
pub mod health;
