//! Prompt: what the fake understands of a request, neutral of dialect: as much as it needs to give a fitting answer.
//!
//! Also decides whether a request asks to continue a text. Pure.

use serde_json::Value;

use crate::dialect::openai_responses::Echo;

/// A request, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) stream: bool,
    /// System texts and turns in their order.
    pub(crate) system: String,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) format: Format,
    pub(crate) stop: Vec<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) choices: usize,
    pub(crate) include_usage: bool,
    /// `Some(n)`: log probabilities with the n best.
    pub(crate) logprobs: Option<usize>,
    /// The request wants to see reasoning.
    pub(crate) show_reasoning: bool,
    /// The model thinks, whether it shows it or not.
    pub(crate) reasons: bool,
    /// Prompt-cache markers are present.
    pub(crate) cache_markers: bool,
    pub(crate) service_tier: Option<String>,
    /// Names of tools that take free text instead of JSON.
    pub(crate) custom_tools: Vec<String>,
    /// The request went to Azure.
    pub(crate) azure: bool,
    /// What the Responses API repeats in its answer.
    pub(crate) echo: Option<Box<Echo>>,
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) text: String,
    /// Media types, or `url` where only a URL was given.
    pub(crate) images: Vec<String>,
    /// Names or media types of files.
    pub(crate) files: Vec<String>,
    pub(crate) tool_calls: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    User,
    Assistant,
    ToolResult,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
    Schema(Value),
}

/// A text to be continued, and how the request says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Continuation {
    pub(crate) text: String,
    pub(crate) by: ContinuedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContinuedBy {
    /// The last message is the assistant's.
    Prefill,
    /// The last message is a user's and tells to continue.
    Instruction,
}

impl Prompt {
    pub(crate) fn last(&self) -> Option<&Turn> {
        self.turns.last()
    }

    /// Rounds of tool use that lie behind this request: results that follow each other are one, as parallel calls come back.
    pub(crate) fn rounds(&self) -> usize {
        let is_result = |turn: &Turn| turn.role == Role::ToolResult;
        let begins = |at: usize| is_result(&self.turns[at]) && (at == 0 || !is_result(&self.turns[at - 1]));
        (0..self.turns.len()).filter(|at| begins(*at)).count()
    }

    /// Whether turns may be played out here: a request without tools and results is one that an agent makes on the side, such as
    /// for a title.
    pub(crate) fn uses_tools(&self) -> bool {
        !self.tools.is_empty() || self.rounds() > 0
    }

    /// Tokens of the prompt: a quarter of its characters, images and files at a flat rate.
    pub(crate) fn tokens(&self) -> u64 {
        let characters: usize = self
            .turns
            .iter()
            .map(|turn| turn.text.chars().count() + 12)
            .sum::<usize>()
            + self.system.chars().count();
        let media: usize = self
            .turns
            .iter()
            .map(|turn| turn.images.len() * 85 + turn.files.len() * 300)
            .sum();
        let tools: usize = self
            .tools
            .iter()
            .map(|tool| tool.name.len() + tool.schema.to_string().len())
            .sum();
        ((characters + tools) / 4 + media).max(1) as u64
    }

    /// The tool that a call would be made to: the forced one, else the first.
    pub(crate) fn preferred_tool(&self) -> Option<&Tool> {
        match &self.tool_choice {
            ToolChoice::Named(name) => self.tools.iter().find(|tool| tool.name == *name).or(self.tools.first()),
            _ => self.tools.first(),
        }
    }

    /// The text that the request asks to continue, if it does. A trailing assistant message is one way; the other is a last user
    /// message with the word "continue" that quotes the text (between tags, triple backticks or quotation marks) or
    /// follows an assistant message that holds it.
    pub(crate) fn continuation(&self) -> Option<Continuation> {
        let last = self.last()?;
        match last.role {
            Role::Assistant if !last.tool_calls && !last.text.is_empty() => Some(Continuation {
                text: last.text.clone(),
                by: ContinuedBy::Prefill,
            }),
            Role::User if last.text.to_ascii_lowercase().contains("continu") => {
                let before = self.turns.len().checked_sub(2).and_then(|at| self.turns.get(at));
                let answered = before
                    .filter(|turn| turn.role == Role::Assistant && !turn.text.is_empty())
                    .map(|turn| turn.text.clone());
                let text = answered.or_else(|| quoted(&last.text).map(str::to_owned))?;
                Some(Continuation {
                    text,
                    by: ContinuedBy::Instruction,
                })
            }
            _ => None,
        }
    }
}

/// The longest quotation in a text: between `<tag>` and `</tag>`, triple backticks, or the outermost quotation marks.
fn quoted(text: &str) -> Option<&str> {
    let mut found: Option<&str> = None;
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let after = &rest[open + 1..];
        let name_end = after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(after.len());
        let name = &after[..name_end];
        if !name.is_empty()
            && let Some(close) = after.find('>')
            && let Some(end) = after.rfind(&format!("</{name}>"))
            && close < end
        {
            let inner = &after[close + 1..end];
            // One line break at each end belongs to the markup.
            let inner = inner.strip_prefix('\n').unwrap_or(inner);
            let inner = inner.strip_suffix('\n').unwrap_or(inner);
            if inner.len() > found.map_or(0, str::len) {
                found = Some(inner);
            }
        }
        rest = after;
    }
    if let Some(tagged) = found {
        return Some(tagged);
    }
    for mark in ["```", "\"\"\""] {
        if let (Some(open), Some(end)) = (text.find(mark), text.rfind(mark))
            && open + mark.len() < end
        {
            let inner = &text[open + mark.len()..end];
            let inner = inner.strip_prefix('\n').unwrap_or(inner);
            return Some(inner.strip_suffix('\n').unwrap_or(inner));
        }
    }
    for (opening, closing) in [('"', '"'), ('“', '”'), ('«', '»')] {
        if let (Some(open), Some(end)) = (text.find(opening), text.rfind(closing))
            && open < end
        {
            let inner = &text[open + opening.len_utf8()..end];
            if !inner.is_empty() {
                return Some(inner);
            }
        }
    }
    None
}

/// A media type out of a `data:` URL, or `url`.
pub(crate) fn media_of_url(url: &str) -> String {
    match url.strip_prefix("data:") {
        Some(rest) => rest.split([';', ',']).next().unwrap_or_default().to_owned(),
        None => "url".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_follow_each_other_are_one_round() {
        use Role::{Assistant, ToolResult, User};
        let rows: [(&[Role], usize); 5] = [
            (&[User], 0),
            (&[User, Assistant, ToolResult], 1),
            (&[User, Assistant, ToolResult, ToolResult, Assistant], 1),
            (&[User, Assistant, ToolResult, Assistant, ToolResult, ToolResult], 2),
            (&[User, Assistant, ToolResult, User, Assistant, User], 1),
        ];
        for (roles, wanted) in rows {
            let turns = roles
                .iter()
                .map(|role| Turn {
                    role: *role,
                    ..Turn::default()
                })
                .collect();
            let prompt = Prompt {
                turns,
                ..Prompt::default()
            };
            assert_eq!(prompt.rounds(), wanted, "{roles:?}");
        }
    }

    #[test]
    fn a_text_to_continue_is_found_however_it_is_asked_for() {
        let turn = |role, text: &str| Turn {
            role,
            text: text.into(),
            ..Turn::default()
        };
        let ask = turn(Role::User, "Tell me.");
        let rows = [
            (vec![ask.clone(), turn(Role::Assistant, "The cat")], Some("The cat")),
            (
                vec![
                    ask.clone(),
                    turn(Role::Assistant, "The cat"),
                    turn(Role::User, "Continue exactly there."),
                ],
                Some("The cat"),
            ),
            (
                vec![
                    ask.clone(),
                    turn(
                        Role::User,
                        "Please continue:\n<partial>\nThe \"big\" cat\n</partial>\nNo preamble.",
                    ),
                ],
                Some("The \"big\" cat"),
            ),
            (
                vec![turn(Role::User, "Continue this:\n```\nThe cat\n```")],
                Some("The cat"),
            ),
            (
                vec![turn(Role::User, "Continue after \"The cat\" please")],
                Some("The cat"),
            ),
            (vec![ask.clone()], None),
            (vec![turn(Role::User, "Shall we continue?")], None),
        ];
        for (turns, wanted) in rows {
            let prompt = Prompt {
                turns: turns.clone(),
                ..Prompt::default()
            };
            assert_eq!(prompt.continuation().map(|c| c.text).as_deref(), wanted, "{turns:?}");
        }
    }
}
