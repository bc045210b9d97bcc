//! Answers that ingress gives by itself: small JSON documents and refusals, in the client's shape.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use types::dialect::IngressDialect;
use wire::request::BadRequest;
use wire::server;

use crate::engine::output::RunningBody;
use crate::ingress::bodies::BodyError;

/// The body of every answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// Whole; `None` once it was given.
    Whole(Option<Bytes>),
    /// A running call.
    Running(RunningBody),
}

impl ReplyBody {
    /// A whole body.
    pub fn whole(body: impl Into<Bytes>) -> ReplyBody {
        ReplyBody::Whole(Some(body.into()).filter(|b| !b.is_empty()))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            ReplyBody::Whole(body) => Poll::Ready(body.take().map(|bytes| Ok(Frame::data(bytes)))),
            ReplyBody::Running(run) => Pin::new(run).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Whole(body) => body.is_none(),
            ReplyBody::Running(run) => run.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            ReplyBody::Running(run) => run.size_hint(),
        }
    }
}

/// A whole JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Why a request gets no call, before a dialect gives it its shape.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong and what was meant.
    pub complaint: BadRequest,
    then: Then,
    /// More headers.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What the client is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Not to send the same again; SDKs are told so.
    GiveUp,
    /// To come back in a second: shedding passes.
    ComeBack,
    /// Not to send the same again, and not on this connection: what is left of the body is not read.
    HangUp,
    /// What its headers say.
    AsTold,
}

impl Refusal {
    /// A refusal of what the client sent.
    pub fn new(status: StatusCode, complaint: BadRequest) -> Box<Refusal> {
        Box::new(Refusal {
            status,
            complaint,
            then: Then::GiveUp,
            headers: Vec::new(),
        })
    }

    /// A refusal of a sound call for now. `headers` say whether and when to come again.
    pub fn turned_away(
        status: StatusCode,
        complaint: BadRequest,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Box<Refusal> {
        Box::new(Refusal {
            status,
            complaint,
            then: Then::AsTold,
            headers,
        })
    }

    /// The same with more headers.
    pub fn with_headers(mut self: Box<Refusal>, headers: HeaderMap) -> Box<Refusal> {
        self.headers
            .extend(headers.into_iter().filter_map(|(name, value)| Some((name?, value))));
        self
    }

    /// A body that could not be read.
    pub fn of_body(error: BodyError) -> Box<Refusal> {
        let (status, code, then) = match error {
            BodyError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", Then::HangUp),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout", Then::HangUp),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "incomplete_body", Then::HangUp),
            BodyError::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Then::ComeBack),
        };
        let complaint = BadRequest {
            message: error.to_string(),
            param: None,
            code: Some(code),
        };
        Box::new(Refusal {
            status,
            complaint,
            then,
            headers: Vec::new(),
        })
    }

    /// One word for the log.
    pub fn code(&self) -> &'static str {
        self.complaint.code.unwrap_or("invalid_request")
    }

    /// As the client's SDK reads it. `id` is the call's, when there is one.
    pub fn into_response(self, dialect: IngressDialect, id: Option<&str>) -> Response<ReplyBody> {
        let body = server::refusal(dialect, self.status.as_u16(), id.unwrap_or_default(), &self.complaint);
        let mut response = json(self.status, body);
        let headers = response.headers_mut();
        let never = || HeaderValue::from_static("false");
        match self.then {
            Then::GiveUp => {
                headers.insert(HeaderName::from_static("x-should-retry"), never());
            }
            Then::ComeBack => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Then::AsTold => {}
            Then::HangUp => {
                headers.insert(HeaderName::from_static("x-should-retry"), never());
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        headers.extend(self.headers);
        if let Some(id) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
            for name in ["x-jumpseat-call-id", "x-request-id", "request-id"] {
                headers.insert(HeaderName::from_static(name), id.clone());
            }
        }
        response
    }
}
