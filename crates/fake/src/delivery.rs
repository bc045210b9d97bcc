//! Delivery: how an answer's bytes go out and where they stop. `plan` decides, [`Delivery`] (the response body) acts.
//!
//! Every piece is flushed on its own: after each one the body says "pending" once, so that hyper writes what it has.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::{
    behaviour::{Behaviour, CutHow, Silence},
    event::{Event, EventKind, Framing},
    log::{Outcome, Recording},
    random::Random,
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    Send {
        bytes: Bytes,
        content: bool,
    },
    /// Say nothing more, ever; the connection stays open.
    Hang,
    /// Close the connection inside the body.
    Reset,
}

/// What to do, and what the log says when all of it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: VecDeque<Step>,
    pub(crate) outcome: Outcome,
    /// The length that the headers promise, for unary answers.
    pub(crate) length: Option<u64>,
}

/// The plan of a stream: its events, with the behaviour's waits and faults. `error_event` is the JSON of the in-stream error.
pub(crate) fn stream(
    events: Vec<Event>,
    framing: Framing,
    behaviour: &Behaviour,
    error_event: Option<Event>,
    random: &mut Random,
) -> Plan {
    let mut out = Writer {
        steps: VecDeque::new(),
        framing,
        split: behaviour.split,
        sent: 0,
    };
    let done = |out: Writer, outcome| Plan {
        steps: out.steps,
        outcome,
        length: None,
    };
    let error = behaviour.stream_error.as_ref().zip(error_event);
    if let Some((at, event)) = &error
        && at.first
    {
        out.error(event);
        return done(out, Outcome::Answered);
    }
    let total = events.iter().filter(|event| event.kind == EventKind::Content).count();
    let mut content = 0;
    let mut events = events.into_iter().peekable();
    loop {
        // Everything that is due "after N content events" happens ahead of the next content, or of the finish when there is no more.
        let at_boundary = events
            .peek()
            .is_none_or(|next| next.kind != EventKind::Structure && next.kind != EventKind::Raw);
        if at_boundary {
            if let Some((at, event)) = &error
                && (at.after == content || (at.after > total && content == total))
            {
                out.error(event);
                return done(out, Outcome::Answered);
            }
            match behaviour.silence {
                Some(Silence::BeforeFirstToken) if content == 0 => out.steps.push_back(Step::Hang),
                Some(Silence::After(after)) if after == content => out.steps.push_back(Step::Hang),
                _ => {}
            }
            if let Some(cut) = behaviour.cut {
                // A cut that lies beyond the text cuts ahead of the finish, so that it is never without effect.
                let due = cut.after == content || (cut.after > total && content == total);
                match cut.how {
                    CutHow::Reset if due => {
                        out.steps.push_back(Step::Reset);
                        return done(out, Outcome::Reset);
                    }
                    CutHow::Eof if due => return done(out, Outcome::Truncated),
                    _ => {}
                }
            }
        }
        let Some(mut event) = events.next() else { break };
        let how = behaviour.cut.map(|cut| cut.how);
        let ends = matches!(event.kind, EventKind::Finish | EventKind::Terminal);
        let left_out = match how {
            Some(CutHow::NoTerminator) => ends,
            Some(CutHow::NoDone) => event.kind == EventKind::Terminal,
            _ => false,
        };
        if left_out {
            continue;
        }
        if event.kind == EventKind::Content {
            let wait = if content == 0 {
                behaviour.first_token
            } else {
                behaviour.interval
            };
            if let Some(wait) = wait {
                out.steps.push_back(Step::Wait(wait.draw(random)));
            }
            if behaviour.malformed.is_some_and(|malformed| malformed.at == content) {
                event = event.broken();
            }
            content += 1;
        }
        out.event(&event);
    }
    let cut = behaviour
        .cut
        .is_some_and(|cut| matches!(cut.how, CutHow::NoTerminator | CutHow::NoDone));
    done(out, if cut { Outcome::Truncated } else { Outcome::Answered })
}

struct Writer {
    steps: VecDeque<Step>,
    framing: Framing,
    split: Option<usize>,
    sent: usize,
}

impl Writer {
    fn event(&mut self, event: &Event) {
        let bytes = self.framing.frame(event, self.sent == 0);
        if bytes.is_empty() {
            return;
        }
        self.sent += 1;
        send(&mut self.steps, bytes, event.kind == EventKind::Content, self.split);
    }

    /// An error is the last event; an array is closed after it.
    fn error(&mut self, event: &Event) {
        self.event(event);
        if self.framing == Framing::Array {
            self.event(&Event::new(EventKind::Terminal, ""));
        }
    }
}

fn send(steps: &mut VecDeque<Step>, mut bytes: Bytes, content: bool, split: Option<usize>) {
    let most = split.unwrap_or(usize::MAX).max(1);
    while bytes.len() > most {
        let piece = bytes.split_to(most);
        steps.push_back(Step::Send {
            bytes: piece,
            content: false,
        });
    }
    steps.push_back(Step::Send { bytes, content });
}

/// The waits of a unary answer ahead of its status line: a provider says nothing until the whole text is there.
pub(crate) fn unary_wait(behaviour: &Behaviour, content_events: usize, random: &mut Random) -> Duration {
    let mut wait = behaviour.first_token.map_or(Duration::ZERO, |delay| delay.draw(random));
    if let Some(interval) = behaviour.interval {
        for _ in 1..content_events {
            wait += interval.draw(random);
        }
    }
    wait
}

/// The plan of a unary body, with the behaviour's faults.
pub(crate) fn unary(mut body: Bytes, behaviour: &Behaviour) -> Plan {
    let half = body.len() / 2;
    let whole = body.len() as u64;
    if behaviour.malformed.is_some() {
        body.truncate(body.len() * 2 / 3);
    }
    let mut steps = VecDeque::new();
    let (outcome, length) = match behaviour.cut.map(|cut| cut.how) {
        Some(CutHow::Reset) => {
            body.truncate(half);
            (Outcome::Reset, whole)
        }
        Some(CutHow::Eof) => {
            body.truncate(half);
            (Outcome::Truncated, half as u64)
        }
        _ => (Outcome::Answered, body.len() as u64),
    };
    send(&mut steps, body, outcome == Outcome::Answered, behaviour.split);
    if outcome == Outcome::Reset {
        steps.push_back(Step::Reset);
    }
    Plan {
        steps,
        outcome,
        length: Some(length),
    }
}

/// A response body.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Bytes at once, already recorded.
    Whole(Option<Bytes>),
    /// Steps with waits and faults.
    Steps(Box<Steps>),
    /// Prepared pieces, each flushed on its own, nothing recorded.
    Pieces {
        pieces: Arc<[Bytes]>,
        next: usize,
        flushed: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Steps {
    plan: Plan,
    recording: Recording,
    sleep: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    left: Option<u64>,
}

impl Delivery {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Delivery::Whole((!bytes.is_empty()).then_some(bytes))
    }

    pub(crate) fn pieces(pieces: Arc<[Bytes]>) -> Self {
        Delivery::Pieces {
            pieces,
            next: 0,
            flushed: true,
        }
    }

    pub(crate) fn steps(plan: Plan, recording: Recording) -> Self {
        let left = plan.length;
        Delivery::Steps(Box::new(Steps {
            plan,
            recording,
            sleep: None,
            flushed: true,
            left,
        }))
    }
}

/// The connection is closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("closed the connection as told")]
pub(crate) struct Hangup;

impl Body for Delivery {
    type Data = Bytes;
    type Error = Hangup;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Hangup>>> {
        match self.get_mut() {
            Delivery::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Delivery::Pieces { pieces, next, flushed } => {
                if !*flushed {
                    *flushed = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let piece = pieces.get(*next).cloned();
                *next += 1;
                *flushed = false;
                Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
            }
            Delivery::Steps(steps) => steps.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Delivery::Whole(bytes) => bytes.is_none(),
            Delivery::Steps(steps) => steps.left == Some(0),
            Delivery::Pieces { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Delivery::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Delivery::Steps(steps) => steps.left.map_or_else(SizeHint::default, SizeHint::with_exact),
            Delivery::Pieces { .. } => SizeHint::default(),
        }
    }
}

impl Steps {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Hangup>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            if !self.flushed {
                self.flushed = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.plan.steps.pop_front() {
                Some(Step::Wait(wait)) => self.sleep = Some(Box::pin(sleep(wait))),
                Some(Step::Send { bytes, content }) => {
                    if content {
                        self.recording.content_event();
                    }
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(bytes.len() as u64);
                    }
                    // A body of known length is not asked again after its last byte, so its end is written now.
                    if self.left == Some(0) {
                        self.recording.finish(self.plan.outcome);
                    }
                    self.flushed = false;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                // Nobody wakes it but the client's leaving, which drops the body.
                Some(Step::Hang) => {
                    self.plan.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Reset) => {
                    self.recording.finish(Outcome::Reset);
                    return Poll::Ready(Some(Err(Hangup)));
                }
                None => {
                    self.recording.finish(self.plan.outcome);
                    return Poll::Ready(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of one structure event, four contents, a finish and a terminal, told as letters.
    fn told(behaviour: &str) -> String {
        let kinds = [
            EventKind::Structure,
            EventKind::Content,
            EventKind::Content,
            EventKind::Content,
            EventKind::Content,
            EventKind::Finish,
            EventKind::Terminal,
        ];
        let names = ["s", "1", "2", "3", "4", "f", "t"];
        let events = kinds
            .iter()
            .zip(names)
            .map(|(kind, name)| Event::new(*kind, format!("{name}{name}{name}")))
            .collect();
        let behaviour = if behaviour.starts_with('{') {
            Behaviour::from_json(behaviour).unwrap()
        } else {
            Behaviour::named(behaviour)
        };
        let error = Some(Event::new(EventKind::Structure, "err"));
        let plan = stream(events, Framing::Sse, &behaviour, error, &mut Random::new(1));
        let steps = plan.steps.iter().map(|step| match step {
            Step::Wait(wait) => format!("+{}", wait.as_millis()),
            Step::Send { bytes, .. } => String::from_utf8_lossy(bytes).trim().replace("data: ", ""),
            Step::Hang => "hang".into(),
            Step::Reset => "reset".into(),
        });
        format!("{} -> {}", steps.collect::<Vec<_>>().join(" "), plan.outcome)
    }

    #[test]
    fn waits_and_faults_fall_where_they_are_told() {
        let rows = [
            ("ok", "sss 111 222 333 444 fff ttt -> answered"),
            ("cut-0", "sss reset -> reset"),
            ("cut-2", "sss 111 222 reset -> reset"),
            ("cut-4", "sss 111 222 333 444 reset -> reset"),
            ("cut-99", "sss 111 222 333 444 reset -> reset"),
            ("eof-3", "sss 111 222 333 -> truncated"),
            ("no-terminator", "sss 111 222 333 444 -> truncated"),
            ("no-done", "sss 111 222 333 444 fff -> truncated"),
            ("malformed-1", "sss 111 22 333 444 fff ttt -> answered"),
            ("error-first", "err -> answered"),
            ("error-0", "sss err -> answered"),
            ("error-2", "sss 111 222 err -> answered"),
            ("error-99", "sss 111 222 333 444 err -> answered"),
            ("stall-2", "sss 111 222 hang 333 444 fff ttt -> answered"),
            ("silence-first-token", "sss hang 111 222 333 444 fff ttt -> answered"),
            (
                r#"{"first_token":"2s","interval":"5ms"}"#,
                "sss +2000 111 +5 222 +5 333 +5 444 fff ttt -> answered",
            ),
        ];
        for (behaviour, wanted) in rows {
            assert_eq!(told(behaviour), wanted, "{behaviour}");
        }
    }

    #[test]
    fn a_unary_body_is_cut_in_half_against_its_promise_or_in_agreement_with_it() {
        let rows = [
            ("ok", 12, 12, false),
            ("cut-0", 6, 12, true),
            ("eof-0", 6, 6, false),
            ("malformed-0", 8, 8, false),
        ];
        for (name, sent, length, reset) in rows {
            let plan = unary(Bytes::from_static(b"{\"a\":\"bcde\"}"), &Behaviour::named(name));
            let Some(Step::Send { bytes, .. }) = plan.steps.front() else {
                panic!("{name}")
            };
            assert_eq!(
                (bytes.len(), plan.length, plan.steps.back() == Some(&Step::Reset)),
                (sent, Some(length), reset),
                "{name}"
            );
        }
    }
}
