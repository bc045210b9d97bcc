//! Joins the continuation of a broken stream to what the client has already seen.
//!
//! [`Transcript`] is the account of what was said, [`Continuation`] the request that asks another target to go on,
//! [`Joiner`] removes what that target says again. Whether to resume is policy's decision; whether it can be done
//! at all ([`Transcript::unresumable`]) is told to it.

use policy::call::action::Continuation as Mode;
use types::chat::{ChatRequest, Message, Part, Role};
use types::event::StreamEvent;
use types::features::Features;
use wire::response::EncoderOptions;

/// How far back from the break a repetition is looked for, in characters.
const OVERLAP_WINDOW_CHARS: usize = 512;
/// A shorter repetition is taken for chance.
const OVERLAP_CHARS_MIN: usize = 16;
/// Reasoning has a block or a few; what closes more of them is not kept.
const SIGNATURES_MAX: usize = 16;
/// The account is not kept beyond this; a longer answer ends as an error when it breaks.
const TRANSCRIPT_BYTES_MAX: usize = 1024 * 1024;

/// What the client has seen of an answer.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    reasoning: String,
    /// What closed its reasoning.
    signatures: Vec<StreamEvent>,
    identity: Option<(String, String, u64)>,
    in_reasoning: bool,
    never: Option<&'static str>,
}

impl Transcript {
    /// An account of an answer to a call with these features.
    pub fn new(features: Features) -> Transcript {
        let never = [
            (Features::CHOICES, "more than one choice was asked for"),
            (Features::LOGPROBS, "log probabilities were asked for"),
            (Features::JSON_OBJECT, "structured output was asked for"),
            (Features::JSON_SCHEMA, "structured output was asked for"),
        ]
        .into_iter()
        .find_map(|(feature, why)| features.contains(feature).then_some(why));
        Transcript {
            never,
            ..Transcript::default()
        }
    }

    /// Takes in what goes to the client.
    pub fn take(&mut self, said: &[StreamEvent]) {
        for event in said {
            match event {
                StreamEvent::Start { id, model, created } => {
                    self.identity
                        .get_or_insert_with(|| (id.clone(), model.clone(), *created));
                }
                StreamEvent::Text { text, .. } if !text.is_empty() => {
                    self.in_reasoning = false;
                    self.text.push_str(text);
                    if self.text.len() > TRANSCRIPT_BYTES_MAX {
                        self.never = Some("the answer was too long to keep");
                        self.text.clear();
                    }
                }
                StreamEvent::Reasoning { text, .. } if !text.is_empty() => {
                    self.in_reasoning = true;
                    self.reasoning.push_str(text);
                    if self.reasoning.len() > TRANSCRIPT_BYTES_MAX {
                        self.never = Some("the reasoning was too long to keep");
                        self.reasoning.clear();
                    }
                }
                StreamEvent::ReasoningSignature { .. } if self.signatures.len() < SIGNATURES_MAX => {
                    self.signatures.push(event.clone());
                }
                StreamEvent::ToolCallStart { .. } => self.never = Some("a tool call had begun"),
                StreamEvent::Refusal { text, .. } if !text.is_empty() => self.never = Some("the model was refusing"),
                StreamEvent::Finish { .. } => self.never = Some("the answer had its finish reason already"),
                StreamEvent::Text { .. }
                | StreamEvent::Reasoning { .. }
                | StreamEvent::Refusal { .. }
                | StreamEvent::ReasoningSignature { .. }
                | StreamEvent::ToolCallArguments { .. }
                | StreamEvent::Usage(_)
                | StreamEvent::Ping
                | StreamEvent::Error(_)
                | StreamEvent::End => {}
            }
        }
    }

    /// Why nobody can go on from here, if so.
    pub fn unresumable(&self) -> Option<&'static str> {
        self.never
            .or(self.in_reasoning.then_some("the model was still reasoning"))
    }

    /// What another target needs to go on. `options` is the identity for a stream that never told its own.
    pub fn continuation(&self, mode: Mode, options: EncoderOptions) -> Continuation<'_> {
        let identity = match &self.identity {
            Some((id, model, created)) => {
                // What the provider did not tell, the client was told from the options.
                let told = |word: &String, ours: &String| if word.is_empty() { ours } else { word }.clone();
                let created = if *created == 0 { options.created } else { *created };
                EncoderOptions {
                    id: told(id, &options.id),
                    model: told(model, &options.model),
                    created,
                    ..options
                }
            }
            None => options,
        };
        Continuation {
            text: &self.text,
            seen: self.events(),
            mode,
            identity,
        }
    }

    /// What the client has seen, as the fewest events that say it.
    fn events(&self) -> Vec<StreamEvent> {
        // As the provider told it: what it left out, the encoder takes from the options, as it did the first time.
        let (id, model, created) = self.identity.clone().unwrap_or_default();
        let mut events = vec![StreamEvent::Start { id, model, created }];
        if !self.reasoning.is_empty() {
            events.push(StreamEvent::Reasoning {
                choice: 0,
                text: self.reasoning.clone(),
            });
        }
        events.extend(self.signatures.iter().cloned());
        if !self.text.is_empty() {
            events.push(StreamEvent::Text {
                choice: 0,
                text: self.text.clone(),
                logprobs: None,
            });
        }
        events
    }
}

/// What is to be continued, and how.
pub struct Continuation<'a> {
    text: &'a str,
    mode: Mode,
    /// What the client has seen, for the encoder that goes on.
    pub seen: Vec<StreamEvent>,
    /// Id, model and creation time of the stream that broke: the client sees one answer.
    pub identity: EncoderOptions,
}

impl Continuation<'_> {
    /// The client's request with the broken answer behind it.
    pub fn request(&self, original: &ChatRequest) -> ChatRequest {
        let mut request = original.clone();
        // Trailing white space in a prefill is refused by some providers; the joiner evens it out.
        let seen = self.text.trim_end();
        let turn = |role, text: String| Message {
            role,
            parts: vec![Part::text(text)],
            name: None,
        };
        if !seen.is_empty() {
            request.messages.push(turn(Role::Assistant, seen.to_owned()));
        }
        match self.mode {
            Mode::Prefill => {}
            Mode::Instruct => {
                let tail: String = last_chars(seen, 80).to_owned();
                request.messages.push(turn(
                    Role::User,
                    format!(
                        "Your answer above was cut off by a lost connection. Continue it from exactly where it stops, \
                         in the same language and form. Do not repeat any of it, do not apologise, do not comment. \
                         It stops after: \"{tail}\""
                    ),
                ));
            }
        }
        if let Some(limit) = &mut request.max_output_tokens {
            let sent = (self.text.chars().count() as u64).div_ceil(4);
            *limit = limit.saturating_sub(sent).max(1);
        }
        request
    }

    /// The filter for what the other target says.
    pub fn joiner(&self) -> Joiner {
        Joiner {
            seen: self.text.to_owned(),
            held: String::new(),
            state: Joint::Open,
        }
    }
}

/// Removes from the beginning of a continuation what the client has seen already.
///
/// It holds text back only while that text still is a repetition of something in the window (or of the answer from its
/// beginning: models restart); the first character that differs lets it go.
#[derive(Debug)]
pub struct Joiner {
    seen: String,
    held: String,
    state: Joint,
}

#[derive(Debug, PartialEq)]
enum Joint {
    Open,
    Made,
}

impl Joiner {
    /// Passes on what is new of an event.
    pub fn take(&mut self, event: StreamEvent, emit: &mut dyn FnMut(StreamEvent)) {
        match event {
            // The client has had its role chunk; the identity is the first target's.
            StreamEvent::Start { .. } => {}
            StreamEvent::Text { choice: 0, text, .. } if self.state == Joint::Open => {
                self.held.push_str(&text);
                if !self.may_still_repeat() {
                    self.flush(emit);
                }
            }
            StreamEvent::Ping | StreamEvent::Usage(_) => emit(event),
            event => {
                self.flush(emit);
                emit(event);
            }
        }
    }

    /// Lets go what is held.
    pub fn flush(&mut self, emit: &mut dyn FnMut(StreamEvent)) {
        if self.state == Joint::Made {
            return;
        }
        self.state = Joint::Made;
        let held = std::mem::take(&mut self.held);
        let repeated = self
            .repetitions()
            .filter(|tail| tail.chars().count() >= OVERLAP_CHARS_MIN.min(self.seen.chars().count()))
            .filter(|tail| held.starts_with(*tail))
            .map(str::len)
            .max()
            .unwrap_or(0);
        let mut text = &held[repeated..];
        if self.seen.ends_with(char::is_whitespace) {
            text = text.trim_start();
        }
        if !text.is_empty() {
            emit(StreamEvent::Text {
                choice: 0,
                text: text.to_owned(),
                logprobs: None,
            });
        }
    }

    fn may_still_repeat(&self) -> bool {
        self.repetitions()
            .any(|tail| tail.len() > self.held.len() && tail.starts_with(self.held.as_str()))
    }

    /// Every way to say again the end of what was seen: its tails within the window, and the whole of it. Text seen
    /// is compared without the white space at its end, which models drop.
    fn repetitions(&self) -> impl Iterator<Item = &str> {
        let seen = self.seen.trim_end();
        let window = last_chars(seen, OVERLAP_WINDOW_CHARS);
        let tails = window.char_indices().map(move |(at, _)| &window[at..]);
        std::iter::once(seen).chain(tails).filter(|tail| !tail.is_empty())
    }
}

fn last_chars(text: &str, count: usize) -> &str {
    let start = text
        .char_indices()
        .rev()
        .take(count)
        .last()
        .map_or(text.len(), |(at, _)| at);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(seen: &str, pieces: &[&str]) -> String {
        let mut transcript = Transcript::new(Features::NONE);
        transcript.take(&[StreamEvent::Text {
            choice: 0,
            text: seen.into(),
            logprobs: None,
        }]);
        let mut joiner = Joiner {
            seen: transcript.text.clone(),
            held: String::new(),
            state: Joint::Open,
        };
        let mut out = seen.to_owned();
        let mut emit = |event| {
            if let StreamEvent::Text { text, .. } = event {
                out.push_str(&text);
            }
        };
        for piece in pieces {
            joiner.take(
                StreamEvent::Text {
                    choice: 0,
                    text: (*piece).into(),
                    logprobs: None,
                },
                &mut emit,
            );
        }
        joiner.flush(&mut emit);
        out
    }

    #[test]
    fn a_repeated_tail_or_a_restart_is_removed_and_a_chance_likeness_is_not() {
        let seen = "The quick brown fox jumps over the lazy";
        let rows: &[(&str, &[&str], &str)] = &[
            (
                "goes on",
                &[" dog", " and sleeps."],
                "The quick brown fox jumps over the lazy dog and sleeps.",
            ),
            (
                "repeats",
                &["fox jumps over ", "the lazy dog."],
                "The quick brown fox jumps over the lazy dog.",
            ),
            (
                "restarts",
                &["The quick brown fox", " jumps over the lazy dog."],
                "The quick brown fox jumps over the lazy dog.",
            ),
            (
                "by chance",
                &["lazy", " again"],
                "The quick brown fox jumps over the lazylazy again",
            ),
            (
                "a lone repetition",
                &["fox jumps over the lazy"],
                "The quick brown fox jumps over the lazy",
            ),
        ];
        for (name, pieces, expected) in rows {
            assert_eq!(joined(seen, pieces), *expected, "{name}");
            let bytes: Vec<String> = pieces.concat().chars().map(|c| c.to_string()).collect();
            let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
            assert_eq!(joined(seen, &bytes), *expected, "{name}, character by character");
        }
        assert_eq!(
            joined("One two ", &[" three"]),
            "One two three",
            "white space at the joint is not doubled"
        );
        let long = "word ".repeat(400);
        assert_eq!(
            joined(&long, &[&long, "end"]),
            format!("{long}end"),
            "a restart longer than the window"
        );
    }

    #[test]
    fn nobody_resumes_tool_calls_refusals_or_open_reasoning() {
        let tool = StreamEvent::ToolCallStart {
            choice: 0,
            index: 0,
            id: "a".into(),
            name: "f".into(),
            signature: None,
        };
        let reasoning = StreamEvent::Reasoning {
            choice: 0,
            text: "hm".into(),
        };
        let text = StreamEvent::Text {
            choice: 0,
            text: "So".into(),
            logprobs: None,
        };
        let mut transcript = Transcript::new(Features::NONE);
        transcript.take(&[reasoning]);
        assert!(transcript.unresumable().is_some(), "still reasoning");
        transcript.take(&[text]);
        assert_eq!(transcript.unresumable(), None);
        transcript.take(&[tool]);
        assert_eq!(transcript.unresumable(), Some("a tool call had begun"));
        assert!(Transcript::new(Features::JSON_SCHEMA).unresumable().is_some());
    }
}
