//! A TOML text as the same tree that YAML is read into, so that both importers walk alike.

use gateway::config::node::{Entry, Kind, Node};
use gateway::config::notice::Notice;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A source larger than this is refused.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Reads a TOML text. Errors are told with their place.
pub fn parse(text: &str) -> Result<Node, Notice> {
    if text.len() > FILE_BYTES_MAX {
        return Err(Notice::new(format!(
            "the file has {} bytes, more than {FILE_BYTES_MAX}",
            text.len()
        )));
    }
    match DeTable::parse(text) {
        Ok(table) => Ok(table_node(table.get_ref(), 0, text)),
        Err(error) => {
            let position = error.span().map(|span| position(text, span.start));
            Err(Notice {
                line: position.map(|p| p.0),
                column: position.map(|p| p.1),
                ..Notice::new(error.message())
            })
        }
    }
}

fn node(value: &Spanned<DeValue>, text: &str) -> Node {
    let start = value.span().start;
    let kind = match value.get_ref() {
        DeValue::String(string) => Kind::Scalar(string.to_string()),
        DeValue::Integer(number) => Kind::Scalar(number.as_str().to_owned()),
        DeValue::Float(number) => Kind::Scalar(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Kind::Scalar(truth.to_string()),
        DeValue::Datetime(time) => Kind::Scalar(time.to_string()),
        DeValue::Array(items) => Kind::Seq(items.iter().map(|item| node(item, text)).collect()),
        DeValue::Table(table) => return table_node(table, start, text),
    };
    let (line, column) = position(text, start);
    Node { line, column, kind }
}

fn table_node(table: &DeTable, start: usize, text: &str) -> Node {
    let mut keys: Vec<_> = table.iter().collect();
    // The table is in the order of the alphabet; the file's is the one its owner knows.
    keys.sort_by_key(|(key, value)| (key.span().start, value.span().start));
    let entries = keys
        .into_iter()
        .map(|(key, value)| {
            let (line, column) = position(text, key.span().start);
            Entry {
                key: key.get_ref().to_string(),
                line,
                column,
                value: node(value, text),
            }
        })
        .collect();
    let (line, column) = position(text, start);
    Node {
        line,
        column,
        kind: Kind::Map(entries),
    }
}

/// Line and column of a byte, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use gateway::config::place::Place;

    use super::*;

    #[test]
    fn tables_keep_the_order_and_the_lines_of_the_file() {
        let text = "[b.z]\nn = 60_000\n\n[a]\nt = { x.y = 0.5, s = \"hi\" }\nl = [1, 2]\n";
        let tree = parse(text).unwrap();
        let Kind::Map(entries) = &tree.kind else {
            panic!("a map")
        };
        let keys: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["b", "a"]);
        let at = |place: Place| (tree.at(&place).unwrap().kind.clone(), tree.position(&place).unwrap().0);
        let root = Place::root;
        let number = root().key("b").key("z").key("n");
        assert_eq!(at(number), (Kind::Scalar("60000".to_owned()), 2));
        let float = root().key("a").key("t").key("x").key("y");
        assert_eq!(at(float), (Kind::Scalar("0.5".to_owned()), 5));
        assert_eq!(at(root().key("a").key("l").index(1)), (Kind::Scalar("2".to_owned()), 6));
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        assert_eq!(parse("a = 1\nb = [\n").unwrap_err().line.map(|l| l >= 2), Some(true));
        assert_eq!(parse("a = 1\na = 2\n").unwrap_err().line, Some(2));
    }
}
