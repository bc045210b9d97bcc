//! The one place where the gateway reads the time. Everything below it is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use types::time::{Mono, Now, UnixMillis};

/// Reads both clocks at once. On a paused tokio clock the wall clock moves with it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall_at_origin: UnixMillis,
    real: bool,
}

impl Clock {
    /// The machine's clocks.
    pub fn real() -> Clock {
        Clock {
            origin: Instant::now(),
            wall_at_origin: wall(),
            real: true,
        }
    }

    /// A wall clock that starts at `wall` and moves with tokio's clock: for tests that pause it.
    pub fn starting_at(wall: UnixMillis) -> Clock {
        Clock {
            origin: Instant::now(),
            wall_at_origin: wall,
            real: false,
        }
    }

    /// The time.
    pub fn now(&self) -> Now {
        let elapsed = self.origin.elapsed();
        let wall = if self.real {
            wall()
        } else {
            UnixMillis(self.wall_at_origin.0 + elapsed.as_millis() as u64)
        };
        Now {
            mono: Mono(elapsed.as_nanos() as u64),
            wall,
        }
    }

    /// The instant of tokio's clock that `mono` stands for. `Mono::NEVER` is a day that never comes.
    pub fn instant(&self, mono: Mono) -> Instant {
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        self.origin + Duration::from_nanos(mono.0).min(FAR)
    }
}

fn wall() -> UnixMillis {
    UnixMillis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as u64),
    )
}
