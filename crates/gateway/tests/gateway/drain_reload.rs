//! The gateway's own comings and goings: a new configuration, a shutdown. No call is cut for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::house::{Heard, House, NAMES, chat, three};
use crate::ingress::Ingress;

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";

/// A configuration in a file of its own.
struct File(PathBuf);

impl File {
    fn new(name: &str, yaml: &str) -> File {
        let path = std::env::temp_dir().join(format!("jumpseat-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, yaml).unwrap();
        File(path)
    }

    fn write(&self, yaml: &str) {
        std::fs::write(&self.0, yaml).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn house(file: &File, yaml: &str) -> House {
    House::with_file(&NAMES, yaml, Some(file.0.clone()))
}

#[tokio::test(start_paused = true)]
async fn a_reload_takes_effect_for_new_calls_and_keeps_what_was_learned() {
    let yaml = three("openai_chat", ROUTE);
    let file = File::new("keeps", &yaml);
    let house = house(&file, &yaml);
    house.always("primary", "503");
    for _ in 0..3 {
        house.call(&chat("chat", false)).await;
    }
    let before = house.attempts("primary");
    file.write(&(yaml.clone() + "  more:\n    tiers: [{ targets: [primary/alpha] }, { targets: [third/gamma] }]\n"));
    assert_eq!(house.call(&chat("more", false)).await.status, 404);
    house.app.reload();
    let reply = house.call(&chat("more", false)).await;
    assert_eq!(reply.header("x-jumpseat-target"), "third/gamma");
    assert_eq!(
        reply.header("x-jumpseat-fallback-reason"),
        "breaker_open",
        "the breaker is the target's, not the route's"
    );
    house.call(&chat("chat", false)).await;
    assert_eq!(house.attempts("primary"), before, "and it outlives the reload");
    assert_eq!(house.metric(&["jumpseat_config_reloads_total{", "applied"]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_ends_under_the_configuration_it_began_with() {
    let yaml = three("openai_chat", &format!("on_stream_failure: resume\n{ROUTE}"));
    let file = File::new("running", &yaml);
    let house = house(&file, &yaml);
    house.always("primary", r#"{"interval": "1s", "cut": {"after": 40}}"#);
    let mut running = house.begin(&chat("chat", true), &[]).await;
    sleep(Duration::from_secs(5)).await;
    // Its provider and its route are gone.
    let third = three("openai_chat", "tiers: [{ targets: [third/gamma] }]").replace("  chat:", "  talk:");
    let third: String = third
        .lines()
        .filter(|l| !l.starts_with("  primary:") && !l.starts_with("  second:"))
        .map(|l| format!("{l}\n"))
        .collect();
    file.write(&third);
    house.app.reload();
    assert_eq!(house.call(&chat("chat", false)).await.status, 404);
    assert_eq!(
        house.call(&chat("talk", false)).await.header("x-jumpseat-target"),
        "third/gamma"
    );
    let (rest, whole) = running.rest().await;
    let heard = Heard::of(&rest);
    assert!(whole && heard.done && heard.error.is_none(), "{heard:?}");
    assert_eq!(
        house.attempts("second"),
        1,
        "continued where its own configuration says"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_does_not_validate_is_refused_and_the_old_one_stays() {
    let yaml = three("openai_chat", ROUTE);
    let file = File::new("refused", &yaml);
    let house = house(&file, &yaml);
    for bad in [
        "routes: [",
        "routes: { chat: { tiers: [{ targets: [nobody/x] }] } }",
        "rooots: {}",
        "\u{0}",
    ] {
        file.write(bad);
        house.app.reload();
        assert_eq!(house.call(&chat("chat", false)).await.status, 200, "{bad}");
    }
    std::fs::remove_file(&file.0).unwrap();
    house.app.reload();
    assert_eq!(house.call(&chat("chat", false)).await.status, 200);
    assert_eq!(house.metric(&["jumpseat_config_reloads_total{", "refused"]), 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_streams_finish_and_ends_those_that_do_not_with_an_error_event() {
    for ingress in Ingress::ALL {
        for (drip, done) in [("drip-100ms", true), ("drip-2s", false)] {
            let name = format!("{drip} asked in {ingress:?}");
            let yaml = format!("server: {{ shutdown_grace: 30s }}\n{}", three("openai_chat", ROUTE));
            let house = House::new(&NAMES, &yaml).asked_in(ingress);
            house.always("primary", drip);
            let mut running = house.begin(&chat("chat", true), &[]).await;
            running.piece().await.unwrap().unwrap();
            let begun = Instant::now();
            let app = Arc::into_inner(house.app).unwrap();
            let drained = tokio::spawn(async move { app.drain().await });
            let (rest, whole) = running.rest().await;
            let heard = ingress.heard(&rest);
            assert!(whole, "{name}: never a bare cut");
            assert_eq!(heard.done, done, "{name}: {heard:?}");
            assert_eq!(heard.error.is_some(), !done, "{name}: {heard:?}");
            drained.await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), if done { 5 } else { 30 }, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_calls_that_wait_for_their_provider_too() {
    for ingress in Ingress::ALL {
        for stream in [false, true] {
            let yaml = format!("server: {{ shutdown_grace: 3s }}\n{}", three("openai_chat", ROUTE));
            let house = House::new(&NAMES, &yaml);
            house.always("primary", "silence");
            let pipe_of = house.connect().await;
            let (mut sender, _task) = pipe_of;
            let (path, headers, body) = ingress.write(&chat("chat", stream));
            let mut request = http::Request::post(path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request
                .header("host", "gateway.test")
                .body(http_body_util::Full::new(bytes::Bytes::from(body.to_string())))
                .unwrap();
            let calling = tokio::spawn(async move { sender.send_request(request).await });
            sleep(Duration::from_secs(1)).await;
            Arc::into_inner(house.app).unwrap().drain().await;
            let response = calling.await.unwrap().unwrap();
            let status = ingress.status(503, "server_is_overloaded");
            assert_eq!(response.status(), status, "{ingress:?}: an answer, not a cut");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_does_not_hold_up_a_drain() {
    let house = House::new(&NAMES, &three("openai_chat", ROUTE));
    let (_sender, _task) = house.connect().await;
    house.call(&chat("chat", false)).await;
    let begun = Instant::now();
    Arc::into_inner(house.app).unwrap().drain().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_admin_listener_tells_of_targets_and_metrics_and_of_nothing_to_other_hosts() {
    let house = House::new(&NAMES, &three("openai_chat", "tiers: [{ targets: [primary/alpha] }]"));
    house.call(&chat("chat", false)).await;
    let rows = [
        ("/targets", "localhost:4001", 200, "\"breaker\":\"closed\""),
        ("/metrics", "127.0.0.1:4001", 200, "jumpseat_calls_total{"),
        ("/metrics", "[::1]:4001", 200, "# EOF"),
        ("/health", "localhost", 200, "ok"),
        ("/metrics", "rebound.example", 421, "localhost only"),
        ("/metrics", "localhost.example:4001", 421, "localhost only"),
        ("/v1/chat/completions", "localhost", 404, "/metrics"),
    ];
    for (path, host, status, told) in rows {
        let reply = house.ask_admin(path, host).await;
        assert_eq!(reply.status, status, "{path} at {host}: {reply:?}");
        assert!(
            String::from_utf8_lossy(&reply.body).contains(told),
            "{path} at {host}: {reply:?}"
        );
    }
}
