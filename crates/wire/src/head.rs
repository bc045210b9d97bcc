//! What routing must know of a request, read in one pass over its bytes, and the splice that makes those bytes fit another
//! target. The same for every dialect that clients speak; how it is read stands in the dialect's own `head`.
//!
//! No tree is built and nothing is kept but the model's name: a body of megabytes costs one walk. What is not
//! understood is skipped (and checked to be JSON), so that a field invented yesterday passes through today.
//! The type to read first is [`Head`].

use std::ops::Range;

use bytes::Bytes;
use types::features::Features;

use crate::framing::json::{Cursor, Fault, Kind};
use crate::request::BadRequest;

/// What a piece of media counts for in [`Head::prompt_chars`], whatever its size: its tokens do not go by its base64.
pub const MEDIA_CHARS: u64 = 1_000;
/// Longest name of a model, in bytes.
pub const MODEL_BYTES_MAX: usize = 512;

const OPTIONS: &str = r#"{"include_usage":true}"#;
const INCLUDE_USAGE: &str = r#""include_usage":true"#;

/// The routing facts of one body, and where in it the values stand that may have to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What the client called the model, unescaped.
    pub model: String,
    /// The client wants a stream.
    pub stream: bool,
    /// The client is told the usage of a stream (always so but in `openai_chat`, where it must ask).
    pub include_usage: bool,
    /// What the call uses.
    pub features: Features,
    /// The output limit asked for, in tokens. Negative numbers (some servers' "no limit") count as none.
    pub max_output_tokens: Option<u64>,
    /// Choices asked for; 1 when it is not said.
    pub n: u32,
    /// Characters of text in messages and tools; a piece of media counts as [`MEDIA_CHARS`].
    pub prompt_chars: u64,
    /// Number of messages.
    pub messages: u32,
    /// The value of `model`, with its quotes; `None` where the dialect has it in the path.
    pub(crate) model_at: Option<Range<usize>>,
    pub(crate) usage_at: UsageAt,
    pub(crate) body_len: usize,
}

/// Where `stream_options` stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UsageAt {
    /// Nowhere: the dialect tells usage always.
    Always,
    Absent,
    /// `null`.
    Null(Range<usize>),
    /// An object without `include_usage`: just behind its brace.
    Object {
        inside: usize,
        empty: bool,
    },
    /// An object with `include_usage`: that value.
    Usage(Range<usize>),
}

impl Head {
    /// The same bytes with only `model` replaced and, when `want_usage` and this is a stream that does not ask for its
    /// usage, `stream_options.include_usage` made true. `body` must be what the head was read from; it is given
    /// back as it is, without a copy, when nothing changes.
    pub fn splice(&self, body: &Bytes, model: &str, want_usage: bool) -> Bytes {
        assert_eq!(body.len(), self.body_len, "a head fits only the body it was read from");
        let model_at = self.model_at.as_ref();
        let model_edit = model_at.filter(|_| model != self.model).map(|at| {
            let quoted = serde_json::to_string(model).expect("a string is always JSON");
            (at.clone(), quoted)
        });
        let ask = want_usage && self.stream && !self.include_usage;
        let usage_edit = match (&self.usage_at, model_at) {
            _ if !ask => None,
            (UsageAt::Always, _) | (UsageAt::Absent, None) => None,
            (UsageAt::Absent, Some(model_at)) => {
                let behind = model_at.end;
                Some((behind..behind, format!(",\"stream_options\":{OPTIONS}")))
            }
            (UsageAt::Null(at), _) => Some((at.clone(), OPTIONS.to_owned())),
            (UsageAt::Object { inside, empty: true }, _) => Some((*inside..*inside, INCLUDE_USAGE.to_owned())),
            (UsageAt::Object { inside, empty: false }, _) => Some((*inside..*inside, format!("{INCLUDE_USAGE},"))),
            (UsageAt::Usage(at), _) => Some((at.clone(), "true".to_owned())),
        };
        let mut edits: Vec<(Range<usize>, String)> = model_edit.into_iter().chain(usage_edit).collect();
        if edits.is_empty() {
            return body.clone();
        }
        edits.sort_by_key(|(at, _)| at.start);
        let mut out = Vec::with_capacity(body.len() + model.len() + 64);
        let mut copied = 0;
        for (at, text) in edits {
            out.extend_from_slice(&body[copied..at.start]);
            out.extend_from_slice(text.as_bytes());
            copied = at.end;
        }
        out.extend_from_slice(&body[copied..]);
        Bytes::from(out)
    }
}

/// Why reading a body stopped.
pub(crate) enum Wrong {
    Json(Fault),
    Request(BadRequest),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Wrong {
        Wrong::Json(fault)
    }
}

pub(crate) fn wrong<T>(param: &str, code: &'static str, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Request(BadRequest {
        code: Some(code),
        ..BadRequest::param(param, message)
    }))
}

pub(crate) fn wrong_type<T>(param: &str, meant: &str) -> Result<T, Wrong> {
    wrong(param, "invalid_type", format!("`{param}` must be {meant}"))
}

pub(crate) fn duplicate<T>(param: &str) -> Result<T, Wrong> {
    wrong(param, "duplicate_parameter", format!("`{param}` is given twice"))
}

/// The complaint about a parameter that is not there.
pub(crate) fn missing(param: &str) -> BadRequest {
    BadRequest {
        code: Some("missing_required_parameter"),
        ..BadRequest::param(param, format!("`{param}` is required"))
    }
}

/// The body as text. The error names the place.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, BadRequest> {
    std::str::from_utf8(body).map_err(|error| {
        let valid = std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default();
        let (line, column) = Fault {
            at: valid.len(),
            what: "",
        }
        .place(valid);
        BadRequest::body(format!("the body is not UTF-8 (line {line}, column {column})"))
    })
}

impl Wrong {
    /// As a 400 that names the place in `text`.
    pub(crate) fn into_bad_request(self, text: &str) -> BadRequest {
        match self {
            Wrong::Json(fault) => {
                let (line, column) = fault.place(text);
                BadRequest::body(format!(
                    "the body is not valid JSON: {} (line {line}, column {column})",
                    fault.what
                ))
            }
            Wrong::Request(bad) => bad,
        }
    }
}

/// Reads the value of `model` and where it stands.
pub(crate) fn read_model(cursor: &mut Cursor<'_>) -> Result<(String, Range<usize>), Wrong> {
    match cursor.peek()? {
        Kind::String => {}
        Kind::Null => return wrong("model", "missing_required_parameter", "`model` is required"),
        Kind::Object | Kind::Array | Kind::Number | Kind::Bool => return wrong_type("model", "a string"),
    }
    let start = cursor.offset();
    let model = cursor.string()?.unescaped().into_owned();
    check_model(&model)?;
    Ok((model, start..cursor.end()))
}

/// Checks a model's name, wherever it stood.
pub(crate) fn check_model(model: &str) -> Result<(), Wrong> {
    if model.is_empty() {
        return wrong(
            "model",
            "missing_required_parameter",
            "`model` is required, and it is empty",
        );
    }
    if model.contains('\0') || model.len() > MODEL_BYTES_MAX {
        let message = format!("`model` must be at most {MODEL_BYTES_MAX} bytes without NUL");
        return wrong("model", "invalid_value", message);
    }
    Ok(())
}

/// Reads `stream`.
pub(crate) fn read_bool(cursor: &mut Cursor<'_>, param: &str) -> Result<bool, Wrong> {
    match cursor.peek()? {
        Kind::Bool => Ok(cursor.bool()?),
        Kind::Null => {
            cursor.skip()?;
            Ok(false)
        }
        Kind::Object | Kind::Array | Kind::Number | Kind::String => wrong_type(param, "true or false"),
    }
}

/// Reads a limit in tokens; none for `null` and for negative numbers.
pub(crate) fn read_limit(cursor: &mut Cursor<'_>, param: &str) -> Result<Option<u64>, Wrong> {
    match cursor.peek()? {
        Kind::Number => match cursor.number()?.parse::<i64>() {
            Ok(limit) => Ok(u64::try_from(limit).ok()),
            Err(_) => wrong_type(param, "an integer"),
        },
        Kind::Null => {
            cursor.skip()?;
            Ok(None)
        }
        Kind::Object | Kind::Array | Kind::String | Kind::Bool => wrong_type(param, "an integer"),
    }
}

/// Skips a value and counts the characters of the strings in it. What begins as a data URL is media.
pub(crate) fn count_text(cursor: &mut Cursor<'_>) -> Result<u64, Fault> {
    let mut chars = 0;
    cursor.visit_strings(|text| {
        let length = text.characters() as u64;
        let media = text.raw().starts_with("data:");
        chars += if media { length.min(MEDIA_CHARS) } else { length };
    })?;
    Ok(chars)
}
