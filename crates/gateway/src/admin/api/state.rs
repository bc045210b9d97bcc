//! What runs, over the admin API: targets, the configuration without its secrets, reloads, and who asks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::api::route::{ApiError, ApiRoute, Asked, Nothing};
use crate::admin::pages::{Pages, TargetReport};
use crate::admin::redact::redacted;
use crate::config::admin::Role;
use crate::fleet::snapshot::Snapshot;
use crate::jobs::reload::Reloader;

/// What these rows work with.
pub struct State {
    /// What serves now.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Reports targets.
    pub pages: Arc<Pages>,
    /// Reads the configuration anew; `None` without a file.
    pub reloader: Option<Arc<Reloader>>,
}

/// Who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// The token's name.
    pub name: String,
    /// What it may.
    pub role: Role,
}

/// The state of every target.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Targets {
    /// Each once.
    pub targets: Vec<TargetReport>,
}

/// The configuration in force.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConfigInForce {
    /// Counts up with every reload, from 1.
    pub generation: u64,
    /// As it was read, with the defaults; secrets are `[redacted]`.
    pub config: Value,
    /// What is doubtful about it.
    pub warnings: Vec<String>,
}

/// A reload that was done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// The configuration's new number.
    pub generation: u64,
}

/// The rows.
pub fn routes(state: Option<Arc<State>>) -> Vec<ApiRoute> {
    let part = || state.clone();
    let viewer = Role::Viewer;
    vec![
        ApiRoute::new(
            Method::GET,
            "/api/v1/whoami",
            viewer,
            "Whose token this is",
            part(),
            whoami,
        ),
        ApiRoute::new(
            Method::GET,
            "/api/v1/targets",
            viewer,
            "The state of every target",
            part(),
            targets,
        ),
        ApiRoute::new(
            Method::GET,
            "/api/v1/config",
            viewer,
            "The configuration in force, without its secrets",
            part(),
            config,
        ),
        ApiRoute::new(
            Method::POST,
            "/api/v1/reload",
            Role::Operator,
            "Read the configuration's file again; one that is not sound is refused",
            part(),
            reload,
        ),
    ]
}

async fn whoami(_: Arc<State>, asked: Asked<Nothing, Nothing>) -> Result<WhoAmI, ApiError> {
    Ok(WhoAmI {
        name: asked.by.name,
        role: asked.by.role,
    })
}

async fn targets(state: Arc<State>, _: Asked<Nothing, Nothing>) -> Result<Targets, ApiError> {
    Ok(Targets {
        targets: state.pages.target_reports(),
    })
}

async fn config(state: Arc<State>, _: Asked<Nothing, Nothing>) -> Result<ConfigInForce, ApiError> {
    let snapshot = state.snapshot.load();
    let config = serde_json::to_value(&snapshot.loaded.config).expect("a configuration is always JSON");
    Ok(ConfigInForce {
        generation: snapshot.generation,
        config: redacted(config),
        warnings: snapshot.loaded.warnings.iter().map(ToString::to_string).collect(),
    })
}

async fn reload(state: Arc<State>, asked: Asked<Nothing, Nothing>) -> Result<Reloaded, ApiError> {
    let Some(reloader) = &state.reloader else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "no_file",
            "the configuration comes from no file, so that there is nothing to read again",
        ));
    };
    match reloader.reload_as(&asked.by).await {
        Ok(generation) => Ok(Reloaded { generation }),
        Err(reason) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
            format!("the old configuration stays in force: {reason:#}"),
        )),
    }
}
