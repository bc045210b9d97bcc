//! A cursor over one JSON text: whoever reads walks it member by member and skips what does not matter.
//!
//! It builds no tree and allocates nothing; what is skipped is checked as strictly as what is read. Nesting is bounded by
//! [`DEPTH_MAX`] and needs no call stack. The type to read first is [`Cursor`].

use std::borrow::Cow;

use memchr::memchr2;

/// Deepest nesting of arrays and objects that is read.
pub const DEPTH_MAX: u32 = 128;

/// The text is not JSON, or not the JSON that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Fault {
    /// Line and column, both from 1, the column in characters.
    pub fn place(&self, text: &str) -> (usize, usize) {
        let before = &text.as_bytes()[..self.at.min(text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = 1 + characters(&before[line_start..]);
        (line, column)
    }
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or a minus.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// How half surrogate pairs (`\ud83d` alone) are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surrogates {
    /// As a fault: no character is meant by one.
    Paired,
    /// As they come: streams of some providers cut a character into two deltas.
    Any,
}

/// A string as it stands in the text, between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    raw: &'a str,
    /// How many bytes the escapes take beyond one for each character they stand for.
    overhead: usize,
}

impl<'a> Text<'a> {
    /// The bytes between the quotes, escapes and all.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// The meaning. Half a surrogate pair becomes U+FFFD.
    pub fn unescaped(self) -> Cow<'a, str> {
        if self.overhead == 0 {
            Cow::Borrowed(self.raw)
        } else {
            Cow::Owned(unescape(self.raw))
        }
    }

    /// How many characters it means.
    pub fn characters(self) -> usize {
        characters(self.raw.as_bytes()) - self.overhead
    }

    /// Whether nothing stands between the quotes.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }
}

/// Walks a JSON text. Every method that meets something else than it reads gives a [`Fault`], after which the cursor is
/// of no further use.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// One bit for each open container, the innermost lowest: 1 is an object.
    kinds: u128,
    surrogates: Surrogates,
}

impl<'a> Cursor<'a> {
    /// A cursor before the text's only value.
    pub fn new(text: &'a str, surrogates: Surrogates) -> Cursor<'a> {
        Cursor {
            text,
            at: 0,
            depth: 0,
            kinds: 0,
            surrogates,
        }
    }

    /// The offset of what comes next, blanks left out.
    pub fn offset(&mut self) -> usize {
        self.skip_blanks();
        self.at
    }

    /// The offset just behind what was read last.
    pub fn end(&self) -> usize {
        self.at
    }

    /// What comes next; it is not consumed.
    pub fn peek(&mut self) -> Result<Kind, Fault> {
        self.skip_blanks();
        match self.byte() {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.fault("expected a value")),
            None => Err(self.fault("the text ends where a value is expected")),
        }
    }

    /// Enters an object. `true`: [`Cursor::key`] comes next; `false`: it was empty and is left already.
    pub fn open_object(&mut self) -> Result<bool, Fault> {
        self.open(b'{', b'}', 1, "expected an object")
    }

    /// Enters an array. `true`: a value comes next; `false`: it was empty and is left already.
    pub fn open_array(&mut self) -> Result<bool, Fault> {
        self.open(b'[', b']', 0, "expected an array")
    }

    /// A member's name and the colon behind it.
    #[inline]
    pub fn key(&mut self) -> Result<Text<'a>, Fault> {
        self.skip_blanks();
        if self.byte() != Some(b'"') {
            return Err(self.fault("expected a name in quotes"));
        }
        let key = self.string()?;
        self.skip_blanks();
        if self.byte() != Some(b':') {
            return Err(self.fault("expected a colon"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Behind a member's value: `true` when another member follows, `false` when the object is left.
    #[inline]
    pub fn more_members(&mut self) -> Result<bool, Fault> {
        self.more(b'}', "expected a comma or a closing brace")
    }

    /// Behind an item: `true` when another one follows, `false` when the array is left.
    #[inline]
    pub fn more_items(&mut self) -> Result<bool, Fault> {
        self.more(b']', "expected a comma or a closing bracket")
    }

    /// A string.
    #[inline]
    pub fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.skip_blanks();
        if self.byte() != Some(b'"') {
            return Err(self.fault("expected a string"));
        }
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut overhead = 0;
        loop {
            at += plain_run(&bytes[at..]);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    let raw = &self.text[start..at];
                    return Ok(Text { raw, overhead });
                }
                Some(b'\\') => {
                    let length = self.escape(at)?;
                    overhead += length - 1;
                    at += length;
                }
                Some(_) => {
                    let what = "a raw control character in a string";
                    return Err(Fault { at, what });
                }
                None => {
                    let what = "the text ends within a string";
                    return Err(Fault { at, what });
                }
            }
        }
    }

    /// A number, as written.
    pub fn number(&mut self) -> Result<&'a str, Fault> {
        self.skip_blanks();
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits = |mut at: usize| {
            while matches!(bytes.get(at), Some(b'0'..=b'9')) {
                at += 1;
            }
            at
        };
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let whole = at;
        at = digits(at);
        if at == whole || (at - whole > 1 && bytes[whole] == b'0') {
            return Err(self.fault("expected a number"));
        }
        if bytes.get(at) == Some(&b'.') {
            let fraction = at + 1;
            at = digits(fraction);
            if at == fraction {
                return Err(self.fault("expected a number"));
            }
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = at + 1;
            let exponent = sign + usize::from(matches!(bytes.get(sign), Some(b'+' | b'-')));
            at = digits(exponent);
            if at == exponent {
                return Err(self.fault("expected a number"));
            }
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, Fault> {
        self.skip_blanks();
        if self.literal("true") {
            Ok(true)
        } else if self.literal("false") {
            Ok(false)
        } else {
            Err(self.fault("expected true or false"))
        }
    }

    /// Skips a value, whatever it is, and checks all of it.
    pub fn skip(&mut self) -> Result<(), Fault> {
        self.visit_strings(|_| {})
    }

    /// Skips a value and shows every string in it, names of members too.
    pub fn visit_strings(&mut self, mut visit: impl FnMut(Text<'a>)) -> Result<(), Fault> {
        let floor = self.depth;
        loop {
            match self.peek()? {
                Kind::Object => {
                    if self.open_object()? {
                        visit(self.key()?);
                        continue;
                    }
                }
                Kind::Array => {
                    if self.open_array()? {
                        continue;
                    }
                }
                Kind::String => visit(self.string()?),
                Kind::Number => {
                    self.number()?;
                }
                Kind::Bool => {
                    self.bool()?;
                }
                Kind::Null => {
                    if !self.literal("null") {
                        return Err(self.fault("expected null"));
                    }
                }
            }
            // A value has ended: leave what it was the last of, up to where the next one begins.
            loop {
                if self.depth == floor {
                    return Ok(());
                }
                if self.kinds & 1 == 1 {
                    if self.more_members()? {
                        visit(self.key()?);
                        break;
                    }
                } else if self.more_items()? {
                    break;
                }
            }
        }
    }

    /// Skips a value of a text that was checked before: only its end is looked for. What a text that was not checked gives is
    /// anyone's guess, but no panic.
    pub(crate) fn skip_checked(&mut self) {
        self.skip_blanks();
        let bytes = self.text.as_bytes();
        let mut open = 0_u32;
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => self.skip_checked_string(),
                b'{' | b'[' => {
                    open += 1;
                    continue;
                }
                b'}' | b']' => open = open.saturating_sub(1),
                b',' | b':' | b' ' | b'\n' | b'\t' | b'\r' => continue,
                // A number or a word: up to what ends it.
                _ => {
                    let rest = bytes.get(self.at..).unwrap_or_default();
                    let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r');
                    self.at += rest.iter().position(ends).unwrap_or(rest.len());
                }
            }
            if open == 0 {
                return;
            }
        }
    }

    /// The rest of a string whose quote was just read.
    fn skip_checked_string(&mut self) {
        let bytes = self.text.as_bytes();
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            match memchr2(b'"', b'\\', rest) {
                Some(at) if rest[at] == b'"' => {
                    self.at += at + 1;
                    return;
                }
                Some(at) => self.at = (self.at + at + 2).min(bytes.len()),
                None => {
                    self.at = bytes.len();
                    return;
                }
            }
        }
    }

    /// Nothing but blanks is left.
    pub fn finish(&mut self) -> Result<(), Fault> {
        self.skip_blanks();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the value")),
        }
    }

    /// A fault at what comes next.
    pub fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }

    fn open(&mut self, open: u8, close: u8, kind: u128, what: &'static str) -> Result<bool, Fault> {
        self.skip_blanks();
        if self.byte() != Some(open) {
            return Err(self.fault(what));
        }
        if self.depth == DEPTH_MAX {
            return Err(self.fault("nested deeper than 128 levels"));
        }
        self.at += 1;
        self.skip_blanks();
        if self.byte() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | kind;
        Ok(true)
    }

    #[inline]
    fn more(&mut self, close: u8, what: &'static str) -> Result<bool, Fault> {
        self.skip_blanks();
        match self.byte() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                self.kinds >>= 1;
                Ok(false)
            }
            _ => Err(self.fault(what)),
        }
    }

    fn literal(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// The length of the escape at `at`; 12 for a pair of surrogates, which are one character.
    fn escape(&self, at: usize) -> Result<usize, Fault> {
        let bytes = self.text.as_bytes();
        match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => {
                let what = "an escape without four hexadecimal digits";
                let unit = code_unit(bytes, at + 2).ok_or(Fault { at, what })?;
                if !(0xd800..0xe000).contains(&unit) {
                    return Ok(6);
                }
                let low = (bytes.get(at + 6) == Some(&b'\\') && bytes.get(at + 7) == Some(&b'u'))
                    .then(|| code_unit(bytes, at + 8))
                    .flatten();
                if unit < 0xdc00 && low.is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
                    return Ok(12);
                }
                match self.surrogates {
                    Surrogates::Any => Ok(6),
                    Surrogates::Paired => {
                        let what = "half of a surrogate pair";
                        Err(Fault { at, what })
                    }
                }
            }
            _ => {
                let what = "an unknown escape";
                Err(Fault { at, what })
            }
        }
    }
}

/// How many bytes come before the next quote, backslash or control character. Eight at a time: the lowest bit that is
/// set is exact, and only that one is used.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let plain = |&&byte: &&u8| byte != b'"' && byte != b'\\' && byte >= 0x20;
    at + tail.iter().take_while(plain).count()
}

/// How many characters UTF-8 bytes hold.
fn characters(bytes: &[u8]) -> usize {
    // Everything but continuation bytes; the comparison is on signed bytes so that it vectorises.
    bytes.iter().filter(|&&byte| byte as i8 >= -0x40).count()
}

fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 4)?;
    digits
        .iter()
        .try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)? as u16))
}

/// Unescapes what [`Cursor::string`] has checked.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(found) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..found]);
        let bytes = rest.as_bytes();
        let mut length = 2;
        out.push(match bytes[found + 1] {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = code_unit(bytes, found + 2).expect("the cursor has checked the digits");
                let low = code_unit(bytes, found + 8).filter(|_| bytes[found + 6..].starts_with(b"\\u"));
                let units = [high, low.unwrap_or(0)];
                let mut read = char::decode_utf16(units).map(|r| r.unwrap_or(char::REPLACEMENT_CHARACTER));
                let character = read.next().unwrap_or(char::REPLACEMENT_CHARACTER);
                length = if character as u32 > 0xffff { 12 } else { 6 };
                character
            }
            other => other as char,
        });
        rest = &rest[found + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), Fault> {
        let mut cursor = Cursor::new(text, Surrogates::Paired);
        cursor.skip()?;
        cursor.finish()
    }

    #[test]
    fn json_is_told_from_what_only_looks_like_it() {
        for good in [
            "{}",
            "[]",
            " [ 1 , -0 , 0.5e+3 , 1E5 , true , false , null , \"\" ] ",
            "\"\\u00e9\\ud83d\\ude00\\/\"",
            "{\"a\":{\"b\":[{}]}}",
            "\"é🙂 and a long enough run to use the wide path\"",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "tru",
            "nul",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "{\"a\" 1}",
            "[}",
            "{]",
            "1 2",
            "\u{feff}{}",
            "'a'",
            "NaN",
            "\"abc",
            "\"0123456789\u{1}\"",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
            assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_million_brackets_are_refused_without_a_stack() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(
            check(&deep),
            Err(Fault {
                at: 128,
                what: "nested deeper than 128 levels"
            })
        );
        let nested = |n: usize| "[".repeat(n) + "{\"a\":1}" + &"]".repeat(n);
        assert_eq!(check(&nested(127)), Ok(()));
        assert!(check(&nested(128)).is_err());
    }

    #[test]
    fn a_fault_has_a_place() {
        let text = "{\n  \"é\": tru\n}";
        let fault = check(text).unwrap_err();
        assert_eq!(fault.place(text), (2, 8));
    }

    #[test]
    fn a_string_has_a_meaning_and_a_length() {
        let rows = [
            (r#""plain""#, "plain"),
            (r#""a\nb\"c\\""#, "a\nb\"c\\"),
            (r#""\u00e9\ud83d\ude00é🙂""#, "é😀é🙂"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ];
        for (text, meaning) in rows {
            let text = Cursor::new(text, Surrogates::Any).string().unwrap();
            assert_eq!(text.unescaped(), meaning);
            assert_eq!(text.characters(), meaning.chars().count());
        }
    }

    proptest! {
        #[test]
        fn the_cursor_takes_what_serde_takes(text in "[\\[\\]{}:,\"a\\\\u0019.eE+\\-truefalsn \n]{0,24}") {
            // `1e999` is JSON, but no number that serde's tree can hold.
            let serde = match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => true,
                Err(error) => error.to_string().contains("out of range"),
            };
            prop_assert_eq!(check(&text).is_ok(), serde, "{}", text);
        }

        #[test]
        fn strings_mean_what_serde_reads(meaning in any::<String>()) {
            let text = serde_json::to_string(&meaning).unwrap();
            let read = Cursor::new(&text, Surrogates::Paired).string().unwrap();
            prop_assert_eq!(read.characters(), meaning.chars().count());
            prop_assert_eq!(read.unescaped(), meaning);
        }
    }
}
