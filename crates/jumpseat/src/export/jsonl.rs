//! One JSON object a line, each with the version of its columns. Lists stay lists.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::export::rows::{Cell, Row, written};

/// Writes a row.
pub fn line<R: Row>(to: &mut impl Write, row: &R) -> std::io::Result<()> {
    let mut object = Map::with_capacity(R::COLUMNS.len() + 1);
    object.insert("schema".to_owned(), json!(R::SCHEMA));
    for column in R::COLUMNS {
        let value = match (column.get)(row) {
            Cell::Null => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Int(number) => json!(number),
            Cell::Float(number) => json!(number),
            Cell::Bool(yes) => json!(yes),
            Cell::Time(at) => json!(written(at)),
            Cell::List(words) => json!(words),
        };
        object.insert(column.name.to_owned(), value);
    }
    serde_json::to_writer(&mut *to, &object)?;
    to.write_all(b"\n")
}
