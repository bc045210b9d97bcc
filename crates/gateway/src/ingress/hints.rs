//! What a call's headers say about how long it may take.

use std::time::Duration;

use http::HeaderMap;
use wire::request::BadRequest;

use crate::config::units::parse_duration;

/// We answer this much before the SDK gives up, so that our error reaches it and not its own retry.
const AHEAD_OF_SDK: Duration = Duration::from_millis(250);
/// A hint shorter than this would leave no time for any call; it is taken as this.
const COMMIT_MIN: Duration = Duration::from_millis(50);

/// `x-jumpseat-deadline: 45s`, which lowers the route's own.
pub fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, BadRequest> {
    let Some(value) = headers.get("x-jumpseat-deadline") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    match parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(Some(duration)),
        _ => Err(BadRequest {
            message: format!("`x-jumpseat-deadline: {text}` is not a duration: write for example `45s` or `1m30s`"),
            param: None,
            code: Some("invalid_header"),
        }),
    }
}

/// How long the client's SDK waits for the answer to begin, less the time to be ahead of it.
///
/// OpenAI's SDKs send `x-stainless-read-timeout` (Python) and `x-stainless-timeout` (Node), Google's `x-server-timeout`;
/// all in seconds. A value that is no number is nobody's request and is ignored.
pub fn commit_within(headers: &HeaderMap) -> Option<Duration> {
    ["x-stainless-read-timeout", "x-stainless-timeout", "x-server-timeout"]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok())
        .filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|hint| !hint.is_zero())
        .min()
        .map(|hint| hint.saturating_sub(AHEAD_OF_SDK).max(COMMIT_MIN))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        rows.iter()
            .map(|(n, v)| (http::HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn the_shortest_sdk_hint_counts_and_we_answer_before_it() {
        type Headers = &'static [(&'static str, &'static str)];
        let rows: &[(Headers, Option<u64>)] = &[
            (&[], None),
            (&[("x-stainless-read-timeout", "600")], Some(599_750)),
            (
                &[("x-stainless-read-timeout", "10"), ("x-server-timeout", "5.5")],
                Some(5_250),
            ),
            (&[("x-stainless-timeout", "0.1")], Some(50)),
            (&[("x-stainless-timeout", "nan")], None),
            (&[("x-stainless-timeout", "-3")], None),
            (&[("x-stainless-timeout", "1e300")], None),
        ];
        for (given, expected) in rows {
            let given: Vec<_> = given.to_vec();
            let map: HeaderMap = given
                .iter()
                .map(|(n, v)| {
                    (
                        http::HeaderName::from_bytes(n.as_bytes()).unwrap(),
                        HeaderValue::from_str(v).unwrap(),
                    )
                })
                .collect();
            assert_eq!(commit_within(&map), expected.map(Duration::from_millis), "{given:?}");
        }
    }

    #[test]
    fn a_deadline_that_is_no_duration_is_refused_with_an_example() {
        assert_eq!(
            deadline(&headers(&[("x-jumpseat-deadline", "45s")])),
            Ok(Some(Duration::from_secs(45)))
        );
        let complaint = deadline(&headers(&[("x-jumpseat-deadline", "soon")])).unwrap_err();
        assert!(complaint.message.contains("`45s`"), "{complaint}");
    }
}
