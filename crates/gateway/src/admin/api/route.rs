//! One thing that can be asked of the admin listener: its method and path, who may, what it takes and gives, who answers.
//!
//! The schema of what a route takes and gives is that of its handler's own types.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use serde_json::json;
use store::error::StoreError;
use tracing::warn;

use crate::config::admin::Role;
use crate::config::decode;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::ingress::reply::{self, ReplyBody};
use crate::keys::service::{Actor, KeyError};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Everybody.
    Nobody,
    /// A viewer where the configuration names tokens; everybody where it names none.
    Watcher,
    /// A token of this role or more.
    Role(Role),
}

/// Writes the schema of a type.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;
/// Answers.
pub type Handler = Arc<dyn Fn(Raw) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>> + Send + Sync>;

/// A row of the table.
pub struct ApiRoute {
    /// The method.
    pub method: Method,
    /// The path; `{id}` stands for one piece of it.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// What it does, for the document.
    pub summary: &'static str,
    /// What may stand in the query.
    pub query: Option<Shape>,
    /// What the body must be.
    pub body: Option<Shape>,
    /// What the answer is; `None` for a page that is not described.
    pub answer: Option<Shape>,
    /// The status of an answer that is no error.
    pub status: StatusCode,
    /// The answer's content type.
    pub kind: &'static str,
    /// Who answers; `None` in a table without parts.
    pub handler: Option<Handler>,
}

/// A request that may be answered, before its query and body are read.
#[derive(Debug)]
pub struct Raw {
    /// Who asks; `None` where nobody has to be known.
    pub by: Option<Actor>,
    /// What stands for `{id}`.
    pub id: String,
    /// The query.
    pub query: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A request that is answered.
#[derive(Debug)]
pub struct Asked<Q, B> {
    /// Who asks.
    pub by: Actor,
    /// What stands for `{id}`.
    pub id: String,
    /// The query.
    pub query: Q,
    /// The body.
    pub body: B,
}

/// No query, no body.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What is told of a request that was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// One word.
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
    /// The field of the body or query that is wrong.
    pub field: Option<String>,
}

impl ApiRoute {
    /// A row whose handler reads a query and a body and gives a JSON document.
    pub fn new<P, Q, B, T, F, Fut>(
        method: Method,
        path: &'static str,
        role: Role,
        summary: &'static str,
        part: Option<Arc<P>>,
        does: F,
    ) -> ApiRoute
    where
        P: Send + Sync + 'static,
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize + JsonSchema,
        F: Fn(Arc<P>, Asked<Q, B>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        let does = Arc::new(does);
        let status = StatusCode::OK;
        let handler = part.map(|part| -> Handler {
            Arc::new(move |raw: Raw| {
                let (does, part) = (does.clone(), part.clone());
                Box::pin(async move {
                    let answered = match asked(raw) {
                        Ok(asked) => does(part, asked).await,
                        Err(error) => Err(error),
                    };
                    match answered {
                        Ok(answer) => document(status, &answer),
                        Err(error) => error.into_response(),
                    }
                })
            })
        });
        ApiRoute {
            method,
            path,
            needs: Needs::Role(role),
            summary,
            query: takes::<Q>(),
            body: takes::<B>(),
            answer: Some(shape::<T>),
            status,
            kind: "application/json",
            handler,
        }
    }

    /// A row that is a page: no query, no body, and no document.
    pub fn page<P: Send + Sync + 'static>(
        path: &'static str,
        needs: Needs,
        summary: &'static str,
        kind: &'static str,
        part: Option<Arc<P>>,
        gives: fn(&P) -> Response<ReplyBody>,
    ) -> ApiRoute {
        ApiRoute {
            method: Method::GET,
            path,
            needs,
            summary,
            query: None,
            body: None,
            answer: None,
            status: StatusCode::OK,
            kind,
            handler: part.map(|part| -> Handler {
                Arc::new(move |_| {
                    let answer = gives(&part);
                    Box::pin(std::future::ready(answer))
                })
            }),
        }
    }

    /// The same, answered with 201: something was made.
    pub fn creating(mut self) -> ApiRoute {
        self.status = StatusCode::CREATED;
        self.handler = self.handler.map(|handler| -> Handler {
            Arc::new(move |raw| {
                let answer = handler(raw);
                Box::pin(async move {
                    let mut answer = answer.await;
                    if answer.status() == StatusCode::OK {
                        *answer.status_mut() = StatusCode::CREATED;
                    }
                    answer
                })
            })
        });
        self
    }

    /// What stands for `{id}` when the path is this row's; empty where it has none.
    pub fn matches(&self, path: &str) -> Option<String> {
        let mut id = String::new();
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(id),
                (Some("{id}"), Some(piece)) if is_id(piece) => id = piece.to_owned(),
                (Some(wanted), Some(given)) if wanted == given => {}
                _ => return None,
            }
        }
    }
}

/// What may stand for `{id}`: nothing that means something in a path.
fn is_id(piece: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    (1..=128).contains(&piece.len()) && piece.bytes().all(plain) && !piece.bytes().all(|b| b == b'.')
}

/// The schema of what a route takes; `None` for [`Nothing`].
fn takes<T: JsonSchema>() -> Option<Shape> {
    (T::schema_id() != Nothing::schema_id()).then_some(shape::<T>)
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn asked<Q: DeserializeOwned, B: DeserializeOwned>(raw: Raw) -> Result<Asked<Q, B>, ApiError> {
    let Some(by) = raw.by else {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "nobody is known to ask",
        ));
    };
    Ok(Asked {
        by,
        id: raw.id,
        query: read_query(raw.query.as_deref().unwrap_or_default())?,
        body: read_body(&raw.body)?,
    })
}

fn read_body<B: DeserializeOwned>(body: &[u8]) -> Result<B, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let error = match serde_json::from_slice(body) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let wrong = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", message);
    if !error.is_data() {
        return Err(wrong(format!("the body is no JSON: {error}")));
    }
    // The reader of configurations knows the place of an error, and the nearest right name.
    let node = std::str::from_utf8(body).ok().and_then(|text| Node::parse(text).ok());
    let notice = node.and_then(|node| decode::decode::<B>(&node).err()?.into_iter().next());
    Err(match notice {
        Some(notice) => {
            let help = notice.help.as_ref().map(|help| format!(", {help}")).unwrap_or_default();
            ApiError {
                field: Some(place(&notice)).filter(|path| !path.is_empty()),
                ..wrong(format!("{}{help}", notice.message))
            }
        }
        // YAML takes `5` for a text where JSON does not: the field is that of the place.
        None => ApiError {
            field: field_before(body, error.line(), error.column()),
            ..wrong(error.to_string())
        },
    })
}

/// The key that stands last before a place of a JSON text.
fn field_before(body: &[u8], line: usize, column: usize) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let before = text.lines().nth(line.checked_sub(1)?)?.get(..column)?;
    let (before, _) = before.rsplit_once("\":")?;
    let (_, key) = before.rsplit_once('"')?;
    Some(key.to_owned())
}

/// The field that a finding is about; an unknown one is found where it stands.
fn place(notice: &Notice) -> String {
    let unknown = notice
        .message
        .strip_prefix("unknown key `")
        .and_then(|rest| rest.split('`').next());
    match unknown {
        Some(key) if notice.path.is_empty() => key.to_owned(),
        Some(key) => format!("{}.{key}", notice.path),
        None => notice.path.clone(),
    }
}

fn read_query<Q: DeserializeOwned>(query: &str) -> Result<Q, ApiError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), Piece(decoded(value)))
    });
    let deserializer = MapDeserializer::<_, serde::de::value::Error>::new(pairs);
    Q::deserialize(deserializer)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", format!("the query: {error}")))
}

/// A value of the query without its plus and percent signs.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A value of the query: text, or the number that it is written as.
struct Piece(String);

impl<'de> IntoDeserializer<'de> for Piece {
    type Deserializer = Piece;

    fn into_deserializer(self) -> Piece {
        self
    }
}

impl<'de> Deserializer<'de> for Piece {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => visitor.visit_string(self.0),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0.parse() {
            Ok(word) => visitor.visit_bool(word),
            Err(_) => visitor.visit_string(self.0),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let word: serde::de::value::StringDeserializer<Self::Error> = self.0.into_deserializer();
        word.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// A JSON document that nobody may keep or take for something else.
pub fn document<T: Serialize>(status: StatusCode, answer: &T) -> Response<ReplyBody> {
    let text = serde_json::to_vec(answer).expect("texts and numbers are always JSON");
    let mut response = reply::json(status, text);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl ApiError {
    /// One without a field.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            code,
            message: message.into(),
            field: None,
        }
    }

    /// Something that is not there.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// This gateway keeps nothing.
    pub fn no_store() -> ApiError {
        KeyError::NoStore.into()
    }

    /// As it is sent.
    pub fn into_response(self) -> Response<ReplyBody> {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(field), Some(map)) = (self.field, error.as_object_mut()) {
            map.insert("field".to_owned(), field.into());
        }
        document(self.status, &json!({ "error": error }))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        if let StoreError::Changed(_) = error {
            let message = format!("{error}: look at it again, then try again");
            return ApiError::new(StatusCode::CONFLICT, "changed", message);
        }
        warn!("The store did not do what the admin API asked: {error}");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError::new(status, "store_unavailable", error.to_string())
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> ApiError {
        let message = error.to_string();
        match error {
            KeyError::Store(error) => error.into(),
            KeyError::NoStore => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_store", message),
            KeyError::NotFound(_) => ApiError::not_found(message),
            KeyError::Wrong(wrong) => ApiError {
                field: Some(wrong.field),
                ..ApiError::new(StatusCode::BAD_REQUEST, "invalid_value", message)
            },
            KeyError::Revoked(_) => ApiError::new(StatusCode::CONFLICT, "revoked", message),
            KeyError::TooMany => ApiError::new(StatusCode::CONFLICT, "too_many", message),
            KeyError::NoChance(_) => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "no_chance", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[derive(Default)]
    struct Query {
        limit: Option<u32>,
        key: Option<String>,
        open: bool,
    }

    #[test]
    fn a_query_is_read_by_its_fields_and_nothing_else() {
        let rows = [
            ("", Some(Query::default())),
            (
                "limit=5&key=a%20b+c&open=true",
                Some(Query {
                    limit: Some(5),
                    key: Some("a b c".into()),
                    open: true,
                }),
            ),
            (
                "key=5",
                Some(Query {
                    key: Some("5".into()),
                    ..Query::default()
                }),
            ),
            ("limit=x", None),
            ("limit=1&limit=2", None),
            ("limt=1", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(read_query::<Query>(text).ok(), wanted, "{text}");
        }
    }

    #[test]
    fn a_wrong_body_names_the_field() {
        let rows = [
            (r#"{"name": 5}"#, Some("name")),
            (
                r#"{"name": "a", "limits": {"concurrent": "x"}}"#,
                Some("limits.concurrent"),
            ),
            (r#"{"name": "a", "limts": {}}"#, Some("limts")),
            (r#"{"name": "a""#, None),
            (r#"[]"#, None),
            ("", None),
        ];
        for (body, field) in rows {
            let error = read_body::<crate::keys::view::KeyDraft>(body.as_bytes()).unwrap_err();
            assert_eq!(error.field.as_deref(), field, "{body}: {}", error.message);
        }
    }

    #[test]
    fn only_a_plain_piece_stands_for_an_id() {
        let rows = [
            ("js-abcdefgh2345", true),
            ("", false),
            ("..", false),
            (".", false),
            ("a%2fb", false),
            ("a b", false),
            (&"a".repeat(129), false),
        ];
        for (piece, wanted) in rows {
            assert_eq!(is_id(piece), wanted, "{piece}");
        }
    }
}
