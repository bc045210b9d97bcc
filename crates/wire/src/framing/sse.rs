//! Server-sent events: bytes in, frames out.
//!
//! [`Reader`] gives parsed frames (`event`, `data`) to decoders; [`Boundary`] only finds where frames end, for those who
//! forward the bytes as they came; [`fields`] reads one raw frame. Chunk boundaries do not matter; LF, CRLF and CR end
//! a line; a byte order mark, comments, `data:` without a space and several `data:` lines are understood.
//!
//! Deliberately more generous than the specification in one point: a last frame that the end of the body cuts short of its
//! blank line is still given, since several providers end with `data: [DONE]\n`. Whether it is whole, its JSON tells.

use std::collections::VecDeque;

use memchr::memchr2;

/// The largest frame that is taken in; a larger one ends the stream ([`FrameTooLarge`]).
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// What stood behind `event:`; empty when nothing did.
    pub event: String,
    /// The `data:` lines, joined by line feeds. Not checked to be UTF-8.
    pub data: Vec<u8>,
    /// Lines that are no field of the format, joined by line feeds (Gemini writes errors as bare JSON).
    pub stray: Vec<u8>,
}

impl Frame {
    /// Nothing but comments (or fields nobody reads): a sign of life.
    pub fn is_ping(&self) -> bool {
        self.data.is_empty() && self.stray.is_empty()
    }
}

/// A frame outgrew [`FRAME_BYTES_MAX`]; the rest of the stream is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of more than {FRAME_BYTES_MAX} bytes")]
pub struct FrameTooLarge;

/// Reads frames: [`Reader::push`] bytes, [`Reader::poll`] frames, [`Reader::finish`] at the end of the body.
#[derive(Debug, Default)]
pub struct Reader {
    boundary: Boundary,
    /// The frame that has no end yet.
    partial: Vec<u8>,
    ready: VecDeque<Frame>,
    too_large: bool,
}

impl Reader {
    /// A reader at the start of a body.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Takes in the next bytes of the body.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.too_large {
            return;
        }
        while let Some(end) = self.boundary.find(bytes) {
            let (head, rest) = bytes.split_at(end);
            if self.partial.is_empty() {
                self.keep(head);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(head);
                self.keep(&whole);
                whole.clear();
                self.partial = whole;
            }
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > FRAME_BYTES_MAX {
            self.too_large = true;
            self.partial = Vec::new();
        }
    }

    /// The body ended; what has no blank line behind it is given as a last frame.
    pub fn finish(&mut self) {
        let rest = std::mem::take(&mut self.partial);
        self.keep(&rest);
    }

    /// The next frame. After an error nothing more comes.
    pub fn poll(&mut self) -> Option<Result<Frame, FrameTooLarge>> {
        if let Some(frame) = self.ready.pop_front() {
            return Some(Ok(frame));
        }
        self.too_large.then_some(Err(FrameTooLarge))
    }

    fn keep(&mut self, raw: &[u8]) {
        let mut frame = Frame::default();
        let (mut lines, mut data_lines) = (0, 0);
        for field in fields(raw) {
            lines += 1;
            match field {
                Field::Data(data) => {
                    if data_lines > 0 {
                        frame.data.push(b'\n');
                    }
                    data_lines += 1;
                    frame.data.extend_from_slice(data);
                }
                Field::Event(name) => frame.event = String::from_utf8_lossy(name).into_owned(),
                Field::Stray(line) => {
                    if !frame.stray.is_empty() {
                        frame.stray.push(b'\n');
                    }
                    frame.stray.extend_from_slice(line);
                }
                Field::Comment | Field::Other => {}
            }
        }
        if lines > 0 {
            self.ready.push_back(frame);
        }
    }
}

/// Finds the ends of frames in bytes that come in chunks. It keeps no bytes, only where in a line it stands.
#[derive(Debug, Clone)]
pub struct Boundary {
    /// Nothing has been seen of the current line.
    line_is_empty: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Default for Boundary {
    fn default() -> Boundary {
        Boundary {
            line_is_empty: true,
            after_cr: false,
        }
    }
}

impl Boundary {
    /// The offset just behind the first end of a frame in `bytes`, which follow what was given before. `None`: all of
    /// `bytes` belong to a frame that goes on. After `Some(n)` call again with `bytes[n..]`, also when that is empty.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            // The LF of a CRLF that the chunk boundary (or the end of a frame) cut off from its CR.
            at += usize::from(bytes[0] == b'\n');
        }
        while let Some(found) = memchr2(b'\n', b'\r', &bytes[at..]) {
            let line_is_empty = self.line_is_empty && found == 0;
            let newline = at + found;
            at = newline + 1;
            if bytes[newline] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.line_is_empty = true;
            if line_is_empty {
                return Some(at);
            }
        }
        if at < bytes.len() {
            self.line_is_empty = false;
        }
        None
    }
}

/// One line of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// `data:`, without the one space that may follow.
    Data(&'a [u8]),
    /// `event:`.
    Event(&'a [u8]),
    /// A line that starts with a colon.
    Comment,
    /// `id:` or `retry:`.
    Other,
    /// No field of the format.
    Stray(&'a [u8]),
}

/// The lines of one raw frame, blank lines left out.
pub fn fields(raw: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    let mut rest = raw;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (line, next) = match memchr2(b'\n', b'\r', rest) {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = next;
            if !line.is_empty() {
                return Some(field(line));
            }
        }
    })
}

fn field(line: &[u8]) -> Field<'_> {
    let value = |prefix: usize| line[prefix..].strip_prefix(b" ").unwrap_or(&line[prefix..]);
    match line {
        [b':', ..] => Field::Comment,
        [b'd', b'a', b't', b'a', b':', ..] => Field::Data(value(5)),
        b"data" => Field::Data(b""),
        [b'e', b'v', b'e', b'n', b't', b':', ..] => Field::Event(value(6)),
        b"event" | b"id" | b"retry" => Field::Other,
        _ if line.starts_with(b"id:") || line.starts_with(b"retry:") => Field::Other,
        _ => Field::Stray(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = Reader::new();
        for chunk in chunks {
            reader.push(chunk);
        }
        reader.finish();
        std::iter::from_fn(|| reader.poll())
            .map(|frame| frame.unwrap())
            .map(|f| (f.event, String::from_utf8([f.data, f.stray].concat()).unwrap()))
            .collect()
    }

    #[track_caller]
    fn check(stream: &str, wanted: &[(&str, &str)]) {
        let wanted: Vec<_> = wanted.iter().map(|(e, d)| (e.to_string(), d.to_string())).collect();
        assert_eq!(read(&[stream.as_bytes()]), wanted);
        for cut in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            assert_eq!(read(&[a, b]), wanted, "cut at {cut} of {stream:?}");
        }
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), wanted, "byte by byte");
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_cut_and_however_lines_end() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("data: a\n\ndata:b\n\n", &[("", "a"), ("", "b")]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
            ("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
            ("event: ping\ndata: {}\n\n", &[("ping", "{}")]),
            ("data: a\ndata: b\r\ndata:  c\n\n", &[("", "a\nb\n c")]),
            ("\u{feff}data: a\n\n", &[("", "a")]),
            (": hello\n\n\n\ndata: a\n\n", &[("", ""), ("", "a")]),
            ("id: 7\nretry: 5\ndata: a\n\n", &[("", "a")]),
            ("data: a\n\ndata: [DONE]\n", &[("", "a"), ("", "[DONE]")]),
            ("data: a\n\ndata: [DO", &[("", "a"), ("", "[DO")]),
            ("data: é🙂\n\n", &[("", "é🙂")]),
            ("data\n\n", &[("", "")]),
            ("{\n \"error\": 1\n}\n\n", &[("", "{\n \"error\": 1\n}")]),
            ("\n\n\r\n", &[]),
            ("", &[]),
        ];
        for (stream, wanted) in rows {
            check(stream, wanted);
        }
    }

    #[test]
    fn a_frame_without_end_is_given_up_at_the_cap() {
        let mut reader = Reader::new();
        reader.push(b"data: a\n\ndata: ");
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..9 {
            reader.push(&chunk);
        }
        reader.push(b"\n\n");
        reader.finish();
        assert_eq!(reader.poll().unwrap().unwrap().data, b"a");
        assert_eq!(reader.poll(), Some(Err(FrameTooLarge)));
    }
}
