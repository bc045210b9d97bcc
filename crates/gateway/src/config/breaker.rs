//! `breaker:` when a target is no longer tried, and for how long.

use std::time::Duration;

use policy::route::BreakerPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{DurationText, PercentText, duration, percent};

/// The breakers of all targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row, of distinct calls, that open it while there are few attempts.
    pub consecutive: u32,
    /// The failures in a row must lie within this.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub within: Duration,
    /// How far back attempts are counted for the success ratio.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub window: Duration,
    /// It opens when the share of successes in the window falls below this.
    #[serde(with = "percent")]
    #[schemars(with = "PercentText")]
    pub ratio: f64,
    /// Attempts in the window from which the ratio decides instead of failures in a row.
    pub ratio_from: u32,
    /// How long the first opening lasts.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub open: Duration,
    /// Openings double up to this with each failed probe.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub open_max: Duration,
    /// Each opening is shortened by a random share up to this, so that instances do not probe in step.
    #[serde(with = "percent")]
    #[schemars(with = "PercentText")]
    pub jitter: f64,
}

impl Default for Breaker {
    fn default() -> Breaker {
        let policy = BreakerPolicy::default();
        Breaker {
            consecutive: policy.consecutive,
            within: policy.consecutive_within,
            window: policy.window,
            ratio: policy.ratio,
            ratio_from: policy.ratio_from,
            open: policy.open,
            open_max: policy.open_max,
            jitter: policy.jitter,
        }
    }
}

impl Breaker {
    /// The same in the words of `policy`.
    pub fn policy(&self) -> BreakerPolicy {
        BreakerPolicy {
            consecutive: self.consecutive,
            consecutive_within: self.within,
            window: self.window,
            ratio: self.ratio,
            ratio_from: self.ratio_from,
            open: self.open,
            open_max: self.open_max,
            jitter: self.jitter,
        }
    }

    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("breaker");
        let mut wrong = |key: &str, message: &str| errors.push(root.notice(&place.key(key), message));
        for (key, count) in [("consecutive", self.consecutive), ("ratio_from", self.ratio_from)] {
            if count == 0 {
                wrong(key, "must be at least 1");
            }
        }
        for (key, time) in [("within", self.within), ("window", self.window), ("open", self.open)] {
            if time.is_zero() {
                wrong(key, "must be more than 0");
            }
        }
        if self.open_max < self.open {
            wrong("open_max", "must not be shorter than `open`");
        }
        if self.jitter >= 1.0 {
            wrong("jitter", "must be less than 100%");
        }
    }
}
