//! What is valid and probably not meant: fallbacks that fail together, clocks that never fire, tiers that are never reached.

use std::time::Duration;

use crate::config::Config;
use crate::config::nearest::did_you_mean;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::topology::{RouteSpec, Topology};
use crate::config::units::write_duration;

/// Everything doubtful about a sound configuration.
pub fn lint(config: &Config, topology: &Topology, root: &Node) -> Vec<Notice> {
    let mut found = Vec::new();
    for route in &topology.routes {
        let place = Place::root().key("routes").key(route.policy.name.as_str());
        one_domain(route, topology, &place, root, &mut found);
        clocks(route, &place, root, &mut found);
    }
    for (name, route) in config.routes.iter() {
        for (number, tier) in route.tiers.iter().enumerate() {
            for (position, target) in tier.targets.iter().enumerate() {
                let place = Place::root().key("routes").key(name).key("tiers").index(number);
                let place = place.key("targets").index(position);
                model(
                    target.target.provider(),
                    target.target.model(),
                    topology,
                    &place,
                    root,
                    &mut found,
                );
            }
        }
    }
    found
}

fn one_domain(route: &RouteSpec, topology: &Topology, place: &Place, root: &Node, found: &mut Vec<Notice>) {
    let Some(first) = route.targets.first().map(|t| t.facts.domain) else {
        return;
    };
    let tiers = route
        .policy
        .tiers
        .iter()
        .filter(|tier| !tier.targets.is_empty())
        .count();
    if tiers > 1 && route.targets.iter().all(|t| t.facts.domain == first) {
        let domain = &topology.domains[first.0 as usize];
        let message = format!(
            "all tiers of `{}` share one failure domain, `{domain}`",
            route.policy.name
        );
        let help = "a fallback elsewhere survives its outage";
        found.push(root.notice(&place.key("tiers"), message).with_help(help));
    }
}

fn clocks(route: &RouteSpec, place: &Place, root: &Node, found: &mut Vec<Notice>) {
    let deadline = route.policy.deadline;
    // What the tiers so far may take together; `None` from the first one that has no total.
    let mut before = Some(Duration::ZERO);
    for (number, tier) in route.policy.tiers.iter().enumerate() {
        let place = place.key("tiers").index(number);
        let total = tier.timeouts.total;
        if number as u32 >= route.policy.tiers_max {
            let message = format!(
                "a call visits at most {} tiers, so that this one is never reached",
                route.policy.tiers_max
            );
            found.push(root.notice(&place, message).with_help("raise `tiers_max`"));
            continue;
        }
        if let Some(sum) = before.filter(|sum| number > 0 && *sum >= deadline) {
            let message = format!(
                "the tiers before it may take {}, and the deadline of {} ends the call before this one is tried",
                write_duration(sum),
                write_duration(deadline)
            );
            found.push(root.notice(&place, message));
        }
        if let Some(total) = total.filter(|total| *total > deadline) {
            let message = format!(
                "`total` is {}, and the deadline of {} ends the call first",
                write_duration(total),
                write_duration(deadline)
            );
            found.push(root.notice(&place.key("timeouts").key("total"), message));
        }
        if let (Some(first_token), Some(total)) = (tier.timeouts.first_token, total)
            && first_token >= total
        {
            let message = format!("`first_token` never fires: `total` is {}", write_duration(total));
            found.push(root.notice(&place.key("timeouts").key("first_token"), message));
        }
        before = before.zip(total).map(|(sum, total)| sum + total);
    }
}

fn model(provider: &str, name: &str, topology: &Topology, place: &Place, root: &Node, found: &mut Vec<Notice>) {
    let Some(spec) = topology.provider(provider) else {
        return;
    };
    match spec.known(name) {
        Some(known) => {
            if let Some(day) = known.deprecated {
                found.push(root.notice(place, format!("`{provider}` turns `{name}` off on {day}")));
            }
        }
        // A provider without known models serves what nobody here can know.
        None => {
            if let Some(near) = did_you_mean(name, spec.known_models()) {
                let message = format!(
                    "the catalog does not know `{name}` of `{provider}`, so that its window and abilities are guessed"
                );
                let help = format!("{near} Else describe it in `providers.{provider}.models`");
                found.push(root.notice(place, message).with_help(help));
            }
        }
    }
}
