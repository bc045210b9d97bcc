//! A call's request as it came, and its neutral form when an attempt needs one.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use types::chat::ChatRequest;
use types::dialect::{IngressDialect, Operation};
use types::embedding::EmbeddingRequest;
use wire::head::Head;
use wire::opaque::OpaqueRequest;
use wire::request::BadRequest;
use wire::{embeddings, server};

use crate::upstream::fetch::{FetchError, Fetched};

/// What the client asks for.
#[derive(Debug)]
pub enum Ask {
    /// An answer to a conversation.
    Generate,
    /// How many tokens a conversation takes.
    CountTokens,
    /// Vectors of texts.
    Embed,
    /// Something that has an owner and no neutral meaning: it goes on as it came.
    Opaque(OpaqueRequest),
}

/// The request's bytes with what was read of them in one pass.
///
/// The neutral form is made at most once a call, and only when a target speaks another dialect or a broken stream is
/// resumed.
pub struct RequestBody {
    /// What is asked.
    pub ask: Ask,
    /// The client's dialect. What is no conversation is asked, answered and refused in OpenAI's.
    pub dialect: IngressDialect,
    /// As it came.
    pub original: Bytes,
    /// The same, made to stand for itself: what it goes on from is in it.
    pub bytes: Bytes,
    /// Model, stream, features.
    pub head: Head,
    /// The client's headers that go on with its bytes to a provider of its own dialect.
    pub forwarded: Vec<(HeaderName, HeaderValue)>,
    /// See [`server::must_translate`].
    must_translate: OnceLock<bool>,
    // Boxed: most calls pass through and never make it.
    neutral: OnceLock<Box<Result<ChatRequest, BadRequest>>>,
    embedding: OnceLock<Box<Result<EmbeddingRequest, BadRequest>>>,
    fetched: OnceLock<Result<Vec<Fetched>, FetchError>>,
}

impl RequestBody {
    /// A request whose head was read.
    pub fn new(
        ask: Ask,
        dialect: IngressDialect,
        original: Bytes,
        bytes: Bytes,
        head: Head,
        forwarded: Vec<(HeaderName, HeaderValue)>,
    ) -> RequestBody {
        RequestBody {
            ask,
            dialect,
            original,
            bytes,
            head,
            forwarded,
            must_translate: OnceLock::new(),
            neutral: OnceLock::new(),
            embedding: OnceLock::new(),
            fetched: OnceLock::new(),
        }
    }

    /// The operation as the dialects know it; `None` for what goes on as it came.
    pub fn operation(&self) -> Option<Operation> {
        match self.ask {
            Ask::Generate => Some(Operation::Generate),
            Ask::CountTokens => Some(Operation::CountTokens),
            Ask::Embed => Some(Operation::Embed),
            Ask::Opaque(_) => None,
        }
    }

    /// What is asked, in one word for logs.
    pub fn word(&self) -> &'static str {
        match &self.ask {
            Ask::Generate => Operation::Generate.as_str(),
            Ask::CountTokens => Operation::CountTokens.as_str(),
            Ask::Embed => Operation::Embed.as_str(),
            Ask::Opaque(opaque) => opaque.endpoint.as_str(),
        }
    }

    /// Whether these bytes must be read and written anew even for a provider of their own dialect.
    pub fn must_translate(&self) -> bool {
        let look = || server::must_translate(self.dialect, &self.bytes);
        *self.must_translate.get_or_init(look)
    }

    /// The conversation in the neutral model.
    pub fn neutral(&self) -> Result<&ChatRequest, &BadRequest> {
        let read = || Box::new(server::decode_request(self.dialect, &self.bytes, &self.head));
        self.neutral.get_or_init(read).as_ref().as_ref()
    }

    /// What the request names by URL, once it was fetched.
    pub fn fetched(&self) -> Option<Result<&[Fetched], &FetchError>> {
        Some(self.fetched.get()?.as_ref().map(Vec::as_slice))
    }

    /// Keeps what the request names by URL for every attempt that needs it.
    pub fn keep_fetched(&self, fetched: Result<Vec<Fetched>, FetchError>) {
        let _ = self.fetched.set(fetched);
    }

    /// The same request once more, to be read on another thread; `None` for what has no neutral form.
    pub fn twin(&self) -> Option<RequestBody> {
        let ask = match &self.ask {
            Ask::Generate => Ask::Generate,
            Ask::CountTokens => Ask::CountTokens,
            Ask::Embed => Ask::Embed,
            Ask::Opaque(_) => return None,
        };
        let (original, bytes) = (self.original.clone(), self.bytes.clone());
        let (head, forwarded) = (self.head.clone(), self.forwarded.clone());
        Some(RequestBody::new(ask, self.dialect, original, bytes, head, forwarded))
    }

    /// Takes over what a [`RequestBody::twin`] has read.
    pub fn adopt(&self, twin: RequestBody) {
        if let Some(neutral) = twin.neutral.into_inner() {
            let _ = self.neutral.set(neutral);
        }
        if let Some(embedding) = twin.embedding.into_inner() {
            let _ = self.embedding.set(embedding);
        }
    }

    /// The texts to be embedded, in the neutral model.
    pub fn embedding(&self) -> Result<&EmbeddingRequest, &BadRequest> {
        let read = || Box::new(embeddings::decode_request(&self.bytes));
        self.embedding.get_or_init(read).as_ref().as_ref()
    }
}
