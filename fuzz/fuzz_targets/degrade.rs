//! A model's text read as calls and as JSON of a schema: no text panics, and what passes is what was asked for.
//!
//! Before the first NUL stands a schema, behind it the model's text.
#![no_main]

use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{ChatRequest, Json, Message, Part, ResponseFormat, Role, Tool};
use types::features::Features;
use wire::degrade::{Contract, check_format, in_words, repair};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (schema, said) = text.split_once('\0').unwrap_or(("{}", text));
    let Ok(schema) = Json::parse(schema) else { return };
    let format = ResponseFormat::JsonSchema {
        name: "form".into(),
        description: None,
        schema: schema.clone(),
        strict: None,
    };
    let request = ChatRequest {
        model: "m".into(),
        messages: vec![Message {
            role: Role::User,
            parts: vec![Part::text("Hello")],
            name: None,
        }],
        tools: vec![Tool {
            name: "f".into(),
            description: None,
            parameters: Some(schema),
            strict: None,
            cache: None,
        }],
        response_format: Some(format.clone()),
        ..ChatRequest::default()
    };
    for missing in [Features::TOOLS, Features::JSON_SCHEMA, Features::TOOLS.with(Features::JSON_SCHEMA)] {
        let mut asked = in_words(&request, missing);
        let answer = ChatAnswer {
            choices: vec![Choice {
                parts: vec![AnswerPart::Text { text: said.into() }],
                finish: Some(FinishReason::Stop),
                ..Choice::default()
            }],
            ..ChatAnswer::default()
        };
        match Contract::in_words(&request, missing).restore(answer) {
            Ok(answer) => {
                let calls = answer.choices[0].parts.iter().any(|p| matches!(p, AnswerPart::ToolCall(_)));
                assert!(calls || check_format(&answer.text(), &format).is_ok(), "{}", answer.text());
                let events = wire::whole::events(&answer);
                assert_eq!(wire::whole::collect(&events).map(|it| it.text()), Ok(answer.text()));
            }
            Err(malformed) => repair(&mut asked, &malformed),
        }
    }
});
