//! Reads a generateContent request in either spelling of its fields, and refuses unknown ones as the API's JSON reader does.

use serde_json::{Value, json};

use crate::{
    dialect::{Refusal, gemini::signature},
    prompt::{Format, Prompt, Role, Tool, ToolChoice, Turn, media_of_url},
};

const FIELDS: &[&str] = &[
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "serviceTier",
    "continuationToken",
    "store",
];
const CONFIG_FIELDS: &[&str] = &[
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "audioTimestamp",
    "routingConfig",
    "modelSelectionConfig",
];

pub(crate) fn read(body: &Value, model: &str) -> Result<Prompt, Refusal> {
    known_fields(body, FIELDS, "")?;
    let config = get(body, "generationConfig");
    known_fields(config, CONFIG_FIELDS, " at 'generation_config'")?;
    let contents = body["contents"].as_array().filter(|contents| !contents.is_empty());
    let contents =
        contents.ok_or_else(|| Refusal::invalid("* GenerateContentRequest.contents: contents is not specified\n"))?;
    let mut prompt = Prompt {
        include_usage: true,
        ..Prompt::default()
    };
    prompt.system = texts(&get(body, "systemInstruction")["parts"]);
    let mut calls = 0;
    for (index, content) in contents.iter().enumerate() {
        let role = match content["role"].as_str() {
            Some("user") | None => Role::User,
            Some("model") => Role::Assistant,
            Some("function" | "tool") => Role::ToolResult,
            Some(_) => return Err(Refusal::invalid("Please use a valid role: user, model.")),
        };
        let turn = turn(content, index, role)?;
        let responses = parts(content)
            .filter(|part| get(part, "functionResponse").is_object())
            .count();
        if calls != responses {
            return Err(Refusal::invalid(if calls == 0 {
                "Please ensure that function response turn comes immediately after a function call turn."
            } else {
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
            }));
        }
        calls = parts(content)
            .filter(|part| get(part, "functionCall").is_object())
            .count();
        prompt.turns.push(turn);
    }
    if model.starts_with("gemini-3") {
        check_signatures(contents)?;
    }
    if calls > 0 {
        return Err(Refusal::invalid(
            "Please ensure that function call turn is followed by a function response turn.",
        ));
    }
    read_tools(body, &mut prompt)?;
    read_config(config, &mut prompt)?;
    Ok(prompt)
}

/// Since Gemini 3 the first function call of each step since the user last spoke must carry its thought signature unchanged; a
/// history from elsewhere carries a documented stand-in.
fn check_signatures(contents: &[Value]) -> Result<(), Refusal> {
    let spoken = |content: &Value| content["role"] != "model" && parts(content).any(|part| part["text"].is_string());
    let begin = contents.iter().rposition(spoken).unwrap_or(0);
    for (position, content) in contents.iter().enumerate().skip(begin) {
        let Some(part) = parts(content).find(|part| get(part, "functionCall").is_object()) else {
            continue;
        };
        let name = get(part, "functionCall")["name"].as_str().unwrap_or_default();
        match get(part, "thoughtSignature").as_str() {
            None | Some("") => {
                return Err(Refusal::invalid(format!(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}` , position {position}."
                )));
            }
            Some(given) if given != signature(name) && !is_stand_in(given) => {
                return Err(Refusal::invalid("Corrupted thought signature."));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The stand-ins for a signature that never was, plain or as base64 (SDKs encode the field, which is of type bytes).
fn is_stand_in(given: &str) -> bool {
    use base64::Engine as _;
    let plain = [
        "skip_thought_signature_validator",
        "context_engineering_is_the_way_to_go",
    ];
    plain
        .iter()
        .any(|known| given == *known || given == base64::engine::general_purpose::STANDARD.encode(known))
}

/// The API's reader refuses names that it does not know, in either spelling.
fn known_fields(object: &Value, known: &[&str], place: &str) -> Result<(), Refusal> {
    for name in object.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !known.contains(&name.as_str()) && !known.iter().any(|known| snake(known) == *name) {
            return Err(Refusal::invalid(format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
            )));
        }
    }
    Ok(())
}

fn turn(content: &Value, index: usize, role: Role) -> Result<Turn, Refusal> {
    let mut turn = Turn {
        role,
        ..Turn::default()
    };
    let mut any = false;
    for (number, part) in parts(content).enumerate() {
        any = true;
        let at = format!("contents[{index}].parts[{number}]");
        let call = get(part, "functionCall");
        let response = get(part, "functionResponse");
        let inline = get(part, "inlineData");
        let file = get(part, "fileData");
        if let Some(text) = part["text"].as_str() {
            if part["thought"] != true {
                turn.text.push_str(text);
            }
        } else if call.is_object() {
            if !call["name"].is_string() || !(call["args"].is_object() || call["args"].is_null()) {
                return Err(Refusal::invalid(format!("Invalid value at '{at}.function_call.args'")));
            }
            turn.tool_calls = true;
        } else if response.is_object() {
            if !response["response"].is_object() {
                return Err(Refusal::invalid(format!(
                    "Invalid value at '{at}.function_response.response' (type.googleapis.com/google.protobuf.Struct)"
                )));
            }
            turn.role = Role::ToolResult;
            turn.text.push_str(&response["response"].to_string());
        } else if inline.is_object() {
            use base64::Engine as _;
            let media = get(inline, "mimeType").as_str().unwrap_or_default();
            let data = inline["data"].as_str().unwrap_or_default();
            if media.is_empty() || base64::engine::general_purpose::STANDARD.decode(data).is_err() {
                return Err(Refusal::invalid(format!(
                    "Invalid value at '{at}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
                )));
            }
            see(&mut turn, media, media);
        } else if file.is_object() {
            let uri = get(file, "fileUri")
                .as_str()
                .ok_or_else(|| Refusal::invalid(format!("Invalid value at '{at}.file_data.file_uri'")))?;
            let media = get(file, "mimeType").as_str().unwrap_or("image/url");
            see(&mut turn, media, &media_of_url(uri));
        } else if !["executableCode", "codeExecutionResult"]
            .iter()
            .any(|name| get(part, name).is_object())
        {
            return Err(Refusal::invalid(format!(
                "* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field\n"
            )));
        }
    }
    if any {
        Ok(turn)
    } else {
        Err(Refusal::invalid(format!(
            "* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
        )))
    }
}

fn see(turn: &mut Turn, media: &str, named: &str) {
    if media.starts_with("image/") {
        turn.images.push(named.to_owned());
    } else {
        turn.files.push(media.to_owned());
    }
}

fn read_tools(body: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    for tool in body["tools"].as_array().into_iter().flatten() {
        for function in get(tool, "functionDeclarations").as_array().into_iter().flatten() {
            let name = function["name"].as_str().filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| Refusal::invalid("* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name. Must start with a letter or an underscore."))?;
            let schema = [get(function, "parametersJsonSchema"), &function["parameters"]]
                .into_iter()
                .find(|schema| schema.is_object());
            prompt.tools.push(Tool {
                name: name.to_owned(),
                schema: schema.cloned().unwrap_or(json!({"type": "object"})),
            });
        }
    }
    let calling = get(get(body, "toolConfig"), "functionCallingConfig");
    let allowed = get(calling, "allowedFunctionNames")
        .as_array()
        .and_then(|names| names.first())
        .and_then(Value::as_str);
    prompt.tool_choice = match calling["mode"].as_str() {
        Some("NONE") => ToolChoice::None,
        Some("ANY" | "VALIDATED") => match allowed {
            Some(name) if !prompt.tools.iter().any(|tool| tool.name == name) => {
                return Err(Refusal::invalid(format!(
                    "Function calling config: allowed_function_names contains '{name}', which is not declared."
                )));
            }
            Some(name) => ToolChoice::Named(name.to_owned()),
            None => ToolChoice::Required,
        },
        _ => ToolChoice::Auto,
    };
    Ok(())
}

fn read_config(config: &Value, prompt: &mut Prompt) -> Result<(), Refusal> {
    prompt.choices = match get(config, "candidateCount") {
        Value::Null => 1,
        count => count.as_u64().filter(|count| (1..=8).contains(count)).ok_or_else(|| {
            Refusal::invalid(
                "* GenerateContentRequest.generation_config.candidate_count: candidate_count must be between 1 and 8\n",
            )
        })? as usize,
    };
    if !config["temperature"].is_null()
        && !config["temperature"]
            .as_f64()
            .is_some_and(|number| (0.0..=2.0).contains(&number))
    {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n",
        ));
    }
    prompt.max_tokens = get(config, "maxOutputTokens").as_u64();
    prompt.stop = get(config, "stopSequences")
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if prompt.stop.len() > 5 {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences\n",
        ));
    }
    let json = get(config, "responseMimeType") == "application/json";
    let schema = ["responseJsonSchema", "_responseJsonSchema", "responseSchema"]
        .map(|name| get(config, name))
        .into_iter()
        .find(|schema| schema.is_object());
    prompt.format = match (json, schema) {
        (true, Some(schema)) => Format::Schema(schema.clone()),
        (true, None) => Format::Json,
        (false, Some(_)) => {
            return Err(Refusal::invalid(
                "Function calling with a response mime type: 'text/plain' is unsupported; response_schema needs 'application/json'.",
            ));
        }
        (false, None) => Format::Text,
    };
    let thinking = get(config, "thinkingConfig");
    prompt.show_reasoning = get(thinking, "includeThoughts") == true;
    prompt.reasons = prompt.show_reasoning
        || get(thinking, "thinkingBudget")
            .as_i64()
            .is_some_and(|budget| budget != 0)
        || get(thinking, "thinkingLevel").is_string();
    if get(config, "responseLogprobs") == true {
        prompt.logprobs = Some(config["logprobs"].as_u64().unwrap_or(0).min(20) as usize);
    }
    Ok(())
}

/// A field in camel case or, failing that, in snake case.
fn get<'a>(object: &'a Value, camel: &str) -> &'a Value {
    match object.get(camel) {
        Some(value) => value,
        None => &object[snake(camel)],
    }
}

fn snake(camel: &str) -> String {
    let mut text = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn parts(content: &Value) -> impl Iterator<Item = &Value> {
    content["parts"].as_array().into_iter().flatten()
}

fn texts(parts: &Value) -> String {
    parts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect()
}
