//! Amazon's event streams (`application/vnd.amazon.eventstream`): bytes in, messages out.
//!
//! A message is a length, headers and a payload under two checksums; the maintained codec reads it, [`Reader`] finds where it
//! ends. A body that is no event stream is noticed by its first length. After a message that is broken nothing can be read
//! any more: the codec has no marker to begin again at.

use bytes::{Bytes, BytesMut};

use crate::framing::sse::FRAME_BYTES_MAX;

/// Two lengths, their checksum, and the checksum of the message.
const MESSAGE_BYTES_MIN: usize = 16;
/// How much of a body that is no stream is kept to be told.
const STRAY_BYTES_MAX: usize = 64 << 10;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// `:message-type`: `event`, `exception` or `error`.
    pub kind: String,
    /// `:event-type`, `:exception-type` or `:error-code`, whichever belongs to the kind.
    pub name: String,
    /// `:error-message`, which only an `error` has.
    pub error_message: String,
    /// JSON, but for an `error`.
    pub payload: Bytes,
}

/// The bytes are no event stream, or no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no event stream")]
pub struct NoEventStream;

/// Reads messages: [`Reader::push`] bytes, [`Reader::poll`] messages.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: BytesMut,
    broken: bool,
}

impl Reader {
    /// A reader at the start of a body.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Takes in the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = match self.broken {
            true => STRAY_BYTES_MAX.saturating_sub(self.bytes.len()).min(bytes.len()),
            false => bytes.len(),
        };
        self.bytes.extend_from_slice(&bytes[..room]);
    }

    /// The next whole message. After an error nothing more comes.
    pub fn poll(&mut self) -> Option<Result<Message, NoEventStream>> {
        if self.broken {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(*self.bytes.first_chunk()?)).unwrap_or(usize::MAX);
        if !(MESSAGE_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length) {
            self.broken = true;
            return Some(Err(NoEventStream));
        }
        if self.bytes.len() < length {
            return None;
        }
        let message = read(self.bytes.split_to(length).freeze());
        self.broken = message.is_none();
        Some(message.ok_or(NoEventStream))
    }

    /// What was not read: a body that is no stream, or the beginning of a message.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(STRAY_BYTES_MAX)]
    }
}

fn read(bytes: Bytes) -> Option<Message> {
    let raw = aws_smithy_eventstream::frame::read_message_from(bytes).ok()?;
    let header = |name: &str| {
        let found = raw.headers().iter().find(|header| header.name().as_str() == name)?;
        found.value().as_string().ok().map(|value| value.as_str().to_owned())
    };
    let kind = header(":message-type").unwrap_or_default();
    let name = match kind.as_str() {
        "exception" => header(":exception-type"),
        "error" => header(":error-code"),
        _ => header(":event-type"),
    };
    Some(Message {
        name: name.unwrap_or_default(),
        error_message: header(":error-message").unwrap_or_default(),
        kind,
        payload: raw.payload().clone(),
    })
}
