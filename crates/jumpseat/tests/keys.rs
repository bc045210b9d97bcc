//! `jumpseat keys` and `jumpseat audit` as a user meets them: on the store while no gateway runs.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A folder with a configuration, which goes with the test.
struct House {
    folder: PathBuf,
}

impl House {
    fn new(name: &str, admin: u16) -> House {
        let folder = std::env::temp_dir().join(format!("jumpseat-keys-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        // The provider's key is not set in an operator's shell, and its route would be an error for `serve`.
        let yaml = format!(
            "store: {{ url: \"sqlite:{}\" }}\nadmin: {{ listen: \"127.0.0.1:{admin}\" }}\n\
             providers: {{ openai: {{ api_key: \"${{NOT_SET_HERE}}\" }} }}\n\
             routes: {{ chat: {{ tiers: [{{ targets: [openai/gpt-5.5] }}] }} }}\n",
            folder.join("j.db").display()
        );
        std::fs::write(folder.join("jumpseat.yaml"), yaml).unwrap();
        House { folder }
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_jumpseat"))
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.run(&[args, &["--json"]].concat());
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str(&out).unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_key_lives_on_the_store_while_no_gateway_runs() {
    let house = House::new("life", free_port());
    let (code, out, err) = house.run(&["keys", "list"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("`jumpseat keys create --name app` makes the first"));

    let all = [
        "keys",
        "create",
        "--name",
        "app",
        "--owner",
        "web",
        "--tag",
        "team:web",
        "--route",
        "chat*",
        "--target",
        "openai/*",
        "--rpm",
        "60",
        "--tpm",
        "100000",
        "--concurrent",
        "10",
        "--budget",
        "daily=5/day",
        "--priority",
        "critical",
        "--expires",
        "30d",
        "--network",
        "10.0.0.0/8",
        "--allow",
        "files",
    ];
    let (code, out, err) = house.run(&all);
    assert_eq!(code, 0, "{err}");
    let text = out.trim();
    assert!(
        text.starts_with("js-") && text.len() == 59,
        "the key alone is on standard output: {out}"
    );
    assert!(err.contains("This is the one time") && !err.contains(&text[16..]));

    let key = house.json(&["keys", "show", "app"]);
    let id = key["id"].as_str().unwrap();
    assert_eq!(id, &text[..15]);
    let told = [&key["limits"], &key["budgets"], &key["permissions"]].map(Value::to_string);
    assert_eq!(
        told,
        [
            r#"{"requests_per_minute":60,"tokens_per_minute":100000,"concurrent":10}"#,
            r#"{"daily":{"limit_usd":5,"window":"day"}}"#,
            r#"{"files":true,"explain":false,"budget_tags":false}"#,
        ]
    );
    let (_, out, _) = house.run(&["keys", "list"]);
    assert!(out.contains("60 calls/min, 100000 tokens/min, 10 at once"), "{out}");

    let changed = house.json(&[
        "keys",
        "update",
        "app",
        "--clear",
        "routes",
        "--rpm",
        "5",
        "--disallow",
        "files",
    ]);
    assert_eq!(
        (&changed["routes"], &changed["permissions"]["files"]),
        (&Value::Null, &Value::Bool(false))
    );
    assert_eq!(house.run(&["keys", "update", "app"]).0, 2);
    let rotated = house.json(&["keys", "rotate", id, "--grace", "1h"]);
    assert_ne!(rotated["key"], text);
    assert!(rotated["details"]["old_secret_until"].is_string());
    assert_eq!(house.json(&["keys", "revoke", "app"])["state"], "revoked");
    assert_eq!(house.json(&["keys", "list"])["keys"].as_array().unwrap().len(), 0);
    assert_eq!(
        house.json(&["keys", "list", "--all"])["keys"].as_array().unwrap().len(),
        1
    );

    let audit = house.json(&["audit"]);
    let told: Vec<String> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {}", e["actor"].as_str().unwrap(), e["action"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        ["cli key.revoke", "cli key.rotate", "cli key.update", "cli key.create"]
    );
    let (_, out, _) = house.run(&["audit"]);
    assert!(out.contains("routes: [\"chat*\"] → null"), "{out}");

    // Whatever was printed but the key itself, and the whole database, holds no secret.
    for entry in std::fs::read_dir(&house.folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let secret = &text.as_bytes()[16..];
        assert!(!bytes.windows(secret.len()).any(|w| w == secret));
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let house = House::new("wrong", free_port());
    let rows: [(&[&str], i32, &str); 6] = [
        (&["keys", "show", "nobody"], 1, "there is no key `nobody`"),
        (
            &["keys", "create", "--name", "a", "--network", "10.0.0.1/8"],
            2,
            "write `10.0.0.0/8`",
        ),
        (
            &["keys", "create", "--name", "a", "--expires", "soon"],
            2,
            "`soon` is no end",
        ),
        (
            &["keys", "create", "--name", "a", "--budget", "5"],
            2,
            "`5` is no budget",
        ),
        (
            &["keys", "create", "--name", "a", "--target", "openai"],
            2,
            "`openai/*`",
        ),
        (&["keys", "create"], 2, "--name"),
    ];
    for (args, wanted, message) in rows {
        let (code, _, err) = house.run(args);
        assert_eq!(code, wanted, "{args:?}: {err}");
        assert!(err.contains(message), "{args:?}: {err}");
    }
}

/// Whoever listens and does not take the token is told apart from nobody listening.
#[test]
fn a_wrong_token_and_a_stranger_on_the_port_are_told() {
    let rows = [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 55\r\n\r\n{\"error\": {\"code\": \"unauthenticated\", \"message\": \"no\"}}",
            2,
            "asks for an admin token",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            1,
            "is no gateway of this version",
        ),
    ];
    for (answer, wanted, message) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let house = House::new("stranger", listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let (code, _, err) = house.run(&["keys", "list"]);
        server.join().unwrap();
        assert_eq!(code, wanted, "{err}");
        assert!(err.contains(message), "{err}");
        assert_eq!(house.run(&["keys", "list", "--offline"]).0, 0);
    }
}
