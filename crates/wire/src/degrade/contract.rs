//! What an answer is held to: calls read back from text and checked against their tools, JSON checked against its schema.
//!
//! Lenient in form (fences, words around, a lone call without its list), strict in substance: an unknown tool, broken JSON or
//! arguments that break their schema are the model's mistakes, told so that it can mend them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{ChatRequest, ResponseFormat, Tool, ToolCall, ToolChoice};
use types::features::Features;

use super::ask::{called, form_in_words};
use super::{CALLS, RESULTS};
use crate::json_schema;
use crate::request::Dropped;

/// How many places of a text are tried as the beginning of its JSON.
const BEGINNINGS_MAX: usize = 8;
/// The tags under which some models call tools whatever they are told.
const SINGLE_CALL: (&str, &str) = ("<tool_call>", "</tool_call>");

/// An answer that is not what was asked for. It is the model's mistake and nobody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, fit to be told to the model: "`/count` must be of type integer". It names places and rules, never values.
    pub why: String,
    /// What the model said.
    pub said: String,
}

/// What an answer must be, as far as its target does not promise it.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Tools that are called in text; none when the target calls tools itself, or may not.
    tools: Vec<Tool>,
    must_call: Option<ToolChoice>,
    one_call: bool,
    format: Option<ResponseFormat>,
    /// The ids of the conversation's calls so far.
    known_ids: Vec<String>,
}

impl Contract {
    /// For an answer to a question of which `missing` was asked for in words.
    pub fn in_words(request: &ChatRequest, missing: Features) -> Contract {
        let in_text = missing.contains(Features::TOOLS) && request.tool_choice != Some(ToolChoice::None);
        let format = match &request.response_format {
            Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. }) if form_in_words(request, missing) => {
                request.response_format.clone()
            }
            Some(_) | None => None,
        };
        let ids = request
            .messages
            .iter()
            .flat_map(|m| &m.parts)
            .filter_map(|part| called(part));
        Contract {
            tools: if in_text { request.tools.clone() } else { Vec::new() },
            must_call: request.tool_choice.clone().filter(|_| in_text),
            one_call: request.parallel_tool_calls == Some(false),
            format,
            known_ids: ids.map(|(id, _)| id.to_owned()).collect(),
        }
    }

    /// For an answer whose form the target's dialect could not, or not wholly, be told of; `None` when it was.
    pub fn unenforced(request: &ChatRequest, dropped: &[Dropped]) -> Option<Contract> {
        let format = request.response_format.clone().filter(|f| *f != ResponseFormat::Text)?;
        let left_out = |d: &Dropped| d.0 == "response_format" || d.0.starts_with("response_format.");
        dropped.iter().any(left_out).then(|| Contract {
            tools: Vec::new(),
            must_call: None,
            one_call: false,
            format: Some(format),
            known_ids: Vec::new(),
        })
    }

    /// The answer as the client asked for it: calls in text are calls, JSON stands bare. What was refused or filtered is
    /// what it is, and so is JSON that the output limit cut off: its finish reason says so.
    pub fn restore(&self, mut answer: ChatAnswer) -> Result<ChatAnswer, Malformed> {
        let mut ids = Ids::new(&answer.id, &self.known_ids);
        for choice in &mut answer.choices {
            self.restore_choice(choice, &mut ids)?;
        }
        Ok(answer)
    }

    fn restore_choice(&self, choice: &mut Choice, ids: &mut Ids) -> Result<(), Malformed> {
        if choice.finish == Some(FinishReason::ContentFilter) {
            return Ok(());
        }
        let (mut said, mut refused, mut calls_itself) = (String::new(), false, false);
        for part in &choice.parts {
            match part {
                AnswerPart::Text { text } => said.push_str(text),
                AnswerPart::Refusal { .. } => refused = true,
                AnswerPart::ToolCall(_) => calls_itself = true,
                AnswerPart::Reasoning(_) => {}
            }
        }
        if refused || calls_itself {
            return Ok(());
        }
        let cut = choice.finish == Some(FinishReason::Length);
        let calls = self.calls(&said, cut).map_err(|why| Malformed {
            why,
            said: said.clone(),
        })?;
        if let Some((before, calls)) = calls {
            set_text(choice, before);
            for (name, arguments) in calls {
                choice.parts.push(AnswerPart::ToolCall(ToolCall {
                    id: ids.next(),
                    name,
                    arguments,
                    signature: None,
                }));
            }
            choice.finish = Some(FinishReason::ToolCalls);
            return Ok(());
        }
        if let Some(format) = &self.format {
            match bare_json(&said, format) {
                Ok(json) if json == said => {}
                Ok(json) => set_text(choice, json),
                Err(_) if cut => {}
                Err(why) => return Err(Malformed { why, said }),
            }
        }
        Ok(())
    }

    /// The calls in a text and the words before them; `None` when it calls nothing and need not.
    fn calls(&self, said: &str, cut: bool) -> Result<Option<(String, Vec<(String, String)>)>, String> {
        if self.tools.is_empty() {
            return Ok(None);
        }
        let (before, written) = match self.written(said) {
            Ok(Some(found)) => found,
            Ok(None) => return self.no_calls().map(|()| None),
            Err(_) if cut => return Err("it was cut off by the limit of output tokens amid its tool calls".into()),
            Err(why) => return Err(why),
        };
        if written.is_empty() {
            self.no_calls()?;
            return Ok(None);
        }
        if self.one_call && written.len() > 1 {
            return Err("it makes more than one tool call; at most one is allowed".into());
        }
        let calls = written.into_iter().map(|call| self.checked(call));
        Ok(Some((before, calls.collect::<Result<_, _>>()?)))
    }

    fn no_calls(&self) -> Result<(), String> {
        let (open, close) = CALLS;
        match &self.must_call {
            Some(ToolChoice::Required) => Err(format!("it must call at least one tool, in the form {open}[…]{close}")),
            Some(ToolChoice::Named(name)) => {
                Err(format!("it must call the tool `{name}`, in the form {open}[…]{close}"))
            }
            Some(ToolChoice::Auto | ToolChoice::None) | None => Ok(()),
        }
    }

    /// The calls as the model wrote them, with what it wrote before. What it wrote behind them is left out: there it could only
    /// guess at results.
    fn written<'t>(&self, said: &'t str) -> Result<Option<(String, Vec<Written<'t>>)>, String> {
        let tagged = [CALLS, SINGLE_CALL]
            .into_iter()
            .find_map(|tags| Some((said.find(tags.0)?, tags)));
        let Some((begin, (open, close))) = tagged else {
            // Without tags: only what is nothing but calls of known tools can be meant.
            let bare = read_calls(unfenced(said).trim()).unwrap_or_default();
            let known = |call: &Written<'_>| call.arguments.is_some() && self.tool(&call.name).is_some();
            let meant = !bare.is_empty() && bare.iter().all(known);
            return Ok(meant.then(|| (String::new(), bare)));
        };
        let before = said[..begin]
            .trim()
            .trim_end_matches("```json")
            .trim_end_matches("```")
            .trim();
        let mut rest = &said[begin..];
        let mut calls = Vec::new();
        while let Some(inside) = rest.strip_prefix(open) {
            // A string argument may hold the closing tag: the JSON's own end is looked for, not the tag's.
            let (written, behind) = first_calls(inside).ok_or_else(|| {
                format!("what stands behind {open} is not one JSON array of objects with `name` and `arguments`")
            })?;
            calls.extend(written);
            let behind = behind.trim_start().trim_start_matches("```").trim_start();
            let behind = behind.strip_prefix(close).unwrap_or(behind);
            rest = behind.trim_start();
        }
        let before = before.split(RESULTS.0).next().unwrap_or_default().trim();
        Ok(Some((before.to_owned(), calls)))
    }

    fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// A call's name and arguments, when it may be made.
    fn checked(&self, call: Written<'_>) -> Result<(String, String), String> {
        let Some(tool) = self.tool(&call.name) else {
            let known: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            return Err(format!(
                "it calls a tool that does not exist; there is {}",
                known.join(", ")
            ));
        };
        if let Some(ToolChoice::Named(only)) = &self.must_call
            && *only != tool.name
        {
            return Err(format!("it must call the tool `{only}` and no other"));
        }
        let name = &tool.name;
        let written = call.arguments.map_or("{}", RawValue::get);
        // Some models write the arguments as OpenAI does, as JSON within a string.
        let text = serde_json::from_str::<String>(written).unwrap_or_else(|_| written.to_owned());
        let value: Value =
            serde_json::from_str(&text).map_err(|_| format!("the arguments of `{name}` are broken JSON"))?;
        if !value.is_object() {
            return Err(format!("the arguments of `{name}` are no JSON object"));
        }
        if let Some(schema) = &tool.parameters {
            json_schema::check(schema.as_str(), &value)
                .map_err(|rule| format!("of the arguments of `{name}`, {rule}"))?;
        }
        Ok((name.clone(), text))
    }
}

/// Whether a text is wholly of the form asked for. The error says what is wrong with it.
pub fn check_format(text: &str, format: &ResponseFormat) -> Result<(), String> {
    let schema = match format {
        ResponseFormat::Text => return Ok(()),
        ResponseFormat::JsonObject => r#"{"type":"object"}"#,
        ResponseFormat::JsonSchema { schema, .. } => schema.as_str(),
    };
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("it is not valid JSON and nothing else (line {line}, column {column})")
    })?;
    json_schema::check(schema, &value)
}

/// The JSON of a text, without fences and words around it, when it is of the form asked for.
fn bare_json(said: &str, format: &ResponseFormat) -> Result<String, String> {
    let trimmed = said.trim();
    let whole = match check_format(trimmed, format) {
        Ok(()) => return Ok(trimmed.to_owned()),
        Err(why) => why,
    };
    if serde_json::from_str::<&RawValue>(trimmed).is_ok() {
        return Err(whole);
    }
    let mut why = None;
    // What looks like a fence may stand within the JSON's own strings.
    let places = [unfenced(trimmed), trimmed];
    let beginnings = places.into_iter().flat_map(|text| {
        let beginnings = text.match_indices(['{', '[']);
        beginnings.take(BEGINNINGS_MAX).map(|(at, _)| &text[at..])
    });
    for text in beginnings {
        if let Some((json, _)) = first_json(text) {
            match check_format(json.get(), format) {
                Ok(()) => return Ok(json.get().to_owned()),
                // The outermost JSON is what was meant, so its fault is the one to tell.
                Err(fault) => why = why.or(Some(fault)),
            }
        }
    }
    Err(why.unwrap_or(whole))
}

/// A call as a model writes it.
#[derive(Deserialize)]
struct Written<'t> {
    name: String,
    #[serde(borrow, default, alias = "parameters")]
    arguments: Option<&'t RawValue>,
}

/// The calls that a text is: a list of them, one alone, or an object with such a list.
fn read_calls(json: &str) -> Option<Vec<Written<'_>>> {
    #[derive(Deserialize)]
    struct Listed<'t> {
        #[serde(borrow)]
        tool_calls: Vec<Written<'t>>,
    }
    match json.as_bytes().first()? {
        b'[' => serde_json::from_str(json).ok(),
        b'{' => match serde_json::from_str::<Listed<'_>>(json) {
            Ok(listed) => Some(listed.tool_calls),
            Err(_) => serde_json::from_str(json).ok().map(|call| vec![call]),
        },
        _ => None,
    }
}

/// The calls that a text begins with, fences apart, and what stands behind them.
fn first_calls(inside: &str) -> Option<(Vec<Written<'_>>, &str)> {
    let inside = inside.trim_start();
    let inside = match inside.strip_prefix("```") {
        Some(fenced) => fenced
            .trim_start_matches(|c: char| c.is_ascii_alphanumeric())
            .trim_start(),
        None => inside,
    };
    let (json, behind) = first_json(inside)?;
    let mut calls = read_calls(json.get())?;
    // Several calls, each on its own line instead of in a list.
    let mut rest = behind;
    while rest.trim_start_matches([',', ' ', '\n', '\r', '\t']).starts_with('{')
        && let Some((json, behind)) = first_json(rest.trim_start_matches([',', ' ', '\n', '\r', '\t']))
        && let Some(more) = read_calls(json.get())
    {
        calls.extend(more);
        rest = behind;
    }
    Some((calls, rest))
}

/// The JSON value that a text begins with, and what stands behind it.
fn first_json(text: &str) -> Option<(&RawValue, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let json = values.next()?.ok()?;
    Some((json, &text[values.byte_offset()..]))
}

/// What stands in the first code fence of a text; without one the text.
fn unfenced(text: &str) -> &str {
    let Some((_, inside)) = text.split_once("```") else {
        return text;
    };
    let inside = inside
        .strip_prefix("json")
        .or_else(|| inside.strip_prefix("JSON"))
        .unwrap_or(inside);
    inside.rsplit_once("```").map_or(inside, |(inside, _)| inside)
}

/// Replaces a choice's text; reasoning stays ahead of it. Probabilities of tokens that are shown no more go.
fn set_text(choice: &mut Choice, text: String) {
    choice.parts.retain(|part| !matches!(part, AnswerPart::Text { .. }));
    if !text.is_empty() {
        choice.parts.push(AnswerPart::Text { text });
    }
    choice.logprobs = None;
}

/// Ids of calls that have none: the same for the same answer, and none that the conversation has already.
struct Ids {
    stem: u64,
    given: u64,
    known: Vec<String>,
}

impl Ids {
    fn new(answer: &str, known: &[String]) -> Ids {
        // FNV-1a: it only has to tell answers apart, and to be the same on every machine.
        let mut stem = 0xcbf2_9ce4_8422_2325_u64;
        for byte in known.iter().flat_map(|id| id.bytes()).chain(answer.bytes()) {
            stem = (stem ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ids {
            stem,
            given: 0,
            known: known.to_vec(),
        }
    }

    fn next(&mut self) -> String {
        loop {
            let id = format!("call_{:016x}{}", self.stem, self.given);
            self.given += 1;
            if !self.known.contains(&id) {
                return id;
            }
        }
    }
}
