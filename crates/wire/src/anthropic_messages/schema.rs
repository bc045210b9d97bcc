//! JSON schemas as the API takes them.
//!
//! A plain tool's schema goes as it was written. What the API enforces (`output_config.format`, strict tools) must be of its
//! subset: every object closed, no bounds or patterns. As Anthropic's own SDKs do it, what the API would refuse is moved
//! into the description, where the model still reads it; [`Enforced::moved`] tells, since it is enforced no more.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use types::chat::Json;

/// A schema the API can enforce.
#[derive(Debug)]
pub(crate) struct Enforced {
    /// The schema.
    pub schema: Box<RawValue>,
    /// Keywords that became words in a description, each once, sorted.
    pub moved: Vec<String>,
}

/// The schema would have to be changed in meaning: it has an object of free keys, or is no object itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotEnforceable;

/// `format`s of strings that the API enforces.
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Keywords that go through as they are.
const KEPT: [&str; 9] = [
    "$ref",
    "type",
    "enum",
    "const",
    "title",
    "description",
    "required",
    "additionalProperties",
    "propertyOrdering",
];

/// A tool's parameters as they were written. Absent, `null` or without a `type` they become an object's, which is all they
/// can be.
pub(crate) fn of_tool(parameters: Option<&Json>) -> Box<RawValue> {
    let Some(written) = parameters else {
        return raw(&serde_json::json!({"type": "object", "properties": {}}));
    };
    match serde_json::from_str::<Value>(written.as_str()) {
        Ok(Value::Object(map)) if !map.contains_key("type") => {
            let mut typed = Map::new();
            typed.insert("type".to_owned(), "object".into());
            typed.extend(map);
            raw(&Value::Object(typed))
        }
        Ok(Value::Null) => of_tool(None),
        // A schema that is none is the client's; the API says so better than we can.
        Ok(_) | Err(_) => written.0.clone(),
    }
}

/// The schema in the API's enforced subset.
pub(crate) fn enforced(schema: &Json) -> Result<Enforced, NotEnforceable> {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(schema.as_str()) else {
        return Err(NotEnforceable);
    };
    let mut moved = Vec::new();
    let map = close(map, &mut moved)?;
    moved.sort_unstable();
    moved.dedup();
    Ok(Enforced {
        schema: raw(&Value::Object(map)),
        moved,
    })
}

/// Brings one schema and all within it into the subset. Its depth is bounded by the JSON parser's.
fn close(map: Map<String, Value>, moved: &mut Vec<String>) -> Result<Map<String, Value>, NotEnforceable> {
    let is_object = is_of(&map, "object") || map.contains_key("properties");
    if is_object {
        let has_properties = matches!(map.get("properties"), Some(Value::Object(p)) if !p.is_empty());
        let is_closed = map.get("additionalProperties") == Some(&Value::Bool(false));
        // Closed, a map of free keys could only ever be empty.
        if !has_properties && !is_closed {
            return Err(NotEnforceable);
        }
    }
    let mut out = Map::new();
    let mut left = Vec::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("additionalProperties", _) => {}
            ("$schema" | "$id" | "$comment", _) => {}
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                let named = named
                    .into_iter()
                    .map(|(name, value)| Ok((name, close_value(value, moved)?)))
                    .collect::<Result<Map<_, _>, NotEnforceable>>()?;
                out.insert(key, Value::Object(named));
            }
            ("items", value @ Value::Object(_)) => {
                out.insert(key, close_value(value, moved)?);
            }
            // `oneOf` is not known; what one of them takes, any of them takes.
            ("anyOf" | "oneOf" | "allOf", Value::Array(variants)) => {
                let variants = variants
                    .into_iter()
                    .map(|value| close_value(value, moved))
                    .collect::<Result<Vec<_>, NotEnforceable>>()?;
                let key = if key == "oneOf" { "anyOf" } else { &key };
                out.insert(key.to_owned(), Value::Array(variants));
            }
            ("format", Value::String(format)) if FORMATS.contains(&format.as_str()) => {
                out.insert(key, Value::String(format));
            }
            ("minItems", value) if value == 0 || value == 1 => {
                out.insert(key, value);
            }
            (name, value) if KEPT.contains(&name) => {
                out.insert(key, value);
            }
            (name, value) => {
                // Annotations ask for nothing that could be enforced.
                if !matches!(
                    name,
                    "default" | "examples" | "example" | "deprecated" | "readOnly" | "writeOnly"
                ) {
                    moved.push(name.to_owned());
                }
                left.push(format!("{name}: {value}"));
            }
        }
    }
    if is_object {
        out.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if !left.is_empty() {
        let told = format!("{{{}}}", left.join(", "));
        let description = match out.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description}\n\n{told}"),
            None => told,
        };
        out.insert("description".to_owned(), description.into());
    }
    Ok(out)
}

fn close_value(value: Value, moved: &mut Vec<String>) -> Result<Value, NotEnforceable> {
    match value {
        Value::Object(map) => close(map, moved).map(Value::Object),
        // `true`, `false` and what is no schema: the API judges.
        other => Ok(other),
    }
}

fn is_of(map: &Map<String, Value>, name: &str) -> bool {
    match map.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &str, wanted: Option<(&str, &[&str])>) {
        let found = enforced(&Json::parse(schema).unwrap()).ok();
        let found = found
            .as_ref()
            .map(|e| (e.schema.get(), e.moved.iter().map(String::as_str).collect()));
        let wanted: Option<(&str, Vec<&str>)> = wanted.map(|(s, m)| (s, m.to_vec()));
        assert_eq!(found, wanted, "{schema}");
    }

    #[test]
    fn enforced_schemas_are_closed_and_their_bounds_become_words() {
        let strict =
            r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
        check(strict, Some((strict, &[])));
        check(
            r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":10,"description":"A number"}}}"#,
            Some((
                r#"{"type":"object","properties":{"n":{"type":"integer","description":"A number\n\n{minimum: 1, maximum: 10}"}},"additionalProperties":false}"#,
                &["maximum", "minimum"],
            )),
        );
        check(
            r##"{"$schema":"x","$ref":"#/$defs/a","$defs":{"a":{"type":["object","null"],"properties":{"z":{"oneOf":[{"type":"null"},{"type":"string","format":"uuid"}]},"y":{"type":"array","items":{"type":"string","format":"color"},"minItems":1}}}}}"##,
            Some((
                r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":["object","null"],"properties":{"z":{"anyOf":[{"type":"null"},{"type":"string","format":"uuid"}]},"y":{"type":"array","items":{"type":"string","description":"{format: \"color\"}"},"minItems":1}},"additionalProperties":false}}}"##,
                &["format"],
            )),
        );
        check(
            r#"{"type":"string","default":"a"}"#,
            Some((r#"{"type":"string","description":"{default: \"a\"}"}"#, &[])),
        );
    }

    #[test]
    fn objects_of_free_keys_are_not_enforceable() {
        for schema in [
            r#"{"type":"object"}"#,
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"type":"object","properties":{"m":{"type":"object","additionalProperties":true}}}"#,
            "true",
            "3",
        ] {
            check(schema, None);
        }
        let empty = r#"{"type":"object","additionalProperties":false}"#;
        check(empty, Some((empty, &[])));
    }

    #[test]
    fn a_tools_schema_goes_as_written_and_is_an_objects() {
        let plain = r#"{"type":"object" ,"properties":{"b":{"minimum":1.50},"a":{}}}"#;
        for (written, wanted) in [
            (Some(plain), plain),
            (None, r#"{"type":"object","properties":{}}"#),
            (Some("null"), r#"{"type":"object","properties":{}}"#),
            (Some("{}"), r#"{"type":"object"}"#),
            (
                Some(r#"{"properties":{"a":{}}}"#),
                r#"{"type":"object","properties":{"a":{}}}"#,
            ),
        ] {
            let written = written.map(|w| Json::parse(w).unwrap());
            assert_eq!(of_tool(written.as_ref()).get(), wanted);
        }
    }
}
