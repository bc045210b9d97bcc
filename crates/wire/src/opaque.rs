//! Endpoints that have an owner and no neutral meaning: images, audio, moderations, rerank, files, batches.
//!
//! They go on as they came, to one provider that speaks OpenAI's dialect; only `model` is read and replaced, in JSON and in
//! multipart forms. What may be asked of them is a closed list: no path of the client's own making goes upstream.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderValue, Method};
use memchr::memmem;
use types::features::Features;

use crate::framing::json::{Cursor, Kind, Surrogates};
use crate::head::{Head, UsageAt, Wrong, check_model, duplicate, missing, read_model, utf8};
use crate::request::BadRequest;

/// Longest id of a file or batch.
const ID_LEN_MAX: usize = 128;
/// Parts of a form that are looked at for `model`.
const PARTS_MAX: usize = 64;

/// A family of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `/images/…`.
    Images,
    /// `/audio/…`.
    Audio,
    /// `/moderations`.
    Moderations,
    /// `/rerank`.
    Rerank,
    /// `/files/…`.
    Files,
    /// `/batches/…`.
    Batches,
}

impl Endpoint {
    /// The word used in logs, in metrics and for the target of calls that name no model.
    pub fn as_str(self) -> &'static str {
        match self {
            Endpoint::Images => "images",
            Endpoint::Audio => "audio",
            Endpoint::Moderations => "moderations",
            Endpoint::Rerank => "rerank",
            Endpoint::Files => "files",
            Endpoint::Batches => "batches",
        }
    }

    /// Whether its calls must name a model. Moderations may.
    fn needs_model(self) -> bool {
        match self {
            Endpoint::Images | Endpoint::Audio | Endpoint::Rerank => true,
            Endpoint::Moderations | Endpoint::Files | Endpoint::Batches => false,
        }
    }

    /// Whether its bodies have a `model` to be read: a file's may be anything.
    fn has_model(self) -> bool {
        match self {
            Endpoint::Images | Endpoint::Audio | Endpoint::Rerank | Endpoint::Moderations => true,
            Endpoint::Files | Endpoint::Batches => false,
        }
    }
}

/// What a path and method ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// An endpoint that is served.
    Open(Endpoint),
    /// A served path with another method; these are the ones it takes.
    OtherMethod(&'static str),
}

/// What a path (behind `/v1`) and method ask for; `None` when the path is none of these.
pub fn door(method: &Method, path: &str) -> Option<Door> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (endpoint, allowed): (Endpoint, &[(Method, &'static str)]) = match parts.as_slice() {
        ["images", "generations" | "edits" | "variations"] => (Endpoint::Images, &[(Method::POST, "POST")]),
        ["audio", "speech" | "transcriptions" | "translations"] => (Endpoint::Audio, &[(Method::POST, "POST")]),
        ["moderations"] => (Endpoint::Moderations, &[(Method::POST, "POST")]),
        ["rerank"] => (Endpoint::Rerank, &[(Method::POST, "POST")]),
        ["files"] => (
            Endpoint::Files,
            &[(Method::GET, "GET, POST"), (Method::POST, "GET, POST")],
        ),
        ["files", id] if is_id(id) => (
            Endpoint::Files,
            &[(Method::GET, "GET, DELETE"), (Method::DELETE, "GET, DELETE")],
        ),
        ["files", id, "content"] if is_id(id) => (Endpoint::Files, &[(Method::GET, "GET")]),
        ["batches"] => (
            Endpoint::Batches,
            &[(Method::GET, "GET, POST"), (Method::POST, "GET, POST")],
        ),
        ["batches", id] if is_id(id) => (Endpoint::Batches, &[(Method::GET, "GET")]),
        ["batches", id, "cancel"] if is_id(id) => (Endpoint::Batches, &[(Method::POST, "POST")]),
        _ => return None,
    };
    let open = allowed.iter().any(|(known, _)| known == method);
    Some(if open {
        Door::Open(endpoint)
    } else {
        Door::OtherMethod(allowed[0].1)
    })
}

fn is_id(id: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !id.is_empty() && id.len() <= ID_LEN_MAX && id.bytes().all(sound)
}

/// A request that goes on as it came.
#[derive(Debug, Clone)]
pub struct OpaqueRequest {
    /// Whose family it is of.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: Method,
    /// Its path behind `/v1` with the query, as [`door`] let it in.
    pub path: String,
    /// What kind of body it is.
    pub content_type: Option<HeaderValue>,
    model_at: Option<ModelAt>,
}

/// Where the model stands.
#[derive(Debug, Clone)]
enum ModelAt {
    /// With its quotes.
    Json(Range<usize>),
    /// The part's content.
    Form(Range<usize>),
}

impl OpaqueRequest {
    /// Reads the model of a request that [`door`] let in. The head's `model` is empty when none is named and none is needed.
    pub fn read(
        endpoint: Endpoint,
        method: Method,
        path: String,
        content_type: Option<HeaderValue>,
        body: &Bytes,
    ) -> Result<(OpaqueRequest, Head), BadRequest> {
        let word = content_type.as_ref().and_then(|c| c.to_str().ok()).unwrap_or_default();
        let found = if !endpoint.has_model() {
            None
        } else if let Some(boundary) = boundary(word) {
            form_model(body, boundary)?
        } else {
            json_model(body)?
        };
        if found.is_none() && endpoint.needs_model() {
            return Err(missing("model"));
        }
        let (model, model_at) = found.map_or((String::new(), None), |(model, at)| (model, Some(at)));
        let head = Head {
            model,
            stream: false,
            include_usage: false,
            features: Features::NONE,
            max_output_tokens: None,
            n: 1,
            prompt_chars: 0,
            messages: 0,
            model_at: None,
            usage_at: UsageAt::Always,
            body_len: body.len(),
        };
        let request = OpaqueRequest {
            endpoint,
            method,
            path,
            content_type,
            model_at,
        };
        Ok((request, head))
    }

    /// The body with another model's name.
    pub fn splice(&self, body: &Bytes, model: &str) -> Bytes {
        let (at, text) = match &self.model_at {
            None => return body.clone(),
            Some(ModelAt::Json(at)) => {
                let quoted = serde_json::to_string(model).expect("a string is always JSON");
                (at, quoted)
            }
            Some(ModelAt::Form(at)) => (at, model.to_owned()),
        };
        if body[at.clone()] == *text.as_bytes() {
            return body.clone();
        }
        Bytes::from([&body[..at.start], text.as_bytes(), &body[at.end..]].concat())
    }
}

fn json_model(body: &Bytes) -> Result<Option<(String, ModelAt)>, BadRequest> {
    let text = utf8(body)?;
    let mut cursor = Cursor::new(text, Surrogates::Paired);
    let mut read = || -> Result<Option<(String, ModelAt)>, Wrong> {
        if cursor.peek()? != Kind::Object {
            return Err(Wrong::Request(BadRequest::body("the body must be a JSON object")));
        }
        let mut found = None;
        let mut more = cursor.open_object()?;
        while more {
            if cursor.key()?.unescaped() == "model" {
                if found.is_some() {
                    return duplicate("model");
                }
                let (model, at) = read_model(&mut cursor)?;
                found = Some((model, ModelAt::Json(at)));
            } else {
                cursor.skip()?;
            }
            more = cursor.more_members()?;
        }
        cursor.finish()?;
        Ok(found)
    };
    read().map_err(|wrong| wrong.into_bad_request(text))
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"')).filter(|boundary| !boundary.is_empty() && boundary.len() <= 70)
}

/// Finds the part named `model` (RFC 7578): what stands between its blank line and the next delimiter.
fn form_model(body: &Bytes, boundary: &str) -> Result<Option<(String, ModelAt)>, BadRequest> {
    let delimiter = format!("--{boundary}");
    let mut starts = memmem::find_iter(body, delimiter.as_bytes())
        .map(|at| (at, at + delimiter.len()))
        .peekable();
    if starts.peek().is_none() {
        return Err(BadRequest::body(
            "the form has no part: its boundary is not in the body",
        ));
    }
    let mut parts = 0;
    let mut found = None;
    while let (Some((_, start)), Some((end, _))) = (starts.next(), starts.peek()) {
        parts += 1;
        if parts > PARTS_MAX {
            return Err(BadRequest::body(format!("the form has more than {PARTS_MAX} parts")));
        }
        let part = &body[start..*end];
        let Some(blank) = memmem::find(part, b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&part[..blank]).to_ascii_lowercase();
        let named = head
            .split([';', '\r', '\n'])
            .any(|piece| matches!(piece.trim(), "name=\"model\"" | "name=model"));
        if !named {
            continue;
        }
        let value = blank + 4..part.len().saturating_sub(2).max(blank + 4);
        let model = std::str::from_utf8(&part[value.clone()])
            .map_err(|_| BadRequest::param("model", "`model` is not UTF-8"))?;
        check_model(model).map_err(|wrong| wrong.into_bad_request(""))?;
        if found.is_some() {
            // The provider may read another one than is routed by.
            return duplicate("model").map_err(|wrong| wrong.into_bad_request(""));
        }
        let at = ModelAt::Form(start + value.start..start + value.end);
        found = Some((model.to_owned(), at));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_paths_and_methods_are_let_in() {
        let rows = [
            ("POST", "/images/generations", "images"),
            ("POST", "/audio/speech", "audio"),
            ("POST", "/moderations", "moderations"),
            ("POST", "/rerank", "rerank"),
            ("GET", "/files", "files"),
            ("DELETE", "/files/file-1", "files"),
            ("GET", "/files/file-1/content", "files"),
            ("POST", "/batches/batch_1/cancel", "batches"),
            ("GET", "/images/generations", "only POST"),
            ("PUT", "/files", "only GET, POST"),
            ("GET", "/files/..%2Fkeys", ""),
            ("GET", "/files/a b", ""),
            ("GET", "/files/", ""),
            ("GET", "/files/a/b", ""),
            ("POST", "/images/../keys", ""),
            ("GET", "/organization/api_keys", ""),
        ];
        for (method, path, wanted) in rows {
            let method: Method = method.parse().unwrap();
            let got = match door(&method, path) {
                Some(Door::Open(endpoint)) => endpoint.as_str().to_owned(),
                Some(Door::OtherMethod(allowed)) => format!("only {allowed}"),
                None => String::new(),
            };
            assert_eq!(got, wanted, "{method} {path}");
        }
    }

    fn read(endpoint: Endpoint, content_type: &'static str, body: &str) -> Result<(OpaqueRequest, Head), BadRequest> {
        OpaqueRequest::read(
            endpoint,
            Method::POST,
            "/x".into(),
            Some(HeaderValue::from_static(content_type)),
            &Bytes::copy_from_slice(body.as_bytes()),
        )
    }

    #[test]
    fn the_model_is_replaced_in_json_and_in_forms_and_nothing_else() {
        let json = r#"{"prompt":"a \"model\"", "x":{"model":"no"}, "model" : "openai/gpt-image-2","n":1}"#;
        let form = "--B7\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\u{1}model\r\n--B7\r\n\
                    Content-Disposition: form-data; name=\"model\"\r\n\r\nopenai/gpt-image-2\r\n--B7--\r\n";
        for (content_type, body) in [
            ("application/json", json),
            ("multipart/form-data; boundary=\"B7\"", form),
        ] {
            let (request, head) = read(Endpoint::Images, content_type, body).unwrap();
            assert_eq!(head.model, "openai/gpt-image-2");
            let bytes = Bytes::copy_from_slice(body.as_bytes());
            let spliced = request.splice(&bytes, "gpt-image-2");
            assert_eq!(
                std::str::from_utf8(&spliced).unwrap(),
                body.replace("openai/gpt-image-2", "gpt-image-2")
            );
            assert_eq!(request.splice(&bytes, "openai/gpt-image-2"), bytes);
        }
    }

    #[test]
    fn a_missing_model_is_told_where_one_is_needed() {
        let rows = [
            (
                Endpoint::Images,
                "application/json",
                r#"{"prompt":"x"}"#,
                Some("`model` is required"),
            ),
            (Endpoint::Moderations, "application/json", r#"{"input":"x"}"#, None),
            (Endpoint::Files, "multipart/form-data; boundary=x", "anything", None),
            (
                Endpoint::Audio,
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na\r\n--x--",
                Some("`model` is required"),
            ),
            (
                Endpoint::Audio,
                "multipart/form-data; boundary=x",
                "nothing",
                Some("boundary"),
            ),
            (Endpoint::Images, "application/json", "[]", Some("JSON object")),
            (
                Endpoint::Images,
                "application/json",
                r#"{"model":""#,
                Some("not valid JSON"),
            ),
        ];
        for (endpoint, content_type, body, wanted) in rows {
            match (read(endpoint, content_type, body), wanted) {
                (Ok((_, head)), None) => assert_eq!(head.model, ""),
                (Err(bad), Some(words)) => assert!(bad.message.contains(words), "{}", bad.message),
                (got, wanted) => panic!("{body}: {got:?}, {wanted:?}"),
            }
        }
    }
}
