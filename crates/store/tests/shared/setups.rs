//! Redis as it is run elsewhere: a cluster, TLS with an authority of one's own, passwords.

use std::process::{Command, Stdio};

use jumpseat_store::error::StoreError;
use jumpseat_store::shared::Shared;
use jumpseat_store::shared::admission::Dimension;
use types::money::NanoDollars;

use crate::contract::three_of;
use crate::server::Server;
use crate::{asked, asks, at, granted, hold, limit, named, spent, until, window};

/// A little of everything that has a key.
async fn works(url: &str) {
    let [a, b, _c] = three_of(url).await;
    let day = window("day");
    a.begin_window(&day, NanoDollars(1)).await;
    let limits = vec![
        limit("k", Dimension::Tokens, 10, 1),
        limit("k", Dimension::Concurrent, 10, 1),
    ];
    assert!(granted(&a.admit(&asks(limits, vec![hold(&day, 5, 10)]), at(0)).await));
    a.settle(spent(&day, 5, 2), at(0));
    a.flushed().await;
    assert_eq!(asked(&b, &day).await, (3, 0));
    a.cache_put("x", "v".into(), std::time::Duration::from_secs(60)).await;
    assert_eq!(b.cache_get("x").await.unwrap().0, "v");
    let lease = a.lease("job", std::time::Duration::from_secs(9)).await.unwrap();
    assert!(lease.renew().await);
    b.release_instance(&named("nobody")).await;
    assert_eq!(b.health().failing, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_takes_all_keys_since_they_have_one_hash_tag() {
    let Some(server) = Server::start(&["--cluster-enabled", "yes"]) else {
        return;
    };
    server.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    until(10, "the cluster is there", async || {
        let redis::Value::BulkString(info) = server.tell(&["CLUSTER", "INFO"]).await else {
            return true;
        };
        String::from_utf8_lossy(&info).contains("cluster_state:ok")
    })
    .await;
    works(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_passwords_are_taken_and_never_shown() {
    let Some(server) = Server::start(&[]) else { return };
    let user = [
        "ACL",
        "SETUSER",
        "jump",
        "on",
        ">p@ss",
        "~{stage}*",
        "&{stage}*",
        "+@all",
    ];
    server.tell(&user).await;
    let url = format!("redis://jump:p%40ss@127.0.0.1:{}/2?prefix=stage", server.port);
    works(&url).await;
    let shared = Shared::open(&url.replace("p%40ss", "wrong-one"), named("a"))
        .await
        .unwrap();
    let why = shared.health().failing.unwrap();
    assert!(!why.contains("wrong-one") && !why.contains("not connected"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked_against_the_authority_that_is_named() {
    let Some(server) = Server::start(&[]) else { return };
    let dir = server.dir.join("tls");
    std::fs::create_dir_all(&dir).unwrap();
    let openssl = |args: &str| {
        let mut command = Command::new("openssl");
        command
            .args(args.split(' '))
            .current_dir(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let subject = "[v3]\nsubjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
    std::fs::write(dir.join("ext"), subject).unwrap();
    let made = openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=house")
        && openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem -subj /CN=localhost")
        && openssl(
            "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile ext -extensions v3",
        );
    if !made {
        assert!(
            std::env::var_os("JUMPSEAT_TEST_REQUIRE_SERVERS").is_none(),
            "openssl makes no certificates"
        );
        eprintln!("SKIPPED: openssl makes no certificates");
        return;
    }
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (cert, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let args = [
        "--tls-port",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    let Some(server) = Server::start(&args) else { return };
    works(&format!("rediss://localhost:{}?ca={ca}", server.port)).await;
    let shared = Shared::open(&format!("rediss://localhost:{}", server.port), named("a"))
        .await
        .unwrap();
    let why = shared.health().failing.expect("the public authorities do not know it");
    assert!(why.to_lowercase().contains("certificate"), "{why}");
}

#[tokio::test]
async fn what_is_no_url_is_refused_at_once() {
    for url in ["redis:", "http://x", "redis://host:port", "rediss://host?ca=/none"] {
        let refused = Shared::open(url, named("a")).await;
        assert!(matches!(refused, Err(StoreError::Url { .. })), "{url}");
    }
}
