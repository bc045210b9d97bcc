//! Where the configuration comes from: a named file, `./jumpseat.yaml`, or the environment.

use std::path::{Path, PathBuf};

use gateway::config::env::ProcessEnv;
use gateway::config::{self, Config, Loaded};

use crate::outcome::CommandError;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "jumpseat.yaml";

/// A configuration and where it came from.
pub struct Source {
    /// The sound configuration.
    pub loaded: Loaded,
    /// Its file; `None` when it was made from the environment.
    pub path: Option<PathBuf>,
}

impl Source {
    /// What messages call it.
    pub fn name(&self) -> String {
        name(self.path.as_deref())
    }

    /// Tells the person what is doubtful.
    pub fn warn(&self) {
        let name = self.name();
        for notice in &self.loaded.warnings {
            eprintln!("warning: {}", notice.in_file(&name));
        }
    }
}

/// Reads the configuration.
pub fn load(named: Option<&Path>) -> Result<Source, CommandError> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let loaded = match &path {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CommandError::Usage(format!("error: {}: cannot be read: {error}", path.display())))?;
            config::load(&text, &ProcessEnv)
        }
        None => config::from_environment(&ProcessEnv),
    };
    match loaded {
        Ok(loaded) => Ok(Source { loaded, path }),
        Err(errors) => Err(CommandError::Config {
            file: name(path.as_deref()),
            errors,
        }),
    }
}

/// Where the gateway of a configuration and its stores are, whatever else is in it; the defaults where there is no file.
pub fn load_house(named: Option<&Path>) -> Result<Config, CommandError> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let Some(path) = path else {
        return Ok(Config::default());
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CommandError::Usage(format!("error: {}: cannot be read: {error}", path.display())))?;
    config::load_house(&text, &ProcessEnv).map_err(|errors| CommandError::Config {
        file: name(Some(&path)),
        errors,
    })
}

fn name(path: Option<&Path>) -> String {
    path.map_or_else(|| "environment".to_owned(), |path| path.display().to_string())
}
