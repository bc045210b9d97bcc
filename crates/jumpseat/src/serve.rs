//! `jumpseat serve`: the gateway, until SIGTERM.

use std::sync::Arc;

use gateway::app::{self, Setup};
use gateway::config::env::ProcessEnv;

use crate::cli::SourceArgs;
use crate::outcome::{CommandError, Ended};
use crate::source;

/// Runs it.
pub fn run(args: &SourceArgs) -> Result<Ended, CommandError> {
    let source = source::load(args.config.as_deref())?;
    source.warn();
    app::serve(Setup::new(source.loaded, source.path, Arc::new(ProcessEnv)))?;
    Ok(Ended::Fine)
}
