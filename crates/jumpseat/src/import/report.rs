//! What an import says to its owner: line by line, what was not carried over, what behaves otherwise, what is left to do.
//!
//! No message quotes a value of the source but names of models, routes, providers and strategies: a value may be a secret.

use std::fmt;

use serde::Serialize;

use crate::import::reader::Value;

/// What a finding means for the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something must be done before or beside the written file.
    ToDo,
    /// It is written, and behaves otherwise than before.
    Changed,
    /// It is not written.
    NotCarriedOver,
}

/// One line of the source that needs a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Line in the source, from 1; `None` when it is about the source as a whole.
    pub line: Option<usize>,
    /// Where in the source: `model_list[0].litellm_params.rpm`.
    pub path: String,
    /// What it means.
    pub kind: Kind,
    /// Why and what to do, a lowercase fragment.
    pub message: String,
}

/// Everything an import has to say, in the order it was found.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Says something about a value of the source.
    pub fn say(&mut self, kind: Kind, at: &Value, message: impl Into<String>) -> Finding {
        let finding = Finding {
            line: (at.line > 0).then_some(at.line),
            path: at.place.to_string(),
            kind,
            message: message.into(),
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding.clone());
        }
        finding
    }

    /// What a person must do.
    pub fn left_to_do(&mut self, at: &Value, message: impl Into<String>) -> Finding {
        self.say(Kind::ToDo, at, message)
    }

    /// What behaves otherwise than before.
    pub fn changed(&mut self, at: &Value, message: impl Into<String>) -> Finding {
        self.say(Kind::Changed, at, message)
    }

    /// What is not written.
    pub fn not_carried(&mut self, at: &Value, message: impl Into<String>) -> Finding {
        self.say(Kind::NotCarriedOver, at, message)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Those after the first so many.
    pub fn since(&self, before: usize) -> impl Iterator<Item = &Finding> {
        self.findings.iter().skip(before)
    }

    /// All findings in the order of the source.
    pub fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|f| (f.line.unwrap_or(0), f.path.clone()));
        self.findings
    }
}

impl Kind {
    /// How a person reads it.
    pub fn words(self) -> &'static str {
        match self {
            Kind::ToDo => "to do",
            Kind::Changed => "changed",
            Kind::NotCarriedOver => "not carried over",
        }
    }
}

impl Finding {
    /// The finding with the source's name before it: `config.yaml:12: model_list[0]: not carried over: …`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { finding: self, file }
    }
}

struct InFile<'a> {
    finding: &'a Finding,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.finding.line {
            write!(f, "{line}:")?;
        }
        if !self.finding.path.is_empty() {
            write!(f, " {}:", self.finding.path)?;
        }
        write!(f, " {}: {}", self.finding.kind.words(), self.finding.message)
    }
}
