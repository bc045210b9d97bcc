//! Multipart bodies (`multipart/form-data`) as OpenAI's SDKs send files: cut at the boundary, nothing decoded.

use bytes::Bytes;
use serde_json::{Map, Value};

/// More parts than this are not read.
const PARTS_MAX: usize = 256;

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Given for files.
    pub(crate) filename: Option<String>,
    pub(crate) data: Bytes,
}

/// The parts of a body, or `None` when it is no such body.
pub(crate) fn parse(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    if !content_type.trim_start().starts_with("multipart/form-data") {
        return None;
    }
    let boundary = content_type
        .split(';')
        .find_map(|part| part.trim().strip_prefix("boundary="))?;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut parts = Vec::new();
    let mut at = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    while parts.len() < PARTS_MAX && !body[at..].starts_with(b"--") {
        let head_end = find(body, b"\r\n\r\n", at)?;
        let next = find(body, format!("\r\n{delimiter}").as_bytes(), head_end)?;
        let head = String::from_utf8_lossy(&body[at..head_end]).into_owned();
        if let Some(name) = parameter(&head, "name") {
            parts.push(Part {
                name,
                filename: parameter(&head, "filename"),
                // An empty part has its end where its head ends.
                data: body.slice((head_end + 4).min(next)..next),
            });
        }
        at = next + 2 + delimiter.len();
    }
    Some(parts)
}

/// The fields that are texts, as JSON; a repeated one is a list.
pub(crate) fn texts(parts: &[Part]) -> Value {
    let mut fields = Map::new();
    for part in parts.iter().filter(|part| part.filename.is_none()) {
        let text = Value::from(String::from_utf8_lossy(&part.data).into_owned());
        let name = part.name.strip_suffix("[]").unwrap_or(&part.name);
        match fields.get_mut(name) {
            Some(Value::Array(all)) => all.push(text),
            Some(one) => *one = Value::Array(vec![one.take(), text]),
            None => {
                fields.insert(name.to_owned(), text);
            }
        }
    }
    Value::Object(fields)
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    // Jumps from one possible beginning to the next, since files are large and boundaries rare.
    while let Some(step) = body.get(at..)?.iter().position(|byte| *byte == first) {
        at += step;
        if body[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// `name="value"` of the Content-Disposition line.
fn parameter(head: &str, name: &str) -> Option<String> {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let value = line
        .split(';')
        .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_cut_into_its_parts() {
        let body = "--X\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm!503\r\n--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\none\r\n--two\r\n\r\n--X\r\nContent-Disposition: form-data; name=\"tag[]\"\r\n\r\n\r\n--X--\r\n";
        let parts = parse("multipart/form-data; boundary=\"X\"", &Bytes::from(body)).unwrap();
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.name.as_str(), part.filename.as_deref(), &part.data[..]))
            .collect();
        let wanted: [(&str, Option<&str>, &[u8]); 3] = [
            ("model", None, b"m!503"),
            ("file", Some("a.txt"), b"one\r\n--two\r\n"),
            ("tag[]", None, b""),
        ];
        assert_eq!(seen, wanted);
        assert_eq!(texts(&parts), serde_json::json!({"model": "m!503", "tag": ""}));
    }

    #[test]
    fn what_is_no_form_is_none() {
        let cases = [
            ("application/json", "{}"),
            ("multipart/form-data", "--X"),
            ("multipart/form-data; boundary=X", "--X\r\nhead"),
            ("multipart/form-data; boundary=X", ""),
        ];
        for (content_type, body) in cases {
            assert_eq!(parse(content_type, &Bytes::from(body)), None, "{content_type} {body}");
        }
        assert_eq!(
            parse("multipart/form-data; boundary=X", &Bytes::from("--X--")),
            Some(vec![])
        );
    }
}
