//! Edits of a JSON text that leave every other byte as it stands. Values are found with [`Raw`], which gives slices of the text:
//! where a slice lies in it is where the edit goes. The type to read first is [`Edits`].

use std::ops::Range;

use crate::framing::json::Kind;
use crate::framing::raw::Raw;

/// Replacements of some bytes of a text, which must not overlap. Two insertions at one place come in the order they were made.
pub(crate) struct Edits<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    pub(crate) fn new(text: &'a str) -> Edits<'a> {
        Edits {
            text,
            edits: Vec::new(),
        }
    }

    /// Where a value of the text stands in it.
    pub(crate) fn place(&self, value: Raw<'_>) -> Range<usize> {
        let start = value.text().as_ptr() as usize - self.text.as_ptr() as usize;
        let end = start + value.text().len();
        assert!(end <= self.text.len(), "only values of the text have a place in it");
        start..end
    }

    pub(crate) fn replace(&mut self, value: Raw<'_>, with: impl Into<String>) {
        let place = self.place(value);
        self.edits.push((place, with.into()));
    }

    /// Replaces everything from one value to another one behind it.
    pub(crate) fn replace_run(&mut self, first: Raw<'_>, last: Raw<'_>, with: impl Into<String>) {
        let (from, to) = (self.place(first).start, self.place(last).end);
        self.edits.push((from..to, with.into()));
    }

    pub(crate) fn cut(&mut self, range: Range<usize>) {
        self.edits.push((range, String::new()));
    }

    /// Adds a member behind the brace that opens an object.
    pub(crate) fn add_first_member(&mut self, object: Raw<'_>, name: &str, value: &str) {
        let comma = if is_empty(object) { "" } else { "," };
        self.insert_first(object, format!("\"{name}\":{value}{comma}"));
    }

    /// Adds a member before the brace that closes an object.
    pub(crate) fn add_last_member(&mut self, object: Raw<'_>, name: &str, value: &str) {
        let comma = if is_empty(object) { "" } else { "," };
        self.insert_last(object, format!("{comma}\"{name}\":{value}"));
    }

    /// Adds an item behind the bracket that opens an array.
    pub(crate) fn add_first_item(&mut self, array: Raw<'_>, item: &str) {
        let comma = if is_empty(array) { "" } else { "," };
        self.insert_first(array, format!("{item}{comma}"));
    }

    /// Adds an item before the bracket that closes an array.
    pub(crate) fn add_last_item(&mut self, array: Raw<'_>, item: &str) {
        let comma = if is_empty(array) { "" } else { "," };
        self.insert_last(array, format!("{comma}{item}"));
    }

    /// Adds an item behind another one.
    pub(crate) fn add_item_behind(&mut self, item: Raw<'_>, new: &str) {
        let at = self.place(item).end;
        self.edits.push((at..at, format!(",{new}")));
    }

    /// Inserts behind the first character of a value: into a string, its raw text must be escaped already.
    pub(crate) fn insert_first(&mut self, value: Raw<'_>, text: impl Into<String>) {
        let at = self.place(value).start + 1;
        self.edits.push((at..at, text.into()));
    }

    /// Inserts before the last character of a value.
    pub(crate) fn insert_last(&mut self, value: Raw<'_>, text: impl Into<String>) {
        let at = self.place(value).end - 1;
        self.edits.push((at..at, text.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text with all edits made.
    pub(crate) fn apply(mut self) -> Vec<u8> {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.edits.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(self.text.len() + added);
        let mut copied = 0;
        for (range, text) in &self.edits {
            assert!(range.start >= copied, "edits do not overlap");
            out.extend_from_slice(&self.text.as_bytes()[copied..range.start]);
            out.extend_from_slice(text.as_bytes());
            copied = range.end;
        }
        out.extend_from_slice(&self.text.as_bytes()[copied..]);
        out
    }
}

/// Whether an object has no members, or an array no items.
pub(crate) fn is_empty(container: Raw<'_>) -> bool {
    match container.kind() {
        Kind::Object => container.members().next().is_none(),
        Kind::Array => container.items().next().is_none(),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => false,
    }
}

/// A text as a JSON string, with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// A text as it stands between the quotes of a JSON string.
pub(crate) fn escaped(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}
