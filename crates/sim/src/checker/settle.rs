//! Every admitted attempt gives its permit back exactly once and is recorded exactly once.

use crate::checker::{Checker, Run, Violation};
use crate::trace::Seen;

/// See the module.
pub struct Settle;

impl Checker for Settle {
    fn name(&self) -> &'static str {
        "every attempt settles once"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        for entry in &run.trace.entries {
            if let Seen::Settled {
                attempt, known: false, ..
            } = entry.seen
            {
                let what = format!("attempt {} had no permit to give back", attempt.0);
                found.push(Violation::of(self, entry.at, entry.call, what));
            }
        }
        for story in &run.stories {
            for this in &story.tries {
                let (settled, recorded) = (this.settled.len(), this.recorded.len());
                if (settled, recorded) != (1, 1) {
                    let number = this.launched.launch.attempt.0;
                    let what = format!("attempt {number} settled {settled} times and was recorded {recorded} times");
                    found.push(Violation::of(self, this.at, Some(story.call), what));
                }
            }
        }
        found
    }
}
