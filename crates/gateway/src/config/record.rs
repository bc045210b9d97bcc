//! `record:` what is remembered of calls when they are over, for how long, and which texts of them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::units::{PercentText, RetentionText, SizeText, percent, retention, size};

/// Texts longer than this are a mistake in the configuration, not a record.
const BYTES_MAX: u64 = 32 << 20;

/// What is remembered of calls. Their facts (who, where, how long, how much) always are where there is a store; their texts only
/// where this section says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Whose texts are kept, prompt and answer: `off`, `errors` (of calls that failed, and of a `sample` of the others), `sample` (of
    /// a share of all calls), or `all`. Off unless somebody decides otherwise.
    pub payloads: Payloads,
    /// The share that `errors` and `sample` speak of. Which calls they are follows from their ids.
    #[serde(with = "percent")]
    #[schemars(with = "PercentText")]
    pub sample: f64,
    /// How long calls and their texts are kept.
    #[serde(with = "retention")]
    #[schemars(with = "RetentionText")]
    pub retain: Duration,
    /// How long responses are kept that clients may go on from (`store` of the Responses API).
    #[serde(with = "retention")]
    #[schemars(with = "RetentionText")]
    pub responses_retain: Duration,
    /// What is taken out of texts before they are kept.
    pub redact: Vec<Redact>,
    /// Of a prompt, and of an answer, at most so much is kept.
    #[serde(with = "size")]
    #[schemars(with = "SizeText")]
    pub bytes_max: u64,
}

/// Whose texts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payloads {
    /// Nobody's.
    #[default]
    Off,
    /// Of calls that failed, and of a sample of the others.
    Errors,
    /// Of a sample.
    Sample,
    /// Of every call.
    All,
}

/// What a route says otherwise about its calls' texts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteRecord {
    /// Whose texts are kept.
    pub payloads: Option<Payloads>,
    /// The share that `errors` and `sample` speak of.
    #[serde(with = "percent::option")]
    #[schemars(with = "Option<PercentText>")]
    pub sample: Option<f64>,
}

/// A kind of thing that is taken out of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Redact {
    /// Addresses of e-mail.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Keys, tokens, passwords.
    Secret,
}

impl Default for Record {
    fn default() -> Record {
        Record {
            payloads: Payloads::Off,
            sample: 0.0,
            retain: Duration::from_secs(30 * 24 * 3600),
            responses_retain: Duration::from_secs(30 * 24 * 3600),
            redact: vec![Redact::Email, Redact::Phone, Redact::Card, Redact::Secret],
            bytes_max: 512 << 10,
        }
    }
}

impl Record {
    /// Whose texts are kept of a route's calls, and the share.
    pub fn of_route(&self, route: Option<&RouteRecord>) -> (Payloads, f64) {
        let route = route.cloned().unwrap_or_default();
        (
            route.payloads.unwrap_or(self.payloads),
            route.sample.unwrap_or(self.sample),
        )
    }

    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("record");
        let mut wrong = |key: &str, message: &str| errors.push(root.notice(&place.key(key), message));
        if self.payloads == Payloads::Sample && self.sample == 0.0 {
            wrong(
                "payloads",
                "keeps nothing without a share: write `sample: 1%` beside it",
            );
        }
        if self.retain < Duration::from_secs(3600) {
            wrong("retain", "is to be an hour at least");
        }
        if self.responses_retain < Duration::from_secs(60) {
            wrong("responses_retain", "is to be a minute at least");
        }
        if self.bytes_max == 0 || self.bytes_max > BYTES_MAX {
            wrong("bytes_max", "is to be between 1 and 32MB");
        }
    }
}
