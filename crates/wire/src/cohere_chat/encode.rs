//! Questions: from the neutral model to a body of Cohere's chat.
//!
//! A tool that must be called by name is offered alone and some call required: that is the same demand. A format is not taken
//! beside tools or documents. Values beyond the API's bounds are brought to the bound, and told.

use serde_json::value::RawValue;
use types::chat::{ChatRequest, ReasoningRequest, ResponseFormat, Tool, ToolChoice};
use types::dialect::DialectName;

use super::body::{self, Body, Function, Thinking};
use super::turns::{self, Conversation};
use crate::arguments::ANY_OBJECT;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

/// The most stop sequences.
const STOPS_MAX: usize = 5;
/// Bounds of `p`.
const P_BOUNDS: (f64, f64) = (0.01, 0.99);
/// The largest `k`.
const K_MAX: u64 = 500;
/// Bounds of both penalties.
const PENALTY_BOUNDS: (f64, f64) = (0.0, 1.0);

/// Writes a request.
///
/// # Errors
/// What the API cannot say.
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    refuse_what_cannot_be_said(request)?;
    let mut drops = DroppedNames::default();
    let Conversation { turns, documents } = turns::conversation(&request.messages, upstream.reasoning, &mut drops)?;
    let (tools, tool_choice) = tools(request)?;
    let response_format = format(request, !tools.is_empty(), !documents.is_empty(), &mut drops)?;
    let sampling = &request.sampling;
    if request.parallel_tool_calls == Some(false) && !tools.is_empty() {
        drops.add("parallel_tool_calls");
    }
    if request.user.is_some() {
        drops.add("user");
    }
    for (name, _) in &request.extra {
        drops.add(name);
    }
    if request.tools.iter().any(|tool| tool.cache.is_some()) {
        drops.add("cache_control");
    }
    let strict = |tool: &Tool| tool.strict == Some(true);
    let strict_tools = !tools.is_empty() && request.tools.iter().all(strict);
    if !strict_tools && request.tools.iter().any(strict) {
        drops.add("tools.strict");
    }
    let seed = request.seed.map(u64::try_from);
    if matches!(seed, Some(Err(_))) {
        drops.add("seed");
    }
    let (frequency_penalty, presence_penalty) = penalties(request, &mut drops);
    let body = Body {
        model: upstream.model,
        messages: turns,
        stream: request.stream,
        tools,
        tool_choice,
        strict_tools,
        documents,
        response_format,
        max_tokens: request.max_output_tokens,
        stop_sequences: request.stop.iter().map(String::as_str).collect(),
        temperature: sampling.temperature,
        seed: seed.and_then(Result::ok),
        frequency_penalty,
        presence_penalty,
        k: sampling.top_k.map(|k| {
            if k > K_MAX {
                drops.add("top_k");
            }
            k.min(K_MAX)
        }),
        p: bounded(sampling.top_p, P_BOUNDS, "top_p", &mut drops),
        thinking: thinking(request.reasoning.as_ref(), upstream.reasoning, &mut drops),
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
        dialect: DialectName::CohereChat,
        what: what.into(),
        param: Some(param.to_owned()),
    }
}

fn refuse_what_cannot_be_said(request: &ChatRequest) -> Result<(), Unsupported> {
    if let Some(n) = request.n.filter(|n| *n > 1) {
        return Err(unsupported(format!("`n` = {n} (it gives one choice)"), "n"));
    }
    // It tells them by pieces of text, not by token, and no alternatives.
    if request.logprobs.is_some() {
        return Err(unsupported("log probabilities of tokens", "logprobs"));
    }
    if request.stop.len() > STOPS_MAX {
        return Err(unsupported(format!("more than {STOPS_MAX} stop sequences"), "stop"));
    }
    Ok(())
}

fn bounded(value: Option<f64>, (least, most): (f64, f64), name: &str, drops: &mut DroppedNames) -> Option<f64> {
    let value = value?;
    let kept = value.clamp(least, most);
    if kept != value {
        drops.add(name);
    }
    Some(kept)
}

/// Both penalties. A penalty of 0 is none; of two, the API takes one.
fn penalties(request: &ChatRequest, drops: &mut DroppedNames) -> (Option<f64>, Option<f64>) {
    let mut read = |penalty, name| bounded(penalty, PENALTY_BOUNDS, name, drops).filter(|penalty| *penalty != 0.0);
    let frequency = read(request.sampling.frequency_penalty, "frequency_penalty");
    let presence = read(request.sampling.presence_penalty, "presence_penalty");
    if frequency.is_some() && presence.is_some() {
        drops.add("presence_penalty");
        return (frequency, None);
    }
    (frequency, presence)
}

type Tools<'a> = (Vec<body::Tool<'a>>, Option<&'static str>);

fn tools(request: &ChatRequest) -> Result<Tools<'_>, Unsupported> {
    let offered = |only: Option<&str>| -> Vec<body::Tool<'_>> {
        let tools = request.tools.iter();
        let tools = tools.filter(|tool| only.is_none_or(|name| tool.name == name));
        tools.map(tool).collect()
    };
    let (tools, choice) = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => (offered(None), None),
        Some(ToolChoice::None) => (offered(None), Some("NONE")),
        Some(ToolChoice::Required) => (offered(None), Some("REQUIRED")),
        Some(ToolChoice::Named(name)) => (offered(Some(name)), Some("REQUIRED")),
    };
    match (tools.is_empty(), choice) {
        (true, Some("REQUIRED")) => Err(unsupported("a forced tool choice without that tool", "tool_choice")),
        (true, _) => Ok((tools, None)),
        (false, choice) => Ok((tools, choice)),
    }
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

fn format<'a>(
    request: &'a ChatRequest,
    beside_tools: bool,
    beside_documents: bool,
    drops: &mut DroppedNames,
) -> Result<Option<body::ResponseFormat<'a>>, Unsupported> {
    let json_schema = match &request.response_format {
        None | Some(ResponseFormat::Text) => return Ok(None),
        Some(ResponseFormat::JsonObject) => None,
        // It enforces whether asked `strict` or not, and has no place for the schema's name and description.
        Some(ResponseFormat::JsonSchema {
            schema, description, ..
        }) => {
            if description.is_some() {
                drops.add("response_format.description");
            }
            Some(&*schema.0)
        }
    };
    if beside_tools || beside_documents {
        let beside = if beside_tools { "tools" } else { "documents" };
        let what = format!("a response format beside {beside}");
        return Err(unsupported(what, "response_format"));
    }
    Ok(Some(body::ResponseFormat::JsonObject { json_schema }))
}

fn thinking(wish: Option<&ReasoningRequest>, reasons: bool, drops: &mut DroppedNames) -> Option<Thinking> {
    let wish = wish?;
    let budget = match wish {
        ReasoningRequest::Budget(0) => return reasons.then_some(Thinking::Disabled),
        ReasoningRequest::Budget(tokens) => Some(*tokens),
        ReasoningRequest::Effort(word) => match word.as_str() {
            "none" => return reasons.then_some(Thinking::Disabled),
            "minimal" => Some(1_024),
            "low" => Some(2_048),
            "medium" => Some(8_192),
            // Its own default, which is no bound but the output limit.
            "high" | "xhigh" | "max" => None,
            _ => {
                drops.add("reasoning_effort");
                return None;
            }
        },
    };
    if !reasons {
        drops.add("reasoning_effort");
        return None;
    }
    Some(Thinking::Enabled { token_budget: budget })
}
