//! The frames of a stream: what they say piece by piece is joined, looked through, and cut again.
//!
//! A model's text comes in tokens, so an address lies across several frames. The pieces at the same place of each frame (and of the
//! same choice, output or block) are one text. Redaction is put where it begins, and what is left of it in later pieces is dropped.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::recorder::redact::{Found, Redacted, Redactor, cut, doubled, media_note, secret};

/// Members that say which of several texts a piece belongs to.
const INDEXES: [&str; 4] = ["index", "output_index", "content_index", "item_id"];

/// A line of a stream.
enum Line<'a> {
    /// `data:` and what it holds.
    Data { value: Value, text: &'a str, changed: bool },
    /// Everything else.
    Other(String),
}

/// A piece of a text: where it stands.
struct Piece {
    line: usize,
    /// From the root of the line's value.
    path: Vec<Step>,
    len: usize,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Member(String),
    Item(usize),
}

/// Whether a text is a stream's frames, server-sent events or lines of JSON.
pub fn is_framed(text: &str) -> bool {
    let text = text.trim_start();
    ["data:", "event:", ":", "id:"]
        .iter()
        .any(|field| text.starts_with(field))
}

impl Redactor {
    /// The frames with their texts redacted. A line that is no whole JSON (the cut end of what was kept) is dropped: half a number
    /// would not be known for one.
    pub(super) fn stream(&self, text: &str, is_cut: bool) -> Redacted {
        let mut dropped = false;
        let mut lines: Vec<Line<'_>> = Vec::new();
        for line in text.split_inclusive('\n') {
            let data = line.strip_prefix("data:").map(str::trim);
            let value = data
                .filter(|d| d.starts_with(['{', '[']))
                .map(serde_json::from_str::<Value>);
            match (data, value) {
                (Some(data), Some(Ok(mut value))) => {
                    let changed = self.all_names(&mut value) | doubled::is_in(data);
                    lines.push(Line::Data {
                        value,
                        text: line,
                        changed,
                    });
                }
                (Some("[DONE]" | ""), _) | (None, _) => {
                    let plain = self.plain(line);
                    dropped |= plain.changed;
                    lines.push(Line::Other(plain.text));
                }
                (Some(_), _) => {
                    dropped = true;
                    let end = if line.ends_with('\n') { "\n" } else { "" };
                    lines.push(Line::Other(format!("data: [{} bytes left out]{end}", line.len())));
                }
            }
        }
        let mut texts: BTreeMap<String, (String, Vec<Piece>)> = BTreeMap::new();
        for (number, line) in lines.iter().enumerate() {
            if let Line::Data { value, .. } = line {
                gather(value, number, &mut Vec::new(), &mut String::new(), &mut texts);
            }
        }
        let last = lines.iter().rposition(|line| matches!(line, Line::Data { .. }));
        for (joined, pieces) in texts.into_values() {
            let mut found = self.find(&joined);
            // What would have gone on behind the cut.
            if is_cut && pieces.len() > 1 && pieces.last().map(|piece| piece.line) == last {
                let end = cut::settled(&joined).len();
                found.retain(|one| one.range.start < end);
                match found.last_mut().filter(|last| last.range.end > end) {
                    Some(last) => last.range.end = joined.len(),
                    None => found.push(Found {
                        range: end..joined.len(),
                        word: "",
                    }),
                }
            }
            self.rewrite(&joined, &found, &pieces, &mut lines);
        }
        let mut out = String::with_capacity(text.len());
        let mut changed = dropped;
        for line in lines {
            match line {
                Line::Data {
                    value, changed: true, ..
                } => {
                    changed = true;
                    out.push_str("data: ");
                    out.push_str(&value.to_string());
                    out.push('\n');
                }
                Line::Data { text, .. } => out.push_str(text),
                Line::Other(text) => out.push_str(&text),
            }
        }
        Redacted { text: out, changed }
    }

    fn rewrite(&self, joined: &str, found: &[Found], pieces: &[Piece], lines: &mut [Line<'_>]) {
        let named = |piece: &Piece| match piece.path.last() {
            Some(Step::Member(name)) => self.secret && secret::is_name(name),
            Some(Step::Item(_)) | None => false,
        };
        let mut start = 0;
        for piece in pieces {
            let range = start..start + piece.len;
            start = range.end;
            let own = &joined[range.clone()];
            let new = if let Some(note) = media_note(own) {
                note
            } else if named(piece) && !own.is_empty() {
                secret::WORD.to_owned()
            } else if found
                .iter()
                .any(|one| one.range.start < range.end && one.range.end > range.start)
            {
                without(joined, &range, found)
            } else {
                continue;
            };
            if let Line::Data { value, changed, .. } = &mut lines[piece.line]
                && let Some(place) = at(value, &piece.path)
            {
                *place = Value::String(new);
                *changed = true;
            }
        }
    }
}

/// A piece without what was found in it: the word stands where the finding begins.
fn without(joined: &str, range: &std::ops::Range<usize>, found: &[Found]) -> String {
    let mut out = String::new();
    let mut at = range.start;
    for one in found
        .iter()
        .filter(|one| one.range.start < range.end && one.range.end > range.start)
    {
        if one.range.start >= range.start {
            out.push_str(&joined[at..one.range.start]);
            out.push_str(one.word);
        }
        at = one.range.end.min(range.end);
    }
    out.push_str(&joined[at..range.end]);
    out
}

/// Every string of a frame, each to the text that it is a piece of.
fn gather(
    value: &Value,
    line: usize,
    path: &mut Vec<Step>,
    place: &mut String,
    texts: &mut BTreeMap<String, (String, Vec<Piece>)>,
) {
    let len = place.len();
    match value {
        Value::String(text) => {
            let (joined, pieces) = texts.entry(place.clone()).or_default();
            joined.push_str(text);
            pieces.push(Piece {
                line,
                path: path.clone(),
                len: text.len(),
            });
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                path.push(Step::Item(n));
                // Choices are told apart by their own index, which is not their place in the list.
                if item.get("index").is_none() {
                    place.push_str(&format!("/{n}"));
                }
                gather(item, line, path, place, texts);
                place.truncate(len);
                path.pop();
            }
        }
        Value::Object(members) => {
            for index in INDEXES {
                if let Some(index @ (Value::Number(_) | Value::String(_))) = members.get(index) {
                    place.push_str(&format!("#{index}"));
                }
            }
            let own = place.len();
            for (name, member) in members {
                path.push(Step::Member(name.clone()));
                place.push('/');
                place.push_str(name);
                // What each frame repeats is no text in pieces.
                if matches!(
                    name.as_str(),
                    "id" | "object" | "type" | "model" | "role" | "item_id" | "name"
                ) {
                    place.push_str(&format!("@{line}"));
                }
                gather(member, line, path, place, texts);
                place.truncate(own);
                path.pop();
            }
            place.truncate(len);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.get_mut(name.as_str()),
        Step::Item(n) => value.get_mut(n),
    })
}
