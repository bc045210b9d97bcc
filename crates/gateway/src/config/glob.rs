//! A pattern for model names: `gpt-4o-*`. `*` stands for any text, nothing else is special.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<String>);

impl Glob {
    /// Compiles a pattern; `None` for a plain name.
    pub fn parse(text: &str) -> Option<Glob> {
        text.contains('*')
            .then(|| Glob(text.split('*').map(str::to_owned).collect()))
    }

    /// Whether a name is of the pattern. Takes time by the product of both lengths at worst, never exponential.
    pub fn matches(&self, name: &str) -> bool {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return false;
        };
        let Some(rest) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        for middle in &self.0[1..self.0.len() - 1] {
            // The leftmost place leaves most room for what follows.
            match rest.find(middle.as_str()) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("gpt-4o-*", "gpt-4o-mini", true),
            ("gpt-4o-*", "gpt-4o-", true),
            ("gpt-4o-*", "gpt-4o", false),
            ("*", "", true),
            ("*", "anything/at all", true),
            ("*-mini", "gpt-mini", true),
            ("*-mini", "gpt-mini-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(
                Glob::parse(pattern).unwrap().matches(name),
                expected,
                "{pattern} {name}"
            );
        }
        assert_eq!(Glob::parse("plain"), None);
    }
}
