//! Resources: the endpoints of OpenAI (and Gemini's embeddings) that are no conversation, each with an answer like the provider's.
//!
//! Which one a path is for is decided here, what is answered in the files beside. State is bounded and in memory: stored responses
//! (`dialect::openai_responses::memory`), files and batches.

pub(crate) mod batches;
pub(crate) mod embeddings;
pub(crate) mod files;
mod media;
pub(crate) mod multipart;
mod scores;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::{
    behaviour::{Behaviour, UsageOverride},
    dialect::{Dialect, Refusal, openai_responses::memory::Memory},
    resource::{batches::Batches, files::Files, multipart::Part},
};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Response { id: String },
    ResponseItems { id: String },
    ResponseCancel { id: String },
    Embeddings,
    GeminiEmbed { model: String, batch: bool },
    Images { edit: bool },
    Speech,
    Transcription,
    Moderations,
    Rerank,
    Files,
    File { id: String },
    FileContent { id: String },
    Batches,
    Batch { id: String },
    BatchCancel { id: String },
}

/// What the fake remembers across requests.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) responses: Memory,
    pub(crate) files: Files,
    pub(crate) batches: Batches,
}

/// A request for a resource.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a Method,
    pub(crate) query: &'a str,
    /// The JSON body, or the text fields of a multipart body.
    pub(crate) body: &'a Value,
    pub(crate) parts: &'a [Part],
    /// Without its behaviour suffix; empty when none was named.
    pub(crate) model: &'a str,
    pub(crate) seed: u64,
    /// Number of the request, for ids.
    pub(crate) n: u64,
    /// Unix seconds on the fake's clock.
    pub(crate) now: u64,
}

/// What is answered with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Reply {
    fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            content_type,
            body: body.into(),
        }
    }
}

impl Reply {
    /// What a behaviour about content does to an answer that has none of it: empty, without usage, or with a field nobody knows.
    pub(crate) fn changed(mut self, behaviour: &Behaviour) -> Self {
        let odd = behaviour.odd || behaviour.empty || behaviour.usage == Some(UsageOverride::Off);
        if !odd || self.content_type != "application/json" {
            return self;
        }
        let mut body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if behaviour.empty {
            body = serde_json::json!({});
        }
        if let Some(fields) = body.as_object_mut() {
            if behaviour.usage == Some(UsageOverride::Off) {
                fields.remove("usage");
            }
            if behaviour.odd {
                fields.insert("x_fake_unknown".into(), serde_json::json!({"nested": [1, null, "ü"]}));
            }
        }
        self.body = Bytes::from(body.to_string());
        self
    }
}

impl From<Value> for Reply {
    fn from(body: Value) -> Self {
        Self::new("application/json", body.to_string())
    }
}

impl Ask<'_> {
    /// The value of a query parameter.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A field that must be a text.
    fn text(&self, field: &str) -> Result<&str, Refusal> {
        let text = self.body[field].as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| missing(field))
    }

    /// The model, which must be named.
    fn model(&self) -> Result<&str, Refusal> {
        Some(self.model)
            .filter(|model| !model.is_empty())
            .ok_or_else(|| Refusal::invalid("you must provide a model parameter"))
    }

    /// An uploaded file.
    fn file(&self, field: &str) -> Result<&Part, Refusal> {
        let named = |part: &&Part| part.name == field || part.name.strip_suffix("[]") == Some(field);
        self.parts.iter().find(named).ok_or_else(|| missing(field))
    }

    /// A page of a list, newest first unless `order=asc`, with the frame that OpenAI puts around it.
    fn page(&self, mut items: Vec<Value>) -> Value {
        if self.parameter("order") != Some("asc") {
            items.reverse();
        }
        if let Some(after) = self.parameter("after")
            && let Some(at) = items.iter().position(|item| item["id"] == after)
        {
            items.drain(..=at);
        }
        let limit = self.parameter("limit").and_then(|limit| limit.parse().ok());
        let limit = limit.unwrap_or(100).clamp(1, 10_000);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
        let (first, last) = (id_of(items.first()), id_of(items.last()));
        serde_json::json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more})
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::field(field, format!("Missing required parameter: '{field}'.")).coded("missing_required_parameter")
}

impl Resource {
    /// The resource of a path under any prefix, whatever the method.
    pub(crate) fn of(path: &str) -> Option<Self> {
        // A model may be called `…/embeddings`; Ollama has embeddings and Anthropic batches of their own.
        if path.contains("/models/") || path.ends_with("/api/embeddings") || path.contains("/messages/batches") {
            return None;
        }
        let mut segments = path.rsplit('/');
        let (last, before) = (segments.next()?, segments.next().unwrap_or_default());
        let earlier = segments.next().unwrap_or_default();
        let id = |id: &str| id.to_owned();
        let whole = match (before, last) {
            (_, "embeddings") => Some(Resource::Embeddings),
            ("images", "generations") => Some(Resource::Images { edit: false }),
            ("images", "edits") => Some(Resource::Images { edit: true }),
            ("audio", "speech") => Some(Resource::Speech),
            ("audio", "transcriptions" | "translations") => Some(Resource::Transcription),
            (_, "moderations") => Some(Resource::Moderations),
            (_, "rerank") => Some(Resource::Rerank),
            (_, "files") => Some(Resource::Files),
            (_, "batches") => Some(Resource::Batches),
            ("responses", one) => Some(Resource::Response { id: id(one) }),
            ("files", one) => Some(Resource::File { id: id(one) }),
            ("batches", one) => Some(Resource::Batch { id: id(one) }),
            _ => None,
        };
        whole.or_else(|| match (earlier, last) {
            ("responses", "input_items") => Some(Resource::ResponseItems { id: id(before) }),
            ("responses", "cancel") => Some(Resource::ResponseCancel { id: id(before) }),
            ("files", "content") => Some(Resource::FileContent { id: id(before) }),
            ("batches", "cancel") => Some(Resource::BatchCancel { id: id(before) }),
            _ => None,
        })
    }

    /// Whether the provider takes that method there.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        match self {
            Resource::Response { .. } | Resource::File { .. } => method == Method::GET || method == Method::DELETE,
            Resource::Files | Resource::Batches => method == Method::GET || method == Method::POST,
            Resource::ResponseItems { .. } | Resource::FileContent { .. } | Resource::Batch { .. } => {
                method == Method::GET
            }
            Resource::ResponseCancel { .. }
            | Resource::Embeddings
            | Resource::GeminiEmbed { .. }
            | Resource::Images { .. }
            | Resource::Speech
            | Resource::Transcription
            | Resource::Moderations
            | Resource::Rerank
            | Resource::BatchCancel { .. } => method == Method::POST,
        }
    }

    /// Whose errors and credentials are used.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Resource::Response { .. } | Resource::ResponseItems { .. } | Resource::ResponseCancel { .. } => {
                Dialect::OpenaiResponses
            }
            Resource::GeminiEmbed { .. } => Dialect::Gemini,
            Resource::Embeddings
            | Resource::Images { .. }
            | Resource::Speech
            | Resource::Transcription
            | Resource::Moderations
            | Resource::Rerank
            | Resource::Files
            | Resource::File { .. }
            | Resource::FileContent { .. }
            | Resource::Batches
            | Resource::Batch { .. }
            | Resource::BatchCancel { .. } => Dialect::OpenaiChat,
        }
    }

    /// Whether a body in JSON is wanted; the others take a multipart body or none.
    pub(crate) fn wants_json(&self, method: &Method) -> bool {
        match self {
            Resource::Embeddings
            | Resource::GeminiEmbed { .. }
            | Resource::Images { edit: false }
            | Resource::Speech
            | Resource::Moderations
            | Resource::Rerank => true,
            Resource::Batches => method == Method::POST,
            Resource::Images { edit: true }
            | Resource::Transcription
            | Resource::Files
            | Resource::Response { .. }
            | Resource::ResponseItems { .. }
            | Resource::ResponseCancel { .. }
            | Resource::File { .. }
            | Resource::FileContent { .. }
            | Resource::Batch { .. }
            | Resource::BatchCancel { .. } => false,
        }
    }

    /// The answer, or why the provider would refuse.
    pub(crate) fn reply(&self, shelf: &Shelf, ask: &Ask<'_>) -> Result<Reply, Refusal> {
        // A form has only texts.
        if ask.body["stream"] == true || ask.body["stream"] == "true" {
            return Err(
                Refusal::field("stream", "Streaming is not supported with this model.").coded("unsupported_value")
            );
        }
        let delete = ask.method == Method::DELETE;
        let create = ask.method == Method::POST;
        let body = match self {
            Resource::Response { id } if delete => shelf.responses.delete(id)?,
            Resource::Response { id } => shelf.responses.response(id)?,
            Resource::ResponseItems { id } => shelf.responses.input_items(id, ask.query)?,
            Resource::ResponseCancel { id } => {
                shelf.responses.response(id)?;
                return Err(Refusal::invalid("Cannot cancel a synchronous response."));
            }
            Resource::Embeddings => embeddings::openai(ask)?,
            Resource::GeminiEmbed { batch, .. } => embeddings::gemini(ask, *batch)?,
            Resource::Images { edit } => media::images(ask, *edit)?,
            Resource::Speech => return media::speech(ask),
            Resource::Transcription => return media::transcription(ask),
            Resource::Moderations => scores::moderations(ask)?,
            Resource::Rerank => scores::rerank(ask)?,
            Resource::Files if create => shelf.files.create(ask)?,
            Resource::Files => shelf.files.list(ask),
            Resource::File { id } if delete => shelf.files.delete(id)?,
            Resource::File { id } => shelf.files.get(id)?,
            Resource::FileContent { id } => return shelf.files.content(id),
            Resource::Batches if create => shelf.batches.create(ask, &shelf.files)?,
            Resource::Batches => shelf.batches.list(ask),
            Resource::Batch { id } => shelf.batches.get(id, ask, &shelf.files)?,
            Resource::BatchCancel { id } => shelf.batches.cancel(id, ask)?,
        };
        Ok(body.into())
    }
}
