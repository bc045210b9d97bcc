//! Names that must not be swapped: providers, models, targets, routes, credentials.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it is written in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(/// Who serves: one entry of `providers:`.
    ProviderId);
name!(/// A model as its provider calls it. It may contain slashes.
    ModelName);
name!(/// What a client puts in `model` to be served by an ordered list of tiers.
    RouteName);
name!(/// Infrastructure that fails together: OpenAI and Azure OpenAI share one.
    FailureDomain);
name!(/// Which of a provider's credentials; never the secret itself.
    CredentialId);
name!(/// Which virtual key: its public prefix, never the secret.
    KeyId);
name!(/// A budget's name: that of the configuration, or `key:<key id>/<n>` for one that a key carries.
    BudgetId);
name!(/// One running gateway among those that share a store.
    InstanceId);

/// One model at one provider, written `provider/model` and split at the first slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    text: Arc<str>,
    slash: u32,
}

/// Why a text is no [`TargetId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a target: write `provider/model`, for example `openai/gpt-5.5`")]
pub struct NotATarget(pub String);

impl TargetId {
    /// Joins the two halves. `provider` must not contain a slash.
    pub fn new(provider: &ProviderId, model: &ModelName) -> TargetId {
        assert!(!provider.as_str().contains('/'), "a provider's name has no slash");
        let text = format!("{provider}/{model}");
        TargetId {
            slash: provider.as_str().len() as u32,
            text: text.into(),
        }
    }

    /// Reads `provider/model`.
    pub fn parse(text: &str) -> Result<TargetId, NotATarget> {
        match text.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(TargetId {
                slash: provider.len() as u32,
                text: text.into(),
            }),
            _ => Err(NotATarget(text.to_owned())),
        }
    }

    /// `provider/model`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the first slash.
    pub fn provider(&self) -> &str {
        &self.text[..self.slash as usize]
    }

    /// What stands behind the first slash: the model as the provider calls it.
    pub fn model(&self) -> &str {
        &self.text[self.slash as usize + 1..]
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for TargetId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for TargetId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<TargetId, D::Error> {
        let text = String::deserialize(d)?;
        TargetId::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Position of a target in the table of targets that a configuration's routes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetIx(pub u32);

/// Position of a credential among those of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CredentialIx(pub u32);

/// Number of an attempt within its call, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptNo(pub u32);

/// How good (and dear) a model is, as told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelTier {
    /// The best its maker has.
    Premium,
    /// The everyday model.
    Standard,
    /// Small and cheap.
    Economy,
}

impl ModelTier {
    /// The word used in headers, logs and the catalog.
    pub fn as_str(self) -> &'static str {
        match self {
            ModelTier::Premium => "premium",
            ModelTier::Standard => "standard",
            ModelTier::Economy => "economy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_split_at_its_first_slash() {
        let id = TargetId::parse("groq/openai/gpt-oss-120b").unwrap();
        assert_eq!((id.provider(), id.model()), ("groq", "openai/gpt-oss-120b"));
        assert_eq!(TargetId::new(&"groq".into(), &"openai/gpt-oss-120b".into()), id);
        for bad in ["", "gpt-4o", "/x", "x/"] {
            assert!(TargetId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
