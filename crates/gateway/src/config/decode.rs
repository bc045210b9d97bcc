//! From the tree to typed sections: a serde deserializer over [`Node`] that tells every error with its place.
//!
//! Unknown keys are collected and skipped, and an entry of [`crate::config::entries::Entries`] that does not decode is left
//! out, so that one reading tells all errors. It judges shape alone; sections judge their values.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::config::nearest::did_you_mean;
use crate::config::node::{Entry, Kind, Node};
use crate::config::notice::Notice;
use crate::config::place::Place;

/// A newtype struct of this name swallows the error of what it holds, which is recorded already.
pub const LENIENT: &str = "$jumpseat::lenient";

/// Keys that the design names and that this version does not do: where they would stand, and the key.
const NOT_YET: &[(&str, &[&str])] = &[
    ("Config", &["alerts", "keys", "prompts", "evidence", "classify"]),
    ("Server", &["keys"]),
    (
        "Route",
        &[
            "classify", "tasks", "default", "budgets", "shadow", "prompt", "hedge", "limits",
        ],
    ),
    ("Defaults", &["cache", "hedge"]),
    ("Tier", &["require", "break_glass", "hedge", "margin"]),
    ("TargetMap", &["prompt", "variant"]),
];

/// Decodes a whole tree. `Err` holds every error of shape found.
pub fn decode<T: for<'de> Deserialize<'de>>(root: &Node) -> Result<T, Vec<Notice>> {
    let (decoded, mut found) = decode_once::<T>(root);
    match decoded {
        Some(value) if found.is_empty() => return Ok(value),
        Some(_) => return Err(found),
        None => {}
    }
    // A section that does not decode hides those after it: read on without it, so that one reading tells all.
    let mut rest = root.clone();
    while let Some(wrong) = found.last().map(|notice| section(&notice.path).to_owned()) {
        let Kind::Map(entries) = &mut rest.kind else { break };
        let before = entries.len();
        entries.retain(|entry| entry.key != wrong);
        if entries.len() == before {
            break;
        }
        let (decoded, more) = decode_once::<T>(&rest);
        let fresh: Vec<Notice> = more.into_iter().filter(|n| !found.contains(n)).collect();
        let done = decoded.is_some() || fresh.is_empty();
        found.extend(fresh);
        if done {
            break;
        }
    }
    Err(found)
}

fn section(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

fn decode_once<T: for<'de> Deserialize<'de>>(root: &Node) -> (Option<T>, Vec<Notice>) {
    let found = RefCell::new(Vec::new());
    let decoder = Decoder {
        root,
        node: root,
        place: Place::root(),
        found: &found,
    };
    let decoded = T::deserialize(decoder);
    let mut found = found.into_inner();
    match decoded {
        Ok(value) => (Some(value), found),
        Err(error) => {
            if let Some(unrecorded) = error.0 {
                found.push(Notice {
                    help: unrecorded.help,
                    ..Notice::new(unrecorded.message)
                });
            }
            (None, found)
        }
    }
}

#[derive(Clone)]
struct Decoder<'a> {
    root: &'a Node,
    node: &'a Node,
    place: Place,
    found: &'a RefCell<Vec<Notice>>,
}

/// `Some` until a decoder that knows the place has recorded it.
#[derive(Debug)]
struct DecodeError(Option<Unrecorded>);

#[derive(Debug)]
struct Unrecorded {
    message: String,
    help: Option<String>,
}

impl Decoder<'_> {
    /// Writes an error down where it happened; whoever passes it on adds nothing.
    fn record<T>(&self, result: Result<T, DecodeError>) -> Result<T, DecodeError> {
        result.map_err(|error| {
            if let Some(Unrecorded { message, help }) = error.0 {
                self.push(&self.place, message, help);
            }
            DecodeError(None)
        })
    }

    fn push(&self, place: &Place, message: String, help: Option<String>) {
        let notice = Notice {
            help,
            ..self.root.notice(place, message)
        };
        self.found.borrow_mut().push(notice);
    }

    fn wrong(&self, expected: &dyn Expected) -> DecodeError {
        match &self.node.kind {
            Kind::Null => DecodeError::invalid_type(Unexpected::Other("nothing"), expected),
            Kind::Unset(what) => DecodeError::custom(format!("{what} is not set")),
            Kind::Scalar(text) => DecodeError::invalid_type(Unexpected::Other(&shown(text)), expected),
            Kind::Seq(_) => DecodeError::invalid_type(Unexpected::Other("a list"), expected),
            Kind::Map(_) => DecodeError::invalid_type(Unexpected::Other("a map"), expected),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match &self.node.kind {
            Kind::Scalar(text) => {
                let digits = text.replace('_', "");
                if let Ok(value) = digits.parse::<u64>() {
                    visitor.visit_u64(value)
                } else if let Ok(value) = digits.parse::<i64>() {
                    visitor.visit_i64(value)
                } else if let Ok(value) = digits.parse::<f64>() {
                    visitor.visit_f64(value)
                } else {
                    Err(self.wrong(&"a number"))
                }
            }
            _ => Err(self.wrong(&"a number")),
        };
        self.record(result)
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match &self.node.kind {
            Kind::Scalar(text) => visitor.visit_str(text),
            _ => Err(self.wrong(&visitor)),
        };
        self.record(result)
    }

    fn seq<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match &self.node.kind {
            Kind::Seq(items) => visitor.visit_seq(Items {
                decoder: &self,
                items,
                next: 0,
            }),
            _ => Err(self.wrong(&visitor)),
        };
        self.record(result)
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V, known: Option<(&str, &[&str])>) -> Result<V::Value, DecodeError> {
        let nothing = Vec::new();
        let result = match &self.node.kind {
            Kind::Map(entries) => visitor.visit_map(Entries {
                decoder: &self,
                entries,
                known,
                next: 0,
            }),
            // `log:` with every line below it commented out is an empty section.
            Kind::Null => visitor.visit_map(Entries {
                decoder: &self,
                entries: &nothing,
                known,
                next: 0,
            }),
            _ => Err(self.wrong(&visitor)),
        };
        self.record(result)
    }

    fn unknown_key(&self, structure: &str, entry: &Entry, known: &[&str]) {
        let key = entry.key.as_str();
        let not_yet = NOT_YET
            .iter()
            .any(|(name, keys)| *name == structure && keys.contains(&key));
        let (message, help) = match not_yet {
            true => (format!("`{key}` is not available in this version"), None),
            false => (format!("unknown key `{key}`"), Some(meant(key, known))),
        };
        self.found.borrow_mut().push(Notice {
            line: (entry.line > 0).then_some(entry.line),
            column: (entry.line > 0).then_some(entry.column),
            path: self.place.to_string(),
            message,
            help,
        });
    }
}

/// What was meant by a key, or which there are.
fn meant(key: &str, known: &[&str]) -> String {
    did_you_mean(key, known.iter().copied()).unwrap_or_else(|| format!("known here: {}", known.join(", ")))
}

fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.kind {
            Kind::Null | Kind::Unset(_) => {
                let result = Err(self.wrong(&visitor));
                self.record(result)
            }
            Kind::Scalar(_) => self.text(visitor),
            Kind::Seq(_) => self.seq(visitor),
            Kind::Map(_) => self.map(visitor, None),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match &self.node.kind {
            Kind::Scalar(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" => visitor.visit_bool(true),
                "false" | "off" | "no" => visitor.visit_bool(false),
                _ => Err(self.wrong(&"true or false")),
            },
            _ => Err(self.wrong(&"true or false")),
        };
        self.record(result)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.kind {
            Kind::Null | Kind::Unset(_) => visitor.visit_none(),
            Kind::Scalar(_) | Kind::Seq(_) | Kind::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let recorder = self.clone();
        recorder.record(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if let Kind::Map(entries) = &self.node.kind {
            for entry in entries.iter().filter(|e| !fields.contains(&e.key.as_str())) {
                self.unknown_key(name, entry, fields);
            }
        }
        if !matches!(self.node.kind, Kind::Map(_) | Kind::Null) {
            let result = Err(self.wrong(&"a map"));
            return self.record(result);
        }
        self.map(visitor, Some((name, fields)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let result = match &self.node.kind {
            Kind::Scalar(text) => visitor.visit_enum(Word(text)),
            _ => Err(self.wrong(&"a word")),
        };
        self.record(result)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    decoder: &'a Decoder<'a>,
    items: &'a [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let place = self.decoder.place.index(self.next);
        self.next += 1;
        seed.deserialize(Decoder {
            node,
            place,
            ..self.decoder.clone()
        })
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Entries<'a> {
    decoder: &'a Decoder<'a>,
    entries: &'a [Entry],
    /// The keys of a struct: others are told already and skipped.
    known: Option<(&'a str, &'a [&'a str])>,
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        while let Some(entry) = self.entries.get(self.next) {
            self.next += 1;
            if self.known.is_none_or(|(_, keys)| keys.contains(&entry.key.as_str())) {
                return seed.deserialize(entry.key.as_str().into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let entry = &self.entries[self.next - 1];
        let decoder = Decoder {
            node: &entry.value,
            place: self.decoder.place.key(&entry.key),
            ..self.decoder.clone()
        };
        seed.deserialize(decoder)
    }
}

/// One of an enum's words.
struct Word<'a>(&'a str);

impl<'de, 'a> EnumAccess<'de> for Word<'a> {
    type Error = DecodeError;
    type Variant = NoValue;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, NoValue), DecodeError> {
        Ok((seed.deserialize(self.0.into_deserializer())?, NoValue))
    }
}

struct NoValue;

impl<'de> VariantAccess<'de> for NoValue {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, DecodeError> {
        Err(DecodeError::custom("expected a map"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::custom("expected a list"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError::custom("expected a map"))
    }
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> DecodeError {
        DecodeError(Some(Unrecorded {
            message: message.to_string(),
            help: None,
        }))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> DecodeError {
        DecodeError::custom(format!(
            "expected {}, found {}",
            plain(&expected.to_string()),
            found(unexpected)
        ))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> DecodeError {
        DecodeError::custom(format!(
            "expected {}, found {}",
            plain(&expected.to_string()),
            found(unexpected)
        ))
    }

    fn missing_field(field: &'static str) -> DecodeError {
        DecodeError::custom(format!("`{field}` is missing"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> DecodeError {
        DecodeError(Some(Unrecorded {
            message: format!("unknown key `{field}`"),
            help: Some(meant(field, expected)),
        }))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> DecodeError {
        if NOT_YET_WORDS.contains(&variant) {
            return DecodeError(Some(Unrecorded {
                message: format!("`{variant}` is not available in this version"),
                help: Some(format!("one of: {}", expected.join(", "))),
            }));
        }
        let help = did_you_mean(variant, expected.iter().copied())
            .unwrap_or_else(|| format!("one of: {}", expected.join(", ")));
        DecodeError(Some(Unrecorded {
            message: format!("unknown word {}", shown(variant)),
            help: Some(help),
        }))
    }
}

/// Words of the design that this version does not do (a balancer by latency).
const NOT_YET_WORDS: &[&str] = &["latency"];

/// What serde calls a thing, in the words of people.
fn plain(expected: &str) -> &str {
    match expected {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number",
        "a sequence" => "a list",
        other => other,
    }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Other(text) => text.to_owned(),
        Unexpected::Str(text) => shown(text),
        Unexpected::Signed(number) => format!("`{number}`"),
        Unexpected::Unsigned(number) => format!("`{number}`"),
        Unexpected::Float(number) => format!("`{number}`"),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("told already", |e| &e.message))
    }
}

impl std::error::Error for DecodeError {}
