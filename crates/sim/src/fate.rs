//! What becomes of one attempt: drawn when it is launched, told step by step. After the last step there is silence.

use std::collections::VecDeque;
use std::time::Duration;

use policy::call::action::{Continuation, Launch};
use policy::call::event::AttemptEvent;
use policy::rng::Rng;
use types::ids::AttemptNo;
use types::outcome::{Failure, OutcomeClass, Scope};

use crate::chance;
use crate::script::{Conduct, Fault, FaultRow};

/// Until a refusal or a dead connection is noticed.
const NOTICED_AFTER: Duration = Duration::from_millis(1);

/// Pings that a silent stream sends at most: longer than any clock waits.
const PINGS_MAX: u32 = 400;

/// Bytes of a piece of content, at least and at most.
const PIECE_BYTES: (u64, u64) = (2, 8);

/// What an attempt is, as far as its target sees it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The launch.
    pub launch: &'a Launch,
    /// A stream is wanted.
    pub stream: bool,
    /// The call's own fault: every target answers with it.
    pub bad: Option<OutcomeClass>,
    /// The prompt is longer than the target's window.
    pub too_long: bool,
    /// The target's limit is reached: whether it says for how long.
    pub limited: Option<Option<Duration>>,
    /// For how long the client stops reading, once.
    pub pause: Option<Duration>,
}

/// The steps of an attempt that are still to come, each with the time since the one before.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    steps: VecDeque<(Duration, Step)>,
}

/// One step of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The connection stands.
    Connected,
    /// A good status line came.
    Headers,
    /// Bytes without content came.
    Alive,
    /// So many bytes of content came so far.
    Content(u64),
    /// Something came that another target cannot continue.
    Unresumable,
    /// The client stopped reading.
    Paused,
    /// The client reads again.
    Resumed,
    /// The answer is whole.
    Finished,
    /// It failed; whether it was a pooled connection that died.
    Failed(Failure, bool),
}

impl Fate {
    /// Draws what becomes of an attempt.
    pub fn draw(conduct: &Conduct, asked: Asked<'_>, rng: &mut Rng) -> Fate {
        let mut fate = Fate::default();
        let fault = conduct.faults.iter().find(|row| strikes(row, &asked, rng));
        fate.fill(conduct, asked, fault.map(|row| row.fault), rng);
        fate
    }

    /// How long until the next step; `None`: silence for ever.
    pub fn next_in(&self) -> Option<Duration> {
        self.steps.front().map(|(gap, _)| *gap)
    }

    /// Takes the next step.
    pub fn step(&mut self) -> Option<Step> {
        self.steps.pop_front().map(|(_, step)| step)
    }

    fn fill(&mut self, conduct: &Conduct, asked: Asked<'_>, fault: Option<Fault>, rng: &mut Rng) {
        match fault {
            Some(Fault::Refused) => {
                let failure = failure(OutcomeClass::Network).with_scope(Scope::Provider);
                return self.add(NOTICED_AFTER, Step::Failed(failure, false));
            }
            Some(Fault::ReusedConnectionDies) => {
                self.add(Duration::ZERO, Step::Connected);
                return self.add(NOTICED_AFTER, Step::Failed(failure(OutcomeClass::Network), true));
            }
            Some(Fault::ConnectHangs) => return,
            _ => {}
        }
        self.add(conduct.connect.draw(rng), Step::Connected);
        if fault == Some(Fault::StallsBeforeHeaders) {
            return;
        }
        let headers = conduct.headers.draw(rng);
        if let Some(failure) = refusal(conduct, &asked, fault) {
            return self.add(headers, Step::Failed(failure, false));
        }
        self.add(headers, Step::Headers);
        if asked.stream {
            self.stream(conduct, asked, fault, rng);
        } else {
            self.unary(conduct, fault, rng);
        }
    }

    fn unary(&mut self, conduct: &Conduct, fault: Option<Fault>, rng: &mut Rng) {
        let tokens = chance::between(conduct.tokens.0.into(), conduct.tokens.1.into(), rng);
        let mut took = conduct.first_token.draw(rng);
        for _ in 0..tokens {
            took += conduct.per_token.draw(rng);
        }
        let end = match fault {
            Some(Fault::StallsBeforeFirstToken { .. } | Fault::StallsMidway { .. }) => return,
            Some(Fault::CutsMidway) => Step::Failed(failure(OutcomeClass::Network), false),
            Some(Fault::ErrsMidway { class }) => Step::Failed(failure(class), false),
            Some(Fault::Garbage) => Step::Failed(failure(OutcomeClass::BadResponse), false),
            _ => Step::Finished,
        };
        self.add(took, end);
    }

    fn stream(&mut self, conduct: &Conduct, asked: Asked<'_>, fault: Option<Fault>, rng: &mut Rng) {
        if let Some(Fault::StallsBeforeFirstToken { pings }) = fault {
            return self.ping(pings);
        }
        if fault == Some(Fault::Garbage) {
            let failure = failure(OutcomeClass::BadResponse);
            return self.add(conduct.first_token.draw(rng), Step::Failed(failure, false));
        }
        let tokens = chance::between(conduct.tokens.0.max(1).into(), conduct.tokens.1.max(1).into(), rng);
        let middle = chance::between(1, tokens, rng);
        let pause_at = asked.pause.map(|pause| (chance::between(1, tokens, rng), pause));
        let unresumable = chance::happens(conduct.unresumable_permille, rng);
        let mut bytes = 0;
        for token in 1..=tokens {
            let wait = if token == 1 {
                conduct.first_token
            } else {
                conduct.per_token
            };
            bytes += chance::between(PIECE_BYTES.0, PIECE_BYTES.1, rng);
            self.add(wait.draw(rng), Step::Content(bytes));
            if token == 1 && unresumable {
                self.add(Duration::ZERO, Step::Unresumable);
            }
            if let Some((at, pause)) = pause_at
                && at == token
            {
                self.add(Duration::ZERO, Step::Paused);
                self.add(pause, Step::Resumed);
            }
            if token == middle {
                let end = match fault {
                    Some(Fault::StallsMidway { pings }) => return self.ping(pings),
                    Some(Fault::CutsMidway) => failure(OutcomeClass::StreamBroken),
                    Some(Fault::ErrsMidway { class }) => failure(class),
                    _ => continue,
                };
                return self.add(conduct.per_token.draw(rng), Step::Failed(end, false));
            }
        }
        self.add(conduct.per_token.draw(rng), Step::Finished);
    }

    fn ping(&mut self, every: Option<Duration>) {
        let Some(every) = every else { return };
        for _ in 0..PINGS_MAX {
            self.add(every, Step::Alive);
        }
    }

    fn add(&mut self, gap: Duration, step: Step) {
        self.steps.push_back((gap, step));
    }
}

impl Step {
    /// What policy is told.
    pub fn into_event(self, attempt: AttemptNo) -> AttemptEvent {
        match self {
            Step::Connected => AttemptEvent::Connected { attempt },
            Step::Headers => AttemptEvent::Headers { attempt },
            Step::Alive => AttemptEvent::Alive { attempt },
            Step::Content(bytes) => AttemptEvent::Content { attempt, bytes },
            Step::Unresumable => AttemptEvent::Unresumable {
                attempt,
                why: "tool call",
            },
            Step::Paused => AttemptEvent::Paused { attempt },
            Step::Resumed => AttemptEvent::Resumed { attempt },
            Step::Finished => AttemptEvent::Finished { attempt },
            Step::Failed(failure, _) if failure.class == OutcomeClass::Unsupported => AttemptEvent::Unsupported {
                attempt,
                message: failure.message,
            },
            Step::Failed(failure, reused_connection_died) => AttemptEvent::Failed {
                attempt,
                failure,
                reused_connection_died,
            },
        }
    }
}

fn strikes(row: &FaultRow, asked: &Asked<'_>, rng: &mut Rng) -> bool {
    // Drawn first, so that the credential does not shift the numbers of what follows.
    let drawn = chance::happens(row.permille, rng);
    let pooled = row.fault != Fault::ReusedConnectionDies || !asked.launch.fresh_connection;
    drawn && pooled && row.credential.is_none_or(|c| c == asked.launch.credential)
}

/// The bad answer that stands in place of a good status line.
fn refusal(conduct: &Conduct, asked: &Asked<'_>, fault: Option<Fault>) -> Option<Failure> {
    if let Some(retry_after) = asked.limited {
        return Some(Failure {
            retry_after,
            ..failure(OutcomeClass::RateLimited).with_status(429)
        });
    }
    if let Some(Fault::Answer {
        class,
        status,
        scope,
        retry_after,
    }) = fault
    {
        return Some(Failure {
            retry_after,
            ..failure(class).with_status(status).with_scope(scope)
        });
    }
    if let Some(class) = asked.bad {
        return Some(failure(class).with_status(400));
    }
    if asked.launch.continuation == Some(Continuation::Prefill) && conduct.refuses_prefill {
        return Some(failure(OutcomeClass::InvalidRequest).with_status(400));
    }
    let too_long = asked.too_long && asked.launch.continuation.is_none();
    too_long.then(|| failure(OutcomeClass::ContextTooLong).with_status(400))
}

fn failure(class: OutcomeClass) -> Failure {
    Failure::new(class, class.as_str())
}

#[cfg(test)]
mod tests {
    use policy::call::action::AttemptKind;
    use types::ids::{CredentialIx, TargetIx};

    use super::*;

    fn told(conduct: Conduct, stream: bool) -> String {
        let launch = Launch {
            attempt: AttemptNo(1),
            target: TargetIx(0),
            credential: CredentialIx(0),
            tier: 0,
            kind: AttemptKind::First,
            forced: false,
            degraded: types::features::Features::NONE,
            fresh_connection: false,
            continuation: None,
        };
        let asked = Asked {
            launch: &launch,
            stream,
            bad: None,
            too_long: false,
            limited: None,
            pause: Some(Duration::from_secs(1)),
        };
        let conduct = Conduct {
            tokens: (3, 3),
            ..conduct
        };
        let mut fate = Fate::draw(&conduct, asked, &mut Rng::new(4));
        let mut words = Vec::new();
        while let Some(step) = fate.step() {
            words.push(match step {
                Step::Failed(failure, _) => failure.class.as_str().to_owned(),
                Step::Content(_) => "content".to_owned(),
                step => format!("{step:?}").to_lowercase(),
            });
            if words.len() > 12 {
                words.push("…".to_owned());
                break;
            }
        }
        words.join(" ")
    }

    #[test]
    fn each_fault_tells_its_own_story() {
        let with = |fault| Conduct::healthy().with(1000, fault);
        let no_pings = None;
        for (conduct, stream, story) in [
            (
                Conduct::healthy(),
                true,
                "connected headers content content paused resumed content finished",
            ),
            (Conduct::healthy(), false, "connected headers finished"),
            (with(Fault::overloaded()), true, "connected overloaded"),
            (with(Fault::Refused), true, "network"),
            (with(Fault::ConnectHangs), true, ""),
            (with(Fault::ReusedConnectionDies), false, "connected network"),
            (with(Fault::StallsBeforeHeaders), false, "connected"),
            (
                with(Fault::StallsBeforeFirstToken { pings: no_pings }),
                true,
                "connected headers",
            ),
            (with(Fault::Garbage), true, "connected headers bad_response"),
            (with(Fault::CutsMidway), false, "connected headers network"),
        ] {
            assert_eq!(told(conduct, stream), story);
        }
        assert!(told(with(Fault::CutsMidway), true).ends_with("stream_broken"));
        let pings = Some(Duration::from_secs(1));
        assert!(told(with(Fault::StallsMidway { pings }), true).ends_with("alive …"));
    }
}
