//! `api_key`: what is shown to a provider, as written: a text, or a map that says where it comes from.
//!
//! [`ApiKey`] is what stands in the file, [`Source`] what the upstream's signers read, with nothing left open.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::aws::AwsSource;
use crate::config::secret::Secret;
use crate::config::units::{DurationText, duration};

/// What is shown to a provider, as written.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiKey {
    /// The key itself.
    Text(Secret),
    /// Where it comes from.
    Map(Box<KeyMap>),
}

/// Where a key or token comes from. One of `command`, `file`, `entra`, `service_account`, `metadata` and `aws`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyMap {
    /// A command that prints it: its words, or one text that is split at blanks outside of quotes. No shell reads it.
    pub command: Option<CommandWords>,
    /// The command's text is for `sh -c`.
    pub shell: Option<bool>,
    /// The command is given up after this long: 10s when left out.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// The command is run again after this long. When left out: on reload, and when the provider refuses what it printed.
    #[serde(with = "duration::option")]
    #[schemars(with = "Option<DurationText>")]
    pub refresh: Option<Duration>,
    /// A file that holds it; read again when it changes.
    pub file: Option<String>,
    /// An application of Microsoft Entra.
    pub entra: Option<Entra>,
    /// Google's JSON file of a service account, or of application-default credentials.
    pub service_account: Option<String>,
    /// The identity of the machine: Google's metadata server, or Azure's managed identity.
    pub metadata: Option<bool>,
    /// AWS keys that are written out.
    pub aws: Option<AwsKeyPair>,
}

/// An application of Microsoft Entra, with a secret or a federated token.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entra {
    /// The directory.
    pub tenant_id: Option<String>,
    /// The application.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// A file with a federated token, in place of the secret.
    pub token_file: Option<String>,
    /// Where tokens are issued, for clouds of their own.
    pub authority: Option<String>,
    /// What they are for, when it is another service.
    pub scope: Option<String>,
}

/// AWS keys.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsKeyPair {
    /// `AKIA…`
    pub access_key_id: Option<String>,
    /// Its secret.
    pub secret_access_key: Option<Secret>,
    /// Of keys that end.
    pub session_token: Option<Secret>,
}

/// A command: its words, or one text.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandWords {
    /// To be split, or for a shell.
    Text(String),
    /// Split already.
    Words(Vec<String>),
}

/// Where what is shown comes from, with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Nothing is shown.
    Nothing,
    /// A key of the configuration or the environment.
    Key(Secret),
    /// A file's text.
    File(String),
    /// What a command prints.
    Command(CommandSource),
    /// A token of Microsoft Entra.
    Entra(EntraSource),
    /// A token for what a Google credentials file says: a service account, or a person's refresh token.
    GoogleFile(String),
    /// A token of Google's metadata server, `host[:port]`.
    GoogleMetadata {
        /// Where it is.
        host: String,
    },
    /// A token of Azure's managed identity.
    AzureMetadata(AzureMetadata),
    /// Signatures with AWS keys.
    Aws(AwsSource),
}

/// A command of the operator's.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandSource {
    /// Program and arguments. Never empty.
    pub words: Vec<String>,
    /// It is given up after this long.
    pub timeout: Duration,
    /// It is run again after this long.
    pub refresh: Option<Duration>,
}

/// A command is given up after this long.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// An application of Microsoft Entra.
#[derive(Debug, Clone, PartialEq)]
pub struct EntraSource {
    /// Where tokens are issued: a URL without a slash at the end.
    pub authority: String,
    /// The directory.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// How it proves to be it.
    pub proof: EntraProof,
    /// What the token is for.
    pub scope: String,
}

/// How an application proves to be it.
#[derive(Debug, Clone, PartialEq)]
pub enum EntraProof {
    /// By a secret.
    Secret(Secret),
    /// By a token of another issuer, in a file.
    TokenFile(String),
}

/// Azure's managed identity: of a virtual machine, or of App Service and its like.
#[derive(Debug, Clone, PartialEq)]
pub struct AzureMetadata {
    /// Where it is: a URL without a query.
    pub endpoint: String,
    /// What App Service wants to be shown.
    pub header: Option<Secret>,
    /// An identity of the user's making.
    pub client_id: Option<String>,
}

impl Source {
    /// What stands for it in memory, so that a changed one starts afresh. Holds secrets: to be digested, never shown.
    pub fn identity(&self) -> String {
        match self {
            Source::Nothing => String::new(),
            Source::Key(key) => key.expose().to_owned(),
            Source::File(path) => format!("file {path}"),
            Source::Command(command) => format!("command {:?}", command.words),
            Source::Entra(entra) => {
                let proof = match &entra.proof {
                    EntraProof::Secret(secret) => secret.expose(),
                    EntraProof::TokenFile(path) => path,
                };
                format!(
                    "entra {} {} {} {proof}",
                    entra.authority, entra.tenant_id, entra.client_id
                )
            }
            Source::GoogleFile(path) => format!("google {path}"),
            Source::GoogleMetadata { host } => format!("google metadata {host}"),
            Source::AzureMetadata(azure) => format!("azure metadata {} {:?}", azure.endpoint, azure.client_id),
            Source::Aws(aws) => aws.identity(),
        }
    }
}

/// Splits a command at blanks; quotes of both kinds hold words together, a backslash makes the next character plain except
/// between single quotes. Nothing is expanded: no shell reads it.
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => match characters.next() {
                Some(plain) => word.get_or_insert_default().push(plain),
                None => return Err("it ends with a backslash".to_owned()),
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    if words.first().is_none_or(String::is_empty) {
        return Err("it names no program".to_owned());
    }
    Ok(words)
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ApiKey::Text(secret) => secret.serialize(serializer),
            ApiKey::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ApiKey, D::Error> {
        deserializer.deserialize_any(ApiKeyVisitor)
    }
}

struct ApiKeyVisitor;

impl<'de> Visitor<'de> for ApiKeyVisitor {
    type Value = ApiKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a key: `\"${NAME}\"`, or a map such as `{ file: /run/secrets/key }` or `{ command: \"op read …\" }`",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ApiKey, E> {
        Ok(ApiKey::Text(Secret::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<ApiKey, A::Error> {
        KeyMap::deserialize(MapAccessDeserializer::new(access)).map(|map| ApiKey::Map(Box::new(map)))
    }
}

impl JsonSchema for ApiKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApiKey".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<KeyMap>();
        json_schema!({ "oneOf": [{ "type": "string", "description": "the key" }, map] })
    }
}

impl Serialize for CommandWords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CommandWords::Text(text) => text.serialize(serializer),
            CommandWords::Words(words) => words.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CommandWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CommandWords, D::Error> {
        deserializer.deserialize_any(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = CommandWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command: `\"op read op://vault/openai/key\"`, or its words as a list")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CommandWords, E> {
        Ok(CommandWords::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<CommandWords, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = access.next_element()? {
            words.push(word);
        }
        Ok(CommandWords::Words(words))
    }
}

impl JsonSchema for CommandWords {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandWords".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_blanks_outside_of_quotes_and_nothing_is_expanded() {
        let rows: [(&str, Result<&[&str], &str>); 9] = [
            ("op read op://v/k", Ok(&["op", "read", "op://v/k"])),
            ("  a  'b c' \"d e\" ", Ok(&["a", "b c", "d e"])),
            (r#"a 'it''s' "q\"x" b\ c"#, Ok(&["a", "its", "q\"x", "b c"])),
            ("a '' \"\"", Ok(&["a", "", ""])),
            ("a $HOME ~ *; rm | b", Ok(&["a", "$HOME", "~", "*;", "rm", "|", "b"])),
            (r"a '\n'", Ok(&["a", r"\n"])),
            ("", Err("it names no program")),
            ("a 'b", Err("a quote is not closed")),
            ("a \\", Err("it ends with a backslash")),
        ];
        for (text, wanted) in rows {
            let got = split_words(text);
            let wanted = wanted.map(|w| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
            assert_eq!(got, wanted.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn no_source_shows_its_secret() {
        let sources = [
            Source::Key(Secret::new("canary")),
            Source::Entra(EntraSource {
                authority: "https://login".into(),
                tenant_id: "t".into(),
                client_id: "c".into(),
                proof: EntraProof::Secret(Secret::new("canary")),
                scope: "s".into(),
            }),
            Source::AzureMetadata(AzureMetadata {
                endpoint: "http://x".into(),
                header: Some(Secret::new("canary")),
                client_id: None,
            }),
        ];
        for source in sources {
            assert!(!format!("{source:?}").contains("canary"), "{source:?}");
        }
    }
}
