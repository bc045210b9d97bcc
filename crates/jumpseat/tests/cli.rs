//! The binary as a person and a script meet it: what it prints and the code it ends with.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the binary in an empty folder, with no variable but these.
fn jumpseat(args: &[&str], vars: &[(&str, &str)]) -> (i32, String, String) {
    let folder = tempfile();
    let output: Output = Command::new(env!("CARGO_BIN_EXE_jumpseat"))
        .args(args)
        .current_dir(&folder)
        .env_clear()
        .envs(vars.iter().copied())
        .output()
        .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn tempfile() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("jumpseat-cli-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(name: &str) -> String {
    repository().join("examples").join(name).to_str().unwrap().to_owned()
}

/// A configuration file that is gone when it is dropped.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn with(text: &str) -> ConfigFile {
        let file = tempfile().join("jumpseat.yaml");
        std::fs::write(&file, text).unwrap();
        ConfigFile(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

const KEYS: &[(&str, &str)] = &[
    ("OPENAI_API_KEY", "k"),
    ("OPENAI_API_KEY_2", "k"),
    ("OPENAI_EU_API_KEY", "k"),
    ("AZURE_OPENAI_API_KEY", "k"),
    ("ANTHROPIC_API_KEY", "k"),
    ("GEMINI_API_KEY", "k"),
    ("GROQ_API_KEY", "k"),
    ("CEREBRAS_API_KEY", "k"),
    ("MISTRAL_API_KEY", "k"),
];

#[test]
fn every_example_is_valid_and_names_its_schema() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        seen += 1;
        let (code, out, err) = jumpseat(&["validate", path.to_str().unwrap()], KEYS);
        assert_eq!(code, 0, "{}: {out}{err}", path.display());
        // Their secrets are files and machines that are not here.
        let elsewhere = path.ends_with("container.yaml") || path.ends_with("clouds.yaml");
        // A small fallback is better than none, and still worth a word.
        let doubts: Vec<&str> = err.lines().filter(|line| !line.contains("pass this tier by")).collect();
        assert!(doubts.is_empty() || elsewhere, "{}: {err}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../schema/jumpseat.schema.json\n"));
    }
    assert!(seen >= 6);
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_where_it_is_wrong() {
    let file =
        ConfigFile::with("providers: { openai: {} }\nroutes: { a: { tiers: [{ target: [openai/gpt-5.5] }] } }\n");
    let expected = format!(
        "error: {}:2:26: routes.a.tiers[0]: unknown key `target`, did you mean `targets`?\n",
        file.path()
    );
    for command in [
        vec!["validate", file.path()],
        vec!["serve", "--config", file.path()],
        vec!["check", "-c", file.path()],
    ] {
        let (code, out, err) = jumpseat(&command, KEYS);
        assert_eq!(
            (code, out.as_str(), err.as_str()),
            (2, "", expected.as_str()),
            "{command:?}"
        );
    }
    let (code, out, _) = jumpseat(&["validate", file.path(), "--json"], KEYS);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 2);
    assert_eq!(told["valid"], false);
    assert_eq!(
        (&told["errors"][0]["line"], &told["errors"][0]["path"]),
        (&2.into(), &"routes.a.tiers[0]".into())
    );
}

#[test]
fn bad_usage_ends_with_2() {
    for args in [
        vec!["fly"],
        vec!["config"],
        vec!["explain"],
        vec!["fake", "--listen", "here"],
        vec!["validate", "/gone.yaml"],
    ] {
        let (code, _, err) = jumpseat(&args, KEYS);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(!err.is_empty());
    }
}

#[test]
fn doubts_are_told_and_only_strict_makes_them_count() {
    let text = "providers: { openai: {}, groq: {} }\nroutes: { a: { tiers: [{ targets: [openai/gpt-5.5] }] } }\n";
    let file = ConfigFile::with(text);
    let vars = [("OPENAI_API_KEY", "k")];
    let (code, out, err) = jumpseat(&["validate", file.path()], &vars);
    let sound = format!("{}: sound: 1 of 2 providers enabled, 1 route\n", file.path());
    assert_eq!((code, out), (0, sound));
    assert!(
        err.contains("warning: ") && err.contains("`GROQ_API_KEY` is not set"),
        "{err}"
    );
    assert_eq!(jumpseat(&["validate", "--strict", file.path()], &vars).0, 2);
}

#[test]
fn without_a_file_the_environment_serves_and_an_empty_one_says_what_is_needed() {
    let (code, out, err) = jumpseat(&["validate"], &[("ANTHROPIC_API_KEY", "k")]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("environment: sound: 1 of 1 provider enabled"), "{out}");
    assert!(
        err.contains("providers from the environment are `anthropic` (ANTHROPIC_API_KEY)"),
        "{err}"
    );
    let (code, _, err) = jumpseat(&["serve"], &[]);
    assert_eq!(code, 2);
    assert!(
        err.contains("write a `jumpseat.yaml`, or set one of: OPENAI_API_KEY"),
        "{err}"
    );
}

#[test]
fn the_printed_defaults_are_a_valid_configuration_and_the_schema_is_the_kept_one() {
    let (code, defaults, _) = jumpseat(&["config", "--defaults"], &[]);
    assert_eq!(code, 0);
    let file = ConfigFile::with(&defaults);
    let (code, _, err) = jumpseat(&["validate", file.path()], KEYS);
    assert_eq!(code, 0, "{err}");
    let (code, schema, _) = jumpseat(&["config", "--schema"], &[]);
    assert_eq!(code, 0);
    let kept = std::fs::read_to_string(repository().join("schema/jumpseat.schema.json")).unwrap();
    assert!(
        schema == kept,
        "write it anew: cargo run -- config --schema > schema/jumpseat.schema.json"
    );
    let (_, json, _) = jumpseat(&["config", "--defaults", "--json"], &[]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["defaults"]["deadline"], "10m");
}

#[test]
fn explain_tells_who_would_serve_and_why_others_would_not() {
    let file = example("fallback.yaml");
    let (code, out, err) = jumpseat(&["explain", "gpt-4o", "--config", &file], KEYS);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with("`gpt-4o` takes route `chat`: at most 6 attempts within 45s\n"),
        "{out}"
    );
    let (_, out, _) = jumpseat(&["explain", "chat", "--config", &file, "--json"], &KEYS[..1]);
    let told: Value = serde_json::from_str(&out).unwrap();
    let targets: Vec<&str> = told["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["target"].as_str().unwrap())
        .collect();
    assert_eq!(targets, ["openai/gpt-5.5", "local/llama"]);
    assert_eq!(told["targets"][0]["first_token"], "5s");
    assert_eq!(told["left_out"][0]["target"], "anthropic/claude-sonnet-5-5");
    assert!(
        told["left_out"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("ANTHROPIC_API_KEY")
    );
}

#[test]
fn explain_reads_a_request_and_leaves_out_who_cannot_serve_it() {
    let request = ConfigFile::with(r#"{"model": "chat", "n": 2, "messages": [{"role": "user", "content": "hi"}]}"#);
    let file = example("fallback.yaml");
    let (code, out, err) = jumpseat(
        &["explain", "--request", request.path(), "--config", &file, "--json"],
        KEYS,
    );
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["route"], "chat");
    let left_out: Vec<&str> = told["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["target"].as_str().unwrap())
        .collect();
    assert!(left_out.contains(&"anthropic/claude-sonnet-5-5"), "{out}");
    let broken = ConfigFile::with("{\"model\": ");
    assert_eq!(
        jumpseat(&["explain", "--request", broken.path(), "--config", &file], KEYS).0,
        2
    );
}

#[test]
fn a_name_that_leads_nowhere_ends_with_1_and_offers_the_nearest() {
    let file = example("fallback.yaml");
    let (code, _, err) = jumpseat(&["explain", "chta", "--config", &file], KEYS);
    assert_eq!(code, 1);
    assert!(err.contains("near to it: chat"), "{err}");
    let (code, _, err) = jumpseat(&["explain", "groq/x", "--config", &file], &KEYS[..1]);
    assert_eq!(code, 1);
    assert!(
        err.contains("provider `groq` is disabled: environment variable `GROQ_API_KEY` is not set"),
        "{err}"
    );
}

#[test]
fn check_asks_every_provider_and_ends_with_1_when_one_does_not_answer() {
    // Nothing listens on port 9.
    let file = ConfigFile::with(
        "checks: { timeout: 2s }\nproviders: { vllm: { base_url: \"http://127.0.0.1:9/v1\" }, groq: {} }\n",
    );
    let (code, out, _) = jumpseat(&["check", "--config", file.path(), "--json"], &[]);
    assert_eq!(code, 1);
    let told: Value = serde_json::from_str(&out).unwrap();
    let outcomes: Vec<_> = told["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["provider"].as_str().unwrap(), p["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, [("vllm", "network"), ("groq", "disabled")]);
}

#[test]
fn check_is_fine_with_a_provider_that_answers() {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_jumpseat"))
        .args(["fake", "--listen", "127.0.0.1:0", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let address = told["listen"].as_str().unwrap();
    let file = ConfigFile::with(&format!(
        "providers:\n  a: {{ dialect: openai_chat, base_url: \"http://{address}/v1\", api_key: k }}\n  \
         b: {{ dialect: anthropic_messages, base_url: \"http://{address}\", api_key: k }}\n  \
         c: {{ dialect: gemini, base_url: \"http://{address}\", api_key: k }}\n"
    ));
    let (code, out, err) = jumpseat(&["check", "--config", file.path()], &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(out.matches("success").count(), 3, "{out}");
}

#[test]
fn models_are_listed_by_what_they_can_do_and_cost() {
    let listed = |args: &[&str]| {
        let (code, out, err) = jumpseat(&[&["models"], args, &["--json"]].concat(), &[]);
        assert!(err.is_empty(), "{args:?}: {err}");
        let told: Value = serde_json::from_str(&out).unwrap();
        (code, told.as_array().unwrap().clone())
    };
    let (code, all) = listed(&[]);
    assert!(code == 0 && all.len() > 2_000, "{}", all.len());
    let (code, found) = listed(&["claude", "sonnet-5-5", "--provider", "anthropic"]);
    assert_eq!((code, found.len()), (0, 1));
    assert_eq!(found[0]["target"], "anthropic/claude-sonnet-5-5");
    assert_eq!(found[0]["context_window"], 1_000_000);
    assert!(found[0]["price"]["input"].as_f64().is_some_and(|dollars| dollars > 0.0));
    assert!(found[0].get("prefill").is_none(), "what nobody knows is not told");
    let asked = [
        "--tier",
        "economy",
        "--feature",
        "vision",
        "--feature",
        "json_schema",
        "--max-price",
        "0.5",
        "--window",
        "500000",
    ];
    let (_, found) = listed(&asked);
    assert!(!found.is_empty());
    for model in &found {
        assert_eq!(model["model_tier"], "economy");
        assert!(model["price"]["output"].as_f64().unwrap() <= 0.5, "{model}");
        assert!(model["context_window"].as_u64().unwrap() >= 500_000, "{model}");
        let features: Vec<&str> = model["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f.as_str().unwrap())
            .collect();
        assert!(
            features.contains(&"vision") && features.contains(&"json_schema"),
            "{model}"
        );
    }
    assert_eq!(listed(&["no-such-model"]).0, 1);
    let (code, out, _) = jumpseat(&["models", "openai/gpt-5.5"], &[]);
    assert!(
        code == 0 && out.contains("openai/gpt-5.5 ") && out.contains("1050000"),
        "{out}"
    );
}

#[test]
fn models_are_compared_side_by_side() {
    let (code, out, err) = jumpseat(&["models", "compare", "openai/gpt-4o", "groq/openai/gpt-oss-20b"], &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    let line = |title: &str| {
        let found = out.lines().find(|line| line.trim_start().starts_with(title));
        found
            .unwrap_or_else(|| panic!("{title}: {out}"))
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(line("window")[1..], ["128000", "131072"]);
    assert_eq!(line("vision")[1..], ["yes", "-"]);
    assert_eq!(line("$ input")[2], "2.5");
    // 2,000 × 2.50 + 500 × 10 dollars a million.
    assert_eq!(line("$ of 2,000 + 500 tokens")[6], "0.01");
    let (code, _, err) = jumpseat(&["models", "compare", "openai/gpt-4o", "openai/gpt-4oo"], &[]);
    assert_eq!(code, 2);
    assert!(
        err.contains("does not know `openai/gpt-4oo`, did you mean `openai/gpt-4o`?"),
        "{err}"
    );
    assert_eq!(jumpseat(&["models", "compare", "openai/gpt-4o"], &[]).0, 2);
    assert_eq!(jumpseat(&["models", "--feature", "visoin"], &[]).0, 2);
}

#[test]
fn a_configuration_corrects_what_the_catalog_says_of_a_model() {
    let file = ConfigFile::with(
        "providers: { openai: { api_key: k, models: { gpt-4o: { price: { input: 0.000001, output: 2 } } } } }\nroutes: { a: { tiers: [{ targets: [openai/gpt-4o] }] } }\n",
    );
    let (code, out, err) = jumpseat(
        &[
            "models",
            "gpt-4o",
            "--max-price",
            "2",
            "--config",
            file.path(),
            "--json",
        ],
        &[],
    );
    assert_eq!((code, err.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&out).unwrap();
    let found = told
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["target"] == "openai/gpt-4o")
        .unwrap();
    assert_eq!(found["price"]["input"], 0.000001);
    assert!(
        found["price"].get("cached_input").is_none(),
        "the price is replaced whole"
    );
    assert_eq!(found["context_window"], 128_000, "and the rest stays");
}
