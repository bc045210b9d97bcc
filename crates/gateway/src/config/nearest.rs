//! The nearest right name to a wrong one, for messages.

/// At most this many names are offered.
const NEAREST_MAX: usize = 3;
/// Names longer than this are not compared: the distance takes time by the product of both lengths.
const NAME_LEN_MAX: usize = 128;

/// The names that may have been meant, the nearest first; none when all are far.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if wrong.is_empty() || wrong.len() > NAME_LEN_MAX {
        return Vec::new();
    }
    let wrong_lower = wrong.to_lowercase();
    // Two names of two letters have nothing in common when one letter is another.
    let far = match wrong.chars().count() {
        0..=2 => 0,
        length => (length / 3).max(1),
    };
    let begins = |long: &str, short: &str| {
        long.get(..short.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(short))
    };
    let letters = bag(wrong);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| !name.is_empty() && name.len() <= NAME_LEN_MAX)
        // There may be thousands of names: those of other letters are far in whatever order they stand.
        .filter(|name| apart(&letters, &bag(name)) <= 2 * far || begins(name, wrong) || begins(wrong, name))
        .filter_map(|name| {
            let name_lower = name.to_lowercase();
            let mut distance = distance(&wrong_lower, &name_lower);
            // A name that continues what was written (or the other way round) was likely meant, however long it is.
            let shorter = wrong_lower.len().min(name_lower.len());
            if shorter >= 3 && (name_lower.starts_with(&wrong_lower) || wrong_lower.starts_with(&name_lower)) {
                distance = distance.min(far);
            }
            (distance <= far).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(NEAREST_MAX).map(|(_, name)| name).collect()
}

/// How often each letter stands in a word, in 32 bags.
fn bag(word: &str) -> [u8; 32] {
    let mut bag = [0; 32];
    for byte in word.bytes().filter(u8::is_ascii) {
        bag[usize::from(byte.to_ascii_lowercase() & 31)] += 1;
    }
    bag
}

/// How many letters only one of two words has; an edit takes at most one away and brings one.
fn apart(a: &[u8; 32], b: &[u8; 32]) -> usize {
    a.iter().zip(b).map(|(a, b)| usize::from(a.abs_diff(*b))).sum()
}

/// "did you mean `x`?" for messages, when a name is near.
pub fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, names)
        .first()
        .map(|name| format!("did you mean `{name}`?"))
}

/// Edits between two words; two neighbours swapped are one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = above.clone();
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let names = ["targets", "timeouts", "retries", "retry", "balance"];
        let cases: [(&str, &[&str]); 8] = [
            ("target", &["targets"]),
            ("retires", &["retries"]),
            ("Timeouts", &["timeouts"]),
            ("time", &["timeouts"]),
            ("balnace", &["balance"]),
            ("colour", &[]),
            ("re", &[]),
            ("", &[]),
        ];
        for (wrong, expected) in cases {
            assert_eq!(nearest(wrong, names), expected, "{wrong:?}");
        }
    }
}
