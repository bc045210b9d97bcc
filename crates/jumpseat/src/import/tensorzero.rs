//! TensorZero's `tensorzero.toml`: a model becomes a route with one tier a provider, a function a route over its variants' models.
//!
//! Callers keep their names: `tensorzero::model_name::…` and `tensorzero::function_name::…` lead to the routes.
//! Start at [`import`].

mod function;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gateway::config::node::Node;

use crate::import::draft::{Draft, Keys, Reference, Wanted};
use crate::import::plan::{PlannedRoute, PlannedTier, Service, add_comment, seconds};
use crate::import::reader::{Section, Value};

use function::function;

/// What a provider calls its model, by the key that holds it.
const MODEL_KEYS: &[&str] = &[
    "model_name",
    "deployment_id",
    "model_id",
    "endpoint_id",
    "endpoint_name",
];
/// What a server that serves a single model is asked for.
const ONLY_MODEL: &str = "default";

/// Reads a configuration of TensorZero's gateway into the draft.
pub fn import(root: &Node, draft: &mut Draft) {
    let root = Value::root(root);
    for text in root.every_text() {
        if let Some(variable) = text.strip_prefix("env::") {
            draft.secrets.reserve(variable);
        }
    }
    let Some(top) = root.section() else { return };
    gateway(&top, draft);
    let usual_keys = provider_types(&top, draft);
    let mut models = Models {
        tiers: BTreeMap::new(),
        usual_keys,
    };
    for kind in ["models", "embedding_models"] {
        for (name, value) in top.take(kind).map(|m| m.entries()).unwrap_or_default() {
            models.read(name, &value, draft);
        }
    }
    for (name, value) in top.take("functions").map(|f| f.entries()).unwrap_or_default() {
        function(name, &value, &mut models, draft);
    }
    let facts = draft.facts;
    facts.tell_rest(&top, "top", &mut draft.report);
}

/// What a location means: `env::NAME`, `path::/file`, or the text itself.
fn reference(text: &str) -> Reference {
    // Some of their documents write one colon.
    for start in ["env::", "env:"] {
        if let Some(variable) = text.strip_prefix(start) {
            return Reference::Variable(variable.to_owned());
        }
    }
    match text.strip_prefix("path::") {
        Some(path) => Reference::File(path.to_owned()),
        None => Reference::Literal(text.to_owned()),
    }
}

fn gateway(top: &Section, draft: &mut Draft) {
    let Some(section) = draft.section(top, "gateway") else {
        return;
    };
    if let Some(value) = section.take("bind_address") {
        listen(&value, draft);
    }
    if let Some(value) = section.take("global_outbound_http_timeout_ms") {
        draft.plan.defaults.deadline = millis(&value, draft);
    }
    let facts = draft.facts;
    facts.tell_rest(&section, "gateway", &mut draft.report);
}

fn listen(value: &Value, draft: &mut Draft) {
    let address = value.text().and_then(|t| t.parse::<SocketAddr>().ok());
    let Some(address) = address else {
        draft.report.not_carried(value, "no address: write `server.listen`");
        return;
    };
    if address.ip().is_loopback() {
        draft.plan.listen = Some(address.to_string());
        return;
    }
    draft.plan.listen = Some(format!("127.0.0.1:{}", address.port()));
    let message = "it was open to a network, and that takes keys here (`jumpseat keys create`): the port is kept, on loopback; write the address, and \
                   `auth: none` if that is meant";
    let finding = draft.report.left_to_do(value, message);
    add_comment(&mut draft.plan.listen_comments, &draft.file, &finding);
}

/// Where each type's key is read from when its provider does not say.
fn provider_types<'a>(top: &Section<'a>, draft: &mut Draft) -> BTreeMap<&'a str, Value<'a>> {
    let mut keys = BTreeMap::new();
    for (word, value) in top.take("provider_types").map(|p| p.entries()).unwrap_or_default() {
        let Some(section) = value.section() else { continue };
        if let Some(defaults) = section.take_section("defaults") {
            if let Some(location) = defaults.take("api_key_location") {
                keys.insert(word, location);
            }
            draft.facts.tell_rest(&defaults, "provider_type", &mut draft.report);
        }
        draft.facts.tell_rest(&section, "provider_type", &mut draft.report);
    }
    keys
}

/// Models by name, each with its tiers and its own clocks.
struct Models<'a> {
    tiers: BTreeMap<&'a str, (Vec<PlannedTier>, Service)>,
    usual_keys: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Models<'a> {
    fn read(&mut self, name: &'a str, value: &Value<'a>, draft: &mut Draft) {
        let facts = draft.facts;
        let Some(section) = value.section() else { return };
        let routing = section.take("routing").map(|r| r.texts()).unwrap_or_default();
        let providers = section.take("providers").map(|p| p.entries()).unwrap_or_default();
        let mut service = Service::default();
        let mut clocks = Clocks::default();
        if let Some(timeouts) = section.take("timeouts") {
            clocks = Clocks::read(&timeouts, draft);
            service.deadline = clocks.total;
            service.stream_max = clocks.stream_total;
            draft.report.changed(
                &timeouts,
                "`deadline` bounds streams too, until their first content; `stream_max` counts from there, `first_token` for each \
                 attempt",
            );
        }
        if let Some(timeout) = section.take("timeout_ms") {
            service.deadline = millis(&timeout, draft);
        }
        let mut tiers = Vec::new();
        let mut reason = "it has no `routing`".to_owned();
        for (provider, at) in &routing {
            let Some((_, value)) = providers.iter().find(|(name, _)| name == provider) else {
                draft
                    .report
                    .not_carried(at, format!("`{provider}` is not among its providers"));
                continue;
            };
            match self.provider(value, draft) {
                Ok(mut tier) => {
                    tier.service.first_token = tier.service.first_token.or(clocks.first_token);
                    tiers.push(tier);
                }
                Err(why) => reason = why,
            }
        }
        for (provider, value) in &providers {
            if !routing.iter().any(|(name, _)| name == provider) {
                draft.report.not_carried(value, "its `routing` does not name it");
            }
        }
        facts.tell_rest(&section, "model", &mut draft.report);
        if tiers.is_empty() {
            draft.plan.left_out.push((name.to_owned(), reason));
            return;
        }
        self.tiers.insert(name, (tiers.clone(), service.clone()));
        let route = PlannedRoute {
            name: name.to_owned(),
            models: vec![format!("tensorzero::model_name::{name}")],
            tiers,
            service,
            comments: Vec::new(),
        };
        if !draft.plan.route(route) {
            draft
                .report
                .not_carried(value, format!("there is a route `{name}` already"));
        }
    }

    /// One provider of a model as a tier of its own.
    fn provider(&self, value: &Value<'a>, draft: &mut Draft) -> Result<PlannedTier, String> {
        let facts = draft.facts;
        let no_type = || "it has no `type`".to_owned();
        let section = value.section().ok_or_else(no_type)?;
        let kind = section.take("type").ok_or_else(no_type)?;
        let word = kind.text().ok_or_else(no_type)?;
        let known = facts.provider(word);
        let model = section
            .take_any(MODEL_KEYS)
            .and_then(|m| m.text())
            .unwrap_or(ONLY_MODEL);
        let base = section
            .take_any(&["api_base", "endpoint"])
            .and_then(|b| Some((reference(b.text()?), b)));
        let location = section
            .take("api_key_location")
            .or_else(|| self.usual_keys.get(word).cloned());
        let headers = extra_headers(&section, draft);
        let keys = keys(location, draft);
        let provider = draft.supply(Wanted {
            word,
            known,
            at: kind,
            base,
            keys,
            headers,
            name: None,
        })?;
        let mut service = Service::default();
        if let Some(timeouts) = section.take("timeouts") {
            let clocks = Clocks::read(&timeouts, draft);
            service.total = clocks.total;
            service.first_token = clocks.first_token;
            if clocks.stream_total.is_some() {
                draft.report.changed(
                    &timeouts,
                    "the end of a whole stream is bounded for the route, not for a provider: see `stream_max`",
                );
            }
        }
        if let Some(timeout) = section.take("timeout_ms") {
            service.total = millis(&timeout, draft);
        }
        facts.tell_rest(&section, "provider", &mut draft.report);
        Ok(PlannedTier {
            targets: vec![(format!("{provider}/{model}"), 1)],
            service,
        })
    }

    /// The tiers of a model that a variant names: one of the file's, or `word::model`.
    fn named(
        &mut self,
        name: &'a str,
        at: &Value<'a>,
        draft: &mut Draft,
    ) -> Result<(Vec<PlannedTier>, Service), String> {
        if let Some(known) = self.tiers.get(name) {
            return Ok(known.clone());
        }
        let Some((word, model)) = name.split_once("::") else {
            let why = format!("`{name}` is no model of the file");
            draft.report.not_carried(at, why.clone());
            return Err(why);
        };
        let model = match model.strip_prefix("responses::") {
            Some(model) => {
                draft.report.changed(
                    at,
                    "the model is called by the dialect of its provider, not by the responses API",
                );
                model
            }
            None => model,
        };
        let location = self.usual_keys.get(word).cloned();
        let keys = keys(location, draft);
        let provider = draft.supply(Wanted {
            word,
            known: draft.facts.provider(word),
            at: at.clone(),
            base: None,
            keys,
            headers: Vec::new(),
            name: None,
        })?;
        let tier = PlannedTier {
            targets: vec![(format!("{provider}/{model}"), 1)],
            service: Service::default(),
        };
        Ok((vec![tier], Service::default()))
    }
}

/// `env::A`, or `{ default = "env::A", fallback = "env::B" }`.
fn keys<'a>(location: Option<Value<'a>>, draft: &mut Draft) -> Keys<'a> {
    let Some(location) = location else { return Keys::Usual };
    let places = match location.section() {
        Some(section) => [section.take("default"), section.take("fallback")]
            .into_iter()
            .flatten()
            .collect(),
        None => vec![location],
    };
    let mut written = Vec::new();
    for place in places {
        let Some(text) = place.text() else { continue };
        if text == "none" {
            continue;
        }
        if text.starts_with("dynamic::") {
            let message = "no key of the client's goes upstream: give the provider a key of the gateway's own";
            draft.report.not_carried(&place, message);
            continue;
        }
        if text.starts_with("path_from_env::") {
            let message = "write `${file:/path}` with the path itself";
            draft.report.left_to_do(&place, message);
            continue;
        }
        written.push((reference(text), place));
    }
    match written.is_empty() {
        true => Keys::None,
        false => Keys::Written(written),
    }
}

/// `[{ name = "…", value = "…" }]`.
fn extra_headers<'a>(section: &Section<'a>, draft: &mut Draft) -> Vec<(String, Reference, Value<'a>)> {
    let mut headers = Vec::new();
    for item in section.take("extra_headers").map(|h| h.items()).unwrap_or_default() {
        let Some(header) = item.section() else { continue };
        let name = header.take("name").and_then(|n| n.text());
        let value = header.take("value").and_then(|v| Some((v.text()?, v)));
        match (name, value) {
            (Some(name), Some((text, at))) => headers.push((name.to_owned(), Reference::Literal(text.to_owned()), at)),
            (Some(_) | None, Some(_) | None) => {
                draft.report.not_carried(&item, "headers are added, never taken away");
            }
        }
    }
    headers
}

/// `timeouts = { non_streaming.total_ms, streaming.ttft_ms, streaming.total_ms }`.
#[derive(Default)]
struct Clocks {
    total: Option<Duration>,
    first_token: Option<Duration>,
    stream_total: Option<Duration>,
}

impl Clocks {
    fn read(value: &Value, draft: &mut Draft) -> Clocks {
        let Some(section) = value.section() else {
            return Clocks::default();
        };
        let mut clocks = Clocks::default();
        if let Some(whole) = section.take_section("non_streaming") {
            clocks.total = whole.take("total_ms").and_then(|v| millis(&v, draft));
            draft.facts.tell_rest(&whole, "timeouts", &mut draft.report);
        }
        if let Some(stream) = section.take_section("streaming") {
            clocks.first_token = stream.take("ttft_ms").and_then(|v| millis(&v, draft));
            clocks.stream_total = stream.take("total_ms").and_then(|v| millis(&v, draft));
            draft.facts.tell_rest(&stream, "timeouts", &mut draft.report);
        }
        draft.facts.tell_rest(&section, "timeouts", &mut draft.report);
        clocks
    }
}

fn millis(value: &Value, draft: &mut Draft) -> Option<Duration> {
    let time = value.number().and_then(|n| seconds(n / 1_000.0));
    if time.is_none() {
        draft
            .report
            .not_carried(value, "not a number of milliseconds that can be written");
    }
    time
}
