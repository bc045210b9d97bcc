//! Where secrets go: a literal one becomes the name of an environment variable at once, and its text is written nowhere.
//!
//! The same secret always gets the same name, two of them never share one.

use std::collections::{BTreeMap, BTreeSet};

/// Names for secrets. It has no `Debug`: it knows their texts.
#[derive(Default)]
pub struct Secrets {
    names: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    read: BTreeSet<String>,
}

impl Secrets {
    /// Keeps a name that the source reads already, so that no secret is given it.
    pub fn reserve(&mut self, variable: &str) {
        self.taken.insert(variable_name(variable));
    }

    /// `${NAME}` for a variable that the source reads.
    pub fn variable(&mut self, name: &str) -> String {
        let name = variable_name(name);
        self.taken.insert(name.clone());
        self.read.insert(name.clone());
        format!("${{{name}}}")
    }

    /// `${NAME}` for a text that must not be written, and its name. The hint is the name it would like to have.
    pub fn hide(&mut self, text: &str, hint: &str) -> (String, String) {
        if let Some(name) = self.names.get(text) {
            return (format!("${{{name}}}"), name.clone());
        }
        let hint = variable_name(hint);
        let mut name = hint.clone();
        let mut number = 2;
        while self.taken.contains(&name) {
            name = format!("{hint}_{number}");
            number += 1;
        }
        self.taken.insert(name.clone());
        self.read.insert(name.clone());
        self.names.insert(text.to_owned(), name.clone());
        (format!("${{{name}}}"), name)
    }

    /// Every variable that the written file reads.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.read.iter().map(String::as_str)
    }

    /// Whether the written file reads a variable.
    pub fn reads(&self, variable: &str) -> bool {
        self.read.contains(variable)
    }

    /// Forgets a variable that is not written after all.
    pub fn keep_read(&mut self, text: &str) {
        self.read.retain(|name| text.contains(&format!("${{{name}}}")));
    }
}

/// A text as it is: a `${` in it is no variable.
pub fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Whether a value under this name would be a secret.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "key",
        "token",
        "secret",
        "auth",
        "password",
        "passwd",
        "credential",
        "cookie",
        "signature",
        "session",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Whether a value begins as the keys of known providers do.
pub fn begins_as_secret(value: &str) -> bool {
    const BEGINNINGS: &[&str] = &["sk-", "sk_", "Bearer ", "Basic ", "pk-", "hf_", "gsk_", "ghp_", "eyJ"];
    BEGINNINGS.iter().any(|start| value.starts_with(start))
}

/// Whether a value looks like one that nobody else should read: a known beginning, or letters and digits mixed in one word.
pub fn looks_secret(value: &str) -> bool {
    let mixed = |word: &str| {
        word.len() >= 8 && word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic())
    };
    let mut words = value.split(|c: char| !c.is_ascii_alphanumeric());
    begins_as_secret(value) || value.len() >= 16 && words.any(mixed)
}

/// A text as a variable's name: capitals, digits and underscores.
pub fn variable_name(text: &str) -> String {
    let sound = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if sound {
        return text.to_owned();
    }
    let mut name: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert_str(0, "KEY_");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_name_and_no_other_secret_has_it() {
        let mut secrets = Secrets::default();
        secrets.reserve("A_KEY");
        assert_eq!(secrets.hide("one", "A_KEY").0, "${A_KEY_2}");
        assert_eq!(secrets.hide("two", "A_KEY").0, "${A_KEY_3}");
        assert_eq!(secrets.hide("one", "OTHER").1, "A_KEY_2");
        assert_eq!(secrets.variable("my-key"), "${MY_KEY}");
        assert_eq!(secrets.variable("9lives"), "${KEY_9LIVES}");
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_for_one() {
        for (value, expected) in [
            ("sk-1234", true),
            ("Bearer x", true),
            ("abcdefgh12345678ijklmnop", true),
            ("6f1c2a90-77aa-4b1e-9d3e-5a6b7c8d9e0f", true),
            ("token-efficient-tools-2025-02-19", false),
            ("production", false),
            ("a sentence with 1 number in it", false),
            ("https://example.com/v1/path", false),
        ] {
            assert_eq!(looks_secret(value), expected, "{value}");
        }
    }
}
