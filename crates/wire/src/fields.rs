//! Members of a client's body, read as what they must be. Every complaint names the place (`messages[3].content[0].type`).

use crate::framing::json::{Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::request::{BadRequest, UNTRANSLATABLE};

/// The body as one JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Raw<'_>, BadRequest> {
    let text = std::str::from_utf8(body).map_err(|_| BadRequest::body("the body is not UTF-8"))?;
    let raw = Raw::parse(text, Surrogates::Paired).map_err(|fault| {
        let (line, column) = fault.place(text);
        let what = fault.what;
        BadRequest::body(format!(
            "the body is not valid JSON: {what} (line {line}, column {column})"
        ))
    })?;
    if raw.kind() != Kind::Object {
        return Err(BadRequest::body("the body must be a JSON object"));
    }
    Ok(raw)
}

/// A value of this kind.
pub(crate) fn expect<'a>(kind: Kind, place: &str, value: Raw<'a>) -> Result<Raw<'a>, BadRequest> {
    let meant = match kind {
        Kind::Object => "must be an object",
        Kind::Array => "must be an array",
        Kind::String => "must be a string",
        Kind::Number => "must be a number",
        Kind::Bool => "must be true or false",
        Kind::Null => "must be null",
    };
    if value.kind() == kind {
        Ok(value)
    } else {
        Err(wrong(place, meant))
    }
}

/// A string.
pub(crate) fn text(place: &str, value: Raw<'_>) -> Result<String, BadRequest> {
    let text = value.string().map(|text| text.into_owned());
    text.ok_or_else(|| wrong(place, "must be a string"))
}

/// A string that must be there and not be empty.
pub(crate) fn required(place: &str, value: Option<Raw<'_>>) -> Result<String, BadRequest> {
    let text = text(place, value.ok_or_else(|| missing(place))?)?;
    if text.is_empty() { Err(missing(place)) } else { Ok(text) }
}

/// A string that may be missing.
pub(crate) fn optional(place: &str, value: Option<Raw<'_>>) -> Result<Option<String>, BadRequest> {
    value.map(|value| text(place, value)).transpose()
}

/// An array of strings.
pub(crate) fn texts(place: &str, value: Raw<'_>) -> Result<Vec<String>, BadRequest> {
    let items = expect(Kind::Array, place, value)?.items().enumerate();
    items
        .map(|(index, item)| text(&format!("{place}[{index}]"), item))
        .collect()
}

/// `true` or `false`.
pub(crate) fn boolean(place: &str, value: Raw<'_>) -> Result<bool, BadRequest> {
    value.bool().ok_or_else(|| wrong(place, "must be true or false"))
}

/// A number.
pub(crate) fn number(place: &str, value: Raw<'_>) -> Result<f64, BadRequest> {
    value.number().ok_or_else(|| wrong(place, "must be a number"))
}

/// A whole number; `7.0` is one.
pub(crate) fn integer(place: &str, value: Raw<'_>) -> Result<i64, BadRequest> {
    let whole = |n: &f64| n.fract() == 0.0 && n.abs() < 9e15;
    let integer = value
        .integer()
        .or_else(|| value.number().filter(whole).map(|n| n as i64));
    integer.ok_or_else(|| wrong(place, "must be an integer"))
}

/// A whole number that is not negative.
pub(crate) fn count(place: &str, value: Raw<'_>) -> Result<u64, BadRequest> {
    u64::try_from(integer(place, value)?).map_err(|_| wrong(place, "must not be negative"))
}

/// The complaint about a value.
pub(crate) fn wrong(place: &str, meant: &str) -> BadRequest {
    BadRequest {
        code: Some("invalid_value"),
        ..BadRequest::param(place, format!("`{place}` {meant}"))
    }
}

/// The complaint about a value that is not there.
pub(crate) fn missing(place: &str) -> BadRequest {
    crate::head::missing(place)
}

/// The complaint about what is right here and cannot be said elsewhere.
pub(crate) fn untranslatable(place: &str, what: &str) -> BadRequest {
    let message = format!("{what} can only be served by a target that speaks this API itself");
    BadRequest {
        code: Some(UNTRANSLATABLE),
        ..BadRequest::param(place, message)
    }
}
