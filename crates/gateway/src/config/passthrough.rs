//! `passthrough:` endpoints that have an owner and no neutral meaning, and who owns them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Images, audio, moderations, rerank, files and batches: they go to one provider as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Passthrough {
    /// The provider of calls that name no model: files, batches, moderations without one. They are refused when it is left out.
    pub provider: Option<String>,
    /// Callers may list, upload, read and delete files of that provider's account.
    pub files: bool,
    /// Callers may list, create and cancel batches of that provider's account.
    pub batches: bool,
}
