//! `fetch:` whether images and documents that callers name by URL are fetched for providers that take only their bytes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{DurationText, SizeText, duration, size};

/// Fetching of what callers name by URL. Off by default: it lets callers make the gateway open connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fetch {
    /// Fetch them. Never from private, loopback, link-local or metadata addresses.
    pub enabled: bool,
    /// Also over plain `http`.
    pub plain_http: bool,
    /// One of them may be at most this large.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub size_max: u64,
    /// All of a call together must have come within this.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// How many a call may name.
    pub count_max: u32,
    /// Types that are taken; `image/*` means all of a kind.
    pub types: Vec<String>,
}

impl Default for Fetch {
    fn default() -> Fetch {
        Fetch {
            enabled: false,
            plain_http: false,
            size_max: 10 << 20,
            timeout: Duration::from_secs(10),
            count_max: 16,
            types: ["image/*", "application/pdf", "text/plain"].map(str::to_owned).to_vec(),
        }
    }
}

impl Fetch {
    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("fetch");
        let mut wrong = |key: &str, message: &str| errors.push(root.notice(&place.key(key), message));
        if self.timeout.is_zero() {
            wrong("timeout", "must be more than 0");
        }
        if self.size_max == 0 {
            wrong("size_max", "must be more than 0");
        }
        if self.types.iter().any(|t| t.split('/').count() != 2) {
            wrong("types", "a type is written like `image/png` or `image/*`");
        }
    }
}
