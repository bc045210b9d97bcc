//! Who calls, and what they may: the part of a virtual key that decisions look at. Never a secret.
//!
//! What is stored of a key (its digest, when it ends) is the store's; see `store::records::keys`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::KeyId;

/// How much a call matters when money is short. The order is the order of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Shifted to cheaper targets first.
    Low,
    /// The usual.
    #[default]
    Standard,
    /// Keeps its quality until the reserve is gone.
    Critical,
}

impl Priority {
    /// All, the least important first.
    pub const ALL: [Priority; 3] = [Priority::Low, Priority::Standard, Priority::Critical];

    /// As headers, configuration and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Standard => "standard",
            Priority::Critical => "critical",
        }
    }

    /// Reads [`Priority::as_str`] back.
    pub fn parse(text: &str) -> Option<Priority> {
        Priority::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// Limits of a key; what is `None` has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyLimits {
    /// Calls a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, prompt and output together.
    pub tokens_per_minute: Option<u64>,
    /// Calls under way at once.
    pub concurrent: Option<u32>,
}

/// What a key may beside calling models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// `/v1/files` and `/v1/batches`, which act on the provider's account (the operator must have switched them on as well).
    pub files: bool,
    /// `x-jumpseat-explain`.
    pub explain: bool,
    /// `x-jumpseat-tags` with tags that a budget counts.
    pub budget_tags: bool,
}

/// Who pays for a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// The key it came with; `None` where no keys are asked for.
    pub key: Option<KeyId>,
    /// What people call the key.
    pub name: Arc<str>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// What its calls are counted under, sorted, each once: `team:web`.
    pub tags: Vec<Arc<str>>,
    /// What its calls have without a header, and the most they may ask for.
    pub priority: Priority,
    /// Routes it may name, with `*` for any run of characters; `None`: all.
    pub routes: Option<Vec<Arc<str>>>,
    /// Targets its calls may be served by, the same; also those that a route falls back to.
    pub targets: Option<Vec<Arc<str>>>,
    /// Its limits.
    pub limits: KeyLimits,
    /// What else it may.
    pub permissions: Permissions,
}

impl Principal {
    /// Whose stored answers, cached answers and conversations it shares: its owner's when it has one, else its key's own; `None`
    /// where no keys are asked for.
    pub fn tenant(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        Some(match &self.owner {
            Some(owner) => format!("owner:{owner}"),
            None => format!("key:{key}"),
        })
    }
}
