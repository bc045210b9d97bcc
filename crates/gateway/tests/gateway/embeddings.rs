//! `POST /v1/embeddings`: passed to OpenAI, translated for whoever has embeddings of another shape.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::house::{DIALECTS, House, NAMES, Reply, provider, three};

/// Who has embeddings.
const ABLE: [&str; 5] = [
    "openai_chat",
    "openai_responses",
    "gemini",
    "cohere_chat",
    "ollama_chat",
];

async fn embed(house: &House, body: &Value) -> Reply {
    house
        .send(Method::POST, "/v1/embeddings", &[], body.to_string().into())
        .await
}

fn sole(dialect: &str) -> House {
    House::new(&NAMES, &three(dialect, "tiers: [{ targets: [primary/alpha] }]"))
}

fn vectors(reply: &Reply) -> Vec<Vec<f64>> {
    let body = reply.json();
    let data = body["data"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
    let numbers = |value: &Value| match value {
        Value::String(text) => {
            let bytes = STANDARD.decode(text).unwrap();
            let number = |four: &[u8]| f64::from(f32::from_le_bytes(four.try_into().unwrap()));
            bytes.chunks_exact(4).map(number).collect()
        }
        numbers => numbers
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_f64().unwrap())
            .collect::<Vec<f64>>(),
    };
    data.iter()
        .enumerate()
        .map(|(at, item)| {
            assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(at)));
            numbers(&item["embedding"])
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn batches_come_back_in_order_as_floats_and_as_base64_from_every_provider() {
    for dialect in ABLE {
        let house = sole(dialect);
        let texts = json!(["the first text", "the second", "the first text"]);
        let reply = embed(&house, &json!({"model": "chat", "input": texts})).await;
        assert_eq!(reply.status, 200, "{dialect}: {reply:?}");
        let floats = vectors(&reply);
        assert_eq!(floats.len(), 3, "{dialect}");
        assert!(
            floats[0] == floats[2] && floats[0] != floats[1],
            "{dialect}: in the inputs' order"
        );
        let body = reply.json();
        assert_eq!(
            (&body["object"], &body["model"]),
            (&json!("list"), &json!("alpha")),
            "{dialect}: {}",
            body["model"]
        );
        assert!(body["usage"]["total_tokens"].is_u64(), "{dialect}: {}", body["usage"]);
        assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{dialect}");

        let reply = embed(
            &house,
            &json!({"model": "chat", "input": texts, "encoding_format": "base64"}),
        )
        .await;
        assert!(reply.json()["data"][0]["embedding"].is_string(), "{dialect}: {reply:?}");
        for (a, b) in vectors(&reply).concat().iter().zip(floats.concat()) {
            assert!((a - b).abs() < 1e-6, "{dialect}: {a} and {b}");
        }
        let lines = house.log_lines("call").await;
        assert_eq!(lines[0]["outcome"], "success", "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn dimensions_are_honoured_and_one_text_is_a_batch_of_one() {
    for dialect in ABLE {
        let body = json!({"model": "chat", "input": "one", "dimensions": 256});
        let reply = embed(&sole(dialect), &body).await;
        let vectors = vectors(&reply);
        assert_eq!((vectors.len(), vectors[0].len()), (1, 256), "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_provider_embeds_when_the_first_is_down_or_cannot() {
    for (n, dialect) in ABLE.into_iter().enumerate() {
        let other = ABLE[(n + 1) % ABLE.len()];
        for (first, fault, reason) in [
            (dialect, "503", "overloaded"),
            (dialect, "html", "bad_response"),
            (dialect, "empty", "bad_response"),
            ("anthropic_messages", "ok", "unsupported"),
            ("bedrock_converse", "ok", "unsupported"),
        ] {
            let name = format!("{fault} at {first}, then {other}");
            let yaml = format!(
                "providers:\n{}{}routes:\n  chat:\n    retries: 0\n    tiers: [{{ targets: [primary/alpha] }}, {{ targets: [second/beta] }}]\n",
                provider("primary", first),
                provider("second", other),
            );
            let house = House::new(&["primary", "second"], &yaml);
            house.always("primary", fault);
            let reply = embed(&house, &json!({"model": "chat", "input": ["a", "b"]})).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{name}");
            assert_eq!(reply.header("x-jumpseat-fallback-reason"), reason, "{name}");
            assert_eq!(vectors(&reply).len(), 2, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_embed_it_is_a_400_and_nobody_is_asked() {
    for dialect in DIALECTS.into_iter().filter(|dialect| !ABLE.contains(dialect)) {
        let house = sole(dialect);
        let reply = embed(&house, &json!({"model": "chat", "input": "one"})).await;
        assert_eq!(reply.status, 400, "{dialect}: {reply:?}");
        assert_eq!(reply.told().word, "unsupported_parameter", "{dialect}: {reply:?}");
        assert_eq!(house.attempts("primary"), 0, "{dialect}");
    }
    // Tokens mean something to the model they were made for alone.
    for dialect in ["gemini", "cohere_chat", "ollama_chat"] {
        let house = sole(dialect);
        let reply = embed(&house, &json!({"model": "chat", "input": [[1, 2, 3]]})).await;
        assert_eq!(reply.status, 400, "{dialect}: {reply:?}");
        assert_eq!(house.attempts("primary"), 0, "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_asks_for_nothing_is_refused_and_unknown_fields_pass() {
    let house = sole("openai_chat");
    for body in [
        json!({"model": "chat"}),
        json!({"input": "x"}),
        json!({"model": "chat", "input": []}),
        json!([]),
    ] {
        let reply = embed(&house, &body).await;
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error", "{body}");
    }
    assert_eq!(house.attempts("primary"), 0);
    let body = r#"{"input":"x","user":"u-1","model":"chat"}"#;
    let reply = house.send(Method::POST, "/v1/embeddings", &[], body.into()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        house.entries("primary")[0].raw_body,
        body.replace("chat", "alpha"),
        "byte for byte"
    );
}
