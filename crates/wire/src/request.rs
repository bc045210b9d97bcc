//! What encoding a request takes and gives, the same for every dialect.

use types::dialect::DialectName;

/// The client's request cannot be read or is wrong in itself. Becomes a 400 in the client's dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// What is wrong and what was meant, naming the place (`messages[3].content[0].type`).
    pub message: String,
    /// The top-level parameter to blame, when there is one.
    pub param: Option<String>,
    /// OpenAI's `code`, when one fits (`invalid_json`, `missing_required_parameter`).
    pub code: Option<&'static str>,
}

impl BadRequest {
    /// A complaint about one parameter.
    pub fn param(param: impl Into<String>, message: impl Into<String>) -> BadRequest {
        BadRequest {
            message: message.into(),
            param: Some(param.into()),
            code: None,
        }
    }

    /// A complaint about the body as a whole.
    pub fn body(message: impl Into<String>) -> BadRequest {
        BadRequest {
            message: message.into(),
            param: None,
            code: Some("invalid_json"),
        }
    }
}

/// The code of a [`BadRequest`] for what is right in this dialect but cannot be said in the neutral model: the class
/// is `unsupported`, and a target of the same dialect can serve it.
pub const UNTRANSLATABLE: &str = "unsupported_parameter";

/// The target's dialect cannot say what was asked; another target may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{dialect} cannot express {what}", dialect = dialect.as_str())]
pub struct Unsupported {
    /// Who cannot.
    pub dialect: DialectName,
    /// The parameter and why: "`n` = 3 (it gives one choice)".
    pub what: String,
    /// The parameter's name in the client's request.
    pub param: Option<String>,
}

/// A parameter that was left out because the target's dialect has no word for it and leaving it out changes no
/// meaning the client relies on. Told in `x-jumpseat-dropped`, by its name in the neutral model or the client's field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped(pub String);

/// Names told of; a request with more unknown fields than this is told that there were more.
const DROPPED_NAMES_MAX: usize = 64;
/// Characters of one name.
const DROPPED_NAME_CHARS_MAX: usize = 64;

/// What was left out, each name once, in the order it was met. It ends up in a header: names come from the client, so their
/// number, length and characters are bounded here.
#[derive(Debug, Default)]
pub struct DroppedNames(Vec<Dropped>);

impl DroppedNames {
    /// Notes one, by the client's name for it.
    pub fn add(&mut self, name: &str) {
        if self.0.len() > DROPPED_NAMES_MAX {
            return;
        }
        let shown = |c: char| if c.is_ascii_graphic() && c != ',' { c } else { '?' };
        let name: String = name.chars().take(DROPPED_NAME_CHARS_MAX).map(shown).collect();
        if self.0.iter().any(|known| known.0 == name) {
            return;
        }
        let full = self.0.len() == DROPPED_NAMES_MAX;
        self.0.push(Dropped(if full { "...".to_owned() } else { name }));
    }

    /// The names.
    pub fn into_vec(self) -> Vec<Dropped> {
        self.0
    }
}

/// What an encoder must know of the model it writes for.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamModel<'a> {
    /// The model as its provider calls it.
    pub model: &'a str,
    /// Output limit where the dialect requires one and the client gave none (from the catalog's row).
    pub max_output_default: u64,
    /// The model reasons (decides between `max_tokens` and `max_completion_tokens`, thinking budgets).
    pub reasoning: bool,
}

/// A request ready to be sent to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// JSON.
    pub body: Vec<u8>,
    /// Headers that belong to what was encoded (`anthropic-version`, `anthropic-beta`), lower case.
    pub headers: Vec<(&'static str, String)>,
    /// What was left out.
    pub dropped: Vec<Dropped>,
}

/// Adds members to a written object that has some.
pub(crate) fn append_members(body: &mut Vec<u8>, members: &[(&str, &str)]) {
    body.pop();
    for (name, value) in members {
        body.push(b',');
        serde_json::to_writer(&mut *body, name).expect("writing JSON to memory cannot fail");
        body.push(b':');
        body.extend_from_slice(value.as_bytes());
    }
    body.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_named_fits_a_header_whatever_it_named() {
        let mut dropped = DroppedNames::default();
        for name in ["user", "a\nb", "ü, x", "user", &"long".repeat(100)] {
            dropped.add(name);
        }
        for n in 0..100_000 {
            dropped.add(&format!("field_{n}"));
        }
        let names: Vec<String> = dropped.into_vec().into_iter().map(|d| d.0).collect();
        assert_eq!(names[..3], ["user", "a?b", "???x"]);
        assert_eq!((names[3].len(), names.len()), (64, 65));
        assert_eq!(names[64], "...");
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_graphic())));
    }
}
