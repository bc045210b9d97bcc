//! Reads a request of Ollama's own chat, as its Go server does: types must be right, fields that it does not know are let pass.

use base64::Engine as _;
use serde_json::Value;

use crate::{
    dialect::Refusal,
    prompt::{Format, Prompt, Role, Tool, ToolChoice, Turn},
};

pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err(Refusal::invalid("model is required"));
    }
    let mut prompt = Prompt {
        // Streams unless told not to.
        stream: body["stream"] != false,
        choices: 1,
        include_usage: true,
        ..Prompt::default()
    };
    if !(body["stream"].is_null() || body["stream"].is_boolean()) {
        return Err(mistyped("string", "stream", "bool"));
    }
    let messages = match &body["messages"] {
        Value::Array(messages) => messages.as_slice(),
        Value::Null => &[],
        other => return Err(mistyped(kind(other), "messages", "[]api.Message")),
    };
    for message in messages {
        let content = match &message["content"] {
            Value::String(text) => text.as_str(),
            Value::Null => "",
            other => return Err(mistyped(kind(other), "messages.content", "string")),
        };
        let role = match message["role"].as_str() {
            Some("system" | "developer") => {
                prompt.system.push_str(content);
                continue;
            }
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool") => Role::ToolResult,
            other => return Err(Refusal::invalid(format!("invalid role: {}", other.unwrap_or_default()))),
        };
        let mut turn = Turn {
            role,
            text: content.to_owned(),
            ..Turn::default()
        };
        for image in message["images"].as_array().into_iter().flatten() {
            // A data URL here is what a translation forgets to take apart.
            let bytes = image
                .as_str()
                .and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok());
            let bytes = bytes.ok_or_else(|| Refusal::invalid("illegal base64 data at input byte 4"))?;
            turn.images.push(media_of(&bytes).to_owned());
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = &call["function"]["arguments"];
            if !(arguments.is_object() || arguments.is_null()) {
                return Err(mistyped(
                    kind(arguments),
                    "messages.tool_calls.function.arguments",
                    "api.ToolCallFunctionArguments",
                ));
            }
            turn.tool_calls = true;
        }
        prompt.turns.push(turn);
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        let name = function["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::invalid("invalid tool: function name is required"))?;
        prompt.tools.push(Tool {
            name: name.to_owned(),
            schema: function["parameters"].clone(),
        });
    }
    prompt.tool_choice = ToolChoice::Auto;
    prompt.format = match &body["format"] {
        Value::Null => Format::Text,
        Value::String(name) if name.is_empty() => Format::Text,
        Value::String(name) if name == "json" => Format::Json,
        Value::Object(_) => Format::Schema(body["format"].clone()),
        other => {
            return Err(Refusal::invalid(format!(
                "invalid format: {other}; expected \"json\" or a valid JSON Schema object"
            )));
        }
    };
    read_options(body, &mut prompt)?;
    Ok(prompt)
}

fn read_options(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let options = &body["options"];
    for field in ["temperature", "top_p", "min_p", "repeat_penalty"] {
        if !(options[field].is_null() || options[field].is_number()) {
            return Err(Refusal::invalid(format!("option \"{field}\" must be of type float32")));
        }
    }
    for field in ["num_predict", "num_ctx", "top_k", "seed"] {
        if !(options[field].is_null() || options[field].is_number()) {
            return Err(Refusal::invalid(format!("option \"{field}\" must be of type integer")));
        }
    }
    // Minus one is no limit.
    prompt.max_tokens = options["num_predict"].as_u64().filter(|limit| *limit > 0);
    prompt.stop = match &options["stop"] {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return Err(Refusal::invalid("option \"stop\" must be of type array")),
    };
    prompt.show_reasoning = match &body["think"] {
        Value::Null => false,
        Value::Bool(think) => *think,
        Value::String(level) if ["high", "medium", "low", "max"].contains(&level.as_str()) => true,
        other => {
            return Err(Refusal::invalid(format!(
                "invalid think value: {other} (must be \"high\", \"medium\", \"low\", \"max\", true, or false)"
            )));
        }
    };
    prompt.reasons = prompt.show_reasoning;
    if body["logprobs"] == true {
        prompt.logprobs = Some(
            usize::try_from(body["top_logprobs"].as_u64().unwrap_or(0))
                .unwrap_or(0)
                .min(20),
        );
    } else if body["top_logprobs"].as_u64().is_some_and(|best| best > 0) {
        return Err(Refusal::invalid("top_logprobs requires logprobs to be true"));
    }
    Ok(())
}

fn mistyped(found: &str, field: &str, wanted: &str) -> Refusal {
    Refusal::invalid(format!(
        "json: cannot unmarshal {found} into Go struct field ChatRequest.{field} of type {wanted}"
    ))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What an image is, by its first bytes, since only those are sent.
fn media_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'G', b'I', b'F', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', ..] => "image/webp",
        _ => "image",
    }
}
