//! A call that is turned away for its key's limits or for want of money, and what its client is told.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use policy::spend::WhenExhausted;
use store::shared::admission::{Dimension, LimitAsk};
use types::spend::BudgetWindow;
use types::time::UnixMillis;
use wire::request::BadRequest;

use crate::ingress::reply::Refusal;
use crate::spend::budget::Budget;

/// A budget that begins anew within this is worth waiting for: SDKs wait no longer than a minute.
const WORTH_WAITING: Duration = Duration::from_secs(60);

/// Why a call is turned away.
#[derive(Debug, Clone)]
pub enum Turned {
    /// A limit of its key.
    Limited {
        /// Which.
        dimension: Dimension,
        /// How much a minute, or at once.
        limit: u64,
        /// When it would be let in.
        retry_after: Duration,
    },
    /// A budget has nothing left, or not enough for it.
    Unaffordable {
        /// Which.
        budget: Arc<Budget>,
        /// Its window.
        window: Arc<BudgetWindow>,
        /// Something is left, but less than the call needs.
        something_left: bool,
    },
}

impl Turned {
    /// By a limit.
    pub fn limited(ask: &LimitAsk, retry_after: Duration) -> Turned {
        Turned::Limited {
            dimension: ask.dimension,
            limit: ask.limit,
            retry_after,
        }
    }

    /// What the cache holds, also when it is stale, may be given instead.
    pub fn cache_may_answer(&self) -> bool {
        match self {
            Turned::Limited { .. } => false,
            Turned::Unaffordable { budget, .. } => budget.policy.when_exhausted == WhenExhausted::CacheOnly,
        }
    }

    /// The word for metrics: `requests`, `tokens`, `concurrent`, `budget`.
    pub fn word(&self) -> &'static str {
        match self {
            Turned::Limited { dimension, .. } => dimension.as_str(),
            Turned::Unaffordable { .. } => "budget",
        }
    }

    /// The code in the error.
    pub fn code(&self) -> &'static str {
        match self {
            Turned::Limited { .. } => "rate_limit_exceeded",
            Turned::Unaffordable { .. } => "budget_exceeded",
        }
    }

    /// What people are told.
    pub fn message(&self, now: UnixMillis) -> String {
        match self {
            Turned::Limited {
                dimension,
                limit,
                retry_after,
            } => {
                let what = match dimension {
                    Dimension::Requests => format!("{limit} calls a minute"),
                    Dimension::Tokens => format!("{limit} tokens a minute"),
                    Dimension::Concurrent => format!("{limit} calls at once"),
                };
                format!(
                    "this key is at its limit of {what}: come again in {} s",
                    seconds(*retry_after)
                )
            }
            Turned::Unaffordable {
                budget,
                window,
                something_left,
            } => {
                let what = match something_left {
                    true => "has too little left for this call",
                    false => "is used up",
                };
                let end = i64::try_from(window.end.0).unwrap_or(i64::MAX);
                let at = Timestamp::from_millisecond(end).map_or_else(|_| "its end".to_owned(), |at| at.to_string());
                let wait = window.end.0.saturating_sub(now.0);
                format!("{} {what}: it begins anew at {at}, in {}", budget.shown(), coarse(wait))
            }
        }
    }

    /// When to come again, where that is soon.
    pub fn retry_after(&self, now: UnixMillis) -> Option<Duration> {
        match self {
            Turned::Limited { retry_after, .. } => Some(*retry_after),
            Turned::Unaffordable { window, .. } => {
                let wait = Duration::from_millis(window.end.0.saturating_sub(now.0));
                (wait <= WORTH_WAITING).then_some(wait)
            }
        }
    }

    /// The headers that tell an SDK whether to come again: after how long, or that it is not worth it.
    pub fn headers(&self, now: UnixMillis) -> [(HeaderName, HeaderValue); 1] {
        match self.retry_after(now) {
            Some(wait) => [(RETRY_AFTER, HeaderValue::from(seconds(wait)))],
            None => [(
                HeaderName::from_static("x-should-retry"),
                HeaderValue::from_static("false"),
            )],
        }
    }

    /// As a refusal, which its dialect gives its shape.
    pub fn refusal(&self, now: UnixMillis) -> Box<Refusal> {
        let complaint = BadRequest {
            message: self.message(now),
            param: None,
            code: Some(self.code()),
        };
        Refusal::turned_away(StatusCode::TOO_MANY_REQUESTS, complaint, self.headers(now).to_vec())
    }
}

/// Whole seconds, rounded up, at least one.
fn seconds(wait: Duration) -> u64 {
    (wait.as_millis().div_ceil(1000) as u64).max(1)
}

/// As people say it: the two largest units.
fn coarse(millis: u64) -> String {
    let total = millis.div_ceil(1000);
    let parts = [
        (total / 86_400, "d"),
        (total / 3_600 % 24, "h"),
        (total / 60 % 60, "m"),
        (total % 60, "s"),
    ];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let shown = parts[first..]
        .iter()
        .take(2)
        .filter(|(n, unit)| *n > 0 || *unit == "s" && first == 3);
    shown.map(|(n, unit)| format!("{n}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_its_two_largest_units() {
        for (millis, told) in [
            (0, "0s"),
            (1, "1s"),
            (61_000, "1m1s"),
            (3_600_000, "1h"),
            (3_661_000, "1h1m"),
            (90_000_000, "1d1h"),
            (2_678_400_000, "31d"),
        ] {
            assert_eq!(coarse(millis), told);
        }
    }
}
