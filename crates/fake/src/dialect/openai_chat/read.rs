//! Reads a chat completions request, and refuses what OpenAI refuses: messages out of order, tool results without their call,
//! numbers out of range. Unknown fields are let pass, since compatible providers have many of their own.

use serde_json::{Value, json};

use crate::{
    answer::CHOICES_MAX,
    dialect::Refusal,
    prompt::{Format, Prompt, Role, Tool, ToolChoice, Turn, media_of_url},
};

pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    let messages = body["messages"]
        .as_array()
        .ok_or_else(|| Refusal::field("messages", "Missing required parameter: 'messages'."))?;
    if messages.is_empty() {
        return Err(Refusal::field(
            "messages",
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        ));
    }
    if !body["model"].is_string() {
        return Err(Refusal::invalid("you must provide a model parameter"));
    }
    let mut prompt = Prompt {
        stream: body["stream"] == true,
        ..Prompt::default()
    };
    let mut called: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = |rest: &str| format!("messages.[{index}].{rest}");
        let role = match message["role"].as_str() {
            Some("system" | "developer") => {
                prompt.system.push_str(&text_of(&message["content"]));
                continue;
            }
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool" | "function") => Role::ToolResult,
            _ => {
                return Err(Refusal::field(
                    format!("messages[{index}].role"),
                    format!(
                        "Invalid value: {}. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
                        message["role"]
                    ),
                ));
            }
        };
        if role == Role::ToolResult && message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().ok_or_else(|| Refusal::field(at("tool_call_id"), format!("Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id' (messages[{index}]).")))?;
            if !called.contains(&id) {
                return Err(Refusal::field(
                    at("role"),
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                ));
            }
            called.retain(|known| *known != id);
        } else if !called.is_empty() {
            return Err(Refusal::field(
                at("role"),
                format!(
                    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
                    called.join(", ")
                ),
            ));
        }
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (call_index, call) in calls.iter().enumerate() {
            let call_at = |rest: &str| at(&format!("tool_calls[{call_index}].{rest}"));
            called.push(
                call["id"]
                    .as_str()
                    .ok_or_else(|| Refusal::field(call_at("id"), "Missing required parameter: 'id'."))?,
            );
            if call["type"] == "function" && !call["function"]["arguments"].is_string() {
                return Err(Refusal::field(
                    call_at("function.arguments"),
                    "Invalid type: expected a string, but got something else instead.",
                ));
            }
        }
        if role == Role::User && !(message["content"].is_string() || message["content"].is_array()) {
            return Err(Refusal::field(
                at("content"),
                "Invalid value for 'content': expected a string, got null.",
            ));
        }
        prompt.turns.push(turn(role, message, &at, !calls.is_empty())?);
    }
    if !called.is_empty() {
        return Err(Refusal::field(
            "messages",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
        ));
    }
    read_tools(body, &mut prompt)?;
    read_settings(body, &mut prompt)?;
    Ok(prompt)
}

fn turn(role: Role, message: &Value, at: &dyn Fn(&str) -> String, tool_calls: bool) -> Result<Turn, Refusal> {
    let mut turn = Turn {
        role,
        text: text_of(&message["content"]),
        tool_calls,
        ..Turn::default()
    };
    for part in message["content"].as_array().into_iter().flatten() {
        match part["type"].as_str() {
            Some("text" | "refusal") => {}
            Some("image_url") => {
                let url = part["image_url"]["url"]
                    .as_str()
                    .ok_or_else(|| Refusal::field(at("content"), "Missing required parameter: 'image_url.url'."))?;
                turn.images.push(media_of_url(url));
            }
            Some("input_audio") => turn.files.push(format!(
                "audio/{}",
                part["input_audio"]["format"].as_str().unwrap_or("wav")
            )),
            Some("file") => {
                let file = &part["file"];
                let name = file["filename"]
                    .as_str()
                    .or(file["file_id"].as_str())
                    .map(str::to_owned);
                turn.files.push(
                    name.or_else(|| file["file_data"].as_str().map(media_of_url))
                        .unwrap_or_else(|| "file".into()),
                );
            }
            other => {
                let kind = other.unwrap_or("none");
                return Err(Refusal::field(
                    at("content"),
                    format!(
                        "Invalid value: '{kind}'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', and 'file'."
                    ),
                ));
            }
        }
    }
    Ok(turn)
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join(""),
        _ => String::new(),
    }
}

fn read_tools(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let kind = tool["type"].as_str().unwrap_or_default();
        let described = &tool[kind];
        let name = described["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            Refusal::field(
                format!("tools[{index}].function.name"),
                format!("Missing required parameter: 'tools[{index}].function.name'."),
            )
        })?;
        if kind == "custom" {
            prompt.custom_tools.push(name.to_owned());
        }
        prompt.tools.push(Tool {
            name: name.to_owned(),
            schema: described
                .get("parameters")
                .cloned()
                .unwrap_or(json!({"type": "object"})),
        });
    }
    prompt.tool_choice = match &body["tool_choice"] {
        Value::Null => ToolChoice::Auto,
        _ if prompt.tools.is_empty() => {
            return Err(Refusal::field(
                "tool_choice",
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            ));
        }
        Value::String(choice) => match choice.as_str() {
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            "auto" => ToolChoice::Auto,
            other => {
                return Err(Refusal::field(
                    "tool_choice",
                    format!("Invalid value: '{other}'. Supported values are: 'none', 'auto', and 'required'."),
                ));
            }
        },
        choice => {
            let name = choice["function"]["name"]
                .as_str()
                .or(choice["custom"]["name"].as_str())
                .unwrap_or_default();
            if !prompt.tools.iter().any(|tool| tool.name == name) {
                return Err(Refusal::field(
                    "tool_choice",
                    format!(
                        "Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter."
                    ),
                ));
            }
            ToolChoice::Named(name.to_owned())
        }
    };
    Ok(())
}

fn read_settings(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (field, most) in [("temperature", 2.0), ("top_p", 1.0)] {
        match &body[field] {
            Value::Null => {}
            value => match value.as_f64() {
                Some(number) if (0.0..=most).contains(&number) => {}
                Some(_) => {
                    return Err(Refusal::field(
                        field,
                        format!("Invalid '{field}': must be between 0 and {most}."),
                    ));
                }
                None => {
                    return Err(Refusal::field(
                        field,
                        format!("Invalid type for '{field}': expected a decimal."),
                    ));
                }
            },
        }
    }
    prompt.choices = match &body["n"] {
        Value::Null => 1,
        n => n
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=CHOICES_MAX).contains(n))
            .ok_or_else(|| Refusal::field("n", format!("Invalid 'n': must be between 1 and {CHOICES_MAX}.")))?,
    };
    prompt.stop = match &body["stop"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) if many.len() > 4 => {
            return Err(Refusal::field(
                "stop",
                "Invalid 'stop': array too long. Expected an array with maximum length 4.",
            ));
        }
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    prompt.max_tokens = body["max_completion_tokens"]
        .as_u64()
        .or_else(|| body["max_tokens"].as_u64());
    prompt.format = match body["response_format"]["type"].as_str() {
        Some("json_object") => Format::Json,
        Some("json_schema") => {
            let described = &body["response_format"]["json_schema"];
            if !described["name"].is_string() {
                return Err(Refusal::field(
                    "response_format.json_schema.name",
                    "Missing required parameter: 'response_format.json_schema.name'.",
                ));
            }
            Format::Schema(described["schema"].clone())
        }
        _ => Format::Text,
    };
    if body["stream_options"].is_object() && !prompt.stream {
        return Err(Refusal::field(
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ));
    }
    prompt.include_usage = body["stream_options"]["include_usage"] == true;
    if body["logprobs"] == true {
        prompt.logprobs = Some(body["top_logprobs"].as_u64().unwrap_or(0).min(20) as usize);
    } else if body["top_logprobs"].is_number() {
        return Err(Refusal::field(
            "top_logprobs",
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        ));
    }
    prompt.reasons = body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none");
    prompt.service_tier = body["service_tier"]
        .as_str()
        .filter(|tier| *tier != "auto")
        .map(str::to_owned);
    Ok(())
}
