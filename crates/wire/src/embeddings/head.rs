//! What routing must know of a request for embeddings, read in one pass without a tree.

use bytes::Bytes;
use types::features::Features;

use crate::framing::json::{Cursor, Kind, Surrogates};
use crate::head::{Head, UsageAt, Wrong, duplicate, missing, read_model, utf8, wrong, wrong_type};
use crate::request::BadRequest;

/// What a token counts for in [`Head::prompt_chars`].
const TOKEN_CHARS: u64 = 4;

/// Reads the head. [`Head::messages`] is the number of inputs; it is never a stream.
///
/// # Errors
/// A body that is no JSON object, and what every provider would refuse: no model, no input or an empty one, an input that is
/// neither text nor tokens, an unknown encoding.
pub fn read_head(body: &Bytes) -> Result<Head, BadRequest> {
    let text = utf8(body)?;
    read(text).map_err(|wrong| wrong.into_bad_request(text))
}

fn read(text: &str) -> Result<Head, Wrong> {
    let mut cursor = Cursor::new(text, Surrogates::Any);
    if cursor.peek()? != Kind::Object {
        return Err(Wrong::Request(BadRequest::body("the body must be a JSON object")));
    }
    let (mut model, mut input) = (None, None);
    let mut more = cursor.open_object()?;
    while more {
        let key = cursor.key()?;
        match &*key.unescaped() {
            "model" if model.is_some() => return duplicate("model"),
            "input" if input.is_some() => return duplicate("input"),
            "model" => model = Some(read_model(&mut cursor)?),
            "input" => input = Some(read_input(&mut cursor)?),
            "encoding_format" => read_encoding(&mut cursor)?,
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    let (model, model_at) = model.ok_or_else(|| Wrong::Request(missing("model")))?;
    let input = input.ok_or_else(|| Wrong::Request(missing("input")))?;
    Ok(Head {
        model,
        stream: false,
        include_usage: true,
        features: Features::NONE,
        max_output_tokens: None,
        n: 1,
        prompt_chars: input.chars,
        messages: input.count,
        model_at: Some(model_at),
        usage_at: UsageAt::Always,
        body_len: text.len(),
    })
}

/// How much is to be embedded.
struct Input {
    chars: u64,
    count: u32,
}

fn read_input(cursor: &mut Cursor<'_>) -> Result<Input, Wrong> {
    const MEANT: &str = "a string, an array of strings, or an array (or arrays) of token numbers";
    match cursor.peek()? {
        Kind::String => {
            let chars = cursor.string()?.characters() as u64;
            return Ok(Input { chars, count: 1 });
        }
        Kind::Array => {}
        Kind::Null => return Err(Wrong::Request(missing("input"))),
        Kind::Object | Kind::Number | Kind::Bool => return wrong_type("input", MEANT),
    }
    let mut more = cursor.open_array()?;
    if !more {
        return wrong("input", "invalid_value", "`input` is empty");
    }
    let first = cursor.peek()?;
    let (mut chars, mut items) = (0u64, 0u32);
    while more {
        let kind = cursor.peek()?;
        chars = chars.saturating_add(match kind {
            _ if kind != first => return wrong_type(&format!("input[{items}]"), "of the same kind as the first"),
            Kind::String => cursor.string()?.characters() as u64,
            Kind::Number => {
                cursor.number()?;
                TOKEN_CHARS
            }
            Kind::Array => TOKEN_CHARS.saturating_mul(read_tokens(cursor, items)?),
            Kind::Object | Kind::Bool | Kind::Null => return wrong_type(&format!("input[{items}]"), MEANT),
        });
        items = items.saturating_add(1);
        more = cursor.more_items()?;
    }
    // A flat array of numbers is one input.
    let count = if first == Kind::Number { 1 } else { items };
    Ok(Input { chars, count })
}

fn read_tokens(cursor: &mut Cursor<'_>, at: u32) -> Result<u64, Wrong> {
    let mut tokens = 0;
    let mut more = cursor.open_array()?;
    while more {
        if cursor.peek()? != Kind::Number {
            return wrong_type(&format!("input[{at}][{tokens}]"), "a token number");
        }
        cursor.number()?;
        tokens += 1;
        more = cursor.more_items()?;
    }
    Ok(tokens)
}

fn read_encoding(cursor: &mut Cursor<'_>) -> Result<(), Wrong> {
    let known = match cursor.peek()? {
        Kind::Null => {
            cursor.skip()?;
            true
        }
        Kind::String => matches!(&*cursor.string()?.unescaped(), "float" | "base64"),
        Kind::Object | Kind::Array | Kind::Number | Kind::Bool => false,
    };
    match known {
        true => Ok(()),
        false => wrong(
            "encoding_format",
            "invalid_value",
            "`encoding_format` must be \"float\" or \"base64\"",
        ),
    }
}
