//! Adjusts the system prompt of a request, in the body as the client wrote it or in the neutral model: a cheaper model often does
//! better with a shorter one and explicit constraints.
//!
//! The system prompt is what the dialect has for it: the system and developer messages that lead the conversation
//! (`openai_chat`), `instructions` with those that lead the input (`openai_responses`), `system`, `systemInstruction`. System
//! messages in the midst of a conversation are part of it and stay. Texts are set apart by a blank line, or as blocks of
//! their own where the client wrote blocks. The type to read first is [`Adjustment`].

use bytes::Bytes;
use types::chat::{ChatRequest, Message, Part, Role};
use types::dialect::IngressDialect;

use crate::cap::object;
use crate::edit::{Edits, escaped, is_empty, quoted};
use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::gemini::carried::camel;

/// What sets two texts apart.
const APART: &str = "\n\n";

/// What becomes of a system prompt. Without one, all of this is it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adjustment {
    /// Comes before it.
    pub prepend: Option<String>,
    /// Comes in its place.
    pub replace: Option<String>,
    /// Comes behind it.
    pub append: Option<String>,
}

impl Adjustment {
    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        self.whole().is_none()
    }

    /// The texts as one, for where there is no prompt or it is replaced.
    fn whole(&self) -> Option<String> {
        let texts = [&self.prepend, &self.replace, &self.append];
        let texts: Vec<&str> = texts.into_iter().filter_map(|t| given(t)).collect();
        (!texts.is_empty()).then(|| texts.join(APART))
    }

    fn before(&self) -> Option<&str> {
        given(&self.prepend)
    }

    fn behind(&self) -> Option<&str> {
        given(&self.append)
    }

    fn replaces(&self) -> bool {
        given(&self.replace).is_some()
    }
}

/// The same body with its system prompt adjusted; the same bytes when nothing is to change. What is no JSON object, or has something
/// else where its dialect has the prompt, is given back as it is: nobody takes it anyway.
///
/// For the body as it goes out, after [`Head::splice`](crate::head::Head::splice): a head no longer fits what was edited.
pub fn body(dialect: IngressDialect, body: &Bytes, adjustment: &Adjustment) -> Bytes {
    let (Some(whole), Some((text, root))) = (adjustment.whole(), object(body)) else {
        return body.clone();
    };
    let mut adjuster = Adjuster {
        by: adjustment,
        whole,
        edits: Edits::new(text),
    };
    match dialect {
        IngressDialect::OpenaiChat => adjuster.chat(root),
        IngressDialect::OpenaiResponses => adjuster.responses(root),
        IngressDialect::AnthropicMessages => adjuster.messages(root),
        IngressDialect::Gemini => adjuster.gemini(root),
    }
    if adjuster.edits.is_empty() {
        body.clone()
    } else {
        Bytes::from(adjuster.edits.apply())
    }
}

/// The same for the neutral model.
pub fn request(request: &mut ChatRequest, adjustment: &Adjustment) {
    let Some(whole) = adjustment.whole() else { return };
    let leading = request.messages.iter().take_while(|m| m.role == Role::System).count();
    if leading == 0 || adjustment.replaces() {
        // What was to be kept in the provider's cache still is: only what it says is new.
        let leading_parts = request.messages[..leading].iter().flat_map(|m| &m.parts);
        let mut cache = None;
        for part in leading_parts {
            if let Part::Text { cache: Some(mark), .. } = part {
                cache = Some(*mark);
            }
        }
        let system = Message {
            role: Role::System,
            parts: vec![Part::Text { text: whole, cache }],
            name: None,
        };
        request.messages.splice(..leading, [system]);
        return;
    }
    if let Some(before) = adjustment.before() {
        let parts = &mut request.messages[0].parts;
        match parts.first_mut() {
            Some(Part::Text { text, .. }) if !text.is_empty() => text.insert_str(0, &format!("{before}{APART}")),
            _ => parts.insert(0, Part::text(before)),
        }
    }
    if let Some(behind) = adjustment.behind() {
        let parts = &mut request.messages[leading - 1].parts;
        match parts.last_mut() {
            // What is marked to be cached is not made another text by what follows it.
            Some(Part::Text { text, cache: None }) if !text.is_empty() => text.push_str(&format!("{APART}{behind}")),
            _ => parts.push(Part::text(behind)),
        }
    }
}

struct Adjuster<'a> {
    by: &'a Adjustment,
    whole: String,
    edits: Edits<'a>,
}

impl<'a> Adjuster<'a> {
    fn chat(&mut self, root: Raw<'a>) {
        let Some(messages) = root.get("messages").filter(|m| m.kind() == Kind::Array) else {
            return;
        };
        let leading: Vec<Raw<'_>> = messages.items().take_while(|m| is_system(*m)).collect();
        let (Some(first), Some(last)) = (leading.first(), leading.last()) else {
            let item = message("system", &self.whole);
            return self.edits.add_first_item(messages, &item);
        };
        let role = |of: &Raw<'_>| of.get("role").and_then(Raw::string).unwrap_or_default().into_owned();
        if self.by.replaces() {
            let new = message(&role(first), &self.whole);
            return self.edits.replace_run(*first, *last, new);
        }
        if let Some(before) = self.by.before()
            && !self.prepend(first.get("content"), before, &text_block("text", before))
        {
            self.edits.add_first_item(messages, &message(&role(first), before));
        }
        if let Some(behind) = self.by.behind()
            && !self.append(last.get("content"), behind, &text_block("text", behind))
        {
            self.edits.add_item_behind(*last, &message(&role(last), behind));
        }
    }

    /// The input's leading system messages stand behind the instructions: what comes before the prompt comes before these, what comes
    /// behind it behind those.
    fn responses(&mut self, root: Raw<'a>) {
        let input = root.get("input").filter(|i| i.kind() == Kind::Array);
        let items: Vec<Raw<'_>> = input.into_iter().flat_map(Raw::items).collect();
        let leading = items.iter().take_while(|item| is_system(**item)).count();
        if self.by.replaces() || leading == 0 {
            if self.by.replaces() {
                self.cut_leading(&items, leading);
            }
            return self.instructions(root, self.by.replaces());
        }
        if let Some(before) = self.by.before() {
            self.write_instructions(root, Some(before), None);
        }
        let last = items[leading - 1];
        if let Some(behind) = self.by.behind()
            && !self.append(last.get("content"), behind, &text_block("input_text", behind))
        {
            let role = last.get("role").and_then(Raw::string).unwrap_or_default();
            self.edits.add_item_behind(last, &message(&role, behind));
        }
    }

    fn instructions(&mut self, root: Raw<'a>, replace: bool) {
        if replace {
            let whole = quoted(&self.whole);
            return self.set_member(root, "instructions", &whole);
        }
        let (before, behind) = (self.by.before().map(str::to_owned), self.by.behind().map(str::to_owned));
        self.write_instructions(root, before.as_deref(), behind.as_deref());
    }

    fn write_instructions(&mut self, root: Raw<'a>, before: Option<&str>, behind: Option<&str>) {
        match root.get("instructions") {
            Some(text) if text.kind() == Kind::String && text.text() != "\"\"" => {
                if let Some(before) = before {
                    self.edits.insert_first(text, escaped(&format!("{before}{APART}")));
                }
                if let Some(behind) = behind {
                    self.edits.insert_last(text, escaped(&format!("{APART}{behind}")));
                }
            }
            Some(text) if text.kind() != Kind::String => {}
            Some(_) | None => {
                let texts: Vec<&str> = [before, behind].into_iter().flatten().collect();
                self.set_member(root, "instructions", &quoted(&texts.join(APART)));
            }
        }
    }

    /// Takes the leading messages out of the input, with the commas behind them.
    fn cut_leading(&mut self, items: &[Raw<'_>], leading: usize) {
        if leading == 0 {
            return;
        }
        let from = self.edits.place(items[0]).start;
        let to = match items.get(leading) {
            Some(next) => self.edits.place(*next).start,
            None => self.edits.place(items[leading - 1]).end,
        };
        self.edits.cut(from..to);
    }

    fn messages(&mut self, root: Raw<'a>) {
        let system = root.get("system").filter(|s| s.text() != "\"\"" && !is_empty(*s));
        let Some(system) = system else {
            let whole = quoted(&self.whole);
            return self.set_member(root, "system", &whole);
        };
        if self.by.replaces() {
            let mark = system.items().filter_map(|block| block.get("cache_control")).last();
            let whole = quoted(&self.whole);
            let new = match mark {
                Some(mark) => format!(r#"[{{"type":"text","text":{whole},"cache_control":{}}}]"#, mark.text()),
                None => whole,
            };
            return self.edits.replace(system, new);
        }
        self.around(system, |text| text_block("text", text));
    }

    fn gemini(&mut self, root: Raw<'a>) {
        let named = root.members().filter(|(key, _)| camel(key) == "systemInstruction");
        let Some((_, system)) = named.last() else {
            let content = format!(r#"{{"parts":[{}]}}"#, part(&self.whole));
            return self.edits.add_first_member(root, "systemInstruction", &content);
        };
        let parts = system.get("parts").filter(|p| p.kind() == Kind::Array && !is_empty(*p));
        let is_text = system.kind() == Kind::String && system.text() != "\"\"";
        match parts {
            Some(parts) if self.by.replaces() => {
                let new = format!("[{}]", part(&self.whole));
                self.edits.replace(parts, new);
            }
            Some(parts) => self.around(parts, part),
            None if is_text && !self.by.replaces() => self.around(system, part),
            None => {
                let content = format!(r#"{{"parts":[{}]}}"#, part(&self.whole));
                self.edits.replace(system, content);
            }
        }
    }

    /// Puts texts before and behind a prompt that is a string or an array of blocks.
    fn around(&mut self, prompt: Raw<'_>, block: fn(&str) -> String) {
        if let Some(before) = self.by.before() {
            self.prepend(Some(prompt), before, &block(before));
        }
        if let Some(behind) = self.by.behind() {
            self.append(Some(prompt), behind, &block(behind));
        }
    }

    /// `false` where the content is nothing that takes a text.
    fn prepend(&mut self, content: Option<Raw<'_>>, text: &str, block: &str) -> bool {
        match content.map(|c| (c, c.kind())) {
            Some((content, Kind::String)) => {
                let apart = if content.text() == "\"\"" { "" } else { APART };
                self.edits.insert_first(content, escaped(&format!("{text}{apart}")));
                true
            }
            Some((content, Kind::Array)) if !is_empty(content) => {
                self.edits.add_first_item(content, block);
                true
            }
            Some((_, Kind::Array | Kind::Object | Kind::Number | Kind::Bool | Kind::Null)) | None => false,
        }
    }

    fn append(&mut self, content: Option<Raw<'_>>, text: &str, block: &str) -> bool {
        match content.map(|c| (c, c.kind())) {
            Some((content, Kind::String)) => {
                let alone = content.text() == "\"\"" && self.by.before().is_none();
                let apart = if alone { "" } else { APART };
                self.edits.insert_last(content, escaped(&format!("{apart}{text}")));
                true
            }
            Some((content, Kind::Array)) if !is_empty(content) => {
                self.edits.add_last_item(content, block);
                true
            }
            Some((_, Kind::Array | Kind::Object | Kind::Number | Kind::Bool | Kind::Null)) | None => false,
        }
    }

    /// Replaces a member's value, or adds the member.
    fn set_member(&mut self, object: Raw<'_>, name: &str, value: &str) {
        let member = object.members().filter(|(key, _)| key == name).last();
        match member {
            Some((_, there)) => self.edits.replace(there, value),
            None => self.edits.add_first_member(object, name, value),
        }
    }
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn is_system(message: Raw<'_>) -> bool {
    let role = message.get("role").and_then(Raw::string);
    matches!(role.as_deref(), Some("system" | "developer"))
}

fn message(role: &str, content: &str) -> String {
    format!(r#"{{"role":{},"content":{}}}"#, quoted(role), quoted(content))
}

fn text_block(kind: &str, text: &str) -> String {
    format!(r#"{{"type":"{kind}","text":{}}}"#, quoted(text))
}

fn part(text: &str) -> String {
    format!(r#"{{"text":{}}}"#, quoted(text))
}

#[cfg(test)]
mod tests {
    use IngressDialect::{AnthropicMessages, Gemini, OpenaiChat, OpenaiResponses};
    use serde_json::Value;

    use super::*;

    const PREPEND: (Option<&str>, Option<&str>, Option<&str>) = (Some("Be brief."), None, None);
    const REPLACE: (Option<&str>, Option<&str>, Option<&str>) = (None, Some("New \"one\"."), None);
    const APPEND: (Option<&str>, Option<&str>, Option<&str>) = (None, None, Some("JSON\nonly."));
    const AROUND: (Option<&str>, Option<&str>, Option<&str>) = (Some("A"), None, Some("Z"));
    const ALL: (Option<&str>, Option<&str>, Option<&str>) = (Some("A"), Some("B"), Some("Z"));

    fn by((prepend, replace, append): (Option<&str>, Option<&str>, Option<&str>)) -> Adjustment {
        Adjustment {
            prepend: prepend.map(str::to_owned),
            replace: replace.map(str::to_owned),
            append: append.map(str::to_owned),
        }
    }

    #[track_caller]
    fn check(
        dialect: IngressDialect,
        adjustment: (Option<&str>, Option<&str>, Option<&str>),
        before: &str,
        after: &str,
    ) {
        let given = Bytes::copy_from_slice(before.as_bytes());
        let adjusted = body(dialect, &given, &by(adjustment));
        assert_eq!(
            std::str::from_utf8(&adjusted).unwrap(),
            after,
            "{adjustment:?} {before}"
        );
        serde_json::from_slice::<Value>(&adjusted).expect("it is JSON still");
    }

    #[test]
    fn chat_completions_have_the_messages_that_lead() {
        for (adjustment, before, after) in [
            (
                PREPEND,
                r#"{"messages":[]}"#,
                r#"{"messages":[{"role":"system","content":"Be brief."}]}"#,
            ),
            (
                PREPEND,
                r#"{ "messages": [ {"role":"user","content":"hi"}] , "x":1.0}"#,
                r#"{ "messages": [{"role":"system","content":"Be brief."}, {"role":"user","content":"hi"}] , "x":1.0}"#,
            ),
            (
                PREPEND,
                r#"{"messages":[{"content":"You \u00fc.","role":"developer"},{"role":"user","content":"hi"}]}"#,
                r#"{"messages":[{"content":"Be brief.\n\nYou \u00fc.","role":"developer"},{"role":"user","content":"hi"}]}"#,
            ),
            (
                AROUND,
                r#"{"messages":[{"role":"system","content":[{"type":"text","text":"x"}]}]}"#,
                r#"{"messages":[{"role":"system","content":[{"type":"text","text":"A"},{"type":"text","text":"x"},{"type":"text","text":"Z"}]}]}"#,
            ),
            (
                AROUND,
                r#"{"messages":[{"role":"system","content":"1"},{"role":"system","content":"2"},{"role":"user","content":"u"},{"role":"system","content":"3"}]}"#,
                r#"{"messages":[{"role":"system","content":"A\n\n1"},{"role":"system","content":"2\n\nZ"},{"role":"user","content":"u"},{"role":"system","content":"3"}]}"#,
            ),
            (
                REPLACE,
                r#"{"messages":[{"role":"developer","content":"1"}, {"role":"system","content":"2"},{"role":"user","content":"u"}]}"#,
                r#"{"messages":[{"role":"developer","content":"New \"one\"."},{"role":"user","content":"u"}]}"#,
            ),
            (
                ALL,
                r#"{"messages":[{"role":"system","content":"x"}]}"#,
                r#"{"messages":[{"role":"system","content":"A\n\nB\n\nZ"}]}"#,
            ),
            (
                APPEND,
                r#"{"messages":[{"role":"system","content":""}]}"#,
                r#"{"messages":[{"role":"system","content":"JSON\nonly."}]}"#,
            ),
            (
                AROUND,
                r#"{"messages":[{"role":"system","content":""}]}"#,
                r#"{"messages":[{"role":"system","content":"A\n\nZ"}]}"#,
            ),
            (
                AROUND,
                r#"{"messages":[{"role":"system","content":[]}]}"#,
                r#"{"messages":[{"role":"system","content":"A"},{"role":"system","content":[]},{"role":"system","content":"Z"}]}"#,
            ),
            (PREPEND, r#"{"messages":"no"}"#, r#"{"messages":"no"}"#),
            (PREPEND, "{}", "{}"),
        ] {
            check(OpenaiChat, adjustment, before, after);
        }
    }

    #[test]
    fn responses_have_instructions_and_the_messages_that_lead_the_input() {
        for (adjustment, before, after) in [
            (
                PREPEND,
                r#"{"input":"hi"}"#,
                r#"{"instructions":"Be brief.","input":"hi"}"#,
            ),
            (
                AROUND,
                r#"{"instructions":null,"input":"hi"}"#,
                r#"{"instructions":"A\n\nZ","input":"hi"}"#,
            ),
            (
                AROUND,
                r#"{"input":"hi", "instructions": "x"}"#,
                r#"{"input":"hi", "instructions": "A\n\nx\n\nZ"}"#,
            ),
            (AROUND, r#"{"instructions":""}"#, r#"{"instructions":"A\n\nZ"}"#),
            (REPLACE, r#"{"instructions":"x"}"#, r#"{"instructions":"New \"one\"."}"#),
            (
                AROUND,
                r#"{"instructions":"x","input":[{"role":"developer","content":"d"},{"role":"user","content":"u"}]}"#,
                r#"{"instructions":"A\n\nx","input":[{"role":"developer","content":"d\n\nZ"},{"role":"user","content":"u"}]}"#,
            ),
            (
                APPEND,
                r#"{"input":[{"type":"message","role":"system","content":[{"type":"input_text","text":"d"}]}]}"#,
                r#"{"input":[{"type":"message","role":"system","content":[{"type":"input_text","text":"d"},{"type":"input_text","text":"JSON\nonly."}]}]}"#,
            ),
            (
                REPLACE,
                r#"{"input":[{"role":"developer","content":"d"}, {"role":"system","content":"e"}, {"role":"user","content":"u"}]}"#,
                r#"{"instructions":"New \"one\".","input":[{"role":"user","content":"u"}]}"#,
            ),
            (
                REPLACE,
                r#"{"input":[{"role":"developer","content":"d"}]}"#,
                r#"{"instructions":"New \"one\".","input":[]}"#,
            ),
        ] {
            check(OpenaiResponses, adjustment, before, after);
        }
    }

    #[test]
    fn messages_have_system_as_text_or_blocks_and_keep_the_mark_of_the_cache() {
        for (adjustment, before, after) in [
            (
                APPEND,
                r#"{"messages":[]}"#,
                r#"{"system":"JSON\nonly.","messages":[]}"#,
            ),
            (APPEND, r#"{"system":null}"#, r#"{"system":"JSON\nonly."}"#),
            (AROUND, r#"{"system":[]}"#, r#"{"system":"A\n\nZ"}"#),
            (AROUND, r#"{"system":"x"}"#, r#"{"system":"A\n\nx\n\nZ"}"#),
            (
                AROUND,
                r#"{"system":[ {"type":"text","text":"x","cache_control":{"type":"ephemeral"}} ]}"#,
                r#"{"system":[{"type":"text","text":"A"}, {"type":"text","text":"x","cache_control":{"type":"ephemeral"}} ,{"type":"text","text":"Z"}]}"#,
            ),
            (
                REPLACE,
                r#"{"system":[{"type":"text","text":"x"}]}"#,
                r#"{"system":"New \"one\"."}"#,
            ),
            (
                REPLACE,
                r#"{"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"y"}]}"#,
                r#"{"system":[{"type":"text","text":"New \"one\".","cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#,
            ),
        ] {
            check(AnthropicMessages, adjustment, before, after);
        }
    }

    #[test]
    fn gemini_has_a_content_in_either_spelling_or_a_bare_text() {
        for (adjustment, before, after) in [
            (
                PREPEND,
                r#"{"contents":[]}"#,
                r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[]}"#,
            ),
            (
                AROUND,
                r#"{"system_instruction":{"role":"user","parts":[{"text":"x"}]}}"#,
                r#"{"system_instruction":{"role":"user","parts":[{"text":"A"},{"text":"x"},{"text":"Z"}]}}"#,
            ),
            (
                REPLACE,
                r#"{"systemInstruction":{"parts":[{"text":"x"},{"text":"y"}],"role":"system"}}"#,
                r#"{"systemInstruction":{"parts":[{"text":"New \"one\"."}],"role":"system"}}"#,
            ),
            (
                AROUND,
                r#"{"systemInstruction":"x"}"#,
                r#"{"systemInstruction":"A\n\nx\n\nZ"}"#,
            ),
            (
                AROUND,
                r#"{"systemInstruction":{"parts":[]}}"#,
                r#"{"systemInstruction":{"parts":[{"text":"A\n\nZ"}]}}"#,
            ),
            (
                REPLACE,
                r#"{"systemInstruction":null}"#,
                r#"{"systemInstruction":{"parts":[{"text":"New \"one\"."}]}}"#,
            ),
        ] {
            check(Gemini, adjustment, before, after);
        }
    }

    #[test]
    fn without_an_adjustment_or_a_body_the_same_bytes_come_back() {
        let given = Bytes::from_static(br#"{"messages":[]}"#);
        for nothing in [(None, None, None), (Some(""), None, Some(""))] {
            assert!(by(nothing).is_none());
            for dialect in [OpenaiChat, OpenaiResponses, AnthropicMessages, Gemini] {
                assert_eq!(body(dialect, &given, &by(nothing)).as_ptr(), given.as_ptr());
            }
        }
        for junk in [&b"\xff"[..], b"[]", b"{\"a\":", b""] {
            let junk = Bytes::copy_from_slice(junk);
            assert_eq!(body(OpenaiChat, &junk, &by(ALL)), junk);
        }
    }

    #[test]
    fn the_neutral_request_is_adjusted_the_same_way() {
        use types::chat::CacheMark;
        let said = |role, texts: &[&str]| Message {
            role,
            parts: texts.iter().map(|t| Part::text(*t)).collect(),
            name: None,
        };
        let texts = |request: &ChatRequest| {
            let messages = request.messages.iter().map(|m| {
                let parts = m.parts.iter().map(|p| match p {
                    Part::Text { text, .. } => text.as_str(),
                    other => panic!("no text: {other:?}"),
                });
                parts.collect::<Vec<_>>().join("|")
            });
            messages.collect::<Vec<_>>().join(" / ")
        };
        let (system, user) = (Role::System, Role::User);
        for (adjustment, messages, expected) in [
            (AROUND, vec![said(user, &["u"])], "A\n\nZ / u"),
            (
                AROUND,
                vec![said(system, &["x"]), said(user, &["u"])],
                "A\n\nx\n\nZ / u",
            ),
            (
                AROUND,
                vec![said(system, &["x"]), said(system, &["y"]), said(user, &["u"])],
                "A\n\nx / y\n\nZ / u",
            ),
            (
                ALL,
                vec![
                    said(system, &["x"]),
                    said(system, &["y"]),
                    said(user, &["u"]),
                    said(system, &["s"]),
                ],
                "A\n\nB\n\nZ / u / s",
            ),
            (AROUND, vec![said(system, &[""])], "A||Z"),
            ((None, None, None), vec![said(user, &["u"])], "u"),
        ] {
            let mut neutral = ChatRequest {
                messages,
                ..ChatRequest::default()
            };
            request(&mut neutral, &by(adjustment));
            assert_eq!(texts(&neutral), expected, "{adjustment:?}");
        }
        let cached = |text: &str| Part::Text {
            text: text.to_owned(),
            cache: Some(CacheMark::Ephemeral),
        };
        let mut neutral = ChatRequest {
            messages: vec![Message {
                role: system,
                parts: vec![cached("x")],
                name: None,
            }],
            ..ChatRequest::default()
        };
        request(&mut neutral, &by(APPEND));
        assert_eq!(neutral.messages[0].parts, [cached("x"), Part::text("JSON\nonly.")]);
        request(&mut neutral, &by(REPLACE));
        assert_eq!(neutral.messages[0].parts, [cached("New \"one\".")]);
    }
}
