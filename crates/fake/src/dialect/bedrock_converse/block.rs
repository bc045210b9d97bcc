//! Content blocks of a Converse request: unions of which one member is set, each with its rules.

use base64::Engine as _;
use serde_json::Value;

use crate::{
    dialect::{Refusal, bedrock_converse::signature},
    prompt::{Role, Turn},
};

const NAME_LEN_MAX: usize = 64;

/// One message; `cached` is set when it holds a cache point.
pub(super) fn turn(
    content: &[Value],
    index: usize,
    role: Role,
    last: bool,
    cached: &mut bool,
) -> Result<Turn, Refusal> {
    let assistant = role == Role::Assistant;
    let mut turn = Turn {
        role,
        ..Turn::default()
    };
    if content.is_empty() {
        return Err(Refusal::invalid(format!(
            "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the content field and try again."
        )));
    }
    let (mut documents, mut texts) = (false, false);
    for (number, block) in content.iter().enumerate() {
        let at = format!("messages.{index}.content.{number}");
        let blank = || {
            Refusal::invalid(format!(
                "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
            ))
        };
        let wrong_role = |kind: &str, role: &str| {
            Refusal::invalid(format!(
                "The {kind} block at {at} is not allowed in a message of the role {role}."
            ))
        };
        match member(block, &at, BLOCKS)? {
            "text" => {
                let text = block["text"].as_str().ok_or_else(|| unreadable(&at, "a string"))?;
                if text.trim().is_empty() {
                    return Err(blank());
                }
                if assistant && last && number + 1 == content.len() && text.ends_with(char::is_whitespace) {
                    return Err(Refusal::invalid(
                        "The model returned the following errors: messages: final assistant content cannot end with trailing whitespace",
                    ));
                }
                texts = true;
                turn.text.push_str(text);
            }
            "image" => turn.images.push(image(&block["image"], &at)?),
            "document" if assistant => return Err(wrong_role("document", "assistant")),
            "document" => {
                documents = true;
                turn.files.push(document(&block["document"], &at)?);
            }
            kind @ ("video" | "audio") => {
                let format = block[kind]["format"]
                    .as_str()
                    .ok_or_else(|| missing(&at, &format!("{kind}.format")))?;
                turn.files.push(format!("{kind}/{format}"));
            }
            "toolUse" if !assistant => return Err(wrong_role("toolUse", "user")),
            "toolUse" => {
                turn.tool_calls = true;
                tool_use_id(&block["toolUse"], &at)?;
                name(&block["toolUse"]["name"], &format!("{at}.toolUse.name"))?;
                if !block["toolUse"]["input"].is_object() {
                    return Err(Refusal::invalid(format!(
                        "The format of the value at {at}.toolUse.input is invalid. Provide a json object for the field and try again."
                    )));
                }
            }
            "toolResult" if assistant => return Err(wrong_role("toolResult", "assistant")),
            "toolResult" => {
                let result = &block["toolResult"];
                tool_use_id(result, &at)?;
                turn.role = Role::ToolResult;
                if !matches!(result["status"].as_str(), None | Some("success" | "error")) {
                    return Err(Refusal::invalid(format!(
                        "Value at '{at}.toolResult.status' failed to satisfy constraint: Member must satisfy enum value set: [success, error]"
                    )));
                }
                for part in list(&result["content"], &format!("{at}.toolResult.content"))? {
                    match member(
                        part,
                        &at,
                        &["text", "json", "image", "document", "video", "searchResult"],
                    )? {
                        "text" => turn
                            .text
                            .push_str(part["text"].as_str().ok_or_else(|| unreadable(&at, "a string"))?),
                        "json" if !part["json"].is_object() => {
                            return Err(Refusal::invalid(format!(
                                "The format of the value at {at}.toolResult.content.json is invalid. Provide a json object for the field and try again."
                            )));
                        }
                        "json" => turn.text.push_str(&part["json"].to_string()),
                        "image" => turn.images.push(image(&part["image"], &at)?),
                        "document" => turn.files.push(document(&part["document"], &at)?),
                        _ => {}
                    }
                }
            }
            "reasoningContent" if !assistant => return Err(wrong_role("reasoningContent", "user")),
            "reasoningContent" => {
                let reasoning = &block["reasoningContent"];
                match member(reasoning, &at, &["reasoningText", "redactedContent"])? {
                    "reasoningText" => {
                        let said = &reasoning["reasoningText"];
                        let text = said["text"]
                            .as_str()
                            .ok_or_else(|| missing(&at, "reasoningText.text"))?;
                        if said["signature"].as_str() != Some(&signature(text)) {
                            return Err(Refusal::invalid(format!(
                                "The model returned the following errors: {at}: Invalid `signature` in `thinking` block"
                            )));
                        }
                    }
                    _ => check_base64(&reasoning["redactedContent"], &at)?,
                }
            }
            "cachePoint" => {
                if block["cachePoint"]["type"] != "default" {
                    return Err(Refusal::invalid(format!(
                        "Value at '{at}.cachePoint.type' failed to satisfy constraint: Member must satisfy enum value set: [default]"
                    )));
                }
                if number == 0 {
                    return Err(Refusal::invalid(format!(
                        "The cachePoint block at {at} must follow another content block."
                    )));
                }
                *cached = true;
            }
            "guardContent" => {
                texts = true;
                turn.text
                    .push_str(block["guardContent"]["text"]["text"].as_str().unwrap_or_default());
            }
            _ => {}
        }
    }
    if documents && !texts {
        return Err(Refusal::invalid(
            "A text block must be included when using a document block. Add a text block to the content field, and try again.",
        ));
    }
    Ok(turn)
}

const BLOCKS: &[&str] = &[
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
    "toolAddition",
    "toolRemoval",
];

fn image(image: &Value, at: &str) -> Result<String, Refusal> {
    let format = image["format"]
        .as_str()
        .filter(|format| ["png", "jpeg", "gif", "webp"].contains(format));
    let format = format.ok_or_else(|| {
        Refusal::invalid(format!(
            "Value at '{at}.image.format' failed to satisfy constraint: Member must satisfy enum value set: [png, jpeg, gif, webp]"
        ))
    })?;
    if member(&image["source"], at, &["bytes", "s3Location"])? == "bytes" {
        check_base64(&image["source"]["bytes"], at)?;
    }
    Ok(format!("image/{format}"))
}

/// The name of a document. Names keep to a few characters, lest they be read as part of the prompt.
fn document(document: &Value, at: &str) -> Result<String, Refusal> {
    let name = document["name"].as_str().filter(|name| (1..=200).contains(&name.len()));
    let name = name.ok_or_else(|| missing(at, "document.name"))?;
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "-()[]".contains(c);
    if !name.chars().all(allowed) || name.contains("  ") {
        return Err(Refusal::invalid(
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
        ));
    }
    let formats = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
    if document.get("format").is_some()
        && !document["format"]
            .as_str()
            .is_some_and(|format| formats.contains(&format))
    {
        return Err(Refusal::invalid(format!(
            "Value at '{at}.document.format' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            formats.join(", ")
        )));
    }
    if member(&document["source"], at, &["bytes", "s3Location", "text", "content"])? == "bytes" {
        check_base64(&document["source"]["bytes"], at)?;
    }
    Ok(name.to_owned())
}

/// The one member of a union that is set.
pub(super) fn member<'a>(block: &Value, at: &str, known: &[&'a str]) -> Result<&'a str, Refusal> {
    let fields = block.as_object().ok_or_else(|| unreadable(at, "an object"))?;
    let mut set = known
        .iter()
        .filter(|name| fields.get(**name).is_some_and(|value| !value.is_null()));
    match (set.next(), set.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Refusal::invalid(format!(
            "The object at {at} must set one of the following keys: {}.",
            known.join(", ")
        ))),
        (Some(_), Some(_)) => Err(Refusal::invalid(format!(
            "The object at {at} must set exactly one of its keys."
        ))),
    }
}

/// A list, or nothing.
pub(super) fn list<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], Refusal> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        _ => Err(unreadable(at, "a list")),
    }
}

pub(super) fn name<'a>(value: &'a Value, at: &str) -> Result<&'a str, Refusal> {
    let sound = |name: &&str| is_word(name, "_-");
    value.as_str().filter(sound).ok_or_else(|| {
        Refusal::invalid(format!(
            "1 validation error detected: Value '{}' at '{at}' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
            value.as_str().unwrap_or("null")
        ))
    })
}

fn tool_use_id(block: &Value, at: &str) -> Result<(), Refusal> {
    let sound = block["toolUseId"].as_str().is_some_and(|id| is_word(id, "_.:-"));
    if sound {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "1 validation error detected: Value at '{at}.toolUseId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+ and have length less than or equal to 64"
    )))
}

fn is_word(text: &str, marks: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

fn check_base64(data: &Value, at: &str) -> Result<(), Refusal> {
    let bytes = data
        .as_str()
        .and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok());
    match bytes {
        Some(bytes) if !bytes.is_empty() => Ok(()),
        Some(_) => Err(Refusal::invalid(format!("The bytes at {at} are empty."))),
        None => Err(unreadable(at, "base64")),
    }
}

pub(super) fn missing(at: &str, field: &str) -> Refusal {
    Refusal::invalid(format!(
        "1 validation error detected: Value at '{at}.{field}' failed to satisfy constraint: Member must not be null"
    ))
}

pub(super) fn unreadable(at: &str, wanted: &str) -> Refusal {
    Refusal::invalid(format!("Unexpected token at '{at}': expected {wanted}."))
}
