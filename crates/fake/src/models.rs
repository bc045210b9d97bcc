//! The list of models, in each dialect's shape. Any model can be asked for; these are merely listed.

use serde_json::{Value, json};

use crate::dialect::Dialect;

const OPENAI: &[&str] = &["gpt-4o", "gpt-4o-mini", "gpt-5.5", "gpt-5.5-mini", "o4-mini"];
const ANTHROPIC: &[&str] = &["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5"];
const GEMINI: &[&str] = &["gemini-3.5-pro", "gemini-3.5-flash", "gemini-2.5-flash"];

pub(crate) fn list(dialect: Dialect) -> Value {
    let names = match dialect {
        Dialect::OpenaiChat => OPENAI,
        Dialect::AnthropicMessages => ANTHROPIC,
        Dialect::Gemini => GEMINI,
    };
    let all: Vec<Value> = names.iter().map(|name| one(dialect, name)).collect();
    match dialect {
        Dialect::OpenaiChat => json!({"object": "list", "data": all}),
        Dialect::AnthropicMessages => {
            json!({"data": all, "has_more": false, "first_id": names.first(), "last_id": names.last()})
        }
        Dialect::Gemini => json!({"models": all}),
    }
}

pub(crate) fn one(dialect: Dialect, name: &str) -> Value {
    match dialect {
        Dialect::OpenaiChat => json!({"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "fake"}),
        Dialect::AnthropicMessages => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-09-01T00:00:00Z"})
        }
        Dialect::Gemini => json!({
            "name": format!("models/{name}"), "version": "001", "displayName": name, "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
    }
}
