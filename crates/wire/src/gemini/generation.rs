//! `generationConfig`: sampling, limits, the form of the answer, reasoning.
//!
//! A JSON schema goes into `responseJsonSchema` with `responseMimeType: application/json`, not into `responseSchema`: the
//! latter takes a subset of OpenAPI's schema object, so a client's schema would be rewritten and lose what the subset has no
//! word for. The `responseFormat` list that succeeds both is not in the v1beta SDK yet.

use serde::Serialize;
use serde_json::value::RawValue;
use types::chat::{ChatRequest, ReasoningRequest, ResponseFormat};

use crate::gemini::model::{self, Generation};
use crate::gemini::request::cannot;
use crate::request::DroppedNames;
use crate::request::{Unsupported, UpstreamModel};

/// Candidates of one request.
const CANDIDATES_MAX: u32 = 8;
/// Stop sequences of one request.
const STOP_SEQUENCES_MAX: usize = 5;
/// Alternatives for each token.
const LOGPROBS_MAX: u32 = 20;
/// The smallest budget of a model that cannot stop reasoning.
const PRO_BUDGET_MIN: u32 = 128;

/// `generationConfig`; what is `None` is not written.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Schema<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

impl GenerationConfig<'_> {
    pub(super) fn is_empty(&self) -> bool {
        *self == GenerationConfig::default()
    }
}

/// A client's schema, as it was written.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Schema<'a>(&'a RawValue);

impl PartialEq for Schema<'_> {
    fn eq(&self, other: &Schema<'_>) -> bool {
        self.0.get() == other.0.get()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
}

/// The settings of a request.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    upstream: UpstreamModel<'_>,
    report: &mut DroppedNames,
) -> Result<GenerationConfig<'a>, Unsupported> {
    let n = request.n.unwrap_or(1);
    if n > CANDIDATES_MAX {
        return Err(cannot(format!("`n` = {n} (at most {CANDIDATES_MAX})"), "n"));
    }
    let stops = request.stop.len();
    if stops > STOP_SEQUENCES_MAX {
        return Err(cannot(
            format!("{stops} stop sequences (at most {STOP_SEQUENCES_MAX})"),
            "stop",
        ));
    }
    if let Some(k) = request.logprobs.filter(|k| *k > LOGPROBS_MAX) {
        return Err(cannot(
            format!("`top_logprobs` = {k} (at most {LOGPROBS_MAX})"),
            "top_logprobs",
        ));
    }
    let mut config = GenerationConfig {
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        top_k: request.sampling.top_k,
        candidate_count: (n != 1).then_some(n),
        // Both count reasoning into the limit. The field is a signed 32-bit number.
        max_output_tokens: request.max_output_tokens.map(|max| max.min(i32::MAX as u64)),
        stop_sequences: &request.stop,
        presence_penalty: request.sampling.presence_penalty,
        frequency_penalty: request.sampling.frequency_penalty,
        seed: request.seed.map(folded),
        response_logprobs: request.logprobs.map(|_| true),
        logprobs: request.logprobs.filter(|k| *k > 0),
        response_mime_type: None,
        response_json_schema: None,
        thinking_config: thinking(request, upstream, report),
    };
    match &request.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => config.response_mime_type = Some("application/json"),
        Some(ResponseFormat::JsonSchema {
            name: _,
            description,
            schema,
            // Gemini always holds the model to the schema.
            strict: _,
        }) => {
            config.response_mime_type = Some("application/json");
            config.response_json_schema = Some(Schema(&schema.0));
            if description.is_some() {
                report.add("response_format.description");
            }
        }
    }
    Ok(config)
}

/// A seed in the 32 bits Gemini has for it: the same seed still asks for the same answer.
fn folded(seed: i64) -> i32 {
    i32::try_from(seed).unwrap_or((seed ^ (seed >> 32)) as i32)
}

/// Efforts become levels or, before Gemini 3, the budgets of Google's own OpenAI-compatible endpoint (1,024, 8,192 and 24,576
/// tokens). Where a model has no such word the nearest one is said and the difference reported. Who asks for reasoning also
/// gets to see it.
fn thinking(request: &ChatRequest, upstream: UpstreamModel<'_>, report: &mut DroppedNames) -> Option<ThinkingConfig> {
    let effort = match request.reasoning.as_ref()? {
        // A model that does not reason refuses the whole field.
        ReasoningRequest::Budget(_) if !upstream.reasoning => {
            report.add("reasoning");
            return None;
        }
        ReasoningRequest::Budget(budget) => {
            return Some(ThinkingConfig {
                include_thoughts: *budget > 0,
                thinking_level: None,
                thinking_budget: Some((*budget).min(i32::MAX as u64) as u32),
            });
        }
        ReasoningRequest::Effort(effort) => effort.as_str(),
    };
    if !upstream.reasoning {
        if effort != "none" {
            report.add("reasoning_effort");
        }
        return None;
    }
    let pro = model::is_pro(upstream.model);
    let (level, budget, exact) = match effort {
        "none" if pro => ("LOW", PRO_BUDGET_MIN, false),
        "none" => ("MINIMAL", 0, Generation::of(upstream.model) == Generation::Budgets),
        "minimal" if pro => ("LOW", 1_024, true),
        "minimal" => ("MINIMAL", 1_024, true),
        "low" => ("LOW", 1_024, true),
        "medium" => ("MEDIUM", 8_192, true),
        "high" => ("HIGH", 24_576, true),
        "xhigh" | "max" => ("HIGH", 24_576, false),
        _ => {
            report.add("reasoning_effort");
            return None;
        }
    };
    if !exact {
        report.add("reasoning_effort");
    }
    Some(match Generation::of(upstream.model) {
        Generation::Levels => ThinkingConfig {
            include_thoughts: effort != "none",
            thinking_level: Some(level),
            thinking_budget: None,
        },
        Generation::Budgets => ThinkingConfig {
            include_thoughts: effort != "none",
            thinking_level: None,
            thinking_budget: Some(budget),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reasoning: ReasoningRequest, model: &str, reasons: bool) -> String {
        let request = ChatRequest {
            reasoning: Some(reasoning),
            ..ChatRequest::default()
        };
        let upstream = UpstreamModel {
            model,
            max_output_default: 1,
            reasoning: reasons,
        };
        let mut report = DroppedNames::default();
        let config = encode(&request, upstream, &mut report).unwrap();
        format!("{} {report:?}", serde_json::to_string(&config).unwrap())
    }

    #[test]
    fn effort_becomes_a_level_or_a_budget() {
        let effort = |word: &str| ReasoningRequest::Effort(word.to_owned());
        let reported = r#"DroppedNames([Dropped("reasoning_effort")])"#;
        let rows = [
            (
                "gemini-3-flash",
                "high",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}"#,
                true,
            ),
            (
                "gemini-3-flash",
                "medium",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"MEDIUM"}}"#,
                true,
            ),
            (
                "gemini-3-flash",
                "minimal",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"MINIMAL"}}"#,
                true,
            ),
            (
                "gemini-3-pro",
                "minimal",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"LOW"}}"#,
                true,
            ),
            (
                "gemini-3-flash",
                "max",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}"#,
                false,
            ),
            (
                "gemini-3-flash",
                "none",
                r#"{"thinkingConfig":{"thinkingLevel":"MINIMAL"}}"#,
                false,
            ),
            (
                "gemini-2.5-flash",
                "none",
                r#"{"thinkingConfig":{"thinkingBudget":0}}"#,
                true,
            ),
            (
                "gemini-2.5-pro",
                "none",
                r#"{"thinkingConfig":{"thinkingBudget":128}}"#,
                false,
            ),
            (
                "gemini-2.5-flash",
                "low",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":1024}}"#,
                true,
            ),
            (
                "gemini-2.5-flash",
                "high",
                r#"{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":24576}}"#,
                true,
            ),
            ("gemini-3-flash", "a lot", "{}", false),
        ];
        for (model, word, wanted, exact) in rows {
            let report = if exact { "DroppedNames([])" } else { reported };
            assert_eq!(
                written(effort(word), model, true),
                format!("{wanted} {report}"),
                "{model} {word}"
            );
        }
        assert_eq!(
            written(effort("high"), "gemini-2.0-flash", false),
            format!("{{}} {reported}")
        );
        assert_eq!(
            written(effort("none"), "gemini-2.0-flash", false),
            "{} DroppedNames([])"
        );
        assert_eq!(
            written(ReasoningRequest::Budget(2_000), "gemini-2.5-pro", true),
            r#"{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":2000}} DroppedNames([])"#
        );
    }

    #[test]
    fn a_seed_of_64_bits_is_folded_and_a_small_one_kept() {
        assert_eq!(folded(7), 7);
        assert_eq!(folded(-7), -7);
        assert_eq!(folded(1 << 40), 1 << 8);
        assert_ne!(folded(i64::MAX), folded(i64::MAX - 1));
    }
}
