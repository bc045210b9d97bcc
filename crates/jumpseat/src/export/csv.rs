//! Comma-separated values (RFC 4180), for spreadsheets too: a text that one of them would take for a formula begins with an
//! apostrophe, since what callers write in `model` or a session's name must run nowhere.

use std::io::Write;

use crate::export::rows::{Cell, Row, written};

/// Writes the names of the columns.
pub fn head<R: Row>(to: &mut impl Write) -> std::io::Result<()> {
    let names: Vec<&str> = R::COLUMNS.iter().map(|column| column.name).collect();
    write!(to, "{}\r\n", names.join(","))
}

/// Writes a row.
pub fn line<R: Row>(to: &mut impl Write, row: &R) -> std::io::Result<()> {
    for (n, column) in R::COLUMNS.iter().enumerate() {
        if n > 0 {
            to.write_all(b",")?;
        }
        match (column.get)(row) {
            Cell::Null => {}
            Cell::Text(value) => to.write_all(quoted(&value).as_bytes())?,
            Cell::List(words) => to.write_all(quoted(&words.join(" ")).as_bytes())?,
            Cell::Int(number) => write!(to, "{number}")?,
            Cell::Float(number) => write!(to, "{number}")?,
            Cell::Bool(yes) => write!(to, "{yes}")?,
            Cell::Time(at) => to.write_all(written(at).as_bytes())?,
        }
    }
    to.write_all(b"\r\n")
}

fn quoted(value: &str) -> String {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if formula { format!("'{value}") } else { value.to_owned() };
    match value.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use types::ids::KeyId;
    use types::record::CallRecord;
    use types::time::UnixMillis;

    use super::*;

    #[test]
    fn fields_are_quoted_and_no_text_is_a_formula() {
        for (value, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
            ("=1+1", "'=1+1"),
            ("@SUM(A1),2", "\"'@SUM(A1),2\""),
            ("-x", "'-x"),
            ("", ""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }

    #[test]
    fn a_row_has_as_many_fields_as_the_head() {
        let row = CallRecord {
            id: "c1".into(),
            at: UnixMillis(1_795_219_200_123),
            key: Some(KeyId::from("js-a")),
            tags: vec!["team:web".into(), "b".into()],
            ..CallRecord::default()
        };
        let mut text = Vec::new();
        head::<CallRecord>(&mut text).unwrap();
        line(&mut text, &row).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        assert!(
            lines[1].starts_with("c1,2026-11-21T00:00:00.123Z,js-a,,team:web b,"),
            "{}",
            lines[1]
        );
    }
}
