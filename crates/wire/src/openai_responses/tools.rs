//! Tools of a request, both ways.
//!
//! Function tools and free-text custom tools are translated; what only OpenAI's servers can run (web and file search,
//! code interpreter, computer, image generation, MCP, shells, patches) and what only they can promise (a grammar) is not.
//!
//! A custom tool takes text where a function takes JSON. It becomes a function with one string, [`CUSTOM_INPUT`]; its calls and their
//! text are wrapped and unwrapped by [`wrap_input`] and [`unwrap_input`], so that the client sees custom calls and the model
//! functions, and nothing is lost between them.

use serde::Serialize;
use serde_json::{Value, json};
use types::chat::{Json, Tool, ToolChoice};

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::openai_chat::media;
use crate::openai_responses::fields::{boolean, expect, optional, required, untranslatable, wrong};
use crate::request::BadRequest;

/// The one argument of a custom tool that became a function.
pub const CUSTOM_INPUT: &str = "input";
const CUSTOM_PARAMETERS: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The tool's whole input, as plain text."}},"required":["input"],"additionalProperties":false}"#;

/// Reads one tool. What this model has no word for is given to `keep` with its place.
pub(super) fn read_tool(place: &str, tool: Raw<'_>, keep: &mut dyn FnMut(String, Raw<'_>)) -> Result<Tool, BadRequest> {
    expect(Kind::Object, place, tool)?;
    let kind = required(place, tool, "type")?;
    let known: &[&str] = match kind.as_str() {
        "function" => &["type", "name", "description", "parameters", "strict", "cache_control"],
        "custom" => {
            let format = tool
                .get("format")
                .and_then(|format| format.get("type"))
                .and_then(Raw::string);
            if format.is_some_and(|format| format != "text") {
                let place = format!("{place}.format");
                return Err(untranslatable(&place, "a custom tool with a grammar"));
            }
            &["type", "name", "description", "format", "cache_control"]
        }
        other => {
            let place = format!("{place}.type");
            return Err(untranslatable(&place, &format!("a tool of type `{other}`")));
        }
    };
    for (name, value) in tool.members() {
        if !known.contains(&&*name) {
            keep(format!("{place}.{name}"), value);
        }
    }
    let parameters = match tool.get("parameters") {
        _ if kind == "custom" => Some(Json::parse(CUSTOM_PARAMETERS).expect("the schema is JSON")),
        Some(schema) => Some(expect(Kind::Object, &format!("{place}.parameters"), schema)?.to_json()),
        None => None,
    };
    let strict = tool.get("strict").filter(|_| kind == "function");
    Ok(Tool {
        name: required(place, tool, "name")?,
        description: optional(place, tool, "description")?,
        parameters,
        strict: strict
            .map(|value| boolean(&format!("{place}.strict"), value))
            .transpose()?,
        cache: media::read_cache_mark(tool),
    })
}

/// The names of a request's custom tools.
pub(super) fn custom_names(tools: Raw<'_>) -> Vec<String> {
    let custom = tools
        .items()
        .filter(|tool| tool.get("type").and_then(Raw::string).as_deref() == Some("custom"));
    custom
        .filter_map(|tool| Some(tool.get("name")?.string()?.into_owned()))
        .collect()
}

/// Reads `tool_choice`; with it the tools an `allowed_tools` choice leaves.
pub(super) fn read_choice(value: Raw<'_>) -> Result<(ToolChoice, Option<Vec<String>>), BadRequest> {
    let place = "tool_choice";
    let mode = |word: &str, place: &str| match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err(wrong(place, "must be `auto`, `none`, `required` or a tool")),
    };
    if let Some(word) = value.string() {
        return Ok((mode(&word, place)?, None));
    }
    expect(Kind::Object, place, value)?;
    match required(place, value, "type")?.as_str() {
        "function" | "custom" => Ok((ToolChoice::Named(required(place, value, "name")?), None)),
        "allowed_tools" => {
            let mut names = Vec::new();
            for (index, tool) in value.get("tools").into_iter().flat_map(Raw::items).enumerate() {
                let place = format!("tool_choice.tools[{index}]");
                expect(Kind::Object, &place, tool)?;
                match required(&place, tool, "type")?.as_str() {
                    "function" | "custom" => names.push(required(&place, tool, "name")?),
                    _ => return Err(untranslatable(&place, "a tool that is no function")),
                }
            }
            // Offering only the allowed tools asks for the same.
            let word = required(place, value, "mode")?;
            Ok((mode(&word, "tool_choice.mode")?, Some(names)))
        }
        _ => Err(untranslatable(place, "a choice that is no function")),
    }
}

/// A function tool, its schema as it was written.
#[derive(Serialize)]
pub(super) struct ToolJson<'a> {
    r#type: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl<'a> ToolJson<'a> {
    /// `own`: the client wrote this dialect, where a tool that does not say is strict. Elsewhere it is not.
    pub(super) fn new(tool: &'a Tool, own: bool) -> ToolJson<'a> {
        ToolJson {
            r#type: "function",
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_ref(),
            strict: tool.strict.or((!own).then_some(false)),
        }
    }
}

pub(super) fn choice_json(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "name": name}),
    }
}

/// A custom call's text as the arguments of a function.
pub fn wrap_input(input: &str) -> String {
    json!({ CUSTOM_INPUT: input }).to_string()
}

/// The text in a function's arguments. Arguments that are not of the one-string form are given as they are: it is what the
/// model said.
pub fn unwrap_input(arguments: &str) -> String {
    let wrapped = Raw::parse(arguments, Surrogates::Any).ok();
    let only = wrapped.filter(|wrapped| wrapped.members().count() == 1);
    let input = only.and_then(|wrapped| wrapped.get(CUSTOM_INPUT)).and_then(Raw::string);
    input.map_or_else(|| arguments.to_owned(), |input| input.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_custom_tools_text_survives_being_an_argument(input in ".*") {
            prop_assert_eq!(unwrap_input(&wrap_input(&input)), input);
        }
    }

    #[test]
    fn what_is_not_wrapped_stays_as_the_model_said_it() {
        for text in ["", "*** Begin Patch", r#"{"input":1}"#, r#"{"input":"a","b":1}"#, "[]"] {
            assert_eq!(unwrap_input(text), text);
        }
    }
}
