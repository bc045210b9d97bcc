//! What a model's name decides: the path of a call, and the few things that Gemini's generations say differently.

use types::dialect::Operation;

/// The path behind the base URL. A `models/` prefix may be given or not; `tunedModels/` is a collection of its own.
///
/// Everything in the name but letters, digits, `-`, `_`, `.` and `~` is percent-encoded, so that no name reaches another
/// path, verb or query: the verb's colon keeps even `..` from being a step up.
pub fn path(operation: Operation, model: &str, stream: bool) -> Option<String> {
    let verb = verb(operation, stream);
    let (collection, name) = collection(model);
    Some(format!("/v1beta/{collection}/{}:{verb}", percent_encoded(name)))
}

/// A model's full name, as bodies have it.
pub(super) fn resource(model: &str) -> String {
    let (collection, name) = collection(model);
    format!("{collection}/{name}")
}

fn collection(model: &str) -> (&'static str, &str) {
    match model.strip_prefix("tunedModels/") {
        Some(name) => ("tunedModels", name),
        None => ("models", bare(model)),
    }
}

/// What stands behind the model's colon.
pub(crate) fn verb(operation: Operation, stream: bool) -> &'static str {
    match operation {
        Operation::Generate if stream => "streamGenerateContent?alt=sse",
        Operation::Generate => "generateContent",
        Operation::Embed => "batchEmbedContents",
        Operation::CountTokens => "countTokens",
    }
}

/// How a model takes the amount of reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Up to 2.5 (and Gemma): `thinkingBudget`; JSON output and function tools exclude each other.
    Budgets,
    /// From 3 on: `thinkingLevel`; a function call's signature must come back with it.
    Levels,
}

impl Generation {
    /// By the model's name. A name that tells nothing (`gemini-flash-latest`) is taken for a new one.
    pub(super) fn of(model: &str) -> Generation {
        let name = bare(model);
        let old = ["gemini-1", "gemini-2", "gemma"];
        if old.iter().any(|prefix| name.starts_with(prefix)) {
            Generation::Budgets
        } else {
            Generation::Levels
        }
    }
}

/// Whether it is a "pro" model: those cannot stop reasoning altogether.
pub(super) fn is_pro(model: &str) -> bool {
    bare(model).split('-').any(|word| word == "pro")
}

fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

pub(crate) fn percent_encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_model_name_leaves_its_place_in_the_path() {
        let rows = [
            ("gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
            ("models/gemini-3-pro", "/v1beta/models/gemini-3-pro:generateContent"),
            ("tunedModels/my-model", "/v1beta/tunedModels/my-model:generateContent"),
            ("..", "/v1beta/models/..:generateContent"),
            ("../files", "/v1beta/models/..%2Ffiles:generateContent"),
            (
                "a:countTokens?x=1#",
                "/v1beta/models/a%3AcountTokens%3Fx%3D1%23:generateContent",
            ),
            ("a%2f..\r\n é", "/v1beta/models/a%252f..%0D%0A%20%C3%A9:generateContent"),
        ];
        for (model, wanted) in rows {
            assert_eq!(path(Operation::Generate, model, false).as_deref(), Some(wanted));
        }
        assert_eq!(
            path(Operation::Generate, "gemini-3-pro", true).as_deref(),
            Some("/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse")
        );
    }

    #[test]
    fn generations_by_name() {
        for old in [
            "gemini-2.5-pro",
            "models/gemini-2.0-flash",
            "gemini-1.5-pro",
            "gemma-3-27b-it",
        ] {
            assert_eq!(Generation::of(old), Generation::Budgets, "{old}");
        }
        for new in [
            "gemini-3-pro-preview",
            "gemini-3.8-flash",
            "gemini-flash-latest",
            "anything",
        ] {
            assert_eq!(Generation::of(new), Generation::Levels, "{new}");
        }
        assert!(is_pro("gemini-3.1-pro-preview") && !is_pro("gemini-3-flash"));
    }
}
