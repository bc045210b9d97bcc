//! Blame is attributed. A bad request is never shown to a second target and never counts against a breaker; nor does
//! what is nobody's fault or the model's; what is the target's fault does.

use policy::breaker::Verdict;
use policy::route::OnContentFilter;
use types::outcome::{OutcomeClass, TimeoutKind};

use crate::checker::story::{Story, Try};
use crate::checker::{Checker, Run, Violation};

/// See the module.
pub struct Blame;

/// What a breaker may be told of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Targets,
    Limits,
    Nobodys,
    None,
}

impl Checker for Blame {
    fn name(&self) -> &'static str {
        "blame is attributed"
    }

    fn check(&self, run: &Run<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        let filter = run.scenario.route.on_content_filter;
        for story in &run.stories {
            let mut broken = |this: &Try, what: String| {
                found.push(Violation::of(self, this.at, Some(story.call), what));
            };
            for (place, this) in story.tries.iter().enumerate() {
                if let Some(class) = bad_request(this, filter)
                    && place + 1 < story.tries.len()
                {
                    broken(this, format!("{} was shown to another target", class.as_str()));
                }
                if let Some(what) = wrong_verdict(story, this) {
                    broken(this, what);
                }
            }
        }
        found
    }
}

fn bad_request(this: &Try, filter: OnContentFilter) -> Option<OutcomeClass> {
    // The request of a continuation is ours, not the client's.
    if this.launched.launch.continuation.is_some() {
        return None;
    }
    this.reported.map(|(_, class, _)| class).filter(|class| match class {
        OutcomeClass::InvalidRequest => true,
        OutcomeClass::ContentFiltered => filter == OnContentFilter::Stop,
        _ => false,
    })
}

fn wrong_verdict(story: &Story, this: &Try) -> Option<String> {
    let recorded = this.recorded.first()?;
    let (at, class, died) = this.reported.unwrap_or((recorded.at, recorded.class, false));
    let fault = match class {
        OutcomeClass::Success => Fault::None,
        OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::BadResponse
        | OutcomeClass::StreamBroken => Fault::Targets,
        // Whether it was free of charge is seen by what followed; either is right here.
        OutcomeClass::Network if died => return None,
        OutcomeClass::Network => Fault::Targets,
        OutcomeClass::Timeout => match recorded.timeout {
            Some(TimeoutKind::Deadline) => Fault::Nobodys,
            // Who began late in a tier's total may be spared.
            Some(TimeoutKind::Total) => return None,
            Some(TimeoutKind::Connect | TimeoutKind::FirstToken | TimeoutKind::Idle) | None => Fault::Targets,
        },
        OutcomeClass::RateLimited => Fault::Limits,
        OutcomeClass::QuotaExhausted
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::MalformedOutput
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => Fault::Nobodys,
    };
    // What a breaker was told before the end (first token late, five seconds of content) is another matter.
    let (settled, verdict) = *this.settled.first()?;
    let right = match (fault, verdict) {
        (Fault::Targets, Verdict::Failure) | (Fault::Limits, Verdict::RateLimited) => true,
        (Fault::Nobodys, Verdict::Neutral) | (Fault::None, Verdict::Success) => true,
        _ => settled < at,
    };
    let target = story.call;
    (!right).then(|| format!("{} of call {target} was settled as {verdict:?}", class.as_str()))
}
