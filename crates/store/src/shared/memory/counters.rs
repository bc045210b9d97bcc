//! Limits and budgets of this process: small locks by key and by window, taken in one order.
//!
//! An ask looks at all it names and takes from all of it, or from nothing, while it has their locks. Nothing waits for anything
//! but such a lock, which is held for some hundred nanoseconds; two keys seldom share one.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::limit::{Bucket, RETRY_AFTER_PLACES};
use rustc_hash::{FxBuildHasher, FxHashMap};
use types::ids::KeyId;
use types::money::NanoDollars;
use types::spend::{BudgetState, BudgetWindow};
use types::time::{Now, UnixMillis};

use crate::shared::admission::{Answer, Ask, Dimension, Hold, LimitAsk, LimitState, Settlement, Verdict};

/// Locks. A power of two that a set of bits holds.
const SHARDS: usize = 32;
/// How long a window's counters outlive it, for what is settled late and for clocks that jump.
pub(crate) const WINDOW_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// A shard is swept when it has grown to twice of what the last sweep left, and at least to this.
const SWEEP_LEN_MIN: usize = 64;

/// All counters.
#[derive(Debug)]
pub(crate) struct Counters {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    keys: FxHashMap<KeyId, KeyCounters>,
    windows: FxHashMap<BudgetWindow, Window>,
    keys_swept_len: usize,
    windows_swept_len: usize,
}

/// What is counted of one key. A limit that was never asked about has no bucket.
#[derive(Debug, Default)]
struct KeyCounters {
    requests: Option<(Bucket, u64)>,
    tokens: Option<(Bucket, u64)>,
    concurrent: u64,
}

#[derive(Debug, Default)]
struct Window {
    state: BudgetState,
    /// It began with what the ledger says.
    begun: bool,
}

/// The shards of one ask, locked.
type Locked<'a> = [Option<MutexGuard<'a, Shard>>; SHARDS];

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// All of the ask, or nothing.
    pub(crate) fn admit(&self, ask: &Ask, now: Now) -> Answer {
        let mut answer = Answer {
            verdict: Verdict::Granted,
            limits: Vec::with_capacity(ask.limits.len()),
            budgets: Vec::with_capacity(ask.holds.len()),
            degraded: false,
        };
        if ask.limits.is_empty() && ask.holds.is_empty() {
            return answer;
        }
        let keys = ask.limits.iter().map(|limit| shard_of(&limit.key));
        let windows = ask.holds.iter().map(|hold| shard_of(&hold.window));
        let mut locked = self.lock(keys.chain(windows));
        answer.verdict = locked_verdict(&mut locked, ask, now);
        let granted = answer.verdict == Verdict::Granted;
        for limit in &ask.limits {
            let key = of(&mut locked, &limit.key).key(&limit.key, now);
            if granted {
                key.take(limit, now);
            }
            answer.limits.push(key.state(limit, now));
        }
        for hold in &ask.holds {
            let window = of(&mut locked, &hold.window).window(&hold.window, now);
            if granted {
                window.state.reserved += hold.amount;
            }
            answer.budgets.push(window.state);
        }
        answer
    }

    /// Takes in how it ended.
    pub(crate) fn settle(&self, settlement: &Settlement, now: Now) {
        for (window, spend) in &settlement.spends {
            let mut shard = self.shard(shard_of(window));
            let state = &mut shard.window(window, now).state;
            state.reserved = state.reserved.saturating_sub(spend.held);
            state.spent += spend.actual;
        }
        for (taken, actual) in &settlement.tokens {
            let mut shard = self.shard(shard_of(&taken.key));
            shard.key(&taken.key, now).correct(taken, *actual, now);
        }
        for key in &settlement.places {
            let mut shard = self.shard(shard_of(key));
            let counters = shard.key(key, now);
            counters.concurrent = counters.concurrent.saturating_sub(1);
        }
    }

    /// What was counted in a window, if anything was.
    pub(crate) fn budget(&self, window: &BudgetWindow) -> Option<BudgetState> {
        let shard = self.shard(shard_of(window));
        shard.windows.get(window).map(|found| found.state)
    }

    /// Begins a window with what the ledger says, once.
    pub(crate) fn begin(&self, window: &BudgetWindow, spent: NanoDollars) {
        let mut shard = self.shard(shard_of(window));
        let found = shard.windows.entry(window.clone()).or_default();
        if !found.begun {
            found.begun = true;
            found.state.spent += spent;
        }
    }

    fn shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks what is named, each once and always in the same order, so that two asks never wait for each other.
    fn lock(&self, indices: impl Iterator<Item = usize>) -> Locked<'_> {
        let wanted = indices.fold(0_u32, |set, index| set | 1 << index);
        std::array::from_fn(|index| (wanted & 1 << index != 0).then(|| self.shard(index)))
    }
}

impl Shard {
    fn key(&mut self, key: &KeyId, now: Now) -> &mut KeyCounters {
        if !self.keys.contains_key(key) {
            if self.keys.len() >= SWEEP_LEN_MIN.max(self.keys_swept_len * 2) {
                self.keys.retain(|_, counters| counters.matters(now));
                self.keys_swept_len = self.keys.len();
            }
            self.keys.insert(key.clone(), KeyCounters::default());
        }
        self.keys.get_mut(key).expect("it was put there")
    }

    fn window(&mut self, window: &BudgetWindow, now: Now) -> &mut Window {
        if !self.windows.contains_key(window) {
            if self.windows.len() >= SWEEP_LEN_MIN.max(self.windows_swept_len * 2) {
                self.windows.retain(|window, _| kept_until(window) > now.wall);
                self.windows_swept_len = self.windows.len();
            }
            self.windows.insert(window.clone(), Window::default());
        }
        self.windows.get_mut(window).expect("it was put there")
    }
}

impl KeyCounters {
    /// How long until a limit would grant the ask; `None`: now.
    fn wait(&mut self, ask: &LimitAsk, now: Now) -> Option<Duration> {
        match ask.dimension {
            Dimension::Requests | Dimension::Tokens => self.bucket(ask, now).ask(ask.limit, ask.amount, ms(now)).err(),
            Dimension::Concurrent => {
                (self.concurrent.saturating_add(ask.amount) > ask.limit).then_some(RETRY_AFTER_PLACES)
            }
        }
    }

    fn take(&mut self, ask: &LimitAsk, now: Now) {
        match ask.dimension {
            Dimension::Requests | Dimension::Tokens => self.bucket(ask, now).take(ask.limit, ask.amount, ms(now)),
            Dimension::Concurrent => self.concurrent = self.concurrent.saturating_add(ask.amount),
        }
    }

    fn correct(&mut self, taken: &LimitAsk, actual: u64, now: Now) {
        match taken.dimension {
            Dimension::Requests | Dimension::Tokens => {
                self.bucket(taken, now)
                    .settle(taken.limit, taken.amount, actual, ms(now));
            }
            // Places are given back by `Settlement::places`.
            Dimension::Concurrent => {}
        }
    }

    fn state(&mut self, ask: &LimitAsk, now: Now) -> LimitState {
        match ask.dimension {
            Dimension::Requests | Dimension::Tokens => {
                let left = self.bucket(ask, now).left(ask.limit, ms(now));
                LimitState {
                    remaining: left.remaining,
                    reset: left.reset,
                }
            }
            Dimension::Concurrent => LimitState {
                remaining: ask.limit.saturating_sub(self.concurrent),
                reset: Duration::ZERO,
            },
        }
    }

    /// A bucket, full when it is new. It remembers the limit it was asked with last.
    fn bucket(&mut self, ask: &LimitAsk, now: Now) -> &mut Bucket {
        let slot = match ask.dimension {
            Dimension::Requests => &mut self.requests,
            Dimension::Tokens => &mut self.tokens,
            Dimension::Concurrent => unreachable!("places are no bucket"),
        };
        let (bucket, limit) = slot.get_or_insert_with(|| (Bucket::full(ask.limit, ms(now)), ask.limit));
        *limit = ask.limit;
        bucket
    }

    /// Forgetting it would change an answer.
    fn matters(&self, now: Now) -> bool {
        let used =
            |slot: &Option<(Bucket, u64)>| slot.is_some_and(|(mut bucket, limit)| !bucket.is_full(limit, ms(now)));
        self.concurrent > 0 || used(&self.requests) || used(&self.tokens)
    }
}

/// What the ask would be answered. Of several limits the one that takes longest is named: only when it grants do all.
fn locked_verdict(locked: &mut Locked<'_>, ask: &Ask, now: Now) -> Verdict {
    let mut longest: Option<(usize, Duration)> = None;
    for (which, limit) in ask.limits.iter().enumerate() {
        let wait = of(locked, &limit.key).key(&limit.key, now).wait(limit, now);
        if let Some(wait) = wait
            && longest.is_none_or(|(_, other)| wait > other)
        {
            longest = Some((which, wait));
        }
    }
    if let Some((which, retry_after)) = longest {
        return Verdict::Limited { which, retry_after };
    }
    let fits = |locked: &mut Locked<'_>, hold: &Hold| {
        let state = of(locked, &hold.window).window(&hold.window, now).state;
        fits(state, hold.amount, hold.ceiling)
    };
    match ask.holds.iter().position(|hold| !fits(locked, hold)) {
        Some(which) => Verdict::Exhausted { which },
        None => Verdict::Granted,
    }
}

/// `spent + reserved + amount ≤ ceiling`, in a width that does not overflow.
fn fits(state: BudgetState, amount: NanoDollars, ceiling: NanoDollars) -> bool {
    u128::from(state.spent.0) + u128::from(state.reserved.0) + u128::from(amount.0) <= u128::from(ceiling.0)
}

/// When a window's counters may go.
pub(crate) fn kept_until(window: &BudgetWindow) -> UnixMillis {
    UnixMillis(window.end.0.saturating_add(WINDOW_KEPT.as_millis() as u64))
}

fn of<'a, 'b>(locked: &'a mut Locked<'b>, name: &impl Hash) -> &'a mut Shard {
    locked[shard_of(name)].as_mut().expect("what an ask names was locked")
}

fn shard_of(name: &impl Hash) -> usize {
    // The lowest bits choose the place within a map.
    (FxBuildHasher.hash_one(name) >> 40) as usize % SHARDS
}

fn ms(now: Now) -> u64 {
    now.mono.0 / 1_000_000
}
