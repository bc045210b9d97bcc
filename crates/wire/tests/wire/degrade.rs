//! What a target lacks, asked for in words: how it is asked, and what is made of what models say.

use jumpseat_wire::degrade::{Contract, Malformed, asked_in_words, check_format, in_words, repair};
use jumpseat_wire::request::Dropped;
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{ChatRequest, Json, Media, Message, Part, ResponseFormat, Role, Tool, ToolCall, ToolChoice};
use types::features::Features;

const BOTH: Features = Features::TOOLS.with(Features::JSON_SCHEMA);

fn tool(name: &str, parameters: &str) -> Tool {
    Tool {
        name: name.into(),
        description: Some(format!("what {name} does")),
        parameters: Json::parse(parameters).ok(),
        strict: None,
        cache: None,
    }
}

fn turn(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

/// A question with two tools.
fn question() -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![
            turn(Role::System, vec![Part::text("Be brief.")]),
            turn(Role::User, vec![Part::text("Hello")]),
        ],
        tools: vec![
            tool(
                "add",
                r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#,
            ),
            tool("now", ""),
        ],
        ..ChatRequest::default()
    }
}

fn schema() -> ResponseFormat {
    ResponseFormat::JsonSchema {
        name: "number".into(),
        description: Some("a number".into()),
        schema: Json::parse(r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#).unwrap(),
        strict: Some(true),
    }
}

fn answer(text: &str, finish: FinishReason) -> ChatAnswer {
    ChatAnswer {
        id: "answer-1".into(),
        choices: vec![Choice {
            parts: vec![AnswerPart::Text { text: text.into() }],
            finish: Some(finish),
            ..Choice::default()
        }],
        ..ChatAnswer::default()
    }
}

fn restored(request: &ChatRequest, missing: Features, said: &str) -> Result<ChatAnswer, Malformed> {
    Contract::in_words(request, missing).restore(answer(said, FinishReason::Stop))
}

/// An answer in short: its text, then `name(arguments)` for each call; what is wrong with it behind `!`.
fn short(restored: Result<ChatAnswer, Malformed>) -> String {
    let answer = match restored {
        Ok(answer) => answer,
        Err(malformed) => return format!("!{}", malformed.why),
    };
    let part = |part: &AnswerPart| match part {
        AnswerPart::Text { text } => text.clone(),
        AnswerPart::ToolCall(call) => format!("{}({})", call.name, call.arguments),
        AnswerPart::Reasoning(reasoning) => format!("({})", reasoning.text),
        AnswerPart::Refusal { text } => format!("refused: {text}"),
    };
    let parts: Vec<String> = answer.choices[0].parts.iter().map(part).collect();
    parts.join(" ")
}

fn texts(message: &Message) -> String {
    message
        .parts
        .iter()
        .map(|part| match part {
            Part::Text { text, .. } => text.as_str(),
            _ => "[media]",
        })
        .collect::<Vec<_>>()
        .join("|")
}

#[test]
fn tools_are_described_behind_the_clients_own_instructions() {
    let asked = in_words(&question(), Features::TOOLS);
    assert!(asked.tools.is_empty() && asked.tool_choice.is_none() && asked.parallel_tool_calls.is_none());
    assert_eq!(texts(&asked.messages[0]), "Be brief.");
    let said = texts(&asked.messages[1]);
    assert_eq!(asked.messages[1].role, Role::System);
    for part in [
        r#"<tool_calls>[{"name": "the tool's name", "arguments": {"an argument": "its value"}}]</tool_calls>"#,
        "name: add\ndescription: what add does\nJSON schema of its arguments: {\"type\":\"object\",\"properties\":{\"a\"",
        "name: now\ndescription: what now does\nJSON schema of its arguments: {\"type\":\"object\"}",
        "Call a tool only where it is needed",
    ] {
        assert!(said.contains(part), "{part}\nis missing in\n{said}");
    }
    assert_eq!(texts(&asked.messages[2]), "Hello");
    assert!(!asked.features().contains(Features::TOOLS));
}

#[test]
fn every_choice_of_tools_has_its_words() {
    for (choice, parallel, words) in [
        (None, None, "otherwise answer as usual, without <tool_calls>."),
        (
            Some(ToolChoice::Auto),
            Some(true),
            "otherwise answer as usual, without <tool_calls>.",
        ),
        (Some(ToolChoice::Required), None, "you must call at least one tool."),
        (
            Some(ToolChoice::Named("add".into())),
            None,
            "you must call the tool `add` and no other.",
        ),
        (
            Some(ToolChoice::Auto),
            Some(false),
            "Make at most one call in an answer.",
        ),
        (Some(ToolChoice::None), None, "Do not call any tool in this answer"),
    ] {
        let request = ChatRequest {
            tool_choice: choice.clone(),
            parallel_tool_calls: parallel,
            ..question()
        };
        let said = texts(&in_words(&request, Features::TOOLS).messages[1]);
        assert!(said.ends_with(words) || said.contains(words), "{choice:?}: {said}");
    }
}

#[test]
fn a_form_is_asked_for_with_its_schema_and_alone() {
    let mut request = ChatRequest {
        response_format: Some(schema()),
        tools: vec![],
        ..question()
    };
    let asked = in_words(&request, Features::JSON_SCHEMA);
    let said = texts(&asked.messages[1]);
    assert!(asked.response_format.is_none());
    assert!(
        said.starts_with("Answer with JSON and nothing else") && said.contains("`number` (a number)"),
        "{said}"
    );
    assert!(said.ends_with(r#""required":["n"]}"#), "{said}");
    request.response_format = Some(ResponseFormat::JsonObject);
    let said = texts(&in_words(&request, Features::JSON_OBJECT).messages[1]);
    assert!(
        said.starts_with("Answer with one JSON object and nothing else"),
        "{said}"
    );
    for (missing, uses, asked) in [
        (Features::TOOLS, BOTH, BOTH),
        (Features::TOOLS, Features::TOOLS, Features::TOOLS),
        (Features::JSON_SCHEMA, BOTH, Features::JSON_SCHEMA),
        (Features::NONE, BOTH, Features::NONE),
    ] {
        assert_eq!(asked_in_words(missing, uses), asked, "{missing:?} of {uses:?}");
    }
    // Tools called in text would not come through a form that the provider enforces.
    let request = ChatRequest {
        response_format: Some(schema()),
        ..question()
    };
    let asked = in_words(&request, Features::TOOLS);
    assert!(asked.response_format.is_none());
    assert!(texts(&asked.messages[1]).contains("When you answer without calling a tool, answer with JSON"));
}

#[test]
fn what_is_not_missing_stays_as_it_is() {
    let request = ChatRequest {
        response_format: Some(schema()),
        tool_choice: Some(ToolChoice::Auto),
        ..question()
    };
    let asked = in_words(&request, Features::JSON_SCHEMA);
    assert_eq!(
        (asked.tools, asked.tool_choice),
        (request.tools.clone(), request.tool_choice.clone())
    );
    assert_eq!(in_words(&request, Features::NONE), request);
}

#[test]
fn earlier_calls_and_results_become_text_in_the_same_form() {
    let call = |id: &str, arguments: &str| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: "add".into(),
            arguments: arguments.into(),
            signature: Some("s".into()),
        })
    };
    let result = |id: &str, content: Vec<Part>, is_error| {
        turn(
            Role::Tool,
            vec![Part::ToolResult {
                call_id: id.into(),
                name: None,
                content,
                is_error,
                cache: None,
            }],
        )
    };
    let image = Part::Image {
        source: Media::Url {
            url: "http://x/y.png".into(),
        },
        detail: None,
        cache: None,
    };
    let mut request = question();
    request.messages.extend([
        turn(
            Role::Assistant,
            vec![
                Part::text("Let me see."),
                call("1", r#"{"a":"</tool_calls>"}"#),
                call("2", "{a"),
            ],
        ),
        result("1", vec![Part::text("</tool_results>"), image], false),
        result("2", vec![Part::text("broken")], true),
        turn(Role::User, vec![Part::text("Well?")]),
        turn(Role::User, vec![Part::text("And?")]),
    ]);
    let asked = in_words(&request, Features::TOOLS);
    let told: Vec<(Role, String)> = asked.messages[3..].iter().map(|m| (m.role, texts(m))).collect();
    let calls = concat!(
        r#"Let me see.|<tool_calls>[{"id":"1","name":"add","arguments":{"a":"<\/tool_calls>"}},"#,
        r#"{"id":"2","name":"add","arguments":"{a"}]</tool_calls>"#
    );
    let results = concat!(
        r#"<tool_results>[{"id":"1","name":"add","result":"<\/tool_results>"}]</tool_results>|[media]"#,
        r#"|<tool_results>[{"id":"2","name":"add","error":"broken"}]</tool_results>|Well?"#
    );
    let expected = [(Role::Assistant, calls), (Role::User, results), (Role::User, "And?")];
    assert_eq!(told, expected.map(|(role, text)| (role, text.to_owned())));
}

#[test]
fn calls_are_read_however_they_are_wrapped() {
    for (said, expected) in [
        (
            r#"<tool_calls>[{"name":"add","arguments":{"a":1}}]</tool_calls>"#,
            r#"add({"a":1})"#,
        ),
        (
            r#"Sure! <tool_calls>[{"name":"add","arguments":{"a": 1}},{"name":"now"}]</tool_calls> <tool_results>[42]"#,
            r#"Sure! add({"a": 1}) now({})"#,
        ),
        (
            "<tool_calls>\n```json\n[{\"name\":\"now\",\"arguments\":{}}]\n```\n</tool_calls>",
            "now({})",
        ),
        (
            "```\n<tool_calls>[{\"name\":\"now\",\"arguments\":{}}]</tool_calls>\n```",
            "now({})",
        ),
        (r#"<tool_calls>[{"name":"now","arguments":{}}]"#, "now({})"),
        (r#"<tool_calls>{"name":"now","arguments":{}}</tool_calls>"#, "now({})"),
        (
            "<tool_calls>\n{\"name\":\"now\"}\n{\"name\":\"add\",\"arguments\":{\"a\":2}}\n</tool_calls>",
            r#"now({}) add({"a":2})"#,
        ),
        (
            "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"now\"}</tool_call>",
            "now({}) now({})",
        ),
        (
            r#"<tool_calls>[{"name":"add","arguments":"{\"a\":3}","id":"x"}]</tool_calls>"#,
            r#"add({"a":3})"#,
        ),
        (
            r#"<tool_calls>[{"name":"add","arguments":{"a":1,"s":"</tool_calls>"}}]</tool_calls>"#,
            r#"add({"a":1,"s":"</tool_calls>"})"#,
        ),
        (r#"[{"name":"now","arguments":{}}]"#, "now({})"),
        (
            "```json\n{\"tool_calls\":[{\"name\":\"now\",\"arguments\":{}}]}\n```",
            "now({})",
        ),
        // No call, so text.
        ("It is noon.", "It is noon."),
        ("<tool_calls>[]</tool_calls>", "<tool_calls>[]</tool_calls>"),
        (r#"{"name":"Ann","arguments":[]}"#, r#"{"name":"Ann","arguments":[]}"#),
        (r#"{"name":"now"}"#, r#"{"name":"now"}"#),
        ("", ""),
    ] {
        assert_eq!(short(restored(&question(), Features::TOOLS, said)), expected, "{said}");
    }
}

#[test]
fn what_is_wrong_with_a_call_is_said() {
    let behind = "!what stands behind <tool_calls> is not one JSON array of objects with `name` and `arguments`";
    for (said, why) in [
        ("<tool_calls>[{\"name\":\"add\",</tool_calls>", behind),
        ("Write <tool_calls> to call", behind),
        ("<tool_calls>[7]</tool_calls>", behind),
        (
            r#"<tool_calls>[{"name":"sub"}]</tool_calls>"#,
            "!it calls a tool that does not exist; there is add, now",
        ),
        (
            r#"<tool_calls>[{"name":"add"}]</tool_calls>"#,
            "!of the arguments of `add`, the value lacks the required `a`",
        ),
        (
            r#"<tool_calls>[{"name":"add","arguments":{"a":"1"}}]</tool_calls>"#,
            "!of the arguments of `add`, `/a` must be of type integer",
        ),
        (
            r#"<tool_calls>[{"name":"add","arguments":[1]}]</tool_calls>"#,
            "!the arguments of `add` are no JSON object",
        ),
        (
            r#"<tool_calls>[{"name":"add","arguments":"{"}]</tool_calls>"#,
            "!the arguments of `add` are broken JSON",
        ),
    ] {
        assert_eq!(short(restored(&question(), Features::TOOLS, said)), why, "{said}");
    }
}

#[test]
fn the_choice_of_tools_binds() {
    let now = r#"<tool_calls>[{"name":"now"}]</tool_calls>"#;
    let two = r#"<tool_calls>[{"name":"now"},{"name":"now"}]</tool_calls>"#;
    let named = || Some(ToolChoice::Named("add".into()));
    for (choice, parallel, said, expected) in [
        (Some(ToolChoice::Required), None, now, "now({})"),
        (
            Some(ToolChoice::Required),
            None,
            "Hi",
            "!it must call at least one tool, in the form <tool_calls>[…]</tool_calls>",
        ),
        (
            named(),
            None,
            "Hi",
            "!it must call the tool `add`, in the form <tool_calls>[…]</tool_calls>",
        ),
        (named(), None, now, "!it must call the tool `add` and no other"),
        (None, Some(false), now, "now({})"),
        (
            None,
            Some(false),
            two,
            "!it makes more than one tool call; at most one is allowed",
        ),
        (None, Some(true), two, "now({}) now({})"),
        (Some(ToolChoice::None), None, now, now),
    ] {
        let request = ChatRequest {
            tool_choice: choice.clone(),
            parallel_tool_calls: parallel,
            ..question()
        };
        assert_eq!(
            short(restored(&request, Features::TOOLS, said)),
            expected,
            "{choice:?} {said}"
        );
    }
}

#[test]
fn json_stands_bare_and_is_of_its_schema() {
    let request = ChatRequest {
        response_format: Some(schema()),
        tools: vec![],
        ..question()
    };
    for (said, expected) in [
        (r#"{"n":1}"#, r#"{"n":1}"#),
        (" {\"n\": 1}\n", r#"{"n": 1}"#),
        ("```json\n{\"n\":1}\n```", r#"{"n":1}"#),
        ("```\n{\"n\":1}```", r#"{"n":1}"#),
        ("Here: {\"n\":1}. Anything else?", r#"{"n":1}"#),
        (
            "Here: {\"n\":1,\"code\":\"```x```\"} as asked",
            "{\"n\":1,\"code\":\"```x```\"}",
        ),
        ("In {braces}: {\"n\":1}", r#"{"n":1}"#),
        (r#"{"n":"1"}"#, "!`/n` must be of type integer"),
        ("```json\n{\"n\":\"1\"}\n```", "!`/n` must be of type integer"),
        (r#"[{"n":1}]"#, "!the value must be of type object"),
        (
            "{\"n\":1,}",
            "!it is not valid JSON and nothing else (line 1, column 8)",
        ),
        ("No.", "!it is not valid JSON and nothing else (line 1, column 1)"),
        ("", "!it is not valid JSON and nothing else (line 1, column 0)"),
    ] {
        assert_eq!(
            short(restored(&request, Features::JSON_SCHEMA, said)),
            expected,
            "{said}"
        );
    }
}

#[test]
fn with_tools_and_a_form_an_answer_calls_or_is_of_the_form() {
    let request = ChatRequest {
        response_format: Some(schema()),
        ..question()
    };
    for (said, expected) in [
        (r#"<tool_calls>[{"name":"now"}]</tool_calls>"#, "now({})"),
        (r#"{"n":1}"#, r#"{"n":1}"#),
        ("Hello", "!it is not valid JSON and nothing else (line 1, column 1)"),
    ] {
        assert_eq!(short(restored(&request, BOTH, said)), expected, "{said}");
    }
}

#[test]
fn refusals_filters_and_the_output_limit_are_what_they_are() {
    let request = ChatRequest {
        response_format: Some(schema()),
        ..question()
    };
    let contract = Contract::in_words(&request, BOTH);
    let filtered = answer("Sor", FinishReason::ContentFilter);
    assert_eq!(contract.restore(filtered.clone()).unwrap(), filtered);
    let cut = answer(r#"{"n":1"#, FinishReason::Length);
    assert_eq!(contract.restore(cut.clone()).unwrap(), cut, "the finish reason says it");
    let mut refused = answer("", FinishReason::Stop);
    refused.choices[0].parts = vec![AnswerPart::Refusal { text: "No".into() }];
    assert_eq!(contract.restore(refused.clone()).unwrap(), refused);
    let cut = answer(r#"<tool_calls>[{"name":"no"#, FinishReason::Length);
    assert_eq!(
        short(contract.restore(cut)),
        "!it was cut off by the limit of output tokens amid its tool calls"
    );
}

#[test]
fn ids_are_stable_unique_and_none_of_the_conversations() {
    let said = r#"<tool_calls>[{"name":"now"},{"name":"now"}]</tool_calls>"#;
    let ids = |request: &ChatRequest| -> Vec<String> {
        let answer = restored(request, Features::TOOLS, said).unwrap();
        let calls = answer.choices[0].parts.iter().filter_map(|part| match part {
            AnswerPart::ToolCall(call) => Some(call.id.clone()),
            _ => None,
        });
        calls.collect()
    };
    let mut request = question();
    let first = ids(&request);
    assert_eq!(first, ids(&request));
    assert_ne!(first[0], first[1]);
    assert!(
        first
            .iter()
            .all(|id| id.len() <= 40 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
    );
    for id in &first {
        let call = ToolCall {
            id: id.clone(),
            name: "now".into(),
            arguments: "{}".into(),
            signature: None,
        };
        request.messages.push(turn(Role::Assistant, vec![Part::ToolCall(call)]));
    }
    assert!(
        ids(&request).iter().all(|id| !first.contains(id)),
        "the same answer again is another call"
    );
}

#[test]
fn only_a_form_that_was_left_out_is_checked_without_degrading() {
    let request = ChatRequest {
        response_format: Some(schema()),
        ..question()
    };
    let dropped = |names: &[&str]| names.iter().map(|n| Dropped((*n).to_owned())).collect::<Vec<_>>();
    for (names, held) in [
        (&["response_format"][..], true),
        (&["seed", "response_format.minLength"], true),
        (&["seed"], false),
        (&["response_formats"], false),
    ] {
        assert_eq!(
            Contract::unenforced(&request, &dropped(names)).is_some(),
            held,
            "{names:?}"
        );
    }
    assert_eq!(Contract::unenforced(&question(), &dropped(&["response_format"])), None);
}

#[test]
fn a_repair_shows_what_was_said_and_what_was_wrong() {
    let mut request = question();
    let malformed = |said: &str| Malformed {
        why: "`/n` must be of type integer".into(),
        said: said.into(),
    };
    repair(&mut request, &malformed(r#" {"n":"1"} "#));
    assert_eq!(
        (request.messages[2].role, texts(&request.messages[2])),
        (Role::Assistant, r#"{"n":"1"}"#.into())
    );
    assert_eq!(request.messages[3].role, Role::User);
    assert!(texts(&request.messages[3]).starts_with("Your answer could not be used: `/n` must be of type integer. "));
    let before = request.messages.len();
    repair(&mut request, &malformed(" "));
    assert_eq!(
        request.messages.len(),
        before + 1,
        "nothing was said, so nothing is shown"
    );
    repair(&mut request, &malformed(&"ü".repeat(100_000)));
    assert_eq!(texts(&request.messages[before + 1]).chars().count(), 32_000);
}

#[test]
fn a_format_is_checked_strictly_where_it_is_asked() {
    for (text, format, fine) in [
        ("anything", ResponseFormat::Text, true),
        ("{}", ResponseFormat::JsonObject, true),
        ("[]", ResponseFormat::JsonObject, false),
        ("```{}```", ResponseFormat::JsonObject, false),
        (r#"{"n":1}"#, schema(), true),
        ("{}", schema(), false),
    ] {
        assert_eq!(check_format(text, &format).is_ok(), fine, "{text}");
    }
}

/// JSON as arguments hold it.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~üñ<>/`\\n]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_we_write_as_calls_is_read_as_the_same_calls(
        calls in prop::collection::vec(prop::collection::vec(("[a-z]{1,4}", values()), 0..4), 1..4),
        before in "[a-zA-Z .]{0,20}",
    ) {
        let written: Vec<Part> = calls.iter().enumerate().map(|(n, members)| {
            let arguments: serde_json::Map<String, Value> = members.iter().cloned().collect();
            Part::ToolCall(ToolCall { id: n.to_string(), name: "now".into(), arguments: json!(arguments).to_string(), signature: None })
        }).collect();
        let mut request = question();
        let mut parts = vec![Part::text(before.clone())];
        parts.extend(written.clone());
        request.messages.push(turn(Role::Assistant, parts));
        let asked = in_words(&request, Features::TOOLS);
        let said: String = asked.messages.last().unwrap().parts.iter().map(|part| match part {
            Part::Text { text, .. } => text.as_str(),
            _ => "",
        }).collect();
        let answer = restored(&question(), Features::TOOLS, &said).unwrap();
        let read: Vec<Value> = answer.choices[0].parts.iter().filter_map(|part| match part {
            AnswerPart::ToolCall(call) => Some(serde_json::from_str(&call.arguments).unwrap()),
            _ => None,
        }).collect();
        let meant: Vec<Value> = written.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(serde_json::from_str(&call.arguments).unwrap()),
            _ => None,
        }).collect();
        prop_assert_eq!(read, meant);
        prop_assert_eq!(answer.text(), before.trim());
    }

    #[test]
    fn no_text_panics(said in prop_oneof![any::<String>(), "[\\[\\]{}\"`,:a-z<>/_ ü]{0,60}", "(<tool_calls>|\\{\"name\":\"now\"\\}|\\[|\\]|```(json)?|</tool_calls>|,| ){0,12}"]) {
        let request = ChatRequest { response_format: Some(schema()), ..question() };
        for missing in [Features::TOOLS, Features::JSON_SCHEMA, BOTH] {
            match restored(&request, missing, &said) {
                Ok(answer) => {
                    let calls = answer.choices[0].parts.iter().any(|p| matches!(p, AnswerPart::ToolCall(_)));
                    prop_assert!(calls || check_format(&answer.text(), &schema()).is_ok());
                }
                Err(malformed) => prop_assert_eq!(malformed.said, said.clone()),
            }
        }
    }

    #[test]
    fn no_schema_panics(schema in values(), value in values()) {
        let _ = jumpseat_wire::json_schema::check(&schema.to_string(), &value);
    }
}
