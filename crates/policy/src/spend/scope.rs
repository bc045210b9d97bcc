//! Which calls a budget counts.

use std::sync::Arc;

use types::ids::KeyId;

use crate::pattern::Pattern;

/// Which calls a budget counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Each.
    #[default]
    All,
    /// Those of these routes.
    Routes(Vec<Pattern>),
    /// Those of these keys, by their id or their name.
    Keys(Vec<Pattern>),
    /// Those that carry one of these tags.
    Tags(Vec<Pattern>),
}

/// What of a call decides whether it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// The route that serves it.
    pub route: &'a str,
    /// The key that pays.
    pub key: Option<&'a KeyId>,
    /// What people call the key; empty without one.
    pub key_name: &'a str,
    /// What it is counted under: the key's tags and its own.
    pub tags: &'a [Arc<str>],
}

impl Scope {
    /// Whether the call is counted.
    pub fn counts(&self, call: &Counted<'_>) -> bool {
        match self {
            Scope::All => true,
            Scope::Routes(routes) => routes.iter().any(|p| p.matches(call.route)),
            Scope::Keys(keys) => call
                .key
                .is_some_and(|key| keys.iter().any(|p| p.matches(key.as_str()) || p.matches(call.key_name))),
            Scope::Tags(tags) => tags.iter().any(|p| call.tags.iter().any(|tag| p.matches(tag))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_its_route_its_key_or_one_of_its_tags() {
        let patterns = |texts: &[&str]| texts.iter().map(|t| Pattern::new(t)).collect::<Vec<_>>();
        let key = KeyId::from("js-abcdefghjkmn");
        let tags: Vec<Arc<str>> = vec!["env:prod".into(), "team:web".into()];
        let keyed = Counted {
            route: "chat",
            key: Some(&key),
            key_name: "shop",
            tags: &tags,
        };
        let anonymous = Counted {
            route: "chat-fast",
            key: None,
            key_name: "",
            tags: &[],
        };
        for (scope, of_keyed, of_anonymous) in [
            (Scope::All, true, true),
            (Scope::Routes(patterns(&["chat"])), true, false),
            (Scope::Routes(patterns(&["chat*"])), true, true),
            (Scope::Routes(vec![]), false, false),
            (Scope::Keys(patterns(&["js-abcdefghjkmn"])), true, false),
            (Scope::Keys(patterns(&["shop"])), true, false),
            (Scope::Keys(patterns(&["*"])), true, false),
            (Scope::Keys(patterns(&["other"])), false, false),
            (Scope::Tags(patterns(&["team:web"])), true, false),
            (Scope::Tags(patterns(&["team:*"])), true, false),
            (Scope::Tags(patterns(&["team:data"])), false, false),
        ] {
            assert_eq!(scope.counts(&keyed), of_keyed, "{scope:?}");
            assert_eq!(scope.counts(&anonymous), of_anonymous, "{scope:?}");
        }
    }
}
