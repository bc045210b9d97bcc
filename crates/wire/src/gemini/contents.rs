//! Turns: the neutral model's messages as `contents` and `systemInstruction`.
//!
//! Gemini knows the roles `user` and `model`; what the same side says in a row becomes one turn, except that tool results
//! keep a turn of their own (it counts them against the calls before). Instructions are all gathered in
//! `systemInstruction`, wherever they stood: as a user's turn they would lose their rank.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use types::chat::{ChatRequest, Media, Message, Part, Reasoning, Role, ToolCall};
use types::dialect::DialectName;

use crate::gemini::model::Generation;
use crate::gemini::request::cannot;
use crate::request::DroppedNames;
use crate::request::Unsupported;

/// Stands for the signature of a call that another provider's model made, so that a conversation can move to Gemini 3 in the
/// middle of a tool loop (the thought-signature guide names it for "transferring a trace from a different model").
pub(super) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// A conversation in Gemini's words.
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<WirePart<'a>>,
    pub(super) turns: Vec<Content<'a>>,
}

/// One turn.
#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<WirePart<'a>>,
    #[serde(skip)]
    side: Side,
}

/// Whose turn it is; `Results` are the user's too, but in a turn of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    User,
    Model,
    Results,
}

impl<'a> Content<'a> {
    /// A user's turn.
    pub(super) fn user(parts: Vec<WirePart<'a>>) -> Content<'a> {
        Content {
            role: Some("user"),
            parts,
            side: Side::User,
        }
    }

    /// `systemInstruction`, which has no role.
    pub(super) fn system(parts: Vec<WirePart<'a>>) -> Content<'a> {
        Content {
            role: None,
            ..Content::user(parts)
        }
    }
}

/// A part as it goes over the wire: exactly one kind of content, perhaps with a signature.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought: bool,
    #[serde(flatten)]
    media: WireMedia<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

/// Data here or elsewhere: at most one of the two.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct WireMedia<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileData<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    args: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    response: ToolOutput<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<WireMedia<'a>>,
}

/// `response` with the keys the reference gives a meaning. The text stays a string even when it is JSON: as a structure its
/// numbers would pass through floating point.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ToolOutput<'a> {
    Output(Cow<'a, str>),
    Error(Cow<'a, str>),
}

/// The messages of a request as turns.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    generation: Generation,
    report: &mut DroppedNames,
) -> Result<Conversation<'a>, Unsupported> {
    let mut writer = Writer {
        conversation: Conversation {
            system: Vec::new(),
            turns: Vec::new(),
        },
        calls: HashMap::new(),
        generation,
        report,
    };
    for message in &request.messages {
        writer.message(message)?;
    }
    Ok(writer.conversation)
}

struct Writer<'a, 'r> {
    conversation: Conversation<'a>,
    /// Tool names by the id of their latest call: a result names its tool.
    calls: HashMap<&'a str, &'a str>,
    generation: Generation,
    report: &'r mut DroppedNames,
}

impl<'a> Writer<'a, '_> {
    fn message(&mut self, message: &'a Message) -> Result<(), Unsupported> {
        if message.name.is_some() {
            self.report.add("name");
        }
        let alone = message.parts.len() == 1;
        for part in &message.parts {
            // An empty text beside other parts says nothing, and Gemini refuses it.
            if matches!(part, Part::Text { text, .. } if text.is_empty() && !alone) {
                continue;
            }
            self.part(message.role, part)?;
        }
        Ok(())
    }

    fn part(&mut self, role: Role, part: &'a Part) -> Result<(), Unsupported> {
        let side = match role {
            Role::Assistant => Side::Model,
            Role::System | Role::User | Role::Tool => Side::User,
        };
        if let Part::Text { cache: Some(_), .. }
        | Part::Image { cache: Some(_), .. }
        | Part::File { cache: Some(_), .. }
        | Part::ToolResult { cache: Some(_), .. } = part
        {
            self.report.add("cache_control");
        }
        match part {
            Part::Text { text, .. } | Part::Refusal { text } => {
                let part = WirePart {
                    text: Some(text),
                    ..WirePart::default()
                };
                match role {
                    Role::System => self.conversation.system.push(part),
                    Role::User | Role::Assistant | Role::Tool => self.push(side, part),
                }
            }
            _ if role == Role::System => {
                return Err(cannot("instructions that are no text", "messages"));
            }
            Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => {
                let media = self.media(part)?;
                self.push(
                    side,
                    WirePart {
                        media,
                        ..WirePart::default()
                    },
                );
            }
            Part::Reasoning(reasoning) => self.reasoning(reasoning),
            Part::ToolCall(call) => self.call(call),
            Part::ToolResult {
                call_id,
                name,
                content,
                is_error,
                cache: _,
            } => self.result(call_id, name.as_deref(), content, *is_error)?,
        }
        Ok(())
    }

    fn push(&mut self, side: Side, part: WirePart<'a>) {
        match self.conversation.turns.last_mut() {
            Some(turn) if turn.side == side => turn.parts.push(part),
            _ => self.conversation.turns.push(Content {
                role: Some(match side {
                    Side::User | Side::Results => "user",
                    Side::Model => "model",
                }),
                parts: vec![part],
                side,
            }),
        }
    }

    /// Reasoning of Gemini's own goes back; a signature without text belongs to the text before it.
    fn reasoning(&mut self, reasoning: &'a Reasoning) {
        if reasoning.origin != Some(DialectName::Gemini) {
            self.report.add("reasoning");
            return;
        }
        let signature = reasoning.signature.as_deref().filter(|s| is_base64(s));
        if reasoning.text.is_empty() {
            if signature.is_none() {
                return;
            }
            let before = match self.conversation.turns.last_mut() {
                Some(turn) if turn.side == Side::Model => turn.parts.last_mut(),
                _ => None,
            };
            if let Some(part) = before
                && part.text.is_some()
                && !part.thought
                && part.thought_signature.is_none()
            {
                part.thought_signature = signature;
                return;
            }
        }
        self.push(
            Side::Model,
            WirePart {
                text: Some(&reasoning.text),
                thought: !reasoning.text.is_empty(),
                thought_signature: signature,
                ..WirePart::default()
            },
        );
    }

    fn call(&mut self, call: &'a ToolCall) {
        self.calls.insert(&call.id, &call.name);
        let args = match arguments(&call.arguments) {
            Some(args) => args,
            None => {
                // The model's own slip of an earlier turn: told as text, so that the conversation can go on.
                self.report.add("tool_calls.function.arguments");
                let wrapped = serde_json::json!({ "arguments": call.arguments });
                Cow::Owned(serde_json::value::to_raw_value(&wrapped).expect("a string serialises"))
            }
        };
        let is_first = match self.conversation.turns.last() {
            Some(turn) if turn.side == Side::Model => turn.parts.iter().all(|part| part.function_call.is_none()),
            _ => true,
        };
        let signature = call.signature.as_deref().filter(|s| is_base64(s));
        // Gemini 3 refuses a turn whose first call comes back without a signature.
        let stand_in = (is_first && self.generation == Generation::Levels).then_some(NO_SIGNATURE);
        self.push(
            Side::Model,
            WirePart {
                function_call: Some(FunctionCall {
                    id: &call.id,
                    name: &call.name,
                    args,
                }),
                thought_signature: signature.or(stand_in),
                ..WirePart::default()
            },
        );
    }

    fn result(
        &mut self,
        call_id: &'a str,
        name: Option<&'a str>,
        content: &'a [Part],
        is_error: bool,
    ) -> Result<(), Unsupported> {
        let Some(name) = name.or_else(|| self.calls.get(call_id).copied()) else {
            return Err(cannot(
                format!("a tool result whose call {call_id:?} is not in the conversation (it names the tool)"),
                "messages",
            ));
        };
        let mut text = Cow::Borrowed("");
        let mut parts = Vec::new();
        for part in content {
            match part {
                Part::Text { text: piece, cache } => {
                    if cache.is_some() {
                        self.report.add("cache_control");
                    }
                    if text.is_empty() {
                        text = Cow::Borrowed(piece);
                    } else {
                        let text = text.to_mut();
                        text.push('\n');
                        text.push_str(piece);
                    }
                }
                Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => {
                    parts.push(self.media(part)?);
                }
                Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => {
                    return Err(cannot("a tool result of other than text and media", "messages"));
                }
            }
        }
        let response = if is_error {
            ToolOutput::Error(text)
        } else {
            ToolOutput::Output(text)
        };
        self.push(
            Side::Results,
            WirePart {
                function_response: Some(FunctionResponse {
                    id: call_id,
                    name,
                    response,
                    parts,
                }),
                ..WirePart::default()
            },
        );
        Ok(())
    }

    /// Media of a part that is an image, a file or audio.
    fn media(&mut self, part: &'a Part) -> Result<WireMedia<'a>, Unsupported> {
        let source = match part {
            Part::Image { source, detail, .. } => {
                // Resolution is said a part only from Gemini 3 on, and in other steps.
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.report.add("detail");
                }
                source
            }
            Part::File { source, filename, .. } => {
                if filename.is_some() {
                    self.report.add("filename");
                }
                source
            }
            Part::Audio { source } => source,
            Part::Text { .. }
            | Part::Reasoning(_)
            | Part::Refusal { .. }
            | Part::ToolCall(_)
            | Part::ToolResult { .. } => return Ok(WireMedia::default()),
        };
        media(source)
    }
}

fn media(source: &Media) -> Result<WireMedia<'_>, Unsupported> {
    let inline = |mime_type, data| WireMedia {
        inline_data: Some(Blob { mime_type, data }),
        file_data: None,
    };
    match source {
        Media::Base64 { media_type, data } => Ok(inline(media_type, data)),
        Media::Url { url } => match data_url(url) {
            Some((mime_type, data)) => Ok(inline(mime_type, data)),
            None => file(url),
        },
        Media::FileId { id } => file(id),
    }
}

/// What Gemini fetches itself: web addresses, uploads to its Files API (whose ids are addresses too), cloud storage.
fn file(uri: &str) -> Result<WireMedia<'_>, Unsupported> {
    let fetchable = ["https://", "http://", "gs://"];
    if !fetchable.iter().any(|scheme| uri.starts_with(scheme)) {
        return Err(cannot(
            "a file that is neither inline nor at an https or gs address (uploads to another provider)",
            "messages",
        ));
    }
    Ok(WireMedia {
        inline_data: None,
        file_data: Some(FileData {
            mime_type: mime_type_of(uri),
            file_uri: uri,
        }),
    })
}

/// Type and data of a `data:` URL in base64.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mime_type = head.strip_suffix(";base64")?;
    Some((mime_type.split(';').next().unwrap_or_default(), data))
}

/// By the ending of the path; the provider finds out about others.
pub(super) fn mime_type_of(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "xml" => "text/xml",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "webm" => "video/webm",
        _ => return None,
    })
}

/// Arguments as `args`: an object, as it was written. `None` when they are none.
fn arguments(text: &str) -> Option<Cow<'_, RawValue>> {
    let text = match text.trim() {
        "" => "{}",
        text => text,
    };
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    text.starts_with('{').then_some(Cow::Borrowed(raw))
}

/// A signature that is no base64 is another provider's; Gemini would refuse the whole request for it.
fn is_base64(signature: &str) -> bool {
    !signature.is_empty()
        && signature
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'-' | b'_' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_by_the_address() {
        let rows = [
            ("https://example.com/cat.PNG?size=2#x", Some("image/png")),
            ("gs://bucket/report.pdf", Some("application/pdf")),
            ("https://example.com/v1.2/cat", None),
            ("https://example.com", None),
        ];
        for (uri, wanted) in rows {
            assert_eq!(mime_type_of(uri), wanted, "{uri}");
        }
        assert_eq!(data_url("data:image/png;base64,aGk="), Some(("image/png", "aGk=")));
        assert_eq!(
            data_url("data:text/plain;charset=utf-8;base64,aGk="),
            Some(("text/plain", "aGk="))
        );
        assert_eq!(data_url("data:text/plain,hi"), None);
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        let rows = [
            ("", Some("{}")),
            (
                r#" {"b":1,"a":12345678901234567890} "#,
                Some(r#"{"b":1,"a":12345678901234567890}"#),
            ),
            (r#"{"a":"#, None),
            ("[1]", None),
            ("\"{}\"", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(arguments(text).as_deref().map(RawValue::get), wanted, "{text}");
        }
    }
}
