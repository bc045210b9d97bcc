//! What is remembered of one credential: whether it rests, because it was refused or its quota is spent.
//!
//! The shell keeps one a credential, across reloads.

use std::time::Duration;

use types::time::Now;

use crate::rest::{Rest, RestReason, Usable};
use crate::route::RestPolicy;

/// The memory of one credential.
#[derive(Debug, Clone)]
pub struct CredentialCell {
    policy: RestPolicy,
    rest: Rest,
}

impl CredentialCell {
    /// A credential that nothing bad is known of.
    pub fn new(policy: RestPolicy) -> CredentialCell {
        CredentialCell {
            policy,
            rest: Rest::default(),
        }
    }

    /// The operator changed the policy. What was learned stays; what follows is judged by the new one.
    pub fn reconfigure(&mut self, policy: RestPolicy) {
        self.policy = policy;
    }

    /// It was told to rest (`Effect::Rest` of the credential's scope).
    pub fn rest(&mut self, reason: RestReason, hint: Option<Duration>, now: Now) {
        self.rest.begin(reason, hint, &self.policy, now);
    }

    /// It was used with success (`Effect::Recovered`).
    pub fn recovered(&mut self) {
        self.rest.recovered();
    }

    /// Whether it can be used.
    pub fn usable(&self, now: Now) -> Usable {
        self.rest.usable(now)
    }

    /// Whether its next use is the one probe after a rest.
    pub fn needs_probe(&self, now: Now) -> bool {
        self.rest.usable(now) == Usable::Probation
    }

    /// Leave to use it for an attempt. The shell asks beside the target's permit; `false` refuses the attempt.
    /// `forced` is always given leave, and does not take the place of the one probe.
    pub fn admit(&mut self, now: Now, forced: bool) -> bool {
        forced || self.rest.admit(now)
    }

    /// The attempt that was its probe ended without success (`Effect::CredentialReleased`): another may be it.
    pub fn release(&mut self) {
        self.rest.release();
    }
}
