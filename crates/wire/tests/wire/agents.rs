//! What coding agents send, in shape as measured on the wire (the words are our own), before every upstream dialect: whatever
//! the agent speaks and offers, the provider takes what is made of it. The providers are played by the readers of `fake`.

use bytes::Bytes;
use fake::Dialect;
use http::{HeaderMap, HeaderName, HeaderValue};
use jumpseat_wire::dialect;
use jumpseat_wire::request::{Encoded, UpstreamModel};
use jumpseat_wire::server::{self, Asked};
use serde_json::Value;
use types::chat::ChatRequest;
use types::dialect::{DialectName, IngressDialect, Operation};

use IngressDialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};

const REQUESTS: [(&str, IngressDialect, &str); 8] = [
    (
        "claude_code_first",
        AnthropicMessages,
        include_str!("../../golden/agents/claude_code_first.json"),
    ),
    (
        "claude_code_later",
        AnthropicMessages,
        include_str!("../../golden/agents/claude_code_later.json"),
    ),
    (
        "codex_first",
        OpenaiResponses,
        include_str!("../../golden/agents/codex_first.json"),
    ),
    (
        "codex_later",
        OpenaiResponses,
        include_str!("../../golden/agents/codex_later.json"),
    ),
    (
        "opencode_title",
        OpenaiChat,
        include_str!("../../golden/agents/opencode_title.json"),
    ),
    (
        "opencode_chat",
        OpenaiChat,
        include_str!("../../golden/agents/opencode_chat.json"),
    ),
    (
        "opencode_messages",
        AnthropicMessages,
        include_str!("../../golden/agents/opencode_messages.json"),
    ),
    (
        "opencode_responses",
        OpenaiResponses,
        include_str!("../../golden/agents/opencode_responses.json"),
    ),
];

/// Models of every generation that is written for in another way.
const MODELS: [(DialectName, &[&str]); 7] = [
    (DialectName::OpenaiChat, &["gpt-4.1", "gpt-5.5"]),
    (DialectName::OpenaiResponses, &["gpt-4.1", "gpt-5.5"]),
    (
        DialectName::AnthropicMessages,
        &[
            "claude-haiku-4-5",
            "claude-sonnet-4-6",
            "claude-opus-4-8",
            "claude-opus-5-5",
            "MiniMax-M3",
        ],
    ),
    (DialectName::Gemini, &["gemini-2.5-flash", "gemini-3.1-pro-preview"]),
    (
        DialectName::BedrockConverse,
        &["us.anthropic.claude-opus-4-6-v1:0", "amazon.nova-pro-v1:0"],
    ),
    (DialectName::CohereChat, &["command-a-03-2025"]),
    (DialectName::OllamaChat, &["qwen3:8b"]),
];

fn decode(from: IngressDialect, body: &'static str) -> ChatRequest {
    let body = Bytes::from_static(body.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    let asked = Asked {
        body: &body,
        headers: &headers,
        path_model: None,
        path_stream: false,
        operation: Operation::Generate,
    };
    let head = server::read_head(from, asked).unwrap();
    server::decode_request(from, &body, &head).unwrap()
}

/// What the provider says to it, when it is not a yes.
fn complaint(to: DialectName, encoded: &Encoded, model: &str) -> Option<String> {
    let provider = Dialect::ALL.into_iter().find(|known| known.as_str() == to.as_str());
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    for (name, value) in &encoded.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    provider.unwrap().complaint(&body, &headers, model)
}

#[test]
fn every_provider_takes_what_every_agent_sends() {
    for (name, from, body) in REQUESTS {
        let request = decode(from, body);
        for (to, models) in MODELS {
            for model in models {
                for reasoning in [false, true] {
                    let upstream = UpstreamModel {
                        model,
                        max_output_default: 4096,
                        reasoning,
                    };
                    let encoded = dialect::encode_request(to, &request, upstream)
                        .unwrap_or_else(|no| panic!("{name} to {model}: {no}"));
                    assert_eq!(complaint(to, &encoded, model), None, "{name} to {model}");
                }
            }
        }
    }
}

#[test]
fn what_is_left_out_of_an_agents_call_is_told() {
    let mut told = String::new();
    for (name, from, body) in REQUESTS {
        let request = decode(from, body);
        for (to, models) in MODELS {
            let upstream = UpstreamModel {
                model: models[models.len() - 1],
                max_output_default: 4096,
                reasoning: true,
            };
            let encoded = dialect::encode_request(to, &request, upstream).unwrap();
            let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
            told.push_str(&format!("{name} as {}: {}\n", to.as_str(), dropped.join(" ")));
        }
    }
    insta::assert_snapshot!("agents_dropped", told);
}

#[test]
fn an_agents_loop_says_the_same_to_every_provider() {
    for (name, from, body) in REQUESTS.into_iter().filter(|(name, ..)| name.ends_with("_later")) {
        let request = decode(from, body);
        let mut told = String::new();
        for (to, models) in MODELS {
            let upstream = UpstreamModel {
                model: models[0],
                max_output_default: 4096,
                reasoning: true,
            };
            let mut body: Value =
                serde_json::from_slice(&dialect::encode_request(to, &request, upstream).unwrap().body).unwrap();
            // The tools' schemas are the same everywhere; here it is about the turns.
            for tools in ["tools", "toolConfig"] {
                body.as_object_mut().unwrap().remove(tools);
            }
            told.push_str(&format!("{} {body}\n", to.as_str()));
        }
        insta::assert_snapshot!(format!("agents_{name}"), told);
    }
}
