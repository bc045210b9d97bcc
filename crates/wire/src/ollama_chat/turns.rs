//! The conversation as Ollama takes it: turns of four roles, each one text with images beside it.
//!
//! Several texts of a turn become one, a line each. A text file is told as text, inside `<document>` tags. Tool results name
//! their tool (and, for versions that know ids, their call).

use std::borrow::Cow;
use std::collections::HashMap;

use types::chat::{Media, Message, Part, Reasoning, Role};
use types::dialect::DialectName;

use super::body::{CalledFunction, ToolCall, Turn};
use super::encode::unsupported;
use crate::arguments;
use crate::inline::{NEEDS_FETCH, Place, on_the_web, place, text_of};
use crate::request::{DroppedNames, Unsupported};

/// Writes the conversation.
pub(super) fn turns<'a>(messages: &'a [Message], drops: &mut DroppedNames) -> Result<Vec<Turn<'a>>, Unsupported> {
    let mut writer = Writer {
        turns: Vec::new(),
        calls: HashMap::new(),
        drops,
    };
    for (at, message) in messages.iter().enumerate() {
        if message.name.is_some() {
            writer.drops.add("name");
        }
        writer.message(message, at)?;
    }
    if writer.turns.is_empty() {
        return Err(unsupported("a conversation without any content", "messages"));
    }
    Ok(writer.turns)
}

struct Writer<'a, 'd> {
    turns: Vec<Turn<'a>>,
    /// Tool names by the id of their latest call: a result names its tool.
    calls: HashMap<&'a str, &'a str>,
    drops: &'d mut DroppedNames,
}

impl<'a> Writer<'a, '_> {
    fn message(&mut self, message: &'a Message, at: usize) -> Result<(), Unsupported> {
        let role = match message.role {
            Role::System => "system",
            // What a tool's message holds beside results is said by the user.
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut turn = Turn {
            role,
            ..Turn::default()
        };
        for part in &message.parts {
            match part {
                Part::Reasoning(reasoning) => match plain(reasoning).filter(|_| message.role == Role::Assistant) {
                    Some(text) => append(&mut turn.thinking, Cow::Borrowed(text)),
                    None => self.drops.add("reasoning"),
                },
                Part::ToolCall(call) if message.role == Role::Assistant => {
                    if call.signature.is_some() {
                        // Only Gemini signs calls.
                        self.drops.add("reasoning");
                    }
                    self.calls.insert(&call.id, &call.name);
                    turn.tool_calls.push(ToolCall {
                        id: &call.id,
                        function: CalledFunction {
                            name: &call.name,
                            arguments: arguments::object(&call.arguments),
                        },
                    });
                }
                Part::ToolResult {
                    call_id,
                    name,
                    content,
                    is_error,
                    cache,
                } => {
                    if *is_error {
                        self.drops.add("is_error");
                    }
                    if cache.is_some() {
                        self.drops.add("cache_control");
                    }
                    let mut result = Turn {
                        role: "tool",
                        tool_name: name.as_deref().or_else(|| self.calls.get(call_id.as_str()).copied()),
                        tool_call_id: Some(call_id),
                        ..Turn::default()
                    };
                    for part in content {
                        self.content(part, at, &mut result)?;
                    }
                    self.turns.push(result);
                }
                part => self.content(part, at, &mut turn)?,
            }
        }
        let is_empty = turn.content.is_empty() && turn.thinking.is_empty();
        if !is_empty || !turn.images.is_empty() || !turn.tool_calls.is_empty() {
            self.turns.push(turn);
        }
        Ok(())
    }

    /// Text, images and text files, alone or in a tool's result.
    fn content(&mut self, part: &'a Part, at: usize, turn: &mut Turn<'a>) -> Result<(), Unsupported> {
        if let Part::Text { cache: Some(_), .. }
        | Part::Image { cache: Some(_), .. }
        | Part::File { cache: Some(_), .. } = part
        {
            self.drops.add("cache_control");
        }
        match part {
            Part::Text { text, .. } | Part::Refusal { text } => append(&mut turn.content, Cow::Borrowed(text)),
            Part::Image { source, detail, .. } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.drops.add("detail");
                }
                turn.images.push(image(source, at)?);
            }
            Part::File { source, filename, .. } => {
                let document = document(source, filename.as_deref(), at)?;
                append(&mut turn.content, Cow::Owned(document));
            }
            Part::Reasoning(_) => self.drops.add("reasoning"),
            Part::Audio { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => {
                let what = format!("audio, or a tool call or result where none can be (messages[{at}])");
                return Err(unsupported(what, "messages"));
            }
        }
        Ok(())
    }
}

/// Adds a line; a text of one line is not copied.
fn append<'a>(text: &mut Cow<'a, str>, piece: Cow<'a, str>) {
    if text.is_empty() {
        *text = piece;
    } else if !piece.is_empty() {
        let text = text.to_mut();
        text.push('\n');
        text.push_str(&piece);
    }
}

/// Reasoning that is only words.
fn plain(reasoning: &Reasoning) -> Option<&str> {
    let ours = matches!(reasoning.origin, None | Some(DialectName::OllamaChat));
    let is_plain = reasoning.signature.is_none() && reasoning.redacted.is_none() && !reasoning.text.is_empty();
    (ours && is_plain).then_some(reasoning.text.as_str())
}

fn image(source: &Media, at: usize) -> Result<&str, Unsupported> {
    match place(source) {
        Place::Data { data, .. } => Ok(data),
        place => Err(elsewhere(place, at)),
    }
}

fn document(source: &Media, filename: Option<&str>, at: usize) -> Result<String, Unsupported> {
    let (media_type, data) = match place(source) {
        Place::Data { media_type, data } => (media_type, data),
        place => return Err(elsewhere(place, at)),
    };
    let Some(text) = text_of(media_type, data) else {
        let what = format!("a file of type `{media_type}` (messages[{at}])");
        return Err(unsupported(what, "messages"));
    };
    let name: String = filename
        .unwrap_or_default()
        .chars()
        .filter(|c| !"<>\"&".contains(*c))
        .collect();
    Ok(format!("<document name=\"{name}\">\n{text}\n</document>"))
}

fn elsewhere(place: Place<'_>, at: usize) -> Unsupported {
    let what = match place {
        Place::Url(url) if on_the_web(url) => NEEDS_FETCH,
        Place::Data { .. } | Place::Url(_) | Place::File(_) => "a file uploaded to another provider",
    };
    unsupported(format!("{what} (messages[{at}])"), "messages")
}
