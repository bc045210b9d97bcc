//! A configuration as a person would write it: short things on one line, a comment above what needs attention.
//!
//! Every text is quoted unless it is a plain word; nothing here knows what the keys mean.

use serde_json::Value as Json;

/// Lines longer than this are broken into a block.
const WIDTH: usize = 120;

/// A value to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// A text, quoted where it must be.
    Text(String),
    /// A number, a duration or a word of the configuration, as it is.
    Bare(String),
    /// A list.
    List(Vec<Yaml>),
    /// A map in its order.
    Map(Vec<Item>),
}

/// An entry of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Lines of comment above it.
    pub comments: Vec<String>,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Yaml,
}

impl Yaml {
    /// A text.
    pub fn text(text: impl Into<String>) -> Yaml {
        Yaml::Text(text.into())
    }

    /// Something that is written as it is.
    pub fn bare(word: impl ToString) -> Yaml {
        Yaml::Bare(word.to_string())
    }

    /// A list of texts.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Yaml {
        Yaml::List(texts.into_iter().map(Yaml::text).collect())
    }

    /// A map without comments; entries without a value are left out.
    pub fn map<'a>(items: impl IntoIterator<Item = (&'a str, Option<Yaml>)>) -> Yaml {
        let items = items.into_iter().filter_map(|(key, value)| Some(item(key, value?)));
        Yaml::Map(items.collect())
    }

    /// Nothing, when it is a map or list without entries.
    pub fn non_empty(self) -> Option<Yaml> {
        let empty = match &self {
            Yaml::Text(_) | Yaml::Bare(_) => false,
            Yaml::List(items) => items.is_empty(),
            Yaml::Map(items) => items.is_empty(),
        };
        (!empty).then_some(self)
    }

    /// On one line.
    fn flow(&self) -> String {
        match self {
            Yaml::Text(text) => scalar(text),
            Yaml::Bare(word) => word.clone(),
            Yaml::List(items) => {
                let items: Vec<String> = items.iter().map(Yaml::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Yaml::Map(items) if items.is_empty() => "{}".to_owned(),
            Yaml::Map(items) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|i| format!("{}: {}", scalar(&i.key), i.value.flow()))
                    .collect();
                format!("{{ {} }}", items.join(", "))
            }
        }
    }

    fn commented(&self) -> bool {
        match self {
            Yaml::Text(_) | Yaml::Bare(_) => false,
            Yaml::List(items) => items.iter().any(Yaml::commented),
            Yaml::Map(items) => items.iter().any(|i| !i.comments.is_empty() || i.value.commented()),
        }
    }

    /// Appends the value behind `head` (a key with its colon, or a dash) at an indentation.
    fn block(&self, head: &str, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        let flow = self.flow();
        if !self.commented() && indent + head.len() + 1 + flow.chars().count() <= WIDTH {
            out.push_str(&format!("{pad}{head} {flow}\n"));
            return;
        }
        match self {
            Yaml::Text(_) | Yaml::Bare(_) => out.push_str(&format!("{pad}{head} {flow}\n")),
            Yaml::List(items) => {
                out.push_str(&format!("{pad}{head}\n"));
                for item in items {
                    item.block("-", indent + 2, out);
                }
            }
            Yaml::Map(items) if head == "-" => {
                // The first key stands beside the dash.
                let mut inner = String::new();
                write_items(items, indent + 2, &mut inner);
                let first = inner.trim_start();
                out.push_str(&format!("{pad}- {first}"));
            }
            Yaml::Map(items) => {
                out.push_str(&format!("{pad}{head}\n"));
                write_items(items, indent + 2, out);
            }
        }
    }
}

/// An entry without comments.
pub fn item(key: &str, value: Yaml) -> Item {
    Item {
        comments: Vec::new(),
        key: key.to_owned(),
        value,
    }
}

/// A whole file: its comment, then its sections with an empty line between them. Sections named here are blocks however short.
pub fn file(comments: &[String], sections: &[Item], always_blocks: &[&str]) -> String {
    let mut out = String::new();
    write_comments(comments, 0, &mut out);
    for section in sections {
        if !out.is_empty() {
            out.push('\n');
        }
        match &section.value {
            Yaml::Map(items) if always_blocks.contains(&section.key.as_str()) => {
                write_comments(&section.comments, 0, &mut out);
                out.push_str(&format!("{}:\n", section.key));
                write_items(items, 2, &mut out);
            }
            Yaml::Text(_) | Yaml::Bare(_) | Yaml::List(_) | Yaml::Map(_) => {
                write_items(std::slice::from_ref(section), 0, &mut out);
            }
        }
    }
    out
}

fn write_items(items: &[Item], indent: usize, out: &mut String) {
    for item in items {
        write_comments(&item.comments, indent, out);
        item.value.block(&format!("{}:", scalar(&item.key)), indent, out);
    }
}

fn write_comments(comments: &[String], indent: usize, out: &mut String) {
    for comment in comments {
        // A line break in a comment would end it.
        let comment: String = comment.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect();
        out.push_str(&format!("{}# {comment}\n", " ".repeat(indent)).replace("# \n", "#\n"));
    }
}

/// A text, plain where nothing can misread it.
fn scalar(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    match word {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// In double quotes: a JSON text is a YAML text, but for characters that YAML does not take as they are.
fn quoted(text: &str) -> String {
    let json = Json::String(text.to_owned()).to_string();
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        match unprintable(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
        out
    })
}

/// Characters that a line of YAML cannot have; all of them fit into four digits.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use gateway::config::node::{Kind, Node};

    use super::*;

    #[test]
    fn texts_come_back_as_they_went_in() {
        for text in [
            "gpt-4o",
            "4.10",
            "yes",
            "null",
            "",
            " a ",
            "a: b",
            "#x",
            "-",
            "*",
            "${A}",
            "\"q\"",
            "tab\tand\nline",
            "ünï",
            "[x]",
            "a\\b",
            "<your-name>",
            "\u{7f}\u{85}\u{2028}",
        ] {
            let written = file(&[], &[item("k", Yaml::List(vec![Yaml::text(text)]))], &[]);
            let read = Node::parse(&written).unwrap();
            let Kind::Map(entries) = &read.kind else {
                panic!("{written}")
            };
            let Kind::Seq(items) = &entries[0].value.kind else {
                panic!("{written}")
            };
            assert_eq!(items[0].kind, Kind::Scalar(text.to_owned()), "{written}");
        }
    }

    #[test]
    fn long_things_become_blocks_and_short_ones_stay_on_their_line() {
        let long = || Yaml::text("x".repeat(70));
        let tier = Yaml::map([
            ("targets", Some(Yaml::List(vec![long(), long()]))),
            ("retries", Some(Yaml::bare(2))),
        ]);
        let mut first = item("short", Yaml::map([("a", Some(Yaml::bare(1)))]));
        first.comments.push("why".to_owned());
        let second = item("long", Yaml::List(vec![tier]));
        let written = file(
            &["head".to_owned()],
            &[item("all", Yaml::Map(vec![first, second]))],
            &[],
        );
        let x = "x".repeat(70);
        let expected = format!(
            "# head\n\nall:\n  # why\n  short: {{ a: 1 }}\n  long:\n    - targets:\n        - {x}\n        - {x}\n      retries: 2\n"
        );
        assert_eq!(written, expected);
        Node::parse(&written).unwrap();
    }
}
