//! `shared:` where instances agree on spend, limits, breakers and cached answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;

/// Where instances agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shared {
    /// `memory:` for one instance; `redis://[user:password@]host[:port][/database]`, or `rediss://` by TLS, for several.
    pub url: String,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            url: "memory:".to_owned(),
        }
    }
}

impl Shared {
    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let sound = self.url == "memory:" || ["redis://", "rediss://"].iter().any(|s| self.url.starts_with(s));
        if !sound {
            let message = "is no shared state: write `memory:`, `redis://host:6379` or `rediss://host:6379`";
            errors.push(root.notice(&Place::root().key("shared").key("url"), message));
        }
    }
}
