//! Requests of this dialect, read into the neutral model. Only for calls whose target speaks another dialect, whose broken
//! stream is to be continued, or that carry what another dialect signed: others pass through as they came.
//!
//! Total: a field the neutral model has no word for goes to `extra` under its name, or under its place when it stands deeper
//! (`messages[2].content[0].citations`, `thinking.display`), and whoever cannot carry it on reports it; so do the
//! provider's own tools (`offers`). What cannot be translated without changing its meaning (calls and results of
//! the provider's own tools) is a [`BadRequest`] with
//! code [`UNTRANSLATABLE`](crate::request::UNTRANSLATABLE).
//!
//! A turn of the user that holds tool results becomes two: the results, and what else was said. What a block becomes stands
//! in `blocks`.

use types::chat::{ChatRequest, Message, Part, ReasoningRequest, ResponseFormat, Role, Tool, ToolChoice};
use types::dialect::DialectName;

use super::blocks::{self, Keep};
use crate::fields::{boolean, count, expect, missing, number, object, optional, required, text, texts, wrong};
use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::offers::LeftOut;
use crate::request::BadRequest;

/// The effort that is meant where none is said.
const EFFORT_DEFAULT: &str = "high";

/// The name a schema gets, which has none here and must have one elsewhere.
const SCHEMA_NAME: &str = "answer";

/// Reads a whole request, with an output limit or (a question for a token count) without.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let mut decoder = RequestDecoder::default();
    for (name, value) in object(body)?.members() {
        if !value.is_null() {
            decoder.member(&name, value)?;
        }
    }
    decoder.into_request()
}

#[derive(Default)]
struct RequestDecoder {
    request: ChatRequest,
    system: Vec<Part>,
    effort: Option<String>,
    thinking: Option<Thinking>,
    left: LeftOut,
}

/// `thinking`.
enum Thinking {
    Budget(u64),
    Adaptive,
    Off,
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
        request.dialect = Some(DialectName::AnthropicMessages);
        request.include_usage = true;
        let effort = self.effort;
        request.reasoning = match (self.thinking, effort) {
            (Some(thinking @ (Thinking::Budget(_) | Thinking::Off)), effort) => {
                if let Some(effort) = effort {
                    // One wish at a time: the effort stays for whoever speaks this dialect.
                    let quoted = serde_json::to_string(&effort).expect("a string is always JSON");
                    request
                        .extra
                        .push(("output_config.effort".to_owned(), blocks::json(&quoted)));
                }
                Some(match thinking {
                    Thinking::Budget(tokens) => ReasoningRequest::Budget(tokens),
                    Thinking::Off | Thinking::Adaptive => ReasoningRequest::Effort("none".to_owned()),
                })
            }
            (Some(Thinking::Adaptive), None) => Some(ReasoningRequest::Effort(EFFORT_DEFAULT.to_owned())),
            (Some(Thinking::Adaptive) | None, Some(effort)) => Some(ReasoningRequest::Effort(effort)),
            (None, None) => None,
        };
        if !self.system.is_empty() {
            let system = Message {
                role: Role::System,
                parts: self.system,
                name: None,
            };
            request.messages.insert(0, system);
        }
        name_tool_results(&mut request.messages);
        self.left.check(&request)?;
        Ok(request)
    }

    fn member(&mut self, name: &str, value: Raw<'_>) -> Result<(), BadRequest> {
        let request = &mut self.request;
        match name {
            "model" => request.model = text(name, value)?,
            "max_tokens" => request.max_output_tokens = Some(count(name, value)?),
            "messages" => self.messages(value)?,
            "system" => {
                let parts = blocks::content(name, value, &mut Keep(&mut request.extra))?;
                if parts.iter().any(|part| !matches!(part, Part::Text { .. })) {
                    return Err(wrong(name, "must hold nothing but text"));
                }
                self.system = parts;
            }
            "tools" => self.tools(value)?,
            "tool_choice" => self.tool_choice(value)?,
            "thinking" => self.thinking(value)?,
            "output_config" => self.output_config(value)?,
            "output_format" => request.response_format = Some(output_format(name, value)?),
            "temperature" => request.sampling.temperature = Some(number(name, value)?),
            "top_p" => request.sampling.top_p = Some(number(name, value)?),
            "top_k" => request.sampling.top_k = Some(count(name, value)?),
            "stop_sequences" => request.stop = texts(name, value)?,
            "stream" => request.stream = boolean(name, value)?,
            "metadata" => self.metadata(value)?,
            "mcp_servers" if value.items().next().is_none() => {}
            _ => Keep(&mut request.extra).add(name, value),
        }
        Ok(())
    }

    fn metadata(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        for (name, value) in expect(Kind::Object, "metadata", value)?.members() {
            let place = format!("metadata.{name}");
            match &*name {
                _ if value.is_null() => {}
                "user_id" => self.request.user = Some(text(&place, value)?),
                _ => Keep(&mut self.request.extra).add(&place, value),
            }
        }
        Ok(())
    }

    fn thinking(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        let value = expect(Kind::Object, "thinking", value)?;
        self.thinking = Some(match required("thinking.type", value.get("type"))?.as_str() {
            "enabled" => {
                let place = "thinking.budget_tokens";
                Thinking::Budget(count(place, value.get("budget_tokens").ok_or_else(|| missing(place))?)?)
            }
            "adaptive" => Thinking::Adaptive,
            // The nearest to none that its models have.
            "disabled" | "between_tools" => Thinking::Off,
            _ => {
                let meant = "must be `enabled`, `adaptive`, `disabled` or `between_tools`";
                return Err(wrong("thinking.type", meant));
            }
        });
        for (name, value) in value.members() {
            if !matches!(&*name, "type" | "budget_tokens") {
                Keep(&mut self.request.extra).add(&format!("thinking.{name}"), value);
            }
        }
        Ok(())
    }

    fn output_config(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        for (name, value) in expect(Kind::Object, "output_config", value)?.members() {
            let place = format!("output_config.{name}");
            match &*name {
                _ if value.is_null() => {}
                "effort" => self.effort = Some(text(&place, value)?),
                "format" => self.request.response_format = Some(output_format(&place, value)?),
                _ => Keep(&mut self.request.extra).add(&place, value),
            }
        }
        Ok(())
    }

    fn tools(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        for (index, tool) in expect(Kind::Array, "tools", value)?.items().enumerate() {
            let place = format!("tools[{index}]");
            expect(Kind::Object, &place, tool)?;
            if let Some(kind) = tool
                .get("type")
                .map(|kind| text(&format!("{place}.type"), kind))
                .transpose()?
                && kind != "custom"
            {
                let name = optional(&format!("{place}.name"), tool.get("name"))?;
                let extra = &mut self.request.extra;
                self.left
                    .add(&place, &kind, name.as_deref().unwrap_or(&kind), tool, extra);
                continue;
            }
            if let Some(callers) = tool.get("allowed_callers")
                && !callers.items().any(|who| who.string().as_deref() == Some("direct"))
            {
                // Only another tool of the provider's may call it.
                let name = required(&format!("{place}.name"), tool.get("name"))?;
                self.left.add(&place, "custom", &name, tool, &mut self.request.extra);
                continue;
            }
            let schema = format!("{place}.input_schema");
            let parameters = tool.get("input_schema").ok_or_else(|| missing(&schema))?;
            let mut read = Tool {
                name: required(&format!("{place}.name"), tool.get("name"))?,
                description: None,
                parameters: Some(expect(Kind::Object, &schema, parameters)?.to_json()),
                strict: None,
                cache: None,
            };
            for (name, value) in tool.members() {
                let here = format!("{place}.{name}");
                match &*name {
                    _ if value.is_null() => {}
                    "type" | "name" | "input_schema" => {}
                    "description" => read.description = Some(text(&here, value)?),
                    "strict" => read.strict = Some(boolean(&here, value)?),
                    "cache_control" => read.cache = blocks::cache_mark(value),
                    "allowed_callers" if value.items().all(|who| who.string().as_deref() == Some("direct")) => {}
                    _ => Keep(&mut self.request.extra).add(&here, value),
                }
            }
            self.request.tools.push(read);
        }
        Ok(())
    }

    fn tool_choice(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        let value = expect(Kind::Object, "tool_choice", value)?;
        let choice = match required("tool_choice.type", value.get("type"))?.as_str() {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(required("tool_choice.name", value.get("name"))?),
            _ => return Err(wrong("tool_choice.type", "must be `auto`, `any`, `tool` or `none`")),
        };
        self.request.tool_choice = Some(choice);
        if let Some(alone) = value.get("disable_parallel_tool_use") {
            let alone = boolean("tool_choice.disable_parallel_tool_use", alone)?;
            self.request.parallel_tool_calls = Some(!alone);
        }
        Ok(())
    }

    fn messages(&mut self, value: Raw<'_>) -> Result<(), BadRequest> {
        for (index, message) in expect(Kind::Array, "messages", value)?.items().enumerate() {
            let place = format!("messages[{index}]");
            expect(Kind::Object, &place, message)?;
            let role = match required(&format!("{place}.role"), message.get("role"))?.as_str() {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" => Role::System,
                _ => {
                    return Err(wrong(
                        &format!("{place}.role"),
                        "must be `user`, `assistant` or `system`",
                    ));
                }
            };
            for (name, value) in message.members() {
                if !matches!(&*name, "role" | "content") {
                    Keep(&mut self.request.extra).add(&format!("{place}.{name}"), value);
                }
            }
            let here = format!("{place}.content");
            let content = message.get("content").ok_or_else(|| missing(&here))?;
            let parts = blocks::content(&here, content, &mut Keep(&mut self.request.extra))?;
            if let Some(at) = parts.iter().position(|part| !blocks::fits(role, part)) {
                return Err(wrong(
                    &here,
                    &format!("holds what a turn of this role cannot (block {at})"),
                ));
            }
            self.turn(role, parts);
        }
        Ok(())
    }

    /// Adds a turn; tool results become a turn of their own.
    fn turn(&mut self, role: Role, parts: Vec<Part>) {
        let (results, said): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| matches!(part, Part::ToolResult { .. }));
        let is_said = results.is_empty() || !said.is_empty();
        for (role, parts) in [
            (Role::Tool, Some(results).filter(|results| !results.is_empty())),
            (role, Some(said).filter(|_| is_said)),
        ] {
            if let Some(parts) = parts {
                self.request.messages.push(Message {
                    role,
                    parts,
                    name: None,
                });
            }
        }
    }
}

fn output_format(place: &str, value: Raw<'_>) -> Result<ResponseFormat, BadRequest> {
    let value = expect(Kind::Object, place, value)?;
    match required(&format!("{place}.type"), value.get("type"))?.as_str() {
        "json_schema" => {
            let place = format!("{place}.schema");
            let schema = value.get("schema").ok_or_else(|| missing(&place))?;
            Ok(ResponseFormat::JsonSchema {
                name: SCHEMA_NAME.to_owned(),
                description: None,
                schema: expect(Kind::Object, &place, schema)?.to_json(),
                // The API enforces every schema it takes.
                strict: Some(true),
            })
        }
        _ => Err(wrong(&format!("{place}.type"), "must be `json_schema`")),
    }
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
