//! A virtual key as it is stored: everything but the secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::ids::KeyId;
use types::principal::{KeyLimits, Permissions, Priority};
use types::time::UnixMillis;

/// A key. The secret itself is shown once and kept nowhere; `digests` are of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its public prefix, by which it is looked up: unique.
    pub id: KeyId,
    /// SHA-256 of the whole key, with when it stops being taken: the newest first. More than one only after a rotation with grace.
    pub digests: Vec<KeyDigest>,
    /// What people call it.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What its calls are counted under, sorted.
    pub tags: Vec<String>,
    /// See [`types::principal::Principal::priority`].
    pub priority: Priority,
    /// See [`types::principal::Principal::routes`].
    pub routes: Option<Vec<String>>,
    /// See [`types::principal::Principal::targets`].
    pub targets: Option<Vec<String>>,
    /// Networks it may be used from (`10.0.0.0/8`); `None`: all.
    pub networks: Option<Vec<String>>,
    /// Its limits.
    pub limits: KeyLimits,
    /// Its budgets, as the configuration's `budgets:` writes one, by name; JSON of it.
    pub budgets: BTreeMap<String, serde_json::Value>,
    /// What else it may.
    pub permissions: Permissions,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: Option<UnixMillis>,
    /// When it was revoked.
    pub revoked: Option<UnixMillis>,
}

/// A digest of a key's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDigest {
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// When it stops being taken; `None`: with the key.
    pub until: Option<UnixMillis>,
}
