//! `jumpseat import` on configurations of the forms that the other gateways' documents show: what it writes validates, what it
//! leaves out is told with its line, and no literal secret survives.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// An import of one fixture.
struct Import {
    source: PathBuf,
    yaml: String,
    told: Value,
}

/// Imports a fixture and validates what was written with every variable set that it reads.
fn import(from: &'static str, name: &str) -> Import {
    let source = fixtures().join(from).join(name);
    let (code, out, err) = jumpseat(&["import", from, source.to_str().unwrap(), "--json"], &[]);
    assert_eq!(code, 0, "{name}: {out}{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let yaml = told["configuration"].as_str().unwrap().to_owned();
    let import = Import { source, yaml, told };
    import.validate();
    import
}

impl Import {
    fn validate(&self) {
        let folder = Folder::new();
        let (code, out, err) = jumpseat(&["validate", &folder.write(&self.readable())], &self.vars());
        assert_eq!(code, 0, "{}: {out}{err}\n{}", self.source.display(), self.yaml);
        assert!(!err.contains("disabled"), "{err}\n{}", self.yaml);
    }

    /// Who would serve a model, by the written configuration.
    fn explain(&self, model: &str) -> Vec<String> {
        let folder = Folder::new();
        let file = folder.write(&self.readable());
        let (code, out, err) = jumpseat(&["explain", model, "-c", &file, "--json"], &self.vars());
        assert_eq!(code, 0, "{model}: {out}{err}\n{}", self.yaml);
        let plan: Value = serde_json::from_str(&out).unwrap();
        let targets = plan["targets"].as_array().unwrap_or_else(|| panic!("{plan}"));
        let mut targets: Vec<String> = targets
            .iter()
            .map(|t| format!("{} {}", t["tier"], t["target"].as_str().unwrap()))
            .collect();
        targets.sort();
        targets
    }

    /// Keys in files are replaced by variables, which every machine has.
    fn readable(&self) -> String {
        self.yaml.replace("${file:/run/secrets/anthropic}", "${FROM_A_FILE}")
    }

    fn vars(&self) -> Vec<(String, String)> {
        let names = self.told["environment"].as_array().unwrap().iter();
        let mut vars: Vec<(String, String)> = names
            .map(|name| (name.as_str().unwrap().to_owned(), "https://set.example/v1".to_owned()))
            .collect();
        vars.push(("FROM_A_FILE".to_owned(), "k".to_owned()));
        vars
    }

    /// Asserts that the written configuration has these lines somewhere.
    fn writes(&self, parts: &[&str]) -> &Import {
        for part in parts {
            assert!(self.yaml.contains(part), "`{part}` is missing in\n{}", self.yaml);
        }
        self
    }

    /// Asserts findings: line, kind, a piece of the path, a piece of the message.
    fn tells(&self, rows: &[(usize, &str, &str, &str)]) -> &Import {
        for (line, kind, path, message) in rows {
            let findings = self.told["findings"].as_array().unwrap();
            let found = findings.iter().any(|f| {
                f["line"] == *line
                    && f["kind"] == *kind
                    && f["path"].as_str().unwrap().contains(path)
                    && f["message"].as_str().unwrap().contains(message)
            });
            assert!(found, "{line} {kind} {path} {message} is missing in {findings:#?}");
        }
        self
    }
}

// --- LiteLLM ----------------------------------------------------------------------------------------------------

#[test]
fn litellm_overview_regions_clouds_and_a_catch_all() {
    let import = import("litellm", "overview.yaml");
    import.writes(&[
        "azure: { base_url: \"https://contoso-west.openai.azure.com/openai/v1\", api_key: \"${AZURE_KEY_WEST}\" }",
        "preset: azure",
        "local: { dialect: openai_chat, base_url: \"http://0.0.0.0:8000/v1\" }",
        "# `claude-on-bedrock` is left out: ",
        "weight: 2",
    ]);
    import.tells(&[
        (8, "changed", "rpm", "not a limit"),
        (11, "not_carried_over", "model_list[1].litellm_params.model", "Bedrock"),
        (29, "to_do", "model_list[4]", "under `providers`"),
        (32, "not_carried_over", "drop_params", "never dropped in silence"),
        (36, "not_carried_over", "master_key", "jumpseat keys create"),
    ]);
    assert_eq!(
        import.explain("gpt-4o"),
        ["1 azure-contoso-north/gpt-4o-north", "1 azure/gpt-4o-west"]
    );
}

#[test]
fn litellm_parameters_of_a_request_are_told_and_headers_carried() {
    let import = import("litellm", "parameters.yaml");
    import.writes(&[
        "X-Unit: seven",
        "X-Auth: \"${OPENAI_X_AUTH}\"",
        "OpenAI-Organization: org-seven",
        "ollama: { base_url: \"${OLLAMA_BASE_URL}\" }",
        "# parameters.yaml:27: to do: this is no address",
    ]);
    import.tells(&[
        (7, "changed", "api_version", "v1 API"),
        (8, "not_carried_over", "azure_ad_token", "Entra"),
        (9, "not_carried_over", "seed", "application sends"),
        (14, "to_do", "api_key", "it is not copied"),
        (20, "not_carried_over", "AI-Resource Group", "no header's name"),
    ]);
}

#[test]
fn litellm_wildcards_become_providers_that_are_called_by_their_name() {
    let import = import("litellm", "organizations.yaml");
    import.writes(&["openai: { api_key: \"${OPENAI_API_KEY}\", headers: { OpenAI-Organization: org-1 } }"]);
    import.tells(&[(7, "changed", "organization", "the first of them")]);
    assert_eq!(import.explain("openai/gpt-4o"), ["1 openai/gpt-4o"]);
}

#[test]
fn litellm_balancing_fallbacks_windows_and_aliases() {
    let import = import("litellm", "balanced.yaml");
    import.writes(&[
        "{ target: local-2/HuggingFaceH4/zephyr-7b-beta, weight: 10 }",
        "{ target: local-3/HuggingFaceH4/zephyr-7b-beta, weight: 1000 }",
        "defaults: { timeouts: { total: 30s }, retries: 2 }",
        "breaker: { consecutive: 4 }",
        "models: [gpt-4]",
        "openai: { api_key: \"${OPENAI_API_KEY}\" }",
    ]);
    import.tells(&[
        (31, "not_carried_over", "num_retries", "wins over it"),
        (32, "not_carried_over", "request_timeout", "wins over it"),
        (34, "changed", "context_window_fallbacks[0]", "larger window"),
        (42, "not_carried_over", "redis_host", "shared state"),
    ]);
    assert_eq!(import.explain("gpt-4"), ["1 openai/gpt-4o", "2 openai/gpt-4.1"]);
    assert_eq!(import.explain("zephyr").len(), 5);
}

#[test]
fn litellm_orders_cooldowns_retry_policies_and_every_kind_of_fallback() {
    let import = import("litellm", "reliability.yaml");
    import.writes(&[
        "open: 6m40s, open_max: 6m40s",
        "rate_limited: 6m40s, rate_limited_max: 6m40s",
        "retry: { timeout: 3, rate_limited: 2, server_error: 4, overloaded: 4 }",
        "on_content_filter: fallback",
        "tiers_max: 4",
        "timeouts: { first_token: 30s, total: 5m }",
        "models: { chat-v2: { context_window: 128000, max_output: 16384 } }",
    ]);
    import.tells(&[
        (39, "not_carried_over", "AuthenticationErrorRetries", "only do harm"),
        (
            44,
            "not_carried_over",
            "allowed_fails_policy",
            "does not count by error",
        ),
    ]);
    assert_eq!(
        import.explain("small"),
        [
            "1 openai/gpt-4o-mini",
            "2 azure/chat-v2",
            "3 anthropic/claude-opus-4-5",
            "4 openai/gpt-4.1"
        ]
    );
    assert_eq!(
        import.explain("large"),
        ["1 openai/gpt-4.1", "2 anthropic/claude-opus-4-5"]
    );
    assert_eq!(import.explain("careful"), ["1 anthropic/claude-opus-4-5"]);
}

#[test]
fn litellm_fallbacks_to_an_id_and_to_a_model_of_a_wildcard() {
    let import = import("litellm", "fallback_ids.yaml");
    import.writes(&["azure: { base_url: \"${AZURE_API_BASE}/openai/v1\", api_key: \"${AZURE_API_KEY}\" }"]);
    import.tells(&[
        (11, "to_do", "api_base", "without a slash at its end"),
        (27, "not_carried_over", "fallbacks[2].gone", "no deployment"),
    ]);
    assert_eq!(import.explain("gpt-4o"), ["1 openai/gpt-4o", "2 azure/gpt-4o"]);
    assert_eq!(
        import.explain("anthropic/claude-opus-4-5"),
        ["1 anthropic/claude-opus-4-5"]
    );
}

#[test]
fn litellm_clocks_of_single_deployments() {
    let import = import("litellm", "timeouts.yaml");
    import.writes(&["timeouts: { first_token: 10ms, total: 100ms }", "retries: 5"]);
    // One deployment has a key in the file, the other the usual variable: they do not share a name.
    import.writes(&["api_key: \"${AZURE_API_KEY}\"", "api_key: \"${AZURE_API_KEY_2}\""]);
}

#[test]
fn litellm_credentials_by_name_budgets_tags_and_variables_of_the_file() {
    let import = import("litellm", "credentials.yaml");
    import.writes(&[
        "base_url: \"${AZURE_API_BASE}/openai/v1\"",
        "models: { gpt-4o: { context_window: 128000, max_output: 16384 } }",
        "models: [GPT-4o]",
        "balance: least_busy",
    ]);
    import.tells(&[
        (7, "not_carried_over", "max_budget", "write it under `budgets`"),
        (12, "not_carried_over", "input_cost_per_token", "prices"),
        (
            36,
            "not_carried_over",
            "provider_budget_config",
            "write it under `budgets`",
        ),
        (40, "changed", "routing_strategy", "least_busy"),
        (42, "changed", "GPT-4o", "no name is hidden"),
        (45, "not_carried_over", "lost", "not written"),
        (52, "not_carried_over", "num_retry", "does not know this key"),
        (56, "not_carried_over", "LANGFUSE_SECRET_KEY", "sets no variables"),
    ]);
}

// --- TensorZero -------------------------------------------------------------------------------------------------

#[test]
fn tensorzero_routing_retries_and_variants_that_are_drawn_or_fallen_back_to() {
    let import = import("tensorzero", "fallbacks.toml");
    import.writes(&[
        "models: [\"tensorzero::model_name::gpt_4o_mini\"]",
        "timeouts: { first_token: 2s, total: 9s }",
        "deadline: 15s",
        "stream_max: 1m",
        "backoff: { cap: 10s }",
        "{ target: openai/gpt-5-mini, weight: 7 }, { target: anthropic/claude-haiku-4-5, weight: 3 }",
    ]);
    import.tells(&[(4, "changed", "models.gpt_4o_mini.timeouts", "bounds streams too")]);
    let tiers = ["1 openai/gpt-4o-mini-2024-07-18", "2 azure/gpt4o-mini-20240718"];
    assert_eq!(import.explain("tensorzero::model_name::gpt_4o_mini"), tiers);
    assert_eq!(import.explain("tensorzero::function_name::extract_data"), tiers);
    let email = import.explain("draft_email");
    assert_eq!(email[2..], ["2 xai/grok-4-0709", "3 gemini/gemini-2.5-flash"]);
}

#[test]
fn tensorzero_locations_of_keys_and_listening_on_a_network() {
    let import = import("tensorzero", "keys.toml");
    import.writes(&[
        "listen: \"127.0.0.1:3000\"",
        "deadline: 15m",
        "openai-2: { preset: openai, api_key: \"${OPENAI_API_KEY_B}\" }",
        "api_key: \"${ANTHROPIC_KEY_OF_OURS}\"",
        "base_url: \"https://anthropic.example\"",
        "anthropic-beta: token-efficient-tools-2025-02-19",
        "X-Session-Token: \"${ANTHROPIC_X_SESSION_TOKEN}\"",
        "anthropic-2: { preset: anthropic, api_key: \"${ANTHROPIC_API_KEY}\" }",
    ]);
    import.tells(&[
        (3, "to_do", "gateway.bind_address", "auth: none"),
        (5, "not_carried_over", "gateway.auth", "jumpseat keys create"),
        (28, "not_carried_over", "models.claude.routing[2]", "forgotten"),
        (44, "not_carried_over", "api_key_location.default", "client's"),
        (45, "not_carried_over", "cost", "prices"),
        (
            47,
            "not_carried_over",
            "models.claude.providers.unused",
            "does not name it",
        ),
    ]);
    assert_eq!(
        import.explain("extract_data"),
        ["1 openai-2/gpt-4o-mini", "1 openai/gpt-4o-mini"]
    );
}

#[test]
fn tensorzero_servers_of_ones_own_and_clouds_that_cannot_be_written() {
    let import = import("tensorzero", "local.toml");
    import.writes(&[
        "local: { dialect: openai_chat, base_url: \"http://host.docker.internal:11434/v1\" }",
        "vllm: { base_url: \"http://10.0.0.5:8000/v1\" }",
        "api_key: \"${file:/run/secrets/anthropic}\"",
        "# `vertex` is left out: ",
    ]);
    import.tells(&[
        (
            36,
            "not_carried_over",
            "models.haiku.providers.aws_bedrock.type",
            "Bedrock",
        ),
        (49, "not_carried_over", "models.vertex.providers", "Vertex AI"),
    ]);
    assert_eq!(import.explain("haiku"), ["1 anthropic/claude-haiku-4-5"]);
    assert_eq!(import.explain("nomic"), ["1 local/nomic-embed-text"]);
}

#[test]
fn tensorzero_templates_schemas_and_what_comes_in_later_versions() {
    let import = import("tensorzero", "functions.toml");
    import.writes(&[
        "# functions.toml:9: to do: prompt templates",
        "# `only_examples` is left out: ",
    ]);
    import.tells(&[
        (4, "not_carried_over", "output_schema", "response_format"),
        (20, "not_carried_over", "variants.best.type", "several models"),
        (29, "not_carried_over", "tools", "by the application"),
        (33, "not_carried_over", "metrics", "later version"),
        (38, "not_carried_over", "evaluations", "later version"),
        (42, "not_carried_over", "rate_limiting", "limits for callers"),
    ]);
    // A variant without a weight, beside one that has one, is only fallen back to.
    assert_eq!(
        import.explain("extract_entities"),
        ["1 openai/gpt-4o-mini-2024-07-18", "2 openai/gpt-4o-2024-08-06"]
    );
}

// --- both -------------------------------------------------------------------------------------------------------

#[test]
fn no_literal_secret_of_a_source_is_printed_or_written() {
    let mut seen = BTreeSet::new();
    for (from, source) in every_fixture() {
        let text = std::fs::read_to_string(&source).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
        let numbered = |word: &&str| word.contains("secret") && word.ends_with(|c: char| c.is_ascii_digit());
        let secrets: Vec<&str> = words.filter(numbered).collect();
        seen.extend(secrets.iter().map(|s| (*s).to_owned()));
        let folder = Folder::new();
        let output = folder.0.join("out.yaml");
        let path = source.to_str().unwrap();
        let (_, out, err) = jumpseat(&["import", from, path], &[]);
        let (_, json, more) = jumpseat(&["import", from, path, "--json"], &[]);
        let (_, nothing, list) = jumpseat(&["import", from, path, "-o", output.to_str().unwrap()], &[]);
        assert_eq!(nothing, "");
        let written = std::fs::read_to_string(&output).unwrap();
        assert_eq!(written, out);
        for secret in secrets {
            for told in [&out, &err, &json, &more, &list, &written] {
                assert!(!told.contains(secret), "{}: {secret} in {told}", source.display());
            }
        }
    }
    assert!(seen.len() >= 12, "{seen:?}");
}

#[test]
fn every_fixture_is_imported_by_a_test_and_every_finding_has_a_line_of_it() {
    let tests = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import.rs")).unwrap();
    for (from, source) in every_fixture() {
        let name = source.file_name().unwrap().to_str().unwrap();
        assert!(tests.contains(&format!("import(\"{from}\", \"{name}\")")), "{name}");
        let lines = std::fs::read_to_string(&source).unwrap().lines().count();
        for finding in import(from, name).told["findings"].as_array().unwrap() {
            let line = finding["line"].as_u64().unwrap_or_else(|| panic!("{finding}"));
            assert!(line >= 1 && line as usize <= lines, "{name}: {finding}");
        }
    }
}

#[test]
fn a_key_that_nobody_knows_is_told_wherever_it_stands() {
    let litellm = "\
model_list:
  - model_name: a
    zzz: 1
    litellm_params: { model: gpt-4o, zzz: 1 }
    model_info: { zzz: 1 }
litellm_settings: { zzz: 1 }
router_settings: { zzz: 1 }
general_settings: { zzz: 1 }
credential_list: [{ credential_name: c, credential_values: {}, zzz: 1 }]
zzz: 1
";
    let tensorzero = "\
zzz = 1
gateway.zzz = 1
[models.m]
routing = [\"p\"]
zzz = 1
timeouts = { zzz = 1, streaming.zzz = 1 }
[models.m.providers.p]
type = \"openai\"
model_name = \"gpt-4o\"
zzz = 1
[functions.f]
type = \"chat\"
zzz = 1
variants.v = { type = \"chat_completion\", model = \"m\", zzz = 1, retries = { zzz = 1 } }
";
    for (from, text, count) in [("litellm", litellm, 8), ("tensorzero", tensorzero, 9)] {
        let folder = Folder::new();
        let (code, out, err) = jumpseat(&["import", from, &folder.write(text)], &[]);
        assert_eq!(code, 0, "{err}");
        let told = err.lines().filter(|l| l.contains("zzz: not carried over")).count();
        assert_eq!(told, count, "{err}");
        assert!(!out.contains("zzz"));
    }
}

#[test]
fn what_cannot_be_followed_or_is_of_the_wrong_shape_is_told() {
    let text = "\
model_list:
  - { model_name: a, litellm_params: { model: gpt-4o, order: first, weight: heavy } }
  - { model_name: b, litellm_params: { model: gpt-4.1 } }
  - { model_name: c, litellm_params: { model: perplexed/sonar } }
litellm_settings: []
router_settings:
  fallbacks: [{ a: [b, { model: c, temperature: 0 }] }, { b: [c, d] }]
  disable_cooldowns: true
  routing_strategy: usage-based-routing-v2
  num_retries: often
";
    let folder = Folder::new();
    let (code, out, err) = jumpseat(&["import", "litellm", &folder.write(text)], &[]);
    assert_eq!(code, 0, "{err}");
    for (line, part) in [
        (2, "order: not carried over: a whole number"),
        (2, "weight: not carried over: a number"),
        (4, "the catalog does not know `perplexed`"),
        (5, "litellm_settings: not carried over: a map"),
        (7, "from `a` the fallbacks of `b` are not followed further"),
        (7, "`a` falls back to `c`, which is not written"),
        (7, "temperature: not carried over: a fallback gets the request as it is"),
        (7, "`b` falls back to `d`, which is not written"),
        (8, "breakers cannot be turned off"),
        (9, "no balance by usage"),
        (10, "num_retries: not carried over"),
    ] {
        let told = err
            .lines()
            .any(|l| l.contains(&format!(":{line}: ")) && l.contains(part));
        assert!(told, "{line} {part} in {err}");
    }
    assert!(
        out.contains("a: { tiers: [{ targets: [openai/gpt-4o] }, { targets: [openai/gpt-4.1] }] }"),
        "{out}"
    );
}

#[test]
fn an_existing_file_is_overwritten_only_by_force() {
    let folder = Folder::new();
    let (source, output) = (fixtures().join("litellm/organizations.yaml"), folder.write("mine\n"));
    let args = ["import", "litellm", source.to_str().unwrap(), "-o", &output];
    let (code, out, err) = jumpseat(&args, &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("exists already"), "{err}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "mine\n");
    let (code, out, err) = jumpseat(&[&args[..], &["--force"]].concat(), &[]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(std::fs::read_to_string(&output).unwrap().contains("\nproviders:\n"));
    assert!(err.contains("written in "), "{err}");
}

#[test]
fn a_broken_source_ends_with_2_and_one_without_providers_with_1() {
    for (from, text, code, said) in [
        ("litellm", "model_list: [\n", 2, "error: "),
        ("litellm", "a: 1\na: 2\n", 2, ":2:"),
        ("tensorzero", "a = 1\na = 2\n", 2, ":2:"),
        ("litellm", "model_list: []\n", 1, "nothing could be written"),
        ("tensorzero", "", 1, "nothing could be written"),
        ("litellm", "- a\n", 1, "nothing could be written"),
    ] {
        let folder = Folder::new();
        let (ended, out, err) = jumpseat(&["import", from, &folder.write(text)], &[]);
        assert_eq!((ended, out.as_str()), (code, ""), "{text:?}: {err}");
        assert!(err.contains(said), "{text:?}: {err}");
    }
    let (code, _, err) = jumpseat(&["import", "litellm", "/nowhere.yaml"], &[]);
    assert_eq!(code, 2);
    assert!(err.contains("cannot be read"), "{err}");
}

// --- helpers ----------------------------------------------------------------------------------------------------

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn every_fixture() -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for from in ["litellm", "tensorzero"] {
        let files = std::fs::read_dir(fixtures().join(from)).unwrap();
        found.extend(files.map(|entry| (from, entry.unwrap().path())));
    }
    assert!(found.len() >= 12);
    found
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("jumpseat-import-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, text: &str) -> String {
        let file = self.0.join("file.yaml");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the binary with no variable but these.
fn jumpseat(args: &[&str], vars: &[(String, String)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_jumpseat"))
        .args(args)
        .env_clear()
        .envs(vars.iter().cloned())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}
