//! `${NAME}`, `${NAME:-default}` and `${file:/path}` inside the strings of a configuration.
//!
//! Only parsed strings are expanded, never the YAML text, so that a value cannot become a key. `$${` is a `${` that is meant.
//! A credential whose variable or file is missing becomes [`Kind::Unset`]; anywhere else it is an error.

use std::io;

use crate::config::env::Env;
use crate::config::node::{Kind, Node};
use crate::config::notice::Notice;
use crate::config::place::Place;

/// Expands every string of a tree in place and tells what could not be.
pub fn expand(root: &mut Node, env: &dyn Env) -> Vec<Notice> {
    let mut found = Vec::new();
    visit(root, &Place::root(), false, env, &mut found);
    found
        .into_iter()
        .map(|(place, message, help)| Notice {
            help,
            ..root.notice(&place, message)
        })
        .collect()
}

type Found = Vec<(Place, String, Option<String>)>;

fn visit(node: &mut Node, place: &Place, credential: bool, env: &dyn Env, found: &mut Found) {
    match &mut node.kind {
        Kind::Null | Kind::Unset(_) => {}
        Kind::Seq(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, &place.index(index), credential, env, found);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                // What stands below a key (`entra: { client_secret: … }`) belongs to it.
                let credential = credential || matches!(entry.key.as_str(), "api_key" | "api_keys");
                visit(&mut entry.value, &place.key(&entry.key), credential, env, found);
            }
        }
        Kind::Scalar(text) => match text_of(text, env) {
            Ok(expanded) if credential && expanded.is_empty() => node.kind = Kind::Unset("an empty key".to_owned()),
            Ok(expanded) => *text = expanded,
            Err(Missing::NotSet(what)) if credential => node.kind = Kind::Unset(what),
            Err(Missing::NotSet(what)) => {
                let help = Some("set it, or write a default: `${NAME:-default}`".to_owned());
                found.push((place.clone(), format!("{what} is not set"), help));
            }
            Err(Missing::Wrong(message)) => found.push((place.clone(), message, None)),
        },
    }
}

enum Missing {
    NotSet(String),
    Wrong(String),
}

fn text_of(text: &str, env: &dyn Env) -> Result<String, Missing> {
    if !text.contains("${") {
        return Ok(text.to_owned());
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &tail[2..];
            continue;
        }
        expanded.push_str(before);
        let end = tail
            .find('}')
            .ok_or_else(|| Missing::Wrong(format!("`{text}` has a `${{` without its `}}`")))?;
        expanded.push_str(&value_of(&tail[2..end], env)?);
        rest = &tail[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value_of(inner: &str, env: &dyn Env) -> Result<String, Missing> {
    if let Some(path) = inner.strip_prefix("file:") {
        return match env.file(path) {
            // Files written by people and by `echo` end with a line break that no key has.
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Missing::NotSet(format!("file `{path}`"))),
            Err(error) => Err(Missing::Wrong(format!("file `{path}` cannot be read: {error}"))),
        };
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let sound = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !sound {
        return Err(Missing::Wrong(format!(
            "`${{{inner}}}` is not understood: write `${{NAME}}`, `${{NAME:-default}}` or `${{file:/path}}`"
        )));
    }
    match (env.var(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Missing::NotSet(format!("environment variable `{name}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;

    fn env() -> MapEnv {
        let mut env = MapEnv::of([("NAME", "value"), ("EMPTY", ""), ("TRICK", "a: b\nc: ${NAME}")]);
        env.files.insert("/run/key".to_owned(), "secret\n".to_owned());
        env
    }

    #[test]
    fn strings_are_expanded_once_and_never_become_yaml() {
        let cases = [
            ("plain $5 {x}", Ok("plain $5 {x}")),
            ("${NAME}", Ok("value")),
            ("a-${NAME}-b-${NAME}", Ok("a-value-b-value")),
            ("${GONE:-fall back}", Ok("fall back")),
            ("${EMPTY:-fall back}", Ok("fall back")),
            ("${GONE:-}", Ok("")),
            ("${file:/run/key}", Ok("secret")),
            ("$${NAME}", Ok("${NAME}")),
            ("${TRICK}", Ok("a: b\nc: ${NAME}")),
            ("${GONE}", Err("environment variable `GONE` is not set")),
            ("${file:/gone}", Err("file `/gone` is not set")),
            ("${NAME", Err("`${NAME` has a `${` without its `}`")),
        ];
        for (text, expected) in cases {
            let mut root = Node {
                kind: Kind::Map(Vec::new()),
                ..Node::empty()
            };
            if let Kind::Map(entries) = &mut root.kind {
                let value = Node {
                    line: 1,
                    column: 4,
                    kind: Kind::Scalar(text.to_owned()),
                };
                entries.push(crate::config::node::Entry {
                    key: "k".into(),
                    line: 1,
                    column: 1,
                    value,
                });
            }
            let errors = expand(&mut root, &env());
            match expected {
                Ok(expected) => {
                    assert_eq!(errors, [], "{text}");
                    let value = root.at(&Place::root().key("k")).unwrap();
                    assert_eq!(value.kind, Kind::Scalar(expected.to_owned()), "{text}");
                }
                Err(message) => {
                    assert_eq!(errors.len(), 1, "{text}");
                    assert_eq!((errors[0].message.as_str(), errors[0].line), (message, Some(1)));
                }
            }
        }
    }

    #[test]
    fn a_key_that_is_not_set_is_no_error_and_says_what_is_missing() {
        let text = "p: { api_key: \"${GONE}\", api_keys: [\"${EMPTY}\", \"${file:/gone}\", \"${NAME}\"] }";
        let mut root = Node::parse(text).unwrap();
        assert_eq!(expand(&mut root, &env()), []);
        let kind = |place: Place| root.at(&place).unwrap().kind.clone();
        let p = Place::root().key("p");
        assert_eq!(
            kind(p.key("api_key")),
            Kind::Unset("environment variable `GONE`".into())
        );
        assert_eq!(kind(p.key("api_keys").index(0)), Kind::Unset("an empty key".into()));
        assert_eq!(kind(p.key("api_keys").index(1)), Kind::Unset("file `/gone`".into()));
        assert_eq!(kind(p.key("api_keys").index(2)), Kind::Scalar("value".into()));
    }
}
