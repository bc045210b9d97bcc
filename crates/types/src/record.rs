//! What is remembered of a call when it is over: facts for the ledger, reports and replays. Texts are in [`Payload`] alone.
//!
//! Times are Unix milliseconds. Fields are only added, each with a default, so that what was written (a spool on disk, an
//! export) can be read by a newer program.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ids::{BudgetId, InstanceId, KeyId};
use crate::money::NanoDollars;
use crate::time::UnixMillis;

/// One of a few words: borrowed where the gateway writes it, so that a record costs few allocations; owned where it was read.
pub type Word = Cow<'static, str>;

/// A budget's window that an attempt was charged to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Which budget.
    pub budget: BudgetId,
    /// When its window began.
    pub window: UnixMillis,
}

/// Money held for an attempt that was begun. It ends with an [`AttemptRecord`] of the same call and number; without one (the
/// gateway was killed) it is settled at its estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The call.
    pub call: String,
    /// The attempt's number within it, from 1.
    pub attempt: u32,
    /// Who holds it.
    pub instance: InstanceId,
    /// When it was begun.
    pub at: UnixMillis,
    /// The key that pays.
    pub key: Option<KeyId>,
    /// The route.
    pub route: String,
    /// The target.
    pub target: String,
    /// How much.
    pub estimate: NanoDollars,
    /// What it is charged to.
    pub charges: Vec<Charge>,
}

/// How an amount in the ledger was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The provider's usage.
    #[default]
    Usage,
    /// Guessed from what was sent and came back.
    Estimated,
    /// The gateway ended before the attempt was settled: what had been held for it.
    Orphaned,
    /// The target has no prices.
    Unpriced,
}

impl Basis {
    /// All.
    pub const ALL: [Basis; 4] = [Basis::Usage, Basis::Estimated, Basis::Orphaned, Basis::Unpriced];

    /// As the ledger and exports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Usage => "usage",
            Basis::Estimated => "estimated",
            Basis::Orphaned => "orphaned",
            Basis::Unpriced => "unpriced",
        }
    }

    /// Reads [`Basis::as_str`] back.
    pub fn parse(text: &str) -> Option<Basis> {
        Basis::ALL.into_iter().find(|b| b.as_str() == text)
    }
}

/// One attempt that is over: a line of the ledger, with the facts beside the amount. Identified by `call` and `attempt`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptRecord {
    /// The call.
    pub call: String,
    /// The attempt's number within it, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: UnixMillis,
    /// The key that pays.
    pub key: Option<KeyId>,
    /// The route.
    pub route: String,
    /// The tier, from 1.
    pub tier: u32,
    /// The target, `provider/model`.
    pub target: String,
    /// `first`, `retry`, `fallback`, `resume`.
    pub reason: Word,
    /// The outcome class's word.
    pub outcome: Word,
    /// The provider's status.
    pub status: Option<u16>,
    /// From its start to its end.
    pub latency_ms: u64,
    /// From its start to its first content.
    pub first_token_ms: Option<u64>,
    /// Tokens of the prompt, as the provider counted.
    pub input_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Of the prompt's, those that came from the provider's cache.
    pub cached_tokens: u64,
    /// What had been held for it.
    pub estimate: NanoDollars,
    /// What it cost.
    pub cost: NanoDollars,
    /// How that was found.
    pub basis: Basis,
    /// What it was charged to.
    pub charges: Vec<Charge>,
}

/// One call that is over. Identified by `id`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRecord {
    /// The call's id.
    pub id: String,
    /// When it began.
    pub at: UnixMillis,
    /// Who called.
    pub key: Option<KeyId>,
    /// Whose it is; see [`crate::principal::Principal::tenant`].
    pub tenant: Option<String>,
    /// What it is counted under.
    pub tags: Vec<String>,
    /// Its priority's word.
    pub priority: Word,
    /// The session it says it belongs to.
    pub session: Option<String>,
    /// The route that served it.
    pub route: String,
    /// What stood in `model`.
    pub requested_model: String,
    /// What the client spoke.
    pub dialect: Word,
    /// What it asked for.
    pub operation: Word,
    /// It asked for a stream.
    pub stream: bool,
    /// The features it used, as words.
    pub features: Vec<String>,
    /// Characters of text in its prompt.
    pub prompt_chars: u64,
    /// The output limit it asked for.
    pub max_output_tokens: Option<u64>,
    /// The tier that served, from 1.
    pub tier: Option<u32>,
    /// The target that served or failed last.
    pub target: Option<String>,
    /// The model tier's word.
    pub model_tier: Option<Word>,
    /// The outcome class's word.
    pub outcome: Word,
    /// The status the client saw; `None` when it left.
    pub status: Option<u16>,
    /// Attempts made.
    pub attempts: u32,
    /// Why the first target was left.
    pub fallback_reason: Option<Word>,
    /// From its start to its end.
    pub latency_ms: u64,
    /// From its start to its first content.
    pub first_token_ms: Option<u64>,
    /// Tokens of the prompts of all attempts.
    pub input_tokens: u64,
    /// Tokens generated by all attempts.
    pub output_tokens: u64,
    /// Prompt tokens that came from the providers' caches.
    pub cached_tokens: u64,
    /// What all attempts cost.
    pub cost: NanoDollars,
    /// Part of that was guessed.
    pub cost_estimated: bool,
    /// `hit`, `miss` or `stale`; `None` where no cache was asked.
    pub cache: Option<Word>,
    /// The budgets' level when it was planned, its word.
    pub spend_level: Option<Word>,
}

/// The texts of a call, kept only where `record` says so, after redaction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Payload {
    /// The call.
    pub call: String,
    /// When it began.
    pub at: UnixMillis,
    /// Whose it is.
    pub tenant: Option<String>,
    /// The request's body, in the client's dialect; JSON text.
    pub request: String,
    /// The answer's body, or a stream's frames, in the client's dialect.
    pub response: String,
    /// Something was taken out of it.
    pub redacted: bool,
    /// It was longer than what is kept.
    pub truncated: bool,
}
