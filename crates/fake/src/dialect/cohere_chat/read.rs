//! Reads a request of Cohere's chat, version 2, and refuses what it refuses: fields that it does not know, tool results without
//! their call, a format together with tools.

use serde_json::Value;

use crate::{
    dialect::Refusal,
    prompt::{Format, Prompt, Role, Tool, ToolChoice, Turn, media_of_url},
};

const FIELDS: &[&str] = &[
    "stream",
    "model",
    "messages",
    "tools",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "thinking",
    "priority",
    "raw_prompting",
    "return_prompt",
];
const STOP_SEQUENCES_MAX: usize = 5;

pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    let unknown = body.as_object().into_iter().flat_map(|fields| fields.keys());
    for name in unknown {
        if !FIELDS.contains(&name.as_str()) {
            return Err(Refusal {
                status: 422,
                message: format!("unknown field: parameter '{name}' is not a valid field"),
                field: None,
                code: None,
            });
        }
    }
    if !body["model"].is_string() {
        return Err(Refusal::invalid("invalid request: model is required"));
    }
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages =
        messages.ok_or_else(|| Refusal::invalid("invalid request: messages must have at least 1 message"))?;
    let mut prompt = Prompt {
        stream: body["stream"] == true,
        choices: 1,
        include_usage: true,
        ..Prompt::default()
    };
    let mut called: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = match message["role"].as_str() {
            Some("system" | "developer") => {
                prompt
                    .system
                    .push_str(&read_content(message, index, &mut Turn::default())?);
                continue;
            }
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool") => Role::ToolResult,
            _ => {
                return Err(Refusal::invalid(format!(
                    "invalid request: messages[{index}].role must be one of 'user', 'assistant', 'system', 'tool'"
                )));
            }
        };
        let mut turn = Turn {
            role,
            ..Turn::default()
        };
        turn.text = read_content(message, index, &mut turn)?;
        if role == Role::ToolResult {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !called.contains(&id) {
                return Err(Refusal::invalid(format!(
                    "invalid request: tool call id '{id}' in messages[{index}] not found in previous tool calls"
                )));
            }
            called.retain(|known| *known != id);
        } else if !called.is_empty() {
            return Err(Refusal::invalid(format!(
                "invalid request: missing tool results for tool call ids: {}",
                called.join(", ")
            )));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let id = call["id"].as_str();
            called.push(id.ok_or_else(|| {
                Refusal::invalid(format!("invalid request: messages[{index}].tool_calls: id is required"))
            })?);
            if !call["function"]["arguments"].is_string() {
                return Err(Refusal::invalid(format!(
                    "invalid request: messages[{index}].tool_calls: arguments must be a JSON string"
                )));
            }
            turn.tool_calls = true;
        }
        if role == Role::User && turn.text.is_empty() && turn.images.is_empty() {
            return Err(Refusal::invalid(
                "invalid request: message must be at least 1 token long",
            ));
        }
        prompt.turns.push(turn);
    }
    if !called.is_empty() {
        return Err(Refusal::invalid(format!(
            "invalid request: missing tool results for tool call ids: {}",
            called.join(", ")
        )));
    }
    if prompt.turns.is_empty() {
        return Err(Refusal::invalid(
            "invalid request: at least one user message is required",
        ));
    }
    read_tools(body, &mut prompt)?;
    read_settings(body, &mut prompt)?;
    Ok(prompt)
}

/// The text of a message; images and documents go into `turn`.
fn read_content(message: &Value, index: usize, turn: &mut Turn) -> Result<String, Refusal> {
    let parts = match &message["content"] {
        Value::String(text) => return Ok(text.clone()),
        Value::Null if message["role"] == "assistant" => return Ok(String::new()),
        Value::Array(parts) => parts,
        _ => {
            return Err(Refusal::invalid(format!(
                "invalid request: messages[{index}].content is required"
            )));
        }
    };
    let mut whole = String::new();
    for part in parts {
        let role = message["role"].as_str().unwrap_or_default();
        match (part["type"].as_str().unwrap_or_default(), role) {
            ("text", _) => {
                let text = part["text"].as_str();
                whole.push_str(text.ok_or_else(|| {
                    Refusal::invalid(format!("invalid request: messages[{index}].content: text is required"))
                })?);
            }
            ("thinking", "assistant") => {}
            ("image_url", "user") => {
                let url = part["image_url"]["url"].as_str();
                turn.images.push(media_of_url(url.ok_or_else(|| {
                    Refusal::invalid(format!(
                        "invalid request: messages[{index}].content: image_url.url is required"
                    ))
                })?));
            }
            ("document", "tool") => {
                let data = &part["document"]["data"];
                if !(data.is_object() || data.is_string()) {
                    return Err(Refusal::invalid(format!(
                        "invalid request: messages[{index}].content: document.data is required"
                    )));
                }
                whole.push_str(data.as_str().map_or_else(|| data.to_string(), str::to_owned).as_str());
            }
            (other, role) => {
                return Err(Refusal::invalid(format!(
                    "invalid request: messages[{index}].content: type '{other}' is not allowed for role '{role}'"
                )));
            }
        }
    }
    Ok(whole)
}

fn read_tools(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let function = &tool["function"];
        let name = function["name"].as_str().filter(|name| !name.is_empty());
        let name = name.filter(|_| tool["type"] == "function");
        let name = name.ok_or_else(|| {
            Refusal::invalid(format!(
                "invalid request: tools[{index}] must be a function with a name"
            ))
        })?;
        if !function["parameters"].is_object() {
            return Err(Refusal::invalid(format!(
                "invalid request: tools[{index}].function.parameters is required"
            )));
        }
        prompt.tools.push(Tool {
            name: name.to_owned(),
            schema: function["parameters"].clone(),
        });
    }
    prompt.tool_choice = match body["tool_choice"].as_str() {
        None if body["tool_choice"].is_null() => ToolChoice::Auto,
        Some("REQUIRED") if prompt.tools.is_empty() => {
            return Err(Refusal::invalid("invalid request: tool_choice REQUIRED needs tools"));
        }
        Some("REQUIRED") => ToolChoice::Required,
        Some("NONE") => ToolChoice::None,
        _ => {
            return Err(Refusal::invalid(
                "invalid request: tool_choice must be one of 'REQUIRED', 'NONE'",
            ));
        }
    };
    Ok(())
}

fn read_settings(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let bounds = [
        ("temperature", 0.0, 1.0),
        ("p", 0.0, 0.99),
        ("k", 0.0, 500.0),
        ("frequency_penalty", 0.0, 1.0),
        ("presence_penalty", 0.0, 1.0),
    ];
    for (field, least, most) in bounds {
        if !body[field].is_null()
            && !body[field]
                .as_f64()
                .is_some_and(|number| (least..=most).contains(&number))
        {
            return Err(Refusal::invalid(format!(
                "invalid request: {field} must be between {least} and {most} inclusive."
            )));
        }
    }
    prompt.max_tokens = match &body["max_tokens"] {
        Value::Null => None,
        limit => Some(
            limit
                .as_u64()
                .filter(|limit| *limit > 0)
                .ok_or_else(|| Refusal::invalid("invalid request: max_tokens must be at least 1"))?,
        ),
    };
    let stops: Vec<String> = body["stop_sequences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if stops.len() > STOP_SEQUENCES_MAX {
        return Err(Refusal::invalid(
            "invalid request: stop_sequences must have at most 5 elements",
        ));
    }
    prompt.stop = stops;
    let format = &body["response_format"];
    prompt.format = match format["type"].as_str() {
        Some("json_object")
            if !prompt.tools.is_empty()
                || body["documents"]
                    .as_array()
                    .is_some_and(|documents| !documents.is_empty()) =>
        {
            return Err(Refusal::invalid(
                "invalid request: response_format is not supported with RAG.",
            ));
        }
        Some("json_object") => match [&format["json_schema"], &format["schema"]]
            .into_iter()
            .find(|schema| schema.is_object())
        {
            Some(schema) => Format::Schema(schema.clone()),
            None => Format::Json,
        },
        Some("text") => Format::Text,
        None if format.is_null() => Format::Text,
        _ => {
            return Err(Refusal::invalid(
                "invalid request: response_format.type must be one of 'text', 'json_object'",
            ));
        }
    };
    if body["logprobs"] == true {
        prompt.logprobs = Some(0);
    }
    match body["thinking"]["type"].as_str() {
        Some("enabled") => {
            prompt.show_reasoning = true;
            prompt.reasons = true;
        }
        Some("disabled") => {}
        None if body["thinking"].is_null() => {}
        _ => {
            return Err(Refusal::invalid(
                "invalid request: thinking.type must be one of 'enabled', 'disabled'",
            ));
        }
    }
    Ok(())
}
