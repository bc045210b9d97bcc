//! Reads a messages request, as strictly as the API: fields of other dialects, broken chains of tools and changed signatures are 400s.

use http::HeaderMap;
use serde_json::Value;

use crate::{
    dialect::{Refusal, anthropic_messages::signature},
    prompt::{Format, Prompt, Role, Tool, ToolChoice, Turn, media_of_url},
};

/// The version that refuses sampling parameters.
const VERSION_2026: &str = "2026-10-21";
const VERSIONS: &[&str] = &["2023-01-01", "2023-06-01", VERSION_2026];

/// What came with later models, and is refused by earlier ones.
struct Generation {
    /// `thinking` of type `adaptive`: from 4.6 on.
    adaptive: bool,
    /// Turns of the role `system`: from Opus 4.8, Fable and Mythos 5, the others' 5.5 on.
    system_turns: bool,
}

impl Generation {
    /// By names like `claude-sonnet-4-5` and `claude-sonnet-4-5-20250929`; what has no version is taken for the newest.
    fn of(model: &str) -> Generation {
        let model = model.split('!').next().unwrap_or_default();
        let mut numbers = model.split(['-', '.', '@', ':']).filter(|word| word.len() <= 2);
        let mut number = || numbers.by_ref().find_map(|word| word.parse::<u32>().ok());
        let version = number().map_or((99, 0), |major| (major, number().unwrap_or(0)));
        let of_family = |names: &[&str]| names.iter().any(|name| model.contains(name));
        let system_turns_from = match () {
            () if of_family(&["opus"]) => (4, 8),
            () if of_family(&["fable", "mythos"]) => (5, 0),
            () => (5, 5),
        };
        Generation {
            adaptive: version >= (4, 6) || of_family(&["fable", "mythos"]),
            system_turns: version >= system_turns_from,
        }
    }
}

pub(crate) fn read(body: &Value, headers: &HeaderMap) -> Result<Prompt, Refusal> {
    let version = headers.get("anthropic-version").and_then(|value| value.to_str().ok());
    let version = version.ok_or_else(|| Refusal::field("anthropic-version", "header is required"))?;
    if !VERSIONS.contains(&version) {
        return Err(Refusal::field(
            "anthropic-version",
            format!("\"{version}\" is not a valid version"),
        ));
    }
    if !body["model"].is_string() {
        return Err(Refusal::field("model", "Field required"));
    }
    let messages = body["messages"]
        .as_array()
        .ok_or_else(|| Refusal::field("messages", "Field required"))?;
    if messages.is_empty() {
        return Err(Refusal::field("messages", "at least one message is required"));
    }
    let mut prompt = Prompt {
        stream: body["stream"] == true,
        choices: 1,
        ..Prompt::default()
    };
    prompt.system = texts(&body["system"]);
    prompt.cache_markers = has_cache_marker(body);
    read_settings(body, version, &mut prompt)?;
    read_tools(body, &mut prompt)?;
    let generation = Generation::of(body["model"].as_str().unwrap_or_default());
    if body["thinking"]["type"] == "adaptive" && !generation.adaptive {
        return Err(Refusal::invalid("adaptive thinking is not supported on this model"));
    }
    let mut used: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let assistant = match message["role"].as_str() {
            Some("assistant") => true,
            Some("user") => false,
            // The newest models take system turns among the others, whatever version is asked for.
            Some("system") if generation.system_turns => {
                prompt.system.push_str(&texts(&message["content"]));
                continue;
            }
            _ => {
                return Err(Refusal::field(
                    format!("messages.{index}.role"),
                    "Input should be 'user' or 'assistant'",
                ));
            }
        };
        let results: Vec<&str> = blocks(message, "tool_result")
            .filter_map(|block| block["tool_use_id"].as_str())
            .collect();
        if let Some(missing) = used.iter().find(|id| !results.contains(id)) {
            return Err(Refusal::field(
                format!("messages.{}", index - 1),
                format!(
                    "`tool_use` ids were found without `tool_result` blocks immediately after: {missing}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
                ),
            ));
        }
        if let Some(unexpected) = results.iter().find(|id| !used.contains(id)) {
            return Err(Refusal::field(
                format!("messages.{index}.content"),
                format!(
                    "unexpected `tool_use_id` found in `tool_result` blocks: {unexpected}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                ),
            ));
        }
        let last = index + 1 == messages.len();
        prompt.turns.push(turn(message, index, assistant, version, last)?);
        used = blocks(message, "tool_use")
            .filter_map(|block| block["id"].as_str())
            .collect();
    }
    if let Some(open) = used.first() {
        return Err(Refusal::field(
            format!("messages.{}", messages.len() - 1),
            format!("`tool_use` ids were found without `tool_result` blocks immediately after: {open}."),
        ));
    }
    if prompt.show_reasoning && prompt.last().is_some_and(|turn| turn.role == Role::Assistant) {
        return Err(Refusal::invalid(
            "When thinking is enabled, the conversation must not end with an assistant message: prefilling is not supported.",
        ));
    }
    Ok(prompt)
}

fn turn(message: &Value, index: usize, assistant: bool, version: &str, last: bool) -> Result<Turn, Refusal> {
    let mut turn = Turn {
        role: if assistant { Role::Assistant } else { Role::User },
        ..Turn::default()
    };
    let trailing_space = || {
        Refusal::field(
            format!("messages.{index}"),
            "final assistant content cannot end with trailing whitespace",
        )
    };
    if let Some(text) = message["content"].as_str() {
        if text.is_empty() && !(assistant && last) {
            return Err(Refusal::field(
                format!("messages.{index}"),
                "all messages must have non-empty content except for the optional final assistant message",
            ));
        }
        if assistant && last && text.ends_with(char::is_whitespace) {
            return Err(trailing_space());
        }
        turn.text = text.to_owned();
        return Ok(turn);
    }
    let content = message["content"]
        .as_array()
        .ok_or_else(|| Refusal::field(format!("messages.{index}.content"), "Field required"))?;
    if content.is_empty() && !(assistant && last) {
        return Err(Refusal::field(
            format!("messages.{index}"),
            "all messages must have non-empty content except for the optional final assistant message",
        ));
    }
    for (number, block) in content.iter().enumerate() {
        let at = format!("messages.{index}.content.{number}");
        match block["type"].as_str().unwrap_or_default() {
            "text" => {
                let text = block["text"]
                    .as_str()
                    .ok_or_else(|| Refusal::field(format!("{at}.text.text"), "Field required"))?;
                if text.is_empty() {
                    return Err(Refusal::field(at, "text content blocks must be non-empty"));
                }
                if assistant && last && number + 1 == content.len() && text.ends_with(char::is_whitespace) {
                    return Err(trailing_space());
                }
                if !assistant
                    && version == VERSION_2026
                    && block["citations"]
                        .as_array()
                        .is_some_and(|citations| !citations.is_empty())
                {
                    return Err(Refusal::field(
                        format!("{at}.text.citations"),
                        "Extra inputs are not permitted",
                    ));
                }
                turn.text.push_str(text);
            }
            "image" => turn.images.push(media(&block["source"], &at)?),
            "document" if assistant && version == VERSION_2026 => {
                return Err(Refusal::field(
                    at,
                    "document blocks are not permitted in assistant messages",
                ));
            }
            "document" => {
                let media = media(&block["source"], &at)?;
                turn.files.push(block["title"].as_str().map_or(media, str::to_owned));
            }
            "tool_use" if assistant => {
                turn.tool_calls = true;
                if !block["input"].is_object() {
                    return Err(Refusal::field(
                        format!("{at}.tool_use.input"),
                        "Input should be a valid dictionary",
                    ));
                }
                if !block["id"].as_str().is_some_and(is_tool_id) {
                    return Err(Refusal::field(
                        format!("{at}.tool_use.id"),
                        "String should match pattern '^[a-zA-Z0-9_-]+$'",
                    ));
                }
            }
            "tool_result" if !assistant => {
                turn.role = Role::ToolResult;
                turn.text.push_str(&texts(&block["content"]));
                for part in block["content"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|part| part["type"] == "image")
                {
                    turn.images.push(media(&part["source"], &at)?);
                }
            }
            "thinking" if assistant => {
                let thinking = block["thinking"].as_str().unwrap_or_default();
                if block["signature"].as_str() != Some(&signature(thinking)) {
                    return Err(Refusal::field(at, "Invalid `signature` in `thinking` block"));
                }
            }
            "redacted_thinking"
            | "server_tool_use"
            | "container_upload"
            | "search_result"
            | "web_search_tool_result" => {}
            other => {
                return Err(Refusal::field(
                    at,
                    format!("Input tag '{other}' found using 'type' does not match any of the expected tags"),
                ));
            }
        }
    }
    Ok(turn)
}

fn read_settings(body: &Value, version: &str, prompt: &mut Prompt) -> Result<(), Refusal> {
    prompt.max_tokens = Some(match &body["max_tokens"] {
        Value::Null => return Err(Refusal::field("max_tokens", "Field required")),
        limit => limit
            .as_u64()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| Refusal::field("max_tokens", "Input should be greater than or equal to 1"))?,
    });
    for field in ["temperature", "top_p", "top_k"] {
        if body[field].is_null() {
            continue;
        }
        if version == VERSION_2026 {
            return Err(Refusal::field(field, "Extra inputs are not permitted"));
        }
        let most = if field == "top_k" { f64::MAX } else { 1.0 };
        if !body[field]
            .as_f64()
            .is_some_and(|number| (0.0..=most).contains(&number))
        {
            return Err(Refusal::field(field, "range: 0..1"));
        }
    }
    // Fields of other dialects are what a translation forgets; this API takes none that it does not know.
    for foreign in [
        "n",
        "stop",
        "response_format",
        "stream_options",
        "max_completion_tokens",
        "frequency_penalty",
        "presence_penalty",
        "logprobs",
        "seed",
        "user",
        "reasoning_effort",
    ] {
        if body.get(foreign).is_some() {
            return Err(Refusal::field(foreign, "Extra inputs are not permitted"));
        }
    }
    prompt.stop = body["stop_sequences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if prompt.stop.iter().any(|sequence| sequence.trim().is_empty()) {
        return Err(Refusal::field(
            "stop_sequences",
            "each stop sequence must contain non-whitespace",
        ));
    }
    match body["thinking"]["type"].as_str() {
        Some("enabled") => {
            let budget = body["thinking"]["budget_tokens"].as_u64().unwrap_or(0);
            if budget < 1024 {
                return Err(Refusal::field(
                    "thinking.enabled.budget_tokens",
                    "Input should be greater than or equal to 1024",
                ));
            }
            if prompt.max_tokens.is_some_and(|limit| limit <= budget) {
                return Err(Refusal::invalid(
                    "`max_tokens` must be greater than `thinking.budget_tokens`.",
                ));
            }
            prompt.show_reasoning = true;
        }
        Some("adaptive") => prompt.show_reasoning = body["thinking"]["display"] != "omitted",
        Some("disabled" | "between_tools") | None => {}
        Some(other) => {
            return Err(Refusal::field(
                "thinking.type",
                format!("Input tag '{other}' does not match any of the expected tags"),
            ));
        }
    }
    if prompt.show_reasoning
        && body["temperature"]
            .as_f64()
            .is_some_and(|temperature| temperature != 1.0)
    {
        return Err(Refusal::invalid(
            "`temperature` may only be set to 1 when thinking is enabled.",
        ));
    }
    prompt.reasons = prompt.show_reasoning;
    let format = [&body["output_config"]["format"], &body["output_format"]]
        .into_iter()
        .find(|format| format["type"] == "json_schema");
    if let Some(format) = format {
        prompt.format = Format::Schema(format["schema"].clone());
    }
    prompt.service_tier = Some("standard".into());
    Ok(())
}

fn read_tools(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        // Tools of the provider's own (web search and others) have a type with a date and are never called here.
        if !matches!(tool["type"].as_str(), None | Some("custom")) {
            continue;
        }
        let name = tool["name"]
            .as_str()
            .ok_or_else(|| Refusal::field(format!("tools.{index}.custom.name"), "Field required"))?;
        let schema = &tool["input_schema"];
        if schema["type"] != "object" {
            return Err(Refusal::field(
                format!("tools.{index}.custom.input_schema.type"),
                "Field required",
            ));
        }
        prompt.tools.push(Tool {
            name: name.to_owned(),
            schema: schema.clone(),
        });
    }
    prompt.tool_choice = match body["tool_choice"]["type"].as_str() {
        None => ToolChoice::Auto,
        Some(_) if body["tools"].as_array().is_none_or(Vec::is_empty) => {
            return Err(Refusal::field(
                "tool_choice",
                "may only be specified while providing tools",
            ));
        }
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            let name = body["tool_choice"]["name"].as_str().unwrap_or_default();
            if !prompt.tools.iter().any(|tool| tool.name == name) {
                return Err(Refusal::invalid(format!("Tool '{name}' not found in provided tools")));
            }
            ToolChoice::Named(name.to_owned())
        }
        Some(other) => {
            return Err(Refusal::field(
                "tool_choice",
                format!("Input tag '{other}' does not match any of the expected tags"),
            ));
        }
    };
    if prompt.show_reasoning && matches!(prompt.tool_choice, ToolChoice::Required | ToolChoice::Named(_)) {
        return Err(Refusal::invalid(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    Ok(())
}

fn blocks<'a>(message: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    message["content"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(move |block| block["type"] == kind)
}

fn texts(content: &Value) -> String {
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

fn media(source: &Value, at: &str) -> Result<String, Refusal> {
    match source["type"].as_str() {
        Some("base64" | "text") => {
            let media = source["media_type"]
                .as_str()
                .ok_or_else(|| Refusal::field(format!("{at}.source.media_type"), "Field required"))?;
            let data = source["data"]
                .as_str()
                .ok_or_else(|| Refusal::field(format!("{at}.source.data"), "Field required"))?;
            // The commonest slip of a translation: a whole data URL where only its payload belongs.
            if source["type"] == "base64" && base64_is_bad(data) {
                return Err(Refusal::field(
                    format!("{at}.source.base64.data"),
                    "Invalid base64 data",
                ));
            }
            Ok(media.to_owned())
        }
        Some("url") => Ok(source["url"].as_str().map_or("url".into(), media_of_url)),
        Some("file") => Ok(source["file_id"].as_str().unwrap_or("file").to_owned()),
        Some("content") => Ok("content".into()),
        _ => Err(Refusal::field(
            format!("{at}.source.type"),
            "Input tag does not match any of the expected tags",
        )),
    }
}

fn base64_is_bad(data: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(data).is_err()
}

fn is_tool_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn has_cache_marker(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("cache_control").is_some_and(|marker| !marker.is_null()) || fields.values().any(has_cache_marker)
        }
        Value::Array(items) => items.iter().any(has_cache_marker),
        _ => false,
    }
}
