//! Whether JSON obeys a JSON schema, checked by ourselves where a provider does not promise it.
//!
//! It knows the keywords of drafts 7 to 2020-12 that say something about one value (types, bounds, members, items, patterns,
//! combinations, references within the schema). What it does not know it takes for satisfied: `format`, `unevaluated…`,
//! references to other documents (nothing is ever fetched), patterns that only backtracking could match.
//!
//! Schemas come from clients and values from models, so the work is bounded: [`SCHEMA_BYTES_MAX`], [`DEPTH_MAX`] and
//! [`STEPS_MAX`]. What exceeds them is not valid: what could not be checked must not pass for checked.

use regex_lite::RegexBuilder;
use serde_json::{Map, Number, Value};

/// A longer schema is not read.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;
/// Schemas within schemas, references followed included.
pub const DEPTH_MAX: usize = 96;
/// Schemas looked at, members and items gone through, and characters matched (eight for one), together.
pub const STEPS_MAX: u64 = 400_000;
/// Memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// What compiling a pattern costs in steps.
const PATTERN_STEPS: u64 = 200;

/// Checks a value. The error says where and what was wanted, never what the value is: "`/items/0/count` must be an integer".
pub fn check(schema: &str, value: &Value) -> Result<(), String> {
    if schema.len() > SCHEMA_BYTES_MAX {
        return Err(format!(
            "its schema is longer than {SCHEMA_BYTES_MAX} bytes and cannot be checked"
        ));
    }
    let schema: Value = serde_json::from_str(schema).map_err(|_| "its schema is nested too deeply".to_owned())?;
    let mut checker = Checker {
        root: &schema,
        path: Vec::new(),
        depth: 0,
        steps: STEPS_MAX,
    };
    checker.value(&schema, value).map_err(Wrong::told)
}

/// Why a value is not valid.
enum Wrong {
    /// It breaks a rule at a place.
    Rule(String),
    /// A limit was met: no other branch may make up for it.
    Limit(&'static str),
}

impl Wrong {
    fn told(self) -> String {
        match self {
            Wrong::Rule(rule) => rule,
            Wrong::Limit(limit) => limit.to_owned(),
        }
    }
}

type Checked = Result<(), Wrong>;

struct Checker<'s> {
    root: &'s Value,
    path: Vec<String>,
    depth: usize,
    steps: u64,
}

impl<'s> Checker<'s> {
    fn value(&mut self, schema: &'s Value, value: &Value) -> Checked {
        self.spend(1)?;
        let rules = match schema {
            Value::Object(rules) => rules,
            Value::Bool(false) => return self.wrong("is not allowed"),
            // `true`, and what is no schema at all.
            Value::Bool(true) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return Ok(()),
        };
        if self.depth == DEPTH_MAX {
            return Err(Wrong::Limit("its schema refers to itself too deeply to be checked"));
        }
        self.depth += 1;
        let checked = self.rules(rules, value);
        self.depth -= 1;
        checked
    }

    fn rules(&mut self, rules: &'s Map<String, Value>, value: &Value) -> Checked {
        if let Some(target) = rules.get("$ref").and_then(Value::as_str).and_then(|r| self.resolve(r)) {
            self.value(target, value)?;
        }
        if let Some(types) = rules.get("type") {
            self.kind(types, value)?;
        }
        if let Some(allowed) = rules.get("enum").and_then(Value::as_array) {
            self.spend(allowed.len() as u64)?;
            if !allowed.iter().any(|one| same(one, value)) {
                return self.wrong("must be one of the schema's `enum`");
            }
        }
        if rules.get("const").is_some_and(|only| !same(only, value)) {
            return self.wrong("must be the schema's `const`");
        }
        match value {
            Value::Number(number) => self.number(rules, number)?,
            Value::String(text) => self.string(rules, text)?,
            Value::Array(items) => self.array(rules, items)?,
            Value::Object(members) => self.object(rules, members)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.combinations(rules, value)
    }

    fn kind(&self, types: &Value, value: &Value) -> Checked {
        let names: Vec<&str> = match types {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Ok(()),
        };
        let is = |name: &&str| match (*name, value) {
            ("integer", Value::Number(number)) => is_integer(number),
            ("null", Value::Null)
            | ("boolean", Value::Bool(_))
            | ("number", Value::Number(_))
            | ("string", Value::String(_))
            | ("array", Value::Array(_))
            | ("object", Value::Object(_)) => true,
            _ => false,
        };
        if names.iter().any(is) {
            return Ok(());
        }
        self.wrong(&format!("must be of type {}", names.join(" or ")))
    }

    fn number(&self, rules: &Map<String, Value>, number: &Number) -> Checked {
        let (Some(number), bound) = (number.as_f64(), |name: &str| rules.get(name).and_then(Value::as_f64)) else {
            return Ok(());
        };
        for (name, broken) in [
            ("minimum", bound("minimum").filter(|min| number < *min)),
            ("maximum", bound("maximum").filter(|max| number > *max)),
            (
                "exclusiveMinimum",
                bound("exclusiveMinimum").filter(|min| number <= *min),
            ),
            (
                "exclusiveMaximum",
                bound("exclusiveMaximum").filter(|max| number >= *max),
            ),
        ] {
            if let Some(limit) = broken {
                return self.wrong(&format!("breaks `{name}` of {limit}"));
            }
        }
        if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
            let times = number / step;
            // Decimal steps such as 0.01 have no exact double; a billionth of a step is none that was meant.
            if (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
                return self.wrong(&format!("must be a multiple of {step}"));
            }
        }
        Ok(())
    }

    fn string(&mut self, rules: &Map<String, Value>, text: &str) -> Checked {
        let length = text.chars().count() as u64;
        self.count(rules, "minLength", "maxLength", length, "characters")?;
        if let Some(pattern) = rules.get("pattern").and_then(Value::as_str)
            && !self.matches(pattern, text)?
        {
            return self.wrong("does not match the schema's `pattern`");
        }
        Ok(())
    }

    /// Whether a text matches; a pattern that cannot be compiled is taken for matched.
    fn matches(&mut self, pattern: &str, text: &str) -> Result<bool, Wrong> {
        self.spend(PATTERN_STEPS + (text.len() as u64) * 8)?;
        let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
        Ok(compiled.map_or(true, |pattern| pattern.is_match(text)))
    }

    fn array(&mut self, rules: &'s Map<String, Value>, items: &[Value]) -> Checked {
        self.count(rules, "minItems", "maxItems", items.len() as u64, "items")?;
        if rules.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (at, item) in items.iter().enumerate() {
                self.spend(at as u64)?;
                if items[..at].iter().any(|earlier| same(earlier, item)) {
                    return self.wrong("must not have equal items");
                }
            }
        }
        // Until 2019 `items` itself was the list of the first ones' schemas, and `additionalItems` was for the rest.
        let (first, rest) = match (rules.get("prefixItems"), rules.get("items")) {
            (None, Some(Value::Array(first))) => (first.as_slice(), rules.get("additionalItems")),
            (Some(Value::Array(first)), rest) => (first.as_slice(), rest),
            (_, rest) => (&[][..], rest),
        };
        for (at, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(at).or(rest) {
                self.below(at.to_string(), schema, item)?;
            }
        }
        if let Some(schema) = rules.get("contains") {
            let mut found = 0;
            for item in items {
                found += u64::from(self.holds(schema, item)?);
            }
            let bound = |name: &str| rules.get(name).and_then(Value::as_u64);
            if found < bound("minContains").unwrap_or(1) || bound("maxContains").is_some_and(|max| found > max) {
                return self.wrong("breaks the schema's `contains`");
            }
        }
        Ok(())
    }

    fn object(&mut self, rules: &'s Map<String, Value>, members: &Map<String, Value>) -> Checked {
        let count = members.len() as u64;
        self.count(rules, "minProperties", "maxProperties", count, "members")?;
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
            self.spend(1)?;
            if let Some(name) = name.as_str().filter(|name| !members.contains_key(*name)) {
                return self.wrong(&format!("lacks the required `{}`", shown(name)));
            }
        }
        for (name, needed) in rules
            .get("dependentRequired")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            self.spend(1)?;
            let mut needed = needed.as_array().into_iter().flatten().filter_map(Value::as_str);
            if members.contains_key(name) && !needed.all(|needed| members.contains_key(needed)) {
                return self.wrong(&format!("lacks what `{}` requires", shown(name)));
            }
        }
        let known = rules.get("properties").and_then(Value::as_object);
        let patterns = rules.get("patternProperties").and_then(Value::as_object);
        let names = rules.get("propertyNames");
        for (name, value) in members {
            self.spend(1)?;
            let mut told = false;
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                told = true;
                self.below(shown(name), schema, value)?;
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                if self.matches(pattern, name)? {
                    told = true;
                    self.below(shown(name), schema, value)?;
                }
            }
            if let Some(schema) = names {
                self.below(shown(name), schema, &Value::String(name.clone()))?;
            }
            match rules.get("additionalProperties").filter(|_| !told) {
                Some(Value::Bool(false)) => return self.wrong(&format!("must not have `{}`", shown(name))),
                Some(schema) => self.below(shown(name), schema, value)?,
                None => {}
            }
        }
        for (name, schema) in rules
            .get("dependentSchemas")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if members.contains_key(name) {
                self.value(schema, &Value::Object(members.clone()))?;
            }
        }
        Ok(())
    }

    fn combinations(&mut self, rules: &'s Map<String, Value>, value: &Value) -> Checked {
        for schema in rules.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.value(schema, value)?;
        }
        for (name, exactly) in [("anyOf", false), ("oneOf", true)] {
            let Some(schemas) = rules.get(name).and_then(Value::as_array).filter(|s| !s.is_empty()) else {
                continue;
            };
            let (mut holding, mut first) = (0, None);
            for schema in schemas {
                match self.value(schema, value) {
                    Ok(()) => holding += 1,
                    Err(limit @ Wrong::Limit(_)) => return Err(limit),
                    Err(Wrong::Rule(rule)) => first = first.or(Some(rule)),
                }
                if holding == 1 && !exactly {
                    break;
                }
            }
            match holding {
                0 => {
                    let first = first.map_or(String::new(), |rule| format!(" (the first: {rule})"));
                    return self.wrong(&format!("is of none of the forms in `{name}`{first}"));
                }
                1 => {}
                _ => return self.wrong("is of more than one of the forms in `oneOf`"),
            }
        }
        if let Some(schema) = rules.get("not")
            && self.holds(schema, value)?
        {
            return self.wrong("is of the form that `not` excludes");
        }
        if let Some(condition) = rules.get("if") {
            let branch = if self.holds(condition, value)? { "then" } else { "else" };
            if let Some(schema) = rules.get(branch) {
                self.value(schema, value)?;
            }
        }
        Ok(())
    }

    /// Whether a schema holds; a limit is an error all the same.
    fn holds(&mut self, schema: &'s Value, value: &Value) -> Result<bool, Wrong> {
        match self.value(schema, value) {
            Ok(()) => Ok(true),
            Err(Wrong::Rule(_)) => Ok(false),
            Err(limit @ Wrong::Limit(_)) => Err(limit),
        }
    }

    fn below(&mut self, name: String, schema: &'s Value, value: &Value) -> Checked {
        self.path.push(name);
        let checked = self.value(schema, value);
        self.path.pop();
        checked
    }

    fn count(&self, rules: &Map<String, Value>, min: &str, max: &str, has: u64, what: &str) -> Checked {
        let bound = |name: &str| rules.get(name).and_then(Value::as_f64);
        match (bound(min), bound(max)) {
            (Some(min), _) if (has as f64) < min => self.wrong(&format!("must have at least {min} {what}")),
            (_, Some(max)) if (has as f64) > max => self.wrong(&format!("must have at most {max} {what}")),
            _ => Ok(()),
        }
    }

    /// The schema a reference means; `None` when it is in another document or nowhere.
    fn resolve(&self, reference: &str) -> Option<&'s Value> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.is_empty() {
            return Some(self.root);
        }
        self.root.pointer(&percent_decoded(pointer))
    }

    fn spend(&mut self, steps: u64) -> Checked {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(Wrong::Limit("checking it against its schema takes too much work")),
        }
    }

    fn wrong<T>(&self, what: &str) -> Result<T, Wrong> {
        let place = if self.path.is_empty() {
            "the value".to_owned()
        } else {
            format!("`/{}`", self.path.join("/"))
        };
        Err(Wrong::Rule(format!("{place} {what}")))
    }
}

/// A name as messages show it: whose it is nobody knows, so it is bounded.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|f| f.is_finite() && f.fract() == 0.0)
}

/// Equality in JSON's sense: 1 is 1.0, and the order of members does not matter.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A pointer in a reference is written as in a URL.
fn percent_decoded(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let decoded = || u8::from_str_radix(std::str::from_utf8(behind.get(..2)?).ok()?, 16).ok();
        match decoded().filter(|_| *byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: &str, value: &str) -> String {
        check(schema, &serde_json::from_str(value).unwrap())
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn every_keyword_holds_and_breaks() {
        // Schema, what it takes, what it does not take, and what is said of that.
        for (schema, good, bad, said) in [
            (
                r#"{"type":"integer"}"#,
                "3.0",
                "3.5",
                "the value must be of type integer",
            ),
            (
                r#"{"type":["string","null"]}"#,
                "null",
                "1",
                "the value must be of type string or null",
            ),
            (
                r#"{"enum":["a",1]}"#,
                "1.0",
                r#""b""#,
                "the value must be one of the schema's `enum`",
            ),
            (
                r#"{"const":{"a":[1,{"b":2}]}}"#,
                r#"{"a":[1.0,{"b":2}]}"#,
                "{}",
                "the value must be the schema's `const`",
            ),
            (r#"{"minimum":1}"#, "1", "0", "the value breaks `minimum` of 1"),
            (
                r#"{"exclusiveMaximum":1}"#,
                "0.9",
                "1",
                "the value breaks `exclusiveMaximum` of 1",
            ),
            (
                r#"{"multipleOf":0.01}"#,
                "19.99",
                "0.005",
                "the value must be a multiple of 0.01",
            ),
            (
                r#"{"minLength":2}"#,
                r#""üü""#,
                r#""ü""#,
                "the value must have at least 2 characters",
            ),
            (
                r#"{"pattern":"^\\d+$"}"#,
                r#""12""#,
                r#""x""#,
                "the value does not match the schema's `pattern`",
            ),
            (
                r#"{"items":{"type":"null"},"maxItems":2}"#,
                "[null]",
                "[null,1]",
                "`/1` must be of type null",
            ),
            (
                r#"{"uniqueItems":true}"#,
                "[1,2]",
                "[1,1.0]",
                "the value must not have equal items",
            ),
            (
                r#"{"prefixItems":[{"type":"null"}],"items":false}"#,
                "[null]",
                "[null,1]",
                "`/1` is not allowed",
            ),
            (
                r#"{"items":[{"type":"null"}],"additionalItems":false}"#,
                "[null]",
                "[null,1]",
                "`/1` is not allowed",
            ),
            (
                r#"{"contains":{"const":1},"maxContains":1}"#,
                "[1,2]",
                "[2]",
                "the value breaks the schema's `contains`",
            ),
            (
                r#"{"required":["a"]}"#,
                r#"{"a":1}"#,
                "{}",
                "the value lacks the required `a`",
            ),
            (
                r#"{"properties":{"a":{"properties":{"b":{"type":"string"}}}}}"#,
                r#"{"a":{"b":""}}"#,
                r#"{"a":{"b":1}}"#,
                "`/a/b` must be of type string",
            ),
            (
                r#"{"properties":{"a":true},"additionalProperties":false}"#,
                r#"{"a":1}"#,
                r#"{"b":1}"#,
                "the value must not have `b`",
            ),
            (
                r#"{"patternProperties":{"^x":{"type":"null"}},"additionalProperties":{"type":"string"}}"#,
                r#"{"x1":null,"y":""}"#,
                r#"{"x1":null,"y":null}"#,
                "`/y` must be of type string",
            ),
            (
                r#"{"propertyNames":{"maxLength":1}}"#,
                r#"{"a":1}"#,
                r#"{"ab":1}"#,
                "`/ab` must have at most 1 characters",
            ),
            (
                r#"{"dependentRequired":{"a":["b"]}}"#,
                r#"{"a":1,"b":1}"#,
                r#"{"a":1}"#,
                "the value lacks what `a` requires",
            ),
            (
                r#"{"allOf":[{"minimum":1},{"maximum":2}]}"#,
                "2",
                "3",
                "the value breaks `maximum` of 2",
            ),
            (
                r#"{"anyOf":[{"type":"null"},{"minimum":1}]}"#,
                "1",
                "0",
                "the value is of none of the forms in `anyOf` (the first: the value must be of type null)",
            ),
            (
                r#"{"oneOf":[{"minimum":1},{"minimum":2}]}"#,
                "1",
                "2",
                "the value is of more than one of the forms in `oneOf`",
            ),
            (
                r#"{"not":{"type":"null"}}"#,
                "1",
                "null",
                "the value is of the form that `not` excludes",
            ),
            (
                r#"{"if":{"minimum":5},"then":{"maximum":6},"else":{"minimum":0}}"#,
                "6",
                "7",
                "the value breaks `maximum` of 6",
            ),
            (
                r##"{"$defs":{"a b":{"type":"null"}},"items":{"$ref":"#/$defs/a%20b"}}"##,
                "[null]",
                "[1]",
                "`/0` must be of type null",
            ),
            (
                r##"{"properties":{"next":{"anyOf":[{"type":"null"},{"$ref":"#"}]}},"required":["next"]}"##,
                r#"{"next":{"next":null}}"#,
                r#"{"next":{}}"#,
                "`/next` is of none of the forms in `anyOf` (the first: `/next` must be of type null)",
            ),
            ("false", "", "1", "the value is not allowed"),
        ] {
            if !good.is_empty() {
                assert_eq!(told(schema, good), "", "{schema} takes {good}");
            }
            assert_eq!(told(schema, bad), said, "{schema} does not take {bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_taken_for_satisfied_and_nothing_is_fetched() {
        for schema in [
            r#"{"format":"date-time"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r#"{"$ref":"http://169.254.169.254/"}"#,
            r##"{"$ref":"#/nowhere"}"##,
            r#"{"pattern":"(?=x)"}"#,
            r#"{"type":7,"enum":7,"required":7,"items":7}"#,
            "7",
        ] {
            assert_eq!(told(schema, r#""x""#), "", "{schema}");
        }
    }

    #[test]
    fn schemas_without_end_end() {
        assert!(told(r##"{"$ref":"#"}"##, "1").contains("too deeply"));
        assert!(told(r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##, "1").contains("too deeply"));
        // Two to the sixtieth ways through it.
        let mut defs = String::from(r#""d60":{}"#);
        for n in 0..60 {
            defs += &format!(
                r##","d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##,
                n + 1
            );
        }
        let schema = format!(r##"{{"$defs":{{{defs}}},"anyOf":[{{"$ref":"#/$defs/d0"}},true]}}"##);
        let said = told(&schema, "1");
        assert!(said.contains("too deeply") || said.contains("too much work"), "{said}");
        let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(SCHEMA_BYTES_MAX));
        assert!(told(&long, "1").contains("cannot be checked"));
        assert!(
            told(r#"{"pattern":"a{1000}{1000}"}"#, r#""a""#).is_empty(),
            "too large to compile"
        );
    }
}
