//! Limits of a key: token buckets for calls and tokens a minute, a counter for calls under way.
//!
//! Pure, and in whole numbers that never drift: a bucket's level is kept in [`PARTS`] of a unit, so that a millisecond refills it by
//! exactly its limit. Each number stays below 2⁵³ for limits up to [`LIMIT_MAX`], so that a script which knows only floats can
//! do the same sums. The type to read first is [`Bucket`].

use std::time::Duration;

/// Parts of a unit that a level is kept in: the milliseconds of a minute.
pub const PARTS: u64 = 60_000;
/// Larger limits are taken for this one.
pub const LIMIT_MAX: u64 = 10_000_000_000;
/// The furthest that a bucket falls below empty, as a multiple of its limit: a call that took far more than was expected keeps its
/// key waiting for at most so many minutes.
pub const DEBT_MINUTES_MAX: u64 = 10;
/// When to come again after a refusal for calls under way, of which nobody knows when they end.
pub const RETRY_AFTER_PLACES: Duration = Duration::from_secs(1);

/// A token bucket that holds as much as its limit and is refilled evenly over a minute.
///
/// An amount larger than the limit is granted when the bucket is full, and empties it below zero: it would never be granted
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// What is in it, in [`PARTS`]; below zero after more was taken than it held.
    pub level: i64,
    /// Up to when it was refilled, in milliseconds of any clock that its owner sticks to.
    pub at_ms: u64,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Whole units that are left now.
    pub remaining: u64,
    /// Until it is full again.
    pub reset: Duration,
}

/// Calls under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Places {
    taken: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn full(limit: u64, now_ms: u64) -> Bucket {
        Bucket {
            level: capacity(limit),
            at_ms: now_ms,
        }
    }

    /// Whether an amount would be granted now; else how long until it is, if nobody else comes. Never zero.
    pub fn ask(&mut self, limit: u64, amount: u64, now_ms: u64) -> Result<(), Duration> {
        self.refill(limit, now_ms);
        let wanted = parts(amount).min(capacity(limit));
        if self.level >= wanted && limit > 0 {
            return Ok(());
        }
        Err(wait(limit, wanted - self.level))
    }

    /// Takes an amount that [`Bucket::ask`] granted at the same moment. Asking first makes it possible to take from several buckets
    /// or from none.
    pub fn take(&mut self, limit: u64, amount: u64, now_ms: u64) {
        self.refill(limit, now_ms);
        self.level = floor(limit).max(self.level.saturating_sub(parts(amount)));
    }

    /// What was taken came to something else: gives back what was too much, takes what was too little, even below zero.
    pub fn settle(&mut self, limit: u64, taken: u64, actual: u64, now_ms: u64) {
        self.refill(limit, now_ms);
        let corrected = self.level.saturating_add(parts(taken)).saturating_sub(parts(actual));
        self.level = corrected.clamp(floor(limit), capacity(limit));
    }

    /// What is left now.
    pub fn left(&mut self, limit: u64, now_ms: u64) -> Left {
        self.refill(limit, now_ms);
        let missing = capacity(limit) - self.level;
        Left {
            remaining: u64::try_from(self.level).unwrap_or(0) / PARTS,
            reset: if missing > 0 {
                wait(limit, missing)
            } else {
                Duration::ZERO
            },
        }
    }

    /// A bucket that is full again need not be remembered: a new one is the same.
    pub fn is_full(&mut self, limit: u64, now_ms: u64) -> bool {
        self.refill(limit, now_ms);
        self.level == capacity(limit)
    }

    /// A clock that went back refills nothing until it has caught up.
    fn refill(&mut self, limit: u64, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        // What is longer than debt and capacity together fills it anyway, and must not overflow.
        let elapsed = elapsed.min(PARTS * (DEBT_MINUTES_MAX + 1));
        let refilled = i64::try_from(elapsed * limit.min(LIMIT_MAX)).expect("660,000 ms × 10^10 fit");
        self.level = self.level.saturating_add(refilled).min(capacity(limit));
        self.at_ms = self.at_ms.max(now_ms);
    }
}

impl Places {
    /// Takes a place, if fewer than the limit are taken.
    pub fn take(&mut self, limit: u64) -> bool {
        let free = self.taken < limit;
        self.taken += u64::from(free);
        free
    }

    /// Gives one back.
    pub fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// How many are taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many are left.
    pub fn left(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.taken)
    }
}

fn parts(amount: u64) -> i64 {
    // No amount counts for more than a bucket can fall or rise at all.
    let most = LIMIT_MAX * (DEBT_MINUTES_MAX + 1);
    i64::try_from(amount.min(most) * PARTS).expect("1.1 × 10^11 × 60,000 fits")
}

fn capacity(limit: u64) -> i64 {
    parts(limit.min(LIMIT_MAX))
}

fn floor(limit: u64) -> i64 {
    -capacity(limit) * i64::try_from(DEBT_MINUTES_MAX).expect("a small number")
}

/// How long until so many parts are refilled.
fn wait(limit: u64, missing: i64) -> Duration {
    let missing = u64::try_from(missing).unwrap_or(0);
    match limit.min(LIMIT_MAX) {
        // Nothing is ever granted; a minute is as good as any.
        0 => Duration::from_millis(PARTS),
        limit => Duration::from_millis(missing.div_ceil(limit).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn take(bucket: &mut Bucket, limit: u64, amount: u64, now_ms: u64) -> Result<(), Duration> {
        bucket
            .ask(limit, amount, now_ms)
            .inspect(|()| bucket.take(limit, amount, now_ms))
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_as_fast_as_it_is_refilled() {
        let mut bucket = Bucket::full(60, 1_000);
        for _ in 0..60 {
            assert_eq!(take(&mut bucket, 60, 1, 1_000), Ok(()));
        }
        assert_eq!(take(&mut bucket, 60, 1, 1_000), Err(ms(1_000)));
        assert_eq!(take(&mut bucket, 60, 1, 1_999), Err(ms(1)));
        assert_eq!(take(&mut bucket, 60, 1, 2_000), Ok(()));
        let left = bucket.left(60, 32_000);
        assert_eq!((left.remaining, left.reset), (30, ms(30_000)));
        assert_eq!(
            bucket.left(60, 3_600_000).remaining,
            60,
            "no more than a minute's worth"
        );
        assert!(bucket.is_full(60, 3_600_000));
    }

    #[test]
    fn more_than_the_limit_is_granted_when_full_and_paid_for_afterwards() {
        let mut bucket = Bucket::full(1_000, 0);
        assert_eq!(take(&mut bucket, 1_000, 3_000, 0), Ok(()));
        assert_eq!(
            bucket.left(1_000, 0),
            Left {
                remaining: 0,
                reset: ms(180_000)
            }
        );
        assert_eq!(take(&mut bucket, 1_000, 1, 0), Err(ms(120_060)));
        assert_eq!(take(&mut bucket, 1_000, 3_000, 179_999), Err(ms(1)));
        assert_eq!(take(&mut bucket, 1_000, 3_000, 180_000), Ok(()));
    }

    #[test]
    fn settling_gives_back_what_was_too_much_and_takes_what_was_too_little() {
        let mut bucket = Bucket::full(1_000, 0);
        assert_eq!(take(&mut bucket, 1_000, 800, 0), Ok(()));
        bucket.settle(1_000, 800, 200, 0);
        assert_eq!(bucket.left(1_000, 0).remaining, 800);
        bucket.settle(1_000, 0, 1_300, 0);
        assert_eq!(
            take(&mut bucket, 1_000, 0, 0),
            Err(ms(30_000)),
            "nothing is free below zero"
        );
        bucket.settle(1_000, 0, u64::MAX, 0);
        assert_eq!(bucket.left(1_000, 0).reset, ms(11 * 60_000), "the debt is bounded");
        bucket.settle(1_000, u64::MAX, 0, 0);
        assert_eq!(bucket.left(1_000, 0).remaining, 1_000, "and never more than full");
    }

    #[test]
    fn limits_may_change_clocks_go_back_and_a_limit_of_zero_grants_nothing() {
        let mut bucket = Bucket::full(100, 10_000);
        assert_eq!(bucket.left(10, 10_000).remaining, 10, "a smaller limit holds at once");
        assert_eq!(take(&mut bucket, 10, 10, 10_000), Ok(()));
        assert_eq!(
            take(&mut bucket, 10, 1, 4_000),
            Err(ms(6_000)),
            "a clock that went back refills nothing"
        );
        assert_eq!(take(&mut bucket, 10, 1, 16_000), Ok(()));
        let mut closed = Bucket::full(0, 0);
        assert_eq!(take(&mut closed, 0, 1, 0), Err(ms(60_000)));
        assert_eq!(take(&mut closed, 0, 0, 0), Err(ms(60_000)));
        let mut huge = Bucket::full(u64::MAX, 0);
        assert_eq!(take(&mut huge, u64::MAX, u64::MAX, u64::MAX), Ok(()));
    }

    #[test]
    fn places_are_taken_up_to_the_limit_and_given_back() {
        let mut places = Places::default();
        assert!(places.take(2) && places.take(2) && !places.take(2));
        assert_eq!((places.taken(), places.left(2), places.left(1)), (2, 0, 0));
        places.give_back();
        assert!(places.take(2));
        for _ in 0..5 {
            places.give_back();
        }
        assert_eq!(places.taken(), 0);
    }

    proptest! {
        #[test]
        fn over_any_time_no_more_is_granted_than_the_limit_and_what_was_refilled(
            limit in 1..100_000_u64, asks in proptest::collection::vec((0..200_000_u64, 0..20_000_u64), 1..80),
        ) {
            let mut bucket = Bucket::full(limit, 0);
            let (mut now, mut granted) = (0, 0_u64);
            for (amount, later) in asks {
                now += later;
                // What is larger than the limit is granted on credit: no part of this bound.
                let amount = amount.min(limit);
                match take(&mut bucket, limit, amount, now) {
                    Ok(()) => granted += amount,
                    Err(after) => {
                        prop_assert!(bucket.ask(limit, amount, now + after.as_millis() as u64).is_ok(), "told the truth");
                        // It was only a question: the bucket has been refilled ahead of time.
                        now += after.as_millis() as u64;
                    }
                }
                prop_assert!(granted * PARTS <= limit * PARTS + limit * now);
                prop_assert!(bucket.level.unsigned_abs() < 1 << 53);
            }
        }
    }
}
