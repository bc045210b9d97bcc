//! What is known of another gateway's names: who its providers are here, and why a key of its has no counterpart.
//!
//! The facts are data beside this file (`litellm.yaml`, `tensorzero.yaml`), so that a provider that becomes expressible is one
//! line less and a new key of theirs is one word more.

use gateway::config::catalog::Catalog;
use gateway::config::decode::decode;
use gateway::config::entries::Entries;
use gateway::config::node::Node;
use serde::Deserialize;

use crate::import::reader::Section;
use crate::import::report::{Kind, Report};

/// What is known of one gateway.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Its words for providers.
    pub providers: Entries<ProviderFacts>,
    /// Keys of a provider that are headers of every request to it.
    pub headers: Entries<String>,
    not_carried: Entries<Vec<Reason>>,
}

/// Who a provider of theirs is here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderFacts {
    rows: Vec<String>,
    /// The variable its key is read from when none is written, where it is not the catalog's own.
    #[serde(default)]
    pub key: Option<String>,
    /// The variable its address is read from when none is written.
    #[serde(default)]
    pub base: Option<String>,
    /// What the address needs behind its host.
    #[serde(default)]
    pub path: Option<String>,
    /// How names without a prefix begin that lead to it.
    #[serde(default)]
    pub bare: Vec<String>,
    /// With an address of its own it is any server that speaks the dialect.
    #[serde(default)]
    pub compatible: bool,
    /// It asks for no key unless one is written.
    #[serde(default)]
    pub keyless: bool,
    /// Why its targets cannot be written yet.
    #[serde(default)]
    pub gap: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    keys: Vec<String>,
    #[serde(default)]
    kind: Option<String>,
    why: String,
}

impl Facts {
    /// Reads the facts of this build.
    ///
    /// # Panics
    /// When the embedded text is not sound, which a test rules out.
    pub fn shipped(text: &str) -> Facts {
        let node = Node::parse(text).expect("the embedded facts are YAML: a test reads them");
        decode(&node).expect("the embedded facts are sound: a test reads them")
    }

    /// The provider of a word, and of a word that is not known but is one of the catalog's own names.
    pub fn provider(&self, word: &str) -> Option<ProviderFacts> {
        let known = self.providers.get(word).cloned();
        known.or_else(|| Catalog::shipped().provider(word).map(|_| ProviderFacts::of_row(word)))
    }

    /// The provider of a model's name that has no prefix.
    pub fn owner(&self, model: &str) -> Option<(String, ProviderFacts)> {
        let theirs = self
            .providers
            .iter()
            .find(|(_, facts)| facts.bare.iter().any(|start| model.starts_with(start.as_str())));
        if let Some((word, facts)) = theirs {
            return Some((word.to_owned(), facts.clone()));
        }
        let ours = Catalog::shipped().providers().find(|(name, row)| {
            row.maker && (row.prefixes.iter().any(|p| model.starts_with(p.as_str())) || knows(name, model))
        });
        ours.map(|(name, _)| (name.to_owned(), ProviderFacts::of_row(name)))
    }

    /// Tells every key of a section that nobody took, with the reason where there is one.
    pub fn tell_rest(&self, section: &Section, kind_of_section: &str, report: &mut Report) {
        let reasons = self.not_carried.get(kind_of_section);
        for (key, value) in section.rest() {
            let reason = reasons
                .into_iter()
                .flatten()
                .find(|r| r.keys.iter().any(|pattern| fits(pattern, key)));
            match reason {
                Some(reason) => {
                    let kind = match reason.kind.as_deref() {
                        Some("ignored") => continue,
                        Some("changed") => Kind::Changed,
                        Some("todo") => Kind::ToDo,
                        Some(_) | None => Kind::NotCarriedOver,
                    };
                    report.say(kind, &value, reason.why.clone());
                }
                None => {
                    report.not_carried(&value, "the importer does not know this key");
                }
            }
        }
    }
}

impl ProviderFacts {
    /// The row of the catalog it is.
    pub fn row(&self) -> Option<&str> {
        self.rows
            .iter()
            .map(String::as_str)
            .find(|row| Catalog::shipped().provider(row).is_some())
    }

    fn of_row(row: &str) -> ProviderFacts {
        ProviderFacts {
            rows: vec![row.to_owned()],
            key: None,
            base: None,
            path: None,
            bare: Vec::new(),
            compatible: false,
            keyless: false,
            gap: None,
        }
    }
}

fn knows(provider: &str, model: &str) -> bool {
    Catalog::shipped().model(provider, model).is_some()
}

/// A key or a pattern with one `*` at either end.
fn fits(pattern: &str, key: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(middle), Some(_)) => key.contains(middle.trim_end_matches('*')),
        (Some(end), None) => key.ends_with(end),
        (None, Some(start)) => key.starts_with(start),
        (None, None) => key == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_facts_are_sound() {
        for text in [include_str!("litellm.yaml"), include_str!("tensorzero.yaml")] {
            let facts = Facts::shipped(text);
            assert!(facts.providers.len() > 15);
            for (section, reasons) in facts.not_carried.iter() {
                for reason in reasons {
                    assert!(!reason.keys.is_empty() && !reason.why.is_empty(), "{section}");
                    assert!(
                        matches!(reason.kind.as_deref(), None | Some("ignored" | "changed" | "todo")),
                        "{section}: {:?}",
                        reason.kind
                    );
                }
            }
        }
    }

    #[test]
    fn a_pattern_has_its_star_at_an_end() {
        for (pattern, key, expected) in [
            ("rpm", "rpm", true),
            ("rpm", "rpms", false),
            ("aws_*", "aws_region_name", true),
            ("*_cost_*", "input_cost_per_token", true),
            ("*_key", "some_key", true),
            ("*_key", "key_some", false),
        ] {
            assert_eq!(fits(pattern, key), expected, "{pattern} {key}");
        }
    }
}
