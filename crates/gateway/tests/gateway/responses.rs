//! The Responses API's memory: turns that go on from a stored response, whoever answers them.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::house::{DIALECTS, House, NAMES, Reply, provider, provider_with, three};
use crate::ingress::Ingress;

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
const PATH: &str = "/v1/responses";

async fn ask(house: &House, body: Value) -> Reply {
    let reply = house.send(Method::POST, PATH, &[], body.to_string().into()).await;
    Reply {
        ingress: Ingress::Responses,
        ..reply
    }
}

async fn get(house: &House, id: &str, verb: Method) -> Reply {
    let reply = house.send(verb, &format!("{PATH}/{id}"), &[], Bytes::new()).await;
    Reply {
        ingress: Ingress::Responses,
        ..reply
    }
}

/// The response of an answer, whole or streamed.
fn response(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    if reply.header("content-type") == "application/json" {
        return reply.json();
    }
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let last = text
        .split("\n\n")
        .filter_map(|frame| frame.split_once("\ndata: "))
        .last();
    let event: Value = serde_json::from_str(last.unwrap().1).unwrap();
    assert_eq!(event["type"], "response.completed", "{event}");
    event["response"].clone()
}

fn id(reply: &Reply) -> String {
    response(reply)["id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_second_turn_stands_for_itself_and_is_answered_by_a_target_of_any_dialect() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let house = House::new(&NAMES, &three(dialect, ROUTE));
            let ours = json!({"model": "primary/alpha", "input": "My name is Ada", "stream": stream});
            let first = ask(&house, ours).await;
            let first_id = id(&first);
            assert!(first_id.starts_with("resp_"), "{name}: {first_id}");
            let turn = json!({"model": "second/beta", "stream": stream, "previous_response_id": first_id,
                "input": [{"role": "user", "content": "What is my name?"}]});
            let second = ask(&house, turn).await;
            let second_id = id(&second);
            assert_ne!(first_id, second_id, "{name}");
            let sent = String::from_utf8_lossy(&house.entries("second")[0].raw_body).into_owned();
            assert!(
                sent.contains("My name is Ada") && sent.contains("Answer of alpha"),
                "{name}: {sent}"
            );
            assert!(sent.contains("What is my name?"), "{name}: {sent}");
            assert!(!sent.contains("previous_response_id"), "{name}: {sent}");

            // And a third goes on from the second, back where it began.
            let turn = json!({"model": "primary/alpha", "previous_response_id": second_id, "input": "And now?"});
            assert_eq!(ask(&house, turn).await.status, 200, "{name}");
            let sent = String::from_utf8_lossy(&house.entries("primary")[1].raw_body).into_owned();
            for said in [
                "My name is Ada",
                "Answer of alpha",
                "What is my name?",
                "Answer of beta",
                "And now?",
            ] {
                assert!(sent.contains(said), "{name}: {said} in {sent}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_response_can_be_read_and_deleted_and_one_that_was_not_to_be_stored_is_not() {
    let house = House::new(&NAMES, &three("anthropic_messages", ROUTE));
    let first = ask(&house, json!({"model": "chat", "input": "Hello"})).await;
    let first_id = id(&first);
    let read = get(&house, &first_id, Method::GET).await;
    assert_eq!((read.status.as_u16(), read.json()), (200, first.json()));

    let items = house
        .send(
            Method::GET,
            &format!("{PATH}/{first_id}/input_items"),
            &[],
            Bytes::new(),
        )
        .await;
    assert_eq!(items.status, 200);
    let items = items.json();
    assert_eq!(items["object"], "list");
    assert_eq!(
        items["data"].as_array().unwrap().len(),
        1,
        "what it answered, not its answer: {items}"
    );
    assert_eq!(items["data"][0]["content"][0]["text"], "Hello", "{items}");

    let gone = get(&house, &first_id, Method::DELETE).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["deleted"]), (200, &json!(true)));
    for verb in [Method::GET, Method::DELETE] {
        let reply = get(&house, &first_id, verb).await;
        assert_eq!(reply.status, 404);
        assert_eq!(reply.told().word, "response_not_found");
        assert_eq!(reply.header("x-should-retry"), "false");
    }

    let unstored = ask(&house, json!({"model": "chat", "input": "Hello", "store": false})).await;
    assert_eq!(get(&house, &id(&unstored), Method::GET).await.status, 404);
    let before = house.attempts("primary");
    let turn = json!({"model": "chat", "previous_response_id": id(&unstored), "input": "And now?"});
    let reply = ask(&house, turn).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(house.attempts("primary"), before, "nobody was asked");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_response_is_refused_but_where_the_provider_may_know_it() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, "tiers: [{ targets: [primary/alpha] }]"));
        let turn = json!({"model": "chat", "previous_response_id": "resp_elsewhere", "input": "And now?"});
        let reply = ask(&house, turn.clone()).await;
        assert_eq!(reply.status, 400, "{dialect}: {reply:?}");
        if dialect == "openai_responses" {
            let asked = &house.entries("primary")[0].body;
            assert_eq!(asked["previous_response_id"], "resp_elsewhere", "{asked}");
            assert_eq!(
                reply.told().word,
                "previous_response_not_found",
                "its own word: {reply:?}"
            );
        } else {
            assert_eq!(house.attempts("primary"), 0, "{dialect}");
            assert_eq!(
                reply.json()["error"]["param"],
                "previous_response_id",
                "{dialect}: {reply:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_has_a_limit_and_the_oldest_goes_first() {
    let yaml = format!(
        "server: {{ stored_responses_max: 8KB }}\n{}",
        three("openai_chat", ROUTE)
    );
    let house = House::new(&NAMES, &yaml);
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(id(&ask(&house, json!({"model": "chat", "input": "Hello"})).await));
    }
    assert_eq!(get(&house, &ids[0], Method::GET).await.status, 404);
    assert_eq!(get(&house, ids.last().unwrap(), Method::GET).await.status, 200);

    let yaml = format!("server: {{ stored_responses_max: 0 }}\n{}", three("openai_chat", ROUTE));
    let house = House::new(&NAMES, &yaml);
    let reply = ask(&house, json!({"model": "chat", "input": "Hello"})).await;
    assert_eq!(get(&house, &id(&reply), Method::GET).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_is_not_remembered_and_background_is_refused() {
    let house = House::new(&NAMES, &three("openai_chat", "tiers: [{ targets: [primary/alpha] }]"));
    let reply = ask(&house, json!({"model": "chat", "input": "Hello", "background": true})).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.told().message.contains("background"), "{reply:?}");
    assert_eq!(house.attempts("primary"), 0);
    house.always("primary", "cut-20");
    let reply = ask(&house, json!({"model": "chat", "input": "Hello", "stream": true})).await;
    assert!(reply.heard().error.is_some());
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let id = text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(get(&house, id, Method::GET).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn what_another_model_thought_is_handed_back_to_it_and_kept_from_openai() {
    let yaml = format!(
        "providers:\n{}{}routes: {{}}\n",
        provider("primary", "anthropic_messages"),
        provider_with("second", "openai_responses", ", models: { beta: { reasoning: true } }")
    );
    let house = House::new(&["primary", "second"], &yaml);
    house.always("primary", "reasoning");
    let first = ask(
        &house,
        json!({"model": "primary/alpha", "input": "Hello", "store": false, "reasoning": {"effort": "high"},
            "include": ["reasoning.encrypted_content"]}),
    )
    .await;
    let output = response(&first)["output"].as_array().unwrap().clone();
    let sealed = output[0]["encrypted_content"].as_str().unwrap_or_default().to_owned();
    assert!(sealed.starts_with("jumpseat-v1."), "{output:?}");

    let mut turns = vec![json!({"role": "user", "content": "Hello"})];
    turns.extend(output);
    turns.push(json!({"role": "user", "content": "And now?"}));
    let ask_again =
        |model: &str| json!({"model": model, "input": turns, "store": false, "reasoning": {"effort": "high"}});
    let reply = ask(&house, ask_again("second/beta")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let sent = String::from_utf8_lossy(&house.entries("second")[0].raw_body).into_owned();
    assert!(!sent.contains("jumpseat-v1."), "{sent}");
    assert!(sent.contains("And now?"), "{sent}");

    let reply = ask(&house, ask_again("primary/alpha")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let sent = &house.entries("primary")[1].body;
    let thinking = &sent["messages"][1]["content"][0];
    assert_eq!(thinking["type"], "thinking", "{sent}");
    assert!(!thinking["signature"].as_str().unwrap().is_empty(), "{sent}");
}
