//! Tiers: a group's deployments by `order` and weight, then the groups it falls back to.

use std::collections::BTreeSet;

use crate::import::draft::Draft;
use crate::import::litellm::deployment::{Deployment, Target};
use crate::import::litellm::settings::{Fallbacks, Settings};
use crate::import::plan::{PlannedRoute, PlannedTier, Service, weights};
use crate::import::reader::Value;

/// Who falls back to whom.
pub struct Chains<'d, 'a> {
    deployments: &'d [Deployment<'a>],
    settings: &'d Settings<'a>,
}

impl<'d, 'a> Chains<'d, 'a> {
    /// The chains of a configuration.
    pub fn of(deployments: &'d [Deployment<'a>], settings: &'d Settings<'a>) -> Chains<'d, 'a> {
        Chains { deployments, settings }
    }

    /// Whether a group has fallbacks of its own.
    pub fn starts_at(&self, group: &str) -> bool {
        self.settings
            .every_fallback()
            .any(|(_, fallbacks)| fallbacks.iter().any(|f| f.from == group))
    }

    /// Appends the tiers that a group falls back to.
    pub fn follow(&self, group: &str, route: &mut PlannedRoute, draft: &mut Draft) {
        let of = |fallbacks: &'d Fallbacks<'a>| fallbacks.iter().find(|f| f.from == group);
        let generic = |fallbacks: &'d Fallbacks<'a>| fallbacks.iter().find(|f| f.from == "*");
        let general = of(&self.settings.fallbacks).or_else(|| generic(&self.settings.fallbacks));
        let defaults = self.settings.default_fallbacks.as_ref();
        let mut visited = BTreeSet::from([group.to_owned()]);
        match general {
            Some(fallback) => self.append(&fallback.to, &mut visited, route, draft),
            None => {
                let to = defaults.map(|d| d.as_slice()).unwrap_or_default();
                self.append(to, &mut visited, route, draft);
            }
        }
        for (to, _) in general.map(|f| f.to.as_slice()).unwrap_or_default() {
            let further = of_name(&self.settings.fallbacks, to).filter(|_| !to.is_empty());
            if let Some(further) = further.filter(|f| f.to.iter().any(|(name, _)| !visited.contains(*name))) {
                let message =
                    format!("from `{group}` the fallbacks of `{to}` are not followed further: add them to the route");
                let finding = draft.report.changed(&further.at, message);
                route.remark(&draft.file, &finding);
            }
        }
        if let Some(fallback) = of(&self.settings.context_window) {
            let message = format!(
                "these are tiers of `{group}` after all others: a call that is too long goes to those with a larger window at once, and \
                 other failures reach them too"
            );
            let finding = draft.report.changed(&fallback.at, message);
            route.remark(&draft.file, &finding);
            self.append(&fallback.to, &mut visited, route, draft);
        }
        if let Some(fallback) = of(&self.settings.content_policy) {
            let message = format!(
                "`on_content_filter: fallback` lets `{group}` go on with its next target, whichever that is; other failures reach these \
                 tiers too"
            );
            let finding = draft.report.changed(&fallback.at, message);
            route.remark(&draft.file, &finding);
            route.service.content_filter_falls_back = true;
            self.append(&fallback.to, &mut visited, route, draft);
        }
    }

    fn append(
        &self,
        to: &[(&'a str, Value<'a>)],
        visited: &mut BTreeSet<String>,
        route: &mut PlannedRoute,
        draft: &mut Draft,
    ) {
        for (name, at) in to {
            if !visited.insert((*name).to_owned()) {
                continue;
            }
            let mut found = tiers(name, self.deployments, self.settings, draft);
            if found.is_empty() {
                found = self.one(name).into_iter().collect();
            }
            if found.is_empty() {
                let message = format!("`{}` falls back to `{name}`, which is not written", route.name);
                let finding = draft.report.not_carried(at, message);
                route.remark(&draft.file, &finding);
            }
            route.tiers.extend(found);
        }
    }

    /// A deployment by its id, or a model of a wildcard.
    fn one(&self, name: &str) -> Option<PlannedTier> {
        let by_id = self
            .deployments
            .iter()
            .find(|d| d.id == Some(name))
            .and_then(|d| d.target.clone());
        let by_pattern = || {
            let of_pattern = |d: &&Deployment| {
                let start = d.group.strip_suffix('*');
                d.model_pattern == "*" && start.is_some_and(|start| !start.is_empty() && name.starts_with(start))
            };
            let deployment = self.deployments.iter().find(of_pattern)?;
            let start = deployment.group.strip_suffix('*')?;
            Some(Target {
                provider: deployment.target.as_ref()?.provider.clone(),
                model: name.strip_prefix(start)?.to_owned(),
            })
        };
        let target = by_id.or_else(by_pattern)?;
        Some(PlannedTier {
            targets: vec![(shown(&target), 1)],
            service: Service::default(),
        })
    }

    /// Tells fallbacks of groups that do not exist.
    pub fn tell_unknown(&self, draft: &mut Draft) {
        for (_, fallbacks) in self.settings.every_fallback() {
            for fallback in fallbacks {
                let known = fallback.from == "*" || self.deployments.iter().any(|d| d.group == fallback.from);
                if !known {
                    let message = format!("no deployment is called `{}`", fallback.from);
                    draft.report.not_carried(&fallback.at, message);
                }
            }
        }
    }
}

fn of_name<'d, 'a>(fallbacks: &'d Fallbacks<'a>, name: &str) -> Option<&'d super::settings::Fallback<'a>> {
    fallbacks.iter().find(|f| f.from == name)
}

fn shown(target: &Target) -> String {
    format!("{}/{}", target.provider, target.model)
}

/// The tiers of a group: its deployments by `order`, those without one last.
pub fn tiers(group: &str, deployments: &[Deployment], settings: &Settings, draft: &mut Draft) -> Vec<PlannedTier> {
    let all: Vec<&Deployment> = deployments
        .iter()
        .filter(|d| d.group == group && !d.is_wildcard() && d.target.is_some())
        .collect();
    let orders: BTreeSet<u32> = all.iter().map(|d| d.order.unwrap_or(u32::MAX)).collect();
    orders
        .into_iter()
        .map(|order| {
            let members: Vec<&Deployment> = all
                .iter()
                .filter(|d| d.order.unwrap_or(u32::MAX) == order)
                .copied()
                .collect();
            tier(&members, settings, draft)
        })
        .collect()
}

fn tier(members: &[&Deployment], settings: &Settings, draft: &mut Draft) -> PlannedTier {
    // Which key weighs is decided by the first deployment; those without it weigh nothing.
    let weighing = members
        .first()
        .and_then(|first| first.shares.iter().position(Option::is_some));
    let shares: Vec<f64> = members
        .iter()
        .map(|d| weighing.map_or(1.0, |by| d.shares[by].unwrap_or(0.0)))
        .collect();
    let by_weight = settings.balance.is_none() && members.len() > 1;
    let mut targets: Vec<(String, f64)> = Vec::new();
    for (member, share) in members.iter().zip(shares) {
        let Some(target) = &member.target else { continue };
        let target = shown(target);
        match targets.iter_mut().find(|(known, _)| *known == target) {
            Some((_, known)) => {
                *known += share;
                draft.report.changed(
                    &member.at,
                    "the same model at the same provider as another deployment of its group: the two are one target",
                );
            }
            None => targets.push((target, if by_weight { share } else { 1.0 })),
        }
    }
    let shares: Vec<f64> = targets.iter().map(|(_, share)| *share).collect();
    let weights = match by_weight && targets.len() > 1 {
        true => weights(&shares),
        false => vec![1; targets.len()],
    };
    PlannedTier {
        targets: targets.into_iter().map(|(target, _)| target).zip(weights).collect(),
        service: Service {
            total: agreed(members, |d| d.timeout.clone(), draft),
            first_token: agreed(members, |d| d.stream_timeout.clone(), draft),
            retries: agreed(members, |d| d.retries.clone(), draft),
            ..Service::default()
        },
    }
}

/// The largest value that the members of a tier have; a difference between them is told.
fn agreed<'a, T: Ord + Copy>(
    members: &[&Deployment<'a>],
    of: impl Fn(&Deployment<'a>) -> Option<(T, Value<'a>)>,
    draft: &mut Draft,
) -> Option<T> {
    let written: Vec<(T, Value)> = members.iter().filter_map(|d| of(d)).collect();
    let largest = written.iter().map(|(value, _)| *value).max()?;
    for (value, at) in &written {
        if *value != largest || written.len() != members.len() {
            draft.report.changed(
                at,
                "the deployments of a tier share this: the largest of their values is written",
            );
        }
    }
    Some(largest)
}
