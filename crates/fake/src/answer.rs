//! Answer: what the fake says, neutral of dialect, composed from the prompt, the behaviour and the seed.
//!
//! The same seed, model, prompt and behaviour give the same answer, whatever came before; only ids count up. Pure.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Continue, ScriptedToolCall, UsageOverride},
    dialect::{Refusal, openai_responses::Echo},
    prompt::{Continuation, ContinuedBy, Format, Prompt, Role, ToolChoice},
    random::{Random, seed_of},
    schema::sample,
};

/// Tokens of the default text.
const TOKENS_DEFAULT: usize = 60;
/// More tokens than this are not made, whatever a behaviour says.
const TOKENS_MAX: usize = 100_000;
/// More choices than this are refused, as the providers do.
pub(crate) const CHOICES_MAX: usize = 128;

/// Unix seconds on the fake's clock, which begins on 2026-11-18.
pub(crate) fn unix_seconds(at_ms: u64) -> u64 {
    1_795_000_000 + at_ms / 1000
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Hexadecimal digits that the dialect makes its ids of.
    pub(crate) id: String,
    pub(crate) model: String,
    /// Unix seconds; counted from a fixed day, since the fake reads no clock.
    pub(crate) created: u64,
    pub(crate) choices: Vec<Choice>,
    /// `None`: none is reported.
    pub(crate) usage: Option<Usage>,
    pub(crate) include_usage: bool,
    pub(crate) logprobs: Option<usize>,
    pub(crate) service_tier: String,
    pub(crate) odd: bool,
    pub(crate) empty: bool,
    /// Leave out the finish reason (a unary answer that was cut before it).
    pub(crate) unfinished: bool,
    /// Write it as Azure does, with what its content filter found.
    pub(crate) azure: bool,
    /// What the Responses API repeats of the request.
    pub(crate) echo: Option<Box<Echo>>,
}

/// One of `n` answers. Texts are lists of tokens, one content event each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) reasoning: Vec<String>,
    pub(crate) text: Vec<String>,
    pub(crate) refusal: Vec<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolCall {
    /// Hexadecimal digits of its id.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
    /// The tool takes free text, which `arguments` is then.
    pub(crate) custom: bool,
}

/// Why an answer ends, in neutral words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    #[default]
    Stop,
    StopSequence(String),
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    /// A provider's own word.
    Verbatim(String),
}

/// Token counts. `prompt` includes `cached`, `completion` includes `reasoning`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) cached: u64,
    pub(crate) reasoning: u64,
}

impl Choice {
    pub(crate) fn text(&self) -> String {
        self.text.concat()
    }
}

impl ToolCall {
    /// What the tool is given, as text: JSON, or the free text of a custom tool.
    pub(crate) fn input(&self) -> String {
        match &self.arguments {
            Value::String(text) if self.custom => text.clone(),
            arguments => arguments.to_string(),
        }
    }

    /// The input as the pieces it is streamed in.
    pub(crate) fn fragments(&self) -> Vec<String> {
        pieces(&self.input(), 8)
    }
}

impl Answer {
    /// What to say to this prompt, or why not.
    pub(crate) fn compose(
        prompt: &Prompt,
        behaviour: &Behaviour,
        model: &str,
        seed: u64,
        n: u64,
        at_ms: u64,
    ) -> Result<Self, Refusal> {
        let continuation = prompt.continuation();
        if let (
            Some(Continuation {
                by: ContinuedBy::Prefill,
                ..
            }),
            Some(Continue::RefusePrefill),
        ) = (&continuation, behaviour.continues)
        {
            return Err(Refusal::invalid(
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            ));
        }
        let mut ids = Random::new(seed_of(seed, &[model, &n.to_string()]));
        let id = ids.hex(24);
        let choices: Vec<Choice> = (0..prompt.choices.clamp(1, CHOICES_MAX))
            .map(|index| {
                Choice::compose(
                    prompt,
                    behaviour,
                    model,
                    seed_of(seed, &[model, &index.to_string()]),
                    continuation.as_ref(),
                    &mut ids,
                )
            })
            .collect();
        let usage = usage(prompt, behaviour, &choices);
        Ok(Self {
            id,
            model: model.to_owned(),
            created: unix_seconds(at_ms),
            choices,
            usage,
            include_usage: prompt.include_usage,
            logprobs: prompt.logprobs,
            service_tier: prompt.service_tier.clone().unwrap_or_else(|| "default".into()),
            odd: behaviour.odd,
            empty: behaviour.empty,
            unfinished: false,
            azure: prompt.azure,
            echo: prompt.echo.clone(),
        })
    }
}

impl Choice {
    fn compose(
        prompt: &Prompt,
        behaviour: &Behaviour,
        model: &str,
        seed: u64,
        continuation: Option<&Continuation>,
        ids: &mut Random,
    ) -> Self {
        let mut choice = Choice::default();
        if behaviour.empty {
            return choice;
        }
        if let Some(reasoning) = &behaviour.reasoning {
            choice.reasoning = words(reasoning);
        } else if prompt.show_reasoning {
            choice.reasoning = words("I read the question twice and then answer it plainly.");
        }
        if let Some(refusal) = &behaviour.refusal {
            choice.refusal = words(refusal);
            choice.finish = Finish::Refusal;
        } else if let Some(calls) = tool_calls(prompt, behaviour) {
            choice.tool_calls = calls
                .into_iter()
                .map(|(name, arguments)| {
                    let custom = prompt.custom_tools.contains(&name);
                    ToolCall {
                        id: ids.hex(24),
                        arguments: if custom { free_text(arguments) } else { arguments },
                        name,
                        custom,
                    }
                })
                .collect();
            choice.text = behaviour.text.as_deref().map(words).unwrap_or_default();
            choice.finish = Finish::ToolCalls;
        } else {
            let whole = said(prompt, behaviour, model, seed);
            choice.text = match continuation {
                Some(continuation) => {
                    continued(whole, &continuation.text, behaviour.continues.unwrap_or_default(), seed)
                }
                None => whole,
            };
            choice.stop_at(&prompt.stop);
        }
        if let Some(limit) = prompt.max_tokens.and_then(|limit| usize::try_from(limit).ok())
            && choice.text.len() > limit
        {
            choice.text.truncate(limit);
            choice.finish = Finish::Length;
        }
        if let Some(finish) = &behaviour.finish {
            choice.finish = match finish.as_str() {
                "stop" => Finish::Stop,
                "length" => Finish::Length,
                "tool_calls" => Finish::ToolCalls,
                "content_filter" => Finish::ContentFilter,
                "refusal" => Finish::Refusal,
                other => Finish::Verbatim(other.to_owned()),
            };
        }
        choice
    }

    /// Ends the text ahead of the first stop sequence in it.
    fn stop_at(&mut self, stop: &[String]) {
        let text = self.text();
        let first = stop
            .iter()
            .filter(|s| !s.is_empty())
            .filter_map(|s| text.find(s.as_str()).map(|at| (at, s)))
            .min();
        let Some((end, sequence)) = first else { return };
        let mut kept = 0;
        for (index, token) in self.text.iter_mut().enumerate() {
            if kept + token.len() > end {
                token.truncate(end - kept);
                let used = if token.is_empty() { index } else { index + 1 };
                self.text.truncate(used);
                break;
            }
            kept += token.len();
        }
        self.finish = Finish::StopSequence(sequence.clone());
    }
}

/// The calls to make, if any: those of the script, else one when the request offers tools and a user has just spoken.
fn tool_calls(prompt: &Prompt, behaviour: &Behaviour) -> Option<Vec<(String, Value)>> {
    let default = [ScriptedToolCall {
        name: "*".into(),
        arguments: None,
    }];
    let asked = !prompt.tools.is_empty()
        && prompt.tool_choice != ToolChoice::None
        && prompt.last().is_some_and(|turn| turn.role == Role::User);
    let says_something_else = behaviour.text.is_some() || behaviour.json.is_some() || behaviour.tokens.is_some();
    let calls: &[ScriptedToolCall] = match &behaviour.tool_calls[..] {
        [] if asked && !says_something_else => &default,
        [] => return None,
        scripted => scripted,
    };
    let calls = calls.iter().map(|call| {
        let tool = match call.name.as_str() {
            "*" => prompt.preferred_tool(),
            name => prompt.tools.iter().find(|tool| tool.name == name),
        };
        let name = tool
            .map_or(if call.name == "*" { "get_weather" } else { &call.name }, |tool| {
                &tool.name
            })
            .to_owned();
        let arguments = match (&call.arguments, tool) {
            (Some(arguments), _) => arguments.clone(),
            (None, Some(tool)) => match sample(&tool.schema) {
                Value::Object(fields) => Value::Object(fields),
                _ => json!({}),
            },
            (None, None) => json!({"city": "Paris"}),
        };
        (name, arguments)
    });
    Some(calls.collect())
}

/// The input of a custom tool: a text, or the text under `input`, else the JSON itself.
fn free_text(arguments: Value) -> Value {
    match &arguments {
        Value::String(_) => arguments,
        Value::Object(fields) if fields.is_empty() => json!("free text for the tool"),
        other => json!(other["input"].as_str().map_or_else(|| other.to_string(), str::to_owned)),
    }
}

/// The whole text of an answer, as tokens.
fn said(prompt: &Prompt, behaviour: &Behaviour, model: &str, seed: u64) -> Vec<String> {
    if let Some(json) = &behaviour.json {
        return pieces(&json.to_string(), 4);
    }
    if let Some(text) = &behaviour.text {
        return words(text);
    }
    if let Some(tokens) = behaviour.tokens {
        return prose(model, seed, tokens as usize);
    }
    match &prompt.format {
        Format::Schema(schema) => return pieces(&sample(schema).to_string(), 4),
        Format::Json => return pieces(&json!({"answer": "forty-two", "model": model}).to_string(), 4),
        Format::Text => {}
    }
    let Some(last) = prompt.last() else {
        return prose(model, seed, TOKENS_DEFAULT);
    };
    if last.role == Role::ToolResult {
        return words(&format!("Answer of {model}.\nThe tool said: {}", last.text));
    }
    let images: Vec<&str> = prompt
        .turns
        .iter()
        .flat_map(|turn| &turn.images)
        .map(String::as_str)
        .collect();
    let files: Vec<&str> = prompt
        .turns
        .iter()
        .flat_map(|turn| &turn.files)
        .map(String::as_str)
        .collect();
    if images.is_empty() && files.is_empty() {
        return prose(model, seed, TOKENS_DEFAULT);
    }
    let count = |things: &[&str], word: &str| {
        let plural = if things.len() == 1 { "" } else { "s" };
        format!("{} {word}{plural} ({})", things.len(), things.join(", "))
    };
    let mut seen = Vec::new();
    if !images.is_empty() {
        seen.push(count(&images, "image"));
    }
    if !files.is_empty() {
        seen.push(count(&files, "file"));
    }
    words(&format!("Answer of {model}.\nI see {}.", seen.join(" and ")))
}

/// What comes after `partial`, as the behaviour has it.
fn continued(whole: Vec<String>, partial: &str, how: Continue, seed: u64) -> Vec<String> {
    let rest = rest_after(&whole, partial);
    let mut random = Random::new(seed_of(seed, &[partial]));
    match how {
        Continue::Exact | Continue::RefusePrefill => rest,
        Continue::Restart => whole,
        Continue::Repeat => {
            let spoken = words(partial);
            let again = (3 + random.below(10)).min(spoken.len());
            let mut text = spoken[spoken.len() - again..].to_vec();
            if let Some(first) = text.first_mut() {
                *first = first.trim_start().to_owned();
            }
            text.extend(rest);
            text
        }
        Continue::Paraphrase => {
            let phrases = [
                "In other words, what was just said holds,",
                "To put the last point another way,",
                "Put differently, as said before,",
            ];
            let mut text = words(phrases[random.below(phrases.len())]);
            text.extend(rest);
            text
        }
    }
}

/// The tokens of `whole` that follow `partial`: exactly, when it is its beginning (a provider trims the white space at its end);
/// else as many tokens in as `partial` has, at least one.
fn rest_after(whole: &[String], partial: &str) -> Vec<String> {
    let text = whole.concat();
    let start = [partial, partial.trim_end()]
        .into_iter()
        .find(|begin| text.starts_with(begin))
        .map(str::len);
    let Some(start) = start else {
        let skip = words(partial).len().min(whole.len().saturating_sub(1));
        return whole[skip..].to_vec();
    };
    let mut at = 0;
    let mut rest = Vec::new();
    for token in whole {
        let end = at + token.len();
        if end > start {
            rest.push(token[start.saturating_sub(at)..].to_owned());
        }
        at = end;
    }
    rest
}

fn usage(prompt: &Prompt, behaviour: &Behaviour, choices: &[Choice]) -> Option<Usage> {
    let shown: u64 = choices.iter().map(|choice| choice.reasoning.len() as u64).sum();
    let reasoning = if shown == 0 && prompt.reasons { 16 } else { shown };
    let said = choices.iter().map(|choice| {
        let calls: usize = choice
            .tool_calls
            .iter()
            .map(|call| 4 + call.fragments().len() * 2)
            .sum();
        (choice.text.len() + choice.refusal.len() + calls) as u64
    });
    let prompt_tokens = prompt.tokens();
    let computed = Usage {
        prompt: prompt_tokens,
        completion: said.sum::<u64>() + reasoning,
        cached: if prompt.cache_markers { prompt_tokens / 2 } else { 0 },
        reasoning,
    };
    match behaviour.usage {
        Some(UsageOverride::Off) => None,
        Some(UsageOverride::Numbers(numbers)) => Some(Usage {
            prompt: numbers.prompt.unwrap_or(computed.prompt),
            completion: numbers.completion.unwrap_or(computed.completion),
            cached: numbers.cached.unwrap_or(computed.cached),
            reasoning: numbers.reasoning.unwrap_or(computed.reasoning),
        }),
        None => Some(computed),
    }
}

const WORDS: [&str; 48] = [
    "the", "aircraft", "holds", "its", "course", "while", "a", "second", "pilot", "reads", "each", "gauge", "and",
    "keeps", "both", "hands", "near", "controls", "because", "weather", "ahead", "may", "turn", "at", "any", "minute",
    "so", "they", "speak", "in", "short", "calm", "words", "about", "fuel", "wind", "distance", "cloud", "height",
    "until", "runway", "lights", "appear", "slowly", "below", "them", "once", "again",
];

/// Text of exactly so many tokens; its first line names the model.
fn prose(model: &str, seed: u64, tokens: usize) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut text = vec!["Answer".to_owned(), " of".to_owned(), format!(" {model}.")];
    while text.len() < tokens.min(TOKENS_MAX) {
        let word = WORDS[random.below(WORDS.len())];
        let space = if text.len() == 3 { '\n' } else { ' ' };
        text.push(format!("{space}{word}"));
    }
    text.truncate(tokens);
    text
}

/// A text cut ahead of its white space, so that the pieces join to the same text.
fn words(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_space = true;
    for c in text.chars() {
        match tokens.last_mut() {
            Some(token) if !c.is_whitespace() || in_space => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        in_space = c.is_whitespace();
    }
    tokens
}

/// A text cut every so many characters.
fn pieces(text: &str, characters: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(characters).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Tool, Turn};

    fn ask(text: &str) -> Prompt {
        Prompt {
            turns: vec![Turn {
                text: text.into(),
                ..Turn::default()
            }],
            choices: 1,
            ..Prompt::default()
        }
    }

    fn first(prompt: &Prompt, behaviour: &Behaviour) -> Choice {
        Answer::compose(prompt, behaviour, "m-1", 7, 1, 0)
            .unwrap()
            .choices
            .remove(0)
    }

    #[test]
    fn the_default_text_has_sixty_tokens_and_names_the_model_in_its_first_line() {
        let choice = first(&ask("hi"), &Behaviour::ok());
        assert_eq!(choice.text.len(), 60);
        assert!(choice.text().lines().next().unwrap().contains("m-1"));
        assert_eq!(
            choice,
            first(&ask("other words"), &Behaviour::ok()),
            "by seed and model only"
        );
        let two = Answer::compose(
            &Prompt {
                choices: 2,
                ..ask("hi")
            },
            &Behaviour::ok(),
            "m-1",
            7,
            1,
            0,
        )
        .unwrap();
        assert_ne!(two.choices[0], two.choices[1]);
    }

    #[test]
    fn limits_and_stop_sequences_are_honoured() {
        let text = Behaviour::from_json(r#"{"text":"one two three four"}"#).unwrap();
        let choice = first(
            &Prompt {
                max_tokens: Some(2),
                ..ask("hi")
            },
            &text,
        );
        assert_eq!((choice.text().as_str(), choice.finish), ("one two", Finish::Length));
        let choice = first(
            &Prompt {
                stop: vec!["zz".into(), "hree".into()],
                ..ask("hi")
            },
            &text,
        );
        assert_eq!(
            (choice.text().as_str(), choice.finish),
            ("one two t", Finish::StopSequence("hree".into()))
        );
    }

    #[test]
    fn a_tool_is_called_after_a_user_and_its_result_is_quoted() {
        let tool = Tool {
            name: "get_weather".into(),
            schema: json!({"type": "object", "properties": {"city": {"type": "string"}}}),
        };
        let mut prompt = Prompt {
            tools: vec![tool],
            ..ask("weather?")
        };
        assert_eq!(
            first(&prompt, &Behaviour::ok()).tool_calls[0].arguments,
            json!({"city": "Paris"})
        );
        assert_eq!(first(&prompt, &Behaviour::named("tools")).tool_calls.len(), 2);
        prompt.tool_choice = ToolChoice::None;
        assert!(first(&prompt, &Behaviour::ok()).tool_calls.is_empty());
        prompt.turns.push(Turn {
            role: Role::ToolResult,
            text: "21 degrees".into(),
            ..Turn::default()
        });
        prompt.tool_choice = ToolChoice::Auto;
        assert!(first(&prompt, &Behaviour::ok()).text().contains("21 degrees"));
    }

    #[test]
    fn a_continuation_is_exact_repeated_paraphrased_or_restarted() {
        let whole = "one two three four five six";
        let mut behaviour = Behaviour {
            text: Some(whole.into()),
            ..Behaviour::default()
        };
        let mut prompt = ask("count");
        prompt.turns.push(Turn {
            role: Role::Assistant,
            text: "one two thr".into(),
            ..Turn::default()
        });
        let mut text = |how| {
            behaviour.continues = Some(how);
            first(&prompt, &behaviour).text()
        };
        assert_eq!(text(Continue::Exact), "ee four five six");
        assert_eq!(text(Continue::Restart), whole);
        assert_eq!(text(Continue::Repeat), "one two three four five six");
        assert!(text(Continue::Paraphrase).ends_with("ee four five six"));
        behaviour.continues = Some(Continue::RefusePrefill);
        assert!(Answer::compose(&prompt, &behaviour, "m", 7, 1, 0).is_err());
    }

    #[test]
    fn texts_are_cut_without_loss() {
        for text in ["", "a", " a b", "one  two\nthree ", "grüße aus 東京 💺"] {
            assert_eq!(words(text).concat(), text);
            assert_eq!(pieces(text, 4).concat(), text);
        }
        assert_eq!(words("one two  three"), ["one", " two", "  three"]);
    }
}
