//! Cached values of this process, bounded by bytes: what was asked for longest ago goes first.
//!
//! Time is the runtime's clock, so that tests move it. A value too large for the whole is not kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::shared::CacheHeld;

/// What a value costs beside its bytes: its places in two maps.
const ENTRY_BYTES: u64 = 200;
/// Until somebody says otherwise.
const BYTES_MAX: u64 = 64 << 20;

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    values: HashMap<Arc<str>, Value>,
    /// Keys by when they were asked for last.
    order: BTreeMap<u64, Arc<str>>,
    turn: u64,
    bytes: u64,
    bytes_max: u64,
    /// Values that went to make room.
    evicted: u64,
}

#[derive(Debug)]
struct Value {
    bytes: Bytes,
    put: Instant,
    until: Instant,
    turn: u64,
}

impl Cache {
    pub(crate) fn new() -> Cache {
        let held = Held {
            values: HashMap::new(),
            order: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            bytes_max: BYTES_MAX,
            evicted: 0,
        };
        Cache { held: Mutex::new(held) }
    }

    pub(crate) fn get(&self, key: &str) -> Option<(Bytes, Duration)> {
        let now = Instant::now();
        let mut held = self.lock();
        if held.values.get(key)?.until <= now {
            held.remove(key);
            return None;
        }
        Some(held.touch(key, now))
    }

    pub(crate) fn put(&self, key: &str, bytes: Bytes, keep: Duration) {
        let now = Instant::now();
        let mut held = self.lock();
        held.remove(key);
        let size = size(key, &bytes);
        if size > held.bytes_max || keep.is_zero() {
            return;
        }
        held.make_room(size);
        let until = now.checked_add(keep).unwrap_or(now + Duration::from_secs(86_400 * 365));
        held.insert(
            key.into(),
            Value {
                bytes,
                put: now,
                until,
                turn: 0,
            },
        );
    }

    pub(crate) fn delete(&self, key: &str) {
        self.lock().remove(key);
    }

    pub(crate) fn set_bytes_max(&self, bytes: u64) {
        let mut held = self.lock();
        held.bytes_max = bytes;
        held.make_room(0);
    }

    pub(crate) fn held(&self) -> CacheHeld {
        let held = self.lock();
        CacheHeld {
            bytes: held.bytes,
            values: held.values.len() as u64,
            evicted: held.evicted,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The value, which is now the youngest.
    fn touch(&mut self, key: &str, now: Instant) -> (Bytes, Duration) {
        self.turn += 1;
        let value = self.values.get_mut(key).expect("it was found under the same lock");
        let name = self.order.remove(&value.turn).expect("every value has its turn");
        value.turn = self.turn;
        self.order.insert(self.turn, name);
        (value.bytes.clone(), now.saturating_duration_since(value.put))
    }

    fn insert(&mut self, key: Arc<str>, mut value: Value) {
        self.turn += 1;
        value.turn = self.turn;
        self.bytes += size(&key, &value.bytes);
        self.order.insert(self.turn, key.clone());
        self.values.insert(key, value);
    }

    fn remove(&mut self, key: &str) {
        if let Some(value) = self.values.remove(key) {
            self.order.remove(&value.turn);
            self.bytes -= size(key, &value.bytes);
        }
    }

    fn make_room(&mut self, size: u64) {
        while self.bytes + size > self.bytes_max {
            let Some((_, key)) = self.order.pop_first() else { return };
            self.remove(&key);
            self.evicted += 1;
        }
    }
}

fn size(key: &str, bytes: &Bytes) -> u64 {
    ENTRY_BYTES + 2 * key.len() as u64 + bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_for_its_time_and_says_its_age() {
        let cache = Cache::new();
        cache.put("a", Bytes::from_static(b"1"), Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(cache.get("a"), Some((Bytes::from_static(b"1"), Duration::from_secs(4))));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(cache.get("a"), None);
        assert_eq!(cache.lock().bytes, 0);
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room_and_the_bytes_stay_within_the_bound() {
        let cache = Cache::new();
        let value = Bytes::from(vec![0; 1000]);
        cache.set_bytes_max(4 * size("a", &value));
        let keep = Duration::from_secs(60);
        for key in ["a", "b", "c", "d"] {
            cache.put(key, value.clone(), keep);
        }
        assert!(cache.get("a").is_some(), "and is young again");
        cache.put("e", value.clone(), keep);
        let there = |key| cache.get(key).is_some();
        assert_eq!(["a", "b", "c", "d", "e"].map(there), [true, false, true, true, true]);
        cache.put("a", Bytes::from(vec![0; 10_000]), keep);
        assert!(
            cache.get("a").is_none(),
            "too large for the whole; the old value is gone as well"
        );
        assert!(cache.get("c").is_some(), "and nobody had to make room for it");
        cache.set_bytes_max(0);
        let held = cache.lock();
        assert_eq!((held.bytes, held.values.len(), held.order.len()), (0, 0, 0));
        assert!(held.evicted >= 4);
    }
}
