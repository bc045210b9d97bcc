//! Writes a generateContent request from the neutral model: puts together turns, tools and generation settings.
//!
//! Read [`encode_request`] first; what becomes of a part stands in `contents`, of a tool in `tools`, of a number in
//! `generation`. Field names follow the v1beta reference in lower camel case.

use serde::Serialize;
use types::chat::{ChatRequest, ResponseFormat};
use types::dialect::DialectName;

use crate::gemini::contents::{self, Content};
use crate::gemini::generation::{self, GenerationConfig};
use crate::gemini::model::Generation;
use crate::gemini::tools::{self, ToolConfig, ToolSet};
use crate::offers;
use crate::request::{DroppedNames, Encoded, Unsupported, UpstreamModel, append_members};

/// Writes a request. Model and streaming are in the [`path`](crate::gemini::path), not in the body.
///
/// # Errors
/// [`Unsupported`] names what Gemini cannot say: more than 8 choices or 5 stop sequences, another provider's uploaded
/// file, a tool result whose call is nowhere, a tool name that does not begin with a letter, JSON output together with tools
/// before Gemini 3, audio output, a bias on tokens.
pub fn encode_request(request: &ChatRequest, upstream: UpstreamModel<'_>) -> Result<Encoded, Unsupported> {
    let generation = Generation::of(upstream.model);
    let mut report = DroppedNames::default();
    refuse_json_beside_tools(request, generation)?;
    let conversation = contents::encode(request, generation, &mut report)?;
    let mut body = Body {
        contents: conversation.turns,
        system_instruction: None,
        tools: tools::encode(request, &mut report)?,
        tool_config: tools::choice(request, &mut report),
        generation_config: generation::encode(request, upstream, &mut report)?,
        service_tier: None,
    };
    // Gemini wants at least one turn; a request of nothing but instructions is said as the user's.
    if body.contents.is_empty() && conversation.system.is_empty() {
        return Err(cannot("a conversation without any content", "messages"));
    } else if body.contents.is_empty() {
        body.contents.push(Content::user(conversation.system));
    } else if !conversation.system.is_empty() {
        body.system_instruction = Some(Content::system(conversation.system));
    }
    if request.user.is_some() {
        report.add("user");
    }
    let mut own = Vec::new();
    for (name, value) in &request.extra {
        let value = value.as_str().trim();
        match request.dialect {
            Some(DialectName::OpenaiChat) => body.take_extra(name, value, &mut report)?,
            Some(DialectName::Gemini) if offers::kind(name).is_some() => {}
            // A place within another field is where something was left behind, not a field.
            Some(DialectName::Gemini) if !name.contains(['.', '[']) => own.push((name.as_str(), value)),
            Some(_) | None => report.add(name),
        }
    }
    let mut body = serde_json::to_vec(&body).expect("strings, numbers and checked JSON always serialise");
    append_members(&mut body, &own);
    Ok(Encoded {
        body,
        headers: Vec::new(),
        dropped: report.into_vec(),
    })
}

/// What Gemini cannot say, with the client's parameter to blame.
pub(super) fn cannot(what: impl Into<String>, param: &str) -> Unsupported {
    Unsupported {
        dialect: DialectName::Gemini,
        what: what.into(),
        param: Some(param.to_owned()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolSet<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

impl Body<'_> {
    /// Decides on a field of chat completions the neutral model has no word for: said, refused when the answer would be of another kind without
    /// it, else reported. A `null` is as if it had not been written.
    fn take_extra(&mut self, name: &str, value: &str, report: &mut DroppedNames) -> Result<(), Unsupported> {
        let is_empty = matches!(value, "null" | "{}" | "[]");
        match name {
            _ if value == "null" => {}
            "service_tier" => match value {
                "\"flex\"" => self.service_tier = Some("flex"),
                "\"priority\"" => self.service_tier = Some("priority"),
                "\"default\"" => self.service_tier = Some("standard"),
                "\"auto\"" => {}
                _ => report.add(name),
            },
            "modalities" if value.contains("audio") => {
                return Err(cannot("`modalities` with audio (only text comes back)", name));
            }
            "modalities" => {}
            "audio" | "logit_bias" if !is_empty => {
                return Err(cannot(format!("`{name}`"), name));
            }
            _ => report.add(name),
        }
        Ok(())
    }
}

/// Before Gemini 3 the API answers "Function calling with a response mime type: 'application/json' is unsupported".
fn refuse_json_beside_tools(request: &ChatRequest, generation: Generation) -> Result<(), Unsupported> {
    let json = matches!(
        request.response_format,
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. })
    );
    if json && !request.tools.is_empty() && generation == Generation::Budgets {
        return Err(cannot(
            "`response_format` JSON together with `tools` (from Gemini 3 on)",
            "response_format",
        ));
    }
    Ok(())
}
