//! What an attempt is to send: the client's request, written for its target.
//!
//! The same dialect passes through with its model's name replaced; another one, and every continuation of a broken stream, is
//! written from the neutral model.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use policy::call::action::Launch;
use policy::call::event::AttemptEvent;
use types::dialect::DialectName;
use types::ids::AttemptNo;
use types::outcome::{Failure, OutcomeClass};
use types::time::UnixMillis;
use wire::dialect;
use wire::openai_chat::request::UNTRANSLATABLE;
use wire::openai_chat::{EncoderOptions, ReasoningField};
use wire::request::{BadRequest, Dropped, Encoded, UpstreamModel};

use crate::engine::body::RequestBody;
use crate::engine::resume::Continuation;
use crate::fleet::route::Target;
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
    /// Keep an account of what is said: the route resumes broken streams.
    pub resumable: bool,
    /// An id for answers of dialects that have none.
    pub answer_id: String,
    /// The time.
    pub wall: UnixMillis,
}

/// A request ready to go, and what it left out.
pub struct Written {
    /// With the target's credential.
    pub request: Request<Full<Bytes>>,
    /// For `x-jumpseat-dropped`.
    pub dropped: Vec<Dropped>,
}

impl Order<'_> {
    fn dialect(&self) -> DialectName {
        self.target.provider.dialect
    }

    fn passes_through(&self) -> bool {
        self.dialect() == DialectName::OpenaiChat && self.continuation.is_none()
    }

    /// Writes the request. The event is the attempt's end when it cannot be written.
    pub fn write(&self) -> Result<Written, AttemptEvent> {
        let target = self.target;
        let mut headers: HeaderMap = target.provider.headers(self.launch.credential.0 as usize);
        let (bytes, dropped) = if self.passes_through() {
            (
                self.body.head.splice(&self.body.bytes, target.facts.id.model(), true),
                Vec::new(),
            )
        } else {
            let encoded = encode(self, self.dialect()).map_err(|e| e.event(self.launch.attempt))?;
            for (name, value) in encoded.headers {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
            (Bytes::from(encoded.body), encoded.dropped)
        };
        let uri = if self.body.head.stream {
            &target.stream_uri
        } else {
            &target.uri
        };
        Ok(Written {
            request: request(Method::POST, uri.clone(), headers, bytes),
            dropped,
        })
    }

    /// What reads the answer's stream.
    pub fn reader(self) -> Reader {
        let (dialect, head) = (self.dialect(), &self.body.head);
        if !head.stream {
            return Reader::Whole;
        }
        if self.passes_through() {
            return Reader::pass(!head.include_usage, self.resumable);
        }
        match &self.continuation {
            Some(continuation) => Reader::continuing(dialect, continuation, self.resumable),
            None => {
                let identity = EncoderOptions {
                    id: self.answer_id,
                    model: self.target.facts.id.model().to_owned(),
                    created: self.wall.0 / 1000,
                    include_usage: head.include_usage,
                    reasoning_field: ReasoningField::ReasoningContent,
                };
                Reader::translating(dialect, identity, self.resumable)
            }
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

fn encode(order: &Order<'_>, dialect: DialectName) -> Result<Encoded, Unwritten> {
    let upstream = UpstreamModel {
        model: order.target.facts.id.model(),
        max_output_default: order.target.max_output_default,
        reasoning: order.target.facts.reasoning,
    };
    let request = order.body.neutral().map_err(Unwritten::from_reading)?;
    let encoded = match &order.continuation {
        Some(continuation) => {
            let mut request = continuation.request(request);
            // The usage of a continued stream is asked for whether the client did or not: it is accounted.
            request.include_usage = true;
            dialect::encode_request(dialect, &request, upstream)
        }
        None => dialect::encode_request(dialect, request, upstream),
    };
    encoded.map_err(|e| Unwritten::Unsupported(e.to_string(), e.param))
}
