//! The never-rules of ARCHITECTURE.md, proved against the sources and the dependency tree.
//!
//! Each test is one rule; a broken one names every file and line. Comments are not code, and neither are the parts of a
//! file that only tests see. What a lint proves better (`unsafe`, a lock held across `.await`, calls that a crate's
//! `clippy.toml` forbids) is left to the lint; here only stands that the lint is switched on.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

// --- the walls between crates ---------------------------------------------------------------------------------

/// Which crates of the house each crate may use. Whoever is missing here has no leave at all.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("policy", &["types"]),
    ("wire", &["types"]),
    ("store", &["types", "policy"]),
    ("gateway", &["types", "policy", "wire", "store"]),
    ("jumpseat", &["types", "policy", "wire", "store", "gateway", "fake"]),
    // Written independently, so that a mistake in `wire` cannot cancel itself out.
    ("fake", &[]),
    ("sim", &["types", "policy"]),
];

#[test]
fn arrows_between_crates_run_down_only() {
    let mut broken = Vec::new();
    for name in crates() {
        let Some((_, allowed)) = ARROWS.iter().find(|(c, _)| *c == name) else {
            broken.push(format!("crates/{name} has no place in the table of arrows"));
            continue;
        };
        let manifest = read(&root().join("crates").join(&name).join("Cargo.toml"));
        for used in section(&manifest, "[dependencies]") {
            let ours = ARROWS.iter().any(|(c, _)| *c == used);
            if ours && !allowed.contains(&used.as_str()) {
                broken.push(format!("crates/{name}/Cargo.toml: depends on `{used}`"));
            }
        }
    }
    assert_kept(&broken);
}

#[test]
fn what_decides_and_what_translates_has_no_runtime_no_network_and_no_database() {
    const NEVER: &[&str] = &[
        "tokio",
        "hyper",
        "hyper-util",
        "reqwest",
        "mio",
        "sqlx",
        "redis",
        "async-std",
        "rand",
        "getrandom",
    ];
    let mut broken = Vec::new();
    for name in ["types", "policy", "wire", "sim"] {
        for used in tree(&format!("jumpseat-{name}")) {
            if NEVER.contains(&used.as_str()) {
                broken.push(format!("jumpseat-{name} depends on `{used}`"));
            }
        }
    }
    assert_kept(&broken);
}

#[test]
fn policy_and_wire_do_not_know_each_other() {
    let mut broken = Vec::new();
    for (name, other) in [("policy", "wire"), ("wire", "policy")] {
        let package = format!("jumpseat-{other}");
        if tree(&format!("jumpseat-{name}")).contains(&package) {
            broken.push(format!("jumpseat-{name} depends on `{package}`"));
        }
        let path = format!("{other}::");
        broken.extend(found_in(&[name], |line| has_path(line, &path)));
    }
    assert_kept(&broken);
}

// --- purity ---------------------------------------------------------------------------------------------------

/// What reads the world: a clock, the environment, files, threads, chance.
const WORLD: &[&str] = &[
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::net",
    "std::process",
    "std::thread",
    "File::open",
    "RandomState",
    "DefaultHasher",
    "thread_rng",
    "rand",
    "getrandom",
    "fastrand",
];

#[test]
fn types_policy_and_wire_read_no_clock_environment_file_or_chance() {
    let reads_world = |line: &str| WORLD.iter().any(|word| has_word(line, word));
    assert_kept(&found_in(&["types", "policy", "wire"], reads_world));
}

#[test]
fn types_policy_and_wire_have_lints_that_forbid_the_world() {
    let mut broken = Vec::new();
    for name in ["types", "policy", "wire"] {
        let path = root().join("crates").join(name).join("clippy.toml");
        let lints = std::fs::read_to_string(&path).unwrap_or_default();
        for method in [
            "std::time::Instant::now",
            "std::time::SystemTime::now",
            "std::env::var",
            "std::fs::File::open",
        ] {
            if !lints.contains(&format!("\"{method}\"")) {
                broken.push(format!("crates/{name}/clippy.toml does not forbid `{method}`"));
            }
        }
    }
    assert_kept(&broken);
}

#[test]
fn policy_and_sim_have_no_map_of_random_order() {
    let random_order = |line: &str| ["HashMap", "HashSet"].iter().any(|word| has_word(line, word));
    assert_kept(&found_in(&["policy", "sim"], random_order));
}

#[test]
fn the_gateway_reads_the_wall_clock_and_the_environment_in_one_place_each() {
    const PLACES: &[(&str, &[&str])] = &[
        ("SystemTime::now", &["crates/gateway/src/clock.rs"]),
        // `RUST_LOG` is the operations log's own, and no part of the configuration.
        (
            "std::env",
            &[
                "crates/gateway/src/config/env.rs",
                "crates/gateway/src/telemetry/operations.rs",
            ],
        ),
    ];
    let mut broken = Vec::new();
    for (word, places) in PLACES {
        let found = found_in(&["gateway"], |line| has_word(line, word));
        broken.extend(
            found
                .into_iter()
                .filter(|found| !places.iter().any(|place| found.starts_with(place))),
        );
    }
    assert_kept(&broken);
}

// --- blame and providers --------------------------------------------------------------------------------------

/// Names of dialects. They contain a provider's name and are not one. `Gemini`, in capitals, is the dialect's variant.
const DIALECTS: &[&str] = &[
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "OpenaiChat",
    "OpenaiResponses",
    "AnthropicMessages",
    "bedrock_converse",
    "cohere_chat",
    "ollama_chat",
    "BedrockConverse",
    "CohereChat",
    "OllamaChat",
    "Gemini",
];

/// Providers without a row in the catalog whose names must not stand in code either.
const MORE_PROVIDERS: &[&str] = &["bedrock", "vertex", "cohere", "perplexity", "claude", "chatgpt"];

/// Their names are also English words: only a text that is nothing else counts.
const ALSO_WORDS: &[&str] = &[
    "together",
    "fireworks",
    "writer",
    "lambda",
    "inception",
    "synthetic",
    "morph",
    "venice",
    "jan",
];

#[test]
fn no_providers_name_stands_in_code_but_where_providers_are_known() {
    // The dialect `gemini` is named like its provider; here stands the dialect's word.
    const DIALECT_WORDS: &str = "crates/types/src/dialect.rs";
    let names = providers();
    let names_provider = |line: &str| {
        let mut line = line.to_owned();
        // Beside another dialect's word `gemini` is the dialect's too.
        if line.contains("\"anthropic_messages\"") {
            line = line.replace("\"gemini\"", "");
        }
        for dialect in DIALECTS {
            line = line.replace(dialect, "");
        }
        let (code, texts) = split_texts(&line);
        // A message to people may give an example; a text that is one word can be compared with.
        let texts = texts.iter().filter(|text| !text.contains([' ', '`']));
        let code = std::iter::once(&code).chain(texts);
        code.map(|part| part.to_lowercase()).any(|part| {
            names.iter().any(|name| match ALSO_WORDS.contains(&name.as_str()) {
                true => part == *name,
                false => words_of(&part).any(|word| word == name),
            })
        })
    };
    // Clouds are sections of a provider's configuration: kinds of hosting and of credentials, which any provider may have.
    const CLOUDS: &[&str] = &[
        "crates/gateway/src/config/credential.rs",
        "crates/gateway/src/config/credentials.rs",
        "crates/gateway/src/config/defaults.rs",
        "crates/gateway/src/config/provider.rs",
        "crates/gateway/src/upstream/credentials",
    ];
    let found = found_in(&["types", "policy", "gateway", "jumpseat", "sim"], names_provider);
    let elsewhere =
        |place: &String| !place.starts_with(DIALECT_WORDS) && !CLOUDS.iter().any(|cloud| place.starts_with(cloud));
    assert_kept(&found.into_iter().filter(elsewhere).collect::<Vec<_>>());
}

#[test]
fn names_of_providers_keys_come_from_the_catalog() {
    let names_key = |line: &str| split_texts(line).1.iter().any(|text| text.ends_with("_API_KEY"));
    assert_kept(&found_in(&["types", "policy", "wire", "gateway"], names_key));
}

// --- the shell ------------------------------------------------------------------------------------------------

#[test]
fn outbound_http_is_upstreams_alone() {
    let client = |line: &str| {
        ["hyper_util::client", "hyper::client", "reqwest"]
            .iter()
            .any(|w| has_word(line, w))
    };
    let found = found_in(&["types", "policy", "wire", "gateway", "jumpseat", "sim"], client);
    // The demo plays the application, and commands ask the gateway that runs: neither ever goes to a provider.
    let allowed = [
        "crates/gateway/src/upstream/",
        "crates/jumpseat/src/demo",
        "crates/jumpseat/src/admin_client.rs",
    ];
    let elsewhere = |place: &String| !allowed.iter().any(|a| place.starts_with(a));
    assert_kept(&found.into_iter().filter(elsewhere).collect::<Vec<_>>());
}

#[test]
fn nobody_on_a_calls_way_sleeps_but_the_engines_loop() {
    // The loop's alarm, and the comments that keep a stream with early headers alive: neither delays a call.
    const WAIT: &[&str] = &[
        "crates/gateway/src/engine/drive.rs",
        "crates/gateway/src/engine/output.rs",
    ];
    let sleeps = |line: &str| {
        ["sleep", "sleep_until", "interval"]
            .iter()
            .any(|word| has_word(line, word))
    };
    let found = found_in(&["gateway"], sleeps);
    let on_the_way = |place: &String| {
        [
            "crates/gateway/src/engine/",
            "crates/gateway/src/upstream/",
            "crates/gateway/src/fleet/",
        ]
        .iter()
        .any(|folder| place.starts_with(folder))
            && !WAIT.iter().any(|file| place.starts_with(file))
    };
    assert_kept(&found.into_iter().filter(on_the_way).collect::<Vec<_>>());
}

#[test]
fn every_task_of_the_gateway_has_an_owner_that_awaits_it() {
    // `JoinSet` and `TaskTracker` own what they spawn, and so does who awaits work where it is sent off; these do not.
    let unowned = |line: &str| {
        let awaited = line.contains("spawn_blocking(") && line.contains(").await");
        !awaited
            && ["tokio::spawn", "task::spawn", "spawn_blocking"]
                .iter()
                .any(|w| has_word(line, w))
    };
    assert_kept(&found_in(&["gateway"], unowned));
}

#[test]
fn there_is_no_state_that_knows_everything_and_is_handed_to_everyone() {
    let mut broken = found_in(&["gateway"], |line| {
        has_word(line, "AppState") || has_word(line, "crate::app")
    });
    // What reads the configuration knows nothing of what runs.
    let climbs = |line: &str| {
        [
            "admin",
            "clock",
            "engine",
            "fleet",
            "ingress",
            "jobs",
            "telemetry",
            "upstream",
        ]
        .iter()
        .any(|module| has_path(line, &format!("crate::{module}::")))
    };
    let config = found_in(&["gateway"], climbs);
    broken.extend(
        config
            .into_iter()
            .filter(|place| place.starts_with("crates/gateway/src/config/")),
    );
    assert_kept(&broken);
}

#[test]
fn no_log_line_quotes_a_prompt_an_answer_a_providers_message_or_a_secret() {
    const NEVER: &[&str] = &[
        "message",
        "body",
        "bytes",
        "text",
        "prompt",
        "secret",
        "expose_secret",
        "held",
    ];
    let mut broken = Vec::new();
    for file in sources(&["types", "policy", "wire", "gateway"]) {
        for (line, logged) in file.macros(&["trace!", "debug!", "info!", "warn!", "error!"]) {
            let (mut code, texts) = split_texts(&logged);
            // A text quotes what stands in its braces.
            for name in texts.iter().flat_map(|text| text.split('{').skip(1)) {
                code.push(' ');
                code.push_str(name.split(['}', ':']).next().unwrap_or_default());
            }
            let quoted = NEVER.iter().find(|word| words_of_code(&code).any(|w| w == **word));
            if let Some(word) = quoted {
                broken.push(format!("{}:{line}: a log line with `{word}`", file.path));
            }
        }
    }
    assert_kept(&broken);
}

// --- the house ------------------------------------------------------------------------------------------------

#[test]
fn every_file_says_what_it_is_for() {
    let mut broken = Vec::new();
    for path in rust_files(&root().join("crates")) {
        let text = read(&path);
        if path.components().any(|c| c.as_os_str() == "src") && !text.starts_with("//!") {
            broken.push(format!("{} does not open with `//!`", shown(&path)));
        }
    }
    assert_kept(&broken);
}

#[test]
fn every_test_that_security_names_exists() {
    let security = read(&root().join("SECURITY.md"));
    let table = security.split("| threat | control | shown by |").nth(1).unwrap();
    let mut tests = String::new();
    for folder in ["tests", "crates"] {
        for kind in ["rs", "py"] {
            for file in files_of(&root().join(folder), kind) {
                tests.push_str(&read(&file));
            }
        }
    }
    let mut broken = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && line.len() > 5) {
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            broken.push(format!("no test: {row}"));
        }
        broken.extend(
            names
                .iter()
                .filter(|name| !tests.contains(*name))
                .map(|name| format!("SECURITY.md: `{name}`")),
        );
    }
    assert_kept(&broken);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for path in documents() {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a document lies in a folder").join(file),
            };
            let found = target.exists() && (heading.is_empty() || headings(&read(&target)).contains(heading));
            if !found {
                broken.push(format!("{}: ({link}) leads nowhere", shown(&path)));
            }
        }
    }
    assert_kept(&broken);
}

#[test]
fn rules_that_architecture_names_are_here() {
    let (own, page) = (include_str!("rules.rs"), read(&root().join("ARCHITECTURE.md")));
    let rows = page
        .lines()
        .filter(|line| line.starts_with('|') && line.contains("`rules: "));
    let quoted = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .map(str::to_owned);
    let names: Vec<String> = quoted
        .flat_map(|text| text.strip_prefix("rules: ").map(str::to_owned))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let missing = |name: &&String| !own.contains(&format!("fn {}", name.trim_end_matches('…')));
    assert_kept(&names.iter().filter(missing).cloned().collect::<Vec<_>>());
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[", "ignore");
    let mut broken = Vec::new();
    for path in rust_files(&root().join("crates")) {
        for (number, line) in read(&path).lines().enumerate() {
            if line.trim_start().starts_with(mark) {
                broken.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert_kept(&broken);
}

#[test]
fn the_lints_of_the_house_hold_in_every_crate() {
    let workspace = read(&root().join("Cargo.toml"));
    let mut broken = Vec::new();
    for lint in [
        "unsafe_code = \"forbid\"",
        "await_holding_lock = \"deny\"",
        "disallowed_methods = \"deny\"",
        "disallowed_types = \"deny\"",
    ] {
        if !workspace.contains(lint) {
            broken.push(format!("Cargo.toml: `{lint}` is missing"));
        }
    }
    for name in crates() {
        let manifest = read(&root().join("crates").join(&name).join("Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true") {
            broken.push(format!("crates/{name}/Cargo.toml does not take the workspace's lints"));
        }
    }
    assert_kept(&broken);
}

// --- how the rules themselves are read ------------------------------------------------------------------------

#[test]
fn comments_and_tests_are_not_code_and_texts_are() {
    let source = "//! std::fs\nuse a; // tokio::spawn\n/* HashMap */ let x = \"std::env // kept\"; let c = '\"';\n\
                  #[cfg(test)]\nmod tests {\n  fn f() { \"}\"; HashMap }\n}\nfn after<'a>() {}\n#[cfg(test)]\nmod far;\n";
    let (code, far) = code_of(source);
    assert_eq!(far, ["far"]);
    assert!(
        !code.contains("std::fs") && !code.contains("tokio") && !code.contains("HashMap"),
        "{code}"
    );
    assert!(
        code.contains("std::env // kept") && code.contains("fn after<'a>"),
        "{code}"
    );
    assert_eq!(code.lines().count(), source.lines().count(), "lines keep their numbers");
    assert_eq!(
        split_texts(r#"f("a\"b", c)"#),
        ("f(\"\", c)".to_owned(), vec![r#"a\"b"#.to_owned()])
    );
    assert!(has_word("use std::time::Instant;", "Instant") && !has_word("Instantly", "Instant"));
    assert!(has_path("use wire::dialect", "wire::") && !has_path("rewire::x", "wire::"));
    assert_eq!(words_of("openai_api_key").collect::<Vec<_>>(), ["openai", "api", "key"]);
}

#[test]
fn the_catalog_names_the_providers() {
    let names = providers();
    for name in ["openai", "anthropic", "gemini", "groq"] {
        assert!(names.contains(name), "{names:?}");
    }
}

/// A source file as far as it is code.
struct Source {
    /// From the workspace's root.
    path: String,
    /// Comments and tests are blanks; lines keep their numbers.
    code: String,
}

impl Source {
    /// Calls of macros with the line they begin on and everything between their parentheses.
    fn macros(&self, names: &[&str]) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for name in names {
            for (at, _) in self.code.match_indices(&format!("{name}(")) {
                if self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let open = at + name.len();
                let end = matching(self.code.as_bytes(), open).unwrap_or(self.code.len());
                let line = self.code[..at].matches('\n').count() + 1;
                found.push((line, self.code[open..end].to_owned()));
            }
        }
        found
    }
}

/// Places (`path:line: code`) of crates' own code at which `breaks` holds.
fn found_in(names: &[&str], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources(names) {
        for (number, line) in file.code.lines().enumerate() {
            if breaks(line) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    found
}

fn sources(names: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for name in names {
        let files = rust_files(&root().join("crates").join(name).join("src"));
        assert!(!files.is_empty(), "crates/{name}/src has files");
        let mut only_tests = BTreeSet::new();
        let mut read_here = Vec::new();
        for path in files {
            let (code, far) = code_of(&read(&path));
            let folder = match path.file_name().and_then(|f| f.to_str()) {
                Some("mod.rs" | "lib.rs" | "main.rs") => path.parent().unwrap().to_owned(),
                _ => path.with_extension(""),
            };
            only_tests.extend(far.iter().map(|module| folder.join(format!("{module}.rs"))));
            only_tests.extend(far.iter().map(|module| folder.join(module).join("mod.rs")));
            read_here.push((path, code));
        }
        let kept = read_here.into_iter().filter(|(path, _)| !only_tests.contains(path));
        sources.extend(kept.map(|(path, code)| Source {
            path: shown(&path),
            code,
        }));
    }
    sources
}

/// A file with comments and `#[cfg(test)]` items blanked out, and the names of the modules that only tests have.
fn code_of(source: &str) -> (String, Vec<String>) {
    let mut code = source.as_bytes().to_vec();
    // The same with texts blanked out too: what braces are counted in.
    let mut shape = code.clone();
    let mut at = 0;
    while at < code.len() {
        let rest = &source.as_bytes()[at..];
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + source[at..].find("*/").map_or(rest.len(), |i| i + 2)
        } else if let Some(end) = text_end(source.as_bytes(), at) {
            blank(&mut shape, at + 1, end - 1);
            at = end;
            continue;
        } else {
            at += 1;
            continue;
        };
        blank(&mut code, at, end);
        blank(&mut shape, at, end);
        at = end;
    }
    let mut far = Vec::new();
    let mark = b"#[cfg(test)]";
    let mut from = 0;
    while let Some(start) = shape[from..]
        .windows(mark.len())
        .position(|w| w == mark)
        .map(|i| from + i)
    {
        let after = start + mark.len();
        let opens = after
            + shape[after..]
                .iter()
                .position(|b| matches!(b, b'{' | b';'))
                .unwrap_or(0);
        let end = match shape[opens] {
            b'{' => matching(&shape, opens).unwrap_or(shape.len()),
            _ => {
                let item = String::from_utf8_lossy(&shape[after..opens]).trim().to_owned();
                far.extend(item.strip_prefix("mod ").map(str::to_owned));
                opens + 1
            }
        };
        blank(&mut code, start, end);
        blank(&mut shape, start, end);
        from = end;
    }
    (String::from_utf8(code).expect("only whole characters are blanked"), far)
}

/// Where the text or character that begins at `at` ends; `None` when none begins there.
fn text_end(source: &[u8], at: usize) -> Option<usize> {
    let in_word = at > 0 && (source[at - 1].is_ascii_alphanumeric() || source[at - 1] == b'_');
    match source[at] {
        b'r' if !in_word => {
            let hashes = source[at + 1..].iter().take_while(|b| **b == b'#').count();
            (source.get(at + 1 + hashes) == Some(&b'"')).then_some(())?;
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let from = at + 2 + hashes;
            source[from..]
                .windows(close.len())
                .position(|w| w == close)
                .map(|i| from + i + close.len())
        }
        b'"' => {
            let mut end = at + 1;
            while end < source.len() && source[end] != b'"' {
                end += if source[end] == b'\\' { 2 } else { 1 };
            }
            Some((end + 1).min(source.len()))
        }
        // A lifetime has no closing quote within one character.
        b'\'' if source.get(at + 1) == Some(&b'\\') => source[at + 3..]
            .iter()
            .take(10)
            .position(|b| *b == b'\'')
            .map(|i| at + 4 + i),
        b'\'' => {
            let width = (1..=4).find(|n| source.get(at + 1 + n) == Some(&b'\''))?;
            (width == 1 || source[at + 1] >= 0x80).then_some(at + 2 + width)
        }
        _ => None,
    }
}

/// A line's code with its texts emptied, and the texts.
fn split_texts(line: &str) -> (String, Vec<String>) {
    let (mut code, mut texts) = (String::new(), Vec::new());
    let mut at = 0;
    while at < line.len() {
        match (line.as_bytes()[at], text_end(line.as_bytes(), at)) {
            (b'"', Some(end)) => {
                code.push_str("\"\"");
                texts.push(line[at + 1..end.saturating_sub(1).max(at + 1)].to_owned());
                at = end;
            }
            (_, _) => {
                let next = line[at..].chars().next().expect("`at` is within the line");
                code.push(next);
                at += next.len_utf8();
            }
        }
    }
    (code, texts)
}

/// The place behind the bracket that closes the one at `open`.
fn matching(shape: &[u8], open: usize) -> Option<usize> {
    let (opening, closing) = if shape[open] == b'(' {
        (b'(', b')')
    } else {
        (b'{', b'}')
    };
    let mut depth = 0usize;
    for (at, byte) in shape.iter().enumerate().skip(open) {
        if *byte == opening {
            depth += 1;
        } else if *byte == closing {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

fn blank(text: &mut [u8], from: usize, to: usize) {
    for byte in &mut text[from..to.max(from)] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Whether a name or path stands in the line as a whole.
fn has_word(line: &str, word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(of_name) && !line[at + word.len()..].starts_with(of_name))
}

/// Whether a path begins with these segments.
fn has_path(line: &str, path: &str) -> bool {
    let of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(of_path))
}

/// The words a name is made of.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The names in a piece of code.
fn words_of_code(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The names of the catalog's providers, and some more.
fn providers() -> BTreeSet<String> {
    let catalog = read(&root().join("catalog/providers.yaml"));
    let rows = catalog
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_alphanumeric()));
    rows.filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.to_owned())
        // A gateway that can be a provider too; `import` names it as what it reads.
        .filter(|name| name != "litellm")
        .chain(MORE_PROVIDERS.iter().map(|name| (*name).to_owned()))
        .collect()
}

/// The packages that a package is built from, by `cargo tree`.
fn tree(package: &str) -> BTreeSet<String> {
    let run = |offline: bool| {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(root())
            .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none"]);
        if offline {
            command.arg("--offline");
        }
        command.output().expect("cargo can be run")
    };
    let first = run(true);
    let output = if first.status.success() { first } else { run(false) };
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let names: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains(package), "cargo tree names {package} itself: {text}");
    names
}

/// The keys of a section of a manifest.
fn section(manifest: &str, head: &str) -> Vec<String> {
    let body = manifest
        .lines()
        .skip_while(|line| *line != head)
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    body.filter_map(|line| line.split_once([' ', '.', '=']))
        .map(|(key, _)| key.to_owned())
        .collect()
}

/// The project's pages for people.
fn documents() -> Vec<PathBuf> {
    let folders = [root(), root().join("docs"), root().join("bench"), root().join("tests")];
    let files = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten();
    let pages = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"));
    pages.collect()
}

/// The anchors of a page's headings, as they are made where it is shown.
fn headings(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        text.chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .collect()
    };
    lines.map(anchor).collect()
}

fn crates() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let crates = folders.filter(|path| path.join("Cargo.toml").exists());
    let mut names: Vec<_> = crates
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files_of(folder, "rs")
}

fn files_of(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path, kind));
        } else if path.extension().is_some_and(|e| e == kind) {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/jumpseat lies two below the root")
        .to_owned()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn assert_kept(broken: &[String]) {
    assert!(
        broken.is_empty(),
        "the rule is broken {} times:\n  {}",
        broken.len(),
        broken.join("\n  ")
    );
}
