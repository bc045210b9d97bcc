//! How a command ended, as a word to the person and a code to the shell.

use std::process::ExitCode;

use gateway::config::notice::{ConfigErrors, Notice};
use serde_json::json;

/// How a command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Fine.
    Fine,
    /// It ran, and what it asked after is not well. It has said what.
    NotWell,
    /// The configuration is not sound. It has said why.
    Unsound,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration does not load.
    #[error("{}", shown(.file, .errors))]
    Config {
        /// Its file, or `environment`.
        file: String,
        /// What is wrong with it.
        errors: ConfigErrors,
    },
    /// What was typed cannot be done.
    #[error("{0}")]
    Usage(String),
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Tells how a command ended and gives the code for the shell.
pub fn exit_code(ended: Result<Ended, CommandError>, json: bool) -> ExitCode {
    match ended {
        Ok(Ended::Fine) => ExitCode::SUCCESS,
        Ok(Ended::NotWell) => ExitCode::from(1),
        Ok(Ended::Unsound) => ExitCode::from(2),
        Err(error) => {
            match (&error, json) {
                (CommandError::Config { file, errors }, true) => {
                    println!(
                        "{}",
                        json!({ "error": "configuration", "file": file, "errors": errors.errors, "warnings": errors.warnings })
                    );
                }
                (_, true) => println!("{}", json!({ "error": error.to_string() })),
                (_, false) => eprintln!("{error}"),
            }
            match error {
                CommandError::Config { .. } | CommandError::Usage(_) => ExitCode::from(2),
                CommandError::Failed(_) => ExitCode::from(1),
            }
        }
    }
}

fn shown(file: &str, errors: &ConfigErrors) -> String {
    let line = |kind: &'static str| move |notice: &Notice| format!("{kind}: {}", notice.in_file(file));
    let warnings = errors.warnings.iter().map(line("warning"));
    errors
        .errors
        .iter()
        .map(line("error"))
        .chain(warnings)
        .collect::<Vec<_>>()
        .join("\n")
}
