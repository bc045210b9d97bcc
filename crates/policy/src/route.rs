//! What an operator configured for a route, as plain data with the house's defaults.
//!
//! Parsing and its messages live with the configuration; here everything is valid already. Start at [`RoutePolicy`].

use std::time::Duration;

use types::ids::{RouteName, TargetIx};
use types::outcome::OutcomeClass;

/// How calls of one route are served.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutePolicy {
    /// The route's name.
    pub name: RouteName,
    /// Tiers in order. Never empty (asserted by [`RoutePolicy::new`] and by the call).
    pub tiers: Vec<TierPolicy>,
    /// Bounds a call to its commit, a unary call to its end.
    pub deadline: Duration,
    /// Bounds a stream from its commit on.
    pub stream_max: Duration,
    /// What a rejection by content policy leads to.
    pub on_content_filter: OnContentFilter,
    /// What to do when no target can do what a call uses.
    pub on_unsupported: OnUnsupported,
    /// What a stream that breaks leads to.
    pub on_stream_failure: OnStreamFailure,
    /// What the client is given when the last target's output is malformed.
    pub malformed_output: OnMalformed,
    /// Waits before the same target is tried again.
    pub backoff: Backoff,
    /// Same-target retries allowed as a share of calls.
    pub retry_budget: RetryBudgetPolicy,
    /// Attempts a call may make, all targets together.
    pub attempts_max: u32,
    /// Tiers a call may visit.
    pub tiers_max: u32,
}

/// Targets that are tried before the next tier.
#[derive(Debug, Clone, PartialEq)]
pub struct TierPolicy {
    /// The targets, as written. May be empty, when all of them are disabled.
    pub targets: Vec<TierTarget>,
    /// How they are ordered.
    pub balance: Balance,
    /// The tier's clocks.
    pub timeouts: Timeouts,
    /// Same-target retries.
    pub retries: Retries,
}

/// A target of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierTarget {
    /// Which target.
    pub target: TargetIx,
    /// Its share among the tier's targets; 0 is tried after all others.
    pub weight: u32,
}

/// How a tier's targets are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// At random, by weight.
    #[default]
    Weighted,
    /// Fewest calls in flight for its weight first.
    LeastBusy,
}

/// The clocks of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Streams: until the first content. `None`: 30 s, 180 s for a reasoning model.
    pub first_token: Option<Duration>,
    /// Streams, after the first content: without a byte.
    pub idle: Duration,
    /// Streams, after the first content: without content.
    pub content_idle: Duration,
    /// The whole visit to the tier with its attempts and waits; streams to their commit. `None`: the deadline alone.
    pub total: Option<Duration>,
}

/// How often the same target is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retries {
    /// Replaces every 1 of the table of outcome classes, never a 0.
    pub default: Option<u32>,
    /// Sets a class, also one whose number is 0; classes that must never be retried stay at 0 (see
    /// [`crate::outcome::retries`]).
    pub by_class: Vec<(OutcomeClass, u32)>,
}

/// What a rejection by content policy leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnContentFilter {
    /// The call ends with the provider's answer.
    #[default]
    Stop,
    /// The next target is tried.
    Fallback,
}

/// What happens when no target can do what a call uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnsupported {
    /// The call is refused, with the reason.
    #[default]
    Error,
    /// Targets that lack no more than [`crate::capability::DEGRADABLE`] are asked in words, after all that can do it.
    Degrade,
}

/// What a stream that breaks leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStreamFailure {
    /// An error event in the client's dialect.
    #[default]
    Error,
    /// The commit waits for this much content; until then everything held may be replaced whole.
    HoldBack {
        /// Content bytes.
        bytes: u64,
    },
    /// Another target continues the text.
    Resume,
}

/// What the client is given when the last target's output is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMalformed {
    /// An error.
    #[default]
    Error,
    /// The output as it came.
    Text,
}

/// Waits before the same target is tried again: exponential with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// How much longer each further wait may be.
    pub factor: u32,
    /// The longest wait of all.
    pub cap: Duration,
}

/// Same-target retries allowed over a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudgetPolicy {
    /// Share of the window's calls, 0…1.
    pub share: f64,
    /// How far back calls and retries are counted.
    pub window: Duration,
    /// Retries allowed in a window however few calls there are.
    pub floor: u32,
}

/// When a target's breaker opens and for how long. One for the whole configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// Failures in a row, of distinct calls, that open it while the window holds few attempts.
    pub consecutive: u32,
    /// The failures in a row must lie within this.
    pub consecutive_within: Duration,
    /// How far back attempts are counted for the ratio; also how long a closed breaker must hold before its ladder of
    /// openings starts anew, doubled.
    pub window: Duration,
    /// It opens when the share of successes falls below this.
    pub ratio: f64,
    /// Attempts in the window from which the ratio decides instead of failures in a row.
    pub ratio_from: u32,
    /// How long the first opening lasts.
    pub open: Duration,
    /// Openings double up to this with each failed probe.
    pub open_max: Duration,
    /// Each opening is shortened by a random share up to this, 0…1, so that instances do not probe in step.
    pub jitter: f64,
}

/// How long a target or credential rests when it was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestPolicy {
    /// A spent quota or a refused credential, the first time; doubles with each failed probe.
    pub credential: Duration,
    /// The longest rest of a credential.
    pub credential_max: Duration,
    /// A model the provider does not have.
    pub model_missing: Duration,
    /// A rate limit without a hint, the first time; doubles until a success.
    pub rate_limited: Duration,
    /// The longest rest for a rate limit without a hint.
    pub rate_limited_max: Duration,
    /// The longest hint that is believed.
    pub hint_max: Duration,
}

/// How long `first_token` is where the operator set nothing.
pub const FIRST_TOKEN: Duration = Duration::from_secs(30);
/// The same for a model the catalog marks as reasoning.
pub const FIRST_TOKEN_REASONING: Duration = Duration::from_secs(180);

impl RoutePolicy {
    /// A route with the house's defaults.
    ///
    /// # Panics
    /// When `tiers` is empty: a route without targets is an error of the configuration.
    pub fn new(name: RouteName, tiers: Vec<TierPolicy>) -> RoutePolicy {
        assert!(!tiers.is_empty(), "a route has at least one tier");
        RoutePolicy {
            name,
            tiers,
            deadline: Duration::from_secs(600),
            stream_max: Duration::from_secs(600),
            on_content_filter: OnContentFilter::default(),
            on_unsupported: OnUnsupported::default(),
            on_stream_failure: OnStreamFailure::default(),
            malformed_output: OnMalformed::default(),
            backoff: Backoff::default(),
            retry_budget: RetryBudgetPolicy::default(),
            attempts_max: 6,
            tiers_max: 3,
        }
    }
}

impl TierPolicy {
    /// A tier of equal targets with the house's defaults.
    pub fn of(targets: impl IntoIterator<Item = TargetIx>) -> TierPolicy {
        TierPolicy {
            targets: targets
                .into_iter()
                .map(|target| TierTarget { target, weight: 1 })
                .collect(),
            balance: Balance::default(),
            timeouts: Timeouts::default(),
            retries: Retries::default(),
        }
    }
}

impl Timeouts {
    /// How long a stream may take to its first content.
    pub fn first_token(&self, reasoning: bool) -> Duration {
        self.first_token
            .unwrap_or(if reasoning { FIRST_TOKEN_REASONING } else { FIRST_TOKEN })
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            first_token: None,
            idle: Duration::from_secs(30),
            content_idle: Duration::from_secs(120),
            total: None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            base: Duration::from_millis(500),
            factor: 2,
            cap: Duration::from_secs(8),
        }
    }
}

impl Default for RetryBudgetPolicy {
    fn default() -> RetryBudgetPolicy {
        RetryBudgetPolicy {
            share: 0.2,
            window: Duration::from_secs(10),
            floor: 3,
        }
    }
}

impl Default for BreakerPolicy {
    fn default() -> BreakerPolicy {
        BreakerPolicy {
            consecutive: 3,
            consecutive_within: Duration::from_secs(60),
            window: Duration::from_secs(30),
            ratio: 0.5,
            ratio_from: 10,
            open: Duration::from_secs(30),
            open_max: Duration::from_secs(300),
            jitter: 0.2,
        }
    }
}

impl Default for RestPolicy {
    fn default() -> RestPolicy {
        RestPolicy {
            credential: Duration::from_secs(600),
            credential_max: Duration::from_secs(3600),
            model_missing: Duration::from_secs(600),
            rate_limited: Duration::from_secs(5),
            rate_limited_max: Duration::from_secs(120),
            hint_max: Duration::from_secs(300),
        }
    }
}
