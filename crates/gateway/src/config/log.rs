//! `log:` what is written about calls and states, in which form and where.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `json` for machines, `text` for people.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: LogLevel,
    /// The file it is appended to; standard output when left out.
    pub file: Option<PathBuf>,
    /// One line a call and one an attempt.
    pub calls: bool,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Someone must act.
    Error,
    /// Worth an alert.
    Warn,
    /// A state users notice.
    Info,
    /// A turn taken.
    Debug,
    /// Follows the code.
    Trace,
}

impl LogLevel {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            format: LogFormat::Json,
            level: LogLevel::Info,
            file: None,
            calls: true,
        }
    }
}
