//! What scripts answer: texts, one after another; amounts are decimal and may be larger than any that we can hold.

use redis::Value;

/// What Redis said of a window at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) spent: u64,
    pub(crate) held: u64,
    /// Of that, this process's own.
    pub(crate) own_settled: u64,
    /// Of that, this process's own.
    pub(crate) own_held: u64,
}

/// A window as it is in Redis.
#[derive(Debug, Default)]
pub(crate) struct Hash {
    pub(crate) exists: bool,
    pub(crate) seen: Seen,
    /// What it began with, and when.
    pub(crate) began: Option<(u64, u64)>,
    /// Sums of other incarnations.
    pub(crate) others: Vec<(String, u64)>,
}

impl Seen {
    /// Reads four texts.
    pub(crate) fn read(texts: &[String]) -> Option<Seen> {
        let [spent, held, own_settled, own_held] = texts else {
            return None;
        };
        Some(Seen {
            spent: amount(spent)?,
            held: amount(held)?,
            own_settled: amount(own_settled)?,
            own_held: amount(own_held)?,
        })
    }
}

impl Hash {
    /// Reads fields and values in turns; `me` is this process.
    pub(crate) fn read(value: Value, me: &str) -> Option<Hash> {
        let mut hash = Hash::default();
        let (mut base, mut seed) = (None, None);
        for pair in texts(value)?.chunks_exact(2) {
            hash.exists = true;
            let (field, value) = (pair[0].as_str(), amount(&pair[1])?);
            match field.split_once(':') {
                None if field == "spent" => hash.seen.spent = value,
                None if field == "held" => hash.seen.held = value,
                None if field == "base" => base = Some(value),
                None if field == "seed" => seed = Some(value),
                Some(("s", of)) if of == me => hash.seen.own_settled = value,
                Some(("s", of)) => hash.others.push((of.to_owned(), value)),
                Some(("r", of)) if of == me => hash.seen.own_held = value,
                // Others' holds are in the sum, and a newer program may keep more.
                Some(_) | None => {}
            }
        }
        hash.began = base.zip(seed);
        Some(hash)
    }
}

/// A decimal amount; what is too large is the largest.
pub(crate) fn amount(text: &str) -> Option<u64> {
    match text.parse() {
        Ok(amount) => Some(amount),
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => Some(u64::MAX),
        Err(_) => None,
    }
}

/// An answer's parts.
pub(crate) fn parts(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// Texts of an array.
pub(crate) fn texts(value: Value) -> Option<Vec<String>> {
    parts(value)?.into_iter().map(text).collect()
}

/// A text.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
