//! A value that satisfies a JSON schema: arguments for tool calls and answers in a demanded format.
//!
//! Understands what providers accept: objects, arrays, enums, references within the schema, unions, formats and bounds.
//! Patterns are not solved. Deterministic; never recurses deeper than [`DEPTH_MAX`].

use serde_json::{Map, Value, json};

/// Deeper than this optional properties are left out and arrays are empty.
const DEPTH_MAX: usize = 8;
/// Deeper than this a value is `null` whatever the schema says: a schema that requires itself has no finite value.
const DEPTH_STOP: usize = 24;

/// A value for the schema.
pub(crate) fn sample(schema: &Value) -> Value {
    value(schema, schema, "", 0)
}

fn value(schema: &Value, root: &Value, name: &str, depth: usize) -> Value {
    if depth > DEPTH_STOP {
        return Value::Null;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| value(target, root, name, depth + 1));
    }
    for key in ["const", "default"] {
        if let Some(fixed) = schema.get(key) {
            return fixed.clone();
        }
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(branches) = schema[key].as_array() {
            let branch = branches
                .iter()
                .find(|branch| branch["type"] != "null")
                .or(branches.first());
            if let Some(branch) = branch {
                return value(branch, root, name, depth + 1);
            }
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            match value(part, root, name, depth + 1) {
                Value::Object(fields) => whole.extend(fields),
                other => return other,
            }
        }
        if schema.get("properties").is_some()
            && let Value::Object(fields) = object(schema, root, depth)
        {
            whole.extend(fields);
        }
        return Value::Object(whole);
    }
    match kind(schema).as_str() {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, name, depth),
        "string" => string(schema, name),
        "integer" => json!(number(schema).round() as i64),
        "number" => json!(number(schema) + if schema.get("maximum").is_some() { 0.0 } else { 0.5 }),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(name),
    }
}

/// The type; Gemini writes it in capitals, unions as lists, and some leave it out.
fn kind(schema: &Value) -> String {
    let named = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        other => other.as_str(),
    };
    match named {
        Some(kind) => kind.to_ascii_lowercase(),
        None if schema.get("properties").is_some() => "object".into(),
        None if schema.get("items").is_some() => "array".into(),
        None => String::new(),
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if depth < DEPTH_MAX || required.contains(&name.as_str()) {
            fields.insert(name.clone(), value(property, root, name, depth + 1));
        }
    }
    Value::Object(fields)
}

fn array(schema: &Value, root: &Value, name: &str, depth: usize) -> Value {
    let least = schema["minItems"].as_u64().unwrap_or(0);
    let wanted = if depth < DEPTH_MAX { least.max(1) } else { least };
    let most = schema["maxItems"].as_u64().unwrap_or(64).min(64);
    let item = &schema["items"];
    (0..wanted.min(most))
        .map(|_| value(item, root, name, depth + 1))
        .collect()
}

fn string(schema: &Value, name: &str) -> Value {
    let text = match schema["format"].as_str() {
        Some("date") => "2026-11-21",
        Some("date-time") => "2026-11-21T12:00:00Z",
        Some("time") => "12:00:00Z",
        Some("email") => "pilot@example.com",
        Some("uri" | "url") => "https://example.com/",
        Some("uuid") => "0b8d4c1e-7c33-4e8e-9a52-5d0a1c1f0a11",
        Some("ipv4") => "192.0.2.1",
        _ => match name {
            "city" | "location" => "Paris",
            "" => "text",
            other => other,
        },
    };
    let mut text = text.to_owned();
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0))
        .unwrap_or(0)
        .min(4096);
    while text.chars().count() < least {
        text.push('x');
    }
    if let Some(most) = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()) {
        text = text.chars().take(most).collect();
    }
    Value::String(text)
}

fn number(schema: &Value) -> f64 {
    let bound = |key: &str| schema[key].as_f64();
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|most| most - 1.0));
    let mut wanted: f64 = 7.0;
    if let Some(least) = least {
        wanted = wanted.max(least);
    }
    if let Some(most) = most {
        wanted = wanted.min(most);
    }
    match bound("multipleOf") {
        Some(step) if step > 0.0 => (wanted / step).floor() * step,
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_satisfy_their_schema() {
        let rows = [
            (
                json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 3}}, "required": ["city"]}),
                json!({"city": "Paris", "days": 3}),
            ),
            (
                json!({"type": "OBJECT", "properties": {"unit": {"type": "STRING", "enum": ["C", "F"]}}}),
                json!({"unit": "C"}),
            ),
            (
                json!({"$defs": {"p": {"type": "string", "maxLength": 2}}, "type": "array", "items": {"$ref": "#/$defs/p"}, "minItems": 2}),
                json!(["te", "te"]),
            ),
            (json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), json!(true)),
            (
                json!({"type": ["null", "string"], "format": "date"}),
                json!("2026-11-21"),
            ),
            (
                json!({"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}], "properties": {"b": {"type": "number", "minimum": 9, "maximum": 9}}}),
                json!({"a": 1, "b": 9.0}),
            ),
            (json!({}), json!("")),
            (json!({"type": "object"}), json!({})),
        ];
        for (schema, wanted) in rows {
            assert_eq!(sample(&schema), wanted, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(sample(&schema).is_object());
        assert_eq!(sample(&json!({"$ref": "#"})), Value::Null);
    }
}
