//! A call's request as it came, and its neutral form when an attempt needs one.

use std::sync::OnceLock;

use bytes::Bytes;
use types::chat::ChatRequest;
use wire::openai_chat::{self, Head};
use wire::request::BadRequest;

/// The request's bytes with what was read of them in one pass.
///
/// The neutral form is made at most once a call, and only when a target speaks another dialect or a broken stream is
/// resumed.
pub struct RequestBody {
    /// As it came.
    pub bytes: Bytes,
    /// Model, stream, features.
    pub head: Head,
    // Boxed: most calls pass through and never make it.
    neutral: OnceLock<Box<Result<ChatRequest, BadRequest>>>,
}

impl RequestBody {
    /// Reads the routing fields of a body.
    pub fn read(bytes: Bytes) -> Result<RequestBody, BadRequest> {
        let head = openai_chat::read_head(&bytes)?;
        Ok(RequestBody {
            bytes,
            head,
            neutral: OnceLock::new(),
        })
    }

    /// The request in the neutral model.
    pub fn neutral(&self) -> Result<&ChatRequest, &BadRequest> {
        let read = || Box::new(openai_chat::decode_request(&self.bytes));
        self.neutral.get_or_init(read).as_ref().as_ref()
    }
}
