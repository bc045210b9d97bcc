//! `rest:` how long a target or credential rests after it was told to.

use std::time::Duration;

use policy::route::RestPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{DurationText, duration};

/// Rests of targets and credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rest {
    /// A spent quota or a refused credential, the first time; doubles with each failed probe.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub credential: Duration,
    /// The longest rest of a credential.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub credential_max: Duration,
    /// A model the provider does not have.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub model_missing: Duration,
    /// A rate limit without a hint, the first time; doubles until a success.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub rate_limited: Duration,
    /// The longest rest for a rate limit without a hint.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub rate_limited_max: Duration,
    /// The longest hint that is believed.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub hint_max: Duration,
}

impl Default for Rest {
    fn default() -> Rest {
        let policy = RestPolicy::default();
        Rest {
            credential: policy.credential,
            credential_max: policy.credential_max,
            model_missing: policy.model_missing,
            rate_limited: policy.rate_limited,
            rate_limited_max: policy.rate_limited_max,
            hint_max: policy.hint_max,
        }
    }
}

impl Rest {
    /// The same in the words of `policy`.
    pub fn policy(&self) -> RestPolicy {
        RestPolicy {
            credential: self.credential,
            credential_max: self.credential_max,
            model_missing: self.model_missing,
            rate_limited: self.rate_limited,
            rate_limited_max: self.rate_limited_max,
            hint_max: self.hint_max,
        }
    }

    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("rest");
        if self.credential_max < self.credential {
            errors.push(root.notice(&place.key("credential_max"), "must not be shorter than `credential`"));
        }
        if self.rate_limited_max < self.rate_limited {
            errors.push(root.notice(
                &place.key("rate_limited_max"),
                "must not be shorter than `rate_limited`",
            ));
        }
    }
}
