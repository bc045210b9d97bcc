//! GenerateContentResponse as it comes, whole or as one chunk of a stream: only the fields that are read.
//!
//! Everything may be absent or `null`; unknown fields are skipped. Strings and numbers are brought to the neutral model's
//! meaning here, so that whole answers and streams agree.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::answer::FinishReason;
use types::chat::Json;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;

use crate::failure::{self, Told};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    pub(super) prompt_feedback: Option<PromptFeedback>,
    pub(super) usage_metadata: Option<UsageMetadata>,
    pub(super) model_version: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) create_time: Option<String>,
    /// An error instead of an answer.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    pub(super) finish_reason: Option<String>,
    pub(super) finish_message: Option<String>,
    index: Option<u32>,
    pub(super) logprobs_result: Option<LogprobsResult>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    pub(super) text: Option<String>,
    thought: Option<bool>,
    pub(super) thought_signature: Option<String>,
    #[serde(borrow)]
    pub(super) function_call: Option<FunctionCall<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PromptFeedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

/// Tokens of one kind of content.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ModalityTokenCount {
    modality: Option<String>,
    token_count: Option<f64>,
}

/// Counts come as JSON numbers; a fraction or a negative one is no reason to lose the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    prompt_token_count: Option<f64>,
    tool_use_prompt_token_count: Option<f64>,
    candidates_token_count: Option<f64>,
    thoughts_token_count: Option<f64>,
    cached_content_token_count: Option<f64>,
    prompt_tokens_details: Option<Vec<ModalityTokenCount>>,
    candidates_tokens_details: Option<Vec<ModalityTokenCount>>,
    pub(super) service_tier: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogprobsResult {
    chosen_candidates: Option<Vec<TokenLogprob>>,
    top_candidates: Option<Vec<TopCandidates>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TopCandidates {
    candidates: Option<Vec<TokenLogprob>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TokenLogprob {
    token: Option<String>,
    log_probability: Option<f64>,
}

impl<'a> Chunk<'a> {
    /// Whether it holds anything of an answer (an empty object is valid JSON too).
    pub(super) fn is_answer(&self) -> bool {
        self.candidates.is_some()
            || self.prompt_feedback.is_some()
            || self.usage_metadata.is_some()
            || self.response_id.is_some()
            || self.model_version.is_some()
    }

    /// The failure of a prompt that was blocked: there are no candidates then.
    pub(super) fn blocked(&self) -> Option<Failure> {
        let feedback = self.prompt_feedback.as_ref()?;
        let reason = feedback.block_reason.as_deref()?;
        if self.candidates.as_ref().is_some_and(|c| !c.is_empty()) {
            return None;
        }
        let words = format!("the prompt was blocked: {reason}");
        let told = Told {
            message: feedback.block_reason_message.as_deref().unwrap_or(&words),
            code: Some(reason),
            param: None,
        };
        Some(failure::in_stream(OutcomeClass::ContentFiltered, told))
    }
}

impl<'a> Candidate<'a> {
    /// Its position; the first one's is left out on the wire.
    pub(super) fn choice(&self, position: usize) -> u32 {
        self.index
            .unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX))
    }

    pub(super) fn take_parts(&mut self) -> Vec<Part<'a>> {
        self.content
            .take()
            .and_then(|content| content.parts)
            .unwrap_or_default()
    }
}

impl Part<'_> {
    pub(super) fn is_thought(&self) -> bool {
        self.thought == Some(true)
    }
}

impl FunctionCall<'_> {
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The arguments without the white space Gemini prints, every number and string as written.
    pub(super) fn arguments(&self) -> String {
        self.args.map_or_else(|| "{}".to_owned(), |args| compact(args.get()))
    }

    /// Its id, or one made up where Gemini gives none. The same answer gives the same ids again, whole or streamed; they
    /// suit the other dialects (letters, digits, `_`; at most 40 characters).
    pub(super) fn id(&self, response_id: &str, choice: u32, ordinal: u32) -> String {
        match self.id.as_deref() {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => {
                let mut hash = Fnv::new();
                hash.write(response_id.as_bytes());
                if response_id.is_empty() {
                    hash.write(self.name().as_bytes());
                    hash.write(self.arguments().as_bytes());
                }
                format!("call_{:016x}_{choice}_{ordinal}", hash.0)
            }
        }
    }
}

impl UsageMetadata {
    /// Results of built-in tools are prompt too, thoughts are output.
    pub(super) fn usage(&self) -> Usage {
        let count = |n: Option<f64>| n.unwrap_or(0.0) as u64;
        let reasoning = count(self.thoughts_token_count);
        // Audio has prices of its own; text, images and video share one.
        let audio = |details: &Option<Vec<ModalityTokenCount>>| {
            let counts = details
                .iter()
                .flatten()
                .filter(|d| d.modality.as_deref() == Some("AUDIO"));
            counts.fold(0_u64, |sum, d| sum.saturating_add(count(d.token_count)))
        };
        Usage {
            input: count(self.prompt_token_count).saturating_add(count(self.tool_use_prompt_token_count)),
            output: count(self.candidates_token_count).saturating_add(reasoning),
            cached_input: count(self.cached_content_token_count),
            reasoning,
            audio_input: audio(&self.prompt_tokens_details),
            audio_output: audio(&self.candidates_tokens_details),
            ..Usage::default()
        }
    }
}

impl LogprobsResult {
    /// As OpenAI's `logprobs` object.
    pub(super) fn to_openai(&self) -> Option<Json> {
        #[derive(Serialize)]
        struct Logprobs<'a> {
            content: Vec<Token<'a>>,
            refusal: Option<()>,
        }
        #[derive(Serialize)]
        struct Token<'a> {
            #[serde(flatten)]
            token: Alternative<'a>,
            top_logprobs: Vec<Alternative<'a>>,
        }
        #[derive(Serialize)]
        struct Alternative<'a> {
            token: &'a str,
            logprob: f64,
            bytes: &'a [u8],
        }
        fn alternative(of: &TokenLogprob) -> Alternative<'_> {
            let token = of.token.as_deref().unwrap_or_default();
            Alternative {
                token,
                // The least probability OpenAI writes.
                logprob: of.log_probability.unwrap_or(-9999.0),
                bytes: token.as_bytes(),
            }
        }
        let tops = self.top_candidates.as_deref().unwrap_or_default();
        let chosen = self.chosen_candidates.as_ref()?;
        let content = chosen
            .iter()
            .enumerate()
            .map(|(at, token)| Token {
                token: alternative(token),
                top_logprobs: tops
                    .get(at)
                    .and_then(|top| top.candidates.as_deref())
                    .unwrap_or_default()
                    .iter()
                    .map(alternative)
                    .collect(),
            })
            .collect();
        let logprobs = Logprobs { content, refusal: None };
        serde_json::value::to_raw_value(&logprobs).ok().map(Json)
    }
}

/// What a finish reason means; `None` for the placeholder that says none was given.
///
/// `CONTINUATION` stopped short and could go on, as `max_tokens` did. Reasons nobody knows yet are taken like `OTHER`: they are
/// not successes, and another provider must not be asked behind a policy's back.
pub(super) fn finish_reason(reason: &str, called_tools: bool) -> Option<FinishReason> {
    Some(match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" if called_tools => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" | "CONTINUATION" => FinishReason::Length,
        "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "NO_IMAGE" => FinishReason::Malformed,
        // SAFETY, RECITATION, LANGUAGE, OTHER, BLOCKLIST, PROHIBITED_CONTENT, SPII, IMAGE_*, MODEL_ARMOR, ESCALATION,
        // PUP_LIMITED_DISABLED.
        _ => FinishReason::ContentFilter,
    })
}

/// The failure of an answer whose model went wrong.
pub(super) fn malformed(reason: &str, message: Option<&str>) -> Failure {
    let words = format!("the model's output was malformed: {reason}");
    let told = Told {
        message: message.unwrap_or(&words),
        code: Some(reason),
        param: None,
    };
    failure::in_stream(OutcomeClass::MalformedOutput, told)
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

/// FNV-1a, 64 bits: stable everywhere and for ever, which std's hasher does not promise.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finish_reason_has_a_meaning() {
        use FinishReason::*;
        let rows: &[(&str, Option<FinishReason>)] = &[
            ("FINISH_REASON_UNSPECIFIED", None),
            ("STOP", Some(Stop)),
            ("MAX_TOKENS", Some(Length)),
            ("CONTINUATION", Some(Length)),
            ("SAFETY", Some(ContentFilter)),
            ("RECITATION", Some(ContentFilter)),
            ("LANGUAGE", Some(ContentFilter)),
            ("OTHER", Some(ContentFilter)),
            ("BLOCKLIST", Some(ContentFilter)),
            ("PROHIBITED_CONTENT", Some(ContentFilter)),
            ("SPII", Some(ContentFilter)),
            ("IMAGE_SAFETY", Some(ContentFilter)),
            ("IMAGE_PROHIBITED_CONTENT", Some(ContentFilter)),
            ("IMAGE_RECITATION", Some(ContentFilter)),
            ("IMAGE_OTHER", Some(ContentFilter)),
            ("MODEL_ARMOR", Some(ContentFilter)),
            ("ESCALATION", Some(ContentFilter)),
            ("PUP_LIMITED_DISABLED", Some(ContentFilter)),
            ("A_REASON_OF_TOMORROW", Some(ContentFilter)),
            ("MALFORMED_FUNCTION_CALL", Some(Malformed)),
            ("MALFORMED_RESPONSE", Some(Malformed)),
            ("UNEXPECTED_TOOL_CALL", Some(Malformed)),
            ("TOO_MANY_TOOL_CALLS", Some(Malformed)),
            ("MISSING_THOUGHT_SIGNATURE", Some(Malformed)),
            ("NO_IMAGE", Some(Malformed)),
        ];
        for (reason, wanted) in rows {
            assert_eq!(finish_reason(reason, false), *wanted, "{reason}");
        }
        assert_eq!(finish_reason("STOP", true), Some(ToolCalls));
        assert_eq!(finish_reason("SAFETY", true), Some(ContentFilter));
    }

    #[test]
    fn compacting_leaves_strings_and_numbers_alone() {
        let given = "{\n  \"a b\": [ 1.50, \"x \\\" y\\\\\" ],\n\t\"é\": {}\r\n}";
        assert_eq!(compact(given), r#"{"a b":[1.50,"x \" y\\"],"é":{}}"#);
    }

    #[test]
    fn ids_are_stable_and_told_apart() {
        let call = |name: &str| FunctionCall {
            id: None,
            name: Some(name.to_owned()),
            args: None,
        };
        let id = call("a").id("resp-1", 0, 0);
        assert_eq!(id, call("b").id("resp-1", 0, 0), "of the response, not of the call");
        assert_ne!(id, call("a").id("resp-1", 0, 1));
        assert_ne!(id, call("a").id("resp-2", 0, 0));
        assert_ne!(call("a").id("", 0, 0), call("b").id("", 0, 0));
        assert!(id.len() <= 40 && id.starts_with("call_"));
    }
}
