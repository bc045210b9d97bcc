//! A request in one form, whatever dialect it was asked in: what a cache tells requests apart by.
//!
//! Two requests have the same form when every provider would read them alike: tools in another order, the keys of a schema in another
//! order, stop sequences in another order, `stream` and what goes with it, prompt-cache marks, the caller's own names for itself. All
//! else counts, and counts in its order; a field the neutral model has no word for counts as it was written, with the dialect whose it
//! is. The model's name is not part of it: whoever asks knows which route it led to.
//!
//! The form is bytes handed to a sink (a digest), each piece with its length, so that no two requests run together. It is made anew
//! whenever this file changes its mind: [`VERSION`] goes into it. Read [`chat`] first.

use std::collections::BTreeMap;

use types::chat::{
    ChatRequest, Json, Media, Message, Part, Reasoning, ReasoningRequest, ResponseFormat, Role, Tool, ToolCall,
    ToolChoice,
};
use types::dialect::DialectName;
use types::embedding::{EmbeddingInput, EmbeddingRequest};

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::offers;

/// Changes with the form: what was kept under an older one is never found again.
pub const VERSION: u8 = 1;

/// Fields that no answer depends on: who asks, how it is billed, kept and routed at the provider.
const MEANINGLESS: &[&str] = &[
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
];

/// Fields that ask for what is not in the request itself (the provider's own memory), or for what an answer in the neutral model
/// cannot hold (searches with their sources, containers).
const UNREPEATABLE: &[&str] = &[
    "audio",
    "background",
    "container",
    "context_management",
    "conversation",
    "functions",
    "include",
    "mcp_servers",
    "modalities",
    "previous_response_id",
    "prompt",
    "web_search_options",
];

/// How much of a request counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// All but what [`question`] gives: requests that ask something else of the same conversation under the same instructions have the
    /// same form.
    BesideTheQuestion,
}

/// Gives a chat request's form to `sink`, piece by piece.
pub fn chat(request: &ChatRequest, scope: Scope, sink: &mut dyn FnMut(&[u8])) {
    let mut form = Form {
        sink,
        calls: BTreeMap::new(),
    };
    let beside = match scope {
        Scope::Whole => None,
        Scope::BesideTheQuestion => question(request).map(|_| request.messages.len() - 1),
    };
    form.byte(VERSION);
    form.text("chat");
    form.count(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        if beside == Some(index) {
            form.text("question");
        } else {
            form.message(message);
        }
    }
    form.tools(&request.tools);
    form.tool_choice(request.tool_choice.as_ref());
    // Several calls a turn are what every provider allows unless it is told.
    form.byte(u8::from(request.parallel_tool_calls == Some(false)));
    form.response_format(request.response_format.as_ref());
    let sampling = &request.sampling;
    form.float(sampling.temperature);
    form.float(sampling.top_p);
    form.number(sampling.top_k);
    form.float(sampling.presence_penalty);
    form.float(sampling.frequency_penalty);
    form.number(request.max_output_tokens);
    let mut stop: Vec<&str> = request.stop.iter().map(String::as_str).collect();
    stop.sort_unstable();
    stop.dedup();
    form.count(stop.len());
    stop.into_iter().for_each(|text| form.text(text));
    form.number(Some(request.n.unwrap_or(1).into()));
    form.number(request.seed.map(|seed| seed as u64));
    form.number(request.logprobs.map(u64::from));
    match &request.reasoning {
        None => form.byte(0),
        Some(ReasoningRequest::Effort(effort)) => {
            form.byte(1);
            form.text(effort);
        }
        Some(ReasoningRequest::Budget(tokens)) => {
            form.byte(2);
            form.number(Some(*tokens));
        }
    }
    form.extra(request.dialect, &request.extra);
}

/// Gives the form of a request for embeddings to `sink`. How its numbers are to be written is not part of it.
pub fn embedding(request: &EmbeddingRequest, sink: &mut dyn FnMut(&[u8])) {
    let mut form = Form {
        sink,
        calls: BTreeMap::new(),
    };
    form.byte(VERSION);
    form.text("embedding");
    form.count(request.inputs.len());
    for input in &request.inputs {
        match input {
            EmbeddingInput::Text(text) => {
                form.byte(0);
                form.text(text);
            }
            EmbeddingInput::Tokens(tokens) => {
                form.byte(1);
                form.count(tokens.len());
                for token in tokens {
                    (form.sink)(&token.to_le_bytes());
                }
            }
        }
    }
    form.number(request.dimensions.map(u64::from));
    form.extra(request.dialect, &request.extra);
}

/// What a conversation asks last, when that is a person's plain text.
pub fn question(request: &ChatRequest) -> Option<&str> {
    let last = request.messages.last().filter(|last| last.role == Role::User)?;
    match last.parts.as_slice() {
        [Part::Text { text, .. }] => Some(text),
        _ => None,
    }
}

/// Whether an answer to the request may stand for another answer to the same request: it rests on nothing but the request, and the
/// neutral model can hold all of it. What a request names by URL or id counts as the same as long as its name is.
pub fn is_repeatable(request: &ChatRequest) -> bool {
    let in_the_way = |name: &str| UNREPEATABLE.contains(&name) || offers::kind(name).is_some();
    !request
        .extra
        .iter()
        .any(|(name, value)| in_the_way(name) && !is_off(value))
}

/// A field written out to say that it is not used.
fn is_off(value: &Json) -> bool {
    matches!(value.as_str(), "false" | "[]" | "{}" | "null")
}

struct Form<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    /// Ids of tool calls by their place in the conversation: providers make them up, and some dialects have none.
    calls: BTreeMap<String, u64>,
}

impl Form<'_> {
    fn byte(&mut self, byte: u8) {
        (self.sink)(&[byte]);
    }

    fn count(&mut self, count: usize) {
        (self.sink)(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        (self.sink)(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.byte(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn number(&mut self, number: Option<u64>) {
        self.byte(u8::from(number.is_some()));
        if let Some(number) = number {
            (self.sink)(&number.to_le_bytes());
        }
    }

    fn float(&mut self, number: Option<f64>) {
        // The two zeros are one number.
        self.number(number.map(|n| if n == 0.0 { 0 } else { n.to_bits() }));
    }

    fn json(&mut self, json: &Json, order: Order) {
        let mut written = Vec::with_capacity(json.as_str().len());
        match Raw::parse(json.as_str(), Surrogates::Any) {
            Ok(raw) => write_json(raw, order, &mut written),
            Err(_) => written.extend_from_slice(json.as_str().as_bytes()),
        }
        self.count(written.len());
        (self.sink)(&written);
    }

    fn message(&mut self, message: &Message) {
        self.byte(match message.role {
            Role::System => 0,
            Role::User => 1,
            Role::Assistant => 2,
            Role::Tool => 3,
        });
        self.optional(message.name.as_deref());
        self.parts(&message.parts);
    }

    fn parts(&mut self, parts: &[Part]) {
        self.count(parts.len());
        parts.iter().for_each(|part| self.part(part));
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Text { text, cache: _ } => {
                self.byte(0);
                self.text(text);
            }
            Part::Image {
                source,
                detail,
                cache: _,
            } => {
                self.byte(1);
                self.media(source);
                self.optional(detail.as_deref());
            }
            Part::File {
                source,
                filename,
                cache: _,
            } => {
                self.byte(2);
                self.media(source);
                self.optional(filename.as_deref());
            }
            Part::Audio { source } => {
                self.byte(3);
                self.media(source);
            }
            Part::Reasoning(reasoning) => {
                let Reasoning {
                    text,
                    signature,
                    redacted,
                    origin,
                } = reasoning;
                self.byte(4);
                self.text(text);
                self.optional(signature.as_deref());
                self.optional(redacted.as_deref());
                self.optional(origin.map(DialectName::as_str));
            }
            Part::Refusal { text } => {
                self.byte(5);
                self.text(text);
            }
            Part::ToolCall(call) => self.call(call),
            Part::ToolResult {
                call_id,
                name: _,
                content,
                is_error,
                cache: _,
            } => {
                self.byte(7);
                self.call_id(call_id);
                self.byte(u8::from(*is_error));
                self.parts(content);
            }
        }
    }

    fn call(&mut self, call: &ToolCall) {
        self.byte(6);
        self.call_id(&call.id);
        self.text(&call.name);
        match Json::parse(&call.arguments) {
            Ok(arguments) => self.json(&arguments, Order::Nowhere),
            Err(_) => self.text(&call.arguments),
        }
        self.optional(call.signature.as_deref());
    }

    fn call_id(&mut self, id: &str) {
        let next = self.calls.len() as u64;
        let place = match self.calls.get(id) {
            Some(place) => *place,
            None => *self.calls.entry(id.to_owned()).or_insert(next),
        };
        self.number(Some(place));
    }

    fn media(&mut self, source: &Media) {
        match source {
            Media::Url { url } => {
                self.byte(0);
                self.text(url);
            }
            Media::Base64 { media_type, data } => {
                self.byte(1);
                self.text(media_type);
                self.text(data);
            }
            Media::FileId { id } => {
                self.byte(2);
                self.text(id);
            }
        }
    }

    fn tools(&mut self, tools: &[Tool]) {
        let mut tools: Vec<&Tool> = tools.iter().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        self.count(tools.len());
        for tool in tools {
            self.text(&tool.name);
            self.optional(tool.description.as_deref());
            self.byte(u8::from(tool.parameters.is_some()));
            if let Some(parameters) = &tool.parameters {
                self.json(parameters, Order::Nowhere);
            }
            self.byte(tool.strict.map_or(0, |strict| 1 + u8::from(strict)));
        }
    }

    fn tool_choice(&mut self, choice: Option<&ToolChoice>) {
        match choice {
            None | Some(ToolChoice::Auto) => self.byte(0),
            Some(ToolChoice::None) => self.byte(1),
            Some(ToolChoice::Required) => self.byte(2),
            Some(ToolChoice::Named(name)) => {
                self.byte(3);
                self.text(name);
            }
        }
    }

    fn response_format(&mut self, format: Option<&ResponseFormat>) {
        match format {
            None | Some(ResponseFormat::Text) => self.byte(0),
            Some(ResponseFormat::JsonObject) => self.byte(1),
            Some(ResponseFormat::JsonSchema {
                name,
                description,
                schema,
                strict,
            }) => {
                self.byte(2);
                self.text(name);
                self.optional(description.as_deref());
                // Providers write an answer's keys in the order of its schema's properties.
                self.json(schema, Order::OfProperties);
                self.byte(strict.map_or(0, |strict| 1 + u8::from(strict)));
            }
        }
    }

    fn extra(&mut self, dialect: Option<DialectName>, extra: &[(String, Json)]) {
        let mut extra: Vec<_> = extra
            .iter()
            .filter(|(name, _)| !MEANINGLESS.contains(&name.as_str()))
            .collect();
        extra.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.count(extra.len());
        if !extra.is_empty() {
            self.optional(dialect.map(DialectName::as_str));
        }
        for (name, value) in extra {
            self.text(name);
            self.json(value, Order::OfProperties);
        }
    }
}

/// Where the order of an object's keys means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Nowhere,
    /// In a schema's `properties`.
    OfProperties,
}

/// Writes a value without the spaces it was written with, strings in one spelling, keys sorted where their order means nothing.
fn write_json(raw: Raw<'_>, order: Order, out: &mut Vec<u8>) {
    match raw.kind() {
        Kind::Object => write_object(raw, order, false, out),
        Kind::Array => {
            out.push(b'[');
            for item in raw.items() {
                write_json(item, order, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Kind::String => write_string(&raw.string().unwrap_or_default(), out),
        Kind::Number | Kind::Bool | Kind::Null => out.extend_from_slice(raw.text().as_bytes()),
    }
}

fn write_object(raw: Raw<'_>, order: Order, as_written: bool, out: &mut Vec<u8>) {
    let mut members: Vec<_> = raw.members().collect();
    if !as_written {
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    out.push(b'{');
    for (key, value) in members {
        write_string(&key, out);
        out.push(b':');
        if order == Order::OfProperties && key == "properties" && value.kind() == Kind::Object {
            write_object(value, order, true, out);
        } else {
            write_json(value, order, out);
        }
        out.push(b',');
    }
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing JSON to memory cannot fail");
}
