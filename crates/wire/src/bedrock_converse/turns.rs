//! The conversation as Converse takes it: system blocks, then turns of user and assistant by turns.
//!
//! - Instructions at the front become `system`. Later ones keep their place as user text inside `<system_message>` tags: an
//!   instruction given later is about what comes later.
//! - Neighbours of one role are one turn; in a user turn tool results come first. A conversation that opens with the assistant
//!   gets [`OPENING`] before it, one of instructions alone gives its last instruction as the user's turn.
//! - Blank text is left out: the API refuses it. A turn with a document gets some text, which the API demands.
//! - Reasoning goes back only where it came from here; a signature that Anthropic's own API gave is another API's, and nothing
//!   says that either verifies the other's.

use std::borrow::Cow;
use std::collections::HashSet;

use types::chat::{CacheMark, Message, Part, Reasoning, Role, ToolCall};
use types::dialect::DialectName;

use super::body::{Block, CachePoint, ReasoningContent, ToolResult, ToolUse, Turn, TurnRole};
use super::encode::{check_tool_name, unsupported};
use super::media;
use super::model::Maker;
use super::tool_ids::ToolIds;
use crate::anthropic_messages::generation::Generation;
use crate::arguments;
use crate::request::{DroppedNames, Unsupported};

/// What is sent as the user's first words where the conversation opens with the assistant's.
const OPENING: &str = "[The conversation begins with your message.]";
/// What is said beside a document that came without a word.
const BESIDE_DOCUMENT: &str = "[A document is attached.]";

/// `system` and `messages`.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub system: Vec<Block<'a>>,
    pub turns: Vec<Turn<'a>>,
    /// Tools were called in it: `toolConfig` must be there.
    pub uses_tools: bool,
}

impl Conversation<'_> {
    /// The last turn of the assistant called tools without thinking first, and the results are the last turn now.
    pub fn ends_in_bare_tool_turn(&self) -> bool {
        let [.., assistant, user] = self.turns.as_slice() else {
            return false;
        };
        assistant.role == TurnRole::Assistant
            && matches!(user.content.first(), Some(Block::ToolResult(_)))
            && !matches!(assistant.content.first(), Some(Block::ReasoningContent(_)))
    }
}

/// Writes the conversation.
pub(super) fn conversation<'a>(
    messages: &'a [Message],
    maker: Maker,
    generation: &Generation,
    drops: &mut DroppedNames,
) -> Result<Conversation<'a>, Unsupported> {
    let mut writer = Writer {
        turns: Vec::new(),
        ids: ToolIds::default(),
        names: HashSet::new(),
        uses_tools: false,
        maker,
        generation,
        drops,
    };
    let leading = messages.iter().take_while(|m| m.role == Role::System).count();
    let mut system = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if message.name.is_some() {
            writer.drops.add("name");
        }
        match message.role {
            Role::System if at < leading => system.extend(writer.instruction(message, at)?),
            Role::System => {
                let blocks = writer.instruction(message, at)?;
                writer.add(TurnRole::User, blocks.into_iter().map(wrap).collect());
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
        mut turns, uses_tools, ..
    } = writer;
    end(&mut turns, generation)?;
    begin(&mut turns, &mut system)?;
    for turn in turns.iter_mut().filter(|turn| turn.role == TurnRole::User) {
        turn.content = results_first(std::mem::take(&mut turn.content));
        let has = |is: fn(&Block<'_>) -> bool| turn.content.iter().any(is);
        if has(|b| matches!(b, Block::Document(_))) && !has(|b| matches!(b, Block::Text(_))) {
            turn.content.push(Block::Text(Cow::Borrowed(BESIDE_DOCUMENT)));
        }
    }
    Ok(Conversation {
        system,
        turns,
        uses_tools,
    })
}

/// A last turn of the assistant is a beginning to be continued: it must not end in white space.
fn end(turns: &mut [Turn<'_>], generation: &Generation) -> Result<(), Unsupported> {
    let Some(last) = turns.last_mut().filter(|turn| turn.role == TurnRole::Assistant) else {
        return Ok(());
    };
    if !generation.prefill {
        let what = "a last message of the assistant (this model does not continue one)";
        return Err(unsupported(what, "messages"));
    }
    if let Some(Block::Text(text)) = last.content.last_mut() {
        *text = Cow::Owned(text.trim_end().to_owned());
    }
    Ok(())
}

/// The first turn must be the user's.
fn begin<'a>(turns: &mut Vec<Turn<'a>>, system: &mut Vec<Block<'a>>) -> Result<(), Unsupported> {
    let opening = match turns.first() {
        Some(turn) if turn.role == TurnRole::User => return Ok(()),
        Some(_) => Block::Text(Cow::Borrowed(OPENING)),
        None => {
            let last = system.iter().rposition(|block| matches!(block, Block::Text(_)));
            let last = last.ok_or_else(|| unsupported("a conversation without any content", "messages"))?;
            let text = system.remove(last);
            // A cache point behind it would mark nothing.
            system.truncate(last);
            text
        }
    };
    let turn = Turn {
        role: TurnRole::User,
        content: vec![opening],
    };
    turns.insert(0, turn);
    Ok(())
}

/// Tool results and the cache points behind them, then the rest; each in its order.
fn results_first(blocks: Vec<Block<'_>>) -> Vec<Block<'_>> {
    let (mut results, mut rest) = (Vec::new(), Vec::new());
    let mut behind_result = false;
    for block in blocks {
        behind_result = match block {
            Block::ToolResult(_) => true,
            Block::CachePoint(_) => behind_result,
            _ => false,
        };
        if behind_result { &mut results } else { &mut rest }.push(block);
    }
    results.append(&mut rest);
    results
}

struct Writer<'a, 'd> {
    turns: Vec<Turn<'a>>,
    ids: ToolIds,
    /// Names of documents, which must differ.
    names: HashSet<String>,
    uses_tools: bool,
    maker: Maker,
    generation: &'d Generation,
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

    fn text(&mut self, blocks: &mut Vec<Block<'a>>, words: &'a str, cache: Option<CacheMark>) {
        if !words.trim().is_empty() {
            blocks.push(Block::Text(Cow::Borrowed(words)));
            self.mark(blocks, cache);
        }
    }

    fn mark(&mut self, blocks: &mut Vec<Block<'a>>, cache: Option<CacheMark>) {
        let point = cache_point(cache, self.maker, self.generation, self.drops);
        blocks.extend(point.map(Block::CachePoint));
    }

    fn instruction(&mut self, message: &'a Message, at: usize) -> Result<Vec<Block<'a>>, Unsupported> {
        let mut blocks = Vec::new();
        for part in &message.parts {
            match part {
                Part::Text { text, cache } => self.text(&mut blocks, text, *cache),
                Part::Refusal { text } => self.text(&mut blocks, text, None),
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
                        self.content(part, at, true, &mut inner)?;
                    }
                    self.uses_tools = true;
                    if *is_error && !self.maker.takes_tool_status() {
                        self.drops.add("is_error");
                    }
                    blocks.push(Block::ToolResult(ToolResult {
                        tool_use_id: self.ids.of(call_id),
                        content: inner,
                        status: (*is_error && self.maker.takes_tool_status()).then_some("error"),
                    }));
                    self.mark(&mut blocks, *cache);
                }
                Part::Reasoning(_) => self.drops.add("reasoning"),
                Part::ToolCall(_) => {
                    let what = format!("a tool call outside the assistant's turns (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
                part => self.content(part, at, false, &mut blocks)?,
            }
        }
        Ok(blocks)
    }

    fn assistant(&mut self, message: &'a Message, at: usize) -> Result<Vec<Block<'a>>, Unsupported> {
        let mut blocks = Vec::new();
        for part in &message.parts {
            match part {
                Part::Text { text, cache } => self.text(&mut blocks, text, *cache),
                Part::Refusal { text } => self.text(&mut blocks, text, None),
                Part::Reasoning(reasoning) => match reasoning_content(reasoning) {
                    Some(block) => blocks.push(block),
                    None => self.drops.add("reasoning"),
                },
                Part::ToolCall(call) => {
                    let block = self.tool_use(call)?;
                    blocks.push(block);
                }
                Part::Image { .. } | Part::File { .. } | Part::Audio { .. } | Part::ToolResult { .. } => {
                    let what = format!("images, files, audio or tool results of the assistant (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
            }
        }
        Ok(blocks)
    }

    fn tool_use(&mut self, call: &'a ToolCall) -> Result<Block<'a>, Unsupported> {
        if call.signature.is_some() {
            // Only Gemini signs calls.
            self.drops.add("reasoning");
        }
        check_tool_name(&call.name, "messages")?;
        self.uses_tools = true;
        Ok(Block::ToolUse(ToolUse {
            tool_use_id: self.ids.of(&call.id),
            name: &call.name,
            input: arguments::object(&call.arguments),
        }))
    }

    /// Text, images, files and audio, alone or in a tool's result.
    fn content(
        &mut self,
        part: &'a Part,
        at: usize,
        in_result: bool,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<(), Unsupported> {
        let (block, cache) = match part {
            Part::Text { text, cache } if in_result => {
                if !text.trim().is_empty() {
                    blocks.push(Block::Text(Cow::Borrowed(text)));
                }
                self.no_mark(*cache);
                return Ok(());
            }
            Part::Text { text, cache } => {
                self.text(blocks, text, *cache);
                return Ok(());
            }
            Part::Refusal { text } => {
                self.text(blocks, text, None);
                return Ok(());
            }
            Part::Image { source, detail, cache } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.drops.add("detail");
                }
                (media::image(source, at)?, *cache)
            }
            Part::File {
                source,
                filename,
                cache,
            } => (media::file(source, || self.name_of(filename.as_deref()), at)?, *cache),
            Part::Audio { source } if !in_result => (media::audio(source, at)?, None),
            Part::Reasoning(_) => {
                self.drops.add("reasoning");
                return Ok(());
            }
            Part::Audio { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => {
                let what = format!("audio, a tool call or a result within a tool's result (messages[{at}])");
                return Err(unsupported(what, "messages"));
            }
        };
        blocks.push(block);
        if in_result {
            self.no_mark(cache);
        } else {
            self.mark(blocks, cache);
        }
        Ok(())
    }

    /// There are no cache points within a tool's result.
    fn no_mark(&mut self, cache: Option<CacheMark>) {
        if cache.is_some() {
            self.drops.add("cache_control");
        }
    }

    fn name_of(&mut self, filename: Option<&str>) -> String {
        let name = media::document_name(filename);
        let mut unique = name.clone();
        let mut number = 1;
        while !self.names.insert(unique.clone()) {
            number += 1;
            unique = format!("{name} ({number})");
        }
        unique
    }
}

/// The point that a mark stands for, where the model takes one.
pub(super) fn cache_point(
    cache: Option<CacheMark>,
    maker: Maker,
    generation: &Generation,
    drops: &mut DroppedNames,
) -> Option<CachePoint> {
    let mark = cache?;
    if !maker.caches() {
        drops.add("cache_control");
        return None;
    }
    let ttl = match mark {
        CacheMark::Ephemeral => None,
        CacheMark::OneHour if maker.caches_an_hour(generation) => Some("1h"),
        CacheMark::OneHour => {
            drops.add("cache_control.ttl");
            None
        }
    };
    Some(CachePoint { kind: "default", ttl })
}

fn reasoning_content(reasoning: &Reasoning) -> Option<Block<'_>> {
    if reasoning.origin != Some(DialectName::BedrockConverse) {
        return None;
    }
    let content = match (&reasoning.redacted, &reasoning.signature) {
        (Some(redacted), _) => ReasoningContent::RedactedContent(redacted),
        // Models that sign nothing (OpenAI's open ones) take their reasoning back without a signature.
        (None, signature) if !reasoning.text.is_empty() || signature.is_some() => ReasoningContent::ReasoningText {
            text: &reasoning.text,
            signature: signature.as_deref(),
        },
        (None, _) => return None,
    };
    Some(Block::ReasoningContent(content))
}

/// An instruction as user text.
fn wrap(block: Block<'_>) -> Block<'_> {
    match block {
        Block::Text(text) => Block::Text(Cow::Owned(format!("<system_message>\n{text}\n</system_message>"))),
        other => other,
    }
}
