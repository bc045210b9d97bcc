//! Azure OpenAI: the same API under another address. A deployment stands in the path, a version in the query, content-filter results
//! in the answers, and some errors are Azure's own.

use serde_json::{Value, json};

use crate::dialect::{Dialect, face::percent_decoded};

/// Whether a request goes to Azure: its path names a deployment or its query an API version.
pub(crate) fn is_azure(dialect: Dialect, path: &str, query: &str) -> bool {
    let openai = matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiResponses);
    openai && (deployment(path).is_some() || api_version(query).is_some())
}

/// The deployment that a path names.
pub(crate) fn deployment(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/openai/deployments/")?;
    rest.split('/')
        .next()
        .filter(|name| !name.is_empty())
        .map(percent_decoded)
}

/// Whether the query has a version such as `2024-10-21` or `2025-04-01-preview`. Without one, nothing is found.
pub(crate) fn has_version(query: &str) -> bool {
    let dated = |version: &str| {
        let date = version.strip_suffix("-preview").unwrap_or(version);
        let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        shape == "0000-00-00"
    };
    api_version(query).is_some_and(|version| matches!(version, "preview" | "latest" | "v1") || dated(version))
}

fn api_version(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("api-version="))
}

/// Azure's row for a neutral name of an error, where it has its own.
pub(crate) fn row_of_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "content_filter" => "azure.content_filter",
        "wrong_key" => "azure.access_denied",
        "forbidden" => "azure.network_denied",
        "model_not_found" => "azure.deployment_not_found",
        "rate_limited" => "azure.rate_limited",
        "overloaded" => "azure.high_demand",
        _ => return None,
    })
}

/// Azure's row for a status, where it has its own.
pub(crate) fn row_of_status(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "azure.access_denied",
        403 => "azure.network_denied",
        404 => "azure.deployment_not_found",
        429 => "azure.rate_limited",
        _ => return None,
    })
}

/// What the filter found in an answer.
pub(crate) fn filter_results(filtered: bool) -> Value {
    let severity = |filtered| json!({"filtered": filtered, "severity": if filtered { "medium" } else { "safe" }});
    json!({
        "hate": severity(false), "self_harm": severity(false), "sexual": severity(false), "violence": severity(filtered),
        "protected_material_code": {"filtered": false, "detected": false},
        "protected_material_text": {"filtered": false, "detected": false},
    })
}

/// What the filter found in the prompt.
pub(crate) fn prompt_filter_results() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!([{"prompt_index": 0, "content_filter_results": {
        "hate": safe, "jailbreak": {"filtered": false, "detected": false}, "self_harm": safe, "sexual": safe, "violence": safe,
    }}])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_is_known_by_its_path_or_its_query() {
        let rows = [
            ("/openai/deployments/gpt-4o/chat/completions", "", true, false),
            (
                "/x/openai/deployments/a%21503/embeddings",
                "api-version=2024-10-21",
                true,
                true,
            ),
            ("/openai/responses", "api-version=2025-04-01-preview", true, true),
            ("/openai/responses", "x=1&api-version=soon", true, false),
            ("/v1/chat/completions", "", false, false),
        ];
        for (path, query, azure, version) in rows {
            assert_eq!(is_azure(Dialect::OpenaiChat, path, query), azure, "{path}?{query}");
            assert_eq!(has_version(query), version, "{path}?{query}");
        }
        assert!(!is_azure(Dialect::Gemini, "/v1", "api-version=2024-10-21"));
    }
}
