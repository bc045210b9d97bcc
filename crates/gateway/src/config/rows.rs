//! Rows of an embedded file, one a line (`name: { … }`), each read when it is first asked for.
//!
//! The catalog has thousands of rows and a gateway needs a handful, so finding a name costs a scan for line ends and nothing
//! more. The file is YAML all the same, and a test reads it whole. The type to read first is [`Rows`].

use std::borrow::Cow;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::config::decode::decode;
use crate::config::node::Node;

/// Rows in the order of the file, by name.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    rows: Vec<Row<T>>,
    by_name: FxHashMap<Cow<'static, str>, usize>,
}

#[derive(Debug, Clone)]
struct Row<T> {
    name: Cow<'static, str>,
    text: &'static str,
    value: OnceLock<T>,
}

impl<T: for<'de> Deserialize<'de>> Rows<T> {
    /// Finds the rows of a text. Blank lines and comments are none.
    pub fn of(text: &'static str) -> Rows<T> {
        let rows: Vec<Row<T>> = text.lines().filter_map(split).collect();
        let by_name = rows
            .iter()
            .enumerate()
            .map(|(at, row)| (row.name.clone(), at))
            .collect();
        Rows { rows, by_name }
    }

    /// The row of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.by_name.get(name).map(|at| self.rows[*at].value())
    }

    /// Whether there is a row of a name; it is not read.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.name.as_ref())
    }

    /// Names and rows in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.rows.iter().map(|row| (row.name.as_ref(), row.value()))
    }

    /// Rows whose text may be what is looked for, in order; the others are not read.
    pub fn whose_text(&self, fits: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &T)> {
        let found = self.rows.iter().filter(move |row| fits(row.text));
        found.map(|row| (row.name.as_ref(), row.value()))
    }
}

impl<T: for<'de> Deserialize<'de>> Row<T> {
    fn value(&self) -> &T {
        self.value.get_or_init(|| {
            let node = Node::parse(self.text).expect("a row of the catalog is YAML: a test reads them all");
            decode(&node).expect("a row of the catalog has known keys: a test reads them all")
        })
    }
}

fn split<T>(line: &'static str) -> Option<Row<T>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (name, text) = if let Some(quoted) = line.strip_prefix('"') {
        let end = quoted.find('"')? + 2;
        let name = serde_json::from_str::<String>(&line[..end]).ok()?;
        (Cow::Owned(name), line[end..].strip_prefix(':')?)
    } else {
        let (name, text) = line.split_once(": ")?;
        (Cow::Borrowed(name), text)
    };
    Some(Row {
        name,
        text: text.trim(),
        value: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Model;

    #[test]
    fn rows_are_found_by_name_and_read_when_they_are_asked_for() {
        let rows: Rows<Model> = Rows::of(
            "# none\n\n  a/b:c: { context_window: 5000 }\n  \"x: y\": { prefill: true }\n  broken: { windows: }\n",
        );
        assert_eq!(rows.names().collect::<Vec<_>>(), ["a/b:c", "x: y", "broken"]);
        assert_eq!(rows.get("a/b:c").unwrap().context_window, Some(5000));
        assert_eq!(rows.get("x: y").unwrap().prefill, Some(true));
        assert!(rows.contains("broken") && rows.get("gone").is_none());
        let found: Vec<&str> = rows
            .whose_text(|text| text.contains("prefill"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(found, ["x: y"]);
    }
}
