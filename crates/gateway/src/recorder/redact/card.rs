//! Numbers of payment cards: 13 to 19 digits of a known beginning whose check digit is right.

use crate::recorder::redact::Found;

/// What stands in a number's place.
pub const WORD: &str = "[card]";

/// Every number in a text, in one piece or in groups.
pub fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (digits, ends) = run(bytes, at);
        let whole = *ends.last().expect("a run has a digit");
        let lonely = at == 0 || !matches!(bytes[at - 1], b'.' | b'_' | b'-') && !bytes[at - 1].is_ascii_alphabetic();
        let fits = (13..=19).rev().find(|len| {
            // In one piece only the whole of it is a number; in groups others may follow (an expiry, a check code).
            let ends_group = ends.len() >= *len && !bytes.get(ends[len - 1]).is_some_and(u8::is_ascii_alphanumeric);
            ends_group && known(&digits[..*len]) && luhn(&digits[..*len])
        });
        match fits.filter(|_| lonely || escape(bytes, at)) {
            Some(len) => {
                found.push(Found {
                    range: at..ends[len - 1],
                    word: WORD,
                });
                at = ends[len - 1];
            }
            // Not from the middle of a number, but from its next group.
            None => {
                while at < whole && bytes[at].is_ascii_digit() {
                    at += 1;
                }
            }
        }
    }
    found
}

/// The letter before is that of an escape (`\n`).
fn escape(bytes: &[u8], at: usize) -> bool {
    at >= 2 && matches!(bytes[at - 1], b'n' | b'r' | b't') && bytes[at - 2] == b'\\'
}

/// The digits from a place on, single spaces and dashes between them, and where each of them ends.
fn run(bytes: &[u8], start: usize) -> (Vec<u8>, Vec<usize>) {
    let (mut digits, mut ends) = (Vec::new(), Vec::new());
    let mut at = start;
    // One digit more than any has is enough to know that this is none.
    while let Some(byte) = bytes.get(at).filter(|_| digits.len() < 20) {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte - b'0');
                ends.push(at + 1);
            }
            b' ' | b'-' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
            _ => break,
        }
        at += 1;
    }
    (digits, ends)
}

/// Beginnings of the schemes in use: Visa, Mastercard, American Express, Diners, Discover, JCB, Maestro, UnionPay, RuPay.
fn known(digits: &[u8]) -> bool {
    let first = |n: usize| digits[..n].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(*digit));
    match digits.len() {
        13 | 19 => matches!(first(1), 4) || matches!(first(2), 50 | 56..=69),
        14 => matches!(first(2), 36 | 38 | 39) || matches!(first(3), 300..=305),
        15 => matches!(first(2), 34 | 37),
        16 => {
            matches!(first(1), 4 | 6)
                || matches!(first(2), 50..=58 | 81 | 82)
                || matches!(first(4), 2221..=2720 | 3528..=3589)
        }
        17 | 18 => matches!(first(2), 50 | 56..=69),
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| u32::from(if n % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}
