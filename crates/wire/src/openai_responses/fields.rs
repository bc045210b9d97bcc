//! Values of a request as the neutral model wants them; the error of each names the place and what was meant.
//! [`untranslatable`] is the one that blames nobody: another target can serve what it names.

use crate::framing::json::Kind;
use crate::framing::raw::Raw;
use crate::request::{BadRequest, UNTRANSLATABLE};

/// The value when it is of the kind.
pub(super) fn expect<'a>(kind: Kind, place: &str, value: Raw<'a>) -> Result<Raw<'a>, BadRequest> {
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
pub(super) fn text(place: &str, value: Raw<'_>) -> Result<String, BadRequest> {
    let text = value.string().ok_or_else(|| wrong(place, "must be a string"))?;
    Ok(text.into_owned())
}

/// A member that must be a string where it is there.
pub(super) fn optional(place: &str, of: Raw<'_>, name: &str) -> Result<Option<String>, BadRequest> {
    of.get(name)
        .map(|value| text(&format!("{place}.{name}"), value))
        .transpose()
}

/// A member that must be there and be a string that is not empty.
pub(super) fn required(place: &str, of: Raw<'_>, name: &str) -> Result<String, BadRequest> {
    let place = format!("{place}.{name}");
    let text = text(&place, of.get(name).ok_or_else(|| missing(&place))?)?;
    if text.is_empty() {
        Err(missing(&place))
    } else {
        Ok(text)
    }
}

/// `true` or `false`.
pub(super) fn boolean(place: &str, value: Raw<'_>) -> Result<bool, BadRequest> {
    value.bool().ok_or_else(|| wrong(place, "must be true or false"))
}

/// A number.
pub(super) fn number(place: &str, value: Raw<'_>) -> Result<f64, BadRequest> {
    value.number().ok_or_else(|| wrong(place, "must be a number"))
}

/// A whole number.
pub(super) fn integer(place: &str, value: Raw<'_>) -> Result<i64, BadRequest> {
    value.integer().ok_or_else(|| wrong(place, "must be an integer"))
}

/// The value is not what is meant there.
pub(super) fn wrong(place: &str, meant: &str) -> BadRequest {
    BadRequest {
        code: Some("invalid_value"),
        ..BadRequest::param(place, format!("`{place}` {meant}"))
    }
}

/// It must be there and is not.
pub(super) fn missing(place: &str) -> BadRequest {
    crate::head::missing(place)
}

/// Right in this dialect, and without a word in the neutral model.
pub(super) fn untranslatable(place: &str, what: &str) -> BadRequest {
    let message = format!("{what} can only be served by a target that speaks this API itself");
    BadRequest {
        code: Some(UNTRANSLATABLE),
        ..BadRequest::param(place, message)
    }
}
