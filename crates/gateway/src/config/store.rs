//! `store:` where keys, the ledger and records are kept, and how soon.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{DurationText, SizeText, duration, size};

/// The longest that what is settled may wait before it is written.
const FLUSH_MAX: Duration = Duration::from_millis(100);

/// Where keys, the ledger and records are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `sqlite:path`, `sqlite::memory:` (nothing survives a restart) or `postgres://user:password@host/database`.
    pub url: String,
    /// `batch`: what is settled is written within `flush`. `strict`: an answer ends only when its cost is written.
    pub durability: Durability,
    /// The longest that what is settled waits before it is written; at most 100 ms.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub flush: Duration,
    /// The folder where records wait while the store is gone; beside the database, or in the working folder, when left out.
    pub spool: Option<std::path::PathBuf>,
    /// The most that waits there.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub spool_max: u64,
    /// The name of this gateway among those that share the store; the machine's own when left out. It must be the same after a restart.
    pub instance: Option<String>,
}

/// When an answer may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// At once; its cost is written within `flush`.
    #[default]
    Batch,
    /// When its cost is written.
    Strict,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            url: "sqlite:jumpseat.db".to_owned(),
            durability: Durability::Batch,
            flush: Duration::from_millis(50),
            spool: None,
            spool_max: 1 << 30,
            instance: None,
        }
    }
}

impl Store {
    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("store");
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if !known.iter().any(|scheme| self.url.starts_with(scheme)) {
            let message =
                "is no store: write `sqlite:path`, `sqlite::memory:` or `postgres://user:password@host/database`";
            errors.push(root.notice(&place.key("url"), message));
        }
        if self.flush.is_zero() || self.flush > FLUSH_MAX {
            errors.push(root.notice(&place.key("flush"), "is to be between 1ms and 100ms"));
        }
    }
}
