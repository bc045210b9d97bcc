//! The spans of a call: one for the call, as a server's, and below it one for each attempt, as a client's.
//!
//! Tokens stand at the attempts alone, so that who adds up spans does not count them twice. A trace that a caller began
//! (`traceparent`, W3C Trace Context) is gone on with.

use std::time::Duration;

use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use types::ids::TargetId;
use types::money::NanoDollars;
use types::outcome::OutcomeClass;
use types::record::CallRecord;
use types::time::UnixMillis;
use types::usage::Usage;
use uuid::Uuid;

use crate::telemetry::otlp::json::{attribute, hex, nanos};

/// Span kinds of OTLP.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// The status of a span that failed.
const STATUS_ERROR: u8 = 2;

/// A call that is over, with what its record does not hold.
#[derive(Debug, Clone, Default)]
pub struct CallEnd {
    /// Its record.
    pub record: CallRecord,
    /// Its attempts, in their order; empty where nobody asked for them.
    pub attempts: Vec<AttemptEnd>,
    /// From its start to its end.
    pub duration: Duration,
}

/// An attempt that is over.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    /// Its number, from 1.
    pub attempt: u32,
    /// `first`, `retry`, `fallback`, `resume`.
    pub reason: &'static str,
    /// From 1.
    pub tier: u32,
    /// Whom it asked.
    pub target: TargetId,
    /// Where.
    pub server: Uri,
    /// How it ended; `None`: it was given up.
    pub outcome: Option<OutcomeClass>,
    /// The provider's status.
    pub status: Option<u16>,
    /// When it began.
    pub started: UnixMillis,
    /// From its start to its end.
    pub duration: Duration,
    /// From its start to its first content.
    pub first_token: Option<Duration>,
    /// Tokens, as told.
    pub usage: Option<Usage>,
    /// The output limit it was given.
    pub max_output_tokens: Option<u64>,
    /// What it cost.
    pub cost: Option<NanoDollars>,
}

/// A call that waits to be sent.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub end: CallEnd,
    /// Where it belongs.
    pub trace: Trace,
}

/// The trace that a call belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    /// The caller's span.
    parent: Option<[u8; 8]>,
}

impl Trace {
    /// The trace of a call: its caller's when it names one, kept when that says so; else one of its own, kept when it is `drawn`.
    /// `None`: it is not kept.
    pub fn of(headers: &HeaderMap, drawn: impl FnOnce() -> bool) -> Option<Trace> {
        let mut given = headers.get_all("traceparent").iter();
        let one = match (given.next(), given.next()) {
            (Some(one), None) => one.to_str().ok(),
            _ => None,
        };
        match one.and_then(traceparent) {
            Some((id, parent, kept)) => kept.then_some(Trace {
                id,
                parent: Some(parent),
            }),
            None => drawn().then(|| Trace {
                id: Uuid::new_v4().into_bytes(),
                parent: None,
            }),
        }
    }
}

/// `00-<trace>-<span>-<flags>`. Later versions may have more behind it; version `ff` is none.
fn traceparent(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut parts = text.trim().split('-');
    let version: [u8; 1] = unhex(parts.next()?)?;
    let (id, parent, flags): ([u8; 16], [u8; 8], [u8; 1]) =
        (unhex(parts.next()?)?, unhex(parts.next()?)?, unhex(parts.next()?)?);
    let sound = version[0] != 0xff && (version[0] != 0 || parts.next().is_none()) && id != [0; 16] && parent != [0; 8];
    sound.then_some((id, parent, flags[0] & 1 == 1))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let sound = digits.len() == 2 * N && digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (n, byte) in bytes.iter_mut().enumerate().filter(|_| sound) {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    sound.then_some(bytes)
}

/// What a failed operation is told as; `None`: it did not fail.
pub fn error_type(outcome: Option<OutcomeClass>) -> Option<&'static str> {
    match outcome {
        Some(OutcomeClass::Success) => None,
        Some(class) => Some(class.as_str()),
        None => Some(OutcomeClass::Cancelled.as_str()),
    }
}

/// The spans of a call, its own first.
pub fn spans(finished: &Finished) -> Vec<Value> {
    let own = span_id();
    let mut spans = vec![call_span(finished, &own)];
    spans.extend(
        finished
            .end
            .attempts
            .iter()
            .map(|attempt| attempt_span(finished, attempt, &own)),
    );
    spans
}

fn call_span(finished: &Finished, own: &str) -> Value {
    let record = &finished.end.record;
    let operation = record.operation.as_ref();
    let mut attributes = vec![
        attribute("gen_ai.operation.name", operation),
        attribute("gen_ai.request.model", record.requested_model.as_str()),
        attribute("jumpseat.call.id", record.id.as_str()),
        attribute("jumpseat.route", record.route.as_str()),
        attribute("jumpseat.dialect", record.dialect.as_ref()),
        attribute("jumpseat.stream", record.stream),
        attribute("jumpseat.outcome", record.outcome.as_ref()),
        attribute("jumpseat.attempts", u64::from(record.attempts)),
        attribute("jumpseat.priority", record.priority.as_ref()),
        attribute("jumpseat.cost_usd", record.cost.as_dollars()),
    ];
    let texts = [
        ("jumpseat.key.id", record.key.as_ref().map(|key| key.as_str())),
        ("jumpseat.target", record.target.as_deref()),
        ("jumpseat.model_tier", record.model_tier.as_deref()),
        ("jumpseat.fallback_reason", record.fallback_reason.as_deref()),
        ("jumpseat.cache", record.cache.as_deref()),
        ("jumpseat.spend_level", record.spend_level.as_deref()),
        ("gen_ai.conversation.id", record.session.as_deref()),
    ];
    attributes.extend(
        texts
            .into_iter()
            .filter_map(|(key, value)| Some(attribute(key, value?))),
    );
    if let Some(status) = record.status {
        attributes.push(attribute("http.response.status_code", u64::from(status)));
    }
    if let Some(tier) = record.tier {
        attributes.push(attribute("jumpseat.tier", u64::from(tier)));
    }
    let failed = record.outcome != OutcomeClass::Success.as_str();
    if failed {
        attributes.push(attribute("error.type", record.outcome.as_ref()));
    }
    span(Span {
        finished,
        id: own.to_owned(),
        parent: finished.trace.parent.map(|parent| hex(&parent)),
        // Routes are few; what clients put in `model` is not.
        name: format!("{operation} {}", record.route),
        kind: SERVER,
        start: record.at,
        duration: finished.end.duration,
        attributes,
        failed: failed.then_some(record.outcome.as_ref()),
    })
}

fn attempt_span(finished: &Finished, attempt: &AttemptEnd, call: &str) -> Value {
    let operation = finished.end.record.operation.as_ref();
    let mut attributes = vec![
        attribute("gen_ai.operation.name", operation),
        attribute("gen_ai.provider.name", attempt.target.provider()),
        attribute("gen_ai.request.model", attempt.target.model()),
        attribute("jumpseat.target", attempt.target.as_str()),
        attribute("jumpseat.attempt", u64::from(attempt.attempt)),
        attribute("jumpseat.attempt.reason", attempt.reason),
        attribute("jumpseat.tier", u64::from(attempt.tier)),
    ];
    if let Some(host) = attempt.server.host() {
        attributes.push(attribute("server.address", host));
        let usual = if attempt.server.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        attributes.push(attribute(
            "server.port",
            u64::from(attempt.server.port_u16().unwrap_or(usual)),
        ));
    }
    if let Some(status) = attempt.status {
        attributes.push(attribute("http.response.status_code", u64::from(status)));
    }
    if let Some(limit) = attempt.max_output_tokens {
        attributes.push(attribute("gen_ai.request.max_tokens", limit));
    }
    if let Some(usage) = &attempt.usage {
        attributes.push(attribute("gen_ai.usage.input_tokens", usage.input));
        attributes.push(attribute("gen_ai.usage.output_tokens", usage.output));
        if usage.cached_input > 0 {
            attributes.push(attribute("gen_ai.usage.cache_read.input_tokens", usage.cached_input));
        }
    }
    if let Some(first) = attempt.first_token {
        attributes.push(attribute("jumpseat.time_to_first_token", first.as_secs_f64()));
    }
    if let Some(cost) = attempt.cost {
        attributes.push(attribute("jumpseat.cost_usd", cost.as_dollars()));
    }
    let failed = error_type(attempt.outcome);
    if let Some(error) = failed {
        attributes.push(attribute("error.type", error));
    }
    span(Span {
        finished,
        id: span_id(),
        parent: Some(call.to_owned()),
        name: format!("{operation} {}", attempt.target.model()),
        kind: CLIENT,
        start: attempt.started,
        duration: attempt.duration,
        attributes,
        failed,
    })
}

struct Span<'a> {
    finished: &'a Finished,
    id: String,
    parent: Option<String>,
    name: String,
    kind: u8,
    start: UnixMillis,
    duration: Duration,
    attributes: Vec<Value>,
    failed: Option<&'a str>,
}

fn span(span: Span<'_>) -> Value {
    let end = u128::from(span.start.0) * 1_000_000 + span.duration.as_nanos();
    let mut written = json!({
        "traceId": hex(&span.finished.trace.id),
        "spanId": span.id,
        "flags": 1,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": nanos(span.start),
        "endTimeUnixNano": end.to_string(),
        "attributes": span.attributes,
    });
    if let Some(parent) = span.parent {
        written["parentSpanId"] = json!(parent);
    }
    if let Some(why) = span.failed {
        written["status"] = json!({"code": STATUS_ERROR, "message": why});
    }
    written
}

fn span_id() -> String {
    // The last half of a random UUID: 62 bits of chance, never 0.
    hex(&Uuid::new_v4().as_bytes()[8..])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(value: &str, drawn: bool) -> Option<Trace> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(value).unwrap());
        Trace::of(&headers, || drawn)
    }

    #[test]
    fn a_callers_trace_is_gone_on_with_and_what_is_none_begins_a_new_one() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = of(given, false).unwrap();
        assert_eq!(hex(&trace.id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.parent.map(|p| hex(&p)).unwrap(), "b7ad6b7169203331");
        assert_eq!(
            of(&given.replace("-01", "-00"), true),
            None,
            "the caller does not keep it"
        );
        assert!(of(&given.replace("00-0a", "01-0a").replace("-01", "-01-more"), false).is_some());
        for broken in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(of(broken, false), None, "{broken}");
            assert!(of(broken, true).unwrap().parent.is_none(), "{broken}");
        }
    }
}
