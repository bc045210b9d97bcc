//! The list of models, in each dialect's shape. Any model can be asked for; these are merely listed.

use serde_json::{Value, json};

use crate::dialect::Dialect;

const OPENAI: &[&str] = &["gpt-4o", "gpt-4o-mini", "gpt-5.5", "gpt-5.5-mini", "o4-mini"];
const ANTHROPIC: &[&str] = &["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5"];
const BEDROCK: &[&str] = &["anthropic.claude-sonnet-5-5-v1:0", "amazon.nova-pro-v1:0"];
const COHERE: &[&str] = &["command-a-03-2025", "command-a-reasoning-08-2025", "embed-v4.0"];
const OLLAMA: &[&str] = &["gemma4:latest", "gpt-oss:20b", "qwen3:latest"];
const GEMINI: &[&str] = &["gemini-3.5-pro", "gemini-3.5-flash", "gemini-2.5-flash"];

pub(crate) fn list(dialect: Dialect) -> Value {
    let names = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => OPENAI,
        Dialect::AnthropicMessages => ANTHROPIC,
        Dialect::Gemini => GEMINI,
        Dialect::BedrockConverse => BEDROCK,
        Dialect::CohereChat => COHERE,
        Dialect::OllamaChat => OLLAMA,
    };
    let all: Vec<Value> = names.iter().map(|name| one(dialect, name)).collect();
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => json!({"object": "list", "data": all}),
        Dialect::AnthropicMessages => {
            json!({"data": all, "has_more": false, "first_id": names.first(), "last_id": names.last()})
        }
        Dialect::Gemini | Dialect::CohereChat | Dialect::OllamaChat => json!({"models": all}),
        Dialect::BedrockConverse => json!({"modelSummaries": all}),
    }
}

/// Google's models as Vertex AI lists them.
pub(crate) fn publisher() -> Value {
    let all = GEMINI
        .iter()
        .map(|name| json!({"name": format!("publishers/google/models/{name}"), "versionId": "default"}));
    json!({"publisherModels": all.collect::<Value>()})
}

pub(crate) fn one(dialect: Dialect, name: &str) -> Value {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            json!({"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "fake"})
        }
        Dialect::AnthropicMessages => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-09-01T00:00:00Z"})
        }
        Dialect::Gemini => json!({
            "name": format!("models/{name}"), "version": "001", "displayName": name, "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
        Dialect::BedrockConverse => json!({
            "modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{name}"), "modelId": name, "modelName": name, "responseStreamingSupported": true,
        }),
        Dialect::CohereChat => json!({
            "name": name, "endpoints": ["chat"], "finetuned": false, "is_deprecated": false, "context_length": 256_000,
            "tokenizer_url": null, "default_endpoints": [], "features": ["tools", "json_schema"],
        }),
        Dialect::OllamaChat => json!({
            "name": name, "model": name, "modified_at": "2026-09-01T00:00:00Z", "size": 4_000_000_000_u64, "digest": "0".repeat(64),
            "details": {"parent_model": "", "format": "gguf", "family": "fake", "families": ["fake"], "parameter_size": "8B", "quantization_level": "Q4_K_M"},
        }),
    }
}
