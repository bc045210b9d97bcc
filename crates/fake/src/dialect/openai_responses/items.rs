//! Input items: messages, calls, their results and reasoning, read into turns; and the form in which the API lists them again.
//!
//! Strict where OpenAI is: content parts by role, ids by kind, no result without its call and no call without its result.

use serde_json::{Value, json};

use crate::{
    dialect::{
        Refusal,
        openai_responses::{
            is_encrypted,
            read::{invalid_value, missing},
        },
    },
    prompt::{Prompt, Role, Turn, media_of_url},
    random::{Random, seed_of},
};

/// Items that are neither messages nor functions nor reasoning: taken, but of no meaning to the fake.
const OTHERS: &[&str] = &[
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "compaction_trigger",
    "computer_call",
    "computer_call_output",
    "configuration_update",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
];

/// Reads the whole input: a text, or items.
pub(super) fn read(input: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let items = match input {
        Value::String(text) => {
            prompt.turns.push(Turn {
                text: text.clone(),
                ..Turn::default()
            });
            return Ok(());
        }
        Value::Array(items) => items,
        Value::Null => return Err(missing("input")),
        _ => {
            let message = "Invalid type for 'input': expected one of a string or array of input items, but got something else instead.";
            return Err(Refusal::field("input", message).coded("invalid_type"));
        }
    };
    let mut calls = Vec::new();
    let mut results = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("input[{index}]");
        let text = |field: &str| item[field].as_str().ok_or_else(|| missing(&format!("{at}.{field}")));
        match item["type"].as_str().unwrap_or("message") {
            "message" => {
                expect_id(item, &at, "msg")?;
                if let Some(turn) = message(item, &at, prompt)? {
                    prompt.turns.push(turn);
                }
            }
            kind @ ("function_call" | "custom_tool_call") => {
                expect_id(item, &at, if kind == "function_call" { "fc" } else { "ctc" })?;
                text("name")?;
                text(if kind == "function_call" { "arguments" } else { "input" })?;
                calls.push((kind, text("call_id")?));
                prompt.turns.push(Turn {
                    role: Role::Assistant,
                    tool_calls: true,
                    ..Turn::default()
                });
            }
            kind @ ("function_call_output" | "custom_tool_call_output") => {
                results.push((kind, text("call_id")?));
                prompt.turns.push(result(item, &at)?);
            }
            "reasoning" => reasoning(item, &at)?,
            kind if OTHERS.contains(&kind) => {
                if kind.ends_with("_call_output") {
                    prompt.turns.push(Turn {
                        role: Role::ToolResult,
                        text: item["output"]
                            .as_str()
                            .map_or_else(|| item["output"].to_string(), str::to_owned),
                        ..Turn::default()
                    });
                }
            }
            _ => {
                let known = [
                    "message",
                    "function_call",
                    "function_call_output",
                    "custom_tool_call",
                    "custom_tool_call_output",
                    "reasoning",
                    "item_reference",
                ];
                let supported: Vec<&str> = known.iter().chain(OTHERS).copied().collect();
                return Err(invalid_value(&at, &item["type"], &supported));
            }
        }
    }
    let words = |kind: &str| {
        if kind.starts_with("custom") {
            "custom tool call"
        } else {
            "function call"
        }
    };
    for (kind, id) in &results {
        if !calls.iter().any(|(_, call)| call == id) {
            let message = format!("No tool call found for {} output with call_id {id}.", words(kind));
            return Err(Refusal::field("input", message));
        }
    }
    for (kind, id) in &calls {
        if !results.iter().any(|(_, result)| result == id) {
            let message = format!("No tool output found for {} {id}.", words(kind));
            return Err(Refusal::field("input", message));
        }
    }
    Ok(())
}

/// An id is optional, but one of another kind (such as a `call_…` in place of an `fc_…`) is refused.
fn expect_id(item: &Value, at: &str, prefix: &str) -> Result<(), Refusal> {
    match item["id"].as_str() {
        Some(id) if !id.starts_with(prefix) => {
            let message = format!("Invalid '{at}.id': '{id}'. Expected an ID that begins with '{prefix}'.");
            Err(Refusal::field(format!("{at}.id"), message).coded("invalid_value"))
        }
        _ => Ok(()),
    }
}

fn message(item: &Value, at: &str, prompt: &mut Prompt) -> Result<Option<Turn>, Refusal> {
    let roles = ["assistant", "system", "developer", "user"];
    let role = match item["role"].as_str() {
        Some("assistant") => Role::Assistant,
        Some("user" | "system" | "developer") => Role::User,
        _ => return Err(invalid_value(&format!("{at}.role"), &item["role"], &roles)),
    };
    let mut turn = Turn {
        role,
        ..Turn::default()
    };
    match &item["content"] {
        Value::String(text) => turn.text = text.clone(),
        Value::Array(parts) => {
            for (number, part) in parts.iter().enumerate() {
                content_part(part, &format!("{at}.content[{number}]"), &mut turn)?;
            }
        }
        _ => return Err(missing(&format!("{at}.content"))),
    }
    if matches!(item["role"].as_str(), Some("system" | "developer")) {
        prompt.system.push_str(&turn.text);
        return Ok(None);
    }
    Ok(Some(turn))
}

fn content_part(part: &Value, at: &str, turn: &mut Turn) -> Result<(), Refusal> {
    let supported: &[&str] = match turn.role {
        Role::Assistant => &["output_text", "refusal"],
        Role::User | Role::ToolResult => &["input_text", "input_image", "input_file", "input_audio"],
    };
    let kind = part["type"].as_str().filter(|kind| supported.contains(kind));
    let kind = kind.ok_or_else(|| invalid_value(&format!("{at}.type"), &part["type"], supported))?;
    let text = |field: &str| part[field].as_str().ok_or_else(|| missing(&format!("{at}.{field}")));
    match kind {
        "input_text" | "output_text" => turn.text.push_str(text("text")?),
        "refusal" => turn.text.push_str(text("refusal")?),
        "input_image" => match (part["image_url"].as_str(), part["file_id"].as_str()) {
            (Some(url), _) if url.starts_with("data:") || url.starts_with("http") => {
                turn.images.push(media_of_url(url))
            }
            // Chat completions has an object there.
            (None, None) if part["image_url"].is_object() => {
                let message =
                    format!("Invalid type for '{at}.image_url': expected an image URL, but got an object instead.");
                return Err(Refusal::field(format!("{at}.image_url"), message).coded("invalid_type"));
            }
            (Some(_), _) => {
                let message =
                    format!("Invalid '{at}.image_url'. Expected a valid URL, but got a value with an invalid format.");
                return Err(Refusal::field(format!("{at}.image_url"), message).coded("invalid_value"));
            }
            (None, Some(_)) => turn.images.push("file".into()),
            (None, None) => return Err(missing(&format!("{at}.image_url"))),
        },
        "input_file" => {
            let name = ["filename", "file_id", "file_url"]
                .iter()
                .find_map(|field| part[*field].as_str());
            let data = part["file_data"].as_str().map(media_of_url);
            let name = name.map(str::to_owned).or(data);
            turn.files.push(name.ok_or_else(|| missing(&format!("{at}.file_id")))?);
        }
        _ => turn.files.push(format!(
            "audio/{}",
            part["input_audio"]["format"].as_str().unwrap_or("wav")
        )),
    }
    Ok(())
}

fn result(item: &Value, at: &str) -> Result<Turn, Refusal> {
    let mut turn = Turn {
        role: Role::ToolResult,
        ..Turn::default()
    };
    match &item["output"] {
        Value::String(text) => turn.text = text.clone(),
        Value::Array(parts) => {
            for (number, part) in parts.iter().enumerate() {
                content_part(part, &format!("{at}.output[{number}]"), &mut turn)?;
            }
        }
        Value::Null => return Err(missing(&format!("{at}.output"))),
        _ => {
            let message = format!(
                "Invalid type for '{at}.output': expected one of a string or array of objects, but got an object instead."
            );
            return Err(Refusal::field(format!("{at}.output"), message).coded("invalid_type"));
        }
    }
    Ok(turn)
}

fn reasoning(item: &Value, at: &str) -> Result<(), Refusal> {
    // Agents that keep nothing at the provider leave the id out and send the encrypted content alone.
    let id = match (item["id"].as_str(), item["encrypted_content"].as_str()) {
        (Some(id), _) => id,
        (None, Some(_)) => "",
        (None, None) => return Err(missing(&format!("{at}.id"))),
    };
    expect_id(item, at, "rs")?;
    if !item["summary"].is_array() {
        return Err(missing(&format!("{at}.summary")));
    }
    match item["encrypted_content"].as_str() {
        Some(content) if !is_encrypted(content) => {
            let message = format!("The encrypted content for item {id} could not be verified.");
            Err(Refusal::invalid(message).coded("invalid_encrypted_content"))
        }
        _ => Ok(()),
    }
}

/// The items of one request as the API lists them: with ids, statuses, and content in parts.
pub(super) fn listed(items: &[Value], response_id: &str) -> Vec<Value> {
    let seeds = seed_of(0x17e3, &[response_id]);
    let listed = items.iter().enumerate().map(|(index, item)| {
        let mut item = item.clone();
        let kind = item["type"].as_str().unwrap_or("message").to_owned();
        let prefix = match kind.as_str() {
            "message" => "msg",
            "function_call" | "function_call_output" => "fc",
            "custom_tool_call" | "custom_tool_call_output" => "ctc",
            "reasoning" => "rs",
            _ => "item",
        };
        if !item.is_object() {
            return item;
        }
        if item["id"].is_null() {
            let id = Random::new(seed_of(seeds, &[&index.to_string()])).hex(48);
            item["id"] = json!(format!("{prefix}_{id}"));
        }
        item["type"] = json!(kind);
        if kind == "message" {
            item["status"] = json!("completed");
            if let Some(text) = item["content"].as_str().map(str::to_owned) {
                item["content"] = if item["role"] == "assistant" {
                    json!([{"type": "output_text", "text": text, "annotations": [], "logprobs": []}])
                } else {
                    json!([{"type": "input_text", "text": text}])
                };
            }
        }
        item
    });
    listed.collect()
}
