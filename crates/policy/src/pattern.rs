//! Names with `*` for any run of characters, and the targets a principal's calls may be served by.
//!
//! Compiled once; matching neither allocates nor goes back more than once for each star.

use std::sync::Arc;

use types::ids::TargetId;

/// A name with `*` for any run of characters, also none and also slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What stands between the stars, the first at the beginning and the last at the end. Without a star there is one.
    pieces: Vec<Arc<str>>,
}

/// Targets that may serve: those that one of the patterns names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    patterns: Vec<Pattern>,
}

impl Pattern {
    /// Reads a pattern; every text is one.
    pub fn new(text: &str) -> Pattern {
        Pattern {
            pieces: text.split('*').map(Arc::from).collect(),
        }
    }

    /// Whether the whole name is of this form.
    pub fn matches(&self, name: &str) -> bool {
        let (first, rest) = self.pieces.split_first().expect("a split text has a piece");
        let Some((last, middle)) = rest.split_last() else {
            return **first == *name;
        };
        let Some(mut left) = name.strip_prefix(&**first).and_then(|n| n.strip_suffix(&**last)) else {
            return false;
        };
        // The earliest place of each piece leaves the most room for those behind it.
        for piece in middle {
            let Some(at) = left.find(&**piece) else { return false };
            left = &left[at + piece.len()..];
        }
        true
    }
}

impl Allowed {
    /// Targets that one of these patterns names; none of them: nobody may serve.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Allowed {
        Allowed {
            patterns: patterns.into_iter().map(Pattern::new).collect(),
        }
    }

    /// Whether the target may serve.
    pub fn allows(&self, target: &TargetId) -> bool {
        self.patterns.iter().any(|p| p.matches(target.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters_and_everything_else_for_itself() {
        for (pattern, name, fits) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o", true),
            ("gpt-4o-*", "gpt-4o-mini", true),
            ("*", "", true),
            ("*", "openai/gpt/5", true),
            ("openai/*", "openai/gpt-5", true),
            ("openai/*", "azure/openai/gpt-5", false),
            ("*/gpt-*", "openai/gpt-5", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
            ("*mini*", "openai/gpt-mini-x", true),
            ("", "", true),
            ("", "x", false),
            ("ü*", "über", true),
            (".*", "x", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn only_named_targets_are_allowed_and_an_empty_list_allows_nobody() {
        let target = |text| TargetId::parse(text).unwrap();
        let allowed = Allowed::new(["openai/*", "groq/openai/gpt-oss-20b"]);
        assert!(allowed.allows(&target("openai/gpt-5.5")));
        assert!(allowed.allows(&target("groq/openai/gpt-oss-20b")));
        assert!(!allowed.allows(&target("groq/openai/gpt-oss-120b")));
        assert!(!Allowed::default().allows(&target("openai/gpt-5.5")));
    }
}
