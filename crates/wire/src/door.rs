//! What a client's method and path ask for, in whichever dialect. Decided once, on the path that is dispatched, never on raw
//! strings again.

use http::{HeaderMap, Method, Uri};
use types::dialect::IngressDialect;

use crate::opaque::{self, Endpoint};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// A call.
    Call(CallDoor),
    /// The names a client may use, or one of them.
    Models {
        /// Whose shape the client reads.
        shape: IngressDialect,
        /// Which; all of them when `None`.
        id: Option<String>,
    },
    /// A stored response of the Responses API.
    StoredResponse {
        /// Its id.
        id: String,
        /// What of it.
        verb: StoredVerb,
    },
    /// A known path with another method; these are the ones it takes.
    OtherMethod(&'static str),
    /// Nothing; with what would have been something near it.
    Unknown(Option<&'static str>),
}

/// A call by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDoor {
    /// The dialect it is asked in.
    pub dialect: IngressDialect,
    /// What is asked.
    pub ask: AskDoor,
    /// The model, where it stands in the path (Gemini), unescaped.
    pub path_model: Option<String>,
    /// The path asks for a stream (Gemini).
    pub path_stream: bool,
}

/// What is asked, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskDoor {
    /// An answer.
    Generate,
    /// A number of tokens.
    CountTokens,
    /// Vectors.
    Embed,
    /// Something with an owner and no neutral meaning.
    Opaque {
        /// Its family.
        endpoint: Endpoint,
        /// The path behind `/v1`, with the query.
        path: String,
    },
}

/// What is wanted of a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredVerb {
    /// The response.
    Get,
    /// To forget it.
    Delete,
    /// What it was an answer to.
    InputItems,
}

impl Door {
    /// What the request asks for.
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Door {
        let path = uri.path();
        let call = |dialect, ask| {
            let door = Door::Call(CallDoor {
                dialect,
                ask,
                path_model: None,
                path_stream: false,
            });
            only(method, &Method::POST, "POST", door)
        };
        // OpenAI's also without the version: base URLs are written both ways.
        match path
            .strip_prefix("/v1")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path)
        {
            "/chat/completions" => return call(IngressDialect::OpenaiChat, AskDoor::Generate),
            "/responses" => return call(IngressDialect::OpenaiResponses, AskDoor::Generate),
            "/embeddings" => return call(IngressDialect::OpenaiChat, AskDoor::Embed),
            "/messages" => return call(IngressDialect::AnthropicMessages, AskDoor::Generate),
            "/messages/count_tokens" => return call(IngressDialect::AnthropicMessages, AskDoor::CountTokens),
            "/models" => {
                let shape = shape(headers);
                return only(method, &Method::GET, "GET", Door::Models { shape, id: None });
            }
            rest => {
                if let Some(door) = stored(method, rest).or_else(|| passing(method, rest, uri.query())) {
                    return door;
                }
            }
        }
        gemini(method, uri)
            .or_else(|| one_model(method, path, headers))
            .unwrap_or_else(|| {
                let near = path.contains("completions").then_some("/v1/chat/completions");
                Door::Unknown(near)
            })
    }

    /// The dialect a client of this path and these headers reads errors in.
    pub fn dialect(&self, path: &str, headers: &HeaderMap) -> IngressDialect {
        match self {
            Door::Call(call) => call.dialect,
            Door::Models { shape, .. } => *shape,
            Door::StoredResponse { .. } => IngressDialect::OpenaiResponses,
            Door::OtherMethod(_) | Door::Unknown(_) if path.starts_with("/v1/messages") => {
                IngressDialect::AnthropicMessages
            }
            Door::OtherMethod(_) | Door::Unknown(_) if path.starts_with("/v1beta") => IngressDialect::Gemini,
            Door::OtherMethod(_) | Door::Unknown(_) => shape(headers),
        }
    }
}

fn only(method: &Method, wanted: &Method, word: &'static str, door: Door) -> Door {
    if method == wanted {
        door
    } else {
        Door::OtherMethod(word)
    }
}

/// Which official SDK asks, where paths are the same.
fn shape(headers: &HeaderMap) -> IngressDialect {
    if headers.contains_key("anthropic-version") {
        IngressDialect::AnthropicMessages
    } else if headers.contains_key("x-goog-api-key") {
        IngressDialect::Gemini
    } else {
        IngressDialect::OpenaiChat
    }
}

fn stored(method: &Method, rest: &str) -> Option<Door> {
    let rest = rest.strip_prefix("/responses/")?;
    let (id, verb) = rest.split_once('/').map_or((rest, None), |(id, verb)| (id, Some(verb)));
    let door = |verb| Door::StoredResponse {
        id: id.to_owned(),
        verb,
    };
    Some(match (verb, method) {
        (None, &Method::GET) => door(StoredVerb::Get),
        (None, &Method::DELETE) => door(StoredVerb::Delete),
        (None, _) => Door::OtherMethod("GET, DELETE"),
        (Some("input_items"), &Method::GET) => door(StoredVerb::InputItems),
        (Some("input_items"), _) => Door::OtherMethod("GET"),
        (Some(_), _) => Door::Unknown(None),
    })
}

fn passing(method: &Method, rest: &str, query: Option<&str>) -> Option<Door> {
    Some(match opaque::door(method, rest)? {
        opaque::Door::OtherMethod(allowed) => Door::OtherMethod(allowed),
        opaque::Door::Open(endpoint) => Door::Call(CallDoor {
            dialect: IngressDialect::OpenaiChat,
            ask: AskDoor::Opaque {
                endpoint,
                path: with_query(rest, query),
            },
            path_model: None,
            path_stream: false,
        }),
    })
}

/// The path with what of its query these endpoints know: a caller's key, or another version, does not go upstream.
fn with_query(path: &str, query: Option<&str>) -> String {
    const KNOWN: [&str; 5] = ["after", "before", "limit", "order", "purpose"];
    let known = |pair: &&str| KNOWN.contains(&pair.split('=').next().unwrap_or_default());
    let pairs: Vec<&str> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(known)
        .collect();
    match pairs.as_slice() {
        [] => path.to_owned(),
        pairs => format!("{path}?{}", pairs.join("&")),
    }
}

/// `/v1beta/models/{model}:{verb}`; the version may be another.
fn gemini(method: &Method, uri: &Uri) -> Option<Door> {
    let rest = ["/v1beta", "/v1alpha", "/v1"]
        .iter()
        .find_map(|version| uri.path().strip_prefix(version))?;
    let rest = rest.strip_prefix('/')?;
    if let Some((name, verb)) = rest.rsplit_once(':') {
        let model = decoded(name.strip_prefix("models/")?);
        let call = |ask, path_stream| {
            let door = Door::Call(CallDoor {
                dialect: IngressDialect::Gemini,
                ask,
                path_model: Some(model.clone()),
                path_stream,
            });
            only(method, &Method::POST, "POST", door)
        };
        let sse = uri.query().is_some_and(|q| q.split('&').any(|pair| pair == "alt=sse"));
        return Some(match verb {
            "generateContent" => call(AskDoor::Generate, false),
            "streamGenerateContent" if sse => call(AskDoor::Generate, true),
            // Without it Google streams one JSON array, which no SDK of theirs asks for.
            "streamGenerateContent" => Door::Unknown(Some("…:streamGenerateContent?alt=sse")),
            "countTokens" => call(AskDoor::CountTokens, false),
            _ => Door::Unknown(Some("…:generateContent")),
        });
    }
    if uri.path().starts_with("/v1/") {
        return None;
    }
    let shape = IngressDialect::Gemini;
    let id = match rest {
        "models" => None,
        rest => Some(decoded(rest.strip_prefix("models/")?)),
    };
    Some(only(method, &Method::GET, "GET", Door::Models { shape, id }))
}

fn one_model(method: &Method, path: &str, headers: &HeaderMap) -> Option<Door> {
    let id = path
        .strip_prefix("/v1/models/")
        .or_else(|| path.strip_prefix("/models/"))?;
    let door = Door::Models {
        shape: shape(headers),
        id: Some(decoded(id)),
    };
    Some(only(method, &Method::GET, "GET", door))
}

/// A path's piece without its percent signs; as it is when they are wrong.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
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
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(method: &str, uri: &str, header: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(name) = header {
            headers.insert(name, http::HeaderValue::from_static("x"));
        }
        let method: Method = method.parse().unwrap();
        let uri: Uri = uri.parse().unwrap();
        let door = Door::of(&method, &uri, &headers);
        let dialect = door.dialect(uri.path(), &headers).name().as_str();
        let word = match door {
            Door::Call(call) => {
                let ask = match call.ask {
                    AskDoor::Generate => "generate".to_owned(),
                    AskDoor::CountTokens => "count".to_owned(),
                    AskDoor::Embed => "embed".to_owned(),
                    AskDoor::Opaque { endpoint, path } => format!("{} {path}", endpoint.as_str()),
                };
                let stream = if call.path_stream { " stream" } else { "" };
                format!("{ask}{stream} {}", call.path_model.unwrap_or_default())
            }
            Door::Models { id, .. } => format!("models {}", id.unwrap_or_default()),
            Door::StoredResponse { id, verb } => format!("stored {id} {verb:?}"),
            Door::OtherMethod(allowed) => format!("only {allowed}"),
            Door::Unknown(near) => format!("unknown {}", near.unwrap_or_default()),
        };
        format!("{dialect}: {}", word.trim_end())
    }

    #[test]
    fn every_path_has_its_door_and_the_shape_its_client_reads() {
        let rows = [
            ("POST", "/v1/chat/completions", None, "openai_chat: generate"),
            ("POST", "/chat/completions", None, "openai_chat: generate"),
            ("GET", "/v1/chat/completions", None, "openai_chat: only POST"),
            ("POST", "/v1/responses", None, "openai_responses: generate"),
            (
                "GET",
                "/v1/responses/resp_1",
                None,
                "openai_responses: stored resp_1 Get",
            ),
            (
                "DELETE",
                "/v1/responses/resp_1",
                None,
                "openai_responses: stored resp_1 Delete",
            ),
            (
                "GET",
                "/v1/responses/resp_1/input_items",
                None,
                "openai_responses: stored resp_1 InputItems",
            ),
            ("POST", "/v1/responses/resp_1/cancel", None, "openai_chat: unknown"),
            ("POST", "/v1/messages", None, "anthropic_messages: generate"),
            ("POST", "/v1/messages?beta=true", None, "anthropic_messages: generate"),
            ("POST", "/v1/messages/count_tokens", None, "anthropic_messages: count"),
            ("GET", "/v1/messages", None, "anthropic_messages: only POST"),
            ("POST", "/v1/messages/batches", None, "anthropic_messages: unknown"),
            ("POST", "/v1/embeddings", None, "openai_chat: embed"),
            ("GET", "/v1/models", None, "openai_chat: models"),
            (
                "GET",
                "/v1/models",
                Some("anthropic-version"),
                "anthropic_messages: models",
            ),
            ("GET", "/v1/models/a%2Fb/c", None, "openai_chat: models a/b/c"),
            ("DELETE", "/v1/models/x", None, "openai_chat: only GET"),
            ("GET", "/v1beta/models", None, "gemini: models"),
            ("GET", "/v1beta/models/chat", None, "gemini: models chat"),
            (
                "POST",
                "/v1beta/models/chat:generateContent",
                None,
                "gemini: generate chat",
            ),
            (
                "POST",
                "/v1beta/models/a%2Fb:c:generateContent",
                None,
                "gemini: generate a/b:c",
            ),
            (
                "POST",
                "/v1/models/chat:streamGenerateContent?alt=sse",
                None,
                "gemini: generate stream chat",
            ),
            ("POST", "/v1beta/models/chat:countTokens", None, "gemini: count chat"),
            (
                "POST",
                "/v1beta/models/chat:predict",
                None,
                "gemini: unknown …:generateContent",
            ),
            ("GET", "/v1/files?limit=2", None, "openai_chat: files /files?limit=2"),
            ("POST", "/v1/audio/speech", None, "openai_chat: audio /audio/speech"),
            (
                "GET",
                "/v1/files?api-version=1&after=f&key=k",
                None,
                "openai_chat: files /files?after=f",
            ),
            ("GET", "/v1/audio/speech", None, "openai_chat: only POST"),
            (
                "POST",
                "/v1/completions",
                None,
                "openai_chat: unknown /v1/chat/completions",
            ),
            ("GET", "/v1/health", None, "openai_chat: unknown"),
            ("GET", "/", None, "openai_chat: unknown"),
        ];
        for (method, uri, header, wanted) in rows {
            assert_eq!(says(method, uri, header), wanted, "{method} {uri}");
        }
    }
}
