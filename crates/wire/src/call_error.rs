//! How a call that failed is told to its client, before a dialect gives it its shape.
//!
//! The status table is one for all clients (docs/reliability.md); a dialect changes only what its own SDKs expect otherwise.

use serde::Serialize;
use types::outcome::{OutcomeClass, TimeoutKind};

/// Why a call failed, as far as its client may know.
#[derive(Debug, Clone, Copy)]
pub struct CallError<'a> {
    /// The call's id.
    pub id: &'a str,
    /// The class of what ended it.
    pub class: OutcomeClass,
    /// Which clock, when the class is `timeout`.
    pub timeout: Option<TimeoutKind>,
    /// The last provider's status, when one came.
    pub provider_status: Option<u16>,
    /// What to say; see [`CallError::told`].
    pub message: &'a str,
    /// The provider's code. Only told for a request that is the client's own fault.
    pub code: Option<&'a str>,
    /// The parameter to blame.
    pub param: Option<&'a str>,
    /// What was tried, in order.
    pub attempts: &'a [AttemptSummary],
    /// The client named the target itself (no route chose it).
    pub named_target: bool,
}

/// One attempt as the client is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptSummary {
    /// `provider/model`.
    pub target: String,
    /// How it ended.
    pub outcome: OutcomeClass,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

impl<'a> CallError<'a> {
    /// The message for the client. For `auth` the provider's words are kept back: the client's key is fine and ours is none of
    /// its business.
    pub fn told(&self) -> &'a str {
        match self.class {
            OutcomeClass::Auth => "the provider refused the gateway's credential",
            _ => self.message,
        }
    }

    /// The HTTP status, the same in every dialect but for what Anthropic's has its own number for.
    pub fn status(&self) -> u16 {
        match self.class {
            OutcomeClass::RateLimited | OutcomeClass::QuotaExhausted => 429,
            OutcomeClass::Overloaded | OutcomeClass::ServerError | OutcomeClass::Network => 503,
            OutcomeClass::Timeout => 504,
            OutcomeClass::ModelNotFound if self.named_target => 404,
            OutcomeClass::Auth
            | OutcomeClass::ModelNotFound
            | OutcomeClass::BadResponse
            | OutcomeClass::MalformedOutput
            | OutcomeClass::StreamBroken => 502,
            OutcomeClass::ContextTooLong | OutcomeClass::ContentFiltered | OutcomeClass::Unsupported => 400,
            OutcomeClass::InvalidRequest => match self.provider_status {
                // These would make an SDK blame the client's key or try again.
                Some(401 | 403 | 407 | 408 | 409 | 429) => 400,
                Some(status @ 400..=499) => status,
                Some(_) | None => 400,
            },
            // Nobody reads it: the client left.
            OutcomeClass::Cancelled => 499,
            OutcomeClass::Success => 500,
        }
    }

    /// One word for what went wrong, ours: the dialects that have codes use it where theirs says nothing better.
    pub fn code(&self) -> &'a str {
        match self.class {
            OutcomeClass::RateLimited => "rate_limit_exceeded",
            OutcomeClass::QuotaExhausted => "insufficient_quota",
            OutcomeClass::Overloaded => "server_is_overloaded",
            OutcomeClass::ServerError => "server_error",
            OutcomeClass::Network => "upstream_unreachable",
            OutcomeClass::Timeout => match self.timeout {
                Some(TimeoutKind::Connect) => "connect_timeout",
                Some(TimeoutKind::FirstToken) => "first_token_timeout",
                Some(TimeoutKind::Idle) => "idle_timeout",
                Some(TimeoutKind::Total) => "total_timeout",
                Some(TimeoutKind::Deadline) => "deadline_exceeded",
                None => "timeout",
            },
            OutcomeClass::Auth => "upstream_auth",
            OutcomeClass::ModelNotFound => "model_not_found",
            OutcomeClass::BadResponse => "bad_response",
            OutcomeClass::MalformedOutput => "malformed_output",
            OutcomeClass::StreamBroken => "stream_broken",
            OutcomeClass::ContextTooLong => "context_length_exceeded",
            OutcomeClass::ContentFiltered => "content_filter",
            OutcomeClass::Unsupported => "unsupported_parameter",
            OutcomeClass::InvalidRequest => self.code.unwrap_or("invalid_request"),
            OutcomeClass::Cancelled => "cancelled",
            OutcomeClass::Success => "internal_error",
        }
    }
}
