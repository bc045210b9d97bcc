//! The conversation as Cohere takes it: turns of four roles, images in the user's, texts of files as documents beside them.
//!
//! Reasoning without a signature goes back as `thinking` to a model that reasons, else as the `tool_plan` of a turn that calls
//! tools. Blank text is left out, and with it turns that say nothing.

use std::borrow::Cow;

use types::chat::{Media, Message, Part, Reasoning, Role, ToolCall};
use types::dialect::DialectName;

use super::body::{self, CalledFunction, Content, Document, DocumentData, ImageUrl, Turn};
use super::encode::unsupported;
use crate::arguments;
use crate::inline::{Place, place, text_of};
use crate::request::{DroppedNames, Unsupported};

/// `messages` and `documents`.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub turns: Vec<Turn<'a>>,
    pub documents: Vec<Document<'a>>,
}

/// Writes the conversation for a model that `reasons` or not.
pub(super) fn conversation<'a>(
    messages: &'a [Message],
    reasons: bool,
    drops: &mut DroppedNames,
) -> Result<Conversation<'a>, Unsupported> {
    let mut conversation = Conversation::default();
    for (at, message) in messages.iter().enumerate() {
        if message.name.is_some() {
            drops.add("name");
        }
        match message.role {
            Role::System => conversation.system(message, at, drops)?,
            Role::User | Role::Tool => conversation.user(message, at, drops)?,
            Role::Assistant => conversation.assistant(message, at, reasons, drops)?,
        }
    }
    if conversation.turns.is_empty() {
        return Err(unsupported("a conversation without any content", "messages"));
    }
    Ok(conversation)
}

impl<'a> Conversation<'a> {
    fn system(&mut self, message: &'a Message, at: usize, drops: &mut DroppedNames) -> Result<(), Unsupported> {
        let mut content = Vec::new();
        for part in &message.parts {
            match part {
                Part::Text { .. } | Part::Refusal { .. } | Part::Reasoning(_) => text(part, &mut content, drops),
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
        if !content.is_empty() {
            self.turns.push(Turn::System { content });
        }
        Ok(())
    }

    fn user(&mut self, message: &'a Message, at: usize, drops: &mut DroppedNames) -> Result<(), Unsupported> {
        let mut content = Vec::new();
        for part in &message.parts {
            match part {
                Part::ToolResult {
                    call_id,
                    name: _,
                    content: said,
                    is_error,
                    cache,
                } => {
                    if *is_error {
                        drops.add("is_error");
                    }
                    if cache.is_some() {
                        drops.add("cache_control");
                    }
                    self.result(call_id, said, at, drops)?;
                }
                Part::Text { .. } | Part::Refusal { .. } | Part::Reasoning(_) => text(part, &mut content, drops),
                Part::Image { source, detail, cache } => {
                    if cache.is_some() {
                        drops.add("cache_control");
                    }
                    let image_url = image(source, detail.as_deref(), at)?;
                    content.push(Content::ImageUrl { image_url });
                }
                Part::File {
                    source,
                    filename,
                    cache,
                } => {
                    if cache.is_some() {
                        drops.add("cache_control");
                    }
                    self.document(source, filename.as_deref(), at)?;
                }
                Part::Audio { .. } | Part::ToolCall(_) => {
                    let what = format!("audio, or a tool call outside the assistant's turns (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
            }
        }
        if !content.is_empty() {
            self.turns.push(Turn::User { content });
        }
        Ok(())
    }

    fn result(
        &mut self,
        tool_call_id: &'a str,
        said: &'a [Part],
        at: usize,
        drops: &mut DroppedNames,
    ) -> Result<(), Unsupported> {
        let mut content = Vec::new();
        for part in said {
            match part {
                Part::Text { .. } | Part::Refusal { .. } | Part::Reasoning(_) => text(part, &mut content, drops),
                Part::Image { .. }
                | Part::File { .. }
                | Part::Audio { .. }
                | Part::ToolCall(_)
                | Part::ToolResult { .. } => {
                    let what = format!("anything but text in a tool's result (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
            }
        }
        if content.is_empty() {
            // The call must have its result, and a result some content.
            content.push(Content::Text { text: "(no output)" });
        }
        self.turns.push(Turn::Tool { tool_call_id, content });
        Ok(())
    }

    fn assistant(
        &mut self,
        message: &'a Message,
        at: usize,
        reasons: bool,
        drops: &mut DroppedNames,
    ) -> Result<(), Unsupported> {
        let calls_tools = message.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let (mut content, mut tool_calls, mut tool_plan) = (Vec::new(), Vec::new(), String::new());
        for part in &message.parts {
            match part {
                Part::Reasoning(reasoning) => match plain(reasoning) {
                    Some(thinking) if reasons => content.push(Content::Thinking { thinking }),
                    Some(plan) if calls_tools => tool_plan.push_str(plan),
                    Some(_) | None => drops.add("reasoning"),
                },
                Part::Text { .. } | Part::Refusal { .. } => text(part, &mut content, drops),
                Part::ToolCall(call) => tool_calls.push(tool_call(call, drops)),
                Part::Image { .. } | Part::File { .. } | Part::Audio { .. } | Part::ToolResult { .. } => {
                    let what = format!("images, files, audio or tool results of the assistant (messages[{at}])");
                    return Err(unsupported(what, "messages"));
                }
            }
        }
        if !content.is_empty() || !tool_calls.is_empty() {
            self.turns.push(Turn::Assistant {
                content,
                tool_plan,
                tool_calls,
            });
        }
        Ok(())
    }

    fn document(&mut self, source: &'a Media, title: Option<&'a str>, at: usize) -> Result<(), Unsupported> {
        let text = match place(source) {
            Place::Data { media_type, data } => text_of(media_type, data),
            Place::Url(_) | Place::File(_) => None,
        };
        let text = text.ok_or_else(|| {
            let what = format!("a file that is no text and inside the request (messages[{at}])");
            unsupported(what, "messages")
        })?;
        self.documents.push(Document {
            data: DocumentData { title, text },
        });
        Ok(())
    }
}

/// Text, or what is left out of where text stands.
fn text<'a>(part: &'a Part, content: &mut Vec<Content<'a>>, drops: &mut DroppedNames) {
    match part {
        Part::Text { text, cache } => {
            if cache.is_some() {
                drops.add("cache_control");
            }
            if !text.trim().is_empty() {
                content.push(Content::Text { text });
            }
        }
        Part::Refusal { text } => content.push(Content::Text { text }),
        Part::Reasoning(_) => drops.add("reasoning"),
        Part::Image { .. } | Part::File { .. } | Part::Audio { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => {}
    }
}

/// Reasoning that is only words.
fn plain(reasoning: &Reasoning) -> Option<&str> {
    let ours = matches!(reasoning.origin, None | Some(DialectName::CohereChat));
    let is_plain = reasoning.signature.is_none() && reasoning.redacted.is_none() && !reasoning.text.trim().is_empty();
    (ours && is_plain).then_some(reasoning.text.as_str())
}

fn tool_call<'a>(call: &'a ToolCall, drops: &mut DroppedNames) -> body::ToolCall<'a> {
    if call.signature.is_some() {
        // Only Gemini signs calls.
        drops.add("reasoning");
    }
    body::ToolCall {
        id: &call.id,
        kind: "function",
        function: CalledFunction {
            name: &call.name,
            arguments: match arguments::object(&call.arguments) {
                Cow::Borrowed(raw) => Cow::Borrowed(raw.get()),
                Cow::Owned(raw) => Cow::Owned(raw.get().to_owned()),
            },
        },
    }
}

fn image<'a>(source: &'a Media, detail: Option<&'a str>, at: usize) -> Result<ImageUrl<'a>, Unsupported> {
    let url = match place(source) {
        Place::Data { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
        Place::Url(url) => Cow::Borrowed(url),
        Place::File(_) => {
            let what = format!("a file uploaded to another provider (messages[{at}])");
            return Err(unsupported(what, "messages"));
        }
    };
    Ok(ImageUrl { url, detail })
}
