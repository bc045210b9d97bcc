//! When calls come.

use std::time::Duration;

use policy::rng::Rng;

use crate::chance;

/// The pattern of a scenario's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// One after another, evenly.
    Steady {
        /// The time between two.
        every: Duration,
    },
    /// Independent of each other.
    Poisson {
        /// The mean time between two.
        every: Duration,
    },
    /// Many at once, then none.
    Bursts {
        /// The time between two bursts.
        every: Duration,
        /// Calls of a burst, all at the same moment.
        size: u32,
    },
}

impl Arrivals {
    /// The times of so many calls since the start, in order.
    pub fn times(&self, calls: u32, rng: &mut Rng) -> Vec<Duration> {
        let mut at = Duration::ZERO;
        (0..calls)
            .map(|n| {
                match *self {
                    Arrivals::Steady { every } => at = every * n,
                    Arrivals::Poisson { every } => at += chance::exponential(every, rng),
                    Arrivals::Bursts { every, size } => at = every * (n / size.max(1)),
                }
                at
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_in_order_and_as_many_as_were_asked_for() {
        let every = Duration::from_secs(2);
        let times = |arrivals: Arrivals| {
            let times = arrivals.times(6, &mut Rng::new(1));
            assert!(times.is_sorted());
            times.iter().map(Duration::as_secs).collect::<Vec<_>>()
        };
        assert_eq!(times(Arrivals::Steady { every }), [0, 2, 4, 6, 8, 10]);
        assert_eq!(times(Arrivals::Bursts { every, size: 3 }), [0, 0, 0, 2, 2, 2]);
        assert_eq!(times(Arrivals::Poisson { every }).len(), 6);
    }
}
