//! Waiting hints and rate-limit headers of every provider, brought to durations and [`Headroom`].
//!
//! Whatever a provider writes ends up between nothing and [`WAIT_MAX`]: a date in the past, a negative number and NaN are
//! "now". What cannot be read at all is as if it had not been sent.

use std::time::Duration;

use http::HeaderMap;
use types::outcome::{Dimension, Headroom};
use types::time::UnixMillis;

/// No hint is longer than this.
pub const WAIT_MAX: Duration = Duration::from_secs(300);

/// When a provider tells what is left but not until when, its window is taken to be this long.
const RESET_UNTOLD: Duration = Duration::from_secs(1);

/// How long the provider asked us to wait: `retry-after-ms`, then `retry-after` (seconds, also fractions, or an HTTP
/// date), then `x-amz-retry-after` (milliseconds).
pub fn retry_after(headers: &HeaderMap, received: UnixMillis) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = |name: &str| Some(wait(text(name)?.parse::<f64>().ok()? / 1e3));
    milliseconds("retry-after-ms")
        .or_else(|| {
            let text = text("retry-after")?;
            match text.parse::<f64>() {
                Ok(seconds) => Some(wait(seconds)),
                Err(_) => http_date(text, received),
            }
        })
        .or_else(|| milliseconds("x-amz-retry-after"))
}

/// What the provider's rate-limit headers say is left: the first family of names that is there.
pub fn headroom(headers: &HeaderMap, received: UnixMillis) -> Headroom {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let dimension = |remaining: &str, reset: &str| {
        // Some providers write fractions (`149984.2`).
        let remaining = text(remaining)?.parse::<f64>().ok()?.max(0.0) as u64;
        let reset_in = text(reset).and_then(|text| reset_in(text, received));
        Some(Dimension {
            remaining,
            reset_in: reset_in.unwrap_or(RESET_UNTOLD),
        })
    };
    // Every call of every provider passes here: names are constants, not put together.
    let first = |names: &[(&str, &str)]| names.iter().find_map(|(remaining, reset)| dimension(remaining, reset));
    let requests = first(&REQUESTS);
    let tokens = dimension("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
        .or_else(|| {
            ANTHROPIC_TOKENS
                .iter()
                .filter_map(|(remaining, reset)| dimension(remaining, reset))
                .min_by_key(|d| d.remaining)
        })
        .or_else(|| first(&MORE_TOKENS));
    Headroom { requests, tokens }
}

/// What is left of requests, and when more are: OpenAI's names (Groq and many others use them), Anthropic's, Cerebras', Mistral's,
/// Together's.
const REQUESTS: [(&str, &str); 5] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    (
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"),
    ("x-ratelimit-remaining-req-minute", "x-ratelimit-reset-req-minute"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
];

/// What is left of tokens: Cerebras' and Mistral's names, Together's.
const MORE_TOKENS: [(&str, &str); 2] = [
    ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    ("x-tokenlimit-remaining", "x-tokenlimit-reset"),
];

/// Anthropic tells three kinds of tokens; the scarcest counts.
const ANTHROPIC_TOKENS: [(&str, &str); 3] = [
    (
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    (
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    (
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// A duration as Go prints it: `1s`, `6m0s`, `20ms`, `2m59.56s`, `1h`. `None` when it is none.
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        seconds += value
            * match &rest[..letters] {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    Some(wait(seconds))
}

/// A protobuf duration in its JSON form: seconds with up to nine decimals and an `s` (`45.837906927s`).
pub fn google_duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().strip_suffix('s')?.parse().ok()?;
    Some(wait(seconds))
}

/// A hint inside a message: OpenAI's and Groq's "Please try again in 174ms", Azure's "retry after 12 seconds".
pub fn hint_in_message(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let found = ["try again in ", "retry after ", "retry in "]
        .iter()
        .find_map(|words| Some(&lower[lower.find(words)? + words.len()..]))?;
    let mut words = found.split_whitespace();
    let first = words.next()?.trim_end_matches(['.', ',', ';']);
    match first.parse::<f64>() {
        Ok(value) => {
            let unit = words.next().unwrap_or("seconds");
            let seconds = if unit.starts_with("milli") {
                value / 1e3
            } else if unit.starts_with("minute") {
                value * 60.0
            } else if unit.starts_with("hour") {
                value * 3_600.0
            } else {
                value
            };
            Some(wait(seconds))
        }
        Err(_) => go_duration(first),
    }
}

/// Seconds as a wait between nothing and [`WAIT_MAX`].
fn wait(seconds: f64) -> Duration {
    if seconds.is_nan() || seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::from_secs_f64(seconds.min(WAIT_MAX.as_secs_f64()))
}

fn until(then_ms: i64, received: UnixMillis) -> Duration {
    wait(then_ms.saturating_sub(i64::try_from(received.0).unwrap_or(i64::MAX)) as f64 / 1e3)
}

fn http_date(text: &str, received: UnixMillis) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(until(date.as_millisecond(), received))
}

/// A reset header: a Go duration, plain seconds, a moment in Unix seconds or milliseconds, or an RFC 3339 date.
fn reset_in(text: &str, received: UnixMillis) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        // Some write the moment instead: Unix seconds, or (OpenRouter) milliseconds.
        return Some(match seconds {
            moment if moment > 1e12 => until(moment as i64, received),
            moment if moment > 1e9 => until((moment * 1e3) as i64, received),
            seconds => wait(seconds),
        });
    }
    go_duration(text).or_else(|| {
        let date: jiff::Timestamp = text.parse().ok()?;
        Some(until(date.as_millisecond(), received))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T12:00:00Z.
    const RECEIVED: UnixMillis = UnixMillis(1_795_176_000_000);

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        rows.iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn hints_are_read_in_every_spelling_and_clamped() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<u64>);
        let rows: &[Row<'_>] = &[
            (&[], None),
            (&[("retry-after", "30")], Some(30_000)),
            (&[("retry-after", "0.25")], Some(250)),
            (&[("retry-after", "30"), ("retry-after-ms", "1500")], Some(1_500)),
            (&[("retry-after", "30"), ("retry-after-ms", "soon")], Some(30_000)),
            (&[("x-amz-retry-after", "700")], Some(700)),
            (&[("retry-after", "-5")], Some(0)),
            (&[("retry-after", "NaN")], Some(0)),
            (&[("retry-after", "inf")], Some(300_000)),
            (&[("retry-after", "86400")], Some(300_000)),
            (&[("retry-after", "Fri, 20 Nov 2026 12:00:07 GMT")], Some(7_000)),
            (&[("retry-after", "Fri, 20 Nov 2026 11:00:07 GMT")], Some(0)),
            (&[("retry-after", "tomorrow")], None),
        ];
        for (given, wanted) in rows {
            let got = retry_after(
                &given
                    .iter()
                    .map(|(name, value)| {
                        (
                            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                            http::HeaderValue::from_str(value).unwrap(),
                        )
                    })
                    .collect(),
                RECEIVED,
            );
            assert_eq!(got, wanted.map(Duration::from_millis), "{given:?}");
        }
    }

    #[test]
    fn durations_of_go_and_google() {
        let rows: &[(&str, Option<u64>)] = &[
            ("1s", Some(1_000)),
            ("6m0s", Some(300_000)),
            ("1m30s", Some(90_000)),
            ("20ms", Some(20)),
            ("2m59.56s", Some(179_560)),
            ("500us", Some(0)),
            ("1h", Some(300_000)),
            ("", None),
            ("s", None),
            ("1", None),
            ("1x", None),
            ("1.2.3s", None),
            ("-1s", None),
        ];
        for (text, wanted) in rows {
            let got = go_duration(text).map(|d| d.as_millis() as u64);
            assert_eq!(got, *wanted, "{text:?}");
        }
        assert_eq!(
            google_duration("45.837906927s"),
            Some(Duration::from_nanos(45_837_906_927))
        );
        assert_eq!(google_duration("-3s"), Some(Duration::ZERO));
        assert_eq!(google_duration("3"), None);
    }

    #[test]
    fn hints_in_messages() {
        let rows: &[(&str, Option<u64>)] = &[
            (
                "Limit 30000, Used 29000, Requested 2000. Please try again in 174ms. Visit …",
                Some(174),
            ),
            ("Please try again in 7m12.5s.", Some(300_000)),
            ("Please retry after 12 seconds.", Some(12_000)),
            ("Please retry in 45.8s.", Some(45_800)),
            ("Please try again in 2 minutes", Some(120_000)),
            ("Please try again in a while", None),
            ("Please try again later", None),
        ];
        for (text, wanted) in rows {
            let got = hint_in_message(text).map(|d| d.as_millis() as u64);
            assert_eq!(got, *wanted, "{text:?}");
        }
    }

    #[test]
    fn headroom_is_read_by_the_names_of_every_family() {
        let openai = headers(&[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "1m30s"),
        ]);
        let dimension = |remaining, seconds| {
            Some(Dimension {
                remaining,
                reset_in: Duration::from_secs(seconds),
            })
        };
        assert_eq!(
            headroom(&openai, RECEIVED),
            Headroom {
                requests: dimension(59, 1),
                tokens: dimension(149_984, 90)
            }
        );
        let anthropic = headers(&[
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-20T12:00:02Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "50000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-20T12:00:09Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "8000"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-20T12:00:03Z"),
        ]);
        assert_eq!(
            headroom(&anthropic, RECEIVED),
            Headroom {
                requests: dimension(49, 2),
                tokens: dimension(8_000, 3)
            }
        );
        let cerebras = headers(&[
            ("x-ratelimit-remaining-requests-day", "14000"),
            ("x-ratelimit-reset-requests-day", "33011.3"),
            ("x-ratelimit-remaining-tokens-minute", "59000"),
            ("x-ratelimit-reset-tokens-minute", "11.4"),
        ]);
        let found = headroom(&cerebras, RECEIVED);
        assert_eq!(found.requests, dimension(14_000, 300));
        assert_eq!(found.tokens.map(|d| d.remaining), Some(59_000));
        let together = headers(&[
            ("x-ratelimit-remaining", "9"),
            ("x-ratelimit-reset", "4"),
            ("x-tokenlimit-remaining", "500"),
        ]);
        let wanted = Headroom {
            requests: dimension(9, 4),
            tokens: dimension(500, 1),
        };
        assert_eq!(headroom(&together, RECEIVED), wanted);
        for reset in ["1795176007", "1795176007000"] {
            let moment = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)]);
            assert_eq!(headroom(&moment, RECEIVED).requests, dimension(0, 7), "{reset}");
        }
        assert_eq!(headroom(&HeaderMap::new(), RECEIVED), Headroom::default());
    }
}
