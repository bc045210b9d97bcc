//! What was learned of targets, providers and credentials. It outlives a configuration: a reload forgets no breaker.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::credential::CredentialCell;
use policy::provider::ProviderCell;
use policy::route::{BreakerPolicy, RestPolicy, RetryBudgetPolicy};
use policy::route_cell::RouteCell;
use policy::target::TargetCell;
use policy::tokens::TokenRatio;
use types::ids::{ProviderId, RouteName, TargetId, TargetIx};

/// Locks a cell. The critical sections move plain data and cannot leave it half-changed, so a poisoned lock is taken over.
pub fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of one target.
pub struct TargetState {
    /// Its name.
    pub id: TargetId,
    /// Its number for its provider's breaker, the same for the life of the process.
    pub ordinal: TargetIx,
    /// Breaker, rests and headroom.
    pub cell: Mutex<TargetCell>,
    /// Characters in one of its tokens, as its own counts taught.
    pub tokens: Mutex<TokenRatio>,
    /// Attempts under way.
    pub in_flight: AtomicU32,
}

/// What is known of one credential: its secret's digest stands for it, so that a rotated key starts afresh.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct CredentialKey {
    provider: ProviderId,
    digest: u64,
}

/// Targets remembered. Clients may name targets that no configuration has; beyond this a new one is known to its own call
/// alone, so that names in requests do not grow memory.
const TARGETS_MAX: usize = 10_000;

/// Everything learned, by name.
#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    targets: BTreeMap<TargetId, Arc<TargetState>>,
    providers: BTreeMap<ProviderId, Arc<Mutex<ProviderCell>>>,
    credentials: BTreeMap<CredentialKey, Arc<Mutex<CredentialCell>>>,
    routes: BTreeMap<RouteName, Arc<Mutex<RouteCell>>>,
    next_ordinal: u32,
}

impl Memory {
    /// The state of a target, with the policies in force.
    pub fn target(&self, id: &TargetId, breaker: &BreakerPolicy, rest: &RestPolicy) -> Arc<TargetState> {
        let mut inner = lock(&self.inner);
        if let Some(known) = inner.targets.get(id) {
            lock(&known.cell).reconfigure(*breaker, *rest);
            return known.clone();
        }
        let ordinal = TargetIx(inner.next_ordinal);
        inner.next_ordinal = inner.next_ordinal.wrapping_add(1);
        let seed = digest(id.as_str());
        let state = Arc::new(TargetState {
            id: id.clone(),
            ordinal,
            cell: Mutex::new(TargetCell::new(*breaker, *rest, seed)),
            tokens: Mutex::default(),
            in_flight: AtomicU32::new(0),
        });
        if inner.targets.len() < TARGETS_MAX {
            inner.targets.insert(id.clone(), state.clone());
        }
        state
    }

    /// The cell of a provider, with the policy in force.
    pub fn provider(&self, id: &ProviderId, breaker: &BreakerPolicy) -> Arc<Mutex<ProviderCell>> {
        let fresh = || Arc::new(Mutex::new(ProviderCell::new(*breaker, digest(id.as_str()))));
        let cell = lock(&self.inner)
            .providers
            .entry(id.clone())
            .or_insert_with(fresh)
            .clone();
        lock(&cell).reconfigure(*breaker);
        cell
    }

    /// The cell of a credential, with the policy in force.
    pub fn credential(&self, provider: &ProviderId, secret: &str, rest: &RestPolicy) -> Arc<Mutex<CredentialCell>> {
        let key = CredentialKey {
            provider: provider.clone(),
            digest: digest(secret),
        };
        let fresh = || Arc::new(Mutex::new(CredentialCell::new(*rest)));
        let cell = lock(&self.inner).credentials.entry(key).or_insert_with(fresh).clone();
        lock(&cell).reconfigure(*rest);
        cell
    }

    /// The cell of a route (its retry budget), with the policy in force.
    pub fn route(&self, name: &RouteName, budget: &RetryBudgetPolicy) -> Arc<Mutex<RouteCell>> {
        let fresh = || Arc::new(Mutex::new(RouteCell::new(*budget)));
        let cell = lock(&self.inner)
            .routes
            .entry(name.clone())
            .or_insert_with(fresh)
            .clone();
        lock(&cell).reconfigure(*budget);
        cell
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}
