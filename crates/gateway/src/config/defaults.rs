//! Every key with its default and what it is for, as a configuration file: `jumpseat config --defaults`.
//!
//! Comments and keys come from the schema, values from the structs, so that the page cannot drift from the program.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::config::Config;
use crate::config::catalog::Catalog;
use crate::config::schema::schema;
use crate::config::settings::Settings;

/// How many makers of models are shown as providers.
const PROVIDERS_SHOWN: usize = 3;
/// Columns of a comment.
const WIDTH: usize = 110;

/// What stands beside a key that has no default, so that its form is seen: structure, key, YAML.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("Server", "auth", "none"),
    ("Server", "workers", "4"),
    ("Passthrough", "provider", "local"),
    ("Admin", "auth", "none"),
    ("Store", "spool", "/var/lib/jumpseat/spool"),
    ("Store", "instance", "gateway-1"),
    (
        "Admin",
        "tokens",
        "{ ops: { token: \"${OPS_TOKEN}\", role: operator } }",
    ),
    ("Log", "file", "/var/log/jumpseat.log"),
    ("Defaults", "retries", "1"),
    ("Defaults", "retry", "{ timeout: 1 }"),
    ("Timeouts", "connect", "5s"),
    ("Timeouts", "first_token", "30s"),
    ("Timeouts", "idle", "30s"),
    ("Timeouts", "content_idle", "2m"),
    ("Timeouts", "total", "20s"),
    ("Otlp", "endpoint", "\"http://127.0.0.1:4318\""),
    ("Otlp", "headers", "{ authorization: \"Bearer ${OTLP_TOKEN}\" }"),
    ("Provider", "dialect", "openai_chat"),
    ("Provider", "base_url", "\"http://10.0.0.7:8000/v1\""),
    ("Provider", "api_key", "\"${LOCAL_API_KEY}\""),
    (
        "Provider",
        "api_keys",
        "[\"${LOCAL_API_KEY}\", { file: /run/secrets/local }, { command: \"op read op://vault/local/key\", shell: false, timeout: 10s, refresh: 10m }, { entra: { tenant_id: our, client_id: gateway, client_secret: \"${AZURE_CLIENT_SECRET}\", token_file: /run/token, authority: \"https://login.microsoftonline.com\", scope: \"https://cognitiveservices.azure.com/.default\" } }, { service_account: /run/secrets/google.json }, { metadata: true }, { aws: { access_key_id: AKIA, secret_access_key: \"${AWS_SECRET_ACCESS_KEY}\", session_token: \"${AWS_SESSION_TOKEN}\" } }]",
    ),
    (
        "Provider",
        "azure",
        "{ api_version: \"2024-10-21\", deployments: { gpt-4o: our-gpt-4o } }",
    ),
    ("Provider", "vertex", "{ project: our-project, location: us-east5 }"),
    (
        "Provider",
        "aws",
        "{ region: us-east-1, profile: work, role_arn: \"arn:aws:iam::123456789012:role/models\", external_id: ours }",
    ),
    ("Provider", "failure_domain", "our-rack"),
    ("Provider", "headers", "{ x-team: search }"),
    ("Provider", "tls_ca", "/etc/ssl/our-ca.pem"),
    (
        "Provider",
        "quirks",
        "{ max_tokens: max_tokens, stream_options: omit, refuses: [logit_bias], renames: { seed: random_seed }, system_role: system, reasoning_field: reasoning, named: [content_as_text] }",
    ),
    ("Model", "lacks", "[parallel_tools, system]"),
    (
        "Model",
        "price",
        "{ input: 1.25, cached_input: 0.125, cache_write: 1.5625, cache_write_1h: 2.5, output: 10, reasoning: 10, image_input: 1.25, image_output: 40, audio_input: 40, audio_output: 80, per_call: 0.005, above: [{ tokens: 200000, input: 2.5, output: 15 }], batch: { input: 0.625, output: 5 }, flex: { input: 0.625, output: 5 }, priority: { input: 2.5, output: 20 } }",
    ),
    ("Model", "context_window", "131072"),
    ("Model", "max_output", "8192"),
    ("Model", "features", "[tools, vision, json_schema]"),
    ("Model", "reasoning", "false"),
    ("Model", "prefill", "true"),
    ("Model", "model_tier", "standard"),
    ("Model", "deprecated", "\"2027-04-01\""),
    ("Route", "models", "[gpt-4o, \"gpt-4o-*\"]"),
    ("Route", "deadline", "45s"),
    ("Route", "stream_max", "10m"),
    ("Route", "on_content_filter", "fallback"),
    ("Route", "on_unsupported", "degrade"),
    ("Route", "on_stream_failure", "{ hold_back: 4KB }"),
    ("Route", "balance", "least_busy"),
    ("Route", "timeouts", "{ first_token: 5s }"),
    ("Route", "retries", "1"),
    ("Route", "retry", "{ timeout: 1 }"),
    ("Route", "backoff", "{ base: 500ms, factor: 2, cap: 8s }"),
    ("Route", "retry_budget", "{ share: 20%, window: 10s, floor: 3 }"),
    ("Route", "attempts_max", "6"),
    ("Route", "tiers_max", "3"),
    ("Route", "cache", "{ exact: { ttl: 10m } }"),
    ("Route", "on_all_failed", "cached"),
    ("Route", "record", "{ payloads: errors, sample: 1% }"),
    (
        "Cache",
        "exact",
        "{ ttl: 10m, stale_ttl: 24h, tool_calls: false, shared: false, max: 64MB }",
    ),
    (
        "Cache",
        "semantic",
        "{ threshold: 0.95, ttl: 10m, mode: shadow, embedding: static, timeout: 500ms, candidates: 1000 }",
    ),
    ("Cache", "warm_when", "above 50%"),
    ("RouteRecord", "payloads", "errors"),
    ("RouteRecord", "sample", "1%"),
    (
        "Tier",
        "targets",
        "[openai/gpt-5.5, { target: local/llama, weight: 3 }]",
    ),
    ("Tier", "balance", "weighted"),
    ("Tier", "timeouts", "{ total: 20s }"),
    ("Tier", "retries", "2"),
    ("Tier", "retry", "{ rate_limited: 0 }"),
    (
        "Tier",
        "prompt",
        "{ prepend: \"Be brief.\", replace: \"You answer questions about our shop.\", append: \"Answer with JSON alone.\" }",
    ),
    ("Route", "response_metadata", "body"),
    ("Budget", "limit_usd", "100"),
    ("Budget", "window", "day"),
    ("Budget", "timezone", "Europe/Berlin"),
    ("Budget", "reserve", "5%"),
    (
        "Budget",
        "levels",
        "[{ above: 80%, prefer: quality }, { above: 20%, prefer: balanced }, { above: 0%, prefer: cheapest }]",
    ),
    ("Budget", "when_exhausted", "reject"),
    (
        "Budget",
        "priorities",
        "{ critical: { exempt_until: exhausted }, low: { shift: 20% } }",
    ),
    ("Budget", "cap_output", "true"),
    ("Budget", "unpriced", "refuse"),
    ("Budget", "routes", "[chat]"),
    ("Budget", "keys", "[web, js-abcdefghijkl]"),
    ("Budget", "tags", "[\"team:*\"]"),
];

/// The defaults as JSON, for machines.
pub fn defaults_json() -> Value {
    let written = Config {
        defaults: Settings::house(),
        ..Config::default()
    };
    serde_json::to_value(&written).expect("a configuration is writable")
}

/// The page.
pub fn defaults_text() -> String {
    let schema = schema();
    let values = defaults_json();
    let mut page = Page {
        definitions: &schema["definitions"],
        text: String::new(),
    };
    page.text.push_str(
        "# Every key of jumpseat.yaml with its default. Keys behind a `#` have none; an example stands beside them.\n",
    );
    for (key, property) in properties(&schema) {
        page.text.push('\n');
        page.comment(property, 0, "");
        match key.as_str() {
            "providers" => page.providers(),
            "routes" => page.routes(),
            "budgets" => page.budgets(),
            _ => {
                let _ = writeln!(page.text, "{key}:");
                page.section(property, &values[key], 1);
            }
        }
    }
    page.text
}

fn properties(structure: &Value) -> impl Iterator<Item = (&String, &Value)> {
    structure["properties"].as_object().into_iter().flatten()
}

struct Page<'a> {
    definitions: &'a Value,
    text: String,
}

impl<'a> Page<'a> {
    fn section(&mut self, property: &'a Value, values: &Value, depth: usize) {
        let Some((name, structure)) = self.structure(property) else {
            return;
        };
        let empty = Map::new();
        let values = values.as_object().unwrap_or(&empty);
        for (key, property) in properties(structure) {
            self.comment(property, depth, "");
            let indent = "  ".repeat(depth);
            match values.get(key) {
                Some(value @ Value::Object(_)) if self.structure(property).is_some() => {
                    let _ = writeln!(self.text, "{indent}{key}:");
                    self.section(property, value, depth + 1);
                }
                None | Some(Value::Null) => {
                    let _ = writeln!(self.text, "{indent}# {key}: {}", example(name, key));
                }
                Some(Value::Object(map)) if map.is_empty() => {
                    let _ = writeln!(self.text, "{indent}# {key}: {}", example(name, key));
                }
                Some(value) => {
                    let _ = writeln!(self.text, "{indent}{key}: {}", yaml(value));
                }
            }
        }
    }

    fn providers(&mut self) {
        self.text.push_str("providers:\n");
        let makers = Catalog::shipped().providers().filter(|(_, row)| row.maker);
        let keyed = makers.filter_map(|(name, row)| Some((name, row.key.first()?)));
        for (name, var) in keyed.take(PROVIDERS_SHOWN) {
            let _ = writeln!(self.text, "  {name}: {{ api_key: \"${{{var}}}\" }}");
        }
        self.text
            .push_str("  # One of your own, with every key there is:\n  # local:\n");
        self.examples("Provider", 2, &["models"]);
        self.text
            .push_str("  #   # Facts of its models that the catalog does not know or knows otherwise.\n");
        self.text.push_str("  #   models:\n  #     llama-3.3-70b:\n");
        self.examples("Model", 4, &[]);
    }

    fn routes(&mut self) {
        self.text
            .push_str("routes:\n  # One with every key there is:\n  # chat:\n");
        self.examples("Route", 2, &["tiers"]);
        self.text
            .push_str("  #   # Who is tried, tier after tier.\n  #   tiers:\n  #     -\n");
        self.examples("Tier", 4, &[]);
    }

    fn budgets(&mut self) {
        self.text
            .push_str("budgets:\n  # One with every key there is:\n  # daily:\n");
        self.examples("Budget", 2, &[]);
    }

    /// Every key of a structure as an example behind a `#`.
    fn examples(&mut self, name: &str, depth: usize, but: &[&str]) {
        let indent = "  ".repeat(depth - 1);
        for (key, property) in properties(&self.definitions[name]) {
            if but.contains(&key.as_str()) {
                continue;
            }
            self.comment(
                property,
                1,
                &format!("#{} ", &indent[..indent.len() - 1].replacen("", " ", 1)),
            );
            let _ = writeln!(self.text, "  #{indent} {key}: {}", example(name, key));
        }
    }

    fn comment(&mut self, property: &Value, depth: usize, prefix: &str) {
        let Some(description) = property["description"].as_str() else {
            return;
        };
        let start = format!("{}{prefix}# ", "  ".repeat(depth));
        let mut line = start.clone();
        for word in description.split_whitespace() {
            if line.len() > start.len() && line.len() + word.len() > WIDTH {
                let _ = writeln!(self.text, "{}", line.trim_end());
                line.clone_from(&start);
            }
            line.push_str(word);
            line.push(' ');
        }
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// The structure behind a property, when it is one.
    fn structure(&self, property: &'a Value) -> Option<(&'a str, &'a Value)> {
        let reference = property["$ref"]
            .as_str()
            .or_else(|| property["allOf"][0]["$ref"].as_str())?;
        let name = reference.rsplit('/').next()?;
        let structure = &self.definitions[name];
        structure["properties"].is_object().then_some((name, structure))
    }
}

fn example(structure: &str, key: &str) -> &'static str {
    if (structure, key) == ("Provider", "preset") {
        // Any row that needs no key: the examples beside it say the rest.
        return Catalog::shipped()
            .providers()
            .find(|(_, row)| row.key.is_empty())
            .map_or("…", |(name, _)| name);
    }
    EXAMPLES
        .iter()
        .find(|(s, k, _)| *s == structure && *k == key)
        .map_or("…", |(_, _, yaml)| yaml)
}

fn yaml(value: &Value) -> String {
    match value {
        // A colon at the end would make a key of it.
        Value::String(text) if text.ends_with(':') => value.to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;
    use crate::config::load;
    use crate::config::settings::Settings;

    #[test]
    fn the_page_of_defaults_is_valid_and_equal_to_the_defaults() {
        let text = defaults_text();
        let loaded = load(&text, &MapEnv::default()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(loaded.config.defaults, Settings::house());
        let silent = Config {
            defaults: Settings::default(),
            ..Config::default()
        };
        let config = Config {
            defaults: Settings::default(),
            providers: Default::default(),
            ..loaded.config
        };
        assert_eq!(config, silent);
        let house = Settings::house().policy("x".into(), vec![Settings::house().tier_policy()]);
        assert_eq!(
            house,
            Settings::default().policy("x".into(), vec![Settings::default().tier_policy()])
        );
    }

    #[test]
    fn every_key_of_the_schema_stands_on_the_page_and_its_examples_are_valid() {
        let text = defaults_text();
        assert!(!text.contains('…'), "a key without an example:\n{text}");
        let schema = schema();
        for (name, definition) in schema["definitions"].as_object().unwrap() {
            for (key, _) in properties(definition).filter(|_| name != "TargetMap") {
                assert!(text.contains(&format!("{key}:")), "{name}.{key}");
            }
        }
        // The examples taken out of their comments.
        let behind = text.split_once("# Who serves").unwrap().1;
        let examples: String = behind
            .lines()
            .skip(1)
            .filter_map(|line| match line.strip_prefix("  #") {
                Some(rest) if rest.trim_start().starts_with('#') || rest.starts_with(" One ") => None,
                Some(rest) => Some(format!("  {}\n", rest.strip_prefix(' ').unwrap_or(rest))),
                None => Some(format!("{line}\n")),
            })
            .filter(|line| {
                !["api_keys:", "azure:", "vertex:", "aws:"]
                    .iter()
                    .any(|key| line.trim_start().starts_with(key))
            })
            .collect();
        let mut env = MapEnv::of([("LOCAL_API_KEY", "k"), ("OPENAI_API_KEY", "k")]);
        env.files.insert("/etc/ssl/our-ca.pem".into(), String::new());
        load(&examples, &env).unwrap_or_else(|e| panic!("{e}\n{examples}"));
    }
}
