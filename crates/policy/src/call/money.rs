//! What a call does as money grows short, and for whom who calls may not be served by.

use std::sync::Arc;

use types::ids::ModelTier;
use types::money::NanoDollars;
use types::spend::SpendLevel;

use crate::call::CallFacts;
use crate::call::tests::{Scene, check, letter, open, route, tell};
use crate::pattern::Allowed;
use crate::plan::{LeftOutReason, Plan};
use crate::route::RoutePolicy;
use crate::target::DomainIx;

fn at(spend: SpendLevel) -> CallFacts {
    CallFacts {
        spend,
        ..CallFacts::default()
    }
}

/// Targets of these model tiers: `p`remium, `s`tandard, `e`conomy, `?` of none.
fn tiers(tiers: &str) -> Scene {
    let mut scene = Scene::of(tiers.len() as u32);
    for (facts, tier) in scene.facts.iter_mut().zip(tiers.chars()) {
        facts.model_tier = match tier {
            'p' => Some(ModelTier::Premium),
            's' => Some(ModelTier::Standard),
            'e' => Some(ModelTier::Economy),
            _ => None,
        };
    }
    scene
}

fn costs(scene: Scene, costs: &[Option<u64>]) -> Scene {
    Scene {
        costs: costs.iter().map(|c| c.map(NanoDollars)).collect(),
        ..scene
    }
}

/// The targets of a plan in order, then those left out with their reasons.
fn planned(policy: RoutePolicy, facts: CallFacts, scene: &Scene) -> String {
    let told = tell(policy, facts, scene, "");
    written(told.call.plan())
}

fn written(plan: &Plan) -> String {
    let candidates: String = plan.candidates.iter().map(|c| letter(c.target)).collect();
    let left_out = plan.left_out.iter();
    let left_out: String = left_out
        .map(|l| format!(" {}:{}", letter(l.target), l.reason.as_str()))
        .collect();
    candidates + &left_out
}

#[test]
fn plenty_keeps_the_routes_ranking_and_the_middle_puts_standard_before_premium() {
    for (tiers_of, quality, balanced) in [
        ("pse", "abc", "bac"),
        ("psps", "abcd", "bdac"),
        ("pesp", "abcd", "bcad"),
        ("esp", "abc", "abc"),
        ("pe", "ab", "ab"),
        ("p?s", "abc", "bca"),
        ("pp", "ab", "ab"),
        ("ssp", "abc", "abc"),
    ] {
        let scene = tiers(tiers_of);
        let each_a_tier = || {
            route(
                &"abcd"[..tiers_of.len()]
                    .chars()
                    .map(|c| c.to_string())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(
            planned(each_a_tier(), at(SpendLevel::Quality), &scene),
            quality,
            "{tiers_of}"
        );
        assert_eq!(
            planned(each_a_tier(), at(SpendLevel::Balanced), &scene),
            balanced,
            "{tiers_of}"
        );
    }
}

#[test]
fn little_money_takes_the_cheapest_capable_target_of_any_tier_and_what_has_no_price_last() {
    let cheapest = || at(SpendLevel::Cheapest);
    let scene = costs(tiers("pse?"), &[Some(900), Some(300), Some(20), None]);
    assert_eq!(planned(route("a b c d"), cheapest(), &scene), "cbad");
    assert_eq!(planned(route("d b c a"), cheapest(), &scene), "cbad");
    let same = costs(Scene::of(3), &[Some(5), Some(5), Some(5)]);
    assert_eq!(
        planned(route("b a c"), cheapest(), &same),
        "bac",
        "who costs the same stays"
    );
    // What cannot take the call is no bargain.
    let mut short = costs(Scene::of(2), &[Some(900), Some(1)]);
    short.facts[1].context_window = Some(10);
    let long = CallFacts {
        prompt_tokens_estimate: 100,
        ..cheapest()
    };
    assert_eq!(planned(route("a b"), long, &short), "a b:context_window");
}

#[test]
fn health_weighs_more_than_money() {
    let cheapest = || at(SpendLevel::Cheapest);
    let prices = [Some(900), Some(300), Some(20)];
    let mut troubled = costs(Scene::of(3), &prices);
    troubled.troubled.push(DomainIx(2));
    assert_eq!(planned(route("a b c"), cheapest(), &troubled), "bac");
    let broken = costs(Scene::of(3), &prices).with(2, open(10));
    assert_eq!(planned(route("a b c"), cheapest(), &broken), "ba c:breaker_open");
    let full = costs(Scene::of(3), &prices);
    full.status.borrow_mut()[2].no_headroom = true;
    assert_eq!(planned(route("a b c"), cheapest(), &full), "bac");
    let mut standard = tiers("ps");
    standard.troubled.push(DomainIx(1));
    assert_eq!(planned(route("a b"), at(SpendLevel::Balanced), &standard), "ab");
}

#[test]
fn without_money_nobody_is_tried_not_even_the_least_bad() {
    let scene = Scene::of(2).with(1, open(10));
    let told = tell(route("a b"), at(SpendLevel::Exhausted), &scene, "");
    assert_eq!(written(told.call.plan()), " a:exhausted b:exhausted");
    assert_eq!(told.actions, ["fail:quota_exhausted/unaffordable"]);
    assert!(told.effects.is_empty(), "{:?}", told.effects);
    let named = CallFacts {
        named_target: true,
        ..at(SpendLevel::Exhausted)
    };
    check(
        route("a"),
        named,
        &Scene::of(1),
        "",
        "fail:quota_exhausted/unaffordable",
    );
}

#[test]
fn what_cannot_be_held_is_passed_over_as_if_it_had_never_been_tried() {
    for (story, expected) in [
        ("unaffordable finished", "a1 b2 commit2 done"),
        ("unaffordable unaffordable finished", "a1 b2 c3 commit3 done"),
        (
            "unaffordable unaffordable unaffordable",
            "a1 b2 c3 fail:quota_exhausted/unaffordable",
        ),
        ("fail:auth unaffordable unaffordable", "a1 b2f c3f fail:auth"),
        ("unaffordable fail:auth unaffordable", "a1 b2 c3f fail:auth"),
        // A retry that can no longer be paid gives way to another target.
        (
            "fail:overloaded wait:500 unaffordable finished",
            "a1 a2r b3f commit3 done",
        ),
    ] {
        let told = tell(route("a b c"), CallFacts::default(), &Scene::of(3), story);
        assert_eq!(told.actions.join(" "), expected, "{story}");
        let settled = told.effects.iter().filter(|e| e.contains("unaffordable")).count();
        assert_eq!(settled, 0, "{:?}", told.effects);
    }
    let told = tell(
        route("a b"),
        CallFacts::default(),
        &Scene::of(2),
        "unaffordable finished",
    );
    assert_eq!(told.effects, ["Success2", "success2"], "the first was never an attempt");
    assert_eq!(told.call.attempts().len(), 1);
    assert_eq!(told.call.fallback_word(), Some("unaffordable"));
    assert!(
        told.call
            .plan()
            .left_out
            .iter()
            .any(|l| l.reason == LeftOutReason::Unaffordable)
    );
}

#[test]
fn a_key_is_served_by_allowed_targets_alone_whatever_happens() {
    let allowed = |patterns: &[&str]| CallFacts {
        allowed: Some(Arc::new(Allowed::new(patterns.iter().copied()))),
        ..CallFacts::default()
    };
    let only_b = || allowed(&["provider1/*"]);
    let scene = Scene::of(3);
    assert_eq!(
        planned(route("a b c"), only_b(), &scene),
        "b a:not_allowed c:not_allowed"
    );
    check(route("a b c"), only_b(), &scene, "fail:auth", "b1 fail:auth");
    // Not even as the least bad one.
    let broken = Scene::of(3).with(0, open(1)).with(2, open(1));
    assert_eq!(planned(route("a c"), only_b(), &broken), " a:not_allowed c:not_allowed");
    check(route("a c"), only_b(), &broken, "", "fail:invalid_request");
    let named = CallFacts {
        named_target: true,
        ..only_b()
    };
    check(route("a"), named, &scene, "", "fail:invalid_request");
    check(route("a"), allowed(&["*"]), &scene, "finished", "a1 commit1 done");
}

#[test]
fn a_budget_that_asks_for_prices_bars_targets_without_them() {
    let priced_only = || CallFacts {
        priced_only: true,
        ..CallFacts::default()
    };
    let scene = costs(Scene::of(3), &[None, Some(0), None]);
    assert_eq!(
        planned(route("a b c"), priced_only(), &scene),
        "b a:unpriced c:unpriced"
    );
    assert_eq!(planned(route("a b c"), CallFacts::default(), &scene), "abc");
    check(route("a"), priced_only(), &scene, "", "fail:unsupported");
    let broken = costs(Scene::of(1), &[None]).with(0, open(1));
    check(route("a"), priced_only(), &broken, "", "fail:unsupported");
}
