//! What runs beside calls: health checks of open targets, and reloading the configuration.

pub mod health_check;
pub mod instances;
pub mod learned;
pub mod news;
pub mod orphans;
pub mod reload;
pub mod retention;
pub mod windows;
