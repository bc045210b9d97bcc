//! Retry budget: how many same-target retries the calls of the last seconds have earned.
//!
//! A share of calls rather than a count, so that an outage is met with a fifth more load and not with twice as much;
//! a floor, so that a quiet route may retry at all. A first visit to another target is no retry.

use types::time::Now;

use crate::route::RetryBudgetPolicy;

/// Buckets of the ring.
const BUCKETS: usize = 10;

/// The budget of one route.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    policy: RetryBudgetPolicy,
    ring: [Bucket; BUCKETS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    slice: u64,
    calls: u32,
    retries: u32,
}

impl RetryBudget {
    /// A budget that has seen nothing yet.
    pub fn new(policy: RetryBudgetPolicy) -> RetryBudget {
        RetryBudget {
            policy,
            ring: [Bucket::default(); BUCKETS],
        }
    }

    /// The operator changed the policy. What was learned stays; what follows is judged by the new one.
    pub fn reconfigure(&mut self, policy: RetryBudgetPolicy) {
        if self.policy.window != policy.window {
            // Buckets of another length cannot be read on.
            *self = RetryBudget::new(policy);
        }
        self.policy = policy;
    }

    /// A call began: it earns its share of a retry.
    pub fn deposit(&mut self, now: Now) {
        let bucket = self.bucket(now);
        bucket.calls = bucket.calls.saturating_add(1);
    }

    /// Takes a retry, if one is left.
    pub fn withdraw(&mut self, now: Now) -> bool {
        let allowed = self.allows(now);
        if allowed {
            let bucket = self.bucket(now);
            bucket.retries = bucket.retries.saturating_add(1);
        }
        allowed
    }

    /// Whether a retry is left.
    pub fn allows(&self, now: Now) -> bool {
        let slice = self.slice(now);
        let (calls, retries) = self
            .ring
            .iter()
            .filter(|b| b.slice <= slice && slice - b.slice < BUCKETS as u64)
            .fold((0u64, 0u64), |(calls, retries), b| {
                (calls + u64::from(b.calls), retries + u64::from(b.retries))
            });
        let earned = (calls as f64 * self.policy.share.clamp(0.0, 1.0)) as u64;
        retries < earned.max(u64::from(self.policy.floor))
    }

    fn bucket(&mut self, now: Now) -> &mut Bucket {
        let slice = self.slice(now);
        let bucket = &mut self.ring[(slice % BUCKETS as u64) as usize];
        if bucket.slice != slice {
            *bucket = Bucket {
                slice,
                ..Bucket::default()
            };
        }
        bucket
    }

    fn slice(&self, now: Now) -> u64 {
        let window = u64::try_from(self.policy.window.as_nanos()).unwrap_or(u64::MAX);
        now.mono.0 / (window / BUCKETS as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fifth_of_the_calls_may_be_retried_and_never_fewer_than_three() {
        for (calls, retries) in [(0, 3), (1, 3), (15, 3), (20, 4), (64, 12), (1000, 200)] {
            let mut budget = RetryBudget::new(RetryBudgetPolicy::default());
            let now = Now::default().after(Duration::from_secs(100));
            (0..calls).for_each(|_| budget.deposit(now));
            assert_eq!(
                (0..2000).filter(|_| budget.withdraw(now)).count(),
                retries,
                "{calls} calls"
            );
            let later = now.after(Duration::from_secs(10));
            assert!(budget.allows(later), "the window has passed");
        }
    }

    #[test]
    fn a_share_of_zero_and_a_floor_of_zero_allow_nothing() {
        let mut budget = RetryBudget::new(RetryBudgetPolicy {
            share: 0.0,
            floor: 0,
            window: Duration::ZERO,
        });
        budget.deposit(Now::default());
        assert!(!budget.withdraw(Now::default()));
    }
}
