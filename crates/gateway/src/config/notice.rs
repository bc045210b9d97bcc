//! What is wrong or doubtful in a configuration, and where: one [`Notice`] a finding.

use std::fmt;

use serde::Serialize;

/// One finding. As an error it refuses the configuration, as a warning it is told and the configuration serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Line in the file, from 1; `None` when the finding is not of the file's text.
    pub line: Option<usize>,
    /// Column in the line, from 1, in characters.
    pub column: Option<usize>,
    /// Where in the configuration: `routes.chat.tiers[0].targets`. Empty for the file as a whole.
    pub path: String,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// What was probably meant or what to do, a lowercase fragment.
    pub help: Option<String>,
}

/// A finding that refuses the configuration.
pub type ConfigError = Notice;

/// Why a configuration is refused: every error found in one reading, in the order of the file, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ConfigErrors {
    /// What must be mended.
    pub errors: Vec<ConfigError>,
    /// What was doubtful beside it.
    pub warnings: Vec<Notice>,
}

impl Notice {
    /// A finding about the file as a whole.
    pub fn new(message: impl Into<String>) -> Notice {
        Notice {
            line: None,
            column: None,
            path: String::new(),
            message: message.into(),
            help: None,
        }
    }

    /// The same with advice.
    pub fn with_help(self, help: impl Into<String>) -> Notice {
        Notice {
            help: Some(help.into()),
            ..self
        }
    }

    /// The finding with the file's name before it: `jumpseat.yaml:12:5: routes.chat: …`, as editors and terminals link it.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { notice: self, file }
    }
}

struct InFile<'a> {
    notice: &'a Notice,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.notice.line {
            Some(_) => write!(f, "{}:{}", self.file, self.notice),
            None => write!(f, "{}: {}", self.file, self.notice),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}:{}: ", self.column.unwrap_or(1))?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, ", {help}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.errors.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl From<Notice> for ConfigErrors {
    fn from(error: Notice) -> ConfigErrors {
        ConfigErrors {
            errors: vec![error],
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_reads_as_file_line_column_path_message_and_advice() {
        let notice = Notice {
            line: Some(12),
            column: Some(5),
            path: "routes.chat.tiers[0]".into(),
            message: "unknown key `target`".into(),
            help: Some("did you mean `targets`?".into()),
        };
        assert_eq!(
            notice.in_file("jumpseat.yaml").to_string(),
            "jumpseat.yaml:12:5: routes.chat.tiers[0]: unknown key `target`, did you mean `targets`?"
        );
        assert_eq!(
            Notice::new("it is empty").in_file("a.yaml").to_string(),
            "a.yaml: it is empty"
        );
    }
}
