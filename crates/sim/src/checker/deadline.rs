//! Every unary call ends, and every stream commits or ends, by its deadline; a tier is left when its total is over; a
//! stream ends by `stream_max`.

use std::time::Duration;

use crate::checker::story::Story;
use crate::checker::{Checker, Run, Violation};

/// See the module.
pub struct Deadline;

impl Checker for Deadline {
    fn name(&self) -> &'static str {
        "answers by the deadline"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        for story in &run.stories {
            self.check_call(run, story, &mut found);
            self.check_totals(run, story, &mut found);
        }
        found
    }
}

impl Deadline {
    fn check_call(&self, run: &Run<'_>, story: &Story, found: &mut Vec<Violation>) {
        let route = &run.scenario.route;
        let mut broken = |at, what| found.push(Violation::of(self, at, Some(story.call), what));
        let Some((ended, _)) = story.end else {
            broken(story.arrived, "the call never ends".to_owned());
            return;
        };
        let allowed = [story.facts.deadline, story.facts.commit_within]
            .into_iter()
            .flatten()
            .fold(route.deadline, Duration::min);
        let bounded = match (story.facts.stream, story.committed) {
            (true, Some(committed)) => committed,
            (true, None) | (false, _) => ended,
        };
        if bounded > story.arrived + allowed {
            let took = bounded.since(story.arrived);
            broken(bounded, format!("{took:?}, and {allowed:?} were allowed"));
        }
        if let Some(committed) = story.committed
            && ended > committed + route.stream_max
        {
            let took = ended.since(committed);
            broken(ended, format!("it streamed for {took:?}"));
        }
    }

    fn check_totals(&self, run: &Run<'_>, story: &Story, found: &mut Vec<Violation>) {
        for (place, this) in story.tries.iter().enumerate() {
            let tier = this.launched.launch.tier as usize;
            let Some(total) = run.scenario.route.tiers[tier].timeouts.total else {
                continue;
            };
            let over = story.visit_start(place) + total;
            let committed = story.facts.stream && story.committed.is_some_and(|c| c <= over);
            if let Some(ended) = this.ended()
                && ended > over
                && !committed
                && this.launched.launch.continuation.is_none()
            {
                let what = format!("tier {tier} was visited beyond its total of {total:?}");
                found.push(Violation::of(self, ended, Some(story.call), what));
            }
        }
    }
}
