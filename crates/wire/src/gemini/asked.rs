//! Requests of this dialect, read into the neutral model. Only for calls whose target speaks another dialect, whose broken
//! stream is to be continued, or that carry what another dialect signed: others pass through as they came.
//!
//! Total: a field the neutral model has no word for goes to `extra`, one at the top under its name, a deeper one under its place
//! (`generationConfig.mediaResolution`), and whoever cannot carry it on reports it; so do built-in tools
//! (`offers`). What cannot be translated without changing its meaning (calls of built-in tools, cached content, answers that are
//! no text) is a [`BadRequest`] with code
//! [`UNTRANSLATABLE`](crate::request::UNTRANSLATABLE). What a part becomes stands in `asked_contents`.

use types::chat::{ChatRequest, Json, Message, Part, ReasoningRequest, ResponseFormat, Role, Tool, ToolChoice};
use types::dialect::DialectName;

use crate::fields::{
    boolean, count, expect, integer, missing, number, object, required, text, texts, untranslatable, wrong,
};
use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::gemini::asked_contents::Turns;
use crate::gemini::carried::{camel, get};
use crate::gemini::schema;
use crate::head::Head;
use crate::offers::LeftOut;
use crate::request::BadRequest;

/// The effort that is meant where thoughts are asked for and no amount is said.
const EFFORT_DEFAULT: &str = "medium";

/// The name a schema gets, which has none here and must have one elsewhere.
const SCHEMA_NAME: &str = "answer";

/// Reads a whole request, or the one that a question for a token count holds.
pub fn decode_request(body: &[u8], head: &Head) -> Result<ChatRequest, BadRequest> {
    let body = object(body)?;
    let body = match get(body, "generateContentRequest") {
        Some(inner) => expect(Kind::Object, "generateContentRequest", inner)?,
        None => body,
    };
    let mut decoder = RequestDecoder::default();
    for (name, value) in body.members() {
        if !value.is_null() {
            decoder.member(&name, value)?;
        }
    }
    let mut request = decoder.into_request()?;
    request.model.clone_from(&head.model);
    request.stream = head.stream;
    Ok(request)
}

#[derive(Default)]
struct RequestDecoder {
    request: ChatRequest,
    system: Vec<Part>,
    mime_type: Option<String>,
    schema: Option<Json>,
    logprobs: bool,
    top_logprobs: u32,
    /// The tools a choice leaves.
    allowed: Vec<String>,
    left: LeftOut,
}

impl RequestDecoder {
    fn into_request(self) -> Result<ChatRequest, BadRequest> {
        let mut request = self.request;
        if request.messages.is_empty() {
            return Err(missing("contents"));
        }
        request.dialect = Some(DialectName::Gemini);
        request.include_usage = true;
        request.logprobs = self.logprobs.then_some(self.top_logprobs);
        request.response_format = match (self.mime_type.as_deref(), self.schema) {
            (None | Some("" | "text/plain"), _) => None,
            (Some("application/json"), None) => Some(ResponseFormat::JsonObject),
            (Some("application/json"), Some(schema)) => Some(ResponseFormat::JsonSchema {
                name: SCHEMA_NAME.to_owned(),
                description: None,
                schema,
                strict: None,
            }),
            (Some(_), _) => {
                let place = "generationConfig.responseMimeType";
                return Err(untranslatable(place, "an answer that is neither text nor JSON"));
            }
        };
        // Offering only the allowed tools asks for the same.
        let allowed = self.allowed;
        if !allowed.is_empty() {
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
        if !self.system.is_empty() {
            let system = Message {
                role: Role::System,
                parts: self.system,
                name: None,
            };
            request.messages.insert(0, system);
        }
        self.left.check(&request)?;
        Ok(request)
    }

    fn member(&mut self, written: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let name = camel(written);
        match &*name {
            "contents" => {
                let mut turns = Turns::new(&mut self.request.extra);
                for (index, content) in expect(Kind::Array, &name, value)?.items().enumerate() {
                    turns.content(&format!("contents[{index}]"), content)?;
                }
                self.request.messages = turns.messages;
            }
            "systemInstruction" => self.system(value)?,
            "tools" => {
                for (index, tool) in expect(Kind::Array, &name, value)?.items().enumerate() {
                    self.tool(&format!("tools[{index}]"), tool)?;
                }
            }
            "toolConfig" => self.tool_config(value)?,
            "generationConfig" => {
                for (key, value) in expect(Kind::Object, &name, value)?.members() {
                    if !value.is_null() {
                        self.setting(&camel(&key), value)?;
                    }
                }
            }
            "cachedContent" => return Err(untranslatable(&name, "cached content")),
            // Of a question for a count.
            "model" => {}
            _ => self.keep(written, value),
        }
        Ok(())
    }

    fn keep(&mut self, place: &str, value: Raw<'_>) {
        self.request.extra.push((place.to_owned(), value.to_json()));
    }

    /// Instructions: a content, or its text alone.
    fn system(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        if let Some(text) = value.string() {
            self.system = vec![Part::text(text)];
            return Ok(());
        }
        let place = "systemInstruction";
        let parts = get(expect(Kind::Object, place, value)?, "parts");
        for (index, part) in parts.into_iter().flat_map(Raw::items).enumerate() {
            let place = format!("{place}.parts[{index}].text");
            match get(part, "text") {
                Some(words) => self.system.push(Part::text(text(&place, words)?)),
                None => return Err(wrong(&place, "is required: instructions are text")),
            }
        }
        Ok(())
    }

    fn tool(&mut self, place: &str, tool: Raw<'_>) -> Result<(), BadRequest> {
        for (key, value) in expect(Kind::Object, place, tool)?.members() {
            let name = camel(&key);
            let here = format!("{place}.{name}");
            match &*name {
                _ if value.is_null() => {}
                "functionDeclarations" => {
                    for (index, function) in expect(Kind::Array, &here, value)?.items().enumerate() {
                        self.function(&format!("{here}[{index}]"), function)?;
                    }
                }
                // Nothing in the API forces a built-in tool.
                _ => self.left.add(place, &name, &name, value, &mut self.request.extra),
            }
        }
        Ok(())
    }

    fn function(&mut self, place: &str, function: Raw<'_>) -> Result<(), BadRequest> {
        let mut tool = Tool {
            name: required(
                &format!("{place}.name"),
                get(expect(Kind::Object, place, function)?, "name"),
            )?,
            description: None,
            parameters: None,
            strict: None,
            cache: None,
        };
        for (key, value) in function.members() {
            let name = camel(&key);
            let here = format!("{place}.{name}");
            match &*name {
                _ if value.is_null() => {}
                "name" => {}
                "description" => tool.description = Some(text(&here, value)?),
                "parameters" => tool.parameters = Some(schema::json_schema(expect(Kind::Object, &here, value)?)),
                "parametersJsonSchema" => tool.parameters = Some(expect(Kind::Object, &here, value)?.to_json()),
                _ => self.keep(&here, value),
            }
        }
        self.request.tools.push(tool);
        Ok(())
    }

    fn tool_config(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        for (key, value) in expect(Kind::Object, "toolConfig", value)?.members() {
            let here = format!("toolConfig.{}", camel(&key));
            match &*camel(&key) {
                _ if value.is_null() => {}
                "functionCallingConfig" => self.calling(&here, value)?,
                _ => self.keep(&here, value),
            }
        }
        Ok(())
    }

    fn calling(&mut self, place: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let (mut mode, mut allowed) = (String::new(), Vec::new());
        for (key, value) in expect(Kind::Object, place, value)?.members() {
            let here = format!("{place}.{}", camel(&key));
            match &*camel(&key) {
                _ if value.is_null() => {}
                "mode" => mode = text(&here, value)?,
                "allowedFunctionNames" => allowed = texts(&here, value)?,
                _ => self.keep(&here, value),
            }
        }
        let choice = match (mode.to_ascii_uppercase().as_str(), allowed.as_slice()) {
            ("" | "MODE_UNSPECIFIED", _) => None,
            ("AUTO" | "VALIDATED", _) => Some(ToolChoice::Auto),
            ("NONE", _) => Some(ToolChoice::None),
            ("ANY", [only]) => Some(ToolChoice::Named(only.clone())),
            ("ANY", _) => {
                self.allowed.clone_from(&allowed);
                Some(ToolChoice::Required)
            }
            _ => {
                return Err(wrong(
                    &format!("{place}.mode"),
                    "must be `AUTO`, `ANY`, `NONE` or `VALIDATED`",
                ));
            }
        };
        if mode.eq_ignore_ascii_case("VALIDATED") {
            // The model decides, and is held to the schemas: the latter is what others have no word for.
            let mode = Json::parse("\"VALIDATED\"").expect("a string is JSON");
            self.request.extra.push((format!("{place}.mode"), mode));
            self.allowed = allowed;
        }
        self.request.tool_choice = choice;
        Ok(())
    }

    fn setting(&mut self, name: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let place = format!("generationConfig.{name}");
        let request = &mut self.request;
        match name {
            "temperature" => request.sampling.temperature = Some(number(&place, value)?),
            "topP" => request.sampling.top_p = Some(number(&place, value)?),
            "topK" => request.sampling.top_k = Some(count(&place, value)?),
            "presencePenalty" => request.sampling.presence_penalty = Some(number(&place, value)?),
            "frequencyPenalty" => request.sampling.frequency_penalty = Some(number(&place, value)?),
            "candidateCount" => match count(&place, value)? {
                n @ 1..=128 => request.n = Some(n as u32),
                _ => return Err(wrong(&place, "must be between 1 and 128")),
            },
            "maxOutputTokens" => request.max_output_tokens = u64::try_from(integer(&place, value)?).ok(),
            "stopSequences" => request.stop = texts(&place, value)?,
            "seed" => request.seed = Some(integer(&place, value)?),
            "responseLogprobs" => self.logprobs = boolean(&place, value)?,
            "logprobs" => self.top_logprobs = count(&place, value)?.min(20) as u32,
            "responseMimeType" => self.mime_type = Some(text(&place, value)?),
            "responseSchema" => self.schema = Some(schema::json_schema(expect(Kind::Object, &place, value)?)),
            "responseJsonSchema" => self.schema = Some(expect(Kind::Object, &place, value)?.to_json()),
            "responseModalities" => {
                let is_text = |word: &String| word.eq_ignore_ascii_case("text");
                if !texts(&place, value)?.iter().all(is_text) {
                    return Err(untranslatable(&place, "an answer that is no text"));
                }
            }
            "thinkingConfig" => self.thinking(&place, value)?,
            _ => self.keep(&place, value),
        }
        Ok(())
    }

    fn thinking(&mut self, place: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let (mut level, mut budget, mut shown) = (None, None, false);
        for (key, value) in expect(Kind::Object, place, value)?.members() {
            let here = format!("{place}.{}", camel(&key));
            match &*camel(&key) {
                _ if value.is_null() => {}
                "thinkingLevel" => level = Some(text(&here, value)?.to_ascii_lowercase()),
                "thinkingBudget" => budget = Some(integer(&here, value)?),
                "includeThoughts" => shown = boolean(&here, value)?,
                _ => self.keep(&here, value),
            }
        }
        let effort = |word: &str| Some(ReasoningRequest::Effort(word.to_owned()));
        self.request.reasoning = match (budget, level.as_deref()) {
            (Some(0), _) => effort("none"),
            (Some(tokens @ 1..), _) => Some(ReasoningRequest::Budget(tokens.unsigned_abs())),
            (_, Some(word)) if word != "thinking_level_unspecified" => effort(word),
            // The model decides how much, or the client only wants to see it.
            _ if shown => effort(EFFORT_DEFAULT),
            _ => None,
        };
        Ok(())
    }
}
