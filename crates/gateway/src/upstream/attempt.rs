//! One attempt at one target: sends the request, reads the answer, and says what it saw in policy's words.
//!
//! What goes downstream comes out in the client's dialect, whichever the target speaks. It decides nothing: no clock
//! runs here, and dropping it cancels the provider's work by closing the stream or the connection.

use std::collections::VecDeque;
use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policy::call::event::AttemptEvent;
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::ids::AttemptNo;
use types::outcome::{Failure, Headroom, OutcomeClass, Scope};
use types::time::UnixMillis;
use types::usage::Usage;
use wire::degrade::{Contract, Malformed};
use wire::dialect;
use wire::request::Dropped;
use wire::response::RawAnswer;

use crate::upstream::answer::{Answer, AnswerReader, Rejected};
use crate::upstream::client::{CaptureConnection, Sent, answer_began, connection_was_reused};
use crate::upstream::order::{Order, Outgoing};
use crate::upstream::reader::{Ending, Reader};
use crate::upstream::sign_in::{Began, SignIn};

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
    /// The gateway answered by an estimate of its own.
    pub estimated: bool,
    /// Its request went out on a connection that stood.
    pub sent: bool,
    /// Bytes of content for the client so far; of a whole answer all of them.
    pub answer_bytes: u64,
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
    sign_in: Option<Box<SignIn>>,
    ready: VecDeque<Progress>,
    reader: Reader,
    answer_reader: AnswerReader,
    rejected: Rejected,
    content_bytes: u64,
    received: UnixMillis,
}

enum State {
    /// Its credential is being fetched.
    SigningIn,
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

impl Attempt {
    /// Writes the request for the target and sends it off. The event is the attempt's end when it cannot be written.
    pub fn launch(order: &Order<'_>) -> Result<Box<Attempt>, AttemptEvent> {
        let mut attempt = Box::new(Attempt {
            no: order.launch.attempt,
            details: Details::default(),
            dialect: order.target.provider.dialect,
            stream: order.body.head.stream,
            state: State::Over { body: None },
            sign_in: None,
            ready: VecDeque::new(),
            received: order.wall,
            reader: order.reader(),
            answer_reader: order.answer_reader(),
            rejected: Rejected::default(),
            content_bytes: 0,
        });
        match order.write()? {
            Outgoing::Request(written) => {
                if let Some(contract) = order.contract(&written.dropped) {
                    attempt.hold_to(contract);
                }
                attempt.details.dropped = written.dropped;
                match SignIn::begin(order, written.request) {
                    Began::Sent(sent) => attempt.sending(sent),
                    Began::SigningIn(sign_in) => {
                        attempt.sign_in = Some(sign_in);
                        attempt.state = State::SigningIn;
                    }
                }
            }
            Outgoing::Estimate(body) => {
                attempt.details.estimated = true;
                attempt.ready.push_back(Progress::Answer(Answer {
                    body,
                    ..Answer::default()
                }));
            }
        }
        Ok(attempt)
    }

    /// What happens next. Cancel-safe: everything it waits for is kept in `self`. After the attempt's end it waits
    /// for ever.
    pub async fn next(&mut self) -> Progress {
        loop {
            if let Some(progress) = self.ready.pop_front() {
                return progress;
            }
            match &mut self.state {
                State::SigningIn => {
                    let signed = match &mut self.sign_in {
                        Some(sign_in) => sign_in.signed().await,
                        None => std::future::pending().await,
                    };
                    match signed {
                        Ok(sent) => self.sending(sent),
                        Err(failure) => self.fail(failure),
                    }
                }
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
                                self.details.sent = true;
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

    /// Takes what was said by an answer that was not as asked, and why it was not.
    pub fn take_malformed(&mut self) -> Option<Malformed> {
        let whole = self.rejected.malformed.take();
        whole.or_else(|| self.reader.take_malformed())
    }

    fn hold_to(&mut self, contract: Contract) {
        if self.stream {
            self.reader.hold_to(contract);
        } else {
            self.answer_reader.hold_to(contract);
        }
    }

    /// What is known of it so far.
    pub fn details(&self) -> Details {
        let mut details = self.details.clone();
        details.usage = details.usage.or(self.reader.usage()).or(self.rejected.usage);
        details.answer_bytes = details.answer_bytes.max(self.content_bytes);
        details.malformed = self.reader.malformed();
        details.filtered |= self.reader.filtered();
        details
    }

    /// Whether a filter or a refusal for safety ended it.
    pub fn filtered(&self) -> bool {
        self.details.filtered || self.reader.filtered()
    }

    fn sending(&mut self, sent: Sent) {
        let connected_told = false;
        self.state = State::Sending { sent, connected_told };
    }

    fn begin(&mut self, response: Response<Incoming>) {
        if let State::Sending { sent, .. } = &self.state {
            answer_began(&sent.connection);
        }
        let (parts, body) = response.into_parts();
        self.details.status = Some(parts.status.as_u16());
        self.details.headroom = dialect::headroom(&parts.headers, self.received);
        if parts.status.is_success() {
            // The request is not needed again.
            self.sign_in = None;
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
        let body = Bytes::from(bytes);
        let raw = RawAnswer {
            status: status.as_u16(),
            headers: &headers,
            body: &body,
            received: self.received,
        };
        if !status.is_success() {
            let failure = self.answer_reader.classify(self.dialect, raw);
            if self.sign_in.as_mut().is_some_and(|sign_in| sign_in.again(&failure)) {
                self.state = State::SigningIn;
                return;
            }
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
        let answer = self.answer_reader.read(raw, body.clone(), &mut self.rejected);
        match answer {
            Ok(answer) => {
                self.details.filtered = answer.filtered;
                self.details.usage = answer.usage;
                self.details.answer_bytes = answer.body.len() as u64;
                self.ready.push_back(Progress::Answer(answer));
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn read(&mut self, data: Bytes) {
        let mut said = Vec::new();
        self.reader.push(data, &mut said);
        self.pump(said);
    }

    fn read_end(&mut self) {
        let mut said = Vec::new();
        self.reader.finish(&mut said);
        self.pump(said);
        if !matches!(self.state, State::Over { .. }) {
            // The decoders always end after `finish`; this keeps a mistake of theirs from hanging a call.
            self.fail(Failure::new(
                OutcomeClass::StreamBroken,
                "the stream ended without its terminal event",
            ));
        }
    }

    /// Turns what the reader has into progress.
    fn pump(&mut self, mut said: Vec<StreamEvent>) {
        let before = self.ready.len();
        let mut ending = None;
        while ending.is_none()
            && let Some(piece) = self.reader.poll(&mut said)
        {
            if let Some((bytes, content)) = piece.bytes {
                self.content_bytes += content;
                let content = (content > 0).then_some(self.content_bytes);
                let chunk = Chunk {
                    bytes,
                    content,
                    said: std::mem::take(&mut said),
                };
                self.ready.push_back(Progress::Chunk(chunk));
            }
            ending = piece.ending;
        }
        if !said.is_empty() {
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
            None if self.ready.len() == before => {
                self.ready
                    .push_back(Progress::Event(AttemptEvent::Alive { attempt: self.no }));
            }
            None => {}
        }
    }

    fn end_stream(&mut self) {
        match std::mem::replace(&mut self.state, State::Over { body: None }) {
            State::Streaming { body } => self.over(Some(body)),
            State::SigningIn | State::Sending { .. } | State::Collecting { .. } | State::Over { .. } => self.over(None),
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
