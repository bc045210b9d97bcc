//! One JSON line a call and one an attempt, the same words as in the metrics and the headers.
//!
//! Never a prompt, a completion or a credential: what goes in is a fixed list of names, numbers and classes.

use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;
use types::time::UnixMillis;

/// What a call came to.
#[derive(Debug, Serialize)]
pub struct CallLine<'a> {
    /// RFC 3339, milliseconds, UTC: when the call ended.
    pub ts: String,
    /// Always `call`.
    pub kind: &'static str,
    /// The call's id, as in `x-jumpseat-call-id`.
    pub request_id: &'a str,
    /// The route that served it.
    pub route: &'a str,
    /// What the client wrote in `model`; at most 128 characters.
    pub requested_model: &'a str,
    /// The tier that answered, from 1.
    pub tier: Option<u32>,
    /// The target that answered, or was tried last.
    pub target: Option<&'a str>,
    /// Its provider.
    pub provider: Option<&'a str>,
    /// Its model.
    pub model: Option<&'a str>,
    /// Its model tier.
    pub model_tier: Option<&'static str>,
    /// Outcome class.
    pub outcome: &'static str,
    /// Status given to the client; absent when it left before one.
    pub status: Option<u16>,
    /// Attempts made.
    pub attempts: u32,
    /// Why the first target did not answer.
    pub fallback_reason: Option<&'static str>,
    /// From the request's last byte to the answer's last.
    pub latency_ms: f64,
    /// From the request's last byte to the first content.
    pub first_token_ms: Option<f64>,
    /// What was asked: `chat`, `embeddings`, `count_tokens`, `images` …
    pub operation: &'static str,
    /// The client's dialect.
    pub dialect: &'static str,
    /// Was it a stream?
    pub stream: bool,
    /// Prompt tokens, as told by the provider.
    pub input_tokens: Option<u64>,
    /// Generated tokens.
    pub output_tokens: Option<u64>,
    /// Prompt tokens read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// What its attempts cost, in dollars; absent where no price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Some of that is an estimate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cost_estimated: bool,
    /// `hit`, `stale` or `miss`; absent where no cache was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'static str>,
    /// How alike the question is whose answer was given, when it was asked in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_similarity: Option<f32>,
    /// That answer was not given: the route only counts them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cache_shadow: bool,
    /// How long ago the given answer was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_age_s: Option<u64>,
    /// What translation left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<&'a str>,
    /// What was asked for in words because the target lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<&'a str>,
}

/// A call that was refused before any route was looked at or tried.
#[derive(Debug, Serialize)]
pub struct RefusalLine<'a> {
    /// RFC 3339, milliseconds, UTC.
    pub ts: String,
    /// Always `refusal`.
    pub kind: &'static str,
    /// The call's id.
    pub request_id: &'a str,
    /// Status given to the client.
    pub status: u16,
    /// The error's code, as the client was given it.
    pub code: &'static str,
}

/// What an attempt came to.
#[derive(Debug, Serialize)]
pub struct AttemptLine<'a> {
    /// RFC 3339, milliseconds, UTC: when the attempt ended.
    pub ts: String,
    /// Always `attempt`.
    pub kind: &'static str,
    /// The call's id.
    pub request_id: &'a str,
    /// The route.
    pub route: &'a str,
    /// Number within the call, from 1.
    pub attempt: u32,
    /// Why it was made: `first`, `retry`, `fallback`, `resume`.
    pub reason: &'static str,
    /// The tier, from 1.
    pub tier: u32,
    /// The target.
    pub target: &'a str,
    /// Its provider.
    pub provider: &'a str,
    /// Its model.
    pub model: &'a str,
    /// Which credential, by name.
    pub credential: &'a str,
    /// Outcome class.
    pub outcome: &'static str,
    /// Which clock fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<&'static str>,
    /// The provider's status.
    pub status: Option<u16>,
    /// The provider's own error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// From its launch to its end.
    pub latency_ms: f64,
    /// From its launch to its first content.
    pub first_token_ms: Option<f64>,
    /// Prompt tokens.
    pub input_tokens: Option<u64>,
    /// Generated tokens.
    pub output_tokens: Option<u64>,
    /// What it cost, in dollars; absent where no price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// The provider told no usage, or a kind of token has no price of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cost_estimated: bool,
    /// What was asked for in words because the target lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<&'a str>,
}

static MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// RFC 3339 with milliseconds.
pub fn timestamp(at: UnixMillis) -> String {
    match jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX)) {
        Ok(ts) => MILLISECONDS.timestamp_to_string(&ts),
        Err(_) => String::from("9999-12-31T23:59:59.999Z"),
    }
}

/// Milliseconds with microseconds behind the point.
pub fn millis(d: std::time::Duration) -> f64 {
    (d.as_nanos() as f64 / 1000.0).round() / 1000.0
}

/// Adds a line as JSON.
pub fn append<T: Serialize>(lines: &mut Vec<u8>, line: &T) {
    lines.reserve(512);
    let before = lines.len();
    match serde_json::to_writer(&mut *lines, line) {
        Ok(()) => lines.push(b'\n'),
        Err(_) => lines.truncate(before),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timestamp_has_milliseconds_and_is_utc() {
        assert_eq!(timestamp(UnixMillis(1_795_262_400_007)), "2026-11-21T12:00:00.007Z");
        assert_eq!(millis(Duration::from_nanos(1_234_567)), 1.235);
    }
}
