//! Texts that end too soon. What was cut is made whole again before it is looked through, since half a number is not known for one,
//! and what stands at the cut is dropped.

/// The longest word that is dropped whole at a cut; of a longer one this much.
const WORD_LEN_MAX: usize = 512;
/// The most that is dropped of groups of digits before it.
const GROUPS_LEN_MAX: usize = 64;

/// As much of a body as is text, when only its last character is incomplete.
pub fn whole_characters(body: &[u8]) -> Option<&str> {
    match std::str::from_utf8(body) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&body[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// A text without its last word, and without the digits in groups that it may belong to.
pub fn settled(text: &str) -> &str {
    let floor = text.len().saturating_sub(WORD_LEN_MAX);
    let word = text.trim_end_matches(|c: char| !c.is_whitespace()).len();
    let end = boundary(text, word.max(floor));
    let floor = end.saturating_sub(GROUPS_LEN_MAX);
    let in_group = |c: char| c.is_ascii_digit() || c.is_whitespace() || matches!(c, '-' | '+' | '(' | ')' | '.' | '/');
    let groups = text[..end].trim_end_matches(in_group).len();
    &text[..boundary(text, groups.max(floor))]
}

/// JSON that was cut, closed again in two ways: with the beginning of the string that was cut, and without the last value. `None`:
/// this is no beginning of JSON.
pub fn closed(text: &str) -> Option<[String; 2]> {
    // What is open: its closing bracket, and whether a name comes next.
    let mut open: Vec<(char, bool)> = Vec::new();
    // Up to here everything is whole; nothing was opened or closed since.
    let mut whole = 0;
    let mut string: Option<usize> = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(start) = string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    string = None;
                    if start > whole && !open.last().is_some_and(|(_, name)| *name) {
                        whole = at + 1;
                    }
                }
                _ => {}
            }
            continue;
        }
        // Structure, numbers, `true`, `false`, `null`.
        if !byte.is_ascii_digit() && !b"{}[]:,\" \t\r\n+-.eEtrufalsn".contains(&byte) {
            return None;
        }
        match byte {
            b'"' => string = Some(at),
            b'{' => open.push(('}', true)),
            b'[' => open.push((']', false)),
            b'}' | b']' => {
                open.pop();
            }
            b':' | b',' => {
                if let Some((bracket, name)) = open.last_mut() {
                    *name = *bracket == '}' && byte == b',';
                }
            }
            _ => {}
        }
        match byte {
            b'{' | b'[' | b'}' | b']' => whole = at + 1,
            b',' => whole = at,
            _ => {}
        }
    }
    if open.is_empty() {
        return None;
    }
    let brackets: String = open.iter().rev().map(|(bracket, _)| *bracket).collect();
    let without = [&text[..whole], &brackets].concat();
    let value = string.filter(|_| !open.last().is_some_and(|(_, name)| *name));
    let with = match value {
        Some(start) => [
            &text[..=start],
            whole_escapes(settled(&text[start + 1..])),
            "\"",
            &brackets,
        ]
        .concat(),
        None => without.clone(),
    };
    Some([with, without])
}

/// The inside of a JSON string without an escape that is cut at its end.
fn whole_escapes(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let len = match (bytes[at], bytes.get(at + 1)) {
            (b'\\', Some(b'u')) => 6,
            (b'\\', _) => 2,
            _ => 1,
        };
        if at + len > bytes.len() {
            return &text[..at];
        }
        at += len;
    }
    text
}

/// A text that is no JSON but looks like it, with the characters read that JSON may write otherwise: `\/` and `\u0040`.
pub fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let code = rest.strip_prefix("\\u").and_then(|code| code.get(..4));
        let read = code
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32);
        let len = match read.filter(|c| !c.is_control() && !matches!(c, '"' | '\\')) {
            Some(read) => {
                out.push(read);
                6
            }
            None if rest.starts_with("\\/") => {
                out.push('/');
                2
            }
            // The backslash and what it escapes.
            None => {
                let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..len]);
                len
            }
        };
        rest = &rest[len..];
    }
    out.push_str(rest);
    out
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
