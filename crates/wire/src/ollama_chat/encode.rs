//! Questions: from the neutral model to a body of Ollama's chat.
//!
//! `keep_alive`, which only this API knows, is taken from the client's request whatever its dialect: its name has no other
//! meaning. There is no word for which tool is to be called: none is said by offering none, and a forced call not at all.

use serde_json::value::RawValue;
use types::chat::{ChatRequest, ReasoningRequest, ResponseFormat, Tool, ToolChoice};
use types::dialect::DialectName;

use super::body::{self, Body, Format, Function, Options, Think};
use super::turns;
use crate::arguments::ANY_OBJECT;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

/// Writes a request.
///
/// # Errors
/// What the API cannot say, and media by URL: they have to be fetched before (`dialect::needs_fetch`).
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    if let Some(n) = request.n.filter(|n| *n > 1) {
        return Err(unsupported(format!("`n` = {n} (it gives one choice)"), "n"));
    }
    let mut drops = DroppedNames::default();
    let messages = turns::turns(&request.messages, &mut drops)?;
    let tools = tools(request, &mut drops)?;
    if request.user.is_some() {
        drops.add("user");
    }
    let mut keep_alive = None;
    for (name, value) in &request.extra {
        match name.as_str() {
            "keep_alive" => keep_alive = Some(&*value.0),
            _ => drops.add(name),
        }
    }
    let body = Body {
        model: upstream.model,
        messages,
        stream: request.stream,
        tools,
        format: match &request.response_format {
            None | Some(ResponseFormat::Text) => None,
            Some(ResponseFormat::JsonObject) => Some(Format::Word("json")),
            // It enforces whether asked `strict` or not, and has no place for the schema's name and description.
            Some(ResponseFormat::JsonSchema {
                schema, description, ..
            }) => {
                if description.is_some() {
                    drops.add("response_format.description");
                }
                Some(Format::Schema(&schema.0))
            }
        },
        options: Options {
            num_predict: request.max_output_tokens,
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
            top_k: request.sampling.top_k,
            seed: request.seed,
            presence_penalty: request.sampling.presence_penalty,
            frequency_penalty: request.sampling.frequency_penalty,
            stop: request.stop.iter().map(String::as_str).collect(),
        },
        think: think(request.reasoning.as_ref(), upstream.reasoning, &mut drops),
        keep_alive,
        logprobs: request.logprobs.is_some(),
        top_logprobs: request.logprobs.filter(|alternatives| *alternatives > 0),
    };
    Ok(Encoded {
        body: serde_json::to_vec(&body).expect("strings, numbers and checked JSON can be written"),
        headers: Vec::new(),
        dropped: drops.into_vec(),
    })
}

/// This dialect cannot say it.
pub(super) fn unsupported(what: impl Into<String>, param: &str) -> Unsupported {
    Unsupported {
        dialect: DialectName::OllamaChat,
        what: what.into(),
        param: Some(param.to_owned()),
    }
}

fn tools<'a>(request: &'a ChatRequest, drops: &mut DroppedNames) -> Result<Vec<body::Tool<'a>>, Unsupported> {
    match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => {
            return Err(unsupported("a forced tool choice", "tool_choice"));
        }
        Some(ToolChoice::None) => {
            if !request.tools.is_empty() {
                drops.add("tools");
            }
            return Ok(Vec::new());
        }
        Some(ToolChoice::Auto) | None => {}
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        drops.add("parallel_tool_calls");
    }
    for tool in &request.tools {
        if tool.strict == Some(true) {
            drops.add("tools.strict");
        }
        if tool.cache.is_some() {
            drops.add("cache_control");
        }
    }
    Ok(request.tools.iter().map(tool).collect())
}

fn tool(written: &Tool) -> body::Tool<'_> {
    body::Tool {
        kind: "function",
        function: Function {
            name: &written.name,
            description: written.description.as_deref(),
            parameters: match &written.parameters {
                Some(schema) if schema.as_str() != "null" => schema.0.clone(),
                Some(_) | None => {
                    RawValue::from_string(ANY_OBJECT.to_owned()).expect("a constant that is JSON is JSON")
                }
            },
        },
    }
}

/// A model that does not think refuses every wish but no thinking, which it need not be told.
fn think(wish: Option<&ReasoningRequest>, reasons: bool, drops: &mut DroppedNames) -> Option<Think> {
    let think = match wish? {
        ReasoningRequest::Budget(0) => Think::Whether(false),
        ReasoningRequest::Budget(_) => {
            // It thinks, but knows no bound.
            drops.add("reasoning_effort");
            Think::Whether(true)
        }
        ReasoningRequest::Effort(word) => match word.as_str() {
            "none" => Think::Whether(false),
            "minimal" | "low" => Think::Level("low"),
            "medium" => Think::Level("medium"),
            "high" | "xhigh" => Think::Level("high"),
            "max" => Think::Level("max"),
            _ => {
                drops.add("reasoning_effort");
                return None;
            }
        },
    };
    if reasons {
        return Some(think);
    }
    if think != Think::Whether(false) {
        drops.add("reasoning_effort");
    }
    None
}
