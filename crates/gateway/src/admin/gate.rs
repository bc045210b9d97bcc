//! Who asks the admin listener: a token of the configuration, or the one that was made at the start.

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

use crate::config::admin::{Admin, Role};
use crate::keys::credentials::{self, Shown};
use crate::keys::text::{self, Digest};

/// What the token that is made at the start is called.
pub const MADE: &str = "admin.token";

/// Whose token was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The token's name.
    pub name: String,
    /// What it may.
    pub role: Role,
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// A key for calls: it opens nothing here, whether it is one or not.
    CallersKey,
    /// Two credentials that differ, or none that can be read.
    Unreadable,
    /// No such token.
    Unknown,
}

/// Knows the token that was made at the start.
#[derive(Default)]
pub struct Gate {
    made: Option<Digest>,
}

impl Gate {
    /// With the token that was made, if one was.
    pub fn new(made: Option<&SecretString>) -> Gate {
        Gate {
            made: made.map(|token| text::digest_of(token.expose_secret().as_bytes())),
        }
    }

    /// Who asks; `None`: nobody that is known, and nobody that claims to be.
    pub fn holder(&self, headers: &HeaderMap, admin: &Admin) -> Result<Option<Holder>, Stranger> {
        let shown = match credentials::read(headers, None) {
            Shown::Nothing => return Ok(None),
            Shown::Several | Shown::Unreadable => return Err(Stranger::Unreadable),
            Shown::One(shown) => shown,
        };
        if text::id_in(shown).is_some() {
            return Err(Stranger::CallersKey);
        }
        let digest = text::digest_of(shown.as_bytes());
        // The token that was made serves only where the operator has named none.
        let made = self.made.filter(|_| admin.tokens.is_empty());
        let made = made.map(|digest| (MADE, Role::Admin, digest));
        let named = admin
            .tokens
            .iter()
            .map(|(name, token)| (name, token.role, text::digest_of(token.token.expose().as_bytes())));
        // All are compared, so that the time tells nothing of which is near.
        let mut found = None;
        for (name, role, known) in named.chain(made) {
            let same: Choice = known.ct_eq(&digest);
            if bool::from(same) {
                found = Some(Holder {
                    name: name.to_owned(),
                    role,
                });
            }
        }
        found.map(Some).ok_or(Stranger::Unknown)
    }
}
