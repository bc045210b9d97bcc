//! Why somebody is not let in: what the caller is told, which is little, and what the operator is told.

use http::StatusCode;
use tracing::{debug, info};
use types::ids::KeyId;
use wire::request::BadRequest;

use crate::ingress::reply::Refusal;

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No key was shown.
    Missing,
    /// Two that differ were shown.
    Several,
    /// What was shown cannot be a key.
    Unreadable,
    /// No such key.
    Unknown,
    /// There is a key of this id, and what was shown is not it.
    WrongSecret(KeyId),
    /// The key has ended.
    Expired(KeyId),
    /// The key was revoked.
    Revoked(KeyId),
    /// The key may not be used from where the caller is.
    Network(KeyId),
}

impl Denial {
    /// Its word in metrics and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Denial::Missing => "missing",
            Denial::Several => "several",
            Denial::Unreadable => "unreadable",
            Denial::Unknown => "unknown",
            Denial::WrongSecret(_) => "wrong_secret",
            Denial::Expired(_) => "expired",
            Denial::Revoked(_) => "revoked",
            Denial::Network(_) => "network",
        }
    }

    /// What the caller is told: of a key that is not taken never why, so that nobody can ask which keys there are.
    pub fn refusal(&self) -> Box<Refusal> {
        let (status, message, code) = match self {
            Denial::Missing => (
                StatusCode::UNAUTHORIZED,
                "this gateway asks for a key: send it as `Authorization: Bearer <key>` (`x-api-key`, `api-key` and \
                 `x-goog-api-key` are read too)",
                "missing_api_key",
            ),
            Denial::Several => (
                StatusCode::UNAUTHORIZED,
                "the request shows two keys that differ: send one",
                "ambiguous_api_key",
            ),
            Denial::Unreadable => (
                StatusCode::UNAUTHORIZED,
                "what the request shows is no key: send it as `Authorization: Bearer <key>`",
                "invalid_api_key",
            ),
            Denial::Unknown | Denial::WrongSecret(_) | Denial::Expired(_) | Denial::Revoked(_) => (
                StatusCode::UNAUTHORIZED,
                "the key is not taken here: it is unknown, or has ended",
                "invalid_api_key",
            ),
            Denial::Network(_) => (
                StatusCode::FORBIDDEN,
                "the key may not be used from this address",
                "permission_denied",
            ),
        };
        let complaint = BadRequest {
            message: message.to_owned(),
            param: None,
            code: Some(code),
        };
        Refusal::new(status, complaint)
    }

    /// Tells the operator. Of keys that exist by their id; the rest is anybody's noise.
    pub fn log(&self) {
        match self {
            Denial::Missing | Denial::Several | Denial::Unreadable | Denial::Unknown => {
                debug!(reason = self.word(), "A request was not let in: {}", self.word());
            }
            Denial::WrongSecret(id) => {
                info!(key.id = %id, "Key `{id}` was refused: what was shown has its id and not its secret");
            }
            Denial::Expired(id) => info!(key.id = %id, "Key `{id}` was refused: it has expired"),
            Denial::Revoked(id) => info!(key.id = %id, "Key `{id}` was refused: it is revoked"),
            Denial::Network(id) => {
                info!(key.id = %id, "Key `{id}` was refused: it came from outside its networks");
            }
        }
    }
}
