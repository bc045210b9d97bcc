//! Requests of this dialect, written from the neutral model: for callers of another dialect, and to continue a broken stream.
//!
//! What this dialect cannot say is [`Unsupported`] (a file by URL) or reported as dropped (other providers' reasoning, cache
//! markers, `top_k`). Streams always ask for their usage: the gateway accounts for it, whether the client wants it or not.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};
use types::chat::{
    ChatRequest, Json, Media, Message, Part, ReasoningRequest, ResponseFormat, Role, Tool, ToolCall, ToolChoice,
};
use types::dialect::DialectName;

use crate::offers;
use crate::openai_chat::media;
use crate::request::{Dropped, DroppedNames, Encoded, Unsupported, UpstreamModel};

/// Writes a request for a provider that speaks this dialect.
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    let mut dropped = Vec::new();
    let mut messages = Vec::new();
    for message in &request.messages {
        encode_message(message, &mut messages, &mut dropped)?;
    }
    if request.tools.iter().any(|tool| tool.cache.is_some()) {
        dropped.push(Dropped("cache_control".to_owned()));
    }
    if request.sampling.top_k.is_some() {
        dropped.push(Dropped("top_k".to_owned()));
    }
    if request.user.is_some() && user(request).is_none() {
        dropped.push(Dropped("user".to_owned()));
    }
    // A place within a message is where something was left behind, not a field; another dialect's fields are not ours.
    let is_own = request.dialect == Some(DialectName::OpenaiChat);
    let (offered, others): (Vec<_>, Vec<_>) = request
        .extra
        .iter()
        .partition(|(name, value)| is_own && offers::typed_kind(name, value).is_some());
    let (fields, left): (Vec<_>, Vec<_>) = others.into_iter().partition(|(name, _)| is_own && !name.contains('['));
    dropped.extend(left.into_iter().map(|(place, _)| Dropped(place.clone())));
    dropped.sort();
    let mut names = DroppedNames::default();
    dropped.iter().for_each(|d| names.add(&d.0));
    let body = Body {
        request,
        upstream,
        messages,
        offered,
        fields,
    };
    let body = serde_json::to_vec(&body).expect("strings, numbers and JSON are always JSON");
    Ok(Encoded {
        body,
        headers: Vec::new(),
        dropped: names.into_vec(),
    })
}

struct Body<'a> {
    request: &'a ChatRequest,
    upstream: UpstreamModel<'a>,
    messages: Vec<Value>,
    /// Tools the neutral model has no word for.
    offered: Vec<&'a (String, Json)>,
    fields: Vec<&'a (String, Json)>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let sampling = &request.sampling;
        let mut map = Members(serializer.serialize_map(None)?);
        map.put("model", self.upstream.model)?;
        map.put("messages", &self.messages)?;
        if !request.tools.is_empty() || !self.offered.is_empty() {
            map.put("tools", &ToolsJson(&request.tools, &self.offered))?;
            map.put_some("tool_choice", request.tool_choice.as_ref().map(tool_choice))?;
            map.put_some("parallel_tool_calls", request.parallel_tool_calls)?;
        }
        map.put_some("response_format", request.response_format.as_ref().map(FormatJson))?;
        map.put_some("temperature", sampling.temperature)?;
        map.put_some("top_p", sampling.top_p)?;
        map.put_some("presence_penalty", sampling.presence_penalty)?;
        map.put_some("frequency_penalty", sampling.frequency_penalty)?;
        let limit = if self.upstream.reasoning {
            "max_completion_tokens"
        } else {
            "max_tokens"
        };
        map.put_some(limit, request.max_output_tokens)?;
        map.put_some("stop", (!request.stop.is_empty()).then_some(&request.stop))?;
        map.put_some("n", request.n)?;
        map.put_some("seed", request.seed)?;
        map.put_some("logprobs", request.logprobs.map(|_| true))?;
        map.put_some("top_logprobs", request.logprobs.filter(|k| *k > 0))?;
        map.put_some("reasoning_effort", request.reasoning.as_ref().map(effort))?;
        if request.stream {
            map.put("stream", &true)?;
            map.put("stream_options", &self.stream_options())?;
        }
        map.put_some("user", user(request))?;
        for (name, value) in &self.fields {
            if name != "stream_options" {
                map.put(name, value)?;
            }
        }
        map.0.end()
    }
}

impl Body<'_> {
    fn stream_options(&self) -> Value {
        let given = self.fields.iter().find(|(name, _)| name == "stream_options");
        let mut options = match given.and_then(|(_, options)| serde_json::from_str(options.as_str()).ok()) {
            Some(Value::Object(options)) => options,
            Some(_) | None => serde_json::Map::new(),
        };
        options.insert("include_usage".to_owned(), Value::Bool(true));
        Value::Object(options)
    }
}

/// The longest `user` that OpenAI takes, in characters.
const USER_CHARS_MAX: usize = 64;

/// The caller's own identifier as this dialect takes it. What was written in it is its provider's to judge.
pub(crate) fn user(request: &ChatRequest) -> Option<&str> {
    let is_own = matches!(
        request.dialect,
        Some(DialectName::OpenaiChat | DialectName::OpenaiResponses)
    );
    let user = request.user.as_deref()?;
    (is_own || user.chars().count() <= USER_CHARS_MAX).then_some(user)
}

struct Members<M>(M);

impl<M: SerializeMap> Members<M> {
    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), M::Error> {
        self.0.serialize_entry(name, value)
    }

    fn put_some<T: Serialize>(&mut self, name: &str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.put(name, &value),
            None => Ok(()),
        }
    }
}

/// Functions, and what else was offered.
struct ToolsJson<'a>(&'a [Tool], &'a [&'a (String, Json)]);

impl Serialize for ToolsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for tool in self.0 {
            seq.serialize_element(&ToolJson(tool))?;
        }
        for (_, tool) in self.1 {
            seq.serialize_element(tool)?;
        }
        seq.end()
    }
}

/// A tool, its schema as it was written.
struct ToolJson<'a>(&'a Tool);

impl Serialize for ToolJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Function<'a>(&'a Tool);
        impl Serialize for Function<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let tool = self.0;
                let mut map = Members(serializer.serialize_map(None)?);
                map.put("name", &tool.name)?;
                map.put_some("description", tool.description.as_ref())?;
                map.put_some("parameters", tool.parameters.as_ref())?;
                map.put_some("strict", tool.strict)?;
                map.0.end()
            }
        }
        let mut map = Members(serializer.serialize_map(None)?);
        map.put("type", "function")?;
        map.put("function", &Function(self.0))?;
        map.0.end()
    }
}

/// The asked form, its schema as it was written.
struct FormatJson<'a>(&'a ResponseFormat);

impl Serialize for FormatJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Schema<'a>(&'a str, Option<&'a str>, &'a Json, Option<bool>);
        impl Serialize for Schema<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = Members(serializer.serialize_map(None)?);
                map.put("name", self.0)?;
                map.put_some("description", self.1)?;
                map.put("schema", self.2)?;
                map.put_some("strict", self.3)?;
                map.0.end()
            }
        }
        let mut map = Members(serializer.serialize_map(None)?);
        match self.0 {
            ResponseFormat::Text => map.put("type", "text")?,
            ResponseFormat::JsonObject => map.put("type", "json_object")?,
            ResponseFormat::JsonSchema {
                name,
                description,
                schema,
                strict,
            } => {
                map.put("type", "json_schema")?;
                map.put("json_schema", &Schema(name, description.as_deref(), schema, *strict))?;
            }
        }
        map.0.end()
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// A budget has no number in this dialect; it becomes the nearest word.
fn effort(reasoning: &ReasoningRequest) -> &str {
    match reasoning {
        ReasoningRequest::Effort(word) => word,
        ReasoningRequest::Budget(0) => "none",
        ReasoningRequest::Budget(1..=2_048) => "low",
        ReasoningRequest::Budget(2_049..=8_192) => "medium",
        ReasoningRequest::Budget(_) => "high",
    }
}

/// Writes one turn, which is several messages when it holds several tool results.
fn encode_message(message: &Message, out: &mut Vec<Value>, dropped: &mut Vec<Dropped>) -> Result<(), Unsupported> {
    let mut drop = |what: &str| dropped.push(Dropped(what.to_owned()));
    let mut content = Vec::new();
    let mut calls = Vec::new();
    let mut refusal = String::new();
    for part in &message.parts {
        match part {
            Part::ToolCall(call) => {
                if call.signature.is_some() {
                    drop("thought_signature");
                }
                calls.push(tool_call(call));
            }
            Part::Reasoning(_) => drop("reasoning"),
            Part::Refusal { text } => refusal.push_str(text),
            Part::ToolResult {
                call_id,
                content,
                is_error,
                cache,
                name: _,
            } => {
                if *is_error {
                    drop("is_error");
                }
                if cache.is_some() {
                    drop("cache_control");
                }
                let content = result_content(content)?;
                out.push(json!({"role": "tool", "tool_call_id": call_id, "content": content}));
            }
            Part::Text { .. } | Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => {
                content.push(encode_part(part, &mut drop)?);
            }
        }
    }
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        // Its results are messages of their own.
        Role::Tool => return Ok(()),
    };
    if content.is_empty() && calls.is_empty() && refusal.is_empty() && message.role != Role::Assistant {
        return Ok(());
    }
    let mut body = serde_json::Map::new();
    body.insert("role".to_owned(), json!(role));
    body.insert("content".to_owned(), plain_or_parts(content));
    if let Some(name) = &message.name {
        body.insert("name".to_owned(), json!(name));
    }
    if !refusal.is_empty() {
        body.insert("refusal".to_owned(), json!(refusal));
    }
    if !calls.is_empty() {
        body.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    out.push(Value::Object(body));
    Ok(())
}

/// One text is written as a string, which every speaker of the dialect takes.
fn plain_or_parts(mut content: Vec<Value>) -> Value {
    match content.as_mut_slice() {
        [] => Value::Null,
        [only] if only["type"] == "text" => only["text"].take(),
        _ => Value::Array(content),
    }
}

fn encode_part(part: &Part, drop: &mut impl FnMut(&str)) -> Result<Value, Unsupported> {
    match part {
        Part::Text { cache: Some(_), .. } | Part::Image { cache: Some(_), .. } | Part::File { cache: Some(_), .. } => {
            drop("cache_control");
        }
        _ => {}
    }
    match part {
        Part::Text { text, .. } => Ok(json!({"type": "text", "text": text})),
        Part::Image { source, detail, .. } => {
            let url = media::write_url(source).ok_or_else(|| unsupported("an uploaded image", "messages"))?;
            let mut image = json!({"url": url});
            if let Some(detail) = detail {
                image["detail"] = json!(detail);
            }
            Ok(json!({"type": "image_url", "image_url": image}))
        }
        Part::File { source, filename, .. } => {
            let mut file = match source {
                Media::FileId { id } => json!({"file_id": id}),
                Media::Base64 { .. } => json!({"file_data": media::write_url(source)}),
                Media::Url { .. } => return Err(unsupported("a file by its URL", "messages")),
            };
            if let Some(filename) = filename {
                file["filename"] = json!(filename);
            }
            Ok(json!({"type": "file", "file": file}))
        }
        Part::Audio {
            source: Media::Base64 { media_type, data },
        } => {
            let what = "audio that is neither WAV nor MP3";
            let format = media::audio_format(media_type).ok_or_else(|| unsupported(what, "messages"))?;
            Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
        }
        Part::Audio { .. } => Err(unsupported("audio that is not in the request", "messages")),
        Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => {
            Err(unsupported("a part of another part", "messages"))
        }
    }
}

fn tool_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// A tool's result, which can hold nothing but text.
fn result_content(content: &[Part]) -> Result<Value, Unsupported> {
    let texts = content.iter().map(|part| match part {
        Part::Text { text, .. } => Ok(json!({"type": "text", "text": text})),
        _ => Err(unsupported("media in a tool's result", "messages")),
    });
    let texts: Vec<Value> = texts.collect::<Result<_, _>>()?;
    Ok(if texts.is_empty() {
        json!("")
    } else {
        plain_or_parts(texts)
    })
}

fn unsupported(what: &str, param: &str) -> Unsupported {
    Unsupported {
        dialect: DialectName::OpenaiChat,
        what: what.to_owned(),
        param: Some(param.to_owned()),
    }
}
