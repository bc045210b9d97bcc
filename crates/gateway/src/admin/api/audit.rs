//! The audit log over the admin API.

use std::sync::Arc;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::records::audit::AuditEntry;
use store::records::query::Page;

use crate::admin::api::route::{ApiError, ApiRoute, Asked, Nothing};
use crate::config::admin::Role;
use crate::keys::view::moment;
use crate::stores::Stores;
use types::time::UnixMillis;

/// Entries on a page without a word, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;

/// Which page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Only what came before this entry: the `next` of the page before.
    pub before: Option<String>,
    /// At most so many, up to 1,000; 100 when left out.
    pub limit: Option<u32>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<Change>,
    /// What to write in `before` for the next page; `null` on the last.
    pub next: Option<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Unique, in the order of time.
    pub id: String,
    /// When.
    #[serde(with = "moment")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: UnixMillis,
    /// Who: the name of an admin token, `cli` for a command on the machine itself, `file` and `signal` for reloads by those.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// From which address; `null`: the machine itself.
    pub remote: Option<String>,
    /// What was done, such as `key.create`.
    pub action: String,
    /// To what; for a key its id.
    pub object: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

/// The rows.
pub fn routes(stores: Option<Arc<Stores>>) -> Vec<ApiRoute> {
    vec![ApiRoute::new(
        Method::GET,
        "/api/v1/audit",
        Role::Admin,
        "Who changed what, the newest first",
        stores,
        page,
    )]
}

async fn page(stores: Arc<Stores>, asked: Asked<AuditQuery, Nothing>) -> Result<AuditPage, ApiError> {
    let keeping = stores.records.as_ref().ok_or_else(ApiError::no_store)?;
    let limit = asked.query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let page = Page {
        before: asked.query.before,
        limit,
    };
    Ok(AuditPage::of(keeping.records.audit(page).await?, limit))
}

impl AuditPage {
    /// A page of at most `limit` entries.
    pub fn of(entries: Vec<AuditEntry>, limit: u32) -> AuditPage {
        let full = entries.len() >= limit as usize;
        AuditPage {
            next: entries.last().filter(|_| full).map(|last| last.id.clone()),
            entries: entries.into_iter().map(Change::of).collect(),
        }
    }
}

impl Change {
    fn of(entry: AuditEntry) -> Change {
        let AuditEntry {
            id,
            at,
            actor,
            role,
            remote,
            action,
            object,
            before,
            after,
        } = entry;
        Change {
            id,
            at,
            actor,
            role,
            remote,
            action,
            object,
            before,
            after,
        }
    }
}
