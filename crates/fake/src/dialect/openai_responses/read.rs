//! Reads a Responses request, and refuses what OpenAI refuses: unknown parameters, those of chat completions, tools in their shape.
//!
//! The input comes expanded: earlier items and references have been put in their place by `memory`. Items are read in `items`.

use serde_json::{Value, json};

use crate::{
    dialect::{
        Refusal,
        openai_responses::{Echo, items},
    },
    prompt::{Format, Prompt, Tool, ToolChoice},
};

const FIELDS: &[&str] = &[
    "access_programs",
    "background",
    "background_options",
    "client_metadata",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
/// Parameters of chat completions and what they are called here.
const MOVED: &[(&str, &str)] = &[
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
];
const INCLUDES: &[&str] = &[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];
/// Tools of the provider's own; the fake never calls them.
const HOSTED: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
];
/// Fewer output tokens cannot be asked for.
const OUTPUT_TOKENS_MIN: u64 = 16;

pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    if !body["model"].is_string() {
        return Err(missing("model"));
    }
    known_fields(body)?;
    if body["background"] == true {
        let message = "Background mode is not supported with this model.";
        return Err(Refusal::field("background", message).coded("unsupported_parameter"));
    }
    for (field, word) in [("conversation", "Conversation"), ("prompt", "Prompt")] {
        let id = body[field].as_str().or(body[field]["id"].as_str());
        if let Some(id) = id {
            return Err(Refusal::with_status(404, format!("{word} with id '{id}' not found.")));
        }
    }
    let mut prompt = Prompt {
        stream: body["stream"] == true,
        choices: 1,
        include_usage: true,
        system: body["instructions"].as_str().unwrap_or_default().to_owned(),
        ..Prompt::default()
    };
    items::read(&body["input"], &mut prompt)?;
    read_tools(body, &mut prompt)?;
    read_tool_choice(body, &mut prompt)?;
    read_format(body, &mut prompt)?;
    read_settings(body, &mut prompt)?;
    prompt.echo = Some(Box::new(echo(body, &prompt)));
    Ok(prompt)
}

pub(super) fn missing(field: &str) -> Refusal {
    Refusal::field(field, format!("Missing required parameter: '{field}'.")).coded("missing_required_parameter")
}

pub(super) fn invalid_value(field: &str, given: &Value, supported: &[&str]) -> Refusal {
    let given = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
    let listed: Vec<String> = supported.iter().map(|value| format!("'{value}'")).collect();
    let listed = match listed.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, [one])) => format!("{one} and {last}"),
        Some((last, rest)) => format!("{}, and {last}", rest.join(", ")),
        None => String::new(),
    };
    let message = format!("Invalid value: '{given}'. Supported values are: {listed}.");
    Refusal::field(field, message).coded("invalid_value")
}

fn known_fields(body: &Value) -> Result<(), Refusal> {
    for name in body.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if let Some((_, moved)) = MOVED.iter().find(|(old, _)| old == name) {
            let message = format!(
                "Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{moved}'. Try again with the new parameter."
            );
            return Err(Refusal::field(name, message).coded("unsupported_parameter"));
        }
        if !FIELDS.contains(&name.as_str()) {
            return Err(Refusal::field(name, format!("Unknown parameter: '{name}'.")).coded("unknown_parameter"));
        }
    }
    Ok(())
}

fn read_tools(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let kind = tool["type"]
            .as_str()
            .ok_or_else(|| missing(&format!("tools[{index}].type")))?;
        if HOSTED.contains(&kind) {
            continue;
        }
        if !matches!(kind, "function" | "custom") {
            let supported: Vec<&str> = ["function", "custom"].iter().chain(HOSTED).copied().collect();
            return Err(invalid_value(
                &format!("tools[{index}].type"),
                &tool["type"],
                &supported,
            ));
        }
        // Chat completions nests the function; here its fields stand beside the type.
        let name = tool["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| missing(&format!("tools[{index}].name")))?;
        let schema = match &tool["parameters"] {
            Value::Null => json!({"type": "object"}),
            schema => schema.clone(),
        };
        if tool["strict"] == true
            && let Some(trouble) = strict_trouble(&schema, "()")
        {
            let message = format!("Invalid schema for function '{name}': {trouble}");
            let field = format!("tools[{index}].parameters");
            return Err(Refusal::field(field, message).coded("invalid_function_parameters"));
        }
        if kind == "custom" {
            prompt.custom_tools.push(name.to_owned());
        }
        prompt.tools.push(Tool {
            name: name.to_owned(),
            schema,
        });
    }
    Ok(())
}

/// What strict mode does not allow in a schema: open objects and optional properties.
fn strict_trouble(schema: &Value, context: &str) -> Option<String> {
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            return Some(format!(
                "In context={context}, 'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if let Some(optional) = properties.keys().find(|name| !required.contains(&name.as_str())) {
            return Some(format!(
                "In context={context}, 'required' is required to be supplied and to be an array including every key in properties. Missing '{optional}'."
            ));
        }
        let inner = |(name, property)| strict_trouble(property, &format!("('properties', '{name}')"));
        return properties.iter().find_map(inner);
    }
    schema
        .get("items")
        .and_then(|items| strict_trouble(items, "('items',)"))
}

fn read_tool_choice(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let choice = &body["tool_choice"];
    let none_offered = body["tools"].as_array().is_none_or(Vec::is_empty);
    let not_found = |kind: &str| {
        Refusal::field(
            "tool_choice",
            format!("Tool choice '{kind}' not found in 'tools' parameter."),
        )
    };
    prompt.tool_choice = match choice {
        Value::Null => ToolChoice::Auto,
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" if none_offered => {
                let message = "Tool choice 'required' must be specified with 'tools' parameter.";
                return Err(Refusal::field("tool_choice", message));
            }
            "required" => ToolChoice::Required,
            _ => return Err(invalid_value("tool_choice", choice, &["none", "auto", "required"])),
        },
        _ => match choice["type"].as_str().unwrap_or_default() {
            kind @ ("function" | "custom") => {
                let name = choice["name"].as_str().ok_or_else(|| missing("tool_choice.name"))?;
                if !prompt.tools.iter().any(|tool| tool.name == name) {
                    return Err(not_found(kind));
                }
                ToolChoice::Named(name.to_owned())
            }
            "allowed_tools" => {
                let allowed = |tool: &Tool| {
                    let mut names = choice["tools"].as_array().into_iter().flatten();
                    names.any(|one| one["name"] == tool.name.as_str())
                };
                prompt.tools.retain(allowed);
                if choice["mode"] == "required" {
                    ToolChoice::Required
                } else {
                    ToolChoice::Auto
                }
            }
            kind if HOSTED.contains(&kind) => ToolChoice::Auto,
            _ => {
                return Err(invalid_value(
                    "tool_choice.type",
                    &choice["type"],
                    &["function", "custom", "allowed_tools", "mcp"],
                ));
            }
        },
    };
    Ok(())
}

fn read_format(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let format = &body["text"]["format"];
    prompt.format = match format["type"].as_str() {
        None if format.is_null() => Format::Text,
        Some("text") => Format::Text,
        Some("json_object") => {
            let spoken = prompt
                .turns
                .iter()
                .map(|turn| turn.text.as_str())
                .chain([prompt.system.as_str()]);
            if !spoken
                .into_iter()
                .any(|text| text.to_ascii_lowercase().contains("json"))
            {
                let message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.";
                return Err(Refusal::field("input", message));
            }
            Format::Json
        }
        Some("json_schema") => {
            for field in ["name", "schema"] {
                if format[field].is_null() {
                    return Err(missing(&format!("text.format.{field}")));
                }
            }
            if format["strict"] == true
                && let Some(trouble) = strict_trouble(&format["schema"], "()")
            {
                let name = format["name"].as_str().unwrap_or_default();
                let message = format!("Invalid schema for response_format '{name}': {trouble}");
                return Err(Refusal::field("text.format.schema", message).coded("invalid_json_schema"));
            }
            Format::Schema(format["schema"].clone())
        }
        _ => {
            return Err(invalid_value(
                "text.format.type",
                &format["type"],
                &["json_object", "json_schema", "text"],
            ));
        }
    };
    one_of(body, "/text/verbosity", "text.verbosity", &["low", "medium", "high"])
}

fn one_of(body: &Value, pointer: &str, field: &str, supported: &[&str]) -> Result<(), Refusal> {
    match body.pointer(pointer) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_str().is_some_and(|word| supported.contains(&word)) => Ok(()),
        Some(value) => Err(invalid_value(field, value, supported)),
    }
}

fn read_settings(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (field, most) in [("temperature", 2.0), ("top_p", 1.0), ("top_logprobs", 20.0)] {
        let value = &body[field];
        if !value.is_null() && !value.as_f64().is_some_and(|number| (0.0..=most).contains(&number)) {
            let message =
                format!("Invalid '{field}': expected a number between 0 and {most}, but got {value} instead.");
            return Err(Refusal::field(field, message).coded("invalid_value"));
        }
    }
    prompt.max_tokens = match &body["max_output_tokens"] {
        Value::Null => None,
        limit => match limit.as_u64() {
            Some(limit) if limit >= OUTPUT_TOKENS_MIN => Some(limit),
            _ => {
                let message = format!(
                    "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {OUTPUT_TOKENS_MIN}, but got {limit} instead."
                );
                return Err(Refusal::field("max_output_tokens", message).coded("integer_below_min_value"));
            }
        },
    };
    for (index, include) in body["include"].as_array().into_iter().flatten().enumerate() {
        if !include.as_str().is_some_and(|name| INCLUDES.contains(&name)) {
            return Err(invalid_value(&format!("include[{index}]"), include, INCLUDES));
        }
    }
    let efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    one_of(body, "/reasoning/effort", "reasoning.effort", &efforts)?;
    one_of(
        body,
        "/reasoning/summary",
        "reasoning.summary",
        &["auto", "concise", "detailed"],
    )?;
    one_of(body, "/truncation", "truncation", &["auto", "disabled"])?;
    let tiers = ["auto", "default", "flex", "scale", "priority", "fast"];
    one_of(body, "/service_tier", "service_tier", &tiers)?;
    if body["stream_options"].is_object() && !prompt.stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::field("stream_options", message));
    }
    if let Some(metadata) = body["metadata"].as_object()
        && (metadata.len() > 16 || metadata.values().any(|value| !value.is_string()))
    {
        return Err(Refusal::field(
            "metadata",
            "Invalid 'metadata': expected at most 16 pairs of strings.",
        ));
    }
    let included = |name: &str| body["include"].as_array().into_iter().flatten().any(|one| one == name);
    if included("message.output_text.logprobs") || body["top_logprobs"].as_u64().is_some_and(|best| best > 0) {
        prompt.logprobs = Some(body["top_logprobs"].as_u64().unwrap_or(0).min(20) as usize);
    }
    prompt.show_reasoning = body["reasoning"]["summary"].is_string();
    prompt.reasons = prompt.show_reasoning
        || body["reasoning"]["effort"]
            .as_str()
            .is_some_and(|effort| effort != "none");
    prompt.service_tier = body["service_tier"]
        .as_str()
        .filter(|tier| *tier != "auto")
        .map(str::to_owned);
    Ok(())
}

fn echo(body: &Value, prompt: &Prompt) -> Echo {
    let or = |field: &str, default: Value| match &body[field] {
        Value::Null => default,
        value => value.clone(),
    };
    let mut tools = or("tools", json!([]));
    for tool in tools
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter(|tool| tool["type"] == "function")
    {
        if tool["strict"].is_null() {
            tool["strict"] = json!(true);
        }
    }
    let format = match &body["text"]["format"] {
        Value::Null => json!({"type": "text"}),
        format => format.clone(),
    };
    let verbosity = body["text"]["verbosity"].as_str().unwrap_or("medium");
    let fields = json!({
        "background": false,
        "instructions": body["instructions"],
        "max_output_tokens": body["max_output_tokens"],
        "max_tool_calls": body["max_tool_calls"],
        "metadata": or("metadata", json!({})),
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": body["previous_response_id"],
        "prompt_cache_key": body["prompt_cache_key"],
        "reasoning": {"effort": body["reasoning"]["effort"], "summary": body["reasoning"]["summary"]},
        "safety_identifier": body["safety_identifier"],
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": {"format": format, "verbosity": verbosity},
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": tools,
        "top_logprobs": or("top_logprobs", json!(0)),
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "user": body["user"],
    });
    let include = body["include"].as_array().into_iter().flatten();
    Echo {
        fields,
        encrypted: include.into_iter().any(|one| one == "reasoning.encrypted_content"),
        reasons: prompt.reasons,
        obfuscation: prompt.stream && body["stream_options"]["include_obfuscation"] != false,
    }
}
