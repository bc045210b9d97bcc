//! Event: one piece of a stream before it is framed, and the ways to frame it.

use bytes::Bytes;

use crate::dialect::bedrock_converse::frame;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// The `event:` line, where the dialect has one.
    pub(crate) name: Option<&'static str>,
    /// The JSON (or `[DONE]`).
    pub(crate) data: String,
}

/// What an event is to someone who wants to break the stream at a certain place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Role, start and stop of blocks, pings: no content.
    Structure,
    /// Text, reasoning, a refusal or a piece of a tool call.
    Content,
    /// The finish reason and what belongs to it.
    Finish,
    /// The sentinel at the very end.
    Terminal,
    /// Bytes that go out as they are, such as comments.
    Raw,
}

impl Event {
    pub(crate) fn new(kind: EventKind, data: impl Into<String>) -> Self {
        Self {
            kind,
            name: None,
            data: data.into(),
        }
    }

    pub(crate) fn named(kind: EventKind, name: &'static str, data: impl Into<String>) -> Self {
        Self {
            kind,
            name: Some(name),
            data: data.into(),
        }
    }

    /// The same event with its JSON broken off two thirds in.
    pub(crate) fn broken(mut self) -> Self {
        let mut end = self.data.len() * 2 / 3;
        while !self.data.is_char_boundary(end) {
            end -= 1;
        }
        self.data.truncate(end);
        self
    }
}

/// How events become bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Sse,
    /// Server-sent events as a careless server writes them: CRLF, no space after the colon.
    OddSse,
    /// Server-sent events with CRLF, which Google's servers write.
    CrlfSse,
    /// Elements of one JSON array (Gemini without `alt=sse`).
    Array,
    /// A JSON object a line (Ollama).
    Ndjson,
    /// Binary frames with checksums (Bedrock).
    EventStream,
}

impl Framing {
    /// `first` says whether this is the first event of the stream.
    pub(crate) fn frame(self, event: &Event, first: bool) -> Bytes {
        let text = match (self, event.kind) {
            (Framing::Array, EventKind::Terminal) => {
                if first {
                    "[]".to_owned()
                } else {
                    "\r\n]".to_owned()
                }
            }
            (Framing::Array, EventKind::Raw) => return Bytes::new(),
            (Framing::Array, _) => format!("{}{}", if first { "[" } else { "\r\n,\r\n" }, event.data),
            (Framing::EventStream, _) => return frame::frame(event),
            (_, EventKind::Raw) => event.data.clone(),
            (Framing::Ndjson, _) => format!("{}\n", event.data),
            (Framing::Sse, _) => match event.name {
                Some(name) => format!("event: {name}\ndata: {}\n\n", event.data),
                None => format!("data: {}\n\n", event.data),
            },
            (Framing::CrlfSse, _) => format!("data: {}\r\n\r\n", event.data),
            (Framing::OddSse, _) => match event.name {
                Some(name) => format!("event:{name}\r\ndata:{}\r\n\r\n", event.data),
                None => format!("data:{}\r\n\r\n", event.data),
            },
        };
        Bytes::from(text)
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Framing::Sse | Framing::OddSse | Framing::CrlfSse => "text/event-stream; charset=utf-8",
            Framing::Array => "application/json; charset=UTF-8",
            Framing::Ndjson => "application/x-ndjson",
            Framing::EventStream => "application/vnd.amazon.eventstream",
        }
    }
}
