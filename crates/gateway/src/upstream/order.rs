//! What an attempt is to send: the client's request, written for its target.
//!
//! The same dialect passes through with its model's name replaced; another one, and every continuation of a broken stream, is
//! written from the neutral model.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use policy::call::action::Launch;
use policy::call::event::AttemptEvent;
use types::chat::ChatRequest;
use types::dialect::{DialectName, Operation};
use types::features::Features;
use types::ids::AttemptNo;
use types::outcome::{Failure, OutcomeClass};
use types::time::UnixMillis;
use wire::adjust::{self, Adjustment};
use wire::cap;
use wire::degrade::{Contract, Malformed};
use wire::opaque::OpaqueRequest;
use wire::request::{BadRequest, Dropped, Encoded, UNTRANSLATABLE, Unsupported, UpstreamModel};
use wire::response::EncoderOptions;
use wire::{degrade, dialect, embeddings, quirks, server};

use crate::engine::body::{Ask, RequestBody};
use crate::engine::resume::Continuation;
use crate::fleet::memory::lock;
use crate::fleet::route::Target;
use crate::upstream::answer::AnswerReader;
use crate::upstream::client::request;
use crate::upstream::reader::Reader;

/// What an attempt needs to know of its call.
pub struct Order<'a> {
    /// What policy asked for.
    pub launch: &'a Launch,
    /// Where.
    pub target: &'a Target,
    /// The client's request.
    pub body: &'a RequestBody,
    /// What is to be continued, when it is.
    pub continuation: Option<Continuation<'a>>,
    /// What was wrong with this target's last answer, when it is asked once more.
    pub repair: Option<&'a Malformed>,
    /// What its tier changes in the system prompt.
    pub prompt: Option<&'a Adjustment>,
    /// The longest answer that can be paid, in tokens.
    pub output_cap: Option<u64>,
    /// Keep an account of what is said: the route resumes broken streams.
    pub resumable: bool,
    /// Who the answer says it is, where its provider does not say.
    pub identity: EncoderOptions,
    /// The time.
    pub wall: UnixMillis,
}

/// A request ready to go, and what it left out.
pub struct Written {
    /// Its credential is still to be shown.
    pub request: Request<Full<Bytes>>,
    /// For `x-jumpseat-dropped`.
    pub dropped: Vec<Dropped>,
}

/// What comes of an order.
pub enum Outgoing {
    /// A request for the provider.
    Request(Box<Written>),
    /// The gateway can answer by itself: the provider has no such operation and an estimate will do.
    Estimate(Bytes),
}

impl Order<'_> {
    fn dialect(&self) -> DialectName {
        self.target.provider.dialect
    }

    /// Whether the client's bytes go on as they are.
    fn passes_through(&self) -> bool {
        let upstream = self.dialect();
        self.continuation.is_none()
            && match &self.body.ask {
                Ask::Generate | Ask::CountTokens => {
                    upstream == self.body.dialect.name()
                        && self.launch.degraded.is_empty()
                        && !self.body.must_translate()
                }
                Ask::Embed => upstream == DialectName::OpenaiChat,
                Ask::Opaque(_) => true,
            }
    }

    /// Writes the request. The event is the attempt's end when it cannot be written.
    pub fn write(&self) -> Result<Outgoing, AttemptEvent> {
        self.try_write()
            .map_err(|unwritten| unwritten.event(self.launch.attempt))
    }

    fn try_write(&self) -> Result<Outgoing, Unwritten> {
        let (target, body) = (self.target, self.body);
        let mut headers: HeaderMap = target.provider.headers();
        let (method, uri) = match &body.ask {
            Ask::Opaque(opaque) => (opaque.method.clone(), self.opaque_uri(opaque)?),
            Ask::Generate if body.head.stream => (Method::POST, target.stream_uri.clone()),
            Ask::Generate => (Method::POST, target.uri.clone()),
            Ask::CountTokens => match self.operation_uri(Operation::CountTokens) {
                Some(uri) => (Method::POST, uri),
                None => {
                    let tokens = lock(&target.state.tokens).estimate(body.head.prompt_chars);
                    let estimate = server::encode_count(body.dialect, tokens).unwrap_or_default();
                    return Ok(Outgoing::Estimate(estimate.into()));
                }
            },
            Ask::Embed => match self.operation_uri(Operation::Embed) {
                Some(uri) => (Method::POST, uri),
                None => {
                    let message = format!("{} cannot make embeddings", self.dialect().as_str());
                    return Err(Unwritten::Unsupported(message, None));
                }
            },
        };
        let (bytes, dropped) = if self.passes_through() {
            self.forward(server::forwarded_headers(body.dialect), &mut headers);
            let (bytes, dropped) = self.own_words(self.spliced(&mut headers));
            (self.edited(bytes), dropped)
        } else {
            let encoded = self.encode()?;
            for (name, value) in encoded.headers {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
            if self.dialect() == body.dialect.name() {
                for name in server::rewritten_headers(body.dialect) {
                    self.forward_besides(name, &mut headers);
                }
            }
            (Bytes::from(encoded.body), encoded.dropped)
        };
        let bytes = match &body.ask {
            Ask::Opaque(_) => bytes,
            Ask::Generate => self.fit(Operation::Generate, bytes),
            Ask::CountTokens => self.fit(Operation::CountTokens, bytes),
            Ask::Embed => self.fit(Operation::Embed, bytes),
        };
        let asks_chat = matches!(body.ask, Ask::Generate) && self.dialect() == DialectName::OpenaiChat;
        let (bytes, dropped) = if asks_chat {
            let (bytes, more) = quirks::apply(&target.provider.quirks, &bytes);
            (bytes, [dropped, more].concat())
        } else {
            (bytes, dropped)
        };
        Ok(Outgoing::Request(Box::new(Written {
            request: request(method, uri, headers, bytes),
            dropped,
        })))
    }

    fn fit(&self, operation: Operation, bytes: Bytes) -> Bytes {
        self.target.provider.hosting.fit(self.dialect(), operation, bytes)
    }

    /// The client's headers of these names, in the place of the target's; a list stands beside what the operator wrote.
    fn forward(&self, names: &[&'static str], headers: &mut HeaderMap) {
        for name in names {
            if self.body.forwarded.iter().any(|(given, _)| given == name) {
                if !server::rewritten_headers(self.body.dialect).contains(name) {
                    headers.remove(*name);
                }
                self.forward_besides(name, headers);
            }
        }
    }

    /// The client's header of this name as one list with what stands there already, each word once.
    fn forward_besides(&self, name: &'static str, headers: &mut HeaderMap) {
        let given = self.body.forwarded.iter().filter(|(given, _)| given == name);
        let values = headers.get_all(name).iter().chain(given.map(|(_, value)| value));
        let mut words: Vec<&str> = Vec::new();
        for word in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
        {
            let word = word.trim();
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
        if let Ok(list) = HeaderValue::try_from(words.join(","))
            && !list.is_empty()
        {
            headers.insert(HeaderName::from_static(name), list);
        }
    }

    /// The client's bytes with the target's model.
    fn spliced(&self, headers: &mut HeaderMap) -> Bytes {
        let (body, model) = (self.body, self.target.facts.id.model());
        match &body.ask {
            Ask::Generate | Ask::CountTokens | Ask::Embed => {
                let want_usage = self.target.provider.quirks.takes_stream_options();
                body.head.splice(&body.bytes, model, want_usage)
            }
            Ask::Opaque(opaque) => {
                match &opaque.content_type {
                    Some(kind) => headers.insert(CONTENT_TYPE, kind.clone()),
                    None => headers.remove(CONTENT_TYPE),
                };
                opaque.splice(&body.bytes, model)
            }
        }
    }

    /// A conversation that passes, with what its tier says of the prompt and no more output than can be paid.
    fn edited(&self, bytes: Bytes) -> Bytes {
        let Ask::Generate = self.body.ask else { return bytes };
        let bytes = match self.prompt {
            Some(adjustment) => adjust::body(self.body.dialect, &bytes, adjustment),
            None => bytes,
        };
        match self.output_cap {
            Some(tokens) => cap::body(self.body.dialect, &bytes, tokens, self.target.facts.reasoning),
            None => bytes,
        }
    }

    /// A body that passes, without what other providers thought.
    fn own_words(&self, bytes: Bytes) -> (Bytes, Vec<Dropped>) {
        match &self.body.ask {
            Ask::Generate | Ask::CountTokens => {
                let own = server::without_foreign(self.body.dialect, &bytes);
                let is_less = own.len() < bytes.len();
                (
                    own,
                    is_less.then(|| Dropped("reasoning".to_owned())).into_iter().collect(),
                )
            }
            Ask::Embed | Ask::Opaque(_) => (bytes, Vec::new()),
        }
    }

    /// The conversation with what was fetched in its place.
    fn conversation(&self) -> Result<Cow<'_, ChatRequest>, Unwritten> {
        let request = self.body.neutral().map_err(Unwritten::from_reading)?;
        let Some(fetched) = self.body.fetched() else {
            return Ok(Cow::Borrowed(request));
        };
        if dialect::needs_fetch(self.dialect(), request).is_empty() {
            return Ok(Cow::Borrowed(request));
        }
        // Another target may take the URL itself.
        let fetched = fetched.map_err(|why| Unwritten::Unsupported(why.to_string(), Some("messages".to_owned())))?;
        let mut request = request.clone();
        for media in fetched {
            request.inline(&media.url, &media.media_type, &media.base64);
        }
        Ok(Cow::Owned(request))
    }

    fn operation_uri(&self, operation: Operation) -> Option<Uri> {
        let provider = &self.target.provider;
        let path = provider
            .hosting
            .path(provider.dialect, operation, self.target.facts.id.model(), false)?;
        provider.uri(&path)
    }

    fn opaque_uri(&self, opaque: &OpaqueRequest) -> Result<Uri, Unwritten> {
        match self.dialect() {
            DialectName::OpenaiChat | DialectName::OpenaiResponses => {}
            other => {
                let message = format!("{} has no `{}`", other.as_str(), opaque.path);
                return Err(Unwritten::Unsupported(message, None));
            }
        }
        let provider = &self.target.provider;
        let model = match self.body.head.model.as_str() {
            "" => "",
            _ => self.target.facts.id.model(),
        };
        let Some(path) = provider.hosting.opaque_path(&opaque.path, model) else {
            let message = format!("`{}` is not served there", opaque.path);
            return Err(Unwritten::Unsupported(message, None));
        };
        let uri = provider.uri(&path);
        uri.ok_or_else(|| Unwritten::Bad(format!("`{}` makes no URL", opaque.path), None))
    }

    fn encode(&self) -> Result<Encoded, Unwritten> {
        let upstream = UpstreamModel {
            model: self.target.facts.id.model(),
            max_output_default: self.target.max_output_default,
            reasoning: self.target.facts.reasoning,
        };
        let encoded = match &self.body.ask {
            Ask::Generate => {
                let (mut request, unreasoned) = self.without_vain_reasoning(self.asked()?);
                if let Some(adjustment) = self.prompt {
                    adjust::request(request.to_mut(), adjustment);
                }
                if let Some(tokens) = self.output_cap {
                    cap::request(request.to_mut(), tokens);
                }
                if let Some(continuation) = &self.continuation {
                    request = Cow::Owned(continuation.request(&request));
                }
                if let Some(malformed) = self.repair {
                    degrade::repair(request.to_mut(), malformed);
                }
                if self.continuation.is_some() || !self.launch.degraded.is_empty() {
                    // The usage of a stream that cannot pass through is asked for whether the client did or not: it is
                    // accounted.
                    request.to_mut().include_usage = true;
                }
                // Agents ask every model for as much as the largest gives.
                let over = |asks: &u64| self.target.facts.max_output.filter(|has| asks > has);
                let lowered = request.max_output_tokens.as_ref().and_then(over);
                if lowered.is_some() {
                    request.to_mut().max_output_tokens = lowered;
                }
                dialect::encode_request(self.dialect(), &request, upstream).map(|mut encoded| {
                    let lowered = lowered.map(|_| Dropped("max_tokens".to_owned()));
                    encoded.dropped.extend(lowered.into_iter().chain(unreasoned));
                    encoded
                })
            }
            Ask::CountTokens => dialect::encode_count_request(self.dialect(), &*self.asked()?, upstream),
            Ask::Embed => {
                let request = self.body.embedding().map_err(Unwritten::from_reading)?;
                embeddings::encode_request(self.dialect(), request, upstream)
            }
            Ask::Opaque(opaque) => {
                let what = format!("`{}`", opaque.path);
                return Err(Unwritten::Unsupported(what, None));
            }
        };
        encoded.map_err(Unwritten::from_encoding)
    }

    /// The conversation, with what the target lacks asked for in words.
    fn asked(&self) -> Result<Cow<'_, ChatRequest>, Unwritten> {
        let request = self.conversation()?;
        Ok(match self.launch.degraded {
            Features::NONE => request,
            missing => Cow::Owned(degrade::in_words(&request, missing)),
        })
    }

    /// What the answer is held to, when its target does not promise it. `dropped` is what was left out of the request.
    pub fn contract(&self, dropped: &[Dropped]) -> Option<Contract> {
        let Ask::Generate = self.body.ask else { return None };
        if self.passes_through() {
            return None;
        }
        let request = self.body.neutral().ok()?;
        match self.launch.degraded {
            // A stream that is shown as it comes cannot be taken back.
            Features::NONE if self.body.head.stream => None,
            Features::NONE => Contract::unenforced(request, dropped),
            missing => Some(Contract::in_words(request, missing)),
        }
    }

    /// The conversation without a wish for reasoning that the target would refuse: an answer without reasoning is still the
    /// answer. Only what lets the model decide, or names its target, comes this far.
    fn without_vain_reasoning<'r>(&self, mut request: Cow<'r, ChatRequest>) -> (Cow<'r, ChatRequest>, Option<Dropped>) {
        if request.reasoning.is_none() || self.target.facts.features.contains(Features::REASONING) {
            return (request, None);
        }
        let asks_for_it = request.features().contains(Features::REASONING);
        request.to_mut().reasoning = None;
        (request, asks_for_it.then(|| Dropped("reasoning_effort".to_owned())))
    }

    /// What reads a whole answer.
    pub fn answer_reader(&self) -> AnswerReader {
        let (ingress, upstream) = (self.body.dialect, self.dialect());
        match (&self.body.ask, self.passes_through()) {
            (Ask::Generate, true) => AnswerReader::Pass(ingress),
            (Ask::Generate, false) => AnswerReader::Translate {
                upstream,
                ingress,
                identity: EncoderOptions {
                    // A stream's body is freed at the commit; only whole answers repeat the request from here.
                    request: if self.body.head.stream {
                        Bytes::new()
                    } else {
                        self.identity.request.clone()
                    },
                    ..self.identity.clone()
                },
                contract: None,
            },
            (Ask::CountTokens, pass) => AnswerReader::Count {
                upstream,
                ingress,
                pass,
            },
            (Ask::Embed, true) => AnswerReader::PassEmbedding,
            (Ask::Embed, false) => AnswerReader::Embedding {
                upstream,
                encoding: self.body.embedding().map(|r| r.encoding).unwrap_or_default(),
                model: self.target.facts.id.model().to_owned(),
            },
            (Ask::Opaque(opaque), _) => AnswerReader::Opaque {
                names_model: !self.body.head.model.is_empty(),
                endpoint: opaque.endpoint,
            },
        }
    }

    /// What reads the answer's stream.
    pub fn reader(&self) -> Reader {
        let (upstream, ingress, head) = (self.dialect(), self.body.dialect, &self.body.head);
        if !head.stream {
            return Reader::Whole;
        }
        if self.passes_through() {
            return Reader::pass(ingress, !head.include_usage, self.resumable);
        }
        match &self.continuation {
            Some(continuation) => Reader::continuing(upstream, ingress, continuation, self.resumable),
            None => Reader::translating(upstream, ingress, self.identity.clone(), self.resumable),
        }
    }
}

/// Why a request could not be written for a target.
enum Unwritten {
    Unsupported(String, Option<String>),
    Bad(String, Option<String>),
}

impl Unwritten {
    /// What the neutral model has no word for another target may take as it is; what is wrong is wrong everywhere.
    fn from_reading(bad: &BadRequest) -> Unwritten {
        let (message, param) = (bad.message.clone(), bad.param.clone());
        match bad.code {
            Some(UNTRANSLATABLE) => Unwritten::Unsupported(message, param),
            _ => Unwritten::Bad(message, param),
        }
    }

    fn from_encoding(unsupported: Unsupported) -> Unwritten {
        Unwritten::Unsupported(unsupported.to_string(), unsupported.param)
    }

    fn event(self, attempt: AttemptNo) -> AttemptEvent {
        let (class, message, param) = match self {
            Unwritten::Unsupported(message, param) => (OutcomeClass::Unsupported, message, param),
            Unwritten::Bad(message, param) => (OutcomeClass::InvalidRequest, message, param),
        };
        let failure = Failure {
            param,
            ..Failure::new(class, message)
        };
        AttemptEvent::Failed {
            attempt,
            failure,
            reused_connection_died: false,
        }
    }
}
