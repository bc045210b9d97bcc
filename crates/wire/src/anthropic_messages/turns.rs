//! The conversation as the API takes it: system blocks, then turns of user and assistant by turns.
//!
//! - Instructions at the front become `system` blocks. Later ones keep their place: as a turn of the role `system` where the
//!   model takes one there (behind a user turn, before the assistant's or at the end), else as user text inside
//!   `<system_message>` tags. They are never moved to the front: an instruction given later is about what comes later.
//! - Neighbours of one role are one turn; in a user turn tool results come first, as the API demands.
//! - Blank text is left out: the API refuses it. A conversation that opens with the assistant gets [`OPENING`] before it, one
//!   of instructions alone gives its last instruction as the user's turn.
//! - A tool call's arguments that are no JSON object are wrapped as `{"invalid_arguments": "…"}`: the API takes an object
//!   only, and the model should see what it wrote.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::{RawValue, to_raw_value};
use types::chat::{CacheMark, Message, Part, Reasoning, Role, ToolCall};
use types::dialect::DialectName;

use super::body::{Block, Source, Turn, TurnRole};
use super::encode::unsupported;
use super::generation::Generation;
use super::media;
use crate::request::{DroppedNames, Unsupported};

/// What is sent as the user's first words where the conversation opens with the assistant's.
const OPENING: &str = "[The conversation begins with your message.]";

/// `system` and `messages`.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub system: Vec<Block<'a>>,
    pub turns: Vec<Turn<'a>>,
    /// A file of the provider's is referred to.
    pub uses_files: bool,
}

impl Conversation<'_> {
    /// The last turn of the assistant called tools without thinking first, and the results are the last turn now.
    pub fn ends_in_bare_tool_turn(&self) -> bool {
        let [.., assistant, user] = self.turns.as_slice() else {
            return false;
        };
        assistant.role == TurnRole::Assistant
            && matches!(user.content.first(), Some(Block::ToolResult { .. }))
            && !matches!(
                assistant.content.first(),
                Some(Block::Thinking { .. } | Block::RedactedThinking { .. })
            )
    }
}

/// Writes the conversation.
pub(super) fn conversation<'a>(
    messages: &'a [Message],
    generation: &Generation,
    drops: &mut DroppedNames,
) -> Result<Conversation<'a>, Unsupported> {
    let mut writer = Writer {
        turns: Vec::new(),
        ids: ToolIds::default(),
        uses_files: false,
        drops,
    };
    let leading = messages.iter().take_while(|m| m.role == Role::System).count();
    let (instructions, rest) = messages.split_at(leading);
    let mut system = Vec::new();
    for (i, message) in instructions.iter().enumerate() {
        writer.name(message);
        system.extend(writer.instruction(message, i)?);
    }
    for (i, message) in rest.iter().enumerate() {
        writer.name(message);
        let at = leading + i;
        match message.role {
            Role::System => {
                let next = rest[i..].iter().find(|m| m.role != Role::System);
                let fits = generation.system_turns
                    && next.is_none_or(|m| m.role == Role::Assistant)
                    && writer.turns.last().is_some_and(|t| t.role != TurnRole::Assistant);
                let blocks = writer.instruction(message, at)?;
                if fits {
                    writer.add(TurnRole::System, blocks);
                } else {
                    writer.add(TurnRole::User, blocks.into_iter().map(wrap).collect());
                }
            }
            Role::User | Role::Tool => {
                let blocks = writer.user(message, at)?;
                writer.add(TurnRole::User, blocks);
            }
            Role::Assistant => {
                let blocks = writer.assistant(message, at)?;
                writer.add(TurnRole::Assistant, blocks);
            }
        }
    }
    let Writer {
        mut turns, uses_files, ..
    } = writer;
    end(&mut turns, generation)?;
    begin(&mut turns, &mut system)?;
    for turn in &mut turns {
        // Stable: results keep their order, and so does what follows them.
        turn.content
            .sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
    Ok(Conversation {
        system,
        turns,
        uses_files,
    })
}

/// A last turn of the assistant is a beginning to be continued: it must not end in white space.
fn end(turns: &mut Vec<Turn<'_>>, generation: &Generation) -> Result<(), Unsupported> {
    let Some(last) = turns.last_mut().filter(|turn| turn.role == TurnRole::Assistant) else {
        return Ok(());
    };
    if !generation.prefill {
        let what = "a last message of the assistant (this model does not continue one)";
        return Err(unsupported(what, "messages"));
    }
    if let Some(Block::Text { text, .. }) = last.content.last_mut() {
        *text = Cow::Owned(text.trim_end().to_owned());
    }
    Ok(())
}

/// The first turn must be the user's.
fn begin<'a>(turns: &mut Vec<Turn<'a>>, system: &mut Vec<Block<'a>>) -> Result<(), Unsupported> {
    let opening = match turns.first() {
        Some(turn) if turn.role == TurnRole::User => return Ok(()),
        Some(_) => text(OPENING, None),
        None => system
            .pop()
            .ok_or_else(|| unsupported("a conversation without any content", "messages"))?,
    };
    turns.insert(
        0,
        Turn {
            role: TurnRole::User,
            content: vec![opening],
        },
    );
    Ok(())
}

struct Writer<'a, 'd> {
    turns: Vec<Turn<'a>>,
    ids: ToolIds,
    uses_files: bool,
    drops: &'d mut DroppedNames,
}

impl<'a> Writer<'a, '_> {
    fn add(&mut self, role: TurnRole, content: Vec<Block<'a>>) {
        if content.is_empty() {
            return;
        }
        match self.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.content.extend(content),
            None => self.turns.push(Turn { role, content }),
        }
    }

    fn name(&mut self, message: &Message) {
        if message.name.is_some() {
            self.drops.add("name");
        }
    }

    fn instruction(&mut self, message: &'a Message, at: usize) -> Result<Vec<Block<'a>>, Unsupported> {
        let mut blocks = Vec::new();
        for part in &message.parts {
            match part {
                Part::Text { text: words, cache } => push_text(&mut blocks, words, *cache),
                Part::Refusal { text: words } => push_text(&mut blocks, words, None),
                Part::Reasoning(_) => self.drops.add("reasoning"),
                Part::Image { .. }
                | Part::File { .. }
                | Part::Audio { .. }
                | Part::ToolCall(_)
                | Part::ToolResult { .. } => {
                    let what = format!("anything but text in a system message (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
            }
        }
        Ok(blocks)
    }

    fn user(&mut self, message: &'a Message, at: usize) -> Result<Vec<Block<'a>>, Unsupported> {
        let mut blocks = Vec::new();
        for part in &message.parts {
            match part {
                Part::ToolResult {
                    call_id,
                    name: _,
                    content,
                    is_error,
                    cache,
                } => {
                    let mut inner = Vec::new();
                    for part in content {
                        self.content(part, at, &mut inner)?;
                    }
                    blocks.push(Block::ToolResult {
                        tool_use_id: self.ids.of(call_id),
                        content: inner,
                        is_error: *is_error,
                        cache_control: cache.map(Into::into),
                    });
                }
                Part::Reasoning(_) => self.drops.add("reasoning"),
                Part::ToolCall(_) => {
                    let what = format!("a tool call outside the assistant's turns (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
                part => self.content(part, at, &mut blocks)?,
            }
        }
        Ok(blocks)
    }

    fn assistant(&mut self, message: &'a Message, at: usize) -> Result<Vec<Block<'a>>, Unsupported> {
        let mut blocks = Vec::new();
        for part in &message.parts {
            match part {
                Part::Text { text: words, cache } => push_text(&mut blocks, words, *cache),
                Part::Refusal { text: words } => push_text(&mut blocks, words, None),
                Part::Reasoning(reasoning) => match thinking(reasoning) {
                    Some(block) => blocks.push(block),
                    None => self.drops.add("reasoning"),
                },
                Part::ToolCall(call) => blocks.push(self.tool_use(call)),
                Part::Image { .. } | Part::File { .. } | Part::Audio { .. } | Part::ToolResult { .. } => {
                    let what = format!("images, files, audio or tool results of the assistant (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
            }
        }
        Ok(blocks)
    }

    fn tool_use(&mut self, call: &'a ToolCall) -> Block<'a> {
        if call.signature.is_some() {
            // Only Gemini signs calls.
            self.drops.add("reasoning");
        }
        Block::ToolUse {
            id: self.ids.of(&call.id),
            name: &call.name,
            input: input(&call.arguments),
        }
    }

    /// Text, images and files, alone or in a tool's result.
    fn content(&mut self, part: &'a Part, at: usize, blocks: &mut Vec<Block<'a>>) -> Result<(), Unsupported> {
        match part {
            Part::Text { text: words, cache } => push_text(blocks, words, *cache),
            Part::Refusal { text: words } => push_text(blocks, words, None),
            Part::Image { source, detail, cache } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.drops.add("detail");
                }
                let source = media::image(source, at)?;
                self.note(&source);
                blocks.push(Block::Image {
                    source,
                    cache_control: cache.map(Into::into),
                });
            }
            Part::File {
                source,
                filename,
                cache,
            } => {
                let block = media::file(source, filename.as_deref(), *cache, at)?;
                if let Block::Document { source, .. } = &block {
                    self.note(source);
                }
                blocks.push(block);
            }
            Part::Reasoning(_) => self.drops.add("reasoning"),
            Part::Audio { .. } => {
                return Err(unsupported(format!("audio (messages[{at}])"), "messages"));
            }
            Part::ToolCall(_) | Part::ToolResult { .. } => {
                let what = format!("a tool call or result within a tool's result (messages[{at}])");
                return Err(unsupported(what, "messages"));
            }
        }
        Ok(())
    }

    fn note(&mut self, source: &Source<'_>) {
        self.uses_files |= matches!(source, Source::File { .. });
    }
}

/// Reasoning goes back only with its signature or seal, byte for byte; the API refuses what it cannot verify.
fn thinking(reasoning: &Reasoning) -> Option<Block<'_>> {
    if reasoning.origin != Some(DialectName::AnthropicMessages) {
        return None;
    }
    match (&reasoning.redacted, &reasoning.signature) {
        (Some(data), _) => Some(Block::RedactedThinking { data }),
        (None, Some(signature)) => Some(Block::Thinking {
            thinking: &reasoning.text,
            signature,
        }),
        (None, None) => None,
    }
}

fn text(words: &str, cache: Option<CacheMark>) -> Block<'_> {
    Block::Text {
        text: Cow::Borrowed(words),
        cache_control: cache.map(Into::into),
    }
}

fn push_text<'a>(blocks: &mut Vec<Block<'a>>, words: &'a str, cache: Option<CacheMark>) {
    if !words.trim().is_empty() {
        blocks.push(text(words, cache));
    }
}

/// An instruction as user text.
fn wrap(block: Block<'_>) -> Block<'_> {
    match block {
        Block::Text { text, cache_control } => Block::Text {
            text: Cow::Owned(format!("<system_message>\n{text}\n</system_message>")),
            cache_control,
        },
        other => other,
    }
}

/// A call's arguments as the object the API demands, as they were written where they are one.
pub(super) fn input(arguments: &str) -> Box<RawValue> {
    let written = arguments.trim();
    let object = match written {
        "" => RawValue::from_string("{}".to_owned()).ok(),
        _ if written.starts_with('{') => RawValue::from_string(written.to_owned()).ok(),
        _ => None,
    };
    object.unwrap_or_else(|| {
        to_raw_value(&serde_json::json!({ "invalid_arguments": arguments })).expect("a string can be written as JSON")
    })
}

/// Ids of tool calls as the API takes them: letters, digits, `_` and `-`. Others are rewritten, calls and results alike.
#[derive(Debug, Default)]
struct ToolIds {
    rewritten: HashMap<String, String>,
}

impl ToolIds {
    fn of<'a>(&mut self, id: &'a str) -> Cow<'a, str> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !id.is_empty() && id.chars().all(is_allowed) {
            return Cow::Borrowed(id);
        }
        // The number keeps ids apart that differ only in what is rewritten.
        let number = self.rewritten.len();
        let new = self.rewritten.entry(id.to_owned()).or_insert_with(|| {
            let kept: String = id.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
            format!("{kept}_{number}")
        });
        Cow::Owned(new.clone())
    }
}
