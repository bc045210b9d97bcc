//! Azure OpenAI: its addresses, its credentials, its content filter and its own errors.

use jumpseat_fake::Fake;
use serde_json::{Value, json};

use crate::support::{Got, send};

const VERSION: &str = "api-version=2024-10-21";

async fn ask(path: &str, headers: &[(&str, &str)], stream: bool) -> Got {
    let body = json!({"stream": stream, "messages": [{"role": "user", "content": "hi"}], "input": "hi"});
    send(&Fake::new(), "POST", path, headers, &body.to_string())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_deployment_is_asked_by_its_path_with_a_key_or_a_token() {
    let key = [("api-key", "k")];
    let rows: [(&str, &[(&str, &str)], u16, &str); 10] = [
        (
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
            &key,
            200,
            "\"model\":\"d\"",
        ),
        (
            "/openai/deployments/d/chat/completions?api-version=2025-04-01-preview",
            &[("authorization", "Bearer t")],
            200,
            "prompt_filter_results",
        ),
        (
            "/openai/deployments/d/embeddings?api-version=2024-10-21",
            &key,
            200,
            "\"model\":\"d\"",
        ),
        (
            "/openai/deployments/d/chat/completions",
            &key,
            404,
            "Resource not found",
        ),
        (
            "/openai/deployments/d/chat/completions?api-version=latest-one",
            &key,
            404,
            "Resource not found",
        ),
        (
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
            &[],
            401,
            "Access denied due to invalid subscription key",
        ),
        (
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
            &[("api-key", "wrong")],
            401,
            "Access denied",
        ),
        (
            "/openai/deployments/d%21404/chat/completions?api-version=2024-10-21",
            &key,
            404,
            "DeploymentNotFound",
        ),
        (
            "/openai/deployments/d!429/chat/completions?api-version=2024-10-21",
            &key,
            429,
            "\"429\"",
        ),
        (
            "/openai/deployments/d!content-filter/chat/completions?api-version=2024-10-21",
            &key,
            400,
            "ResponsibleAIPolicyViolation",
        ),
    ];
    for (path, headers, status, part) in rows {
        let got = ask(path, headers, false).await;
        assert_eq!(got.status, status, "{path}: {}", got.body);
        assert!(got.body.contains(part), "{path}: {}", got.body);
    }
}

#[tokio::test]
async fn the_content_filter_speaks_in_every_answer() {
    let path = |name: &str| format!("/openai/deployments/d{name}/chat/completions?{VERSION}");
    let filtered = |choice: &Value| choice["content_filter_results"]["violence"]["filtered"].clone();
    for (name, reason, stopped) in [("", "stop", false), ("!content-filter-finish", "content_filter", true)] {
        let unary = ask(&path(name), &[("api-key", "k")], false).await.json();
        assert_eq!(unary["choices"][0]["finish_reason"], reason);
        assert_eq!(filtered(&unary["choices"][0]), stopped);
        let events = ask(&path(name), &[("api-key", "k")], true).await.events();
        assert_eq!(events[0]["choices"], json!([]));
        assert!(events[0]["prompt_filter_results"].is_array());
        assert_eq!(filtered(&events[2]["choices"][0]), false);
        let last = &events.last().unwrap()["choices"][0];
        assert_eq!(last["finish_reason"], reason);
        assert_eq!(filtered(last), if stopped { json!(true) } else { Value::Null });
    }
    let plain = send(
        &Fake::new(),
        "POST",
        "/v1/chat/completions",
        &[("api-key", "k")],
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
    )
    .await
    .unwrap();
    assert!(!plain.body.contains("filter"), "only Azure's have it");
}
