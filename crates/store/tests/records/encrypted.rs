//! PostgreSQL by TLS: `sslmode` means what it means to the server's own tools.

use std::path::Path;
use std::process::Command;

use jumpseat_store::records::Records;

use crate::servers::Postgres;
use crate::stores::Folder;

/// A key and a certificate for `localhost`; `None` where no tool makes one.
fn certificate(folder: &Path) -> Option<(String, String)> {
    let (key, certificate) = (folder.join("server.key"), folder.join("server.crt"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        let required = std::env::var("JUMPSEAT_TEST_REQUIRE_SERVERS").is_ok_and(|v| v == "1");
        assert!(!required, "no `openssl` to make a certificate with");
        eprintln!("SKIPPED: no `openssl` to make a certificate with");
        return None;
    }
    Some((
        std::fs::read_to_string(key).unwrap(),
        std::fs::read_to_string(certificate).unwrap(),
    ))
}

#[tokio::test]
async fn sslmode_is_honoured() {
    let folder = Folder::new();
    let Some((key, certificate)) = certificate(folder.path()) else {
        return;
    };
    let settings = "\nssl = on\n";
    // Who comes by the network comes encrypted.
    let hba = "\nlocal all all trust\nhostssl all all 127.0.0.1/32 trust\n";
    let files = [
        ("server.key", &*key),
        ("server.crt", &*certificate),
        ("postgresql.conf", settings),
        ("new_hba", hba),
    ];
    let Some(mut server) = Postgres::start_with(&files) else {
        return;
    };
    server.use_hba("new_hba");
    let own = folder.path().join("server.crt");
    let own = own.display();
    for (host, query, works) in [
        ("localhost", "?sslmode=disable".to_owned(), false),
        ("localhost", "".to_owned(), true),
        ("localhost", "?sslmode=prefer".to_owned(), true),
        ("localhost", "?sslmode=require".to_owned(), true),
        // Nobody known has signed it.
        ("localhost", "?sslmode=verify-full".to_owned(), false),
        ("localhost", format!("?sslmode=verify-full&sslrootcert={own}"), true),
        // It is not this name's.
        ("127.0.0.1", format!("?sslmode=verify-full&sslrootcert={own}"), false),
        ("127.0.0.1", "?sslmode=require".to_owned(), true),
    ] {
        let url = format!("postgres://postgres@{host}:{}/postgres{query}", server.port());
        let opened = Records::open(&url).await;
        assert_eq!(opened.is_ok(), works, "{host}{query}: {:?}", opened.err());
    }
}
