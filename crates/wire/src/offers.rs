//! Offered tools that only the client's own API can run: web search, code execution, computers, tool servers.
//!
//! An offered tool is an offer: while the model may do without it, another dialect is asked without it and the client is told
//! (the whole rule stands at [`crate::server`]). A decoder puts the tool, as it was written, to the request's `extra` under its
//! place and kind (`tools[9].web_search`): encoders of other dialects report that as dropped, the one of its own writes
//! it back ([`kind`]). Read [`LeftOut`].

use types::chat::{ChatRequest, Json, ToolChoice};

use crate::fields::untranslatable;
use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::request::BadRequest;

/// The kind of a tool that need not say one (Anthropic's functions).
const UNTYPED: &str = "custom";

/// What was offered and left out, by the names a choice can force it by.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    names: Vec<String>,
}

impl LeftOut {
    /// Leaves out the tool at `place`. `name` is what a choice would call it.
    pub(crate) fn add(&mut self, place: &str, kind: &str, name: &str, offer: Raw<'_>, extra: &mut Vec<(String, Json)>) {
        extra.push((format!("{place}.{kind}"), offer.to_json()));
        self.names.push(name.to_owned());
    }

    /// Refuses a request whose choice leaves the model no way but one of these. Asked when all of it is read.
    pub(crate) fn check(&self, request: &ChatRequest) -> Result<(), BadRequest> {
        match &request.tool_choice {
            Some(ToolChoice::Named(name)) => {
                let is_there = request.tools.iter().any(|tool| tool.name == *name);
                if !is_there && self.names.contains(name) {
                    return Err(untranslatable("tool_choice", &format!("a call of `{name}`")));
                }
            }
            Some(ToolChoice::Required) if request.tools.is_empty() && !self.names.is_empty() => {
                return Err(untranslatable("tool_choice", "a call of tools that are no functions"));
            }
            Some(ToolChoice::Required | ToolChoice::Auto | ToolChoice::None) | None => {}
        }
        Ok(())
    }
}

/// The kind of the tool that stands in `extra` under `name`; `None` when something else does.
pub(crate) fn kind(name: &str) -> Option<&str> {
    let (index, kind) = name.strip_prefix("tools[")?.split_once("].")?;
    let is_index = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    (is_index && !kind.contains(['.', '['])).then_some(kind)
}

/// [`kind`], where a tool says its kind in `type`, as most do: a field of a tool that was taken is none.
pub(crate) fn typed_kind<'a>(name: &'a str, value: &Json) -> Option<&'a str> {
    let kind = kind(name)?;
    let tool = Raw::parse(value.as_str(), Surrogates::Any).ok()?;
    let is_it = tool.kind() == Kind::Object
        && match tool.get("type").and_then(Raw::string) {
            Some(word) => word == kind,
            None => kind == UNTYPED,
        };
    is_it.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_told_from_a_field_of_one() {
        let json = |text: &str| Json::parse(text).unwrap();
        let tool = json(r#"{"type":"web_search","x":1}"#);
        let rows = [
            ("tools[12].web_search", &tool, Some("web_search")),
            ("tools[1].format", &json(r#"{"type":"grammar"}"#), None),
            ("tools[1].defer_loading", &json("true"), None),
            ("tools[1].a.web_search", &tool, None),
            ("tools[].web_search", &tool, None),
            ("messages[1].web_search", &tool, None),
        ];
        for (name, value, wanted) in rows {
            assert_eq!(typed_kind(name, value), wanted, "{name}");
        }
    }
}
