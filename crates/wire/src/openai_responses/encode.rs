//! Requests of this dialect, written from the neutral model: for callers of another dialect, and to continue a broken stream.
//!
//! The provider is asked to remember nothing (`store: false`); what it thought comes back as `encrypted_content` and is handed to
//! it again. Other providers' reasoning, cache markers and what only they have a word for is reported as dropped;
//! what this dialect cannot say (stop sequences, several choices) is [`Unsupported`].

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};
use types::chat::{ChatRequest, Json, Media, Message, Part, ReasoningRequest, ResponseFormat, Role, Tool};
use types::dialect::DialectName;

use crate::offers;
use crate::openai_chat::encode::user;
use crate::openai_chat::media;
use crate::openai_responses::carry;
use crate::openai_responses::request::{INCLUDE_ENCRYPTED, INCLUDE_LOGPROBS};
use crate::openai_responses::tools::{ToolJson, choice_json};
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

/// Fields of chat completions that are the same here, name and meaning.
const SHARED_WITH_CHAT: [&str; 6] = [
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
];

/// Writes a request for a provider that speaks this dialect.
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    refuse_what_cannot_be_said(request)?;
    let own = request.dialect == Some(DialectName::OpenaiResponses);
    let mut dropped = DroppedNames::default();
    let (instructions, messages) = take_instructions(&request.messages);
    let mut input = Vec::new();
    for message in messages {
        encode_message(message, &mut input, &mut dropped)?;
    }
    let sampling = &request.sampling;
    let unsaid = [
        ("cache_control", request.tools.iter().any(|tool| tool.cache.is_some())),
        ("top_k", sampling.top_k.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("seed", request.seed.is_some()),
        ("user", request.user.is_some() && user(request).is_none()),
    ];
    for (name, _) in unsaid.iter().filter(|(_, is_there)| *is_there) {
        dropped.add(name);
    }
    let mut body = Body {
        request,
        upstream,
        own,
        instructions,
        input,
        offered: Vec::new(),
        fields: Vec::new(),
        text: Vec::new(),
        reasoning: Vec::new(),
        include: Vec::new(),
    };
    for (name, value) in &request.extra {
        if !body.take_extra(name, value) {
            dropped.add(name);
        }
    }
    if request.logprobs.is_some() {
        body.include(INCLUDE_LOGPROBS);
    }
    if upstream.reasoning {
        body.include(INCLUDE_ENCRYPTED);
    }
    Ok(Encoded {
        body: serde_json::to_vec(&body).expect("strings, numbers and JSON are always JSON"),
        headers: Vec::new(),
        dropped: dropped.into_vec(),
    })
}

fn refuse_what_cannot_be_said(request: &ChatRequest) -> Result<(), Unsupported> {
    if let Some(n) = request.n.filter(|n| *n > 1) {
        return Err(unsupported(&format!("`n` = {n} (it gives one choice)"), "n"));
    }
    // Leaving them out would let the answer run on past where the client wants it to end.
    if !request.stop.is_empty() {
        return Err(unsupported("stop sequences", "stop"));
    }
    Ok(())
}

/// A first system message of one plain text is written as `instructions`.
fn take_instructions(messages: &[Message]) -> (Option<&str>, &[Message]) {
    let Some((first, rest)) = messages.split_first() else {
        return (None, messages);
    };
    match first.parts.as_slice() {
        [Part::Text { text, cache: None }] if first.role == Role::System && first.name.is_none() => (Some(text), rest),
        _ => (None, messages),
    }
}

struct Body<'a> {
    request: &'a ChatRequest,
    upstream: UpstreamModel<'a>,
    own: bool,
    instructions: Option<&'a str>,
    input: Vec<Value>,
    /// Tools the neutral model has no word for.
    offered: Vec<&'a Json>,
    fields: Vec<(&'a str, &'a Json)>,
    /// Members of `text` beside the format.
    text: Vec<(&'a str, &'a Json)>,
    /// Members of `reasoning` beside the effort.
    reasoning: Vec<(&'a str, &'a Json)>,
    include: Vec<String>,
}

impl<'a> Body<'a> {
    /// Takes a field of the client's dialect in where it has its place; `false` when it has none here.
    fn take_extra(&mut self, name: &'a str, value: &'a Json) -> bool {
        match self.request.dialect {
            Some(DialectName::OpenaiResponses) => {
                if offers::typed_kind(name, value).is_some() {
                    self.offered.push(value);
                } else if let Some(member) = name.strip_prefix("text.") {
                    self.text.push((member, value));
                } else if let Some(member) = name.strip_prefix("reasoning.") {
                    self.reasoning.push((member, value));
                } else if name == "include" {
                    let words: Vec<String> = serde_json::from_str(value.as_str()).unwrap_or_default();
                    words.iter().for_each(|word| self.include(word));
                } else if name.contains('[') {
                    return false;
                } else {
                    self.fields.push((name, value));
                }
                true
            }
            Some(DialectName::OpenaiChat) if name == "verbosity" => {
                self.text.push((name, value));
                true
            }
            Some(DialectName::OpenaiChat) if SHARED_WITH_CHAT.contains(&name) => {
                self.fields.push((name, value));
                true
            }
            Some(
                DialectName::OpenaiChat
                | DialectName::AnthropicMessages
                | DialectName::Gemini
                | DialectName::BedrockConverse
                | DialectName::CohereChat
                | DialectName::OllamaChat,
            )
            | None => false,
        }
    }

    fn include(&mut self, word: &str) {
        if !self.include.iter().any(|known| known == word) {
            self.include.push(word.to_owned());
        }
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut map = Members(serializer.serialize_map(None)?);
        map.put("model", self.upstream.model)?;
        map.put_some("instructions", self.instructions)?;
        map.put("input", &self.input)?;
        if !request.tools.is_empty() || !self.offered.is_empty() {
            map.put("tools", &ToolsJson(&request.tools, self.own, &self.offered))?;
            map.put_some("tool_choice", request.tool_choice.as_ref().map(choice_json))?;
            map.put_some("parallel_tool_calls", request.parallel_tool_calls)?;
        }
        if request.response_format.is_some() || !self.text.is_empty() {
            map.put("text", &TextJson(request.response_format.as_ref(), &self.text))?;
        }
        if request.reasoning.is_some() || !self.reasoning.is_empty() {
            map.put("reasoning", &ReasoningJson(request.reasoning.as_ref(), &self.reasoning))?;
        }
        map.put_some("temperature", request.sampling.temperature)?;
        map.put_some("top_p", request.sampling.top_p)?;
        map.put_some("max_output_tokens", request.max_output_tokens)?;
        map.put_some("top_logprobs", request.logprobs.filter(|k| *k > 0))?;
        map.put_some("include", (!self.include.is_empty()).then_some(&self.include))?;
        map.put_some("user", user(request))?;
        map.put("store", &false)?;
        if request.stream {
            map.put("stream", &true)?;
        }
        for (name, value) in &self.fields {
            map.put(name, value)?;
        }
        map.0.end()
    }
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

/// Functions, whether the client wrote this dialect, and what else was offered.
struct ToolsJson<'a>(&'a [Tool], bool, &'a [&'a Json]);

impl Serialize for ToolsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for tool in self.0 {
            seq.serialize_element(&ToolJson::new(tool, self.1))?;
        }
        for tool in self.2 {
            seq.serialize_element(tool)?;
        }
        seq.end()
    }
}

struct TextJson<'a>(Option<&'a ResponseFormat>, &'a [(&'a str, &'a Json)]);

impl Serialize for TextJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Members(serializer.serialize_map(None)?);
        map.put_some("format", self.0.map(FormatJson))?;
        for (name, value) in self.1 {
            map.put(name, value)?;
        }
        map.0.end()
    }
}

/// The asked form, its schema as it was written.
struct FormatJson<'a>(&'a ResponseFormat);

impl Serialize for FormatJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
                map.put("name", name)?;
                map.put_some("description", description.as_ref())?;
                map.put("schema", schema)?;
                map.put_some("strict", *strict)?;
            }
        }
        map.0.end()
    }
}

struct ReasoningJson<'a>(Option<&'a ReasoningRequest>, &'a [(&'a str, &'a Json)]);

impl Serialize for ReasoningJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Members(serializer.serialize_map(None)?);
        map.put_some("effort", self.0.map(effort))?;
        for (name, value) in self.1 {
            map.put(name, value)?;
        }
        map.0.end()
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

/// Writes one turn, which is several items when it holds more than text.
fn encode_message(message: &Message, out: &mut Vec<Value>, dropped: &mut DroppedNames) -> Result<(), Unsupported> {
    if message.name.is_some() {
        dropped.add("name");
    }
    let assistant = message.role == Role::Assistant;
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        // Its results are items of their own, and nothing else is in it.
        Role::Tool => "user",
    };
    let mut content = Vec::new();
    for part in &message.parts {
        let item = match part {
            Part::Text { .. } | Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => {
                content.push(encode_part(part, assistant, dropped)?);
                continue;
            }
            Part::Refusal { text } => {
                content.push(json!({"type": "refusal", "refusal": text}));
                continue;
            }
            Part::Reasoning(thought) => {
                let own = thought.origin == Some(DialectName::OpenaiResponses);
                // Without its opaque content a provider that remembers nothing cannot take it back.
                let Some(sealed) = carry::seal(thought).filter(|_| own) else {
                    dropped.add("reasoning");
                    continue;
                };
                let summary = match thought.text.as_str() {
                    "" => json!([]),
                    text => json!([{"type": "summary_text", "text": text}]),
                };
                json!({"type": "reasoning", "summary": summary, "encrypted_content": sealed})
            }
            Part::ToolCall(call) => {
                if call.signature.is_some() {
                    dropped.add("thought_signature");
                }
                json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments})
            }
            Part::ToolResult {
                call_id,
                content,
                is_error,
                cache,
                name: _,
            } => {
                if *is_error {
                    dropped.add("is_error");
                }
                if cache.is_some() {
                    dropped.add("cache_control");
                }
                let output = encode_output(content, dropped)?;
                json!({"type": "function_call_output", "call_id": call_id, "output": output})
            }
        };
        flush(role, &mut content, out);
        out.push(item);
    }
    flush(role, &mut content, out);
    Ok(())
}

fn flush(role: &str, content: &mut Vec<Value>, out: &mut Vec<Value>) {
    if !content.is_empty() {
        let content = Value::Array(std::mem::take(content));
        out.push(json!({"type": "message", "role": role, "content": content}));
    }
}

/// A tool's result: text as a string, everything else as parts.
fn encode_output(content: &[Part], dropped: &mut DroppedNames) -> Result<Value, Unsupported> {
    match content {
        [] => Ok(json!("")),
        [Part::Text { text, cache: None }] => Ok(json!(text)),
        parts => {
            let parts = parts.iter().map(|part| encode_part(part, false, dropped));
            Ok(Value::Array(parts.collect::<Result<_, _>>()?))
        }
    }
}

fn encode_part(part: &Part, assistant: bool, dropped: &mut DroppedNames) -> Result<Value, Unsupported> {
    match part {
        Part::Text { cache: Some(_), .. } | Part::Image { cache: Some(_), .. } | Part::File { cache: Some(_), .. } => {
            dropped.add("cache_control");
        }
        _ => {}
    }
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    match part {
        Part::Text { text, .. } => {
            put("type", json!(if assistant { "output_text" } else { "input_text" }));
            put("text", json!(text));
            if assistant {
                put("annotations", json!([]));
            }
        }
        _ if assistant => return Err(unsupported("media that an assistant said", "messages")),
        Part::Image { source, detail, .. } => {
            put("type", json!("input_image"));
            match source {
                Media::FileId { id } => put("file_id", json!(id)),
                Media::Url { .. } | Media::Base64 { .. } => put("image_url", json!(media::write_url(source))),
            };
            if let Some(detail) = detail {
                put("detail", json!(detail));
            }
        }
        Part::File { source, filename, .. } => {
            put("type", json!("input_file"));
            match source {
                Media::FileId { id } => put("file_id", json!(id)),
                Media::Url { url } => put("file_url", json!(url)),
                Media::Base64 { .. } => put("file_data", json!(media::write_url(source))),
            };
            if let Some(filename) = filename {
                put("filename", json!(filename));
            }
        }
        Part::Audio {
            source: Media::Base64 { media_type, data },
        } => {
            let what = "audio that is neither WAV nor MP3";
            let format = media::audio_format(media_type).ok_or_else(|| unsupported(what, "messages"))?;
            put("type", json!("input_audio"));
            put("input_audio", json!({"data": data, "format": format}));
        }
        Part::Audio { .. } => return Err(unsupported("audio that is not in the request", "messages")),
        Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => {
            return Err(unsupported("a part of another part", "messages"));
        }
    }
    Ok(Value::Object(out))
}

fn unsupported(what: &str, param: &str) -> Unsupported {
    Unsupported {
        dialect: DialectName::OpenaiResponses,
        what: what.to_owned(),
        param: Some(param.to_owned()),
    }
}
