//! Forgetting what a key's calls said, over the admin API: for admins, and told in the audit log.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::Serialize;
use store::records::audit::AuditEntry;
use types::ids::KeyId;

use crate::admin::api::route::{ApiError, ApiRoute, Asked, Nothing};
use crate::clock::Clock;
use crate::config::admin::Role;
use crate::keys::service::audit_entry;
use crate::recorder::forget::Forgetter;
use crate::stores::Stores;

/// What the handler works with.
pub struct Texts {
    /// Forgets; `None` for who keeps nothing.
    pub forgetter: Option<Forgetter>,
    /// The audit log.
    pub stores: Stores,
    /// The time.
    pub clock: Clock,
}

/// How much was forgotten.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Forgotten {
    /// Texts of calls and stored responses.
    pub forgotten: u64,
}

/// The row.
pub fn routes(texts: Option<Arc<Texts>>) -> Vec<ApiRoute> {
    vec![ApiRoute::new(
        Method::DELETE,
        "/api/v1/keys/{id}/texts",
        Role::Admin,
        "Forget the texts and stored responses of a key's calls; the ledger stays",
        texts,
        forget,
    )]
}

async fn forget(texts: Arc<Texts>, asked: Asked<Nothing, Nothing>) -> Result<Forgotten, ApiError> {
    let (forgetter, keeping) = texts
        .forgetter
        .as_ref()
        .zip(texts.stores.records.as_ref())
        .ok_or_else(ApiError::no_store)?;
    let forgotten = forgetter.texts_of(&KeyId::from(asked.id.as_str())).await?;
    let audit = AuditEntry {
        after: Some(serde_json::json!({ "forgotten": forgotten })),
        ..audit_entry(&asked.by, "key.forget_texts", &asked.id, texts.clock.now().wall)
    };
    keeping.records.put_audit(&audit).await?;
    Ok(Forgotten { forgotten })
}
