//! Frames of `application/vnd.amazon.eventstream`: length, headers, payload, checksums. Encoded by AWS's own crate.
//!
//! An event's name is its type, unless it ends in `Exception` (an exception's frame) or is [`ERROR`] (an error without payload).

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::Value;

use crate::event::{Event, EventKind};

/// The name of an event that is told as `:message-type: error`, its data being `{"code", "message"}`.
pub(crate) const ERROR: &str = "error";

/// One frame; nothing for raw bytes, which this framing has no room for.
pub(crate) fn frame(event: &Event) -> Bytes {
    if event.kind == EventKind::Raw {
        return Bytes::new();
    }
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let name = event.name.unwrap_or("chunk");
    let message = if name == ERROR {
        let told: Value = serde_json::from_str(&event.data).unwrap_or_default();
        Message::new(Bytes::new())
            .add_header(header(
                ":error-code",
                told["code"].as_str().unwrap_or("InternalFailure"),
            ))
            .add_header(header(":error-message", told["message"].as_str().unwrap_or_default()))
            .add_header(header(":message-type", "error"))
    } else {
        let (kind, message_type) = if name.ends_with("Exception") {
            (":exception-type", "exception")
        } else {
            (":event-type", "event")
        };
        Message::new(Bytes::from(event.data.clone()))
            .add_header(header(kind, name))
            .add_header(header(":content-type", "application/json"))
            .add_header(header(":message-type", message_type))
    };
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("short headers and payloads far below the limit of a frame");
    Bytes::from(bytes)
}

/// The event that tells an exception; one that the stream's model does not know is a failure of the server.
pub(crate) fn exception(kind: &str, body: String) -> Event {
    const KNOWN: &[&str] = &[
        "internalServerException",
        "modelStreamErrorException",
        "validationException",
        "throttlingException",
        "serviceUnavailableException",
    ];
    if kind == "InternalFailure" {
        let message = serde_json::from_str::<Value>(&body).unwrap_or_default()["message"].clone();
        let data = serde_json::json!({"code": kind, "message": message});
        return Event::named(EventKind::Structure, ERROR, data.to_string());
    }
    let name = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(kind));
    Event::named(EventKind::Structure, name.unwrap_or(&"internalServerException"), body)
}
