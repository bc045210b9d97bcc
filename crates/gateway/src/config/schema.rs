//! The JSON schema of a configuration file, for editors. `schema/jumpseat.schema.json` is this, and a test holds it to that.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::config::Config;

/// The schema.
pub fn schema() -> Value {
    let schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Config>();
    let mut schema = schema.to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "Jumpseat configuration".into());
    }
    without_empty_defaults(&mut schema);
    with_what_else_is_taken(&mut schema);
    schema
}

/// "The default is nothing" and the defaults of whole sections, which their keys tell, say nothing in an editor.
fn without_empty_defaults(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("default").is_some_and(|d| d.is_null() || d.is_object()) && !map.contains_key("properties") {
                map.shift_remove("default");
            }
            map.values_mut().for_each(without_empty_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_defaults),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every value may be a `${NAME}`, and a section with nothing below it has its defaults: the structs cannot say either.
fn with_what_else_is_taken(value: &mut Value) {
    const EXPANDED: &str = r"\$\{";
    match value {
        Value::Object(map) => {
            let may_be_empty = map.contains_key("additionalProperties") && !map.contains_key("required");
            match map.get("type").and_then(Value::as_str) {
                Some("object") if may_be_empty => {
                    map.insert("type".to_owned(), json!(["object", "null"]));
                }
                Some(plain @ ("integer" | "boolean")) => {
                    let types = json!([plain, "string"]);
                    map.insert("type".to_owned(), types);
                    map.insert("pattern".to_owned(), EXPANDED.into());
                }
                Some(_) | None => match map.get_mut("type").and_then(Value::as_array_mut) {
                    Some(types) if types.iter().any(|t| t == "integer" || t == "boolean") => {
                        types.push("string".into());
                        map.insert("pattern".to_owned(), EXPANDED.into());
                    }
                    _ => {}
                },
            }
            if let Some(words) = map.get_mut("oneOf").and_then(Value::as_array_mut)
                && words.iter().all(|w| w.get("const").is_some_and(Value::is_string))
            {
                words.push(json!({ "type": "string", "pattern": EXPANDED, "description": "a `${NAME}`" }));
            }
            map.values_mut().for_each(with_what_else_is_taken);
        }
        Value::Array(items) => items.iter_mut().for_each(with_what_else_is_taken),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schema as it is printed and kept.
pub fn schema_text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).expect("a JSON value is writable");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_that_of_the_structs() {
        let kept = include_str!("../../../../schema/jumpseat.schema.json");
        assert!(
            kept == schema_text(),
            "write it anew: `cargo run -- config --schema > schema/jumpseat.schema.json`"
        );
    }
}
