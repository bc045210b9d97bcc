//! Rate-limit headers and hints as providers write them.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use types::time::UnixMillis;
use wire::limits;

const NAMES: [&str; 12] = [
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for (name, value) in NAMES
        .iter()
        .cycle()
        .zip(data.split(|it| *it == b'\n'))
        .take(NAMES.len())
    {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let received = UnixMillis(1_763_000_000_000);
    let _ = limits::retry_after(&headers, received);
    let _ = limits::headroom(&headers, received);
    let text = String::from_utf8_lossy(data);
    let _ = (
        limits::go_duration(&text),
        limits::google_duration(&text),
        limits::hint_in_message(&text),
    );
});
