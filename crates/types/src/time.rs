//! Time as data: a [`Now`] is handed in by whoever owns a clock, so that decisions can be replayed.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One instant, read from two clocks at once.
///
/// `mono` orders events and measures durations; `wall` is for people, headers and calendars. Both may be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Now {
    /// Nanoseconds of a monotonic clock since some start.
    pub mono: Mono,
    /// Milliseconds since the Unix epoch.
    pub wall: UnixMillis,
}

/// Nanoseconds on a monotonic clock with an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Mono(pub u64);

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl Now {
    /// Both clocks, `d` later.
    pub fn after(self, d: Duration) -> Now {
        Now {
            mono: self.mono + d,
            wall: UnixMillis(self.wall.0.saturating_add(d.as_millis() as u64)),
        }
    }
}

impl Mono {
    /// A time no clock reaches.
    pub const NEVER: Mono = Mono(u64::MAX);

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;
    fn sub(self, earlier: Mono) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_never_underflows_and_never_is_absorbing() {
        let t = Mono(5);
        assert_eq!(t - Mono(9), Duration::ZERO);
        assert_eq!(Mono::NEVER + Duration::from_secs(1), Mono::NEVER);
        let later = Now {
            mono: t,
            wall: UnixMillis(1),
        }
        .after(Duration::from_millis(3));
        assert_eq!(
            later,
            Now {
                mono: Mono(3_000_005),
                wall: UnixMillis(4)
            }
        );
    }
}
