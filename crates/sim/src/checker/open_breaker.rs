//! An open breaker gets only its probe. Excepted is the least bad target: once a call, and only when no other could be
//! tried.

use policy::breaker::{BreakerState, Transition};
use policy::call::action::AttemptKind;
use types::ids::AttemptNo;
use types::time::Mono;

use crate::checker::story::{Story, Try};
use crate::checker::{Checker, Run, Violation};
use crate::trace::{Launched, Seen, TargetSet};

/// See the module.
pub struct OpenBreaker;

/// A breaker that is not closed.
#[derive(Clone, Copy)]
struct Opening {
    /// Nothing before.
    until: Mono,
    /// The probe that is out.
    probe: Option<(u32, AttemptNo)>,
}

impl Checker for OpenBreaker {
    fn name(&self) -> &'static str {
        "an open breaker gets only its probe"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut openings: Vec<Option<Opening>> = vec![None; run.scenario.targets.len()];
        for entry in &run.trace.entries {
            match entry.seen {
                Seen::Changed { target, transition } => {
                    openings[target.0 as usize] = match transition {
                        Transition::Opened { until } => Some(Opening { until, probe: None }),
                        Transition::HalfOpened => Some(Opening {
                            until: entry.at,
                            probe: None,
                        }),
                        Transition::Closed => None,
                    };
                }
                Seen::Launched(launched) => {
                    let call = entry.call.unwrap_or_default();
                    let opening = openings[launched.launch.target.0 as usize].as_mut();
                    if let Some(what) = wrong(&launched, opening, call, entry.at) {
                        found.push(Violation::of(self, entry.at, entry.call, what.to_owned()));
                    }
                }
                Seen::Settled { attempt, target, .. } => {
                    if let Some(opening) = &mut openings[target.0 as usize]
                        && opening.probe == entry.call.map(|call| (call, attempt))
                    {
                        opening.probe = None;
                    }
                }
                _ => {}
            }
        }
        run.stories
            .iter()
            .for_each(|story| self.check_least_bad(story, &mut found));
        found
    }
}

fn wrong(launched: &Launched, opening: Option<&mut Opening>, call: u32, at: Mono) -> Option<&'static str> {
    let forced = launched.launch.forced;
    if launched.provider_open && !forced {
        return Some("a provider's open breaker was passed");
    }
    let opening = opening?;
    if at < opening.until {
        return (!forced).then_some("an open breaker was passed");
    }
    let second = opening.probe.is_some();
    if !second {
        opening.probe = Some((call, launched.launch.attempt));
    }
    (second && !forced).then_some("a second probe")
}

impl OpenBreaker {
    fn check_least_bad(&self, story: &Story, found: &mut Vec<Violation>) {
        let mut tried = TargetSet::default();
        let mut past_open = 0;
        for (before, this) in story.pairs() {
            if this.passes_by_force() && !this.is_free(before) {
                past_open += 1;
                let others = this.launched.open_to.without(tried).without(story.refused);
                let mut broken = |what: String| {
                    found.push(Violation::of(self, this.at, Some(story.call), what));
                };
                if past_open > 1 {
                    broken("more than one attempt past an open breaker".to_owned());
                }
                if !others.is_empty() {
                    broken(format!("an open breaker was passed while {others:?} could be tried"));
                }
            }
            tried = tried.with(this.target());
        }
    }
}

impl Try {
    /// It went where nothing but force leads. The retry that ends a rest by the target's own hint is none: it has
    /// waited for as long as it was told.
    fn passes_by_force(&self) -> bool {
        let launched = &self.launched;
        let waited = launched.launch.kind == AttemptKind::Retry
            && launched.resting
            && launched.breaker != BreakerState::Open
            && !launched.provider_open;
        launched.launch.forced && !waited
    }
}
