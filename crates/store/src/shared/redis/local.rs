//! What this process knows of the shared state and has not told yet: its own sums, its holds, and what it last saw of the others'.
//!
//! No I/O. Own sums only grow and are told as a whole, so telling them twice changes nothing. What this process holds is known on
//! both sides as a number, and the difference is told. When Redis is gone the same numbers decide alone: this process assumes
//! that every instance does as it does. Begin at [`Local`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use policy::limit::{Bucket, PARTS, RETRY_AFTER_PLACES};
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use types::ids::KeyId;
use types::money::NanoDollars;
use types::spend::{BudgetState, BudgetWindow};
use types::time::Now;

use crate::shared::admission::{Answer, Ask, Dimension, LimitAsk, LimitState, Settlement, Verdict};
use crate::shared::memory::counters::kept_until;
use crate::shared::news::News;
use crate::shared::redis::link::Link;
use crate::shared::redis::parse::{Hash, Seen};

/// A window that was asked about within this time is kept fresh.
const ASKED_WITHIN: Duration = Duration::from_secs(60);
/// A key that was not asked about for so long, with nothing under way, is forgotten.
const KEY_KEPT: Duration = Duration::from_secs(15 * 60);
/// Windows, and keys, of one script call.
pub(crate) const CHUNK: usize = 100;
/// News that wait while Redis is gone; the oldest go first.
const NEWS_MAX: usize = 256;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// The way to Redis, while there is one.
    pub(crate) link: Option<Arc<Link>>,
    /// Why there is none.
    pub(crate) failing: Option<String>,
    /// Counts the ways: what was sent on an older one has no effect.
    pub(crate) epoch: u64,
    /// The number of the last batch.
    pub(crate) seq: u64,
    /// The batch whose fate is not known.
    pub(crate) unacknowledged: Option<Batch>,
    /// Incarnations seen alive last, this one too.
    pub(crate) alive: Vec<String>,
    /// What is to be told to the others.
    pub(crate) news: VecDeque<News>,
    /// Locks to give back: name and token.
    pub(crate) releases: Vec<(String, String)>,
    /// The latest time of any caller's monotonic clock, which this process's own buckets go by.
    pub(crate) latest_mono: u64,
    windows: FxHashMap<BudgetWindow, Window>,
    keys: FxHashMap<KeyId, Key>,
    changed_windows: Vec<BudgetWindow>,
    changed_keys: Vec<KeyId>,
}

#[derive(Debug)]
struct Window {
    /// What it began with, and when that was read from the ledger.
    began: Option<(u64, u64)>,
    /// It is in Redis, as far as is known here.
    known: bool,
    seen: Seen,
    /// Each other incarnation's sum as last seen.
    others: Vec<(String, u64)>,
    settled: u64,
    settled_told: u64,
    held: u64,
    held_told: u64,
    changed: bool,
    asked: Instant,
    refreshed: Instant,
}

#[derive(Debug)]
struct Key {
    requests: Limit,
    tokens: Limit,
    places: u64,
    places_told: u64,
    changed: bool,
    touched: Instant,
}

/// A bucket's limit as this process sees it.
#[derive(Debug, Default)]
struct Limit {
    limit: u64,
    /// This process's own bucket for when Redis is gone, and its capacity.
    share: Option<(Bucket, u64)>,
    /// What Redis' bucket has to be corrected by: above zero, more was used than it knows.
    untold: i64,
}

/// What one flush tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) seq: u64,
    /// Window, all that was settled here, the change of what is held.
    pub(crate) windows: Vec<(BudgetWindow, u64, i128)>,
    /// Key, dimension, limit, and what its bucket is corrected by.
    pub(crate) buckets: Vec<(KeyId, Dimension, u64, i64)>,
    /// Key and the change of calls under way.
    pub(crate) places: Vec<(KeyId, i64)>,
}

/// One window as it is told whole.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) window: BudgetWindow,
    pub(crate) began: Option<(u64, u64)>,
    /// Sums by incarnation; its own is the last.
    pub(crate) sums: Vec<(String, u64)>,
    pub(crate) settled: u64,
    pub(crate) held: u64,
}

impl Local {
    // --- asks ------------------------------------------------------------------------------------------------

    /// Notes what an ask names before it is sent, so that nothing it may be granted is out of sight. Returns windows that Redis may
    /// not have.
    pub(crate) fn note(&mut self, ask: &Ask) -> Vec<BudgetWindow> {
        for limit in &ask.limits {
            self.key(&limit.key).limit(limit.dimension, |l| l.limit = limit.limit);
        }
        let mut unknown = Vec::new();
        for hold in &ask.holds {
            if !self.window(&hold.window).known {
                unknown.push(hold.window.clone());
            }
        }
        unknown
    }

    /// Takes in what Redis granted.
    pub(crate) fn granted(&mut self, ask: &Ask) {
        for limit in &ask.limits {
            if limit.dimension == Dimension::Concurrent {
                let key = self.key(&limit.key);
                key.places = key.places.saturating_add(limit.amount);
                key.places_told = key.places_told.saturating_add(limit.amount);
            }
        }
        for hold in &ask.holds {
            let window = self.window(&hold.window);
            window.held = window.held.saturating_add(hold.amount.0);
            window.held_told = window.held_told.saturating_add(hold.amount.0);
        }
    }

    /// Takes in what Redis says of a window.
    pub(crate) fn seen(&mut self, window: &BudgetWindow, seen: Seen) {
        let window = self.window(window);
        window.seen = seen;
        window.refreshed = Instant::now();
    }

    /// Judges by this instance's share alone.
    pub(crate) fn admit_alone(&mut self, ask: &Ask, now: Now) -> Answer {
        let instances = self.instances();
        self.latest_mono = self.latest_mono.max(now.mono.0);
        let verdict = self.verdict_alone(ask, instances, now);
        let granted = verdict == Verdict::Granted;
        let mut answer = Answer {
            verdict,
            limits: Vec::with_capacity(ask.limits.len()),
            budgets: Vec::with_capacity(ask.holds.len()),
            degraded: true,
        };
        for limit in &ask.limits {
            let share = share_of(limit.limit, instances);
            let key = self.key(&limit.key);
            if granted {
                key.take_alone(limit, share, now);
            }
            answer.limits.push(key.state_alone(limit, share, now));
            if granted {
                self.key_changed(&limit.key);
            }
        }
        for hold in &ask.holds {
            let window = self.window(&hold.window);
            if granted {
                window.held = window.held.saturating_add(hold.amount.0);
            }
            answer.budgets.push(window.alone(instances));
            if granted {
                self.window_changed(&hold.window);
            }
        }
        answer
    }

    fn verdict_alone(&mut self, ask: &Ask, instances: u64, now: Now) -> Verdict {
        let mut longest: Option<(usize, Duration)> = None;
        for (which, limit) in ask.limits.iter().enumerate() {
            let share = share_of(limit.limit, instances);
            if let Some(wait) = self.key(&limit.key).wait_alone(limit, share, now)
                && longest.is_none_or(|(_, other)| wait > other)
            {
                longest = Some((which, wait));
            }
        }
        if let Some((which, retry_after)) = longest {
            return Verdict::Limited { which, retry_after };
        }
        for (which, hold) in ask.holds.iter().enumerate() {
            let state = self.window(&hold.window).alone(instances);
            let asked = u128::from(hold.amount.0) * u128::from(instances);
            if u128::from(state.spent.0) + u128::from(state.reserved.0) + asked > u128::from(hold.ceiling.0) {
                return Verdict::Exhausted { which };
            }
        }
        Verdict::Granted
    }

    // --- settlements -----------------------------------------------------------------------------------------

    /// Takes in how something ended.
    pub(crate) fn settle(&mut self, settlement: &Settlement, now: Now) {
        let instances = self.instances();
        let alone = self.link.is_none();
        self.latest_mono = self.latest_mono.max(now.mono.0);
        for (name, spend) in &settlement.spends {
            let window = self.window(name);
            window.held = window.held.saturating_sub(spend.held.0);
            window.settled = window.settled.saturating_add(spend.actual.0);
            self.window_changed(name);
        }
        for (taken, actual) in &settlement.tokens {
            if *actual == taken.amount || taken.dimension == Dimension::Concurrent {
                continue;
            }
            let share = share_of(taken.limit, instances);
            let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
            self.key(&taken.key).limit(taken.dimension, |limit| {
                limit.limit = taken.limit;
                limit.untold = limit
                    .untold
                    .saturating_add(signed(*actual).saturating_sub(signed(taken.amount)));
                if alone && let Some((bucket, _)) = &mut limit.share {
                    bucket.settle(share, taken.amount, *actual, ms(now));
                }
            });
            self.key_changed(&taken.key);
        }
        for name in &settlement.places {
            let key = self.key(name);
            key.places = key.places.saturating_sub(1);
            self.key_changed(name);
        }
    }

    /// The next batch, if there is anything to tell. Windows that Redis may not have are told whole first.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        let (mut later, mut taken) = (Vec::new(), 0);
        while let Some(name) = self.changed_windows.pop() {
            let Some(window) = self.windows.get_mut(&name) else {
                continue;
            };
            if !window.known || taken == CHUNK {
                later.push(name);
                if taken == CHUNK {
                    break;
                }
                continue;
            }
            window.changed = false;
            let change = i128::from(window.held) - i128::from(window.held_told);
            if change != 0 || window.settled != window.settled_told {
                batch.windows.push((name, window.settled, change));
                taken += 1;
            }
        }
        self.changed_windows.append(&mut later);
        for name in self.changed_keys.drain(..self.changed_keys.len().min(CHUNK)) {
            let Some(key) = self.keys.get_mut(&name) else { continue };
            key.changed = false;
            for dimension in [Dimension::Requests, Dimension::Tokens] {
                key.limit(dimension, |limit| {
                    let correction = std::mem::take(&mut limit.untold);
                    if correction != 0 {
                        batch.buckets.push((name.clone(), dimension, limit.limit, correction));
                    }
                });
            }
            let change = key.places as i64 - key.places_told as i64;
            if change != 0 {
                batch.places.push((name, change));
            }
        }
        if batch.windows.is_empty() && batch.buckets.is_empty() && batch.places.is_empty() {
            return None;
        }
        batch.seq = self.seq + 1;
        self.unacknowledged = Some(batch.clone());
        Some(batch)
    }

    /// The batch was taken in.
    pub(crate) fn acknowledged(&mut self, batch: &Batch, seen: &[Seen]) {
        self.seq = batch.seq;
        self.unacknowledged = None;
        for ((name, settled, change), seen) in batch.windows.iter().zip(seen) {
            let window = self.window(name);
            window.settled_told = *settled;
            window.held_told = add(window.held_told, *change);
            window.seen = *seen;
            window.refreshed = Instant::now();
        }
        for (name, change) in &batch.places {
            let key = self.key(name);
            key.places_told = key.places_told.saturating_add_signed(*change);
        }
    }

    /// Nothing is left to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        self.unacknowledged.is_none()
            && self.changed_windows.is_empty()
            && self.changed_keys.is_empty()
            && self.news.is_empty()
            && self.releases.is_empty()
    }

    /// No money is held here.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.windows.values().all(|window| window.held == 0)
    }

    // --- windows ---------------------------------------------------------------------------------------------

    /// A window begins with what the ledger says, unless it has begun. Whether Redis is to be told.
    pub(crate) fn begin(&mut self, window: &BudgetWindow, spent: NanoDollars, wall_ms: u64) -> bool {
        let window = self.window(window);
        if window.began.is_none() {
            window.began = Some((spent.0, wall_ms));
            return true;
        }
        !window.known
    }

    /// Whether Redis has it, as far as is known.
    pub(crate) fn is_known(&self, window: &BudgetWindow) -> bool {
        self.windows.get(window).is_some_and(|window| window.known)
    }

    /// What is known of a window.
    pub(crate) fn budget(&mut self, window: &BudgetWindow) -> Option<BudgetState> {
        let (alone, instances) = (self.link.is_none(), self.instances());
        let window = self.windows.get_mut(window)?;
        window.asked = Instant::now();
        Some(if alone {
            window.alone(instances)
        } else {
            window.together()
        })
    }

    /// Windows that changed and that Redis may not have.
    pub(crate) fn changed_and_unknown(&self) -> Vec<BudgetWindow> {
        let unknown = |name: &&BudgetWindow| !self.is_known(name);
        self.changed_windows
            .iter()
            .filter(unknown)
            .take(CHUNK)
            .cloned()
            .collect()
    }

    /// All windows, for a Redis that may have lost everything.
    pub(crate) fn all_windows(&self) -> Vec<BudgetWindow> {
        self.windows.keys().cloned().collect()
    }

    /// A window as it is told whole.
    pub(crate) fn whole(&mut self, name: &BudgetWindow, me: &str) -> Whole {
        let window = self.window(name);
        let mut sums = window.others.clone();
        sums.push((me.to_owned(), window.settled));
        Whole {
            window: name.clone(),
            began: window.began,
            sums,
            settled: window.settled,
            held: window.held,
        }
    }

    /// A window was told whole, and this is what came of it.
    pub(crate) fn told_whole(&mut self, whole: &Whole, with_holds: bool, hash: Hash) {
        let window = self.window(&whole.window);
        window.settled_told = whole.settled;
        if with_holds {
            window.held_told = whole.held;
        }
        window.take_in(hash);
        if window.settled != window.settled_told || window.held != window.held_told {
            self.window_changed(&whole.window);
        }
    }

    /// What Redis says of a window; `false` when it has lost it.
    pub(crate) fn refreshed(&mut self, name: &BudgetWindow, hash: Hash) -> bool {
        let window = self.window(name);
        if !hash.exists {
            return !window.known;
        }
        window.take_in(hash);
        true
    }

    /// Windows to read again, those read longest ago first; what is long over is forgotten.
    pub(crate) fn due_for_refresh(&mut self, wall_ms: u64) -> Vec<BudgetWindow> {
        let now = Instant::now();
        self.windows.retain(|name, window| {
            let told = window.settled == window.settled_told && window.held == window.held_told;
            kept_until(name).0 > wall_ms || !told
        });
        self.keys.retain(|_, key| {
            key.places > 0 || key.places_told > 0 || key.changed || now.duration_since(key.touched) < KEY_KEPT
        });
        let due = |window: &Window| window.known && now.duration_since(window.asked) < ASKED_WITHIN;
        let mut names: Vec<(Instant, BudgetWindow)> = Vec::new();
        for (name, window) in &self.windows {
            if due(window) {
                names.push((window.refreshed, name.clone()));
            }
        }
        names.sort_by_key(|(refreshed, _)| *refreshed);
        names.truncate(2 * CHUNK);
        names.into_iter().map(|(_, name)| name).collect()
    }

    // --- coming back -----------------------------------------------------------------------------------------

    /// A new epoch began: the number of the last batch that Redis took in decides the fate of the one that was out.
    pub(crate) fn began_epoch(&mut self, taken_in: Option<u64>, now: Now) {
        if let Some(batch) = self.unacknowledged.take()
            && taken_in != Some(batch.seq)
        {
            for (name, dimension, _, correction) in &batch.buckets {
                self.key(name).limit(*dimension, |limit| {
                    limit.untold = limit.untold.saturating_add(*correction);
                });
                self.key_changed(name);
            }
        }
        // Batches are counted on from what Redis has, which may have come back with older data.
        self.seq = taken_in.unwrap_or(0);
        // What was used long ago has been refilled everywhere since.
        for key in self.keys.values_mut() {
            for dimension in [Dimension::Requests, Dimension::Tokens] {
                key.limit(dimension, |limit| {
                    if let Some((bucket, share)) = &mut limit.share {
                        bucket.left(*share, ms(now));
                        let missing = Bucket::full(*share, 0).level - bucket.level;
                        limit.untold = limit.untold.min(missing.div_euclid(PARTS as i64) + 1);
                    }
                });
            }
        }
    }

    /// Calls under way by key, for a Redis that may have lost them.
    pub(crate) fn all_places(&self) -> Vec<(KeyId, u64)> {
        self.keys.iter().map(|(name, key)| (name.clone(), key.places)).collect()
    }

    /// Redis knows them.
    pub(crate) fn told_places(&mut self, told: &[(KeyId, u64)]) {
        for (name, places) in told {
            let key = self.key(name);
            key.places_told = *places;
            if key.places != *places {
                self.key_changed(name);
            }
        }
    }

    /// Has news wait to be told.
    pub(crate) fn tell(&mut self, news: News) {
        if self.news.len() >= NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }

    /// How many share limits and budgets; at least one.
    pub(crate) fn instances(&self) -> u64 {
        self.alive.len().max(1) as u64
    }

    fn window(&mut self, name: &BudgetWindow) -> &mut Window {
        if !self.windows.contains_key(name) {
            self.windows.insert(name.clone(), Window::new());
        }
        self.windows.get_mut(name).expect("it was put there")
    }

    fn window_changed(&mut self, name: &BudgetWindow) {
        let window = self.window(name);
        if !std::mem::replace(&mut window.changed, true) {
            self.changed_windows.push(name.clone());
        }
    }

    fn key(&mut self, name: &KeyId) -> &mut Key {
        if !self.keys.contains_key(name) {
            self.keys.insert(name.clone(), Key::new());
        }
        let key = self.keys.get_mut(name).expect("it was put there");
        key.touched = Instant::now();
        key
    }

    fn key_changed(&mut self, name: &KeyId) {
        let key = self.key(name);
        if !std::mem::replace(&mut key.changed, true) {
            self.changed_keys.push(name.clone());
        }
    }
}

impl Window {
    fn new() -> Window {
        let now = Instant::now();
        Window {
            began: None,
            known: false,
            seen: Seen::default(),
            others: Vec::new(),
            settled: 0,
            settled_told: 0,
            held: 0,
            held_told: 0,
            changed: false,
            asked: now,
            refreshed: now,
        }
    }

    fn take_in(&mut self, hash: Hash) {
        self.known = true;
        self.seen = hash.seen;
        self.others = hash.others;
        self.began = hash.began.or(self.began);
        self.refreshed = Instant::now();
    }

    /// What the others did as Redis said, and what this process did as it knows itself.
    fn together(&self) -> BudgetState {
        let (spent, held) = match self.known {
            true => (self.seen.spent, self.seen.held),
            false => (self.began.map_or(0, |(base, _)| base), 0),
        };
        BudgetState {
            spent: NanoDollars(spent.saturating_sub(self.seen.own_settled).saturating_add(self.settled)),
            reserved: NanoDollars(held.saturating_sub(self.seen.own_held).saturating_add(self.held)),
        }
    }

    /// As if each of so many instances had done since what this one did.
    fn alone(&self, instances: u64) -> BudgetState {
        let before = match self.known {
            true => self.seen.spent,
            false => self.began.map_or(0, |(base, _)| base),
        };
        let since = self.settled.saturating_sub(self.seen.own_settled);
        BudgetState {
            spent: NanoDollars(before.saturating_add(since.saturating_mul(instances))),
            reserved: NanoDollars(self.held.saturating_mul(instances)),
        }
    }
}

impl Key {
    fn new() -> Key {
        Key {
            requests: Limit::default(),
            tokens: Limit::default(),
            places: 0,
            places_told: 0,
            changed: false,
            touched: Instant::now(),
        }
    }

    /// Does something to a bucket's limit; places have none.
    fn limit(&mut self, dimension: Dimension, act: impl FnOnce(&mut Limit)) {
        match dimension {
            Dimension::Requests => act(&mut self.requests),
            Dimension::Tokens => act(&mut self.tokens),
            Dimension::Concurrent => {}
        }
    }

    fn share(&mut self, ask: &LimitAsk, share: u64, now: Now) -> Option<&mut Bucket> {
        let limit = match ask.dimension {
            Dimension::Requests => &mut self.requests,
            Dimension::Tokens => &mut self.tokens,
            Dimension::Concurrent => return None,
        };
        let (bucket, held) = limit.share.get_or_insert_with(|| (Bucket::full(share, ms(now)), share));
        *held = share;
        Some(bucket)
    }

    fn wait_alone(&mut self, ask: &LimitAsk, share: u64, now: Now) -> Option<Duration> {
        let places = self.places;
        match self.share(ask, share, now) {
            Some(bucket) => bucket.ask(share, ask.amount, ms(now)).err(),
            None => (places.saturating_add(ask.amount) > share).then_some(RETRY_AFTER_PLACES),
        }
    }

    fn take_alone(&mut self, ask: &LimitAsk, share: u64, now: Now) {
        match self.share(ask, share, now) {
            Some(bucket) => {
                bucket.take(share, ask.amount, ms(now));
                let amount = i64::try_from(ask.amount).unwrap_or(i64::MAX);
                self.limit(ask.dimension, |limit| {
                    limit.untold = limit.untold.saturating_add(amount)
                });
            }
            None => self.places = self.places.saturating_add(ask.amount),
        }
    }

    fn state_alone(&mut self, ask: &LimitAsk, share: u64, now: Now) -> LimitState {
        let places = self.places;
        match self.share(ask, share, now) {
            Some(bucket) => {
                let left = bucket.left(share, ms(now));
                LimitState {
                    remaining: left.remaining,
                    reset: left.reset,
                }
            }
            None => LimitState {
                remaining: share.saturating_sub(places),
                reset: Duration::ZERO,
            },
        }
    }
}

/// This instance's part of a limit: at least one, unless there is nothing to share.
fn share_of(limit: u64, instances: u64) -> u64 {
    (limit / instances).max(limit.min(1))
}

fn add(amount: u64, change: i128) -> u64 {
    u64::try_from((i128::from(amount) + change).max(0)).unwrap_or(u64::MAX)
}

fn ms(now: Now) -> u64 {
    now.mono.0 / 1_000_000
}
