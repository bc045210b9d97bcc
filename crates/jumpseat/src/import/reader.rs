//! Walking through a foreign configuration: every value knows its place, every section knows what nobody asked it for.
//!
//! A key that is not taken is told at the end, so that nothing of the source is lost in silence. Start at [`Value`].

use std::cell::RefCell;
use std::collections::BTreeSet;

use gateway::config::node::{Entry, Kind, Node};
use gateway::config::place::Place;

/// A value of the source with its place.
#[derive(Debug, Clone)]
pub struct Value<'a> {
    /// Where it stands.
    pub place: Place,
    /// Its line, from 1; of its key where it has one.
    pub line: usize,
    /// What stands there.
    pub node: &'a Node,
}

/// A map of the source that remembers which of its keys were taken.
#[derive(Debug)]
pub struct Section<'a> {
    /// The map itself.
    pub value: Value<'a>,
    entries: &'a [Entry],
    taken: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Value<'a> {
    /// The whole source.
    pub fn root(node: &'a Node) -> Value<'a> {
        Value {
            place: Place::root(),
            line: node.line,
            node,
        }
    }

    /// The text, number or truth value that stands there, as written.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Scalar(text) => Some(text),
            Kind::Null | Kind::Unset(_) | Kind::Seq(_) | Kind::Map(_) => None,
        }
    }

    /// A truth value in any spelling of YAML 1.1 or TOML.
    pub fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub fn number(&self) -> Option<f64> {
        let number: f64 = self.text()?.replace('_', "").parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    }

    /// A count.
    pub fn count(&self) -> Option<u32> {
        self.text()?.replace('_', "").parse().ok()
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> Vec<Value<'a>> {
        let Kind::Seq(items) = &self.node.kind else {
            return Vec::new();
        };
        let item = |(index, node): (usize, &'a Node)| Value {
            place: self.place.index(index),
            line: node.line,
            node,
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The entries of a map with their values; none of anything else.
    pub fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let Kind::Map(entries) = &self.node.kind else {
            return Vec::new();
        };
        entries
            .iter()
            .map(|e| (e.key.as_str(), entry_value(&self.place, e)))
            .collect()
    }

    /// The texts of a list, or a text alone as a list of one.
    pub fn texts(&self) -> Vec<(&'a str, Value<'a>)> {
        match self.text() {
            Some(text) => vec![(text, self.clone())],
            None => self.items().into_iter().filter_map(|i| Some((i.text()?, i))).collect(),
        }
    }

    /// The map that stands there.
    pub fn section(&self) -> Option<Section<'a>> {
        match &self.node.kind {
            Kind::Map(entries) => Some(Section {
                value: self.clone(),
                entries,
                taken: RefCell::default(),
            }),
            Kind::Null | Kind::Unset(_) | Kind::Scalar(_) | Kind::Seq(_) => None,
        }
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        match &self.node.kind {
            Kind::Null => true,
            Kind::Unset(_) | Kind::Scalar(_) | Kind::Seq(_) | Kind::Map(_) => false,
        }
    }

    /// Every text below this value, itself among them.
    pub fn every_text(&self) -> Vec<&'a str> {
        let mut texts: Vec<&str> = self.text().into_iter().collect();
        texts.extend(self.items().iter().flat_map(Value::every_text));
        texts.extend(self.entries().iter().flat_map(|(_, v)| v.every_text()));
        texts
    }
}

impl<'a> Section<'a> {
    /// The value of a key, which is now taken. A key without a value is none.
    pub fn take(&self, key: &str) -> Option<Value<'a>> {
        let entry = self.entries.iter().find(|e| e.key == key)?;
        self.taken.borrow_mut().insert(&entry.key);
        let value = entry_value(&self.value.place, entry);
        (!value.is_null()).then_some(value)
    }

    /// The same of the first of several spellings that is there.
    pub fn take_any(&self, keys: &[&str]) -> Option<Value<'a>> {
        let found: Vec<Value> = keys.iter().filter_map(|key| self.take(key)).collect();
        found.into_iter().next()
    }

    /// The map of a key, which is now taken.
    pub fn take_section(&self, key: &str) -> Option<Section<'a>> {
        self.take(key)?.section()
    }

    /// Keys that nobody took, with their values.
    pub fn rest(&self) -> Vec<(&'a str, Value<'a>)> {
        let taken = self.taken.borrow();
        self.entries
            .iter()
            .filter(|e| !taken.contains(e.key.as_str()))
            .map(|e| (e.key.as_str(), entry_value(&self.value.place, e)))
            .collect()
    }
}

fn entry_value<'a>(place: &Place, entry: &'a Entry) -> Value<'a> {
    Value {
        place: place.key(&entry.key),
        line: entry.line,
        node: &entry.value,
    }
}
