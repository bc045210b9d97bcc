//! Keys over the admin API: for admins. Everybody else sees names at most.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::api::route::{ApiError, ApiRoute, Asked, Nothing};
use crate::config::admin::Role;
use crate::config::units::{DurationText, duration};
use crate::keys::service::KeyService;
use crate::keys::view::{IssuedKey, KeyDraft, KeyName, KeyPatch, KeyView};

/// All keys.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyList {
    /// The oldest first, revoked and expired ones too.
    pub keys: Vec<KeyView>,
}

/// All keys' names.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyNames {
    /// The oldest first.
    pub keys: Vec<KeyName>,
}

/// How a key gets its new secret.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// For how long the old secret is taken too, such as `1h`; at most 7 days. Left out: it ends at once.
    #[serde(with = "duration::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub grace: Option<Duration>,
}

/// The rows.
pub fn routes(keys: Option<Arc<KeyService>>) -> Vec<ApiRoute> {
    let part = || keys.clone();
    let admin = Role::Admin;
    vec![
        ApiRoute::new(Method::GET, "/api/v1/keys", admin, "All keys", part(), list),
        ApiRoute::new(
            Method::POST,
            "/api/v1/keys",
            admin,
            "Make a key; its text is shown this once",
            part(),
            create,
        )
        .creating(),
        ApiRoute::new(Method::GET, "/api/v1/keys/{id}", admin, "One key", part(), get),
        ApiRoute::new(
            Method::PATCH,
            "/api/v1/keys/{id}",
            admin,
            "Change what a key may",
            part(),
            update,
        ),
        ApiRoute::new(
            Method::DELETE,
            "/api/v1/keys/{id}",
            admin,
            "Revoke a key for good; its record stays",
            part(),
            revoke,
        ),
        ApiRoute::new(
            Method::POST,
            "/api/v1/keys/{id}/rotate",
            admin,
            "Give a key a new secret; its text is shown this once",
            part(),
            rotate,
        ),
        ApiRoute::new(
            Method::GET,
            "/api/v1/key-names",
            Role::Viewer,
            "What keys are called",
            part(),
            names,
        ),
    ]
}

async fn list(keys: Arc<KeyService>, _: Asked<Nothing, Nothing>) -> Result<KeyList, ApiError> {
    Ok(KeyList {
        keys: keys.list().await?,
    })
}

async fn names(keys: Arc<KeyService>, _: Asked<Nothing, Nothing>) -> Result<KeyNames, ApiError> {
    let name = |key: KeyView| KeyName {
        id: key.id,
        name: key.name,
    };
    Ok(KeyNames {
        keys: keys.list().await?.into_iter().map(name).collect(),
    })
}

async fn create(keys: Arc<KeyService>, asked: Asked<Nothing, KeyDraft>) -> Result<IssuedKey, ApiError> {
    Ok(keys.create(&asked.by, asked.body).await?)
}

async fn get(keys: Arc<KeyService>, asked: Asked<Nothing, Nothing>) -> Result<KeyView, ApiError> {
    Ok(keys.get(&asked.id).await?)
}

async fn update(keys: Arc<KeyService>, asked: Asked<Nothing, KeyPatch>) -> Result<KeyView, ApiError> {
    Ok(keys.update(&asked.by, &asked.id, asked.body).await?)
}

async fn revoke(keys: Arc<KeyService>, asked: Asked<Nothing, Nothing>) -> Result<KeyView, ApiError> {
    Ok(keys.revoke(&asked.by, &asked.id).await?)
}

async fn rotate(keys: Arc<KeyService>, asked: Asked<Nothing, Rotation>) -> Result<IssuedKey, ApiError> {
    Ok(keys.rotate(&asked.by, &asked.id, asked.body.grace).await?)
}
