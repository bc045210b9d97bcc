//! How a target behaves: what it does to attempts, and how that changes by schedule.

use std::time::Duration;

use types::ids::CredentialIx;
use types::outcome::{OutcomeClass, Scope};

use crate::chance::Latency;

/// The behaviour of one target over a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetScript {
    /// What it does from which time on, since the start; in order, the first from zero.
    pub phases: Vec<Phase>,
    /// Its rate limit.
    pub rate: Option<RateLimit>,
}

/// Behaviour from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Since the start.
    pub from: Duration,
    /// What it does.
    pub conduct: Conduct,
}

/// What a target does to attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduct {
    /// Until the connection stands.
    pub connect: Latency,
    /// From there to the status line, of good and of bad answers.
    pub headers: Latency,
    /// From there to the first content.
    pub first_token: Latency,
    /// Between two pieces of content.
    pub per_token: Latency,
    /// Fewest and most pieces of content.
    pub tokens: (u32, u32),
    /// What goes wrong; of several that would, the first does.
    pub faults: Vec<FaultRow>,
    /// It refuses a trailing assistant message as an invalid request.
    pub refuses_prefill: bool,
    /// Streams in a thousand with something that bars another target from continuing them.
    pub unresumable_permille: u32,
    /// It answers health checks.
    pub answers_health_checks: bool,
}

/// A fault and how often it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRow {
    /// Attempts in a thousand.
    pub permille: u32,
    /// What happens to them.
    pub fault: Fault,
    /// Only those with this credential.
    pub credential: Option<CredentialIx>,
}

/// What can happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A bad answer instead of a good one.
    Answer {
        /// What it means.
        class: OutcomeClass,
        /// Its HTTP status.
        status: u16,
        /// How far it reaches.
        scope: Scope,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The connection is refused at once.
    Refused,
    /// The connection never stands.
    ConnectHangs,
    /// A pooled connection dies before any byte; a fresh one would have been well.
    ReusedConnectionDies,
    /// Silence after the connection.
    StallsBeforeHeaders,
    /// A good status line, then silence; pings come if a time between them is given.
    StallsBeforeFirstToken {
        /// The time between two pings.
        pings: Option<Duration>,
    },
    /// Silence in the middle of the content.
    StallsMidway {
        /// The time between two pings.
        pings: Option<Duration>,
    },
    /// The connection ends in the middle of the content.
    CutsMidway,
    /// An error event in the middle of the content.
    ErrsMidway {
        /// What it means.
        class: OutcomeClass,
    },
    /// The content cannot be read.
    Garbage,
}

/// Requests a target takes in a window; the next ones are told 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests of a window.
    pub requests: u32,
    /// The window's length; windows follow each other from the start.
    pub window: Duration,
    /// A 429 says when the window ends.
    pub hints: bool,
    /// Good answers carry rate-limit headers.
    pub headers: bool,
}

impl TargetScript {
    /// The same behaviour throughout.
    pub fn always(conduct: Conduct) -> TargetScript {
        TargetScript {
            phases: vec![Phase {
                from: Duration::ZERO,
                conduct,
            }],
            rate: None,
        }
    }

    /// The same from some time on.
    pub fn then(mut self, from: Duration, conduct: Conduct) -> TargetScript {
        assert!(
            self.phases.last().is_none_or(|last| last.from <= from),
            "phases are in order"
        );
        self.phases.push(Phase { from, conduct });
        self
    }

    /// Well for `up`, ill for `down`, and so on from `from`; well from `until` on.
    pub fn flapping(
        mut self,
        (up, well): (Duration, &Conduct),
        (down, ill): (Duration, &Conduct),
        from: Duration,
        until: Duration,
    ) -> TargetScript {
        assert!(up + down > Duration::ZERO, "time goes on");
        let mut at = from;
        while at < until {
            self = self.then(at, ill.clone());
            if at + down < until {
                self = self.then(at + down, well.clone());
            }
            at += up + down;
        }
        self.then(until, well.clone())
    }

    /// The same with a rate limit.
    pub fn limited(self, rate: RateLimit) -> TargetScript {
        TargetScript {
            rate: Some(rate),
            ..self
        }
    }

    /// What it does at a time since the start.
    pub fn conduct(&self, at: Duration) -> &Conduct {
        let place = self.phases.partition_point(|p| p.from <= at);
        &self.phases[place.saturating_sub(1)].conduct
    }

    /// Since when it has behaved as it does at `at`, and until when it will.
    pub fn span(&self, at: Duration) -> (Duration, Option<Duration>) {
        let place = self.phases.partition_point(|p| p.from <= at).max(1);
        (self.phases[place - 1].from, self.phases.get(place).map(|p| p.from))
    }
}

impl Conduct {
    /// A target in good health: a connection in 5 ms, a first token in some 200 ms, then one every 20 ms.
    pub fn healthy() -> Conduct {
        let ms = Duration::from_millis;
        Conduct {
            connect: Latency::Between(ms(1), ms(9)),
            headers: Latency::Between(ms(20), ms(80)),
            first_token: Latency::Tailed {
                typical: ms(150),
                tail_permille: 50,
            },
            per_token: Latency::Between(ms(5), ms(35)),
            tokens: (1, 24),
            faults: Vec::new(),
            refuses_prefill: false,
            unresumable_permille: 0,
            answers_health_checks: true,
        }
    }

    /// The same with a fault that strikes so many attempts in a thousand, whatever their credential.
    pub fn with(mut self, permille: u32, fault: Fault) -> Conduct {
        self.faults.push(FaultRow {
            permille,
            fault,
            credential: None,
        });
        self
    }

    /// An outage: every attempt meets the fault, and health checks fail too.
    pub fn down(fault: Fault) -> Conduct {
        Conduct {
            answers_health_checks: false,
            ..Conduct::healthy().with(1000, fault)
        }
    }

    /// The fault that strikes every attempt, when one does.
    pub fn always_fails_with(&self) -> Option<Fault> {
        let all = |row: &&FaultRow| row.permille >= 1000 && row.credential.is_none();
        self.faults.first().filter(all).map(|row| row.fault)
    }
}

impl Fault {
    /// A bad answer of a status, without a hint.
    pub fn status(class: OutcomeClass, status: u16) -> Fault {
        Fault::Answer {
            class,
            status,
            scope: Scope::Target,
            retry_after: None,
        }
    }

    /// "503 Service Unavailable".
    pub fn overloaded() -> Fault {
        Fault::status(OutcomeClass::Overloaded, 503)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_target_is_well_before_between_and_after() {
        let (well, ill) = (Conduct::healthy(), Conduct::down(Fault::overloaded()));
        let secs = Duration::from_secs;
        let script = TargetScript::always(well.clone()).flapping((secs(4), &well), (secs(2), &ill), secs(10), secs(23));
        let states: String = (8..26)
            .map(|s| if *script.conduct(secs(s)) == well { '+' } else { '-' })
            .collect();
        assert_eq!(states, "++--++++--++++-+++");
        assert_eq!(script.span(secs(11)), (secs(10), Some(secs(12))));
        assert_eq!(script.span(secs(99)), (secs(23), None));
        assert_eq!(ill.always_fails_with(), Some(Fault::overloaded()));
        assert_eq!(well.always_fails_with(), None);
    }
}
