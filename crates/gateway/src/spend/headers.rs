//! What is left of a key's limits, in the headers that SDKs and their users read: OpenAI's names, and Anthropic's on its dialect.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use store::shared::admission::{Dimension, LimitAsk, LimitState};
use types::dialect::IngressDialect;
use types::time::UnixMillis;
use wire::limit_headers::{self, Reset};

/// Tells what is left of limits.
pub fn tell(
    dialect: IngressDialect,
    limits: &[LimitAsk],
    states: &[LimitState],
    now: UnixMillis,
    headers: &mut HeaderMap,
) {
    for (ask, state) in limits.iter().zip(states) {
        let names = match ask.dimension {
            Dimension::Requests => limit_headers::requests(dialect),
            Dimension::Tokens => limit_headers::tokens(dialect),
            Dimension::Concurrent => continue,
        };
        let until = match limit_headers::reset(dialect) {
            Reset::Moment => moment(now, state.reset),
            Reset::Wait => span(state.reset),
        };
        headers.insert(HeaderName::from_static(names.limit), HeaderValue::from(ask.limit));
        headers.insert(
            HeaderName::from_static(names.remaining),
            HeaderValue::from(state.remaining),
        );
        if let Ok(until) = HeaderValue::try_from(until) {
            headers.insert(HeaderName::from_static(names.reset), until);
        }
    }
}

/// A time to wait: `0s`, `20ms`, `1.5s`, `6m0s`, `1h0m0s`.
fn span(wait: Duration) -> String {
    let millis = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let seconds = match (rest / 1000, rest % 1000) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, part) => format!("{seconds}.{}s", format!("{part:03}").trim_end_matches('0')),
    };
    match (hours, minutes) {
        (0, 0) if millis > 0 && millis < 1000 => format!("{millis}ms"),
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// A time to come: RFC 3339, whole seconds.
fn moment(now: UnixMillis, wait: Duration) -> String {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let at = now.0.saturating_add(wait).div_ceil(1000);
    let at = Timestamp::from_second(i64::try_from(at).unwrap_or(i64::MAX));
    at.map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_written_in_its_units_and_a_moment_to_the_second() {
        for (millis, written) in [
            (0, "0s"),
            (20, "20ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (8_640, "8.64s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (61_250, "1m1.25s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), written);
        }
        let now = UnixMillis(1_795_219_200_000);
        assert_eq!(moment(now, Duration::from_millis(1)), "2026-11-21T00:00:01Z");
    }
}
