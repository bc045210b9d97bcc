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
use policy::usual::UsualOutput;
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
    usual: BTreeMap<(RouteName, TargetId), Arc<Mutex<UsualOutput>>>,
    /// Of targets that nobody has asked for since the start.
    taught: BTreeMap<TargetId, TokenRatio>,
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
            tokens: Mutex::new(inner.taught.remove(id).unwrap_or_default()),
            in_flight: AtomicU32::new(0),
        });
        if inner.targets.len() < TARGETS_MAX {
            inner.targets.insert(id.clone(), state.clone());
        }
        state
    }

    /// Begins with what was learned of a target before. What it has learned since the start counts more.
    pub fn teach(&self, id: &TargetId, ratio: TokenRatio) {
        let mut inner = lock(&self.inner);
        match inner.targets.get(id) {
            Some(known) => {
                let mut tokens = lock(&known.tokens);
                if *tokens == TokenRatio::default() {
                    *tokens = ratio;
                }
            }
            None if inner.taught.len() < TARGETS_MAX => {
                inner.taught.insert(id.clone(), ratio);
            }
            None => {}
        }
    }

    /// What was learned of targets.
    pub fn learned(&self) -> Vec<(TargetId, TokenRatio)> {
        let inner = lock(&self.inner);
        let ratios = inner
            .targets
            .iter()
            .map(|(id, state)| (id.clone(), *lock(&state.tokens)));
        ratios.filter(|(_, ratio)| *ratio != TokenRatio::default()).collect()
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

    /// How long a target's answers at a route usually are.
    pub fn usual(&self, route: &RouteName, target: &TargetId) -> Arc<Mutex<UsualOutput>> {
        let mut inner = lock(&self.inner);
        let key = (route.clone(), target.clone());
        if let Some(known) = inner.usual.get(&key) {
            return known.clone();
        }
        let fresh = Arc::<Mutex<UsualOutput>>::default();
        if inner.usual.len() < TARGETS_MAX {
            inner.usual.insert(key, fresh.clone());
        }
        fresh
    }

    /// All that is known of the lengths of answers, by route and target: to be kept.
    pub fn usuals(&self) -> Vec<(RouteName, TargetId, Arc<Mutex<UsualOutput>>)> {
        let inner = lock(&self.inner);
        let each = inner.usual.iter();
        each.map(|((route, target), usual)| (route.clone(), target.clone(), usual.clone()))
            .collect()
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}
