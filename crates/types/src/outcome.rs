//! What an attempt's end means, neutral of provider. What follows from each stands in docs/reliability.md.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why an attempt (or a call) ended. [`OutcomeClass::Success`] is the only good one.
///
/// Policy decides on these alone; `wire` computes them from status, body and stream frames. Matches on it have no
/// catch-all arm, so that a new class is decided on everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// The terminal event or a whole answer came.
    Success,
    /// Too many requests or tokens just now.
    RateLimited,
    /// The account's money or quota is spent; waiting seconds does not help.
    QuotaExhausted,
    /// The provider sheds load (503, 529, 498).
    Overloaded,
    /// The provider broke (5xx).
    ServerError,
    /// Connect, TLS, reset: no answer from the provider at all.
    Network,
    /// One of our clocks fired: see [`TimeoutKind`].
    Timeout,
    /// Our credential was refused.
    Auth,
    /// The provider does not have that model for us.
    ModelNotFound,
    /// Unparsable, HTML, or no content and no finish reason.
    BadResponse,
    /// The model's fault: a broken tool call or JSON that is not of the asked schema.
    MalformedOutput,
    /// The stream ended without its terminal event, or broke, after content.
    StreamBroken,
    /// The prompt does not fit the model's window.
    ContextTooLong,
    /// Rejected by policy or refused for safety.
    ContentFiltered,
    /// The client's request is wrong and would be wrong anywhere.
    InvalidRequest,
    /// The target's dialect cannot say what was asked.
    Unsupported,
    /// The client left.
    Cancelled,
}

impl OutcomeClass {
    /// Every class, in the order of the table.
    pub const ALL: [OutcomeClass; 17] = [
        OutcomeClass::Success,
        OutcomeClass::RateLimited,
        OutcomeClass::QuotaExhausted,
        OutcomeClass::Overloaded,
        OutcomeClass::ServerError,
        OutcomeClass::Network,
        OutcomeClass::Timeout,
        OutcomeClass::Auth,
        OutcomeClass::ModelNotFound,
        OutcomeClass::BadResponse,
        OutcomeClass::MalformedOutput,
        OutcomeClass::StreamBroken,
        OutcomeClass::ContextTooLong,
        OutcomeClass::ContentFiltered,
        OutcomeClass::InvalidRequest,
        OutcomeClass::Unsupported,
        OutcomeClass::Cancelled,
    ];

    /// The word used in logs, metrics, headers and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            OutcomeClass::Success => "success",
            OutcomeClass::RateLimited => "rate_limited",
            OutcomeClass::QuotaExhausted => "quota_exhausted",
            OutcomeClass::Overloaded => "overloaded",
            OutcomeClass::ServerError => "server_error",
            OutcomeClass::Network => "network",
            OutcomeClass::Timeout => "timeout",
            OutcomeClass::Auth => "auth",
            OutcomeClass::ModelNotFound => "model_not_found",
            OutcomeClass::BadResponse => "bad_response",
            OutcomeClass::MalformedOutput => "malformed_output",
            OutcomeClass::StreamBroken => "stream_broken",
            OutcomeClass::ContextTooLong => "context_too_long",
            OutcomeClass::ContentFiltered => "content_filtered",
            OutcomeClass::InvalidRequest => "invalid_request",
            OutcomeClass::Unsupported => "unsupported",
            OutcomeClass::Cancelled => "cancelled",
        }
    }
}

/// Which of the clocks fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutKind {
    /// No connection within `timeouts.connect`.
    Connect,
    /// No content within `timeouts.first_token`.
    FirstToken,
    /// A stream without a byte for `timeouts.idle`, or without content for 120 s.
    Idle,
    /// A tier's `timeouts.total`, or a stream's `stream_max`.
    Total,
    /// The call's own deadline: nobody's fault.
    Deadline,
}

impl TimeoutKind {
    /// The configuration key that fired.
    pub fn as_str(self) -> &'static str {
        match self {
            TimeoutKind::Connect => "connect",
            TimeoutKind::FirstToken => "first_token",
            TimeoutKind::Idle => "idle",
            TimeoutKind::Total => "total",
            TimeoutKind::Deadline => "deadline",
        }
    }
}

/// How far a failure reaches beyond its own attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The target: one model at one provider.
    #[default]
    Target,
    /// The credential, at whatever model (a 401, a spent quota).
    Credential,
    /// The credential at this target only (a 403).
    CredentialAtTarget,
    /// The provider as a whole (connect and TLS failures).
    Provider,
}

/// An attempt's bad end, classified. What `wire` and the upstream client say; policy decides what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it means.
    pub class: OutcomeClass,
    /// How far it reaches.
    pub scope: Scope,
    /// The provider's HTTP status, when one came.
    pub status: Option<u16>,
    /// How long the provider asked us to wait, clamped to 0…300 s.
    pub retry_after: Option<Duration>,
    /// Which clock, when `class` is [`OutcomeClass::Timeout`].
    pub timeout: Option<TimeoutKind>,
    /// The provider's own error code or type, for logs (`rate_limit_exceeded`). At most 64 characters.
    pub code: Option<String>,
    /// The provider's own message. May quote a prompt: for the client (by class), never for logs.
    pub message: String,
    /// The parameter the provider blames, when it names one.
    pub param: Option<String>,
}

impl Failure {
    /// A failure of a class with a message and nothing else known.
    pub fn new(class: OutcomeClass, message: impl Into<String>) -> Failure {
        Failure {
            class,
            scope: Scope::Target,
            status: None,
            retry_after: None,
            timeout: None,
            code: None,
            message: message.into(),
            param: None,
        }
    }

    /// One of our clocks fired.
    pub fn timeout(kind: TimeoutKind, message: impl Into<String>) -> Failure {
        Failure {
            timeout: Some(kind),
            ..Failure::new(OutcomeClass::Timeout, message)
        }
    }

    /// The same with the provider's status.
    pub fn with_status(self, status: u16) -> Failure {
        Failure {
            status: Some(status),
            ..self
        }
    }

    /// The same with another reach.
    pub fn with_scope(self, scope: Scope) -> Failure {
        Failure { scope, ..self }
    }
}

/// What a provider's rate-limit headers say is left. Absent fields were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Headroom {
    /// Requests and tokens, in that order.
    pub requests: Option<Dimension>,
    /// Tokens (the scarcer of input and output where both are told).
    pub tokens: Option<Dimension>,
}

/// One rate-limited dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// What is left in the window.
    pub remaining: u64,
    /// Until the window is full again.
    pub reset_in: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_word_of_its_own_that_serde_uses_too() {
        let mut words: Vec<_> = OutcomeClass::ALL.iter().map(|c| c.as_str()).collect();
        for class in OutcomeClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
        words.dedup();
        assert_eq!(words.len(), OutcomeClass::ALL.len());
    }
}
