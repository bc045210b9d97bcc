//! Requests of this dialect, read into the neutral model. Only for calls whose target speaks another dialect, or whose broken
//! stream is to be continued: others pass through as they came.
//!
//! Total: a field the neutral model has no word for goes to `extra` under its name, or under its place when it stands
//! deeper (`text.verbosity`, `input[2].phase`), and whoever cannot carry it on reports it. What cannot be translated without
//! changing its meaning (calls of hosted tools, a conversation that the provider keeps) is a [`BadRequest`] with code
//! [`UNTRANSLATABLE`](crate::request::UNTRANSLATABLE). `store` and `background` are the gateway's to read
//! ([`conversation`](crate::openai_responses::conversation)).

use types::chat::{ChatRequest, Json, ReasoningRequest, ResponseFormat};
use types::dialect::DialectName;

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::head::{Wrong, utf8};
use crate::offers::LeftOut;
use crate::openai_responses::fields::{
    boolean, expect, integer, missing, number, optional, required, text, untranslatable, wrong,
};
use crate::openai_responses::items::ItemReader;
use crate::openai_responses::tools::{ToolReader, read_choice};
use crate::request::BadRequest;

/// The word of `include` that asks for log probabilities.
pub(super) const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";
/// The word of `include` that asks for reasoning that can be handed back. It is always given where there is any.
pub(super) const INCLUDE_ENCRYPTED: &str = "reasoning.encrypted_content";
/// The most alternatives that can be asked for.
const TOP_LOGPROBS_MAX: i64 = 20;

/// Reads a whole request.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let raw = parse(body)?;
    let mut decoder = RequestDecoder::default();
    for (name, value) in raw.members() {
        if !value.is_null() {
            decoder.member(&name, value)?;
        }
    }
    decoder.into_request()
}

/// The body as one JSON object.
pub(super) fn parse(body: &[u8]) -> Result<Raw<'_>, BadRequest> {
    let text = utf8(body)?;
    let raw = Raw::parse(text, Surrogates::Paired).map_err(|fault| Wrong::Json(fault).into_bad_request(text))?;
    if raw.kind() == Kind::Object {
        Ok(raw)
    } else {
        Err(BadRequest::body("the body must be a JSON object"))
    }
}

#[derive(Default)]
struct RequestDecoder {
    request: ChatRequest,
    items: ItemReader,
    instructions: Option<String>,
    logprobs: bool,
    top_logprobs: u32,
    /// The tools an `allowed_tools` choice leaves.
    allowed: Option<Vec<String>>,
    left: LeftOut,
}

impl RequestDecoder {
    fn into_request(mut self) -> Result<ChatRequest, BadRequest> {
        let mut request = self.request;
        if request.model.is_empty() {
            return Err(missing("model"));
        }
        if let Some(instructions) = self.instructions {
            self.items.instructions(instructions);
        }
        let (messages, left) = self.items.into_parts();
        if messages.is_empty() {
            return Err(missing("input"));
        }
        request.dialect = Some(DialectName::OpenaiResponses);
        request.messages = messages;
        request.extra.extend(left);
        request.include_usage = true;
        request.logprobs = (self.logprobs || self.top_logprobs > 0).then_some(self.top_logprobs);
        if let Some(allowed) = self.allowed {
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
        self.left.check(&request)?;
        Ok(request)
    }

    fn member(&mut self, name: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let request = &mut self.request;
        match name {
            "model" => request.model = text(name, value)?,
            "input" => self.input(value)?,
            "instructions" => self.instructions = Some(text(name, value)?),
            "tools" => self.tools(name, value)?,
            "tool_choice" => {
                let (choice, allowed) = read_choice(value)?;
                request.tool_choice = Some(choice);
                self.allowed = allowed;
            }
            "parallel_tool_calls" => request.parallel_tool_calls = Some(boolean(name, value)?),
            "text" => self.text(value)?,
            "reasoning" => self.reasoning(value)?,
            "temperature" => request.sampling.temperature = Some(number(name, value)?),
            "top_p" => request.sampling.top_p = Some(number(name, value)?),
            "top_k" => {
                let top_k = u64::try_from(integer(name, value)?).map_err(|_| wrong(name, "must not be negative"))?;
                request.sampling.top_k = Some(top_k);
            }
            "max_output_tokens" => request.max_output_tokens = u64::try_from(integer(name, value)?).ok(),
            "top_logprobs" => self.top_logprobs = integer(name, value)?.clamp(0, TOP_LOGPROBS_MAX) as u32,
            "include" => self.include(value)?,
            "stream" => request.stream = boolean(name, value)?,
            "user" => request.user = Some(text(name, value)?),
            "store" | "background" => {
                boolean(name, value)?;
            }
            "previous_response_id" => return Err(untranslatable(name, "a conversation that the provider remembers")),
            "conversation" => return Err(untranslatable(name, "a conversation that the provider keeps")),
            "prompt" => return Err(untranslatable(name, "a prompt that the provider keeps")),
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

    fn input(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        if let Some(text) = value.string() {
            self.items.user_text(text.into_owned());
            return Ok(());
        }
        if value.kind() != Kind::Array {
            return Err(wrong("input", "must be a string or an array of items"));
        }
        for (index, item) in value.items().enumerate() {
            let place = format!("input[{index}]");
            match additional_tools(item) {
                Some(tools) => self.tools(&format!("{place}.tools"), tools)?,
                None => self.items.item(&place, item)?,
            }
        }
        Ok(())
    }

    fn tools(&mut self, place: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Array, place, value)?;
        let mut reader = ToolReader {
            tools: &mut self.request.tools,
            extra: &mut self.request.extra,
            left: &mut self.left,
        };
        for (index, tool) in value.items().enumerate() {
            reader.read(&format!("{place}[{index}]"), tool)?;
        }
        Ok(())
    }

    fn include(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Array, "include", value)?;
        let mut others = false;
        for (index, word) in value.items().enumerate() {
            match text(&format!("include[{index}]"), word)?.as_str() {
                INCLUDE_LOGPROBS => self.logprobs = true,
                INCLUDE_ENCRYPTED => {}
                _ => others = true,
            }
        }
        if others {
            self.keep("include".to_owned(), value);
        }
        Ok(())
    }

    fn text(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Object, "text", value)?;
        for (name, member) in value.members() {
            match &*name {
                "format" if !member.is_null() => self.request.response_format = Some(read_format(member)?),
                _ => self.keep(format!("text.{name}"), member),
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Object, "reasoning", value)?;
        for (name, member) in value.members() {
            match &*name {
                "effort" if !member.is_null() => {
                    let effort = text("reasoning.effort", member)?;
                    self.request.reasoning = Some(ReasoningRequest::Effort(effort));
                }
                _ => self.keep(format!("reasoning.{name}"), member),
            }
        }
        Ok(())
    }
}

/// The tools that an item of the input offers, as some clients do instead of by `tools`.
pub(super) fn additional_tools(item: Raw<'_>) -> Option<Raw<'_>> {
    let kind = item.get("type").and_then(Raw::string)?;
    (kind == "additional_tools").then(|| item.get("tools")).flatten()
}

fn read_format(value: Raw<'_>) -> Result<ResponseFormat, BadRequest> {
    let place = "text.format";
    expect(Kind::Object, place, value)?;
    match required(place, value, "type")?.as_str() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let strict = value.get("strict").map(|value| boolean("text.format.strict", value));
            let schema = match value.get("schema") {
                Some(schema) => expect(Kind::Object, "text.format.schema", schema)?.to_json(),
                None => Json::parse("{}").expect("an empty object is JSON"),
            };
            Ok(ResponseFormat::JsonSchema {
                name: required(place, value, "name")?,
                description: optional(place, value, "description")?,
                schema,
                strict: strict.transpose()?,
            })
        }
        "grammar" | "python" => Err(untranslatable("text.format.type", "an answer held to a grammar")),
        _ => Err(wrong(
            "text.format.type",
            "must be `text`, `json_object` or `json_schema`",
        )),
    }
}
