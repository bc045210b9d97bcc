//! Embeddings, images, sound, moderation, reranking, files and batches: an answer each, and the faults that make sense there.

use jumpseat_fake::Fake;
use serde_json::{Value, json};

use crate::support::{Got, send};

const KEY: (&str, &str) = ("authorization", "Bearer sk-test");

async fn post(fake: &Fake, path: &str, body: Value) -> Got {
    send(fake, "POST", path, &[KEY], &body.to_string()).await.unwrap()
}

async fn upload(fake: &Fake, path: &str, fields: &[(&str, &str)], file: Option<(&str, &str, &str)>) -> Got {
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    if let Some((name, filename, data)) = file {
        body.push_str(&format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: x/y\r\n\r\n{data}\r\n"));
    }
    body.push_str("--B--\r\n");
    let headers = [KEY, ("content-type", "multipart/form-data; boundary=B")];
    send(fake, "POST", path, &headers, &body).await.unwrap()
}

#[tokio::test]
async fn embeddings_take_texts_and_tokens_and_have_the_length_asked_for() {
    let rows = [
        (json!({"model": "text-embedding-3-small", "input": "hi"}), 1, 1536),
        (json!({"model": "text-embedding-3-large", "input": ["a", "b"]}), 2, 3072),
        (json!({"model": "e", "input": [1, 2], "dimensions": 8}), 1, 8),
        (json!({"model": "e", "input": [[1], [2], [3]], "dimensions": 3}), 3, 3),
    ];
    for (body, count, length) in rows {
        let got = post(&Fake::new(), "/v1/embeddings", body.clone()).await.json();
        let data = got["data"].as_array().unwrap();
        assert_eq!(data.len(), count, "{body}");
        assert!(
            data.iter()
                .all(|one| one["embedding"].as_array().unwrap().len() == length),
            "{body}"
        );
        assert!(got["usage"]["total_tokens"].as_u64().unwrap() >= count as u64);
    }
    let encoded = post(
        &Fake::new(),
        "/v1/embeddings",
        json!({"model": "e", "input": "hi", "dimensions": 3, "encoding_format": "base64"}),
    )
    .await
    .json();
    assert_eq!(
        encoded["data"][0]["embedding"].as_str().unwrap().len(),
        16,
        "three floats of four bytes"
    );
    for body in [
        json!({"input": "hi"}),
        json!({"model": "e"}),
        json!({"model": "e", "input": ""}),
        json!({"model": "e", "input": []}),
        json!({"model": "e", "input": [1, "a"]}),
        json!({"model": "e", "input": "a", "dimensions": 4000}),
        json!({"model": "e", "input": "a", "encoding_format": "hex"}),
        json!({"model": "text-embedding-ada-002", "input": "a", "dimensions": 8}),
    ] {
        assert_eq!(
            post(&Fake::new(), "/v1/embeddings", body.clone()).await.status,
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn gemini_embeds_one_or_many() {
    let content = json!({"parts": [{"text": "hi"}]});
    let one = json!({"content": content, "outputDimensionality": 8});
    let many =
        json!({"requests": [{"model": "models/e", "content": content}, {"model": "models/e", "content": content}]});
    let fake = Fake::new();
    let got = send(
        &fake,
        "POST",
        "/v1beta/models/e:embedContent?key=k",
        &[],
        &one.to_string(),
    )
    .await
    .unwrap()
    .json();
    assert_eq!(got["embedding"]["values"].as_array().unwrap().len(), 8);
    let path = "/v1beta/models/e:batchEmbedContents?key=k";
    let got = send(&fake, "POST", path, &[], &many.to_string()).await.unwrap().json();
    assert_eq!(got["embeddings"][0], got["embeddings"][1]);
    for bad in [
        json!({"requests": []}),
        json!({"requests": [{"model": "e", "content": content}]}),
        json!({"requests": [{"model": "models/other", "content": content}]}),
    ] {
        let got = send(&fake, "POST", path, &[], &bad.to_string()).await.unwrap();
        assert_eq!(
            (got.status, got.json()["error"]["status"].as_str()),
            (400, Some("INVALID_ARGUMENT")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn each_endpoint_answers_in_its_shape() {
    let fake = Fake::new();
    let rows = [
        (
            "/v1/images/generations",
            json!({"model": "gpt-image-1", "prompt": "x"}),
            "/data/0/b64_json",
        ),
        (
            "/v1/images/generations",
            json!({"model": "dall-e-3", "prompt": "x"}),
            "/data/0/url",
        ),
        (
            "/v1/moderations",
            json!({"input": "I kill"}),
            "/results/0/category_scores/violence",
        ),
        (
            "/v1/rerank",
            json!({"model": "rerank-v3.5", "query": "a cat", "documents": ["one dog", "the cat"]}),
            "/meta/billed_units/search_units",
        ),
        (
            "/v1/rerank",
            json!({"model": "jina-reranker-v2", "query": "a cat", "documents": ["one dog", {"text": "the cat"}]}),
            "/results/0/document/text",
        ),
    ];
    for (path, body, pointer) in rows {
        let got = post(&fake, path, body.clone()).await;
        assert!(
            got.status == 200 && got.json().pointer(pointer).is_some(),
            "{path}: {}",
            got.body
        );
        if path.ends_with("rerank") {
            assert_eq!(got.json()["results"][0]["index"], 1, "the cat is nearer");
        }
    }
    let got = post(
        &fake,
        "/v1/audio/speech",
        json!({"model": "tts-1", "voice": "alloy", "input": "hello"}),
    )
    .await;
    assert_eq!(got.headers["content-type"], "audio/mpeg");
    let sent = Some(("file", "a.wav", "sound"));
    for (format, kind, part) in [
        ("json", "application/json", "a.wav, 5 bytes"),
        ("text", "text/plain; charset=utf-8", "a.wav"),
        ("srt", "text/plain; charset=utf-8", "-->"),
        ("vtt", "text/plain; charset=utf-8", "WEBVTT"),
    ] {
        let got = upload(
            &fake,
            "/v1/audio/transcriptions",
            &[("model", "whisper-1"), ("response_format", format)],
            sent,
        )
        .await;
        assert_eq!(got.headers["content-type"], kind, "{}", got.body);
        assert!(got.body.contains(part), "{}", got.body);
    }
    let entry = fake.log().last().unwrap();
    assert_eq!(
        (entry.model.as_str(), entry.body["response_format"].as_str()),
        ("whisper-1", Some("vtt"))
    );
    let got = upload(
        &fake,
        "/v1/images/edits",
        &[("model", "gpt-image-1"), ("prompt", "x"), ("n", "2")],
        Some(("image[]", "a.png", "x")),
    )
    .await;
    assert_eq!(got.json()["data"].as_array().unwrap().len(), 2, "{}", got.body);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let fake = Fake::new();
    let rows = [
        ("/v1/images/generations", json!({"model": "gpt-image-1"}), "'prompt'"),
        ("/v1/images/generations", json!({"prompt": "x", "n": 11}), "'n'"),
        ("/v1/audio/speech", json!({"model": "tts-1", "input": "x"}), "'voice'"),
        ("/v1/moderations", json!({}), "'input'"),
        ("/v1/rerank", json!({"model": "m", "query": "x"}), "'documents'"),
        ("/v1/batches", json!({"endpoint": "/v1/embeddings"}), "'input_file_id'"),
    ];
    for (path, body, part) in rows {
        let got = post(&fake, path, body).await;
        assert!(got.status == 400 && got.body.contains(part), "{path}: {}", got.body);
    }
    assert!(
        upload(&fake, "/v1/audio/transcriptions", &[("model", "m")], None)
            .await
            .body
            .contains("'file'")
    );
    assert!(
        upload(&fake, "/v1/files", &[("purpose", "fun")], Some(("file", "a", "b")))
            .await
            .body
            .contains("not one of")
    );
    assert_eq!(
        send(&fake, "POST", "/v1/embeddings", &[], "{}").await.unwrap().status,
        401
    );
    assert_eq!(
        send(&fake, "POST", "/v1/embeddings", &[KEY], "{").await.unwrap().status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn faults_come_by_suffix_or_header_to_every_endpoint() {
    let fake = Fake::new();
    let body = |model: &str| json!({"model": model, "input": "x", "prompt": "x", "voice": "v", "query": "x", "documents": ["x"]});
    for path in [
        "/v1/embeddings",
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/moderations",
        "/v1/rerank",
    ] {
        for (name, status) in [
            ("503", 503),
            ("429", 429),
            ("insufficient-quota", 429),
            ("error-first", 503),
            ("html", 200),
            ("slow-5s", 200),
        ] {
            let got = post(&fake, path, body(&format!("m!{name}"))).await;
            assert_eq!(got.status, status, "{path} {name}");
            assert_eq!(
                got.head_after.as_secs(),
                if name == "slow-5s" { 5 } else { 0 },
                "{path} {name}"
            );
        }
        let got = post(&fake, path, body("m!cut-0")).await;
        assert!(got.broken, "{path}");
        assert!(
            send(&fake, "POST", path, &[KEY], &body("m!reset").to_string())
                .await
                .is_none(),
            "{path}"
        );
        assert_eq!(fake.log().last().unwrap().outcome, "reset");
    }
    assert_eq!(
        upload(
            &fake,
            "/v1/audio/transcriptions",
            &[("model", "m!503")],
            Some(("file", "a", "b"))
        )
        .await
        .status,
        503
    );
    for path in ["/v1/files", "/v1/batches", "/v1/files/file-1/content"] {
        let got = send(&fake, "GET", path, &[KEY, ("x-fake-behave", "500")], "")
            .await
            .unwrap();
        assert_eq!(got.status, 500, "{path}");
    }
    let bare = post(&fake, "/v1/embeddings", body("m!no-usage")).await.json();
    assert!(bare.get("usage").is_none() && bare["data"].is_array());
    assert_eq!(post(&fake, "/v1/embeddings", body("m!empty")).await.json(), json!({}));
}

#[tokio::test]
async fn a_batch_answers_its_file_line_by_line() {
    let fake = Fake::new();
    let get = async |path: String| send(&fake, "GET", &path, &[KEY], "").await.unwrap();
    let line = |id: &str, body: Value| {
        json!({"custom_id": id, "method": "POST", "url": "/v1/responses", "body": body}).to_string()
    };
    let input = [
        line("a", json!({"model": "m", "input": "hi"})),
        line("b", json!({"model": "m"})),
    ]
    .join("\n");
    let file = upload(
        &fake,
        "/v1/files",
        &[("purpose", "batch")],
        Some(("file", "in.jsonl", &input)),
    )
    .await
    .json();
    let id = file["id"].as_str().unwrap();
    assert_eq!(get(format!("/v1/files/{id}/content")).await.body, input);
    let batch = post(
        &fake,
        "/v1/batches",
        json!({"input_file_id": id, "endpoint": "/v1/responses", "completion_window": "24h"}),
    )
    .await
    .json();
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    assert_eq!(
        (batch["status"].as_str(), batch["request_counts"]["total"].as_u64()),
        (Some("validating"), Some(2))
    );
    assert_eq!(get(path.clone()).await.json()["status"], "in_progress");
    let done = get(path.clone()).await.json();
    assert_eq!(
        (done["status"].as_str(), done["request_counts"]["failed"].as_u64()),
        (Some("completed"), Some(1))
    );
    let output = get(format!(
        "/v1/files/{}/content",
        done["output_file_id"].as_str().unwrap()
    ))
    .await
    .body;
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["response"]["body"]["object"], "response");
    assert_eq!(
        (
            lines[1]["custom_id"].as_str(),
            lines[1]["response"]["status_code"].as_u64()
        ),
        (Some("b"), Some(400))
    );
    let too_late = send(&fake, "POST", &format!("{path}/cancel"), &[KEY], "")
        .await
        .unwrap();
    assert_eq!(too_late.status, 409);
    let listed = get("/v1/files?order=asc&limit=1".into()).await.json();
    assert_eq!(
        (listed["data"][0]["id"].as_str(), listed["has_more"].as_bool()),
        (Some(id), Some(true))
    );
    let gone = send(&fake, "DELETE", &format!("/v1/files/{id}"), &[KEY], "")
        .await
        .unwrap();
    assert_eq!(gone.json()["deleted"], true);
    assert_eq!(get(format!("/v1/files/{id}")).await.status, 404);
}
