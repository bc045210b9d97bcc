//! Clouds: deployments in paths, tokens that are fetched, kept and renewed, signatures, and keys that commands and files give.

use std::time::Duration;

use base64::Engine;
use fake::LogEntry;
use jumpseat_gateway::config::env::MapEnv;
use serde_json::json;
use tokio::time::sleep;

use crate::house::{House, chat};

const ROUTES: &str = "routes:\n  chat:\n    tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]\n  alone:\n    tiers: [{ targets: [primary/alpha] }]\n";
const NAMES: [&str; 2] = ["primary", "second"];
const KEY: &str = include_str!("../data/service-account-key.pem");

fn yaml(primary: &str) -> String {
    let second = "  second: { dialect: openai_chat, base_url: \"http://second.test/v1\", api_key: secret-second }\n";
    format!("providers:\n  primary: {primary}\n{second}{ROUTES}")
}

fn house(primary: &str, env: MapEnv) -> House {
    House::in_env(&NAMES, &yaml(primary), env)
}

/// What came to the provider: its calls, and what asked for tokens, apart.
fn calls(house: &House) -> Vec<LogEntry> {
    let mut entries = house.fake("primary").log().entries();
    entries.retain(|entry| !entry.model.starts_with("token:"));
    entries
}

fn tokens(house: &House, name: &str) -> usize {
    let entries = house.fake("primary").log().entries();
    entries.iter().filter(|entry| entry.model == name).count()
}

fn google_file(env: &mut MapEnv) {
    let file = json!({
        "type": "service_account", "project_id": "our-project", "private_key_id": "k1", "private_key": KEY,
        "client_email": "a@our-project.iam.gserviceaccount.com", "token_uri": "http://primary.test/token",
    });
    env.files.insert("/run/google.json".into(), file.to_string());
}

/// Configurations whose tokens the fake issues, with the name they are counted by and the form they have.
fn token_kinds() -> Vec<(&'static str, &'static str, MapEnv, &'static str)> {
    let mut google = MapEnv::default();
    google_file(&mut google);
    let vertex = "{ vertex: { project: p, location: us-east5 }, base_url: \"http://primary.test\"";
    vec![
        (
            "token:google",
            Box::leak(format!("{vertex}, api_key: {{ service_account: /run/google.json }} }}").into_boxed_str()),
            google.clone(),
            "Bearer ya29.",
        ),
        (
            "token:google",
            Box::leak(format!("{vertex}, dialect: anthropic_messages }}").into_boxed_str()),
            MapEnv {
                vars: MapEnv::of([("GOOGLE_APPLICATION_CREDENTIALS", "/run/google.json")]).vars,
                ..google
            },
            "Bearer ya29.",
        ),
        (
            "token:google-metadata",
            Box::leak(format!("{vertex}, api_key: {{ metadata: true }} }}").into_boxed_str()),
            MapEnv::of([("GCE_METADATA_HOST", "primary.test")]),
            "Bearer ya29.",
        ),
        (
            "token:entra",
            "{ azure: { api_version: \"2024-10-21\" }, base_url: \"http://primary.test\", api_key: { entra: { tenant_id: t, client_id: c, client_secret: canary-secret, authority: \"http://primary.test\" } } }",
            MapEnv::default(),
            "Bearer eyJ0.",
        ),
        (
            "token:sts",
            "{ aws: { region: us-east-1, role_arn: \"arn:aws:iam::1:role/r\" }, base_url: \"http://primary.test\", api_key: { aws: { access_key_id: AKIAFAKE, secret_access_key: fake-secret } } }",
            MapEnv::of([("AWS_ENDPOINT_URL_STS", "http://primary.test/sts")]),
            "AWS4-HMAC-SHA256 Credential=AKIAFAKE/20261121/us-east-1/bedrock/aws4_request",
        ),
        (
            "token:sts",
            "{ aws: { region: us-east-1 }, base_url: \"http://primary.test\" }",
            {
                let mut env = MapEnv::of([
                    ("AWS_ENDPOINT_URL_STS", "http://primary.test/sts"),
                    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token"),
                    ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
                ]);
                env.files.insert("/run/token".into(), "eyJ.token.x\n".into());
                env
            },
            "AWS4-HMAC-SHA256 Credential=AKIAFAKE/20261121/us-east-1/bedrock/aws4_request",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn tokens_are_fetched_once_for_many_calls_kept_and_renewed_before_their_end() {
    for (counted, primary, env, shown) in token_kinds() {
        let house = house(primary, env);
        let (first, second) = (chat("chat", false), chat("chat", true));
        let (a, b) = tokio::join!(house.call(&first), house.call(&second));
        for reply in [&a, &b] {
            assert_eq!(
                reply.header("x-jumpseat-target"),
                "primary/alpha",
                "{primary}: {reply:?}"
            );
            assert_eq!(reply.status, 200, "{primary}");
        }
        assert_eq!(tokens(&house, counted), 1, "{primary}: one fetch for both");
        sleep(Duration::from_secs(1800)).await;
        house.call(&first).await;
        assert_eq!(tokens(&house, counted), 1, "{primary}: kept");
        if counted != "token:sts" {
            // AWS's dates are the machine's, which the paused clock knows nothing of.
            sleep(Duration::from_secs(1600)).await;
            house.call(&first).await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(tokens(&house, counted), 2, "{primary}: renewed beside the call");
            sleep(Duration::from_secs(300)).await;
            let reply = house.call(&first).await;
            assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{primary}");
        }
        for entry in calls(&house) {
            assert!(
                entry.headers["authorization"].starts_with(shown),
                "{primary}: {entry:?}"
            );
        }
        let log = house.log_text().await;
        for secret in ["fake-token", "canary", "PRIVATE KEY", "fake-secret", "AWS4-HMAC"] {
            assert!(!log.contains(secret), "{primary}: {secret} in {log}");
            assert!(!house.metrics().contains(secret), "{primary}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_is_fetched_anew_once_within_the_same_attempt() {
    for (counted, primary, env, _) in token_kinds() {
        let house = house(primary, env);
        house.call(&chat("chat", false)).await;
        let before = calls(&house).len();
        house.steps("primary", &["401"], "ok");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(
            reply.header("x-jumpseat-target"),
            "primary/alpha",
            "{primary}: {reply:?}"
        );
        assert_eq!(reply.header("x-jumpseat-attempts"), "1", "{primary}");
        assert_eq!(
            (calls(&house).len() - before, tokens(&house, counted)),
            (2, 2),
            "{primary}"
        );
        // Refused again, the credential rests and others serve.
        house.always("primary", "401");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-fallback-reason"), "auth", "{primary}");
        house.always("primary", "ok");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-fallback-reason"), "resting", "{primary}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_refuses_rests_the_credential_and_one_that_is_away_does_not() {
    for (counted, primary, env, _) in token_kinds() {
        for (behaviour, resting) in [("400", true), ("503", false)] {
            let name = format!("{primary} {behaviour}");
            let house = house(primary, env.clone());
            house
                .fake("primary")
                .script()
                .always(counted, crate::house::behave(behaviour));
            let reply = house.call(&chat("chat", false)).await;
            assert_eq!(reply.header("x-jumpseat-target"), "second/beta", "{name}: {reply:?}");
            house
                .fake("primary")
                .script()
                .always(counted, crate::house::behave("ok"));
            let reply = house.call(&chat("chat", false)).await;
            let target = if resting { "second/beta" } else { "primary/alpha" };
            assert_eq!(reply.header("x-jumpseat-target"), target, "{name}: {reply:?}");
            let reply = house.call(&chat("alone", false)).await;
            assert_ne!(reply.status, 401, "{name}: never the client's own key");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deployments_and_publishers_stand_in_the_path_and_the_fake_takes_the_bodies() {
    let azure = "{ azure: { api_version: \"2024-10-21\", deployments: { alpha: our alpha } }, base_url: \"http://primary.test\", api_key: azure-key }";
    let vertex = "{ vertex: { project: p, location: us-east5 }, base_url: \"http://primary.test\", api_key: ya29.token";
    let gemini = format!("{vertex} }}");
    let claude = format!("{vertex}, dialect: anthropic_messages }}");
    let place = "/v1/projects/p/locations/us-east5/publishers";
    let bedrock = "{ aws: { region: eu-west-1 }, base_url: \"http://primary.test\", api_key: bedrock-key }";
    let rows = [
        (
            azure.to_owned(),
            false,
            "/openai/deployments/our%20alpha/chat/completions?api-version=2024-10-21".to_owned(),
            ("api-key", "azure-key"),
        ),
        (
            gemini.clone(),
            false,
            format!("{place}/google/models/alpha:generateContent"),
            ("authorization", "Bearer ya29.token"),
        ),
        (
            gemini,
            true,
            format!("{place}/google/models/alpha:streamGenerateContent?alt=sse"),
            ("authorization", "Bearer ya29.token"),
        ),
        (
            claude.clone(),
            false,
            format!("{place}/anthropic/models/alpha:rawPredict"),
            ("authorization", "Bearer ya29.token"),
        ),
        (
            claude,
            true,
            format!("{place}/anthropic/models/alpha:streamRawPredict"),
            ("authorization", "Bearer ya29.token"),
        ),
        (
            bedrock.to_owned(),
            true,
            "/model/alpha/converse-stream".to_owned(),
            ("authorization", "Bearer bedrock-key"),
        ),
    ];
    for (primary, stream, path, (header, value)) in rows {
        let house = house(&primary, MapEnv::default());
        let reply = house.call(&chat("alone", stream)).await;
        assert_eq!(reply.status, 200, "{primary}: {reply:?}");
        let seen = &calls(&house)[0];
        assert_eq!(seen.path, path);
        assert_eq!(seen.headers[header], value, "{primary}");
        let others = ["authorization", "api-key", "x-api-key", "x-goog-api-key"];
        assert_eq!(
            others.iter().filter(|name| seen.headers.contains_key(**name)).count(),
            1,
            "{primary}: shown once"
        );
        assert!(!seen.headers.contains_key("anthropic-version"), "{primary}");
    }
}

#[tokio::test(start_paused = true)]
async fn signatures_by_every_source_of_keys_are_good_and_wrong_ones_rest() {
    let primary = "{ aws: { region: us-west-2 }, base_url: \"http://primary.test\" }";
    let profile = "[default]\naws_access_key_id=AKIAFAKE\naws_secret_access_key=fake-secret\n";
    let mut of_profile = MapEnv::of([("HOME", "/home/u")]);
    of_profile
        .files
        .insert("/home/u/.aws/credentials".into(), profile.into());
    let rows = [
        (
            MapEnv::of([
                ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
                ("AWS_SECRET_ACCESS_KEY", "fake-secret"),
            ]),
            true,
        ),
        (of_profile, true),
        (
            MapEnv::of([("AWS_ACCESS_KEY_ID", "AKIAFAKE"), ("AWS_SECRET_ACCESS_KEY", "another")]),
            false,
        ),
        (
            MapEnv::of([
                ("AWS_ACCESS_KEY_ID", "AKIAOTHER"),
                ("AWS_SECRET_ACCESS_KEY", "fake-secret"),
            ]),
            false,
        ),
        (MapEnv::of([("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key")]), true),
    ];
    for (env, good) in rows {
        let name = format!("{:?}", env.vars);
        let house = house(primary, env);
        for stream in [false, true] {
            let reply = house.call(&chat("chat", stream)).await;
            let target = if good { "primary/alpha" } else { "second/beta" };
            assert_eq!(reply.header("x-jumpseat-target"), target, "{name}: {reply:?}");
        }
        assert!(!house.log_text().await.contains("fake-secret"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_health_check_signs_in_too() {
    for (counted, primary, env, _) in token_kinds() {
        let breaker = "checks: { interval: 5s }\nbreaker: { open: 5m, open_max: 10m }\n";
        let house = House::in_env(&NAMES, &format!("{breaker}{}", yaml(primary)), env);
        house.check_health();
        house.always("primary", "503");
        for _ in 0..3 {
            house.call(&chat("chat", false)).await;
        }
        let state = || house.metric(&["jumpseat_breaker_state{", "primary/alpha"]);
        assert_eq!(state(), 2.0, "{primary}: open");
        house.always("primary", "ok");
        sleep(Duration::from_secs(6)).await;
        assert_eq!(state(), 1.0, "{primary}: half-open");
        let asked = house.fake("primary").log().entries();
        let check = asked
            .iter()
            .rfind(|e| e.method == "GET" && !e.model.starts_with("token:"));
        assert!(
            check.unwrap().headers.contains_key("authorization"),
            "{counted}: {check:?}"
        );
    }
}

/// On the real clock: a program takes time that the paused one would skip.
#[tokio::test]
async fn a_commands_key_is_asked_for_again_when_it_is_refused_and_a_files_too() {
    let folder = std::env::temp_dir().join(format!("jumpseat-clouds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("key");
    let path = key.to_str().unwrap();
    let rows = [
        format!("{{ command: [cat, \"{path}\"] }}"),
        format!("{{ command: \"cat '{path}' | tr -d x\", shell: true }}"),
        format!("{{ file: \"{path}\" }}"),
    ];
    for source in rows {
        std::fs::write(&key, "sk-wrong\n").unwrap();
        let primary = format!(
            "{{ dialect: openai_chat, base_url: \"http://primary.test/v1\", api_keys: [{source}, sk-second] }}"
        );
        let house = House::in_process(&NAMES, &yaml(&primary));
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(
            reply.header("x-jumpseat-target"),
            "primary/alpha",
            "{source}: {reply:?}"
        );
        let shown = |house: &House| -> Vec<String> {
            calls(house)
                .iter()
                .map(|e| e.headers["authorization"].clone())
                .collect()
        };
        assert_eq!(shown(&house), ["Bearer sk-wrong", "Bearer sk-second"], "{source}");

        let house = House::in_process(&NAMES, &yaml(&primary));
        std::fs::write(&key, "sk-first\n").unwrap();
        house.call(&chat("chat", false)).await;
        std::fs::write(&key, "sk-new\n").unwrap();
        house.steps("primary", &["401"], "ok");
        let reply = house.call(&chat("chat", false)).await;
        assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{source}");
        assert_eq!(
            shown(&house),
            ["Bearer sk-first", "Bearer sk-first", "Bearer sk-new"],
            "{source}"
        );
        let log = house.log_text().await;
        assert!(!log.contains("sk-"), "{source}: {log}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(start_paused = true)]
async fn googles_assertion_is_signed_with_the_files_key() {
    let mut env = MapEnv::default();
    google_file(&mut env);
    let vertex = "{ vertex: {}, base_url: \"http://primary.test\", api_key: { service_account: /run/google.json } }";
    env.vars.insert("GOOGLE_CLOUD_PROJECT".into(), "p".into());
    let house = house(vertex, env);
    let public = base64::engine::general_purpose::STANDARD
        .decode(include_str!("../data/service-account-public.b64").trim())
        .unwrap();
    house.fake("primary").set_google_key(Some(public));
    let reply = house.call(&chat("alone", false)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_reads_keys_anew_and_ends_the_rest_of_the_old_one() {
    let folder = std::env::temp_dir().join(format!("jumpseat-reload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, file) = (folder.join("key"), folder.join("jumpseat.yaml"));
    std::fs::write(&key, "sk-wrong\n").unwrap();
    let primary = format!(
        "{{ dialect: openai_chat, base_url: \"http://primary.test/v1\", api_key: {{ file: \"{}\" }} }}",
        key.display()
    );
    std::fs::write(&file, yaml(&primary)).unwrap();
    let house = House::in_process_with_file(&NAMES, &yaml(&primary), file);
    let reason = async || {
        let reply = house.call(&chat("chat", false)).await;
        reply.header("x-jumpseat-fallback-reason").to_owned()
    };
    assert_eq!((reason().await, reason().await), ("auth".into(), "resting".into()));
    std::fs::write(&key, "sk-good\n").unwrap();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(reason().await, "resting", "nobody looked");
    house.app.reload();
    let reply = house.call(&chat("chat", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "primary/alpha", "{reply:?}");
    // Changed while it is used, it is taken within seconds.
    std::fs::write(&key, "sk-newer\n").unwrap();
    sleep(Duration::from_secs(6)).await;
    house.call(&chat("chat", false)).await;
    sleep(Duration::from_secs(1)).await;
    house.call(&chat("chat", false)).await;
    assert_eq!(
        calls(&house).last().unwrap().headers["authorization"],
        "Bearer sk-newer"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
