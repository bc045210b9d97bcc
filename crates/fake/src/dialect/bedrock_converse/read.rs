//! Reads a Converse request, as strictly as the service: the order of turns, tool results without their use, settings out of
//! range, fields of other dialects. What stands in a message is read in `block`.

use serde_json::Value;

use crate::{
    dialect::{
        Refusal,
        bedrock_converse::block::{list, member, missing, name, turn, unreadable},
    },
    prompt::{Format, Prompt, Role, Tool, ToolChoice, Turn},
};

/// Least tokens that thinking may be given.
const THINKING_TOKENS_MIN: u64 = 1024;
const STOP_SEQUENCES_MAX: usize = 2500;

pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    // Fields of other dialects are what a translation forgets.
    for foreign in [
        "model",
        "stream",
        "max_tokens",
        "maxTokens",
        "temperature",
        "top_p",
        "tools",
        "tool_choice",
        "stop",
        "response_format",
        "n",
    ] {
        if body.get(foreign).is_some() {
            return Err(Refusal::invalid(format!(
                "#: extraneous key [{foreign}] is not permitted"
            )));
        }
    }
    let messages = list(&body["messages"], "messages")?;
    if messages.is_empty() {
        return Err(Refusal::invalid(
            "The messages field in the request is empty. Add at least one message, and try again.",
        ));
    }
    let mut prompt = Prompt {
        choices: 1,
        include_usage: true,
        ..Prompt::default()
    };
    for block in list(&body["system"], "system")? {
        match member(block, "system", &["text", "guardContent", "cachePoint"])? {
            "text" if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
                return Err(Refusal::invalid(
                    "The text field in the SystemContentBlock object is blank. Add text to the text field, and try again.",
                ));
            }
            "text" => prompt.system.push_str(block["text"].as_str().unwrap_or_default()),
            "cachePoint" => prompt.cache_markers = true,
            _ => {}
        }
    }
    read_settings(body, &mut prompt)?;
    read_tools(body, &mut prompt)?;
    let tools_given = body["toolConfig"].is_object();
    let mut used: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = match message["role"].as_str() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => {
                let texts = list(&message["content"], "content")?;
                texts
                    .iter()
                    .filter_map(|block| block["text"].as_str())
                    .for_each(|text| prompt.system.push_str(text));
                continue;
            }
            other => {
                return Err(Refusal::invalid(format!(
                    "1 validation error detected: Value '{}' at 'messages.{}.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant, system]",
                    other.unwrap_or("null"),
                    index + 1
                )));
            }
        };
        let before = prompt.turns.last().map(|turn: &Turn| turn.role == Role::Assistant);
        if before.is_none() && role == Role::Assistant {
            return Err(Refusal::invalid(
                "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
            ));
        }
        if before == Some(role == Role::Assistant) {
            return Err(Refusal::invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
            ));
        }
        let content = list(&message["content"], &format!("messages.{index}.content"))?;
        let ids = |kind: &'static str| {
            content
                .iter()
                .filter_map(move |block| block[kind]["toolUseId"].as_str())
        };
        if !tools_given
            && content
                .iter()
                .any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some())
        {
            return Err(Refusal::invalid(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            ));
        }
        let missing: Vec<&str> = used
            .iter()
            .copied()
            .filter(|id| !ids("toolResult").any(|given| given == *id))
            .collect();
        if !missing.is_empty() {
            return Err(Refusal::invalid(format!(
                "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
                missing.join(", ")
            )));
        }
        if let Some(unasked) = ids("toolResult").find(|id| !used.contains(id)) {
            return Err(Refusal::invalid(format!(
                "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn ({unasked})."
            )));
        }
        let last = index + 1 == messages.len();
        prompt
            .turns
            .push(turn(content, index, role, last, &mut prompt.cache_markers)?);
        used = ids("toolUse").collect();
    }
    if !used.is_empty() {
        return Err(Refusal::invalid(format!(
            "Expected toolResult blocks at messages.{}.content for the following Ids: {}",
            messages.len(),
            used.join(", ")
        )));
    }
    if prompt.show_reasoning && prompt.last().is_some_and(|turn| turn.role == Role::Assistant) {
        return Err(Refusal::invalid(
            "When thinking is enabled, the conversation must not end with an assistant message: prefilling is not supported.",
        ));
    }
    Ok(prompt)
}

fn read_settings(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let config = &body["inferenceConfig"];
    for foreign in [
        "max_tokens",
        "max_new_tokens",
        "top_p",
        "top_k",
        "topK",
        "stop",
        "stop_sequences",
    ] {
        if config.get(foreign).is_some() {
            return Err(Refusal::invalid(format!(
                "#/inferenceConfig: extraneous key [{foreign}] is not permitted"
            )));
        }
    }
    prompt.max_tokens = match &config["maxTokens"] {
        Value::Null => None,
        limit => Some(limit.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
            Refusal::invalid("1 validation error detected: Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1")
        })?),
    };
    for field in ["temperature", "topP"] {
        if !config[field].is_null()
            && !config[field]
                .as_f64()
                .is_some_and(|number| (0.0..=1.0).contains(&number))
        {
            return Err(Refusal::invalid(format!(
                "1 validation error detected: Value at 'inferenceConfig.{field}' failed to satisfy constraint: Member must have value less than or equal to 1"
            )));
        }
    }
    let stops = list(&config["stopSequences"], "inferenceConfig.stopSequences")?;
    if stops.len() > STOP_SEQUENCES_MAX || stops.iter().any(|stop| stop.as_str().is_none_or(str::is_empty)) {
        return Err(Refusal::invalid(
            "1 validation error detected: Value at 'inferenceConfig.stopSequences' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    prompt.stop = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let more = &body["additionalModelRequestFields"];
    if !(more.is_null() || more.is_object()) {
        return Err(unreadable("additionalModelRequestFields", "an object"));
    }
    let thinking = [&more["thinking"], &more["reasoning_config"]]
        .into_iter()
        .find(|field| field.is_object());
    match thinking.map(|thinking| (thinking, thinking["type"].as_str().unwrap_or_default())) {
        None | Some((_, "disabled")) => {}
        Some((thinking, "enabled")) => {
            let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
            if budget < THINKING_TOKENS_MIN {
                return Err(Refusal::invalid(
                    "The model returned the following errors: thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if prompt.max_tokens.is_some_and(|limit| limit <= budget) {
                return Err(Refusal::invalid(
                    "The model returned the following errors: `max_tokens` must be greater than `thinking.budget_tokens`.",
                ));
            }
            prompt.show_reasoning = true;
        }
        Some((_, "adaptive")) => prompt.show_reasoning = true,
        Some((_, other)) => {
            return Err(Refusal::invalid(format!(
                "The model returned the following errors: thinking: Input tag '{other}' found using 'type' does not match any of the expected tags"
            )));
        }
    }
    if prompt.show_reasoning
        && config["temperature"]
            .as_f64()
            .is_some_and(|temperature| temperature != 1.0)
    {
        return Err(Refusal::invalid(
            "The model returned the following errors: `temperature` may only be set to 1 when thinking is enabled.",
        ));
    }
    prompt.reasons = prompt.show_reasoning || body["outputConfig"]["effort"].is_string();
    let format = &body["outputConfig"]["textFormat"];
    if format.is_object() {
        let schema = format["structure"]["jsonSchema"]["schema"]
            .as_str()
            .filter(|_| format["type"] == "json_schema");
        let schema = schema.ok_or_else(|| missing("outputConfig.textFormat", "structure.jsonSchema.schema"))?;
        prompt.format = Format::Schema(serde_json::from_str(schema).map_err(|_| {
            Refusal::invalid(
                "The value at outputConfig.textFormat.structure.jsonSchema.schema is not a valid JSON schema.",
            )
        })?);
    }
    Ok(())
}

fn read_tools(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    let config = &body["toolConfig"];
    if config.is_null() {
        return Ok(());
    }
    let tools = list(&config["tools"], "toolConfig.tools")?;
    if tools.is_empty() {
        return Err(Refusal::invalid(
            "1 validation error detected: Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("toolConfig.tools.{index}");
        match member(tool, &at, &["toolSpec", "systemTool", "cachePoint"])? {
            "toolSpec" => {
                let spec = &tool["toolSpec"];
                let name = name(&spec["name"], &format!("{at}.toolSpec.name"))?;
                if spec["description"].as_str() == Some("") {
                    return Err(Refusal::invalid(format!(
                        "Value at '{at}.toolSpec.description' failed to satisfy constraint: Member must have length greater than or equal to 1"
                    )));
                }
                let schema = &spec["inputSchema"]["json"];
                if schema["type"] != "object" {
                    return Err(Refusal::invalid(format!(
                        "The value at {at}.toolSpec.inputSchema.json.type must be one of the following: object."
                    )));
                }
                prompt.tools.push(Tool {
                    name: name.to_owned(),
                    schema: schema.clone(),
                });
            }
            "cachePoint" => prompt.cache_markers = true,
            _ => {}
        }
    }
    prompt.tool_choice = match &config["toolChoice"] {
        Value::Null => ToolChoice::Auto,
        choice => match member(choice, "toolConfig.toolChoice", &["auto", "any", "tool"])? {
            "any" => ToolChoice::Required,
            "tool" => {
                let name = choice["tool"]["name"].as_str().unwrap_or_default();
                if !prompt.tools.iter().any(|tool| tool.name == name) {
                    return Err(Refusal::invalid(format!(
                        "The tool {name} in toolConfig.toolChoice is not defined in toolConfig.tools."
                    )));
                }
                ToolChoice::Named(name.to_owned())
            }
            _ => ToolChoice::Auto,
        },
    };
    if prompt.show_reasoning && matches!(prompt.tool_choice, ToolChoice::Required | ToolChoice::Named(_)) {
        return Err(Refusal::invalid(
            "The model returned the following errors: Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    Ok(())
}
