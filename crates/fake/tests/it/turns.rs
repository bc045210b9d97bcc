//! Scripted agents: a conversation with tools is played out turn by turn, in each dialect, streamed or not.

use jumpseat_fake::{Behaviour, Fake};
use serde_json::{Value, json};

use crate::support::{CALLERS, Caller};

fn script() -> Behaviour {
    Behaviour::from_value(json!({"turns": [
        {"tool_calls": [{"name": "Bash", "arguments": {"command": "ls"}}, {"name": "Read", "arguments": {"path": "a"}}]},
        {"text": "One more look.", "tool_calls": [{"name": "Bash", "arguments": {"command": "cat a"}}]},
        {"text": "Done."},
    ]}))
    .unwrap()
}

/// How one dialect offers tools and goes on after an answer.
struct Agent {
    caller: &'static Caller,
    tools: Value,
    turns: &'static str,
    /// The names of the calls in an answer, and its text.
    read: fn(&Value) -> (Vec<String>, String),
    /// The messages that follow an answer: it and the results of its calls.
    results: fn(&Value) -> Vec<Value>,
}

fn agents() -> Vec<Agent> {
    let schema = json!({"type": "object", "properties": {}});
    let names = ["Bash", "Read"];
    vec![
        Agent {
            caller: &CALLERS[0],
            tools: names
                .iter()
                .map(|name| json!({"type": "function", "function": {"name": name, "parameters": schema}}))
                .collect(),
            turns: "messages",
            read: |answer| {
                let message = &answer["choices"][0]["message"];
                (
                    strings(&message["tool_calls"], "/function/name"),
                    message["content"].as_str().unwrap_or_default().into(),
                )
            },
            results: |answer| {
                let message = &answer["choices"][0]["message"];
                let ids = strings(&message["tool_calls"], "/id");
                let results = ids
                    .into_iter()
                    .map(|id| json!({"role": "tool", "tool_call_id": id, "content": "result"}));
                std::iter::once(message.clone()).chain(results).collect()
            },
        },
        Agent {
            caller: &CALLERS[1],
            tools: names
                .iter()
                .map(|name| json!({"name": name, "input_schema": schema}))
                .collect(),
            turns: "messages",
            read: |answer| {
                (
                    strings(&answer["content"], "/name"),
                    strings(&answer["content"], "/text").concat(),
                )
            },
            results: |answer| {
                let ids = strings(&answer["content"], "/id");
                let results: Vec<Value> = ids
                    .into_iter()
                    .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "result"}))
                    .collect();
                vec![
                    json!({"role": "assistant", "content": answer["content"]}),
                    json!({"role": "user", "content": results}),
                ]
            },
        },
        Agent {
            caller: &CALLERS[2],
            tools: json!([{"functionDeclarations": names.map(|name| json!({"name": name, "parameters": schema}))}]),
            turns: "contents",
            read: |answer| {
                let parts = &answer["candidates"][0]["content"]["parts"];
                (strings(parts, "/functionCall/name"), strings(parts, "/text").concat())
            },
            results: |answer| {
                let content = &answer["candidates"][0]["content"];
                let names = strings(&content["parts"], "/functionCall/name");
                let results: Vec<Value> = names
                    .into_iter()
                    .map(|name| json!({"functionResponse": {"name": name, "response": {"ok": true}}}))
                    .collect();
                vec![content.clone(), json!({"role": "user", "parts": results})]
            },
        },
        Agent {
            caller: &CALLERS[3],
            tools: names
                .iter()
                .map(|name| json!({"type": "function", "name": name, "parameters": schema}))
                .collect(),
            turns: "input",
            read: |answer| {
                let texts: Vec<String> = answer["output"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|item| strings(&item["content"], "/text"))
                    .collect();
                (strings(&answer["output"], "/name"), texts.concat())
            },
            results: |answer| {
                let ids = strings(&answer["output"], "/call_id");
                let results = ids
                    .into_iter()
                    .map(|id| json!({"type": "function_call_output", "call_id": id, "output": "result"}));
                answer["output"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .cloned()
                    .chain(results)
                    .collect()
            },
        },
    ]
}

fn strings(list: &Value, pointer: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|item| item.pointer(pointer)?.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_conversation_with_tools_goes_by_its_turns_in_each_dialect() {
    for agent in agents() {
        let fake = Fake::new();
        fake.script().always("*", script());
        let model = "gemini-3.5-pro";
        let mut body = (agent.caller.body)(model, false);
        let place = agent.caller.dialect;
        let plain = agent.caller.ask(&fake, model, false).await.unwrap().json();
        assert!(
            (agent.read)(&plain).1.starts_with("Answer of"),
            "{place}: a request without tools is no turn"
        );
        assert_eq!(fake.log().last().unwrap().behaviour, "ok");
        body["tools"] = agent.tools.clone();
        let wanted: [(&[&str], &str); 4] = [
            (&["Bash", "Read"], ""),
            (&["Bash"], "One more look."),
            (&[], "Done."),
            (&[], "Done."),
        ];
        for (round, (calls, text)) in wanted.into_iter().enumerate() {
            let answer = agent.caller.ask_with(&fake, model, false, body.clone()).await.unwrap();
            assert_eq!(answer.status, 200, "{place}: {}", answer.body);
            let answer = answer.json();
            assert_eq!(
                (agent.read)(&answer),
                (calls.iter().map(ToString::to_string).collect(), text.to_owned()),
                "{place} {round}"
            );
            assert_eq!(
                fake.log().last().unwrap().behaviour,
                format!("turn-{}", (round + 1).min(3)),
                "{place}"
            );
            let turns = body[agent.turns].as_array_mut().unwrap();
            turns.extend(
                (agent.results)(&answer)
                    .into_iter()
                    .take(if calls.is_empty() { 1 } else { 9 }),
            );
            if calls.is_empty() {
                // The user asks again, in words that would otherwise ask to continue the text.
                let question = (agent.caller.body)(model, false)[agent.turns][0]
                    .to_string()
                    .replace("hi", "Please continue.");
                turns.push(serde_json::from_str(&question).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_turn_may_fail_and_is_streamed_like_any_answer() {
    for agent in agents() {
        let fake = Fake::new();
        let mut body = (agent.caller.body)("m", true);
        body["tools"] = agent.tools.clone();
        for (turn, status, part) in [
            (json!("503"), 503, ""),
            (json!({"text": "Done."}), 200, "Done."),
            (json!({"tool_calls": [{"name": "Bash"}]}), 200, "Bash"),
        ] {
            fake.script()
                .always("*", Behaviour::from_value(json!({"turns": [turn]})).unwrap());
            let got = agent.caller.ask_with(&fake, "m", true, body.clone()).await.unwrap();
            assert_eq!(got.status, status, "{}", agent.caller.dialect);
            assert!(got.body.contains(part), "{}: {}", agent.caller.dialect, got.body);
        }
    }
}
