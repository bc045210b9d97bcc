//! The audit log: who changed what, when, from what to what. Secrets and digests never stand in it.

use serde::{Deserialize, Serialize};
use types::time::UnixMillis;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Unique, in the order of time (a UUID of version 7).
    pub id: String,
    /// When.
    pub at: UnixMillis,
    /// Who: the name of an admin token, or `cli` for a command on the machine itself.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// From where, an address; `None` for the machine itself.
    pub remote: Option<String>,
    /// What was done: `key.create`, `key.rotate`, `key.revoke`, `key.update`, `config.reload`, …
    pub action: String,
    /// To what, for a key its id.
    pub object: String,
    /// How it was.
    pub before: Option<serde_json::Value>,
    /// How it is.
    pub after: Option<serde_json::Value>,
}
