//! Face: what a path of the fake is for. One listener serves all dialects, under any prefix.

use http::{HeaderMap, Method};

use crate::{
    dialect::{Dialect, Refusal, cloud},
    resource::Resource,
    tokens::endpoint::Endpoint,
};

/// What a request is, by its method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Face {
    /// A call. For Gemini the model and the framing stand in the path.
    Call {
        dialect: Dialect,
        path_model: Option<String>,
        path_stream: Option<GeminiStream>,
    },
    /// Anthropic's `count_tokens`, Gemini's `countTokens`.
    CountTokens {
        dialect: Dialect,
        path_model: Option<String>,
    },
    /// The list of models (`id` none) or one of them.
    Models { dialect: Dialect, id: Option<String> },
    /// Texts to be embedded.
    Embed { dialect: Dialect },
    /// An endpoint that issues credentials.
    Token(Endpoint),
    /// A known path with another method.
    WrongMethod { dialect: Dialect },
    /// Nothing that the fake knows.
    Unknown { dialect: Dialect },
    /// What has no dialect of conversation: embeddings, stored responses, images, audio, files and batches.
    Resource(Resource),
}

/// How Gemini's path asks to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GeminiStream {
    Unary,
    Sse,
    Array,
}

impl Face {
    pub(crate) fn of(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Self {
        let path = path.trim_end_matches('/');
        if let Some(face) = cloud::face(method, path, headers) {
            return face;
        }
        if let Some((name, verb)) = path.rsplit_once(':')
            && let Some((_, model)) = name.rsplit_once("/models/")
        {
            let dialect = Dialect::Gemini;
            let path_model = Some(percent_decoded(model));
            let sse = query.split('&').any(|pair| pair == "alt=sse");
            let stream = match verb {
                "generateContent" => GeminiStream::Unary,
                "streamGenerateContent" if sse => GeminiStream::Sse,
                "streamGenerateContent" => GeminiStream::Array,
                "embedContent" | "batchEmbedContents" => {
                    let model = percent_decoded(model);
                    let batch = verb == "batchEmbedContents";
                    return post(method, Face::Resource(Resource::GeminiEmbed { model, batch }), dialect);
                }
                "countTokens" if method == Method::POST => return Face::CountTokens { dialect, path_model },
                _ => return Face::Unknown { dialect },
            };
            return post(
                method,
                Face::Call {
                    dialect,
                    path_model,
                    path_stream: Some(stream),
                },
                dialect,
            );
        }
        let call = |dialect| {
            post(
                method,
                Face::Call {
                    dialect,
                    path_model: None,
                    path_stream: None,
                },
                dialect,
            )
        };
        if path.ends_with("/chat/completions") {
            return call(Dialect::OpenaiChat);
        }
        if path.ends_with("/responses") {
            return call(Dialect::OpenaiResponses);
        }
        if path.ends_with("/responses/input_tokens") {
            let dialect = Dialect::OpenaiResponses;
            return post(
                method,
                Face::CountTokens {
                    dialect,
                    path_model: None,
                },
                dialect,
            );
        }
        let anthropic = headers.contains_key("anthropic-version");
        if let Some(resource) = Resource::of(path).filter(|_| !anthropic) {
            return match resource.takes(method) {
                true => Face::Resource(resource),
                false => Face::WrongMethod {
                    dialect: resource.dialect(),
                },
            };
        }
        if path.ends_with("/v1/messages") {
            return call(Dialect::AnthropicMessages);
        }
        if path.ends_with("/messages/count_tokens") {
            let dialect = Dialect::AnthropicMessages;
            return post(
                method,
                Face::CountTokens {
                    dialect,
                    path_model: None,
                },
                dialect,
            );
        }
        let dialect = likely_dialect(path, query, headers);
        let id = match path.rsplit_once("/models") {
            Some((_, "")) => None,
            // A model's name may hold slashes, so the first `/models/` is the one that counts.
            Some(_) => path.split_once("/models/").map(|(_, id)| percent_decoded(id)),
            None => return Face::Unknown { dialect },
        };
        if method == Method::GET {
            Face::Models { dialect, id }
        } else {
            Face::WrongMethod { dialect }
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Face::Resource(resource) => resource.dialect(),
            Face::Call { dialect, .. }
            | Face::CountTokens { dialect, .. }
            | Face::Models { dialect, .. }
            | Face::Embed { dialect }
            | Face::WrongMethod { dialect }
            | Face::Unknown { dialect } => *dialect,
            Face::Token(endpoint) => endpoint.dialect(),
        }
    }
}

fn post(method: &Method, face: Face, dialect: Dialect) -> Face {
    if method == Method::POST {
        face
    } else {
        Face::WrongMethod { dialect }
    }
}

fn likely_dialect(path: &str, query: &str, headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") {
        Dialect::AnthropicMessages
    } else if headers.contains_key("x-goog-api-key")
        || path.contains("/v1beta")
        || query.split('&').any(|pair| pair.starts_with("key="))
    {
        Dialect::Gemini
    } else {
        Dialect::OpenaiChat
    }
}

/// `%2F` and its like; what is no escape stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the request shows a credential as this dialect wants it; a key that contains `wrong` is refused as a wrong one.
pub(crate) fn check_credential(dialect: Dialect, query: &str, headers: &HeaderMap) -> Result<(), Credential> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let bearer = header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|key| !key.is_empty());
    let key = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => bearer.or_else(|| header("api-key")),
        // When both are sent the API uses x-api-key.
        Dialect::AnthropicMessages => header("x-api-key").or(bearer),
        Dialect::Gemini => header("x-goog-api-key")
            .or_else(|| {
                query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("key="))
                    .filter(|key| !key.is_empty())
            })
            .or(bearer),
        Dialect::CohereChat => bearer,
        // Judged by the signature or token, in `cloud`.
        Dialect::BedrockConverse => return Ok(()),
        // A server at home wants no key.
        Dialect::OllamaChat => Some(bearer.unwrap_or("none")),
    };
    match key {
        None => Err(Credential::Missing),
        Some(key) if key.contains("wrong") => Err(Credential::Wrong),
        Some(_) => Ok(()),
    }
}

/// What is the matter with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    Missing,
    Wrong,
}

impl Credential {
    /// What the provider says about a missing one; a wrong one has a row in the error table.
    pub(crate) fn refusal(dialect: Dialect) -> Refusal {
        let (status, message) = match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => (
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            ),
            Dialect::AnthropicMessages => (401, "x-api-key header is required"),
            Dialect::Gemini => (
                403,
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
            ),
            Dialect::BedrockConverse => (403, "Missing Authentication Token"),
            Dialect::CohereChat => (401, "no api key supplied"),
            Dialect::OllamaChat => (401, "unauthorized"),
        };
        Refusal::with_status(status, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(method: &str, url: &str, headers: &[(&'static str, &str)]) -> Face {
        let map: HeaderMap = headers
            .iter()
            .map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap()))
            .collect();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        Face::of(&method.parse().unwrap(), path, query, &map)
    }

    #[test]
    fn paths_find_their_dialect_under_any_prefix() {
        use Dialect::{AnthropicMessages, Gemini, OpenaiChat, OpenaiResponses};
        let plain = |dialect| Face::Call {
            dialect,
            path_model: None,
            path_stream: None,
        };
        let gemini = |model: &str, stream| Face::Call {
            dialect: Gemini,
            path_model: Some(model.into()),
            path_stream: Some(stream),
        };
        let models = |dialect, id: Option<&str>| Face::Models {
            dialect,
            id: id.map(Into::into),
        };
        let version = [("anthropic-version", "2023-06-01")];
        let rows = [
            (face("POST", "/v1/chat/completions", &[]), plain(OpenaiChat)),
            (face("POST", "/chat/completions", &[]), plain(OpenaiChat)),
            (face("POST", "/x/y/v1/chat/completions/", &[]), plain(OpenaiChat)),
            (
                face("GET", "/v1/chat/completions", &[]),
                Face::WrongMethod { dialect: OpenaiChat },
            ),
            (
                face("POST", "/v1/messages?beta=true", &version),
                plain(AnthropicMessages),
            ),
            (
                face("POST", "/v1/messages/count_tokens", &[]),
                Face::CountTokens {
                    dialect: AnthropicMessages,
                    path_model: None,
                },
            ),
            (
                face("POST", "/v1beta/models/gemini-2.5-pro:generateContent", &[]),
                gemini("gemini-2.5-pro", GeminiStream::Unary),
            ),
            (
                face("POST", "/v1/models/g:streamGenerateContent?alt=sse", &[]),
                gemini("g", GeminiStream::Sse),
            ),
            (
                face("POST", "/v1beta/models/g%21503:streamGenerateContent", &[]),
                gemini("g!503", GeminiStream::Array),
            ),
            (face("GET", "/v1/models", &[]), models(OpenaiChat, None)),
            (face("GET", "/v1/models", &version), models(AnthropicMessages, None)),
            (face("GET", "/v1beta/models?key=k", &[]), models(Gemini, None)),
            (
                face("GET", "/v1/models/openai/gpt-oss-20b", &[]),
                models(OpenaiChat, Some("openai/gpt-oss-20b")),
            ),
            (face("POST", "/v1/responses", &[]), plain(OpenaiResponses)),
            (
                face("POST", "/v1/responses/input_tokens", &[]),
                Face::CountTokens {
                    dialect: OpenaiResponses,
                    path_model: None,
                },
            ),
            (
                face("GET", "/v1/responses/resp_1", &[]),
                Face::Resource(Resource::Response { id: "resp_1".into() }),
            ),
            (
                face("GET", "/v1/responses/resp_1/input_items?order=asc", &[]),
                Face::Resource(Resource::ResponseItems { id: "resp_1".into() }),
            ),
            (
                face("PUT", "/v1/responses/resp_1", &[]),
                Face::WrongMethod {
                    dialect: OpenaiResponses,
                },
            ),
            (
                face("POST", "/openai/deployments/d/chat/completions?api-version=1", &[]),
                plain(OpenaiChat),
            ),
            (
                face("POST", "/openai/deployments/d/embeddings", &[]),
                Face::Resource(Resource::Embeddings),
            ),
            (
                face("POST", "/v1beta/models/e:batchEmbedContents", &[]),
                Face::Resource(Resource::GeminiEmbed {
                    model: "e".into(),
                    batch: true,
                }),
            ),
            (
                face("POST", "/v1/images/edits", &[]),
                Face::Resource(Resource::Images { edit: true }),
            ),
            (
                face("GET", "/v1/files/file-1/content", &[]),
                Face::Resource(Resource::FileContent { id: "file-1".into() }),
            ),
            (
                face("POST", "/v1/batches/batch_1/cancel", &[]),
                Face::Resource(Resource::BatchCancel { id: "batch_1".into() }),
            ),
            (
                face("GET", "/v1/models/x/embeddings", &[]),
                models(OpenaiChat, Some("x/embeddings")),
            ),
            (face("GET", "/nothing", &[]), Face::Unknown { dialect: OpenaiChat }),
        ];
        for (got, wanted) in rows {
            assert_eq!(got, wanted);
        }
    }
}
