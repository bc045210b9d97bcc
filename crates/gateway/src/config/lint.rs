//! What is valid and probably not meant: fallbacks that fail together or can do less, clocks that never fire, tiers that are
//! never reached, models without a price or without a future.

use std::time::Duration;

use policy::route::TierPolicy;
use types::features::Features;

use crate::config::Config;
use crate::config::budgets;
use crate::config::credential::Source;
use crate::config::nearest::did_you_mean;
use crate::config::node::Node;
use crate::config::notice::Notice;
use crate::config::place::Place;
use crate::config::topology::{RouteSpec, Topology};
use crate::config::units::write_duration;

/// What a fallback should be able to do when the tier before it is. The other features are rare, and few providers have them.
const COMPARED: Features = Features::TOOLS
    .with(Features::PARALLEL_TOOLS)
    .with(Features::VISION)
    .with(Features::AUDIO)
    .with(Features::DOCUMENTS)
    .with(Features::JSON_OBJECT)
    .with(Features::JSON_SCHEMA)
    .with(Features::STREAMING)
    .with(Features::SYSTEM);

/// Everything doubtful about a sound configuration on a day (`2026-11-21`).
pub fn lint(config: &Config, topology: &Topology, root: &Node, today: &str) -> Vec<Notice> {
    let mut found = Vec::new();
    for route in &topology.routes {
        let place = Place::root().key("routes").key(route.policy.name.as_str());
        one_domain(route, topology, &place, root, &mut found);
        clocks(route, &place, root, &mut found);
        lesser_tiers(route, &place, root, &mut found);
    }
    budgets::lint(config, topology, root, &mut found);
    for (name, route) in config.routes.iter() {
        for (number, tier) in route.tiers.iter().enumerate() {
            for (position, target) in tier.targets.iter().enumerate() {
                let place = Place::root().key("routes").key(name).key("tiers").index(number);
                let place = place.key("targets").index(position);
                model(
                    target.target.provider(),
                    target.target.model(),
                    topology,
                    today,
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

/// Tiers that cannot do what the first one can: calls that need it pass them by, and fail when nobody else is left.
fn lesser_tiers(route: &RouteSpec, place: &Place, root: &Node, found: &mut Vec<Notice>) {
    let targets = |tier: &TierPolicy| -> Vec<usize> { tier.targets.iter().map(|t| t.target.0 as usize).collect() };
    let abilities = |tier: &TierPolicy| {
        let each = targets(tier).into_iter().map(|t| route.targets[t].facts.features);
        each.fold(Features::NONE, Features::with)
    };
    // A window nobody knows may be any.
    let window = |tier: &TierPolicy| {
        let each = targets(tier).into_iter().map(|t| route.targets[t].facts.context_window);
        each.map(|window| window.unwrap_or(u64::MAX)).max()
    };
    let served = |(_, tier): &(usize, &TierPolicy)| !tier.targets.is_empty();
    let mut tiers = route.policy.tiers.iter().enumerate().filter(served);
    let Some((_, first)) = tiers.next() else { return };
    // A model nobody knows is taken to do everything: that is no promise to hold others to.
    let guessed = Features::ALL.without(Features::PREFILL);
    let known = targets(first).into_iter().map(|t| route.targets[t].facts.features);
    let wanted = known
        .filter(|features| !features.contains(guessed))
        .fold(Features::NONE, Features::with);
    let widest = window(first).unwrap_or(u64::MAX);
    let name = &route.policy.name;
    for (number, tier) in tiers {
        let place = place.key("tiers").index(number);
        let tier_number = number + 1;
        let missing = COMPARED.without(abilities(tier));
        let missing: Vec<&str> = missing.words().filter(|word| is_in(wanted, word)).collect();
        if !missing.is_empty() {
            let message = format!("tier {tier_number} of `{name}` cannot do {}", missing.join(", "));
            let help = "calls that use it pass this tier by";
            found.push(root.notice(&place, message).with_help(help));
        }
        let narrow = window(tier).unwrap_or(u64::MAX);
        if widest != u64::MAX && narrow < widest / 2 {
            let message = format!(
                "tier {tier_number} of `{name}` has a window of {narrow} tokens, less than half of the first tier's {widest}"
            );
            let help = "longer prompts pass this tier by";
            found.push(root.notice(&place, message).with_help(help));
        }
    }
}

fn is_in(features: Features, word: &str) -> bool {
    Features::from_word(word).is_some_and(|feature| features.contains(feature))
}

fn model(
    provider: &str,
    name: &str,
    topology: &Topology,
    today: &str,
    place: &Place,
    root: &Node,
    found: &mut Vec<Notice>,
) {
    let Some(spec) = topology.provider(provider) else {
        return;
    };
    let known = spec.known(name);
    match &known {
        Some(known) => {
            if let Some(day) = &known.deprecated {
                let message = match day.as_str() < today {
                    true => format!("`{provider}` turned `{name}` off on {day}, so that calls to it fail"),
                    false => format!("`{provider}` turns `{name}` off on {day}"),
                };
                found.push(root.notice(place, message));
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
                return;
            }
        }
    }
    // Who shows no key, or asks its own machine, pays for hardware rather than tokens.
    let own = ["//127.", "//localhost", "//[::1]"]
        .iter()
        .any(|host| spec.base_url.contains(host));
    let pays = !own && spec.credentials.iter().any(|c| c.source != Source::Nothing);
    if pays && known.is_none_or(|known| known.price.is_none()) {
        let message = format!("the price of `{name}` is unknown, so that its calls are not counted in money");
        let help = format!("write `providers.{provider}.models`: `{name}: {{ price: {{ input: 1.25, output: 10 }} }}`");
        found.push(root.notice(place, message).with_help(help));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::env::MapEnv;
    use crate::config::load;

    fn told(text: &str) -> Vec<String> {
        let mut env = MapEnv::of([
            ("OPENAI_API_KEY", "k"),
            ("GROQ_API_KEY", "k"),
            ("ANTHROPIC_API_KEY", "k"),
        ]);
        env.today = "2026-11-21".to_owned();
        let loaded = load(text, &env).unwrap_or_else(|errors| panic!("{errors}"));
        loaded.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tier_that_can_do_less_or_reads_less_is_told_exactly() {
        let text = r#"
providers:
  openai: { models: { big: { context_window: 100000, features: [tools, vision, json_schema], price: { input: 1, output: 1 } } } }
  sglang: {}
  vllm: { models: { small: { context_window: 49999, features: [tools], lacks: [system] }, half: { context_window: 50000 } } }
routes:
  a: { tiers: [{ targets: [openai/big] }, { targets: [vllm/small] }] }
  b: { tiers: [{ targets: [openai/big] }, { targets: [vllm/small, vllm/half] }, { targets: [vllm/unknown] }] }
  c: { tiers: [{ targets: [sglang/unknown] }, { targets: [vllm/small] }] }
"#;
        assert_eq!(
            told(text),
            [
                "7:43: routes.a.tiers[1]: tier 2 of `a` cannot do vision, json_schema, system, calls that use it pass this tier by",
                "7:43: routes.a.tiers[1]: tier 2 of `a` has a window of 49999 tokens, less than half of the first tier's 100000, longer prompts pass this tier by",
            ]
        );
    }

    #[test]
    fn a_model_that_is_gone_or_has_no_price_is_told() {
        let text = r#"
providers:
  openai: { models: { old: { deprecated: "2026-11-20", price: { input: 1 } }, aging: { deprecated: "2026-11-21", price: { input: 1 } } } }
  mine: { dialect: openai_chat, base_url: "https://llm.example.com/v1", api_key: k }
  own: { dialect: openai_chat, base_url: "http://10.0.0.1/v1" }
routes:
  a: { tiers: [{ targets: [openai/old, openai/aging, mine/x, own/y] }] }
"#;
        assert_eq!(
            told(text),
            [
                "7:28: routes.a.tiers[0].targets[0]: `openai` turned `old` off on 2026-11-20, so that calls to it fail",
                "7:40: routes.a.tiers[0].targets[1]: `openai` turns `aging` off on 2026-11-21",
                "7:54: routes.a.tiers[0].targets[2]: the price of `x` is unknown, so that its calls are not counted in money, write `providers.mine.models`: `x: { price: { input: 1.25, output: 10 } }`",
            ]
        );
    }
}
