//! Decisions: told events and the time, it answers with actions and effects. No socket, no clock, no global chance.
//!
//! The same inputs give the same answers, so that every decision can be explained, tested and simulated. Who owns the
//! sockets drives a [`call::Call`] and keeps one small cell for each target, provider, credential and route
//! ([`target::TargetCell`], [`provider::ProviderCell`], [`credential::CredentialCell`], [`route_cell::RouteCell`]).
//!
//! Read first: [`outcome`] (what an attempt's end means), then [`call`] (what follows from it).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod backoff;
pub mod balance;
pub mod breaker;
pub mod cacheability;
pub mod call;
pub mod capability;
pub mod cost;
pub mod credential;
pub mod embedding;
pub mod limit;
pub mod outcome;
pub mod pattern;
pub mod plan;
pub mod provider;
pub mod rest;
pub mod retry_budget;
pub mod rng;
pub mod route;
pub mod route_cell;
pub mod semantic;
pub mod spend;
pub mod target;
pub mod tokens;
pub mod usual;
pub mod view;
