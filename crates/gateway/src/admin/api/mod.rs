//! Everything that the admin listener answers, in one table.
//!
//! A part adds what it has to tell by a function that gives its [`ApiRoute`]s and one line in [`table`]. Without parts the table
//! is a description alone: of that the OpenAPI document is made.

pub mod audit;
pub mod budgets;
pub mod calls;
pub mod keys;
pub mod route;
pub mod state;
pub mod texts;

use std::sync::Arc;

use crate::admin::api::route::{ApiRoute, Needs};
use crate::admin::openapi;
use crate::admin::pages::Pages;
use crate::keys::service::KeyService;
use crate::stores::Stores;

/// What the handlers work with, each with its own part.
pub struct ApiParts {
    /// Metrics and health.
    pub pages: Arc<Pages>,
    /// Makes and changes keys.
    pub keys: Arc<KeyService>,
    /// Targets, the configuration, reloads.
    pub state: Arc<state::State>,
    /// The records.
    pub stores: Arc<Stores>,
    /// What calls said.
    pub texts: Arc<texts::Texts>,
}

/// The table. `None`: without handlers.
pub fn table(parts: Option<&ApiParts>) -> Vec<ApiRoute> {
    let mut table = pages(parts.map(|parts| parts.pages.clone()));
    table.extend(state::routes(parts.map(|parts| parts.state.clone())));
    table.extend(budgets::routes(parts.map(|parts| parts.pages.clone())));
    table.extend(keys::routes(parts.map(|parts| parts.keys.clone())));
    table.extend(audit::routes(parts.map(|parts| parts.stores.clone())));
    table.extend(texts::routes(parts.map(|parts| parts.texts.clone())));
    table.extend(calls::routes(parts.map(|parts| parts.stores.clone())));
    table
}

fn pages(pages: Option<Arc<Pages>>) -> Vec<ApiRoute> {
    let page = |path, needs, summary, kind, gives: fn(&Pages) -> _| {
        ApiRoute::page(path, needs, summary, kind, pages.clone(), gives)
    };
    vec![
        page(
            "/health",
            Needs::Nobody,
            "Whether the process is alive",
            JSON,
            Pages::health,
        ),
        page("/ready", Needs::Nobody, "Whether it takes calls", JSON, Pages::ready),
        page(
            "/metrics",
            Needs::Watcher,
            "Metrics for Prometheus",
            "application/openmetrics-text",
            Pages::metrics,
        ),
        page(
            "/targets",
            Needs::Watcher,
            "The state of every target",
            JSON,
            Pages::targets,
        ),
        page(
            "/api/openapi.json",
            Needs::Role(crate::config::admin::Role::Viewer),
            "This document",
            JSON,
            |_| openapi::page(),
        ),
    ]
}

const JSON: &str = "application/json";
