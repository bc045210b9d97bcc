//! Who is let in, as what, and what stays shut.

use http::{Method, StatusCode};
use jumpseat_gateway::keys::text::{KeyText, draw_id, draw_text};
use jumpseat_gateway::keys::view::KeyDraft;
use serde_json::{Value, json};
use store::records::keys::{KeyDigest, KeyRecord};
use types::time::UnixMillis;

use crate::house::{House, Reply, Table, WALL, chat, provider, three};

/// A key as it would be made of this, and its text.
pub fn key(draft: Value) -> (KeyRecord, KeyText) {
    let draft: KeyDraft = serde_json::from_value(draft).unwrap();
    let mut record = draft.into_record(draw_id().unwrap(), WALL).unwrap();
    let text = draw_text(&record.id).unwrap();
    record.digests = vec![KeyDigest {
        sha256: text.digest_hex(),
        until: None,
    }];
    (record, text)
}

/// Two providers of two models each, two routes and a fallback.
fn two_routes() -> String {
    format!(
        "providers:\n{}{}routes:\n  chat: {{ models: [gpt-4o, \"gpt-4o-*\"], tiers: [{{ targets: [primary/a] }}, {{ targets: [second/b] }}] }}\n  \
         fast: {{ tiers: [{{ targets: [second/b] }}] }}\n",
        provider("primary", "openai_chat"),
        provider("second", "anthropic_messages"),
    )
}

async fn ask(house: &House, text: &str, model: &str) -> Reply {
    let bearer = format!("Bearer {text}");
    let body = chat(model, false).to_string().into();
    let headers = [("authorization", bearer.as_str())];
    house
        .send_bare(Method::POST, "/v1/chat/completions", &headers, body)
        .await
}

/// What Anthropic's API asks for.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Every path that leads somewhere, and some that do not.
const PATHS: &[(&str, &str)] = &[
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/resp_1"),
    ("DELETE", "/v1/responses/resp_1"),
    ("GET", "/v1/responses/resp_1/input_items"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/chat"),
    ("GET", "/v1beta/models"),
    ("POST", "/v1beta/models/chat:generateContent"),
    ("POST", "/v1beta/models/chat:streamGenerateContent?alt=sse"),
    ("POST", "/v1beta/models/chat:countTokens"),
    ("GET", "/v1/files"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/moderations"),
    ("POST", "/v1/rerank"),
    ("GET", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/proxy/anything"),
    ("OPTIONS", "/v1/chat/completions"),
    ("GET", "/metrics"),
    ("GET", "/targets"),
    ("GET", "/api/v1/keys"),
    ("GET", "/"),
    ("GET", "//health"),
    ("GET", "/health/"),
    ("GET", "/%68ealth"),
    ("GET", "/HEALTH"),
    ("GET", "/v1/../health"),
    ("GET", "/health/../v1/models"),
    ("GET", "/v1/%2e%2e/health"),
    ("GET", "/health;x"),
    ("GET", "http://gateway.test/v1/models"),
];

#[tokio::test(start_paused = true)]
async fn nothing_but_health_and_ready_is_open_without_a_key() {
    let (record, text) = key(json!({"name": "app"}));
    let house = House::with_keys(&["primary", "second"], &two_routes(), vec![record]);
    let wrong = format!("Bearer {}", draw_text(&text.id()).unwrap().expose());
    let mut table = Table::default();
    for (method, path) in PATHS {
        let row = async {
            for headers in [
                &[][..],
                &[("authorization", "Bearer client")],
                &[("x-api-key", &wrong[7..])],
            ] {
                let reply = house
                    .send_bare(method.parse().unwrap(), path, headers, "{}".into())
                    .await;
                assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{headers:?}");
                assert_eq!(reply.header("www-authenticate"), "Bearer");
                assert_eq!(reply.header("x-should-retry"), "false");
                let told = String::from_utf8_lossy(&reply.body).into_owned();
                assert!(!told.contains(text.id().as_str()), "{told}");
            }
        };
        table.row(&format!("{method} {path}"), row).await;
    }
    table.done();
    for path in ["/health", "/ready", "/health?x=1"] {
        let reply = house.send_bare(Method::GET, path, &[], "".into()).await;
        assert_ne!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(house.attempts("primary") + house.attempts("second"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_read_from_every_header_and_two_that_differ_are_refused_everywhere() {
    let (record, text) = key(json!({"name": "app"}));
    let (other, second) = key(json!({"name": "restricted", "routes": ["fast"]}));
    let house = House::with_keys(&["primary", "second"], &two_routes(), vec![record, other]);
    let (good, bad) = (text.expose(), second.expose());
    let written = |name: &str, key: &str| match name {
        "authorization" => format!("Bearer {key}"),
        _ => key.to_owned(),
    };
    const NAMES: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    let gemini = "/v1beta/models/chat:generateContent";
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).to_string();
    let messages =
        json!({"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let input = json!({"model": "chat", "input": "Hello"}).to_string();
    let endpoints = [
        (Method::POST, "/v1/chat/completions", chat("chat", false).to_string()),
        (Method::POST, "/v1/responses", input),
        (Method::POST, "/v1/messages", messages),
        (Method::POST, gemini, contents.clone()),
        (Method::GET, "/v1/models", String::new()),
    ];
    let mut table = Table::default();
    for (method, path, body) in &endpoints {
        for a in NAMES {
            let row = async {
                let value = written(a, good);
                let reply = house
                    .send_bare(method.clone(), path, &[(a, &value), VERSION], body.clone().into())
                    .await;
                assert_eq!(reply.status, StatusCode::OK, "{}", String::from_utf8_lossy(&reply.body));
            };
            table.row(&format!("{path} {a}"), row).await;
            for b in NAMES {
                let row = async {
                    for (one, two) in [(good, bad), (bad, good), (good, "client"), ("client", good)] {
                        let (one, two) = (written(a, one), written(b, two));
                        let headers = [(a, one.as_str()), (b, two.as_str()), VERSION];
                        let reply = house
                            .send_bare(method.clone(), path, &headers, body.clone().into())
                            .await;
                        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
                    }
                };
                table.row(&format!("{path} {a} and {b}"), row).await;
            }
        }
    }
    table.done();
    let with_query = |key: &str| format!("{gemini}?key={key}");
    let rows = [
        (with_query(good), None, StatusCode::OK),
        (with_query(good), Some(good), StatusCode::OK),
        (with_query(good), Some(bad), StatusCode::UNAUTHORIZED),
        (with_query(bad), Some(good), StatusCode::UNAUTHORIZED),
        (with_query(bad), None, StatusCode::FORBIDDEN),
        // Elsewhere the query is no place for a key: it ends up in logs.
        (format!("/v1/models?key={good}"), None, StatusCode::UNAUTHORIZED),
    ];
    for (path, header, wanted) in rows {
        let headers: Vec<(&str, &str)> = header.map(|key| ("x-goog-api-key", key)).into_iter().collect();
        let method = if path.starts_with(gemini) {
            Method::POST
        } else {
            Method::GET
        };
        let reply = house.send_bare(method, &path, &headers, contents.clone().into()).await;
        assert_eq!(reply.status, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_clients_key_never_goes_upstream() {
    let (record, text) = key(json!({"name": "app", "permissions": {"files": true}}));
    let yaml = two_routes() + "passthrough: { files: true, batches: true, provider: primary }\n";
    let house = House::with_keys(&["primary", "second"], &yaml, vec![record]);
    let (secret, bearer) = (text.expose(), format!("Bearer {}", text.expose()));
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).to_string();
    let gemini = format!("/v1beta/models/chat:generateContent?key={secret}");
    let files = format!("/v1/files?key={secret}&purpose=batch");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-api-key", secret),
        ("api-key", secret),
        ("x-goog-api-key", secret),
        ("anthropic-version", "2023-06-01"),
    ];
    for (method, path, body) in [
        (Method::POST, "/v1/chat/completions", chat("chat", false).to_string()),
        (Method::POST, "/v1/chat/completions", chat("fast", true).to_string()),
        (Method::POST, "/v1/messages", {
            json!({"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}).to_string()
        }),
        (Method::POST, &gemini, contents),
        (Method::GET, &files, String::new()),
    ] {
        house.send_bare(method, path, &headers, body.into()).await;
    }
    let mut seen = 0;
    for name in ["primary", "second"] {
        for entry in house.fake(name).log().entries() {
            seen += 1;
            let told = format!("{entry:?}");
            assert!(!told.contains(secret) && !told.contains(&secret[16..]), "{told}");
        }
    }
    assert!(seen >= 5, "{seen}");
    let log = house.log_text().await + &house.metrics();
    assert!(!log.contains(&secret[16..]));
}

#[tokio::test(start_paused = true)]
async fn a_key_reaches_what_it_names_through_no_other_name() {
    let (only_fast, fast) = key(json!({"name": "fast", "routes": ["fast"]}));
    let (only_primary, primary) = key(json!({"name": "primary", "targets": ["primary/*"]}));
    let (chat_on_primary, both) = key(json!({"name": "both", "routes": ["chat"], "targets": ["primary/*"]}));
    let (nothing, none) = key(json!({"name": "none", "routes": []}));
    let (all, every) = key(json!({"name": "all"}));
    let records = vec![only_fast, only_primary, chat_on_primary, nothing, all];
    let house = House::with_keys(&["primary", "second"], &two_routes(), records);
    let names = [
        "chat",
        "gpt-4o",
        "gpt-4o-mini",
        "fast",
        "primary/a",
        "second/b",
        "nowhere",
    ];
    let rows = [
        (&fast, [403, 403, 403, 200, 403, 403, 404]),
        (&primary, [200, 200, 200, 403, 200, 403, 404]),
        (&both, [200, 200, 200, 403, 200, 403, 404]),
        (&none, [403, 403, 403, 403, 403, 403, 404]),
        (&every, [200, 200, 200, 200, 200, 200, 404]),
    ];
    for (text, wanted) in rows {
        let mut told = Vec::new();
        for name in names {
            let reply = ask(&house, text.expose(), name).await;
            if reply.status == StatusCode::FORBIDDEN {
                assert_eq!(reply.json()["error"]["code"], "permission_denied");
                assert_eq!(reply.json()["error"]["type"], "permission_error");
            }
            told.push(reply.status.as_u16());
        }
        assert_eq!(told, wanted, "{text:?}");
        let bearer = format!("Bearer {}", text.expose());
        let headers = [("authorization", bearer.as_str())];
        let listed = house
            .send_bare(Method::GET, "/v1/models", &headers, "".into())
            .await
            .json();
        let listed: Vec<&str> = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["id"].as_str().unwrap())
            .collect();
        for (name, status) in names.iter().zip(wanted) {
            let one = house
                .send_bare(Method::GET, &format!("/v1/models/{name}"), &headers, "".into())
                .await;
            // Patterns and targets without a row in the catalog are never listed.
            assert!(!listed.contains(name) || status == 200, "{text:?} sees {name}");
            assert_eq!(one.status == StatusCode::OK, listed.contains(name), "{text:?} {name}");
            assert!(status != 200 || !["chat", "gpt-4o", "fast"].contains(name) || listed.contains(name));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_near_to_a_wrong_name_is_only_told_of_what_the_key_may_name() {
    let (record, text) = key(json!({"name": "fast", "routes": ["fast"]}));
    let house = House::with_keys(&["primary", "second"], &two_routes(), vec![record]);
    let told = ask(&house, text.expose(), "chatt").await.json().to_string();
    assert!(!told.contains("`chat`"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn files_and_batches_need_the_operators_word_and_the_keys() {
    let (may, allowed) = key(json!({"name": "files", "permissions": {"files": true}}));
    let (may_not, refused) = key(json!({"name": "plain"}));
    for (open, wanted) in [("true", [200, 403]), ("false", [403, 403])] {
        let yaml = two_routes() + &format!("passthrough: {{ files: {open}, batches: {open}, provider: primary }}\n");
        let house = House::with_keys(&["primary", "second"], &yaml, vec![may.clone(), may_not.clone()]);
        for (text, wanted) in [&allowed, &refused].into_iter().zip(wanted) {
            for path in ["/v1/files", "/v1/batches"] {
                let reply = house
                    .send_bare(Method::GET, path, &[("api-key", text.expose())], "".into())
                    .await;
                let forbidden = reply.status == StatusCode::FORBIDDEN;
                assert_eq!(forbidden, wanted == 403, "{path} {open} {text:?}: {}", reply.status);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_dialect_is_refused_in_its_own_shape() {
    let (mut expired, text) = key(json!({"name": "app"}));
    expired.expires = Some(UnixMillis(WALL.0 - 1));
    let (limited, named) = key(json!({"name": "app", "routes": []}));
    let house = House::with_keys(&["primary", "second"], &two_routes(), vec![expired, limited]);
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
    let messages = json!({"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]});
    let rows = [
        (
            "/v1/chat/completions",
            chat("chat", false),
            "/error/type",
            "authentication_error",
            "permission_error",
        ),
        (
            "/v1/responses",
            json!({"model": "chat", "input": "x"}),
            "/error/type",
            "authentication_error",
            "permission_error",
        ),
        (
            "/v1/messages",
            messages,
            "/error/type",
            "authentication_error",
            "permission_error",
        ),
        (
            "/v1beta/models/chat:generateContent",
            contents,
            "/error/status",
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
        ),
    ];
    for (path, body, place, unknown, denied) in rows {
        for (text, status, word) in [(&text, 401, unknown), (&named, 403, denied)] {
            let reply = house
                .send_bare(
                    Method::POST,
                    path,
                    &[("x-api-key", text.expose()), VERSION],
                    body.to_string().into(),
                )
                .await;
            assert_eq!(reply.status.as_u16(), status, "{path}");
            assert_eq!(reply.json().pointer(place), Some(&json!(word)), "{path}");
        }
    }
    assert_eq!(house.metric(&["jumpseat_denied_total", "expired"]), 4.0);
}

#[tokio::test(start_paused = true)]
async fn two_keys_that_share_twenty_letters_are_two() {
    let (a, _) = key(json!({"name": "a"}));
    // The id is fifteen letters, and every key of the same id shares them: only the secret tells keys apart.
    let right = draw_text(&a.id).unwrap();
    let mut record = a.clone();
    record.digests[0].sha256 = right.digest_hex();
    let house = House::with_keys(&["primary", "second"], &two_routes(), vec![record]);
    let forged = format!(
        "{}{}",
        &right.expose()[..58],
        if right.expose().ends_with('A') { 'B' } else { 'A' }
    );
    assert_eq!(ask(&house, &forged, "chat").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&house, right.expose(), "chat").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_shown_or_named_is_only_text() {
    const CORPUS: [&str; 8] = [
        "' OR '1'='1",
        "js-abcdefgh2345' OR 1=1 --",
        "\"; DROP TABLE keys; --",
        "1) UNION SELECT sha256 FROM keys",
        "admin'/*",
        "%27%20OR%201=1",
        "\\x27 OR 1=1",
        "$(touch x)`id`",
    ];
    let (record, text) = key(json!({"name": "app"}));
    let house = House::with_keys(&["primary", "second"], &two_routes(), vec![record]);
    for attack in CORPUS {
        let bearer = format!("Bearer {attack}");
        for (name, value) in [
            ("authorization", bearer.as_str()),
            ("x-api-key", attack),
            ("api-key", attack),
        ] {
            let reply = house
                .send_bare(Method::GET, "/v1/models", &[(name, value)], "".into())
                .await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{name}: {attack}");
        }
        assert_eq!(
            ask(&house, text.expose(), attack).await.status,
            StatusCode::NOT_FOUND,
            "{attack}"
        );
        let mut body = chat("chat", false);
        body["user"] = attack.into();
        body["metadata"] = json!({ attack: attack });
        let headers = [
            ("api-key", text.expose()),
            ("x-jumpseat-tags", attack),
            ("x-jumpseat-session", attack),
        ];
        let reply = house
            .send_bare(Method::POST, "/v1/chat/completions", &headers, body.to_string().into())
            .await;
        assert!(reply.status.as_u16() < 500, "{attack}: {}", reply.status);
    }
    assert_eq!(ask(&house, text.expose(), "chat").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn without_keys_whatever_is_shown_is_not_looked_at() {
    let house = House::new(
        &["primary", "second", "third"],
        &three("openai_chat", "tiers: [{ targets: [primary/a] }]"),
    );
    for headers in [
        &[][..],
        &[("x-api-key", "a"), ("api-key", "b")],
        &[("authorization", "Basic x")],
    ] {
        let reply = house
            .send_bare(
                Method::POST,
                "/v1/chat/completions",
                headers,
                chat("chat", false).to_string().into(),
            )
            .await;
        assert_eq!(reply.status, StatusCode::OK);
    }
}
