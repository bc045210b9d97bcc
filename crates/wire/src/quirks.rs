//! How a provider that speaks `openai_chat` differs from it, as data, and the edit that makes a request fit.
//!
//! The edit works on the bytes of a request, whether they came from the client or from an encoder: members are dropped,
//! renamed or rewritten where they stand, and everything else stays byte for byte. A body that has nothing to change is given
//! back without a copy. What a row cannot say is a [`NamedQuirk`]. The type to read first is [`Quirks`], the function
//! [`apply`].

mod messages;

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::framing::json::{Cursor, Fault, Surrogates};
use crate::request::{Dropped, DroppedNames};

/// How a provider differs; the default is not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// What the output limit is called.
    pub max_tokens: MaxTokens,
    /// Whether `stream_options` are sent.
    pub stream_options: StreamOptions,
    /// Parameters it answers with an error; they are left out and told of.
    pub refuses: Vec<String>,
    /// Parameters it calls otherwise, by OpenAI's name.
    pub renames: BTreeMap<String, String>,
    /// What instructions are called.
    pub system_role: SystemRole,
    /// What earlier reasoning is called in the assistant's messages.
    pub reasoning_field: ReasoningField,
    /// Differences that need code.
    pub named: Vec<NamedQuirk>,
}

/// What the output limit is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokens {
    /// As the client called it.
    #[default]
    Keep,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// Whether `stream_options` are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOptions {
    /// As they are.
    #[default]
    Send,
    /// They are refused; usage comes unasked or not at all.
    Omit,
}

/// What instructions are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemRole {
    /// As the client called them.
    #[default]
    Keep,
    /// `system`.
    System,
    /// `developer`.
    Developer,
}

/// What earlier reasoning is called in the assistant's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// As the client called it.
    #[default]
    Keep,
    /// `reasoning_content`.
    ReasoningContent,
    /// `reasoning`.
    Reasoning,
    /// It is refused, and left out.
    Omit,
}

/// A difference that needs code. Used by rows of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedQuirk {
    /// Ids of tool calls must be nine letters or digits (Mistral: "must be a-z, A-Z, 0-9, with a length of 9"). Others are
    /// replaced by nine that follow from them, so that a call and its result still belong together.
    ToolCallIdsOfNine,
    /// User and assistant must take turns (Perplexity: "user and assistant roles should be alternating"). Neighbours of one
    /// role become one message.
    AlternatingRoles,
    /// A message's content must be one text (DeepSeek, SambaNova): a list of nothing but texts is joined.
    ContentAsText,
    /// Messages must have no `name` (Groq refuses it with a 400).
    MessagesWithoutName,
}

impl Quirks {
    /// Whether there is any.
    pub fn is_none(&self) -> bool {
        *self == Quirks::default()
    }

    /// Whether usage may be asked for with `stream_options`.
    pub fn takes_stream_options(&self) -> bool {
        self.stream_options == StreamOptions::Send && !self.refuses.iter().any(|name| name == "stream_options")
    }

    fn has(&self, named: NamedQuirk) -> bool {
        self.named.contains(&named)
    }

    /// What becomes of a top-level member.
    fn fate(&self, name: &str, there: &dyn Fn(&str) -> bool) -> Fate<'_> {
        if self.refuses.iter().any(|refused| refused == name) {
            return Fate::Drop;
        }
        if name == "stream_options" && self.stream_options == StreamOptions::Omit {
            return Fate::Drop;
        }
        let limit = match (self.max_tokens, name) {
            (MaxTokens::MaxTokens, "max_completion_tokens") => Some("max_tokens"),
            (MaxTokens::MaxCompletionTokens, "max_tokens") => Some("max_completion_tokens"),
            (MaxTokens::Keep | MaxTokens::MaxTokens | MaxTokens::MaxCompletionTokens, _) => None,
        };
        match limit.or_else(|| self.renames.get(name).map(String::as_str)) {
            // The one that has the right name already counts.
            Some(to) if to != name && there(to) => Fate::Drop,
            Some(to) if to != name => Fate::Rename(to),
            Some(_) | None => Fate::Keep,
        }
    }
}

enum Fate<'q> {
    Keep,
    Drop,
    Rename(&'q str),
}

/// A replacement of some bytes of the body.
#[derive(Debug, PartialEq, Eq)]
struct Edit {
    at: Range<usize>,
    text: String,
}

/// A member of an object: where its name stands (with quotes), and its value.
struct Member<'a> {
    name: std::borrow::Cow<'a, str>,
    key: Range<usize>,
    value: Range<usize>,
}

/// Makes a request fit a provider. Members that were left out are told of by name. A body that is not a JSON object is given
/// back as it is: whoever reads it next says what is wrong with it.
pub fn apply(quirks: &Quirks, body: &Bytes) -> (Bytes, Vec<Dropped>) {
    let unchanged = || (body.clone(), Vec::new());
    if quirks.is_none() {
        return unchanged();
    }
    let Some((edits, dropped)) = std::str::from_utf8(body).ok().and_then(|text| edits(quirks, text).ok()) else {
        return unchanged();
    };
    if edits.is_empty() {
        return unchanged();
    }
    (spliced(body, edits), dropped.into_vec())
}

fn edits(quirks: &Quirks, text: &str) -> Result<(Vec<Edit>, DroppedNames), Fault> {
    let (inside, members) = members(text, 0)?;
    let mut edits = Vec::new();
    let mut dropped = DroppedNames::default();
    let there = |name: &str| members.iter().any(|member| member.name == name);
    let fates: Vec<Fate<'_>> = members.iter().map(|member| quirks.fate(&member.name, &there)).collect();
    let gone: Vec<bool> = fates.iter().map(|fate| matches!(fate, Fate::Drop)).collect();
    edits.extend(removals(inside, &members, &gone));
    for (member, fate) in members.iter().zip(fates) {
        match fate {
            Fate::Keep => {}
            Fate::Drop => {
                dropped.add(&member.name);
                continue;
            }
            Fate::Rename(to) => edits.push(Edit {
                at: member.key.clone(),
                text: quoted(to),
            }),
        }
        if member.name == "messages" {
            let value = &text[member.value.clone()];
            edits.extend(messages::edits(quirks, value, member.value.start)?);
        }
    }
    Ok((edits, dropped))
}

/// The members of an object and the offset just behind its brace. Offsets are those of the text, plus `base`.
fn members(text: &str, base: usize) -> Result<(usize, Vec<Member<'_>>), Fault> {
    let mut cursor = Cursor::new(text, Surrogates::Any);
    let inside = base + cursor.offset() + 1;
    let mut members = Vec::new();
    let mut more = cursor.open_object()?;
    while more {
        let key_start = cursor.offset();
        let name = cursor.key()?.unescaped();
        // The name's own end: its colon may stand apart.
        let mut just_key = Cursor::new(&text[key_start..], Surrogates::Any);
        just_key.string()?;
        let key_end = key_start + just_key.end();
        let start = cursor.offset();
        cursor.skip()?;
        members.push(Member {
            name,
            key: base + key_start..base + key_end,
            value: base + start..base + cursor.end(),
        });
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok((inside, members))
}

/// Takes members out with the commas that belong to them.
fn removals(inside: usize, members: &[Member<'_>], gone: &[bool]) -> Vec<Edit> {
    let last_kept = gone.iter().rposition(|gone| !gone);
    let cut = |at: Range<usize>| Edit {
        at,
        text: String::new(),
    };
    let mut edits = Vec::new();
    for (n, member) in members.iter().enumerate().filter(|(n, _)| gone[*n]) {
        if last_kept.is_some_and(|kept| n < kept) {
            edits.push(cut(member.key.start..members[n + 1].key.start));
        }
    }
    let tail = last_kept.map_or(0, |kept| kept + 1);
    if let (true, Some(last)) = (tail < members.len(), members.last()) {
        let start = last_kept.map_or(inside, |kept| members[kept].value.end);
        edits.push(cut(start..last.value.end));
    }
    edits
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

fn spliced(body: &Bytes, mut edits: Vec<Edit>) -> Bytes {
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let grown: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut copied = 0;
    for edit in edits {
        // Edits never overlap: a member that is taken out is not looked into.
        debug_assert!(edit.at.start >= copied);
        out.extend_from_slice(&body[copied..edit.at.start]);
        out.extend_from_slice(edit.text.as_bytes());
        copied = edit.at.end;
    }
    out.extend_from_slice(&body[copied..]);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn quirks(value: Value) -> Quirks {
        serde_json::from_value(value).unwrap()
    }

    fn check(quirks: Value, body: &str, wanted: &str, dropped: &[&str]) {
        let quirks = self::quirks(quirks);
        let given = Bytes::copy_from_slice(body.as_bytes());
        let (found, told) = apply(&quirks, &given);
        assert_eq!(std::str::from_utf8(&found).unwrap(), wanted, "{body}");
        assert_eq!(told.iter().map(|d| d.0.as_str()).collect::<Vec<_>>(), dropped, "{body}");
        if body == wanted {
            assert_eq!(found.as_ptr(), given.as_ptr(), "no copy: {body}");
        }
        assert_eq!(apply(&quirks, &found).0, found, "the second time changes nothing");
    }

    #[test]
    fn members_are_dropped_with_their_commas_and_told_of() {
        let refuses = || json!({ "refuses": ["seed", "logit_bias"] });
        check(refuses(), r#"{"model":"m","n":1}"#, r#"{"model":"m","n":1}"#, &[]);
        check(refuses(), r#"{"seed":1,"model":"m"}"#, r#"{"model":"m"}"#, &["seed"]);
        check(
            refuses(),
            r#"{ "model" : "m" , "seed" : 1 , "x":[1] }"#,
            r#"{ "model" : "m" , "x":[1] }"#,
            &["seed"],
        );
        check(refuses(), r#"{"model":"m", "seed":1}"#, r#"{"model":"m"}"#, &["seed"]);
        check(
            refuses(),
            r#"{"model":"m","seed":1,"logit_bias":{"a":[{}]} }"#,
            r#"{"model":"m" }"#,
            &["seed", "logit_bias"],
        );
        check(refuses(), r#"{"seed":1,"logit_bias":2}"#, "{}", &["seed", "logit_bias"]);
        check(
            refuses(),
            r#"{"se\u0065d":1,"model":"m"}"#,
            r#"{"model":"m"}"#,
            &["seed"],
        );
        check(refuses(), r#"{"seed":1,"#, r#"{"seed":1,"#, &[]);
        check(refuses(), "[]", "[]", &[]);
    }

    #[test]
    fn names_are_changed_where_they_stand() {
        let max = || json!({ "max_tokens": "max_tokens" });
        check(
            max(),
            r#"{"max_completion_tokens" : 5, "model":"m"}"#,
            r#"{"max_tokens" : 5, "model":"m"}"#,
            &[],
        );
        check(
            max(),
            r#"{"max_tokens":4,"max_completion_tokens":5}"#,
            r#"{"max_tokens":4}"#,
            &["max_completion_tokens"],
        );
        check(
            json!({ "max_tokens": "max_completion_tokens" }),
            r#"{"max_tokens":4}"#,
            r#"{"max_completion_tokens":4}"#,
            &[],
        );
        check(
            json!({ "renames": { "seed": "random_seed" }, "stream_options": "omit" }),
            r#"{"stream":true,"stream_options":{"include_usage":true},"seed":3}"#,
            r#"{"stream":true,"random_seed":3}"#,
            &["stream_options"],
        );
    }

    #[test]
    fn a_row_is_read_strictly_and_knows_whether_usage_may_be_asked_for() {
        assert!(serde_json::from_value::<Quirks>(json!({ "refuse": [] })).is_err());
        assert!(serde_json::from_value::<Quirks>(json!({ "named": ["odd"] })).is_err());
        assert!(quirks(json!({})).is_none() && quirks(json!({})).takes_stream_options());
        assert!(!quirks(json!({ "stream_options": "omit" })).takes_stream_options());
        assert!(!quirks(json!({ "refuses": ["stream_options"] })).takes_stream_options());
    }

    /// All of them at once, so that edits of different kinds meet.
    fn everything() -> Quirks {
        quirks(json!({
            "max_tokens": "max_tokens",
            "stream_options": "omit",
            "refuses": ["seed", "user"],
            "renames": { "top_k": "k" },
            "system_role": "system",
            "reasoning_field": "reasoning",
            "named": ["tool_call_ids_of_nine", "alternating_roles", "content_as_text", "messages_without_name"],
        }))
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("role"),
            Just("user"),
            Just("assistant"),
            Just("developer"),
            Just("content"),
            Just("text"),
            Just("type"),
            Just("tool_calls"),
            Just("tool_call_id"),
            Just("id"),
            Just("name"),
            Just("reasoning_content"),
            Just("messages"),
            Just("seed"),
            Just("max_tokens"),
            Just("max_completion_tokens"),
            Just("response_format"),
            Just("json_schema"),
            Just("ü\"\\"),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            let map = proptest::collection::vec((word.clone(), inner.clone()), 0..6)
                .prop_map(|rows| Value::Object(rows.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
            prop_oneof![proptest::collection::vec(inner, 0..6).prop_map(Value::from), map]
        })
    }

    proptest! {
        #[test]
        fn without_quirks_the_bytes_are_the_same_and_with_all_of_them_still_json(
            messages in any_json(), rest in any_json(), pretty: bool,
        ) {
            let mut body = json!({ "messages": messages });
            if let (Value::Object(body), Value::Object(rest)) = (&mut body, rest) {
                body.extend(rest);
            }
            let text = if pretty { serde_json::to_vec_pretty(&body) } else { serde_json::to_vec(&body) };
            let bytes = Bytes::from(text.unwrap());
            let (same, told) = apply(&Quirks::default(), &bytes);
            prop_assert_eq!(same.as_ptr(), bytes.as_ptr());
            prop_assert!(told.is_empty());
            let (changed, _) = apply(&everything(), &bytes);
            let value: Value = serde_json::from_slice(&changed).unwrap();
            prop_assert!(value.get("seed").is_none());
            prop_assert_eq!(apply(&everything(), &changed).0, changed);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(apply(&everything(), &bytes).0, bytes);
        }
    }
}
