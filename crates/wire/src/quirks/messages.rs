//! The edits of a provider's quirks within `messages`: roles, reasoning, names, ids of tool calls, content as one text, turns.
//!
//! Messages are walked and edited where they stand. Only neighbours that must become one message are read into a tree, those
//! two alone.

use serde_json::Value;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates};
use crate::quirks::{Edit, Member, NamedQuirk, Quirks, ReasoningField, SystemRole, members, quoted, removals};

/// Length of an id that every provider takes.
const ID_LEN: usize = 9;

/// A message of the list: its place and what decides whether it joins its neighbour.
struct Message {
    start: usize,
    end: usize,
    /// `user`, or an assistant that calls no tools: such neighbours are joined.
    joins: Option<&'static str>,
    edits: Vec<Edit>,
}

/// The edits of a list of messages that begins at `base`.
pub(super) fn edits(quirks: &Quirks, text: &str, base: usize) -> Result<Vec<Edit>, Fault> {
    let concerned = quirks.system_role != SystemRole::Keep
        || quirks.reasoning_field != ReasoningField::Keep
        || !quirks.named.is_empty();
    let mut cursor = Cursor::new(text, Surrogates::Any);
    if !concerned || cursor.peek()? != Kind::Array {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut more = cursor.open_array()?;
    while more {
        let start = cursor.offset();
        let object = cursor.peek()? == Kind::Object;
        cursor.skip()?;
        let end = cursor.end();
        let mut message = Message {
            start,
            end,
            joins: None,
            edits: Vec::new(),
        };
        if object {
            read(quirks, text, base, &mut message)?;
        }
        found.push(message);
        more = cursor.more_items()?;
    }
    Ok(joined(text, base, found))
}

fn read(quirks: &Quirks, text: &str, base: usize, message: &mut Message) -> Result<(), Fault> {
    let (inside, found) = members(&text[message.start..message.end], base + message.start)?;
    let value = |member: &Member<'_>| &text[member.value.start - base..member.value.end - base];
    let named = |name: &str| found.iter().rfind(|member| member.name == name);
    let role = named("role").map_or("", value);
    let calls_tools = named("tool_calls").is_some_and(|calls| value(calls) != "null");
    if quirks.has(NamedQuirk::AlternatingRoles) {
        message.joins = match role {
            "\"user\"" => Some("user"),
            "\"assistant\"" if !calls_tools => Some("assistant"),
            _ => None,
        };
    }
    let mut gone = vec![false; found.len()];
    for (n, member) in found.iter().enumerate() {
        let written = value(member);
        let replaced = |text: String| Edit {
            at: member.value.clone(),
            text,
        };
        match member.name.as_ref() {
            "role" => {
                let wanted = match (quirks.system_role, written) {
                    (SystemRole::System, "\"developer\"") => "\"system\"",
                    (SystemRole::Developer, "\"system\"") => "\"developer\"",
                    _ => continue,
                };
                message.edits.push(replaced(wanted.to_owned()));
            }
            "name" if quirks.has(NamedQuirk::MessagesWithoutName) => gone[n] = true,
            "reasoning" | "reasoning_content" if role == "\"assistant\"" => {
                let wanted = match quirks.reasoning_field {
                    ReasoningField::Keep => continue,
                    ReasoningField::Omit => None,
                    ReasoningField::Reasoning => Some("reasoning"),
                    ReasoningField::ReasoningContent => Some("reasoning_content"),
                };
                match wanted {
                    Some(wanted) if wanted == member.name => {}
                    Some(wanted) if named(wanted).is_none() => message.edits.push(Edit {
                        at: member.key.clone(),
                        text: quoted(wanted),
                    }),
                    Some(_) | None => gone[n] = true,
                }
            }
            "tool_call_id" if quirks.has(NamedQuirk::ToolCallIdsOfNine) => {
                message.edits.extend(id_of_nine(written)?.map(replaced));
            }
            "tool_calls" if quirks.has(NamedQuirk::ToolCallIdsOfNine) => {
                message.edits.extend(ids_of_calls(written, member.value.start)?);
            }
            "content" if quirks.has(NamedQuirk::ContentAsText) => {
                message.edits.extend(as_text(written)?.map(replaced));
            }
            _ => {}
        }
    }
    message.edits.extend(removals(inside, &found, &gone));
    Ok(())
}

/// The ids of a list of tool calls.
fn ids_of_calls(text: &str, base: usize) -> Result<Vec<Edit>, Fault> {
    let mut edits = Vec::new();
    let mut cursor = Cursor::new(text, Surrogates::Any);
    if cursor.peek()? != Kind::Array {
        return Ok(edits);
    }
    let mut more = cursor.open_array()?;
    while more {
        let start = cursor.offset();
        let object = cursor.peek()? == Kind::Object;
        cursor.skip()?;
        if object {
            let (_, found) = members(&text[start..cursor.end()], base + start)?;
            for id in found.iter().filter(|member| member.name == "id") {
                let written = &text[id.value.start - base..id.value.end - base];
                edits.extend(id_of_nine(written)?.map(|text| Edit {
                    at: id.value.clone(),
                    text,
                }));
            }
        }
        more = cursor.more_items()?;
    }
    Ok(edits)
}

/// An id in its quotes that is made of nine letters and digits; `None` when it is already, or no id.
fn id_of_nine(written: &str) -> Result<Option<String>, Fault> {
    let mut cursor = Cursor::new(written, Surrogates::Any);
    if cursor.peek()? != Kind::String {
        return Ok(None);
    }
    let id = cursor.string()?.unescaped();
    if id.len() == ID_LEN && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    // FNV-1a: the same id gives the same nine everywhere in a conversation and in the next request of it.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let nine: String = (0..ID_LEN)
        .map(|_| {
            let digit = DIGITS[(hash % 62) as usize];
            hash /= 62;
            digit as char
        })
        .collect();
    Ok(Some(quoted(&nine)))
}

/// A list of nothing but texts as one text; `None` for anything else.
fn as_text(written: &str) -> Result<Option<String>, Fault> {
    let mut cursor = Cursor::new(written, Surrogates::Any);
    if cursor.peek()? != Kind::Array {
        return Ok(None);
    }
    let mut out = String::from("\"");
    let mut more = cursor.open_array()?;
    while more {
        let start = cursor.offset();
        let object = cursor.peek()? == Kind::Object;
        cursor.skip()?;
        if !object {
            return Ok(None);
        }
        let (_, found) = members(&written[start..cursor.end()], start)?;
        let value = |name: &str| {
            let member = found.iter().rfind(|member| member.name == name)?;
            Some(&written[member.value.clone()])
        };
        let text = value("text").filter(|text| value("type") == Some("\"text\"") && text.starts_with('"'));
        let Some(text) = text else { return Ok(None) };
        // Escapes are the same in both places: the text between the quotes is moved as it is.
        out.push_str(&text[1..text.len() - 1]);
        more = cursor.more_items()?;
    }
    out.push('"');
    Ok(Some(out))
}

/// All edits, neighbours of one role made one message.
fn joined(text: &str, base: usize, messages: Vec<Message>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut run: Vec<Message> = Vec::new();
    for message in messages {
        let same = run
            .last()
            .is_some_and(|last| last.joins.is_some() && last.joins == message.joins);
        if !same {
            edits.extend(closed(text, base, std::mem::take(&mut run)));
        }
        run.push(message);
    }
    edits.extend(closed(text, base, run));
    edits
}

/// The edits of a run of messages of one role: their own where it is one message, a new message else.
fn closed(text: &str, base: usize, run: Vec<Message>) -> Vec<Edit> {
    if run.len() < 2 {
        return run.into_iter().flat_map(|message| message.edits).collect();
    }
    let (start, end) = (run[0].start, run[run.len() - 1].end);
    let one = run
        .into_iter()
        .map(|message| {
            let edits = message.edits.into_iter().map(|edit| Edit {
                at: edit.at.start - base - message.start..edit.at.end - base - message.start,
                ..edit
            });
            let bytes = bytes::Bytes::copy_from_slice(&text.as_bytes()[message.start..message.end]);
            let edited = crate::quirks::spliced(&bytes, edits.collect());
            serde_json::from_slice::<Value>(&edited).ok()
        })
        .reduce(|one, next| merged(one?, next?))
        .flatten();
    let text = one.and_then(|message| serde_json::to_string(&message).ok());
    text.map(|text| Edit {
        at: base + start..base + end,
        text,
    })
    .into_iter()
    .collect()
}

/// The second message's content behind the first one's; the first one's other members stay.
fn merged(mut one: Value, next: Value) -> Option<Value> {
    let next = next.get("content").cloned().unwrap_or_default();
    let content = one.as_object_mut()?.entry("content").or_insert(Value::Null);
    let parts = |content: Value| match content {
        Value::Array(parts) => parts,
        Value::String(text) => vec![serde_json::json!({ "type": "text", "text": text })],
        _ => Vec::new(),
    };
    *content = match (content.take(), next) {
        (Value::String(a), Value::String(b)) => Value::String(format!("{a}\n\n{b}")),
        (Value::Null, b) => b,
        (a, Value::Null) => a,
        (a, b) => Value::Array(parts(a).into_iter().chain(parts(b)).collect()),
    };
    Some(one)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use crate::quirks::{Quirks, apply};

    fn check(quirks: Value, messages: &str, wanted: &str) {
        let quirks: Quirks = serde_json::from_value(quirks).unwrap();
        let body = |messages: &str| Bytes::from(format!("{{\"model\":\"m\",\"messages\":{messages},\"n\":1}}"));
        let (found, dropped) = apply(&quirks, &body(messages));
        assert_eq!(std::str::from_utf8(&found), std::str::from_utf8(&body(wanted)));
        assert!(dropped.is_empty());
    }

    #[test]
    fn instructions_get_the_role_the_provider_knows() {
        check(
            json!({ "system_role": "system" }),
            r#"[{"role":"developer","content":"developer"}, {"role" : "user","content":"x"}]"#,
            r#"[{"role":"system","content":"developer"}, {"role" : "user","content":"x"}]"#,
        );
        check(
            json!({ "system_role": "developer" }),
            r#"[{"content":"a","role":"system"}]"#,
            r#"[{"content":"a","role":"developer"}]"#,
        );
        check(json!({ "system_role": "system" }), r#""none""#, r#""none""#);
    }

    #[test]
    fn earlier_reasoning_gets_the_name_the_provider_knows_or_is_left_out() {
        let said = r#"[{"role":"assistant","reasoning_content":"r","content":"a"}]"#;
        check(
            json!({ "reasoning_field": "reasoning" }),
            said,
            r#"[{"role":"assistant","reasoning":"r","content":"a"}]"#,
        );
        check(
            json!({ "reasoning_field": "omit" }),
            said,
            r#"[{"role":"assistant","content":"a"}]"#,
        );
        check(json!({ "reasoning_field": "reasoning_content" }), said, said);
    }

    #[test]
    fn ids_of_tool_calls_are_nine_letters_and_a_result_keeps_its_call() {
        let quirks = json!({ "named": ["tool_call_ids_of_nine"] });
        let body = json!({ "messages": [
            { "role": "assistant", "tool_calls": [{ "id": "call_8x-long-one", "function": {} }, { "id": "abcDEF123" }] },
            { "role": "tool", "tool_call_id": "call_8x-long-one", "content": "1" },
            { "role": "tool", "tool_call_id": "abcDEF123", "content": "2" },
        ]});
        let quirks: Quirks = serde_json::from_value(quirks).unwrap();
        let (found, _) = apply(&quirks, &Bytes::from(body.to_string()));
        let found: Value = serde_json::from_slice(&found).unwrap();
        let id = found["messages"][0]["tool_calls"][0]["id"].as_str().unwrap();
        assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        assert_eq!(found["messages"][1]["tool_call_id"], id);
        assert_eq!(found["messages"][0]["tool_calls"][1]["id"], "abcDEF123");
        assert_eq!(found["messages"][2]["tool_call_id"], "abcDEF123");
    }

    #[test]
    fn neighbours_of_one_role_become_one_message() {
        check(
            json!({ "named": ["alternating_roles"] }),
            r#"[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"user","content":"b"}, {"role":"assistant","content":"c"}]"#,
            r#"[{"role":"system","content":"s"},{"role":"user","content":"a\n\nb"}, {"role":"assistant","content":"c"}]"#,
        );
        check(
            json!({ "named": ["alternating_roles"] }),
            r#"[{"role":"user","content":[{"type":"image_url"}]},{"role":"user","content":"b"}]"#,
            r#"[{"role":"user","content":[{"type":"image_url"},{"type":"text","text":"b"}]}]"#,
        );
        let calls = r#"[{"role":"assistant","tool_calls":[]},{"role":"assistant","content":"b"}]"#;
        check(json!({ "named": ["alternating_roles"] }), calls, calls);
    }

    #[test]
    fn a_list_of_texts_becomes_one_and_names_are_left_out() {
        let quirks = || json!({ "named": ["content_as_text", "messages_without_name"] });
        check(
            quirks(),
            r#"[{"role":"user","name":"n","content":[{"type":"text","text":"a\n"},{"text":"b\"","type":"text"}]}]"#,
            r#"[{"role":"user","content":"a\nb\""}]"#,
        );
        let image = r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]"#;
        check(quirks(), image, image);
    }
}
