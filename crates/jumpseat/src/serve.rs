//! `jumpseat serve`: the gateway, until SIGTERM.

use std::sync::Arc;

use gateway::app::{self, Setup};
use gateway::config::env::ProcessEnv;
use gateway::stores::Stores;

use crate::cli::SourceArgs;
use crate::outcome::{CommandError, Ended};
use crate::source;

/// Runs it.
pub fn run(args: &SourceArgs) -> Result<Ended, CommandError> {
    let source = source::load(args.config.as_deref())?;
    source.warn();
    // The stores that the configuration names are opened with the gateway.
    let setup = Setup::new(source.loaded, source.path, Arc::new(ProcessEnv), Stores::none());
    app::serve(setup)?;
    Ok(Ended::Fine)
}
