//! `providers:` who serves: where, in which dialect, and what is shown to it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::dialect::DialectName;
use wire::quirks::Quirks;

use crate::config::credential::ApiKey;
use crate::config::entries::Entries;
use crate::config::model::Model;
use crate::config::quirks::QuirksKeys;
use crate::config::secret::Secret;

/// A provider as written. What is left out comes from the catalog's row of the same name, or of `preset`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// The catalog's row it takes after, when its own name is another.
    pub preset: Option<String>,
    /// The dialect it speaks.
    #[schemars(with = "Option<DialectWord>")]
    pub dialect: Option<DialectName>,
    /// Where it is, written as its own SDK takes it: with `/v1` for OpenAI's two dialects, without for the others.
    pub base_url: Option<String>,
    /// What is shown to it: a key, or a map that says where it comes from. A provider whose key is not set is disabled with a warning.
    pub api_key: Option<ApiKey>,
    /// Several, tried in order while the first of them rest. Those that are not set are left out.
    pub api_keys: Option<Vec<Option<ApiKey>>>,
    /// It is Azure OpenAI with deployments in the path and a version in the query.
    pub azure: Option<Azure>,
    /// It is Google's Vertex AI.
    pub vertex: Option<Vertex>,
    /// It is Amazon Bedrock, or another that takes AWS's signatures.
    pub aws: Option<Aws>,
    /// Infrastructure it fails together with; its catalog row's, or its own name.
    pub failure_domain: Option<String>,
    /// Headers added to every request.
    pub headers: Entries<Secret>,
    /// A file of PEM certificates trusted besides the public ones, for a provider of one's own.
    pub tls_ca: Option<PathBuf>,
    /// How its requests differ from those of `openai_chat`. Written, they replace its catalog row's whole.
    #[schemars(with = "Option<QuirksKeys>")]
    pub quirks: Option<Quirks>,
    /// Facts of its models that the catalog does not know or knows otherwise.
    pub models: Entries<Model>,
}

/// Azure OpenAI by deployments. Its newer surface (`…/openai/v1`) needs none of this.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Azure {
    /// `2024-10-21`.
    pub api_version: Option<String>,
    /// Deployments by model, where they are not named like it.
    pub deployments: Entries<String>,
}

/// Vertex AI.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vertex {
    /// The project that pays; `GOOGLE_CLOUD_PROJECT` when left out.
    pub project: Option<String>,
    /// `us-east5`, or `global`; `GOOGLE_CLOUD_LOCATION` when left out, else `global`.
    pub location: Option<String>,
}

/// AWS: what is signed for, and who signs when there is no `api_key`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// `us-east-1`; the environment's or the profile's when left out.
    pub region: Option<String>,
    /// A profile of `~/.aws`.
    pub profile: Option<String>,
    /// A role that the keys take on.
    pub role_arn: Option<String>,
    /// What the role's owner wants to be told.
    pub external_id: Option<String>,
}

/// The words of [`DialectName`] in the JSON schema.
#[derive(JsonSchema)]
#[schemars(rename = "Dialect", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum DialectWord {
    /// OpenAI's chat completions, and whoever speaks it too.
    OpenaiChat,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's generateContent.
    Gemini,
    /// OpenAI's responses.
    OpenaiResponses,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Cohere's chat, version 2.
    CohereChat,
    /// Ollama's own chat.
    OllamaChat,
}
