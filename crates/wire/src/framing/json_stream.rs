//! Bare JSON objects in a stream: bytes in, whole objects out.
//!
//! For providers that leave the framing they promised: Gemini writes errors into a server-sent stream as JSON over several
//! lines without `data:`, alone or as the one element of an array. [`JsonStream`] finds where each object ends by its
//! brackets; whether it is valid, its parser tells. Arrays around the objects and commas between them are skipped.

use std::collections::VecDeque;

use crate::framing::sse::{FRAME_BYTES_MAX, FrameTooLarge};

/// Cuts whole objects out of bytes that come in chunks.
#[derive(Debug, Default)]
pub struct JsonStream {
    state: State,
    /// The object that has no end yet.
    partial: Vec<u8>,
    ready: VecDeque<Vec<u8>>,
    garbage: u32,
    too_large: bool,
    /// An object is one line: a line that ends in the middle of one is broken, and the next line begins anew.
    lines: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before, between and after objects.
    #[default]
    Between,
    /// In what cannot begin an object: skipped to the end of its line.
    Garbage,
    /// In an object; so many brackets are open.
    Object { depth: usize, string: Text },
}

/// Where in an object's strings the reader stands: brackets in them do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl JsonStream {
    /// A reader at the start of a stream.
    pub fn new() -> JsonStream {
        JsonStream::default()
    }

    /// A reader of objects that are one line each.
    pub fn of_lines() -> JsonStream {
        JsonStream {
            lines: true,
            ..JsonStream::default()
        }
    }

    /// Takes in the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.too_large {
                return;
            }
            self.step(byte);
        }
    }

    /// The next whole object, from `{` to `}`. After an error nothing more comes.
    pub fn poll(&mut self) -> Option<Result<Vec<u8>, FrameTooLarge>> {
        if let Some(object) = self.ready.pop_front() {
            return Some(Ok(object));
        }
        self.too_large.then_some(Err(FrameTooLarge))
    }

    /// The bytes ended: an object that is still open is given up and counted as garbage.
    pub fn finish(&mut self) {
        if matches!(self.state, State::Object { .. }) {
            self.garbage += 1;
        }
        self.state = State::Between;
        self.partial = Vec::new();
    }

    /// How many runs of bytes were no object.
    pub fn garbage(&self) -> u32 {
        self.garbage
    }

    fn step(&mut self, byte: u8) {
        self.state = match self.state {
            State::Between => match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b'[' | b']' | b',' => State::Between,
                b'{' => {
                    self.partial.push(byte);
                    State::Object {
                        depth: 1,
                        string: Text::Outside,
                    }
                }
                _ => {
                    self.garbage += 1;
                    State::Garbage
                }
            },
            State::Garbage if byte == b'\n' => State::Between,
            State::Garbage => State::Garbage,
            State::Object { .. } if self.lines && byte == b'\n' => {
                self.garbage += 1;
                self.partial = Vec::new();
                State::Between
            }
            State::Object { depth, string } => {
                self.partial.push(byte);
                if self.partial.len() > FRAME_BYTES_MAX {
                    self.too_large = true;
                    self.partial = Vec::new();
                }
                match (string, byte) {
                    (Text::Escaped, _) => State::Object {
                        depth,
                        string: Text::Inside,
                    },
                    (Text::Inside, b'\\') => State::Object {
                        depth,
                        string: Text::Escaped,
                    },
                    (Text::Inside, b'"') => State::Object {
                        depth,
                        string: Text::Outside,
                    },
                    (Text::Outside, b'"') => State::Object {
                        depth,
                        string: Text::Inside,
                    },
                    (Text::Outside, b'{' | b'[') => State::Object {
                        depth: depth + 1,
                        string,
                    },
                    (Text::Outside, b'}' | b']') if depth == 1 => {
                        self.ready.push_back(std::mem::take(&mut self.partial));
                        State::Between
                    }
                    (Text::Outside, b'}' | b']') => State::Object {
                        depth: depth - 1,
                        string,
                    },
                    (Text::Inside | Text::Outside, _) => State::Object { depth, string },
                }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &[&str], garbage: u32) {
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            let mut stream = JsonStream::new();
            stream.push(a);
            stream.push(b);
            stream.finish();
            let objects: Vec<_> = std::iter::from_fn(|| stream.poll())
                .map(|object| String::from_utf8(object.unwrap()).unwrap())
                .collect();
            assert_eq!(objects, wanted, "{text:?} cut at {cut}");
            assert_eq!(stream.garbage(), garbage, "{text:?} cut at {cut}");
        }
    }

    #[test]
    fn a_broken_line_costs_that_line_alone() {
        let mut stream = JsonStream::of_lines();
        stream.push(b"{\"a\":1}\n{\"b\": \"brok\n {\"c\":3}\n");
        let objects: Vec<_> = std::iter::from_fn(|| stream.poll()).map(Result::unwrap).collect();
        assert_eq!(objects, [b"{\"a\":1}", b"{\"c\":3}"]);
        assert_eq!(stream.garbage(), 1);
    }

    #[test]
    fn objects_end_where_their_brackets_do() {
        check("", &[], 0);
        check("{}", &["{}"], 0);
        check("{\n  \"error\": {\n  }\n}\n", &["{\n  \"error\": {\n  }\n}"], 0);
        check("[{\"a\":[1,{}]}\n,\n{\"b\":2}]", &["{\"a\":[1,{}]}", "{\"b\":2}"], 0);
        check(r#"{"a":"}\"]{"}{}"#, &[r#"{"a":"}\"]{"}"#, "{}"], 0);
        check(r#"{"a":"\\"}"#, &[r#"{"a":"\\"}"#], 0);
        check("<html>{}\n{\"a\":\"é\"}", &["{\"a\":\"é\"}"], 1);
        check("oops\noops\n", &[], 2);
        check("{}{\"cut\":", &["{}"], 1);
    }

    #[test]
    fn an_object_without_end_is_given_up_at_the_cap() {
        let mut stream = JsonStream::new();
        stream.push(b"{}{\"a\":\"");
        for _ in 0..9 {
            stream.push(&vec![b'x'; 1 << 20]);
        }
        stream.push(b"\"}{}");
        assert_eq!(stream.poll(), Some(Ok(b"{}".to_vec())));
        assert_eq!(stream.poll(), Some(Err(FrameTooLarge)));
    }
}
