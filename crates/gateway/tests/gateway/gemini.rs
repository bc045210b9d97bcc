//! What is Google's own on the Gemini ingress: the model in the path, the stream in the verb, counts.

use http::Method;
use serde_json::{Value, json};

use crate::house::{DIALECTS, House, NAMES, Reply, three};
use crate::ingress::Ingress;

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";

async fn ask(house: &House, path: &str, body: &Value) -> Reply {
    let reply = house.send(Method::POST, path, &[], body.to_string().into()).await;
    Reply {
        ingress: Ingress::Gemini,
        ..reply
    }
}

fn hello() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]})
}

#[tokio::test(start_paused = true)]
async fn the_path_names_the_model_and_the_verb_the_stream() {
    let house = House::new(&NAMES, &three("gemini", ROUTE));
    for version in ["v1beta", "v1", "v1alpha"] {
        for model in ["chat", "primary%2Falpha", "primary/alpha"] {
            let name = format!("{version} {model}");
            let reply = ask(&house, &format!("/{version}/models/{model}:generateContent"), &hello()).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert!(reply.text().contains("alpha"), "{name}");
            let path = format!("/{version}/models/{model}:streamGenerateContent?alt=sse");
            let heard = ask(&house, &path, &hello()).await.heard();
            assert!(heard.done && heard.words() == 60, "{name}: {heard:?}");
        }
    }
    let sent = house.entries("primary");
    assert!(
        sent.iter().all(|entry| entry.path.contains("/models/alpha:")),
        "{sent:?}"
    );
    assert_eq!(sent[0].body, hello(), "the body passes as it came");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_no_sse_and_a_verb_nobody_has_are_404_in_googles_shape() {
    let house = House::new(&NAMES, &three("gemini", ROUTE));
    for path in [
        "/v1beta/models/chat:streamGenerateContent",
        "/v1beta/models/chat:predict",
        "/v1beta/nothing",
    ] {
        let reply = ask(&house, path, &hello()).await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert_eq!(reply.told().word, "NOT_FOUND", "{path}");
        assert_eq!(reply.json()["error"]["code"], 404, "{path}");
    }
    assert_eq!(house.attempts("primary"), 0);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_by_the_provider_where_it_can_and_estimated_and_marked_where_not() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, ROUTE));
        let reply = ask(&house, "/v1beta/models/chat:countTokens", &hello()).await;
        assert_eq!(reply.status, 200, "{dialect}: {reply:?}");
        assert!(reply.json()["totalTokens"].as_u64() > Some(0), "{dialect}: {reply:?}");
        let exact = ["anthropic_messages", "gemini"].contains(&dialect);
        assert_eq!(
            reply.header("x-jumpseat-estimated"),
            if exact { "" } else { "true" },
            "{dialect}"
        );
        assert_eq!(house.attempts("primary"), usize::from(exact), "{dialect}");
    }
}
