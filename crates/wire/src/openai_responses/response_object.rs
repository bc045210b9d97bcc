//! The response object: what an answer of this dialect is, and what its streams open and close with. It repeats the request's
//! parameters, as OpenAI's does; [`Echo`] keeps them, already written.

use serde::Serialize;
use serde_json::{Value, json};
use types::usage::Usage;

use crate::framing::json::Surrogates;
use crate::framing::raw::Raw;
use crate::openai_responses::client_tools::{ClientTool, ClientTools};
use crate::openai_responses::request::additional_tools;

/// What is repeated, in this order, with what stands there when the client did not write it.
const REPEATED: [(&str, &str); 21] = [
    ("background", "false"),
    ("conversation", ""),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt", ""),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", ""),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
];

/// The parameters of the request as the answer repeats them.
#[derive(Debug)]
pub(super) struct Echo {
    /// `,"name":value` for each.
    fields: Vec<u8>,
    /// How the client knows its tools.
    tools: ClientTools,
    /// What the client asked of the service tier.
    service_tier: Option<String>,
}

impl Echo {
    /// Takes what is repeated out of a request; of one that cannot be read, the defaults.
    pub(super) fn read(request: &[u8]) -> Echo {
        let text = std::str::from_utf8(request).unwrap_or_default();
        let raw = Raw::parse(text, Surrogates::Any).ok();
        let mut written: [Option<Raw<'_>>; REPEATED.len()] = [None; REPEATED.len()];
        let mut echo = Echo {
            fields: Vec::new(),
            tools: ClientTools::default(),
            service_tier: None,
        };
        for (name, value) in raw.into_iter().flat_map(Raw::members) {
            if value.is_null() {
                continue;
            }
            if let Some(at) = REPEATED.iter().position(|(known, _)| *known == name) {
                written[at] = Some(value);
            }
            match &*name {
                "tools" => echo.tools.read(value),
                "input" => value
                    .items()
                    .filter_map(additional_tools)
                    .for_each(|tools| echo.tools.read(tools)),
                "service_tier" => echo.service_tier = value.string().map(|tier| tier.into_owned()),
                "user" => push_field(&mut echo.fields, "user", value.text()),
                _ => {}
            }
        }
        for ((name, default), value) in REPEATED.iter().zip(written) {
            let value = value.map_or(*default, Raw::text);
            if !value.is_empty() {
                push_field(&mut echo.fields, name, value);
            }
        }
        echo
    }

    /// The client's tool that the model called, unless it is a plain function.
    pub(super) fn tool(&self, called: &str) -> Option<&ClientTool> {
        self.tools.find(called)
    }
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    // Line breaks stand only between tokens of JSON, and would break the frame of a stream.
    out.extend(value.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
}

/// Who answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    /// `resp_…`
    pub(super) id: String,
    pub(super) model: String,
    /// Unix seconds.
    pub(super) created: u64,
}

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// With its reason.
    Incomplete(&'static str),
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete(_) => "incomplete",
        }
    }
}

/// Appends a response object. `output` is its items, each written.
pub(super) fn write_response(
    out: &mut Vec<u8>,
    identity: &Identity,
    status: Status,
    output: &[Value],
    usage: Option<&Usage>,
    service_tier: Option<&str>,
    echo: &Echo,
) {
    let details = match status {
        Status::Incomplete(reason) => json!({ "reason": reason }),
        Status::InProgress | Status::Completed => Value::Null,
    };
    out.extend_from_slice(b"{\"id\":");
    write(out, &identity.id);
    out.extend_from_slice(b",\"object\":\"response\",\"created_at\":");
    write(out, &identity.created);
    out.extend_from_slice(b",\"status\":");
    write(out, status.word());
    out.extend_from_slice(b",\"error\":null,\"incomplete_details\":");
    write(out, &details);
    out.extend_from_slice(b",\"model\":");
    write(out, &identity.model);
    out.extend_from_slice(b",\"output\":");
    write(out, output);
    out.extend_from_slice(b",\"service_tier\":");
    write(out, service_tier.or(echo.service_tier.as_deref()).unwrap_or("default"));
    out.extend_from_slice(&echo.fields);
    out.extend_from_slice(b",\"usage\":");
    write(out, &usage.map(usage_json));
    out.extend_from_slice(b"}");
}

fn usage_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": usage.cache_write_input},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}

pub(super) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("writing JSON to memory cannot fail");
}
