//! What one instance tells the others.

use serde::{Deserialize, Serialize};
use types::ids::InstanceId;
use types::time::UnixMillis;

/// News that wait for one slow listener; older ones are then lost to it, and it is told so (`Lagged`).
pub(crate) const NEWS_WAITING_MAX: usize = 1024;

/// News.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// A target's breaker opened.
    BreakerOpened {
        /// Who says so.
        from: InstanceId,
        /// The target, `provider/model`.
        target: String,
        /// Until when, at the earliest.
        until: UnixMillis,
    },
    /// A target's breaker closed.
    BreakerClosed {
        /// Who says so.
        from: InstanceId,
        /// The target.
        target: String,
    },
    /// A target or credential was told to rest.
    Rests {
        /// Who says so.
        from: InstanceId,
        /// The target.
        target: String,
        /// The credential's name at its provider.
        credential: String,
        /// `target`, `credential`, `credential_at_target` or `provider`.
        scope: String,
        /// The reason's word.
        reason: String,
        /// Until when.
        until: UnixMillis,
    },
    /// Keys were changed in the store: read them again.
    KeysChanged {
        /// Who says so.
        from: InstanceId,
    },
}
