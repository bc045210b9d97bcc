//! The neutral model of a question: what every dialect's request is decoded to and encoded from.
//!
//! It holds what at least one dialect can say and another must answer for. Same-dialect calls never pass through it:
//! their bodies are forwarded as they came.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::DialectName;
use crate::features::Features;

/// JSON kept as it was written: schemas and tool arguments whose key order carries meaning.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Box<RawValue>);

impl Json {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Checks that `text` is one JSON value and keeps it as written.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        RawValue::from_string(text.to_owned()).map(Json)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.as_str() == other.as_str()
    }
}

/// A whole question.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatRequest {
    /// What the client wrote in `model`.
    pub model: String,
    /// The conversation in the client's order; system messages may stand anywhere.
    pub messages: Vec<Message>,
    /// Function tools.
    pub tools: Vec<Tool>,
    /// Which tool must or may be called; `None` leaves it to the provider's default.
    pub tool_choice: Option<ToolChoice>,
    /// `false` asks for at most one call a turn.
    pub parallel_tool_calls: Option<bool>,
    /// The asked form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// Temperature, nucleus, penalties.
    pub sampling: Sampling,
    /// Limit of generated tokens (OpenAI's `max_completion_tokens` or `max_tokens`).
    pub max_output_tokens: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Number of choices; `None` is 1.
    pub n: Option<u32>,
    /// Asked-for determinism.
    pub seed: Option<i64>,
    /// Log probabilities: `Some(k)` asks for them with the `k` likeliest alternatives.
    pub logprobs: Option<u32>,
    /// Reasoning effort or budget.
    pub reasoning: Option<ReasoningRequest>,
    /// Answer as a stream.
    pub stream: bool,
    /// The client asked for usage on the stream.
    pub include_usage: bool,
    /// The caller's own user identifier.
    pub user: Option<String>,
    /// The dialect the question was asked in: whose `extra` is.
    pub dialect: Option<DialectName>,
    /// Top-level fields of that dialect that this model has no word for, in order. An encoder of another dialect reports
    /// each as dropped; it never loses them in silence.
    pub extra: Vec<(String, Json)>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions (OpenAI's `system` and `developer`).
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Results of tool calls.
    Tool,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// A participant's name, where the dialect has one.
    pub name: Option<String>,
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum Part {
    /// Plain text.
    Text {
        /// The text.
        text: String,
        /// The prompt up to and including this part should be cached by the provider.
        cache: Option<CacheMark>,
    },
    /// An image.
    Image {
        /// Where it is.
        source: Media,
        /// OpenAI's `detail` (`low`, `high`, `auto`).
        detail: Option<String>,
        /// Prompt-cache marker.
        cache: Option<CacheMark>,
    },
    /// A file such as a PDF.
    File {
        /// Where it is.
        source: Media,
        /// Its name.
        filename: Option<String>,
        /// Prompt-cache marker.
        cache: Option<CacheMark>,
    },
    /// Audio in the prompt.
    Audio {
        /// Base64 data.
        source: Media,
    },
    /// The model's reasoning of an earlier turn.
    Reasoning(Reasoning),
    /// The model refused, in words.
    Refusal {
        /// The words.
        text: String,
    },
    /// The model called a tool.
    ToolCall(ToolCall),
    /// What a tool answered. Only in [`Role::Tool`] messages.
    ToolResult {
        /// The call it answers.
        call_id: String,
        /// The tool's name, where the dialect tells it (Gemini needs it; decoders fill it from the call of the same id).
        name: Option<String>,
        /// Text, image and file parts.
        content: Vec<Part>,
        /// The tool failed.
        is_error: bool,
        /// Prompt-cache marker.
        cache: Option<CacheMark>,
    },
}

/// Prompt-cache marker (Anthropic's `cache_control`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMark {
    /// Five minutes, the default.
    Ephemeral,
    /// One hour.
    OneHour,
}

/// Where media are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Media {
    /// At a URL the provider fetches.
    Url {
        /// The URL.
        url: String,
    },
    /// Here, as base64 without line breaks.
    Base64 {
        /// MIME type, for example `image/png`.
        media_type: String,
        /// The data.
        data: String,
    },
    /// At the provider, uploaded before.
    FileId {
        /// The provider's id.
        id: String,
    },
}

/// A piece of reasoning with what is needed to hand it back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reasoning {
    /// Its text; empty when redacted or omitted.
    pub text: String,
    /// The provider's signature over it, byte for byte (Anthropic's `signature`, Gemini's `thoughtSignature`).
    pub signature: Option<String>,
    /// Opaque content (Anthropic's `redacted_thinking`).
    pub redacted: Option<String>,
    /// The dialect whose signature this is. Another dialect drops it and says so.
    pub origin: Option<DialectName>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id, stable across turns.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text. May be broken JSON: it is the model's output.
    pub arguments: String,
    /// Gemini's `thoughtSignature` on this call.
    pub signature: Option<String>,
}

/// A function tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// JSON schema of its arguments.
    pub parameters: Option<Json>,
    /// Arguments must be of the schema.
    pub strict: Option<bool>,
    /// Prompt-cache marker.
    pub cache: Option<CacheMark>,
}

/// Which tool is to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Required,
    /// This tool.
    Named(String),
}

/// The asked form of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Free text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Json,
        /// The provider must enforce it.
        strict: Option<bool>,
    },
}

/// Sampling parameters; `None` was not written by the client.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sampling {
    /// 0…2 at OpenAI and Gemini, 0…1 at Anthropic.
    pub temperature: Option<f64>,
    /// 0…1.
    pub top_p: Option<f64>,
    /// Not sayable in OpenAI's dialect proper; many speakers of it accept `top_k`.
    pub top_k: Option<u64>,
    /// −2…2.
    pub presence_penalty: Option<f64>,
    /// −2…2.
    pub frequency_penalty: Option<f64>,
}

/// How much reasoning is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningRequest {
    /// OpenAI's words: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    Effort(String),
    /// A budget in tokens (Anthropic's `budget_tokens`, Gemini's `thinkingBudget`).
    Budget(u64),
}

impl ChatRequest {
    /// What the call uses: its target must be able to do all of it.
    pub fn features(&self) -> Features {
        let mut features = Features::NONE;
        if !self.tools.is_empty() {
            features.insert(Features::TOOLS);
        }
        match &self.response_format {
            Some(ResponseFormat::JsonObject) => features.insert(Features::JSON_OBJECT),
            Some(ResponseFormat::JsonSchema { .. }) => features.insert(Features::JSON_SCHEMA),
            Some(ResponseFormat::Text) | None => {}
        }
        if self.n.is_some_and(|n| n > 1) {
            features.insert(Features::CHOICES);
        }
        if self.logprobs.is_some() {
            features.insert(Features::LOGPROBS);
        }
        match &self.reasoning {
            Some(ReasoningRequest::Effort(effort)) if effort == "none" => {}
            Some(_) => features.insert(Features::REASONING),
            None => {}
        }
        for part in self.messages.iter().flat_map(|m| &m.parts) {
            part.add_features(&mut features);
        }
        features
    }

    /// Puts what was fetched from `url` in the place of every mention of it, as base64 without line breaks. Gives how many
    /// there were.
    pub fn inline(&mut self, url: &str, media_type: &str, base64: &str) -> usize {
        let parts = self.messages.iter_mut().flat_map(|m| &mut m.parts);
        parts.map(|part| part.inline(url, media_type, base64)).sum()
    }
}

impl Part {
    /// A text part without a cache marker.
    pub fn text(text: impl Into<String>) -> Part {
        Part::Text {
            text: text.into(),
            cache: None,
        }
    }

    fn inline(&mut self, at: &str, media_type: &str, base64: &str) -> usize {
        match self {
            Part::Image { source, .. } | Part::File { source, .. } | Part::Audio { source } => {
                let is_there = matches!(source, Media::Url { url } if url == at);
                if is_there {
                    *source = Media::Base64 {
                        media_type: media_type.to_owned(),
                        data: base64.to_owned(),
                    };
                }
                usize::from(is_there)
            }
            Part::ToolResult { content, .. } => content.iter_mut().map(|p| p.inline(at, media_type, base64)).sum(),
            Part::Text { .. } | Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) => 0,
        }
    }

    fn add_features(&self, features: &mut Features) {
        match self {
            Part::Image { .. } => features.insert(Features::VISION),
            Part::File { .. } => features.insert(Features::DOCUMENTS),
            Part::Audio { .. } => features.insert(Features::AUDIO),
            Part::ToolResult { content, .. } => content.iter().for_each(|p| p.add_features(features)),
            Part::Text { .. } | Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) => {}
        }
    }
}
