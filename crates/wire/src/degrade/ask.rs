//! The question in words: instructions instead of tools and formats, and earlier calls and results as the text the model is
//! asked to write itself.

use std::fmt::Write;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use types::chat::{ChatRequest, Message, Part, ResponseFormat, Role, ToolCall, ToolChoice};
use types::features::Features;

use super::contract::Malformed;
use super::{CALLS, RESULTS};

/// Of what the model said wrongly, characters that are shown to it again.
const SAID_CHARS_MAX: usize = 32_000;

/// What is asked for in words of a call that uses `uses`, at a target that lacks `missing`: also the answer's form where only
/// tools are lacking, for a form of JSON that the provider enforces would not let calls in text through.
pub fn asked_in_words(missing: Features, uses: Features) -> Features {
    if !missing.contains(Features::TOOLS) || !uses.contains(Features::TOOLS) {
        return missing;
    }
    let forms = [Features::JSON_OBJECT, Features::JSON_SCHEMA];
    let used = forms.into_iter().filter(|form| uses.contains(*form));
    used.fold(missing, Features::with)
}

/// Whether the answer's form is asked for in words.
pub(super) fn form_in_words(request: &ChatRequest, missing: Features) -> bool {
    let asked = asked_in_words(missing, request.features());
    asked.contains(Features::JSON_OBJECT) || asked.contains(Features::JSON_SCHEMA)
}

/// The question with `missing` asked for in words: of [`Features::TOOLS`] the tools and all that was called before, of
/// [`Features::JSON_OBJECT`] and [`Features::JSON_SCHEMA`] the form of the answer. Nothing else changes.
pub fn in_words(request: &ChatRequest, missing: Features) -> ChatRequest {
    let mut asked = request.clone();
    let mut instructions = Vec::new();
    if missing.contains(Features::TOOLS) {
        asked.messages = messages(&asked.messages);
        asked.tools.clear();
        asked.tool_choice = None;
        asked.parallel_tool_calls = None;
        instructions.extend(tools(request));
    }
    if form_in_words(request, missing)
        && let Some(format) = asked.response_format.take()
    {
        instructions.extend(form(&format, !request.tools.is_empty()));
    }
    if !instructions.is_empty() {
        // Behind the client's own instructions, which a provider may have cached.
        let own = asked.messages.iter().take_while(|m| m.role == Role::System).count();
        asked
            .messages
            .insert(own, turn(Role::System, instructions.join("\n\n")));
    }
    asked
}

/// Shows the model what it said and what was wrong with it.
pub fn repair(request: &mut ChatRequest, malformed: &Malformed) {
    let said: String = malformed.said.trim().chars().take(SAID_CHARS_MAX).collect();
    if !said.is_empty() {
        request.messages.push(turn(Role::Assistant, said));
    }
    let why = &malformed.why;
    let text = format!(
        "Your answer could not be used: {why}. Answer again, whole and exactly in the form that was asked for. Do not \
         apologise and do not comment on the mistake."
    );
    request.messages.push(turn(Role::User, text));
}

fn turn(role: Role, text: String) -> Message {
    Message {
        role,
        parts: vec![Part::text(text)],
        name: None,
    }
}

/// What is said of the tools; nothing when there are none.
fn tools(request: &ChatRequest) -> Option<String> {
    if request.tools.is_empty() {
        return None;
    }
    let (open, close) = CALLS;
    if request.tool_choice == Some(ToolChoice::None) {
        return Some(format!(
            "Do not call any tool in this answer: answer in words, without {open}."
        ));
    }
    let mut text = format!(
        "You can call tools. To call them, answer with exactly this form and nothing else, no code fence and no words around it:\n\
         {open}[{{\"name\": \"the tool's name\", \"arguments\": {{\"an argument\": \"its value\"}}}}]{close}\n\
         Between the tags stands one JSON array with an element for each call. `arguments` is a JSON object that is valid against \
         the tool's schema. After {close} stop: the results come in the next message, between {} and {}. \
         Never write results yourself.\n\nThe tools:",
        RESULTS.0, RESULTS.1
    );
    for tool in &request.tools {
        let _ = write!(text, "\n\nname: {}", tool.name);
        if let Some(description) = &tool.description {
            let _ = write!(text, "\ndescription: {description}");
        }
        let schema = tool.parameters.as_ref().map_or(r#"{"type":"object"}"#, |p| p.as_str());
        let _ = write!(text, "\nJSON schema of its arguments: {schema}");
    }
    text.push_str("\n\n");
    match &request.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::None) => {
            let _ = write!(
                text,
                "Call a tool only where it is needed; otherwise answer as usual, without {open}."
            );
        }
        Some(ToolChoice::Required) => text.push_str("In this answer you must call at least one tool."),
        Some(ToolChoice::Named(name)) => {
            let _ = write!(text, "In this answer you must call the tool `{name}` and no other.");
        }
    }
    if request.parallel_tool_calls == Some(false) {
        text.push_str(" Make at most one call in an answer.");
    }
    Some(text)
}

/// What is said of the answer's form; nothing of free text.
fn form(format: &ResponseFormat, tools: bool) -> Option<String> {
    let when = if tools {
        "When you answer without calling a tool, answer"
    } else {
        "Answer"
    };
    let bare = "and nothing else: no words before or after it and no code fence";
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(format!("{when} with one JSON object {bare}.")),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict: _,
        } => {
            let described = description.as_ref().map_or(String::new(), |d| format!(" ({d})"));
            let schema = schema.as_str();
            Some(format!(
                "{when} with JSON {bare}. It is `{name}`{described} and must be valid against this JSON schema:\n{schema}"
            ))
        }
    }
}

/// The conversation with calls and results as text.
fn messages(said: &[Message]) -> Vec<Message> {
    let names: Vec<(&str, &str)> = said.iter().flat_map(|m| &m.parts).filter_map(called).collect();
    let mut told: Vec<Message> = Vec::with_capacity(said.len());
    // Results, and what the person says next, are one turn: many models want turns to alternate.
    let mut open = false;
    for message in said {
        let has_results = message.parts.iter().any(|p| matches!(p, Part::ToolResult { .. }));
        let results = message.role == Role::Tool || has_results;
        let parts = in_text(&message.parts, &names);
        let joins = open && (results || message.role == Role::User && message.name.is_none());
        match told.last_mut().filter(|_| joins) {
            Some(before) => before.parts.extend(parts),
            None => told.push(Message {
                role: if results { Role::User } else { message.role },
                parts,
                name: message.name.clone().filter(|_| !results),
            }),
        }
        open = results;
    }
    told
}

/// A call's id and tool.
pub(super) fn called(part: &Part) -> Option<(&str, &str)> {
    match part {
        Part::ToolCall(call) => Some((&call.id, &call.name)),
        Part::Text { .. }
        | Part::Image { .. }
        | Part::File { .. }
        | Part::Audio { .. }
        | Part::Reasoning(_)
        | Part::Refusal { .. }
        | Part::ToolResult { .. } => None,
    }
}

/// Parts of one message: its calls become one text, its results another with their media behind it.
fn in_text(parts: &[Part], names: &[(&str, &str)]) -> Vec<Part> {
    let mut told = Vec::with_capacity(parts.len());
    let (mut calls, mut results, mut media) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::ToolCall(call) => calls.push(call_in_text(call)),
            Part::ToolResult {
                call_id,
                name,
                content,
                is_error,
                cache: _,
            } => {
                let known = || names.iter().find(|(id, _)| id == call_id).map(|(_, name)| *name);
                let name = name.as_deref().or_else(known);
                let (text, more) = content_in_text(content);
                let what = if *is_error { "error" } else { "result" };
                results.push(json!({"id": call_id, "name": name, what: text}));
                media.extend(more);
            }
            Part::Text { .. }
            | Part::Image { .. }
            | Part::File { .. }
            | Part::Audio { .. }
            | Part::Reasoning(_)
            | Part::Refusal { .. } => told.push(part.clone()),
        }
    }
    if !calls.is_empty() {
        told.push(Part::text(format!("{}[{}]{}", CALLS.0, calls.join(","), CALLS.1)));
    }
    if !results.is_empty() {
        let results = tagless(&Value::Array(results).to_string());
        // The answers to calls come first, whatever else the message says.
        told.insert(0, Part::text(format!("{}{results}{}", RESULTS.0, RESULTS.1)));
        media.into_iter().rev().for_each(|part| told.insert(1, part));
    }
    told
}

/// An earlier call in the form that new ones are asked for, with the id that its result repeats.
fn call_in_text(call: &ToolCall) -> String {
    let arguments = match serde_json::from_str::<&RawValue>(&call.arguments) {
        Ok(arguments) => arguments.get().to_owned(),
        // Broken, as some model wrote it.
        Err(_) => Value::String(call.arguments.clone()).to_string(),
    };
    let (id, name) = (json!(call.id), json!(call.name));
    tagless(&format!(r#"{{"id":{id},"name":{name},"arguments":{arguments}}}"#))
}

/// JSON in which no tag can end: `<\/` is the same string.
fn tagless(json: &str) -> String {
    json.replace("</", "<\\/")
}

/// A result's text, and what is no text.
fn content_in_text(content: &[Part]) -> (String, Vec<Part>) {
    let (mut text, mut media) = (String::new(), Vec::new());
    for part in content {
        match part {
            Part::Text { text: piece, .. } | Part::Refusal { text: piece } => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(piece);
            }
            Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => media.push(part.clone()),
            Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult { .. } => {}
        }
    }
    (text, media)
}
