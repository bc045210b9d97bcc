//! The pass-through of a stream: frames are looked at and forwarded as they came.
//!
//! Every frame is shown to a [`Judge`] of its dialect (validity, usage, end, error); runs of good frames that lie together in
//! one chunk are given as one slice of it, without a copy. A frame that straddles chunks is put together (the only
//! allocation), a malformed one is dropped and counted. The type to read first is [`PassScanner`]; what it gives is
//! [`Passed`].

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use types::answer::FinishReason;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use crate::framing::sse::{Boundary, FRAME_BYTES_MAX, Field, FrameTooLarge, fields};

/// A piece of a stream, in order. After `Done` or `Error` nothing comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Passed {
    /// A run of whole frames without content: role deltas, comments, unknown events. Before the first content they are to be
    /// held back; behind it (pings) they are to be forwarded, and show that the provider lives but says nothing.
    Preamble(Bytes),
    /// A run of whole frames, at least one of them with content or a finish reason.
    Content(Bytes),
    /// The stream ended well: its last frame, perhaps with frames without content before it.
    Done(Bytes),
    /// The provider reported an error in the stream, or the stream broke.
    Error(Failure),
}

/// What becomes of one frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Forward {
        /// The client sees something of the answer in it.
        content: bool,
    },
    /// It is swallowed, and that is as it should be.
    Drop,
    /// It is no frame of the dialect: swallowed and counted.
    Malformed,
    /// It goes on, and is the last.
    Done,
    /// The provider reports an error, or the stream cannot be an answer.
    Error(Failure),
}

/// What a stream has told of itself so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PassFacts {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model that answers, as the provider calls it.
    pub model: Option<String>,
    /// When the provider says the answer began, in Unix seconds.
    pub created: Option<u64>,
    /// Token counts, the latest told.
    pub usage: Option<Usage>,
    /// The latest finish reason.
    pub finish: Option<FinishReason>,
}

/// A dialect's eye on its frames.
pub trait Judge {
    /// Decides on one frame that has data, and notes what it tells. `event` is the frame's name, empty when it has none.
    fn frame(&mut self, event: &[u8], data: &str) -> Verdict;
    /// Reads a text that is no stream at all (a JSON error where a stream was expected); `None` when it is no error either.
    fn stray(&mut self, text: &str) -> Option<Failure>;
    /// The body ended cleanly without a terminal event. When the answer was whole all the same, what the client still lacks.
    fn ended(&self) -> Option<Bytes>;
    /// Whether frames of the dialect told nothing of any answer, where only the answer itself could have ended the stream.
    fn is_empty(&self) -> bool {
        false
    }
    /// What was told so far.
    fn facts(&self) -> &PassFacts;
}

/// A stream that passes, whatever its dialect: [`Pass::push`] chunks, [`Pass::poll`] what is to be forwarded,
/// [`Pass::finish`] at the end of the body. Everything a chunk completes is given before the next one is pushed.
pub trait Pass {
    /// Takes in the next chunk of the body.
    fn push(&mut self, chunk: Bytes);
    /// The body ended cleanly.
    fn finish(&mut self);
    /// What is to be forwarded next.
    fn poll(&mut self) -> Option<Passed>;
    /// What was told so far.
    fn facts(&self) -> &PassFacts;
    /// How many frames were no frames of the dialect; each was dropped.
    fn malformed(&self) -> u32;
}

/// Looks at a stream as it passes.
#[derive(Debug)]
pub struct PassScanner<J> {
    judge: J,
    boundary: Boundary,
    /// The frame that has no end yet.
    partial: Vec<u8>,
    ready: VecDeque<Passed>,
    over: bool,
    malformed: u32,
    /// Frames that had data and were of the dialect.
    valid: u32,
}

/// Frames that lie together and are forwarded together.
struct Run {
    at: Range<usize>,
    content: bool,
}

impl<J: Judge> PassScanner<J> {
    /// A scanner at the start of a stream.
    pub fn new(judge: J) -> PassScanner<J> {
        PassScanner {
            judge,
            boundary: Boundary::default(),
            partial: Vec::new(),
            ready: VecDeque::new(),
            over: false,
            malformed: 0,
            valid: 0,
        }
    }

    /// Decides on one raw frame.
    fn judge(&mut self, raw: &[u8]) -> Verdict {
        let mut data: Option<Cow<'_, [u8]>> = None;
        let mut stray: Vec<&[u8]> = Vec::new();
        let mut event: &[u8] = b"";
        for field in fields(raw) {
            match field {
                Field::Data(line) => match &mut data {
                    None => data = Some(Cow::Borrowed(line)),
                    Some(lines) => {
                        lines.to_mut().push(b'\n');
                        lines.to_mut().extend_from_slice(line);
                    }
                },
                Field::Event(name) => event = name,
                Field::Stray(line) => stray.push(line),
                Field::Comment | Field::Other => {}
            }
        }
        let Some(data) = data else {
            if stray.is_empty() {
                return Verdict::Forward { content: false };
            }
            // Not a stream at all: a JSON error (or a page) where one was expected.
            let text = stray.join(&b'\n');
            let failure = std::str::from_utf8(&text).ok().and_then(|text| self.judge.stray(text));
            return failure.map_or(Verdict::Malformed, Verdict::Error);
        };
        if data.trim_ascii().is_empty() {
            return Verdict::Forward { content: false };
        }
        let Ok(text) = std::str::from_utf8(&data) else {
            return Verdict::Malformed;
        };
        let verdict = self.judge.frame(event, text);
        if verdict != Verdict::Malformed {
            self.valid = self.valid.saturating_add(1);
        }
        verdict
    }

    /// Adds a frame to the run it belongs to, or ends the run.
    fn settle(&mut self, verdict: Verdict, chunk: &Bytes, frame: Range<usize>, run: &mut Option<Run>) {
        match verdict {
            Verdict::Forward { content } => match run {
                Some(run) => {
                    run.at.end = frame.end;
                    run.content |= content;
                }
                None => *run = Some(Run { at: frame, content }),
            },
            Verdict::Drop => self.give(chunk, run.take()),
            Verdict::Malformed => {
                self.malformed = self.malformed.saturating_add(1);
                self.give(chunk, run.take());
            }
            Verdict::Done => {
                let start = match run.take() {
                    Some(run) if !run.content => run.at.start,
                    run => {
                        self.give(chunk, run);
                        frame.start
                    }
                };
                self.end(Passed::Done(chunk.slice(start..frame.end)));
            }
            Verdict::Error(failure) => {
                self.give(chunk, run.take());
                self.end(Passed::Error(failure));
            }
        }
    }

    fn give(&mut self, chunk: &Bytes, run: Option<Run>) {
        if let Some(Run { at, content }) = run {
            let bytes = chunk.slice(at);
            self.ready.push_back(if content {
                Passed::Content(bytes)
            } else {
                Passed::Preamble(bytes)
            });
        }
    }

    fn end(&mut self, last: Passed) {
        self.ready.push_back(last);
        self.over = true;
        self.partial = Vec::new();
    }
}

impl<J: Judge> Pass for PassScanner<J> {
    fn push(&mut self, chunk: Bytes) {
        let mut at = 0;
        let mut run: Option<Run> = None;
        while !self.over {
            let Some(length) = self.boundary.find(&chunk[at..]) else {
                break;
            };
            let frame = at..at + length;
            at = frame.end;
            if self.partial.is_empty() {
                let verdict = self.judge(&chunk[frame.clone()]);
                self.settle(verdict, &chunk, frame, &mut run);
            } else {
                // The first frame of this chunk began in an earlier one: it is a run of its own.
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(&chunk[frame]);
                let verdict = self.judge(&whole);
                let whole = Bytes::from(whole);
                let mut run = None;
                self.settle(verdict, &whole, 0..whole.len(), &mut run);
                self.give(&whole, run);
            }
        }
        self.give(&chunk, run);
        if self.over {
            return;
        }
        self.partial.extend_from_slice(&chunk[at..]);
        if self.partial.len() > FRAME_BYTES_MAX {
            self.end(Passed::Error(Failure::new(
                OutcomeClass::BadResponse,
                FrameTooLarge.to_string(),
            )));
        }
    }

    fn finish(&mut self) {
        if self.over {
            return;
        }
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            // Not closed by a blank line. A whole last frame is taken for one, and gets the line it lacks.
            let verdict = self.judge(&rest);
            let mut rest = rest;
            while !rest.ends_with(b"\n\n") {
                rest.push(b'\n');
            }
            let rest = Bytes::from(rest);
            let mut run = None;
            self.settle(verdict, &rest, 0..rest.len(), &mut run);
            self.give(&rest, run);
        }
        if self.over {
            return;
        }
        if let Some(rest) = self.judge.ended() {
            return self.end(Passed::Done(rest));
        }
        let failure = if self.valid == 0 && self.malformed > 0 {
            Failure::new(
                OutcomeClass::BadResponse,
                "what the provider sent is no stream of its API",
            )
        } else if self.valid > 0 && self.judge.is_empty() {
            let message = "the stream held neither content nor a finish reason";
            Failure::new(OutcomeClass::BadResponse, message)
        } else {
            let message = "the provider's stream ended without its terminal event";
            Failure::new(OutcomeClass::StreamBroken, message)
        };
        self.end(Passed::Error(failure));
    }

    fn poll(&mut self) -> Option<Passed> {
        self.ready.pop_front()
    }

    fn facts(&self) -> &PassFacts {
        self.judge.facts()
    }

    fn malformed(&self) -> u32 {
        self.malformed
    }
}
