//! A configuration without a file: providers from the keys in the environment, and one route for every bare model name.
//!
//! The route is `default`: the model's owner first, then the other providers' model of the same model tier. It is made for
//! each name when it is asked for, so that a model the catalog does not know yet is served too.

use std::sync::Arc;

use policy::route::TierTarget;
use types::ids::{ModelTier, RouteName, TargetIx};

use crate::config::catalog::Catalog;
use crate::config::env::Env;
use crate::config::node::Node;
use crate::config::notice::{ConfigErrors, Notice};
use crate::config::provider::Provider;
use crate::config::topology::{RouteSpec, TargetSpec, Topology};
use crate::config::{Config, Loaded, finish};

/// The route's name, and a model's name that takes it.
pub const DEFAULT: &str = "default";
/// So many variables are told where none is set; there are more.
const TOLD_MAX: usize = 12;

/// Builds a configuration from the keys found in the environment.
pub fn from_environment(env: &dyn Env) -> Result<Loaded, ConfigErrors> {
    let mut config = Config::default();
    let mut found = Vec::new();
    let is_set = |var: &str| env.var(var).is_some_and(|value| !value.is_empty());
    for (name, row, var) in Catalog::shipped().providers_with_key(is_set) {
        // A provider with an address of one's own cannot be known from its key alone, nor one whose key opens other doors too.
        if row.base_url.is_some() && !row.common_key {
            config.providers.insert(name, Provider::default());
            found.push(format!("`{name}` ({var})"));
        }
    }
    if found.is_empty() {
        let vars: Vec<&str> = Catalog::shipped()
            .providers()
            .filter(|(_, row)| row.base_url.is_some() && !row.common_key)
            .filter_map(|(_, row)| row.key.first().map(String::as_str))
            .take(TOLD_MAX)
            .collect();
        let help = format!("write a `jumpseat.yaml`, or set one of: {}, …", vars.join(", "));
        return Err(
            Notice::new("there is no configuration file and no provider's key in the environment")
                .with_help(help)
                .into(),
        );
    }
    let mut loaded = finish(config, &Node::empty(), env, Vec::new())?;
    let topology = &mut loaded.topology;
    topology.stand_ins = true;
    if let Some(route) = topology.default_route(DEFAULT) {
        topology.names.insert(DEFAULT.to_owned(), 0);
        topology.routes.push(route);
    }
    let mut notes = vec![Notice::new(format!(
        "no configuration file: providers from the environment are {}",
        found.join(", ")
    ))];
    notes.push(Notice::new(format!(
        "every bare model name takes route `{DEFAULT}`: its owner first, then the others' model of the same model tier: {}",
        tiers(topology)
    )));
    loaded.warnings.splice(0..0, notes);
    Ok(loaded)
}

/// Which models stand in for each other, for the note.
fn tiers(topology: &Topology) -> String {
    [ModelTier::Premium, ModelTier::Standard, ModelTier::Economy]
        .into_iter()
        .map(|tier| {
            let models: Vec<String> = (0..topology.providers.len())
                .filter_map(|p| Some(format!("{}/{}", topology.providers[p].id, topology.stand_in(p, tier)?)))
                .collect();
            format!(
                "{} {}",
                tier.as_str(),
                if models.is_empty() {
                    "none".to_owned()
                } else {
                    models.join(", ")
                }
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}

impl Topology {
    /// Route `default` for a bare model name; `None` when no provider can be its owner.
    pub(super) fn default_route(&self, model: &str) -> Option<RouteSpec> {
        let (owner, own) = match model {
            DEFAULT => {
                (0..self.providers.len()).find_map(|p| Some((p, self.stand_in(p, ModelTier::Standard)?.to_owned())))?
            }
            _ => (
                self.owner(model).or_else(|| self.guessed_owner(model))?,
                model.to_owned(),
            ),
        };
        let first = self.target(owner, &own);
        let model_tier = first.facts.model_tier.unwrap_or(ModelTier::Standard);
        let others = (0..self.providers.len())
            .filter(|p| *p != owner && self.providers[*p].enabled)
            .filter_map(|p| Some(self.target(p, self.stand_in(p, model_tier)?)));
        let targets: Vec<TargetSpec> = std::iter::once(first).chain(others).collect();
        let tiers = (0..targets.len() as u32)
            .map(|index| {
                let mut tier = self.defaults.tier_policy();
                tier.targets = vec![TierTarget {
                    target: TargetIx(index),
                    weight: 1,
                }];
                tier
            })
            .collect();
        let policy = Arc::new(self.defaults.policy(RouteName::from(DEFAULT), tiers));
        Some(RouteSpec {
            policy,
            targets,
            left_out: Vec::new(),
            prompts: Vec::new(),
            metadata_in_body: self.metadata_in_body,
        })
    }

    /// The model of a provider that stands in for others' of a model tier.
    fn stand_in(&self, provider: usize, tier: ModelTier) -> Option<&str> {
        // Without a configuration file nobody says anything else of a model than the catalog.
        Catalog::shipped().stand_in(self.providers[provider].row.as_deref()?, tier)
    }

    /// Who makes a model that the catalog does not know: by how its name begins, or the only provider there is.
    fn guessed_owner(&self, model: &str) -> Option<usize> {
        if model.contains('/') {
            return None;
        }
        let enabled = || (0..self.providers.len()).filter(|p| self.providers[*p].enabled);
        let begins = |p: &usize| {
            self.providers[*p]
                .row()
                .is_some_and(|row| row.prefixes.iter().any(|prefix| model.starts_with(prefix.as_str())))
        };
        enabled().find(begins).or_else(|| {
            let mut all = enabled();
            all.next().filter(|_| all.next().is_none())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;
    use crate::config::topology::Resolution;

    fn served_by(topology: &Topology, model: &str) -> Vec<String> {
        let route = match topology.resolve(model) {
            Resolution::Route(index) => topology.routes[index].clone(),
            Resolution::Direct(route) => route,
            Resolution::Unknown { .. } => return Vec::new(),
        };
        assert_eq!(route.policy.tiers.len(), route.targets.len());
        route.targets.iter().map(|t| t.facts.id.to_string()).collect()
    }

    #[test]
    fn a_bare_name_goes_to_its_owner_and_then_to_the_others_model_of_the_same_model_tier() {
        let env = MapEnv::of([
            ("ANTHROPIC_API_KEY", "a"),
            ("OPENAI_API_KEY", "o"),
            ("GEMINI_API_KEY", ""),
            ("GROQ_API_KEY", "g"),
        ]);
        let loaded = from_environment(&env).unwrap();
        let topology = &loaded.topology;
        assert_eq!(topology.providers.len(), 3);
        let claude = served_by(topology, "claude-sonnet-5-5");
        assert_eq!(
            claude,
            [
                "anthropic/claude-sonnet-5-5",
                "openai/gpt-6.1-sol",
                "groq/openai/gpt-oss-120b"
            ]
        );
        assert_eq!(
            served_by(topology, "gpt-5-nano")[..2],
            ["openai/gpt-5-nano", "anthropic/claude-haiku-5-5"]
        );
        assert_eq!(
            served_by(topology, "claude-next-9")[0],
            "anthropic/claude-next-9",
            "a maker's name it does not know"
        );
        assert_eq!(served_by(topology, DEFAULT)[0], "openai/gpt-6.1-sol");
        assert_eq!(
            served_by(topology, "openai/gpt-5-nano"),
            ["openai/gpt-5-nano"],
            "a target named is that target alone"
        );
        assert_eq!(served_by(topology, "llama-7"), [""; 0]);
        let notes: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(
            notes[0].contains("`openai` (OPENAI_API_KEY), `anthropic` (ANTHROPIC_API_KEY)"),
            "{notes:?}"
        );
        assert!(
            notes[1].contains("economy openai/gpt-6-luna, anthropic/claude-haiku-5-5"),
            "{notes:?}"
        );
    }

    #[test]
    fn without_any_key_it_says_which_would_do() {
        let errors = from_environment(&MapEnv::default()).unwrap_err();
        assert!(
            errors
                .to_string()
                .contains("OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY"),
            "{errors}"
        );
    }
}
