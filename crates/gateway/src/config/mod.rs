//! The configuration: read, expanded, judged, and made into the [`topology::Topology`] that the engine reads.
//!
//! One file a section, with its type, its defaults and its judgement. Loading is a function of the text and an
//! [`env::Env`]; nothing here opens a socket. Start at [`load`].

pub mod admin;
pub mod assemble;
pub mod aws;
pub mod breaker;
pub mod budgets;
pub mod cache;
pub mod catalog;
pub mod checks;
pub mod credential;
pub mod credentials;
pub mod decode;
pub mod defaults;
pub mod entries;
pub mod env;
pub mod environment;
pub mod expand;
pub mod fetch;
pub mod glob;
pub mod lint;
pub mod listen;
pub mod log;
pub mod model;
pub mod nearest;
pub mod node;
pub mod notice;
pub mod otlp;
pub mod passthrough;
pub mod place;
pub mod price;
pub mod prompt;
pub mod provider;
pub mod quirks;
pub mod record;
pub mod rest;
pub mod route;
pub mod rows;
pub mod schema;
pub mod secret;
pub mod server;
pub mod settings;
pub mod shared;
pub mod store;
pub mod topology;
pub mod units;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::admin::Admin;
use crate::config::breaker::Breaker;
use crate::config::budgets::Budget;
use crate::config::cache::Cache;
use crate::config::checks::Checks;
use crate::config::entries::Entries;
use crate::config::env::Env;
use crate::config::fetch::Fetch;
use crate::config::log::Log;
use crate::config::node::Node;
use crate::config::notice::{ConfigErrors, Notice};
use crate::config::otlp::Otlp;
use crate::config::passthrough::Passthrough;
use crate::config::place::Place;
use crate::config::provider::Provider;
use crate::config::record::Record;
use crate::config::rest::Rest;
use crate::config::route::Route;
use crate::config::server::Server;
use crate::config::settings::Settings;
use crate::config::shared::Shared;
use crate::config::store::Store;
use crate::config::topology::Topology;

/// A configuration as written, with the defaults where nothing is written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listener that callers talk to, and its limits.
    pub server: Server,
    /// The listener of operators: metrics, health in detail.
    pub admin: Admin,
    /// Where keys, the ledger and records are kept.
    pub store: Store,
    /// Where instances agree on spend, limits, breakers and cached answers.
    pub shared: Shared,
    /// What is remembered of calls.
    pub record: Record,
    /// The collector that traces and metrics are sent to.
    pub otlp: Otlp,
    /// What is written about calls and states.
    pub log: Log,
    /// How often a sick target is asked whether it is well again.
    pub checks: Checks,
    /// When a target is no longer tried, and for how long.
    pub breaker: Breaker,
    /// How long a target or credential rests after it was told to.
    pub rest: Rest,
    /// How calls are served where a route says nothing else.
    pub defaults: Settings,
    /// Answers that are kept and given again.
    pub cache: Cache,
    /// Endpoints that go to one provider as they came.
    pub passthrough: Passthrough,
    /// Images and documents that callers name by URL.
    pub fetch: Fetch,
    /// Who serves. Known names need nothing but a key.
    pub providers: Entries<Provider>,
    /// The names that callers put in `model`, each with its ordered tiers.
    pub routes: Entries<Route>,
    /// Money for a window of time, by name.
    pub budgets: Entries<Budget>,
}

/// A sound configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As written.
    pub config: Config,
    /// What is doubtful about it, in the order of the file.
    pub warnings: Vec<Notice>,
    /// As the engine reads it.
    pub topology: Topology,
}

/// Reads a configuration: YAML, `${…}` inside its strings, every section's judgement. All errors are told at once.
pub fn load(text: &str, env: &dyn Env) -> Result<Loaded, ConfigErrors> {
    let mut root = Node::parse(text)?;
    let mut errors = expand::expand(&mut root, env);
    let config = match decode::decode::<Config>(&root) {
        Ok(config) => config,
        Err(found) => {
            // What could not be expanded is often no duration or size either: told once is enough.
            let known: Vec<_> = errors.iter().map(|e| (e.line, e.column)).collect();
            errors.extend(
                found
                    .into_iter()
                    .filter(|e| e.line.is_none() || !known.contains(&(e.line, e.column))),
            );
            return Err(refused(errors, Vec::new()));
        }
    };
    finish(config, &root, env, errors)
}

/// Of a configuration the sections that say where the gateway and its stores are, for commands that call nobody: what is wrong
/// elsewhere, or not set in this environment, is not their business. Tokens that are not set are left out.
pub fn load_house(text: &str, env: &dyn Env) -> Result<Config, ConfigErrors> {
    const SECTIONS: [&str; 4] = ["server", "admin", "store", "shared"];
    let mut root = Node::parse(text)?;
    if !matches!(root.kind, node::Kind::Map(_)) {
        return Ok(Config::default());
    }
    root.retain(|key| SECTIONS.contains(&key));
    let mut expanded = root.clone();
    let mut errors = expand::expand(&mut expanded, env);
    if errors.iter().any(|error| error.path.starts_with("admin.tokens")) {
        if let node::Kind::Map(sections) = &mut root.kind {
            let admin = sections.iter_mut().filter(|entry| entry.key == "admin");
            admin.for_each(|entry| entry.value.retain(|key| key != "tokens"));
        }
        expanded = root.clone();
        errors = expand::expand(&mut expanded, env);
    }
    match decode::decode::<Config>(&expanded) {
        Ok(config) if errors.is_empty() => Ok(config),
        Ok(_) => Err(refused(errors, Vec::new())),
        Err(found) => {
            errors.extend(found);
            Err(refused(errors, Vec::new()))
        }
    }
}

/// A configuration without a file: providers from the keys found in the environment, and a route `default` that every bare model
/// name takes. The warnings say what was made.
pub fn from_environment(env: &dyn Env) -> Result<Loaded, ConfigErrors> {
    environment::from_environment(env)
}

fn finish(config: Config, root: &Node, env: &dyn Env, mut errors: Vec<Notice>) -> Result<Loaded, ConfigErrors> {
    let mut warnings = Vec::new();
    config.server.validate(root, &mut errors);
    config.admin.validate(config.server.listen, root, &mut errors);
    config.checks.validate(root, &mut errors);
    config.store.validate(root, &mut errors);
    config.shared.validate(root, &mut errors);
    config.record.validate(root, &mut errors);
    config.otlp.validate(root, &mut errors);
    config.fetch.validate(root, &mut errors);
    config.breaker.validate(root, &mut errors);
    config.rest.validate(root, &mut errors);
    budgets::validate(&config, root, &mut errors);
    config
        .cache
        .validate(&Place::root().key("cache"), true, &config.providers, root, &mut errors);
    config
        .defaults
        .validate(&Place::root().key("defaults"), root, &mut errors);
    let topology = assemble::assemble(&config, root, env, &mut errors, &mut warnings);
    if !errors.is_empty() {
        return Err(refused(errors, warnings));
    }
    warnings.extend(lint::lint(&config, &topology, root, &env.today()));
    sort(&mut warnings);
    Ok(Loaded {
        config,
        warnings,
        topology,
    })
}

fn refused(mut errors: Vec<Notice>, mut warnings: Vec<Notice>) -> ConfigErrors {
    sort(&mut errors);
    sort(&mut warnings);
    ConfigErrors { errors, warnings }
}

fn sort(notices: &mut [Notice]) {
    notices.sort_by_key(|n| (n.line.unwrap_or(0), n.column.unwrap_or(0)));
}

#[cfg(test)]
mod tests;
