//! Names for calls: UUIDs of version 7 (RFC 9562), which sort by time, without asking the kernel for chance at every call.

use std::sync::atomic::{AtomicU64, Ordering};

use types::time::UnixMillis;
use uuid::Uuid;

/// A source of ids, started from the system's randomness once.
///
/// Two processes do not give the same id; who has seen ids can guess others, so nothing may rest on their secrecy.
#[derive(Debug)]
pub struct CallIds {
    key: u64,
    count: AtomicU64,
}

/// A call's name, and a number of its own for its draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallId {
    /// 32 hexadecimal digits.
    pub text: String,
    /// Evenly spread over all 64 bits.
    pub seed: u64,
}

impl CallIds {
    /// A source that no other process has.
    pub fn new() -> CallIds {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        CallIds {
            key: high ^ low.rotate_left(32),
            count: AtomicU64::new(low),
        }
    }

    /// The next id.
    pub fn next(&self, wall: UnixMillis) -> CallId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let (seed, more) = (mix(count ^ self.key), mix(count.wrapping_add(self.key)));
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&seed.to_be_bytes());
        random[8..].copy_from_slice(&more.to_be_bytes()[..2]);
        let id = uuid::Builder::from_unix_timestamp_millis(wall.0, &random).into_uuid();
        CallId {
            text: id.simple().to_string(),
            seed,
        }
    }
}

impl Default for CallIds {
    fn default() -> CallIds {
        CallIds::new()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection, so counted inputs never collide.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_do_not_repeat() {
        let ids = CallIds::new();
        let earlier = ids.next(UnixMillis(1_795_219_200_000)).text;
        let later = ids.next(UnixMillis(1_795_219_200_001)).text;
        assert!(earlier < later && earlier.len() == 32, "{earlier} {later}");
        assert_eq!(Uuid::parse_str(&earlier).unwrap().get_version_num(), 7);
        let many: std::collections::BTreeSet<String> = (0..10_000).map(|_| ids.next(UnixMillis(1)).text).collect();
        assert_eq!(many.len(), 10_000);
    }
}
