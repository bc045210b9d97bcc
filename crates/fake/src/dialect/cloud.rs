//! Cloud: faces and credentials of the dialects that clouds and their like host: Bedrock, Vertex AI, Cohere, Ollama, token endpoints.
//!
//! Vertex AI has no dialect of its own: Gemini there is `gemini` and Claude `anthropic_messages`, under other paths, with tokens
//! instead of keys, and with Google's envelope for what Google itself refuses.

use http::{HeaderMap, Method, request::Parts};
use serde_json::Value;

use crate::{
    behaviour::Behaviour,
    dialect::{
        Dialect, Refusal,
        face::{Face, GeminiStream, percent_decoded},
    },
    errors::{ErrorAnswer, ErrorContext, generic, named},
    sigv4::{self, Flaw},
    tokens::{self, Standing, endpoint::Endpoint},
};

/// The versions that Claude's body names on Vertex AI, where there is no header for it, and the header that each stands for.
const VERTEX_VERSIONS: &[(&str, &str)] = &[("vertex-2023-10-16", "2023-06-01"), ("2026-10-21", "2026-10-21")];

/// The face of a path that belongs here. Looked at ahead of the others, whose patterns are wider.
pub(crate) fn face(method: &Method, path: &str, headers: &HeaderMap) -> Option<Face> {
    let post = |dialect, face| {
        Some(if method == Method::POST {
            face
        } else {
            Face::WrongMethod { dialect }
        })
    };
    let call = |dialect, path_model, path_stream| {
        post(
            dialect,
            Face::Call {
                dialect,
                path_model,
                path_stream,
            },
        )
    };
    let content_type = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if let Some(endpoint) = Endpoint::of(
        method,
        path,
        content_type.starts_with("application/x-www-form-urlencoded"),
    ) {
        return Some(Face::Token(endpoint));
    }
    if method == Method::GET && path.ends_with("/foundation-models") {
        return Some(Face::Models {
            dialect: Dialect::BedrockConverse,
            id: None,
        });
    }
    if let Some((_, rest)) = path.split_once("/model/")
        && let Some((model, "count-tokens")) = rest.rsplit_once('/')
    {
        let dialect = Dialect::BedrockConverse;
        let path_model = Some(percent_decoded(model));
        return post(dialect, Face::CountTokens { dialect, path_model });
    }
    if let Some((_, rest)) = path.split_once("/model/")
        && let Some((model, verb)) = rest.rsplit_once('/')
        && let Some(stream) = match verb {
            "converse" => Some(GeminiStream::Unary),
            "converse-stream" => Some(GeminiStream::Sse),
            _ => None,
        }
    {
        return call(Dialect::BedrockConverse, Some(percent_decoded(model)), Some(stream));
    }
    if let Some((_, rest)) = path.split_once("/publishers/anthropic/models/")
        && let Some((model, verb)) = rest.rsplit_once(':')
    {
        let dialect = Dialect::AnthropicMessages;
        return match (model, verb) {
            ("count-tokens", "rawPredict") => post(
                dialect,
                Face::CountTokens {
                    dialect,
                    path_model: None,
                },
            ),
            // Whether it streams, the body says.
            (model, "rawPredict" | "streamRawPredict") => call(dialect, Some(percent_decoded(model)), None),
            _ => Some(Face::Unknown {
                dialect: Dialect::Gemini,
            }),
        };
    }
    let cohere = Dialect::CohereChat;
    let ollama = Dialect::OllamaChat;
    if path.ends_with("/v2/chat") {
        call(cohere, None, None)
    } else if path.ends_with("/v2/embed") {
        post(cohere, Face::Embed { dialect: cohere })
    } else if path.ends_with("/api/chat") {
        call(ollama, None, None)
    } else if path.ends_with("/api/embed") {
        post(ollama, Face::Embed { dialect: ollama })
    } else if path.ends_with("/api/tags") {
        Some(if method == Method::GET {
            Face::Models {
                dialect: ollama,
                id: None,
            }
        } else {
            Face::WrongMethod { dialect: ollama }
        })
    } else if method == Method::GET && path.contains("/v1/models") && is_cohere(path, headers) {
        let id = path.split_once("/models/").map(|(_, id)| percent_decoded(id));
        Some(Face::Models { dialect: cohere, id })
    } else {
        None
    }
}

/// Cohere's list of models lies where OpenAI's does; its SDK and a prefix of that name tell them apart.
fn is_cohere(path: &str, headers: &HeaderMap) -> bool {
    let sdk = headers.get("x-fern-sdk-name").and_then(|value| value.to_str().ok());
    sdk == Some("cohere") || path.contains("/cohere/")
}

/// Whether a path is Vertex AI's. Without a project it is Gemini with a key (express mode).
pub(crate) fn is_vertex(path: &str) -> bool {
    path.contains("/projects/") && path.contains("/publishers/")
}

/// Claude's body as Vertex AI takes it, made one that Anthropic's own API would take, and its version: the model stands in the path,
/// the version in the body.
pub(crate) fn read_vertex_claude(body: &mut Value, path: &str, model: &str) -> Result<&'static str, Refusal> {
    let told = body["anthropic_version"].as_str();
    let told = told.ok_or_else(|| Refusal::field("anthropic_version", "Field required"))?;
    let version = VERTEX_VERSIONS.iter().find(|(name, _)| *name == told);
    let (_, version) =
        version.ok_or_else(|| Refusal::field("anthropic_version", format!("\"{told}\" is not a valid version")))?;
    let counts = path.ends_with("/count-tokens:rawPredict");
    if body.get("model").is_some() != counts {
        let message = if counts {
            "Field required"
        } else {
            "Extra inputs are not permitted"
        };
        return Err(Refusal::field("model", message));
    }
    if body["stream"] == true && path.ends_with(":rawPredict") {
        return Err(Refusal::field(
            "stream",
            "rawPredict does not stream; use streamRawPredict",
        ));
    }
    if let Some(fields) = body.as_object_mut() {
        fields.shift_remove("anthropic_version");
    }
    if !counts {
        body["model"] = Value::from(model);
    }
    Ok(version)
}

/// The dialect that an error ordered by `behaviour` is worded in: Google refuses for Claude on Vertex AI what is Google's to refuse.
pub(crate) fn error_dialect(face: &Face, path: &str, behaviour: &Behaviour) -> Dialect {
    let googles = matches!(behaviour.status, Some(401 | 403 | 404 | 429))
        || matches!(
            behaviour.error.as_deref(),
            Some("wrong_key" | "forbidden" | "rate_limited" | "insufficient_quota" | "model_not_found")
        );
    match face.dialect() {
        Dialect::AnthropicMessages if googles && is_vertex(path) => Dialect::Gemini,
        dialect => dialect,
    }
}

/// The row that a name means at this path: Vertex AI knows tokens, no keys.
pub(crate) fn error_name<'a>(path: &str, name: &'a str) -> &'a str {
    if name == "wrong_key" && is_vertex(path) {
        "gemini.unauthenticated"
    } else {
        name
    }
}

/// What is the matter with the credential of a request to a cloud; `None` when there is nothing, or the dialect judges itself.
pub(crate) fn refusal(context: ErrorContext<'_>, head: &Parts, body: &[u8], now_ms: u64) -> Option<ErrorAnswer> {
    let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let bearer = authorization
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim);
    let standing = bearer.map(|token| tokens::standing(token, now_ms));
    if context.dialect == Dialect::BedrockConverse {
        return match standing {
            Some(Standing::Good) => None,
            Some(Standing::Wrong | Standing::Expired) => Some(named(context, "bedrock.invalid_api_key")),
            None => sigv4::check(head, body, "bedrock", now_ms)
                .err()
                .map(|flaw| unsigned(context, flaw)),
        };
    }
    if is_vertex(head.uri.path()) {
        let context = ErrorContext {
            dialect: Dialect::Gemini,
            ..context
        };
        let missing = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.";
        return match standing {
            Some(Standing::Good) => None,
            Some(Standing::Wrong | Standing::Expired) => Some(named(context, "gemini.unauthenticated")),
            None => Some(generic(context, 401, missing, None)),
        };
    }
    // Tokens of the fake's own run out on every face.
    (standing == Some(Standing::Expired)).then(|| named(context, "wrong_key"))
}

fn unsigned(context: ErrorContext<'_>, flaw: Flaw) -> ErrorAnswer {
    let told = |kind: &str, message: &str| {
        let body = serde_json::json!({"__type": kind, "message": message}).to_string();
        ErrorAnswer {
            in_stream: body.clone(),
            body,
            ..generic(context, 403, message, None)
        }
    };
    match flaw {
        Flaw::Missing => told("MissingAuthenticationTokenException", "Missing Authentication Token"),
        Flaw::Incomplete(message) => told("IncompleteSignatureException", &message),
        Flaw::UnknownKey => named(context, "bedrock.unrecognized_client"),
        Flaw::Scope(message) => told("InvalidSignatureException", &message),
        Flaw::Expired => named(context, "bedrock.expired_token"),
        Flaw::Mismatch(canonical) => told(
            "InvalidSignatureException",
            &format!(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_clouds_find_their_face_and_leave_the_others_alone() {
        let call = |dialect, model: Option<&str>, path_stream| {
            Some(Face::Call {
                dialect,
                path_model: model.map(str::to_owned),
                path_stream,
            })
        };
        use Dialect::{AnthropicMessages, BedrockConverse, CohereChat, OllamaChat};
        let arn = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a-v1%3A0/converse";
        let vertex = "/v1/projects/p/locations/l/publishers";
        let rows = [
            (
                "POST",
                "/model/a.b-v1:0/converse".to_owned(),
                call(BedrockConverse, Some("a.b-v1:0"), Some(GeminiStream::Unary)),
            ),
            (
                "POST",
                "/x/model/m%21503/converse-stream".into(),
                call(BedrockConverse, Some("m!503"), Some(GeminiStream::Sse)),
            ),
            (
                "POST",
                arn.into(),
                call(
                    BedrockConverse,
                    Some("arn:aws:bedrock:us-east-1:1:inference-profile/us.a-v1:0"),
                    Some(GeminiStream::Unary),
                ),
            ),
            ("POST", "/model/a/invoke".into(), None),
            (
                "POST",
                format!("{vertex}/anthropic/models/claude@1:streamRawPredict"),
                call(AnthropicMessages, Some("claude@1"), None),
            ),
            (
                "POST",
                format!("{vertex}/anthropic/models/count-tokens:rawPredict"),
                Some(Face::CountTokens {
                    dialect: AnthropicMessages,
                    path_model: None,
                }),
            ),
            ("POST", format!("{vertex}/google/models/g:generateContent"), None),
            ("POST", "/v2/chat".into(), call(CohereChat, None, None)),
            ("POST", "/v2/chat/completions".into(), None),
            (
                "GET",
                "/v2/chat".into(),
                Some(Face::WrongMethod { dialect: CohereChat }),
            ),
            ("POST", "/api/chat".into(), call(OllamaChat, None, None)),
            ("POST", "/api/chat/completions".into(), None),
            (
                "GET",
                "/api/tags".into(),
                Some(Face::Models {
                    dialect: OllamaChat,
                    id: None,
                }),
            ),
            (
                "GET",
                "/cohere/v1/models".into(),
                Some(Face::Models {
                    dialect: CohereChat,
                    id: None,
                }),
            ),
            ("GET", "/v1/models".into(), None),
            ("POST", "/token".into(), Some(Face::Token(Endpoint::Google))),
            (
                "POST",
                "/t/oauth2/v2.0/token".into(),
                Some(Face::Token(Endpoint::Entra)),
            ),
            (
                "GET",
                "/v2/credentials/x".into(),
                Some(Face::Token(Endpoint::AwsContainer)),
            ),
            ("POST", "/v1/messages".into(), None),
        ];
        for (method, path, wanted) in rows {
            assert_eq!(
                face(&method.parse().unwrap(), &path, &HeaderMap::new()),
                wanted,
                "{method} {path}"
            );
        }
    }
}
