//! The admin listener: who may ask what, and what is never told.

use std::path::PathBuf;

use http::{Method, StatusCode};
use jumpseat_gateway::admin::api::route::Needs;
use jumpseat_gateway::admin::api::table;
use jumpseat_gateway::config::admin::Role;
use serde_json::{Value, json};
use store::records::keys::KeyRecord;

use crate::house::{House, MADE_TOKEN, Reply, Table, chat, provider};
use crate::keys::key;

const VIEWER: &str = "viewer-token-of-32-letters-at-all";
const OPERATOR: &str = "operator-token-of-32-letters-all";
const ADMIN: &str = "admin-token-of-32-letters-at-all!";
const MEMORY: &str = "sqlite::memory:";

fn house_yaml(more: &str) -> String {
    format!(
        "{more}\nproviders:\n{}routes:\n  chat: {{ tiers: [{{ targets: [primary/a] }}] }}\n",
        provider("primary", "openai_chat"),
    )
}

fn tokens() -> String {
    format!(
        "admin:\n  tokens:\n    grafana: {{ token: {VIEWER}, role: viewer }}\n    ops: {{ token: {OPERATOR}, role: operator }}\n    \
         root: {{ token: {ADMIN}, role: admin }}\n"
    )
}

async fn house(more: &str) -> House {
    House::with_store(&["primary"], &house_yaml(more), None, MEMORY).await
}

async fn call(house: &House, text: &str) -> Reply {
    let bearer = format!("Bearer {text}");
    let body = chat("chat", false).to_string().into();
    let headers = [("authorization", bearer.as_str())];
    house
        .send_bare(Method::POST, "/v1/chat/completions", &headers, body)
        .await
}

async fn made(house: &House, draft: Value) -> (String, String) {
    let reply = house.admin(Method::POST, "/api/v1/keys", ADMIN, draft).await;
    assert_eq!(
        reply.status,
        StatusCode::CREATED,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let issued = reply.json();
    let id = issued["details"]["id"].as_str().unwrap().to_owned();
    (issued["key"].as_str().unwrap().to_owned(), id)
}

/// What there is, each with who may. A line that is new here is a decision.
#[test]
fn the_table_of_what_there_is() {
    let told: Vec<String> = table(None)
        .iter()
        .map(|row| {
            let needs = match row.needs {
                Needs::Nobody => "nobody",
                Needs::Watcher => "watcher",
                Needs::Role(role) => role.as_str(),
            };
            format!("{needs}: {} {}", row.method, row.path)
        })
        .collect();
    let wanted = [
        "nobody: GET /health",
        "nobody: GET /ready",
        "watcher: GET /metrics",
        "watcher: GET /targets",
        "viewer: GET /api/openapi.json",
        "viewer: GET /api/v1/whoami",
        "viewer: GET /api/v1/targets",
        "viewer: GET /api/v1/config",
        "operator: POST /api/v1/reload",
        "admin: GET /api/v1/keys",
        "admin: POST /api/v1/keys",
        "admin: GET /api/v1/keys/{id}",
        "admin: PATCH /api/v1/keys/{id}",
        "admin: DELETE /api/v1/keys/{id}",
        "admin: POST /api/v1/keys/{id}/rotate",
        "viewer: GET /api/v1/key-names",
        "admin: GET /api/v1/audit",
        "viewer: GET /api/v1/calls",
    ];
    for row in wanted {
        assert!(told.iter().any(|told| told == row), "`{row}` is gone");
    }
    // Whatever changes something or tells of keys is not for viewers.
    for row in table(None) {
        let quiet = row.method == Method::GET && !row.path.starts_with("/api/v1/keys");
        let viewers = matches!(row.needs, Needs::Nobody | Needs::Watcher | Needs::Role(Role::Viewer));
        assert!(quiet || !viewers, "{} {} is for viewers", row.method, row.path);
        let keys = row.path.starts_with("/api/v1/keys") || row.path.starts_with("/api/v1/audit");
        assert!(
            !keys || row.needs == Needs::Role(Role::Admin),
            "{} is not for admins alone",
            row.path
        );
    }
}

#[tokio::test]
async fn every_row_is_shut_to_who_may_not_and_a_key_for_calls_opens_nothing() {
    let house = house(&tokens()).await;
    let (text, id) = made(&house, json!({"name": "app"})).await;
    let unknown = format!("js-a{}", &text[4..]);
    let shown: [(Option<&str>, Option<Role>); 8] = [
        (None, None),
        (Some("wrong-token-of-32-letters-at-all!"), None),
        (Some(MADE_TOKEN), None),
        (Some(&text), None),
        (Some(&unknown), None),
        (Some(VIEWER), Some(Role::Viewer)),
        (Some(OPERATOR), Some(Role::Operator)),
        (Some(ADMIN), Some(Role::Admin)),
    ];
    let mut table_of_rows = Table::default();
    for row in table(None) {
        let path = row.path.replace("{id}", &id);
        for (token, role) in shown {
            let name = format!("{} {path} with {token:?}", row.method);
            let bearer = format!("Bearer {}", token.unwrap_or_default());
            let mut headers = vec![("host", "localhost")];
            if token.is_some() {
                headers.push(("authorization", bearer.as_str()));
            }
            let allowed = match row.needs {
                Needs::Nobody => true,
                Needs::Watcher => role.is_some(),
                Needs::Role(least) => role >= Some(least),
            };
            // What may be done is not done here: it would end the key the next rows ask with.
            if allowed && row.method != Method::GET {
                continue;
            }
            let case = async {
                let reply = house.admin_with(row.method.clone(), &path, &headers, "".into()).await;
                let key = token.is_some_and(|token| token.starts_with("js-"));
                let wanted = match (allowed, role.is_some() || key) {
                    (true, _) => None,
                    (false, true) => Some(StatusCode::FORBIDDEN),
                    (false, false) => Some(StatusCode::UNAUTHORIZED),
                };
                match wanted {
                    Some(status) => assert_eq!(reply.status, status),
                    None => assert!(
                        ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&reply.status),
                        "{}",
                        reply.status
                    ),
                }
            };
            table_of_rows.row(&name, case).await;
        }
    }
    table_of_rows.done();
}

#[tokio::test]
async fn without_tokens_metrics_are_open_on_loopback_and_the_api_takes_the_token_that_was_made() {
    let house = house("").await;
    for path in ["/metrics", "/targets", "/health", "/ready"] {
        let reply = house.ask_admin(path, "localhost").await;
        assert!(reply.status != StatusCode::UNAUTHORIZED, "{path}: {}", reply.status);
    }
    assert_eq!(
        house.ask_admin("/api/v1/whoami", "localhost").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        house.ask_admin("/api/v1/nothing", "localhost").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        house.ask_admin("/nothing", "localhost").await.status,
        StatusCode::NOT_FOUND
    );
    let whoami = house
        .admin(Method::GET, "/api/v1/whoami", MADE_TOKEN, Value::Null)
        .await;
    assert_eq!(whoami.json(), json!({"name": "admin.token", "role": "admin"}));
    let (record, text) = key(json!({"name": "app"}));
    let _: KeyRecord = record;
    for path in ["/metrics", "/targets", "/api/v1/whoami"] {
        let reply = house.admin(Method::GET, path, text.expose(), Value::Null).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_key_is_asked_for_from_its_making_to_its_end() {
    let house = house(&tokens()).await;
    assert_eq!(call(&house, "anything").await.status, StatusCode::OK);
    let (text, id) = made(&house, json!({"name": "app", "tags": ["team:web"], "routes": ["chat"]})).await;
    assert_eq!(call(&house, "anything").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&house, &text).await.status, StatusCode::OK);

    let one = format!("/api/v1/keys/{id}");
    let patched = house
        .admin(Method::PATCH, &one, ADMIN, json!({"routes": ["other"], "owner": "web"}))
        .await;
    assert_eq!(patched.json()["owner"], "web");
    assert_eq!(call(&house, &text).await.status, StatusCode::FORBIDDEN);
    house.admin(Method::PATCH, &one, ADMIN, json!({"routes": null})).await;
    assert_eq!(call(&house, &text).await.status, StatusCode::OK);

    let rotated = house
        .admin(Method::POST, &format!("{one}/rotate"), ADMIN, json!({"grace": "1h"}))
        .await
        .json();
    let second = rotated["key"].as_str().unwrap();
    assert!(second.starts_with(&id) && second != text);
    let until = rotated["details"]["old_secret_until"].as_str().unwrap();
    assert!(until.starts_with("2026-11-21T01:00:0"), "{until}");
    assert_eq!(call(&house, &text).await.status, StatusCode::OK);
    assert_eq!(call(&house, second).await.status, StatusCode::OK);
    let third = house
        .admin(Method::POST, &format!("{one}/rotate"), ADMIN, Value::Null)
        .await
        .json();
    let third = third["key"].as_str().unwrap();
    assert_eq!(call(&house, &text).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&house, second).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&house, third).await.status, StatusCode::OK);

    let revoked = house.admin(Method::DELETE, &one, ADMIN, Value::Null).await;
    assert_eq!(revoked.json()["state"], "revoked");
    assert_eq!(call(&house, third).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        call(&house, "anything").await.status,
        StatusCode::UNAUTHORIZED,
        "no key is left, and the door stays shut"
    );
    for (method, path) in [(Method::PATCH, one.clone()), (Method::POST, format!("{one}/rotate"))] {
        let reply = house.admin(method, &path, ADMIN, json!({})).await;
        assert_eq!(reply.status, StatusCode::CONFLICT);
    }

    let audit = house
        .admin(Method::GET, "/api/v1/audit?limit=100", ADMIN, Value::Null)
        .await
        .json();
    let told: Vec<String> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            format!(
                "{} {} {}",
                e["actor"].as_str().unwrap(),
                e["role"].as_str().unwrap(),
                e["action"].as_str().unwrap()
            )
        })
        .collect();
    let wanted = ["revoke", "rotate", "rotate", "update", "update", "create"].map(|w| format!("root admin key.{w}"));
    assert_eq!(told, wanted);
    let first = &audit["entries"][4];
    assert_eq!(
        (&first["before"]["routes"], &first["after"]["routes"]),
        (&json!(["chat"]), &json!(["other"]))
    );
    let page = house
        .admin(Method::GET, "/api/v1/audit?limit=2", ADMIN, Value::Null)
        .await
        .json();
    let next = format!("/api/v1/audit?limit=2&before={}", page["next"].as_str().unwrap());
    let page = house.admin(Method::GET, &next, ADMIN, Value::Null).await.json();
    assert_eq!(page["entries"][0]["action"], "key.rotate");
    let names = house
        .admin(Method::GET, "/api/v1/key-names", VIEWER, Value::Null)
        .await
        .json();
    assert_eq!(names, json!({"keys": [{"id": id, "name": "app"}]}));
}

#[tokio::test]
async fn no_answer_tells_a_secret_or_a_digest() {
    let canary = "canary-password";
    let more = format!(
        "{}store: {{ url: \"postgres://user:{canary}@db/x\" }}\nshared: {{ url: \"redis://:{canary}@r:1\" }}\n",
        tokens()
    );
    let house = house(&more).await;
    let (first, id) = made(
        &house,
        json!({"name": "app", "budgets": {"d": {"limit_usd": 1, "window": "day", "unpriced": "allow"}}}),
    )
    .await;
    let rotated = house
        .admin(
            Method::POST,
            &format!("/api/v1/keys/{id}/rotate"),
            ADMIN,
            json!({"grace": "1h"}),
        )
        .await
        .json();
    let second = rotated["key"].as_str().unwrap();
    assert_eq!(call(&house, second).await.status, StatusCode::OK);
    let mut texts = vec![house.log_text().await, rotated["details"].to_string()];
    for row in table(None).iter().filter(|row| row.method == Method::GET) {
        let path = row.path.replace("{id}", &id);
        let reply = house.admin(Method::GET, &path, ADMIN, Value::Null).await;
        assert!(
            reply.status.is_success() || path == "/ready",
            "{path}: {}",
            reply.status
        );
        texts.push(format!("{path}: {}", String::from_utf8_lossy(&reply.body)));
    }
    for text in texts {
        for secret in [&first[16..], &second[16..], ADMIN, VIEWER, "secret-primary", canary] {
            assert!(!text.contains(secret), "{text}");
        }
        let digest = text.split(|c: char| !c.is_ascii_hexdigit()).find(|run| run.len() >= 40);
        assert_eq!(digest, None, "{text}");
    }
}

#[tokio::test]
async fn the_database_holds_no_secret_after_a_key_was_made() {
    let folder = Folder::new("secret");
    let file = folder.0.join("j.db");
    let house = House::with_store(
        &["primary"],
        &house_yaml(&tokens()),
        None,
        &format!("sqlite:{}", file.display()),
    )
    .await;
    let (text, id) = made(&house, json!({"name": "needle-in-the-database"})).await;
    assert_eq!(call(&house, &text).await.status, StatusCode::OK);
    let mut found = false;
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let holds = |needle: &str| bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
        assert!(!holds(&text[16..]));
        found |= holds("needle-in-the-database") && holds(&id);
    }
    assert!(found, "the test looks at the right files");
}

#[tokio::test]
async fn a_second_gateway_on_the_store_knows_its_keys() {
    let folder = Folder::new("second");
    let url = format!("sqlite:{}", folder.0.join("j.db").display());
    let first = House::with_store(&["primary"], &house_yaml(&tokens()), None, &url).await;
    let (text, _) = made(&first, json!({"name": "app"})).await;
    let second = House::with_store(&["primary"], &house_yaml(&tokens()), None, &url).await;
    assert_eq!(call(&second, &text).await.status, StatusCode::OK);
    assert_eq!(call(&second, "anything").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn hosts_and_paths_are_what_they_are_and_nothing_more() {
    let house = house(&tokens()).await;
    let bearer = format!("Bearer {ADMIN}");
    let rows = [
        ("localhost", "/api/v1/whoami", 200),
        ("LOCALHOST:4001", "/api/v1/whoami", 200),
        ("127.0.0.1:4001", "/api/v1/whoami", 200),
        ("[::1]:4001", "/api/v1/whoami", 200),
        ("evil.example", "/api/v1/whoami", 421),
        ("127.0.0.1.evil.example", "/api/v1/whoami", 421),
        ("localhost.evil.example", "/api/v1/whoami", 421),
        ("localhost/#@x", "/api/v1/whoami", 400),
        ("localhost@evil.example", "/api/v1/whoami", 400),
        ("localhost", "http://evil.example/api/v1/whoami", 421),
        ("localhost", "http://localhost/api/v1/whoami", 200),
        ("localhost", "//api/v1/whoami", 404),
        ("localhost", "/api//v1/whoami", 404),
        ("localhost", "/API/v1/whoami", 404),
        ("localhost", "/api/v1/WhoAmI", 404),
        ("localhost", "/api/v1/whoami/", 404),
        ("localhost", "/api/v1/%77hoami", 404),
        ("localhost", "/api/v1/x/../whoami", 404),
        ("localhost", "/api/v1/%2e%2e/v1/whoami", 404),
        ("localhost", "/api/v1/keys/%2e%2e", 404),
        ("localhost", "/api/v1/keys/..", 404),
        ("localhost", "/health/../api/v1/whoami", 404),
        ("localhost", "/v1/chat/completions", 404),
    ];
    for (host, path, wanted) in rows {
        let headers = [("host", host), ("authorization", bearer.as_str())];
        let reply = house.admin_with(Method::GET, path, &headers, "".into()).await;
        assert_eq!(reply.status.as_u16(), wanted, "{host} {path}");
        // And without a token the same request gets nothing that the open pages do not give.
        let reply = house.admin_with(Method::GET, path, &headers[..1], "".into()).await;
        assert!(reply.status.as_u16() >= 400, "{host} {path}: {}", reply.status);
    }
    for (a, b) in [(ADMIN, VIEWER), (VIEWER, ADMIN)] {
        let bearer = format!("Bearer {a}");
        let headers = [
            ("host", "localhost"),
            ("authorization", bearer.as_str()),
            ("x-api-key", b),
        ];
        let reply = house.admin_with(Method::GET, "/api/v1/keys", &headers, "".into()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let house = house(&tokens()).await;
    let bearer = format!("Bearer {ADMIN}");
    let rows = [
        (("origin", "http://localhost:4001"), 201),
        (("origin", "http://evil.example"), 403),
        (("origin", "null"), 403),
        (("origin", "http://localhost:4001.evil.example"), 403),
        (("origin", "http://localhost:9999"), 403),
        (("sec-fetch-site", "same-origin"), 201),
        (("sec-fetch-site", "none"), 201),
        (("sec-fetch-site", "cross-site"), 403),
        (("sec-fetch-site", "same-site"), 403),
        (("content-type", "text/plain"), 415),
        (("content-type", "application/x-www-form-urlencoded"), 415),
        (("content-type", "application/json; charset=utf-8"), 201),
    ];
    for (header, wanted) in rows {
        let headers = [("host", "localhost:4001"), ("authorization", bearer.as_str()), header];
        let reply = house
            .admin_with(Method::POST, "/api/v1/keys", &headers, r#"{"name": "app"}"#.into())
            .await;
        assert_eq!(reply.status.as_u16(), wanted, "{header:?}");
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
        assert_eq!(reply.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_field() {
    let house = house(&tokens()).await;
    let rows = [
        (json!({"name": "a", "limts": {}}), 400, "limts"),
        (json!({"name": 5}), 400, "name"),
        (json!({"name": "a", "networks": ["10.0.0.1/8"]}), 400, "networks"),
        (
            json!({"name": "a", "limits": {"concurrent": -1}}),
            400,
            "limits.concurrent",
        ),
        (json!({"name": "a", "expires": "2020-01-01T00:00:00Z"}), 400, "expires"),
    ];
    for (body, status, field) in rows {
        let reply = house.admin(Method::POST, "/api/v1/keys", ADMIN, body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{body}");
        assert_eq!(reply.json()["error"]["field"], field, "{body}: {}", reply.json());
    }
    let unknown = house
        .admin(Method::GET, "/api/v1/keys/js-nobody", ADMIN, Value::Null)
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    for query in ["limit=x", "limt=1", "after=x", "since=yesterday"] {
        let reply = house
            .admin(Method::GET, &format!("/api/v1/calls?{query}"), ADMIN, Value::Null)
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
    }
    let long = format!("{{\"name\": \"{}\"}}", "a".repeat(2 << 20));
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("host", "localhost"), ("authorization", bearer.as_str())];
    let reply = house
        .admin_with(Method::POST, "/api/v1/keys", &headers, long.into())
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_operator_reloads_and_the_audit_log_tells_of_it() {
    let folder = Folder::new("reload");
    let file = folder.0.join("jumpseat.yaml");
    let yaml = house_yaml(&tokens());
    std::fs::write(&file, &yaml).unwrap();
    let house = House::with_store(&["primary"], &yaml, Some(file.clone()), MEMORY).await;
    let reload = || house.admin(Method::POST, "/api/v1/reload", OPERATOR, Value::Null);
    assert_eq!(reload().await.json(), json!({"generation": 2}));
    std::fs::write(&file, "routes: 5").unwrap();
    assert_eq!(reload().await.status, StatusCode::UNPROCESSABLE_ENTITY);
    // A token that is gone from the file is gone from the door.
    std::fs::write(&file, yaml.replace(VIEWER, "another-token-of-32-letters-here")).unwrap();
    assert_eq!(reload().await.json(), json!({"generation": 3}));
    let gone = house.admin(Method::GET, "/api/v1/whoami", VIEWER, Value::Null).await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
    let audit = house
        .admin(Method::GET, "/api/v1/audit", ADMIN, Value::Null)
        .await
        .json();
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{audit}");
    assert_eq!(
        (&entries[0]["actor"], &entries[0]["action"]),
        (&json!("ops"), &json!("config.reload"))
    );
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("jumpseat-admin-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
