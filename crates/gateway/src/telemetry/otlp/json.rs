//! Values as OTLP writes them in JSON: 64-bit integers are texts, ids are hexadecimal.

use serde_json::{Value, json};
use types::time::UnixMillis;

/// What an attribute may hold.
pub trait AttributeValue {
    /// It as OTLP writes it.
    fn written(self) -> Value;
}

impl AttributeValue for &str {
    fn written(self) -> Value {
        json!({"stringValue": self})
    }
}

impl AttributeValue for u64 {
    fn written(self) -> Value {
        json!({"intValue": self.min(i64::MAX as u64).to_string()})
    }
}

impl AttributeValue for f64 {
    fn written(self) -> Value {
        json!({"doubleValue": self})
    }
}

impl AttributeValue for bool {
    fn written(self) -> Value {
        json!({"boolValue": self})
    }
}

/// One attribute.
pub fn attribute(key: &str, value: impl AttributeValue) -> Value {
    json!({"key": key, "value": value.written()})
}

/// Nanoseconds, as text.
pub fn nanos(at: UnixMillis) -> String {
    (u128::from(at.0) * 1_000_000).to_string()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
