//! One attempt at one target: sends the request, reads the answer, and says what it saw in policy's words.
//!
//! What goes downstream comes out in the client's dialect, whichever the target speaks. It decides nothing: no clock
//! runs here, and dropping it cancels the provider's work by closing the stream or the connection.

use std::collections::VecDeque;
use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policy::call::action::Launch;
use policy::call::event::AttemptEvent;
use types::answer::FinishReason;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::ids::AttemptNo;
use types::outcome::{Failure, Headroom, OutcomeClass, Scope};
use types::time::UnixMillis;
use types::usage::Usage;
use wire::dialect;
use wire::openai_chat::request::UNTRANSLATABLE;
use wire::openai_chat::{
    EncoderOptions, PassScanner, Passed, ReasoningField, StreamEncoder, encode_answer, inspect_answer,
};
use wire::request::{BadRequest, Dropped, UpstreamModel};
use wire::response::{Decode, RawAnswer};

use crate::engine::body::RequestBody;
use crate::engine::resume::{Continuation, Joiner};
use crate::fleet::route::Target;
use crate::upstream::client::{CaptureConnection, Sent, answer_began, connection_was_reused, request};

/// An error's body is read to this length; the rest is not needed to classify it.
const ERROR_BODY_MAX: usize = 256 * 1024;
/// A unary answer longer than this is `bad_response`.
const ANSWER_BODY_MAX: usize = 64 * 1024 * 1024;
/// How long the end of a finished stream is waited for, so that its connection can be used again.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// What an attempt has to say next.
pub enum Progress {
    /// News for policy.
    Event(AttemptEvent),
    /// Bytes for the client, in its dialect.
    Chunk(Chunk),
    /// A whole answer, in the client's dialect.
    Answer(Answer),
    /// The stream's terminal event was seen. `bytes` is the client's terminal event.
    End {
        /// For the client.
        bytes: Bytes,
    },
}

/// A piece of a stream.
pub struct Chunk {
    /// For the client.
    pub bytes: Bytes,
    /// Content bytes so far, when this piece has content.
    pub content: Option<u64>,
    /// What it says, when the route may have to continue it elsewhere.
    pub said: Vec<StreamEvent>,
}

/// A whole answer.
pub struct Answer {
    /// JSON in the client's dialect.
    pub body: Bytes,
    /// A filter or a refusal for safety ended it.
    pub filtered: bool,
}

/// What is known of an attempt for its log line.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// The provider's status.
    pub status: Option<u16>,
    /// The provider's error code.
    pub code: Option<String>,
    /// Tokens, as told.
    pub usage: Option<Usage>,
    /// What translation left out.
    pub dropped: Vec<Dropped>,
    /// What the rate-limit headers say is left.
    pub headroom: Headroom,
    /// Broken stream events dropped.
    pub malformed: u32,
    /// The content filter ended it.
    pub filtered: bool,
}

/// A running attempt.
pub struct Attempt {
    /// Its number.
    pub no: AttemptNo,
    /// For its log line.
    pub details: Details,
    dialect: DialectName,
    stream: bool,
    state: State,
    ready: VecDeque<Progress>,
    reader: Reader,
    content_bytes: u64,
    received: UnixMillis,
}

enum State {
    Sending {
        sent: Sent,
        connected_told: bool,
    },
    Collecting {
        status: StatusCode,
        headers: HeaderMap,
        body: Incoming,
        bytes: Vec<u8>,
    },
    Streaming {
        body: Incoming,
    },
    Over {
        body: Option<Incoming>,
    },
}

/// How a stream's bytes become the client's.
enum Reader {
    /// The same dialect: frames go on as they came. `shadow` reads along when the route may have to resume.
    Pass {
        scanner: PassScanner,
        shadow: Option<Box<dyn Decode + Send>>,
    },
    /// Another dialect, or the continuation of what another target began.
    Translate {
        decoder: Box<dyn Decode + Send>,
        encoder: Box<StreamEncoder>,
        joiner: Option<Joiner>,
        tell: bool,
    },
}

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

impl Attempt {
    /// Writes the request for the target and sends it off. The event is the attempt's end when it cannot be written.
    pub fn launch(order: Order<'_>) -> Result<Box<Attempt>, AttemptEvent> {
        let no = order.launch.attempt;
        let target = order.target;
        let dialect = target.provider.dialect;
        let stream = order.body.head.stream;
        let mut headers = target.provider.headers(order.launch.credential.0 as usize);
        let mut dropped = Vec::new();
        let passes = dialect == DialectName::OpenaiChat && order.continuation.is_none();
        let bytes = if passes {
            order.body.head.splice(&order.body.bytes, target.facts.id.model(), true)
        } else {
            let encoded = encode(&order, dialect).map_err(|e| e.event(no))?;
            for (name, value) in encoded.headers {
                if let Ok(value) = http::HeaderValue::try_from(value) {
                    headers.insert(http::HeaderName::from_static(name), value);
                }
            }
            dropped = encoded.dropped;
            Bytes::from(encoded.body)
        };
        let uri = if stream { &target.stream_uri } else { &target.uri };
        let request = request(Method::POST, uri.clone(), headers, bytes);
        let sent = target.provider.client.send(request, order.launch.fresh_connection);
        let reader = if passes {
            let shadow = (order.resumable && stream).then(|| dialect::stream_decoder(dialect));
            Reader::Pass {
                scanner: PassScanner::new(!order.body.head.include_usage),
                shadow,
            }
        } else {
            let joiner = order.continuation.as_ref().map(Continuation::joiner);
            let identity = order.continuation.as_ref().map(|c| c.identity.clone());
            let continues = identity.is_some();
            let options = identity.unwrap_or(EncoderOptions {
                id: order.answer_id,
                model: target.facts.id.model().to_owned(),
                created: order.wall.0 / 1000,
                include_usage: order.body.head.include_usage,
                reasoning_field: ReasoningField::ReasoningContent,
            });
            let encoder = if continues {
                StreamEncoder::continuing(options)
            } else {
                StreamEncoder::new(options)
            };
            Reader::Translate {
                decoder: dialect::stream_decoder(dialect),
                encoder: Box::new(encoder),
                joiner,
                tell: order.resumable,
            }
        };
        Ok(Box::new(Attempt {
            no,
            details: Details {
                dropped,
                ..Details::default()
            },
            dialect,
            stream,
            state: State::Sending {
                sent,
                connected_told: false,
            },
            ready: VecDeque::new(),
            reader,
            content_bytes: 0,
            received: order.wall,
        }))
    }

    /// What happens next. Cancel-safe: everything it waits for is kept in `self`. After the attempt's end it waits
    /// for ever.
    pub async fn next(&mut self) -> Progress {
        loop {
            if let Some(progress) = self.ready.pop_front() {
                return progress;
            }
            match &mut self.state {
                State::Sending { sent, connected_told } => {
                    tokio::select! {
                        biased;
                        response = &mut sent.response => match response {
                            Ok(response) => self.begin(response),
                            Err(error) => {
                                let event = send_failed(self.no, &error, &sent.connection);
                                self.over(None);
                                return Progress::Event(event);
                            }
                        },
                        () = connected(&mut sent.connection), if !*connected_told => {
                            *connected_told = true;
                            if sent.connection.connection_metadata().is_some() {
                                return Progress::Event(AttemptEvent::Connected { attempt: self.no });
                            }
                        }
                    }
                }
                State::Collecting {
                    body, bytes, status, ..
                } => match body.frame().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            bytes.extend_from_slice(&data);
                        }
                        let cap = if status.is_success() {
                            ANSWER_BODY_MAX
                        } else {
                            ERROR_BODY_MAX
                        };
                        if bytes.len() > cap {
                            self.collected(true);
                        }
                    }
                    Some(Err(error)) => {
                        let failure = body_failed(&error);
                        self.fail(failure);
                    }
                    None => self.collected(false),
                },
                State::Streaming { body } => match body.frame().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            self.read(data);
                        }
                    }
                    Some(Err(error)) => {
                        let mut failure = body_failed(&error);
                        failure.class = OutcomeClass::StreamBroken;
                        self.fail(failure);
                    }
                    None => self.read_end(),
                },
                State::Over { .. } => std::future::pending().await,
            }
        }
    }

    /// Reads what stands behind the terminal event, so that the connection can be used again.
    pub async fn drain(mut self) {
        let State::Over { body: Some(body) } = &mut self.state else {
            return;
        };
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        // Past the limit the connection is dropped instead: a provider that does not end its answers.
        let _ = tokio::time::timeout(DRAIN_MAX, rest).await;
    }

    /// What is known of it so far.
    pub fn details(&self) -> Details {
        let mut details = self.details.clone();
        match &self.reader {
            Reader::Pass { scanner, .. } if self.stream => {
                details.usage = details.usage.or(scanner.usage());
                details.malformed = scanner.malformed();
                details.filtered |= scanner.finish_reason() == Some(FinishReason::ContentFilter);
            }
            Reader::Pass { .. } => {}
            Reader::Translate { decoder, .. } => details.malformed = decoder.malformed(),
        }
        details
    }

    fn begin(&mut self, response: Response<Incoming>) {
        if let State::Sending { sent, .. } = &self.state {
            answer_began(&sent.connection);
        }
        let (parts, body) = response.into_parts();
        self.details.status = Some(parts.status.as_u16());
        self.details.headroom = dialect::headroom(&parts.headers, self.received);
        if parts.status.is_success() {
            self.ready
                .push_back(Progress::Event(AttemptEvent::Headers { attempt: self.no }));
        }
        if parts.status.is_success() && self.stream && !is_document(&parts.headers) {
            self.state = State::Streaming { body };
        } else {
            self.state = State::Collecting {
                status: parts.status,
                headers: parts.headers,
                body,
                bytes: Vec::new(),
            };
        }
    }

    fn collected(&mut self, over_limit: bool) {
        let State::Collecting {
            status, headers, bytes, ..
        } = std::mem::replace(&mut self.state, State::Over { body: None })
        else {
            return;
        };
        let raw = RawAnswer {
            status: status.as_u16(),
            headers: &headers,
            body: &bytes,
            received: self.received,
        };
        if !status.is_success() {
            let failure = dialect::classify(self.dialect, raw);
            return self.fail(failure);
        }
        if over_limit {
            let message = format!("the answer is longer than {ANSWER_BODY_MAX} bytes");
            return self.fail(Failure::new(OutcomeClass::BadResponse, message));
        }
        if self.stream {
            let failure = match dialect::decode_answer(self.dialect, raw) {
                Ok(_) => Failure::new(
                    OutcomeClass::BadResponse,
                    "the provider answered whole where a stream was asked for",
                ),
                Err(failure) => failure,
            };
            return self.fail(failure);
        }
        let answer = match self.dialect {
            DialectName::OpenaiChat => inspect_answer(raw).map(|facts| {
                self.details.usage = facts.usage;
                Answer {
                    body: Bytes::from(bytes),
                    filtered: facts.filtered,
                }
            }),
            DialectName::AnthropicMessages | DialectName::Gemini => {
                dialect::decode_answer(self.dialect, raw).map(|answer| {
                    self.details.usage = answer.usage;
                    let filtered = answer
                        .choices
                        .iter()
                        .any(|c| c.finish == Some(FinishReason::ContentFilter));
                    Answer {
                        body: Bytes::from(encode_answer(&answer, self.received.0 / 1000)),
                        filtered,
                    }
                })
            }
        };
        match answer {
            Ok(answer) => {
                self.details.filtered = answer.filtered;
                self.ready.push_back(Progress::Answer(answer));
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn read(&mut self, data: Bytes) {
        let said = match &mut self.reader {
            Reader::Pass { scanner, shadow } => {
                let mut said = Vec::new();
                if let Some(shadow) = shadow {
                    shadow.push(&data);
                    said.extend(std::iter::from_fn(|| shadow.poll()));
                }
                scanner.push(data);
                said
            }
            Reader::Translate { decoder, .. } => {
                decoder.push(&data);
                Vec::new()
            }
        };
        self.pump(said);
    }

    fn read_end(&mut self) {
        match &mut self.reader {
            Reader::Pass { scanner, .. } => scanner.finish(),
            Reader::Translate { decoder, .. } => decoder.finish(),
        }
        self.pump(Vec::new());
        if !matches!(self.state, State::Over { .. }) {
            // The decoders always end after `finish`; this keeps a mistake of theirs from hanging a call.
            self.fail(Failure::new(
                OutcomeClass::StreamBroken,
                "the stream ended without its terminal event",
            ));
        }
    }

    /// Turns what the reader has into progress.
    fn pump(&mut self, said: Vec<StreamEvent>) {
        let mut said = said;
        let mut seen = 0;
        let ending = loop {
            let (piece, ending) = match &mut self.reader {
                Reader::Pass { scanner, .. } => match scanner.poll() {
                    None => break None,
                    Some(Passed::Preamble(bytes)) => (Some((bytes, 0)), None),
                    Some(Passed::Content(bytes)) => {
                        let content = bytes.len() as u64;
                        (Some((bytes, content)), None)
                    }
                    Some(Passed::Done(bytes)) => (None, Some(Ending::End(bytes))),
                    Some(Passed::Error(failure)) => (None, Some(Ending::Fail(failure))),
                },
                Reader::Translate {
                    decoder,
                    encoder,
                    joiner,
                    tell,
                } => {
                    let tell = tell.then_some(&mut said);
                    match translate(&mut **decoder, encoder, joiner, tell, &mut self.details) {
                        (None, None) => break None,
                        step => step,
                    }
                }
            };
            if let Some((bytes, content)) = piece {
                seen += 1;
                self.content_bytes += content;
                let content = (content > 0).then_some(self.content_bytes);
                let chunk = Chunk {
                    bytes,
                    content,
                    said: std::mem::take(&mut said),
                };
                self.ready.push_back(Progress::Chunk(chunk));
            }
            if ending.is_some() {
                break ending;
            }
        };
        if !said.is_empty() {
            seen += 1;
            self.ready.push_back(Progress::Chunk(Chunk {
                bytes: Bytes::new(),
                content: None,
                said,
            }));
        }
        match ending {
            Some(Ending::End(bytes)) => {
                self.ready.push_back(Progress::End { bytes });
                self.end_stream();
            }
            Some(Ending::Fail(failure)) => self.fail(failure),
            None if seen == 0 => {
                self.ready
                    .push_back(Progress::Event(AttemptEvent::Alive { attempt: self.no }));
            }
            None => {}
        }
    }

    fn end_stream(&mut self) {
        match std::mem::replace(&mut self.state, State::Over { body: None }) {
            State::Streaming { body } => self.over(Some(body)),
            State::Sending { .. } | State::Collecting { .. } | State::Over { .. } => self.over(None),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.details.code.clone_from(&failure.code);
        self.over(None);
        let event = AttemptEvent::Failed {
            attempt: self.no,
            failure,
            reused_connection_died: false,
        };
        self.ready.push_back(Progress::Event(event));
    }

    fn over(&mut self, body: Option<Incoming>) {
        self.state = State::Over { body };
    }
}

/// How a stream ends, as its reader saw it.
enum Ending {
    /// With the client's terminal event.
    End(Bytes),
    Fail(Failure),
}

/// Encodes everything the decoder has into one piece, so that what came together goes on together. The number is how
/// many of its bytes are content.
fn translate(
    decoder: &mut dyn Decode,
    encoder: &mut StreamEncoder,
    joiner: &mut Option<Joiner>,
    mut tell: Option<&mut Vec<StreamEvent>>,
    details: &mut Details,
) -> (Option<(Bytes, u64)>, Option<Ending>) {
    let mut out = Vec::new();
    let mut content = 0u64;
    let mut ending = None;
    while let Some(event) = decoder.poll() {
        let mut emit = |event: StreamEvent| {
            let before = out.len();
            encoder.encode(&event, &mut out);
            if event.is_content() {
                content += (out.len() - before) as u64;
            }
            if let Some(tell) = &mut tell {
                tell.push(event);
            }
        };
        match &event {
            StreamEvent::Error(failure) => {
                ending = Some(Ending::Fail(failure.clone()));
                break;
            }
            StreamEvent::End => {
                if let Some(joiner) = joiner {
                    joiner.flush(&mut emit);
                }
                let mut end = Vec::new();
                encoder.encode(&event, &mut end);
                ending = Some(Ending::End(end.into()));
                break;
            }
            StreamEvent::Usage(usage) => details.usage = Some(*usage),
            StreamEvent::Finish {
                reason: FinishReason::ContentFilter,
                ..
            } => details.filtered = true,
            _ => {}
        }
        match joiner {
            Some(joiner) => joiner.take(event, &mut emit),
            None => emit(event),
        }
    }
    ((!out.is_empty()).then(|| (out.into(), content)), ending)
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

fn encode(order: &Order<'_>, dialect: DialectName) -> Result<wire::request::Encoded, Unwritten> {
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

async fn connected(connection: &mut CaptureConnection) {
    connection.wait_for_connection_metadata().await;
}

fn is_document(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    content_type.starts_with("application/json") || content_type.starts_with("text/html")
}

fn send_failed(
    attempt: AttemptNo,
    error: &hyper_util::client::legacy::Error,
    connection: &CaptureConnection,
) -> AttemptEvent {
    let connecting = error.is_connect();
    let mut cause = String::new();
    let mut source = error.source();
    while let Some(error) = source {
        cause = error.to_string();
        source = error.source();
    }
    let (what, scope) = if connecting {
        ("could not connect", Scope::Provider)
    } else {
        ("connection lost", Scope::Target)
    };
    let failure = Failure::new(OutcomeClass::Network, format!("{what}: {cause}")).with_scope(scope);
    let reused_connection_died = !connecting && connection_was_reused(connection);
    AttemptEvent::Failed {
        attempt,
        failure,
        reused_connection_died,
    }
}

fn body_failed(error: &hyper::Error) -> Failure {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Failure::new(OutcomeClass::Network, format!("the answer was cut: {cause}"))
}
