//! Ids of tool calls as Converse takes them: at most 64 letters, digits, `_`, `.`, `:` and `-`. Others are rewritten, calls
//! and results alike.

use std::borrow::Cow;
use std::collections::HashMap;

/// The longest id.
const ID_CHARS_MAX: usize = 64;
/// How much of an id is kept before its number.
const KEPT_CHARS_MAX: usize = 48;

/// The ids of one conversation.
#[derive(Debug, Default)]
pub(super) struct ToolIds {
    rewritten: HashMap<String, String>,
}

impl ToolIds {
    /// The id to write for this one, the same whenever it is asked for.
    pub fn of<'a>(&mut self, id: &'a str) -> Cow<'a, str> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
        if !id.is_empty() && id.len() <= ID_CHARS_MAX && id.chars().all(is_allowed) {
            return Cow::Borrowed(id);
        }
        // The number keeps ids apart that differ only in what is rewritten.
        let number = self.rewritten.len();
        let new = self.rewritten.entry(id.to_owned()).or_insert_with(|| {
            let shown = |c: char| if is_allowed(c) { c } else { '_' };
            let kept: String = id.chars().take(KEPT_CHARS_MAX).map(shown).collect();
            format!("{kept}_{number}")
        });
        Cow::Owned(new.clone())
    }
}
