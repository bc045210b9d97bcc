//! A tool call's arguments as the JSON object that some dialects demand where others take text.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};

/// The arguments as they were written where they are an object; none at all is an empty one. What is no object is wrapped as
/// `{"invalid_arguments": "…"}`: the model should see what it wrote.
pub(crate) fn object(arguments: &str) -> Cow<'_, RawValue> {
    let written = arguments.trim();
    if written.starts_with('{')
        && let Ok(object) = serde_json::from_str::<&RawValue>(written)
    {
        return Cow::Borrowed(object);
    }
    let object = match written {
        "" => RawValue::from_string("{}".to_owned()),
        _ => to_raw_value(&serde_json::json!({ "invalid_arguments": arguments })),
    };
    Cow::Owned(object.expect("an object of strings can be written as JSON"))
}

/// The schema of a tool that tells none.
pub(crate) const ANY_OBJECT: &str = r#"{"type":"object","properties":{}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_whatever_the_model_wrote() {
        let rows = [
            ("", "{}"),
            (r#" {"z":1,"a":2.50} "#, r#"{"z":1,"a":2.50}"#),
            (r#"{"a":"#, r#"{"invalid_arguments":"{\"a\":"}"#),
            ("[1]", r#"{"invalid_arguments":"[1]"}"#),
        ];
        for (written, wanted) in rows {
            assert_eq!(object(written).get(), wanted);
        }
    }
}
