//! `jumpseat models`: what the catalog knows, filtered; and a few models side by side.
//!
//! Without a configuration it lists every known provider's models; with one, those of its providers, corrected as it says.

use std::path::Path;

use comfy_table::Table;
use gateway::config::catalog::Catalog;
use gateway::config::model::Model;
use gateway::config::nearest::did_you_mean;
use policy::cost::cost;
use serde_json::{Map, Value, json};
use types::features::Features;
use types::ids::TargetId;
use types::money::{NanoDollars, PicoDollars};
use types::prices::{Rates, Service};
use types::usage::Usage;

use crate::cli::{ModelTierWord, ModelsArgs};
use crate::outcome::{CommandError, Ended};
use crate::source;
use crate::table::table;

/// What is typed before the models to compare.
const COMPARE: &str = "compare";
/// The call whose cost is told when models are compared.
const SAMPLE: Usage = Usage {
    input: 2_000,
    output: 500,
    cached_input: 0,
    cache_write_input: 0,
    cache_write_1h_input: 0,
    audio_input: 0,
    image_input: 0,
    reasoning: 0,
    audio_output: 0,
    image_output: 0,
};

/// A model that is known.
struct Known {
    target: String,
    facts: Model,
}

/// Runs it.
pub fn run(args: &ModelsArgs, as_json: bool) -> Result<Ended, CommandError> {
    let known = known(args.config.as_deref())?;
    if args.filter.first().is_some_and(|word| word == COMPARE) {
        return compare(&known, &args.filter[1..], as_json);
    }
    let wanted = Wanted::of(args)?;
    let found: Vec<&Known> = known.iter().filter(|model| wanted.takes(model)).collect();
    if as_json {
        println!("{}", Value::from(found.iter().map(|m| as_value(m)).collect::<Vec<_>>()));
    } else if found.is_empty() {
        println!("No model of {} fits.", known.len());
    } else {
        list(&found);
    }
    Ok(if found.is_empty() { Ended::NotWell } else { Ended::Fine })
}

/// Every known model: of the configuration's providers where there is one, of the catalog's else.
fn known(config: Option<&Path>) -> Result<Vec<Known>, CommandError> {
    let row = |provider: &str, model: &str, facts: Model| Known {
        target: format!("{provider}/{model}"),
        facts,
    };
    if config.is_some() {
        let source = source::load(config)?;
        let providers = source.loaded.topology.providers.iter();
        return Ok(providers
            .flat_map(|p| p.known_models().map(|m| row(p.id.as_str(), m, p.model(m))))
            .collect());
    }
    let catalog = Catalog::shipped();
    let models = catalog.provider_names().flat_map(|provider| {
        let models = catalog.model_names(provider);
        models.filter_map(move |model| Some(row(provider, model, catalog.model(provider, model)?.clone())))
    });
    Ok(models.collect())
}

/// What is asked for; all of it must be so.
struct Wanted {
    words: Vec<String>,
    provider: Option<String>,
    model_tier: Option<ModelTierWord>,
    features: Features,
    price_max: Option<PicoDollars>,
    window_min: Option<u64>,
    deprecated: bool,
}

impl Wanted {
    fn of(args: &ModelsArgs) -> Result<Wanted, CommandError> {
        let mut features = Features::NONE;
        for word in &args.feature {
            let Some(feature) = Features::from_word(word) else {
                let words = || Features::WORDS.iter().map(|(_, word)| *word);
                let help = did_you_mean(word, words())
                    .unwrap_or_else(|| format!("one of: {}", words().collect::<Vec<_>>().join(", ")));
                return Err(CommandError::Usage(format!("error: unknown feature `{word}`, {help}")));
            };
            features.insert(feature);
        }
        let price_max = match args.max_price.as_deref().map(PicoDollars::per_token) {
            None => None,
            Some(Ok(price)) => Some(price),
            Some(Err(wrong)) => {
                return Err(CommandError::Usage(format!(
                    "error: --max-price: {wrong}: dollars a million tokens of the answer"
                )));
            }
        };
        Ok(Wanted {
            words: args.filter.iter().map(|word| word.to_lowercase()).collect(),
            provider: args.provider.clone(),
            model_tier: args.tier,
            features,
            price_max,
            window_min: args.window,
            deprecated: args.deprecated,
        })
    }

    /// What is not known of a model does not count as fitting.
    fn takes(&self, model: &Known) -> bool {
        let name = model.target.to_lowercase();
        let facts = &model.facts;
        let provider = model.target.split('/').next();
        self.words.iter().all(|word| name.contains(word.as_str()))
            && self.provider.as_deref().is_none_or(|wanted| provider == Some(wanted))
            && self
                .model_tier
                .is_none_or(|tier| facts.model_tier.is_some_and(|t| t.as_str() == tier.as_str()))
            && (self.features.is_empty() || facts.features.is_some() && facts.abilities().contains(self.features))
            && self.price_max.is_none_or(|max| {
                rates(facts)
                    .and_then(|r| r.output.or(r.input))
                    .is_some_and(|p| p <= max)
            })
            && self
                .window_min
                .is_none_or(|min| facts.context_window.is_some_and(|window| window >= min))
            && (!self.deprecated || facts.deprecated.is_some())
    }
}

fn list(found: &[&Known]) {
    let mut rows = table([
        "model", "tier", "window", "output", "$ in", "$ cached", "$ out", "can do", "off on",
    ]);
    for model in found {
        let (facts, rates) = (&model.facts, rates(&model.facts).unwrap_or_default());
        rows.add_row([
            model.target.clone(),
            facts.model_tier.map_or("-", |tier| tier.as_str()).to_owned(),
            tokens(facts.context_window),
            tokens(facts.max_output),
            price(rates.input),
            price(rates.cached_input),
            price(rates.output),
            abilities(facts),
            facts.deprecated.clone().unwrap_or("-".to_owned()),
        ]);
    }
    println!("{}", rows.trim_fmt());
    println!("{} models; prices in dollars a million tokens", found.len());
}

fn compare(known: &[Known], names: &[String], as_json: bool) -> Result<Ended, CommandError> {
    if names.len() < 2 {
        return Err(CommandError::Usage(
            "error: name two models or more: jumpseat models compare openai/gpt-5.5 anthropic/claude-opus-5-5"
                .to_owned(),
        ));
    }
    let mut found = Vec::new();
    for name in names {
        let Some(model) = known.iter().find(|model| model.target == *name) else {
            let help = did_you_mean(name, known.iter().map(|m| m.target.as_str()));
            let help = help.or_else(|| TargetId::parse(name).err().map(|wrong| wrong.to_string()));
            let help = help.map_or(String::new(), |help| format!(", {help}"));
            return Err(CommandError::Usage(format!(
                "error: the catalog does not know `{name}`{help}"
            )));
        };
        found.push(model);
    }
    if as_json {
        println!("{}", Value::from(found.iter().map(|m| as_value(m)).collect::<Vec<_>>()));
        return Ok(Ended::Fine);
    }
    let mut rows: Table = table([""]);
    rows.set_header(std::iter::once(String::new()).chain(found.iter().map(|m| m.target.clone())));
    let mut row = |title: &str, cell: &dyn Fn(&Model) -> String| {
        let cells: Vec<String> = found.iter().map(|m| cell(&m.facts)).collect();
        // What nobody has is not worth a line.
        if cells.iter().any(|cell| cell != "-") {
            rows.add_row(std::iter::once(title.to_owned()).chain(cells));
        }
    };
    row("model tier", &|m| {
        m.model_tier.map_or("-", |tier| tier.as_str()).to_owned()
    });
    row("window", &|m| tokens(m.context_window));
    row("output", &|m| tokens(m.max_output));
    let of = |pick: fn(&Rates) -> Option<PicoDollars>| move |m: &Model| price(rates(m).as_ref().and_then(pick));
    row("$ input", &of(|r| r.input));
    row("$ cached input", &of(|r| r.cached_input));
    row("$ cache write", &of(|r| r.cache_write));
    row("$ cache write 1h", &of(|r| r.cache_write_1h));
    row("$ output", &of(|r| r.output));
    row("$ audio input", &of(|r| r.audio_input));
    row("$ audio output", &of(|r| r.audio_output));
    row("dearer above", &|m| {
        let above = m.price.as_ref().and_then(|price| price.above.first());
        tokens(above.map(|long| long.tokens))
    });
    row("$ of 2,000 + 500 tokens", &|m| {
        sample(m).map_or("-".to_owned(), |nano| nano.to_string())
    });
    for (feature, word) in Features::WORDS {
        row(word, &|m| match m.features {
            None => "?".to_owned(),
            Some(_) if m.abilities().contains(*feature) => "yes".to_owned(),
            Some(_) => "-".to_owned(),
        });
    }
    row("off on", &|m| m.deprecated.clone().unwrap_or("-".to_owned()));
    println!("{}", rows.trim_fmt());
    println!("prices in dollars a million tokens");
    Ok(Ended::Fine)
}

fn rates(facts: &Model) -> Option<Rates> {
    Some(facts.price.as_ref()?.prices().rates(Service::Standard, 0))
}

fn sample(facts: &Model) -> Option<NanoDollars> {
    Some(cost(&SAMPLE, &facts.price.as_ref()?.prices()).nano)
}

fn tokens(count: Option<u64>) -> String {
    count.map_or("-".to_owned(), |count| count.to_string())
}

fn price(price: Option<PicoDollars>) -> String {
    price.map_or("-".to_owned(), PicoDollars::dollars_per_million)
}

fn abilities(facts: &Model) -> String {
    match facts.features {
        None => "not known".to_owned(),
        // What nearly all can do tells nobody anything.
        Some(_) => facts
            .abilities()
            .without(Features::COMMON)
            .words()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// The facts by the names of the configuration, without those nobody knows.
fn as_value(model: &Known) -> Value {
    let mut told = json!({ "target": model.target });
    let facts = serde_json::to_value(&model.facts).unwrap_or_default();
    if let (Some(told), Value::Object(facts)) = (told.as_object_mut(), known_only(facts)) {
        told.extend(facts);
    }
    told
}

fn known_only(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let known = map.into_iter().map(|(key, value)| (key, known_only(value)));
            let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            Value::Object(known.filter(|(_, value)| !empty(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(known_only).collect()),
        plain => plain,
    }
}
