//! Where a dialect is served, when that is not its maker's own address: paths, versions and bodies differ a little.
//!
//! Names that stand in a path are percent-encoded, so that no model's name reaches another path, version or query.
//! Deliberately absent: who may ask. Keys and tokens are the gateway's; here is only which header takes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use types::dialect::{DialectName, Operation};

use crate::dialect::{self, CredentialHeader};
use crate::framing::json::{Cursor, Fault, Surrogates};
use crate::gemini::model::{percent_encoded, verb};

/// What Claude on Vertex AI is told in its body instead of the header `anthropic-version`.
const VERTEX_CLAUDE_VERSION: &str = "\"anthropic_version\":\"vertex-2023-10-16\"";

/// How a token of an identity is shown, wherever it is taken.
pub const BEARER: CredentialHeader = CredentialHeader {
    name: "authorization",
    prefix: "Bearer ",
};

/// How a provider serves its dialect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hosting {
    /// As its maker does.
    #[default]
    Native,
    /// Azure OpenAI with deployments in the path and a version in the query.
    Azure {
        /// `2024-10-21`.
        api_version: String,
        /// Deployments by model, where they are not named like it.
        deployments: BTreeMap<String, String>,
    },
    /// Google's Vertex AI: Gemini, Claude and what speaks OpenAI's chat there.
    Vertex {
        /// The project that pays.
        project: String,
        /// `us-east5`, or `global`.
        location: String,
    },
}

impl Hosting {
    /// The path of a call behind the provider's `base_url`; `None` when it cannot be asked there.
    pub fn path(&self, name: DialectName, operation: Operation, model: &str, stream: bool) -> Option<String> {
        match self {
            Hosting::Native => dialect::path(name, operation, model, stream),
            Hosting::Azure { .. } => {
                // The dialect's own paths are behind a version that stands in the query here.
                let path = dialect::path(name, operation, model, stream)?;
                match name {
                    DialectName::OpenaiChat => self.opaque_path(&path, model),
                    // Responses name their deployment in the body.
                    DialectName::OpenaiResponses => self.opaque_path(&path, ""),
                    DialectName::AnthropicMessages
                    | DialectName::Gemini
                    | DialectName::BedrockConverse
                    | DialectName::CohereChat
                    | DialectName::OllamaChat => None,
                }
            }
            Hosting::Vertex { project, location } => {
                let place = format!(
                    "/v1/projects/{}/locations/{}",
                    percent_encoded(project),
                    percent_encoded(location)
                );
                match name {
                    DialectName::Gemini => vertex_gemini(&place, operation, model, stream),
                    DialectName::AnthropicMessages => vertex_claude(&place, operation, model, stream),
                    DialectName::OpenaiChat => match operation {
                        Operation::Generate => Some(format!("{place}/endpoints/openapi/chat/completions")),
                        Operation::Embed | Operation::CountTokens => None,
                    },
                    DialectName::OpenaiResponses
                    | DialectName::BedrockConverse
                    | DialectName::CohereChat
                    | DialectName::OllamaChat => None,
                }
            }
        }
    }

    /// The path of an endpoint that is passed on as it came: `/images/generations`, maybe with a query, and the model it is
    /// asked of (empty where there is none).
    pub fn opaque_path(&self, path: &str, model: &str) -> Option<String> {
        match self {
            Hosting::Native => Some(path.to_owned()),
            Hosting::Azure {
                api_version,
                deployments,
            } => {
                let and = if path.contains('?') { '&' } else { '?' };
                let version = percent_encoded(api_version);
                if model.is_empty() {
                    return Some(format!("/openai{path}{and}api-version={version}"));
                }
                let deployment = deployments.get(model).map_or(model, String::as_str);
                // Escaped dots are steps up to some servers too.
                if matches!(deployment, "." | "..") {
                    return None;
                }
                let deployment = percent_encoded(deployment);
                Some(format!(
                    "/openai/deployments/{deployment}{path}{and}api-version={version}"
                ))
            }
            Hosting::Vertex { .. } => None,
        }
    }

    /// The path of the light question of `health_check`; `None` when there is none.
    pub fn health_path(&self, name: DialectName) -> Option<String> {
        match self {
            Hosting::Native => dialect::health_path(name).map(str::to_owned),
            Hosting::Azure { .. } => self.opaque_path("/models", ""),
            Hosting::Vertex { .. } => None,
        }
    }

    /// The body as the host wants it. One that is no JSON object stays as it is: the host will say so.
    pub fn fit(&self, name: DialectName, operation: Operation, body: Bytes) -> Bytes {
        match self {
            Hosting::Native | Hosting::Azure { .. } => body,
            Hosting::Vertex { .. } => match (name, operation) {
                (DialectName::AnthropicMessages, Operation::Generate) => {
                    vertex_claude_body(&body, true).map_or(body, Bytes::from)
                }
                // The model to count for is named in the body: the path names the counter.
                (DialectName::AnthropicMessages, Operation::CountTokens | Operation::Embed) => {
                    vertex_claude_body(&body, false).map_or(body, Bytes::from)
                }
                (
                    DialectName::OpenaiChat
                    | DialectName::OpenaiResponses
                    | DialectName::Gemini
                    | DialectName::BedrockConverse
                    | DialectName::CohereChat
                    | DialectName::OllamaChat,
                    Operation::Generate | Operation::CountTokens | Operation::Embed,
                ) => body,
            },
        }
    }

    /// Headers every request carries beside its credential.
    pub fn fixed_headers(&self, name: DialectName) -> &'static [(&'static str, &'static str)] {
        match self {
            Hosting::Native | Hosting::Azure { .. } => dialect::fixed_headers(name),
            Hosting::Vertex { .. } => &[],
        }
    }

    /// Where a key is shown. Tokens of an identity, which the same setting may hold, are told from keys by their form.
    pub fn credential_header(&self, name: DialectName, secret: &str) -> CredentialHeader {
        let key = |name| CredentialHeader { name, prefix: "" };
        match self {
            Hosting::Native => dialect::credential_header(name),
            // Entra's tokens are JWTs, whose first part is a JSON object in base64.
            Hosting::Azure { .. } if secret.starts_with("eyJ") => BEARER,
            Hosting::Azure { .. } => key("api-key"),
            Hosting::Vertex { .. } if secret.starts_with("AIza") || secret.starts_with("AQ.") => key("x-goog-api-key"),
            Hosting::Vertex { .. } => BEARER,
        }
    }
}

/// Where Vertex AI is, for a location.
pub fn vertex_base_url(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        // The multi-regions have names of another form.
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        location => format!("https://{location}-aiplatform.googleapis.com"),
    }
}

/// Where Bedrock's models are, for a region.
pub fn bedrock_base_url(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://bedrock-runtime.{region}.amazonaws.com{suffix}")
}

fn vertex_gemini(place: &str, operation: Operation, model: &str, stream: bool) -> Option<String> {
    let verb = match operation {
        Operation::Generate | Operation::CountTokens => verb(operation, stream),
        // Vertex AI embeds by `predict`, with bodies of its own.
        Operation::Embed => return None,
    };
    // A tuned model is an endpoint of the project's own.
    Some(match model.strip_prefix("endpoints/") {
        Some(endpoint) => format!("{place}/endpoints/{}:{verb}", percent_encoded(endpoint)),
        None => {
            let model = percent_encoded(model.strip_prefix("models/").unwrap_or(model));
            format!("{place}/publishers/google/models/{model}:{verb}")
        }
    })
}

fn vertex_claude(place: &str, operation: Operation, model: &str, stream: bool) -> Option<String> {
    let models = format!("{place}/publishers/anthropic/models");
    match operation {
        Operation::Generate => {
            let verb = if stream { "streamRawPredict" } else { "rawPredict" };
            Some(format!("{models}/{}:{verb}", percent_encoded(model)))
        }
        Operation::CountTokens => Some(format!("{models}/count-tokens:rawPredict")),
        Operation::Embed => None,
    }
}

/// The body of Claude on Vertex AI: the version is in it, and the model, which the path names, is not. All other bytes stay.
fn vertex_claude_body(body: &Bytes, without_model: bool) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let members = members(text).ok()?;
    let named = |name: &str| members.iter().any(|m| m.name == name);
    let versioned = named("anthropic_version") || !without_model;
    if versioned && !(without_model && named("model")) {
        return None;
    }
    let open = text.find('{')? + 1;
    let mut out = Vec::with_capacity(text.len() + VERTEX_CLAUDE_VERSION.len() + 1);
    out.extend_from_slice(&text.as_bytes()[..open]);
    let mut empty = true;
    if !versioned {
        out.extend_from_slice(VERTEX_CLAUDE_VERSION.as_bytes());
        empty = false;
    }
    let mut end = open;
    for member in &members {
        if !(without_model && member.name == "model") {
            if !empty {
                out.push(b',');
            }
            empty = false;
            out.extend_from_slice(&text.as_bytes()[member.at.clone()]);
        }
        end = member.at.end;
    }
    // What stands behind the last member: blanks and the brace.
    out.extend_from_slice(&text.as_bytes()[end..]);
    Some(out)
}

struct Member<'a> {
    name: Cow<'a, str>,
    at: Range<usize>,
}

fn members(text: &str) -> Result<Vec<Member<'_>>, Fault> {
    let mut cursor = Cursor::new(text, Surrogates::Any);
    let mut members = Vec::new();
    let mut more = cursor.open_object()?;
    while more {
        let start = cursor.offset();
        let name = cursor.key()?.unescaped();
        cursor.skip()?;
        let at = start..cursor.end();
        members.push(Member { name, at });
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn azure() -> Hosting {
        Hosting::Azure {
            api_version: "2024-10-21".into(),
            deployments: BTreeMap::from([("gpt-4o".into(), "our 4o".into())]),
        }
    }

    fn vertex() -> Hosting {
        Hosting::Vertex {
            project: "our-project".into(),
            location: "us-east5".into(),
        }
    }

    #[test]
    fn paths_name_the_deployment_or_the_project_and_no_name_reaches_another_path() {
        use DialectName::{AnthropicMessages, Gemini, OpenaiChat, OpenaiResponses};
        use Operation::{CountTokens, Embed, Generate};
        let place = "/v1/projects/our-project/locations/us-east5";
        let rows = [
            (
                azure(),
                OpenaiChat,
                Generate,
                "gpt-4o",
                true,
                Some("/openai/deployments/our%204o/chat/completions?api-version=2024-10-21".to_owned()),
            ),
            (
                azure(),
                OpenaiChat,
                Embed,
                "a/../b?x=1#",
                false,
                Some("/openai/deployments/a%2F..%2Fb%3Fx%3D1%23/embeddings?api-version=2024-10-21".to_owned()),
            ),
            (azure(), OpenaiChat, Generate, "..", false, None),
            (
                azure(),
                OpenaiResponses,
                Generate,
                "gpt-4o",
                false,
                Some("/openai/responses?api-version=2024-10-21".to_owned()),
            ),
            (azure(), AnthropicMessages, Generate, "claude", false, None),
            (
                vertex(),
                Gemini,
                Generate,
                "gemini-2.5-pro",
                true,
                Some(format!(
                    "{place}/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
                )),
            ),
            (
                vertex(),
                Gemini,
                CountTokens,
                "../x:predict?a",
                false,
                Some(format!(
                    "{place}/publishers/google/models/..%2Fx%3Apredict%3Fa:countTokens"
                )),
            ),
            (
                vertex(),
                Gemini,
                Generate,
                "endpoints/123",
                false,
                Some(format!("{place}/endpoints/123:generateContent")),
            ),
            (vertex(), Gemini, Embed, "gemini-embedding-001", false, None),
            (
                vertex(),
                AnthropicMessages,
                Generate,
                "claude-sonnet-4@20250514",
                false,
                Some(format!(
                    "{place}/publishers/anthropic/models/claude-sonnet-4%4020250514:rawPredict"
                )),
            ),
            (
                vertex(),
                AnthropicMessages,
                Generate,
                "c",
                true,
                Some(format!("{place}/publishers/anthropic/models/c:streamRawPredict")),
            ),
            (
                vertex(),
                AnthropicMessages,
                CountTokens,
                "c",
                false,
                Some(format!("{place}/publishers/anthropic/models/count-tokens:rawPredict")),
            ),
            (
                vertex(),
                OpenaiChat,
                Generate,
                "meta/llama",
                true,
                Some(format!("{place}/endpoints/openapi/chat/completions")),
            ),
        ];
        for (hosting, dialect, operation, model, stream, wanted) in rows {
            assert_eq!(hosting.path(dialect, operation, model, stream), wanted, "{model}");
        }
        let odd = Hosting::Vertex {
            project: "a/b?c".into(),
            location: "../x".into(),
        };
        let path = odd.path(Gemini, Generate, "m", false).unwrap();
        assert!(
            path.starts_with("/v1/projects/a%2Fb%3Fc/locations/..%2Fx/publishers/"),
            "{path}"
        );
    }

    #[test]
    fn endpoints_that_pass_through_keep_their_query_and_name_their_deployment() {
        let rows = [
            (
                "/images/generations",
                "gpt-4o",
                "/openai/deployments/our%204o/images/generations?api-version=2024-10-21",
            ),
            ("/files?limit=2", "", "/openai/files?limit=2&api-version=2024-10-21"),
        ];
        for (path, model, wanted) in rows {
            assert_eq!(azure().opaque_path(path, model).as_deref(), Some(wanted));
            assert_eq!(Hosting::Native.opaque_path(path, model).as_deref(), Some(path));
            assert_eq!(vertex().opaque_path(path, model), None);
        }
    }

    #[test]
    fn claude_on_vertex_has_its_version_in_the_body_and_its_model_in_the_path() {
        let version = VERTEX_CLAUDE_VERSION;
        let rows = [
            (
                r#"{"model":"m","max_tokens":1, "x" : [1,{"model":2}]}"#,
                format!(r#"{{{version},"max_tokens":1,"x" : [1,{{"model":2}}]}}"#),
            ),
            (r#"{"a":1,"model":"m"}"#, format!(r#"{{{version},"a":1}}"#)),
            (r#"{"model":"m"}"#, format!("{{{version}}}")),
            ("{}", format!("{{{version}}}")),
            (
                r#"{"a":1,"m\u006fdel":"m","b":2}"#,
                format!(r#"{{{version},"a":1,"b":2}}"#),
            ),
            (
                r#"{"model":"m","anthropic_version":"2026-10-21"}"#,
                r#"{"anthropic_version":"2026-10-21"}"#.into(),
            ),
            (r#"[1]"#, "[1]".into()),
            (r#"{"broken"#, r#"{"broken"#.into()),
        ];
        for (body, wanted) in rows {
            let got = vertex().fit(DialectName::AnthropicMessages, Operation::Generate, Bytes::from(body));
            assert_eq!(std::str::from_utf8(&got).unwrap(), wanted);
        }
        let count = Bytes::from(r#"{"model":"m"}"#);
        let got = vertex().fit(DialectName::AnthropicMessages, Operation::CountTokens, count.clone());
        assert_eq!(got, count, "the counter wants the model");
        for hosting in [Hosting::Native, azure(), vertex()] {
            assert_eq!(
                hosting.fit(DialectName::Gemini, Operation::Generate, count.clone()),
                count
            );
        }
    }

    #[test]
    fn keys_and_tokens_are_shown_where_the_host_takes_them() {
        let rows = [
            (azure(), DialectName::OpenaiChat, "0123abc", "api-key"),
            (azure(), DialectName::OpenaiChat, "eyJ0eXAi.x.y", "authorization"),
            (vertex(), DialectName::Gemini, "ya29.x", "authorization"),
            (vertex(), DialectName::AnthropicMessages, "ya29.x", "authorization"),
            (vertex(), DialectName::Gemini, "AIzaX", "x-goog-api-key"),
            (
                Hosting::Native,
                DialectName::BedrockConverse,
                "bedrock-api-key",
                "authorization",
            ),
        ];
        for (hosting, dialect, secret, wanted) in rows {
            assert_eq!(hosting.credential_header(dialect, secret).name, wanted, "{secret}");
        }
        assert!(vertex().fixed_headers(DialectName::AnthropicMessages).is_empty());
    }

    #[test]
    fn clouds_are_where_their_regions_say() {
        assert_eq!(
            vertex_base_url("us-east5"),
            "https://us-east5-aiplatform.googleapis.com"
        );
        assert_eq!(vertex_base_url("global"), "https://aiplatform.googleapis.com");
        assert_eq!(
            bedrock_base_url("us-east-1"),
            "https://bedrock-runtime.us-east-1.amazonaws.com"
        );
        assert_eq!(
            bedrock_base_url("cn-north-1"),
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
        );
    }
}
