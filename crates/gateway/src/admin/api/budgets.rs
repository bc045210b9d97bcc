//! How budgets stand, over the admin API.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::api::route::{ApiError, ApiRoute, Asked, Nothing};
use crate::admin::pages::Pages;
use crate::config::admin::Role;
use crate::spend::report::BudgetView;

/// How budgets stand: those of the configuration, then those of keys.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetList {
    /// Each once.
    pub budgets: Vec<BudgetView>,
}

/// The rows.
pub fn routes(pages: Option<Arc<Pages>>) -> Vec<ApiRoute> {
    vec![ApiRoute::new(
        Method::GET,
        "/api/v1/budgets",
        Role::Viewer,
        "How budgets stand: level, spent, held, rate, and when the money ends",
        pages,
        list,
    )]
}

async fn list(pages: Arc<Pages>, _: Asked<Nothing, Nothing>) -> Result<BudgetList, ApiError> {
    let reports = pages.spender.report(&pages.snapshot.load().budgets);
    Ok(BudgetList {
        budgets: reports.iter().map(|report| report.view()).collect(),
    })
}
