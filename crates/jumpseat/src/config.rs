//! `jumpseat config`: the keys and their defaults, or the schema.

use gateway::config::defaults::{defaults_json, defaults_text};
use gateway::config::schema::schema_text;

use crate::cli::ConfigArgs;
use crate::outcome::{CommandError, Ended};

/// Runs it.
pub fn run(args: &ConfigArgs, json: bool) -> Result<Ended, CommandError> {
    match (args.schema, json) {
        (true, _) => print!("{}", schema_text()),
        (false, true) => println!("{}", defaults_json()),
        (false, false) => print!("{}", defaults_text()),
    }
    Ok(Ended::Fine)
}
