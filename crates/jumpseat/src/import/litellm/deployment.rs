//! One entry of `model_list`: which provider serves which model, and how it is weighted against its siblings.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::config::catalog::Catalog;

use crate::import::draft::{Draft, Keys, Reference, Wanted};
use crate::import::litellm::reference;
use crate::import::plan::{ModelFacts, seconds};
use crate::import::reader::{Section, Value};

/// Keys that mean that there is none.
const NO_KEY: &[&str] = &[
    "",
    "none",
    "null",
    "na",
    "n/a",
    "empty",
    "not-needed",
    "dummy",
    "fake",
    "anything",
];

/// An entry of `model_list`.
pub struct Deployment<'a> {
    /// `model_name`: what callers ask for.
    pub group: &'a str,
    /// Where it stands.
    pub at: Value<'a>,
    /// `model_info.id`, which a fallback may name.
    pub id: Option<&'a str>,
    /// Who serves it here; `None` when it could not be written.
    pub target: Option<Target>,
    /// Why it could not be written.
    pub left_out: Option<String>,
    /// The model's name after its prefix, with its star.
    pub model_pattern: &'a str,
    /// `order`, the lowest first.
    pub order: Option<u32>,
    /// `weight`, `rpm`, `tpm`: the shares in which siblings are picked.
    pub shares: [Option<f64>; 3],
    /// `timeout`.
    pub timeout: Option<(Duration, Value<'a>)>,
    /// `stream_timeout`.
    pub stream_timeout: Option<(Duration, Value<'a>)>,
    /// `num_retries`, `max_retries`.
    pub retries: Option<(u32, Value<'a>)>,
}

/// A target of this configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name here.
    pub provider: String,
    /// The model as the provider calls it.
    pub model: String,
}

impl<'a> Deployment<'a> {
    /// Reads one entry; what cannot be written is told.
    pub fn read(item: &Value<'a>, credentials: &BTreeMap<&'a str, Value<'a>>, draft: &mut Draft) -> Option<Self> {
        let facts = draft.facts;
        let Some(entry) = item.section() else {
            draft.report.not_carried(item, "a deployment is a map");
            return None;
        };
        let group = entry.take("model_name").and_then(|v| v.text());
        let params = entry.take_section("litellm_params");
        let info = draft.section(&entry, "model_info");
        let (Some(group), Some(params)) = (group, params) else {
            draft
                .report
                .not_carried(item, "a deployment needs `model_name` and `litellm_params`");
            return None;
        };
        let Some((model, at)) = params.take("model").and_then(|v| Some((v.text()?, v))) else {
            draft.report.not_carried(&params.value, "a deployment needs `model`");
            return None;
        };
        let credential = params.take("litellm_credential_name");
        let shared = credential.as_ref().and_then(|name| credentials.get(name.text()?));
        if let (Some(name), None) = (&credential, shared) {
            draft.report.left_to_do(
                name,
                "no credential of this name is in the file: give the provider its keys",
            );
        }
        let shared = shared.and_then(Value::section);
        let from = |keys: &[&str]| -> Option<Value<'a>> {
            let theirs = params.take_any(keys);
            let common = shared.as_ref().and_then(|s| s.take_any(keys));
            theirs.or(common)
        };
        let base = from(&["api_base", "base_url"]);
        let key = from(&["api_key"]);
        let said = params.take("custom_llm_provider").and_then(|v| v.text());
        let (word, model_name) = provider_and_model(model, said, draft);
        let known = match &word {
            Some(word) => facts.provider(word),
            None => None,
        };
        let keys = match key.as_ref().map(|k| (k, k.text().unwrap_or_default())) {
            None => Keys::Usual,
            Some((_, text)) if NO_KEY.contains(&text.trim().to_ascii_lowercase().as_str()) => Keys::None,
            Some((at, text)) => Keys::Written(vec![(reference(text), at.clone())]),
        };
        let base = base.and_then(|b| Some((reference(b.text()?), b)));
        let headers = headers(&params, draft);
        // A wildcard's provider is called by the name that callers write before the slash.
        let wildcard = group.strip_suffix("/*").filter(|_| model.contains('*'));
        let name =
            wildcard.filter(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let word_or_model = word.clone().unwrap_or_else(|| model.to_owned());
        let supplied = match (model == "*", word.is_none()) {
            (true, _) => {
                let why = "it stands for every provider with a key in the environment: write those you use under `providers`, \
                           bare names that the catalog knows then go to them";
                draft.report.left_to_do(&at, why);
                Err(why.to_owned())
            }
            (false, true) => {
                let why = "nobody knows whose model this is: write it as `provider/model`";
                draft.report.not_carried(&at, why);
                Err(why.to_owned())
            }
            (false, false) => draft.supply(Wanted {
                word: &word_or_model,
                known,
                at: at.clone(),
                base,
                keys,
                headers,
                name,
            }),
        };
        let (target, left_out) = match supplied {
            Ok(provider) => {
                let model = model_name.to_owned();
                (Some(Target { provider, model }), None)
            }
            Err(why) => (None, Some(why)),
        };
        let mut time = |key: &str| {
            let value = params.take(key)?;
            match value.number().and_then(seconds) {
                Some(time) => Some((time, value)),
                None => {
                    draft
                        .report
                        .not_carried(&value, "not a number of seconds that can be written");
                    None
                }
            }
        };
        let timeout = time("timeout");
        let stream_timeout = time("stream_timeout");
        let retries = params
            .take_any(&["num_retries", "max_retries"])
            .and_then(|v| Some((draft.count(&v)?.min(50), v)));
        let share = |key: &str| {
            let inside = params.take(key);
            inside.or_else(|| entry.take(key))
        };
        let [weight, rpm, tpm] = ["weight", "rpm", "tpm"].map(share);
        for value in [&weight, &rpm, &tpm]
            .into_iter()
            .flatten()
            .filter(|v| v.number().is_none())
        {
            draft.report.not_carried(value, "a number is expected here");
        }
        let order = params.take("order").and_then(|v| draft.count(&v));
        let id = info.as_ref().and_then(|i| i.take("id")?.text());
        let deployment = Deployment {
            group,
            at: item.clone(),
            id,
            order,
            shares: [&weight, &rpm, &tpm].map(|v| v.as_ref().and_then(Value::number)),
            target,
            left_out,
            model_pattern: model_name,
            timeout,
            stream_timeout,
            retries,
        };
        if let Some(target) = &deployment.target {
            for limit in [&rpm, &tpm].into_iter().flatten().filter(|v| v.number().is_some()) {
                draft.report.changed(
                    limit,
                    "it is a share among the deployments of the group here, not a limit: the provider's rate-limit headers are obeyed",
                );
            }
            let about = info.as_ref().map(|i| model_facts(i)).unwrap_or_default();
            draft.plan.model(&target.provider, &target.model, about);
            facts.tell_rest(&params, "litellm_params", &mut draft.report);
            if let Some(info) = &info {
                facts.tell_rest(info, "model_info", &mut draft.report);
            }
            facts.tell_rest(&entry, "deployment", &mut draft.report);
        }
        Some(deployment)
    }

    /// Whether it stands for many models.
    pub fn is_wildcard(&self) -> bool {
        self.group.contains('*') || self.model_pattern.contains('*')
    }
}

/// Keeps the usual variable of a deployment without a key of its own: a secret of another one must not get its name.
pub fn reserve_usual(item: &Value, draft: &mut Draft) {
    let params = item.section().and_then(|entry| entry.take_section("litellm_params"));
    let Some(params) = params else { return };
    if params.take("api_key").is_some() {
        return;
    }
    let said = params.take("custom_llm_provider").and_then(|v| v.text());
    let word = params
        .take("model")
        .and_then(|model| provider_and_model(model.text()?, said, draft).0);
    if let Some(word) = word {
        draft.reserve_usual(&word);
    }
}

/// The word for the provider, and what is left of the model's name.
fn provider_and_model<'a>(model: &'a str, said: Option<&str>, draft: &Draft) -> (Option<String>, &'a str) {
    let split = model.split_once('/').filter(|(word, _)| !word.is_empty());
    match (said, split) {
        (Some(said), Some((word, rest))) if word == said => (Some(said.to_owned()), rest),
        (Some(said), _) => (Some(said.to_owned()), model),
        (None, Some((word, rest))) => (Some(word.to_owned()), rest),
        (None, None) => (draft.facts.owner(model).map(|(word, _)| word), model),
    }
}

fn headers<'a>(params: &Section<'a>, draft: &mut Draft) -> Vec<(String, Reference, Value<'a>)> {
    let mut headers = Vec::new();
    for key in ["extra_headers", "headers"] {
        let written = params.take(key).map(|h| h.entries()).unwrap_or_default();
        headers.extend(
            written
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), reference(value.text()?), value))),
        );
    }
    for (key, header) in draft.facts.headers.iter() {
        let Some(value) = params.take(key) else { continue };
        let texts = value.texts();
        if texts.len() > 1 {
            draft.report.changed(
                &value,
                "one provider is written, with the first of them: write one provider each to spread calls over all",
            );
        }
        headers.extend(
            texts
                .first()
                .map(|(text, at)| (header.clone(), reference(text), at.clone())),
        );
    }
    headers
}

/// What `model_info` says of a model's sizes, else what the catalog knows of the model it is based on.
fn model_facts(info: &Section) -> ModelFacts {
    let number = |key: &str| info.take(key).and_then(|v| v.count()).map(u64::from).filter(|n| *n > 0);
    let (window, output) = (number("max_input_tokens"), number("max_output_tokens"));
    let base = info.take("base_model").and_then(|v| v.text());
    let base = base.map(|base| base.rsplit('/').next().unwrap_or(base));
    let known = base.and_then(|base| {
        let catalog = Catalog::shipped();
        let mut makers = catalog.providers().filter(|(_, row)| row.maker);
        makers.find_map(|(name, _)| catalog.model(name, base))
    });
    ModelFacts {
        context_window: window.or_else(|| known?.context_window),
        max_output: output.or_else(|| known?.max_output),
    }
}
