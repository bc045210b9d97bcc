//! A text cut into words, numbers, symbols, quotations and code. It forgets case of plain words, spacing, and the
//! punctuation of prose; it keeps quotations and code to the byte, and every sign that counts or compares.

use serde::{Deserialize, Serialize};

/// One piece of a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    /// Lower case, but for quotations and code, which are kept as they were; of a break its sign.
    pub text: String,
    /// A word as it was written, where its capitals are not those of a sentence's first word; else empty.
    pub cased: String,
    /// Capitalised where a sentence does not ask for it, or in capitals only.
    pub is_name: bool,
    /// The first word after a start or a break.
    pub opens: bool,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Between quotation marks.
    Quoted,
    /// Between backticks, or a path, address, identifier, or a line that reads like code.
    Code,
    Number,
    /// A sign of its own: an operator, a bracket, a currency.
    Symbol,
    Word,
    /// `'s`: what stands before it owns what follows.
    Owner,
    /// End of a sentence or clause.
    Break,
}

const QUOTES: &[(char, char)] = &[
    ('"', '"'),
    ('“', '”'),
    ('„', '“'),
    ('«', '»'),
    ('‘', '’'),
    ('「', '」'),
    ('『', '』'),
    ('\'', '\''),
];
const CLAUSE_ENDS: &[char] = &[
    '.', ',', ';', ':', '!', '?', '…', '。', '，', '、', '；', '：', '！', '？', '¿', '¡', '—', '–',
];

/// The pieces of a text, in order.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: text,
        tokens: Vec::new(),
        opens: true,
        shouts: !text.chars().any(char::is_lowercase),
    };
    let many_lines = text.trim().contains('\n');
    let mut line_begins = true;
    while !lexer.rest.is_empty() {
        if line_begins && many_lines && lexer.code_line() {
            continue;
        }
        let first = lexer.rest.chars().next().expect("not empty");
        line_begins = first == '\n';
        if first.is_whitespace() {
            if first == '\n' {
                lexer.end_clause('\n');
            }
            lexer.rest = &lexer.rest[first.len_utf8()..];
        } else if !(lexer.code() || lexer.quoted(first)) {
            lexer.run();
        }
    }
    lexer.tokens
}

struct Lexer<'t> {
    rest: &'t str,
    tokens: Vec<Token>,
    opens: bool,
    /// Nothing is in lower case, so capitals say nothing.
    shouts: bool,
}

impl<'t> Lexer<'t> {
    fn push(&mut self, kind: Kind, text: String, is_name: bool) {
        let opens = std::mem::take(&mut self.opens);
        self.tokens.push(Token {
            kind,
            text,
            cased: String::new(),
            is_name,
            opens,
        });
    }

    fn end_clause(&mut self, sign: char) {
        match self.tokens.last_mut() {
            Some(last) if last.kind == Kind::Break => last.text.push(sign),
            Some(_) => self.push(Kind::Break, sign.to_string(), false),
            None => {}
        }
        self.opens = true;
    }

    /// A line among others that is indented or ends like code is one piece, kept to the byte.
    fn code_line(&mut self) -> bool {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let bare = line.trim();
        let indented = line.starts_with("  ") || line.starts_with('\t');
        let ends = bare.ends_with(['{', '}', ';', '(', '[', '\\']) || bare.contains(" = ") || bare.contains("=>");
        if bare.is_empty() || bare.contains("```") || !(indented || ends) {
            return false;
        }
        self.push(Kind::Code, line.trim_end().to_owned(), false);
        self.rest = &self.rest[line.len()..];
        self.opens = true;
        true
    }

    fn code(&mut self) -> bool {
        let fence = self.rest.len() - self.rest.trim_start_matches('`').len();
        if fence == 0 {
            return false;
        }
        let (marks, inside) = self.rest.split_at(fence);
        // An open fence runs to the end: what is in it is code all the same.
        let len = if fence == 2 {
            0
        } else {
            inside.find(marks).unwrap_or(inside.len())
        };
        self.push(Kind::Code, inside[..len].trim().to_owned(), false);
        self.rest = inside[len..].trim_start_matches('`');
        true
    }

    fn quoted(&mut self, first: char) -> bool {
        let inside = &self.rest[first.len_utf8()..];
        for (_, end) in QUOTES.iter().filter(|(start, _)| *start == first) {
            let closing = inside.match_indices(*end).map(|(at, _)| at).find(|at| {
                let after = inside[at + end.len_utf8()..].chars().next();
                // An apostrophe ends a quotation only where no letter follows.
                *at > 0 && (!matches!(end, '\'' | '’') || after.is_none_or(|c| !c.is_alphanumeric()))
            });
            if let Some(len) = closing {
                // Code tells 'a' from "a".
                let single = if first == '\'' { "'" } else { "" };
                self.push(Kind::Quoted, format!("{single}{}", &inside[..len]), false);
                self.rest = &inside[len + end.len_utf8()..];
                return true;
            }
        }
        false
    }

    /// Everything up to white space or the next quotation mark.
    fn run(&mut self) {
        let ends = |c: char| {
            c.is_whitespace() || c == '`' || (c != '\'' && c != '’' && QUOTES.iter().any(|q| q.0 == c || q.1 == c))
        };
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        let len = self.rest[first..].find(ends).map_or(self.rest.len(), |at| at + first);
        let (run, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.piece(run);
    }

    fn piece(&mut self, run: &str) {
        let is_bracket = |c: char| "()[]{}（）【】<>".contains(c);
        let is_edge = |c: char| {
            CLAUSE_ENDS.contains(&c)
                || is_bracket(c)
                || matches!(c, '\'' | '’' | '‘' | '"' | '”' | '“' | '»' | '«' | '」')
        };
        let core = run.trim_matches(is_edge);
        if core.is_empty() {
            return self.signs(run, true);
        }
        let start = core.as_ptr() as usize - run.as_ptr() as usize;
        self.signs(&run[..start], false);
        self.core(core);
        let after = &run[start + core.len()..];
        // `5!` is not 5.
        if core.ends_with(|c: char| c.is_ascii_digit())
            && after.starts_with('!')
            && !after.starts_with("!=")
            && after.len() > 1
            || after == "!" && core.chars().all(|c| c.is_ascii_digit())
        {
            self.push(Kind::Symbol, "!".to_owned(), false);
        }
        self.signs(after, false);
    }

    /// Punctuation around a word, or a run of nothing else.
    fn signs(&mut self, signs: &str, is_all: bool) {
        let mut rest = signs;
        // A sign that stands alone within a line is talked about; at its end it ends the sentence, as the French write it.
        let ends_line = self.rest.trim_start_matches(' ').is_empty() || self.rest.starts_with('\n');
        let alone = signs.len() == 1 && is_all && !ends_line && !matches!(signs, "-" | "–");
        while let Some(c) = rest.chars().next() {
            // An operator is short; a longer run of signs is cut into several.
            let operator = rest
                .bytes()
                .take(4)
                .take_while(|byte| b"=<>!?&|:.+-*/".contains(byte))
                .count();
            if operator >= 2 && rest[..operator].contains(['=', '<', '>', '&', '|', '+', '*', '/']) {
                self.push(Kind::Symbol, rest[..operator].to_owned(), false);
                rest = &rest[operator..];
                continue;
            }
            if CLAUSE_ENDS.contains(&c) && !alone {
                self.end_clause(c);
            } else if !matches!(c, '\'' | '’' | '‘' | '"' | '”' | '“' | '»' | '«' | '」') {
                self.push(Kind::Symbol, c.to_string(), false);
            }
            rest = &rest[c.len_utf8()..];
        }
    }

    fn core(&mut self, core: &str) {
        if is_number(core) {
            return self.number(core);
        }
        if core.starts_with(|c: char| c.is_ascii_digit()) && self.number_with_unit(core) {
            return;
        }
        if let Some(rest) = core
            .strip_prefix(['$', '€', '£', '¥', '#'])
            .filter(|rest| is_number(rest))
        {
            self.push(Kind::Symbol, core[..core.len() - rest.len()].to_owned(), false);
            return self.number(rest);
        }
        if let Some(rest) = core
            .strip_suffix(['%', '€', '£', '$', '°'])
            .filter(|rest| is_number(rest))
        {
            self.number(rest);
            return self.push(Kind::Symbol, core[rest.len()..].to_owned(), false);
        }
        if is_code(core) {
            return self.push(Kind::Code, core.to_owned(), true);
        }
        let (mut from, mut before) = (0, None::<char>);
        for (at, c) in core.char_indices().chain([(core.len(), ' ')]) {
            let alone = is_unspaced(c) || before.is_some_and(is_unspaced);
            if c.is_alphanumeric() && !alone || is_mark(c) {
                before = Some(c);
                continue;
            }
            if at > from {
                self.word(&core[from..at]);
                // "snake-case" is not "snake case".
                if core[..from].ends_with(['-', '‐', '‑'])
                    && let Some(last) = self.tokens.last_mut()
                {
                    last.text.insert(0, '-');
                }
            }
            from = at;
            if !c.is_alphanumeric() {
                from = (at + c.len_utf8()).min(core.len());
                if matches!(c, '\'' | '’') && at < core.len() {
                    let after = core[from..].to_lowercase();
                    if after == "s" && !self.is_short_for_is() {
                        self.push(Kind::Owner, String::new(), false);
                        return;
                    }
                } else if !matches!(
                    c,
                    '-' | '‐' | '‑' | ' ' | '·' | '・' | '\u{200b}'..='\u{200d}' | '\u{feff}'
                ) && !CLAUSE_ENDS.contains(&c)
                {
                    self.push(Kind::Symbol, c.to_string(), false);
                } else if CLAUSE_ENDS.contains(&c) {
                    self.end_clause(c);
                }
            }
            before = Some(c);
        }
    }

    /// `what's`, not `France's`.
    fn is_short_for_is(&self) -> bool {
        const SHORT: &[&str] = &[
            "what", "who", "where", "when", "why", "how", "that", "there", "here", "it", "he", "she", "let", "which",
        ];
        self.tokens
            .last()
            .is_some_and(|token| SHORT.contains(&token.text.as_str()))
    }

    fn number(&mut self, text: &str) {
        // `1,000` is 1000; `1.000` is a thousand in one language and one in another, and stays as it is.
        let groups: Vec<&str> = text.split(',').collect();
        let grouped = groups.len() > 1 && groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
        let text = if grouped {
            text.replace(',', "")
        } else {
            text.to_owned()
        };
        self.push(Kind::Number, text, false);
    }

    /// `16kg`, `30-year`, `2nd`: the number, then what is attached to it.
    fn number_with_unit(&mut self, core: &str) -> bool {
        let digits = core
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')
            .unwrap_or(core.len());
        let (number, unit) = core.split_at(digits);
        let unit = unit.strip_prefix('-').unwrap_or(unit);
        if !is_number(number) || unit.is_empty() || !unit.chars().all(char::is_alphabetic) {
            return false;
        }
        self.number(number);
        if is_unspaced(unit.chars().next().expect("not empty")) {
            self.core(unit);
        } else {
            self.word(unit);
        }
        true
    }

    fn word(&mut self, raw: &str) {
        let capitals = raw.chars().filter(|c| c.is_uppercase()).count();
        let in_capitals = capitals > 1 && !self.shouts;
        let is_name = !self.shouts && (in_capitals || (capitals > 0 && !self.opens));
        // Roman numerals: World War II.
        const ROMAN: &[(&str, &str)] = &[
            ("II", "2"),
            ("III", "3"),
            ("IV", "4"),
            ("VI", "6"),
            ("VII", "7"),
            ("VIII", "8"),
            ("IX", "9"),
            ("XI", "11"),
            ("XII", "12"),
            ("XIII", "13"),
            ("XIV", "14"),
            ("XV", "15"),
            ("XVI", "16"),
        ];
        let after_name = self
            .tokens
            .last()
            .is_some_and(|token| token.is_name && token.kind == Kind::Word);
        let numeral = ROMAN.iter().find(|(roman, _)| *roman == raw).map(|(_, number)| *number);
        match numeral.or((raw == "I" && after_name).then_some("1")) {
            Some(number) => self.push(Kind::Number, number.to_owned(), false),
            None if raw.chars().all(|c| c.is_numeric()) => self.push(Kind::Number, raw.to_owned(), false),
            None => {
                self.push(Kind::Word, raw.to_lowercase(), is_name);
                if is_name && let Some(last) = self.tokens.last_mut() {
                    raw.clone_into(&mut last.cased);
                }
            }
        }
    }
}

/// Digits with signs inside and perhaps before: `-5`, `3.14`, `1,000`, `2024-05-03`, `10:00`, `1/2`, `10.0.0.1`.
fn is_number(text: &str) -> bool {
    let bare = text.strip_prefix(['-', '+', '−']).unwrap_or(text);
    let bytes = bare.as_bytes();
    !bytes.is_empty()
        && bytes[0].is_ascii_digit()
        && bytes[bytes.len() - 1].is_ascii_digit()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || b".,:/-".contains(byte))
}

/// Paths, addresses, identifiers, flags: whatever no prose is written with.
fn is_code(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let signs = chars.iter().any(|c| "_/\\@=<>{}[]()#$&*^~|+%:".contains(*c));
    let dotted = chars
        .windows(3)
        .any(|w| w[1] == '.' && w[0].is_alphanumeric() && w[2].is_alphanumeric());
    let flag = text.starts_with('-') && chars.len() > 1;
    let lettered = chars[0].is_alphabetic() && chars[0].is_ascii() && chars.iter().any(char::is_ascii_digit);
    signs || dotted || flag || lettered
}

/// Scripts written without spaces: every character is a word.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{e00}'..='\u{eff}'
        | '\u{20000}'..='\u{3ffff}')
        && c.is_alphanumeric()
}

/// Marks that belong to the letter before them.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}
