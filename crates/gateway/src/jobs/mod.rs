//! What runs beside calls: health checks of open targets, and reloading the configuration.

pub mod health_check;
pub mod reload;
