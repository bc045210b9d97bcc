//! `otlp:` the collector that traces and metrics are sent to.

use std::time::Duration;

use http::Uri;
use http::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::entries::Entries;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::secret::Secret;
use crate::config::units::{DurationText, PercentText, duration, percent};

/// Where traces and metrics go, by OTLP over HTTP. A change takes effect at the next start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// The collector's base URL, `http://127.0.0.1:4318`: `/v1/traces` and `/v1/metrics` are added. Nothing is sent without it.
    pub endpoint: Option<String>,
    /// Headers that the collector asks for. Their values are not shown.
    pub headers: Entries<Secret>,
    /// Send a span for each call and each of its attempts. They hold no texts.
    pub traces: bool,
    /// Send the metrics.
    pub metrics: bool,
    /// The share of calls whose spans are sent. A call that comes with a `traceparent` does as that says.
    #[serde(with = "percent")]
    #[schemars(with = "PercentText")]
    pub sample: f64,
    /// Between two sendings of metrics.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub interval: Duration,
    /// What the gateway is called there.
    pub service_name: String,
}

impl Default for Otlp {
    fn default() -> Otlp {
        Otlp {
            endpoint: None,
            headers: Entries::default(),
            traces: true,
            metrics: true,
            sample: 1.0,
            interval: Duration::from_secs(60),
            service_name: "jumpseat".to_owned(),
        }
    }
}

impl Otlp {
    /// Judges the section's values.
    pub(super) fn validate(&self, root: &Node, errors: &mut Vec<Notice>) {
        let place = Place::root().key("otlp");
        if let Some(endpoint) = &self.endpoint {
            let uri = endpoint.parse::<Uri>().ok();
            let sound = uri.is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() && uri.query().is_none()
            });
            if !sound {
                let message = "is no collector: write its base URL, such as `http://127.0.0.1:4318`";
                errors.push(root.notice(&place.key("endpoint"), message));
            }
        }
        for (name, value) in self.headers.iter() {
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value.expose()).is_err() {
                errors.push(root.notice(&place.key("headers").key(name), "is no header"));
            }
        }
        if self.interval < Duration::from_secs(1) {
            errors.push(root.notice(&place.key("interval"), "is to be a second at least"));
        }
    }
}
