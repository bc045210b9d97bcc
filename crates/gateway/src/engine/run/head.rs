//! The head of a call's answer: status and the headers that say who served it.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use types::dialect::{IngressDialect, Operation};
use types::features::Features;
use types::ids::AttemptNo;
use wire::request::Dropped;

use crate::engine::run::record::cost_of;
use crate::engine::run::{Run, Track};

impl Run {
    pub(super) fn head(&self, attempt: AttemptNo) -> Parts {
        let track = self.tracks.iter().find(|t| t.launch.attempt == attempt);
        let mut headers = self.headers(track);
        if self.stream {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // Reverse proxies in front must not collect the stream.
            headers.insert(
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            );
        } else {
            let json = || HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, self.content_type.clone().unwrap_or_else(json));
        }
        parts(StatusCode::OK, headers)
    }

    /// The headers every answer carries: what is known of the call so far.
    pub(super) fn headers(&self, served: Option<&Track>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-jumpseat-call-id", &self.id);
        set("x-request-id", &self.id);
        // Anthropic's SDKs read this name.
        if self.dialect == IngressDialect::AnthropicMessages {
            set("request-id", &self.id);
        }
        set("x-jumpseat-route", self.route.policy.name.as_str());
        set("x-jumpseat-attempts", &self.tracks.len().to_string());
        if let Some(track) = served {
            let target = self.route.target(track.launch.target);
            set("x-jumpseat-tier", &(track.launch.tier + 1).to_string());
            set("x-jumpseat-target", target.facts.id.as_str());
            if let Some(tier) = target.facts.model_tier {
                set("x-jumpseat-model-tier", tier.as_str());
            }
            if self.route.prompt(track.launch.tier).is_some() && self.operation == Operation::Generate.as_str() {
                set("x-jumpseat-prompt", "adjusted");
            }
            if let Some(cap) = track.output_cap {
                set("x-jumpseat-output-cap", &cap.to_string());
            }
            if let Some(degraded) = join_features(track.degraded) {
                set("x-jumpseat-degraded", &degraded);
            }
            let details = match self.attempt.as_ref().filter(|a| a.no == track.launch.attempt) {
                Some(running) => &running.details,
                None => &track.details,
            };
            if let Some(dropped) = join_dropped(&details.dropped) {
                set("x-jumpseat-dropped", &dropped);
            }
            if details.estimated {
                set("x-jumpseat-estimated", "true");
            }
            // Of a stream it is known when it has ended: the log and the metrics have it.
            let cost = cost_of(target, &self.facts, details, self.operation, self.dialect).filter(|_| !self.stream);
            if let Some(cost) = cost {
                set("x-jumpseat-cost-usd", &cost.nano.to_string());
            }
        }
        if let Some(word) = self.cache_word() {
            set("x-jumpseat-cache", word);
        }
        if let Some(reason) = self.call.fallback_word() {
            set("x-jumpseat-fallback-reason", reason);
        }
        self.spending.tell(self.dialect, &mut headers);
        headers
    }
}

/// A response's head.
pub(super) fn parts(status: StatusCode, headers: HeaderMap) -> Parts {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.into_parts().0
}

/// What was asked for in words, as `x-jumpseat-degraded` says it.
pub(super) fn join_features(degraded: Features) -> Option<String> {
    (!degraded.is_empty()).then(|| degraded.words().collect::<Vec<_>>().join(", "))
}

/// What translation left out, as `x-jumpseat-dropped` says it.
pub(super) fn join_dropped(dropped: &[Dropped]) -> Option<String> {
    (!dropped.is_empty()).then(|| dropped.iter().map(|d| d.0.as_str()).collect::<Vec<_>>().join(", "))
}
