//! Lowers the output limit of a request to what can still be paid, in the body as the client wrote it or in the neutral model.
//!
//! A limit that is lower already stays. Nothing else changes, save what a lower limit would make invalid: the thinking budget of
//! `anthropic_messages` must stay below it.

use bytes::Bytes;
use types::chat::ChatRequest;
use types::dialect::IngressDialect;

use crate::edit::Edits;
use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::gemini::carried::camel;

/// The smallest thinking budget that may be asked for.
const BUDGET_MIN: u64 = 1_024;

/// The same body with an output limit of at most so many tokens; the same bytes where it is that low already. `reasoning` says
/// whether the target's model reasons: `openai_chat` names the limit `max_completion_tokens` then, where the client named
/// none. What is no JSON object is given back as it is: nobody takes it anyway.
///
/// For the body as it goes out, after [`Head::splice`](crate::head::Head::splice): a head no longer fits what was edited.
pub fn body(dialect: IngressDialect, body: &Bytes, tokens: u64, reasoning: bool) -> Bytes {
    let Some((text, root)) = object(body) else {
        return body.clone();
    };
    let mut edits = Edits::new(text);
    match dialect {
        IngressDialect::OpenaiChat => chat(root, tokens, reasoning, &mut edits),
        IngressDialect::OpenaiResponses => limit(root, "max_output_tokens", tokens, &mut edits),
        IngressDialect::AnthropicMessages => {
            limit(root, "max_tokens", tokens, &mut edits);
            thinking(root, tokens, &mut edits);
        }
        IngressDialect::Gemini => gemini(root, tokens, &mut edits),
    }
    if edits.is_empty() {
        body.clone()
    } else {
        Bytes::from(edits.apply())
    }
}

/// The same for the neutral model.
pub fn request(request: &mut ChatRequest, tokens: u64) {
    request.max_output_tokens = Some(request.max_output_tokens.map_or(tokens, |asked| asked.min(tokens)));
}

/// A body that is a JSON object, opened.
pub(crate) fn object(body: &Bytes) -> Option<(&str, Raw<'_>)> {
    let text = std::str::from_utf8(body).ok()?;
    let root = Raw::parse(text, Surrogates::Any).ok()?;
    (root.kind() == Kind::Object).then_some((text, root))
}

/// Both names may stand there; servers take the one they know.
fn chat(root: Raw<'_>, tokens: u64, reasoning: bool, edits: &mut Edits<'_>) {
    let names = ["max_completion_tokens", "max_tokens"];
    let there: Vec<&str> = names.into_iter().filter(|name| root.get(name).is_some()).collect();
    if there.is_empty() {
        let name = if reasoning { names[0] } else { names[1] };
        limit(root, name, tokens, edits);
    }
    for name in there {
        limit(root, name, tokens, edits);
    }
}

/// Lowers or adds a member. Of several with one name each: nobody knows which one counts.
fn limit(object: Raw<'_>, name: &str, tokens: u64, edits: &mut Edits<'_>) {
    let mut there = false;
    for (_, value) in object.members().filter(|(key, _)| key == name) {
        there = true;
        lower(value, tokens, edits);
    }
    if !there {
        edits.add_first_member(object, name, &tokens.to_string());
    }
}

fn lower(value: Raw<'_>, tokens: u64, edits: &mut Edits<'_>) {
    // Negative numbers are some servers' "no limit". Gemini takes numbers in quotes.
    let written = value.string();
    let number = written.as_deref().unwrap_or_else(|| value.text());
    let low_enough = number.parse::<u64>().is_ok_and(|asked| asked <= tokens);
    if !low_enough {
        edits.replace(value, tokens.to_string());
    }
}

/// Three quarters of the answer may be thought; where that is less than the smallest budget, there is none.
fn thinking(root: Raw<'_>, tokens: u64, edits: &mut Edits<'_>) {
    let Some(thinking) = root.get("thinking") else { return };
    let Some(value) = thinking.get("budget_tokens") else {
        return;
    };
    let most = tokens / 4 * 3;
    match value.integer().and_then(|budget| u64::try_from(budget).ok()) {
        Some(budget) if budget < tokens => {}
        Some(_) | None if most >= BUDGET_MIN => edits.replace(value, most.to_string()),
        Some(_) | None => edits.replace(thinking, r#"{"type":"disabled"}"#),
    }
}

fn gemini(root: Raw<'_>, tokens: u64, edits: &mut Edits<'_>) {
    let mut there = false;
    for (_, config) in root.members().filter(|(key, _)| camel(key) == "generationConfig") {
        if config.kind() != Kind::Object {
            edits.replace(config, format!(r#"{{"maxOutputTokens":{tokens}}}"#));
            there = true;
            continue;
        }
        there = true;
        let limits = config.members().filter(|(key, _)| camel(key) == "maxOutputTokens");
        let values: Vec<Raw<'_>> = limits.map(|(_, value)| value).collect();
        if values.is_empty() {
            edits.add_first_member(config, "maxOutputTokens", &tokens.to_string());
        }
        for value in values {
            lower(value, tokens, edits);
        }
    }
    if !there {
        edits.add_first_member(root, "generationConfig", &format!(r#"{{"maxOutputTokens":{tokens}}}"#));
    }
}

#[cfg(test)]
mod tests {
    use IngressDialect::{AnthropicMessages, Gemini, OpenaiChat, OpenaiResponses};

    use super::*;

    #[track_caller]
    fn check(dialect: IngressDialect, tokens: u64, before: &str, after: &str) {
        let given = Bytes::copy_from_slice(before.as_bytes());
        let capped = body(dialect, &given, tokens, false);
        assert_eq!(std::str::from_utf8(&capped).unwrap(), after, "{before}");
        if before == after {
            assert_eq!(capped.as_ptr(), given.as_ptr(), "without a copy");
        }
        let again = body(dialect, &capped, tokens, false);
        assert_eq!(again, capped, "what is low enough stays");
    }

    #[test]
    fn a_limit_is_lowered_or_added_and_nothing_else_changes() {
        for (dialect, before, after) in [
            (
                OpenaiChat,
                r#"{ "model":"m" , "x": 1.50}"#,
                r#"{"max_tokens":100, "model":"m" , "x": 1.50}"#,
            ),
            (OpenaiChat, "{}", r#"{"max_tokens":100}"#),
            (
                OpenaiChat,
                r#"{"max_tokens" : 4096 ,"a":1}"#,
                r#"{"max_tokens" : 100 ,"a":1}"#,
            ),
            (OpenaiChat, r#"{"max_tokens":99}"#, r#"{"max_tokens":99}"#),
            (
                OpenaiChat,
                r#"{"max_completion_tokens":101}"#,
                r#"{"max_completion_tokens":100}"#,
            ),
            (
                OpenaiChat,
                r#"{"max_completion_tokens":7,"max_tokens":700}"#,
                r#"{"max_completion_tokens":7,"max_tokens":100}"#,
            ),
            (OpenaiChat, r#"{"max_tokens":null}"#, r#"{"max_tokens":100}"#),
            (OpenaiChat, r#"{"max_tokens":-1}"#, r#"{"max_tokens":100}"#),
            (
                OpenaiChat,
                r#"{"max_tokens":9,"max_tokens":900}"#,
                r#"{"max_tokens":9,"max_tokens":100}"#,
            ),
            (
                OpenaiResponses,
                r#"{"input":"x"}"#,
                r#"{"max_output_tokens":100,"input":"x"}"#,
            ),
            (
                OpenaiResponses,
                r#"{"max_output_tokens":200}"#,
                r#"{"max_output_tokens":100}"#,
            ),
            (
                AnthropicMessages,
                r#"{"max_tokens":200,"messages":[]}"#,
                r#"{"max_tokens":100,"messages":[]}"#,
            ),
            (
                AnthropicMessages,
                r#"{"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":4000}}"#,
                r#"{"max_tokens":100,"thinking":{"type":"disabled"}}"#,
            ),
            (
                AnthropicMessages,
                r#"{"max_tokens":9000,"thinking":{"type":"adaptive"}}"#,
                r#"{"max_tokens":100,"thinking":{"type":"adaptive"}}"#,
            ),
            (
                Gemini,
                r#"{"contents":[]}"#,
                r#"{"generationConfig":{"maxOutputTokens":100},"contents":[]}"#,
            ),
            (
                Gemini,
                r#"{"generationConfig":{}}"#,
                r#"{"generationConfig":{"maxOutputTokens":100}}"#,
            ),
            (
                Gemini,
                r#"{"generation_config": {"max_output_tokens": 2048, "temperature":0}}"#,
                r#"{"generation_config": {"max_output_tokens": 100, "temperature":0}}"#,
            ),
            (
                Gemini,
                r#"{"generationConfig":{"maxOutputTokens":"500"}}"#,
                r#"{"generationConfig":{"maxOutputTokens":100}}"#,
            ),
            (
                Gemini,
                r#"{"generationConfig":null}"#,
                r#"{"generationConfig":{"maxOutputTokens":100}}"#,
            ),
            (OpenaiChat, "[1]", "[1]"),
            (OpenaiChat, "{", "{"),
        ] {
            check(dialect, 100, before, after);
        }
        check(
            AnthropicMessages,
            4_000,
            r#"{"thinking":{"budget_tokens":4000,"type":"enabled"},"max_tokens":9000}"#,
            r#"{"thinking":{"budget_tokens":3000,"type":"enabled"},"max_tokens":4000}"#,
        );
        let reasoning = body(OpenaiChat, &Bytes::from_static(b"{}"), 5, true);
        assert_eq!(&reasoning[..], br#"{"max_completion_tokens":5}"#);
        assert_eq!(&body(OpenaiChat, &Bytes::from_static(b"\xff"), 5, true)[..], b"\xff");
    }

    #[test]
    fn the_neutral_request_is_lowered_the_same_way() {
        for (asked, capped) in [(None, 100), (Some(99), 99), (Some(500), 100)] {
            let mut neutral = ChatRequest {
                max_output_tokens: asked,
                ..ChatRequest::default()
            };
            request(&mut neutral, 100);
            assert_eq!(neutral.max_output_tokens, Some(capped));
        }
    }
}
