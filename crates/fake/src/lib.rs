//! A fake LLM provider that speaks the providers' dialects, issues the clouds' tokens, and fails on order.
//!
//! Read first: [`Fake`], then [`behaviour::Behaviour`]. It shares no code with the gateway that is tested against it, so that a
//! misreading of a wire format on one side cannot be cancelled by the same misreading on the other. All waiting is on tokio's
//! clock: a paused clock moves it. It decides nothing by the wall clock.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod azure;
pub mod behaviour;
mod bench;
mod control;
mod delivery;
pub mod dialect;
pub mod duration;
mod embed;
pub mod error_rows;
pub mod errors;
mod event;
mod exchange;
pub mod log;
mod models;
pub mod named;
mod prompt;
mod provider_headers;
mod random;
mod resource;
pub mod scenario;
mod schema;
pub mod script;
mod server;
mod sigv4;
mod tokens;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{bench::Prepared, resource::Shelf};

pub use crate::{
    behaviour::{Behaviour, BehaviourError},
    dialect::Dialect,
    log::{Log, LogEntry, Outcome},
    scenario::Scenario,
    script::Script,
};

/// A fake provider: its script, its log and its seed. A clone is the same fake.
#[derive(Debug, Clone)]
pub struct Fake {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    script: Script,
    log: Log,
    seed: u64,
    tokens: tokens::Tokens,
    bench: Option<Prepared>,
    shelf: Shelf,
    scenario: Mutex<Option<JoinHandle<()>>>,
}

impl Fake {
    /// A healthy fake with a fixed seed.
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A healthy fake; texts, ids and spreads follow from the seed.
    pub fn with_seed(seed: u64) -> Self {
        Self::build(seed, true, None)
    }

    /// A fake to measure with: answers with a fixed body or a fixed stream of 20 chunks, each flushed on its own; no log.
    /// A script, once set, is obeyed.
    pub fn bench() -> Self {
        Self::build(0, false, Some(Prepared::new()))
    }

    /// The same fake, which from now on logs nothing.
    pub fn without_log(self) -> Self {
        self.state.log.switch_off();
        self
    }

    /// Which behaviour the next requests get.
    pub fn script(&self) -> &Script {
        &self.state.script
    }

    /// What it was sent, and how each answer ended.
    pub fn log(&self) -> &Log {
        &self.state.log
    }

    /// From now on the token endpoints issue tokens that live so long by tokio's clock; `None`: an hour, or what a request asks for.
    pub fn set_token_lifetime(&self, lifetime: Option<Duration>) {
        self.state.tokens.set_lifetime(lifetime);
    }

    /// The public key (RSAPublicKey of PKCS #1, in DER) that the assertions of Google's service accounts must be signed with.
    /// `None`, as in the beginning: any signature will do.
    pub fn set_google_key(&self, key: Option<Vec<u8>>) {
        self.state.tokens.set_google_key(key);
    }

    /// Plays a scenario on the script, to its end or, when it repeats, for ever. Nothing happens unless the future is awaited.
    pub async fn play(&self, scenario: Scenario) {
        scenario.play(self.script()).await;
    }

    /// Plays a scenario in the background, in place of the one that is playing.
    pub(crate) async fn start_scenario(&self, scenario: Scenario) {
        self.stop_scenario().await;
        // Owned by the state; `serve` stops and awaits it when it ends.
        let fake = self.clone();
        let task = tokio::spawn(async move { fake.play(scenario).await });
        *self.state.scenario.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Stops the scenario that plays in the background; the script stays as it is.
    pub(crate) async fn stop_scenario(&self) {
        let task = self
            .state
            .scenario
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.abort();
            // Aborted: the error says so.
            let _ = task.await;
        }
    }

    fn build(seed: u64, log: bool, bench: Option<Prepared>) -> Self {
        let state = State {
            script: Script::default(),
            log: Log::new(log),
            seed,
            tokens: tokens::Tokens::default(),
            bench,
            shelf: Shelf::default(),
            scenario: Mutex::new(None),
        };
        Self { state: Arc::new(state) }
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}
