//! The client's tools by the names the model knows them by, so that a call is told to the client as the tool it offered: with
//! its namespace, and as text where it takes text.
//!
//! Other dialects have no namespaces. A function in one is offered under [`flat`], and a call of it is said back with
//! `namespace` and `name` apart.

use crate::framing::raw::Raw;

/// The longest name of a function that every dialect takes, in bytes.
const NAME_LEN_MAX: usize = 64;
/// Hexadecimal digits that tell apart names that had to be cut.
const DIGEST_LEN: usize = 8;

/// The name of a function in a namespace where there are none: `namespace__name`, of letters every dialect takes. One that
/// is too long ends in a digest. The same names give the same, so a conversation's history keeps its calls.
pub(super) fn flat(namespace: &str, name: &str) -> String {
    let full = format!("{namespace}__{name}");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if full.len() <= NAME_LEN_MAX && full.chars().all(is_plain) {
        return full;
    }
    let plain = full.chars().map(|c| if is_plain(c) { c } else { '_' });
    let cut: String = plain.take(NAME_LEN_MAX - DIGEST_LEN - 1).collect();
    format!("{cut}_{:0DIGEST_LEN$x}", fnv(full.as_bytes()))
}

/// FNV-1a, 32 bits.
fn fnv(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

/// One tool of the client's that is not called by its own name, or not with JSON.
#[derive(Debug)]
pub(super) struct ClientTool {
    /// What the model calls it.
    known_as: String,
    /// The namespace it stands in.
    pub(super) namespace: Option<String>,
    /// Its name there.
    pub(super) name: String,
    /// It takes text.
    pub(super) custom: bool,
}

/// Those tools of a request.
#[derive(Debug, Default)]
pub(super) struct ClientTools(Vec<ClientTool>);

impl ClientTools {
    /// Reads them from a list of tools.
    pub(super) fn read(&mut self, tools: Raw<'_>) {
        for tool in tools.items() {
            match word(tool, "type").as_deref() {
                Some("custom") => self.add(tool, None),
                Some("namespace") => {
                    let namespace = word(tool, "name");
                    for inner in tool.get("tools").into_iter().flat_map(Raw::items) {
                        self.add(inner, namespace.as_deref());
                    }
                }
                Some(_) | None => {}
            }
        }
    }

    fn add(&mut self, tool: Raw<'_>, namespace: Option<&str>) {
        let Some(name) = word(tool, "name") else { return };
        let known_as = namespace.map_or_else(|| name.clone(), |namespace| flat(namespace, &name));
        self.0.push(ClientTool {
            known_as,
            namespace: namespace.map(str::to_owned),
            name,
            custom: word(tool, "type").as_deref() == Some("custom"),
        });
    }

    /// The tool the model called, unless it is a plain function.
    pub(super) fn find(&self, called: &str) -> Option<&ClientTool> {
        self.0.iter().find(|tool| tool.known_as == called)
    }
}

fn word(tool: Raw<'_>, name: &str) -> Option<String> {
    Some(tool.get(name)?.string()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_names_are_short_plain_and_told_apart() {
        assert_eq!(flat("crm", "find"), "crm__find");
        let long = "x".repeat(70);
        let names = [
            flat("a.b", "c"),
            flat("a_b", "c"),
            flat("n", &long),
            flat("n", &format!("{long}y")),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
            assert!(!names[..at].contains(name), "{name}");
        }
    }
}
