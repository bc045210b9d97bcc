//! The eye on a stream of responses that passes through, see [`PassScanner`](crate::framing::pass::PassScanner). Only the
//! response's own terminal events end it; events of tomorrow pass as they come.

use bytes::Bytes;
use types::outcome::Failure;

use crate::framing::json::Text;
use crate::framing::pass::{Judge, PassFacts, Verdict};
use crate::openai_responses::classify::{classify_error, failed_without_reason, no_output};
use crate::openai_responses::facts::{ResponseFacts, read_event, read_response};

/// Decides on events.
#[derive(Debug, Default)]
pub struct PassJudge {
    facts: PassFacts,
    content: bool,
}

impl PassJudge {
    /// For one stream.
    pub fn new() -> PassJudge {
        PassJudge::default()
    }

    fn note(&mut self, told: &ResponseFacts<'_>) {
        let facts = &mut self.facts;
        let owned = |text: Option<Text<'_>>| {
            text.filter(|text| !text.is_empty())
                .map(|text| text.unescaped().into_owned())
        };
        if facts.id.is_none() {
            facts.id = owned(told.id);
        }
        if facts.model.is_none() {
            facts.model = owned(told.model);
        }
        facts.created = facts.created.or(told.created);
        facts.usage = told.usage.or(facts.usage);
        facts.finish = told.finish().or(facts.finish);
    }
}

impl Judge for PassJudge {
    fn frame(&mut self, event: &[u8], data: &str) -> Verdict {
        // Some servers end as chat completions do, behind the terminal event; before it, it ends nothing.
        if data.trim_ascii() == "[DONE]" {
            return Verdict::Drop;
        }
        let Ok(facts) = read_event(data) else {
            return Verdict::Malformed;
        };
        let kind = facts
            .kind
            .map_or_else(|| std::str::from_utf8(event).unwrap_or_default(), Text::raw);
        if let Some(response) = &facts.response {
            self.note(response);
        }
        match kind {
            "error" => Verdict::Error(classify_error(data)),
            "response.failed" | "response.cancelled" => {
                let error = facts.response.and_then(|response| response.error);
                Verdict::Error(error.map_or_else(failed_without_reason, classify_error))
            }
            "response.completed" | "response.incomplete" => match facts.response {
                Some(response) if response.is_empty() && !self.content => Verdict::Error(no_output()),
                Some(_) | None => Verdict::Done,
            },
            "" if facts.error => Verdict::Error(classify_error(data)),
            "" => Verdict::Malformed,
            kind => {
                let content = !facts.empty_delta && is_content(kind);
                self.content |= content;
                Verdict::Forward { content }
            }
        }
    }

    fn stray(&mut self, text: &str) -> Option<Failure> {
        let facts = read_response(text).ok()?;
        facts.error.map(|_| classify_error(text))
    }

    /// Only a terminal event ends a response.
    fn ended(&self) -> Option<Bytes> {
        None
    }

    fn facts(&self) -> &PassFacts {
        &self.facts
    }
}

/// Whether the client sees something of the answer in an event of this type: a piece of it, or something that is done. What only
/// announces (an item, a part, a search in progress) is none.
fn is_content(kind: &str) -> bool {
    [".delta", ".done", ".partial_image", ".annotation.added"]
        .iter()
        .any(|end| kind.ends_with(end))
        || (kind.ends_with(".completed") && kind.contains("_call"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::answer::FinishReason;
    use types::outcome::OutcomeClass;

    use super::*;
    use crate::framing::pass::{Pass, PassScanner, Passed};

    #[test]
    fn each_kind_of_event_has_its_fate() {
        let preamble = Verdict::Forward { content: false };
        let content = Verdict::Forward { content: true };
        let rows = [
            (
                r#"{"type":"response.created","response":{"id":"resp_1","model":"m","created_at":7.5,"status":"in_progress","error":null,"output":[]}}"#,
                preamble.clone(),
            ),
            (r#"{"type":"response.in_progress","response":{}}"#, preamble.clone()),
            (
                r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","name":"f"}}"#,
                preamble.clone(),
            ),
            (
                r#"{"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#,
                preamble.clone(),
            ),
            (r#"{"type":"response.output_text.delta","delta":""}"#, preamble.clone()),
            (r#"{"type":"response.web_search_call.in_progress"}"#, preamble.clone()),
            (r#"{"type":"response.of_tomorrow"}"#, preamble),
            (r#"{"type":"response.output_text.delta","delta":"a"}"#, content.clone()),
            (
                r#"{"type":"response.reasoning_summary_text.delta","delta":"a"}"#,
                content.clone(),
            ),
            (r#"{"type":"response.output_item.done","item":{}}"#, content.clone()),
            (r#"{"type":"response.web_search_call.completed"}"#, content),
            ("[DONE]", Verdict::Drop),
            ("{", Verdict::Malformed),
            ("[]", Verdict::Malformed),
            ("{}", Verdict::Malformed),
        ];
        let mut judge = PassJudge::new();
        for (data, wanted) in rows {
            assert_eq!(judge.frame(b"", data), wanted, "{data}");
        }
        let facts = judge.facts();
        assert_eq!(
            (facts.id.as_deref(), facts.model.as_deref(), facts.created),
            (Some("resp_1"), Some("m"), Some(7))
        );
    }

    #[test]
    fn the_end_tells_usage_and_finish_and_a_failure_its_class() {
        let rows = [
            (
                r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[]}],"usage":{"input_tokens":3,"output_tokens":2,"input_tokens_details":{"cached_tokens":1},"output_tokens_details":{"reasoning_tokens":1}}}}"#,
                FinishReason::Stop,
            ),
            (
                r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"function_call"}]}}"#,
                FinishReason::ToolCalls,
            ),
            (
                r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
                FinishReason::Length,
            ),
            (
                r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}}"#,
                FinishReason::ContentFilter,
            ),
        ];
        for (data, finish) in rows {
            let mut judge = PassJudge::new();
            assert_eq!(judge.frame(b"", data), Verdict::Done);
            assert_eq!(judge.facts().finish, Some(finish));
            if let Some(usage) = judge.facts().usage {
                assert_eq!(
                    (usage.input, usage.output, usage.cached_input, usage.reasoning),
                    (3, 2, 1, 1)
                );
            }
        }
        let failures = [
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}}"#,
                OutcomeClass::RateLimited,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"oh"}}}"#,
                OutcomeClass::ServerError,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"invalid_prompt","message":"oh"}}}"#,
                OutcomeClass::ContentFiltered,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"context_length_exceeded","message":"long"}}}"#,
                OutcomeClass::ContextTooLong,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"insufficient_quota","message":"pay"}}}"#,
                OutcomeClass::QuotaExhausted,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"image_too_small","message":"tiny"}}}"#,
                OutcomeClass::InvalidRequest,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#,
                OutcomeClass::ServerError,
            ),
            (
                r#"{"type":"error","code":"server_is_overloaded","message":"m","param":null,"sequence_number":3}"#,
                OutcomeClass::Overloaded,
            ),
            (
                r#"{"type":"error","error":{"type":"rate_limit_error","code":null,"message":"m"}}"#,
                OutcomeClass::RateLimited,
            ),
            (
                r#"{"error":{"type":"server_error","message":"m"}}"#,
                OutcomeClass::ServerError,
            ),
        ];
        for (data, class) in failures {
            let Verdict::Error(failure) = PassJudge::new().frame(b"", data) else {
                panic!("{data}")
            };
            assert_eq!(failure.class, class, "{data}");
        }
        let stray = PassJudge::new().stray(r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#);
        assert_eq!(stray.unwrap().class, OutcomeClass::RateLimited);
    }

    #[test]
    fn a_body_that_ends_early_is_a_broken_stream() {
        let mut scanner = PassScanner::new(PassJudge::new());
        scanner.push(Bytes::from_static(
            b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n",
        ));
        assert!(matches!(scanner.poll(), Some(Passed::Content(_))));
        scanner.finish();
        let Some(Passed::Error(failure)) = scanner.poll() else {
            panic!("an end without a terminal event")
        };
        assert_eq!(failure.class, OutcomeClass::StreamBroken);
    }

    proptest! {
        #[test]
        fn no_frame_panics(event in any::<Vec<u8>>(), data in ".*") {
            let mut judge = PassJudge::new();
            let _ = judge.frame(&event, &data);
            let _ = judge.stray(&data);
        }
    }
}
