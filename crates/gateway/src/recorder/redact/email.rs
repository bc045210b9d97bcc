//! Addresses of e-mail.

use crate::recorder::redact::{Found, is_word};

/// Longer parts than any address has.
const PART_LEN_MAX: usize = 255;

/// Every address in a text, also as URLs write it (`%40`).
pub fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found: Vec<Found> = Vec::new();
    let mut from = 0;
    while let Some((at, len)) = next_at(bytes, from) {
        from = at + len;
        let local = |b: u8| is_word(b) || matches!(b, b'.' | b'%' | b'+' | b'-' | b'\'');
        let domain = |b: u8| is_word(b) || matches!(b, b'.' | b'-');
        let mut start = at;
        let floor = found.last().map_or(0, |last| last.range.end);
        while start > floor && at - start < PART_LEN_MAX && local(bytes[start - 1]) {
            start -= 1;
        }
        // An escape of a text within a text: `\nada@example.com`.
        if start > 0 && bytes[start - 1] == b'\\' && start < at {
            start += 1;
        }
        let mut end = from;
        while end < bytes.len() && end - from < PART_LEN_MAX && domain(bytes[end]) {
            end += 1;
        }
        while end > from && matches!(bytes[end - 1], b'.' | b'-' | b'_') {
            end -= 1;
        }
        let host = &bytes[from..end];
        let top = host.iter().rposition(|b| *b == b'.').map(|dot| &host[dot + 1..]);
        let sound = top.is_some_and(|top| top.len() >= 2 && !top.iter().all(u8::is_ascii_digit)) && start < at;
        if sound && host[0] != b'.' {
            found.push(Found {
                range: start..end,
                word: "[email]",
            });
            from = end;
        }
    }
    found
}

/// Where the next `@` stands, and how long it is written.
fn next_at(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let len = |at: usize| match bytes[at] {
        b'@' => Some(1),
        b'%' if bytes[at..].starts_with(b"%40") => Some(3),
        _ => None,
    };
    (from..bytes.len()).find_map(|at| Some((at, len(at)?)))
}
