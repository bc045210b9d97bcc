//! Telephone numbers as people write them: international ones, and national ones that cannot be read as something else.
//!
//! A bare run of digits is an id or a time, not a number to call; a date, an address of the network and a version are not either.

use crate::recorder::redact::{Found, is_word};

/// Every number in a text.
pub fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let candidate = matches!(bytes[at], b'0'..=b'9' | b'+' | b'(');
        if !candidate {
            at += 1;
            continue;
        }
        let number = Number::read(bytes, at);
        let alone = stands_alone(bytes, at) && !bytes.get(number.end).is_some_and(|b| is_word(*b));
        if alone && number.is_phone() {
            found.push(Found {
                range: at..number.end,
                word: "[phone]",
            });
            at = number.end;
        } else {
            // On to the next group of digits: a number may follow a year.
            let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            at += digits.max(1);
        }
    }
    found
}

/// Nothing before belongs to it: neither a word nor an id's other part.
fn stands_alone(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|i| bytes[i]) else {
        return true;
    };
    let escape = at >= 2 && matches!(before, b'n' | b'r' | b't') && bytes[at - 2] == b'\\';
    escape || !(is_word(before) || matches!(before, b'.' | b'-' | b'/' | b'+' | b'#' | b'$' | b'='))
}

/// More bytes than any number has, whatever stands between its digits.
const LEN_MAX: usize = 40;

/// Groups of digits with what stands between them.
struct Number {
    plus: bool,
    /// The first group stands in brackets.
    bracketed: bool,
    groups: Vec<Vec<u8>>,
    between: Vec<u8>,
    end: usize,
}

impl Number {
    fn read(bytes: &[u8], start: usize) -> Number {
        let mut number = Number {
            plus: bytes[start] == b'+',
            bracketed: bytes[start] == b'(',
            groups: vec![Vec::new()],
            between: Vec::new(),
            end: start,
        };
        let mut at = start + usize::from(number.plus || number.bracketed);
        let mut open = number.bracketed;
        // Longer ones are no numbers to call; reading on would make a list of digits cost its square.
        while let Some(byte) = bytes.get(at).filter(|_| at < start + LEN_MAX) {
            let digit_at = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
            match byte {
                b'0'..=b'9' => {
                    number.last().push(*byte);
                    number.end = at + 1;
                }
                b')' if open => {
                    open = false;
                    let gap = usize::from(matches!(bytes.get(at + 1), Some(b' ' | b'-' | b'/')));
                    if !digit_at(at + 1 + gap) {
                        break;
                    }
                    number.gap(b')');
                    at += gap;
                }
                // `+49 (0)30 …`
                b'(' if number.plus && !open && digit_at(at + 1) => {
                    open = true;
                    number.gap(b'(');
                }
                b' ' if number.plus && bytes.get(at + 1) == Some(&b'(') && digit_at(at + 2) => {}
                b' ' | b'-' | b'.' | b'/' if digit_at(at + 1) => number.gap(*byte),
                _ => break,
            }
            at += 1;
        }
        number
    }

    fn last(&mut self) -> &mut Vec<u8> {
        self.groups.last_mut().expect("there is always a group")
    }

    fn gap(&mut self, byte: u8) {
        if !self.last().is_empty() {
            self.groups.push(Vec::new());
            self.between.push(byte);
        }
    }

    fn is_phone(&self) -> bool {
        let count: usize = self.groups.iter().map(Vec::len).sum();
        let lens: Vec<usize> = self.groups.iter().map(Vec::len).collect();
        let first = &self.groups[0];
        if self.plus {
            return (8..=15).contains(&count) && first.first() != Some(&b'0');
        }
        if self.bracketed {
            return (2..=5).contains(&first.len()) && self.between.first() == Some(&b')') && (8..=13).contains(&count);
        }
        if self.is_date() {
            return false;
        }
        match first.as_slice() {
            // The international prefix of most of the world.
            [b'0', b'0', b'1'..=b'9', ..] => (10..=17).contains(&count),
            [b'0', b'1'..=b'9', ..] => (9..=12).contains(&count) && (lens.len() > 1 || (10..=11).contains(&count)),
            _ => {
                let same =
                    self.between.windows(2).all(|pair| pair[0] == pair[1]) && self.between.first() != Some(&b'/');
                let grouped = lens == [3, 3, 4] || (lens == [1, 3, 3, 4] && first == b"1");
                same && grouped
            }
        }
    }

    /// `01.02.2026`, with whatever follows it.
    fn is_date(&self) -> bool {
        let lens: Vec<usize> = self.groups.iter().take(3).map(Vec::len).collect();
        matches!(lens[..], [2, 2, 4] | [2, 2, 2] | [4, 2, 2])
            && self.between[0] == self.between[1]
            && self.between[0] != b' '
    }
}
