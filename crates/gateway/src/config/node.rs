//! A YAML file as a tree that remembers where everything stood.
//!
//! The one reader of YAML in the house. Scalars keep the text as written, so that `${PORT}` can become a number and
//! `4.10` stays a model's name; [`crate::config::decode`] gives them their types. Read [`Node`] first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::config::notice::Notice;
use crate::config::place::{Place, Step};

/// A configuration file larger than this is refused.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Maps and lists nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// A value with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1; 0 when the value does not come from a text.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What stands there.
    pub kind: Kind,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing: `key:` alone, or `null`.
    Null,
    /// A credential whose variable or file is not set; the text says which.
    Unset(String),
    /// Text, a number or a truth value, as written.
    Scalar(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its line.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// An empty map that stands nowhere.
    pub fn empty() -> Node {
        Node {
            line: 0,
            column: 0,
            kind: Kind::Map(Vec::new()),
        }
    }

    /// Leaves out what a map has under other keys than those to keep.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        if let Kind::Map(entries) = &mut self.kind {
            entries.retain(|entry| keep(&entry.key));
        }
    }

    /// Reads a YAML text. Syntax errors, a second document and doubled keys are told with their place.
    pub fn parse(text: &str) -> Result<Node, Notice> {
        if text.len() > FILE_BYTES_MAX {
            return Err(Notice::new(format!(
                "the file has {} bytes, more than {FILE_BYTES_MAX}",
                text.len()
            )));
        }
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
            budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
        };
        match serde_saphyr::from_str_with_options::<Option<Spanned<Raw>>>(text, options) {
            Ok(None) => Ok(Node::empty()),
            Ok(Some(raw)) => Ok(Node::from_raw(raw, text)),
            Err(error) => {
                let location = error.location().filter(|l| l.line() > 0);
                Err(Notice {
                    line: location.map(|l| l.line() as usize),
                    column: location.map(|l| l.column() as usize),
                    ..Notice::new(said_once(&error.to_string()))
                })
            }
        }
    }

    /// The value at a place, if it is there.
    pub fn at(&self, place: &Place) -> Option<&Node> {
        place
            .steps()
            .iter()
            .try_fold(self, |node, step| match (step, &node.kind) {
                (Step::Key(key), Kind::Map(entries)) => entries.iter().find(|e| e.key == *key).map(|e| &e.value),
                (Step::Index(index), Kind::Seq(items)) => items.get(*index),
                _ => None,
            })
    }

    /// Line and column of a place: of its key for maps and lists, of the value else; of what is around it when it is
    /// not written at all.
    pub fn position(&self, place: &Place) -> Option<(usize, usize)> {
        let mut position = (self.line, self.column);
        let mut node = self;
        for step in place.steps() {
            match (step, &node.kind) {
                (Step::Key(key), Kind::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|e| e.key == *key) else {
                        break;
                    };
                    position = match entry.value.kind {
                        Kind::Scalar(_) | Kind::Unset(_) if entry.value.line > 0 => {
                            (entry.value.line, entry.value.column)
                        }
                        _ => (entry.line, entry.column),
                    };
                    node = &entry.value;
                }
                (Step::Index(index), Kind::Seq(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    position = (item.line, item.column);
                    node = item;
                }
                _ => break,
            }
        }
        (position.0 > 0).then_some(position)
    }

    /// A notice about a place, with the line it stands in.
    pub fn notice(&self, place: &Place, message: impl Into<String>) -> Notice {
        let position = self.position(place);
        Notice {
            line: position.map(|p| p.0),
            column: position.map(|p| p.1),
            path: place.to_string(),
            ..Notice::new(message)
        }
    }

    fn from_raw(raw: Spanned<Raw>, text: &str) -> Node {
        let place = raw.referenced;
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Text(text) => Kind::Scalar(text),
            // The visitor was told a number; the text has what was written.
            Raw::Number(number) => Kind::Scalar(written(&raw.defined, text).unwrap_or(number)),
            Raw::Seq(items) => Kind::Seq(items.into_iter().map(|i| Node::from_raw(i, text)).collect()),
            Raw::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        line: key.referenced.line() as usize,
                        column: key.referenced.column() as usize,
                        key: key.value,
                        value: Node::from_raw(value, text),
                    })
                    .collect(),
            ),
        };
        Node {
            line: place.line() as usize,
            column: place.column() as usize,
            kind,
        }
    }
}

/// The parser's message without its place, which the notice tells, and without advice to programmers.
fn said_once(message: &str) -> String {
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
    message.to_owned()
}

fn written(location: &Location, text: &str) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let slice = text.get(start..end)?.trim();
    (!slice.is_empty()).then(|| slice.to_owned())
}

enum Raw {
    Null,
    Text(String),
    Number(String),
    Seq(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_the_text_as_written_and_everything_knows_its_place() {
        let node = Node::parse("a: 4.10\nb:\n  - \"30\"\n  - off\n  - 0755\nc: { d: ~, e: true }\n").unwrap();
        let text = |place: Place| match &node.at(&place).unwrap().kind {
            Kind::Scalar(text) => text.clone(),
            other => format!("{other:?}"),
        };
        let b = Place::root().key("b");
        assert_eq!(text(Place::root().key("a")), "4.10");
        assert_eq!(text(b.index(0)), "30");
        assert_eq!(text(b.index(1)), "off");
        assert_eq!(text(b.index(2)), "0755");
        assert_eq!(text(Place::root().key("c").key("d")), "Null");
        assert_eq!(text(Place::root().key("c").key("e")), "true");
        assert_eq!(node.position(&b.index(1)), Some((4, 5)));
        assert_eq!(node.position(&b), Some((2, 1)));
        assert_eq!(node.position(&Place::root().key("c").key("missing")), Some((6, 1)));
    }

    #[test]
    fn broken_yaml_is_told_with_its_line() {
        for (text, line) in [
            ("a: [1, 2\nb: 3\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: 1\n  b: 2\n", 2),
            ("a: 1\n---\nb: 1\n", 2),
        ] {
            let notice = Node::parse(text).unwrap_err();
            assert!(notice.line.is_some_and(|l| l >= line - 1), "{text:?}: {notice}");
        }
        let deep = "[".repeat(10_000);
        assert!(Node::parse(&deep).is_err());
    }

    #[test]
    fn an_empty_file_is_an_empty_map() {
        for text in ["", "# nothing\n", "~", "---\n"] {
            let node = Node::parse(text).unwrap();
            assert!(matches!(node.kind, Kind::Map(ref m) if m.is_empty()), "{text:?}");
        }
    }
}
