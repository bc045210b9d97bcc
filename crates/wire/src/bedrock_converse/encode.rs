//! Questions: from the neutral model to a body of Converse.
//!
//! What the API cannot say is [`Unsupported`] where the answer would be another one (several choices, log probabilities, a
//! temperature above 1, white space as a stop sequence); else it is left out and told as `Dropped` under the client's name.
//! What has no common word but one of the model's maker goes into `additionalModelRequestFields`.
//!
//! A conversation in which tools were called must come with tools. Where the client offers none any more, or forbids their
//! use (for which there is no word), [`PLACEHOLDER`] stands for them.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use types::chat::{ChatRequest, ReasoningRequest, ResponseFormat, Tool, ToolChoice};
use types::dialect::DialectName;

use super::body::{self, Body, InferenceConfig, InputSchema, OutputConfig, Structure, TextFormat, ToolConfig};
use super::model::Maker;
use super::turns::{self, Conversation};
use crate::anthropic_messages::encode::sampling as claudes_sampling;
use crate::anthropic_messages::generation::Generation;
use crate::anthropic_messages::schema;
use crate::anthropic_messages::thinking::{self, Surroundings};
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel};

/// What stands in for `json_object`.
const JSON_INSTRUCTION: &str =
    "Answer with one JSON object and nothing else: no words before or after it and no code fence.";
/// The tool that stands where tools must and none may be called.
const PLACEHOLDER: &str = "no_tool_available";
/// The longest name of a tool.
const TOOL_NAME_CHARS_MAX: usize = 64;

/// Writes a request.
///
/// # Errors
/// What the API or the model cannot say, and media by URL: they have to be fetched before (`dialect::needs_fetch`).
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    refuse_what_cannot_be_said(request)?;
    let maker = Maker::of(upstream.model);
    let generation = Generation::of(upstream.model);
    let mut drops = DroppedNames::default();
    let mut fields = Map::new();

    let conversation = turns::conversation(&request.messages, maker, &generation, &mut drops)?;
    let bare_tool_turn = conversation.ends_in_bare_tool_turn();
    let Conversation {
        mut system,
        turns,
        uses_tools,
    } = conversation;
    let tool_config = tools(request, uses_tools, maker, &generation, &mut drops)?;
    let around = Surroundings {
        reasons: upstream.reasoning || generation.thinks,
        max_tokens: request.max_output_tokens.unwrap_or(upstream.max_output_default).max(1),
        forced_tool: tool_config.as_ref().is_some_and(|config| {
            matches!(
                config.tool_choice,
                Some(body::ToolChoice::Any {} | body::ToolChoice::Tool { .. })
            )
        }),
        bare_tool_turn,
    };
    let (effort, thinks) = reasoning(
        request.reasoning.as_ref(),
        maker,
        &generation,
        around,
        &mut fields,
        &mut drops,
    );
    let (temperature, top_p) = sampling(request, maker, &generation, thinks, &mut fields, &mut drops);
    let text_format = format(request, maker, &generation, &mut system, &mut drops)?;
    for (name, is_there) in [("seed", request.seed.is_some()), ("user", request.user.is_some())] {
        if is_there {
            drops.add(name);
        }
    }
    for (name, _) in &request.extra {
        drops.add(name);
    }
    // Claude thinks by budget only within a limit that is written.
    let max_tokens = request
        .max_output_tokens
        .or_else(|| thinks.then_some(around.max_tokens));
    let body = Body {
        messages: turns,
        system,
        inference_config: InferenceConfig {
            max_tokens: max_tokens.map(|limit| limit.max(1)),
            temperature,
            top_p,
            stop_sequences: request.stop.iter().map(String::as_str).collect(),
        },
        tool_config,
        additional_model_request_fields: fields,
        output_config: (effort.is_some() || text_format.is_some()).then_some(OutputConfig { text_format, effort }),
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
        dialect: DialectName::BedrockConverse,
        what: what.into(),
        param: Some(param.to_owned()),
    }
}

/// A tool's name must be of letters, digits, `_` and `-`: a name that was changed would come back changed.
pub(super) fn check_tool_name(name: &str, param: &str) -> Result<(), Unsupported> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= TOOL_NAME_CHARS_MAX && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(unsupported(format!("a tool of the name `{name}`"), param))
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

fn tools<'a>(
    request: &'a ChatRequest,
    uses_tools: bool,
    maker: Maker,
    generation: &Generation,
    drops: &mut DroppedNames,
) -> Result<Option<ToolConfig<'a>>, Unsupported> {
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
        if request.tools.is_empty() {
            return Err(unsupported("a forced tool choice without tools", "tool_choice"));
        }
        if maker == Maker::Anthropic && !generation.forced_tools {
            let what = "a forced tool choice (this model decides itself)";
            return Err(unsupported(what, "tool_choice"));
        }
    }
    let forbidden = request.tool_choice == Some(ToolChoice::None);
    if request.tools.is_empty() || forbidden {
        if !request.tools.is_empty() {
            drops.add("tools");
        }
        return Ok(uses_tools.then(placeholder));
    }
    if request.parallel_tool_calls == Some(false) {
        drops.add("parallel_tool_calls");
    }
    let mut tools = Vec::with_capacity(request.tools.len());
    for written in &request.tools {
        check_tool_name(&written.name, "tools")?;
        tools.push(tool(written, maker, generation, drops));
        let point = turns::cache_point(written.cache, maker, generation, drops);
        tools.extend(point.map(body::Tool::CachePoint));
    }
    let tool_choice = match &request.tool_choice {
        None | Some(ToolChoice::None) => None,
        Some(ToolChoice::Auto) => Some(body::ToolChoice::Auto {}),
        Some(ToolChoice::Required) => Some(body::ToolChoice::Any {}),
        Some(ToolChoice::Named(name)) => Some(body::ToolChoice::Tool { name }),
    };
    Ok(Some(ToolConfig { tools, tool_choice }))
}

fn placeholder<'a>() -> ToolConfig<'a> {
    ToolConfig {
        tools: vec![body::Tool::ToolSpec {
            name: PLACEHOLDER,
            description: Some("No tool can be called now. Answer in words."),
            input_schema: InputSchema {
                json: schema::of_tool(None),
            },
            strict: false,
        }],
        tool_choice: None,
    }
}

fn tool<'a>(written: &'a Tool, maker: Maker, generation: &Generation, drops: &mut DroppedNames) -> body::Tool<'a> {
    let mut json = schema::of_tool(written.parameters.as_ref());
    let mut strict = false;
    if written.strict == Some(true) {
        match enforced(
            written.parameters.as_ref(),
            maker,
            generation,
            "tools.parameters",
            drops,
        ) {
            Some(schema) => (json, strict) = (schema, true),
            // Unenforced the schema still tells the model what to write.
            None => drops.add("tools.strict"),
        }
    }
    body::Tool::ToolSpec {
        name: &written.name,
        description: written.description.as_deref().filter(|words| !words.is_empty()),
        input_schema: InputSchema { json },
        strict,
    }
}

/// The schema as the model enforces it: Claude in its own subset, others as it was written. `None` when it does not.
fn enforced(
    written: Option<&types::chat::Json>,
    maker: Maker,
    generation: &Generation,
    place: &str,
    drops: &mut DroppedNames,
) -> Option<Box<RawValue>> {
    let written = written?;
    match maker {
        Maker::Anthropic => {
            let enforced = schema::enforced(written).ok().filter(|_| generation.structured)?;
            for keyword in &enforced.moved {
                drops.add(&format!("{place}.{keyword}"));
            }
            Some(enforced.schema)
        }
        Maker::Nova | Maker::OpenAi | Maker::Other => Some(written.0.clone()),
    }
}

/// `outputConfig.effort` and whether the model thinks by our word, which bounds what it takes of sampling.
fn reasoning(
    wish: Option<&ReasoningRequest>,
    maker: Maker,
    generation: &Generation,
    around: Surroundings,
    fields: &mut Map<String, Value>,
    drops: &mut DroppedNames,
) -> (Option<&'static str>, bool) {
    let Some(wish) = wish else {
        return (None, false);
    };
    let off = matches!(wish, ReasoningRequest::Effort(word) if word == "none") || *wish == ReasoningRequest::Budget(0);
    let word = match wish {
        ReasoningRequest::Effort(word) => match word.as_str() {
            "minimal" | "low" => Some("low"),
            "medium" => Some("medium"),
            "high" | "xhigh" | "max" => Some("high"),
            _ => None,
        },
        ReasoningRequest::Budget(0..=4_096) => Some("low"),
        ReasoningRequest::Budget(4_097..=12_288) => Some("medium"),
        ReasoningRequest::Budget(_) => Some("high"),
    };
    match maker {
        Maker::Anthropic => {
            let plan = thinking::plan(Some(wish), generation, around);
            if plan.dropped {
                drops.add("reasoning_effort");
            }
            if let Some(thinking) = plan.thinking {
                fields.insert("thinking".to_owned(), json!(thinking));
            }
            return (plan.effort, plan.is_on());
        }
        // These reason only when they are asked to.
        Maker::Nova | Maker::Other if off => {}
        Maker::Nova if around.reasons && word.is_some() => {
            let config = json!({ "type": "enabled", "maxReasoningEffort": word });
            fields.insert("reasoningConfig".to_owned(), config);
        }
        Maker::OpenAi if around.reasons && word.is_some() && !off => {
            fields.insert("reasoning_effort".to_owned(), json!(word));
        }
        Maker::Nova | Maker::OpenAi | Maker::Other => drops.add("reasoning_effort"),
    }
    if matches!(wish, ReasoningRequest::Budget(1..)) && fields.keys().any(|field| field.starts_with("reasoning")) {
        // The nearest word is no budget.
        drops.add("reasoning_effort");
    }
    (None, false)
}

/// `temperature` and `topP`; `top_k` in its maker's word.
fn sampling(
    request: &ChatRequest,
    maker: Maker,
    generation: &Generation,
    thinks: bool,
    fields: &mut Map<String, Value>,
    drops: &mut DroppedNames,
) -> (Option<f64>, Option<f64>) {
    let asked = &request.sampling;
    if maker == Maker::Anthropic {
        let (temperature, top_p, top_k) = claudes_sampling(asked, generation.sampling, thinks, drops);
        fields.extend(top_k.map(|k| ("top_k".to_owned(), json!(k))));
        return (temperature, top_p);
    }
    for (name, penalty) in [
        ("presence_penalty", asked.presence_penalty),
        ("frequency_penalty", asked.frequency_penalty),
    ] {
        if penalty.is_some_and(|penalty| penalty != 0.0) {
            drops.add(name);
        }
    }
    match (asked.top_k, maker) {
        (None, _) => {}
        (Some(k), Maker::Nova) => {
            fields.insert("inferenceConfig".to_owned(), json!({ "topK": k }));
        }
        (Some(_), Maker::Anthropic | Maker::OpenAi | Maker::Other) => drops.add("top_k"),
    }
    (asked.temperature, asked.top_p)
}

fn format<'a>(
    request: &'a ChatRequest,
    maker: Maker,
    generation: &Generation,
    system: &mut Vec<body::Block<'a>>,
    drops: &mut DroppedNames,
) -> Result<Option<TextFormat<'a>>, Unsupported> {
    match &request.response_format {
        None | Some(ResponseFormat::Text) => Ok(None),
        Some(ResponseFormat::JsonObject) => {
            system.push(body::Block::Text(JSON_INSTRUCTION.into()));
            drops.add("response_format");
            Ok(None)
        }
        // The API enforces whether asked `strict` or not.
        Some(ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict: _,
        }) => {
            let schema = enforced(Some(schema), maker, generation, "response_format", drops)
                .ok_or_else(|| unsupported("a response format of this schema (at this model)", "response_format"))?;
            Ok(Some(TextFormat {
                kind: "json_schema",
                structure: Structure::JsonSchema {
                    schema: schema.get().to_owned(),
                    name,
                    description: description.as_deref(),
                },
            }))
        }
    }
}
