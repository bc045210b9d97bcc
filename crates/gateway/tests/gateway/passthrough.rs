//! Endpoints with an owner and no neutral meaning: images, audio, moderations, rerank, files, batches. They go on as they came,
//! under the same rules as every call.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::house::{House, Reply, provider};

const TWO: &str = "[{ targets: [openai/alpha] }, { targets: [second/beta] }]";

/// `openai`, which owns what names no model, and a second of the same dialect.
fn house(head: &str, tiers: &str) -> House {
    let yaml = format!(
        "{head}providers:\n{}{}{}routes:\n  media:\n    tiers: {tiers}\n",
        provider("openai", "openai_chat"),
        provider("second", "openai_chat"),
        provider("third", "anthropic_messages"),
    );
    House::new(&["openai", "second", "third"], &yaml)
}

const ALLOWED: &str = "passthrough: { provider: openai, files: true, batches: true }\n";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn post(house: &House, path: &str, body: &Value) -> Reply {
    house.send(Method::POST, path, &[JSON], body.to_string().into()).await
}

/// A form with a model and a file of bytes that are no text.
fn form(model: &str) -> (String, Bytes) {
    let boundary = "------------------------d74496d66958873e";
    let mut body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
         --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(b"RIFF\x00\xff\xfe\r\n-- chat");
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_is_answered_with_the_targets_model_and_the_rest_as_it_came() {
    let rows = [
        (
            "/v1/images/generations",
            r#"{"prompt":"a cat", "model":"media","odd":[1,2]}"#,
        ),
        ("/v1/moderations", r#"{"input":"a text","model":"media"}"#),
        (
            "/v1/rerank",
            r#"{"model":"media","query":"cat","documents":["a cat","a dog"]}"#,
        ),
        (
            "/v1/audio/speech",
            r#"{"model":"media","input":"Hello","voice":"alloy"}"#,
        ),
    ];
    for (path, body) in rows {
        let house = house("", TWO);
        let reply = house.send(Method::POST, path, &[JSON], body.into()).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let sent = house.entries("openai").remove(0);
        assert_eq!(sent.path, path, "{path}");
        assert_eq!(sent.raw_body, body.replace("media", "alpha"), "{path}");
        assert_eq!(reply.header("x-jumpseat-target"), "openai/alpha", "{path}");
        assert!(!reply.header("x-jumpseat-call-id").is_empty(), "{path}");
        let line = &house.log_lines("call").await[0];
        assert_eq!(
            (&line["outcome"], &line["route"]),
            (&json!("success"), &json!("media")),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn sound_comes_back_as_sound() {
    let house = house("", TWO);
    let reply = post(
        &house,
        "/v1/audio/speech",
        &json!({"model": "media", "input": "Hello", "voice": "alloy"}),
    )
    .await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (200, "audio/mpeg")
    );
    assert!(
        !reply.body.is_empty() && std::str::from_utf8(&reply.body).is_err(),
        "bytes, not text"
    );
}

#[tokio::test(start_paused = true)]
async fn a_form_passes_with_its_file_and_only_the_model_is_another() {
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits"] {
        let house = house("", TWO);
        let (kind, body) = form("media");
        let reply = house.send(Method::POST, path, &[("content-type", &kind)], body).await;
        let sent = house.entries("openai").remove(0);
        assert_eq!(sent.headers["content-type"], kind, "{path}");
        assert_eq!(sent.raw_body, form("alpha").1, "{path}");
        if path.contains("audio") {
            assert_eq!(reply.status, 200, "{path}: {reply:?}");
        }
    }
    let house = house("", TWO);
    let (kind, _) = form("media");
    let reply = house
        .send(
            Method::POST,
            "/v1/audio/transcriptions",
            &[("content-type", &kind)],
            "no form".into(),
        )
        .await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(house.attempts("openai"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_next_target_answers_when_the_first_is_down_and_a_bad_request_is_not_shopped_around() {
    let body = json!({"model": "media", "prompt": "a cat"});
    for (fault, reason) in [
        ("500", "server_error"),
        ("503", "overloaded"),
        ("reset", "network"),
        ("401", "auth"),
    ] {
        let house = house("", TWO);
        house.always("openai", fault);
        let reply = post(&house, "/v1/images/generations", &body).await;
        assert_eq!(reply.status, 200, "{fault}: {reply:?}");
        assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{fault}");
        assert_eq!(reply.header("x-jumpseat-fallback-reason"), reason, "{fault}");
        assert_eq!(house.entries("second")[0].body["model"], "beta", "{fault}");
    }
    let house = house("", TWO);
    house.always("openai", "400");
    let reply = post(&house, "/v1/images/generations", &body).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(house.attempts("second"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_speak_it_is_passed_over() {
    let body = json!({"model": "media", "prompt": "a cat"});
    let two = house("", "[{ targets: [third/gamma] }, { targets: [openai/alpha] }]");
    let reply = post(&two, "/v1/images/generations", &body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("x-jumpseat-target")),
        (200, "openai/alpha")
    );
    let sole = house("", "[{ targets: [third/gamma] }]");
    let reply = post(&sole, "/v1/images/generations", &body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.told().word),
        (400, "unsupported_parameter".to_owned())
    );
    assert_eq!(sole.attempts("third"), 0);
}

#[tokio::test(start_paused = true)]
async fn files_and_batches_are_refused_unless_the_operator_allows_them() {
    for (method, path) in [
        (Method::GET, "/v1/files"),
        (Method::POST, "/v1/files"),
        (Method::GET, "/v1/files/file-1"),
        (Method::DELETE, "/v1/files/file-1"),
        (Method::GET, "/v1/files/file-1/content"),
        (Method::GET, "/v1/batches"),
        (Method::POST, "/v1/batches"),
        (Method::POST, "/v1/batches/batch_1/cancel"),
    ] {
        let house = house("", TWO);
        let reply = house.send(method.clone(), path, &[JSON], "{}".into()).await;
        assert_eq!(reply.status, 403, "{method} {path}: {reply:?}");
        assert_eq!(reply.told().word, "not_allowed", "{method} {path}");
        assert!(reply.told().message.contains("passthrough."), "{method} {path}");
        assert!(house.fake("openai").log().entries().is_empty(), "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_file_goes_up_and_comes_back_and_one_that_is_not_there_is_the_providers_404() {
    let house = house(ALLOWED, TWO);
    let boundary = "x-boundary-x";
    let content = "{\"a\":1}\n";
    let body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{content}\r\n--{boundary}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={boundary}");
    let reply = house
        .send(Method::POST, "/v1/files", &[("content-type", &kind)], body.into())
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let get = async |path: String| house.send(Method::GET, &path, &[], Bytes::new()).await;
    assert_eq!(get(format!("/v1/files/{id}")).await.json()["id"], id);
    assert_eq!(get(format!("/v1/files/{id}/content")).await.body, content);
    assert_eq!(get("/v1/files?limit=1&purpose=batch".into()).await.status, 200);
    let asked = house.fake("openai").log().entries();
    assert_eq!(
        asked.last().unwrap().path,
        "/v1/files?limit=1&purpose=batch",
        "with its query"
    );
    let gone = house
        .send(Method::DELETE, &format!("/v1/files/{id}"), &[], Bytes::new())
        .await;
    assert_eq!(gone.json()["deleted"], true, "{gone:?}");

    for _ in 0..5 {
        let reply = get("/v1/files/file-nobody".into()).await;
        assert_eq!(reply.status, 404, "{reply:?}");
        assert_eq!(reply.header("x-should-retry"), "false");
    }
    let reply = get("/v1/files".into()).await;
    assert_eq!(
        reply.status, 200,
        "a file that is missing says nothing of its provider: {reply:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_the_client_shows_goes_upstream() {
    let house = house(ALLOWED, TWO);
    let shown = [
        JSON,
        ("x-api-key", "client"),
        ("cookie", "session=1"),
        ("openai-organization", "org-theirs"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-jumpseat-deadline", "20s"),
    ];
    let body: Bytes = json!({"model": "media", "prompt": "a cat"}).to_string().into();
    house.send(Method::POST, "/v1/images/generations", &shown, body).await;
    house.send(Method::GET, "/v1/files", &shown, Bytes::new()).await;
    for entry in house.fake("openai").log().entries() {
        assert_eq!(entry.headers["authorization"], "Bearer secret-openai", "{}", entry.path);
        for (name, value) in &entry.headers {
            assert!(
                !value.contains("client") && !value.contains("theirs"),
                "{name}: {value}"
            );
            assert!(
                !["cookie", "x-api-key", "openai-organization", "x-forwarded-for"].contains(&name.as_str()),
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_path_of_the_clients_own_making_goes_upstream() {
    let house = house(ALLOWED, TWO);
    for path in [
        "/v1/files/..",
        "/v1/files/../models",
        "/v1/files/a%2f..%2fb",
        "/v1/files/a/b/content",
        "/v1/files/a/content/../..",
        "/v1/files//content",
        "/v1/batches/a;b",
        "/v1/batches/batch_1/cancel/more",
        "/v1/images/../files",
        "/v1/fine_tuning/jobs",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = house.send(method.clone(), path, &[JSON], "{}".into()).await;
            assert!(
                [404, 405].contains(&reply.status.as_u16()),
                "{method} {path}: {reply:?}"
            );
        }
    }
    assert!(house.fake("openai").log().entries().is_empty());
}
