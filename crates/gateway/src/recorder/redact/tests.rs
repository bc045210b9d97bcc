//! What is taken out of texts and what is left: tables of each kind, JSON, streams, and texts that are meant to hurt.

use super::*;

fn all() -> Redactor {
    Redactor::new(&[Redact::Email, Redact::Phone, Redact::Card, Redact::Secret])
}

fn check(text: &str, expected: &str) {
    let redacted = all().plain(text);
    assert_eq!(redacted.text, expected, "{text}");
    assert_eq!(redacted.changed, text != expected, "{text}");
    assert_eq!(all().plain(expected).text, expected, "what is redacted stays as it is");
}

#[test]
fn addresses_are_found_wherever_they_stand() {
    let cases = [
        ("write to ada@example.com.", "write to [email]."),
        ("<ada.lovelace+x@mail.example.co.uk>", "<[email]>"),
        ("mailto:ada%40example.com?x", "mailto:[email]?x"),
        ("müller@exämple.de", "[email]"),
        (r"a\nada@example.com", r"a\n[email]"),
        ("a@b.io,c@d.io", "[email],[email]"),
        (
            "@handle and user@localhost, a@1.2.3.4",
            "@handle and user@localhost, a@1.2.3.4",
        ),
        ("x @ y.com", "x @ y.com"),
        ("npm i pkg@1.2.3", "npm i pkg@1.2.3"),
    ];
    for (text, expected) in cases {
        check(text, expected);
    }
}

#[test]
fn telephone_numbers_are_found_and_years_ids_dates_and_addresses_of_networks_are_not() {
    let cases = [
        ("call +49 30 123456-78 now", "call [phone] now"),
        ("+1 (555) 123-4567", "[phone]"),
        ("+15551234567", "[phone]"),
        ("+49 (0)30 1234567", "[phone]"),
        ("0049 30 1234567", "[phone]"),
        ("(555) 123-4567", "[phone]"),
        ("555-123-4567 or 555.123.4567", "[phone] or [phone]"),
        ("1-800-555-0199", "[phone]"),
        ("Tel. 030/1234567", "Tel. [phone]"),
        ("06 12 34 56 78", "[phone]"),
        ("020 7946 0958", "[phone]"),
        ("in 2024 555-123-4567", "in 2024 [phone]"),
        (r"\n555-123-4567", r"\n[phone]"),
    ];
    for (text, expected) in cases {
        check(text, expected);
    }
    for not in [
        "2026-11-21 18:00",
        "21.11.2026",
        "01.02.2026 12",
        "1990-2000",
        "192.168.10.101",
        "id 1795219200",
        "1795219200000",
        "order 4711-2026-001",
        "550e8400-e29b-41d4-a716-446655440000",
        "0.1234567890",
        "10 000 000 000",
        "v1.2.3-4",
        "(2024) 12",
        "20 30 40 50",
        "call-0123456789",
        "+1",
        "$1000000000",
    ] {
        check(not, not);
    }
}

#[test]
fn cards_are_found_by_their_check_digit() {
    let cases = [
        ("4111 1111 1111 1111 exp 12/27", "[card] exp 12/27"),
        ("4111-1111-1111-1111", "[card]"),
        ("5555555555554444", "[card]"),
        ("378282246310005", "[card]"),
        ("6011111111111117,", "[card],"),
        ("pay 4111 1111 1111 1111 123 please", "pay [card] 123 please"),
        (r"\n4242424242424242", r"\n[card]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("1795219200000", "1795219200000"),
        ("41111111111111110000000", "41111111111111110000000"),
        ("x4111111111111111", "x4111111111111111"),
    ];
    for (text, expected) in cases {
        check(text, expected);
    }
}

#[test]
fn secrets_are_found_by_prefix_by_form_and_by_what_stands_before_them() {
    let long = "Ab3dE6gH9jK2mN5pQ8rS1tU4vW7xY0z";
    let s43 = "Ab3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zAb3dE6gH9jK2";
    let tokens = [
        format!("sk-{long}"),
        format!("sk-proj-{long}_{long}"),
        format!("sk-ant-api03-{long}-AA"),
        format!("js-abcdefgh2345-{s43}"),
        format!("gsk_{long}"),
        format!("xai-{long}"),
        format!("hf_{long}"),
        format!("AIza{long}abcd"),
        format!("ghp_{long}"),
        format!("github_pat_{long}"),
        format!("xoxb-123456789012-{long}"),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        "ASIAIOSFODNN7EXAMPLE".to_owned(),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_DEF-123".to_owned(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.".to_owned(),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----".to_owned(),
    ];
    for token in &tokens {
        check(&format!("use {token} for it"), "use [secret] for it");
        check(&format!("\"{token}\","), "\"[secret]\",");
        check(&format!(r"a\n{token}"), r"a\n[secret]");
    }
    let cases = [
        (
            "Authorization: Bearer abcdef0123456789abcdef",
            "Authorization: Bearer [secret]",
        ),
        (
            "authorization: basic dXNlcjpwYXNzd29yZDEyMw==",
            "authorization: basic [secret]",
        ),
        ("bearer 0123456789abcdef0123", "bearer [secret]"),
        ("my password is hunter2", "my password is hunter2"),
        ("password: hunter2", "password: [secret]"),
        ("DB_PASSWORD=s3cr3t!", "DB_PASSWORD=[secret]"),
        ("api_key = 9f8e7d6c5b4a39281706", "api_key = [secret]"),
        ("the token is 9f8e7d6c5b4a39281706.", "the token is [secret]."),
        (
            r#"{\"token\": \"9f8e7d6c5b4a39281706\"}"#,
            r#"{\"token\": \"[secret]\"}"#,
        ),
        ("postgres://ada:hunter2@db/x", "postgres://ada:[secret]@db/x"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEcut", "[secret]"),
        ("sk-learn and task-based ask-me", "sk-learn and task-based ask-me"),
        (
            "the key to understanding internationalization",
            "the key to understanding internationalization",
        ),
        ("password: please enter", "password: please enter"),
        (
            "-----BEGIN CERTIFICATE-----\nMIIE\n",
            "-----BEGIN CERTIFICATE-----\nMIIE\n",
        ),
        (
            "secret_santa_has_gifts_for_everybody",
            "secret_santa_has_gifts_for_everybody",
        ),
        ("https://example.com/a:b@c", "https://example.com/a:b@c"),
    ];
    for (text, expected) in cases {
        check(text, expected);
    }
}

#[test]
fn json_stays_json_in_its_order_and_what_is_clean_stays_byte_for_byte() {
    let cases = [
        (
            r#"{"model":"m","messages":[{"role":"user","content":"I am ada@example.com\n4111 1111 1111 1111"}],"n":1}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"I am [email]\n[card]"}],"n":1}"#,
        ),
        (
            r#"{"card":4111111111111111,"at":1795219200}"#,
            r#"{"card":"[card]","at":1795219200}"#,
        ),
        (
            r#"{"password":"x","max_tokens":5,"token":"Hello"}"#,
            r#"{"password":"[secret]","max_tokens":5,"token":"Hello"}"#,
        ),
        (r#"{ "a" :  1.0, "b":"\u00e9" }"#, r#"{ "a" :  1.0, "b":"\u00e9" }"#),
        (
            r#"{"arguments":"{\"to\":\"ada@example.com\",\"tel\":\"+4930123456\"}"}"#,
            r#"{"arguments":"{\"to\":\"[email]\",\"tel\":\"[phone]\"}"}"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(all().redact(text.as_bytes()).text, expected);
    }
}

#[test]
fn media_are_replaced_by_their_size() {
    let data = "QUJD".repeat(400);
    let body = format!(r#"{{"image_url":{{"url":"data:image/png;base64,{data}"}},"data":"{data}","short":"QUJD"}}"#);
    assert_eq!(
        all().redact(body.as_bytes()).text,
        r#"{"image_url":{"url":"[image/png, 1200 bytes]"},"data":"[base64, 1200 bytes]","short":"QUJD"}"#
    );
    assert_eq!(
        Redactor::default().redact(&[0xff, 0xfe]).text,
        "[2 bytes that are no text]"
    );
}

#[test]
fn what_a_stream_says_in_pieces_is_found_across_them() {
    let frame = |choice: u32, text: &str| {
        format!(
            "data: {}\n\n",
            serde_json::json!({"id": "c1", "choices": [{"index": choice, "delta": {"content": text}}]})
        )
    };
    let stream: String = [
        frame(0, "Mail a"),
        frame(0, "da@exam"),
        frame(1, "other"),
        frame(0, "ple.com or 4111 1111"),
        frame(0, " 1111 1111."),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let redacted = all().redact(stream.as_bytes());
    let expected: String = [
        frame(0, "Mail [email]"),
        frame(0, ""),
        frame(1, "other"),
        frame(0, " or [card]"),
        frame(0, "."),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    assert_eq!(redacted.text, expected);
    assert!(redacted.changed);
    let clean = [frame(0, "Hello"), frame(0, " there")].concat();
    assert_eq!(
        all().redact(clean.as_bytes()),
        Redacted {
            text: clean,
            changed: false
        }
    );
}

#[test]
fn deltas_of_another_dialect_and_a_frame_that_was_cut_off() {
    let frame = |text: &str| {
        let event = serde_json::json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text}});
        format!("event: content_block_delta\ndata: {event}\n\n")
    };
    let stream = format!(
        "{}{}data: {{\"type\":\"content_block_delta\",\"text\":\"+4930",
        frame("sk-Ab3dE6gH9jK"),
        frame("2mN5pQ8rS1t done")
    );
    let redacted = all().redact(stream.as_bytes()).text;
    assert!(
        !redacted.contains("2mN5p") && redacted.contains("[secret]") && redacted.contains(" done"),
        "{redacted}"
    );
    assert!(
        !redacted.contains("+4930") && redacted.contains("bytes left out]"),
        "{redacted}"
    );
}

#[test]
fn what_is_not_asked_for_is_left_alone() {
    let text = "ada@example.com +4930123456";
    assert_eq!(
        Redactor::new(&[Redact::Phone]).redact(text.as_bytes()).text,
        "ada@example.com [phone]"
    );
    assert_eq!(Redactor::new(&[]).redact(text.as_bytes()).text, text);
}

#[test]
fn no_text_makes_it_panic_or_slow() {
    for text in [
        "@",
        "@@@@",
        "%40%40",
        "+",
        "(",
        "0",
        "-----BEGIN ",
        "://@",
        "eyJ.",
        "key",
        "key:",
        "é@é.éé",
        "\\n",
        "data:",
        "data: {",
        "{",
        "{\"a\":",
        "[\"\\",
        "{\\u00",
    ] {
        for n in [1, 3, 5000] {
            let _ = all().redact(text.repeat(n).as_bytes());
        }
    }
    let long = "a".repeat(300_000);
    let _ = all().redact(long.as_bytes());
    let _ = all().redact("1 ".repeat(50_000).as_bytes());
    let _ = all().redact("a@".repeat(50_000).as_bytes());
}

#[test]
fn what_is_found_beside_long_words_of_other_scripts_is_cut_between_characters() {
    let rows = [
        "ä".repeat(150) + "@example.com",
        "信".repeat(400) + "info@example.com" + &"号".repeat(400),
        "x@a.".to_owned() + &"ä".repeat(200),
    ];
    for text in rows {
        let redacted = all().redact(text.as_bytes());
        assert!(redacted.changed && !redacted.text.contains("@"), "{}", redacted.text);
    }
    for word in ["ä".repeat(150) + "@example.com", "x@a.".to_owned() + &"ä".repeat(200)] {
        let (first, last) = word.split_once('@').unwrap();
        let frames: String = [first, "@", last]
            .iter()
            .map(|piece| format!("data: {}\n\n", serde_json::json!({"delta": {"content": piece}})))
            .collect();
        let redacted = all().redact(frames.as_bytes());
        assert!(redacted.changed && !redacted.text.contains("@"), "{}", redacted.text);
    }
}

#[test]
fn names_of_members_and_those_said_twice_are_looked_through_too() {
    let rows = [
        (
            r#"{"to":{"ada@example.com":1,"bob@example.com":"+4930123456","x":2}}"#,
            r#"{"to":{"[email]":1,"[email] 2":"[phone]","x":2}}"#,
        ),
        (r#"{"a":"ada@example.com","a":"x"}"#, r#"{"a":"x"}"#),
        (
            r#"[{"b":{"\u0061":"ada@example.com","a":"x"}}]"#,
            r#"[{"b":{"a":"x"}}]"#,
        ),
        (
            "data: {\"c\":{\"ada@example.com\":1}}\n\n",
            "data: {\"c\":{\"[email]\":1}}\n\n",
        ),
        (
            "data: {\"a\":\"ada@example.com\",\"a\":\"x\"}\n\n",
            "data: {\"a\":\"x\"}\n\n",
        ),
    ];
    for (text, expected) in rows {
        let redacted = all().redact(text.as_bytes());
        assert_eq!((redacted.text.as_str(), redacted.changed), (expected, true), "{text}");
    }
}

#[test]
fn what_was_cut_is_closed_and_looked_through_as_json() {
    let rows = [
        (
            r#"{"a":"user\u0040example.com","password":"x","b":["one","4111 1111 1111 111"#,
            r#"{"a":"[email]","password":"[secret]","b":["one",""]}"#,
        ),
        (r#"{"a":"see sk-Ab3dE6g"#, r#"{"a":"see"}"#),
        (
            r#"{"a":"b","password":"hunter tw"#,
            r#"{"a":"b","password":"[secret]"}"#,
        ),
        (r#"{"a":[1,{"b":4111111111"#, r#"{"a":[1,{}]}"#),
        (r#"{"a":"b","half a na"#, r#"{"a":"b"}"#),
        (r#"{"a":"b","c":"#, r#"{"a":"b"}"#),
        (r#"{"a":"b","c":tru"#, r#"{"a":"b"}"#),
        (r#"{"a":"x y \ud83d\ude0"#, r#"{"a":"x y"}"#),
        ("call +49 30 1234", "call"),
        (
            "{\"a\":\"user\\u0040example.com\"}\n{\"password\":\"x\"}\n{\"b\":\"c ada@exam",
            "{\"a\":\"[email]\"}\n{\"password\":\"[secret]\"}\n{\"b\":\"c\"}",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(all().redact_cut(text.as_bytes()).text, expected, "{text}");
    }
    let lines = "{\"a\": 1}\n{\"b\":\"ada@example.com\"}\n";
    assert_eq!(all().redact(lines.as_bytes()).text, "{\"a\": 1}\n{\"b\":\"[email]\"}\n");
    let broken = r#"{"a": user\u0040example.com}"#;
    assert_eq!(all().redact(broken.as_bytes()).text, r#"{"a": [email]}"#);
}

#[test]
fn what_a_cut_stream_was_saying_last_is_dropped_and_a_text_that_is_no_json_is_not() {
    let frame = |text: &str| format!("data: {}\n\n", serde_json::json!({"delta": {"content": text}}));
    let stream = [frame("pay with 41"), frame("11 1111 1111"), frame(" 111")].concat() + "data: {\"delta\":{\"con";
    let redacted = all().redact_cut(stream.as_bytes()).text;
    assert!(redacted.contains("pay with") && !redacted.contains("11"), "{redacted}");
    let stream = [
        frame("-----BEGIN PRIVATE KEY-----\nMIIE"),
        frame("vQ\nIBA"),
        frame("DAN"),
    ]
    .concat();
    let redacted = all().redact_cut(stream.as_bytes()).text;
    assert!(
        redacted.contains("[secret]") && !redacted.contains("MIIE"),
        "{redacted}"
    );
    for text in ["[1] see page 3", "[Note: hello there", "{name} said {", "[1] \"x"] {
        assert_eq!(all().redact(text.as_bytes()).text, text);
    }
    let many: String = (0..20_000).map(|n| format!("\"a{n}@example.com\":1,")).collect();
    let redacted = all().redact(format!("{{{many}\"x\":1}}").as_bytes()).text;
    assert!(redacted.contains("\"[email] 20000\":1") && !redacted.contains('@'));
}

#[test]
fn a_cut_wherever_it_falls_leaves_a_text_that_says_nothing_more() {
    let whole = r#"{"text":"信信信 ada@example.com äöü 4111 1111 1111 1111 ok","n":[{"tel":"+4930123456","\u0041":"\ud83d\ude00"}]}"#;
    for end in 1..whole.len() {
        let redacted = all().redact_cut(&whole.as_bytes()[..end]);
        for secret in ["ada", "4111", "493"] {
            assert!(!redacted.text.contains(secret), "{end}: {}", redacted.text);
        }
        assert!(!redacted.text.contains("no text"), "{end}: {}", redacted.text);
    }
}
