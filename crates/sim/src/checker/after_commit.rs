//! Nothing is launched after the commit but a resume, by another target, where the route says so; nothing after the
//! end; and never two attempts at once.

use policy::call::action::{AttemptKind, Launch};
use policy::route::OnStreamFailure;
use types::ids::{AttemptNo, TargetIx};
use types::outcome::OutcomeClass;
use types::time::Mono;

use crate::checker::{Checker, Run, Violation};
use crate::trace::Seen;

/// See the module.
pub struct AfterCommit;

#[derive(Default, Clone)]
struct Call {
    stream: bool,
    out: Vec<(AttemptNo, TargetIx)>,
    /// The attempt that ended well, and when: its record may precede the commit of its answer.
    finished: Option<(AttemptNo, TargetIx, Mono)>,
    committed: Option<(AttemptNo, TargetIx)>,
    over: bool,
}

impl Checker for AfterCommit {
    fn name(&self) -> &'static str {
        "nothing after the commit but a resume"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut calls = vec![Call::default(); run.stories.len()];
        let resumes = run.scenario.route.on_stream_failure == OnStreamFailure::Resume;
        for entry in &run.trace.entries {
            let Some(number) = entry.call else { continue };
            let call = &mut calls[number as usize];
            let mut broken = |what: &str| {
                found.push(Violation::of(self, entry.at, Some(number), what.to_owned()));
            };
            match &entry.seen {
                Seen::Arrived { facts, .. } => call.stream = facts.stream,
                Seen::Launched(launched) => {
                    if let Some(what) = call.wrong(&launched.launch, resumes) {
                        broken(what);
                    }
                    let launch = &launched.launch;
                    call.out.push((launch.attempt, launch.target));
                }
                Seen::Committed { attempt } => {
                    let finished = call.finished.filter(|(_, _, at)| *at == entry.at);
                    let finished = finished.map(|(attempt, target, _)| (attempt, target));
                    let mut live = call.out.iter().copied().chain(finished);
                    let Some(live) = live.find(|(a, _)| a == attempt) else {
                        broken("an attempt was committed that was not out");
                        continue;
                    };
                    if call.committed.is_some() && !(call.stream && resumes) {
                        broken("two commits");
                    }
                    call.committed = Some(live);
                }
                Seen::Recorded { attempt, class, .. } => {
                    let done = call.out.iter().find(|(a, _)| a == attempt);
                    if *class == OutcomeClass::Success
                        && let Some((attempt, target)) = done
                    {
                        call.finished = Some((*attempt, *target, entry.at));
                    }
                    call.out.retain(|(a, _)| a != attempt);
                }
                Seen::Cancelled { attempt } => {
                    call.out.retain(|(a, _)| a != attempt);
                }
                Seen::Done | Seen::Failed { .. } | Seen::Left => {
                    if call.over {
                        broken("two ends");
                    }
                    call.over = true;
                }
                Seen::Refused { .. }
                | Seen::Unaffordable { .. }
                | Seen::Held { .. }
                | Seen::Paid { .. }
                | Seen::Reported { .. }
                | Seen::Settled { .. }
                | Seen::RetrySpent { .. }
                | Seen::Changed { .. }
                | Seen::Rests { .. } => {}
            }
        }
        found
    }
}

impl Call {
    fn wrong(&self, launch: &Launch, resumes: bool) -> Option<&'static str> {
        if self.over {
            return Some("an attempt was launched after the end");
        }
        if !self.out.is_empty() {
            return Some("two attempts at once");
        }
        match (self.committed, launch.kind) {
            (None, AttemptKind::Resume) => Some("a resume before the commit"),
            (None, _) => None,
            (Some(_), _) if !resumes || !self.stream => Some("an attempt was launched after the commit"),
            (Some((_, broke)), AttemptKind::Resume) => {
                (broke == launch.target).then_some("the target that broke the stream resumes it")
            }
            (Some(_), _) => Some("an attempt that is no resume was launched after the commit"),
        }
    }
}
