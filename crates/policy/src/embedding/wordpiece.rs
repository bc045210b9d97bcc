//! WordPiece, uncased, as BERT's: words of folded text, each cut into the longest tokens that the table knows.
//!
//! A word with a part that the table does not know gives no token at all, like the original with its unknowns removed.

use std::str::Chars;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::embedding::StaticEmbedding;

/// Words of more characters than this are unknown, whatever they are made of.
const WORD_CHARS_MAX: usize = 100;

/// The tokens of a text, one after the other.
pub struct Pieces<'t> {
    text: Chars<'t>,
    /// The word being cut, and how far it is.
    word: String,
    done: usize,
    /// A character that is a word of its own and ended the word before it.
    alone: Option<char>,
    rows: Vec<usize>,
    rows_given: usize,
}

impl<'t> Pieces<'t> {
    pub fn new(text: &'t str) -> Pieces<'t> {
        Pieces {
            text: text.chars(),
            word: String::new(),
            done: 0,
            alone: None,
            rows: Vec::new(),
            rows_given: 0,
        }
    }

    /// The next token's row.
    pub fn next(&mut self, table: &StaticEmbedding) -> Option<usize> {
        loop {
            if let Some(row) = self.rows.get(self.rows_given) {
                self.rows_given += 1;
                return Some(*row);
            }
            self.rows.clear();
            self.rows_given = 0;
            if !self.next_word() {
                return None;
            }
            self.cut(table);
        }
    }

    /// Reads on to the end of the next word; `false` at the end of the text.
    fn next_word(&mut self) -> bool {
        self.word.clear();
        self.done = 0;
        if let Some(alone) = self.alone.take() {
            push_folded(&mut self.word, alone);
            return true;
        }
        for c in self.text.by_ref() {
            if c.is_whitespace() {
                if !self.word.is_empty() {
                    return true;
                }
            } else if is_dropped(c) {
            } else if is_punctuation(c) || is_han(c) {
                if self.word.is_empty() {
                    push_folded(&mut self.word, c);
                    return true;
                }
                self.alone = Some(c);
                return true;
            } else {
                push_folded(&mut self.word, c);
            }
        }
        !self.word.is_empty()
    }

    fn cut(&mut self, table: &StaticEmbedding) {
        if self.word.chars().take(WORD_CHARS_MAX + 1).count() > WORD_CHARS_MAX {
            return;
        }
        while self.done < self.word.len() {
            let mut end = self.word.len();
            let row = loop {
                if let Some(row) = table.row(self.done > 0, &self.word[self.done..end]) {
                    break row;
                }
                end = self.word[..end].char_indices().next_back().map_or(0, |(at, _)| at);
                if end <= self.done {
                    self.rows.clear();
                    return;
                }
            };
            self.rows.push(row);
            self.done = end;
        }
    }
}

/// Accents removed, lower case.
fn push_folded(word: &mut String, c: char) {
    if c.is_ascii() {
        word.push(c.to_ascii_lowercase());
    } else {
        let bare = std::iter::once(c).nfd().filter(|c| !is_combining_mark(*c));
        word.extend(bare.flat_map(char::to_lowercase));
    }
}

/// Control and format characters, and the mark of a broken encoding, are read as if they were not there.
fn is_dropped(c: char) -> bool {
    c == '\u{fffd}'
        || (c.is_control() && !c.is_whitespace())
        || matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e007f}')
}

/// ASCII's, and Unicode's category P of the scripts that the table knows. Each is a word of its own.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' | '\u{37e}' | '\u{387}'
            | '\u{55a}'..='\u{55f}' | '\u{589}' | '\u{58a}' | '\u{5be}' | '\u{5c0}' | '\u{5c3}' | '\u{5c6}'
            | '\u{5f3}' | '\u{5f4}' | '\u{609}' | '\u{60a}' | '\u{60c}' | '\u{60d}' | '\u{61b}'
            | '\u{61e}' | '\u{61f}' | '\u{66a}'..='\u{66d}' | '\u{6d4}' | '\u{964}' | '\u{965}' | '\u{970}'
            | '\u{e4f}' | '\u{e5a}' | '\u{e5b}' | '\u{10fb}' | '\u{2010}'..='\u{2027}'
            | '\u{2030}'..='\u{2043}' | '\u{2045}'..='\u{2051}' | '\u{2053}'..='\u{205e}'
            | '\u{207d}' | '\u{207e}' | '\u{208d}' | '\u{208e}' | '\u{2308}'..='\u{230b}' | '\u{2329}' | '\u{232a}'
            | '\u{2768}'..='\u{2775}' | '\u{27e6}'..='\u{27ef}' | '\u{2983}'..='\u{2998}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{3030}' | '\u{303d}'
            | '\u{30a0}' | '\u{30fb}' | '\u{fe10}'..='\u{fe19}' | '\u{fe30}'..='\u{fe52}' | '\u{fe54}'..='\u{fe61}'
            | '\u{fe63}' | '\u{fe68}' | '\u{fe6a}' | '\u{fe6b}' | '\u{ff01}'..='\u{ff03}' | '\u{ff05}'..='\u{ff0a}'
            | '\u{ff0c}'..='\u{ff0f}' | '\u{ff1a}' | '\u{ff1b}' | '\u{ff1f}' | '\u{ff20}' | '\u{ff3b}'..='\u{ff3d}'
            | '\u{ff3f}' | '\u{ff5b}' | '\u{ff5d}' | '\u{ff5f}'..='\u{ff65}')
}

/// Han characters are words of their own, kana and Hangul are not.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2ceaf}' | '\u{2f800}'..='\u{2fa1f}')
}
