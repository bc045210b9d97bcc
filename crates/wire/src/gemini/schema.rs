//! Schemas of a client's request: OpenAPI's schema object, as `parameters` and `responseSchema` have it, as JSON Schema.
//!
//! Types are lower case there, what may be `null` has the type too, and numbers that Google's JSON may write as strings are
//! numbers. `propertyOrdering`, which JSON Schema has no word for, is left out: properties keep the order they were written in.

use serde_json::{Map, Value};
use types::chat::Json;

use crate::framing::raw::Raw;
use crate::gemini::carried::camel;

/// The schema as JSON Schema.
pub(super) fn json_schema(schema: Raw<'_>) -> Json {
    let value: Value = serde_json::from_str(schema.text()).unwrap_or(Value::Bool(true));
    Json::parse(&convert(value).to_string()).expect("it was written as JSON")
}

/// Nesting is bounded by the parser's own limit.
fn convert(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return schema;
    };
    let mut out = Map::new();
    let mut nullable = false;
    for (name, value) in members {
        match (&*camel(&name), value) {
            ("nullable", value) => nullable = value == Value::Bool(true),
            ("propertyOrdering", _) | (_, Value::Null) => {}
            ("type", Value::String(word)) if word == "TYPE_UNSPECIFIED" => {}
            ("type", Value::String(word)) => {
                out.insert("type".to_owned(), Value::String(word.to_ascii_lowercase()));
            }
            ("format", Value::String(word)) if word == "enum" => {}
            ("properties", Value::Object(properties)) => {
                let properties = properties.into_iter().map(|(name, value)| (name, convert(value)));
                out.insert("properties".to_owned(), Value::Object(properties.collect()));
            }
            (name @ ("items" | "additionalProperties"), value) => {
                out.insert(name.to_owned(), convert(value));
            }
            ("anyOf", Value::Array(options)) => {
                out.insert("anyOf".to_owned(), options.into_iter().map(convert).collect());
            }
            (
                name @ ("minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties"),
                Value::String(number),
            ) => {
                let number = number.parse::<i64>().map_or(Value::String(number), Value::from);
                out.insert(name.to_owned(), number);
            }
            ("example", value) => {
                out.insert("examples".to_owned(), Value::Array(vec![value]));
            }
            (name, value) => {
                out.insert(name.to_owned(), value);
            }
        }
    }
    if nullable {
        match out.get_mut("type") {
            Some(word) => *word = Value::Array(vec![word.take(), Value::from("null")]),
            None => {
                if let Some(Value::Array(options)) = out.get_mut("anyOf") {
                    options.push(serde_json::json!({"type": "null"}));
                }
            }
        }
        if let Some(Value::Array(values)) = out.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::json::Surrogates;

    #[test]
    fn an_openapi_schema_becomes_a_json_schema() {
        let given = r#"{"type":"OBJECT","property_ordering":["b","a"],"required":["b"],"properties":{
            "b":{"type":"STRING","format":"enum","enum":["X","Y"],"nullable":true},
            "any_of":{"type":"ARRAY","minItems":"2","items":{"type":"INTEGER","format":"int32","example":7}},
            "c":{"any_of":[{"type":"NUMBER"},{"type":"BOOLEAN"}],"nullable":true},"d":{"type":"TYPE_UNSPECIFIED"}}}"#;
        let wanted = r#"{"type":"object","required":["b"],"properties":{"b":{"type":["string","null"],"enum":["X","Y",null]},"any_of":{"type":"array","minItems":2,"items":{"type":"integer","format":"int32","examples":[7]}},"c":{"anyOf":[{"type":"number"},{"type":"boolean"},{"type":"null"}]},"d":{}}}"#;
        assert_eq!(
            json_schema(Raw::parse(given, Surrogates::Paired).unwrap()).as_str(),
            wanted
        );
    }
}
