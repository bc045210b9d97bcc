//! `checks:` how often a sick target is asked whether it is well again.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{DurationText, duration};

/// Health checks of targets with an open breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Between two checks of the same target.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub interval: Duration,
    /// A check that takes longer has failed.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
}

impl Default for Checks {
    fn default() -> Checks {
        Checks {
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
        }
    }
}

impl Checks {
    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("checks");
        for (key, value) in [("interval", self.interval), ("timeout", self.timeout)] {
            if value.is_zero() {
                errors.push(root.notice(&place.key(key), "must be more than 0"));
            }
        }
    }
}
