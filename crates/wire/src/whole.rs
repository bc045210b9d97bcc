//! A whole answer as the events of a stream, and a stream as the whole answer it amounts to.
//!
//! For answers that must be seen whole before any of them is shown. Fingerprint and service tier have no event and are lost on
//! the way through one.

use serde_json::Value;
use types::answer::{AnswerPart, ChatAnswer, Choice};
use types::chat::{Json, Reasoning, ToolCall};
use types::event::StreamEvent;
use types::outcome::Failure;

/// The events that say an answer: start, each choice's parts and finish, usage, end.
pub fn events(answer: &ChatAnswer) -> Vec<StreamEvent> {
    let mut events = vec![StreamEvent::Start {
        id: answer.id.clone(),
        model: answer.model.clone(),
        created: answer.created,
    }];
    for choice in &answer.choices {
        choice_events(choice, &mut events);
    }
    events.extend(answer.usage.map(StreamEvent::Usage));
    events.push(StreamEvent::End);
    events
}

fn choice_events(said: &Choice, events: &mut Vec<StreamEvent>) {
    let choice = said.index;
    let (mut index, mut logprobs) = (0, said.logprobs.clone());
    for part in &said.parts {
        match part {
            AnswerPart::Text { text } => events.push(StreamEvent::Text {
                choice,
                text: text.clone(),
                logprobs: logprobs.take(),
            }),
            AnswerPart::Refusal { text } => events.push(StreamEvent::Refusal {
                choice,
                text: text.clone(),
            }),
            AnswerPart::Reasoning(reasoning) => {
                if !reasoning.text.is_empty() {
                    events.push(StreamEvent::Reasoning {
                        choice,
                        text: reasoning.text.clone(),
                    });
                }
                // A signature of nobody's is none.
                if let Some(origin) = reasoning.origin
                    && (reasoning.signature.is_some() || reasoning.redacted.is_some())
                {
                    events.push(StreamEvent::ReasoningSignature {
                        choice,
                        signature: reasoning.signature.clone(),
                        redacted: reasoning.redacted.clone(),
                        origin,
                    });
                }
            }
            AnswerPart::ToolCall(call) => {
                events.push(StreamEvent::ToolCallStart {
                    choice,
                    index,
                    id: call.id.clone(),
                    name: call.name.clone(),
                    signature: call.signature.clone(),
                });
                events.push(StreamEvent::ToolCallArguments {
                    choice,
                    index,
                    arguments: call.arguments.clone(),
                });
                index += 1;
            }
        }
    }
    events.extend(said.finish.map(|reason| StreamEvent::Finish { choice, reason }));
}

/// Makes a whole answer of a stream's events.
#[derive(Debug, Default)]
pub struct Collector {
    answer: ChatAnswer,
    /// Of each choice, where its tool calls stand among its parts, by their number in the stream.
    calls: Vec<Vec<(u32, usize)>>,
    /// Of each choice, whether its last part takes no more: a signed block of reasoning.
    closed: Vec<bool>,
    bytes: usize,
}

impl Collector {
    /// Takes in one event. Pings, ends and errors say nothing of the answer.
    pub fn take(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Start { id, model, created } => {
                let answer = &mut self.answer;
                (answer.id, answer.model, answer.created) = (id.clone(), model.clone(), *created);
            }
            StreamEvent::Text { choice, text, logprobs } => {
                self.bytes += text.len();
                let said = self.choice(*choice);
                match said.parts.last_mut() {
                    Some(AnswerPart::Text { text: before }) => before.push_str(text),
                    _ if text.is_empty() => {}
                    _ => said.parts.push(AnswerPart::Text { text: text.clone() }),
                }
                if let Some(more) = logprobs {
                    said.logprobs = Some(joined(said.logprobs.take(), more));
                }
            }
            StreamEvent::Refusal { choice, text } => {
                self.bytes += text.len();
                let said = self.choice(*choice);
                match said.parts.last_mut() {
                    Some(AnswerPart::Refusal { text: before }) => before.push_str(text),
                    _ if text.is_empty() => {}
                    _ => said.parts.push(AnswerPart::Refusal { text: text.clone() }),
                }
            }
            StreamEvent::Reasoning { choice, text } => {
                self.bytes += text.len();
                if let Some(reasoning) = self.reasoning(*choice) {
                    reasoning.text.push_str(text);
                }
            }
            StreamEvent::ReasoningSignature {
                choice,
                signature,
                redacted,
                origin,
            } => {
                let Some(reasoning) = self.reasoning(*choice) else {
                    return;
                };
                reasoning.signature.clone_from(signature);
                reasoning.redacted.clone_from(redacted);
                reasoning.origin = Some(*origin);
                let at = self.position(*choice);
                self.closed[at] = true;
            }
            StreamEvent::ToolCallStart {
                choice,
                index,
                id,
                name,
                signature,
            } => {
                let at = self.position(*choice);
                let parts = &mut self.answer.choices[at].parts;
                self.calls[at].push((*index, parts.len()));
                parts.push(AnswerPart::ToolCall(ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    signature: signature.clone(),
                }));
            }
            StreamEvent::ToolCallArguments {
                choice,
                index,
                arguments,
            } => {
                self.bytes += arguments.len();
                let at = self.position(*choice);
                let place = self.calls[at].iter().find(|(number, _)| number == index);
                if let Some((_, place)) = place
                    && let Some(AnswerPart::ToolCall(call)) = self.answer.choices[at].parts.get_mut(*place)
                {
                    call.arguments.push_str(arguments);
                }
            }
            StreamEvent::Finish { choice, reason } => self.choice(*choice).finish = Some(*reason),
            StreamEvent::Usage(usage) => self.answer.usage = Some(*usage),
            StreamEvent::Ping | StreamEvent::Error(_) | StreamEvent::End => {}
        }
    }

    /// Bytes of text kept so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The answer, choices in order.
    pub fn into_answer(self) -> ChatAnswer {
        let mut answer = self.answer;
        answer.choices.sort_by_key(|choice| choice.index);
        answer
    }

    fn position(&mut self, index: u32) -> usize {
        if let Some(at) = self.answer.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        self.answer.choices.push(Choice {
            index,
            ..Choice::default()
        });
        self.calls.push(Vec::new());
        self.closed.push(false);
        self.answer.choices.len() - 1
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = self.position(index);
        &mut self.answer.choices[at]
    }

    /// The block of reasoning that is open, or a new one.
    fn reasoning(&mut self, index: u32) -> Option<&mut Reasoning> {
        let at = self.position(index);
        let closed = std::mem::take(&mut self.closed[at]);
        let parts = &mut self.answer.choices[at].parts;
        if closed || !matches!(parts.last(), Some(AnswerPart::Reasoning(_))) {
            parts.push(AnswerPart::Reasoning(Reasoning::default()));
        }
        match parts.last_mut() {
            Some(AnswerPart::Reasoning(reasoning)) => Some(reasoning),
            _ => None,
        }
    }
}

/// The answer that a stream's events amount to; the error that the stream ended with instead.
pub fn collect<'e>(events: impl IntoIterator<Item = &'e StreamEvent>) -> Result<ChatAnswer, Failure> {
    let mut collector = Collector::default();
    for event in events {
        match event {
            StreamEvent::Error(failure) => return Err(failure.clone()),
            event => collector.take(event),
        }
    }
    Ok(collector.into_answer())
}

/// One `logprobs` object of two pieces': their lists one after the other.
fn joined(before: Option<Json>, more: &Json) -> Json {
    let Some(before) = before else {
        return more.clone();
    };
    let read = |json: &Json| serde_json::from_str::<Value>(json.as_str()).ok();
    let (Some(Value::Object(mut whole)), Some(Value::Object(more))) = (read(&before), read(more)) else {
        return before;
    };
    for (name, value) in more {
        match (whole.get_mut(&name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(Value::Array(_)), _) => {}
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
    Json::parse(&Value::Object(whole).to_string()).unwrap_or(before)
}

#[cfg(test)]
mod tests {
    use types::answer::FinishReason;
    use types::dialect::DialectName;
    use types::usage::Usage;

    use super::*;

    fn call(id: &str) -> AnswerPart {
        AnswerPart::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: r#"{"a":1}"#.into(),
            signature: Some("s".into()),
        })
    }

    #[test]
    fn an_answer_is_the_same_after_it_was_a_stream() {
        let reasoning = |text: &str, signature: Option<&str>| {
            AnswerPart::Reasoning(Reasoning {
                text: text.into(),
                signature: signature.map(str::to_owned),
                redacted: None,
                origin: signature.map(|_| DialectName::AnthropicMessages),
            })
        };
        let answer = ChatAnswer {
            id: "a".into(),
            model: "m".into(),
            created: 7,
            choices: vec![
                Choice {
                    index: 0,
                    parts: vec![
                        reasoning("one", Some("x")),
                        reasoning("two", None),
                        AnswerPart::Text { text: "Hi".into() },
                        call("1"),
                        call("2"),
                    ],
                    finish: Some(FinishReason::ToolCalls),
                    logprobs: Some(Json::parse(r#"{"content":[1]}"#).unwrap()),
                },
                Choice {
                    index: 1,
                    parts: vec![AnswerPart::Refusal { text: "No".into() }],
                    finish: Some(FinishReason::Stop),
                    logprobs: None,
                },
            ],
            usage: Some(Usage {
                input: 1,
                ..Usage::default()
            }),
            ..ChatAnswer::default()
        };
        assert_eq!(collect(&events(&answer)).unwrap(), answer);
    }

    #[test]
    fn pieces_of_mixed_choices_and_calls_come_together() {
        let text = |choice, text: &str, logprobs: &str| StreamEvent::Text {
            choice,
            text: text.into(),
            logprobs: Json::parse(logprobs).ok(),
        };
        let start = |index| StreamEvent::ToolCallStart {
            choice: 0,
            index,
            id: index.to_string(),
            name: "f".into(),
            signature: None,
        };
        let arguments = |index, piece: &str| StreamEvent::ToolCallArguments {
            choice: 0,
            index,
            arguments: piece.into(),
        };
        let answer = collect(&[
            text(1, "B", ""),
            text(0, "", ""),
            text(0, "A", r#"{"content":[1],"refusal":null}"#),
            text(1, "b", ""),
            text(0, "a", r#"{"content":[2],"refusal":null}"#),
            start(0),
            start(1),
            arguments(0, "{"),
            arguments(1, "[]"),
            arguments(0, "}"),
            arguments(9, "nobody's"),
            StreamEvent::Ping,
            StreamEvent::End,
        ])
        .unwrap();
        let told = serde_json::to_value(&answer.choices).unwrap();
        assert_eq!(told[0]["parts"][0]["text"], "Aa");
        assert_eq!(told[0]["logprobs"]["content"], serde_json::json!([1, 2]));
        assert_eq!(told[0]["parts"][1]["arguments"], "{}");
        assert_eq!(told[0]["parts"][2]["arguments"], "[]");
        assert_eq!(told[1]["parts"][0]["text"], "Bb");
    }
}
