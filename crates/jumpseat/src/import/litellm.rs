//! LiteLLM's `config.yaml`: deployments of one `model_name` become a route, `order` and fallbacks become its tiers.
//!
//! It writes nothing itself; see [`crate::import::draft`] for providers and [`crate::import::plan`] for what comes out.
//! Start at [`import`].

mod chain;
mod deployment;
mod settings;

use std::collections::BTreeMap;

use gateway::config::node::Node;

use crate::import::draft::{Draft, Reference};
use crate::import::plan::{PlannedRoute, PlannedTier};
use crate::import::reader::{Section, Value};

use chain::Chains;
use deployment::Deployment;
use settings::Settings;

/// What marks a value that is kept in the environment.
const ENVIRONMENT: &str = "os.environ/";

/// Reads a configuration of LiteLLM's proxy into the draft.
pub fn import(root: &Node, draft: &mut Draft) {
    let root = Value::root(root);
    for text in root.every_text() {
        if let Some(variable) = text.strip_prefix(ENVIRONMENT) {
            draft.secrets.reserve(variable);
        }
    }
    let Some(top) = root.section() else {
        draft
            .report
            .not_carried(&root, "the file is no map: there is nothing to import");
        return;
    };
    let credentials = credentials(&top, draft);
    let settings = Settings::read(&top, draft);
    let list = top.take("model_list");
    if let Some(list) = list
        .as_ref()
        .filter(|l| l.items().is_empty() && !l.entries().is_empty())
    {
        draft.report.not_carried(list, "a list is expected here");
    }
    let list = list.map(|l| l.items()).unwrap_or_default();
    list.iter().for_each(|item| deployment::reserve_usual(item, draft));
    let deployments: Vec<Deployment> = list
        .iter()
        .filter_map(|item| Deployment::read(item, &credentials, draft))
        .collect();
    routes(&deployments, &settings, draft);
    settings.aliases(draft);
    environment(&top, draft);
    let facts = draft.facts;
    facts.tell_rest(&top, "top", &mut draft.report);
}

/// What a text means: itself, or a variable.
fn reference(text: &str) -> Reference {
    match text.strip_prefix(ENVIRONMENT) {
        Some(variable) => Reference::Variable(variable.trim().to_owned()),
        None => Reference::Literal(text.to_owned()),
    }
}

/// Variables that the source sets for itself: their values may be secrets, and this configuration sets none.
fn environment(top: &Section, draft: &mut Draft) {
    let variables = top.take("environment_variables").map(|v| v.entries());
    for (name, value) in variables.unwrap_or_default() {
        match draft.secrets.reads(name) {
            true => {
                let message =
                    format!("a configuration sets no variables: set `{name}` in the environment of the gateway");
                draft.report.left_to_do(&value, message);
            }
            false => {
                draft.report.not_carried(
                    &value,
                    "a configuration sets no variables, and nothing here reads this one",
                );
            }
        }
    }
}

/// `credential_list` by name.
fn credentials<'a>(top: &Section<'a>, draft: &mut Draft) -> BTreeMap<&'a str, Value<'a>> {
    let mut known = BTreeMap::new();
    for item in top.take("credential_list").map(|l| l.items()).unwrap_or_default() {
        let Some(section) = item.section() else { continue };
        let name = section.take("credential_name").and_then(|n| n.text());
        let values = section.take("credential_values");
        section.take("credential_info");
        draft.facts.tell_rest(&section, "credential", &mut draft.report);
        if let (Some(name), Some(values)) = (name, values) {
            known.insert(name, values);
        }
    }
    known
}

fn routes(deployments: &[Deployment], settings: &Settings, draft: &mut Draft) {
    let chains = Chains::of(deployments, settings);
    let mut seen: Vec<&str> = Vec::new();
    for deployment in deployments.iter().filter(|d| !d.is_wildcard()) {
        let group = deployment.group;
        if seen.contains(&group) {
            continue;
        }
        seen.push(group);
        let own = chain::tiers(group, deployments, settings, draft);
        if own.is_empty() {
            let why = deployment.left_out.clone().unwrap_or_default();
            draft.plan.left_out.push((group.to_owned(), why));
            continue;
        }
        let mut route = PlannedRoute {
            name: group.to_owned(),
            tiers: own,
            ..PlannedRoute::default()
        };
        chains.follow(group, &mut route, draft);
        settings.of_group(group, &mut route, draft);
        route.tiers.iter_mut().for_each(|tier| lift(&settings.balance, tier));
        draft.plan.route(route);
    }
    wildcards(deployments, &chains, draft);
    chains.tell_unknown(draft);
}

/// A tier of one target has nothing to balance.
fn lift(balance: &Option<&'static str>, tier: &mut PlannedTier) {
    if tier.targets.len() > 1 && tier.service.balance.is_none() {
        tier.service.balance = *balance;
    }
}

/// `provider/*` needs no route here: `provider/model` is a name that every configured provider answers to.
fn wildcards(deployments: &[Deployment], chains: &Chains, draft: &mut Draft) {
    let mut seen: Vec<&str> = Vec::new();
    for deployment in deployments.iter().filter(|d| d.is_wildcard()) {
        let group = deployment.group;
        let Some(target) = &deployment.target else {
            draft
                .plan
                .left_out
                .push((group.to_owned(), deployment.left_out.clone().unwrap_or_default()));
            continue;
        };
        let name = &target.provider;
        let message = if seen.contains(&group) {
            Some(format!(
                "calls of `{group}` go to one provider here: `{name}` is written, and called by its own name"
            ))
        } else if group == format!("{name}/*") && deployment.model_pattern == "*" {
            chains.starts_at(group).then(|| {
                "a call that names its target (`provider/model`) has no fallbacks: write a route for the models that need them"
                    .to_owned()
            })
        } else {
            Some(format!(
                "a route stands for fixed models, not for a pattern: `{name}/MODEL` names any model of the provider, and a bare \
                 name that the catalog knows goes to it too"
            ))
        };
        seen.push(group);
        if let Some(message) = message {
            let finding = draft.report.changed(&deployment.at, message);
            let file = draft.file.clone();
            draft.plan.remark(name, &file, &finding);
        }
    }
}
