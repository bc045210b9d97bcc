//! Checkers: the promises of the house, each one read off a run's trace.
//!
//! A checker trusts what was seen, never what a machine says of itself, and states its promise in its own words rather
//! than by asking policy. Each one has a mutant that it must catch ([`crate::mutant`]).

pub mod after_commit;
pub mod blame;
pub mod caps;
pub mod dead_target;
pub mod deadline;
pub mod fallback;
pub mod money;
pub mod open_breaker;
pub mod retry_budget;
pub mod settle;
pub mod starvation;
pub mod story;

use std::fmt;

use types::time::Mono;

use crate::checker::story::Story;
use crate::scenario::Scenario;
use crate::trace::{START, Trace};

/// A promise that can be checked on any run.
pub trait Checker: Sync {
    /// The promise in a few words.
    fn name(&self) -> &'static str;

    /// Where the run breaks it.
    fn check(&self, run: &Run<'_>) -> Vec<Violation>;
}

/// A run with its calls told one by one.
#[derive(Debug)]
pub struct Run<'a> {
    /// What was played.
    pub scenario: &'a Scenario,
    /// What was seen.
    pub trace: &'a Trace,
    /// The same by call.
    pub stories: Vec<Story>,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub checker: &'static str,
    /// When.
    pub at: Mono,
    /// By which call, where it was one.
    pub call: Option<u32>,
    /// How.
    pub what: String,
}

/// All checkers.
pub const ALL: &[&dyn Checker] = &[
    &deadline::Deadline,
    &after_commit::AfterCommit,
    &retry_budget::RetryBudget,
    &open_breaker::OpenBreaker,
    &starvation::Starvation,
    &settle::Settle,
    &blame::Blame,
    &caps::Caps,
    &dead_target::DeadTarget,
    &fallback::Fallback,
    &money::WithinLimit,
    &money::ReserveForCritical,
    &money::ExhaustedLaunchesNothing,
];

/// Everything that a run breaks.
pub fn check_all(scenario: &Scenario, trace: &Trace) -> Vec<Violation> {
    let run = Run::new(scenario, trace);
    ALL.iter().flat_map(|checker| checker.check(&run)).collect()
}

impl<'a> Run<'a> {
    /// Tells the calls of a trace.
    pub fn new(scenario: &'a Scenario, trace: &'a Trace) -> Run<'a> {
        Run {
            scenario,
            trace,
            stories: Story::all(trace),
        }
    }
}

impl Violation {
    fn of(checker: &dyn Checker, at: Mono, call: Option<u32>, what: String) -> Violation {
        Violation {
            checker: checker.name(),
            at,
            call,
            what,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.checker, self.at.since(START.mono))?;
        if let Some(call) = self.call {
            write!(f, ", call {call}")?;
        }
        write!(f, ": {}", self.what)
    }
}
