//! Tools of a request, both ways.
//!
//! Function tools, alone and in namespaces, and custom tools are translated; what only OpenAI's servers can run or understand
//! (web and file search, code interpreter, computer, image generation, MCP, shells, patches, the search for tools) is an
//! offer that is left out, see `offers`.
//!
//! A custom tool takes text where a function takes JSON. It becomes a function with one string, [`CUSTOM_INPUT`]; its calls and their
//! text are wrapped and unwrapped by [`wrap_input`] and [`unwrap_input`], so that the client sees custom calls and the model
//! functions, and nothing is lost between them.

use serde::Serialize;
use serde_json::{Value, json};
use types::chat::{Json, Tool, ToolChoice};

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::offers::LeftOut;
use crate::openai_chat::media;
use crate::openai_responses::client_tools::flat;
use crate::openai_responses::fields::{boolean, expect, optional, required, untranslatable, wrong};
use crate::request::BadRequest;

/// The one argument of a custom tool that became a function.
pub const CUSTOM_INPUT: &str = "input";
const CUSTOM_PARAMETERS: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The tool's whole input, as plain text."}},"required":["input"],"additionalProperties":false}"#;

/// Where a request's tools are put as they are read.
pub(super) struct ToolReader<'a> {
    pub(super) tools: &'a mut Vec<Tool>,
    /// What the neutral model has no word for, by its place.
    pub(super) extra: &'a mut Vec<(String, Json)>,
    pub(super) left: &'a mut LeftOut,
}

impl ToolReader<'_> {
    /// Reads one element of `tools`: a tool, a namespace of some, or one that is left out.
    pub(super) fn read(&mut self, place: &str, tool: Raw<'_>) -> Result<(), BadRequest> {
        expect(Kind::Object, place, tool)?;
        match required(place, tool, "type")?.as_str() {
            "namespace" => self.namespace(place, tool),
            kind => self.tool(place, kind, tool, None),
        }
    }

    /// Its functions, under names that tell the namespace. What it is for stands with the first of them.
    fn namespace(&mut self, place: &str, namespace: Raw<'_>) -> Result<(), BadRequest> {
        let name = required(place, namespace, "name")?;
        self.keep_others(place, namespace, &["type", "name", "description", "tools"]);
        let first = self.tools.len();
        for (index, tool) in namespace.get("tools").into_iter().flat_map(Raw::items).enumerate() {
            let place = format!("{place}.tools[{index}]");
            expect(Kind::Object, &place, tool)?;
            let kind = required(&place, tool, "type")?;
            self.tool(&place, &kind, tool, Some(&name))?;
        }
        let about = optional(place, namespace, "description")?.filter(|about| !about.is_empty());
        if let (Some(about), Some(tool)) = (about, self.tools.get_mut(first)) {
            let about = format!("The tools named `{name}__…`: {about}");
            tool.description = Some(match tool.description.take() {
                Some(own) => format!("{own}\n\n{about}"),
                None => about,
            });
        }
        Ok(())
    }

    fn tool(&mut self, place: &str, kind: &str, tool: Raw<'_>, namespace: Option<&str>) -> Result<(), BadRequest> {
        let read = match kind {
            "function" => self.function(place, tool)?,
            "custom" => match self.custom(place, tool)? {
                Some(read) => read,
                None => return Ok(()),
            },
            _ => {
                // A hosted tool is chosen by its type.
                let name = optional(place, tool, "name")?;
                self.left
                    .add(place, kind, name.as_deref().unwrap_or(kind), tool, self.extra);
                return Ok(());
            }
        };
        let name = match namespace {
            Some(namespace) => flat(namespace, &read.name),
            None => read.name,
        };
        if self.tools.iter().any(|known| known.name == name) && namespace.is_some() {
            // Two tools of one name are refused everywhere; which of them was called could not be told.
            self.left.add(place, kind, &name, tool, self.extra);
            return Ok(());
        }
        self.tools.push(Tool { name, ..read });
        Ok(())
    }

    fn function(&mut self, place: &str, tool: Raw<'_>) -> Result<Tool, BadRequest> {
        let known = ["type", "name", "description", "parameters", "strict", "cache_control"];
        self.keep_others(place, tool, &known);
        let here = format!("{place}.parameters");
        let parameters = tool.get("parameters").map(|schema| expect(Kind::Object, &here, schema));
        let strict = tool
            .get("strict")
            .map(|value| boolean(&format!("{place}.strict"), value));
        Ok(Tool {
            name: required(place, tool, "name")?,
            description: optional(place, tool, "description")?,
            parameters: parameters.transpose()?.map(Raw::to_json),
            strict: strict.transpose()?,
            cache: media::read_cache_mark(tool),
        })
    }

    /// A tool that takes text. A grammar is told to the model, which nothing holds to it: it is reported by its place. `None`:
    /// the tool's format is of a kind that cannot even be told.
    fn custom(&mut self, place: &str, tool: Raw<'_>) -> Result<Option<Tool>, BadRequest> {
        let name = required(place, tool, "name")?;
        let mut description = optional(place, tool, "description")?;
        let format = tool.get("format");
        match format
            .and_then(|format| format.get("type"))
            .and_then(Raw::string)
            .as_deref()
        {
            None | Some("text") => {}
            Some("grammar") => {
                let here = format!("{place}.format");
                let format = format.expect("its type was just read");
                let definition = required(&here, format, "definition")?;
                let syntax = optional(&here, format, "syntax")?.unwrap_or_default();
                let told =
                    format!("The input must follow this {syntax} grammar, with nothing around it:\n{definition}");
                description = Some(match description {
                    Some(description) => format!("{description}\n\n{told}"),
                    None => told,
                });
                self.extra.push((here, format.to_json()));
            }
            Some(_) => {
                self.left.add(place, "custom", &name, tool, self.extra);
                return Ok(None);
            }
        }
        self.keep_others(place, tool, &["type", "name", "description", "format", "cache_control"]);
        Ok(Some(Tool {
            name,
            description,
            parameters: Some(Json::parse(CUSTOM_PARAMETERS).expect("the schema is JSON")),
            strict: None,
            cache: media::read_cache_mark(tool),
        }))
    }

    fn keep_others(&mut self, place: &str, tool: Raw<'_>, known: &[&str]) {
        for (name, value) in tool.members() {
            if !known.contains(&&*name) && !value.is_null() {
                self.extra.push((format!("{place}.{name}"), value.to_json()));
            }
        }
    }
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
        "function" | "custom" => Ok((ToolChoice::Named(chosen(place, value)?), None)),
        "allowed_tools" => {
            let mut names = Vec::new();
            for (index, tool) in value.get("tools").into_iter().flat_map(Raw::items).enumerate() {
                let place = format!("tool_choice.tools[{index}]");
                expect(Kind::Object, &place, tool)?;
                // Of the others none is offered elsewhere, allowed or not.
                if matches!(required(&place, tool, "type")?.as_str(), "function" | "custom") {
                    names.push(chosen(&place, tool)?);
                }
            }
            // Offering only the allowed tools asks for the same.
            let word = required(place, value, "mode")?;
            Ok((mode(&word, "tool_choice.mode")?, Some(names)))
        }
        _ => Err(untranslatable(place, "a choice that is no function")),
    }
}

/// The name of a tool that is chosen or was called, as it is offered elsewhere.
pub(super) fn chosen(place: &str, tool: Raw<'_>) -> Result<String, BadRequest> {
    let name = required(place, tool, "name")?;
    Ok(match optional(place, tool, "namespace")? {
        Some(namespace) => flat(&namespace, &name),
        None => name,
    })
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
