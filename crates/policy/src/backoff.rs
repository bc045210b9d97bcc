//! Backoff: how long to wait before the same target is tried again. Exponential, full jitter, capped.

use std::time::Duration;

use crate::rng::Rng;
use crate::route::Backoff;

/// The wait before retry number `retry` (from 0): anything between nothing and `base × factor^retry`, at most `cap`.
pub fn wait(backoff: &Backoff, retry: u32, rng: &mut Rng) -> Duration {
    let longest = backoff
        .base
        .saturating_mul(backoff.factor.max(1).saturating_pow(retry))
        .min(backoff.cap);
    rng.duration_to(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_cap_and_fill_the_whole_range() {
        let mut rng = Rng::new(1);
        let backoff = Backoff::default();
        for (retry, ms) in [
            (0, 500),
            (1, 1000),
            (2, 2000),
            (3, 4000),
            (4, 8000),
            (5, 8000),
            (99, 8000),
        ] {
            let waits: Vec<_> = (0..500).map(|_| wait(&backoff, retry, &mut rng)).collect();
            let max = Duration::from_millis(ms);
            assert!(waits.iter().all(|w| *w <= max));
            assert!(waits.iter().any(|w| *w < max / 10) && waits.iter().any(|w| *w > max * 9 / 10));
        }
    }
}
