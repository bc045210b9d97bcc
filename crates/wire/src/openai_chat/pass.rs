//! The pass-through of a stream: frames are looked at and forwarded as they came.
//!
//! Every frame is scanned for validity, usage, end and error; runs of good frames that lie together in one chunk are given
//! as one slice of it, without a copy. A frame that straddles chunks is put together (the only allocation), a malformed
//! one is dropped and counted. The type to read first is [`PassScanner`]; what it gives is [`Passed`].

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use types::answer::FinishReason;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use crate::framing::sse::{Boundary, FRAME_BYTES_MAX, Field, FrameTooLarge, fields};
use crate::openai_chat::classify::classify_frame;
use crate::openai_chat::facts::{Facts, read_facts};

const DONE: &[u8] = b"data: [DONE]\n\n";

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

/// Looks at a stream as it passes: [`PassScanner::push`] chunks, [`PassScanner::poll`] what is to be forwarded,
/// [`PassScanner::finish`] at the end of the body. Everything a chunk completes is given before the next one is pushed.
#[derive(Debug)]
pub struct PassScanner {
    strip_usage: bool,
    boundary: Boundary,
    /// The frame that has no end yet.
    partial: Vec<u8>,
    ready: VecDeque<Passed>,
    over: bool,
    malformed: u32,
    valid: u32,
    id: Option<String>,
    model: Option<String>,
    created: Option<u64>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    content: bool,
    seen: u128,
    finished: u128,
}

/// What becomes of one frame.
enum Verdict {
    Forward { content: bool },
    Drop,
    Done,
    Error(Failure),
}

/// Frames that lie together and are forwarded together.
struct Run {
    at: Range<usize>,
    content: bool,
}

impl PassScanner {
    /// A scanner at the start of a stream. `strip_usage` swallows the chunk that holds nothing but usage: the gateway
    /// asked for it, the client did not.
    pub fn new(strip_usage: bool) -> PassScanner {
        PassScanner {
            strip_usage,
            boundary: Boundary::default(),
            partial: Vec::new(),
            ready: VecDeque::new(),
            over: false,
            malformed: 0,
            valid: 0,
            id: None,
            model: None,
            created: None,
            usage: None,
            finish: None,
            content: false,
            seen: 0,
            finished: 0,
        }
    }

    /// Takes in the next chunk of the body.
    pub fn push(&mut self, chunk: Bytes) {
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

    /// The body ended cleanly. Without `[DONE]` that is an end only when every choice had its finish reason.
    pub fn finish(&mut self) {
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
        if self.seen != 0 && self.finished == self.seen {
            return self.end(Passed::Done(Bytes::from_static(DONE)));
        }
        let failure = if self.valid == 0 && self.malformed > 0 {
            Failure::new(
                OutcomeClass::BadResponse,
                "what the provider sent is no stream of its API",
            )
        } else {
            let message = "the provider's stream ended without its terminal event";
            Failure::new(OutcomeClass::StreamBroken, message)
        };
        self.end(Passed::Error(failure));
    }

    /// What is to be forwarded next.
    pub fn poll(&mut self) -> Option<Passed> {
        self.ready.pop_front()
    }

    /// Token counts, the latest told.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The model that answers, as the provider calls it.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The latest finish reason.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// How many frames were no JSON objects; each was dropped.
    pub fn malformed(&self) -> u32 {
        self.malformed
    }

    /// The provider's id of the answer.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// When the provider says the answer began, in Unix seconds.
    pub fn created(&self) -> Option<u64> {
        self.created
    }

    /// Decides on one raw frame and notes what it tells.
    fn judge(&mut self, raw: &[u8]) -> Verdict {
        let mut data: Option<Cow<'_, [u8]>> = None;
        let mut stray: Vec<&[u8]> = Vec::new();
        let mut is_error = false;
        for field in fields(raw) {
            match field {
                Field::Data(line) => match &mut data {
                    None => data = Some(Cow::Borrowed(line)),
                    Some(lines) => {
                        lines.to_mut().push(b'\n');
                        lines.to_mut().extend_from_slice(line);
                    }
                },
                Field::Event(name) => is_error = name == b"error",
                Field::Stray(line) => stray.push(line),
                Field::Comment | Field::Other => {}
            }
        }
        let Some(data) = data else {
            if stray.is_empty() {
                return Verdict::Forward { content: false };
            }
            // Not a stream at all: a JSON error (or a page) where one was expected.
            return match std::str::from_utf8(&stray.join(&b'\n')).map(|text| (text, read_facts(text))) {
                Ok((text, Ok(facts))) if facts.error => Verdict::Error(classify_frame(text)),
                Ok(_) | Err(_) => self.drop_malformed(),
            };
        };
        if data.trim_ascii() == b"[DONE]" {
            return self.done();
        }
        if data.trim_ascii().is_empty() {
            return Verdict::Forward { content: false };
        }
        let Ok(text) = std::str::from_utf8(&data) else {
            return self.drop_malformed();
        };
        match read_facts(text) {
            Ok(facts) if facts.error || is_error => Verdict::Error(classify_frame(text)),
            Ok(facts) => self.note(&facts),
            Err(_) => self.drop_malformed(),
        }
    }

    fn note(&mut self, facts: &Facts<'_>) -> Verdict {
        self.valid = self.valid.saturating_add(1);
        if self.id.is_none() {
            self.id = facts
                .id
                .filter(|id| !id.is_empty())
                .map(|id| id.unescaped().into_owned());
        }
        if self.model.is_none() {
            self.model = facts
                .model
                .filter(|model| !model.is_empty())
                .map(|model| model.unescaped().into_owned());
        }
        if self.created.is_none() {
            self.created = facts.created.filter(|created| *created > 0);
        }
        self.usage = facts.usage.or(self.usage);
        self.finish = facts.finish.or(self.finish);
        self.seen |= facts.seen;
        self.finished |= facts.finished;
        let usage_only = facts.usage.is_some() && facts.choices.unwrap_or(0) == 0;
        if usage_only && self.strip_usage {
            return Verdict::Drop;
        }
        let content = facts.content || facts.finished != 0;
        self.content |= content;
        Verdict::Forward { content }
    }

    fn done(&self) -> Verdict {
        if self.content {
            return Verdict::Done;
        }
        let message = "the provider's stream held no content and no finish reason";
        Verdict::Error(Failure::new(OutcomeClass::BadResponse, message))
    }

    fn drop_malformed(&mut self) -> Verdict {
        self.malformed = self.malformed.saturating_add(1);
        Verdict::Drop
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROLE: &str = "data: {\"id\":\"c1\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n";
    const HI: &str =
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    const STOP: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";
    const END: &str = "data: [DONE]\n\n";
    const PING: &str = ": ping\n\n";

    /// The stream given in chunks; pieces as words, neighbours of a kind joined.
    fn pass(chunks: &[&[u8]], strip: bool) -> (PassScanner, Vec<(&'static str, String)>) {
        let mut scanner = PassScanner::new(strip);
        let mut pieces: Vec<(&'static str, String)> = Vec::new();
        let mut drain = |scanner: &mut PassScanner| {
            while let Some(passed) = scanner.poll() {
                let (word, text) = match passed {
                    Passed::Preamble(b) => ("preamble", String::from_utf8_lossy(&b).into_owned()),
                    Passed::Content(b) => ("content", String::from_utf8_lossy(&b).into_owned()),
                    Passed::Done(b) => ("done", String::from_utf8_lossy(&b).into_owned()),
                    Passed::Error(f) => ("error", format!("{}: {}", f.class.as_str(), f.message)),
                };
                pieces.push((word, text));
            }
        };
        for chunk in chunks {
            scanner.push(Bytes::copy_from_slice(chunk));
            drain(&mut scanner);
        }
        scanner.finish();
        drain(&mut scanner);
        (scanner, pieces)
    }

    fn text_of(pieces: &[(&'static str, String)]) -> String {
        pieces
            .iter()
            .filter(|(word, _)| *word != "error")
            .map(|(_, text)| text.as_str())
            .collect()
    }

    #[test]
    fn a_stream_in_one_chunk_is_two_slices_of_it() {
        let stream = [ROLE, HI, PING, HI, STOP, USAGE, END].concat();
        let chunk = Bytes::from(stream.clone());
        let mut scanner = PassScanner::new(false);
        scanner.push(chunk.clone());
        let Some(Passed::Content(run)) = scanner.poll() else {
            panic!("a run of content")
        };
        assert_eq!(run.as_ptr(), chunk.as_ptr(), "a slice, no copy");
        let Some(Passed::Done(done)) = scanner.poll() else {
            panic!("the end")
        };
        assert_eq!([run, done].concat(), stream.as_bytes());
        scanner.finish();
        assert_eq!(scanner.poll(), None);
        let usage = Usage {
            input: 9,
            output: 2,
            cached_input: 4,
            ..Usage::default()
        };
        assert_eq!(
            (
                scanner.usage(),
                scanner.model(),
                scanner.id(),
                scanner.created(),
                scanner.finish_reason(),
                scanner.malformed()
            ),
            (Some(usage), Some("m"), Some("c1"), Some(7), Some(FinishReason::Stop), 0)
        );
    }

    #[test]
    fn each_kind_of_frame_has_its_fate() {
        let error = |class: &str, message: &str| ("error", format!("{class}: {message}"));
        type Row<'a> = (&'a str, Vec<&'a str>, Vec<(&'static str, String)>);
        let rows: Vec<Row<'_>> = vec![
            (
                "one by one",
                vec![ROLE, PING, HI, PING, STOP, END],
                vec![
                    ("preamble", ROLE.into()),
                    ("preamble", PING.into()),
                    ("content", HI.into()),
                    ("preamble", PING.into()),
                    ("content", STOP.into()),
                    ("done", END.into()),
                ],
            ),
            (
                "usage is swallowed",
                vec![ROLE, HI, STOP, USAGE, END],
                vec![
                    ("preamble", ROLE.into()),
                    ("content", HI.into()),
                    ("content", STOP.into()),
                    ("done", END.into()),
                ],
            ),
            (
                "malformed is dropped",
                vec![HI, "data: {\"choices\":[{\n\n", "data: [1]\n\n", STOP, END],
                vec![("content", HI.into()), ("content", STOP.into()), ("done", END.into())],
            ),
            (
                "no terminator",
                vec![ROLE, HI],
                vec![
                    ("preamble", ROLE.into()),
                    ("content", HI.into()),
                    error(
                        "stream_broken",
                        "the provider's stream ended without its terminal event",
                    ),
                ],
            ),
            (
                "a finish reason is an end too",
                vec![HI, STOP],
                vec![("content", HI.into()), ("content", STOP.into()), ("done", END.into())],
            ),
            (
                "the last frame lacks its blank line",
                vec![HI, "data: [DONE]"],
                vec![("content", HI.into()), ("done", END.into())],
            ),
            (
                "an empty finish reason is none",
                vec!["data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"\"}]}\n\n"],
                vec![
                    (
                        "preamble",
                        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"\"}]}\n\n".into(),
                    ),
                    error(
                        "stream_broken",
                        "the provider's stream ended without its terminal event",
                    ),
                ],
            ),
            (
                "cut within a frame",
                vec![HI, &HI[..30]],
                vec![
                    ("content", HI.into()),
                    error(
                        "stream_broken",
                        "the provider's stream ended without its terminal event",
                    ),
                ],
            ),
            (
                "empty",
                vec![ROLE, END],
                vec![
                    ("preamble", ROLE.into()),
                    error(
                        "bad_response",
                        "the provider's stream held no content and no finish reason",
                    ),
                ],
            ),
            (
                "nothing",
                vec![],
                vec![error(
                    "stream_broken",
                    "the provider's stream ended without its terminal event",
                )],
            ),
            (
                "a page",
                vec!["<html>\n<body>\n</body></html>"],
                vec![error("bad_response", "what the provider sent is no stream of its API")],
            ),
            (
                "error frame",
                vec![
                    ROLE,
                    "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":\"server_is_overloaded\"}}\n\n",
                    END,
                ],
                vec![("preamble", ROLE.into()), error("overloaded", "busy")],
            ),
            (
                "error event",
                vec!["event: error\ndata: {\"message\":\"odd\",\"type\":\"server_error\"}\n\n"],
                vec![error("server_error", "odd")],
            ),
            (
                "groq",
                vec![HI, "data: {\"choices\":[],\"x_groq\":{\"error\":\"gone\"}}\n\n"],
                vec![("content", HI.into()), error("server_error", "gone")],
            ),
            (
                "mistral",
                vec![
                    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
                ],
                vec![error(
                    "server_error",
                    "an error without a readable body inside the stream",
                )],
            ),
            (
                "a bare error",
                vec!["{\"error\":{\"message\":\"Rate limit\",\"code\":\"rate_limit_exceeded\"}}"],
                vec![error("rate_limited", "Rate limit")],
            ),
        ];
        for (name, chunks, wanted) in rows {
            let chunks: Vec<&[u8]> = chunks.iter().map(|c| c.as_bytes()).collect();
            assert_eq!(pass(&chunks, true).1, wanted, "{name}");
        }
    }

    #[test]
    fn a_stream_cut_anywhere_passes_the_same_bytes_and_facts() {
        // A CRLF that is cut in two leaves its LF to the next frame: one blank line more, which means nothing.
        let plain = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").replace("\n\n\n", "\n\n");
        for ending in ["\n", "\r\n", "\r"] {
            let stream = [
                ROLE,
                PING,
                HI,
                "data: oops\n\n",
                "event: x\ndata:{\"a\":\ndata: \"é🙂\"}\n\n",
                STOP,
                USAGE,
                END,
            ]
            .concat()
            .replace('\n', ending);
            let (whole, pieces) = pass(&[stream.as_bytes()], false);
            let wanted = plain(&text_of(&pieces));
            assert_eq!(wanted, plain(&stream).replace("data: oops\n\n", ""));
            assert_eq!(whole.malformed(), 1);
            for cut in 0..=stream.len() {
                let (a, b) = stream.as_bytes().split_at(cut);
                let (scanner, pieces) = pass(&[a, b], false);
                assert_eq!(plain(&text_of(&pieces)), wanted, "cut at {cut}");
                assert_eq!(
                    (scanner.usage(), scanner.malformed(), pieces.last().unwrap().0),
                    (whole.usage(), 1, "done")
                );
            }
        }
    }

    #[test]
    fn a_frame_without_end_is_a_bad_response() {
        let mut scanner = PassScanner::new(false);
        for _ in 0..9 {
            scanner.push(Bytes::from(vec![b'x'; 1 << 20]));
        }
        assert!(matches!(scanner.poll(), Some(Passed::Error(f)) if f.class == OutcomeClass::BadResponse));
        scanner.push(Bytes::from_static(HI.as_bytes()));
        assert_eq!(scanner.poll(), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_always_come_to_an_end(chunks in proptest::collection::vec("(data: ?|event:|[\\{\\}\\[\\]\":,\n\r]|choices|error|DONE|\\PC){0,12}", 0..8)) {
            let bytes: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            let (_, pieces) = pass(&bytes, true);
            prop_assert!(matches!(pieces.last().unwrap().0, "error" | "done"));
        }
    }
}
