//! Function tools and the choice among them.
//!
//! Schemas go into `parametersJsonSchema`, which takes JSON Schema as it is. The older `parameters` takes a subset of
//! OpenAPI's schema object and would have to be rewritten with losses (`$ref`, `const`, `additionalProperties`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use types::chat::{ChatRequest, Json, ToolChoice};
use types::dialect::DialectName;

use crate::gemini::request::cannot;
use crate::offers;
use crate::request::DroppedNames;
use crate::request::Unsupported;

/// The longest name of a function.
const NAME_LEN_MAX: usize = 128;

/// One element of `tools`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ToolSet<'a> {
    #[serde(rename_all = "camelCase")]
    Functions {
        function_declarations: Vec<FunctionDeclaration<'a>>,
    },
    /// A built-in tool, as the client wrote it.
    Offered(BTreeMap<&'a str, &'a Json>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionDeclaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a RawValue>,
}

/// `toolConfig`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'a> {
    function_calling_config: FunctionCallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<&'a str>,
}

/// All functions as one set, and what else a client of this dialect offers.
pub(super) fn encode<'a>(request: &'a ChatRequest, report: &mut DroppedNames) -> Result<Vec<ToolSet<'a>>, Unsupported> {
    let is_own = request.dialect == Some(DialectName::Gemini);
    let offered = request.extra.iter().filter(|_| is_own);
    let offered = offered.filter_map(|(name, tool)| Some((offers::kind(name)?, tool)));
    let offered = offered.map(|tool| ToolSet::Offered(BTreeMap::from([tool])));
    if request.tools.is_empty() {
        return Ok(offered.collect());
    }
    let mut function_declarations = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        if !is_name(&tool.name) {
            return Err(cannot(
                format!("the tool name {:?} (a letter or underscore comes first)", tool.name),
                "tools",
            ));
        }
        if tool.cache.is_some() {
            report.add("cache_control");
        }
        function_declarations.push(FunctionDeclaration {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters_json_schema: tool.parameters.as_ref().map(|schema| &*schema.0),
        });
    }
    let functions = ToolSet::Functions { function_declarations };
    Ok(std::iter::once(functions).chain(offered).collect())
}

/// The choice among the tools. Without tools Gemini refuses a `toolConfig`, so none is written.
///
/// `ANY` holds the model to the schemas anyway. Where the model decides, a tool with `strict` asks for `VALIDATED`: as
/// `AUTO`, but calls keep to their schemas. There is no word for "one call at most".
pub(super) fn choice<'a>(request: &'a ChatRequest, report: &mut DroppedNames) -> Option<ToolConfig<'a>> {
    if request.tools.is_empty() {
        if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
            report.add("tool_choice");
        }
        return None;
    }
    if request.parallel_tool_calls == Some(false) {
        report.add("parallel_tool_calls");
    }
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, allowed_function_names) = match &request.tool_choice {
        None if !strict => return None,
        None | Some(ToolChoice::Auto) if strict => ("VALIDATED", Vec::new()),
        None | Some(ToolChoice::Auto) => ("AUTO", Vec::new()),
        Some(ToolChoice::None) => ("NONE", Vec::new()),
        Some(ToolChoice::Required) => ("ANY", Vec::new()),
        Some(ToolChoice::Named(name)) => ("ANY", vec![name.as_str()]),
    };
    Some(ToolConfig {
        function_calling_config: FunctionCallingConfig {
            mode,
            allowed_function_names,
        },
    })
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && name.len() <= NAME_LEN_MAX
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_a_letter_or_underscore() {
        for good in ["get_weather", "_x", "a.b:c-d1", &"a".repeat(128)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1st", "-a", "a b", "é", &"a".repeat(129)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
