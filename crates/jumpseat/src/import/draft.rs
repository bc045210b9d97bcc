//! An import in the making, and the one place where a foreign provider becomes one of ours: address, keys, headers.
//!
//! Both importers read their own spelling of a [`Reference`] and hand it in here. Start at [`Draft::supply`].

use gateway::config::catalog::Catalog;
use http::{HeaderName, HeaderValue};
use types::dialect::DialectName;

use crate::import::address::{Form, LOCAL, Refused, address};
use crate::import::facts::{Facts, ProviderFacts};
use crate::import::plan::{Plan, Upstream};
use crate::import::reader::{Section, Value};
use crate::import::report::{Finding, Kind, Report};
use crate::import::secrets::{Secrets, literal, looks_secret, sounds_secret, variable_name};

/// An import in the making.
pub struct Draft<'f> {
    /// What is going to be written.
    pub plan: Plan,
    /// What is going to be said.
    pub report: Report,
    /// Where secrets go.
    pub secrets: Secrets,
    /// What is known of the other gateway.
    pub facts: &'f Facts,
    /// The source's name in comments.
    pub file: String,
}

/// A value of the source: itself, or where it is kept.
#[derive(Clone)]
pub enum Reference {
    /// In an environment variable.
    Variable(String),
    /// In a file.
    File(String),
    /// It stands there.
    Literal(String),
}

/// What the source says of a provider's keys.
pub enum Keys<'a> {
    /// Nothing: the usual variable is meant.
    Usual,
    /// That there is none.
    None,
    /// These.
    Written(Vec<(Reference, Value<'a>)>),
}

/// A provider as the source describes it.
pub struct Wanted<'a> {
    /// The source's word for it.
    pub word: &'a str,
    /// What is known of that word; `None`: nothing.
    pub known: Option<ProviderFacts>,
    /// Where it is named.
    pub at: Value<'a>,
    /// Its address.
    pub base: Option<(Reference, Value<'a>)>,
    /// Its keys.
    pub keys: Keys<'a>,
    /// Headers of every request.
    pub headers: Vec<(String, Reference, Value<'a>)>,
    /// The name callers use for it.
    pub name: Option<&'a str>,
}

impl<'f> Draft<'f> {
    /// An empty one.
    pub fn new(file: &str, facts: &'f Facts) -> Draft<'f> {
        Draft {
            plan: Plan::default(),
            report: Report::default(),
            secrets: Secrets::default(),
            facts,
            file: file.to_owned(),
        }
    }

    /// How many findings there are.
    pub fn report_len(&self) -> usize {
        self.report.len()
    }

    /// What was found to do since then.
    pub fn to_dos_since(&self, before: usize) -> Vec<Finding> {
        self.report
            .since(before)
            .filter(|f| f.kind == Kind::ToDo)
            .cloned()
            .collect()
    }

    /// The provider's name here, or why it cannot be written, which is told already.
    pub fn supply(&mut self, wanted: Wanted) -> Result<String, String> {
        let gap = wanted.known.as_ref().and_then(|k| k.gap.clone());
        if let Some(gap) = gap {
            self.report.not_carried(&wanted.at, gap.clone());
            return Err(gap);
        }
        let mut remarks = Vec::new();
        let base = wanted.base.clone().or_else(|| {
            let variable = wanted.known.as_ref()?.base.clone()?;
            let row = wanted.known.as_ref()?.row();
            let placeless = row.is_none_or(|r| Catalog::shipped().provider(r).is_some_and(|r| r.base_url.is_none()));
            placeless.then(|| (Reference::Variable(variable), wanted.at.clone()))
        });
        // With an address of its own it is a server that speaks the dialect, and not the provider the word means.
        let own = wanted.known.as_ref().is_none_or(|k| k.compatible) && base.is_some();
        let row = wanted
            .known
            .as_ref()
            .and_then(ProviderFacts::row)
            .filter(|_| !own || self.is_address_of(wanted.word, base.as_ref()))
            .map(str::to_owned);
        if row.is_none() && base.is_none() {
            let why = format!(
                "the catalog does not know `{}`, and no address is written: give the provider a `dialect` and a `base_url`",
                wanted.word
            );
            self.report.not_carried(&wanted.at, why.clone());
            return Err(why);
        }
        let catalog_row = row.as_deref().and_then(|row| Catalog::shipped().provider(row));
        let form = Form {
            dialect: catalog_row.map_or(DialectName::OpenaiChat, |row| row.dialect),
            path: wanted.known.as_ref().and_then(|k| k.path.as_deref()),
            verbatim: own || row.is_none(),
        };
        let stem = variable_name(&row.clone().unwrap_or_else(|| wanted.word.to_owned())).to_ascii_uppercase();
        let (base_url, label) = match &base {
            Some((reference, at)) => self.base_url(reference, at, form, &stem, &mut remarks),
            None if catalog_row.is_some_and(|row| row.base_url.is_none()) => {
                let variable = format!("{stem}_BASE_URL");
                let message = format!("its address is missing: set the variable `{variable}` to it");
                remarks.push(self.report.left_to_do(&wanted.at, message));
                (Some(self.secrets.variable(&variable)), String::new())
            }
            None => (None, String::new()),
        };
        // The catalog's own address need not be repeated.
        let base_url = base_url.filter(|url| catalog_row.is_none_or(|row| row.base_url.as_ref() != Some(url)));
        let label = match (label.is_empty() || base_url.is_none(), &row) {
            (_, Some(_)) if base_url.is_none() => String::new(),
            (true, None) => wanted.word.to_ascii_lowercase().replace(['/', ' '], "-"),
            _ => label,
        };
        let key_hint = match (&wanted.known, catalog_row) {
            (Some(known), _) if known.key.is_some() => known.key.clone().unwrap_or_default(),
            (_, Some(row)) if !row.key.is_empty() => row.key[0].clone(),
            _ => format!("{}_API_KEY", variable_name(&label).to_ascii_uppercase()),
        };
        let keys = match &wanted.keys {
            Keys::None => Vec::new(),
            Keys::Written(written) => written
                .iter()
                .map(|(reference, at)| self.key(reference, at, &key_hint, &mut remarks))
                .collect(),
            Keys::Usual => {
                let known_key = wanted.known.as_ref().is_some_and(|k| k.key.is_some() && !k.keyless);
                let needs = known_key || catalog_row.is_some_and(|row| !row.key.is_empty());
                // A server beside the gateway seldom asks for one.
                let beside = row.is_none() && label == LOCAL;
                let unnamed = own && row.is_none() && !known_key;
                match (beside || unnamed, needs) {
                    (true, _) => {
                        let message = "no key is sent to this address: write `api_key` if it wants one";
                        remarks.push(self.report.changed(&wanted.at, message));
                        Vec::new()
                    }
                    (false, true) => vec![self.secrets.variable(&key_hint)],
                    (false, false) => Vec::new(),
                }
            }
        };
        let headers = self.headers(&wanted, &stem, &mut remarks);
        let upstream = Upstream {
            row,
            label,
            base_url,
            keys,
            headers,
        };
        let name = self.plan.provider(upstream, wanted.name);
        for remark in remarks {
            self.plan.remark(&name, &self.file, &remark);
        }
        Ok(name)
    }

    /// A section of the source; anything else under its key is told.
    pub fn section<'a>(&mut self, parent: &Section<'a>, key: &str) -> Option<Section<'a>> {
        let value = parent.take(key)?;
        let section = value.section();
        if section.is_none() {
            self.report.not_carried(&value, "a map is expected here");
        }
        section
    }

    /// A count of the source; anything else under its key is told.
    pub fn count(&mut self, value: &Value) -> Option<u32> {
        let count = value.count();
        if count.is_none() {
            self.report.not_carried(value, "a whole number is expected here");
        }
        count
    }

    /// Keeps the variable of a provider whose key is not written, so that no secret of the file is given its name.
    pub fn reserve_usual(&mut self, word: &str) {
        let Some(known) = self.facts.provider(word) else { return };
        let row = known.row().and_then(|row| Catalog::shipped().provider(row));
        let usual = known.key.or_else(|| row.and_then(|row| row.key.first().cloned()));
        if let Some(usual) = usual {
            self.secrets.reserve(&usual);
        }
    }

    /// Whether an address is the provider's usual one all the same.
    fn is_address_of(&self, word: &str, base: Option<&(Reference, Value)>) -> bool {
        let row = self.facts.provider(word).and_then(|k| k.row().map(str::to_owned));
        let usual = row.and_then(|r| Catalog::shipped().provider(&r)?.base_url.clone());
        match (usual, base) {
            (Some(usual), Some((Reference::Literal(text), _))) => text.trim_end_matches('/') == usual,
            (Some(_) | None, Some(_) | None) => false,
        }
    }

    fn base_url(
        &mut self,
        reference: &Reference,
        at: &Value,
        form: Form,
        stem: &str,
        remarks: &mut Vec<Finding>,
    ) -> (Option<String>, String) {
        let text = match reference {
            Reference::Variable(name) => {
                let path = form.path.unwrap_or_default();
                if !path.is_empty() {
                    let message = format!("the variable `{name}` must hold the address without a slash at its end");
                    remarks.push(self.report.left_to_do(at, message));
                }
                let label = name
                    .to_ascii_lowercase()
                    .replace("_api_base", "")
                    .replace("_base_url", "")
                    .replace("_url", "")
                    .replace("_endpoint", "");
                return (
                    Some(format!("{}{path}", self.secrets.variable(name))),
                    label.replace('_', "-"),
                );
            }
            Reference::File(path) => return (Some(format!("${{file:{path}}}")), String::new()),
            Reference::Literal(text) => text,
        };
        match address(text, form) {
            Ok(found) => {
                if let Some(changed) = found.changed {
                    self.report.changed(at, changed);
                }
                (Some(literal(&found.url)), found.label)
            }
            Err(refused) => {
                let (variable, name) = self.secrets.hide(text, &format!("{stem}_BASE_URL"));
                let path = form
                    .path
                    .map(|p| format!(", with `{p}` at its end"))
                    .unwrap_or_default();
                let why = match refused {
                    Refused::NoUrl => "this is no address",
                    Refused::Credentials => "an address with a password or key in it is a secret",
                };
                let message = format!("{why}: set the variable `{name}` to the right one{path}");
                remarks.push(self.report.left_to_do(at, message));
                (Some(variable), String::new())
            }
        }
    }

    fn key(&mut self, reference: &Reference, at: &Value, hint: &str, remarks: &mut Vec<Finding>) -> String {
        match reference {
            Reference::Variable(name) => self.secrets.variable(name),
            Reference::File(path) => format!("${{file:{path}}}"),
            Reference::Literal(text) => {
                let (variable, name) = self.secrets.hide(text, hint);
                let message = format!("a key stands in the file: put it into the variable `{name}`; it is not copied");
                remarks.push(self.report.left_to_do(at, message));
                variable
            }
        }
    }

    fn headers(&mut self, wanted: &Wanted, stem: &str, remarks: &mut Vec<Finding>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for (name, reference, at) in &wanted.headers {
            if HeaderName::try_from(name.as_str()).is_err() {
                self.report.not_carried(at, format!("`{name}` is no header's name"));
                continue;
            }
            let value = match reference {
                Reference::Variable(variable) => self.secrets.variable(variable),
                Reference::File(path) => format!("${{file:{path}}}"),
                Reference::Literal(text) if sounds_secret(name) || looks_secret(text) => {
                    let (variable, known_as) = self.secrets.hide(text, &format!("{stem}_{}", variable_name(name)));
                    let message = format!(
                        "a header that may be a secret stands in the file: put its value into the variable `{known_as}`"
                    );
                    remarks.push(self.report.left_to_do(at, message));
                    variable
                }
                Reference::Literal(text) if HeaderValue::try_from(text.as_str()).is_err() => {
                    self.report.not_carried(at, "a header's value cannot have line breaks");
                    continue;
                }
                Reference::Literal(text) => literal(text),
            };
            headers.push((name.clone(), value));
        }
        headers
    }
}
