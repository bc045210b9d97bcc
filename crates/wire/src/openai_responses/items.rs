//! The items of a request's `input`, read into messages.
//!
//! Items are flat where messages nest: what the model said in one turn (reasoning, text, calls) is several items in a row here and
//! becomes one message. Items that only OpenAI's own servers can make sense of (calls of hosted tools, references, compactions)
//! cannot be translated. The type to read first is [`ItemReader`].

use types::chat::{Json, Media, Message, Part, Reasoning, Role, ToolCall};
use types::dialect::DialectName;

use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::openai_chat::media;
use crate::openai_responses::carry::{self, Carried};
use crate::openai_responses::fields::{expect, missing, optional, required, text, untranslatable, wrong};
use crate::openai_responses::tools::{chosen, wrap_input};
use crate::request::BadRequest;

/// Puts items together to messages.
#[derive(Debug, Default)]
pub struct ItemReader {
    messages: Vec<Message>,
    /// What has no word in the neutral model, by its place.
    extra: Vec<(String, Json)>,
    /// Signatures of calls that have not come yet, by the call's id.
    signatures: Vec<(String, String)>,
    /// The calls so far: id and name.
    calls: Vec<(String, String)>,
}

impl ItemReader {
    /// The messages, and what had no word by its place.
    pub fn into_parts(self) -> (Vec<Message>, Vec<(String, Json)>) {
        (self.messages, self.extra)
    }

    /// Reads one item that stands at `place`.
    pub fn item(&mut self, place: &str, item: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Object, place, item)?;
        let kind = optional(place, item, "type")?;
        let kind = match kind.as_deref() {
            Some(kind) => kind,
            None if item.get("role").is_some() => "message",
            // `{"id": …}` alone is a reference too.
            None if item.get("id").is_some() => "item_reference",
            None => return Err(missing(&format!("{place}.type"))),
        };
        match kind {
            "message" => self.message(place, item),
            "reasoning" => self.reasoning(place, item),
            "function_call" => {
                self.keep_others(
                    place,
                    item,
                    &["type", "id", "status", "call_id", "name", "arguments", "namespace"],
                );
                let arguments = item
                    .get("arguments")
                    .ok_or_else(|| missing(&format!("{place}.arguments")))?;
                let arguments = text(&format!("{place}.arguments"), arguments)?;
                self.call(place, item, arguments)
            }
            "custom_tool_call" => {
                self.keep_others(
                    place,
                    item,
                    &["type", "id", "status", "call_id", "name", "input", "namespace"],
                );
                let input = item.get("input").ok_or_else(|| missing(&format!("{place}.input")))?;
                let arguments = wrap_input(&text(&format!("{place}.input"), input)?);
                self.call(place, item, arguments)
            }
            "function_call_output" | "custom_tool_call_output" => self.output(place, item),
            "item_reference" => Err(untranslatable(place, "a reference to an item kept by the provider")),
            other => {
                let place = format!("{place}.type");
                Err(untranslatable(&place, &format!("an item of type `{other}`")))
            }
        }
    }

    /// Text of the user without any item around it.
    pub fn user_text(&mut self, text: String) {
        self.messages.push(message(Role::User, vec![Part::text(text)]));
    }

    /// Instructions: they come first.
    pub fn instructions(&mut self, text: String) {
        self.messages.insert(0, message(Role::System, vec![Part::text(text)]));
    }

    fn message(&mut self, place: &str, item: Raw<'_>) -> Result<(), BadRequest> {
        let role = match required(place, item, "role")?.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                let meant = "must be `system`, `developer`, `user` or `assistant`";
                return Err(wrong(&format!("{place}.role"), meant));
            }
        };
        self.keep_others(place, item, &["type", "id", "status", "role", "content"]);
        let here = format!("{place}.content");
        let content = item.get("content").ok_or_else(|| missing(&here))?;
        let mut parts = Vec::new();
        match content.string() {
            // An assistant's empty text is a filler, which other dialects refuse.
            Some(text) if role == Role::Assistant && text.is_empty() => {}
            Some(text) => parts.push(Part::text(text)),
            None => {
                expect(Kind::Array, &here, content)?;
                for (index, part) in content.items().enumerate() {
                    let place = format!("{here}[{index}]");
                    let part = self.part(&place, part)?;
                    if role != Role::Assistant && matches!(part, Part::Refusal { .. }) {
                        return Err(wrong(&place, "is a refusal, which only an assistant says"));
                    }
                    parts.push(part);
                }
            }
        }
        if role == Role::Assistant {
            self.said(parts);
        } else {
            self.messages.push(message(role, parts));
        }
        Ok(())
    }

    fn reasoning(&mut self, place: &str, item: Raw<'_>) -> Result<(), BadRequest> {
        let known = ["type", "id", "status", "summary", "content", "encrypted_content"];
        self.keep_others(place, item, &known);
        let texts = |name: &str| -> Result<String, BadRequest> {
            let mut joined = String::new();
            for (index, part) in item.get(name).into_iter().flat_map(Raw::items).enumerate() {
                let piece = required_text(&format!("{place}.{name}[{index}]"), part)?;
                if index > 0 {
                    joined.push_str("\n\n");
                }
                joined.push_str(&piece);
            }
            Ok(joined)
        };
        let summary = texts("summary")?;
        let text = if summary.is_empty() { texts("content")? } else { summary };
        let thought = match optional(place, item, "encrypted_content")? {
            None if text.is_empty() => return Ok(()),
            None => Reasoning {
                text,
                ..Reasoning::default()
            },
            Some(content) => match carry::open(&content) {
                Carried::Own => own_thought(text, content),
                Carried::Thought(thought) if thought.origin.is_none() => Reasoning { text, ..thought },
                Carried::Thought(thought) => thought,
                Carried::Call { id, signature } => {
                    self.signatures.push((id, signature));
                    return Ok(());
                }
                Carried::Unknown => {
                    let value = item.get("encrypted_content").expect("it was there a moment ago");
                    self.extra.push((format!("{place}.encrypted_content"), value.to_json()));
                    Reasoning {
                        text,
                        ..Reasoning::default()
                    }
                }
            },
        };
        self.said(vec![Part::Reasoning(thought)]);
        Ok(())
    }

    fn call(&mut self, place: &str, item: Raw<'_>, arguments: String) -> Result<(), BadRequest> {
        let id = required(place, item, "call_id")?;
        let name = chosen(place, item)?;
        let signed = self.signatures.iter().position(|(of, _)| *of == id);
        let signature = signed.map(|at| self.signatures.swap_remove(at).1);
        self.calls.push((id.clone(), name.clone()));
        self.said(vec![Part::ToolCall(ToolCall {
            id,
            name,
            arguments,
            signature,
        })]);
        Ok(())
    }

    fn output(&mut self, place: &str, item: Raw<'_>) -> Result<(), BadRequest> {
        self.keep_others(place, item, &["type", "id", "status", "call_id", "output", "name"]);
        let call_id = required(place, item, "call_id")?;
        let here = format!("{place}.output");
        let output = item.get("output").ok_or_else(|| missing(&here))?;
        let content = match output.string() {
            Some(text) if text.is_empty() => Vec::new(),
            Some(text) => vec![Part::text(text)],
            None => {
                expect(Kind::Array, &here, output)?;
                let parts = output.items().enumerate();
                parts
                    .map(|(index, part)| self.part(&format!("{here}[{index}]"), part))
                    .collect::<Result<_, _>>()?
            }
        };
        // Gemini needs the name of the call that is answered.
        let called = self.calls.iter().rev().find(|(id, _)| *id == call_id);
        let name = called.map(|(_, name)| name.clone()).or(optional(place, item, "name")?);
        let result = Part::ToolResult {
            call_id,
            name,
            content,
            is_error: false,
            cache: None,
        };
        self.messages.push(message(Role::Tool, vec![result]));
        Ok(())
    }

    fn part(&mut self, place: &str, part: Raw<'_>) -> Result<Part, BadRequest> {
        expect(Kind::Object, place, part)?;
        let cache = media::read_cache_mark(part);
        let kind = required(place, part, "type")?;
        let known: &[&str] = match kind.as_str() {
            "input_text" | "output_text" | "text" => &["text"],
            "refusal" => &["refusal"],
            "input_image" => &["image_url", "file_id", "detail"],
            "input_file" => &["file_data", "file_url", "file_id", "filename"],
            "input_audio" => &["input_audio"],
            other => {
                let place = format!("{place}.type");
                return Err(untranslatable(&place, &format!("a part of type `{other}`")));
            }
        };
        for (name, value) in part.members() {
            let marks = ["type", "cache_control", "prompt_cache_breakpoint"];
            // Empty annotations and log probabilities say nothing.
            let empty = matches!(value.text(), "[]" | "null");
            if !known.contains(&&*name) && !marks.contains(&&*name) && !empty {
                self.extra.push((format!("{place}.{name}"), value.to_json()));
            }
        }
        let url = |name: &str, url: &str| media::read_url(url).map_err(|what| wrong(&format!("{place}.{name}"), what));
        let string = |name: &str| optional(place, part, name);
        Ok(match kind.as_str() {
            "refusal" => Part::Refusal {
                text: required(place, part, "refusal")?,
            },
            "input_image" => {
                let source = match (string("image_url")?, string("file_id")?) {
                    (Some(address), _) => url("image_url", &address)?,
                    (None, Some(id)) => Media::FileId { id },
                    (None, None) => return Err(missing(&format!("{place}.image_url"))),
                };
                Part::Image {
                    source,
                    detail: string("detail")?,
                    cache,
                }
            }
            "input_file" => {
                let source = match (string("file_data")?, string("file_id")?, string("file_url")?) {
                    (Some(data), ..) if data.starts_with("data:") => url("file_data", &data)?,
                    (Some(data), ..) => Media::Base64 {
                        media_type: "application/pdf".to_owned(),
                        data,
                    },
                    (None, Some(id), _) => Media::FileId { id },
                    (None, None, Some(url)) => Media::Url { url },
                    (None, None, None) => return Err(missing(&format!("{place}.file_data"))),
                };
                Part::File {
                    source,
                    filename: string("filename")?,
                    cache,
                }
            }
            "input_audio" => {
                let here = format!("{place}.input_audio");
                let audio = part.get("input_audio").ok_or_else(|| missing(&here))?;
                let format = required(&here, audio, "format")?;
                let data = required(&here, audio, "data")?;
                let media_type = media::audio_type(&format);
                Part::Audio {
                    source: Media::Base64 { media_type, data },
                }
            }
            _ => Part::Text {
                text: required_text(place, part)?,
                cache,
            },
        })
    }

    /// Adds to what the model said last, when it was the last to speak.
    fn said(&mut self, parts: Vec<Part>) {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.parts.extend(parts),
            Some(_) | None => self.messages.push(message(Role::Assistant, parts)),
        }
    }

    fn keep_others(&mut self, place: &str, item: Raw<'_>, known: &[&str]) {
        for (name, value) in item.members() {
            if !known.contains(&&*name) && !value.is_null() {
                self.extra.push((format!("{place}.{name}"), value.to_json()));
            }
        }
    }
}

/// OpenAI's own reasoning: its opaque content signs the summary, or stands alone.
pub(super) fn own_thought(text: String, content: String) -> Reasoning {
    let (signature, redacted) = if text.is_empty() {
        (None, Some(content))
    } else {
        (Some(content), None)
    };
    Reasoning {
        text,
        signature,
        redacted,
        origin: Some(DialectName::OpenaiResponses),
    }
}

fn required_text(place: &str, part: Raw<'_>) -> Result<String, BadRequest> {
    let here = format!("{place}.text");
    text(&here, part.get("text").ok_or_else(|| missing(&here))?)
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}
