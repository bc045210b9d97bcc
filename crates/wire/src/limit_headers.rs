//! What the headers are called in which a dialect tells how much of a limit is left. They are what the official SDKs hand on, and
//! what their users read.

use types::dialect::IngressDialect;

/// The headers of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitHeaders {
    /// So many a minute.
    pub limit: &'static str,
    /// So many are left now.
    pub remaining: &'static str,
    /// When it is full again, written as [`Reset`] says.
    pub reset: &'static str,
}

/// How a dialect writes when a limit is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// As a time to wait: `6m0s`, `1s`, `20ms`.
    Wait,
    /// As a moment, RFC 3339.
    Moment,
}

/// The headers for calls a minute.
pub fn requests(dialect: IngressDialect) -> LimitHeaders {
    match dialect {
        // Gemini's API tells nothing; who looks for it looks for these.
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::Gemini => LimitHeaders {
            limit: "x-ratelimit-limit-requests",
            remaining: "x-ratelimit-remaining-requests",
            reset: "x-ratelimit-reset-requests",
        },
        IngressDialect::AnthropicMessages => LimitHeaders {
            limit: "anthropic-ratelimit-requests-limit",
            remaining: "anthropic-ratelimit-requests-remaining",
            reset: "anthropic-ratelimit-requests-reset",
        },
    }
}

/// The headers for tokens a minute.
pub fn tokens(dialect: IngressDialect) -> LimitHeaders {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::Gemini => LimitHeaders {
            limit: "x-ratelimit-limit-tokens",
            remaining: "x-ratelimit-remaining-tokens",
            reset: "x-ratelimit-reset-tokens",
        },
        IngressDialect::AnthropicMessages => LimitHeaders {
            limit: "anthropic-ratelimit-tokens-limit",
            remaining: "anthropic-ratelimit-tokens-remaining",
            reset: "anthropic-ratelimit-tokens-reset",
        },
    }
}

/// How the dialect writes when a limit is full again.
pub fn reset(dialect: IngressDialect) -> Reset {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::Gemini => Reset::Wait,
        IngressDialect::AnthropicMessages => Reset::Moment,
    }
}
