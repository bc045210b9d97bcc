//! Whole configurations: what they become, and what is said about wrong ones.

use std::time::Duration;

use policy::route::{Balance, OnStreamFailure};
use types::ids::ModelTier;

use crate::config::credential::Source;
use crate::config::env::MapEnv;
use crate::config::topology::{Resolution, RouteSpec};
use crate::config::{Config, Loaded, listen, load, load_house};

/// The example of the design, less the sections of later versions.
const EXAMPLE: &str = r#"
server: { listen: 127.0.0.1:4000, shutdown_grace: 30s }
admin:  { listen: 127.0.0.1:4001 }
providers:
  openai:    { api_key: "${OPENAI_API_KEY}" }
  anthropic: { api_key: "${ANTHROPIC_API_KEY}" }
  groq:      { api_key: "${GROQ_API_KEY}" }
  local:     { dialect: openai_chat, base_url: "http://127.0.0.1:8080/v1", failure_domain: our-rack }
routes:
  chat:
    models: [gpt-4o, "gpt-4o-*"]
    deadline: 45s
    on_content_filter: stop
    on_stream_failure: error
    tiers:
      - { targets: [openai/gpt-5.5], timeouts: { first_token: 5s, total: 20s }, retries: 2 }
      - { targets: [anthropic/claude-sonnet-5-5], timeouts: { total: 12s } }
      - { targets: [{ target: groq/openai/gpt-oss-120b, weight: 3 }, { target: local/llama, weight: 1 }], balance: least_busy, timeouts: { total: 8s } }
  fast: { tiers: [{ targets: [groq/openai/gpt-oss-20b, openai/gpt-4o-mini], balance: least_busy }] }
checks: { interval: 60s }
"#;

fn keys() -> MapEnv {
    MapEnv::of([
        ("OPENAI_API_KEY", "sk-o"),
        ("ANTHROPIC_API_KEY", "sk-a"),
        ("GROQ_API_KEY", "gsk"),
    ])
}

fn loaded(text: &str) -> Loaded {
    load(text, &keys()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn targets(route: &RouteSpec) -> Vec<&str> {
    route.targets.iter().map(|t| t.facts.id.as_str()).collect()
}

#[test]
fn the_example_of_the_design_becomes_routes_with_tiers() {
    let loaded = loaded(EXAMPLE);
    assert_eq!(loaded.warnings, []);
    let topology = &loaded.topology;
    let chat = &topology.routes[0];
    assert_eq!(
        targets(chat),
        [
            "openai/gpt-5.5",
            "anthropic/claude-sonnet-5-5",
            "groq/openai/gpt-oss-120b",
            "local/llama"
        ]
    );
    let policy = &chat.policy;
    assert_eq!(policy.deadline, Duration::from_secs(45));
    assert_eq!(policy.on_stream_failure, OnStreamFailure::Error);
    assert_eq!(policy.tiers[0].timeouts.first_token, Some(Duration::from_secs(5)));
    assert_eq!(policy.tiers[0].retries.default, Some(2));
    assert_eq!(policy.tiers[1].timeouts.total, Some(Duration::from_secs(12)));
    assert_eq!(policy.tiers[2].balance, Balance::LeastBusy);
    let weights: Vec<_> = policy.tiers[2].targets.iter().map(|t| (t.target.0, t.weight)).collect();
    assert_eq!(weights, [(2, 3), (3, 1)]);
    assert_eq!(topology.provider("local").unwrap().base_url, "http://127.0.0.1:8080/v1");
    let domains: Vec<_> = topology.domains.iter().map(|d| d.as_str()).collect();
    assert_eq!(domains, ["openai", "anthropic", "groq", "our-rack"]);
    assert_eq!(chat.targets[0].facts.model_tier, Some(ModelTier::Premium));
}

#[test]
fn a_model_is_a_route_then_a_name_of_one_then_a_target_then_a_name_the_catalog_knows() {
    let loaded = loaded(EXAMPLE);
    let cases = [
        ("chat", "route chat"),
        ("gpt-4o", "route chat"),
        ("gpt-4o-2024-08-06", "route chat"),
        ("openai/whatever-1", "direct openai/whatever-1"),
        ("groq/openai/gpt-oss-20b", "direct groq/openai/gpt-oss-20b"),
        ("gpt-5.5", "direct openai/gpt-5.5"),
        ("claude-sonnet-5-5", "direct anthropic/claude-sonnet-5-5"),
        ("openai/gpt-oss-20b", "direct openai/gpt-oss-20b"),
        ("chta", "unknown, chat"),
        ("gtp-5.5", "unknown, gpt-5.5"),
        ("gemini/gemini-2.5-pro", "unknown"),
        ("", "unknown"),
    ];
    for (model, expected) in cases {
        let found = match loaded.topology.resolve(model) {
            Resolution::Route(index) => format!("route {}", loaded.topology.routes[index].policy.name),
            Resolution::Direct(route) => format!("direct {}", targets(&route).join(" ")),
            Resolution::Unknown { nearest } => nearest
                .first()
                .map_or("unknown".to_owned(), |n| format!("unknown, {n}")),
        };
        assert_eq!(found, expected, "{model:?}");
    }
}

/// The errors of a text, each on a line.
fn errors(text: &str) -> String {
    match load(text, &keys()) {
        Ok(_) => "no error".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// The warnings of a sound text, each on a line.
fn warnings(text: &str) -> String {
    loaded(text)
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_wrong_key_or_value_is_told_with_line_column_place_and_the_nearest_right_name() {
    let cases = [
        ("sever: {}", "1:1: unknown key `sever`, did you mean `server`?"),
        (
            "server:\n  lisen: 1",
            "2:3: server: unknown key `lisen`, did you mean `listen`?",
        ),
        (
            "server:\n  colour: red",
            "2:3: server: unknown key `colour`, known here: listen, auth, shutdown_grace, body_max, header_max, bodies_in_flight_max, stored_responses_max, header_timeout, idle_timeout, body_min_rate, early_headers, response_metadata, workers",
        ),
        (
            "alerts: { daily: {} }",
            "1:1: `alerts` is not available in this version",
        ),
        (
            "routes: { a: { shadow: off } }",
            "1:16: routes.a: `shadow` is not available in this version",
        ),
        (
            "server: { listen: here }",
            "1:19: server.listen: `here` is no address: write it like \"127.0.0.1:4000\"",
        ),
        (
            "server: { shutdown_grace: 30 }",
            "1:27: server.shutdown_grace: `30` is no duration: write it like \"30s\", \"500ms\" or \"1m30s\"",
        ),
        (
            "server: { body_max: [1] }",
            "1:11: server.body_max: expected a size such as \"4KB\" or \"32MB\", found a list",
        ),
        (
            "server: { early_headers: maybe }",
            "1:26: server.early_headers: expected true or false, found `maybe`",
        ),
        (
            "server: { workers: -1 }",
            "1:20: server.workers: expected a whole number, found `-1`",
        ),
        ("server: [1]", "1:1: server: expected a map, found a list"),
        (
            "log: { level: inof }",
            "1:15: log.level: unknown word `inof`, did you mean `info`?",
        ),
        (
            "log: { level: loud }",
            "1:15: log.level: unknown word `loud`, one of: error, warn, info, debug, trace",
        ),
        (
            "breaker: { ratio: 120% }",
            "1:19: breaker.ratio: `120%` is not between 0% and 100%",
        ),
        (
            "defaults: { retry: { timeuot: 1 } }",
            "1:31: defaults.retry.timeuot: unknown outcome class `timeuot`, did you mean `timeout`?",
        ),
        (
            "defaults: { retry: { auth: 1 } }",
            "1:28: defaults.retry.auth: `auth` is never tried again at the same target: it would only do harm",
        ),
        (
            "defaults: { on_stream_failure: retry }",
            "1:32: defaults.on_stream_failure: expected `error`, `resume` or `{ hold_back: 4KB }`, found `retry`",
        ),
        (
            "defaults: { on_stream_failure: { hold_back: lots } }",
            "1:13: defaults.on_stream_failure: `lots` is no size: write it like \"4KB\" or \"32MB\"",
        ),
        (
            "defaults: { balance: latency }",
            "1:22: defaults.balance: `latency` is not available in this version, one of: weighted, least_busy",
        ),
        (
            "defaults: { deadline: \"${GONE}\" }",
            "1:23: defaults.deadline: environment variable `GONE` is not set, set it, or write a default: `${NAME:-default}`",
        ),
        (
            "server: { listen: here }\nlog: { level: inof }\nchecks: 7",
            "1:19: server.listen: `here` is no address: write it like \"127.0.0.1:4000\"\n2:15: log.level: unknown word `inof`, did you mean `info`?\n3:9: checks: expected a map, found `7`",
        ),
        ("a: 1\na: 2", "2:1: duplicate mapping key: a"),
    ];
    for (text, expected) in cases {
        let text = format!("{text}\nproviders: {{ ollama: {{}} }}");
        let got = errors(&text);
        assert_eq!(got, expected, "{text}");
    }
    let empty =
        "there is neither a provider nor a route, write `providers: { openai: { api_key: \"${OPENAI_API_KEY}\" } }`";
    assert_eq!(errors(""), empty);
}

#[test]
fn a_wrong_provider_is_told() {
    let cases = [
        (
            "opnai: { api_key: k }",
            "1:14: providers.opnai: `dialect` is missing, and the catalog does not know `opnai`, did you mean `openai`?\n1:14: providers.opnai: `base_url` is missing, and the catalog does not know `opnai`, did you mean `openai`?",
        ),
        (
            "mine: { base_url: \"http://x/v1\" }",
            "1:14: providers.mine: `dialect` is missing, and the catalog does not know `mine`, write `dialect: openai_chat`",
        ),
        (
            "azure: { api_key: k }",
            "1:14: providers.azure: `base_url` is missing: every customer of `azure` has one of their own, write `base_url: \"https://…\"`",
        ),
        (
            "a: { preset: vlm }",
            "1:27: providers.a.preset: `vlm` is no known provider, did you mean `vllm`?",
        ),
        (
            "vllm: { dialect: openai }",
            "1:31: providers.vllm.dialect: unknown word `openai`, did you mean `openai_chat`?",
        ),
        (
            "vllm: { base_url: \"localhost:8000/v1\" }",
            "1:32: providers.vllm.base_url: `localhost:8000/v1` is no URL, write it like \"https://api.example.com/v1\"",
        ),
        (
            "vllm: { base_url: \"ftp://host/v1\" }",
            "1:32: providers.vllm.base_url: `ftp://host/v1` is neither http nor https, write it like \"https://api.example.com/v1\"",
        ),
        (
            "vllm: { base_url: \"http://me:pw@host/v1\" }",
            "1:32: providers.vllm.base_url: credentials do not belong into the URL, write `api_key`",
        ),
        (
            "vllm: { base_url: \"http://host/v1/chat/completions\" }",
            "1:32: providers.vllm.base_url: `http://host/v1/chat/completions` names one call, not where calls go, write \"http://host/v1\"",
        ),
        (
            "vllm: { api_key: a, api_keys: [b] }",
            "1:34: providers.vllm.api_keys: there is an `api_key` already, write one of the two",
        ),
        (
            "vllm: { headers: { \"a b\": c } }",
            "1:40: providers.vllm.headers[\"a b\"]: `a b` is no header's name",
        ),
        (
            "vllm: { tls_ca: /gone.pem }",
            "1:30: providers.vllm.tls_ca: `/gone.pem` cannot be read: entity not found",
        ),
        (
            "\"a/b\": { preset: vllm }",
            "1:14: providers.a/b: `a/b` is no provider's name: use letters, digits, `-`, `_` and `.`",
        ),
        (
            "vllm: { models: { m: { features: [tols] } } }",
            "1:37: providers.vllm.models.m.features: unknown feature `tols`, did you mean `tools`?",
        ),
        (
            "vllm: { models: { m: { window: 1 } } }",
            "1:37: providers.vllm.models.m: unknown key `window`, known here: context_window, max_output, features, lacks, reasoning, prefill, model_tier, price, deprecated",
        ),
    ];
    for (provider, expected) in cases {
        let text = format!("providers: {{ {provider} }}");
        assert_eq!(errors(&text), expected, "{text}");
    }
}

#[test]
fn a_wrong_route_is_told() {
    let cases = [
        (
            "a: {}",
            "2:11: routes.a: `tiers` is missing, write `tiers: [{ targets: [provider/model] }]`",
        ),
        (
            "a: { tiers: [{}] }",
            "2:24: routes.a.tiers[0]: `targets` is missing, write `targets: [provider/model]`",
        ),
        (
            "a: { tiers: [{ target: [openai/x] }] }",
            "2:26: routes.a.tiers[0]: unknown key `target`, did you mean `targets`?",
        ),
        (
            "a: { tiers: [{ targets: [gpt-5.5] }] }",
            "2:36: routes.a.tiers[0].targets[0]: `gpt-5.5` is not a target: write `provider/model`, for example `openai/gpt-5.5`",
        ),
        (
            "a: { tiers: [{ targets: [opnai/x] }] }",
            "2:36: routes.a.tiers[0].targets[0]: provider `opnai` is not configured, did you mean `openai`?",
        ),
        (
            "a: { tiers: [{ targets: [mistral/x] }] }",
            "2:36: routes.a.tiers[0].targets[0]: provider `mistral` is not configured, write `mistral: {}` under `providers`",
        ),
        (
            "a: { tiers: [{ targets: [{ target: openai/x, wieght: 2 }] }] }",
            "2:36: routes.a.tiers[0].targets[0]: unknown key `wieght`, did you mean `weight`?",
        ),
        (
            "a: { tiers: [{ targets: [openai/x, openai/x] }] }",
            "2:46: routes.a.tiers[0].targets[1]: `openai/x` is in this tier already",
        ),
        (
            "a: { tiers: [{ targets: [off/x] }] }",
            "2:11: routes.a: no target is left, `off/x`: provider `off` is disabled: environment variable `GONE` is not set",
        ),
        (
            "a: { deadline: 0s, tiers: [{ targets: [openai/x] }] }",
            "2:26: routes.a.deadline: must be more than 0",
        ),
        (
            "a: { tiers: [{ targets: [openai/x], require: proven }] }",
            "2:47: routes.a.tiers[0]: `require` is not available in this version",
        ),
        (
            "direct: { tiers: [{ targets: [openai/x] }] }",
            "2:11: routes.direct: `direct` is the name of calls that name their target themselves",
        ),
        (
            "a: { models: [m, m], tiers: [{ targets: [openai/x] }] }, b: { models: [m], tiers: [{ targets: [openai/x] }] }",
            "2:28: routes.a.models[1]: `m` is written twice\n2:82: routes.b.models[0]: `m` takes route `a` already",
        ),
    ];
    for (route, expected) in cases {
        let text = format!(
            "providers: {{ openai: {{}}, off: {{ preset: groq, api_key: \"${{GONE}}\" }} }}\nroutes: {{ {route} }}"
        );
        assert_eq!(errors(&text), expected, "{text}");
    }
}

#[test]
fn several_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "server: { lisen: 1 }\nproviders:\n  openai: { api_kye: x }\nroutes:\n  a: { tiers: 7 }\n  b: { deadlin: 1s }\n  c: { deadline: soon }\n";
    let expected = "1:11: server: unknown key `lisen`, did you mean `listen`?\n\
        3:13: providers.openai: unknown key `api_kye`, did you mean `api_key`?\n\
        5:15: routes.a.tiers: expected a list, found `7`\n\
        6:8: routes.b: unknown key `deadlin`, did you mean `deadline`?\n\
        7:18: routes.c.deadline: `soon` is no duration: write it like \"30s\", \"500ms\" or \"1m30s\"";
    assert_eq!(errors(text), expected);
}

#[test]
fn listening_to_a_network_must_be_meant() {
    // Whether there are keys only the store knows: the start refuses, see `listen::refuse_open`.
    assert_eq!(
        errors("server: { listen: \"0.0.0.0:4000\" }\nproviders: { ollama: {} }"),
        "no error"
    );
    let open = "admin: { listen: \"[::]:4001\" }\nproviders: { ollama: {} }";
    assert_eq!(
        errors(open),
        "1:18: admin.listen: `[::]:4001` is not loopback, and whoever reaches it needs no token, name who may use it in `tokens`, \
         or write `auth: none` beside it if that is meant"
    );
    assert_eq!(errors(&open.replace(" }\n", ", auth: none }\n")), "no error");
    let token = |token: &str| format!(", tokens: {{ a: {{ token: {token}, role: viewer }} }} }}\n");
    assert_eq!(
        errors(&open.replace(" }\n", &token("a-token-of-32-letters-and-no-more"))),
        "no error"
    );
    assert!(errors(&open.replace(" }\n", &token("short"))).contains("admin.tokens.a.token: is too short"));
    assert!(errors(&open.replace(" }\n", &token("\"${GONE}\""))).contains("is not set"));
    assert!(
        errors("admin: { listen: 4000 }\nproviders: { ollama: {} }")
            .contains("`127.0.0.1:4000` is `server.listen` already")
    );
}

#[test]
fn a_provider_without_its_key_is_disabled_and_its_targets_are_left_out() {
    let text = "providers:\n  mistral: {}\n  openai: { models: { o: { price: {} } } }\n  groq: { api_keys: [\"${GONE}\", k2, k3] }\nroutes:\n  a:\n    tiers:\n      - targets: [mistral/m]\n      - targets: [openai/o]\n";
    let loaded = loaded(text);
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "2:3: providers.mistral: disabled: environment variable `MISTRAL_API_KEY` is not set",
            "4:22: providers.groq.api_keys[0]: left out: environment variable `GONE` is not set",
            "8:19: routes.a.tiers[0].targets[0]: `mistral/m` is left out, provider `mistral` is disabled: environment variable `MISTRAL_API_KEY` is not set",
        ]
    );
    let topology = &loaded.topology;
    assert!(!topology.provider("mistral").unwrap().enabled);
    assert!(topology.provider("mistral").unwrap().credentials.is_empty());
    let names: Vec<_> = topology
        .provider("groq")
        .unwrap()
        .credentials
        .iter()
        .map(|c| c.id.as_str())
        .collect();
    assert_eq!(names, ["groq#1", "groq#2"]);
    let route = &topology.routes[0];
    assert_eq!(targets(route), ["openai/o"]);
    assert_eq!(
        (route.left_out[0].target.as_str(), route.left_out[0].tier),
        ("mistral/m", 0)
    );
    assert_eq!(route.policy.tiers.len(), 2, "tiers keep their number");
    assert!(route.policy.tiers[0].targets.is_empty());
    assert!(matches!(topology.resolve("mistral/m"), Resolution::Unknown { .. }));
}

#[test]
fn a_provider_of_ones_own_needs_no_key_and_a_key_is_not_sent_to_another_address_unasked() {
    let text = "providers:\n  ollama: {}\n  openai: { base_url: \"https://proxy.example/v1/\" }\n";
    let loaded = loaded(text);
    for name in ["ollama", "openai"] {
        let provider = loaded.topology.provider(name).unwrap();
        assert!(provider.enabled);
        assert_eq!(provider.credentials.len(), 1);
        assert_eq!(provider.credentials[0].source, Source::Nothing, "{name}");
    }
    assert_eq!(
        loaded.topology.provider("openai").unwrap().base_url,
        "https://proxy.example/v1"
    );
    assert_eq!(
        warnings(text),
        "3:3: providers.openai: no `api_key`: calls go without one"
    );
}

#[test]
fn what_is_valid_and_probably_not_meant_is_told() {
    let providers = "providers: { openai: {}, anthropic: {}, azure: { base_url: \"https://me.openai.azure.com/openai/v1\", api_key: k } }\n";
    let cases = [
        (
            "a: { tiers: [{ targets: [openai/gpt-5.5] }, { targets: [azure/gpt-5.4] }] }",
            "2:16: routes.a.tiers: all tiers of `a` share one failure domain, `openai`, a fallback elsewhere survives its outage",
        ),
        (
            "a: { deadline: 10s, tiers: [{ targets: [openai/gpt-5.5], timeouts: { total: 10s } }, { targets: [anthropic/claude-opus-5-5] }] }",
            "2:96: routes.a.tiers[1]: the tiers before it may take 10s, and the deadline of 10s ends the call before this one is tried",
        ),
        (
            "a: { deadline: 10s, tiers: [{ targets: [openai/gpt-5.5], timeouts: { total: 20s } }] }",
            "2:87: routes.a.tiers[0].timeouts.total: `total` is 20s, and the deadline of 10s ends the call first",
        ),
        (
            "a: { tiers: [{ targets: [openai/gpt-5.5], timeouts: { total: 20s, first_token: 20s } }] }",
            "2:90: routes.a.tiers[0].timeouts.first_token: `first_token` never fires: `total` is 20s",
        ),
        (
            "a: { tiers_max: 1, tiers: [{ targets: [openai/gpt-5.5] }, { targets: [anthropic/claude-opus-5-5] }] }",
            "2:69: routes.a.tiers[1]: a call visits at most 1 tiers, so that this one is never reached, raise `tiers_max`",
        ),
        (
            "a: { models: [b], tiers: [{ targets: [openai/gpt-5.5] }] }, b: { tiers: [{ targets: [openai/gpt-5.5] }] }",
            "2:25: routes.a.models[0]: `b` is a route of its own, so that this name never takes `a`",
        ),
        (
            "a: { tiers: [{ targets: [openai/gtp-5.5] }] }",
            "2:36: routes.a.tiers[0].targets[0]: the catalog does not know `gtp-5.5` of `openai`, so that its window and abilities are guessed, did you mean `gpt-5.5`? Else describe it in `providers.openai.models`",
        ),
        (
            "a: { tiers: [{ targets: [anthropic/claude-sonnet-4-5] }] }",
            "2:36: routes.a.tiers[0].targets[0]: `anthropic` turns `claude-sonnet-4-5` off on 2026-11-30",
        ),
    ];
    for (route, expected) in cases {
        assert_eq!(
            warnings(&format!("{providers}routes: {{ {route} }}")),
            expected,
            "{route}"
        );
    }
    let urls = [
        (
            "openai: { api_key: k, base_url: \"https://eu.api.openai.com\" }",
            "1:46: providers.openai.base_url: `https://eu.api.openai.com` has no path, OpenAI's SDK takes it with the version: probably \"https://eu.api.openai.com/v1\"",
        ),
        (
            "anthropic: { api_key: k, base_url: \"https://api.anthropic.com/v1\" }",
            "1:49: providers.anthropic.base_url: `https://api.anthropic.com/v1` ends with a version, the SDK adds it: probably \"https://api.anthropic.com\"",
        ),
        (
            "gemini: { api_key: k, base_url: \"https://x.googleapis.com/v1beta/\" }",
            "1:46: providers.gemini.base_url: `https://x.googleapis.com/v1beta` ends with a version, the SDK adds it: probably \"https://x.googleapis.com\"",
        ),
    ];
    for (provider, expected) in urls {
        assert_eq!(warnings(&format!("providers: {{ {provider} }}")), expected);
    }
}

#[test]
fn a_tier_wins_over_its_route_and_a_route_over_the_defaults() {
    let text = r#"
defaults: { deadline: 20s, timeouts: { total: 9s, idle: 7s }, retries: 3, retry: { timeout: 2, network: 4 }, backoff: { cap: 2s } }
providers: { openai: {} }
routes:
  a:
    deadline: 30s
    balance: least_busy
    timeouts: { total: 8s }
    on_stream_failure: { hold_back: 8KB }
    backoff: { base: 100ms }
    tiers:
      - { targets: [openai/gpt-5.5], timeouts: { connect: 1s }, retry: { network: 0 } }
      - { targets: [openai/gpt-5.4], timeouts: { total: 2s }, balance: weighted, retries: 0 }
"#;
    let loaded = loaded(text);
    let policy = &loaded.topology.routes[0].policy;
    assert_eq!(policy.deadline, Duration::from_secs(30));
    assert_eq!(policy.on_stream_failure, OnStreamFailure::HoldBack { bytes: 8192 });
    assert_eq!(
        (policy.backoff.base, policy.backoff.cap),
        (Duration::from_millis(100), Duration::from_secs(2))
    );
    let [first, second] = policy.tiers.as_slice() else {
        panic!("two tiers")
    };
    let seconds = |d: Option<Duration>| d.map(|d| d.as_secs());
    assert_eq!(
        (
            first.timeouts.connect.as_secs(),
            seconds(first.timeouts.total),
            first.timeouts.idle.as_secs()
        ),
        (1, Some(8), 7)
    );
    assert_eq!((first.balance, first.retries.default), (Balance::LeastBusy, Some(3)));
    let classes = |r: &policy::route::Retries| {
        r.by_class
            .iter()
            .map(|(c, n)| format!("{} {n}", c.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(classes(&first.retries), ["network 0", "timeout 2"]);
    assert_eq!(
        (seconds(second.timeouts.total), second.balance, second.retries.default),
        (Some(2), Balance::Weighted, Some(0))
    );
    let Resolution::Direct(direct) = loaded.topology.resolve("openai/x") else {
        panic!("direct")
    };
    assert_eq!(
        direct.policy.deadline,
        Duration::from_secs(20),
        "direct calls have the defaults"
    );
}

#[test]
fn what_an_operator_says_of_a_model_wins_over_the_catalog() {
    let text = r#"
providers:
  openai: { models: { gpt-5.5: { context_window: 1000 } } }
  vllm: { models: { llama: { features: [tools], prefill: true, reasoning: true, max_output: 500 } } }
"#;
    let loaded = loaded(text);
    let facts = |model: &str| match loaded.topology.resolve(model) {
        Resolution::Direct(route) => route.targets[0].clone(),
        other => panic!("{model}: {other:?}"),
    };
    let known = facts("gpt-5.5");
    assert_eq!(
        (known.facts.context_window, known.facts.max_output),
        (Some(1000), Some(128_000))
    );
    let own = facts("vllm/llama");
    assert_eq!(
        own.facts.features.words().collect::<Vec<_>>(),
        ["tools", "reasoning", "prefill", "parallel_tools", "streaming", "system"]
    );
    assert_eq!(
        (own.facts.prefill, own.facts.reasoning, own.max_output_default),
        (true, true, 500)
    );
    let unknown = facts("vllm/other");
    assert!(
        unknown.facts.features.contains(types::features::Features::TOOLS),
        "an unknown model is given the benefit of the doubt"
    );
    assert_eq!((unknown.facts.context_window, unknown.max_output_default), (None, 4096));
    let dated = facts("openai/gpt-5.4-2026-03-05");
    assert_eq!(
        dated.facts.model_tier,
        Some(ModelTier::Standard),
        "a dated name has its family's facts"
    );
    let listed = loaded.topology.listed();
    assert!(listed.iter().any(|l| l.id == "vllm/llama") && listed.iter().any(|l| l.id == "openai/gpt-5.5"));
}

#[test]
fn secrets_are_not_shown() {
    let text = "providers:\n  openai: { api_key: sk-secret, headers: { x-org: sk-secret } }\n";
    let loaded = loaded(text);
    let shown = format!("{loaded:?} {}", serde_json::to_string(&loaded.config).unwrap());
    assert!(!shown.contains("sk-secret"), "{shown}");
}

#[test]
fn a_provider_is_the_same_until_something_about_it_changes() {
    let text = "providers: { openai: { api_key: a, headers: { x: y } } }";
    let spec = |text: &str| loaded(text).topology.providers[0].clone();
    assert!(spec(text).same_as(&spec(text)));
    for (from, to) in [
        ("api_key: a", "api_key: b"),
        ("x: y", "x: z"),
        ("headers", "tls_ca: null, headers"),
    ] {
        let same = spec(text).same_as(&spec(&text.replace(from, to)));
        assert_eq!(same, from == "headers", "{from}");
    }
}

#[test]
fn no_text_makes_it_panic() {
    // Cut anywhere, what has a meaning in YAML or in our strings put anywhere, every line left out.
    let env = keys();
    for (at, _) in EXAMPLE.char_indices().step_by(7) {
        let _ = load(&EXAMPLE[..at], &env);
        let _ = load(&EXAMPLE[at..], &env);
        for strange in [
            "{",
            "]",
            ":",
            "\"",
            "&a ",
            "*a",
            "<<: ",
            "${",
            "\0",
            "\u{feff}",
            "💺",
            "- ",
            "!!int ",
            "\t",
            "999999999999999999999h",
        ] {
            let mut text = EXAMPLE.to_owned();
            text.insert_str(at, strange);
            let _ = load(&text, &env);
        }
    }
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    for left_out in 0..lines.len() {
        let text: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != left_out)
            .map(|(_, l)| *l)
            .collect();
        let _ = load(&text.join("\n"), &env);
    }
}

#[test]
fn anchors_and_merges_work_and_bombs_do_not() {
    let text = "providers: { openai: {} }\nroutes:\n  a: &base\n    deadline: 5s\n    tiers: [{ targets: [openai/gpt-5.5] }]\n  b:\n    <<: *base\n    deadline: 6s\n";
    let loaded = loaded(text);
    assert_eq!(loaded.topology.routes[1].policy.deadline, Duration::from_secs(6));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let below = format!("*a{}, ", n - 1).repeat(10);
        bomb += &format!("a{n}: &a{n} [{below}]\n");
    }
    assert_ne!(errors(&bomb), "no error");
}

#[test]
fn prices_and_quirks_come_from_the_catalog_and_what_is_written_replaces_them() {
    let text = r#"
providers:
  openai: { models: { gpt-4o: { price: { input: 0.000001 } } } }
  mistral: { api_key: k }
  mine: { preset: mistral, api_key: k, quirks: { refuses: [seed] } }
"#;
    let loaded = loaded(text);
    let input = |model: &str| match loaded.topology.resolve(model) {
        Resolution::Direct(route) => {
            let prices = route.targets[0].prices.clone()?;
            Some(prices.standard.rates.input?.0)
        }
        other => panic!("{model}: {other:?}"),
    };
    assert_eq!(input("openai/gpt-4o"), Some(1));
    assert_eq!(input("openai/gpt-4o-mini"), Some(150_000));
    assert_eq!(
        input("openai/gpt-4o-mini-2024-07-18"),
        Some(150_000),
        "a dated name has its family's price"
    );
    assert_eq!(input("openai/no-such-model"), None);
    let quirks = |name: &str| &loaded.topology.provider(name).unwrap().quirks;
    assert!(quirks("openai").is_none());
    assert!(!quirks("mistral").takes_stream_options());
    assert_eq!(quirks("mine").refuses, ["seed"]);
    assert!(quirks("mine").takes_stream_options(), "replaced whole");
}

#[test]
fn a_gateway_that_is_open_to_a_network_starts_with_keys_or_with_the_operators_word() {
    let server = |text: &str| {
        loaded(&format!("server: {{ {text} }}\nproviders: {{ ollama: {{}} }}"))
            .config
            .server
    };
    let rows = [
        ("listen: 4000", 0, true),
        ("listen: \"0.0.0.0:4000\"", 0, false),
        ("listen: \"0.0.0.0:4000\"", 1, true),
        ("listen: \"0.0.0.0:4000\", auth: none", 0, true),
        ("listen: \"[::]:4000\"", 0, false),
        ("listen: \"10.0.0.1:4000\"", 0, false),
    ];
    for (text, keys, starts) in rows {
        assert_eq!(
            listen::refuse_open(&server(text), keys).is_ok(),
            starts,
            "{text} {keys}"
        );
    }
}

#[test]
fn what_commands_need_is_read_whatever_else_is_wrong_or_not_set() {
    let text = "store: { url: \"sqlite:x.db\" }\nadmin: { listen: 5001, tokens: { a: { token: \"${GONE}\", role: admin } } }\n\
                providers: { openai: { api_key: \"${GONE}\" } }\nroutes: { a: { tiers: [{ targets: [nobody/x] }] } }\n";
    let house = load_house(text, &MapEnv::default()).unwrap();
    assert_eq!(
        (house.store.url.as_str(), house.admin.listen.port()),
        ("sqlite:x.db", 5001)
    );
    assert!(house.admin.tokens.is_empty());
    assert!(load_house("store: { ulr: x }", &MapEnv::default()).is_err());
    assert_eq!(load_house("", &MapEnv::default()).unwrap(), Config::default());
}
