//! Requests of this dialect, read into the neutral model. Only for calls whose target speaks another dialect, or whose broken
//! stream is to be continued: others pass through as they came.
//!
//! Total: a field the neutral model has no word for goes to `extra` under its name, or under its place when it stands
//! deeper (`messages[2].annotations`), and whoever cannot carry it on reports it; so do tools that are no functions
//! (`offers`). What cannot be translated without changing its meaning (calls of such tools, audio answers) is a
//! [`BadRequest`] with code [`UNTRANSLATABLE`].

use types::chat::{
    ChatRequest, Json, Media, Message, Part, Reasoning, ReasoningRequest, ResponseFormat, Role, Tool, ToolCall,
    ToolChoice,
};
use types::dialect::DialectName;

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::offers::LeftOut;
use crate::openai_chat::media;
use crate::request::{BadRequest, UNTRANSLATABLE};

/// Reads a whole request.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let text = std::str::from_utf8(body).map_err(|_| BadRequest::body("the body is not UTF-8"))?;
    let raw = Raw::parse(text, Surrogates::Paired).map_err(|fault| {
        let (line, column) = fault.place(text);
        BadRequest::body(format!(
            "the body is not valid JSON: {} (line {line}, column {column})",
            fault.what
        ))
    })?;
    if raw.kind() != Kind::Object {
        return Err(BadRequest::body("the body must be a JSON object"));
    }
    let mut decoder = RequestDecoder::default();
    for (name, value) in raw.members() {
        if !value.is_null() {
            decoder.member(&name, value)?;
        }
    }
    decoder.into_request()
}

#[derive(Default)]
struct RequestDecoder {
    request: ChatRequest,
    max_tokens: Option<u64>,
    logprobs: bool,
    top_logprobs: u32,
    /// The tools an `allowed_tools` choice leaves.
    allowed: Option<Vec<String>>,
    left: LeftOut,
}

impl RequestDecoder {
    fn into_request(self) -> Result<ChatRequest, BadRequest> {
        let mut request = self.request;
        if request.model.is_empty() {
            return Err(missing("model"));
        }
        if request.messages.is_empty() {
            return Err(missing("messages"));
        }
        request.dialect = Some(DialectName::OpenaiChat);
        request.max_output_tokens = request.max_output_tokens.or(self.max_tokens);
        request.logprobs = self.logprobs.then_some(self.top_logprobs);
        if let Some(allowed) = self.allowed {
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
        name_tool_results(&mut request.messages);
        self.left.check(&request)?;
        Ok(request)
    }

    fn member(&mut self, name: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let request = &mut self.request;
        match name {
            "model" => request.model = text(name, value)?,
            "messages" => self.messages(value)?,
            "tools" => self.tools(value)?,
            "tool_choice" => self.tool_choice(value)?,
            "parallel_tool_calls" => request.parallel_tool_calls = Some(boolean(name, value)?),
            "response_format" => request.response_format = Some(response_format(value)?),
            "temperature" => request.sampling.temperature = Some(number(name, value)?),
            "top_p" => request.sampling.top_p = Some(number(name, value)?),
            "top_k" => request.sampling.top_k = Some(count(name, value)?),
            "presence_penalty" => request.sampling.presence_penalty = Some(number(name, value)?),
            "frequency_penalty" => request.sampling.frequency_penalty = Some(number(name, value)?),
            "max_completion_tokens" => request.max_output_tokens = u64::try_from(integer(name, value)?).ok(),
            "max_tokens" => self.max_tokens = u64::try_from(integer(name, value)?).ok(),
            "stop" => request.stop = stop(value)?,
            "n" => match count(name, value)? {
                n @ 1..=128 => request.n = Some(n as u32),
                _ => return Err(wrong(name, "must be between 1 and 128")),
            },
            "seed" => request.seed = Some(integer(name, value)?),
            "logprobs" => self.logprobs = boolean(name, value)?,
            "top_logprobs" => self.top_logprobs = count(name, value)?.min(20) as u32,
            "reasoning_effort" => request.reasoning = Some(ReasoningRequest::Effort(text(name, value)?)),
            "stream" => request.stream = boolean(name, value)?,
            "stream_options" => self.stream_options(value)?,
            "user" => request.user = Some(text(name, value)?),
            "modalities" if value.items().all(|item| item.string().as_deref() == Some("text")) => {}
            "modalities" => return Err(untranslatable(name, "an answer that is no text")),
            "function_call" if value.kind() == Kind::Object => {
                return Err(untranslatable(name, "a call of a deprecated function"));
            }
            _ => self.keep(name.to_owned(), value),
        }
        Ok(())
    }

    /// Keeps what the neutral model has no word for.
    fn keep(&mut self, place: String, value: Raw<'_>) {
        if !value.is_null() {
            self.request.extra.push((place, value.to_json()));
        }
    }

    fn stream_options(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Object, "stream_options", value)?;
        if let Some(usage) = value.get("include_usage") {
            self.request.include_usage = boolean("stream_options.include_usage", usage)?;
        }
        if value
            .members()
            .any(|(name, value)| name != "include_usage" && !value.is_null())
        {
            self.keep("stream_options".to_owned(), value);
        }
        Ok(())
    }

    fn tools(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Array, "tools", value)?;
        for (index, tool) in value.items().enumerate() {
            let place = format!("tools[{index}]");
            expect(Kind::Object, &place, tool)?;
            let kind = tool.get("type").and_then(Raw::string);
            let is_function = kind.as_deref().is_none_or(|kind| kind == "function");
            let function = match (tool.get("function").filter(|_| is_function), kind) {
                (Some(function), _) => function,
                (None, Some(kind)) if !is_function => {
                    let name = tool.get(&kind).and_then(|body| body.get("name")).and_then(Raw::string);
                    let name = name.as_deref().unwrap_or(&kind);
                    self.left.add(&place, &kind, name, tool, &mut self.request.extra);
                    continue;
                }
                (None, _) => return Err(missing(&format!("{place}.function"))),
            };
            let name = required(&place, "function.name", function.get("name"))?;
            let parameters = match function.get("parameters") {
                Some(schema) => Some(expect(Kind::Object, &format!("{place}.function.parameters"), schema)?.to_json()),
                None => None,
            };
            let optional = |name: &str| {
                function
                    .get(name)
                    .map(|value| text(&format!("{place}.function.{name}"), value))
            };
            let strict = function
                .get("strict")
                .map(|value| boolean(&format!("{place}.function.strict"), value));
            self.request.tools.push(Tool {
                name,
                description: optional("description").transpose()?,
                parameters,
                strict: strict.transpose()?,
                cache: media::read_cache_mark(tool).or(media::read_cache_mark(function)),
            });
        }
        Ok(())
    }

    fn tool_choice(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        let mode = |word: &str, place: &str| match word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(wrong(place, "must be `auto`, `none`, `required` or a function")),
        };
        let choice = match value.string() {
            Some(word) => mode(&word, "tool_choice")?,
            None => {
                expect(Kind::Object, "tool_choice", value)?;
                let kind = required("tool_choice", "type", value.get("type"))?;
                match (kind.as_str(), value.get("function"), value.get("allowed_tools")) {
                    ("function", Some(function), _) => {
                        ToolChoice::Named(required("tool_choice", "function.name", function.get("name"))?)
                    }
                    ("allowed_tools", _, Some(allowed)) => {
                        // Offering only the allowed tools asks for the same.
                        let names = allowed.get("tools").into_iter().flat_map(Raw::items);
                        let names =
                            names.filter_map(|tool| Some(tool.get("function")?.get("name")?.string()?.into_owned()));
                        self.allowed = Some(names.collect());
                        let word = required("tool_choice", "allowed_tools.mode", allowed.get("mode"))?;
                        mode(&word, "tool_choice.allowed_tools.mode")?
                    }
                    _ => return Err(untranslatable("tool_choice", "a choice that is no function")),
                }
            }
        };
        self.request.tool_choice = Some(choice);
        Ok(())
    }

    fn messages(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Array, "messages", value)?;
        for (index, message) in value.items().enumerate() {
            let place = format!("messages[{index}]");
            expect(Kind::Object, &place, message)?;
            let message = self.message(&place, message)?;
            self.request.messages.push(message);
        }
        Ok(())
    }

    fn message(&mut self, place: &str, message: Raw<'_>) -> Result<Message, BadRequest> {
        let role = match required(place, "role", message.get("role"))?.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            "function" => return Err(untranslatable(place, "a message of role `function`")),
            _ => {
                let message = "must be `system`, `developer`, `user`, `assistant` or `tool`";
                return Err(wrong(&format!("{place}.role"), message));
            }
        };
        let mut parts = Vec::new();
        let mut name = None;
        let mut call_id = None;
        let mut reasoning = None;
        let mut details = Vec::new();
        for (key, value) in message.members() {
            let here = format!("{place}.{key}");
            match &*key {
                _ if value.is_null() => {}
                "role" => {}
                "name" => name = Some(text(&here, value)?),
                "content" => self.content(role, &here, value, &mut parts)?,
                "refusal" if role == Role::Assistant => parts.push(Part::Refusal {
                    text: text(&here, value)?,
                }),
                "reasoning_content" | "reasoning" if role == Role::Assistant && value.kind() == Kind::String => {
                    reasoning = Some(text(&here, value)?);
                }
                "reasoning_details" if role == Role::Assistant => {
                    details.extend(value.items().map(media::read_reasoning_detail));
                }
                "tool_calls" if role == Role::Assistant => tool_calls(&here, value, &mut parts)?,
                "tool_call_id" if role == Role::Tool => call_id = Some(text(&here, value)?),
                "function_call" => return Err(untranslatable(&here, "a call of a deprecated function")),
                _ => self.keep(here, value),
            }
        }
        if role == Role::Tool {
            let call_id = call_id.ok_or_else(|| missing(&format!("{place}.tool_call_id")))?;
            parts = vec![Part::ToolResult {
                call_id,
                name: name.take(),
                content: parts,
                is_error: false,
                cache: None,
            }];
        }
        if details.is_empty() {
            let plain = |text| Reasoning {
                text,
                ..Reasoning::default()
            };
            details.extend(reasoning.filter(|text| !text.is_empty()).map(plain));
        }
        // What was thought came before what was said, and calls come after both.
        parts.sort_by_key(|part| matches!(part, Part::ToolCall(_)));
        parts.splice(0..0, details.into_iter().map(Part::Reasoning));
        Ok(Message { role, parts, name })
    }

    fn content(&mut self, role: Role, place: &str, value: Raw<'_>, parts: &mut Vec<Part>) -> Result<(), BadRequest> {
        if let Some(text) = value.string() {
            // Beside tool calls, and as a filler, assistants have empty texts, which other dialects refuse.
            if role != Role::Assistant || !text.is_empty() {
                parts.push(Part::text(text));
            }
            return Ok(());
        }
        if value.kind() != Kind::Array {
            return Err(wrong(place, "must be a string or an array of parts"));
        }
        for (index, part) in value.items().enumerate() {
            let place = format!("{place}[{index}]");
            match part.string() {
                Some(text) => parts.push(Part::text(text)),
                None => parts.push(self.part(&place, expect(Kind::Object, &place, part)?)?),
            }
        }
        Ok(())
    }

    fn part(&mut self, place: &str, part: Raw<'_>) -> Result<Part, BadRequest> {
        let cache = media::read_cache_mark(part);
        let kind = required(place, "type", part.get("type"))?;
        let known: &[&str] = match kind.as_str() {
            "text" => &["text"],
            "refusal" => &["refusal"],
            "image_url" => &["image_url"],
            "input_audio" => &["input_audio"],
            "file" => &["file"],
            other => {
                return Err(untranslatable(
                    &format!("{place}.type"),
                    &format!("a part of type `{other}`"),
                ));
            }
        };
        let body = part.get(known[0]).ok_or_else(|| missing(&format!("{place}.{kind}")))?;
        for (name, value) in part.members() {
            let marks = ["type", "cache_control", "prompt_cache_breakpoint"];
            if !known.contains(&&*name) && !marks.contains(&&*name) {
                self.keep(format!("{place}.{name}"), value);
            }
        }
        let here = format!("{place}.{kind}");
        let url = |place: &str, url: &str| media::read_url(url).map_err(|what| wrong(place, what));
        Ok(match kind.as_str() {
            "text" => Part::Text {
                text: text(&here, body)?,
                cache,
            },
            "refusal" => Part::Refusal {
                text: text(&here, body)?,
            },
            "image_url" => {
                // Some clients write the URL without the object around it.
                let address = if body.kind() == Kind::String {
                    Some(body)
                } else {
                    body.get("url")
                };
                let address = required(&here, "url", address)?;
                let detail = body
                    .get("detail")
                    .map(|detail| text(&format!("{here}.detail"), detail))
                    .transpose()?;
                Part::Image {
                    source: url(&format!("{here}.url"), &address)?,
                    detail,
                    cache,
                }
            }
            "input_audio" => {
                let data = required(&here, "data", body.get("data"))?;
                let format = required(&here, "format", body.get("format"))?;
                Part::Audio {
                    source: Media::Base64 {
                        media_type: media::audio_type(&format),
                        data,
                    },
                }
            }
            _ => {
                let member = |name: &str| {
                    body.get(name)
                        .map(|value| text(&format!("{here}.{name}"), value))
                        .transpose()
                };
                let source = match (member("file_data")?, member("file_id")?) {
                    (Some(data), _) if data.starts_with("data:") => url(&format!("{here}.file_data"), &data)?,
                    (Some(data), _) => Media::Base64 {
                        media_type: "application/pdf".to_owned(),
                        data,
                    },
                    (None, Some(id)) => Media::FileId { id },
                    (None, None) => return Err(missing(&format!("{here}.file_data"))),
                };
                Part::File {
                    source,
                    filename: member("filename")?,
                    cache,
                }
            }
        })
    }
}

fn tool_calls(place: &str, value: Raw<'_>, parts: &mut Vec<Part>) -> Result<(), BadRequest> {
    expect(Kind::Array, place, value)?;
    for (index, call) in value.items().enumerate() {
        let place = format!("{place}[{index}]");
        expect(Kind::Object, &place, call)?;
        let Some(function) = call.get("function") else {
            return Err(untranslatable(&place, "a call of a tool that is no function"));
        };
        let arguments = match function.get("arguments") {
            Some(arguments) => arguments
                .string()
                .map_or_else(|| arguments.text().to_owned(), |text| text.into_owned()),
            None => String::new(),
        };
        parts.push(Part::ToolCall(ToolCall {
            id: required(&place, "id", call.get("id"))?,
            name: required(&place, "function.name", function.get("name"))?,
            arguments,
            signature: media::read_tool_signature(call),
        }));
    }
    Ok(())
}

/// Gives tool results the name of the call they answer: Gemini needs it.
fn name_tool_results(messages: &mut [Message]) {
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        match part {
            Part::ToolCall(call) => calls.push((call.id.clone(), call.name.clone())),
            Part::ToolResult {
                call_id,
                name: name @ None,
                ..
            } => {
                let call = calls.iter().rev().find(|(id, _)| id == call_id);
                *name = call.map(|(_, name)| name.clone());
            }
            _ => {}
        }
    }
}

fn response_format(value: Raw<'_>) -> Result<ResponseFormat, BadRequest> {
    let place = "response_format";
    expect(Kind::Object, place, value)?;
    match required(place, "type", value.get("type"))?.as_str() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let place = "response_format.json_schema";
            let schema = value.get("json_schema").ok_or_else(|| missing(place))?;
            let strict = schema
                .get("strict")
                .map(|value| boolean(&format!("{place}.strict"), value));
            let description = schema
                .get("description")
                .map(|value| text(&format!("{place}.description"), value));
            let inner = match schema.get("schema") {
                Some(schema) => expect(Kind::Object, &format!("{place}.schema"), schema)?.to_json(),
                None => Json::parse("{}").expect("an empty object is JSON"),
            };
            Ok(ResponseFormat::JsonSchema {
                name: required(place, "name", schema.get("name"))?,
                description: description.transpose()?,
                schema: inner,
                strict: strict.transpose()?,
            })
        }
        _ => Err(wrong(
            "response_format.type",
            "must be `text`, `json_object` or `json_schema`",
        )),
    }
}

fn stop(value: Raw<'_>) -> Result<Vec<String>, BadRequest> {
    if let Some(text) = value.string() {
        return Ok(vec![text.into_owned()]);
    }
    expect(Kind::Array, "stop", value)?;
    value
        .items()
        .enumerate()
        .map(|(index, item)| text(&format!("stop[{index}]"), item))
        .collect()
}

fn expect<'a>(kind: Kind, place: &str, value: Raw<'a>) -> Result<Raw<'a>, BadRequest> {
    let meant = match kind {
        Kind::Object => "must be an object",
        Kind::Array => "must be an array",
        Kind::String => "must be a string",
        Kind::Number => "must be a number",
        Kind::Bool => "must be true or false",
        Kind::Null => "must be null",
    };
    if value.kind() == kind {
        Ok(value)
    } else {
        Err(wrong(place, meant))
    }
}

fn text(place: &str, value: Raw<'_>) -> Result<String, BadRequest> {
    value
        .string()
        .map(|text| text.into_owned())
        .ok_or_else(|| wrong(place, "must be a string"))
}

/// A string that must be there and not be empty.
fn required(place: &str, name: &str, value: Option<Raw<'_>>) -> Result<String, BadRequest> {
    let place = format!("{place}.{name}");
    let text = text(&place, value.ok_or_else(|| missing(&place))?)?;
    if text.is_empty() {
        Err(missing(&place))
    } else {
        Ok(text)
    }
}

fn boolean(place: &str, value: Raw<'_>) -> Result<bool, BadRequest> {
    value.bool().ok_or_else(|| wrong(place, "must be true or false"))
}

fn number(place: &str, value: Raw<'_>) -> Result<f64, BadRequest> {
    value.number().ok_or_else(|| wrong(place, "must be a number"))
}

fn integer(place: &str, value: Raw<'_>) -> Result<i64, BadRequest> {
    value.integer().ok_or_else(|| wrong(place, "must be an integer"))
}

fn count(place: &str, value: Raw<'_>) -> Result<u64, BadRequest> {
    u64::try_from(integer(place, value)?).map_err(|_| wrong(place, "must not be negative"))
}

fn wrong(place: &str, meant: &str) -> BadRequest {
    BadRequest {
        code: Some("invalid_value"),
        ..BadRequest::param(place, format!("`{place}` {meant}"))
    }
}

fn missing(place: &str) -> BadRequest {
    BadRequest {
        code: Some("missing_required_parameter"),
        ..BadRequest::param(place, format!("`{place}` is required"))
    }
}

fn untranslatable(place: &str, what: &str) -> BadRequest {
    let message = format!("{what} can only be served by a target that speaks this API itself");
    BadRequest {
        code: Some(UNTRANSLATABLE),
        ..BadRequest::param(place, message)
    }
}
