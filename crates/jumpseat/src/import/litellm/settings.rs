//! `litellm_settings`, `router_settings` and `general_settings`: fallbacks, retries, timeouts, cooldowns, aliases.

use std::time::Duration;

use gateway::config::units::write_duration;

use crate::import::draft::Draft;
use crate::import::plan::{PlannedRoute, Service, add_comment, seconds};
use crate::import::reader::{Section, Value};
use crate::import::yaml::Yaml;

/// Which class of ours their kind of error is; those that are not here are never tried again at the same target.
const RETRY_CLASSES: &[(&str, &[&str])] = &[
    ("TimeoutErrorRetries", &["timeout"]),
    ("RateLimitErrorRetries", &["rate_limited"]),
    ("InternalServerErrorRetries", &["server_error", "overloaded"]),
];
/// How long a rest and a breaker may grow where the source names a longer start than the default end.
const OPEN_MAX: Duration = Duration::from_secs(300);
const RATE_LIMITED_MAX: Duration = Duration::from_secs(120);

/// Fallbacks of one kind.
pub type Fallbacks<'a> = Vec<Fallback<'a>>;

/// From one group to others.
pub struct Fallback<'a> {
    /// The group that fails; `*` for any.
    pub from: &'a str,
    /// Where it stands.
    pub at: Value<'a>,
    /// The groups that are tried then.
    pub to: Vec<(&'a str, Value<'a>)>,
}

/// What holds for all groups.
#[derive(Default)]
pub struct Settings<'a> {
    /// `fallbacks`.
    pub fallbacks: Fallbacks<'a>,
    /// `context_window_fallbacks`.
    pub context_window: Fallbacks<'a>,
    /// `content_policy_fallbacks`.
    pub content_policy: Fallbacks<'a>,
    /// `default_fallbacks`.
    pub default_fallbacks: Option<Vec<(&'a str, Value<'a>)>>,
    /// `balance` of tiers with several targets, where it is not the default.
    pub balance: Option<&'static str>,
    aliases: Vec<(&'a str, Value<'a>)>,
    group_retries: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Settings<'a> {
    /// Reads the three sections; what holds for all calls goes into the draft's defaults.
    pub fn read(top: &Section<'a>, draft: &mut Draft) -> Settings<'a> {
        let library = draft.section(top, "litellm_settings");
        let router = draft.section(top, "router_settings");
        let general = draft.section(top, "general_settings");
        let mut settings = Settings::default();
        {
            // The router's word wins over the library's.
            let mut pick = |key: &str, other: &str| -> Option<Value<'a>> {
                let first = router.as_ref().and_then(|r| r.take(key));
                let second = library.as_ref().and_then(|l| l.take(other));
                if let (Some(winner), Some(loser)) = (&first, &second) {
                    let message = format!("`{}` on line {} wins over it", winner.place, winner.line);
                    draft.report.not_carried(loser, message);
                }
                first.or(second)
            };
            let kinds = ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"];
            let [general, context, content] = kinds.map(|key| pick(key, key));
            let defaults = pick("default_fallbacks", "default_fallbacks");
            let retries = pick("num_retries", "num_retries");
            let timeout = pick("timeout", "request_timeout");
            let stream_timeout = pick("stream_timeout", "stream_timeout");
            let fails = pick("allowed_fails", "allowed_fails");
            let cooldown = pick("cooldown_time", "cooldown_time");
            settings.fallbacks = fallbacks(general, draft);
            settings.context_window = fallbacks(context, draft);
            settings.content_policy = fallbacks(content, draft);
            settings.default_fallbacks = defaults.map(|d| targets(&d, draft));
            service(retries, timeout, stream_timeout, draft);
            breaker(fails, cooldown, draft);
        }
        if let Some(router) = &router {
            settings.strategy(router, draft);
            settings.retry_policies(router, draft);
            if let Some(off) = router.take("disable_cooldowns")
                && off.truth() == Some(true)
            {
                draft.report.not_carried(
                    &off,
                    "breakers cannot be turned off: when all are open the least bad target is tried all the same",
                );
            }
            settings.aliases = router
                .take("model_group_alias")
                .map(|a| a.entries())
                .unwrap_or_default();
        }
        if let Some(library) = &library {
            let more = library.take("model_alias_map").map(|a| a.entries());
            settings.aliases.extend(more.unwrap_or_default());
        }
        let facts = draft.facts;
        for (section, name) in [
            (&library, "litellm_settings"),
            (&router, "router_settings"),
            (&general, "general_settings"),
        ] {
            if let Some(section) = section {
                facts.tell_rest(section, name, &mut draft.report);
            }
        }
        settings
    }

    /// Every kind of fallbacks with its name.
    pub fn every_fallback(&self) -> impl Iterator<Item = (&'static str, &Fallbacks<'a>)> {
        [
            ("fallbacks", &self.fallbacks),
            ("context_window_fallbacks", &self.context_window),
            ("content_policy_fallbacks", &self.content_policy),
        ]
        .into_iter()
    }

    /// What holds for one group alone.
    pub fn of_group(&self, group: &str, route: &mut PlannedRoute, draft: &mut Draft) {
        let policy = self.group_retries.iter().find(|(name, _)| *name == group);
        if let Some((_, policy)) = policy {
            route.service.retry = retry_policy(policy, draft);
        }
    }

    /// Other names of groups, once their routes are written.
    pub fn aliases(&self, draft: &mut Draft) {
        for (alias, at) in &self.aliases {
            let hidden = at.section().and_then(|s| s.take("hidden")?.truth()).unwrap_or(false);
            let group = at.text().or_else(|| at.section()?.take("model")?.text());
            if hidden {
                draft
                    .report
                    .changed(at, "the alias is listed by `GET /v1/models`: no name is hidden");
            }
            if draft.plan.has_route(alias) {
                let message = format!("`{alias}` is a name of its own already");
                draft.report.not_carried(at, message);
                continue;
            }
            match group.and_then(|group| draft.plan.route_mut(group)) {
                Some(route) => route.models.push((*alias).to_owned()),
                None => {
                    let message = format!("`{alias}` stands for a group that is not written");
                    draft.report.not_carried(at, message);
                }
            }
        }
    }

    fn strategy(&mut self, router: &Section<'a>, draft: &mut Draft) {
        let Some(strategy) = router.take("routing_strategy") else {
            return;
        };
        let (balance, message) = match strategy.text().unwrap_or_default() {
            "simple-shuffle" => (None, None),
            "least-busy" => (Some("least_busy"), None),
            "latency-based-routing" => (
                Some("least_busy"),
                Some(
                    "there is no balance by latency yet: `least_busy` is written, which a slow target gets fewer calls by",
                ),
            ),
            "usage-based-routing" | "usage-based-routing-v2" => (
                None,
                Some(
                    "there is no balance by usage: calls are spread by weight, and a target without headroom by its rate-limit headers is avoided",
                ),
            ),
            "cost-based-routing" => (
                None,
                Some("there is no balance by cost: put the cheaper models into the first tier"),
            ),
            _ => (None, Some("this strategy is not known: calls are spread by weight")),
        };
        self.balance = balance;
        if let Some(message) = message {
            let finding = draft.report.changed(&strategy, message);
            add_comment(&mut draft.plan.defaults_comments, &draft.file, &finding);
        }
    }

    fn retry_policies(&mut self, router: &Section<'a>, draft: &mut Draft) {
        if let Some(policy) = router.take("retry_policy") {
            draft.plan.defaults.retry = retry_policy(&policy, draft);
        }
        let by_group = router.take("model_group_retry_policy").map(|p| p.entries());
        self.group_retries = by_group.unwrap_or_default();
    }
}

fn retry_policy(policy: &Value, draft: &mut Draft) -> Vec<(String, u32)> {
    let mut retry = Vec::new();
    for (key, value) in policy.entries() {
        let classes = RETRY_CLASSES.iter().find(|(name, _)| *name == key).map(|(_, c)| *c);
        match (classes, value.count()) {
            (Some(classes), Some(count)) => {
                retry.extend(classes.iter().map(|class| ((*class).to_owned(), count.min(50))));
            }
            (Some(_), None) => {
                draft.report.not_carried(&value, "not a number of retries");
            }
            (None, _) => {
                draft.report.not_carried(
                    &value,
                    "trying the same target again after such an error would only do harm: it goes to another target or ends",
                );
            }
        }
    }
    retry
}

fn service(retries: Option<Value>, timeout: Option<Value>, stream_timeout: Option<Value>, draft: &mut Draft) {
    let mut service = Service::default();
    if let Some(value) = retries {
        service.retries = value.count().map(|n| n.min(50));
        match service.retries {
            Some(0) => {}
            Some(_) => {
                let finding = draft.report.changed(
                    &value,
                    "they are retries at the same target; every other target of a tier is tried once besides, and retries stay within \
                     20% of calls (`retry_budget`)",
                );
                add_comment(&mut draft.plan.defaults_comments, &draft.file, &finding);
            }
            None => {
                draft.report.not_carried(&value, "not a number of retries");
            }
        }
    }
    for (value, clock) in [
        (timeout, &mut service.total),
        (stream_timeout, &mut service.first_token),
    ] {
        let Some(value) = value else { continue };
        *clock = value.number().and_then(seconds);
        if clock.is_none() {
            draft
                .report
                .not_carried(&value, "not a number of seconds that can be written");
        } else if value.place.to_string().ends_with("stream_timeout") {
            draft.report.changed(
                &value,
                "`first_token` bounds each attempt of a stream until its first content",
            );
        } else {
            let finding = draft.report.changed(
                &value,
                "`total` bounds the visit to a tier with all its attempts and waits, not each attempt; streams only until their first \
                 content",
            );
            add_comment(&mut draft.plan.defaults_comments, &draft.file, &finding);
        }
    }
    draft.plan.defaults = Service {
        retry: std::mem::take(&mut draft.plan.defaults.retry),
        ..service
    };
}

fn breaker(fails: Option<Value>, cooldown: Option<Value>, draft: &mut Draft) {
    if let Some(value) = fails {
        match value.count() {
            Some(count) => {
                // They cool down on the failure after the allowed ones.
                draft
                    .plan
                    .breaker
                    .push(("consecutive", Yaml::bare(count.saturating_add(1))));
                draft.report.changed(
                    &value,
                    "a breaker counts failures in a row within a minute, and from 10 attempts in 30 s their share; a client's bad \
                     request is no failure",
                );
            }
            None => {
                draft.report.not_carried(&value, "not a number of failures");
            }
        }
    }
    let Some(value) = cooldown else { return };
    let Some(time) = value.number().and_then(seconds) else {
        draft
            .report
            .not_carried(&value, "not a number of seconds that can be written");
        return;
    };
    let text = |time: Duration| Yaml::bare(write_duration(time));
    draft.plan.breaker.push(("open", text(time)));
    if time > OPEN_MAX {
        draft.plan.breaker.push(("open_max", text(time)));
    }
    draft.plan.rest.push(("rate_limited", text(time)));
    if time > RATE_LIMITED_MAX {
        draft.plan.rest.push(("rate_limited_max", text(time)));
    }
    draft.report.changed(
        &value,
        "it is how long a breaker stays open at first (twice as long after each failed probe, up to `open_max`) and how long a target \
         rests after a 429 without a hint",
    );
}

/// `[{ a: [b, c] }, …]`.
fn fallbacks<'a>(value: Option<Value<'a>>, draft: &mut Draft) -> Fallbacks<'a> {
    let mut found = Vec::new();
    let Some(value) = value else { return found };
    let mut maps = value.items();
    if maps.is_empty() {
        maps.push(value);
    }
    for map in maps {
        for (from, to) in map.entries() {
            found.push(Fallback {
                from,
                to: targets(&to, draft),
                at: to,
            });
        }
    }
    found
}

/// The groups of a list: names, or maps with a `model` and parameters of the request.
fn targets<'a>(list: &Value<'a>, draft: &mut Draft) -> Vec<(&'a str, Value<'a>)> {
    let mut found = list.texts();
    for item in list.items() {
        let Some(section) = item.section() else { continue };
        if let Some(model) = section.take("model").and_then(|m| m.text()) {
            found.push((model, item.clone()));
        }
        for (_, value) in section.rest() {
            draft.report.not_carried(
                &value,
                "a fallback gets the request as it is: no parameters are set for it",
            );
        }
    }
    found
}
