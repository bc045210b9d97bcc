//! What a call says of itself for money's sake: its priority and its tags, by header, never more than its key allows.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use types::principal::{Principal, Priority};
use wire::request::BadRequest;

use crate::ingress::reply::Refusal;
use crate::spend::budget::Budgets;

/// The most tags of a call, and the longest one.
const TAGS_MAX: usize = 16;
const TAG_LEN_MAX: usize = 64;

/// `x-jumpseat-priority`: what the call asks for, and never more than its key has.
pub fn priority(headers: &HeaderMap, principal: &Principal) -> Result<Priority, Box<Refusal>> {
    let Some(value) = headers.get("x-jumpseat-priority") else {
        return Ok(principal.priority);
    };
    let text = value.to_str().unwrap_or_default().trim();
    match Priority::parse(&text.to_ascii_lowercase()) {
        Some(asked) => Ok(asked.min(principal.priority)),
        None => {
            let shown: String = text.chars().take(TAG_LEN_MAX).collect();
            let message =
                format!("`x-jumpseat-priority: {shown}` is no priority: write `critical`, `standard` or `low`");
            Err(bad(StatusCode::BAD_REQUEST, message, "invalid_header"))
        }
    }
}

/// What the call is counted under: its key's tags, and those of `x-jumpseat-tags`, sorted, each once.
///
/// A tag that a budget counts is refused where the key may not set it: callers would choose who pays.
pub fn tags(headers: &HeaderMap, principal: &Principal, budgets: &Budgets) -> Result<Vec<Arc<str>>, Box<Refusal>> {
    let mut tags = principal.tags.clone();
    let asked = headers.get_all("x-jumpseat-tags");
    let mut asked = asked.iter().peekable();
    if asked.peek().is_none() {
        return Ok(tags);
    }
    for value in asked {
        let text = value.to_str().unwrap_or("\u{fffd}");
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let sound =
                tag.len() <= TAG_LEN_MAX && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/@".contains(c));
            if !sound {
                let shown: String = tag.chars().take(TAG_LEN_MAX).collect();
                let message = format!(
                    "`{shown}` in `x-jumpseat-tags` is no tag: use at most {TAG_LEN_MAX} letters, digits and `-_.:/@`"
                );
                return Err(bad(StatusCode::BAD_REQUEST, message, "invalid_header"));
            }
            if tags.iter().any(|known| **known == *tag) {
                continue;
            }
            if let Some(budget) = budgets.counts_tag(tag)
                && !principal.permissions.budget_tags
            {
                let message = format!(
                    "the tag `{tag}` is counted by budget `{budget}`, and this key may not set such tags: give the tag to the key, or permit it `budget_tags`"
                );
                return Err(bad(StatusCode::FORBIDDEN, message, "not_allowed"));
            }
            tags.push(tag.into());
        }
    }
    if tags.len() > TAGS_MAX.max(principal.tags.len()) {
        let message = format!("`x-jumpseat-tags` names more than {TAGS_MAX} tags");
        return Err(bad(StatusCode::BAD_REQUEST, message, "invalid_header"));
    }
    tags.sort();
    Ok(tags)
}

fn bad(status: StatusCode, message: String, code: &'static str) -> Box<Refusal> {
    Refusal::new(
        status,
        BadRequest {
            message,
            param: None,
            code: Some(code),
        },
    )
}
