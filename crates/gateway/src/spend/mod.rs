//! Money and limits of calls: what is asked before an attempt, held while it runs, and settled when it is over.
//!
//! The decisions are `policy::spend`'s, the counting is `store::shared`'s; here the two meet a call. [`spender::Spender`] lives as
//! long as the gateway, [`spending::Spending`] as long as a call, a [`budget::Budget`] as long as its configuration.

pub mod budget;
pub mod headers;
pub mod metrics;
pub mod quote;
pub mod report;
pub mod spender;
pub mod spending;
pub mod tags;
pub mod turned;
