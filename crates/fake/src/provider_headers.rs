//! The headers that each provider adds to all of its answers: request ids, processing time, rate limits with plenty left.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{dialect::Dialect, random::Random};

pub(crate) fn add(headers: &mut HeaderMap, dialect: Dialect, request_id: &str, random: &mut Random) {
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let milliseconds = (80 + random.below(400)).to_string();
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            set("x-request-id", request_id);
            set("openai-processing-ms", &milliseconds);
            set("openai-version", "2020-10-01");
            set("openai-organization", "org-fake");
            set("x-ratelimit-limit-requests", "10000");
            set("x-ratelimit-limit-tokens", "2000000");
            set("x-ratelimit-remaining-requests", "9999");
            set("x-ratelimit-remaining-tokens", "1999800");
            set("x-ratelimit-reset-requests", "6ms");
            set("x-ratelimit-reset-tokens", "1s");
        }
        Dialect::AnthropicMessages => {
            set("request-id", request_id);
            set("anthropic-organization-id", "00000000-0000-4000-8000-000000000000");
            // A fixed day, since the fake reads no clock; whoever tests resets sets these headers.
            let reset = "2026-11-18T10:40:00Z";
            set("anthropic-ratelimit-requests-limit", "4000");
            set("anthropic-ratelimit-requests-remaining", "3999");
            set("anthropic-ratelimit-requests-reset", reset);
            set("anthropic-ratelimit-tokens-limit", "2400000");
            set("anthropic-ratelimit-tokens-remaining", "2399000");
            set("anthropic-ratelimit-tokens-reset", reset);
            set("anthropic-ratelimit-input-tokens-limit", "2000000");
            set("anthropic-ratelimit-input-tokens-remaining", "2000000");
            set("anthropic-ratelimit-input-tokens-reset", reset);
            set("anthropic-ratelimit-output-tokens-limit", "400000");
            set("anthropic-ratelimit-output-tokens-remaining", "400000");
            set("anthropic-ratelimit-output-tokens-reset", reset);
        }
        Dialect::Gemini => {
            set("server-timing", &format!("gfet4t7; dur={milliseconds}"));
            set("x-content-type-options", "nosniff");
        }
        Dialect::BedrockConverse => {
            let digits = format!("{:0<32}", request_id.trim_start_matches("req_"));
            let parts = [
                &digits[..8],
                &digits[8..12],
                &digits[12..16],
                &digits[16..20],
                &digits[20..32],
            ];
            set("x-amzn-requestid", &parts.join("-"));
        }
        Dialect::CohereChat => {
            set("x-debug-trace-id", request_id);
            set("x-endpoint-monthly-call-limit", "1000");
            set("x-trial-endpoint-call-limit", "20");
            set("x-trial-endpoint-call-remaining", "19");
        }
        Dialect::OllamaChat => {}
    }
}

/// Whole seconds, rounded up, and milliseconds where seconds do not say it exactly.
pub(crate) fn add_retry_after(headers: &mut HeaderMap, wait: Duration) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    headers.insert(HeaderName::from_static("retry-after"), HeaderValue::from(seconds));
    if wait.subsec_nanos() > 0 {
        headers.insert(
            HeaderName::from_static("retry-after-ms"),
            HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        );
    }
}
