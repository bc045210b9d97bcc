//! Locks with an end, within one process. Time is the runtime's clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Who has which lock until when.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_name: HashMap<String, (u64, Instant)>,
    last_token: u64,
}

impl Leases {
    /// Takes a lock and returns what proves it, unless somebody has it.
    pub(crate) fn take(&self, name: &str, ttl: Duration) -> Option<u64> {
        let now = Instant::now();
        let mut held = self.lock();
        held.by_name.retain(|_, (_, until)| *until > now);
        if held.by_name.contains_key(name) {
            return None;
        }
        held.last_token += 1;
        let token = held.last_token;
        held.by_name.insert(name.to_owned(), (token, now + ttl));
        Some(token)
    }

    /// Prolongs it from now; `false` when somebody else has it. One that merely ran out is taken again.
    pub(crate) fn renew(&self, name: &str, token: u64, ttl: Duration) -> bool {
        let now = Instant::now();
        let mut held = self.lock();
        match held.by_name.get(name) {
            Some((other, until)) if *other != token && *until > now => false,
            Some(_) | None => {
                held.by_name.insert(name.to_owned(), (token, now + ttl));
                true
            }
        }
    }

    pub(crate) fn release(&self, name: &str, token: u64) {
        let mut held = self.lock();
        if held.by_name.get(name).is_some_and(|(other, _)| *other == token) {
            held.by_name.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
