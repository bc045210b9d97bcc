//! Answers that ingress gives by itself: small JSON documents and refusals, in the client's shape.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use wire::openai_chat::errors;
use wire::request::BadRequest;

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

/// A refusal of what the client sent. Trying again does not help, and the SDKs are told so.
pub fn refuse(status: StatusCode, complaint: &BadRequest) -> Response<ReplyBody> {
    let mut response = json(status, errors::bad_request(complaint));
    response.headers_mut().insert(
        HeaderName::from_static("x-should-retry"),
        HeaderValue::from_static("false"),
    );
    response
}

/// A refusal of a call, with its code for the log.
#[derive(Debug)]
pub struct Refusal {
    /// For the client.
    pub response: Response<ReplyBody>,
    /// One word.
    pub code: &'static str,
}

impl Refusal {
    /// A refusal of what the client sent.
    pub fn new(status: StatusCode, complaint: &BadRequest) -> Box<Refusal> {
        Box::new(Refusal {
            response: refuse(status, complaint),
            code: complaint.code.unwrap_or("invalid_request"),
        })
    }

    /// A body that could not be read.
    pub fn of_body(error: BodyError) -> Box<Refusal> {
        let (status, code) = match error {
            BodyError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "incomplete_body"),
            BodyError::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        };
        let complaint = BadRequest {
            message: error.to_string(),
            param: None,
            code: Some(code),
        };
        let mut refusal = Refusal::new(status, &complaint);
        let headers = refusal.response.headers_mut();
        if error == BodyError::NoMemory {
            // Shedding passes: the SDKs may come back.
            headers.remove("x-should-retry");
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        } else {
            // What is left of the body is not read.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        refusal
    }
}
