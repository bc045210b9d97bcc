//! Chance with a seed, in integers: the same numbers on every machine.

use std::time::Duration;

use policy::rng::Rng;

/// Doublings of a long tail at most: 64 times the typical time.
const DOUBLINGS_MAX: u32 = 6;

/// A source for one thing of a run (a call, an attempt): what happens to others does not shift its numbers.
pub fn source(seed: u64, parts: &[u64]) -> Rng {
    let mixed = parts.iter().fold(seed, |mixed, part| {
        Rng::new(mixed ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93)).bits()
    });
    Rng::new(mixed)
}

/// Whether something of so many in a thousand happens.
pub fn happens(permille: u32, rng: &mut Rng) -> bool {
    rng.below(1000) < u64::from(permille)
}

/// A number in `low..=high`.
pub fn between(low: u64, high: u64, rng: &mut Rng) -> u64 {
    low + rng.below(high.saturating_sub(low).saturating_add(1))
}

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// Always as long.
    Fixed(Duration),
    /// Anything from the first to the second, evenly.
    Between(Duration, Duration),
    /// Half to one and a half times `typical`; doubled for so many in a thousand, of these again, and so on.
    Tailed {
        /// The middle of most.
        typical: Duration,
        /// How many are doubled each time, in a thousand.
        tail_permille: u32,
    },
}

impl Latency {
    /// One draw.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        match *self {
            Latency::Fixed(time) => time,
            Latency::Between(low, high) => low + rng.duration_to(high.saturating_sub(low)),
            Latency::Tailed { typical, tail_permille } => {
                let mut time = typical / 2 + rng.duration_to(typical);
                for _ in 0..DOUBLINGS_MAX {
                    if !happens(tail_permille, rng) {
                        break;
                    }
                    time *= 2;
                }
                time
            }
        }
    }
}

/// A wait whose lengths are spread exponentially around `mean`, by von Neumann's comparisons: no logarithm, which
/// would differ between machines in its last digit.
pub fn exponential(mean: Duration, rng: &mut Rng) -> Duration {
    let mut whole = 0u32;
    loop {
        let first = rng.bits() >> 32;
        let (mut last, mut descending) = (first, 1u32);
        loop {
            let next = rng.bits() >> 32;
            if next >= last {
                break;
            }
            last = next;
            descending += 1;
        }
        if descending % 2 == 1 {
            let fraction = (mean.as_nanos() * u128::from(first)) >> 32;
            return mean * whole + Duration::from_nanos(u64::try_from(fraction).unwrap_or(u64::MAX));
        }
        whole += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_waits_have_their_mean_and_their_spread() {
        let mut rng = Rng::new(1);
        let waits: Vec<_> = (0..20_000)
            .map(|_| exponential(Duration::from_millis(1000), &mut rng).as_millis())
            .collect();
        let mean = waits.iter().sum::<u128>() / 20_000;
        assert!((970..1030).contains(&mean), "{mean}");
        let short = waits.iter().filter(|w| **w < 693).count();
        assert!((9_700..10_300).contains(&short), "half lie under ln 2: {short}");
    }

    #[test]
    fn latencies_keep_to_their_bounds() {
        let mut rng = Rng::new(2);
        let ms = Duration::from_millis;
        for _ in 0..1000 {
            assert_eq!(Latency::Fixed(ms(3)).draw(&mut rng), ms(3));
            let drawn = Latency::Between(ms(2), ms(4)).draw(&mut rng);
            assert!(drawn >= ms(2) && drawn <= ms(4));
            let tailed = Latency::Tailed {
                typical: ms(10),
                tail_permille: 500,
            }
            .draw(&mut rng);
            assert!(tailed >= ms(5) && tailed <= ms(15 * 64));
        }
    }

    #[test]
    fn a_source_depends_on_each_of_its_parts() {
        let firsts = [source(1, &[1, 2]), source(1, &[2, 1]), source(2, &[1, 2])].map(|mut rng| rng.bits());
        assert!(firsts[0] != firsts[1] && firsts[0] != firsts[2]);
        assert_eq!(firsts[0], source(1, &[1, 2]).bits());
    }
}
