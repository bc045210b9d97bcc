//! The names a client may put in `model`, in the shape its SDK reads.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use types::dialect::IngressDialect;

use crate::config::topology::{ListedModel, Topology};

/// The gateway does not know when a model was made, and Anthropic's SDKs want a time.
const CREATED_AT_UNKNOWN: &str = "1970-01-01T00:00:00Z";

#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

/// All of them that the caller may see, on one page.
pub fn list(topology: &Topology, shape: IngressDialect, may_see: impl Fn(&str) -> bool) -> Bytes {
    let mut listed = topology.listed();
    listed.retain(|listed| may_see(&listed.id));
    let data: Vec<Value> = listed.iter().map(|listed| model(listed, shape)).collect();
    match shape {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => to_json(&List { object: "list", data }),
        IngressDialect::AnthropicMessages => to_json(&json!({
            "first_id": listed.first().map(|l| &l.id),
            "last_id": listed.last().map(|l| &l.id),
            "data": data,
            "has_more": false,
        })),
        IngressDialect::Gemini => to_json(&json!({ "models": data })),
    }
}

/// One of them.
pub fn one(topology: &Topology, id: &str, shape: IngressDialect) -> Option<Bytes> {
    let listed = topology.listed();
    let listed = listed.iter().find(|listed| listed.id == id)?;
    Some(to_json(&model(listed, shape)))
}

fn model(listed: &ListedModel, shape: IngressDialect) -> Value {
    let ListedModel { id, owned_by } = listed;
    match shape {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => {
            json!({ "id": id, "object": "model", "created": 0, "owned_by": owned_by })
        }
        IngressDialect::AnthropicMessages => {
            json!({ "type": "model", "id": id, "display_name": id, "created_at": CREATED_AT_UNKNOWN })
        }
        IngressDialect::Gemini => json!({
            "name": format!("models/{id}"),
            "displayName": id,
            "description": format!("served by {owned_by}"),
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
    }
}

fn to_json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .expect("strings and numbers always serialize")
        .into()
}
