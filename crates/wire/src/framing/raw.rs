//! A JSON value as it was written, opened on demand.
//!
//! For decoders that need most of a text but must keep parts of it (schemas, log probabilities) with their spelling and key
//! order. A [`Raw`] is a checked slice; opening it walks that slice again, from quote to quote and without checking it again,
//! so its cost grows with the nesting that is opened, not with what is kept shut.

use std::borrow::Cow;

use types::chat::Json;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates};

/// One JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    text: &'a str,
}

const CHECKED: &str = "the text was checked when it was taken in";

impl<'a> Raw<'a> {
    /// Checks a text to be one JSON value and takes it in.
    pub fn parse(text: &'a str, surrogates: Surrogates) -> Result<Raw<'a>, Fault> {
        let mut cursor = Cursor::new(text, surrogates);
        let start = cursor.offset();
        cursor.skip()?;
        let end = cursor.end();
        cursor.finish()?;
        Ok(Raw {
            text: &text[start..end],
        })
    }

    /// The text as it was written.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// The text as a value of its own.
    pub fn to_json(self) -> Json {
        Json::parse(self.text).expect(CHECKED)
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.cursor().peek().expect(CHECKED)
    }

    /// The members of an object, in order; nothing when it is none.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        let mut cursor = self.cursor();
        let mut more = self.kind() == Kind::Object && cursor.open_object().expect(CHECKED);
        std::iter::from_fn(move || {
            if !more {
                return None;
            }
            let key = cursor.key().expect(CHECKED).unescaped();
            let value = next(&mut cursor, self.text);
            more = cursor.more_members().expect(CHECKED);
            Some((key, value))
        })
    }

    /// The items of an array, in order; nothing when it is none.
    pub fn items(self) -> impl Iterator<Item = Raw<'a>> {
        let mut cursor = self.cursor();
        let mut more = self.kind() == Kind::Array && cursor.open_array().expect(CHECKED);
        std::iter::from_fn(move || {
            if !more {
                return None;
            }
            let value = next(&mut cursor, self.text);
            more = cursor.more_items().expect(CHECKED);
            Some(value)
        })
    }

    /// A member of an object that is there and not `null`. Of several with one name, the last, as most readers do.
    pub fn get(self, name: &str) -> Option<Raw<'a>> {
        let named = self.members().filter(|(key, _)| key == name);
        named.last().map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.text == "null"
    }

    /// The meaning of a string.
    pub fn string(self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| self.cursor().string().expect(CHECKED).unescaped())
    }

    /// `true` or `false`.
    pub fn bool(self) -> Option<bool> {
        match self.text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(self) -> Option<i64> {
        self.text.parse().ok().filter(|_| self.kind() == Kind::Number)
    }

    /// A number.
    pub fn number(self) -> Option<f64> {
        self.text
            .parse()
            .ok()
            .filter(|n: &f64| self.kind() == Kind::Number && n.is_finite())
    }

    fn cursor(self) -> Cursor<'a> {
        Cursor::new(self.text, Surrogates::Any)
    }
}

fn next<'a>(cursor: &mut Cursor<'a>, text: &'a str) -> Raw<'a> {
    let start = cursor.offset();
    cursor.skip_checked();
    Raw {
        text: &text[start..cursor.end()],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_checked_walk_ends_where_a_checking_one_does(
            text in r#"[ \n]*[\[{]?([ ,:\[\]{}]|"a\\\\"|"\\""|"[a\[{\\]*"|true|null|-1.5e3|[0-9]){0,16}"#
        ) {
            let mut checked = Cursor::new(&text, Surrogates::Any);
            checked.skip_checked();
            let mut checking = Cursor::new(&text, Surrogates::Any);
            let end = checking.skip().map(|()| checking.end());
            if checking.finish().is_ok() && let Ok(end) = end {
                prop_assert_eq!(checked.end(), end);
            }
        }
    }

    #[test]
    fn a_value_is_opened_on_demand_and_kept_as_written() {
        let text = r#" {"a": [1, -2.50 ,"x\n", null,true] ,"b":{"z":1.0,"a" : 2},"n":null,"a\u0062":7,"b":{}} "#;
        let raw = Raw::parse(text, Surrogates::Paired).unwrap();
        let items: Vec<_> = raw.get("a").unwrap().items().collect();
        assert_eq!(
            (items[0].integer(), items[1].number(), items[1].integer()),
            (Some(1), Some(-2.5), None)
        );
        assert_eq!(
            (items[2].string().as_deref(), items[3].is_null(), items[4].bool()),
            (Some("x\n"), true, Some(true))
        );
        assert_eq!(raw.members().nth(1).unwrap().1.text(), r#"{"z":1.0,"a" : 2}"#);
        assert_eq!(raw.get("b").unwrap().text(), "{}", "the last one counts");
        assert_eq!((raw.get("n"), raw.get("missing")), (None, None));
        assert_eq!(raw.get("ab").unwrap().integer(), Some(7));
        assert_eq!(
            raw.get("a").unwrap().members().count() + raw.get("ab").unwrap().items().count(),
            0
        );
    }
}
