//! Contents of a client's request as turns of the neutral model.
//!
//! A call may come without an id, and so may its result: such calls are counted through the conversation, which gives the same
//! ids on every turn of it, and a result without an id answers the oldest call of its name that has none yet.

use types::chat::{Json, Media, Message, Part, Role, ToolCall};

use crate::fields::{expect, missing, required, text, untranslatable, wrong};
use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::gemini::carried::{self, camel, get};
use crate::gemini::contents::{NO_SIGNATURE, mime_type_of};
use crate::request::BadRequest;

/// Where Google keeps uploads: others cannot fetch from there.
const UPLOADS: [&str; 2] = ["https://generativelanguage.googleapis.com/", "gs://"];

/// Turns as they are read.
pub(super) struct Turns<'k> {
    pub(super) messages: Vec<Message>,
    keep: &'k mut Vec<(String, Json)>,
    calls: Vec<Call>,
}

/// A call so far.
struct Call {
    id: String,
    name: String,
    answered: bool,
}

impl<'k> Turns<'k> {
    /// No turn yet. `keep` takes what the neutral model has no word for.
    pub(super) fn new(keep: &'k mut Vec<(String, Json)>) -> Turns<'k> {
        Turns {
            messages: Vec::new(),
            keep,
            calls: Vec::new(),
        }
    }

    /// Reads one content; tool results become a turn of their own.
    pub(super) fn content(&mut self, place: &str, content: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Object, place, content)?;
        let here = format!("{place}.role");
        let role = match get(content, "role")
            .map(|role| text(&here, role))
            .transpose()?
            .as_deref()
        {
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(wrong(&here, "must be `user` or `model`")),
        };
        let (mut said, mut results) = (Vec::new(), Vec::new());
        let parts = match get(content, "parts") {
            Some(parts) => expect(Kind::Array, &format!("{place}.parts"), parts)?,
            None => return Ok(()),
        };
        for (index, part) in parts.items().enumerate() {
            let place = format!("{place}.parts[{index}]");
            let mut read = Vec::new();
            self.part(&place, role, expect(Kind::Object, &place, part)?, &mut read)?;
            for part in read {
                match part {
                    Part::ToolResult { .. } => results.push(part),
                    _ => said.push(part),
                }
            }
        }
        for (role, parts) in [(Role::Tool, results), (role, said)] {
            if !parts.is_empty() {
                self.messages.push(Message {
                    role,
                    parts,
                    name: None,
                });
            }
        }
        Ok(())
    }

    fn part(&mut self, place: &str, role: Role, part: Raw<'_>, out: &mut Vec<Part>) -> Result<(), BadRequest> {
        let (mut words, mut thought, mut signature, mut other) = (None, false, None, None);
        for (key, value) in part.members() {
            let name = camel(&key);
            let here = format!("{place}.{name}");
            match &*name {
                _ if value.is_null() => {}
                "text" => words = Some(text(&here, value)?),
                "thought" => thought = value.bool().ok_or_else(|| wrong(&here, "must be true or false"))?,
                "thoughtSignature" => signature = Some(text(&here, value)?).filter(|s| !s.is_empty()),
                "inlineData" | "fileData" if role == Role::Assistant => {
                    return Err(untranslatable(&here, "media of the model's"));
                }
                "inlineData" | "fileData" => other = Some(media(&here, value)?),
                "functionCall" if role == Role::Assistant => other = Some(self.call(&here, value)?),
                "functionResponse" if role == Role::User => other = Some(self.result(&here, value)?),
                "functionCall" | "functionResponse" => return Err(wrong(&here, "cannot stand in a turn of this role")),
                "executableCode" | "codeExecutionResult" | "toolCall" | "toolResponse" => {
                    return Err(untranslatable(&here, "a call of a built-in tool"));
                }
                _ => self.keep.push((here, value.to_json())),
            }
        }
        let is_ours = |signature: &String| signature != NO_SIGNATURE;
        let signature = signature.filter(is_ours);
        match (other, words) {
            (Some(Part::ToolCall(call)), _) => out.push(Part::ToolCall(ToolCall { signature, ..call })),
            (Some(part), _) => out.push(part),
            (None, Some(words)) if role == Role::User => out.push(Part::text(words)),
            (None, Some(words)) if thought => out.push(Part::Reasoning(carried::read(words, signature))),
            (None, words) => {
                let words = words.unwrap_or_default();
                if words.is_empty() && signature.is_none() && out.is_empty() {
                    return Ok(());
                }
                if !words.is_empty() {
                    out.push(Part::text(words));
                }
                // A signature on a text follows it as reasoning without words.
                if signature.is_some() {
                    out.push(Part::Reasoning(carried::read(String::new(), signature)));
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, place: &str, value: Raw<'_>) -> Result<Part, BadRequest> {
        let name = required(
            &format!("{place}.name"),
            get(expect(Kind::Object, place, value)?, "name"),
        )?;
        let id = get(value, "id").and_then(Raw::string).filter(|id| !id.is_empty());
        let id = id.map_or_else(|| format!("call_{}", self.calls.len()), |id| id.into_owned());
        let arguments = match get(value, "args") {
            Some(args) => expect(Kind::Object, &format!("{place}.args"), args)?.text().to_owned(),
            None => "{}".to_owned(),
        };
        self.calls.push(Call {
            id: id.clone(),
            name: name.clone(),
            answered: false,
        });
        Ok(Part::ToolCall(ToolCall {
            id,
            name,
            arguments,
            signature: None,
        }))
    }

    fn result(&mut self, place: &str, value: Raw<'_>) -> Result<Part, BadRequest> {
        let name = required(
            &format!("{place}.name"),
            get(expect(Kind::Object, place, value)?, "name"),
        )?;
        let id = get(value, "id").and_then(Raw::string).filter(|id| !id.is_empty());
        let id = id.map(|id| id.into_owned());
        let is_it = |call: &&mut Call| match &id {
            Some(id) => call.id == *id,
            None => call.name == name && !call.answered,
        };
        let call_id = match self.calls.iter_mut().find(is_it) {
            Some(call) => {
                call.answered = true;
                call.id.clone()
            }
            // Its call is nowhere; what that means is for the target to say.
            None => id.unwrap_or_else(|| format!("call_of_{name}")),
        };
        let (words, is_error) = match get(value, "response") {
            Some(response) => output(expect(Kind::Object, &format!("{place}.response"), response)?),
            None => (String::new(), false),
        };
        let mut content = Vec::new();
        if !words.is_empty() {
            content.push(Part::text(words));
        }
        for (index, part) in get(value, "parts").into_iter().flat_map(Raw::items).enumerate() {
            let place = format!("{place}.parts[{index}]");
            let found = get(part, "inlineData").or_else(|| get(part, "fileData"));
            content.push(media(
                &place,
                found.ok_or_else(|| missing(&format!("{place}.inlineData")))?,
            )?);
        }
        Ok(Part::ToolResult {
            call_id,
            name: Some(name),
            content,
            is_error,
            cache: None,
        })
    }
}

/// What a tool gave, as text: the words of `output`, `result` or `error` where it is nothing else, else the object as written.
fn output(response: Raw<'_>) -> (String, bool) {
    let mut members = response.members();
    let (Some((key, value)), None) = (members.next(), members.next()) else {
        return (response.text().to_owned(), false);
    };
    let words = value
        .string()
        .map_or_else(|| value.text().to_owned(), |text| text.into_owned());
    match &*key {
        "output" | "result" => (words, false),
        "error" => (words, true),
        _ => (response.text().to_owned(), false),
    }
}

/// Data here or elsewhere, as the part its type makes it.
fn media(place: &str, value: Raw<'_>) -> Result<Part, BadRequest> {
    expect(Kind::Object, place, value)?;
    let member = |name: &str| get(value, name).and_then(Raw::string).filter(|text| !text.is_empty());
    let kind = member("mimeType").map(|kind| kind.into_owned());
    let (source, kind) = match (member("data"), member("fileUri")) {
        (Some(data), _) => {
            let media_type = kind.ok_or_else(|| missing(&format!("{place}.mimeType")))?;
            // The SDKs write the alphabet of URLs; other dialects take the standard one only.
            let data = data.replace('-', "+").replace('_', "/");
            let source = Media::Base64 {
                media_type: media_type.clone(),
                data,
            };
            (source, media_type)
        }
        (None, Some(uri)) => {
            let kind = kind
                .or_else(|| mime_type_of(&uri).map(str::to_owned))
                .unwrap_or_default();
            let uri = uri.into_owned();
            let source = match UPLOADS.iter().any(|uploads| uri.starts_with(uploads)) {
                true => Media::FileId { id: uri },
                false => Media::Url { url: uri },
            };
            (source, kind)
        }
        (None, None) => return Err(missing(&format!("{place}.data"))),
    };
    Ok(match kind.split('/').next() {
        Some("image") => Part::Image {
            source,
            detail: None,
            cache: None,
        },
        Some("audio") => Part::Audio { source },
        _ => Part::File {
            source,
            filename: member("displayName").map(|name| name.into_owned()),
            cache: None,
        },
    })
}
