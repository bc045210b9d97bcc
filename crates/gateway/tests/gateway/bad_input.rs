//! What callers send that is no call: a 4xx in their own dialect's shape, nothing upstream, nothing broken.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::house::{DIALECTS, House, NAMES, Reply, chat, three};
use crate::ingress::Ingress;

const ROUTE: &str = "models: [gpt-4o]\ntiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
const PATH: &str = "/v1/chat/completions";

fn house() -> House {
    House::new(&NAMES, &three("openai_chat", ROUTE))
}

/// The shape that every official SDK of OpenAI reads.
fn shape(reply: &Reply, name: &str) -> Value {
    assert_eq!(reply.header("content-type"), "application/json", "{name}");
    let error = reply.json()["error"].clone();
    for key in ["message", "type"] {
        assert!(
            error[key].as_str().is_some_and(|v| !v.is_empty()),
            "{name}: {key} of {error}"
        );
    }
    for key in ["param", "code"] {
        assert!(
            error.get(key).is_some_and(|v| v.is_null() || v.is_string()),
            "{name}: {key} of {error}"
        );
    }
    error
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_request_is_a_400_that_says_what_is_wrong() {
    let deep = "[".repeat(1_000_000);
    let deep_inside = format!(r#"{{"model":"chat","messages":{}"#, "[".repeat(100_000));
    let deep_unknown = format!(
        r#"{{"model":"chat","messages":[],"x":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let rows: &[(&str, &[u8])] = &[
        ("nothing", b""),
        ("blank", b"   \n"),
        ("text", b"hello"),
        ("truncated", br#"{"model":"chat","messages":[{"role":"us"#),
        ("truncated string", br#"{"model":"ch"#),
        (
            "trailing",
            br#"{"model":"chat","messages":[{"role":"user","content":"x"}]} and more"#,
        ),
        ("an array", br#"[{"model":"chat"}]"#),
        ("a number", b"42"),
        ("null", b"null"),
        (
            "no UTF-8",
            b"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}",
        ),
        ("UTF-16", b"\xff\xfe{\x00}\x00"),
        (
            "a NUL",
            b"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"a\0b\"}]}",
        ),
        ("single quotes", b"{'model':'chat','messages':[]}"),
        (
            "NaN",
            br#"{"model":"chat","temperature":NaN,"messages":[{"role":"user","content":"x"}]}"#,
        ),
        ("no model", br#"{"messages":[{"role":"user","content":"x"}]}"#),
        (
            "model is a number",
            br#"{"model":7,"messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            "model is empty",
            br#"{"model":"","messages":[{"role":"user","content":"x"}]}"#,
        ),
        ("no messages", br#"{"model":"chat"}"#),
        ("messages are text", br#"{"model":"chat","messages":"hi"}"#),
        ("messages are empty", br#"{"model":"chat","messages":[]}"#),
        ("messages are null", br#"{"model":"chat","messages":null}"#),
        (
            "stream is text",
            br#"{"model":"chat","stream":"yes","messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            "max_tokens is text",
            br#"{"model":"chat","max_tokens":"many","messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            "n is text",
            br#"{"model":"chat","n":"two","messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            "two models",
            br#"{"model":"chat","model":"gpt-4o","messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            "two lists of messages",
            br#"{"model":"chat","messages":[{"role":"user","content":"x"}],"messages":[]}"#,
        ),
        ("a million brackets", deep.as_bytes()),
        ("brackets inside", deep_inside.as_bytes()),
        ("brackets in a field nobody knows", deep_unknown.as_bytes()),
    ];
    let house = house();
    for (name, body) in rows {
        let reply = house.send(Method::POST, PATH, &[], Bytes::copy_from_slice(body)).await;
        assert_eq!(reply.status, 400, "{name}: {reply:?}");
        let error = shape(&reply, name);
        assert_eq!(error["type"], "invalid_request_error", "{name}");
        assert_eq!(reply.header("x-should-retry"), "false", "{name}");
    }
    assert_eq!(NAMES.map(|n| house.attempts(n)), [0, 0, 0]);
    assert_eq!(house.metric(&["jumpseat_refused_total "]), rows.len() as f64);
    assert_eq!(house.metric(&["jumpseat_body_bytes_in_flight "]), 0.0);
    assert_eq!(house.call(&chat("chat", false)).await.status, 200, "and it goes on");
}

/// The shape that the official SDKs of a dialect read; gives its word for the kind.
fn shape_of(ingress: Ingress, reply: &Reply, name: &str) -> String {
    assert_eq!(reply.header("content-type"), "application/json", "{name}");
    let body = reply.json();
    let error = &body["error"];
    assert!(
        error["message"].as_str().is_some_and(|m| !m.is_empty()),
        "{name}: {body}"
    );
    match ingress {
        Ingress::Chat | Ingress::Responses => {
            shape(reply, name);
            error["type"].as_str().unwrap().to_owned()
        }
        Ingress::Messages => {
            assert_eq!(body["type"], "error", "{name}: {body}");
            error["type"].as_str().unwrap().to_owned()
        }
        Ingress::Gemini => {
            assert_eq!(error["code"], reply.status.as_u16(), "{name}: {body}");
            error["status"].as_str().unwrap().to_owned()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_the_shape_of_the_clients_own_dialect() {
    for ingress in Ingress::ALL {
        let yaml = format!("server: {{ body_max: 10KB }}\n{}", three("openai_chat", ROUTE));
        let house = House::new(&NAMES, &yaml).asked_in(ingress);
        let (path, headers, good) = ingress.write(&chat("chat", false));
        let good = good.to_string();
        let mut long = chat("chat", false);
        long["messages"][0]["content"] = json!("x".repeat(20_000));
        let long = ingress.write(&long).2.to_string();
        let (elsewhere, _, unknown) = ingress.write(&chat("nobody", false));
        let gzip = [&headers[..], &[("content-encoding", "gzip")]].concat();
        let hasty = [&headers[..], &[("x-jumpseat-deadline", "soon")]].concat();
        type Row<'a> = (
            &'a str,
            Method,
            &'a str,
            &'a [(&'a str, &'a str)],
            String,
            u16,
            [&'a str; 3],
        );
        let invalid = ["invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"];
        let missing = ["invalid_request_error", "not_found_error", "NOT_FOUND"];
        let rows: Vec<Row<'_>> = vec![
            ("nothing", Method::POST, &path, &headers, String::new(), 400, invalid),
            ("text", Method::POST, &path, &headers, "hello".into(), 400, invalid),
            ("an array", Method::POST, &path, &headers, "[]".into(), 400, invalid),
            (
                "cut",
                Method::POST,
                &path,
                &headers,
                good[..good.len() - 2].into(),
                400,
                invalid,
            ),
            (
                "more behind it",
                Method::POST,
                &path,
                &headers,
                format!("{good}x"),
                400,
                invalid,
            ),
            ("deep", Method::POST, &path, &headers, "[".repeat(9_000), 400, invalid),
            (
                "a wish that is none",
                Method::POST,
                &path,
                &hasty,
                good.clone(),
                400,
                invalid,
            ),
            (
                "no such model",
                Method::POST,
                &elsewhere,
                &headers,
                unknown.to_string(),
                404,
                missing,
            ),
            (
                "too large",
                Method::POST,
                &path,
                &headers,
                long,
                413,
                ["invalid_request_error", "request_too_large", "INVALID_ARGUMENT"],
            ),
            ("packed", Method::POST, &path, &gzip, good.clone(), 415, invalid),
            (
                "another method",
                Method::PUT,
                &path,
                &headers,
                good.clone(),
                405,
                ["invalid_request_error", "invalid_request_error", "UNIMPLEMENTED"],
            ),
        ];
        for (what, method, path, headers, body, status, words) in rows {
            let name = format!("{what}, asked in {ingress:?}");
            let reply = house.send(method.clone(), path, headers, body.into()).await;
            assert_eq!(reply.status, status, "{name}: {reply:?}");
            let word = shape_of(ingress, &reply, &name);
            let wanted = match ingress {
                Ingress::Chat | Ingress::Responses => words[0],
                Ingress::Messages => words[1],
                Ingress::Gemini => words[2],
            };
            assert_eq!(word, wanted, "{name}: {reply:?}");
            assert_eq!(reply.header("x-should-retry"), "false", "{name}");
            if method == Method::POST {
                let id = reply.header("x-jumpseat-call-id");
                assert!(!id.is_empty(), "{name}");
                assert_eq!(
                    (reply.header("x-request-id"), reply.header("request-id")),
                    (id, id),
                    "{name}"
                );
            }
        }
        assert_eq!(NAMES.map(|n| house.attempts(n)), [0, 0, 0], "{ingress:?}");
        assert_eq!(house.metric(&["jumpseat_body_bytes_in_flight "]), 0.0, "{ingress:?}");
        assert_eq!(
            house.call(&chat("chat", false)).await.status,
            200,
            "{ingress:?}: and it goes on"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_a_translation_looks_at_is_a_400_there_too() {
    for dialect in DIALECTS {
        for (name, messages) in [
            ("a role nobody has", json!([{"role": "emperor", "content": "x"}])),
            ("no role", json!([{"content": "x"}])),
            ("a message of text", json!(["hi"])),
            ("content is a number", json!([{"role": "user", "content": 7}])),
            (
                "a part nobody knows",
                json!([{"role": "user", "content": [{"type": "smell", "smell": "tar"}]}]),
            ),
            (
                "a tool result without its call",
                json!([{"role": "tool", "content": "x"}]),
            ),
        ] {
            let name = format!("{name} at {dialect}");
            let house = House::new(&NAMES, &three(dialect, "tiers: [{ targets: [primary/alpha] }]"));
            let reply = house.call(&json!({"model": "chat", "messages": messages})).await;
            assert_eq!(reply.status, 400, "{name}: {reply:?}");
            shape(&reply, &name);
            assert_eq!(reply.header("x-should-retry"), "false", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn odd_text_goes_through_unharmed_or_is_refused_and_never_a_crash() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, "tiers: [{ targets: [primary/alpha] }]"));
        for content in [
            r"a\u0000b",
            r"\ud83d\ude00",
            "\u{202e}\u{feff}",
            "\u{1F468}\u{200d}\u{1F469}",
        ] {
            let body = format!(r#"{{"model":"chat","messages":[{{"role":"user","content":"{content}"}}]}}"#);
            let reply = house.send(Method::POST, PATH, &[], body.into()).await;
            assert_eq!(reply.status, 200, "{content} at {dialect}: {reply:?}");
        }
        // A lone surrogate is JSON and no text.
        for content in [r"\ud800", r"x\udc00y", r"\ud83d!"] {
            let body = format!(r#"{{"model":"chat","messages":[{{"role":"user","content":"{content}"}}]}}"#);
            let reply = house.send(Method::POST, PATH, &[], body.into()).await;
            assert!(
                [200, 400].contains(&reply.status.as_u16()),
                "{content} at {dialect}: {reply:?}"
            );
        }
        let reply = house
            .send(
                Method::POST,
                PATH,
                &[],
                r#"{"model":"\ud800","messages":[{"role":"user","content":"x"}]}"#.into(),
            )
            .await;
        assert!(reply.status.is_client_error(), "{dialect}: {reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_leads_nowhere_is_a_404_with_the_nearest_ones() {
    let house = house();
    for (model, near) in [
        ("chatt", "`chat`"),
        ("gpt-4", "`gpt-4o`"),
        ("primry/alpha", ""),
        ("nobody/knows", ""),
        ("../../etc/passwd", ""),
    ] {
        for stream in [false, true] {
            let reply = house.call(&chat(model, stream)).await;
            assert_eq!(reply.status, 404, "{model}: {reply:?}");
            let error = shape(&reply, model);
            assert_eq!(
                (&error["code"], &error["param"]),
                (&json!("model_not_found"), &json!("model")),
                "{model}"
            );
            assert!(error["message"].as_str().unwrap().contains(near), "{model}: {error}");
        }
    }
    let long = house.call(&chat(&"x".repeat(400), false)).await;
    assert!(long.status.is_client_error());
    assert!(long.body.len() < 2_000, "what was sent is not sent back at length");
    assert_eq!(house.attempts("primary"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_named_by_the_client_cannot_leave_its_providers_path() {
    for dialect in DIALECTS {
        let house = House::new(&NAMES, &three(dialect, ROUTE));
        for model in [
            "primary/../../admin",
            "primary/a b",
            "primary/x?key=1",
            "primary/x#y",
            "primary/a%2f..%2fb",
            "primary/\u{e9}",
        ] {
            let reply = house.call(&chat(model, false)).await;
            for entry in house.entries("primary") {
                assert!(
                    !entry.path.contains("/../") && !entry.path.contains("key=1"),
                    "{dialect} {model}: {}",
                    entry.path
                );
                assert!(
                    !entry.path.contains("admin") || entry.path.contains("%2F"),
                    "{dialect} {model}: {}",
                    entry.path
                );
            }
            assert!(
                reply.status == 200 || reply.status.is_client_error(),
                "{dialect} {model}: {reply:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_methods_and_encodings_are_refused_in_the_same_shape() {
    let house = house();
    let body: Bytes = chat("chat", false).to_string().into();
    type Headers = &'static [(&'static str, &'static str)];
    let rows: &[(Method, &str, Headers, u16, &str)] = &[
        (Method::POST, "/", &[], 404, "unknown_url"),
        (Method::POST, "/v1/embeddingz", &[], 404, "unknown_url"),
        (Method::POST, "/v1/chat/completions/", &[], 404, "unknown_url"),
        (Method::POST, "/V1/chat/completions", &[], 404, "unknown_url"),
        (Method::POST, "//v1/chat/completions", &[], 404, "unknown_url"),
        (Method::GET, "/v1/chat/../../metrics", &[], 404, "unknown_url"),
        (Method::GET, "/metrics", &[], 404, "unknown_url"),
        (Method::GET, "/ui", &[], 404, "unknown_url"),
        (Method::GET, PATH, &[], 405, "method_not_allowed"),
        (Method::PUT, PATH, &[], 405, "method_not_allowed"),
        (Method::DELETE, "/v1/models", &[], 405, "method_not_allowed"),
        (Method::POST, "/v1/models/chat", &[], 405, "method_not_allowed"),
        (Method::GET, "/v1/models/nobody", &[], 404, "model_not_found"),
        (
            Method::POST,
            PATH,
            &[("content-encoding", "gzip")],
            415,
            "unsupported_content_encoding",
        ),
        (
            Method::POST,
            PATH,
            &[("content-encoding", "br, gzip")],
            415,
            "unsupported_content_encoding",
        ),
    ];
    for (method, path, headers, status, code) in rows {
        let name = format!("{method} {path} {headers:?}");
        let reply = house.send(method.clone(), path, headers, body.clone()).await;
        assert_eq!(reply.status, *status, "{name}: {reply:?}");
        assert_eq!(shape(&reply, &name)["code"], *code, "{name}");
        if *status == 405 {
            assert!(!reply.header("allow").is_empty(), "{name}");
        }
    }
    assert_eq!(house.attempts("primary"), 0);
    let reply = house
        .send(Method::POST, PATH, &[("content-encoding", "identity")], body)
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_a_413_whether_its_length_was_told_or_not() {
    let yaml = format!("server: {{ body_max: 10KB }}\n{}", three("openai_chat", ROUTE));
    let house = House::new(&NAMES, &yaml);
    let mut body = chat("chat", false);
    body["messages"][0]["content"] = json!("x".repeat(20_000));
    let reply = house.call(&body).await;
    assert_eq!(reply.status, 413, "{reply:?}");
    assert_eq!(shape(&reply, "told")["code"], "request_too_large");
    assert_eq!(reply.header("x-should-retry"), "false");

    let chunk = format!("{:x}\r\n{}\r\n", 8_000, "x".repeat(8_000));
    let answer = house
        .raw(
            format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}")
                .as_bytes(),
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // A length that is only promised costs nothing.
    let answer = house
        .raw(format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 99999999999\r\n\r\n").as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(house.attempts("primary"), 0);
    assert_eq!(house.metric(&["jumpseat_body_bytes_in_flight "]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_heads_too_large_and_smuggling_are_refused() {
    let house = house();
    let many: String = (0..300).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = "y".repeat(64 * 1024);
    let rows: &[(&str, String, &str)] = &[
        (
            "a head too large",
            format!("GET /health HTTP/1.1\r\nhost: g\r\nx-long: {long}\r\n\r\n"),
            "431",
        ),
        (
            "too many headers",
            format!("GET /health HTTP/1.1\r\nhost: g\r\n{many}\r\n"),
            "431",
        ),
        ("no HTTP", "hello\r\n\r\n".into(), "400"),
        (
            "a space in a header's name",
            "GET /health HTTP/1.1\r\nhost : g\r\n\r\n".into(),
            "400",
        ),
        (
            "two lengths",
            format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc"),
            "400",
        ),
        (
            "a length that is none",
            format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: -1\r\n\r\n"),
            "400",
        ),
        (
            "an encoding in disguise",
            format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
            "400",
        ),
    ];
    for (name, bytes, status) in rows {
        let answer = house.raw(bytes.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{name}: one answer: {answer}");
    }
    // Both framings: whichever hyper believes, what follows must not become a second request.
    let smuggled = format!(
        "POST {PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nhost: g\r\n\r\n"
    );
    let answer = house.raw(smuggled.as_bytes()).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    assert_eq!(house.attempts("primary"), 0);
    assert_eq!(house.call(&chat("chat", false)).await.status, 200, "and it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_its_request_is_not_waited_for() {
    let house = house();
    let begun = tokio::time::Instant::now();
    let mut pipe = house.pipe();
    pipe.write_all(format!("POST {PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 10000\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let (mut read, mut write) = tokio::io::split(pipe);
    let drip = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut answer = vec![0; 4096];
    let length = read.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}", begun.elapsed());
    drip.abort();

    // A head that never ends.
    let begun = tokio::time::Instant::now();
    let answer = house.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n").await;
    assert!(!answer.contains("200"), "{answer}");
    assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_models_that_may_be_asked_for_are_listed() {
    let house = house();
    let reply = house.send(Method::GET, "/v1/models", &[], Bytes::new()).await;
    assert_eq!(reply.status, 200);
    let ids: Vec<String> = reply.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect();
    for id in ["chat", "gpt-4o"] {
        assert!(ids.iter().any(|known| known == id), "{id} in {ids:?}");
        let one = house
            .send(Method::GET, &format!("/v1/models/{id}"), &[], Bytes::new())
            .await;
        assert_eq!((one.status.as_u16(), &one.json()["id"]), (200, &json!(id)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_none_is_refused() {
    let house = House::new(&NAMES, &three("openai_chat", "tiers: [{ targets: [primary/alpha] }]"));
    let rows = [
        ("host: gateway.test", "200"),
        ("host: 127.0.0.1:4000", "200"),
        ("host: [::1]:4000", "200"),
        ("host: localhost/#@x", "400"),
        ("host: user@gateway.test", "400"),
        ("host: a\r\nhost: b", "400"),
        ("host: a b", "400"),
    ];
    for (host, status) in rows {
        let answer = house
            .raw(format!("GET /health HTTP/1.1\r\n{host}\r\nconnection: close\r\n\r\n").as_bytes())
            .await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_rest_between_calls_but_not_say_nothing_or_drip_its_head() {
    let house = House::new(&NAMES, &three("openai_chat", "tiers: [{ targets: [primary/alpha] }]"));
    let health = b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n";
    let mut buffer = [0; 4096];

    let mut kept = house.pipe();
    kept.write_all(health).await.unwrap();
    assert!(kept.read(&mut buffer).await.unwrap() > 0);
    sleep(Duration::from_secs(60)).await;
    kept.write_all(health).await.unwrap();
    assert!(
        kept.read(&mut buffer).await.unwrap() > 0,
        "a minute of rest is no reason to close"
    );
    let begun = Instant::now();
    assert_eq!(kept.read(&mut buffer).await.unwrap(), 0, "but rest ends");
    assert_eq!(begun.elapsed().as_secs(), 75);

    let mut silent = house.pipe();
    let begun = Instant::now();
    assert_eq!(silent.read(&mut buffer).await.unwrap(), 0);
    assert_eq!(begun.elapsed().as_secs(), 10, "a connection that never asks is closed");

    let mut dripping = house.pipe();
    let begun = Instant::now();
    for byte in b"GET /health HTTP/1.1\r\nhost: g\r\nx-a: bcdefghijklmnopq" {
        if dripping.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(dripping.read(&mut buffer).await.unwrap_or(0), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(13),
        "a dripped head is cut at its limit: {:?}",
        begun.elapsed()
    );

    house.always("primary", "first-token-100s");
    let mut waiting = house.pipe();
    let body = chat("chat", true).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    waiting.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let begun = Instant::now();
    assert!(
        waiting.read(&mut buffer).await.unwrap() > 0,
        "a client that waits for its answer is not idle"
    );
    assert!(begun.elapsed() >= Duration::from_secs(99), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_names_do_not_grow_labels() {
    let yaml = "providers:\n  primary: { dialect: openai_chat, base_url: \"http://primary.test/v1\", api_key: k }\n";
    let house = House::new(&["primary"], yaml);
    for n in 0..560 {
        let body = json!({"model": format!("primary/model-{n}"), "messages": [{"role": "user", "content": "Hi"}]});
        assert_eq!(house.call(&body).await.status, StatusCode::OK);
    }
    let metrics = house.metrics();
    let labels = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).count();
    assert!(
        labels("jumpseat_attempts_total") <= 520,
        "{}",
        labels("jumpseat_attempts_total")
    );
    assert_eq!(
        labels("jumpseat_calls_total"),
        1,
        "calls that name their target share a route"
    );
    assert!(house.metric(&["jumpseat_attempts_total", "primary/other"]) >= 40.0);
}
