//! Takes personal data and secrets out of a call's texts before they are kept. Pure: text in, text out.
//!
//! It works on what texts mean, not on their bytes: JSON is parsed and each of its strings is looked through on its own, so that
//! what comes out is JSON again, and the pieces of a stream are looked through joined, since an address is cut into tokens at any
//! letter. It finds what has a form (an address, a number with its check digit, a key's prefix); names of people have none.
//! Begin at [`Redactor::redact`].

mod card;
mod cut;
mod doubled;
mod email;
mod phone;
mod secret;
mod stream;

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::config::record::Redact;

/// A string of only base64 that is longer than this is media, not text: its size is noted in its place.
const MEDIA_LEN_MIN: usize = 1024;

/// What is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redactor {
    email: bool,
    phone: bool,
    card: bool,
    secret: bool,
}

/// A text that may be kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redacted {
    /// The text.
    pub text: String,
    /// Something was taken out of it.
    pub changed: bool,
}

/// Something to be taken out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    range: Range<usize>,
    /// What stands there instead.
    word: &'static str,
}

impl Redactor {
    /// One that takes out these kinds.
    pub fn new(kinds: &[Redact]) -> Redactor {
        let mut redactor = Redactor::default();
        for kind in kinds {
            match kind {
                Redact::Email => redactor.email = true,
                Redact::Phone => redactor.phone = true,
                Redact::Card => redactor.card = true,
                Redact::Secret => redactor.secret = true,
            }
        }
        redactor
    }

    /// A body: JSON, a stream's frames, or any other text. Media are replaced by a note of their size whatever is to be redacted.
    pub fn redact(&self, body: &[u8]) -> Redacted {
        self.body(body, false)
    }

    /// The same of a body whose end is missing: what stands at the cut is dropped, since half a number is not known for one.
    pub fn redact_cut(&self, body: &[u8]) -> Redacted {
        self.body(body, true)
    }

    fn body(&self, body: &[u8], is_cut: bool) -> Redacted {
        let Some(text) = cut::whole_characters(body) else {
            return Redacted {
                text: format!("[{} bytes that are no text]", body.len()),
                changed: true,
            };
        };
        let mut redacted = self.text(text, is_cut);
        redacted.changed |= text.len() < body.len();
        redacted
    }

    fn text(&self, text: &str, is_cut: bool) -> Redacted {
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            return self.json(text, value);
        }
        if stream::is_framed(text) {
            return self.stream(text, is_cut);
        }
        if text.trim_start().starts_with(['{', '[']) {
            return self.broken_json(text, is_cut);
        }
        if is_cut {
            return Redacted {
                changed: true,
                ..self.plain(cut::settled(text))
            };
        }
        self.plain(text)
    }

    /// What begins as JSON does and is none: lines of it, or some that was cut, or something else.
    fn broken_json(&self, text: &str, is_cut: bool) -> Redacted {
        let (first, rest) = text.trim_start().split_once('\n').unwrap_or((text, ""));
        if !rest.trim().is_empty() && serde_json::from_str::<Value>(first).is_ok() {
            let mut all = Redacted::default();
            let lines = text.split_inclusive('\n').count();
            for (n, line) in text.split_inclusive('\n').enumerate() {
                let redacted = self.text(line, is_cut && n + 1 == lines);
                all.text.push_str(&redacted.text);
                if line.ends_with('\n') && !redacted.text.ends_with('\n') {
                    all.text.push('\n');
                }
                all.changed |= redacted.changed;
            }
            return all;
        }
        let closed = cut::closed(text);
        let mut closed = closed.iter().flatten();
        if let Some(mut value) = closed.find_map(|text| serde_json::from_str::<Value>(text).ok()) {
            self.tree(&mut value);
            return Redacted {
                text: value.to_string(),
                changed: true,
            };
        }
        let read = cut::unescaped(if is_cut { cut::settled(text) } else { text });
        let redacted = self.plain(&read);
        match redacted.changed || is_cut {
            true => Redacted {
                changed: true,
                ..redacted
            },
            // What was not touched stays as it was written.
            false => self.plain(text),
        }
    }

    fn json(&self, text: &str, mut value: Value) -> Redacted {
        let changed = self.tree(&mut value) | doubled::is_in(text);
        Redacted {
            // What was not touched stays as it was written.
            text: if changed { value.to_string() } else { text.to_owned() },
            changed,
        }
    }

    /// Every string of a tree; whether one was changed.
    fn tree(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.string(text) {
                Some(new) => {
                    *text = new;
                    true
                }
                None => false,
            },
            Value::Number(number) => {
                let digits = number.to_string();
                let found = self.card && card::find(&digits).iter().any(|found| found.range == (0..digits.len()));
                if found {
                    *value = Value::String(card::WORD.to_owned());
                }
                found
            }
            // Each is looked at, also when one before it was changed.
            Value::Array(items) => items
                .iter_mut()
                .map(|item| self.tree(item))
                .fold(false, |any, one| any | one),
            Value::Object(members) => {
                let mut changed = false;
                for (name, member) in members.iter_mut() {
                    changed |= match member {
                        Value::String(text) if self.secret && secret::is_name(name) && !text.is_empty() => {
                            *text = secret::WORD.to_owned();
                            true
                        }
                        _ => self.tree(member),
                    };
                }
                changed | self.names(members)
            }
            Value::Null | Value::Bool(_) => false,
        }
    }

    /// The names of an object's members; whether one was changed. Those that become alike are numbered.
    fn names(&self, members: &mut Map<String, Value>) -> bool {
        if members.keys().all(|name| self.string(name).is_none()) {
            return false;
        }
        let mut alike: HashMap<String, usize> = HashMap::new();
        for (name, member) in std::mem::take(members) {
            let Some(word) = self.string(&name) else {
                members.insert(name, member);
                continue;
            };
            let n = alike.entry(word.clone()).or_default();
            *n += 1;
            let numbered = if *n == 1 { word } else { format!("{word} {n}") };
            members.insert(numbered, member);
        }
        true
    }

    /// The names of the members of every object of a tree; whether one was changed.
    fn all_names(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(items) => items
                .iter_mut()
                .map(|item| self.all_names(item))
                .fold(false, |any, one| any | one),
            Value::Object(members) => {
                let below = members
                    .values_mut()
                    .map(|member| self.all_names(member))
                    .fold(false, |any, one| any | one);
                below | self.names(members)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// A string with its findings replaced; `None` when there are none.
    fn string(&self, text: &str) -> Option<String> {
        if let Some(note) = media_note(text) {
            return Some(note);
        }
        let found = self.find(text);
        (!found.is_empty()).then(|| replace(text, &found))
    }

    fn plain(&self, text: &str) -> Redacted {
        let found = self.find(text);
        Redacted {
            text: replace(text, &found),
            changed: !found.is_empty(),
        }
    }

    /// What is to be taken out of a text, in order and without overlaps. Of two that overlap the one that begins first wins, and it
    /// reaches as far as both do.
    fn find(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        if self.secret {
            found.extend(secret::find(text));
        }
        if self.email {
            found.extend(email::find(text));
        }
        if self.card {
            found.extend(card::find(text));
        }
        if self.phone {
            found.extend(phone::find(text));
        }
        // Lengths are bounded in bytes, so a finding may begin or end inside a character: that goes as well.
        for one in &mut found {
            let whole = |at: &usize| text.is_char_boundary(*at);
            let start = (0..=one.range.start).rev().find(whole).unwrap_or(0);
            let end = (one.range.end..=text.len()).find(whole).unwrap_or(text.len());
            one.range = start..end;
        }
        // Stable: of two that begin together the kind looked for first is the surer one.
        found.sort_by_key(|one| one.range.start);
        let mut apart: Vec<Found> = Vec::with_capacity(found.len());
        for one in found {
            match apart.last_mut() {
                Some(last) if one.range.start < last.range.end => last.range.end = last.range.end.max(one.range.end),
                _ => apart.push(one),
            }
        }
        apart
    }
}

fn replace(text: &str, found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for one in found {
        out.push_str(&text[at..one.range.start]);
        out.push_str(one.word);
        at = one.range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// What stands in place of an image, a recording or a document.
fn media_note(text: &str) -> Option<String> {
    let (kind, data) = match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((kind, data)) if kind.len() < 100 => (kind, data),
        _ => ("base64", text),
    };
    let is_data = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_' | b'\n' | b'\r');
    let long = data.len() >= if kind == "base64" { MEDIA_LEN_MIN } else { 64 };
    (long && data.bytes().all(is_data)).then(|| format!("[{kind}, {} bytes]", data.len() / 4 * 3))
}

/// Whether nothing before a place belongs to the word that begins there. A letter behind a backslash is an escape of a text within a
/// text (`\n`), no letter of a word.
fn begins_word(text: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|i| text[i]) else {
        return true;
    };
    if !is_word(before) {
        return true;
    }
    matches!(before, b'n' | b'r' | b't') && at >= 2 && text[at - 2] == b'\\'
}

/// A byte of a word: letters, digits, and everything that is not ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests;
