//! The eye on a stream of chat completions that passes through, see [`PassScanner`](crate::framing::pass::PassScanner).

use bytes::Bytes;
use types::outcome::{Failure, OutcomeClass};

use crate::framing::pass::{Judge, PassFacts, Verdict};
use crate::openai_chat::classify::classify_frame;
use crate::openai_chat::facts::{Facts, read_facts};

const DONE: &[u8] = b"data: [DONE]\n\n";

/// Decides on chunks.
#[derive(Debug)]
pub struct PassJudge {
    strip_usage: bool,
    facts: PassFacts,
    content: bool,
    /// The choices that were there, one bit each.
    seen: u128,
    /// Those of them with a finish reason.
    finished: u128,
}

impl PassJudge {
    /// For one stream. `strip_usage` swallows the chunk that holds nothing but usage: the gateway asked for it, the client
    /// did not.
    pub fn new(strip_usage: bool) -> PassJudge {
        PassJudge {
            strip_usage,
            facts: PassFacts::default(),
            content: false,
            seen: 0,
            finished: 0,
        }
    }

    fn note(&mut self, told: &Facts<'_>) -> Verdict {
        let facts = &mut self.facts;
        if facts.id.is_none() {
            facts.id = told
                .id
                .filter(|id| !id.is_empty())
                .map(|id| id.unescaped().into_owned());
        }
        if facts.model.is_none() {
            let model = told.model.filter(|model| !model.is_empty());
            facts.model = model.map(|model| model.unescaped().into_owned());
        }
        if facts.created.is_none() {
            facts.created = told.created.filter(|created| *created > 0);
        }
        facts.usage = told.usage.or(facts.usage);
        facts.finish = told.finish.or(facts.finish);
        self.seen |= told.seen;
        self.finished |= told.finished;
        let usage_only = told.usage.is_some() && told.choices.unwrap_or(0) == 0;
        if usage_only && self.strip_usage {
            return Verdict::Drop;
        }
        let content = told.content || told.finished != 0;
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
}

impl Judge for PassJudge {
    fn frame(&mut self, event: &[u8], data: &str) -> Verdict {
        if data.as_bytes().trim_ascii() == b"[DONE]" {
            return self.done();
        }
        match read_facts(data) {
            Ok(facts) if facts.error || event == b"error" => Verdict::Error(classify_frame(data)),
            Ok(facts) => self.note(&facts),
            Err(_) => Verdict::Malformed,
        }
    }

    fn stray(&mut self, text: &str) -> Option<Failure> {
        let error = read_facts(text).is_ok_and(|facts| facts.error);
        error.then(|| classify_frame(text))
    }

    /// Without `[DONE]` the end of the body is an end only when every choice had its finish reason.
    fn ended(&self) -> Option<Bytes> {
        (self.seen != 0 && self.finished == self.seen).then(|| Bytes::from_static(DONE))
    }

    fn facts(&self) -> &PassFacts {
        &self.facts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use types::answer::FinishReason;
    use types::usage::Usage;

    use super::*;
    use crate::framing::pass::{Pass, PassScanner, Passed};

    const ROLE: &str = "data: {\"id\":\"c1\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n";
    const HI: &str =
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    const STOP: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";
    const END: &str = "data: [DONE]\n\n";
    const PING: &str = ": ping\n\n";

    /// The stream given in chunks; pieces as words, neighbours of a kind joined.
    fn pass(chunks: &[&[u8]], strip: bool) -> (PassScanner<PassJudge>, Vec<(&'static str, String)>) {
        let mut scanner = PassScanner::new(PassJudge::new(strip));
        let mut pieces: Vec<(&'static str, String)> = Vec::new();
        let mut drain = |scanner: &mut PassScanner<PassJudge>| {
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
        let mut scanner = PassScanner::new(PassJudge::new(false));
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
                scanner.facts().usage,
                scanner.facts().model.as_deref(),
                scanner.facts().id.as_deref(),
                scanner.facts().created,
                scanner.facts().finish,
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
                    (scanner.facts().usage, scanner.malformed(), pieces.last().unwrap().0),
                    (whole.facts().usage, 1, "done")
                );
            }
        }
    }

    #[test]
    fn a_frame_without_end_is_a_bad_response() {
        let mut scanner = PassScanner::new(PassJudge::new(false));
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
