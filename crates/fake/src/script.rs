//! Script: which behaviour the next request for a model gets.
//!
//! Rules for an exact model win over those for a prefix (`gpt-*`; the longest wins), those over `*`. A rule's steps are
//! used up one a request, then its `then` holds for ever. A change takes effect with the next request.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;

use crate::behaviour::Behaviour;

/// The rules of a fake. Reached through `Fake::script`.
#[derive(Debug, Default)]
pub struct Script {
    rules: Mutex<Vec<Rule>>,
    // Lets the fast path skip the lock while nothing is scripted.
    any: AtomicBool,
}

#[derive(Debug)]
struct Rule {
    model: String,
    steps: VecDeque<Arc<Behaviour>>,
    then: Arc<Behaviour>,
    since: Instant,
}

/// One rule as it is written: what `PUT /fake/script` takes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptRule {
    /// A model's name, a prefix ending in `*`, or `*`.
    #[serde(default = "ScriptRule::every_model")]
    pub model: String,
    /// Behaviours of the next requests, one each.
    #[serde(default)]
    pub steps: Vec<Behaviour>,
    /// Behaviour of all requests after them.
    #[serde(default)]
    pub then: Behaviour,
}

impl ScriptRule {
    pub(crate) fn every_model() -> String {
        "*".into()
    }
}

/// A behaviour and how long its rule has been in force.
pub(crate) type Chosen = (Arc<Behaviour>, Duration);

impl Script {
    /// Replaces the rule for `model`: a name, a prefix ending in `*`, or `*` for all.
    pub fn set(&self, model: &str, steps: Vec<Behaviour>, then: Behaviour) {
        let rule = Rule {
            model: model.to_owned(),
            steps: steps.into_iter().map(Arc::new).collect(),
            then: Arc::new(then),
            since: Instant::now(),
        };
        let mut rules = self.lock();
        rules.retain(|old| old.model != rule.model);
        rules.push(rule);
        self.any.store(true, Ordering::Release);
    }

    /// From now on every request for `model` behaves so.
    pub fn always(&self, model: &str, then: Behaviour) {
        self.set(model, Vec::new(), then);
    }

    /// Forgets all rules: healthy again.
    pub fn clear(&self) {
        self.lock().clear();
        self.any.store(false, Ordering::Release);
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// The behaviour of a request for `model`; a step is used up.
    pub(crate) fn next(&self, model: &str) -> Option<Chosen> {
        self.choose(model, |rule| rule.steps.pop_front())
    }

    /// The behaviour that the next request for `model` would get; nothing is used up.
    pub(crate) fn peek(&self, model: &str) -> Option<Chosen> {
        self.choose(model, |rule| rule.steps.front().cloned())
    }

    fn choose(&self, model: &str, step: impl FnOnce(&mut Rule) -> Option<Arc<Behaviour>>) -> Option<Chosen> {
        if self.is_empty() {
            return None;
        }
        let mut rules = self.lock();
        let rule = rules
            .iter_mut()
            .filter(|rule| rule.covers(model))
            .max_by_key(|rule| rule.precedence())?;
        let behaviour = step(rule).unwrap_or_else(|| rule.then.clone());
        Some((behaviour, rule.since.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn covers(&self, model: &str) -> bool {
        match self.model.strip_suffix('*') {
            // Token endpoints are no models: a rule for all models leaves them alone.
            Some("") => !model.starts_with("token:"),
            Some(prefix) => model.starts_with(prefix),
            None => self.model == model,
        }
    }

    fn precedence(&self) -> (bool, usize) {
        (!self.model.ends_with('*'), self.model.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_used_up_one_a_request_and_then_the_rest_holds() {
        let script = Script::default();
        script.set(
            "*",
            vec![Behaviour::named("500"), Behaviour::named("503")],
            Behaviour::ok(),
        );
        let labels: Vec<_> = (0..4).map(|_| script.next("m").unwrap().0.label()).collect();
        assert_eq!(labels, ["500", "503", "ok", "ok"]);
    }

    #[test]
    fn an_exact_model_wins_over_the_longest_prefix_over_the_star() {
        let script = Script::default();
        for (model, name) in [("*", "500"), ("gpt-*", "502"), ("gpt-4*", "503"), ("gpt-4o", "529")] {
            script.always(model, Behaviour::named(name));
        }
        for (model, name) in [
            ("claude", "500"),
            ("gpt-5", "502"),
            ("gpt-4o-mini", "503"),
            ("gpt-4o", "529"),
        ] {
            assert_eq!(script.peek(model).unwrap().0.label(), name, "{model}");
        }
        script.clear();
        assert!(script.next("gpt-4o").is_none());
    }
}
