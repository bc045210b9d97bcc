//! The catalog: providers and models that are known without being configured. `catalog/*.yaml`, embedded.
//!
//! A provider is a row, a model is a row. Whatever the configuration writes wins over them.

use std::sync::LazyLock;

use serde::Deserialize;
use types::dialect::DialectName;

use crate::config::decode::decode;
use crate::config::entries::Entries;
use crate::config::model::Model;
use crate::config::node::Node;

/// Known providers and models.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    providers: Entries<ProviderRow>,
    models: Entries<Entries<Model>>,
}

/// A known provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderRow {
    /// The dialect it speaks.
    pub dialect: DialectName,
    /// Where it is; `None` when every customer has an address of their own.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The environment variables its key is commonly kept in, the usual one first. Empty: it needs no key.
    #[serde(default)]
    pub key: Vec<String>,
    /// Infrastructure it fails together with; its own name when left out.
    #[serde(default)]
    pub failure_domain: Option<String>,
    /// The row whose models it serves too.
    #[serde(default)]
    pub models_of: Option<String>,
    /// It makes the models it serves, and answers for their bare names before any host of them.
    #[serde(default)]
    pub maker: bool,
    /// How the bare names of its models begin: `[gpt-, o3]`.
    #[serde(default)]
    pub prefixes: Vec<String>,
}

impl Catalog {
    /// The catalog of this build.
    pub fn shipped() -> &'static Catalog {
        static SHIPPED: LazyLock<Catalog> = LazyLock::new(|| {
            let providers = include_str!("../../../../catalog/providers.yaml");
            let models = include_str!("../../../../catalog/models.yaml");
            Catalog::parse(providers, models).expect("the embedded catalog is valid: a test reads it")
        });
        &SHIPPED
    }

    /// Reads the two files of a catalog.
    pub fn parse(providers: &str, models: &str) -> Result<Catalog, String> {
        fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
            let node = Node::parse(text).map_err(|notice| notice.to_string())?;
            decode(&node).map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
        Ok(Catalog {
            providers: read(providers)?,
            models: read(models)?,
        })
    }

    /// A known provider.
    pub fn provider(&self, name: &str) -> Option<&ProviderRow> {
        self.providers.get(name)
    }

    /// Known providers in the order of the file.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &ProviderRow)> {
        self.providers.iter()
    }

    /// A known provider's model.
    pub fn model(&self, provider: &str, model: &str) -> Option<&Model> {
        self.models_of(provider).and_then(|models| models.get(model))
    }

    /// Every known model of a provider, in the order of the file: the first of a model tier stands in for others' models.
    pub fn models(&self, provider: &str) -> impl Iterator<Item = (&str, &Model)> {
        self.models_of(provider).into_iter().flat_map(Entries::iter)
    }

    fn models_of(&self, provider: &str) -> Option<&Entries<Model>> {
        match self.models.get(provider) {
            Some(models) => Some(models),
            None => self.models.get(self.providers.get(provider)?.models_of.as_deref()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalog_is_sound() {
        let catalog = Catalog::shipped();
        for name in [
            "openai",
            "anthropic",
            "gemini",
            "groq",
            "mistral",
            "deepseek",
            "xai",
            "together",
            "fireworks",
            "cerebras",
            "openrouter",
            "ollama",
            "vllm",
            "azure",
        ] {
            assert!(catalog.provider(name).is_some(), "{name} is known");
        }
        let mut count = 0;
        for (provider, models) in catalog.models.iter() {
            assert!(
                catalog.provider(provider).is_some(),
                "models of `{provider}`, which is no provider"
            );
            for (model, facts) in models.iter() {
                count += 1;
                let place = format!("{provider}/{model}");
                assert!(facts.context_window.is_some_and(|w| w >= 4096), "{place}: window");
                assert!(
                    facts
                        .max_output
                        .is_none_or(|m| m >= 1024 && Some(m) <= facts.context_window),
                    "{place}: output"
                );
                assert!(
                    facts.features.is_some() && facts.model_tier.is_some(),
                    "{place}: features and model tier"
                );
            }
        }
        assert!(count >= 50, "{count} models");
    }
}
