//! The demo as a newcomer runs it: the binary, its story in real time (about 20 s), and what it leaves behind.

#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_survives_its_outages_tells_them_by_the_metrics_and_ends_what_it_started() {
    let output = Command::new(env!("CARGO_BIN_EXE_jumpseat"))
        .args(["demo", "--once", "--json"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let context = format!("{told}\n{summary:#}");

    // A person is told what this is, what happens and what came of it; in plain text, as this is no terminal.
    for part in [
        "Jumpseat is one endpoint",
        "2 to 4 seconds here",
        "primary/alpha",
        "1. All is well",
        "The primary goes down",
        "The primary stalls",
        "What you just saw",
        "failures seen by the client: 0 ",
    ] {
        assert!(told.contains(part), "{part}: {context}");
    }
    assert!(!told.contains('\x1b'), "{context}");
    assert!(!told.contains("Your turn"), "`--once` keeps nothing running: {context}");

    // No call failed, by the gateway's count and by the client's.
    assert_eq!(summary["well"], true, "{context}");
    assert_eq!(summary["total"]["failed"], 0, "{context}");
    assert_eq!(summary["client"]["failed"], 0, "{context}");
    assert_eq!(summary["total"]["calls"], summary["client"]["sent"], "{context}");
    assert!(summary["total"]["calls"].as_u64().unwrap() > 80, "{context}");

    // Each act went as its title says.
    let served = |act: usize, tier: usize| {
        summary["acts"][act]["numbers"]["targets"][tier]["served"]
            .as_u64()
            .unwrap()
    };
    let fell = |act: usize, reason: &str| {
        summary["acts"][act]["numbers"]["fallbacks"][reason]
            .as_u64()
            .unwrap_or(0)
    };
    assert!(served(0, 0) > 0, "all is well: {context}");
    assert!(
        served(1, 1) > 0 && fell(1, "network") > 0 && fell(1, "breaker_open") > 0,
        "the primary is down: {context}"
    );
    assert!(
        served(2, 2) > 0 && fell(2, "rate_limited") > 0,
        "the second rests: {context}"
    );
    assert!(
        served(3, 0) > 0 && summary["acts"][3]["recovered_after_seconds"].is_u64(),
        "well again: {context}"
    );
    assert!(fell(4, "timeout") > 0, "the primary stalls: {context}");
    assert!(
        served(5, 0) > 0 && summary["acts"][5]["recovered_after_seconds"].is_u64(),
        "well again: {context}"
    );
    let primary = &summary["total"]["targets"][0];
    assert_eq!(primary["breaker"], "closed", "{context}");
    assert!(primary["breaker_opened"].as_u64().unwrap() >= 2, "{context}");
    assert!(primary["p95_ms"].as_u64().unwrap() > 0, "{context}");

    // The log is where it said, and nobody listens any more.
    let log = summary["log"].as_str().unwrap();
    assert!(
        std::fs::read_to_string(log).unwrap().contains(r#""kind":"call""#),
        "{context}"
    );
    std::fs::remove_file(log).unwrap();
    let admin = summary["admin"].as_str().unwrap().strip_prefix("http://").unwrap();
    assert!(TcpStream::connect(admin).is_err(), "{context}");
}
