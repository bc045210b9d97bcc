//! What a request shows to be let in: read by one function, whichever header its SDK writes.
//!
//! Two that differ are refused. Else whoever checks one and whoever counts by another would see two callers in one request.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

/// The headers that SDKs put a key in, beside `Authorization`.
const PLAIN: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// No credential.
    Nothing,
    /// One, perhaps in several places.
    One(&'a str),
    /// Two that differ.
    Several,
    /// Something that cannot be a key: another scheme than `Bearer`, bytes that are no text.
    Unreadable,
}

/// Reads `Authorization: Bearer`, `x-api-key`, `api-key`, `x-goog-api-key`, and of the query `key` where the door takes it
/// (Gemini's). What is empty shows nothing.
pub fn read<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Shown<'a> {
    let mut shown = Shown::Nothing;
    for value in headers.get_all(AUTHORIZATION) {
        let Some((scheme, token)) = value
            .to_str()
            .ok()
            .map(|text| text.split_once(' ').unwrap_or((text, "")))
        else {
            return Shown::Unreadable;
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            // An empty header is no scheme either.
            if scheme.is_empty() && token.is_empty() {
                continue;
            }
            return Shown::Unreadable;
        }
        shown = shown.and(token.trim());
    }
    for value in PLAIN.iter().flat_map(|name| headers.get_all(name)) {
        let Ok(text) = value.to_str() else {
            return Shown::Unreadable;
        };
        shown = shown.and(text.trim());
    }
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    for text in pairs.filter_map(|pair| pair.strip_prefix("key=")) {
        shown = shown.and(text);
    }
    shown
}

impl<'a> Shown<'a> {
    fn and(self, text: &'a str) -> Shown<'a> {
        match self {
            _ if text.is_empty() => self,
            Shown::Nothing => Shown::One(text),
            Shown::One(known) if known == text => self,
            Shown::One(_) | Shown::Several => Shown::Several,
            Shown::Unreadable => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_place_is_read_and_two_that_differ_are_told_apart() {
        let one = Shown::One("k");
        let rows: &[(&[(&str, &[u8])], Option<&str>, Shown<'_>)] = &[
            (&[], None, Shown::Nothing),
            (&[("authorization", b"Bearer k")], None, one),
            (&[("authorization", b"bearer  k ")], None, one),
            (&[("x-api-key", b"k")], None, one),
            (&[("api-key", b"k")], None, one),
            (&[("x-goog-api-key", b"k")], None, one),
            (&[], Some("alt=sse&key=k"), one),
            (
                &[("authorization", b"Bearer k"), ("x-api-key", b"k")],
                Some("key=k"),
                one,
            ),
            (&[("authorization", b"Bearer k"), ("x-api-key", b"")], None, one),
            (&[("authorization", b"Bearer "), ("api-key", b"k")], None, one),
            (&[("authorization", b"Bearer"), ("api-key", b"k")], None, one),
            (&[("authorization", b""), ("api-key", b"k")], None, one),
            (
                &[("authorization", b"Bearer k"), ("x-api-key", b"l")],
                None,
                Shown::Several,
            ),
            (
                &[("authorization", b"Bearer k"), ("authorization", b"Bearer l")],
                None,
                Shown::Several,
            ),
            (&[("x-api-key", b"k"), ("x-api-key", b"l")], None, Shown::Several),
            (&[("api-key", b"k"), ("x-goog-api-key", b"l")], None, Shown::Several),
            (
                &[("api-key", b"k"), ("x-goog-api-key", b"l"), ("x-api-key", b"k")],
                None,
                Shown::Several,
            ),
            (&[("x-goog-api-key", b"k")], Some("key=l"), Shown::Several),
            (&[], Some("key=k&key=l"), Shown::Several),
            (&[("authorization", b"Basic k")], None, Shown::Unreadable),
            (&[("authorization", b"k")], None, Shown::Unreadable),
            (
                &[("authorization", b"Basic k"), ("x-api-key", b"k")],
                None,
                Shown::Unreadable,
            ),
            (&[("x-api-key", b"\xff")], None, Shown::Unreadable),
        ];
        for (given, query, wanted) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *given {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(read(&headers, *query), *wanted, "{given:?} {query:?}");
        }
    }
}
