//! Takes out of a configuration what is secret and stands in a plain text: users and passwords of URLs, and their queries.
//!
//! Texts that are secrets as a whole are [`crate::config::secret::Secret`] and never get this far.

use serde_json::Value;

/// The same without them.
pub fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_credentials(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, redacted(value))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// `postgres://user:password@host/db?password=x` → `postgres://[redacted]@host/db?[redacted]`.
pub fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    // A password may hold a slash that nobody has escaped: what precedes the last `@` is never shown.
    let host = rest.rfind('@').map_or(0, |at| at + 1);
    let mut clean = format!("{scheme}://");
    if host > 0 {
        clean.push_str("[redacted]@");
    }
    let tail = &rest[host..];
    match tail.split_once('?') {
        Some((path, _)) => {
            clean.push_str(path);
            clean.push_str("?[redacted]");
        }
        None => clean.push_str(tail),
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_passwords_and_queries_of_urls_are_taken_out() {
        let rows = [
            ("sqlite:jumpseat.db", "sqlite:jumpseat.db"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("postgres://u:p@h/db", "postgres://[redacted]@h/db"),
            (
                "postgres://u:p/w@h:1/db?password=x",
                "postgres://[redacted]@h:1/db?[redacted]",
            ),
            ("redis://:p@h", "redis://[redacted]@h"),
            ("https://h/v1?key=x", "https://h/v1?[redacted]"),
        ];
        for (text, wanted) in rows {
            assert_eq!(without_credentials(text), wanted, "{text}");
        }
    }
}
