//! Questions: from the neutral model to a body of the Messages API.
//!
//! What the API cannot say is [`Unsupported`] where the answer would be another one (several choices, log probabilities, a
//! temperature above 1, a stop sequence of white space, a forced tool at a model that refuses it); else it is left out and
//! told as `Dropped` under the client's own name for it. What is left out because it says what holds anyway (a penalty of
//! 0, a `top_p` of 1, `n` of 1) is not told.
//!
//! `response_format: json_object` has no word in the API, whose formats need a schema: it becomes an instruction, told as
//! dropped because nothing enforces it.

use std::borrow::Cow;

use types::chat::{ChatRequest, ResponseFormat, Sampling, Tool, ToolChoice};
use types::dialect::DialectName;

use super::body::{self, AnyTool, Block, Body, OutputConfig, OutputFormat};
use super::generation::{Generation, SamplingRule};
use super::schema;
use super::thinking::{self, Plan, Surroundings};
use super::turns::{self, Conversation};
use crate::offers;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel, append_members};

/// What stands in for `json_object`.
const JSON_INSTRUCTION: &str =
    "Answer with one JSON object and nothing else: no words before or after it and no code fence.";

/// What a thinking model takes of `top_p`.
const THINKING_TOP_P_MIN: f64 = 0.95;

/// The longest `metadata.user_id` the API takes, in characters.
const USER_ID_CHARS_MAX: usize = 256;

/// The fields without a neutral word that a question for a token count takes.
const COUNTED: [&str; 4] = ["cache_control", "speed", "user_profile_id", "workspace_id"];

/// What a request is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An answer.
    Answer,
    /// A token count: nothing that is about the answer.
    Count,
}

/// Writes a request. [`UpstreamModel::max_output_default`] is the `max_tokens` where the client gave no limit.
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    encode(request, upstream, Purpose::Answer)
}

pub(super) fn encode(
    request: &ChatRequest,
    upstream: UpstreamModel<'_>,
    purpose: Purpose,
) -> Result<Encoded, Unsupported> {
    refuse_what_cannot_be_said(request)?;
    let generation = Generation::of(upstream.model);
    let mut drops = DroppedNames::default();

    let conversation = turns::conversation(&request.messages, &generation, &mut drops)?;
    let bare_tool_turn = conversation.ends_in_bare_tool_turn();
    let Conversation {
        mut system,
        turns,
        uses_files,
    } = conversation;
    let (tools, tool_choice) = tools(request, &generation, &mut drops)?;
    let max_tokens = request.max_output_tokens.unwrap_or(upstream.max_output_default).max(1);
    let around = Surroundings {
        // A catalog's row may tell only that a model thinks unasked; what a Claude can do when asked, its name tells.
        reasons: upstream.reasoning || generation.thinks,
        max_tokens,
        forced_tool: matches!(
            tool_choice,
            Some(body::ToolChoice::Any { .. } | body::ToolChoice::Tool { .. })
        ),
        bare_tool_turn,
    };
    let mut plan = thinking::plan(request.reasoning.as_ref(), &generation, around);
    if plan.dropped {
        drops.add("reasoning_effort");
    }
    let format = format(request, &generation, &mut system, &mut drops)?;
    let (temperature, top_p, top_k) = sampling(&request.sampling, generation.sampling, plan.is_on(), &mut drops);
    if request.seed.is_some() {
        drops.add("seed");
    }
    let own = own_fields(request, purpose, &mut plan, &mut drops);
    let answered = purpose == Purpose::Answer;

    let body = Body {
        model: upstream.model,
        max_tokens: answered.then_some(max_tokens),
        system,
        messages: turns,
        tools,
        tool_choice,
        thinking: plan.thinking,
        output_config: (plan.effort.is_some() || format.is_some()).then_some(OutputConfig {
            effort: plan.effort,
            format,
        }),
        stop_sequences: request.stop.iter().map(String::as_str).filter(|_| answered).collect(),
        temperature: temperature.filter(|_| answered),
        top_p: top_p.filter(|_| answered),
        top_k: top_k.filter(|_| answered),
        metadata: metadata(request.user.as_deref(), &mut drops).filter(|_| answered),
        stream: request.stream && answered,
    };
    let mut body = serde_json::to_vec(&body).expect("strings, numbers and checked JSON can be written");
    append_members(&mut body, &own);
    Ok(Encoded {
        body,
        headers: if uses_files {
            vec![("anthropic-beta", "files-api-2025-04-14".to_owned())]
        } else {
            Vec::new()
        },
        dropped: drops.into_vec(),
    })
}

/// What of the client's own dialect goes back: whole fields as they came, and how thinking is shown. The rest is told.
fn own_fields<'a>(
    request: &'a ChatRequest,
    purpose: Purpose,
    plan: &mut Plan,
    drops: &mut DroppedNames,
) -> Vec<(&'a str, &'a str)> {
    let is_own = request.dialect == Some(DialectName::AnthropicMessages);
    let mut own = Vec::new();
    for (name, written) in &request.extra {
        let value = written.as_str().trim();
        if is_own && offers::typed_kind(name, written).is_some() {
            continue;
        } else if !is_own {
            drops.add(name);
        } else if name == "thinking.display" {
            plan.show(value.trim_matches('"'));
        } else if name.contains(['.', '[']) {
            // A place within another field is where something was left behind, not a field.
            drops.add(name);
        } else if purpose == Purpose::Answer || COUNTED.contains(&name.as_str()) {
            own.push((name.as_str(), value));
        }
    }
    own
}

/// This dialect cannot say it.
pub(super) fn unsupported(what: impl Into<String>, param: &str) -> Unsupported {
    Unsupported {
        dialect: DialectName::AnthropicMessages,
        what: what.into(),
        param: Some(param.to_owned()),
    }
}

fn refuse_what_cannot_be_said(request: &ChatRequest) -> Result<(), Unsupported> {
    if let Some(n) = request.n.filter(|n| *n > 1) {
        return Err(unsupported(format!("`n` = {n} (it gives one choice)"), "n"));
    }
    if request.logprobs.is_some() {
        return Err(unsupported("log probabilities", "logprobs"));
    }
    if let Some(t) = request.sampling.temperature.filter(|t| *t > 1.0) {
        let what = format!("`temperature` = {t} (its scale ends at 1)");
        return Err(unsupported(what, "temperature"));
    }
    // Leaving one out would let the answer run on past where the client wants it to end.
    if request.stop.iter().any(|stop| stop.trim().is_empty()) {
        return Err(unsupported("a stop sequence of white space", "stop"));
    }
    Ok(())
}

type Tools<'a> = (Vec<body::AnyTool<'a>>, Option<body::ToolChoice<'a>>);

fn tools<'a>(
    request: &'a ChatRequest,
    generation: &Generation,
    drops: &mut DroppedNames,
) -> Result<Tools<'a>, Unsupported> {
    let forced = match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => true,
        Some(ToolChoice::Auto | ToolChoice::None) | None => false,
    };
    if forced && !generation.forced_tools {
        let what = "a forced tool choice (this model decides itself)";
        return Err(unsupported(what, "tool_choice"));
    }
    let functions = request.tools.iter();
    let functions = functions.map(|written| AnyTool::Function(tool(written, generation, drops)));
    let is_own = request.dialect == Some(DialectName::AnthropicMessages);
    let offered = request.extra.iter();
    let offered = offered.filter(|(name, value)| is_own && offers::typed_kind(name, value).is_some());
    let tools: Vec<_> = functions
        .chain(offered.map(|(_, tool)| AnyTool::Offered(tool)))
        .collect();
    if tools.is_empty() {
        // A choice among no tools is refused, whatever it says; only a forced one asks for anything.
        return match forced {
            true => Err(unsupported("a forced tool choice without tools", "tool_choice")),
            false => Ok((Vec::new(), None)),
        };
    }
    let disable_parallel_tool_use = request.parallel_tool_calls == Some(false);
    let choice = match &request.tool_choice {
        Some(ToolChoice::Auto) => Some(body::ToolChoice::Auto {
            disable_parallel_tool_use,
        }),
        None if disable_parallel_tool_use => Some(body::ToolChoice::Auto {
            disable_parallel_tool_use,
        }),
        None => None,
        Some(ToolChoice::None) => Some(body::ToolChoice::None),
        Some(ToolChoice::Required) => Some(body::ToolChoice::Any {
            disable_parallel_tool_use,
        }),
        Some(ToolChoice::Named(name)) => Some(body::ToolChoice::Tool {
            name,
            disable_parallel_tool_use,
        }),
    };
    Ok((tools, choice))
}

fn tool<'a>(written: &'a Tool, generation: &Generation, drops: &mut DroppedNames) -> body::Tool<'a> {
    let mut strict = None;
    if written.strict == Some(true) {
        strict = written
            .parameters
            .as_ref()
            .filter(|_| generation.structured)
            .and_then(|parameters| schema::enforced(parameters).ok());
        match &strict {
            Some(enforced) => {
                for keyword in &enforced.moved {
                    drops.add(&format!("tools.parameters.{keyword}"));
                }
            }
            // Unenforced the schema still tells the model what to write.
            None => drops.add("tools.strict"),
        }
    }
    body::Tool {
        name: &written.name,
        description: written.description.as_deref(),
        strict: strict.is_some(),
        input_schema: match strict {
            Some(enforced) => enforced.schema,
            None => schema::of_tool(written.parameters.as_ref()),
        },
        cache_control: written.cache.map(Into::into),
    }
}

fn format(
    request: &ChatRequest,
    generation: &Generation,
    system: &mut Vec<Block<'_>>,
    drops: &mut DroppedNames,
) -> Result<Option<OutputFormat>, Unsupported> {
    match &request.response_format {
        None | Some(ResponseFormat::Text) => Ok(None),
        Some(ResponseFormat::JsonObject) => {
            system.push(Block::Text {
                text: Cow::Borrowed(JSON_INSTRUCTION),
                cache_control: None,
            });
            drops.add("response_format");
            Ok(None)
        }
        // The API has no place for the schema's name and description, and enforces whether asked `strict` or not.
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            let enforced = Some(schema)
                .filter(|_| generation.structured)
                .and_then(|schema| schema::enforced(schema).ok())
                .ok_or_else(|| {
                    let what = if generation.structured {
                        "a response format whose schema has objects of free keys"
                    } else {
                        "a response format by schema (this model knows none)"
                    };
                    unsupported(what, "response_format")
                })?;
            for keyword in &enforced.moved {
                drops.add(&format!("response_format.{keyword}"));
            }
            Ok(Some(OutputFormat::JsonSchema {
                schema: enforced.schema,
            }))
        }
    }
}

pub(crate) type Samplers = (Option<f64>, Option<f64>, Option<u64>);

/// `temperature`, `top_p` and `top_k` as the model takes them. Values that are the default anyway are left out in silence
/// where sending them could offend.
pub(crate) fn sampling(asked: &Sampling, rule: SamplingRule, thinks: bool, drops: &mut DroppedNames) -> Samplers {
    for (name, penalty) in [
        ("presence_penalty", asked.presence_penalty),
        ("frequency_penalty", asked.frequency_penalty),
    ] {
        if penalty.is_some_and(|penalty| penalty != 0.0) {
            drops.add(name);
        }
    }
    let (mut temperature, mut top_p, mut top_k) = (asked.temperature, asked.top_p, asked.top_k);
    let says_something = |value: &f64| *value != 1.0;
    match rule {
        SamplingRule::Fixed => {
            temperature = temperature.filter(says_something);
            top_p = top_p.filter(says_something);
            take(&mut temperature, "temperature", drops);
            take(&mut top_p, "top_p", drops);
            take(&mut top_k, "top_k", drops);
        }
        SamplingRule::OneOfTwo | SamplingRule::Any if thinks => {
            temperature = temperature.filter(says_something);
            take(&mut temperature, "temperature", drops);
            take(&mut top_k, "top_k", drops);
            if top_p.is_some_and(|p| p < THINKING_TOP_P_MIN) {
                take(&mut top_p, "top_p", drops);
            }
        }
        SamplingRule::OneOfTwo if temperature.is_some() && top_p.is_some() => {
            top_p = top_p.filter(says_something);
            if top_p.is_some() {
                temperature = temperature.filter(says_something);
            }
            if temperature.is_some() {
                take(&mut top_p, "top_p", drops);
            }
        }
        SamplingRule::OneOfTwo | SamplingRule::Any => {}
    }
    (temperature, top_p, top_k)
}

fn take<T>(value: &mut Option<T>, name: &str, drops: &mut DroppedNames) {
    if value.take().is_some() {
        drops.add(name);
    }
}

/// `metadata.user_id` wants an opaque id; one that reads like an e-mail address or a telephone number is refused with 400.
fn metadata<'a>(user: Option<&'a str>, drops: &mut DroppedNames) -> Option<body::Metadata<'a>> {
    let user_id = user?;
    let is_phone = user_id.chars().filter(char::is_ascii_digit).count() >= 7
        && user_id.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    let is_fit =
        !user_id.is_empty() && user_id.chars().count() <= USER_ID_CHARS_MAX && !user_id.contains('@') && !is_phone;
    if !is_fit {
        drops.add("user");
    }
    is_fit.then_some(body::Metadata { user_id })
}
