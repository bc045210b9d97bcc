//! A function: its variants that are one call of one model, drawn from in shares or fallen back to, as one route.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::import::draft::Draft;
use crate::import::plan::{PlannedRoute, PlannedTier, Service, add_comment, seconds, weights};
use crate::import::reader::{Section, Value};
use crate::import::tensorzero::{Clocks, Models};

/// The kind of variant that is one call of one model.
const PLAIN_VARIANT: &str = "chat_completion";

/// A variant that is one call of one model.
struct Variant<'a> {
    name: &'a str,
    at: Value<'a>,
    tiers: Vec<PlannedTier>,
    service: Service,
    share: Option<f64>,
}

/// Reads one function into a route.
pub fn function<'a>(name: &'a str, value: &Value<'a>, models: &mut Models<'a>, draft: &mut Draft) {
    let facts = draft.facts;
    let Some(section) = value.section() else { return };
    section.take("type");
    let mut variants = Vec::new();
    let mut comments = Vec::new();
    let mut reason = "it has no variant that is one call of one model".to_owned();
    for (name, value) in section.take("variants").map(|v| v.entries()).unwrap_or_default() {
        match variant(name, &value, models, &mut comments, draft) {
            Ok(variant) => variants.push(variant),
            Err(why) => reason = why,
        }
    }
    let experiment = section.take_section("experimentation");
    let (candidates, fallbacks) = sampling(&variants, experiment, draft);
    facts.tell_rest(&section, "function", &mut draft.report);
    let alias = format!("tensorzero::function_name::{name}");
    if variants.is_empty() {
        draft.plan.left_out.push((name.to_owned(), reason));
        return;
    }
    let mut tiers = joined(&candidates, draft);
    for variant in &fallbacks {
        tiers.extend(variant.tiers.iter().cloned());
    }
    let service = common(&variants);
    let (name, models) = match draft.plan.has_route(name) {
        true => (alias, Vec::new()),
        false => (name.to_owned(), vec![alias]),
    };
    draft.plan.route(PlannedRoute {
        name,
        models,
        tiers: without_repeats(tiers),
        service,
        comments,
    });
}

fn variant<'a>(
    name: &'a str,
    value: &Value<'a>,
    models: &mut Models<'a>,
    comments: &mut Vec<String>,
    draft: &mut Draft,
) -> Result<Variant<'a>, String> {
    let facts = draft.facts;
    let section = value.section().ok_or_else(|| "a variant is a table".to_owned())?;
    let kind = section.take("type");
    if let Some(kind) = kind.filter(|k| k.text() != Some(PLAIN_VARIANT)) {
        let why = "a variant that asks several models, or examples, for one answer has no counterpart here";
        draft.report.not_carried(&kind, why);
        return Err(why.to_owned());
    }
    let model = section
        .take("model")
        .ok_or_else(|| "a variant needs `model`".to_owned())?;
    let model_name = model.text().ok_or_else(|| "a variant needs `model`".to_owned())?;
    let (mut tiers, mut service) = models.named(model_name, &model, draft)?;
    if let Some(retries) = section.take_section("retries") {
        let count = retries.take("num_retries").and_then(|n| n.count()).map(|n| n.min(50));
        tiers.iter_mut().for_each(|tier| tier.service.retries = count);
        service.backoff_cap = retries.take("max_delay_s").and_then(|v| v.number()).and_then(seconds);
        if count.is_some_and(|n| n > 0) && tiers.len() > 1 {
            draft.report.changed(
                &retries.value,
                "each target is tried again by itself, then the next one: not the whole list again",
            );
        }
        facts.tell_rest(&retries, "retries", &mut draft.report);
    }
    if let Some(timeouts) = section.take("timeouts") {
        let clocks = Clocks::read(&timeouts, draft);
        service.deadline = clocks.total.or(service.deadline);
        service.stream_max = clocks.stream_total.or(service.stream_max);
        for tier in &mut tiers {
            tier.service.first_token = clocks.first_token.or(tier.service.first_token);
        }
    }
    let share = section.take("weight").and_then(|w| w.number());
    let before = draft.report_len();
    facts.tell_rest(&section, "variant", &mut draft.report);
    for finding in draft.to_dos_since(before) {
        add_comment(comments, &draft.file, &finding);
    }
    Ok(Variant {
        name,
        at: value.clone(),
        tiers,
        service,
        share,
    })
}

/// Which variants are drawn from, in which shares, and which only follow.
fn sampling<'v, 'a>(
    variants: &'v [Variant<'a>],
    experiment: Option<Section<'a>>,
    draft: &mut Draft,
) -> (Vec<(&'v Variant<'a>, f64)>, Vec<&'v Variant<'a>>) {
    let by_name = |name: &str| variants.iter().find(|v| v.name == name);
    let Some(experiment) = experiment else {
        let weighted = variants.iter().any(|v| v.share.is_some());
        let drawn = |v: &&Variant| !weighted || v.share.is_some_and(|s| s > 0.0);
        let candidates = variants.iter().filter(drawn).map(|v| (v, v.share.unwrap_or(1.0)));
        // With weights, a variant without one is only fallen back to.
        return (candidates.collect(), variants.iter().filter(|v| !drawn(v)).collect());
    };
    if let Some(kind) = experiment.take("type")
        && !matches!(kind.text(), Some("uniform" | "static_weights" | "static"))
    {
        draft.report.changed(
            &kind,
            "variants are not measured against each other yet: they are drawn in equal shares",
        );
    }
    let named = experiment.take("candidate_variants");
    let mut candidates: Vec<(&Variant, f64)> = Vec::new();
    if let Some(named) = &named {
        let shares = named.entries().into_iter().map(|(n, v)| (n, v.number().unwrap_or(1.0)));
        let names = named.texts().into_iter().map(|(n, _)| (n, 1.0));
        candidates.extend(shares.chain(names).filter_map(|(n, share)| Some((by_name(n)?, share))));
    }
    let fallbacks = experiment
        .take("fallback_variants")
        .map(|f| f.texts())
        .unwrap_or_default();
    let fallbacks: Vec<&Variant> = fallbacks.iter().filter_map(|(name, _)| by_name(name)).collect();
    if named.is_none() {
        let rest = variants.iter().filter(|v| !fallbacks.iter().any(|f| f.name == v.name));
        candidates = rest.map(|v| (v, 1.0)).collect();
    }
    let known =
        |v: &Variant| candidates.iter().any(|(c, _)| c.name == v.name) || fallbacks.iter().any(|f| f.name == v.name);
    for variant in variants.iter().filter(|v| !known(v)) {
        draft
            .report
            .not_carried(&variant.at, "its function's experiment never draws it");
    }
    for (_, value) in experiment.rest() {
        draft.report.not_carried(&value, "experiments are not run here");
    }
    (candidates, fallbacks)
}

/// Candidates that are drawn from share tiers: their first targets the first tier, their second ones the second.
fn joined(candidates: &[(&Variant, f64)], draft: &mut Draft) -> Vec<PlannedTier> {
    let depth = candidates.iter().map(|(v, _)| v.tiers.len()).max().unwrap_or(0);
    if candidates.len() > 1 && depth > 1 {
        let at = &candidates[0].0.at;
        draft.report.changed(
            at,
            "variants that are drawn from share tiers: the first targets of all are tried before the second ones",
        );
    }
    let mut tiers = Vec::new();
    for level in 0..depth {
        let here: Vec<(&PlannedTier, f64)> = candidates
            .iter()
            .filter_map(|(v, share)| Some((v.tiers.get(level)?, *share)))
            .collect();
        let mut targets: Vec<(String, f64)> = Vec::new();
        for (tier, share) in &here {
            for (target, _) in &tier.targets {
                match targets.iter_mut().find(|(known, _)| known == target) {
                    Some((_, known)) => *known += share,
                    None => targets.push((target.clone(), *share)),
                }
            }
        }
        let shares: Vec<f64> = targets.iter().map(|(_, share)| *share).collect();
        let whole = match targets.len() {
            1 => vec![1],
            _ => weights(&shares),
        };
        let most = |of: fn(&Service) -> Option<Duration>| here.iter().filter_map(|(t, _)| of(&t.service)).max();
        tiers.push(PlannedTier {
            targets: targets.into_iter().map(|(target, _)| target).zip(whole).collect(),
            service: Service {
                total: most(|s| s.total),
                first_token: most(|s| s.first_token),
                retries: here.iter().filter_map(|(t, _)| t.service.retries).max(),
                ..Service::default()
            },
        });
    }
    tiers
}

/// What the variants of a function say together: the most generous of each clock.
fn common(variants: &[Variant]) -> Service {
    let most = |of: fn(&Service) -> Option<Duration>| {
        let all: Option<Vec<Duration>> = variants.iter().map(|v| of(&v.service)).collect();
        all.map(|all| all.into_iter().sum::<Duration>())
            .filter(|d| !d.is_zero())
    };
    Service {
        deadline: most(|s| s.deadline),
        stream_max: variants.iter().filter_map(|v| v.service.stream_max).max(),
        backoff_cap: variants.iter().filter_map(|v| v.service.backoff_cap).max(),
        ..Service::default()
    }
}

/// A target that stood in an earlier tier is not tried again.
fn without_repeats(tiers: Vec<PlannedTier>) -> Vec<PlannedTier> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for mut tier in tiers {
        tier.targets.retain(|(target, _)| seen.insert(target.clone()));
        if !tier.targets.is_empty() {
            kept.push(tier);
        }
    }
    kept
}
