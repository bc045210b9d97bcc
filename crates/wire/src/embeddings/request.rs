//! A whole request for embeddings, from OpenAI's body to the neutral model.

use serde::Deserialize;
use types::chat::Json;
use types::dialect::DialectName;
use types::embedding::{EmbeddingEncoding, EmbeddingInput, EmbeddingRequest};

use crate::framing::json::{Cursor, Surrogates};
use crate::head::{Wrong, missing, utf8, wrong_type};
use crate::request::BadRequest;

/// `input` in its four shapes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    Batches(Vec<Vec<u32>>),
}

/// Reads a request. Fields the neutral model has no word for go to `extra`, in their order.
///
/// # Errors
/// What is no request for embeddings, naming the place.
pub fn decode_request(body: &[u8]) -> Result<EmbeddingRequest, BadRequest> {
    let text = utf8(body)?;
    read(text).map_err(|wrong| wrong.into_bad_request(text))
}

fn read(text: &str) -> Result<EmbeddingRequest, Wrong> {
    let mut request = EmbeddingRequest {
        dialect: Some(DialectName::OpenaiChat),
        ..EmbeddingRequest::default()
    };
    let mut inputs = None;
    let mut cursor = Cursor::new(text, Surrogates::Any);
    let mut more = cursor.open_object()?;
    while more {
        let key = cursor.key()?.unescaped().into_owned();
        let start = cursor.offset();
        cursor.skip()?;
        let value = &text[start..cursor.end()];
        match key.as_str() {
            "model" => request.model = typed(&key, value, "a string")?,
            "input" => inputs = Some(read_input(typed(&key, value, "text or token numbers")?)),
            "dimensions" => request.dimensions = typed(&key, value, "a positive integer")?,
            "encoding_format" => {
                let encoding: Option<EmbeddingEncoding> = typed(&key, value, "\"float\" or \"base64\"")?;
                request.encoding = encoding.unwrap_or_default();
            }
            "user" => request.user = typed(&key, value, "a string")?,
            _ => {
                let value = Json::parse(value).map_err(|_| Wrong::Json(cursor.fault("a value that cannot be read")))?;
                request.extra.push((key, value));
            }
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    if request.model.is_empty() {
        return Err(Wrong::Request(missing("model")));
    }
    request.inputs = inputs.ok_or_else(|| Wrong::Request(missing("input")))?;
    Ok(request)
}

fn typed<'a, T: Deserialize<'a>>(param: &str, value: &'a str, meant: &str) -> Result<T, Wrong> {
    match serde_json::from_str(value) {
        Ok(value) => Ok(value),
        Err(_) => wrong_type(param, meant),
    }
}

fn read_input(input: Input) -> Vec<EmbeddingInput> {
    match input {
        Input::Text(text) => vec![EmbeddingInput::Text(text)],
        Input::Texts(texts) => texts.into_iter().map(EmbeddingInput::Text).collect(),
        Input::Tokens(tokens) => vec![EmbeddingInput::Tokens(tokens)],
        Input::Batches(batches) => batches.into_iter().map(EmbeddingInput::Tokens).collect(),
    }
}
