//! `tiers[].prompt:` what a tier's targets are told besides what the caller wrote: a shorter system prompt, the form of the
//! answer. The words are put in where the attempt is written; nothing here reads a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::adjust::Adjustment;

use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;

/// Longer texts are refused.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What a tier changes in the system prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// Stands before the caller's system prompt.
    pub prepend: Option<String>,
    /// Stands in the place of the caller's system prompt.
    pub replace: Option<String>,
    /// Stands behind the caller's system prompt.
    pub append: Option<String>,
}

impl Prompt {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Prompt::default()
    }

    /// As it is applied.
    pub fn adjustment(&self) -> Adjustment {
        Adjustment {
            prepend: self.prepend.clone(),
            replace: self.replace.clone(),
            append: self.append.clone(),
        }
    }

    /// Judges its values.
    pub(super) fn validate(&self, place: &Place, root: &Node, errors: &mut Vec<Notice>) {
        let texts = [
            ("prepend", &self.prepend),
            ("replace", &self.replace),
            ("append", &self.append),
        ];
        for (key, text) in texts {
            let Some(text) = text else { continue };
            if text.trim().is_empty() {
                let notice = root.notice(&place.key(key), "is an empty text");
                errors.push(notice.with_help("leave it out to leave the caller's own"));
            } else if text.len() > TEXT_BYTES_MAX {
                let message = format!("has {} bytes, more than {TEXT_BYTES_MAX}", text.len());
                errors.push(root.notice(&place.key(key), message));
            }
        }
    }
}

/// Where what the gateway knows of an answer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMetadata {
    /// In `x-jumpseat-…` headers.
    #[default]
    Headers,
    /// There, and in a `jumpseat` object of the answer's body, or of a stream's last event.
    Body,
}
