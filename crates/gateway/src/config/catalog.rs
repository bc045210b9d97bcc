//! The catalog: providers and models that are known without being configured. `catalog/*.yaml`, embedded.
//!
//! A provider is a row, a model is a row. Whatever the configuration writes wins over them.

use std::sync::{LazyLock, OnceLock};

use rustc_hash::FxHashMap;
use serde::Deserialize;
use types::dialect::DialectName;
use types::ids::ModelTier;
use wire::quirks::Quirks;

use crate::config::model::Model;
use crate::config::rows::Rows;

/// Known providers and models. Only what is asked for is read: the file has thousands of rows.
#[derive(Debug, Clone)]
pub struct Catalog {
    providers: Rows<ProviderRow>,
    models: FxHashMap<&'static str, Section>,
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
    /// Its key's variable is commonly set for other purposes too (`GITHUB_TOKEN`): without a configuration file it is not taken
    /// for a wish to call this provider.
    #[serde(default)]
    pub common_key: bool,
    /// How its requests differ from those of its dialect.
    #[serde(default)]
    pub quirks: Quirks,
}

impl Catalog {
    /// The catalog of this build.
    pub fn shipped() -> &'static Catalog {
        static SHIPPED: LazyLock<Catalog> = LazyLock::new(|| {
            let providers = include_str!("../../../../catalog/providers.yaml");
            let models = include_str!("../../../../catalog/models.yaml");
            Catalog::of(providers, models)
        });
        &SHIPPED
    }

    /// A catalog of two files. Rows are read when they are asked for.
    fn of(providers: &'static str, models: &'static str) -> Catalog {
        let section = |(name, text)| {
            let rows = OnceLock::new();
            (name, Section { text, rows })
        };
        Catalog {
            providers: Rows::of(providers),
            models: sections(models).map(section).collect(),
        }
    }

    /// A known provider.
    pub fn provider(&self, name: &str) -> Option<&ProviderRow> {
        self.providers.get(name)
    }

    /// The names of known providers in the order of the file; no row is read.
    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.providers.names()
    }

    /// Known providers in the order of the file.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &ProviderRow)> {
        self.providers.iter()
    }

    /// Known providers with a key variable of which `is_set` says so, in the order of the file, and that variable.
    pub fn providers_with_key(
        &self,
        is_set: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&str, &ProviderRow, &str)> {
        let keys = |text: &str| {
            let behind = text.split_once("key: [").map_or("", |(_, behind)| behind);
            let keys = behind.split(']').next().unwrap_or_default();
            keys.split(',').any(|var| is_set(var.trim()))
        };
        // Reading a hundred rows to find three would be most of a start; the text tells which may be meant.
        let rows: Vec<(&str, &ProviderRow)> = self.providers.whose_text(keys).collect();
        rows.into_iter().filter_map(move |(name, row)| {
            let var = row.key.iter().find(|var| is_set(var))?;
            Some((name, row, var.as_str()))
        })
    }

    /// A known provider's model.
    pub fn model(&self, provider: &str, model: &str) -> Option<&Model> {
        self.models_of(provider).and_then(|models| models.get(model))
    }

    /// The names of a provider's known models, in the order of the file; no row is read.
    pub fn model_names(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.models_of(provider).into_iter().flat_map(Rows::names)
    }

    /// The first of a provider's models in a model tier: it stands in for others' models of that tier.
    pub fn stand_in(&self, provider: &str, tier: ModelTier) -> Option<&str> {
        let rows = self.models_of(provider)?;
        let mut found = rows.whose_text(|text| text.contains(tier.as_str()));
        found
            .find(|(_, facts)| facts.model_tier == Some(tier))
            .map(|(name, _)| name)
    }

    fn models_of(&self, provider: &str) -> Option<&Rows<Model>> {
        let section = match self.models.get(provider) {
            Some(section) => section,
            None => self.models.get(self.provider(provider)?.models_of.as_deref()?)?,
        };
        Some(section.rows.get_or_init(|| Rows::of(section.text)))
    }
}

/// A provider's models as they stand in the file: a line of its name, its rows behind it.
fn sections(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut heads: Vec<(&str, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            heads.push((line.trim_end().trim_end_matches(':'), at, at + line.len()));
        }
        at += line.len();
    }
    (0..heads.len()).map(move |n| {
        let (name, _, start) = heads[n];
        let end = heads.get(n + 1).map_or(text.len(), |(_, begin, _)| *begin);
        (name, &text[start..end])
    })
}

/// A provider's models, looked through when one is first asked for.
#[derive(Debug, Clone)]
struct Section {
    text: &'static str,
    rows: OnceLock<Rows<Model>>,
}

#[cfg(test)]
mod tests {
    use types::features::Features;

    use super::*;
    use crate::config::decode::decode;
    use crate::config::entries::Entries;
    use crate::config::node::Node;

    /// Sections whose provider has no row of `providers.yaml` yet, because its dialect is not spoken yet.
    const NO_ROW_YET: [&str; 1] = ["voyage"];

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> T {
        let node = Node::parse(text).unwrap_or_else(|notice| panic!("{notice}"));
        decode(&node).unwrap_or_else(|found| panic!("{}", found[0]))
    }

    #[test]
    fn every_row_is_yaml_and_the_quick_reader_sees_what_a_yaml_reader_sees() {
        let catalog = Catalog::shipped();
        let models: Entries<Entries<Model>> = read(include_str!("../../../../catalog/models.yaml"));
        let mut count = 0;
        for (provider, models) in models.iter() {
            let known = catalog.provider(provider).is_some() || NO_ROW_YET.contains(&provider);
            assert!(known, "models of `{provider}`, which is no provider");
            let quick: Vec<&str> = catalog.model_names(provider).collect();
            assert_eq!(quick, models.names().collect::<Vec<_>>(), "{provider}");
            for (model, facts) in models.iter() {
                count += 1;
                assert_eq!(catalog.model(provider, model), Some(facts), "{provider}/{model}");
            }
        }
        assert!(count > 2_000, "{count} models");
        let providers: Entries<ProviderRow> = read(include_str!("../../../../catalog/providers.yaml"));
        assert!(providers.iter().eq(catalog.providers()));
        for (name, row) in providers.iter() {
            for var in &row.key {
                let mut found = catalog.providers_with_key(|set| set == var);
                assert!(found.any(|(n, _, v)| n == name && v == var), "{name}: {var}");
            }
        }
        assert_eq!(catalog.providers_with_key(|_| false).count(), 0);
    }

    #[test]
    fn the_facts_of_models_are_sound() {
        let catalog = Catalog::shipped();
        let all = catalog
            .models
            .keys()
            .flat_map(|p| catalog.model_names(p).map(move |m| (*p, m)));
        for (provider, model) in all {
            let facts = catalog.model(provider, model).unwrap();
            let place = format!("{provider}/{model}");
            let embeds = facts.abilities().contains(Features::EMBEDDINGS) && facts.features.is_some();
            let window_min = if embeds { 256 } else { 1024 };
            assert!(facts.context_window.is_none_or(|w| w >= window_min), "{place}: window");
            assert!(
                facts
                    .max_output
                    .is_none_or(|m| m >= 256 && Some(m) <= facts.context_window),
                "{place}: output"
            );
            if let Some(day) = &facts.deprecated {
                assert!(day.parse::<jiff::civil::Date>().is_ok(), "{place}: {day}");
            }
            if let Some(price) = &facts.price {
                let rates = price.prices().standard.rates;
                assert!(rates.input.is_some() || rates.output.is_some(), "{place}: price");
                // A thousand dollars a million tokens is a slip of the comma.
                assert!(rates.output.is_none_or(|p| p.0 < 1_000_000_000), "{place}: {rates:?}");
            }
        }
    }

    #[test]
    fn what_a_person_reviewed_leads_its_section_and_wins() {
        let catalog = Catalog::shipped();
        let reviewed: Entries<Entries<Model>> = read(include_str!("../../../../catalog/reviewed.yaml"));
        for (provider, models) in reviewed.iter() {
            let first: Vec<&str> = catalog.model_names(provider).take(models.len()).collect();
            assert_eq!(first, models.names().collect::<Vec<_>>(), "{provider}");
            for (model, said) in models.iter() {
                let shipped = catalog.model(provider, model).unwrap();
                assert_eq!(said.or(shipped), *shipped, "{provider}/{model}");
                assert!(shipped.price.is_some(), "{provider}/{model} has a price");
                assert!(shipped.features.is_some() && shipped.model_tier.is_some());
            }
            for tier in [ModelTier::Premium, ModelTier::Standard, ModelTier::Economy] {
                let first = models.iter().find(|(_, facts)| facts.model_tier == Some(tier));
                if let Some((name, _)) = first {
                    assert_eq!(catalog.stand_in(provider, tier), Some(name));
                }
            }
        }
    }

    #[test]
    fn providers_have_addresses_that_a_client_can_use() {
        let catalog = Catalog::shipped();
        let rows: Vec<(&str, &ProviderRow)> = catalog.providers().collect();
        let chat = rows
            .iter()
            .filter(|(_, row)| row.dialect == DialectName::OpenaiChat)
            .count();
        assert!(chat >= 60, "{chat} that speak openai_chat");
        for (name, row) in rows {
            if let Some(url) = &row.base_url {
                let uri: http::Uri = url.parse().unwrap();
                let local = uri.host().is_some_and(|host| host == "127.0.0.1");
                assert_eq!(uri.scheme_str(), Some(if local { "http" } else { "https" }), "{name}");
                assert!(!url.ends_with('/') && !url.contains("/chat/completions"), "{name}");
                assert_eq!(
                    local,
                    row.key.is_empty(),
                    "{name}: what is on this machine needs no key, and else nothing"
                );
            }
            assert!(
                row.models_of.as_deref().is_none_or(|of| catalog.provider(of).is_some()),
                "{name}"
            );
            assert!(row.key.iter().all(|var| {
                var.bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            }));
        }
    }
}
